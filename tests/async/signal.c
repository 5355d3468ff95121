/* signal.c - signals that are waited for: numbers and senders, threads from before, cancels, several readers, what is left. */
#include "loops.h"
#include <sys/signalfd.h>
#include <yoke/child.h>
#include <yoke/io.h>
#include <yoke/signal.h>

static yoke_signals *keep(int a, int b)
{
    yoke_signals *s = NULL;
    CHECK_INT(yoke_signals_open((int[]){a, b}, 2, &s), 0);
    return s;
}

static bool is_blocked(int number)
{
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    return sigismember(&set, number) == 1;
}

ALL(one_after_the_other)
{
    yoke_signals *s = keep(SIGUSR1, SIGTERM);
    CHECK(!yoke_signal_info(s));
    CHECK_INT(yoke_signal_next_try(s), -EAGAIN);
    CHECK_INT(yoke_signal_next_timed(s, 2 * YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_signal_next_until(s, yoke_now()), -ETIMEDOUT);
    kill(getpid(), SIGTERM);
    CHECK_INT(yoke_signal_next(s), SIGTERM);
    CHECK_INT(yoke_signal_info(s)->ssi_signo, SIGTERM);
    CHECK_INT(yoke_signal_info(s)->ssi_pid, getpid());
    CHECK_INT(yoke_signal_info(s)->ssi_code, SI_USER);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1); /* as one */
    CHECK_INT(yoke_signal_next_timed(s, YOKE_S), SIGUSR1);
    CHECK_INT(yoke_signal_next_try(s), -EAGAIN);
    CHECK(!yoke_signals_close(s));
    CHECK(!yoke_signals_close(NULL));
}

ALL(real_time_signals)
{
    yoke_signals *s = keep(SIGRTMIN + 3, SIGUSR1);
    for (int i = 0; i < 5; i++)
        CHECK_INT(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i}), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(yoke_signal_next(s), SIGRTMIN + 3);
        CHECK_INT(yoke_signal_info(s)->ssi_int, i);
    }
    yoke_signals_close(s);
}

ALL(what_cannot_be_kept)
{
    static const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 0, -1, 65, 1000, 32, 33};
    yoke_signals *s = NULL;
    for (unsigned i = 0; i < YK_COUNT_OF(never); i++)
        CHECK_INT(yoke_signals_open((int[]){SIGINT, never[i]}, 2, &s), -EINVAL);
    CHECK_INT(yoke_signals_open(NULL, 0, &s), -EINVAL);
    CHECK(!s);
    CHECK(!is_blocked(SIGINT));
}

static volatile sig_atomic_t handled;

static void count_it(int number)
{
    handled++;
}

/* All is as it was when the last is closed, and what has come by then is delivered. */
ALL(closed)
{
    struct sigaction is;
    signal(SIGUSR1, count_it);
    handled = 0;
    yoke_signals *a = keep(SIGUSR1, SIGUSR2), *b = keep(SIGUSR1, SIGUSR1);
    CHECK(is_blocked(SIGUSR1));
    kill(getpid(), SIGUSR1);
    CHECK_INT(yoke_signal_next(b), SIGUSR1);
    yoke_signals_close(b);
    CHECK(is_blocked(SIGUSR1));
    kill(getpid(), SIGUSR1);
    CHECK_INT(handled, 0);
    yoke_signals_close(a);
    CHECK_INT(handled, 1);
    CHECK(!is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
    CHECK_INT(sigaction(SIGUSR1, NULL, &is), 0);
    CHECK(is.sa_handler == count_it);
    CHECK_INT(sigaction(SIGUSR2, NULL, &is), 0);
    CHECK(is.sa_handler == SIG_DFL);
}

/* Closed the other way round: the one that is left still gets them. */
ALL(closed_in_another_order)
{
    yoke_signals *a = keep(SIGUSR1, SIGUSR2), *b = keep(SIGUSR1, SIGUSR1);
    yoke_signals_close(a);
    kill(getpid(), SIGUSR1);
    CHECK_INT(yoke_signal_next_timed(b, 10 * YOKE_S), SIGUSR1);
    kill(getpid(), SIGUSR1);
    CHECK_INT(yoke_signal_next_timed(b, 10 * YOKE_S), SIGUSR1);
    yoke_signals_close(b);
    sigset_t set; /* pass_on() has blocked it here */
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ThreadSanitizer calls handlers later, and not so that they can change what the thread has blocked. */
#ifdef YK_WITH_TSAN
#define NOT_UNDER_TSAN() NOT_HERE("handlers are ThreadSanitizer's")
#else
#define NOT_UNDER_TSAN() ((void)0)
#endif

/* A thread from before has nothing blocked. */
static void linger(void *arg)
{
    char c;
    while (read(*(int *)arg, &c, 1) < 0)
        CHECK_INT(errno, EINTR);
}

ALL(threads_from_before)
{
    int fds[2];
    beside others[3];
    NOT_UNDER_TSAN();
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++)
        beside_begin(&others[i], linger, &fds[0]);
    yoke_signals *s = keep(SIGINT, SIGTERM);
    for (int i = 0; i < 10; i++) {
        kill(getpid(), i % 2 ? SIGINT : SIGTERM);
        CHECK_INT(yoke_signal_next_timed(s, 60 * YOKE_S), i % 2 ? SIGINT : SIGTERM);
        CHECK_INT(yoke_signal_info(s)->ssi_pid, getpid());
    }
    yoke_signals_close(s);
    close(fds[1]);
    for (int i = 0; i < 3; i++)
        beside_end(&others[i]);
    close(fds[0]);
}

/* The sender is who it was, whichever thread has passed it on. */
ALL(from_another_process)
{
    int fds[2];
    beside other;
    NOT_UNDER_TSAN();
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    beside_begin(&other, linger, &fds[0]);
    yoke_signals *s = keep(SIGINT, SIGTERM);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        kill(parent, SIGINT);
        _exit(0);
    }
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_INT(yoke_signal_next_timed(s, 60 * YOKE_S), SIGINT);
    CHECK_INT(yoke_signal_info(s)->ssi_pid, pid);
    yoke_signals_close(s);
    close(fds[1]);
    beside_end(&other);
    close(fds[0]);
}

