/* executor_process.c - devices that live in worker processes: `processes:cuda:0`, over the CUDA driver that is none. A device
 * that is lost, a driver that crashes and one that hangs cost the job that met them and a worker; a fresh one goes on, tries
 * the job again if it may be, and the program's own process never opens the driver. */
#include "cuda_run.h"
#include "gpu/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(add_to, ((val, int32_t, a), (in, int32_t, x), (inout, int32_t, y)), y[i] += a * x[i];)

enum { N = 4000, PIECE = 2048, LAUNCHES = 3 }; /* of a job */
static fake_cuda *the_fake;

/* ---- A kernel that goes wrong ---- */

enum how { LOSE, CRASH, HANG };

/* What all processes see. */
static struct control {
    _Atomic int countdown; /* the launch after which it is 0 goes wrong */
    _Atomic int how;
    _Atomic int stop;      /* HANG ends */
    _Atomic int pid;       /* where it went wrong */
    _Atomic int opened;    /* by tasks */
} *control;

static int32_t x[N];
static const size_t add_sizes[] = {8, 8, 8, 4, 8, 8, 0}; /* begin, end, n, and what was named */

static void go_wrong(void)
{
    const int how = control->how;
    control->pid = getpid();
    if (how == LOSE)
        the_fake->fault(700);
    else if (how == CRASH)
        kill(getpid(), SIGSEGV);
    while (how == HANG && !control->stop)
        usleep(1000);
}

static void add_them(const fake_launch *l)
{
    if (--control->countdown == 0)
        go_wrong();
    long n = *(long *)l->args[1] - *(long *)l->args[0];
    int32_t a = *(int32_t *)l->args[3];
    const int32_t *from = *(const int32_t **)l->args[4];
    int32_t *to = *(int32_t **)l->args[5];
    for (long i = 0; i < n; i++) /* of a lost device any bytes may lie there */
        to[i] = (int32_t)((uint32_t)to[i] + (uint32_t)a * (uint32_t)from[i]);
}

/* The driver, unopened. Pieces of PIECE elements of two arrays. */
static void prepare(void)
{
    the_fake = fake_use("fake-cuda");
    add_kernels(the_fake);
    the_fake->kernel("kernel_add_to", add_them, add_sizes);
    yk_piece_bytes = PIECE * 2 * sizeof(int32_t);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(control != MAP_FAILED);
    for (int i = 0; i < N; i++)
        x[i] = i;
}

static void go_wrong_in(enum how how, int launches)
{
    control->how = how;
    control->stop = 0;
    control->pid = 0;
    control->countdown = launches;
}

/* Workers end as they are, and a driver's threads are nobody's to join. */
#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0:atexit_sleep_ms=0";
}
#endif

/* ---- Tasks ---- */

YOKE_TASK(int, process)
{
    return getpid();
}

YOKE_TASK(int, opened_here)
{
    return (int)the_fake->calls("cuDevicePrimaryCtxRetain");
}

YOKE_TASK(const char *, whose)
{
    yoke_device *dev = yoke_current_device();
    return dev ? yoke_device_about(dev)->uri : "none";
}

/* On memory of the device, by a kernel launched from within. */
YOKE_TASK(long, three_times_sum, (yoke_in_i32, v))
{
    yoke_device *dev = yoke_current_device();
    yoke_stream *s = yoke_stream_open(dev);
    size_t n = v.shape[0], size = n * sizeof *v.ptr;
    int32_t *there = yoke_stream_alloc(s, size), *back = yoke_alloc(size), zero = 0;
    if (!s || !there || !back)
        return yoke_fail(EIO, "%s", yoke_device_error(dev));
    yoke_stream_fill(s, there, &zero, sizeof zero, n);
    yoke_stream_wait(s);
    yoke_future *f = yoke_launch(NULL, add_to, (long)n, 3, v.ptr, there);
    int err = yoke_wait(f);
    yoke_release(f);
    yoke_stream_copy(s, back, there, size);
    yoke_stream_free(s, there);
    if (yoke_stream_close(s) < 0 || err < 0)
        return yoke_fail(EIO, "%s", yoke_device_error(dev));
    long sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += back[i];
    return sum;
}

