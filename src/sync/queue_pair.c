/* queue_pair: first in first out between one thread that puts and one that gets. Leslie Lamport's ring ("Proving the correctness
 * of multiprocess programs", 1977): each end writes its own index only. Each also remembers what it last saw of the other's
 * index, and looks again only when by that the ring seems full or empty, so the lines with the indices seldom travel.
 *
 * A third thread may shut the queue. It cannot change the indices, which are written without locked instructions; so it asks the
 * ends to keep out (`shut`), lets the barrier reach them, and waits for the one that is inside (`putting`, `getting`) to leave.
 * The same words tell an end that it is not alone, which is the user's mistake. */
#include "sync/queue.h"
#include <sched.h>
#include <stdlib.h>

enum { OPEN, NO_PUTS, NO_GETS }; /* values of `shut`, each includes the one before */

static int pair_open(yoke_queue *q)
{
    size_t slots = 1;
    while (slots < q->capacity && slots <= SIZE_MAX / 4)
        slots *= 2;
    if (slots < q->capacity || slots > SIZE_MAX / 2 / q->item_size)
        return -ENOMEM;
    q->pair.mask = slots - 1;
    q->pair.slots = yk_sys.calloc(slots, q->item_size);
    return q->pair.slots ? 0 : -ENOMEM;
}

static void pair_done(yoke_queue *q)
{
    free(q->pair.slots);
}

/* Goes inside an end, unless somebody is there already, or the queue is shut to that degree. */
static inline int enter(yoke_queue *q, _Atomic uint32_t *inside, uint32_t shut)
{
    /* Pairs with leave(): of the same end, in another thread. */
    if (YK_UNLIKELY(atomic_load_explicit(inside, memory_order_acquire)))
        return -EBUSY;
    /* Pairs with keep_out(): either that sees us inside, or we see `shut`. */
    if (YK_LIKELY(q->light)) {
        atomic_store_explicit(inside, 1, memory_order_relaxed);
        __asm__ __volatile__("" ::: "memory");
    } else {
        atomic_exchange_explicit(inside, 1, memory_order_seq_cst);
    }
    if (YK_LIKELY(atomic_load_explicit(&q->pair.shut, memory_order_seq_cst) < shut))
        return 0;
    atomic_store_explicit(inside, 0, memory_order_release);
    return -ESHUTDOWN;
}

static inline void leave(_Atomic uint32_t *inside)
{
    /* Pairs with keep_out() and enter(): what was done inside is seen. */
    atomic_store_explicit(inside, 0, memory_order_release);
}

/* Copies n items between the array and the ring, in two parts when the ring's end lies between. */
static void copy_run(yk_queue_pair_ends *p, uint64_t position, size_t n, size_t size, const char *from, char *to)
{
    size_t at = (size_t)position & p->mask, straight = YK_MIN(n, p->mask + 1 - at);
    if (from) {
        memcpy(p->slots + at * size, from, straight * size);
        memcpy(p->slots, from + straight * size, (n - straight) * size);
    } else if (to) {
        memcpy(to, p->slots + at * size, straight * size);
        memcpy(to + straight * size, p->slots, (n - straight) * size);
    }
}

static inline size_t put_inside(yoke_queue *q, const char *items, size_t n)
{
    yk_queue_pair_ends *p = &q->pair;
    uint64_t tail = atomic_load_explicit(&p->tail, memory_order_relaxed);
    if (q->capacity - (tail - p->head_seen) < n)
        /* Pairs with yk_publish() in get_inside(): the places must have been read. */
        p->head_seen = atomic_load_explicit(&p->head, memory_order_seq_cst);
    size_t k = YK_MIN(n, q->capacity - (size_t)(tail - p->head_seen));
    if (YK_LIKELY(k == 1))
        yk_queue_copy(p->slots + ((size_t)tail & p->mask) * q->item_size, items, q->item_size);
    else if (k > 1)
        copy_run(p, tail, k, q->item_size, items, NULL);
    if (k > 0)
        yk_publish(&p->tail, tail + k, q->light);
    return k;
}

