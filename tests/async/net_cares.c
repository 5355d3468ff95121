/* Look-ups by c-ares, from a server of names of the test's, over UDP on loopback. */
#include "net_try.h"
#include "names_try.h"

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
    setenv("YOKE_DNS", "c-ares", 1);
    CHECK_INT(yoke_resolve("one.test", "80", &all), -EINVAL);
    CHECK_STR(yoke_net_error(), "YOKE_DNS is \"c-ares\"; it is \"cares\" or \"system\"");
}
