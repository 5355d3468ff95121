/* yoke/algorithm.h - finding, counting, selecting, transforming and histograms over any C data, in parallel.
 *
 *     YOKE_PREDICATE(is_negative, i, (const double *, x))
 *     {
 *         return x[i] < 0;
 *     }
 *     ...
 *     size_t first = yoke_find_first(ex, n, is_negative, x);             // n when there is none
 *     size_t count = yoke_count(ex, n, is_negative, x);
 *     int err = yoke_select(ex, x, n, out, &kept, is_negative, x);             // copies those, in their order
 *
 *     YOKE_TRANSFORM(float, degrees, i, (const float *, radians)) { return radians[i] * 57.29578f; }
 *     ...
 *     yoke_transform(ex, n, out, degrees, radians);                            // out[i] = degrees of i
 *
 *     YOKE_BIN(grey_of, i, (const unsigned char *, pixels)) { return pixels[i]; }
 *     ...
 *     err = yoke_histogram(ex, n, 256, counts, grey_of, image);                // counts is a uint64_t[256]
 *
 * The least and greatest element, and unique elements: yoke/sort.h. A body sees an index, so it may look at several arrays, at
 * neighbours, at bits, and at array views, whatever their steps: parameters of type yoke_in_T, yoke_at(v, i), and
 * yoke_elements(v) for n (yoke/task.h). It is compiled into a plain loop, must not change anything, and may be called more than
 * once for an index and for some that the answer does not need. Answers do not depend on the number of workers.
 *
 * ex: as for yoke_for(). Any thread, any context. When the surrounding job fails or is cancelled, answers are worthless: those
 * that return int return -ECANCELED then; after others look at yoke_cancelled(). yoke_fail() in a body: yoke/loop.h.
 */
#ifndef YOKE_ALGORITHM_H
#define YOKE_ALGORITHM_H
#pragma GCC system_header
#include <yoke/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the macros use ---- */

typedef struct yk_predicate {
    /* The first of [lo, hi) for which it holds, or hi. */
    size_t (*first)(size_t lo, size_t hi, const void *args);
    size_t (*count)(size_t lo, size_t hi, const void *args);
    /* Bit i - lo says whether it holds for i. hi - lo <= 64. */
    uint64_t (*mark)(size_t lo, size_t hi, const void *args);
} yk_predicate;
/* Counts the bins of [lo, hi), four indices at a time, each into a table of its own, `apart` counts from the one before: a
 * processor that has seen two increments of one bin meet may let every increment wait for the one before it, which takes twice
 * as long. apart = 0: one table is enough. */
enum { YK_BIN_TABLES = 4 };
typedef void yk_bins(size_t lo, size_t hi, size_t bins, uint64_t *counts, size_t apart, const void *args);
/* What yoke_find_first(), yoke_count(), yoke_select() and yoke_histogram() do. */
YOKE_API size_t yk_find(struct yoke_executor *ex, size_t n, const yk_predicate *p, const void *args);
YOKE_API size_t yk_count_if(struct yoke_executor *ex, size_t n, const yk_predicate *p, const void *args);
YOKE_API int yk_select(struct yoke_executor *ex, const void *from, size_t n, void *to, size_t *ret, size_t size,
                       const yk_predicate *p, const void *args);
YOKE_API int yk_histogram(struct yoke_executor *ex, size_t n, size_t bins, uint64_t *counts, yk_bins *fill, const void *args);

/* ---- Predicates ---- */

