/* lazy.c - that lazy_opencl.c, under which other tests run once more, does nothing before it must, and all that it must. */
#include "opencl_try.h"
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 1000 };

static yoke_device *open_lazy(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    CHECK(n > 0);
    path[n] = '\0';
    snprintf(strrchr(path, '/') + 1, 32, "gpu/liblazy_opencl.so"); /* this program is in tests/ */
    setenv("YOKE_OPENCL_DRIVER", path, 1);
    yoke_device *dev = open_opencl();
    if (yoke_device_about(dev)->is_gpu)
        SKIP("the first OpenCL device is a GPU, which is late by itself");
    return dev;
}

static void fill(int *x, int value)
{
    for (int i = 0; i < N; i++)
        x[i] = value;
}

static void check_all(const int *x, int value)
{
    for (int i = 0; i < N; i++)
        CHECK_INT(x[i], value);
}

/* What a program must not do shows: memory that is written again before its copy was waited for. */
TEST(a_copy_begins_when_it_is_waited_for)
{
    static int from[N], to[N];
    yoke_device *dev = open_lazy();
    yoke_stream *s = yoke_stream_open(dev);
    int *x = yoke_device_alloc(dev, sizeof from);
    CHECK(s && x);
    fill(from, 1);
    CHECK_INT(yoke_stream_copy(s, x, from, sizeof from), 0);
    CHECK_INT(yoke_stream_copy(s, to, x, sizeof to), 0);
    usleep(20000);
    check_all(to, 0);
    fill(from, 2);
    CHECK_INT(yoke_stream_wait(s), 0);
    check_all(to, 2);
    yoke_device_free(dev, x);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* A wait for an event does what stands before it, and no more; another stream that stands behind it does so too. */
TEST(no_more_than_is_waited_for)
{
    static int from[N], first[N], second[N];
    yoke_device *dev = open_lazy();
    yoke_stream *s = yoke_stream_open(dev), *other = yoke_stream_open(dev);
    yoke_stream_event *v = yoke_stream_event_open(dev);
    int *x = yoke_device_alloc(dev, sizeof from);
    CHECK(s && other && v && x);
    fill(from, 3);
    CHECK_INT(yoke_stream_copy(s, x, from, sizeof from), 0);
    CHECK_INT(yoke_stream_mark(s, v), 0);
    CHECK_INT(yoke_stream_copy(s, second, x, sizeof second), 0);
    CHECK_INT(yoke_stream_after(other, v), 0);
    CHECK_INT(yoke_stream_copy(other, first, x, sizeof first), 0);
    CHECK_INT(yoke_stream_wait(other), 0);
    check_all(first, 3);
    usleep(20000);
    check_all(second, 0);
    while (yoke_stream_try(s) == -EAGAIN) /* who asks gets it done */
        usleep(1000);
    check_all(second, 3);
    yoke_device_free(dev, x);
    yoke_stream_event_close(v);
    CHECK_INT(yoke_stream_close(other), 0);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}
