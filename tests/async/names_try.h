/* names_try.h - a server of names of the test's, in a thread, over UDP on loopback: whom c-ares asks. */
#ifndef YK_TESTS_NAMES_TRY_H
#define YK_TESTS_NAMES_TRY_H
#include "test.h"
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    pthread_t thread;
    int fd;
    char where[40];
    _Atomic int asked;
    _Atomic bool dumb;
} dns;

/* The name asked for, as text; where the question ends. */
static inline size_t read_name(const unsigned char *q, size_t n, char *name)
{
    size_t at = 12, len = 0;
    while (at < n && q[at] != 0) {
        if (len > 0)
            name[len++] = '.';
        memcpy(name + len, q + at + 1, q[at]);
        len += q[at];
        at += q[at] + 1u;
    }
    name[len] = 0;
    return at + 5;
}

static inline size_t put(unsigned char *to, size_t at, const void *bytes, size_t n)
{
    memcpy(to + at, bytes, n);
    return at + n;
}

static inline size_t answer(const unsigned char *q, size_t n, unsigned char *a)
{
    static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    char name[300];
    size_t end = read_name(q, n, name);
    bool v4 = q[end - 3] == 1;
    int count = 0;
    memcpy(a, q, end);
    a[2] = 0x81;
    a[3] = 0x80;
    memset(a + 6, 0, 6);
    if (strcmp(name, "none.test") == 0)
        a[3] |= 3;
    else if (strcmp(name, "broken.test") == 0)
        a[3] |= 2;
    else
        count = v4 ? (strcmp(name, "two.test") == 0 ? 2 : 1) : 0;
    a[7] = (unsigned char)count;
    size_t at = end;
    for (int i = 0; i < count; i++) {
        at = put(a, at, record, sizeof record);
        at = put(a, at, (unsigned char[]){127, 0, 0, (unsigned char)(1 + i)}, 4);
    }
    return at;
}

static inline void *serve_names(void *unused)
{
    for (;;) {
        unsigned char q[600], a[800];
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(dns.fd, q, sizeof q, 0, (struct sockaddr *)&from, &len);
        if (n < 17)
            return unused;
        dns.asked++;
        if (!dns.dumb)
            sendto(dns.fd, a, answer(q, (size_t)n, a), 0, (struct sockaddr *)&from, len);
    }
}

static inline bool begin_dns(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    void *library = dlopen("libcares.so.2", RTLD_NOW);
    if (!library)
        return false;
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(dns.fd, (struct sockaddr *)&a, len), 0);
    CHECK_INT(getsockname(dns.fd, (struct sockaddr *)&a, &len), 0);
    snprintf(dns.where, sizeof dns.where, "127.0.0.1:%d", ntohs(a.sin_port));
    setenv("YOKE_DNS", "cares", 1);
    setenv("YOKE_DNS_SERVERS", dns.where, 1);
    setenv("RES_OPTIONS", "timeout:1 attempts:1 ndots:1", 1);
    CHECK_INT(pthread_create(&dns.thread, NULL, serve_names, NULL), 0);
    return true;
}

static inline void end_dns(void)
{
    struct sockaddr_storage to;
    socklen_t len = sizeof to;
    getsockname(dns.fd, (struct sockaddr *)&to, &len);
    sendto(dns.fd, "", 0, 0, (struct sockaddr *)&to, len);
    pthread_join(dns.thread, NULL);
    close(dns.fd);
}

#define WITH_DNS()                                                                                                     \
    do {                                                                                                               \
        if (!begin_dns())                                                                                              \
            SKIP("there is no libcares.so.2 here");                                                                    \
    } while (0)
#endif