/* A device that is not the executor's, as a task of any executor may open it. */
YOKE_TASK(int, loses_one_of_its_own)
{
    yoke_device *dev = yoke_device_open("cuda:0");
    yoke_stream *s = yoke_stream_open(dev);
    int32_t *there = yoke_device_alloc(dev, 4000);
    control->how = LOSE;
    control->countdown = 1;
    yoke_enqueue(s, add_to, 100, 3, there, there + 200);
    int err = yoke_stream_wait(s);
    yoke_stream_close(s);
    yoke_device_close(dev);
    return err == -ENODEV ? getpid() : yoke_fail(EPROTO, "it is still there");
}

static int process_of(yoke_executor *ex)
{
    yoke_future *f = yoke_submit(ex, process);
    int pid = yoke_await(f, int);
    yoke_release(f);
    return pid;
}

static int opened_by(yoke_executor *ex)
{
    yoke_future *f = yoke_submit(ex, opened_here);
    int count = yoke_await(f, int);
    yoke_release(f);
    return count;
}

/* ---- Jobs ---- */

static char text[600];

static yoke_executor *open_good(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    CHECK_STR(yoke_executor_error(ex), "");
    CHECK_INT(yoke_executor_status(ex), 0);
    return ex;
}

static yoke_future *add_with(yoke_executor *ex, int32_t *y, yoke_opts opts)
{
    struct {
        _Alignas(16) int32_t a;
        _Alignas(16) yoke_in_i32 x;
        _Alignas(16) yoke_inout_i32 y;
    } args = {3, yoke_1d(yoke_in_i32, x, N), yoke_1d(yoke_inout_i32, y, N)};
    for (int i = 0; i < N; i++)
        y[i] = -i;
    return yoke_raw_submit(ex, yoke_find("add_to"), &args, &opts);
}

/* How the job ends; its y is as it should be, or untouched if it failed: what it had written did not travel back. */
static int end_of(yoke_future *f, const int32_t *y)
{
    int err = yoke_wait(f);
    snprintf(text, sizeof text, "%s", err < 0 ? yoke_error(f) : "");
    for (int i = 0; i < N; i++)
        if (y[i] != (err < 0 ? -i : 2 * i))
            test_fail(__FILE__, __LINE__, "%d, %s: element %d is %d", err, text, i, y[i]);
    yoke_release(f);
    return err;
}

static int add_once(yoke_executor *ex, yoke_opts opts)
{
    static int32_t y[N];
    return end_of(add_with(ex, y, opts), y);
}

static void check_good(int err)
{
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%d: %s", err, text);
}

