/* yoke/async.h - coroutines, and structured concurrency: straight-line code that waits for thousands of things at once.
 *
 *     static int greet(void *arg)
 *     {
 *         yoke_sleep(YOKE_S);
 *         printf("hello, %s\n", (const char *)arg);
 *         return 0;
 *     }
 *
 *     static int both(void *arg)
 *     {
 *         yoke_group g;
 *         yoke_group_begin(&g);
 *         yoke_go(&g, greet, "Ada");
 *         yoke_go(&g, greet, "Alan");
 *         return yoke_group_end(&g);          // after one second, not two
 *     }
 *
 *     int main(void) { return yoke_async_run(both, NULL); }
 *
 * A coroutine is a function with a stack of its own. A loop runs many of them in one thread, one at a time: each runs until it
 * waits, and goes on in the same thread when what it waited for is there. It waits in these calls, in those of yoke/io.h and
 * yoke/net.h, and in all that wait elsewhere in yoke: locks, conditions, queues, channels, futures suspend a coroutine where they
 * block a thread, and are the same between the two. What blocks in the kernel without yoke (a read(2) from a socket, sleep(3), a
 * long computation) holds up every coroutine of the loop: that belongs into yoke_to_thread(), or on another executor.
 *
 * Calls that could wait and need not let others run now and then, after 128 in a row, if they are those of yoke/io.h and
 * yoke/net.h for descriptors, files, connections and names. All others do not: locks, semaphores, events, conditions, queues,
 * channels and futures that can go on at once do so, time limits do not pass meanwhile, and a loop of nothing else holds up all
 * coroutines: it has a yoke_yield() in it.
 *
 * The executor `async` runs tasks (yoke/task.h) as coroutines, on as many loops as it has threads; yoke_async_run() is one loop
 * in the thread that calls it. Outside of coroutines the waiting calls below block their thread, so that a function that uses
 * them can be called from anywhere; but groups need coroutines, and what starts one elsewhere fails with -EINVAL.
 *
 * A loop or a fork of yoke/loop.h and yoke/fork.h that a coroutine runs is such a computation: until it has ended the thread is
 * its own, and what waits in its bodies blocks the thread.
 *
 * Groups. A coroutine is always started in a group, and yoke_group_end() returns when all of its coroutines have ended: nothing
 * is left running behind. The first that fails (returns less than 0) cancels the others and the body of the group, and the end
 * returns its code.
 *
 * Scopes. A cancel scope is a stretch of a coroutine, with all groups and coroutines begun in it, that can be told to stop: by
 * yoke_scope_cancel() or at its deadline. From then on every wait in it returns -ECANCELED, at once and each time, until the
 * scope has ended. A wait that returns -ECANCELED has not happened: nothing was read, sent, taken. Whoever gets it cleans up and
 * returns; what must wait while it cleans up does so in a scope of its own with a shield and a deadline (YOKE_SHIELD). The code
 * -ECANCELED ends at the scope that was cancelled: its end returns -ETIMEDOUT (its deadline had passed) or -ECANCELED (by hand)
 * if some wait in it was told so, and otherwise 0: then all that was in it happened. Of a coroutine what it returns counts: one
 * that was told to stop and returns something else than -ECANCELED has done what it was to do.
 *
 * These are the rules of Python's trio (https://trio.readthedocs.io), where exceptions carry what codes carry here.
 *
 * Scopes and groups end in the order in which they nest, and in the function that began them: not by longjmp() past them. Who
 * ends them otherwise, in a coroutine of the group for one, or returns from a coroutine without, is told so on stderr, and the
 * program aborts. The block forms YOKE_SCOPE and YOKE_GROUP end by themselves, also on return, break and goto. A group, a scope,
 * and what a coroutine is given as `arg` may lie on the stack of the coroutine that begins the group.
 *
 * Forks. A coroutine that calls fork() goes on in the child, in a copy of its loop with all of its coroutines; other loops and
 * threads are not there. Waits for time go on. Waits for locks and other things of yoke/sync.h look again, so that no wake-up is
 * lost whose thread stayed behind; what only such a thread would have done later never happens there, and what it held stays
 * held. Waits for jobs return -ECHILD, and so do waits for what yoke_all() and yoke_any() make of them that cannot end any more.
 * But in the copy of a loop of `async`, for its jobs, those that have begun on it go on, and those that nobody has begun can
 * begin there; one that is to begin after a pause or after another job may never do so, and the wait for it not end. What is the
 * kernel's or another thread's belongs to the parent: new waits for descriptors, files and children of its own return
 * -ECHILD; those that had begun, and calls of yoke_to_thread() and look-ups of names under way, are not over in the child before
 * it ends, since nobody can know how far they have come. So a child does best to use nothing that it did not make, and end by
 * _exit(2) or execve(2); yoke_async_run() in it, after the loop, makes a new loop.
 *
 * Unless a function says otherwise, it is called from coroutines of one loop, and never from two threads at once.
 */
