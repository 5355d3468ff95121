/* queue: where a pool's jobs wait, and how workers find them.
 *
 * Jobs from outside go to the inbox, a list for each class of priority. Jobs from the pool's own workers go to the worker's
 * deque, from which others steal. A worker that empties its deque takes a batch from the inbox, so that the inbox's lock is
 * touched once for several jobs; what is left of a batch can be stolen. */
#include "threads/pool.h"

enum { BATCH = 16, INBOX_EVERY = 61 /* a prime: deque-heavy work must not starve the inbox */ };

static unsigned class_of(const yk_job *job)
{
    return job->opts.priority > 0 ? 0 : job->opts.priority == 0 ? 1 : 2;
}

static void put_inbox(yk_pool *p, yk_job *job)
{
    job->next = NULL;
    yk_mutex_lock(&p->inbox_lock);
    job_list *list = &p->inbox[class_of(job)];
    *list->last = job;
    list->last = &job->next;
    /* Sequentially consistent: the submitter next looks whether somebody sleeps. */
    atomic_fetch_add_explicit(&p->inbox_count, 1, memory_order_seq_cst);
    yk_mutex_unlock(&p->inbox_lock);
}

void yk_pool_put(yk_pool *p, yk_job *job)
{
    yk_pool_worker *w = yk_pool_self(p);
    if (!w || w->guest || job->opts.priority != 0 || !yk_deque_push(&w->deque, job))
        put_inbox(p, job);
    yk_pool_wake(p);
}

static yk_job *pop_inbox(yk_pool *p)
{
    for (unsigned c = 0; c < YK_PRIORITIES; c++) {
        job_list *list = &p->inbox[c];
        yk_job *job = list->first;
        if (!job)
            continue;
        list->first = job->next;
        if (!list->first)
            list->last = &list->first;
        return job;
    }
    return NULL;
}

/* One job to run and up to BATCH - 1 more for the deque, a quarter of a fair share, so that a short queue is served strictly
 * in order and no job waits behind a long one of the same batch while others idle. They are pushed newest first, so
 * that the owner, who takes from that end, runs them in the order submitted. */
static yk_job *take_inbox(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    if (atomic_load_explicit(&p->inbox_count, memory_order_relaxed) == 0)
        return NULL;
    yk_job *batch[BATCH];
    yk_mutex_lock(&p->inbox_lock);
    uint32_t count = atomic_load_explicit(&p->inbox_count, memory_order_relaxed);
    uint32_t share = YK_MAX(YK_MIN(count / (4 * p->base.width), (uint32_t)BATCH), 1u), n = 0;
    while (n < share && (batch[n] = pop_inbox(p)))
        n++;
    atomic_fetch_sub_explicit(&p->inbox_count, n, memory_order_relaxed);
    yk_mutex_unlock(&p->inbox_lock);
    for (uint32_t i = n; i > 1; i--)
        if (!yk_deque_push(&w->deque, batch[i - 1]))
            put_inbox(p, batch[i - 1]);
    return n > 0 ? batch[0] : NULL;
}

/* xorshift32, Marsaglia, 2003. */
uint32_t yk_pool_random(yk_pool_worker *w)
{
    uint32_t x = w->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return w->random = x;
}

static yk_job *steal(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    bool lost;
    do {
        lost = false;
        uint32_t start = yk_pool_random(w) % count;
        for (uint32_t i = 0; i < count; i++) {
            yk_pool_worker *victim = p->workers[(start + i) % count];
            yk_job *job = victim == w ? NULL : yk_deque_steal(&victim->deque, &lost);
            if (job)
                return job;
        }
    } while (lost);
    return NULL;
}

yk_job *yk_pool_find(yk_pool_worker *w)
{
    yk_job *job = NULL;
    if (++w->ticks % INBOX_EVERY == 0)
        job = take_inbox(w);
    if (!job)
        job = yk_deque_take(&w->deque);
    if (!job)
        job = take_inbox(w);
    return job ? job : steal(w);
}

bool yk_pool_has_work(yk_pool *p)
{
    if (atomic_load_explicit(&p->inbox_count, memory_order_seq_cst) > 0)
        return true;
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (!yk_deque_is_empty(&p->workers[i]->deque))
            return true;
    return false;
}

bool yk_pool_has_forks(yk_pool *p)
{
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (yk_forks_open(&p->workers[i]->forks))
            return true;
    return false;
}
