/* yoke/sync.h - locks and what goes with them, between threads and between processes, with the rules of
 * Python's threading.
 *
 *   yoke_lock        one holder; whoever knows it may release it
 *   yoke_rlock       one holder, who may take it again
 *   yoke_rwlock      many readers or one writer
 *   yoke_semaphore   permits, bounded or not
 *   yoke_condition   wait under a lock until somebody notifies
 *   yoke_event       a flag to wait for
 *   yoke_barrier     all wait for all, again and again
 *   yoke_latch       a count that goes down to zero, once
 *   yoke_once        an initialisation that happens once
 *   yoke_with        holds a lock for the block that follows
 *
 * Common to all:
 *   - The struct is the caller's, in any memory, and is not copied while in use; its memory stays until every
 *     call on it has returned, the releases of others too. Zeroed it is ready, private
 *     to the process, except yoke_barrier, which has a number to be told; the INIT macros and X_init() do the
 *     same and more. X_done() ends it and returns -EBUSY when it is plainly in use; later use is -EINVAL
 *     where that costs nothing to see.
 *   - Four forms of waiting: X(), for ever; X_try(), not at all (-EAGAIN); X_timed(), at most ns nanoseconds
 *     (-ETIMEDOUT; 0 does not wait; less than 0 is -EINVAL for a lock and an rwlock, and as 0 for the others, as
 *     in Python); X_until(), until a deadline of yoke_now(). YOKE_FOREVER as ns or deadline is for ever.
 *     Signals do not end a wait.
 *   - May be called from any thread and from inside tasks (a worker that waits lends its place to another, and
 *     parallel calls under a lock are safe, see yoke/fork.h, "Locks"), not from signal handlers; what never
 *     waits (set, release, notify) may also be called by whoever holds other locks.
 *   - In a coroutine (yoke/async.h) a wait suspends that coroutine alone, and what it holds is its own, not its thread's. One
 *     that is told to stop gets -ECANCELED from its wait, which has then not happened: no permit, notification or arrival is
 *     lost. But X() of a lock, rlock or rwlock waits to the end, as few ask what it returned; X_until(l, YOKE_FOREVER) can be
 *     told.
 *   - YOKE_SHARED in the flags of X_init(): the struct lies in memory that other processes map too, at any
 *     address. All of them run this version of yoke in one PID namespace, and one of them calls X_init()
 *     before the others come.
 *
 * When somebody dies. A process may be killed (SIGKILL, a crash) at any instruction, and a thread may end,
 * while it holds or waits for something shared. Who waits finds out by looking from time to time (10 ms after
 * it began to wait, then ever more seldom, every 80 ms at last), so a death costs the others a moment and
 * never blocks them:
 *   - a lock, rlock or rwlock whose holder died goes to the next who asks: that call returns -EOWNERDEAD
 *     *with the lock held*, what the lock protects may be half changed, and yoke_X_consistent() says that it
 *     has been repaired. Released without that, it goes to the next one with -EOWNERDEAD again. A dead reader
 *     is just forgotten;
 *   - permits of a semaphore have no owner: whoever reaps the process gives back what it had;
 *   - a notification given to a waiter that died without returning goes to the next waiter;
 *   - a barrier is broken when its action's thread dies; one who will never arrive is a matter for timeouts
 *     or yoke_barrier_abort();
 *   - an initialisation whose thread died is begun again by the next.
 * A process that calls exec() holding something keeps it until it ends. In private memory a thread that ends
 * keeps what it holds.
 *
 * After fork() the child has a copy of everything private: what the thread that called fork() held, it holds in the
 * child too and may release there; what other threads held stays held for ever, and who waited is gone. What is shared
 * stays with the parent.
 *
 * What it costs: a free lock is taken by one locked instruction and released by none, private or shared. Who
 * has to sleep first makes all running threads pass a fence (membarrier(2)), which is why the holder need
 * not. Source: asymmetric locks after Dice, Huang and Yang, "Asymmetric Dekker synchronization" (2001).
 *
 * Order among those who wait. Sleepers are woken in the order in which they fell asleep, but a newcomer may overtake
 * one that has been woken, which then sleeps again as the last. That is how a lock changes hands two or three times
 * as often; nothing bounds how often a waiter of a lock, an rlock, a semaphore or an rwlock can be overtaken. A thread
 * that releases and acquires again without a pause has it again nearly always: one that others wait for should do its
 * work between. What must be fair takes a yoke_condition, whose notifications go to who has waited longest, or a queue.
 *
 * Diagnosis. YOKE_DEBUG=locks in the environment: these are reported on stderr, once for each pair of places, with the
 * threads, the locks (by name if X_name() gave one) and file and line of each acquire:
 *   - locks that are acquired in orders that contradict each other, at the first time, whether or not it comes to a
 *     deadlock; the lock that a wait for a condition takes back counts, at the place of the wait. So does an rwlock that
 *     a thread reads under twice: a writer in between waits for the first, and the second for the writer;
 *   - a deadlock, when it happens: threads that wait in a ring, without a time limit, for locks, rlocks and rwlocks,
 *     threads (yoke_thread_join), futures and forks (yoke_join). The call that would close the ring returns -EDEADLK
 *     instead, also a yoke_condition_wait() that cannot have its lock back (it does not hold it then), and
 *     yoke_deadlock() has the text. A join of a fork cannot fail, so there it is one of the locks that does;
 *   - a thread that acquires again what it holds and cannot have twice: -EDEADLK;
 *   - a thread that ends with an rlock or an rwlock, or with a lock that its holders have released 16 times before; who
 *     waits for what it held gets -EDEADLK when nobody can release it.
 * A private yoke_lock may be released by any thread. One that ever was by another than its holder is a signal, and is
 * left alone. One that has not been released so far may be one yet: a ring with a join or an await in it, or a thread
 * that waits for itself or for a thread that has ended, is certain all the same when every thread of the process waits
 * so; else it is reported as likely when it has lasted a second, and the wait goes on.
 *
 * Not seen: waits that have a time limit, or that any thread may end: for a semaphore, an event, a notification, a
 * barrier, a latch, an initialisation, a queue. A thread in one of these counts as one that will go on. Rings by way of
 * other processes: each process sees its own threads only. There use the forms with a time limit, and take -ETIMEDOUT
 * for the report. A ring of more than 32 threads, an order of more than 8 locks. A read lock must be released by the
 * thread that acquired it, or the reports are wrong. Locks are known by their addresses: one in memory that is used again (of a
 * stack, of malloc) begins with X_init(), or the one before ended with X_done(); else it is taken for that one, and inherits its
 * orders and its name.
 *
 * It costs each acquire and each release a lock that all threads share, and sleepers wake up every 80 ms to look. Joins
 * and awaits are looked at always, without YOKE_DEBUG; joins of threads, awaits, an rwlock in its writer and
 * yoke_once_run() in itself return -EDEADLK always. */
