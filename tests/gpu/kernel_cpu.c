/* kernel_cpu.c - kernels and array operations on the CPU: that they write past the caches, made to do so at every length, gives
 * what plain stores give, touches no byte beyond, and is the same in the text for an OpenCL CPU; and results have the same bits
 * however the pool cuts the call. */
#include "kernel_try.h"
#include "gpu/kernel.h"
#include "topo/past_cache.h"
#include <stdlib.h>
#include <yoke/array.h>
#include <yoke/executor.h>

YOKE_DEVICE_CODE(struct three { float x, y, z; }; struct five { double e[5]; };)

YOKE_KERNEL(past_u8, ((in, int, x), (out, uint8_t, y)), y[i] = (uint8_t)(x[i] * 3);)
YOKE_KERNEL(past_i16, ((in, int, x), (out, int16_t, y)), y[i] = (int16_t)(x[i] - 5);)
YOKE_KERNEL(past_f32, ((val, float, a), (in, int, x), (out, float, y)), y[i] = a * (float)x[i];)
YOKE_KERNEL(past_f64, ((in, int, x), (out, double, y)), y[i] = x[i]; y[i] += 1;)
YOKE_KERNEL(past_three, ((in, int, x), (out, struct three, y)),
            y[i].x = (float)x[i];
            y[i].y = (float)i;
            y[i].z = (float)n;)
YOKE_KERNEL(past_five, ((in, int, x), (out, struct five, y)),
            y[i].e[0] = x[i]; y[i].e[1] = 1; y[i].e[2] = 2; y[i].e[3] = 3; y[i].e[4] = 4;)
YOKE_KERNEL(past_two, ((in, int, x), (out, float, y), (out, uint8_t, z), (inout, int, w)),
            y[i] = (float)x[i];
            z[i] = (uint8_t)(x[i] & 1);
            w[i] += x[i];)
YOKE_KERNEL(past_six, ((in, int, x), (out, int, a), (out, int, b), (out, int, c), (out, int, d), (out, int, e), (out, int, f)),
            a[i] = x[i]; b[i] = x[i] + 1; c[i] = x[i] + 2; d[i] = x[i] + 3; e[i] = x[i] + 4; f[i] = x[i] + 5;)
YOKE_KERNEL(past_not, ((in, int, x), (out, int, y), (out, int, z, 2 * n)),
            y[i] = x[i];
            z[2 * i] = x[i];
            z[2 * i + 1] = 0;)
YOKE_KERNEL(past_skips, ((in, int, x), (out, int, y)),
            y[i] = 0;
            if (x[i] % 3 == 0)
                continue;
            y[i] = x[i];)

struct nothing { };
YOKE_KERNEL(past_unused, ((in, int, x), (out, int, y), (out, int, unused)), y[i] = x[i];)
YOKE_KERNEL(past_long, ((in, int, x), (out, float, y)), y[i] = sin(x[i]);)
YOKE_KERNEL(past_nothing, ((in, int, x), (out, struct nothing, y), (out, int, z)), (void)y[i]; z[i] = x[i];)
YOKE_KERNEL(past_decays, ((in, int, x), (out, struct five, y)),
            YOKE_GLOBAL double *e = y[i].e;
            for (int k = 0; k < 5; k++)
                e[k] = x[i];)

enum { GUARD = 128 };
static const size_t lengths[] = {1, 2, 63, 64, 511, 1023, 1024, 1025, 1088, 1100, 5000, 65539};
static const unsigned shifts[] = {0, 1, 3, 4, 16, 33};

/* An array of the device, some elements behind the beginning of a block, between bytes that must stay. */
typedef struct guarded {
    char *block, *array;
    size_t bytes, before;
} guarded;

static guarded guard(yoke_stream *s, size_t bytes, size_t before)
{
    guarded g = {.bytes = bytes, .before = GUARD + before};
    g.block = up(s, NULL, g.before + bytes + GUARD);
    CHECK_INT(yoke_stream_fill(s, g.block, &(uint8_t){0xa5}, 1, g.before + bytes + GUARD), 0);
    g.array = g.block + g.before;
    return g;
}

