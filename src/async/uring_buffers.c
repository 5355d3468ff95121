/* uring_buffers: memory that the kernel receives into, shared by all flows of a loop, so that idle connections hold none.
 *
 * The kernel goes through the buffers that it is offered in a circle, all of them, so few are offered and stay in the cache;
 * twice as many each time it found none. They lie a cache line more than a page apart, since those at the same place of a page
 * would push one another out. */
#include "async/uring.h"
#include <sys/mman.h>

enum { OFFERED_FIRST = 64, APART = YK_BUFFER + YK_CACHE_LINE, RING_SIZE = YK_BUFFERS * sizeof(struct io_uring_buf) };
static const size_t mapped = RING_SIZE + (size_t)YK_BUFFERS * APART;

char *yk_buffer(const yk_buffers *s, uint16_t id)
{
    return s->store + (size_t)id * APART;
}

static void offer(yk_buffers *s, uint16_t id)
{
    struct io_uring_buf *b = &s->ring->bufs[s->tail++ & (YK_BUFFERS - 1)];
    b->addr = (uintptr_t)yk_buffer(s, id);
    b->len = YK_BUFFER;
    b->bid = id;
    s->offered++;
}

static void offer_spare(yk_buffers *s)
{
    while (s->offered < s->wanted && s->nspare > 0)
        offer(s, s->spare[--s->nspare]);
}

int yk_buffers_open(yk_buffers *s, yk_ring *r)
{
    void *p = yk_sys.mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    yk_sys.madvise(p, mapped, MADV_DONTFORK); /* the kernel writes into the parent's */
    s->ring = p;
    s->store = (char *)p + RING_SIZE;
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)p, .ring_entries = YK_BUFFERS};
    if (yk_sys.io_uring_register(r->fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0) {
        int err = -errno;
        munmap(p, mapped);
        return err;
    }
    for (unsigned i = 0; i < YK_BUFFERS; i++)
        s->spare[s->nspare++] = (uint16_t)(YK_BUFFERS - 1 - i);
    s->wanted = OFFERED_FIRST;
    offer_spare(s);
    yk_buffers_publish(s);
    return 0;
}

void yk_buffers_close(yk_buffers *s, bool in_child)
{
    if (!in_child)
        munmap(s->ring, mapped);
}

void yk_buffers_filled(yk_buffers *s, uint16_t id, unsigned n)
{
    s->offered--;
    s->received[id] = (yk_received){.end = n, .next = YK_NO_BUFFER};
}

void yk_buffers_give(yk_buffers *s, uint16_t id)
{
    s->spare[s->nspare++] = id;
    offer_spare(s);
}

bool yk_buffers_more(yk_buffers *s)
{
    /* Several flows may have found none at the same time, and the first has seen to it. */
    if (s->offered == 0 && s->wanted < YK_BUFFERS)
        s->wanted *= 2;
    offer_spare(s);
    return s->offered > 0;
}
