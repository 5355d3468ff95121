/* epoll: what the files of the backend over epoll share. */
#ifndef YK_ASYNC_EPOLL_H
#define YK_ASYNC_EPOLL_H
#include "async/flow.h"
#include "async/ops.h"

typedef enum yk_fd_class {
    YK_FD_NEW,     /* not looked at yet */
    YK_FD_STREAM,  /* a socket; a read that did not fill its buffer has emptied it */
    YK_FD_PACKETS, /* another socket */
    YK_FD_PIPE,
    YK_FD_TERMINAL,
    YK_FD_OTHER, /* eventfd, pidfd, devices... */
    YK_FD_FILE   /* that nothing can wait for: files, folders, block devices */
} yk_fd_class;

enum { YK_IN, YK_OUT, YK_POLLS }; /* the queues of a watch */

/* What is known of a descriptor. It stays in the table until the backend is closed; the generation says whose events are meant,
 * since the kernel may still report some of an earlier descriptor with this number. */
typedef struct yk_watch {
    int fd;
    uint32_t generation;
    yk_fd_class class;
    bool registered;  /* in the epoll set, as far as we know: who closes a descriptor without forget() takes it out */
    bool hung_up;     /* the peer was reported to have gone: a short read says nothing any more */
    bool no_nowait;   /* RWF_NOWAIT is not for this one */
    bool may[2];      /* there has been no EAGAIN since the last event */
    yk_ops waiting[3];
    yk_flow *flow;
} yk_watch;

struct yk_backend {
    int ep, waker;
    uint32_t fork_generation;
    _Atomic bool woken;
    yk_watch **watches; /* by descriptor */
    size_t watches_size, under_way;
    yk_ops ended; /* done() is due */
    yk_ops again; /* are tried again a millisecond later, for want of an event */
    yk_wants *told; /* flows that have something to tell without an event */
};

/* NULL and errno */
yk_watch *yk_epoll_watch(yk_backend *b, int fd);
/* Sees to it that an event comes if the descriptor is ready, or when it will be. 0 or a negative code; -EPERM: it is no such
 * descriptor. */
int yk_epoll_arm(yk_backend *b, yk_watch *w);
/* Takes it out of the set and makes events on the way meaningless. */
void yk_epoll_disarm(yk_backend *b, yk_watch *w);

/* ---- epoll_try.c ---- */

typedef enum yk_attempt {
    YK_ENDED,   /* op->result is final */
    YK_WAITS,   /* for an event */
    YK_OFFLOADS, /* it would block, and no event says when not */
    YK_RETRIES  /* later; the kernel has no event for it either */
} yk_attempt;

yk_attempt yk_epoll_try(yk_watch *w, yk_op *op);
/* The blocking form, for yk_offload(). */
void yk_epoll_work(yk_op *op);

/* ---- epoll_flow.c ---- */

void yk_epoll_flow_event(yk_backend *b, yk_watch *w, uint32_t events);
void yk_epoll_tell(yk_backend *b); /* calls fn of the flows in `told` */
int yk_epoll_flow_open(yk_backend *b, int fd, yk_flow **ret);
ssize_t yk_epoll_flow_recv(yk_flow *f, void *to, size_t n);
void yk_epoll_flow_want(yk_flow *f, void (*fn)(void *arg), void *arg);
void yk_epoll_flow_unwant(yk_flow *f);
ssize_t yk_epoll_flow_send(yk_flow *f, const void *from, size_t n);
void yk_epoll_flow_want_room(yk_flow *f, void (*fn)(void *arg), void *arg);
void yk_epoll_flow_unwant_room(yk_flow *f);
size_t yk_epoll_flow_unsent(const yk_flow *f);
void yk_epoll_flow_want_empty(yk_flow *f, void (*fn)(void *arg), void *arg);
void yk_epoll_flow_push(yk_flow *f);
void yk_epoll_flow_shutdown(yk_flow *f);
void yk_epoll_flow_close(yk_flow *f);
#endif
