/* lock: what the other primitives of sync may know of a lock's word; see lock.c. */
#ifndef YK_SYNC_LOCK_H
#define YK_SYNC_LOCK_H
#include "sync/self.h"

/* Flags in a lock's word, above the owner's TID and below the high half. */
#define YK_LOCK_DIED UINT64_C(0x40000000) /* an owner died, and what the lock protects has not been repaired */
#define YK_LOCK_GONE UINT64_C(0x80000000) /* ended */
/* What tells the owner. */
#define YK_LOCK_ID (~(YK_LOCK_DIED | YK_LOCK_GONE))

enum { YK_FLAG_GONE = 0x80000000 }; /* in the flags of the others: ended */

static inline bool yk_is_shared(unsigned flags)
{
    return flags & YOKE_SHARED;
}

/* Whether the word of a lock with these flags names this thread, perhaps as what it was before a fork(). */
static inline bool yk_word_mine(uint64_t word, unsigned flags)
{
    return ((word ^ yk_self_id()) & YK_LOCK_ID) == 0 || (!yk_is_shared(flags) && yk_self_was(word & YK_LOCK_ID));
}

static inline bool yk_lock_mine(const yk_lock_core *l)
{
    return yk_word_mine(__atomic_load_n(&l->word, __ATOMIC_RELAXED), l->flags);
}

static inline bool yk_flags_fine(unsigned flags)
{
    return (flags & ~(unsigned)YOKE_SHARED) == 0;
}

/* Whether a coroutine that wants a lock so is not told to stop: who writes yoke_lock_acquire() does not ask whether he has it. */
static inline bool yk_lock_is_deaf(unsigned how, int64_t deadline)
{
    return deadline == YOKE_FOREVER && !(how & (YK_LOCK_TIMED | YK_LOCK_UNTIL));
}

/* For dumps: the owner of the lock core that stands first in the object. */
uint64_t yk_lock_holder(const void *core);
/* Acquire, beneath the diagnosis: how is YK_LOCK_TRY, YK_LOCK_UNTIL or 0. */
int yk_lock_enter(yk_lock_core *l, unsigned how, int64_t deadline);
/* -EDEADLK, and yoke_deadlock() says that the caller is the writer. */
int yk_lock_own(void);
/* Release by the owner, however often it has taken the lock. */
void yk_lock_leave(yk_lock_core *l);
static inline bool yk_is_ended(const uint32_t *flags)
{
    return __atomic_load_n(flags, __ATOMIC_SEQ_CST) & YK_FLAG_GONE; /* pairs with yk_end_unless() */
}

/* Ends what has these flags and this word, unless its bit says that somebody sleeps: then false, and it lives on. Who sets the
 * bit looks at the flags before it sleeps: in sequential order one of the two sees the other. */
static inline bool yk_end_unless(uint32_t *flags, const uint32_t *word, uint32_t asleep)
{
    if (__atomic_load_n(word, __ATOMIC_RELAXED) & asleep)
        return false;
    __atomic_fetch_or(flags, YK_FLAG_GONE, __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(word, __ATOMIC_SEQ_CST) & asleep))
        return true;
    __atomic_fetch_and(flags, ~(uint32_t)YK_FLAG_GONE, __ATOMIC_RELAXED);
    return false;
}
#endif
