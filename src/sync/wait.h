/* wait: sleeping on a word, for whoever is running. This is the one mechanism by which users wait: every lock, queue and future
 * sleeps through yk_wait() and wakes through yk_wake(), so that what they do with the word is written once, and who sleeps is
 * decided here:
 *
 *   - a thread of the user's blocks in the kernel;
 *   - a worker of a pool first lends its place to another thread (yk_blocking);
 *   - something that is not a thread, a coroutine say, is suspended (yk_blocking.wait) and woken through yk_wake_hook.
 *
 * The rules are those of a futex (futex(2)): yk_wait() sleeps only while the word has the value, may return for no reason, and a
 * change of the word followed by yk_wake() is never lost. */
#ifndef YK_SYNC_WAIT_H
#define YK_SYNC_WAIT_H
#include "base/base.h"

/* What a thread that runs yoke's tasks wants to know about waits; it hangs its own into yk_blocked_hook. */
struct yk_who;
struct yk_who_loop;

/* What is waited for, for dumps. */
typedef struct yk_kind {
    const char *name; /* "an event" */
    /* The id (sync/self.h) of who has it; 0: nobody, or it cannot be told. While somebody waits for it. NULL: always so. */
    uint64_t (*holder)(const void *object);
} yk_kind;
typedef struct yk_cause {
    const yk_kind *kind; /* NULL: it is not said */
    const void *object;
} yk_cause;

typedef struct yk_blocking {
    void (*begin)(struct yk_blocking *b); /* called before the thread blocks; NULL: nothing to do */
    void (*end)(struct yk_blocking *b);   /* and after it */
    /* Waits instead of blocking the thread, as yk_wait(). NULL: the thread blocks. */
    int (*wait)(struct yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how);
    /* With such a wait: when waits that are begun now will be given up by themselves; YOKE_FOREVER: not. NULL: never. */
    int64_t (*limit)(struct yk_blocking *b);
    /* And what runs now gets a record (sync/who.h): whose it is, and its name, of size bytes with the end. NULL: as a thread. */
    struct yk_who_loop *(*introduce)(struct yk_blocking *b, char *name, size_t size);
    struct yk_who *thread; /* the record of the thread itself; NULL: no memory */
    void (*pin)(struct yk_blocking *b, bool on); /* NULL: it is a thread; see yk_pin() */
    const yk_cause *cause; /* of the wait that is just beginning, which takes it away; see yk_wait_for() */
} yk_blocking;
extern _Thread_local yk_blocking *yk_blocked_hook __attribute__((tls_model("initial-exec")));

/* Wakes up to n of those who wait on the word without being threads, and returns how many it woke. NULL as long as there can be
 * none. Set once, by the part that has such waiters. */
extern int (*_Atomic yk_wake_hook)(_Atomic uint32_t *word, int n);

/* How to wait. */
enum {
    YK_WAIT_SHARED = 1, /* the word lies in memory shared with other processes */
    YK_WAIT_DEAF = 2,   /* a coroutine is not to be told to stop: whoever waits so has no way to say that it did not get it */
    YK_WAIT_JOB = 4     /* an executor is at work on what changes the word */
};

/* Sleeps while *word == value, until the deadline (absolute; YOKE_FOREVER: none). 0 when woken, perhaps for no reason; -EAGAIN
 * when the value differed; -ETIMEDOUT; -EINTR; -ECANCELED: the coroutine that waits has been told to stop, and nobody has woken
 * it. how: YK_WAIT_ flags; `true` is shared. */
int yk_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how);
/* The same, and says what for; *cause must stay until it returns. */
static inline int yk_wait_for(const yk_cause *cause, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    if (yk_blocked_hook && yk_blocked_hook->wait)
        yk_blocked_hook->cause = cause;
    return yk_wait(word, value, deadline, how);
}
/* Whether such a wait, or a nap, is not to be begun again. A loop that sleeps without YK_WAIT_DEAF asks this, or it would never
 * end: in a coroutine that has been told to stop each wait returns -ECANCELED at once. */
static inline bool yk_wait_is_over(int err)
{
    return err == -ETIMEDOUT || err == -ECANCELED;
}
/* Wakes at most n of those who sleep on the word. */
void yk_wake(_Atomic uint32_t *word, int n, bool shared);
/* The same for those alone who are not threads: where threads sleep elsewhere. Returns how many it woke. */
int yk_wake_suspended(_Atomic uint32_t *word, int n);

/* Now + ns; never if that does not fit. */
int64_t yk_after(int64_t ns);

/* Whether a coroutine runs, which others of its thread wait for: it does not spin. */
static inline bool yk_is_coroutine(void)
{
    return yk_blocked_hook && yk_blocked_hook->wait;
}

/* The deadline, or when a coroutine's wait would be given up before it. */
static inline int64_t yk_wait_limit(int64_t deadline)
{
    yk_blocking *b = yk_blocked_hook;
    int64_t limit = b && b->limit ? b->limit(b) : deadline;
    return YK_MIN(deadline, limit);
}

static inline bool yk_has_passed(int64_t deadline)
{
    return deadline != YOKE_FOREVER && yoke_now() >= deadline;
}

/* From here to yk_unpin() a coroutine keeps its thread to itself: what waits blocks the thread, as if there were no loop. For
 * what is a thread's, and not a coroutine's, meanwhile. */
static inline yk_blocking *yk_pin(void)
{
    yk_blocking *b = yk_blocked_hook;
    if (!b || !b->pin)
        return NULL;
    b->pin(b, true);
    return b;
}

static inline void yk_unpin(yk_blocking *b)
{
    if (b)
        b->pin(b, false);
}

/* Around a block of another kind (a read, a join): the same as yk_wait() does around its own. */
static inline yk_blocking *yk_block_begin(void)
{
    yk_blocking *b = yk_blocked_hook;
    if (b && b->begin)
        b->begin(b);
    return b;
}

static inline void yk_block_end(yk_blocking *b)
{
    if (b && b->end)
        b->end(b);
}
#endif
