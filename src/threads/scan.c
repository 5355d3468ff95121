/* scan: prefixes of blocks by a crew (crew.c), and the sums of numbers that need no macro.
 *
 * A thread that works alone writes each block at once. With company it first reduces its block, so that others can go on, and
 * then writes it, from the cache. Both ways give the same bits: what a block's elements come to is always taken together
 * from the identity, in the same lanes (yoke/scan.h), and combined with the prefix one by one. */
#include "threads/crew.h"
#include "topo/past_cache.h"
#include <yoke/scan.h>

enum { BLOCK_BYTES = 128 << 10, BLOCK_MOST = 65536 };

typedef struct scan {
    const yk_scanning *how;
    const void *args;
    void *out;
    size_t n, block;
    bool exclusive;
    yk_ordered ordered;
} scan;

static size_t block_end(const scan *s, size_t k)
{
    return YK_MIN((k + 1) * s->block, s->n);
}

static void sum_block(void *arg, size_t k, void *sum)
{
    const scan *s = arg;
    s->how->identity(sum);
    s->how->fold(k * s->block, block_end(s, k), sum, s->args);
}

static void sum_and_write(void *arg, size_t k, const void *prefix, void *sum)
{
    const scan *s = arg;
    s->how->identity(sum);
    s->how->write(k * s->block, block_end(s, k), prefix, sum, s->out, s->exclusive, s->args);
}

static void write_block(void *arg, size_t k, const void *prefix)
{
    scan *s = arg;
    _Alignas(YK_CACHE_LINE) char sum[YK_SCAN_BYTES];
    sum_and_write(s, k, prefix, sum);
}

/* Without scratch memory. */
static void scan_one_block(scan *s)
{
    _Alignas(YK_CACHE_LINE) char nothing[YK_SCAN_BYTES];
    s->how->identity(nothing);
    write_block(s, 0, nothing);
}

static int scan_all(yoke_executor *ex, size_t n, const yk_scanning *how, void *out, bool exclusive, const void *args)
{
    scan s = {.how = how, .args = args, .out = out, .n = n, .exclusive = exclusive};
    s.ordered = (yk_ordered){.sum = sum_block, .write = write_block, .both = sum_and_write, .arg = &s};
    s.block = YK_MIN(YK_MAX((size_t)BLOCK_BYTES / how->size, 1), (size_t)BLOCK_MOST);
    size_t blocks = n / s.block + (n % s.block > 0);
    if (n == 0)
        return 0;
    if (!out)
        return -EINVAL;
    if (yk_is_over())
        return -ECANCELED;
    if (blocks == 1) {
        scan_one_block(&s);
        return 0;
    }
    int err = yk_chain_init(&s.ordered.chain, blocks, how->size, how->combine, how->identity);
    if (err < 0)
        return err;
    err = yk_ordered_run(ex, &s.ordered);
    yk_chain_done(&s.ordered.chain);
    return err;
}

int yk_scan(yoke_executor *ex, size_t n, const yk_scanning *how, void *out, bool exclusive, const void *args)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, scan_all(ex, n, how, out, exclusive, args));
}

/* ---- Sums of integers ---- */

typedef struct numbers {
    const void *from;
    bool stream; /* write past the caches */
} numbers;

#define COMMON(suffix, T)                                                                                              \
    static void identity_##suffix(void *acc)                                                                           \
    {                                                                                                                  \
        memset(acc, 0, sizeof(T));                                                                                     \
    }                                                                                                                  \
    static void combine_##suffix(void *acc, const void *other)                                                         \
    {                                                                                                                  \
        *(T *)acc += *(const T *)other;                                                                                \
    }                                                                                                                  \
    static const yk_scanning sums_##suffix = {fold_##suffix, combine_##suffix, identity_##suffix, write_##suffix, sizeof(T)};

/* Exact in any order, so plain loops are. */
#define INTEGERS(suffix, T)                                                                                            \
    static void fold_##suffix(size_t lo, size_t hi, void *acc, const void *args)                                       \
    {                                                                                                                  \
        const T *from = ((const numbers *)args)->from;                                                                 \
        T sum = *(T *)acc;                                                                                             \
        for (size_t i = lo; i < hi; i++)                                                                               \
            sum += from[i];                                                                                            \
        *(T *)acc = sum;                                                                                               \
    }                                                                                                                  \
    static void write_##suffix(size_t lo, size_t hi, const void *before, void *acc, void *to, bool exclusive, const void *args) \
    {                                                                                                                  \
        const T *from = ((const numbers *)args)->from;                                                                 \
        T prefix = *(const T *)before, first = prefix + *(T *)acc, sum = first, *out = to;                             \
        for (size_t i = lo; i < hi; i++) {                                                                             \
            const T x = from[i];                                                                                       \
            out[i] = exclusive ? sum : sum + x;                                                                        \
            sum += x;                                                                                                  \
        }                                                                                                              \
        *(T *)acc += sum - first;                                                                                      \
    }                                                                                                                  \
    COMMON(suffix, T)

