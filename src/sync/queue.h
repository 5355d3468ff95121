/* queue: what the kinds of queues share, private to sync. The public calls (queue.c) do the waiting, the waking, the counting of
 * what is done; a kind only moves items, at once or not at all, through yk_queue_ops.
 *
 * Who sleeps stands in a list for each side (queue_wait.c). Whoever moved items looks whether anybody stands in the other
 * side's list; whoever goes to sleep first enters the list, and then tries once more. So one of the two always sees the other,
 * provided that "move, then look" and "enter, then try" are not reordered: see yk_publish(). */
#ifndef YK_SYNC_QUEUE_H
#define YK_SYNC_QUEUE_H
#include "sync/mutex.h"
#include "sync/wait.h"
#include <yoke/queues.h>

/* Different writers, different lines; twice the line, because some processors fetch lines in pairs. */
#define YK_APART _Alignas(2 * YK_CACHE_LINE)

/* ---- Waiting (queue_wait.c) ---- */

/* One who waits, on its own stack. `word` becomes 1 when it is woken, and is then nobody's but the waiter's. The rest is under
 * the list's lock. */
typedef struct yk_waiter {
    _Atomic uint32_t word;
    bool linked;
    bool unsure; /* no barrier could be had: a wake-up may be lost, so look again every millisecond */
    yk_cause cause;
    struct yk_waiter *next, *prev;
} yk_waiter;

/* Those who wait for one thing, who has waited longest first. `count` is written under the lock, and read without. */
typedef struct yk_waiters {
    _Atomic uint32_t count;
    yk_mutex lock;
    yk_waiter *first, *last;
} yk_waiters;

/* True when yk_heavy_barrier() works here, so that the other side of it can do without ordered instructions. Constant. */
bool yk_has_heavy_barrier(void);

/* Makes every thread of the process that runs pass a full barrier. False when that could not be had although
 * yk_has_heavy_barrier(). */
bool yk_heavy_barrier(void);

/* Enters the list, without a cause so far, at its front when the waiter was woken before and came too late. What the caller then
 * reads is not older than what those wrote who do not see it in the list. */
void yk_waiters_enter(yk_waiters *l, yk_waiter *w, bool front);
/* Leaves it. False when somebody woke the waiter before it left: the wake-up is the caller's to use, or to pass on. */
bool yk_waiters_leave(yk_waiters *l, yk_waiter *w);
/* Sleeps until woken or the deadline; the waiter is then out of the list. 1: somebody woke it; else -ETIMEDOUT or -ECANCELED; or
 * 0, for one that is unsure: it looks again. how: as for yk_wait(). */
int yk_waiters_sleep(yk_waiters *l, yk_waiter *w, int64_t deadline, unsigned how);
/* Wakes the n who have waited longest. */
void yk_waiters_wake(yk_waiters *l, size_t n);

/* Pairs with the count in yk_waiters_enter(). */
static inline bool yk_waiters_any(yk_waiters *l)
{
    return atomic_load_explicit(&l->count, memory_order_seq_cst) != 0;
}

/* Stores what yk_waiters_any() must not be read before. `light`: yk_waiters_enter() has a barrier that reaches into other
 * threads, so it suffices that the compiler keeps the order. Else both sides use operations in one total order. */
static inline void yk_publish(_Atomic uint64_t *word, uint64_t value, bool light)
{
    if (YK_LIKELY(light)) {
        /* Pairs with the load in whoever takes or refills the place: what it guards must be complete. */
        atomic_store_explicit(word, value, memory_order_release);
        __asm__ __volatile__("" ::: "memory");
    } else {
        atomic_exchange_explicit(word, value, memory_order_seq_cst);
    }
}

/* ---- Kinds ---- */

/* Each moves at once or not at all, and never sleeps. items == NULL for get: drop them. */
typedef struct yk_queue_ops {
    int (*open)(yoke_queue *q);
    void (*done)(yoke_queue *q);
    /* Puts the first of n > 0 items, as many as there is room for: how many, or -EAGAIN, -ESHUTDOWN, -ENOMEM, -EBUSY. */
    ptrdiff_t (*put)(yoke_queue *q, const void *items, size_t n);
    /* Takes the next of them, n at most: how many, or -EAGAIN, -ESHUTDOWN (nothing will come any more), -EBUSY. */
    ptrdiff_t (*get)(yoke_queue *q, void *items, size_t n);
    /* From its return on no put succeeds. `now`: gets need not succeed either. Returns how many items it dropped itself; what is
     * left the caller takes with get. Called under q->closing, any number of times. */
    uint64_t (*shut)(yoke_queue *q, bool now);
    /* How many items there are, and how many were ever put. */
    uint64_t (*size)(yoke_queue *q);
    uint64_t (*puts)(yoke_queue *q);
} yk_queue_ops;
extern const yk_queue_ops yk_queue_ring, yk_queue_pair, yk_queue_heap;

/* Rings, one after the other: see queue_ring.c. */
typedef struct yk_queue_rings {
    _Atomic(struct yk_ring *) first; /* where gets are; moved on by them (CAS) */
    _Atomic(struct yk_ring *) last;  /* where puts are; written under `growing` */
    yk_mutex growing;
    struct yk_ring *all; /* the oldest, for freeing */
} yk_queue_rings;

/* A ring for two: see queue_pair.c. */
typedef struct yk_queue_pair_ends {
    YK_APART _Atomic uint64_t tail; /* the putting thread writes this line */
    _Atomic uint32_t putting;
    uint64_t head_seen;
    YK_APART _Atomic uint64_t head; /* and the getting thread this one */
    _Atomic uint32_t getting;
    uint64_t tail_seen;
    YK_APART _Atomic uint32_t shut; /* how far: see queue_pair.c; written under q->closing */
    size_t mask;
    char *slots;
} yk_queue_pair_ends;

/* Items in an array, under a lock: see queue_heap.c. */
typedef struct yk_queue_array {
    YK_APART yk_mutex lock; /* of all that follows; len and puts are read without */
    bool shut;
    _Atomic uint64_t len, puts;
    size_t room, stride;
    char *items;
} yk_queue_array;

struct yoke_queue {
    const yk_queue_ops *ops; /* constant, as all up to `before` */
    yoke_queue_kind kind;
    bool light, spin;
    size_t item_size, capacity;
    yoke_queue_before *before;
    _Atomic uint32_t shut; /* 1 once ops->shut() has returned */
    union {
        yk_queue_rings rings;
        yk_queue_pair_ends pair;
        yk_queue_array array;
    };
    YK_APART yk_waiters putters;
    yk_waiters getters;
    yk_waiters joiners;
    yk_mutex closing;
    YK_APART _Atomic uint64_t finished; /* how many items are done; CAS */
    _Atomic uint32_t put_misses, get_misses; /* how often in a row spinning was in vain; hints */
};

/* True when no put can succeed any more, so that an empty queue stays empty. */
static inline bool yk_queue_is_shut(yoke_queue *q)
{
    /* Pairs with the store in yoke_queue_shutdown(): what ops->shut() did is seen, and so is what was put before. */
    return atomic_load_explicit(&q->shut, memory_order_seq_cst) != 0;
}

/* Items are copied as bytes; those of the size of a pointer without a call. */
static inline void yk_queue_copy(void *to, const void *from, size_t size)
{
    if (YK_LIKELY(size == sizeof(uint64_t)))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}
#endif
