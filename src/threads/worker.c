/* worker: what a thread of the pool does: find a job, run it; search a little; sleep.
 *
 * No wake-up is lost: a worker counts itself as a sleeper, then looks at every queue once more, then sleeps on the epoch it
 * read before that; who puts a job looks at the count of sleepers after putting it. Both sides use sequentially consistent
 * operations, so at least one sees the other. At most one worker spins at a time, and nobody is woken meanwhile; when it finds
 * something it wakes the next if there is more, be it a job or a fork, so wake-ups spread without a storm.
 *
 * A worker whose task blocks in yoke lends its place to a spare thread, which is parked again when there are more active
 * workers than places. */
#include "threads/pool.h"
#include "base/spin.h"
#include <yoke/thread.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPIN_CREDIT_MAX = 8, LOOKS = 32, PAUSES = 4, STACK = 64 << 20 };

static _Thread_local yk_pool_worker *self;

yk_pool_worker *yk_pool_self(yk_pool *p)
{
    return self && self->pool == p ? self : NULL;
}

yk_pool_worker *yk_pool_anybody(void)
{
    return self;
}

yk_pool_worker *yk_pool_become(yk_pool_worker *w)
{
    yk_pool_worker *before = self;
    self = w;
    return before;
}

/* In a child made by fork() no thread is a worker, not even the copy of one. */
static void forget_parent(void)
{
    self = NULL;
    yk_blocked_hook = NULL;
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

/* ---- Places ---- */

/* Parked spares are many after tasks have blocked, and for ever. They have nothing, so that nobody need look at them: the lowest
 * get up first, and those above the highest that is up are out of reach. */
void yk_pool_set_used(yk_pool_worker *w, bool used)
{
    yk_pool *p = w->pool;
    uint32_t reach = atomic_load_explicit(&p->reach, memory_order_relaxed);
    w->unused = !used;
    if (used)
        reach = YK_MAX(reach, w->index + 1);
    while (reach > 0 && p->workers[reach - 1]->unused)
        reach--;
    /* Sequentially consistent: before w makes anything public and looks for sleepers; pairs with yk_pool_reach(). */
    atomic_store_explicit(&p->reach, reach, memory_order_seq_cst);
}

static yk_pool_worker *lowest(yk_pool *p, yk_idle *set)
{
    for (uint32_t i = 0; yk_idle_any(set) && i * 64 < p->room; i++) {
        uint64_t word = atomic_load_explicit(&set->words[i], memory_order_relaxed);
        if (word != 0)
            return p->workers[i * 64 + (uint32_t)__builtin_ctzll(word)];
    }
    return NULL;
}

static bool fill_one(yk_pool *p)
{
    yk_pool_worker *w = lowest(p, &p->parked);
    if (!w)
        return yk_pool_add_worker(p) == 0;
    yk_idle_leave(&p->parked, w->index);
    yk_pool_set_used(w, true);
    yk_pool_ring(w);
    return true;
}

/* Fills so many places, and those for which there was no thread before. What cannot be filled now is tried again by the next who
 * blocks and by the next job that is put: else a pool all of whose workers are blocked would stay so for one failure. */
static void fill(yk_pool *p, uint32_t places)
{
    yk_mutex_lock(&p->park_lock);
    uint32_t empty = places + atomic_load_explicit(&p->missing, memory_order_relaxed);
    while (empty > 0 && fill_one(p))
        empty--;
    atomic_store_explicit(&p->missing, empty, memory_order_relaxed);
    if (empty > 0 && places > 0)
        yk_count(&p->unfilled);
    yk_mutex_unlock(&p->park_lock);
}

void yk_pool_fill_place(yk_pool *p)
{
    fill(p, 1);
}

void yk_pool_fill_missing(yk_pool *p)
{
    fill(p, 0);
}

/* A place that is missing has been taken by its owner again. */
static void miss_one_less(yk_pool *p)
{
    yk_mutex_lock(&p->park_lock);
    uint32_t missing = atomic_load_explicit(&p->missing, memory_order_relaxed);
    atomic_store_explicit(&p->missing, missing > 0 ? missing - 1 : 0, memory_order_relaxed);
    yk_mutex_unlock(&p->park_lock);
}

static int32_t places(yk_pool *p)
{
    return atomic_load_explicit(&p->places, memory_order_relaxed);
}

static void begin_block(yk_blocking *b)
{
    yk_pool_worker *w = (yk_pool_worker *)(void *)((char *)b - offsetof(yk_pool_worker, blocking));
    if (w->blocked_depth++ > 0)
        return;
    if (atomic_fetch_sub_explicit(&w->pool->active, 1, memory_order_acq_rel) <= places(w->pool))
        yk_pool_fill_place(w->pool);
}

static void end_block(yk_blocking *b)
{
    yk_pool_worker *w = (yk_pool_worker *)(void *)((char *)b - offsetof(yk_pool_worker, blocking));
    if (--w->blocked_depth > 0)
        return;
    atomic_fetch_add_explicit(&w->pool->active, 1, memory_order_acq_rel);
    if (YK_UNLIKELY(atomic_load_explicit(&w->pool->missing, memory_order_relaxed) > 0))
        miss_one_less(w->pool);
}

static bool is_stopping(yk_pool *p)
{
    return atomic_load_explicit(&p->stopping, memory_order_seq_cst);
}

/* A worker too many sleeps until a place is free. False when its pool stops. */
static bool park(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    yk_pool_come_back(w); /* it may be long until it works again */
    for (yk_job *job; (job = yk_deque_take(&w->deque));)
        yk_pool_put_back(p, job); /* nobody will look here */
    /* It may have been woken for a job that it will not look for now: hand the wake-up on. */
    if (yk_pool_has_work(p) || yk_pool_has_forks(p))
        yk_pool_wake(p);
    yk_mutex_lock(&p->park_lock);
    yk_idle_enter(&p->parked, w->index);
    yk_pool_set_used(w, false);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&w->bell, memory_order_acquire); /* before the look: who stops needs no lock */
        if (!w->unused || is_stopping(p))
            break;
        yk_mutex_unlock(&p->park_lock);
        yk_futex_wait(&w->bell, seen, YOKE_FOREVER, false);
        yk_mutex_lock(&p->park_lock);
    }
    yk_idle_leave(&p->parked, w->index); /* when it stops */
    yk_pool_set_used(w, true);
    yk_mutex_unlock(&p->park_lock);
    atomic_fetch_add_explicit(&p->active, 1, memory_order_acq_rel);
    return !is_stopping(p);
}

