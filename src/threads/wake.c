/* wake: which sleeper is woken, and where.
 *
 * Where a sleeper is woken decides what the wake-up is worth, and the kernel decides it badly: on a virtual machine it takes the
 * waker's own busy CPU in half of all cases, though another is idle, and then lets the woken thread wait there for the rest of
 * the waker's time slice, up to 4 ms. So for parallel work the waker first takes its own CPU out of the sleeper's affinity,
 * which costs it 2 us, and the sleeper puts it back once it runs, 30 us later. For a single job the kernel's choice is as
 * good: who waits for it gives up the CPU at once. */
#include "threads/pool.h"

/* YK_LEAVING is said before the sleeper is taken out of the set. So one that wakes up for another reason and finds itself taken
 * sees it, and waits for the mask: no task ever runs while a waker is at it. It also gives the mask to one waker of several. */
static bool begin_leaving(yk_pool_worker *w)
{
    uint32_t here = YK_HERE;
    /* Sequentially consistent: before the sleeper is taken out; pairs with yk_pool_come_back(). */
    return atomic_compare_exchange_strong_explicit(&w->away, &here, YK_LEAVING, memory_order_seq_cst, memory_order_relaxed);
}

/* Takes the caller's CPU out of the sleeper's affinity. */
static bool send_away(yk_pool_worker *w)
{
    cpu_set_t mask;
    int cpu = sched_getcpu();
    pid_t tid = atomic_load_explicit(&w->tid, memory_order_relaxed);
    if (tid <= 0 || cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(tid, sizeof mask, &mask) < 0 || !CPU_ISSET(cpu, &mask) ||
        CPU_COUNT(&mask) < 2)
        return false;
    w->mask = mask;
    CPU_CLR(cpu, &mask);
    return sched_setaffinity(tid, sizeof mask, &mask) == 0;
}

static void end_leaving(yk_pool_worker *w, bool taken)
{
    /* Release: the mask is noted; pairs with yk_pool_come_back(). */
    atomic_store_explicit(&w->away, taken && send_away(w) ? YK_AWAY : YK_HERE, memory_order_release);
}

static uint32_t where_is(yk_pool_worker *w)
{
    return atomic_load_explicit(&w->away, memory_order_acquire);
}

void yk_pool_come_back(yk_pool_worker *w)
{
    cpu_set_t now, both;
    while (YK_UNLIKELY(where_is(w) == YK_LEAVING))
        sched_yield();
    if (YK_LIKELY(where_is(w) != YK_AWAY))
        return;
    /* Unless somebody has given it another mask meanwhile, as taskset(1) does. */
    if (sched_getaffinity(0, sizeof now, &now) == 0) {
        CPU_AND(&both, &now, &w->mask);
        if (CPU_EQUAL(&both, &now) && CPU_COUNT(&now) + 1 == CPU_COUNT(&w->mask))
            sched_setaffinity(0, sizeof w->mask, &w->mask);
    }
    atomic_store_explicit(&w->away, YK_HERE, memory_order_release);
}

/* Takes this one out of the set, unless somebody else has, and rings for it. */
static bool wake_one(yk_idle *set, yk_pool_worker *w, bool elsewhere)
{
    bool leaving = elsewhere && begin_leaving(w);
    bool taken = yk_idle_leave(set, w->index);
    if (leaving)
        end_leaving(w, taken);
    if (taken)
        yk_pool_ring(w);
    return taken;
}

/* Wakes one out of the set: the lowest number, so that a pool with little to do uses few threads, whose caches are warm. False
 * when all are awake. */
static bool wake_from(yk_pool *p, yk_idle *set, bool elsewhere)
{
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i * 64 < count && yk_idle_any(set); i++) {
        uint64_t word = atomic_load_explicit(&set->words[i], memory_order_seq_cst);
        for (; word != 0; word &= word - 1)
            if (wake_one(set, p->workers[i * 64 + (uint32_t)__builtin_ctzll(word)], elsewhere))
                return true;
    }
    return false;
}

/* Whoever searches will find what was just put: it looks once more after it has stopped being counted. */
static bool somebody_searches(yk_pool *p)
{
    return atomic_load_explicit(&p->searching, memory_order_seq_cst) > 0;
}

/* Who sleeps in a join holds a place that the job could have, and lends it when woken: see sleep_for() in fork.c. */
void yk_pool_wake(yk_pool *p)
{
    if (somebody_searches(p))
        return;
    if (!yk_idle_any(&p->sleepers) || !wake_from(p, &p->sleepers, yk_pool_self(p) != NULL))
        wake_from(p, &p->joiners, false);
}

static bool is_place_free(yk_pool *p)
{
    return atomic_load_explicit(&p->sleepers.count, memory_order_seq_cst) >
           atomic_load_explicit(&p->guests, memory_order_seq_cst); /* pairs with sleep_isolated() in fork.c */
}

bool yk_pool_has_place(yk_pool *p)
{
    if (is_place_free(p) || !yk_idle_any(&p->sleepers))
        return is_place_free(p);
    /* Sequentially consistent: before the look; pairs with give_place() in visit.c. */
    atomic_store_explicit(&p->refused, true, memory_order_seq_cst);
    return is_place_free(p);
}

bool yk_pool_wants_forks(yk_pool *p)
{
    return yk_pool_has_place(p) || yk_idle_any(&p->joiners);
}

bool yk_pool_wake_for_forks(yk_pool *p)
{
    if (somebody_searches(p))
        return yk_pool_wants_forks(p); /* what it finds may be a job */
    if (!(yk_pool_has_place(p) && wake_from(p, &p->sleepers, true)) && !wake_from(p, &p->joiners, false))
        return false;
    return yk_pool_wants_forks(p);
}
