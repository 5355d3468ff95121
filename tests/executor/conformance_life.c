/* conformance_life.c - how jobs live and end, alike on every executor: retry, deadline, dependency, cancel, combinations,
 * shutdown with work in flight. */
#include "conformance.h"
#include <fcntl.h>
#include <unistd.h>

static bool can(yoke_executor *ex, unsigned capability)
{
    return (ex->type->capabilities & capability) != 0;
}

/* Until a job of until_cancelled() runs. */
static void await_start(yoke_future *f)
{
    for (double begun = 0, total; begun == 0; usleep(200))
        yoke_future_progress(f, &begun, &total);
}

/* One that is cancelled at whatever moment: before it began, or while it ran. */
static void cancel_it(yoke_future *f)
{
    yoke_cancel(f);
    int err = yoke_wait(f);
    CHECK(err == 0 || err == -ECANCELED);
}

/* ---- Options ---- */

TEST(retries)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_opt_submit(ex, (retries = 3, backoff = YOKE_MS), fails_at_first, 2);
    CHECK_INT(yoke_await(f, int), 3);
    yoke_future *g = yoke_opt_submit(ex, (retries = 1, backoff = YOKE_MS), fails_at_first, 2);
    CHECK_INT(yoke_wait(g), -EIO);
    CHECK_HAS(yoke_error(g), "attempt 2 is too early");
    yoke_future *h = yoke_submit(ex, retries_itself, 3);
    CHECK_INT(yoke_await(h, unsigned), 4);
    yoke_close(ex);
}

TEST(retries_back_off)
{
    yoke_executor *ex = open_it();
    int64_t start = yoke_now();
    yoke_future *f = yoke_opt_submit(ex, (retries = 3, backoff = 20 * YOKE_MS), fails_at_first, 3);
    CHECK_INT(yoke_await(f, int), 4);
    CHECK(yoke_now() - start >= (20 + 40 + 80) * YOKE_MS);
    yoke_close(ex);
}

TEST(timeout)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_opt_submit(ex, (timeout = 50 * YOKE_MS), until_cancelled, 3600 * YOKE_S);
    CHECK_INT(yoke_wait(f), -ETIMEDOUT);
    CHECK_HAS(yoke_error(f), "until_cancelled: timed out after 0.05 s");
    yoke_future *in_time = yoke_opt_submit(ex, (timeout = 3600 * YOKE_S), add, 1, 1);
    CHECK_INT(yoke_await(in_time, long), 2);
    yoke_future *left = yoke_opt_submit(ex, (timeout = 3600 * YOKE_S), time_left);
    int64_t ns = yoke_await(left, int64_t);
    CHECK(ns > 1800 * YOKE_S && ns <= 3600 * YOKE_S);
    CHECK_INT(yoke_await(yoke_submit(ex, time_left), int64_t), -1);
    yoke_close(ex);
}

TEST(deadline_while_running)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_opt_submit(ex, (deadline = yoke_now() + 50 * YOKE_MS), until_cancelled, 3600 * YOKE_S);
    CHECK_INT(yoke_wait(f), -ETIMEDOUT);
    CHECK_HAS(yoke_error(f), "until_cancelled: deadline passed");
    yoke_future *past = yoke_opt_submit(ex, (deadline = 1, retries = 3), add, 1, 1);
    int err = yoke_wait(past);
    CHECK(err == 0 || err == -ETIMEDOUT);
    yoke_close(ex);
}

TEST(deadline_while_queued)
{
    yoke_executor *ex = open_it();
    if (can(ex, YK_SYNCHRONOUS)) {
        yoke_close(ex);
        return;
    }
    CHECK(yoke_executor_width(ex) <= 16);
    yoke_future *busy[16];
    for (unsigned i = 0; i < 16; i++)
        busy[i] = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
    yoke_future *f = yoke_opt_submit(ex, (deadline = yoke_now() + 30 * YOKE_MS), add, 1, 1);
    CHECK_INT(yoke_wait(f), -ETIMEDOUT); /* none of the others has ended */
    for (unsigned i = 0; i < 16; i++)
        yoke_cancel(busy[i]);
    for (unsigned i = 0; i < 16; i++)
        cancel_it(busy[i]);
    yoke_close(ex);
}

