/* yoke/thread.h - threads for people: start, name, join, result and error; values per thread; timers.
 *
 *     YOKE_TASK(double, integrate, (double, a), (double, b), (long, n)) { ... }
 *
 *     yoke_thread *t = yoke_thread_start("left half", integrate, 0, 0.5, 1000000);
 *     double v;
 *     if (yoke_thread_try(t, &v) < 0)                      // joins
 *         fprintf(stderr, "%s\n", yoke_thread_error(t));   // 'thread "left half": integrate: ...': who, what, why
 *     yoke_thread_release(t);
 *
 * A thread runs a task (yoke_thread_start) or a plain function (yoke_thread_call). Use threads for what goes on beside the
 * rest of the program: a loop that waits for something, one that owns a device. For work that is to be done as fast as possible
 * use an executor, which has as many threads as there are CPUs.
 *
 * In a thread all that a task can do works: yoke_fail(), yoke_cancelled(), yoke_alloc(). yoke_current_executor() is the
 * process's own pool (yoke_own_threads()), on which forks and loops spread too.
 *
 * When the program ends, by exit() or by returning from main(), all threads are waited for that were not started in the
 * background, as in Python. That is done by atexit(), registered by the first start of a thread: functions that were given to
 * atexit() before it run after all threads have ended. _exit(), abort() and pthread_exit() in main() do not wait, nor does
 * exit() wait for the very thread that calls it.
 *
 * A thread that crashes (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT; overflow of its stack too) is named on stderr:
 * 'yoke: thread "left half" died of SIGSEGV in integrate (started at main.c:7)'. Then whoever handled the signal before the first
 * thread was started handles it: the program dies of it as usual, with its core dump.
 *
 * After fork() the child has the calling thread alone: the others' handles can be released there, and joins return -ECHILD.
 */
#ifndef YOKE_THREAD_H
#define YOKE_THREAD_H
#pragma GCC system_header
#include <yoke/executor.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_thread yoke_thread;

/* How a thread is to be; zero is the default of each. */
#define YK_THREAD_FIELDS                                                                                               \
    const char *name; /* copied, at most 63 bytes; the kernel's own (top -H, gdb) has its first 15. NULL: the task's */ \
    size_t stack;     /* bytes of stack; 0: the system's default, usually 8 MiB */                                     \
    bool background;  /* the end of the program does not wait for it, but ends it at whatever it does */
typedef struct yoke_thread_opts {
    YK_THREAD_FIELDS
} yoke_thread_opts;

/* Starts task(args...) in a thread of its own. What is wrong with the arguments, or keeps the thread from starting, is the
 * thread's error. Arguments are copied as by yoke_submit(). NULL only when out of memory; every function here takes NULL for
 * that. Any thread, any context. Give the handle back with yoke_thread_release(). */
#define yoke_thread_start(NAME, ...) yoke_opt_thread_start((name = (NAME)), __VA_ARGS__)

/* The same with options in parentheses: yoke_opt_thread_start((name = "log", background = true), write_log, "x.log") */
#define yoke_opt_thread_start(OPTIONS, ...)                                                                            \
    YK_THREAD_WITH(OPTIONS, yk_thread_of(YK_CAT(YK_SUBMIT_, YK_HAS_MORE(__VA_ARGS__))(yk_thread_executor(), NULL, __VA_ARGS__), \
                                         &yk_how.yk_all, __FILE__, __LINE__))

/* Starts fn(arg), with int fn(void *arg), in a thread of its own. A negative value of fn is the error with which the thread
 * ends (yoke_fail() adds a text); any other is its result, an int. What arg points to is the caller's, and must stay. */
