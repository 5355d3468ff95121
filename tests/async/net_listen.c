/* Listeners, and servers over them: places, files of Unix sockets, too many connections, closing, graceful ends. */
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

/* ---- Many ---- */

enum { CROWD = 1000 };

typedef struct crowd {
    yoke_listener *l;
    char where[60];
    int served, answered, refused, stopping, cut;
    bool slow;
} crowd;

static int answer(yoke_conn *c, void *arg)
{
    crowd *k = arg;
    const char *line;
    size_t len;
    while (yoke_conn_read_line(c, 100, &line, &len) > 0) {
        if (k->slow)
            yoke_sleep((int64_t)(test_random() % 5) * YOKE_MS);
        CHECK(len < 90);
        char back[100];
        memcpy(back, line, len);
        back[len] = '\n';
        if (yoke_conn_write(c, back, len + 1) < 0) {
            k->cut++;
            break;
        }
        k->served++;
        if (yoke_serve_stopping(c))
            break;
    }
    return 0;
}

static int serve_crowd(void *arg)
{
    crowd *k = arg;
    CHECK_INT(yoke_serve(k->l, answer, k, NULL), 0);
    return 0;
}

static bool ask(yoke_conn *c, int number)
{
    char text[50];
    snprintf(text, sizeof text, "%d\n", number);
    if (yoke_conn_write(c, text, strlen(text)) < 0)
        return false;
    const char *line;
    size_t len;
    int err = yoke_conn_read_line(c, 100, &line, &len);
    if (err <= 0)
        return false;
    CHECK_INT(len, strlen(text) - 1);
    CHECK(memcmp(line, text, len) == 0);
    return true;
}

static int ask_thrice(void *arg)
{
    crowd *k = arg;
    yoke_conn *c;
    CHECK_INT(yoke_connect(k->where, &c), 0);
    for (int i = 0; i < 3; i++)
        k->answered += ask(c, k->answered);
    CHECK_INT(yoke_conn_close(c), 0);
    return 0;
}

static void begin_crowd(crowd *k, unsigned most)
{
    const yoke_listen_opts o = {.most = most};
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = YK_MIN(r.rlim_max, (rlim_t)(2 * CROWD + 100));
    setrlimit(RLIMIT_NOFILE, &r);
    CHECK(r.rlim_cur >= 2 * CROWD + 50);
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &o, &k->l), 0);
    snprintf(k->where, sizeof k->where, "%s", yoke_listener_address(k->l));
}

static void storm(unsigned most)
{
    crowd k = {0};
    begin_crowd(&k, most);
    yoke_group servers, clients;
    yoke_group_begin(&servers);
    yoke_go(&servers, serve_crowd, &k);
    yoke_group_begin(&clients);
    for (int i = 0; i < CROWD; i++)
        yoke_go(&clients, ask_thrice, &k);
    CHECK_INT(yoke_group_end(&clients), 0);
    CHECK_INT(k.answered, 3 * CROWD);
    CHECK_INT(k.served, 3 * CROWD);
    yoke_listener_close(k.l);
    CHECK_INT(yoke_group_end(&servers), 0);
}

NET(a_thousand_connections)
{
    storm(0);
}

NET(a_thousand_connections_ten_at_a_time)
{
    storm(10);
}

/* ---- Ahead ---- */

enum { AHEAD = 300 };

/* Whoever got an end of his is answered; how many. */
static int ask_all(yoke_conn *c[AHEAD])
{
    int answered = 0;
    for (int i = 0; i < AHEAD; i++) {
        answered += ask(c[i], i);
        yoke_conn_close(c[i]);
    }
    return answered;
}

static void connect_ahead(crowd *k, yoke_conn *c[AHEAD])
{
    begin_crowd(k, 0);
    for (int i = 0; i < AHEAD; i++)
        CHECK_INT(yoke_connect(k->where, &c[i]), 0);
}

