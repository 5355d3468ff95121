/* io: one operation of a backend, waited for by a coroutine. */
#include "async/async.h"

static void ended(yk_op *op)
{
    yk_io *io = (yk_io *)(void *)op;
    yk_resume(&io->park, op->result == -ECANCELED ? -ECANCELED : 0);
}

static bool stop(yk_park *p)
{
    yk_io *io = (yk_io *)(void *)((char *)p - offsetof(yk_io, park));
    yk_loop *loop = p->coroutine->loop;
    return loop->io->cancel(loop->backend, &io->op);
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
    default: return op->work != NULL;
    }
}

int64_t yk_operate(yk_io *io, const char *what, int64_t deadline)
{
    yk_loop *loop = yk_loop_here();
    int err = yk_cancel_point();
    if (err < 0)
        return err;
    io->op.done = ended;
    if (loop->io->start(loop->backend, &io->op))
        return io->op.result;
    io->park = (yk_park){.abort = stop, .what = what, .number = io->op.fd, .object = io,
                         .outside = ends_by_itself(&io->op)};
    err = yk_suspend(&io->park, deadline);
    return err < 0 ? err : io->op.result;
}
