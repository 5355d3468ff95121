/* scenes_net.c - scenes of connections, listeners, datagrams and names; see scenes.h. */
#include "scenes.h"
#include "names_try.h"
#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <yoke/net.h>

typedef struct ends {
    yoke_conn *a, *b;
} ends;

static ends pair(void)
{
    int fds[2];
    ends e;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_INT(yoke_conn_of_fd(fds[0], &e.a), 0);
    CHECK_INT(yoke_conn_of_fd(fds[1], &e.b), 0);
    return e;
}

/* ---- Connections ---- */

static int says_lines(void *arg)
{
    ends *e = arg;
    for (int i = 0; i < 3; i++) {
        TRY(yoke_sleep(YOKE_S));
        TRY(yoke_conn_write(e->a, "line\n", 5));
        struct iovec two[] = {{(void *)(uintptr_t) "wor", 3}, {(void *)(uintptr_t) "ds;", 3}};
        TRY(yoke_conn_writev(e->a, two, 2));
    }
    TRY(yoke_conn_flush(e->a));
    return yoke_conn_shutdown(e->a);
}

static int reads_lines(void *arg)
{
    ends *e = arg;
    const char *text;
    char buf[10];
    size_t len;
    TRY(yoke_conn_read_line(e->b, 100, &text, &len));
    CHECK(len == 4 && memcmp(text, "line", 4) == 0);
    TRY(yoke_conn_read_until(e->b, ";", 1, 100, &text, &len));
    CHECK(len == 5 && memcmp(text, "words", 5) == 0);
    TRY(yoke_conn_read_exactly(e->b, buf, 5));
    CHECK(memcmp(buf, "line\n", 5) == 0);
    TRY(yoke_conn_peek(e->b, 7, &text));
    CHECK(memcmp(text, "words;l", 7) == 0);
    for (ssize_t n = 1; n > 0;) {
        n = yoke_conn_read(e->b, buf, sizeof buf);
        TRY(n);
    }
    return 0;
}

SCENE(lines)
{
    ends e = pair();
    int err = RUN_ALL(&e, says_lines, reads_lines);
    YOKE_SHIELD(YOKE_S)
    {
        yoke_conn_close(e.a);
        yoke_conn_close(e.b);
    }
    return err;
}

enum { MUCH = 1 << 20 };

static int writes_much(void *arg)
{
    ends *e = arg;
    char *bytes = calloc(1, MUCH);
    struct iovec two[] = {{bytes, MUCH / 2}, {bytes, MUCH / 4}};
    ssize_t n = yoke_conn_write(e->a, bytes, MUCH);
    if (n == MUCH)
        n = yoke_conn_writev(e->a, two, 2);
    free(bytes);
    TRY(n);
    TRY(yoke_conn_flush(e->a));
    return yoke_conn_shutdown(e->a);
}

static int reads_all(void *arg)
{
    ends *e = arg;
    static char buf[1 << 18];
    for (ssize_t n = 1; n > 0;) {
        n = yoke_conn_read(e->b, buf, sizeof buf);
        TRY(n);
    }
    return 0;
}

SCENE_OF_THREADS(much) /* how much at a time is the kernel's to say */
{
    ends e = pair();
    int err = RUN_ALL(&e, writes_much, reads_all);
    yoke_conn_abort(e.a);
    yoke_conn_abort(e.b);
    return err;
}

static int closes(void *arg)
{
    ends *e = arg;
    int err = yoke_conn_close(e->a); /* waits for what the other still says */
    e->a = NULL;
    CHECK(err == 0 || err == -ECANCELED);
    return err;
}

static int says_on(void *arg)
{
    ends *e = arg;
    ssize_t n = yoke_conn_write(e->b, "x", 1);
    CHECK(n == 1 || n == -EPIPE || n == -ECANCELED); /* the other may have gone at once, when it was told to stop */
    return n == -EPIPE ? 0 : n < 0 ? (int)n : yoke_sleep(YOKE_MS);
}

SCENE(closing)
{
    ends e = pair();
    int err = RUN_ALL(&e, closes, says_on);
    if (e.a)
        yoke_conn_abort(e.a);
    yoke_conn_abort(e.b);
    return err;
}

/* ---- Listeners ---- */

typedef struct party {
    yoke_listener *l;
    int served;
} party;

static int accepts_one(void *arg)
{
    party *p = arg;
    yoke_conn *c;
    char byte;
    TRY(yoke_accept(p->l, &c));
    ssize_t n = yoke_conn_read(c, &byte, 1);
    yoke_conn_abort(c);
    return (int)n;
}

