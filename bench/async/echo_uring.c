/* echo_uring.c - the floor for an echo server over io_uring: the kernel's interface as it is, without a library.
 *
 * One call of the kernel an iteration hands in all answers and waits for what has come. A multishot accept makes connections, a
 * multishot receive on each takes buffers from one ring of them. The answer is copied into a place of this iteration's, so the
 * buffer goes back at once and few, warm ones do. A send either happens within the call that hands it in (MSG_DONTWAIT, so
 * its place is free afterwards, and it says nothing) or fails, and that drops its connection. */
#include "echo.h"
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
enum { ENTRIES = 256, COMPLETIONS = 4096, BUFFERS = 1024, BUFFER = 512, GROUP = 0 };
enum { ACCEPT, RECV, SEND, CLOSE }; /* of a completion: user_data is the descriptor and this */

static struct {
    int fd;
    unsigned flags; /* for io_uring_enter */
    unsigned *sq_tail, sq_mask, tail, told;
    unsigned *cq_head, *cq_tail, cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    struct io_uring_buf_ring *bufs;
    char *store;              /* the buffers */
    unsigned short bufs_tail;
    char out[ENTRIES][BUFFER]; /* one for each entry of the submission ring */
} ring;

static unsigned setup(struct io_uring_params *p)
{
    static const unsigned wanted[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_SQARRAY,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_COOP_TASKRUN,
        0};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *p = (struct io_uring_params){.flags = wanted[i] | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
            .cq_entries = COMPLETIONS};
        ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, p);
        if (ring.fd >= 0 || errno != EINVAL)
            break;
    }
    echo_check(ring.fd >= 0, "io_uring_setup");
    return p->flags;
}

static void *map(size_t size, off_t where)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, where);
    echo_check(p != MAP_FAILED, "mmap");
    return p;
}

/* Returns the descriptor of the ring, which ring.fd need not be. */
static int open_ring(void)
{
    struct io_uring_params p;
    unsigned flags = setup(&p);
    size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned), cq = p.cq_off.cqes + p.cq_entries * sizeof *ring.cqes;
    char *rings = map(sq > cq ? sq : cq, IORING_OFF_SQ_RING);
    ring.sqes = map(p.sq_entries * sizeof *ring.sqes, IORING_OFF_SQES);
    ring.sq_tail = (unsigned *)(rings + p.sq_off.tail);
    ring.sq_mask = *(unsigned *)(rings + p.sq_off.ring_mask);
    if (!(flags & IORING_SETUP_NO_SQARRAY))
        for (unsigned i = 0; i < p.sq_entries; i++)
            ((unsigned *)(rings + p.sq_off.array))[i] = i;
    ring.cq_head = (unsigned *)(rings + p.cq_off.head);
    ring.cq_tail = (unsigned *)(rings + p.cq_off.tail);
    ring.cq_mask = *(unsigned *)(rings + p.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
    ring.flags = IORING_ENTER_GETEVENTS;
    int fd = ring.fd;
    struct io_uring_rsrc_update own = {.offset = -1U, .data = (unsigned)ring.fd};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_RING_FDS, &own, 1) == 1) { /* spares a look-up a call */
        ring.fd = (int)own.offset;
        ring.flags |= IORING_ENTER_REGISTERED_RING;
    }
    return fd;
}

static void give_back(unsigned id)
{
    struct io_uring_buf *b = &ring.bufs->bufs[ring.bufs_tail++ & (BUFFERS - 1)];
    b->addr = (uintptr_t)(ring.store + id * BUFFER);
    b->len = BUFFER;
    b->bid = (unsigned short)id;
}

static void open_buffers(int fd)
{
    size_t size = BUFFERS * sizeof(struct io_uring_buf);
    ring.bufs = mmap(NULL, size + (size_t)BUFFERS * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    echo_check(ring.bufs != MAP_FAILED, "mmap");
    ring.store = (char *)ring.bufs + size;
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)ring.bufs, .ring_entries = BUFFERS, .bgid = GROUP};
    echo_check(syscall(SYS_io_uring_register, fd, IORING_REGISTER_PBUF_RING, &reg, 1) == 0, "buffer ring");
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(i);
}

/* Hands in what there is, tells which buffers are free, and waits for at least `wait` completions. */
static void enter(unsigned wait)
{
    __atomic_store_n(&ring.bufs->tail, ring.bufs_tail, __ATOMIC_RELEASE);
    __atomic_store_n(ring.sq_tail, ring.tail, __ATOMIC_RELEASE);
    long n = syscall(SYS_io_uring_enter, ring.fd, ring.tail - ring.told, wait, ring.flags, NULL, 0);
    echo_check(n >= 0 || errno == EINTR || errno == EBUSY, "io_uring_enter");
    if (n > 0)
        ring.told += (unsigned)n;
}

static struct io_uring_sqe *entry(int op, int fd, unsigned what)
{
    while (ring.tail - ring.told > ring.sq_mask)
        enter(0);
    struct io_uring_sqe *e = &ring.sqes[ring.tail++ & ring.sq_mask];
    memset(e, 0, sizeof *e);
    e->opcode = (uint8_t)op;
    e->fd = fd;
    e->user_data = (uint64_t)fd << 2 | what;
    return e;
}

static void start_accept(int listener)
{
    struct io_uring_sqe *e = entry(IORING_OP_ACCEPT, listener, ACCEPT);
    e->ioprio = IORING_ACCEPT_MULTISHOT;
    e->accept_flags = SOCK_CLOEXEC;
}

static void start_recv(int fd)
{
    struct io_uring_sqe *e = entry(IORING_OP_RECV, fd, RECV);
    e->ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
    e->flags = IOSQE_BUFFER_SELECT;
    e->buf_group = GROUP;
}

static void received(int fd, int res, unsigned flags)
{
    if (res > 0) {
        unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
        struct io_uring_sqe *e = entry(IORING_OP_SEND, fd, SEND);
        e->addr = (uintptr_t)memcpy(ring.out[e - ring.sqes], ring.store + id * BUFFER, (size_t)res);
        e->len = (unsigned)res;
        e->flags = IOSQE_CQE_SKIP_SUCCESS;
        e->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL; /* all of it or a failure */
        give_back(id);
    }
    if (flags & IORING_CQE_F_MORE)
        return;
    if (res > 0 || res == -ENOBUFS)
        start_recv(fd);
    else
        entry(IORING_OP_CLOSE, fd, CLOSE)->flags = IOSQE_CQE_SKIP_SUCCESS;
}

static void completed(const struct io_uring_cqe *c)
{
    int fd = (int)(c->user_data >> 2);
    switch (c->user_data & 3) {
    case ACCEPT:
        if (c->res >= 0)
            start_recv(c->res);
        if (!(c->flags & IORING_CQE_F_MORE))
            start_accept(fd);
        break;
    case RECV:
        received(fd, c->res, c->flags);
        break;
    case SEND:
        shutdown(fd, SHUT_RDWR); /* its receive ends, and closes */
        break;
    }
}

int main(void)
{
    int listener = echo_listen(0);
    open_buffers(open_ring());
    start_accept(listener);
    for (;;) {
        enter(1);
        unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
        while (head != tail)
            completed(&ring.cqes[head++ & ring.cq_mask]);
        __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
    }
}
