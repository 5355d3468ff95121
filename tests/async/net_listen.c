/* Listeners: places, files of Unix sockets, accepting, too many connections, closing. */
#include "net_try.h"
#include <fcntl.h>
#include <sys/stat.h>

/* ---- Places ---- */

static void talk_at(const char *where)
{
    yoke_listener *l;
    ends e;
    CHECK_INT(yoke_listen(where, &l), 0);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &e.a), 0);
    CHECK_INT(yoke_accept(l, &e.b), 0);
    say(e.a, "hello");
    hear(e.b, "hello");
    close_ends(&e);
    CHECK(yoke_listener_fd(l) >= 0);
    yoke_listener_close(l);
}

static bool has_ipv6(void)
{
    yoke_listener *l;
    if (yoke_listen("tcp:[::1]:0", &l) < 0)
        return false;
    yoke_listener_close(l);
    return true;
}

NET_ALSO(places)
{
    talk_at("tcp:127.0.0.1:0");
    talk_at("tcp:localhost:0");
    talk_at("unix:@yoke-net-test");
    if (has_ipv6())
        talk_at("tcp:[::1]:0");
}

NET_ALSO(all_addresses)
{
    static const char *const every[] = {"tcp::0", "tcp:*:0"};
    for (int i = 0; i < 2; i++) {
        yoke_listener *l;
        ends e;
        char where[50];
        CHECK_INT(yoke_listen(every[i], &l), 0);
        CHECK(yoke_listener_port(l) > 0);
        snprintf(where, sizeof where, "tcp:127.0.0.1:%d", yoke_listener_port(l)); /* IPv4 too */
        CHECK_INT(yoke_connect(where, &e.a), 0);
        CHECK_INT(yoke_accept(l, &e.b), 0);
        close_ends(&e);
        yoke_listener_close(l);
    }
}

NET_ALSO(no_places)
{
    static const char *const wrong[] = {
        "", "tcp", "tcp:", "tcp:localhost", "tcp:localhost:", "tcp:::1:80", "tcp:[::1]", "tcp:[::1:80", "tcp:[::1]x:80",
        "http:a:80", "unix:", "unix:@", "udp:127.0.0.1:0", "tcp:127.0.0.1:notaservice", "127.0.0.1:80",
        "unix:/a/path/that/is/too/long/for/the/name/of/a/socket/which/has/one/hundred/and/seven/bytes/and/not/any/more/at/all"};
    for (unsigned i = 0; i < YK_COUNT_OF(wrong); i++) {
        yoke_listener *l;
        yoke_conn *c;
        int err = yoke_listen(wrong[i], &l);
        if (err != -EINVAL)
            test_fail(__FILE__, __LINE__, "\"%s\" is %d", wrong[i], err);
        CHECK(*yoke_net_error());
        CHECK_INT(yoke_connect(wrong[i], &c), -EINVAL);
    }
    yoke_listener *l;
    CHECK_INT(yoke_listen(NULL, &l), -EINVAL);
    CHECK_INT(yoke_listen("tcp:192.0.2.1:0", &l), -EADDRNOTAVAIL);
    CHECK_HAS(yoke_net_error(), "tcp:192.0.2.1:0");
    CHECK_INT(yoke_listen("unix:/no/such/folder/x", &l), -ENOENT);
    yoke_listener_close(NULL);
}

NET_ALSO(a_port_is_taken_once)
{
    yoke_listener *l, *other;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_listen(yoke_listener_address(l), &other), -EADDRINUSE);
    CHECK_HAS(yoke_net_error(), yoke_listener_address(l));
    yoke_listener_close(l);
    const yoke_listen_opts shared = {.reuseport = true};
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &shared, &l), 0);
    CHECK_INT(yoke_listen_with(yoke_listener_address(l), &shared, &other), 0);
    yoke_listener_close(l);
    yoke_listener_close(other);
}

/* ---- Files of Unix sockets ---- */

static char folder[] = "/tmp/yoke-net-XXXXXX", place[sizeof folder + 20], second[sizeof folder + 20];

static const char *path(void)
{
    return place + 5;
}

