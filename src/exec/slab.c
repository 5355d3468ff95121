/* slab: the memory of an executor's jobs.
 *
 * Jobs are cut from slabs that belong to their executor, so that yoke_close() can find every job without a list that each
 * submit would have to maintain. Free jobs go to a cache of the thread that freed them (no lock), and from there in batches
 * to the pool's list. A thread's cache belongs to one pool at a time, named by a serial number that is never used again: the
 * cache of a closed pool is simply forgotten, as its slabs are gone. A thread that ends gives its cache back. A free job has
 * no references. */
#include "exec/job.h"
#include <stdlib.h>

enum { SLAB_JOBS = 64, CACHE_MAX = 128 };

typedef struct slab {
    struct slab *next;
    char *jobs; /* SLAB_JOBS times job_bytes */
} slab;

struct yk_job_pool {
    uint64_t serial;
    yk_mutex lock; /* guards the rest */
    yk_job *free;
    slab *slabs;
};

struct cache {
    uint64_t serial;
    yk_job *free;
    unsigned count;
    bool watched; /* is given back when the thread ends */
};
static _Thread_local struct cache cache __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_end;
static bool has_thread_end;

static const size_t job_bytes = YK_ALIGN_UP(sizeof(yk_job) + YK_JOB_INLINE, YK_CACHE_LINE);

yk_job_pool *yk_job_pool_open(void)
{
    static _Atomic uint64_t serials;
    yk_job_pool *p = yk_sys.calloc(1, sizeof *p);
    if (p)
        p->serial = atomic_fetch_add(&serials, 1) + 1;
    return p;
}

/* Cuts a new slab; the pool's lock is held. */
static bool grow(yk_job_pool *p)
{
    void *memory = NULL;
    slab *s = yk_sys.malloc(sizeof *s);
    if (!s)
        return false;
    if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, SLAB_JOBS * job_bytes) != 0) {
        free(s);
        return false;
    }
    s->jobs = memory;
    s->next = p->slabs;
    p->slabs = s;
    for (int i = SLAB_JOBS - 1; i >= 0; i--) {
        yk_job *job = (yk_job *)(void *)(s->jobs + (size_t)i * job_bytes);
        memset(job, 0, sizeof *job);
        job->next = p->free;
        p->free = job;
    }
    return true;
}

/* Makes this thread's cache, which is empty, one of that pool's. */
static void adopt(const yk_job_pool *p)
{
    cache.serial = p->serial;
    cache.free = NULL;
    cache.count = 0;
    if (!cache.watched && has_thread_end)
        cache.watched = pthread_setspecific(thread_end, &cache) == 0;
}

/* Moves up to half a cache of free jobs from the pool to the thread; false when there is no memory for any. */
static bool refill(yk_job_pool *p)
{
    adopt(p);
    yk_mutex_lock(&p->lock);
    if (!p->free)
        grow(p);
    while (p->free && cache.count < CACHE_MAX / 2) {
        yk_job *job = p->free;
        p->free = job->next;
        job->next = cache.free;
        cache.free = job;
        cache.count++;
    }
    yk_mutex_unlock(&p->lock);
    return cache.free != NULL;
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

/* Gives `count` jobs of the cache back to their pool; its lock is held by nobody. */
static void give_back(yk_job_pool *p, unsigned count)
{
    yk_mutex_lock(&p->lock);
    for (; count > 0 && cache.free; count--) {
        yk_job *job = cache.free;
        cache.free = job->next;
        cache.count--;
        job->next = p->free;
        p->free = job;
    }
    yk_mutex_unlock(&p->lock);
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

yk_job *yk_job_take(yk_job_pool *p)
{
    if (cache.serial != p->serial)
        leave_pool();
    if ((cache.serial != p->serial || !cache.free) && !refill(p))
        return NULL;
    yk_job *job = cache.free;
    cache.free = job->next;
    cache.count--;
    return job;
}

void yk_job_give(yk_job_pool *p, yk_job *job)
{
    if (cache.serial != p->serial) {
        leave_pool();
        adopt(p);
    }
    job->next = cache.free;
    cache.free = job;
    if (++cache.count > CACHE_MAX)
        give_back(p, CACHE_MAX / 2);
}

void yk_job_pool_each(yk_job_pool *p, void (*fn)(yk_job *job, void *arg), void *arg)
{
    /* Slabs are only ever added at the head, and a closing executor takes no new jobs. */
    yk_mutex_lock(&p->lock);
    slab *first = p->slabs;
    yk_mutex_unlock(&p->lock);
    for (slab *s = first; s; s = s->next)
        for (size_t i = 0; i < SLAB_JOBS; i++)
            fn((yk_job *)(void *)(s->jobs + i * job_bytes), arg);
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
