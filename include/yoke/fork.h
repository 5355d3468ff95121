/* yoke/fork.h - fork and join: recursive divide and conquer on a pool of threads, at the price of a few instructions.
 *
 *     YOKE_FORK(long, fib, (int, n))
 *     {
 *         if (n < 2)
 *             return n;
 *         yoke_fork(fib, n - 1);          // may run on another worker from here on
 *         long b = yoke_call(fib, n - 2); // runs here and now
 *         long a = yoke_join(fib);        // the result of the fork above
 *         return a + b;
 *     }
 *
 * defines the function `long fib(int n)`. Called as any other function it runs in parallel: inside a job of a `threads`
 * executor on that pool, inside a job of another executor alone on its worker, and anywhere else on the process's own pool
 * of threads, which is started by the first such call. yoke_run(ex, fib, 40) names the pool.
 *
 * In the body, each yoke_fork() needs its yoke_join() before the function returns, newest first, as for parentheses; a join
 * names the same function as its fork. Three mistakes are possible: a fork without a join (it may be dropped, or run late), joins
 * in another order or of another function than their forks (they give results, and run arguments, that are another's), and a
 * join without a fork (it takes what is left in the slot, or a fork of the caller's). With YOKE_DEBUG=forks in the environment
 * they are reported on stderr, once per place, with the function's name and the place of the fork, for addr2line; then every
 * fork and join takes the slow way. A join too many may be reported of the caller whose fork it took. What is forked has its
 * arguments copied (at most YOKE_FORK_BYTES, as its result); what they point to must stay until the join. Forks of different
 * functions may be mixed; declare one that is used before its body, or in other files, with YOKE_FORK_DECL in place of a
 * prototype and write YOKE_FORK_IMPL for its body.
 *
 * Locks. While a join, a loop or an algorithm waits for a thief, its thread runs other forks of the same job that are ready, of
 * other calls too (so a body may await any job but its own); but not while it holds a lock of yoke/sync.h, or is between
 * yoke_isolate_begin() and yoke_isolate_end(), which stand for any
 * other lock. Then it sleeps, and a spare thread has its place; and so do the thief, and whoever steals from that one. So under
 * a lock one may fork, join, loop and sort: nothing comes in but the parts of what was forked there. Two rules remain:
 *   - What is joined under a lock is forked under the same holding of it. (What was stolen before may by then be waiting for that
 *     lock, or be under something that is; so may what was forked under it, if it was released and taken again since. The same
 *     holds for jobs: one that is waited for under a lock is submitted under the same holding of it.)
 *   - No part of it takes a lock that is held over its join: it would wait for itself, or, where it happens to run in the
 *     holder's own thread, be let in by an rlock. YOKE_DEBUG=locks reports that, and many a breach of the other rule.
 * A task that others wait for under a lock in another way, by an event or a queue, may fork between yoke_isolate_begin() and
 * yoke_isolate_end(), so that nothing strange keeps it from going on.
 *
 * In C++ a body is noexcept: an exception that leaves it, or the body of a loop or an algorithm, ends the program.
 *
 * The number of forks is limited by memory alone: when a worker's slots are full, a fork runs at once, and some 100 bytes keep
 * its result for the join. Their depth is limited by the stack, too, as that of any recursion: workers have 64 MiB (less where
 * the system refuses that), and a call from outside has what is left of its own thread's. When there is no memory for a result
 * the job fails with -ENOMEM; where there is no job, or no memory to begin at all, the program is ended by abort() after a line
 * on stderr that says what for, and how many bytes. A body sees the job that it is part of: yoke_cancelled(), yoke_alloc() and
 * yoke_fail() work in every fork. When the job fails or is cancelled, forks that have not begun are not run any more, and their
 * joins return zero; the job's result is dropped, and it ends with -ECANCELED whatever its body returns. Of a cancel, or a
 * deadline that has passed, only forks on the pool of the job itself are told. Where the job's executor is another, as on
 * `inline` and `processes`, the calls under way go on: a body must ask yoke_cancelled() and return. A fork function, loop or
 * algorithm that the job calls later does see it: none of its forks and iterations are begun.
 * yoke_fail() where there is no job does the same to the call from outside, whose result is worthless then, and the error is
 * reported as one that nobody looked at (yoke_on_lost_error()): work that may fail belongs in a job, whose future tells.
 *
 * The algorithm is that of Tom van Dijk and Jaco van de Pol, "Lace: Non-blocking Split Deque for Work-Stealing" (Euro-Par 2014
 * workshops): the owner's end of its deque is private, so forks and joins need neither locked instructions nor fences;
 * thieves ask for more, and the owner's next fork makes half of what it has public.
 */
