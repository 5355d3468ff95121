/* Tests of TLS where something is wrong: streams that end, bytes that change, options, files, memory, the library itself. And
 * of what is shared between connections: sessions, threads, forks. */
#include "tls_try.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>

/* ---- The stream ends ---- */

TEST(an_end_without_close_notify_is_an_error)
{
    need_certificates();
    pair p = pair_with("server.pem", "localhost");
    char got[100];
    connect_pair(&p);
    CHECK_INT(yk_tls_write(p.client, "partial", 7), 7);
    while (carry(&p, p.client, p.server))
        ;
    yk_tls_feed_end(p.server);
    CHECK_INT(yk_tls_read(p.server, got, sizeof got), 7); /* what came is there */
    CHECK_INT(yk_tls_read(p.server, got, sizeof got), -ECONNABORTED);
    CHECK_STR(yk_tls_error(p.server), "TLS: the connection ended without a close_notify: what came may be cut short");
    CHECK_INT(yk_tls_read(p.server, got, sizeof got), -ECONNABORTED); /* and stays */
    CHECK_INT(yk_tls_write(p.server, "x", 1), -ECONNABORTED);
    CHECK_INT(yk_tls_close(p.server), -ECONNABORTED);
    CHECK_INT(yk_tls_handshake(p.server), -ECONNABORTED);
    pair_done(&p);
}

/* The stream from one side ends after `at` bytes. Returns how many there were. */
static size_t cut_at(size_t at, bool from_client)
{
    pair p = pair_with("server.pem", "localhost");
    yk_tls *from = from_client ? p.client : p.server, *to = from_client ? p.server : p.client;
    size_t sent = 0;
    const void *bytes;
    char byte;
    bool alive = true;
    for (int turn = 0; turn < 8; turn++) {
        yk_tls_handshake(from);
        if (yk_tls_handshake(from) == 0 && turn == 5)
            CHECK_INT(yk_tls_write(from, "abc", 3), 3);
        size_t n = yk_tls_out(from, &bytes), take = YK_MIN(n, at - sent);
        yk_tls_feed(to, bytes, take);
        sent += take;
        if (take < n)
            alive = false;
        yk_tls_out_done(from, n);
        if (!alive)
            yk_tls_feed_end(to);
        int err = yk_tls_handshake(to);
        if (err == 0)
            err = (int)yk_tls_read(to, &byte, 1);
        if (!alive && err != 1) {
            CHECK_INT(err, -ECONNABORTED);
            CHECK_HAS(yk_tls_error(to), to->done ? "without a close_notify" : "the connection ended during the handshake");
        }
        n = yk_tls_out(to, &bytes);
        if (alive)
            yk_tls_feed(from, bytes, n);
        yk_tls_out_done(to, n);
    }
    pair_done(&p);
    return sent;
}

TEST(a_stream_may_end_at_any_byte)
{
    need_certificates();
    for (int from_client = 0; from_client < 2; from_client++) {
        size_t all = cut_at(SIZE_MAX, from_client);
        CHECK(all > 300);
        for (size_t at = 0; at < all; at += 1 + test_random() % 13) {
            size_t sent = cut_at(at, from_client);
            CHECK(sent == at || (sent < at && sent + 8 >= all)); /* a signature may be some bytes shorter another time */
        }
    }
}

/* ---- Bytes change ---- */

