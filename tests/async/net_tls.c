/* Encrypted connections: between two of ours, and with the openssl command. The engine itself is tested in tls*.c. */
#include "net_try.h"
#include "program.h"
#include "tls_try.h"

static const char *const both[] = {"h2", "http/1.1"}, *const old[] = {"http/1.1"}, *const none[] = {"spdy"};

static yoke_tls *server_with(const char *cert)
{
    const yoke_tls_opts o = {.cert_file = certificate(cert), .key_file = certificate("key.pem"), .alpn = both, .nalpn = 2};
    return server_of(&o);
}

static yoke_tls *client_with(const char *const *alpn)
{
    const yoke_tls_opts o = {.ca_file = certificate("ca.pem"), .alpn = alpn, .nalpn = alpn ? 1 : 0};
    return client_of(&o);
}

/* ---- A server that echoes ---- */

typedef struct echo_server {
    yoke_listener *l;
    yoke_tls *tls;
    helper h;
    char where[160], alpn[20];
    int n, handshakes, failed; /* connections to serve */
} echo_server;

static void echo_one(echo_server *s)
{
    yoke_conn *c;
    char buf[5000];
    ssize_t n;
    yoke_tls_info info;
    CHECK_INT(yoke_accept(s->l, &c), 0);
    if (yoke_conn_handshake(c) == 0) {
        s->handshakes++;
        CHECK_INT(yoke_conn_tls(c, &info), 0);
        snprintf(s->alpn, sizeof s->alpn, "%s", info.alpn);
    } else {
        s->failed++;
        CHECK(*yoke_conn_error(c));
    }
    while ((n = yoke_conn_read(c, buf, sizeof buf)) > 0)
        if (yoke_conn_write(c, buf, (size_t)n) < 0)
            break;
    yoke_conn_close(c);
}

static int echo_all(void *arg)
{
    echo_server *s = arg;
    const yoke_listen_opts o = {.tls = s->tls};
    if (!s->l)
        CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &o, &s->l), 0);
    for (int i = 0; i < s->n; i++)
        echo_one(s);
    return 0;
}

static void begin_server(echo_server *s, const char *cert, const char *where)
{
    *s = (echo_server){.n = 1, .tls = server_with(cert)};
    const yoke_listen_opts o = {.tls = s->tls};
    CHECK_INT(yoke_listen_with(where, &o, &s->l), 0);
    snprintf(s->where, sizeof s->where, "%s", yoke_listener_address(s->l));
    help(&s->h, echo_all, s);
}

static void end_server(echo_server *s)
{
    helped(&s->h);
    yoke_listener_close(s->l);
    yoke_tls_unref(s->tls);
}

static yoke_conn *connect_with(const char *where, yoke_tls *tls, const char *name)
{
    yoke_conn *c = NULL;
    const yoke_connect_opts o = {.tls = tls, .server_name = name};
    int err = yoke_connect_with(where, &o, &c);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%d: %s", err, yoke_net_error());
    yoke_tls_unref(tls);
    return c;
}

/* ---- Talking ---- */

static void talk(const char *where, const char *name)
{
    echo_server s;
    yoke_tls_info info;
    begin_server(&s, "server.pem", where);
    yoke_conn *c = connect_with(s.where, client_with(old), name);
    CHECK_INT(yoke_conn_tls(c, &info), 0);
    CHECK_STR(info.alpn, "http/1.1");
    CHECK_STR(info.version, "TLSv1.3");
    CHECK_HAS(info.peer_name, "CN=server");
    say(c, "hello");
    hear(c, "hello");
    say(c, "line one\nline two\n");
    const char *line;
    size_t len;
    CHECK_INT(yoke_conn_read_line(c, 100, &line, &len), 1);
    CHECK_INT(len, 8);
    CHECK_INT(yoke_conn_shutdown(c), 0);
    hear(c, "line two\n");
    hear_end(c);
    CHECK_INT(yoke_conn_write(c, "x", 1), -EPIPE);
    CHECK_INT(yoke_conn_close(c), 0);
    end_server(&s);
    CHECK_STR(s.alpn, "http/1.1");
}

NET_ALSO(echo_over_tcp)
{
    need_certificates();
    talk("tcp:127.0.0.1:0", NULL);
    talk("tcp:127.0.0.1:0", "localhost");
}

