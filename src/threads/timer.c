/* timer: functions that are called later, once or again and again, by the thread of exec/timer.c.
 *
 * A timer's lock decides between its call and its cancel. A reference each is held by the user, by the heap of exec/timer.c while
 * the timer is in it, and by a call that is a job of an executor. Nothing is called under the lock save yk_timer_start() and
 * yk_timer_stop(), which call nothing.
 *
 * The thread of exec/timer.c lives as long as somebody has entered; a timer enters for its user, from start to release. It
 * cannot leave in that very thread, so what is released there leaves with the next that is released elsewhere.
 *
 * A call may fork. In the child the timer is the parent's: its lock may be held by a thread that is not there, so from then on
 * nothing but the references is touched. */
#include "exec/exec.h"
#include <limits.h>
#include <stdlib.h>
#include <yoke/thread.h>

struct yoke_timer {
    yk_timer heap; /* first; its fn is fire */
    _Atomic uint32_t refs;
    uint32_t generation;
    void (*fn)(void *arg);
    void *arg;
    yoke_executor *on;
    int64_t due, period;
    _Atomic uint64_t calls, skipped;
    _Atomic uint32_t ended; /* changes when a call ends; release sleeps on it */
    yk_mutex lock;          /* guards the rest and due */
    bool calling, cancelled, over;
    yk_hook hook; /* of the job that is the call */
};

static _Thread_local yoke_timer *in_call; /* the timer whose call this thread is making */
static _Thread_local bool is_timer_thread;
static _Atomic uint32_t owed; /* leaves that were not possible */

static void unref_many(yoke_timer *t, uint32_t n)
{
    /* Release and acquire: whoever frees it sees what the others did. */
    if (atomic_fetch_sub_explicit(&t->refs, n, memory_order_acq_rel) == n)
        free(t);
}

static void unref(yoke_timer *t)
{
    unref_many(t, 1);
}

