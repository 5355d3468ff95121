/* executor: finding, opening and closing executors, and submitting to them.
 *
 * Types register themselves from constructors and are found by the scheme of a URI. An executor that could not start is of
 * the type `broken`: it has a pool of jobs, so that each submit can fail with a proper future. */
#include "exec/job.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

const yk_device_care *yk_device_care_hook;

/* ---- Types ---- */

static yk_executor_type *types; /* sorted by scheme; complete before main() */

void yk_executor_register(yk_executor_type *type)
{
    yk_executor_type **at = &types;
    while (*at && strcmp((*at)->scheme, type->scheme) < 0)
        at = &(*at)->next;
    type->next = *at;
    *at = type;
}

yk_executor_type *yk_executor_types(void)
{
    return types;
}

static yk_executor_type *find_type(const char *scheme, size_t len)
{
    for (yk_executor_type *t = types; t; t = t->next)
        if (strlen(t->scheme) == len && memcmp(t->scheme, scheme, len) == 0)
            return t;
    return NULL;
}

static const char *scheme_at(void *ctx, size_t i)
{
    yk_executor_type *t = types;
    while (t && i-- > 0)
        t = t->next;
    return t ? t->scheme : NULL;
}

static void unknown_scheme(const char *scheme, yk_error *e)
{
    char known[256] = "";
    size_t len = 0;
    for (yk_executor_type *t = types; t; t = t->next) {
        int n = snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", t->scheme);
        len = YK_MIN(len + (size_t)YK_MAX(n, 0), sizeof known - 1);
    }
    const char *near = yk_nearest(scheme, scheme_at, NULL);
    if (near)
        yk_errorf(e, EINVAL, "no executor \"%s\"; did you mean \"%s\"?", scheme, near);
    else
        yk_errorf(e, EINVAL, "no executor \"%s\"; there are: %s", scheme, known);
}

int yk_width_arg(const char *scheme, const char *arg, unsigned fallback, unsigned max, unsigned *ret, yk_error *e)
{
    if (*arg == '\0') {
        *ret = YK_MIN(fallback, max);
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long n = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end != '\0' || errno != 0 || n < 1 || n > max)
        return yk_errorf(e, EINVAL, "bad number of workers \"%s\" in \"%s:%s\": expected 1 to %u", arg, scheme, arg, max);
    *ret = (unsigned)n;
    return 0;
}

/* ---- Opening ---- */

static void broken_close(yoke_executor *ex)
{
    free(ex);
}

static yk_executor_type broken = {.scheme = "broken", .close = broken_close};

/* What is handed out when not even memory for an executor can be had: every submit then returns NULL, which all functions
 * of futures take as "out of memory". */
static char nothing_uri[] = "", nothing_reason[] = "out of memory";
static yoke_executor nothing = {.type = &broken, .uri = nothing_uri, .status = -ENOMEM, .reason = nothing_reason};

static int start(const char *uri, yoke_executor **ret, yk_error *e)
{
    if (!uri || !*uri)
        return yk_errorf(e, EINVAL, "no executor given: expected something like \"threads\" or \"processes:4\"");
    const char *colon = strchr(uri, ':');
    size_t len = colon ? (size_t)(colon - uri) : strlen(uri);
    char scheme[64];
    snprintf(scheme, sizeof scheme, "%.*s", (int)YK_MIN(len, sizeof scheme - 1), uri);
    yk_executor_type *type = find_type(uri, len);
    if (!type) {
        unknown_scheme(scheme, e);
        return -EINVAL;
    }
    int err = type->open(colon ? colon + 1 : "", ret, e);
    if (err == 0)
        (*ret)->type = type;
    return err;
}

/* Everything that all executors have. On failure nothing is left but what the type opened. */
static int equip(yoke_executor *ex, const char *uri)
{
    size_t len = uri ? strlen(uri) : 0;
    ex->fork_generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    ex->uri = yk_sys.malloc(len + 1);
    if (!ex->uri)
        return -ENOMEM;
    memcpy(ex->uri, uri ? uri : "", len);
    ex->uri[len] = '\0';
    ex->pool = yk_job_pool_open();
    if (!ex->pool)
        return -ENOMEM;
    if (!yk_job_pool_enlist(ex->pool)) {
        yk_job_pool_close(ex->pool);
        ex->pool = NULL;
        return -ENOMEM;
    }
    return 0;
}

