#include <stdio.h>
#include <yoke.h>

YOKE_TASK(double, half, (double, x, "any number"))
{
    return x / 2;
}

int main(void)
{
    yoke_executor *ex = yoke_open("threads"); /* or "inline", "processes:4" */
    yoke_future *f = yoke_submit(ex, half, 42);
    printf("%g\n", yoke_await(f, double));
    return yoke_close(ex);
}
