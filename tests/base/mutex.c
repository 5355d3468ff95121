/* mutex.c - mutual exclusion and no lost wake-up under contention. */
#include "sync/mutex.h"
#include "test.h"
#include <pthread.h>
#include <sched.h>

enum { THREADS = 8, ROUNDS = 40000 };
static yk_mutex lock;
static long counter;

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        yk_mutex_lock(&lock);
        long seen = counter;
        if (i % 1000 == 0)
            sched_yield(); /* let others run into the lock */
        counter = seen + 1;
        yk_mutex_unlock(&lock);
    }
    return NULL;
}

TEST_LIMIT(excludes, 300)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, count, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CHECK_INT(counter, (long)THREADS * ROUNDS);
    CHECK_INT(lock.word, 0);
}

TEST(trylock)
{
    yk_mutex m = {0};
    CHECK(yk_mutex_trylock(&m));
    CHECK(!yk_mutex_trylock(&m));
    yk_mutex_unlock(&m);
    CHECK(yk_mutex_trylock(&m));
    yk_mutex_unlock(&m);
}
