/* Programs: groups of items that share memory, on every device. */
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include "kernel_try.h"
#include <yoke/program.h>

YOKE_DEVICE_CODE(
    typedef struct cell { int key; float value; } cell;
    YOKE_FN int mirror(int l) { return 63 - l; }
)

YOKE_PROGRAM(sums, 256, ((in, float, x, m), (val, long, m), (out, float, sum, groups)),
    YOKE_SHARED(float, s, 256);
    YOKE_ITEMS(l) { s[l] = group * 256 + l < m ? x[group * 256 + l] : 0; }
    for (int half = 128; half > 0; half /= 2)
        YOKE_ITEMS(l) { if (l < half) s[l] += s[l + half]; }
    YOKE_ITEMS(l) { if (l == 0) sum[group] = s[0]; }
)

YOKE_PROGRAM(reversed, 64, ((in, int, x, groups * 64), (out, int, y, groups * 64), (out, long, seen, groups)),
    YOKE_SHARED(cell, s, 64);
    YOKE_SHARED(int, odd, 1);
    YOKE_ITEMS(l) {
        if (l == 0)
            odd[0] = 0;
        s[l].key = x[group * 64 + l];
        s[l].value = (float)l;
    }
    YOKE_ITEMS(l) {
        if (s[l].key % 2 == 0)
            continue;
        yoke_atomic_add(&odd[0], 1);
    }
    YOKE_ITEMS(l) { y[group * 64 + l] = s[mirror((int)l)].key + (int)s[l].value * 0; }
    if (odd[0] > 32) {
        YOKE_ITEMS(l) { if (l == 5) seen[group] = -odd[0]; }
    } else {
        YOKE_ITEMS(l) { if (l == 63) seen[group] = odd[0] * 1000 + groups; }
    }
)

/* Through memory of the device between regions, by a group of a size that is no power of two. */
YOKE_PROGRAM(rotated, 100, ((inout, unsigned, x, groups * 100), (val, int, times)),
    YOKE_SHARED(unsigned, first, 100);
    for (int k = 0; k < times; k++) {
        YOKE_ITEMS(l) { first[l] = x[group * 100 + (l + 1) % 100]; }
        YOKE_ITEMS(l) { x[group * 100 + l] = first[l] + 1u; }
    }
)

YOKE_PROGRAM(tallied, 100, ((inout, unsigned, x, 1)), YOKE_ITEMS(l) { if (l == 0 && group == 0) x[0]++; })

static void try_sums(yoke_device *dev, yoke_stream *s)
{
    enum { N = 10000, GROUPS = (N + 255) / 256 };
    static float x[N], sum[GROUPS];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 32);
    float *dx = up(s, x, sizeof x), *ds = up(s, NULL, sizeof sum);
    DONE(s, yoke_enqueue_program(s, sums, GROUPS, dx, N, ds));
    DONE(s, yoke_enqueue_program(s, sums, 0, dx, N, ds));
    down(s, sum, ds, sizeof sum);
    for (int g = 0; g < GROUPS; g++) {
        float right = 0;
        for (int i = g * 256; i < N && i < g * 256 + 256; i++)
            right += x[i];
        CHECK_NEAR(sum[g], (double)right, 0);
    }
    yoke_device_free(dev, dx);
}

TEST(trees)
{
    on_every_device(try_sums);
}

static void try_reversed(yoke_device *dev, yoke_stream *s)
{
    enum { GROUPS = 37, N = GROUPS * 64 };
    static int x[N], y[N];
    static long seen[GROUPS];
    for (int i = 0; i < N; i++)
        x[i] = (int)test_random() >> 3;
    int *dx = up(s, x, sizeof x), *dy = up(s, NULL, sizeof y);
    long *ds = up(s, NULL, sizeof seen);
    DONE(s, yoke_enqueue_program(s, reversed, GROUPS, dx, dy, ds));
    down(s, y, dy, sizeof y);
    down(s, seen, ds, sizeof seen);
    for (int g = 0; g < GROUPS; g++) {
        int odd = 0;
        for (int l = 0; l < 64; l++) {
            odd += x[g * 64 + l] % 2 != 0;
            CHECK_INT(y[g * 64 + l], x[g * 64 + 63 - l]);
        }
        CHECK_INT(seen[g], odd > 32 ? -odd : odd * 1000 + GROUPS);
    }
    yoke_device_free(dev, dx);
}

