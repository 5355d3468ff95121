/* yoke/executor.h - executors: places where tasks run, each made from a string.
 *
 *     yoke_executor *ex = yoke_open("threads:4");
 *     yoke_future *f = yoke_submit(ex, integrate, 0, 1, 1000);
 *     double v = yoke_await(f, double);
 *     yoke_close(ex);
 *
 *     inline          runs each job inside yoke_submit(); for tests and debugging
 *     threads[:N]     N threads of this process, default: the CPUs that affinity and cgroup quota allow. A task that blocks in
 *                     yoke lends its place to a further thread; yoke/pool.h says how many at most
 *     async[:N]       tasks are coroutines (yoke/async.h), thousands at a time, on N loops with a thread each, default: one. For
 *                     tasks that wait, in yoke's calls; one that computes, or blocks otherwise, holds up its loop. Once begun a
 *                     task stays on its loop. A cancel and a time limit end its waits. A task for which there is no memory for
 *                     a stack waits until another has ended; when all that have begun wait, without a time limit, for jobs of
 *                     the executor, some of the jobs waited for that have not begun fail with -ENOMEM. While one of them waits
 *                     for anything else (a lock, an event, a descriptor), which may yet come, none fails. The deadline of a job
 *                     waited for is a time limit; its timeout is one from the attempt's beginning on.
 *                     yoke_all() and yoke_any() are looked into, 16 deep
 *     processes[:N]   N worker processes; a crash costs only the job that ran. Open it before starting threads of your
 *                     own and after loading modules: workers are made by fork().
 *     processes[:N]:DEVICE  the same with a device for the tasks of each worker, and one worker by default:
 *                     "processes:cuda:0", "processes:2:opencl". A device that is lost costs only the job that ran.
 *     cuda[:N]        tasks that own a CUDA device, one at a time; kernels run on it (yoke/kernel.h). Also by the names of
 *     opencl[:N]      yoke/gpu.h: "cuda:GPU-4f2a", "opencl:pocl"
 *     gpu             the workers of `threads`, which give a kernel to a GPU where that is cheaper for them; YOKE_DEVICE, or
 *                     "gpu:opencl:1", says which. Without a GPU they do all themselves
 *     cpu[:N]         `threads`, whose device (yoke_current_device()) is the CPU
 *
 * NULL in place of an executor means, in every call but yoke_close() and yoke_close_now(), for which it is nothing to close: in
 * the body of a fork, a loop or an algorithm the executor that the innermost such call is on, whose pool runs the body;
 * elsewhere in a task the executor that runs it (yoke_current_executor()); anywhere else the process's own pool, `threads` with
 * its defaults (yoke_own_threads()). In a child that a task makes by fork() it is the child's own pool.
 *
 * In C++ an exception that leaves a task's body ends the program on `inline` and `threads`, as it does in a thread of
 * yoke/thread.h, even if somebody above would catch it; on `processes` it is the job's error, as any crash of the worker.
 *
 * Every job ends exactly once, with a value or an error that names task, cause and place. An executor belongs to the
 * process that opened it: in a child made by fork() every submit fails with -ECHILD; open another one there.
 */
#ifndef YOKE_EXECUTOR_H
#define YOKE_EXECUTOR_H
#pragma GCC system_header
#include <yoke/task.h>
#include <yoke/future.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_executor yoke_executor;

/* Opens the executor named by uri. Never NULL: one that could not start still accepts submits, and each of them fails
 * with the reason, which yoke_executor_error() also tells. Close it with yoke_close() either way. */
YOKE_API yoke_executor *yoke_open(const char *uri);

/* 0, or the negative code for which the executor could not start. */
YOKE_API int yoke_executor_status(yoke_executor *ex);

/* The reason as one line of text, or "" when all is well. Valid until yoke_close(). */
YOKE_API const char *yoke_executor_error(yoke_executor *ex);

/* How many jobs it runs at the same time; 0 when it could not start. */
YOKE_API unsigned yoke_executor_width(yoke_executor *ex);

/* Waits until every job has ended, then stops the workers, releases what is left of the futures (reporting errors that
 * nobody looked at, see yoke_on_lost_error()) and frees the executor. Futures of the executor are invalid afterwards,
 * and so are results that they own. NULL is allowed. Not from inside a task that the executor runs (-EDEADLK, nothing
 * done). Returns 0. */
YOKE_API int yoke_close(yoke_executor *ex);

/* Like yoke_close(), after cancelling every job that has not started and asking those that run to stop; workers in
 * processes are killed. */
YOKE_API int yoke_close_now(yoke_executor *ex);

/* How a job is to be run; zero is the default of each. Times are in nanoseconds. */
#define YK_OPTION_FIELDS                                                                                               \
    uint32_t retries;          /* further attempts after a failed one; not after cancel or deadline, and   \
                                * after a timeout only where the task can be ended (processes) */                 \
    int32_t priority;          /* above 0: before others that wait; below 0: after them */                             \
    int64_t backoff;           /* pause before the first retry, doubled for each one (at most 1 minute); 0: 10 ms */   \
    int64_t timeout;           /* longest time one attempt may run; then the job fails with -ETIMEDOUT */              \
    int64_t deadline;          /* absolute time at which the job fails with -ETIMEDOUT, started or not; 0: never */    \
    struct yoke_future *after; /* start when this one has succeeded; if it fails, so does the job (-ECANCELED) */
