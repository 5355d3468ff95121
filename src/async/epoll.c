/* epoll: the backend that every Linux has.
 *
 * An operation is tried at once, and waits only after EAGAIN; each event lets those that wait in its direction try again, in
 * their order. Each descriptor is registered once, edge-triggered, when something first waits for it. What can be waited for by
 * nothing (files) and still would block is done by other threads, offload.c.
 *
 * Programs close descriptors without forget(), and the kernel then takes the registration away silently. So the first to wait on
 * a descriptor asks the kernel to renew it, which costs a system call a wait and in return loses no event whatever happened
 * before. Flows are spared this: nobody else closes theirs. */
#include "async/epoll.h"
#include "async/offload.h"
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 256 };
static const uint64_t waker_id = UINT64_MAX;
static const uint32_t edges = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;

/* Where an operation is: yk_op.generation, which has no other use here. */
enum { WAITING = 1, RETRIED, OFFLOADED, OVER };

/* Where the kernel has no epoll_pwait2. */
static _Atomic bool coarse;

/* ---- Descriptors ---- */

static bool grow(yk_backend *b, size_t n)
{
    size_t size = YK_MAX(b->watches_size, (size_t)64);
    while (size < n)
        size *= 2;
    yk_watch **watches = yk_sys.realloc(b->watches, size * sizeof(yk_watch *));
    if (!watches)
        return false;
    memset(watches + b->watches_size, 0, (size - b->watches_size) * sizeof(yk_watch *));
    b->watches = watches;
    b->watches_size = size;
    return true;
}

static void clean(yk_watch *w)
{
    w->generation++;
    w->class = YK_FD_NEW;
    w->registered = w->hung_up = w->no_nowait = false;
    w->may[YK_IN] = w->may[YK_OUT] = true;
}

yk_watch *yk_epoll_watch(yk_backend *b, int fd)
{
    errno = EBADF;
    if (fd < 0)
        return NULL;
    errno = ENOMEM;
    if ((size_t)fd >= b->watches_size && !grow(b, (size_t)fd + 1))
        return NULL;
    if (!b->watches[fd]) {
        yk_watch *w = yk_sys.calloc(1, sizeof *w);
        if (!w)
            return NULL;
        w->fd = fd;
        clean(w);
        b->watches[fd] = w;
    }
    return b->watches[fd];
}

/* In a child made by fork() the set is still the parent's, and what is done to it there happens here. */
static bool is_parents(const yk_backend *b)
{
    return b->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
}

static int set(yk_backend *b, yk_watch *w, int what)
{
    if (is_parents(b))
        return -ECHILD;
    struct epoll_event e = {.events = edges, .data.u64 = (uint64_t)w->generation << 32 | (unsigned)w->fd};
    return yk_sys.epoll_ctl(b->ep, what, w->fd, &e) < 0 ? -errno : 0;
}

int yk_epoll_arm(yk_backend *b, yk_watch *w)
{
    int err = w->registered ? set(b, w, EPOLL_CTL_MOD) : -ENOENT;
    if (err == -ENOENT) { /* new, or another than it was */
        if (w->registered) {
            yk_fd_class class = w->class; /* the attempt just made said so */
            clean(w);
            w->class = class;
        }
        err = set(b, w, EPOLL_CTL_ADD);
        if (err == -EEXIST)
            err = set(b, w, EPOLL_CTL_MOD);
    }
    w->registered = err == 0;
    return err;
}

void yk_epoll_disarm(yk_backend *b, yk_watch *w)
{
    if (w->registered)
        set(b, w, EPOLL_CTL_DEL); /* not there any more: as well */
    clean(w);
}

static void forget(yk_backend *b, int fd)
{
    if (fd >= 0 && (size_t)fd < b->watches_size && b->watches[fd])
        yk_epoll_disarm(b, b->watches[fd]);
}

/* ---- Operations ---- */

static int queue_of(const yk_op *op)
{
    switch (op->kind) {
    case YK_OP_POLL: return YK_POLLS;
    case YK_OP_WRITE:
    case YK_OP_SEND:
    case YK_OP_SENDMSG:
    case YK_OP_CONNECT: return YK_OUT;
    default: return YK_IN;
    }
}

static bool nobody_waits(const yk_watch *w)
{
    return !w->waiting[YK_IN].head && !w->waiting[YK_OUT].head && !w->waiting[YK_POLLS].head;
}

static void set_over(yk_backend *b, yk_op *op)
{
    op->generation = OVER;
    yk_ops_push(&b->ended, op);
}

/* True: it has ended. */
static bool offload(yk_backend *b, yk_op *op)
{
    op->generation = OFFLOADED;
    op->own = &b->under_way;
    b->under_way++;
    if (!yk_offload(op, yk_epoll_work))
        return false;
    b->under_way--;
    return true;
}

