/* Tests of TLS: a client and a server of ours, back to back. */
#include "tls_try.h"

static const char *const both[] = {"h2", "http/1.1"}, *const turned[] = {"http/1.1", "h2"}, *const other[] = {"smtp"};

/* ---- What works ---- */

static void speak(size_t piece, int version)
{
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .alpn = both, .nalpn = 2};
    yoke_tls_opts s = {.cert_file = certificate("server.pem"), .key_file = certificate("key.pem"), .alpn = turned, .nalpn = 2};
    yoke_tls *client = client_of(&c), *server = server_of(&s);
    if (version)
        at_most(server, version);
    pair p = pair_of(client, server, "a.test");
    p.piece = piece;
    CHECK_STR(yk_tls_alpn(p.client), "");
    CHECK_STR(yk_tls_version(p.client), "");
    CHECK_STR(yk_tls_cipher(p.client), "");
    CHECK_STR(yk_tls_peer_name(p.client), "");
    connect_pair(&p);
    CHECK_STR(yk_tls_alpn(p.client), "http/1.1");
    CHECK_STR(yk_tls_alpn(p.server), "http/1.1");
    CHECK_STR(yk_tls_version(p.client), version ? "TLSv1.2" : "TLSv1.3");
    CHECK_STR(yk_tls_version(p.server), yk_tls_version(p.client));
    CHECK(*yk_tls_cipher(p.client));
    CHECK_STR(yk_tls_cipher(p.server), yk_tls_cipher(p.client));
    CHECK_STR(yk_tls_server_name(p.client), "a.test");
    CHECK_STR(yk_tls_server_name(p.server), "a.test");
    CHECK_STR(yk_tls_peer_name(p.client), "CN=server");
    CHECK_STR(yk_tls_peer_name(p.server), "");
    send_text(&p, p.client, p.server, "hello");
    send_text(&p, p.server, p.client, "hello yourself");
    send_text(&p, p.client, p.server, "good bye");
    CHECK_STR(yk_tls_error(p.client), "");
    pair_done(&p);
}

TEST(speaks_both_ways_in_pieces_of_any_size)
{
    need_certificates();
    static const size_t pieces[] = {0, 1, 2, 7, 1000};
    for (size_t i = 0; i < YK_COUNT_OF(pieces); i++) {
        speak(pieces[i], 0);
        speak(pieces[i], YK_TLS_1_2);
    }
}

TEST(closing_is_half_closing)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    char byte;
    connect_pair(&p);
    CHECK_INT(yk_tls_write(p.client, "x", 1), 1);
    CHECK_INT(yk_tls_close(p.client), 0);
    CHECK_INT(yk_tls_close(p.client), 0); /* once is enough */
    CHECK_INT(yk_tls_write(p.client, "y", 1), -EPIPE);
    while (carry(&p, p.client, p.server))
        ;
    yk_tls_feed_end(p.server);
    CHECK_INT(yk_tls_read(p.server, &byte, 1), 1);
    CHECK_INT(yk_tls_read(p.server, &byte, 1), 0);
    CHECK_INT(yk_tls_read(p.server, &byte, 1), 0);
    send_text(&p, p.server, p.client, "the other way is open still");
    CHECK_INT(yk_tls_close(p.server), 0);
    while (carry(&p, p.server, p.client))
        ;
    CHECK_INT(yk_tls_read(p.client, &byte, 1), 0);
    CHECK_STR(yk_tls_error(p.client), "");
    CHECK_STR(yk_tls_error(p.server), "");
    pair_done(&p);
}

TEST(closing_before_the_handshake_says_nothing)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    const void *bytes;
    CHECK_INT(yk_tls_close(p.client), 0);
    CHECK_INT(yk_tls_out(p.client, &bytes), 0);
    pair_done(&p);
}

/* ---- Large amounts ---- */

static unsigned char byte_at(size_t at, unsigned salt)
{
    return (unsigned char)((at * 2654435761u >> 13) + salt);
}

typedef struct flow {
    yk_tls *from, *to;
    size_t written, read;
    unsigned salt;
} flow;

static void flow_write(flow *f, size_t all)
{
    static unsigned char bytes[200000];
    size_t some = 1 + test_random() % sizeof bytes, n = YK_MIN(all - f->written, some);
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(f->written + i, f->salt);
    ssize_t put = yk_tls_write(f->from, bytes, n);
    if (put == -ENOBUFS)
        return;
    CHECK(put > 0 && (size_t)put <= n && put <= 65536);
    f->written += (size_t)put;
}