TEST(a_changed_record_is_not_read)
{
    need_certificates();
    for (int version = 0; version <= YK_TLS_1_2; version += YK_TLS_1_2) {
        for (size_t at = 0; at < 40; at++) {
            pair p = pair_with("server.pem", "localhost");
            if (version)
                CHECK_INT(yk_ssl_lib.SSL_ctrl(p.client->ssl, YK_SSL_CTRL_SET_MAX_VERSION, version, NULL), 1);
            char bytes[200], got[100];
            const void *out;
            int client, server;
            connect_pair(&p);
            CHECK_INT(yk_tls_write(p.client, "a record of some length", 23), 23);
            size_t n = yk_tls_out(p.client, &out);
            CHECK(n > 40 && n <= sizeof bytes);
            memcpy(bytes, out, n);
            bytes[at] ^= (char)(1 << test_random() % 8);
            yk_tls_out_done(p.client, n);
            yk_tls_feed(p.server, bytes, n);
            /* A length that is larger now has the rest of the record missing. */
            ssize_t err = yk_tls_read(p.server, got, sizeof got);
            if (err == -EAGAIN && (at == 3 || at == 4)) {
                yk_tls_feed_end(p.server);
                CHECK_INT(yk_tls_read(p.server, got, sizeof got), -ECONNABORTED);
            } else if (at < 5) {
                CHECK(err == -EBADMSG || err == -EPROTO || err == -EACCES);
            } else {
                CHECK_INT(err, -EBADMSG);
                CHECK_STR(yk_tls_error(p.server), "TLS: a record was changed on its way: it does not decrypt");
                settle(&p, &client, &server); /* which takes the alert along */
                CHECK_INT(client, -EBADMSG);
                CHECK_STR(yk_tls_error(p.client), "TLS: the peer gave up: a record of ours arrived changed");
                CHECK_INT(server, -EBADMSG);
            }
            pair_done(&p);
        }
    }
}

/* One byte of the handshake changes: no side may think that all is well while the other has another view. */
TEST(a_changed_handshake_does_not_succeed)
{
    need_certificates();
    int failed = 0;
    enum { ROUNDS = 300 };
    for (int round = 0; round < ROUNDS; round++) {
        pair p = pair_with("server.pem", "localhost");
        size_t left = test_random() % 1500;
        bool from_client = test_random() % 4 == 0, changed = false;
        if (from_client)
            left %= 300;
        char bytes[8192];
        const void *out;
        for (int turn = 0; turn < 4; turn++) {
            for (int side = 0; side < 2; side++) {
                yk_tls *from = side == 0 ? p.client : p.server, *to = side == 0 ? p.server : p.client;
                yk_tls_handshake(from);
                size_t n = yk_tls_out(from, &out);
                CHECK(n <= sizeof bytes);
                memcpy(bytes, n ? out : "", n);
                yk_tls_out_done(from, n);
                if ((side == 0) == from_client && !changed && left < n) {
                    bytes[left] ^= (char)(1 << test_random() % 8);
                    changed = true;
                } else if ((side == 0) == from_client) {
                    left -= YK_MIN(n, left);
                }
                yk_tls_feed(to, bytes, n);
            }
        }
        yk_tls_feed_end(p.client);
        yk_tls_feed_end(p.server);
        char byte;
        ssize_t c = yk_tls_read(p.client, &byte, 1), s = yk_tls_read(p.server, &byte, 1);
        CHECK(c < 0 && c != -EAGAIN && s < 0 && s != -EAGAIN);
        CHECK(*yk_tls_error(p.client) && *yk_tls_error(p.server));
        failed += c != -ECONNABORTED || s != -ECONNABORTED;
        pair_done(&p);
    }
    CHECK(failed > ROUNDS / 3);
}

TEST(what_is_not_tls_is_said)
{
    need_certificates();
    static const struct {
        const char *bytes, *server, *client;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "TLS: the peer does not speak TLS, but plain HTTP",
         "TLS: the peer does not speak TLS, but plain HTTP"},
        {"CONNECT a.test:443 HTTP/1.1\r\n\r\n", "TLS: the peer does not speak TLS, but HTTP to a proxy",
         "TLS: the peer does not speak TLS, but HTTP to a proxy"},
        {"220 mail.test ESMTP ready\r\n", "TLS: the peer does not speak TLS (these bytes are no record of it)",
         "TLS: the peer does not speak TLS (these bytes are no record of it)"},
    };
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        pair p = pair_with("server.pem", "localhost");
        yk_tls_feed(p.server, cases[i].bytes, strlen(cases[i].bytes));
        CHECK_INT(yk_tls_handshake(p.server), -EPROTO);
        CHECK_STR(yk_tls_error(p.server), cases[i].server);
        CHECK_INT(yk_tls_handshake(p.client), -EAGAIN);
        yk_tls_feed(p.client, cases[i].bytes, strlen(cases[i].bytes));
        CHECK_INT(yk_tls_handshake(p.client), -EPROTO);
        CHECK_STR(yk_tls_error(p.client), cases[i].client);
        pair_done(&p);
    }
}