/* YOKE_PREDICATE(name, i, (type, parameter)...) { body }: at file scope; the body returns whether it holds for index i. */
#define YOKE_PREDICATE(N, ...)                                                                                         \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_PREDICATE_OVER,                                                         \
                 (predicate, N, YK_IS_NAME(YK_FIRST(__VA_ARGS__, ~)), "YOKE_PREDICATE(name, i, (type, parameter)...)"), \
                 (N, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_PREDICATE_OVER(HEAD, ...) YK_APPLY(YK_PREDICATE_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_PREDICATE_OVER_AS(N, I, FIELDS, PARAMS, LOADS, VALUES)                                                      \
    enum {                                                                                                             \
        yk_a_predicate_named_##N                                                                                       \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE bool yk_predicate_body_##N(size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT;                          \
    static YK_LOOP_CODE size_t yk_predicate_first_##N(size_t yk_lo, size_t yk_hi, const void *yk_v)                    \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        (void)yk_a;                                                                                                    \
        while (yk_hi - yk_lo >= 64) { /* without leaving the loop, so that it can be vectorised */                     \
            unsigned yk_any = 0;                                                                                       \
            for (size_t yk_i = 0; yk_i < 64; yk_i++)                                                                   \
                yk_any |= yk_predicate_body_##N(yk_lo + yk_i YK_UNWRAP LOADS);                                         \
            if (yk_any)                                                                                                \
                break;                                                                                                 \
            yk_lo += 64;                                                                                               \
        }                                                                                                              \
        while (yk_lo < yk_hi && !yk_predicate_body_##N(yk_lo YK_UNWRAP LOADS))                                         \
            yk_lo++;                                                                                                   \
        return yk_lo;                                                                                                  \
    }                                                                                                                  \
    static YK_LOOP_CODE size_t yk_predicate_count_##N(size_t yk_lo, size_t yk_hi, const void *yk_v)                    \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        size_t yk_count = 0;                                                                                           \
        (void)yk_a;                                                                                                    \
        for (size_t yk_i = yk_lo; yk_i < yk_hi; yk_i++)                                                                \
            yk_count += yk_predicate_body_##N(yk_i YK_UNWRAP LOADS);                                                   \
        return yk_count;                                                                                               \
    }                                                                                                                  \
    static YK_LOOP_CODE uint64_t yk_predicate_mark_##N(size_t yk_lo, size_t yk_hi, const void *yk_v)                   \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        uint64_t yk_bits = 0;                                                                                          \
        (void)yk_a;                                                                                                    \
        for (size_t yk_i = yk_lo; yk_i < yk_hi; yk_i++)                                                                \
            yk_bits |= (uint64_t)yk_predicate_body_##N(yk_i YK_UNWRAP LOADS) << (yk_i - yk_lo);                        \
        return yk_bits;                                                                                                \
    }                                                                                                                  \
    static YK_MAYBE const yk_predicate yk_predicate_##N = {yk_predicate_first_##N, yk_predicate_count_##N,             \
                                                           yk_predicate_mark_##N};                                     \
    static inline YK_MAYBE size_t yk_predicate_find_##N(struct yoke_executor *yk_ex, size_t yk_n YK_UNWRAP PARAMS)     \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_find(yk_ex, yk_n, &yk_predicate_##N, &yk_args);                                                      \
    }                                                                                                                  \
    static inline YK_MAYBE size_t yk_predicate_all_##N(struct yoke_executor *yk_ex, size_t yk_n YK_UNWRAP PARAMS)      \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_count_if(yk_ex, yk_n, &yk_predicate_##N, &yk_args);                                                  \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_predicate_select_##N(struct yoke_executor *yk_ex, const void *yk_from, size_t yk_n,  \
                                                       void *yk_to, size_t *yk_kept, size_t yk_size YK_UNWRAP PARAMS)  \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_select(yk_ex, yk_from, yk_n, yk_to, yk_kept, yk_size, &yk_predicate_##N, &yk_args);                  \
    }                                                                                                                  \
    static inline YK_MAYBE bool yk_predicate_body_##N(YK_MAYBE size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_find_first(ex, n, name, arguments...): the lowest index of [0, n) for which it holds, or n. Work beyond a hit is not
 * begun. */
