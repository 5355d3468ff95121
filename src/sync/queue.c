/* queue: the public calls of yoke/queues.h. They wait, wake and count; a kind (queue_ring.c, queue_pair.c, queue_heap.c) moves
 * items at once or not at all.
 *
 * A call tries, spins for a moment if that has paid lately, enters the list of its side, tries again, and sleeps; see
 * queue_wait.c for why no wake-up is lost. What a success owes to others is in moved(). */
#include "sync/queue.h"
#include "base/spin.h"
#include "sync/wait.h"
#include "topo/topo.h"
#include <sched.h>
#include <stdlib.h>

/* ---- Opening and closing ---- */

static const yk_queue_ops *ops_of(yoke_queue_kind kind)
{
    switch (kind) {
    case YOKE_QUEUE_FIFO:
        return &yk_queue_ring;
    case YOKE_QUEUE_LIFO:
    case YOKE_QUEUE_PRIORITY:
        return &yk_queue_heap;
    case YOKE_QUEUE_SPSC:
        return &yk_queue_pair;
    }
    return NULL;
}

int yoke_queue_open(yoke_queue_kind kind, size_t item_size, size_t capacity, yoke_queue_before *before, yoke_queue **ret)
{
    const yk_queue_ops *ops = ops_of(kind);
    if (!ret || !ops || item_size == 0 || !before != (kind != YOKE_QUEUE_PRIORITY) || (kind == YOKE_QUEUE_SPSC && capacity == 0))
        return -EINVAL;
    if (item_size > SIZE_MAX / 4 || capacity > SIZE_MAX / 4)
        return -ENOMEM;
    void *memory;
    if (yk_sys.posix_memalign(&memory, 2 * YK_CACHE_LINE, sizeof(yoke_queue)) != 0)
        return -ENOMEM;
    yoke_queue *q = memory;
    *q = (yoke_queue){.ops = ops, .kind = kind, .item_size = item_size, .capacity = capacity, .before = before,
                      .light = yk_has_heavy_barrier(), .spin = yk_cpus_to_spare()};
    int err = ops->open(q);
    if (err < 0) {
        free(q);
        return err;
    }
    *ret = q;
    return 0;
}

int yoke_queue_close(yoke_queue *q)
{
    if (!q)
        return 0;
    if (yk_waiters_any(&q->putters) || yk_waiters_any(&q->getters) || yk_waiters_any(&q->joiners))
        return -EBUSY;
    q->ops->done(q);
    free(q);
    return 0;
}

/* ---- What is done ---- */

size_t yoke_queue_unfinished(yoke_queue *q)
{
    if (!q)
        return 0;
    /* What is done is read first: it never overtakes what was put. So 0 is the truth of that moment. Pairs, after
     * yk_waiters_enter(), with finish(). */
    uint64_t finished = atomic_load_explicit(&q->finished, memory_order_seq_cst);
    return (size_t)(q->ops->puts(q) - finished);
}

/* n more items are done, or as many as there are; 0 when there was none. */
static uint64_t finish(yoke_queue *q, uint64_t n)
{
    uint64_t finished = atomic_load_explicit(&q->finished, memory_order_relaxed), more;
    do {
        uint64_t unfinished = q->ops->puts(q) - finished;
        more = YK_MIN(n, unfinished);
        if (more == 0)
            return 0;
        /* Pairs with yoke_queue_unfinished(): whoever joins sees what was done to the items. */
    } while (!atomic_compare_exchange_weak_explicit(&q->finished, &finished, finished + more, memory_order_seq_cst,
                                                    memory_order_relaxed));
    if (yk_waiters_any(&q->joiners) && yoke_queue_unfinished(q) == 0)
        yk_waiters_wake(&q->joiners, SIZE_MAX);
    return more;
}

int yoke_queue_task_done(yoke_queue *q)
{
    return q && finish(q, 1) == 1 ? 0 : -EINVAL;
}

