/* exec: jobs, futures and the interface of executors; the inline executor; the timer. Floor 2. */
#ifndef YK_EXEC_H
#define YK_EXEC_H
#include "base/base.h"
#include "sync/mutex.h"
#include "sync/wait.h"
#include "sync/who.h"
#include "task/task.h"
#include "topo/topo.h"
#include <yoke/executor.h>
#include <yoke/future.h>

#define YK_CANCEL 0x200u

/* ---- One attempt (run.c): the place where tasks run, in every executor and every process ---- */

/* What a task sees while it runs, and how it ended. The runner fills the first part, yk_job_run() the second. */
typedef struct yk_run {
    _Alignas(16) const yoke_task *task; /* the low bits of a run's address are free for flags: threads/fork.c */
    const void *args;
    void *ret;                       /* at least ret_size bytes, 16-byte aligned */
    yk_region *region;               /* yoke_alloc() and error texts */
    const _Atomic uint32_t *cancel;  /* has the bit YK_CANCEL when the task should stop */
    _Atomic double *progress;        /* [0] done, [1] total; may be NULL */
    atomic_bool *progressed;         /* set when progress is written; may be NULL */
    int64_t deadline;                /* or YOKE_FOREVER */
    int64_t timeout;                 /* if that is why there is a deadline, else 0; for the error's text */
    yoke_executor *executor;         /* yoke_current_executor() */
    uint32_t attempt;                /* 1, 2... */
    bool timed;                      /* started and ended are wanted */

    int code;                        /* 0 or the negative code of yoke_fail() */
    const char *error;               /* its text, in region or static */
    int64_t retry_after;             /* >= 0: yoke_retry() asked for another attempt after this long; else -1, or YK_NO_RETRY */
    int64_t started, ended;          /* yoke_now(), if timed or if there is a deadline */
    struct yk_run *outer;            /* the run this one interrupted on the same thread, for inline executors */

    /* Parts of the task that run on other threads (threads/fork.c) have the same yk_run. */
    _Atomic bool shared;             /* there are such parts: lock before region, code and error are touched */
    _Atomic bool failed;             /* code is not 0 */
    _Atomic bool cut;                /* a part has been left out because the run was over */
    yk_mutex lock;
} yk_run;

/* What this thread runs; each coroutine of a thread has its own. Through the functions below; as a whole only by who changes from
 * one coroutine to another. */
typedef struct yk_running {
    yk_run *run;
    void *scope;
} yk_running;
extern _Thread_local yk_running yk_running_here __attribute__((tls_model("initial-exec")));

/* Calls the task; returns run->code. */
int yk_job_run(yk_run *run);
/* For a task's thunk: the current run has failed with exactly this text, and another attempt would fare no better. */
void yk_run_refuse(int code, const char *text);
#define YK_NO_RETRY (-2)
/* The run of this thread, or NULL. */
yk_run *yk_current_run(void);
/* Makes this thread part of another run, or of none; returns the one it was part of. */
yk_run *yk_run_enter(yk_run *run);
/* What the body on top of this thread's stack has open: a scope of arrays (gpu/array.c). A body that is run meanwhile, a stolen
 * part or a job on an inline executor, begins with none: whoever runs it enters NULL, and afterwards what was there. */
void *yk_scope(void);
void *yk_scope_enter(void *scope); /* returns the one before */
/* A call from outside of any job, of a fork, a loop or an algorithm: for its time the thread has a run, of no job, so that
 * yoke_fail() in any part ends all parts. Lies on the caller's stack; inside a job or another such call it is nothing. */
typedef struct yk_outside {
    yk_run run;
    yk_region region;
    _Atomic uint32_t never; /* run.cancel */
    bool ours;              /* run is the thread's */
} yk_outside;
void yk_outside_begin(yk_outside *o);
/* err, or the code of yoke_fail() when the call was of no job: then nobody else could look at the error, so it is reported as
 * one that nobody looked at. */
int yk_outside_end(yk_outside *o, int err);
/* Tells whoever yoke_on_lost_error() named. */
void yk_report_lost_text(const char *text);
/* False for a call from outside of any job. */
static inline bool yk_run_is_task(const yk_run *run)
{
    return run->attempt > 0;
}
/* Called when a run has failed, for whoever has parts of it. */
extern void (*yk_run_failed_hook)(yk_run *run);

