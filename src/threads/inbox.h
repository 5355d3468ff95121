/* inbox: the queue of jobs that come from outside of a pool; see inbox.c. */
#ifndef YK_THREADS_INBOX_H
#define YK_THREADS_INBOX_H
#include "base/base.h"
#include "sync/mutex.h"

struct yoke_future;
typedef struct yk_inbox_chunk yk_inbox_chunk;

typedef struct yk_inbox {
    /* Those who put. */
    _Alignas(YK_CACHE_LINE) yk_mutex put_lock;
    yk_inbox_chunk *last;   /* under put_lock */
    _Atomic uint64_t tail;  /* how many were put; written under put_lock */
    /* Those who take. */
    _Alignas(YK_CACHE_LINE) yk_mutex take_lock;
    yk_inbox_chunk *first;  /* under take_lock */
    _Atomic uint64_t head;  /* how many were taken; written under take_lock */
    _Atomic uint64_t known; /* an old tail, so that whoever takes need not look at the line of those who put; as head */
} yk_inbox;

/* False when out of memory. */
bool yk_inbox_init(yk_inbox *q);
void yk_inbox_done(yk_inbox *q);
/* Any thread. False when out of memory. Sequentially consistent with what the caller reads next. */
bool yk_inbox_put(yk_inbox *q, struct yoke_future *job);
/* Any thread: takes the oldest 1 / `parts` of what is there, at least one and at most `most`; returns how many. */
unsigned yk_inbox_take(yk_inbox *q, struct yoke_future **ret, unsigned most, unsigned parts);

/* Any thread. Sequentially consistent; "not empty" may be old news. */
static inline bool yk_inbox_is_empty(yk_inbox *q)
{
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed); /* an old one errs on the safe side */
    return atomic_load_explicit(&q->known, memory_order_relaxed) <= head &&
           atomic_load_explicit(&q->tail, memory_order_seq_cst) <= head;
}
#endif
