/* semaphore.c - the rules of semaphores, events and latches, each beside the one of Python's threading; use
 * beside models; and many threads, where a lost wake-up hangs. */
#include "crew.h"
#include "sync/lock.h"

#define RETURN(v) return (void *)(intptr_t)(v)

/* ---- Semaphore ---- */

static void *acquire(void *s)
{
    RETURN(yoke_semaphore_acquire(s));
}

static bool somebody_sleeps(const uint32_t *word, uint32_t bit)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED) & bit;
}

TEST(permits)
{
    yoke_semaphore s = YOKE_SEMAPHORE_INIT(2), none = {0};
    CHECK_INT(yoke_semaphore_permits(&s), 2);
    CHECK_INT(yoke_semaphore_acquire(&s), 0);
    CHECK_INT(yoke_semaphore_try(&s), 0);
    CHECK_INT(yoke_semaphore_try(&s), -EAGAIN);
    CHECK_INT(yoke_semaphore_timed(&s, 0), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_timed(&s, -1), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_timed(&s, 2 * YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_until(&s, yoke_now() + YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_release(&s, 1), 0);
    CHECK_INT(yoke_semaphore_timed(&s, -1), 0); /* there is one: no matter how little time */
    CHECK_INT(yoke_semaphore_release(&s, 0), -EINVAL);
    CHECK_INT(yoke_semaphore_release(&s, -3), -EINVAL);
    CHECK_INT(yoke_semaphore_release(&s, 3), 0);
    CHECK_INT(yoke_semaphore_permits(&s), 3); /* more than at first is fine */
    CHECK_INT(yoke_semaphore_try(&none), -EAGAIN);
    CHECK_INT(yoke_semaphore_release(&none, INT32_MAX), 0);
    CHECK_INT(yoke_semaphore_release(&none, 1), -EOVERFLOW);
    CHECK_INT(yoke_semaphore_permits(&none), INT32_MAX);
    CHECK_INT(yoke_semaphore_init(&s, -1, 0), -EINVAL);
    CHECK_INT(yoke_semaphore_init(&s, 1, 8), -EINVAL);
    CHECK_INT(yoke_semaphore_init_bounded(&s, -1, 0), -EINVAL);
}

TEST(bounded)
{
    yoke_semaphore s = YOKE_SEMAPHORE_BOUNDED_INIT(2), zero;
    CHECK_INT(yoke_semaphore_release(&s, 1), -EOVERFLOW);
    CHECK_INT(yoke_semaphore_acquire(&s), 0);
    CHECK_INT(yoke_semaphore_release(&s, 2), -EOVERFLOW);
    CHECK_INT(yoke_semaphore_permits(&s), 1); /* and nothing has changed */
    CHECK_INT(yoke_semaphore_release(&s, INT32_MAX), -EOVERFLOW);
    CHECK_INT(yoke_semaphore_release(&s, 1), 0);
    CHECK_INT(yoke_semaphore_permits(&s), 2);
    CHECK_INT(yoke_semaphore_init_bounded(&zero, 0, 0), 0);
    CHECK_INT(yoke_semaphore_release(&zero, 1), -EOVERFLOW);
    CHECK_INT(yoke_semaphore_try(&zero), -EAGAIN);
}

TEST(semaphore_done_and_after)
{
    yoke_semaphore s = YOKE_SEMAPHORE_INIT(0);
    pthread_t t = crew_start(acquire, &s);
    AWAIT(somebody_sleeps(&s.word, 0x80000000));
    CHECK_INT(yoke_semaphore_done(&s), -EBUSY);
    CHECK_INT(yoke_semaphore_release(&s, 2), 0);
    CHECK_INT(crew_join(t), 0);
    yoke_semaphore_release(&s, 1); /* takes off what the sleeper left */
    CHECK_INT(yoke_semaphore_done(&s), 0);
    CHECK_INT(yoke_semaphore_acquire(&s), -EINVAL);
    CHECK_INT(yoke_semaphore_try(&s), -EINVAL);
    CHECK_INT(yoke_semaphore_timed(&s, 1), -EINVAL);
    CHECK_INT(yoke_semaphore_release(&s, 1), -EINVAL);
}

TEST(one_release_of_many_wakes_many)
{
    yoke_semaphore s = YOKE_SEMAPHORE_INIT(0);
    pthread_t t[9];
    for (int i = 0; i < 9; i++)
        t[i] = crew_start(acquire, &s);
    AWAIT(somebody_sleeps(&s.word, 0x80000000));
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_semaphore_release(&s, 3), 0);
    for (int i = 0; i < 9; i++)
        CHECK_INT(crew_join(t[i]), 0);
    CHECK_INT(yoke_semaphore_permits(&s), 0);
}

TEST(semaphore_random_use)
{
    for (int round = 0; round < 50; round++) {
        int first = (int)(test_random() % 5), permits = first;
        bool bounded = test_random() % 2;
        yoke_semaphore s;
        CHECK_INT((bounded ? yoke_semaphore_init_bounded : yoke_semaphore_init)(&s, first, 0), 0);
        for (int step = 0; step < 300; step++) {
            int n = (int)(test_random() % 4), want;
            switch (test_random() % 4) {
            case 0:
                CHECK_INT(yoke_semaphore_try(&s), permits ? 0 : -EAGAIN);
                permits -= permits > 0;
                break;
            case 1:
                CHECK_INT(yoke_semaphore_timed(&s, 0), permits ? 0 : -ETIMEDOUT);
                permits -= permits > 0;
                break;
            default:
                want = n < 1 ? -EINVAL : bounded && permits + n > first ? -EOVERFLOW : 0;
                CHECK_INT(yoke_semaphore_release(&s, n), want);
                permits += want == 0 ? n : 0;
            }
            CHECK_INT(yoke_semaphore_permits(&s), permits);
        }
    }
}

/* Three permits and many threads that hold one for a while; some give up. */
enum { THREADS = 16, ROUNDS = 8000 / CREW_SLOWER };
static yoke_semaphore few = YOKE_SEMAPHORE_BOUNDED_INIT(3);
static _Atomic int inside;

static void *come_and_go(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        int err = i % 4 ? yoke_semaphore_acquire(&few) : yoke_semaphore_timed(&few, i % 100 * YOKE_US);
        if (err == -ETIMEDOUT)
            continue;
        CHECK_INT(err, 0);
        CHECK(++inside <= 3);
        if (i % 64 == 0)
            sched_yield();
        inside--;
        CHECK_INT(yoke_semaphore_release(&few, 1), 0);
    }
    return NULL;
}

