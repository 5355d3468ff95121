/* idle: the workers that sleep, and how one of them is woken.
 *
 * A set of bits, one for each worker, and their count. A sleeper enters itself, looks for work once more, then sleeps on its
 * own bell; who makes work looks at the count afterwards, takes somebody out of the set and rings his bell. Both use
 * sequentially consistent operations, so at least one sees the other and no wake-up is lost. */
#ifndef YK_IDLE_H
#define YK_IDLE_H
#include "base/base.h"

enum { YK_IDLE_MAX = 8256 };

typedef struct yk_idle {
    _Alignas(YK_CACHE_LINE) _Atomic uint32_t count;
    _Atomic uint64_t words[YK_IDLE_MAX / 64];
} yk_idle;

/* Enters worker i; the caller next looks for work. */
static inline void yk_idle_enter(yk_idle *set, uint32_t i)
{
    atomic_fetch_or_explicit(&set->words[i / 64], UINT64_C(1) << i % 64, memory_order_seq_cst);
    atomic_fetch_add_explicit(&set->count, 1, memory_order_seq_cst);
}

/* Takes worker i out, if nobody else has: false then. */
static inline bool yk_idle_leave(yk_idle *set, uint32_t i)
{
    uint64_t bit = UINT64_C(1) << i % 64;
    if (!(atomic_fetch_and_explicit(&set->words[i / 64], ~bit, memory_order_seq_cst) & bit))
        return false;
    atomic_fetch_sub_explicit(&set->count, 1, memory_order_seq_cst);
    return true;
}

static inline bool yk_idle_any(yk_idle *set)
{
    return atomic_load_explicit(&set->count, memory_order_seq_cst) > 0;
}

#endif
