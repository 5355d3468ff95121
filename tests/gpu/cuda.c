/* cuda.c - the CUDA table over a driver that is none: how it is found and why it is not, devices, streams, events,
 * copies. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include "sync/wait.h"
#include <pthread.h>
#include <sys/wait.h>

#define C yk_gpu_cuda

static void check_count(int expected, const char *text)
{
    yk_error e = {0};
    CHECK_INT(C.count(&e), expected);
    CHECK_HAS(e.text, text);
    CHECK_INT(C.count(NULL), expected); /* it is not tried again */
    yoke_device_info about;
    C.describe(0, &about);
    CHECK_STR(about.uri, "cuda:0");
    CHECK_INT(about.memory, 0);
    yoke_device d = {.driver = &C};
    yk_error again = {0};
    CHECK_INT(C.open(&d, 0, &again), expected);
    CHECK_STR(again.text, e.text);
    CHECK_INT(C.find("H100", &again), expected);
    CHECK_STR(again.text, e.text);
}

TEST(no_driver_is_one_sentence)
{
    setenv("YOKE_CUDA_DRIVER", "/nonexistent/libcuda.so.1", 1);
    check_count(-ENODEV, "cuda: no driver: /nonexistent/libcuda.so.1: cannot open");
}

TEST(the_loader_may_fail)
{
    fake_use("fake-cuda");
    yk_sys_fail("dlopen", 1, ENOMEM);
    check_count(-ENODEV, "cuda: no driver: ");
}

TEST(another_library_is_no_driver)
{
    setenv("YOKE_CUDA_DRIVER", "libm.so.6", 1);
    check_count(-ENODEV, "cuda: libm.so.6 is no CUDA driver, or one before 11.0: it lacks cuDriverGetVersion");
}

TEST(a_file_that_is_no_library_is_no_driver)
{
    setenv("YOKE_CUDA_DRIVER", "/proc/self/status", 1);
    check_count(-ENODEV, "cuda: no driver: /proc/self/status: ");
}

