/* nth: the n-th element, by parting and looking on in the part that holds it.
 *
 * Two elements of a sorted sample that most likely have the n-th between them are the pivots: with a sample of about the square
 * root of n, some per cent of the elements lie between them, and the next round has only these. A round is one pass of ordered
 * blocks (crew.c) and one to bring the parts back. The places before the low pivot are known as soon as the blocks before are
 * counted; those after the high one are filled from the end, downwards, for the same reason; what is between stays at the front
 * of its block until the sizes of all parts are known. Each part keeps its order, so equal elements are told apart as by a
 * stable sort, and nothing depends on who did which block.
 *
 * Where a round has not halved the range, as among many equal elements, the next takes one pivot: what is equal to it then is a
 * part of its own, done with. Too many rounds, for which the sample must have been met by a hostile input, end in a sort. */
#include "threads/crew.h"
#include <stdlib.h>
#include <yoke/sort.h>

enum {
    FEW = 256,               /* are sorted */
    ROUNDS = 16,             /* before the rest is sorted */
    SAMPLE_MOST = 16384,     /* a power of 2 */
    BLOCK_BYTES = 128 << 10, /* within the second-level cache of any core */
    ON_STACK = 4096
};

/* How many belong to the sides; the rest of a block, or of all, is between. */
typedef struct sides {
    size_t count[2]; /* before the low pivot, after the high one */
} sides;

typedef struct parting {
    const yk_order *order;
    const void *args;
    size_t size, block, blocks;
    char *base, *spare; /* n elements; spare has room for two pivots more */
    size_t n;
    const char *low, *high;
    sides all;
    yk_chain *chain; /* what the blocks have; NULL: there is one */
} parting;

static size_t block_length(const parting *p, size_t k)
{
    return YK_MIN(p->block, p->n - k * p->block);
}

static size_t between(const parting *p)
{
    return p->n - p->all.count[0] - p->all.count[1];
}

/* ---- One round: the parts into `spare` ---- */

static void no_sides(void *acc)
{
    *(sides *)acc = (sides){{0, 0}};
}

static void add_sides(void *acc, const void *other)
{
    sides *sum = acc;
    const sides *more = other;
    sum->count[0] += more->count[0];
    sum->count[1] += more->count[1];
}

static void count_block(void *arg, size_t k, void *value)
{
    const parting *p = arg;
    sides *s = value;
    p->order->tally(p->base + k * p->block * p->size, block_length(p, k), p->low, p->high, s->count, p->size, p->args);
}

static void count_and_split(void *arg, size_t k, const void *prefix, void *value)
{
    const parting *p = arg;
    const sides *at = prefix;
    sides *s = value;
    p->order->split(p->base + k * p->block * p->size, block_length(p, k), p->low, p->high, p->spare + at->count[0] * p->size,
                    p->spare + (p->n - at->count[1]) * p->size, s->count, p->size, p->args);
}

static void split_block(void *arg, size_t k, const void *prefix)
{
    sides again;
    count_and_split(arg, k, prefix, &again);
}

static void sides_before(const parting *p, size_t k, sides *s)
{
    memcpy(s, p->chain ? yk_chain_prefix(p->chain, k) : k == 0 ? &(sides){{0, 0}} : &p->all, sizeof *s);
}

/* What is between the pivots from the fronts of the blocks to its place. */
static void gather(size_t lo, size_t hi, const void *arg)
{
    const parting *p = *(parting *const *)arg;
    for (size_t k = lo; k < hi; k++) {
        sides from, to;
        sides_before(p, k, &from);
        sides_before(p, k + 1, &to);
        size_t here = block_length(p, k) - (to.count[0] - from.count[0]) - (to.count[1] - from.count[1]);
        size_t at = p->all.count[0] + k * p->block - from.count[0] - from.count[1];
        memcpy(p->spare + at * p->size, p->base + k * p->block * p->size, here * p->size);
    }
}

