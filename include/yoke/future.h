/* yoke/future.h - futures: the one way back from a job.
 *
 * A future is the handle of one job. It ends exactly once, with a value or with an error. It lives until
 * yoke_release() or until its executor is closed, whichever comes first; a program that ends soon need not release.
 * All functions may be called from any thread and from inside tasks. Waiting inside a task never deadlocks the pool:
 * the waiting worker runs the awaited job itself if nobody has started it, or lends its place to another worker. A job
 * that is waited for while a lock is held should be submitted while it is held: see yoke/fork.h, "Locks".
 */
#ifndef YOKE_FUTURE_H
#define YOKE_FUTURE_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_future yoke_future;

/* Waits until the job has ended. Returns 0 when it has a value, else its error (negative; yoke_error() has the text).
 * yoke_wait_timed(), at most ns nanoseconds (less than 0 is 0), and yoke_wait_until(), until a deadline of yoke_now(), return
 * -ETIMEDOUT when the time is over first, and the job goes on; a job may itself have failed with -ETIMEDOUT: then yoke_code() is
 * the same. A task that waits for itself, or for one that waits (without a time limit, through any number of others) for it,
 * gets -EDEADLK instead of waiting for ever; yoke_deadlock() says who waits for whom. In a coroutine (yoke/async.h) they suspend
 * it; -ECANCELED while yoke_done() is false: it was told to stop, and the job goes on. -ECHILD while yoke_done() is false: this
 * is a child made by fork(), and the job is its parent's, so that it never ends here; also for waits that had begun before, and
 * for yoke_all() of such a job and yoke_any() of nothing else. (Jobs of `async` that fork wait in the child for others of their
 * loop, which goes on: yoke/async.h, "Forks".) */
YOKE_API int yoke_wait(yoke_future *f);
YOKE_API int yoke_wait_timed(yoke_future *f, int64_t ns);
YOKE_API int yoke_wait_until(yoke_future *f, int64_t deadline);

/* True when the job has ended. Never blocks. */
YOKE_API bool yoke_done(yoke_future *f);

/* yoke_try(f, &value): waits; then writes the value and returns 0, or returns the error and leaves value alone. A
 * pointer to a type that the task does not return is the error -EINVAL. For a task that returns void use yoke_wait().
 * What a value points to is owned by the future. */
#ifdef __cplusplus
#define yoke_try(f, ret) yk_result((f), YK_CODE(typename yk_no_ref<decltype(*(ret))>::type), (ret), sizeof *(ret))
#else
#define yoke_try(f, ret) yk_result((f), YK_CODE(__typeof__(*(ret))), (ret), sizeof *(ret))
#endif

/* yoke_await(f, double): waits and is the value. If the job failed: inside a task, fails that task with the same error
 * and is zero (so, too, in a body of a loop or a fork: yoke/loop.h); outside any task, flushes stdout, prints task, error and
 * place on stderr and aborts. A coroutine that is told to stop while it waits: the same inside a task; outside any it is zero,
 * and yoke_checkpoint() says so. */
#define yoke_await(f, T)                                                                                               \
    __extension__({                                                                                                    \
        yoke_future *yk_awaited = (f);                                                                                 \
        T yk_value;                                                                                                    \
        memset((void *)&yk_value, 0, sizeof yk_value);                                                                 \
        yk_must(yk_awaited, yk_result(yk_awaited, YK_CODE(T), &yk_value, sizeof yk_value), __FILE__, __LINE__);        \
        yk_value;                                                                                                      \
    })

/* The error of a job that has ended: its code (0 for a value; -EAGAIN while it has not ended) and its text, as
 * "integrate: n must be positive, got -1 (integrate.c:12)", "" for none. Looking at either counts as having seen the
 * error. The text is owned by the future. */
YOKE_API int yoke_code(yoke_future *f);
YOKE_API const char *yoke_error(yoke_future *f);

/* Asks the job not to run. Returns 0 when it had not started: it ends with -ECANCELED at once. Returns -EINPROGRESS
 * when it runs: yoke_cancelled() is true in it from now on, and how it ends is up to the task. Returns -EALREADY when
 * it has ended. */
YOKE_API int yoke_cancel(yoke_future *f);

/* What the task last gave to yoke_progress(); 0 of 0 before that. */
YOKE_API void yoke_future_progress(yoke_future *f, double *done, double *total);

/* Calls fn(f, arg) once when the job has ended, in the thread that ends it, or at once when it has ended already. fn
 * must not block. Several are called in the order added. Returns 0 or -ENOMEM. */
YOKE_API int yoke_then(yoke_future *f, void (*fn)(yoke_future *f, void *arg), void *arg);

/* A future that ends when all n have ended: without a value, or with the error of the first (by index) that failed.
 * The inputs are kept alive by it and stay yours. n may be 0. NULL when out of memory. */
YOKE_API yoke_future *yoke_all(yoke_future *const *fs, size_t n);

/* A future of type size_t that ends as soon as one of n has ended, whatever the outcome: its index. n must be > 0.
 * NULL when out of memory. */
YOKE_API yoke_future *yoke_any(yoke_future *const *fs, size_t n);

/* Futures in the order in which they end:
 *     yoke_completion *c = yoke_as_completed(fs, n);
 *     while ((f = yoke_next_completed(c))) ...
 *     yoke_completion_close(c);
 * Each is given out once; NULL when all have been. More can be added while iterating. yoke_next_completed_timed() and
 * yoke_next_completed_until() return 0 and a future, -ETIMEDOUT when the time is over, or -ENOENT when none is left. One thread
 * iterates at a time. A coroutine that is told to stop: -ECANCELED, and NULL of yoke_next_completed(). -ECHILD, likewise: this is
 * a child made by fork(), where none of the rest ends. */
typedef struct yoke_completion yoke_completion;
YOKE_API yoke_completion *yoke_as_completed(yoke_future *const *fs, size_t n);
YOKE_API int yoke_completion_add(yoke_completion *c, yoke_future *f);
YOKE_API yoke_future *yoke_next_completed(yoke_completion *c);
YOKE_API int yoke_next_completed_timed(yoke_completion *c, int64_t ns, yoke_future **ret);
YOKE_API int yoke_next_completed_until(yoke_completion *c, int64_t deadline, yoke_future **ret);
YOKE_API void yoke_completion_close(yoke_completion *c);

/* One more holder, who must also release. Returns f. */
YOKE_API yoke_future *yoke_ref(yoke_future *f);

/* Gives the future back; what its result points to goes with the last holder. The job still runs. Returns NULL, so
 * that f = yoke_release(f) reads well. NULL is allowed. A job that fails and whose error nobody ever looked at is
 * reported, see yoke_on_lost_error(). */
YOKE_API yoke_future *yoke_release(yoke_future *f);

/* What is done with errors that nobody looked at: fn(text, arg); NULL ignores them. At first they are written to
 * stderr as "yoke: error never looked at: ...". Set it before submitting. */
YOKE_API void yoke_on_lost_error(void (*fn)(const char *text, void *arg), void *arg);

/* Behind the macros. */
YOKE_API int yk_result(yoke_future *f, unsigned code, void *ret, size_t size);
YOKE_API void yk_must(yoke_future *f, int err, const char *file, int line);

#ifdef __cplusplus
}
template <class T> struct yk_no_ref {
    typedef T type;
};
template <class T> struct yk_no_ref<T &> {
    typedef T type;
};
#endif
#endif
