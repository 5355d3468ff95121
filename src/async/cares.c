/* cares: look-ups by c-ares.
 *
 * The library says which sockets it waits for and until when; they are in an epoll set of the look-up's own, so that one
 * operation of the loop, or one poll(2) in a thread, waits for all of them. Each look-up has a channel of its own, which it takes
 * with it when it is told to stop.
 *
 * libcares.so.2 is opened when it is first needed, as of version 1.16; YOKE_CARES_LIBRARY names another file. What is declared
 * here of it is part of its ABI. */
#include "async/cares.h"
#include "sync/mutex.h"
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- The library ---- */

typedef struct ares_channel ares_channel;

typedef struct ares_node {
    int ttl, flags, family, socktype, protocol;
    socklen_t len;
    struct sockaddr *address;
    struct ares_node *next;
} ares_node;

typedef struct ares_result {
    void *names;
    ares_node *nodes;
    char *name;
} ares_result;

typedef struct ares_hints {
    int flags, family, socktype, protocol;
} ares_hints;

typedef void ares_answered(void *arg, int status, int timeouts, ares_result *result);

enum { ARES_NODATA = 1, ARES_NOTFOUND = 4, ARES_BADNAME = 8, ARES_NOMEM = 15, ARES_NONAME = 19, ARES_SERVICE = 25 };
enum { ARES_SOCKETS = 16, ARES_NUMERICSERV = 1 << 3, ARES_NONE = -1 };

#define CALLS(X)                                                                                                       \
    X(int, ares_library_init, (int flags))                                                                             \
    X(int, ares_init, (ares_channel * *ret))                                                                           \
    X(void, ares_destroy, (ares_channel * c))                                                                          \
    X(void, ares_getaddrinfo, (ares_channel * c, const char *host, const char *service, const ares_hints *hints,       \
                               ares_answered *fn, void *arg))                                                          \
    X(void, ares_freeaddrinfo, (ares_result * r))                                                                      \
    X(int, ares_getsock, (ares_channel * c, int *sockets, int n))                                                      \
    X(struct timeval *, ares_timeout, (ares_channel * c, struct timeval *most, struct timeval *ret))                   \
    X(void, ares_process_fd, (ares_channel * c, int readable, int writable))                                           \
    X(int, ares_set_servers_ports_csv, (ares_channel * c, const char *servers))                                        \
    X(const char *, ares_strerror, (int status))

#define FIELD(result, name, parameters) result(*name) parameters;
typedef struct table {
    CALLS(FIELD)
} table;

/* Written under the lock, once. */
static struct {
    yk_mutex lock;
    bool done;
    table calls;
} lib;

YK_HELD_WHILE_FORKING(lib.lock)

static int find_all(void *library, table *t)
{
#define ENTRY(result, name, parameters) {#name, offsetof(table, name)},
    static const struct {
        const char *name;
        size_t at;
    } entries[] = {CALLS(ENTRY)};
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++) {
        void *found = dlsym(library, entries[i].name);
        if (!found)
            return yk_net_failf(ENOTSUP, "c-ares lacks %s: it is not c-ares, or one before 1.16", entries[i].name);
        memcpy((char *)t + entries[i].at, &found, sizeof found);
    }
    return 0;
}

