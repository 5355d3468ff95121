/* event: a flag to wait for, and a count that goes down to zero; see yoke/sync.h.
 *
 * An event is one word: the flag, a bit that somebody may sleep, and above them a generation that grows
 * whenever the flag goes up. A waiter goes on when it sees the flag or another generation than at first, so
 * that set and clear together are not missed by those who wait. Who sets takes the sleepers' bit off and wakes all.
 *
 * A latch is one word too: the count, and on top the bit that somebody may sleep. */
#include "sync/lock.h"

enum { FLAG = 1, ASLEEP = 2, GENERATION = 4 };

int yoke_event_init(yoke_event *e, unsigned flags)
{
    if (!yk_flags_fine(flags))
        return -EINVAL;
    *e = (yoke_event){.flags = flags};
    return 0;
}

int yoke_event_done(yoke_event *e)
{
    if (!yk_end_unless(&e->flags, &e->word, ASLEEP))
        return -EBUSY;
    __atomic_fetch_and(&e->word, ~(uint32_t)FLAG, __ATOMIC_RELAXED); /* so that a wait goes the slow way and sees it */
    return 0;
}

/* Whoever ends it writes the flags, but not this one. */
static bool is_shared(const uint32_t *flags)
{
    return yk_is_shared(__atomic_load_n(flags, __ATOMIC_RELAXED));
}

