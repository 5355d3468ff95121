/* queue_ring: first in first out for any number of threads, with or without a limit; no lock on the way of an item.
 *
 * A ring is Dmitry Vyukov's bounded queue (1024cores.net, 2010). Each slot has a number that says whose turn it is. With lap =
 * position minus slot index: the number is lap when the slot waits for the put of that position, lap + 1 when it waits for the
 * get, lap + slots when it waits for the next round. Whoever moves the position on by CAS owns the slots in between, and hands
 * each on by its number. Fresh memory, all zero, is an empty ring. A ticket queue (fetch_add instead of CAS) was no faster here,
 * and a ticket cannot be given back when time runs out.
 *
 * A queue without a limit grows by a second ring, twice as large, behind the first: puts go to the last ring, gets come from the
 * first until it is closed and drained. Rings stay until the queue is closed, since anybody may still look at them; together
 * the old ones are smaller than the last, and once the largest is there nothing is allocated any more.
 *
 * The lowest bit of `tail` says that the ring is closed. It is in the word that a put must change, so no put can slip in after:
 * what a get then sees as drained is drained for good. */
#include "sync/queue.h"
#include <sched.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 256, CLOSED = 1, ONE = 2 };

typedef struct yk_ring {
    YK_APART _Atomic uint64_t tail;  /* twice the position of the next put, plus CLOSED; CAS by putters, CLOSED under a lock */
    _Atomic uint64_t limit;          /* puts from here on must look at head; only ever too low; by putters */
    YK_APART _Atomic uint64_t head;  /* the position of the next get; CAS by getters */
    YK_APART _Atomic(struct yk_ring *) next; /* set before `last` moves on to it */
    uint64_t base;                   /* how many items went through the rings before; written before `last` moves here */
    uint64_t capacity, mask;         /* constant, as what follows */
    size_t size, stride;
    char *slots; /* each: a number, then the item */
} yk_ring;

/* ---- One ring ---- */

static inline char *slot_at(const yk_ring *r, uint64_t position, size_t stride)
{
    return r->slots + (position & r->mask) * stride;
}

static inline _Atomic uint64_t *number_of(char *slot)
{
    return (_Atomic uint64_t *)(void *)slot;
}

/* How many slots from the position on, up to n, have the number `lap + offset` of their position. Less than 0: none, because
 * the position is out of date. */
static inline ptrdiff_t ready(const yk_ring *r, uint64_t position, size_t n, uint64_t offset, size_t stride)
{
    size_t k = 0;
    for (; k < n; k++) {
        uint64_t p = position + k;
        /* Pairs with yk_publish() of whoever used the slot last; and, after yk_waiters_enter(), with the order of all. */
        uint64_t number = atomic_load_explicit(number_of(slot_at(r, p, stride)), memory_order_seq_cst);
        uint64_t wanted = (p & ~r->mask) + offset;
        if (number != wanted)
            return k == 0 && (int64_t)(number - wanted) > 0 ? -1 : (ptrdiff_t)k;
    }
    return (ptrdiff_t)k;
}

/* How many of n puts from the position on the capacity allows, where it is less than the number of slots. */
static inline size_t allowed(yk_ring *r, uint64_t position, size_t n)
{
    uint64_t limit = atomic_load_explicit(&r->limit, memory_order_relaxed);
    if (YK_UNLIKELY(position + n > limit)) {
        /* Pairs, after yk_waiters_enter(), with the CAS in ring_get(). */
        limit = atomic_load_explicit(&r->head, memory_order_seq_cst) + r->capacity;
        atomic_store_explicit(&r->limit, limit, memory_order_relaxed);
        if (position >= limit)
            return 0;
    }
    return YK_MIN(n, limit - position);
}

static inline __attribute__((always_inline)) ptrdiff_t ring_put(yk_ring *r, const char *items, size_t n, bool light, size_t size,
                                                                size_t stride)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    ptrdiff_t k;
    for (;;) {
        if (YK_UNLIKELY(tail & CLOSED))
            return -ESHUTDOWN;
        k = ready(r, tail / ONE, allowed(r, tail / ONE, n), 0, stride);
        if (k == 0)
            return -EAGAIN;
        if (k < 0)
            tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(&r->tail, &tail, tail + (uint64_t)k * ONE, memory_order_seq_cst,
                                                       memory_order_relaxed))
            break; /* stronger than the slots need, for the sake of rings_puts() */
    }
    for (ptrdiff_t i = 0; i < k; i++, items += size) {
        uint64_t position = tail / ONE + (uint64_t)i;
        char *slot = slot_at(r, position, stride);
        yk_queue_copy(slot + sizeof(uint64_t), items, size);
        yk_publish(number_of(slot), (position & ~r->mask) + 1, light);
    }
    return k;
}

