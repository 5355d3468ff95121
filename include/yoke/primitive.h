/* yoke/primitive.h - sums, scans, sorts and their kin on a device: over arrays in its memory, in the order of
 * a stream.
 *
 *     float *x = yoke_device_alloc(dev, n * sizeof *x), *sum = yoke_device_alloc(dev, sizeof *sum);
 *     ...
 *     yoke_stream_sum(s, n, x, sum);                  // *sum: x[0] + ... + x[n - 1]
 *     yoke_stream_scan(s, n, x, x);                   // x[i] becomes x[0] + ... + x[i]
 *     yoke_stream_sort(s, n, keys);                   // ascending; yoke_stream_sort_down(): descending
 *     yoke_stream_sort_by(s, n, keys, values);        // values go with their keys
 *     yoke_stream_select(s, n, x, flags, out, kept);  // those x[i] whose flags[i] is not 0
 *
 * Numbers are int32_t, uint32_t, int64_t, uint64_t, float or double; the pointers say which (_Generic in C,
 * templates in C++). They are addresses of the stream's device, aligned to their type and no more; on the CPU
 * those of the host will do. Results, counts too, are written to memory of the device: what comes later in
 * the stream may use them at once, the host after yoke_stream_wait(). Temporary memory is taken from the
 * stream (yoke_stream_alloc()) and given back to it.
 *
 * Results are the same each time, to the last bit, on a device of the same kind: no order of operations
 * depends on who comes first (for products of matrices, see below). Sums of floats have the type of their
 * elements, are taken in many parts, and differ in their last bits between kinds of devices. Integers wrap
 * around. The minimum and maximum of floats leave out NaNs.
 *
 * Each call returns 0 or a negative code, and yoke_device_error() has the text: -EINVAL an address is NULL
 * and n is not 0, a number is negative or out of its range, or an array of yoke's memory is too short, as far as the
 * call tells how long it is (blocks are somewhat longer than was asked for; what select and unique write, and the x of
 * spmv, are looked at no further than their first element); -EFAULT an address is not of this device (on the CPU, of
 * any device of the CPU), or was freed and is not in use again; -E2BIG too many elements; -ENOMEM no temporary memory,
 * with everything as it was; -ECANCELED on the CPU in a job that is to end, what is written means nothing; and what
 * kernels may meet (yoke/gpu.h).
 * Arrays must not overlap unless said otherwise. Thread: the one that uses the stream. The first call of a
 * kind on a device compiles it, which takes a moment; the result is kept on disk.
 *
 * How: on CUDA, a sum reads and a scan reads and writes each element once (decoupled look-back), a sort moves
 * its keys once for each 8 bits (onesweep). The texts are in src/gpu/device/, each with its source. On the
 * CPU these are the algorithms of yoke/scan.h, yoke/sort.h and yoke/algorithm.h.
 */
#ifndef YOKE_PRIMITIVE_H
#define YOKE_PRIMITIVE_H
#pragma GCC system_header
#include <yoke/gpu.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the typed calls use ---- */

typedef enum yk_number { YK_I32, YK_U32, YK_I64, YK_U64, YK_F32, YK_F64 } yk_number;
typedef enum yk_operator { YK_SUM, YK_MIN, YK_MAX } yk_operator;

/* Each is what the calls for each type below say, without a type. */
YOKE_API int yk_stream_reduce(yoke_stream *s, yk_operator op, yk_number type, size_t n, const void *x, void *out);
YOKE_API int yk_stream_scan(yoke_stream *s, yk_operator op, bool before, yk_number type, size_t n, const void *x, void *out);
YOKE_API int yk_stream_sort(yoke_stream *s, yk_number type, bool down, size_t n, void *keys, size_t value_size, void *values);
YOKE_API int yk_stream_select(yoke_stream *s, size_t size, size_t n, const void *x, const uint8_t *flags, void *out,
                              uint64_t *kept);
YOKE_API int yk_stream_unique(yoke_stream *s, yk_number type, size_t n, const void *x, void *out, uint64_t *kept);
YOKE_API int yk_stream_histogram(yoke_stream *s, yk_number type, size_t n, const void *x, size_t bins, const void *low,
                                 const void *high, uint64_t *counts);
