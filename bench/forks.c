/* forks.c - fork and join, loops and reductions beside OpenMP (libgomp) in the same run: fib, n queens, an unbalanced tree,
 * matrix multiplication; an empty loop, saxpy and a sum over 10^7 floats. With one worker and with two. */
#include "bench.h"
#include <omp.h>
#include <unistd.h>
#include <yoke.h>

/* ---- fib ---- */

__attribute__((noinline)) static long fib_alone(int n)
{
    return n < 2 ? n : fib_alone(n - 1) + fib_alone(n - 2);
}

YOKE_FORK(long, fib, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(fib, n - 1);
    long b = yoke_call(fib, n - 2);
    return yoke_join(fib) + b;
}

static long fib_omp(int n)
{
    if (n < 2)
        return n;
    long a, b;
#pragma omp task shared(a)
    a = fib_omp(n - 1);
    b = fib_omp(n - 2);
#pragma omp taskwait
    return a + b;
}

/* ---- n queens ---- */

typedef struct board {
    uint32_t columns, left, right;
} board;

#define QUEENS 12
#define QUEENS_ANSWER 14200

static long queens_alone(board b)
{
    uint32_t all = (1u << QUEENS) - 1, free_here = all & ~(b.columns | b.left | b.right);
    if (b.columns == all)
        return 1;
    long n = 0;
    for (; free_here; free_here &= free_here - 1) {
        uint32_t bit = free_here & -free_here;
        n += queens_alone((board){b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1});
    }
    return n;
}

YOKE_FORK(long, queens, (board, b), (int, depth))
{
    if (depth > 4)
        return queens_alone(b);
    uint32_t all = (1u << QUEENS) - 1, free_here = all & ~(b.columns | b.left | b.right);
    if (b.columns == all)
        return 1;
    int forked = 0;
    for (; free_here; free_here &= free_here - 1, forked++) {
        uint32_t bit = free_here & -free_here;
        yoke_fork(queens, (board){b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1}, depth + 1);
    }
    long n = 0;
    while (forked-- > 0)
        n += yoke_join(queens);
    return n;
}

static long queens_omp(board b, int depth)
{
    if (depth > 4)
        return queens_alone(b);
    uint32_t all = (1u << QUEENS) - 1, free_here = all & ~(b.columns | b.left | b.right);
    if (b.columns == all)
        return 1;
    long parts[QUEENS] = {0};
    int forked = 0;
    for (; free_here; free_here &= free_here - 1, forked++) {
        uint32_t bit = free_here & -free_here;
#pragma omp task firstprivate(bit, forked) shared(parts)
        parts[forked] = queens_omp((board){b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1}, depth + 1);
    }
#pragma omp taskwait
    long n = 0;
    for (int i = 0; i < forked; i++)
        n += parts[i];
    return n;
}

/* ---- Loops ---- */

enum { FLOATS = 10000000, SIDE = 384 };
static float *x, *y;
static float left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

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

static void row_times(size_t i)
{
    for (int k = 0; k < SIDE; k++)
        for (int j = 0; j < SIDE; j++)
            product[i][j] += left[i][k] * right[k][j];
}

YOKE_LOOP(matmul, i)
{
    row_times(i);
}

/* ---- Measuring ---- */

static double fib_forks; /* in one run */
enum { FIB = 34, FIB_ANSWER = 5702887 };

static double time_fib_alone(void)
{
    double start = bench_now();
    BENCH_CHECK(fib_alone(FIB) == FIB_ANSWER);
    return (bench_now() - start) / fib_forks;
}

static double time_fib(yoke_executor *ex)
{
    double start = bench_now();
    BENCH_CHECK(yoke_run(ex, fib, FIB) == FIB_ANSWER);
    return (bench_now() - start) / fib_forks;
}

static double time_fib_omp(int threads)
{
    enum { LESS = 10 };
    long v = 0;
    double start = bench_now();
#pragma omp parallel num_threads(threads)
#pragma omp single
    v = fib_omp(FIB - LESS);
    BENCH_CHECK(v == 46368);
    return (bench_now() - start) / (46368 * 1.618);
}

static double time_queens(yoke_executor *ex)
{
    double start = bench_now();
    BENCH_CHECK(yoke_run(ex, queens, (board){0, 0, 0}, 0) == QUEENS_ANSWER);
    return bench_now() - start;
}

static double time_queens_omp(int threads)
{
    long v = 0;
    double start = bench_now();
#pragma omp parallel num_threads(threads)
#pragma omp single
    v = queens_omp((board){0, 0, 0}, 0);
    BENCH_CHECK(v == QUEENS_ANSWER);
    return bench_now() - start;
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

static double time_matmul(yoke_executor *ex)
{
    memset(product, 0, sizeof product);
    double start = bench_now();
    yoke_for(ex, SIDE, matmul);
    double took = bench_now() - start;
    BENCH_CHECK(product[3][5] == SIDE * 2.0f);
    return took;
}

static double time_matmul_omp(int threads)
{
    memset(product, 0, sizeof product);
    double start = bench_now();
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int i = 0; i < SIDE; i++)
        row_times((size_t)i);
    double took = bench_now() - start;
    BENCH_CHECK(product[3][5] == SIDE * 2.0f);
    return took;
}

static void pair(const char *name, double (*ours)(yoke_executor *), double (*theirs)(int), yoke_executor *ex, int threads,
                 double unit, const char *unit_name, int rounds)
{
    samples us = {.n = 0}, them = {.n = 0};
    char row_name[100];
    for (int i = 0; i < rounds; i++) {
        usleep(30000); /* until the other's threads sleep: libgomp's spin for some 10 ms after they have finished */
        sample(&us, ours(ex));
        usleep(30000);
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
    fib_forks = FIB_ANSWER * 1.618034 - 1;
    x = malloc(FLOATS * sizeof *x);
    y = malloc(FLOATS * sizeof *y);
    BENCH_CHECK(x && y);
    for (int i = 0; i < FLOATS; i++)
        x[i] = y[i] = 1;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            left[i][j] = 1;
            right[i][j] = 2;
        }
    static samples alone;
    for (int i = 0; i < 15; i++)
        sample(&alone, time_fib_alone());
    head("fork and join, and loops: 1 or 2 workers");
    row("fib, plain calls", &alone, 1, "ns a call of two");
    for (int threads = 1; threads <= 2; threads++) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", threads);
        yoke_executor *ex = yoke_open(uri);
        pair("fib, a fork and join", time_fib, time_fib_omp, ex, threads, 1, "ns", 15);
        pair("12 queens", time_queens, time_queens_omp, ex, threads, 1e-6, "ms", 15);
        pair("matmul 384", time_matmul, time_matmul_omp, ex, threads, 1e-6, "ms", 15);
        pair("empty loop of 2", time_nothing, time_nothing_omp, ex, threads, 1e-3, "us", 15);
        pair("saxpy of 10^7", time_saxpy, time_saxpy_omp, ex, threads, 1e-6, "ms", 15);
        pair("sum of 10^7", time_sum, time_sum_omp, ex, threads, 1e-6, "ms", 15);
        yoke_close(ex);
    }
    free(x);
    free(y);
    return 0;
}
