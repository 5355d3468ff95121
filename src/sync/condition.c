/* condition: waiting under a lock until notified; see yoke/sync.h. The rules are those of Python's threading.Condition.
 *
 * Each waiter has a word of its own, and who notifies picks the words to set, all under the users' lock. So a
 * notification goes to one waiter and to the oldest, there is no waking for nothing, and whether a waiter
 * whose time is over was notified is decided under the lock: it still stands in the queue, or it does not.
 *
 * Private waiters are nodes on their own stacks in a list. Shared ones are entries of a table in the
 * condition, ordered by ticket. Who notifies never waits for a waiter. When a shared waiter dies, its entry
 * is freed by whoever looks next: notify passes over it, and other waiters look after every nap. If it had
 * been notified the notification is passed on, to somebody who waited already when it was given: an entry's
 * ticket, once notified, is the first ticket that was not yet drawn then. */
#include "sync/lock.h"
#include "sync/watch.h"

/* A waiter's word. NOTIFIED is a bit that the others do not have. */
enum { AWAKE, NOTIFIED, ASLEEP };

/* The rest under the users' lock. */
typedef struct yk_waiter {
    struct yk_waiter *next;
    uint32_t word;
} yk_waiter;

static bool is_notified(uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED) == NOTIFIED; /* ordered by the lock */
}

static void set_word(uint32_t *word, bool shared)
{
    if (__atomic_exchange_n(word, NOTIFIED, __ATOMIC_RELAXED) == ASLEEP) /* ordered by the lock */
        yk_wake_word(word, 1, shared);
}

/* Waits on the word until a notification comes, or as yk_nap_more(). */
static int sleep_on(yk_nap *nap, uint32_t *word)
{
    uint32_t was = AWAKE;
    if (yk_nap_awake(nap, word, NOTIFIED, 0))
        return 0;
    if (!__atomic_compare_exchange_n(word, &was, ASLEEP, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) && was == NOTIFIED)
        return 0;
    return yk_nap_more(nap, word, ASLEEP);
}

/* ---- The list of private waiters ---- */

static void append(yoke_condition *c, yk_waiter *w)
{
    if (c->u.list.last)
        c->u.list.last->next = w;
    else
        c->u.list.first = w;
    c->u.list.last = w;
}

static void take_out(yoke_condition *c, yk_waiter *w)
{
    yk_waiter *before = NULL;
    for (yk_waiter *at = c->u.list.first; at != w; at = at->next)
        before = at;
    if (before)
        before->next = w->next;
    else
        c->u.list.first = w->next;
    if (c->u.list.last == w)
        c->u.list.last = before;
}

static int notify_list(yoke_condition *c, int n)
{
    int woken = 0;
    for (; woken < n && c->u.list.first; woken++) {
        yk_waiter *w = c->u.list.first;
        take_out(c, w);
        set_word(&w->word, false); /* w lives as long as we hold the lock */
    }
    return woken;
}

/* ---- The table of shared waiters ---- */

/* The waiter with the least ticket before `limit` that has not been notified and does not seem dead; NULL: none. */
static yk_waiting *oldest(yoke_condition *c, uint32_t limit)
{
    yk_waiting *found = NULL;
    for (yk_waiting *w = c->u.table; w < c->u.table + YOKE_SHARED_WAITERS; w++) {
        if (w->who == 0 || is_notified(&w->word) || (int32_t)(w->ticket - limit) >= 0)
            continue;
        if (yk_self_dead(w->who, false))
            __atomic_store_n(&w->who, 0, __ATOMIC_RELAXED);
        else if (!found || (int32_t)(w->ticket - found->ticket) < 0)
            found = w;
    }
    return found;
}

static int notify_table(yoke_condition *c, int n, uint32_t limit)
{
    int woken = 0;
    for (yk_waiting *w; woken < n && (w = oldest(c, limit)); woken++) {
        w->ticket = limit;
        set_word(&w->word, true);
    }
    return woken;
}

/* Frees the entries of the dead, and passes on what they were given. Under the lock. */
static void bury(yoke_condition *c)
{
    for (yk_waiting *w = c->u.table; w < c->u.table + YOKE_SHARED_WAITERS; w++) {
        if (w->who == 0 || !yk_self_dead(w->who, true))
            continue;
        if (is_notified(&w->word)) /* first, lest we die in between: then it is given twice instead of never */
            notify_table(c, 1, w->ticket);
        __atomic_store_n(&w->who, 0, __ATOMIC_RELAXED);
    }
}

/* Without the lock: is there one to bury? */
static bool sees_dead(yoke_condition *c)
{
    for (yk_waiting *w = c->u.table; w < c->u.table + YOKE_SHARED_WAITERS; w++) {
        uint64_t who = __atomic_load_n(&w->who, __ATOMIC_RELAXED);
        if (who && who != yk_self_id() && yk_self_dead(who, true))
            return true;
    }
    return false;
}

static yk_waiting *free_entry(yoke_condition *c)
{
    for (yk_waiting *w = c->u.table; w < c->u.table + YOKE_SHARED_WAITERS; w++)
        if (w->who == 0)
            return w;
    return NULL;
}

/* ---- Waiting ---- */

/* Where the caller waits. */
typedef struct yk_place {
    const char *file;
    int line;
} yk_place;

/* How a lock was held, and holding it again that way. */
static uint32_t give_up(yk_lock_core *l)
{
    uint32_t depth = l->depth;
    yk_lock_leave(l);
    return depth;
}

/* Without a time limit, whatever the wait had, and deaf to cancels. An error means that the lock is not held: it has been ended
 * meanwhile, or while it is watched its holder waits for this thread. That one sleeps, so the condition is not looked at by
 * anyone. */