TEST(bad_options)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_opt_submit(ex, (timeout = -1), add, 1, 1);
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_HAS(yoke_error(f), "timeout");
    yoke_close(ex);
}

TEST(keywords_and_defaults)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_kw_submit(ex, add, b = 5);
    CHECK_INT(yoke_await(f, long), 5);
    yoke_close(ex);
}

TEST(after_success)
{
    yoke_executor *ex = open_it();
    int32_t x[2] = {1, 2};
    yoke_future *first = yoke_submit(ex, sleeps, 20 * YOKE_MS);
    yoke_future *second = yoke_opt_submit(ex, (after = first), increment, yoke_1d(yoke_inout_i32, x, 2));
    yoke_future *third = yoke_opt_submit(ex, (after = second), increment, yoke_1d(yoke_inout_i32, x, 2));
    yoke_release(first);
    CHECK_INT(yoke_wait(third), 0);
    CHECK(yoke_done(second));
    CHECK(x[0] == 3 && x[1] == 4);
    yoke_close(ex);
}

TEST(after_failure)
{
    yoke_on_lost_error(count_lost, NULL);
    yoke_executor *ex = open_it();
    yoke_future *first = yoke_submit(ex, fails, 9);
    yoke_future *second = yoke_opt_submit(ex, (after = first), add, 1, 2);
    yoke_future *third = yoke_opt_submit(ex, (after = second), fails, 8);
    CHECK_INT(yoke_wait(third), -ECANCELED);
    CHECK_INT(yoke_code(second), -ECANCELED);
    char text[400]; /* the place is that of the failure alone */
    snprintf(text, sizeof text, "fails: not run, because what it comes after failed: %s", yoke_error(second));
    CHECK_STR(yoke_error(third), text);
    snprintf(text, sizeof text, "add: not run, because what it comes after failed: %s", yoke_error(first));
    CHECK_STR(yoke_error(second), text);
    CHECK_HAS(yoke_error(first), "fails: failed with 9 on purpose (tasks.c:");
    yoke_close(ex);
    CHECK_INT(lost_count, 0);
}

TEST(priority)
{
    yoke_executor *ex = open_it();
    if (can(ex, YK_SYNCHRONOUS) || yoke_executor_width(ex) != 1) {
        yoke_close(ex);
        return;
    }
    yoke_future *block = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
    await_start(block);
    yoke_future *low = yoke_opt_submit(ex, (priority = -1), sleeps, YOKE_MS), *normal = yoke_submit(ex, sleeps, YOKE_MS);
    yoke_future *high = yoke_opt_submit(ex, (priority = 1), sleeps, YOKE_MS);
    yoke_cancel(block);
    yoke_wait(low);
    CHECK(high->ended <= normal->started && normal->ended <= low->started);
    cancel_it(block);
    yoke_close(ex);
}

/* ---- Cancel ---- */

TEST(cancel_before_start)
{
    yoke_executor *ex = open_it();
    if (can(ex, YK_SYNCHRONOUS)) {
        yoke_close(ex);
        return;
    }
    CHECK(yoke_executor_width(ex) <= 16);
    yoke_future *busy[16]; /* nobody is free before they are cancelled */
    for (unsigned i = 0; i < 16; i++)
        busy[i] = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
    yoke_future *queued = yoke_submit(ex, add, 1, 2);
    CHECK_INT(yoke_cancel(queued), 0);
    CHECK_INT(yoke_wait(queued), -ECANCELED);
    CHECK_STR(yoke_error(queued), "add: cancelled before it started");
    CHECK_INT(yoke_cancel(queued), -EALREADY);
    yoke_future *blocked = yoke_opt_submit(ex, (after = busy[0]), add, 1, 2);
    CHECK_INT(yoke_cancel(blocked), 0);
    CHECK_INT(yoke_wait(blocked), -ECANCELED);
    for (unsigned i = 0; i < 16; i++)
        yoke_cancel(busy[i]);
    for (unsigned i = 0; i < 16; i++)
        cancel_it(busy[i]);
    yoke_close(ex);
}

