/* forks.h - the problems of bench/forks.c and crowd.py, as far as they are the same for every runtime: inputs, the leaves of each
 * recursion, and the checks of the answers. Their code is in forks_common.c, compiled once, so that none has the better compiler.
 * What differs is how a runtime forks and joins: forks_yoke.c does it with yoke, forks_omp.c with OpenMP tasks,
 * forks_tbb.cpp with oneTBB.
 *
 * A peer is a program that waits for a problem's name on stdin, solves it once and prints the time in ns (peer_main()): so it
 * keeps its threads between runs, as yoke does, and can be measured in turn with it. */
#ifndef YK_BENCH_FORKS_H
#define YK_BENCH_FORKS_H
#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FIB = 32, FIB_ANSWER = 2178309,
    QUEENS = 11, QUEENS_ANSWER = 2680, QUEENS_ALL = (1 << QUEENS) - 1,
    KEYS = 4000000, SORT_LEAF = 2048, MERGE_LEAF = 4096,
    SIDE = 512, BLOCK = 32
};

/* ---- n queens ---- */

typedef struct board {
    uint32_t columns, left, right; /* attacked in the next row */
} board;

static inline uint32_t queens_free(board b)
{
    return QUEENS_ALL & ~(b.columns | b.left | b.right);
}

static inline board queens_put(board b, uint32_t bit)
{
    board next = {b.columns | bit, (b.left | bit) << 1, (b.right | bit) >> 1};
    return next;
}

/* ---- Unbalanced trees ----
 *
 * After Olivier et al., "UTS: An Unbalanced Tree Search Benchmark" (LCPC 2006): a node is a SHA-1 digest, from which the number
 * of its children follows, and a child's digest is that of its parent's with the child's number. So a tree of millions of
 * nodes, known to the last of them, needs no memory. */

typedef struct uts_node {
    uint8_t state[20];
    int height;
} uts_node;

typedef struct uts_tree {
    const char *name;
    int binomial;      /* else geometric, with the same expectation at each height */
    double b0;         /* children of the root (binomial), expected children (geometric) */
    int heights;       /* geometric: no children from here on */
    double q;          /* binomial: probability of having children */
    int m;             /* binomial: and how many */
    unsigned seed;
    long nodes;        /* as published with the benchmark */
} uts_tree;

/* ---- Leaves ---- */

/* Two parts around a pivot: the return value is the length of the first, and neither is empty. */
long quick_split(int *v, long n);
/* Sorts, alone. */
void quick_leaf(int *v, long n);
void merge_leaf(const int *a, long na, const int *b, long nb, int *to);
/* How many of v[0..n) are less than x. */
long lower(const int *v, long n, int x);
/* The block at row i, column j of the product. */
void multiply_leaf(int i, int j);

uts_node uts_root(const uts_tree *t);
uts_node uts_child(const uts_node *parent, int number);
int uts_children(const uts_tree *t, const uts_node *n);

/* ---- The problems ---- */

enum { P_FIB, P_QUEENS, P_QUICK, P_MERGE, P_MATMUL, P_T1, P_T3, PROBLEMS };
extern const char *const problem_names[PROBLEMS];

/* forks_yoke.c solves on this pool. */
struct yoke_executor;
extern struct yoke_executor *forks_pool;

/* What a runtime offers. */
long run_fib(int n);
long run_queens(void);
void run_quick(int *v, long n);
void run_merge(int *v, int *tmp, long n);
void run_matmul(void);
long run_uts(const uts_tree *t);

/* Solves one: the time in ns. Ends the program when the answer is wrong. */
double solve(int problem);
/* Solves what stdin names, until it ends. */
int peer_main(void);

#ifdef __cplusplus
}
#endif
#endif