static int64_t next_of(void *arg)
{
    return yoke_signal_next(arg);
}

LOOPS(cancelled)
{
    yoke_signals *s = keep(SIGUSR1, SIGUSR2);
    for (int i = 0; i < 10; i++)
        attempt_cancel(next_of, s);
    attempt a;
    for (int i = 0; i < 20; i++) { /* the cancel and the signal at once: nothing is lost */
        attempt_begin(&a, next_of, s);
        kill(getpid(), SIGUSR2);
        if (i % 2)
            yoke_yield();
        yoke_scope_cancel(&a.scope);
        if (attempt_end(&a) == -ECANCELED)
            CHECK_INT(yoke_signal_next_try(s), SIGUSR2);
        else
            CHECK_INT(a.result, SIGUSR2);
        CHECK_INT(yoke_signal_next_try(s), -EAGAIN);
    }
    yoke_signals_close(s);
}

/* Of several that wait for the same, one has it. */
LOOPS(several)
{
    enum { N = 4 };
    yoke_signals *s[N];
    attempt a[N];
    for (int i = 0; i < N; i++) {
        s[i] = keep(SIGUSR1, SIGUSR1);
        attempt_begin(&a[i], next_of, s[i]);
    }
    for (int n = 1; n <= N; n++) {
        int over;
        kill(getpid(), SIGUSR1);
        do {
            yoke_sleep(100 * YOKE_US);
            over = 0;
            for (int i = 0; i < N; i++)
                over += a[i].over;
        } while (over < n);
        CHECK_INT(over, n);
    }
    for (int i = N; i-- > 0;) {
        CHECK_INT(attempt_end(&a[i]), SIGUSR1);
        yoke_signals_close(s[i]);
    }
}

/* Loops in two threads, each with its own. */
static int count_usr2(void *arg)
{
    yoke_signals *s = keep(SIGUSR2, SIGUSR2);
    kill(getpid(), SIGUSR2);
    CHECK_INT(yoke_signal_next(s), SIGUSR2);
    yoke_signals_close(s);
    return 0;
}

static void second_loop(void *arg)
{
    CHECK_INT(yoke_async_run(count_usr2, NULL), 0);
}

LOOPS(two_loops)
{
    beside other;
    yoke_signals *s = keep(SIGUSR1, SIGUSR1);
    beside_begin(&other, second_loop, NULL);
    kill(getpid(), SIGUSR1);
    CHECK_INT(yoke_signal_next(s), SIGUSR1);
    beside_end(&other);
    yoke_signals_close(s);
}

/* A program that is started meanwhile knows nothing of it. */
ALL(children_are_as_at_first)
{
    yoke_child_output o;
    yoke_signals *s = keep(SIGTERM, SIGINT);
    const char *const argv[] = {"sh", "-c", "kill -TERM $$; sleep 1000", NULL};
    CHECK_INT(yoke_child_run(&(yoke_child_opts){.argv = argv}, NULL, 0, &o), 0);
    CHECK(WIFSIGNALED(o.status));
    CHECK_INT(WTERMSIG(o.status), SIGTERM);
    yoke_child_output_done(&o);
    CHECK_INT(yoke_signal_next_try(s), -EAGAIN);
    yoke_signals_close(s);
}

ALL(calls_that_fail)
{
    static const char *const names[] = {"calloc", "signalfd"};
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        yoke_signals *s = NULL;
        yk_sys_fail(names[i], 1, ENOMEM);
        CHECK_INT(yoke_signals_open((int[]){SIGINT}, 1, &s), -ENOMEM);
        yk_sys_fail(names[i], 0, 0);
        CHECK(!s && !is_blocked(SIGINT));
    }
}

/* ---- The example of yoke/signal.h ---- */

static int told;

static int serve(void *arg)
{
    bool stubborn = arg;
    kill(getpid(), SIGINT);
    told = yoke_sleep(YOKE_FOREVER);
    if (stubborn) {
        kill(getpid(), SIGTERM);
        YOKE_SHIELD(60 * YOKE_S)
            yoke_sleep(YOKE_FOREVER);
    }
    return 0;
}

static int on_interrupt(void *arg)
{
    yoke_scope *all = arg;
    yoke_signals *s;
    int err = yoke_signals_open((int[]){SIGINT, SIGTERM}, 2, &s);
    if (err < 0)
        return err;
    err = yoke_signal_next(s);
    if (err > 0) {
        yoke_scope_cancel(all);
        err = yoke_signal_next(s);
        if (err > 0)
            _exit(128 + err);
    }
    yoke_signals_close(s);
    return err;
}

static int program(void *arg)
{
    yoke_group g;
    yoke_scope all;
    yoke_group_begin(&g);
    yoke_go(&g, on_interrupt, &all);
    yoke_scope_begin(&all);
    yoke_yield();
    int code = serve(arg);
    int why = yoke_scope_end(&all);
    yoke_group_cancel(&g);
    yoke_group_end(&g);
    return why < 0 ? why : code;
}

TEST(interrupted_once)
{
    CHECK_INT(yoke_async_run(program, NULL), -ECANCELED);
    CHECK_INT(told, -ECANCELED);
    CHECK(!is_blocked(SIGINT));
}

TEST(interrupted_twice)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        yoke_async_run(program, &told);
        _exit(0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 128 + SIGTERM);
}
