/* batch.c - small jobs that stand in the queue of a device's executor: they are done together, with few waits, and nobody can
 * tell, by the CUDA driver that is none and by PoCL. Who depends on another sees its results, who is wrong has an error of
 * his own, who is cancelled is left out; whatever call fails, each job ends with its result or an error. */
#include "cuda_run.h"
#include <errno.h>
#include <stdlib.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(add_to, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
YOKE_KERNEL(copy_of, ((in, float, x), (out, float, y)), y[i] = x[i];)
YOKE_KERNEL(pairs, ((in, float, x, 2 * n), (out, float, y, n)), y[i] = x[2 * i] + x[2 * i + 1];)

enum { JOBS = 1000, N = 64 };
static float x[JOBS][N], y[JOBS][N], before[JOBS][N];
static yoke_future *futures[JOBS];
static fake_cuda *the_fake;

/* ---- On the driver that is none ---- */

static const size_t add_sizes[] = {8, 8, 8, 4, 8, 8, 0}, copy_sizes[] = {8, 8, 8, 8, 8, 0};
static float deadly = -1; /* a kernel with this value dies */

static void add_them(const fake_launch *l)
{
    long from = *(long *)l->args[0], to = *(long *)l->args[1];
    float a = *(float *)l->args[3], *p = *(float **)l->args[4], *q = *(float **)l->args[5];
    if (a == deadly) {
        the_fake->fault(700);
        return;
    }
    for (long i = from; i < to; i++)
        q[i] += a * p[i];
}

static void copy_them(const fake_launch *l)
{
    long from = *(long *)l->args[0], to = *(long *)l->args[1];
    memcpy(*(float **)l->args[4] + from, *(float **)l->args[3] + from, (size_t)(to - from) * sizeof(float));
}

static void pair_them(const fake_launch *l)
{
    long from = *(long *)l->args[0], to = *(long *)l->args[1];
    for (long i = from; i < to; i++)
        (*(float **)l->args[4])[i] = (*(float **)l->args[3])[2 * i] + (*(float **)l->args[3])[2 * i + 1];
}

static void use_it(void)
{
    the_fake = fake_use("fake-cuda");
    add_kernels(the_fake);
    the_fake->kernel("kernel_add_to", add_them, add_sizes);
    the_fake->kernel("kernel_copy_of", copy_them, copy_sizes);
    the_fake->kernel("kernel_pairs", pair_them, copy_sizes);
}

/* ---- A queue that is full before it is worked on ---- */

static atomic_bool gate;

/* Not by yoke's own waits, which lend the worker's place to another. */
YOKE_TASK(void, stand_still, (int, unused))
{
    while (!atomic_load(&gate))
        usleep(100);
}

static yoke_future *hold_up(yoke_executor *ex)
{
    atomic_store(&gate, false);
    return yoke_submit(ex, stand_still, 0);
}

static void let_go(yoke_future *f)
{
    atomic_store(&gate, true);
    CHECK_INT(yoke_wait(f), 0);
    yoke_release(f);
}

static void fill_arrays(void)
{
    for (int j = 0; j < JOBS; j++)
        for (int i = 0; i < N; i++) {
            x[j][i] = (float)(j + i);
            y[j][i] = before[j][i] = (float)(i - j);
        }
}

static bool is_done(int j, float a)
{
    for (int i = 0; i < N; i++)
        if (y[j][i] != before[j][i] + a * x[j][i])
            return false;
    return true;
}

static bool is_untouched(int j)
{
    return memcmp(y[j], before[j], sizeof y[j]) == 0;
}

static yoke_executor *open_good(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    CHECK_STR(yoke_executor_error(ex), "");
    return ex;
}

static int end_of(yoke_future *f)
{
    int err = f ? yoke_wait(f) : -ENOMEM;
    if (err < 0 && f)
        CHECK_HAS(yoke_error(f), "add_to: ");
    yoke_release(f);
    return err;
}

