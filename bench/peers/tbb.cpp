/* tbb.cpp - oneTBB as a peer of bench/divide.c: tbb NAME THREADS runs one benchmark and prints its nanoseconds. */
#include "../kernels.h"
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <vector>

namespace {

using oneapi::tbb::parallel_invoke;
using oneapi::tbb::task_group;

long fib(int n)
{
    if (n < 2)
        return n;
    long a = 0, b = 0;
    task_group g;
    g.run([&] { a = fib(n - 1); });
    b = fib(n - 2);
    g.wait();
    return a + b;
}

long queens(board b, int depth)
{
    if (depth == 0)
        return queens_alone(b);
    long parts[QUEENS] = {0}, n = 0;
    int forked = 0;
    task_group g;
    for (uint32_t here = free_columns(b); here; here &= here - 1, forked++) {
        uint32_t bit = here & (0u - here);
        g.run([=, &parts] { parts[forked] = queens(with_queen(b, bit), depth - 1); });
    }
    g.wait();
    for (int i = 0; i < forked; i++)
        n += parts[i];
    return n;
}

void quicksort(int32_t *a, size_t n)
{
    if (n <= SORT_ALONE) {
        sort_alone(a, n);
        return;
    }
    size_t middle = partition(a, n);
    parallel_invoke([=] { quicksort(a, middle); }, [=] { quicksort(a + middle, n - middle); });
}

void merge(const int32_t *a, size_t n, const int32_t *b, size_t m, int32_t *to)
{
    if (n < m) {
        merge(b, m, a, n, to);
        return;
    }
    if (n + m <= SORT_ALONE) {
        merge_alone(a, n, b, m, to);
        return;
    }
    size_t i = n / 2, j = count_below(b, m, a[i]);
    parallel_invoke([=] { merge(a, i, b, j, to); }, [=] { merge(a + i, n - i, b + j, m - j, to + i + j); });
}

void cilksort(int32_t *a, int32_t *spare, size_t n)
{
    if (n <= SORT_ALONE) {
        sort_alone(a, n);
        return;
    }
    size_t half = n / 2;
    parallel_invoke([=] { cilksort(a, spare, half); }, [=] { cilksort(a + half, spare + half, n - half); });
    merge(a, half, a + half, n - half, spare);
    memcpy(a, spare, n * sizeof *a);
}

void matmul(product p)
{
    product first, second;
    if (is_block(p)) {
        matmul_alone(p);
    } else if (halve(p, &first, &second)) {
        parallel_invoke([=] { matmul(first); }, [=] { matmul(second); });
    } else {
        matmul(first);
        matmul(second);
    }
}

long uts(node n, int binomial)
{
    uint32_t children = uts_children(&n, binomial);
    if (children == 0)
        return 1;
    std::vector<long> parts(children);
    task_group g;
    for (uint32_t i = 0; i < children; i++)
        g.run([&parts, &n, i, binomial] { parts[i] = uts(uts_child(&n, i), binomial); });
    g.wait();
    long total = 1;
    for (long part : parts)
        total += part;
    return total;
}

std::vector<int32_t> numbers(NUMBERS), spare(NUMBERS);
std::vector<float> a(SIDE *SIDE), b(SIDE *SIDE), c(SIDE *SIDE);

void run(const char *name)
{
    if (strcmp(name, "fib") == 0)
        kernel_check(fib(FIB) == FIB_ANSWER, name);
    else if (strcmp(name, "queens") == 0)
        kernel_check(queens({0, 0, 0}, QUEENS_DEPTH) == QUEENS_ANSWER, name);
    else if (strcmp(name, "quicksort") == 0)
        quicksort(numbers.data(), NUMBERS);
    else if (strcmp(name, "cilksort") == 0)
        cilksort(numbers.data(), spare.data(), NUMBERS);
    else if (strcmp(name, "matmul") == 0)
        matmul({a.data(), b.data(), c.data(), SIDE, SIDE, SIDE});
    else if (strcmp(name, "uts-t1") == 0)
        kernel_check(uts(uts_root(0), 0) == T1_NODES, name);
    else if (strcmp(name, "uts-t3") == 0)
        kernel_check(uts(uts_root(1), 1) == T3_NODES, name);
    else
        kernel_check(0, "no such benchmark");
}

} // namespace

int main(int argc, char **argv)
{
    kernel_check(argc == 3, "usage: NAME THREADS");
    int threads = (int)strtol(argv[2], NULL, 10);
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, (size_t)threads);
    oneapi::tbb::global_control stack(oneapi::tbb::global_control::thread_stack_size, (size_t)64 << 20);
    fill_numbers(numbers.data());
    fill_matrices(a.data(), b.data(), c.data());
    oneapi::tbb::task_arena arena(threads);
    double took = 0;
    arena.execute([&] {
        oneapi::tbb::parallel_for(0, threads * 1000, [](int) {}); /* its threads are there before the clock starts */
        double start = kernel_now();
        run(argv[1]);
        took = kernel_now() - start;
    });
    if (strstr(argv[1], "sort"))
        check_sorted(numbers.data());
    if (strcmp(argv[1], "matmul") == 0)
        check_product(c.data());
    printf("%.0f\n", took);
    return 0;
}
