/* pool.c - what is special to `threads`: sleeping, waking, stealing, blocked workers, names. What it shares with all executors
 * is tested by tests/executor. */
#include "exec/exec.h"
#include "test.h"
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, identity, (long, v))
{
    return v;
}

YOKE_TASK(void, nap, (int64_t, ns))
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

/* Each level waits for the one below on the same pool. */
YOKE_TASK(long, ladder, (long, depth))
{
    if (depth == 0)
        return 0;
    yoke_future *f = yoke_submit(yoke_current_executor(), ladder, depth - 1);
    long v = yoke_await(f, long);
    yoke_release(f);
    return v + 1;
}

static yoke_executor *other;

static atomic_int gate;

YOKE_TASK(void, waits_for_gate)
{
    while (!atomic_load(&gate))
        usleep(200);
}

/* Ends when so many of them run at once. */
YOKE_TASK(void, meets, (int, n))
{
    atomic_fetch_add(&gate, 1);
    while (atomic_load(&gate) < n)
        usleep(200);
}

/* Waits for a job that another executor runs, so the worker really blocks. */
YOKE_TASK(long, waits_elsewhere, (int64_t, ns, "negative: until the gate opens"))
{
    yoke_future *f = ns < 0 ? yoke_submit(other, waits_for_gate) : yoke_submit(other, nap, ns);
    int err = yoke_wait(f);
    yoke_release(f);
    return err;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 + (double)u.ru_stime.tv_sec +
           (double)u.ru_stime.tv_usec / 1e6;
}

TEST(idle_costs_nothing)
{
    yoke_executor *ex = yoke_open("threads:4");
    CHECK_INT(yoke_await(yoke_submit(ex, identity, 1), long), 1);
    double spent = 1;
    for (int i = 0; i < 30 && spent >= 0.003; i++) { /* until all have fallen asleep, on a busy machine too */
        double before = cpu_seconds();
        usleep(300000);
        spent = cpu_seconds() - before;
    }
    CHECK(spent < 0.003);
    yoke_close(ex);
}

TEST_LIMIT(no_wakeup_is_lost, 300)
{
    yoke_executor *ex = yoke_open("threads:2");
    for (int i = 0; i < 30000; i++) {
        yoke_future *f = yoke_submit(ex, identity, i);
        if (i % 64 == 0)
            usleep(test_random() % 120); /* around the time at which workers fall asleep */
        CHECK_INT(yoke_await(f, long), i);
        yoke_release(f);
    }
    yoke_close(ex);
}

TEST_LIMIT(deep_waits_on_one_worker, 300)
{
    yoke_executor *ex = yoke_open("threads:1");
    CHECK_INT(yoke_await(yoke_submit(ex, ladder, 1000), long), 1000);
    yoke_close(ex);
}

TEST_LIMIT(blocked_workers_lend_their_place, 300)
{
    yoke_executor *ex = yoke_open("threads:1");
    other = yoke_open("threads:1");
    yoke_future *blocked = yoke_submit(ex, waits_elsewhere, -1);
    usleep(20000);
    CHECK_INT(yoke_await(yoke_submit(ex, identity, 5), long), 5); /* for ever if the place were not lent */
    atomic_store(&gate, 1);
    CHECK_INT(yoke_await(blocked, long), 0);
    /* Many at once, each blocked: the pool grows and none deadlocks. */
    yoke_future *fs[40];
    for (int i = 0; i < 40; i++)
        fs[i] = yoke_submit(ex, waits_elsewhere, YOKE_MS);
    for (int i = 0; i < 40; i++)
        CHECK_INT(yoke_await(fs[i], long), 0);
    yoke_close(ex);
    yoke_close(other);
}

TEST(work_spreads)
{
    yoke_executor *ex = yoke_open("threads:4");
    yoke_future *fs[4];
    for (int i = 0; i < 4; i++)
        fs[i] = yoke_submit(ex, meets, 4);
    for (int i = 0; i < 4; i++)
        CHECK_INT(yoke_wait(fs[i]), 0);
    yoke_close(ex);
}

static _Atomic int thieves;

YOKE_FORK(void, comes, (int, expected))
{
    atomic_fetch_add(&thieves, 1);
    while (atomic_load(&thieves) < expected)
        sched_yield();
}

YOKE_FORK(void, nothing)
{
}

/* Each fork that is stolen stays with its thief until all are. The owner goes on forking, so that it hears who asks. */
YOKE_FORK(void, all_at_once, (int, n))
{
    if (n > 0) {
        yoke_fork(comes, 3);
        yoke_call(all_at_once, n - 1);
        yoke_join(comes);
    } else {
        while (atomic_load(&thieves) < 3) {
            yoke_fork(nothing);
            yoke_join(nothing);
        }
    }
}

YOKE_TASK(void, draws_thieves, (int, n))
{
    all_at_once(n);
}

/* A thief that has found something while it searched does not keep others asleep. */
TEST(forks_spread)
{
    yoke_executor *ex = yoke_open("threads:4");
    for (int i = 0; i < 200; i++) {
        atomic_store(&thieves, 0);
        yoke_future *f = yoke_submit(ex, draws_thieves, 3);
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
        if (i % 4 == 0)
            usleep(test_random() % 300);
    }
    yoke_close(ex);
}

static int count_named(void)
{
    int named = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(name, sizeof name, f))
            named += strncmp(name, "yoke-worker-", 12) == 0;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return named;
}

TEST(threads_have_names)
{
    yoke_executor *ex = yoke_open("threads:3");
    while (count_named() < 3)
        usleep(1000); /* a thread names itself when it first runs */
    yoke_close(ex);
    while (count_named() > 0) /* a joined thread may take a moment to vanish */
        usleep(1000);
}
