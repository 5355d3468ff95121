/* semaphore: permits in one word; see yoke/sync.h.
 *
 * The low 31 bits count, the top bit says that somebody may sleep until the count is not 0. Who gives permits
 * takes the bit off and wakes as many as it gave. Who has slept and gets a permit puts the bit back, as there
 * may be others asleep, and if permits are left wakes the next: so a second release that found no bit,
 * because the first had taken it, is not lost to those still asleep. Each step is one compare and swap on the
 * one word, so that whoever dies leaves it whole; a wake-up that the dead owed is made up for by naps (self.h). */
#include "sync/lock.h"

enum { ASLEEP = 0x80000000 };

static int most(const yoke_semaphore *s)
{
    return (int)((uint32_t)INT32_MAX - s->slack);
}

static int init(yoke_semaphore *s, int permits, uint32_t slack, unsigned flags)
{
    if (permits < 0 || !yk_flags_fine(flags))
        return -EINVAL;
    *s = (yoke_semaphore){.word = (uint32_t)permits, .slack = slack, .flags = flags};
    return 0;
}

int yoke_semaphore_init(yoke_semaphore *s, int permits, unsigned flags)
{
    return init(s, permits, 0, flags);
}

int yoke_semaphore_init_bounded(yoke_semaphore *s, int permits, unsigned flags)
{
    return init(s, permits, (uint32_t)INT32_MAX - (uint32_t)permits, flags);
}

int yoke_semaphore_done(yoke_semaphore *s)
{
    if (!yk_end_unless(&s->flags, &s->word, ASLEEP))
        return -EBUSY;
    __atomic_store_n(&s->word, 0, __ATOMIC_RELAXED);
    return 0;
}

/* One permit, if there is one. bits: what the taker adds to the word. */
static bool take(yoke_semaphore *s, uint32_t bits, uint32_t *left)
{
    uint32_t word = __atomic_load_n(&s->word, __ATOMIC_RELAXED);
    while (word & ~(uint32_t)ASLEEP) {
        *left = (word - 1) & ~(uint32_t)ASLEEP;
        /* Acquire: pairs with the release in yoke_semaphore_release(). */
        if (__atomic_compare_exchange_n(&s->word, &word, (word - 1) | bits, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

static int acquire_slow(yoke_semaphore *s, int64_t deadline)
{
    uint32_t left, others = 0; /* others: ASLEEP once this thread has slept: it cannot know whether it was the last that did */
    static const yk_kind kind = {"a semaphore", NULL};
    yk_nap nap = yk_nap_begin(deadline, yk_is_shared(__atomic_load_n(&s->flags, __ATOMIC_RELAXED)));
    nap.cause = (yk_cause){&kind, s};
    for (int slept = 0;;) {
        if (take(s, others, &left)) {
            if (left > 0 && others)
                yk_wake_word(&s->word, 1, nap.shared);
            return 0;
        }
        if (yk_is_ended(&s->flags))
            return -EINVAL;
        if (yk_wait_is_over(slept))
            return slept;
        if (yk_nap_awake(&nap, &s->word, ~(uint32_t)ASLEEP, 0))
            continue;
        uint32_t none = 0;
        if ((__atomic_compare_exchange_n(&s->word, &none, ASLEEP, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED) || none == ASLEEP)
            && !yk_is_ended(&s->flags)) {
            slept = yk_nap_more(&nap, &s->word, ASLEEP);
            others = ASLEEP;
        }
    }
}

int yoke_semaphore_try(yoke_semaphore *s)
{
    uint32_t left;
    if (take(s, 0, &left))
        return 0;
    return __atomic_load_n(&s->flags, __ATOMIC_RELAXED) & YK_FLAG_GONE ? -EINVAL : -EAGAIN;
}

int yoke_semaphore_until(yoke_semaphore *s, int64_t deadline)
{
    uint32_t left;
    return take(s, 0, &left) ? 0 : acquire_slow(s, deadline);
}

int yoke_semaphore_acquire(yoke_semaphore *s)
{
    return yoke_semaphore_until(s, YOKE_FOREVER);
}

int yoke_semaphore_timed(yoke_semaphore *s, int64_t ns)
{
    uint32_t left;
    return take(s, 0, &left) ? 0 : acquire_slow(s, yk_after(ns));
}

int yoke_semaphore_release(yoke_semaphore *s, int n)
{
    uint32_t flags = __atomic_load_n(&s->flags, __ATOMIC_RELAXED), word = __atomic_load_n(&s->word, __ATOMIC_RELAXED), sum;
    if (n < 1 || flags & YK_FLAG_GONE)
        return -EINVAL;
    do {
        sum = (word & ~(uint32_t)ASLEEP) + (uint32_t)n;
        if (sum > (uint32_t)most(s))
            return -EOVERFLOW;
        /* Release: pairs with the acquire in take(). */
    } while (!__atomic_compare_exchange_n(&s->word, &word, sum, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    if (word & ASLEEP)
        yk_wake_word(&s->word, n, yk_is_shared(flags));
    return 0;
}

int yoke_semaphore_permits(const yoke_semaphore *s)
{
    return (int)(__atomic_load_n(&s->word, __ATOMIC_RELAXED) & ~(uint32_t)ASLEEP);
}
