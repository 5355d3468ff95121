/* array_folds: every reduction, once, as array_ops.h has operations. r is what has been taken so far, of type A: T itself
 * (V), or a T and where it stands (AT). START sets it to nothing; TAKE takes a, the element number i, into it; JOIN takes b,
 * another that has taken other elements; LAST makes the result z of it. LOW and HIGH are T's least and largest.
 *
 * Joining is associative and commutative but for rounding, and for places it prefers the first: so a device may join in any
 * order. */
#ifndef YK_ARRAY_FOLDS_H
#define YK_ARRAY_FOLDS_H
#include "gpu/array_ops.h"

/* X(name, kind of T, what A is, START, TAKE, JOIN, LAST) */
#define YK_FOLDS(X)                                                                                                    \
    X(sum, wides, V, r = 0;, r = (T)((U)r + (U)a);, r = (T)((U)r + (U)b);, z = r;)                                     \
    X(sum, floats, V, r = 0;, r += a;, r += b;, z = r;)                                                                \
    X(prod, wides, V, r = 1;, r = (T)((U)r * (U)a);, r = (T)((U)r * (U)b);, z = r;)                                    \
    X(prod, floats, V, r = 1;, r *= a;, r *= b;, z = r;)                                                               \
    X(min, whole, V, r = HIGH;, r = a < r ? a : r;, r = b < r ? b : r;, z = r;)                                        \
    X(min, floats, V, r = HIGH;, r = ((a < r) | (a != a)) ? a : r;, r = ((b < r) | (b != b)) ? b : r;, z = r;)         \
    X(max, whole, V, r = LOW;, r = a > r ? a : r;, r = b > r ? b : r;, z = r;)                                         \
    X(max, floats, V, r = LOW;, r = ((a > r) | (a != a)) ? a : r;, r = ((b > r) | (b != b)) ? b : r;, z = r;)          \
    X(any, bools, V, r = 0;, r |= a;, r |= b;, z = r;)                                                                 \
    X(all, bools, V, r = 1;, r &= a;, r &= b;, z = r;)                                                                 \
    X(argmin, whole, AT, r.v = 0; r.at = -1;, if (r.at < 0 || a < r.v) { r.v = a; r.at = i; },                         \
      if (b.at >= 0 && (r.at < 0 || b.v < r.v || (b.v == r.v && b.at < r.at))) r = b;, z = r.at;)                      \
    X(argmin, floats, AT, r.v = 0; r.at = -1;,                                                                         \
      if (r.at < 0 || a < r.v || (a != a && r.v == r.v)) { r.v = a; r.at = i; },                                       \
      if (b.at >= 0 && (r.at < 0 || b.v < r.v || (b.v != b.v && r.v == r.v)                                            \
          || ((b.v == r.v || (b.v != b.v && r.v != r.v)) && b.at < r.at))) r = b;, z = r.at;)                          \
    X(argmax, whole, AT, r.v = 0; r.at = -1;, if (r.at < 0 || a > r.v) { r.v = a; r.at = i; },                         \
      if (b.at >= 0 && (r.at < 0 || b.v > r.v || (b.v == r.v && b.at < r.at))) r = b;, z = r.at;)                      \
    X(argmax, floats, AT, r.v = 0; r.at = -1;,                                                                         \
      if (r.at < 0 || a > r.v || (a != a && r.v == r.v)) { r.v = a; r.at = i; },                                       \
      if (b.at >= 0 && (r.at < 0 || b.v > r.v || (b.v != b.v && r.v == r.v)                                            \
          || ((b.v == r.v || (b.v != b.v && r.v != r.v)) && b.at < r.at))) r = b;, z = r.at;)

#define YK_EACH_wides(M, ...) M(I64, int64_t, uint64_t, __VA_ARGS__) M(U64, uint64_t, uint64_t, __VA_ARGS__)

enum { YK_FOLD_sum, YK_FOLD_prod, YK_FOLD_min, YK_FOLD_max, YK_FOLD_any, YK_FOLD_all, YK_FOLD_argmin, YK_FOLD_argmax,
      YK_FOLD_COUNT };

/* The C form: of n flat elements of T, the first of which is number at. acc and other are arrays of A. */
typedef struct yk_fold {
    const char *name;
    size_t size; /* of an A */
    void (*start)(size_t n, void *acc);
    void (*take)(size_t n, size_t at, const void *in, void *acc);      /* all into one A, numbered at, at + 1... */
    void (*take_each)(size_t n, size_t at, const void *in, void *acc); /* one into each A, all of number at */
    void (*widen_each)(size_t n, size_t at, const void *in, void *acc); /* the same of floats, into doubles; or NULL */
    void (*join)(size_t n, void *acc, const void *other);
    void (*scan)(size_t n, size_t at, const void *in, void *acc, void *out); /* and what there is after each, as last() */
    void (*last)(size_t n, const void *acc, void *out); /* as T, places as i64 */
    unsigned out;                                       /* the type of what last() writes */
    const char *acc_text, *start_text, *take_text, *join_text, *last_text;
} yk_fold;
extern const yk_fold yk_folds[YK_FOLD_COUNT][YK_TYPES];

#endif
