/* crew: the blocks of a range, handed out in increasing order, and prefixes along them without waiting.
 *
 * A loop gives a thief the far half of the range, which is right when blocks do not depend on each other. Here they do: an
 * element's place in the output depends on all before it, a search should not look far ahead of its first hit. So the members
 * of a crew take the next block from one counter. A member looks after each block whether somebody asks for work, and then
 * forks another member; one that nobody steals finds nothing left when it is joined.
 *
 * Nobody waits for the block before: the member that puts a value extends the chain of prefixes as far as values go, and a
 * block whose prefix is not known yet is put off by its member and done later. Prefixes are always combined from left to right,
 * so they are the same to the last bit whoever does it. (Compare the look-back of Merrill and Garland, "Single-pass Parallel
 * Prefix Scan with Decoupled Look-back", 2016, whose sums depend on the timing.) */
#include "threads/crew.h"
#include "threads/fork.h"
#include "threads/pool.h"
#include <stdlib.h>
#include <yoke/loop.h>

bool yk_is_over(void)
{
    yk_run *run = yk_current_run();
    return run && yk_run_cut(run);
}

unsigned yk_width_of(yoke_executor *ex)
{
    ex = yk_executor_or_default(ex);
    return ex && yk_pool_of(ex) ? YK_MAX(yoke_executor_width(ex), 1) : 1;
}

void *yk_scratch(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    return yk_large(YK_CACHE_LINE, YK_MAX(bytes, (size_t)1));
}

/* ---- Members ---- */

/* cppcheck-suppress unknownMacro ; it does not get through the macros of pp.h */
YOKE_FORK(void, yk_crew_member, (void *, arg))
{
    yk_crew *c = arg;
    yk_member m = {{0}};
    unsigned forked = 0;
    atomic_fetch_add_explicit(&c->members, 1, memory_order_relaxed);
    for (;;) {
        size_t k = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
        if (k >= atomic_load_explicit(&c->end, memory_order_relaxed))
            break;
        if (YK_UNLIKELY(!__atomic_load_n(&yk_only_in_a_fork_body->limit, __ATOMIC_RELAXED))) {
            if (yk_forks_is_over(yk_only_in_a_fork_body))
                break;
            if (k + 1 < atomic_load_explicit(&c->end, memory_order_relaxed)) {
                yoke_fork(yk_crew_member, c);
                forked++;
            }
        }
        c->block(c, k, &m);
    }
    if (c->leave)
        c->leave(c, &m);
    while (forked-- > 0)
        yoke_join(yk_crew_member);
}

int yk_crew_run(yoke_executor *ex, yk_crew *c, size_t n)
{
    atomic_store_explicit(&c->next, 0, memory_order_relaxed);
    atomic_store_explicit(&c->end, n, memory_order_relaxed);
    atomic_store_explicit(&c->members, 0, memory_order_relaxed);
    if (n > 0)
        yoke_run(ex, yk_crew_member, c);
    return yk_is_over() ? -ECANCELED : 0;
}

