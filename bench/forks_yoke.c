/* forks_yoke.c - the problems of bench/forks.h with yoke's fork and join, on the pool `forks_pool`. */
#include "forks.h"
#include "../tests/threads/fib.h"

YOKE_FORK(long, queens, (board, b))
{
    if (b.columns == QUEENS_ALL)
        return 1;
    long n = 0;
    int forked = 0;
    for (uint32_t left = queens_free(b); left; left &= left - 1, forked++)
        yoke_fork(queens, queens_put(b, left & -left));
    while (forked-- > 0)
        n += yoke_join(queens);
    return n;
}

YOKE_FORK(void, quick, (int *, v), (long, n))
{
    if (n <= SORT_LEAF) {
        quick_leaf(v, n);
        return;
    }
    long k = quick_split(v, n);
    yoke_fork(quick, v, k);
    yoke_call(quick, v + k, n - k);
    yoke_join(quick);
}

YOKE_FORK(void, merge, (const int *, a), (long, na), (const int *, b), (long, nb), (int *, to))
{
    if (na + nb <= MERGE_LEAF) {
        merge_leaf(a, na, b, nb, to);
        return;
    }
    if (na < nb) {
        yoke_call(merge, b, nb, a, na, to);
        return;
    }
    long i = na / 2, j = lower(b, nb, a[i]);
    yoke_fork(merge, a, i, b, j, to);
    yoke_call(merge, a + i, na - i, b + j, nb - j, to + i + j);
    yoke_join(merge);
}

YOKE_FORK(void, cilksort, (int *, v), (int *, tmp), (long, n))
{
    if (n <= SORT_LEAF) {
        quick_leaf(v, n);
        return;
    }
    long q = n / 4, h = 2 * q;
    yoke_fork(cilksort, v, tmp, q);
    yoke_fork(cilksort, v + q, tmp + q, q);
    yoke_fork(cilksort, v + h, tmp + h, q);
    yoke_call(cilksort, v + h + q, tmp + h + q, n - h - q);
    yoke_join(cilksort);
    yoke_join(cilksort);
    yoke_join(cilksort);
    yoke_fork(merge, v, q, v + q, q, tmp);
    yoke_call(merge, v + h, q, v + h + q, n - h - q, tmp + h);
    yoke_join(merge);
    yoke_call(merge, tmp, h, tmp + h, n - h, v);
}

YOKE_FORK(void, multiply, (int, i), (int, j), (int, n))
{
    if (n == BLOCK) {
        multiply_leaf(i, j);
        return;
    }
    int h = n / 2;
    yoke_fork(multiply, i, j, h);
    yoke_fork(multiply, i, j + h, h);
    yoke_fork(multiply, i + h, j, h);
    yoke_call(multiply, i + h, j + h, h);
    yoke_join(multiply);
    yoke_join(multiply);
    yoke_join(multiply);
}

YOKE_FORK(long, uts, (const uts_tree *, t), (uts_node, n))
{
    int children = uts_children(t, &n);
    long nodes = 1;
    for (int i = 0; i < children; i++)
        yoke_fork(uts, t, uts_child(&n, i));
    for (int i = 0; i < children; i++)
        nodes += yoke_join(uts);
    return nodes;
}

struct yoke_executor *forks_pool;

long run_fib(int n)
{
    return yoke_run(forks_pool, fib, n);
}

long run_queens(void)
{
    return yoke_run(forks_pool, queens, (board){0, 0, 0});
}

void run_quick(int *v, long n)
{
    yoke_run(forks_pool, quick, v, n);
}

void run_merge(int *v, int *tmp, long n)
{
    yoke_run(forks_pool, cilksort, v, tmp, n);
}

void run_matmul(void)
{
    yoke_run(forks_pool, multiply, 0, 0, SIDE);
}

long run_uts(const uts_tree *t)
{
    return yoke_run(forks_pool, uts, t, uts_root(t));
}
