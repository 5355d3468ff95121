/* self: who a thread is to others, in its own process or another: an id that tells whether its thread still
 * lives, a fence that all running threads take part in, and naps, which are sleeps that survive whatever
 * others failed to do.
 *
 * An id has the thread's TID in its low half and the age of the machine, in tenths of a second, at which the
 * thread took the id in its high half. TIDs are used again after a death, so an id means the TID's present
 * holder only if that one is not younger than the id. Processes that share memory must see the same TIDs: one
 * PID namespace. */
#ifndef YK_SYNC_SELF_H
#define YK_SYNC_SELF_H
#include "sync/wait.h"
#include <yoke/sync.h>

#define YK_TID_MASK UINT64_C(0x3fffffff)

/* The calling thread's id, never 0. */
uint64_t yk_self_id(void);
/* Whether this thread had that id, of no flags, in a process from which it has come by fork(); see self.c. */
extern unsigned yk_self_forebears;
bool yk_self_was_slow(uint64_t id);
static inline bool yk_self_was(uint64_t id)
{
    return YK_UNLIKELY(yk_self_forebears > 0) && yk_self_was_slow(id);
}
/* Called in a child made by fork() with its thread's new id, for the part that keeps ids. */
extern void (*yk_self_renewed)(uint64_t id);
/* True when the thread with this id has ended, whatever way. closely (some 5 us instead of 0.2): also when it
 * is a zombie, or its TID has a new holder. The flags in a lock's word are ignored. */
bool yk_self_dead(uint64_t id, bool closely);

/* Every thread that runs now in this process (shared: in any process that has loaded yoke) passes a full
 * fence before this returns. False when the kernel does not offer it; then sleepers nap. Source: membarrier(2). */
bool yk_fence_all(bool shared);
/* Tests: pretend that the kernel has no membarrier(2). */
extern bool yk_fence_broken;

/* A sleep on a word in pieces, each twice as long as the one before up to YK_NAP_MAX, so that a wake-up that
 * never comes, because who owed it was killed, costs a moment only. Where nothing of that kind can happen
 * (plain) it is one sleep; but not while locks are watched, which look from time to time whether they wait in vain. */
enum { YK_NAP_MIN = 10 * 1000 * 1000, YK_NAP_MAX = 80 * 1000 * 1000 };
typedef struct yk_nap {
    int64_t deadline, piece;
    int64_t awake_until; /* 0: it does not wait awake */
    unsigned missed;     /* how often in a row its thread will have waited awake in vain if it sleeps now */
    bool shared, plain, begun;
    bool deaf; /* YK_WAIT_DEAF */
    yk_cause cause;
} yk_nap;

static inline yk_nap yk_nap_begin(int64_t deadline, bool shared)
{
    return (yk_nap){.deadline = deadline, .piece = YK_NAP_MIN, .shared = shared,
                    .plain = !shared && !yoke_watching_locks};
}
/* Before the first sleep: waits awake while (*word & mask) == value, for as long in all as a wake-up would take, if that has paid
 * lately. True: it has changed. */
bool yk_nap_awake(yk_nap *n, const uint32_t *word, uint32_t mask, uint32_t value);
/* Sleeps while *word == value. 0: woken, or for no reason, look again. -EAGAIN: a piece is over, look closer,
 * at the dead too. -ETIMEDOUT: the deadline has passed. -ECANCELED: as yk_wait(). */
int yk_nap_more(yk_nap *n, uint32_t *word, uint32_t value);

static inline void yk_wake_word(uint32_t *word, int n, bool shared)
{
    yk_wake((_Atomic uint32_t *)word, n, shared);
}
#endif
