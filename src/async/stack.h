/* stack: the stacks of coroutines, pooled, each behind a guard.
 *
 *     slab:  [guard][usable ........ top|colour][guard][usable ........ top|colour][guard] ...
 *
 * The idea: address space is free and touched pages are not. Stacks are cut from slabs of 64 MiB that are reserved and not paid
 * for; one that waits with a shallow stack has one page of its own, the topmost, where the caller puts the coroutine's record
 * too. A stack that is given back stays warm and is the next to be taken; beyond a mark the oldest are trimmed, and then cost no
 * memory. Guards are marks in the page tables (Linux 6.13), of which a million leave one mapping; on older kernels each is a
 * mapping of its own, of which a process may have some 30,000. Beyond that there are no stacks (-ENOMEM), rather than stacks
 * whose overflow would run into a neighbour.
 *
 * A pool belongs to one thread, which is the only one to use it: there are no locks. */
#ifndef YK_ASYNC_STACK_H
#define YK_ASYNC_STACK_H
#include "async/switch.h"
#include "base/base.h"

#define YK_STACK_LEAST ((size_t)16 << 10)
#define YK_STACK_SIZE ((size_t)64 << 10) /* what is meant by 0 */
#define YK_STACK_MOST ((size_t)8 << 20)
enum {
    YK_STACK_CLASSES = 10, /* powers of two, from the least to the most */
    YK_STACK_COLOURS = 16  /* tops lie this many multiples of a cache line below the end of a page, in turn */
};

typedef struct yk_stack {
    char *low, *top; /* usable: low..top, which is the size asked for less at most 15 * 64 bytes. top is a multiple of 64 */
    struct yk_slab *slab;
} yk_stack;

typedef enum yk_guard {
    YK_GUARD_MARK,    /* MADV_GUARD_INSTALL: no mapping of its own */
    YK_GUARD_PROTECT, /* mprotect: two mappings a stack */
} yk_guard;

/* An idle stack is linked through its own topmost bytes, which are in the cache when it was just given back. */
typedef struct yk_stack_idle {
    struct yk_stack_idle *next;
    char *low;
    struct yk_slab *slab;
} yk_stack_idle;

/* The stacks of one size. */
typedef struct yk_stack_shelf {
    yk_stack hot;         /* the very last given; top is NULL when it is taken. To take it is to wait for no other memory */
    yk_stack_idle *warm;  /* those before it, the last given first */
    size_t warm_now;      /* of those */
    size_t ready, most_in_use; /* warm or in use; the latter at most */
    size_t warm_most;     /* above twice as many, the oldest are trimmed down to this many */
    struct yk_slab *slabs; /* all */
    struct yk_slab *room;  /* those with stacks that are cold, or never were */
} yk_stack_shelf;

typedef struct yk_stack_pool {
    yk_stack_shelf shelves[YK_STACK_CLASSES];
    size_t cold, trimmed, refused, slabs, mapped, slab_size, page;
    yk_guard guard;
    void *signal_stack;
} yk_stack_pool;

typedef struct yk_stack_stats {
    size_t in_use, most_in_use; /* stacks that are taken, and the most that ever were, added up over sizes */
    size_t warm, cold;          /* idle ones with memory, and without */
    size_t trimmed;             /* how often memory was given back to the system */
    size_t refused;             /* how often there was no stack to be had */
    size_t slabs, mapped;       /* bytes of address space */
    yk_guard guard;             /* of the next fresh one */
} yk_stack_stats;

/* The tests': the best guard to try, and how many stacks of the process may have a protected one (0: as many as the system's
 * limit of mappings allows). */
extern yk_guard yk_stack_guard_best;
extern size_t yk_stack_guard_limit;

