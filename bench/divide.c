/* divide.c - divide and conquer beside oneTBB and the OpenMP of gcc and of clang: fib, n queens, quicksort, cilksort, matrix
 * multiplication, and the unbalanced trees UTS T1 and T3, with one worker and with two. All call the same kernels (kernels.h),
 * each checks its answer; peers are programs of their own (peers/), run in turn with yoke. */
#include "bench.h"
#include "kernels.h"
#include <yoke.h>

YOKE_FORK(long, fib, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(fib, n - 1);
    long b = yoke_call(fib, n - 2);
    return yoke_join(fib) + b;
}

YOKE_FORK(long, queens, (board, b), (int, depth))
{
    if (depth == 0)
        return queens_alone(b);
    int forked = 0;
    for (uint32_t here = free_columns(b); here; here &= here - 1, forked++)
        yoke_fork(queens, with_queen(b, here & (0u - here)), depth - 1);
    long n = 0;
    while (forked-- > 0)
        n += yoke_join(queens);
    return n;
}

YOKE_FORK(void, quicksort, (int32_t *, at), (size_t, n))
{
    if (n <= SORT_ALONE) {
        sort_alone(at, n);
        return;
    }
    size_t middle = partition(at, n);
    yoke_fork(quicksort, at, middle);
    yoke_call(quicksort, at + middle, n - middle);
    yoke_join(quicksort);
}

YOKE_FORK(void, merge, (const int32_t *, x), (size_t, n), (const int32_t *, y), (size_t, m), (int32_t *, to))
{
    if (n < m) {
        yoke_call(merge, y, m, x, n, to);
        return;
    }
    if (n + m <= SORT_ALONE) {
        merge_alone(x, n, y, m, to);
        return;
    }
    size_t i = n / 2, j = count_below(y, m, x[i]);
    yoke_fork(merge, x, i, y, j, to);
    yoke_call(merge, x + i, n - i, y + j, m - j, to + i + j);
    yoke_join(merge);
}

YOKE_FORK(void, cilksort, (int32_t *, at), (int32_t *, spare), (size_t, n))
{
    if (n <= SORT_ALONE) {
        sort_alone(at, n);
        return;
    }
    size_t half = n / 2;
    yoke_fork(cilksort, at, spare, half);
    yoke_call(cilksort, at + half, spare + half, n - half);
    yoke_join(cilksort);
    yoke_call(merge, at, half, at + half, n - half, spare);
    memcpy(at, spare, n * sizeof *at);
}

YOKE_FORK(void, matmul, (product, p))
{
    product first, second;
    if (is_block(p)) {
        matmul_alone(p);
    } else if (halve(p, &first, &second)) {
        yoke_fork(matmul, first);
        yoke_call(matmul, second);
        yoke_join(matmul);
    } else {
        yoke_call(matmul, first);
        yoke_call(matmul, second);
    }
}

YOKE_FORK_DECL(long, uts, (node, n), (int, binomial));

/* A child is made where it is searched, as the peers do it: its parent's state waits in the parent's frame. */
YOKE_FORK(long, uts_nth, (const node *, parent), (uint32_t, i), (int, binomial))
{
    return yoke_call(uts, uts_child(parent, i), binomial);
}

YOKE_FORK_IMPL(long, uts, (node, n), (int, binomial))
{
    uint32_t children = uts_children(&n, binomial);
    long total = 1;
    for (uint32_t i = 0; i < children; i++)
        yoke_fork(uts_nth, &n, i, binomial);
    for (uint32_t i = 0; i < children; i++)
        total += yoke_join(uts_nth);
    return total;
}

/* ---- One run each ---- */

static int32_t numbers[NUMBERS], spare[NUMBERS];
static float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];

static void run(yoke_executor *ex, const char *name)
{
    if (strcmp(name, "fib") == 0)
        BENCH_CHECK(yoke_run(ex, fib, FIB) == FIB_ANSWER);
    else if (strcmp(name, "queens") == 0)
        BENCH_CHECK(yoke_run(ex, queens, (board){0, 0, 0}, QUEENS_DEPTH) == QUEENS_ANSWER);
    else if (strcmp(name, "quicksort") == 0)
        yoke_run(ex, quicksort, numbers, NUMBERS);
    else if (strcmp(name, "cilksort") == 0)
        yoke_run(ex, cilksort, numbers, spare, NUMBERS);
    else if (strcmp(name, "matmul") == 0)
        yoke_run(ex, matmul, (product){a, b, c, SIDE, SIDE, SIDE});
    else if (strcmp(name, "uts-t1") == 0)
        BENCH_CHECK(yoke_run(ex, uts, uts_root(0), 0) == T1_NODES);
    else
        BENCH_CHECK(yoke_run(ex, uts, uts_root(1), 1) == T3_NODES);
}

static double ours(yoke_executor *ex, const char *name)
{
    fill_numbers(numbers);
    fill_matrices(a, b, c);
    double start = bench_now();
    run(ex, name);
    double took = bench_now() - start;
    if (strstr(name, "sort"))
        check_sorted(numbers);
    if (strcmp(name, "matmul") == 0)
        check_product(c);
    return took;
}

/* ---- In turn with the peers ---- */

enum { PEERS = 3 };
static const char *const peers[PEERS] = {"tbb", "gcc", "clang"};

static double theirs(const char *which, const char *name, int threads)
{
    char command[4300];
    snprintf(command, sizeof command, "ulimit -s unlimited; OMP_STACKSIZE=64M %s/bench-peer-%s %s %d", BENCH_BUILD, which, name,
             threads);
    return peer(command);
}

static void compare(const char *name, int rounds)
{
    static samples us[2], them[2][PEERS], best, gain;
    char text[100];
    memset(us, 0, sizeof us);
    memset(them, 0, sizeof them);
    for (int r = 0; r < rounds; r++)
        for (int threads = 1; threads <= 2; threads++) {
            char uri[32];
            snprintf(uri, sizeof uri, "threads:%d", threads);
            yoke_executor *ex = yoke_open(uri);
            sample(&us[threads - 1], ours(ex, name));
            yoke_close(ex);
            for (int p = 0; p < PEERS; p++)
                sample(&them[threads - 1][p], theirs(peers[p], name, threads));
        }
    for (int threads = 1; threads <= 2; threads++) {
        samples *u = &us[threads - 1];
        best.n = 0;
        snprintf(text, sizeof text, "%s, yoke, %d", name, threads);
        row(text, u, 1e-6, "ms");
        for (int p = 0; p < PEERS; p++) {
            snprintf(text, sizeof text, "%s, %s, %d", name, peers[p], threads);
            row(text, &them[threads - 1][p], 1e-6, "ms");
        }
        for (int r = 0; r < rounds; r++) {
            double least = them[threads - 1][0].v[r];
            for (int p = 1; p < PEERS; p++)
                least = least < them[threads - 1][p].v[r] ? least : them[threads - 1][p].v[r];
            sample(&best, least);
        }
        ratio_row("  times faster than the best peer", &best, u, "more than 1");
    }
    gain = us[0];
    ratio_row("  two workers against one", &gain, &us[1], "at least 1.9 where the work allows");
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"fib", "queens", "quicksort", "cilksort", "matmul", "uts-t1", "uts-t3"};
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
    head("divide and conquer");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (argc < 3 || strcmp(argv[2], names[i]) == 0)
            compare(names[i], strncmp(names[i], "uts", 3) == 0 ? (rounds + 1) / 2 : rounds);
    return 0;
}
