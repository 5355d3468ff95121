/* bench.h - small tools for benchmarks: samples with min, median and max, ratios of interleaved pairs, and checks.
 *
 * A benchmark runs yoke and its peer in turn, in one process run, so that a change of the machine's speed meets both; it
 * checks every answer; it prints, and timing never decides its exit code. */
#ifndef YK_BENCH_H
#define YK_BENCH_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_SAMPLES = 4096 };

typedef struct samples {
    double v[BENCH_SAMPLES];
    int n;
} samples;

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* BENCH_ROUNDS=N in the environment: how often each measurement is taken, for a quick look or a long one. */
static inline int bench_rounds(int usual)
{
    const char *text = getenv("BENCH_ROUNDS");
    int rounds = text ? (int)strtol(text, NULL, 10) : usual;
    if (rounds < 1 || rounds > BENCH_SAMPLES) {
        fprintf(stderr, "BENCH_ROUNDS: expected 1 to %d, got \"%s\"\n", BENCH_SAMPLES, text);
        exit(2);
    }
    return rounds;
}

/* Before each measurement: until the threads of the one before sleep. libgomp's spin for some 10 ms after they have finished. */
static inline void bench_calm(void)
{
    usleep(30000);
}

static inline void sample(samples *s, double v)
{
    if (s->n < BENCH_SAMPLES)
        s->v[s->n++] = v;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The q-th part (0 to 1) of the samples in order. A row of nothing is no figure: it ends the benchmark as a failure. */
static inline double quantile(const samples *s, double q)
{
    static double sorted[BENCH_SAMPLES];
    if (s->n == 0) {
        fprintf(stderr, "nothing was measured for the next row\n");
        exit(1);
    }
    memcpy(sorted, s->v, (size_t)s->n * sizeof(double));
    qsort(sorted, (size_t)s->n, sizeof(double), bench_compare);
    return sorted[(int)(q * (s->n - 1) + 0.5)];
}

/* One row: name, then min, median, max of the samples times scale. */
static inline void row(const char *name, const samples *s, double scale, const char *unit)
{
    printf("%-56s %10.3f %10.3f %10.3f %s\n", name, quantile(s, 0) * scale, quantile(s, 0.5) * scale, quantile(s, 1) * scale,
           unit);
}

/* The ratio a/b pair by pair. */
static inline void ratio_row(const char *name, const samples *a, const samples *b, const char *goal)
{
    static samples r;
    r.n = 0;
    for (int i = 0; i < a->n && i < b->n; i++)
        sample(&r, a->v[i] / b->v[i]);
    printf("%-56s %10.2f %10.2f %10.2f x   (goal: %s)\n", name, quantile(&r, 0), quantile(&r, 0.5), quantile(&r, 1), goal);
}

static inline void head(const char *title)
{
    printf("\n%-56s %10s %10s %10s\n", title, "min", "median", "max");
}

/* What a peer program prints: one number. A comparison without its peer is none, so its failure is the benchmark's. */
static inline double peer(const char *command)
{
    double v = 0;
    FILE *p = popen(command, "r");
    bool measured = p && fscanf(p, "%lf", &v) == 1;
    if (!p || pclose(p) != 0 || !measured || !(v > 0)) {
        fprintf(stderr, "the peer did not run: %s\n", command);
        exit(1);
    }
    return v;
}

/* bench/NAME in the source tree, wherever the benchmark is started. */
static inline const char *bench_file(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", BENCH_SOURCE, name);
    return path;
}

#define BENCH_CHECK(condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: wrong answer: %s\n", __FILE__, __LINE__, #condition);                              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
#endif
