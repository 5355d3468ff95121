/* forks_omp.c THREADS - the problems of forks.h with OpenMP tasks: a peer of forks.c, built twice, with gcc for libgomp and with
 * clang for libomp. */
#include "forks.h"
#include <omp.h>

static int threads;

static long fib(int n)
{
    if (n < 2)
        return n;
    long a, b;
#pragma omp task shared(a)
    a = fib(n - 1);
    b = fib(n - 2);
#pragma omp taskwait
    return a + b;
}

static long queens(board b)
{
    if (b.columns == QUEENS_ALL)
        return 1;
    long parts[QUEENS] = {0}, sum = 0;
    int forked = 0;
    for (uint32_t left = queens_free(b); left; left &= left - 1, forked++) {
        board next = queens_put(b, left & -left);
#pragma omp task firstprivate(next, forked) shared(parts)
        parts[forked] = queens(next);
    }
#pragma omp taskwait
    for (int i = 0; i < forked; i++)
        sum += parts[i];
    return sum;
}

static void quick(int *v, long n)
{
    if (n <= SORT_LEAF) {
        quick_leaf(v, n);
        return;
    }
    long k = quick_split(v, n);
#pragma omp task
    quick(v, k);
    quick(v + k, n - k);
#pragma omp taskwait
}

static void merge(const int *a, long na, const int *b, long nb, int *to)
{
    if (na + nb <= MERGE_LEAF) {
        merge_leaf(a, na, b, nb, to);
        return;
    }
    if (na < nb) {
        merge(b, nb, a, na, to);
        return;
    }
    long i = na / 2, j = lower(b, nb, a[i]);
#pragma omp task
    merge(a, i, b, j, to);
    merge(a + i, na - i, b + j, nb - j, to + i + j);
#pragma omp taskwait
}

static void sort(int *v, int *tmp, long n)
{
    if (n <= SORT_LEAF) {
        quick_leaf(v, n);
        return;
    }
    long q = n / 4, h = 2 * q;
#pragma omp task
    sort(v, tmp, q);
#pragma omp task
    sort(v + q, tmp + q, q);
#pragma omp task
    sort(v + h, tmp + h, q);
    sort(v + h + q, tmp + h + q, n - h - q);
#pragma omp taskwait
#pragma omp task
    merge(v, q, v + q, q, tmp);
    merge(v + h, q, v + h + q, n - h - q, tmp + h);
#pragma omp taskwait
    merge(tmp, h, tmp + h, n - h, v);
}

static void multiply(int i, int j, int n)
{
    if (n == BLOCK) {
        multiply_leaf(i, j);
        return;
    }
    int h = n / 2;
#pragma omp task
    multiply(i, j, h);
#pragma omp task
    multiply(i, j + h, h);
#pragma omp task
    multiply(i + h, j, h);
    multiply(i + h, j + h, h);
#pragma omp taskwait
}

/* Nodes counted by each thread, apart. */
static struct {
    long nodes;
    char apart[120];
} counts[64];

static void uts(const uts_tree *t, uts_node n)
{
    counts[omp_get_thread_num()].nodes++;
    int children = uts_children(t, &n);
    for (int i = 0; i < children; i++) {
        uts_node child = uts_child(&n, i);
#pragma omp task firstprivate(child)
        uts(t, child);
    }
#pragma omp taskwait
}

#define IN_PARALLEL(STATEMENT)                                                                                         \
    _Pragma("omp parallel num_threads(threads)")                                                                       \
    _Pragma("omp single")                                                                                              \
    STATEMENT

long run_fib(int n)
{
    long v = 0;
    IN_PARALLEL(v = fib(n);)
    return v;
}

long run_queens(void)
{
    long v = 0;
    board none = {0, 0, 0};
    IN_PARALLEL(v = queens(none);)
    return v;
}

void run_quick(int *v, long n)
{
    IN_PARALLEL(quick(v, n);)
}

void run_merge(int *v, int *tmp, long n)
{
    IN_PARALLEL(sort(v, tmp, n);)
}

void run_matmul(void)
{
    IN_PARALLEL(multiply(0, 0, SIDE);)
}

long run_uts(const uts_tree *t)
{
    long v = 0;
    memset(counts, 0, sizeof counts);
    IN_PARALLEL(uts(t, uts_root(t));)
    for (int i = 0; i < 64; i++)
        v += counts[i].nodes;
    return v;
}

int main(int argc, char **argv)
{
    threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
    return peer_main();
}
