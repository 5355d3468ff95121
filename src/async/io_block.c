/* io_block: the same operations in a thread outside of coroutines: the system's calls, which block it.
 *
 * They mean the same there as in a loop: no -EINTR, no SIGPIPE, all of what is written; and a descriptor that happens to be
 * non-blocking is waited for. */
#include "async/io.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec rest(const yk_op *op)
{
    return (struct iovec){(char *)op->buf + op->so_far, op->len - op->so_far};
}

static off_t place(const yk_op *op)
{
    return op->offset < 0 ? -1 : op->offset + (off_t)op->so_far;
}

/* One call. -1 and errno. */
static int64_t call(const yk_op *op)
{
    struct iovec v = rest(op);
    switch (op->kind) {
    case YK_OP_READ: return yk_sys.preadv2(op->fd, &v, 1, place(op), 0);
    case YK_OP_WRITE: return yk_sys.pwritev2(op->fd, &v, 1, place(op), 0);
    case YK_OP_RECV: return yk_sys.recv(op->fd, op->buf, op->len, op->flags);
    case YK_OP_SEND: return yk_sys.send(op->fd, v.iov_base, v.iov_len, op->flags | MSG_NOSIGNAL);
    case YK_OP_RECVMSG: return yk_sys.recvmsg(op->fd, op->message, op->flags);
    case YK_OP_SENDMSG: return yk_sys.sendmsg(op->fd, op->message, op->flags | MSG_NOSIGNAL);
    case YK_OP_ACCEPT: return yk_sys.accept4(op->fd, op->address, op->address_len, op->flags | SOCK_CLOEXEC);
    case YK_OP_OPENAT: return yk_sys.openat(op->fd, op->path, op->flags | O_CLOEXEC, op->mode);
    case YK_OP_FSYNC: return op->flags & 1 ? fdatasync(op->fd) : yk_sys.fsync(op->fd);
    case YK_OP_STATX: return yk_sys.statx(op->fd, op->path, op->flags, op->mask, op->statx);
    case YK_OP_WAIT_CHILD: return yk_sys.waitid(P_PIDFD, (id_t)op->fd, op->info, WEXITED);
    default: break;
    }
    errno = EINVAL;
    return -1;
}

/* 0: an event of them is there; or a negative code. */
static int wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    while (yk_sys.poll(&p, 1, -1) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static bool is_message(const yk_op *op)
{
    return op->kind == YK_OP_RECV || op->kind == YK_OP_SEND || op->kind == YK_OP_RECVMSG || op->kind == YK_OP_SENDMSG;
}

/* After -1 and errno: 0 when it is to be tried again. */
static int wait_or_fail(const yk_op *op)
{
    bool out = op->kind == YK_OP_WRITE || op->kind == YK_OP_SEND || op->kind == YK_OP_SENDMSG;
    if (errno == EINTR)
        return 0;
    if (errno != EAGAIN || (is_message(op) && op->flags & MSG_DONTWAIT) || op->kind == YK_OP_OPENAT)
        return -errno;
    return wait_for(op->fd, out ? POLLOUT : POLLIN);
}

static bool wants_all(const yk_op *op)
{
    return op->kind == YK_OP_WRITE || op->kind == YK_OP_SEND || (op->kind == YK_OP_READ && op->offset >= 0);
}

static int64_t repeat(yk_op *op)
{
    op->so_far = 0;
    for (;;) {
        int64_t n = call(op);
        int err = n < 0 ? wait_or_fail(op) : 0;
        if (err < 0)
            return op->so_far > 0 ? (int64_t)op->so_far : err;
        if (n < 0)
            continue;
        if (!wants_all(op))
            return n;
        op->so_far += (size_t)n;
        if (n == 0 || op->so_far == op->len)
            return (int64_t)op->so_far;
    }
}

/* ---- Those that are more than one call ---- */

static int64_t write_quietly(yk_op *op)
{
    yk_quiet q = {0};
    yk_quiet_begin(&q);
    int64_t n = repeat(op);
    yk_quiet_end(&q, n != (int64_t)op->len);
    return n;
}

/* It goes on in the kernel after a signal, and on a non-blocking socket from the first. */
static int64_t connect_it(const yk_op *op)
{
    int error = 0;
    while (yk_sys.connect(op->fd, op->address, (socklen_t)op->len) < 0) {
        if (errno == EAGAIN) { /* the listener of a Unix socket has no room, and does not say when it will */
            nanosleep(&(struct timespec){.tv_nsec = YOKE_MS}, NULL);
            continue;
        }
        if (errno != EINTR && errno != EINPROGRESS && errno != EALREADY)
            return -errno;
        int err = wait_for(op->fd, POLLOUT);
        if (err == 0 && getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}) < 0)
            err = -errno;
        return err < 0 ? err : -error;
    }
    return 0;
}

/* In milliseconds, rounded up; -1 for ever. */
static int time_until(int64_t deadline)
{
    if (deadline == YOKE_FOREVER)
        return -1;
    int64_t left = deadline - yoke_now();
    left = YK_MAX(left, (int64_t)0);
    return (int)YK_MIN(left / YOKE_MS + (left % YOKE_MS > 0), (int64_t)INT_MAX);
}

static int64_t poll_it(const yk_op *op, int64_t deadline)
{
    for (;;) {
        struct pollfd p = {.fd = op->fd, .events = (short)op->flags};
        int n = op->fd < 0 ? 1 : yk_sys.poll(&p, 1, time_until(deadline));
        if (n > 0)
            return op->fd < 0 || p.revents & POLLNVAL ? -EBADF : p.revents;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (deadline != YOKE_FOREVER && yoke_now() >= deadline)
            return -ETIMEDOUT;
    }
}

int64_t yk_block(yk_op *op, int64_t deadline)
{
    switch (op->kind) {
    case YK_OP_POLL: return poll_it(op, deadline);
    case YK_OP_CONNECT: return connect_it(op);
    case YK_OP_WRITE: return write_quietly(op);
    default: return repeat(op);
    }
}
