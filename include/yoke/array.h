/* yoke/array.h - n-dimensional arrays of numbers in the memory of a device, with the semantics of NumPy.
 *
 *     yoke_stream *s = yoke_stream_open(dev);
 *     yoke_array *x = yoke_array_linspace(s, YOKE_F64, 0, 1, 1000), *y = yoke_array_load(s, "y.npy");
 *
 *     yoke_array_scope scope;
 *     yoke_array_begin(&scope);
 *     yoke_array *r = yoke_array_sqrt(yoke_array_add(yoke_array_mul(x, x), yoke_array_mul(y, yoke_number(2))));
 *     r = yoke_array_end(&scope, r);                       // what came between is freed, r is not
 *     if (!r)
 *         fprintf(stderr, "%s\n", yoke_device_error(dev)); // the first that went wrong
 *
 * An array is a window on storage that several arrays may share: a type, a shape, and for each dimension a step, counted in
 * elements. Slices, transposes and their like are windows on the same storage (views) and cost nothing; what computes makes a
 * new array, whose elements lie one after the other, last dimension fastest. There are 0 to YOKE_DIMS dimensions; an array of 0
 * dimensions is one number.
 *
 * Types: YOKE_BOOL, YOKE_I8 to YOKE_I64, YOKE_U8 to YOKE_U64, YOKE_F32, YOKE_F64 (yoke/task.h). Two types meet in the
 * smallest that holds both, as in NumPy:
 *
 *     bool with T: T            i8 < i16 < i32 < i64          u8 < u16 < u32 < u64
 *     u8 with i8: i16           u16 with i8, i16: i32         u32 with i8 to i32: i64       u64 with any signed: f64
 *     f32 with f32, bool, 8 or 16 bits: f32                   f32 with 32 or 64 bits, f64 with any: f64
 *
 * A yoke_number() takes the type of what it meets: an integer becomes a float beside floats, and i64 beside bool; a float
 * beside integers makes f64 of both. An integer that the type cannot hold is refused (-ERANGE). Numbers alone, in
 * yoke_array_where(), meet in f64 if one is a float, else in i64, or u64 if one needs it.
 *
 * Integers wrap around. Division, remainder and power of integers round to minus infinity, as Python's do, and are defined for
 * every operand: by zero they give 0. A float that becomes an integer loses its fraction; one out of range becomes the nearest
 * there is, NaN becomes 0. Products and sums are not contracted (no fused multiply-add but yoke_array_fma()), so + - * / and
 * sqrt and all that integers do give the same bits on every device; other functions of floats may differ in the last places. On
 * one device the same call gives the same bits each time.
 *
 * Streams. Each array lives on a stream, its work is done in that stream's order, and calls return when the work is enqueued
 * (on the CPU: done). Operands may be on several streams of one device: the result is on the first array's, which waits for the
 * others. A stream must stay open until its arrays are freed.
 *
 * Errors. A call that makes an array returns NULL when it cannot, and yoke_device_error() says which operation, on what, and
 * why. NULL as an operand makes NULL and leaves that error alone: check once, at the end. Other calls return 0 or a negative
 * code, for a NULL array -EINVAL. Of all these the stream keeps (yoke/gpu.h) what yoke_array_assign() and yoke_array_put()
 * return, since it is they that change what is there.
 *
 * Ownership. Every array that a call returns is the caller's: yoke_array_free() it, or make it between yoke_array_begin() and
 * yoke_array_end(). Storage goes with the last array that uses it. One array may be read by several threads; its stream, and so
 * every call that enqueues, is one thread's at a time.
 */
#ifndef YOKE_ARRAY_H
#define YOKE_ARRAY_H
#pragma GCC system_header
#include <yoke/gpu.h>
#include <yoke/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Read it; do not write it. A yoke_number() is one without a stream. */
typedef struct yoke_array {
    yoke_stream *stream;
    void *data; /* element (0, 0...), an address of the device */
    uint16_t type;
    size_t ndim, shape[YOKE_DIMS];
    ptrdiff_t step[YOKE_DIMS]; /* in elements; may be negative, or 0 */
    union {
        int64_t i;
        uint64_t u;
        double f;
    } number; /* of a yoke_number(): i for YOKE_I64, u for YOKE_U64, f for YOKE_F64 */
    struct yk_storage *storage;
    struct yoke_array_scope *scope;
    struct yoke_array *next, **link; /* in that scope */
} yoke_array;

