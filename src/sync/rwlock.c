/* rwlock: many readers or one writer; see yoke/sync.h.
 *
 * Writers exclude each other by an ordinary lock core, which brings owners, death and diagnosis with it. The
 * one that has it closes the gate (WRITER), which keeps new readers out, and waits until the last reader has
 * left. Private readers are a count in the gate's word. Shared readers have an entry each in a table, their
 * id, because a count does not tell whose it is when one dies: enter the table, then look at the gate; the
 * writer closes the gate, then looks at the table; one of the two sees the other, both being sequentially consistent.
 *
 * The writer sleeps on `drained`, which a leaving reader counts up when the gate is closed. Shared readers
 * sleep on the gate. Private ones sleep on `asleep`, so that while a writer is in nobody writes to the gate, and it
 * opens with a plain store, as a lock is released (lock.c): who wants to sleep makes `asleep` odd, then makes all
 * threads pass a fence, then looks at the gate once more. The writer looks at `asleep` after the store; if it is odd
 * it counts it up, so that nobody falls asleep on what was said before, and wakes all. So a writer has two locked
 * instructions in all, of which the one on the gate meets readers only.
 *
 * A writer that dies leaves the gate closed; the next writer, or a reader after a nap, inherits the
 * lock core. A reader opens the gate then and leaves the core doubtful (DIED), so that every reader and the
 * next writer is told. */
#include "sync/lock.h"
#include "sync/names.h"
#include "sync/watch.h"

enum { WRITER = 0x80000000, ASLEEP = 0x40000000, READERS = 0x3fffffff };

static bool shared(const yoke_rwlock *l)
{
    return yk_is_shared(l->writer.flags);
}

/* Wakes private readers, after the gate has been opened; by who has the writer's lock. */
static __attribute__((noinline)) void wake_readers(yoke_rwlock *l)
{
    __atomic_fetch_add(&l->asleep, 1, __ATOMIC_SEQ_CST); /* now even; pairs with sleep_at_gate() */
    yk_wake_word(&l->asleep, INT32_MAX, false);
}

static bool has_sleepers(const yoke_rwlock *l)
{
    return __atomic_load_n(&l->asleep, __ATOMIC_RELAXED) & 1; /* a fence of the sleeper's stands before it */
}

/* Also when readers are in. */
static void open_gate(yoke_rwlock *l)
{
    if (!shared(l)) {
        __atomic_fetch_and(&l->gate, ~(uint32_t)WRITER, __ATOMIC_SEQ_CST); /* as below */
        if (has_sleepers(l))
            wake_readers(l);
        return;
    }
    /* Release: pairs with the acquire of readers; and in the order of all with enter_table(). */
    if (__atomic_fetch_and(&l->gate, ~(uint32_t)(WRITER | ASLEEP), __ATOMIC_SEQ_CST) & ASLEEP)
        yk_wake_word(&l->gate, INT32_MAX, shared(l));
}

/* ---- Readers ---- */

static void tell_writer(yoke_rwlock *l)
{
    __atomic_fetch_add(&l->drained, 1, __ATOMIC_SEQ_CST); /* after the reader has left; pairs with drain() */
    yk_wake_word(&l->drained, 1, shared(l));
}

