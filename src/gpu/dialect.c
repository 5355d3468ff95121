/* dialect: what stands before every kernel's text, so that the words of yoke/dialect.h mean in CUDA and in
 * OpenCL C what they mean in C. No header of theirs is used: the compilers that read this have none. */
#include "gpu/kernel.h"

#define LINE(...) #__VA_ARGS__ "\n"
#define HASH(text) "#" text "\n"

/* Of both. */
#define BOTH                                                                                                           \
    HASH("define yoke_lesser(a, b) ((a) < (b) ? (a) : (b))")                                                           \
    HASH("define yoke_greater(a, b) ((a) > (b) ? (a) : (b))")                                                          \
    HASH("define yoke_clamp(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))")                        \
    HASH("define yoke_fast_divide(a, b) ((float)(a) / (float)(b))")

const char yk_dialect_cuda[] =
    HASH("pragma nv_diag_suppress 177") /* what is not used */
    LINE(typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;)
    LINE(typedef int int32_t; typedef unsigned uint32_t; typedef long int64_t; typedef unsigned long uint64_t;)
    LINE(typedef unsigned uint; typedef unsigned short ushort; typedef unsigned char uchar; typedef unsigned long ulong;)
    LINE(typedef long ssize_t; typedef long intptr_t; typedef unsigned long uintptr_t;)
    HASH("define _Bool bool")
    HASH("define restrict __restrict__")
    HASH("define YOKE_FN __device__ inline")
    HASH("define YOKE_CONST __constant__ const")
    HASH("define YOKE_GLOBAL")
    HASH("ifndef INT_MAX")
    HASH("define CHAR_BIT 8") HASH("define SCHAR_MAX 127") HASH("define SCHAR_MIN (-128)") HASH("define UCHAR_MAX 255")
    HASH("define SHRT_MAX 32767") HASH("define SHRT_MIN (-32768)") HASH("define USHRT_MAX 65535")
    HASH("define INT_MAX 2147483647") HASH("define INT_MIN (-INT_MAX - 1)") HASH("define UINT_MAX 4294967295u")
    HASH("define LONG_MAX 9223372036854775807l") HASH("define LONG_MIN (-LONG_MAX - 1)")
    HASH("define ULONG_MAX 18446744073709551615ul")
    HASH("endif")
    HASH("define INT8_MAX 127") HASH("define INT16_MAX 32767") HASH("define INT32_MAX 2147483647")
    HASH("define INT64_MAX 9223372036854775807l") HASH("define INT8_MIN (-128)") HASH("define INT16_MIN (-32768)")
    HASH("define INT32_MIN (-INT32_MAX - 1)") HASH("define INT64_MIN (-INT64_MAX - 1)") HASH("define UINT8_MAX 255")
    HASH("define UINT16_MAX 65535") HASH("define UINT32_MAX 4294967295u") HASH("define UINT64_MAX 18446744073709551615ul")
    HASH("define FLT_MAX 3.40282346638528859812e+38f") HASH("define FLT_MIN 1.17549435082228750797e-38f")
    HASH("define FLT_EPSILON 1.1920928955078125e-7f") HASH("define DBL_MAX 1.79769313486231570815e+308")
    HASH("define DBL_MIN 2.22507385850720138309e-308") HASH("define DBL_EPSILON 2.22044604925031308085e-16")
    HASH("ifndef INFINITY") HASH("define INFINITY __int_as_float(0x7f800000)") HASH("endif")
    HASH("ifndef NAN") HASH("define NAN __int_as_float(0x7fffffff)") HASH("endif")
    HASH("define M_PI 3.14159265358979323846") HASH("define M_E 2.71828182845904523536")
    HASH("define M_SQRT2 1.41421356237309504880") HASH("define M_LN2 0.69314718055994530942")
    HASH("define M_PI_2 1.57079632679489661923")
    BOTH
    HASH("define yoke_rsqrt(x) rsqrt(x)")
    HASH("define yoke_fast_sin(x) __sinf(x)") HASH("define yoke_fast_cos(x) __cosf(x)")
    HASH("define yoke_fast_exp(x) __expf(x)") HASH("define yoke_fast_log(x) __logf(x)")
    HASH("define yoke_as_uint(x) __float_as_uint(x)") HASH("define yoke_as_float(x) __uint_as_float(x)")
    HASH("define yoke_as_ulong(x) ((unsigned long)__double_as_longlong(x))")
    HASH("define yoke_as_double(x) __longlong_as_double((long long)(x))")
    HASH("define yoke_popcount(x) (sizeof(x) == 8 ? __popcll((unsigned long long)(x)) : __popc((unsigned)(x)))")
    HASH("define yoke_clz(x) (sizeof(x) == 8 ? __clzll((long long)(x)) : __clz((int)(x)))")
    HASH("define yoke_ctz(x) ((x) == 0 ? (int)sizeof(x) * 8 : "
         "sizeof(x) == 8 ? __ffsll((long long)(x)) - 1 : __ffs((int)(x)) - 1)");

