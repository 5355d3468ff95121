/* deque: the work-stealing deque of Chase and Lev with the memory orders of Le, Pop, Cohen and Zappa Nardelli, "Correct and
 * Efficient Work-Stealing for Weak Memory Models" (PPoPP 2013). The owner pushes and takes at the bottom, thieves steal at the
 * top. Where the paper has sequentially consistent fences, the accesses around them are sequentially consistent here, which
 * costs the same on x86 and is understood by ThreadSanitizer. */
#ifndef YK_DEQUE_H
#define YK_DEQUE_H
#include "base/base.h"

typedef struct yk_ring {
    struct yk_ring *smaller; /* the ring it replaced, kept until the deque is done: a thief may still read it */
    int64_t mask;
    _Atomic(void *) slots[];
} yk_ring;

typedef struct yk_deque {
    _Alignas(YK_CACHE_LINE) _Atomic int64_t top;    /* thieves and, for the last item, the owner; only grows */
    _Alignas(YK_CACHE_LINE) _Atomic int64_t bottom; /* the owner */
    _Atomic(yk_ring *) ring;                        /* the owner */
} yk_deque;

int yk_deque_init(yk_deque *d);
void yk_deque_done(yk_deque *d);
/* Owner. False when the deque is full and cannot grow. */
bool yk_deque_push(yk_deque *d, void *item);
/* The same for several, the first of which is pushed first; all or none. */
bool yk_deque_push_all(yk_deque *d, void *const *items, unsigned count);
/* Owner: the item pushed last, or NULL. */
void *yk_deque_take(yk_deque *d);
/* Anyone: the item pushed first, or NULL when there is none. *lost is set when another thread was faster. */
void *yk_deque_steal(yk_deque *d, bool *lost);
/* Anyone: a guess. */
bool yk_deque_is_empty(yk_deque *d);
#endif
