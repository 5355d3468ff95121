/* mutex: a lock of three states in one word, after Ulrich Drepper, "Futexes are tricky" (2011), mutex 2. 0 is free, 1 is
 * locked, 2 is locked and somebody may sleep. Private to a process; not recursive; {0} is free. */
#ifndef YK_SYNC_MUTEX_H
#define YK_SYNC_MUTEX_H
#include "base/base.h"

typedef struct yk_mutex {
    _Atomic uint32_t word;
} yk_mutex;

void yk_mutex_lock_slow(yk_mutex *m);
void yk_mutex_unlock_slow(yk_mutex *m);

static inline bool yk_mutex_trylock(yk_mutex *m)
{
    uint32_t free_word = 0;
    return atomic_compare_exchange_strong_explicit(&m->word, &free_word, 1, memory_order_acquire, memory_order_relaxed);
}

static inline void yk_mutex_lock(yk_mutex *m)
{
    if (YK_UNLIKELY(!yk_mutex_trylock(m)))
        yk_mutex_lock_slow(m);
}

static inline void yk_mutex_unlock(yk_mutex *m)
{
    if (YK_UNLIKELY(atomic_exchange_explicit(&m->word, 0, memory_order_release) == 2))
        yk_mutex_unlock_slow(m);
}

/* Nobody holds this lock while the process forks, so that the child finds it free and what it guards whole. For locks that are
 * held briefly; once in a file. */
#define YK_HELD_WHILE_FORKING(lock)                                                                                    \
    static void before_fork(void)                                                                                      \
    {                                                                                                                  \
        yk_mutex_lock(&(lock));                                                                                        \
    }                                                                                                                  \
    static void after_fork(void)                                                                                       \
    {                                                                                                                  \
        yk_mutex_unlock(&(lock));                                                                                      \
    }                                                                                                                  \
    static __attribute__((constructor)) void watch_forks(void)                                                         \
    {                                                                                                                  \
        pthread_atfork(before_fork, after_fork, after_fork);                                                           \
    }
#endif