/* Atomic operations, which most kernels do not have. The long forms of CUDA are of `unsigned long long` alone.
 * Adding is the same for signed ones; the order is not. */
const char yk_dialect_cuda_atomics[] =
    HASH("define YK_ATOMIC(NAME, CALL)                                                                            \\\n"
         "    __device__ inline int yoke_atomic_##NAME(int *p, int v) { return CALL(p, v); }                   \\\n"
         "    __device__ inline unsigned yoke_atomic_##NAME(unsigned *p, unsigned v) { return CALL(p, v); }    \\\n"
         "    __device__ inline long yoke_atomic_##NAME(long *p, long v)                                       \\\n"
         "    { return (long)CALL((YK_SIGNED_##NAME long long *)p, (YK_SIGNED_##NAME long long)v); }                  \\\n"
         "    __device__ inline unsigned long yoke_atomic_##NAME(unsigned long *p, unsigned long v)            \\\n"
         "    { return (unsigned long)CALL((unsigned long long *)p, (unsigned long long)v); }")
    HASH("define YK_SIGNED_add unsigned") HASH("define YK_SIGNED_and unsigned") HASH("define YK_SIGNED_or unsigned")
    HASH("define YK_SIGNED_xor unsigned") HASH("define YK_SIGNED_swap unsigned") HASH("define YK_SIGNED_min signed")
    HASH("define YK_SIGNED_max signed")
    "YK_ATOMIC(add, atomicAdd)\nYK_ATOMIC(and, atomicAnd)\nYK_ATOMIC(or, atomicOr)\nYK_ATOMIC(xor, atomicXor)\n"
    "YK_ATOMIC(swap, atomicExch)\nYK_ATOMIC(min, atomicMin)\nYK_ATOMIC(max, atomicMax)\n"
    /* v takes the type of *p before its sign changes. */
    HASH("define YK_SUB(T) __device__ inline T yoke_atomic_sub(T *p, T v) { return yoke_atomic_add(p, (T)(0ull - v)); }")
    "YK_SUB(int)\nYK_SUB(unsigned)\nYK_SUB(long)\nYK_SUB(unsigned long)\n"
    LINE(__device__ inline float yoke_atomic_addf(float *p, float v) { return atomicAdd(p, v); })
    LINE(__device__ inline double yoke_atomic_addf(double *p, double v) { return atomicAdd(p, v); })
    LINE(__device__ inline int yoke_atomic_cas(int *p, int a, int b) { return atomicCAS(p, a, b); })
    LINE(__device__ inline unsigned yoke_atomic_cas(unsigned *p, unsigned a, unsigned b) { return atomicCAS(p, a, b); })
    LINE(__device__ inline long yoke_atomic_cas(long *p, long a, long b)
         { return (long)atomicCAS((unsigned long long *)p, (unsigned long long)a, (unsigned long long)b); })
    LINE(__device__ inline unsigned long yoke_atomic_cas(unsigned long *p, unsigned long a, unsigned long b)
         { return (unsigned long)atomicCAS((unsigned long long *)p, (unsigned long long)a, (unsigned long long)b); });

