/* echo_load.c - echo_load PID PORT CONNECTIONS SECONDS [REQUESTS]: what an echo server is asked, and what it cost it.
 *
 * Each connection sends 64 bytes that nothing else sends, waits until exactly these have come back, and sends the next; after so
 * many REQUESTS it is cut off, and another one takes its place (0: it stays). After a tenth of the time and 4 requests of each,
 * when the server is warm, it counts. In the end it waits for the last answers, and prints one line: requests, seconds, ns of CPU
 * time of the process PID, and the median and the 99th percentile of the time of a request in ns. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, EVENTS = 256, FINE = 32, BUCKETS = 64 * FINE };

typedef struct connection {
    int fd;
    unsigned id, got;
    uint64_t count;
    int64_t sent;
    char in[SIZE];
} connection;

static uint64_t histogram[BUCKETS]; /* FINE steps for each power of two */
static uint64_t requests;
static unsigned unanswered;
static bool ending; /* no new requests */
static uint64_t each; /* requests of a connection; 0: all */
static struct sockaddr_in address; /* the server's */
static int ep;
static clockid_t server; /* the CPU time of the server: of all its threads, to the ns */

static void check(bool well, const char *what)
{
    if (!well) {
        fprintf(stderr, "echo_load: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static int64_t now(clockid_t clock)
{
    struct timespec t;
    check(clock_gettime(clock, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int bucket(int64_t ns)
{
    if (ns < FINE)
        return ns < 0 ? 0 : (int)ns;
    int top = 63 - __builtin_clzll((uint64_t)ns);
    return (top - 4) * FINE + (int)(ns >> (top - 5) & (FINE - 1));
}

/* The least time in a bucket. */
static int64_t time_of(int b)
{
    return b < FINE ? b : (int64_t)(FINE + b % FINE) << (b / FINE - 1);
}

static int64_t percentile(double part)
{
    uint64_t below = 0;
    for (int b = 0; b < BUCKETS; b++)
        if ((below += histogram[b]) >= part * (double)requests)
            return time_of(b);
    return 0;
}

/* What the next request says: no other connection says it, nor this one again. */
static void message(const connection *c, char out[SIZE])
{
    uint64_t word = (c->count << 20 | c->id) * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < SIZE; i += 8, word += 0x0101010101010101u)
        memcpy(out + i, &word, 8);
}

/* Reset when it is closed: thousands of short ones would leave no port for the next. */
static void come(connection *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
    check(epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) == 0, "epoll_ctl");
}

static void ask(connection *c)
{
    char out[SIZE];
    message(c, out);
    c->sent = now(CLOCK_MONOTONIC);
    check(send(c->fd, out, SIZE, MSG_NOSIGNAL) == SIZE, "send");
    unanswered++;
}

static void answered(connection *c)
{
    char expected[SIZE];
    message(c, expected);
    errno = EBADMSG;
    check(memcmp(c->in, expected, SIZE) == 0, "other bytes came back");
    histogram[bucket(now(CLOCK_MONOTONIC) - c->sent)]++;
    requests++;
    c->count++;
    c->got = 0;
    unanswered--;
    if (each > 0 && c->count % each == 0) {
        close(c->fd);
        come(c);
    }
    if (!ending)
        ask(c);
}

static void hear(connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->got, SIZE - c->got, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    check(n > 0, n == 0 ? "the server hung up" : "recv");
    c->got += (unsigned)n;
    if (c->got == SIZE)
        answered(c);
}

/* Until that time and that many requests, or until all is answered. */
static void run_until(int64_t end, uint64_t least)
{
    struct epoll_event events[EVENTS];
    while (unanswered > 0 && (requests < least || now(CLOCK_MONOTONIC) < end)) {
        int n = epoll_wait(ep, events, EVENTS, 10000);
        check(n > 0, n == 0 ? "no answer for 10 s" : "epoll_wait");
        for (int i = 0; i < n; i++)
            hear(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: echo_load PID PORT CONNECTIONS SECONDS [REQUESTS]\n");
        return 2;
    }
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
    double seconds = strtod(argv[4], NULL);
    connection *all = calloc(count, sizeof *all);
    in_port_t port = htons((uint16_t)strtol(argv[2], NULL, 10));
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    each = argc == 6 ? strtoull(argv[5], NULL, 10) : 0;
    ep = epoll_create1(EPOLL_CLOEXEC);
    check(all && ep >= 0, "start");
    check((errno = clock_getcpuclockid((pid_t)strtol(argv[1], NULL, 10), &server)) == 0, "the server's clock");
    for (unsigned i = 0; i < count; i++) {
        all[i].id = i;
        come(&all[i]);
    }
    for (unsigned i = 0; i < count; i++)
        ask(&all[i]);
    int64_t begin = now(CLOCK_MONOTONIC);
    run_until(begin + (int64_t)(seconds * 1e8), 4 * count);
    requests = 0;
    memset(histogram, 0, sizeof histogram);
    int64_t cpu = now(server);
    begin = now(CLOCK_MONOTONIC);
    run_until(begin + (int64_t)(seconds * 1e9), 1);
    cpu = now(server) - cpu;
    int64_t took = now(CLOCK_MONOTONIC) - begin;
    uint64_t counted = requests;
    ending = true;
    run_until(INT64_MAX, 0);
    printf("%llu %.6f %lld %lld %lld\n", (unsigned long long)counted, (double)took / 1e9, (long long)cpu,
           (long long)percentile(0.5), (long long)percentile(0.99));
}
