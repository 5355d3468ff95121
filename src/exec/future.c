/* future: what the holder of a future can do: wait, look, take the value, cancel, release.
 *
 * Waiting is the executor's affair if it has a way of its own (type->wait); else it is a short spin and then sleep on the
 * job's state word. A worker thread that is about to sleep says so through yk_blocking (sync/wait.h), so that its pool can
 * let another thread work meanwhile. */
#include "exec/job.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* About one wake-up of a sleeping thread: spinning that long at most doubles the cost of the wait. */
enum { SPIN_NS = 20000, FIRST_SPINS = 64, SPINS_PER_LOOK = 8 };

static bool spin(yk_job *job)
{
    /* A job that a worker waits for ends within half a microsecond, which is what looking at the clock and yielding take. */
    for (int i = 0; i < FIRST_SPINS; i++) {
        if (yk_job_ended(job))
            return true;
        yk_pause();
    }
    int64_t end = yk_real_now() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (yk_job_ended(job))
                return true;
            yk_pause();
        }
        sched_yield(); /* the worker may have been woken on this very CPU */
    } while (yk_real_now() < end);
    return false;
}

/* A task that forks goes on in the child, and so do those below it on its thread's stack, and those of its loop, which takes more
 * from the queue. The copy of a thread of a pool, which has a way to help, takes none. */
static bool goes_on(const yk_job *job)
{
    const yk_run *run = yk_current_run();
    if (!run || run->executor != job->ex)
        return false;
    if ((atomic_load_explicit(&job->state, memory_order_relaxed) & YK_PHASE) < YK_RUNNING)
        return yk_is_coroutine() && !job->ex->type->help;
    const yk_who *runner = atomic_load_explicit(&job->runner, memory_order_relaxed);
    return runner && atomic_load_explicit(&runner->tid, memory_order_relaxed) == gettid(); /* or a coroutine of this thread's */
}

bool yk_single_is_lost(const yk_job *job)
{
    return yk_is_of_parent(job->ex) && !goes_on(job);
}

bool yk_job_is_lost(const yk_job *job)
{
    if (YK_LIKELY(atomic_load_explicit(&yk_fork_generation, memory_order_relaxed) == 0) || yk_job_ended(job))
        return false;
    return yk_is_made_of_others(job) ? yk_combined_is_lost(job) : yk_single_is_lost(job);
}

static int sleep_on(yk_job *job, int64_t deadline, unsigned how)
{
    for (;;) {
        uint32_t state = atomic_fetch_or_explicit(&job->state, YK_WAITERS, memory_order_acq_rel) | YK_WAITERS;
        if ((state & YK_PHASE) == YK_DONE)
            return 0;
        if (yk_job_is_lost(job))
            return -ECHILD;
        int err = yk_wait(&job->state, state, deadline, how); /* a fork ends it: the child looks again */
        if (yk_wait_is_over(err))
            return yk_job_ended(job) ? 0 : err;
    }
}

/* A coroutine does not spin: others run meanwhile. */
static bool spins(yk_job *job)
{
    return !yk_is_coroutine() && yk_cpus_to_spare() && spin(job);
}

int yk_job_sleep(yk_job *job, int64_t deadline)
{
    return spins(job) ? 0 : sleep_on(job, deadline, YK_WAIT_DEAF | YK_WAIT_JOB);
}

/* ---- Waits that would never be over ---- */

static yk_who *holder(const void *object, unsigned i)
{
    return yk_job_holder(object, i);
}

static void tell(const void *object, char *text, size_t size)
{
    const yoke_task *t = ((const yk_job *)object)->task;
    const char *slash = t->file ? strrchr(t->file, '/') : NULL;
    if (!t->file)
        snprintf(text, size, "waits for %s", t->name);
    else
        snprintf(text, size, "waits for %s (%s:%u)", t->name, slash ? slash + 1 : t->file, t->line);
}

const yk_wish_kind yk_job_wish = {.holder = holder, .tell = tell, .by = "run by"};

