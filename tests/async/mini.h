/* mini.h - a loop that does no more than tests of the backends need, and each test twice: over epoll and over io_uring. */
#ifndef YK_TESTS_MINI_H
#define YK_TESTS_MINI_H
#include "async/async.h"
#include "async/offload.h"
#include "test.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* BOTH(name) { ... } is the tests epoll_name and uring_name. */
#define BOTH_LIMIT(name, seconds)                                                                                      \
    static void both_##name(void);                                                                                     \
    TEST_LIMIT(epoll_##name, seconds)                                                                                  \
    {                                                                                                                  \
        mini_open(&yk_epoll_backend);                                                                                  \
        both_##name();                                                                                                 \
        mini_close();                                                                                                  \
    }                                                                                                                  \
    TEST_LIMIT(uring_##name, seconds)                                                                                  \
    {                                                                                                                  \
        mini_open(&yk_uring_backend);                                                                                  \
        both_##name();                                                                                                 \
        mini_close();                                                                                                  \
    }                                                                                                                  \
    static void both_##name(void)
#define BOTH(name) BOTH_LIMIT(name, 120)

static struct {
    const yk_backend_type *t;
    yk_backend *b;
    pthread_mutex_t lock;
    yk_post *first, **last;
} mini = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int mini_tolerated; /* an error that poll() may return */

static inline struct yk_loop *mini_here(void)
{
    return (struct yk_loop *)&mini;
}

static inline void mini_post(struct yk_loop *loop, yk_post *p)
{
    pthread_mutex_lock(&mini.lock);
    p->next = NULL;
    *mini.last = p;
    mini.last = &p->next;
    pthread_mutex_unlock(&mini.lock);
    mini.t->wake(mini.b);
}

static inline void mini_open(const yk_backend_type *t)
{
    yk_error e = {0};
    mini.t = t;
    mini.last = &mini.first;
    yk_offload_here = mini_here;
    yk_offload_post = mini_post;
    int err = t->open(&mini.b, &e);
    if (t == &yk_uring_backend && err < 0)
        SKIP("%s", e.text);
    CHECK_INT(err, 0);
}

static inline void mini_close(void)
{
    CHECK_INT(mini.t->under_way(mini.b), 0);
    yk_offload_leave(mini_here());
    mini.t->close(mini.b);
    yk_offload_end();
    CHECK_INT(yk_offload_threads(), 0);
}

/* One look at the kernel, and at what was posted. */
static inline void mini_turn(int64_t deadline)
{
    int err = mini.t->poll(mini.b, deadline);
    if (err != -mini_tolerated)
        CHECK_INT(err, 0);
    pthread_mutex_lock(&mini.lock);
    yk_post *p = mini.first;
    mini.first = NULL;
    mini.last = &mini.first;
    pthread_mutex_unlock(&mini.lock);
    for (yk_post *next; p; p = next) {
        next = p->next;
        p->fn(p);
    }
}

/* An operation that says when it is over. */
typedef struct mop {
    yk_op op; /* first */
    bool over;
    int order; /* the how manieth to end */
} mop;

static int mops_over;

static inline void mop_done(yk_op *op)
{
    mop *m = (mop *)(void *)op;
    CHECK(!m->over);
    m->over = true;
    m->order = ++mops_over;
}

static inline bool mop_start(mop *m)
{
    m->op.done = mop_done;
    m->over = mini.t->start(mini.b, &m->op);
    if (m->over)
        m->order = ++mops_over;
    return m->over;
}

static inline int64_t mop_end(mop *m)
{
    while (!m->over)
        mini_turn(YOKE_FOREVER);
    return m->op.result;
}

static inline int64_t mop_run(mop *m)
{
    mop_start(m);
    return mop_end(m);
}

/* Starts it, and sees that nothing comes of it yet. */
static inline void mop_wait(mop *m)
{
    CHECK(!mop_start(m));
    for (int i = 0; i < 3; i++)
        mini_turn(0);
    CHECK(!m->over);
}

/* Cancels it, and returns its result; a result that is taken back is -ECANCELED too. */
static inline int64_t mop_cancel(mop *m)
{
    if (!m->over && mini.t->cancel(mini.b, &m->op)) {
        m->over = true;
        m->op.result = -ECANCELED;
    }
    return mop_end(m);
}

/* ---- Operations, spelled out ---- */

static inline mop op_recv(int fd, void *buf, size_t len, int flags)
{
    return (mop){.op = {.kind = YK_OP_RECV, .fd = fd, .buf = buf, .len = len, .flags = flags}};
}

static inline mop op_send(int fd, const void *buf, size_t len, int flags)
{
    return (mop){.op = {.kind = YK_OP_SEND, .fd = fd, .buf = (void *)(uintptr_t)buf, .len = len, .flags = flags}};
}

static inline mop op_read(int fd, void *buf, size_t len, int64_t offset)
{
    return (mop){.op = {.kind = YK_OP_READ, .fd = fd, .buf = buf, .len = len, .offset = offset}};
}

static inline mop op_write(int fd, const void *buf, size_t len, int64_t offset)
{
    return (mop){.op = {.kind = YK_OP_WRITE, .fd = fd, .buf = (void *)(uintptr_t)buf, .len = len, .offset = offset}};
}

static inline mop op_poll(int fd, int events)
{
    return (mop){.op = {.kind = YK_OP_POLL, .fd = fd, .flags = events}};
}

static inline mop op_accept(int fd, int flags)
{
    return (mop){.op = {.kind = YK_OP_ACCEPT, .fd = fd, .flags = flags}};
}

static inline mop op_connect(int fd, struct sockaddr *address, socklen_t len)
{
    return (mop){.op = {.kind = YK_OP_CONNECT, .fd = fd, .address = address, .len = len}};
}

/* ---- Descriptors ---- */

static inline void mini_pair(int fds[2], int type)
{
    CHECK_INT(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
}

/* A listening TCP socket on loopback. */
static inline int mini_listener(struct sockaddr_in *address, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)address, len), 0);
    CHECK_INT(listen(fd, backlog), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

/* Two ends of a TCP connection. */
static inline void mini_tcp(int fds[2])
{
    struct sockaddr_in a;
    int listener = mini_listener(&a, 1);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fds[0], (struct sockaddr *)&a, sizeof a), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    close(listener);
}

static inline void mini_close_pair(const int fds[2])
{
    for (int i = 0; i < 2; i++) {
        mini.t->forget(mini.b, fds[i]);
        close(fds[i]);
    }
}

/* How many descriptors this process has. */
static inline int mini_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}
#endif