/* Closed when some have been let in, and their connections go on; the place is free. */
NET(a_listener_closed_in_a_crowd)
{
    for (int passes = 1; passes < 6; passes++) {
        crowd k = {0};
        yoke_conn *c[AHEAD];
        yoke_group g;
        connect_ahead(&k, c);
        yoke_group_begin(&g);
        yoke_go(&g, serve_crowd, &k);
        for (int i = 0; i < passes; i++)
            yoke_yield();
        yoke_listener_close(k.l);
        while (yoke_listen(k.where, &k.l) == -EADDRINUSE) /* until the server has heard of it */
            yoke_sleep(YOKE_MS);
        yoke_listener_close(k.l);
        CHECK_INT(ask_all(c), k.served);
        CHECK_INT(yoke_group_end(&g), 0);
    }
}

/* Some are turned away, none is left waiting. */
NET(a_crowd_without_memory)
{
    crowd k = {0};
    yoke_conn *c[AHEAD];
    yoke_group g;
    yk_accept_pause = YOKE_MS;
    connect_ahead(&k, c);
    yoke_group_begin(&g);
    yk_sys_fail("realloc", 1, ENOMEM);
    yoke_go(&g, serve_crowd, &k);
    for (int i = 0; i < 10; i++)
        yoke_yield();
    yk_sys_fail("realloc", 0, 0);
    int answered = ask_all(c);
    CHECK(answered > 0);
    CHECK_INT(answered, k.served);
    yoke_listener_close(k.l);
    CHECK_INT(yoke_group_end(&g), 0);
}

/* io_uring goes by the limit of descriptors that there was when its accept began. */
NET(a_limit_that_is_raised)
{
    crowd k = {0};
    yoke_conn *c[AHEAD], *first;
    struct rlimit before, few;
    yoke_group g;
    begin_crowd(&k, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)descriptors() + 20;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    yoke_group_begin(&g);
    yoke_go(&g, serve_crowd, &k);
    CHECK_INT(yoke_connect(k.where, &first), 0);
    CHECK(ask(first, 1));
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < AHEAD; i++)
        CHECK_INT(yoke_connect(k.where, &c[i]), 0);
    CHECK_INT(ask_all(c), AHEAD);
    CHECK_INT(yoke_conn_close(first), 0);
    yoke_listener_close(k.l);
    CHECK_INT(yoke_group_end(&g), 0);
}

/* A single yoke_accept() lets in one: the others are in the kernel's queue, for whoever else accepts from the socket. */
NET(who_accepts_one_gets_one)
{
    crowd k = {0};
    yoke_conn *c[AHEAD], *one;
    connect_ahead(&k, c);
    int before = descriptors(), fd = yoke_listener_fd(k.l);
    for (int i = 0; i < AHEAD; i += 2) {
        CHECK_INT(yoke_accept(k.l, &one), 0);
        yoke_yield();
        CHECK_INT(descriptors(), before + 1);
        CHECK_INT(yoke_conn_close(one), 0);
        CHECK_INT(close(accept(fd, NULL, NULL)), 0);
    }
    yoke_listener_close(k.l);
    CHECK_INT(ask_all(c), 0);
}

/* ---- Graceful ends ---- */

/* Whoever was connected before the end began gets an answer to what was sent by then. */
static int ask_once(void *arg)
{
    crowd *k = arg;
    yoke_conn *c;
    int err = yoke_connect(k->where, &c);
    if (err < 0) {
        CHECK_INT(err, -ECONNREFUSED);
        k->refused++;
        return 0;
    }
    bool early = k->stopping == 0;
    bool well = ask(c, 7);
    CHECK(well || !early);
    k->answered += well;
    yoke_conn_close(c);
    return 0;
}

static void note_stop(void *arg)
{
    ((crowd *)arg)->stopping++;
}

static int serve_until_told(void *arg)
{
    crowd *k = arg;
    const yoke_serve_opts o = {.stopping = note_stop};
    CHECK_INT(yoke_serve(k->l, answer, k, &o), -ECANCELED);
    return -ECANCELED;
}

