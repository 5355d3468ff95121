/* uring_ring: the kernel's io_uring interface as it is: the two rings of one thread, mapped, and the calls on them.
 *
 * Constants that the headers of Debian 12 lack are here under their own names. */
#ifndef YK_ASYNC_URING_RING_H
#define YK_ASYNC_URING_RING_H
#include "base/base.h"
#include <linux/io_uring.h>

enum {
    YK_URING_NO_SQARRAY = 1 << 16, /* IORING_SETUP_, Linux 6.6 */
    YK_URING_OP_WAITID = 50        /* IORING_OP_, Linux 6.7 */
};

/* What a kernel has that yoke can do without. */
enum { YK_URING_HAS_WAITID = 1 };

typedef struct yk_ring {
    int fd;
    int enter_fd;         /* of io_uring_enter(): a number the kernel finds sooner, if it could be had */
    unsigned enter_flags, setup_flags, features;
    unsigned sq_mask, cq_mask;
    unsigned tail, given; /* entries made, and how many of them the kernel has */
    unsigned *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    void *rings;
    size_t rings_size, sqes_size;
} yk_ring;

/* For this thread alone. A negative code and a sentence that says why the kernel has it not. */
int yk_ring_open(yk_ring *r, unsigned entries, unsigned completions, yk_error *e);
/* in_child: after fork(), where the rings are not mapped. */
void yk_ring_close(yk_ring *r, bool in_child);
/* Whether the kernel has all that this backend needs, which is looked at once in a process. 0 and YK_URING_HAS_... in *ret. */
int yk_ring_probe(yk_ring *r, unsigned *ret, yk_error *e);

/* An empty entry, or NULL when the kernel takes no more for now. */
struct io_uring_sqe *yk_ring_entry(yk_ring *r);
/* Hands over what there is, lets the kernel make completions, and waits for one until ns have passed (0: not at all, less: for
 * ever). 0 or a negative code; -ETIME, -EINTR and -EBUSY are none. */
int yk_ring_enter(yk_ring *r, int64_t ns);
/* There is something in the kernel that only yk_ring_enter() gets. */
static inline bool yk_ring_has_more(const yk_ring *r)
{
    return __atomic_load_n(r->sq_flags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Entries that yk_ring_entry() has given out and the kernel has not taken. */
static inline unsigned yk_ring_ungiven(const yk_ring *r)
{
    return r->tail - r->given;
}

/* Completions that are there begin at *begin and end before the result. */
static inline unsigned yk_ring_completions(const yk_ring *r, unsigned *begin)
{
    *begin = *r->cq_head;
    return __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE);
}

static inline const struct io_uring_cqe *yk_ring_completion(const yk_ring *r, unsigned at)
{
    return &r->cqes[at & r->cq_mask];
}

/* All before `next` have been read. */
static inline void yk_ring_seen(yk_ring *r, unsigned next)
{
    __atomic_store_n(r->cq_head, next, __ATOMIC_RELEASE);
}

#endif
