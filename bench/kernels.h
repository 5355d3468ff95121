/* kernels.h - what the fork-join benchmarks compute, apart from who runs it in parallel: leaves, inputs and answers. C and C++,
 * so that yoke and its peers call the same code. The leaves, where the time goes, are in kernels.c, compiled once by one
 * compiler: else it would be compilers that are compared. */
#ifndef YK_BENCH_KERNELS_H
#define YK_BENCH_KERNELS_H
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline double kernel_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void kernel_check(int right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "wrong answer: %s\n", what);
    exit(1);
}

/* ---- fib: nothing but forks ---- */
enum { FIB = 30, FIB_ANSWER = 832040 };

/* ---- n queens: forks down to a depth, then calls ---- */
enum { QUEENS = 12, QUEENS_ANSWER = 14200, QUEENS_DEPTH = 5 };
typedef struct board {
    uint32_t columns, left, right;
} board;

static inline uint32_t free_columns(board b)
{
    return ((1u << QUEENS) - 1) & ~(b.columns | b.left | b.right);
}

static inline board with_queen(board b, uint32_t bit)
{
    board next = {b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1};
    return next;
}

long queens_alone(board b);

/* ---- Sorting: quicksort, and mergesort with a parallel merge (cilksort) ---- */
enum { NUMBERS = 2000000, SORT_ALONE = 2048 };

static inline void fill_numbers(int32_t *a)
{
    uint32_t x = 12345;
    for (int i = 0; i < NUMBERS; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        a[i] = (int32_t)(x >> 1);
    }
}

static inline void check_sorted(const int32_t *a)
{
    static int64_t expected;
    int64_t sum = 0;
    if (expected == 0) {
        int32_t *fresh = (int32_t *)malloc(NUMBERS * sizeof *fresh);
        kernel_check(fresh != NULL, "memory");
        fill_numbers(fresh);
        for (int i = 0; i < NUMBERS; i++)
            expected += fresh[i];
        free(fresh);
    }
    for (int i = 0; i < NUMBERS; i++) {
        kernel_check(i == 0 || a[i - 1] <= a[i], "order");
        sum += a[i];
    }
    kernel_check(sum == expected, "the numbers");
}

static inline void swap_numbers(int32_t *a, int32_t *b)
{
    int32_t t = *a;
    *a = *b;
    *b = t;
}

/* Hoare's partition around the median of three; [0, result) and [result, n) are not empty for n >= 2. */
static inline size_t partition(int32_t *a, size_t n)
{
    int32_t x = a[0], y = a[(n - 1) / 2], z = a[n - 1];
    int32_t pivot = x < y ? (y < z ? y : x < z ? z : x) : (x < z ? x : y < z ? z : y);
    size_t i = 0, j = n - 1;
    for (;;) {
        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i >= j)
            return i > j ? i : (i == 0 ? 1 : i);
        swap_numbers(&a[i++], &a[j--]);
    }
}

void sort_alone(int32_t *a, size_t n);

void merge_alone(const int32_t *a, size_t n, const int32_t *b, size_t m, int32_t *to);

/* How many of the sorted b are below v. */
static inline size_t count_below(const int32_t *b, size_t m, int32_t v)
{
    size_t low = 0;
    while (low < m) {
        size_t middle = (low + m) / 2;
        if (b[middle] < v)
            low = middle + 1;
        else
            m = middle;
    }
    return low;
}

/* ---- Matrix multiplication, halving the longest side ---- */
enum { SIDE = 384, BLOCK = 48 };
typedef struct product {
    const float *a, *b;
    float *c;
    int rows, columns, inner;
} product;

static inline void fill_matrices(float *a, float *b, float *c)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i] = 1;
        b[i] = 2;
        c[i] = 0;
    }
}

static inline void check_product(const float *c)
{
    for (int i = 0; i < SIDE * SIDE; i++)
        kernel_check(c[i] == 2.0f * SIDE, "product");
}

void matmul_alone(product p);

static inline int is_block(product p)
{
    return p.rows <= BLOCK && p.columns <= BLOCK && p.inner <= BLOCK;
}

/* 1: the two halves write to different places; 0: to the same, so one comes after the other. */
static inline int halve(product p, product *first, product *second)
{
    *first = *second = p;
    if (p.rows >= p.columns && p.rows >= p.inner) {
        first->rows = p.rows / 2;
        second->rows = p.rows - first->rows;
        second->a += first->rows * SIDE;
        second->c += first->rows * SIDE;
        return 1;
    }
    if (p.columns >= p.inner) {
        first->columns = p.columns / 2;
        second->columns = p.columns - first->columns;
        second->b += first->columns;
        second->c += first->columns;
        return 1;
    }
    first->inner = p.inner / 2;
    second->inner = p.inner - first->inner;
    second->a += first->inner;
    second->b += first->inner * SIDE;
    return 0;
}

/* ---- UTS: Olivier and others, "UTS: An Unbalanced Tree Search Benchmark" (LCPC 2006). A node's children follow from a hash of
 * its state; the trees and their sizes are those of the published samples T1 (geometric) and T3 (binomial). ---- */
typedef struct node {
    uint8_t state[20];
    uint32_t depth;
} node;

enum { T1_NODES = 4130071, T3_NODES = 4112897 };

static inline uint32_t turn(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* SHA-1 (FIPS 180-4) of up to 55 bytes. */
void sha1(const uint8_t *bytes, size_t n, uint8_t digest[20]);

static inline uint32_t get_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void put_word(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline node uts_root(int binomial)
{
    node n;
    uint8_t seed[20] = {0};
    put_word(seed + 16, binomial ? 42 : 19);
    sha1(seed, sizeof seed, n.state);
    n.depth = 0;
    return n;
}

static inline node uts_child(const node *parent, uint32_t i)
{
    node n;
    uint8_t bytes[24];
    memcpy(bytes, parent->state, 20);
    put_word(bytes + 20, i);
    sha1(bytes, sizeof bytes, n.state);
    n.depth = parent->depth + 1;
    return n;
}

static inline uint32_t uts_children(const node *n, int binomial)
{
    uint32_t v = get_word(n->state + 16) & 0x7fffffff;
    double u = v / 2147483648.0;
    if (binomial)
        return n->depth == 0 ? 2000 : u < 0.124875 ? 8 : 0;
    if (n->depth >= 10)
        return 0;
    double count = floor(log(1 - u) / log(1 - 1.0 / (1.0 + 4.0)));
    return count > 100 ? 100 : (uint32_t)count;
}

#ifdef __cplusplus
}
#endif
#endif