int yk_stack_pool_open(yk_stack_pool **ret);
/* All stacks must have been given back: what they were is unmapped. */
void yk_stack_pool_close(yk_stack_pool *p);
void yk_stack_pool_stats(const yk_stack_pool *p, yk_stack_stats *ret);
/* Gives the memory of all idle stacks but the `keep` last used of each size back to the system. */
void yk_stack_pool_trim(yk_stack_pool *p, size_t keep);
/* Between these two overflows of the pool's stacks in the calling thread are told on stderr, before they take their course. */
void yk_stack_watch(yk_stack_pool *p);
void yk_stack_unwatch(yk_stack_pool *p);
/* What the line of an overflow ends with. */
#define YK_STACK_ADVICE "yoke_go_with() may ask for more"
/* Names the coroutine whose stack has this top, as "NAME (FILE:LINE)". Called by a signal handler. NULL: it cannot be told. */
extern const char *(*yk_stack_name_hook)(void *top);
/* The stack of the pool that has the address in its guard. Async-signal-safe. */
bool yk_stack_find_guard(const yk_stack_pool *p, uintptr_t at, yk_stack *ret);
/* Its size as it was asked for. */
size_t yk_stack_size(yk_stack s);

int yk_stack_take_fresh(yk_stack_pool *p, unsigned shelf, yk_stack *ret);

static inline unsigned yk_stack_shelf_of(size_t size)
{
    return size <= YK_STACK_LEAST ? 0 : 50u - (unsigned)__builtin_clzl(size - 1);
}

static inline yk_stack yk_stack_of(yk_stack_idle *idle)
{
    return (yk_stack){idle->low, (char *)(idle + 1), idle->slab};
}

/* A stack of at least `size` bytes, less at most 960; 0: the usual. -EINVAL: that is too much. -ENOMEM: no memory, or no guards
 * left. */
static inline int yk_stack_take(yk_stack_pool *p, size_t size, yk_stack *ret)
{
    unsigned number = yk_stack_shelf_of(size ? size : YK_STACK_SIZE);
    if (YK_UNLIKELY(number >= YK_STACK_CLASSES))
        return -EINVAL;
    yk_stack_shelf *shelf = &p->shelves[number];
    if (YK_LIKELY(shelf->hot.top != NULL)) {
        *ret = shelf->hot;
        shelf->hot.top = NULL;
    } else if (YK_LIKELY(shelf->warm != NULL)) {
        *ret = yk_stack_of(shelf->warm);
        shelf->warm = shelf->warm->next;
        shelf->warm_now--;
    } else {
        return yk_stack_take_fresh(p, number, ret);
    }
#ifdef YK_WITH_ASAN
    __asan_unpoison_memory_region(ret->low, (size_t)(ret->top - ret->low));
#endif
    return 0;
}

/* Makes room for a hotter one. */
static inline void yk_stack_cool(yk_stack_shelf *shelf)
{
    yk_stack_idle *idle = (yk_stack_idle *)(void *)shelf->hot.top - 1;
    idle->next = shelf->warm;
    idle->low = shelf->hot.low;
    idle->slab = shelf->hot.slab;
    shelf->warm = idle;
    shelf->warm_now++;
    shelf->hot.top = NULL;
}

void yk_stack_trim(yk_stack_pool *p, yk_stack_shelf *shelf, size_t keep);

/* Nobody may run on it any more. */
static inline void yk_stack_give(yk_stack_pool *p, yk_stack s)
{
    yk_stack_shelf *shelf = *(yk_stack_shelf **)s.slab;
#ifdef YK_WITH_ASAN
    __asan_unpoison_memory_region(s.low, (size_t)(s.top - s.low)); /* from the frames that were never left */
    __asan_poison_memory_region(s.low, (size_t)(s.top - s.low) - sizeof(yk_stack_idle));
#endif
    if (shelf->hot.top) {
        yk_stack_cool(shelf);
        if (YK_UNLIKELY(shelf->warm_now > 2 * shelf->warm_most))
            yk_stack_trim(p, shelf, shelf->warm_most);
    }
    shelf->hot = s;
}

#endif