/* A client of TLS 1.2 that wants to begin again: refused, whatever else goes on. */
TEST(there_is_no_renegotiation)
{
    need_certificates();
    void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    int (*renegotiate)(yk_ssl *);
    uint64_t (*clear)(yk_ssl *, uint64_t);
    *(void **)&renegotiate = dlsym(library, "SSL_renegotiate");
    *(void **)&clear = dlsym(library, "SSL_clear_options");
    CHECK(renegotiate && clear);
    pair p = pair_with("server.pem", "localhost");
    int client, server;
    CHECK_INT(yk_ssl_lib.SSL_ctrl(p.client->ssl, YK_SSL_CTRL_SET_MAX_VERSION, YK_TLS_1_2, NULL), 1);
    connect_pair(&p);
    clear(p.client->ssl, YK_SSL_OP_NO_RENEGOTIATION);
    CHECK_INT(renegotiate(p.client->ssl), 1);
    yk_ssl_lib.SSL_do_handshake(p.client->ssl);
    CHECK(carry(&p, p.client, p.server));
    settle(&p, &client, &server);
    printf("# %d %s | %d %s\n", client, yk_tls_error(p.client), server, yk_tls_error(p.server));
    CHECK(client < 0 && client != -EAGAIN);
    pair_done(&p);
    dlclose(library);
}

/* ---- Options and files ---- */

#define REFUSES(server, code, text, ...)                                                                               \
    do {                                                                                                               \
        yoke_tls_opts o = {__VA_ARGS__};                                                                               \
        yoke_tls *t = NULL;                                                                                            \
        CHECK_INT((server) ? yoke_tls_server(&o, &t) : yoke_tls_client(&o, &t), code);                                 \
        CHECK(!t);                                                                                                     \
        CHECK_HAS(yoke_tls_error(), text);                                                                             \
    } while (0)

TEST(options_that_make_no_sense_are_refused)
{
    const char *none[] = {NULL}, *empty[] = {"h2", ""}, *names[] = {"h2"};
    char long_name[300];
    memset(long_name, 'x', 256);
    long_name[256] = 0;
    const char *too_long[] = {long_name};
    CHECK_STR(yoke_tls_error(), "");
    CHECK_INT(yoke_tls_server(NULL, NULL), -EINVAL);
    REFUSES(true, -EINVAL, "a server needs a certificate (cert_file)", 0);
    REFUSES(true, -EINVAL, "insecure is for clients", .cert_file = "x", .insecure = true);
    REFUSES(true, -EINVAL, "want_client_cert needs ca_file", .cert_file = "x", .want_client_cert = true);
    REFUSES(false, -EINVAL, "want_client_cert is for servers", .want_client_cert = true);
    REFUSES(false, -EINVAL, "there is a key_file, but no cert_file", .key_file = "x");
    REFUSES(false, -EINVAL, "nalpn is 1, but there is no alpn", .nalpn = 1);
    REFUSES(false, -EINVAL, "alpn[0] has 0 bytes", .alpn = none, .nalpn = 1);
    REFUSES(false, -EINVAL, "alpn[1] has 0 bytes, a protocol's name has 1 to 255", .alpn = empty, .nalpn = 2);
    REFUSES(false, -EINVAL, "alpn[0] has 256 bytes", .alpn = too_long, .nalpn = 1);
    long_name[255] = 0;
    const char *many[300];
    for (size_t i = 0; i < YK_COUNT_OF(many); i++)
        many[i] = long_name;
    REFUSES(false, -EINVAL, "have 76800 bytes together", .alpn = many, .nalpn = YK_COUNT_OF(many));
    yoke_tls *t = client_of(&(yoke_tls_opts){.alpn = names, .nalpn = 1});
    CHECK(!yoke_tls_unref(t));
    CHECK(!yoke_tls_unref(NULL));
    CHECK(!yk_tls_free(NULL));
}

