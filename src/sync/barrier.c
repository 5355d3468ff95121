/* barrier: all wait for all; see yoke/sync.h. The rules are those of Python's threading.Barrier.
 *
 * Everything is in one word of 64 bits, so that each step is one compare and swap and whoever dies leaves a
 * whole barrier. The low half, on which waiters sleep, is the generation with two bits: broken, and somebody
 * sleeps. The high half has how many have arrived, and one bit for each of the last 16 generations: whether
 * it ended by a reset. So a waiter that comes late to see its generation's end sees how it ended.
 *
 * With an action, the last to arrive takes the lock `acting` first, runs the action, and only then takes the
 * step that ends the generation: to all others it has not arrived yet, and further threads that come queue at
 * the lock. When it dies there, a waiter that looks after a nap gets the lock with -EOWNERDEAD, and breaks
 * the barrier. */
#include "sync/lock.h"

enum { BROKEN = 1, ASLEEP = 2, GENERATION = 4, PARTIES_MAX = 65535, HISTORY = 16 };
#define ARRIVED_SHIFT 32
#define HISTORY_SHIFT 48

static uint32_t arrived(uint64_t word)
{
    return (uint32_t)(word >> ARRIVED_SHIFT) & 0xffff;
}

static uint32_t generation(uint64_t word)
{
    return (uint32_t)word / GENERATION;
}

static uint32_t *low_half(yoke_barrier *b)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint32_t *)&b->word;
#else
    return (uint32_t *)&b->word + 1;
#endif
}

/* The word of the next generation, empty and whole. */
static uint64_t next(uint64_t word, bool was_reset)
{
    uint64_t history = (word >> HISTORY_SHIFT << 1 | was_reset) & 0xffff;
    return history << HISTORY_SHIFT | ((generation(word) + 1) * (uint32_t)GENERATION);
}

