/* visit: how a thread comes into fork bodies from outside, and goes.
 *
 * A worker of the pool is in already: the call starts where its slots are free. Any other thread becomes a guest: it gets a
 * worker without a thread for the time of the call, whose forks the pool's own workers steal. Where forks must not spread - in
 * a job of another executor, whose parallelism is across jobs, or when there is no pool - the thread works alone, with slots
 * of its own that no thief knows. */
#include "threads/pool.h"
#include "threads/thread.h"
#include <stdlib.h>

/* What yk_fork_visit hides. */
typedef struct visit {
    yk_fork_frame frame;
    yk_pool_worker *worker, *before; /* before: what the thread was */
    bool guest;
    yk_outside outside;
    yoke_executor *executor; /* the one that the call is on */
    yk_blocking *pinned;     /* the coroutine that called: who the thread's worker is may not change under it */
} visit;
_Static_assert(sizeof(visit) <= sizeof(((yk_fork_visit *)0)->hidden), "yk_fork_visit is too small");
_Static_assert(_Alignof(visit) <= 16 && offsetof(yk_fork_visit, hidden) % 16 == 0, "and lies as it must");

/* ---- The process's own pool ---- */

static struct {
    yk_mutex lock;
    _Atomic(yoke_executor *) pool;
} own;

static void close_own(void)
{
    yk_threads_finish(); /* they may use it */
    yoke_close(atomic_exchange(&own.pool, NULL));
}

/* When it is first used, so that it is closed before what the program set up earlier is torn down. Not under the lock, which
 * would then be held while the C library waits for locks of its own. */
static void close_own_at_exit(void)
{
    atexit(close_own); /* fails for want of memory only: then the workers end with the process */
}

/* In a child made by fork() the workers are gone, and what they held may be locked: leave it all behind. */
static void forget_own(void)
{
    atomic_store(&own.pool, NULL);
    own.lock = (yk_mutex){0};
}

yoke_executor *yoke_own_threads(void)
{
    yoke_executor *ex = atomic_load_explicit(&own.pool, memory_order_acquire);
    if (ex)
        return ex;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, close_own_at_exit);
    yk_mutex_lock(&own.lock);
    ex = atomic_load_explicit(&own.pool, memory_order_relaxed);
    if (!ex) {
        ex = yoke_open("threads");
        atomic_store_explicit(&own.pool, ex, memory_order_release);
    }
    yk_mutex_unlock(&own.lock);
    return ex;
}

/* ---- Guests ---- */

static yk_pool_worker *take_guest(yk_pool *p)
{
    yk_mutex_lock(&p->park_lock);
    yk_pool_worker *w = p->free_guests;
    if (w)
        p->free_guests = w->next_free;
    else
        w = yk_pool_add_guest(p);
    if (w)
        yk_pool_set_used(w, true);
    yk_mutex_unlock(&p->park_lock);
    if (w)
        atomic_fetch_add_explicit(&p->guests, 1, memory_order_relaxed);
    return w;
}

/* Guest w goes. Who was asked while there was no place has woken nobody, and is asked again. */
static void give_place(yk_pool *p, const yk_pool_worker *w)
{
    /* Sequentially consistent: before the looks; pairs with yk_pool_has_place(). */
    atomic_fetch_sub_explicit(&p->guests, 1, memory_order_seq_cst);
    if (!atomic_load_explicit(&p->refused, memory_order_seq_cst) || !yk_pool_wants_forks(p))
        return;
    atomic_store_explicit(&p->refused, false, memory_order_seq_cst);
    uint32_t count = yk_pool_reach(p);
    for (uint32_t i = 0; i < count; i++)
        if (p->workers[i] != w)
            yk_forks_ask_one(&p->workers[i]->forks);
    if (yk_pool_has_forks(p))
        yk_pool_wake_for_forks(p);
}

static void give_guest(yk_pool_worker *w)
{
    yk_pool *p = w->pool;
    give_place(p, w);
    yk_mutex_lock(&p->park_lock);
    w->next_free = p->free_guests;
    p->free_guests = w;
    yk_pool_set_used(w, false);
    yk_mutex_unlock(&p->park_lock);
}

