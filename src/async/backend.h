/* backend: what a loop waits with. One struct of functions for each kind (epoll.c, uring.c); the rest of the part does not know
 * which it has.
 *
 * An operation is asked for by start(), and has ended when its `done` is called, from poll(), in the thread of the loop; or at
 * once, when start() says so. Until then the backend owns it and what it points to. Descriptors may be blocking or not; the
 * backend sees to it that the loop's thread never blocks in one.
 *
 * What an operation on a socket does is what the call of the same name does on a blocking descriptor: receives what there is,
 * sends all or, after an error, what it could. */
#ifndef YK_ASYNC_BACKEND_H
#define YK_ASYNC_BACKEND_H
#include "base/base.h"
#include <sys/socket.h>

/* How long a connect to a Unix socket without room waits before it asks again: nothing tells of room. */
#define YK_CONNECT_AGAIN (1 * YOKE_MS)

typedef struct yk_backend yk_backend;
struct yk_loop;

typedef enum yk_op_kind {
    YK_OP_POLL,    /* flags: events of poll(2), or'ed; result: those that are there (level-triggered, at least one) */
    YK_OP_READ,    /* buf, len; offset -1: at the place where the file is (pipes, terminals, sockets too) */
    YK_OP_WRITE,   /* the same; all of it, unless an error comes in between: then what was written, or the error */
    YK_OP_RECV,    /* buf, len, flags of recv(2); MSG_WAITALL says nothing with MSG_PEEK */
    YK_OP_SEND,    /* all of it, as WRITE; never raises SIGPIPE */
    YK_OP_RECVMSG, /* message, flags */
    YK_OP_SENDMSG, /* for datagrams and descriptors; one call's worth */
    YK_OP_ACCEPT,  /* address and address_len may be NULL; result: the descriptor, CLOEXEC, with SOCK_ flags of `flags`. With
                      `many` it may go on: then done() is called for each, and `more` says that this was not the last */
    YK_OP_CONNECT, /* address, len */
    YK_OP_OPENAT,  /* fd: a folder or AT_FDCWD; path, flags, mode */
    YK_OP_FSYNC,   /* flags: 1 for fdatasync */
    YK_OP_STATX,   /* fd, path, flags, mask, statx */
    YK_OP_WAIT_CHILD /* fd: a pidfd; info: siginfo_t *; result 0 when the child has ended and is reaped */
} yk_op_kind;

/* Zero it, set kind, fd, what the kind uses, and done. The rest is the backend's. */
typedef struct yk_op {
    yk_op_kind kind;
    int fd, flags;
    unsigned mode, mask;
    bool many, more;
    void *buf;                 /* for writing it is not written to */
    size_t len;
    int64_t offset;
    union {
        struct msghdr *message;
        const char *path;
        void *info;
    };
    struct sockaddr *address;
    socklen_t *address_len;
    struct statx *statx;
    bool helped;               /* what it waits for is somebody's work, who will be done: a test's clock waits for that */
    void (*done)(struct yk_op *op); /* result is final; the operation is the owner's again, but if there is more */
    int64_t result;            /* or a negative code */

    struct yk_op *next, *prev; /* the backend's, as all below */
    size_t so_far;
    uint32_t state, generation;
    void *own;                 /* while offloaded: NULL, or a size_t that counts down when it is home */
    struct yk_loop *loop;      /* yk_offload()'s, as the next two */
    void (*work)(struct yk_op *op);
    void *post[2];             /* a yk_post of async.h */
} yk_op;

/* A connected stream socket that belongs to a yk_conn (conn.c) and nobody else reads or writes: the backend may read ahead of who
 * asks, and write behind. One coroutine may wait to receive and another to send at the same time. */
typedef struct yk_flow yk_flow;

typedef struct yk_backend_type {
    const char *name; /* "epoll" */
    /* Called in the thread of the loop. On failure a negative code and one line that says why the kernel has it not. */
    int (*open)(yk_backend **ret, yk_error *e);
    /* No operation is under way, no flow is open. */
    void (*close)(yk_backend *b);
    /* True: it has ended already, op->result is final and done() is not called. False: it is under way. */
    bool (*start)(yk_backend *b, yk_op *op);
    /* Asks it to stop. True: it is taken back, nothing happened, done() is not called. False: done() will be called, with
     * -ECANCELED if nothing happened, else with what happened. Asking again changes nothing. */
    bool (*cancel)(yk_backend *b, yk_op *op);
    /* Hands over to the kernel what start() and flows have prepared, waits until something has happened, wake() was called, or
     * the deadline has passed (absolute, yoke's clock; 0: does not wait; YOKE_FOREVER), and calls done() of all that has ended.
     * 0, or a negative code (-EINTR is not one). */
    int (*poll)(yk_backend *b, int64_t deadline);
    /* Makes poll() return, now or when it is next called. Any thread, and signal handlers. */
    void (*wake)(yk_backend *b);
    /* The owner is about to close fd, and no operation on it is under way: forgets what is known of it. */
    void (*forget)(yk_backend *b, int fd);
    /* Operations that have not ended, and flows that are not closed. */
    size_t (*under_way)(const yk_backend *b);

    /* Takes over a connected, non-blocking or blocking stream socket. 0 or -ENOMEM... */
    int (*flow_open)(yk_backend *b, int fd, yk_flow **ret);
    /* Bytes that are there, at once; 0 at the end of the stream; -EAGAIN: none yet (then flow_want() says when). Or an error. */
    ssize_t (*flow_recv)(yk_flow *f, void *to, size_t n);
    /* Calls fn(arg) once, from poll(), when flow_recv() would say something else than -EAGAIN. One at a time. */
    void (*flow_want)(yk_flow *f, void (*fn)(void *arg), void *arg);
    void (*flow_unwant)(yk_flow *f); /* no longer */
    /* Takes bytes to send, as many as fit below the high-water mark (64 KiB): how many were taken, copied; -EAGAIN when none fit
     * (then flow_want_room() says when below the low-water mark, 16 KiB). An error that an earlier send met is returned once. */
    ssize_t (*flow_send)(yk_flow *f, const void *from, size_t n);
    void (*flow_want_room)(yk_flow *f, void (*fn)(void *arg), void *arg);
    void (*flow_unwant_room)(yk_flow *f);
    /* Bytes that the kernel has not taken yet; flow_want_empty: calls fn when there are none, or an error. */
    size_t (*flow_unsent)(const yk_flow *f);
    void (*flow_want_empty)(yk_flow *f, void (*fn)(void *arg), void *arg);
    /* Has the kernel take what it takes of that now, instead of with the next poll(). */
    void (*flow_push)(yk_flow *f);
    /* Sends what is unsent, then shuts down the writing side. */
    void (*flow_shutdown)(yk_flow *f);
    /* Gives up: what is unsent is dropped (send it first with flow_want_empty), and the socket is closed as soon as the kernel
     * has let go of it. No fn is called any more. */
    void (*flow_close)(yk_flow *f);
} yk_backend_type;

extern const yk_backend_type yk_epoll_backend;
extern const yk_backend_type yk_uring_backend;

/* Runs work(op) in another thread, which sets op->result; then done() is called in the loop's thread. For what epoll cannot do,
 * files, and io_uring on old kernels. True: no thread could be had, so it ran here and done() is not called. offload.c. */
bool yk_offload(yk_op *op, void (*work)(yk_op *op));
#endif
