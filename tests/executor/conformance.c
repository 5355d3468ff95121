/* conformance.c - what every executor must do alike: same tasks, same answers, same errors, cancel, deadline, retry,
 * dependency, crash, shutdown with work in flight. The executor is named by YOKE_TEST_EXECUTOR. */
#include "exec/exec.h"
#include "tasks.h"
#include "test.h"
#include <math.h>
#include <signal.h>
#include <fcntl.h>
#include <unistd.h>

static const char *uri(void)
{
    const char *name = getenv("YOKE_TEST_EXECUTOR");
    return name ? name : "inline";
}

static yoke_executor *open_it(void)
{
    yoke_executor *ex = yoke_open(uri());
    if (yoke_executor_status(ex) != 0)
        test_fail(__FILE__, __LINE__, "%s: %s", uri(), yoke_executor_error(ex));
    return ex;
}

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

/* ---- Values ---- */

TEST(scalar_result)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, add, 40, 2);
    CHECK_INT(yoke_await(f, long), 42);
    CHECK(yoke_done(f));
    CHECK_INT(yoke_code(f), 0);
    CHECK_STR(yoke_error(f), "");
    CHECK(yoke_release(f) == NULL);
    CHECK_INT(yoke_close(ex), 0);
}

TEST(void_task)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, nothing);
    CHECK_INT(yoke_wait(f), 0);
    yoke_close(ex);
}

TEST(all_scalars)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, mix, true, -8, 200, -3000, 60000, -100000, 4000000000u, -5000000000, 10000000000u, 0.5f,
                                 0.25);
    double direct = mix(true, -8, 200, -3000, 60000, -100000, 4000000000u, -5000000000, 10000000000u, 0.5f, 0.25);
    CHECK_NEAR(yoke_await(f, double), direct, 0);
    yoke_close(ex);
}

TEST(texts)
{
    yoke_executor *ex = open_it();
    char name[] = "world"; /* arguments are copied at submit, so the caller's may change */
    yoke_future *f = yoke_submit(ex, greet, name, ((yoke_str){"!\0!", 3}));
    memset(name, 'x', 5);
    yoke_str text = yoke_await(f, yoke_str);
    CHECK_INT(text.len, 14);
    CHECK(memcmp(text.ptr, "hello world!\0!", 14) == 0);
    yoke_future *g = yoke_submit(ex, constant_text);
    CHECK_STR(yoke_await(g, const char *), "a constant of the program");
    yoke_future *empty = yoke_submit(ex, greet, "", ((yoke_str){NULL, 0}));
    CHECK_INT(yoke_await(empty, yoke_str).len, 6);
    yoke_close(ex);
}

TEST(bytes_and_json)
{
    yoke_executor *ex = open_it();
    size_t n = 100000;
    unsigned char *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (unsigned char)test_random();
    yoke_future *f = yoke_submit(ex, reversed, ((yoke_bytes){data, n}));
    yoke_bytes back = yoke_await(f, yoke_bytes);
    CHECK_INT(back.len, n);
    for (size_t i = 0; i < n; i++)
        CHECK(((const unsigned char *)back.ptr)[i] == data[n - 1 - i]);
    yoke_future *j = yoke_submit(ex, echo_json, ((yoke_json){"{\"a\":[1,2]}", 11}));
    yoke_json value = yoke_await(j, yoke_json);
    CHECK_INT(value.len, 11);
    CHECK(memcmp(value.ptr, "{\"a\":[1,2]}", 11) == 0);
    yoke_future *bad = yoke_submit(ex, echo_json, ((yoke_json){"{\"a\":", 5}));
    CHECK_INT(yoke_wait(bad), -EINVAL);
    CHECK_HAS(yoke_error(bad), "echo_json");
    yoke_close(ex);
    free(data);
}

TEST(structs)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, mirrored, ((point){1, 2}));
    point p = yoke_await(f, point);
    CHECK(p.x == 2 && p.y == 1);
    yoke_close(ex);
}

