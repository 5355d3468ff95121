/* yoke/scan_kernel.h - scans on devices: for each element, all up to it taken together, over any C data, with what
 * goes in and what comes out written as C.
 *
 *     YOKE_SCAN_KERNEL(int, positions, (0), a + b, keep[i] != 0, ((in, float, x), (in, int, keep), (inout, float, kept)),
 *                      if (keep[i]) kept[prev_item] = x[i];)
 *     ...
 *     yoke_enqueue_scan(stream, positions, n, x, keep, kept);
 *
 * The input is an expression of i, n and the parameters: element i's value. The combination takes two values a and
 * b, of elements that follow each other, together; it must be associative up to rounding, not commutative. identity
 * is its neutral element, as an initialiser: (0), ({0, 1}). The output is a body, run once for each element, which
 * sees `item`, all up to element i with it, and `prev_item`, all before it, the identity for the first; `continue`
 * ends an element, and `break` loops of the body alone. type: any without pointers, at most 128 bytes.
 *
 * Segments: YOKE_SEGMENTED_SCAN_KERNEL has one more expression, which is true for elements that begin a new one, at
 * which the scan starts again:
 *
 *     YOKE_SEGMENTED_SCAN_KERNEL(double, row_sums, (0), a + b, x[i], i == 0 || row[i] != row[i - 1],
 *                                ((in, double, x), (in, int, row), (out, double, sums)), sums[i] = item;)
 *
 * The input is evaluated twice for each element, so it must not read what the output writes, but for element i
 * itself: a scan in place is (inout, int, x) with x[i] and x[i] = item;.
 *
 * The result of the same call on the same device is the same in every bit. Each device reads twice and writes
 * once: each group of threads takes a stretch together, the stretches' results are scanned, and each group goes
 * through its stretch again.
 */
#ifndef YOKE_SCAN_KERNEL_H
#define YOKE_SCAN_KERNEL_H
#pragma GCC system_header
#include <yoke/kernel.h>
#include <yoke/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* YOKE_SCAN_KERNEL(type, name, (identity), combination, input, (parameters...), output): at file scope. */
#define YOKE_SCAN_KERNEL(T, N, IDENTITY, COMBINE, INPUT, PARAMS, ...)                                                  \
    YK_KERNEL_MAKE(YK_KERNEL_FORM(PARAMS), YK_SCAN_KERNEL_OF, N, T, #T, IDENTITY, #IDENTITY, (COMBINE), #COMBINE, (INPUT), \
                   #INPUT, (0), NULL, #__VA_ARGS__, YK_UNWRAP PARAMS)                                                  \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }                                                                                                                  \
    }                                                                                                                  \
    return yk_none;                                                                                                    \
    }
#define YOKE_SEGMENTED_SCAN_KERNEL(T, N, IDENTITY, COMBINE, INPUT, START, PARAMS, ...)                                 \
    YK_KERNEL_MAKE(YK_KERNEL_FORM(PARAMS), YK_SCAN_KERNEL_OF, N, T, #T, IDENTITY, #IDENTITY, (COMBINE), #COMBINE, (INPUT), \
                   #INPUT, (START), #START, #__VA_ARGS__, YK_UNWRAP PARAMS)                                            \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }                                                                                                                  \
    }                                                                                                                  \
    return yk_none;                                                                                                    \
    }
