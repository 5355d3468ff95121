/* Servers: many connections, crowds that come at once, graceful ends. */
#include "net_try.h"
#include <fcntl.h>

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
    r.rlim_cur = YK_MIN(r.rlim_max, (rlim_t)(6 * CROWD));
    setrlimit(RLIMIT_NOFILE, &r);
    CHECK(r.rlim_cur >= 5 * CROWD); /* as many as let connections come ahead */
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

/* Returns the limit that there was. */
static struct rlimit leave_descriptors(rlim_t more)
{
    struct rlimit before, few;
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)descriptors() + more;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    return before;
}

/* io_uring goes by the limit of descriptors that there was when its accept began. */
NET(a_limit_that_is_raised)
{
    crowd k = {0};
    yoke_conn *c[AHEAD], *first;
    struct rlimit before;
    yoke_group g;
    begin_crowd(&k, 0);
    before = leave_descriptors(20);
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

/* Each has a file to open, and some descriptors less than there are connections: they are let in as others end. */
static int open_and_answer(yoke_conn *c, void *arg)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    return answer(c, arg);
}

static int serve_with_files(void *arg)
{
    crowd *k = arg;
    CHECK_INT(yoke_serve(k->l, open_and_answer, k, NULL), 0);
    return 0;
}

NET(a_crowd_with_few_descriptors)
{
    crowd k = {0};
    yoke_conn *c[AHEAD];
    struct rlimit before;
    yoke_group g;
    connect_ahead(&k, c);
    for (int i = 0; i < AHEAD; i++) { /* whoever is let in is through at once */
        CHECK(yoke_conn_write(c[i], "1\n", 2) == 2 && yoke_conn_flush(c[i]) == 0);
        CHECK_INT(yoke_conn_shutdown(c[i]), 0);
    }
    before = leave_descriptors(60);
    yoke_group_begin(&g);
    yoke_go(&g, serve_with_files, &k);
    for (int i = 0; i < AHEAD; i++) {
        hear(c[i], "1\n");
        yoke_conn_close(c[i]);
    }
    CHECK_INT(k.served, AHEAD);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    yoke_listener_close(k.l);
    CHECK_INT(yoke_group_end(&g), 0);
}

/* Two who serve, and one who serves beside one who accepts, at the same listener. */
static void share_a_listener(unsigned most, int (*other)(void *arg))
{
    crowd k = {0};
    yoke_group g;
    begin_crowd(&k, most);
    yoke_group_begin(&g);
    yoke_go(&g, serve_crowd, &k);
    yoke_go(&g, other, &k);
    for (int i = 0; i < 5; i++)
        yoke_yield();
    for (int i = 0; i < 20; i++) {
        yoke_conn *c;
        CHECK_INT(yoke_connect(k.where, &c), 0);
        CHECK(ask(c, i));
        CHECK_INT(yoke_conn_close(c), 0);
    }
    CHECK_INT(k.served, 20);
    k.stopping = 1; /* who is not at it now does not come back */
    yoke_listener_close(k.l);
    CHECK_INT(yoke_group_end(&g), 0);
}

static int accept_and_answer(void *arg)
{
    crowd *k = arg;
    yoke_conn *c;
    int err = 0;
    while (!k->stopping && (err = yoke_accept(k->l, &c)) == 0) {
        answer(c, k);
        yoke_conn_close(c);
    }
    CHECK(err == 0 || err == -ESHUTDOWN);
    return 0;
}

NET(several_share_a_listener)
{
    for (unsigned most = 0; most < 3; most++) {
        share_a_listener(most, serve_crowd);
        share_a_listener(most, accept_and_answer);
    }
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
