/* uring: operations as entries of the ring, and what follows from their completions.
 *
 * An operation has one entry with the kernel at a time. Most end by its completion (an accept of many by the last one); the
 * exceptions go on with another one: a write that was cut short, what the kernel will not wait for by itself (-EAGAIN: first a
 * poll, then the same again; a connect to a Unix socket without room, which no poll tells of, after a pause), and, on
 * kernels without WAITID, the end of a child (a poll of the pidfd). */
#include "async/uring.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 30 };          /* of bytes in one entry */
enum { TERMINAL_PIECE = 128 };    /* room comes in pieces of 256, and a newline may take two bytes */
enum { DIRECT = 0, POLLING = 1, PAUSING = 2 }; /* yk_op.state: what the entry is */

/* yk_op.own: the most bytes that an entry may write, or NULL. */
static size_t part(const yk_op *op)
{
    return YK_MIN(op->len - op->so_far, op->own ? (size_t)op->own : (size_t)MOST);
}

int yk_uring_way(const yk_op *op)
{
    switch (op->kind) {
    case YK_OP_READ: return op->offset < 0 ? 0 : -1;
    case YK_OP_WRITE: return op->offset < 0 ? 1 : -1;
    case YK_OP_RECV:
    case YK_OP_RECVMSG: return 0;
    case YK_OP_SEND:
    case YK_OP_SENDMSG: return 1;
    default: return -1;
    }
}

/* The first attempt at a pipe is made here, and shows whether it knows RWF_NOWAIT. */
static bool begin_on_pipe(yk_op *op)
{
    struct iovec v = {op->buf, op->len};
    ssize_t n = yk_sys.pwritev2(op->fd, &v, 1, -1, RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP)
        op->own = (void *)(uintptr_t)PIPE_BUF;
    if (n <= 0)
        return false;
    op->so_far = (size_t)n;
    op->result = n;
    return op->so_far == op->len;
}

/* The kernel writes in the thread that hands the entry over, after a poll. That blocks it on terminals and on pipes without
 * RWF_NOWAIT unless it is so little that there is room for it. */
bool yk_uring_begin(yk_op *op)
{
    struct stat s;
    op->own = NULL;
    if (op->kind != YK_OP_WRITE || op->offset >= 0 || op->len == 0 || fstat(op->fd, &s) < 0)
        return false;
    if (S_ISFIFO(s.st_mode))
        return begin_on_pipe(op);
    if (S_ISCHR(s.st_mode) && isatty(op->fd))
        op->own = (void *)(uintptr_t)TERMINAL_PIECE;
    return false;
}

static bool is_writing(const yk_op *op)
{
    return op->kind == YK_OP_WRITE || op->kind == YK_OP_SEND || op->kind == YK_OP_SENDMSG || op->kind == YK_OP_CONNECT;
}

static void prepare_poll(struct io_uring_sqe *s, int fd, unsigned events)
{
    s->opcode = IORING_OP_POLL_ADD;
    s->fd = fd;
    s->poll32_events = events;
}

static void prepare_pause(struct io_uring_sqe *s)
{
    static const int64_t pause[2] = {0, YK_CONNECT_AGAIN}; /* seconds and nanoseconds, on all machines */
    s->opcode = IORING_OP_TIMEOUT;
    s->fd = -1;
    s->addr = (uintptr_t)pause;
    s->len = 1;
}

static void prepare_bytes(const yk_op *op, struct io_uring_sqe *s, int code, int flags)
{
    s->opcode = (uint8_t)code;
    s->addr = (uintptr_t)op->buf + op->so_far;
    s->len = (uint32_t)part(op);
    s->msg_flags = (uint32_t)flags;
}

static void prepare_file(const yk_op *op, struct io_uring_sqe *s, int code)
{
    prepare_bytes(op, s, code, 0);
    s->off = op->offset < 0 ? (uint64_t)-1 : (uint64_t)op->offset + op->so_far;
}

static void prepare_message(const yk_op *op, struct io_uring_sqe *s, int code, int flags)
{
    s->opcode = (uint8_t)code;
    s->addr = (uintptr_t)op->message;
    s->len = 1;
    s->msg_flags = (uint32_t)flags;
}

static void prepare_address(const yk_op *op, struct io_uring_sqe *s, int code)
{
    s->opcode = (uint8_t)code;
    s->addr = (uintptr_t)op->address;
    if (code == IORING_OP_CONNECT) {
        s->off = op->len;
    } else {
        s->addr2 = (uintptr_t)op->address_len;
        s->accept_flags = (uint32_t)op->flags | SOCK_CLOEXEC;
        s->ioprio = op->many ? IORING_ACCEPT_MULTISHOT : 0;
    }
}

static void prepare_path(const yk_op *op, struct io_uring_sqe *s)
{
    s->addr = (uintptr_t)op->path;
    if (op->kind == YK_OP_OPENAT) {
        s->opcode = IORING_OP_OPENAT;
        s->len = op->mode;
        s->open_flags = (uint32_t)op->flags | O_CLOEXEC;
    } else {
        s->opcode = IORING_OP_STATX;
        s->len = op->mask;
        s->off = (uintptr_t)op->statx;
        s->statx_flags = (uint32_t)op->flags;
    }
}

static bool has_waitid(const yk_backend *b, const yk_op *op)
{
    return b->has & YK_URING_HAS_WAITID && op->info;
}

