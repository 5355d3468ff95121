/* child: a process that this one has started, from its start to its end.
 *
 * It is waited for by its pidfd: poll() until it has ended, then waitid(), which takes the status. Until then, a zombie at most,
 * its number is nobody else's, so that its group can be sent signals up to that moment, and not after. */
#include "async/child.h"
#include "async/io.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke/async.h>

static const int64_t default_grace = 5 * YOKE_S;
static _Thread_local yk_error last_error;

const char *yoke_child_error(void)
{
    return last_error.text;
}

/* ---- Start ---- */

/* What the child gets in place i, in fds[i]; what of it is to be closed here afterwards, in ours[i]. */
static int prepare(const int wants[3], int i, int fds[3], int ours[3], yoke_child *c)
{
    int ends[2];
    switch (wants[i]) {
    case YOKE_CHILD_INHERIT: fds[i] = i; return 0;
    case YOKE_CHILD_OUT: fds[i] = fds[1]; return i == 2 ? 0 : -EINVAL;
    case YOKE_CHILD_NULL:
        fds[i] = ours[i] = yk_sys.openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
        return fds[i] < 0 ? -errno : 0;
    case YOKE_CHILD_PIPE:
        if (yk_sys.pipe2(ends, O_CLOEXEC) < 0)
            return -errno;
        fds[i] = ours[i] = ends[i > 0];
        c->pipes[i] = ends[i == 0];
        return 0;
    default: fds[i] = wants[i]; return wants[i] > 0 ? 0 : -EINVAL;
    }
}

static void close_all(int fds[3])
{
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            yoke_close_fd(fds[i]);
        fds[i] = -1;
    }
}

static int start(const yoke_child_opts *opts, yoke_child *c)
{
    const int wants[3] = {opts->in, opts->out, opts->err};
    int fds[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1}, err = 0;
    for (int i = 0; i < 3 && err == 0; i++) {
        err = prepare(wants, i, fds, ours, c);
        if (err < 0)
            yk_errorf(&last_error, err, "%s: its standard input, output or error: %s", opts->argv[0], yoke_strerror(err));
    }
    if (err == 0)
        err = yk_child_start(opts, fds, c, &last_error);
    close_all(ours);
    return err;
}

int yoke_child_spawn(const yoke_child_opts *opts, yoke_child **ret)
{
    int err = yk_cancel_point();
    if (err < 0)
        return err;
    if (!opts || !opts->argv || !opts->argv[0])
        return yk_errorf(&last_error, EINVAL, "a child without arguments");
    if (!ret)
        return yk_errorf(&last_error, EINVAL, "%s: there is no place for the child", opts->argv[0]);
    yoke_child *c = yk_sys.malloc(sizeof *c);
    if (!c)
        return yk_errorf(&last_error, ENOMEM, "%s: out of memory", opts->argv[0]);
    *c = (yoke_child){.pid = -1, .pidfd = -1, .pipes = {-1, -1, -1}, .group = opts->new_group,
                      .grace = opts->grace > 0 ? opts->grace : default_grace,
                      .fork_generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed)};
    err = start(opts, c);
    if (err < 0) {
        close_all(c->pipes);
        free(c);
        return err;
    }
    *ret = c;
    return 0;
}

/* ---- What it is ---- */

int yoke_child_pid(const yoke_child *c)
{
    return c ? c->pid : -EINVAL;
}

static int pipe_of(const yoke_child *c, int i)
{
    return c && c->pipes[i] >= 0 ? c->pipes[i] : -EBADF;
}

int yoke_child_stdin(const yoke_child *c)
{
    return pipe_of(c, 0);
}

int yoke_child_stdout(const yoke_child *c)
{
    return pipe_of(c, 1);
}

int yoke_child_stderr(const yoke_child *c)
{
    return pipe_of(c, 2);
}

int yoke_child_close_stdin(yoke_child *c)
{
    int fd = pipe_of(c, 0);
    if (fd < 0)
        return fd;
    c->pipes[0] = -1;
    return yoke_close_fd(fd);
}

/* ---- Its end ---- */

static bool is_ours(const yoke_child *c)
{
    return c->fork_generation == atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
}

/* 0, -EAGAIN (with WNOHANG) or another code. */
static int reap(yoke_child *c, int options)
{
    siginfo_t info = {0};
    while (yk_sys.waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | options) < 0)
        if (errno != EINTR)
            return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    c->ended = true;
    c->status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
                                           : info.si_status | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
    return 0;
}

int yoke_child_wait_try(yoke_child *c, int *ret)
{
    if (!c)
        return -EINVAL;
    if (!c->ended) {
        int err = is_ours(c) ? reap(c, WNOHANG) : -ECHILD;
        if (err < 0)
            return err;
    }
    if (ret)
        *ret = c->status;
    return 0;
}

int yoke_child_wait_until(yoke_child *c, int64_t deadline, int *ret)
{
    for (;;) {
        int err = yk_cancel_point();
        if (err == 0)
            err = yoke_child_wait_try(c, ret);
        if (err != -EAGAIN)
            return err;
        yk_op op = {.kind = YK_OP_POLL, .fd = c->pidfd, .flags = POLLIN, .helped = true};
        err = (int)yk_do(&op, "a child", deadline);
        if (err < 0)
            return err;
    }
}

int yoke_child_wait_timed(yoke_child *c, int64_t ns, int *ret)
{
    return yoke_child_wait_until(c, yk_after(YK_MAX(ns, 0)), ret);
}

int yoke_child_wait(yoke_child *c, int *ret)
{
    return yoke_child_wait_until(c, YOKE_FOREVER, ret);
}

int yoke_child_kill(yoke_child *c, int number)
{
    if (!c)
        return -EINVAL;
    if (c->ended || !is_ours(c))
        return -ESRCH;
    int err = c->group ? kill(-c->pid, number) : yk_sys.pidfd_send_signal(c->pidfd, number, NULL, 0);
    return err < 0 ? -errno : 0;
}

/* One that is stopped would not hear of it. */
void yk_child_ask(yoke_child *c)
{
    yoke_child_kill(c, SIGTERM);
    yoke_child_kill(c, SIGCONT);
}

/* What keeps it from being waited for as usual must not leave a zombie behind. */
int yk_child_force(yoke_child *c)
{
    int status, err;
    yoke_scope shield;
    if (!c->ended && is_ours(c) && yoke_child_kill(c, SIGKILL) < 0)
        kill(c->pid, SIGKILL);
    yoke_shield_begin_timed(&shield, YOKE_FOREVER);
    err = yoke_child_wait(c, &status);
    yoke_scope_end(&shield);
    return err < 0 && err != -ECHILD ? reap(c, 0) : err;
}

int yoke_child_end(yoke_child *c, int *ret)
{
    int err = 0;
    if (c && !c->ended && is_ours(c)) {
        yoke_scope shield;
        yoke_shield_begin_timed(&shield, YOKE_FOREVER);
        yk_child_ask(c);
        yoke_poll_timed(c->pidfd, POLLIN, c->grace);
        yoke_scope_end(&shield);
        err = yk_child_force(c);
    }
    return err < 0 ? err : yoke_child_wait_try(c, ret);
}

yoke_child *yoke_child_close(yoke_child *c)
{
    if (!c)
        return NULL;
    if (!c->ended && is_ours(c))
        yk_child_force(c);
    close_all(c->pipes);
    yoke_close_fd(c->pidfd);
    free(c);
    return NULL;
}
