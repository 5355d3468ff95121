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

int64_t yk_operate_now(yk_io *io, const char *what, int64_t deadline)
{
    yk_loop *loop = yk_loop_here();
    io->op.done = ended;
    if (loop->io->start(loop->backend, &io->op))
        return io->op.result;
    io->park = (yk_park){.abort = stop, .what = what, .number = io->op.fd, .object = io};
    int err = yk_suspend(&io->park, deadline);
    return err < 0 ? err : io->op.result;
}

int64_t yk_operate(yk_io *io, const char *what, int64_t deadline)
{
    int err = yk_wait_point();
    return err < 0 ? err : yk_operate_now(io, what, deadline);
}