static inline __attribute__((always_inline)) ptrdiff_t ring_get(yk_ring *r, char *items, size_t n, bool light, size_t size,
                                                                size_t stride)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    ptrdiff_t k;
    for (;;) {
        k = ready(r, head, n, 1, stride);
        if (k == 0)
            return -EAGAIN;
        if (k < 0)
            head = atomic_load_explicit(&r->head, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(&r->head, &head, head + (uint64_t)k, memory_order_seq_cst,
                                                       memory_order_relaxed))
            break; /* stronger than the slots need, for the sake of allowed() */
    }
    for (ptrdiff_t i = 0; i < k; i++) {
        uint64_t position = head + (uint64_t)i;
        char *slot = slot_at(r, position, stride);
        if (items) {
            yk_queue_copy(items, slot + sizeof(uint64_t), size);
            items += size;
        }
        yk_publish(number_of(slot), (position & ~r->mask) + r->mask + 1, light);
    }
    return k;
}

/* Nothing is in the ring, and nothing will come. */
static bool is_drained(yk_ring *r)
{
    /* Pairs with the setting of CLOSED, after which tail stays. */
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_seq_cst);
    return (tail & CLOSED) && atomic_load_explicit(&r->head, memory_order_relaxed) == tail / ONE;
}

static void ring_free(yk_ring *r)
{
    free(r->slots);
    free(r);
}

static yk_ring *ring_new(size_t item_size, uint64_t slots, uint64_t capacity)
{
    size_t stride = YK_ALIGN_UP(item_size + sizeof(uint64_t), sizeof(uint64_t));
    void *memory;
    if (slots > SIZE_MAX / 2 / stride || yk_sys.posix_memalign(&memory, 2 * YK_CACHE_LINE, sizeof(yk_ring)) != 0)
        return NULL;
    yk_ring *r = memory;
    *r = (yk_ring){.capacity = capacity, .mask = slots - 1, .size = item_size, .stride = stride};
    atomic_init(&r->limit, capacity == slots ? UINT64_MAX / ONE : capacity);
    r->slots = yk_sys.calloc(slots, stride);
    if (!r->slots) {
        ring_free(r);
        return NULL;
    }
    return r;
}

/* ---- The queue ---- */

static yk_ring *last_ring(yoke_queue *q)
{
    /* Pairs with the store in grow(): the ring must be complete. */
    return atomic_load_explicit(&q->rings.last, memory_order_seq_cst);
}

static yk_ring *first_ring(yoke_queue *q)
{
    /* Pairs with the CAS in move_on(). */
    return atomic_load_explicit(&q->rings.first, memory_order_acquire);
}

static int rings_open(yoke_queue *q)
{
    uint64_t slots = q->capacity ? 2 : FIRST_SLOTS;
    while (slots < q->capacity && slots <= SIZE_MAX / 4)
        slots *= 2;
    if (slots < q->capacity)
        return -ENOMEM;
    yk_ring *r = ring_new(q->item_size, slots, q->capacity ? q->capacity : slots);
    if (!r)
        return -ENOMEM;
    atomic_init(&q->rings.first, r);
    atomic_init(&q->rings.last, r);
    q->rings.all = r;
    return 0;
}

static void rings_done(yoke_queue *q)
{
    for (yk_ring *r = q->rings.all; r;) {
        yk_ring *next = atomic_load_explicit(&r->next, memory_order_relaxed);
        ring_free(r);
        r = next;
    }
}

/* Closes the last ring and says how many items went in up to there. Under `growing`. */
static uint64_t close_last(yk_ring *r)
{
    /* Pairs with is_drained(), and with the putters' CAS, which fails from now on. */
    uint64_t tail = atomic_fetch_or_explicit(&r->tail, CLOSED, memory_order_seq_cst);
    return r->base + tail / ONE;
}

/* Puts a larger ring behind r, if that is still the last. 0 when it is worth trying again. */
static int grow(yoke_queue *q, yk_ring *r)
{
    int err = 0;
    yk_mutex_lock(&q->rings.growing);
    if (last_ring(q) == r && !(atomic_load_explicit(&r->tail, memory_order_relaxed) & CLOSED)) {
        uint64_t slots = 2 * (r->mask + 1);
        yk_ring *larger = ring_new(r->size, slots, slots);
        if (larger) {
            larger->base = close_last(r);
            /* Pairs with move_on(), and for the ring's contents with last_ring(). */
            atomic_store_explicit(&r->next, larger, memory_order_release);
            atomic_store_explicit(&q->rings.last, larger, memory_order_seq_cst);
        } else {
            err = -ENOMEM;
        }
    }
    yk_mutex_unlock(&q->rings.growing);
    return err;
}

