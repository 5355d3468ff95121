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

static void *sleeps(void *arg)
{
    _Atomic uint32_t *word = arg;
    while (*word == 0)
        yk_wait(word, 0, YOKE_FOREVER, 0);
    return NULL;
}

static pthread_t begin_sleep(_Atomic uint32_t *word)
{
    pthread_t t = crew_start(sleeps, (void *)(uintptr_t)word);
    AWAIT(asks_for_thread(word, 2));
    usleep(20000); /* it has been woken by that, and sleeps again */
    return t;
}

static void end_sleep(pthread_t t, _Atomic uint32_t *word)
{
    *word = 1;
    yk_futex_wake(word, INT_MAX, false); /* yk_wake() has coroutines enough */
    crew_join(t);
    CHECK(!asks_for_thread(word, 2));
}

TEST(a_thread_asleep_costs_few_other_words)
{
    yk_wake_hook = all_are_coroutines;
    CHECK(!asks_for_thread(&words[0], 2));
    pthread_t t = begin_sleep(&words[0]);
    int others = 0;
    for (int i = 1; i < WORDS; i++)
        others += asks_for_thread(&words[i], 2);
    printf("# %d of %d words\n", others, WORDS - 1);
    CHECK(others <= WORDS / 512);
    end_sleep(t, &words[0]);
}

/* ---- Who is woken ---- */

/* Two other words that share the place. */
static void find_two(_Atomic uint32_t *found[2])
{
    int n = 0;
    for (int i = 1; i < WORDS && n < 2; i++)
        if (asks_for_thread(&words[i], 2))
            found[n++] = &words[i];
    CHECK_INT(n, 2);
}

/* Of words that share a place, one is woken once, the others `step - 1` times, again and again. */
TEST(no_kind_starves_when_words_are_woken_in_step)
{
    enum { ROUNDS = 300 };
    _Atomic uint32_t *two[2];
    yk_wake_hook = all_are_coroutines;
    pthread_t t = begin_sleep(&words[0]);
    find_two(two);
    for (int step = 1; step <= 100; step++) {
        int threads = 0;
        for (int i = 0; i < ROUNDS; i++) {
            threads += asks_for_thread(two[0], 1);
            for (int k = 1; k < step; k++)
                yk_wake(two[1], 1, false);
        }
        if (threads < ROUNDS / 4 || threads > ROUNDS * 3 / 4)
            test_fail(__FILE__, __LINE__, "in steps of %d: %d of %d for threads", step, threads, ROUNDS);
    }
    end_sleep(t, &words[0]);
}

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