TEST(files_that_are_no_use_are_named)
{
    need_certificates();
    const char *cert = certificate("server.pem"), *key = certificate("key.pem"), *empty = certificate("empty.pem"),
               *locked = certificate("locked.pem"), *wrong = certificate("wrong.pem"), *ca = certificate("ca.pem");
    REFUSES(true, -ENOENT, "TLS: /nowhere/cert.pem: No such file or directory", .cert_file = "/nowhere/cert.pem");
    REFUSES(true, -ENOENT, "TLS: /nowhere/key.pem: No such", .cert_file = cert, .key_file = "/nowhere/key.pem");
    REFUSES(false, -ENOENT, "TLS: /nowhere/ca.pem: No such", .ca_file = "/nowhere/ca.pem");
    REFUSES(true, -ENOENT, "TLS: /nowhere/ca.pem: No such", .cert_file = cert, .key_file = key, .ca_file = "/nowhere/ca.pem",
            .want_client_cert = true);
    REFUSES(true, -EBADMSG, "empty.pem: no certificate that can be used", .cert_file = empty, .key_file = key);
    REFUSES(true, -EBADMSG, "empty.pem: no private key that can be used without a password", .cert_file = cert,
            .key_file = empty);
    REFUSES(true, -EBADMSG, "server.pem: no private key", .cert_file = cert);
    REFUSES(true, -EBADMSG, "locked.pem: no private key that can be used without a password", .cert_file = cert,
            .key_file = locked);
    REFUSES(true, -EBADMSG, "locked.pem: no private key that can be used with this password", .cert_file = cert,
            .key_file = locked, .key_password = "open");
    REFUSES(true, -EBADMSG, "does not belong to the certificate in", .cert_file = cert, .key_file = wrong);
    REFUSES(false, -EBADMSG, "empty.pem: no authorities in it", .ca_file = empty);
    REFUSES(true, -EBADMSG, "empty.pem: no authorities in it", .cert_file = cert, .key_file = key, .ca_file = empty,
            .want_client_cert = true);
    REFUSES(false, -EBADMSG, "key.pem: no authorities in it", .ca_file = key);
    yoke_tls_opts good[] = {{.cert_file = cert, .key_file = locked, .key_password = "sesame"},
                            {.cert_file = certificate("all.pem")},
                            {.cert_file = cert, .key_file = key, .ca_file = ca, .want_client_cert = true}};
    for (size_t i = 0; i < YK_COUNT_OF(good); i++)
        yoke_tls_unref(server_of(&good[i]));
}

/* ---- Sessions ---- */

/* One connection with a byte and a clean end, or cut off; whether it was resumed. */
static bool visit(yoke_tls *client, yoke_tls *server, const char *name, bool clean)
{
    pair p = {0};
    CHECK_INT(yk_tls_open(client, name, &p.client), 0);
    CHECK_INT(yk_tls_open(server, NULL, &p.server), 0);
    connect_pair(&p);
    send_text(&p, p.client, p.server, "x");
    bool resumed = yk_tls_resumed(p.client);
    CHECK_INT(yk_tls_resumed(p.server), resumed);
    CHECK_STR(yk_tls_peer_name(p.client), "CN=server"); /* also of a session that was resumed */
    if (clean) {
        CHECK_INT(yk_tls_close(p.client), 0);
    } else {
        char byte;
        yk_tls_feed_end(p.client);
        CHECK_INT(yk_tls_read(p.client, &byte, 1), -ECONNABORTED);
    }
    pair_done(&p);
    return resumed;
}

TEST(sessions_are_resumed)
{
    need_certificates();
    for (int version = 0; version <= YK_TLS_1_2; version += YK_TLS_1_2) {
        yoke_tls_opts c = {.ca_file = certificate("ca.pem")}, s = {.cert_file = certificate("all.pem")};
        yoke_tls *client = client_of(&c), *server = server_of(&s), *another = server_of(&s);
        if (version)
            at_most(client, version);
        CHECK(!visit(client, server, "localhost", true));
        for (int i = 0; i < 5; i++)
            CHECK(visit(client, server, "localhost", true));
        CHECK(!visit(client, server, "a.test", true)); /* each host has its own */
        CHECK(visit(client, server, "a.test", true));
        CHECK(!visit(client, another, "localhost", true)); /* a stranger cannot open the ticket */
        CHECK(visit(client, another, "localhost", true));
        CHECK(visit(client, another, "localhost", false)); /* broken off: not to be used again */
        CHECK(!visit(client, another, "localhost", true));
        yoke_tls_unref(client);
        yoke_tls_unref(server);
        yoke_tls_unref(another);
    }
}