/* The ring r was found closed. 0 when there is another by now, else the queue has been shut. */
static int find_last(yoke_queue *q, const yk_ring *r)
{
    yk_mutex_lock(&q->rings.growing); /* held by whoever closes a ring in order to grow, until the next is there */
    bool over = last_ring(q) == r;
    yk_mutex_unlock(&q->rings.growing);
    return over ? -ESHUTDOWN : 0;
}

/* A ring may look full although it is not, when a getter was stopped in the middle of its work; growing for that would not end.
 * Lets it work. */
static bool should_grow(yk_ring *r, int *patience)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail / ONE - head > r->mask || *patience == 0)
        return true;
    --*patience;
    sched_yield();
    return false;
}

static ptrdiff_t rings_put(yoke_queue *q, const void *items, size_t n)
{
    int patience = 20;
    for (;;) {
        yk_ring *r = last_ring(q);
        ptrdiff_t k = r->size == sizeof(uint64_t)
                          ? ring_put(r, items, n, q->light, sizeof(uint64_t), 2 * sizeof(uint64_t))
                          : ring_put(r, items, n, q->light, r->size, r->stride);
        if (YK_LIKELY(k > 0))
            return k;
        int err = 0;
        if (k == -ESHUTDOWN)
            err = find_last(q, r);
        else if (q->capacity)
            return k;
        else if (should_grow(r, &patience))
            err = grow(q, r);
        if (err < 0)
            return err;
    }
}

/* True when the first ring is now another one than r. */
static bool move_on(yoke_queue *q, yk_ring *r)
{
    if (r == last_ring(q) || !is_drained(r))
        return false;
    /* Pairs with grow(), and the CAS with first_ring(). */
    yk_ring *next = atomic_load_explicit(&r->next, memory_order_acquire);
    atomic_compare_exchange_strong_explicit(&q->rings.first, &r, next, memory_order_acq_rel, memory_order_relaxed);
    return true;
}

static ptrdiff_t rings_get(yoke_queue *q, void *items, size_t n)
{
    size_t taken = 0;
    for (;;) {
        yk_ring *r = first_ring(q);
        char *to = items ? (char *)items + taken * r->size : NULL;
        ptrdiff_t k = r->size == sizeof(uint64_t)
                          ? ring_get(r, to, n - taken, q->light, sizeof(uint64_t), 2 * sizeof(uint64_t))
                          : ring_get(r, to, n - taken, q->light, r->size, r->stride);
        if (YK_LIKELY(k > 0))
            taken += (size_t)k;
        if (YK_LIKELY(taken == n || (taken > 0 && r == last_ring(q))))
            return (ptrdiff_t)taken;
        if (k > 0 || move_on(q, r))
            continue;
        if (taken > 0)
            return (ptrdiff_t)taken;
        return yk_queue_is_shut(q) && r == last_ring(q) && is_drained(r) ? -ESHUTDOWN : -EAGAIN;
    }
}

static uint64_t rings_shut(yoke_queue *q, bool now)
{
    yk_mutex_lock(&q->rings.growing);
    close_last(last_ring(q));
    yk_mutex_unlock(&q->rings.growing);
    return 0;
}

static uint64_t rings_puts(yoke_queue *q)
{
    yk_ring *r = last_ring(q);
    /* Pairs, after yk_waiters_enter(), with the putters' CAS. */
    return r->base + atomic_load_explicit(&r->tail, memory_order_seq_cst) / ONE;
}

/* The front is read first: it never overtakes the end, so the difference is a number that could have been. */
static uint64_t rings_size(yoke_queue *q)
{
    yk_ring *r = first_ring(q);
    /* Keeps the order of the two reads. */
    uint64_t taken = r->base + atomic_load_explicit(&r->head, memory_order_seq_cst);
    uint64_t size = rings_puts(q) - taken;
    return q->capacity ? YK_MIN(size, q->capacity) : size;
}

const yk_queue_ops yk_queue_ring = {.open = rings_open,
                                    .done = rings_done,
                                    .put = rings_put,
                                    .get = rings_get,
                                    .shut = rings_shut,
                                    .size = rings_size,
                                    .puts = rings_puts};
