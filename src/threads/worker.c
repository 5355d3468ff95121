/* worker: what a thread of the pool does: find a job, run it; search a little; sleep.
 *
 * No wake-up is lost: a worker counts itself as a sleeper, then looks at every queue once more, then sleeps on the epoch it
 * read before that; who puts a job looks at the count of sleepers after putting it. Both sides use sequentially consistent
 * operations, so at least one sees the other. At most one worker spins at a time; when a spinning worker finds a job it wakes
 * the next, so wake-ups spread without a storm.
 *
 * A worker whose task blocks in yoke lends its place to a spare thread, which is parked again when there are more active
 * workers than places. */
#include "threads/pool.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* About one wake-up of a sleeping thread. */
#define NO_THREAD UINT32_MAX /* in place of the index: never started, or ended */
enum { SPIN_NS = 30000, SPIN_CREDIT_MAX = 8, PAUSES_PER_LOOK = 4, STACK = 64 << 20 };

static _Thread_local yk_pool_worker *self;

yk_pool_worker *yk_pool_self(yk_pool *p)
{
    return self && self->pool == p ? self : NULL;
}

/* ---- Places ---- */

/* Lets a spare run in the place just given up: a parked one, else a new thread. */
static void fill_place(yk_pool *p)
{
    yk_mutex_lock(&p->park_lock);
    bool wake = p->parked > p->unpark;
    if (wake)
        p->unpark++;
    else
        yk_pool_add_worker(p); /* may fail: then there is less parallelism until the task stops blocking */
    yk_mutex_unlock(&p->park_lock);
    if (wake) {
        atomic_fetch_add_explicit(&p->park_word, 1, memory_order_release);
        yk_futex_wake(&p->park_word, 1, false);
    }
}

static void begin_block(yk_blocking *b)
{
    yk_pool_worker *w = (yk_pool_worker *)(void *)((char *)b - offsetof(yk_pool_worker, blocking));
    if (w->blocked_depth++ > 0)
        return;
    if (atomic_fetch_sub_explicit(&w->pool->active, 1, memory_order_acq_rel) <= (int32_t)w->pool->base.width)
        fill_place(w->pool);
}

static void end_block(yk_blocking *b)
{
    yk_pool_worker *w = (yk_pool_worker *)(void *)((char *)b - offsetof(yk_pool_worker, blocking));
    if (--w->blocked_depth == 0)
        atomic_fetch_add_explicit(&w->pool->active, 1, memory_order_acq_rel);
}

/* A worker too many sleeps until a place is free. False when its pool stops. */
static bool park(yk_pool *p)
{
    yk_mutex_lock(&p->park_lock);
    p->parked++;
    while (p->unpark == 0 && !atomic_load_explicit(&p->stopping, memory_order_acquire)) {
        uint32_t seen = atomic_load_explicit(&p->park_word, memory_order_acquire);
        yk_mutex_unlock(&p->park_lock);
        yk_futex_wait(&p->park_word, seen, YOKE_FOREVER, false);
        yk_mutex_lock(&p->park_lock);
    }
    if (p->unpark > 0)
        p->unpark--;
    p->parked--;
    yk_mutex_unlock(&p->park_lock);
    atomic_fetch_add_explicit(&p->active, 1, memory_order_acq_rel);
    return !atomic_load_explicit(&p->stopping, memory_order_acquire);
}

/* Gives its place up if there are more active workers than places. */
static bool is_one_too_many(yk_pool *p)
{
    int32_t active = atomic_load_explicit(&p->active, memory_order_relaxed);
    while (active > (int32_t)p->base.width)
        if (atomic_compare_exchange_weak_explicit(&p->active, &active, active - 1, memory_order_acq_rel, memory_order_relaxed))
            return true;
    return false;
}

/* ---- Searching and sleeping ---- */

static void stop_searching(yk_pool_worker *w)
{
    if (w->searching) {
        w->searching = false;
        atomic_fetch_sub_explicit(&w->pool->searching, 1, memory_order_seq_cst);
    }
}

/* A worker spins only as long as spinning has paid lately: credit falls with each search in vain and rises with each that
 * found a job, and with each sleep that was over before a search would have been. So a pool that gets a job now and then
 * sleeps at once, and one that gets the next job within microseconds stays awake for it. */
static void learn(yk_pool_worker *w, bool spinning_pays)
{
    if (spinning_pays)
        w->spin_credit = YK_MIN(w->spin_credit + 2, SPIN_CREDIT_MAX);
    else if (w->spin_credit > 0)
        w->spin_credit--;
}

