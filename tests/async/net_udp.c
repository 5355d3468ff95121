/* Datagrams. */
#include "net_try.h"

static yoke_udp *open_one(void)
{
    yoke_udp *u;
    CHECK_INT(yoke_udp_open("udp:127.0.0.1:0", &u), 0);
    CHECK(yoke_udp_port(u) > 0);
    CHECK_HAS(yoke_udp_address(u), "udp:127.0.0.1:");
    CHECK(yoke_udp_fd(u) >= 0);
    return u;
}

static yoke_address address_of(yoke_udp *u)
{
    yoke_address a;
    CHECK_INT(yoke_address_parse(yoke_udp_address(u), &a), 0);
    return a;
}

NET_ALSO(there_and_back)
{
    yoke_udp *a = open_one(), *b = open_one();
    yoke_address to = address_of(b), own = address_of(a), from;
    char buf[100];
    CHECK_INT(yoke_udp_send(a, "hello", 5, &to), 5);
    CHECK_INT(yoke_udp_receive(b, buf, sizeof buf, &from), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK(yoke_address_equal(&from, &own));
    CHECK_INT(yoke_udp_send(b, "back", 4, &from), 4);
    CHECK_INT(yoke_udp_receive(a, buf, 2, NULL), 4); /* cut */
    CHECK(memcmp(buf, "ba", 2) == 0);
    CHECK_INT(yoke_udp_send(b, "", 0, &from), 0); /* an empty one is one */
    CHECK_INT(yoke_udp_receive(a, buf, sizeof buf, &from), 0);
    yoke_udp_close(a);
    yoke_udp_close(b);
    yoke_udp_close(NULL);
}

NET_ALSO(connected)
{
    yoke_udp *a = open_one(), *b = open_one(), *c = open_one();
    yoke_address to = address_of(a);
    char buf[100];
    CHECK_INT(yoke_udp_connect(a, yoke_udp_address(b)), 0);
    CHECK_INT(yoke_udp_send(a, "one", 3, NULL), 3);
    CHECK_INT(yoke_udp_receive(b, buf, sizeof buf, NULL), 3);
    CHECK_INT(yoke_udp_send(c, "stranger", 8, &to), 8);
    CHECK_INT(yoke_udp_send(b, "two", 3, &to), 3);
    CHECK_INT(yoke_udp_receive(a, buf, sizeof buf, NULL), 3);
    CHECK(memcmp(buf, "two", 3) == 0);
    yoke_udp_close(b);
    CHECK_INT(yoke_udp_send(a, "three", 5, NULL), 5);
    CHECK_INT(yoke_udp_receive(a, buf, sizeof buf, NULL), -ECONNREFUSED);
    yoke_udp_close(a);
    yoke_udp_close(c);
}

NET_ALSO(without_an_address)
{
    yoke_udp *a, *b = open_one();
    yoke_address to = address_of(b), from;
    char buf[10];
    CHECK_INT(yoke_udp_open(NULL, &a), 0);
    CHECK_INT(yoke_udp_send(a, "x", 1, NULL), -EDESTADDRREQ);
    CHECK_INT(yoke_udp_send(a, "x", 1, &to), 1);
    CHECK_INT(yoke_udp_receive(b, buf, sizeof buf, &from), 1);
    CHECK_INT(yoke_address_port(&from), yoke_udp_port(a));
    static char large[70000];
    CHECK_INT(yoke_udp_send(a, large, sizeof large, &to), -EMSGSIZE);
    yoke_udp_close(a);
    yoke_udp_close(b);
}

NET_ALSO(wrong_places)
{
    yoke_udp *u, *other;
    CHECK_INT(yoke_udp_open("tcp:127.0.0.1:0", &u), -EINVAL);
    CHECK_STR(yoke_net_error(), "\"tcp:127.0.0.1:0\" is no place for datagrams: \"udp:127.0.0.1:0\" is");
    CHECK_INT(yoke_udp_open("tcp:no.such.host.test:80", &u), -EINVAL); /* nobody was asked for it */
    CHECK_HAS(yoke_net_error(), "\"udp:no.such.host.test:80\" is");
    CHECK_INT(yoke_udp_open("unix:/tmp/x", &u), -EINVAL);
    CHECK_STR(yoke_net_error(), "\"unix:/tmp/x\" is no place for datagrams: udp:HOST:PORT is");
    CHECK_INT(yoke_udp_open("udp:192.0.2.1:0", &u), -EADDRNOTAVAIL);
    u = open_one();
    CHECK_INT(yoke_udp_open(yoke_udp_address(u), &other), -EADDRINUSE);
    CHECK_INT(yoke_udp_connect(u, "tcp:127.0.0.1:80"), -EINVAL);
    CHECK_HAS(yoke_net_error(), "\"udp:127.0.0.1:80\" is");
    CHECK_INT(yoke_udp_connect(u, "udp:[::1]:80"), -EAFNOSUPPORT);
    CHECK_INT(yoke_udp_connect(u, "nowhere"), -EINVAL);
    yoke_udp_close(u);
}

static int64_t call_receive(void *arg)
{
    char buf[100];
    return yoke_udp_receive(arg, buf, sizeof buf, NULL);
}

static int64_t call_send(void *arg)
{
    return yoke_udp_send(arg, "x", 1, NULL);
}

NET(told_to_stop)
{
    yoke_udp *a = open_one(), *b = open_one();
    yoke_address to = address_of(b);
    CHECK_INT(stopped(call_receive, b), -ECANCELED);
    CHECK_INT(timed_out(call_receive, b), -ECANCELED);
    CHECK_INT(yoke_udp_send(a, "12345", 5, &to), 5);
    CHECK_INT(stopped_before(call_receive, b), -ECANCELED);
    CHECK_INT(stopped_before(call_send, a), -ECANCELED);
    CHECK_INT(call_receive(b), 5); /* it is still there */
    yoke_udp_close(a);
    yoke_udp_close(b);
}

static int receive_until_closed(void *arg)
{
    CHECK_INT(call_receive(arg), -ESHUTDOWN);
    return 0;
}

NET(close_wakes_who_waits)
{
    yoke_udp *u = open_one();
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, receive_until_closed, u);
    yoke_go(&g, receive_until_closed, u);
    for (int i = 0; i < 10; i++)
        yoke_yield();
    yoke_udp_close(u);
    CHECK_INT(yoke_group_end(&g), 0);
}

NET_ALSO(opening_fails)
{
    static const char *const calls[] = {"socket", "bind", "calloc", "malloc"};
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1;; n++) {
            yoke_udp *u = NULL;
            int before = descriptors();
            yk_sys_fail(calls[k], n, ENOMEM);
            int err = yoke_udp_open("udp:127.0.0.1:0", &u);
            int done = yk_sys_fail(calls[k], 0, 0);
            CHECK(err == 0 || err == -ENOMEM);
            if (err == 0)
                yoke_udp_close(u);
            check_descriptors(before);
            if (done < n)
                break;
        }
}
