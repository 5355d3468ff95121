/* epoll: flows. What is received goes from the kernel straight to who asks; what is sent goes straight to the kernel, and only
 * what it does not take is kept, until an event says that it takes more.
 *
 * A callback may close its flow or any other. So whoever has called one looks whether the generation of the watch is still that
 * of the flow before he goes on. */
#include "async/epoll.h"
#include "async/flow.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct yk_flow {
    yk_wants wants; /* first */
    yk_backend *b;
    yk_watch *w;
    yk_outgoing out;
    int send_error; /* not said yet */
    bool shut;      /* no more is sent after what is in `out` */
};

int yk_epoll_flow_open(yk_backend *b, int fd, yk_flow **ret)
{
    yk_watch *w = yk_epoll_watch(b, fd);
    if (!w)
        return -errno;
    yk_flow *f = yk_sys.calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    yk_epoll_disarm(b, w); /* whatever had the number before */
    int err = yk_epoll_arm(b, w);
    if (err < 0) {
        free(f);
        return err;
    }
    f->b = b;
    f->w = w;
    w->class = YK_FD_STREAM;
    w->flow = f;
    b->under_way++;
    *ret = f;
    return 0;
}

/* ---- Telling ---- */

/* Calls those that were waiting for what is so now. */
static void tell(yk_watch *w, bool data)
{
    yk_flow *f = w->flow;
    uint32_t generation = w->generation;
    yk_want_call(&f->wants.data, data);
    if (w->generation == generation)
        yk_want_call(&f->wants.room, f->out.len <= YK_LOW_WATER || f->send_error);
    if (w->generation == generation)
        yk_want_call(&f->wants.empty, f->out.len == 0 || f->send_error);
}

static bool is_data_there(yk_flow *f)
{
    char byte;
    if (!f->w->may[YK_IN])
        return false;
    f->w->may[YK_IN] = yk_sys.recv(f->w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
    return f->w->may[YK_IN];
}

/* Those that callbacks add wait for the next poll. */
void yk_epoll_tell(yk_backend *b)
{
    yk_wants *all;
    yk_wants_take(&b->told, &all);
    while (all) {
        yk_flow *f = (yk_flow *)all;
        yk_wants_leave(all);
        tell(f->w, f->wants.data.fn && is_data_there(f));
    }
}

/* ---- Sending ---- */

static void failed_to_send(yk_flow *f, int code)
{
    f->send_error = code;
    yk_outgoing_drop(&f->out);
}

/* As many as the kernel takes; 0 on an error, which is kept. */
static size_t send_some(yk_flow *f, const char *from, size_t n)
{
    size_t sent = 0;
    while (sent < n && f->w->may[YK_OUT]) {
        ssize_t m = yk_sys.send(f->w->fd, from + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (m >= 0)
            sent += (size_t)m;
        else if (errno == EAGAIN)
            f->w->may[YK_OUT] = false;
        else if (errno != EINTR) {
            failed_to_send(f, errno);
            return 0;
        }
    }
    return sent;
}

static void flush(yk_flow *f)
{
    if (f->out.len > 0) {
        size_t sent = send_some(f, f->out.bytes + f->out.begin, f->out.len);
        if (sent > 0)
            yk_outgoing_gone(&f->out, sent);
    }
    if (f->shut && f->out.len == 0)
        shutdown(f->w->fd, SHUT_WR);
}

void yk_epoll_flow_event(yk_backend *b, yk_watch *w, uint32_t events)
{
    yk_flow *f = w->flow;
    bool over = events & (EPOLLHUP | EPOLLERR), data = over || events & (EPOLLIN | EPOLLRDHUP);
    w->hung_up |= over || events & EPOLLRDHUP;
    w->may[YK_IN] |= data;
    if (over || events & EPOLLOUT) {
        w->may[YK_OUT] = true;
        if (f->out.len > 0)
            flush(f);
    }
    tell(w, data);
}

static int take_error(yk_flow *f)
{
    int code = f->send_error;
    f->send_error = 0;
    return -code;
}

ssize_t yk_epoll_flow_send(yk_flow *f, const void *from, size_t n)
{
    size_t sent = 0;
    if (f->send_error)
        return take_error(f);
    if (f->shut)
        return -EPIPE;
    if (f->out.len == 0) {
        sent = send_some(f, from, n);
        if (f->send_error)
            return take_error(f);
        if (sent == n)
            return (ssize_t)n;
    }
    ssize_t kept = yk_outgoing_put(&f->out, 0, (const char *)from + sent, n - sent);
    return kept < 0 ? (sent > 0 ? (ssize_t)sent : kept) : (ssize_t)sent + kept;
}

void yk_epoll_flow_want_room(yk_flow *f, void (*fn)(void *arg), void *arg)
{
    f->wants.room = (yk_want){fn, arg};
    if (f->out.len <= YK_LOW_WATER || f->send_error)
        yk_wants_enter(&f->b->told, &f->wants);
}

void yk_epoll_flow_unwant_room(yk_flow *f)
{
    f->wants.room.fn = NULL;
}

size_t yk_epoll_flow_unsent(const yk_flow *f)
{
    return f->out.len;
}

void yk_epoll_flow_want_empty(yk_flow *f, void (*fn)(void *arg), void *arg)
{
    f->wants.empty = (yk_want){fn, arg};
    if (f->out.len == 0 || f->send_error)
        yk_wants_enter(&f->b->told, &f->wants);
}

/* Whatever could be sent was, at once. */
void yk_epoll_flow_push(yk_flow *f)
{
}

void yk_epoll_flow_shutdown(yk_flow *f)
{
    if (f->shut)
        return;
    f->shut = true;
    if (f->out.len == 0)
        shutdown(f->w->fd, SHUT_WR);
}

/* ---- Receiving ---- */

ssize_t yk_epoll_flow_recv(yk_flow *f, void *to, size_t n)
{
    yk_watch *w = f->w;
    ssize_t got;
    if (!w->may[YK_IN])
        return -EAGAIN;
    do
        got = yk_sys.recv(w->fd, to, n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    /* One that did not fill the room has emptied the socket, unless the end is behind it; that is an event too, but may have been
     * reported already. */
    if (got < 0 ? errno == EAGAIN : (got > 0 && (size_t)got < n && !w->hung_up))
        w->may[YK_IN] = false;
    return got < 0 ? -errno : got;
}

void yk_epoll_flow_want(yk_flow *f, void (*fn)(void *arg), void *arg)
{
    f->wants.data = (yk_want){fn, arg};
    if (f->w->may[YK_IN])
        yk_wants_enter(&f->b->told, &f->wants);
}

void yk_epoll_flow_unwant(yk_flow *f)
{
    f->wants.data.fn = NULL;
}

void yk_epoll_flow_close(yk_flow *f)
{
    yk_wants_leave(&f->wants);
    f->w->flow = NULL;
    yk_epoll_disarm(f->b, f->w);
    close(f->w->fd);
    f->b->under_way--;
    yk_outgoing_drop(&f->out);
    free(f);
}
