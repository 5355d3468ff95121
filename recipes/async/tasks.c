/* Three computations take turns on one thread, each step by step: a factorial, a Fibonacci number, a binomial coefficient.
 *
 * Use it for things that go on at the same time and mostly wait. They need no locks among themselves, since another runs
 * only where one waits, and the group ends when all three have. */
#include <stdio.h>
#include <yoke.h>

static int factorial(void *arg)
{
    long f = 1, n = *(long *)arg;
    for (long i = 2; i <= n; i++) {
        printf("factorial: step %ld\n", i);
        yoke_sleep(YOKE_MS);
        f *= i;
    }
    printf("factorial(%ld) = %ld\n", n, f);
    return 0;
}

static int fibonacci(void *arg)
{
    long a = 0, b = 1, n = *(long *)arg;
    for (long i = 0; i < n; i++) {
        printf("fibonacci: step %ld\n", i);
        yoke_sleep(YOKE_MS);
        b += a;
        a = b - a;
    }
    printf("fibonacci(%ld) = %ld\n", n, a);
    return 0;
}

static int binomial(void *arg)
{
    long c = 1, n = *(long *)arg, k = n / 2;
    for (long i = 1; i <= k; i++) {
        printf("binomial: step %ld\n", i);
        yoke_sleep(YOKE_MS);
        c = c * (n - k + i) / i;
    }
    printf("binomial(%ld, %ld) = %ld\n", n, k, c);
    return 0;
}

static int all(void *err)
{
    long n = 10, m = 20;
    YOKE_GROUP(g, err) {
        yoke_go(&g, factorial, &n);
        yoke_go(&g, fibonacci, &n);
        yoke_go(&g, binomial, &m);
    }
    return *(int *)err;
}

int main(void)
{
    int err = 0;
    return yoke_async_run(all, &err);
}
