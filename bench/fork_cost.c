/* fork_cost.c - fib, for fork_cost.py to count its instructions: fork_cost forks|calls N. */
#include "../tests/threads/fib.h"
#include "bench.h"

__attribute__((noinline)) static long alone(int n)
{
    return n < 2 ? n : alone(n - 1) + alone(n - 2);
}

int main(int argc, char **argv)
{
    BENCH_CHECK(argc == 3);
    int n = (int)strtol(argv[2], NULL, 10);
    yoke_executor *ex = yoke_open("inline"); /* no thief: nothing but the short ways */
    long v = strcmp(argv[1], "forks") == 0 ? yoke_run(ex, fib, n) : alone(n);
    BENCH_CHECK(v == (n == 16 ? 987 : n == 22 ? 17711 : -1));
    return yoke_close(ex);
}
