/* stats.c - what a pool has counted. */
#include "fib.h"
#include "test.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, identity, (long, v))
{
    return v;
}

static _Atomic long ran_elsewhere;

YOKE_TASK(void, note_other, (int64_t, parent))
{
    if ((int64_t)gettid() != parent)
        atomic_fetch_add(&ran_elsewhere, 1);
}

/* Submits to its own worker's deque, and goes on until another has stolen from it. */
YOKE_TASK(void, be_robbed)
{
    while (atomic_load(&ran_elsewhere) == 0) {
        yoke_release(yoke_submit(yoke_current_executor(), note_other, (int64_t)gettid()));
        sched_yield();
    }
}

static yoke_pool_counts total(yoke_executor *ex)
{
    yoke_pool_counts c;
    CHECK_INT(yoke_pool_stats(ex, YOKE_POOL_TOTAL, &c), 0);
    return c;
}

TEST(who_may_ask_and_for_what)
{
    yoke_pool_counts c = {.jobs = 77};
    yoke_executor *ex = yoke_open("threads:2"), *other = yoke_open("inline"), *bad = yoke_open("threads:0");
    CHECK_INT(yoke_pool_stats(other, 0, &c), -EINVAL);
    CHECK_INT(yoke_pool_stats(bad, YOKE_POOL_TOTAL, &c), -EINVAL);
    CHECK_INT(yoke_pool_stats(ex, 0, NULL), -EINVAL);
    CHECK_INT(yoke_pool_stats(ex, 2, &c), -ENOENT);
    CHECK_INT(c.jobs, 77);
    CHECK_INT(yoke_pool_stats(ex, 1, &c), 0);
    CHECK_INT(c.jobs, 0);
    CHECK_INT(yoke_pool_workers(ex), 2);
    CHECK_INT(yoke_pool_places(ex), 2);
    CHECK_INT(yoke_pool_workers(other), 0);
    CHECK_INT(yoke_pool_places(other), 0);
    CHECK_INT(yoke_pool_workers(NULL), yoke_pool_workers(yoke_own_threads())); /* outside of tasks */
    CHECK_INT(yoke_pool_places(bad), 0);
    yoke_close(bad);
    yoke_close(other);
    yoke_close(ex);
}

TEST(each_job_is_counted_once)
{
    enum { N = 1000 };
    yoke_executor *ex = yoke_open("threads:3");
    for (long i = 0; i < N; i++) {
        yoke_future *f = yoke_submit(ex, identity, i);
        CHECK_INT(yoke_await(f, long), i);
        yoke_release(f);
    }
    CHECK_INT(total(ex).jobs, N);
    uint64_t sum = 0;
    for (unsigned i = 0; i < yoke_pool_workers(ex); i++) {
        yoke_pool_counts c;
        CHECK_INT(yoke_pool_stats(ex, i, &c), 0);
        sum += c.jobs;
    }
    CHECK_INT(sum, N);
    while (total(ex).sleeps == 0)
        usleep(1000);
    yoke_close(ex);
}

TEST(steals_are_counted)
{
    yoke_executor *ex = yoke_open("threads:2");
    CHECK_INT(total(ex).steals, 0);
    yoke_future *f = yoke_submit(ex, be_robbed);
    CHECK_INT(yoke_wait(f), 0);
    yoke_release(f);
    CHECK(total(ex).steals > 0);
    yoke_close(ex);
}

TEST(stolen_forks_are_counted_and_guests_are_workers)
{
    yoke_executor *ex = yoke_open("threads:2");
    uint64_t before = total(ex).steals;
    while (total(ex).steals == before)
        CHECK_INT(yoke_run(ex, fib, 22), 17711);
    CHECK_INT(yoke_pool_workers(ex), 3);
    yoke_pool_counts guest;
    CHECK_INT(yoke_pool_stats(ex, 2, &guest), 0);
    CHECK_INT(guest.cpu_time, 0);
    yoke_close(ex);
}

TEST(cpu_time_grows_with_work_alone)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_pool_counts c;
    do {
        CHECK_INT(yoke_await(yoke_submit(ex, identity, 1), long), 1);
        CHECK_INT(yoke_pool_stats(ex, 0, &c), 0);
    } while (c.cpu_time < YOKE_MS);
    /* It is on its way to sleep, or sleeps already: then its counts tell of no other sleep to come. */
    int64_t spent = YOKE_FOREVER;
    for (int i = 0; i < 100 && spent >= YOKE_MS; i++) {
        int64_t then = total(ex).cpu_time;
        usleep(20000);
        spent = total(ex).cpu_time - then;
    }
    CHECK(spent < YOKE_MS);
    yoke_close(ex);
}
