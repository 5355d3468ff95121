/* uring: the backend over io_uring.
 *
 * start() makes an entry in the ring; poll() hands all entries over and waits, in one call of the kernel, then goes through the
 * completions. An operation belongs to the kernel from its entry to its completion, which decides what has happened: a cancel
 * only asks, and where data came first there is data.
 *
 * Entries for which the ring has no room wait in lists (later, cancels, dirty flows), which poll() empties as the kernel
 * takes entries, and it does not sleep before they are empty. */
#include "async/uring.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ENTRIES = 256, COMPLETIONS = 4096 };

/* Where an operation is: yk_op.generation, which has no other use here. */
enum { IN_LANE = 1, LATER, KERNEL, CANCELS, ASKED, OVER };

/* ---- Lanes ---- */

/* NULL: no memory. */
static yk_lane *lane_of(yk_backend *b, int fd, int way)
{
    if ((size_t)fd >= b->lanes_size) {
        size_t size = YK_MAX(b->lanes_size, (size_t)64);
        while (size <= (size_t)fd)
            size *= 2;
        yk_lane(*lanes)[2] = yk_sys.realloc(b->lanes, size * sizeof *lanes);
        if (!lanes)
            return NULL;
        memset(lanes + b->lanes_size, 0, (size - b->lanes_size) * sizeof *lanes);
        b->lanes = lanes;
        b->lanes_size = size;
    }
    return &b->lanes[fd][way];
}

static bool hand_over(yk_backend *b, yk_op *op)
{
    struct io_uring_sqe *s = yk_ring_entry(&b->ring);
    if (!s)
        return false;
    yk_uring_prepare(b, op, s);
    op->generation = KERNEL;
    return true;
}

/* Behind those that wait already. */
static void hand_over_or_later(yk_backend *b, yk_op *op)
{
    if (!b->later.head && hand_over(b, op))
        return;
    op->generation = LATER;
    yk_ops_push(&b->later, op);
}

static void set_over(yk_backend *b, yk_op *op)
{
    op->generation = OVER;
    yk_ops_push(&b->ended, op);
}

/* The one that had it is through with it. */
static void leave_lane(yk_backend *b, const yk_op *op)
{
    int way = yk_uring_way(op);
    if (way < 0 || op->fd < 0)
        return;
    yk_lane *lane = &b->lanes[op->fd][way];
    yk_op *next;
    while ((next = yk_ops_pop(&lane->waiting))) {
        if (!yk_uring_begin(next)) {
            hand_over_or_later(b, next);
            return;
        }
        set_over(b, next);
    }
    lane->taken = false;
}

/* ---- Operations ---- */

static bool end_now(yk_op *op, int result)
{
    op->result = result;
    return true;
}

static bool start(yk_backend *b, yk_op *op)
{
    int way = yk_uring_way(op);
    op->so_far = 0;
    op->state = op->generation = 0;
    if (yk_uring_is_parents(b))
        return end_now(op, -ECHILD);
    if (way >= 0 && op->fd >= 0) {
        yk_lane *lane = lane_of(b, op->fd, way);
        if (!lane)
            return end_now(op, -ENOMEM);
        if (lane->taken) {
            op->generation = IN_LANE;
            yk_ops_push(&lane->waiting, op);
            b->under_way++;
            return false;
        }
        if (yk_uring_begin(op))
            return true;
        lane->taken = true;
    }
    b->under_way++;
    hand_over_or_later(b, op);
    return false;
}

/* False: no room. */
static bool ask_to_cancel(yk_backend *b, yk_op *op)
{
    struct io_uring_sqe *s = yk_ring_entry(&b->ring);
    if (!s)
        return false;
    s->opcode = IORING_OP_ASYNC_CANCEL;
    s->fd = -1;
    s->addr = (uintptr_t)op | YK_TAG_OP;
    s->user_data = (uintptr_t)op | YK_TAG_CANCEL;
    s->flags = IOSQE_CQE_SKIP_SUCCESS;
    op->generation = ASKED;
    yk_ops_push(&b->asked, op);
    return true;
}

static void cancel_or_later(yk_backend *b, yk_op *op)
{
    if (!b->cancels.head && ask_to_cancel(b, op))
        return;
    op->generation = CANCELS;
    yk_ops_push(&b->cancels, op);
}