int yoke_queue_join(yoke_queue *q)
{
    return yoke_queue_join_until(q, YOKE_FOREVER);
}

int yoke_queue_join_timed(yoke_queue *q, int64_t ns)
{
    return ns < 0 ? -EINVAL : yoke_queue_join_until(q, yk_after(ns));
}

static const yk_kind joined = {"the end of what is in a queue", NULL};

int yoke_queue_join_until(yoke_queue *q, int64_t deadline)
{
    if (!q)
        return -EINVAL;
    while (yoke_queue_unfinished(q) > 0) {
        yk_waiter w;
        yk_waiters_enter(&q->joiners, &w, false);
        if (yoke_queue_unfinished(q) == 0) {
            yk_waiters_leave(&q->joiners, &w);
            break;
        }
        w.cause = (yk_cause){&joined, q};
        int woken = yk_waiters_sleep(&q->joiners, &w, deadline, 0);
        if (woken > 0)
            break; /* nothing was left to do, at one moment while we waited */
        if (woken < 0)
            return yoke_queue_unfinished(q) > 0 ? woken : 0;
    }
    return 0;
}

/* ---- Moving items ---- */

/* The two sides of a queue are one code: items go in, or come out. */
typedef enum side { PUT, GET } side;

static inline yk_waiters *waiters_of(yoke_queue *q, side s)
{
    return s == PUT ? &q->putters : &q->getters;
}

/* Whether one more of that side could go. */
static bool has_more(yoke_queue *q, side s)
{
    uint64_t size = q->ops->size(q);
    return s == GET ? size > 0 : q->capacity == 0 || size < q->capacity;
}

/* n items went in or out: as many of the other side can go on. And one of our own, perhaps: in a ring, whoever was woken for an
 * item may have found the one before it unfinished, and sleeps again; whoever finishes or takes that one hands the wake-up on. */
static __attribute__((noinline)) void moved_slowly(yoke_queue *q, side s, size_t n)
{
    if (yk_waiters_any(waiters_of(q, !s)))
        yk_waiters_wake(waiters_of(q, !s), n);
    if (yk_waiters_any(waiters_of(q, s)) && has_more(q, s))
        yk_waiters_wake(waiters_of(q, s), 1);
}

static inline void moved(yoke_queue *q, side s, ptrdiff_t n)
{
    if (YK_UNLIKELY(yk_waiters_any(&q->putters) || yk_waiters_any(&q->getters)))
        moved_slowly(q, s, (size_t)n);
}

static inline ptrdiff_t attempt(yoke_queue *q, side s, void *items, size_t n)
{
    ptrdiff_t k = s == PUT ? q->ops->put(q, items, n) : q->ops->get(q, items, n);
    if (YK_LIKELY(k > 0))
        moved(q, s, k);
    return k;
}

/* Waits awake, for about as long as it would take to be woken. Not when that has been in vain several times in a row, except
 * now and then; and with no CPU to spare just lets others run. A coroutine does so by going to sleep. */
static ptrdiff_t spin(yoke_queue *q, side s, void *items, size_t n)
{
    if (yk_is_coroutine())
        return -EAGAIN;
    _Atomic uint32_t *misses = s == PUT ? &q->put_misses : &q->get_misses;
    uint32_t missed = atomic_load_explicit(misses, memory_order_relaxed);
    ptrdiff_t k = -EAGAIN;
    if (q->spin && (missed < 4 || missed % 16 == 0)) {
        yk_spin spin;
        yk_spin_begin(&spin, true);
        while (k == -EAGAIN && yk_spin_more(&spin))
            k = attempt(q, s, items, n);
    } else {
        sched_yield();
        k = attempt(q, s, items, n);
    }
    uint32_t now = k == -EAGAIN ? missed + 1 : 0;
    if (now != missed)
        atomic_store_explicit(misses, now, memory_order_relaxed);
    return k;
}

static const yk_kind sides[] = {[PUT] = {"room in a queue", NULL}, [GET] = {"an item in a queue", NULL}};