static void check_init(const char *function, int result, const char *text)
{
    pid_t child = fork(); /* it is tried once in a process */
    if (child == 0) {
        fake_use("fake-cuda")->fail(function, 1, result);
        check_count(-ENODEV, text);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

TEST(what_ails_the_driver_is_said)
{
    check_init("cuInit", 34, "stub for linking, not a driver");
    check_init("cuInit", 46, "taken by other processes");
    check_init("cuInit", 100, "the driver finds no device");
    check_init("cuInit", 101, "not valid");
    check_init("cuInit", 802, "nvidia-fabricmanager");
    check_init("cuInit", 803, "of different versions");
    check_init("cuInit", 804, "compatibility driver");
    check_init("cuInit", 999, "installed but does not work");
    check_init("cuInit", 3, "cuda: opening the driver: cuInit: something else (CUDA_ERROR_FAKE, 3)");
    check_init("cuInit", 2, "cuda: opening the driver: cuInit: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)");
    check_init("cuInit", 12345, "cuInit: an error that the driver does not know (unknown error, 12345)");
    check_init("cuDeviceGetCount", 999, "does not work");
    setenv("CUDA_VISIBLE_DEVICES", "none", 1);
    check_init("cuInit", 100, "finds no device (CUDA_VISIBLE_DEVICES is \"none\")");
}

TEST(a_stub_is_no_driver)
{
    fake_use("fake-cuda-stub");
    check_count(-ENODEV, "fake-cuda-stub.so is a toolkit's stub for linking, not a driver");
}

TEST(a_driver_that_does_not_tell_its_version)
{
    fake_cuda *f = fake_use("fake-cuda");
    f->fail("cuDriverGetVersion", 1, 999);
    CHECK_INT(C.count(NULL), 1);
    CHECK_INT(yk_cuda_version(), 0);
}

TEST(no_device_is_no_driver)
{
    fake_use("fake-cuda")->devices = 0;
    check_count(-ENODEV, "finds no device");
}

static void check_run(const char *name)
{
    fake_cuda *f = fake_use(name);
    run r;
    add_kernels(f);
    run_init(&r);
    if (run_through(&r) < 0)
        test_fail(__FILE__, __LINE__, "%s", r.e.text);
    run_close(&r);
    check_nothing_left(f);
}

TEST(everything_works)
{
    check_run("fake-cuda");
}

TEST(with_a_driver_that_tells_no_status)
{
    check_run("fake-cuda-11.4");
}

TEST(with_a_driver_of_symbols_alone)
{
    check_run("fake-cuda-11.0");
}

TEST(a_driver_that_is_too_old_says_what_it_lacks)
{
    fake_use("fake-cuda-10.2");
    check_count(-ENODEV, "one before 11.0: it lacks cuDevicePrimaryCtxRelease_v2");
}

TEST(a_device_is_described)
{
    fake_use("fake-cuda")->devices = 2;
    yoke_device_info about;
    CHECK_INT(C.count(NULL), 2);
    C.describe(1, &about);
    CHECK_STR(about.uri, "cuda:1");
    CHECK_STR(about.driver, "cuda");
    CHECK_STR(about.name, "Fake B100");
    CHECK_STR(about.platform, "");
    CHECK_HAS(about.version, "CUDA 13.0");
    CHECK_STR(about.pci, "0000:1b:01.0");
    CHECK_INT(about.numa, -1);
    CHECK(about.is_gpu && about.has_double && !about.shares_host_memory);
    CHECK_INT(about.capability, 90);
    CHECK_INT(about.units, 132);
    CHECK_INT(about.warp, 32);
    CHECK_INT(about.group_most, 1024);
    CHECK_INT(about.unit_threads, 2048);
    CHECK_INT(about.unit_registers, 65536);
    CHECK_INT(about.copy_engines, 3);
    CHECK_INT(about.clock_mhz, 1980);
    CHECK_INT(about.memory_clock_mhz, 3201);
    CHECK_INT(about.bus_bits, 6144);
    CHECK_NEAR(about.bandwidth, 4.917e12, 1e9);
    CHECK_INT(about.memory, 1 << 30);
    CHECK_INT(about.largest, 1 << 30);
    CHECK_INT(about.cache, 60 << 20);
    CHECK_INT(about.local, 48 << 10);
    CHECK_INT(about.local_most, 227 << 10);
    C.describe(2, &about);
    CHECK_STR(about.name, "");
    CHECK_INT(about.units, 0);
}

TEST(a_device_is_found_by_name_identity_and_place)
{
    fake_use("fake-cuda")->devices = 3;
    yk_error e = {0};
    CHECK_INT(C.find("b100", &e), 1);
    CHECK_INT(C.find("Fake", &e), 0);
    CHECK_INT(C.find("GPU-00102030-4050-6070-8090-a0b0c0d0e0f0", &e), 0);
    CHECK_INT(C.find("gpu-02", &e), 2);
    CHECK_INT(C.find("0000:1b:02.0", &e), 2);
    CHECK_INT(C.find("2", &e), 2);
    CHECK_INT(C.find("3", &e), -ENOENT);
    CHECK_STR(e.text, "cuda: no device is called \"3\"; there are 3");
    CHECK_INT(C.find("100", &e), -ENOENT); /* all are called so, but digits are a number */
    CHECK_INT(C.find("18446744073709551616", &e), -ENOENT);
    CHECK_INT(C.find("a100", &e), 0);
    CHECK_INT(C.find("GPU-03", &e), -ENOENT);
    CHECK_INT(C.find("", &e), -ENOENT);
    yoke_device d = {.driver = &C};
    CHECK_INT(C.open(&d, 3, &e), -ENOENT);
    CHECK_STR(e.text, "cuda: there is no device 3, but 3");
}

TEST(every_number_may_be_missing)
{
    fake_cuda *f = fake_use("fake-cuda");
    yoke_device_info about;
    C.count(NULL);
    f->fail(NULL, 0, 0);
    C.describe(0, &about);
    unsigned calls = f->calls(NULL);
    CHECK(calls > 20);
    for (unsigned k = 1; k <= calls; k++) {
        f->fail(NULL, (int)k, 1);
        C.describe(0, &about);
        CHECK_STR(about.uri, "cuda:0");
    }
    f->fail("cuDeviceGetName", 1, 1);
    C.describe(0, &about);
    CHECK_STR(about.name, "");
    CHECK_INT(about.units, 132);
}

/* ---- Streams: held, so that nothing is done before it is waited for ---- */

static void open_held(fake_cuda *f, run *r)
{
    add_kernels(f);
    run_init(r);
    CHECK_INT(run_open(r), 0);
    f->hold(true);
}

TEST(a_call_returns_before_the_work_is_done)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    int *x = r.pinned;
    *x = 1;
    CHECK_INT(C.copy(&r.s, r.a.base, &r.a, x, NULL, 4, &r.e), 0);
    CHECK_INT(C.event_mark(&r.s, &r.v, &r.e), 0);
    r.e.code = 77;
    CHECK_INT(C.stream_try(&r.s, &r.e), -EAGAIN);
    CHECK_INT(C.event_try(&r.v, &r.e), -EAGAIN);
    CHECK_INT(r.e.code, 77); /* untouched */
    CHECK_INT(C.stream_try(&r.t, &r.e), 0);
    f->hold(false);
    CHECK_INT(C.stream_wait(&r.s, &r.e), 0);
    CHECK_INT(C.event_try(&r.v, &r.e), 0);
    CHECK_INT(*(int *)(void *)r.a.base, 1);
    run_close(&r);
    check_nothing_left(f);
}

TEST(a_stream_waits_for_another_by_an_event)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    int *x = r.pinned;
    f->slow(2000000);
    for (int round = 0; round < 5; round++) {
        x[0] = round + 1;
        x[1] = -1;
        CHECK_INT(C.copy(&r.s, r.a.base, &r.a, x, NULL, 4, &r.e), 0);
        CHECK_INT(C.event_mark(&r.s, &r.v, &r.e), 0);
        CHECK_INT(C.event_after(&r.t, &r.v, &r.e), 0);
        CHECK_INT(C.copy(&r.t, x + 1, NULL, r.a.base, &r.a, 4, &r.e), 0);
        f->hold(false);
        CHECK_INT(C.stream_wait(&r.t, &r.e), 0);
        CHECK_INT(x[1], round + 1);
    }
    run_close(&r);
    check_nothing_left(f);
}

