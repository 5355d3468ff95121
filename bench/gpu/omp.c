/* omp.c - the same as yoke.c in C with OpenMP, on the CPU, in gcc's plain form: loops of one line, sum, scan, and a radix sort
 * from the lowest digit up, a part of the keys for each thread. */
#include "omp_words.h"
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t n;
static float *x, *y, *z;
static uint32_t *keys, *from, *to;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void copy(void)
{
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++)
        z[i] = x[i];
}

static void axpy(void)
{
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++)
        z[i] += 2 * x[i];
}

static void triad(void)
{
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++)
        z[i] = 2 * x[i] + y[i];
}

static void exponential(void)
{
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++)
        z[i] = expf(x[i]);
}

static void sum(void)
{
    float total = 0;
#pragma omp parallel for simd reduction(+ : total)
    for (size_t i = 0; i < n; i++)
        total += x[i];
    z[0] = total;
}

static void scan(void)
{
    float total = 0;
#pragma omp parallel for reduction(inscan, + : total)
    for (size_t i = 0; i < n; i++) {
        total += y[i];
#pragma omp scan inclusive(total)
        z[i] = total;
    }
}

static void sort_digit(size_t (*counts)[256], unsigned shift)
{
#pragma omp parallel
    {
        const size_t me = (size_t)omp_get_thread_num(), all = (size_t)omp_get_num_threads();
        const size_t lo = n / all * me, hi = me + 1 == all ? n : lo + n / all;
        size_t *at = counts[me], total = 0;
        memset(at, 0, sizeof *counts);
        for (size_t i = lo; i < hi; i++)
            at[from[i] >> shift & 255]++;
#pragma omp barrier
#pragma omp single
        for (size_t d = 0; d < 256; d++)
            for (size_t t = 0; t < all; t++) {
                const size_t here = counts[t][d];
                counts[t][d] = total;
                total += here;
            }
        for (size_t i = lo; i < hi; i++)
            to[at[from[i] >> shift & 255]++] = from[i];
    }
}

static void sort(void)
{
    size_t(*counts)[256] = malloc((size_t)omp_get_max_threads() * sizeof *counts);
    if (!counts)
        exit(1);
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++)
        from[i] = keys[i];
    for (unsigned shift = 0; shift < 32; shift += 8) {
        sort_digit(counts, shift);
        uint32_t *other = from;
        from = to;
        to = other;
    }
    free(counts);
}

static const struct {
    const char *name;
    void (*run)(void);
} words[] = {{"copy", copy}, {"axpy", axpy}, {"triad", triad}, {"exp", exponential},
             {"sum", sum},   {"scan", scan}, {"sort", sort}};

static int is_wrong(void (*run)(void), unsigned times)
{
    const float one = x[1001];
    if (run == sort)
        for (size_t i = 1; i < n; i++)
            if (from[i - 1] > from[i])
                return 1;
    return (run == copy && z[1001] != one) || (run == axpy && z[1001] != 2 * one * (float)times)
           || (run == triad && z[1001] != 2 * one + 0.5f) || (run == exponential && fabsf(z[1001] - expf(one)) > 1e-6f);
}

void omp_use(const omp_data *d)
{
    n = d->n;
    x = d->x;
    y = d->y;
    z = d->z;
    keys = d->keys;
    from = d->from;
    to = d->to;
}

double omp_time(const char *word)
{
    enum { REPS = 3 };
    void (*run)(void) = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].name, word) == 0)
            run = words[i].run;
    if (!run)
        return -1;
    memset(z, 0, n * sizeof *z);
    run();
    double start = now();
    for (int r = 0; r < REPS; r++)
        run();
    double ns = (now() - start) / REPS;
    return is_wrong(run, 1 + REPS) ? -1 : ns;
}