TEST(sessions_are_not_resumed_where_that_is_not_wanted)
{
    need_certificates();
    for (int side = 0; side < 2; side++) {
        yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .no_resumption = side == 0};
        yoke_tls_opts s = {.cert_file = certificate("all.pem"), .no_resumption = side == 1};
        yoke_tls *client = client_of(&c), *server = server_of(&s);
        for (int i = 0; i < 3; i++)
            CHECK(!visit(client, server, "localhost", true));
        yoke_tls_unref(client);
        yoke_tls_unref(server);
    }
}

TEST(a_client_keeps_the_sessions_of_some_hosts)
{
    need_certificates();
    yoke_tls_opts c = {.ca_file = certificate("ca.pem")}, s = {.cert_file = certificate("all.pem")};
    yoke_tls *client = client_of(&c), *server = server_of(&s);
    char name[40];
    for (int i = 0; i < YK_TLS_SESSIONS + 5; i++) {
        snprintf(name, sizeof name, "h%d.wild.test", i);
        CHECK(!visit(client, server, name, true));
    }
    CHECK(!visit(client, server, "h2.wild.test", true)); /* the oldest have gone */
    CHECK(visit(client, server, name, true));
    CHECK(visit(client, server, "h40.wild.test", true));
    yoke_tls_unref(client);
    yoke_tls_unref(server);
}

/* With a certificate of the client's the session carries it. */
TEST(a_resumed_client_is_known)
{
    need_certificates();
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .cert_file = certificate("alice.pem"),
                       .key_file = certificate("key.pem")};
    yoke_tls_opts s = {.cert_file = certificate("all.pem"), .ca_file = certificate("ca.pem"), .want_client_cert = true};
    yoke_tls *client = client_of(&c), *server = server_of(&s);
    for (int i = 0; i < 3; i++) {
        pair p = {0};
        CHECK_INT(yk_tls_open(client, "localhost", &p.client), 0);
        CHECK_INT(yk_tls_open(server, NULL, &p.server), 0);
        connect_pair(&p);
        CHECK_INT(yk_tls_resumed(p.server), i > 0);
        CHECK_STR(yk_tls_peer_name(p.server), "O=yoke,CN=alice");
        yk_tls_close(p.client);
        pair_done(&p);
    }
    yoke_tls_unref(client);
    yoke_tls_unref(server);
}

/* ---- Threads and forks ---- */

/* ThreadSanitizer does not see OpenSSL's atomic operations, and takes what they order for races. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libcrypto.so.3\nrace:libssl.so.3\n";
}

typedef struct shared {
    yoke_tls *client, *server;
    _Atomic int resumed;
} shared;

static void *visits(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < 30; i++)
        atomic_fetch_add(&s->resumed, visit(s->client, s->server, i % 3 ? "localhost" : "a.test", true));
    yoke_tls *own = client_of(NULL);
    yoke_tls_unref(own);
    return NULL;
}

TEST(threads_share_a_context)
{
    need_certificates();
    yoke_tls_opts c = {.ca_file = certificate("ca.pem")}, o = {.cert_file = certificate("all.pem")};
    shared s = {client_of(&c), server_of(&o), 0};
    pthread_t threads[4];
    for (size_t i = 0; i < YK_COUNT_OF(threads); i++)
        CHECK_INT(pthread_create(&threads[i], NULL, visits, &s), 0);
    for (size_t i = 0; i < YK_COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&s.resumed) > 0);
    yoke_tls_unref(s.client);
    yoke_tls_unref(s.server);
}

static void *load_it(void *arg)
{
    yk_error e = {0};
    CHECK_INT(yk_ssl_load(&e), 0);
    return NULL;
}

TEST(threads_load_the_library_once)
{
    need_certificates();
    pthread_t threads[4];
    for (size_t i = 0; i < YK_COUNT_OF(threads); i++)
        CHECK_INT(pthread_create(&threads[i], NULL, load_it, NULL), 0);
    for (size_t i = 0; i < YK_COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    yoke_tls_unref(client_of(NULL));
}

TEST(works_in_a_child_too)
{
    need_certificates();
    yoke_tls_opts c = {.ca_file = certificate("ca.pem")}, s = {.cert_file = certificate("all.pem")};
    yoke_tls *client = client_of(&c), *server = server_of(&s);
    CHECK(!visit(client, server, "localhost", true));
    pid_t pid = fork();
    if (pid == 0) {
        bool resumed = visit(client, server, "localhost", true);
        _exit(resumed ? 7 : 1);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(visit(client, server, "localhost", true));
    yoke_tls_unref(client);
    yoke_tls_unref(server);
}

/* ---- The library is not there ---- */