NET_ALSO(echo_over_a_unix_socket)
{
    need_certificates();
    talk("unix:@yoke-tls-test", "a.test");
}

enum { MUCH = 3 << 20 };

static int write_much(void *arg)
{
    unsigned char bytes[10000];
    for (size_t at = 0; at < MUCH; at += sizeof bytes) {
        size_t n = YK_MIN(sizeof bytes, MUCH - at);
        make_bytes(bytes, at, n);
        CHECK_INT(yoke_conn_write(arg, bytes, n), n);
    }
    return yoke_conn_shutdown(arg);
}

NET(much_in_both_directions_at_once)
{
    static unsigned char buf[50000];
    echo_server s;
    helper h;
    need_certificates();
    begin_server(&s, "server.pem", "tcp:127.0.0.1:0");
    yoke_conn *c = connect_with(s.where, client_with(NULL), NULL);
    help(&h, write_much, c);
    size_t at = 0;
    for (ssize_t n; (n = yoke_conn_read(c, buf, sizeof buf)) != 0; at += (size_t)n) {
        CHECK(n > 0);
        check_bytes(buf, at, (size_t)n);
    }
    CHECK_INT(at, MUCH);
    helped(&h);
    CHECK_INT(yoke_conn_close(c), 0);
    end_server(&s);
}

NET(one_large_write)
{
    static unsigned char bytes[MUCH], back[MUCH];
    echo_server s;
    need_certificates();
    make_bytes(bytes, 0, sizeof bytes);
    begin_server(&s, "server.pem", "tcp:127.0.0.1:0");
    yoke_conn *c = connect_with(s.where, client_with(NULL), NULL);
    helper h;
    help(&h, write_much, c);
    CHECK_INT(yoke_conn_read_exactly(c, back, sizeof back), sizeof back);
    CHECK(memcmp(bytes, back, sizeof back) == 0);
    helped(&h);
    CHECK_INT(yoke_conn_close(c), 0);
    end_server(&s);
}

/* ---- What is not accepted ---- */

static void refused(const char *cert, const char *name, int code, const char *words)
{
    echo_server s;
    yoke_conn *c;
    begin_server(&s, cert, "tcp:127.0.0.1:0");
    yoke_tls *tls = client_with(NULL);
    const yoke_connect_opts o = {.tls = tls, .server_name = name};
    CHECK_INT(yoke_connect_with(s.where, &o, &c), code);
    CHECK_HAS(yoke_net_error(), words);
    CHECK_HAS(yoke_net_error(), s.where);
    yoke_tls_unref(tls);
    end_server(&s);
    CHECK_INT(s.failed, 1);
}

NET_ALSO(certificates_that_are_not_believed)
{
    need_certificates();
    refused("expired.pem", NULL, -EKEYREJECTED, "2021");
    refused("stranger.pem", NULL, -EKEYREJECTED, "certificate");
    refused("server.pem", "b.test", -EKEYREJECTED, "b.test");
    refused("b.pem", NULL, -EKEYREJECTED, "127.0.0.1");
}

NET(no_protocol_in_common)
{
    echo_server s;
    yoke_conn *c;
    need_certificates();
    begin_server(&s, "server.pem", "tcp:127.0.0.1:0");
    yoke_tls *tls = client_with(none);
    const yoke_connect_opts o = {.tls = tls};
    CHECK(yoke_connect_with(s.where, &o, &c) < 0);
    yoke_tls_unref(tls);
    end_server(&s);
    CHECK_INT(s.failed, 1);
}

