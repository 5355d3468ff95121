/* uring_ring: set-up of io_uring, what a kernel must have, and the one call that both hands over and waits.
 *
 * Set-up asks for what is best and goes on asking for less until the kernel knows all of it. Completions are made only within
 * yk_ring_enter() by the thread that owns the ring (DEFER_TASKRUN), so nothing interrupts coroutines; the kernel says in a flag
 * whether there are any to be made (TASKRUN), so a look for them costs nothing when there are none. */
#include "async/uring_ring.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Why not ---- */

static int sysctl_disabled(void)
{
    char text[8] = "";
    int fd = yk_sys.openat(AT_FDCWD, "/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    ssize_t n = yk_sys.read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? (int)strtol(text, NULL, 10) : 0;
}

static int explain(int code, yk_error *e)
{
    int disabled = code == EPERM ? sysctl_disabled() : 0;
    if (disabled)
        return yk_errorf(e, code, "io_uring: not permitted (EPERM): the sysctl kernel.io_uring_disabled is %d", disabled);
    switch (code) {
    case EPERM: return yk_errorf(e, code, "io_uring: not permitted (EPERM): a seccomp filter forbids it, as containers have");
    case ENOSYS: return yk_errorf(e, code, "io_uring: not there (ENOSYS): the kernel is without it, or a seccomp filter says so");
    case ENOMEM: return yk_errorf(e, code, "io_uring: no memory (ENOMEM), or the limit of locked memory (ulimit -l) is too low");
    default: return yk_errorf(e, code, "io_uring: %s", strerror(code));
    }
}

static int lacks(yk_error *e, const char *what)
{
    return yk_errorf(e, ENOSYS, "io_uring: this kernel is too old for it: %s", what);
}

/* ---- Opening ---- */

static int set_up(yk_ring *r, struct io_uring_params *p, unsigned entries, unsigned completions)
{
    static const unsigned wanted[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | YK_URING_NO_SQARRAY,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int code = EINVAL;
    for (size_t i = 0; i < YK_COUNT_OF(wanted) && code == EINVAL; i++) {
        *p = (struct io_uring_params){.cq_entries = completions};
        p->flags = wanted[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
        r->fd = yk_sys.io_uring_setup(entries, p);
        code = r->fd < 0 ? errno : 0;
    }
    r->setup_flags = p->flags;
    r->features = p->features;
    return -code;
}

static void *map(const yk_ring *r, size_t size, off_t at)
{
    void *p = yk_sys.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, at);
    if (p == MAP_FAILED)
        return NULL;
    yk_sys.madvise(p, size, MADV_DONTFORK); /* a child would use the parent's ring */
    return p;
}

static bool map_rings(yk_ring *r, const struct io_uring_params *p)
{
    size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned);
    size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    r->rings_size = YK_MAX(sq, cq);
    r->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
    r->rings = map(r, r->rings_size, IORING_OFF_SQ_RING);
    r->sqes = r->rings ? map(r, r->sqes_size, (off_t)IORING_OFF_SQES) : NULL;
    return r->sqes;
}

static unsigned *word_at(const yk_ring *r, unsigned offset)
{
    return (unsigned *)(void *)((char *)r->rings + offset);
}

static void find_parts(yk_ring *r, const struct io_uring_params *p)
{
    r->sq_head = word_at(r, p->sq_off.head);
    r->sq_tail = word_at(r, p->sq_off.tail);
    r->sq_flags = word_at(r, p->sq_off.flags);
    r->sq_mask = *word_at(r, p->sq_off.ring_mask);
    r->cq_head = word_at(r, p->cq_off.head);
    r->cq_tail = word_at(r, p->cq_off.tail);
    r->cq_mask = *word_at(r, p->cq_off.ring_mask);
    r->cqes = (struct io_uring_cqe *)(void *)((char *)r->rings + p->cq_off.cqes);
    if (!(r->setup_flags & YK_URING_NO_SQARRAY))
        for (unsigned i = 0; i <= r->sq_mask; i++)
            word_at(r, p->sq_off.array)[i] = i;
}

/* The kernel need not look up the descriptor at each call. Not possible before 5.18, and no loss then. */
static void register_itself(yk_ring *r)
{
    struct io_uring_rsrc_update own = {.offset = -1U, .data = (unsigned)r->fd};
    r->enter_fd = r->fd;
    r->enter_flags = IORING_ENTER_GETEVENTS;
    if (yk_sys.io_uring_register(r->fd, IORING_REGISTER_RING_FDS, &own, 1) == 1) {
        r->enter_fd = (int)own.offset;
        r->enter_flags |= IORING_ENTER_REGISTERED_RING;
    }
}

int yk_ring_open(yk_ring *r, unsigned entries, unsigned completions, yk_error *e)
{
    static const unsigned needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                                   IORING_FEAT_RW_CUR_POS | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
    struct io_uring_params p;
    memset(r, 0, sizeof *r);
    int err = set_up(r, &p, entries, completions);
    if (err < 0)
        return explain(-err, e);
    if ((r->features & needed) != needed) {
        close(r->fd);
        return lacks(e, "it came with Linux 6.0");
    }
    if (!map_rings(r, &p)) {
        err = explain(errno, e);
        yk_ring_close(r, false);
        return err;
    }
    find_parts(r, &p);
    register_itself(r);
    return 0;
}

void yk_ring_close(yk_ring *r, bool in_child)
{
    if (r->rings && !in_child)
        munmap(r->rings, r->rings_size);
    if (r->sqes && !in_child)
        munmap(r->sqes, r->sqes_size);
    close(r->fd);
}

/* ---- What the kernel has ---- */

static bool has_operations(const struct io_uring_probe *p)
{
    static const uint8_t needed[] = {
        IORING_OP_POLL_ADD, IORING_OP_READ,    IORING_OP_WRITE,  IORING_OP_RECV,  IORING_OP_SEND,
        IORING_OP_RECVMSG,  IORING_OP_SENDMSG, IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_OPENAT,
        IORING_OP_FSYNC,    IORING_OP_STATX,   IORING_OP_ASYNC_CANCEL};
    for (size_t i = 0; i < YK_COUNT_OF(needed); i++)
        if (needed[i] >= p->ops_len || !(p->ops[needed[i]].flags & IO_URING_OP_SUPPORTED))
            return false;
    return true;
}

static int probe_operations(const yk_ring *r, unsigned *ret, yk_error *e)
{
    enum { OPS = 256 };
    union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + OPS * sizeof(struct io_uring_probe_op)];
    } p;
    memset(&p, 0, sizeof p);
    if (yk_sys.io_uring_register(r->fd, IORING_REGISTER_PROBE, &p, OPS) < 0)
        return explain(errno, e);
    if (!has_operations(&p.probe))
        return lacks(e, "it lacks operations of Linux 5.6");
    if (YK_URING_OP_WAITID < p.probe.ops_len && p.probe.ops[YK_URING_OP_WAITID].flags & IO_URING_OP_SUPPORTED)
        *ret |= YK_URING_HAS_WAITID;
    return 0;
}