/* What NULL means; set by the part that has loops and the process's own pool. */
extern yoke_executor *(*yk_default_executor_hook)(void);
/* ex; for NULL what it means in every call: the executor of the body that asks, else of the task, else the process's own pool. */
yoke_executor *yk_executor_or_default(yoke_executor *ex);

/* True when nobody wants the rest of what a run does: it has failed, or is to stop. */
static inline bool yk_run_is_over(const yk_run *run)
{
    return atomic_load_explicit(&run->failed, memory_order_relaxed) ||
           (atomic_load_explicit(run->cancel, memory_order_relaxed) & YK_CANCEL);
}

/* The same for who then leaves a part of it out. */
static inline bool yk_run_cut(yk_run *run)
{
    bool over = yk_run_is_over(run);
    if (YK_UNLIKELY(over))
        atomic_store_explicit(&run->cut, true, memory_order_relaxed); /* whoever waits for the part synchronises */
    return over;
}

/* ---- Timer (timer.c): one thread for all deadlines and pauses, started when first needed ---- */

/* Lies in the memory of whoever waits, so setting one allocates nothing. {.at = YK_TIMER_OFF} at first. */
typedef struct yk_timer {
    int64_t when;
    void (*fn)(void *arg);
    void *arg;
    size_t at; /* place in the heap, or YK_TIMER_OFF */
} yk_timer;
#define YK_TIMER_OFF SIZE_MAX
/* Calls fn(arg) at time `when`, in the timer's thread; fn must not block, and t must stay until fn has been called or
 * yk_timer_stop() has returned true. 0, -ENOMEM or -EAGAIN. */
int yk_timer_start(yk_timer *t, int64_t when, void (*fn)(void *arg), void *arg);
/* Only in fn, and for its own timer, once: the same again at time `when`. Its place has been kept, so this cannot fail. */
void yk_timer_again(yk_timer *t, int64_t when);
/* Between enter and leave one may use timers; when the last has left, their thread ends (so not in that thread). */
void yk_timer_enter(void);
void yk_timer_leave(void);
/* Returns when the call that the timer's thread was making, if any, is over; not for use in such a call. */
void yk_timer_flush(void);
/* True when fn will not be called; false when it has been, is being, or never was to be called. */
bool yk_timer_stop(yk_timer *t);
/* Starts a thread of yoke's own: signals blocked except those of faults. stack 0: the default. 0 or a negative code. */
extern void (*yk_thread_hook)(void); /* called first in each thread that may run tasks; the command's crash handler */
int yk_thread_start(pthread_t *thread, size_t stack, void *(*fn)(void *), void *arg);

/* ---- Jobs (job.c) ---- */

/* Phases of job->state, in order; the job has ended from YK_DONE on. The one who moves it from YK_WAITING, YK_QUEUED or
 * YK_RUNNING to YK_ENDING decides how it ends. */
enum {
    YK_WAITING,  /* for `after` or for the pause before a retry */
    YK_QUEUED,   /* the executor has it */
    YK_RUNNING,  /* a worker has it */
    YK_ENDING,   /* the result is being written */
    YK_DONE,
    YK_PHASE = 0xf,
    YK_WAITERS = 0x100 /* somebody sleeps on state */
    /* YK_CANCEL = 0x200: somebody called yoke_cancel(), or the deadline has passed */
};

typedef struct yk_hook {
    struct yk_hook *next;
    void (*fn)(struct yk_hook *hook, yoke_future *job); /* called once when the job has ended; owns the hook */
} yk_hook;

/* Bytes for arguments, results and short texts: most tasks need no further memory. */
#define YK_JOB_INLINE 208

/* A job is a task with arguments on its way, and its future. Who writes what: the submitter fills it before it is
 * queued; then state decides.
 *
 * A small job touches the first two cache lines and that of its arguments, and no others, for each line that wanders between
 * two CPUs costs as much as all the rest of the job. What most jobs do not need stands behind `used`: while that is false, all
 * that follows it holds what yk_job_new() would put there. Who writes to it sets `used` before. */
