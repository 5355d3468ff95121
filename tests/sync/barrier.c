/* barrier.c - the rules of Python's threading.Barrier, one test each; generations under load; and
 * initialisations that happen once. */
#include "crew.h"
#include "sync/lock.h"

#define RETURN(v) return (void *)(intptr_t)(v)

static yoke_barrier shared_one; /* of the test that runs */

static void *arrive(void *b)
{
    RETURN(yoke_barrier_wait(b));
}

static void *arrive_timed(void *b)
{
    RETURN(yoke_barrier_timed(b, 2 * YOKE_MS));
}

static void until_waiting(yoke_barrier *b, int n)
{
    AWAIT(yoke_barrier_waiting(b) == n);
}

static int count_action(void *arg)
{
    (*(int *)arg)++;
    return 0;
}

TEST(wrong_barriers)
{
    yoke_barrier b = {0};
    CHECK_INT(yoke_barrier_wait(&b), -EINVAL);
    CHECK_INT(yoke_barrier_abort(&b), -EINVAL);
    CHECK_INT(yoke_barrier_reset(&b), -EINVAL);
    CHECK_INT(yoke_barrier_init(&b, 0, NULL, NULL, 0), -EINVAL);
    CHECK_INT(yoke_barrier_init(&b, -1, NULL, NULL, 0), -EINVAL);
    CHECK_INT(yoke_barrier_init(&b, 65536, NULL, NULL, 0), -EINVAL);
    CHECK_INT(yoke_barrier_init(&b, 1, NULL, NULL, 2), -EINVAL);
    CHECK_INT(yoke_barrier_init(&b, 1, count_action, NULL, YOKE_SHARED), -EINVAL);
    CHECK_INT(yoke_barrier_init(&b, 65535, NULL, NULL, YOKE_SHARED), 0);
    CHECK_INT(yoke_barrier_parties(&b), 65535);
    CHECK_INT(yoke_barrier_done(&b), 0);
    CHECK_INT(yoke_barrier_wait(&b), -EINVAL);
}

TEST(a_barrier_of_one)
{
    yoke_barrier b = YOKE_BARRIER_INIT(1);
    for (int i = 0; i < 100; i++)
        CHECK_INT((i % 2 ? yoke_barrier_wait : yoke_barrier_try)(&b), 0);
    CHECK_INT(yoke_barrier_waiting(&b), 0);
}

TEST(numbers_in_the_order_of_arrival)
{
    yoke_barrier b = YOKE_BARRIER_INIT(4);
    for (int round = 0; round < 20; round++) {
        pthread_t t[3];
        for (int i = 0; i < 3; i++) {
            CHECK_INT(yoke_barrier_try(&b), -EAGAIN);
            t[i] = crew_start(arrive, &b);
            until_waiting(&b, i + 1);
        }
        CHECK_INT(yoke_barrier_done(&b), -EBUSY);
        CHECK_INT(yoke_barrier_try(&b), 3);
        CHECK_INT(yoke_barrier_waiting(&b), 0);
        for (int i = 0; i < 3; i++)
            CHECK_INT(crew_join(t[i]), i);
    }
    CHECK_INT(yoke_barrier_done(&b), 0);
}

static int fail_action(void *arg)
{
    return -EIO;
}

/* An action that waits until the test says go on. */
static _Atomic int acting, go_on;

static int slow_action(void *arg)
{
    acting = 1;
    AWAIT(go_on);
    return 0;
}

TEST(the_last_runs_the_action_before_anybody_goes_on)
{
    yoke_barrier b;
    CHECK_INT(yoke_barrier_init(&b, 2, slow_action, NULL, 0), 0);
    pthread_t first = crew_start(arrive, &b), last, next;
    until_waiting(&b, 1);
    last = crew_start(arrive, &b);
    AWAIT(acting);
    CHECK_INT(yoke_barrier_try(&b), -EAGAIN);
    next = crew_start(arrive, &b); /* belongs to the next generation */
    void *result;
    for (int i = 0; i < 10; i++) {
        crew_nap();
        CHECK_INT(pthread_tryjoin_np(first, &result), EBUSY);
    }
    go_on = 1;
    CHECK_INT(crew_join(first), 0);
    CHECK_INT(crew_join(last), 1);
    until_waiting(&b, 1);
    CHECK_INT(yoke_barrier_wait(&b), 1);
    CHECK_INT(crew_join(next), 0);
}

TEST(an_action_that_fails_breaks_it)
{
    yoke_barrier b;
    CHECK_INT(yoke_barrier_init(&b, 2, fail_action, NULL, 0), 0);
    pthread_t t = crew_start(arrive, &b);
    until_waiting(&b, 1);
    CHECK_INT(yoke_barrier_wait(&b), -EIO);
    CHECK_INT(crew_join(t), -EPIPE);
    CHECK(yoke_barrier_broken(&b));
    CHECK_INT(yoke_barrier_wait(&b), -EPIPE);
    CHECK_INT(yoke_barrier_try(&b), -EPIPE);
}