#ifndef YOKE_FORK_H
#define YOKE_FORK_H
#pragma GCC system_header
#include <yoke/executor.h>
#include <yoke/task.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* At most this many bytes of arguments, and of result. */
#define YOKE_FORK_BYTES 48

/* ---- What the macros use ---- */

struct yk_fork_worker;
struct yk_fork_slot;
typedef void yk_fork_fn(struct yk_fork_worker *w, struct yk_fork_slot *top, struct yk_fork_slot *s);

/* A forked call that has not been joined. state belongs to src/threads/fork.c. */
typedef struct yk_fork_slot {
    yk_fork_fn *run;
    uintptr_t state;
    char bytes[YOKE_FORK_BYTES]; /* the arguments; once it has run elsewhere, the result */
} __attribute__((aligned(64))) yk_fork_slot;

/* The part of a worker that forks and joins look at. */
typedef struct yk_fork_worker {
    yk_fork_slot *limit; /* forks from here on take the slow way: the end of the slots, or NULL when somebody wants work */
    char apart[56];      /* thieves write the former */
    yk_fork_slot *split; /* joins below take the slow way: others may have stolen these */
    yk_fork_slot *head;  /* slots from here on are free, and all below are in use: where a call from outside goes on */
} yk_fork_worker;

/* One call from outside of a fork body. */
typedef struct yk_fork_visit {
    yk_fork_worker *worker;
    yk_fork_slot *top;
    void *hidden[40] __attribute__((aligned(16)));
} yk_fork_visit;

/* Makes the calling thread a worker of ex's pool, or of what NULL means, for the time until it leaves again. */
YOKE_API void yk_fork_enter(yk_fork_visit *v, struct yoke_executor *ex);
YOKE_API void yk_fork_leave(yk_fork_visit *v);
/* A fork that finds top at w->limit or beyond. Returns the new top. */
YOKE_API yk_fork_slot *yk_fork_slow(yk_fork_worker *w, yk_fork_slot *top, yk_fork_fn *run, const void *args, size_t size,
                                    const char *name);
/* NULL: run it here; else where its result is. */
YOKE_API const void *yk_fork_reclaim(yk_fork_worker *w, yk_fork_slot *top, const char *name);

#define YK_FORK_1(LINK, M, RET, N, ...)                                                                                \
    YK_CAT(YK_FORK_1_, YK_ALL(YK_IS_TUPLE, __VA_ARGS__))(LINK, M, RET, N, __VA_ARGS__)
#define YK_FORK_1_1(LINK, M, RET, N, ...)                                                                              \
    M(LINK, RET, N, YK_COUNT(__VA_ARGS__), (YK_MAP(YK_DECLARE, ~, YK_SEMICOLON, __VA_ARGS__);),                        \
      (, YK_MAP(YK_DECLARE, ~, YK_COMMA, __VA_ARGS__)), (, YK_MAP(YK_PASS, ~, YK_COMMA, __VA_ARGS__)),                 \
      (, YK_MAP(YK_LOAD, ~, YK_COMMA, __VA_ARGS__)), (YK_MAP(YK_DECLARE, ~, YK_COMMA, __VA_ARGS__)),                   \
      (YK_MAP(YK_PASS, ~, YK_COMMA, __VA_ARGS__)))