/* ---- Arrays ---- */

TEST(arrays_in)
{
    yoke_executor *ex = open_it();
    for (size_t n = 0; n <= 1 << 20; n = n * 32 + 1) {
        double *x = malloc((n + 1) * sizeof *x);
        for (size_t i = 0; i < n; i++)
            x[i] = (double)i;
        yoke_future *f = yoke_submit(ex, sum, yoke_1d(yoke_in_f64, x, n));
        CHECK_NEAR(yoke_await(f, double), n ? (double)n * (double)(n - 1) / 2 : 0, 0);
        yoke_release(f);
        free(x);
    }
    yoke_close(ex);
}

TEST(arrays_strided)
{
    yoke_executor *ex = open_it();
    double m[6][5];
    for (int i = 0; i < 30; i++)
        m[i / 5][i % 5] = i;
    yoke_in_f64 column = {&m[0][2], 1, {6}, {5}};
    yoke_in_f64 backwards = {&m[0][4], 1, {5}, {-1}};
    yoke_in_f64 block = {&m[1][1], 2, {2, 3}, {5, 1}};
    yoke_in_f64 single = {&m[3][3], 0, {0}, {0}};
    CHECK_NEAR(yoke_await(yoke_submit(ex, sum, column), double), 2 + 7 + 12 + 17 + 22 + 27, 0);
    CHECK_NEAR(yoke_await(yoke_submit(ex, sum, backwards), double), 10, 0);
    CHECK_NEAR(yoke_await(yoke_submit(ex, sum, block), double), 6 + 7 + 8 + 11 + 12 + 13, 0);
    CHECK_NEAR(yoke_await(yoke_submit(ex, sum, single), double), 18, 0);
    yoke_close(ex);
}

TEST(arrays_out)
{
    yoke_executor *ex = open_it();
    for (size_t n = 1; n <= 100000; n *= 10) {
        double *x = malloc(n * sizeof *x), *y = malloc(2 * n * sizeof *y);
        for (size_t i = 0; i < n; i++) {
            x[i] = (double)i;
            y[2 * i] = y[2 * i + 1] = -1;
        }
        yoke_out_f64 every_other = {y, 1, {n}, {2}};
        yoke_future *f = yoke_submit(ex, scale, 3, yoke_1d(yoke_in_f64, x, n), every_other);
        CHECK_INT(yoke_wait(f), 0);
        for (size_t i = 0; i < n; i++)
            CHECK(y[2 * i] == 3 * (double)i && y[2 * i + 1] == -1);
        yoke_release(f);
        free(x);
        free(y);
    }
    yoke_close(ex);
}

TEST(arrays_inout)
{
    yoke_executor *ex = open_it();
    int32_t x[3000];
    for (int i = 0; i < 3000; i++)
        x[i] = i;
    yoke_future *f = yoke_submit(ex, increment, yoke_1d(yoke_inout_i32, x, 3000));
    CHECK_INT(yoke_wait(f), 0);
    for (int i = 0; i < 3000; i++)
        CHECK_INT(x[i], i + 1);
    yoke_close(ex);
}

TEST(arrays_returned)
{
    yoke_executor *ex = open_it();
    for (size_t n = 1; n <= 1 << 20; n *= 64) {
        yoke_future *f = yoke_submit(ex, ramp, n);
        yoke_out_f64 r = yoke_await(f, yoke_out_f64);
        CHECK_INT(r.shape[0], n);
        CHECK(r.ptr[0] == 0 && r.ptr[n - 1] == (double)(n - 1));
        yoke_release(f);
    }
    yoke_close(ex);
}