static void close_all(yoke_executor *ex)
{
    yoke_close(ex);
    CHECK_INT(the_fake->calls(NULL), 0); /* in this process */
    CHECK_INT(the_fake->live().contexts, 0);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

#define NO_OPTIONS ((yoke_opts){.retries = 0})

/* ---- It works ---- */

TEST(kernels_run_in_another_process)
{
    prepare();
    yoke_executor *ex = open_good("processes:cuda:0");
    CHECK_INT(yoke_executor_width(ex), 1);
    CHECK(yoke_executor_device(ex) == NULL); /* it is none of this process */
    for (int i = 0; i < 10; i++)
        check_good(add_once(ex, NO_OPTIONS));
    CHECK_INT(control->countdown, -10 * LAUNCHES);
    yoke_future *f = yoke_submit(ex, whose), *g = yoke_submit(ex, three_times_sum, yoke_1d(yoke_in_i32, x, N));
    CHECK_STR(yoke_await(f, const char *), "cuda:0");
    CHECK_INT(yoke_await(g, long), 3L * N * (N - 1) / 2);
    CHECK_INT(opened_by(ex), 1);
    close_all(ex);
}

TEST(the_device_is_opened_when_a_task_first_asks)
{
    prepare();
    yoke_executor *ex = open_good("processes:cuda:0");
    int pid = process_of(ex);
    CHECK(pid != getpid());
    CHECK_INT(opened_by(ex), 0);
    yoke_future *f = yoke_submit(ex, whose);
    CHECK_STR(yoke_await(f, const char *), "cuda:0");
    CHECK_INT(opened_by(ex), 1);
    check_good(add_once(ex, NO_OPTIONS));
    CHECK_INT(opened_by(ex), 1);
    CHECK_INT(process_of(ex), pid);
    close_all(ex);
}

TEST(each_worker_has_its_own)
{
    enum { JOBS = 20 };
    static int32_t many[JOBS][N];
    yoke_future *jobs[JOBS];
    prepare();
    yoke_executor *ex = open_good("processes:3:cuda:0,cpu");
    CHECK_INT(yoke_executor_width(ex), 3);
    for (int j = 0; j < JOBS; j++)
        jobs[j] = add_with(ex, many[j], NO_OPTIONS);
    for (int j = 0; j < JOBS; j++)
        check_good(end_of(jobs[j], many[j]));
    close_all(ex);
}

TEST(the_cpu_as_a_device)
{
    prepare();
    static const char *const uris[] = {"processes:cpu", "processes:2:cpu:2"};
    for (size_t u = 0; u < YK_COUNT_OF(uris); u++) {
        yoke_executor *ex = open_good(uris[u]);
        for (int i = 0; i < 3; i++)
            check_good(add_once(ex, NO_OPTIONS));
        yoke_future *f = yoke_submit(ex, whose);
        CHECK_STR(yoke_await(f, const char *), u ? "cpu:2" : "cpu");
        yoke_release(f);
        close_all(ex);
    }
    CHECK_INT(control->countdown, 0); /* nobody asked the driver */
}

/* ---- A lost device ---- */

/* Six jobs; the k-th launch of all loses the device. Returns how many of them failed. */
static int lose_one(yoke_executor *ex, int k, yoke_opts opts)
{
    enum { JOBS = 6 };
    static int32_t many[JOBS][N];
    yoke_future *jobs[JOBS];
    int bad = 0;
    go_wrong_in(LOSE, k);
    for (int j = 0; j < JOBS; j++)
        jobs[j] = add_with(ex, many[j], opts);
    for (int j = 0; j < JOBS; j++) {
        int err = end_of(jobs[j], many[j]);
        if (err == 0)
            continue;
        bad++;
        CHECK_INT(err, -ENODEV);
        CHECK_HAS(text, "add_to: cuda:0: ");
        CHECK_HAS(text, "CUDA_ERROR_ILLEGAL_ADDRESS, 700");
        CHECK_HAS(text, "executor_process.c:");
    }
    CHECK(control->pid != 0);
    return bad;
}

TEST(a_lost_device_costs_its_job)
{
    prepare();
    yoke_executor *ex = open_good("processes:1:cuda:0");
    int before = process_of(ex);
    for (int k = 1; k <= 6 * LAUNCHES; k++) {
        CHECK_INT(lose_one(ex, k, NO_OPTIONS), 1);
        CHECK_INT(control->pid, before);
        check_good(add_once(ex, NO_OPTIONS));
        int after = process_of(ex);
        CHECK(after != before);
        CHECK(kill(before, 0) == -1 && errno == ESRCH);
        CHECK_INT(opened_by(ex), 1);
        before = after;
    }
    close_all(ex);
}

TEST(a_lost_device_costs_nothing_with_retries)
{
    prepare();
    yoke_executor *ex = open_good("processes:cuda:0");
    for (int k = 1; k <= 6 * LAUNCHES; k++) {
        CHECK_INT(lose_one(ex, k, (yoke_opts){.retries = 1, .backoff = YOKE_MS}), 0);
        int pid = control->pid;
        CHECK(process_of(ex) != pid);
    }
    close_all(ex);
}

/* Each worker loses its device at its fifth launch, so that every second job has to be tried again. */
TEST(devices_that_are_lost_again_and_again)
{
    prepare();
    the_fake->fail("cuLaunchKernel", 5, 719);
    yoke_executor *ex = open_good("processes:2:cuda:0");
    for (int i = 0; i < 40; i++)
        check_good(add_once(ex, (yoke_opts){.retries = 4, .backoff = YOKE_MS}));
    close_all(ex);
}

/* The k-th call of the driver loses the device, in each worker: jobs end rightly, or with the reason. */
TEST(a_device_may_be_lost_at_every_call)
{
    int bad = 0, good = 0;
    prepare();
    for (int k = 1; k < 120; k += 2) {
        the_fake->fail(NULL, k, 700);
        yoke_executor *ex = open_good("processes:cuda:0");
        for (int i = 0; i < 3; i++) {
            int err = add_once(ex, NO_OPTIONS);
            bad += err < 0;
            good += err == 0;
            if (err < 0)
                CHECK_HAS(text, "add_to: cuda:");
        }
        close_all(ex);
    }
    CHECK(bad > 40 && good > 20);
}

TEST(the_others_go_on)
{
    static int32_t hanging[N];
    prepare();
    yoke_executor *ex = open_good("processes:2:cuda:0");
    check_good(add_once(ex, NO_OPTIONS));
    go_wrong_in(HANG, 1);
    yoke_future *f = add_with(ex, hanging, NO_OPTIONS);
    while (control->pid == 0)
        usleep(1000);
    while (control->countdown > 1 - LAUNCHES) /* its others are on streams of their own */
        usleep(1000);
    int pid = control->pid;
    control->how = LOSE;
    control->countdown = 2;
    CHECK_INT(add_once(ex, NO_OPTIONS), -ENODEV);
    CHECK(control->pid != pid);
    check_good(add_once(ex, NO_OPTIONS));
    CHECK(!yoke_done(f));
    control->stop = 1;
    check_good(end_of(f, hanging));
    CHECK(kill(pid, 0) == 0);
    close_all(ex);
}

/* On plain `processes`: what a task has opened itself. A child of a process that lost its own has lost none. */
TEST(a_device_of_the_tasks_own)
{
    prepare();
    yoke_executor *ex = open_good("processes:1");
    int before = process_of(ex);
    yoke_future *f = yoke_submit(ex, loses_one_of_its_own), *g = yoke_submit(ex, whose);
    CHECK_INT(yoke_await(f, int), before);
    CHECK_STR(yoke_await(g, const char *), "none");
    int after = process_of(ex);
    CHECK(after != before);
    CHECK_INT(process_of(ex), after);
    close_all(ex);
    CHECK_INT(loses_one_of_its_own(), getpid());
    ex = open_good("processes:1");
    after = process_of(ex);
    for (int i = 0; i < 10; i++)
        CHECK_INT(process_of(ex), after);
    yoke_close(ex);
}

/* ---- Crashes and delays ---- */

TEST(a_driver_that_crashes_costs_its_job)
{
    prepare();
    yoke_executor *ex = open_good("processes:cuda:0");
    for (int k = 1; k <= LAUNCHES; k++) {
        go_wrong_in(CRASH, k);
        CHECK_INT(add_once(ex, NO_OPTIONS), -EOWNERDEAD);
        CHECK_HAS(text, "add_to: worker (pid ");
        CHECK_HAS(text, "SIGSEGV");
        check_good(add_once(ex, NO_OPTIONS));
        go_wrong_in(CRASH, k);
        check_good(add_once(ex, (yoke_opts){.retries = 1}));
    }
    close_all(ex);
}

TEST(a_driver_that_hangs_costs_its_job)
{
    prepare();
    yoke_executor *ex = open_good("processes:cuda:0");
    check_good(add_once(ex, NO_OPTIONS));
    go_wrong_in(HANG, 2);
    CHECK_INT(add_once(ex, (yoke_opts){.timeout = 100 * YOKE_MS}), -ETIMEDOUT);
    CHECK_HAS(text, "add_to: timed out after 0.1 s");
    int pid = control->pid;
    check_good(add_once(ex, NO_OPTIONS));
    CHECK(process_of(ex) != pid);
    close_all(ex);
}

TEST(workers_are_killed_at_a_job)
{
    static int32_t y[N];
    prepare();
    yoke_executor *ex = open_good("processes:cuda:0");
    for (int i = 0; i < 6; i++) {
        go_wrong_in(HANG, 1 + i % LAUNCHES);
        yoke_future *f = add_with(ex, y, (yoke_opts){.retries = (uint32_t)i % 2});
        while (control->pid == 0)
            usleep(1000);
        CHECK_INT(kill(control->pid, SIGKILL), 0);
        int err = end_of(f, y);
        CHECK_INT(err, i % 2 ? 0 : -EOWNERDEAD);
        if (err < 0)
            CHECK_HAS(text, "killed by signal 9");
        check_good(add_once(ex, NO_OPTIONS));
    }
    close_all(ex);
}

TEST(closed_at_work)
{
    static int32_t y[N];
    prepare();
    for (int i = 0; i < 3; i++) {
        yoke_executor *ex = open_good("processes:cuda:0");
        go_wrong_in(HANG, 1 + i);
        add_with(ex, y, NO_OPTIONS);
        while (control->pid == 0)
            usleep(1000);
        yoke_close_now(ex);
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
        CHECK(kill(control->pid, 0) == -1);
    }
}

/* What has been done of it does not pass for all of it. */
TEST(a_cancelled_kernel_has_no_result)
{
    static int32_t y[N];
    prepare();
    yk_piece_bytes /= 2; /* more pieces than lanes: the fourth waits for the first */
    yoke_executor *ex = open_good("processes:cuda:0");
    go_wrong_in(HANG, 1);
    yoke_future *f = add_with(ex, y, NO_OPTIONS);
    while (control->pid == 0)
        usleep(1000);
    CHECK_INT(yoke_cancel(f), -EINPROGRESS);
    control->stop = 1;
    CHECK_INT(end_of(f, y), -ECANCELED);
    CHECK_HAS(text, "add_to: cancelled");
    check_good(add_once(ex, NO_OPTIONS));
    close_all(ex);
}

/* ---- No device ---- */

TEST(without_a_driver_only_jobs_that_ask_fail)
{
    prepare();
    setenv("YOKE_CUDA_DRIVER", "/nonexistent/libcuda.so", 1);
    yoke_executor *ex = open_good("processes:cuda:0");
    int pid = process_of(ex), later;
    for (int i = 0; i < 5; i++) {
        CHECK_INT(add_once(ex, NO_OPTIONS), -ENODEV);
        CHECK_HAS(text, "add_to: cuda: no driver: /nonexistent/libcuda.so");
    }
    CHECK_INT(process_of(ex), pid);
    usleep(1100000); /* a driver is tried once in a process, and there may be one by now: a fresh worker looks */
    CHECK_INT(add_once(ex, NO_OPTIONS), -ENODEV);
    later = process_of(ex);
    CHECK(later != pid);
    CHECK_INT(add_once(ex, NO_OPTIONS), -ENODEV);
    CHECK_INT(process_of(ex), later);
    close_all(ex);
}

TEST(a_device_that_does_not_open_is_tried_again)
{
    prepare();
    the_fake->fail("cuDevicePrimaryCtxRetain", 1, 2);
    yoke_executor *ex = open_good("processes:cuda:0");
    int pid = process_of(ex);
    CHECK_INT(add_once(ex, NO_OPTIONS), -ENOMEM);
    CHECK_HAS(text, "add_to: cuda: opening device 0: cuDevicePrimaryCtxRetain");
    check_good(add_once(ex, NO_OPTIONS));
    CHECK_INT(process_of(ex), pid);
    CHECK_INT(add_once(ex, NO_OPTIONS), 0);
    close_all(ex);
}

TEST(names_are_looked_at_before_anything_starts)
{
    static const struct {
        const char *uri;
        int code;
        const char *why;
    } cases[] = {
        {"processes:cdua", -EINVAL, "no kind of device is named \"cdua\", did you mean \"cuda\""},
        {"processes:2:cdua:0", -EINVAL, "no kind of device is named \"cdua\""},
        {"processes:cuda:0,nothing", -EINVAL, "no kind of device is named \"nothing\""},
        {"processes:gpus", -EINVAL, "no kind of device is named \"gpus\""},
        {"processes:gpu:0", -EINVAL, "\"gpu\" is the first GPU there is, without a number"},
        {"processes:2:", -EINVAL, "the name of a device is empty"},
        {"processes:0:cuda", -EINVAL, "bad number of workers \"0\""},
        {"processes:2x:cuda", -EINVAL, "bad number of workers \"2x\""},
        {"processes:-1", -EINVAL, "bad number of workers \"-1\""},
        {"processes:99999999999999999999:cuda", -EINVAL, "bad number of workers"},
    };
    prepare();
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        yoke_executor *ex = yoke_open(cases[i].uri);
        CHECK_INT(yoke_executor_status(ex), cases[i].code);
        CHECK_HAS(yoke_executor_error(ex), cases[i].why);
        yoke_close(ex);
    }
    char uri[300] = "processes:cuda:";
    memset(uri + 15, 'x', sizeof uri - 16);
    yoke_executor *ex = open_good(uri); /* what is wrong with it only the driver knows */
    CHECK_INT(add_once(ex, NO_OPTIONS), -ENOENT);
    CHECK_HAS(text, "add_to: ");
    close_all(ex);
}

