/* algorithm: find, count, select, unique, least and greatest, histograms.
 *
 * find is a crew's work: blocks go out in increasing order, and a hit takes back all that are beyond it. select and unique are
 * ordered blocks (crew.c): each says in bits which elements stay, and copies them when it is known how many stay before it. The
 * rest count or choose in parts that are then taken together in order. */
#include "threads/crew.h"
#include <stdlib.h>
#include <yoke/algorithm.h>
#include <yoke/sort.h>

enum { WORD = 64 };

/* How many indices make a block, given what the first WORD of them took: some tens of microseconds, in whole words if they are
 * cheap. */
static size_t block_for(int64_t took, size_t most)
{
    int64_t each = took / WORD + 1;
    size_t block = (size_t)(32 * YOKE_US / each);
    return YK_MIN(YK_MAX(block, 1), most);
}

/* ---- find ---- */

typedef struct search {
    const yk_predicate *p;
    const void *args;
    size_t n, block;
    _Atomic size_t found; /* the best hit, or the sum of all */
} search;

static void find_in_block(yk_crew *c, size_t k, yk_member *m)
{
    search *s = c->arg;
    size_t lo = k * s->block, hi = s->n - lo > s->block ? lo + s->block : s->n, at = s->p->first(lo, hi, s->args);
    size_t best = atomic_load_explicit(&s->found, memory_order_relaxed);
    if (at == hi)
        return;
    while (at < best && !atomic_compare_exchange_weak_explicit(&s->found, &best, at, memory_order_relaxed, memory_order_relaxed))
        ;
    yk_crew_end_at(c, k);
}

size_t yk_find(yoke_executor *ex, size_t n, const yk_predicate *p, const void *args)
{
    enum { BLOCK_MOST = 32768 };
    search s = {.p = p, .args = args, .n = n};
    size_t some = YK_MIN(n, (size_t)WORD);
    int64_t start = yoke_now();
    size_t at = p->first(0, some, args);
    if (at < some || n == some)
        return at;
    s.block = block_for(yoke_now() - start, BLOCK_MOST);
    atomic_init(&s.found, n);
    yk_crew crew = {.block = find_in_block, .arg = &s};
    return yk_crew_run(ex, &crew, n / s.block + (n % s.block > 0)) < 0 ? n : atomic_load(&s.found);
}

/* ---- count ---- */

static void add_counts(size_t lo, size_t hi, const void *arg)
{
    search *s = *(search *const *)arg;
    atomic_fetch_add_explicit(&s->found, s->p->count(lo, hi, s->args), memory_order_relaxed);
}

size_t yk_count_if(yoke_executor *ex, size_t n, const yk_predicate *p, const void *args)
{
    search s = {.p = p, .args = args, .n = n}, *self = &s;
    yk_loop(ex, n, add_counts, &self);
    return atomic_load(&s.found);
}

/* ---- select, unique ---- */

/* What both need: marks for up to 64 indices. */
typedef struct selection {
    uint64_t (*mark)(const struct selection *s, size_t lo, size_t hi);
    const yk_predicate *p;
    const yk_order *order;
    const void *args;
    const char *from;
    char *to;
    size_t n, size, block;
    uint64_t *bits; /* of all elements */
} selection;

static uint64_t mark_by_predicate(const selection *s, size_t lo, size_t hi)
{
    return s->p->mark(lo, hi, s->args);
}

static uint64_t mark_by_order(const selection *s, size_t lo, size_t hi)
{
    return s->order->differ(s->from, lo, hi, s->size, s->args);
}

static size_t word_end(const selection *s, size_t k)
{
    size_t per = s->block / WORD;
    return YK_MIN((k + 1) * per, s->n / WORD + (s->n % WORD > 0));
}

static void mark_block(void *arg, size_t k, void *value)
{
    selection *s = arg;
    size_t kept = 0;
    for (size_t w = k * (s->block / WORD); w < word_end(s, k); w++) {
        s->bits[w] = s->mark(s, w * WORD, YK_MIN((w + 1) * WORD, s->n));
        kept += (size_t)__builtin_popcountll(s->bits[w]);
    }
    memcpy(value, &kept, sizeof kept);
}