int yoke_event_set(yoke_event *e)
{
    uint32_t word = __atomic_load_n(&e->word, __ATOMIC_RELAXED);
    if (yk_is_ended(&e->flags))
        return -EINVAL;
    uint32_t next;
    do {
        next = word & FLAG ? word : ((word & ~(uint32_t)ASLEEP) + GENERATION) | FLAG;
        /* Release, and acquire for who clears and sets again: pairs with the acquire loads in the waits, and with the clear of
         * who then looks for what was written before. So it writes even what is there. */
    } while (!__atomic_compare_exchange_n(&e->word, &word, next, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    if (!(word & FLAG) && word & ASLEEP)
        yk_wake_word(&e->word, INT32_MAX, is_shared(&e->flags));
    return 0;
}

int yoke_event_clear(yoke_event *e)
{
    if (yk_is_ended(&e->flags))
        return -EINVAL;
    /* What was written before a set that comes before it is seen after the clear. */
    __atomic_fetch_and(&e->word, ~(uint32_t)FLAG, __ATOMIC_SEQ_CST);
    return 0;
}

bool yoke_event_is_set(const yoke_event *e)
{
    return __atomic_load_n(&e->word, __ATOMIC_ACQUIRE) & FLAG; /* pairs with yoke_event_set() */
}

static int event_wait_slow(yoke_event *e, int64_t deadline)
{
    uint32_t word = __atomic_load_n(&e->word, __ATOMIC_ACQUIRE), first = word & ~(uint32_t)(GENERATION - 1);
    static const yk_kind kind = {"an event", NULL};
    yk_nap nap = yk_nap_begin(deadline, is_shared(&e->flags));
    nap.cause = (yk_cause){&kind, e};
    for (int slept = 0; !(word & FLAG) && (word & ~(uint32_t)(GENERATION - 1)) == first;) {
        if (yk_is_ended(&e->flags))
            return -EINVAL;
        if (yk_wait_is_over(slept))
            return slept == -ETIMEDOUT ? 0 : slept;
        if (!yk_nap_awake(&nap, &e->word, ~(uint32_t)ASLEEP, word & ~(uint32_t)ASLEEP)
            && (word & ASLEEP
                || __atomic_compare_exchange_n(&e->word, &word, word | ASLEEP, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            && !yk_is_ended(&e->flags))
            slept = yk_nap_more(&nap, &e->word, word | ASLEEP);
        word = __atomic_load_n(&e->word, __ATOMIC_ACQUIRE); /* pairs with yoke_event_set() */
    }
    return 1;
}

int yoke_event_until(yoke_event *e, int64_t deadline)
{
    return yoke_event_is_set(e) ? 1 : event_wait_slow(e, deadline);
}

int yoke_event_wait(yoke_event *e)
{
    return yoke_event_until(e, YOKE_FOREVER);
}

int yoke_event_try(yoke_event *e)
{
    return yk_is_ended(&e->flags) ? -EINVAL : yoke_event_is_set(e);
}

int yoke_event_timed(yoke_event *e, int64_t ns)
{
    return yoke_event_is_set(e) ? 1 : event_wait_slow(e, yk_after(ns));
}

/* ---- Latch ---- */

enum { LATCH_ASLEEP = 0x80000000 };

int yoke_latch_init(yoke_latch *l, int count, unsigned flags)
{
    if (count < 0 || !yk_flags_fine(flags))
        return -EINVAL;
    *l = (yoke_latch){.word = (uint32_t)count, .flags = flags};
    return 0;
}

int yoke_latch_left(const yoke_latch *l)
{
    /* Acquire: pairs with yoke_latch_down(), for who waits by looking. */
    return (int)(__atomic_load_n(&l->word, __ATOMIC_ACQUIRE) & ~(uint32_t)LATCH_ASLEEP);
}

int yoke_latch_done(yoke_latch *l)
{
    if (!yk_end_unless(&l->flags, &l->word, LATCH_ASLEEP))
        return -EBUSY;
    __atomic_store_n(&l->word, 1, __ATOMIC_RELAXED); /* so that a wait goes the slow way and sees it */
    return 0;
}

int yoke_latch_down(yoke_latch *l, int n)
{
    uint32_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED), flags = __atomic_load_n(&l->flags, __ATOMIC_RELAXED), left;
    do {
        left = (word & ~(uint32_t)LATCH_ASLEEP) - (uint32_t)n;
        if (n < 1 || (uint32_t)n > (word & ~(uint32_t)LATCH_ASLEEP) || flags & YK_FLAG_GONE)
            return -EINVAL;
        /* Release: pairs with the acquire of the waits; acquire: the last one passes on what the others released. */
    } while (!__atomic_compare_exchange_n(&l->word, &word, left ? left | (word & LATCH_ASLEEP) : 0, true, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    if (left == 0 && word & LATCH_ASLEEP) /* the latch may be gone by now: only its address is used */
        yk_wake_word(&l->word, INT32_MAX, yk_is_shared(flags));
    return (int)left;
}

static int latch_wait_slow(yoke_latch *l, int64_t deadline)
{
    uint32_t word = __atomic_load_n(&l->word, __ATOMIC_ACQUIRE);
    static const yk_kind kind = {"a latch", NULL};
    yk_nap nap = yk_nap_begin(deadline, is_shared(&l->flags));
    nap.cause = (yk_cause){&kind, l};
    for (int slept = 0; word != 0;) {
        if (yk_is_ended(&l->flags))
            return -EINVAL;
        if (yk_wait_is_over(slept))
            return slept;
        if (!yk_nap_awake(&nap, &l->word, ~(uint32_t)LATCH_ASLEEP, word & ~(uint32_t)LATCH_ASLEEP)
            && (word & LATCH_ASLEEP
                || __atomic_compare_exchange_n(&l->word, &word, word | LATCH_ASLEEP, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            && !yk_is_ended(&l->flags))
            slept = yk_nap_more(&nap, &l->word, word | LATCH_ASLEEP);
        word = __atomic_load_n(&l->word, __ATOMIC_ACQUIRE); /* pairs with yoke_latch_down() */
    }
    return 0;
}

int yoke_latch_until(yoke_latch *l, int64_t deadline)
{
    return yoke_latch_left(l) == 0 ? 0 : latch_wait_slow(l, deadline);
}

int yoke_latch_wait(yoke_latch *l)
{
    return yoke_latch_until(l, YOKE_FOREVER);
}

int yoke_latch_try(yoke_latch *l)
{
    if (yk_is_ended(&l->flags))
        return -EINVAL;
    return yoke_latch_left(l) == 0 ? 0 : -EAGAIN;
}

int yoke_latch_timed(yoke_latch *l, int64_t ns)
{
    return yoke_latch_left(l) == 0 ? 0 : latch_wait_slow(l, yk_after(ns));
}