TEST(cancel_while_running)
{
    yoke_executor *ex = open_it();
    if (can(ex, YK_SYNCHRONOUS)) {
        yoke_close(ex);
        return;
    }
    yoke_future *f = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
    await_start(f);
    CHECK_INT(yoke_cancel(f), -EINPROGRESS);
    CHECK(yoke_await(f, bool));
    CHECK_INT(yoke_cancel(f), -EALREADY);
    yoke_close(ex);
}

TEST(progress)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, reports_progress);
    CHECK_INT(yoke_wait(f), 0);
    double done, total;
    yoke_future_progress(f, &done, &total);
    CHECK(done == 3 && total == 4);
    yoke_close(ex);
}

TEST(wait_until)
{
    yoke_executor *ex = open_it();
    if (can(ex, YK_SYNCHRONOUS)) {
        yoke_close(ex);
        return;
    }
    yoke_future *f = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
    CHECK(!yoke_done(f));
    CHECK_INT(yoke_code(f), -EAGAIN);
    int64_t start = yoke_now();
    CHECK_INT(yoke_wait_until(f, start + 20 * YOKE_MS), -ETIMEDOUT);
    CHECK(yoke_now() - start >= 20 * YOKE_MS);
    await_start(f);
    CHECK_INT(yoke_cancel(f), -EINPROGRESS);
    CHECK_INT(yoke_wait_until(f, yoke_now() + 3600 * YOKE_S), 0);
    yoke_close(ex);
}

/* ---- Combinations ---- */

static _Atomic int then_calls;

static void note_then(yoke_future *f, void *arg)
{
    then_calls += *(int *)arg;
}

TEST(then)
{
    yoke_executor *ex = open_it();
    int one = 1, ten = 10;
    yoke_future *f = yoke_submit(ex, sleeps, 20 * YOKE_MS);
    CHECK_INT(yoke_then(f, note_then, &one), 0);
    while (atomic_load(&then_calls) != 1)
        usleep(1000); /* without anybody waiting for the future */
    CHECK_INT(yoke_then(f, note_then, &ten), 0);
    CHECK_INT(then_calls, 11);
    yoke_close(ex);
}

TEST(all)
{
    yoke_executor *ex = open_it();
    yoke_future *fs[10];
    for (int i = 0; i < 10; i++)
        fs[i] = yoke_submit(ex, sleeps, (10 - i) * YOKE_MS);
    yoke_future *whole = yoke_all(fs, 10);
    CHECK_INT(yoke_wait(whole), 0);
    for (int i = 0; i < 10; i++)
        CHECK(yoke_done(fs[i]));
    fs[3] = yoke_submit(ex, fails, 33);
    fs[7] = yoke_submit(ex, fails, 77);
    yoke_future *failed = yoke_all(fs, 10);
    CHECK_INT(yoke_wait(failed), -33);
    CHECK_HAS(yoke_error(failed), "failed with 33");
    CHECK_INT(yoke_wait(yoke_all(NULL, 0)), 0);
    yoke_future *next = yoke_opt_submit(ex, (after = whole), add, 2, 2);
    CHECK_INT(yoke_await(next, long), 4);
    yoke_release(whole);
    yoke_release(failed);
    yoke_close(ex);
}

TEST(any)
{
    yoke_executor *ex = open_it();
    bool two = yoke_executor_width(ex) > 1 && !can(ex, YK_SYNCHRONOUS); /* then the second runs beside the first, for ever */
    yoke_future *fs[3] = {two ? yoke_submit(ex, until_cancelled, 3600 * YOKE_S) : yoke_submit(ex, sleeps, 5 * YOKE_MS)};
    fs[1] = yoke_submit(ex, sleeps, 5 * YOKE_MS);
    fs[2] = yoke_opt_submit(ex, (after = fs[0]), sleeps, 5 * YOKE_MS);
    yoke_future *first = yoke_any(fs, 3);
    size_t i = yoke_await(first, size_t);
    CHECK(i < 3 && yoke_done(fs[i]));
    if (two) {
        CHECK_INT(i, 1);
        cancel_it(fs[0]);
    }
    CHECK(yoke_any(fs, 0) == NULL);
    yoke_release(first);
    yoke_close(ex);
}