#define YK_SCAN_KERNEL_OF_WRONG(N)                                                                                     \
    static YK_MAYBE long yk_wrong_kernel_##N(long i, long n, long item, long prev_item)                                \
    {                                                                                                                  \
        long yk_none = i + n + item + prev_item;                                                                       \
        while (yk_none) {
/* A value travels with a flag that says whether a segment begins in it. */
#define YK_SCAN_KERNEL_OF(N, T, TYPE, IDENTITY, IDENTITY_TEXT, COMBINE, COMBINE_TEXT, INPUT, INPUT_TEXT, START,        \
                          START_TEXT, TEXT, ...)                                                                       \
    YK_ASSERT(YK_IS_IN_PAREN(IDENTITY), "yoke: scan " #N ": write the identity in parentheses: (0)");                  \
    YK_ASSERT(sizeof(T) <= 128, "yoke: scan " #N ": its type has more than 128 bytes");                                \
    YK_KERNEL_ASSERT_TEXT(N, TEXT)                                                                                     \
    YK_KERNEL_ASSERT_MATH(N)                                                                                           \
    YK_KERNEL_HEAD(N, n, n, __VA_ARGS__)                                                                               \
    enum {                                                                                                             \
        yk_a_scan_kernel_named_##N                                                                                     \
    };                                                                                                                 \
    struct yk_no_return_in_kernel_##N {                                                                                \
        char yk_none;                                                                                                  \
    };                                                                                                                 \
    struct yk_scan_value_##N {                                                                                         \
        T yk_v;                                                                                                        \
        int yk_f;                                                                                                      \
    };                                                                                                                 \
    static YK_MAYBE void yk_kernel_identity_##N(void *yk_to)                                                           \
    {                                                                                                                  \
        const T yk_identity = YK_UNWRAP IDENTITY;                                                                      \
        memcpy(&((struct yk_scan_value_##N *)yk_to)->yk_v, &yk_identity, sizeof yk_identity);                          \
        ((struct yk_scan_value_##N *)yk_to)->yk_f = 0;                                                                 \
    }                                                                                                                  \
    static inline YK_MAYBE YK_KERNEL_NUMBERS T yk_kernel_both_##N(const T a, const T b)                                \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        return YK_UNWRAP COMBINE;                                                                                      \
    }                                                                                                                  \
    static inline YK_MAYBE YK_KERNEL_NUMBERS struct yk_scan_value_##N yk_kernel_join_##N(                              \
        const struct yk_scan_value_##N *yk_l, const struct yk_scan_value_##N *yk_r)                                    \
    {                                                                                                                  \
        struct yk_scan_value_##N yk_to = *yk_r;                                                                        \
        if (!yk_r->yk_f)                                                                                               \
            yk_to.yk_v = yk_kernel_both_##N(yk_l->yk_v, yk_r->yk_v);                                                   \
        yk_to.yk_f |= yk_l->yk_f;                                                                                      \
        return yk_to;                                                                                                  \
    }                                                                                                                  \
    static YK_MAYBE void yk_kernel_combine_##N(void *yk_to, const void *yk_from) YK_NOEXCEPT                           \
    {                                                                                                                  \
        *(struct yk_scan_value_##N *)yk_to =                                                                           \
            yk_kernel_join_##N((const struct yk_scan_value_##N *)yk_to, (const struct yk_scan_value_##N *)yk_from);    \
    }                                                                                                                  \
    static inline YK_MAYBE YK_KERNEL_NUMBERS struct yk_scan_value_##N yk_kernel_input_##N(                             \
        YK_MAYBE long i, YK_MAYBE long n, YK_MAP(YK_KERNEL_TAKE, ~, YK_COMMA, __VA_ARGS__))                            \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        const T yk_v = YK_UNWRAP INPUT;                                                                                \
        const struct yk_scan_value_##N yk_to = {yk_v, (YK_UNWRAP START) ? 1 : 0};                                      \
        return yk_to;                                                                                                  \
    }                                                                                                                  \
    static YK_KERNEL_CODE void yk_kernel_fold_##N(size_t yk_lo, size_t yk_hi, void *yk_to, const void *yk_v) YK_NOEXCEPT \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_l = *(const struct yk_kernel_args_##N *)yk_v, *const yk_a = &yk_l;          \
        struct yk_scan_value_##N yk_acc = *(const struct yk_scan_value_##N *)yk_to;                                    \
        for (; yk_lo < yk_hi; yk_lo++) {                                                                               \
            const struct yk_scan_value_##N yk_one =                                                                    \
                yk_kernel_input_##N((long)yk_lo, yk_a->yk_n, YK_MAP(YK_KERNEL_LOAD, ~, YK_COMMA, __VA_ARGS__));        \
            yk_acc = yk_kernel_join_##N(&yk_acc, &yk_one);                                                             \
        }                                                                                                              \
        *(struct yk_scan_value_##N *)yk_to = yk_acc;                                                                   \
    }                                                                                                                  \
    static struct yk_no_return_in_kernel_##N yk_no_return_in_kernel_##N(                                               \
        long yk_lo, long yk_hi, long n, const struct yk_scan_value_##N *yk_before, struct yk_scan_value_##N *yk_acc,   \
        YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__)) YK_NOEXCEPT;                                              \
    static YK_MAYBE void yk_kernel_write_##N(size_t yk_lo, size_t yk_hi, const void *yk_before, void *yk_acc,          \
                                             YK_MAYBE void *yk_out, YK_MAYBE bool yk_exclusive, const void *yk_v)      \
    {                                                                                                                  \
        const struct yk_kernel_args_##N *const yk_a = (const struct yk_kernel_args_##N *)yk_v;                         \
        (void)yk_no_return_in_kernel_##N((long)yk_lo, (long)yk_hi, yk_a->yk_n,                                         \
                                         (const struct yk_scan_value_##N *)yk_before,                                  \
                                         (struct yk_scan_value_##N *)yk_acc,                                           \
                                         YK_MAP(YK_KERNEL_LOAD, ~, YK_COMMA, __VA_ARGS__));                            \
    }                                                                                                                  \
    static const yk_scanning yk_kernel_scanning_##N = {yk_kernel_fold_##N, yk_kernel_combine_##N, yk_kernel_identity_##N, \
                                                       yk_kernel_write_##N, sizeof(struct yk_scan_value_##N)};         \
    static const yk_kernel_extra yk_kernel_extra_##N = {TYPE, sizeof(T), {NULL, NULL, NULL, 0}, 0, &yk_kernel_scanning_##N, 0}; \
    YK_KERNEL_RECORD(N, YK_SCAN_KERNEL, (INPUT_TEXT, COMBINE_TEXT, IDENTITY_TEXT, TEXT, START_TEXT), NULL,             \
                     &yk_kernel_extra_##N, NULL)                                                                       \
    static inline YK_MAYBE int yk_kernel_put_##N(yoke_stream *yk_s, size_t yk_n,                                       \
                                                 YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__))                  \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_args = {(long)yk_n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__)};   \
        return yk_enqueue_scan(yk_s, &yoke_kernel_##N, &yk_args);                                                      \
    }                                                                                                                  \
    static YK_KERNEL_CODE struct yk_no_return_in_kernel_##N yk_no_return_in_kernel_##N(                                \
        long yk_lo, long yk_hi, YK_MAYBE long n, const struct yk_scan_value_##N *yk_before,                            \
        struct yk_scan_value_##N *yk_acc, YK_MAP(YK_MAYBE YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__)) YK_NOEXCEPT    \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        struct yk_no_return_in_kernel_##N yk_none = {0};                                                               \
        struct yk_scan_value_##N yk_neutral;                                                                           \
        yk_kernel_identity_##N(&yk_neutral);                                                                           \
        const struct yk_scan_value_##N yk_prefix = *yk_before;                                                         \
        struct yk_scan_value_##N yk_sum = *yk_acc; /* locals, which can stay in registers */                           \
        struct yk_scan_value_##N yk_here = yk_kernel_join_##N(&yk_prefix, &yk_sum);                                    \
        for (long i = yk_lo; i < yk_hi; i++) {                                                                         \
            const struct yk_scan_value_##N yk_one =                                                                    \
                yk_kernel_input_##N(i, n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__));                        \
            YK_MAYBE const T prev_item = yk_one.yk_f ? yk_neutral.yk_v : yk_here.yk_v;                                 \
            yk_sum = yk_kernel_join_##N(&yk_sum, &yk_one);                                                             \
            yk_here = yk_kernel_join_##N(&yk_prefix, &yk_sum);                                                         \
            if (i == yk_hi - 1)                                                                                        \
                *yk_acc = yk_sum;                                                                                      \
            YK_MAYBE const T item = yk_here.yk_v;

/* yoke_enqueue_scan(stream, name, n, arguments...): as yoke_enqueue(). */
#define yoke_enqueue_scan(s, N, n, ...)                                                                                \
    (YK_USE(kernel, a_scan_kernel, N, YK_COUNT(__VA_ARGS__)), yk_kernel_put_##N((s), (n), __VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
#include <yoke/dialect.h>
