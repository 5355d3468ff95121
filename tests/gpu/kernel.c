/* Kernels and reductions: values on every device, what they refuse, and what they do when something fails. */
#include "gpu/kernel.h"
#include "kernel_try.h"
#include <pthread.h>

YOKE_DEVICE_CODE(
    struct point { float x, y; long tag; };
    struct least_most { int least, most; long sum; };
    YOKE_FN struct least_most lone(int x) { struct least_most m; m.least = m.most = x; m.sum = x; return m; }
    YOKE_FN struct least_most merged(struct least_most a, struct least_most b)
    {
        struct least_most m;
        m.least = yoke_lesser(a.least, b.least);
        m.most = yoke_greater(a.most, b.most);
        m.sum = a.sum + b.sum;
        return m;
    }
)

YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
YOKE_KERNEL(shifted, ((in, int, x, n + k), (val, int, k), (out, int, y)), y[i] = x[i + k] - x[i];)
YOKE_KERNEL(values, ((val, struct point, p), (val, bool, yes), (val, size_t, size), (val, signed char, c), (out, double, y)),
            y[i] = (double)p.x + (double)p.y * 10 + (double)p.tag * 100 + (yes ? 0.5 : 0.25) + (double)size + c;)
YOKE_KERNEL(points, ((inout, struct point, p), (in, unsigned char, keep)),
            if (!keep[i]) continue; p[i].x += 1.0f; p[i].tag = i; p[i].y = p[i].x * 2.0f;)
YOKE_KERNEL(histogram, ((in, unsigned, x), (inout, unsigned, bins, 16)), yoke_atomic_add(&bins[x[i] & 15u], 1u);)
YOKE_KERNEL(atomics, ((in, int, x), (inout, int, small, 8), (inout, long, large, 4), (inout, float, sum, 1)),
            yoke_atomic_min(&small[0], x[i]); yoke_atomic_max(&small[1], x[i]); yoke_atomic_or(&small[2], x[i] & 255);
            yoke_atomic_xor(&small[3], x[i]); yoke_atomic_and(&small[4], x[i] | 0x70000000); yoke_atomic_sub(&small[5], 3);
            if (yoke_atomic_cas(&small[6], 0, 1) == 0) small[7] = yoke_atomic_swap(&small[6], 5);
            yoke_atomic_add(&large[0], (long)x[i]); yoke_atomic_min(&large[1], (long)x[i]);
            yoke_atomic_max(&large[2], (long)x[i] * 256); yoke_atomic_addf(&sum[0], 0.5f);)
YOKE_KERNEL(numbered, ((out, long, y)), y[i] = i * 2 + n;)
YOKE_KERNEL(mixed, ((in, unsigned char, x), (inout, double, y), (out, short, z), (in, float, w)),
            y[i] += x[i] * 0.5; z[i] = (short)(x[i] + w[i]);)
YOKE_KERNEL(taken_away, ((inout, unsigned long, sum, 1), (inout, int, small, 1)),
            yoke_atomic_sub(&sum[0], 3u); yoke_atomic_sub(&small[0], -2);)
YOKE_KERNEL(weighed, ((val, long, m), (in, float, weights, m), (inout, float, y)), y[i] += m > 0 ? weights[i % m] : 1.0f;)
YOKE_KERNEL(a_kernel_whose_name_does_not_fit_into_a_buffer_of_eighty_bytes_after_kernel_,
            ((out, int, y)), y[i] = 3;)
YOKE_KERNEL(longer_double, ((out, double, y)), y[i] = (double)((long double)i + 1);)
YOKE_KERNEL(wrong_for_gpu, ((out, int, y)), y[i] = (int)strlen("C alone has this");)

YOKE_REDUCTION(double, dot, (0), a + b, x[i] * y[i], ((in, double, x), (in, double, y)));
YOKE_REDUCTION(long, total, (0), a + b, x[i], ((in, int, x)));
YOKE_REDUCTION(struct least_most, range, ({INT_MAX, INT_MIN, 0}), merged(a, b), lone(x[i] + k), ((in, int, x), (val, int, k)));
YOKE_REDUCTION(float, largest, (-INFINITY), fmax(a, b), fabs(x[i]), ((in, float, x)));
YOKE_REDUCTION(unsigned char, parity, (0), (unsigned char)(a ^ b), (unsigned char)(i & n), ((val, int, unused)));

static const size_t sizes[] = {1, 2, 255, 256, 1000, 4096, 70001};

