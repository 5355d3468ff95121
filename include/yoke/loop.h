/* yoke/loop.h - parallel loops and reductions over any C data, on a pool of threads.
 *
 *     YOKE_LOOP(saxpy, i, (float, a), (const float *, x), (float *, y))
 *     {
 *         y[i] += a * x[i];
 *     }
 *     ...
 *     yoke_for(ex, n, saxpy, 2, x, y);            // the body for i = 0 .. n-1, in any order, on all workers
 *
 *     YOKE_REDUCE(double, dot, i, sum, other, (0), (*sum += *other), (const double *, x), (const double *, y))
 *     {
 *         *sum += x[i] * y[i];
 *     }
 *     ...
 *     double d = yoke_reduce(ex, n, dot, x, y);
 *
 * The body is one iteration. It is compiled into a plain loop over a chunk of iterations, which the compiler can unroll and
 * vectorise as any other; parameters are evaluated once. How many iterations make a chunk is found while the loop runs: as many
 * as take a few microseconds. GCC vectorises bodies at -O2 already; with YOKE_LOOPS_AS_THEY_ARE defined before the first
 * include it does as its options say. A worker gives half of what it has left away when another one asks; nobody waits spinning.
 *
 * Array views are parameters as others: (yoke_inout_f64, v), yoke_at(v, i) in the body, yoke_elements(v) for n (yoke/task.h).
 *
 * ex names the pool, NULL means what a plain call of a fork means (yoke/fork.h); on another executor, or one that failed to
 * open, the loop runs alone in the calling thread. The call may be made from any thread, in a body, and under a lock
 * (yoke/fork.h, "Locks"). It returns when every iteration is done: 0. When the surrounding job fails or is cancelled, chunks that
 * have not begun are left out: -ECANCELED.
 *
 * yoke_fail() in a body makes the surrounding job fail. Where there is none, it ends the outermost call of a loop, an algorithm
 * or a fork: chunks and forks that have not begun are left out, the call returns the code if it returns one at all, and the text,
 * which nobody could ask for, is reported as an error that nobody looked at (yoke_on_lost_error()).
 */
#ifndef YOKE_LOOP_H
#define YOKE_LOOP_H
#pragma GCC system_header
#include <yoke/fork.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the macros use ---- */

typedef void yk_loop_chunk(size_t lo, size_t hi, const void *args);
/* Calls chunk for parts of [0, n) which together are all of it, on the workers of ex. What yoke_for() returns. */
YOKE_API int yk_loop(struct yoke_executor *ex, size_t n, yk_loop_chunk *chunk, const void *args);

/* A reduction over [0, n): `fold` takes part of the range into *acc, which has the identity; `combine` takes the result of the
 * range that follows into *acc. */
typedef struct yk_reduction {
    void (*fold)(size_t lo, size_t hi, void *acc, const void *args);
    void (*combine)(void *acc, const void *other);
    void (*identity)(void *acc);
    size_t size;
} yk_reduction;
/* *ret: the identity, then all of [0, n) taken into it. */
YOKE_API void yk_reduce(struct yoke_executor *ex, size_t n, const yk_reduction *r, const void *args, void *ret);

/* How a loop over a chunk is compiled: vectorised where that pays, at -O2 too, where GCC by itself leaves it; and on a line of
 * the cache of its own, or short bodies take twice their time in one program and not in another. */
#if defined __OPTIMIZE__ && !defined __OPTIMIZE_SIZE__ && !defined __clang__ && !defined YOKE_LOOPS_AS_THEY_ARE
#define YK_LOOP_CODE __attribute__((aligned(64), unused, optimize("tree-vectorize", "vect-cost-model=dynamic")))
#else
#define YK_LOOP_CODE __attribute__((aligned(64), unused))
#endif

#define YK_LOOP_FORM(...) YK_CAT(YK_LOOP_, YK_HAS_MORE(__VA_ARGS__))
#define YK_LOOP_MAKE(m, ...) m(__VA_ARGS__)
/* WHO: (kind, name, whether the head is right, what it looks like when it is). HEAD: what M begins with. */
#define YK_LOOP_1(M, WHO, HEAD, ...)                                                                                   \
    YK_CAT(YK_LOOP_1_, YK_ALL(YK_IS_TUPLE, __VA_ARGS__))(M, WHO, HEAD, __VA_ARGS__)