#ifndef YOKE_ASYNC_H
#define YOKE_ASYNC_H
#pragma GCC system_header
#include <yoke/base.h>
#include <yoke/future.h>
#include <yoke/pp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A loop in this thread ---- */

/* Runs fn(arg) as a coroutine of a new loop, in the calling thread, until it returns; then the loop has ended as well. Returns
 * what fn returned, or less than 0 when there could be no loop (-ENOMEM, -EMFILE..., -EINVAL for a YOKE_ASYNC_BACKEND that there
 * is not, -ENOSYS, -EPERM for one that does not work here), or -EBUSY in a coroutine: there, call fn. When fn was not called
 * yoke_async_error() says why. Not from inside a task of another executor than `inline`. */
YOKE_API int yoke_async_run(int (*fn)(void *arg), void *arg);

/* Why the last yoke_async_run() of this thread did not call its function, on one line, as 'io_uring: not permitted (EPERM): ...';
 * "" when it did, and then what it returned is the function's. Valid until the next. Any thread. */
YOKE_API const char *yoke_async_error(void);

/* True in a coroutine. Any context. */
YOKE_API bool yoke_in_coroutine(void);

/* What the current loop waits with, "io_uring" or "epoll"; "" outside of coroutines. The environment chooses:
 * YOKE_ASYNC_BACKEND=io_uring, epoll, or auto (io_uring where the kernel allows it). `yoke doctor` says why it is not. Static. */
YOKE_API const char *yoke_async_backend(void);

/* ---- Waiting for time ---- */

/* Waits for ns nanoseconds, or until a time of yoke_now(). 0, or -ECANCELED. Less than 0, and times that have passed, are as
 * yoke_yield(). In a thread they block, and return 0. */
YOKE_API int yoke_sleep(int64_t ns);
YOKE_API int yoke_sleep_until(int64_t when);

/* Lets every other coroutine that can go on do so first. 0, or -ECANCELED. In a thread sched_yield(). */
YOKE_API int yoke_yield(void);

/* 0, or -ECANCELED when a wait here and now would return that. Never waits: for loops that compute. */
YOKE_API int yoke_checkpoint(void);

/* ---- Cancel scopes ---- */

/* The fields are the library's. */
typedef struct yoke_scope {
    struct yoke_scope *parent, *first, *next, **link; /* the tree: next and link among the children of parent */
    struct yk_coroutine *owner, *inside;              /* who began it; the coroutines whose innermost scope it is */
    int64_t deadline;
    uint64_t timer[6];
    struct yk_loop *loop; /* NULL: it has not begun, or has ended, or is of a thread */
    int *ret;             /* of the block forms: where the code of the end goes */
    bool shield, called, effective, expired, told;
} yoke_scope;

/* Begins a scope: without a time limit; with one, of so many nanoseconds from now, or at a time of yoke_now(). It ends with
 * yoke_scope_end(), in the same coroutine. In a thread scopes do nothing, and the calls below return 0 for them, in any
 * thread. */