INTEGERS(u32, uint32_t)
INTEGERS(u64, uint64_t)

/* ---- Sums of floats ---- */

/* Four at a time: (x0, x0 + x1, (x0 + x1) + x2, (x0 + x1) + (x2 + x3)), each added to the sum of those before. Sums of numbers
 * that are not negative so never fall within a block. fold adds in the very same order. */
typedef float four_f32 __attribute__((vector_size(16)));
typedef double four_f64 __attribute__((vector_size(32)));

static inline void write_past(void *to, const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 16)
        yk_past_cache_16((char *)to + at, (const char *)from + at);
}

#define FLOATS(suffix, T)                                                                                              \
    static void fold_##suffix(size_t lo, size_t hi, void *acc, const void *args)                                       \
    {                                                                                                                  \
        const T *from = ((const numbers *)args)->from;                                                                 \
        T sum = *(T *)acc;                                                                                             \
        for (; lo + 4 <= hi; lo += 4)                                                                                  \
            sum += (from[lo] + from[lo + 1]) + (from[lo + 2] + from[lo + 3]);                                          \
        for (; lo < hi; lo++)                                                                                          \
            sum += from[lo];                                                                                           \
        *(T *)acc = sum;                                                                                               \
    }                                                                                                                  \
    static inline __attribute__((always_inline)) void write_as_##suffix(                                               \
        size_t lo, size_t hi, T prefix, T *acc, T *out, bool exclusive, bool stream, const T *from)                    \
    {                                                                                                                  \
        const four_##suffix zero = {0}, base = zero + prefix;                                                          \
        T sum = *acc;                                                                                                  \
        for (; lo + 4 <= hi; lo += 4) {                                                                                \
            four_##suffix x, sums = zero + sum, z;                                                                     \
            memcpy(&x, from + lo, sizeof x);                                                                           \
            z = x + __builtin_shufflevector(zero, x, 0, 4, 0, 6);     /* x0, x1 + x0, x2, x3 + x2 */                   \
            z += __builtin_shufflevector(zero, z, 0, 0, 5, 5);        /* and x0 + x1 to the upper two */               \
            const T last = z[3];                                                                                       \
            if (exclusive)                                                                                             \
                z = __builtin_shufflevector(zero, z, 0, 4, 5, 6);                                                      \
            z = base + (sums + z);                                                                                     \
            if (stream)                                                                                                \
                write_past(out + lo, &z, sizeof z);                                                                    \
            else                                                                                                       \
                memcpy(out + lo, &z, sizeof z);                                                                        \
            sum += last;                                                                                               \
        }                                                                                                              \
        for (; lo < hi; lo++) {                                                                                        \
            const T x = from[lo];                                                                                      \
            out[lo] = prefix + (exclusive ? sum : sum + x);                                                            \
            sum += x;                                                                                                  \
        }                                                                                                              \
        *acc = sum;                                                                                                    \
        if (stream)                                                                                                    \
            yk_past_cache_end();                                                                                       \
    }                                                                                                                  \
    static void write_##suffix(size_t lo, size_t hi, const void *before, void *acc, void *to, bool exclusive, const void *args) \
    {                                                                                                                  \
        const numbers *x = args;                                                                                       \
        T prefix = *(const T *)before;                                                                                 \
        bool stream = x->stream && (uintptr_t)((T *)to + lo) % 16 == 0;                                                \
        if (exclusive)                                                                                                 \
            stream ? write_as_##suffix(lo, hi, prefix, acc, to, true, true, x->from)                                   \
                   : write_as_##suffix(lo, hi, prefix, acc, to, true, false, x->from);                                 \
        else                                                                                                           \
            stream ? write_as_##suffix(lo, hi, prefix, acc, to, false, true, x->from)                                  \
                   : write_as_##suffix(lo, hi, prefix, acc, to, false, false, x->from);                                \
    }                                                                                                                  \
    COMMON(suffix, T)

FLOATS(f32, float)
FLOATS(f64, double)

#define SCAN(suffix, sums, T)                                                                                          \
    int yoke_scan_##suffix(yoke_executor *ex, const T *from, size_t n, T *to)                                          \
    {                                                                                                                  \
        const numbers x = {.from = from, .stream = from != to && yk_past_cache_pays(2 * n * sizeof(T))};               \
        return !from && n ? -EINVAL : yk_scan(ex, n, &sums_##sums, to, false, &x);                                     \
    }                                                                                                                  \
    int yoke_scan_before_##suffix(yoke_executor *ex, const T *from, size_t n, T *to)                                   \
    {                                                                                                                  \
        const numbers x = {.from = from, .stream = from != to && yk_past_cache_pays(2 * n * sizeof(T))};               \
        return !from && n ? -EINVAL : yk_scan(ex, n, &sums_##sums, to, true, &x);                                      \
    }

SCAN(i32, u32, int32_t)
SCAN(u32, u32, uint32_t)
SCAN(i64, u64, int64_t)
SCAN(u64, u64, uint64_t)
SCAN(f32, f32, float)
SCAN(f64, f64, double)