/* Looks for a job for a short while, unless somebody else does already. */
static yk_job *search(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    uint32_t none = 0;
    if (w->spin_credit == 0 || !yk_cpus_to_spare() ||
        !atomic_compare_exchange_strong_explicit(&p->searching, &none, 1, memory_order_seq_cst, memory_order_relaxed))
        return NULL;
    w->searching = true;
    int64_t end = yoke_now() + SPIN_NS;
    yk_job *job;
    do {
        job = yk_pool_find(w);
        for (int i = 0; i < PAUSES_PER_LOOK && !job; i++)
            yk_pause();
        /* Whoever this worker has just answered may be ready to run on this very CPU. */
        if (!job)
            sched_yield();
    } while (!job && yoke_now() < end && !atomic_load_explicit(&p->stopping, memory_order_relaxed));
    stop_searching(w);
    learn(w, job != NULL);
    return job;
}

/* Sleeps until there may be work. */
static void sleep_until_work(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    int64_t start = yoke_now();
    uint32_t seen = atomic_load_explicit(&p->epoch, memory_order_seq_cst);
    atomic_fetch_add_explicit(&p->sleepers, 1, memory_order_seq_cst);
    if (!yk_pool_has_work(p) && !atomic_load_explicit(&p->stopping, memory_order_seq_cst))
        yk_futex_wait(&p->epoch, seen, YOKE_FOREVER, false);
    atomic_fetch_sub_explicit(&p->sleepers, 1, memory_order_seq_cst);
    if (yoke_now() - start < SPIN_NS)
        learn(w, true);
}

static void run(yk_pool_worker *w, yk_job *job)
{
    if (yk_job_claim(job))
        yk_job_execute(job, w->index);
    else
        yk_job_drop(job);
}

static void *worker_thread(void *arg)
{
    yk_pool_worker *w = self = arg;
    yk_pool *p = w->pool;
    char name[16];
    snprintf(name, sizeof name, "yoke-worker-%u", w->index % 1000);
    pthread_setname_np(pthread_self(), name);
    yk_blocked_hook = &w->blocking;
    if (yk_thread_hook)
        yk_thread_hook();
    bool was_idle = false;
    for (;;) {
        if (is_one_too_many(p) && !park(p))
            break;
        yk_job *job = yk_pool_find(w);
        if (!job) {
            was_idle = true;
            job = search(w);
        }
        if (job) {
            /* Several may have come in for the one wake-up, or for none while this one searched: hand it on. */
            if (was_idle && yk_pool_has_work(p))
                yk_pool_wake(p);
            was_idle = false;
            run(w, job);
        } else if (atomic_load_explicit(&p->stopping, memory_order_acquire)) {
            break;
        } else {
            sleep_until_work(w);
        }
    }
    return NULL;
}

/* ---- Starting and stopping ---- */

/* park_lock is held, or no worker runs yet. */
int yk_pool_add_worker(yk_pool *p)
{
    uint32_t index = atomic_load_explicit(&p->worker_count, memory_order_relaxed);
    if (index >= p->base.width + YK_POOL_SPARES)
        return -EAGAIN;
    void *memory;
    if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, sizeof(yk_pool_worker)) != 0)
        return -ENOMEM;
    yk_pool_worker *w = memory;
    memset(w, 0, sizeof *w);
    *w = (yk_pool_worker){.pool = p, .index = index, .random = index * 2654435761u + 1, .spin_credit = SPIN_CREDIT_MAX,
                          .blocking = {.begin = begin_block, .end = end_block}};
    int err = yk_deque_init(&w->deque);
    if (err < 0)
        goto fail;
    atomic_fetch_add_explicit(&p->active, 1, memory_order_acq_rel);
    p->workers[index] = w;
    /* Pairs with the acquire of those who steal: the worker must be there before it counts. */
    atomic_store_explicit(&p->worker_count, index + 1, memory_order_release);
    err = yk_thread_start(&w->thread, STACK, worker_thread, w);
    if (err < 0)
        err = yk_thread_start(&w->thread, 0, worker_thread, w); /* a tight RLIMIT_AS has room for a smaller stack */
    if (err == 0)
        return 0;
    /* Thieves may look at it already, so it stays, empty, and is freed with the pool. */
    atomic_fetch_sub_explicit(&p->active, 1, memory_order_acq_rel);
    w->index = NO_THREAD;
    return err;
fail:
    free(w);
    return err;
}

void yk_pool_stop(yk_pool *p)
{
    atomic_store_explicit(&p->stopping, true, memory_order_seq_cst);
    atomic_fetch_add_explicit(&p->epoch, 1, memory_order_seq_cst);
    yk_futex_wake(&p->epoch, INT_MAX, false);
    atomic_fetch_add_explicit(&p->park_word, 1, memory_order_seq_cst);
    yk_futex_wake(&p->park_word, INT_MAX, false);
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        if (p->workers[i]->index == NO_THREAD)
            continue;
        pthread_join(p->workers[i]->thread, NULL);
        p->workers[i]->index = NO_THREAD; /* may be called twice */
    }
}