YOKE_API void yoke_scope_begin(yoke_scope *s);
YOKE_API void yoke_scope_begin_timed(yoke_scope *s, int64_t ns);
YOKE_API void yoke_scope_begin_until(yoke_scope *s, int64_t deadline);
/* The same with a shield: cancels from outside do not come in. Give it a deadline, or nothing can end what hangs in it. */
YOKE_API void yoke_shield_begin_timed(yoke_scope *s, int64_t ns);

/* 0: nothing in it was told to stop, or a scope around it is cancelled too (then the next wait there says so). -ETIMEDOUT: its
 * deadline passed and a wait in it was told. -ECANCELED: it was cancelled by hand and a wait in it was told. */
YOKE_API int yoke_scope_end(yoke_scope *s);

/* Tells everything in the scope to stop. More than once is as once. Also before its end from other coroutines of the loop, and
 * in what yoke_async_call() calls there. 0; -EINVAL for NULL; or -EXDEV in another thread, and nobody is told: there the scope
 * may end at any moment. A thread has the loop do it: yoke_async_call(loop, cancel, &scope), with a cancel() that knows that the
 * scope lasts. */
YOKE_API int yoke_scope_cancel(yoke_scope *s);
/* Whether it has been told so, by hand or by its deadline. */
YOKE_API bool yoke_scope_cancelled(const yoke_scope *s);
/* Another deadline: absolute, or YOKE_FOREVER. No effect once it is cancelled. 0, or an error as of yoke_scope_cancel(). */
YOKE_API int yoke_scope_set_deadline(yoke_scope *s, int64_t deadline);
/* Takes the shield away, or puts it up. 0, or an error as of yoke_scope_cancel(). */
YOKE_API int yoke_scope_set_shield(yoke_scope *s, bool shield);
/* The earliest deadline that holds here, of all scopes around up to the innermost shield: YOKE_FOREVER without one, INT64_MIN
 * when cancelled. */
YOKE_API int64_t yoke_effective_deadline(void);

/* YOKE_SCOPE(s) { ... }: a block that is a scope s, and ends it however the block is left. YOKE_TIMEOUT(ns, &late) { ... }: with
 * a time limit; late is then what yoke_scope_end() returned. YOKE_SHIELD(ns) { ... }: shielded, at most so long. `break` and
 * `continue` leave the block. */
#define YOKE_SCOPE(s)                                                                                                  \
    for (yoke_scope s __attribute__((cleanup(yk_scope_block_end))), *YK_CAT(yk_once_, __LINE__) = yk_scope_block(&s);      \
         YK_CAT(yk_once_, __LINE__); YK_CAT(yk_once_, __LINE__) = NULL)
#define YOKE_TIMEOUT(ns, late)                                                                                         \
    for (yoke_scope YK_CAT(yk_scope_, __LINE__) __attribute__((cleanup(yk_scope_block_end))),                              \
         *YK_CAT(yk_once_, __LINE__) = yk_timeout_block(&YK_CAT(yk_scope_, __LINE__), (ns), (late));                   \
         YK_CAT(yk_once_, __LINE__); YK_CAT(yk_once_, __LINE__) = NULL)
#define YOKE_SHIELD(ns)                                                                                                \
    for (yoke_scope YK_CAT(yk_scope_, __LINE__) __attribute__((cleanup(yk_scope_block_end))),                              \
         *YK_CAT(yk_once_, __LINE__) = yk_shield_block(&YK_CAT(yk_scope_, __LINE__), (ns));                            \
         YK_CAT(yk_once_, __LINE__); YK_CAT(yk_once_, __LINE__) = NULL)

/* ---- Groups ---- */

/* The fields are the library's. */
typedef struct yoke_group {
    yoke_scope scope;
    struct yk_coroutine *joiner;
    struct yk_run *run; /* the task around it */
    size_t children, failures, cap;
    int *codes; /* of the caller's: where the codes of those that fail go */
    int first;
    bool closed;
    uint64_t thread; /* that began it outside of coroutines; 0: none did, or it has ended */
} yoke_group;

