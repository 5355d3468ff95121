/* array_fold: the reductions of array_folds.h as C loops. Eight accumulators take every eighth element, so that the processor
 * adds while it adds; they are joined in a fixed order. */
#include "gpu/array_loops.h"
#include "gpu/array_folds.h"

enum { LANES = 8 };

#define ACC_V(T) typedef T A
#define ACC_AT(T)                                                                                                      \
    typedef struct {                                                                                                   \
        T v;                                                                                                           \
        i64 at;                                                                                                        \
    } A
#define Z_V(T) T
#define Z_AT(T) i64
#define Z_CODE_V(code) YOKE_##code
#define Z_CODE_AT(code) YOKE_I64

#define LOW_BOOL 0
#define HIGH_BOOL 1
#define LOW_I8 INT8_MIN
#define HIGH_I8 INT8_MAX
#define LOW_I16 INT16_MIN
#define HIGH_I16 INT16_MAX
#define LOW_I32 INT32_MIN
#define HIGH_I32 INT32_MAX
#define LOW_I64 INT64_MIN
#define HIGH_I64 INT64_MAX
#define LOW_U8 0
#define HIGH_U8 UINT8_MAX
#define LOW_U16 0
#define HIGH_U16 UINT16_MAX
#define LOW_U32 0
#define HIGH_U32 UINT32_MAX
#define LOW_U64 0
#define HIGH_U64 UINT64_MAX
#define LOW_F32 (-INFINITY)
#define HIGH_F32 INFINITY
#define LOW_F64 (-(double)INFINITY)
#define HIGH_F64 ((double)INFINITY)

#define FOLD_TYPES(code, T_, U_, acc)                                                                                  \
    typedef T_ T;                                                                                                      \
    typedef U_ U __attribute__((unused));                                                                              \
    ACC_##acc(T);                                                                                                      \
    const T LOW = LOW_##code, HIGH = HIGH_##code;                                                                      \
    (void)LOW;                                                                                                         \
    (void)HIGH;

