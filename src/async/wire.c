/* wire: bytes between a connection and the kernel, and the waits for them.
 *
 * In a loop they go through a flow of the backend, which calls back when there is something; in a thread the calls are made here,
 * with poll(2) where they would block. All who wait on a connection are in one list, so that closing it finds them. */
#include "async/net.h"
#include "base/list.h"
#include <poll.h>

typedef enum wait_kind { DATA, ROOM, EMPTY, SHAKEN } wait_kind;

struct yk_conn_wait {
    yk_park park;
    yoke_conn *c;
    wait_kind kind;
    yk_conn_wait *next, **link; /* link NULL: it has been woken */
};

/* ---- The list ---- */

static void link_in(yk_conn_wait *w)
{
    YK_LIST_ENTER(&w->c->waits, w, next, link);
}

static void link_out(yk_conn_wait *w)
{
    YK_LIST_LEAVE(w, next, link);
}

static void wake(yoke_conn *c, wait_kind kind)
{
    for (yk_conn_wait *w = c->waits, *next; w; w = next) {
        next = w->next;
        if (w->kind != kind)
            continue;
        link_out(w);
        yk_resume(&w->park, 0);
    }
}

void yk_wire_wake_all(yoke_conn *c, int code)
{
    while (c->waits) {
        yk_conn_wait *w = c->waits;
        link_out(w);
        yk_resume(&w->park, code);
    }
}

static bool give_up(yk_park *p)
{
    yk_conn_wait *w = (yk_conn_wait *)(void *)p;
    link_out(w);
    if (w->kind == DATA)
        w->c->loop->io->flow_unwant(w->c->flow);
    return true; /* what is wanted of room goes on to be wanted: there may be bytes of TLS to send */
}

static int wait_for(yoke_conn *c, wait_kind kind, const char *what)
{
    yk_conn_wait w;
    int err = yk_cancel_point();
    if (err < 0) {
        if (kind == DATA)
            c->loop->io->flow_unwant(c->flow);
        return err;
    }
    w.park.abort = give_up; /* one by one: most of it is yk_suspend()'s to set */
    w.park.what = what;
    w.park.cause = NULL;
    w.park.number = c->fd;
    w.park.object = c;
    w.park.since = 0;
    w.park.deaf = false;
    w.park.outside = false;
    w.park.shared = false;
    w.c = c;
    w.kind = kind;
    link_in(&w);
    return yk_suspend(&w.park, YOKE_FOREVER);
}

/* ---- What the flow calls ---- */

static void data_there(void *arg)
{
    wake(arg, DATA);
}

static void room_there(void *arg)
{
    yoke_conn *c = arg;
    c->room_wanted = false;
    if (c->tls)
        yk_conn_tls_push(c);
    if (c->ending && yk_conn_tls_unsent(c) == 0) {
        c->ending = false;
        c->loop->io->flow_shutdown(c->flow);
    }
    wake(c, ROOM);
}

static void empty_there(void *arg)
{
    wake(arg, EMPTY);
}

void yk_wire_want_room(yoke_conn *c)
{
    if (c->room_wanted)
        return;
    c->room_wanted = true;
    c->loop->io->flow_want_room(c->flow, room_there, c);
}

/* ---- At once ---- */

static ssize_t recv_in_thread(yoke_conn *c, void *to, size_t n)
{
    ssize_t got;
    do
        got = yk_sys.recv(c->fd, to, n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t send_in_thread(yoke_conn *c, const void *from, size_t n)
{
    ssize_t sent;
    do
        sent = yk_sys.send(c->fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

/* An error stays: the kernel says it once, and after that something that looks like a proper end. */
ssize_t yk_wire_recv(yoke_conn *c, void *to, size_t n)
{
    if (YK_UNLIKELY(c->failed) && (c->closed || c->deaf < 0))
        return c->closed ? -ESHUTDOWN : c->deaf;
    ssize_t got = c->flow ? c->loop->io->flow_recv(c->flow, to, n) : recv_in_thread(c, to, n);
    if (YK_UNLIKELY(got < 0) && got != -EAGAIN) {
        c->deaf = (int)got;
        c->failed = true;
    }
    return got;
}

ssize_t yk_wire_send(yoke_conn *c, const void *from, size_t n)
{
    if (YK_UNLIKELY(c->failed) && (c->closed || c->broken < 0))
        return c->closed ? -ESHUTDOWN : c->broken;
    ssize_t sent = c->flow ? c->loop->io->flow_send(c->flow, from, n) : send_in_thread(c, from, n);
    if (YK_UNLIKELY(sent < 0) && sent != -EAGAIN && sent != -ENOMEM) {
        c->broken = (int)sent;
        c->failed = true;
    }
    return sent;
}

size_t yk_wire_unsent(const yoke_conn *c)
{
    return c->flow ? c->loop->io->flow_unsent(c->flow) : 0;
}

/* ---- Waiting ---- */

static int poll_in_thread(const yoke_conn *c, short events)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    while (yk_sys.poll(&p, 1, -1) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int yk_wire_wait_data(yoke_conn *c)
{
    if (!c->loop)
        return poll_in_thread(c, POLLIN);
    c->loop->io->flow_want(c->flow, data_there, c);
    return wait_for(c, DATA, "receive");
}

int yk_wire_wait_room(yoke_conn *c)
{
    if (!c->loop)
        return poll_in_thread(c, POLLOUT);
    yk_wire_want_room(c);
    return wait_for(c, ROOM, "send");
}

int yk_wire_wait_empty(yoke_conn *c)
{
    if (!c->loop)
        return 0;
    int err = yk_cancel_point();
    if (err < 0) { /* who is told to stop does not wait for the kernel, but asks it once */
        c->loop->io->flow_push(c->flow);
        return yk_wire_unsent(c) > 0 ? err : 0;
    }
    c->loop->io->flow_want_empty(c->flow, empty_there, c);
    return wait_for(c, EMPTY, "flush");
}

int yk_wire_wait_shaken(yoke_conn *c)
{
    return wait_for(c, SHAKEN, "handshake");
}

void yk_wire_shaken(yoke_conn *c)
{
    wake(c, SHAKEN);
}