TEST_LIMIT(never_more_inside_than_permits, 300)
{
    crew_run(THREADS, come_and_go, NULL);
    CHECK_INT(yoke_semaphore_permits(&few), 3);
}

/* Two hand a permit to and fro, each asleep meanwhile. */
enum { PASSES = 300000 / CREW_SLOWER };
static yoke_semaphore ball[2];

static void *play(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < PASSES; i++) {
        CHECK_INT(yoke_semaphore_acquire(&ball[me]), 0);
        CHECK_INT(yoke_semaphore_release(&ball[!me], 1), 0);
    }
    return NULL;
}

TEST_LIMIT(no_wake_up_is_lost, 300)
{
    pthread_t a = crew_start(play, (void *)0), b = crew_start(play, (void *)1);
    CHECK_INT(yoke_semaphore_release(&ball[0], 1), 0);
    crew_join(a);
    crew_join(b);
    CHECK_INT(yoke_semaphore_permits(&ball[0]), 1);
    CHECK_INT(yoke_semaphore_permits(&ball[1]), 0);
}

/* ---- Event ---- */

static void *wait_event(void *e)
{
    RETURN(yoke_event_wait(e));
}

TEST(an_event)
{
    yoke_event e = YOKE_EVENT_INIT;
    CHECK(!yoke_event_is_set(&e));
    CHECK_INT(yoke_event_try(&e), 0);
    CHECK_INT(yoke_event_timed(&e, 0), 0);
    CHECK_INT(yoke_event_timed(&e, -1), 0);
    CHECK_INT(yoke_event_timed(&e, 2 * YOKE_MS), 0);
    CHECK_INT(yoke_event_until(&e, 0), 0);
    CHECK_INT(yoke_event_clear(&e), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(yoke_event_set(&e), 0);
        CHECK(yoke_event_is_set(&e));
        CHECK_INT(yoke_event_wait(&e), 1);
        CHECK_INT(yoke_event_try(&e), 1);
        CHECK_INT(yoke_event_timed(&e, -1), 1);
        CHECK_INT(yoke_event_until(&e, 0), 1);
    }
    CHECK_INT(yoke_event_clear(&e), 0);
    CHECK_INT(yoke_event_try(&e), 0);
    CHECK_INT(yoke_event_init(&e, 2), -EINVAL);
    pthread_t t = crew_start(wait_event, &e);
    AWAIT(somebody_sleeps(&e.word, 2));
    CHECK_INT(yoke_event_done(&e), -EBUSY);
    CHECK_INT(yoke_event_set(&e), 0);
    CHECK_INT(crew_join(t), 1);
    CHECK_INT(yoke_event_done(&e), 0);
    CHECK_INT(yoke_event_set(&e), -EINVAL);
    CHECK_INT(yoke_event_clear(&e), -EINVAL);
    CHECK_INT(yoke_event_wait(&e), -EINVAL);
    CHECK_INT(yoke_event_try(&e), -EINVAL);
}