static void ref(yoke_timer *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

/* Else it is the parent's of this process. */
static bool is_ours(const yoke_timer *t)
{
    return t && t->generation == atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
}

/* In a child made by fork() no thread is the timers' yet, whoever it was in the parent. */
static void forget_parent(void)
{
    is_timer_thread = false;
    in_call = NULL;
    atomic_store_explicit(&owed, 0, memory_order_relaxed);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

/* ---- Calls ---- */

static void call(yoke_timer *t)
{
    yoke_timer *outer = in_call;
    in_call = t;
    atomic_fetch_add_explicit(&t->calls, 1, memory_order_relaxed);
    t->fn(t->arg);
    in_call = outer;
}

/* Locked. */
static void call_ended(yoke_timer *t)
{
    t->calling = false;
    atomic_fetch_add_explicit(&t->ended, 1, memory_order_release);
    yk_wake(&t->ended, INT_MAX, false);
}

static void call_as_task(const void *args, void *ret)
{
    call(*(yoke_timer *const *)args);
}

static const yk_task_info call_info = {.id = UINT32_MAX};
static const yoke_task call_task = {.abi = YOKE_ABI, .name = "yoke_timer", .ret = "void", .ret_code = YOKE_VOID,
                                    .args_size = sizeof(yoke_timer *), .call = call_as_task, .info = &call_info};

static void job_ended(yk_hook *hook, yoke_future *job)
{
    yoke_timer *t = (yoke_timer *)(void *)((char *)hook - offsetof(yoke_timer, hook));
    if (is_ours(t)) {
        yk_mutex_lock(&t->lock);
        call_ended(t);
        yk_mutex_unlock(&t->lock);
    }
    unref(t);
}

/* False when there is no memory for the job. */
static bool submit_call(yoke_timer *t)
{
    yk_job *job = yk_job_new(t->on, &call_task);
    if (!job)
        return false;
    *(yoke_timer **)job->args = t;
    t->hook = (yk_hook){.fn = job_ended};
    ref(t);
    yk_job_hook(job, &t->hook);
    yk_job_submit(job, NULL);
    yoke_release(job);
    return true;
}

/* Locked, when a call is due. Returns with the lock held, given up meanwhile; false: without it, in a child that it made. */
static bool begin_call(yoke_timer *t)
{
    if (t->calling) { /* only on an executor */
        atomic_fetch_add_explicit(&t->skipped, 1, memory_order_relaxed);
        return true;
    }
    t->calling = true;
    yk_mutex_unlock(&t->lock);
    bool made = true;
    if (t->on)
        made = submit_call(t);
    else
        call(t);
    if (!is_ours(t))
        return false;
    yk_mutex_lock(&t->lock);
    if (!t->on || !made)
        call_ended(t);
    if (!made)
        atomic_fetch_add_explicit(&t->skipped, 1, memory_order_relaxed);
    return true;
}

/* Locked. The next time that has not passed; those that have are counted. False: there is none. */
static bool next_due(yoke_timer *t)
{
    int64_t now = yoke_now();
    if (t->period == 0 || t->due > YOKE_FOREVER - t->period)
        return false;
    t->due += t->period;
    if (t->due <= now) {
        int64_t missed = (now - t->due) / t->period;
        /* The newest of those that are late is called still, at once: the others are lost. */
        t->due += missed * t->period;
        atomic_fetch_add_explicit(&t->skipped, (uint64_t)missed, memory_order_relaxed);
    }
    return true;
}

static void fire(void *arg)
{
    yoke_timer *t = arg;
    is_timer_thread = true;
    yk_mutex_lock(&t->lock);
    bool again = false;
    if (!t->cancelled) {
        t->over = t->period == 0;
        if (!begin_call(t)) {
            unref(t);
            return;
        }
        again = !t->cancelled && next_due(t);
        if (again)
            yk_timer_again(&t->heap, t->due);
        t->over = !again;
    }
    yk_mutex_unlock(&t->lock);
    if (!again)
        unref(t);
}

/* ---- The front ---- */

static void leave(void)
{
    if (is_timer_thread) {
        atomic_fetch_add_explicit(&owed, 1, memory_order_relaxed);
        return;
    }
    for (uint32_t n = atomic_exchange_explicit(&owed, 0, memory_order_relaxed) + 1; n > 0; n--)
        yk_timer_leave();
}

int yoke_timer_start(const yoke_timer_opts *how, void (*fn)(void *arg), void *arg, yoke_timer **ret)
{
    if (!how || !fn || !ret || how->period < 0)
        return -EINVAL;
    if (how->on && yoke_executor_status(how->on) < 0)
        return yoke_executor_status(how->on);
    if (how->on && !(how->on->type->capabilities & YK_SHARES_MEMORY))
        return -EINVAL; /* fn and arg mean nothing there */
    yoke_timer *t = yk_sys.calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    int64_t now = yoke_now(), delay = YK_MAX(how->delay, 0);
    t->refs = 2;
    t->generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    t->fn = fn;
    t->arg = arg;
    t->on = how->on;
    t->period = how->period;
    int64_t due = delay > YOKE_FOREVER - now ? YOKE_FOREVER : now + delay;
    t->due = yk_real_deadline(due);
    yk_timer_enter();
    yk_mutex_lock(&t->lock);
    int err = yk_timer_start(&t->heap, due, fire, t);
    if (err == 0)
        *ret = t; /* before the first call, which waits for the lock */
    yk_mutex_unlock(&t->lock);
    if (err < 0) {
        leave();
        free(t);
    }
    return err;
}

/* No further call is made. Returns how many references are to be given up: the heap's, if it was in it. */
static uint32_t stop(yoke_timer *t, bool *would)
{
    yk_mutex_lock(&t->lock);
    *would = !t->cancelled && !t->over;
    t->cancelled = true;
    bool out = yk_timer_stop(&t->heap);
    yk_mutex_unlock(&t->lock);
    return out;
}

bool yoke_timer_cancel(yoke_timer *t)
{
    bool would = false;
    if (is_ours(t))
        unref_many(t, stop(t, &would)); /* never the last: the caller has one */
    return would;
}

uint64_t yoke_timer_calls(yoke_timer *t)
{
    return t ? atomic_load_explicit(&t->calls, memory_order_relaxed) : 0;
}

uint64_t yoke_timer_skipped(yoke_timer *t)
{
    return t ? atomic_load_explicit(&t->skipped, memory_order_relaxed) : 0;
}

static void wait_for_call(yoke_timer *t)
{
    yk_mutex_lock(&t->lock);
    while (t->calling) {
        uint32_t seen = atomic_load_explicit(&t->ended, memory_order_acquire);
        yk_mutex_unlock(&t->lock);
        yk_wait(&t->ended, seen, YOKE_FOREVER, YK_WAIT_DEAF);
        yk_mutex_lock(&t->lock);
    }
    yk_mutex_unlock(&t->lock);
}

yoke_timer *yoke_timer_release(yoke_timer *t)
{
    if (!t)
        return NULL;
    uint32_t refs = 1;
    if (is_ours(t)) {
        bool would;
        refs += stop(t, &would);
        if (in_call != t)
            wait_for_call(t);
        leave();
    }
    unref_many(t, refs);
    return NULL;
}
