/* sleep: waits for time and for nothing. */
#include "async/async.h"
#include <sched.h>

static bool give_up(yk_park *p)
{
    return true;
}

/* A word that nobody changes. */
static int sleep_in_thread(int64_t when)
{
    _Atomic uint32_t word = 0;
    while (yoke_now() < when)
        yk_wait(&word, 0, when, false);
    return 0;
}

int yoke_sleep_until(int64_t when)
{
    yk_coroutine *co = yk_coroutine_here();
    if (!co)
        return sleep_in_thread(when);
    int err = yk_cancel_point();
    if (err < 0)
        return err;
    if (when <= yk_loop_now(co->loop))
        return yk_pass();
    yk_park park = {.abort = give_up, .what = "sleep", .number = -1};
    err = yk_suspend(&park, when);
    return err == -ETIMEDOUT ? 0 : err;
}

int yoke_sleep(int64_t ns)
{
    return yoke_sleep_until(yk_after(YK_MAX(ns, 0)));
}

int yoke_yield(void)
{
    yk_coroutine *co = yk_coroutine_here();
    if (co)
        return yk_cancel_point_of(co) < 0 ? -ECANCELED : yk_pass();
    sched_yield();
    return 0;
}

int yoke_checkpoint(void)
{
    return yk_cancel_point();
}