static void flow_read(flow *f)
{
    static unsigned char bytes[100000];
    ssize_t got = yk_tls_read(f->to, bytes, 1 + test_random() % sizeof bytes);
    if (got == -EAGAIN)
        return;
    CHECK(got > 0);
    for (size_t i = 0; i < (size_t)got; i++)
        if (bytes[i] != byte_at(f->read + i, f->salt))
            test_fail(__FILE__, __LINE__, "byte %zu is wrong", f->read + i);
    f->read += (size_t)got;
}

static void flood(int version)
{
    enum { ALL = 10 << 20 };
    pair p = pair_with("server.pem", "localhost");
    if (version)
        CHECK_INT(yk_ssl_lib.SSL_ctrl(p.client->ssl, YK_SSL_CTRL_SET_MAX_VERSION, version, NULL), 1);
    connect_pair(&p);
    p.piece = 50000;
    flow up = {p.client, p.server, .salt = 1}, down = {p.server, p.client, .salt = 77};
    const void *bytes;
    while (up.read < ALL || down.read < ALL) {
        flow_write(&up, ALL);
        flow_write(&down, ALL);
        carry(&p, p.client, p.server);
        carry(&p, p.server, p.client);
        CHECK(yk_tls_out(p.client, &bytes) <= 140000 && yk_tls_out(p.server, &bytes) <= 140000);
        flow_read(&up);
        flow_read(&down);
    }
    CHECK(!yk_tls_pending(p.client) && !yk_tls_pending(p.server));
    pair_done(&p);
}

TEST(ten_mebibytes_both_ways_at_once)
{
    need_certificates();
    flood(0);
    flood(YK_TLS_1_2);
}

TEST(writing_stops_when_nothing_is_sent)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    static char bytes[1 << 20];
    size_t all = 0;
    ssize_t n;
    const void *out;
    connect_pair(&p);
    CHECK_INT(yk_tls_write(p.client, bytes, 0), 0);
    while ((n = yk_tls_write(p.client, bytes, sizeof bytes)) > 0)
        all += (size_t)n;
    CHECK_INT(n, -ENOBUFS);
    CHECK_INT(all, 65536);
    yk_tls_out_done(p.client, SIZE_MAX);
    CHECK_INT(yk_tls_out(p.client, &out), 0);
    CHECK_INT(yk_tls_write(p.client, bytes, 1), 1);
    pair_done(&p);
}

/* A peer that always takes a little less than there is: what was sent does not pile up. */
TEST(what_was_sent_takes_no_room)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    static char bytes[1 << 16];
    const void *out;
    connect_pair(&p);
    for (int i = 0; i < 500; i++) {
        ssize_t n = yk_tls_write(p.client, bytes, 1 + test_random() % sizeof bytes);
        CHECK(n > 0 || n == -ENOBUFS);
        size_t left = yk_tls_out(p.client, &out);
        CHECK(left > 0);
        yk_tls_out_done(p.client, left - 1);
        yk_tls_feed(p.server, "", 0);
    }
    CHECK(p.client->out.cap < 300000);
    pair_done(&p);
}

TEST(what_is_to_be_sent_may_be_taken_away)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    char got[100];
    const void *out;
    yk_buf first = {0}, second = {0};
    connect_pair(&p);
    CHECK_INT(yk_tls_write(p.client, "first, ", 7), 7);
    CHECK(yk_tls_out(p.client, &out) > 20);
    yk_tls_feed(p.server, out, 10);
    yk_tls_out_done(p.client, 10);
    yk_tls_out_take(p.client, &first);
    CHECK_INT(yk_tls_out(p.client, &out), 0);
    CHECK_INT(yk_tls_write(p.client, "second", 6), 6);
    yk_tls_out_take(p.client, &second);
    yk_tls_feed(p.server, first.ptr, first.len);
    yk_tls_feed(p.server, second.ptr, second.len);
    CHECK_INT(yk_tls_read(p.server, got, sizeof got), 13);
    CHECK(memcmp(got, "first, second", 13) == 0);
    yk_buf_done(&first);
    yk_buf_done(&second);
    yk_tls_out_take(p.client, &first);
    CHECK_INT(first.len, 0);
    yk_buf_done(&first);
    pair_done(&p);
}