static void prepare_child(const yk_backend *b, const yk_op *op, struct io_uring_sqe *s)
{
    if (!has_waitid(b, op)) {
        prepare_poll(s, op->fd, POLLIN);
        return;
    }
    ((siginfo_t *)op->info)->si_pid = 0;
    s->opcode = YK_URING_OP_WAITID;
    s->len = P_PIDFD;
    s->file_index = WEXITED;
    s->addr2 = (uintptr_t)op->info;
}

void yk_uring_prepare(const yk_backend *b, const yk_op *op, struct io_uring_sqe *s)
{
    int flags = op->flags, all = flags & MSG_PEEK ? 0 : MSG_WAITALL;
    s->fd = op->fd;
    s->user_data = (uintptr_t)op | YK_TAG_OP;
    if (op->state == POLLING) {
        prepare_poll(s, op->fd, is_writing(op) ? POLLOUT : POLLIN);
        return;
    }
    if (op->state == PAUSING) {
        prepare_pause(s);
        return;
    }
    switch (op->kind) {
    case YK_OP_POLL: prepare_poll(s, op->fd, (uint16_t)flags); break;
    case YK_OP_READ: prepare_file(op, s, IORING_OP_READ); break;
    case YK_OP_WRITE: prepare_file(op, s, IORING_OP_WRITE); break;
    case YK_OP_RECV: prepare_bytes(op, s, IORING_OP_RECV, (flags & ~MSG_WAITALL) | (flags & all)); break;
    case YK_OP_SEND: prepare_bytes(op, s, IORING_OP_SEND, flags | MSG_NOSIGNAL | MSG_WAITALL); break;
    case YK_OP_RECVMSG: prepare_message(op, s, IORING_OP_RECVMSG, flags & ~MSG_WAITALL); break;
    case YK_OP_SENDMSG: prepare_message(op, s, IORING_OP_SENDMSG, flags | MSG_NOSIGNAL); break;
    case YK_OP_ACCEPT: prepare_address(op, s, IORING_OP_ACCEPT); break;
    case YK_OP_CONNECT: prepare_address(op, s, IORING_OP_CONNECT); break;
    case YK_OP_OPENAT:
    case YK_OP_STATX: prepare_path(op, s); break;
    case YK_OP_FSYNC:
        s->opcode = IORING_OP_FSYNC;
        s->fsync_flags = flags & 1 ? IORING_FSYNC_DATASYNC : 0;
        break;
    case YK_OP_WAIT_CHILD: prepare_child(b, op, s); break;
    }
}

/* ---- Completions ---- */

static bool end_with(yk_op *op, int64_t result)
{
    op->result = result;
    return true;
}

static bool go_on(yk_op *op, uint32_t state)
{
    op->state = state;
    return false;
}

/* After a poll of the pidfd, or WAITID, which does not wait when the pidfd is non-blocking. */
static bool step_child(const yk_backend *b, yk_op *op, int result)
{
    siginfo_t own = {0}, *info = op->info ? op->info : &own;
    if (result < 0)
        return end_with(op, result);
    if (has_waitid(b, op))
        return info->si_pid != 0 ? end_with(op, 0) : go_on(op, POLLING);
    info->si_pid = 0;
    if (yk_sys.waitid(P_PIDFD, (id_t)op->fd, info, WEXITED | WNOHANG) < 0)
        return end_with(op, -errno);
    return info->si_pid != 0 ? end_with(op, 0) : go_on(op, DIRECT);
}

static bool is_to_wait(const yk_op *op, int result)
{
    bool message = op->kind == YK_OP_RECV || op->kind == YK_OP_SEND || op->kind == YK_OP_RECVMSG || op->kind == YK_OP_SENDMSG;
    return result == -EAGAIN && !(message && op->flags & MSG_DONTWAIT) && op->kind != YK_OP_CONNECT;
}

/* Not by the ring, which would ask a hundred times before it gave up. A blocking socket whose own time limit has passed does not
 * come here. */
static bool connect_again(yk_op *op)
{
    if (yk_sys.connect(op->fd, op->address, (socklen_t)op->len) == 0)
        return end_with(op, 0);
    return errno == EAGAIN ? go_on(op, PAUSING) : end_with(op, -errno);
}

bool yk_uring_step(const yk_backend *b, yk_op *op, int result)
{
    if (op->state == POLLING && result >= 0)
        return go_on(op, DIRECT);
    if (op->state == PAUSING && result == -ETIME)
        return connect_again(op);
    if (op->kind == YK_OP_CONNECT && result == -EAGAIN && fcntl(op->fd, F_GETFL) & O_NONBLOCK)
        return go_on(op, PAUSING);
    if (is_to_wait(op, result))
        return go_on(op, POLLING);
    if (result == -EINTR)
        return go_on(op, DIRECT);
    if (op->kind == YK_OP_WAIT_CHILD)
        return step_child(b, op, result);
    if (op->kind != YK_OP_WRITE && op->kind != YK_OP_SEND)
        return end_with(op, result);
    if (result < 0)
        return end_with(op, yk_op_result(op, -result));
    size_t asked = part(op);
    op->so_far += (size_t)result;
    bool whole = op->so_far == op->len, cut = result == 0 || (op->kind == YK_OP_SEND && (size_t)result < asked);
    return whole || cut ? end_with(op, (int64_t)op->so_far) : go_on(op, DIRECT);
}