TEST(an_action_of_the_arrival)
{
    yoke_barrier b;
    int mine = 0;
    CHECK_INT(yoke_barrier_init(&b, 1, NULL, NULL, YOKE_SHARED), 0);
    CHECK_INT(yoke_barrier_wait_with(&b, count_action, &mine, YOKE_FOREVER), 0);
    CHECK_INT(mine, 1);
    CHECK_INT(yoke_barrier_wait_with(&b, fail_action, &mine, YOKE_FOREVER), -EIO);
    CHECK_INT(yoke_barrier_wait_with(&b, count_action, &mine, YOKE_FOREVER), -EPIPE);
    CHECK_INT(mine, 1);
}

TEST(one_timeout_breaks_it_for_all)
{
    yoke_barrier b = YOKE_BARRIER_INIT(4);
    pthread_t a = crew_start(arrive, &b), c = crew_start(arrive, &b);
    until_waiting(&b, 2);
    CHECK_INT(crew_ask(arrive_timed, &b), -ETIMEDOUT);
    CHECK_INT(crew_join(a), -EPIPE);
    CHECK_INT(crew_join(c), -EPIPE);
    CHECK(yoke_barrier_broken(&b));
    CHECK_INT(yoke_barrier_waiting(&b), 0);
    CHECK_INT(yoke_barrier_until(&b, 0), -EPIPE);
    CHECK_INT(yoke_barrier_reset(&b), 0);
    CHECK(!yoke_barrier_broken(&b));
    CHECK_INT(yoke_barrier_timed(&b, -1), -ETIMEDOUT);
}

TEST(abort_breaks_it_until_the_reset)
{
    yoke_barrier b = YOKE_BARRIER_INIT(2);
    pthread_t t = crew_start(arrive, &b);
    until_waiting(&b, 1);
    CHECK_INT(yoke_barrier_abort(&b), 0);
    CHECK_INT(yoke_barrier_abort(&b), 0);
    CHECK_INT(crew_join(t), -EPIPE);
    CHECK_INT(yoke_barrier_wait(&b), -EPIPE);
    CHECK_INT(yoke_barrier_reset(&b), 0);
    t = crew_start(arrive, &b);
    until_waiting(&b, 1);
    CHECK_INT(yoke_barrier_wait(&b), 1);
    CHECK_INT(crew_join(t), 0);
}

TEST(abort_while_the_action_runs)
{
    yoke_barrier b;
    CHECK_INT(yoke_barrier_init(&b, 2, slow_action, NULL, 0), 0);
    pthread_t first = crew_start(arrive, &b);
    until_waiting(&b, 1);
    pthread_t last = crew_start(arrive, &b);
    AWAIT(acting);
    CHECK_INT(yoke_barrier_abort(&b), 0);
    CHECK_INT(crew_join(first), -EPIPE);
    go_on = 1;
    CHECK_INT(crew_join(last), -EPIPE);
}

/* Also when the reset has been followed by whole generations before the waiter looks: it goes by its own
 * generation's end. */
TEST(reset_sends_away_who_waits)
{
    yoke_barrier b = YOKE_BARRIER_INIT(2);
    CHECK_INT(yoke_barrier_reset(&b), 0); /* of an empty one: nothing */
    for (int round = 0; round < 50; round++) {
        pthread_t t = crew_start(arrive, &b);
        until_waiting(&b, 1);
        CHECK_INT(yoke_barrier_reset(&b), 0);
        pthread_t u = crew_start(arrive, &b);
        until_waiting(&b, 1);
        CHECK_INT(yoke_barrier_try(&b), 1);
        CHECK_INT(crew_join(t), -EPIPE);
        CHECK_INT(crew_join(u), 0);
    }
}

/* ---- Many ---- */

enum { PARTIES = 16, ROUNDS = 2000 / CREW_SLOWER };
static long tally[2];
static _Atomic long numbers;
static int actions;

/* Each adds to what the round before has left, not atomically but apart from the others. */
static long rows[PARTIES];
static _Atomic int next_row;

static void *march(void *arg)
{
    int me = next_row++;
    for (int round = 0; round < ROUNDS; round++) {
        rows[me] = round;
        int index = yoke_barrier_wait(&shared_one);
        CHECK(index >= 0 && index < PARTIES);
        numbers += index;
        for (int i = 0; i < PARTIES; i++)
            CHECK_INT(rows[i], round);
        CHECK(yoke_barrier_wait(&shared_one) >= 0);
    }
    return NULL;
}

TEST_LIMIT(rounds, 300)
{
    CHECK_INT(yoke_barrier_init(&shared_one, PARTIES, NULL, NULL, 0), 0);
    crew_run(PARTIES, march, NULL);
    CHECK_INT(numbers, (long)ROUNDS * PARTIES * (PARTIES - 1) / 2);
}