static void try_axpy(yoke_device *dev, yoke_stream *s)
{
    for (size_t k = 0; k < YK_COUNT_OF(sizes); k++) {
        size_t n = sizes[k], bytes = (n + 3) * sizeof(float);
        float *x = malloc(bytes), *y = malloc(bytes);
        for (size_t i = 0; i < n + 3; i++) {
            x[i] = (float)i;
            y[i] = 1;
        }
        float *dx = up(s, x, bytes), *dy = up(s, y, bytes);
        DONE(s, yoke_enqueue(s, axpy, n, 2, dx, dy));
        DONE(s, yoke_enqueue(s, axpy, n - 1, 3, dx + 2, dy + 1)); /* not aligned, and each in its own way */
        DONE(s, yoke_enqueue(s, axpy, 0, 3, dx, dy));
        down(s, y, dy, bytes);
        for (size_t i = 0; i < n + 3; i++)
            CHECK_INT(y[i], 1 + (i < n ? 2 * i : 0) + (i >= 1 && i < n ? 3 * (i + 1) : 0));
        yoke_device_free(dev, dx);
        free(x);
        free(y);
    }
}

TEST(axpy_of_all_sizes)
{
    on_every_device(try_axpy);
}

static void try_values(yoke_device *dev, yoke_stream *s)
{
    double y[5];
    if (!yoke_device_about(dev)->has_double)
        return;
    struct point p = {0.5f, 2, 3};
    double *dy = up(s, NULL, sizeof y);
    DONE(s, yoke_enqueue(s, values, 5, p, true, 1000000, -5, dy));
    down(s, y, dy, sizeof y);
    CHECK_NEAR(y[0], 0.5 + 20 + 300 + 0.5 + 1000000 - 5, 0);
    CHECK_NEAR(y[4], y[0], 0);
}

TEST(values_of_every_kind)
{
    on_every_device(try_values);
}

static void try_points(yoke_device *dev, yoke_stream *s)
{
    enum { N = 777 };
    static struct point p[N];
    static unsigned char keep[N];
    for (int i = 0; i < N; i++) {
        p[i] = (struct point){(float)i, -1, -1};
        keep[i] = i % 3 != 0;
    }
    struct point *dp = up(s, p, sizeof p);
    unsigned char *dk = up(s, keep, sizeof keep);
    DONE(s, yoke_enqueue(s, points, N, dp, dk));
    down(s, p, dp, sizeof p);
    for (int i = 0; i < N; i++) {
        CHECK_INT(p[i].x, i + keep[i]);
        CHECK_INT(p[i].tag, keep[i] ? i : -1);
        CHECK_INT(p[i].y, keep[i] ? 2 * (i + 1) : -1);
    }
    yoke_device_free(dev, dk);
}

TEST(arrays_of_structs)
{
    on_every_device(try_points);
}

static void try_atomics(yoke_device *dev, yoke_stream *s)
{
    enum { N = 5000 };
    static unsigned x[N];
    unsigned bins[16] = {0}, right[16] = {0};
    int small[8] = {0, 0, 0, 0, -1, 0, 0, 0};
    long large[4] = {0}, sum = 0, most = LONG_MIN, least = 0;
    int xored = 0;
    float half = 0;
    for (int i = 0; i < N; i++) {
        x[i] = (unsigned)test_random();
        right[x[i] & 15]++;
        sum += (int)x[i];
        xored ^= (int)x[i];
        least = YK_MIN(least, (int)x[i]);
        most = YK_MAX(most, (long)(int)x[i] * 256);
    }
    unsigned *dx = up(s, x, sizeof x), *db = up(s, bins, sizeof bins);
    int *ds = up(s, small, sizeof small);
    long *dl = up(s, large, sizeof large);
    float *dh = up(s, &half, sizeof half);
    DONE(s, yoke_enqueue(s, histogram, N, dx, db));
    DONE(s, yoke_enqueue(s, atomics, N, (int *)dx, ds, dl, dh));
    down(s, bins, db, sizeof bins);
    down(s, small, ds, sizeof small);
    down(s, large, dl, sizeof large);
    down(s, &half, dh, sizeof half);
    CHECK(memcmp(bins, right, sizeof bins) == 0);
    CHECK_INT(small[0], least);
    CHECK_INT(small[1], most / 256);
    CHECK_INT(small[2], 255);
    CHECK_INT(small[3], xored);
    CHECK_INT(small[4] & 0x70000000, 0x70000000);
    CHECK_INT(small[5], -3 * N);
    CHECK_INT(small[6], 5);
    CHECK_INT(small[7], 1);
    CHECK_INT(large[0], sum);
    CHECK_INT(large[1], least);
    CHECK_INT(large[2], most);
    CHECK_INT(half, N / 2);
    yoke_device_free(dev, dx);
}

