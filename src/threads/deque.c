/* deque: see deque.h. Indexes are signed 64-bit and never wrap; an item's slot is its index modulo the ring's size. */
#include "threads/deque.h"
#include <stdlib.h>

enum { FIRST_SIZE = 256 };

static yk_ring *new_ring(int64_t size, yk_ring *smaller)
{
    yk_ring *r = yk_sys.malloc(sizeof *r + (size_t)size * sizeof r->slots[0]);
    if (r) {
        r->mask = size - 1;
        r->smaller = smaller;
    }
    return r;
}

int yk_deque_init(yk_deque *d)
{
    yk_ring *r = new_ring(FIRST_SIZE, NULL);
    if (!r)
        return -ENOMEM;
    atomic_init(&d->top, 0);
    atomic_init(&d->bottom, 0);
    atomic_init(&d->ring, r);
    return 0;
}

void yk_deque_done(yk_deque *d)
{
    for (yk_ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed), *smaller; r; r = smaller) {
        smaller = r->smaller;
        free(r);
    }
    atomic_store_explicit(&d->ring, NULL, memory_order_relaxed);
}

static _Atomic(void *) * slot(yk_ring *r, int64_t i)
{
    return &r->slots[i & r->mask];
}

static yk_ring *grow(yk_deque *d, yk_ring *r, int64_t top, int64_t bottom)
{
    yk_ring *larger = new_ring((r->mask + 1) * 2, r);
    if (!larger)
        return NULL;
    for (int64_t i = top; i < bottom; i++)
        atomic_store_explicit(slot(larger, i), atomic_load_explicit(slot(r, i), memory_order_relaxed), memory_order_relaxed);
    /* Pairs with the acquire in steal: the copies must be there before the ring is. */
    atomic_store_explicit(&d->ring, larger, memory_order_release);
    return larger;
}

bool yk_deque_push_all(yk_deque *d, void *const *items, unsigned count)
{
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);
    yk_ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);
    while (bottom + count - top > r->mask + 1)
        if (!(r = grow(d, r, top, bottom)))
            return false;
    for (unsigned i = 0; i < count; i++)
        atomic_store_explicit(slot(r, bottom + i), items[i], memory_order_relaxed);
    /* Pairs with the acquire of bottom in steal. Sequentially consistent, because the pusher next looks whether somebody
     * sleeps, and a sleeper looks here after saying so. */
    atomic_store_explicit(&d->bottom, bottom + count, memory_order_seq_cst);
    return true;
}

bool yk_deque_push(yk_deque *d, void *item)
{
    return yk_deque_push_all(d, &item, 1);
}

void *yk_deque_take(yk_deque *d)
{
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;
    /* Nearly always empty when a worker looks: then the ordered store can be saved, as only the owner adds. */
    if (atomic_load_explicit(&d->top, memory_order_relaxed) > bottom)
        return NULL;
    yk_ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);
    atomic_store_explicit(&d->bottom, bottom, memory_order_seq_cst);
    int64_t top = atomic_load_explicit(&d->top, memory_order_seq_cst);
    if (top < bottom)
        return atomic_load_explicit(slot(r, bottom), memory_order_relaxed);
    void *item = NULL;
    if (top == bottom) {
        item = atomic_load_explicit(slot(r, bottom), memory_order_relaxed);
        if (!atomic_compare_exchange_strong_explicit(&d->top, &top, top + 1, memory_order_seq_cst, memory_order_relaxed))
            item = NULL; /* a thief has it */
    }
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_relaxed);
    return item;
}

void *yk_deque_steal(yk_deque *d, bool *lost)
{
    int64_t top = atomic_load_explicit(&d->top, memory_order_seq_cst);
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_seq_cst);
    if (top >= bottom)
        return NULL;
    yk_ring *r = atomic_load_explicit(&d->ring, memory_order_acquire);
    void *item = atomic_load_explicit(slot(r, top), memory_order_relaxed);
    if (atomic_compare_exchange_strong_explicit(&d->top, &top, top + 1, memory_order_seq_cst, memory_order_relaxed))
        return item;
    *lost = true;
    return NULL;
}

bool yk_deque_is_empty(yk_deque *d)
{
    return atomic_load_explicit(&d->top, memory_order_seq_cst) >= atomic_load_explicit(&d->bottom, memory_order_seq_cst);
}
