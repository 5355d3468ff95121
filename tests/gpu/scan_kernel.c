/* Scans as kernels, on every device, against the same in a plain loop. */
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include "kernel_try.h"
#include <yoke/scan_kernel.h>

YOKE_DEVICE_CODE(
    struct affine { unsigned times, plus; }; /* x -> times * x + plus; to take two together does not commute */
    YOKE_FN struct affine then(struct affine first, struct affine second)
    {
        struct affine both;
        both.times = second.times * first.times;
        both.plus = second.times * first.plus + second.plus;
        return both;
    }
    YOKE_FN struct affine affine_of(unsigned x)
    {
        struct affine a;
        a.times = x | 1u;
        a.plus = x >> 3;
        return a;
    }
)

YOKE_SCAN_KERNEL(long, prefix, (0), a + b, x[i], ((in, int, x), (out, long, with), (out, long, before)),
                 with[i] = item; before[i] = prev_item;)
YOKE_SCAN_KERNEL(int, kept, (0), a + b, x[i] % 3 == 0, ((in, int, x), (inout, int, to), (inout, int, count, 1)),
                 if (i == n - 1) count[0] = item; if (x[i] % 3 != 0) continue; to[prev_item] = x[i];)
YOKE_SCAN_KERNEL(struct affine, composed, ({1, 0}), then(a, b), affine_of(x[i]), ((in, unsigned, x), (out, struct affine, y)),
                 y[i] = item;)
YOKE_SCAN_KERNEL(int, running_most, (INT_MIN), yoke_greater(a, b), x[i], ((inout, int, x)), x[i] = item;)
YOKE_SEGMENTED_SCAN_KERNEL(int, segments, (0), a + b, x[i] + k, i == 0 || row[i] != row[i - 1],
                           ((in, int, x), (in, int, row), (val, int, k), (out, int, y), (out, int, z)),
                           y[i] = item;
                           z[i] = prev_item;)

static const size_t sizes[] = {1, 2, 63, 64, 65, 2047, 2048, 2049, 30000, 100001};
enum { MOST = 100001 };

static int x[MOST], row[MOST], y[MOST], z[MOST];
static long with[MOST], before[MOST];
static struct affine composition[MOST];

static void try_prefix(yoke_device *dev, yoke_stream *s, size_t n)
{
    long sum = 0;
    int *dx = up(s, x, n * sizeof *x);
    long *dw = up(s, NULL, n * sizeof *with), *db = up(s, NULL, n * sizeof *before);
    DONE(s, yoke_enqueue_scan(s, prefix, n, dx, dw, db));
    down(s, with, dw, n * sizeof *with);
    down(s, before, db, n * sizeof *before);
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(before[i], sum);
        sum += x[i];
        CHECK_INT(with[i], sum);
    }
    yoke_device_free(dev, dx);
}

static void try_kept(yoke_device *dev, yoke_stream *s, size_t n)
{
    int count = -1, at = 0;
    int *dx = up(s, x, n * sizeof *x), *dy = up(s, NULL, n * sizeof *y), *dc = up(s, &count, sizeof count);
    DONE(s, yoke_enqueue_scan(s, kept, n, dx, dy, dc));
    down(s, y, dy, n * sizeof *y);
    down(s, &count, dc, sizeof count);
    for (size_t i = 0; i < n; i++)
        if (x[i] % 3 == 0)
            CHECK_INT(y[at++], x[i]);
    CHECK_INT(count, at);
    yoke_device_free(dev, dx);
}

static void try_composed(yoke_device *dev, yoke_stream *s, size_t n)
{
    struct affine all = {1, 0};
    unsigned *dx = up(s, x, n * sizeof *x);
    struct affine *dy = up(s, NULL, n * sizeof *composition);
    DONE(s, yoke_enqueue_scan(s, composed, n, dx, dy));
    down(s, composition, dy, n * sizeof *composition);
    for (size_t i = 0; i < n; i++) {
        all = then(all, affine_of((unsigned)x[i]));
        CHECK_INT(composition[i].times, all.times);
        CHECK_INT(composition[i].plus, all.plus);
    }
    yoke_device_free(dev, dx);
}

