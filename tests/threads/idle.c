/* idle.c - the set of sleepers: beside a plain one under random use; taken by many threads at once, each member by one; and no
 * sleeper overlooked by who makes work. */
#include "test.h"
#include "threads/idle.h"
#include <pthread.h>
#include <sched.h>

TEST(random_use)
{
    static yk_idle set;
    static bool model[YK_IDLE_MAX];
    uint32_t count = 0;
    for (int step = 0; step < 100000; step++) {
        uint32_t i = (uint32_t)(test_random() % (step % 2 ? 70 : YK_IDLE_MAX));
        if (test_random() % 2) {
            if (!model[i]) { /* only its owner enters it, and only once */
                yk_idle_enter(&set, i);
                model[i] = true;
                count++;
            }
        } else {
            CHECK_INT(yk_idle_leave(&set, i), model[i]);
            count -= model[i];
            model[i] = false;
        }
        CHECK_INT(atomic_load(&set.count), count);
        CHECK_INT(yk_idle_any(&set), count > 0);
    }
    for (uint32_t i = 0; i < YK_IDLE_MAX; i++)
        CHECK_INT((atomic_load(&set.words[i / 64]) >> i % 64 & 1), model[i]);
}

enum { MEMBERS = 100, TAKERS = 4, ROUNDS = 200 };
static yk_idle crowd;
static _Atomic int taken[MEMBERS];
static pthread_barrier_t gate;

static void *taker(void *arg)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&gate);
        for (uint32_t i = 0; i < MEMBERS; i++)
            if (yk_idle_leave(&crowd, (i + (uint32_t)(uintptr_t)arg * 25) % MEMBERS))
                atomic_fetch_add(&taken[(i + (uint32_t)(uintptr_t)arg * 25) % MEMBERS], 1);
        pthread_barrier_wait(&gate);
    }
    return NULL;
}

TEST_LIMIT(each_member_is_taken_by_one, 300)
{
    pthread_t threads[TAKERS];
    pthread_barrier_init(&gate, NULL, TAKERS + 1);
    for (uintptr_t t = 0; t < TAKERS; t++)
        pthread_create(&threads[t], NULL, taker, (void *)t);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < MEMBERS; i++)
            yk_idle_enter(&crowd, i);
        pthread_barrier_wait(&gate);
        pthread_barrier_wait(&gate);
        CHECK_INT(atomic_load(&crowd.count), 0);
        for (int i = 0; i < MEMBERS; i++)
            CHECK_INT(atomic_load(&taken[i]), round + 1);
    }
    for (int t = 0; t < TAKERS; t++)
        pthread_join(threads[t], NULL);
}

/* The sleeper enters and then looks for work; the other makes work and then looks for a sleeper: one sees the other. */
static _Atomic int work_there, sleeper_saw, other_saw;
static yk_idle pair;

static void *sleeper(void *arg)
{
    for (int round = 0; round < ROUNDS * 20; round++) {
        pthread_barrier_wait(&gate);
        yk_idle_enter(&pair, 3);
        atomic_store(&sleeper_saw, atomic_load(&work_there));
        pthread_barrier_wait(&gate);
        pthread_barrier_wait(&gate);
    }
    return NULL;
}

TEST_LIMIT(one_sees_the_other, 300)
{
    pthread_t thread;
    pthread_barrier_init(&gate, NULL, 2);
    pthread_create(&thread, NULL, sleeper, NULL);
    for (int round = 0; round < ROUNDS * 20; round++) {
        atomic_store(&work_there, 0);
        pthread_barrier_wait(&gate);
        atomic_store(&work_there, 1);
        atomic_store(&other_saw, yk_idle_any(&pair));
        pthread_barrier_wait(&gate);
        CHECK(atomic_load(&sleeper_saw) || atomic_load(&other_saw));
        CHECK(yk_idle_leave(&pair, 3));
        CHECK(!yk_idle_leave(&pair, 3));
        pthread_barrier_wait(&gate);
    }
    pthread_join(thread, NULL);
}
