/* uring: flows. One multishot receive for each, into buffers that all share; what is sent goes out with the next poll(), one
 * entry for all that was given until then. So a server that answers small requests makes one call of the kernel for as many as
 * have come.
 *
 * Receiving. A flow that has CAP buffers unread, or that found none left, turns `direct`: a poll says when there is something,
 * and flow_recv() asks the socket itself, into the caller's memory; that suits who sends much, too. It is multishot again once
 * so little comes at a time that a buffer would hold it.
 *
 * Sending. The first attempt is hasty: it happens within the call that hands it over (MSG_DONTWAIT), and says something only if
 * it has failed, or if somebody waits for it. Only after that a send is patient: the kernel waits and completes it. While the
 * kernel may still look at what is in `out`, more goes into `more`.
 *
 * The kernel refers to flows by address, so one that is closed lives until nothing of it is with the kernel. */
#include "async/uring.h"
#include "base/list.h"
#include <stdlib.h>
#include <unistd.h>

enum { CAP = 16, SEND_AT_ONCE = 8192 };

struct yk_flow {
    yk_wants wants; /* first */
    yk_backend *b;
    int fd;
    bool armed, polling, sending, hasty;  /* what is with the kernel */
    bool stopping;                        /* so is a request to end that */
    bool capped;                          /* the receive was to end for want of readers */
    bool direct, may;                     /* may: the socket has not said EAGAIN since it was last ready */
    bool small;                           /* what came last would have fit a buffer */
    bool at_end, shut, patient, closing;
    bool answered;                        /* the hasty send has said something, `answer` */
    int answer, recv_error, send_error;
    uint16_t first, last, count;          /* buffers that are not read yet */
    uint16_t pins;                        /* callbacks being called */
    unsigned entry;                       /* number of the hasty send's */
    yk_outgoing out, more;
    yk_flow *next_dirty, **dirty_link;    /* link NULL: not dirty */
    yk_flow *next_hasty;
};

static void set_dirty(yk_flow *f)
{
    if (!f->dirty_link)
        YK_LIST_ENTER(&f->b->dirty, f, next_dirty, dirty_link);
}

static void set_clean(yk_flow *f)
{
    if (f->dirty_link)
        YK_LIST_LEAVE(f, next_dirty, dirty_link);
}

static bool is_with_kernel(const yk_flow *f)
{
    return f->armed || f->polling || f->sending || f->hasty || f->stopping;
}

/* When it is closed and nobody refers to it any more. */
static void release(yk_flow *f)
{
    if (!f->closing || f->pins > 0 || is_with_kernel(f))
        return;
    set_clean(f);
    yk_wants_leave(&f->wants);
    close(f->fd);
    yk_outgoing_drop(&f->out);
    yk_outgoing_drop(&f->more);
    f->b->under_way--;
    f->b->closing--;
    free(f);
}

int yk_uring_flow_open(yk_backend *b, int fd, yk_flow **ret)
{
    if (yk_uring_is_parents(b))
        return -ECHILD;
    yk_flow *f = yk_sys.calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->b = b;
    f->fd = fd;
    b->under_way++;
    *ret = f;
    return 0;
}

/* ---- Telling ---- */

static size_t unsent(const yk_flow *f)
{
    return f->out.len + f->more.len;
}

static bool is_data_there(const yk_flow *f)
{
    return f->count > 0 || f->at_end || f->recv_error;
}

static void tell(yk_flow *f, bool data)
{
    f->pins++;
    yk_want_call(&f->wants.data, data);
    yk_want_call(&f->wants.room, unsent(f) <= YK_LOW_WATER || f->send_error);
    yk_want_call(&f->wants.empty, unsent(f) == 0 || f->send_error);
    f->pins--;
    release(f);
}

/* Those that callbacks add wait for the next poll. */
void yk_uring_tell(yk_backend *b)
{
    yk_wants *all;
    yk_wants_take(&b->told, &all);
    while (all) {
        yk_flow *f = (yk_flow *)all;
        yk_wants_leave(all); /* NOLINT(clang-analyzer-unix.Malloc): what is released has left the list */
        tell(f, is_data_there(f));
    }
}

/* ---- Entries ---- */

