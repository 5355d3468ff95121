/* order: whom a worker tries to steal from, and in which order.
 *
 * What was stolen has been written by the victim, lately: it is cheap to read for a neighbour that shares a cache with it, and
 * dear across packages. And a tree of forks keeps its parts near each other if thieves look near first. So the workers are put
 * into groups by their distance from the thief. First comes the last from whom there was something; then the nearest group;
 * then one of the others, drawn so that each of the n workers in the i-th group has the weight 1 / (n * i * i), as libfork does
 * it (Williams and Elliott, "Libfork", 2024); then the rest, the nearer first. A group is begun at a random place, so that
 * thieves spread. Each round comes to everybody: a worker that goes to sleep has looked everywhere.
 *
 * Workers are not bound to CPUs, so the order is that of the CPUs where they were seen last. The thief makes it anew, seldom:
 * after some rounds, when it finds itself on another CPU, and once in a while because others may have moved. Workers that came
 * since are a last group of their own; so is everybody as long as nothing is known of the machine. With two workers there is no
 * choice, and nothing is asked. */
#include "threads/pool.h"

enum { ROUNDS = 64, /* between two looks at CPU and clock */
       OTHERS_MOVE = 16 /* times yk_pool_order_every, after which others may have moved */ };
int64_t yk_pool_order_every = 5 * YOKE_MS;

/* xorshift32, Marsaglia, 2003. */
static uint32_t random_of(yk_pool_worker *w)
{
    uint32_t x = w->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return w->random = x;
}

/* Less than n; Lemire, "Fast random integer generation in an interval", 2019, without its correction: the error is n / 2^32. */
static uint32_t random_below(yk_pool_worker *w, uint32_t n)
{
    return (uint32_t)((uint64_t)random_of(w) * n >> 32);
}

/* ---- Making the order ---- */

void yk_pool_note_cpu(yk_pool_worker *w)
{
    int cpu = sched_getcpu(); /* a read of thread-local memory that the kernel keeps up to date, rseq(2) */
    if (cpu != atomic_load_explicit(&w->cpu, memory_order_relaxed))
        atomic_store_explicit(&w->cpu, cpu, memory_order_relaxed);
}

/* Not at once: a program that is over soon does without. */
void yk_pool_learn_order(yk_pool *p)
{
    if (!atomic_load_explicit(&yk_this_machine, memory_order_relaxed) && yoke_now() - p->opened >= yk_pool_order_every &&
        yk_pool_reach(p) > 2)
        yk_this_machine_learn();
}

/* Puts a worker at the end of its group; each of the groups behind gives its first place away and gets one at its end. */
static void insert(yk_pool_worker *w, unsigned group, uint32_t index)
{
    for (unsigned g = YK_DISTANCES - 1; g > group; g--)
        w->order[w->group_end[g]++] = w->order[w->group_end[g - 1]];
    w->order[w->group_end[group]++] = (uint16_t)index;
}

void yk_pool_order_from(yk_pool_worker *w, int cpu)
{
    yk_pool *p = w->pool;
    uint32_t count = yk_pool_reach(p);
    memset(w->group_end, 0, sizeof w->group_end);
    for (uint32_t i = 0; i < count; i++)
        if (i != w->index)
            insert(w, yk_cpu_distance(cpu, atomic_load_explicit(&p->workers[i]->cpu, memory_order_relaxed)), i);
    w->ordered_cpu = cpu;
    w->ordered = count;
}

static void maybe_order(yk_pool_worker *w)
{
    w->rounds_to_order = ROUNDS;
    yk_pool_note_cpu(w);
    if (!atomic_load_explicit(&yk_this_machine, memory_order_relaxed) ||
        yk_pool_reach(w->pool) <= 2)
        return;
    int cpu = atomic_load_explicit(&w->cpu, memory_order_relaxed);
    int64_t now = yoke_now(), wait = cpu == w->ordered_cpu ? yk_pool_order_every * OTHERS_MOVE : yk_pool_order_every;
    if (w->ordered > 0 && w->ordered <= yk_pool_reach(w->pool) && now - w->ordered_at < wait)
        return;
    w->ordered_at = now;
    yk_pool_order_from(w, cpu);
}

/* ---- Walking along it ---- */

static uint32_t group_begin(const yk_pool_worker *w, unsigned group)
{
    return group == 0 ? 0 : w->group_end[group - 1];
}

static bool is_empty(const yk_pool_worker *w, unsigned group)
{
    return group_begin(w, group) == w->group_end[group];
}

/* The group to come directly after the nearest, drawn by 1 / i^2, the sum of its workers' weights. YK_DISTANCES: none. */
static unsigned draw(yk_pool_worker *w)
{
    static const uint16_t weights[] = {0, 0, 16384, 7282, 4096, 2621, 1820, 1337}; /* 2^16 / i^2; the first is not drawn */
    unsigned groups[YK_DISTANCES], n = 0;
    uint32_t total = 0;
    for (unsigned g = 0; g < YK_DISTANCES; g++)
        if (!is_empty(w, g)) {
            groups[n++] = g;
            total += weights[n];
        }
    if (n < 2)
        return YK_DISTANCES;
    uint32_t x = random_below(w, total);
    unsigned i = 2;
    for (; x >= weights[i]; i++)
        x -= weights[i];
    return groups[i - 1];
}

void yk_round_begin(yk_round *r, yk_pool_worker *thief)
{
    if (YK_UNLIKELY(--thief->rounds_to_order == 0))
        maybe_order(thief);
    *r = (yk_round){.thief = thief, .drawn = YK_DISTANCES, .from = thief->victim, .size = 1};
    r->count = yk_pool_reach(thief->pool);
}

static void enter(yk_round *r, uint32_t from, uint32_t end)
{
    r->from = from;
    r->size = end - from;
    r->visited = 0;
    r->start = r->size > 1 ? random_below(r->thief, r->size) : 0;
}

static bool next_group(yk_round *r)
{
    yk_pool_worker *w = r->thief;
    if (r->phase == YK_ROUND_NEAREST) {
        r->phase = YK_ROUND_REST;
        r->drawn = draw(w);
        if (r->drawn < YK_DISTANCES) {
            enter(r, group_begin(w, r->drawn), w->group_end[r->drawn]);
            return true;
        }
    }
    while (r->next < YK_DISTANCES && (is_empty(w, r->next) || r->next == r->drawn))
        r->next++;
    if (r->next < YK_DISTANCES) {
        r->phase = r->phase == YK_ROUND_LAST ? YK_ROUND_NEAREST : YK_ROUND_REST;
        enter(r, group_begin(w, r->next), w->group_end[r->next]);
        r->next++;
        return true;
    }
    if (r->phase == YK_ROUND_NEW || w->ordered >= r->count)
        return false;
    r->phase = YK_ROUND_NEW;
    enter(r, w->ordered, r->count);
    return true;
}

yk_pool_worker *yk_round_next(yk_round *r)
{
    yk_pool_worker *w = r->thief;
    for (;;) {
        if (r->visited == r->size && !next_group(r))
            return NULL;
        uint32_t at = r->start + r->visited++;
        at = r->from + (at < r->size ? at : at - r->size);
        bool in_order = r->phase == YK_ROUND_NEAREST || r->phase == YK_ROUND_REST;
        yk_pool_worker *victim = w->pool->workers[in_order ? w->order[at] : at];
        if (victim != w)
            return victim;
    }
}
