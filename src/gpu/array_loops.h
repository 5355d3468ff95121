/* array_loops: the bodies of array_ops.h as C loops over flat arrays, one for each operation and type. Included by the two
 * files that hold the loops, each of which takes its part of the types and keeps its table. */
#ifndef YK_ARRAY_LOOPS_H
#define YK_ARRAY_LOOPS_H
#include "gpu/array.h"
#include "gpu/array_ops.h"
#include <tgmath.h>

/* Loops are to be vectorised, which gcc does at -O3 and for functions that set no errno; products and sums stay apart. */
#ifndef __clang__
#pragma GCC optimize("O3", "no-math-errno", "no-trapping-math", "fp-contract=off")
#pragma GCC diagnostic ignored "-Wtype-limits"
#else
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wtautological-compare"
#endif

typedef uint64_t u64;
typedef int64_t i64;

#define LOOP_TYPES(T_, U_, R_)                                                                                         \
    typedef T_ T __attribute__((unused));                                                                              \
    typedef U_ U __attribute__((unused));                                                                              \
    typedef R_ R;
#define LOOP_BODY(LOADS, ...)                                                                                          \
    {                                                                                                                  \
        R *restrict z = out;                                                                                           \
        for (size_t k = 0; k < n; k++) {                                                                               \
            const i64 i = (i64)(at + k);                                                                               \
            LOADS;                                                                                                     \
            R r;                                                                                                       \
            (void)i;                                                                                                   \
            __VA_ARGS__                                                                                                \
            z[k] = r;                                                                                                  \
        }                                                                                                              \
    }
#define LOOP_HEAD(name, code) static void name##_##code(size_t n, size_t at, const void *const *in, void *out)

#define LOOP_OF_1(code, T_, U_, R_, name, ...)                                                                         \
    LOOP_HEAD(name, code)                                                                                              \
    {                                                                                                                  \
        LOOP_TYPES(T_, U_, R_)                                                                                         \
        const T *restrict x = in[0];                                                                                   \
        LOOP_BODY(const T a = x[k], __VA_ARGS__)                                                                       \
    }
#define LOOP_OF_2(code, T_, U_, R_, name, ...)                                                                         \
    LOOP_HEAD(name, code)                                                                                              \
    {                                                                                                                  \
        LOOP_TYPES(T_, U_, R_)                                                                                         \
        const T *restrict x = in[0], *restrict y = in[1];                                                              \
        LOOP_BODY(const T a = x[k]; const T b = y[k], __VA_ARGS__)                                                     \
    }
#define LOOP_OF_3(code, T_, U_, A_, name, ...)                                                                         \
    LOOP_HEAD(name, code)                                                                                              \
    {                                                                                                                  \
        LOOP_TYPES(T_, U_, T_)                                                                                         \
        const A_ *restrict x = in[0];                                                                                  \
        const T *restrict y = in[1], *restrict w = in[2];                                                              \
        LOOP_BODY(const A_ a = x[k]; const T b = y[k]; const T c = w[k], __VA_ARGS__)                                  \
    }
#define LOOP_1(code, T, U, ...) LOOP_OF_1(code, T, U, T, __VA_ARGS__)
#define LOOP_2(code, T, U, ...) LOOP_OF_2(code, T, U, T, __VA_ARGS__)
#define LOOP_3(code, T, U, ...) LOOP_OF_3(code, T, U, T, __VA_ARGS__)
#define LOOP_P1(code, T, U, ...) LOOP_OF_1(code, T, U, uint8_t, __VA_ARGS__)
#define LOOP_P2(code, T, U, ...) LOOP_OF_2(code, T, U, uint8_t, __VA_ARGS__)
#define LOOP_W(code, T, U, ...) LOOP_OF_3(code, T, U, uint8_t, __VA_ARGS__)
#define LOOP_ENTRY(code, T, U, name) [YK_OP_##name][YOKE_##code] = name##_##code,

#endif
