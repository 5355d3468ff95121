/* inbox: a queue with two locks, one for those who put and one for those who take, after Michael and Scott, "Simple, Fast, and
 * Practical Non-Blocking and Blocking Concurrent Queue Algorithms" (PODC 1996); its nodes are arrays.
 *
 * Arrays, because whoever takes then knows several jobs at once, and their memory comes from the CPU of whoever put them all
 * at the same time; in a list, each link would have to arrive before the next is asked for. Two locks, because most of the time
 * one thread puts, and another takes: neither then waits for the other's cache lines longer than it must.
 *
 * Job number i lies in slot i % CHUNK of its chunk. Slots below `tail` are written; a chunk whose slots are all taken is freed
 * by the taker, as no putter can be at it: the next one was linked to it before its first slot was filled. */
#include "threads/inbox.h"
#include <stdlib.h>

enum { CHUNK = 254 }; /* 2 KiB */

struct yk_inbox_chunk {
    yk_inbox_chunk *next;
    struct yoke_future *slots[CHUNK];
};

static yk_inbox_chunk *new_chunk(void)
{
    yk_inbox_chunk *c = yk_sys.malloc(sizeof *c);
    if (c)
        c->next = NULL;
    return c;
}

bool yk_inbox_init(yk_inbox *q)
{
    memset(q, 0, sizeof *q);
    q->first = q->last = new_chunk();
    return q->first != NULL;
}

void yk_inbox_done(yk_inbox *q)
{
    for (yk_inbox_chunk *c = q->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    q->first = q->last = NULL;
}

bool yk_inbox_put(yk_inbox *q, struct yoke_future *job)
{
    yk_mutex_lock(&q->put_lock);
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (tail % CHUNK == 0 && tail > 0) {
        yk_inbox_chunk *c = new_chunk();
        if (!c) {
            yk_mutex_unlock(&q->put_lock);
            return false;
        }
        q->last->next = c;
        q->last = c;
    }
    q->last->slots[tail % CHUNK] = job;
    /* Release: pairs with the acquire in look(). Sequentially consistent, because the caller next looks whether somebody
     * sleeps, and who goes to sleep looks here after saying so. */
    atomic_store_explicit(&q->tail, tail + 1, memory_order_seq_cst);
    yk_mutex_unlock(&q->put_lock);
    return true;
}

/* How many there are, at least; under take_lock. */
static uint64_t look(yk_inbox *q, uint64_t head)
{
    uint64_t known = atomic_load_explicit(&q->known, memory_order_relaxed);
    if (known == head) {
        known = atomic_load_explicit(&q->tail, memory_order_acquire);
        atomic_store_explicit(&q->known, known, memory_order_relaxed);
    }
    return known - head;
}

unsigned yk_inbox_take(yk_inbox *q, struct yoke_future **ret, unsigned most, unsigned parts)
{
    if (yk_inbox_is_empty(q))
        return 0;
    yk_mutex_lock(&q->take_lock);
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed), count = look(q, head);
    unsigned n = (unsigned)YK_MIN(YK_MIN(YK_MAX(count / parts, 1u), (uint64_t)most), count);
    for (unsigned i = 0; i < n; i++, head++) {
        if (head % CHUNK == 0 && head > 0) {
            yk_inbox_chunk *c = q->first;
            q->first = c->next;
            free(c);
        }
        ret[i] = q->first->slots[head % CHUNK];
        /* Its first two lines, which the taker will write to, and what its arguments are in. */
        __builtin_prefetch(ret[i], 1);
        __builtin_prefetch((char *)ret[i] + YK_CACHE_LINE);
        __builtin_prefetch((char *)ret[i] + 2 * YK_CACHE_LINE);
    }
    atomic_store_explicit(&q->head, head, memory_order_relaxed);
    yk_mutex_unlock(&q->take_lock);
    return n;
}
