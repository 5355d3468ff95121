/* slab: the memory of an executor's jobs.
 *
 * Jobs are cut from slabs that belong to their executor, so that yoke_close() can find every job without a list that each
 * submit would have to maintain. Free jobs go to a cache of the thread that freed them (no lock), and from there in batches
 * to the pool's list. A batch is one job whose memory names the others, so it changes hands in a few steps however many there
 * are, and whoever takes it knows early which memory it will need (Bonwick and Adams, "Magazines and Vmem", USENIX 2001). A
 * thread's cache belongs to one pool at a time, named by a serial number that is never used again: the
 * cache of a closed pool is simply forgotten, as its slabs are gone. A thread that ends gives its cache back. A free job has
 * no references. */
#include "exec/job.h"
#include <stdlib.h>

enum { BATCH = YK_JOB_INLINE / sizeof(yk_job *), SLAB_JOBS = 2 * BATCH, CACHE_MAX = 4 * BATCH, AHEAD = 4 };

typedef struct slab {
    struct slab *next;
    yk_job *jobs; /* SLAB_JOBS of them */
} slab;

/* What lies in the inline space of a batch's first job: the number of the others, then they. */
typedef struct batch {
    uintptr_t count;
    yk_job *others[BATCH - 1];
} batch;
_Static_assert(sizeof(batch) <= YK_JOB_INLINE, "a batch fits into a job");

struct yk_job_pool {
    uint64_t serial;
    yk_mutex lock; /* guards the rest */
    yk_job *free;  /* first jobs of batches, linked through next */
    slab *slabs;
};

struct cache {
    uint64_t serial;
    unsigned count;
    bool watched; /* is given back when the thread ends */
    yk_job *jobs[CACHE_MAX];
};
static _Thread_local struct cache cache __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_end;
static bool has_thread_end;

yk_job_pool *yk_job_pool_open(void)
{
    static _Atomic uint64_t serials;
    yk_job_pool *p = yk_sys.calloc(1, sizeof *p);
    if (p)
        p->serial = atomic_fetch_add(&serials, 1) + 1;
    return p;
}

/* Makes a batch of 1 to BATCH free jobs. */
static yk_job *tie(yk_job *const *jobs, unsigned count)
{
    batch *b = (batch *)(void *)jobs[0]->inline_space;
    b->count = count - 1;
    memcpy(b->others, jobs + 1, (count - 1) * sizeof *jobs);
    return jobs[0];
}

static void push(yk_job_pool *p, yk_job *first)
{
    first->next = p->free;
    p->free = first;
}

/* Cuts a new slab; the pool's lock is held. */
static bool grow(yk_job_pool *p)
{
    void *memory = NULL;
    slab *s = yk_sys.malloc(sizeof *s);
    if (!s)
        return false;
    if (yk_sys.posix_memalign(&memory, 2 * YK_CACHE_LINE, SLAB_JOBS * sizeof(yk_job)) != 0) {
        free(s);
        return false;
    }
    s->jobs = memory;
    s->next = p->slabs;
    p->slabs = s;
    memset(memory, 0, SLAB_JOBS * sizeof(yk_job));
    yk_job *jobs[SLAB_JOBS];
    for (int i = 0; i < SLAB_JOBS; i++) {
        jobs[i] = &s->jobs[SLAB_JOBS - 1 - i]; /* the cache gives out the last first */
        atomic_store_explicit(&jobs[i]->used, true, memory_order_relaxed);
    }
    for (int i = 0; i < SLAB_JOBS; i += BATCH)
        push(p, tie(jobs + i, BATCH));
    return true;
}

/* Makes this thread's cache, which is empty, one of that pool's. */
static void adopt(const yk_job_pool *p)
{
    cache.serial = p->serial;
    cache.count = 0;
    if (!cache.watched && has_thread_end)
        cache.watched = pthread_setspecific(thread_end, &cache) == 0;
}

/* Moves a batch from the pool to the thread's cache, which is empty; false when there is no memory for one. */
static bool refill(yk_job_pool *p)
{
    adopt(p);
    yk_mutex_lock(&p->lock);
    if (!p->free)
        grow(p);
    yk_job *first = p->free;
    if (first)
        p->free = first->next;
    yk_mutex_unlock(&p->lock);
    if (!first)
        return false;
    const batch *b = (const batch *)(const void *)first->inline_space;
    cache.jobs[0] = first;
    memcpy(cache.jobs + 1, b->others, b->count * sizeof(yk_job *));
    cache.count = (unsigned)b->count + 1;
    return true;
}

/* The pool that the cache belongs to may be closed already, so jobs find their pool through this list of open pools. */
static struct {
    yk_mutex lock;
    struct {
        uint64_t serial;
        yk_job_pool *pool;
    } *open;
    size_t count, cap;
} pools;