#define YK_LOOP_1_0(M, WHO, HEAD, ...) YK_LOOP_UNLESS_HEAD(YK_LOOP_WRONG, WHO)
#define YK_LOOP_1_1(M, WHO, HEAD, ...)                                                                                 \
    YK_LOOP_HEAD(YK_COUNT(__VA_ARGS__), YK_UNWRAP WHO)                                                                 \
    (M(HEAD, (YK_MAP(YK_DECLARE, ~, YK_SEMICOLON, __VA_ARGS__);), (, YK_MAP(YK_DECLARE, ~, YK_COMMA, __VA_ARGS__)),    \
       (, YK_MAP(YK_LOAD, ~, YK_COMMA, __VA_ARGS__)), (YK_MAP(YK_PASS, ~, YK_COMMA, __VA_ARGS__))))
#define YK_LOOP_0(M, WHO, HEAD) YK_LOOP_HEAD(0, YK_UNWRAP WHO)(M(HEAD, (char yk_none;), (), (), (0)))
#define YK_LOOP_TOO_MANY(M, WHO, HEAD, ...) YK_LOOP_UNLESS_HEAD(YK_LOOP_CROWD, WHO)
/* What a wrong head, or a right one with wrong parameters, becomes. */
#define YK_LOOP_HEAD(TAKES, ...) YK_APPLY(YK_LOOP_HEAD_AS, TAKES, __VA_ARGS__)
#define YK_LOOP_HEAD_AS(TAKES, KIND, N, RIGHT, LIKE) YK_CAT(YK_LOOP_HEAD_, RIGHT)(TAKES, KIND, N, LIKE)
#define YK_LOOP_HEAD_1(TAKES, KIND, N, LIKE)                                                                           \
    enum {                                                                                                             \
        yk_##KIND##_takes_##N = TAKES                                                                                  \
    };                                                                                                                 \
    YK_UNWRAP
#define YK_LOOP_HEAD_0(TAKES, KIND, N, LIKE) YK_LOOP_NOT_LIKE(KIND, N, LIKE) YK_DROP
#define YK_LOOP_NOT_LIKE(KIND, N, LIKE)                                                                                \
    YK_ASSERT(0, "yoke: " #KIND " " #N ": write " LIKE);                                                               \
    void yk_wrong_##N(void)
#define YK_LOOP_UNLESS_HEAD(m, WHO) YK_APPLY(YK_LOOP_UNLESS_HEAD_AS, m, YK_UNWRAP WHO)
#define YK_LOOP_UNLESS_HEAD_AS(m, KIND, N, RIGHT, LIKE) YK_IF(RIGHT)(m(KIND, N))(YK_LOOP_NOT_LIKE(KIND, N, LIKE))
#define YK_LOOP_WRONG(KIND, N) YK_WRONG_PARAMETERS(KIND, N)
#define YK_LOOP_CROWD(KIND, N) YK_TOO_MANY_PARAMETERS(KIND, N)

#define YK_LOOP_ARGS(N, FIELDS)                                                                                        \
    struct yk_loop_args_##N {                                                                                          \
        YK_UNWRAP FIELDS                                                                                               \
    };

/* ---- One dimension ---- */

