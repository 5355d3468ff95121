/* order.c - whom a worker tries to steal from: on machines made up here, with workers that have no threads; then real pools that
 * work while their workers seem to move about such a machine. */
#include "fib.h"
#include "test.h"
#include "threads/pool.h"
#include <math.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, identity, (long, v))
{
    return v;
}

/* Two packages, each with two nodes, each with two L3 caches, each of two cores of two threads: 32 CPUs, and one more of which
 * nothing is known. */
static yk_places machine;

static void make_machine(void)
{
    static const unsigned sizes[YK_DISTANCE_MACHINE] = {1, 2, 2, 4, 8, 16};
    for (unsigned d = 0; d < YK_DISTANCE_MACHINE; d++)
        for (unsigned cpu = 0; cpu < 32; cpu++)
            machine.first[d][cpu] = (uint16_t)(cpu / sizes[d] * sizes[d] + 1);
    atomic_store(&yk_this_machine, &machine);
}

/* ---- A pool without threads ---- */

static yk_pool *make_pool(uint32_t room)
{
    void *memory = NULL;
    CHECK_INT(posix_memalign(&memory, YK_CACHE_LINE, sizeof(yk_pool) + room * sizeof(yk_pool_worker *)), 0);
    yk_pool *p = memory;
    memset(p, 0, sizeof *p);
    p->room = room;
    return p;
}

static void add(yk_pool *p, int cpu)
{
    uint32_t index = atomic_load(&p->worker_count);
    CHECK(index < p->room);
    p->workers[index] = yk_pool_worker_new(p, index);
    CHECK(p->workers[index] != NULL);
    atomic_store(&p->workers[index]->cpu, cpu);
    atomic_store(&p->worker_count, index + 1);
    atomic_store(&p->reach, index + 1);
}

static void drop_pool(yk_pool *p)
{
    for (uint32_t i = 0; i < atomic_load(&p->worker_count); i++)
        yk_pool_worker_free(p->workers[i]);
    free(p);
}

/* One round of w, without the first, which is the last victim. Checks that everybody else comes once. */
static uint32_t walk(yk_pool_worker *w, uint32_t victims[64])
{
    bool seen[64] = {false};
    uint32_t n = 0, count = atomic_load(&w->pool->worker_count);
    yk_round r;
    int cpu = atomic_load(&w->cpu);
    w->rounds_to_order = 1000;
    yk_round_begin(&r, w);
    atomic_store(&w->cpu, cpu); /* where this thread runs has nothing to do with it */
    yk_pool_worker *victim = w->victim == w->index ? NULL : yk_round_next(&r);
    if (victim)
        CHECK_INT(victim->index, w->victim);
    while ((victim = yk_round_next(&r))) {
        CHECK(victim != w && !seen[victim->index]);
        seen[victim->index] = true;
        victims[n++] = victim->index;
    }
    CHECK(yk_round_next(&r) == NULL);
    CHECK_INT(n, count - 1);
    return n;
}

static unsigned distance(const yk_pool_worker *w, uint32_t victim)
{
    return yk_cpu_distance(w->ordered_cpu, atomic_load(&w->pool->workers[victim]->cpu));
}

TEST(without_an_order_all_come)
{
    for (uint32_t count = 1; count <= 5; count++) {
        yk_pool *p = make_pool(count);
        for (uint32_t i = 0; i < count; i++)
            add(p, (int)i);
        for (uint32_t i = 0; i < count; i++)
            for (p->workers[i]->victim = 0; p->workers[i]->victim < count; p->workers[i]->victim++) {
                uint32_t victims[64];
                walk(p->workers[i], victims);
            }
        drop_pool(p);
    }
}

TEST(without_an_order_all_are_alike)
{
    enum { ROUNDS = 20000 };
    int first[8] = {0};
    yk_pool *p = make_pool(8);
    for (int i = 0; i < 8; i++)
        add(p, -1);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t victims[64];
        walk(p->workers[7], victims);
        first[victims[0]]++;
    }
    for (int i = 1; i < 7; i++)
        CHECK_NEAR(first[i], ROUNDS / 8.0, ROUNDS / 50.0); /* who comes after the thief himself comes first in two cases */
    CHECK_NEAR(first[0], ROUNDS / 4.0, ROUNDS / 50.0);
    drop_pool(p);
}