TEST(an_event_never_marked_is_waited_for_by_nobody)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    CHECK_INT(C.event_try(&r.v, &r.e), 0);
    CHECK_INT(C.event_wait(&r.v, &r.e), 0);
    CHECK_INT(C.event_after(&r.s, &r.v, &r.e), 0);
    int64_t ns = 5;
    CHECK_INT(C.event_elapsed(&r.v, &r.w, &ns, &r.e), -EINVAL);
    CHECK_HAS(r.e.text, "cuda: measuring between events: cuEventElapsedTime: ");
    CHECK_INT(ns, 5);
    f->hold(false);
    run_close(&r);
    check_nothing_left(f);
}

TEST(an_event_may_be_closed_before_the_stream_has_come_to_it)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    CHECK_INT(C.event_mark(&r.s, &r.v, &r.e), 0);
    CHECK_INT(C.event_after(&r.t, &r.v, &r.e), 0);
    C.event_close(&r.v);
    C.event_close(&r.v); /* closed is closed */
    f->hold(false);
    CHECK_INT(C.stream_wait(&r.t, &r.e), 0);
    run_close(&r);
    check_nothing_left(f);
}

static int lent, taken;

static void lend(yk_blocking *b)
{
    (void)b;
    lent++;
}

static void take_back(yk_blocking *b)
{
    (void)b;
    taken++;
}

TEST(a_long_wait_sleeps)
{
    yk_blocking worker = {.begin = lend, .end = take_back};
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    int *x = r.pinned;
    f->slow(100000000);
    f->fail(NULL, 0, 0);
    CHECK_INT(C.copy(&r.s, r.a.base, &r.a, x, NULL, 4, &r.e), 0);
    f->hold(false);
    yk_blocked_hook = &worker;
    CHECK_INT(C.stream_wait(&r.s, &r.e), 0);
    CHECK_INT(f->calls("cuEventSynchronize"), 1);
    CHECK_INT(C.copy(&r.s, r.a.base, &r.a, x, NULL, 4, &r.e), 0);
    CHECK_INT(C.event_mark(&r.s, &r.v, &r.e), 0);
    CHECK_INT(C.event_wait(&r.v, &r.e), 0);
    CHECK_INT(f->calls("cuEventSynchronize"), 2);
    CHECK_INT(lent, 2);
    CHECK_INT(taken, 2);
    f->slow(0);
    CHECK_INT(C.stream_wait(&r.s, &r.e), 0); /* a short one does not */
    CHECK_INT(lent, 2);
    yk_blocked_hook = NULL;
    run_close(&r);
    check_nothing_left(f);
}

