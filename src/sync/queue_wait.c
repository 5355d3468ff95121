/* queue_wait: the list of those who wait for one side of a queue, and the order of memory that keeps wake-ups from being lost.
 *
 * Whoever wakes takes the waiter out of the list first, under the list's lock: so each wake-up meets one waiter, the count falls
 * at once, and the next put makes no system call for somebody who is already on the way. A waiter that runs out of time finds
 * out under the same lock whether it was woken.
 *
 * The fast paths of queues store and then read the count; the waiter counts itself and then reads what they store. On its own
 * that needs a full barrier on both sides, 6 to 10 ns for every item. So the waiter, who is about to make a system call anyway,
 * pays for both: membarrier(2) makes every running thread of the process pass a barrier. Where there is no membarrier, both
 * sides use sequentially consistent operations (yk_publish() in queue.h). */
#include "sync/queue.h"
#include "sync/wait.h"
#include <linux/membarrier.h>

enum { UNKNOWN, ABSENT, PRESENT };
static _Atomic int barrier_state;

bool yk_has_heavy_barrier(void)
{
    int state = atomic_load_explicit(&barrier_state, memory_order_relaxed);
    if (state == UNKNOWN) {
        bool works = yk_sys.membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
                     yk_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
        state = works ? PRESENT : ABSENT;
        atomic_store_explicit(&barrier_state, state, memory_order_relaxed);
    }
    return state == PRESENT;
}

bool yk_heavy_barrier(void)
{
    if (!yk_has_heavy_barrier() || yk_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return true;
    /* A child of fork() may have to register anew; a sandbox entered since may forbid it. */
    return yk_sys.membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           yk_sys.membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* ---- The list, under its lock ---- */

static void link_in(yk_waiters *l, yk_waiter *w, bool front)
{
    w->prev = front ? NULL : l->last;
    w->next = front ? l->first : NULL;
    *(w->prev ? &w->prev->next : &l->first) = w;
    *(w->next ? &w->next->prev : &l->last) = w;
    w->linked = true;
    /* Pairs with yk_waiters_any(): who does not see it has published before what the waiter reads next. */
    atomic_fetch_add_explicit(&l->count, 1, memory_order_seq_cst);
}

static void link_out(yk_waiters *l, yk_waiter *w)
{
    *(w->prev ? &w->prev->next : &l->first) = w->next;
    *(w->next ? &w->next->prev : &l->last) = w->prev;
    w->linked = false;
    atomic_fetch_sub_explicit(&l->count, 1, memory_order_relaxed);
}

/* ---- Waiting ---- */

void yk_waiters_enter(yk_waiters *l, yk_waiter *w, bool front)
{
    atomic_store_explicit(&w->word, 0, memory_order_relaxed);
    w->cause = (yk_cause){NULL, NULL};
    yk_mutex_lock(&l->lock);
    link_in(l, w, front);
    yk_mutex_unlock(&l->lock);
    w->unsure = !yk_heavy_barrier();
}

static bool is_woken(yk_waiter *w)
{
    /* Pairs with the store in yk_waiters_wake(): after it nobody else touches the waiter. */
    return atomic_load_explicit(&w->word, memory_order_acquire) != 0;
}

bool yk_waiters_leave(yk_waiters *l, yk_waiter *w)
{
    yk_mutex_lock(&l->lock);
    bool in_time = w->linked;
    if (in_time)
        link_out(l, w);
    yk_mutex_unlock(&l->lock);
    while (!in_time && !is_woken(w)) /* whoever took it out still holds it, for a moment */
        yk_wait(&w->word, 0, YOKE_FOREVER, YK_WAIT_DEAF);
    return in_time;
}

int yk_waiters_sleep(yk_waiters *l, yk_waiter *w, int64_t deadline, unsigned how)
{
    int64_t soon = w->unsure ? yoke_now() + YOKE_MS : YOKE_FOREVER;
    bool early = soon < deadline;
    int err = 0;
    while (!is_woken(w) && !yk_wait_is_over(err))
        err = yk_wait_for(&w->cause, &w->word, 0, early ? soon : deadline, how);
    if (is_woken(w) || !yk_waiters_leave(l, w))
        return 1;
    return early && err == -ETIMEDOUT ? 0 : err;
}

void yk_waiters_wake(yk_waiters *l, size_t n)
{
    yk_waiter *taken = NULL, **end = &taken;
    yk_mutex_lock(&l->lock);
    for (; n > 0 && l->first; n--) {
        yk_waiter *w = l->first;
        link_out(l, w);
        *end = w;
        end = &w->next;
        *end = NULL;
    }
    yk_mutex_unlock(&l->lock);
    while (taken) {
        yk_waiter *w = taken;
        taken = w->next;
        /* Pairs with is_woken(). From here on *w may be gone; its address alone is used to wake whoever sleeps there. */
        atomic_store_explicit(&w->word, 1, memory_order_release);
        yk_wake(&w->word, 1, false);
    }
}
