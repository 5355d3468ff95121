/* accept: accepting connections.
 *
 * A connection that the process has no descriptor for is turned away by one that is kept for that, since it would else stand in
 * the kernel's queue and wake the loop again and again.
 *
 * A server that does nothing but accept is ready for a crowd: its accept goes on, and what comes while it is at one of them waits
 * for it here. A single yoke_accept() takes one, and leaves the others to whoever else accepts from the socket. */
#include "async/listener.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int64_t yk_accept_pause = YOKE_S;

/* ---- When it fails ---- */

/* The connection was gone before it was accepted, or the network had something to say about it; accept(2) lists them. */
static bool is_of_the_connection(int64_t err)
{
    switch (-err) {
    case ECONNABORTED: case EINTR: case EPROTO: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN: case ENONET: case EHOSTUNREACH:
    case EOPNOTSUPP: case ENETUNREACH: case EPERM: case ETIMEDOUT:
        return true;
    default: return false;
    }
}

static bool is_of_the_process(int64_t err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/* What accept(2) makes of those that wait, with a listener that does not block. */
static int accept_now(yoke_listener *l)
{
    struct sockaddr_storage unused;
    socklen_t len = sizeof unused;
    int flags = fcntl(l->s.fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(l->s.fd, F_SETFL, flags | O_NONBLOCK);
    int fd = yk_sys.accept4(l->s.fd, (struct sockaddr *)&unused, &len, SOCK_CLOEXEC), code = errno;
    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(l->s.fd, F_SETFL, flags);
    return fd < 0 ? -code : fd;
}

static void turn_away(yoke_listener *l)
{
    enum { MOST = 1024 };
    if (l->spare < 0)
        return;
    close(l->spare);
    for (int i = 0; i < MOST; i++) {
        int fd = accept_now(l);
        if (fd < 0)
            break;
        close(fd);
    }
    l->spare = yk_listener_spare();
}

static int pause_accepting(yoke_listener *l, int64_t why)
{
    if (why == -EMFILE || why == -ENFILE)
        turn_away(l);
    int64_t until = yk_after(yk_accept_pause);
    int err = l->s.loop ? yk_socket_pause(&l->s, "descriptors", NULL, until) : yoke_sleep_until(until);
    return err == -ETIMEDOUT ? 0 : err;
}

static int make_conn(yoke_listener *l, int fd, yoke_conn **ret)
{
    yoke_conn *c;
    int err = yk_conn_open(fd, &c);
    if (err < 0) {
        close(fd);
        return err;
    }
    if (l->tls)
        err = yk_conn_set_tls(c, l->tls, NULL);
    if (err < 0) {
        yoke_conn_abort(c);
        return err;
    }
    c->listener = l;
    l->refs++;
    l->open++;
    *ret = c;
    return 0;
}

static int wait_for_place(yoke_listener *l)
{
    int err = 0;
    while (err == 0 && l->most > 0 && l->open >= l->most)
        err = l->s.loop ? yk_socket_pause(&l->s, "connections", l, YOKE_FOREVER) : -EAGAIN;
    return err;
}

/* ---- The next one ---- */

static void turn_one_away(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    yk_sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void keep(yk_crowd *k, int fd)
{
    if (k->begin + k->count == k->size) {
        int *there = yk_sys.realloc(k->there, 2 * k->size * sizeof *there);
        if (!there) {
            turn_one_away(fd);
            return;
        }
        k->there = there;
        k->size *= 2;
    }
    k->there[k->begin + k->count++] = fd;
}

static int take(yk_crowd *k)
{
    int fd = k->there[k->begin++];
    if (--k->count == 0)
        k->begin = 0;
    return fd;
}

/* An error after some have come is asked for again: the kernel goes by the limit of descriptors that there was when it began. */
static void came(yk_op *op)
{
    yk_crowd *k = (yk_crowd *)op;
    k->under_way = op->more;
    if (op->result >= 0)
        keep(k, k->level = (int)op->result);
    else if (op->result != -ECANCELED && !k->some)
        k->error = (int)op->result;
    k->some = true;
    if (op->more && op->result > k->ceiling)
        k->l->s.loop->io->cancel(k->l->s.loop->backend, op);
    yk_socket_go_on(&k->l->s, k);
    if (!op->more && k->end)
        yk_resume(k->end, 0);
}

/* A queue of connections may come at once, and each may need another descriptor to be served with. Numbers are given out from
 * below, so that one says how many are in use. */
static int ceiling_of(const yoke_listener *l)
{
    struct rlimit r;
    bool known = getrlimit(RLIMIT_NOFILE, &r) == 0;
    return known ? (int)(YK_MIN(r.rlim_cur, (rlim_t)INT_MAX) - YK_MIN(r.rlim_cur, 2 * (rlim_t)l->backlog)) : 0;
}

/* True: it has ended. */
static bool begin_accept(yk_crowd *k)
{
    yoke_listener *l = k->l;
    k->ceiling = ceiling_of(l);
    k->op = (yk_op){.kind = YK_OP_ACCEPT, .fd = l->s.fd, .done = came, .many = l->most == 0 && k->level < k->ceiling};
    k->under_way = !l->s.loop->io->start(l->s.loop->backend, &k->op);
    k->some = false;
    if (!k->under_way && k->op.result >= 0)
        k->level = (int)k->op.result;
    return !k->under_way;
}

/* A descriptor, or why not. */
static int next_of_crowd(yk_crowd *k)
{
    yoke_listener *l = k->l;
    while (k->count == 0) {
        int err = k->error;
        k->error = 0;
        if (err < 0)
            return err;
        if (!k->under_way && begin_accept(k))
            return (int)k->op.result;
        err = yk_socket_pause(&l->s, "accept", k, YOKE_FOREVER);
        if (err < 0)
            return err;
    }
    return take(k);
}

static int64_t next_descriptor(yoke_listener *l, yk_crowd *k)
{
    yk_io io = {.op = {.kind = YK_OP_ACCEPT}};
    return k ? next_of_crowd(k) : yk_socket_operate(&l->s, &io, "accept");
}

static int accept_one(yoke_listener *l, yk_crowd *k, yoke_conn **ret)
{
    for (;;) {
        int err = wait_for_place(l);
        if (err < 0)
            return err;
        int64_t fd = next_descriptor(l, k);
        if (fd >= 0) {
            err = make_conn(l, (int)fd, ret);
            if (!is_of_the_process(err))
                return err;
            fd = -ENOMEM;
        }
        if (is_of_the_process(fd))
            err = pause_accepting(l, fd);
        else if (!is_of_the_connection(fd))
            err = (int)fd;
        if (err < 0)
            return err;
    }
}

static void leave(yoke_listener *l)
{
    if (yk_socket_leave(&l->s))
        yk_listener_unref(l);
}

int yoke_accept(yoke_listener *l, yoke_conn **ret)
{
    int err = l && ret ? yk_socket_enter(&l->s) : -EINVAL;
    if (err < 0)
        return err;
    err = accept_one(l, NULL, ret);
    leave(l);
    return err;
}

/* ---- Crowds ---- */

int yk_crowd_begin(yk_crowd *k, yoke_listener *l)
{
    enum { FIRST = 64 };
    *k = (yk_crowd){.l = l, .size = FIRST, .level = l->s.fd};
    k->there = yk_sys.malloc(FIRST * sizeof *k->there);
    if (!k->there)
        return -ENOMEM;
    int err = yk_socket_enter(&l->s);
    k->inside = err == 0;
    return err;
}

int yk_crowd_next(yk_crowd *k, yoke_conn **ret)
{
    int err = k->op.many ? yk_wait_point() : yk_pass(); /* with few descriptors those that have one may be through soon */
    if (err == 0 && k->l->s.closed)
        err = -ESHUTDOWN;
    return err < 0 ? err : accept_one(k->l, k, ret);
}

/* The kernel accepts no more when this returns. */
static void stop(yk_crowd *k)
{
    const yk_loop *loop = k->l->s.loop;
    if (!k->under_way)
        return;
    if (loop->io->cancel(loop->backend, &k->op)) {
        k->under_way = false;
        return;
    }
    yk_park p = {.what = "end of accepting", .number = k->l->s.fd, .object = k->l, .deaf = true};
    k->end = &p;
    yk_suspend(&p, YOKE_FOREVER);
    k->end = NULL;
}

int yk_crowd_last(yk_crowd *k, yoke_conn **ret)
{
    enum { MOST = 4096 }; /* as many as there may be in the kernel's queue, and no more, since others keep coming */
    int fd = -EAGAIN;
    stop(k);
    if (k->count > 0)
        return make_conn(k->l, take(k), ret);
    do
        fd = k->l->s.closed ? -ESHUTDOWN : k->last++ < MOST ? accept_now(k->l) : -EAGAIN;
    while (fd < 0 && is_of_the_connection(fd));
    return fd < 0 ? fd : make_conn(k->l, fd, ret);
}

void yk_crowd_end(yk_crowd *k)
{
    if (k->inside) {
        stop(k);
        while (k->count > 0)
            turn_one_away(take(k));
        leave(k->l);
    }
    free(k->there);
}