const char yk_dialect_opencl[] =
    HASH("pragma OPENCL FP_CONTRACT OFF")
    HASH("ifdef cl_khr_fp64") HASH("pragma OPENCL EXTENSION cl_khr_fp64 : enable") HASH("endif")
    LINE(typedef char int8_t; typedef uchar uint8_t; typedef short int16_t; typedef ushort uint16_t;)
    LINE(typedef int int32_t; typedef uint uint32_t; typedef long int64_t; typedef ulong uint64_t; typedef long ssize_t;)
    HASH("define _Bool bool")
    /* Words of OpenCL that are names in C. */
    HASH("define half yk_half") HASH("define kernel yk_kernel") HASH("define global yk_global") HASH("define local yk_local")
    HASH("define constant yk_constant") HASH("define private yk_private") HASH("define generic yk_generic")
    HASH("define YOKE_FN") HASH("define YOKE_CONST __constant const") HASH("define YOKE_GLOBAL __global")
    HASH("define INT8_MAX 127") HASH("define INT16_MAX 32767") HASH("define INT32_MAX INT_MAX") HASH("define INT64_MAX LONG_MAX")
    HASH("define INT8_MIN (-128)") HASH("define INT16_MIN (-32768)") HASH("define INT32_MIN INT_MIN")
    HASH("define INT64_MIN LONG_MIN") HASH("define UINT8_MAX 255") HASH("define UINT16_MAX 65535")
    HASH("define UINT32_MAX UINT_MAX") HASH("define UINT64_MAX ULONG_MAX")
    BOTH
    HASH("define yoke_rsqrt(x) rsqrt(x)")
    HASH("define yoke_fast_sin(x) native_sin((float)(x))") HASH("define yoke_fast_cos(x) native_cos((float)(x))")
    HASH("define yoke_fast_exp(x) native_exp((float)(x))") HASH("define yoke_fast_log(x) native_log((float)(x))")
    HASH("define yoke_as_uint(x) as_uint((float)(x))") HASH("define yoke_as_float(x) as_float((uint)(x))")
    HASH("define yoke_as_ulong(x) as_ulong((double)(x))") HASH("define yoke_as_double(x) as_double((ulong)(x))")
    HASH("define yoke_popcount(x) (sizeof(x) == 8 ? (int)popcount((ulong)(x)) : (int)popcount((uint)(x)))")
    HASH("define yoke_clz(x) (sizeof(x) == 8 ? (int)clz((ulong)(x)) : (int)clz((uint)(x)))")
    HASH("define yoke_ctz(x) ((x) == 0 ? (int)sizeof(x) * 8 : sizeof(x) == 8 ? 63 - (int)clz((ulong)(x) & -(ulong)(x)) "
         ": 31 - (int)clz((uint)(x) & -(uint)(x)))")
    HASH("define YK_ATOMIC(NAME, CALL, T)                                                                         \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_##NAME(volatile __global T *p, T v);                        \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_##NAME(volatile __global T *p, T v) { return CALL(p, v); }  \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_##NAME(volatile __local T *p, T v);                         \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_##NAME(volatile __local T *p, T v) { return CALL(p, v); }")
    HASH("define YK_ATOMIC_CAS(CALL, T)                                                                           \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_cas(volatile __global T *p, T a, T b);                      \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_cas(volatile __global T *p, T a, T b) { return CALL(p, a, b); } \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_cas(volatile __local T *p, T a, T b);                       \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_cas(volatile __local T *p, T a, T b) { return CALL(p, a, b); }")
    HASH("define YK_ATOMICS(PREFIX, T)                                                                            \\\n"
         "    YK_ATOMIC(add, PREFIX##_add, T) YK_ATOMIC(sub, PREFIX##_sub, T) YK_ATOMIC(and, PREFIX##_and, T)         \\\n"
         "    YK_ATOMIC(or, PREFIX##_or, T) YK_ATOMIC(xor, PREFIX##_xor, T) YK_ATOMIC(swap, PREFIX##_xchg, T)         \\\n"
         "    YK_ATOMIC(min, PREFIX##_min, T) YK_ATOMIC(max, PREFIX##_max, T) YK_ATOMIC_CAS(PREFIX##_cmpxchg, T)")
    HASH("define YK_ATOMIC_FLOAT(SPACE, T, BITS, CALL)                                                            \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_addf(volatile SPACE T *p, T v);                             \\\n"
         "    __attribute__((overloadable)) T yoke_atomic_addf(volatile SPACE T *p, T v)                              \\\n"
         "    {                                                                                                       \\\n"
         "        BITS old = *(volatile SPACE BITS *)p, seen;                                                         \\\n"
         "        while ((seen = CALL((volatile SPACE BITS *)p, old, as_##BITS(as_##T(old) + v))) != old)             \\\n"
         "            old = seen;                                                                                     \\\n"
         "        return as_##T(old);                                                                                 \\\n"
         "    }")
    "";

