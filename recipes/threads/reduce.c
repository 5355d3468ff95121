/* Mean and variance in one parallel pass, the same to the last bit on any number of workers; then a running balance.
 *
 * Use it when a loop only adds up: say what the state is, how an element enters it, and how the states of two neighbouring parts
 * become one. Here it is Welford's count, mean and sum of squares, combined after Chan, Golub and LeVeque (1979), which stays
 * exact where a sum of squares would not. A scan gives every state on the way instead of the last one. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>

enum { N = 1000000 };
static double x[N], balance[N];

typedef struct moments {
    double n, mean, squares;
} moments;

static void add(moments *a, const moments *b)
{
    double n = a->n + b->n, d = b->mean - a->mean;
    if (n > 0)
        *a = (moments){n, a->mean + d * b->n / n, a->squares + b->squares + d * d * a->n * b->n / n};
}

YOKE_REDUCE(moments, describe, i, acc, other, ({0, 0, 0}), (add(acc, other)), (const double *, v))
{
    add(acc, &(moments){1, v[i], 0});
}

YOKE_SCAN(double, running, i, acc, other, (0), (*acc += *other), (const double *, v))
{
    *acc += v[i];
}

int main(void)
{
    for (int i = 0; i < N; i++)
        x[i] = i % 7 - 3 + 1e6;
    moments first = {0, 0, 0};
    for (int workers = 1; workers <= 8; workers *= 2) {
        char uri[20];
        snprintf(uri, sizeof uri, "threads:%d", workers);
        yoke_executor *ex = yoke_open(uri);
        moments m = yoke_reduce(ex, N, describe, x);
        int err = yoke_scan(ex, N, balance, running, x);
        if (workers == 1)
            first = m;
        printf("%d workers: mean %.6f, variance %.6f, %s; balance %.0f%s\n", workers, m.mean, m.squares / m.n,
               memcmp(&m, &first, sizeof m) == 0 ? "the same bits" : "other bits", balance[N - 1], err ? ", failed" : "");
        yoke_close(ex);
    }
    return 0;
}