/* Begins a group, which ends with yoke_group_end() in the same coroutine. In a thread it can start none: yoke_go() and the like
 * return -EINVAL, yoke_group_fail() the code, and with the first of these the group has failed, as its end says, if it was in the
 * thread that began it. Called from other threads they do nothing else. */
YOKE_API void yoke_group_begin(yoke_group *g);

/* Starts fn(arg) as a coroutine of the group; it runs when the caller next waits. What it returns is 0 or more when all went
 * well, and else the negative code of its error: this cancels the group. -ECANCELED from a coroutine that has been told to stop
 * is no error. Returns 0; or an error, with which the group has failed, so that its end tells of it: -ENOMEM; -EINVAL without a
 * fn, and for a group that was begun outside of coroutines, where there can be none. Or -EINVAL when the group has ended, or
 * -EXDEV in another thread or loop, and then nothing else happens. From any coroutine of the loop while the group lasts, so also
 * from those in it. yoke_fail() in fn counts for the task around the group. */
#define yoke_go(g, fn, arg) yk_go((g), #fn, (fn), (arg))

/* How a coroutine is to be started; zero is the default of each, and NULL as opts of all. */
typedef struct yoke_go_opts {
    const char *name;  /* for dumps and errors; static. Default: the function's, if it can be found; yoke_go() knows it */
    size_t stack;      /* usable bytes: default 64 KiB, 16 KiB at least; more than 8 MiB is as no memory. One that is full ends
                        * the program with a line; but a local array of more than a page can step over the guard and write into
                        * another's stack, unless the program is compiled with -fstack-clash-protection. Large buffers: from
                        * malloc(), or with more stack */
    bool eager;        /* run it at once, up to its first wait */
    bool keep_fp;      /* rounding and exception masks of floating point are its own, for code that changes them */
} yoke_go_opts;
YOKE_API int yoke_go_with(yoke_group *g, const yoke_go_opts *opts, int (*fn)(void *arg), void *arg);

/* Starts fn(arg) and waits until it calls yoke_started(value), which is then in *ret (may be NULL). From then on it is of the
 * group; before, it is of the caller, who gets its error, or -EPROTO if it returned without calling (-ECANCELED if the caller has
 * been told to stop). */
YOKE_API int yoke_start(yoke_group *g, int (*fn)(void *arg), void *arg, void **ret);
/* In a coroutine that yoke_start() started, once. 0, or -EINVAL when it was not or is no longer waited for. */
YOKE_API int yoke_started(void *value);

/* Waits for the job in the group: if it fails, so does the group; if the group is cancelled, so is the job, and then waited for.
 * The future stays yours. Jobs of any executor. */
YOKE_API int yoke_group_add(yoke_group *g, yoke_future *f);

/* For its body: the group has failed with this code. Returns it; or -EXDEV in another thread than its loop's, or -EINVAL
 * without a group, and it has not failed. */
YOKE_API int yoke_group_fail(yoke_group *g, int code);
/* Tells all coroutines of the group, and its body, to stop. 0, or an error as of yoke_scope_cancel(). */
YOKE_API int yoke_group_cancel(yoke_group *g);

/* Waits until all its coroutines have ended; a wait that is never given up: if the caller is told to stop, so are they. 0; or the
 * code of the first that failed; or, when none failed, -ECANCELED if something in it was told to stop by a scope around it. */
YOKE_API int yoke_group_end(yoke_group *g);

/* How many failed, so far or in all; and, asked for before the first coroutine is started, all their codes: those of the first
 * `most` that fail are written to codes, in the order in which they fail. */
YOKE_API size_t yoke_group_failures(const yoke_group *g);
YOKE_API void yoke_group_collect(yoke_group *g, int *codes, size_t most);

/* YOKE_GROUP(g, &err) { yoke_go(&g, ...); ... }: a block that is a group g; err is then what yoke_group_end() returned (NULL:
 * not wanted). Ended however the block is left. */
#define YOKE_GROUP(g, err)                                                                                             \
    for (yoke_group g __attribute__((cleanup(yk_group_block_end))), *YK_CAT(yk_once_, __LINE__) = yk_group_block(&g, (err)); \
         YK_CAT(yk_once_, __LINE__); YK_CAT(yk_once_, __LINE__) = NULL)

