/* yoke/dialect.h - the words that a kernel may use (yoke/kernel.h): the same text is C for the CPU, OpenCL C and
 * CUDA.
 *
 * What C has keeps its name. The functions of <math.h> are those of <tgmath.h>: sin, sqrt, pow, fma, fabs, fmin,
 * floor... of a float are float (write 2.0f, not 2, for their numbers: OpenCL does not convert); sinf, sqrtf, powf... take
 * any number; lround() and lrint() are long. printf() works everywhere. Types: char to long, unsigned, uint, ushort, int8_t
 * to uint64_t, size_t, float, double where the device has it (yoke_device_info.has_double), and structs and typedefs of
 * YOKE_DEVICE_CODE; `long` has 64 bits, `long long` is read as long. Integer and floating-point limits (INT_MAX, FLT_MAX,
 * INFINITY, NAN, M_PI) are there.
 * Not: malloc, recursion, pointers to functions, goto, static variables; memcpy() and its kin (assign structs, and see
 * yoke_as_uint()); compound literals, (struct pair){1, 2}, which CUDA lacks (struct pair p = {1, 2}; is right, and p);
 * macros of your own, which are expanded for the CPU alone; and names that are words of C++ (new, this, class) or types of
 * CUDA and OpenCL (float4, int2, event_t).
 *
 * Integers give the same bits on every device; so do + - * of floating-point numbers, since nothing is contracted
 * to an fma() that is not written as one; / and sqrt() where the device rounds them correctly (all but some OpenCL
 * devices for float). Other functions are within 4 units in the last place (pow() 16) of what is right. The same call on
 * the same device gives the same bits each time. (The one exception are the last bits of these other functions on the CPU, in
 * calls of fewer than 1024 elements of a body that has a loop, or calls a function of yours.)
 *
 * What C has not is below. Arguments of macros may be evaluated more than once.
 */
#ifndef YOKE_DIALECT_H
#define YOKE_DIALECT_H
#pragma GCC system_header
#include <limits.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* How C is compiled here: vectorised at -O2 already, never with a * b + c as one operation, and a copy as a loop, which is
 * faster than memcpy() for chunks of some KiB. What is compiled otherwise would not be inlined into it. */
#ifdef __clang__
#define YK_KERNEL_NUMBERS
#elif defined __OPTIMIZE__
#define YK_KERNEL_NUMBERS                                                                                              \
    __attribute__((optimize("O3", "no-math-errno", "no-trapping-math", "no-tree-loop-distribute-patterns", "fp-contract=off")))
#else
#define YK_KERNEL_NUMBERS __attribute__((optimize("fp-contract=off")))
#endif

/* In YOKE_DEVICE_CODE: before a function for kernels to call, before a constant or a table of them, and in the
 * type of a parameter of such a function that points to an array of a kernel: YOKE_FN float at(YOKE_GLOBAL const
 * float *x, long i). */
#define YOKE_FN YK_FUNCTION
#define YK_FUNCTION static inline __attribute__((unused)) YK_KERNEL_NUMBERS
#define YOKE_CONST static const __attribute__((unused))
#define YOKE_GLOBAL

/* Of numbers of any type; the second when they are unordered (a NaN). */
#define yoke_lesser(a, b) ((a) < (b) ? (a) : (b))
#define yoke_greater(a, b) ((a) > (b) ? (a) : (b))
#define yoke_clamp(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))
/* 1 / sqrt(x); within 2 units in the last place. */
#define yoke_rsqrt(x) (1 / sqrt(x))
/* Of floats, faster and less exact than those without yoke_fast_, how much depends on the device. */
#define yoke_fast_sin(x) (sinf(x))
#define yoke_fast_cos(x) (cosf(x))
#define yoke_fast_exp(x) (expf(x))
#define yoke_fast_log(x) (logf(x))
#define yoke_fast_divide(a, b) ((float)(a) / (float)(b))

/* The bits of a number. */
static inline unsigned yoke_as_uint(float yk_x)
{
    unsigned yk_bits;
    memcpy(&yk_bits, &yk_x, sizeof yk_bits);
    return yk_bits;
}
static inline float yoke_as_float(unsigned yk_bits)
{
    float yk_x;
    memcpy(&yk_x, &yk_bits, sizeof yk_x);
    return yk_x;
}
static inline unsigned long yoke_as_ulong(double yk_x)
{
    unsigned long yk_bits;
    memcpy(&yk_bits, &yk_x, sizeof yk_bits);
    return yk_bits;
}
static inline double yoke_as_double(unsigned long yk_bits)
{
    double yk_x;
    memcpy(&yk_x, &yk_bits, sizeof yk_x);
    return yk_x;
}
/* Of integers of 32 or 64 bits: how many bits are set; how many are not before the first that is, from the top
 * and from the bottom, all of them when none is. int. */
