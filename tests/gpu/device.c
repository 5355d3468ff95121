/* device.c - names of devices, what is known of them, streams, copies and events on the CPU, and every misuse that has an
 * answer. */
#include "gpu/gpu.h"
#include "test.h"
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

TEST(the_cpu_is_always_there)
{
    unsigned n = yoke_device_count();
    CHECK(n >= 1);
    yoke_device_info info;
    CHECK_INT(yoke_device_at(n - 1, &info), 0);
    CHECK_STR(info.driver, "cpu");
    CHECK_STR(info.uri, "cpu");
    CHECK(info.units >= 1 && info.memory > 0 && info.shares_host_memory && !info.is_gpu);
    CHECK_INT(yoke_device_at(n, &info), -ENOENT);
    CHECK_STR(yoke_driver_error("cpu"), "");
    CHECK_STR(yoke_driver_error("vulkan"), "no driver is named \"vulkan\"");
}

TEST(one_line_may_tell_of_two_drivers)
{
    char both[1600];
    setenv("YOKE_CUDA_DRIVER", "/nonexistent/cuda", 1);
    setenv("YOKE_OPENCL_DRIVER", "/nonexistent/opencl", 1);
    snprintf(both, sizeof both, "%s; %s; %s", yoke_driver_error("cuda"), yoke_driver_error("opencl"), yoke_driver_error("x"));
    CHECK_HAS(both, "/nonexistent/cuda");
    CHECK_HAS(both, "/nonexistent/opencl");
    CHECK_HAS(both, "named \"x\"");
}

static void check_wrong(const char *uri, int code, const char *text)
{
    yoke_device *dev = yoke_device_open(uri);
    CHECK_INT(yoke_device_status(dev), code);
    CHECK_HAS(yoke_device_error(dev), text);
    CHECK(yoke_device_alloc(dev, 1) == NULL);
    CHECK(yoke_stream_open(dev) == NULL);
    CHECK(yoke_stream_event_open(dev) == NULL);
    CHECK(yoke_pinned_alloc(dev, 1) == NULL);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(dev, &stats), code);
    CHECK_INT(yoke_device_trim(dev), code);
    CHECK_STR(yoke_device_about(dev)->uri, "");
    CHECK_INT(yoke_device_close(dev), code);
}

TEST(a_wrong_name_says_what_would_be_right)
{
    check_wrong("cpuu", -ENOENT, "no kind of device is named \"cpuu\", did you mean \"cpu\"; there are");
    check_wrong("vulkan:0", -ENOENT, "there are cuda, opencl, gpu and cpu");
    check_wrong("", -ENOENT, "empty");
    check_wrong("cpu:0", -ENOENT, "the number of threads is 1 to 4096");
    check_wrong("cpu:4097", -ENOENT, "the number of threads is 1 to 4096");
    check_wrong("cpu:two", -ENOENT, "the number of threads");
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    check_wrong(long_name, -ENOENT, "at most 127 characters");
}

TEST(of_several_names_the_first_that_works)
{
    yoke_device *dev = yoke_device_open("cpu:0,cpu:2,cpu");
    CHECK_INT(yoke_device_status(dev), 0);
    CHECK_STR(yoke_device_about(dev)->uri, "cpu:2");
    CHECK_INT(yoke_device_about(dev)->units, 2);
    CHECK_INT(yoke_device_close(dev), 0);
    check_wrong("nothing,cpu:none", -ENOENT, "named \"nothing\""); /* the first one's reason */
}

