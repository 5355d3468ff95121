/* merge: stable sorting by an order, made of forks.
 *
 * Halves are sorted by a fork each, down to leaves that fit a core's cache, going from one buffer to the other at each level,
 * so that no level copies back. Two sorted halves are merged in parallel too: the middle of the output is found in both by
 * co-ranking, and each half of the output is a merge of its own. A merge whose runs are in order already is a copy, so sorted
 * input costs a comparison a leaf beside it. */
#include "threads/crew.h"
#include "threads/fork.h"
#include <stdlib.h>
#include <yoke/sort.h>

enum {
    LEAF_BYTES = 64 << 10,   /* and as many beside them: within the second-level cache of any core */
    MERGE_BYTES = 128 << 10, /* of output, done in one go */
    ON_STACK = 4096
};

typedef struct sorter {
    const yk_order *order;
    const void *args;
    size_t size;
    size_t leaf, grain; /* elements */
} sorter;

/* How many of the first k elements of the merge come from the left run. */
static size_t co_rank(const sorter *s, size_t k, const char *l, size_t nl, const char *r, size_t nr)
{
    size_t low = k > nr ? k - nr : 0, high = YK_MIN(k, nl);
    while (low < high) {
        size_t i = low + (high - low) / 2; /* l[i] is among the first k unless r[k - i - 1] belongs before it */
        if (s->order->less(r + (k - i - 1) * s->size, l + i * s->size, s->args))
            high = i;
        else
            low = i + 1;
    }
    return low;
}

/* cppcheck-suppress unknownMacro ; it does not get through the macros of pp.h */
YOKE_FORK(void, yk_merge_range, (const void *, arg), (const char *, l), (size_t, nl), (const char *, r), (size_t, nr),
          (char *, out))
{
    const sorter *s = arg;
    if (nl + nr <= s->grain) {
        if (!yk_forks_is_over(yk_only_in_a_fork_body))
            s->order->merge(l, nl, r, nr, out, s->size, s->args);
        return;
    }
    size_t half = (nl + nr) / 2, i = co_rank(s, half, l, nl, r, nr), j = half - i;
    yoke_fork(yk_merge_range, s, l + i * s->size, nl - i, r + j * s->size, nr - j, out + half * s->size);
    yoke_call(yk_merge_range, s, l, i, r, j, out);
    yoke_join(yk_merge_range);
}

YOKE_FORK(void, yk_sort_range, (const void *, arg), (char *, base), (char *, spare), (size_t, n), (bool, into_spare))
{
    const sorter *s = arg;
    if (n <= s->leaf) {
        if (!yk_forks_is_over(yk_only_in_a_fork_body))
            s->order->sort(base, spare, n, into_spare, s->size, s->args);
        return;
    }
    size_t half = n / 2, at = half * s->size;
    yoke_fork(yk_sort_range, s, base + at, spare + at, n - half, !into_spare);
    yoke_call(yk_sort_range, s, base, spare, half, !into_spare);
    yoke_join(yk_sort_range);
    const char *from = into_spare ? base : spare;
    yoke_call(yk_merge_range, s, from, half, from + at, n - half, into_spare ? spare : base);
}

int yk_sort_through(yoke_executor *ex, char *base, char *spare, size_t n, size_t size, const yk_order *order, const void *args)
{
    sorter s = {.order = order, .args = args, .size = size};
    s.leaf = YK_MAX((size_t)LEAF_BYTES / size, 64);
    s.grain = YK_MAX((size_t)MERGE_BYTES / size, 64);
    if (n <= s.leaf) {
        order->sort(base, spare, n, false, size, args);
        return 0;
    }
    yoke_run(ex, yk_sort_range, &s, base, spare, n, false);
    return yk_is_over() ? -ECANCELED : 0;
}

static int sort_all(yoke_executor *ex, void *base, size_t n, size_t size, const yk_order *order, const void *args)
{
    _Alignas(YK_CACHE_LINE) char few[ON_STACK];
    if (n < 2 && (n == 0 || base))
        return 0;
    if (!base)
        return -EINVAL;
    if (yk_is_over())
        return -ECANCELED;
    if (size <= ON_STACK && n <= ON_STACK / size) {
        order->sort(base, few, n, false, size, args);
        return 0;
    }
    char *spare = yk_scratch(n, size);
    if (!spare)
        return -ENOMEM;
    int err = yk_sort_through(ex, base, spare, n, size, order, args);
    free(spare);
    return err;
}

int yk_sort(yoke_executor *ex, void *base, size_t n, size_t size, const yk_order *order, const void *args)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, sort_all(ex, base, n, size, order, args));
}

/* ---- By a function ---- */

typedef struct by_function {
    int (*compare)(const void *x, const void *y, void *arg);
    void *arg;
} by_function;

YK_INLINE bool is_before(const void *x, const void *y, const void *args)
{
    const by_function *f = args;
    return f->compare(x, y, f->arg) < 0;
}

YK_ORDER_FUNCTIONS(of_4, 4, is_before)
YK_ORDER_FUNCTIONS(of_8, 8, is_before)
YK_ORDER_FUNCTIONS(of_16, 16, is_before)
YK_ORDER_FUNCTIONS(of_any, yk_size, is_before)

int yoke_qsort(yoke_executor *ex, void *base, size_t n, size_t size, int (*compare)(const void *x, const void *y, void *arg),
               void *arg)
{
    const by_function f = {.compare = compare, .arg = arg};
    if (size == 0)
        return -EINVAL;
    const yk_order *order = size == 4    ? &yk_order_of_4
                            : size == 8  ? &yk_order_of_8
                            : size == 16 ? &yk_order_of_16
                                         : &yk_order_of_any;
    return yk_sort(ex, base, n, size, order, &f);
}
