/* net_try.h - tests of yoke/net.h: each in coroutines over epoll and over io_uring, and what makes sense in a thread too; and
 * looks whether descriptors are left over. */
#ifndef YK_TESTS_NET_TRY_H
#define YK_TESTS_NET_TRY_H
#include "async/net.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>
#include <yoke/net.h>

static inline int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n - 1;
}

/* As many as before, once the kernel has let go of those that were closed. */
static inline void check_descriptors(int before)
{
    for (int i = 0; i < 1000 && descriptors() != before; i++)
        yoke_sleep(YOKE_MS);
    CHECK_INT(descriptors(), before);
}

static void (*net_body)(void);

static inline int net_main(void *arg)
{
    net_body();
    return 0;
}

/* In a thread: NULL as backend. */
static inline void net_run(const char *backend, void (*body)(void))
{
    int before = descriptors();
    net_body = body;
    if (backend) {
        setenv("YOKE_ASYNC_BACKEND", backend, 1);
        int err = yoke_async_run(net_main, NULL);
        if (strcmp(backend, "io_uring") == 0 && err < 0)
            SKIP("io_uring: %s", yoke_strerror(err));
        CHECK_INT(err, 0);
    } else {
        body();
    }
    CHECK_INT(descriptors(), before);
}

#define NET_LIMIT(name, seconds)                                                                                       \
    static void net_##name(void);                                                                                      \
    TEST_LIMIT(epoll_##name, seconds) { net_run("epoll", net_##name); }                                                  \
    TEST_LIMIT(uring_##name, seconds) { net_run("io_uring", net_##name); }                                               \
    static void net_##name(void)
#define NET(name) NET_LIMIT(name, 120)
/* And in a thread. */
#define NET_ALSO(name)                                                                                                 \
    static void net_##name(void);                                                                                      \
    TEST(thread_##name) { net_run(NULL, net_##name); }                                                                   \
    NET(name)

/* ---- Connections ---- */

typedef struct ends {
    yoke_conn *a, *b;
} ends;

/* Two ends of a socketpair. */
static inline ends unix_pair(void)
{
    int fds[2];
    ends e;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_INT(yoke_conn_of_fd(fds[0], &e.a), 0);
    CHECK_INT(yoke_conn_of_fd(fds[1], &e.b), 0);
    return e;
}

/* Two ends of a TCP connection. */
static inline ends tcp_pair(void)
{
    yoke_listener *l;
    ends e;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &e.a), 0);
    CHECK_INT(yoke_accept(l, &e.b), 0);
    yoke_listener_close(l);
    return e;
}

static inline void close_ends(ends *e)
{
    CHECK_INT(yoke_conn_close(e->a), 0);
    CHECK_INT(yoke_conn_close(e->b), 0);
}

static inline void say(yoke_conn *c, const char *text)
{
    CHECK_INT(yoke_conn_write(c, text, strlen(text)), strlen(text));
}

/* Reads that much, and compares. */
static inline void hear(yoke_conn *c, const char *text)
{
    char got[1000];
    size_t n = strlen(text);
    CHECK_INT(yoke_conn_read_exactly(c, got, n), n);
    got[n] = 0;
    CHECK_STR(got, text);
}

static inline void hear_end(yoke_conn *c)
{
    char byte;
    CHECK_INT(yoke_conn_read(c, &byte, 1), 0);
    CHECK_INT(yoke_conn_read(c, &byte, 1), 0);
}

/* A call that waits, made by a coroutine of its own, which is told to stop as soon as it waits. */
typedef struct trial {
    int64_t (*call)(void *arg);
    void *arg;
    int64_t result;
    bool begun, over;
} trial;

static inline int run_trial(void *arg)
{
    trial *t = arg;
    t->begun = true;
    t->result = t->call(t->arg);
    t->over = true;
    return 0;
}

/* What it returns when it is told to stop; it has to be waiting by then. */
static inline int64_t stopped(int64_t (*call)(void *arg), void *arg)
{
    trial t = {.call = call, .arg = arg};
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, run_trial, &t);
    for (int i = 0; i < 20; i++)
        yoke_yield();
    CHECK(t.begun);
    CHECK(!t.over);
    yoke_group_cancel(&g);
    CHECK_INT(yoke_group_end(&g), 0);
    return t.result;
}

/* The same by a deadline. */
static inline int64_t timed_out(int64_t (*call)(void *arg), void *arg)
{
    int late = 0;
    int64_t result = 0;
    YOKE_TIMEOUT(10 * YOKE_MS, &late) {
        result = call(arg);
    }
    CHECK_INT(late, -ETIMEDOUT);
    return result;
}

/* And in a scope that is cancelled already: it does not begin. */
static inline int64_t stopped_before(int64_t (*call)(void *arg), void *arg)
{
    int64_t result = 0;
    YOKE_SCOPE(s) {
        yoke_scope_cancel(&s);
        result = call(arg);
    }
    return result;
}

/* ---- Bytes that can be told apart ---- */

static inline unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 13 ^ i);
}

static inline void make_bytes(unsigned char *to, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = byte_at(from + i);
}

static inline void check_bytes(const unsigned char *bytes, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != byte_at(from + i))
            test_fail(__FILE__, __LINE__, "byte %zu is another", from + i);
}

/* ---- Many at once, in a group: or, in a thread, in another thread ---- */

typedef struct helper {
    int (*fn)(void *arg);
    void *arg;
    yoke_group g;
    pthread_t thread;
    bool in_thread;
} helper;

static inline void *helper_main(void *arg)
{
    helper *h = arg;
    h->fn(h->arg);
    return NULL;
}

static inline void help(helper *h, int (*fn)(void *arg), void *arg)
{
    *h = (helper){.fn = fn, .arg = arg, .in_thread = !yoke_in_coroutine()};
    if (h->in_thread) {
        CHECK_INT(pthread_create(&h->thread, NULL, helper_main, h), 0);
        return;
    }
    yoke_group_begin(&h->g);
    CHECK_INT(yoke_go(&h->g, fn, arg), 0);
}

static inline void helped(helper *h)
{
    if (h->in_thread)
        pthread_join(h->thread, NULL);
    else
        CHECK_INT(yoke_group_end(&h->g), 0);
}
#endif
