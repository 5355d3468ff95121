/* wait_shared: coroutines that sleep on a word which other processes change, and so wake only who sleeps in the kernel.
 *
 * A coroutine first looks again a few times, for what takes a moment. Then a thread (offload.c) sleeps in its place, on two words
 * at once: the one that is waited for, and one by which it is called off. The kernel says by which of the two it was woken, and
 * when by both, says the first of these two: so no wake-up is lost to one that has been told to stop. Where the kernel cannot do
 * that (futex_waitv(2), Linux 5.16), or there is no thread, the coroutine goes on looking, more and more seldom. */
#include "async/async.h"
#include "async/offload.h"
#include <limits.h>
#include <time.h>

enum { LOOK_FIRST = 20 * 1000, LOOK_MOST = 5 * 1000 * 1000, FEW_LOOKS = 3 };
enum { UNCHANGED = -EINPROGRESS };

typedef struct sleeper {
    yk_op op;
    yk_park park;
    _Atomic uint32_t *word;
    uint32_t value;
    _Atomic uint32_t off; /* 1: called off */
} sleeper;

/* ---- Looking ---- */

static bool give_up_nap(yk_park *p)
{
    return true;
}

static int nap(const yk_cause *cause, int64_t until, bool deaf)
{
    int err = deaf ? 0 : yk_cancel_point();
    if (err < 0)
        return err;
    yk_park park = {.abort = give_up_nap, .deaf = deaf, .what = "a shared word", .number = -1, .cause = cause,
                    .shared = true};
    err = yk_suspend(&park, until);
    return err == -ETIMEDOUT ? 0 : err;
}

/* UNCHANGED after that many looks; or as yk_wait(). */
static int look(const yk_cause *cause, const _Atomic uint32_t *word, uint32_t value, int64_t deadline, bool deaf, unsigned looks)
{
    int64_t pause = LOOK_FIRST;
    for (; atomic_load_explicit(word, memory_order_acquire) == value; pause = YK_MIN(pause * 2, LOOK_MOST)) {
        if (looks-- == 0)
            return UNCHANGED;
        if (yk_has_passed(deadline))
            return -ETIMEDOUT;
        int err = nap(cause, YK_MIN(yk_after(pause), deadline), deaf);
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- A thread that sleeps instead ---- */

static _Atomic bool is_missing; /* the call */

static int64_t wait_for_two(sleeper *s)
{
    /* The last that was woken is what it says: see futex_unqueue_multiple() of the kernel. */
    yk_futexv two[] = {{0, (uintptr_t)&s->off, YK_FUTEXV_32 | YK_FUTEXV_PRIVATE, 0},
                       {s->value, (uintptr_t)s->word, YK_FUTEXV_32, 0}};
    int woken;
    do
        woken = yk_sys.futex_waitv(two, 2);
    while (woken < 0 && errno == EINTR);
    return woken == 1 ? 0 : woken == 0 ? -ECANCELED : -errno;
}

static void sleep_instead(yk_op *op)
{
    op->result = wait_for_two((sleeper *)(void *)op);
}

static void wake_up(yk_op *op)
{
    sleeper *s = (sleeper *)(void *)op;
    bool off = atomic_load_explicit(&s->off, memory_order_relaxed);
    yk_resume(&s->park, op->result == -EAGAIN && off ? -ECANCELED : (int)op->result);
}

static bool call_off(yk_park *p)
{
    sleeper *s = (sleeper *)(void *)((char *)p - offsetof(sleeper, park));
    if (yk_offload_cancel(&s->op))
        return true;
    atomic_store_explicit(&s->off, 1, memory_order_relaxed);
    yk_futex_wake(&s->off, 1, false);
    return false;
}

/* -ENOSYS: it cannot be done so. */
static int sleep_in_thread(const yk_cause *cause, _Atomic uint32_t *word, uint32_t value, int64_t deadline, bool deaf)
{
    sleeper s = {.op.done = wake_up, .word = word, .value = value,
                 .park = {.abort = call_off, .deaf = deaf, .what = "a shared word", .number = -1, .cause = cause,
                          .object = (const void *)(uintptr_t)word, .shared = true}};
    int err = deaf ? 0 : yk_cancel_point();
    if (err < 0)
        return err;
    if (atomic_load_explicit(&is_missing, memory_order_relaxed) || !yk_offload_wait(&s.op, sleep_instead))
        return -ENOSYS;
    err = yk_suspend(&s.park, deadline);
    if (err == 0 || err == -EAGAIN || yk_wait_is_over(err))
        return err;
    atomic_store_explicit(&is_missing, true, memory_order_relaxed);
    return -ENOSYS;
}

int yk_wait_shared(const yk_cause *cause, _Atomic uint32_t *word, uint32_t value, int64_t deadline, bool deaf)
{
    int err = look(cause, word, value, deadline, deaf, FEW_LOOKS);
    if (err == UNCHANGED)
        err = sleep_in_thread(cause, word, value, deadline, deaf);
    return err == -ENOSYS ? look(cause, word, value, deadline, deaf, UINT_MAX) : err;
}