YK_INLINE void turn_round(const char *from_end, size_t n, char *to, size_t size)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * size, from_end - (i + 1) * size, size);
}

/* Back from `spare`: the part after the high pivot lies there in reverse. */
static void bring_back(size_t lo, size_t hi, const void *arg)
{
    const parting *p = *(parting *const *)arg;
    size_t turned = p->n - p->all.count[1], size = p->size;
    if (lo < turned) {
        size_t end = YK_MIN(hi, turned);
        memcpy(p->base + lo * size, p->spare + lo * size, (end - lo) * size);
        lo = end;
    }
    const char *from_end = p->spare + (p->n - (lo - YK_MIN(lo, turned))) * size;
    char *to = p->base + lo * size;
    if (size == 4)
        turn_round(from_end, hi - lo, to, 4);
    else if (size == 8)
        turn_round(from_end, hi - lo, to, 8);
    else
        turn_round(from_end, hi - lo, to, size);
}

static void part_alone(parting *p)
{
    p->block = p->n;
    p->blocks = 1;
    p->chain = NULL;
    count_and_split(p, 0, &(sides){{0, 0}}, &p->all);
    gather(0, 1, &p);
    bring_back(0, p->n, &p);
}

static int part_together(yoke_executor *ex, parting *p, yk_ordered *o)
{
    p->chain = &o->chain;
    int err = yk_ordered_run(ex, o);
    if (err < 0)
        return err;
    memcpy(&p->all, yk_chain_prefix(p->chain, p->blocks), sizeof p->all);
    yk_loop(ex, p->blocks, gather, &p);
    if (!yk_is_over())
        yk_loop(ex, p->n, bring_back, &p);
    return yk_is_over() ? -ECANCELED : 0;
}

/* 0 or -ECANCELED: without memory for a crew the calling thread does it, so that elements once moved get to their end. */
static int part(yoke_executor *ex, parting *p)
{
    p->block = YK_MAX((size_t)BLOCK_BYTES / p->size, 64);
    p->blocks = (p->n - 1) / p->block + 1;
    yk_ordered o = {.sum = count_block, .write = split_block, .both = count_and_split, .arg = p};
    int err = -ENOMEM;
    if (p->blocks > 1 && yk_chain_init(&o.chain, p->blocks, sizeof(sides), add_sides, no_sides) == 0) {
        err = part_together(ex, p, &o);
        p->chain = NULL;
        yk_chain_done(&o.chain);
    }
    if (err != -ENOMEM)
        return err;
    part_alone(p);
    return 0;
}

/* ---- Pivots ---- */

/* Splitmix64, Steele, Lea, Flood, 2014: the same sample every time. */
static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* One element out of each of `sample` stretches, sorted; the pivots go behind the n elements of `spare`. n > FEW. */
static void choose_pivots(parting *p, size_t k, unsigned round, bool one)
{
    size_t size = p->size, sample = SAMPLE_MOST, apart = 2;
    for (size_t limit = (size_t)SAMPLE_MOST / 4; limit > 16 && limit * limit > p->n; limit /= 2)
        sample /= 2;
    for (size_t i = sample; i >= 4; i /= 4)
        apart *= 2; /* about twice the square root: three or four standard deviations of a rank */
    size_t stretch = p->n / sample;
    for (size_t i = 0; i < sample; i++)
        memcpy(p->spare + i * size, p->base + (i * stretch + mixed(i * ROUNDS + round) % stretch) * size, size);
    char *sorted = p->spare + sample * size, *low = p->spare + p->n * size, *high = low + size;
    p->order->sort(p->spare, sorted, sample, true, size, p->args);
    size_t rank = YK_MIN((size_t)((double)k / (double)p->n * (double)sample), sample - 1);
    if (one)
        apart = 0;
    memcpy(low, sorted + (rank > apart ? rank - apart : 0) * size, size);
    memcpy(high, sorted + YK_MIN(rank + apart, sample - 1) * size, size);
    p->low = low;
    p->high = high;
}

