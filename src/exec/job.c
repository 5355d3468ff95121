/* job: the life of one job, from its arguments to its end.
 *
 *     new -> fill -> submit -> (waits for `after`) -> queued -> claimed by a worker -> runs -> finish -> done
 *                                                       ^                               |
 *                                                       +------- pause, retry ----------+
 *
 * The state word decides every race: whoever moves it out of WAITING, QUEUED or RUNNING owns the next step. Only jobs with a
 * deadline or a timeout can be ended by somebody else while they run (`abortable`); for all others the worker's claim is
 * also the right to end the job, which saves an atomic operation.
 *
 * References: the user's handle is one; the executor's is another, which passes from queue to worker to finish; a timer
 * that is set holds one more. */
#include "exec/job.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_BACKOFF (10 * YOKE_MS)
#define MAX_BACKOFF (60 * YOKE_S)

static unsigned phase_of(uint32_t state)
{
    return state & YK_PHASE;
}

/* Moves from one phase to another, keeping the flags; false when the job is in another phase. */
static bool move(yk_job *job, unsigned from, unsigned to)
{
    uint32_t old = atomic_load_explicit(&job->state, memory_order_relaxed);
    while (phase_of(old) == from)
        if (atomic_compare_exchange_weak_explicit(&job->state, &old, (old & ~(uint32_t)YK_PHASE) | to, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* ---- Making a job ---- */

/* What stands behind `used`. */
static void reset_rest(yk_job *job, yoke_executor *ex)
{
    job->owner.number = 0;
    job->held = job->cargo = NULL;
    job->waits = NULL;
    job->opts = (yoke_opts){0};
    job->queued = job->started = job->ended = 0;
    job->worker = 0;
    job->cause = 0;
    atomic_store_explicit(&job->progress[0], 0, memory_order_relaxed);
    atomic_store_explicit(&job->progress[1], 0, memory_order_relaxed);
    job->id = 0;
    job->deadline_timer.at = job->attempt_timer.at = YK_TIMER_OFF;
    job->own_error = NULL;
    job->user = 0;
    bool lean = (ex->type->capabilities & YK_LEAN) && !ex->timed;
    atomic_store_explicit(&job->used, !lean, memory_order_relaxed);
}

static void note_use(yk_job *job)
{
    atomic_store_explicit(&job->used, true, memory_order_relaxed);
}

static bool is_used(const yk_job *job)
{
    return atomic_load_explicit(&job->used, memory_order_relaxed);
}

/* A job without arguments and without references. */
static yk_job *take_job(yoke_executor *ex, const yoke_task *task)
{
    yk_job *job = yk_job_take(ex->pool);
    if (!job)
        return NULL;
    job->task = task;
    job->code = 0;
    job->attempt = 0;
    atomic_store_explicit(&job->hooks, NULL, memory_order_relaxed);
    job->ex = ex;
    job->next = NULL;
    job->error = NULL;
    atomic_store_explicit(&job->uses, atomic_load_explicit(&job->uses, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&job->seen, false, memory_order_relaxed);
    job->abortable = false;
    job->isolated = yk_is_isolated();
    if (is_used(job))
        reset_rest(job, ex);
    yk_region_init(&job->region, job->inline_space, YK_JOB_INLINE, NULL);
    job->args = yk_region_alloc(&job->region, task->args_size);
    job->ret = task->ret_size <= sizeof job->small_ret ? job->small_ret : yk_region_alloc(&job->region, task->ret_size);
    if (job->args && job->ret)
        return job;
    yk_region_done(&job->region);
    yk_job_give(ex->pool, job);
    return NULL;
}

/* Release: from here yoke_close() may look at the job. */
static void make_known(yk_job *job, unsigned phase)
{
    atomic_store_explicit(&job->state, phase, memory_order_relaxed);
    atomic_store_explicit(&job->refs, 2, memory_order_release);
}

yk_job *yk_job_new(yoke_executor *ex, const yoke_task *task)
{
    yk_job *job = take_job(ex, task);
    if (!job)
        return NULL;
    memset(job->args, 0, task->args_size);
    make_known(job, YK_WAITING);
    return job;
}

static int bad_argument(const yk_job *job, unsigned i, yk_error *e, const char *what)
{
    return yk_errorf(e, EINVAL, "argument %u \"%s\" of %s %s", i + 1, job->task->params[i].name, job->task->name, what);
}

static int no_memory(yk_error *e)
{
    return yk_errorf(e, ENOMEM, "out of memory");
}

/* The three text types have the same shape: pointer and length. */
static int copy_text(yk_job *job, unsigned i, yoke_str *text, yk_error *e)
{
    if (!text->ptr && text->len > 0)
        return bad_argument(job, i, e, "is NULL with a length");
    if (job->task->params[i].code == YOKE_JSON && yk_json_check(text->ptr, text->len, NULL) < 0)
        return bad_argument(job, i, e, "is not JSON");
    text->ptr = yk_region_copy(&job->region, text->ptr, text->len);
    return text->ptr ? 0 : no_memory(e);
}

static int copy_argument(yk_job *job, unsigned i, yk_error *e)
{
    const yoke_param *p = &job->task->params[i];
    void *field = (char *)job->args + p->offset;
    if (yk_is_view(p->code)) {
        size_t count;
        if (yk_view_count(field, yk_code_size(yk_element(p->code)), &count) < 0)
            return bad_argument(job, i, e, "is not an array view");
        return 0;
    }
    if (p->code != YOKE_CSTR)
        return copy_text(job, i, field, e);
    const char **text = field;
    if (!*text)
        return bad_argument(job, i, e, "is NULL");
    *text = yk_region_copy(&job->region, *text, strlen(*text));
    return *text ? 0 : no_memory(e);
}

int yk_job_fill(yk_job *job, const void *args, yk_error *e)
{
    const yoke_task *t = job->task;
    memcpy(job->args, args, t->args_size);
    if (!t->info->args_point)
        return 0;
    for (unsigned i = 0; i < t->nparams; i++) {
        int err = yk_is_pointing(t->params[i].code) ? copy_argument(job, i, e) : 0;
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- References ---- */

bool yk_job_tryref(yk_job *job)
{
    uint32_t refs = atomic_load_explicit(&job->refs, memory_order_relaxed);
    while (refs > 0)
        if (atomic_compare_exchange_weak_explicit(&job->refs, &refs, refs + 1, memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static void free_job(yk_job *job)
{
    if (job->code != 0 && job->code != -ECANCELED && !atomic_load_explicit(&job->seen, memory_order_relaxed))
        yk_report_lost_error(job);
    if (job->region.chunks)
        yk_region_done(&job->region);
    if (is_used(job) && job->held)
        job->ex->type->released(job->ex, job);
    if (is_used(job) && job->own_error)
        free(job->own_error);
    yk_job_give(job->ex->pool, job);
}

void yk_job_unref(yk_job *job)
{
    /* No short cut for refs == 1: yoke_close() may be taking a reference of its own. */
    if (atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) == 1)
        free_job(job);
}

void yk_job_drop(yk_job *job)
{
    yk_job_unref(job);
}

static void ref(yk_job *job)
{
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
}

/* ---- The end ---- */

static void run_hooks(yk_job *job)
{
    yk_hook *newest = atomic_exchange_explicit(&job->hooks, YK_HOOKS_CLOSED, memory_order_acq_rel), *oldest = NULL;
    while (newest && newest != YK_HOOKS_CLOSED) {
        yk_hook *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    unsigned count = 0;
    for (; oldest; count++) {
        yk_hook *next = oldest->next;
        oldest->fn(oldest, job);
        oldest = next;
    }
    if (count > 0)
        yk_job_unheed(job, count);
}

void yk_job_hook(yk_job *job, yk_hook *hook)
{
    yk_hook *head = atomic_load_explicit(&job->hooks, memory_order_acquire);
    while (head != YK_HOOKS_CLOSED) {
        hook->next = head;
        /* Sequentially consistent, as are the look at the state after it and, in publish(), the change of the state and the
         * look at the hooks: at least one of the two sees the other, and the exchange in run_hooks() gives them to one. */
        if (atomic_compare_exchange_weak_explicit(&job->hooks, &head, hook, memory_order_seq_cst, memory_order_acquire)) {
            yk_job_heed(job);
            if (phase_of(atomic_load_explicit(&job->state, memory_order_seq_cst)) == YK_DONE)
                run_hooks(job);
            return;
        }
    }
    hook->fn(hook, job);
}

/* Publishes what has been written: code, error, *ret. The caller has the job in phase ENDING (or RUNNING and not abortable)
 * and keeps a reference over this call. */
static void publish(yk_job *job)
{
    uint32_t old = atomic_load_explicit(&job->state, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&job->state, &old, (old & YK_CANCEL) | YK_DONE, memory_order_seq_cst,
                                                  memory_order_relaxed))
        ;
    if (old & YK_WAITERS) {
        if (job->ex->type->wake) {
            job->ex->type->wake(job->ex);
            yk_wake_suspended(&job->state, INT_MAX); /* coroutines wait for the word, whatever the executor */
        } else {
            yk_wake(&job->state, INT_MAX, false);
        }
    }
    if (YK_UNLIKELY(atomic_load_explicit(&job->hooks, memory_order_seq_cst) != NULL)) /* pairs with yk_job_hook() */
        run_hooks(job);
}

static void stop_timer(yk_job *job, yk_timer *t)
{
    if (job->abortable && yk_timer_stop(t))
        yk_job_unref(job); /* the timer's reference; the caller holds another */
}

static bool abort_from(yk_job *job, int code, const char *error, bool ours)
{
    if (!ours)
        return false;
    ref(job);
    note_use(job);
    job->code = code;
    /* The region may be in use by the task that still runs. */
    size_t len = strlen(error) + 1;
    job->own_error = yk_sys.malloc(len);
    if (job->own_error)
        memcpy(job->own_error, error, len);
    job->error = job->own_error ? job->own_error : yoke_strerror(code);
    publish(job);
    stop_timer(job, &job->deadline_timer);
    yk_job_unref(job);
    return true;
}

bool yk_job_abort_unstarted(yk_job *job, int code, const char *error)
{
    return abort_from(job, code, error, move(job, YK_WAITING, YK_ENDING) || move(job, YK_QUEUED, YK_ENDING));
}

/* The same for a running job too, if it is abortable. */
static bool abort_job(yk_job *job, int code, const char *error)
{
    return yk_job_abort_unstarted(job, code, error) ||
           abort_from(job, code, error, job->abortable && move(job, YK_RUNNING, YK_ENDING));
}

bool yk_job_abort_claimed(yk_job *job, int code, const char *error)
{
    return abort_from(job, code, error, move(job, YK_RUNNING, YK_ENDING));
}

/* Twice, as it may be on its way from one worker to another, and then is queued for a moment. */
bool yk_job_take_back(yk_job *job, int code, const char *error)
{
    for (int i = 0; i < 2; i++) {
        if (yk_job_abort_unstarted(job, code, error))
            return true;
        if (!job->ex->type->take_back || !job->ex->type->take_back(job->ex, job))
            continue;
        bool ours = yk_job_abort_claimed(job, code, error); /* else its deadline has ended it meanwhile */
        yk_job_drop(job);
        return ours;
    }
    return false;
}

void yk_job_refuse(yk_job *job, int code, const char *text)
{
    abort_job(job, code, text);
    yk_job_unref(job);
}

void yk_job_complete(yk_job *job, int code, const char *error)
{
    job->code = code;
    job->error = error;
    publish(job);
    yk_job_unref(job);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "integrate: WHAT (integrate.c:12)" */
static int describe(const yk_job *job, char *text, size_t size, const char *what)
{
    const yoke_task *t = job->task;
    if (!t->file)
        return snprintf(text, size, "%s: %s", t->name, what);
    return snprintf(text, size, "%s: %s (%s:%u)", t->name, what, base_name(t->file), t->line);
}

const char *yk_job_text(yk_job *job, const char *format, ...)
{
    char what[400], text[600];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    describe(job, text, sizeof text, what);
    const char *copy = yk_region_copy(&job->region, text, strlen(text));
    return copy ? copy : "out of memory while another error was reported";
}

/* ---- Submitting ---- */

/* Ends a job that has not started, and gives up the executor's reference. */
static void refuse(yk_job *job, int code, const char *what)
{
    char text[600];
    describe(job, text, sizeof text, what);
    yk_job_refuse(job, code, text);
}

/* For traces. */
static void note_queued(yk_job *job)
{
    if (YK_LIKELY(!atomic_load_explicit(&yk_tracing, memory_order_relaxed)))
        return;
    note_use(job);
    job->queued = yoke_now();
    if (job->id == 0)
        job->id = atomic_fetch_add_explicit(&job->ex->ids, 1, memory_order_relaxed) + 1;
}

/* Consumes the executor's reference when the job has ended meanwhile. */
static void queue(yk_job *job)
{
    note_queued(job);
    if (move(job, YK_WAITING, YK_QUEUED))
        job->ex->type->submit(job->ex, job);
    else
        yk_job_unref(job);
}

static void deadline_passed(void *arg)
{
    yk_job *job = arg;
    char text[600];
    describe(job, text, sizeof text, "deadline passed");
    /* It may have ended in time without anybody having looked. */
    if (job->ex->type->poll)
        job->ex->type->poll(job->ex);
    bool running = phase_of(atomic_fetch_or_explicit(&job->state, YK_CANCEL, memory_order_acq_rel)) == YK_RUNNING;
    /* First the end, then the task's: a worker that is killed would end the job with an error of its own. */
    abort_job(job, -ETIMEDOUT, text);
    if (running && job->ex->type->cancel && job->ex->type->cancel(job->ex, job, true))
        yk_job_drop(job);
    yk_job_unref(job);
}

/* A job that waits for another, which may be of an executor that lives longer: so the job can be taken out, and whoever ends
 * the other is counted while he hands the job to its own executor. */
typedef struct yk_follower {
    yk_hook hook;
    yk_job *job; /* NULL once its executor has been closed; guarded by after_lock */
} yk_follower;

static yk_mutex after_lock;

/* Somebody else may have held it when the parent forked. */
static void forget_parent(void)
{
    after_lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static yk_job *take_waiting(yk_follower *a)
{
    yk_mutex_lock(&after_lock);
    yk_job *job = a->job;
    if (job) {
        job->waits = NULL;
        atomic_fetch_add_explicit(&job->ex->visitors, 1, memory_order_relaxed);
    }
    yk_mutex_unlock(&after_lock);
    free(a);
    return job;
}

static void after_ended(yk_hook *hook, yoke_future *before)
{
    yk_job *job = take_waiting((yk_follower *)(void *)hook);
    if (job) {
        yoke_executor *ex = job->ex;
        if (before->code == 0) {
            queue(job);
        } else {
            atomic_store_explicit(&before->seen, true, memory_order_relaxed);
            char text[600]; /* ends with the place of the failure, the one that matters */
            snprintf(text, sizeof text, "%s: not run, because what it comes after failed: %s", job->task->name,
                     before->error ? before->error : "");
            yk_job_refuse(job, -ECANCELED, text);
        }
        atomic_fetch_sub_explicit(&ex->visitors, 1, memory_order_release);
    }
    yk_job_unref(before);
}

static bool has_deadline(const yk_job *job)
{
    return job->abortable && job->opts.deadline != 0;
}

/* The job at whose end the rest begins; NULL: the clock ends one before. What a job waits for lives until its hook was called. */
static const yk_job *first_of(const yk_job *job)
{
    while (job && job->waits)
        job = has_deadline(job) ? NULL : job->opts.after;
    return job;
}

yk_who *yk_job_holder(const yk_job *job, unsigned i)
{
    yk_who *runner = NULL;
    if (yk_is_combined(job))
        return yk_combined_holder(job, i);
    if (i > 0)
        return NULL;
    yk_mutex_lock(&after_lock);
    job = first_of(job);
    /* One that can be ended by the clock needs nobody. Its runner cannot have gone on while its wish stands. */
    if (job && !job->abortable)
        runner = atomic_load_explicit(&job->runner, memory_order_relaxed);
    yk_mutex_unlock(&after_lock);
    return runner;
}

/* Whether it is in the queue of ex, where the clock does not end it: a timeout begins with the attempt. */
static bool is_queued_at(const yk_job *job, const yoke_executor *ex)
{
    return job && job->ex == ex && !has_deadline(job) &&
           phase_of(atomic_load_explicit(&job->state, memory_order_acquire)) == YK_QUEUED;
}

/* One that waits for a pause, or that is just ending, goes on by itself. */
bool yk_job_needs(const yk_job *job, const yoke_executor *ex)
{
    yk_mutex_lock(&after_lock);
    job = first_of(job);
    bool runs = job && job->ex == ex && phase_of(atomic_load_explicit(&job->state, memory_order_acquire)) == YK_RUNNING;
    bool needs = runs ? !job->abortable : is_queued_at(job, ex);
    yk_mutex_unlock(&after_lock);
    return needs;
}

yk_job *yk_job_unbegun(const yk_job *job, const yoke_executor *ex)
{
    yk_mutex_lock(&after_lock);
    yk_job *first = (yk_job *)(uintptr_t)first_of(job);
    bool found = is_queued_at(first, ex) && yk_job_tryref(first);
    yk_mutex_unlock(&after_lock);
    return found ? first : NULL;
}

void yk_job_detach(yk_job *job)
{
    yk_mutex_lock(&after_lock);
    if (job->waits)
        job->waits->job = NULL;
    job->waits = NULL;
    yk_mutex_unlock(&after_lock);
    yk_timer_stop(&job->attempt_timer);
    yk_timer_stop(&job->deadline_timer);
}

static void wait_for_after(yk_job *job)
{
    yoke_future *before = yoke_ref(job->opts.after); /* until its hook has been called */
    if (job->ex->type->capabilities & YK_SYNCHRONOUS)
        yoke_wait(before); /* nobody else would run the job later */
    yk_follower *a = yk_sys.malloc(sizeof *a);
    if (!a) {
        refuse(job, -ENOMEM, "out of memory");
        yk_job_unref(before);
        return;
    }
    *a = (yk_follower){.hook.fn = after_ended, .job = job};
    job->waits = a;
    yk_job_hook(before, &a->hook);
}

/* What is wrong with the options, or NULL. */
static const char *bad_option(const yoke_opts *o)
{
    if (o->timeout < 0)
        return "option timeout is negative";
    if (o->backoff < 0)
        return "option backoff is negative";
    if (o->deadline < 0)
        return "option deadline is negative";
    return NULL;
}

/* Why the executor takes no jobs: a code, with its text, or 0. */
static int refusal(yoke_executor *ex, const char **what)
{
    if (YK_UNLIKELY(ex->status < 0)) {
        *what = ex->reason;
        return ex->status;
    }
    if (YK_UNLIKELY(yk_is_of_parent(ex))) {
        *what = "the executor belongs to the parent process: open one after fork()";
        return -ECHILD;
    }
    if (YK_UNLIKELY(atomic_load_explicit(&ex->closing, memory_order_relaxed))) {
        *what = "the executor is being closed";
        return -ESHUTDOWN;
    }
    return 0;
}

void yk_job_submit(yk_job *job, const yoke_opts *opts)
{
    const char *what;
    int err = refusal(job->ex, &what);
    if (err < 0) {
        refuse(job, err, what);
        return;
    }
    if (!opts) {
        queue(job);
        return;
    }
    note_use(job);
    job->opts = *opts;
    if ((what = bad_option(opts))) {
        refuse(job, -EINVAL, what);
        return;
    }
    job->abortable = opts->deadline != 0 || opts->timeout != 0;
    if (opts->deadline != 0) {
        ref(job);
        err = yk_timer_start(&job->deadline_timer, opts->deadline, deadline_passed, job);
        if (err < 0) {
            yk_job_unref(job);
            refuse(job, err, "no timer for its deadline");
            return;
        }
    }
    if (opts->after)
        wait_for_after(job);
    else
        queue(job);
}

yk_job *yk_job_send(yoke_executor *ex, const yoke_task *task, const void *args, const yoke_opts *opts)
{
    const char *what;
    yk_job *job = take_job(ex, task);
    if (!job)
        return NULL;
    yk_error e;
    int err = yk_job_fill(job, args, &e);
    if (err < 0 || opts || refusal(ex, &what) < 0) {
        make_known(job, YK_WAITING);
        if (err < 0)
            yk_job_refuse(job, err, e.text);
        else
            yk_job_submit(job, opts);
        return job;
    }
    note_queued(job);
    make_known(job, YK_QUEUED);
    ex->type->submit(ex, job);
    /* Sequentially consistent, like the executor's own operations before it: a yoke_close_now() that has not seen the job has
     * set the flag before it looked. */
    if (YK_UNLIKELY(atomic_load_explicit(&ex->closing, memory_order_seq_cst)))
        yoke_cancel(job);
    return job;
}

/* ---- Running ---- */

bool yk_job_claim(yk_job *job)
{
    uint32_t old = YK_QUEUED; /* without flags, as nearly always */
    if (!atomic_compare_exchange_strong_explicit(&job->state, &old, YK_RUNNING, memory_order_acq_rel, memory_order_relaxed) &&
        !move(job, YK_QUEUED, YK_RUNNING))
        return false;
    job->attempt++;
    return true;
}

void yk_job_unclaim(yk_job *job)
{
    if (move(job, YK_RUNNING, YK_QUEUED))
        job->attempt--;
}

static void attempt_timed_out(void *arg)
{
    yk_job *job = arg;
    char what[80], text[600]; /* not in the region: the task may be using that */
    snprintf(what, sizeof what, "timed out after %.6g s", (double)job->opts.timeout / 1e9);
    describe(job, text, sizeof text, what);
    atomic_fetch_or_explicit(&job->state, YK_CANCEL, memory_order_acq_rel);
    abort_job(job, -ETIMEDOUT, text);
    if (job->ex->type->cancel)
        job->ex->type->cancel(job->ex, job, true);
    yk_job_unref(job);
}

static int64_t attempt_deadline(const yk_job *job)
{
    int64_t deadline = job->opts.deadline ? job->opts.deadline : YOKE_FOREVER;
    if (job->opts.timeout != 0) {
        int64_t now = yoke_now();
        deadline = YK_MIN(deadline, job->opts.timeout > YOKE_FOREVER - now ? YOKE_FOREVER : now + job->opts.timeout);
    }
    return deadline;
}

static void note_times(yk_job *job, const yk_run *run, uint32_t worker)
{
    note_use(job);
    job->started = run->started;
    job->ended = run->ended;
    job->worker = worker;
}

void yk_job_execute(yk_job *job, uint32_t worker)
{
    yk_run run;
    run.task = job->task;
    run.args = job->args;
    run.ret = job->ret;
    run.region = &job->region;
    run.cancel = &job->state;
    run.progress = job->progress;
    run.progressed = &job->used;
    run.deadline = job->abortable ? attempt_deadline(job) : YOKE_FOREVER;
    run.timeout = job->abortable && run.deadline != job->opts.deadline ? job->opts.timeout : 0;
    run.executor = job->ex;
    run.attempt = job->attempt;
    run.timed = job->ex->timed || atomic_load_explicit(&yk_tracing, memory_order_relaxed);
    if (job->abortable && job->opts.timeout != 0) {
        ref(job);
        if (yk_timer_start(&job->attempt_timer, run.deadline, attempt_timed_out, job) < 0)
            yk_job_unref(job); /* then only yoke_cancelled() tells */
    }
    /* Who waits for the job looks at its runner: future.c. An attempt in an attempt (help) is of the same thread. */
    atomic_store_explicit(&job->runner, yk_who_self(), memory_order_relaxed);
    /* What was submitted under a lock may be waited for under it: then it is isolated, as a fork is (threads/fork.c). */
    bool isolated = job->isolated;
    yk_self.held += isolated;
    int code = yk_job_run(&run);
    if (isolated)
        yk_hold_less();
    atomic_store_explicit(&job->runner, NULL, memory_order_relaxed);
    if (job->abortable && job->opts.timeout != 0)
        stop_timer(job, &job->attempt_timer);
    if (run.timed)
        note_times(job, &run, worker);
    yk_job_finish(job, code, run.error, run.retry_after);
}

static void pause_over(void *arg)
{
    queue(arg);
}

/* The pause before attempt + 1, or -1 when there is none to come. */
static int64_t next_attempt_in(const yk_job *job, int code, int64_t retry_after)
{
    if (code == 0 || code == -ECANCELED || retry_after == YK_NO_RETRY ||
        (atomic_load_explicit(&job->state, memory_order_relaxed) & YK_CANCEL))
        return -1;
    if (retry_after >= 0)
        return retry_after;
    if (job->attempt > job->opts.retries || (code == -ETIMEDOUT && !(job->ex->type->capabilities & YK_CAN_KILL)))
        return -1;
    int64_t pause = job->opts.backoff ? job->opts.backoff : DEFAULT_BACKOFF;
    for (uint32_t i = 1; i < job->attempt && pause < MAX_BACKOFF; i++)
        pause *= 2;
    return YK_MIN(pause, MAX_BACKOFF);
}

/* Now + pause, or never if that does not fit: a task may ask for any. */
static int64_t after(int64_t pause)
{
    int64_t now = yoke_now();
    return pause > YOKE_FOREVER - now ? YOKE_FOREVER : now + pause;
}

/* Sends the job round again; the executor's reference goes with it. False when it has been ended meanwhile or no timer could
 * be had. */
static bool retry(yk_job *job, int64_t pause)
{
    if (job->ex->type->capabilities & YK_SYNCHRONOUS) {
        /* The executor's submit sees that the job is queued again, sleeps and runs it. */
        job->owner.number = (uint64_t)after(pause);
        return move(job, YK_RUNNING, YK_QUEUED);
    }
    if (!move(job, YK_RUNNING, YK_WAITING))
        return false;
    if (pause == 0) {
        queue(job);
        return true;
    }
    if (yk_timer_start(&job->attempt_timer, after(pause), pause_over, job) == 0)
        return true;
    move(job, YK_WAITING, YK_RUNNING);
    return false;
}

static void unload(yk_job *job, bool wanted)
{
    if (job->ex->type->unload && job->cargo)
        job->ex->type->unload(job->ex, job, wanted);
}

void yk_job_finish(yk_job *job, int code, const char *error, int64_t retry_after)
{
    if (YK_UNLIKELY(atomic_load_explicit(&yk_tracing, memory_order_relaxed)))
        yk_trace_attempt(job->ex->uri, job->worker, job->task->name, job->id, job->attempt, job->started, job->ended, error);
    int64_t pause = YK_UNLIKELY(code != 0) ? next_attempt_in(job, code, retry_after) : -1;
    if (code != 0)
        unload(job, false);
    if (pause >= 0 && retry(job, pause))
        return;
    if (job->abortable && !move(job, YK_RUNNING, YK_ENDING)) {
        unload(job, false);
        yk_job_unref(job); /* somebody else has ended it */
        return;
    }
    unload(job, true);
    if (YK_UNLIKELY(code != 0)) { /* else they are 0 already */
        job->code = code;
        job->error = error;
    }
    publish(job);
    stop_timer(job, &job->deadline_timer);
    yk_job_unref(job);
}
