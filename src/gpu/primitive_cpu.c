/* primitive_cpu: the primitives on the CPU: the algorithms of the thread pool, for the types that a device
 * has. What is put in a stream of the CPU is done when the call returns. Results depend neither on the number
 * of threads nor on who does what. */
#include "gpu/matmul.h"
#include "gpu/primitive.h"
#include "exec/exec.h"
#include <math.h>
#include <stdlib.h>
#include <yoke/algorithm.h>
#include <yoke/scan.h>
#include <yoke/sort.h>

#define FOR_EACH_NUMBER(X) X(i32, int32_t) X(u32, uint32_t) X(i64, int64_t) X(u64, uint64_t) X(f32, float) X(f64, double)

#define SWITCH_NUMBER(TYPE, CASE)                                                                                      \
    switch (TYPE) {                                                                                                    \
    case YK_I32: CASE(i32, int32_t);                                                                                   \
    case YK_U32: CASE(u32, uint32_t);                                                                                  \
    case YK_I64: CASE(i64, int64_t);                                                                                   \
    case YK_U64: CASE(u64, uint64_t);                                                                                  \
    case YK_F32: CASE(f32, float);                                                                                     \
    case YK_F64: CASE(f64, double);                                                                                    \
    }

/* What a loop or an algorithm of the pool has returned becomes the call's. */
static int ended(yk_primitive_call *c, int err)
{
    return err < 0 ? yk_errorf(&c->e, err, "%s: %s", c->name, err == -ENOMEM ? "no memory" : "was cancelled") : 0;
}

static struct yoke_executor *pool_of(const yk_primitive_call *c)
{
    return c->s->dev->pool;
}

/* ---- Reductions ---- */

/* Elements are taken together in blocks, each in so many lanes, which a compiler makes vectors of; unrolled, or they would be
 * in memory, where each waits for what was written to it last. */
enum { BLOCK = 4096, LANES = 16 };
#define UNROLLED _Pragma("GCC unroll 16")

static const int32_t most_i32 = INT32_MAX, least_i32 = INT32_MIN;
static const uint32_t most_u32 = UINT32_MAX, least_u32 = 0;
static const int64_t most_i64 = INT64_MAX, least_i64 = INT64_MIN;
static const uint64_t most_u64 = UINT64_MAX, least_u64 = 0;
static const float most_f32 = INFINITY, least_f32 = -INFINITY;
static const double most_f64 = INFINITY, least_f64 = -INFINITY;

#define LESSER(ACC, X) ((X) < (ACC) ? (X) : (ACC))
#define GREATER(ACC, X) ((X) > (ACC) ? (X) : (ACC))
#define TOGETHER(ACC, X) ((ACC) + (X))

