/* select: one of several sends and receives; see yoke/channel.h, and channel.h for how those who wait are served.
 *
 * First each case is tried on its own, in random order. If none can go, all channels are locked, in the order of their
 * addresses; each is tried once more, since it may have become possible meanwhile; and if there is still none, the party enters
 * all the lists before it leaves the locks. While it holds them nobody can serve it, so what it does itself it need not
 * agree about with anybody; once it stands in the lists it only waits. Two selects that could serve each other always share a
 * channel, whose lock decides which of them comes second and serves the first.
 *
 * What a select needs for each case, places in two orders and the links, lies in the cases: it takes no memory. */
#include "base/spin.h"
#include "sync/channel.h"
#include <limits.h>
#include <sched.h>

/* ---- Waiting ---- */

static bool is_served(yk_party *p)
{
    /* Pairs with serve(): whoever served it does not touch the party any more, and what it wrote is seen. */
    return atomic_load_explicit(&p->word, memory_order_acquire) == YK_PARTY_SERVED;
}

/* Waits awake, for about as long as it would take to be woken. Not when that has been in vain several times in a row, except now
 * and then; and with no CPU to spare just lets others run. What is no thread is suspended at once: whoever is to serve it may be
 * waiting for this very thread. */
static void spin(yk_party *p, yoke_channel *c, yoke_direction side)
{
    yk_blocking *b = yk_blocked_hook;
    if (b && b->wait)
        return;
    uint32_t missed = atomic_load_explicit(&c->misses[side], memory_order_relaxed);
    if (c->spin && (missed < 4 || missed % 16 == 0)) {
        yk_spin spin;
        yk_spin_begin(&spin, true);
        while (!is_served(p) && yk_spin_more(&spin))
            ;
    } else {
        sched_yield();
    }
    uint32_t now = is_served(p) ? 0 : missed + 1;
    if (now != missed)
        atomic_store_explicit(&c->misses[side], now, memory_order_relaxed);
}

/* Until it is served: 0; or until time is up or the wait is broken off: the reason, though it may be served even so. */
static int sleep_until(yk_party *p, const yk_cause *cause, int64_t deadline)
{
    uint32_t was = YK_PARTY_AWAKE;
    /* Pairs with serve(), which wakes whom it finds asleep. */
    if (!atomic_compare_exchange_strong_explicit(&p->word, &was, YK_PARTY_ASLEEP, memory_order_acq_rel, memory_order_acquire))
        return 0;
    for (;;) {
        int err = yk_wait_for(cause, &p->word, YK_PARTY_ASLEEP, deadline, false);
        if (is_served(p))
            return 0;
        if (err < 0 && err != -EAGAIN && err != -EINTR)
            return err;
    }
}

/* Takes what still stands in lists out of them. After that nobody serves the party who has not done so: the serving is done
 * under the lock of the case. */
static void leave_all(yoke_case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        yoke_channel *c = cases[i].channel;
        if (!c)
            continue;
        yk_mutex_lock(&c->lock);
        yk_channel_leave(&cases[i]);
        yk_mutex_unlock(&c->lock);
    }
}

static yk_cause cause_of(const yoke_case *cases, int n)
{
    static const yk_kind send = {"a receiver at a channel", NULL}, receive = {"a sender at a channel", NULL},
                         several = {"one of several channels", NULL};
    if (n != 1)
        return (yk_cause){&several, NULL};
    return (yk_cause){cases->direction == YOKE_SEND ? &send : &receive, cases->channel};
}

int yk_party_wait(yk_party *p, yoke_case *cases, int n, int64_t deadline)
{
    yk_cause cause = cause_of(cases, n);
    if (n > 0 && cases[0].channel)
        spin(p, cases[0].channel, cases[0].direction);
    int err = sleep_until(p, &cause, deadline);
    if (n > 1 || err < 0) /* else who served the only case has taken it out */
        leave_all(cases, n);
    return is_served(p) ? (int)(p->happened - cases) : err;
}

/* ---- Orders ---- */

/* Random numbers of this thread's: the same in each run for the n-th thread that asks. */
static uint32_t next_random(void)
{
    static _Atomic uint32_t threads;
    static _Thread_local uint64_t state;
    if (state == 0)
        state = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) * UINT64_C(0x9E3779B97F4A7C15) + 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* All orders are equally likely. */
static void shuffle(yoke_case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        int j = (int)((uint64_t)next_random() * (uint32_t)(i + 1) >> 32);
        cases[i].yk.turn = cases[j].yk.turn;
        cases[j].yk.turn = (uint32_t)i;
    }
}

