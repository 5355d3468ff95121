/* run: one attempt at one job, the only place where tasks are called; and what a task can ask while it runs.
 *
 * The run lies on the runner's stack; a thread-local pointer leads to it. All access goes through the functions here, never
 * through an inlined thread-local, so that a coroutine may move between threads later. Runs nest when an inline executor runs
 * a job inside a task. */
#include "exec/exec.h"
#include <stdio.h>

static _Thread_local yk_run *current;

yk_run *yk_current_run(void)
{
    return current;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
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

int yk_job_run(yk_run *run)
{
    run->code = 0;
    run->error = NULL;
    run->retry_after = -1;
    run->outer = current;
    current = run;
    run->started = yoke_now();
    run->task->call(run->args, run->ret);
    run->ended = yoke_now();
    current = run->outer;
    if (YK_UNLIKELY(run->ended >= run->deadline))
        note_lateness(run);
    return run->code;
}

int yk_fail(const char *file, int line, int code, const char *format, ...)
{
    if (code > 0)
        code = -code;
    if (code == 0)
        code = -EINVAL;
    yk_run *run = current;
    if (!run || run->code != 0)
        return code;
    va_list ap;
    va_start(ap, format);
    char *what = yk_region_vprintf(run->region, format, ap);
    va_end(ap);
    char *text = NULL;
    if (what)
        text = yk_region_printf(run->region, "%s: %s (%s:%d)", run->task->name, what, base_name(file), line);
    run->code = code;
    run->error = text ? text : "out of memory while another error was reported";
    return code;
}

int yoke_retry(int64_t delay)
{
    yk_run *run = current;
    if (!run || run->code != 0)
        return -EAGAIN;
    run->retry_after = delay > 0 ? delay : 0;
    run->code = -EAGAIN;
    run->error = "asked to be tried again";
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
        atomic_store_explicit(&run->progress[0], done, memory_order_relaxed);
        atomic_store_explicit(&run->progress[1], total, memory_order_relaxed);
    }
}

void *yoke_alloc(size_t size)
{
    return current ? yk_region_alloc(current->region, size) : NULL;
}

struct yoke_executor *yoke_current_executor(void)
{
    return current ? current->executor : NULL;
}