/* Elements whose bits are set, to the end of what is there. */
YK_INLINE void copy_marked(const selection *s, size_t k, size_t at, size_t size)
{
    char *to = s->to + at * size;
    for (size_t w = k * (s->block / WORD); w < word_end(s, k); w++) {
        const char *from = s->from + w * WORD * size;
        if (s->bits[w] == ~(uint64_t)0) {
            memcpy(to, from, WORD * size);
            to += WORD * size;
            continue;
        }
        for (uint64_t bits = s->bits[w]; bits; bits &= bits - 1, to += size)
            memcpy(to, from + (size_t)__builtin_ctzll(bits) * size, size);
    }
}

static void copy_block(void *arg, size_t k, const void *prefix)
{
    const selection *s = arg;
    size_t at;
    memcpy(&at, prefix, sizeof at);
    switch (s->size) {
    case 1:
        copy_marked(s, k, at, 1);
        break;
    case 4:
        copy_marked(s, k, at, 4);
        break;
    case 8:
        copy_marked(s, k, at, 8);
        break;
    default:
        copy_marked(s, k, at, s->size);
    }
}

static void zero_count(void *acc)
{
    memset(acc, 0, sizeof(size_t));
}

static void add_count(void *acc, const void *other)
{
    *(size_t *)acc += *(const size_t *)other;
}

static int keep_marked(yoke_executor *ex, selection *s, size_t *ret)
{
    enum { BLOCK_BYTES = 128 << 10, BLOCK_LEAST = 4096 };
    if (s->n == 0) {
        *ret = 0;
        return 0;
    }
    if (!s->from || !s->to)
        return -EINVAL;
    if (yk_is_over())
        return -ECANCELED;
    int64_t start = yoke_now();
    s->mark(s, 0, YK_MIN(s->n, (size_t)WORD));
    s->block = block_for(yoke_now() - start, YK_MAX((size_t)BLOCK_BYTES / YK_MAX(s->size, 1), (size_t)BLOCK_LEAST));
    s->block = YK_ALIGN_UP(s->block, WORD);
    yk_ordered o = {.sum = mark_block, .write = copy_block, .arg = s};
    int err = yk_chain_init(&o.chain, s->n / s->block + (s->n % s->block > 0), sizeof(size_t), add_count, zero_count);
    if (err < 0)
        return err;
    s->bits = yk_scratch(s->n / WORD + 1, sizeof *s->bits);
    err = s->bits ? yk_ordered_run(ex, &o) : -ENOMEM;
    if (err == 0)
        memcpy(ret, yk_chain_prefix(&o.chain, o.chain.n), sizeof *ret);
    free(s->bits);
    yk_chain_done(&o.chain);
    return err;
}

static int keep(yoke_executor *ex, selection *s, size_t *ret)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, keep_marked(ex, s, ret));
}

int yk_select(yoke_executor *ex, const void *from, size_t n, void *to, size_t *ret, size_t size, const yk_predicate *p,
              const void *args)
{
    selection s = {.mark = mark_by_predicate, .p = p, .args = args, .from = from, .to = to, .n = n, .size = size};
    return keep(ex, &s, ret);
}

int yk_unique(yoke_executor *ex, const void *from, size_t n, void *to, size_t *ret, size_t size, const yk_order *order,
              const void *args)
{
    selection s = {.mark = mark_by_order, .order = order, .args = args, .from = from, .to = to, .n = n, .size = size};
    return keep(ex, &s, ret);
}

/* ---- The least and the greatest ---- */

enum { BEST_PARTS = 256, BEST_LEAST = 16384 };

typedef struct contest {
    const char *base;
    const yk_order *order;
    const void *args;
    size_t n, size, parts, each;
    bool greatest;
    size_t best[BEST_PARTS];
} contest;