typedef struct yoke_future {
    _Alignas(YK_CACHE_LINE) _Atomic uint32_t state; /* phase and flags; futex word of those who wait */
    _Atomic uint32_t refs;    /* holders: the user, and the executor until the job has ended */
    const yoke_task *task;
    void *args, *ret;         /* in inline_space, or in region when large; ret in small_ret when small */
    _Atomic(yk_hook *) hooks; /* newest first; YK_HOOKS_CLOSED once they have run */
    int code;                 /* final; written before YK_DONE, as are error and *ret */
    uint32_t attempt;         /* the one that runs or ran last; from 1 */
    char small_ret[16];

    yoke_executor *ex;
    struct yoke_future *next; /* in whatever queue holds it */
    yk_region region;         /* copies of arguments, what the result points to, texts */
    const char *error;
    _Atomic uint32_t uses;    /* how often this memory has been a job */
    atomic_bool seen;         /* somebody looked at the error */
    bool abortable;           /* has a deadline or a timeout: someone else than its worker may end it */
    bool isolated;            /* made by a thread that held a lock; see threads/fork.c */
    atomic_bool used;         /* see above */

    _Alignas(YK_CACHE_LINE) _Atomic(yk_who *) runner; /* the thread that runs an attempt just now, in this process */
    _Alignas(16) char inline_space[YK_JOB_INLINE];

    union {
        void *data;
        uint64_t number;
    } owner;                    /* the executor's own: where the job is */
    yoke_opts opts;
    int64_t queued, started, ended; /* of the last attempt; yoke_now(). queued: only when tracing; all: see ex->timed */
    void *held;                 /* the executor's own, given back through type->released() */
    struct yk_follower *waits;  /* for the job it comes after; guarded by a lock of job.c */
    void *cargo;                /* the executor's own, while it has the job; see type->unload() */
    int found_code;             /* the executor's own: how an attempt ended, before it is decided that so does the job */
    const char *found_error;
    int64_t found_pause;        /* retry_after of yk_job_finish() */
    uint32_t worker;            /* that ran the last attempt, from 0; as `started` */
    int32_t cause;              /* how a worker died: signal number, or 256 + exit code; 0: it did not */
    _Atomic double progress[2];
    uint64_t id;                /* number of the job among those of its executor that were traced */
    yk_timer deadline_timer; /* holds a reference while it is on, as does the next */
    yk_timer attempt_timer;  /* end of the attempt, or of the pause before the next */
    char *own_error;         /* error text with malloc, made while the region belonged to a running task */
    uint64_t user;              /* free for whoever submitted (the command's record number) */
} yk_job;

/* A job for task with room for its arguments at job->args (zeroed) and its result, not yet submitted; state YK_WAITING,
 * two references (the caller's and the executor's). NULL when out of memory. Arguments may be decoded straight into
 * job->args, with job->region for what they point to. */
yk_job *yk_job_new(yoke_executor *ex, const yoke_task *task);
/* Copies args (the caller's struct) into a new job: text and bytes are copied, views are checked. Returns 0 or a
 * negative code, with the text in e. */
int yk_job_fill(yk_job *job, const void *args, yk_error *e);
/* Both in one, and on its way at once: with no options and nothing to wait for there are fewer steps. NULL when out of memory. */
yk_job *yk_job_send(yoke_executor *ex, const yoke_task *task, const void *args, const yoke_opts *opts);
/* Sends the job on its way: checks options, waits for `after`, hands it to the executor. Any failure becomes the job's
 * own error. */
void yk_job_submit(yk_job *job, const yoke_opts *opts);

/* For executors. Claims a queued job for running: false when it was cancelled or claimed meanwhile (drop the executor's
 * reference with yk_job_drop() then). Sets state to YK_RUNNING, attempt and started. */
bool yk_job_claim(yk_job *job);
/* Takes back a claim: RUNNING to QUEUED (the worker died before it touched it, say). */
void yk_job_unclaim(yk_job *job);
/* Runs a claimed job here and now, in this thread, and ends it; worker is for traces. */
void yk_job_execute(yk_job *job, uint32_t worker);
/* Ends a claimed job, or arranges its retry. On success *ret (job->ret) has been written. error is copied unless it is in
 * job->region or static. retry_after as in yk_run. Consumes the executor's reference. */
