/* timer.c - the timer's heap and thread. */
#include "exec/job.h"
#include "test.h"
#include <sched.h>
#include <unistd.h>

enum { N = 500 };

static struct entry {
    yk_timer timer;
    int64_t when;
    _Atomic int fired;
    int64_t fired_at;
} entries[N + 1];
static _Atomic int order_errors, fired;
static int64_t last_when;

static void fire(void *arg)
{
    struct entry *e = arg;
    e->fired_at = yoke_now();
    if (e->when < last_when)
        atomic_fetch_add(&order_errors, 1);
    last_when = e->when;
    atomic_fetch_add(&e->fired, 1);
    atomic_fetch_add(&fired, 1);
}

static void wait_for(int count)
{
    while (atomic_load(&fired) < count)
        usleep(500);
}

/* False when the first were due before the last was set: then their order says nothing. */
static bool all_set_in_time(int64_t pause)
{
    yk_timer_enter();
    memset(entries, 0, sizeof entries);
    atomic_store(&fired, 0);
    atomic_store(&order_errors, 0);
    last_when = 0;
    int64_t start = yoke_now() + pause;
    for (int i = 0; i < N; i++) {
        entries[i].when = start + (int64_t)(test_random() % 50) * YOKE_MS;
        CHECK_INT(yk_timer_start(&entries[i].timer, entries[i].when, fire, &entries[i]), 0);
    }
    bool in_time = yoke_now() < start;
    wait_for(N);
    CHECK(!in_time || order_errors == 0);
    for (int i = 0; i < N; i++) {
        CHECK_INT(entries[i].fired, 1);
        CHECK(entries[i].fired_at >= entries[i].when);
        CHECK(!yk_timer_stop(&entries[i].timer));
    }
    yk_timer_leave();
    return in_time;
}

TEST(fires_in_order_and_never_early)
{
    for (int64_t pause = 20 * YOKE_MS; !all_set_in_time(pause); pause *= 2)
        ;
}

/* Returns how many were stopped in time. */
static int stop_some(int64_t pause)
{
    yk_timer_enter();
    int kept = 0;
    memset(entries, 0, sizeof entries);
    atomic_store(&fired, 0);
    last_when = 0;
    int64_t start = yoke_now() + pause;
    for (int i = 0; i < N; i++) {
        entries[i].when = start + (int64_t)(test_random() % 20) * YOKE_MS;
        yk_timer_start(&entries[i].timer, entries[i].when, fire, &entries[i]);
    }
    bool stopped[N];
    for (int i = 0; i < N; i++) {
        stopped[i] = test_random() % 2 && yk_timer_stop(&entries[i].timer);
        kept += !stopped[i];
    }
    /* One that is due after all others: when it has fired, so would those have that should not. */
    entries[N].when = start + 30 * YOKE_MS;
    CHECK_INT(yk_timer_start(&entries[N].timer, entries[N].when, fire, &entries[N]), 0);
    wait_for(kept + 1);
    for (int i = 0; i < N; i++)
        CHECK_INT(entries[i].fired, !stopped[i]);
    yk_timer_leave();
    return N - kept;
}

TEST(stopped_ones_do_not_fire)
{
    for (int64_t pause = 50 * YOKE_MS; stop_some(pause) == 0; pause *= 2)
        ;
}

TEST(earlier_one_wakes_the_thread)
{
    yk_timer_enter();
    entries[0].when = yoke_now() + 3600 * YOKE_S;
    entries[1].when = yoke_now() + 10 * YOKE_MS;
    yk_timer_start(&entries[0].timer, entries[0].when, fire, &entries[0]);
    usleep(2000);
    yk_timer_start(&entries[1].timer, entries[1].when, fire, &entries[1]);
    wait_for(1);
    CHECK(yoke_now() < entries[0].when - 1800 * YOKE_S);
    CHECK(yk_timer_stop(&entries[0].timer));
    yk_timer_leave();
    /* The thread ended with the last user, and starts again for the next. */
    yk_timer_enter();
    entries[2].when = yoke_now();
    yk_timer_start(&entries[2].timer, entries[2].when, fire, &entries[2]);
    wait_for(2);
    yk_timer_leave();
}

TEST(failures)
{
    yk_timer_enter();
    yk_sys_fail("realloc", 1, ENOMEM);
    CHECK_INT(yk_timer_start(&entries[0].timer, yoke_now(), fire, &entries[0]), -ENOMEM);
    CHECK(!yk_timer_stop(&entries[0].timer));
    yk_sys_fail("pthread_create", 1, EAGAIN);
    CHECK_INT(yk_timer_start(&entries[0].timer, yoke_now(), fire, &entries[0]), -EAGAIN);
    CHECK(!yk_timer_stop(&entries[0].timer));
    yk_sys_fail("malloc", 0, 0);
    CHECK_INT(yk_timer_start(&entries[0].timer, yoke_now(), fire, &entries[0]), 0);
    wait_for(1);
    yk_timer_leave();
}

/* ---- One leaves, another comes ---- */

static void fire_again(void *arg)
{
    atomic_store((_Atomic int *)arg, 1);
}

static void *come_and_go(void *arg)
{
    for (int i = 0; i < 300; i++) {
        yk_timer_enter();
        yk_timer t = {.at = YK_TIMER_OFF};
        _Atomic int mine = 0;
        CHECK_INT(yk_timer_start(&t, yoke_now() + 20 * YOKE_US, fire_again, &mine), 0);
        while (!atomic_load(&mine)) /* for ever if nobody serves it: the test's limit ends that */
            sched_yield();
        yk_timer_flush();
        yk_timer_leave();
    }
    return NULL;
}

/* The thread ends when the last has left, and serves who came at that moment all the same. */
TEST_LIMIT(a_timer_set_while_the_last_leaves, 300)
{
    pthread_t others[3];
    for (int i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&others[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(others[i], NULL);
}
