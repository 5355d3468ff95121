/* stats: what the workers have counted; see yoke/pool.h. Each counts for itself with relaxed stores, and whoever asks adds up. */
#include "threads/pool.h"
#include <time.h>
#include <yoke/pool.h>

/* The CPU clock of a thread of this process, as pthread_getcpuclockid() makes it; that one needs a pthread_t, which says nothing
 * about whether the thread has begun. Source: linux/posix-timers.h, CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED. */
static int64_t cpu_time(const yk_pool_worker *w)
{
    pid_t tid = atomic_load_explicit(&w->tid, memory_order_relaxed);
    struct timespec t;
    if (tid == 0 || clock_gettime((clockid_t)(~(unsigned)tid << 3 | 6), &t) < 0)
        return 0;
    return (int64_t)t.tv_sec * YOKE_S + t.tv_nsec;
}

static void add(yoke_pool_counts *c, const yk_pool_worker *w)
{
    c->jobs += atomic_load_explicit(&w->jobs, memory_order_relaxed);
    c->steals += atomic_load_explicit(&w->steals, memory_order_relaxed);
    c->sleeps += atomic_load_explicit(&w->sleeps, memory_order_relaxed);
    c->cpu_time += cpu_time(w);
}

unsigned yoke_pool_workers(yoke_executor *ex)
{
    yk_pool *p = yk_pool_of(yk_executor_or_default(ex));
    return p ? atomic_load_explicit(&p->worker_count, memory_order_acquire) : 0;
}

unsigned yoke_pool_places(yoke_executor *ex)
{
    yk_pool *p = yk_pool_of(yk_executor_or_default(ex));
    return p ? (unsigned)atomic_load_explicit(&p->places, memory_order_relaxed) : 0;
}

int yoke_pool_stats(yoke_executor *ex, unsigned worker, yoke_pool_counts *ret)
{
    yk_pool *p = yk_pool_of(yk_executor_or_default(ex));
    if (!p || !ret)
        return -EINVAL;
    unsigned count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    if (worker != YOKE_POOL_TOTAL && worker >= count)
        return -ENOENT;
    yoke_pool_counts c = {0};
    for (unsigned i = 0; i < count; i++)
        if (worker == YOKE_POOL_TOTAL || worker == i)
            add(&c, p->workers[i]);
    if (worker == YOKE_POOL_TOTAL)
        c.unfilled = atomic_load_explicit(&p->unfilled, memory_order_relaxed);
    *ret = c;
    return 0;
}
