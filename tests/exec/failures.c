/* failures.c - every call that can fail is made to fail, one after the other, while executors are opened, used and closed:
 * each time there is a clean error or the right answer, and never a leak (the leak checker runs at exit). */
#include "child.h"
#include "exec/job.h"
#include "test.h"
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK(yoke_str, repeat, (yoke_str, text), (size_t, times))
{
    char *to = yoke_alloc(text.len * times);
    if (!to && text.len * times > 0) {
        yoke_fail(ENOMEM, "no memory for %zu bytes", text.len * times);
        return (yoke_str){NULL, 0};
    }
    for (size_t i = 0; i < times; i++)
        memcpy(to + i * text.len, text.ptr, text.len);
    return (yoke_str){to, text.len * times};
}

static void note_then(yoke_future *f, void *arg)
{
}

/* Uses most of the interface once. True when everything had its right answer; otherwise every failure was an error code or
 * NULL, as the headers say. */
static bool use(const char *uri)
{
    static char long_text[5000];
    memset(long_text, 'x', sizeof long_text);
    bool ok = true;
    yoke_executor *ex = yoke_open(uri);
    ok &= yoke_executor_status(ex) == 0;
    yoke_future *f = yoke_submit(ex, add, 1, 2), *g = yoke_submit(ex, repeat, ((yoke_str){long_text, sizeof long_text}), 3);
    yoke_future *h = yoke_opt_submit(ex, (after = f, timeout = 3600 * YOKE_S, retries = 1), add, 3, 4);
    long v = 0;
    yoke_str s = {NULL, 0};
    ok &= yoke_try(f, &v) == 0 && v == 3;
    ok &= yoke_try(g, &s) == 0 && s.len == 3 * sizeof long_text && s.ptr[s.len - 1] == 'x';
    ok &= yoke_try(h, &v) == 0 && v == 7;
    yoke_future *fs[3] = {f, g, h};
    yoke_future *all = yoke_all(fs, 3), *any = yoke_any(fs, 3);
    ok &= yoke_wait(all) == 0 && yoke_wait(any) == 0;
    yoke_completion *c = f && g && h ? yoke_as_completed(fs, 3) : NULL;
    int count = 0;
    while (c && yoke_next_completed(c))
        count++;
    ok &= count == 3;
    yoke_completion_close(c);
    ok &= yoke_then(f, note_then, NULL) == 0;
    yoke_release(all);
    yoke_release(any);
    yoke_release(f);
    yoke_close(ex);
    return ok;
}

static void fail_each(const char *uri, const char *call, int error)
{
    int n = 1;
    for (bool done = false; !done; n++) {
        CHECK(n < 2000);
        yk_sys_fail(call, n, error);
        bool ok = use(uri);
        int calls = yk_sys_fail(call, 0, 0);
        done = calls < n;
        if (done)
            CHECK(ok);
    }
    printf("# %s: %d calls of %s\n", uri, n - 2, call);
}

static void ignore(const char *text, void *arg)
{
}

static void fail_all(const char *uri)
{
    yoke_on_lost_error(ignore, NULL);
    CHECK(use(uri));
    fail_each(uri, "malloc", ENOMEM);
    fail_each(uri, "calloc", ENOMEM);
    fail_each(uri, "realloc", ENOMEM);
    fail_each(uri, "posix_memalign", ENOMEM);
    fail_each(uri, "pthread_create", EAGAIN);
}

TEST_LIMIT(inline_survives, 60)
{
    fail_all("inline");
}

TEST_LIMIT(threads_survive, 120)
{
    fail_all("threads:2");
}

TEST_LIMIT(broken_survives, 60)
{
    yoke_on_lost_error(ignore, NULL);
    for (int n = 1; n < 10; n++) {
        yk_sys_fail("malloc", n, ENOMEM);
        yoke_executor *ex = yoke_open("nonsense");
        CHECK(yoke_executor_status(ex) < 0);
        CHECK(yoke_executor_error(ex)[0] != '\0');
        yoke_future *f = yoke_submit(ex, add, 1, 2);
        CHECK(yoke_wait(f) < 0);
        yoke_close(ex);
    }
    yk_sys_fail("malloc", 0, 0);
}

/* ---- yoke_await() outside any task ---- */

YOKE_TASK(int, refuses, (int, n))
{
    yoke_fail(EDOM, "not %d", n);
    return n;
}

static void await_what_fails(void)
{
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("printed before\n");
    yoke_executor *ex = yoke_open("inline");
    yoke_await(yoke_submit(ex, refuses, 4), int);
}

TEST(an_await_that_ends_the_program_loses_no_output)
{
    child_end end = in_child(await_what_fails);
    CHECK(died_of(&end, SIGABRT));
    CHECK(strncmp(end.text, "printed before\nyoke: refuses: not 4", 35) == 0);
}

/* A coroutine is told to stop, and the job ends before anybody looks at why: nothing is wrong with it. */
TEST(an_await_that_was_told_to_stop_just_before_the_end)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_future *f = yoke_submit(ex, add, 1, 2);
    CHECK_INT(yoke_wait(f), 0);
    yk_must(f, -ECANCELED, __FILE__, __LINE__);
    yoke_close(ex);
}

YOKE_TASK(int, later, (int64_t, delay), (yoke_inout_i64, runs))
{
    __atomic_fetch_add(runs.ptr, 1, __ATOMIC_SEQ_CST);
    yoke_retry(delay);
    return 0;
}

/* A pause beyond the end of time is one that does not end, and no overflow. */
TEST(a_retry_in_all_eternity)
{
    static const char *const uris[] = {"threads:1", "processes:1"};
    static const int64_t delays[] = {YOKE_FOREVER, YOKE_FOREVER - 1};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++)
        for (size_t k = 0; k < sizeof delays / sizeof *delays; k++) {
            yoke_executor *ex = yoke_open(uris[i]);
            int64_t *runs = yoke_shared_alloc(ex, sizeof *runs);
            CHECK(runs != NULL);
            *runs = 0;
            yoke_future *f = yoke_submit(ex, later, delays[k], yoke_1d(yoke_inout_i64, runs, 1));
            CHECK_INT(yoke_wait_until(f, yoke_now() + 50 * YOKE_MS), -ETIMEDOUT);
            CHECK(__atomic_load_n(runs, __ATOMIC_SEQ_CST) <= 1);
            int err = yoke_cancel(f);
            CHECK(err == 0 || err == -EINPROGRESS);
            yoke_shared_free(ex, runs);
            yoke_close_now(ex);
        }
}