/* It has no entry with the kernel. */
static bool take_back(yk_backend *b, yk_op *op)
{
    if (op->so_far == 0) {
        b->under_way--;
        return true;
    }
    op->result = (int64_t)op->so_far;
    set_over(b, op);
    return false;
}

static bool cancel(yk_backend *b, yk_op *op)
{
    switch (op->generation) {
    case IN_LANE:
        yk_ops_remove(&b->lanes[op->fd][yk_uring_way(op)].waiting, op);
        return take_back(b, op);
    case LATER:
        yk_ops_remove(&b->later, op);
        leave_lane(b, op);
        return take_back(b, op);
    case KERNEL: cancel_or_later(b, op); return false;
    default: return false;
    }
}

/* The operation may be gone and its memory another's, so it is looked for before it is looked at. The kernel finds none also
 * while it moves one from waiting to doing: then it is asked again. */
static void cancel_failed(yk_backend *b, const void *of, int result)
{
    yk_op *op = b->asked.head;
    while (op && op != of)
        op = op->next;
    if (!op || result != -ENOENT)
        return;
    yk_ops_remove(&b->asked, op);
    cancel_or_later(b, op);
}

static void op_completed(yk_backend *b, yk_op *op, int result, unsigned flags)
{
    op->more = flags & IORING_CQE_F_MORE;
    if (op->more) {
        op->result = result;
        op->done(op);
        return;
    }
    bool asked = op->generation == ASKED || op->generation == CANCELS;
    if (asked)
        yk_ops_remove(op->generation == ASKED ? &b->asked : &b->cancels, op);
    if (!yk_uring_step(b, op, result)) {
        if (!asked) {
            hand_over_or_later(b, op);
            return;
        }
        op->result = yk_op_result(op, ECANCELED); /* between two entries */
    }
    leave_lane(b, op);
    b->under_way--;
    op->done(op);
}

/* ---- Waking ---- */

/* An eventfd that nobody reads: each write is news. */
static void arm_waker(yk_backend *b)
{
    struct io_uring_sqe *s = yk_ring_entry(&b->ring);
    if (!s)
        return;
    s->opcode = IORING_OP_POLL_ADD;
    s->fd = b->waker;
    s->poll32_events = POLLIN;
    s->len = IORING_POLL_ADD_MULTI;
    s->user_data = YK_TAG_WAKER;
    b->waker_armed = true;
}

static void waker_completed(yk_backend *b, unsigned flags)
{
    /* Whoever handed something over before is seen after this. */
    atomic_exchange_explicit(&b->woken, false, memory_order_acq_rel);
    if (!(flags & IORING_CQE_F_MORE))
        b->waker_armed = false;
}

