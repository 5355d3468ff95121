/* io: one operation of a backend, waited for by a coroutine; and the end of all that wait on a descriptor.
 *
 * The loop has a list for each descriptor of what is under way on it: the kernel does not end a wait when its descriptor is
 * closed, and io_uring even takes data for it (yoke_close_fd). Operations that end at once, which most do, are never in one. */
#include "async/io.h"
#include "base/list.h"
#include <stdlib.h>
#include <unistd.h>

/* A coroutine that is about to close a descriptor. */
typedef struct yk_closing {
    yk_park park;
    size_t left;
} yk_closing;

static bool has_list(yk_loop *loop, int fd)
{
    if (fd < 0 || (size_t)fd < loop->waits_size)
        return true;
    size_t size = YK_MAX(loop->waits_size, (size_t)64);
    while (size <= (size_t)fd)
        size *= 2;
    yk_io **lists = yk_sys.calloc(size, sizeof(yk_io *));
    if (!lists)
        return false;
    for (size_t i = 0; i < loop->waits_size; i++) {
        lists[i] = loop->waits[i];
        if (lists[i])
            lists[i]->link = &lists[i];
    }
    free(loop->waits);
    loop->waits = lists;
    loop->waits_size = size;
    return true;
}

static void link_in(yk_loop *loop, yk_io *io)
{
    YK_LIST_ENTER(&loop->waits[io->op.fd], io, next, link);
}

static void link_out(yk_io *io)
{
    if (io->link)
        YK_LIST_LEAVE(io, next, link);
}

/* -ECANCELED is for whoever was told to stop; whose descriptor was closed hears of that. A connect that was told to and then
 * fails has been stopped: the listener may have been by the same cancel. */
static bool is_cancelled(const yk_io *io)
{
    if (io->op.result == -ECANCELED)
        return io->park.asked || !io->closing;
    return io->op.kind == YK_OP_CONNECT && io->op.result < 0 && io->park.asked;
}

static void ended(yk_op *op)
{
    yk_io *io = (yk_io *)(void *)op;
    bool cancelled = is_cancelled(io);
    if (op->result == -ECANCELED && !cancelled)
        op->result = -EBADF;
    link_out(io);
    if (io->closing && --io->closing->left == 0)
        yk_resume(&io->closing->park, 0);
    yk_resume(&io->park, cancelled ? -ECANCELED : 0);
}

static bool take_back(yk_io *io)
{
    yk_loop *loop = io->park.coroutine->loop;
    if (!loop->io->cancel(loop->backend, &io->op))
        return false;
    link_out(io);
    return true;
}

static bool stop(yk_park *p)
{
    return take_back((yk_io *)(void *)((char *)p - offsetof(yk_io, park)));
}

/* What will end, whatever others do: files, children, what is done by a thread. */
static bool ends_by_itself(const yk_op *op)
{
    switch (op->kind) {
    case YK_OP_OPENAT:
    case YK_OP_FSYNC:
    case YK_OP_STATX:
    case YK_OP_WAIT_CHILD: return true;
    case YK_OP_READ:
    case YK_OP_WRITE: return op->offset >= 0 || op->work;
    default: return op->helped || op->work;
    }
}

int64_t yk_operate_now(yk_io *io, const char *what, int64_t deadline)
{
    yk_loop *loop = yk_loop_here();
    if (!has_list(loop, io->op.fd))
        return -ENOMEM;
    io->op.done = ended;
    if (loop->io->start(loop->backend, &io->op))
        return io->op.result;
    io->closing = NULL;
    io->link = NULL;
    if (io->op.fd >= 0)
        link_in(loop, io);
    io->park = (yk_park){.abort = stop, .what = what, .number = io->op.fd, .object = io,
                         .outside = ends_by_itself(&io->op)};
    int err = yk_suspend(&io->park, deadline);
    return err < 0 ? err : io->op.result;
}

int64_t yk_operate(yk_io *io, const char *what, int64_t deadline)
{
    int err = yk_wait_point();
    return err < 0 ? err : yk_operate_now(io, what, deadline);
}

int64_t yk_do(yk_op *op, const char *what, int64_t deadline)
{
    if (!yk_coroutine_here())
        return yk_block(op, deadline);
    yk_io io = {.op = *op};
    return yk_operate(&io, what, deadline);
}

/* ---- Closing ---- */

/* Each that waits on fd is told. False: somebody else is at that already. */
static bool tell_waiting(yk_loop *loop, int fd, yk_closing *c)
{
    yk_io *io = loop->waits[fd], *next;
    if (io && io->closing)
        return false;
    for (; io; io = next) {
        next = io->next;
        io->closing = c;
        c->left++;
        if (take_back(io)) {
            c->left--;
            io->op.result = -EBADF;
            yk_resume(&io->park, 0);
        }
    }
    return true;
}

/* False: somebody else closes it. */
static bool end_waits(yk_loop *loop, int fd)
{
    while (fd >= 0 && (size_t)fd < loop->waits_size && loop->waits[fd]) {
        yk_closing c = {.park = {.what = "close", .number = fd, .deaf = true}};
        if (!tell_waiting(loop, fd, &c))
            return false;
        if (c.left > 0)
            yk_suspend(&c.park, YOKE_FOREVER);
    }
    return true;
}

int yoke_close_fd(int fd)
{
    yk_coroutine *co = yk_coroutine_here();
    if (co) {
        if (!end_waits(co->loop, fd))
            return -EBADF;
        co->loop->io->forget(co->loop->backend, fd);
    }
    return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}
