/* json_try.h - what the tests of the JSON codec share: reading a text into a task's arguments and looking at the outcome. */
#ifndef YK_JSON_TRY_H
#define YK_JSON_TRY_H
#include "task/json.h"
#include "test.h"

/* The last attempt: its code, its error text, the arguments. */
typedef struct trial {
    int code;
    yk_error e;
    yk_region region;
    union {
        char bytes[2048];
        long double aligned;
    } args;
    char *text; /* memory of exactly the text's length, so that sanitizers see a byte read too far */
} trial;

static trial last;

static inline void forget(void)
{
    yk_region_done(&last.region);
    free(last.text);
    last.text = NULL;
}

static inline char *exact(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    CHECK(copy);
    memcpy(copy, text, len);
    return copy;
}

/* Reads text as the arguments of t; returns the arguments, whatever came out. */
static inline void *try_bytes(const yoke_task *t, const char *text, size_t len, unsigned flags)
{
    forget();
    last.text = exact(text, len);
    last.e.text[0] = '\0';
    memset(&last.args, 0xa5, sizeof last.args);
    yk_region_init(&last.region, NULL, 0, NULL);
    CHECK(t->args_size <= sizeof last.args);
    last.code = yk_json_args(t, last.text, len, flags, &last.region, &last.args, &last.e);
    CHECK((last.code == 0) == (last.e.text[0] == '\0'));
    return &last.args;
}

static inline void *try_text(const yoke_task *t, const char *text, unsigned flags)
{
    return try_bytes(t, text, strlen(text), flags);
}

#define READ(task, text) ((struct yoke_args_##task *)try_text(&yoke_task_##task, text, 0))
#define READ_FLAGS(task, text, flags) ((struct yoke_args_##task *)try_text(&yoke_task_##task, text, flags))

/* The text must be refused with exactly this code and error text. */
static inline void refused_at(const char *file, int line, const yoke_task *t, const char *text, unsigned flags, int code,
                              const char *error)
{
    try_text(t, text, flags);
    if (last.code != code || strcmp(last.e.text, error) != 0)
        test_fail(file, line, "%s: %d \"%s\", expected %d \"%s\"", text, last.code, last.e.text, code, error);
}

#define REFUSED(task, text, code, error) refused_at(__FILE__, __LINE__, &yoke_task_##task, text, 0, code, error)

#endif
