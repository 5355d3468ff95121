/* forks_tbb.cpp THREADS - the problems of forks.h with oneTBB's task_group: a peer of forks.c. */
#include "forks.h"
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

static long fib(int n)
{
    if (n < 2)
        return n;
    long a, b;
    tbb::task_group g;
    g.run([&a, n] { a = fib(n - 1); });
    b = fib(n - 2);
    g.wait();
    return a + b;
}

static long queens(board b)
{
    if (b.columns == QUEENS_ALL)
        return 1;
    long parts[QUEENS] = {0}, sum = 0;
    int forked = 0;
    tbb::task_group g;
    for (uint32_t left = queens_free(b); left; left &= left - 1, forked++) {
        board next = queens_put(b, left & -left);
        g.run([next, forked, &parts] { parts[forked] = queens(next); });
    }
    g.wait();
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
    tbb::task_group g;
    g.run([=] { quick(v, k); });
    quick(v + k, n - k);
    g.wait();
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
    tbb::task_group g;
    g.run([=] { merge(a, i, b, j, to); });
    merge(a + i, na - i, b + j, nb - j, to + i + j);
    g.wait();
}

static void sort(int *v, int *tmp, long n)
{
    if (n <= SORT_LEAF) {
        quick_leaf(v, n);
        return;
    }
    long q = n / 4, h = 2 * q;
    tbb::task_group g;
    g.run([=] { sort(v, tmp, q); });
    g.run([=] { sort(v + q, tmp + q, q); });
    g.run([=] { sort(v + h, tmp + h, q); });
    sort(v + h + q, tmp + h + q, n - h - q);
    g.wait();
    g.run([=] { merge(v, q, v + q, q, tmp); });
    merge(v + h, q, v + h + q, n - h - q, tmp + h);
    g.wait();
    merge(tmp, h, tmp + h, n - h, v);
}

static void multiply(int i, int j, int n)
{
    if (n == BLOCK) {
        multiply_leaf(i, j);
        return;
    }
    int h = n / 2;
    tbb::task_group g;
    g.run([=] { multiply(i, j, h); });
    g.run([=] { multiply(i, j + h, h); });
    g.run([=] { multiply(i + h, j, h); });
    multiply(i + h, j + h, h);
    g.wait();
}

static struct {
    long nodes;
    char apart[120];
} counts[64];

static void uts(const uts_tree *t, uts_node n)
{
    counts[tbb::this_task_arena::current_thread_index()].nodes++;
    int children = uts_children(t, &n);
    if (children == 0)
        return;
    tbb::task_group g;
    for (int i = 0; i < children; i++) {
        uts_node child = uts_child(&n, i);
        g.run([t, child] { uts(t, child); });
    }
    g.wait();
}

static tbb::task_arena *arena;

long run_fib(int n)
{
    return arena->execute([n] { return fib(n); });
}

long run_queens(void)
{
    return arena->execute([] { return queens(board{0, 0, 0}); });
}

void run_quick(int *v, long n)
{
    arena->execute([=] { quick(v, n); });
}

void run_merge(int *v, int *tmp, long n)
{
    arena->execute([=] { sort(v, tmp, n); });
}

void run_matmul(void)
{
    arena->execute([] { multiply(0, 0, SIDE); });
}

long run_uts(const uts_tree *t)
{
    long v = 0;
    memset(counts, 0, sizeof counts);
    arena->execute([t] { uts(t, uts_root(t)); });
    for (int i = 0; i < 64; i++)
        v += counts[i].nodes;
    return v;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
    tbb::global_control width(tbb::global_control::max_allowed_parallelism, (size_t)threads);
    tbb::global_control stack(tbb::global_control::thread_stack_size, 64 << 20);
    tbb::task_arena here(threads);
    arena = &here;
    return peer_main();
}
