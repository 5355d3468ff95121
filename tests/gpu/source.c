/* Texts in a device's own language. The OpenCL ones run wherever there is an OpenCL device, the CUDA one where
 * there is a GPU. */
#include "gpu/gpu.h"
#include "kernel_try.h"
#include <sys/stat.h>
#include <unistd.h>
#include <yoke/source.h>

static const char opencl_text[] =
    "__kernel void halve(long n, __global float *base, ulong at)\n"
    "{\n    __global float *x = (__global float *)((__global char *)base + at);\n"
    "    long i = get_global_id(0);\n    if (i < n) x[i] = x[i] / BY;\n}\n"
    "__kernel void grid(__global int *base, ulong at, char plus, double times, __local int *s)\n"
    "{\n    __global int *y = (__global int *)((__global char *)base + at);\n"
    "    s[0] = plus;\n    y[get_global_id(1) * get_global_size(0) + get_global_id(0)] = "
    "(int)(get_group_id(2) * times) + s[0];\n}\n"
    "__kernel void optional(__global int *base, ulong at, __global int *maybe, ulong maybe_at)\n"
    "{\n    *(__global int *)((__global char *)base + at) = maybe ? 1 : 2;\n}\n"
    "__kernel void marked(__global float *x, const int at)\n{\n    x[at] = 1;\n}\n"
    "__kernel void plain(__global const float *x, __global float *y, float a, long n, __local float *s)\n"
    "{\n    long i = get_global_id(0);\n    s[get_local_id(0)] = a;\n    if (i < n) y[i] = x[i] * s[get_local_id(0)];\n}\n";

static yoke_device *opencl(void)
{
    yoke_device *dev = yoke_device_open("opencl:0");
    if (yoke_device_status(dev) < 0)
        SKIP("%s", yoke_device_error(dev));
    return dev;
}