/* Like yk_job_sleep(), but -EDEADLK when the job cannot end before this thread goes on. */
static int sleep_with_care(yk_job *job, int64_t deadline)
{
    if (spins(job))
        return 0;
    yk_wish w;
    int err = yk_wish_begin(&w, &yk_job_wish, job, yk_wait_limit(deadline));
    if (err < 0)
        return err;
    err = sleep_on(job, deadline, YK_WAIT_JOB);
    yk_wish_end(&w);
    return err;
}

/* True when the job is being run by this very thread, further down its stack. */
static bool is_below(const yk_job *job)
{
    yk_who *runner = atomic_load_explicit(&job->runner, memory_order_relaxed);
    return runner && runner == yk_who_mine && !job->abortable;
}

/* In a child made by fork() a thread that is not there may hold the executor's lock, and the count is the parent's affair. */
void yk_job_heed(yk_job *job)
{
    if (job->ex->type->hooked && !yk_is_of_parent(job->ex))
        job->ex->type->hooked(job->ex, job);
}

void yk_job_unheed(yk_job *job, unsigned count)
{
    if (job->ex->type->unhooked && !yk_is_of_parent(job->ex))
        job->ex->type->unhooked(job->ex, count);
}

/* In a coroutine: the executor must notice the end by itself, as for a hook. */
static int wait_suspended(yk_job *job, int64_t deadline)
{
    yk_job_heed(job);
    int err = sleep_with_care(job, deadline);
    yk_job_unheed(job, 1); /* perhaps in a child that was made by fork() meanwhile */
    return err;
}

static int wait_until(yk_job *job, int64_t deadline)
{
    if (yk_job_ended(job))
        return 0;
    if (YK_UNLIKELY(is_below(job)))
        return yk_wish_own(&yk_job_wish, job);
    if (YK_UNLIKELY(yk_job_is_lost(job)))
        return -ECHILD;
    const yk_executor_type *type = job->ex->type;
    if (yk_is_coroutine())
        return wait_suspended(job, deadline);
    if (type->help && deadline == YOKE_FOREVER && type->help(job->ex, job))
        return 0;
    if (!type->wait)
        return sleep_with_care(job, deadline);
    yk_blocking *b = yk_block_begin();
    int err = type->wait(job->ex, job, deadline);
    yk_block_end(b);
    return err;
}

static void mark_seen(yk_job *job)
{
    if (job->code != 0)
        atomic_store_explicit(&job->seen, true, memory_order_relaxed);
}

int yoke_wait(yoke_future *f)
{
    return yoke_wait_until(f, YOKE_FOREVER);
}

int yoke_wait_until(yoke_future *f, int64_t deadline)
{
    if (!f)
        return -EINVAL;
    int err = wait_until(f, deadline);
    if (err < 0)
        return err;
    mark_seen(f);
    return f->code;
}

int yoke_wait_timed(yoke_future *f, int64_t ns)
{
    return yoke_wait_until(f, yk_after(ns));
}

bool yoke_done(yoke_future *f)
{
    if (!f)
        return false;
    if (!yk_job_ended(f) && f->ex->type->poll && !yk_is_of_parent(f->ex)) /* whose news are not for its child */
        f->ex->type->poll(f->ex);
    return yk_job_ended(f);
}

int yoke_code(yoke_future *f)
{
    if (!f)
        return -EINVAL;
    if (!yoke_done(f))
        return -EAGAIN;
    mark_seen(f);
    return f->code;
}

const char *yoke_error(yoke_future *f)
{
    if (!f)
        return "no future: out of memory";
    if (!yk_job_ended(f) || f->code == 0)
        return "";
    mark_seen(f);
    return f->error ? f->error : yoke_strerror(f->code);
}

int yoke_cancel(yoke_future *f)
{
    if (!f)
        return -EINVAL;
    char text[300];
    snprintf(text, sizeof text, "%s: cancelled before it started", f->task->name);
    if (yk_job_ended(f))
        return -EALREADY;
    if (yk_job_abort_unstarted(f, -ECANCELED, text))
        return 0;
    uint32_t old = atomic_fetch_or_explicit(&f->state, YK_CANCEL, memory_order_acq_rel);
    if ((old & YK_PHASE) >= YK_ENDING)
        return -EALREADY;
    if (f->ex->type->cancel && f->ex->type->cancel(f->ex, f, false)) {
        bool ours = yk_job_abort_claimed(f, -ECANCELED, text); /* else its deadline has ended it meanwhile */
        yk_job_drop(f);
        return ours ? 0 : -EALREADY;
    }
    return -EINPROGRESS;
}

