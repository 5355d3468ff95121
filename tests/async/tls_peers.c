/* Tests of TLS against other implementations over real sockets: the openssl command as server and as client, Python's ssl. The
 * sockets block, and the test moves the bytes. */
#include "program.h"
#include "tls_try.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

/* The number after `before` in the first line of its output that has it. */
static int number_after(program *p, const char *before)
{
    char line[1000];
    while (fgets(line, sizeof line, p->out)) {
        const char *at = strstr(line, before);
        if (at)
            return (int)strtol(at + strlen(before), NULL, 10);
    }
    test_fail(__FILE__, __LINE__, "the program said no \"%s\"", before);
    return -1;
}

/* ---- Sockets ---- */

typedef struct line {
    int fd;
    yk_tls *t;
} line;

static int listen_somewhere(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(listen(fd, 4), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static line call(int port, yoke_tls *ctx, const char *name)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    line l = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL};
    CHECK(l.fd >= 0);
    CHECK_INT(connect(l.fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(yk_tls_open(ctx, name, &l.t), 0);
    return l;
}

static line answer(int listening, yoke_tls *ctx)
{
    line l = {accept4(listening, NULL, NULL, SOCK_CLOEXEC), NULL};
    CHECK(l.fd >= 0);
    CHECK_INT(yk_tls_open(ctx, NULL, &l.t), 0);
    return l;
}

static void hang_up(line *l)
{
    close(l->fd);
    yk_tls_free(l->t);
}

static void flush_line(line *l)
{
    const void *bytes;
    size_t n;
    while ((n = yk_tls_out(l->t, &bytes)) > 0) {
        ssize_t sent = send(l->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0) /* the peer has gone: reading will tell */
            sent = (ssize_t)n;
        yk_tls_out_done(l->t, (size_t)sent);
    }
}

static void fill_line(line *l)
{
    enum { ROOM = 16384 };
    void *room = yk_tls_room(l->t, ROOM);
    CHECK(room);
    ssize_t n = recv(l->fd, room, 1 + test_random() % ROOM, 0);
    if (n > 0)
        yk_tls_fed(l->t, (size_t)n);
    else
        yk_tls_feed_end(l->t);
}

/* The rule of async/tls.h around one call. */
#define BLOCKING(l, result, call)                                                                                      \
    do {                                                                                                               \
        for (;;) {                                                                                                     \
            result = call;                                                                                             \
            flush_line(l);                                                                                             \
            if (result != -EAGAIN)                                                                                     \
                break;                                                                                                 \
            fill_line(l);                                                                                              \
        }                                                                                                              \
    } while (0)

static int greet(line *l)
{
    int err;
    BLOCKING(l, err, yk_tls_handshake(l->t));
    return err;
}

static void say(line *l, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t put;
        BLOCKING(l, put, yk_tls_write(l->t, bytes, n));
        CHECK(put > 0);
        bytes += put;
        n -= (size_t)put;
    }
}

static void hear(line *l, const char *bytes, size_t n)
{
    char got[4096];
    while (n > 0) {
        ssize_t k;
        BLOCKING(l, k, yk_tls_read(l->t, got, YK_MIN(n, sizeof got)));
        if (k <= 0)
            test_fail(__FILE__, __LINE__, "%zd: %s", k, yk_tls_error(l->t));
        CHECK(memcmp(got, bytes, (size_t)k) == 0);
        bytes += k;
        n -= (size_t)k;
    }
}

static ssize_t hear_end(line *l)
{
    char byte;
    ssize_t n;
    BLOCKING(l, n, yk_tls_read(l->t, &byte, 1));
    return n;
}

static void say_end(line *l)
{
    CHECK_INT(yk_tls_close(l->t), 0);
    flush_line(l);
}

static const char *const alpn[] = {"h2", "http/1.1"};

static yoke_tls *believer(void)
{
    return client_of(&(yoke_tls_opts){.ca_file = certificate("ca.pem"), .alpn = alpn, .nalpn = 2,
                                      .cert_file = certificate("alice.pem"), .key_file = certificate("key.pem")});
}

/* ---- openssl ---- */

static void against_s_server(const char *version, const char *name, const char *cert, bool verify)
{
    const char *argv[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate(cert), "-key",
                          certificate("key.pem"), "-naccept", "1", "-rev", "-alpn", "http/1.1", version,
                          verify ? "-Verify" : NULL, "2", "-CAfile", certificate("ca.pem"), "-verify_return_error", NULL};
    program server = run_program(argv);
    int port = number_after(&server, "ACCEPT 127.0.0.1:");
    yoke_tls *ctx = believer();
    line l = call(port, ctx, name);
    int err = greet(&l);
    if (strcmp(name, "a.test") == 0) {
        CHECK_INT(err, 0);
        CHECK_STR(yk_tls_version(l.t), strcmp(version, "-tls1_2") == 0 ? "TLSv1.2" : "TLSv1.3");
        CHECK_STR(yk_tls_alpn(l.t), "http/1.1");
        say(&l, "hello\n", 6);
        hear(&l, "olleh\n", 6);
        say(&l, "CLOSE\n", 6); /* at which s_server -rev ends, without another word */
        ssize_t end = hear_end(&l);
        CHECK(end == 0 || end == -ECONNABORTED);
    } else {
        CHECK_INT(err, -EKEYREJECTED);
    }
    hang_up(&l);
    yoke_tls_unref(ctx);
    kill(server.pid, SIGTERM);
    end_program(&server);
}

TEST(openssl_as_server)
{
    need_certificates();
    against_s_server("-tls1_2", "a.test", "server.pem", false);
    against_s_server("-tls1_3", "a.test", "server.pem", false);
    against_s_server("-tls1_2", "a.test", "server.pem", true);
    against_s_server("-tls1_3", "a.test", "server.pem", true);
    against_s_server("-tls1_3", "d.test", "server.pem", false);
    against_s_server("-tls1_2", "localhost", "expired.pem", false);
}

static void against_s_client(const char *version, const char *cert, bool good)
{
    int port, listening = listen_somewhere(&port);
    char where[40];
    snprintf(where, sizeof where, "127.0.0.1:%d", port);
    const char *argv[] = {"openssl", "s_client", "-connect", where, "-CAfile", certificate("ca.pem"), "-verify_return_error",
                          "-verify_hostname", "a.test", "-servername", "a.test", "-alpn", "h2", "-quiet", version, NULL};
    yoke_tls *ctx = server_of(&(yoke_tls_opts){.cert_file = certificate(cert), .key_file = certificate("key.pem"),
                                               .alpn = alpn, .nalpn = 2});
    program client = run_program(argv);
    line l = answer(listening, ctx);
    int err = greet(&l);
    if (good) {
        CHECK_INT(err, 0);
        CHECK_STR(yk_tls_alpn(l.t), "h2");
        CHECK_STR(yk_tls_server_name(l.t), "a.test");
        CHECK_INT(write(client.in, "to the server\n", 14), 14);
        hear(&l, "to the server\n", 14);
        say(&l, "and back\n", 9);
        say_end(&l);
        char text[100];
        CHECK(fgets(text, sizeof text, client.out));
        CHECK_STR(text, "and back\n");
    } else {
        if (err == 0)
            err = (int)hear_end(&l);
        CHECK_INT(err, -EACCES);
    }
    hang_up(&l);
    CHECK_INT(end_program(&client), good ? 0 : 1);
    yoke_tls_unref(ctx);
    close(listening);
}

TEST(openssl_as_client)
{
    need_certificates();
    against_s_client("-tls1_2", "server.pem", true);
    against_s_client("-tls1_3", "chain.pem", true);
    against_s_client("-tls1_2", "b.pem", false);
    against_s_client("-tls1_3", "stranger.pem", false);
}

/* ---- Python ---- */

static bool have_python(void)
{
    return system("/usr/bin/python3 -c 'import ssl' 2>/dev/null") == 0;
}

/* Echoes; its last connection is dropped without a close_notify. */
static const char python_server[] =
    "import os, socket, ssl, sys\n"
    "folder, connections = sys.argv[1], int(sys.argv[2])\n"
    "ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
    "ctx.load_cert_chain(folder + '/chain.pem', folder + '/key.pem')\n"
    "ctx.load_verify_locations(folder + '/ca.pem')\n"
    "ctx.verify_mode = ssl.CERT_REQUIRED\n"
    "ctx.set_alpn_protocols(['http/1.1'])\n"
    "listening = socket.create_server(('127.0.0.1', 0))\n"
    "print('port', listening.getsockname()[1], flush=True)\n"
    "for i in range(connections):\n"
    "    s = ctx.wrap_socket(listening.accept()[0], server_side=True)\n"
    "    assert s.selected_alpn_protocol() == 'http/1.1'\n"
    "    assert (('commonName', 'alice'),) in s.getpeercert()['subject']\n"
    "    assert s.session_reused == (i > 0)\n"
    "    if i + 1 == connections:\n"
    "        s.sendall(b'cut')\n"
    "        s.recv(1)\n"
    "        s.close()\n"
    "        break\n"
    "    while True:\n"
    "        data = s.recv(65536)\n"
    "        if not data:\n"
    "            break\n"
    "        s.sendall(data)\n"
    "    s.unwrap().close()\n";

TEST(python_as_server)
{
    need_certificates();
    if (!have_python())
        SKIP("there is no /usr/bin/python3 with ssl");
    enum { CONNECTIONS = 4, BYTES = 20000 };
    const char *argv[] = {"/usr/bin/python3", "-c", python_server, certificates.folder, "4", NULL};
    program server = run_program(argv);
    int port = number_after(&server, "port ");
    yoke_tls *ctx = believer();
    static char bytes[BYTES];
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)test_random();
    for (int i = 0; i < CONNECTIONS; i++) {
        line l = call(port, ctx, "127.0.0.1");
        CHECK_INT(greet(&l), 0);
        CHECK_STR(yk_tls_peer_name(l.t), "CN=leaf");
        CHECK_INT(yk_tls_resumed(l.t), i > 0);
        if (i + 1 == CONNECTIONS) {
            hear(&l, "cut", 3);
            say(&l, "!", 1);
            CHECK_INT(hear_end(&l), -ECONNABORTED);
        }
        for (size_t at = 0; at < BYTES && i + 1 < CONNECTIONS; at += BYTES / 10) {
            say(&l, bytes + at, BYTES / 10);
            hear(&l, bytes + at, BYTES / 10);
        }
        if (i + 1 < CONNECTIONS) {
            say_end(&l);
            CHECK_INT(hear_end(&l), 0);
        }
        hang_up(&l);
    }
    yoke_tls_unref(ctx);
    CHECK_INT(end_program(&server), 0);
}