static void best_of_parts(size_t lo, size_t hi, const void *arg)
{
    contest *c = *(contest *const *)arg;
    for (size_t part = lo; part < hi; part++)
        c->best[part] = c->order->best(c->base, part * c->each, YK_MIN((part + 1) * c->each, c->n), c->greatest, c->size,
                                       c->args);
}

size_t yk_best(yoke_executor *ex, const void *base, size_t n, bool greatest, size_t size, const yk_order *order, const void *args)
{
    contest c = {.base = base, .order = order, .args = args, .n = n, .size = size, .greatest = greatest}, *self = &c;
    if (n == 0 || !base)
        return n == 0 ? 0 : SIZE_MAX;
    c.each = YK_MAX(n / BEST_PARTS + 1, (size_t)BEST_LEAST);
    c.parts = (n - 1) / c.each + 1;
    yk_loop(ex, c.parts, best_of_parts, &self);
    size_t best = c.best[0];
    for (size_t part = 1; part < c.parts; part++) {
        const char *x = c.base + c.best[part] * size, *y = c.base + best * size;
        if (order->less(greatest ? y : x, greatest ? x : y, args))
            best = c.best[part];
    }
    return best;
}

/* ---- Histograms ---- */

typedef struct tally {
    yk_bins *fill;
    const void *args;
    size_t n, bins, parts, tables; /* of each part */
    uint64_t *counts, *ret;        /* parts of `tables` tables of `bins` each; when filled the first has all of its part */
} tally;

static void fill_parts(size_t lo, size_t hi, const void *arg)
{
    const tally *t = *(tally *const *)arg;
    for (size_t part = lo; part < hi; part++) {
        size_t begin = t->n / t->parts * part + YK_MIN(part, t->n % t->parts);
        size_t end = begin + t->n / t->parts + (part < t->n % t->parts);
        size_t all = t->tables * t->bins;
        uint64_t *counts = t->counts + part * all;
        memset(counts, 0, all * sizeof *counts);
        t->fill(begin, end, t->bins, counts, t->tables > 1 ? t->bins : 0, t->args);
        for (size_t i = t->bins; i < all; i++)
            counts[i % t->bins] += counts[i];
    }
}

static void add_parts(size_t lo, size_t hi, const void *arg)
{
    const tally *t = *(tally *const *)arg;
    for (size_t bin = lo; bin < hi; bin++) {
        uint64_t sum = 0;
        for (size_t part = 0; part < t->parts; part++)
            sum += t->counts[part * t->tables * t->bins + bin];
        t->ret[bin] = sum;
    }
}

static int histogram(yoke_executor *ex, size_t n, size_t bins, uint64_t *counts, yk_bins *fill, const void *args)
{
    enum { PART = 32768, FEW_BINS = 512 }; /* few: their tables stay in the first level of the cache */
    tally t = {.fill = fill, .args = args, .n = n, .bins = bins, .ret = counts}, *self = &t;
    if (bins == 0)
        return 0;
    if (yk_is_over())
        return -ECANCELED;
    /* Adding the parts up should cost little beside counting. */
    t.parts = YK_MAX(YK_MIN(n / YK_MAX((size_t)PART, bins > SIZE_MAX / 4 ? bins : 4 * bins), 8 * (size_t)yk_width_of(ex)), 1);
    t.tables = bins <= FEW_BINS ? YK_BIN_TABLES : 1;
    size_t all;
    t.counts = __builtin_mul_overflow(t.parts * t.tables, bins, &all) ? NULL : yk_scratch(all, sizeof *t.counts);
    if (!t.counts)
        return -ENOMEM;
    yk_loop(ex, t.parts, fill_parts, &self);
    bool whole = !yk_is_over();
    if (whole)
        add_parts(0, bins, &self);
    free(t.counts);
    return whole ? 0 : -ECANCELED;
}

int yk_histogram(yoke_executor *ex, size_t n, size_t bins, uint64_t *counts, yk_bins *fill, const void *args)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, histogram(ex, n, bins, counts, fill, args));
}