#ifndef YOKE_SYNC_H
#define YOKE_SYNC_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of the init functions. */
enum {
    YOKE_SHARED = 1 /* in memory shared between processes */
};

/* For constants: one that is less than 0 does not compile. */
#define YK_NOT_NEGATIVE(n) ((uint32_t)(n) + 0 * (uint32_t)sizeof(char[(n) < 0 ? -1 : 1]))

/* ---- For the macros and inline functions below; the fields of all structs are the library's ---- */

/* word: 0 free; else the owner's id, or flags (src/sync/lock.c). Written by: word, who takes and releases;
 * sleepers, who is about to sleep and who wakes; depth, the owner; flags, init. */
typedef struct yk_lock_core {
    uint64_t word;
    uint32_t sleepers; /* 1: somebody may sleep on this */
    uint32_t depth;    /* how often more the owner has taken it */
    uint32_t flags, spare;
} yk_lock_core;

/* How a lock is wanted. */
enum { YK_LOCK_PLAIN = 0, YK_LOCK_AGAIN = 1, YK_LOCK_TRY = 2, YK_LOCK_TIMED = 4, YK_LOCK_WRITE = 8, YK_LOCK_UNTIL = 16 };

/* The calling thread. id: what it is in a lock's word, 0 until it first needs that; held: how many locks it has
 * taken and not given back, and the like (yoke_isolate_begin). Only the thread itself reads and writes. */
typedef struct yk_self_of_thread {
    uint64_t id;
    uint32_t held, spare;
} yk_self_of_thread;
extern __attribute__((tls_model("initial-exec"))) YOKE_API __thread yk_self_of_thread yk_self;
/* One less is held. Never below 0, though others' read locks were released here too. */
static inline void yk_hold_less(void) { yk_self.held -= yk_self.held > 0; }
/* True when YOKE_DEBUG says so: then every call goes the slow way, past the diagnosis. */
extern YOKE_API bool yoke_watching_locks;
/* All ways to acquire and to release that are not inline. */
YOKE_API int yk_lock_wait(yk_lock_core *l, unsigned how, int64_t limit, const char *file, int line);
YOKE_API int yk_lock_drop(yk_lock_core *l, unsigned how);
YOKE_API void yk_lock_wake(yk_lock_core *l);
YOKE_API int yk_lock_init(yk_lock_core *l, unsigned flags);
YOKE_API int yk_lock_done(yk_lock_core *l);
YOKE_API int yk_lock_consistent(yk_lock_core *l);
YOKE_API bool yk_lock_owned(const yk_lock_core *l);
YOKE_API void yk_lock_name(yk_lock_core *l, const char *name);

