/* primitive_rules.c - segmented reductions and matrices on every device, and what is refused. */
#include "primitive_try.h"
#include <stdlib.h>
#include <unistd.h>
#include <yoke.h>

static double random_real(void)
{
    return (double)(test_random() >> 11) * 0x1p-53 - 0.4;
}

/* ---- Segments ---- */

typedef struct cut {
    size_t segments, n;
    uint32_t *narrow;
    uint64_t *wide;
} cut;

/* Segments of `mean` elements on average, some of none, and one in `rare` a hundred times as long. */
static cut cut_at_random(size_t segments, size_t mean, size_t rare)
{
    cut c = {.segments = segments,
             .narrow = malloc((segments + 1) * sizeof *c.narrow),
             .wide = malloc((segments + 1) * sizeof *c.wide)};
    for (size_t i = 0; i <= segments; i++) {
        c.wide[i] = c.narrow[i] = (uint32_t)c.n;
        if (i < segments)
            c.n += test_random() % (2 * mean + 1) * (test_random() % rare == 0 ? 100 : 1);
    }
    return c;
}

static void check_segments(const try *t, const cut *c, const int64_t *host, const int64_t *got, int op)
{
    for (size_t s = 0; s < c->segments; s++) {
        int64_t all = op == 0 ? 0 : op == 1 ? INT64_MAX : INT64_MIN;
        for (size_t i = c->wide[s]; i < c->wide[s + 1]; i++)
            all = op == 0 ? all + host[i] : op == 1 ? YK_MIN(all, host[i]) : YK_MAX(all, host[i]);
        if (got[s] != all)
            test_fail(__FILE__, __LINE__, "%s: segment %zu of %zu, operator %d, is %lld, not %lld", t->uri, s, c->segments, op,
                      (long long)got[s], (long long)all);
    }
}

static void segments_of(try *t, size_t segments, size_t mean, size_t rare)
{
    cut c = cut_at_random(segments, mean, rare);
    int64_t *host = malloc((c.n + 1) * sizeof *host), *got = malloc((segments + 1) * sizeof *got);
    for (size_t i = 0; i < c.n; i++)
        host[i] = (int64_t)(test_random() >> 8) - (1ll << 54);
    int64_t *x = on_device(t, host, c.n * sizeof *x, 8), *out = on_device(t, NULL, segments * sizeof *out, 0);
    uint32_t *narrow = on_device(t, c.narrow, (segments + 1) * sizeof *narrow, 0);
    uint64_t *wide = on_device(t, c.wide, (segments + 1) * sizeof *wide, 0);
    GOES(t, yoke_stream_segments_sum(t->s, segments, c.n, narrow, x, out));
    off_device(t, got, out, segments * sizeof *got);
    check_segments(t, &c, host, got, 0);
    GOES(t, yoke_stream_segments_min(t->s, segments, c.n, wide, x, out));
    off_device(t, got, out, segments * sizeof *got);
    check_segments(t, &c, host, got, 1);
    GOES(t, yoke_stream_segments_max(t->s, segments, c.n, narrow, x, out));
    off_device(t, got, out, segments * sizeof *got);
    check_segments(t, &c, host, got, 2);
    give_back(t, x, 8);
    give_back(t, out, 0);
    give_back(t, narrow, 0);
    give_back(t, wide, 0);
    free(host);
    free(got);
    free(c.narrow);
    free(c.wide);
}

static void segments_all(try *t)
{
    segments_of(t, 0, 1, 1000);
    segments_of(t, 1, 3, 1000);
    segments_of(t, 1, 50000, 1000);
    segments_of(t, 1000, 1, 1000);
    segments_of(t, 1001, 20, 300);
    segments_of(t, 301, 150, 30);
    segments_of(t, 20, 6000, 1000);
}

TEST(segments_of_all_lengths)
{
    on_every_device(segments_all);
}

