/* budget: how many workers run at a time, as the affinity mask and the cgroup's quota have it now.
 *
 * Both may change while the pool runs: somebody uses taskset(1), a container gets another share. So a worker that is busy looks
 * again every two seconds; a pool without work does not look, and costs nothing. A pool whose number of workers was left to
 * yoke has as many places as CPUs; the workers too many park, and come back, or are joined by new ones, when there is more. A
 * pool with a number of its own keeps it, for the tasks may count on running at the same time, but its workers do not
 * spin when they are more than the CPUs: they would take them from those who work.
 *
 * Most jobs are far shorter than the pause between two looks, and reading the clock costs as much as a small job. So a worker
 * reads it after some number of jobs, which it adapts. */
#include "threads/pool.h"
#include "topo/topo.h"

enum { STRIDE_MAX = 4096 };
int64_t yk_pool_look_every = 2 * YOKE_S;

/* Whether as many workers may be awake as there are, and others besides. */
static bool may_spin(const yk_cpus *cpus, unsigned workers)
{
    return cpus->budget > 1 && workers <= cpus->affinity && (cpus->quota <= 0 || workers <= cpus->quota);
}

void yk_pool_budget(yk_pool *p, const yk_cpus *cpus)
{
    unsigned places = p->own_width ? p->base.width : YK_MIN(cpus->budget, p->places_max);
    atomic_store_explicit(&p->may_spin, may_spin(cpus, places), memory_order_relaxed);
    atomic_store_explicit(&p->places, (int32_t)places, memory_order_relaxed);
    for (int32_t more = (int32_t)places - atomic_load_explicit(&p->active, memory_order_relaxed); more > 0; more--)
        yk_pool_fill_place(p);
}

/* Of several workers that find it is time, one looks. */
static void look(yk_pool *p, int64_t now)
{
    int64_t last = atomic_load_explicit(&p->looked_at, memory_order_relaxed);
    if (now - last < yk_pool_look_every ||
        !atomic_compare_exchange_strong_explicit(&p->looked_at, &last, now, memory_order_relaxed, memory_order_relaxed))
        return;
    yk_cpus cpus;
    yk_cpus_read(&cpus);
    yk_pool_budget(p, &cpus);
}

void yk_pool_look(yk_pool_worker *w)
{
    int64_t now = yoke_now(), since = now - w->clock;
    if (since > yk_pool_look_every / 8)
        w->stride = w->stride / 8 + 1;
    else if (since < yk_pool_look_every / 64)
        w->stride = YK_MIN(w->stride * 2, (uint32_t)STRIDE_MAX);
    w->clock = now;
    w->jobs_until_look = w->stride;
    look(w->pool, now);
}