NET_ALSO(contexts_of_the_other_side)
{
    need_certificates();
    yoke_tls *server = server_with("server.pem"), *client = client_with(NULL);
    yoke_listener *l;
    yoke_conn *c;
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &(yoke_listen_opts){.tls = client}, &l), -EINVAL);
    CHECK_STR(yoke_net_error(), "listen at tcp:127.0.0.1:0: its tls is of yoke_tls_client(), one of yoke_tls_server() is wanted");
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_connect_with(yoke_listener_address(l), &(yoke_connect_opts){.tls = server}, &c), -EINVAL);
    CHECK_HAS(yoke_net_error(), yoke_listener_address(l));
    CHECK_HAS(yoke_net_error(), "its tls is of yoke_tls_server(), one of yoke_tls_client() is wanted");
    CHECK_INT(yoke_connect_with(NULL, &(yoke_connect_opts){.tls = server}, &c), -EINVAL);
    CHECK_INT(yoke_connect_with("tcp:127.0.0.1:1", &(yoke_connect_opts){.server_name = "a.test"}, &c), -EINVAL);
    CHECK_STR(yoke_net_error(), "connect to tcp:127.0.0.1:1: server_name \"a.test\" is there, and no tls to ask for it");
    CHECK_INT(yoke_listen_with(NULL, &(yoke_listen_opts){.tls = client}, &l), -EINVAL);
    yoke_listener_close(l);
    yoke_tls_unref(server);
    yoke_tls_unref(client);
}

/* ---- Peers that do not speak it ---- */

static int speak_in_the_clear(void *arg)
{
    yoke_conn *c;
    CHECK_INT(yoke_connect(arg, &c), 0);
    say(c, "GET / HTTP/1.0\r\n\r\n");
    char buf[100];
    while (yoke_conn_read(c, buf, sizeof buf) > 0)
        ;
    yoke_conn_close(c);
    return 0;
}

NET_ALSO(a_client_in_the_clear)
{
    yoke_listener *l;
    yoke_conn *c;
    helper h;
    need_certificates();
    yoke_tls *tls = server_with("server.pem");
    const yoke_listen_opts o = {.tls = tls};
    char byte, where[60];
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &o, &l), 0);
    snprintf(where, sizeof where, "%s", yoke_listener_address(l));
    help(&h, speak_in_the_clear, where);
    CHECK_INT(yoke_accept(l, &c), 0);
    CHECK(yoke_conn_read(c, &byte, 1) < 0);
    CHECK(yoke_conn_write(c, &byte, 1) < 0);
    CHECK_HAS(yoke_conn_error(c), "TLS");
    yoke_conn_close(c);
    helped(&h);
    yoke_listener_close(l);
    yoke_tls_unref(tls);
}

/* An end without good-bye is not an end. */
NET(cut_off)
{
    ends e = unix_pair();
    need_certificates();
    yoke_tls *server = server_with("server.pem"), *client = client_with(NULL);
    (void)client;
    char byte;
    CHECK_INT(yoke_conn_shutdown(e.a), 0);
    CHECK_INT(yoke_conn_start_tls(e.b, server, NULL), -ECONNABORTED);
    CHECK_INT(yoke_conn_read(e.b, &byte, 1), -ECONNABORTED);
    yoke_conn_close(e.a);
    yoke_conn_close(e.b);
    yoke_tls_unref(server);
    yoke_tls_unref(client);
}

/* ---- In the middle of a connection ---- */

typedef struct starting {
    yoke_conn *c;
    yoke_tls *tls;
    const char *name;
    int err;
} starting;

static int start(void *arg)
{
    starting *s = arg;
    s->err = yoke_conn_start_tls(s->c, s->tls, s->name);
    if (s->err < 0)
        yoke_conn_shutdown(s->c); /* the other one is not to wait for ever */
    return 0;
}

NET_ALSO(begins_in_the_middle)
{
    ends e = unix_pair();
    helper h;
    need_certificates();
    starting s = {.c = e.b, .tls = server_with("server.pem")};
    yoke_tls *client = client_with(NULL);
    say(e.a, "STARTTLS\n");
    const char *line;
    size_t len;
    CHECK_INT(yoke_conn_read_line(e.b, 100, &line, &len), 1);
    help(&h, start, &s);
    CHECK_INT(yoke_conn_start_tls(e.a, client, "a.test"), 0);
    helped(&h);
    CHECK_INT(s.err, 0);
    say(e.a, "secret");
    hear(e.b, "secret");
    yoke_tls_info info;
    CHECK_INT(yoke_conn_tls(e.b, &info), 0);
    CHECK_STR(info.server_name, "a.test");
    CHECK_INT(yoke_conn_start_tls(e.a, client, "a.test"), -EISCONN);
    close_ends(&e);
    yoke_tls_unref(client);
    yoke_tls_unref(s.tls);
}

static int64_t call_start(void *arg)
{
    const starting *s = arg;
    return yoke_conn_start_tls(s->c, s->tls, s->name);
}

