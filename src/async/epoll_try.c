/* epoll: one attempt at an operation, which never blocks.
 *
 * Sockets are asked with MSG_DONTWAIT, everything else with RWF_NOWAIT: both are of the call alone. O_NONBLOCK would be of the
 * open file, which the terminal or pipe that a program is handed shares with whoever handed it over; a shell whose terminal
 * turns non-blocking misbehaves. What knows no RWF_NOWAIT (terminals, older pipes) is asked by poll(2) first, and written to in
 * pieces so small that being writable at all means room for them. Only listeners are made O_NONBLOCK, since accept4(2) has no
 * flag, and a socket that connects, for the time of the call. */
#include "async/epoll.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TERMINAL_PIECE = 128 }; /* room comes in pieces of 256, and a newline may take two bytes */

static yk_attempt end_with(yk_op *op, int64_t result)
{
    op->result = result;
    return YK_ENDED;
}

static yk_attempt fail(yk_op *op)
{
    return end_with(op, yk_op_result(op, errno));
}

/* After a call that returned -1. */
static yk_attempt wait_or_fail(yk_watch *w, yk_op *op, int way)
{
    if (errno != EAGAIN)
        return fail(op);
    w->may[way] = false;
    return YK_WAITS;
}

static bool is_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return yk_sys.poll(&p, 1, 0) != 0;
}

static bool is_reading(const yk_op *op)
{
    return op->kind == YK_OP_READ;
}

/* ---- What a descriptor is ---- */

static yk_fd_class class_of_socket(int fd)
{
    int type = 0;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type});
    return type == SOCK_STREAM ? YK_FD_STREAM : YK_FD_PACKETS;
}

/* False: there is none, errno. */
static bool classify(yk_watch *w)
{
    struct stat s;
    if (w->class != YK_FD_NEW)
        return true;
    if (fstat(w->fd, &s) < 0)
        return false;
    if (S_ISSOCK(s.st_mode))
        w->class = class_of_socket(w->fd);
    else if (S_ISFIFO(s.st_mode))
        w->class = YK_FD_PIPE;
    else if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) || S_ISBLK(s.st_mode))
        w->class = YK_FD_FILE;
    else
        w->class = isatty(w->fd) ? YK_FD_TERMINAL : YK_FD_OTHER;
    return true;
}

/* ---- Sockets ---- */

static yk_attempt try_recv(yk_watch *w, yk_op *op, int flags)
{
    bool all = flags & MSG_WAITALL && w->class == YK_FD_STREAM && !(flags & MSG_PEEK);
    int own = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
    for (;;) {
        size_t left = op->len - op->so_far;
        ssize_t n = yk_sys.recv(op->fd, (char *)op->buf + op->so_far, left, own);
        if (n < 0)
            return flags & MSG_DONTWAIT ? fail(op) : wait_or_fail(w, op, YK_IN);
        if (w->class == YK_FD_STREAM && (size_t)n < left && !w->hung_up)
            w->may[YK_IN] = flags & MSG_PEEK;
        op->so_far += (size_t)n;
        if (!all || n == 0 || op->so_far == op->len)
            return end_with(op, (int64_t)op->so_far);
    }
}