TEST(atomic_operations)
{
    on_every_device(try_atomics);
}

static void try_others(yoke_device *dev, yoke_stream *s)
{
    enum { N = 3001 };
    static unsigned char x[N];
    static double y[N];
    static short z[N];
    static float w[N];
    static long numbers[N];
    static int a[N + 9], b[N];
    for (int i = 0; i < N + 9; i++)
        a[i] = i * i;
    for (int i = 0; i < N; i++) {
        x[i] = (unsigned char)i;
        y[i] = i;
        w[i] = (float)-i;
    }
    void *dx = up(s, x, sizeof x), *dw = up(s, w, sizeof w);
    double *dy = up(s, y, sizeof y);
    short *dz = up(s, NULL, sizeof z);
    long *dn = up(s, NULL, sizeof numbers);
    int *da = up(s, a, sizeof a), *db = up(s, NULL, sizeof b);
    DONE(s, yoke_enqueue(s, shifted, N, da, 9, db));
    DONE(s, yoke_enqueue(s, numbered, N, dn));
    if (yoke_device_about(dev)->has_double)
        DONE(s, yoke_enqueue(s, mixed, N, dx, dy, dz, dw));
    down(s, b, db, sizeof b);
    down(s, numbers, dn, sizeof numbers);
    down(s, y, dy, sizeof y);
    down(s, z, dz, sizeof z);
    for (int i = 0; i < N; i++) {
        CHECK_INT(b[i], (i + 9) * (i + 9) - i * i);
        CHECK_INT(numbers[i], 2L * i + N);
        if (yoke_device_about(dev)->has_double) {
            CHECK_NEAR(y[i], i + x[i] * 0.5, 0);
            CHECK_INT(z[i], (short)(x[i] - i));
        }
    }
    yoke_device_free(dev, dx);
    yoke_device_free(dev, dw);
    yoke_device_free(dev, da);
}

TEST(elements_of_several_sizes)
{
    on_every_device(try_others);
}

TEST(counts_of_parameters)
{
    const struct yk_kernel_args_shifted args = {100, NULL, 7, NULL};
    size_t counts[3];
    yoke_kernel_shifted.counts(&args, counts);
    CHECK_INT(counts[0], 107);
    CHECK_INT(counts[2], 100);
    CHECK_STR(yoke_kernel_shifted.params[0].count, "n + k");
    CHECK_STR(yoke_kernel_shifted.params[2].count, "n");
}

/* ---- Reductions ---- */

static void try_reductions(yoke_device *dev, yoke_stream *s)
{
    for (size_t k = 0; k < YK_COUNT_OF(sizes); k++) {
        size_t n = sizes[k];
        double *x = malloc(n * sizeof *x);
        int *v = malloc(n * sizeof *v), least = INT_MAX, most = INT_MIN;
        float *f = malloc(n * sizeof *f), top = 0;
        long sum = 0;
        double squares = 0;
        unsigned char bits = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (double)(i % 100);
            squares += x[i] * x[i];
            v[i] = (int)(test_random() >> 34) - (1 << 29);
            f[i] = (float)v[i];
            top = fmax(top, fabs(f[i]));
            least = YK_MIN(least, v[i]);
            most = YK_MAX(most, v[i]);
            sum += v[i];
            bits ^= (unsigned char)(i & n);
        }
        double *dx = up(s, x, n * sizeof *x);
        int *dv = up(s, v, n * sizeof *v);
        float *df = up(s, f, n * sizeof *f);
        if (yoke_device_about(dev)->has_double)
            CHECK_NEAR(yoke_reduction(s, dot, n, dx, dx), squares, 0); /* small integers */
        CHECK_INT(yoke_reduction(s, total, n, dv), sum);
        struct least_most m = yoke_reduction(s, range, n, dv, 3);
        CHECK_INT(m.least, least + 3);
        CHECK_INT(m.most, most + 3);
        CHECK_INT(m.sum, sum + 3 * (long)n);
        CHECK_NEAR((double)yoke_reduction(s, largest, n, df), (double)top, 0);
        CHECK_INT(yoke_reduction(s, parity, n, 0), bits);
        CHECK_STR(yoke_device_error(dev), "");
        yoke_device_free(dev, dx);
        yoke_device_free(dev, dv);
        yoke_device_free(dev, df);
        free(x);
        free(v);
        free(f);
    }
}

