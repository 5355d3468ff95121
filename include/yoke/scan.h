/* yoke/scan.h - parallel scans: for each i, everything up to i taken together, over any C data.
 *
 *     YOKE_SCAN(double, balance, i, acc, other, (0), (*acc += *other), (const double *, change))
 *     {
 *         *acc += change[i];
 *     }
 *     ...
 *     int err = yoke_scan(ex, n, out, balance, change);            // out[i]: change[0] + ... + change[i]
 *     err = yoke_scan_before(ex, n, out, balance, change);         // out[i]: change[0] + ... + change[i - 1]
 *     err = yoke_scan_f32(ex, numbers, n, out);                    // sums of numbers: nothing to write
 *
 * The parts are those of YOKE_REDUCE (yoke/loop.h): the body takes element i into *acc; `combine` takes *other, the result of
 * the elements that follow, into *acc, and must be associative up to rounding, not commutative; identity is its neutral element.
 * T is any type of at most 4096 bytes that can be copied: a struct of a sum and a count, a 2 x 2 matrix, the state of an
 * automaton.
 *
 * out has n elements of type T. It may be what the body reads, if that is element i alone (a scan in place); else it must not
 * overlap it. The body may be called twice for an element.
 *
 * The result does not depend on the number of workers or on who does what, not even in its last bit: blocks and their
 * quarters are always cut in the same places (which depend on n and sizeof(T) alone), and combined from left to right.
 *
 * Array views: as parameters of the body, whatever their steps; yoke_data(v) for out, yoke_flat(v) for from and n of the typed
 * forms (yoke/task.h).
 *
 * 0; -EINVAL: a pointer is NULL, as for a view with gaps, and n is not 0; -ENOMEM, with out as it was (some bytes for each block
 * are needed, none for a single one); -ECANCELED when the surrounding job has failed or was cancelled before the end: then some
 * elements of out have been written, the others have not. ex: as for yoke_for(). Any thread, any context.
 *
 * The algorithm reads and writes each element once where the block fits a core's cache: a member of a crew reduces its block,
 * publishes the sum, and writes the block as soon as the sums of all before it are known, instead of waiting for them it takes
 * the next block first.
 */
#ifndef YOKE_SCAN_H
#define YOKE_SCAN_H
#pragma GCC system_header
#include <yoke/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* At most this many bytes are one T. */
#define YK_SCAN_BYTES 4096

/* ---- What the macros use ---- */

/* A block's elements are taken together in four lanes, a quarter of it each, which are then combined in order: four chains of
 * operations go on at a time where one would wait for itself. write does the lanes one after the other, with the same bits. An
 * element is *before combined with (the lanes before combined with its own lane so far): what a block ends with is what the next
 * begins with, so sums of what is not negative never fall. */
enum { YK_SCAN_LANES = 4 };

typedef struct yk_scanning {
    /* Elements [lo, hi), a whole block, into *acc, which has the identity. */
    void (*fold)(size_t lo, size_t hi, void *acc, const void *args);
    void (*combine)(void *acc, const void *other);
    void (*identity)(void *acc);
    /* The same as fold, and writes out[lo] to out[hi - 1]: *before combined with *acc after each element, or if `exclusive`
     * before each. */
    void (*write)(size_t lo, size_t hi, const void *before, void *acc, void *out, bool exclusive, const void *args);
    size_t size;
} yk_scanning;
/* What yoke_scan() and yoke_scan_before() do. */
YOKE_API int yk_scan(struct yoke_executor *ex, size_t n, const yk_scanning *s, void *out, bool exclusive, const void *args);

/* ---- The front ---- */

