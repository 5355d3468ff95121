/* Look-ups by c-ares, from a server of names of the test's, over UDP on loopback. */
#include "net_try.h"
#include <dlfcn.h>

/* ---- A server of names ---- */

static struct {
    pthread_t thread;
    int fd;
    char where[40];
    _Atomic int asked;
    _Atomic bool dumb;
} dns;

/* The name asked for, as text; where the question ends. */
static size_t read_name(const unsigned char *q, size_t n, char *name)
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

static size_t put(unsigned char *to, size_t at, const void *bytes, size_t n)
{
    memcpy(to + at, bytes, n);
    return at + n;
}

static size_t answer(const unsigned char *q, size_t n, unsigned char *a)
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

static void *serve(void *unused)
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

static bool begin_dns(void)
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
    CHECK_INT(pthread_create(&dns.thread, NULL, serve, NULL), 0);
    return true;
}

static void end_dns(void)
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

/* ---- Answers ---- */

NET_ALSO(answers)
{
    yoke_address *all;
    char text[160];
    WITH_DNS();
    CHECK_INT(yoke_resolve("one.test", "80", &all), 1);
    CHECK_STR(yoke_address_text(&all[0], text, sizeof text), "tcp:127.0.0.1:80");
    free(all);
    CHECK_INT(yoke_resolve("two.test", "81", &all), 2);
    CHECK_INT(yoke_address_port(&all[1]), 81);
    free(all);
    CHECK(dns.asked > 0);
    int before = dns.asked;
    CHECK_INT(yoke_resolve("127.0.0.3", "80", &all), 1); /* nobody is asked */
    free(all);
    CHECK(yoke_resolve("localhost", "80", &all) >= 1);
    CHECK_INT(yoke_address_port(&all[0]), 80);
    free(all);
    CHECK_INT(dns.asked, before);
    end_dns();
}

NET_ALSO(connects)
{
    yoke_listener *l;
    ends e;
    char where[60];
    WITH_DNS();
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    snprintf(where, sizeof where, "tcp:one.test:%d", yoke_listener_port(l));
    CHECK_INT(yoke_connect(where, &e.a), 0);
    CHECK_INT(yoke_accept(l, &e.b), 0);
    close_ends(&e);
    yoke_listener_close(l);
    end_dns();
}

NET_ALSO(errors)
{
    yoke_address *all;
    WITH_DNS();
    CHECK_INT(yoke_resolve("none.test", "80", &all), -ENOENT);
    CHECK_HAS(yoke_net_error(), "none.test");
    CHECK_INT(yoke_resolve("broken.test", "80", &all), -EREMOTEIO);
    CHECK_HAS(yoke_net_error(), "broken.test");
    CHECK_INT(yoke_resolve("one.test", "no-such-service", &all), -EINVAL);
    setenv("YOKE_DNS_SERVERS", "not an address", 1);
    CHECK_INT(yoke_resolve("one.test", "80", &all), -EINVAL);
    CHECK_HAS(yoke_net_error(), "YOKE_DNS_SERVERS");
    end_dns();
}

static int64_t resolve_one(void *arg)
{
    yoke_address *all = NULL;
    int n = yoke_resolve("one.test", "80", &all);
    if (n > 0)
        free(all);
    return n;
}

NET(told_to_stop)
{
    WITH_DNS();
    dns.dumb = true;
    CHECK_INT(stopped(resolve_one, NULL), -ECANCELED);
    CHECK_INT(timed_out(resolve_one, NULL), -ECANCELED);
    CHECK_INT(stopped_before(resolve_one, NULL), -ECANCELED);
    dns.dumb = false;
    CHECK_INT(resolve_one(NULL), 1);
    end_dns();
}

static int resolve_in_group(void *arg)
{
    CHECK_INT(resolve_one(NULL), 1);
    ++*(int *)arg;
    return 0;
}

NET(many_at_once)
{
    int n = 0;
    yoke_group g;
    WITH_DNS();
    yoke_group_begin(&g);
    for (int i = 0; i < 20; i++)
        yoke_go(&g, resolve_in_group, &n);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(n, 20);
    end_dns();
}

NET(calls_that_fail)
{
    static const char *const calls[] = {"epoll_create1", "epoll_ctl", "malloc", "calloc"};
    WITH_DNS();
    CHECK_INT(resolve_one(NULL), 1);
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1;; n++) {
            int before = descriptors();
            yk_sys_fail(calls[k], n, ENOMEM);
            int64_t err = resolve_one(NULL);
            int done = yk_sys_fail(calls[k], 0, 0);
            CHECK(err == 1 || err == -ENOMEM);
            check_descriptors(before);
            if (done < n)
                break;
        }
    end_dns();
}

/* ---- Where it is missing ---- */

TEST(no_library)
{
    yoke_address *all;
    setenv("YOKE_DNS", "cares", 1);
    setenv("YOKE_CARES_LIBRARY", "/no/such/library.so", 1);
    CHECK_INT(yoke_resolve("one.test", "80", &all), -ENOTSUP);
    CHECK_HAS(yoke_net_error(), "libcares.so.2");
    setenv("YOKE_CARES_LIBRARY", "libc.so.6", 1);
    CHECK_INT(yoke_resolve("one.test", "80", &all), -ENOTSUP);
    CHECK_HAS(yoke_net_error(), "ares_");
    CHECK_INT(yoke_resolve("127.0.0.1", "80", &all), 1);
    free(all);
}
