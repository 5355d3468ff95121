/* loops.c - parallel loops and reductions beside OpenMP (libgomp) in the same run: an empty loop, saxpy and a sum over 10^7
 * floats, with one worker and with two. */
#include "bench.h"
#include <omp.h>
#include <yoke.h>

enum { FLOATS = 10000000 };
static float *x, *y;

YOKE_LOOP(nothing, i)
{
}

YOKE_LOOP(saxpy, i, (float, a), (const float *, from), (float *, to))
{
    to[i] += a * from[i];
}

YOKE_REDUCE(double, sum, i, acc, other, (0), (*acc += *other), (const float *, from))
{
    *acc += from[i];
}

static double time_nothing(yoke_executor *ex)
{
    double start = bench_now();
    for (int i = 0; i < 1000; i++)
        yoke_for(ex, 2, nothing);
    return (bench_now() - start) / 1000;
}

static double time_nothing_omp(int threads)
{
    double start = bench_now();
    for (int i = 0; i < 1000; i++) {
#pragma omp parallel for num_threads(threads)
        for (int k = 0; k < 2; k++)
            __asm__ volatile("");
    }
    return (bench_now() - start) / 1000;
}

static double time_saxpy(yoke_executor *ex)
{
    double start = bench_now();
    yoke_for(ex, FLOATS, saxpy, 0.5f, x, y);
    return bench_now() - start;
}

static double time_saxpy_omp(int threads)
{
    double start = bench_now();
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < FLOATS; i++)
        y[i] += 0.5f * x[i];
    return bench_now() - start;
}

static double time_sum(yoke_executor *ex)
{
    double start = bench_now();
    BENCH_CHECK(yoke_reduce(ex, FLOATS, sum, x) == FLOATS);
    return bench_now() - start;
}

static double time_sum_omp(int threads)
{
    double start = bench_now(), v = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : v)
    for (int i = 0; i < FLOATS; i++)
        v += x[i];
    BENCH_CHECK(v == FLOATS);
    return bench_now() - start;
}

static void pair(const char *name, double (*ours)(yoke_executor *), double (*theirs)(int), yoke_executor *ex, int threads,
                 double unit, const char *unit_name, int rounds)
{
    samples us = {.n = 0}, them = {.n = 0};
    char row_name[100];
    for (int i = 0; i < rounds; i++) {
        bench_calm();
        sample(&us, ours(ex));
        bench_calm();
        sample(&them, theirs(threads));
    }
    snprintf(row_name, sizeof row_name, "%s, yoke, %d", name, threads);
    row(row_name, &us, unit, unit_name);
    snprintf(row_name, sizeof row_name, "%s, libgomp, %d", name, threads);
    row(row_name, &them, unit, unit_name);
    ratio_row("  times faster", &them, &us, "at least 1");
}

int main(void)
{
    x = malloc(FLOATS * sizeof *x);
    y = malloc(FLOATS * sizeof *y);
    BENCH_CHECK(x && y);
    for (int i = 0; i < FLOATS; i++)
        x[i] = y[i] = 1;
    head("loops: 1 or 2 workers");
    for (int threads = 1; threads <= 2; threads++) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", threads);
        yoke_executor *ex = yoke_open(uri);
        pair("empty loop of 2", time_nothing, time_nothing_omp, ex, threads, 1e-3, "us", 15);
        pair("saxpy of 10^7", time_saxpy, time_saxpy_omp, ex, threads, 1e-6, "ms", 15);
        pair("sum of 10^7", time_sum, time_sum_omp, ex, threads, 1e-6, "ms", 15);
        yoke_close(ex);
    }
    free(x);
    free(y);
    return 0;
}
