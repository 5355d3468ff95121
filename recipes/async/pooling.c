/* Ten items, one after the other, on a pool of threads, and on a pool of processes.
 *
 * Use it when there are many calls of one function and it does not matter which of them is first: the same lines submit to
 * any executor, and only its name decides what the calls cost and what a crash would cost. */
#include <stdio.h>
#include <yoke.h>

enum { ITEMS = 10 };

YOKE_TASK(long, count, (long, item))
{
    long n = 0;
    for (long i = 0; i < 2000000; i++)
        n += i % 7 == item % 7;
    return n;
}

static void on(const char *executor)
{
    yoke_executor *ex = yoke_open(executor);
    yoke_future *counts[ITEMS], *f;
    int64_t start = yoke_now();
    long sum = 0;
    for (int i = 0; i < ITEMS; i++)
        counts[i] = yoke_submit(ex, count, i + 1);
    yoke_completion *done = yoke_as_completed(counts, ITEMS); /* each as soon as it is there */
    while ((f = yoke_next_completed(done)))
        sum += yoke_await(f, long);
    yoke_completion_close(done);
    printf("%-12s %ld in %.2f s\n", executor, sum, (double)(yoke_now() - start) / 1e9);
    yoke_close(ex);
}

int main(void)
{
    on("inline");
    on("threads:5");
    on("processes:5");
    return 0;
}