/* Until the first item can be moved. how: as for yk_wait(). */
static __attribute__((noinline)) ptrdiff_t wait_and_move(yoke_queue *q, side s, void *items, size_t n, int64_t deadline,
                                                         unsigned how)
{
    if (yk_has_passed(deadline))
        return -ETIMEDOUT;
    ptrdiff_t k = spin(q, s, items, n);
    yk_waiters *l = waiters_of(q, s);
    for (bool again = false; k == -EAGAIN;) {
        yk_waiter w;
        yk_waiters_enter(l, &w, again);
        k = attempt(q, s, items, n);
        if (k != -EAGAIN) {
            if (!yk_waiters_leave(l, &w))
                yk_waiters_wake(l, 1); /* for another item than the one we have */
            break;
        }
        w.cause = (yk_cause){&sides[s], q};
        int woken = yk_waiters_sleep(l, &w, deadline, how);
        again = woken > 0;
        k = attempt(q, s, items, n);
        if (k == -EAGAIN && woken < 0)
            k = woken;
    }
    return k;
}

static inline ptrdiff_t move_until(yoke_queue *q, side s, void *items, size_t n, int64_t deadline, unsigned how)
{
    ptrdiff_t k = attempt(q, s, items, n);
    return YK_LIKELY(k != -EAGAIN) ? k : wait_and_move(q, s, items, n, deadline, how);
}

/* Without waiting. An item that has its place but is not complete yet, because its putter was interrupted, hides those behind
 * it; so a get that finds nothing although there are items gives that putter some time. */
static ptrdiff_t try_get(yoke_queue *q, void *ret, size_t n)
{
    ptrdiff_t k = attempt(q, GET, ret, n);
    if (q->kind != YOKE_QUEUE_FIFO)
        return k;
    for (int i = 0; k == -EAGAIN && i < 8; i++) {
        yk_pause();
        k = attempt(q, GET, ret, n);
    }
    for (int i = 0; k == -EAGAIN && i < 100 && q->ops->size(q) > 0; i++) {
        sched_yield();
        k = attempt(q, GET, ret, n);
    }
    return k;
}

static inline int as_error(ptrdiff_t k)
{
    return k > 0 ? 0 : (int)k;
}

static inline void *unconst(const void *items)
{
    return (void *)(uintptr_t)items; /* of a put, which only reads them */
}

/* ---- Puts ---- */

int yoke_queue_put(yoke_queue *q, const void *item)
{
    return yoke_queue_put_until(q, item, YOKE_FOREVER);
}

int yoke_queue_put_try(yoke_queue *q, const void *item)
{
    return q && item ? as_error(attempt(q, PUT, unconst(item), 1)) : -EINVAL;
}

int yoke_queue_put_timed(yoke_queue *q, const void *item, int64_t ns)
{
    return ns < 0 ? -EINVAL : yoke_queue_put_until(q, item, yk_after(ns));
}

int yoke_queue_put_until(yoke_queue *q, const void *item, int64_t deadline)
{
    return q && item ? as_error(move_until(q, PUT, unconst(item), 1, deadline, 0)) : -EINVAL;
}

ptrdiff_t yoke_queue_put_many(yoke_queue *q, const void *items, size_t n)
{
    return yoke_queue_put_many_until(q, items, n, YOKE_FOREVER);
}

ptrdiff_t yoke_queue_put_many_try(yoke_queue *q, const void *items, size_t n)
{
    if (!q || (!items && n > 0))
        return -EINVAL;
    size_t k = 0;
    ptrdiff_t more = 0;
    for (; k < n && (more = attempt(q, PUT, (char *)unconst(items) + k * q->item_size, n - k)) > 0; k += (size_t)more)
        ;
    return k > 0 ? (ptrdiff_t)k : more;
}

ptrdiff_t yoke_queue_put_many_timed(yoke_queue *q, const void *items, size_t n, int64_t ns)
{
    return ns < 0 ? -EINVAL : yoke_queue_put_many_until(q, items, n, yk_after(ns));
}