YOKE_API int yk_stream_segments(yoke_stream *s, yk_operator op, yk_number type, size_t segments, size_t n, size_t offset_size,
                                const void *offsets, const void *x, void *out);
YOKE_API int yk_stream_matmul(yoke_stream *s, yk_number type, size_t m, size_t n, size_t k, const void *a, size_t lda,
                              const void *b, size_t ldb, void *c, size_t ldc);
YOKE_API int yk_stream_spmv(yoke_stream *s, yk_number type, size_t rows, size_t nonzeros, size_t offset_size, const void *offsets,
                            const uint32_t *columns, const void *values, const void *x, void *y);

#ifdef __cplusplus
}
#endif

/* ---- For each type ---- */

/* T stands for any of the six; in C each call is also there with the type in its name: yoke_stream_sum_f32()
 * and so on.
 *
 * Reductions. *out: all elements taken together. n = 0: 0, the greatest value there is, the least (infinite
 * for floats).
 *     int yoke_stream_sum(yoke_stream *s, size_t n, const T *x, T *out);
 *     int yoke_stream_min(yoke_stream *s, size_t n, const T *x, T *out);
 *     int yoke_stream_max(yoke_stream *s, size_t n, const T *x, T *out);
 *
 * Scans. out[i]: x[0] to x[i] taken together; _before: x[0] to x[i - 1]. out may be x.
 *     int yoke_stream_scan(yoke_stream *s, size_t n, const T *x, T *out);
 *     int yoke_stream_scan_before(yoke_stream *s, size_t n, const T *x, T *out);
 *     int yoke_stream_scan_min(yoke_stream *s, size_t n, const T *x, T *out);
 *     int yoke_stream_scan_max(yoke_stream *s, size_t n, const T *x, T *out);
 *
 * Sorting, stable. Floats in the total order of IEEE 754 as on the CPU (yoke/sort.h): NaNs with the sign bit,
 * -inf, ..., -0.0, 0.0, ..., inf, other NaNs; _down: from the end of that. values: n elements of any type of
 * 4 or 8 bytes, moved along with their keys. n < 2^32.
 *     int yoke_stream_sort(yoke_stream *s, size_t n, T *keys);
 *     int yoke_stream_sort_down(yoke_stream *s, size_t n, T *keys);
 *     int yoke_stream_sort_by(yoke_stream *s, size_t n, T *keys, V *values);
 *     int yoke_stream_sort_by_down(yoke_stream *s, size_t n, T *keys, V *values);
 *
 * Selecting. out: those x[i] for which flags[i] is not 0, in their order; unique: those that differ (!=) from
 * the one before, so of each run of equal ones the first. *kept: how many. out has room for all that are
 * kept. select takes elements of any type of 4 or 8 bytes.
 *     int yoke_stream_select(yoke_stream *s, size_t n, const E *x, const uint8_t *flags, E *out, uint64_t *kept);
 *     int yoke_stream_unique(yoke_stream *s, size_t n, const T *x, T *out, uint64_t *kept);
 *
 * Histograms. counts[b]: how many x[i] lie in bin b of `bins` equally wide ones from low to high; what is
 * high itself lies in the last. Others, NaNs too, are not counted. -EINVAL: bins / (high - low) is not finite.
 * Integers have one bin for each value: bins = high - low + 1, else -EINVAL. bins: 1 to 2^31.
 *     int yoke_stream_histogram(yoke_stream *s, size_t n, const T *x, size_t bins, T low, T high, uint64_t *counts);
 *
 * Segmented reductions. out[k]: x[offsets[k]] to x[offsets[k + 1] - 1] taken together, as a reduction of none
 * if there are none. There are segments + 1 offsets, which do not fall, of type uint32_t or uint64_t; n, the
 * last of them, tells how to go about it.
 *     int yoke_stream_segments_sum(yoke_stream *s, size_t segments, size_t n, const O *offsets, const T *x, T *out);
 *     int yoke_stream_segments_min(yoke_stream *s, size_t segments, size_t n, const O *offsets, const T *x, T *out);
 *     int yoke_stream_segments_max(yoke_stream *s, size_t segments, size_t n, const O *offsets, const T *x, T *out);
 *
 * Matrices of float or double, row after row; lda, ldb, ldc: elements from one row to the next. c: m rows, n
 * columns, becomes a (m rows, k columns) times b (k rows, n columns). Each element is summed in order of k, but on
 * CUDA devices by cuBLAS where it is found (yoke/gpu.h): in an order of its own, in the elements' precision (never
 * TF32), with the same bits each time on a device of the same kind by the same version of cuBLAS. It needs temporary
 * memory: 32 MiB from capability 9.0 on, 4 MiB before. Its first product on a device takes a moment.
 *     int yoke_stream_matmul(yoke_stream *s, size_t m, size_t n, size_t k, const T *a, size_t lda, const T *b, size_t ldb, T *c,
 *                            size_t ldc);
 *
 * Sparse matrices of float or double in compressed rows. y[r]: values[k] * x[columns[k]] summed over k from
 * offsets[r] to offsets[r + 1] - 1; nonzeros is offsets[rows].
 *     int yoke_stream_spmv(yoke_stream *s, size_t rows, size_t nonzeros, const O *offsets, const uint32_t *columns,
 *                          const T *values, const T *x, T *y);
 */

