/* queue: where a pool's jobs wait, and how workers find them.
 *
 * Jobs from outside go to the inbox, those with a priority to a list for each class. Jobs from the pool's own workers go to the
 * worker's deque, from which others steal. A worker that empties its deque takes a batch from the inbox, so that the inbox's
 * lock is touched once for several jobs; what is left of a batch can be stolen. */
#include "threads/pool.h"

enum { BATCH = 16, INBOX_EVERY = 61 /* a prime: deque-heavy work must not starve the inbox */ };

static int32_t priority_of(const yk_job *job)
{
    return atomic_load_explicit(&job->used, memory_order_relaxed) ? job->opts.priority : 0;
}

/* ---- Lists ---- */

static void put_list(yk_pool *p, yk_job *job, int32_t priority)
{
    job->next = NULL;
    yk_mutex_lock(&p->lists_lock);
    job_list *list = &p->lists[priority > 0 ? 0 : priority == 0 ? 1 : 2];
    *list->last = job;
    list->last = &job->next;
    /* Sequentially consistent: the submitter next looks whether somebody sleeps. */
    atomic_fetch_add_explicit(&p->listed, 1, memory_order_seq_cst);
    yk_mutex_unlock(&p->lists_lock);
}

static yk_job *pop_list(yk_pool *p, unsigned first, unsigned last)
{
    if (YK_LIKELY(atomic_load_explicit(&p->listed, memory_order_relaxed) == 0))
        return NULL;
    yk_job *job = NULL;
    yk_mutex_lock(&p->lists_lock);
    for (unsigned c = first; c <= last && !job; c++) {
        job_list *list = &p->lists[c];
        job = list->first;
        if (!job)
            continue;
        list->first = job->next;
        if (!list->first)
            list->last = &list->first;
        atomic_fetch_sub_explicit(&p->listed, 1, memory_order_relaxed);
    }
    yk_mutex_unlock(&p->lists_lock);
    return job;
}

/* ---- Putting and taking ---- */

static void put_outside(yk_pool *p, yk_job *job, int32_t priority)
{
    if (priority != 0 || !yk_inbox_put(&p->inbox, job))
        put_list(p, job, priority);
}

void yk_pool_put_back(yk_pool *p, yk_job *job)
{
    put_outside(p, job, priority_of(job));
}

void yk_pool_put(yk_pool *p, yk_job *job)
{
    yk_pool_worker *w = yk_pool_self(p);
    int32_t priority = priority_of(job);
    if (!w || w->guest || priority != 0 || !yk_deque_push(&w->deque, job))
        put_outside(p, job, priority);
    yk_pool_wake(p);
    if (YK_UNLIKELY(atomic_load_explicit(&p->missing, memory_order_relaxed) > 0))
        yk_pool_fill_missing(p);
}

/* One job to run and up to BATCH - 1 more for the deque, a quarter of a fair share, so that a short queue is served strictly
 * in order and no job waits behind a long one of the same batch while others idle. They are pushed newest first, so
 * that the owner, who takes from that end, runs them in the order submitted. */
static yk_job *take_batch(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    yk_job *batch[BATCH];
    unsigned n = yk_inbox_take(&p->inbox, batch, BATCH, 4 * p->base.width);
    for (unsigned i = 1; 2 * i < n; i++) {
        yk_job *job = batch[i];
        batch[i] = batch[n - i];
        batch[n - i] = job;
    }
    if (n > 1 && !yk_deque_push_all(&w->deque, (void **)(batch + 1), n - 1))
        while (n > 1) /* oldest last now; order is lost for want of memory, jobs are not */
            put_outside(p, batch[--n], 0);
    w->streak += n;
    return n > 0 ? batch[0] : NULL;
}

static yk_job *take_outside(yk_pool_worker *w)
{
    yk_job *job = pop_list(w->pool, 0, 0);
    if (!job)
        job = take_batch(w);
    return job ? job : pop_list(w->pool, 1, YK_PRIORITIES - 1);
}

static yk_job *steal(yk_pool_worker *w)
{
    bool lost;
    do {
        lost = false;
        yk_round round;
        yk_round_begin(&round, w);
        for (yk_pool_worker *victim; (victim = yk_round_next(&round));) {
            yk_job *job = yk_deque_steal(&victim->deque, &lost);
            if (job) {
                yk_count(&w->steals);
                w->victim = victim->index;
                return job;
            }
        }
    } while (lost);
    return NULL;
}

yk_job *yk_pool_find(yk_pool_worker *w)
{
    yk_job *job = NULL;
    if (++w->ticks % INBOX_EVERY == 0)
        job = take_outside(w);
    if (!job)
        job = yk_deque_take(&w->deque);
    if (!job)
        job = take_outside(w);
    return job ? job : steal(w);
}

yk_job *yk_pool_next(yk_pool_worker *w)
{
    yk_job *job = yk_deque_take(&w->deque);
    return job ? job : take_outside(w);
}

bool yk_pool_has_work(yk_pool *p)
{
    if (!yk_inbox_is_empty(&p->inbox) || atomic_load_explicit(&p->listed, memory_order_seq_cst) > 0)
        return true;
    uint32_t count = yk_pool_reach(p);
    for (uint32_t i = 0; i < count; i++)
        if (!yk_deque_is_empty(&p->workers[i]->deque))
            return true;
    return false;
}

bool yk_pool_has_forks(yk_pool *p)
{
    uint32_t count = yk_pool_reach(p);
    for (uint32_t i = 0; i < count; i++)
        if (yk_forks_open(&p->workers[i]->forks))
            return true;
    return false;
}