static int open_library(void)
{
    const char *asked = getenv("YOKE_CARES_LIBRARY");
    table found = {0};
    void *library = yk_sys.dlopen(asked && *asked ? asked : "libcares.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return yk_net_failf(ENOTSUP, "YOKE_DNS=cares: there is no libcares.so.2 here (Debian: libc-ares2)");
    int err = find_all(library, &found);
    if (err == 0 && (!found.ares_library_init || found.ares_library_init(0) != 0))
        err = yk_net_failf(ENOTSUP, "c-ares does not start");
    if (err < 0) {
        dlclose(library);
        return err;
    }
    lib.calls = found;
    lib.done = true;
    return 0;
}

static int load(void)
{
    yk_mutex_lock(&lib.lock);
    int err = lib.done ? 0 : open_library();
    yk_mutex_unlock(&lib.lock);
    return err;
}

/* ---- A look-up ---- */

typedef struct query {
    ares_channel *channel;
    int set;         /* the epoll set */
    bool done, tcp;
    const char *host, *service;
    int result;      /* as of yoke_resolve() */
    yoke_address *all;
} query;

static int fail(const query *q, int status)
{
    switch (status) {
    case ARES_NODATA: case ARES_NOTFOUND: case ARES_BADNAME: case ARES_NONAME:
        return yk_net_failf(ENOENT, "there is no host \"%s\"", q->host);
    case ARES_SERVICE: return yk_net_failf(EINVAL, "there is no service \"%s\"", q->service);
    case ARES_NOMEM: return yk_net_fail(-ENOMEM, "look-up of", q->host);
    default: return yk_net_failf(EREMOTEIO, "look-up of \"%s\": %s", q->host, lib.calls.ares_strerror(status));
    }
}

static int collect(query *q, const ares_result *r)
{
    size_t n = 0;
    int at = 0;
    for (const ares_node *a = r->nodes; a; a = a->next)
        n++;
    if (n == 0)
        return fail(q, ARES_NODATA);
    q->all = yk_sys.malloc(n * sizeof *q->all);
    if (!q->all)
        return fail(q, ARES_NOMEM);
    for (const ares_node *a = r->nodes; a; a = a->next)
        at += yk_address_set(&q->all[at], a->address, a->len, q->tcp);
    return at;
}

static void answered(void *arg, int status, int timeouts, ares_result *result)
{
    query *q = arg;
    q->done = true;
    q->result = status == 0 && result ? collect(q, result) : fail(q, status);
    if (result)
        lib.calls.ares_freeaddrinfo(result);
}

/* What it waits for, into the set; those that it has closed are out of it by themselves. */
static int watch_sockets(query *q)
{
    int sockets[ARES_SOCKETS], bits = lib.calls.ares_getsock(q->channel, sockets, ARES_SOCKETS);
    for (int i = 0; i < ARES_SOCKETS; i++) {
        bool in = bits >> i & 1, out = bits >> (i + ARES_SOCKETS) & 1;
        if (!in && !out)
            continue;
        struct epoll_event e = {.events = (in ? (uint32_t)EPOLLIN : 0) | (out ? (uint32_t)EPOLLOUT : 0), .data.fd = sockets[i]};
        if (yk_sys.epoll_ctl(q->set, EPOLL_CTL_MOD, sockets[i], &e) < 0 &&
            (errno != ENOENT || yk_sys.epoll_ctl(q->set, EPOLL_CTL_ADD, sockets[i], &e) < 0))
            return -errno;
    }
    return 0;
}

/* In ns; at least a little, for c-ares rounds down. */
static int64_t time_left(const query *q)
{
    struct timeval tv, *t = lib.calls.ares_timeout(q->channel, NULL, &tv);
    return t ? t->tv_sec * YOKE_S + t->tv_usec * 1000 + YOKE_MS : YOKE_S;
}

static int wait_for_set(const query *q)
{
    if (yk_net_loop()) {
        yk_io io = {.op = {.kind = YK_OP_POLL, .fd = q->set, .flags = POLLIN}};
        int64_t n = yk_operate(&io, "look-up", yk_after(time_left(q)));
        return n < 0 && n != -ETIMEDOUT ? (int)n : 0;
    }
    struct pollfd p = {.fd = q->set, .events = POLLIN};
    return yk_sys.poll(&p, 1, (int)(time_left(q) / YOKE_MS) + 1) < 0 && errno != EINTR ? -errno : 0;
}

static int process(query *q)
{
    struct epoll_event events[ARES_SOCKETS];
    int n = yk_sys.epoll_wait(q->set, events, ARES_SOCKETS, 0);
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n <= 0)
        lib.calls.ares_process_fd(q->channel, ARES_NONE, ARES_NONE); /* it is late */
    for (int i = 0; i < n; i++)
        lib.calls.ares_process_fd(q->channel, events[i].events & (uint32_t)~EPOLLOUT ? events[i].data.fd : ARES_NONE,
                                  events[i].events & EPOLLOUT ? events[i].data.fd : ARES_NONE);
    return 0;
}

static int ask(query *q, const char *service, const struct addrinfo *hints)
{
    bool number = service[strspn(service, "0123456789")] == 0;
    const ares_hints h = {.flags = number ? ARES_NUMERICSERV : 0, .family = hints->ai_family, .socktype = hints->ai_socktype};
    const char *servers = getenv("YOKE_DNS_SERVERS");
    int err = 0;
    if (servers && *servers && lib.calls.ares_set_servers_ports_csv(q->channel, servers) != 0)
        return yk_net_failf(EINVAL, "YOKE_DNS_SERVERS is \"%s\"; it is a list as 127.0.0.1:53,[::1]:53", servers);
    lib.calls.ares_getaddrinfo(q->channel, q->host, *service ? service : NULL, &h, answered, q);
    while (!q->done && err == 0) {
        err = watch_sockets(q);
        if (err == 0)
            err = wait_for_set(q);
        if (err == 0)
            err = process(q);
    }
    if (err < 0 && err != -ECANCELED)
        yk_net_fail(err, "look-up of", q->host);
    return err < 0 ? err : q->result;
}

int yk_cares_look_up(const char *host, const char *service, const struct addrinfo *hints, yoke_address **ret)
{
    query q = {.host = host, .service = service, .tcp = hints->ai_socktype == SOCK_STREAM};
    int err = load();
    if (err < 0)
        return err;
    q.set = yk_sys.epoll_create1(EPOLL_CLOEXEC);
    if (q.set < 0)
        return yk_net_fail(-errno, "look-up of", host);
    err = lib.calls.ares_init(&q.channel) == 0 ? 0 : yk_net_failf(ENOMEM, "look-up of \"%s\": c-ares does not start", host);
    if (err == 0) {
        err = ask(&q, service, hints);
        lib.calls.ares_destroy(q.channel); /* calls answered(), unless it was */
    }
    yk_loop *loop = yk_net_loop();
    if (loop)
        loop->io->forget(loop->backend, q.set);
    close(q.set);
    if (err < 0)
        free(q.all);
    else
        *ret = q.all;
    return err;
}

int yk_cares_wanted(void)
{
    const char *asked = getenv("YOKE_DNS");
    if (!asked || !*asked || strcmp(asked, "system") == 0)
        return 0;
    return strcmp(asked, "cares") == 0 ? 1 : yk_net_failf(EINVAL, "YOKE_DNS is \"%s\"; it is \"cares\" or \"system\"", asked);
}