/* C: yoke_stream_sum_f32() and so on, and one of them is chosen by type; C++: yoke_stream_sum() for each
 * type. */
#ifdef __cplusplus
#define YK_TYPED(NAME, S) NAME
#else
#define YK_TYPED(NAME, S) NAME##_##S
#endif

#define YK_STREAM_FOLD(NAME, S, T, CALL)                                                                               \
    static inline int YK_TYPED(NAME, S)(yoke_stream * s, size_t n, const T *x, T *out)                                 \
    {                                                                                                                  \
        return CALL;                                                                                                   \
    }
#define YK_STREAM_SEGMENTS(NAME, S, N, T, OP)                                                                          \
    static inline int YK_TYPED(NAME, S)(yoke_stream * s, size_t segments, size_t n, size_t offset_size,                \
                                        const void *offsets, const T *x, T *out)                                       \
    {                                                                                                                  \
        return yk_stream_segments(s, OP, N, segments, n, offset_size, offsets, x, out);                                  \
    }
#define YK_STREAM_CALLS(S, N, T)                                                                                       \
    YK_STREAM_FOLD(yoke_stream_sum, S, T, yk_stream_reduce(s, YK_SUM, N, n, x, out))                                   \
    YK_STREAM_FOLD(yoke_stream_min, S, T, yk_stream_reduce(s, YK_MIN, N, n, x, out))                                   \
    YK_STREAM_FOLD(yoke_stream_max, S, T, yk_stream_reduce(s, YK_MAX, N, n, x, out))                                   \
    YK_STREAM_FOLD(yoke_stream_scan, S, T, yk_stream_scan(s, YK_SUM, false, N, n, x, out))                             \
    YK_STREAM_FOLD(yoke_stream_scan_before, S, T, yk_stream_scan(s, YK_SUM, true, N, n, x, out))                       \
    YK_STREAM_FOLD(yoke_stream_scan_min, S, T, yk_stream_scan(s, YK_MIN, false, N, n, x, out))                         \
    YK_STREAM_FOLD(yoke_stream_scan_max, S, T, yk_stream_scan(s, YK_MAX, false, N, n, x, out))                         \
    static inline int YK_TYPED(yoke_stream_sort, S)(yoke_stream * s, size_t n, T *keys)                                \
    {                                                                                                                  \
        return yk_stream_sort(s, N, false, n, keys, 0, NULL);                                                          \
    }                                                                                                                  \
    static inline int YK_TYPED(yoke_stream_sort_down, S)(yoke_stream * s, size_t n, T *keys)                           \
    {                                                                                                                  \
        return yk_stream_sort(s, N, true, n, keys, 0, NULL);                                                           \
    }                                                                                                                  \
    static inline int YK_TYPED(yk_stream_sort_by, S)(yoke_stream * s, bool down, size_t n, T *keys, size_t value_size, \
                                                     void *values)                                                     \
    {                                                                                                                  \
        return yk_stream_sort(s, N, down, n, keys, value_size, values);                                                \
    }                                                                                                                  \
    static inline int YK_TYPED(yoke_stream_unique, S)(yoke_stream * s, size_t n, const T *x, T *out, uint64_t *kept)   \
    {                                                                                                                  \
        return yk_stream_unique(s, N, n, x, out, kept);                                                                \
    }                                                                                                                  \
    static inline int YK_TYPED(yoke_stream_histogram, S)(yoke_stream * s, size_t n, const T *x, size_t bins, T low,    \
                                                         T high, uint64_t *counts)                                     \
    {                                                                                                                  \
        return yk_stream_histogram(s, N, n, x, bins, &low, &high, counts);                                             \
    }                                                                                                                  \
    YK_STREAM_SEGMENTS(yk_stream_segments_sum, S, N, T, YK_SUM)                                                        \
    YK_STREAM_SEGMENTS(yk_stream_segments_min, S, N, T, YK_MIN)                                                        \
    YK_STREAM_SEGMENTS(yk_stream_segments_max, S, N, T, YK_MAX)
