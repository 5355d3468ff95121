/* run: one attempt at one job, the only place where tasks are called; and what a task can ask while it runs.
 *
 * The run lies on the runner's stack; a thread-local pointer leads to it, which coroutines of a thread change when they take
 * turns (async/coroutine.c). Runs nest when an inline executor runs a job inside a task. */
#include "exec/exec.h"
#include <stdio.h>

_Thread_local yk_running yk_running_here __attribute__((tls_model("initial-exec")));
#define current yk_running_here.run
#define scope_now yk_running_here.scope
void (*yk_run_failed_hook)(yk_run *run);

yk_run *yk_current_run(void)
{
    return current;
}

yk_run *yk_run_enter(yk_run *run)
{
    yk_run *before = current;
    current = run;
    return before;
}

void *yk_scope(void)
{
    return scope_now;
}

void *yk_scope_enter(void *scope)
{
    void *before = scope_now;
    scope_now = scope;
    return before;
}

/* Only a run with parts on several threads needs its lock: what is alone pays a load. */
static bool lock(yk_run *run)
{
    bool shared = atomic_load_explicit(&run->shared, memory_order_relaxed);
    if (shared)
        yk_mutex_lock(&run->lock);
    return shared;
}

static void unlock(yk_run *run, bool locked)
{
    if (locked)
        yk_mutex_unlock(&run->lock);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- Calls from outside of any job ---- */

static const yoke_task nobody = {.name = "outside of any task"};

void yk_outside_begin(yk_outside *o)
{
    o->ours = !current;
    if (!o->ours)
        return;
    yk_region_init(&o->region, NULL, 0, NULL);
    atomic_init(&o->never, 0);
    o->run = (yk_run){.task = &nobody, .region = &o->region, .cancel = &o->never, .deadline = YOKE_FOREVER, .retry_after = -1};
    current = &o->run;
}

int yk_outside_end(yk_outside *o, int err)
{
    if (!o->ours)
        return err;
    current = NULL;
    const int code = o->run.code;
    if (YK_UNLIKELY(code != 0))
        yk_report_lost_text(o->run.error);
    yk_region_done(&o->region);
    return code != 0 ? code : err;
}

/* Too late is too late, whether or not whoever watches the clock was faster than the task's return. */
static void note_lateness(yk_run *run)
{
    const yoke_task *t = run->task;
    char what[64] = "deadline passed";
    if (run->timeout > 0)
        snprintf(what, sizeof what, "timed out after %.6g s", (double)run->timeout / 1e9);
    run->code = -ETIMEDOUT;
    run->retry_after = -1;
    run->error = yk_region_printf(run->region, "%s: %s (%s:%u)", t->name, what, base_name(t->file), t->line);
    if (!run->error)
        run->error = "timed out";
}

/* A part was left out because of a cancel, so there is no result, even if the task did not look whether it was to stop. */
static void note_cut(yk_run *run)
{
    const yoke_task *t = run->task;
    run->code = -ECANCELED;
    run->error = yk_region_printf(run->region, "%s: cancelled (%s:%u)", t->name, base_name(t->file), t->line);
    if (!run->error)
        run->error = "cancelled";
}

int yk_job_run(yk_run *run)
{
    run->code = 0;
    run->error = NULL;
    run->retry_after = -1;
    atomic_store_explicit(&run->shared, false, memory_order_relaxed);
    atomic_store_explicit(&run->failed, false, memory_order_relaxed);
    atomic_store_explicit(&run->cut, false, memory_order_relaxed);
    run->lock = (yk_mutex){0};
    run->outer = current;
    current = run;
    bool timed = run->timed || run->deadline != YOKE_FOREVER; /* two looks at the clock cost more than a small task */
    if (timed)
        run->started = yoke_now();
    void *scope = yk_scope_enter(NULL);
    run->task->call(run->args, run->ret);
    yk_scope_enter(scope);
    if (timed)
        run->ended = yoke_now();
    current = run->outer;
    if (YK_UNLIKELY(atomic_load_explicit(&run->cut, memory_order_relaxed) && run->code == 0))
        note_cut(run);
    if (YK_UNLIKELY(timed && run->ended >= run->deadline))
        note_lateness(run);
    return run->code;
}

/* The first failure counts. Locked, if it is shared. */
static void end_early(yk_run *run, int code, const char *error)
{
    run->code = code;
    run->error = error;
    atomic_store_explicit(&run->failed, true, memory_order_relaxed);
    if (yk_run_failed_hook)
        yk_run_failed_hook(run);
}

int yk_fail(const char *file, int line, int code, const char *format, ...)
{
    if (code > 0)
        code = -code;
    if (code == 0)
        code = -EINVAL;
    yk_run *run = current;
    if (!run)
        return code;
    va_list ap;
    va_start(ap, format);
    bool locked = lock(run);
    if (run->code == 0) {
        char *what = yk_region_vprintf(run->region, format, ap), *text = NULL;
        if (what)
            text = yk_region_printf(run->region, "%s: %s (%s:%d)", run->task->name, what, base_name(file), line);
        end_early(run, code, text ? text : "out of memory while another error was reported");
    }
    unlock(run, locked);
    va_end(ap);
    return code;
}

void yk_run_refuse(int code, const char *text)
{
    yk_run *run = current;
    if (run->code != 0)
        return;
    const char *copy = yk_region_copy(run->region, text, strlen(text));
    run->retry_after = YK_NO_RETRY;
    end_early(run, code, copy ? copy : "out of memory while another error was reported");
}

int yoke_retry(int64_t delay)
{
    yk_run *run = current;
    if (!run)
        return -EAGAIN;
    bool locked = lock(run);
    if (run->code == 0) {
        run->retry_after = delay > 0 ? delay : 0;
        end_early(run, -EAGAIN, "asked to be tried again");
    }
    unlock(run, locked);
    return -EAGAIN;
}

unsigned yoke_attempt(void)
{
    return current ? current->attempt : 0;
}

bool yoke_cancelled(void)
{
    yk_run *run = current;
    if (!run)
        return false;
    if (atomic_load_explicit(run->cancel, memory_order_relaxed) & YK_CANCEL)
        return true;
    return run->deadline != YOKE_FOREVER && yoke_now() >= run->deadline;
}

int64_t yoke_deadline(void)
{
    return current ? current->deadline : YOKE_FOREVER;
}

void yoke_progress(double done, double total)
{
    yk_run *run = current;
    if (run && run->progress) {
        if (run->progressed)
            atomic_store_explicit(run->progressed, true, memory_order_relaxed);
        atomic_store_explicit(&run->progress[0], done, memory_order_relaxed);
        atomic_store_explicit(&run->progress[1], total, memory_order_relaxed);
    }
}

void *yoke_alloc(size_t size)
{
    yk_run *run = current;
    if (!run || !yk_run_is_task(run))
        return NULL;
    bool locked = lock(run);
    void *memory = yk_region_alloc(run->region, size);
    unlock(run, locked);
    return memory;
}

struct yoke_executor *yoke_current_executor(void)
{
    struct yoke_executor *ex = current ? current->executor : NULL;
    return ex && ex->type->nested ? ex->type->nested(ex) : ex;
}
