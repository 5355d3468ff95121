/* fake.h - locks for the tests of watch: flags that make the calls of sync/watch.h; each case runs in a child whose stderr is
 * looked at. */
#ifndef YK_TESTS_FAKE_H
#define YK_TESTS_FAKE_H
#include "child.h"
#include "sync/watching.h"
#include <pthread.h>

typedef struct fake {
    _Atomic int taken;
    const char *kind, *name;
} fake;

#define FAKE(kind, name) {0, kind, name}
static __attribute__((unused)) fake A = FAKE("lock", "A"), B = FAKE("lock", "B"), C = FAKE("lock", "C"), G = FAKE("lock", "gate");
static __attribute__((unused)) fake R = FAKE("rlock", "R");

/* Acquired at "bank.c", line. */
static inline int acquire_at(fake *l, const char *kind, int line)
{
    int err = yk_watch_want(l, kind, l->name, "dir/bank.c", line);
    if (err < 0)
        return err;
    while (atomic_exchange(&l->taken, 1) != 0) {
        err = yk_watch_blocked_until(l, YOKE_FOREVER);
        if (err < 0)
            return err;
        usleep(500);
    }
    yk_watch_have(l);
    return 0;
}

static inline int acquire(fake *l, int line)
{
    return acquire_at(l, l->kind, line);
}

static inline void release(fake *l)
{
    yk_watch_drop(l);
    atomic_store(&l->taken, 0);
}

/* What the calls say without a lock behind them, for sides and recursion. */
static inline int take(fake *l, const char *kind, int line)
{
    int err = yk_watch_want(l, kind, l->name, "bank.c", line);
    if (err == 0)
        yk_watch_have(l);
    return err;
}

static inline void drop(fake *l)
{
    yk_watch_drop(l);
}

static inline void in_thread(const char *name, void *(*fn)(void *arg), void *arg)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, fn, arg), 0);
    pthread_setname_np(t, name);
    pthread_join(t, NULL);
}

static inline void check_quiet(void (*fn)(void))
{
    child_end end = in_child(fn);
    CHECK_STR(end.text, "");
    CHECK_INT(end.status, 0);
}

static inline void check_says(void (*fn)(void), const char *text)
{
    child_end end = in_child(fn);
    CHECK_STR(end.text, text);
    CHECK_INT(end.status, 0);
}

#endif
