/* fib.h - the shortest fork that there is something to steal from, for tests and benchmarks. */
#ifndef YK_TEST_FIB_H
#define YK_TEST_FIB_H
#include <yoke.h>

YOKE_FORK(long, fib, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(fib, n - 1);
    long b = yoke_call(fib, n - 2);
    return yoke_join(fib) + b;
}

#endif