static uint64_t name_of(const yk_flow *f, int tag)
{
    return (uintptr_t)f | (unsigned)tag;
}

static void prepare_receive(yk_flow *f, struct io_uring_sqe *s)
{
    s->fd = f->fd;
    if (f->direct) {
        s->opcode = IORING_OP_POLL_ADD;
        s->poll32_events = POLLIN | POLLRDHUP;
        s->user_data = name_of(f, YK_TAG_POLL);
        f->polling = true;
    } else {
        s->opcode = IORING_OP_RECV;
        s->ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
        s->flags = IOSQE_BUFFER_SELECT;
        s->user_data = name_of(f, YK_TAG_RECV);
        f->armed = true;
    }
}

static void prepare_send(yk_flow *f, struct io_uring_sqe *s)
{
    s->opcode = IORING_OP_SEND;
    s->fd = f->fd;
    s->addr = (uintptr_t)f->out.bytes + f->out.begin;
    s->len = (uint32_t)f->out.len;
    s->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
    s->user_data = name_of(f, YK_TAG_SEND);
    if (f->patient) {
        f->sending = true;
        return;
    }
    s->msg_flags |= MSG_DONTWAIT;
    if (!f->wants.room.fn && !f->wants.empty.fn && !f->shut)
        s->flags = IOSQE_CQE_SKIP_SUCCESS;
    f->hasty = true;
    f->answered = false;
    f->entry = f->b->ring.tail - 1;
    f->next_hasty = f->b->hasty;
    f->b->hasty = f;
}

/* All that the kernel has of it, or the multishot receive alone. */
static void prepare_stop(yk_flow *f, struct io_uring_sqe *s)
{
    s->opcode = IORING_OP_ASYNC_CANCEL;
    s->user_data = name_of(f, YK_TAG_STOP);
    if (f->closing) {
        s->fd = f->fd;
        s->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    } else {
        s->fd = -1;
        s->addr = name_of(f, YK_TAG_RECV);
        f->capped = true;
    }
    f->stopping = true;
}

typedef void prepare_fn(yk_flow *f, struct io_uring_sqe *s);

/* What it needs next; NULL: nothing. */
static prepare_fn *next_need(const yk_flow *f)
{
    if (f->closing)
        return (f->armed || f->polling || f->sending) && !f->stopping ? prepare_stop : NULL;
    if (f->armed && f->count >= CAP && !f->stopping)
        return prepare_stop;
    if (f->wants.data.fn && !f->armed && !f->polling && !is_data_there(f))
        return prepare_receive;
    return f->out.len > 0 && !f->sending && !f->hasty ? prepare_send : NULL;
}

bool yk_uring_flows_prepare(yk_backend *b)
{
    for (yk_flow *f; (f = b->dirty);) {
        for (prepare_fn *need; (need = next_need(f));) {
            struct io_uring_sqe *s = yk_ring_entry(&b->ring);
            if (!s)
                return false;
            need(f, s);
        }
        set_clean(f);
    }
    return true;
}

/* ---- Sending ---- */

static void failed_to_send(yk_flow *f, int code)
{
    f->send_error = code;
    yk_outgoing_drop(&f->out);
    yk_outgoing_drop(&f->more);
}

/* The kernel is done with `out`, of which it took so much (or an error). */
static void sent(yk_flow *f, int result)
{
    if (result >= 0)
        yk_outgoing_gone(&f->out, (size_t)result);
    else if (result != -EAGAIN && result != -EINTR)
        failed_to_send(f, -result);
    f->patient = f->out.len > 0;
    if (f->out.len == 0 && f->more.len > 0) {
        yk_outgoing empty = f->out;
        f->out = f->more;
        f->more = empty;
    }
    if (f->out.len > 0)
        set_dirty(f);
    else if (f->shut && !f->closing)
        shutdown(f->fd, SHUT_WR);
    tell(f, false);
}

static bool is_settled(const yk_flow *f, bool all_here)
{
    return f->answered || (all_here && (int)(f->b->ring.given - f->entry) > 0);
}