static void submit_all(yoke_executor *ex, int jobs)
{
    for (int j = 0; j < jobs; j++)
        futures[j] = yoke_launch(ex, add_to, N, (float)(j % 5 + 1), x[j], y[j]);
}

static void check_thousand(yoke_executor *ex)
{
    fill_arrays();
    yoke_future *held = hold_up(ex);
    submit_all(ex, JOBS);
    let_go(held);
    for (int j = 0; j < JOBS; j++) {
        CHECK_INT(end_of(futures[j]), 0);
        CHECK(is_done(j, (float)(j % 5 + 1)));
    }
}

enum { MANY_BATCHES = 40 };

TEST(a_thousand_jobs_are_few_waits)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    check_thousand(ex); /* builds */
    the_fake->fail(NULL, 0, 0);
    check_thousand(ex);
    unsigned waits = the_fake->calls("cuStreamQuery") + the_fake->calls("cuEventQuery");
    CHECK_INT(the_fake->calls("cuLaunchKernel"), JOBS);
    /* Four batches, and some more when a worker that waits lends its place to one that finds few jobs yet. */
    CHECK(the_fake->calls("cuStreamCreate") <= MANY_BATCHES);
    CHECK(the_fake->calls("cuMemcpyHtoDAsync") <= MANY_BATCHES && the_fake->calls("cuMemcpyDtoHAsync") <= MANY_BATCHES);
    CHECK(the_fake->calls("cuEventSynchronize") <= 2 * MANY_BATCHES);
    if (waits == 0)
        test_fail(__FILE__, __LINE__, "nobody waited");
    yoke_close(ex);
    check_nothing_left(the_fake);
}

TEST(so_are_they_on_opencl)
{
    if (*yoke_driver_error("opencl"))
        SKIP("%s", yoke_driver_error("opencl"));
    yoke_executor *ex = open_good("opencl:0");
    check_thousand(ex);
    check_thousand(ex);
    yoke_close(ex);
}

/* ---- Who depends on whom ---- */

/* In whatever order: all add to one array; a third of them writes what two others read. */
static void check_dependent(yoke_executor *ex)
{
    enum { MANY = 100 };
    fill_arrays();
    yoke_future *held = hold_up(ex);
    for (int j = 0; j < MANY; j++)
        futures[j] = yoke_launch(ex, add_to, N, 1, x[0], y[0]);
    for (int j = MANY; j < 2 * MANY; j++)
        futures[j] = yoke_launch(ex, add_to, 4, 1, x[j], &x[j - MANY == 0 ? 900 : j - 1][8]);
    for (int j = 2 * MANY; j < 3 * MANY; j++)
        futures[j] = yoke_launch(ex, add_to, N - 8, 1, x[500], &y[500][j % 3 * 4]);
    let_go(held);
    for (int j = 0; j < 3 * MANY; j++)
        CHECK_INT(end_of(futures[j]), 0);
    for (int i = 0; i < N; i++)
        CHECK(y[0][i] == before[0][i] + MANY * x[0][i]);
    for (int j = MANY; j < 2 * MANY - 1; j++)
        for (int i = 0; i < 4; i++)
            CHECK(x[j][8 + i] == (float)(j + 8 + i) + x[j + 1][i]);
    float right[N];
    memcpy(right, before[500], sizeof right);
    for (int j = 2 * MANY; j < 3 * MANY; j++)
        for (int i = 0; i < N - 8; i++)
            right[j % 3 * 4 + i] += x[500][i];
    CHECK(memcmp(right, y[500], sizeof right) == 0);
}

/* Where a wait lends the worker's place, as CUDA's does, others run meanwhile, batches or not. */
TEST(who_depends_on_another_sees_its_results)
{
    if (*yoke_driver_error("opencl"))
        SKIP("%s", yoke_driver_error("opencl"));
    yoke_executor *ex = open_good("opencl:0");
    check_dependent(ex);
    yoke_close(ex);
}