TEST(reductions_of_all_sizes)
{
    on_every_device(try_reductions);
}

static void try_reduction_in_order(yoke_device *dev, yoke_stream *s)
{
    enum { N = 50000 };
    static float x[N], other[N];
    float first, again, got[2];
    for (int i = 0; i < N; i++)
        x[i] = (float)(test_random() % 1000) / 7;
    float *dx = up(s, x, sizeof x), *ret = up(s, NULL, sizeof got);
    first = yoke_reduction(s, largest, N, dx);
    again = yoke_reduction(s, largest, N, dx);
    CHECK(memcmp(&first, &again, sizeof first) == 0);
    /* Results that stay on the device, between kernels that use and change what they read. */
    DONE(s, yoke_enqueue_reduction(s, largest, N, ret, dx));
    DONE(s, yoke_enqueue(s, axpy, 1, 1, ret, dx + 5));
    DONE(s, yoke_enqueue_reduction(s, largest, N, ret + 1, dx));
    DONE(s, yoke_enqueue_reduction(s, largest, 0, ret, dx));
    down(s, got, ret, sizeof got);
    CHECK_NEAR(got[1], (double)fmax(first, x[5] + first), 0);
    CHECK(isinf(got[0]) && got[0] < 0);
    CHECK(isinf(yoke_reduction(s, largest, 0, dx)));
    down(s, other, dx, sizeof other);
    CHECK_NEAR(other[5], (double)(x[5] + first), 0);
}

TEST(reductions_in_the_order_of_a_stream)
{
    on_every_device(try_reduction_in_order);
}

static void try_taken_away(yoke_device *dev, yoke_stream *s)
{
    unsigned long sum = 10000;
    int small = 0;
    void *dsum = up(s, &sum, sizeof sum), *dsmall = up(s, &small, sizeof small);
    DONE(s, yoke_enqueue(s, taken_away, 1000, dsum, dsmall));
    down(s, &sum, dsum, sizeof sum);
    down(s, &small, dsmall, sizeof small);
    CHECK_INT(sum, 7000);
    CHECK_INT(small, 2000);
}

TEST(what_is_subtracted_has_the_type_of_the_place)
{
    on_every_device(try_taken_away);
}

/* No element of it is read: it may be anywhere, or nowhere. */
static void try_empty(yoke_device *dev, yoke_stream *s)
{
    float y[3] = {1, 2, 3}, host[1] = {0}, *dy = up(s, y, sizeof y);
    DONE(s, yoke_enqueue(s, weighed, 3, 0, host, dy));
    DONE(s, yoke_enqueue(s, weighed, 3, 0, NULL, dy));
    down(s, y, dy, sizeof y);
    for (int i = 0; i < 3; i++)
        CHECK_INT(y[i], i + 3);
}

TEST(an_array_without_elements)
{
    on_every_device(try_empty);
}

static void try_long_name(yoke_device *dev, yoke_stream *s)
{
    int y[4] = {0}, *dy = up(s, NULL, sizeof y);
    DONE(s, yoke_enqueue(s, a_kernel_whose_name_does_not_fit_into_a_buffer_of_eighty_bytes_after_kernel_,
                         4, dy));
    down(s, y, dy, sizeof y);
    CHECK_INT(y[3], 3);
}

TEST(a_long_name)
{
    on_every_device(try_long_name);
}

static void try_long_double(yoke_device *dev, yoke_stream *s)
{
    double y[2] = {0}, *dy = up(s, NULL, sizeof y);
    int err = yoke_enqueue(s, longer_double, 2, dy);
    CHECK_INT(err, yoke_device_about(dev)->driver[1] == 'p' && yoke_device_about(dev)->driver[0] == 'c' ? 0 : -EINVAL);
    if (err < 0)
        check_told(s, -EINVAL, "has no long double");
    down(s, y, dy, sizeof y);
    if (err == 0)
        CHECK_INT(y[1], 2);
}

TEST(devices_have_no_long_double)
{
    on_every_device(try_long_double);
}

/* ---- What is refused ---- */

