/* crew.h - threads and child processes for the tests of sync, and waiting for conditions without a clock that
 * decides. */
#ifndef YK_CREW_H
#define YK_CREW_H
#include "test.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke/sync.h>

enum { CREW_MAX = 64 };

/* Until it holds; the limit of the test guards against a hang. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        while (!(condition))                                                                                           \
            crew_nap();                                                                                                \
    } while (0)

static inline void crew_nap(void)
{
    nanosleep(&(struct timespec){0, 100 * 1000}, NULL);
}

static inline pthread_t crew_start(void *(*fn)(void *), void *arg)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, fn, arg), 0);
    return t;
}

static inline long crew_join(pthread_t t)
{
    void *result;
    CHECK_INT(pthread_join(t, &result), 0);
    return (long)(intptr_t)result;
}

/* n threads run fn(arg of each), and the sum of what they return. */
static inline long crew_run(int n, void *(*fn)(void *), void *arg)
{
    pthread_t t[CREW_MAX];
    long sum = 0;
    for (int i = 0; i < n; i++)
        t[i] = crew_start(fn, arg);
    for (int i = 0; i < n; i++)
        sum += crew_join(t[i]);
    return sum;
}

/* What fn(arg) returns in another thread. */
static inline long crew_ask(void *(*fn)(void *), void *arg)
{
    return crew_join(crew_start(fn, arg));
}

/* Zeroed memory that children share. */
static inline void *crew_shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* fn(arg) in a child, which exits with what it returns. */
static inline pid_t crew_fork(int (*fn)(void *), void *arg)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(fn(arg));
    return pid;
}

static inline int crew_reap(pid_t pid)
{
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The sanitizers' runtimes make everything slower. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { CREW_SLOWER = 10 };
#else
enum { CREW_SLOWER = 1 };
#endif
#endif