TEST(regions_under_conditions)
{
    on_every_device(try_reversed);
}

static void try_rotated(yoke_device *dev, yoke_stream *s)
{
    enum { GROUPS = 11, N = GROUPS * 100, TIMES = 7 };
    static unsigned x[N], y[N];
    for (unsigned i = 0; i < N; i++)
        x[i] = i * i;
    unsigned *dx = up(s, x, sizeof x);
    DONE(s, yoke_enqueue_program(s, rotated, GROUPS, dx, TIMES));
    down(s, y, dx, sizeof y);
    for (unsigned i = 0; i < N; i++)
        CHECK_INT(y[i], x[i / 100 * 100 + (i + TIMES) % 100] + TIMES);
}

TEST(regions_in_loops)
{
    on_every_device(try_rotated);
}

static yoke_kernel *const programs[] = {&yoke_kernel_sums, &yoke_kernel_reversed, &yoke_kernel_rotated};

TEST(programs_compile_for_cuda)
{
    for (size_t i = 0; i < YK_COUNT_OF(programs); i++) {
        yk_buf text = {0};
        yk_binary b = {.is_ptx = false};
        yk_error e = {.text = ""};
        yk_text_write(programs[i], &(yk_machine){.is_cuda = true, .is_gpu = true, .units = 132}, &text);
        int err = yk_nvrtc_compile(&(yk_build_source){yk_buf_str(&text), YK_CUDA_OPTIONS, programs[i]->name, 90}, &b, &e);
        if (err == -ENOPKG)
            SKIP("%s", e.text);
        if (err < 0)
            test_fail(__FILE__, __LINE__, "%s\n%s", e.text, yk_buf_str(&b.log));
        yk_binary_done(&b);
        yk_buf_done(&text);
    }
}

/* The form for an OpenCL GPU, one thread for each item, on whatever OpenCL device there is. */
TEST(threads_of_an_opencl_gpu)
{
    yoke_device *dev = yoke_device_open("opencl:0");
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        SKIP("%s", yoke_device_error(dev));
    if (yoke_device_about(dev)->group_most < 256)
        SKIP("groups of %u", yoke_device_about(dev)->group_most);
    dev->info.is_gpu = true;
    try_sums(dev, s);
    try_reversed(dev, s);
    try_rotated(dev, s);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(counts_of_a_program)
{
    const struct yk_kernel_args_sums args = {.yk_n = 5, .m = 1234};
    size_t counts[3];
    yoke_kernel_sums.counts(&args, counts);
    CHECK_INT(counts[0], 1234);
    CHECK_INT(counts[2], 5);
    CHECK_INT(yoke_kernel_sums.extra->group, 256);
}

TEST(too_many_groups)
{
    yoke_device *dev = yoke_device_open("opencl:0");
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        SKIP("%s", yoke_device_error(dev));
    unsigned *x = up(s, NULL, 4);
    CHECK_INT(yoke_enqueue_program(s, tallied, (size_t)1 << 31, x), -E2BIG);
    CHECK_HAS(yoke_device_error(dev), "kernel tallied: 2147483648 ");
    check_told(s, -E2BIG, "kernel tallied: 2147483648 ");
    CHECK_INT(yoke_enqueue_program(s, rotated, (size_t)1 << 31, x, 0), -EINVAL);
    check_told(s, -EINVAL, "and should have 214748364800 (groups * 100)");
    yoke_device_free(dev, x);
    CHECK_INT(yoke_device_close(dev), 0);
}