TEST_LIMIT(rounds_with_an_action, 300)
{
    CHECK_INT(yoke_barrier_init(&shared_one, PARTIES, count_action, &actions, 0), 0);
    crew_run(PARTIES, march, NULL);
    CHECK_INT(actions, 2 * ROUNDS);
}

/* More threads than parties: each wait ends, and the numbers of each generation are all there. */
enum { ARRIVALS = 8 * ROUNDS };
static _Atomic int arrivals;

static void *crowd(void *arg)
{
    while (arrivals++ < ARRIVALS) {
        int index = yoke_barrier_wait(&shared_one);
        CHECK(index >= 0 && index < 2);
        __atomic_fetch_add(&tally[index], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

TEST_LIMIT(more_threads_than_parties, 300)
{
    CHECK_INT(yoke_barrier_init(&shared_one, 2, count_action, &actions, 0), 0);
    crew_run(8, crowd, NULL);
    CHECK_INT(tally[0], ARRIVALS / 2);
    CHECK_INT(tally[1], ARRIVALS / 2);
    CHECK_INT(actions, ARRIVALS / 2);
}

/* Breaks, resets and timeouts at random: nothing hangs, and every wait ends as it may. */
static _Atomic bool enough;

static void *disturb(void *arg)
{
    for (unsigned i = 0; !enough; i++) {
        (i % 2 ? yoke_barrier_reset : yoke_barrier_abort)(&shared_one);
        crew_nap();
    }
    yoke_barrier_reset(&shared_one);
    return NULL;
}

static void *endure(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result = i % 3 ? yoke_barrier_wait(&shared_one) : yoke_barrier_timed(&shared_one, i % 10 * 10 * YOKE_US);
        CHECK((result >= 0 && result < 3) || result == -EPIPE || (i % 3 == 0 && result == -ETIMEDOUT));
    }
    return NULL;
}

TEST_LIMIT(disturbances, 300)
{
    CHECK_INT(yoke_barrier_init(&shared_one, 3, NULL, NULL, 0), 0);
    pthread_t d = crew_start(disturb, NULL);
    crew_run(6, endure, NULL);
    enough = true;
    crew_join(d);
    CHECK(!yoke_barrier_broken(&shared_one));
}

/* ---- Once ---- */

static yoke_once once = YOKE_ONCE_INIT;
static _Atomic int runs;
static int made; /* by the initialisation, not atomic */

static int make(void *arg)
{
    runs++;
    crew_nap();
    made = 7;
    return 5;
}

static void *run_once(void *arg)
{
    int err = yoke_once_run(&once, make, NULL);
    CHECK_INT(made, 7);
    RETURN(err);
}

TEST(once_among_many)
{
    CHECK(!yoke_once_is_done(&once));
    CHECK_INT(crew_run(16, run_once, NULL), 0);
    CHECK_INT(runs, 1);
    CHECK(yoke_once_is_done(&once));
    CHECK_INT(yoke_once_try(&once, make, NULL), 0);
    CHECK_INT(yoke_once_until(&once, make, NULL, 0), 0);
    CHECK_INT(yoke_once_timed(&once, make, NULL, 0), 0);
    CHECK_INT(runs, 1);
    CHECK_INT(yoke_once_done(&once), 0);
    CHECK_INT(yoke_once_run(&once, make, NULL), -EINVAL);
    CHECK_INT(yoke_once_init(&once, 2), -EINVAL);
}

static int make_at_third(void *arg)
{
    return ++runs < 3 ? -ENOMEM : 0;
}

static void *run_failing(void *arg)
{
    RETURN(yoke_once_run(&once, make_at_third, NULL) == -ENOMEM);
}

TEST(a_failure_leaves_it_to_the_next)
{
    CHECK_INT(crew_run(8, run_failing, NULL), 2);
    CHECK_INT(runs, 3);
    CHECK(yoke_once_is_done(&once));
}

static int inside(void *arg)
{
    CHECK_INT(yoke_once_run(&once, inside, NULL), -EDEADLK);
    CHECK_INT(yoke_once_try(&once, inside, NULL), -EDEADLK);
    return 0;
}

TEST(once_inside_itself)
{
    CHECK_INT(yoke_once_run(&once, inside, NULL), 0);
}

static void *run_slow(void *arg)
{
    RETURN(yoke_once_run(&once, slow_action, NULL));
}

TEST(once_while_another_runs_it)
{
    pthread_t t = crew_start(run_slow, NULL);
    AWAIT(acting);
    CHECK_INT(yoke_once_try(&once, make, NULL), -EAGAIN);
    CHECK_INT(yoke_once_timed(&once, make, NULL, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_once_until(&once, make, NULL, 0), -ETIMEDOUT);
    CHECK_INT(yoke_once_done(&once), -EBUSY);
    go_on = 1;
    CHECK_INT(yoke_once_run(&once, make, NULL), 0);
    CHECK_INT(crew_join(t), 0);
    CHECK_INT(runs, 0);
}