TEST(arrays_shared)
{
    yoke_executor *ex = open_it();
    size_t n = 1 << 20;
    double *x = yoke_shared_alloc(ex, n * sizeof *x), *y = yoke_shared_alloc(ex, n * sizeof *y);
    CHECK(x && y && (uintptr_t)x % 64 == 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)i;
    for (int round = 0; round < 3; round++) {
        yoke_future *f = yoke_submit(ex, scale, 2, yoke_1d(yoke_in_f64, x, n), yoke_1d(yoke_out_f64, y, n));
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
        for (size_t i = 0; i < n; i += 1000)
            CHECK(y[i] == 2 * (double)i);
    }
    yoke_shared_free(ex, x);
    yoke_shared_free(ex, y);
    yoke_shared_free(ex, NULL);
    yoke_close(ex);
}

TEST(bad_arguments)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, greet, NULL, ((yoke_str){"", 0}));
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_STR(yoke_error(f), "argument 1 \"name\" of greet is NULL");
    yoke_in_f64 nowhere = {NULL, 1, {5}, {1}}, too_many = {NULL, 9, {0}, {0}};
    yoke_future *g = yoke_submit(ex, sum, nowhere), *h = yoke_submit(ex, sum, too_many);
    CHECK_INT(yoke_wait(g), -EINVAL);
    CHECK_HAS(yoke_error(g), "argument 1 \"x\" of sum");
    CHECK_INT(yoke_wait(h), -EINVAL);
    yoke_close(ex);
}

/* ---- Errors ---- */

TEST(task_error)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, fails, 28);
    int value = 99;
    CHECK_INT(yoke_try(f, &value), -28);
    CHECK_INT(value, 99);
    CHECK_INT(yoke_code(f), -28);
    CHECK_HAS(yoke_error(f), "fails: failed with 28 on purpose (tasks.c:");
    yoke_close(ex);
}

TEST(wrong_type)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, add, 1, 2);
    double d = 5;
    CHECK_INT(yoke_try(f, &d), -EINVAL);
    CHECK(d == 5);
    long v;
    CHECK_INT(yoke_try(f, &v), 0);
    CHECK_INT(v, 3);
    yoke_close(ex);
}

TEST(error_passes_through_await)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, awaits_failure);
    CHECK_INT(yoke_wait(f), -5);
    CHECK_HAS(yoke_error(f), "failed with 5 on purpose");
    yoke_close(ex);
}

static int lost_count;
static char lost_text[300];

static void count_lost(const char *text, void *arg)
{
    lost_count++;
    snprintf(lost_text, sizeof lost_text, "%s", text);
}

TEST(lost_errors_are_reported)
{
    yoke_on_lost_error(count_lost, NULL);
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, fails, 3), *g = yoke_submit(ex, fails, 4), *h = yoke_submit(ex, fails, 5);
    yoke_wait(g);
    while (!yoke_done(f) || !yoke_done(h))
        usleep(100);
    yoke_release(f);
    CHECK_INT(lost_count, 1);
    CHECK_HAS(lost_text, "failed with 3");
    yoke_release(g);
    CHECK_INT(lost_count, 1);
    yoke_close(ex); /* h was never looked at, nor released */
    CHECK_INT(lost_count, 2);
    CHECK_HAS(lost_text, "failed with 5");
}

/* ---- Many ---- */

TEST_LIMIT(many_jobs, 300)
{
    yoke_executor *ex = open_it();
    enum { N = 20000 };
    static yoke_future *fs[N];
    for (int i = 0; i < N; i++)
        fs[i] = yoke_submit(ex, add, i, 1);
    for (int i = 0; i < N; i++) {
        CHECK_INT(yoke_await(fs[i], long), i + 1);
        yoke_release(fs[i]);
    }
    yoke_close(ex);
}

TEST(released_at_once)
{
    yoke_executor *ex = open_it();
    for (int i = 0; i < 5000; i++)
        yoke_release(yoke_submit(ex, add, i, 1));
    yoke_close(ex);
}

static void *submit_many(void *arg)
{
    yoke_executor *ex = arg;
    for (long i = 0; i < 2000; i++) {
        yoke_future *f = yoke_submit(ex, add, i, i);
        if (yoke_await(f, long) != 2 * i)
            return (void *)1;
        yoke_release(f);
    }
    return NULL;
}

