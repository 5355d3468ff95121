/* yoke/program.h - kernels of groups: items that share memory and wait for each other, in one source for the CPU,
 * CUDA and OpenCL.
 *
 *     YOKE_PROGRAM(sums, 256, ((in, float, x, m), (val, long, m), (out, float, sum, groups)),
 *         YOKE_SHARED(float, s, 256);
 *         YOKE_ITEMS(l) { s[l] = group * 256 + l < m ? x[group * 256 + l] : 0; }
 *         for (int half = 128; half > 0; half /= 2)
 *             YOKE_ITEMS(l) { if (l < half) s[l] += s[l + half]; }
 *         YOKE_ITEMS(l) { if (l == 0) sum[group] = s[0]; }
 *     )
 *     ...
 *     yoke_enqueue_program(stream, sums, (m + 255) / 256, x, m, sum);
 *
 * The body is what one group does; `group` says which, from 0 to groups - 1, both `long`. YOKE_ITEMS(l) { ... } is
 * a region: each item of the group does it, with its number in l, a `long`; on a GPU they are its threads, on a CPU
 * a loop. After a region all items wait for each other, so what one wrote, to shared memory or to arrays, the
 * others read in the next. Within one region an item must not read what another writes, but by yoke_atomic_...
 *
 * What stands outside regions is the group's own course: loops round regions, conditions and variables, the same
 * for all items, which write no arrays and no shared memory there. A variable that is declared outside must not be
 * assigned inside a region: on a GPU each thread has one of its own, on a CPU there is one for all. What is to live on
 * from one region to the next stands in YOKE_SHARED. `continue` ends a region for an item; a `break` that would
 * leave a region is refused as in yoke/kernel.h, and there is no `return`.
 *
 * YOKE_SHARED(type, name, count): an array of the group, at the beginning of the body; not zeroed; in all 48 KiB
 * for a GPU of any kind (yoke_device_info.local). count is a constant.
 *
 * Parameters are those of YOKE_KERNEL, but the count of an array is never supplied, and may use `groups` in place
 * of n. In a group are 1 to 1024 items, a constant; groups run in any order and know nothing of each other.
 *
 * The model is that of OCCA's @outer and @inner loops.
 */
#ifndef YOKE_PROGRAM_H
#define YOKE_PROGRAM_H
#pragma GCC system_header
#include <yoke/kernel.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOKE_ITEMS(l) for (long l = 0; l < yk_items; l++)
#define YOKE_SHARED(T, NAME, COUNT) T NAME[COUNT] __attribute__((aligned(64)))

/* YOKE_PROGRAM(name, items of a group, (parameters...), body): at file scope. */
#define YOKE_PROGRAM(N, ITEMS, PARAMS, ...)                                                                            \
    YK_KERNEL_MAKE(YK_KERNEL_FORM(PARAMS), YK_PROGRAM_OF, N, ITEMS, #__VA_ARGS__, YK_UNWRAP PARAMS)                    \
    __VA_ARGS__                                                                                                        \
    return yk_none;                                                                                                    \
    }
#define YK_PROGRAM_OF_WRONG(N)                                                                                         \
    static YK_MAYBE long yk_wrong_kernel_##N(long group, long groups)                                                  \
    {                                                                                                                  \
        long yk_none = group + groups, yk_items = 0;
#define YK_PROGRAM_OF(N, ITEMS, TEXT, ...)                                                                             \
    YK_ASSERT((ITEMS) >= 1 && (ITEMS) <= 1024, "yoke: program " #N ": the items of a group are a constant from 1 to 1024"); \
    YK_KERNEL_ASSERT_TEXT(N, TEXT)                                                                                     \
    YK_KERNEL_ASSERT_MATH(N)                                                                                           \
    YK_KERNEL_HEAD(N, groups, 0, __VA_ARGS__)                                                                          \
    enum {                                                                                                             \
        yk_a_program_named_##N                                                                                         \
    };                                                                                                                 \
    struct yk_no_return_in_kernel_##N {                                                                                \
        char yk_none;                                                                                                  \
    };                                                                                                                 \
    static struct yk_no_return_in_kernel_##N yk_no_return_in_kernel_##N(                                               \
        const long group, const long groups, YK_MAP(YK_KERNEL_TAKE, ~, YK_COMMA, __VA_ARGS__)) YK_NOEXCEPT;            \
    static YK_MAYBE void yk_kernel_chunk_##N(size_t yk_lo, size_t yk_hi, const void *yk_v) YK_NOEXCEPT                 \
    {                                                                                                                  \
        const struct yk_kernel_args_##N *const yk_a = (const struct yk_kernel_args_##N *)yk_v;                         \
        for (; yk_lo < yk_hi; yk_lo++)                                                                                 \
            (void)yk_no_return_in_kernel_##N((long)yk_lo, yk_a->yk_n, YK_MAP(YK_KERNEL_LOAD, ~, YK_COMMA, __VA_ARGS__)); \
    }                                                                                                                  \
    static const yk_kernel_extra yk_kernel_extra_##N = {NULL, 0, {NULL, NULL, NULL, 0}, ITEMS, NULL, 0};               \
    YK_KERNEL_RECORD(N, YK_GROUP_KERNEL, (TEXT), yk_kernel_chunk_##N, &yk_kernel_extra_##N, NULL)                      \
    static inline YK_MAYBE int yk_kernel_put_##N(yoke_stream *yk_s, size_t yk_n,                                       \
                                                 YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__))                  \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_args = {(long)yk_n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__)};   \
        return yk_enqueue(yk_s, &yoke_kernel_##N, &yk_args);                                                           \
    }                                                                                                                  \
    static YK_KERNEL_CODE struct yk_no_return_in_kernel_##N yk_no_return_in_kernel_##N(                                \
        YK_MAYBE const long group, YK_MAYBE const long groups, YK_MAP(YK_KERNEL_TAKE, ~, YK_COMMA, __VA_ARGS__)) YK_NOEXCEPT \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        YK_MAYBE const long yk_items = ITEMS;                                                                          \
        struct yk_no_return_in_kernel_##N yk_none = {0};

/* yoke_enqueue_program(stream, name, groups, arguments...): as yoke_enqueue(). */
#define yoke_enqueue_program(s, N, groups, ...)                                                                        \
    (YK_USE(kernel, a_program, N, YK_COUNT(__VA_ARGS__)), yk_kernel_put_##N((s), (groups), __VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
#include <yoke/dialect.h>
