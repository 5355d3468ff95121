/* crew.h: blocks of a range handed out in increasing order to whoever comes, and a chain of prefixes along them. See crew.c. */
#ifndef YK_THREADS_CREW_H
#define YK_THREADS_CREW_H
#include "exec/exec.h"
#include <yoke/fork.h>

/* What one member of a crew keeps between its blocks; zero at first. */
typedef struct yk_member {
    size_t word[8];
} yk_member;

typedef struct yk_crew {
    void (*block)(struct yk_crew *c, size_t k, yk_member *m);
    void (*leave)(struct yk_crew *c, yk_member *m);         /* when there are no more blocks; NULL: nothing to do */
    void *arg;                                              /* the algorithm's */
    _Alignas(YK_CACHE_LINE) _Atomic size_t next;            /* the block to be handed out; any member adds */
    _Alignas(YK_CACHE_LINE) _Atomic size_t end;             /* blocks from here on are not wanted; falls only */
    _Atomic unsigned members;                               /* how many have come so far */
} yk_crew;

/* Does blocks [0, n) of c on the workers of ex. 0, or -ECANCELED when the surrounding job is over and some were left out. */
int yk_crew_run(yoke_executor *ex, yk_crew *c, size_t n);
/* From a block: those from `end` on need not begin. */
void yk_crew_end_at(yk_crew *c, size_t end);
/* Whether the job that this thread works for has failed or was cancelled. */
bool yk_is_over(void);
/* How many workers ex brings: at least 1. A hint for how finely to cut. */
unsigned yk_width_of(yoke_executor *ex);

/* Block k has a value; its prefix is the values of the blocks before it, combined from left to right. */
typedef struct yk_chain {
    char *values;          /* n of them, `size` bytes each: block k's own, once it has been put */
    char *prefixes;        /* n + 1; [0] is the identity */
    _Atomic uint8_t *put;  /* n */
    size_t size, n;
    void (*combine)(void *acc, const void *other);
    _Alignas(YK_CACHE_LINE) _Atomic size_t known; /* prefixes up to this index are there; written under `busy` */
    _Atomic uint32_t busy;                        /* whoever changes it from 0 to 1 extends the chain */
} yk_chain;

/* 0 or -ENOMEM. */
int yk_chain_init(yk_chain *c, size_t n, size_t size, void (*combine)(void *acc, const void *other),
                  void (*identity)(void *acc));
void yk_chain_done(yk_chain *c);
/* Where the value of block k belongs: write it, then say that it is there. */
static inline void *yk_chain_value(yk_chain *c, size_t k)
{
    return c->values + k * c->size;
}
void yk_chain_put(yk_chain *c, size_t k);
/* The prefix of block k, or NULL when a block before it has no value yet. k = n: all blocks. */
static inline const void *yk_chain_prefix(yk_chain *c, size_t k)
{
    /* Acquire pairs with the release in extend(). */
    return atomic_load_explicit(&c->known, memory_order_acquire) >= k ? c->prefixes + k * c->size : NULL;
}

/* Blocks of which each is written once the sums of all before it are known. */
typedef struct yk_ordered {
    void (*sum)(void *arg, size_t k, void *value);          /* writes block k's value */
    void (*write)(void *arg, size_t k, const void *prefix); /* writes block k; its value is known already */
    /* Both at once, for a thread that works alone. NULL: one after the other. */
    void (*both)(void *arg, size_t k, const void *prefix, void *value);
    void *arg;
    yk_chain chain; /* set up by the caller */
    _Atomic bool *late; /* blocks that nobody has written when the crew is done */
} yk_ordered;

/* Does all blocks of o->chain. 0, -ENOMEM before anything was done, or -ECANCELED. */
int yk_ordered_run(yoke_executor *ex, yk_ordered *o);

struct yk_order;
/* Sorts by an order, with room for as many elements at spare (merge.c). 0 or -ECANCELED. */
int yk_sort_through(yoke_executor *ex, char *base, char *spare, size_t n, size_t size, const struct yk_order *order,
                    const void *args);

/* Scratch memory for an algorithm, on a cache line; large pages where the system has them. Free it with free(). NULL: none. */
void *yk_scratch(size_t n, size_t size);

#endif