#define YK_FORK_0(LINK, M, RET, N) M(LINK, RET, N, 0, (char yk_none;), (), (), (), (void), (0))
/* Wrong ones: the assertion is the first that the compiler complains of; the body that follows needs a head. */
#define YK_FORK_1_0(LINK, M, RET, N, ...) YK_WRONG_PARAMETERS(fork, N)
#define YK_FORK_TOO_MANY(LINK, M, RET, N, ...) YK_TOO_MANY_PARAMETERS(fork, N)
#define YK_WRONG_PARAMETERS(KIND, N)                                                                                   \
    YK_ASSERT(0, "yoke: " #KIND " " #N ": write every parameter as (type, name), in parentheses and with a comma");    \
    void N(void)
#define YK_TOO_MANY_PARAMETERS(KIND, N)                                                                                \
    YK_ASSERT(0, "yoke: " #KIND " " #N ": at most 16 parameters");                                                     \
    void N(void)
/* Before each use of N, an object of this KIND: that there is one, and, in C, that it is not written as a call, and is given as
 * many arguments as it has parameters at least. Too many are for the compiler to find: commas within braces separate nothing.
 * In C++ the compiler names the function that does not match by itself. */
#ifdef __cplusplus
#define YK_USE(KIND, NAMED, N, count) (void)yk_##NAMED##_named_##N
#else
#define YK_USE(KIND, NAMED, N, count)                                                                                  \
    YK_NO_CALL(KIND, N), (void)yk_##NAMED##_named_##N,                                                                 \
        YK_CLAIM((count) >= yk_##KIND##_takes_##N, "yoke: " #KIND " " #N " is given too few arguments")
#ifdef __clang__ /* to which this is no constant */
#define YK_NO_CALL(KIND, N) ((void)0)
#else
#define YK_NO_CALL(KIND, N)                                                                                            \
    YK_CLAIM(!__builtin_strchr(#N, '('), "yoke: " #KIND " " #N ": write its name and its arguments with a comma between")
#endif
#define YK_CLAIM(condition, message)                                                                                   \
    ((void)__extension__ sizeof(struct {                                                                               \
        char yk_claim;                                                                                                 \
        _Static_assert(condition, message);                                                                            \
    }))
#endif

/* Everything up to the body: types, the hidden function's prototype, fork and join. */
#define YK_FORK_FRONT(LINK, RET, N, TAKES, FIELDS, PARAMS, PASS, LOADS, PLAIN, VALUES)                                 \
    YK_ASSERT(sizeof(#N) > 1, "yoke: a fork has no name: write YOKE_FORK(result, name, (type, parameter)...)");        \
    enum {                                                                                                             \
        yk_a_fork_named_##N,                                                                                           \
        yk_fork_takes_##N = TAKES                                                                                      \
    };                                                                                                                 \
    struct yk_fork_args_##N {                                                                                          \
        YK_UNWRAP FIELDS                                                                                               \
    };                                                                                                                 \
    YK_ASSERT(sizeof(struct yk_fork_args_##N) <= YOKE_FORK_BYTES,                                                      \
              "yoke: fork " #N " takes more than 48 bytes of arguments: pass a pointer to them");                      \
    YK_ASSERT(YK_IF(YK_IS_VOID(RET))(1)(sizeof(RET) <= YOKE_FORK_BYTES),                                               \
              "yoke: fork " #N " returns more than 48 bytes: write them through a pointer");                           \
    RET N PLAIN;                                                                                                       \
    LINK RET yk_fork_body_##N(struct yk_fork_worker *, struct yk_fork_slot *YK_UNWRAP PARAMS) YK_NOEXCEPT;             \
    static inline YK_ALWAYS_INLINE RET yk_fork_call_##N(yk_fork_worker *yk_w, yk_fork_slot **yk_t YK_UNWRAP PARAMS)    \
    {                                                                                                                  \
        YK_IF(YK_IS_VOID(RET))()(return) yk_fork_body_##N(yk_w, *yk_t YK_UNWRAP PASS);                                 \
    }                                                                                                                  \
    static inline YK_MAYBE RET yk_fork_from_##N(yk_fork_worker *yk_w, yk_fork_slot *yk_top, const yk_fork_slot *yk_s)  \
    {                                                                                                                  \
        struct yk_fork_args_##N yk_l, *yk_a = &yk_l;                                                                   \
        memcpy(yk_a, yk_s->bytes, sizeof yk_l);                                                                        \
        YK_IF(YK_IS_VOID(RET))()(return) yk_fork_body_##N(yk_w, yk_top YK_UNWRAP LOADS);                               \
    }                                                                                                                  \
    static YK_MAYBE void yk_fork_run_##N(yk_fork_worker *yk_w, yk_fork_slot *yk_top, yk_fork_slot *yk_s)               \
    {                                                                                                                  \
        YK_IF(YK_IS_VOID(RET))                                                                                         \
        (yk_fork_from_##N(yk_w, yk_top, yk_s);)                                                                        \
        (const RET yk_r = yk_fork_from_##N(yk_w, yk_top, yk_s); memcpy(yk_s->bytes, &yk_r, sizeof yk_r);)              \
    }                                                                                                                  \
    static inline YK_MAYBE yk_fork_slot *yk_fork_push_##N(yk_fork_worker *yk_w, yk_fork_slot *yk_top YK_UNWRAP PARAMS) \
    {                                                                                                                  \
        const struct yk_fork_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        if (__builtin_expect(yk_top >= __atomic_load_n(&yk_w->limit, __ATOMIC_RELAXED), 0))                            \
            return yk_fork_slow(yk_w, yk_top, yk_fork_run_##N, &yk_args, sizeof yk_args, #N);                          \
        memcpy(yk_top->bytes, &yk_args, sizeof yk_args);                                                               \
        yk_top->run = yk_fork_run_##N;                                                                                 \
        return yk_w->head = yk_top + 1;                                                                                \
    }                                                                                                                  \
    static __attribute__((noinline, cold)) YK_MAYBE RET yk_fork_late_##N(yk_fork_worker *yk_w, yk_fork_slot *yk_top)   \
    {                                                                                                                  \
        const void *yk_done = yk_fork_reclaim(yk_w, yk_top, #N);                                                       \
        YK_IF(YK_IS_VOID(RET))                                                                                         \
        (if (!yk_done) yk_fork_from_##N(yk_w, yk_top, yk_top);)                                                        \
        (RET yk_r; if (!yk_done) return yk_fork_from_##N(yk_w, yk_top, yk_top);                                        \
         memcpy(&yk_r, yk_done, sizeof yk_r); return yk_r;)                                                            \
    }                                                                                                                  \
    /* A whole call, as yk_fork_call is: both may stand in one expression, and neither sees the top half changed. */   \
    static inline YK_ALWAYS_INLINE RET yk_fork_join_##N(yk_fork_worker *yk_w, yk_fork_slot **yk_t)                     \
    {                                                                                                                  \
        yk_fork_slot *yk_top = yk_w->head = --*yk_t;                                                                   \
        if (__builtin_expect(yk_top < yk_w->split, 0)) {                                                               \
            YK_IF(YK_IS_VOID(RET))()(return) yk_fork_late_##N(yk_w, yk_top);                                           \
        } else {                                                                                                       \
            YK_IF(YK_IS_VOID(RET))()(return) yk_fork_from_##N(yk_w, yk_top, yk_top);                                   \
        }                                                                                                              \
    }                                                                                                                  \
    static YK_MAYBE RET yk_fork_in_##N(struct yoke_executor *yk_ex YK_UNWRAP PARAMS)                                   \
    {                                                                                                                  \
        yk_fork_visit yk_v;                                                                                            \
        yk_fork_enter(&yk_v, yk_ex);                                                                                   \
        YK_IF(YK_IS_VOID(RET))()(const RET yk_r =) yk_fork_body_##N(yk_v.worker, yk_v.top YK_UNWRAP PASS);             \
        yk_fork_leave(&yk_v);                                                                                          \
        YK_IF(YK_IS_VOID(RET))()(return yk_r;)                                                                         \
    }                                                                                                                  \
    struct yk_fork_args_##N
#define YK_FORK_BACK(LINK, RET, N, TAKES, FIELDS, PARAMS, PASS, LOADS, PLAIN, VALUES)                                  \
    RET N PLAIN                                                                                                        \
    {                                                                                                                  \
        YK_IF(YK_IS_VOID(RET))()(return) yk_fork_in_##N(NULL YK_UNWRAP PASS);                                          \
    }                                                                                                                  \
    LINK RET yk_fork_body_##N(YK_MAYBE struct yk_fork_worker *yk_only_in_a_fork_body,                                  \
                              YK_MAYBE struct yk_fork_slot *yk_top YK_UNWRAP PARAMS) YK_NOEXCEPT
#define YK_FORK_FORM(...) YK_CAT(YK_FORK_, YK_HAS_MORE(__VA_ARGS__))
#define YK_FORK_NOT_STATIC

/* ---- The front ---- */

#define YOKE_FORK(RET, ...)                                                                                            \
    YK_FORK_FORM(__VA_ARGS__)(static, YK_FORK_FRONT, RET, __VA_ARGS__);                                                \
    YK_FORK_FORM(__VA_ARGS__)(static, YK_FORK_BACK, RET, __VA_ARGS__)
#define YOKE_FORK_DECL(RET, ...) YK_FORK_FORM(__VA_ARGS__)(YK_FORK_NOT_STATIC, YK_FORK_FRONT, RET, __VA_ARGS__)
#define YOKE_FORK_IMPL(RET, ...) YK_FORK_FORM(__VA_ARGS__)(YK_FORK_NOT_STATIC, YK_FORK_BACK, RET, __VA_ARGS__)

/* Inside a fork body only. yoke_fork(f, arguments): f may run elsewhere from now on. */
#define yoke_fork(...)                                                                                                 \
    ((void)yk_only_in_a_fork_body, (void)(yk_top = YK_CAT(YK_FORK_PUSH_, YK_HAS_MORE(__VA_ARGS__))(__VA_ARGS__)))
#define YK_FORK_PUSH_0(N)                                                                                              \
    (YK_USE(fork, a_fork, N, 0), yk_fork_push_##N(yk_only_in_a_fork_body, yk_top))
#define YK_FORK_PUSH_1(N, ...)                                                                                         \
    (YK_USE(fork, a_fork, N, YK_COUNT(__VA_ARGS__)),                                                                   \
     yk_fork_push_##N(yk_only_in_a_fork_body, yk_top, __VA_ARGS__))
/* f(arguments), here and now, without the cost of a call from outside. */
#define yoke_call(...) YK_CAT(YK_FORK_CALL_, YK_HAS_MORE(__VA_ARGS__))(__VA_ARGS__)
#define YK_FORK_CALL_0(N)                                                                                              \
    (YK_USE(fork, a_fork, N, 0), yk_fork_call_##N(yk_only_in_a_fork_body, &yk_top))
#define YK_FORK_CALL_1(N, ...)                                                                                         \
    (YK_USE(fork, a_fork, N, YK_COUNT(__VA_ARGS__)),                                                                   \
     yk_fork_call_##N(yk_only_in_a_fork_body, &yk_top, __VA_ARGS__))
/* The result of the newest fork that has not been joined, which must be one of f. */
#define yoke_join(N) (YK_USE(fork, a_fork, N, yk_fork_takes_##N), yk_fork_join_##N(yk_only_in_a_fork_body, &yk_top))

/* f(arguments) on the pool of a `threads` executor, from any thread; on another executor, or one that failed to open, it
 * runs alone in the calling thread. Returns f's result. */
#define yoke_run(ex, ...) YK_CAT(YK_FORK_RUN_, YK_HAS_MORE(__VA_ARGS__))(ex, __VA_ARGS__)
#define YK_FORK_RUN_0(ex, N) (YK_USE(fork, a_fork, N, 0), yk_fork_in_##N((ex)))
#define YK_FORK_RUN_1(ex, N, ...)                                                                                      \
    (YK_USE(fork, a_fork, N, YK_COUNT(__VA_ARGS__)), yk_fork_in_##N((ex), __VA_ARGS__))

/* The process's own pool, `threads` with its defaults, started by the first call; closed when the program ends. Do not
 * close it. It may have failed to start: see yoke_open(). */
YOKE_API struct yoke_executor *yoke_own_threads(void);

#ifdef __cplusplus
}
#endif
#endif
