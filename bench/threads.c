/* threads.c - what a job on `threads` costs: submit and await with the worker asleep, beside a bare futex wake in the same run;
 * and in batches of 1000. Peer: Python's ThreadPoolExecutor, in bench/python_pools.py. */
#include "bench.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

static _Atomic uint32_t bell, answer;

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *bare_worker(void *arg)
{
    for (uint32_t seen = 0;;) {
        while (atomic_load(&bell) == seen)
            futex(&bell, FUTEX_WAIT, seen);
        seen = atomic_load(&bell);
        if (seen == UINT32_MAX)
            return NULL;
        atomic_store(&answer, seen);
    }
}

/* From waking a sleeping thread to seeing its answer, spinning. */
static double bare_wake(uint32_t number)
{
    usleep(1000);
    double start = bench_now();
    atomic_store(&bell, number);
    futex(&bell, FUTEX_WAKE, 1);
    while (atomic_load(&answer) != number)
        ;
    return bench_now() - start;
}

static double yoke_wake(yoke_executor *ex, long number)
{
    usleep(1000);
    double start = bench_now();
    yoke_future *f = yoke_submit(ex, add, number, 1);
    long v = yoke_await(f, long);
    double took = bench_now() - start;
    BENCH_CHECK(v == number + 1);
    yoke_release(f);
    return took;
}

enum { BATCH = 1000 };

static double batch(yoke_executor *ex)
{
    static yoke_future *fs[BATCH];
    double start = bench_now();
    for (long i = 0; i < BATCH; i++)
        fs[i] = yoke_submit(ex, add, i, 1);
    long sum = 0;
    for (long i = 0; i < BATCH; i++) {
        sum += yoke_await(fs[i], long);
        yoke_release(fs[i]);
    }
    double took = bench_now() - start;
    BENCH_CHECK(sum == (long)BATCH * (BATCH + 1) / 2);
    return took / BATCH;
}

int main(void)
{
    static samples bare, woken, over, batched, few, python;
    char command[4200];
    snprintf(command, sizeof command, "/usr/bin/python3 %s threads", bench_file("pools.py"));
    yoke_executor *ex = yoke_open("threads");
    pthread_t t;
    pthread_create(&t, NULL, bare_worker, NULL);
    for (uint32_t i = 1; i <= 500; i++) {
        sample(&bare, bare_wake(i));
        sample(&woken, yoke_wake(ex, i));
    }
    sample(&over, quantile(&woken, 0.5) - quantile(&bare, 0.5));
    for (int i = 0; i < 1000; i++)
        sample(&batched, batch(ex));
    for (int i = 0; i < 5; i++) {
        sample(&few, batch(ex));
        sample(&python, peer(command));
    }
    head("threads: one job");
    row("bare futex wake of a sleeping thread", &bare, 1e-3, "us");
    row("submit + await, worker asleep", &woken, 1e-3, "us");
    row("  over the bare wake (medians; goal <= 1 us)", &over, 1e-3, "us");
    row("submit + await in a batch of 1000 (goal <= 0.5 us)", &batched, 1e-3, "us");
    row("Python ThreadPoolExecutor, submit + result of 1000", &python, 1e-3, "us");
    ratio_row("  times faster", &python, &few, "more than 10");
    atomic_store(&bell, UINT32_MAX);
    futex(&bell, FUTEX_WAKE, 1);
    pthread_join(t, NULL);
    return yoke_close(ex);
}