/* Kernels in turns, an array that is longer than n, nothing to do, and what is too large. */
TEST(jobs_of_all_kinds_stand_in_one_queue)
{
    enum { LARGE = 40000 };
    use_it();
    yoke_executor *ex = open_good("cuda");
    float *large = calloc(LARGE, sizeof *large), *there = calloc(LARGE, sizeof *there);
    large[LARGE - 1] = 7;
    fill_arrays();
    yoke_future *held = hold_up(ex);
    for (int j = 0; j < 100; j++)
        futures[j] = j % 10 == 3   ? yoke_launch(ex, copy_of, N, x[j], y[j])
                     : j % 10 == 5 ? yoke_launch(ex, pairs, N / 2, x[j], y[j])
                     : j % 10 == 7 ? yoke_launch(ex, add_to, 0, 1, x[j], y[j])
                     : j % 10 == 8 ? yoke_launch(ex, copy_of, LARGE, large, there)
                                   : yoke_launch(ex, add_to, N, 2, x[j], y[j]);
    let_go(held);
    for (int j = 0; j < 100; j++) {
        CHECK_INT(end_of(futures[j]), 0);
        if (j % 10 == 3)
            CHECK(memcmp(x[j], y[j], sizeof y[j]) == 0);
        else if (j % 10 == 5)
            CHECK(y[j][0] == 2 * (float)j + 1 && y[j][N / 2] == before[j][N / 2]);
        else if (j % 10 >= 7 && j % 10 <= 8)
            CHECK(is_untouched(j));
        else
            CHECK(is_done(j, 2));
    }
    CHECK(there[LARGE - 1] == 7);
    free(large);
    free(there);
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* ---- Errors, cancel, deadlines ---- */

/* By the task's own call, where y may have another length than the kernel says. */
static yoke_future *submit_task(yoke_executor *ex, int j, size_t length, const yoke_opts *opts)
{
    _Alignas(16) char args[256] = {0};
    const yoke_task *t = yoke_kernel_add_to.task;
    CHECK(t->args_size <= sizeof args && t->nparams == 3);
    memcpy(args + t->params[0].offset, &(float){1}, sizeof(float));
    memcpy(args + t->params[1].offset, &(yoke_in_f32){x[j], 1, {N}, {1}}, sizeof(yoke_in_f32));
    memcpy(args + t->params[2].offset, &(yoke_inout_f32){y[j], 1, {length}, {1}}, sizeof(yoke_inout_f32));
    return yoke_raw_submit(ex, t, args, opts);
}

TEST(an_error_is_that_of_its_own_job)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    fill_arrays();
    yoke_future *held = hold_up(ex);
    for (int j = 0; j < 100; j++)
        futures[j] = j % 10 == 4 ? submit_task(ex, j, N / 2, NULL) : yoke_launch(ex, add_to, N, 1, x[j], y[j]);
    let_go(held);
    for (int j = 0; j < 100; j++) {
        CHECK_INT(end_of(futures[j]), j % 10 == 4 ? -EINVAL : 0);
        CHECK(j % 10 == 4 ? is_untouched(j) : is_done(j, 1));
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

TEST(who_is_cancelled_is_left_out)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    fill_arrays();
    yoke_future *held = hold_up(ex);
    submit_all(ex, 200);
    for (int j = 0; j < 200; j += 3)
        yoke_cancel(futures[j]);
    let_go(held);
    for (int j = 0; j < 200; j++) {
        CHECK_INT(end_of(futures[j]), j % 3 ? 0 : -ECANCELED);
        CHECK(j % 3 ? is_done(j, (float)(j % 5 + 1)) : is_untouched(j));
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

static yoke_future *with_deadline(yoke_executor *ex, int j, int64_t deadline)
{
    return submit_task(ex, j, N, &(yoke_opts){.deadline = deadline});
}

TEST(deadlines_are_kept)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    fill_arrays();
    yoke_future *held = hold_up(ex);
    int64_t now = yoke_now();
    for (int j = 0; j < 60; j++)
        futures[j] = j % 3 == 0   ? with_deadline(ex, j, now + 20000000) /* 20 ms: it passes in the queue */
                     : j % 3 == 1 ? with_deadline(ex, j, now + 100000000000)
                                  : yoke_launch(ex, add_to, N, 1, x[j], y[j]);
    for (int j = 0; j < 60; j += 3)
        CHECK_INT(end_of(futures[j]), -ETIMEDOUT);
    let_go(held);
    for (int j = 0; j < 60; j++) {
        if (j % 3 != 0)
            CHECK_INT(end_of(futures[j]), 0);
        CHECK(j % 3 ? is_done(j, 1) : is_untouched(j));
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

TEST(a_batch_that_fails_is_done_one_by_one)
{
    use_it();
    for (int k = 1; k < 50; k += 6) {
        yoke_executor *ex = open_good("cuda");
        fill_arrays();
        yoke_future *held = hold_up(ex);
        submit_all(ex, 40);
        the_fake->fail("cuLaunchKernel", k, 701);
        let_go(held);
        for (int j = 0; j < 40; j++) {
            CHECK_INT(end_of(futures[j]), 0);
            CHECK(is_done(j, (float)(j % 5 + 1)));
        }
        CHECK(k > 40 || the_fake->calls("cuLaunchKernel") == (unsigned)k + 40);
        yoke_close(ex);
        check_nothing_left(the_fake);
    }
}

/* The executor has been built and nothing else is pinned: the batch has memory of the device then, and none of the host. */
TEST(a_batch_without_pinned_memory_leaves_none_of_the_device)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    for (int round = 0; round < 6; round++) {
        fill_arrays();
        yoke_future *held = hold_up(ex);
        submit_all(ex, 40);
        the_fake->fail("cuMemHostAlloc", round % 2 == 0, 2);
        let_go(held);
        for (int j = 0; j < 40; j++) {
            CHECK_INT(end_of(futures[j]), 0);
            CHECK(is_done(j, (float)(j % 5 + 1)));
        }
        yoke_device_memory stats = {0};
        CHECK_INT(yoke_device_memory_stats(yoke_executor_device(ex), &stats), 0);
        CHECK_INT(stats.used, 0);
        CHECK(round > 0 || *the_fake->failed());
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* Where the twentieth kills the device those before it may have been done, one by one; none is said to be that is not. */
TEST(a_device_that_is_lost_fails_all)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    fill_arrays();
    deadly = 99;
    yoke_future *held = hold_up(ex);
    for (int j = 0; j < 40; j++)
        futures[j] = yoke_launch(ex, add_to, N, j == 20 ? 99 : 1, x[j], y[j]);
    let_go(held);
    for (int j = 0; j < 40; j++) {
        CHECK_INT(end_of(futures[j]), -ENODEV);
        CHECK(is_untouched(j));
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* A retry after a launch that failed, a time limit that passes, and jobs with one among those that are done together. */
TEST(options_of_a_launch_are_kept)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    fill_arrays();
    CHECK_INT(end_of(yoke_launch(ex, add_to, N, 0, x[0], y[0])), 0); /* builds */
    the_fake->fail("cuLaunchKernel", 1, 701);
    CHECK(end_of(yoke_launch(ex, add_to, N, 1, x[0], y[0])) < 0);
    CHECK(is_untouched(0));
    the_fake->fail("cuLaunchKernel", 1, 701);
    CHECK_INT(end_of(yoke_opt_launch(ex, (retries = 1, backoff = YOKE_MS), add_to, N, 1, x[0], y[0])), 0);
    CHECK_STR(the_fake->failed(), "cuLaunchKernel");
    CHECK(is_done(0, 1));
    the_fake->fail(NULL, 0, 0);
    the_fake->hold(true);
    CHECK_INT(end_of(yoke_opt_launch(ex, (timeout = 50 * YOKE_MS), add_to, N, 1, x[1], y[1])), -ETIMEDOUT);
    the_fake->hold(false);
    yoke_future *held = hold_up(ex);
    for (int j = 2; j < 42; j++)
        futures[j] = yoke_opt_launch(ex, (timeout = j % 2 ? 600 * YOKE_S : 0, priority = j % 3 - 1), add_to, N, 2, x[j], y[j]);
    let_go(held);
    for (int j = 2; j < 42; j++) {
        CHECK_INT(end_of(futures[j]), 0);
        CHECK(is_done(j, 2));
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* The k-th call fails: some jobs may, and say so; the others are done. False: there are not so many calls. */
static bool try_call(int k, int result)
{
    the_fake->fail(NULL, k, result);
    yoke_executor *ex = yoke_open("cuda");
    if (yoke_executor_status(ex) == 0) {
        fill_arrays();
        yoke_future *held = hold_up(ex);
        submit_all(ex, 12);
        let_go(held);
        for (int j = 0; j < 12; j++) {
            int err = end_of(futures[j]);
            CHECK(err < 0 || is_done(j, (float)(j % 5 + 1)));
            CHECK(err == 0 || *the_fake->failed());
        }
    }
    bool reached = *the_fake->failed();
    yoke_close(ex);
    check_nothing_left(the_fake);
    return reached || *the_fake->failed();
}

static void every_call_fails(int result)
{
    use_it();
    int k = 1;
    while (try_call(k, result))
        k++;
    CHECK(k > 40);
}

TEST_LIMIT(every_call_may_fail, 300)
{
    every_call_fails(1);
}

TEST_LIMIT(every_call_may_want_memory, 300)
{
    every_call_fails(2);
}

TEST_LIMIT(every_call_may_lose_the_device, 300)
{
    every_call_fails(700);
}

TEST_LIMIT(the_host_may_run_out_of_memory, 300)
{
    static const char *const calls[] = {"malloc", "calloc", "posix_memalign"};
    use_it();
    yoke_executor *ex = open_good("cuda");
    check_thousand(ex);
    for (size_t c = 0; c < YK_COUNT_OF(calls); c++)
        for (int n = 1;; n++) {
            fill_arrays();
            yoke_future *held = hold_up(ex);
            submit_all(ex, 12);
            yk_sys_fail(calls[c], n, ENOMEM);
            let_go(held);
            for (int j = 0; j < 12; j++) {
                int err = end_of(futures[j]);
                CHECK(err == 0 ? is_done(j, (float)(j % 5 + 1)) : err == -ENOMEM);
            }
            if (yk_sys_fail(calls[c], 0, 0) < n)
                break;
        }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* Many submit at a time, and wait for each other's. */
enum { THREADS = 4 };

static void *submit_some(void *arg)
{
    yoke_executor *ex = arg;
    float own_x[20][N], own_y[20][N];
    for (int round = 0; round < 20; round++) {
        yoke_future *own[20];
        for (int j = 0; j < 20; j++) {
            for (int i = 0; i < N; i++) {
                own_x[j][i] = (float)(i + round);
                own_y[j][i] = (float)j;
            }
            own[j] = yoke_launch(ex, add_to, N, 3, own_x[j], own_y[j]);
        }
        for (int j = 0; j < 20; j++) {
            CHECK_INT(end_of(own[j]), 0);
            for (int i = 0; i < N; i++)
                CHECK(own_y[j][i] == (float)j + 3 * (float)(i + round));
        }
    }
    return NULL;
}

TEST(many_submit_at_a_time)
{
    use_it();
    pthread_t threads[THREADS];
    yoke_executor *ex = open_good("cuda");
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, submit_some, ex), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* Closed with a full queue: what has not begun is cancelled. */
TEST(a_full_queue_is_closed)
{
    use_it();
    yoke_executor *ex = open_good("cuda");
    fill_arrays();
    yoke_future *held = hold_up(ex);
    submit_all(ex, 300);
    atomic_store(&gate, true);
    yoke_close_now(ex);
    (void)held;
    for (int j = 0; j < 300; j++)
        CHECK(is_untouched(j) || is_done(j, (float)(j % 5 + 1)));
    check_nothing_left(the_fake);
}