/* ---- Many at once ---- */

/* Waits for all n jobs. 0 when all have values; else at once the code of the first that failed, and the others go on. A cancel
 * cancels those that have not ended. */
YOKE_API int yoke_gather(yoke_future *const *fs, size_t n);
/* Waits for one of n jobs to end, whatever its outcome; *ret is its index. No other is cancelled. 0, -ECANCELED, -EINVAL for
 * n = 0 or without a ret. */
YOKE_API int yoke_wait_any(yoke_future *const *fs, size_t n, size_t *ret);

/* Runs fn(arg) in a thread, and waits for it: for what blocks. Returns what fn returned; or -EAGAIN when there can be no thread
 * (or -ENOMEM). A cancel that comes before fn has begun takes it back; else fn goes on, and so does the wait, for fn may use
 * what lies on this stack. yoke_to_thread_abandon() returns -ECANCELED at once instead; when it returns that, be it what fn
 * returned, drop(arg) is called, in some thread, as soon as fn has returned or is sure never to begin (NULL: nothing is); with
 * any other code arg is still the caller's. Threads: up to the CPUs and 4 more, and 32 at most; they end when idle; more calls
 * wait for one of them, so that fn should not itself wait for another such call. fn runs outside of the task that calls:
 * yoke_fail() in it only returns the code, scopes do nothing, groups start nothing and fail with -EINVAL, and the calls that wait
 * block the thread. In a thread fn is called right here. */
YOKE_API int yoke_to_thread(int (*fn)(void *arg), void *arg);
YOKE_API int yoke_to_thread_abandon(int (*fn)(void *arg), void *arg, void (*drop)(void *arg));

/* Calls fn(arg) soon in the loop, between two coroutines; fn must not wait. From any thread that has got `loop` from
 * yoke_async_loop() in one of its coroutines, while the loop runs. 0 or -ENOMEM. */
struct yk_loop;
YOKE_API struct yk_loop *yoke_async_loop(void);
YOKE_API int yoke_async_call(struct yk_loop *loop, void (*fn)(void *arg), void *arg);

/* ---- What there is ---- */

typedef struct yoke_async_counts {
    size_t coroutines, ready, parked; /* alive now: in all, able to go on, waiting */
    size_t timers, operations;        /* set, under way */
    uint64_t started, ended, switches, polls; /* since the loop began */
    int64_t longest;                  /* ns that a coroutine ran without a wait, at most; only with YOKE_DEBUG=async */
    size_t stacks, stack_bytes;       /* kept for use, and how much memory is mapped for stacks */
} yoke_async_counts;
/* Of the current loop. -EINVAL outside of coroutines. */
YOKE_API int yoke_async_stats(yoke_async_counts *ret);

/* Writes to fd what every coroutine of every loop in the process waits for, as text: one line for each, with its group's tree as
 * indentation; of a lock also who holds it, where that is known; with YOKE_DEBUG=async in the environment also for how long. Any
 * thread; also with YOKE_DUMP=USR1 in the environment: on that signal, to stderr. A loop that does not answer within a second is
 * shown with the name of the coroutine that holds it up, and with YOKE_DEBUG=async with its stack. Returns the number of
 * coroutines. */
YOKE_API int yoke_dump(int fd);

/* ---- Behind the macros ---- */
YOKE_API int yk_go(yoke_group *g, const char *name, int (*fn)(void *arg), void *arg);
YOKE_API yoke_scope *yk_scope_block(yoke_scope *s);
YOKE_API yoke_scope *yk_timeout_block(yoke_scope *s, int64_t ns, int *ret);
YOKE_API yoke_scope *yk_shield_block(yoke_scope *s, int64_t ns);
YOKE_API void yk_scope_block_end(yoke_scope *s);
YOKE_API yoke_group *yk_group_block(yoke_group *g, int *ret);
YOKE_API void yk_group_block_end(yoke_group *g);

#ifdef __cplusplus
}
#endif
#endif