#define yoke_popcount(x) (sizeof(x) == 8 ? __builtin_popcountl((unsigned long)(x)) : __builtin_popcount((unsigned)(x)))
#define yoke_clz(x)                                                                                                    \
    (sizeof(x) == 8 ? ((x) == 0 ? 64 : __builtin_clzl((unsigned long)(x))) : ((x) == 0 ? 32 : __builtin_clz((unsigned)(x))))
#define yoke_ctz(x)                                                                                                    \
    (sizeof(x) == 8 ? ((x) == 0 ? 64 : __builtin_ctzl((unsigned long)(x))) : ((x) == 0 ? 32 : __builtin_ctz((unsigned)(x))))

/* What several elements change: p points into an array of the kernel, to an int, unsigned, long or unsigned
 * long; each returns what was there before, and orders nothing else. addf: to a float or double; the order of
 * the sums, so their last bits, differ from run to run. */
#define yoke_atomic_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define yoke_atomic_sub(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define yoke_atomic_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
#define yoke_atomic_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define yoke_atomic_xor(p, v) __atomic_fetch_xor((p), (v), __ATOMIC_RELAXED)
#define yoke_atomic_swap(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELAXED)
#define yoke_atomic_min(p, v) YK_ATOMIC_BY(p, v, yk_old < yk_v ? yk_old : yk_v)
#define yoke_atomic_max(p, v) YK_ATOMIC_BY(p, v, yk_old > yk_v ? yk_old : yk_v)
#define yoke_atomic_addf(p, v) YK_ATOMIC_BY(p, v, yk_old + yk_v)
/* Writes `to` if `from` is there. */
#define yoke_atomic_cas(p, from, to)                                                                                   \
    __extension__({                                                                                                    \
        __typeof__(*(p)) yk_from = (from);                                                                             \
        __atomic_compare_exchange_n((p), &yk_from, (to), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);                       \
        yk_from;                                                                                                       \
    })
#define YK_ATOMIC_BY(p, v, NEXT)                                                                                       \
    __extension__({                                                                                                    \
        __typeof__(p) yk_p = (p);                                                                                      \
        __typeof__(*(p)) yk_v = (v), yk_old, yk_next;                                                                  \
        __atomic_load(yk_p, &yk_old, __ATOMIC_RELAXED);                                                                \
        do                                                                                                             \
            yk_next = NEXT;                                                                                            \
        while (!__atomic_compare_exchange(yk_p, &yk_old, &yk_next, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));            \
        yk_old;                                                                                                        \
    })

#endif

/* Type-generic mathematics in C changes what sin() of a float means in the rest of a file, so <yoke.h> leaves it
 * out: a file with kernels includes <yoke/kernel.h> by name. */
#if !defined YK_ALL_OF_YOKE && !defined YOKE_DIALECT_MATH
#define YOKE_DIALECT_MATH
#ifndef __cplusplus
#include <tgmath.h>
#endif
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* for what stands in YOKE_DEVICE_CODE, and so for all that follows in the file */
#endif
/* The vector versions of glibc's libmvec, within 4 units in the last place, for loops that gcc vectorises; they
 * leave errno alone. */
#if defined __x86_64__ && defined __GNUC__ && !defined __clang__ && defined __OPTIMIZE__ && defined __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 22)
#ifdef __cplusplus
extern "C" {
#define YK_VECTOR(T, NAME, ...) __attribute__((simd("notinbranch"), const)) T(NAME)(__VA_ARGS__) noexcept(true)
#else
#define YK_VECTOR(T, NAME, ...) __attribute__((simd("notinbranch"), const)) T(NAME)(__VA_ARGS__)
#endif
#define YK_VECTOR_1(NAME) YK_VECTOR(double, NAME, double); YK_VECTOR(float, NAME##f, float)
#define YK_VECTOR_2(NAME) YK_VECTOR(double, NAME, double, double); YK_VECTOR(float, NAME##f, float, float)
YK_VECTOR_1(sin);
YK_VECTOR_1(cos);
YK_VECTOR_1(exp);
YK_VECTOR_1(log);
YK_VECTOR_2(pow);
#ifndef __cplusplus
__attribute__((const)) double(sqrt)(double);
__attribute__((const)) float(sqrtf)(float);
#endif
#if __GLIBC_PREREQ(2, 35)
YK_VECTOR_1(tan);
YK_VECTOR_1(asin);
YK_VECTOR_1(acos);
YK_VECTOR_1(atan);
YK_VECTOR_1(sinh);
YK_VECTOR_1(cosh);
YK_VECTOR_1(tanh);
YK_VECTOR_1(exp2);
YK_VECTOR_1(expm1);
YK_VECTOR_1(log2);
YK_VECTOR_1(log10);
YK_VECTOR_1(log1p);
YK_VECTOR_1(cbrt);
YK_VECTOR_1(erf);
YK_VECTOR_2(atan2);
YK_VECTOR_2(hypot);
#endif
#ifdef __cplusplus
}
#endif
#endif
#endif
#endif
