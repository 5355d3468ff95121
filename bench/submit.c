/* submit.c - how fast one thread can hand jobs to a pool: 10^6 empty tasks, submitted and released, then all have run; with
 * one worker and with two; and one job at a time with the worker awake. Peer: oneTBB's task_group in bench/peers. */
#include "bench.h"
#include <stdatomic.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(void, nothing)
{
}

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

enum { MANY = 1000000, WINDOW = 1000 };

/* Nobody looks at their futures. */
static double detached(yoke_executor *ex)
{
    double start = bench_now();
    for (int i = 0; i < MANY - 1; i++)
        yoke_release(yoke_submit(ex, nothing));
    yoke_future *last = yoke_submit(ex, nothing);
    yoke_wait(last);
    yoke_release(last);
    return (bench_now() - start) / MANY;
}

/* All futures kept, then awaited. */
static double kept(yoke_executor *ex)
{
    static yoke_future *fs[MANY];
    double start = bench_now();
    for (int i = 0; i < MANY; i++)
        fs[i] = yoke_submit(ex, nothing);
    for (int i = 0; i < MANY; i++) {
        BENCH_CHECK(yoke_wait(fs[i]) == 0);
        yoke_release(fs[i]);
    }
    return (bench_now() - start) / MANY;
}

static double window(yoke_executor *ex)
{
    static yoke_future *fs[WINDOW];
    double start = bench_now();
    long sum = 0;
    for (long k = 0; k < MANY / WINDOW; k++) {
        for (long i = 0; i < WINDOW; i++)
            fs[i] = yoke_submit(ex, add, i, 1);
        for (long i = 0; i < WINDOW; i++) {
            sum += yoke_await(fs[i], long);
            yoke_release(fs[i]);
        }
    }
    double took = bench_now() - start;
    BENCH_CHECK(sum == (long)MANY * (WINDOW + 1) / 2);
    return took / MANY;
}

static double awake(yoke_executor *ex)
{
    enum { TIMES = 2000 };
    double start = bench_now();
    for (long i = 0; i < TIMES; i++) {
        yoke_future *f = yoke_submit(ex, add, i, 1);
        BENCH_CHECK(yoke_await(f, long) == i + 1);
        yoke_release(f);
    }
    return (bench_now() - start) / TIMES;
}

int main(void)
{
    static samples s[4][2];
    static const char *const names[] = {"submit and release 10^6, then the last has run", "submit 10^6, then await each",
                                        "submit + await in windows of 1000", "submit + await, one at a time, worker awake"};
    double (*const measure[])(yoke_executor *) = {detached, kept, window, awake};
    int rounds = bench_rounds(9);
    for (int threads = 1; threads <= 2; threads++) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", threads);
        for (int k = 0; k < 4; k++) {
            yoke_executor *ex = yoke_open(uri);
            for (int r = 0; r < rounds; r++)
                sample(&s[k][threads - 1], measure[k](ex));
            yoke_close(ex);
        }
    }
    for (int threads = 1; threads <= 2; threads++) {
        printf("\n%d worker%s", threads, threads > 1 ? "s" : "");
        head("");
        for (int k = 0; k < 4; k++)
            row(names[k], &s[k][threads - 1], 1, "ns a job");
    }
    return 0;
}
