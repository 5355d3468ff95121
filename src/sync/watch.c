/* watch: the list of locks that a thread holds; see watch.h. */
#include "sync/watch.h"
#include <stdlib.h>

enum { HELD_MAX = 64 };

bool yoke_watching_locks;

static _Thread_local struct {
    const void *lock[HELD_MAX];
    int n;
} held;

static __attribute__((constructor)) void read_environment(void)
{
    const char *words = getenv("YOKE_DEBUG");
    if (words && strstr(words, "locks"))
        yoke_watching_locks = true;
}

int yk_watch_want(const void *lock, const char *kind, const char *name, const char *file, int line)
{
    return 0;
}

void yk_watch_blocked(const void *lock)
{
}

void yk_watch_have(const void *lock)
{
    if (held.n < HELD_MAX)
        held.lock[held.n++] = lock;
}

void yk_watch_drop(const void *lock)
{
    for (int i = held.n; i-- > 0;) {
        if (held.lock[i] == lock) {
            memmove(&held.lock[i], &held.lock[i + 1], (size_t)(held.n - i - 1) * sizeof *held.lock);
            held.n--;
            return;
        }
    }
}

void yk_watch_forget(const void *lock)
{
    yk_watch_drop(lock);
}
