/* hog: with the word "async" in YOKE_DEBUG, a coroutine that runs for 100 ms without a wait is reported on stderr, with its
 * stack.
 *
 * One thread looks at all loops, 20 times a second: a loop that runs a coroutine and has not switched since the last looks is
 * held up. The stack can be seen only from the loop's own thread, so that one is sent a signal whose handler writes it down. */
#include "async/hog.h"
#include "sync/who.h"
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOK = 50 * 1000 * 1000, TOO_LONG = 100 * 1000 * 1000, ANSWER_S = 1, FRAMES = 64 };
/* Ignored unless somebody handles it, which programs hardly do: it tells of urgent data of TCP. */
#define SIGNAL SIGURG

bool yk_hogs_are_watched(void)
{
    return yk_watching_loops;
}

/* ---- The stack of another thread ---- */

static yk_mutex asking; /* one at a time */
static int answer_fd;
static sem_t answered;

static void write_stack(int number)
{
    void *frames[FRAMES];
    int saved = errno, n = backtrace(frames, FRAMES);
    backtrace_symbols_fd(frames + 2, n > 2 ? n - 2 : 0, answer_fd); /* without this function and the kernel's */
    sem_post(&answered);
    (void)number;
    errno = saved;
}

static void tell_stack(yk_loop *loop, int fd)
{
    struct sigaction how = {.sa_handler = write_stack, .sa_flags = SA_RESTART | SA_ONSTACK}, before;
    struct timespec end;
    yk_mutex_lock(&asking);
    sem_init(&answered, 0, 0);
    answer_fd = fd;
    sigaction(SIGNAL, &how, &before);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += ANSWER_S;
    if (pthread_kill(loop->thread, SIGNAL) == 0)
        while (sem_timedwait(&answered, &end) < 0 && errno == EINTR)
            ;
    sigaction(SIGNAL, &before, NULL);
    yk_mutex_unlock(&asking);
}

void yk_hog_tell(yk_loop *loop, int fd)
{
    char line[160], name[64];
    yk_coroutine *co = __atomic_load_n(&loop->running, __ATOMIC_RELAXED);
    /* It may end just now, but its stack stays mapped as long as the loop does. */
    int n = snprintf(line, sizeof line, "  %s\n", co ? yk_coroutine_name(co, name, sizeof name) : "the loop itself");
    ssize_t written = yk_sys.write(fd, line, (size_t)n);
    (void)written;
    if (yk_watching_loops)
        tell_stack(loop, fd);
}

/* ---- Looking ---- */

static void look(yk_loop *loop, void *arg)
{
    int64_t now = *(int64_t *)arg;
    uint64_t switches = __atomic_load_n(&loop->switches, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&loop->running, __ATOMIC_RELAXED) || switches != loop->hog_switches) {
        loop->hog_switches = switches;
        loop->hog_since = now;
        loop->hog_told = false;
        return;
    }
    __atomic_store_n(&loop->longest, YK_MAX(loop->longest, now - loop->hog_since), __ATOMIC_RELAXED);
    if (loop->hog_told || now - loop->hog_since < TOO_LONG)
        return;
    static const char text[] = "yoke: a coroutine has held up its loop for 100 ms:\n";
    ssize_t written = yk_sys.write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    loop->hog_told = true;
    yk_hog_tell(loop, STDERR_FILENO);
}

static void *watchdog(void *arg)
{
    _Atomic uint32_t never = 0;
    pthread_setname_np(pthread_self(), "yoke-hogs");
    for (;;) {
        yk_futex_wait(&never, 0, yk_after(LOOK), false);
        int64_t now = yoke_now();
        yk_each_loop(look, &now);
    }
    return arg;
}

/* Ends with the program. */
static void start_watchdog(void)
{
    static yk_mutex lock;
    static bool started;
    pthread_t thread;
    void *frame;
    yk_mutex_lock(&lock);
    if (!started && yk_thread_start(&thread, 0, watchdog, NULL) == 0) {
        pthread_detach(thread);
        backtrace(&frame, 1); /* the first loads a library, which no handler may */
        started = true;
    }
    yk_mutex_unlock(&lock);
}

void yk_hog_watch(yk_loop *loop)
{
    sigset_t set;
    if (!yk_watching_loops)
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    loop->watched = true;
    start_watchdog();
}