static void make_folder(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    CHECK(mkdtemp(folder));
    snprintf(place, sizeof place, "unix:%s/s", folder);
    snprintf(second, sizeof second, "%s/t", folder);
}

NET_ALSO(files_come_and_go)
{
    yoke_listener *l;
    struct stat s;
    make_folder();
    talk_at(place);
    CHECK(access(path(), F_OK) < 0);
    const yoke_listen_opts narrow = {.mode = 0600}, wide = {.mode = 0666};
    CHECK_INT(yoke_listen_with(place, &narrow, &l), 0);
    CHECK_INT(stat(path(), &s), 0);
    CHECK_INT(s.st_mode & 0777, 0600);
    CHECK_STR(yoke_listener_address(l), place);
    CHECK_INT(yoke_listener_port(l), 0);
    yoke_listener_close(l);
    CHECK_INT(yoke_listen_with(place, &wide, &l), 0);
    CHECK_INT(stat(path(), &s), 0);
    CHECK_INT(s.st_mode & 0777, 0666);
    yoke_listener_close(l);
    rmdir(folder);
}

NET_ALSO(stale_files_are_replaced)
{
    yoke_listener *l, *other;
    make_folder();
    CHECK_INT(yoke_listen(place, &l), 0);
    CHECK_INT(yoke_listen(place, &other), -EADDRINUSE); /* somebody listens */
    unlink(path());
    CHECK_INT(yoke_listen(place, &other), 0);
    yoke_listener_close(l); /* the file is another's by now */
    CHECK_INT(access(path(), F_OK), 0);
    CHECK_INT(link(path(), second), 0); /* one that outlives its listener */
    yoke_listener_close(other);
    CHECK_INT(rename(second, path()), 0);
    talk_at(place);
    int fd = open(path(), O_CREAT | O_WRONLY, 0600);
    close(fd);
    CHECK_INT(yoke_listen(place, &l), -EADDRINUSE); /* no socket: none of our business */
    CHECK_INT(access(path(), F_OK), 0);
    unlink(path());
    rmdir(folder);
}

/* ---- Accepting ---- */

static int64_t call_accept(void *arg)
{
    yoke_conn *c;
    return yoke_accept(arg, &c);
}

NET(accept_told_to_stop)
{
    yoke_listener *l;
    ends e;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(stopped(call_accept, l), -ECANCELED);
    CHECK_INT(timed_out(call_accept, l), -ECANCELED);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &e.a), 0);
    CHECK_INT(stopped_before(call_accept, l), -ECANCELED);
    CHECK_INT(yoke_accept(l, &e.b), 0); /* it is still there */
    close_ends(&e);
    yoke_listener_close(l);
}

static int accept_until_closed(void *arg)
{
    CHECK_INT(call_accept(arg), -ESHUTDOWN);
    return 0;
}

NET(close_wakes_accepts)
{
    yoke_listener *l;
    yoke_group g;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    yoke_group_begin(&g);
    for (int i = 0; i < 3; i++)
        yoke_go(&g, accept_until_closed, l);
    for (int i = 0; i < 10; i++)
        yoke_yield();
    yoke_listener_close(l);
    CHECK_INT(yoke_group_end(&g), 0);
}

static yoke_listener *foreign;

static int accept_foreign(void *arg)
{
    CHECK_INT(call_accept(foreign), -EXDEV);
    return 0;
}

TEST(a_threads_listener_is_not_for_coroutines)
{
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &foreign), 0);
    CHECK_INT(yoke_async_run(accept_foreign, NULL), 0);
    yoke_listener_close(foreign);
}

/* ---- Limits ---- */

static int64_t accept_and_keep(void *arg)
{
    ends *e = arg;
    return yoke_accept((yoke_listener *)(void *)e->a, &e->b);
}

static int accept_one_more(void *arg)
{
    return (int)accept_and_keep(arg);
}

