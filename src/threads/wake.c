/* wake: which sleeper is woken, and where.
 *
 * Where a sleeper is woken decides what the wake-up is worth, and the kernel decides it badly: on a virtual machine it takes the
 * waker's own busy CPU in half of all cases, though another is idle, and then lets the woken thread wait there for the rest of
 * the waker's time slice, up to 4 ms. So for parallel work the waker first takes its own CPU out of the sleeper's affinity,
 * which costs it 2 us, and the sleeper puts it back once it runs, 30 us later. For a single job the kernel's choice is as
 * good: who waits for it gives up the CPU at once. */
#include "threads/pool.h"

/* A sleeper may wake up for another reason, and go to sleep again, while its waker is still at it; then there is a second waker.
 * LEAVING gives the mask to one of them, AWAY to the worker. */
enum { HERE, LEAVING, AWAY };

static bool send_away(yk_pool_worker *w, pid_t tid, int cpu)
{
    cpu_set_t mask;
    if (sched_getaffinity(tid, sizeof mask, &mask) < 0 || !CPU_ISSET(cpu, &mask) || CPU_COUNT(&mask) < 2)
        return false;
    w->mask = mask;
    CPU_CLR(cpu, &mask);
    return sched_setaffinity(tid, sizeof mask, &mask) == 0;
}

void yk_pool_ring_elsewhere(yk_pool_worker *w)
{
    int cpu = sched_getcpu();
    pid_t tid = atomic_load_explicit(&w->tid, memory_order_relaxed);
    uint32_t here = HERE;
    /* Acquire and release pair with those of yk_pool_come_back(). */
    if (tid > 0 && cpu >= 0 && cpu < CPU_SETSIZE &&
        atomic_compare_exchange_strong_explicit(&w->away, &here, LEAVING, memory_order_acquire, memory_order_relaxed))
        atomic_store_explicit(&w->away, send_away(w, tid, cpu) ? AWAY : HERE, memory_order_release);
    yk_pool_ring(w);
}

void yk_pool_come_back(yk_pool_worker *w)
{
    cpu_set_t now, both;
    if (YK_LIKELY(atomic_load_explicit(&w->away, memory_order_acquire) != AWAY))
        return;
    /* Unless somebody has given it another mask meanwhile, as taskset(1) does. */
    if (sched_getaffinity(0, sizeof now, &now) == 0) {
        CPU_AND(&both, &now, &w->mask);
        if (CPU_EQUAL(&both, &now) && CPU_COUNT(&now) + 1 == CPU_COUNT(&w->mask))
            sched_setaffinity(0, sizeof w->mask, &w->mask);
    }
    atomic_store_explicit(&w->away, HERE, memory_order_release);
}

/* Takes one out of the set and rings for it: the lowest number, so that a pool with little to do uses few threads, whose caches
 * are warm. False when all are awake. */
static bool wake_from(yk_pool *p, yk_idle *set, void (*ring)(yk_pool_worker *w))
{
    uint32_t count = atomic_load_explicit(&p->worker_count, memory_order_acquire);
    for (uint32_t i = 0; i * 64 < count && yk_idle_any(set); i++) {
        uint64_t word = atomic_load_explicit(&set->words[i], memory_order_seq_cst);
        for (; word != 0; word &= word - 1) {
            yk_pool_worker *w = p->workers[i * 64 + (uint32_t)__builtin_ctzll(word)];
            if (yk_idle_leave(set, w->index)) {
                ring(w);
                return true;
            }
        }
    }
    return false;
}

/* Whoever searches will find what was just put: it looks once more after it has stopped being counted. */
static bool somebody_searches(yk_pool *p)
{
    return atomic_load_explicit(&p->searching, memory_order_seq_cst) > 0;
}

void yk_pool_wake(yk_pool *p)
{
    if (!somebody_searches(p) && yk_idle_any(&p->sleepers))
        wake_from(p, &p->sleepers, yk_pool_self(p) ? yk_pool_ring_elsewhere : yk_pool_ring);
}

/* Guests take the places of as many sleepers. */
static bool has_place(yk_pool *p)
{
    return atomic_load_explicit(&p->sleepers.count, memory_order_seq_cst) >
           atomic_load_explicit(&p->guests, memory_order_seq_cst); /* pairs with sleep_isolated() in fork.c */
}

bool yk_pool_wants_forks(yk_pool *p)
{
    return has_place(p) || yk_idle_any(&p->joiners);
}

bool yk_pool_wake_for_forks(yk_pool *p)
{
    if (somebody_searches(p))
        return false;
    if (!(has_place(p) && wake_from(p, &p->sleepers, yk_pool_ring_elsewhere)) && !wake_from(p, &p->joiners, yk_pool_ring))
        return false;
    return yk_pool_wants_forks(p);
}