static void stop_under_load(void)
{
    crowd k = {.slow = true};
    begin_crowd(&k, 0);
    yoke_group servers, clients;
    yoke_group_begin(&clients);
    yoke_group_begin(&servers);
    yoke_go(&servers, serve_until_told, &k);
    for (int i = 0; i < 300; i++) {
        yoke_go(&clients, ask_once, &k);
        if (i % 10 == 0)
            yoke_yield();
    }
    yoke_group_cancel(&servers);
    CHECK_INT(yoke_group_end(&servers), 0);
    for (int i = 0; i < 5; i++)
        yoke_go(&clients, ask_once, &k);
    CHECK_INT(yoke_group_end(&clients), 0);
    CHECK_INT(k.stopping, 1);
    CHECK(k.refused >= 5);
    CHECK_INT(k.cut, 0);
    CHECK_INT(k.answered, k.served);
}

NET(a_server_that_stops_under_load_answers_all_that_came)
{
    for (int i = 0; i < 5; i++)
        stop_under_load();
}

static int never_ends(yoke_conn *c, void *arg)
{
    int *told = arg;
    int err = 0;
    while (err == 0)
        err = yoke_sleep(YOKE_S);
    CHECK_INT(err, -ECANCELED);
    ++*told;
    return 7;
}

static int serve_briefly(void *arg)
{
    int told = 0;
    const yoke_serve_opts o = {.grace = 10 * YOKE_MS}, none = {.grace = -1};
    ends *e = arg;
    CHECK_INT(yoke_serve((yoke_listener *)(void *)e->a, never_ends, &told, e->b ? &none : &o), -ECANCELED);
    CHECK_INT(told, 1);
    return -ECANCELED;
}

NET(grace_ends)
{
    for (int i = 0; i < 2; i++) {
        yoke_listener *l;
        yoke_conn *c;
        CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
        ends e = {.a = (yoke_conn *)(void *)l, .b = i ? (yoke_conn *)(void *)l : NULL};
        yoke_group g;
        yoke_group_begin(&g);
        yoke_go(&g, serve_briefly, &e);
        CHECK_INT(yoke_connect(yoke_listener_address(l), &c), 0);
        for (int k = 0; k < 20; k++)
            yoke_yield();
        yoke_group_cancel(&g);
        CHECK_INT(yoke_group_end(&g), 0);
        hear_end(c);
        CHECK_INT(yoke_conn_close(c), 0);
    }
}

/* One connection's failure is none of the others'. */
static int fails(yoke_conn *c, void *arg)
{
    char byte;
    if (yoke_conn_read(c, &byte, 1) == 1)
        yoke_conn_write(c, &byte, 1);
    return -EIO;
}

static int serve_failing(void *arg)
{
    CHECK_INT(yoke_serve(arg, fails, NULL, NULL), 0);
    return 0;
}

NET(a_connection_that_fails_is_alone)
{
    yoke_listener *l;
    yoke_conn *c[3];
    yoke_group g;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    yoke_group_begin(&g);
    yoke_go(&g, serve_failing, l);
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_connect(yoke_listener_address(l), &c[i]), 0);
    for (int i = 0; i < 3; i++) {
        say(c[i], "x");
        hear(c[i], "x");
        hear_end(c[i]);
        CHECK_INT(yoke_conn_close(c[i]), 0);
    }
    yoke_listener_close(l);
    CHECK_INT(yoke_group_end(&g), 0);
}

/* ---- In threads ---- */

static void *serve_in_thread(void *arg)
{
    CHECK_INT(yoke_serve(arg, fails, NULL, NULL), -EINVAL);
    return NULL;
}

TEST(a_server_in_a_thread)
{
    yoke_listener *l;
    yoke_conn *c;
    pthread_t t;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    char where[60];
    snprintf(where, sizeof where, "%s", yoke_listener_address(l));
    int fd = yoke_listener_fd(l);
    CHECK_INT(pthread_create(&t, NULL, serve_in_thread, l), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(yoke_connect(where, &c), 0);
        say(c, "x");
        hear(c, "x");
        CHECK_INT(yoke_conn_close(c), 0);
    }
    shutdown(fd, SHUT_RD); /* from then on accept(2) fails */
    pthread_join(t, NULL);
}