void yk_job_finish(yk_job *job, int code, const char *error, int64_t retry_after);
/* Ends a job that has not started with an error; false when it had started or ended. Does not consume a reference. */
bool yk_job_abort_unstarted(yk_job *job, int code, const char *error);
/* The same also for one that is claimed only because it waits at its worker, who has not begun it. What runs is left alone. */
bool yk_job_take_back(yk_job *job, int code, const char *error);
/* Ends a claimed job in place of the one who claimed it and has given it up. */
bool yk_job_abort_claimed(yk_job *job, int code, const char *error);
/* Ends a job that was never submitted, with exactly this text, and gives up the executor's reference. */
void yk_job_refuse(yk_job *job, int code, const char *text);
/* Gives up the executor's reference of a job that was claimed by someone else. */
void yk_job_drop(yk_job *job);
/* "integrate: TEXT (integrate.c:12)" in the job's region, for errors that executors make. */
const char *yk_job_text(yk_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For yoke_close(): nobody but the caller and the executor's own threads will touch the job any more. It has ended. */
void yk_job_detach(yk_job *job);
/* Calls hook->fn when the job has ended: now, or later. */
void yk_job_hook(yk_job *job, yk_hook *hook);
/* The i-th thread that must go on before the job can end, as far as is known; for yk_wish_kind. */
yk_who *yk_job_holder(const yk_job *job, unsigned i);
/* Whether it is certain that the wait goes on until a job of ex, which the clock does not end, has gone on. If one of those that
 * would end it has not been begun, *ret is such a one, with a reference; else NULL. ret NULL: none is asked for. Under
 * yk_who_lock, under which no job is released: that may call the user's function for errors that nobody looked at. */
bool yk_wish_needs(const struct yk_wish *w, const yoke_executor *ex, yk_job **ret);
/* Spins briefly, if there are CPUs to spare, then sleeps until the job has ended or the deadline has passed: 0 or -ETIMEDOUT. */
int yk_job_sleep(yk_job *job, int64_t deadline);

static inline bool yk_job_ended(const yk_job *job)
{
    return (atomic_load_explicit(&job->state, memory_order_acquire) & YK_PHASE) == YK_DONE;
}

/* ---- Executors (executor.c) ---- */

enum {
    YK_SHARES_MEMORY = 1 << 0,  /* tasks see the caller's memory */
    YK_ISOLATED = 1 << 1,       /* a crash costs one job */
    YK_CAN_KILL = 1 << 2,       /* a timeout really ends the task */
    YK_SYNCHRONOUS = 1 << 3,    /* jobs run inside submit */
    YK_LEAN = 1 << 4            /* writes to nothing of a job that stands behind `used`, see yk_job */
};

/* One kind of executor. The core knows none by name: each registers itself from a constructor. */
typedef struct yk_executor_type {
    const char *scheme, *about; /* "threads", one line for `yoke doctor` */
    unsigned capabilities;
    unsigned most; /* workers it can have */
    bool optional; /* needs what most machines lack: that it is missing is nothing wrong */
    /* Opens. arg is what stood after "threads:", or "". Allocates a struct that begins with yoke_executor (zeroed), and
     * sets its width. On failure returns a negative code with the reason in e. */
    int (*open)(const char *arg, yoke_executor **ret, yk_error *e);
    /* Wakes whoever sleeps in wait(), for a job that ended without the executor's doing. NULL: they sleep on job->state. */
    void (*wake)(yoke_executor *ex);
    /* Takes a job in phase YK_QUEUED, with the executor's reference. Never fails: what goes wrong ends the job. */
    void (*submit)(yoke_executor *ex, yk_job *job);
    /* Waits until the job has ended or the deadline has passed; 0 or -ETIMEDOUT. NULL: sleep on job->state. */
    int (*wait)(yoke_executor *ex, yk_job *job, int64_t deadline);
    /* Runs the job in the calling thread if that is one of the executor's own workers and nobody has claimed it: true when it
     * has ended. NULL: never. */
    bool (*help)(yoke_executor *ex, yk_job *job);
    /* In a job, on one of the executor's own workers: the job that this worker would run next, if nobody else has it; it is
     * the caller's now, as it would be the worker's, to be claimed or dropped, or given back, when it is the next again. NULL:
     * there is none, or the thread is no such worker. Both NULL: never. */
    yk_job *(*take)(yoke_executor *ex);
    void (*give_back)(yoke_executor *ex, yk_job *job);
    /* Brings job->progress up to date. NULL: it always is. */
    void (*progress)(yoke_executor *ex, yk_job *job);
    /* Looks for news without blocking, for yoke_done(). NULL: nothing to do. */
    void (*poll)(yoke_executor *ex);
    /* The job has got the flag YK_CANCEL while it was claimed, because of yoke_cancel() or (`expired`) its deadline. True
     * when it had not really started and will never start: then the executor has forgotten it, and the caller ends it and
     * drops the executor's reference. NULL: the task will see the flag. */
    bool (*cancel)(yoke_executor *ex, yk_job *job, bool expired);
    /* Half of that: true as there, but a job that has started is left alone. NULL: what is claimed has started. */
    bool (*take_back)(yoke_executor *ex, yk_job *job);
    /* The last holder has let go of a job that has job->held set. */
    void (*released)(yoke_executor *ex, yk_job *job);
    /* Called once for each attempt with job->cargo, when it is decided what becomes of it: `wanted` when the job ends with its
     * result, which may only now be written to the caller's memory; before, someone else might have ended the job. */
    void (*unload)(yoke_executor *ex, yk_job *job, bool wanted);
    /* A hook was added to the job: its end must now be noticed even if nobody waits. NULL: it always is. */
    void (*hooked)(yoke_executor *ex, yk_job *job);
    /* `count` hooks so reported have been called. */
    void (*unhooked)(yoke_executor *ex, unsigned count);
    /* For yoke_close_now(): ends the running jobs by force. NULL: they see yoke_cancelled(). */
    void (*kill)(yoke_executor *ex);
    /* Ends all workers: after it nobody but the caller touches a job. Every job has ended. NULL: nothing to do. */
    void (*stop)(yoke_executor *ex);
    /* Frees what open made, the struct too. */
    void (*close)(yoke_executor *ex);
    /* What yoke_current_executor() is in its tasks. NULL: the executor itself. */
    yoke_executor *(*nested)(yoke_executor *ex);
    void *(*shared_alloc)(yoke_executor *ex, size_t size); /* NULL: malloc */
    void (*shared_free)(yoke_executor *ex, void *memory);
    /* Appends what this machine offers: one line or more, "  key: value\n". Returns 0 or why it cannot work here. */
    int (*doctor)(yk_buf *out, yk_error *e);
    struct yk_executor_type *next;
} yk_executor_type;

void yk_executor_register(yk_executor_type *type);
/* The registered types by their scheme's alphabet; NULL after the last. */
yk_executor_type *yk_executor_types(void);

/* What every executor's struct begins with. */
typedef struct yoke_executor {
    yk_executor_type *type;
    char *uri;
    unsigned width;
    int status;      /* why it could not start */
    char *reason;
    uint32_t fork_generation;
    atomic_bool closing;
    bool timed;                 /* whoever opened it wants started, ended and worker of each job */
    _Atomic uint32_t visitors;  /* threads of other executors that are just handing it a job */
    _Atomic uint64_t ids;       /* given to jobs that are traced */
    struct yk_job_pool *pool;   /* where its jobs live (slab.c) */
    struct yoke_device *device; /* that its tasks own, if any (gpu/executor.c) */
    const char *device_name;    /* opened as such when a task first asks for it; in worker processes alone */
} yk_executor_base;

/* An executor that nobody opens: made by its first use, closed when the program ends. {.type, .uri}. */
typedef struct yk_builtin {
    yoke_executor ex;
    yk_executor_type *type;
    char *uri;
    bool keep;            /* not even then: threads may still be running jobs */
    void *left_behind;    /* the pool of a parent process */
    struct yk_builtin *next;
} yk_builtin;
/* NULL: no memory. In a child made by fork() it starts anew. */
yoke_executor *yk_builtin_executor(yk_builtin *b);

/* Whether ex was opened before this process was made by fork(): its threads and locks are none of ours. */
static inline bool yk_is_of_parent(const yoke_executor *ex)
{
    return ex->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
}

/* What the part that has devices does for executors whose workers are processes (gpu/executor.c); NULL: there is no such part. */
typedef struct yk_device_care {
    /* Whether the name is one of a kind of device that a child of this process could open. Opens nothing. 0, or a negative
     * code with the reason in e. */
    int (*check)(const char *name, yk_error *e);
    /* In a worker, after each job on ex: true when this process can do no more with its device, and should end. */
    bool (*settle)(yoke_executor *ex);
} yk_device_care;
extern const yk_device_care *yk_device_care_hook;

/* Reads "8" of "processes:8" as a number of workers in 1..max; "" is fallback. */
int yk_width_arg(const char *scheme, const char *arg, unsigned fallback, unsigned max, unsigned *ret, yk_error *e);

/* ---- Trace ---- */
#include "trace/trace.h"

#endif
