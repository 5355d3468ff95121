/* tls_try.h - two engines back to back: a client and a server whose bytes pass through a pipe that cuts them at random. */
#ifndef YK_TESTS_TLS_TRY_H
#define YK_TESTS_TLS_TRY_H
#include "async/tls_engine.h"
#include "certificates.h"
#include "test.h"
#include <errno.h>

typedef struct pair {
    yk_tls *client, *server;
    size_t piece; /* no more than this goes through the pipe at once; 0: all that there is */
} pair;

static inline void need_certificates(void)
{
    if (!certificates_make())
        SKIP("there is no openssl command that makes certificates");
}

static inline yoke_tls *client_of(const yoke_tls_opts *o)
{
    yoke_tls *t = NULL;
    int err = yoke_tls_client(o, &t);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%d: %s", err, yoke_tls_error());
    return t;
}

static inline yoke_tls *server_of(const yoke_tls_opts *o)
{
    yoke_tls *t = NULL;
    int err = yoke_tls_server(o, &t);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%d: %s", err, yoke_tls_error());
    return t;
}

/* Contexts are given up at once: the connections keep them. */
static inline pair pair_of(yoke_tls *client, yoke_tls *server, const char *name)
{
    pair p = {0};
    CHECK_INT(yk_tls_open(client, name, &p.client), 0);
    CHECK_INT(yk_tls_open(server, NULL, &p.server), 0);
    yoke_tls_unref(client);
    yoke_tls_unref(server);
    return p;
}

/* The ordinary one: a client that believes in ca.pem, and a server that shows this certificate. */
static inline pair pair_with(const char *cert, const char *name)
{
    yoke_tls_opts c = {.ca_file = certificate("ca.pem")};
    yoke_tls_opts s = {.cert_file = certificate(cert), .key_file = certificate("key.pem")};
    return pair_of(client_of(&c), server_of(&s), name);
}

static inline void pair_done(pair *p)
{
    p->client = yk_tls_free(p->client);
    p->server = yk_tls_free(p->server);
}

/* One piece from one to the other. */
static inline bool carry(pair *p, yk_tls *from, yk_tls *to)
{
    const void *bytes;
    size_t n = yk_tls_out(from, &bytes);
    if (n == 0)
        return false;
    if (p->piece > 0)
        n = 1 + test_random() % YK_MIN(n, p->piece);
    CHECK_INT(yk_tls_feed(to, bytes, n), n);
    yk_tls_out_done(from, n);
    return true;
}

/* Until nothing moves any more. A side that is through reads, so that it sees what comes after the handshake, an alert or a
 * ticket: the codes are the last ones. */
static inline void settle(pair *p, int *client, int *server)
{
    char byte;
    for (bool moved = true; moved;) {
        *client = yk_tls_handshake(p->client);
        if (*client == 0)
            *client = (int)yk_tls_read(p->client, &byte, 1);
        *server = yk_tls_handshake(p->server);
        if (*server == 0)
            *server = (int)yk_tls_read(p->server, &byte, 1);
        moved = carry(p, p->client, p->server);
        moved |= carry(p, p->server, p->client);
    }
}

static inline void connect_pair(pair *p)
{
    int c, s;
    settle(p, &c, &s);
    if (c != -EAGAIN || s != -EAGAIN)
        test_fail(__FILE__, __LINE__, "client: %d, \"%s\"; server: %d, \"%s\"", c, yk_tls_error(p->client), s,
                  yk_tls_error(p->server));
    CHECK_INT(yk_tls_handshake(p->client), 0);
    CHECK_INT(yk_tls_handshake(p->server), 0);
}

/* All of a short text, across. */
static inline void send_text(pair *p, yk_tls *from, yk_tls *to, const char *text)
{
    char got[1000];
    size_t len = strlen(text), at = 0;
    CHECK(len < sizeof got);
    CHECK_INT(yk_tls_write(from, text, len), len);
    while (at < len) {
        ssize_t n = yk_tls_read(to, got + at, sizeof got - at);
        if (n == -EAGAIN) {
            CHECK(carry(p, from, to));
            continue;
        }
        CHECK(n > 0);
        at += (size_t)n;
    }
    got[at] = 0;
    CHECK_STR(got, text);
}

/* For what yoke's options do not offer: no version above this one. */
static inline void at_most(yoke_tls *t, int version)
{
    CHECK_INT(yk_ssl_lib.SSL_CTX_ctrl(t->ctx, YK_SSL_CTRL_SET_MAX_VERSION, version, NULL), 1);
}

#endif