static int64_t call_handshake(void *arg)
{
    return yoke_conn_handshake(arg);
}

static int64_t call_read(void *arg)
{
    char buf[10];
    return yoke_conn_read(arg, buf, sizeof buf);
}

static int64_t call_write(void *arg)
{
    return yoke_conn_write(arg, "x", 1);
}

/* A handshake that is told to stop goes on where it was. */
NET(handshakes_told_to_stop)
{
    ends e = unix_pair();
    helper h;
    need_certificates();
    yoke_tls *client = client_with(NULL);
    starting s = {.c = e.b, .tls = server_with("server.pem")}, mine = {.c = e.a, .tls = client, .name = "a.test"};
    CHECK_INT(stopped(call_start, &mine), -ECANCELED);
    CHECK_INT(timed_out(call_handshake, e.a), -ECANCELED);
    CHECK_INT(stopped(call_read, e.a), -ECANCELED);
    CHECK_INT(stopped(call_write, e.a), -ECANCELED);
    help(&h, start, &s);
    CHECK_INT(yoke_conn_handshake(e.a), 0);
    helped(&h);
    CHECK_INT(s.err, 0);
    CHECK_INT(stopped(call_read, e.a), -ECANCELED);
    say(e.b, "here");
    hear(e.a, "here");
    close_ends(&e);
    yoke_tls_unref(client);
    yoke_tls_unref(s.tls);
}

static int64_t write_very_much(void *arg)
{
    static char bytes[16 << 20];
    return yoke_conn_write(arg, bytes, sizeof bytes);
}

static int count(void *arg)
{
    char buf[10000];
    int64_t *all = arg;
    yoke_conn *c = (yoke_conn *)(uintptr_t)all[1];
    for (ssize_t n; (n = yoke_conn_read(c, buf, sizeof buf)) != 0; all[0] += n)
        CHECK(n > 0);
    return 0;
}

/* Both contexts are the caller's to give back. */
static ends encrypted_pair(yoke_tls **server, yoke_tls **client)
{
    ends e = unix_pair();
    helper h;
    need_certificates();
    *server = server_with("server.pem");
    *client = client_with(NULL);
    starting s = {.c = e.b, .tls = *server};
    help(&h, start, &s);
    CHECK_INT(yoke_conn_start_tls(e.a, *client, "a.test"), 0);
    helped(&h);
    return e;
}

NET(writers_told_to_stop_say_what_was_taken)
{
    helper h;
    yoke_tls *server, *client;
    ends e = encrypted_pair(&server, &client);
    int64_t taken = stopped(write_very_much, e.a), all[2] = {0, (int64_t)(uintptr_t)e.b};
    CHECK(taken > 0 && taken < 16 << 20);
    CHECK_INT(stopped(call_write, e.a), -ECANCELED);
    help(&h, count, all);
    CHECK_INT(yoke_conn_close(e.a), 0);
    helped(&h);
    CHECK_INT(all[0], taken);
    CHECK_INT(yoke_conn_close(e.b), 0);
    yoke_tls_unref(client);
    yoke_tls_unref(server);
}

/* By the time at which the server has done its part of the handshake, and has tickets to send, the client has gone. */
static int hears_and_closes(void *arg)
{
    ends *e = arg;
    yoke_tls *tls = server_with("server.pem");
    CHECK_INT(yoke_conn_start_tls(e->b, tls, NULL), 0);
    yoke_tls_unref(tls);
    hear(e->b, "last");
    hear_end(e->b);
    CHECK_INT(yoke_conn_close(e->b), 0);
    return 0;
}

NET(a_client_that_leaves_at_once)
{
    need_certificates();
    helper h;
    ends e = unix_pair();
    yoke_tls *tls = client_with(old);
    help(&h, hears_and_closes, &e);
    CHECK_INT(yoke_conn_start_tls(e.a, tls, "localhost"), 0);
    say(e.a, "last");
    CHECK_INT(yoke_conn_close(e.a), 0);
    yoke_tls_unref(tls);
    helped(&h);
}