/* set and clear at once wake all who wait, whatever they see when they look. */
TEST(a_pulse_wakes_all_who_wait)
{
    yoke_event e = YOKE_EVENT_INIT;
    for (int round = 0; round < 50 / (CREW_SLOWER > 1 ? 5 : 1); round++) {
        pthread_t t[4];
        for (int i = 0; i < 4; i++)
            t[i] = crew_start(wait_event, &e);
        int left = 4;
        bool gone[4] = {false};
        while (left > 0) { /* those that had not begun to wait get a pulse of a later turn */
            AWAIT(somebody_sleeps(&e.word, 2));
            CHECK_INT(yoke_event_set(&e), 0);
            CHECK_INT(yoke_event_clear(&e), 0);
            for (int i = 0; i < 4; i++) {
                void *result;
                if (!gone[i] && pthread_tryjoin_np(t[i], &result) == 0) {
                    CHECK_INT((long)(intptr_t)result, 1);
                    gone[i] = true;
                    left--;
                }
            }
            if (left > 0 && !somebody_sleeps(&e.word, 2))
                for (int i = 0; i < 4; i++)
                    if (!gone[i] && left > 0) {
                        CHECK_INT(yoke_event_set(&e), 0);
                        CHECK_INT(crew_join(t[i]), 1);
                        CHECK_INT(yoke_event_clear(&e), 0);
                        gone[i] = true;
                        left--;
                    }
        }
    }
}

/* A bell between two: set, and cleared by the one who waited. */
static yoke_event bell[2];

static void *ring(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < PASSES / 2; i++) {
        CHECK_INT(yoke_event_wait(&bell[me]), 1);
        CHECK_INT(yoke_event_clear(&bell[me]), 0);
        CHECK_INT(yoke_event_set(&bell[!me]), 0);
    }
    return NULL;
}

TEST_LIMIT(no_bell_is_missed, 300)
{
    pthread_t a = crew_start(ring, (void *)0), b = crew_start(ring, (void *)1);
    CHECK_INT(yoke_event_set(&bell[0]), 0);
    crew_join(a);
    crew_join(b);
    CHECK(yoke_event_is_set(&bell[0]));
    CHECK(!yoke_event_is_set(&bell[1]));
}

/* ---- Latch ---- */

static void *wait_latch(void *l)
{
    RETURN(yoke_latch_wait(l));
}