static bool wait_for_event(yk_backend *b, yk_watch *w, yk_op *op)
{
    int err = 0;
    if (nobody_waits(w) && !w->flow)
        err = yk_epoll_arm(b, w);
    if (err == -EPERM && (op->kind == YK_OP_READ || op->kind == YK_OP_WRITE)) {
        w->class = YK_FD_FILE;
        return offload(b, op);
    }
    if (err < 0) {
        op->result = yk_op_result(op, -err);
        return true;
    }
    op->generation = WAITING;
    yk_ops_push(&w->waiting[queue_of(op)], op);
    b->under_way++;
    return false;
}

static bool start(yk_backend *b, yk_op *op)
{
    op->so_far = 0;
    op->state = op->generation = 0;
    if (is_parents(b)) {
        op->result = -ECHILD;
        return true;
    }
    if (op->kind == YK_OP_OPENAT || op->kind == YK_OP_FSYNC || op->kind == YK_OP_STATX)
        return offload(b, op);
    yk_watch *w = yk_epoll_watch(b, op->fd);
    if (!w) {
        op->result = -errno;
        return true;
    }
    int queue = queue_of(op);
    yk_attempt a = YK_WAITS;
    if ((op->kind == YK_OP_READ || op->kind == YK_OP_WRITE) && nobody_waits(w) && !w->flow)
        w->class = YK_FD_NEW; /* it may be another than last time, and a pipe is not to be read like a file */
    if (queue == YK_POLLS || (!w->waiting[queue].head && (w->may[queue] || !w->registered || w->class == YK_FD_NEW)))
        a = yk_epoll_try(w, op);
    if (a == YK_OFFLOADS)
        return offload(b, op);
    if (a == YK_RETRIES) {
        op->generation = RETRIED;
        yk_ops_push(&b->again, op);
        b->under_way++;
        return false;
    }
    return a == YK_ENDED || wait_for_event(b, w, op);
}

static bool cancel(yk_backend *b, yk_op *op)
{
    if (op->generation == OFFLOADED) {
        if (!yk_offload_cancel(op))
            return false;
        b->under_way--;
        return true;
    }
    if (op->generation == OVER)
        return false;
    yk_ops_remove(op->generation == RETRIED ? &b->again : &b->watches[op->fd]->waiting[queue_of(op)], op);
    if (op->so_far > 0) {
        op->result = (int64_t)op->so_far;
        set_over(b, op);
        return false;
    }
    b->under_way--;
    return true;
}

/* ---- What has happened ---- */

/* One that was tried and shall not wait where it did. */
static void leave(yk_backend *b, yk_ops *from, yk_op *op, yk_attempt a)
{
    yk_ops_remove(from, op);
    if (a == YK_OFFLOADS) {
        b->under_way--;
        if (!offload(b, op))
            return;
        b->under_way++;
    }
    set_over(b, op);
}

static void try_again(yk_backend *b, yk_watch *w, int queue)
{
    for (yk_op *op; (op = w->waiting[queue].head);) {
        yk_attempt a = yk_epoll_try(w, op);
        if (a == YK_WAITS)
            return;
        leave(b, &w->waiting[queue], op, a);
    }
}

static void event_on(yk_backend *b, yk_watch *w, uint32_t events)
{
    bool over = events & (EPOLLHUP | EPOLLERR);
    w->hung_up |= over || events & EPOLLRDHUP;
    if (events & (EPOLLIN | EPOLLPRI) || w->hung_up) {
        w->may[YK_IN] = true;
        try_again(b, w, YK_IN);
    }
    if (events & EPOLLOUT || over) {
        w->may[YK_OUT] = true;
        try_again(b, w, YK_OUT);
    }
    for (yk_op *op = w->waiting[YK_POLLS].head, *next; op; op = next) {
        next = op->next;
        yk_attempt a = yk_epoll_try(w, op);
        if (a != YK_WAITS)
            leave(b, &w->waiting[YK_POLLS], op, a);
    }
}

static void connect_again(yk_backend *b)
{
    for (yk_op *op = b->again.head, *next; op; op = next) {
        next = op->next;
        yk_watch *w = b->watches[op->fd];
        yk_attempt a = yk_epoll_try(w, op);
        if (a == YK_RETRIES)
            continue;
        yk_ops_remove(&b->again, op);
        b->under_way--;
        if (a == YK_ENDED || wait_for_event(b, w, op)) {
            b->under_way++;
            set_over(b, op);
        }
    }
}