static void segments_typed(try *t)
{
    const float host[6] = {1, -2, 3.5f, NAN, 4, -7};
    const uint32_t offsets[5] = {0, 3, 3, 5, 6};
    float got[4], *x = on_device(t, host, sizeof host, 0), *out = on_device(t, NULL, sizeof got, 0);
    uint32_t *o = on_device(t, offsets, sizeof offsets, 0);
    GOES(t, yoke_stream_segments_min(t->s, 4, 6, o, x, out));
    off_device(t, got, out, sizeof got);
    CHECK(got[0] == -2 && isinf(got[1]) && got[1] > 0 && got[2] == 4 && got[3] == -7);
    GOES(t, yoke_stream_segments_max(t->s, 4, 6, o, x, out));
    off_device(t, got, out, sizeof got);
    CHECK(got[0] == 3.5f && isinf(got[1]) && got[1] < 0 && got[2] == 4 && got[3] == -7);
    GOES(t, yoke_stream_segments_sum(t->s, 2, 3, o, x, out));
    off_device(t, got, out, sizeof got);
    CHECK(got[0] == 2.5f && got[1] == 0);
    give_back(t, x, 0);
    give_back(t, out, 0);
    give_back(t, o, 0);
}

TEST(segments_of_floats)
{
    on_every_device(segments_typed);
}

/* ---- Matrices ---- */