static void try_in_place(yoke_device *dev, yoke_stream *s, size_t n)
{
    int most = INT_MIN;
    int *dx = up(s, x, n * sizeof *x);
    DONE(s, yoke_enqueue_scan(s, running_most, n, dx));
    down(s, y, dx, n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        most = YK_MAX(most, x[i]);
        CHECK_INT(y[i], most);
    }
}

static void try_segments(yoke_device *dev, yoke_stream *s, size_t n)
{
    int sum = 0;
    int *dx = up(s, x, n * sizeof *x), *dr = up(s, row, n * sizeof *row);
    int *dy = up(s, NULL, n * sizeof *y), *dz = up(s, NULL, n * sizeof *z);
    DONE(s, yoke_enqueue_scan(s, segments, n, dx, dr, 2, dy, dz));
    down(s, y, dy, n * sizeof *y);
    down(s, z, dz, n * sizeof *z);
    for (size_t i = 0; i < n; i++) {
        sum = i == 0 || row[i] != row[i - 1] ? 0 : sum;
        CHECK_INT(z[i], sum);
        sum += x[i] + 2;
        CHECK_INT(y[i], sum);
    }
    yoke_device_free(dev, dx);
    yoke_device_free(dev, dr);
}

static void each_size(yoke_device *dev, yoke_stream *s, void (*body)(yoke_device *dev, yoke_stream *s, size_t n))
{
    for (size_t i = 0; i < MOST; i++) {
        x[i] = (int)(test_random() >> 50) - (1 << 13);
        row[i] = i > 0 && test_random() % (i < MOST / 2 ? 5 : 9000) ? row[i - 1] : (int)i;
    }
    for (size_t k = 0; k < YK_COUNT_OF(sizes); k++)
        body(dev, s, sizes[k]);
}

#define ON_EVERY_DEVICE(body)                                                                                          \
    static void each_##body(yoke_device *dev, yoke_stream *s) { each_size(dev, s, body); }                             \
    TEST(body##_on_every_device) { on_every_device(each_##body); }
ON_EVERY_DEVICE(try_prefix)
ON_EVERY_DEVICE(try_kept)
ON_EVERY_DEVICE(try_composed)
ON_EVERY_DEVICE(try_in_place)
ON_EVERY_DEVICE(try_segments)

/* The form for an OpenCL GPU, on whatever OpenCL device there is. */
TEST(forms_for_an_opencl_gpu)
{
    yoke_device *dev = yoke_device_open("opencl:0");
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        SKIP("%s", yoke_device_error(dev));
    if (yoke_device_about(dev)->group_most < 256)
        SKIP("groups of %u", yoke_device_about(dev)->group_most);
    dev->info.is_gpu = true;
    each_size(dev, s, try_prefix);
    each_size(dev, s, try_composed);
    each_size(dev, s, try_in_place);
    each_size(dev, s, try_segments);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(scans_compile_for_cuda)
{
    for (const yoke_kernel *k = yk_kernels(); k; k = k->next) {
        yk_buf text = {0};
        yk_binary b = {.is_ptx = false};
        yk_error e = {.text = ""};
        yk_text_write(k, &(yk_machine){.is_cuda = true, .is_gpu = true, .units = 132}, &text);
        int err = yk_nvrtc_compile(&(yk_build_source){yk_buf_str(&text), YK_CUDA_OPTIONS, k->name, 90}, &b, &e);
        if (err == -ENOPKG)
            SKIP("%s", e.text);
        if (err < 0)
            test_fail(__FILE__, __LINE__, "%s\n%s", e.text, yk_buf_str(&b.log));
        yk_binary_done(&b);
        yk_buf_done(&text);
    }
}

static void try_refused(yoke_device *dev, yoke_stream *s)
{
    int *dx = up(s, NULL, 4);
    CHECK_INT(yoke_enqueue_scan(s, running_most, 0, dx), 0);
    CHECK_INT(yoke_enqueue_scan(s, running_most, SIZE_MAX, dx), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel running_most: n is -1, and should be 0 or more");
    CHECK_INT(yoke_enqueue_scan(NULL, running_most, 1, dx), -EINVAL);
    check_told(s, -EINVAL, "kernel running_most: n is -1, and should be 0 or more");
    yoke_device_free(dev, dx);
}

TEST(what_is_refused)
{
    on_every_device(try_refused);
}