static void dispatch(yk_backend *b, const struct epoll_event *e)
{
    if (e->data.u64 == waker_id) {
        /* Edge-triggered: nobody reads it. Whoever handed something over before is seen after this. */
        atomic_exchange_explicit(&b->woken, false, memory_order_acq_rel);
        return;
    }
    yk_watch *w = b->watches[(uint32_t)e->data.u64];
    if (w->generation != e->data.u64 >> 32)
        return;
    if (w->flow)
        yk_epoll_flow_event(b, w, e->events);
    else
        event_on(b, w, e->events);
}

/* ---- Waiting ---- */

static int wait_coarsely(yk_backend *b, struct epoll_event *events, int64_t ns)
{
    int64_t ms = ns < 0 ? -1 : ns / YOKE_MS + (ns % YOKE_MS > 0);
    return yk_sys.epoll_wait(b->ep, events, EVENTS, (int)YK_MIN(ms, (int64_t)INT_MAX));
}

/* ns: -1 for ever */
static int wait_for(yk_backend *b, struct epoll_event *events, int64_t ns)
{
    if (ns <= 0 || atomic_load_explicit(&coarse, memory_order_relaxed))
        return wait_coarsely(b, events, ns);
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    int n = yk_sys.epoll_pwait2(b->ep, events, EVENTS, &t, NULL);
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
        atomic_store_explicit(&coarse, true, memory_order_relaxed);
        return wait_coarsely(b, events, ns);
    }
    return n;
}

static int64_t time_until(const yk_backend *b, int64_t deadline)
{
    if (deadline == 0 || b->ended.head || b->told)
        return 0;
    if (deadline == YOKE_FOREVER)
        return b->again.head ? YK_CONNECT_AGAIN : -1;
    int64_t left = deadline - yoke_now();
    left = YK_MAX(left, (int64_t)0);
    return b->again.head ? YK_MIN(left, YK_CONNECT_AGAIN) : left;
}

static int poll_events(yk_backend *b, int64_t deadline)
{
    struct epoll_event events[EVENTS];
    if (is_parents(b))
        return -ECHILD;
    int n = wait_for(b, events, time_until(b, deadline));
    if (n < 0 && errno != EINTR)
        return -errno;
    for (int i = 0; i < n; i++)
        dispatch(b, &events[i]);
    if (b->again.head)
        connect_again(b);
    if (b->told)
        yk_epoll_tell(b);
    for (yk_op *op; (op = yk_ops_pop(&b->ended));) {
        b->under_way--;
        op->done(op);
    }
    return 0;
}

static void wake(yk_backend *b)
{
    int code = errno; /* of whom a signal handler interrupted */
    if (!is_parents(b) && !atomic_exchange_explicit(&b->woken, true, memory_order_acq_rel))
        while (yk_sys.write(b->waker, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno == EINTR)
            continue;
    errno = code;
}

static size_t under_way(const yk_backend *b)
{
    return b->under_way;
}

/* ---- Opening and closing ---- */

static void close_backend(yk_backend *b)
{
    close(b->ep);
    close(b->waker);
    for (size_t i = 0; i < b->watches_size; i++)
        free(b->watches[i]);
    free(b->watches);
    free(b);
}

static int open_backend(yk_backend **ret, yk_error *e)
{
    yk_backend *b = yk_sys.calloc(1, sizeof *b);
    if (!b)
        return yk_errorf(e, ENOMEM, "epoll: out of memory");
    b->fork_generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    b->waker = -1;
    b->ep = yk_sys.epoll_create1(EPOLL_CLOEXEC);
    if (b->ep >= 0)
        b->waker = yk_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = waker_id};
    if (b->waker < 0 || yk_sys.epoll_ctl(b->ep, EPOLL_CTL_ADD, b->waker, &event) < 0) {
        int code = errno;
        if (b->ep >= 0)
            close(b->ep);
        if (b->waker >= 0)
            close(b->waker);
        free(b);
        return yk_errorf(e, code, "epoll: %s", strerror(code));
    }
    *ret = b;
    return 0;
}

const yk_backend_type yk_epoll_backend = {
    .name = "epoll", .open = open_backend, .close = close_backend, .start = start, .cancel = cancel, .poll = poll_events,
    .wake = wake, .forget = forget, .under_way = under_way, .flow_open = yk_epoll_flow_open, .flow_recv = yk_epoll_flow_recv,
    .flow_want = yk_epoll_flow_want, .flow_unwant = yk_epoll_flow_unwant, .flow_send = yk_epoll_flow_send,
    .flow_want_room = yk_epoll_flow_want_room, .flow_unwant_room = yk_epoll_flow_unwant_room,
    .flow_unsent = yk_epoll_flow_unsent, .flow_want_empty = yk_epoll_flow_want_empty,
    .flow_push = yk_epoll_flow_push, .flow_shutdown = yk_epoll_flow_shutdown, .flow_close = yk_epoll_flow_close};