#define FOLD(NAME, S, T, NEUTRAL, OP)                                                                                  \
    static T NAME##_block_##S(const T *x, size_t n)                                                                    \
    {                                                                                                                  \
        T lanes[LANES], acc = NEUTRAL;                                                                                 \
        size_t i = 0;                                                                                                  \
        UNROLLED for (int l = 0; l < LANES; l++)                                                                       \
            lanes[l] = NEUTRAL;                                                                                        \
        for (; i + LANES <= n; i += LANES)                                                                             \
            UNROLLED for (int l = 0; l < LANES; l++)                                                                   \
                lanes[l] = OP(lanes[l], x[i + (size_t)l]);                                                             \
        for (; i < n; i++)                                                                                             \
            acc = OP(acc, x[i]);                                                                                       \
        UNROLLED for (int l = 0; l < LANES; l++)                                                                       \
            acc = OP(acc, lanes[l]);                                                                                   \
        return acc;                                                                                                    \
    }                                                                                                                  \
    YOKE_REDUCE(T, NAME##_##S, i, acc, other, (NEUTRAL), (*acc = OP(*acc, *other)), (const T *, x), (size_t, n))       \
    {                                                                                                                  \
        const T block = NAME##_block_##S(x + i * BLOCK, YK_MIN(n - i * BLOCK, (size_t)BLOCK));                         \
        *acc = OP(*acc, block);                                                                                        \
    }
#define SCAN(NAME, S, T, NEUTRAL, OP)                                                                                  \
    YOKE_SCAN(T, NAME##_scan_##S, i, acc, other, (NEUTRAL), (*acc = OP(*acc, *other)), (const T *, x))                 \
    {                                                                                                                  \
        *acc = OP(*acc, x[i]);                                                                                         \
    }

/* Sums of integers wrap around: they are those of unsigned ones. */
FOLD(sum, u32, uint32_t, 0, TOGETHER)
FOLD(sum, u64, uint64_t, 0, TOGETHER)
FOLD(sum, f32, float, 0, TOGETHER)
FOLD(sum, f64, double, 0, TOGETHER)
#define LIMITS(S, T)                                                                                                   \
    FOLD(min, S, T, most_##S, LESSER)                                                                                  \
    FOLD(max, S, T, least_##S, GREATER)                                                                                \
    SCAN(min, S, T, most_##S, LESSER)                                                                                  \
    SCAN(max, S, T, least_##S, GREATER)
FOR_EACH_NUMBER(LIMITS)

static yk_number unsigned_of(yk_number type)
{
    return type == YK_I32 ? YK_U32 : type == YK_I64 ? YK_U64 : type;
}

static void sum_all(struct yoke_executor *ex, yk_number type, size_t n, const void *x, void *out)
{
    const size_t blocks = (n + BLOCK - 1) / BLOCK;
#define CASE(S, T)                                                                                                     \
    *(T *)out = yoke_reduce(ex, blocks, sum_##S, (const T *)x, n);                                                     \
    break
    switch (unsigned_of(type)) {
    case YK_U32: CASE(u32, uint32_t);
    case YK_U64: CASE(u64, uint64_t);
    case YK_F32: CASE(f32, float);
    default: CASE(f64, double);
    }
#undef CASE
}

static void min_all(struct yoke_executor *ex, yk_number type, size_t n, const void *x, void *out)
{
    const size_t blocks = (n + BLOCK - 1) / BLOCK;
#define CASE(S, T)                                                                                                     \
    *(T *)out = yoke_reduce(ex, blocks, min_##S, (const T *)x, n);                                                     \
    break
    SWITCH_NUMBER(type, CASE)
#undef CASE
}

static void max_all(struct yoke_executor *ex, yk_number type, size_t n, const void *x, void *out)
{
    const size_t blocks = (n + BLOCK - 1) / BLOCK;
#define CASE(S, T)                                                                                                     \
    *(T *)out = yoke_reduce(ex, blocks, max_##S, (const T *)x, n);                                                     \
    break
    SWITCH_NUMBER(type, CASE)
#undef CASE
}

static int cpu_reduce(yk_primitive_call *c, yk_operator op, yk_number type, size_t n, const void *x, void *out)
{
    (op == YK_SUM ? sum_all : op == YK_MIN ? min_all : max_all)(pool_of(c), type, n, x, out);
    const yk_run *run = yk_current_run();
    return ended(c, run && yk_run_is_over(run) ? -ECANCELED : 0);
}

/* ---- Scans ---- */

static int scan_sums(struct yoke_executor *ex, bool before, yk_number type, size_t n, const void *x, void *out)
{
#define CASE(S, T) return before ? yoke_scan_before_##S(ex, x, n, out) : yoke_scan_##S(ex, x, n, out)
    SWITCH_NUMBER(type, CASE)
#undef CASE
    return 0;
}

static int scan_min(struct yoke_executor *ex, bool before, yk_number type, size_t n, const void *x, void *out)
{
#define CASE(S, T)                                                                                                     \
    return before ? yoke_scan_before(ex, n, (T *)out, min_scan_##S, (const T *)x)                                      \
                  : yoke_scan(ex, n, (T *)out, min_scan_##S, (const T *)x)
    SWITCH_NUMBER(type, CASE)
#undef CASE
    return 0;
}

static int scan_max(struct yoke_executor *ex, bool before, yk_number type, size_t n, const void *x, void *out)
{
#define CASE(S, T)                                                                                                     \
    return before ? yoke_scan_before(ex, n, (T *)out, max_scan_##S, (const T *)x)                                      \
                  : yoke_scan(ex, n, (T *)out, max_scan_##S, (const T *)x)
    SWITCH_NUMBER(type, CASE)
#undef CASE
    return 0;
}

static int cpu_scan(yk_primitive_call *c, yk_operator op, bool before, yk_number type, size_t n, const void *x, void *out)
{
    return ended(c, (op == YK_SUM ? scan_sums : op == YK_MIN ? scan_min : scan_max)(pool_of(c), before, type, n, x, out));
}

/* ---- Sorts ---- */

/* A key as an unsigned integer in whose order it is sorted: flip turns bits, the sign of a float turns all of
 * them. */
#define ORDERED(BITS, KEY, FLIP, IS_FLOAT)                                                                             \
    ((IS_FLOAT) && (KEY) >> ((BITS) - 1) ? (FLIP) ^ ~(KEY) ^ (uint##BITS##_t)1 << ((BITS) - 1) : (FLIP) ^ (KEY))

#define PAIR(BITS, SIZE, V)                                                                                            \
    typedef struct pair_##BITS##_##SIZE {                                                                              \
        uint##BITS##_t key;                                                                                            \
        V value;                                                                                                       \
    } pair_##BITS##_##SIZE;                                                                                            \
    YOKE_KEY(pair_##BITS##_##SIZE, uint##BITS##_t, by_key_##BITS##_##SIZE, p, (uint##BITS##_t, flip), (bool, is_float)) \
    {                                                                                                                  \
        return (uint##BITS##_t)ORDERED(BITS, p->key, flip, is_float);                                                  \
    }                                                                                                                  \
    YOKE_LOOP(join_##BITS##_##SIZE, i, (pair_##BITS##_##SIZE *, pairs), (const uint##BITS##_t *, keys), (const V *, values)) \
    {                                                                                                                  \
        pairs[i] = (pair_##BITS##_##SIZE){keys[i], values[i]};                                                         \
    }                                                                                                                  \
    YOKE_LOOP(part_##BITS##_##SIZE, i, (const pair_##BITS##_##SIZE *, pairs), (uint##BITS##_t *, keys), (V *, values)) \
    {                                                                                                                  \
        keys[i] = pairs[i].key;                                                                                        \
        values[i] = pairs[i].value;                                                                                    \
    }                                                                                                                  \
    static int sort_pairs_##BITS##_##SIZE(struct yoke_executor *ex, const yk_sorting *a, uint64_t flip)                \
    {                                                                                                                  \
        pair_##BITS##_##SIZE *pairs = a->n > SIZE_MAX / sizeof *pairs ? NULL : yk_sys.malloc(a->n * sizeof *pairs);    \
        if (!pairs)                                                                                                    \
            return -ENOMEM;                                                                                            \
        int err = yoke_for(ex, a->n, join_##BITS##_##SIZE, pairs, (const uint##BITS##_t *)a->keys, (const V *)a->values); \
        if (err == 0)                                                                                                  \
            err = yoke_radix_sort(ex, pairs, a->n, by_key_##BITS##_##SIZE, (uint##BITS##_t)flip,                       \
                                  yk_number_is_float(a->type));                                                        \
        if (err == 0)                                                                                                  \
            err = yoke_for(ex, a->n, part_##BITS##_##SIZE, (const pair_##BITS##_##SIZE *)pairs,                        \
                           (uint##BITS##_t *)a->keys, (V *)a->values);                                                 \
        free(pairs);                                                                                                   \
        return err;                                                                                                    \
    }
PAIR(32, 4, uint32_t)
PAIR(32, 8, uint64_t)
PAIR(64, 4, uint32_t)
PAIR(64, 8, uint64_t)

#define ALONE(BITS)                                                                                                    \
    YOKE_KEY(uint##BITS##_t, uint##BITS##_t, alone_##BITS, p, (uint##BITS##_t, flip), (bool, is_float))                \
    {                                                                                                                  \
        return (uint##BITS##_t)ORDERED(BITS, *p, flip, is_float);                                                      \
    }
ALONE(32)
ALONE(64)

static int sort_keys(struct yoke_executor *ex, const yk_sorting *a, uint64_t flip)
{
    const bool is_float = yk_number_is_float(a->type);
    if (yk_number_size(a->type) == 4)
        return yoke_radix_sort(ex, (uint32_t *)a->keys, a->n, alone_32, (uint32_t)flip, is_float);
    return yoke_radix_sort(ex, (uint64_t *)a->keys, a->n, alone_64, flip, is_float);
}

static int cpu_sort(yk_primitive_call *c, const yk_sorting *a)
{
    struct yoke_executor *ex = pool_of(c);
    const size_t size = yk_number_size(a->type);
    const bool has_sign = a->type != YK_U32 && a->type != YK_U64;
    const uint64_t flip = (has_sign ? (uint64_t)1 << (size * 8 - 1) : 0) ^ (a->down ? ~(uint64_t)0 : 0);
    if (a->value_size == 0)
        return ended(c, sort_keys(ex, a, flip));
    if (size == 4)
        return ended(c, (a->value_size == 4 ? sort_pairs_32_4 : sort_pairs_32_8)(ex, a, flip));
    return ended(c, (a->value_size == 4 ? sort_pairs_64_4 : sort_pairs_64_8)(ex, a, flip));
}

/* ---- Selections ---- */

YOKE_PREDICATE(is_flagged, i, (const uint8_t *, flags))
{
    return flags[i] != 0;
}
#define DIFFERS(S, T)                                                                                                  \
    YOKE_PREDICATE(differs_##S, i, (const T *, x))                                                                     \
    {                                                                                                                  \
        return i == 0 || x[i] != x[i - 1];                                                                             \
    }
FOR_EACH_NUMBER(DIFFERS)

static int cpu_select(yk_primitive_call *c, const yk_selecting *a)
{
    struct yoke_executor *ex = pool_of(c);
    size_t kept = 0;
    int err = 0;
    if (a->flags && a->size == 4)
        err = yoke_select(ex, (const uint32_t *)a->x, a->n, (uint32_t *)a->out, &kept, is_flagged, a->flags);
    else if (a->flags)
        err = yoke_select(ex, (const uint64_t *)a->x, a->n, (uint64_t *)a->out, &kept, is_flagged, a->flags);
#define CASE(S, T)                                                                                                     \
    err = yoke_select(ex, (const T *)a->x, a->n, (T *)a->out, &kept, differs_##S, (const T *)a->x);                    \
    break
    else
        SWITCH_NUMBER(a->type, CASE)
#undef CASE
    if (err == 0)
        *a->kept = kept;
    return ended(c, err);
}

/* ---- Histograms ---- */

#define WHOLE_BINS(S, T)                                                                                               \
    YOKE_BIN(bin_##S, i, (const T *, x), (T, low), (T, high), (T, scale), (size_t, bins))                              \
    {                                                                                                                  \
        return x[i] < low || x[i] > high ? SIZE_MAX : (size_t)x[i] - (size_t)low;                                      \
    }
#define REAL_BINS(S, T)                                                                                                \
    YOKE_BIN(bin_##S, i, (const T *, x), (T, low), (T, high), (T, scale), (size_t, bins))                              \
    {                                                                                                                  \
        return x[i] >= low && x[i] <= high ? YK_MIN((size_t)((x[i] - low) * scale), bins - 1) : SIZE_MAX;              \
    }
WHOLE_BINS(i32, int32_t)
WHOLE_BINS(u32, uint32_t)
WHOLE_BINS(i64, int64_t)
WHOLE_BINS(u64, uint64_t)
REAL_BINS(f32, float)
REAL_BINS(f64, double)

static int cpu_histogram(yk_primitive_call *c, const yk_binning *a)
{
    int err = 0;
#define CASE(S, T)                                                                                                     \
    {                                                                                                                  \
        T low, high, scale;                                                                                            \
        memcpy(&low, &a->low, sizeof low);                                                                             \
        memcpy(&high, &a->high, sizeof high);                                                                          \
        memcpy(&scale, &a->scale, sizeof scale);                                                                       \
        err = yoke_histogram(pool_of(c), a->n, a->bins, a->counts, bin_##S, (const T *)a->x, low, high, scale, a->bins); \
        break;                                                                                                         \
    }
    SWITCH_NUMBER(a->type, CASE)
#undef CASE
    return ended(c, err);
}

/* ---- Segments ---- */

static size_t offset_at(const void *offsets, size_t size, size_t at)
{
    return size == 4 ? ((const uint32_t *)offsets)[at] : ((const uint64_t *)offsets)[at];
}

#define SEGMENT(NAME, S, T)                                                                                            \
    YOKE_LOOP(NAME##_segment_##S, i, (const yk_segmenting *, a))                                                       \
    {                                                                                                                  \
        const size_t begin = offset_at(a->offsets, a->offset_size, i), end = offset_at(a->offsets, a->offset_size, i + 1); \
        ((T *)a->out)[i] = NAME##_block_##S((const T *)a->x + begin, end - begin);                                     \
    }
SEGMENT(sum, u32, uint32_t)
SEGMENT(sum, u64, uint64_t)
SEGMENT(sum, f32, float)
SEGMENT(sum, f64, double)
#define SEGMENT_LIMITS(S, T) SEGMENT(min, S, T) SEGMENT(max, S, T)
FOR_EACH_NUMBER(SEGMENT_LIMITS)

static int sum_segments(struct yoke_executor *ex, const yk_segmenting *a)
{
    switch (unsigned_of(a->type)) {
    case YK_U32: return yoke_for(ex, a->segments, sum_segment_u32, a);
    case YK_U64: return yoke_for(ex, a->segments, sum_segment_u64, a);
    case YK_F32: return yoke_for(ex, a->segments, sum_segment_f32, a);
    default: return yoke_for(ex, a->segments, sum_segment_f64, a);
    }
}

static int cpu_segments(yk_primitive_call *c, const yk_segmenting *a)
{
    struct yoke_executor *ex = pool_of(c);
    int err = 0;
    if (a->op == YK_SUM)
        return ended(c, sum_segments(ex, a));
#define CASE(S, T)                                                                                                     \
    err = a->op == YK_MIN ? yoke_for(ex, a->segments, min_segment_##S, a) : yoke_for(ex, a->segments, max_segment_##S, a); \
    break
    SWITCH_NUMBER(a->type, CASE)
#undef CASE
    return ended(c, err);
}

/* ---- Matrices ---- */

#define SPMV(S, T)                                                                                                     \
    YOKE_LOOP(spmv_##S, i, (const yk_sparse *, a))                                                                     \
    {                                                                                                                  \
        const size_t end = offset_at(a->offsets, a->offset_size, i + 1);                                               \
        T acc = 0;                                                                                                     \
        for (size_t k = offset_at(a->offsets, a->offset_size, i); k < end; k++)                                        \
            acc += ((const T *)a->values)[k] * ((const T *)a->x)[a->columns[k]];                                       \
        ((T *)a->y)[i] = acc;                                                                                          \
    }
SPMV(f32, float)
SPMV(f64, double)

static int cpu_matmul(yk_primitive_call *c, const yk_multiplying *a)
{
    const yk_product p = {a->m, a->n, a->k, a->lda, a->ldb, a->ldc, a->a, a->b, a->c};
    return ended(c, yk_matmul_on_host(pool_of(c), a->type == YK_F32 ? YOKE_F32 : YOKE_F64, &p));
}

static int cpu_spmv(yk_primitive_call *c, const yk_sparse *a)
{
    return ended(c, a->type == YK_F32 ? yoke_for(pool_of(c), a->rows, spmv_f32, a) : yoke_for(pool_of(c), a->rows, spmv_f64, a));
}

const yk_primitives yk_primitives_cpu = {.reduce = cpu_reduce, .scan = cpu_scan, .sort = cpu_sort, .select = cpu_select,
                                         .histogram = cpu_histogram, .segments = cpu_segments, .matmul = cpu_matmul,
                                         .spmv = cpu_spmv};