static void strip(yoke_executor *ex)
{
    yk_job_pool_close(ex->pool);
    free(ex->uri);
    free(ex->reason);
}

static yoke_executor *open_broken(const char *uri, int status, const char *reason)
{
    yoke_executor *ex = yk_sys.calloc(1, sizeof *ex);
    if (!ex)
        return &nothing;
    ex->type = &broken;
    ex->status = status;
    size_t len = strlen(reason) + 1;
    ex->reason = yk_sys.malloc(len);
    if (!ex->reason || equip(ex, uri) < 0) {
        strip(ex);
        free(ex);
        return &nothing;
    }
    memcpy(ex->reason, reason, len);
    return ex;
}

yoke_executor *yoke_open(const char *uri)
{
    yoke_executor *ex = NULL;
    yk_error e = {0};
    int err = start(uri, &ex, &e);
    if (err != 0)
        return open_broken(uri, err, e.text);
    err = equip(ex, uri);
    if (err < 0) {
        free(ex->uri);
        ex->type->close(ex);
        return open_broken(uri, err, "out of memory");
    }
    yk_timer_enter();
    return ex;
}

/* ---- Which ---- */

yoke_executor *(*yk_default_executor_hook)(void);

yoke_executor *yk_executor_or_default(yoke_executor *ex)
{
    if (ex)
        return ex;
    return yk_default_executor_hook ? yk_default_executor_hook() : yoke_current_executor();
}

int yoke_executor_status(yoke_executor *ex)
{
    return yk_executor_or_default(ex)->status;
}

const char *yoke_executor_error(yoke_executor *ex)
{
    ex = yk_executor_or_default(ex);
    return ex->reason ? ex->reason : "";
}

unsigned yoke_executor_width(yoke_executor *ex)
{
    return yk_executor_or_default(ex)->width;
}

/* ---- Submitting ---- */

struct yoke_future *yoke_raw_submit(yoke_executor *ex, const yoke_task *task, const void *args, const yoke_opts *opts)
{
    ex = yk_executor_or_default(ex);
    if (!ex || !ex->pool || !task || !task->info)
        return NULL;
    return yk_job_send(ex, task, args, opts);
}

/* ---- Closing ---- */

static void cancel_one(yk_job *job, void *arg)
{
    if (!yk_job_tryref(job))
        return;
    if (!yk_job_ended(job))
        yoke_cancel(job);
    yk_job_unref(job);
}

/* One look at every job. */
typedef struct look {
    bool found;    /* an unfinished one */
    uint64_t uses; /* of all of their memory */
} look;

static void wait_for_one(yk_job *job, void *arg)
{
    look *l = arg;
    l->uses += atomic_load_explicit(&job->uses, memory_order_relaxed);
    if (!yk_job_tryref(job))
        return;
    if (!yk_job_ended(job)) {
        l->found = true;
        if (job->ex->type->wait)
            job->ex->type->wait(job->ex, job, YOKE_FOREVER);
        else
            yk_job_sleep(job, YOKE_FOREVER);
    }
    yk_job_unref(job);
}

/* Until two looks in a row find no job unfinished and none new. One is not enough: a job that was running then may have
 * submitted another into a place already looked at. A job that the second look overlooks would have been submitted after it came
 * by, by one that ran then; the first look would have found that one, or the second would have seen it to be new. */
static void drain(yoke_executor *ex)
{
    look before, now = {.found = true};
    do {
        before = now;
        now = (look){0};
        yk_job_pool_each(ex->pool, wait_for_one, &now);
    } while (before.found || now.found || before.uses != now.uses);
}

/* A job that was cancelled may still be waiting for its pause, or for a job of another executor, to be over. */
static void detach_one(yk_job *job, void *arg)
{
    if (atomic_load_explicit(&job->refs, memory_order_acquire) > 0)
        yk_job_detach(job);
}