/* A multishot receive without any buffers, on a socket that has data: the kernel either has no buffers for it, or no such thing.
 * */
static int try_multishot(yk_ring *r, const int ends[2], yk_error *e)
{
    struct io_uring_sqe *s = yk_ring_entry(r);
    unsigned at;
    if (yk_sys.send(ends[1], "", 1, MSG_NOSIGNAL) != 1)
        return explain(errno, e);
    s->opcode = IORING_OP_RECV;
    s->fd = ends[0];
    s->ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
    s->flags = IOSQE_BUFFER_SELECT;
    int err = yk_ring_enter(r, 10 * YOKE_S);
    if (err < 0)
        return explain(-err, e);
    if (yk_ring_completions(r, &at) != at + 1)
        return explain(ETIME, e);
    int result = yk_ring_completion(r, at)->res;
    yk_ring_seen(r, at + 1);
    return result == -ENOBUFS ? 0 : lacks(e, "multishot receives came with Linux 6.0");
}

int yk_ring_probe(yk_ring *r, unsigned *ret, yk_error *e)
{
    static _Atomic unsigned known; /* and one bit that says so */
    unsigned has = atomic_load_explicit(&known, memory_order_relaxed), is_known = 1U << 31;
    if (!(has & is_known)) {
        int ends[2], err = probe_operations(r, &has, e);
        if (err < 0)
            return err;
        if (yk_sys.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
            return explain(errno, e);
        err = try_multishot(r, ends, e);
        close(ends[0]);
        close(ends[1]);
        if (err < 0)
            return err;
        atomic_store_explicit(&known, has | is_known, memory_order_relaxed);
    }
    *ret = has & ~is_known;
    return 0;
}

/* ---- Using it ---- */

static int enter(yk_ring *r, unsigned wait, unsigned flags, const void *arg, size_t size)
{
    __atomic_store_n(r->sq_tail, r->tail, __ATOMIC_RELEASE);
    int n = yk_sys.io_uring_enter(r->enter_fd, yk_ring_ungiven(r), wait, r->enter_flags | flags, arg, size);
    if (n < 0)
        return -errno;
    r->given += (unsigned)n;
    return 0;
}

struct io_uring_sqe *yk_ring_entry(yk_ring *r)
{
    if (yk_ring_ungiven(r) > r->sq_mask)
        enter(r, 0, 0, NULL, 0);
    if (yk_ring_ungiven(r) > r->sq_mask)
        return NULL;
    struct io_uring_sqe *s = &r->sqes[r->tail++ & r->sq_mask];
    memset(s, 0, sizeof *s);
    return s;
}

int yk_ring_enter(yk_ring *r, int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&t};
    int err = ns > 0 ? enter(r, 1, IORING_ENTER_EXT_ARG, &arg, sizeof arg) : enter(r, ns != 0, 0, NULL, 0);
    return err == -ETIME || err == -EINTR || err == -EBUSY || err == -EAGAIN ? 0 : err;
}