TEST(pending_tells_of_what_was_not_read)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    char bytes[100];
    connect_pair(&p);
    CHECK(!yk_tls_pending(p.server));
    CHECK_INT(yk_tls_write(p.client, "abcdef", 6), 6);
    CHECK(carry(&p, p.client, p.server));
    CHECK(yk_tls_pending(p.server));
    CHECK_INT(yk_tls_read(p.server, bytes, 0), 0);
    CHECK_INT(yk_tls_read(p.server, bytes, 2), 2);
    CHECK(yk_tls_pending(p.server));
    CHECK_INT(yk_tls_read(p.server, bytes, sizeof bytes), 4);
    CHECK(!yk_tls_pending(p.server));
    CHECK_INT(yk_tls_read(p.server, bytes, sizeof bytes), -EAGAIN);
    pair_done(&p);
}

TEST(bytes_are_received_in_place)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    char got[8];
    const void *out;
    connect_pair(&p);
    CHECK_INT(yk_tls_write(p.client, "in place", 8), 8);
    size_t n = yk_tls_out(p.client, &out);
    for (size_t i = 0; i < n; i++) {
        char *room = yk_tls_room(p.server, 5000);
        CHECK(room);
        *room = ((const char *)out)[i];
        yk_tls_fed(p.server, 1);
        CHECK_INT(yk_tls_read(p.server, got, sizeof got), i + 1 < n ? -EAGAIN : 8);
    }
    CHECK(memcmp(got, "in place", 8) == 0);
    pair_done(&p);
}

/* ---- Verification ---- */

static const struct verified {
    const char *cert, *name, *client, *server; /* texts that the errors have; NULL: it is accepted */
} verified[] = {
    {"server.pem", "localhost", NULL, NULL},
    {"server.pem", "a.test", NULL, NULL},
    {"server.pem", "A.Test.", NULL, NULL},
    {"server.pem", "x.wild.test", NULL, NULL},
    {"server.pem", "127.0.0.1", NULL, NULL},
    {"server.pem", "::1", NULL, NULL},
    {"server.pem", "[::1]", NULL, NULL},
    {"server.pem", "::1%lo", NULL, NULL},
    {"chain.pem", "localhost", NULL, NULL},
    {"common.pem", "c.test", NULL, NULL},
    {"server.pem", "b.test", "TLS: host name does not match: wanted b.test, certificate is for localhost, a.test, *.wild.test, "
                             "127.0.0.1, 0:0:0:0:0:0:0:1",
     "does not accept our certificate: it is for another host"},
    {"server.pem", "x.y.wild.test", "host name does not match", "does not accept"},
    {"server.pem", "wild.test", "host name does not match", "does not accept"},
    {"server.pem", "127.0.0.2", "TLS: IP address does not match: wanted 127.0.0.2, certificate is for localhost, a.test",
     "does not accept"},
    {"b.pem", "localhost", "wanted localhost, certificate is for b.test, www.b.test", "does not accept"},
    {"common.pem", "d.test", "wanted d.test, certificate is for c.test", "does not accept"},
    {"many.pem", "localhost", "m7.test, m8.test and 4 more", "does not accept"},
    {"odd.pem", "localhost", "wanted localhost, certificate is for x??y.test", "does not accept"},
    {"expired.pem", "localhost", "TLS: certificate has expired: it was valid until 2021-02-03 04:05:06 UTC",
     "TLS: the peer does not accept our certificate: it has expired"},
    {"early.pem", "localhost", "TLS: certificate is not valid yet, but from 2050-01-01 00:00:00 UTC", "does not accept"},
    {"stranger.pem", "localhost", "TLS: unknown CA: certificate is by \"CN=a stranger\", who is not among the authorities in "
                                  "ca_file",
     "TLS: the peer does not accept our certificate: unknown CA"},
    {"leaf.pem", "localhost", "unknown CA: certificate is by \"CN=in between\"", "unknown CA"},
    {"self.pem", "localhost", "unknown CA: certificate is self-signed by \"CN=self\"", "unknown CA"},
    {"alice.pem", "localhost", "TLS: certificate is not meant for servers", "does not accept"},
};

static void verify(const struct verified *v, int version)
{
    pair p = pair_with(v->cert, v->name);
    int c, s;
    if (version)
        CHECK_INT(yk_ssl_lib.SSL_ctrl(p.client->ssl, YK_SSL_CTRL_SET_MAX_VERSION, version, NULL), 1);
    settle(&p, &c, &s);
    printf("# %s for %s: %s | %s\n", v->cert, v->name, yk_tls_error(p.client), yk_tls_error(p.server));
    CHECK_INT(c, v->client ? -EKEYREJECTED : -EAGAIN);
    CHECK_INT(s, v->client ? -EACCES : -EAGAIN);
    CHECK_HAS(yk_tls_error(p.client), v->client ? v->client : "");
    CHECK_HAS(yk_tls_error(p.server), v->server ? v->server : "");
    CHECK(!v->client || yk_tls_write(p.client, "secret", 6) == -EKEYREJECTED);
    pair_done(&p);
}