TEST(without_the_library_the_error_says_so)
{
    yoke_tls *t = NULL;
    yk_sys_fail("dlopen", 1, ENOENT);
    CHECK_INT(yoke_tls_client(NULL, &t), -ENOTSUP);
    CHECK_HAS(yoke_tls_error(), "TLS: there is no libssl.so.3 here, or it does not load; install OpenSSL 3 (Debian: libssl3)");
    yk_sys_fail("dlopen", 0, 0);
    setenv("YOKE_TLS_LIBRARY", "/nowhere/libssl.so.3", 1);
    CHECK_INT(yoke_tls_client(NULL, &t), -ENOTSUP);
    CHECK_HAS(yoke_tls_error(), "TLS: YOKE_TLS_LIBRARY cannot be opened: /nowhere/libssl.so.3");
    setenv("YOKE_TLS_LIBRARY", "libm.so.6", 1);
    CHECK_INT(yoke_tls_client(NULL, &t), -ENOTSUP);
    CHECK_STR(yoke_tls_error(), "TLS: libm.so.6 lacks OPENSSL_init_ssl: it is not OpenSSL, or one before 3.0");
    setenv("YOKE_TLS_LIBRARY", "", 1); /* and when it is there the next call finds it */
    CHECK(!t);
    CHECK_INT(yoke_tls_client(NULL, &t), 0);
    yoke_tls_unref(t);
    setenv("YOKE_TLS_LIBRARY", "/nowhere", 1); /* it is open: nobody looks any more */
    CHECK_INT(yoke_tls_client(NULL, &t), 0);
    yoke_tls_unref(t);
}

/* ---- The n-th call fails ---- */

static const char *failing;

/* A whole life. What fails is -ENOMEM or what the call failed with, and is said; nothing is left (LeakSanitizer looks). */
static bool live(int n)
{
    static const char *const names[] = {"h2", "http/1.1"};
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .alpn = names, .nalpn = 2};
    yoke_tls_opts s = {.cert_file = certificate("server.pem"), .key_file = certificate("key.pem"), .alpn = names, .nalpn = 2};
    yoke_tls *client = NULL, *server = NULL;
    pair p = {0};
    char got[8];
    bool good = false;
    yk_sys_fail(failing, n, strcmp(failing, "openat") == 0 ? EMFILE : ENOMEM);
    int want = strcmp(failing, "openat") == 0 ? -EMFILE : -ENOMEM;
    int err = yoke_tls_client(&c, &client);
    if (err == 0)
        err = yoke_tls_server(&s, &server);
    if (err < 0) {
        CHECK_INT(err, want);
        CHECK(*yoke_tls_error());
        goto out;
    }
    for (int turn = 0; turn < 2; turn++) {
        if ((err = yk_tls_open(client, "localhost", &p.client)) < 0 || (err = yk_tls_open(server, NULL, &p.server)) < 0) {
            CHECK_INT(err, -ENOMEM);
            goto out;
        }
        for (int i = 0; i < 6; i++) {
            const void *out;
            for (int side = 0; side < 2; side++) {
                yk_tls *from = side ? p.client : p.server, *to = side ? p.server : p.client;
                ssize_t e = yk_tls_read(from, got, 1);
                if (e == -EAGAIN && from->done && i == 3)
                    e = yk_tls_write(from, "abc", 3);
                CHECK(e == -EAGAIN || e == -ENOMEM || e > 0);
                CHECK(e != -ENOMEM || strcmp(yk_tls_error(from), "TLS: no memory") == 0);
                size_t bytes = yk_tls_out(from, &out);
                if (e == -ENOMEM || yk_tls_feed(to, out, bytes) == -ENOMEM)
                    goto out;
                yk_tls_out_done(from, bytes);
            }
        }
        yk_tls_peer_name(p.client);
        yk_tls_server_name(p.server);
        CHECK(p.client->done && p.server->done);
        CHECK_INT(yk_tls_close(p.client), 0);
        pair_done(&p);
    }
    good = true;
