/* map_memory.c - the whole of `yoke map` while memory runs out: the n-th allocation fails, for every n. What is
 * written is always a beginning of the right lines or lacks single records that are told; the log never has more
 * than what was written. */
#include "test.h"
#include "tools/map.h"
#include <fcntl.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, twice, (long, n))
{
    if (n % 10 == 7)
        yoke_fail(EDOM, "%ld is unlucky", n);
    return 2 * n;
}

YOKE_TASK(yoke_str, echo, (yoke_str, text))
{
    return text;
}

/* ---- A run with its outputs in files ---- */

typedef struct outcome {
    int status;
    char out[20000], err[20000], log[20000];
} outcome;

static char folder[] = "/tmp/yoke-map-memory-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][80];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

static void read_all(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : 0;
    CHECK(n >= 0 && (size_t)n < size - 1);
    ret[n] = '\0';
    if (fd >= 0)
        close(fd);
}

static void redirect(int from, const char *name, int *saved)
{
    int fd = open(in_folder(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
    *saved = dup(from);
    CHECK(fd >= 0 && *saved >= 0);
    dup2(fd, from);
    close(fd);
}

static void restore(int to, int saved)
{
    dup2(saved, to);
    close(saved);
}

static void run_map(const yk_map_config *c, const char *call, int n, int *calls, outcome *o)
{
    int out, err;
    unlink(in_folder("log"));
    fflush(stdout);
    redirect(STDOUT_FILENO, "out", &out);
    redirect(STDERR_FILENO, "err", &err);
    yk_sys_fail(call, n, ENOMEM);
    o->status = yk_map_run(c);
    *calls = yk_sys_fail(call, 0, 0);
    restore(STDOUT_FILENO, out);
    restore(STDERR_FILENO, err);
    read_all(in_folder("out"), o->out, sizeof o->out);
    read_all(in_folder("err"), o->err, sizeof o->err);
    read_all(in_folder("log"), o->log, sizeof o->log);
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Each line of part is a line of whole. */
static bool lines_within(const char *part, const char *whole)
{
    while (*part) {
        size_t len = strcspn(part, "\n");
        bool found = false;
        for (const char *p = whole; *p && !found; p += strcspn(p, "\n"), p += *p == '\n')
            found = strcspn(p, "\n") == len && memcmp(p, part, len) == 0;
        found = found || strncmp(part, "{\"record\": ", 11) == 0; /* --errors=inline */
        if (!found || part[len] != '\n')
            return false;
        part += len + 1;
    }
    return true;
}

/* Rows of the log that say a success: each has its line in the output. */
static int successes(const char *log)
{
    int n = 0;
    for (const char *p = strchr(log, '\n'); p && p[1]; p = strchr(p + 1, '\n')) {
        int tabs = 0;
        const char *q = p + 1;
        for (; *q && tabs < 6; q++)
            tabs += *q == '\t';
        n += strncmp(q, "0\t0\t", 4) == 0;
    }
    return n;
}

static void fail_each(const yk_map_config *c, const char *call)
{
    static outcome good, o;
    int calls, refused = 0, harmless = 0, n = 1;
    run_map(c, call, 0, &calls, &good);
    CHECK(good.status == 0 || good.status == 1);
    CHECK(count_lines(good.out) > 0);
    for (bool done = false; !done; n++) {
        CHECK(n < 3000);
        run_map(c, call, n, &calls, &o);
        done = calls < n;
        if (done || (o.status == good.status && strcmp(o.out, good.out) == 0)) {
            CHECK_STR(o.out, good.out);
            CHECK_INT(o.status, good.status);
            harmless += !done;
            continue;
        }
        refused++;
        bool told = o.err[0] != '\0' || (c->errors_inline && strstr(o.out, "\"error\": "));
        if (o.status < 1 || o.status > 3 || !told)
            test_fail(__FILE__, __LINE__, "%s %d: status %d, says \"%s\", wrote %s", call, n, o.status, o.err, o.out);
        if (!lines_within(o.out, good.out))
            test_fail(__FILE__, __LINE__, "%s %d: wrong output \"%s\"", call, n, o.out);
        if (c->joblog && successes(o.log) > count_lines(o.out))
            test_fail(__FILE__, __LINE__, "%s %d: %d rows, %d lines", call, n, successes(o.log), count_lines(o.out));
    }
    printf("# %s: %d calls; %d told, %d harmless\n", call, n - 2, refused, harmless);
}

/* ---- What is run ---- */

static const char *const numbers[] = {"1", "2", "[3]", "{\"n\": 4}", "5", "wrong", "7", "8", "9", "10", "11", "12"};
static const char *const texts[] = {"plain", "", "[\"json\"]", "with \"quotes\"", "a\tb"};

static yk_map_config config(const yoke_task *task, const char *const *words, size_t n)
{
    return (yk_map_config){.task = task, .target = "x.c:task", .uri = "inline", .words = words, .nwords = n};
}

static void each_call(const yk_map_config *c)
{
    static const char *const calls[] = {"malloc", "calloc", "realloc", "posix_memalign"};
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++)
        fail_each(c, calls[i]);
    for (size_t i = 0; i < 3; i++)
        unlink(in_folder((const char *const[]){"out", "err", "log"}[i]));
    rmdir(folder);
}

static void open_folder(void)
{
    CHECK(mkdtemp(folder) != NULL);
}

TEST_LIMIT(plain, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("twice"), numbers, YK_COUNT_OF(numbers));
    each_call(&c);
}

TEST_LIMIT(unordered, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("twice"), numbers, YK_COUNT_OF(numbers));
    c.unordered = c.errors_inline = true;
    each_call(&c);
}

TEST_LIMIT(with_a_job_log, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("twice"), numbers, YK_COUNT_OF(numbers));
    c.joblog = strdup(in_folder("log"));
    CHECK(c.joblog != NULL);
    each_call(&c);
    free((void *)(uintptr_t)c.joblog);
}

TEST_LIMIT(with_a_summary_and_json_errors, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("twice"), numbers, YK_COUNT_OF(numbers));
    c.summary = c.json = true;
    each_call(&c);
}

TEST_LIMIT(of_texts, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("echo"), texts, YK_COUNT_OF(texts));
    each_call(&c);
}

TEST_LIMIT(halted, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("twice"), numbers, YK_COUNT_OF(numbers));
    CHECK_INT(yk_halt_parse(&c.halt, "soon,fail=2", NULL), 0);
    each_call(&c);
}

TEST_LIMIT(dry, 300)
{
    open_folder();
    yk_map_config c = config(yoke_find("twice"), numbers, YK_COUNT_OF(numbers));
    c.dry_run = true;
    each_call(&c);
}