static const char python_client[] =
    "import socket, ssl, sys\n"
    "folder, port = sys.argv[1], int(sys.argv[2])\n"
    "ctx = ssl.create_default_context(cafile=folder + '/ca.pem')\n"
    "ctx.load_cert_chain(folder + '/alice.pem', folder + '/key.pem')\n"
    "ctx.set_alpn_protocols(['h2', 'x'])\n"
    "data, session = bytes(range(256)) * 5000, None\n"
    "for i in range(3):\n"
    "    s = ctx.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='x.wild.test', session=session)\n"
    "    assert s.selected_alpn_protocol() == 'h2'\n"
    "    got = b''\n"
    "    while len(got) < len(data):\n"
    "        s.sendall(data[len(got):len(got) + 10000])\n"
    "        want = min(len(data), len(got) + 10000)\n"
    "        while len(got) < want:\n"
    "            part = s.recv(want - len(got))\n"
    "            assert part\n"
    "            got += part\n"
    "    assert got == data\n"
    "    session = s.session\n"
    "    assert s.session_reused == (i > 0)\n"
    "    s.unwrap().close()\n"
    "ctx.load_verify_locations(folder + '/other.pem')\n"
    "try:\n"
    "    ctx.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='nobody.test')\n"
    "except ssl.SSLCertVerificationError:\n"
    "    print('refused', flush=True)\n";

