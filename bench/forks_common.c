/* forks_common.c: the parts of the problems of forks.h that are the same for every runtime. */
#include "forks.h"
#include <math.h>

const char *const problem_names[PROBLEMS] = {"fib", "queens", "quicksort", "cilksort", "matmul", "uts-t1", "uts-t3"};

/* ---- Sorting: the same keys each time ---- */

static int *keys, *spare;

/* xorshift32, Marsaglia, 2003. */
static uint32_t next_key(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

static void make_keys(void)
{
    uint32_t x = 12345;
    if (!keys) {
        keys = malloc(KEYS * sizeof *keys);
        spare = malloc(KEYS * sizeof *spare);
        BENCH_CHECK(keys && spare);
    }
    for (int i = 0; i < KEYS; i++) {
        keys[i] = (int)next_key(&x);
    }
}

static void check_keys(void)
{
    uint32_t sum = 0, expected = 0, x = 12345;
    for (int i = 0; i < KEYS; i++) {
        BENCH_CHECK(i == 0 || keys[i - 1] <= keys[i]);
        sum += (uint32_t)keys[i];
        expected += next_key(&x);
    }
    BENCH_CHECK(sum == expected);
}

/* Two parts around a pivot: the return value is the length of the first, and neither is empty. */
long quick_split(int *v, long n)
{
    int a = v[0], b = v[n / 2], c = v[n - 1];
    int pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    long i = -1, j = n;
    for (;;) {
        while (v[++i] < pivot)
            ;
        while (v[--j] > pivot)
            ;
        if (i >= j)
            return j + 1;
        int t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

/* A leaf of both sorts. */
void quick_leaf(int *v, long n)
{
    while (n > 16) {
        long k = quick_split(v, n);
        quick_leaf(v, k);
        v += k;
        n -= k;
    }
    for (long i = 1; i < n; i++) {
        int x = v[i];
        long j = i;
        for (; j > 0 && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

void merge_leaf(const int *a, long na, const int *b, long nb, int *to)
{
    while (na > 0 && nb > 0) {
        int from_b = *b < *a;
        *to++ = from_b ? *b : *a;
        b += from_b;
        nb -= from_b;
        a += !from_b;
        na -= !from_b;
    }
    memcpy(to, na > 0 ? a : b, (size_t)(na + nb) * sizeof *to);
}

/* How many of v[0..n) are less than x. */
long lower(const int *v, long n, int x)
{
    long lo = 0;
    while (n > 0) {
        long half = n / 2;
        int less = v[lo + half] < x;
        lo += less ? half + 1 : 0;
        n = less ? n - half - 1 : half;
    }
    return lo;
}

/* ---- Matrix multiplication: blocks of SIDE x SIDE matrices ---- */

/* Rows are a little longer than the matrix: at a power of two all rows of a block would fall into the same few sets of the
 * cache, and where the linker puts the arrays would decide the time. */
typedef float matrix[SIDE][SIDE + 16];
static _Alignas(64) matrix left_matrix, right_matrix, product;

static void make_matrices(void)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            left_matrix[i][j] = (float)(i % 7);
            right_matrix[i][j] = (float)(j % 5);
            product[i][j] = 0;
        }
}

static void check_product(void)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            BENCH_CHECK(product[i][j] == (float)(SIDE * (i % 7) * (j % 5)));
}

/* product[i..][j..] += left[i..][k..] * right[k..][j..], for one range of k after the other. */
void multiply_leaf(int i, int j)
{
    enum { DEPTH = 64 };
    for (int from = 0; from < SIDE; from += DEPTH)
        for (int r = i; r < i + BLOCK; r++) {
            float sums[BLOCK];
            memcpy(sums, &product[r][j], sizeof sums);
            for (int k = from; k < from + DEPTH; k++)
                for (int c = 0; c < BLOCK; c++)
                    sums[c] += left_matrix[r][k] * right_matrix[k][j + c];
            memcpy(&product[r][j], sums, sizeof sums);
        }
}

/* ---- Unbalanced trees ---- */

static uint32_t uts_rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* SHA-1 of at most 55 bytes: one block. */
static void uts_sha1(const uint8_t *bytes, size_t n, uint8_t digest[20])
{
    uint8_t block[64] = {0};
    uint32_t w[80], h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(block, bytes, n);
    block[n] = 0x80;
    block[62] = (uint8_t)(n * 8 >> 8);
    block[63] = (uint8_t)(n * 8);
    for (int i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 80; i++)
        w[i] = uts_rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
#define UTS_ROUNDS(FROM, F, K)                                                                                         \
    for (int i = FROM; i < FROM + 20; i++) {                                                                           \
        uint32_t t = uts_rotate(a, 5) + (F) + e + K + w[i];                                                            \
        e = d, d = c, c = uts_rotate(b, 30), b = a, a = t;                                                             \
    }
    UTS_ROUNDS(0, (b & c) | (~b & d), 0x5a827999)
    UTS_ROUNDS(20, b ^ c ^ d, 0x6ed9eba1)
    UTS_ROUNDS(40, (b & c) | (b & d) | (c & d), 0x8f1bbcdc)
    UTS_ROUNDS(60, b ^ c ^ d, 0xca62c1d6)
#undef UTS_ROUNDS
    uint32_t sum[5] = {h[0] + a, h[1] + b, h[2] + c, h[3] + d, h[4] + e};
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(sum[i / 4] >> (24 - 8 * (i % 4)));
}

uts_node uts_root(const uts_tree *t)
{
    uint8_t seed[20] = {0};
    for (int i = 0; i < 4; i++)
        seed[16 + i] = (uint8_t)(t->seed >> (24 - 8 * i));
    uts_node root = {.height = 0};
    uts_sha1(seed, sizeof seed, root.state);
    return root;
}

uts_node uts_child(const uts_node *parent, int number)
{
    uint8_t text[24];
    memcpy(text, parent->state, 20);
    for (int i = 0; i < 4; i++)
        text[20 + i] = (uint8_t)((unsigned)number >> (24 - 8 * i));
    uts_node child = {.height = parent->height + 1};
    uts_sha1(text, sizeof text, child.state);
    return child;
}

int uts_children(const uts_tree *t, const uts_node *n)
{
    double u = (big_endian(n->state + 16) & 0x7fffffff) / 2147483648.0;
    if (t->binomial)
        return n->height == 0 ? (int)t->b0 : u < t->q ? t->m : 0;
    if (n->height >= t->heights)
        return 0;
    int children = (int)floor(log(1 - u) / log(1 - 1 / (1 + t->b0)));
    return children > 100 ? 100 : children;
}

/* ---- Solving ---- */

static const uts_tree UTS_T1 = {"T1", 0, 4, 10, 0, 0, 19, 4130071};
static const uts_tree UTS_T3 = {"T3", 1, 2000, 0, 0.124875, 8, 42, 4112897};

static void prepare(int problem)
{
    if (problem == P_QUICK || problem == P_MERGE)
        make_keys();
    if (problem == P_MATMUL)
        make_matrices();
}

static void check_answer(int problem, long answer)
{
    static const long answers[PROBLEMS] = {FIB_ANSWER, QUEENS_ANSWER, 0, 0, 0, 4130071, 4112897};
    BENCH_CHECK(answer == answers[problem]);
    if (problem == P_QUICK || problem == P_MERGE)
        check_keys();
    if (problem == P_MATMUL)
        check_product();
}

double solve(int problem)
{
    long answer = 0;
    prepare(problem);
    double start = bench_now();
    switch (problem) {
    case P_FIB: answer = run_fib(FIB); break;
    case P_QUEENS: answer = run_queens(); break;
    case P_QUICK: run_quick(keys, KEYS); break;
    case P_MERGE: run_merge(keys, spare, KEYS); break;
    case P_MATMUL: run_matmul(); break;
    case P_T1: answer = run_uts(&UTS_T1); break;
    default: answer = run_uts(&UTS_T3); break;
    }
    double took = bench_now() - start;
    check_answer(problem, answer);
    return took;
}

static int problem_named(const char *name)
{
    for (int i = 0; i < PROBLEMS; i++)
        if (strcmp(name, problem_names[i]) == 0)
            return i;
    return -1;
}

int peer_main(void)
{
    char name[32];
    while (scanf("%31s", name) == 1) {
        int problem = problem_named(name);
        if (problem < 0)
            return 2;
        printf("%.0f\n", solve(problem));
        fflush(stdout);
    }
    return 0;
}