/* Gives its place up if there are more active workers than places. */
static bool is_one_too_many(yk_pool *p)
{
    int32_t active = atomic_load_explicit(&p->active, memory_order_relaxed);
    while (active > places(p))
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

/* Whoever takes the job finds the forks, and the reverse: one is woken, and hands on in turn. */
static void hand_on(yk_pool *p)
{
    if (yk_pool_has_work(p))
        yk_pool_wake(p);
    else if (yk_pool_has_forks(p))
        yk_pool_wake_for_forks(p);
}

void yk_pool_found(yk_pool_worker *w)
{
    if (!w->searching)
        return;
    stop_searching(w); /* before the looks: see somebody_searches() in wake.c */
    hand_on(w->pool);
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

static void run(yk_pool_worker *w, yk_job *job)
{
    yk_count(&w->jobs);
    if (yk_job_claim(job))
        yk_job_execute(job, w->index);
    else
        yk_job_drop(job);
}

/* A guest takes the place of a worker: as many as there are guests should sleep. */
static bool has_place(yk_pool *p)
{
    return atomic_load_explicit(&p->sleepers.count, memory_order_relaxed) >=
           atomic_load_explicit(&p->guests, memory_order_relaxed);
}

/* Runs a job or a part of one; false when there was nothing to do. `idle`: what comes now may not be all, for one wake-up may
 * have been for several: hand it on. */
static bool work(yk_pool_worker *w, bool idle)
{
    yk_pool_come_back(w);
    yk_job *job = yk_pool_find(w);
    if (!job)
        return has_place(w->pool) && yk_forks_steal(w, w->forks.base, NULL);
    if (w->searching)
        yk_pool_found(w);
    else if (idle)
        hand_on(w->pool);
    run(w, job);
    return true;
}

/* Jobs come in a stream, one after the other: looking at the queue after each would take its cache lines away from whoever
 * submits, and slow both down. So the worker lets some gather, the longer the more there were lately. A job that came alone,
 * whose submitter is likely to wait for it, is not made to wait. */
static void let_gather(yk_pool_worker *w)
{
    uint32_t pauses = w->streak > 1 ? YK_MIN(w->streak, 32u) * PAUSES : 0;
    for (; pauses > 0; pauses--)
        yk_pause();
    w->streak = 0;
}

/* Half a microsecond of looking, without giving up the CPU. */
static void watch(yk_pool *p)
{
    for (int i = 0; i < LOOKS && !yk_pool_has_work(p) && !yk_pool_has_forks(p); i++)
        yk_pause();
}

/* Looks for work for a short while, unless somebody else does already. True when it has done some. */
static bool search(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    uint32_t none = 0;
    if (w->spin_credit == 0 || !yk_pool_may_spin(p) ||
        !atomic_compare_exchange_strong_explicit(&p->searching, &none, 1, memory_order_seq_cst, memory_order_relaxed))
        return false;
    w->searching = true;
    yk_spin spin;
    yk_spin_begin(&spin, true);
    bool found;
    let_gather(w);
    do {
        watch(p);
        found = work(w, true);
    } while (!found && yk_spin_more(&spin) && !atomic_load_explicit(&p->stopping, memory_order_relaxed));
    stop_searching(w);
    learn(w, found);
    return found;
}

/* Sleeps until there may be work. */
static void sleep_until_work(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    yk_pool_learn_order(p);
    int64_t start = yoke_now();
    uint32_t seen = atomic_load_explicit(&w->bell, memory_order_acquire);
    yk_idle_enter(&p->sleepers, w->index);
    yk_forks_ask(p);
    if (!yk_pool_has_work(p) && !(yk_pool_has_forks(p) && yk_pool_has_place(p)) && !is_stopping(p)) {
        yk_count(&w->sleeps);
        yk_futex_wait(&w->bell, seen, YOKE_FOREVER, false);
    }
    yk_idle_leave(&p->sleepers, w->index);
    yk_pool_note_cpu(w);
    if (yoke_now() - start < YK_SPIN_NS)
        learn(w, true);
}

static void *worker_thread(void *arg)
{
    yk_pool_worker *w = self = arg;
    yk_pool *p = w->pool;
    char name[16];
    snprintf(name, sizeof name, "yoke-worker-%u", w->index % 1000);
    pthread_setname_np(pthread_self(), name);
    atomic_store_explicit(&w->tid, gettid(), memory_order_relaxed);
    yk_pool_note_cpu(w);
    yk_blocked_hook = &w->blocking;
    yoke_thread_current(); /* so that it is among those that yoke knows; does no harm if it fails */
    atomic_store_explicit(&w->who, yk_who_self(), memory_order_relaxed);
    if (yk_thread_hook)
        yk_thread_hook();
    bool idle = false;
    while (!is_one_too_many(p) || park(w)) {
        if (work(w, idle) || search(w)) {
            idle = false;
            if (YK_UNLIKELY(--w->jobs_until_look == 0))
                yk_pool_look(w);
        } else if (is_stopping(p)) {
            break;
        } else {
            sleep_until_work(w);
            idle = true;
        }
    }
    return NULL;
}

/* ---- Starting and stopping ---- */

yk_pool_worker *yk_pool_worker_new(yk_pool *p, uint32_t index)
{
    void *memory;
    size_t order = p ? p->room * sizeof(uint16_t) : 0;
    if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, sizeof(yk_pool_worker) + order) != 0)
        return NULL;
    yk_pool_worker *w = memory;
    memset(w, 0, sizeof *w);
    w->cpu = w->ordered_cpu = -1;
    w->rounds_to_order = 1;
    w->pool = p;
    w->index = index;
    w->random = index * 2654435761u + 1;
    w->spin_credit = SPIN_CREDIT_MAX;
    w->jobs_until_look = w->stride = 1;
    w->blocking = (yk_blocking){.begin = begin_block, .end = end_block};
    bool whole = (!p || yk_deque_init(&w->deque) == 0) && yk_forks_init(&w->forks) == 0;
    if (!whole && !p)
        yk_forks_init_without(&w->forks); /* alone, it can do its work in order */
    if (whole || !p)
        return w;
    yk_pool_worker_free(w);
    return NULL;
}