#define yoke_find_first(ex, n, ...) YK_CAT(YK_FIND_, YK_HAS_MORE(__VA_ARGS__))(find, ex, n, __VA_ARGS__)
/* yoke_count(ex, n, name, arguments...): for how many it holds. */
#define yoke_count(ex, n, ...) YK_CAT(YK_FIND_, YK_HAS_MORE(__VA_ARGS__))(all, ex, n, __VA_ARGS__)
#define YK_FIND_0(what, ex, n, N) (YK_USE(predicate, a_predicate, N, 0), yk_predicate_##what##_##N((ex), (n)))
#define YK_FIND_1(what, ex, n, N, ...)                                                                                 \
    (YK_USE(predicate, a_predicate, N, YK_COUNT(__VA_ARGS__)), yk_predicate_##what##_##N((ex), (n), __VA_ARGS__))

/* yoke_select(ex, from, n, to, &kept, name, arguments...): copies from[i], in order, for each i for which it holds, to to[0],
 * to[1]...; kept is their number. to has room for all n, or for as many as are kept, and does not overlap from; both point to the
 * same type. yoke_flat(v) of an array view stands for from and n, yoke_data(v) for to. 0; -EINVAL: from or to is NULL and n is
 * not 0, as for a view with gaps; -ENOMEM, with to as it was; -ECANCELED: then to holds some of them, kept is not written. */
#define yoke_select(...) YK_APPLY(YK_SELECT_OF, __VA_ARGS__)
#define YK_SELECT_OF(ex, from, n, to, kept, ...)                                                                       \
    YK_CAT(YK_SELECT_, YK_HAS_MORE(__VA_ARGS__))(ex, from, n, to, kept, __VA_ARGS__)
#define YK_SELECT_0(ex, from, n, to, kept, N)                                                                          \
    (YK_USE(predicate, a_predicate, N, 0),                                                                             \
     yk_predicate_select_##N((ex), YK_SAME(from, to), (n), (to), (kept), sizeof *(to)))
#define YK_SELECT_1(ex, from, n, to, kept, N, ...)                                                                     \
    (YK_USE(predicate, a_predicate, N, YK_COUNT(__VA_ARGS__)),                                                         \
     yk_predicate_select_##N((ex), YK_SAME(from, to), (n), (to), (kept), sizeof *(to), __VA_ARGS__))
/* from; it does not compile when it does not point to what to points to. */
#ifdef __cplusplus
#define YK_SAME(from, to) (1 ? (from) : (to))
#else
#define YK_SAME(from, to)                                                                                              \
    ((void)sizeof(char[__builtin_types_compatible_p(__typeof__(*(from)), __typeof__(*(to))) ||                         \
                               __builtin_types_compatible_p(const __typeof__(*(to)), __typeof__(*(from)))              \
                           ? 1                                                                                         \
                           : -1]),                                                                                     \
     (from))
#endif

/* ---- Transforming ---- */

/* YOKE_TRANSFORM(T, name, i, (type, parameter)...) { body }: at file scope; the body returns the T for index i. */
#define YOKE_TRANSFORM(T, N, ...)                                                                                      \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_TRANSFORM_OVER,                                                         \
                 (transform, N, YK_IS_NAME(YK_FIRST(__VA_ARGS__, ~)), "YOKE_TRANSFORM(type, name, i, (type, parameter)...)"), \
                 (T, N, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_TRANSFORM_OVER(HEAD, ...) YK_APPLY(YK_TRANSFORM_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_TRANSFORM_OVER_AS(T, N, I, FIELDS, PARAMS, LOADS, VALUES)                                                   \
    enum {                                                                                                             \
        yk_a_transform_named_##N                                                                                       \
    };                                                                                                                 \
    struct yk_loop_args_##N {                                                                                          \
        T *yk_out;                                                                                                     \
        YK_UNWRAP FIELDS                                                                                               \
    };                                                                                                                 \
    static inline YK_MAYBE T yk_transform_body_##N(size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT;                             \
    static YK_LOOP_CODE void yk_loop_chunk_##N(size_t yk_lo, size_t yk_hi, const void *yk_v) YK_NOEXCEPT               \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        for (size_t yk_i = yk_lo; yk_i < yk_hi; yk_i++)                                                                \
            yk_a->yk_out[yk_i] = yk_transform_body_##N(yk_i YK_UNWRAP LOADS);                                          \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_transform_all_##N(struct yoke_executor *yk_ex, size_t yk_n, T *yk_out YK_UNWRAP PARAMS) \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {yk_out, YK_UNWRAP VALUES};                                            \
        return !yk_out && yk_n ? -EINVAL : yk_loop(yk_ex, yk_n, yk_loop_chunk_##N, &yk_args);                          \
    }                                                                                                                  \
    static inline YK_MAYBE T yk_transform_body_##N(YK_MAYBE size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_transform(ex, n, out, name, arguments...): out[i] is the body's result for i. out may be what the body reads, if that is
 * element i alone. Returns what yoke_for() does; -EINVAL: out is NULL, as yoke_data() is for a view with gaps, and n is not 0. */
#define yoke_transform(ex, n, out, ...) YK_CAT(YK_TRANSFORM_, YK_HAS_MORE(__VA_ARGS__))(ex, n, out, __VA_ARGS__)
#define YK_TRANSFORM_0(ex, n, out, N) (YK_USE(transform, a_transform, N, 0), yk_transform_all_##N((ex), (n), (out)))
#define YK_TRANSFORM_1(ex, n, out, N, ...)                                                                             \
    (YK_USE(transform, a_transform, N, YK_COUNT(__VA_ARGS__)), yk_transform_all_##N((ex), (n), (out), __VA_ARGS__))

/* ---- Histograms ---- */

static inline void yk_bin_add(uint64_t *counts, size_t bins, size_t bin)
{
    if (bin < bins)
        counts[bin]++;
}

/* YOKE_BIN(name, i, (type, parameter)...) { body }: at file scope; the body returns the number of the bin for index i. */
#define YOKE_BIN(N, ...)                                                                                               \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_BIN_OVER,                                                               \
                 (bin, N, YK_IS_NAME(YK_FIRST(__VA_ARGS__, ~)), "YOKE_BIN(name, i, (type, parameter)...)"),            \
                 (N, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_BIN_OVER(HEAD, ...) YK_APPLY(YK_BIN_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_BIN_OVER_AS(N, I, FIELDS, PARAMS, LOADS, VALUES)                                                            \
    enum {                                                                                                             \
        yk_a_bin_named_##N                                                                                             \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE size_t yk_bin_body_##N(size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT;                              \
    static YK_MAYBE void yk_bin_fill_##N(size_t yk_lo, size_t yk_hi, size_t yk_bins, uint64_t *yk_counts, size_t yk_apart, \
                                         const void *yk_v)                                                             \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        (void)yk_a;                                                                                                    \
        size_t yk_i = yk_lo;                                                                                           \
        for (; yk_hi - yk_i >= YK_BIN_TABLES; yk_i += YK_BIN_TABLES) {                                                 \
            const size_t yk_0 = yk_bin_body_##N(yk_i YK_UNWRAP LOADS), yk_1 = yk_bin_body_##N(yk_i + 1 YK_UNWRAP LOADS); \
            const size_t yk_2 = yk_bin_body_##N(yk_i + 2 YK_UNWRAP LOADS), yk_3 = yk_bin_body_##N(yk_i + 3 YK_UNWRAP LOADS); \
            yk_bin_add(yk_counts, yk_bins, yk_0);                                                                      \
            yk_bin_add(yk_counts + yk_apart, yk_bins, yk_1);                                                           \
            yk_bin_add(yk_counts + 2 * yk_apart, yk_bins, yk_2);                                                       \
            yk_bin_add(yk_counts + 3 * yk_apart, yk_bins, yk_3);                                                       \
        }                                                                                                              \
        for (; yk_i < yk_hi; yk_i++)                                                                                   \
            yk_bin_add(yk_counts, yk_bins, yk_bin_body_##N(yk_i YK_UNWRAP LOADS));                                     \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_bin_all_##N(struct yoke_executor *yk_ex, size_t yk_n, size_t yk_bins,                \
                                              uint64_t *yk_counts YK_UNWRAP PARAMS)                                    \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_histogram(yk_ex, yk_n, yk_bins, yk_counts, yk_bin_fill_##N, &yk_args);                               \
    }                                                                                                                  \
    static inline YK_MAYBE size_t yk_bin_body_##N(YK_MAYBE size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_histogram(ex, n, bins, counts, name, arguments...): counts[b] is how many indices have bin b. Those whose bin is not
 * below `bins` are not counted. 0; -ENOMEM, with counts as they were (each part of the range counts on its own first);
 * -ECANCELED, likewise. */
#define yoke_histogram(ex, n, bins, counts, ...)                                                                       \
    YK_CAT(YK_HISTOGRAM_, YK_HAS_MORE(__VA_ARGS__))(ex, n, bins, counts, __VA_ARGS__)
#define YK_HISTOGRAM_0(ex, n, bins, counts, N) (YK_USE(bin, a_bin, N, 0), yk_bin_all_##N((ex), (n), (bins), (counts)))
#define YK_HISTOGRAM_1(ex, n, bins, counts, N, ...)                                                                    \
    (YK_USE(bin, a_bin, N, YK_COUNT(__VA_ARGS__)), yk_bin_all_##N((ex), (n), (bins), (counts), __VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