/* The driver does not work in children of a process that has used it. */
TEST(too_late_is_said_at_once)
{
    static const char *const uris[] = {"processes:cuda:0", "processes:2:gpu", "processes:cpu,cuda"};
    prepare();
    yoke_device *dev = yoke_device_open("cuda:0");
    CHECK_INT(yoke_device_status(dev), 0);
    yoke_device_close(dev);
    for (size_t i = 0; i < YK_COUNT_OF(uris); i++) {
        yoke_executor *ex = yoke_open(uris[i]);
        CHECK_INT(yoke_executor_status(ex), -ECHILD);
        CHECK_STR(yoke_executor_error(ex),
                  "cuda has been used in this process, and would not work in its children: open this executor before");
        yoke_close(ex);
    }
    yoke_executor *ex = open_good("processes:1:cpu");
    check_good(add_once(ex, NO_OPTIONS));
    yoke_close(ex);
}

/* ---- In one piece ---- */

YOKE_KERNEL(put_at, ((val, int64_t, at), (out, int32_t, y)), y[i + at] = 5;)

static int put_once(yoke_executor *ex, int64_t at)
{
    int32_t y[100] = {0};
    yoke_future *f = yoke_launch(ex, put_at, 100, at, y);
    int err = yoke_wait(f);
    snprintf(text, sizeof text, "%s", err < 0 ? yoke_error(f) : "");
    for (int i = 0; i < 100; i++)
        CHECK_INT(y[i], err < 0 ? 0 : 5);
    yoke_release(f);
    return err;
}