/* What lies in it, for the caller to free. */
static void *take(yoke_stream *s, guarded *g)
{
    size_t all = g->before + g->bytes + GUARD;
    uint8_t *host = malloc(all), *ret = malloc(g->bytes);
    CHECK(host && ret);
    down(s, host, g->block, all);
    for (size_t i = 0; i < all; i++)
        if (i < g->before || i >= g->before + g->bytes)
            CHECK_INT(host[i], 0xa5);
    memcpy(ret, host + g->before, g->bytes);
    free(host);
    return ret;
}

static int *numbers(size_t n)
{
    int *x = malloc(n * sizeof *x);
    CHECK(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (int)(i * 7 % 1000);
    return x;
}

#define PAST(NAME, T, RIGHT, ...)                                                                                      \
    static void try_##NAME(yoke_stream *s, int *x, size_t n, unsigned shift)                                           \
    {                                                                                                                  \
        guarded y = guard(s, n * sizeof(T), shift * sizeof(T));                                                        \
        int *dx = up(s, x, n * sizeof *x);                                                                             \
        DONE(s, yoke_enqueue(s, NAME, n, ##__VA_ARGS__, dx, (T *)(void *)y.array));                                    \
        T *r = take(s, &y);                                                                                            \
        for (size_t i = 0; i < n; i++)                                                                                 \
            if (!(RIGHT))                                                                                              \
                test_fail(__FILE__, __LINE__, #NAME ": element %zu of %zu, %u on, is wrong", i, n, shift);             \
        free(r);                                                                                                       \
        yoke_device_free(yoke_stream_device(s), dx);                                                                   \
    }
PAST(past_u8, uint8_t, r[i] == (uint8_t)(x[i] * 3))
PAST(past_i16, int16_t, r[i] == x[i] - 5)
PAST(past_f32, float, r[i] == 1.5f * (float)x[i], 1.5f)
PAST(past_f64, double, r[i] == x[i] + 1)
PAST(past_three, struct three, r[i].x == (float)x[i] && r[i].y == (float)i && r[i].z == (float)n)
PAST(past_five, struct five, r[i].e[0] == x[i] && r[i].e[4] == 4)
PAST(past_skips, int, r[i] == (x[i] % 3 ? x[i] : 0))

static void (*const one_array[])(yoke_stream *s, int *x, size_t n, unsigned shift) = {
    try_past_u8, try_past_i16, try_past_f32, try_past_f64, try_past_three, try_past_five, try_past_skips};

/* Arrays whose lines begin at the same elements, and such whose do not. */
static void try_two(yoke_stream *s, int *x, size_t n, unsigned shift)
{
    guarded y = guard(s, n * sizeof(float), shift * sizeof(float)), z = guard(s, n, shift), w = guard(s, n * sizeof(int), 0);
    int *dx = up(s, x, n * sizeof *x);
    CHECK_INT(yoke_stream_copy(s, w.array, x, n * sizeof *x), 0);
    DONE(s, yoke_enqueue(s, past_two, n, dx, (float *)(void *)y.array, (uint8_t *)z.array, (int *)(void *)w.array));
    float *ry = take(s, &y);
    uint8_t *rz = take(s, &z);
    int *rw = take(s, &w);
    for (size_t i = 0; i < n; i++)
        CHECK(ry[i] == (float)x[i] && rz[i] == (x[i] & 1) && rw[i] == 2 * x[i]);
    free(ry);
    free(rz);
    free(rw);
    yoke_device_free(yoke_stream_device(s), dx);
}

/* More arrays than are written past the caches at a time. */
static void try_six(yoke_stream *s, int *x, size_t n, unsigned shift)
{
    guarded g[6];
    int *dx = up(s, x, n * sizeof *x), *a[6];
    for (unsigned k = 0; k < 6; k++) {
        g[k] = guard(s, n * sizeof(int), (k == 2 ? 1 : shift) * sizeof(int));
        a[k] = (int *)(void *)g[k].array;
    }
    DONE(s, yoke_enqueue(s, past_six, n, dx, a[0], a[1], a[2], a[3], a[4], a[5]));
    for (int k = 0; k < 6; k++) {
        int *r = take(s, &g[k]);
        for (size_t i = 0; i < n; i++)
            CHECK(r[i] == x[i] + k);
        free(r);
    }
    yoke_device_free(yoke_stream_device(s), dx);
}

static void try_not(yoke_stream *s, int *x, size_t n, unsigned shift)
{
    guarded y = guard(s, n * sizeof(int), shift * sizeof(int)), z = guard(s, 2 * n * sizeof(int), 0);
    int *dx = up(s, x, n * sizeof *x);
    DONE(s, yoke_enqueue(s, past_not, n, dx, (int *)(void *)y.array, (int *)(void *)z.array));
    int *ry = take(s, &y), *rz = take(s, &z);
    for (size_t i = 0; i < n; i++)
        CHECK(ry[i] == x[i] && rz[2 * i] == x[i] && rz[2 * i + 1] == 0);
    free(ry);
    free(rz);
    yoke_device_free(yoke_stream_device(s), dx);
}

static void try_all(yoke_device *dev, yoke_stream *s)
{
    if (yoke_device_about(dev)->is_gpu)
        return;
    for (size_t l = 0; l < YK_COUNT_OF(lengths); l++)
        for (size_t k = 0; k < YK_COUNT_OF(shifts); k++) {
            int *x = numbers(lengths[l]);
            for (size_t t = 0; t < YK_COUNT_OF(one_array); t++)
                one_array[t](s, x, lengths[l], shifts[k]);
            try_two(s, x, lengths[l], shifts[k]);
            try_six(s, x, lengths[l], shifts[k]);
            try_not(s, x, lengths[l], shifts[k]);
            free(x);
        }
}

TEST(kernels)
{
    yk_past_cache_test_limit = 1;
    on_every_device(try_all);
}

/* How many arrays of a call go past the caches, which nothing else shows; and who is not to. */
TEST(which_arrays)
{
    enum { N = 4096 };
    static _Alignas(64) char room[8 * N + 64];
    int *x = (int *)(void *)room, *at_4 = x + 1;
    float *f = (float *)(void *)room;
    yk_past_cache_test_limit = 1;
#define WRITES(k, ...) yk_kernel_past_arrays(&yoke_kernel_##k, &(struct yk_kernel_args_##k){N, __VA_ARGS__})
    const bool pays = yk_past_cache_pays(2);
    CHECK_INT(WRITES(past_u8, x, (uint8_t *)room), pays);
    CHECK_INT(WRITES(past_u8, x, (uint8_t *)room + 1), pays);
    CHECK_INT(WRITES(past_f32, 1, x, f + 1), pays);
    CHECK_INT(WRITES(past_three, x, (struct three *)(void *)room), pays);
    CHECK_INT(WRITES(past_five, x, (struct five *)(void *)room), 0);              /* too large */
    CHECK_INT(WRITES(past_two, x, f, (uint8_t *)room, x), 2 * pays);
    CHECK_INT(WRITES(past_two, x, f + 1, (uint8_t *)room, x), pays);              /* lines begin elsewhere */
    CHECK_INT(WRITES(past_two, x, f + 1, (uint8_t *)room + 49, x), 2 * pays);     /* both at element 15 */
    CHECK_INT(WRITES(past_six, x, x, x, at_4, x, x, x), 4 * pays);
    CHECK_INT(WRITES(past_not, x, x, x), pays);
    CHECK_INT(WRITES(past_unused, x, x, x), pays);
    CHECK_INT(WRITES(past_long, x, f), 0);
    CHECK_INT(WRITES(past_nothing, x, NULL, x), pays);
    CHECK_INT(WRITES(past_f32, 1, x, (float *)(void *)(room + 2)), 0);            /* no line begins at an element */
    yk_past_cache_test_limit = 8 * N; /* what they touch, and no more */
    CHECK_INT(WRITES(past_f32, 1, x, f), 0);
    yk_past_cache_test_limit = 8 * N - 1;
    CHECK_INT(WRITES(past_f32, 1, x, f), pays);
#undef WRITES
}

/* What a body does not write stays, as it does with plain stores; a pointer into an element is as good as the element. */
static void try_others(yoke_device *dev, yoke_stream *s)
{
    enum { N = 3000 };
    int *x = numbers(N), *dx = up(s, x, N * sizeof *x), *dy = up(s, NULL, N * sizeof *x), *host = malloc(N * sizeof *x);
    guarded unused = guard(s, N * sizeof *x, 0), fives = guard(s, N * sizeof(struct five), 0);
    if (!host)
        abort();
    DONE(s, yoke_enqueue(s, past_unused, N, dx, dy, (int *)(void *)unused.array));
    uint8_t *rest = take(s, &unused);
    for (size_t i = 0; i < N * sizeof *x; i++)
        CHECK_INT(rest[i], 0xa5);
    DONE(s, yoke_enqueue(s, past_decays, N, dx, (struct five *)(void *)fives.array));
    struct five *five = take(s, &fives);
    down(s, host, dy, N * sizeof *x);
    for (size_t i = 0; i < N; i++)
        CHECK(host[i] == x[i] && five[i].e[0] == x[i] && five[i].e[4] == x[i]);
    yoke_device_free(dev, dx);
    free(x);
    free(host);
    free(rest);
    free(five);
}

TEST(other_bodies)
{
    yk_past_cache_test_limit = 1;
    on_every_device(try_others);
}

TEST(elements_without_a_size)
{
    enum { N = 2000 };
    int *x = numbers(N), z[N];
    yk_past_cache_test_limit = 1;
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    DONE(s, yoke_enqueue(s, past_nothing, N, x, (struct nothing *)(void *)z, z));
    CHECK(memcmp(x, z, sizeof z) == 0);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    free(x);
}

TEST(kernels_by_several_threads)
{
    yk_past_cache_test_limit = 1;
    for (int threads = 1; threads <= 3; threads += 2) {
        yoke_device *dev = yoke_device_open(threads == 1 ? "cpu:1" : "cpu:3");
        yoke_stream *s = yoke_stream_open(dev);
        CHECK(s);
        try_all(dev, s);
        CHECK_INT(yoke_stream_close(s), 0);
        CHECK_INT(yoke_device_close(dev), 0);
    }
}

/* As a task, over memory of malloc(), which begins 16 bytes behind that of a line where it is large; and recorded. */
TEST(launched_and_recorded)
{
    enum { N = 100003 };
    yk_past_cache_test_limit = 1;
    int *x = numbers(N);
    float *y = malloc((N + 1) * sizeof *y);
    if (!y)
        abort();
    yoke_future *f = yoke_launch(NULL, past_f32, N, 2.5f, x, y);
    CHECK_INT(yoke_wait(f), 0);
    yoke_release(f);
    for (size_t i = 0; i < N; i++)
        CHECK(y[i] == 2.5f * (float)x[i]);
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_graph *g = NULL;
    CHECK_INT(yoke_stream_record(s), 0);
    CHECK_INT(yoke_enqueue(s, past_f32, N, -1, x, y + 1), 0);
    CHECK_INT(yoke_stream_record_end(s, &g), 0);
    CHECK_INT(yoke_stream_replay(s, g), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (size_t i = 0; i < N; i++)
        CHECK(y[i + 1] == -(float)x[i]);
    yoke_graph_close(g);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    free(x);
    free(y);
}

/* ---- Arrays ---- */

static yoke_array *work(const yoke_array *a, const yoke_array *b, int which)
{
    switch (which) {
    case 0: return yoke_array_add(a, b);
    case 1: return yoke_array_gt(a, b);
    case 2: return yoke_array_mul(a, yoke_number(3));
    case 3: return yoke_array_exp(a);
    case 4: return yoke_array_astype(a, YOKE_F64);
    case 5: return yoke_array_where(yoke_array_gt(a, b), a, b);
    default: return yoke_array_add(a, yoke_array_astype(b, YOKE_I16));
    }
}

static void check_same(const yoke_array *a, const yoke_array *b, int which)
{
    size_t n = yoke_array_elements(a);
    char *one = calloc(n, 8), *other = calloc(n, 8);
    CHECK(one && other);
    CHECK_INT(yoke_array_get(a, one, n * 8), 0);
    CHECK_INT(yoke_array_get(b, other, n * 8), 0);
    if (memcmp(one, other, n * 8) != 0)
        test_fail(__FILE__, __LINE__, "operation %d differs over %zu elements", which, n);
    free(one);
    free(other);
}

/* The operation of two parts of `all`, of n elements, one behind `shift` of them. */
static yoke_array *result(const yoke_array *all, size_t n, unsigned shift, int which, size_t limit)
{
    yoke_array_scope scope;
    yk_past_cache_test_limit = limit;
    yoke_array_begin(&scope);
    const yoke_array *a = yoke_array_slice(all, 0, (ptrdiff_t)shift, (ptrdiff_t)(shift + n), 1);
    yoke_array *r = yoke_array_end(&scope, work(a, yoke_array_slice(all, 0, 0, (ptrdiff_t)n, 1), which));
    CHECK(r);
    return r;
}

TEST(arrays)
{
    enum { KINDS = 7 };
    yoke_device *dev = yoke_device_open("cpu:2");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_random r = {.seed = 7};
    CHECK(s);
    for (size_t l = 0; l < YK_COUNT_OF(lengths); l++)
        for (size_t k = 0; k < 3; k++) {
            size_t n = lengths[l];
            yoke_array *all = yoke_array_uniform(s, &r, YOKE_F32, yoke_shape((ptrdiff_t)(n + 40)), -1, 1);
            for (int which = 0; which < KINDS; which++) {
                yoke_array *right = result(all, n, shifts[k], which, SIZE_MAX - 1);
                yoke_array *found = result(all, n, shifts[k], which, 1);
                check_same(right, found, which);
                yoke_array_free(right);
                yoke_array_free(found);
            }
            yoke_array_free(all);
        }
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- The same bits ---- */

YOKE_KERNEL(waves, ((in, float, x), (out, float, y)), y[i] = exp(x[i]) * sin(x[i]);)

/* `times` results of n elements on a device, all the same; for the caller to free. */
static float *waves_on(const char *uri, const float *x, long n, int times, bool by_arrays)
{
    yoke_device *dev = yoke_device_open(uri);
    yoke_stream *s = yoke_stream_open(dev);
    float *first = malloc((size_t)n * sizeof *first), *y = malloc((size_t)n * sizeof *y);
    if (!s || !first || !y)
        abort();
    for (int t = 0; t < times; t++) {
        if (by_arrays) {
            yoke_array_scope scope;
            yoke_array_begin(&scope);
            const yoke_array *a = yoke_array_from(s, YOKE_F32, yoke_shape((ptrdiff_t)n), x);
            yoke_array *r = yoke_array_end(&scope, yoke_array_mul(yoke_array_exp(a), yoke_array_sin(a)));
            CHECK_INT(yoke_array_get(r, t == 0 ? first : y, (size_t)n * sizeof *y), 0);
            yoke_array_free(r);
        } else {
            DONE(s, yoke_enqueue(s, waves, n, x, t == 0 ? first : y));
        }
        CHECK(t == 0 || memcmp(first, y, (size_t)n * sizeof *y) == 0);
    }
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    free(y);
    return first;
}

TEST(the_same_bits_however_the_pool_cuts)
{
    static const long sizes[] = {1, 7, 37, 185, 900, 1023, 1024, 1037, 5003, 40007};
    for (size_t k = 0; k < YK_COUNT_OF(sizes); k++)
        for (int by_arrays = 0; by_arrays < 2; by_arrays++) {
            const long n = sizes[k];
            float *x = malloc((size_t)n * sizeof *x);
            CHECK(x);
            for (long i = 0; i < n; i++)
                x[i] = (float)(i % 977) * 0.0131f - 5;
            float *one = waves_on("cpu:1", x, n, 30, by_arrays), *three = waves_on("cpu:3", x, n, 60, by_arrays);
            CHECK(memcmp(one, three, (size_t)n * sizeof *one) == 0);
            free(one);
            free(three);
            free(x);
        }
}