TEST(the_environment_names_the_default)
{
    setenv("YOKE_DEVICE", "cpu:3", 1);
    yoke_device *dev = yoke_device_open(NULL);
    CHECK_STR(yoke_device_about(dev)->uri, "cpu:3");
    CHECK_INT(yoke_device_close(dev), 0);
    setenv("YOKE_DEVICE", "cpx", 1);
    dev = yoke_device_open(NULL);
    CHECK_HAS(yoke_device_error(dev), "YOKE_DEVICE: no kind of device is named \"cpx\"");
    yoke_device_close(dev);
    unsetenv("YOKE_DEVICE");
    dev = yoke_device_open(NULL);
    CHECK_INT(yoke_device_status(dev), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(yoke_device_close(NULL), 0);
}

TEST(copies_and_fills)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    CHECK(yoke_stream_device(s) == dev);
    int32_t *x = yoke_device_alloc(dev, 1000 * sizeof *x), host[1000];
    static const int32_t value = 7;
    CHECK_INT(yoke_stream_fill(s, x, &value, 4, 1000), 0);
    CHECK_INT(yoke_stream_copy(s, host, x, sizeof host), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    CHECK_INT(yoke_stream_try(s), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(host[i], 7);
    for (size_t size = 1; size <= 16; size *= 2) {
        char pattern[16], *p = (char *)x;
        for (int i = 0; i < 16; i++)
            pattern[i] = (char)(i + 1);
        CHECK_INT(yoke_stream_fill(s, x, pattern, size, 3000 / size), 0);
        for (size_t i = 0; i < 3000 / size * size; i++)
            CHECK_INT(p[i], i % size + 1);
    }
    CHECK_INT(yoke_stream_copy(s, x + 10, x, 0), 0);
    CHECK_INT(yoke_stream_fill(s, x, &value, 4, 0), 0);
    yoke_device_free(dev, x);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(a_big_fill_keeps_its_pattern)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    enum { N = 100003 };
    uint16_t *x = yoke_stream_alloc(s, N * sizeof *x), value = 0xabcd;
    CHECK_INT(yoke_stream_fill(s, x, &value, 2, N), 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(x[i], 0xabcd);
    yoke_stream_free(s, x);
    yoke_device_close(dev); /* closes s */
}

TEST(misuse_is_an_error_with_a_text)
{
    yoke_device *dev = yoke_device_open("cpu"), *other = yoke_device_open("cpu:2");
    yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(other);
    char *x = yoke_device_alloc(dev, 1000), host[2000];
    CHECK_INT(yoke_stream_copy(s, x, host, 2000), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "reach beyond their block of cpu");
    CHECK_INT(yoke_stream_copy(s, host, x + 900, 200), -EINVAL);
    CHECK_INT(yoke_stream_copy(s, NULL, x, 10), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "NULL");
    memset(x, 7, 10);
    CHECK_INT(yoke_stream_copy(t, host, x, 10), 0); /* ordinary memory, for others than its own device */
    CHECK_INT(host[9], 7);
    CHECK_INT(yoke_stream_fill(t, x, "b", 1, 10), 0);
    CHECK_INT(x[9], 'b');
    CHECK_INT(yoke_stream_copy(t, host, x + 900, 200), -EINVAL);
    CHECK_HAS(yoke_device_error(other), "reach beyond their block of cpu");
    CHECK_INT(yoke_stream_fill(s, x, "abc", 3, 4), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "1, 2, 4, 8 or 16");
    CHECK_INT(yoke_stream_fill(s, x, "a", 16, SIZE_MAX / 8), -EINVAL);
    CHECK_INT(yoke_stream_fill(s, x, "abcdefgh", 8, 1000), -EINVAL);
    yoke_device_free(dev, x + 1);
    CHECK_HAS(yoke_device_error(dev), "freed twice, or not its beginning");
    yoke_device_free(dev, x);
    yoke_device_free(dev, x);
    CHECK_HAS(yoke_device_error(dev), "freed twice");
    CHECK(yoke_device_alloc(dev, SIZE_MAX) == NULL);
    CHECK_HAS(yoke_device_error(dev), "more than any device has");
    CHECK(yoke_device_alloc(dev, (size_t)1 << 60) == NULL);
    CHECK_HAS(yoke_device_error(dev), "1152921504606846976 bytes are more than any device has");
    CHECK(yoke_pinned_alloc(dev, SIZE_MAX) == NULL);
    CHECK_HAS(yoke_device_error(dev), "18446744073709551615 bytes are more than any host has");
    yoke_stream_event *e = yoke_stream_event_open(other);
    CHECK_INT(yoke_stream_mark(s, e), -EINVAL);
    CHECK_INT(yoke_stream_mark(t, e), 0);
    CHECK_INT(yoke_stream_after(s, e), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "the event belongs to cpu:2, the stream to cpu");
    yoke_stream_event_close(e);
    CHECK_INT(yoke_stream_close(s), -EINVAL); /* the first of all that, which has broken nothing */
    CHECK_HAS(yoke_device_error(dev), "reach beyond their block of cpu");
    CHECK_INT(yoke_stream_close(t), -EINVAL);
    CHECK_HAS(yoke_device_error(other), "reach beyond their block of cpu");
    CHECK_INT(yoke_stream_close(NULL), -EINVAL);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(yoke_device_close(other), 0);
}

TEST(events_have_times)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_stream_event *from = yoke_stream_event_open(dev), *to = yoke_stream_event_open(dev);
    int64_t ns = -1;
    CHECK_INT(yoke_stream_elapsed(from, to, &ns), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "never marked");
    CHECK_INT(yoke_stream_event_wait(from), 0); /* for nothing */
    CHECK_INT(yoke_stream_mark(s, from), 0);
    usleep(1000);
    CHECK_INT(yoke_stream_mark(s, to), 0);
    CHECK_INT(yoke_stream_after(s, to), 0);
    CHECK_INT(yoke_stream_event_try(to), 0);
    CHECK_INT(yoke_stream_elapsed(from, to, &ns), 0);
    CHECK(ns >= 1000000);
    yoke_stream_event_close(from);
    yoke_stream_event_close(to);
    yoke_stream_event_close(NULL);
    CHECK_INT(yoke_device_close(dev), 0);
}

static _Atomic bool enough;

static void *poll_event(void *arg)
{
    while (!atomic_load(&enough))
        yoke_stream_event_try(arg);
    return NULL;
}

/* For TSan. */
TEST(any_thread_may_ask_an_event)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_stream_event *v = yoke_stream_event_open(dev), *w = yoke_stream_event_open(dev);
    pthread_t thread;
    CHECK_INT(yoke_stream_mark(s, w), 0);
    CHECK_INT(pthread_create(&thread, NULL, poll_event, v), 0);
    int64_t ns = -1;
    for (int i = 0; i < 10000; i++) {
        CHECK_INT(yoke_stream_mark(s, v), 0);
        CHECK_INT(yoke_stream_elapsed(w, v, &ns), 0);
        CHECK(ns >= 0);
    }
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    yoke_stream_event_close(v);
    yoke_stream_event_close(w);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(a_child_cannot_use_the_parents_device)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    char *x = yoke_device_alloc(dev, 100);
    pid_t child = fork();
    if (child == 0) {
        int wrong = yoke_device_status(dev) != -ECHILD;
        wrong += yoke_stream_wait(s) != -ECHILD;
        wrong += yoke_device_alloc(dev, 1) != NULL;
        wrong += !strstr(yoke_device_error(dev), "before this process was made by fork()");
        yoke_device_free(dev, x);
        wrong += yoke_stream_close(s) != -ECHILD;
        wrong += yoke_device_close(dev) != -ECHILD;
        yoke_device *own = yoke_device_open("cpu");
        wrong += yoke_device_status(own) != 0;
        wrong += yoke_device_close(own) != 0;
        _exit(wrong);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    yoke_device_free(dev, x);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* Opens everything; the first failure that the caller has arranged must be an error and nothing else. Whether all went well.
 * */
static bool scenario(void)
{
    yoke_device *dev = yoke_device_open("cpu:1");
    int err = yoke_device_status(dev);
    if (err < 0)
        CHECK(*yoke_device_error(dev) != 0);
    yoke_stream *s = yoke_stream_open(dev);
    yoke_stream_event *e = yoke_stream_event_open(dev);
    void *x = yoke_device_alloc(dev, 100), *y = yoke_pinned_alloc(dev, 100);
    bool well = err == 0 && s && e && x && y;
    if (!well)
        CHECK(*yoke_device_error(dev) != 0);
    yoke_device_free(dev, x);
    yoke_pinned_free(dev, y);
    yoke_stream_event_close(e);
    yoke_stream_close(s);
    yoke_device_close(dev);
    return well;
}

TEST(every_want_of_memory_is_told)
{
    static const char *const calls[] = {"calloc", "posix_memalign", "malloc", "mmap", "pthread_create"};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        for (int n = 1, made = n; made >= n; n++) {
            CHECK(n < 200);
            CHECK(yk_sys_fail(calls[c], n, ENOMEM) >= 0);
            bool well = scenario();
            made = yk_sys_fail(calls[c], 0, 0);
            CHECK(well || made >= n);
        }
    CHECK(scenario());
}