#define MATRICES(S, T, NEAR)                                                                                           \
    static void matmul_##S(try *t, size_t m, size_t n, size_t k, size_t pad)                                           \
    {                                                                                                                  \
        const size_t lda = k + pad, ldb = n + pad, ldc = n + pad;                                                      \
        T *a = calloc(m * lda + 1, sizeof(T)), *b = calloc(k * ldb + 1, sizeof(T)), *c = malloc((m * ldc + 1) * sizeof(T)); \
        for (size_t i = 0; i < m * lda; i++)                                                                           \
            a[i] = (T)random_real();                                                                                   \
        for (size_t i = 0; i < k * ldb; i++)                                                                           \
            b[i] = (T)random_real();                                                                                   \
        for (size_t i = 0; i < m * ldc; i++)                                                                           \
            c[i] = 9;                                                                                                  \
        T *da = on_device(t, a, m * lda * sizeof(T), 0), *db = on_device(t, b, k * ldb * sizeof(T), 0);                \
        T *dc = on_device(t, c, m * ldc * sizeof(T), 0);                                                               \
        GOES(t, yoke_stream_matmul(t->s, m, n, k, da, lda, db, ldb, dc, ldc));                                         \
        off_device(t, c, dc, m * ldc * sizeof(T));                                                                     \
        for (size_t i = 0; i < m; i++)                                                                                 \
            for (size_t j = 0; j < ldc; j++) {                                                                         \
                double right = j < n ? 0 : 9;                                                                          \
                for (size_t l = 0; l < k && j < n; l++)                                                                \
                    right += (double)a[i * lda + l] * (double)b[l * ldb + j];                                          \
                CHECK_NEAR(c[i * ldc + j], right, NEAR * (double)(k + 10));                                            \
            }                                                                                                          \
        give_back(t, da, 0);                                                                                           \
        give_back(t, db, 0);                                                                                           \
        give_back(t, dc, 0);                                                                                           \
        free(a);                                                                                                       \
        free(b);                                                                                                       \
        free(c);                                                                                                       \
    }                                                                                                                  \
    static void spmv_##S(try *t, size_t rows, size_t mean)                                                             \
    {                                                                                                                  \
        enum { COLUMNS = 1000 };                                                                                       \
        cut o = cut_at_random(rows, mean, 1000);                                                                       \
        T *values = malloc((o.n + 1) * sizeof(T)), x[COLUMNS], *y = malloc(rows * sizeof(T));                          \
        uint32_t *columns = malloc((o.n + 1) * sizeof *columns);                                                       \
        for (size_t i = 0; i < COLUMNS; i++)                                                                           \
            x[i] = (T)random_real();                                                                                   \
        for (size_t i = 0; i < o.n; i++) {                                                                             \
            values[i] = (T)random_real();                                                                              \
            columns[i] = (uint32_t)(test_random() % COLUMNS);                                                          \
        }                                                                                                              \
        T *dv = on_device(t, values, o.n * sizeof(T), 0), *dx = on_device(t, x, sizeof x, 0);                          \
        T *dy = on_device(t, NULL, rows * sizeof(T), 0);                                                               \
        uint32_t *dc = on_device(t, columns, o.n * sizeof *columns, 0), *narrow = on_device(t, o.narrow, (rows + 1) * 4, 0); \
        uint64_t *far = on_device(t, o.wide, (rows + 1) * 8, 0);                                                       \
        for (int which = 0; which < 2; which++) {                                                                      \
            if (which)                                                                                                 \
                GOES(t, yoke_stream_spmv(t->s, rows, o.n, far, dc, dv, dx, dy));                                       \
            else                                                                                                       \
                GOES(t, yoke_stream_spmv(t->s, rows, o.n, narrow, dc, dv, dx, dy));                                    \
            off_device(t, y, dy, rows * sizeof(T));                                                                    \
            for (size_t r = 0; r < rows; r++) {                                                                        \
                double right = 0;                                                                                      \
                for (size_t k = o.wide[r]; k < o.wide[r + 1]; k++)                                                     \
                    right += (double)values[k] * (double)x[columns[k]];                                                \
                CHECK_NEAR(y[r], right, NEAR * (double)(o.wide[r + 1] - o.wide[r] + 10));                              \
            }                                                                                                          \
        }                                                                                                              \
        give_back(t, dv, 0);                                                                                           \
        give_back(t, dx, 0);                                                                                           \
        give_back(t, dy, 0);                                                                                           \
        give_back(t, dc, 0);                                                                                           \
        give_back(t, narrow, 0);                                                                                       \
        give_back(t, far, 0);                                                                                          \
        free(values);                                                                                                  \
        free(columns);                                                                                                 \
        free(y);                                                                                                       \
        free(o.narrow);                                                                                                \
        free(o.wide);                                                                                                  \
    }                                                                                                                  \
    static void matrices_##S(try *t)                                                                                   \
    {                                                                                                                  \
        static const size_t shapes[][3] = {{1, 1, 1},      {3, 5, 7},       {2, 3, 0},  {64, 64, 64},                  \
                                           {129, 131, 37}, {17, 200, 100}, {5, 16, 40}};                              \
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)                                                  \
            for (size_t pad = 0; pad < 5; pad += 2)                                                                    \
                matmul_##S(t, shapes[i][0], shapes[i][1], shapes[i][2], pad);                                          \
        for (size_t mean = 1; mean < 200; mean *= 5)                                                                   \
            spmv_##S(t, 503, mean);                                                                                    \
    }                                                                                                                  \
    TEST(matrices_of_##S)                                                                                              \
    {                                                                                                                  \
        on_every_device(matrices_##S);                                                                                 \
    }
MATRICES(f32, float, 3e-7)
MATRICES(f64, double, 1e-15)

static void empty_matrices(try *t)
{
    uint32_t zero = 0, *offsets = on_device(t, &zero, sizeof zero, 0);
    float one = 1, got, *x = on_device(t, &one, sizeof one, 0), *y = on_device(t, &one, sizeof one, 0);
    CHECK_INT(yoke_stream_matmul(t->s, 0, 5, 5, x, 5, x, 5, y, 5), 0);
    CHECK_INT(yoke_stream_spmv(t->s, 0, 0, offsets, offsets, x, x, y), 0);
    const uint32_t none[2] = {0, 0};
    uint32_t *row = on_device(t, none, sizeof none, 0);
    GOES(t, yoke_stream_spmv(t->s, 1, 0, row, (const uint32_t *)NULL, (const float *)NULL, x, y));
    off_device(t, &got, y, sizeof got);
    CHECK(got == 0);
    give_back(t, offsets, 0);
    give_back(t, row, 0);
    give_back(t, x, 0);
    give_back(t, y, 0);
}

TEST(matrices_of_nothing)
{
    on_every_device(empty_matrices);
}

/* ---- What is refused ---- */

#define REFUSED(T, CODE, TEXT, CALL)                                                                                   \
    do {                                                                                                               \
        CHECK_INT(CALL, CODE);                                                                                         \
        CHECK_HAS(yoke_device_error((T)->dev), TEXT);                                                                  \
        CHECK_INT(yoke_stream_wait((T)->s), CODE); /* for who looks at nothing else */                                 \
        CHECK_HAS(yoke_device_error((T)->dev), TEXT);                                                                  \
    } while (0)

static void wrong_addresses(try *t)
{
    float *x = on_device(t, NULL, 64, 0), *none = NULL;
    uint64_t *k = on_device(t, NULL, 64, 0);
    const uint8_t *flags = NULL;
    REFUSED(t, -EINVAL, "sum: x is NULL", yoke_stream_sum(t->s, 1, none, x));
    REFUSED(t, -EINVAL, "min: out is NULL", yoke_stream_min(t->s, 1, x, none));
    REFUSED(t, -EINVAL, "scan: x is NULL", yoke_stream_scan(t->s, 1, none, x));
    REFUSED(t, -EINVAL, "sort: keys is NULL", yoke_stream_sort(t->s, 1, none));
    REFUSED(t, -EINVAL, "sort: values is NULL", yoke_stream_sort_by(t->s, 1, x, none));
    REFUSED(t, -EINVAL, "select: flags is NULL", yoke_stream_select(t->s, 1, x, flags, x, k));
    REFUSED(t, -EINVAL, "unique: out is NULL", yoke_stream_unique(t->s, 1, x, none, k));
    REFUSED(t, -EINVAL, "histogram: x is NULL", yoke_stream_histogram(t->s, 1, none, 4, 0, 1, k));
    REFUSED(t, -EINVAL, "segments: x is NULL", yoke_stream_segments_sum(t->s, 1, 1, k, none, x));
    REFUSED(t, -EINVAL, "matmul: b is NULL", yoke_stream_matmul(t->s, 1, 1, 1, x, 1, none, 1, x, 1));
    REFUSED(t, -EINVAL, "spmv: columns is NULL", yoke_stream_spmv(t->s, 1, 1, k, (uint32_t *)NULL, x, x, x));
    CHECK_INT(yoke_stream_scan(t->s, 0, none, none), 0);
    CHECK_INT(yoke_stream_sort(t->s, 0, none), 0);
    give_back(t, x, 0);
    give_back(t, k, 0);
}

TEST(addresses_that_are_null)
{
    on_every_device(wrong_addresses);
}

static void wrong_numbers(try *t)
{
    float *x = on_device(t, NULL, 64, 0);
    int32_t *i = on_device(t, NULL, 64, 0);
    uint64_t *k = on_device(t, NULL, 64, 0);
    char *bytes = (char *)i;
    REFUSED(t, -EINVAL, "histogram: there are 1 to 2^31 bins", yoke_stream_histogram(t->s, 1, x, 0, 0, 1, k));
    REFUSED(t, -EINVAL, "histogram: there are 1 to 2^31 bins", yoke_stream_histogram(t->s, 1, x, ((size_t)1 << 31) + 1, 0, 1, k));
    REFUSED(t, -EINVAL, "low must be less than high", yoke_stream_histogram(t->s, 1, x, 4, 1, 1, k));
    REFUSED(t, -EINVAL, "both finite", yoke_stream_histogram(t->s, 1, x, 4, 0, INFINITY, k));
    REFUSED(t, -EINVAL, "both finite", yoke_stream_histogram(t->s, 1, x, 4, NAN, 1, k));
    REFUSED(t, -EINVAL, "a bin not too narrow", yoke_stream_histogram(t->s, 1, x, 4, 0, 1e-45f, k));
    REFUSED(t, -EINVAL, "bins must be high - low + 1", yoke_stream_histogram(t->s, 1, i, 4, 0, 4, k));
    REFUSED(t, -EINVAL, "bins must be high - low + 1", yoke_stream_histogram(t->s, 1, i, 4, 3, 0, k));
    REFUSED(t, -EINVAL, "values have 4 or 8 bytes", yoke_stream_sort_by(t->s, 1, x, bytes));
    REFUSED(t, -EINVAL, "elements have 4 or 8 bytes", yoke_stream_select(t->s, 1, bytes, (uint8_t *)i, bytes, k));
    REFUSED(t, -EINVAL, "a row is longer", yoke_stream_matmul(t->s, 1, 1, 2, x, 1, x, 1, x, 1));
    REFUSED(t, -EINVAL, "a row is longer", yoke_stream_matmul(t->s, 1, 2, 1, x, 1, x, 1, x, 2));
    REFUSED(t, -EINVAL, "a row is longer", yoke_stream_matmul(t->s, 1, 2, 1, x, 1, x, 2, x, 1));
    REFUSED(t, -EINVAL, "offsets have 4 or 8 bytes", yk_stream_segments(t->s, YK_SUM, YK_F32, 1, 1, 2, k, x, x));
    REFUSED(t, -EINVAL, "offsets have 4 or 8 bytes", yk_stream_spmv(t->s, YK_F32, 1, 1, 2, k, (uint32_t *)i, x, x, x));
    CHECK_INT(yk_stream_reduce(t->s, (yk_operator)3, YK_F32, 1, x, x), -EINVAL);
    CHECK_INT(yk_stream_reduce(t->s, YK_SUM, (yk_number)6, 1, x, x), -EINVAL);
    CHECK_INT(yk_stream_scan(t->s, YK_SUM, false, (yk_number)6, 1, x, x), -EINVAL);
    CHECK_INT(yk_stream_sort(t->s, (yk_number)6, false, 1, x, 0, NULL), -EINVAL);
    CHECK_INT(yk_stream_unique(t->s, (yk_number)6, 1, x, x, k), -EINVAL);
    CHECK_INT(yk_stream_histogram(t->s, (yk_number)6, 1, x, 1, x, x, k), -EINVAL);
    CHECK_INT(yk_stream_matmul(t->s, YK_I32, 1, 1, 1, x, 1, x, 1, x, 1), -EINVAL);
    CHECK_INT(yk_stream_spmv(t->s, YK_U64, 1, 1, 4, x, (uint32_t *)i, x, x, x), -EINVAL);
    CHECK_INT(yoke_stream_sum((yoke_stream *)NULL, 1, x, x), -EINVAL);
    give_back(t, x, 0);
    give_back(t, i, 0);
    give_back(t, k, 0);
}

TEST(numbers_that_are_out_of_range)
{
    on_every_device(wrong_numbers);
}

/* Each array of each call, a block's worth too short; nothing is written. */
static void short_arrays(try *t)
{
    enum { MANY = 40000 };
    static const char zeros[512];
    char left[512];
    float *x = on_device(t, zeros, 500, 0), *all = on_device(t, NULL, MANY * 8, 0);
    uint32_t *u = (uint32_t *)x, *places = (uint32_t *)all;
    uint64_t *k = (uint64_t *)x, *counts = (uint64_t *)all, *late = (uint64_t *)((char *)x + 508);
    uint8_t *flags = (uint8_t *)x;
    REFUSED(t, -EINVAL, "sum: x has 512 bytes, room for 128 elements, and should have 129", yoke_stream_sum(t->s, 129, x, all));
    REFUSED(t, -EINVAL, "sum: x has 508 bytes, room for 127 elements", yoke_stream_sum(t->s, 128, x + 1, all));
    REFUSED(t, -EINVAL, "sum: x has ", yoke_stream_sum(t->s, (size_t)1 << 40, x, all));
    REFUSED(t, -EINVAL, "sum: x has ", yoke_stream_sum(t->s, SIZE_MAX / 2, x, all));
    REFUSED(t, -EINVAL, "scan: out has 512 bytes", yoke_stream_scan(t->s, MANY, all, x));
    REFUSED(t, -EINVAL, "sort: keys has 512 bytes, room for 128 elements, and should have 40000",
            yoke_stream_sort(t->s, MANY, x));
    REFUSED(t, -EINVAL, "sort: values has 512 bytes", yoke_stream_sort_by(t->s, MANY, all, u));
    REFUSED(t, -EINVAL, "sort: values has 512 bytes, room for 64 elements", yoke_stream_sort_by(t->s, 65, all, k));
    REFUSED(t, -EINVAL, "select: x has 512 bytes", yoke_stream_select(t->s, MANY, x, (uint8_t *)all, all, k));
    REFUSED(t, -EINVAL, "select: flags has 512 bytes", yoke_stream_select(t->s, 513, all, flags, all, k));
    REFUSED(t, -EINVAL, "unique: kept has 4 bytes", yoke_stream_unique(t->s, 10, all, all, late));
    REFUSED(t, -EINVAL, "unique: kept has 4 bytes", yoke_stream_unique(t->s, 0, all, all, late));
    REFUSED(t, -EINVAL, "histogram: counts has 512 bytes, room for 64 elements, and should have 65 (bins)",
            yoke_stream_histogram(t->s, 4, all, 65, 0, 1, k));
    REFUSED(t, -EINVAL, "segments: offsets has 512 bytes, room for 128 elements, and should have 129 (segments + 1)",
            yoke_stream_segments_sum(t->s, 128, 1, u, all, all));
    REFUSED(t, -EINVAL, "segments: x has 512 bytes", yoke_stream_segments_sum(t->s, 1, MANY, places, x, all));
    REFUSED(t, -EINVAL, "segments: out has 512 bytes", yoke_stream_segments_sum(t->s, MANY - 1, 1, places, all, x));
    REFUSED(t, -EINVAL, "matmul: a has 512 bytes", yoke_stream_matmul(t->s, 12, 1, 11, x, 11, all, 1, all, 1));
    REFUSED(t, -EINVAL, "matmul: b has 512 bytes", yoke_stream_matmul(t->s, 1, 11, 12, all, 12, x, 11, all, 11));
    REFUSED(t, -EINVAL, "matmul: c has 512 bytes, room for 128 elements, and should have 131 ((m - 1) * ldc + n)",
            yoke_stream_matmul(t->s, 12, 10, 1, all, 1, all, 10, x, 11));
    REFUSED(t, -EINVAL, "matmul: c has ", yoke_stream_matmul(t->s, 3, 1, 1, all, 1, all, 1, x, SIZE_MAX / 2));
    REFUSED(t, -EINVAL, "spmv: offsets has 512 bytes", yoke_stream_spmv(t->s, 128, 1, u, places, all, all, all));
    REFUSED(t, -EINVAL, "spmv: columns has 512 bytes", yoke_stream_spmv(t->s, 1, 129, places, u, all, all, all));
    REFUSED(t, -EINVAL, "spmv: values has 512 bytes", yoke_stream_spmv(t->s, 1, 129, places, places, x, all, all));
    REFUSED(t, -EINVAL, "spmv: y has 512 bytes", yoke_stream_spmv(t->s, 129, 1, places, places, all, all, x));
    off_device(t, left, x, sizeof left);
    CHECK(memcmp(left, zeros, 500) == 0);
    GOES(t, yoke_stream_sum(t->s, 125, x, all));
    GOES(t, yoke_stream_matmul(t->s, 12, 7, 1, all, 1, all, 7, x, 11)); /* the last row ends before the next would begin */
    give_back(t, x, 0);
    give_back(t, counts, 0);
}

TEST(arrays_that_are_too_short)
{
    on_every_device(short_arrays);
}

static void negative_counts(try *t)
{
    float *x = on_device(t, NULL, 64, 0);
    uint32_t *u = (uint32_t *)x;
    uint64_t *k = (uint64_t *)x;
    REFUSED(t, -EINVAL, "sum: n is -1, and should be 0 or more", yoke_stream_sum(t->s, (size_t)-1, x, x));
    REFUSED(t, -EINVAL, "scan: n is -5, and should be 0 or more", yoke_stream_scan(t->s, (size_t)-5, x, x));
    REFUSED(t, -EINVAL, "sort: n is -5", yoke_stream_sort(t->s, (size_t)-5, x));
    REFUSED(t, -EINVAL, "unique: n is -5", yoke_stream_unique(t->s, (size_t)-5, x, x, k));
    REFUSED(t, -EINVAL, "histogram: n is -5", yoke_stream_histogram(t->s, (size_t)-5, x, 4, 0, 1, k));
    REFUSED(t, -EINVAL, "segments: segments is -1", yoke_stream_segments_sum(t->s, (size_t)-1, 1, u, x, x));
    REFUSED(t, -EINVAL, "segments: n is -2", yoke_stream_segments_sum(t->s, 1, (size_t)-2, u, x, x));
    REFUSED(t, -EINVAL, "matmul: k is -3", yoke_stream_matmul(t->s, 1, 1, (size_t)-3, x, 1, x, 1, x, 1));
    REFUSED(t, -EINVAL, "matmul: ldc is -3", yoke_stream_matmul(t->s, 1, 1, 1, x, 1, x, 1, x, (size_t)-3));
    REFUSED(t, -EINVAL, "spmv: nonzeros is -3", yoke_stream_spmv(t->s, 1, (size_t)-3, u, u, x, x, x));
    give_back(t, x, 0);
}

TEST(numbers_of_elements_below_0)
{
    on_every_device(negative_counts);
}

/* A recording refuses what a call would, and at once. */
static void short_in_a_recording(try *t)
{
    float *x = on_device(t, NULL, 500, 0), *gone = on_device(t, NULL, 500, 0);
    yoke_graph *g = NULL;
    give_back(t, gone, 0);
    CHECK_INT(yoke_stream_record(t->s), 0);
    CHECK_INT(yoke_stream_sort(t->s, 1000, x), -EINVAL);
    CHECK_HAS(yoke_device_error(t->dev), "sort: keys has 512 bytes");
    CHECK_INT(yoke_stream_scan(t->s, 10, x, gone), -EFAULT);
    CHECK_HAS(yoke_device_error(t->dev), "that has been freed");
    CHECK_INT(yoke_stream_record_end(t->s, &g), -EINVAL);
    CHECK_HAS(yoke_device_error(t->dev), "sort: keys has 512 bytes");
    CHECK(g == NULL);
    CHECK_INT(yoke_stream_wait(t->s), 0);
    give_back(t, x, 0);
}

TEST(arrays_that_are_too_short_for_a_recording)
{
    on_every_device(short_in_a_recording);
}

/* Of the host's own memory it is only known that none has so much. */
TEST(more_than_any_memory_has)
{
    yoke_device *dev = yoke_device_open("cpu");
    try t = {.dev = dev, .s = yoke_stream_open(dev), .uri = "cpu"};
    double x[4] = {1, 2, 3, 4}, sum = 7;
    REFUSED(&t, -E2BIG, "sum: x should have 35184372088832 elements of 8 bytes, more than there can be",
            yoke_stream_sum(t.s, (size_t)1 << 45, x, &sum));
    CHECK(sum == 7);
    REFUSED(&t, -E2BIG, "sort: keys should have", yoke_stream_sort(t.s, SIZE_MAX / 2, x));
    CHECK_INT(yoke_device_close(dev), 0);
}

static void freed_arrays(try *t)
{
    float *x = on_device(t, NULL, 64, 0), *y = on_device(t, NULL, 64, 0);
    give_back(t, x, 0);
    char why[100];
    snprintf(why, sizeof why, "sum: x is memory of %s that has been freed", t->uri);
    REFUSED(t, -EFAULT, why, yoke_stream_sum(t->s, 4, x, y));
    REFUSED(t, -EFAULT, "sort: values is memory of", yoke_stream_sort_by(t->s, 4, y, x));
    GOES(t, yoke_stream_sum(t->s, 0, x, y)); /* no elements: nobody looks */
    CHECK_INT(yoke_stream_wait(t->s), 0); /* its partial results may lie where x was */
    CHECK(on_device(t, NULL, 64, 0) == (void *)x); /* somebody else's now */
    GOES(t, yoke_stream_sum(t->s, 4, x, y));
    CHECK_INT(yoke_stream_wait(t->s), 0);
    give_back(t, x, 0);
    give_back(t, y, 0);
}

TEST(arrays_that_were_freed)
{
    on_every_device(freed_arrays);
}

static void foreign_memory(try *t)
{
    if (yoke_device_about(t->dev)->shares_host_memory)
        return;
    float host[4] = {1, 2, 3, 4}, *x = on_device(t, host, sizeof host, 0);
    REFUSED(t, -EFAULT, "is memory of the host, not of", yoke_stream_sum(t->s, 4, host, x));
    REFUSED(t, -EFAULT, "is memory of the host, not of", yoke_stream_sum(t->s, 4, x, host));
    REFUSED(t, -EFAULT, "is memory of the host, not of", yoke_stream_scan(t->s, 4, host, x));
    REFUSED(t, -EFAULT, "is memory of the host, not of", yoke_stream_sort(t->s, 4, host));
    uint64_t kept = 77;
    uint8_t *flags = (uint8_t *)x;
    REFUSED(t, -EFAULT, "is memory of the host, not of", yoke_stream_select(t->s, 0, x, flags, x, &kept));
    CHECK_INT(kept, 77);
    GOES(t, yoke_stream_sum(t->s, 4, x, x)); /* and the stream goes on */
    off_device(t, host, x, sizeof host[0]);
    CHECK(host[0] == 10);
    give_back(t, x, 0);
}

TEST(memory_of_another)
{
    on_every_device(foreign_memory);
}

/* Calls of the CPU with memory of a device that is not the host's. */
static void memory_of_a_device(try *t)
{
    if (yoke_device_about(t->dev)->shares_host_memory)
        return;
    yoke_device *dev = yoke_device_open("cpu:2");
    try cpu = {.dev = dev, .s = yoke_stream_open(dev)};
    float *x = on_device(t, NULL, 256, 0), y[8] = {0};
    uint32_t *u = (uint32_t *)x, v[8] = {0, 1};
    uint64_t *k = (uint64_t *)x, n[8] = {0};
    uint8_t *flags = (uint8_t *)x;
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_sum(cpu.s, 4, x, y));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_min(cpu.s, 4, y, x));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_scan(cpu.s, 4, x, y));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_sort(cpu.s, 4, x));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_sort_by(cpu.s, 4, y, u));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_select(cpu.s, 4, y, flags, y, n));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_select(cpu.s, 0, y, flags, y, k));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_unique(cpu.s, 4, y, x, n));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_histogram(cpu.s, 4, y, 4, 0, 1, k));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_segments_sum(cpu.s, 1, 1, u, y, y));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_matmul(cpu.s, 1, 1, 1, y, 1, x, 1, y, 1));
    REFUSED(&cpu, -EFAULT, ", not of cpu:2", yoke_stream_spmv(cpu.s, 1, 1, v, u, y, y, y));
    give_back(t, x, 0);
    CHECK_INT(yoke_stream_close(cpu.s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(the_cpu_leaves_memory_of_a_device_alone)
{
    on_every_device(memory_of_a_device);
}

static float many[1 << 18];
static yoke_stream *of_job;
static _Atomic int sum_code, scan_code, begun;

YOKE_TASK(void, adds_up_after_the_cancel)
{
    static float out[1 << 18];
    float sum = 0;
    begun = 1;
    while (!yoke_cancelled())
        usleep(1000);
    sum_code = yoke_stream_sum(of_job, YK_COUNT_OF(many), many, &sum);
    scan_code = yoke_stream_scan(of_job, YK_COUNT_OF(many), many, out);
}

TEST(in_a_cancelled_job_there_is_no_sum)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_executor *ex = yoke_open("threads:2");
    of_job = yoke_stream_open(dev);
    yoke_future *f = yoke_submit(ex, adds_up_after_the_cancel);
    while (!begun)
        usleep(1000);
    yoke_cancel(f);
    CHECK_INT(yoke_wait(f), -ECANCELED);
    CHECK_INT(scan_code, -ECANCELED);
    CHECK_INT(sum_code, -ECANCELED);
    yoke_release(f);
    yoke_close(ex);
    yoke_device_close(dev);
}

/* On the CPU any memory of the host will do, and a device with threads of its own gives the same. */
TEST(the_cpu_takes_what_the_host_has)
{
    yoke_device *dev = yoke_device_open("cpu:3");
    yoke_stream *s = yoke_stream_open(dev);
    double x[5] = {3, 1, 2, 5, 4}, sum;
    uint32_t places[5] = {0, 1, 2, 3, 4};
    CHECK_INT(yoke_stream_sum(s, 5, x, &sum), 0);
    CHECK(sum == 15);
    CHECK_INT(yoke_stream_sort_by_down(s, 5, x, places), 0);
    CHECK(x[0] == 5 && x[4] == 1 && places[0] == 3 && places[4] == 1);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- Want of memory ---- */

static void no_memory(try *t)
{
    enum { N = 5000 };
    int failures = 0;
    uint32_t *keys = malloc(N * sizeof *keys), *values = malloc(N * sizeof *values);
    for (uint32_t i = 0; i < N; i++)
        keys[i] = values[i] = (i * 2654435761u) >> 7;
    uint32_t *k = on_device(t, keys, N * sizeof *keys, 0), *v = on_device(t, values, N * sizeof *values, 0);
    for (int n = 1; n < 200; n++) {
        yk_sys_fail("malloc", n, ENOMEM);
        const int err = yoke_stream_sort_by(t->s, N, k, v);
        yk_sys_fail("malloc", 0, 0);
        if (err == 0)
            break;
        CHECK_INT(err, -ENOMEM);
        CHECK_HAS(yoke_device_error(t->dev), "no memory");
        CHECK_INT(yoke_stream_wait(t->s), -ENOMEM);
        failures++;
    }
    off_device(t, keys, k, N * sizeof *keys);
    for (int i = 1; i < N; i++)
        CHECK(keys[i - 1] <= keys[i]);
    off_device(t, values, v, N * sizeof *values);
    CHECK(memcmp(keys, values, N * sizeof *keys) == 0);
    CHECK(failures > 0 || yoke_device_about(t->dev)->is_gpu || t->dev->driver != &yk_gpu_cpu);
    give_back(t, k, 0);
    give_back(t, v, 0);
    free(keys);
    free(values);
}

TEST(a_sort_without_memory)
{
    on_every_device(no_memory);
}