static void lose_it(const fake_launch *l)
{
    the_fake->fault(700);
}

TEST(the_error_names_the_kernels)
{
    prepare();
    the_fake->kernel("kernel_put_at", lose_it, (size_t[]){8, 8, 8, 8, 8, 0});
    yoke_executor *ex = open_good("processes:cuda:0");
    for (int i = 0; i < 3; i++) {
        CHECK_INT(put_once(ex, 7), -ENODEV);
        CHECK_HAS(text, "put_at: cuda:0: ");
        CHECK_HAS(text, "CUDA_ERROR_ILLEGAL_ADDRESS, 700) (last kernels, newest first: put_at) (executor_process.c:");
    }
    close_all(ex);
}

TEST(a_real_device_is_opened_anew)
{
    if (access("/dev/nvidiactl", F_OK) != 0)
        SKIP("no GPU: there is no /dev/nvidiactl");
    yoke_executor *ex = open_good("processes:cuda:0");
    for (int i = 0; i < 3; i++) {
        check_good(put_once(ex, 0));
        int pid = process_of(ex);
        CHECK_INT(put_once(ex, (int64_t)1 << 42), -ENODEV);
        printf("# %s\n", text);
        CHECK_HAS(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
        CHECK_HAS(text, "put_at");
        CHECK(process_of(ex) != pid);
    }
    check_good(put_once(ex, 0));
    yoke_close(ex);
}

/* ---- Nothing is left ---- */

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

TEST(losses_leave_nothing_behind)
{
    prepare();
    int before = descriptors();
    yoke_executor *ex = open_good("processes:cuda:0");
    check_good(add_once(ex, NO_OPTIONS));
    int open = descriptors();
    for (int i = 0; i < 100; i++) {
        go_wrong_in(LOSE, 1 + i % LAUNCHES);
        CHECK_INT(add_once(ex, NO_OPTIONS), -ENODEV);
        CHECK(process_of(ex) != control->pid); /* that one is gone */
    }
    check_good(add_once(ex, NO_OPTIONS));
    CHECK_INT(descriptors(), open);
    close_all(ex);
    CHECK_INT(descriptors(), before);
}

TEST(no_memory_to_open_it)
{
    static const char *const calls[] = {"malloc", "calloc"};
    prepare();
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++) {
        bool through = false;
        for (int n = 1; !through; n++) {
            CHECK(n < 100);
            int before = descriptors();
            yk_sys_fail(calls[i], n, ENOMEM);
            yoke_executor *ex = yoke_open("processes:cuda:0");
            through = yk_sys_fail(calls[i], 0, 0) < n;
            if (yoke_executor_status(ex) < 0) {
                CHECK_INT(yoke_executor_status(ex), -ENOMEM);
                CHECK(*yoke_executor_error(ex));
            }
            close_all(ex);
            CHECK_INT(descriptors(), before);
        }
    }
}
