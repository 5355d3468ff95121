/* once: an initialisation that happens once; see yoke/sync.h. The word is 0, or 1 when done, or the id of the
 * thread that runs it, marked (an id's TID is never so large) so that it is neither. Sleepers are announced
 * and woken as those of a lock, with ordinary fences: an initialisation is rare. */
#include "sync/lock.h"
#include "sync/who.h"

enum { FRESH = 0, DONE = 1 };
#define RUNNING YK_LOCK_GONE /* beside an id */

int yoke_once_init(yoke_once *o, unsigned flags)
{
    if (!yk_flags_fine(flags))
        return -EINVAL;
    *o = (yoke_once){.flags = flags};
    return 0;
}

int yoke_once_done(yoke_once *o)
{
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
    if (word != FRESH && word != DONE)
        return -EBUSY;
    __atomic_store_n(&o->flags, YK_FLAG_GONE, __ATOMIC_RELAXED);
    __atomic_store_n(&o->word, FRESH, __ATOMIC_RELAXED);
    return 0;
}

/* Becomes the one who runs it, also instead of a dead one. */
static bool claim(yoke_once *o, uint64_t me, bool closely)
{
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
    if (word == DONE || (word != FRESH && !(yk_is_shared(o->flags) && yk_self_dead(word, closely))))
        return false;
    /* Acquire: pairs with finish() of one who failed. */
    return __atomic_compare_exchange_n(&o->word, &word, me | RUNNING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void finish(yoke_once *o, uint64_t word)
{
    uint32_t flags = o->flags;
    /* Sequentially consistent, with the load after it: pairs with the exchange and the load in
     * wait_for_other(). Whoever sees DONE may make the memory something else, if nobody else needs it. */
    __atomic_store_n(&o->word, word, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&o->sleepers, 0, __ATOMIC_SEQ_CST))
        yk_wake_word(&o->sleepers, INT32_MAX, yk_is_shared(flags));
}

static int run(yoke_once *o, int (*fn)(void *arg), void *arg)
{
    yk_self.held++; /* whoever wants it waits for this thread, as for a lock */
    int err = fn(arg);
    yk_hold_less();
    finish(o, err < 0 ? FRESH : DONE);
    return err < 0 ? err : 0;
}

static int check(const yoke_once *o)
{
    if (__atomic_load_n(&o->flags, __ATOMIC_RELAXED) & YK_FLAG_GONE)
        return -EINVAL;
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
    return word != DONE && yk_word_mine(word, o->flags) ? yk_wish_refuse("waits for an initialisation that it runs itself") : 0;
}

/* Sleeps while another runs it. Returns what the nap did. */
static int wait_for_other(yoke_once *o, yk_nap *nap)
{
    __atomic_exchange_n(&o->sleepers, 1, __ATOMIC_SEQ_CST); /* pairs with finish() */
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_SEQ_CST);
    return word == FRESH || word == DONE ? 0 : yk_nap_more(nap, &o->sleepers, 1);
}

static uint64_t runner(const void *once)
{
    uint64_t word = __atomic_load_n(&((const yoke_once *)once)->word, __ATOMIC_RELAXED);
    return word == FRESH || word == DONE ? 0 : word & YK_LOCK_ID;
}

int yk_once_run(yoke_once *o, int (*fn)(void *arg), void *arg, int64_t deadline)
{
    uint64_t me = yk_self_id();
    static const yk_kind kind = {"an initialisation", runner};
    yk_nap nap = yk_nap_begin(deadline, yk_is_shared(o->flags));
    nap.cause = (yk_cause){&kind, o};
    int err = check(o);
    for (int slept = 0; err == 0; slept = wait_for_other(o, &nap)) {
        if (yoke_once_is_done(o))
            return 0;
        if (claim(o, me, slept != 0))
            return run(o, fn, arg);
        if (yk_wait_is_over(slept))
            return slept;
    }
    return err;
}

int yk_once_try(yoke_once *o, int (*fn)(void *arg), void *arg)
{
    uint64_t me = yk_self_id();
    int err = check(o);
    if (err < 0)
        return err;
    if (claim(o, me, true))
        return run(o, fn, arg);
    return yoke_once_is_done(o) ? 0 : -EAGAIN;
}

int yoke_once_timed(yoke_once *o, int (*fn)(void *arg), void *arg, int64_t ns)
{
    return yk_once_run(o, fn, arg, yk_after(ns));
}