typedef struct yoke_opts {
    YK_OPTION_FIELDS
} yoke_opts;
/* What a timeout can do depends on the executor: processes kill the worker and replace it; threads and inline cannot
 * interrupt a function, so yoke_cancelled() becomes true in it, the future fails at once (inline: when the task
 * returns), and the thread is busy until the task returns. */

/* Submits task(args...) and returns its future, never NULL: what is wrong with the arguments, the options or the
 * executor is the future's error. Arguments are checked and copied before it returns, except the elements of array
 * views on executors that share memory: those must stay valid until the job has ended, and for out and inout views
 * that holds on every executor. A view that is written belongs to one job at a time, all of it (yoke/task.h). Any thread, any
 * context. */
#define yoke_submit(ex, ...) YK_CAT(YK_SUBMIT_, YK_HAS_MORE(__VA_ARGS__))(ex, NULL, __VA_ARGS__)

/* The same with options in parentheses: yoke_opt_submit(ex, (retries = 3, timeout = 2 * YOKE_S), integrate, 0, 1, 9) */
#define yoke_opt_submit(ex, OPTIONS, ...) YK_OPT_SUBMIT(ex, OPTIONS, YK_FIRST(__VA_ARGS__, ~), __VA_ARGS__)

/* Arguments by name, defaults for the rest: yoke_kw_submit(ex, integrate, n = 50), or none: yoke_kw_submit(ex, integrate).
 * An argument with a comma inside braces needs parentheses. Parameters that have neither a value nor a default are zero. */
#define yoke_kw_submit(ex, ...) YK_CAT(YK_KW_SUBMIT_, YK_HAS_MORE(__VA_ARGS__))(ex, __VA_ARGS__)

/* yoke_raw_submit(ex, task, args, opts), declared in yoke/task.h: the untyped form, for bindings and for tasks found
 * by name. args is the task's argument struct: parameter i lies at params[i].offset. opts may be NULL. */

#define YK_FIRST(first, ...) first
#define YK_ASSIGN(object, assignment) object.assignment;
#define YK_KW_SUBMIT_0(ex, N) YK_KW_SUBMIT(ex, N, )
#define YK_KW_SUBMIT_1(ex, N, ...) YK_KW_SUBMIT(ex, N, YK_MAP(YK_ASSIGN, yk_kw, YK_NOTHING, __VA_ARGS__))
#define YK_KW_SUBMIT(ex, N, ASSIGNMENTS)                                                                               \
    __extension__({                                                                                                    \
        (void)&yoke_task_##N;                                                                                          \
        struct yoke_args_##N yk_kw;                                                                                    \
        memset(&yk_kw, 0, sizeof yk_kw);                                                                               \
        if (yoke_task_##N.defaults) /* a task without parameters has none */                                           \
            yoke_task_##N.defaults(&yk_kw);                                                                            \
        ASSIGNMENTS                                                                                                    \
        yoke_raw_submit((ex), &yoke_task_##N, &yk_kw, NULL);                                                           \
    })
#define YK_SUBMIT_0(ex, options, N) ((void)&yoke_task_##N, yoke_submit_##N(ex, options))
#define YK_SUBMIT_1(ex, options, N, ...) ((void)&yoke_task_##N, yoke_submit_##N(ex, options, __VA_ARGS__))
#define YK_OPT_SUBMIT(ex, OPTIONS, N, ...) YK_OPT_SUBMIT_(ex, OPTIONS, N, __VA_ARGS__)
#define YK_OPT_SUBMIT_(ex, OPTIONS, N, ...)                                                                            \
    YK_WITH_OPTIONS(N, OPTIONS, YK_CAT(YK_SUBMIT_, YK_HAS_MORE(__VA_ARGS__))(ex, &yk_options.yk_all, __VA_ARGS__))
/* The value of CALL, in which the options are yk_options.yk_all. */
#define YK_WITH_OPTIONS(N, OPTIONS, CALL)                                                                              \
    __extension__({                                                                                                    \
        union options_of_##N {                                                                                         \
            struct {                                                                                                   \
                YK_OPTION_FIELDS                                                                                       \
            };                                                                                                         \
            yoke_opts yk_all;                                                                                          \
        } yk_options;                                                                                                  \
        memset(&yk_options, 0, sizeof yk_options);                                                                     \
        YK_MAP(YK_ASSIGN, yk_options, YK_NOTHING, YK_UNWRAP OPTIONS)                                                   \
        CALL;                                                                                                          \
    })

/* Memory that workers of this executor see at the same address: a view of it travels to `processes` without being
 * copied, in either direction: a result that is a view into such an argument lies there too, and is valid until that
 * memory is freed. On executors that share memory anyway it is ordinary memory. Aligned to 64 bytes, not
 * zeroed; NULL when there is none left. Free it with yoke_shared_free() before yoke_close(), when no job uses it any
 * more. Any thread of the process that opened the executor. */
YOKE_API void *yoke_shared_alloc(yoke_executor *ex, size_t size);
YOKE_API void yoke_shared_free(yoke_executor *ex, void *memory);

#ifdef __cplusplus
}
#endif
#endif
