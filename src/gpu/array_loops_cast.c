/* array_loops_cast: every type to every type, n elements with steps: the conversions, and the gather and the scatter of
 * arrays whose elements do not lie one after the other. */
#include "gpu/array_loops.h"

#define CAST_LOOP(S_, T_, LOW_, HIGH_, NAME, BODY)                                                                     \
    static void NAME(size_t n, const void *from, ptrdiff_t fs, void *to, ptrdiff_t ts)                                 \
    {                                                                                                                  \
        typedef S_ S;                                                                                                  \
        typedef T_ T;                                                                                                  \
        const T LOW = LOW_, HIGH = HIGH_;                                                                              \
        const S *restrict x = from;                                                                                    \
        T *restrict z = to;                                                                                            \
        (void)LOW;                                                                                                     \
        (void)HIGH;                                                                                                    \
        if (fs == 1 && ts == 1)                                                                                        \
            for (size_t k = 0; k < n; k++) {                                                                           \
                const S v = x[k];                                                                                      \
                T r;                                                                                                   \
                BODY(CAST_TEXT)                                                                                        \
                z[k] = r;                                                                                              \
            }                                                                                                          \
        else                                                                                                           \
            for (ptrdiff_t k = 0; k < (ptrdiff_t)n; k++) {                                                             \
                const S v = x[k * fs];                                                                                 \
                T r;                                                                                                   \
                BODY(CAST_TEXT)                                                                                        \
                z[k * ts] = r;                                                                                         \
            }                                                                                                          \
    }
#define CAST_TEXT(...) __VA_ARGS__

/* What all types become one by one: S is the row. */
#define ROW_WHOLE(code, S, U)                                                                                          \
    CAST_LOOP(S, uint8_t, 0, 0, code##_BOOL, YK_CAST_BOOL)                                                             \
    CAST_LOOP(S, int8_t, 0, 0, code##_I8, YK_CAST_PLAIN)                                                               \
    CAST_LOOP(S, int16_t, 0, 0, code##_I16, YK_CAST_PLAIN)                                                             \
    CAST_LOOP(S, int32_t, 0, 0, code##_I32, YK_CAST_PLAIN)                                                             \
    CAST_LOOP(S, int64_t, 0, 0, code##_I64, YK_CAST_PLAIN)                                                             \
    CAST_LOOP(S, uint8_t, 0, 0, code##_U8, YK_CAST_PLAIN)                                                              \
    CAST_LOOP(S, uint16_t, 0, 0, code##_U16, YK_CAST_PLAIN)                                                            \
    CAST_LOOP(S, uint32_t, 0, 0, code##_U32, YK_CAST_PLAIN)                                                            \
    CAST_LOOP(S, uint64_t, 0, 0, code##_U64, YK_CAST_PLAIN)                                                            \
    CAST_LOOP(S, float, 0, 0, code##_F32, YK_CAST_PLAIN)                                                               \
    CAST_LOOP(S, double, 0, 0, code##_F64, YK_CAST_PLAIN)
#define ROW_FLOAT(code, S, U)                                                                                          \
    CAST_LOOP(S, uint8_t, 0, 0, code##_BOOL, YK_CAST_BOOL)                                                             \
    CAST_LOOP(S, int8_t, INT8_MIN, INT8_MAX, code##_I8, YK_CAST_WHOLE)                                                 \
    CAST_LOOP(S, int16_t, INT16_MIN, INT16_MAX, code##_I16, YK_CAST_WHOLE)                                             \
    CAST_LOOP(S, int32_t, INT32_MIN, INT32_MAX, code##_I32, YK_CAST_WHOLE)                                             \
    CAST_LOOP(S, int64_t, INT64_MIN, INT64_MAX, code##_I64, YK_CAST_WHOLE)                                             \
    CAST_LOOP(S, uint8_t, 0, UINT8_MAX, code##_U8, YK_CAST_WHOLE)                                                      \
    CAST_LOOP(S, uint16_t, 0, UINT16_MAX, code##_U16, YK_CAST_WHOLE)                                                   \
    CAST_LOOP(S, uint32_t, 0, UINT32_MAX, code##_U32, YK_CAST_WHOLE)                                                   \
    CAST_LOOP(S, uint64_t, 0, UINT64_MAX, code##_U64, YK_CAST_WHOLE)                                                   \
    CAST_LOOP(S, float, 0, 0, code##_F32, YK_CAST_PLAIN)                                                               \
    CAST_LOOP(S, double, 0, 0, code##_F64, YK_CAST_PLAIN)
#define EACH_ROW(M) M(BOOL, uint8_t, ) M(I8, int8_t, ) M(I16, int16_t, ) M(I32, int32_t, ) M(I64, int64_t, ) M(U8, uint8_t, ) \
    M(U16, uint16_t, ) M(U32, uint32_t, ) M(U64, uint64_t, )
EACH_ROW(ROW_WHOLE)
ROW_FLOAT(F32, float, )
ROW_FLOAT(F64, double, )

#define ROW_ENTRY(code, S, U)                                                                                          \
    [YOKE_##code] = {[YOKE_BOOL] = code##_BOOL, [YOKE_I8] = code##_I8, [YOKE_I16] = code##_I16, [YOKE_I32] = code##_I32,      \
                     [YOKE_I64] = code##_I64, [YOKE_U8] = code##_U8, [YOKE_U16] = code##_U16, [YOKE_U32] = code##_U32,        \
                     [YOKE_U64] = code##_U64, [YOKE_F32] = code##_F32, [YOKE_F64] = code##_F64},
yk_cast *const yk_casts[YK_TYPES][YK_TYPES] = {EACH_ROW(ROW_ENTRY) ROW_ENTRY(F32, float, ) ROW_ENTRY(F64, double, )};