out:;
    int calls = yk_sys_fail(failing, 0, 0);
    pair_done(&p);
    yoke_tls_unref(client);
    yoke_tls_unref(server);
    return good && calls < n;
}

TEST(any_call_may_fail)
{
    need_certificates();
    static const char *const names[] = {"malloc", "calloc", "realloc", "openat"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        failing = names[i];
        int n = 1;
        while (!live(n))
            CHECK(++n < 1000);
        printf("# %s: %d calls\n", failing, n - 1);
        CHECK(n > 2);
    }
}

/* ---- OpenSSL runs out of memory ---- */

static _Atomic long openssl_calls, openssl_fails_at;

static bool openssl_fails(void)
{
    return atomic_fetch_add(&openssl_calls, 1) + 1 == atomic_load(&openssl_fails_at);
}

static void *openssl_malloc(size_t n, const char *file, int at)
{
    return openssl_fails() ? NULL : malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int at)
{
    return openssl_fails() ? NULL : realloc(p, n);
}

static void openssl_free(void *p, const char *file, int at)
{
    free(p);
}

/* A connection from its opening to its end, whatever fails; true when nothing did. */
static bool meet(yoke_tls *client, yoke_tls *server)
{
    pair p = {0};
    char got[8];
    int err = yk_tls_open(client, "localhost", &p.client);
    if (err == 0)
        err = yk_tls_open(server, NULL, &p.server);
    CHECK(err == 0 || err == -ENOMEM);
    ssize_t n = -EAGAIN;
    for (int turn = 0; err == 0 && turn < 5; turn++) {
        if ((n = yk_tls_read(p.client, got, sizeof got)) == -EAGAIN && p.client->done && turn == 3)
            CHECK(yk_tls_write(p.client, "abc", 3) != 0);
        carry(&p, p.client, p.server);
        n = yk_tls_read(p.server, got, sizeof got);
        CHECK(n == -EAGAIN || n == 3 || *yk_tls_error(p.server));
        carry(&p, p.server, p.client);
    }
    bool good = err == 0 && n == -EAGAIN && p.client->done && p.server->done && p.client->code == 0 && p.server->code == 0;
    if (err == 0) {
        yk_tls_peer_name(p.client);
        yk_tls_close(p.client);
    }
    pair_done(&p);
    return good;
}

TEST(openssl_may_run_out_of_memory)
{
    need_certificates();
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    int (*set)(void *(*)(size_t, const char *, int), void *(*)(void *, size_t, const char *, int),
               void (*)(void *, const char *, int));
    *(void **)&set = dlsym(library, "CRYPTO_set_mem_functions");
    if (!set || set(openssl_malloc, openssl_realloc, openssl_free) != 1)
        SKIP("OpenSSL keeps its own memory");
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .no_resumption = true}, s = {.cert_file = certificate("all.pem")};
    yoke_tls *client = client_of(&c), *server = server_of(&s);
    CHECK(meet(client, server));
    int failed = 0;
    long n = 1;
    for (bool through = false; !through; n += 1 + (long)(test_random() % 7)) {
        atomic_store(&openssl_calls, 0);
        atomic_store(&openssl_fails_at, n);
        failed += !meet(client, server);
        through = atomic_load(&openssl_calls) < n;
        atomic_store(&openssl_fails_at, 0);
        CHECK(n < 100000);
    }
    printf("# %d of the allocations up to number %ld were needed\n", failed, n);
    CHECK(failed > 20);
    CHECK(meet(client, server)); /* all is well again */
    for (n = 1; n < 5000; n += 1 + (long)(test_random() % 50)) {
        yoke_tls *t = NULL;
        atomic_store(&openssl_calls, 0);
        atomic_store(&openssl_fails_at, n);
        int err = yoke_tls_server(&s, &t);
        atomic_store(&openssl_fails_at, 0);
        CHECK(err == 0 ? t != NULL : !t && *yoke_tls_error());
        yoke_tls_unref(t);
    }
    yoke_tls_unref(client);
    yoke_tls_unref(server);
}