static void wake(yk_backend *b)
{
    int code = errno; /* of whom a signal handler interrupted */
    if (!yk_uring_is_parents(b) && !atomic_exchange_explicit(&b->woken, true, memory_order_acq_rel))
        while (yk_sys.write(b->waker, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno == EINTR)
            continue;
    errno = code;
}

/* ---- Polling ---- */

/* Makes all entries that there are to make. False: some are left, for want of room. */
static bool make_entries(yk_backend *b)
{
    yk_op *op;
    while ((op = b->cancels.head) && yk_ring_ungiven(&b->ring) <= b->ring.sq_mask) {
        yk_ops_remove(&b->cancels, op);
        ask_to_cancel(b, op);
    }
    while ((op = b->later.head) && hand_over(b, op))
        yk_ops_remove(&b->later, op);
    if (!b->waker_armed)
        arm_waker(b);
    return yk_uring_flows_prepare(b) && !b->later.head && !b->cancels.head && b->waker_armed;
}

static int64_t time_until(int64_t deadline)
{
    if (deadline == 0)
        return 0;
    if (deadline == YOKE_FOREVER)
        return -1;
    int64_t left = deadline - yoke_now();
    return YK_MAX(left, (int64_t)0);
}

static void completed(yk_backend *b, uint64_t user_data, int result, unsigned flags)
{
    void *of = (void *)(uintptr_t)(user_data & ~(uint64_t)YK_TAG_BITS);
    int tag = (int)(user_data & YK_TAG_BITS);
    switch (tag) {
    case YK_TAG_OP: op_completed(b, of, result, flags); break;
    case YK_TAG_CANCEL: cancel_failed(b, of, result); break;
    case YK_TAG_WAKER: waker_completed(b, flags); break;
    case YK_TAG_NOBODY: break;
    default: yk_uring_flow_completed(of, tag, result, flags);
    }
}

/* Those that there are now. What is called may make more. */
static void go_through(yk_backend *b)
{
    unsigned at, end = yk_ring_completions(&b->ring, &at);
    if (b->hasty)
        yk_uring_flows_settle(b, at, end);
    while (at != end) {
        struct io_uring_cqe c = *yk_ring_completion(&b->ring, at++);
        yk_ring_seen(&b->ring, at);
        completed(b, c.user_data, c.res, c.flags);
    }
}

static bool is_anything_there(const yk_backend *b)
{
    unsigned at, end = yk_ring_completions(&b->ring, &at);
    return at != end || yk_ring_has_more(&b->ring);
}

static int poll_ring(yk_backend *b, int64_t deadline)
{
    if (yk_uring_is_parents(b))
        return -ECHILD;
    bool unsettled = b->hasty, all = make_entries(b);
    int64_t ns = !all || unsettled || b->ended.head || b->told ? 0 : time_until(deadline);
    yk_buffers_publish(&b->buffers);
    /* A look alone costs no call where the kernel says that there is nothing. */
    if (ns != 0 || yk_ring_ungiven(&b->ring) > 0 || is_anything_there(b)) {
        int err = yk_ring_enter(&b->ring, ns);
        if (err < 0)
            return err;
    }
    go_through(b);
    if (b->told)
        yk_uring_tell(b);
    for (yk_op *op; (op = yk_ops_pop(&b->ended));) {
        b->under_way--;
        op->done(op);
    }
    return 0;
}

static void forget(yk_backend *b, int fd)
{
}

static size_t under_way(const yk_backend *b)
{
    return b->under_way;
}

/* ---- Opening and closing ---- */

static void close_backend(yk_backend *b)
{
    bool in_child = yk_uring_is_parents(b);
    while (b->closing > 0 && poll_ring(b, YOKE_FOREVER) == 0) /* flows that were closed just before */
        continue;
    yk_ring_close(&b->ring, in_child);
    yk_buffers_close(&b->buffers, in_child);
    close(b->waker);
    free(b->lanes);
    free(b);
}

static int open_parts(yk_backend *b, yk_error *e)
{
    int err = yk_ring_open(&b->ring, ENTRIES, COMPLETIONS, e);
    if (err < 0)
        return err;
    err = yk_ring_probe(&b->ring, &b->has, e);
    if (err == 0) {
        err = yk_buffers_open(&b->buffers, &b->ring);
        if (err < 0)
            yk_errorf(e, -err, "io_uring: no buffers: %s", strerror(-err));
    }
    if (err == 0) {
        b->waker = yk_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (b->waker >= 0)
            return 0;
        err = yk_errorf(e, errno, "io_uring: no eventfd: %s", strerror(errno));
        yk_buffers_close(&b->buffers, false);
    }
    yk_ring_close(&b->ring, false);
    return err;
}

static int open_backend(yk_backend **ret, yk_error *e)
{
    yk_backend *b = yk_sys.calloc(1, sizeof *b);
    if (!b)
        return yk_errorf(e, ENOMEM, "io_uring: out of memory");
    b->fork_generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    int err = open_parts(b, e);
    if (err < 0) {
        free(b);
        return err;
    }
    *ret = b;
    return 0;
}

const yk_backend_type yk_uring_backend = {
    .name = "io_uring", .open = open_backend, .close = close_backend, .start = start, .cancel = cancel, .poll = poll_ring,
    .wake = wake, .forget = forget, .under_way = under_way, .flow_open = yk_uring_flow_open, .flow_recv = yk_uring_flow_recv,
    .flow_want = yk_uring_flow_want, .flow_unwant = yk_uring_flow_unwant, .flow_send = yk_uring_flow_send,
    .flow_want_room = yk_uring_flow_want_room, .flow_unwant_room = yk_uring_flow_unwant_room,
    .flow_unsent = yk_uring_flow_unsent, .flow_want_empty = yk_uring_flow_want_empty,
    .flow_push = yk_uring_flow_push, .flow_shutdown = yk_uring_flow_shutdown, .flow_close = yk_uring_flow_close};