/* A shape, axes, or indices: up to YOKE_DIMS whole numbers. yoke_shape(2, 3), yoke_axes(0, -1); YOKE_NO_DIMS has none. */
typedef struct yoke_dims {
    size_t count;
    ptrdiff_t at[YOKE_DIMS];
} yoke_dims;
#ifdef __cplusplus
}
template <class T> inline ptrdiff_t yk_dim(T n)
{
    static_assert(T(1) / T(2) == T(0), "lengths, axes and indices are integers");
    return static_cast<ptrdiff_t>(n);
}
template <class... T> inline yoke_dims yk_dims_of(T... n) { return yoke_dims{sizeof...(n), {yk_dim(n)...}}; }
extern "C" {
#define yoke_shape(...) (yk_dims_of(__VA_ARGS__))
#define YOKE_NO_DIMS (yoke_dims{0, {}})
#define YOKE_ALL_AXES (yoke_dims{SIZE_MAX, {}})
#else
#define yoke_shape(...) (__extension__(yoke_dims){YK_COUNT(__VA_ARGS__), {__VA_ARGS__}})
#define YOKE_NO_DIMS (__extension__(yoke_dims){0, {0}})
#define YOKE_ALL_AXES (__extension__(yoke_dims){SIZE_MAX, {0}})
#endif
/* Axes are counted from 0, negative ones from the end. YOKE_ALL_AXES where axes are asked for: all there are. */
#define yoke_axes(...) yoke_shape(__VA_ARGS__)
/* In place of the start or the stop of a slice: from the one end, to the other. */
#define YOKE_END PTRDIFF_MIN

/* yoke_number(x): x, an integer (YOKE_U64 if it is unsigned and of 64 bits, else YOKE_I64) or a floating-point number (YOKE_F64,
 * to which a long double is rounded), as an operand. Valid to the end of the block (C++: of the expression); not to be freed. */
static inline yoke_array yk_scalar_i(long long x)
{
    yoke_array yk_a;
    memset(&yk_a, 0, sizeof yk_a);
    yk_a.type = YOKE_I64;
    yk_a.number.i = x;
    return yk_a;
}
static inline yoke_array yk_scalar_u(unsigned long long x)
{
    yoke_array yk_a = yk_scalar_i(0);
    yk_a.type = YOKE_U64;
    yk_a.number.u = x;
    return yk_a;
}
static inline yoke_array yk_scalar_f(double x)
{
    yoke_array yk_a = yk_scalar_i(0);
    yk_a.type = YOKE_F64;
    yk_a.number.f = x;
    return yk_a;
}
#ifdef __cplusplus
}
struct yk_scalar {
    yoke_array yk_a;
    template <class T> explicit yk_scalar(T x)
        : yk_a(T(0.5) != T(0) && T(0.5) != T(1) ? yk_scalar_f((double)x)
               : T(-1) > T(0) && sizeof(T) > 4  ? yk_scalar_u((unsigned long long)x)
                                                : yk_scalar_i((long long)x))
    {
    }
    const yoke_array *at() const { return &yk_a; }
};
#define yoke_number(x) (yk_scalar(x).at())
extern "C" {
#else
#define yoke_number(x)                                                                                                 \
    (__extension__(const yoke_array[1]){_Generic((x), float: yk_scalar_f, double: yk_scalar_f, long double: yk_scalar_f,   \
                                                 unsigned long: yk_scalar_u, unsigned long long: yk_scalar_u,              \
                                                 default: yk_scalar_i)(x)})
#endif

/* "f32" and so on; "?" for what is no type of an array. Bytes of an element. The type that two types meet in. */
YOKE_API const char *yoke_array_type_name(unsigned type);
YOKE_API size_t yoke_array_type_size(unsigned type);
YOKE_API unsigned yoke_array_promote(unsigned a, unsigned b);

/* How many elements it has; 0 for NULL. */
YOKE_API size_t yoke_array_elements(const yoke_array *a);
/* Whether its elements lie one after the other, last dimension fastest. */
YOKE_API bool yoke_array_is_flat(const yoke_array *a);

/* ---- Ownership ---- */

/* NULL is allowed. */
YOKE_API void yoke_array_free(yoke_array *a);

/* What this thread makes between begin and end is freed by end, but for `keep` (NULL: nothing), which end returns. Scopes
 * nest: what is kept then belongs to the scope around. What a thread that waits in between runs of others, parts of a loop or
 * forks, is none of the scope's; parts that make arrays of their own open scopes of their own. */
typedef struct yoke_array_scope {
    yoke_array *first;
    struct yoke_array_scope *around;
} yoke_array_scope;
YOKE_API void yoke_array_begin(yoke_array_scope *scope);
YOKE_API yoke_array *yoke_array_end(yoke_array_scope *scope, yoke_array *keep);

/* ---- Making arrays ---- */

/* Of a type and a shape, YOKE_NO_DIMS for one number: with undefined elements, with 0, 1 or a value in each. */
YOKE_API yoke_array *yoke_array_empty(yoke_stream *s, unsigned type, yoke_dims shape);
YOKE_API yoke_array *yoke_array_zeros(yoke_stream *s, unsigned type, yoke_dims shape);
YOKE_API yoke_array *yoke_array_ones(yoke_stream *s, unsigned type, yoke_dims shape);
YOKE_API yoke_array *yoke_array_full(yoke_stream *s, unsigned type, yoke_dims shape, const yoke_array *value);
/* Of a's stream, type and shape. */
YOKE_API yoke_array *yoke_array_empty_like(const yoke_array *a);
YOKE_API yoke_array *yoke_array_zeros_like(const yoke_array *a);
/* start, start + step... below stop (above, for a negative step). Computed in f64 for floats, in i64 for integers. */
YOKE_API yoke_array *yoke_array_arange(yoke_stream *s, unsigned type, double start, double stop, double step);
/* n numbers from start to stop, both included. f32 or f64. */
YOKE_API yoke_array *yoke_array_linspace(yoke_stream *s, unsigned type, double start, double stop, size_t n);
/* n by m, ones where column - row is k. */
YOKE_API yoke_array *yoke_array_eye(yoke_stream *s, unsigned type, size_t n, size_t m, ptrdiff_t k);

/* A copy of host memory, elements one after the other. The memory must stay until the stream has come past. */
YOKE_API yoke_array *yoke_array_from(yoke_stream *s, unsigned type, yoke_dims shape, const void *host);
/* Any memory of the stream's device (on the CPU: any memory) as an array, not copied, not freed. steps may be NULL: one after
 * the other. It must outlive the array and its views. Aligned for the type; the elements may not reach beyond the block that it
 * lies in, which the host's own memory is not asked for. */
YOKE_API yoke_array *yoke_array_over(yoke_stream *s, unsigned type, yoke_dims shape, const ptrdiff_t *steps, void *memory);
/* yoke_array_of_view(s, v): a copy of an array view of yoke/task.h (yoke_in_f32 and so on) of host memory, whatever its
 * steps; has been copied when the call returns. */
#define yoke_array_of_view(s, v)                                                                                       \
    __extension__({                                                                                                    \
        __typeof__(v) yk_v = (v);                                                                                      \
        yk_array_of_view((s), YK_CODE(__typeof__(v)), yk_v.ptr, yk_v.ndim, yk_v.shape, yk_v.step);                     \
    })
YOKE_API yoke_array *yk_array_of_view(yoke_stream *s, unsigned code, const void *ptr, size_t ndim, const size_t *shape,
                                      const ptrdiff_t *step);
/* yoke_array_view(yoke_inout_f64, a, &v): the array as a view for a task, 0; -EINVAL when the types differ, and -EXDEV when
 * the host cannot touch its memory: yoke_array_to() a stream of the CPU first. Waits for the stream. Valid as long as the
 * array. */
#define yoke_array_view(VIEW, a, ret)                                                                                  \
    __extension__({                                                                                                    \
        VIEW *yk_r = (ret);                                                                                            \
        yk_array_view((a), YK_CODE(VIEW), (void *)&yk_r->ptr, &yk_r->ndim, yk_r->shape, yk_r->step);                   \
    })
YOKE_API int yk_array_view(const yoke_array *a, unsigned code, void *ptr, size_t *ndim, size_t *shape, ptrdiff_t *step);

/* ---- Copying ---- */

/* A flat copy. */
YOKE_API yoke_array *yoke_array_copy(const yoke_array *a);
/* a itself as a view when it is flat, else a flat copy. */
YOKE_API yoke_array *yoke_array_flat(const yoke_array *a);
/* A copy on another stream, of any device. Between devices it goes through the host, and has arrived when the call returns. */
YOKE_API yoke_array *yoke_array_to(const yoke_array *a, yoke_stream *s);
/* A copy of another type. */
YOKE_API yoke_array *yoke_array_astype(const yoke_array *a, unsigned type);
/* The elements, last dimension fastest, to host memory of at least that size; waits. size: bytes there. */
YOKE_API int yoke_array_get(const yoke_array *a, void *host, size_t size);
/* The one element of an array that has one, converted; waits. */
YOKE_API int yoke_array_item(const yoke_array *a, double *ret);
YOKE_API int yoke_array_item_int(const yoke_array *a, int64_t *ret);
/* dst = src: src, converted and broadcast, into the elements of dst, which may be a view: so parts of arrays are written. src
 * may be a number, or share storage with dst. A dst that repeats elements, by a step of 0, is refused: -EINVAL. */
YOKE_API int yoke_array_assign(yoke_array *dst, const yoke_array *src);

/* ---- Views ---- */

/* Along one axis from start to before stop by step, as a[start:stop:step] in Python: what is negative counts from the end,
 * what is beyond an end is cut, YOKE_END is left out. step is not 0. */
YOKE_API yoke_array *yoke_array_slice(const yoke_array *a, ptrdiff_t axis, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step);
/* The i-th along an axis, which goes. */
YOKE_API yoke_array *yoke_array_index(const yoke_array *a, ptrdiff_t axis, ptrdiff_t i);
/* The axes in the given order. YOKE_NO_DIMS or YOKE_ALL_AXES: reversed. */
YOKE_API yoke_array *yoke_array_transpose(const yoke_array *a, yoke_dims axes);
/* Another shape for the same elements, in the same order; one length may be -1 and is found. A copy where steps cannot say
 * it. */
YOKE_API yoke_array *yoke_array_reshape(const yoke_array *a, yoke_dims shape);
/* Without the axes, which are of length 1; YOKE_ALL_AXES: without all that are. */
YOKE_API yoke_array *yoke_array_squeeze(const yoke_array *a, yoke_dims axes);
/* With a new axis of length 1 there. */
YOKE_API yoke_array *yoke_array_expand(const yoke_array *a, ptrdiff_t axis);
/* Repeated along axes of length 1, and along new ones in front, by steps of 0. */
YOKE_API yoke_array *yoke_array_broadcast(const yoke_array *a, yoke_dims shape);
/* Backwards along the axes. */
YOKE_API yoke_array *yoke_array_flip(const yoke_array *a, yoke_dims axes);

/* ---- Random numbers ---- */

/* Philox4x32-10 (Salmon and others, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): the numbers depend on seed and
 * at alone, and are the same bits on every device. {.seed = 1} begins a sequence; each call moves at on by half of its
 * elements, rounded up. */
typedef struct yoke_random {
    uint64_t seed, at;
} yoke_random;
/* f32 or f64 in [low, high), by 24 or 53 bits; low itself when both are equal in the type. high - low is finite and not
 * negative. */
YOKE_API yoke_array *yoke_array_uniform(yoke_stream *s, yoke_random *random, unsigned type, yoke_dims shape, double low,
                                        double high);
/* f32 or f64, normally distributed; deviation 0 or more. On devices with f64 (-ENOTSUP elsewhere). */
YOKE_API yoke_array *yoke_array_normal(yoke_stream *s, yoke_random *random, unsigned type, yoke_dims shape, double mean,
                                       double deviation);
/* Integers from low to high, both included; of 64 bits each, so the least and the most likely differ by a part of at most
 * (high - low) / 2^64. */
YOKE_API yoke_array *yoke_array_integers(yoke_stream *s, yoke_random *random, unsigned type, yoke_dims shape, int64_t low,
                                         int64_t high);

/* ---- Element by element ---- */
/* Operands are broadcast as NumPy does: shapes are aligned at the end, and a length of 1 is repeated. At least one is no
 * number: of numbers alone NULL comes, and there is no device that could say why. */

/* Sums, differences, products; add and mul of bools are or and and; of bools there is no sub. */
YOKE_API yoke_array *yoke_array_add(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_sub(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_mul(const yoke_array *a, const yoke_array *b);
/* a / b: of integers in f64. */
YOKE_API yoke_array *yoke_array_div(const yoke_array *a, const yoke_array *b);
/* a // b and a % b of Python: rounded to minus infinity, the sign of b. bools count as i8. */
YOKE_API yoke_array *yoke_array_floor_div(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_mod(const yoke_array *a, const yoke_array *b);
/* a ** b. Integers to a negative power: the true value without its fraction, and 0 for 0. */
YOKE_API yoke_array *yoke_array_pow(const yoke_array *a, const yoke_array *b);
/* The smaller and the larger; NaN if either is. */
YOKE_API yoke_array *yoke_array_minimum(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_maximum(const yoke_array *a, const yoke_array *b);
/* Not of bools. */
YOKE_API yoke_array *yoke_array_neg(const yoke_array *a);
YOKE_API yoke_array *yoke_array_sign(const yoke_array *a);
YOKE_API yoke_array *yoke_array_abs(const yoke_array *a);

/* bool: ==, !=, <, <=, >, >=. u64 and signed integers are compared as the integers that they are (as NumPy 2 does). */
YOKE_API yoke_array *yoke_array_eq(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_ne(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_lt(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_le(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_gt(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_ge(const yoke_array *a, const yoke_array *b);
/* bool, of whether elements are other than 0. */
YOKE_API yoke_array *yoke_array_logical_and(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_logical_or(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_logical_xor(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_logical_not(const yoke_array *a);
/* Of bools and integers. Shifts by more than there are bits, or by less than 0, give 0, to the right of a negative -1. */
YOKE_API yoke_array *yoke_array_bit_and(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_bit_or(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_bit_xor(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_bit_not(const yoke_array *a);
YOKE_API yoke_array *yoke_array_shl(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_shr(const yoke_array *a, const yoke_array *b);

/* Functions of floats. bools and integers become f32 up to 16 bits (of 8 NumPy makes half precision), f64 beyond. */
YOKE_API yoke_array *yoke_array_sin(const yoke_array *a);
YOKE_API yoke_array *yoke_array_cos(const yoke_array *a);
YOKE_API yoke_array *yoke_array_tan(const yoke_array *a);
YOKE_API yoke_array *yoke_array_asin(const yoke_array *a);
YOKE_API yoke_array *yoke_array_acos(const yoke_array *a);
YOKE_API yoke_array *yoke_array_atan(const yoke_array *a);
YOKE_API yoke_array *yoke_array_sinh(const yoke_array *a);
YOKE_API yoke_array *yoke_array_cosh(const yoke_array *a);
YOKE_API yoke_array *yoke_array_tanh(const yoke_array *a);
YOKE_API yoke_array *yoke_array_asinh(const yoke_array *a);
YOKE_API yoke_array *yoke_array_acosh(const yoke_array *a);
YOKE_API yoke_array *yoke_array_atanh(const yoke_array *a);
YOKE_API yoke_array *yoke_array_exp(const yoke_array *a);
YOKE_API yoke_array *yoke_array_exp2(const yoke_array *a);
YOKE_API yoke_array *yoke_array_expm1(const yoke_array *a);
YOKE_API yoke_array *yoke_array_log(const yoke_array *a);
YOKE_API yoke_array *yoke_array_log2(const yoke_array *a);
YOKE_API yoke_array *yoke_array_log10(const yoke_array *a);
YOKE_API yoke_array *yoke_array_log1p(const yoke_array *a);
YOKE_API yoke_array *yoke_array_sqrt(const yoke_array *a);
YOKE_API yoke_array *yoke_array_cbrt(const yoke_array *a);
YOKE_API yoke_array *yoke_array_rsqrt(const yoke_array *a); /* 1 / sqrt(a), each rounded */
YOKE_API yoke_array *yoke_array_atan2(const yoke_array *y, const yoke_array *x);
YOKE_API yoke_array *yoke_array_hypot(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_copysign(const yoke_array *a, const yoke_array *b);
YOKE_API yoke_array *yoke_array_fmod(const yoke_array *a, const yoke_array *b); /* the sign of a */
YOKE_API yoke_array *yoke_array_isnan(const yoke_array *a);
YOKE_API yoke_array *yoke_array_isinf(const yoke_array *a);
YOKE_API yoke_array *yoke_array_isfinite(const yoke_array *a);
/* To whole numbers; halves to even. Integers and bools stay as they are. */
YOKE_API yoke_array *yoke_array_floor(const yoke_array *a);
YOKE_API yoke_array *yoke_array_ceil(const yoke_array *a);
YOKE_API yoke_array *yoke_array_round(const yoke_array *a);
YOKE_API yoke_array *yoke_array_trunc(const yoke_array *a);

/* a * b + c, rounded once. */
YOKE_API yoke_array *yoke_array_fma(const yoke_array *a, const yoke_array *b, const yoke_array *c);
/* minimum(maximum(a, low), high). */
YOKE_API yoke_array *yoke_array_clip(const yoke_array *a, const yoke_array *low, const yoke_array *high);
/* a where the condition is other than 0, else b. */
YOKE_API yoke_array *yoke_array_where(const yoke_array *condition, const yoke_array *a, const yoke_array *b);

/* ---- Reductions ---- */
/* Along the axes, which go, or with `keep` become of length 1; YOKE_ALL_AXES: to one number. The order in which floats are
 * added depends on the shape, the type and the steps, and on the kind of device alone, not on how busy it is. */

/* Of bools and signed integers in i64, of others in u64; f32 is added up in f64 where the device has it, the result is f32. */
YOKE_API yoke_array *yoke_array_sum(const yoke_array *a, yoke_dims axes, bool keep);
YOKE_API yoke_array *yoke_array_prod(const yoke_array *a, yoke_dims axes, bool keep);
/* NaN if there is any; of no elements refused. */
YOKE_API yoke_array *yoke_array_min(const yoke_array *a, yoke_dims axes, bool keep);
YOKE_API yoke_array *yoke_array_max(const yoke_array *a, yoke_dims axes, bool keep);
/* bool: whether any is other than 0 (none: false), all are (none: true). */
YOKE_API yoke_array *yoke_array_any(const yoke_array *a, yoke_dims axes, bool keep);
YOKE_API yoke_array *yoke_array_all(const yoke_array *a, yoke_dims axes, bool keep);
/* i64: where the first smallest, largest stands, counted along the axis, or over all elements; the first NaN, if there is
 * any. One axis, or all. */
YOKE_API yoke_array *yoke_array_argmin(const yoke_array *a, yoke_dims axes, bool keep);
YOKE_API yoke_array *yoke_array_argmax(const yoke_array *a, yoke_dims axes, bool keep);
/* f32 for f32, else f64. The variance divides by n - ddof. */
YOKE_API yoke_array *yoke_array_mean(const yoke_array *a, yoke_dims axes, bool keep);
YOKE_API yoke_array *yoke_array_var(const yoke_array *a, yoke_dims axes, bool keep, double ddof);
YOKE_API yoke_array *yoke_array_std(const yoke_array *a, yoke_dims axes, bool keep, double ddof);

/* ---- Running sums, products of matrices ---- */

/* Along an axis, each element and all before it; types as of yoke_array_sum(). */
YOKE_API yoke_array *yoke_array_cumsum(const yoke_array *a, ptrdiff_t axis);
YOKE_API yoke_array *yoke_array_cumprod(const yoke_array *a, ptrdiff_t axis);
/* The product of matrices; what has one dimension counts as a row on the left and as a column on the right, so two of them
 * make their dot product; leading dimensions are broadcast. Of one type, that in which both meet; integers wrap around. Floats
 * on a device as by yoke_stream_matmul() (yoke/primitive.h). */
YOKE_API yoke_array *yoke_array_matmul(const yoke_array *a, const yoke_array *b);

/* ---- Joining, and elements by number ---- */

/* n arrays one after the other along an axis, of the type that all meet in; their other lengths are equal. */
YOKE_API yoke_array *yoke_array_concatenate(const yoke_array *const *arrays, size_t n, ptrdiff_t axis);
/* The same along a new axis; n up to 64, of equal shape. */
YOKE_API yoke_array *yoke_array_stack(const yoke_array *const *arrays, size_t n, ptrdiff_t axis);
/* Each element so many times along an axis. */
YOKE_API yoke_array *yoke_array_repeat(const yoke_array *a, size_t times, ptrdiff_t axis);
/* Each element less the one before it along an axis, which becomes one shorter; of bools, whether they differ. */
YOKE_API yoke_array *yoke_array_diff(const yoke_array *a, ptrdiff_t axis);
/* Along an axis, the elements whose numbers are given, integers, negative ones from the end; the axis becomes the axes of
 * numbers. Waits, to check them: one that there is not is -ERANGE. */
YOKE_API yoke_array *yoke_array_take(const yoke_array *a, const yoke_array *numbers, ptrdiff_t axis);
/* Writes src, broadcast, to where yoke_array_take() would read. Of numbers that come twice the last wins on the CPU, any
 * elsewhere. */
YOKE_API int yoke_array_put(yoke_array *dst, const yoke_array *numbers, ptrdiff_t axis, const yoke_array *src);

/* ---- Sorting and choosing ---- */

/* Ascending along an axis; NaNs are last. */
YOKE_API yoke_array *yoke_array_sort(const yoke_array *a, ptrdiff_t axis);
/* i64: where the elements stand that yoke_array_sort() puts there; equal ones, 0 and -0 and all NaNs too, in their order. */
YOKE_API yoke_array *yoke_array_argsort(const yoke_array *a, ptrdiff_t axis);
/* What there is in a, each once, ascending, in one dimension; each NaN is another. Waits, as the next two. */
YOKE_API yoke_array *yoke_array_unique(const yoke_array *a);
/* The elements where the mask, broadcast, is other than 0, in one dimension. */
YOKE_API yoke_array *yoke_array_select(const yoke_array *a, const yoke_array *mask);
/* i64: the numbers of the elements other than 0, counted over all dimensions, last fastest. */
YOKE_API yoke_array *yoke_array_nonzero(const yoke_array *a);

/* ---- Other libraries ---- */

/* DLPack 1.1 (github.com/dmlc/dlpack): DLManagedTensorVersioned and what it consists of, with its layout. */
enum { YOKE_DLPACK_CPU = 1, YOKE_DLPACK_CUDA = 2, YOKE_DLPACK_CUDA_HOST = 3 };
enum { YOKE_DLPACK_READ_ONLY = 1, YOKE_DLPACK_COPIED = 2 };
typedef struct yoke_dlpack_tensor {
    void *data;
    struct {
        int32_t type, id;
    } device;
    int32_t ndim;
    struct {
        uint8_t code, bits; /* code: 0 int, 1 uint, 2 float, 6 bool */
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides; /* strides in elements; NULL: one after the other */
    uint64_t byte_offset;
} yoke_dlpack_tensor;
typedef struct yoke_dlpack {
    struct {
        uint32_t major, minor;
    } version;
    void *manager_ctx;
    void (*deleter)(struct yoke_dlpack *self);
    uint64_t flags;
    yoke_dlpack_tensor tensor;
} yoke_dlpack;
/* The array for another library, which shares its memory and calls deleter when it is done; waits for the stream. Its stream
 * stays open until then. NULL: the error, -ENOTSUP for OpenCL. */
YOKE_API yoke_dlpack *yoke_array_to_dlpack(const yoke_array *a);
/* Another library's, not copied: its deleter is called when no array uses the memory any more, by the yoke_array_free() of the
 * last, which waits for what is still at work on it. Its own work on it must be over. What is READ_ONLY is not written: -EROFS.
 * On CUDA devices only memory that came from here. On failure it is still the caller's. */
YOKE_API yoke_array *yoke_array_from_dlpack(yoke_stream *s, yoke_dlpack *t);

/* ---- Files ---- */

/* Reads a file of numpy.save(): format 1.0, 2.0 or 3.0, C or Fortran order, either byte order, of up to YOKE_DIMS dimensions,
 * of the types above. In Fortran order the array is a view with such steps. Has been read when the call returns. -EBADMSG:
 * the file is no such file, the text says why; -ENOTSUP: it is, and has a type or more dimensions than there can be. */
YOKE_API yoke_array *yoke_array_load(yoke_stream *s, const char *path);
/* Writes one, format 1.0, C order; waits. A file that is there is replaced when all has been written, and left alone on
 * failure. */
YOKE_API int yoke_array_save(const yoke_array *a, const char *path);
/* The same in memory. */
YOKE_API yoke_array *yoke_array_load_bytes(yoke_stream *s, yoke_bytes file);

#ifdef __cplusplus
}
#endif
#endif