/* What the user never released. References of the executor (a worker about to drop one) are waited for by type->close. */
static void clear_one(yk_job *job, void *arg)
{
    if (atomic_load_explicit(&job->refs, memory_order_acquire) == 0)
        return;
    if (job->code != 0 && job->code != -ECANCELED && !atomic_load_explicit(&job->seen, memory_order_relaxed))
        yk_report_lost_error(job);
    yk_region_done(&job->region);
    if (!atomic_load_explicit(&job->used, memory_order_relaxed))
        return;
    if (job->held)
        job->ex->type->released(job->ex, job);
    free(job->own_error);
}

static int close_executor(yoke_executor *ex, bool now)
{
    if (!ex || ex == &nothing)
        return 0;
    if (yk_is_of_parent(ex))
        return 0; /* the parent's threads and processes are none of ours; the memory goes with this process */
    yk_run *run = yk_current_run();
    if (run && run->executor == ex)
        return -EDEADLK;
    if (now) {
        atomic_store(&ex->closing, true);
        yk_job_pool_each(ex->pool, cancel_one, NULL);
        if (ex->type->kill)
            ex->type->kill(ex);
    }
    drain(ex);
    atomic_store(&ex->closing, true);
    yk_job_pool_each(ex->pool, detach_one, NULL);
    yk_timer_flush();
    while (atomic_load_explicit(&ex->visitors, memory_order_acquire) > 0)
        sched_yield();
    bool started = ex->type != &broken;
    if (ex->type->stop)
        ex->type->stop(ex);
    yk_job_pool_each(ex->pool, clear_one, NULL);
    strip(ex);
    ex->type->close(ex);
    if (started)
        yk_timer_leave();
    return 0;
}

int yoke_close(yoke_executor *ex)
{
    return close_executor(ex, false);
}

int yoke_close_now(yoke_executor *ex)
{
    return close_executor(ex, true);
}

void *yoke_shared_alloc(yoke_executor *ex, size_t size)
{
    ex = yk_executor_or_default(ex);
    if (!ex || size > SIZE_MAX / 2)
        return NULL;
    if (ex->type->shared_alloc)
        return ex->type->shared_alloc(ex, size);
    void *memory;
    return yk_sys.posix_memalign(&memory, YK_CACHE_LINE, size ? size : 1) == 0 ? memory : NULL;
}

void yoke_shared_free(yoke_executor *ex, void *memory)
{
    ex = yk_executor_or_default(ex);
    if (!ex || !memory)
        return;
    if (ex->type->shared_free)
        ex->type->shared_free(ex, memory);
    else
        free(memory);
}

/* ---- Executors without a name ---- */

static yk_builtin *builtins; /* all that were ever used */
static yk_mutex builtin_lock;

/* The pool of a parent stays with its futures; a child that still holds some may release them. */
static bool equip_builtin(yk_builtin *b, uint32_t generation)
{
    yk_job_pool *pool = yk_job_pool_open();
    if (pool && !yk_job_pool_enlist(pool)) {
        yk_job_pool_close(pool);
        pool = NULL;
    }
    if (!pool)
        return false;
    if (!b->ex.pool) {
        b->next = builtins;
        builtins = b;
    }
    b->left_behind = b->ex.pool;
    b->ex.type = b->type;
    b->ex.uri = b->uri;
    b->ex.fork_generation = generation;
    b->ex.pool = pool;
    return true;
}

yoke_executor *yk_builtin_executor(yk_builtin *b)
{
    uint32_t generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    yk_mutex_lock(&builtin_lock);
    bool ready = (b->ex.pool && b->ex.fork_generation == generation) || equip_builtin(b, generation);
    yk_mutex_unlock(&builtin_lock);
    return ready ? &b->ex : NULL;
}

static void forget_parent(void)
{
    builtin_lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static __attribute__((destructor)) void close_builtins(void)
{
    for (yk_builtin *b = builtins; b; b = b->next) {
        if (b->keep)
            continue;
        yk_job_pool_each(b->ex.pool, clear_one, NULL);
        yk_job_pool_close(b->ex.pool);
        b->ex.pool = NULL;
    }
}

yoke_executor *yk_common_executor(void)
{
    static char uri[] = "";
    static yk_builtin common = {.type = &broken, .uri = uri};
    return yk_builtin_executor(&common);
}