TEST(a_wait_naps_before_it_sleeps)
{
    yk_blocking worker = {.begin = lend, .end = take_back};
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    const int before = lent;
    CHECK_INT(C.copy(&r.s, r.a.base, &r.a, r.pinned, NULL, 4, &r.e), 0);
    f->fail("cuEventQuery", 2, 999); /* after the first nap */
    yk_blocked_hook = &worker;
    CHECK_INT(C.stream_wait(&r.s, &r.e), -EIO);
    CHECK_HAS(r.e.text, "cuda: waiting for a stream: cuEventQuery: ");
    CHECK_INT(f->calls("cuEventSynchronize"), 0);
    CHECK_INT(lent, before + 1);
    CHECK_INT(taken, lent);
    yk_blocked_hook = NULL;
    f->hold(false);
    run_close(&r);
    check_nothing_left(f);
}

TEST(elapsed_waits_for_both_ends)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    int *x = r.pinned;
    int64_t ns = 0;
    f->slow(5000000);
    f->hold(false);
    CHECK_INT(C.event_mark(&r.s, &r.v, &r.e), 0);
    CHECK_INT(C.copy(&r.s, r.a.base, &r.a, x, NULL, 4, &r.e), 0);
    CHECK_INT(C.event_mark(&r.s, &r.w, &r.e), 0);
    CHECK_INT(C.event_elapsed(&r.v, &r.w, &ns, &r.e), 0);
    CHECK(ns >= 4900000);
    run_close(&r);
    check_nothing_left(f);
}

static void copy_and_check(run *r, void *dst, const yk_span *to, const void *src, const yk_span *from)
{
    memset(r->a.base, 'a', 64);
    CHECK_INT(C.copy(&r->s, dst, to, src, from, 64, &r->e), 0);
    CHECK_INT(C.stream_wait(&r->s, &r->e), 0);
    CHECK(memcmp(dst, src, 64) == 0);
}

TEST(copies_go_in_every_direction)
{
    fake_cuda *f = fake_use("fake-cuda");
    char here[64] = "here", there[64];
    run r;
    open_held(f, &r);
    f->hold(false);
    copy_and_check(&r, r.b.base, &r.b, here, NULL);
    copy_and_check(&r, r.b.base + 128, &r.b, r.a.base, &r.a);
    copy_and_check(&r, there, NULL, r.a.base, &r.a);
    copy_and_check(&r, there, NULL, here, NULL);
    CHECK_INT(f->calls("cuMemcpyHtoDAsync") + f->calls("cuMemcpyDtoDAsync") + f->calls("cuMemcpyDtoHAsync") +
                  f->calls("cuMemcpyAsync"),
              4);
    run_close(&r);
    check_nothing_left(f);
}

static void fill_and_check(run *r, const void *value, size_t size, size_t count, const char *call, fake_cuda *f)
{
    f->fail(NULL, 0, 0);
    memset(r->a.base, 0x5a, 4096);
    CHECK_INT(C.fill(&r->s, r->a.base, &r->a, value, size, count, &r->e), 0);
    CHECK_INT(C.stream_wait(&r->s, &r->e), 0);
    CHECK_INT(f->calls(call), 1);
    for (size_t i = 0; i < 4096; i++)
        CHECK_INT(r->a.base[i], i < size * count ? ((const char *)value)[i % size] : 0x5a);
}

TEST(a_fill_takes_the_shortest_period)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    open_held(f, &r);
    f->hold(false);
    fill_and_check(&r, "aaaaaaaaaaaaaaaa", 16, 256, "cuMemsetD8Async", f);
    fill_and_check(&r, "abababab", 8, 100, "cuMemsetD16Async", f);
    fill_and_check(&r, "abcdabcd", 8, 3, "cuMemsetD32Async", f);
    fill_and_check(&r, "abcdefghabcdefgh", 16, 11, "cuLaunchKernel", f);
    fill_and_check(&r, "abcdefghijklmnop", 16, 256, "cuLaunchKernel", f);
    fill_and_check(&r, "ab", 2, 1, "cuMemsetD16Async", f);
    CHECK_INT(C.fill(&r.s, r.a.base + 4, &r.a, "abcdefgh", 8, 1, &r.e), -EINVAL);
    CHECK_HAS(r.e.text, "not a multiple of 8");
    CHECK_INT(C.fill(&r.s, r.a.base + 1, &r.a, "aaaaaaaa", 8, 1, &r.e), 0);
    run_close(&r);
    check_nothing_left(f);
}

