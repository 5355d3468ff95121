/* inline: the executor that runs each job inside its submit, in the caller's thread. For tests, debuggers and the smallest
 * machines; and the reference that every other executor must agree with. A timeout cannot interrupt the task, but
 * yoke_cancelled() becomes true in it and the job fails. */
#include "exec/job.h"
#include <stdlib.h>

static int inline_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    if (*arg)
        return yk_errorf(e, EINVAL, "inline takes no number of workers, got \"inline:%s\"", arg);
    yoke_executor *ex = yk_sys.calloc(1, sizeof *ex);
    if (!ex)
        return yk_errorf(e, ENOMEM, "out of memory");
    ex->width = 1;
    *ret = ex;
    return 0;
}

/* Between attempts: until the time, or until somebody cancels the job. */
static void sleep_until(yk_job *job, int64_t when)
{
    for (;;) {
        uint32_t state = atomic_fetch_or_explicit(&job->state, YK_WAITERS, memory_order_relaxed) | YK_WAITERS;
        if ((state & YK_PHASE) != YK_QUEUED || yoke_now() >= when)
            return;
        yk_futex_wait(&job->state, state, when, false);
    }
}

static void inline_submit(yoke_executor *ex, yk_job *job)
{
    yoke_ref(job); /* to see after each attempt whether another is wanted: then job->owner holds its time */
    bool mine = true;
    while (mine && yk_job_claim(job)) {
        yk_job_execute(job, 0);
        mine = (atomic_load_explicit(&job->state, memory_order_acquire) & YK_PHASE) == YK_QUEUED;
        if (mine)
            sleep_until(job, (int64_t)job->owner.number);
    }
    if (mine)
        yk_job_drop(job); /* it was cancelled before it could be claimed, so nothing consumed the executor's reference */
    yoke_release(job);
}

static void inline_close(yoke_executor *ex)
{
    free(ex);
}

static int inline_doctor(yk_buf *out, yk_error *e)
{
    yk_buf_text(out, "  always works; a crash of a task is a crash of the program\n");
    return 0;
}

static yk_executor_type inline_type = {
    .scheme = "inline",
    .about = "runs each job inside submit",
    .most = 1,
    .capabilities = YK_SHARES_MEMORY | YK_SYNCHRONOUS,
    .open = inline_open,
    .submit = inline_submit,
    .close = inline_close,
    .doctor = inline_doctor,
};

static __attribute__((constructor)) void register_inline(void)
{
    yk_executor_register(&inline_type);
}
