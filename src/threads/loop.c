/* loop: parallel loops and reductions, made of forks.
 *
 * A range is done chunk by chunk. Before each chunk its worker looks whether somebody asks for work, and then forks the upper
 * half of what is left: lazy binary splitting (Tzannes, Caragea, Barua, Vishkin, PPoPP 2010) with the split deque's request
 * as the test. So a loop that nobody helps with costs a comparison a chunk, and one with help splits O(log n) times a thief.
 *
 * A chunk should take a few microseconds: long against reading the clock, short against waiting for the last one. Where there
 * are many iterations chunks begin at multiples of 64, so that a vectorised body does not read across lines of the cache all
 * along because a chunk before it had an odd number. */
#include "threads/fork.h"
#include "threads/pool.h"
#include <stdlib.h>
#include <yoke/loop.h>

#define CHUNK_LEAST (2 * YOKE_US)
#define CHUNK_MOST (8 * YOKE_US)
enum { BEGINS_AT = 64 };

typedef struct loop {
    yk_loop_chunk *chunk;
    const void *args;
    _Atomic size_t grain; /* iterations of a chunk; a hint, set by whoever measured last */
} loop;

static bool are_many(size_t length)
{
    return length >= 16 * BEGINS_AT;
}

/* `at`, or where many iterations lie before it, length of them, the multiple of 64 below. */
static size_t cut(size_t length, size_t at)
{
    return are_many(length) ? at - at % BEGINS_AT : at;
}

/* Does one chunk from lo on, at most up to hi, and learns from the time it took: from *clock, when the one before ended, until
 * *clock as it then is. Returns where it ended. */
static size_t do_chunk(loop *l, size_t lo, size_t hi, int64_t *clock)
{
    size_t grain = atomic_load_explicit(&l->grain, memory_order_relaxed), end = hi - lo > grain ? cut(grain, lo + grain) : hi;
    int64_t start = *clock;
    if (YK_UNLIKELY(lo % BEGINS_AT != 0 && are_many(end - lo))) /* behind a short one, while others made chunks longer */
        end = lo - lo % BEGINS_AT + BEGINS_AT;
    l->chunk(lo, end, l->args);
    *clock = yoke_now();
    int64_t took = *clock - start;
    if (took < CHUNK_LEAST && end < hi)
        atomic_store_explicit(&l->grain, grain * 2, memory_order_relaxed);
    else if (took > CHUNK_MOST && grain > 1)
        atomic_store_explicit(&l->grain, grain / 2, memory_order_relaxed);
    return end;
}

/* cppcheck-suppress unknownMacro ; it does not get through the macros of pp.h */
YOKE_FORK(void, yk_loop_range, (void *, arg), (size_t, lo), (size_t, hi))
{
    loop *l = arg;
    unsigned forked = 0;
    int64_t clock = yoke_now();
    while (lo < hi) {
        if (YK_UNLIKELY(!__atomic_load_n(&yk_only_in_a_fork_body->limit, __ATOMIC_RELAXED))) {
            if (yk_forks_is_over(yk_only_in_a_fork_body))
                break;
            if (hi - lo > 1) {
                size_t middle = cut(hi - lo, lo + (hi - lo + 1) / 2);
                yoke_fork(yk_loop_range, l, middle, hi);
                forked++;
                hi = middle;
            }
        }
        lo = do_chunk(l, lo, hi, &clock);
    }
    while (forked-- > 0)
        yoke_join(yk_loop_range);
}

int yk_loop(yoke_executor *ex, size_t n, yk_loop_chunk *chunk, const void *args)
{
    loop l = {.chunk = chunk, .args = args, .grain = 1};
    if (n == 0)
        return 0;
    yk_outside o;
    yk_outside_begin(&o);
    yoke_run(ex, yk_loop_range, &l, 0, n);
    return yk_outside_end(&o, yk_run_is_over(yk_current_run()) ? -ECANCELED : 0);
}

/* ---- Reductions ---- */

/* The range is cut into at most this many parts, whatever the number of workers: enough for dozens of them, and few enough
 * that combining costs nothing. */
enum { PARTS = 512, ON_STACK = 8192 };

typedef struct reduction {
    const yk_reduction *how;
    const void *args;
    size_t n, parts;
    char *results;
} reduction;

static size_t part_begin(const reduction *r, size_t part)
{
    size_t each = r->n / r->parts, more = r->n % r->parts;
    return part == r->parts ? r->n : cut(each, part * each + YK_MIN(part, more));
}

static void fold_parts(size_t lo, size_t hi, const void *arg)
{
    const reduction *r = arg;
    for (size_t part = lo; part < hi; part++) {
        void *acc = r->results + part * r->how->size;
        r->how->identity(acc);
        r->how->fold(part_begin(r, part), part_begin(r, part + 1), acc, r->args);
    }
}

/* Neighbours first, then neighbours of those: rounding errors grow with log2(PARTS), not with PARTS. */
static void combine_parts(const reduction *r)
{
    size_t size = r->how->size;
    for (size_t step = 1; step < r->parts; step *= 2)
        for (size_t part = 0; part + step < r->parts; part += 2 * step)
            r->how->combine(r->results + part * size, r->results + (part + step) * size);
}

void yk_reduce(yoke_executor *ex, size_t n, const yk_reduction *how, const void *args, void *ret)
{
    _Alignas(64) char few[ON_STACK];
    reduction r = {.how = how, .args = args, .n = n, .parts = YK_MIN(n, (size_t)PARTS), .results = few};
    how->identity(ret);
    if (n == 0)
        return;
    void *many = NULL;
    if (r.parts * how->size > ON_STACK) {
        if (yk_sys.posix_memalign(&many, 64, r.parts * how->size) == 0)
            r.results = many;
        else
            r.parts = ON_STACK / how->size; /* the same answer up to rounding, with what there is */
    }
    if (r.parts == 0) {
        how->fold(0, n, ret, args);
        return;
    }
    for (size_t part = 0; part < r.parts; part++)
        how->identity(r.results + part * how->size); /* parts that a cancelled job leaves out */
    yk_loop(ex, r.parts, fold_parts, &r);
    combine_parts(&r);
    memcpy(ret, r.results, how->size);
    free(many);
}
