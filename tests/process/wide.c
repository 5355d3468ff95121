/* wide.c - as many workers as may be: more than fit into the queues between the program and its zygote, and more than the program
 * has descriptors for. */
#include "process/pool.h"
#include "test.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

/* Returns once that many run at the same time. */
YOKE_TASK(long, meets, (yoke_inout_u32, arrived), (uint32_t, all))
{
    _Atomic uint32_t *n = (_Atomic uint32_t *)(void *)arrived.ptr;
    uint32_t now = atomic_fetch_add(n, 1) + 1;
    if (now == all)
        yk_futex_wake(n, INT_MAX, true);
    for (; now < all; now = atomic_load(n))
        yk_futex_wait(n, now, YOKE_FOREVER, true);
    return getpid();
}

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

static int by_value(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return x < y ? -1 : x > y;
}

/* A job for each worker, none of which ends before all have begun: so each worker has one. */
static void give_one_each(yoke_executor *ex, unsigned width)
{
    static yoke_future *fs[YK_PROCESSES_MAX];
    static long pids[YK_PROCESSES_MAX];
    uint32_t *arrived = yoke_shared_alloc(ex, sizeof *arrived);
    CHECK(arrived != NULL);
    *arrived = 0;
    for (unsigned i = 0; i < width; i++)
        fs[i] = yoke_submit(ex, meets, yoke_1d(yoke_inout_u32, arrived, 1), width);
    for (unsigned i = 0; i < width; i++) {
        pids[i] = yoke_await(fs[i], long);
        yoke_release(fs[i]);
    }
    qsort(pids, width, sizeof *pids, by_value);
    for (unsigned i = 1; i < width; i++)
        CHECK(pids[i - 1] < pids[i]);
    yoke_shared_free(ex, arrived);
}

static bool all_present(yk_processes *p, pid_t other_zygote)
{
    yk_mutex_lock(&p->lock);
    bool all = p->zygote > 0 && p->zygote != other_zygote;
    for (unsigned i = 0; i < p->base.width; i++)
        all &= p->clerks[i].state == YK_PRESENT;
    yk_mutex_unlock(&p->lock);
    return all;
}

/* The most there may be: all start, each runs a job, all are replaced when the zygote dies, and all end. */
TEST_LIMIT(as_many_as_may_be, 300)
{
    yoke_executor *ex = yoke_open("processes:1024");
    CHECK_INT(yoke_executor_status(ex), 0);
    CHECK_INT(yoke_executor_width(ex), YK_PROCESSES_MAX);
    give_one_each(ex, YK_PROCESSES_MAX);
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock); /* whose supervisor writes it */
    pid_t zygote = p->zygote;
    yk_mutex_unlock(&p->lock);
    CHECK(all_present(p, 0));
    kill(zygote, SIGKILL);
    while (!all_present(p, zygote))
        nap(5 * YOKE_MS);
    give_one_each(ex, YK_PROCESSES_MAX);
    yoke_close(ex);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* Closed while most have not even been asked for. */
TEST_LIMIT(closed_while_they_start, 300)
{
    yoke_executor *ex = yoke_open("processes:1024");
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    yoke_close(ex);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* Most workers die at the same time, so that their ends fill the queue while new ones are asked for. */
TEST_LIMIT(all_die_at_once, 300)
{
    enum { WIDTH = 700 };
    static pid_t pids[WIDTH];
    yoke_executor *ex = yoke_open("processes:700");
    yk_processes *p = (yk_processes *)(void *)ex;
    give_one_each(ex, WIDTH);
    yk_mutex_lock(&p->lock);
    for (unsigned i = 0; i < WIDTH; i++)
        kill(pids[i] = p->clerks[i].pid, SIGKILL);
    yk_mutex_unlock(&p->lock);
    for (bool all = false; !all; nap(5 * YOKE_MS)) {
        yk_mutex_lock(&p->lock);
        all = true;
        for (unsigned i = 0; i < WIDTH; i++)
            all &= p->clerks[i].state == YK_PRESENT && p->clerks[i].pid != pids[i];
        yk_mutex_unlock(&p->lock);
    }
    give_one_each(ex, WIDTH);
    yoke_close(ex);
}

/* Half of the program's descriptors remain its own. */
TEST_LIMIT(more_workers_than_descriptors, 300)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    yoke_executor *ex = yoke_open("processes:100");
    CHECK_INT(yoke_executor_status(ex), 0);
    give_one_each(ex, 100);
    for (int fd = 32; fd < 64; fd++)
        CHECK(fcntl(fd, F_GETFD) == -1);
    yoke_close(ex);
}
