/* inbox.c - the queue for jobs from outside: order, shares, chunks that come and go, several threads at both ends, no memory. */
#include "threads/inbox.h"
#include "test.h"
#include <pthread.h>
#include <sched.h>

/* A job here is a number; the inbox looks at no job. */
static struct yoke_future *job(uintptr_t number)
{
    return (struct yoke_future *)(number * 4096);
}

static uintptr_t number(const struct yoke_future *j)
{
    return (uintptr_t)j / 4096;
}

static yk_inbox inbox;

TEST(first_in_first_out_over_many_chunks)
{
    enum { ROUNDS = 20, AT_ONCE = 333 };
    CHECK(yk_inbox_init(&inbox));
    uintptr_t put = 0, taken = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            CHECK(yk_inbox_put(&inbox, job(++put)));
        while (put - taken > (round % 2 ? 0 : 100)) {
            struct yoke_future *got[7];
            unsigned n = yk_inbox_take(&inbox, got, 7, 1);
            CHECK(n > 0 && n <= 7);
            for (unsigned i = 0; i < n; i++)
                CHECK_INT(number(got[i]), ++taken);
        }
    }
    CHECK(yk_inbox_is_empty(&inbox));
    yk_inbox_done(&inbox);
}

TEST(a_taker_gets_its_share)
{
    struct yoke_future *got[16];
    CHECK(yk_inbox_init(&inbox));
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 4), 0);
    for (uintptr_t i = 1; i <= 41; i++)
        CHECK(yk_inbox_put(&inbox, job(i)));
    CHECK(!yk_inbox_is_empty(&inbox));
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 4), 10);
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 4), 7);
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 1000), 1);
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 1), 16);
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 1), 7);
    CHECK_INT(number(got[6]), 41);
    CHECK_INT(yk_inbox_take(&inbox, got, 16, 1), 0);
    yk_inbox_done(&inbox);
}

TEST(without_memory_nothing_is_lost)
{
    yk_sys_fail("malloc", 1, ENOMEM);
    CHECK(!yk_inbox_init(&inbox));
    yk_sys_fail("malloc", 0, 0);
    yk_inbox_done(&inbox);
    CHECK(yk_inbox_init(&inbox));
    uintptr_t put = 0, taken = 0;
    yk_sys_fail("malloc", 1, ENOMEM);
    while (yk_inbox_put(&inbox, job(put + 1)))
        put++;
    CHECK(put > 100);
    yk_sys_fail("malloc", 0, 0);
    CHECK(yk_inbox_put(&inbox, job(++put)));
    struct yoke_future *got;
    while (yk_inbox_take(&inbox, &got, 1, 1) == 1)
        CHECK_INT(number(got), ++taken);
    CHECK_INT(taken, put);
    yk_inbox_done(&inbox);
}

/* ---- Several at both ends ---- */

enum { EACH = 20000, PUTTERS = 3, TAKERS = 3 };
static _Atomic unsigned char seen[PUTTERS * EACH + 1];
static _Atomic uint32_t total;
static atomic_bool out_of_order;

static void *putter(void *arg)
{
    uintptr_t first = (uintptr_t)arg * EACH;
    for (uintptr_t i = 1; i <= EACH; i++)
        CHECK(yk_inbox_put(&inbox, job(first + i)));
    return NULL;
}

/* What one thread has put comes out in its order, in each taker. */
static void *taker(void *arg)
{
    uintptr_t last[PUTTERS] = {0};
    struct yoke_future *got[16];
    while (atomic_load(&total) < PUTTERS * EACH) {
        unsigned n = yk_inbox_take(&inbox, got, 16, 4);
        if (n == 0)
            sched_yield();
        for (unsigned i = 0; i < n; i++) {
            uintptr_t k = number(got[i]), from = (k - 1) / EACH;
            atomic_fetch_add(&seen[k], 1);
            if (k <= last[from])
                atomic_store(&out_of_order, true);
            last[from] = k;
        }
        atomic_fetch_add(&total, n);
    }
    return NULL;
}

TEST(many_put_and_many_take)
{
    pthread_t t[PUTTERS + TAKERS];
    CHECK(yk_inbox_init(&inbox));
    for (uintptr_t i = 0; i < PUTTERS + TAKERS; i++)
        CHECK_INT(pthread_create(&t[i], NULL, i < PUTTERS ? putter : taker, (void *)i), 0);
    for (int i = 0; i < PUTTERS + TAKERS; i++)
        pthread_join(t[i], NULL);
    for (int k = 1; k <= PUTTERS * EACH; k++)
        CHECK_INT(atomic_load(&seen[k]), 1);
    CHECK(!atomic_load(&out_of_order));
    CHECK(yk_inbox_is_empty(&inbox));
    yk_inbox_done(&inbox);
}