/* ---- All ---- */

/* Narrows p down to the part that holds its k-th, then sorts that. */
static int find(yoke_executor *ex, parting *p, size_t k)
{
    bool one = false;
    for (unsigned round = 0; round < ROUNDS && p->n > FEW; round++) {
        choose_pivots(p, k, round, one);
        int err = part(ex, p);
        if (err < 0)
            return err;
        size_t before = p->all.count[0], middle = between(p), length = p->n;
        bool equal = !p->order->less(p->low, p->high, p->args);
        if (k < before) {
            p->n = before;
        } else if (k - before < middle) {
            if (equal)
                return 0;
            k -= before;
            p->base += before * p->size;
            p->n = middle;
        } else {
            k -= before + middle;
            p->base += (before + middle) * p->size;
            p->n = p->all.count[1];
        }
        one = p->n > length / 2;
    }
    return yk_sort_through(ex, p->base, p->spare, p->n, p->size, p->order, p->args);
}

static int nth(yoke_executor *ex, void *base, size_t n, size_t k, size_t size, const yk_order *order, const void *args)
{
    _Alignas(YK_CACHE_LINE) char few[ON_STACK];
    if (k >= n || !base)
        return -EINVAL;
    if (n == 1)
        return 0;
    if (yk_is_over())
        return -ECANCELED;
    if (size <= ON_STACK && n <= ON_STACK / size) {
        order->sort(base, few, n, false, size, args);
        return 0;
    }
    parting p = {.order = order, .args = args, .size = size, .base = base, .n = n};
    p.spare = n <= SIZE_MAX - 2 ? yk_scratch(n + 2, size) : NULL;
    if (!p.spare)
        return -ENOMEM;
    int err = find(ex, &p, k);
    free(p.spare);
    return err;
}

int yk_nth(yoke_executor *ex, void *base, size_t n, size_t k, size_t size, const yk_order *order, const void *args)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, nth(ex, base, n, k, size, order, args));
}

/* ---- Numbers alone ---- */

/* Floats by their bits, which is the total order; integers as they are. */
#define NUMBERS(suffix, T, BEFORE)                                                                                     \
    YK_INLINE bool before_##suffix(const void *x, const void *y, const void *args)                                     \
    {                                                                                                                  \
        return BEFORE(T, x, y);                                                                                        \
    }                                                                                                                  \
    YK_ORDER_FUNCTIONS(of_##suffix, sizeof(T), before_##suffix)                                                        \
    int yoke_nth_##suffix(yoke_executor *ex, T *base, size_t n, size_t k)                                              \
    {                                                                                                                  \
        return yk_nth(ex, base, n, k, sizeof(T), &yk_order_of_##suffix, NULL);                                         \
    }
#define BY_VALUE(T, x, y) (*(const T *)(x) < *(const T *)(y))
#define BY_BITS(T, x, y) (bits_of(x, sizeof(T)) < bits_of(y, sizeof(T)))

YK_INLINE uint64_t bits_of(const void *x, size_t size)
{
    uint64_t raw = 0;
    memcpy(&raw, x, size);
    return yk_key_bits(raw, 8 * (unsigned)size, true, false);
}

NUMBERS(i8, int8_t, BY_VALUE)
NUMBERS(i16, int16_t, BY_VALUE)
NUMBERS(i32, int32_t, BY_VALUE)
NUMBERS(i64, int64_t, BY_VALUE)
NUMBERS(u8, uint8_t, BY_VALUE)
NUMBERS(u16, uint16_t, BY_VALUE)
NUMBERS(u32, uint32_t, BY_VALUE)
NUMBERS(u64, uint64_t, BY_VALUE)
NUMBERS(f32, float, BY_BITS)
NUMBERS(f64, double, BY_BITS)
