/* many: waits for several jobs at once, and jobs in groups. All by what futures have for it (exec/combine.c). */
#include "async/async.h"

static void cancel_all(yoke_future *const *fs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!yoke_done(fs[i]))
            yoke_cancel(fs[i]);
}

static bool is_any_missing(yoke_future *const *fs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!fs || !fs[i])
            return true;
    return false;
}

int yoke_gather(yoke_future *const *fs, size_t n)
{
    if (is_any_missing(fs, n))
        return -EINVAL;
    yoke_completion *c = yoke_as_completed(fs, n);
    if (!c)
        return -ENOMEM;
    int err;
    yoke_future *f;
    while ((err = yoke_next_completed_until(c, YOKE_FOREVER, &f)) == 0 && (err = yoke_code(f)) == 0)
        ;
    if (err == -ENOENT)
        err = 0;
    if (err == -ECANCELED && yk_cancel_point() < 0)
        cancel_all(fs, n);
    yoke_completion_close(c);
    return err;
}

int yoke_wait_any(yoke_future *const *fs, size_t n, size_t *ret)
{
    if (!ret || n == 0 || is_any_missing(fs, n))
        return -EINVAL;
    yoke_future *any = yoke_any(fs, n);
    if (!any)
        return -ENOMEM;
    int err = yoke_wait(any);
    if (err == 0)
        err = yk_result(any, YK_ULONG, ret, sizeof *ret);
    yoke_release(any);
    return err;
}

/* A coroutine of a group that stands for a job. Told to stop, it tells the job, and waits for what becomes of it. */
static int wait_for_job(void *arg)
{
    yoke_future *f = arg;
    int err = yoke_wait(f);
    if (err != -ECHILD && !yoke_done(f)) {
        yoke_cancel(f);
        yoke_scope shield;
        yoke_shield_begin_timed(&shield, YOKE_FOREVER);
        yoke_wait(f);
        yoke_scope_end(&shield);
    }
    if (yoke_done(f))
        err = yoke_code(f); /* it may have ended, or failed, in another way than by being told, or just after that */
    yoke_release(f);
    return err;
}

int yoke_group_add(yoke_group *g, yoke_future *f)
{
    static const yoke_go_opts opts = {.name = "job of a group"};
    if (!f)
        return yoke_group_fail(g, -ENOMEM);
    int err = yoke_go_with(g, &opts, wait_for_job, yoke_ref(f));
    if (err < 0)
        yoke_release(f);
    return err;
}