/* The end comes after all that was written, also when little of it could be sent by then. */
NET(shutdown_behind_much)
{
    yoke_tls *server, *client;
    ends e = encrypted_pair(&server, &client);
    int64_t taken = stopped(write_very_much, e.a), all[2] = {0, (int64_t)(uintptr_t)e.b};
    CHECK_INT(yoke_conn_shutdown(e.a), 0);
    CHECK_INT(call_write(e.a), -EPIPE);
    CHECK_INT(count(all), 0);
    CHECK_INT(all[0], taken);
    close_ends(&e);
    yoke_tls_unref(client);
    yoke_tls_unref(server);
}

/* The reader and the writer of an accepted connection both come before the handshake: one of them does it. */
static int read_first(void *arg)
{
    hear(arg, "from the client");
    return 0;
}

static int write_first(void *arg)
{
    say(arg, "from the server");
    return 0;
}

static int talk_first(void *arg)
{
    yoke_conn *c = connect_with(arg, client_with(NULL), NULL);
    say(c, "from the client");
    hear(c, "from the server");
    CHECK_INT(yoke_conn_close(c), 0);
    return 0;
}

/* ---- Servers ---- */

typedef struct host {
    yoke_listener *l;
    yoke_tls *tls;
    int served, late, wrong;
    int64_t patience;
} host;

static int welcome(yoke_conn *c, void *arg)
{
    ((host *)arg)->served++;
    say(c, "welcome");
    return 0;
}

static void see_off(yoke_conn *c, int code, void *arg)
{
    host *h = arg;
    h->late += code == -ETIMEDOUT;
    h->wrong += code != -ETIMEDOUT && *yoke_conn_error(c);
}

static int serve_encrypted(void *arg)
{
    host *h = arg;
    const yoke_serve_opts o = {.handshake = h->patience, .refused = see_off};
    return yoke_serve(h->l, welcome, h, &o);
}

/* The one place is taken by who says nothing, then by who says something else, then by who is honest. */
NET(who_does_not_shake_hands_is_refused)
{
    host h = {.tls = server_with("server.pem"), .patience = 20 * YOKE_MS};
    const yoke_listen_opts o = {.tls = h.tls, .most = 1};
    yoke_conn *silent, *plain;
    yoke_group g;
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &o, &h.l), 0);
    char where[100];
    snprintf(where, sizeof where, "%s", yoke_listener_address(h.l));
    yoke_group_begin(&g);
    yoke_go(&g, serve_encrypted, &h);
    CHECK_INT(yoke_connect(where, &silent), 0);
    CHECK_INT(yoke_connect(where, &plain), 0);
    say(plain, "GET / HTTP/1.0\r\n\r\n");
    yoke_conn *honest = connect_with(where, client_with(NULL), "localhost");
    hear(honest, "welcome");
    CHECK_INT(h.served, 1);
    CHECK_INT(h.late, 1);
    CHECK_INT(h.wrong, 1);
    yoke_conn_close(honest);
    yoke_conn_abort(silent);
    yoke_conn_abort(plain);
    yoke_listener_close(h.l);
    CHECK_INT(yoke_group_end(&g), 0);
    yoke_tls_unref(h.tls);
}

NET(two_wait_for_one_handshake)
{
    yoke_listener *l;
    yoke_conn *c;
    yoke_group g;
    need_certificates();
    yoke_tls *tls = server_with("server.pem");
    const yoke_listen_opts o = {.tls = tls};
    char where[60];
    for (int i = 0; i < 2; i++) {
        CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &o, &l), 0);
        snprintf(where, sizeof where, "%s", yoke_listener_address(l));
        yoke_group_begin(&g);
        yoke_go(&g, talk_first, where);
        CHECK_INT(yoke_accept(l, &c), 0);
        yoke_go(&g, i ? write_first : read_first, c);
        yoke_go(&g, i ? read_first : write_first, c);
        CHECK_INT(yoke_group_end(&g), 0);
        CHECK_INT(yoke_conn_close(c), 0);
        yoke_listener_close(l);
    }
    yoke_tls_unref(tls);
}

/* ---- Failures ---- */

