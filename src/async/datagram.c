/* datagram: UDP. One operation for each datagram. */
#include "async/net.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/uio.h>

struct yoke_udp {
    yk_socket s;
    char text[160];
};

/* The addresses of one for datagrams; others are not looked up first. */
static int resolve(const char *where, bool bind, yoke_address **ret)
{
    yk_where w = {0};
    int err = yk_where_parse(where, &w);
    if (err < 0)
        return err;
    if (w.kind == YK_UDP)
        return yk_where_resolve(where, &w, bind, ret);
    if (w.kind == YK_TCP)
        yk_net_failf(EINVAL, "\"%s\" is no place for datagrams: \"udp:%s\" is", where, where + strlen("tcp:"));
    else
        yk_net_failf(EINVAL, "\"%s\" is no place for datagrams: udp:HOST:PORT is", where);
    return -EINVAL;
}

static int bind_to(yk_socket *s, const char *where)
{
    yoke_address *all;
    int n = resolve(where, true, &all);
    if (n < 0)
        return yk_net_stopped(n, "datagrams at", where);
    int err = yk_socket_open(s, yk_family(&all[0]), SOCK_DGRAM);
    if (err == 0 && yk_sys.bind(s->fd, yk_sockaddr(&all[0]), all[0].len) < 0) {
        err = -errno;
        yk_socket_close(s);
    }
    free(all);
    return err < 0 ? yk_net_fail(err, "datagrams at", where) : 0;
}

int yoke_udp_open(const char *where, yoke_udp **ret)
{
    if (!ret)
        return -EINVAL;
    yoke_udp *u = yk_sys.calloc(1, sizeof *u);
    if (!u)
        return yk_net_fail(-ENOMEM, "datagrams at", where ? where : "any address");
    int err = where ? bind_to(&u->s, where) : yk_socket_open(&u->s, AF_INET, SOCK_DGRAM);
    if (err < 0) {
        free(u);
        return where ? err : yk_net_fail(err, "datagrams at", "any address");
    }
    *ret = u;
    return 0;
}

static ssize_t leave(yoke_udp *u, ssize_t code)
{
    if (yk_socket_leave(&u->s))
        free(u);
    return code;
}

/* connect(2) of a datagram socket waits for nothing. */
static int connect_to(yoke_udp *u, const char *where)
{
    yoke_address *all, own;
    int n = resolve(where, false, &all);
    if (n < 0)
        return yk_net_stopped(n, "datagrams to", where);
    int err = yk_address_of(u->s.fd, false, false, &own), family = err == 0 ? yk_family(&own) : 0;
    if (err == 0)
        err = -EAFNOSUPPORT;
    for (int i = 0; i < n && err == -EAFNOSUPPORT; i++)
        if (yk_family(&all[i]) == family)
            err = yk_sys.connect(u->s.fd, yk_sockaddr(&all[i]), all[i].len) < 0 ? -errno : 0;
    free(all);
    return err < 0 ? yk_net_fail(err, "datagrams to", where) : 0;
}

int yoke_udp_connect(yoke_udp *u, const char *where)
{
    int err = u ? yk_socket_enter(&u->s) : -EINVAL;
    return err < 0 ? err : (int)leave(u, connect_to(u, where));
}

ssize_t yoke_udp_send(yoke_udp *u, const void *buf, size_t n, const yoke_address *to)
{
    int err = u ? yk_socket_enter(&u->s) : -EINVAL;
    if (err < 0)
        return err;
    yoke_address copy = to ? *to : (yoke_address){0};
    struct iovec v = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = to ? yk_sockaddr(&copy) : NULL, .msg_namelen = copy.len};
    yk_io io = {.op = {.kind = YK_OP_SENDMSG, .message = &m}};
    return leave(u, yk_socket_operate(&u->s, &io, "send a datagram"));
}

ssize_t yoke_udp_receive(yoke_udp *u, void *buf, size_t n, yoke_address *from)
{
    int err = u ? yk_socket_enter(&u->s) : -EINVAL;
    if (err < 0)
        return err;
    struct sockaddr_storage address = {0};
    struct iovec v = {buf, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &address, .msg_namelen = sizeof address};
    yk_io io = {.op = {.kind = YK_OP_RECVMSG, .message = &m, .flags = MSG_TRUNC}};
    int64_t got = yk_socket_operate(&u->s, &io, "receive a datagram");
    if (got >= 0 && from)
        yk_address_set(from, (struct sockaddr *)&address, m.msg_namelen, false);
    return leave(u, got);
}

static bool own_address(const yoke_udp *u, yoke_address *ret)
{
    return yk_address_of(u->s.fd, false, false, ret) == 0;
}

int yoke_udp_port(const yoke_udp *u)
{
    yoke_address a;
    return own_address(u, &a) ? yoke_address_port(&a) : 0;
}

const char *yoke_udp_address(yoke_udp *u)
{
    yoke_address a;
    return own_address(u, &a) ? yoke_address_text(&a, u->text, sizeof u->text) : "";
}

int yoke_udp_fd(const yoke_udp *u)
{
    return u->s.fd;
}

void yoke_udp_close(yoke_udp *u)
{
    if (u && !u->s.closed && yk_socket_close(&u->s))
        free(u);
}