TEST(opencl_source)
{
    yoke_device *dev = opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yoke_source *src = yoke_source_open(dev, opencl_text, "-DBY=4");
    CHECK_INT(yoke_source_status(src), 0);
    yoke_raw *halve = yoke_source_kernel(src, "halve");
    CHECK(halve && yoke_source_kernel(src, "halve") == halve);
    yoke_raw_info info = {.group_most = 0};
    CHECK_INT(yoke_raw_about(halve, &info), 0);
    CHECK(info.group_most >= 1);
    float x[100];
    for (int i = 0; i < 100; i++)
        x[i] = (float)i;
    float *dx = up(s, x, sizeof x);
    const yoke_shape shape = {.groups = {2}, .group = {64}};
    DONE(s, yoke_enqueue_raw(s, halve, shape, 99L, dx));
    DONE(s, yoke_enqueue_raw(s, halve, shape, (long)10, dx + 20));
    down(s, x, dx, sizeof x);
    CHECK_NEAR(x[8], 2, 0);
    CHECK_NEAR(x[20], 1.25, 0);
    CHECK_NEAR(x[99], 99, 0);
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(shapes_and_values)
{
    yoke_device *dev = opencl();
    if (!yoke_device_about(dev)->has_double)
        SKIP("no double");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_source *src = yoke_source_open(dev, opencl_text, "-DBY=4");
    int y[24];
    int *dy = up(s, NULL, sizeof y);
    const signed char plus = -3;
    const yoke_shape shape = {.groups = {2, 2}, .group = {2, 3}, .shared = 16};
    DONE(s, yoke_enqueue_raw(s, yoke_source_kernel(src, "grid"), shape, dy, plus, 2.5));
    down(s, y, dy, sizeof y);
    for (int i = 0; i < 24; i++)
        CHECK_INT(y[i], -3);
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(memory_that_is_none)
{
    yoke_device *dev = opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yoke_source *src = yoke_source_open(dev, opencl_text, "-DBY=4");
    int y = 0, *dy = up(s, NULL, sizeof y);
    DONE(s, yoke_enqueue_raw(s, yoke_source_kernel(src, "optional"), (yoke_shape){0}, dy, (int *)NULL));
    down(s, &y, dy, sizeof y);
    CHECK_INT(y, 2);
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* As it is written for any other program. */
TEST(a_kernel_that_knows_nothing_of_yoke)
{
    yoke_device *dev = opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yoke_source *src = yoke_source_open(dev, opencl_text, "-DBY=4");
    yoke_raw *plain = yoke_source_kernel(src, "plain");
    float x[100], y[100];
    for (int i = 0; i < 100; i++)
        x[i] = (float)i;
    float *dx = up(s, x, sizeof x), *dy = up(s, NULL, sizeof y);
    const yoke_shape shape = {.groups = {2}, .group = {50}, .shared = 50 * sizeof(float)};
    DONE(s, yoke_enqueue_raw(s, plain, shape, dx, dy, 2.0f, 100L));
    CHECK_INT(yoke_enqueue_raw(s, plain, shape, dx + 25, dy, 2.0f, 75L), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel plain, argument 1 begins 100 bytes into its memory");
    CHECK_INT(yoke_enqueue_raw(s, plain, shape, dx, dy, 2.0f), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "has 5 parameters, the 3 arguments of this launch make 4, or 6 where memory counts twice");
    /* One that is two parameters might be meant. */
    CHECK(yoke_enqueue_raw(s, yoke_source_kernel(src, "marked"), (yoke_shape){0}, dy) < 0);
    CHECK_HAS(yoke_device_error(dev), "kernel marked, argument 1 of 1 for 2 parameters: CL_INVALID_");
    check_told(s, -EINVAL, "kernel plain, argument 1 begins 100 bytes into its memory");
    down(s, y, dy, sizeof y);
    yoke_device_free(dev, dx);
    for (int i = 0; i < 100; i++)
        CHECK_INT(y[i], 2 * i);
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(a_file)
{
    char path[] = "/tmp/yoke-source-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, opencl_text, sizeof opencl_text - 1), (long)sizeof opencl_text - 1);
    close(fd);
    yoke_device *dev = yoke_device_open("opencl:0");
    if (yoke_device_status(dev) < 0) {
        unlink(path);
        SKIP("%s", yoke_device_error(dev));
    }
    yoke_source *src = yoke_source_read(dev, path, "-DBY=2");
    unlink(path);
    CHECK_INT(yoke_source_status(src), 0);
    CHECK(yoke_source_kernel(src, "halve"));
    yoke_source_close(src);
    src = yoke_source_read(dev, path, NULL);
    CHECK_INT(yoke_source_status(src), -ENOENT);
    CHECK_HAS(yoke_source_log(src), path);
    CHECK(!yoke_source_kernel(src, "halve"));
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* Nor does the call wait for somebody to write to it. */
TEST_LIMIT(what_is_no_file, 30)
{
    char folder[] = "/tmp/yoke-source-XXXXXX", path[64];
    yoke_device *dev = opencl();
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    CHECK_INT(mkfifo(path, 0600), 0);
    const char *paths[] = {path, folder, "/dev/zero"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        yoke_source *src = yoke_source_read(dev, paths[i], NULL);
        CHECK(yoke_source_status(src) == (i == 1 ? -EISDIR : -EINVAL));
        CHECK_HAS(yoke_source_log(src), paths[i]);
        yoke_source_close(src);
    }
    unlink(path);
    rmdir(folder);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(a_read_that_is_interrupted_goes_on)
{
    char path[] = "/tmp/yoke-source-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, opencl_text, sizeof opencl_text - 1), (long)sizeof opencl_text - 1);
    close(fd);
    yoke_device *dev = yoke_device_open("opencl:0");
    if (yoke_device_status(dev) < 0) {
        unlink(path);
        SKIP("%s", yoke_device_error(dev));
    }
    yk_sys_fail("read", 1, EINTR);
    yoke_source *src = yoke_source_read(dev, path, "-DBY=2");
    yk_sys_fail("read", 0, 0);
    unlink(path);
    CHECK_INT(yoke_source_status(src), 0);
    CHECK(yoke_source_kernel(src, "halve"));
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(what_is_refused)
{
    yoke_device *dev = opencl(), *cpu = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev), *c = yoke_stream_open(cpu);
    yoke_source *wrong = yoke_source_open(dev, "__kernel void f(void)\n{\n    strang x;\n}\n", NULL);
    CHECK_INT(yoke_source_status(wrong), -EINVAL);
    CHECK_HAS(yoke_source_log(wrong), "strang");
    CHECK(!yoke_source_kernel(wrong, "f"));
    yoke_source_close(wrong);
    yoke_source *none = yoke_source_open(cpu, opencl_text, NULL);
    CHECK_INT(yoke_source_status(none), -ENOTSUP);
    CHECK_HAS(yoke_source_log(none), "write a YOKE_KERNEL");
    yoke_source_close(none);
    yoke_source *src = yoke_source_open(dev, opencl_text, "-DBY=2");
    CHECK(!yoke_source_kernel(src, "havle"));
    CHECK_HAS(yoke_device_error(dev), "halve");
    yoke_raw *halve = yoke_source_kernel(src, "halve");
    const yoke_shape shape = {.group = {64}}, large = {.group = {1 << 20, 1 << 20, 1 << 20}};
    float *dx = up(s, NULL, 400), *theirs = yoke_device_alloc(cpu, 400);
    CHECK_INT(yoke_enqueue_raw(s, NULL, shape, 1L, dx), -EINVAL);
    CHECK_INT(yoke_enqueue_raw(NULL, halve, shape, 1L, dx), -EINVAL);
    CHECK_INT(yoke_enqueue_raw(s, halve, shape, 1L, theirs), -EFAULT);
    CHECK_HAS(yoke_device_error(dev), "kernel halve: argument 2 is memory of cpu, not of opencl:0");
    float *gone = yoke_device_alloc(dev, 400);
    yoke_device_free(dev, gone);
    CHECK_INT(yoke_enqueue_raw(s, halve, shape, 1L, gone), -EFAULT);
    CHECK_HAS(yoke_device_error(dev), "kernel halve: argument 2 is memory of opencl:0 that has been freed");
    CHECK_INT(yoke_enqueue_raw(s, halve, large, 1L, dx), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel halve: groups of ");
    CHECK_INT(yoke_enqueue_raw(c, halve, shape, 1L, dx), -EINVAL);
    CHECK_HAS(yoke_device_error(cpu), "kernel halve was compiled for opencl:0, not for cpu");
    CHECK(yoke_enqueue_raw(s, halve, shape, 1L) < 0); /* too few */
    CHECK_INT(yoke_raw_about(NULL, NULL), -EINVAL);
    yoke_source_close(src);
    yoke_source_close(NULL);
    CHECK(!yoke_source_kernel(NULL, "halve"));
    CHECK_INT(yoke_source_status(NULL), -ENOMEM);
    check_told(s, -EFAULT, "kernel halve: argument 2 is memory of cpu");
    yoke_device_free(cpu, theirs);
    yoke_device_free(dev, dx);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(yoke_device_close(cpu), -EINVAL); /* nobody has waited for c */
}

TEST(no_memory)
{
    yoke_device *dev = opencl();
    yoke_source *src;
    int status = -ENOMEM;
    for (int n = 1; status < 0; n++) {
        CHECK(n < 20);
        yk_sys_fail("calloc", n, ENOMEM);
        src = yoke_source_open(dev, opencl_text, "-DBY=2");
        yk_sys_fail("calloc", 0, 0);
        status = yoke_source_status(src);
        if (status < 0) {
            CHECK_INT(status, -ENOMEM);
            yoke_source_close(src);
        }
    }
    yk_sys_fail("calloc", 1, ENOMEM);
    CHECK(!yoke_source_kernel(src, "halve"));
    yk_sys_fail("calloc", 0, 0);
    CHECK(yoke_source_kernel(src, "halve"));
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(cuda_source)
{
    yoke_device *dev = yoke_device_open("cuda:0");
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        SKIP("no GPU: %s", yoke_device_error(dev));
    yoke_source *src = yoke_source_open(
        dev,
        "extern \"C\" __global__ void halve(long n, float *x)\n{\n"
        "    long i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i < n) x[i] /= 2;\n}\n",
        NULL);
    CHECK_STR(yoke_source_status(src) < 0 ? yoke_source_log(src) : "", "");
    float x[100] = {[50] = 3};
    float *dx = up(s, x, sizeof x);
    const yoke_shape shape = {.groups = {1}, .group = {128}};
    DONE(s, yoke_enqueue_raw(s, yoke_source_kernel(src, "halve"), shape, 99L, dx + 1));
    down(s, x, dx, sizeof x);
    CHECK_NEAR(x[50], 1.5, 0);
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
}
