/* pool.h: what the files of the thread pool share.
 *
 * Who writes what: a worker's deque by its rules; `inbox` under its lock; `state` by atomic operations. Lock order: park_lock
 * and inbox_lock are never held together; nothing is called while either is held. */
#ifndef YK_THREADS_POOL_H
#define YK_THREADS_POOL_H
#include "exec/exec.h"
#include "threads/deque.h"

enum {
    YK_POOL_MAX = 4096,   /* most workers that can be asked for */
    YK_POOL_SPARES = 256, /* further threads that may replace blocked ones */
    YK_PRIORITIES = 3     /* above, at and below 0 */
};

typedef struct yk_pool yk_pool;

typedef struct yk_pool_worker {
    yk_deque deque;
    yk_blocking blocking; /* what future.c calls when a task of this worker is about to block */
    yk_pool *pool;
    pthread_t thread;
    uint32_t index;
    uint32_t random;
    uint32_t ticks;         /* jobs taken, to look into the inbox now and then */
    int spin_credit;        /* how much spinning has paid lately, see worker.c */
    bool searching;         /* counted in pool->searching */
    unsigned blocked_depth; /* waits nest: only the outermost gives the place away */
} yk_pool_worker;

typedef struct job_list {
    yk_job *first, **last;
} job_list;

struct yk_pool {
    yoke_executor base;
    _Alignas(YK_CACHE_LINE) yk_mutex inbox_lock;
    job_list inbox[YK_PRIORITIES];
    _Atomic uint32_t inbox_count; /* read without the lock by those who search */

    _Alignas(YK_CACHE_LINE) _Atomic uint32_t sleepers; /* asleep or about to be */
    _Atomic uint32_t searching;                        /* awake, without a job, looking for one */
    _Alignas(YK_CACHE_LINE) _Atomic uint32_t epoch;    /* futex word of the sleepers; changes with each wake */
    atomic_bool stopping;

    /* Places: at most base.width workers run at a time. One that blocks lends its place to a spare. */
    yk_mutex park_lock;       /* guards parked_tokens, idle_spares and starting threads */
    _Atomic int32_t active;   /* workers that hold a place */
    uint32_t parked;          /* spares asleep on park_word */
    uint32_t unpark;          /* spares that may get up */
    _Atomic uint32_t park_word;
    _Atomic uint32_t worker_count;
    yk_pool_worker *workers[]; /* worker_count of them; never shrinks before close */
};

/* ---- queue.c: finding work ---- */
void yk_pool_put(yk_pool *p, yk_job *job);
/* The next job for this worker, or NULL when there was none anywhere. */
yk_job *yk_pool_find(yk_pool_worker *w);
/* True when some queue seems to hold a job. */
bool yk_pool_has_work(yk_pool *p);
/* Wakes one sleeper if there is one and nobody is searching already. */
void yk_pool_wake(yk_pool *p);

/* ---- worker.c: what a worker thread does ---- */
/* Adds a worker; 0 or a negative code. */
int yk_pool_add_worker(yk_pool *p);
void yk_pool_stop(yk_pool *p);
/* The worker that this thread is, if it belongs to p, or NULL. */
yk_pool_worker *yk_pool_self(yk_pool *p);

#endif
