/* child_run.c - children from start to end: much in both directions at once, limits, cancels, and what fails in between. */
#include "loops.h"
#include <yoke/child.h>
#include <yoke/io.h>

#define SHELL(line) .argv = (const char *[]){"sh", "-c", line, NULL}

static void check_no_children(void)
{
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_INT(errno, ECHILD);
}

ALL(what_it_says)
{
    yoke_child_output o;
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("cat; echo b >&2; exit 5")}, "a", 1, &o), 0);
    CHECK_INT(WEXITSTATUS(o.status), 5);
    CHECK_STR(o.out, "a");
    CHECK_INT(o.out_len, 1);
    CHECK_STR(o.err, "b\n");
    yoke_child_output_done(&o);
    CHECK(!o.out);
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("exit 0")}, NULL, 0, &o), 0);
    CHECK_STR(o.out, "");
    CHECK_STR(o.err, "");
    yoke_child_output_done(&o);
    yoke_child_opts silent = {SHELL("echo x; echo y >&2"), .out = YOKE_CHILD_NULL, .err = YOKE_CHILD_OUT};
    CHECK_INT(yoke_child_run(&silent, NULL, 0, &o), 0);
    CHECK(!o.out && !o.err);
    yoke_child_output_done(&o);
    check_no_children();
}

/* More than any pipe holds, in all directions at once. */
ALL(ten_megabytes_both_ways)
{
    enum { N = 10 << 20 };
    char *text = malloc(N);
    yoke_child_output o;
    for (size_t i = 0; i < N; i++)
        text[i] = (char)(i * 2654435761u >> 11);
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("exec tee /dev/stderr")}, text, N, &o), 0);
    CHECK_INT(o.status, 0);
    CHECK_INT(o.out_len, N);
    CHECK_INT(o.err_len, N);
    CHECK_INT(memcmp(o.out, text, N) | memcmp(o.err, text, N), 0);
    CHECK_INT(o.out[N], 0);
    yoke_child_output_done(&o);
    free(text);
    check_no_children();
}

ALL(one_that_does_not_read)
{
    enum { N = 1 << 20 };
    char *text = calloc(1, N);
    yoke_child_output o;
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("exec 0<&-; echo done")}, text, N, &o), 0);
    CHECK_STR(o.out, "done\n");
    yoke_child_output_done(&o);
    free(text);
}

/* It ends, and leaves one behind that has its pipes. */
ALL(one_that_leaves_another)
{
    yoke_child_output o;
    char *end;
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("sleep 1000 & echo $!")}, NULL, 0, &o), 0);
    long pid = strtol(o.out, &end, 10);
    CHECK(pid > 0 && *end == '\n');
    CHECK_INT(kill((pid_t)pid, SIGKILL), 0);
    yoke_child_output_done(&o);
}

ALL(a_limit)
{
    yoke_child_output o;
    int64_t before = yoke_now();
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("exec sleep 1000"), .limit = 20 * YOKE_MS}, NULL, 0, &o), -ETIMEDOUT);
    CHECK(yoke_now() - before >= 20 * YOKE_MS);
    CHECK(!o.out && !o.err);
    check_no_children();
    yoke_child_output_done(&o);
}

/* It ignores SIGTERM, and writes more than anybody wants meanwhile. */
ALL(a_limit_for_one_that_ignores_sigterm)
{
    yoke_child_output o;
    CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL("trap '' TERM; exec yes"), .limit = 30 * YOKE_MS, .grace = 30 * YOKE_MS},
                             "x", 1, &o), -ETIMEDOUT);
    check_no_children();
}

ALL(refused)
{
    yoke_child_output o;
    CHECK_INT(yoke_child_run(&(yoke_child_opts){.argv = (const char *[]){"no-such-program", NULL}}, "x", 1, &o), -ENOENT);
    CHECK_STR(yoke_child_error(), "no-such-program: No such file or directory");
    check_no_children();
    yoke_child_output_done(&o);
}