/* Functions of C that OpenCL has under other names or with other results (abs() is unsigned there), or not at all. */
#define F1(NAME) {#NAME "f", "(x) " #NAME "((float)(x))"}
#define F2(NAME) {#NAME "f", "(x, y) " #NAME "((float)(x), (float)(y))"}
#define TO(NAME, WORD) {#NAME, "(x) ((long)" #WORD "(x))"}, {#NAME "f", "(x) ((long)" #WORD "((float)(x)))"}

const yk_dialect_name yk_dialect_opencl_names[] = {
    F1(sin), F1(cos), F1(tan), F1(asin), F1(acos), F1(atan), F1(sinh), F1(cosh), F1(tanh), F1(asinh), F1(acosh), F1(atanh),
    F1(exp), F1(exp2), F1(expm1), F1(log), F1(log2), F1(log10), F1(log1p), F1(logb), F1(ilogb), F1(sqrt), F1(cbrt),
    F1(fabs), F1(floor), F1(ceil), F1(trunc), F1(round), F1(rint), F1(erf), F1(erfc), F1(lgamma), F1(tgamma),
    F2(pow), F2(fmod), F2(remainder), F2(fmax), F2(fmin), F2(fdim), F2(atan2), F2(hypot), F2(copysign), F2(nextafter),
    {"abs", "(x) ((int)abs_diff((int)(x), 0))"}, {"labs", "(x) ((long)abs_diff((long)(x), 0L))"},
    {"llabs", "(x) ((long)abs_diff((long)(x), 0L))"},
    TO(lround, round), TO(llround, round), TO(lrint, rint), TO(llrint, rint),
    {"fmaf", "(x, y, z) fma((float)(x), (float)(y), (float)(z))"},
    {"nearbyint", "(x) rint(x)"}, {"nearbyintf", "(x) rint((float)(x))"},
    {"scalbn", "(x, e) ldexp(x, (int)(e))"}, {"scalbnf", "(x, e) ldexp((float)(x), (int)(e))"},
    {"ldexpf", "(x, e) ldexp((float)(x), (int)(e))"}, {"frexpf", "(x, e) frexp((float)(x), e)"},
    {"modff", "(x, whole) modf((float)(x), whole)"}, {NULL, NULL}};

const char yk_dialect_opencl_atomics[] =
    "YK_ATOMICS(atomic, int)\nYK_ATOMICS(atomic, uint)\n"
    "YK_ATOMIC_FLOAT(__global, float, uint, atomic_cmpxchg)\nYK_ATOMIC_FLOAT(__local, float, uint, atomic_cmpxchg)\n"
    HASH("if defined cl_khr_int64_base_atomics && defined cl_khr_int64_extended_atomics")
    HASH("pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable")
    HASH("pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable")
    "YK_ATOMICS(atom, long)\nYK_ATOMICS(atom, ulong)\n"
    HASH("ifdef cl_khr_fp64")
    "YK_ATOMIC_FLOAT(__global, double, ulong, atom_cmpxchg)\nYK_ATOMIC_FLOAT(__local, double, ulong, atom_cmpxchg)\n"
    HASH("endif")
    HASH("endif");
