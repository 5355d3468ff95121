/* signal: signals that are kept from doing what they do, and read from a signalfd.
 *
 * A signalfd gives only what is pending, and pending is only what every thread has blocked. Of threads that were there before
 * and have it not blocked, the kernel takes one for each signal: there the handler pass_on() blocks it, for good, and sends
 * the same again to the process, until no thread is left that would take it. */
#include "async/io.h"
#include "sync/mutex.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <yoke/signal.h>

struct yoke_signals {
    int fd;
    bool any;
    sigset_t set, to_unblock; /* what is kept; and what of it the thread had not blocked */
    struct signalfd_siginfo last;
};

/* What is kept by somebody, and what was set up for it before. */
static struct {
    yk_mutex lock;
    unsigned users[_NSIG];
    struct sigaction before[_NSIG];
} kept;

/* In a signal handler. The kernel lets a thread send itself what looks as if it came from elsewhere, and that is for the
 * process. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    int code = errno;
    sigaddset(&((ucontext_t *)context)->uc_sigmask, number);
    if (syscall(SYS_rt_sigqueueinfo, gettid(), number, info) < 0)
        kill(getpid(), number);
    errno = code;
}

static bool can_be_kept(int number)
{
    switch (number) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS: return false;
    default: return number > 0 && number < _NSIG;
    }
}

/* Those of the C library for itself are refused by sigaddset(). */
static int set_of(const int *numbers, size_t n, sigset_t *ret)
{
    sigemptyset(ret);
    for (size_t i = 0; i < n; i++)
        if (!can_be_kept(numbers[i]) || sigaddset(ret, numbers[i]) < 0)
            return -EINVAL;
    return n == 0 ? -EINVAL : 0;
}

static void keep(const sigset_t *set)
{
    struct sigaction own = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&own.sa_mask);
    yk_mutex_lock(&kept.lock);
    for (int i = 1; i < _NSIG; i++)
        if (sigismember(set, i) == 1 && kept.users[i]++ == 0)
            sigaction(i, &own, &kept.before[i]);
    yk_mutex_unlock(&kept.lock);
}

static void keep_no_more(const sigset_t *set)
{
    yk_mutex_lock(&kept.lock);
    for (int i = 1; i < _NSIG; i++)
        if (sigismember(set, i) == 1 && --kept.users[i] == 0)
            sigaction(i, &kept.before[i], NULL);
    yk_mutex_unlock(&kept.lock);
}

YK_HELD_WHILE_FORKING(kept.lock)

int yoke_signals_open(const int *set, size_t n, yoke_signals **ret)
{
    sigset_t before;
    yoke_signals *s = yk_sys.calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int err = set_of(set, n, &s->set);
    if (err < 0)
        goto fail;
    s->fd = yk_sys.signalfd(-1, &s->set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0) {
        err = -errno;
        goto fail;
    }
    pthread_sigmask(SIG_BLOCK, &s->set, &before);
    s->to_unblock = s->set;
    for (int i = 1; i < _NSIG; i++)
        if (sigismember(&before, i) == 1)
            sigdelset(&s->to_unblock, i);
    keep(&s->set);
    *ret = s;
    return 0;
fail:
    free(s);
    return err;
}

yoke_signals *yoke_signals_close(yoke_signals *s)
{
    if (!s)
        return NULL;
    yoke_close_fd(s->fd);
    keep_no_more(&s->set);
    pthread_sigmask(SIG_UNBLOCK, &s->to_unblock, NULL);
    free(s);
    return NULL;
}

int yoke_signal_next_try(yoke_signals *s)
{
    struct signalfd_siginfo info;
    if (!s)
        return -EINVAL;
    ssize_t n = yk_sys.read(s->fd, &info, sizeof info);
    if (n != (ssize_t)sizeof info)
        return n < 0 ? -errno : -EIO;
    s->last = info;
    s->any = true;
    return (int)info.ssi_signo;
}

/* One that another had asked for as well may be gone when it is read. */
int yoke_signal_next_until(yoke_signals *s, int64_t deadline)
{
    for (;;) {
        int err = yk_cancel_point();
        int got = err < 0 ? err : yoke_signal_next_try(s);
        if (got != -EAGAIN && got != -EINTR)
            return got;
        err = yoke_poll_until(s->fd, POLLIN, deadline);
        if (err < 0)
            return err;
    }
}

int yoke_signal_next_timed(yoke_signals *s, int64_t ns)
{
    return yoke_signal_next_until(s, yk_after(YK_MAX(ns, 0)));
}

int yoke_signal_next(yoke_signals *s)
{
    return yoke_signal_next_until(s, YOKE_FOREVER);
}

const struct signalfd_siginfo *yoke_signal_info(const yoke_signals *s)
{
    return s && s->any ? &s->last : NULL;
}