void yk_pool_worker_free(yk_pool_worker *w)
{
    yk_deque_done(&w->deque);
    yk_forks_done(&w->forks);
    free(w);
}

/* Makes a worker known to thieves. park_lock is held, or no worker runs yet. NULL when there are too many, or no memory. */
static yk_pool_worker *enlist(yk_pool *p)
{
    uint32_t index = atomic_load_explicit(&p->worker_count, memory_order_relaxed);
    yk_pool_worker *w = index < p->room ? yk_pool_worker_new(p, index) : NULL;
    if (!w)
        return NULL;
    p->workers[index] = w;
    w->unused = true;
    /* Pairs with the acquire of those who steal: the worker must be there before it counts. */
    atomic_store_explicit(&p->worker_count, index + 1, memory_order_release);
    return w;
}

yk_pool_worker *yk_pool_add_guest(yk_pool *p)
{
    yk_pool_worker *w = p->guests_made < YK_POOL_GUESTS ? enlist(p) : NULL;
    if (w) {
        w->guest = true;
        p->guests_made++;
    }
    return w;
}

int yk_pool_add_worker(yk_pool *p)
{
    yk_pool_worker *w = p->threadless;
    if (w)
        p->threadless = w->next_free;
    else if (!(w = enlist(p)))
        return -EAGAIN;
    yk_pool_set_used(w, true);
    atomic_fetch_add_explicit(&p->active, 1, memory_order_acq_rel);
    int err = yk_thread_start(&w->thread, STACK, worker_thread, w);
    if (err < 0)
        err = yk_thread_start(&w->thread, 0, worker_thread, w); /* a tight RLIMIT_AS has room for a smaller stack */
    w->has_thread = err == 0;
    if (err < 0) { /* thieves may look at it already, so it stays, empty, for the next try */
        atomic_fetch_sub_explicit(&p->active, 1, memory_order_acq_rel);
        yk_pool_set_used(w, false);
        w->next_free = p->threadless;
        p->threadless = w;
    }
    return err;
}

void yk_pool_stop(yk_pool *p)
{
    atomic_store_explicit(&p->stopping, true, memory_order_seq_cst);
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        yk_pool_worker *w = p->workers[i];
        yk_pool_ring(w);
        if (w->has_thread)
            pthread_join(w->thread, NULL);
        w->has_thread = false; /* may be called twice */
    }
}