/* The nearest first; after that one group that was drawn; then the rest by distance. */
TEST(groups_come_one_after_the_other)
{
    make_machine();
    yk_pool *p = make_pool(34);
    for (int i = 0; i < 33; i++)
        add(p, (i * 5) % 32);
    add(p, -1);
    for (uint32_t me = 0; me < 33; me++) {
        yk_pool_worker *w = p->workers[me];
        yk_pool_order_from(w, atomic_load(&w->cpu));
        for (int round = 0; round < 20; round++) {
            uint32_t victims[64], n = walk(w, victims);
            unsigned groups[64], g = 0;
            for (uint32_t i = 0; i < n; i++)
                if (g == 0 || groups[g - 1] != distance(w, victims[i]))
                    groups[g++] = distance(w, victims[i]);
            CHECK(g >= 5 && g <= YK_DISTANCES); /* each group in one piece */
            for (unsigned i = 1; i < g; i++)
                CHECK(groups[0] < groups[i]);
            for (unsigned i = 3; i < g; i++)
                CHECK(groups[i - 1] < groups[i]);
            w->victim = victims[n - 1];
        }
    }
    drop_pool(p);
}

/* As many as the weights 1 / (n i^2) say. */
TEST(the_second_group_is_drawn_by_weight)
{
    enum { ROUNDS = 40000 };
    make_machine();
    yk_pool *p = make_pool(32);
    for (int i = 0; i < 32; i++)
        add(p, i);
    yk_pool_worker *w = p->workers[9];
    yk_pool_order_from(w, 9);
    int second[32] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t victims[64];
        walk(w, victims);
        CHECK_INT(victims[0], 8);
        second[victims[1]]++;
    }
    /* the 2nd to the 5th group: same L3, node, package, machine; there are so many workers in each */
    static const int size[YK_DISTANCES] = {[YK_DISTANCE_L3] = 2, [YK_DISTANCE_NODE] = 4, [YK_DISTANCE_PACKAGE] = 8,
                                           [YK_DISTANCE_MACHINE] = 16};
    double total = 1 / 4.0 + 1 / 9.0 + 1 / 16.0 + 1 / 25.0;
    for (uint32_t v = 0; v < 32; v++) {
        unsigned d = distance(w, v), i = d - YK_DISTANCE_L3 + 2;
        if (d < YK_DISTANCE_L3)
            continue;
        double share = 1.0 / (size[d] * (int)(i * i)) / total;
        CHECK_NEAR(second[v], ROUNDS * share, 8 * sqrt(ROUNDS * share * (1 - share))); /* eight standard deviations */
    }
    drop_pool(p);
}

TEST(who_came_since_comes_last)
{
    make_machine();
    yk_pool *p = make_pool(12);
    for (int i = 0; i < 6; i++)
        add(p, i);
    yk_pool_worker *w = p->workers[1];
    yk_pool_order_from(w, 1);
    for (int i = 6; i < 12; i++)
        add(p, 0);
    for (int round = 0; round < 50; round++) {
        uint32_t victims[64];
        CHECK_INT(walk(w, victims), 11);
        CHECK_INT(victims[0], 0);
        for (int i = 0; i < 5; i++)
            CHECK(victims[i] < 6);
    }
    yk_pool_order_from(w, 1);
    uint32_t victims[64];
    walk(w, victims);
    for (int i = 0; i < 7; i++)
        CHECK_INT(distance(w, victims[i]), YK_DISTANCE_CORE);
    drop_pool(p);
}

TEST(two_on_one_cpu_are_nearest)
{
    make_machine();
    yk_pool *p = make_pool(3);
    add(p, 5);
    add(p, 4);
    add(p, 5);
    yk_pool_order_from(p->workers[0], 5);
    for (int round = 0; round < 20; round++) {
        uint32_t victims[64];
        walk(p->workers[0], victims);
        CHECK_INT(victims[0], 2);
        CHECK_INT(victims[1], 1);
    }
    drop_pool(p);
}

TEST(a_large_pool)
{
    make_machine();
    yk_pool *p = make_pool(64);
    for (int i = 0; i < 64; i++)
        add(p, (int)(test_random() % 40) - 4);
    for (int i = 0; i < 300; i++) {
        yk_pool_worker *w = p->workers[test_random() % 64];
        atomic_store(&w->cpu, (int)(test_random() % 40) - 4);
        yk_pool_order_from(w, (int)(test_random() % 40) - 4);
        uint32_t victims[64], n = walk(w, victims);
        w->victim = victims[test_random() % n];
    }
    drop_pool(p);
}

