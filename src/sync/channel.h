/* channel: what channel.c and select.c share, private to sync.
 *
 * Whoever has to wait is a party; it stands in the list of a channel with each of its cases, one for a plain send or receive. A
 * case that waits is served by whoever comes to the other side of its channel: that one moves the value itself, from or into
 * the waiter's memory, and says so. So the waiter need not look again, nobody overtakes, and a rendezvous is nothing special.
 *
 * A party may be found on several channels at the same time; `claimed` says who was first, and its other cases are then passed
 * over. Only a party that stands in lists can be claimed, and who moves a value stands in none: so no two parties ever wait for
 * each other to decide. select.c enters all its lists under all their locks for that. */
#ifndef YK_SYNC_CHANNEL_H
#define YK_SYNC_CHANNEL_H
#include "sync/mutex.h"
#include "sync/queue.h"
#include "sync/wait.h"
#include <yoke/channel.h>

/* A party's word. */
enum { YK_PARTY_AWAKE, YK_PARTY_ASLEEP, YK_PARTY_SERVED };

/* One who waits, on its own stack. */
typedef struct yk_party {
    _Atomic uint32_t word;    /* set to SERVED under the lock of the channel, after all else; then it may be gone */
    _Atomic uint32_t claimed; /* 1 by the first who serves one of its cases; CAS, since it may hold another lock than the next */
    yoke_case *happened;      /* by the same */
} yk_party;

/* Cases that wait on one side of a channel, who has waited longest first. */
typedef struct yk_cases {
    yoke_case *first, *last;
} yk_cases;

struct yoke_channel {
    yk_mutex lock; /* of all that is not constant or atomic */
    bool spin;     /* constant, as the next two */
    size_t value_size, capacity;
    size_t senders, receivers; /* places */
    size_t first, len;         /* of the values in it */
    yk_cases waiting[2];       /* by direction. Senders wait only when it is full, receivers when it is empty */
    _Atomic uint32_t refs;     /* all places; who gives up the last one frees the channel, after it has left the lock */
    _Atomic uint32_t misses[2]; /* how often in a row spinning was in vain; hints */
    YK_APART char values[];
};

/* Somebody to be woken once the lock is left; NULL: nobody. */
typedef _Atomic uint32_t *yk_sleeper;

/* Under the lock: does the case, or finds that it can never be done: then 0, and k->err says so. -EAGAIN: it must wait. */
int yk_channel_attempt(yoke_case *k, yk_sleeper *wake);

/* Under the lock: into the list of those who wait, and out of it unless it is out already. */
void yk_channel_enter(yoke_case *k, yk_party *p);
void yk_channel_leave(yoke_case *k);

/* Waits until one of the cases, which all stand in lists, has happened; and takes them all out. The index of that case, or
 * -ETIMEDOUT or what else yk_wait() says: then none has happened. */
int yk_party_wait(yk_party *p, yoke_case *cases, int n, int64_t deadline);

static inline void yk_party_begin(yk_party *p)
{
    atomic_store_explicit(&p->word, YK_PARTY_AWAKE, memory_order_relaxed); /* the lock publishes the party */
    atomic_store_explicit(&p->claimed, 0, memory_order_relaxed);
}

static inline void yk_channel_wake(yk_sleeper s)
{
    if (s)
        yk_wake(s, 1, false);
}

/* Does the case, waiting for as long as allowed. 0: done, see k->err; else nothing happened: -EAGAIN when it may not wait,
 * -ETIMEDOUT, or what else yk_wait() says. */
int yk_channel_do(yoke_case *k, bool wait, int64_t deadline);
#endif