void yoke_future_progress(yoke_future *f, double *done, double *total)
{
    if (f && !yk_job_ended(f) && f->ex->type->progress)
        f->ex->type->progress(f->ex, f);
    *done = f ? atomic_load_explicit(&f->progress[0], memory_order_relaxed) : 0;
    *total = f ? atomic_load_explicit(&f->progress[1], memory_order_relaxed) : 0;
}

yoke_future *yoke_ref(yoke_future *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

yoke_future *yoke_release(yoke_future *f)
{
    if (f)
        yk_job_unref(f);
    return NULL;
}

int yk_result(yoke_future *f, unsigned code, void *ret, size_t size)
{
    int err = yoke_wait(f);
    if (err < 0)
        return err;
    if (code != f->task->ret_code || (code != YOKE_VOID && size != f->task->ret_size))
        return -EINVAL;
    memcpy(ret, f->ret, size);
    return 0;
}

void yk_must(yoke_future *f, int err, const char *file, int line)
{
    bool ended = f && yk_job_ended(f);
    bool told = err == -ECANCELED && f && !(ended && f->code == err); /* to stop, in a coroutine; it may have ended since */
    if (err == 0 || (told && !yk_current_run()))
        return; /* the next wait says so again */
    char text[700];
    if (told)
        snprintf(text, sizeof text, "told to stop while it waited for %s", f->task->name);
    else if (ended && f->code == 0)
        snprintf(text, sizeof text, "%s returns %s (%s), which is not the type asked for", f->task->name, f->task->ret,
                 yk_code_name(f->task->ret_code));
    else if (f && !ended && err == -EDEADLK)
        snprintf(text, sizeof text, "%s", yoke_deadlock());
    else if (f && !ended && err == -ECHILD)
        snprintf(text, sizeof text, "%s: stayed behind in the parent process, and never ends in this child", f->task->name);
    else if (f && !ended)
        snprintf(text, sizeof text, "%s: %s", f->task->name, yoke_strerror(err));
    else
        snprintf(text, sizeof text, "%s", yoke_error(f));
    if (yk_current_run()) {
        yk_fail(file, line, err, "%s", text);
        return;
    }
    yk_plain(text, strlen(text), false);
    fflush(stdout); /* what the program has printed so far would be lost; stdout alone, as another thread may be inside stdin */
    fprintf(stderr, "yoke: %s (awaited at %s:%d)\n", text, file, line);
    abort();
}

/* ---- Errors that nobody looked at ---- */

static void print_lost(const char *text, void *arg)
{
    char line[700];
    snprintf(line, sizeof line, "%s", text);
    yk_plain(line, strlen(line), false);
    fprintf(stderr, "yoke: error never looked at: %s\n", line);
}

static struct {
    yk_mutex lock;
    void (*fn)(const char *text, void *arg);
    void *arg;
} lost = {.fn = print_lost};

/* In a child made by fork(), another thread may have held it. */
static void forget_parent(void)
{
    lost.lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

void yoke_on_lost_error(void (*fn)(const char *text, void *arg), void *arg)
{
    yk_mutex_lock(&lost.lock);
    lost.fn = fn;
    lost.arg = arg;
    yk_mutex_unlock(&lost.lock);
}

void yk_report_lost_text(const char *text)
{
    yk_mutex_lock(&lost.lock);
    void (*fn)(const char *text, void *arg) = lost.fn;
    void *arg = lost.arg;
    yk_mutex_unlock(&lost.lock);
    if (fn)
        fn(text, arg);
}

void yk_report_lost_error(yk_job *job)
{
    yk_report_lost_text(job->error ? job->error : yoke_strerror(job->code));
}