#define yoke_thread_call(NAME, fn, arg) yoke_opt_thread_call((name = (NAME)), fn, arg)
#define yoke_opt_thread_call(OPTIONS, fn, arg)                                                                         \
    YK_THREAD_WITH(OPTIONS, yk_thread_plain((fn), (arg), #fn, &yk_how.yk_all, __FILE__, __LINE__))

#define YK_THREAD_WITH(OPTIONS, START)                                                                                 \
    __extension__({                                                                                                    \
        union {                                                                                                        \
            struct {                                                                                                   \
                YK_THREAD_FIELDS                                                                                       \
            };                                                                                                         \
            yoke_thread_opts yk_all;                                                                                   \
        } yk_how;                                                                                                      \
        memset(&yk_how, 0, sizeof yk_how);                                                                             \
        YK_MAP(YK_ASSIGN, yk_how, YK_NOTHING, YK_UNWRAP OPTIONS)                                                       \
        START;                                                                                                         \
    })

/* Waits until the thread has ended; when it returns, its stack and all its values (YOKE_LOCAL) are gone. Returns 0 when it ended
 * well, else its error (yoke_thread_error() has the text). May be called many times, by several threads at once. The _until
 * form, and the _timed one (ns nanoseconds; less than 0 is 0), return -ETIMEDOUT when the time is over first, which a task's own
 * error may be too: then yoke_thread_done() is true. -EDEADLK, and no wait: a thread that joins itself, or (without a time limit)
 * one that waits for it; yoke_deadlock() says who waits for whom. -EINVAL: a thread that yoke did not start, or NULL. -ECHILD: a
 * thread of the parent process. In a coroutine (yoke/async.h) they suspend it; -ECANCELED: it was told to stop, and the thread
 * goes on. */
YOKE_API int yoke_thread_join(yoke_thread *t);
YOKE_API int yoke_thread_join_timed(yoke_thread *t, int64_t ns);
YOKE_API int yoke_thread_join_until(yoke_thread *t, int64_t deadline);

/* yoke_thread_try(t, &value): joins; then writes the result and returns 0, or returns the error. As yoke_try(). */
#define yoke_thread_try(t, ret)                                                                                        \
    __extension__({                                                                                                    \
        yoke_thread *yk_t = (t);                                                                                       \
        int yk_e = yoke_thread_join(yk_t);                                                                             \
        yk_e < 0 ? yk_e : yoke_try(yoke_thread_future(yk_t), (ret));                                                   \
    })

/* True when the thread has ended. Never blocks. False for NULL. */
YOKE_API bool yoke_thread_done(yoke_thread *t);

/* The error with which it ended as text, "" for none or while it runs. Valid until release. */
YOKE_API const char *yoke_thread_error(yoke_thread *t);

/* What the thread runs, as a future: for yoke_cancel(), yoke_await(), yoke_then(), yoke_all() and the others. It ends
 * just before the thread does. Owned by the thread, yoke_ref() to keep it. NULL for NULL and for threads that yoke did not
 * start. */
YOKE_API yoke_future *yoke_thread_future(yoke_thread *t);

/* Gives the handle back; the thread goes on, and is waited for at the end of the program unless it is in the background.
 * Returns NULL. An error that nobody looked at is reported as for futures. NULL is allowed. */
YOKE_API yoke_thread *yoke_thread_release(yoke_thread *t);

/* ---- Who am I, and who else is there ---- */

enum yoke_thread_kind {
    YOKE_THREAD_STARTED, /* by yoke_thread_start() or yoke_thread_call() */
    YOKE_THREAD_MAIN,    /* the first of the process; after fork() the one that called it */
    YOKE_THREAD_WORKER,  /* of a pool of threads */
    YOKE_THREAD_OTHER    /* started in another way, pthread_create() say */
};

/* The calling thread; not to be released. Valid until the thread ends. NULL: out of memory. */
YOKE_API yoke_thread *yoke_thread_current(void);

/* The name as it was given, "main", or the kernel's. Valid as long as the handle. */
YOKE_API const char *yoke_thread_name(yoke_thread *t);

/* The kernel's number (gettid(2)), which top, gdb and /proc show; 0 before it runs and after it has ended. */
YOKE_API int yoke_thread_id(yoke_thread *t);

/* What kind of thread it is. -EINVAL for NULL. */
YOKE_API int yoke_thread_kind_of(yoke_thread *t);

/* True when it was started in the background. */
YOKE_API bool yoke_thread_is_background(yoke_thread *t);

/* One more holder, who must also release. Returns t. Not for threads that yoke did not start (they are returned as they are). */
YOKE_API yoke_thread *yoke_thread_ref(yoke_thread *t);

/* Calls fn(t, arg) for each thread that lives and that yoke knows: those it started, workers of its pools, and others that have
 * asked for yoke_thread_current(); in no order, until fn returns other than 0. Returns that value, 0, or -ENOMEM. t is valid
 * during the call only, unless fn takes a reference. */
YOKE_API int yoke_each_thread(int (*fn)(yoke_thread *t, void *arg), void *arg);

/* ---- Values per thread ---- */

/* YOKE_LOCAL(counter, hits, start, finish); at file scope: each thread has a counter of its own, and the function
 * `counter *hits(void)` returns the calling thread's. It is made by the first call: zeroed, then start(counter *) is called if it
 * is not NULL. When the thread ends (the main thread: when the program does), finish(counter *) is called unless it is
 * NULL, newest value first. finish may use other such values, even make new ones. There may be any number of them.
 * NULL: out of memory. */
#define YOKE_LOCAL(T, NAME, START, FINISH)                                                                             \
    static void yk_start_##NAME(void *yk_v)                                                                            \
    {                                                                                                                  \
        void (*yk_f)(T *) = START;                                                                                     \
        if (yk_f)                                                                                                      \
            yk_f((T *)yk_v);                                                                                           \
    }                                                                                                                  \
    static void yk_finish_##NAME(void *yk_v)                                                                           \
    {                                                                                                                  \
        void (*yk_f)(T *) = FINISH;                                                                                    \
        if (yk_f)                                                                                                      \
            yk_f((T *)yk_v);                                                                                           \
    }                                                                                                                  \
    static __thread void *yk_mine_##NAME;                                                                              \
    static inline YK_MAYBE T *NAME(void)                                                                               \
    {                                                                                                                  \
        if (__builtin_expect(!yk_mine_##NAME, 0))                                                                      \
            yk_local_make(&yk_mine_##NAME, sizeof(T), yk_start_##NAME, yk_finish_##NAME);                              \
        return (T *)yk_mine_##NAME;                                                                                    \
    }                                                                                                                  \
    struct yk_local_##NAME

/* Behind the macros. */
struct yoke_executor;
YOKE_API struct yoke_executor *yk_thread_executor(void);
YOKE_API yoke_thread *yk_thread_of(yoke_future *f, const yoke_thread_opts *how, const char *file, int line);
YOKE_API yoke_thread *yk_thread_plain(int (*fn)(void *arg), void *arg, const char *fn_name, const yoke_thread_opts *how,
                                      const char *file, int line);
YOKE_API void yk_local_make(void **mine, size_t size, void (*start)(void *value), void (*finish)(void *value));

/* ---- Timers ---- */

/* A function that is called later, once or again and again. All timers of a process share one thread; a function that runs in it
 * must not block, or the others are late; one that takes its time belongs on an executor.
 *
 * A child made by fork() begins without timers: the parent's are never called there, go on in the parent, cannot be cancelled
 * (false), and are given back by yoke_timer_release(), which waits for nothing; it may start its own. A function that runs in the
 * timers' thread may fork itself: in the child that is the only thread, which ends when the function returns, and with it, unless
 * others were started, the process, as by exit(0). One that runs on an executor and forks ends the child itself, with _exit() or
 * execve(). */
typedef struct yoke_timer yoke_timer;

/* How a timer is to be; zero is the default of each. Times are in nanoseconds. */
typedef struct yoke_timer_opts {
    int64_t delay;            /* from now to the first call; less than 0 is 0 */
    int64_t period;           /* from one call to the next; 0: there is one call */
    struct yoke_executor *on; /* where fn runs, as a job; NULL: in the timer's own thread */
} yoke_timer_opts;

/* Calls fn(arg) as `how` says. A periodic timer does not drift: call number k is due at the first one's time plus k periods,
 * however late the others were. A call that is due while the one before it is still going on (or was late by a period or more) is
 * skipped and counted. 0, -EINVAL (period < 0, no fn), -ENOMEM or -EAGAIN (no thread). Any thread, any context. */
YOKE_API int yoke_timer_start(const yoke_timer_opts *how, void (*fn)(void *arg), void *arg, yoke_timer **ret);

/* True when fn will not be called (any more), and would have been; false when it has been called for the last time, is being
 * called for the last time just now, or was cancelled before. A call under way is not waited for: see release. */
YOKE_API bool yoke_timer_cancel(yoke_timer *t);

/* How many times fn was called, and how many calls were skipped. 0 for NULL. */
YOKE_API uint64_t yoke_timer_calls(yoke_timer *t);
YOKE_API uint64_t yoke_timer_skipped(yoke_timer *t);

/* Cancels the timer and gives it back; a call under way is waited for first (unless it is that call which releases), so that arg
 * can be freed afterwards. Release before closing the executor it runs on. Returns NULL. NULL is allowed. */
YOKE_API yoke_timer *yoke_timer_release(yoke_timer *t);

#ifdef __cplusplus
}
#endif
#endif
