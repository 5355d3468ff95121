/* lock: yoke_lock and yoke_rlock, and the rwlock's writer; see yoke/sync.h.
 *
 * The idea is an asymmetric lock. The holder releases with a plain store of 0 to the word and then a plain
 * load of `sleepers`, and the processor may let others see the two in the other order. So whoever wants to
 * sleep, which costs microseconds anyway, first sets `sleepers`, then makes every running thread pass a full
 * fence (yk_fence_all), then tries the lock once more. Either the fence met the holder before its load, which
 * then sees `sleepers` and wakes; or after its store, and then the try sees 0.
 *
 * Sleepers sleep on `sleepers` itself while it is 1. Who releases sets it to 0 and wakes one. A sleeper that
 * is woken sets it to 1 before it tries the word: there may be others. So after every release that saw a 1,
 * one thread is on its way that will bring the 1 back before it takes the lock, or sleeps, or gives up. A
 * sleeper that was killed leaves at worst a 1, which costs one call for nothing.
 *
 * The word holds its owner's id, private or shared: one compare and swap tells at every instant whose the
 * lock is, so that the death of an owner leaves no step in between. Shared sleepers nap (yk_nap), and look
 * after each nap whether the owner has died: then one of them replaces its id by its own, with YK_LOCK_DIED,
 * and has the lock. Where the kernel has no membarrier(2), private sleepers nap as well: what the fence would
 * have ordered is in order long before the first nap is over.
 *
 * All sources of a lock's states: 0; ID; ID|DIED, held and doubtful; DIED, free and doubtful; GONE. */
#include "sync/lock.h"
#include "sync/names.h"
#include "sync/watch.h"
#include "sync/who.h"
#include "topo/topo.h"

/* Worth spinning for the time that short critical sections take, where another CPU can run the owner. */
enum { SPINS = 60 };

static bool is_taken(uint64_t word)
{
    return (word & YK_TID_MASK) != 0;
}