TEST(as_completed)
{
    yoke_executor *ex = open_it();
    yoke_future *fs[20], *f;
    for (int i = 0; i < 20; i++)
        fs[i] = yoke_submit(ex, add, i, 100);
    yoke_completion *c = yoke_as_completed(fs, 20);
    bool seen[21] = {false};
    int count = 0;
    while ((f = yoke_next_completed(c))) {
        CHECK(yoke_done(f));
        long v = yoke_await(f, long) - 100;
        CHECK(!seen[v]);
        seen[v] = true;
        if (++count == 5)
            CHECK_INT(yoke_completion_add(c, yoke_submit(ex, add, 20, 100)), 0);
    }
    CHECK_INT(count, 21);
    yoke_completion_close(c);
    if (!can(ex, YK_SYNCHRONOUS)) {
        yoke_future *slow = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
        c = yoke_as_completed(&slow, 1);
        CHECK_INT(yoke_next_completed_until(c, yoke_now() + YOKE_MS, &f), -ETIMEDOUT);
        yoke_cancel(slow);
        CHECK_INT(yoke_next_completed_until(c, YOKE_FOREVER, &f), 0);
        CHECK(f == slow);
        CHECK_INT(yoke_next_completed_until(c, YOKE_FOREVER, &f), -ENOENT);
        yoke_completion_close(c);
        slow = yoke_submit(ex, sleeps, 30 * YOKE_MS);
        c = yoke_as_completed(&slow, 1);
        yoke_completion_close(c); /* before it has arrived */
    }
    yoke_close(ex);
}

/* ---- Closing ---- */

TEST_LIMIT(close_drains, 300)
{
    yoke_executor *ex = open_it();
    int32_t x[64] = {0};
    for (int i = 0; i < 64; i++) {
        yoke_release(yoke_submit(ex, sleeps, YOKE_MS));
        yoke_release(yoke_submit(ex, increment, yoke_1d(yoke_inout_i32, x + i, 1)));
    }
    yoke_close(ex);
    for (int i = 0; i < 64; i++)
        CHECK_INT(x[i], 1);
}

TEST(close_now)
{
    yoke_executor *ex = open_it();
    if (can(ex, YK_SYNCHRONOUS)) {
        yoke_close_now(ex);
        return;
    }
    /* Some run and most do not; if one were waited for, it would be for an hour. */
    yoke_future *first = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
    for (int i = 0; i < 49; i++)
        yoke_release(yoke_submit(ex, until_cancelled, 3600 * YOKE_S));
    await_start(first);
    yoke_release(first);
    yoke_on_lost_error(count_lost, NULL);
    yoke_close_now(ex);
}

TEST(close_twice_in_a_row)
{
    for (int i = 0; i < 20; i++) {
        yoke_executor *ex = open_it();
        CHECK_INT(yoke_await(yoke_submit(ex, add, i, 1), long), i + 1);
        yoke_close(ex);
    }
    CHECK_INT(yoke_close(NULL), 0);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

TEST(close_leaves_nothing)
{
    int before = open_descriptors();
    yoke_executor *ex = open_it();
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 1), long), 2);
    yoke_close(ex);
    CHECK_INT(open_descriptors(), before);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* no child, running or dead */
}

/* Sanitizers are not made for this fork: ThreadSanitizer starts no thread after it, and AddressSanitizer's allocator may be
 * copied while another thread holds its lock. */
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST(fork_in_the_program)
{
    yoke_executor *ex = open_it();
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 1), long), 2);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        yoke_future *f = yoke_submit(ex, add, 1, 1);
        if (yoke_wait(f) != -ECHILD)
            _exit(1);
        yoke_close(ex);
        yoke_executor *own = yoke_open("threads:1");
        _exit(yoke_await(yoke_submit(own, add, 20, 1), long) == 21 && yoke_close(own) == 0 ? 0 : 2);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 2, 2), long), 4);
    yoke_close(ex);
}
#endif