ptrdiff_t yoke_queue_put_many_until(yoke_queue *q, const void *items, size_t n, int64_t deadline)
{
    if (!q || (!items && n > 0))
        return -EINVAL;
    size_t k = 0;
    ptrdiff_t more = 0;
    for (; k < n && (more = move_until(q, PUT, (char *)unconst(items) + k * q->item_size, n - k, deadline, 0)) > 0;
         k += (size_t)more)
        ;
    return k > 0 ? (ptrdiff_t)k : more;
}

/* ---- Gets ---- */

int yoke_queue_get(yoke_queue *q, void *ret)
{
    return yoke_queue_get_until(q, ret, YOKE_FOREVER);
}

int yoke_queue_get_try(yoke_queue *q, void *ret)
{
    return q && ret ? as_error(try_get(q, ret, 1)) : -EINVAL;
}

int yoke_queue_get_timed(yoke_queue *q, void *ret, int64_t ns)
{
    return ns < 0 ? -EINVAL : yoke_queue_get_until(q, ret, yk_after(ns));
}

int yoke_queue_get_until(yoke_queue *q, void *ret, int64_t deadline)
{
    return q && ret ? as_error(move_until(q, GET, ret, 1, deadline, 0)) : -EINVAL;
}

ptrdiff_t yoke_queue_get_many(yoke_queue *q, void *ret, size_t n)
{
    return yoke_queue_get_many_until(q, ret, n, YOKE_FOREVER);
}

ptrdiff_t yoke_queue_get_many_try(yoke_queue *q, void *ret, size_t n)
{
    if (!q || (!ret && n > 0))
        return -EINVAL;
    return n == 0 ? 0 : try_get(q, ret, n);
}

ptrdiff_t yoke_queue_get_many_timed(yoke_queue *q, void *ret, size_t n, int64_t ns)
{
    return ns < 0 ? -EINVAL : yoke_queue_get_many_until(q, ret, n, yk_after(ns));
}

ptrdiff_t yoke_queue_get_many_until(yoke_queue *q, void *ret, size_t n, int64_t deadline)
{
    if (!q || (!ret && n > 0))
        return -EINVAL;
    return n == 0 ? 0 : move_until(q, GET, ret, n, deadline, 0);
}

/* ---- Shutting ---- */

/* Takes what is left and drops it, with whatever is still on its way. */
static uint64_t drop_rest(yoke_queue *q)
{
    uint64_t dropped = 0;
    for (ptrdiff_t k; (k = move_until(q, GET, NULL, SIZE_MAX / 2, YOKE_FOREVER, YK_WAIT_DEAF)) > 0;)
        dropped += (uint64_t)k;
    return dropped;
}

int yoke_queue_shutdown(yoke_queue *q, bool now)
{
    if (!q)
        return -EINVAL;
    yk_mutex_lock(&q->closing);
    uint64_t dropped = q->ops->shut(q, now);
    /* Pairs with yk_queue_is_shut(), and in its order with the count of those who wait. */
    atomic_store_explicit(&q->shut, 1, memory_order_seq_cst);
    yk_mutex_unlock(&q->closing);
    yk_waiters_wake(&q->putters, SIZE_MAX);
    yk_waiters_wake(&q->getters, SIZE_MAX);
    if (now && q->kind != YOKE_QUEUE_SPSC)
        dropped += drop_rest(q);
    if (dropped > 0)
        finish(q, dropped);
    return 0;
}

/* ---- How things stand ---- */

size_t yoke_queue_size(yoke_queue *q)
{
    return q ? (size_t)q->ops->size(q) : 0;
}

bool yoke_queue_empty(yoke_queue *q)
{
    return yoke_queue_size(q) == 0;
}

bool yoke_queue_full(yoke_queue *q)
{
    return q && !has_more(q, PUT);
}

size_t yoke_queue_capacity(yoke_queue *q)
{
    return q ? q->capacity : 0;
}
