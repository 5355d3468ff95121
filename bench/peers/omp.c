/* omp.c - OpenMP tasks as a peer of bench/divide.c: omp NAME THREADS runs one benchmark and prints its nanoseconds. Built with
 * gcc (libgomp) and with clang (libomp). */
#include "../kernels.h"
#include <omp.h>

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

static long queens(board b, int depth)
{
    if (depth == 0)
        return queens_alone(b);
    long parts[QUEENS] = {0}, n = 0;
    int forked = 0;
    for (uint32_t here = free_columns(b); here; here &= here - 1, forked++) {
        uint32_t bit = here & (0u - here);
#pragma omp task firstprivate(bit, forked) shared(parts)
        parts[forked] = queens(with_queen(b, bit), depth - 1);
    }
#pragma omp taskwait
    for (int i = 0; i < forked; i++)
        n += parts[i];
    return n;
}

static void quicksort(int32_t *a, size_t n)
{
    if (n <= SORT_ALONE) {
        sort_alone(a, n);
        return;
    }
    size_t middle = partition(a, n);
#pragma omp task
    quicksort(a, middle);
    quicksort(a + middle, n - middle);
#pragma omp taskwait
}

static void merge(const int32_t *a, size_t n, const int32_t *b, size_t m, int32_t *to)
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
#pragma omp task
    merge(a, i, b, j, to);
    merge(a + i, n - i, b + j, m - j, to + i + j);
#pragma omp taskwait
}

static void cilksort(int32_t *a, int32_t *spare, size_t n)
{
    if (n <= SORT_ALONE) {
        sort_alone(a, n);
        return;
    }
    size_t half = n / 2;
#pragma omp task
    cilksort(a, spare, half);
    cilksort(a + half, spare + half, n - half);
#pragma omp taskwait
    merge(a, half, a + half, n - half, spare);
    memcpy(a, spare, n * sizeof *a);
}

static void matmul(product p)
{
    product first, second;
    if (is_block(p)) {
        matmul_alone(p);
        return;
    }
    if (halve(p, &first, &second)) {
#pragma omp task
        matmul(first);
        matmul(second);
#pragma omp taskwait
    } else {
        matmul(first);
        matmul(second);
    }
}

static long uts(node n, int binomial)
{
    uint32_t children = uts_children(&n, binomial);
    long few[100], *parts = few, total = 1;
    if (children > 100) /* the root of T3 */
        kernel_check((parts = malloc(children * sizeof *parts)) != NULL, "memory");
    for (uint32_t i = 0; i < children; i++) {
#pragma omp task firstprivate(i) shared(parts, n)
        parts[i] = uts(uts_child(&n, i), binomial);
    }
#pragma omp taskwait
    for (uint32_t i = 0; i < children; i++)
        total += parts[i];
    if (parts != few)
        free(parts);
    return total;
}

static int32_t *numbers, *spare;
static float *a, *b, *c;

static void run(const char *name)
{
    if (strcmp(name, "fib") == 0)
        kernel_check(fib(FIB) == FIB_ANSWER, name);
    else if (strcmp(name, "queens") == 0)
        kernel_check(queens((board){0, 0, 0}, QUEENS_DEPTH) == QUEENS_ANSWER, name);
    else if (strcmp(name, "quicksort") == 0)
        quicksort(numbers, NUMBERS);
    else if (strcmp(name, "cilksort") == 0)
        cilksort(numbers, spare, NUMBERS);
    else if (strcmp(name, "matmul") == 0)
        matmul((product){a, b, c, SIDE, SIDE, SIDE});
    else if (strcmp(name, "uts-t1") == 0)
        kernel_check(uts(uts_root(0), 0) == T1_NODES, name);
    else if (strcmp(name, "uts-t3") == 0)
        kernel_check(uts(uts_root(1), 1) == T3_NODES, name);
    else
        kernel_check(0, "no such benchmark");
}

int main(int argc, char **argv)
{
    kernel_check(argc == 3, "usage: NAME THREADS");
    numbers = malloc(NUMBERS * sizeof *numbers);
    spare = malloc(NUMBERS * sizeof *spare);
    a = malloc(SIDE * SIDE * sizeof *a);
    b = malloc(SIDE * SIDE * sizeof *b);
    c = malloc(SIDE * SIDE * sizeof *c);
    kernel_check(numbers && spare && a && b && c, "memory");
    fill_numbers(numbers);
    memset(spare, 0, NUMBERS * sizeof *spare);
    fill_matrices(a, b, c);
    omp_set_num_threads((int)strtol(argv[2], NULL, 10));
    double took = 0;
#pragma omp parallel
#pragma omp single
    {
        double start = kernel_now();
        run(argv[1]);
        took = kernel_now() - start;
    }
    if (strstr(argv[1], "sort"))
        check_sorted(numbers);
    if (strcmp(argv[1], "matmul") == 0)
        check_product(c);
    printf("%.0f\n", took);
    return 0;
}