/* ---- When it is made ---- */

TEST(it_is_made_seldom)
{
    yk_pool *p = make_pool(4);
    for (int i = 0; i < 3; i++)
        add(p, i);
    yk_pool_worker *w = p->workers[0];
    yk_round r;
    yk_pool_order_every = 100 * YOKE_S;
    for (int i = 0; i < 1000; i++)
        yk_round_begin(&r, w);
    CHECK_INT(w->ordered, 0); /* nothing is known */
    CHECK(atomic_load(&w->cpu) >= 0);
    make_machine();
    for (int i = 0; i < 64; i++)
        yk_round_begin(&r, w);
    CHECK_INT(w->ordered, 3);
    int64_t at = w->ordered_at;
    add(p, 3);
    w->ordered_cpu = -1;
    for (int i = 0; i < 1000; i++)
        yk_round_begin(&r, w);
    CHECK(w->ordered == 3 && w->ordered_at == at); /* it has moved, but too early */
    yk_pool_order_every = 1;
    for (int i = 0; i < 1000; i++)
        yk_round_begin(&r, w);
    CHECK(w->ordered == 4 && w->ordered_at > at);
    drop_pool(p);
}

TEST(nothing_is_learned_for_two)
{
    yk_pool *p = make_pool(3);
    yk_pool_order_every = 0;
    add(p, 0);
    add(p, 1);
    yk_pool_learn_order(p);
    CHECK(atomic_load(&yk_this_machine) == NULL);
    add(p, 2);
    p->opened = yoke_now();
    yk_pool_order_every = 1000 * YOKE_S;
    yk_pool_learn_order(p); /* too early */
    CHECK(atomic_load(&yk_this_machine) == NULL);
    yk_pool_order_every = 0;
    yk_pool_learn_order(p);
    CHECK(atomic_load(&yk_this_machine) != NULL);
    drop_pool(p);
}

/* ---- Real pools ---- */

static void work(yoke_executor *ex)
{
    enum { N = 100 };
    yoke_future *f[N];
    for (int i = 0; i < N; i++)
        f[i] = yoke_submit(ex, identity, i);
    for (int i = 0; i < N; i++) {
        CHECK_INT(yoke_await(f[i], long), i);
        yoke_release(f[i]);
    }
    CHECK_INT(yoke_run(ex, fib, 18), 2584);
}

static bool any_ordered(yk_pool *p)
{
    for (uint32_t i = 0; i < atomic_load(&p->worker_count); i++)
        if (atomic_load(&p->workers[i]->cpu) >= 0)
            return true;
    return false;
}

/* Workers that steal, sleep and come and go while the order is made anew all the time. */
TEST_LIMIT(answers_are_right_whatever_the_order, 300)
{
    make_machine();
    yk_pool_order_every = 1;
    yoke_executor *ex = yoke_open("threads:6");
    for (int i = 0; i < 40; i++)
        work(ex);
    while (!any_ordered(yk_pool_of(ex)))
        work(ex);
    CHECK_INT(yoke_close(ex), 0);
}

/* The pool itself finds out, when one of its workers has nothing to do. */
TEST_LIMIT(a_pool_learns, 300)
{
    yk_pool_order_every = 1;
    yoke_executor *ex = yoke_open("threads:4");
    while (!atomic_load(&yk_this_machine)) {
        work(ex);
        usleep(1000);
    }
    for (int i = 0; i < 20; i++)
        work(ex);
    CHECK_INT(yoke_close(ex), 0);
}

static void *no_library(const char *path, int flags)
{
    return NULL;
}

static int no_file(int dir, const char *path, int flags, mode_t mode)
{
    errno = EMFILE;
    return -1;
}

TEST_LIMIT(a_pool_that_cannot_learn_works, 300)
{
    yk_pool_order_every = 1;
    yk_sys.openat = no_file;
    yk_sys.dlopen = no_library;
    yoke_executor *ex = yoke_open("threads:4");
    while (!atomic_load(&yk_this_machine)) {
        work(ex);
        usleep(1000);
    }
    for (int i = 0; i < 20; i++)
        work(ex);
    CHECK_INT(yoke_close(ex), 0);
    CHECK_HAS(atomic_load(&yk_this_machine)->source, "unknown");
}