/* ---- Threads, and what others do ---- */

static void *launch_some(void *arg)
{
    run *r = arg;
    yoke_stream s = {.dev = &r->d};
    yk_error e = {0};
    CHECK_INT(C.stream_open(&s, &e), 0);
    for (int i = 0; i < 50; i++)
        CHECK_INT(C.fill(&s, r->a.base, &r->a, "abcdefgh", 8, 4, &e), 0);
    CHECK_INT(C.stream_wait(&s, &e), 0);
    C.stream_close(&s);
    return NULL;
}

/* The device's memory is the same for all of them, so its contents are too. */
TEST(any_thread_may_use_a_device)
{
    fake_cuda *f = fake_use("fake-cuda");
    pthread_t threads[4];
    run r;
    add_kernels(f);
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    yk_span spans[4];
    run runs[4];
    for (int i = 0; i < 4; i++) {
        spans[i].size = 64;
        CHECK_INT(C.take(&r.d, &spans[i], &r.e), 0);
        runs[i] = (run){.d = r.d, .a = spans[i]};
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, launch_some, &runs[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        C.give(&r.d, &spans[i]);
    run_close(&r);
    check_nothing_left(f);
}

TEST(a_thread_outlives_a_device)
{
    fake_cuda *f = fake_use("fake-cuda");
    C.count(NULL);
    check_thread_outlives_device();
    check_nothing_left(f);
}

TEST(what_others_make_current_does_not_matter)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    f->devices = 2;
    add_kernels(f);
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    struct yk_cu_context *other, *now;
    CHECK_INT(yk_cuda.cuDevicePrimaryCtxRetain(&other, 1), 0);
    CHECK_INT(yk_cuda.cuCtxSetCurrent(other), 0);
    CHECK_INT(run_work(&r), 0);
    CHECK_INT(yk_cuda.cuCtxSetCurrent(NULL), 0);
    CHECK_INT(run_fill(&r), 0);
    CHECK_INT(yk_cuda.cuCtxSetCurrent(other), 0);
    run_close(&r);
    yk_cuda.cuCtxGetCurrent(&now);
    CHECK(now == NULL || now == other);
    CHECK_INT(yk_cuda.cuDevicePrimaryCtxRelease(1), 0);
    check_nothing_left(f);
}

TEST(two_devices_in_one_thread)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r, q;
    f->devices = 2;
    add_kernels(f);
    run_init(&r);
    run_init(&q);
    CHECK_INT(run_open(&r), 0);
    C.describe(1, &q.d.info);
    CHECK_INT(C.open(&q.d, 1, &q.e), 0);
    CHECK_INT(C.stream_open(&q.s, &q.e), 0);
    CHECK_INT(run_work(&r), 0);
    CHECK_INT(C.stream_wait(&q.s, &q.e), 0);
    CHECK_INT(f->live().contexts, 2);
    C.stream_close(&q.s);
    C.close(&q.d);
    CHECK_INT(run_fill(&r), 0);
    run_close(&r);
    check_nothing_left(f);
}

TEST(a_device_may_be_opened_twice)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    add_kernels(f);
    run_init(&r);
    yoke_device d = {.driver = &C};
    C.describe(0, &d.info);
    CHECK_INT(C.open(&d, 0, &r.e), 0);
    CHECK_INT(run_through(&r), 0);
    run_close(&r);
    CHECK_INT(f->live().contexts, 1);
    C.close(&d);
    check_nothing_left(f);
}

TEST(in_a_child_it_does_not_work)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    pid_t child = fork();
    if (child == 0) {
        yk_error e = {0};
        CHECK_INT(C.count(&e), -ECHILD);
        CHECK_HAS(e.text, "before fork()");
        yoke_device d = {.driver = &C};
        CHECK_INT(C.open(&d, 0, &e), -ECHILD);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    run_close(&r);
    check_nothing_left(f);
}