/* ---- Alone ---- */

static pthread_key_t alone_key;

static void free_alone(void *w)
{
    yk_pool_worker_free(w);
}

static bool has_key;

/* At load, when no other thread can be in the middle of it. */
static __attribute__((constructor)) void begin(void)
{
    has_key = pthread_key_create(&alone_key, free_alone) == 0;
    pthread_atfork(NULL, NULL, forget_own);
}

static yk_pool_worker *take_alone(void)
{
    yk_pool_worker *w = has_key ? pthread_getspecific(alone_key) : NULL;
    if (!w && (w = yk_pool_worker_new(NULL, 0)) && has_key)
        pthread_setspecific(alone_key, w); /* at worst it is not freed */
    if (w && !w->forks.mapped && !w->forks.frame)
        yk_forks_init(&w->forks); /* there was no memory when it was made; there may be now */
    return w;
}

/* ---- Coming and going ---- */

/* That of the body which this thread is in, NULL when it is in none of this run. Who works alone has visits only, no thefts. */
static yoke_executor *executor_of_body(const yk_run *run)
{
    yk_pool_worker *w = yk_pool_anybody();
    const yk_fork_frame *frame = w ? w->forks.frame : NULL;
    if (!frame || frame->run != run)
        return NULL;
    return w->pool ? &w->pool->base : ((const visit *)(const void *)frame)->executor;
}

/* What NULL means in place of an executor. */
static yoke_executor *meant(void)
{
    const yk_run *run = yk_current_run();
    yoke_executor *ex = executor_of_body(run);
    if (!ex && run && run->executor && !yk_is_of_parent(run->executor))
        ex = yoke_current_executor();
    return ex ? ex : yoke_own_threads();
}

void yk_fork_enter(yk_fork_visit *v, yoke_executor *ex)
{
    visit *h = (visit *)(void *)v->hidden;
    h->pinned = yk_pin();
    yk_outside_begin(&h->outside);
    yk_run *run = yk_current_run();
    h->executor = yk_executor_or_default(ex);
    yk_pool *p = h->executor ? yk_pool_of(h->executor) : NULL; /* on which forks may spread */
    h->before = yk_pool_anybody();
    h->worker = h->before && h->before->pool == p ? h->before : NULL;
    h->guest = false;
    if (p && !h->worker)
        h->guest = (h->worker = take_guest(p)) != NULL;
    if (!h->worker)
        h->worker = take_alone();
    if (!h->worker)
        yk_forks_give_up(sizeof *h->worker, "a thread that comes to run forks");
    if (h->guest)
        yk_pool_note_cpu(h->worker);
    atomic_store_explicit(&h->worker->who, yk_who_self(), memory_order_relaxed);
    yk_pool_become(h->worker);
    v->worker = &h->worker->forks.own;
    v->top = v->worker->head;
    yk_forks_begin(&h->worker->forks, &h->frame, v->top, run);
    if (p && yk_pool_wants_forks(p))
        yk_forks_ask_one(&h->worker->forks); /* who sleeps may have asked before this worker came */
}

void yk_fork_leave(yk_fork_visit *v)
{
    visit *h = (visit *)(void *)v->hidden;
    yk_forks_end(&h->worker->forks, &h->frame, v->top);
    yk_pool_become(h->before);
    if (h->guest)
        give_guest(h->worker);
    yk_outside_end(&h->outside, 0);
    yk_unpin(h->pinned);
}

/* A task has failed: its other parts need not begin. */
static void stop_parts(yk_run *run)
{
    yk_pool *p = yk_pool_of(run->executor);
    if (!p && !yk_run_is_task(run) && yk_pool_anybody())
        p = yk_pool_anybody()->pool;
    if (p && atomic_load_explicit(&run->shared, memory_order_relaxed))
        yk_forks_ask(p);
    else if (yk_pool_anybody())
        yk_forks_ask_one(&yk_pool_anybody()->forks);
}

static __attribute__((constructor)) void watch_failures(void)
{
    yk_run_failed_hook = stop_parts;
    yk_default_executor_hook = meant;
}
