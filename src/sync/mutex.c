/* mutex: the paths with contention, see mutex.h. */
#include "sync/mutex.h"

/* Worth spinning only for the few hundred nanoseconds that yoke's own critical sections take. */
enum { SPINS = 100 };

void yk_mutex_lock_slow(yk_mutex *m)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&m->word, memory_order_relaxed) == 0 && yk_mutex_trylock(m))
            return;
        yk_pause();
    }
    while (atomic_exchange_explicit(&m->word, 2, memory_order_acquire) != 0)
        yk_futex_wait(&m->word, 2, YOKE_FOREVER, false);
}

void yk_mutex_unlock_slow(yk_mutex *m)
{
    yk_futex_wake(&m->word, 1, false);
}