#define YK_STREAM_MATRICES(S, N, T)                                                                                    \
    static inline int YK_TYPED(yoke_stream_matmul, S)(yoke_stream * s, size_t m, size_t n, size_t k, const T *a, size_t lda, \
                                                      const T *b, size_t ldb, T *c, size_t ldc)                        \
    {                                                                                                                  \
        return yk_stream_matmul(s, N, m, n, k, a, lda, b, ldb, c, ldc);                                                \
    }                                                                                                                  \
    static inline int YK_TYPED(yk_stream_spmv_of, S)(yoke_stream * s, size_t rows, size_t nonzeros, size_t offset_size, \
                                                     const void *offsets, const uint32_t *columns, const T *values,    \
                                                     const T *x, T *y)                                                 \
    {                                                                                                                  \
        return yk_stream_spmv(s, N, rows, nonzeros, offset_size, offsets, columns, values, x, y);                      \
    }

YK_STREAM_CALLS(i32, YK_I32, int32_t)
YK_STREAM_CALLS(u32, YK_U32, uint32_t)
YK_STREAM_CALLS(i64, YK_I64, int64_t)
YK_STREAM_CALLS(u64, YK_U64, uint64_t)
YK_STREAM_CALLS(f32, YK_F32, float)
YK_STREAM_CALLS(f64, YK_F64, double)
YK_STREAM_MATRICES(f32, YK_F32, float)
YK_STREAM_MATRICES(f64, YK_F64, double)