/* In a child made by fork() the pools are the parent's, and another thread may have held a lock. */
static void forget_parent(void)
{
    static void *volatile left_behind __attribute__((unused)); /* so that leak checkers find nothing */
    if (pools.open)
        left_behind = pools.open;
    cache = (struct cache){0};
    memset(&pools, 0, sizeof pools);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

bool yk_job_pool_enlist(yk_job_pool *p)
{
    yk_mutex_lock(&pools.lock);
    if (pools.count == pools.cap) {
        size_t cap = pools.cap ? pools.cap * 2 : 16;
        void *grown = yk_sys.realloc(pools.open, cap * sizeof *pools.open);
        if (!grown) {
            yk_mutex_unlock(&pools.lock);
            return false;
        }
        pools.open = grown;
        pools.cap = cap;
    }
    pools.open[pools.count].serial = p->serial;
    pools.open[pools.count++].pool = p;
    yk_mutex_unlock(&pools.lock);
    return true;
}

static void delist(yk_job_pool *p)
{
    yk_mutex_lock(&pools.lock);
    for (size_t i = 0; i < pools.count; i++)
        if (pools.open[i].pool == p)
            pools.open[i] = pools.open[--pools.count];
    if (pools.count == 0) {
        free(pools.open);
        pools.open = NULL;
        pools.cap = 0;
    }
    yk_mutex_unlock(&pools.lock);
}

/* Gives up to `count` jobs of the cache back to their pool, those that have lain longest; its lock is held by nobody. */
static void give_back(yk_job_pool *p, unsigned count)
{
    count = YK_MIN(count, cache.count);
    yk_mutex_lock(&p->lock);
    for (unsigned i = 0; i < count; i += BATCH)
        push(p, tie(cache.jobs + i, YK_MIN(count - i, (unsigned)BATCH)));
    yk_mutex_unlock(&p->lock);
    cache.count -= count;
    memmove(cache.jobs, cache.jobs + count, cache.count * sizeof(yk_job *));
}

/* This thread's cached jobs go back to their pool, if that is still open. */
static void leave_pool(void)
{
    yk_mutex_lock(&pools.lock);
    for (size_t i = 0; i < pools.count; i++)
        if (pools.open[i].serial == cache.serial)
            give_back(pools.open[i].pool, UINT32_MAX);
    yk_mutex_unlock(&pools.lock);
    cache.serial = 0;
}

/* Destructors of others that run after this one may take jobs again: then the cache is watched again. */
static void leave_thread(void *unused)
{
    leave_pool();
    cache.watched = false;
}

static __attribute__((constructor)) void watch_threads(void)
{
    has_thread_end = pthread_key_create(&thread_end, leave_thread) == 0;
}

/* The library may be unloaded while threads live on that have used it. */
static __attribute__((destructor)) void unwatch_threads(void)
{
    if (has_thread_end)
        pthread_key_delete(thread_end);
}

/* The lines of a job that a submit writes to, on their way from whichever CPU had them last. */
static void fetch(yk_job *job)
{
    __builtin_prefetch(job, 1);
    __builtin_prefetch(&job->ex, 1);
    __builtin_prefetch(job->inline_space, 1);
}

yk_job *yk_job_take(yk_job_pool *p)
{
    if (cache.serial != p->serial)
        leave_pool();
    if ((cache.serial != p->serial || cache.count == 0) && !refill(p))
        return NULL;
    yk_job *job = cache.jobs[--cache.count];
    if (cache.count >= AHEAD)
        fetch(cache.jobs[cache.count - AHEAD]);
    return job;
}

void yk_job_give(yk_job_pool *p, yk_job *job)
{
    if (cache.serial != p->serial) {
        leave_pool();
        adopt(p);
    }
    if (cache.count == CACHE_MAX)
        give_back(p, CACHE_MAX / 2);
    cache.jobs[cache.count++] = job;
}

void yk_job_pool_each(yk_job_pool *p, void (*fn)(yk_job *job, void *arg), void *arg)
{
    /* Slabs are only ever added at the head, and a closing executor takes no new jobs. */
    yk_mutex_lock(&p->lock);
    slab *first = p->slabs;
    yk_mutex_unlock(&p->lock);
    for (slab *s = first; s; s = s->next)
        for (size_t i = 0; i < SLAB_JOBS; i++)
            fn(&s->jobs[i], arg);
}

void yk_job_pool_close(yk_job_pool *p)
{
    if (!p)
        return;
    if (cache.serial == p->serial)
        cache.serial = 0;
    delist(p);
    for (slab *s = p->slabs, *next; s; s = next) {
        next = s->next;
        free(s->jobs);
        free(s);
    }
    free(p);
}