TEST_LIMIT(submits_from_many_threads, 300)
{
    yoke_executor *ex = open_it();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, submit_many, ex), 0);
    for (int i = 0; i < 8; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        CHECK(!bad);
    }
    yoke_close(ex);
}

TEST_LIMIT(nested_work, 300)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, nested_sum, 1000, 8);
    CHECK_INT(yoke_await(f, long), 500500);
    yoke_close(ex);
}

TEST(allocates_in_task)
{
    yoke_executor *ex = open_it();
    CHECK_INT(yoke_await(yoke_submit(ex, allocates, 64, 100), size_t), 6400);
    CHECK_INT(yoke_await(yoke_submit(ex, allocates, 16, 100000), size_t), 1600000);
    CHECK_INT(yoke_await(yoke_submit(ex, allocates, 64, 0), size_t), 0);
    yoke_close(ex);
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

/* ---- JSON ---- */

TEST(json_jobs)
{
    yoke_executor *ex = open_it();
    const char *text = "[40, 2]";
    yoke_future *f = yoke_json_submit(ex, &yoke_task_add, text, strlen(text), 0, NULL);
    yoke_str out;
    CHECK_INT(yoke_json_result(f, 0, &out), 0);
    CHECK_STR(out.ptr, "42");
    text = "[\"forty\", 2]";
    f = yoke_json_submit(ex, &yoke_task_add, text, strlen(text), 0, NULL);
    CHECK_INT(yoke_json_result(f, 0, &out), -EINVAL);
    CHECK_HAS(yoke_error(f), "argument 1 \"a\" of add");
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

/* ---- Executors that are not there ---- */

TEST(bad_uris)
{
    static const struct {
        const char *uri, *text;
    } rows[] = {
        {"thread", "no executor \"thread\"; did you mean \"threads\"?"},
        {"nonsense", "no executor \"nonsense\"; there are: "},
        {"", "no executor given"},
        {"threads:", NULL},
        {"threads:0", "bad number of workers \"0\" in \"threads:0\": expected 1 to "},
        {"threads:-1", "bad number of workers \"-1\""},
        {"threads:2x", "bad number of workers \"2x\""},
        {"threads:99999999999999999999", "bad number of workers"},
        {"inline:3", "inline takes no number"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        yoke_executor *ex = yoke_open(rows[i].uri);
        yoke_future *f = yoke_submit(ex, add, 1, 2);
        if (rows[i].text) {
            CHECK_INT(yoke_executor_status(ex), -EINVAL);
            CHECK_HAS(yoke_executor_error(ex), rows[i].text);
            CHECK_INT(yoke_wait(f), -EINVAL);
            CHECK_HAS(yoke_error(f), rows[i].text);
            CHECK_INT(yoke_executor_width(ex), 0);
        } else {
            CHECK_INT(yoke_wait(f), 0);
        }
        yoke_close(ex);
    }
}

TEST(never_null_safe)
{
    CHECK_INT(yoke_wait(NULL), -EINVAL);
    CHECK_INT(yoke_code(NULL), -EINVAL);
    CHECK_INT(yoke_cancel(NULL), -EINVAL);
    CHECK(yoke_release(NULL) == NULL);
    CHECK(!yoke_done(NULL));
    CHECK(yoke_error(NULL)[0] != '\0');
}

/* Outside a task the context calls do nothing. */
TEST(context_outside)
{
    CHECK(!yoke_cancelled());
    CHECK_INT(yoke_attempt(), 0);
    CHECK(yoke_deadline() == YOKE_FOREVER);
    CHECK(yoke_alloc(10) == NULL);
    CHECK(yoke_current_executor() == NULL);
    CHECK_INT(yoke_fail(EIO, "x"), -EIO);
    CHECK_INT(add(2, 3), 5); /* a task is a function */
}
