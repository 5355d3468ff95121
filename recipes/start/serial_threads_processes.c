/* One function, three ways to run it: call after call, on the threads of this program, in processes of its own.
 *
 * Use it when work falls into calls that do not need each other, to find out what pays. Threads cost least and see the
 * same memory; processes cost some more and survive a call that crashes; neither pays for calls of a few nanoseconds. */
#include <stdio.h>
#include <yoke.h>

enum { PARTS = 32, UP_TO = 1000000 };

YOKE_TASK(long, count_primes, (long, from, "first number, at least 2"), (long, to, "the one after the last"))
{
    long count = 0;
    for (long n = from; n < to; n++) {
        long d = n % 2 == 0 ? 2 : 3;
        while (d * d <= n && n % d != 0)
            d += 2;
        count += d * d > n || d == n;
    }
    return count;
}

static long first(int part)
{
    return 2 + (UP_TO - 2L) * part / PARTS;
}

static long serial(void)
{
    long sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += count_primes(first(i), first(i + 1)); /* a task is an ordinary function */
    return sum;
}

static long on(yoke_executor *ex)
{
    yoke_future *parts[PARTS];
    long sum = 0;
    for (int i = 0; i < PARTS; i++)
        parts[i] = yoke_submit(ex, count_primes, first(i), first(i + 1));
    for (int i = 0; i < PARTS; i++)
        sum += yoke_await(parts[i], long);
    return sum;
}

int main(void)
{
    const char *names[] = {"serial", "threads", "processes"};
    double seconds[3];
    for (int i = 0; i < 3; i++) {
        yoke_executor *ex = i == 0 ? NULL : yoke_open(names[i]);
        int64_t start = yoke_now();
        long primes = ex ? on(ex) : serial();
        seconds[i] = (double)(yoke_now() - start) / 1e9;
        printf("%-10s %ld primes in %.3f s, speed-up %.2f\n", names[i], primes, seconds[i], seconds[0] / seconds[i]);
        yoke_close(ex);
    }
    return 0;
}
