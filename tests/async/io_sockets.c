/* io_sockets.c - sockets as plain descriptors: streams, datagrams, descriptors that are handed over, connections. */
#include "loops.h"
#include <netinet/in.h>
#include <sys/un.h>
#include <yoke/io.h>

static void make_pair(int fds[2], int type)
{
    CHECK_INT(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_pair(const int fds[2])
{
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
}

ALL(a_stream)
{
    int fds[2];
    char buf[16] = {0};
    make_pair(fds, SOCK_STREAM);
    CHECK_INT(yoke_send(fds[0], "hello", 5, 0), 5);
    CHECK_INT(yoke_recv(fds[1], buf, 5, MSG_PEEK), 5);
    CHECK_INT(yoke_recv(fds[1], buf, sizeof buf, 0), 5);
    CHECK_STR(buf, "hello");
    CHECK_INT(yoke_recv(fds[1], buf, 1, MSG_DONTWAIT), -EAGAIN);
    CHECK_INT(yoke_write(fds[1], "back", 4), 4);
    CHECK_INT(yoke_recv(fds[0], buf, 4, MSG_WAITALL), 4);
    CHECK_INT(shutdown(fds[1], SHUT_WR), 0);
    CHECK_INT(yoke_recv(fds[0], buf, 4, 0), 0);
    close_pair(fds);
}

typedef struct much {
    int fd;
    size_t n;
    bool wrong;
} much;

static void take_much(void *arg)
{
    much *m = arg;
    static char buf[1 << 16];
    ssize_t n;
    for (size_t at = 0; (n = read(m->fd, buf, sizeof buf)) > 0; at += (size_t)n, m->n += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            m->wrong |= buf[i] != (char)((at + (size_t)i) * 2654435761u >> 7);
}

ALL(a_send_is_all)
{
    enum { N = 5 << 20 };
    int fds[2];
    char *text = malloc(N);
    beside side;
    for (size_t i = 0; i < N; i++)
        text[i] = (char)(i * 2654435761u >> 7);
    make_pair(fds, SOCK_STREAM);
    much m = {fds[1], 0, false};
    beside_begin(&side, take_much, &m);
    CHECK_INT(yoke_send(fds[0], text, N, 0), N);
    CHECK_INT(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(shutdown(fds[0], SHUT_WR), 0);
    beside_end(&side);
    CHECK_INT(m.n, N);
    CHECK(!m.wrong);
    free(text);
    close_pair(fds);
}

ALL(datagrams)
{
    int fds[2];
    char buf[16];
    make_pair(fds, SOCK_DGRAM);
    CHECK_INT(yoke_send(fds[0], "ab", 2, 0), 2);
    CHECK_INT(yoke_send(fds[0], "", 0, 0), 0);
    CHECK_INT(yoke_send(fds[0], "cde", 3, 0), 3);
    CHECK_INT(yoke_recv(fds[1], buf, 1, 0), 1); /* the rest of it is gone */
    CHECK_INT(yoke_recv(fds[1], buf, sizeof buf, 0), 0);
    CHECK_INT(yoke_recv(fds[1], buf, sizeof buf, 0), 3);
    close_pair(fds);
}

static int64_t recvmsg_one(void *arg)
{
    char c;
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return yoke_recvmsg(*(int *)arg, &m, 0);
}

/* A descriptor is handed over in a message. */
ALL(messages)
{
    int fds[2], pipes[2], got = -1;
    char a[3] = "ab", b[3] = "cd", buf[8] = {0}, control[CMSG_SPACE(sizeof(int))] = {0};
    make_pair(fds, SOCK_STREAM);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    struct iovec v[2] = {{a, 2}, {b, 2}}, in = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(h), &pipes[1], sizeof(int));
    CHECK_INT(yoke_sendmsg(fds[0], &m, 0), 4);
    m = (struct msghdr){.msg_iov = &in, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_INT(yoke_recvmsg(fds[1], &m, MSG_CMSG_CLOEXEC), 4);
    CHECK_STR(buf, "abcd");
    h = CMSG_FIRSTHDR(&m);
    CHECK(h && h->cmsg_type == SCM_RIGHTS);
    memcpy(&got, CMSG_DATA(h), sizeof(int));
    CHECK_INT(yoke_write(got, "x", 1), 1);
    CHECK_INT(yoke_read(pipes[0], buf, 8), 1);
    CHECK_INT(yoke_close_fd(got), 0);
    CHECK_INT(yoke_recvmsg(fds[1], &m, MSG_DONTWAIT), -EAGAIN);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
    struct msghdr plain = {.msg_iov = v, .msg_iovlen = 2};
    CHECK_INT(yoke_sendmsg(fds[0], &plain, 0), -EPIPE);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    close_pair(pipes);
}

/* ---- Connections ---- */

static int listener(struct sockaddr_in *a)
{
    socklen_t len = sizeof *a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(bind(fd, (struct sockaddr *)a, len), 0);
    CHECK_INT(listen(fd, 5), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)a, &len), 0);
    return fd;
}

static int64_t accept_one(void *arg)
{
    return yoke_accept_fd(*(int *)arg, NULL, NULL, 0);
}

ALL(a_connection)
{
    struct sockaddr_in a, peer;
    socklen_t len = sizeof peer;
    char buf[8] = {0};
    int server = listener(&a), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(yoke_connect_fd(client, (struct sockaddr *)&a, sizeof a), 0);
    int fd = yoke_accept_fd(server, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    CHECK(fd >= 0);
    CHECK_INT(peer.sin_family, AF_INET);
    CHECK_INT(ntohl(peer.sin_addr.s_addr), INADDR_LOOPBACK);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK_INT(yoke_write(client, "abc", 3), 3);
    CHECK_INT(yoke_read(fd, buf, sizeof buf), 3);
    CHECK_INT(yoke_close_fd(client), 0);
    CHECK_INT(yoke_read(fd, buf, sizeof buf), 0);
    CHECK_INT(yoke_close_fd(fd), 0);
    CHECK_INT(yoke_close_fd(server), 0);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK_INT(yoke_connect_fd(client, (struct sockaddr *)&a, sizeof a), -ECONNREFUSED);
    CHECK_INT(yoke_close_fd(client), 0);
    CHECK_INT(yoke_accept_fd(0, NULL, NULL, 0), -ENOTSOCK);
}

static void connect_late(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    usleep(10000);
    CHECK_INT(connect(fd, arg, sizeof(struct sockaddr_in)), 0);
    close(fd);
}

ALL(an_accept_waits)
{
    struct sockaddr_in a;
    beside side;
    int server = listener(&a);
    beside_begin(&side, connect_late, &a);
    int fd = yoke_accept_fd(server, NULL, NULL, 0);
    CHECK(fd >= 0);
    beside_end(&side);
    CHECK_INT(yoke_close_fd(fd), 0);
    CHECK_INT(yoke_close_fd(server), 0);
}

static int64_t recv_one(void *arg)
{
    char c;
    return yoke_recv(*(int *)arg, &c, 1, 0);
}

typedef struct connecting {
    int fd;
    struct sockaddr_un address;
} connecting;

static int64_t connect_it(void *arg)
{
    connecting *c = arg;
    return yoke_connect_fd(c->fd, (struct sockaddr *)&c->address, sizeof c->address);
}

static int64_t send_much(void *arg)
{
    static char bytes[4 << 20];
    return yoke_send(*(int *)arg, bytes, sizeof bytes, 0);
}

LOOPS(cancelled)
{
    struct sockaddr_in a;
    int server = listener(&a), fds[2];
    char buf[8];
    attempt_cancel(accept_one, &server);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(yoke_connect_fd(client, (struct sockaddr *)&a, sizeof a), 0);
    int fd = yoke_accept_fd(server, NULL, NULL, 0); /* the cancelled ones have not taken it */
    CHECK(fd >= 0);
    attempt_cancel(recv_one, &fd);
    attempt_cancel(recvmsg_one, &fd);
    CHECK_INT(yoke_send(client, "abc", 3, 0), 3);
    CHECK_INT(yoke_recv(fd, buf, sizeof buf, 0), 3);
    close_pair((int[]){client, fd});
    CHECK_INT(yoke_close_fd(server), 0);
    make_pair(fds, SOCK_STREAM);
    attempt part;
    attempt_begin(&part, send_much, &fds[0]);
    CHECK(!part.over);
    yoke_scope_cancel(&part.scope);
    int64_t sent = attempt_end(&part);
    CHECK(sent > 0 && sent < 4 << 20);
    CHECK_INT(shutdown(fds[0], SHUT_WR), 0);
    static char rest[1 << 16];
    for (ssize_t n; (n = yoke_recv(fds[1], rest, sizeof rest, 0)) > 0;)
        sent -= n;
    CHECK_INT(sent, 0);
    close_pair(fds);
}

/* A Unix socket whose listener has no room. */
LOOPS(a_cancelled_connect)
{
    connecting c = {.address = {.sun_family = AF_UNIX}};
    int full[8], n = 0, server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(c.address.sun_path + 1, sizeof c.address.sun_path - 1, "yoke-io-%d", (int)getpid());
    CHECK_INT(bind(server, (struct sockaddr *)&c.address, sizeof c.address), 0);
    CHECK_INT(listen(server, 0), 0);
    do
        full[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (connect(full[n++], (struct sockaddr *)&c.address, sizeof c.address) == 0);
    c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    attempt_cancel(connect_it, &c);
    CHECK_INT(yoke_close_fd(c.fd), 0);
    c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    attempt a;
    attempt_begin(&a, connect_it, &c);
    CHECK(!a.over);
    for (int i = 0; i < n - 1; i++)
        CHECK_INT(close(accept(server, NULL, NULL)), 0);
    CHECK_INT(attempt_end(&a), 0);
    CHECK_INT(yoke_close_fd(c.fd), 0);
    while (n-- > 0)
        close(full[n]);
    CHECK_INT(yoke_close_fd(server), 0);
}
