/* Futures in coroutines: two sums, on threads, while the coroutine that awaits them lets others run; and one that fails.
 *
 * Use it where a coroutine has something to compute. It submits to an executor whose threads or processes do it, and awaits: that
 * suspends the coroutine, not the loop. */
#include <stdio.h>
#include <yoke.h>

YOKE_TASK(long, sum_of_integers, (long, n))
{
    long sum = 0;
    for (long i = 1; i <= n; i++)
        sum += i;
    return sum;
}

YOKE_TASK(long, factorial, (long, n))
{
    long f = 1;
    if (n > 20)
        return yoke_fail(ERANGE, "the factorial of %ld does not fit", n);
    for (long i = 2; i <= n; i++)
        f *= i;
    return f;
}

static int ticks(void *arg)
{
    long *n = arg;
    while (yoke_sleep(100 * YOKE_US) == 0)
        ++*n;
    return -ECANCELED;
}

static int run(void *arg)
{
    yoke_executor *ex = arg;
    long ticked = 0, value;
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, ticks, &ticked); /* goes on meanwhile */
    yoke_future *sum = yoke_submit(ex, sum_of_integers, 200000000), *small = yoke_submit(ex, factorial, 10),
                *large = yoke_submit(ex, factorial, 30);
    printf("the factorial of 10 is %ld\n", yoke_await(small, long));
    printf("the sum up to 200000000 is %ld\n", yoke_await(sum, long));
    if (yoke_try(large, &value) < 0)
        printf("%s\n", yoke_error(large));
    yoke_group_cancel(&g);
    yoke_group_end(&g);
    printf("the other coroutine went on meanwhile: %s\n", ticked > 0 ? "yes" : "no");
    return 0;
}

int main(void)
{
    yoke_executor *ex = yoke_open("threads:2");
    int err = yoke_async_run(run, ex);
    yoke_close(ex);
    return err;
}
