/* primitive.c - reductions, scans, sorts, selections and histograms against plain loops, on every device. */
#include "primitive_try.h"
#include <stdlib.h>
#include <yoke.h>

static double random_real(void)
{
    return (double)(test_random() >> 11) * 0x1p-53 - 0.4;
}

static uint64_t random_bits(void)
{
    return test_random();
}

/* ---- Reductions and scans, for every type ---- */

#define LESSER(ACC, X) ((X) < (ACC) ? (X) : (ACC))
#define GREATER(ACC, X) ((X) > (ACC) ? (X) : (ACC))

/* W: what sums are made in; near: how far a sum may be off. */
#define FOLDS(S, T, W, RANDOM, MOST, LEAST)                                                                            \
    static void reduce_##S(try *t, size_t n, size_t apart)                                                             \
    {                                                                                                                  \
        T *host = malloc((n + 1) * sizeof(T)), least = MOST, greatest = LEAST, got;                                    \
        W sum = 0;                                                                                                     \
        for (size_t i = 0; i < n; i++) {                                                                               \
            host[i] = (T)RANDOM();                                                                                     \
            sum += (W)host[i];                                                                                         \
            least = LESSER(least, host[i]);                                                                            \
            greatest = GREATER(greatest, host[i]);                                                                     \
        }                                                                                                              \
        T *x = on_device(t, host, n * sizeof(T), apart), *out = on_device(t, NULL, sizeof(T), 0);                      \
        GOES(t, yoke_stream_sum(t->s, n, (const T *)x, out));                                                          \
        off_device(t, &got, out, sizeof got);                                                                          \
        if (fabs((double)got - (double)(T)sum) > near(sizeof(T), n, (T)0.5 != 0))                                      \
            test_fail(__FILE__, __LINE__, "%s: sum of %zu " #S " is %g, not %g", t->uri, n, (double)got, (double)sum); \
        GOES(t, yoke_stream_min(t->s, n, x, out));                                                                     \
        off_device(t, &got, out, sizeof got);                                                                          \
        CHECK(got == least);                                                                                           \
        GOES(t, yoke_stream_max(t->s, n, x, out));                                                                     \
        off_device(t, &got, out, sizeof got);                                                                          \
        CHECK(got == greatest);                                                                                        \
        give_back(t, x, apart);                                                                                        \
        give_back(t, out, 0);                                                                                          \
        free(host);                                                                                                    \
    }                                                                                                                  \
    static void check_scan_##S(try *t, size_t n, const T *host, const T *x, T *got, int op, bool before)               \
    {                                                                                                                  \
        W sum = 0;                                                                                                     \
        T best = op == 1 ? MOST : LEAST;                                                                               \
        off_device(t, got, x, n * sizeof(T));                                                                          \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const W without = sum;                                                                                     \
            sum += (W)host[i];                                                                                         \
            best = op == 1 ? LESSER(best, host[i]) : GREATER(best, host[i]);                                           \
            const T right = op == 0 ? (T)(before ? without : sum) : best;                                              \
            if (fabs((double)got[i] - (double)right) > (op == 0 ? near(sizeof(T), n, (T)0.5 != 0) : 0))                \
                test_fail(__FILE__, __LINE__, "%s: scan %d of %zu " #S " is %g at %zu, not %g", t->uri, op, n,         \
                          (double)got[i], i, (double)right);                                                           \
        }                                                                                                              \
    }                                                                                                                  \
    static void scan_##S(try *t, size_t n, size_t apart)                                                               \
    {                                                                                                                  \
        T *host = malloc((n + 1) * sizeof(T)), *got = malloc((n + 1) * sizeof(T));                                     \
        for (size_t i = 0; i < n; i++)                                                                                 \
            host[i] = (T)RANDOM();                                                                                     \
        T *x = on_device(t, host, n * sizeof(T), apart), *out = on_device(t, NULL, n * sizeof(T), 0);                  \
        GOES(t, yoke_stream_scan(t->s, n, x, out));                                                                    \
        check_scan_##S(t, n, host, out, got, 0, false);                                                                \
        GOES(t, yoke_stream_scan_before(t->s, n, x, out));                                                             \
        check_scan_##S(t, n, host, out, got, 0, true);                                                                 \
        GOES(t, yoke_stream_scan_min(t->s, n, x, out));                                                                \
        check_scan_##S(t, n, host, out, got, 1, false);                                                                \
        GOES(t, yoke_stream_scan_max(t->s, n, x, out));                                                                \
        check_scan_##S(t, n, host, out, got, 2, false);                                                                \
        GOES(t, yoke_stream_scan(t->s, n, x, x)); /* in place */                                                       \
        check_scan_##S(t, n, host, x, got, 0, false);                                                                  \
        give_back(t, x, apart);                                                                                        \
        give_back(t, out, 0);                                                                                          \
        free(host);                                                                                                    \
        free(got);                                                                                                     \
    }                                                                                                                  \
    static void folds_##S(try *t)                                                                                      \
    {                                                                                                                  \
        FOR_SIZES(n) {                                                                                                 \
            reduce_##S(t, n, n % 2 ? sizeof(T) : 0);                                                                   \
            scan_##S(t, n, n % 3 ? 0 : sizeof(T));                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
    TEST(reductions_and_scans_of_##S)                                                                                  \
    {                                                                                                                  \
        on_every_device(folds_##S);                                                                                    \
    }

/* Integers must be right to the last bit. */
static double near(size_t size, size_t n, bool is_float)
{
    return is_float ? (size == 4 ? 5e-7 : 1e-15) * (double)(n + 10) : 0;
}

FOLDS(i32, int32_t, uint32_t, random_bits, INT32_MAX, INT32_MIN)
FOLDS(u32, uint32_t, uint32_t, random_bits, UINT32_MAX, 0)
FOLDS(i64, int64_t, uint64_t, random_bits, INT64_MAX, INT64_MIN)
FOLDS(u64, uint64_t, uint64_t, random_bits, UINT64_MAX, 0)
FOLDS(f32, float, double, random_real, INFINITY, -INFINITY)
FOLDS(f64, double, long double, random_real, INFINITY, -INFINITY)

static void nans(try *t)
{
    float host[100], got;
    for (int i = 0; i < 100; i++)
        host[i] = i % 3 ? (float)i : NAN;
    float *x = on_device(t, host, sizeof host, 0), *out = on_device(t, NULL, sizeof got, 0);
    GOES(t, yoke_stream_min(t->s, 100, x, out));
    off_device(t, &got, out, sizeof got);
    CHECK(got == 1);
    GOES(t, yoke_stream_max(t->s, 99, x, out));
    off_device(t, &got, out, sizeof got);
    CHECK(got == 98);
    GOES(t, yoke_stream_min(t->s, 1, x, out)); /* a NaN alone: as of none */
    off_device(t, &got, out, sizeof got);
    CHECK(isinf(got) && got > 0);
    give_back(t, x, 0);
    give_back(t, out, 0);
}

TEST(a_minimum_leaves_nans_out)
{
    on_every_device(nans);
}

/* The same bits each time, for sums of floats whose order would show. */
static void again(try *t)
{
    enum { N = 200000 };
    float *host = malloc(N * sizeof *host), *first = malloc(N * sizeof *host), *got = malloc(N * sizeof *host), sum, one;
    for (int i = 0; i < N; i++)
        host[i] = (float)(random_real() * exp(20 * random_real()));
    float *x = on_device(t, host, N * sizeof *host, 0), *out = on_device(t, NULL, N * sizeof *host, 0);
    for (int i = 0; i < 5; i++) {
        GOES(t, yoke_stream_sum(t->s, N, x, out));
        off_device(t, i ? &one : &sum, out, sizeof sum);
        CHECK(i == 0 || memcmp(&one, &sum, sizeof sum) == 0);
        GOES(t, yoke_stream_scan(t->s, N, x, out));
        off_device(t, i ? got : first, out, N * sizeof *host);
        CHECK(i == 0 || memcmp(got, first, N * sizeof *host) == 0);
    }
    give_back(t, x, 0);
    give_back(t, out, 0);
    free(host);
    free(first);
    free(got);
}

TEST(sums_of_floats_are_the_same_each_time)
{
    on_every_device(again);
}

/* ---- Sorts ---- */

/* Keys as numbers in whose order they are sorted. */
#define ORDER_I32(K) ((int64_t)(int32_t)(K))
#define ORDER_U32(K) ((int64_t)(K))
#define ORDER_F32(K) ((K) >> 31 ? -(int64_t)((K) ^ 0x80000000u) - 1 : (int64_t)(K))
#define ORDER_I64(K) ((__int128)(int64_t)(K))
#define ORDER_U64(K) ((__int128)(K))
#define ORDER_F64(K) ((K) >> 63 ? -(__int128)((K) ^ 1ull << 63) - 1 : (__int128)(K))

__extension__ typedef __int128 wide;

#define SORTS(S, T, B, ORDER)                                                                                          \
    typedef struct pair_##S {                                                                                          \
        B key;                                                                                                         \
        uint32_t at;                                                                                                   \
    } pair_##S;                                                                                                        \
    static int up_##S(const void *a, const void *b)                                                                    \
    {                                                                                                                  \
        const pair_##S *x = a, *y = b;                                                                                 \
        const wide kx = ORDER(x->key), ky = ORDER(y->key);                                                             \
        return kx != ky ? (kx < ky ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;                                     \
    }                                                                                                                  \
    static int down_##S(const void *a, const void *b)                                                                  \
    {                                                                                                                  \
        const pair_##S *x = a, *y = b;                                                                                 \
        const wide kx = ORDER(x->key), ky = ORDER(y->key);                                                             \
        return kx != ky ? (kx > ky ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;                                     \
    }                                                                                                                  \
    static void sort_##S(try *t, size_t n, bool few, bool down, size_t value_size)                                     \
    {                                                                                                                  \
        pair_##S *right = malloc((n + 1) * sizeof *right);                                                             \
        B *keys = malloc((n + 1) * sizeof *keys);                                                                      \
        uint64_t *wide_values = calloc(n + 1, sizeof *wide_values);                                                    \
        uint32_t *values = malloc((n + 1) * sizeof *values);                                                           \
        for (size_t i = 0; i < n; i++) {                                                                               \
            keys[i] = (B)(few ? (test_random() & 3) * ((B)1 << (sizeof(B) * 8 - 2)) + (test_random() & 7) : test_random()); \
            right[i] = (pair_##S){keys[i], (uint32_t)i};                                                               \
            wide_values[i] = values[i] = (uint32_t)i;                                                                  \
        }                                                                                                              \
        qsort(right, n, sizeof *right, down ? down_##S : up_##S);                                                      \
        T *k = on_device(t, keys, n * sizeof(B), n % 2 ? sizeof(B) : 0);                                               \
        uint32_t *v = on_device(t, values, n * sizeof *v, 0);                                                          \
        uint64_t *w = on_device(t, wide_values, n * sizeof *w, 0);                                                     \
        if (value_size == 0)                                                                                           \
            GOES(t, down ? yoke_stream_sort_down(t->s, n, k) : yoke_stream_sort(t->s, n, k));                          \
        else if (value_size == 4)                                                                                      \
            GOES(t, down ? yoke_stream_sort_by_down(t->s, n, k, v) : yoke_stream_sort_by(t->s, n, k, v));              \
        else                                                                                                           \
            GOES(t, down ? yoke_stream_sort_by_down(t->s, n, k, w) : yoke_stream_sort_by(t->s, n, k, w));              \
        off_device(t, keys, k, n * sizeof(B));                                                                         \
        off_device(t, values, v, n * sizeof *v);                                                                       \
        off_device(t, wide_values, w, n * sizeof *w);                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const bool moved = value_size == 0 || (value_size == 4 ? values[i] : wide_values[i]) == right[i].at;       \
            if (keys[i] != right[i].key || !moved)                                                                     \
                test_fail(__FILE__, __LINE__, "%s: sort of %zu " #S " (few %d, down %d, values %zu) is wrong at %zu",  \
                          t->uri, n, few, down, value_size, i);                                                        \
        }                                                                                                              \
        give_back(t, k, n % 2 ? sizeof(B) : 0);                                                                        \
        give_back(t, v, 0);                                                                                            \
        give_back(t, w, 0);                                                                                            \
        free(right);                                                                                                   \
        free(keys);                                                                                                    \
        free(values);                                                                                                  \
        free(wide_values);                                                                                             \
    }                                                                                                                  \
    static void sorts_##S(try *t)                                                                                      \
    {                                                                                                                  \
        static const size_t some[] = {0, 1, 2, 33, 255, 3073, 6144, 20011};                                            \
        for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)                                                      \
            for (unsigned how = 0; how < 12; how++)                                                                    \
                sort_##S(t, some[i], how & 1, how & 2, how / 4 * 4);                                                   \
    }                                                                                                                  \
    TEST(sorts_of_##S)                                                                                                 \
    {                                                                                                                  \
        on_every_device(sorts_##S);                                                                                    \
    }
SORTS(i32, int32_t, uint32_t, ORDER_I32)
SORTS(u32, uint32_t, uint32_t, ORDER_U32)
SORTS(f32, float, uint32_t, ORDER_F32)
SORTS(i64, int64_t, uint64_t, ORDER_I64)
SORTS(u64, uint64_t, uint64_t, ORDER_U64)
SORTS(f64, double, uint64_t, ORDER_F64)

/* Keys that differ in some of their bytes: the places of the others are left out, and the last move may go either way. */
static void sort_places(try *t, size_t n, unsigned places, size_t apart)
{
    uint64_t *keys = malloc(n * sizeof *keys), *sorted = malloc(n * sizeof *sorted);
    uint32_t *from = malloc(n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        keys[i] = test_random() * 0x9e3779b97f4a7c15u;
        for (unsigned place = 0; place < 8; place++)
            if (!(places >> place & 1))
                keys[i] = (keys[i] & ~(UINT64_C(255) << 8 * place)) | UINT64_C(90) << 8 * place;
        from[i] = (uint32_t)i;
    }
    uint64_t *k = on_device(t, keys, n * sizeof *keys, 0);
    uint32_t *v = on_device(t, from, n * sizeof *from, apart);
    GOES(t, yoke_stream_sort_by(t->s, n, k, v));
    off_device(t, sorted, k, n * sizeof *keys);
    off_device(t, from, v, n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        const bool follows = i == 0 || sorted[i - 1] < sorted[i] || (sorted[i - 1] == sorted[i] && from[i - 1] < from[i]);
        if (from[i] >= n || keys[from[i]] != sorted[i] || !follows)
            test_fail(__FILE__, __LINE__, "%s: a sort of keys that differ in bytes %02x is wrong at %zu", t->uri, places, i);
    }
    give_back(t, k, 0);
    give_back(t, v, apart);
    free(keys);
    free(sorted);
    free(from);
}

static void sorts_of_some_bytes(try *t)
{
    static const unsigned places[] = {0, 1, 2, 0x80, 3, 0x81, 7, 0x55, 0x7f, 0xff};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        sort_places(t, 40001, places[i], sizeof(uint32_t));
}

TEST(sorts_of_keys_that_differ_in_some_bytes)
{
    on_every_device(sorts_of_some_bytes);
}

/* So many that they do not fit a cache; with values in step with the keys' cache lines, and not. */
static void large_sorts(try *t)
{
    sort_places(t, (1 << 20) + 77, 0xff, 0);
    sort_places(t, (1 << 20) + 78, 0x0f, sizeof(uint32_t));
}

TEST(sorts_that_no_cache_holds)
{
    on_every_device(large_sorts);
}

/* The form for an OpenCL GPU, on whatever OpenCL device there is. */
TEST(sorts_as_on_an_opencl_gpu)
{
    try t = {.dev = yoke_device_open("opencl"), .uri = "opencl as a GPU"};
    if (yoke_device_status(t.dev) < 0 || yoke_device_about(t.dev)->group_most < 64)
        SKIP("no OpenCL device with groups of 64");
    t.dev->info.is_gpu = true;
    t.s = yoke_stream_open(t.dev);
    CHECK(t.s != NULL);
    sorts_u32(&t);
    sorts_f64(&t);
    sorts_of_some_bytes(&t);
    CHECK_INT(yoke_stream_close(t.s), 0);
    CHECK_INT(yoke_device_close(t.dev), 0);
}

/* ---- Selections ---- */

#define SELECTS(S, T)                                                                                                  \
    static void select_##S(try *t, size_t n)                                                                           \
    {                                                                                                                  \
        T *host = malloc((n + 1) * sizeof(T)), *got = malloc((n + 1) * sizeof(T));                                     \
        uint8_t *flags = malloc(n + 1);                                                                                \
        uint64_t kept = 99;                                                                                            \
        for (size_t i = 0; i < n; i++) {                                                                               \
            host[i] = i > 0 && test_random() % 3 ? host[i - 1] : (T)(test_random() % 5);                               \
            flags[i] = test_random() % 3 ? 0 : (uint8_t)(1 + test_random() % 255);                                     \
        }                                                                                                              \
        T *x = on_device(t, host, n * sizeof(T), 0), *out = on_device(t, NULL, n * sizeof(T), sizeof(T));              \
        uint8_t *f = on_device(t, flags, n, 1);                                                                        \
        uint64_t *k = on_device(t, &kept, sizeof kept, 0);                                                             \
        for (int unique = 0; unique < 2; unique++) {                                                                   \
            size_t right = 0;                                                                                          \
            if (unique)                                                                                                \
                GOES(t, yoke_stream_unique(t->s, n, x, out, k));                                                       \
            else                                                                                                       \
                GOES(t, yoke_stream_select(t->s, n, x, f, out, k));                                                    \
            off_device(t, &kept, k, sizeof kept);                                                                      \
            CHECK(kept <= n);                                                                                          \
            off_device(t, got, out, kept * sizeof(T));                                                                 \
            for (size_t i = 0; i < n; i++)                                                                             \
                if (unique ? i == 0 || host[i] != host[i - 1] : flags[i] != 0) {                                       \
                    CHECK(right < kept && got[right] == host[i]);                                                      \
                    right++;                                                                                           \
                }                                                                                                      \
            CHECK_INT(kept, right);                                                                                    \
        }                                                                                                              \
        give_back(t, x, 0);                                                                                            \
        give_back(t, out, sizeof(T));                                                                                  \
        give_back(t, f, 1);                                                                                            \
        give_back(t, k, 0);                                                                                            \
        free(host);                                                                                                    \
        free(got);                                                                                                     \
        free(flags);                                                                                                   \
    }                                                                                                                  \
    static void selects_##S(try *t)                                                                                    \
    {                                                                                                                  \
        FOR_SIZES(n)                                                                                                   \
            select_##S(t, n);                                                                                          \
    }                                                                                                                  \
    TEST(selections_of_##S)                                                                                            \
    {                                                                                                                  \
        on_every_device(selects_##S);                                                                                  \
    }
SELECTS(i32, int32_t)
SELECTS(u64, uint64_t)
SELECTS(f32, float)
SELECTS(f64, double)

/* ---- Histograms ---- */

/* The bins go from LOW to LOW + bins - 1 for integers, to HIGH for floats. */
#define HISTOGRAMS(S, T, IS_FLOAT, LOW, HIGH)                                                                          \
    static void histogram_##S(try *t, size_t n, size_t bins)                                                           \
    {                                                                                                                  \
        const T low = LOW, high = IS_FLOAT ? (T)(HIGH) : (T)(low + (T)(bins - 1));                                     \
        T *host = malloc((n + 1) * sizeof(T));                                                                         \
        uint64_t *right = calloc(bins, sizeof *right), *got = malloc(bins * sizeof *got);                              \
        for (size_t i = 0; i < n; i++) {                                                                               \
            host[i] = IS_FLOAT ? (T)((double)low + (random_real() * 1.2 + 0.4) * ((double)high - (double)low))         \
                               : (T)(low + (T)(test_random() % (bins + 3)) - (T)1);                                    \
            if (n > 5 && i < 2)                                                                                        \
                host[i] = i ? high : low;                                                                              \
            if (host[i] >= low && host[i] <= high) {                                                                   \
                const size_t bin = IS_FLOAT ? (size_t)((host[i] - low) * ((T)bins / (high - low))) : (size_t)(host[i] - low); \
                right[bin < bins ? bin : bins - 1]++;                                                                  \
            }                                                                                                          \
        }                                                                                                              \
        T *x = on_device(t, host, n * sizeof(T), n % 2 ? sizeof(T) : 0);                                               \
        uint64_t *counts = on_device(t, NULL, bins * sizeof *counts, 0);                                               \
        GOES(t, yoke_stream_histogram(t->s, n, x, bins, low, high, counts));                                           \
        off_device(t, got, counts, bins * sizeof *got);                                                                \
        for (size_t b = 0; b < bins; b++)                                                                              \
            if (got[b] != right[b])                                                                                    \
                test_fail(__FILE__, __LINE__, "%s: histogram of %zu " #S ": bin %zu of %zu has %llu, not %llu", t->uri, n, b, \
                          bins, (unsigned long long)got[b], (unsigned long long)right[b]);                             \
        give_back(t, x, n % 2 ? sizeof(T) : 0);                                                                        \
        give_back(t, counts, 0);                                                                                       \
        free(host);                                                                                                    \
        free(right);                                                                                                   \
        free(got);                                                                                                     \
    }                                                                                                                  \
    static void histograms_##S(try *t)                                                                                 \
    {                                                                                                                  \
        static const size_t some[] = {0, 1, 6, 1000, 100003}, bins[] = {1, 7, 256, 8192, 8193, 100000};                \
        for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)                                                      \
            for (size_t b = 0; b < sizeof bins / sizeof bins[0]; b++)                                                  \
                histogram_##S(t, some[i], bins[b]);                                                                    \
    }                                                                                                                  \
    TEST(histograms_of_##S)                                                                                            \
    {                                                                                                                  \
        on_every_device(histograms_##S);                                                                               \
    }
HISTOGRAMS(i32, int32_t, 0, -100, 0)
HISTOGRAMS(u32, uint32_t, 0, 4000000000u, 0)
HISTOGRAMS(i64, int64_t, 0, -5000000000, 0)
HISTOGRAMS(u64, uint64_t, 0, 1ull << 63, 0)
HISTOGRAMS(f32, float, 1, -2, 3.5)
HISTOGRAMS(f64, double, 1, 1, 1.5)
