/* scenes_tls.c - scenes of encrypted connections; see scenes.h. */
#include "scenes.h"
#include "certificates.h"
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <yoke/net.h>

/* Made once, as files are read and keys are checked. */
static struct {
    yoke_tls *client, *server;
} tls;

static void make_tls(void)
{
    static const char *const alpn[] = {"h2", "http/1.1"};
    if (tls.client)
        return;
    if (!certificates_make())
        SKIP("there is no openssl command that makes certificates");
    const yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .alpn = alpn + 1, .nalpn = 1};
    const yoke_tls_opts s = {
        .cert_file = certificate("server.pem"), .key_file = certificate("key.pem"), .alpn = alpn, .nalpn = 2};
    CHECK_INT(yoke_tls_client(&c, &tls.client), 0);
    CHECK_INT(yoke_tls_server(&s, &tls.server), 0);
}

typedef struct ends {
    yoke_conn *client, *server;
} ends;

static ends pair(void)
{
    int fds[2];
    ends e;
    make_tls();
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_INT(yoke_conn_of_fd(fds[0], &e.client), 0);
    CHECK_INT(yoke_conn_of_fd(fds[1], &e.server), 0);
    return e;
}

static int with_pair(int (*client)(void *arg), int (*server)(void *arg))
{
    ends e = pair();
    int err = RUN_ALL(&e, client, server);
    if (e.client)
        yoke_conn_abort(e.client);
    if (e.server)
        yoke_conn_abort(e.server);
    return err;
}

static int begins_as_client(void *arg)
{
    ends *e = arg;
    yoke_tls_info info;
    TRY(yoke_conn_start_tls(e->client, tls.client, "localhost"));
    CHECK_INT(yoke_conn_tls(e->client, &info), 0);
    CHECK_STR(info.alpn, "http/1.1");
    return 0;
}

static int begins_as_server(void *arg)
{
    return yoke_conn_start_tls(((ends *)arg)->server, tls.server, NULL);
}

SCENE(handshake)
{
    return with_pair(begins_as_client, begins_as_server);
}

/* ---- Words ---- */

static int says_lines(void *arg)
{
    ends *e = arg;
    struct iovec two[] = {{(void *)(uintptr_t) "words", 5}, {(void *)(uintptr_t) ";last", 5}};
    TRY(begins_as_client(e));
    TRY(yoke_conn_write(e->client, "line\n", 5));
    TRY(yoke_sleep(YOKE_S));
    TRY(yoke_conn_writev(e->client, two, 2));
    TRY(yoke_conn_flush(e->client));
    TRY(yoke_conn_shutdown(e->client));
    char byte;
    ssize_t n = yoke_conn_read(e->client, &byte, 1);
    CHECK(n == 1 || n == -ECANCELED || n == -ECONNRESET);
    return n == -ECONNRESET ? 0 : (int)n;
}

static int reads_lines(void *arg)
{
    ends *e = arg;
    const char *text;
    char buf[10];
    size_t len;
    TRY(begins_as_server(e));
    TRY(yoke_conn_handshake(e->server)); /* it is done */
    TRY(yoke_conn_read_line(e->server, 100, &text, &len));
    CHECK(len == 4 && memcmp(text, "line", 4) == 0);
    TRY(yoke_conn_peek(e->server, 2, &text));
    CHECK(memcmp(text, "wo", 2) == 0);
    TRY(yoke_conn_read_until(e->server, ";", 1, 100, &text, &len));
    CHECK(len == 5 && memcmp(text, "words", 5) == 0);
    TRY(yoke_conn_read_exactly(e->server, buf, 4));
    ssize_t n = yoke_conn_read(e->server, buf, sizeof buf);
    CHECK(n == 0 || n == -ECANCELED);
    TRY(n);
    return (int)yoke_conn_write(e->server, "!", 1);
}

SCENE(words)
{
    return with_pair(says_lines, reads_lines);
}

/* ---- Much ---- */

enum { MUCH = 1 << 20 };

static int writes_much(void *arg)
{
    ends *e = arg;
    TRY(begins_as_client(e));
    char *bytes = calloc(1, MUCH);
    ssize_t n = yoke_conn_write(e->client, bytes, MUCH);
    free(bytes);
    CHECK(n == MUCH || n == -ECANCELED || (n > 0 && yoke_checkpoint() == -ECANCELED));
    TRY(n);
    return yoke_conn_shutdown(e->client);
}

static int reads_all(void *arg)
{
    ends *e = arg;
    static char buf[1 << 16];
    TRY(begins_as_server(e));
    for (ssize_t n = 1; n > 0;) {
        n = yoke_conn_read(e->server, buf, sizeof buf);
        TRY(n);
    }
    return 0;
}

SCENE_OF_THREADS(much) /* how much at a time is the kernel's to say */
{
    return with_pair(writes_much, reads_all);
}

/* ---- The end ---- */

static int says_good_bye(void *arg)
{
    ends *e = arg;
    TRY(begins_as_client(e));
    TRY(yoke_conn_write(e->client, "last", 4));
    int err = yoke_conn_close(e->client);
    e->client = NULL;
    return err;
}

static int hears_it(void *arg)
{
    ends *e = arg;
    char buf[4], byte;
    TRY(begins_as_server(e));
    TRY(yoke_sleep(YOKE_S));
    TRY(yoke_conn_read_exactly(e->server, buf, 4));
    ssize_t n = yoke_conn_read(e->server, &byte, 1);
    CHECK(n == 0 || n == -ECANCELED);
    TRY(n);
    int err = yoke_conn_close(e->server);
    e->server = NULL;
    return err;
}

SCENE(good_bye)
{
    return with_pair(says_good_bye, hears_it);
}

/* ---- Over TCP ---- */

static int accepts(void *arg)
{
    yoke_conn *c;
    char byte;
    TRY(yoke_accept(arg, &c));
    ssize_t n = yoke_conn_handshake(c);
    if (n == 0)
        n = yoke_conn_read(c, &byte, 1);
    yoke_conn_abort(c);
    return n == -ECONNRESET ? 0 : (int)n;
}

static int connects(void *arg)
{
    yoke_conn *c;
    char byte;
    const yoke_connect_opts opts = {.tls = tls.client, .server_name = "localhost"};
    TRY(yoke_connect_with(yoke_listener_address(arg), &opts, &c));
    ssize_t n = yoke_conn_write(c, "x", 1);
    if (n > 0)
        n = yoke_conn_read(c, &byte, 1);
    yoke_conn_abort(c);
    return n == -ECONNRESET ? 0 : (int)n;
}

SCENE_OF_THREADS(over_tcp)
{
    yoke_listener *l;
    make_tls();
    const yoke_listen_opts opts = {.tls = tls.server};
    TRY(yoke_listen_with("tcp:127.0.0.1:0", &opts, &l));
    int err = RUN_ALL(l, accepts, connects);
    yoke_listener_close(l);
    return err;
}