NET(no_more_than_most)
{
    yoke_listener *l;
    yoke_conn *mine[3], *theirs[3];
    const yoke_listen_opts two = {.most = 2};
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &two, &l), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_connect(yoke_listener_address(l), &mine[i]), 0);
    CHECK_INT(yoke_accept(l, &theirs[0]), 0);
    CHECK_INT(yoke_accept(l, &theirs[1]), 0);
    CHECK_INT(stopped(call_accept, l), -ECANCELED);
    ends third = {.a = (yoke_conn *)(void *)l};
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, accept_one_more, &third);
    for (int i = 0; i < 10; i++)
        yoke_yield();
    CHECK_INT(yoke_conn_close(theirs[0]), 0);
    CHECK_INT(yoke_group_end(&g), 0);
    yoke_listener_close(l); /* its connections go on */
    say(mine[2], "hello");
    hear(third.b, "hello");
    CHECK_INT(yoke_conn_close(theirs[1]), 0);
    CHECK_INT(yoke_conn_close(third.b), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_conn_close(mine[i]), 0);
}

/* The kernel's own limit, and failures on demand, with and without one that can be spared. */
NET(too_many_descriptors)
{
    yoke_listener *l;
    yoke_conn *c, *served;
    char byte;
    struct rlimit before, few;
    yk_accept_pause = 20 * YOKE_MS;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &c), 0);
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)dup(0); /* the next number: none is left from there on */
    close((int)few.rlim_cur);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    CHECK_INT(timed_out(call_accept, l), -ECANCELED);
    ssize_t n = yoke_conn_read(c, &byte, 1); /* turned away, not left waiting */
    CHECK(n == 0 || n == -ECONNRESET);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    yoke_conn_close(c);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &c), 0);
    CHECK_INT(yoke_accept(l, &served), 0);
    CHECK_INT(yoke_conn_close(served), 0);
    CHECK_INT(yoke_conn_close(c), 0);
    yoke_listener_close(l);
}

NET(failing_accepts_are_not_the_end)
{
    static const int passing[] = {ECONNABORTED, EPROTO, EINTR, EHOSTUNREACH, ENOBUFS, ENOMEM, EMFILE, ENFILE};
    if (yoke_async_backend()[0] != 'e')
        return;
    yk_accept_pause = YOKE_MS;
    for (unsigned i = 0; i < YK_COUNT_OF(passing); i++) {
        yoke_listener *l;
        ends e;
        CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
        CHECK_INT(yoke_connect(yoke_listener_address(l), &e.a), 0);
        yk_sys_fail("accept4", 1, passing[i]);
        if (passing[i] == EMFILE || passing[i] == ENFILE) {
            CHECK_INT(timed_out(call_accept, l), -ECANCELED); /* the one was turned away */
            yk_sys_fail("accept4", 0, 0);
            yoke_conn_abort(e.a);
        } else {
            CHECK_INT(yoke_accept(l, &e.b), 0);
            yk_sys_fail("accept4", 0, 0);
            close_ends(&e);
        }
        yoke_listener_close(l);
    }
}

NET(a_listener_that_is_none)
{
    yoke_listener *l;
    yoke_conn *c;
    if (yoke_async_backend()[0] != 'e')
        return;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    yk_sys_fail("accept4", 1, EINVAL);
    CHECK_INT(yoke_accept(l, &c), -EINVAL);
    yk_sys_fail("accept4", 0, 0);
    yoke_listener_close(l);
}

NET_ALSO(listening_fails)
{
    static const char *const calls[] = {"socket", "bind", "listen", "setsockopt", "getsockname", "calloc", "malloc"};
    make_folder();
    const char *const where[] = {"tcp:127.0.0.1:0", place};
    for (unsigned k = 0; k < YK_COUNT_OF(calls) * 2; k++)
        for (int n = 1;; n++) {
            yoke_listener *l = NULL;
            int before = descriptors();
            yk_sys_fail(calls[k / 2], n, ENOMEM);
            int err = yoke_listen(where[k % 2], &l);
            int done = yk_sys_fail(calls[k / 2], 0, 0);
            CHECK(err == 0 || err == -ENOMEM);
            if (err == 0)
                yoke_listener_close(l);
            check_descriptors(before);
            CHECK(access(path(), F_OK) < 0);
            if (done < n)
                break;
        }
    rmdir(folder);
}