/* Until the peer ends it. */
static void echo(line *l)
{
    char bytes[5000];
    ssize_t n;
    for (;;) {
        BLOCKING(l, n, yk_tls_read(l->t, bytes, sizeof bytes));
        if (n <= 0)
            break;
        say(l, bytes, (size_t)n);
    }
    CHECK_INT(n, 0);
    say_end(l);
}

TEST(python_as_client)
{
    need_certificates();
    if (!have_python())
        SKIP("there is no /usr/bin/python3 with ssl");
    int port, listening = listen_somewhere(&port);
    char number[20];
    snprintf(number, sizeof number, "%d", port);
    const char *argv[] = {"/usr/bin/python3", "-c", python_client, certificates.folder, number, NULL};
    yoke_tls *ctx = server_of(&(yoke_tls_opts){.cert_file = certificate("all.pem"), .ca_file = certificate("ca.pem"),
                                               .want_client_cert = true, .alpn = alpn, .nalpn = 2});
    program client = run_program(argv);
    for (int i = 0; i < 3; i++) {
        line l = answer(listening, ctx);
        CHECK_INT(greet(&l), 0);
        CHECK_STR(yk_tls_server_name(l.t), "x.wild.test");
        CHECK_STR(yk_tls_peer_name(l.t), "O=yoke,CN=alice");
        CHECK_INT(yk_tls_resumed(l.t), i > 0);
        echo(&l);
        hang_up(&l);
    }
    line l = answer(listening, ctx);
    CHECK_INT(greet(&l), -EACCES);
    hang_up(&l);
    char text[40];
    CHECK(fgets(text, sizeof text, client.out));
    CHECK_STR(text, "refused\n");
    CHECK_INT(end_program(&client), 0);
    yoke_tls_unref(ctx);
    close(listening);
}