/* Steps from *seen to `to`, and wakes. False: the word had changed, and *seen is what it is. */
static bool step(yoke_barrier *b, uint64_t *seen, uint64_t to)
{
    uint32_t *sleepers = low_half(b);
    bool shared = yk_is_shared(b->flags);
    /* Release: pairs with the acquire of those who wait; acquire: the last to arrive passes on what all the
     * others released. */
    if (!__atomic_compare_exchange_n(&b->word, seen, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return false;
    if (*seen & ASLEEP && !(to & ASLEEP))
        yk_wake_word(sleepers, INT32_MAX, shared);
    return true;
}

static uint64_t load(const yoke_barrier *b)
{
    return __atomic_load_n(&b->word, __ATOMIC_ACQUIRE); /* pairs with step() */
}

static uint64_t broken(uint64_t word)
{
    return (word & ~((uint64_t)0xffff << ARRIVED_SHIFT) & ~(uint64_t)ASLEEP) | BROKEN;
}

int yoke_barrier_abort(yoke_barrier *b)
{
    uint64_t word = load(b);
    if (b->parties == 0)
        return -EINVAL;
    while (!(word & BROKEN) && !step(b, &word, broken(word)))
        ;
    return 0;
}

/* Who comes back to it after the step: for the pieces of a wait. */
enum { AGAIN = -EAGAIN };

/* How the generation that began as `mine` has ended: the index, or an error, or AGAIN: it has not. */
static int outcome(uint64_t mine, uint64_t word)
{
    uint32_t since = (generation(word) - generation(mine)) & (UINT32_MAX / GENERATION);
    if (since == 0)
        return word & BROKEN ? -EPIPE : AGAIN;
    if (since <= HISTORY && word >> HISTORY_SHIFT >> (since - 1) & 1)
        return -EPIPE;
    return (int)arrived(mine);
}

/* Takes the lock that whoever runs an action has, and breaks the barrier if one has died in it. 0, or the lock's error. */
static int enter_acting(yoke_barrier *b, unsigned how, int64_t deadline)
{
    int err = yk_lock_enter(&b->acting, how, deadline);
    if (err != -EOWNERDEAD)
        return err;
    yoke_barrier_abort(b);
    yk_lock_consistent(&b->acting);
    return 0;
}

/* After a nap: has whoever runs the action died? */
static void look_around(yoke_barrier *b)
{
    if (enter_acting(b, YK_LOCK_TRY, 0) == 0)
        yk_lock_leave(&b->acting);
}

/* One that has arrived and was told to stop leaves again. Not while an action runs, since then all have arrived: hence the lock.
 * If the generation has ended meanwhile, that is the outcome. */
static int leave(yoke_barrier *b, uint64_t mine)
{
    int err = enter_acting(b, 0, YOKE_FOREVER);
    if (err < 0)
        return err;
    uint64_t word = load(b);
    do
        err = outcome(mine, word);
    while (err == AGAIN && !step(b, &word, word - ((uint64_t)1 << ARRIVED_SHIFT)));
    yk_lock_leave(&b->acting);
    return err == AGAIN ? -ECANCELED : err;
}

/* Has arrived, as `mine` tells, and waits for the end of the generation. */
static int wait_for_end(yoke_barrier *b, uint64_t mine, int64_t deadline)
{
    static const yk_kind kind = {"a barrier", NULL};
    yk_nap nap = yk_nap_begin(deadline, yk_is_shared(b->flags));
    nap.cause = (yk_cause){&kind, b};
    uint64_t word = load(b);
    for (int slept = 0, end;;) {
        end = outcome(mine, word);
        if (end != AGAIN)
            return end;
        if (slept == -ETIMEDOUT) {
            if (step(b, &word, broken(word)))
                return -ETIMEDOUT;
            continue;
        }
        if (slept == -ECANCELED)
            return leave(b, mine);
        if (yk_nap_awake(&nap, low_half(b), ~(uint32_t)ASLEEP, (uint32_t)word & ~(uint32_t)ASLEEP)) {
            word = load(b);
        } else if (word & ASLEEP || step(b, &word, word | ASLEEP)) {
            slept = yk_nap_more(&nap, low_half(b), (uint32_t)word | ASLEEP);
            if (slept == -EAGAIN && nap.shared)
                look_around(b);
            word = load(b);
        }
    }
}

/* The last to arrive, holding `acting` when there is an action. AGAIN: it is not the last any more. */
static int end_generation(yoke_barrier *b, uint64_t word, yoke_barrier_action action, void *arg)
{
    uint64_t mine = word;
    int err = action ? action(arg) : 0;
    if (err < 0) {
        yoke_barrier_abort(b);
        return err;
    }
    while (!step(b, &word, next(word, false))) {
        if (generation(word) != generation(mine) || word & BROKEN)
            return action ? -EPIPE : AGAIN;
        if (arrived(word) != arrived(mine)) /* only without an action: another was quicker */
            return AGAIN;
    }
    return (int)arrived(mine);
}

/* Lets nobody else be the last while the action runs. */
static int act(yoke_barrier *b, yoke_barrier_action action, void *arg, unsigned how, int64_t deadline)
{
    int err = enter_acting(b, how, deadline);
    if (err < 0) /* also -ETIMEDOUT: in the queue for the next generation: no part of any, and breaks none */
        return err;
    uint64_t word = load(b);
    bool last = !(word & BROKEN) && arrived(word) + 1 == b->parties;
    err = last ? end_generation(b, word, action, arg) : AGAIN;
    yk_lock_leave(&b->acting);
    return err;
}

static int arrive(yoke_barrier *b, yoke_barrier_action action, void *arg, bool try, int64_t deadline)
{
    if (b->parties == 0)
        return -EINVAL;
    for (uint64_t word = load(b);;) {
        if (word & BROKEN)
            return -EPIPE;
        if (arrived(word) + 1 == b->parties) {
            unsigned how = try ? YK_LOCK_TRY : YK_LOCK_UNTIL;
            int index = action ? act(b, action, arg, how, deadline) : end_generation(b, word, NULL, NULL);
            if (index != AGAIN)
                return index;
            if (try && action) /* another runs its action, or has */
                return load(b) & BROKEN ? -EPIPE : -EAGAIN;
            word = load(b);
        } else if (try) {
            return -EAGAIN;
        } else if (step(b, &word, word + ((uint64_t)1 << ARRIVED_SHIFT))) {
            return wait_for_end(b, word, deadline);
        }
    }
}

int yoke_barrier_wait_with(yoke_barrier *b, yoke_barrier_action action, void *arg, int64_t deadline)
{
    return arrive(b, action, arg, false, deadline);
}

int yoke_barrier_until(yoke_barrier *b, int64_t deadline)
{
    return arrive(b, b->action, b->arg, false, deadline);
}

int yoke_barrier_wait(yoke_barrier *b)
{
    return yoke_barrier_until(b, YOKE_FOREVER);
}

int yoke_barrier_timed(yoke_barrier *b, int64_t ns)
{
    return yoke_barrier_until(b, yk_after(ns));
}

int yoke_barrier_try(yoke_barrier *b)
{
    return arrive(b, b->action, b->arg, true, 0);
}

int yoke_barrier_reset(yoke_barrier *b)
{
    uint64_t word = load(b);
    if (b->parties == 0)
        return -EINVAL;
    while ((word & BROKEN || arrived(word) > 0) && !step(b, &word, next(word, true)))
        ;
    return 0;
}

int yoke_barrier_waiting(const yoke_barrier *b)
{
    return (int)arrived(load(b));
}

bool yoke_barrier_broken(const yoke_barrier *b)
{
    return load(b) & BROKEN;
}

int yoke_barrier_parties(const yoke_barrier *b)
{
    return (int)b->parties;
}

int yoke_barrier_init(yoke_barrier *b, int parties, yoke_barrier_action action, void *arg, unsigned flags)
{
    if (parties < 1 || parties > PARTIES_MAX || !yk_flags_fine(flags) || (action && yk_is_shared(flags)))
        return -EINVAL;
    *b = (yoke_barrier){.parties = (uint32_t)parties, .flags = flags, .action = action, .arg = arg, .acting = {.flags = flags}};
    return 0;
}

int yoke_barrier_done(yoke_barrier *b)
{
    uint64_t word = load(b);
    if (!(word & BROKEN) && arrived(word) > 0)
        return -EBUSY;
    int err = yk_lock_done(&b->acting);
    if (err == 0)
        b->parties = 0;
    return err;
}