/* YOKE_LOOP(name, i, (type, parameter)...) { body }: at file scope. i is a size_t. */
#define YOKE_LOOP(N, ...)                                                                                              \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_LOOP_OVER_1,                                                            \
                 (loop, N, YK_IS_NAME(YK_FIRST(__VA_ARGS__, ~)), "YOKE_LOOP(name, i, (type, parameter)...)"),          \
                 (N, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_LOOP_REST(...) YK_CAT(YK_LOOP_REST_, YK_HAS_MORE(__VA_ARGS__))(__VA_ARGS__)
#define YK_LOOP_REST_0(a)
#define YK_LOOP_REST_1(a, ...) , __VA_ARGS__
#define YK_LOOP_OVER_1(HEAD, ...) YK_APPLY(YK_LOOP_OVER_1_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_LOOP_OVER_1_AS(N, I, FIELDS, PARAMS, LOADS, VALUES)                                                         \
    enum {                                                                                                             \
        yk_a_loop_named_##N                                                                                            \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE void yk_loop_body_##N(size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT;                               \
    static YK_LOOP_CODE void yk_loop_chunk_##N(size_t yk_lo, size_t yk_hi, const void *yk_v) YK_NOEXCEPT               \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        (void)yk_a;                                                                                                    \
        for (size_t yk_i = yk_lo; yk_i < yk_hi; yk_i++)                                                                \
            yk_loop_body_##N(yk_i YK_UNWRAP LOADS);                                                                    \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_loop_for_##N(struct yoke_executor *yk_ex, size_t yk_n YK_UNWRAP PARAMS)              \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_loop(yk_ex, yk_n, yk_loop_chunk_##N, &yk_args);                                                      \
    }                                                                                                                  \
    static inline YK_MAYBE void yk_loop_body_##N(YK_MAYBE size_t I YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_for(ex, n, name, arguments...): 0, or a negative code when iterations were left out, see above. */
#define yoke_for(ex, n, ...) YK_CAT(YK_FOR_, YK_HAS_MORE(__VA_ARGS__))(ex, n, __VA_ARGS__)
#define YK_FOR_0(ex, n, N) (YK_USE(loop, a_loop, N, 0), yk_loop_for_##N((ex), (n)))
#define YK_FOR_1(ex, n, N, ...)                                                                                        \
    (YK_USE(loop, a_loop, N, YK_COUNT(__VA_ARGS__)), yk_loop_for_##N((ex), (n), __VA_ARGS__))

/* ---- Two and three ---- */

/* YOKE_LOOP2(name, i, j, (type, parameter)...) { body }: i counts rows, j columns; neighbours in j are done one after the
 * other. YOKE_LOOP3(name, i, j, k, ...) { body }. At file scope. */
#define YOKE_LOOP2(N, I, ...)                                                                                          \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_LOOP_OVER_2,                                                            \
                 (loop, N, YK_ALL(YK_IS_NAME, I, YK_FIRST(__VA_ARGS__, ~)), "YOKE_LOOP2(name, i, j, (type, parameter)...)"), \
                 (N, I, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_LOOP_OVER_2(HEAD, ...) YK_APPLY(YK_LOOP_OVER_2_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_LOOP_OVER_2_AS(N, I, J, FIELDS, PARAMS, LOADS, VALUES)                                                      \
    enum {                                                                                                             \
        yk_a_loop_of_2_named_##N                                                                                       \
    };                                                                                                                 \
    struct yk_loop_args_##N {                                                                                          \
        size_t yk_m;                                                                                                   \
        YK_UNWRAP FIELDS                                                                                               \
    };                                                                                                                 \
    static inline YK_MAYBE void yk_loop_body_##N(size_t I, size_t J YK_UNWRAP PARAMS) YK_NOEXCEPT;                     \
    static YK_LOOP_CODE void yk_loop_chunk_##N(size_t yk_lo, size_t yk_hi, const void *yk_v) YK_NOEXCEPT               \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        while (yk_lo < yk_hi) {                                                                                        \
            size_t yk_i = yk_lo / yk_a->yk_m, yk_j = yk_lo % yk_a->yk_m, yk_left = yk_a->yk_m - yk_j;                  \
            size_t yk_end = yk_j + (yk_left < yk_hi - yk_lo ? yk_left : yk_hi - yk_lo);                                \
            yk_lo += yk_end - yk_j;                                                                                    \
            for (; yk_j < yk_end; yk_j++)                                                                              \
                yk_loop_body_##N(yk_i, yk_j YK_UNWRAP LOADS);                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_loop_for_##N(struct yoke_executor *yk_ex, size_t yk_n, size_t yk_m YK_UNWRAP PARAMS) \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {yk_m, YK_UNWRAP VALUES};                                              \
        return yk_loop(yk_ex, yk_n *yk_m, yk_loop_chunk_##N, &yk_args);                                                \
    }                                                                                                                  \
    static inline YK_MAYBE void yk_loop_body_##N(YK_MAYBE size_t I, YK_MAYBE size_t J YK_UNWRAP PARAMS) YK_NOEXCEPT

#define YOKE_LOOP3(N, I, J, ...)                                                                                       \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_LOOP_OVER_3,                                                            \
                 (loop, N, YK_ALL(YK_IS_NAME, I, J, YK_FIRST(__VA_ARGS__, ~)),                                         \
                  "YOKE_LOOP3(name, i, j, k, (type, parameter)...)"),                                                  \
                 (N, I, J, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_LOOP_OVER_3(HEAD, ...) YK_APPLY(YK_LOOP_OVER_3_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_LOOP_OVER_3_AS(N, I, J, K, FIELDS, PARAMS, LOADS, VALUES)                                                   \
    enum {                                                                                                             \
        yk_a_loop_of_3_named_##N                                                                                       \
    };                                                                                                                 \
    struct yk_loop_args_##N {                                                                                          \
        size_t yk_m, yk_o;                                                                                             \
        YK_UNWRAP FIELDS                                                                                               \
    };                                                                                                                 \
    static inline YK_MAYBE void yk_loop_body_##N(size_t I, size_t J, size_t K YK_UNWRAP PARAMS) YK_NOEXCEPT;           \
    static YK_LOOP_CODE void yk_loop_chunk_##N(size_t yk_lo, size_t yk_hi, const void *yk_v) YK_NOEXCEPT               \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        while (yk_lo < yk_hi) {                                                                                        \
            size_t yk_row = yk_lo / yk_a->yk_o, yk_i = yk_row / yk_a->yk_m, yk_j = yk_row % yk_a->yk_m;                \
            size_t yk_k = yk_lo % yk_a->yk_o, yk_left = yk_a->yk_o - yk_k;                                             \
            size_t yk_end = yk_k + (yk_left < yk_hi - yk_lo ? yk_left : yk_hi - yk_lo);                                \
            yk_lo += yk_end - yk_k;                                                                                    \
            for (; yk_k < yk_end; yk_k++)                                                                              \
                yk_loop_body_##N(yk_i, yk_j, yk_k YK_UNWRAP LOADS);                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    static inline YK_MAYBE int yk_loop_for_##N(struct yoke_executor *yk_ex, size_t yk_n, size_t yk_m, size_t yk_o      \
                                                    YK_UNWRAP PARAMS)                                                  \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {yk_m, yk_o, YK_UNWRAP VALUES};                                        \
        return yk_loop(yk_ex, yk_n *yk_m *yk_o, yk_loop_chunk_##N, &yk_args);                                          \
    }                                                                                                                  \
    static inline YK_MAYBE void yk_loop_body_##N(YK_MAYBE size_t I, YK_MAYBE size_t J,                                 \
                                                 YK_MAYBE size_t K YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_for2(ex, rows, columns, name, arguments...), yoke_for3(ex, n, m, o, name, arguments...): as yoke_for(). The product of the
 * lengths must fit size_t. */
#define yoke_for2(ex, n, m, ...) YK_CAT(YK_FOR2_, YK_HAS_MORE(__VA_ARGS__))(ex, n, m, __VA_ARGS__)
#define YK_FOR2_0(ex, n, m, N) (YK_USE(loop, a_loop_of_2, N, 0), yk_loop_for_##N((ex), (n), (m)))
#define YK_FOR2_1(ex, n, m, N, ...)                                                                                    \
    (YK_USE(loop, a_loop_of_2, N, YK_COUNT(__VA_ARGS__)), yk_loop_for_##N((ex), (n), (m), __VA_ARGS__))
#define yoke_for3(ex, n, m, o, ...) YK_CAT(YK_FOR3_, YK_HAS_MORE(__VA_ARGS__))(ex, n, m, o, __VA_ARGS__)
#define YK_FOR3_0(ex, n, m, o, N) (YK_USE(loop, a_loop_of_3, N, 0), yk_loop_for_##N((ex), (n), (m), (o)))
#define YK_FOR3_1(ex, n, m, o, N, ...)                                                                                 \
    (YK_USE(loop, a_loop_of_3, N, YK_COUNT(__VA_ARGS__)), yk_loop_for_##N((ex), (n), (m), (o), __VA_ARGS__))

/* ---- Reductions ---- */

/* YOKE_REDUCE(T, name, i, acc, other, (identity), (combine), (type, parameter)...) { body }: at file scope. The body takes
 * element i into *acc. `combine` is a statement that takes *other, the result of the elements that follow, into *acc; it must
 * be associative up to rounding, and identity its neutral element. T is any type that can be copied.
 *
 * The result does not depend on the number of workers or on who does what, not even in its last bit: the range is always cut in
 * the same places, and the parts are combined in the same order. */
#define YOKE_REDUCE(T, N, I, ACC, OTHER, IDENTITY, ...)                                                                \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_REDUCE_OVER,                                                            \
                 (reduction, N,                                                                                        \
                  YK_AND(YK_ALL(YK_IS_NAME, I, ACC, OTHER), YK_ALL(YK_IS_IN_PAREN, IDENTITY, YK_FIRST(__VA_ARGS__, ~))), \
                  "YOKE_REDUCE(type, name, i, acc, other, (identity), (combine), (type, parameter)...)"),              \
                 (T, N, I, ACC, OTHER, IDENTITY, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_REDUCE_OVER(HEAD, ...) YK_APPLY(YK_REDUCE_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_REDUCE_OVER_AS(T, N, I, ACC, OTHER, IDENTITY, COMBINE, FIELDS, PARAMS, LOADS, VALUES)                       \
    enum {                                                                                                             \
        yk_a_reduction_named_##N                                                                                       \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE void yk_loop_body_##N(size_t I, T *ACC YK_UNWRAP PARAMS) YK_NOEXCEPT;                       \
    static YK_MAYBE void yk_reduce_identity_##N(void *yk_to)                                                           \
    {                                                                                                                  \
        const T yk_identity = YK_UNWRAP IDENTITY;                                                                      \
        memcpy(yk_to, &yk_identity, sizeof yk_identity);                                                               \
    }                                                                                                                  \
    static YK_MAYBE void yk_reduce_combine_##N(void *yk_to, const void *yk_from) YK_NOEXCEPT                           \
    {                                                                                                                  \
        T *const ACC = (T *)yk_to;                                                                                     \
        const T *const OTHER = (const T *)yk_from;                                                                     \
        YK_UNWRAP COMBINE;                                                                                             \
    }                                                                                                                  \
    static YK_LOOP_CODE void yk_reduce_fold_##N(size_t yk_lo, size_t yk_hi, void *yk_to, const void *yk_v) YK_NOEXCEPT \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_l = *(const struct yk_loop_args_##N *)yk_v, *const yk_a = &yk_l;              \
        T yk_acc = *(T *)yk_to; /* a local, which can stay in registers */                                             \
        (void)yk_a;                                                                                                    \
        for (size_t yk_i = yk_lo; yk_i < yk_hi; yk_i++)                                                                \
            yk_loop_body_##N(yk_i, &yk_acc YK_UNWRAP LOADS);                                                           \
        *(T *)yk_to = yk_acc;                                                                                          \
    }                                                                                                                  \
    static inline YK_MAYBE T yk_loop_reduce_##N(struct yoke_executor *yk_ex, size_t yk_n YK_UNWRAP PARAMS)             \
    {                                                                                                                  \
        static const yk_reduction yk_r = {yk_reduce_fold_##N, yk_reduce_combine_##N, yk_reduce_identity_##N, sizeof(T)}; \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        T yk_result;                                                                                                   \
        yk_reduce(yk_ex, yk_n, &yk_r, &yk_args, &yk_result);                                                           \
        return yk_result;                                                                                              \
    }                                                                                                                  \
    static inline YK_MAYBE void yk_loop_body_##N(YK_MAYBE size_t I, YK_MAYBE T *ACC YK_UNWRAP PARAMS) YK_NOEXCEPT

/* yoke_reduce(ex, n, name, arguments...): the identity when n is 0. */
#define yoke_reduce(ex, n, ...) YK_CAT(YK_REDUCE_, YK_HAS_MORE(__VA_ARGS__))(ex, n, __VA_ARGS__)
#define YK_REDUCE_0(ex, n, N) (YK_USE(reduction, a_reduction, N, 0), yk_loop_reduce_##N((ex), (n)))
#define YK_REDUCE_1(ex, n, N, ...)                                                                                     \
    (YK_USE(reduction, a_reduction, N, YK_COUNT(__VA_ARGS__)), yk_loop_reduce_##N((ex), (n), __VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