static inline int yk_lock_take(yk_lock_core *l, unsigned how, int64_t limit, const char *file, int line)
{
    uint64_t yk_me = yk_self.id, yk_free = 0;
    if (__builtin_expect(yk_me && !yoke_watching_locks
                             && __atomic_compare_exchange_n(&l->word, &yk_free, yk_me, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                         1)) {
        yk_self.held++;
        return 0;
    }
    return yk_lock_wait(l, how, limit, file, line);
}

/* The plain store and the plain load after it may be seen by others in the other order: who is about to sleep
 * makes up for that. */
static inline int yk_lock_give(yk_lock_core *l)
{
    yk_hold_less();
    __atomic_store_n(&l->word, 0, __ATOMIC_RELEASE);
    __asm__ __volatile__("" ::: "memory");
    if (__builtin_expect(__atomic_load_n(&l->sleepers, __ATOMIC_RELAXED), 0))
        yk_lock_wake(l);
    return 0;
}

/* ---- Lock ---- */

/* One holder at a time. A private lock has no owner: any thread may release it, and taking it twice waits for
 * somebody else to. A shared one belongs to the thread that took it. For fairness see the top. */
typedef struct yoke_lock {
    yk_lock_core core;
} yoke_lock;
#define YOKE_LOCK_INIT {{0, 0, 0, 0, 0}}

/* init: 0 or -EINVAL (unknown flags). done: 0 or -EBUSY (held). */
static inline int yoke_lock_init(yoke_lock *l, unsigned flags) { return yk_lock_init(&l->core, flags); }
static inline int yoke_lock_done(yoke_lock *l) { return yk_lock_done(&l->core); }

/* Takes the lock: 0; -EOWNERDEAD (shared): taken too, see above; -EINVAL: ended; with YOKE_DEBUG=locks -EDEADLK: not
 * taken, see the top. */
#define yoke_lock_acquire(l) yk_lock_acquire_at((l), YK_LOCK_PLAIN, YOKE_FOREVER, __FILE__, __LINE__)
#define yoke_lock_try(l) yk_lock_acquire_at((l), YK_LOCK_TRY, 0, __FILE__, __LINE__)
#define yoke_lock_timed(l, ns) yk_lock_acquire_timed((l), (ns), __FILE__, __LINE__)
#define yoke_lock_until(l, deadline) yk_lock_acquire_at((l), YK_LOCK_UNTIL, (deadline), __FILE__, __LINE__)
static inline int yk_lock_acquire_at(yoke_lock *l, unsigned how, int64_t limit, const char *file, int line)
{
    return yk_lock_take(&l->core, how, limit, file, line);
}
static inline int yk_lock_acquire_timed(yoke_lock *l, int64_t ns, const char *file, int line)
{
    return ns < 0 ? -EINVAL : yk_lock_take(&l->core, YK_LOCK_TIMED, ns, file, line);
}

/* Releases: 0; -EPERM: it was free, or (shared) it is another thread's. */
static inline int yoke_lock_release(yoke_lock *l)
{
    uint64_t yk_me = yk_self.id;
    if (__builtin_expect(!yk_me || yoke_watching_locks || __atomic_load_n(&l->core.word, __ATOMIC_RELAXED) != yk_me, 0))
        return yk_lock_drop(&l->core, YK_LOCK_PLAIN);
    return yk_lock_give(&l->core);
}
/* True while somebody holds it; out of date at once. */
static inline bool yoke_lock_held(const yoke_lock *l)
{
    return (__atomic_load_n(&l->core.word, __ATOMIC_RELAXED) & 0x3fffffffu) != 0;
}
/* By the holder after -EOWNERDEAD: what the lock protects is in order again. 0; -EPERM: not the holder's;
 * -EINVAL: it was in order. */
static inline int yoke_lock_consistent(yoke_lock *l) { return yk_lock_consistent(&l->core); }
/* A name for reports of YOKE_DEBUG=locks, borrowed until done. */
static inline void yoke_lock_name(yoke_lock *l, const char *name) { yk_lock_name(&l->core, name); }

/* ---- Lock that its owner may take again ---- */

/* Belongs to the thread that took it, which may take it again and releases it as often. */
typedef struct yoke_rlock {
    yk_lock_core core;
} yoke_rlock;
#define YOKE_RLOCK_INIT {{0, 0, 0, 0, 0}}

static inline int yoke_rlock_init(yoke_rlock *l, unsigned flags) { return yk_lock_init(&l->core, flags); }
static inline int yoke_rlock_done(yoke_rlock *l) { return yk_lock_done(&l->core); }

/* As for yoke_lock; -EOVERFLOW: taken 2^32 times. */
#define yoke_rlock_acquire(l) yk_rlock_acquire_at((l), YK_LOCK_AGAIN, YOKE_FOREVER, __FILE__, __LINE__)
#define yoke_rlock_try(l) yk_rlock_acquire_at((l), YK_LOCK_AGAIN | YK_LOCK_TRY, 0, __FILE__, __LINE__)
#define yoke_rlock_timed(l, ns) yk_rlock_acquire_timed((l), (ns), __FILE__, __LINE__)
#define yoke_rlock_until(l, deadline) yk_rlock_acquire_at((l), YK_LOCK_AGAIN | YK_LOCK_UNTIL, (deadline), __FILE__, __LINE__)
static inline int yk_rlock_acquire_at(yoke_rlock *l, unsigned how, int64_t limit, const char *file, int line)
{
    return yk_lock_take(&l->core, how, limit, file, line);
}
static inline int yk_rlock_acquire_timed(yoke_rlock *l, int64_t ns, const char *file, int line)
{
    return ns < 0 ? -EINVAL : yk_lock_take(&l->core, YK_LOCK_AGAIN | YK_LOCK_TIMED, ns, file, line);
}

/* Releases once: 0; -EPERM: it is free or another thread's. */
static inline int yoke_rlock_release(yoke_rlock *l)
{
    uint64_t yk_me = yk_self.id;
    if (__builtin_expect(!yk_me || yoke_watching_locks || __atomic_load_n(&l->core.word, __ATOMIC_RELAXED) != yk_me
                             || l->core.depth != 0,
                         0))
        return yk_lock_drop(&l->core, YK_LOCK_AGAIN);
    return yk_lock_give(&l->core);
}
/* True when the calling thread holds it. */
static inline bool yoke_rlock_mine(const yoke_rlock *l)
{
    uint64_t yk_word = __atomic_load_n(&l->core.word, __ATOMIC_RELAXED);
    return yk_word != 0 && (yk_word == yk_self.id || yk_lock_owned(&l->core));
}
static inline int yoke_rlock_consistent(yoke_rlock *l) { return yk_lock_consistent(&l->core); }
static inline void yoke_rlock_name(yoke_rlock *l, const char *name) { yk_lock_name(&l->core, name); }

/* ---- Semaphore ---- */

/* Permits; nobody owns one, and anybody may release. Waiters are woken in the order in which they came, but a
 * newcomer may overtake one that is woken, any number of times. */
typedef struct yoke_semaphore {
    uint32_t word;  /* permits, and a bit: somebody may sleep; written by all */
    uint32_t slack; /* how far the most permits are below INT32_MAX; init */
    uint32_t flags; /* init and done */
} yoke_semaphore;
#define YOKE_SEMAPHORE_INIT(permits) {YK_NOT_NEGATIVE(permits), 0, 0}
#define YOKE_SEMAPHORE_BOUNDED_INIT(permits) {YK_NOT_NEGATIVE(permits), (uint32_t)INT32_MAX - (uint32_t)(permits), 0}

/* With this many permits; bounded: and never more. 0 or -EINVAL (permits < 0, unknown flags). */
YOKE_API int yoke_semaphore_init(yoke_semaphore *s, int permits, unsigned flags);
YOKE_API int yoke_semaphore_init_bounded(yoke_semaphore *s, int permits, unsigned flags);
YOKE_API int yoke_semaphore_done(yoke_semaphore *s);

/* Takes a permit: 0, -EAGAIN (try), -ETIMEDOUT, -EINVAL (ended). */
YOKE_API int yoke_semaphore_acquire(yoke_semaphore *s);
YOKE_API int yoke_semaphore_try(yoke_semaphore *s);
YOKE_API int yoke_semaphore_timed(yoke_semaphore *s, int64_t ns);
YOKE_API int yoke_semaphore_until(yoke_semaphore *s, int64_t deadline);
/* Gives n permits: 0; -EINVAL: n < 1; -EOVERFLOW: there would be more than allowed, and nothing has changed. */
YOKE_API int yoke_semaphore_release(yoke_semaphore *s, int n);
/* Permits left now; out of date at once. */
YOKE_API int yoke_semaphore_permits(const yoke_semaphore *s);

/* ---- Event ---- */

/* A flag. Who waits while it is set goes on, even if it is cleared again at once: set and clear together wake
 * all who wait. */
typedef struct yoke_event {
    uint32_t word; /* flag, somebody sleeps, generation: all in one, written by all */
    uint32_t flags;
} yoke_event;
#define YOKE_EVENT_INIT {0, 0}

/* init: 0 or -EINVAL (unknown flags). done: 0 or -EBUSY (somebody sleeps in it; who has only just begun to wait
 * may be overlooked, and gets -EINVAL; so with semaphores and latches). Who has waited until its time was over, and at
 * a semaphore who has slept at all, counts until the next set (release, down to 0): it cannot tell whether others
 * still sleep. So: set, then done. */
YOKE_API int yoke_event_init(yoke_event *e, unsigned flags);
YOKE_API int yoke_event_done(yoke_event *e);
/* 0. Setting what is set does nothing. */
YOKE_API int yoke_event_set(yoke_event *e);
YOKE_API int yoke_event_clear(yoke_event *e);
/* 1: set (or set meanwhile); 0: not before the time was over; -EINVAL: ended. */
YOKE_API int yoke_event_wait(yoke_event *e);
YOKE_API int yoke_event_try(yoke_event *e);
YOKE_API int yoke_event_timed(yoke_event *e, int64_t ns);
YOKE_API int yoke_event_until(yoke_event *e, int64_t deadline);
/* The flag. */
YOKE_API bool yoke_event_is_set(const yoke_event *e);

/* ---- Latch ---- */

/* A count of things to come. Who waits goes on when it is 0, and it stays 0. */
typedef struct yoke_latch {
    uint32_t word; /* count, and a bit: somebody may sleep; written by all */
    uint32_t flags;
} yoke_latch;
#define YOKE_LATCH_INIT(count) {YK_NOT_NEGATIVE(count), 0}

/* 0 or -EINVAL (count < 0, unknown flags). */
YOKE_API int yoke_latch_init(yoke_latch *l, int count, unsigned flags);
YOKE_API int yoke_latch_done(yoke_latch *l);
/* n of the things have come: how many are left. -EINVAL: n < 1 or more than were left, and nothing has changed. */
YOKE_API int yoke_latch_down(yoke_latch *l, int n);
/* 0: the count is 0. -EAGAIN (try), -ETIMEDOUT, -EINVAL (ended). */
YOKE_API int yoke_latch_wait(yoke_latch *l);
YOKE_API int yoke_latch_try(yoke_latch *l);
YOKE_API int yoke_latch_timed(yoke_latch *l, int64_t ns);
YOKE_API int yoke_latch_until(yoke_latch *l, int64_t deadline);
/* How many are left. */
YOKE_API int yoke_latch_left(const yoke_latch *l);

/* ---- Condition ---- */

enum {
    YOKE_SHARED_WAITERS = 32 /* the most that can wait on one shared condition at a time */
};

/* A waiter on a shared condition. who: its id, 0 none; word: 1 once notified, 2 asleep; ticket: its place in the queue.
 * Written under the lock of the condition's users. */
typedef struct yk_waiting {
    uint64_t who;
    uint32_t word, ticket;
} yk_waiting;

/* Where threads wait, under a yoke_lock or a yoke_rlock, until somebody who holds it notifies. Every call
 * names the lock, held by the caller; all calls on one condition name the same one, and both are shared or
 * both are private. A wait returns only when notified or when the time is over, and notifications go to who
 * has waited longest. A notification is never lost to a waiter whose time is over. */
typedef struct yoke_condition {
    uint32_t flags, tickets;
    union {
        struct {
            struct yk_waiter *first, *last;
        } list;                                /* private: nodes on the waiters' stacks */
        yk_waiting table[YOKE_SHARED_WAITERS]; /* shared */
    } u;
} yoke_condition;
#define YOKE_CONDITION_INIT {0, 0, {{NULL, NULL}}}

/* init: 0 or -EINVAL (unknown flags). done: 0 or -EBUSY (somebody waits). */
YOKE_API int yoke_condition_init(yoke_condition *c, unsigned flags);
YOKE_API int yoke_condition_done(yoke_condition *c);

/* Gives the lock up (an rlock as often as it was taken), waits, takes it again as it was. 1: notified; 0: the
 * time was over; -EPERM: the caller does not hold the lock; -EOWNERDEAD: woken, and the lock's holder had
 * died (see above), held; -EINVAL; -ENOSPC: YOKE_SHARED_WAITERS wait already; with YOKE_DEBUG=locks -EDEADLK: taking it
 * again would be a deadlock, so it is *not held*; -ECANCELED: a coroutine was told to stop and not notified, held. */
#define yoke_condition_wait(c, l) yk_condition_wait((c), &(l)->core, YOKE_FOREVER, __FILE__, __LINE__)
#define yoke_condition_timed(c, l, ns) yk_condition_timed((c), &(l)->core, (ns), __FILE__, __LINE__)
#define yoke_condition_until(c, l, deadline) yk_condition_wait((c), &(l)->core, (deadline), __FILE__, __LINE__)
/* Waits until predicate(arg) is true: its last value (0 when the time was over first), or an error as above.
 * It is called with the lock held. */
#define yoke_condition_wait_for(c, l, predicate, arg)                                                                  \
    yk_condition_wait_for((c), &(l)->core, (predicate), (arg), YOKE_FOREVER, __FILE__, __LINE__)
#define yoke_condition_wait_for_timed(c, l, predicate, arg, ns)                                                        \
    yk_condition_wait_for_timed((c), &(l)->core, (predicate), (arg), (ns), __FILE__, __LINE__)
#define yoke_condition_wait_for_until(c, l, predicate, arg, deadline)                                                  \
    yk_condition_wait_for((c), &(l)->core, (predicate), (arg), (deadline), __FILE__, __LINE__)
/* Wakes the n who have waited longest, or all: how many. -EPERM: the caller does not hold the lock; -EINVAL: n < 0. */
#define yoke_condition_notify(c, l, n) yk_condition_notify((c), &(l)->core, (n))
#define yoke_condition_notify_all(c, l) yk_condition_notify((c), &(l)->core, INT32_MAX)
/* Behind the macros. */
YOKE_API int yk_condition_wait(yoke_condition *c, yk_lock_core *l, int64_t deadline, const char *file, int line);
YOKE_API int yk_condition_timed(yoke_condition *c, yk_lock_core *l, int64_t ns, const char *file, int line);
YOKE_API int yk_condition_wait_for(yoke_condition *c, yk_lock_core *l, bool (*predicate)(void *arg), void *arg,
                                   int64_t deadline, const char *file, int line);
YOKE_API int yk_condition_wait_for_timed(yoke_condition *c, yk_lock_core *l, bool (*predicate)(void *arg), void *arg, int64_t ns,
                                         const char *file, int line);
YOKE_API int yk_condition_notify(yoke_condition *c, yk_lock_core *l, int n);

/* ---- Barrier ---- */

/* Called by the last to arrive, before anybody goes on. Negative: the barrier is broken, and the caller's
 * wait returns that. */
typedef int (*yoke_barrier_action)(void *arg);

/* Threads that wait until there are enough of them, and then all go on; again and again. */
typedef struct yoke_barrier {
    uint64_t word;       /* generation, broken or not, arrived: all in one, written by all */
    yk_lock_core acting; /* held by who runs the action */
    uint32_t parties, flags;
    yoke_barrier_action action;
    void *arg;
} yoke_barrier;
#define YOKE_BARRIER_INIT(parties) {0, {0, 0, 0, 0, 0}, YK_NOT_NEGATIVE(parties), 0, NULL, NULL}

/* parties: 1 to 65535. action may be NULL. 0 or -EINVAL: parties, unknown flags, or an action for a shared
 * one: functions have no address that all processes know, so there every wait brings its own
 * (yoke_barrier_wait_with). */
YOKE_API int yoke_barrier_init(yoke_barrier *b, int parties, yoke_barrier_action action, void *arg, unsigned flags);
YOKE_API int yoke_barrier_done(yoke_barrier *b);
/* Arrives and waits for the others: the number of the arrival, 0 to parties - 1. -EPIPE: the barrier is, or
 * was meanwhile, broken or reset; -ETIMEDOUT: the time was over, which breaks it; try: -EAGAIN unless this is
 * the last to arrive. A coroutine that is told to stop before all have arrived leaves again (-ECANCELED), and breaks nothing; of
 * the others two may then have the same number, but one alone has parties - 1. */
YOKE_API int yoke_barrier_wait(yoke_barrier *b);
YOKE_API int yoke_barrier_try(yoke_barrier *b);
YOKE_API int yoke_barrier_timed(yoke_barrier *b, int64_t ns);
YOKE_API int yoke_barrier_until(yoke_barrier *b, int64_t deadline);
/* Waits likewise, with an action of this arrival, used if it is the last. */
YOKE_API int yoke_barrier_wait_with(yoke_barrier *b, yoke_barrier_action action, void *arg, int64_t deadline);
/* Breaks it: all waits, now and later, return -EPIPE until the reset. */
YOKE_API int yoke_barrier_abort(yoke_barrier *b);
/* Whole and empty again; who waits gets -EPIPE. */
YOKE_API int yoke_barrier_reset(yoke_barrier *b);
/* How many wait, whether it is broken, how many it takes. */
YOKE_API int yoke_barrier_waiting(const yoke_barrier *b);
YOKE_API bool yoke_barrier_broken(const yoke_barrier *b);
YOKE_API int yoke_barrier_parties(const yoke_barrier *b);

/* ---- Once ---- */

/* An initialisation. */
typedef struct yoke_once {
    uint64_t word; /* 0 new, 1 done, else who runs it; written by who runs it, or takes over from the dead */
    uint32_t sleepers, flags;
} yoke_once;
#define YOKE_ONCE_INIT {0, 0, 0}

/* init: 0 or -EINVAL (unknown flags). done: 0 or -EBUSY (somebody runs it). */
YOKE_API int yoke_once_init(yoke_once *o, unsigned flags);
YOKE_API int yoke_once_done(yoke_once *o);
/* Behind the inline functions. */
YOKE_API int yk_once_run(yoke_once *o, int (*fn)(void *arg), void *arg, int64_t deadline);
YOKE_API int yk_once_try(yoke_once *o, int (*fn)(void *arg), void *arg);

/* Runs fn(arg) unless that has been done, and returns when it has: 0. A negative result of fn goes to its
 * caller, and the next one tries again. -EDEADLK: called from inside fn; -EAGAIN (try): another thread runs
 * it; -ETIMEDOUT while another runs it. */
static inline int yoke_once_run(yoke_once *o, int (*fn)(void *arg), void *arg)
{
    return __builtin_expect(__atomic_load_n(&o->word, __ATOMIC_ACQUIRE) == 1, 1) ? 0 : yk_once_run(o, fn, arg, YOKE_FOREVER);
}
static inline int yoke_once_try(yoke_once *o, int (*fn)(void *arg), void *arg) { return yk_once_try(o, fn, arg); }
static inline int yoke_once_until(yoke_once *o, int (*fn)(void *arg), void *arg, int64_t deadline)
{
    return yk_once_run(o, fn, arg, deadline);
}
YOKE_API int yoke_once_timed(yoke_once *o, int (*fn)(void *arg), void *arg, int64_t ns);
/* True when it has been done. */
static inline bool yoke_once_is_done(const yoke_once *o) { return __atomic_load_n(&o->word, __ATOMIC_ACQUIRE) == 1; }

/* ---- Read-write lock ---- */

enum {
    YOKE_SHARED_READERS = 32 /* the most that read under one shared rwlock at a time; more wait */
};

/* Many readers or one writer. A writer that waits keeps new readers out, so a reader must not read-lock
 * again, and releases in the same thread. Readers do not starve writers: the one whose turn it is waits for
 * those that were in before it. Writers can starve readers: when one releases, all readers that wait are woken,
 * and compete with the next writer; as long as there always is one, nothing bounds how long they lose. No
 * order among writers or among readers is promised. */
typedef struct yoke_rwlock {
    yk_lock_core writer;
    uint32_t gate;    /* private: how many read; bits: a writer, (shared) somebody may sleep here; written by all */
    uint32_t drained; /* grows when a reader leaves while a writer waits */
    uint32_t asleep;  /* private: an odd number when readers may sleep on it; set by them, counted up by the writer */
    uint32_t spare;
    uint64_t reader[YOKE_SHARED_READERS]; /* shared: who reads; each written by its reader, or for it when it died */
} yoke_rwlock;
#define YOKE_RWLOCK_INIT {{0, 0, 0, 0, 0}, 0, 0, 0, 0, {0}}

/* init: 0 or -EINVAL (unknown flags). done: 0 or -EBUSY (somebody reads or writes). */
YOKE_API int yoke_rwlock_init(yoke_rwlock *l, unsigned flags);
YOKE_API int yoke_rwlock_done(yoke_rwlock *l);
/* 0; -EOWNERDEAD (shared): taken, and a writer had died; -EAGAIN, -ETIMEDOUT; -EDEADLK: the caller is the writer. */
#define yoke_rwlock_read(l) yk_rwlock_read((l), YK_LOCK_PLAIN, YOKE_FOREVER, __FILE__, __LINE__)
#define yoke_rwlock_read_try(l) yk_rwlock_read((l), YK_LOCK_TRY, 0, __FILE__, __LINE__)
#define yoke_rwlock_read_timed(l, ns) yk_rwlock_read((l), YK_LOCK_TIMED, (ns), __FILE__, __LINE__)
#define yoke_rwlock_read_until(l, deadline) yk_rwlock_read((l), YK_LOCK_UNTIL, (deadline), __FILE__, __LINE__)
#define yoke_rwlock_write(l) yk_rwlock_write((l), YK_LOCK_PLAIN, YOKE_FOREVER, __FILE__, __LINE__)
#define yoke_rwlock_write_try(l) yk_rwlock_write((l), YK_LOCK_TRY, 0, __FILE__, __LINE__)
#define yoke_rwlock_write_timed(l, ns) yk_rwlock_write((l), YK_LOCK_TIMED, (ns), __FILE__, __LINE__)
#define yoke_rwlock_write_until(l, deadline) yk_rwlock_write((l), YK_LOCK_UNTIL, (deadline), __FILE__, __LINE__)
/* Behind the macros. */
YOKE_API int yk_rwlock_read(yoke_rwlock *l, unsigned how, int64_t limit, const char *file, int line);
YOKE_API int yk_rwlock_write(yoke_rwlock *l, unsigned how, int64_t limit, const char *file, int line);
/* By the thread that acquired, which else is taken to hold it for ever, and the other to hold one lock less (see Isolation).
 * 0; -EPERM: nobody reads (shared: the caller does not); the caller is not the writer. */
YOKE_API int yoke_rwlock_read_release(yoke_rwlock *l);
YOKE_API int yoke_rwlock_write_release(yoke_rwlock *l);
/* By the writer after -EOWNERDEAD. */
static inline int yoke_rwlock_consistent(yoke_rwlock *l) { return yk_lock_consistent(&l->writer); }
static inline void yoke_rwlock_name(yoke_rwlock *l, const char *name) { yk_lock_name(&l->writer, name); }

/* ---- Held for a block ---- */

/* yoke_with(&l) { ... }: takes l, a yoke_lock, a yoke_rlock or a permit of a yoke_semaphore, for the block that follows and gives
 * it back on every way out of it: at its end, by break, continue, return or goto, and in C++ by an exception. yoke_with_read(&l)
 * and yoke_with_write(&l) do the same with a yoke_rwlock. A condition is waited for under its lock as ever.
 *
 *     yoke_with(&bank) {
 *         if (balance[from] < amount)
 *             return false;
 *         balance[from] -= amount;
 *         balance[to] += amount;
 *     }
 *
 * break and continue end the block, not a loop around it. What ends the thread inside the block (pthread_exit(), in C), and
 * longjmp() out of it, leave it held. Do not jump into the block. As the block may be left out, a function whose only return is
 * inside one has a way without (-Wreturn-type says so): return a value after the block, too.
 *
 * At the end a lock is given back only if this thread has it still: not after it was released inside, nor after a wait for a
 * condition that returned -EDEADLK or -EINVAL, when somebody else may have it. A permit counts as a lock while the block runs:
 * joins in it are isolated (see below). The rules of yoke/fork.h, "Locks", are those of the block then.
 *
 * yoke_with(&l, &err): err is what the taking returned. Without a lock (-EINVAL, -EDEADLK) the block is left out. After
 * -EOWNERDEAD, of a shared lock, it is run and may repair what the lock protects: see yoke_lock_consistent(). Without &err it is
 * left out then too, and the lock goes to the next one who asks, as it was. A private lock, rlock or semaphore that is neither
 * ended nor watched can always be taken; not so an rwlock: yoke_with_read or yoke_with_write inside one's own yoke_with_write is
 * -EDEADLK, and the block left out. */
#define yoke_with(...) YK_WITH(YK_WITH_OF, __VA_ARGS__, NULL, ~)
#define yoke_with_read(...) YK_WITH(YK_WITH_READER, __VA_ARGS__, NULL, ~)
#define yoke_with_write(...) YK_WITH(YK_WITH_WRITER, __VA_ARGS__, NULL, ~)
#define YK_WITH(TAKE, ...) YK_WITH_AS(TAKE, __VA_ARGS__)
#define YK_WITH_AS(TAKE, l, err, ...)                                                                                  \
    for (__attribute__((cleanup(yk_with_end))) yk_with yk_holding = TAKE(l)((l), (err), __FILE__, __LINE__);           \
         yk_holding.runs; yk_holding.runs = false)

/* What is held, to be given back, and whether the block is still to be run. */
enum yk_with_kind { YK_WITH_NOTHING, YK_WITH_LOCK, YK_WITH_RLOCK, YK_WITH_READ, YK_WITH_WRITE, YK_WITH_PERMIT };
typedef struct yk_with {
    void *held;
    enum yk_with_kind kind;
    bool runs;
} yk_with;

/* Only what this thread still holds: a wait for a condition may have ended without the lock, which others hold by now. */
static inline void yk_with_unlock(yoke_lock *l)
{
    if (__builtin_expect(!yoke_watching_locks && __atomic_load_n(&l->core.word, __ATOMIC_RELAXED) == yk_self.id, 1))
        yk_lock_give(&l->core);
    else if (yk_lock_owned(&l->core))
        yk_lock_drop(&l->core, YK_LOCK_PLAIN);
}

/* A permit of nobody, which counts as a lock for as long as the block runs. */
static inline int yk_with_acquire(yoke_semaphore *s)
{
    int yk_taken = yoke_semaphore_acquire(s);
    yk_self.held += yk_taken == 0;
    return yk_taken;
}
static inline void yk_with_give(yoke_semaphore *s)
{
    yk_hold_less();
    yoke_semaphore_release(s, 1);
}

static inline void yk_with_end(yk_with *w)
{
    void *yk_held = w->held;
    __asm__("" : "+r"(yk_held)); /* GCC, which knows the struct, would warn of the cases for the other kinds */
    switch (w->kind) {
    case YK_WITH_NOTHING: break;
    case YK_WITH_LOCK: yk_with_unlock((yoke_lock *)yk_held); break;
    case YK_WITH_RLOCK: yoke_rlock_release((yoke_rlock *)yk_held); break;
    case YK_WITH_READ: yoke_rwlock_read_release((yoke_rwlock *)yk_held); break;
    case YK_WITH_WRITE: yoke_rwlock_write_release((yoke_rwlock *)yk_held); break;
    case YK_WITH_PERMIT: yk_with_give((yoke_semaphore *)yk_held); break;
    }
}

#define YK_WITH_KIND(NAME, T, KIND, TAKEN)                                                                             \
    static inline yk_with NAME(T *l, int *err, const char *file, int line)                                             \
    {                                                                                                                  \
        yk_with yk_holding = {l, YK_WITH_NOTHING, false};                                                              \
        const int yk_taken = TAKEN;                                                                                    \
        (void)file, (void)line;                                                                                        \
        if (err)                                                                                                       \
            *err = yk_taken;                                                                                           \
        if (yk_taken == 0 || yk_taken == -EOWNERDEAD) {                                                                \
            yk_holding.kind = KIND;                                                                                    \
            yk_holding.runs = yk_taken == 0 || err;                                                                    \
        }                                                                                                              \
        return yk_holding;                                                                                             \
    }
YK_WITH_KIND(yk_with_lock, yoke_lock, YK_WITH_LOCK, yk_lock_acquire_at(l, YK_LOCK_PLAIN, YOKE_FOREVER, file, line))
YK_WITH_KIND(yk_with_rlock, yoke_rlock, YK_WITH_RLOCK, yk_rlock_acquire_at(l, YK_LOCK_AGAIN, YOKE_FOREVER, file, line))
YK_WITH_KIND(yk_with_permit, yoke_semaphore, YK_WITH_PERMIT, yk_with_acquire(l))
YK_WITH_KIND(yk_with_read, yoke_rwlock, YK_WITH_READ, yk_rwlock_read(l, YK_LOCK_PLAIN, YOKE_FOREVER, file, line))
YK_WITH_KIND(yk_with_write, yoke_rwlock, YK_WITH_WRITE, yk_rwlock_write(l, YK_LOCK_PLAIN, YOKE_FOREVER, file, line))
#undef YK_WITH_KIND
#define YK_WITH_READER(l) yk_with_read
#define YK_WITH_WRITER(l) yk_with_write
#ifdef __cplusplus
}
static inline yk_with yk_with_any(yoke_lock *l, int *err, const char *file, int line)
{
    return yk_with_lock(l, err, file, line);
}
static inline yk_with yk_with_any(yoke_rlock *l, int *err, const char *file, int line)
{
    return yk_with_rlock(l, err, file, line);
}
static inline yk_with yk_with_any(yoke_semaphore *s, int *err, const char *file, int line)
{
    return yk_with_permit(s, err, file, line);
}
extern "C" {
#define YK_WITH_OF(l) yk_with_any
#else
#define YK_WITH_OF(l) _Generic((l), yoke_lock *: yk_with_lock, yoke_rlock *: yk_with_rlock, yoke_semaphore *: yk_with_permit)
#endif

/* ---- Isolation ---- */

/* While a thread holds one of the locks above, or runs an initialisation or a barrier's action, it is isolated: a
 * join, a loop or an algorithm that has to wait there runs nothing that is not part of it, so that nothing comes
 * in that wants the lock (yoke/fork.h, "Locks"). Between these two calls, by one thread, the same holds for
 * whatever yoke does not know to be a lock: a mutex of another library, a semaphore's only permit (yoke_with() sees to
 * that itself), a value of the thread that is half changed. They nest. */
static inline void yoke_isolate_begin(void) { yk_self.held++; }
static inline void yoke_isolate_end(void) { yk_hold_less(); }

#ifdef __cplusplus
}
#endif
#endif