/* YOKE_SCAN(T, name, i, acc, other, (identity), (combine), (type, parameter)...) { body }: at file scope. */
#define YOKE_SCAN(T, N, I, ACC, OTHER, IDENTITY, ...)                                                                  \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_SCAN_OVER,                                                              \
                 (scan, N,                                                                                             \
                  YK_AND(YK_ALL(YK_IS_NAME, I, ACC, OTHER), YK_ALL(YK_IS_IN_PAREN, IDENTITY, YK_FIRST(__VA_ARGS__, ~))), \
                  "YOKE_SCAN(type, name, i, acc, other, (identity), (combine), (type, parameter)...)"),                \
                 (T, N, I, ACC, OTHER, IDENTITY, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_SCAN_OVER(HEAD, ...) YK_APPLY(YK_SCAN_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_SCAN_OVER_AS(T, N, I, ACC, OTHER, IDENTITY, COMBINE, FIELDS, PARAMS, LOADS, VALUES)                         \
    YK_ASSERT(sizeof(T) <= YK_SCAN_BYTES, "yoke: scan " #N ": its type has more than 4096 bytes");                     \
    enum {                                                                                                             \
        yk_a_scan_named_##N                                                                                            \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE void yk_loop_body_##N(size_t I, T *ACC YK_UNWRAP PARAMS) YK_NOEXCEPT;                       \
    static YK_MAYBE void yk_scan_identity_##N(void *yk_to)                                                             \
    {                                                                                                                  \
        const T yk_identity = YK_UNWRAP IDENTITY;                                                                      \
        memcpy(yk_to, &yk_identity, sizeof yk_identity);                                                               \
    }                                                                                                                  \
    static inline YK_MAYBE void yk_scan_into_##N(T *ACC, const T *OTHER)                                               \
    {                                                                                                                  \
        YK_UNWRAP COMBINE;                                                                                             \
    }                                                                                                                  \
    static YK_MAYBE void yk_scan_combine_##N(void *yk_to, const void *yk_from) YK_NOEXCEPT                             \
    {                                                                                                                  \
        yk_scan_into_##N((T *)yk_to, (const T *)yk_from);                                                              \
    }                                                                                                                  \
    static YK_MAYBE void yk_scan_fold_##N(size_t yk_lo, size_t yk_hi, void *yk_to, const void *yk_v) YK_NOEXCEPT       \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        const size_t yk_lane = (yk_hi - yk_lo) / YK_SCAN_LANES;                                                        \
        size_t yk_i = yk_lo;                                                                                           \
        T yk_0 = *(const T *)yk_to;                                                                                    \
        T yk_1 = *(const T *)yk_to;                                                                                    \
        T yk_2 = *(const T *)yk_to;                                                                                    \
        T yk_3 = *(const T *)yk_to;                                                                                    \
        (void)yk_a;                                                                                                    \
        for (; yk_i < yk_lo + yk_lane; yk_i++) {                                                                       \
            yk_loop_body_##N(yk_i, &yk_0 YK_UNWRAP LOADS);                                                             \
            yk_loop_body_##N(yk_i + yk_lane, &yk_1 YK_UNWRAP LOADS);                                                   \
            yk_loop_body_##N(yk_i + 2 * yk_lane, &yk_2 YK_UNWRAP LOADS);                                               \
            yk_loop_body_##N(yk_i + 3 * yk_lane, &yk_3 YK_UNWRAP LOADS);                                               \
        }                                                                                                              \
        for (yk_i += 3 * yk_lane; yk_i < yk_hi; yk_i++)                                                                \
            yk_loop_body_##N(yk_i, &yk_3 YK_UNWRAP LOADS);                                                             \
        yk_scan_into_##N((T *)yk_to, &yk_0);                                                                           \
        yk_scan_into_##N((T *)yk_to, &yk_1);                                                                           \
        yk_scan_into_##N((T *)yk_to, &yk_2);                                                                           \
        yk_scan_into_##N((T *)yk_to, &yk_3);                                                                           \
    }                                                                                                                  \
    static YK_MAYBE void yk_scan_write_##N(size_t yk_lo, size_t yk_hi, const void *yk_before, void *yk_to, void *yk_o, \
                                           bool yk_exclusive, const void *yk_v)                                        \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        const size_t yk_lane = (yk_hi - yk_lo) / YK_SCAN_LANES;                                                        \
        const T yk_prefix = *(const T *)yk_before;                                                                     \
        const T yk_identity = *(const T *)yk_to;                                                                       \
        T *const yk_out = (T *)yk_o;                                                                                   \
        (void)yk_a;                                                                                                    \
        for (size_t yk_k = 0; yk_k < YK_SCAN_LANES; yk_k++) {                                                          \
            const size_t yk_from = yk_lo + yk_k * yk_lane;                                                             \
            const size_t yk_end = yk_k < YK_SCAN_LANES - 1 ? yk_from + yk_lane : yk_hi;                                \
            const T yk_lanes = *(const T *)yk_to;                                                                      \
            T yk_acc = yk_identity;                                                                                    \
            if (yk_exclusive) {                                                                                        \
                for (size_t yk_i = yk_from; yk_i < yk_end; yk_i++) {                                                   \
                    T yk_in = yk_lanes;                                                                                \
                    T yk_here = yk_prefix;                                                                             \
                    yk_scan_into_##N(&yk_in, &yk_acc);                                                                 \
                    yk_scan_into_##N(&yk_here, &yk_in);                                                                \
                    yk_loop_body_##N(yk_i, &yk_acc YK_UNWRAP LOADS);                                                   \
                    yk_out[yk_i] = yk_here;                                                                            \
                }                                                                                                      \
            } else {                                                                                                   \
                for (size_t yk_i = yk_from; yk_i < yk_end; yk_i++) {                                                   \
                    T yk_in = yk_lanes;                                                                                \
                    T yk_here = yk_prefix;                                                                             \
                    yk_loop_body_##N(yk_i, &yk_acc YK_UNWRAP LOADS);                                                   \
                    yk_scan_into_##N(&yk_in, &yk_acc);                                                                 \
                    yk_scan_into_##N(&yk_here, &yk_in);                                                                \
                    yk_out[yk_i] = yk_here;                                                                            \
                }                                                                                                      \
            }                                                                                                          \
            yk_scan_into_##N((T *)yk_to, &yk_acc);                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_scan_all_##N(struct yoke_executor *yk_ex, size_t yk_n, T *yk_out,                    \
                                               bool yk_exclusive YK_UNWRAP PARAMS)                                     \
    {                                                                                                                  \
        static const yk_scanning yk_s = {yk_scan_fold_##N, yk_scan_combine_##N, yk_scan_identity_##N, yk_scan_write_##N, \
                                         sizeof(T)};                                                                   \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_scan(yk_ex, yk_n, &yk_s, yk_out, yk_exclusive, &yk_args);                                            \
    }                                                                                                                  \
    static inline YK_MAYBE void yk_loop_body_##N(YK_MAYBE size_t I, YK_MAYBE T *ACC YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_scan(ex, n, out, name, arguments...): out[i] includes element i. yoke_scan_before(...): it does not. */
#define yoke_scan(ex, n, out, ...) YK_CAT(YK_SCAN_, YK_HAS_MORE(__VA_ARGS__))(ex, n, out, false, __VA_ARGS__)
#define yoke_scan_before(ex, n, out, ...) YK_CAT(YK_SCAN_, YK_HAS_MORE(__VA_ARGS__))(ex, n, out, true, __VA_ARGS__)
#define YK_SCAN_0(ex, n, out, exclusive, N) (YK_USE(scan, a_scan, N, 0), yk_scan_all_##N((ex), (n), (out), exclusive))
#define YK_SCAN_1(ex, n, out, exclusive, N, ...)                                                                       \
    (YK_USE(scan, a_scan, N, YK_COUNT(__VA_ARGS__)), yk_scan_all_##N((ex), (n), (out), exclusive, __VA_ARGS__))

/* Sums of numbers: to[i] is from[0] + ... + from[i], or without from[i]. to may be from. Integers wrap round. Floats are summed
 * in an order of their own, several at a time: the same on every machine and for every number of workers. */
YOKE_API int yoke_scan_i32(struct yoke_executor *ex, const int32_t *from, size_t n, int32_t *to);
YOKE_API int yoke_scan_u32(struct yoke_executor *ex, const uint32_t *from, size_t n, uint32_t *to);
YOKE_API int yoke_scan_i64(struct yoke_executor *ex, const int64_t *from, size_t n, int64_t *to);
YOKE_API int yoke_scan_u64(struct yoke_executor *ex, const uint64_t *from, size_t n, uint64_t *to);
YOKE_API int yoke_scan_f32(struct yoke_executor *ex, const float *from, size_t n, float *to);
YOKE_API int yoke_scan_f64(struct yoke_executor *ex, const double *from, size_t n, double *to);
YOKE_API int yoke_scan_before_i32(struct yoke_executor *ex, const int32_t *from, size_t n, int32_t *to);
YOKE_API int yoke_scan_before_u32(struct yoke_executor *ex, const uint32_t *from, size_t n, uint32_t *to);
YOKE_API int yoke_scan_before_i64(struct yoke_executor *ex, const int64_t *from, size_t n, int64_t *to);
YOKE_API int yoke_scan_before_u64(struct yoke_executor *ex, const uint64_t *from, size_t n, uint64_t *to);
YOKE_API int yoke_scan_before_f32(struct yoke_executor *ex, const float *from, size_t n, float *to);
YOKE_API int yoke_scan_before_f64(struct yoke_executor *ex, const double *from, size_t n, double *to);

#ifdef __cplusplus
}
#endif
#endif
