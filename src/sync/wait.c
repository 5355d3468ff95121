/* wait: who sleeps on a word, and who is woken; see wait.h.
 *
 * Threads sleep in the kernel, coroutines in a table of their own, and neither says who came first. So whoever wakes less than
 * all shares the wake-ups out among both: else coroutines that come back again and again would keep a thread asleep for ever. How
 * many threads sleep is counted by a hash of the word, so that nobody asks the kernel in vain where only coroutines wait: but for
 * a word whose hash is also that of another, on which a thread sleeps. With n of these asleep that is one word in PLACES / n. */
#include "sync/wait.h"
#include <limits.h>
#include <pthread.h>

enum { PLACE_BITS = 12, PLACES = 1 << PLACE_BITS };

static struct {
    _Atomic uint32_t threads; /* that sleep there, or are about to */
    _Atomic uint32_t drawn;   /* how often lots were drawn: see is_for_thread() */
} places[PLACES];

static unsigned place_of(const _Atomic uint32_t *word)
{
    return (unsigned)((uint64_t)(uintptr_t)word * 0x9E3779B97F4A7C15u >> (64 - PLACE_BITS));
}

/* A child has the forking thread alone, which is awake. Looked at first: most have never been written to, and need no memory. */
static void forget_threads(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (atomic_load_explicit(&places[i].threads, memory_order_relaxed) > 0)
            atomic_store_explicit(&places[i].threads, 0, memory_order_relaxed);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_threads);
}

_Thread_local yk_blocking *yk_blocked_hook __attribute__((tls_model("initial-exec")));
int (*_Atomic yk_wake_hook)(_Atomic uint32_t *word, int n);

int64_t yk_after(int64_t ns)
{
    int64_t end;
    return __builtin_add_overflow(yoke_now(), ns, &end) ? YOKE_FOREVER : end;
}

static __attribute__((noinline)) int block(_Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    _Atomic uint32_t *threads = &places[place_of(word)].threads;
    yk_blocking *b = yk_block_begin();
    uint32_t generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    atomic_fetch_add_explicit(threads, 1, memory_order_relaxed); /* not seen in time, it is woken after coroutines */
    int err = yk_futex_wait(word, value, deadline, how & YK_WAIT_SHARED);
    if (YK_LIKELY(atomic_load_explicit(&yk_fork_generation, memory_order_relaxed) == generation)) /* no handler has forked */
        atomic_fetch_sub_explicit(threads, 1, memory_order_relaxed);
    yk_block_end(b);
    return err;
}

int yk_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    yk_blocking *b = yk_blocked_hook;
    return b && b->wait ? b->wait(b, word, value, deadline, how) : block(word, value, deadline, how);
}

int yk_wake_suspended(_Atomic uint32_t *word, int n)
{
    int (*hook)(_Atomic uint32_t *word, int n) = atomic_load_explicit(&yk_wake_hook, memory_order_relaxed);
    return hook ? hook(word, n) : 0;
}

/* By lot, and not each in turn: words that share the place and are woken in step would have the same turn for ever. */
static bool is_for_thread(unsigned place)
{
    uint32_t lot = atomic_fetch_add_explicit(&places[place].drawn, 1, memory_order_relaxed) * 0x9E3779B1u;
    return (lot ^ lot >> 15) * 0x85EBCA77u >> 31;
}

/* Half of them threads, of an odd number by lot the greater half; then coroutines; then threads again, if these are too few. */
static __attribute__((noinline)) void wake_both(_Atomic uint32_t *word, int n, unsigned place)
{
    bool odd = n % 2 != 0 && is_for_thread(place);
    int threads = n / 2 + odd;
    if (threads > 0)
        n -= YK_MAX(yk_futex_wake(word, threads, false), 0); /* the word's memory may be gone by now */
    if (n > 0)
        n -= yk_wake_suspended(word, n);
    if (n > 0)
        yk_futex_wake(word, n, false);
}

void yk_wake(_Atomic uint32_t *word, int n, bool shared)
{
    if (!shared && atomic_load_explicit(&yk_wake_hook, memory_order_relaxed)) {
        unsigned place = place_of(word);
        if (YK_UNLIKELY(atomic_load_explicit(&places[place].threads, memory_order_relaxed) > 0) && n < INT_MAX) {
            wake_both(word, n, place);
            return;
        }
        n -= yk_wake_suspended(word, n);
    }
    if (n > 0)
        yk_futex_wake(word, n, shared);
}