static int64_t run_it(void *arg)
{
    yoke_child_output o;
    int err = yoke_child_run(arg, "x", 1, &o);
    yoke_child_output_done(&o);
    return err;
}

/* Wherever it is, it is ended. What it writes while it ends is read: it gets to its exit code. */
LOOPS(cancelled)
{
    yoke_child_opts calm = {SHELL("exec sleep 1000")};
    yoke_child_opts deaf = {SHELL("trap '' TERM; while :; do sleep 0.01; done"), .grace = 20 * YOKE_MS};
    attempt_cancel(run_it, &calm);
    check_no_children();
    attempt_cancel(run_it, &deaf);
    check_no_children();
    for (int turns = 0; turns < 20; turns++) {
        attempt a;
        yoke_child_opts quick = {SHELL("cat; echo b >&2")};
        attempt_begin(&a, run_it, &quick);
        for (int i = 0; i < turns * 10; i++)
            yoke_yield();
        yoke_scope_cancel(&a.scope);
        int64_t result = attempt_end(&a);
        CHECK(result == 0 || result == -ECANCELED);
        check_no_children();
    }
}

/* What a child does at its end may write, much: it is waited for, until the grace time is over. */
LOOPS(one_that_says_much_at_its_end)
{
    int late;
    yoke_child_output o;
    char path[] = "/tmp/yoke-run-XXXXXX", line[256], *text;
    size_t len;
    close(mkstemp(path));
    snprintf(line, sizeof line, "trap 'head -c 300000 /dev/zero; echo yes >%s; exit' TERM; while :; do sleep 0.01; done", path);
    YOKE_TIMEOUT(200 * YOKE_MS, &late)
        CHECK_INT(yoke_child_run(&(yoke_child_opts){SHELL(line), .grace = 60 * YOKE_S}, NULL, 0, &o), -ECANCELED);
    CHECK_INT(late, -ETIMEDOUT);
    CHECK_INT(yoke_read_file(path, &text, &len), 0);
    CHECK_STR(text, "yes\n");
    free(text);
    unlink(path);
    check_no_children();
}

ALL(calls_that_fail)
{
    static const char *const names[] = {"realloc", "malloc", "pipe2", "epoll_create1", "epoll_ctl", "epoll_wait", "read", "clone",
                                        "waitid", "mmap"};
    const yoke_child_opts opts = {SHELL("cat; exit 3"), .grace = 50 * YOKE_MS};
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        int before = descriptors(), err = -1, n = 0;
        for (bool all = false; !all;) {
            yoke_child_output o;
            yk_sys_fail(names[i], ++n, ENOMEM);
            err = yoke_child_run(&opts, "abc", 3, &o);
            all = yk_sys_fail(names[i], 0, 0) < n;
            CHECK(err == -ENOMEM || err == 0);
            if (all || (err == 0 && o.out_len == 3)) {
                CHECK_STR(o.out, "abc");
                CHECK_INT(WEXITSTATUS(o.status), 3);
            }
            yoke_child_output_done(&o);
            CHECK_INT(descriptors(), before);
            check_no_children();
            CHECK(n < 60);
        }
        CHECK_INT(err, 0);
    }
}

static int run_one(void *arg)
{
    int *sum = arg;
    yoke_child_output o;
    int err = yoke_child_run(&(yoke_child_opts){SHELL("cat")}, "12", 2, &o);
    CHECK_INT(err, 0);
    CHECK_STR(o.out, "12");
    *sum += 12;
    yoke_child_output_done(&o);
    return 0;
}

LOOPS(a_hundred_at_once)
{
    int sum = 0, err = 1;
    YOKE_GROUP(g, &err)
        for (int i = 0; i < 100; i++)
            yoke_go(&g, run_one, &sum);
    CHECK_INT(err, 0);
    CHECK_INT(sum, 1200);
    check_no_children();
}
