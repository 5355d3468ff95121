/* echo.h - what the raw echo servers share: the listening socket, and how they tell its port.
 *
 * All servers speak alike: on loopback, "port N" as the first line of stdout, one thread, until they are killed. They drop a
 * client that does not read its answers: the raw ones because what it would take is not on the path that is measured. */
#ifndef YK_BENCH_ECHO_H
#define YK_BENCH_ECHO_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void echo_check(bool well, const char *what)
{
    if (!well) {
        perror(what);
        exit(1);
    }
}

static inline void echo_tell(int port)
{
    printf("port %d\n", port);
    fflush(stdout);
}

static inline int echo_listen(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    echo_check(fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 && listen(fd, 4096) == 0 &&
                   getsockname(fd, (struct sockaddr *)&a, &size) == 0, "listen");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* accepted sockets take it over */
    echo_tell(ntohs(a.sin_port));
    return fd;
}
#endif
