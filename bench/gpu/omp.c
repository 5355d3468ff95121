/* omp.c LOG2N - the same as yoke.c in C with OpenMP, on the CPU: triad, sum and scan, in gcc's plain form. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t n;
static float *x, *y, *z;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void triad(void)
{
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++)
        z[i] = 2 * x[i] + y[i];
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

int main(int argc, char **argv)
{
    char line[64];
    n = (size_t)1 << (argc > 1 ? strtoul(argv[1], NULL, 10) : 24);
    x = aligned_alloc(64, n * 4);
    y = aligned_alloc(64, n * 4);
    z = aligned_alloc(64, n * 4);
    if (!x || !y || !z)
        return 1;
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(i % 1000) / 1000;
        y[i] = 0.5f;
        z[i] = 0;
    }
    printf("OpenMP\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        void (*run)(void) = strcmp(line, "triad") == 0 ? triad : strcmp(line, "sum") == 0 ? sum : NULL;
        run = strcmp(line, "scan") == 0 ? scan : run;
        if (!run)
            return 1;
        double start = now();
        for (int r = 0; r < 3; r++)
            run();
        double ns = (now() - start) / 3;
        if (run == triad && z[1001] != 2 * x[1] + 0.5f)
            return 1;
        printf("%.1f\n", ns);
        fflush(stdout);
    }
    return 0;
}