void yk_uring_flows_settle(yk_backend *b, unsigned begin, unsigned end)
{
    bool all_here = !(__atomic_load_n(b->ring.sq_flags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW);
    for (unsigned at = begin; at != end; at++) {
        struct io_uring_cqe *c = &b->ring.cqes[at & b->ring.cq_mask];
        if ((c->user_data & YK_TAG_BITS) != YK_TAG_SEND)
            continue;
        yk_flow *f = (yk_flow *)(uintptr_t)(c->user_data & ~(uint64_t)YK_TAG_BITS);
        if (!f->hasty)
            continue;
        f->answered = true;
        f->answer = c->res;
        c->user_data = YK_TAG_NOBODY; /* the flow may be gone when its turn comes */
    }
    yk_flow *all = b->hasty;
    b->hasty = NULL;
    for (yk_flow *f; (f = all);) {
        all = f->next_hasty;
        if (!is_settled(f, all_here)) {
            f->next_hasty = b->hasty;
            b->hasty = f;
            continue;
        }
        f->hasty = false;
        sent(f, f->answered ? f->answer : (int)f->out.len);
    }
}

static int take_error(int *from)
{
    int code = *from;
    *from = 0;
    return -code;
}

/* Much goes to the kernel from where it is. How many bytes it took; an error is kept. */
static size_t send_at_once(yk_flow *f, const void *from, size_t n)
{
    ssize_t m = yk_sys.send(f->fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (m < 0 && errno != EAGAIN && errno != EINTR)
        f->send_error = errno;
    f->patient = m < (ssize_t)n;
    return m > 0 ? (size_t)m : 0;
}

ssize_t yk_uring_flow_send(yk_flow *f, const void *from, size_t n)
{
    bool frozen = f->sending || f->hasty;
    size_t gone = 0;
    if (f->send_error)
        return take_error(&f->send_error);
    if (f->shut)
        return -EPIPE;
    if (n >= SEND_AT_ONCE && !frozen && f->out.len == 0) {
        gone = send_at_once(f, from, n);
        if (f->send_error)
            return take_error(&f->send_error);
        if (gone == n)
            return (ssize_t)n;
    }
    yk_outgoing *to = frozen ? &f->more : &f->out;
    ssize_t kept = yk_outgoing_put(to, frozen ? f->out.len : 0, (const char *)from + gone, n - gone);
    if (!frozen)
        set_dirty(f);
    return kept < 0 ? (gone > 0 ? (ssize_t)gone : kept) : (ssize_t)gone + kept;
}

void yk_uring_flow_want_room(yk_flow *f, void (*fn)(void *arg), void *arg)
{
    f->wants.room = (yk_want){fn, arg};
    if (unsent(f) <= YK_LOW_WATER || f->send_error)
        yk_wants_enter(&f->b->told, &f->wants);
}

void yk_uring_flow_unwant_room(yk_flow *f)
{
    f->wants.room.fn = NULL;
}

size_t yk_uring_flow_unsent(const yk_flow *f)
{
    return unsent(f);
}

void yk_uring_flow_want_empty(yk_flow *f, void (*fn)(void *arg), void *arg)
{
    f->wants.empty = (yk_want){fn, arg};
    if (unsent(f) == 0 || f->send_error)
        yk_wants_enter(&f->b->told, &f->wants);
}

void yk_uring_flow_push(yk_flow *f)
{
    if (f->out.len > 0 && !f->sending && !f->hasty && !f->send_error)
        yk_outgoing_gone(&f->out, send_at_once(f, f->out.bytes + f->out.begin, f->out.len));
}

void yk_uring_flow_shutdown(yk_flow *f)
{
    if (f->shut)
        return;
    f->shut = true;
    if (unsent(f) == 0)
        shutdown(f->fd, SHUT_WR);
}

/* ---- Receiving ---- */

static void keep(yk_flow *f, uint16_t id)
{
    if (f->count++ == 0)
        f->first = id;
    else
        f->b->buffers.received[f->last].next = id;
    f->last = id;
}

/* The first buffer has been read. */
static void give_first(yk_flow *f)
{
    uint16_t id = f->first;
    f->first = f->b->buffers.received[id].next;
    f->count--;
    yk_buffers_give(&f->b->buffers, id);
}

static ssize_t copy_out(yk_flow *f, char *to, size_t n)
{
    size_t got = 0;
    while (f->count > 0 && got < n) {
        yk_received *r = &f->b->buffers.received[f->first];
        size_t part = YK_MIN(n - got, (size_t)(r->end - r->begin));
        memcpy(to + got, yk_buffer(&f->b->buffers, f->first) + r->begin, part);
        got += part;
        r->begin += (uint32_t)part;
        if (r->begin == r->end)
            give_first(f);
    }
    return (ssize_t)got;
}

static ssize_t ask_socket(yk_flow *f, void *to, size_t n)
{
    ssize_t got;
    do
        got = yk_sys.recv(f->fd, to, n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    f->may = got == (ssize_t)n || (got < 0 && errno != EAGAIN);
    if (got > 0)
        f->small = got <= YK_BUFFER;
    return got < 0 ? -errno : got;
}

ssize_t yk_uring_flow_recv(yk_flow *f, void *to, size_t n)
{
    if (yk_uring_is_parents(f->b))
        return -ECHILD;
    if (f->count > 0)
        return copy_out(f, to, n);
    if (f->recv_error) {
        f->at_end = true;
        return take_error(&f->recv_error);
    }
    if (f->at_end)
        return 0;
    return f->direct && f->may && !f->armed ? ask_socket(f, to, n) : -EAGAIN;
}

void yk_uring_flow_want(yk_flow *f, void (*fn)(void *arg), void *arg)
{
    f->wants.data = (yk_want){fn, arg};
    if (is_data_there(f)) {
        yk_wants_enter(&f->b->told, &f->wants);
    } else if (!f->armed && !f->polling) {
        if (f->direct && f->small && !f->may && f->b->buffers.offered > 0)
            f->direct = false;
        set_dirty(f);
    }
}

void yk_uring_flow_unwant(yk_flow *f)
{
    f->wants.data.fn = NULL;
}

/* From now on the socket is asked itself. */
static void turn_direct(yk_flow *f)
{
    f->direct = f->may = true;
    f->small = false;
}

static void receive_ended(yk_flow *f, int result)
{
    f->armed = false;
    if (result == 0)
        f->at_end = true;
    else if (result == -ENOBUFS ? !yk_buffers_more(&f->b->buffers) : f->capped)
        turn_direct(f);
    else if (result < 0 && result != -ENOBUFS && result != -EINTR && result != -ECANCELED)
        f->recv_error = -result;
    f->capped = false;
}

static void received(yk_flow *f, int result, unsigned flags)
{
    if (flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        yk_buffers_filled(&f->b->buffers, id, (unsigned)YK_MAX(result, 0));
        if (result > 0 && !f->closing)
            keep(f, id);
        else
            yk_buffers_give(&f->b->buffers, id);
    }
    if (!(flags & IORING_CQE_F_MORE))
        receive_ended(f, result);
    bool wanted = f->wants.data.fn;
    if (f->armed ? f->count >= CAP && !f->stopping : wanted && !is_data_there(f))
        set_dirty(f);
    tell(f, is_data_there(f));
}

void yk_uring_flow_completed(yk_flow *f, int tag, int result, unsigned flags)
{
    switch (tag) {
    case YK_TAG_RECV: received(f, result, flags); break;
    case YK_TAG_STOP:
        f->stopping = false; /* and asked for again, if it is still there: the kernel may have been moving it */
        set_dirty(f);
        release(f);
        break;
    case YK_TAG_SEND:
        f->sending = false;
        sent(f, result);
        break;
    default: /* a poll */
        f->polling = false;
        f->may = true;
        tell(f, true);
    }
}

void yk_uring_flow_close(yk_flow *f)
{
    f->wants.data.fn = f->wants.room.fn = f->wants.empty.fn = NULL;
    yk_wants_leave(&f->wants);
    f->closing = true;
    f->b->closing++;
    if (yk_uring_is_parents(f->b)) /* the buffers are not here, and nothing of it is with the kernel */
        f->count = f->armed = f->polling = f->sending = f->hasty = f->stopping = false;
    while (f->count > 0)
        give_first(f);
    if (is_with_kernel(f))
        set_dirty(f);
    release(f);
}
