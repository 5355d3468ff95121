/* echo_epoll.c - the floor for an echo server over epoll: one thread, nothing but the calls that the work needs.
 *
 * Edge-triggered, because a level-triggered socket is asked once more at the next epoll_wait() after it was reported. A read that
 * did not fill the buffer has emptied the socket, so there is no second one: what comes later is a new edge. */
#include "echo.h"
#include <sys/epoll.h>

enum { EVENTS = 256, BUFFER = 4096 };

static void admit(int ep, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
        echo_check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
    }
}

static void answer(int fd)
{
    static char buf[BUFFER];
    ssize_t n;
    do {
        n = recv(fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n) {
            close(fd);
            return;
        }
    } while (n == sizeof buf);
}

int main(void)
{
    int listener = echo_listen(SOCK_NONBLOCK), ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = listener}};
    echo_check(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, listener, events) == 0, "epoll");
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                admit(ep, listener);
            else
                answer(events[i].data.fd);
    }
}
