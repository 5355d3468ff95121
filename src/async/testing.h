/* testing: what the calls of yoke/testing.h share. */
#ifndef YK_ASYNC_TESTING_H
#define YK_ASYNC_TESTING_H
#include "async/async.h"
#include <yoke/testing.h>

/* Text that is cut off where the room ends. */
typedef struct yk_test_text {
    char *at, *end; /* NULL: not wanted */
} yk_test_text;
void yk_test_say(yk_test_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
yk_test_text yk_test_text_of(const yoke_test_opts *opts);

/* A run. */
struct yk_tested {
    yoke_test_opts opts; /* with the defaults in place */
    yk_test_text *text;
    yk_loop *loop;
    int64_t now;
    uint64_t random;     /* the generator's state; 0: none */
    yoke_scope root;     /* around fn */
    uint64_t limit, calls;
    size_t points, cancel_at; /* met so far; at which to cancel, from 1; 0: at none */
    char place[160];     /* that point, for people */
    int code;            /* why it has failed; 0: not */
    bool abandoned;      /* some coroutines cannot be made to end */
};
yoke_test_opts yk_test_defaults(const yoke_test_opts *opts);
/* t: opts, text and cancel_at are set. */
int yk_test_once(yk_tested *t, int (*fn)(void *arg), void *arg);

/* What a process has at one time. */
typedef struct yk_belongings {
    size_t descriptors, bytes;
} yk_belongings;
yk_belongings yk_belongings_now(bool memory);

/* fn once more: the code of the run, after all checks. usual: a code that is right although less than 0; 1: all are. */
int yk_test_checked(yk_tested *t, int (*fn)(void *arg), void *arg, int usual);
/* Enters the outcome of a run at a point. */
void yk_test_note(yoke_test_report *r, size_t point, int code);
#endif
