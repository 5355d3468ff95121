/* futex: sleeping on a word, time, and the fork generation. Source: futex(2).
 *
 * In a test (yoke/testing.h) yoke_now() of one thread is a virtual time, which stands still while that thread blocks. So what
 * blocks it, and what it leaves to other threads, goes by the real one: yk_real_deadline(). */
#include "base/base.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Thread_local const int64_t *yk_virtual_now __attribute__((tls_model("initial-exec")));

int64_t yk_real_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * YOKE_S + t.tv_nsec;
}

int64_t yoke_now(void)
{
    return YK_LIKELY(!yk_virtual_now) ? yk_real_now() : *yk_virtual_now;
}

int64_t yk_real_deadline(int64_t deadline)
{
    int64_t real;
    if (YK_LIKELY(!yk_virtual_now) || deadline == YOKE_FOREVER)
        return deadline;
    return __builtin_add_overflow(yk_real_now() - *yk_virtual_now, deadline, &real) ? YOKE_FOREVER : real;
}

int yk_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline, bool shared)
{
    struct timespec until, *timeout = NULL;
    deadline = yk_real_deadline(deadline);
    if (deadline != YOKE_FOREVER) {
        until.tv_sec = deadline > 0 ? deadline / YOKE_S : 0;
        until.tv_nsec = deadline > 0 ? deadline % YOKE_S : 0;
        timeout = &until;
    }
    /* The BITSET form takes an absolute time of CLOCK_MONOTONIC. */
    int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    if (syscall(SYS_futex, word, op, value, timeout, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    return -errno;
}

int yk_futex_wake(_Atomic uint32_t *word, int n, bool shared)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), n, NULL, NULL, 0);
}

_Atomic uint32_t yk_fork_generation;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&yk_fork_generation, 1, memory_order_relaxed);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}