/* 0 or -EOWNERDEAD: taken; -EAGAIN: another has it; -EINVAL: ended. */
static int take(yk_lock_core *l, uint64_t me)
{
    uint64_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    while (!is_taken(word)) {
        if (word & YK_LOCK_GONE)
            return -EINVAL;
        /* Acquire: pairs with the release in yk_lock_give() and free_word(). */
        if (__atomic_compare_exchange_n(&l->word, &word, me | (word & YK_LOCK_DIED), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return word & YK_LOCK_DIED ? -EOWNERDEAD : 0;
    }
    return -EAGAIN;
}

/* Instead of an owner that has died. 0: it lives, or another was quicker. */
static int inherit(yk_lock_core *l, uint64_t me, bool closely)
{
    uint64_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    if (!yk_is_shared(l->flags) || !is_taken(word) || !yk_self_dead(word, closely))
        return 0;
    /* Acquire: pairs with nothing but what the dead released before; order among heirs. */
    if (!__atomic_compare_exchange_n(&l->word, &word, me | YK_LOCK_DIED, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return 0;
    l->depth = 0;
    return -EOWNERDEAD;
}

static int spin(yk_lock_core *l, uint64_t me)
{
    if (yk_is_coroutine())
        return -EAGAIN;
    static _Atomic unsigned cpus;
    if (YK_UNLIKELY(atomic_load_explicit(&cpus, memory_order_relaxed) == 0))
        atomic_store_explicit(&cpus, yk_cpu_budget(), memory_order_relaxed);
    int err = -EAGAIN;
    for (int i = 0; i < SPINS && err == -EAGAIN && atomic_load_explicit(&cpus, memory_order_relaxed) > 1; i++) {
        yk_pause();
        err = take(l, me);
    }
    return err;
}

uint64_t yk_lock_holder(const void *core)
{
    return __atomic_load_n(&((const yk_lock_core *)core)->word, __ATOMIC_RELAXED) & YK_LOCK_ID;
}

static const yk_kind *what_is(unsigned how)
{
    static const yk_kind lock = {"a lock", yk_lock_holder}, again = {"an rlock", yk_lock_holder},
                         writer = {"an rwlock to write", yk_lock_holder};
    return how & YK_LOCK_WRITE ? &writer : how & YK_LOCK_AGAIN ? &again : &lock;
}

static int sleep_for(yk_lock_core *l, uint64_t me, unsigned how, int64_t deadline)
{
    yk_nap nap = yk_nap_begin(deadline, yk_is_shared(l->flags));
    nap.cause = (yk_cause){what_is(how), l};
    nap.deaf = yk_lock_is_deaf(how, deadline);
    for (int slept = 0;;) {
        /* All in order: `sleepers`, the fence, the try; pairs with yk_lock_give(). */
        __atomic_exchange_n(&l->sleepers, 1, __ATOMIC_SEQ_CST);
        nap.plain = yk_fence_all(nap.shared) && !nap.shared && !yoke_watching_locks;
        int err = take(l, me);
        if (err == -EAGAIN && inherit(l, me, slept != 0))
            err = -EOWNERDEAD;
        if (err != -EAGAIN)
            return err;
        if (yk_wait_is_over(slept))
            return slept;
        if (yoke_watching_locks && (err = yk_watch_blocked_until(l, nap.deaf ? deadline : yk_wait_limit(deadline))) < 0)
            return err;
        slept = yk_nap_more(&nap, &l->sleepers, 1);
    }
}

static int enter(yk_lock_core *l, unsigned how, int64_t deadline)
{
    uint64_t me = yk_self_id();
    int err = take(l, me);
    if (err != -EAGAIN)
        return err;
    if (how & YK_LOCK_TRY)
        return inherit(l, me, true) ? -EOWNERDEAD : -EAGAIN;
    err = spin(l, me);
    return err != -EAGAIN ? err : sleep_for(l, me, how, deadline);
}

int yk_lock_enter(yk_lock_core *l, unsigned how, int64_t deadline)
{
    int err = enter(l, how, deadline);
    if (err == 0 || err == -EOWNERDEAD)
        yk_self.held++;
    return err;
}

/* ---- What the header calls ---- */

static const char *kind_of(const yk_lock_core *l, unsigned how)
{
    static const char *const kinds[][2] = {{"lock", "shared lock"}, {"rlock", "shared rlock"}, {"rwlock", "shared rwlock"}};
    return kinds[how & YK_LOCK_WRITE ? 2 : how & YK_LOCK_AGAIN ? 1 : 0][yk_is_shared(l->flags)];
}

int yk_lock_own(void)
{
    return yk_wish_refuse("waits for an rwlock under which it writes itself");
}

static int watched_enter(yk_lock_core *l, unsigned how, int64_t deadline, const char *file, int line)
{
    int err = 0;
    if (how & YK_LOCK_TRY || deadline != YOKE_FOREVER)
        yk_watch_try(l, kind_of(l, how), yk_name_of(l), file, line);
    else
        err = yk_watch_want(l, kind_of(l, how), yk_name_of(l), file, line);
    if (err < 0)
        return err;
    err = yk_lock_enter(l, how, deadline);
    if (err == 0 || err == -EOWNERDEAD)
        yk_watch_have(l);
    else
        yk_watch_quit(l);
    return err;
}

int yk_lock_wait(yk_lock_core *l, unsigned how, int64_t limit, const char *file, int line)
{
    int64_t deadline = how & YK_LOCK_TIMED ? yk_after(limit) : limit;
    if (how & (YK_LOCK_AGAIN | YK_LOCK_WRITE) && yk_lock_mine(l)) {
        if (how & YK_LOCK_WRITE) {
            if (yoke_watching_locks && !(how & YK_LOCK_TRY) && deadline == YOKE_FOREVER
                && yk_watch_want(l, kind_of(l, how), yk_name_of(l), file, line) < 0) /* for its report */
                return -EDEADLK;
            return yk_lock_own();
        }
        if (l->depth == UINT32_MAX)
            return -EOVERFLOW;
        l->depth++;
        return 0;
    }
    return yoke_watching_locks ? watched_enter(l, how, deadline, file, line) : yk_lock_enter(l, how, deadline);
}

void yk_lock_wake(yk_lock_core *l)
{
    /* Whoever is about to sleep finds a 0 here and looks again; see the top. */
    __atomic_store_n(&l->sleepers, 0, __ATOMIC_SEQ_CST);
    yk_wake_word(&l->sleepers, 1, yk_is_shared(l->flags));
}

/* Frees the word, unless it has changed since it was seen. Whether it was doubtful remains. */
static bool free_word(yk_lock_core *l, uint64_t seen)
{
    /* Sequentially consistent: here the load of sleepers after it may cost something. */
    if (!__atomic_compare_exchange_n(&l->word, &seen, seen & YK_LOCK_DIED, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return false;
    if (__atomic_load_n(&l->sleepers, __ATOMIC_SEQ_CST))
        yk_lock_wake(l);
    return true;
}

int yk_lock_drop(yk_lock_core *l, unsigned how)
{
    uint64_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    if (word & YK_LOCK_GONE)
        return -EINVAL;
    bool mine = yk_word_mine(word, l->flags);
    if (!is_taken(word) || (!mine && (how != YK_LOCK_PLAIN || yk_is_shared(l->flags))))
        return -EPERM;
    if (how & YK_LOCK_AGAIN && l->depth > 0) {
        l->depth--;
        return 0;
    }
    if (yoke_watching_locks)
        yk_watch_drop(l);
    /* A private lock that two release at the same time is released once. */
    if (!free_word(l, word))
        return -EPERM;
    if (mine)
        yk_hold_less();
    else
        yk_who_returned(word & YK_LOCK_ID);
    return 0;
}

void yk_lock_leave(yk_lock_core *l)
{
    l->depth = 0;
    if (yoke_watching_locks)
        yk_watch_drop(l);
    yk_hold_less();
    free_word(l, __atomic_load_n(&l->word, __ATOMIC_RELAXED));
}

/* What is known of the lock, or of another that had its address before. */
static void forget(const yk_lock_core *l)
{
    if (yoke_watching_locks) {
        yk_watch_forget(l);
        yk_name_set(l, NULL);
    }
}

int yk_lock_init(yk_lock_core *l, unsigned flags)
{
    if (!yk_flags_fine(flags))
        return -EINVAL;
    forget(l);
    *l = (yk_lock_core){.flags = flags};
    return 0;
}

int yk_lock_done(yk_lock_core *l)
{
    uint64_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);
    do {
        if (is_taken(word))
            return -EBUSY;
        /* Acquire: pairs with the last release; the memory may become anything now. */
    } while (!__atomic_compare_exchange_n(&l->word, &word, YK_LOCK_GONE, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    forget(l);
    return 0;
}

bool yk_lock_owned(const yk_lock_core *l)
{
    return yk_lock_mine(l);
}

int yk_lock_consistent(yk_lock_core *l)
{
    if (!yk_lock_mine(l))
        return -EPERM;
    return __atomic_fetch_and(&l->word, ~YK_LOCK_DIED, __ATOMIC_RELAXED) & YK_LOCK_DIED ? 0 : -EINVAL;
}

void yk_lock_name(yk_lock_core *l, const char *name)
{
    if (yoke_watching_locks)
        yk_name_set(l, name);
}
