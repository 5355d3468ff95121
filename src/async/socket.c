/* socket: sockets that are waited on by operations: those that listen, and those for datagrams.
 *
 * All who wait are in a list, so that closing finds them. The descriptor stays open until the last of them is out, for operations
 * are under way on it. In threads the calls are made here, with poll(2) where they would block. */
#include "async/net.h"
#include "base/list.h"
#include <poll.h>
#include <unistd.h>

struct yk_socket_wait {
    yk_park *park;
    const void *of;   /* of a pause */
    yk_socket_wait *next, **link;
};

int yk_socket_open(yk_socket *s, int family, int type)
{
    yk_loop *loop = yk_net_loop();
    int fd = yk_sys.socket(family, type | SOCK_CLOEXEC | (loop ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0)
        return -errno;
    *s = (yk_socket){.loop = loop, .fd = fd};
    return 0;
}

int yk_socket_enter(yk_socket *s)
{
    if (s->closed)
        return -ESHUTDOWN;
    if (s->loop != yk_net_loop())
        return -EXDEV;
    int err = yk_wait_point();
    if (err < 0)
        return err;
    if (s->closed)
        return -ESHUTDOWN;
    s->busy++;
    return 0;
}

static void let_go(yk_socket *s)
{
    if (s->loop)
        s->loop->io->forget(s->loop->backend, s->fd);
    close(s->fd);
}

bool yk_socket_leave(yk_socket *s)
{
    bool last = --s->busy == 0 && s->closed;
    if (last)
        let_go(s);
    return last;
}

/* ---- Waiting in coroutines ---- */

static void link_in(yk_socket *s, yk_socket_wait *w)
{
    YK_LIST_ENTER(&s->waits, w, next, link);
}

static void link_out(yk_socket_wait *w)
{
    if (w->link)
        YK_LIST_LEAVE(w, next, link);
}

static int64_t operate_in_loop(yk_socket *s, yk_io *io, const char *what)
{
    yk_socket_wait w = {.park = &io->park};
    link_in(s, &w);
    int64_t result = yk_operate_now(io, what, YOKE_FOREVER);
    link_out(&w);
    return result == -ECANCELED && s->closed && !io->park.asked ? -ESHUTDOWN : result;
}

typedef struct pause {
    yk_park park;
    yk_socket_wait w;
} pause_here;

static bool end_pause(yk_park *p)
{
    link_out(&((pause_here *)(void *)p)->w);
    return true;
}

int yk_socket_pause(yk_socket *s, const char *what, const void *of, int64_t deadline)
{
    pause_here p = {.park = {.abort = end_pause, .what = what, .number = s->fd, .object = s}};
    int err = s->closed ? -ESHUTDOWN : yk_cancel_point();
    if (err < 0)
        return err;
    p.w.park = &p.park;
    p.w.of = of;
    link_in(s, &p.w);
    return yk_suspend(&p.park, deadline);
}

void yk_socket_go_on(yk_socket *s, const void *of)
{
    for (yk_socket_wait *w = s->waits; w; w = w->next)
        if (w->of == of) {
            link_out(w);
            yk_resume(w->park, 0);
            return;
        }
}

bool yk_socket_close(yk_socket *s)
{
    s->closed = true;
    while (s->waits) {
        yk_socket_wait *w = s->waits;
        link_out(w);
        if (w->park->abort(w->park))
            yk_resume(w->park, -ESHUTDOWN);
    }
    if (s->busy == 0)
        let_go(s);
    return s->busy == 0;
}

/* ---- In threads ---- */

static int64_t call_now(const yk_op *op)
{
    switch (op->kind) {
    case YK_OP_ACCEPT: return yk_sys.accept4(op->fd, op->address, op->address_len, op->flags | SOCK_CLOEXEC);
    case YK_OP_CONNECT: return yk_sys.connect(op->fd, op->address, (socklen_t)op->len);
    case YK_OP_RECVMSG: return yk_sys.recvmsg(op->fd, op->message, op->flags | MSG_DONTWAIT);
    case YK_OP_SENDMSG: return yk_sys.sendmsg(op->fd, op->message, op->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    default: errno = EINVAL; return -1;
    }
}

static int wait_in_thread(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    do
        n = yk_sys.poll(&p, 1, -1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* connect(2) is called once, and then tells how it went. */
static int connected(int fd)
{
    int error = 0, err = wait_in_thread(fd, POLLOUT);
    if (err == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}) < 0)
        err = -errno;
    return err < 0 ? err : -error;
}

static int64_t operate_in_thread(yk_io *io)
{
    const yk_op *op = &io->op;
    bool in = op->kind == YK_OP_ACCEPT || op->kind == YK_OP_RECVMSG;
    for (;;) {
        int64_t result = call_now(op);
        if (result >= 0)
            return result;
        if (op->kind == YK_OP_CONNECT && (errno == EINPROGRESS || errno == EINTR))
            return connected(op->fd);
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int err = op->kind == YK_OP_CONNECT ? yoke_sleep(YOKE_MS) : wait_in_thread(op->fd, in ? POLLIN : POLLOUT);
        if (err < 0)
            return err;
    }
}

int64_t yk_socket_operate(yk_socket *s, yk_io *io, const char *what)
{
    io->op.fd = s->fd;
    if (s->closed)
        return -ESHUTDOWN;
    if (!s->loop)
        return operate_in_thread(io);
    int err = yk_cancel_point();
    return err < 0 ? err : operate_in_loop(s, io, what);
}