static inline size_t get_inside(yoke_queue *q, char *items, size_t n)
{
    yk_queue_pair_ends *p = &q->pair;
    uint64_t head = atomic_load_explicit(&p->head, memory_order_relaxed);
    if (p->tail_seen - head < n)
        /* Pairs with yk_publish() in put_inside(): the items must be there. */
        p->tail_seen = atomic_load_explicit(&p->tail, memory_order_seq_cst);
    size_t k = YK_MIN(n, (size_t)(p->tail_seen - head));
    if (YK_LIKELY(k == 1 && items))
        yk_queue_copy(items, p->slots + ((size_t)head & p->mask) * q->item_size, q->item_size);
    else if (k > 0)
        copy_run(p, head, k, q->item_size, NULL, items);
    if (k > 0)
        yk_publish(&p->head, head + k, q->light);
    return k;
}

static ptrdiff_t pair_put(yoke_queue *q, const void *items, size_t n)
{
    int err = enter(q, &q->pair.putting, NO_PUTS);
    if (YK_UNLIKELY(err < 0))
        return err;
    size_t k = put_inside(q, items, n);
    leave(&q->pair.putting);
    return k > 0 ? (ptrdiff_t)k : -EAGAIN;
}

static ptrdiff_t pair_get(yoke_queue *q, void *items, size_t n)
{
    int err = enter(q, &q->pair.getting, NO_GETS);
    if (YK_UNLIKELY(err < 0))
        return err;
    bool shut = yk_queue_is_shut(q); /* asked first, so that the queue is then known to stay empty */
    size_t k = get_inside(q, items, n);
    leave(&q->pair.getting);
    if (YK_LIKELY(k > 0))
        return (ptrdiff_t)k;
    return shut ? -ESHUTDOWN : -EAGAIN;
}

/* From its return on nobody enters that end, and what was done inside is seen. Under q->closing. */
static void keep_out(yoke_queue *q, _Atomic uint32_t *inside, uint32_t shut)
{
    /* Pairs with enter(). */
    if (atomic_load_explicit(&q->pair.shut, memory_order_relaxed) < shut)
        atomic_store_explicit(&q->pair.shut, shut, memory_order_seq_cst);
    yk_heavy_barrier();
    /* Pairs with leave(). Nobody sleeps inside: it is a matter of nanoseconds, or of that thread's next turn. */
    while (atomic_load_explicit(inside, memory_order_seq_cst))
        sched_yield();
}

static uint64_t pair_shut(yoke_queue *q, bool now)
{
    yk_queue_pair_ends *p = &q->pair;
    keep_out(q, &p->putting, NO_PUTS);
    if (!now)
        return 0;
    keep_out(q, &p->getting, NO_GETS);
    uint64_t head = atomic_load_explicit(&p->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&p->tail, memory_order_relaxed);
    atomic_store_explicit(&p->head, tail, memory_order_relaxed);
    return tail - head;
}

static uint64_t pair_puts(yoke_queue *q)
{
    /* Pairs, after yk_waiters_enter(), with yk_publish() in put_inside(). */
    return atomic_load_explicit(&q->pair.tail, memory_order_seq_cst);
}

static uint64_t pair_size(yoke_queue *q)
{
    /* The front first, see rings_size(). */
    uint64_t head = atomic_load_explicit(&q->pair.head, memory_order_seq_cst);
    uint64_t size = pair_puts(q) - head;
    return YK_MIN(size, q->capacity);
}

const yk_queue_ops yk_queue_pair = {.open = pair_open,
                                    .done = pair_done,
                                    .put = pair_put,
                                    .get = pair_get,
                                    .shut = pair_shut,
                                    .size = pair_size,
                                    .puts = pair_puts};