TEST(certificates_are_verified_and_faults_have_words)
{
    need_certificates();
    for (size_t i = 0; i < YK_COUNT_OF(verified); i++) {
        verify(&verified[i], 0);
        verify(&verified[i], YK_TLS_1_2);
    }
}

TEST(by_default_the_systems_authorities_count)
{
    need_certificates();
    yoke_tls_opts s = {.cert_file = certificate("server.pem"), .key_file = certificate("key.pem")};
    pair p = pair_of(client_of(NULL), server_of(&s), "localhost");
    int c, e;
    settle(&p, &c, &e);
    CHECK_INT(c, -EKEYREJECTED);
    CHECK_STR(yk_tls_error(p.client), "TLS: unknown CA: certificate is by \"CN=yoke test CA\", who is not among the system's "
                                      "authorities");
    pair_done(&p);
    setenv("SSL_CERT_FILE", certificate("ca.pem"), 1); /* which is OpenSSL's way to name others */
    p = pair_of(client_of(NULL), server_of(&s), "localhost");
    connect_pair(&p);
    pair_done(&p);
}

TEST(insecure_accepts_all)
{
    need_certificates();
    static const char *const names[] = {"expired.pem", "stranger.pem", "b.pem"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        yoke_tls_opts c = {.insecure = true}, s = {.cert_file = certificate(names[i]), .key_file = certificate("key.pem")};
        pair p = pair_of(client_of(&c), server_of(&s), i == 0 ? NULL : i == 1 ? "" : "localhost");
        connect_pair(&p);
        CHECK_STR(yk_tls_server_name(p.server), i == 2 ? "localhost" : "");
        pair_done(&p);
    }
}

TEST(a_client_says_whom_it_wants)
{
    need_certificates();
    yoke_tls *client = client_of(NULL);
    yk_tls *t;
    char name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    CHECK_INT(yk_tls_open(client, NULL, &t), -EINVAL);
    CHECK_INT(yk_tls_open(client, "", &t), -EINVAL);
    CHECK_INT(yk_tls_open(client, name, &t), -EINVAL);
    /* What would be compared with nothing, or with too much. */
    static const char *const odd[] = {".", ".test", ".a.test", "..", "%:", "%x::1", "[%:]", ":",
                                      "a.test:443", "a.test%:", "[.]"};
    for (size_t i = 0; i < YK_COUNT_OF(odd); i++)
        if (yk_tls_open(client, odd[i], &t) != -EINVAL)
            test_fail(__FILE__, __LINE__, "%s is taken for a name", odd[i]);
    yoke_tls_unref(client);
    static const char *const seen[][2] = {{"a.test.", "a.test"}, {"127.0.0.1", ""}, {"[::1]", ""}, {"x.wild.test", "x.wild.test"},
                                          {"A.TEST", "A.TEST"}};
    for (size_t i = 0; i < YK_COUNT_OF(seen); i++) {
        pair p = pair_with("server.pem", seen[i][0]);
        connect_pair(&p);
        CHECK_STR(yk_tls_server_name(p.server), seen[i][1]);
        pair_done(&p);
    }
}

TEST(a_client_may_ask_for_any_bytes)
{
    need_certificates();
    yoke_tls_opts c = {.insecure = true}, s = {.cert_file = certificate("all.pem")};
    pair p = pair_of(client_of(&c), server_of(&s), "x\377\033\ny");
    connect_pair(&p);
    CHECK_STR(yk_tls_server_name(p.server), "x???y");
    pair_done(&p);
}

/* ---- Certificates of clients ---- */

static void show(const char *cert, int client, int server, const char *client_text, const char *server_text, int version)
{
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .cert_file = cert ? certificate(cert) : NULL,
                       .key_file = cert ? certificate("key.pem") : NULL};
    yoke_tls_opts s = {.cert_file = certificate("server.pem"), .key_file = certificate("key.pem"),
                       .ca_file = certificate("ca.pem"), .want_client_cert = true};
    pair p = pair_of(client_of(&c), server_of(&s), "localhost");
    int got_client, got_server;
    if (version)
        CHECK_INT(yk_ssl_lib.SSL_ctrl(p.client->ssl, YK_SSL_CTRL_SET_MAX_VERSION, version, NULL), 1);
    settle(&p, &got_client, &got_server);
    CHECK_HAS(yk_tls_error(p.client), client_text);
    CHECK_HAS(yk_tls_error(p.server), server_text);
    CHECK_INT(got_client, client);
    CHECK_INT(got_server, server);
    if (server == -EAGAIN)
        CHECK_STR(yk_tls_peer_name(p.server), "O=yoke,CN=alice");
    else
        CHECK_STR(yk_tls_peer_name(p.server), "");
    pair_done(&p);
}