static int take_back(yk_lock_core *l, uint32_t depth, yk_place place)
{
    if (yoke_watching_locks)
        yk_watch_want(l, NULL, NULL, place.file, place.line);
    int err = yk_lock_enter(l, 0, YOKE_FOREVER);
    if (err < 0 && err != -EOWNERDEAD) {
        if (yoke_watching_locks)
            yk_watch_quit(l);
        return err;
    }
    if (yoke_watching_locks)
        yk_watch_have(l);
    l->depth = depth;
    return err;
}

/* What a wait returns that has the lock again. One that was notified before, or after, it was given up was notified. */
static int ending(bool notified, int slept)
{
    return notified ? 1 : slept == -ECANCELED ? -ECANCELED : 0;
}

static const yk_kind kind = {"a condition", NULL};

static int wait_in_list(yoke_condition *c, yk_lock_core *l, int64_t deadline, yk_place place)
{
    yk_waiter w = {NULL, AWAKE};
    yk_nap nap = yk_nap_begin(deadline, false);
    nap.cause = (yk_cause){&kind, c};
    append(c, &w);
    uint32_t depth = give_up(l);
    int slept = 0;
    while (!is_notified(&w.word) && !yk_wait_is_over(slept))
        slept = sleep_on(&nap, &w.word);
    int err = take_back(l, depth, place);
    bool notified = is_notified(&w.word);
    if (!notified)
        take_out(c, &w);
    return err < 0 ? err : ending(notified, slept);
}

/* After a nap: whoever gets the lock at once looks after the dead. */
static void look_around(yoke_condition *c, yk_lock_core *l)
{
    if (!sees_dead(c))
        return;
    int err = yk_lock_enter(l, YK_LOCK_TRY, 0);
    if (err == 0 || err == -EOWNERDEAD) {
        bury(c);
        yk_lock_leave(l); /* what was doubtful still is */
    }
}

static int wait_in_table(yoke_condition *c, yk_lock_core *l, int64_t deadline, yk_place place)
{
    yk_waiting *w = free_entry(c);
    if (!w) {
        bury(c);
        w = free_entry(c);
    }
    if (!w)
        return -ENOSPC;
    yk_nap nap = yk_nap_begin(deadline, true);
    nap.cause = (yk_cause){&kind, c};
    w->ticket = c->tickets++;
    __atomic_store_n(&w->word, AWAKE, __ATOMIC_RELAXED);
    __atomic_store_n(&w->who, yk_self_id(), __ATOMIC_RELEASE); /* last: from here on the entry is taken; sees_dead() */
    uint32_t depth = give_up(l);
    int slept = 0;
    while (!is_notified(&w->word) && !yk_wait_is_over(slept)) {
        slept = sleep_on(&nap, &w->word);
        if (slept == -EAGAIN)
            look_around(c, l);
    }
    int err = take_back(l, depth, place);
    bool notified = is_notified(&w->word);
    __atomic_store_n(&w->who, 0, __ATOMIC_RELAXED);
    return err < 0 ? err : ending(notified, slept);
}

static int check(const yoke_condition *c, const yk_lock_core *l)
{
    if (c->flags & YK_FLAG_GONE || (c->flags ^ l->flags) & YOKE_SHARED)
        return -EINVAL;
    return yk_lock_mine(l) ? 0 : -EPERM;
}

int yk_condition_wait(yoke_condition *c, yk_lock_core *l, int64_t deadline, const char *file, int line)
{
    yk_place place = {file, line};
    int err = check(c, l);
    if (err < 0)
        return err;
    return yk_is_shared(c->flags) ? wait_in_table(c, l, deadline, place) : wait_in_list(c, l, deadline, place);
}

int yk_condition_timed(yoke_condition *c, yk_lock_core *l, int64_t ns, const char *file, int line)
{
    return yk_condition_wait(c, l, yk_after(ns), file, line);
}

int yk_condition_wait_for(yoke_condition *c, yk_lock_core *l, bool (*predicate)(void *arg), void *arg, int64_t deadline,
                          const char *file, int line)
{
    int err = check(c, l);
    while (err >= 0 && !predicate(arg)) {
        err = yk_condition_wait(c, l, deadline, file, line);
        if (err == 0)
            return predicate(arg);
    }
    return err < 0 ? err : 1;
}

int yk_condition_wait_for_timed(yoke_condition *c, yk_lock_core *l, bool (*predicate)(void *arg), void *arg, int64_t ns,
                                const char *file, int line)
{
    return yk_condition_wait_for(c, l, predicate, arg, yk_after(ns), file, line);
}

int yk_condition_notify(yoke_condition *c, yk_lock_core *l, int n)
{
    int err = check(c, l);
    if (err < 0 || n < 0)
        return err < 0 ? err : -EINVAL;
    return yk_is_shared(c->flags) ? notify_table(c, n, c->tickets) : notify_list(c, n);
}

int yoke_condition_init(yoke_condition *c, unsigned flags)
{
    if (!yk_flags_fine(flags))
        return -EINVAL;
    memset(c, 0, sizeof *c);
    c->flags = flags;
    return 0;
}

int yoke_condition_done(yoke_condition *c)
{
    if (yk_is_shared(c->flags)) {
        bury(c);
        for (int i = 0; i < YOKE_SHARED_WAITERS; i++)
            if (c->u.table[i].who)
                return -EBUSY;
    } else if (c->u.list.first) {
        return -EBUSY;
    }
    c->flags |= YK_FLAG_GONE;
    return 0;
}