/* By the addresses of their channels: a Shell sort, which does nothing but look when they are in order already. */
static void rank(yoke_case *cases, int n)
{
    for (int i = 0; i < n; i++)
        cases[i].yk.rank = (uint32_t)i;
    for (int gap = n; gap > 1;) {
        gap = gap < 5 ? 1 : (int)((int64_t)gap * 5 / 11);
        for (int i = gap; i < n; i++) {
            uint32_t moved = cases[i].yk.rank;
            int j = i;
            for (; j >= gap && (uintptr_t)cases[cases[j - gap].yk.rank].channel > (uintptr_t)cases[moved].channel; j -= gap)
                cases[j].yk.rank = cases[j - gap].yk.rank;
            cases[j].yk.rank = moved;
        }
    }
}

/* Whether the case at that place of the order is the first of its channel. */
static yoke_channel *first_of(yoke_case *cases, int place)
{
    yoke_channel *c = cases[cases[place].yk.rank].channel;
    return place > 0 && cases[cases[place - 1].yk.rank].channel == c ? NULL : c;
}

static void lock_all(yoke_case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        yoke_channel *c = first_of(cases, i);
        if (c)
            yk_mutex_lock(&c->lock);
    }
}

static void unlock_all(yoke_case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        yoke_channel *c = first_of(cases, i);
        if (c)
            yk_mutex_unlock(&c->lock);
    }
}

/* ---- Selecting ---- */

/* 0, or -EDEADLK when no case can ever happen, or -EINVAL. */
static int check(const yoke_case *cases, size_t n, bool ends)
{
    if ((!cases && n > 0) || n > INT_MAX)
        return -EINVAL;
    bool some = false;
    for (size_t i = 0; i < n; i++) {
        if (!cases[i].channel)
            continue;
        some = true;
        if (!cases[i].value || (cases[i].direction != YOKE_SEND && cases[i].direction != YOKE_RECEIVE))
            return -EINVAL;
    }
    return some || ends ? 0 : -EDEADLK;
}

/* One after the other, in their turns: the first that goes, or -EAGAIN. */
static int try_each(yoke_case *cases, int n)
{
    for (int i = 0; i < n; i++) {
        yoke_case *k = &cases[cases[i].yk.turn];
        if (k->channel && yk_channel_do(k, false, 0) == 0)
            return (int)(k - cases);
    }
    return -EAGAIN;
}

/* Under all locks: the first that goes, or else all enter their lists and -EAGAIN. */
static int try_or_enter(yoke_case *cases, int n, yk_party *p, yk_sleeper *wake)
{
    for (int i = 0; i < n; i++) {
        yoke_case *k = &cases[cases[i].yk.turn];
        if (k->channel && yk_channel_attempt(k, wake) == 0)
            return (int)(k - cases);
    }
    yk_party_begin(p);
    for (int i = 0; i < n; i++)
        if (cases[i].channel)
            yk_channel_enter(&cases[i], p);
    return -EAGAIN;
}

static int select_case(yoke_case *cases, size_t count, bool wait, int64_t deadline)
{
    int err = check(cases, count, !wait || deadline != YOKE_FOREVER), n = (int)count;
    if (err < 0)
        return err;
    if (n == 1 && cases->channel)
        return yk_channel_do(cases, wait, deadline);
    shuffle(cases, n);
    int done = try_each(cases, n);
    if (done >= 0 || !wait)
        return done;
    if (yk_has_passed(deadline))
        return -ETIMEDOUT;
    yk_party p;
    yk_sleeper wake = NULL;
    rank(cases, n);
    lock_all(cases, n);
    done = try_or_enter(cases, n, &p, &wake);
    unlock_all(cases, n);
    yk_channel_wake(wake);
    return done >= 0 ? done : yk_party_wait(&p, cases, n, deadline);
}

int yoke_channel_select(yoke_case *cases, size_t n)
{
    return select_case(cases, n, true, YOKE_FOREVER);
}

int yoke_channel_select_try(yoke_case *cases, size_t n)
{
    return select_case(cases, n, false, 0);
}

int yoke_channel_select_timed(yoke_case *cases, size_t n, int64_t ns)
{
    return ns < 0 ? -EINVAL : select_case(cases, n, true, yk_after(ns));
}

int yoke_channel_select_until(yoke_case *cases, size_t n, int64_t deadline)
{
    return select_case(cases, n, true, deadline);
}