TEST(clients_show_certificates)
{
    need_certificates();
    for (int version = 0; version <= YK_TLS_1_2; version += YK_TLS_1_2) {
        show("alice.pem", -EAGAIN, -EAGAIN, "", "", version);
        show(NULL, version ? -EPROTO : -EACCES, -EKEYREJECTED, version ? "handshake failure" : "our certificate: it wants one",
             "TLS: the client shows no certificate", version);
        show("mallory.pem", -EACCES, -EKEYREJECTED, "does not accept our certificate: unknown CA",
             "TLS: unknown CA: certificate is by \"CN=a stranger\"", version);
        show("expired.pem", -EACCES, -EKEYREJECTED, "it has expired", "certificate has expired", version);
    }
}

/* ---- Protocols ---- */

TEST(protocols_must_agree)
{
    need_certificates();
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .alpn = other, .nalpn = 1};
    yoke_tls_opts s = {.cert_file = certificate("server.pem"), .key_file = certificate("key.pem"), .alpn = both, .nalpn = 2};
    pair p = pair_of(client_of(&c), server_of(&s), "localhost");
    int client, server;
    settle(&p, &client, &server);
    CHECK_INT(client, -EPROTO);
    CHECK_INT(server, -EPROTO);
    CHECK_STR(yk_tls_error(p.client), "TLS: the peer gave up: no protocol in common (ALPN)");
    CHECK_STR(yk_tls_error(p.server), "TLS: no protocol in common with the peer (ALPN)");
    pair_done(&p);
    /* Where one side has no wish there is no protocol. */
    s.nalpn = 0;
    p = pair_of(client_of(&c), server_of(&s), "localhost");
    connect_pair(&p);
    CHECK_STR(yk_tls_alpn(p.client), "");
    pair_done(&p);
    c.nalpn = 0;
    s.nalpn = 2;
    p = pair_of(client_of(&c), server_of(&s), "localhost");
    connect_pair(&p);
    CHECK_STR(yk_tls_alpn(p.server), "");
    pair_done(&p);
}

static int choose_badly(yk_ssl *s, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in, unsigned len,
                        void *arg)
{
    *ret = (const unsigned char *)"smtp";
    *ret_len = 4;
    return YK_SSL_ALPN_OK;
}

TEST(a_server_may_not_choose_what_was_not_offered)
{
    need_certificates();
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .alpn = both, .nalpn = 2};
    yoke_tls_opts s = {.cert_file = certificate("server.pem"), .key_file = certificate("key.pem"), .alpn = both, .nalpn = 2};
    yoke_tls *server = server_of(&s);
    yk_ssl_lib.SSL_CTX_set_alpn_select_cb(server->ctx, choose_badly, NULL);
    pair p = pair_of(client_of(&c), server, "localhost");
    int client, e;
    settle(&p, &client, &e);
    printf("# %s\n", yk_tls_error(p.client));
    CHECK_INT(client, -EPROTO);
    CHECK_INT(yk_tls_write(p.client, "x", 1), -EPROTO);
    pair_done(&p);
}

TEST(old_versions_are_refused)
{
    need_certificates();
    enum { TLS_1_1 = 0x0302, SET_MIN = YK_SSL_CTRL_SET_MIN_VERSION };
    for (int old_server = 0; old_server < 2; old_server++) {
        pair p = pair_with("server.pem", "localhost");
        yk_tls *old = old_server ? p.server : p.client;
        int client, server;
        yk_ssl_lib.SSL_ctrl(old->ssl, SET_MIN, TLS_1_1, NULL);
        yk_ssl_lib.SSL_ctrl(old->ssl, YK_SSL_CTRL_SET_MAX_VERSION, TLS_1_1, NULL);
        settle(&p, &client, &server);
        printf("# %d: %s | %s\n", old_server, yk_tls_error(p.client), yk_tls_error(p.server));
        CHECK(client < 0 && client != -EAGAIN);
        CHECK(old_server || server == -EAGAIN || server == -EPROTO);
        pair_done(&p);
    }
}
