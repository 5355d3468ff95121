/* spin: wait for a moment without sleeping, for as long as waking a sleeper would take. */
#ifndef YK_BASE_SPIN_H
#define YK_BASE_SPIN_H
#include "base/base.h"
#include <sched.h>

/* About one wake-up of a sleeping thread: spinning that long at most doubles the cost of the wait. */
#define YK_SPIN_NS (30 * YOKE_US)

typedef struct yk_spin {
    int64_t end; /* 0: not begun */
    bool allowed;
} yk_spin;

/* allowed: there are CPUs to spare, see yk_cpus_to_spare(). */
static inline void yk_spin_begin(yk_spin *s, bool allowed)
{
    *s = (yk_spin){.allowed = allowed};
}

/* Waits a little; false when it is time to sleep. Whoever is waited for may be ready to run on this very CPU, hence the
 * yield. */
static inline bool yk_spin_more(yk_spin *s)
{
    if (!s->allowed)
        return false;
    for (int i = 0; i < 4; i++)
        yk_pause();
    sched_yield();
    int64_t now = yk_real_now();
    if (s->end == 0)
        s->end = now + YK_SPIN_NS;
    return now < s->end;
}
#endif
