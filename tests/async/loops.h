/* loops.h - each test three times: in a loop over epoll, in one over io_uring, and in a thread without a loop. */
#ifndef YK_TESTS_LOOPS_H
#define YK_TESTS_LOOPS_H
#include "async/async.h"
#include "async/offload.h"
#include "test.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke/async.h>

/* How many descriptors this process has. */
static inline int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

enum { RAN = 42 };

static inline int run_body(void *arg)
{
    void (*body)(void) = *(void (**)(void))arg;
    body();
    CHECK_INT(yoke_checkpoint(), 0);
    return RAN;
}

/* backend: "epoll", "io_uring", or NULL for a thread. Nothing is left of it. */
static inline void run_over(const char *backend, void (*body)(void))
{
    int before = descriptors();
    if (backend) {
        setenv("YOKE_ASYNC_BACKEND", backend, 1);
        int err = yoke_async_run(run_body, &body);
        if (strcmp(backend, "io_uring") == 0 && err < 0)
            SKIP("io_uring: %s", yoke_strerror(err));
        CHECK_INT(err, RAN);
    } else {
        body();
    }
    yk_offload_end();
    CHECK_INT(yk_offload_threads(), 0);
    CHECK_INT(descriptors(), before);
}

/* LOOPS(name) { ... } is the tests epoll_name and uring_name; ALL(name) also thread_name. */
#define LOOPS(name)                                                                                                    \
    static void loops_##name(void);                                                                                    \
    TEST(epoll_##name)                                                                                                 \
    {                                                                                                                  \
        run_over("epoll", loops_##name);                                                                               \
    }                                                                                                                  \
    TEST(uring_##name)                                                                                                 \
    {                                                                                                                  \
        run_over("io_uring", loops_##name);                                                                            \
    }                                                                                                                  \
    static void loops_##name(void)
#define ALL(name)                                                                                                      \
    static void all_##name(void);                                                                                      \
    TEST(thread_##name)                                                                                                \
    {                                                                                                                  \
        run_over(NULL, all_##name);                                                                                    \
    }                                                                                                                  \
    LOOPS(name)                                                                                                        \
    {                                                                                                                  \
        all_##name();                                                                                                  \
    }                                                                                                                  \
    static void all_##name(void)

/* Lets the others of the loop come to where they wait. */
static inline void settle(void)
{
    for (int i = 0; i < 5; i++)
        yoke_yield();
}

/* In a loop that runs no other coroutine: a thread that does fn(arg) meanwhile. Joined by beside_end(). */
typedef struct beside {
    pthread_t thread;
    void (*fn)(void *arg);
    void *arg;
} beside;

static inline void *run_beside(void *arg)
{
    beside *b = arg;
    b->fn(b->arg);
    return NULL;
}

static inline void beside_begin(beside *b, void (*fn)(void *arg), void *arg)
{
    b->fn = fn;
    b->arg = arg;
    CHECK_INT(pthread_create(&b->thread, NULL, run_beside, b), 0);
}

static inline void beside_end(beside *b)
{
    pthread_join(b->thread, NULL);
}

/* Waits until the one other coroutine of this loop waits in a call. */
static inline void let_wait(void)
{
    settle();
}

/* ---- Cancelling a call ---- */

/* A call that is made in a scope of its own. */
typedef struct attempt {
    int64_t (*call)(void *arg);
    void *arg;
    int64_t result;
    int ended; /* of its scope */
    bool over;
    yoke_scope scope;
    yoke_group group;
} attempt;

static inline int attempt_run(void *arg)
{
    attempt *a = arg;
    yoke_scope_begin(&a->scope);
    a->result = a->call(a->arg);
    a->ended = yoke_scope_end(&a->scope);
    a->over = true;
    return 0;
}

/* Starts it, and goes on when it waits. */
static inline void attempt_begin(attempt *a, int64_t (*call)(void *arg), void *arg)
{
    *a = (attempt){.call = call, .arg = arg, .result = 4711};
    yoke_group_begin(&a->group);
    CHECK_INT(yoke_go(&a->group, attempt_run, a), 0);
    settle();
}

static inline int64_t attempt_end(attempt *a)
{
    CHECK_INT(yoke_group_end(&a->group), 0);
    CHECK(a->over);
    return a->result;
}

/* It waits; it is told to stop; nothing has happened. */
static inline void attempt_cancel(int64_t (*call)(void *arg), void *arg)
{
    attempt a;
    attempt_begin(&a, call, arg);
    CHECK(!a.over);
    yoke_scope_cancel(&a.scope);
    CHECK_INT(attempt_end(&a), -ECANCELED);
    CHECK_INT(a.ended, -ECANCELED);
}
#endif