static int one_exchange(ends e, yoke_tls *server, yoke_tls *client)
{
    helper h;
    starting s = {.c = e.b, .tls = server};
    yoke_group_begin(&h.g);
    yoke_go(&h.g, start, &s);
    int err = yoke_conn_start_tls(e.a, client, "a.test");
    if (err == 0)
        err = (int)yoke_conn_write(e.a, "hello", 5);
    if (err < 0)
        yoke_conn_abort(e.a);
    CHECK_INT(yoke_group_end(&h.g), 0);
    char buf[10];
    if (err > 0 && s.err == 0)
        err = (int)yoke_conn_read_exactly(e.b, buf, 5);
    if (err >= 0)
        yoke_conn_abort(e.a);
    yoke_conn_abort(e.b);
    return err < 0 ? err : s.err;
}

NET(without_memory)
{
    static const char *const calls[] = {"calloc", "malloc"};
    need_certificates();
    yoke_tls *server = server_with("server.pem"), *client = client_with(NULL);
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1; n < 100; n++) {
            int before = descriptors();
            ends e = unix_pair();
            yk_sys_fail(calls[k], n, ENOMEM);
            int err = one_exchange(e, server, client);
            int done = yk_sys_fail(calls[k], 0, 0);
            if (err < 0 && done < n)
                test_fail(__FILE__, __LINE__, "%d", err);
            check_descriptors(before);
            if (done < n)
                break;
        }
    yoke_tls_unref(server);
    yoke_tls_unref(client);
}

/* ---- The openssl command ---- */

static program run(const char *command)
{
    return run_program((const char *const[]){"/bin/sh", "-c", command, NULL});
}

static void read_until_text(program *p, const char *text)
{
    char all[20000];
    size_t n = 0;
    for (int c; n < sizeof all - 1 && (c = fgetc(p->out)) != EOF;) {
        all[n++] = (char)c;
        all[n] = 0;
        if (n >= strlen(text) && strcmp(all + n - strlen(text), text) == 0)
            return;
    }
    test_fail(__FILE__, __LINE__, "the program never said \"%s\"", text);
}

static void with_server(const char *version)
{
    char command[600], where[60];
    yoke_listener *l; /* for a port that is free */
    need_certificates();
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    int port = yoke_listener_port(l);
    yoke_listener_close(l);
    snprintf(command, sizeof command,
             "exec openssl s_server -accept 127.0.0.1:%d -cert %s -key %s -alpn http/1.1 -rev -naccept 1 %s",
             port, certificate("server.pem"), certificate("key.pem"), version);
    program p = run(command);
    read_until_text(&p, "ACCEPT");
    snprintf(where, sizeof where, "tcp:127.0.0.1:%d", port);
    yoke_conn *c = connect_with(where, client_with(old), NULL);
    yoke_tls_info info;
    CHECK_INT(yoke_conn_tls(c, &info), 0);
    CHECK_STR(info.alpn, "http/1.1");
    say(c, "desserts\n");
    hear(c, "stressed\n");
    CHECK_INT(yoke_conn_close(c), 0);
    end_program(&p);
}

NET_ALSO(openssls_server)
{
    with_server("-tls1_3");
    with_server("-tls1_2");
}

static void with_client(const char *version)
{
    echo_server s = {.n = 1};
    yoke_conn *c;
    char command[600];
    need_certificates();
    s.tls = server_with("chain.pem");
    const yoke_listen_opts o = {.tls = s.tls};
    CHECK_INT(yoke_listen_with("tcp:127.0.0.1:0", &o, &s.l), 0);
    snprintf(command, sizeof command, "exec openssl s_client -quiet -connect %s -CAfile %s -verify_return_error -alpn h2 %s",
             yoke_listener_address(s.l) + 4, certificate("ca.pem"), version);
    program p = run(command);
    CHECK_INT(write(p.in, "to the server\n", 14), 14);
    CHECK_INT(yoke_accept(s.l, &c), 0);
    hear(c, "to the server\n");
    yoke_tls_info info;
    CHECK_INT(yoke_conn_tls(c, &info), 0);
    CHECK_STR(info.alpn, "h2");
    say(c, "to the client\n");
    CHECK_INT(yoke_conn_flush(c), 0); /* what follows blocks the loop */
    read_until_text(&p, "to the client");
    CHECK_INT(yoke_conn_close(c), 0);
    end_program(&p);
    yoke_listener_close(s.l);
    yoke_tls_unref(s.tls);
}

NET_ALSO(openssls_client)
{
    with_client("-tls1_3");
    with_client("-tls1_2");
}
