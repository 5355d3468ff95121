/* shares.c - how wake-ups are shared out among threads and coroutines: whom the kernel is asked for, and whom the table of
 * coroutines, for which a function stands in here. */
#include "crew.h"
#include "sync/wait.h"
#include <dlfcn.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>

/* Instead of the C library's: counts the calls that wake. */
static _Thread_local int asked;

long syscall(long number, ...)
{
    static _Atomic(void *) real;
    void *found = real;
    long (*fn)(long number, ...), a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    asked += number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAKE;
    if (!found)
        real = found = dlsym(RTLD_NEXT, "syscall");
    memcpy(&fn, &found, sizeof fn);
    return fn(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* There are as many coroutines as are to be woken. */
static int all_are_coroutines(_Atomic uint32_t *word, int n)
{
    return n;
}

/* Whether the kernel was asked for threads. Of two that are woken one is a thread, if one sleeps. */
static bool asks_for_thread(_Atomic uint32_t *word, int n)
{
    asked = 0;
    yk_wake(word, n, false);
    return asked > 0;
}

/* ---- Whose word it is ---- */

enum { WORDS = 1 << 16 };

static _Atomic uint32_t words[WORDS];

/* ---- fork() in a signal handler while the thread sleeps ---- */

static pid_t made = -1;
static pthread_t sleeper;

static void forks(int number)
{
    made = fork();
}

static void *interrupts(void *arg)
{
    usleep(50000); /* it sleeps */
    pthread_kill(sleeper, SIGUSR1);
    return NULL;
}

TEST(a_handler_that_forks_leaves_no_sleeper)
{
#ifdef __SANITIZE_THREAD__
    NOT_HERE("ThreadSanitizer takes the parent's other threads for leaks of the child");
#endif
    yk_wake_hook = all_are_coroutines;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = forks}, NULL);
    sleeper = pthread_self();
    fflush(stdout);
    pthread_t t = crew_start(interrupts, NULL);
    while (made < 0)
        yk_wait(&words[0], 0, yk_after(YOKE_S), 0);
    bool left = asks_for_thread(&words[0], 2);
    if (made == 0)
        _exit(left);
    CHECK(!left);
    crew_join(t);
    CHECK_INT(crew_reap(made), 0);
}