static yk_attempt try_send(yk_watch *w, yk_op *op, int flags)
{
    for (;;) {
        ssize_t n = yk_sys.send(op->fd, (char *)op->buf + op->so_far, op->len - op->so_far, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return flags & MSG_DONTWAIT ? fail(op) : wait_or_fail(w, op, YK_OUT);
        op->so_far += (size_t)n;
        if (w->class != YK_FD_STREAM || op->so_far == op->len)
            return end_with(op, (int64_t)op->so_far);
    }
}

static yk_attempt try_message(yk_watch *w, yk_op *op)
{
    bool in = op->kind == YK_OP_RECVMSG;
    ssize_t n = in ? yk_sys.recvmsg(op->fd, op->message, (op->flags & ~MSG_WAITALL) | MSG_DONTWAIT)
                   : yk_sys.sendmsg(op->fd, op->message, op->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return op->flags & MSG_DONTWAIT ? fail(op) : wait_or_fail(w, op, in ? YK_IN : YK_OUT);
    return end_with(op, n);
}

static yk_attempt try_accept(yk_watch *w, yk_op *op)
{
    int flags = fcntl(op->fd, F_GETFL);
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(op->fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return fail(op);
    int fd = yk_sys.accept4(op->fd, op->address, op->address_len, op->flags | SOCK_CLOEXEC);
    return fd < 0 ? wait_or_fail(w, op, YK_IN) : end_with(op, fd);
}

/* connect(2) as if the socket were non-blocking. errno on failure. */
static int connect_now(const yk_op *op)
{
    int flags = fcntl(op->fd, F_GETFL);
    if (flags < 0)
        return -1;
    if (flags & O_NONBLOCK)
        return yk_sys.connect(op->fd, op->address, (socklen_t)op->len);
    if (fcntl(op->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    int err = yk_sys.connect(op->fd, op->address, (socklen_t)op->len), code = errno;
    fcntl(op->fd, F_SETFL, flags);
    errno = code;
    return err;
}

/* state: whether the kernel is at it already. */
static yk_attempt try_connect(yk_watch *w, yk_op *op)
{
    int error = 0;
    if (op->state == 0) {
        if (connect_now(op) == 0)
            return end_with(op, 0);
        if (errno == EAGAIN) /* the listener of a Unix socket has no room, and does not say when it will */
            return YK_RETRIES;
        if (errno != EINPROGRESS && errno != EALREADY)
            return fail(op);
        op->state = 1;
    }
    if (!is_ready(op->fd, POLLOUT)) {
        w->may[YK_OUT] = false;
        return YK_WAITS;
    }
    if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}) < 0)
        error = errno;
    return end_with(op, -error);
}

/* ---- Files, pipes, terminals ---- */

static ssize_t move_some(const yk_op *op, size_t most, int flags)
{
    struct iovec v = {(char *)op->buf + op->so_far, YK_MIN(op->len - op->so_far, most)};
    off_t at = op->offset < 0 ? -1 : op->offset + (off_t)op->so_far;
    return is_reading(op) ? yk_sys.preadv2(op->fd, &v, 1, at, flags) : yk_sys.pwritev2(op->fd, &v, 1, at, flags);
}

/* A part may be in the page cache and the rest not. Only 0 is the end of the file. */
static yk_attempt move_file(yk_op *op, int flags)
{
    for (;;) {
        ssize_t n = move_some(op, SIZE_MAX, flags);
        if (n < 0 && flags && (errno == EAGAIN || errno == EOPNOTSUPP))
            return YK_OFFLOADS;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(op);
        op->so_far += (size_t)n;
        if (n == 0 || op->so_far == op->len)
            return end_with(op, (int64_t)op->so_far);
    }
}

static size_t piece_of(const yk_watch *w, const yk_op *op)
{
    if (is_reading(op))
        return SIZE_MAX;
    return w->class == YK_FD_TERMINAL ? TERMINAL_PIECE : w->class == YK_FD_PIPE ? PIPE_BUF : SIZE_MAX;
}

/* -1 and EAGAIN: would block. */
static ssize_t move_ready(yk_watch *w, const yk_op *op)
{
    if (!w->no_nowait) {
        ssize_t n = move_some(op, SIZE_MAX, RWF_NOWAIT);
        if (n >= 0 || errno != EOPNOTSUPP)
            return n;
        w->no_nowait = true;
    }
    if (is_ready(op->fd, is_reading(op) ? POLLIN : POLLOUT))
        return move_some(op, piece_of(w, op), 0);
    errno = EAGAIN;
    return -1;
}

static yk_attempt move_waiting(yk_watch *w, yk_op *op)
{
    for (;;) {
        ssize_t n = move_ready(w, op);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return wait_or_fail(w, op, is_reading(op) ? YK_IN : YK_OUT);
        op->so_far += (size_t)n;
        if (is_reading(op) || n == 0 || op->so_far == op->len)
            return end_with(op, (int64_t)op->so_far);
    }
}

static yk_attempt try_move(yk_watch *w, yk_op *op)
{
    if (w->class == YK_FD_FILE)
        return move_file(op, RWF_NOWAIT);
    if (w->class != YK_FD_STREAM && w->class != YK_FD_PACKETS)
        return move_waiting(w, op);
    if (op->offset >= 0)
        return end_with(op, -ESPIPE);
    if (op->len == 0)
        return end_with(op, 0);
    return is_reading(op) ? try_recv(w, op, 0) : try_send(w, op, 0);
}

/* ---- The rest ---- */

static yk_attempt try_poll(yk_op *op)
{
    struct pollfd p = {.fd = op->fd, .events = (short)op->flags};
    int n = yk_sys.poll(&p, 1, 0);
    if (n < 0)
        return fail(op);
    if (n == 0)
        return YK_WAITS;
    return end_with(op, p.revents & POLLNVAL ? -EBADF : p.revents);
}

static yk_attempt try_wait_child(yk_watch *w, yk_op *op)
{
    siginfo_t own = {0}, *info = op->info ? op->info : &own;
    info->si_pid = 0;
    if (yk_sys.waitid(P_PIDFD, (id_t)op->fd, info, WEXITED | WNOHANG) < 0)
        return fail(op);
    if (info->si_pid != 0)
        return end_with(op, 0);
    w->may[YK_IN] = false;
    return YK_WAITS;
}

yk_attempt yk_epoll_try(yk_watch *w, yk_op *op)
{
    if (!classify(w))
        return fail(op);
    switch (op->kind) {
    case YK_OP_POLL: return try_poll(op);
    case YK_OP_READ:
    case YK_OP_WRITE: return try_move(w, op);
    case YK_OP_RECV: return try_recv(w, op, op->flags);
    case YK_OP_SEND: return try_send(w, op, op->flags);
    case YK_OP_RECVMSG:
    case YK_OP_SENDMSG: return try_message(w, op);
    case YK_OP_ACCEPT: return try_accept(w, op);
    case YK_OP_CONNECT: return try_connect(w, op);
    case YK_OP_WAIT_CHILD: return try_wait_child(w, op);
    default: return YK_OFFLOADS;
    }
}

void yk_epoll_work(yk_op *op)
{
    int n;
    switch (op->kind) {
    case YK_OP_OPENAT: n = yk_sys.openat(op->fd, op->path, op->flags | O_CLOEXEC, op->mode); break;
    case YK_OP_FSYNC: n = op->flags & 1 ? fdatasync(op->fd) : yk_sys.fsync(op->fd); break;
    case YK_OP_STATX: n = yk_sys.statx(op->fd, op->path, op->flags, op->mask, op->statx); break;
    default: move_file(op, 0); return;
    }
    op->result = n < 0 ? -errno : n;
}
