/* What more workers bring: speed-up, efficiency, and the two laws that say how far it goes, from measured runs.
 *
 * Use it before buying a bigger machine. Amdahl (1967): a job whose serial share is s cannot become faster than 1 / s, here
 * 1 / (s + (1 - s) / p) on p workers. Gustafson (1988): with p times the work on p workers it is p - s (p - 1), s being the
 * serial share of that larger run. Measured values below the laws' are what starting, waiting and shared memory cost. */
#include <stdio.h>
#include <yoke.h>

enum { MOST = 4, PARTS = 64, STEPS = 4000000, NUMBERS = 400000 };

/* The parallel part: how many steps of Collatz's rule take the numbers from first on to 1. */
YOKE_TASK(long, collatz, (long, first), (long, count))
{
    long steps = 0;
    for (long i = first; i < first + count; i++)
        for (long n = i; n != 1; steps++)
            n = n % 2 ? 3 * n + 1 : n / 2;
    return steps;
}

/* Runs a serial part once and a parallel part `times` over, and tells what the first and all took, in nanoseconds. */
static void run(int workers, int times, int64_t *serial, int64_t *all)
{
    char uri[32];
    yoke_future *parts[MOST * PARTS];
    snprintf(uri, sizeof uri, "threads:%d", workers);
    yoke_executor *ex = yoke_open(uri);
    int64_t start = yoke_now();
    uint64_t power = 2;
    for (int i = 0; i < STEPS; i++)
        power = power * power % 4294967291u; /* serial by nature: each step needs the one before */
    *serial = yoke_now() - start;
    long steps = 0, size = NUMBERS / PARTS;
    for (int i = 0; i < times * PARTS; i++)
        parts[i] = yoke_submit(ex, collatz, 1 + i % PARTS * size, size);
    for (int i = 0; i < times * PARTS; i++)
        steps += yoke_await(parts[i], long);
    *all = yoke_now() - start;
    printf("%d workers, work x %d: power %lu, %ld steps\n", workers, times, (unsigned long)power, steps);
    yoke_close(ex);
}

int main(void)
{
    int64_t serial1, all1, serial, same, scaled;
    run(1, 1, &serial1, &all1);
    double s = (double)serial1 / (double)all1;
    for (int p = 2; p <= MOST; p *= 2) {
        run(p, 1, &serial, &same);
        double up = (double)all1 / (double)same, amdahl = 1 / (s + (1 - s) / p);
        printf("  speed-up %.2f, efficiency %.0f %%, Amdahl allows %.2f\n", up, 100 * up / p, amdahl);
        run(p, p, &serial, &scaled);
        up = (double)(serial1 + p * (all1 - serial1)) / (double)scaled;
        double gustafson = p - (double)serial / (double)scaled * (p - 1);
        printf("  scaled speed-up %.2f, Gustafson allows %.2f\n", up, gustafson);
    }
    return 0;
}