void yk_crew_end_at(yk_crew *c, size_t end)
{
    size_t before = atomic_load_explicit(&c->end, memory_order_relaxed);
    while (end < before &&
           !atomic_compare_exchange_weak_explicit(&c->end, &before, end, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ---- The chain ---- */

int yk_chain_init(yk_chain *c, size_t n, size_t size, void (*combine)(void *acc, const void *other),
                  void (*identity)(void *acc))
{
    size_t values = YK_ALIGN_UP(n * size, YK_CACHE_LINE), prefixes = YK_ALIGN_UP((n + 1) * size, YK_CACHE_LINE);
    char *memory = yk_scratch(values + prefixes + n, 1);
    if (!memory)
        return -ENOMEM;
    c->values = memory;
    c->prefixes = memory + values;
    c->put = (_Atomic uint8_t *)(void *)(memory + values + prefixes);
    c->size = size;
    c->n = n;
    c->combine = combine;
    for (size_t k = 0; k < n; k++)
        atomic_init(&c->put[k], 0);
    identity(c->prefixes);
    atomic_init(&c->known, 0);
    atomic_init(&c->busy, 0);
    return 0;
}

void yk_chain_done(yk_chain *c)
{
    free(c->values);
}

/* Whether the next prefix can be made. Sequentially consistent: see yk_chain_put(). */
static bool is_next_there(yk_chain *c, size_t known)
{
    return known < c->n && atomic_load_explicit(&c->put[known], memory_order_seq_cst);
}

/* Makes prefixes as far as values go. `busy` is the caller's. */
static void extend(yk_chain *c)
{
    size_t known = atomic_load_explicit(&c->known, memory_order_relaxed);
    while (is_next_there(c, known)) {
        char *next = c->prefixes + (known + 1) * c->size;
        memcpy(next, c->prefixes + known * c->size, c->size);
        c->combine(next, c->values + known * c->size);
        /* Release pairs with the acquire in yk_chain_prefix(): the prefix is there. */
        atomic_store_explicit(&c->known, ++known, memory_order_release);
    }
}

void yk_chain_put(yk_chain *c, size_t k)
{
    /* Sequentially consistent, as is what follows: either this thread gets `busy`, or its owner sees this value after it has
     * let go. */
    atomic_store_explicit(&c->put[k], 1, memory_order_seq_cst);
    do {
        if (atomic_exchange_explicit(&c->busy, 1, memory_order_seq_cst))
            return;
        extend(c);
        atomic_store_explicit(&c->busy, 0, memory_order_seq_cst);
    } while (is_next_there(c, atomic_load_explicit(&c->known, memory_order_acquire)));
}

/* ---- Ordered blocks ---- */

enum { PUT_OFF = 2 }; /* blocks at a time by a member: as many as its cache may still hold */

static bool write_if_known(yk_ordered *o, size_t k)
{
    const void *prefix = yk_chain_prefix(&o->chain, k);
    if (prefix)
        o->write(o->arg, k, prefix);
    return prefix;
}

/* m->word: how many blocks are put off, then which. */
static void write_some(yk_ordered *o, yk_member *m)
{
    size_t left = 0;
    for (size_t i = 1; i <= m->word[0]; i++)
        if (!write_if_known(o, m->word[i]))
            m->word[++left] = m->word[i];
    m->word[0] = left;
}

static void ordered_block(yk_crew *c, size_t k, yk_member *m)
{
    yk_ordered *o = c->arg;
    const void *prefix = yk_chain_prefix(&o->chain, k);
    if (prefix && o->both && atomic_load_explicit(&c->members, memory_order_relaxed) == 1) {
        o->both(o->arg, k, prefix, yk_chain_value(&o->chain, k));
        yk_chain_put(&o->chain, k);
        return;
    }
    o->sum(o->arg, k, yk_chain_value(&o->chain, k));
    yk_chain_put(&o->chain, k);
    m->word[++m->word[0]] = k;
    write_some(o, m);
    if (m->word[0] > PUT_OFF) {
        atomic_store_explicit(&o->late[m->word[1]], true, memory_order_relaxed);
        memmove(&m->word[1], &m->word[2], --m->word[0] * sizeof *m->word);
    }
}

static void ordered_leave(yk_crew *c, yk_member *m)
{
    yk_ordered *o = c->arg;
    write_some(o, m);
    for (size_t i = 1; i <= m->word[0]; i++)
        atomic_store_explicit(&o->late[m->word[i]], true, memory_order_relaxed);
}

static void write_late(size_t lo, size_t hi, const void *arg)
{
    yk_ordered *o = *(yk_ordered *const *)arg;
    for (size_t k = lo; k < hi; k++)
        if (atomic_load_explicit(&o->late[k], memory_order_relaxed))
            write_if_known(o, k);
}

int yk_ordered_run(yoke_executor *ex, yk_ordered *o)
{
    size_t n = o->chain.n;
    yk_crew crew = {.block = ordered_block, .leave = ordered_leave, .arg = o};
    o->late = yk_scratch(n, sizeof *o->late);
    if (!o->late)
        return -ENOMEM;
    for (size_t k = 0; k < n; k++)
        atomic_init(&o->late[k], false);
    if (yk_crew_run(ex, &crew, n) == 0)
        yk_loop(ex, n, write_late, &o);
    free(o->late);
    return yk_is_over() ? -ECANCELED : 0;
}