static void try_too_short(yoke_device *dev, yoke_stream *s)
{
    float *x = up(s, NULL, 4096), *y = up(s, NULL, 4096);
    CHECK_INT(yoke_enqueue(s, axpy, 1000000, 1, x, y), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel axpy: x has ");
    CHECK_HAS(yoke_device_error(dev), " elements, and should have 1000000 (n)");
    CHECK_INT(yoke_enqueue(s, axpy, SIZE_MAX / 4, 1, x, y), -EINVAL);
    CHECK_INT(yoke_enqueue(s, shifted, 10, (int *)x, 1000000, (int *)y), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel shifted: x has ");
    CHECK_HAS(yoke_device_error(dev), "should have 1000010 (n + k)");
    CHECK(isinf(yoke_reduction(s, largest, 1000000, x)));
    CHECK_INT(yoke_enqueue(s, axpy, 512, 1, x + 512, y), 0);
    CHECK_INT(yoke_stream_wait(s), -EINVAL); /* tells of the first */
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_device_free(dev, x);
    yoke_device_free(dev, y);
}

TEST(an_array_that_is_too_short)
{
    on_every_device(try_too_short);
}

/* NULL and memory that was freed: refused by name, unless there are no elements. */
static void try_null(yoke_device *dev, yoke_stream *s)
{
    float *x = up(s, NULL, 4096), *y = up(s, NULL, 4096), *none = NULL, y0 = 0;
    const int *no_ints = NULL;
    char why[100];
    CHECK_INT(yoke_enqueue(s, axpy, 10, 1, none, y), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel axpy: x is NULL");
    CHECK_INT(yoke_enqueue(s, shifted, 10, (int *)x, 0, NULL), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel shifted: y is NULL");
    CHECK_INT(yoke_enqueue_reduction(s, total, 10, (long *)(void *)y, no_ints), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel total: x is NULL");
    CHECK_INT(yoke_enqueue(s, weighed, 10, -4, x, y), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "and should have -4 (m)");
    check_told(s, -EINVAL, "kernel axpy: x is NULL");
    CHECK_INT(yoke_enqueue(s, axpy, 0, 1, none, none), 0);
    CHECK_INT(yoke_stream_fill(s, y, &y0, 4, 10), 0);
    CHECK_INT(yoke_enqueue(s, weighed, 10, 0, none, y), 0);
    yoke_device_free(dev, x);
    CHECK_INT(yoke_enqueue(s, axpy, 10, 1, x, y), -EFAULT);
    snprintf(why, sizeof why, "kernel axpy: x is memory of %s that has been freed", yoke_device_about(dev)->uri);
    CHECK_STR(yoke_device_error(dev), why);
    CHECK_INT(yoke_stream_copy(s, y, x, 16), -EFAULT);
    CHECK_HAS(yoke_device_error(dev), "that has been freed");
    check_told(s, -EFAULT, why);
    yoke_device_free(dev, y);
    CHECK_INT(yoke_stream_wait(s), 0);
}

TEST(arrays_that_are_none_any_more)
{
    on_every_device(try_null);
}

/* One device opened twice: each has its memory, and every refusal says so in the same words. */
static void try_twice(yoke_device *dev, yoke_stream *s)
{
    yoke_device *again = yoke_device_open(yoke_device_about(dev)->uri);
    yoke_stream_event *v = yoke_stream_event_open(again);
    float *x = yoke_device_alloc(again, 4096), *y = up(s, NULL, 4096);
    const char *uri = yoke_device_about(dev)->uri;
    char why[200];
    CHECK(x && v);
    snprintf(why, sizeof why, "not of %s as it was opened here", uri);
    if (strcmp(yoke_device_about(dev)->driver, "cpu") == 0) { /* ordinary memory */
        CHECK_INT(yoke_stream_copy(s, y, x, 16), 0);
        CHECK_INT(yoke_stream_fill(s, x, "", 1, 4096), 0);
        CHECK_INT(yoke_enqueue(s, axpy, 4, 1, x, y), 0);
    } else {
        CHECK_INT(yoke_stream_copy(s, y, x, 16), -EINVAL);
        CHECK_HAS(yoke_device_error(dev), why);
        CHECK_INT(yoke_enqueue(s, axpy, 4, 1, x, y), -EFAULT);
        CHECK_HAS(yoke_device_error(dev), why);
    }
    snprintf(why, sizeof why, "the event belongs to %s, the stream to %s as it was opened here", uri, uri);
    CHECK_INT(yoke_stream_mark(s, v), -EINVAL);
    CHECK_STR(yoke_device_error(dev), why);
    CHECK_INT(yoke_stream_wait(s), -EINVAL);
    yoke_device_free(dev, y);
    yoke_stream_event_close(v);
    CHECK_INT(yoke_device_close(again), 0);
}

TEST(a_device_that_is_opened_twice_is_two)
{
    on_every_device(try_twice);
}

TEST(no_stream)
{
    float x[1] = {0};
    CHECK_INT(yoke_enqueue(NULL, axpy, 1, 1, x, x), -EINVAL);
    CHECK_INT(yoke_enqueue_reduction(NULL, largest, 1, x, x), -EINVAL);
    CHECK(isinf(yoke_reduction(NULL, largest, 1, x)));
}

static void try_too_many(yoke_device *dev, yoke_stream *s)
{
    float *x = up(s, NULL, 4);
    CHECK_INT(yoke_enqueue(s, axpy, SIZE_MAX, 1, x, x), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "kernel axpy: n is -1, and should be 0 or more");
    CHECK_INT(yoke_enqueue_reduction(s, largest, SIZE_MAX / 2 + 1, x, x), -EINVAL);
    check_told(s, -EINVAL, "kernel axpy: n is -1, and should be 0 or more");
    yoke_device_free(dev, x);
}

TEST(too_many_elements)
{
    on_every_device(try_too_many);
}

static yoke_device *opencl(void)
{
    if (*yoke_driver_error("opencl"))
        SKIP("%s", yoke_driver_error("opencl"));
    yoke_device *dev = yoke_device_open("opencl:0");
    CHECK_STR(yoke_device_error(dev), "");
    return dev;
}

TEST(memory_of_another)
{
    yoke_device *dev = opencl(), *second = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    float host[4] = {0}, *mine = up(s, host, sizeof host), *others = yoke_device_alloc(second, sizeof host);
    if (!yoke_device_about(dev)->shares_host_memory) {
        CHECK_INT(yoke_enqueue(s, axpy, 4, 1, others, mine), -EFAULT);
        CHECK_HAS(yoke_device_error(dev), "kernel axpy: x is memory of cpu, not of opencl:0");
        CHECK_INT(yoke_enqueue(s, axpy, 4, 1, mine, host), -EFAULT);
        CHECK_HAS(yoke_device_error(dev), "kernel axpy: y is memory of the host, not of opencl:0");
        CHECK_INT(yoke_enqueue_reduction(s, largest, 4, host, mine), -EFAULT);
        CHECK_HAS(yoke_device_error(dev), "the result is to be in memory of opencl:0");
    }
    DONE(s, yoke_enqueue(s, axpy, 4, 1, mine, mine));
    check_told(s, -EFAULT, "kernel axpy: x is memory of cpu, not of opencl:0");
    yoke_stream *cpu = yoke_stream_open(second);
    float sum = 0;
    CHECK_INT(yoke_enqueue(cpu, axpy, 4, 1, mine, others), -EFAULT);
    CHECK_STR(yoke_device_error(second), "kernel axpy: x is memory of opencl:0, not of cpu");
    CHECK_INT(yoke_enqueue_reduction(cpu, largest, 4, &sum, mine), -EFAULT);
    CHECK(isinf(yoke_reduction(cpu, largest, 4, mine)));
    DONE(cpu, yoke_enqueue(cpu, axpy, 4, 1, host, others));
    check_told(cpu, -EFAULT, "kernel axpy: x is memory of opencl:0, not of cpu");
    yoke_device_free(dev, mine);
    yoke_device_free(second, others);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(yoke_device_close(second), 0);
}

TEST(what_does_not_compile)
{
    yoke_device *dev = opencl();
    yoke_stream *s = yoke_stream_open(dev);
    int *y = up(s, NULL, 4);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(yoke_enqueue(s, wrong_for_gpu, 1, y), -EINVAL);
        CHECK_HAS(yoke_device_error(dev), "kernel wrong_for_gpu (");
        CHECK_HAS(yoke_device_error(dev), "tests/gpu/kernel.c:");
        CHECK_HAS(yoke_device_error(dev), "does not compile for opencl:0: ");
        CHECK_HAS(yoke_device_error(dev), "strlen");
    }
    CHECK_INT(yoke_enqueue(s, numbered, 0, NULL), 0);
    yoke_device_free(dev, y);
    CHECK_INT(yoke_device_close(dev), -EINVAL); /* nobody has waited */
}

TEST(no_memory)
{
    yoke_device *dev = opencl();
    yoke_stream *s = yoke_stream_open(dev);
    long *y = up(s, NULL, 80), got[10];
    int err = -ENOMEM;
    for (int n = 1; err < 0; n++) {
        CHECK(n < 20);
        yk_sys_fail("calloc", n, ENOMEM);
        err = yoke_enqueue(s, numbered, 10, y);
        yk_sys_fail("calloc", 0, 0);
        if (err < 0) {
            CHECK_INT(err, -ENOMEM);
            CHECK_HAS(yoke_device_error(dev), "numbered");
            check_told(s, -ENOMEM, "numbered");
        }
    }
    down(s, got, y, sizeof got);
    CHECK_INT(got[9], 28);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- Several threads ---- */

static yoke_device *shared;

static void *launch_many(void *arg)
{
    yoke_stream *s = yoke_stream_open(shared);
    long *y = up(s, NULL, 100 * sizeof *y), got[100];
    for (int i = 0; i < 20; i++)
        DONE(s, yoke_enqueue(s, numbered, 100, y));
    down(s, got, y, sizeof got);
    for (int i = 0; i < 100; i++)
        CHECK_INT(got[i], 2 * i + 100);
    CHECK_INT(yoke_stream_close(s), 0);
    return NULL;
}

static void try_threads(yoke_device *dev, yoke_stream *s)
{
    pthread_t threads[4];
    shared = dev;
    for (size_t i = 0; i < YK_COUNT_OF(threads); i++)
        CHECK_INT(pthread_create(&threads[i], NULL, launch_many, NULL), 0);
    for (size_t i = 0; i < YK_COUNT_OF(threads); i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
}

TEST(several_threads_meet_at_a_kernel)
{
    on_every_device(try_threads);
}

/* A break beside loops, which no compiler finds. */
YOKE_KERNEL(broken, ((in, int, x), (out, int, y)), for (int j = 0; j < 2; j++) y[i] = j; if (x[i] == 3) { break; } y[i] = x[i];)

static void try_broken(yoke_device *dev, yoke_stream *s)
{
    int from[8] = {0}, to[8] = {0}, *x = up(s, from, sizeof from), *y = up(s, to, sizeof to);
    const char *why = "a break stands outside the loops and switches of its body: continue ends an element";
    CHECK_INT(yoke_enqueue(s, broken, 8, x, y), -EINVAL);
    check_told(s, -EINVAL, why);
    CHECK_INT(yoke_prepare(dev, broken), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), why);
    down(s, from, x, sizeof from);
    down(s, to, y, sizeof to);
    yoke_future *f = yoke_launch(NULL, broken, 8, from, to);
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_HAS(yoke_error(f), why);
    yoke_release(f);
    CHECK_INT(to[0], 0);
}

TEST(a_break_that_would_end_a_chunk)
{
    on_every_device(try_broken);
}

/* The functions of C by the names that they have for floats. */
enum { NAMES = 64 };
YOKE_DEVICE_CODE(struct names { float r[64]; }; YOKE_FN float twice_sinf(float x) { return 2 * sinf(x); })
YOKE_KERNEL(float_names, ((in, float, x), (out, struct names, y)),
            const float v = x[i]; const float w = x[i] * 7 - 2.5f; float r[64]; float whole; int e;
            r[0] = (float)sinf(v); r[1] = (float)cosf(v); r[2] = (float)tanf(v); r[3] = (float)asinf(v);
            r[4] = (float)acosf(v); r[5] = (float)atanf(v); r[6] = (float)sinhf(v); r[7] = (float)coshf(v);
            r[8] = (float)tanhf(v); r[9] = (float)asinhf(v); r[10] = (float)atanhf(v); r[11] = (float)expf(v);
            r[12] = (float)exp2f(v); r[13] = (float)expm1f(v); r[14] = (float)logf(v); r[15] = (float)log2f(v);
            r[16] = (float)log10f(v); r[17] = (float)log1pf(v); r[18] = (float)logbf(v); r[19] = (float)ilogbf(v);
            r[20] = (float)sqrtf(v); r[21] = (float)cbrtf(v); r[22] = (float)fabsf(v); r[23] = (float)floorf(v);
            r[24] = (float)ceilf(v); r[25] = (float)truncf(v); r[26] = (float)roundf(v); r[27] = (float)rintf(v);
            r[28] = (float)erff(v); r[29] = (float)erfcf(v); r[30] = (float)erff(2 * v); r[31] = (float)tgammaf(v);
            r[32] = (float)nearbyintf(v); r[33] = (float)lroundf(v); r[34] = (float)llroundf(v);
            r[35] = (float)lrintf(v); r[36] = (float)llrintf(v); r[37] = (float)acoshf(v + 1.5f);
            r[38] = (float)powf(v, w); r[39] = (float)fmodf(v, w); r[40] = (float)remainderf(v, w);
            r[41] = (float)fmaxf(v, w); r[42] = (float)fminf(v, w); r[43] = (float)fdimf(v, w);
            r[44] = (float)atan2f(v, w); r[45] = (float)hypotf(v, w); r[46] = (float)copysignf(v, w);
            r[47] = (float)nextafterf(v, w); r[48] = (float)fmaf(v, w, v); r[49] = (float)scalbnf(v, 3);
            r[50] = (float)ldexpf(v, -2); r[51] = frexpf(w, &e) + e; r[52] = modff(w, &whole) + whole;
            r[53] = (float)lround(9 * v); r[54] = (float)lrint(9 * v); r[55] = (float)llround(9 * v);
            r[56] = (float)llrint(9 * v); r[57] = (float)nearbyint(9 * v); r[58] = (float)scalbn(v, 5);
            r[59] = (float)sinf(w / 4.0); r[60] = (float)powf(2, 3); r[61] = (float)fmaxf(1, v);
            r[62] = (float)(-abs((int)(9 * v)) / 2); r[63] = (float)(-labs((long)(-9 * v)) / 2);
            for (int j = 0; j < 64; j++) y[i].r[j] = r[j];
            y[i].r[0] += twice_sinf(v);)

/* Of one element, for one thread: C's writes signgam, too. */
YOKE_KERNEL(lgamma_name, ((in, float, x), (out, float, y)), y[i] = lgammaf(x[i]);)

static void try_lgammaf(yoke_device *dev, yoke_stream *s)
{
    float x = 4.5f, y = 0, *dx = up(s, &x, sizeof x), *dy = up(s, &y, sizeof y);
    DONE(s, yoke_enqueue(s, lgamma_name, 1, dx, dy));
    down(s, &y, dy, sizeof y);
    yoke_device_free(dev, dx);
    CHECK(fabsf(y - 2.4537365f) < 1e-5f);
}

static void try_float_names(yoke_device *dev, yoke_stream *s)
{
    enum { N = 40 };
    static float x[N];
    static struct names y[N], expected[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i + 1) / (N + 2);
    const struct yk_kernel_args_float_names args = {N, x, expected};
    yoke_kernel_float_names.chunk(0, N, &args);
    float *dx = up(s, x, sizeof x);
    struct names *dy = up(s, y, sizeof y);
    DONE(s, yoke_enqueue(s, float_names, N, dx, dy));
    down(s, y, dy, sizeof y);
    yoke_device_free(dev, dx);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < NAMES; j++) {
            float a = y[i].r[j], b = expected[i].r[j];
            if (!(fabsf(a - b) <= 2e-5f * (1 + fabsf(b)) || a == b || (isnan(a) && isnan(b))))
                test_fail(__FILE__, __LINE__, "%d of %g: %g, expected %g", j, (double)x[i], (double)a, (double)b);
        }
}

TEST(float_functions_of_c)
{
    on_every_device(try_float_names);
    on_every_device(try_lgammaf);
}

TEST(kernels_are_known)
{
    unsigned found = 0;
    for (const yoke_kernel *k = yk_kernels(); k; k = k->next)
        found += strcmp(k->name, "axpy") == 0 || strcmp(k->name, "dot") == 0;
    CHECK_INT(found, 2);
    yk_kernel_remove(&yoke_kernel_axpy);
    for (const yoke_kernel *k = yk_kernels(); k; k = k->next)
        CHECK(k != &yoke_kernel_axpy);
    yk_kernel_remove(&yoke_kernel_axpy); /* again */
    yk_kernel_add(&yoke_kernel_axpy);
    CHECK(yk_kernels() == &yoke_kernel_axpy);
}

/* The form for an OpenCL GPU, on whatever OpenCL device there is. */
TEST(forms_for_an_opencl_gpu)
{
    yoke_device *dev = opencl();
    yoke_stream *s = yoke_stream_open(dev);
    if (yoke_device_about(dev)->group_most < 256)
        SKIP("groups of %u", yoke_device_about(dev)->group_most);
    dev->info.is_gpu = true;
    try_axpy(dev, s);
    try_points(dev, s);
    try_atomics(dev, s);
    try_reductions(dev, s);
    try_reduction_in_order(dev, s);
    CHECK_INT(yoke_device_close(dev), 0);
}
