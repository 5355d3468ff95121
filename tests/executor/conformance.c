/* conformance.c - what every executor must do alike: same tasks, same answers, same errors. conformance_life.c has how jobs live
 * and end. */
#include "conformance.h"
#include <math.h>
#include <unistd.h>
#include <yoke/kernel.h>

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

/* ---- Kernels and devices ---- */

YOKE_KERNEL(mix_in, ((val, int32_t, a), (in, int32_t, x), (inout, int32_t, y)), y[i] += a * x[i];)

/* Elsewhere a kernel is a loop on the CPU. */
TEST(kernels)
{
    enum { MOST = 100000 };
    static int32_t x[MOST], y[MOST];
    yoke_executor *ex = open_it();
    for (int n = 0; n <= MOST; n = n * 10 + 1) {
        for (int i = 0; i < n; i++) {
            x[i] = i;
            y[i] = 7;
        }
        yoke_future *f = yoke_launch(ex, mix_in, n, 3, x, y);
        CHECK_INT(yoke_wait(f), 0);
        for (int i = 0; i < n; i++)
            CHECK_INT(y[i], 3 * i + 7);
        yoke_release(f);
    }
    yoke_close(ex);
}

/* The device that stands in the executor's name. */
TEST(tasks_have_their_device)
{
    yoke_executor *ex = open_it();
    yoke_future *f = yoke_submit(ex, kind_of_device);
    const char *kind = yoke_await(f, const char *);
    CHECK_STR(kind, strstr(uri(), "opencl") ? "opencl" : strstr(uri(), "cuda") ? "cuda" : strstr(uri(), "cpu") ? "cpu" : "none");
    yoke_future *g = yoke_submit(ex, filled_on_device, 1000);
    CHECK_INT(yoke_await(g, long), strcmp(kind, "none") == 0 ? -1 : 7000);
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
