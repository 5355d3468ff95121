/* awake.c - the moment that a waiter stays awake before it sleeps (yk_nap_awake): when there is none, what ends it, when it is
 * given up. How long it is nobody can rely on, so no test does. */
#include "test.h"
#include "sync/self.h"
#include "topo/topo.h"
#include <pthread.h>
#include <stdatomic.h>
#include <yoke.h>

enum { ASLEEP = 2 };
#define ANY (~(uint32_t)ASLEEP)

/* Each in a thread of its own, which has never waited. */
static void in_thread(void *(*fn)(void *))
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, fn, NULL), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
}

static void *pass_by(void *unused)
{
    uint32_t word = 4;
    int64_t past[] = {0, 1, yoke_now()};
    for (int i = 0; i < 3; i++) {
        yk_nap nap = yk_nap_begin(past[i], false);
        CHECK(!yk_nap_awake(&nap, &word, ANY, 4));
        CHECK(!nap.begun);
    }
    yk_nap nap = yk_nap_begin(YOKE_FOREVER, false);
    CHECK(yk_nap_awake(&nap, &word, ANY, 8));
    CHECK(!nap.begun);
    return NULL;
}

TEST(a_past_deadline_and_a_change_at_once_do_not_count)
{
    in_thread(pass_by);
}

static void *give_up(void *unused)
{
    uint32_t word = 0;
    for (unsigned i = 1; i <= 40; i++) {
        yk_nap nap = yk_nap_begin(yoke_now() + YOKE_S, false);
        CHECK(!yk_nap_awake(&nap, &word, ANY, 0));
        CHECK_INT(nap.missed, i); /* a sleep follows each time */
        CHECK(nap.awake_until == 0);
        nap.deadline = 0;
        CHECK_INT(yk_nap_more(&nap, &word, 0), -ETIMEDOUT);
    }
    return NULL;
}

TEST(each_sleep_counts_once)
{
    in_thread(give_up);
}

static void *change(void *arg)
{
    __atomic_store_n((uint32_t *)arg, 4, __ATOMIC_RELEASE);
    return NULL;
}

/* Bits outside the mask end nothing; a change of the others does, even if the moment is over when it is seen. */
static void *notice(void *unused)
{
    uint32_t word = ASLEEP;
    yk_nap nap = yk_nap_begin(YOKE_FOREVER, false);
    CHECK(!yk_nap_awake(&nap, &word, ANY, 0));
    CHECK(!yk_nap_awake(&nap, &word, ANY, 0)); /* and there is no second one */
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, change, &word), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK(yk_nap_awake(&nap, &word, ANY, 0));
    return NULL;
}

TEST(only_what_is_waited_for_ends_it)
{
    in_thread(notice);
}

static int no_wait(yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    return 0;
}

static void *be_suspended(void *unused)
{
    uint32_t word = 0;
    yk_blocking hook = {.wait = no_wait};
    yk_blocked_hook = &hook;
    yk_nap nap = yk_nap_begin(YOKE_FOREVER, false);
    bool changed = yk_nap_awake(&nap, &word, ANY, 0);
    yk_blocked_hook = NULL;
    CHECK(!changed);
    CHECK(nap.begun && nap.awake_until == 0);
    return NULL;
}

TEST(who_can_be_suspended_does_not_stay_awake)
{
    in_thread(be_suspended);
}

/* ---- Through the primitives ---- */

static yoke_latch latch;
static yoke_event event;
static yoke_semaphore permits;
static atomic_int results[3];

static void *wait_for_latch(void *unused)
{
    atomic_store(&results[0], yoke_latch_until(&latch, yoke_now() + 100 * YOKE_S));
    return NULL;
}

static void *wait_for_event(void *unused)
{
    atomic_store(&results[1], yoke_event_until(&event, yoke_now() + 100 * YOKE_S));
    return NULL;
}

static void *wait_for_permit(void *unused)
{
    atomic_store(&results[2], yoke_semaphore_until(&permits, yoke_now() + 100 * YOKE_S));
    return NULL;
}

/* Ended as soon as somebody comes: whoever is asleep by then keeps it from being ended, whoever is not is told. Who falls asleep
 * at that very moment may do both. */
TEST(who_has_just_begun_to_wait_is_told_of_the_end)
{
    for (int i = 0; i < 200; i++) {
        pthread_t t[3];
        CHECK_INT(yoke_latch_init(&latch, 2, 0), 0);
        CHECK_INT(yoke_event_init(&event, 0), 0);
        CHECK_INT(yoke_semaphore_init(&permits, 0, 0), 0);
        CHECK_INT(pthread_create(&t[0], NULL, wait_for_latch, NULL), 0);
        CHECK_INT(pthread_create(&t[1], NULL, wait_for_event, NULL), 0);
        CHECK_INT(pthread_create(&t[2], NULL, wait_for_permit, NULL), 0);
        int ended[] = {yoke_latch_done(&latch), yoke_event_done(&event), yoke_semaphore_done(&permits)};
        if (ended[0] == -EBUSY)
            CHECK_INT(yoke_latch_down(&latch, 1) + yoke_latch_down(&latch, 1), 1);
        if (ended[1] == -EBUSY)
            CHECK_INT(yoke_event_set(&event), 0);
        if (ended[2] == -EBUSY)
            CHECK_INT(yoke_semaphore_release(&permits, 1), 0);
        for (int k = 0; k < 3; k++) {
            CHECK_INT(pthread_join(t[k], NULL), 0);
            CHECK(ended[k] == 0 || ended[k] == -EBUSY);
            bool told = atomic_load(&results[k]) == -EINVAL;
            CHECK(told || (ended[k] == -EBUSY && atomic_load(&results[k]) == (k == 1)));
        }
    }
}

/* A sleep in pieces, as of shared and of watched waits, goes on after the first and ends in time. */
TEST(a_wait_of_several_pieces_ends)
{
    yoke_lock lock;
    yoke_condition condition;
    CHECK_INT(yoke_lock_init(&lock, YOKE_SHARED), 0);
    CHECK_INT(yoke_condition_init(&condition, YOKE_SHARED), 0);
    CHECK_INT(yoke_latch_init(&latch, 1, YOKE_SHARED), 0);
    CHECK_INT(yoke_event_init(&event, YOKE_SHARED), 0);
    CHECK_INT(yoke_semaphore_init(&permits, 0, YOKE_SHARED), 0);
    int64_t long_enough = 4 * YK_NAP_MIN;
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    CHECK_INT(yoke_condition_timed(&condition, &lock, long_enough), 0);
    CHECK_INT(yoke_lock_release(&lock), 0);
    CHECK_INT(yoke_latch_timed(&latch, long_enough), -ETIMEDOUT);
    CHECK_INT(yoke_event_timed(&event, long_enough), 0);
    CHECK_INT(yoke_semaphore_timed(&permits, long_enough), -ETIMEDOUT);
}
