/* io_quiet: no SIGPIPE.
 *
 * For sockets there is MSG_NOSIGNAL; a write to a pipe raises SIGPIPE in the thread that makes it. In a thread that has it
 * blocked it becomes pending, and is taken from there. The kernel writes for a loop also when other coroutines run, so a loop
 * has it blocked as long as any write is under way. It could be so for good, but then programs that coroutines start, and what
 * they print, would not end by a broken pipe as they should. */
#include "async/io.h"
#include <signal.h>
#include <unistd.h>

static sigset_t only_pipe(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGPIPE);
    return s;
}

static bool is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void yk_quiet_begin(yk_quiet *q)
{
    if (q->users++ > 0)
        return;
    sigset_t set = only_pipe(), before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    q->was_blocked = sigismember(&before, SIGPIPE) == 1;
    q->was_pending = q->was_blocked && is_pending();
    q->broken = false;
}

void yk_quiet_end(yk_quiet *q, bool broken)
{
    q->broken |= broken;
    if (--q->users > 0)
        return;
    sigset_t set = only_pipe();
    if (q->broken && !q->was_pending)
        while (sigtimedwait(&set, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
            continue;
    if (!q->was_blocked)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

ssize_t yk_quiet_write(int fd, const void *buf, size_t n)
{
    yk_loop *loop = yk_loop_here();
    yk_quiet own = {0}, *q = loop ? &loop->quiet : &own;
    yk_quiet_begin(q);
    ssize_t done = yk_sys.write(fd, buf, n);
    while (done < 0 && errno == EINTR)
        done = yk_sys.write(fd, buf, n);
    int code = errno;
    yk_quiet_end(q, done < 0 && code == EPIPE);
    return done < 0 ? -code : done;
}