#define FOLD_LOOPS(code, T_, U_, name, acc, START, TAKE, JOIN, LAST)                                                   \
    static void name##_start_##code(size_t n, void *to)                                                                \
    {                                                                                                                  \
        FOLD_TYPES(code, T_, U_, acc)                                                                                  \
        for (size_t k = 0; k < n; k++) {                                                                               \
            A r;                                                                                                       \
            START ((A *)to)[k] = r;                                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_take_##code(size_t n, size_t at, const void *in, void *to)                                      \
    {                                                                                                                  \
        FOLD_TYPES(code, T_, U_, acc)                                                                                  \
        const T *restrict x = in;                                                                                      \
        A lane[LANES];                                                                                                 \
        name##_start_##code(LANES, lane);                                                                              \
        size_t k = 0;                                                                                                  \
        for (; k + LANES <= n; k += LANES)                                                                             \
            for (size_t l = 0; l < LANES; l++) {                                                                       \
                const i64 i = (i64)(at + k + l);                                                                       \
                const T a = x[k + l];                                                                                  \
                A r = lane[l];                                                                                         \
                (void)i;                                                                                               \
                TAKE lane[l] = r;                                                                                      \
            }                                                                                                          \
        for (; k < n; k++) {                                                                                           \
            const i64 i = (i64)(at + k);                                                                               \
            const T a = x[k];                                                                                          \
            A r = lane[k % LANES];                                                                                     \
            (void)i;                                                                                                   \
            TAKE lane[k % LANES] = r;                                                                                  \
        }                                                                                                              \
        for (size_t half = LANES / 2; half > 0; half /= 2)                                                             \
            for (size_t l = 0; l < half; l++) {                                                                        \
                A r = lane[l];                                                                                         \
                const A b = lane[l + half];                                                                            \
                JOIN lane[l] = r;                                                                                      \
            }                                                                                                          \
        A r = *(A *)to;                                                                                                \
        const A b = lane[0];                                                                                           \
        JOIN *(A *)to = r;                                                                                             \
    }                                                                                                                  \
    static void name##_each_##code(size_t n, size_t at, const void *in, void *to)                                      \
    {                                                                                                                  \
        FOLD_TYPES(code, T_, U_, acc)                                                                                  \
        const T *restrict x = in;                                                                                      \
        A *restrict y = to;                                                                                            \
        const i64 i = (i64)at;                                                                                         \
        (void)i;                                                                                                       \
        for (size_t k = 0; k < n; k++) {                                                                               \
            const T a = x[k];                                                                                          \
            A r = y[k];                                                                                                \
            TAKE y[k] = r;                                                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_join_##code(size_t n, void *to, const void *other)                                              \
    {                                                                                                                  \
        FOLD_TYPES(code, T_, U_, acc)                                                                                  \
        for (size_t k = 0; k < n; k++) {                                                                               \
            A r = ((A *)to)[k];                                                                                        \
            const A b = ((const A *)other)[k];                                                                         \
            JOIN((A *)to)[k] = r;                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_scan_##code(size_t n, size_t at, const void *in, void *acc_, void *to)                          \
    {                                                                                                                  \
        FOLD_TYPES(code, T_, U_, acc)                                                                                  \
        const T *restrict x = in;                                                                                      \
        A r = *(A *)acc_;                                                                                              \
        for (size_t k = 0; k < n; k++) {                                                                               \
            const i64 i = (i64)(at + k);                                                                               \
            const T a = x[k];                                                                                          \
            (void)i;                                                                                                   \
            TAKE Z_##acc(T) z;                                                                                         \
            LAST((Z_##acc(T) *)to)[k] = z;                                                                             \
        }                                                                                                              \
        *(A *)acc_ = r;                                                                                                \
    }                                                                                                                  \
    static void name##_last_##code(size_t n, const void *from, void *to)                                               \
    {                                                                                                                  \
        FOLD_TYPES(code, T_, U_, acc)                                                                                  \
        for (size_t k = 0; k < n; k++) {                                                                               \
            const A r = ((const A *)from)[k];                                                                          \
            Z_##acc(T) z;                                                                                              \
            LAST((Z_##acc(T) *)to)[k] = z;                                                                             \
        }                                                                                                              \
    }

#define LOOPS(name, kind, acc, START, TAKE, JOIN, LAST) YK_EACH_##kind(FOLD_LOOPS, name, acc, START, TAKE, JOIN, LAST)
YK_FOLDS(LOOPS)

/* Floats that are added up as doubles, as they mostly are, need not be converted one after the other and then added. */
static void widen_sum(size_t n, size_t at, const void *in, void *to)
{
    const float *restrict x = in;
    double *restrict y = to;
    (void)at;
    for (size_t k = 0; k < n; k++)
        y[k] += (double)x[k];
}

#define WIDEN_OF(name, code) YK_FOLD_##name == YK_FOLD_sum && YOKE_##code == YOKE_F64 ? widen_sum : NULL
#define ENTRY(name, kind, acc, START, TAKE, JOIN, LAST) YK_EACH_##kind(FOLD_ENTRY, name, acc, #START, #TAKE, #JOIN, #LAST)
#define FOLD_ENTRY(code, T, U, name, acc, START, TAKE, JOIN, LAST)                                                     \
    [YK_FOLD_##name][YOKE_##code] = {#name, acc##_SIZE(T), name##_start_##code, name##_take_##code, name##_each_##code,\
                                     WIDEN_OF(name, code), \
                                     name##_join_##code, name##_scan_##code, name##_last_##code, Z_CODE_##acc(code), #acc,\
                                     START, TAKE, JOIN, LAST},
#define V_SIZE(T) sizeof(T)
#define AT_SIZE(T) sizeof(struct { T v; i64 at; })
const yk_fold yk_folds[YK_FOLD_COUNT][YK_TYPES] = {YK_FOLDS(ENTRY)};
