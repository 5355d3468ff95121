/* uring: what the files of the backend over io_uring share. */
#ifndef YK_ASYNC_URING_H
#define YK_ASYNC_URING_H
#include "async/flow.h"
#include "async/ops.h"
#include "async/uring_ring.h"

/* The lowest bits of user_data say whose completion it is; the others are the address of the operation or flow. */
enum { YK_TAG_OP, YK_TAG_CANCEL, YK_TAG_RECV, YK_TAG_SEND, YK_TAG_POLL, YK_TAG_STOP, YK_TAG_WAKER, YK_TAG_NOBODY };
enum { YK_TAG_BITS = 7 };

/* ---- Receive buffers (uring_buffers.c) ---- */

enum { YK_BUFFER = 4096, YK_BUFFERS = 1024, YK_NO_BUFFER = 0xffff };

/* One that holds data, or none yet. */
typedef struct yk_received {
    uint32_t begin, end;
    uint16_t next; /* of the same flow */
} yk_received;

typedef struct yk_buffers {
    struct io_uring_buf_ring *ring; /* the kernel takes from its head */
    char *store;
    uint16_t tail;
    unsigned offered, wanted;      /* how many are in the ring, and how many shall be */
    unsigned nspare;
    uint16_t spare[YK_BUFFERS];    /* a stack: the ones used last are warm */
    yk_received received[YK_BUFFERS];
} yk_buffers;

/* For the kernel, as a group of the ring. 0 or a negative code. */
int yk_buffers_open(yk_buffers *s, yk_ring *r);
void yk_buffers_close(yk_buffers *s, bool in_child);
/* The kernel has put n bytes into it. */
void yk_buffers_filled(yk_buffers *s, uint16_t id, unsigned n);
void yk_buffers_give(yk_buffers *s, uint16_t id);
/* The kernel found none: offers more. False: all are in use. */
bool yk_buffers_more(yk_buffers *s);
/* What yk_buffers_give() did is for the kernel to see. */
static inline void yk_buffers_publish(yk_buffers *s)
{
    __atomic_store_n(&s->ring->tail, s->tail, __ATOMIC_RELEASE);
}
char *yk_buffer(const yk_buffers *s, uint16_t id);

/* ---- The backend ---- */

/* The operations on a descriptor that must not overtake one another: reads and writes, each their way. One is with the kernel. */
typedef struct yk_lane {
    bool taken;
    yk_ops waiting;
} yk_lane;

struct yk_backend {
    yk_ring ring;
    int waker;
    uint32_t fork_generation;
    _Atomic bool woken;
    bool waker_armed;
    unsigned has;
    size_t under_way, closing; /* the latter of the former: flows that nobody has any more */
    yk_ops later;   /* the kernel takes no more entries for now */
    yk_ops cancels; /* to be cancelled, likewise */
    yk_ops asked;   /* the kernel was asked to cancel them */
    yk_lane (*lanes)[2]; /* by descriptor */
    size_t lanes_size;
    yk_ops ended;   /* done() is due */
    yk_wants *told; /* flows that have something to tell without a completion */
    yk_flow *dirty;   /* flows that have entries to make */
    yk_flow *hasty;   /* flows whose last send says nothing when it went well */
    yk_buffers buffers;
};

static inline bool yk_uring_is_parents(const yk_backend *b)
{
    return b->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
}

/* ---- Operations (uring_op.c) ---- */

/* Which way it goes in a lane of its descriptor: 0 in, 1 out, -1: in none. */
int yk_uring_way(const yk_op *op);
/* What there is to do before the first entry. True: it has ended. */
bool yk_uring_begin(yk_op *op);
/* Fills in an entry. */
void yk_uring_prepare(const yk_backend *b, const yk_op *op, struct io_uring_sqe *s);
/* A completion of it. True: it has ended, op->result is final; false: it goes on with another entry. */
bool yk_uring_step(const yk_backend *b, yk_op *op, int result);

/* ---- Flows (uring_flow.c) ---- */

/* Makes the entries of dirty flows. False: some are left. */
bool yk_uring_flows_prepare(yk_backend *b);
/* The kernel has made the completions of what it was given: those of hasty sends, of which there is one only if it failed. */
void yk_uring_flows_settle(yk_backend *b, unsigned begin, unsigned end);
void yk_uring_flow_completed(yk_flow *f, int tag, int result, unsigned flags);
void yk_uring_tell(yk_backend *b);
int yk_uring_flow_open(yk_backend *b, int fd, yk_flow **ret);
ssize_t yk_uring_flow_recv(yk_flow *f, void *to, size_t n);
void yk_uring_flow_want(yk_flow *f, void (*fn)(void *arg), void *arg);
void yk_uring_flow_unwant(yk_flow *f);
ssize_t yk_uring_flow_send(yk_flow *f, const void *from, size_t n);
void yk_uring_flow_want_room(yk_flow *f, void (*fn)(void *arg), void *arg);
void yk_uring_flow_unwant_room(yk_flow *f);
size_t yk_uring_flow_unsent(const yk_flow *f);
void yk_uring_flow_want_empty(yk_flow *f, void (*fn)(void *arg), void *arg);
void yk_uring_flow_push(yk_flow *f);
void yk_uring_flow_shutdown(yk_flow *f);
void yk_uring_flow_close(yk_flow *f);
#endif