/* -EAGAIN: the table is full, or the gate is closed. */
static int enter_table(yoke_rwlock *l)
{
    for (int i = 0; i < YOKE_SHARED_READERS; i++) {
        uint64_t none = 0;
        if (__atomic_load_n(&l->reader[i], __ATOMIC_RELAXED)
            || !__atomic_compare_exchange_n(&l->reader[i], &none, yk_self_id(), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            continue;
        if (!(__atomic_load_n(&l->gate, __ATOMIC_SEQ_CST) & WRITER)) /* pairs with close_gate() */
            return 0;
        __atomic_store_n(&l->reader[i], 0, __ATOMIC_SEQ_CST);
        tell_writer(l);
        return -EAGAIN;
    }
    return -EAGAIN;
}

static int enter_count(yoke_rwlock *l)
{
    uint32_t gate = __atomic_load_n(&l->gate, __ATOMIC_RELAXED);
    while (!(gate & WRITER)) {
        if ((gate & READERS) == READERS)
            return -EOVERFLOW;
        /* Acquire: pairs with open_gate(). */
        if (__atomic_compare_exchange_n(&l->gate, &gate, gate + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 0;
    }
    return -EAGAIN;
}

static int enter(yoke_rwlock *l)
{
    if (!shared(l))
        return enter_count(l);
    int err = enter_table(l);
    if (err == 0 && __atomic_load_n(&l->writer.word, __ATOMIC_RELAXED) & YK_LOCK_DIED)
        return -EOWNERDEAD;
    return err;
}

/* Takes dead readers out of the table. */
static void bury(yoke_rwlock *l)
{
    for (int i = 0; i < YOKE_SHARED_READERS; i++) {
        uint64_t who = __atomic_load_n(&l->reader[i], __ATOMIC_RELAXED);
        if (who && yk_self_dead(who, true)) /* what its own leave would have done */
            __atomic_compare_exchange_n(&l->reader[i], &who, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
}

/* Has the writer died, or readers whose entries we need? */
static void look_around(yoke_rwlock *l)
{
    bury(l);
    if (!(__atomic_load_n(&l->gate, __ATOMIC_RELAXED) & WRITER))
        return;
    int err = yk_lock_enter(&l->writer, YK_LOCK_TRY, 0);
    if (err == 0 || err == -EOWNERDEAD) { /* nobody has it, so the gate's closer is dead */
        open_gate(l);
        yk_lock_leave(&l->writer);
    }
}

/* Private: all in order, the odd number, the fence, the look; pairs with yoke_rwlock_write_release(). */
static int sleep_at_gate(yoke_rwlock *l, yk_nap *nap)
{
    uint32_t odd = __atomic_fetch_or(&l->asleep, 1, __ATOMIC_SEQ_CST) | 1;
    nap->plain = yk_fence_all(false) && !yoke_watching_locks;
    if (!(__atomic_load_n(&l->gate, __ATOMIC_SEQ_CST) & WRITER))
        return 0;
    return yk_nap_more(nap, &l->asleep, odd);
}

/* Sleeps until the gate may be open. Returns what the nap did. */
static int wait_at_gate(yoke_rwlock *l, yk_nap *nap)
{
    if (!shared(l))
        return sleep_at_gate(l, nap);
    uint32_t gate = __atomic_load_n(&l->gate, __ATOMIC_RELAXED);
    if (!(gate & WRITER)) { /* the table is full: nobody wakes for that, so a short nap */
        yk_nap piece = yk_nap_begin(YK_MIN(nap->deadline, yk_after(YOKE_MS)), true);
        piece.deaf = nap->deaf;
        piece.cause = nap->cause;
        int slept = yk_nap_more(&piece, &l->gate, gate);
        return slept == -ETIMEDOUT && piece.deadline < nap->deadline ? -EAGAIN : slept;
    }
    if (!(gate & ASLEEP)
        && !__atomic_compare_exchange_n(&l->gate, &gate, gate | ASLEEP, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return 0;
    return yk_nap_more(nap, &l->gate, gate | ASLEEP);
}

static const yk_kind to_read = {"an rwlock to read", yk_lock_holder}, readers = {"the readers of an rwlock", NULL};

static int read_enter(yoke_rwlock *l, unsigned how, int64_t deadline)
{
    int err = enter(l);
    yk_nap nap = yk_nap_begin(deadline, shared(l));
    nap.cause = (yk_cause){&to_read, l};
    nap.deaf = yk_lock_is_deaf(how, deadline);
    if (err == -EAGAIN && yk_lock_mine(&l->writer))
        return yk_lock_own();
    if (err == -EAGAIN && how & YK_LOCK_TRY && nap.shared) {
        look_around(l);
        return enter(l);
    }
    for (int slept = 0; err == -EAGAIN && !(how & YK_LOCK_TRY); err = enter(l)) {
        if (yk_wait_is_over(slept))
            return slept;
        if (yoke_watching_locks
            && (err = yk_watch_blocked_until(&l->writer, nap.deaf ? deadline : yk_wait_limit(deadline))) < 0)
            return err;
        if (nap.shared && (slept == -EAGAIN || yk_self_dead(__atomic_load_n(&l->writer.word, __ATOMIC_RELAXED), false)))
            look_around(l);
        slept = wait_at_gate(l, &nap);
    }
    return err;
}

static const char *kind_of(const yoke_rwlock *l, bool read)
{
    return shared(l) ? read ? "shared read" : "shared write" : read ? "read" : "write";
}

static int watched_read(yoke_rwlock *l, unsigned how, int64_t deadline, const char *file, int line)
{
    int err = 0;
    if (how & YK_LOCK_TRY || deadline != YOKE_FOREVER)
        yk_watch_try(&l->writer, kind_of(l, true), yk_name_of(&l->writer), file, line);
    else
        err = yk_watch_want(&l->writer, kind_of(l, true), yk_name_of(&l->writer), file, line);
    if (err < 0)
        return err;
    err = read_enter(l, how, deadline);
    if (err == 0 || err == -EOWNERDEAD)
        yk_watch_have(&l->writer);
    else
        yk_watch_quit(&l->writer);
    return err;
}

static __attribute__((noinline)) int read_slowly(yoke_rwlock *l, unsigned how, int64_t limit, const char *file, int line)
{
    if (how & YK_LOCK_TIMED && limit < 0)
        return -EINVAL;
    if (__atomic_load_n(&l->writer.word, __ATOMIC_RELAXED) == YK_LOCK_GONE)
        return -EINVAL;
    int64_t deadline = how & YK_LOCK_TIMED ? yk_after(limit) : limit;
    int err = yoke_watching_locks ? watched_read(l, how, deadline, file, line) : read_enter(l, how, deadline);
    if (err == 0 || err == -EOWNERDEAD)
        yk_self.held++;
    return err;
}

int yk_rwlock_read(yoke_rwlock *l, unsigned how, int64_t limit, const char *file, int line)
{
    uint32_t gate = __atomic_load_n(&l->gate, __ATOMIC_RELAXED);
    /* Acquire: as in enter_count(). */
    if (YK_LIKELY(!shared(l) && !yoke_watching_locks && !(how & YK_LOCK_TIMED) && gate < READERS
                  && __atomic_load_n(&l->writer.word, __ATOMIC_RELAXED) == 0
                  && __atomic_compare_exchange_n(&l->gate, &gate, gate + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))) {
        yk_self.held++;
        return 0;
    }
    return read_slowly(l, how, limit, file, line);
}

static int leave_table(yoke_rwlock *l)
{
    for (int i = 0; i < YOKE_SHARED_READERS; i++) {
        if (__atomic_load_n(&l->reader[i], __ATOMIC_RELAXED) != yk_self_id())
            continue;
        __atomic_store_n(&l->reader[i], 0, __ATOMIC_SEQ_CST); /* pairs with drain() */
        yk_hold_less();
        if (__atomic_load_n(&l->gate, __ATOMIC_SEQ_CST) & WRITER)
            tell_writer(l);
        return 0;
    }
    return -EPERM;
}

static int leave_count(yoke_rwlock *l)
{
    uint32_t gate = __atomic_load_n(&l->gate, __ATOMIC_RELAXED);
    do {
        if ((gate & READERS) == 0)
            return -EPERM;
        /* Release: pairs with the acquire in drain(). */
    } while (!__atomic_compare_exchange_n(&l->gate, &gate, gate - 1, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    yk_hold_less();
    if (gate & WRITER && (gate & READERS) == 1)
        tell_writer(l);
    return 0;
}

static __attribute__((noinline)) int leave_slowly(yoke_rwlock *l)
{
    if (yoke_watching_locks && !yk_lock_mine(&l->writer))
        yk_watch_drop(&l->writer);
    return shared(l) ? leave_table(l) : leave_count(l);
}

int yoke_rwlock_read_release(yoke_rwlock *l)
{
    uint32_t gate = __atomic_load_n(&l->gate, __ATOMIC_RELAXED);
    /* Release: as in leave_count(). 0 less 1 is more than READERS. */
    if (YK_LIKELY(gate - 1 < READERS && !shared(l) && !yoke_watching_locks
                  && __atomic_compare_exchange_n(&l->gate, &gate, gate - 1, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))) {
        yk_hold_less();
        return 0;
    }
    return leave_slowly(l);
}

/* ---- Writers ---- */

static bool is_drained(yoke_rwlock *l)
{
    if (!shared(l))
        return (__atomic_load_n(&l->gate, __ATOMIC_SEQ_CST) & READERS) == 0; /* pairs with leave_count() */
    for (int i = 0; i < YOKE_SHARED_READERS; i++)
        if (__atomic_load_n(&l->reader[i], __ATOMIC_SEQ_CST)) /* pairs with leave_table() */
            return false;
    return true;
}

/* Waits until no reader is left. The gate is closed. */
static int drain(yoke_rwlock *l, unsigned how, int64_t deadline)
{
    yk_nap nap = yk_nap_begin(deadline, shared(l));
    nap.deaf = yk_lock_is_deaf(how, deadline);
    nap.cause = (yk_cause){&readers, l};
    int64_t limit = nap.deaf ? deadline : yk_wait_limit(deadline);
    for (int slept = 0;;) {
        uint32_t seen = __atomic_load_n(&l->drained, __ATOMIC_SEQ_CST); /* before the look; pairs with tell_writer() */
        if (is_drained(l))
            return 0;
        if (nap.shared && (slept < 0 || how & YK_LOCK_TRY)) {
            bury(l);
            if (is_drained(l))
                return 0;
        }
        if (how & YK_LOCK_TRY)
            return -EAGAIN;
        if (yk_wait_is_over(slept))
            return slept;
        int err = yoke_watching_locks ? yk_watch_blocked_until(&l->writer, limit) : 0;
        if (err < 0)
            return err;
        slept = yk_nap_more(&nap, &l->drained, seen);
    }
}

/* It has the writer's lock. Returns what that was taken with, or an error after giving it back. */
static __attribute__((noinline)) int keep_out(yoke_rwlock *l, unsigned how, int64_t deadline, const char *file, int line, int err)
{
    __atomic_fetch_or(&l->gate, WRITER, __ATOMIC_SEQ_CST); /* pairs with enter_table(), enter_count() */
    if (yoke_watching_locks)
        yk_watch_try(&l->writer, kind_of(l, false), yk_name_of(&l->writer), file, line);
    int drained = drain(l, how, deadline);
    if (yoke_watching_locks)
        yk_watch_quit(&l->writer);
    if (drained == 0)
        return err;
    open_gate(l);
    yk_lock_drop(&l->writer, how);
    return drained;
}

static __attribute__((noinline)) int write_slowly(yoke_rwlock *l, unsigned how, int64_t limit, const char *file, int line)
{
    if (how & YK_LOCK_TIMED && limit < 0)
        return -EINVAL;
    int64_t deadline = how & YK_LOCK_TIMED ? yk_after(limit) : limit;
    how = (how & YK_LOCK_TRY) | (how & (YK_LOCK_TIMED | YK_LOCK_UNTIL) ? YK_LOCK_UNTIL : 0) | YK_LOCK_WRITE;
    int err = yk_lock_take(&l->writer, how, deadline, file, line);
    return err < 0 && err != -EOWNERDEAD ? err : keep_out(l, how, deadline, file, line, err);
}

int yk_rwlock_write(yoke_rwlock *l, unsigned how, int64_t limit, const char *file, int line)
{
    uint64_t me = yk_self.id, nobody = 0;
    uint32_t open = 0;
    /* Acquire: pairs with the writer's release, and in the gate with the readers'. */
    if (YK_UNLIKELY(!me || yoke_watching_locks || how & YK_LOCK_TIMED || shared(l)
                    || !__atomic_compare_exchange_n(&l->writer.word, &nobody, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        return write_slowly(l, how, limit, file, line);
    yk_self.held++;
    if (YK_LIKELY(__atomic_compare_exchange_n(&l->gate, &open, WRITER, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        return 0;
    return keep_out(l, (how & (YK_LOCK_TRY | YK_LOCK_UNTIL)) | YK_LOCK_WRITE, limit, file, line, 0);
}

static __attribute__((noinline)) int release_slowly(yoke_rwlock *l)
{
    if (!yk_lock_mine(&l->writer))
        return -EPERM;
    open_gate(l);
    return yk_lock_drop(&l->writer, YK_LOCK_WRITE);
}

int yoke_rwlock_write_release(yoke_rwlock *l)
{
    uint64_t me = yk_self.id;
    if (YK_UNLIKELY(!me || __atomic_load_n(&l->writer.word, __ATOMIC_RELAXED) != me || yoke_watching_locks || shared(l)))
        return release_slowly(l);
    /* Release: pairs with the acquire of readers. The gate is the writer's alone until then. The load after it may be
     * seen before it: who is about to sleep makes up for that. */
    __atomic_store_n(&l->gate, 0, __ATOMIC_RELEASE);
    __asm__ __volatile__("" ::: "memory");
    if (YK_UNLIKELY(has_sleepers(l)))
        wake_readers(l);
    return yk_lock_give(&l->writer);
}

int yoke_rwlock_init(yoke_rwlock *l, unsigned flags)
{
    memset(l, 0, sizeof *l);
    return yk_lock_init(&l->writer, flags);
}

int yoke_rwlock_done(yoke_rwlock *l)
{
    if (shared(l))
        look_around(l);
    return is_drained(l) ? yk_lock_done(&l->writer) : -EBUSY;
}
