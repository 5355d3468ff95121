/* tls - fuzzes what a peer can send to a TLS engine.
 *
 * The first byte selects what happens and in which pieces. Kinds 0 and 1: the rest is all that a server or a client gets from
 * its peer. Kind 2: a client and a server talk, and the bytes of one of them are changed on their way: two bytes say where, one
 * how, and the rest is put in between. Whatever comes, a call returns one of its codes, an error has one line of text and stays,
 * what waits for being sent is little, and what is read is the beginning of what was written. */
#include "../async/certificates.h"
#include "async/tls_engine.h"
#include "fuzz.h"

enum { END = 4, OLD = 8, ASK = 16, BACK = 32, SMALL = 64, LONG = 4096, SENT_MAX = 200000 };

static yoke_tls *client_ctx, *server_ctx[2];

/* False: there is nothing here to fuzz with. */
static bool begin(void)
{
    static bool tried;
    if (tried)
        return client_ctx != NULL;
    tried = true;
    if (!certificates_make())
        return false;
    yoke_tls_opts c = {.ca_file = certificate("ca.pem"), .cert_file = certificate("alice.pem"),
                       .key_file = certificate("key.pem"), .no_resumption = true};
    yoke_tls_opts s = {.cert_file = certificate("all.pem")};
    REQUIRE(yoke_tls_server(&s, &server_ctx[0]) == 0);
    s.want_client_cert = true;
    s.ca_file = c.ca_file;
    REQUIRE(yoke_tls_server(&s, &server_ctx[1]) == 0 && yoke_tls_client(&c, &client_ctx) == 0);
    return true;
}

/* What a call may return; -EAGAIN while it goes on. */
static bool is_code(ssize_t code)
{
    static const int codes[] = {EAGAIN, ECONNABORTED, EKEYREJECTED, EACCES, EBADMSG, EPROTO};
    for (size_t i = 0; i < YK_COUNT_OF(codes); i++)
        if (code == -codes[i])
            return true;
    return false;
}

static void check(yk_tls *t)
{
    const void *out;
    const char *text = yk_tls_error(t);
    char byte;
    REQUIRE(yk_tls_out(t, &out) < SENT_MAX);
    REQUIRE((t->code < 0) == (*text != 0));
    REQUIRE(!strchr(text, '\n') && fuzz_utf8(text, strlen(text)) == strlen(text));
    REQUIRE(t->code == 0 || (yk_tls_read(t, &byte, 1) == t->code && yk_tls_write(t, &byte, 1) == t->code));
    const char *names[] = {yk_tls_server_name(t), yk_tls_peer_name(t)};
    for (int i = 0; i < 2; i++)
        for (const char *p = names[i]; *p; p++)
            REQUIRE(*p >= ' ' && *p <= '~');
}

/* Feeds in pieces; the code of the last call. */
static ssize_t feed(yk_tls *t, const uint8_t *data, size_t size, size_t piece)
{
    char bytes[100];
    ssize_t n = yk_tls_read(t, bytes, sizeof bytes);
    for (size_t at = 0; at < size && n == -EAGAIN; at += piece) {
        REQUIRE(yk_tls_feed(t, data + at, YK_MIN(piece, size - at)) > 0);
        n = yk_tls_read(t, bytes, sizeof bytes);
    }
    return n;
}

static void alone(yk_tls *t, unsigned how, const uint8_t *data, size_t size)
{
    ssize_t n = feed(t, data, size, how & SMALL ? 3 : SIZE_MAX / 2);
    REQUIRE(is_code(n)); /* without our keys nobody gets through the handshake */
    REQUIRE(!t->done);
    if (how & END) {
        yk_tls_feed_end(t);
        n = feed(t, NULL, 0, 1);
        REQUIRE(is_code(n) && n != -EAGAIN);
    }
    check(t);
}

/* ---- Two that talk ---- */

typedef struct wire {
    size_t at;       /* bytes that went one way so far */
    size_t where;    /* the change comes there */
    uint8_t change;  /* of one byte */
    const uint8_t *more; /* what is put in before it */
    size_t more_len;
    bool changed;
} wire;

static void carry(yk_tls *from, yk_tls *to, wire *w)
{
    const void *out;
    size_t n = yk_tls_out(from, &out);
    char *bytes = fuzz_copy(out, n);
    yk_tls_out_done(from, n);
    if (w && !w->changed && w->where < w->at + n && (w->change || w->more_len)) {
        size_t before = w->where - w->at;
        w->changed = true;
        bytes[before] ^= (char)w->change;
        yk_tls_feed(to, bytes, before);
        yk_tls_feed(to, w->more, w->more_len);
        yk_tls_feed(to, bytes + before, n - before);
    } else {
        yk_tls_feed(to, bytes, n);
    }
    if (w)
        w->at += n;
    free(bytes);
}

static void together(yk_tls *client, yk_tls *server, unsigned how, const uint8_t *data, size_t size)
{
    char text[LONG], got[LONG + 1];
    wire w = {.where = size < 2 ? 0 : (size_t)(data[0] | (data[1] & 31) << 8), .change = size > 2 ? data[2] : 1,
              .more = data + YK_MIN(size, (size_t)3), .more_len = size > 3 ? size - 3 : 0};
    bool back = how & BACK, wrote = false, clean = false;
    yk_tls *from = back ? server : client, *to = back ? client : server;
    size_t read = 0;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 % 251);
    for (int turn = 0; turn < 8; turn++) {
        ssize_t n = yk_tls_handshake(from);
        if (n == 0 && !wrote) {
            wrote = true;
            REQUIRE(yk_tls_write(from, text, sizeof text) == sizeof text && yk_tls_close(from) == 0);
        }
        carry(from, to, &w);
        n = yk_tls_read(to, got + read, sizeof got - read);
        REQUIRE(n >= 0 || is_code(n));
        clean |= n == 0;
        read += n > 0 ? (size_t)n : 0;
        carry(to, from, NULL);
        n = yk_tls_read(from, &(char){0}, 1);
        REQUIRE(n == 0 || is_code(n));
    }
    REQUIRE(read <= sizeof text && memcmp(got, text, read) == 0);
    REQUIRE(w.changed || (clean && read == sizeof text));
    REQUIRE(!clean || read == sizeof text || !w.changed);
    check(from);
    check(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || !begin())
        return 0;
    unsigned how = data[0];
    yk_tls *client = NULL, *server = NULL;
    REQUIRE(yk_tls_open(client_ctx, "localhost", &client) == 0);
    REQUIRE(yk_tls_open(server_ctx[how & ASK ? 1 : 0], NULL, &server) == 0);
    if (how & OLD)
        REQUIRE(yk_ssl_lib.SSL_ctrl(client->ssl, YK_SSL_CTRL_SET_MAX_VERSION, YK_TLS_1_2, NULL) == 1);
    if ((how & 3) == 0)
        alone(server, how, data + 1, size - 1);
    else if ((how & 3) == 1)
        alone(client, how, data + 1, size - 1);
    else
        together(client, server, how, data + 1, size - 1);
    yk_tls_free(client);
    yk_tls_free(server);
    return 0;
}