static int connects(void *arg)
{
    party *p = arg;
    yoke_conn *c;
    char byte;
    TRY(yoke_connect(yoke_listener_address(p->l), &c));
    ssize_t n = yoke_conn_write(c, "x", 1);
    if (n > 0)
        n = yoke_conn_read(c, &byte, 1);
    yoke_conn_abort(c);
    return n == -ECONNRESET ? 0 : (int)n;
}

SCENE_OF_THREADS(accepting)
{
    party p = {0};
    TRY(yoke_listen("tcp:127.0.0.1:0", &p.l));
    int err = RUN_ALL(&p, accepts_one, connects);
    yoke_listener_close(p.l);
    return err;
}

static int echo(yoke_conn *c, void *arg)
{
    party *p = arg;
    char buf[10];
    ssize_t n = yoke_conn_read(c, buf, sizeof buf);
    if (n > 0)
        n = yoke_conn_write(c, buf, (size_t)n);
    p->served += n > 0;
    return 0;
}

static int serves(void *arg)
{
    party *p = arg;
    return yoke_serve(p->l, echo, p, &(yoke_serve_opts){.grace = YOKE_S});
}

static int asks(void *arg)
{
    yoke_conn *c;
    char byte;
    TRY(yoke_connect(arg, &c));
    ssize_t n = yoke_conn_write(c, "x", 1);
    if (n > 0)
        n = yoke_conn_read(c, &byte, 1);
    YOKE_SHIELD(YOKE_S) yoke_conn_close(c);
    return (int)n;
}

SCENE_OF_THREADS(serving)
{
    party p = {0};
    char where[200];
    yoke_group g;
    TRY(yoke_listen("tcp:127.0.0.1:0", &p.l));
    snprintf(where, sizeof where, "%s", yoke_listener_address(p.l));
    yoke_group_begin(&g);
    yoke_go(&g, serves, &p);
    int err = RUN_ALL(where, asks, asks);
    yoke_group_cancel(&g);
    int end = yoke_group_end(&g);
    return err < 0 ? err : end == -ECANCELED ? 0 : end;
}

/* ---- Datagrams and names ---- */

static int receives(void *arg)
{
    char buf[10];
    ssize_t n = yoke_udp_receive(arg, buf, sizeof buf, NULL);
    CHECK(n == 5 || n == -ECANCELED);
    return (int)n;
}

static int sends(void *arg)
{
    yoke_udp *to = arg, *u;
    TRY(yoke_sleep(YOKE_S));
    TRY(yoke_udp_open(NULL, &u));
    int err = yoke_udp_connect(u, yoke_udp_address(to));
    if (err == 0)
        err = (int)yoke_udp_send(u, "hello", 5, NULL);
    yoke_udp_close(u);
    return err;
}

SCENE_OF_THREADS(datagrams)
{
    yoke_udp *u;
    TRY(yoke_udp_open("udp:127.0.0.1:0", &u));
    int err = RUN_ALL(u, receives, sends);
    yoke_udp_close(u);
    return err;
}

static int looks_up(const char *host)
{
    yoke_address *found;
    int n = yoke_resolve(host, NULL, &found);
    if (n > 0)
        free(found);
    CHECK(n > 0 || n == -ECANCELED);
    return n;
}

/* Long enough for who asked to wait for it. */
static int takes_its_time(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    usleep(2000);
    return getaddrinfo(host, service, hints, ret);
}

SCENE_OF_THREADS(names)
{
    if (yk_sys.getaddrinfo != takes_its_time) /* once, as a thread may still be at it for who was told to stop */
        yk_sys.getaddrinfo = takes_its_time;
    return looks_up("localhost");
}

SCENE_OF_THREADS(names_by_cares)
{
    if (!dns.asked && !begin_dns())
        SKIP("there is no libcares.so.2 here");
    return looks_up("one.test");
}

/* The first of two that does not answer is still tried when the second one is. */
SCENE_OF_THREADS(one_of_two)
{
    yoke_listener *l;
    yoke_conn *c;
    char where[60];
    if (!dns.asked && !begin_dns())
        SKIP("there is no libcares.so.2 here");
    TRY(yoke_listen("tcp:127.0.0.2:0", &l));
    snprintf(where, sizeof where, "tcp:two.test:%d", yoke_listener_port(l));
    int err = yoke_connect(where, &c);
    if (err == 0)
        yoke_conn_abort(c);
    yoke_listener_close(l);
    return err;
}