#ifdef __cplusplus
template <class T, class V> inline int yoke_stream_sort_by(yoke_stream *s, size_t n, T *keys, V *values)
{
    return yk_stream_sort_by(s, false, n, keys, sizeof *values, values);
}
template <class T, class V> inline int yoke_stream_sort_by_down(yoke_stream *s, size_t n, T *keys, V *values)
{
    return yk_stream_sort_by(s, true, n, keys, sizeof *values, values);
}
template <class E>
inline int yoke_stream_select(yoke_stream *s, size_t n, const E *x, const uint8_t *flags, E *out, uint64_t *kept)
{
    return yk_stream_select(s, sizeof *x, n, x, flags, out, kept);
}
template <class O, class T>
inline int yoke_stream_segments_sum(yoke_stream *s, size_t segments, size_t n, const O *offsets, const T *x, T *out)
{
    return yk_stream_segments_sum(s, segments, n, sizeof *offsets, offsets, x, out);
}
template <class O, class T>
inline int yoke_stream_segments_min(yoke_stream *s, size_t segments, size_t n, const O *offsets, const T *x, T *out)
{
    return yk_stream_segments_min(s, segments, n, sizeof *offsets, offsets, x, out);
}
template <class O, class T>
inline int yoke_stream_segments_max(yoke_stream *s, size_t segments, size_t n, const O *offsets, const T *x, T *out)
{
    return yk_stream_segments_max(s, segments, n, sizeof *offsets, offsets, x, out);
}
template <class O, class T>
inline int yoke_stream_spmv(yoke_stream *s, size_t rows, size_t nonzeros, const O *offsets, const uint32_t *columns,
                            const T *values, const T *x, T *y)
{
    return yk_stream_spmv_of(s, rows, nonzeros, sizeof *offsets, offsets, columns, values, x, y);
}
#else
#define YK_BY_NUMBER(X, NAME)                                                                                          \
    __extension__ _Generic(*(X), int32_t : NAME##_i32, uint32_t : NAME##_u32, int64_t : NAME##_i64, uint64_t : NAME##_u64, \
                           float : NAME##_f32, double : NAME##_f64)
#define YK_BY_FLOAT(X, NAME) __extension__ _Generic(*(X), float : NAME##_f32, double : NAME##_f64)
#define yoke_stream_sum(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_sum)(s, n, x, out)
#define yoke_stream_min(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_min)(s, n, x, out)
#define yoke_stream_max(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_max)(s, n, x, out)
#define yoke_stream_scan(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_scan)(s, n, x, out)
#define yoke_stream_scan_before(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_scan_before)(s, n, x, out)
#define yoke_stream_scan_min(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_scan_min)(s, n, x, out)
#define yoke_stream_scan_max(s, n, x, out) YK_BY_NUMBER(out, yoke_stream_scan_max)(s, n, x, out)
#define yoke_stream_sort(s, n, keys) YK_BY_NUMBER(keys, yoke_stream_sort)(s, n, keys)
#define yoke_stream_sort_down(s, n, keys) YK_BY_NUMBER(keys, yoke_stream_sort_down)(s, n, keys)
#define yoke_stream_sort_by(s, n, keys, values)                                                                        \
    YK_BY_NUMBER(keys, yk_stream_sort_by)(s, false, n, keys, sizeof *(values), values)
#define yoke_stream_sort_by_down(s, n, keys, values)                                                                   \
    YK_BY_NUMBER(keys, yk_stream_sort_by)(s, true, n, keys, sizeof *(values), values)
#define yoke_stream_select(s, n, x, flags, out, kept)                                                                  \
    yk_stream_select(s, sizeof *(1 ? (x) : (out)), n, x, flags, out, kept)
#define yoke_stream_unique(s, n, x, out, kept) YK_BY_NUMBER(out, yoke_stream_unique)(s, n, x, out, kept)
#define yoke_stream_histogram(s, n, x, bins, low, high, counts)                                                        \
    YK_BY_NUMBER(x, yoke_stream_histogram)(s, n, x, bins, low, high, counts)
#define yoke_stream_segments_sum(s, segments, n, offsets, x, out)                                                      \
    YK_BY_NUMBER(out, yk_stream_segments_sum)(s, segments, n, sizeof *(offsets), offsets, x, out)
#define yoke_stream_segments_min(s, segments, n, offsets, x, out)                                                      \
    YK_BY_NUMBER(out, yk_stream_segments_min)(s, segments, n, sizeof *(offsets), offsets, x, out)
#define yoke_stream_segments_max(s, segments, n, offsets, x, out)                                                      \
    YK_BY_NUMBER(out, yk_stream_segments_max)(s, segments, n, sizeof *(offsets), offsets, x, out)
#define yoke_stream_matmul(s, m, n, k, a, lda, b, ldb, c, ldc)                                                         \
    YK_BY_FLOAT(c, yoke_stream_matmul)(s, m, n, k, a, lda, b, ldb, c, ldc)
#define yoke_stream_spmv(s, rows, nonzeros, offsets, columns, values, x, y)                                            \
    YK_BY_FLOAT(y, yk_stream_spmv_of)(s, rows, nonzeros, sizeof *(offsets), offsets, columns, values, x, y)
#endif
#endif