TEST(a_latch)
{
    yoke_latch l = YOKE_LATCH_INIT(3), zero = {0};
    CHECK_INT(yoke_latch_wait(&zero), 0);
    CHECK_INT(yoke_latch_down(&zero, 1), -EINVAL);
    CHECK_INT(yoke_latch_left(&l), 3);
    CHECK_INT(yoke_latch_try(&l), -EAGAIN);
    CHECK_INT(yoke_latch_timed(&l, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_latch_timed(&l, -1), -ETIMEDOUT);
    CHECK_INT(yoke_latch_until(&l, 0), -ETIMEDOUT);
    CHECK_INT(yoke_latch_down(&l, 0), -EINVAL);
    CHECK_INT(yoke_latch_down(&l, -1), -EINVAL);
    CHECK_INT(yoke_latch_down(&l, 4), -EINVAL);
    pthread_t a = crew_start(wait_latch, &l), b = crew_start(wait_latch, &l);
    AWAIT(somebody_sleeps(&l.word, 0x80000000));
    CHECK_INT(yoke_latch_done(&l), -EBUSY);
    CHECK_INT(yoke_latch_down(&l, 1), 2);
    CHECK_INT(yoke_latch_left(&l), 2);
    CHECK_INT(yoke_latch_down(&l, 2), 0);
    CHECK_INT(crew_join(a) + crew_join(b), 0);
    CHECK_INT(yoke_latch_wait(&l), 0);
    CHECK_INT(yoke_latch_try(&l), 0);
    CHECK_INT(yoke_latch_down(&l, 1), -EINVAL);
    CHECK_INT(yoke_latch_done(&l), 0);
    CHECK_INT(yoke_latch_wait(&l), -EINVAL);
    CHECK_INT(yoke_latch_try(&l), -EINVAL);
    CHECK_INT(yoke_latch_down(&l, 1), -EINVAL);
    CHECK_INT(yoke_latch_init(&l, -1, 0), -EINVAL);
    CHECK_INT(yoke_latch_init(&l, 1, 2), -EINVAL);
}

/* What each did before its step is seen by whoever goes on; the sum is not atomic. */
static yoke_latch race;
static long parts[THREADS];
static _Atomic int next_part;

static void *do_part(void *arg)
{
    int me = next_part++ % THREADS;
    parts[me] = me + 1;
    CHECK(yoke_latch_down(&race, 1) >= 0);
    CHECK_INT(yoke_latch_wait(&race), 0);
    long sum = 0;
    for (int i = 0; i < THREADS; i++)
        sum += parts[i];
    RETURN(sum);
}

TEST_LIMIT(a_latch_publishes, 300)
{
    for (int round = 0; round < 100 / CREW_SLOWER; round++) {
        memset(parts, 0, sizeof parts);
        CHECK_INT(yoke_latch_init(&race, THREADS, 0), 0);
        CHECK_INT(crew_run(THREADS, do_part, NULL), (long)THREADS * THREADS * (THREADS + 1) / 2);
    }
}

/* Whose time was over cannot tell whether others are still asleep. */
TEST(who_has_waited_in_vain_counts_until_the_next_wake)
{
    yoke_semaphore s = YOKE_SEMAPHORE_INIT(0);
    yoke_event e = YOKE_EVENT_INIT;
    yoke_latch l;
    CHECK_INT(yoke_latch_init(&l, 1, 0), 0);
    CHECK_INT(yoke_semaphore_timed(&s, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_event_timed(&e, YOKE_MS), 0);
    CHECK_INT(yoke_latch_timed(&l, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_done(&s), -EBUSY);
    CHECK_INT(yoke_event_done(&e), -EBUSY);
    CHECK_INT(yoke_latch_done(&l), -EBUSY);
    CHECK_INT(yoke_semaphore_release(&s, 1), 0);
    CHECK_INT(yoke_event_set(&e), 0);
    CHECK_INT(yoke_latch_down(&l, 1), 0);
    CHECK_INT(yoke_semaphore_done(&s), 0);
    CHECK_INT(yoke_event_done(&e), 0);
    CHECK_INT(yoke_latch_done(&l), 0);
}
