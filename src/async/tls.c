/* tls: the engine: an SSL between two buffers.
 *
 * OpenSSL reads and writes through a BIO of our own, whose one end is the two buffers of yk_tls: reading takes from `in` and says
 * "later" when it is empty, writing appends to `out` and always succeeds while there is memory. So no call of OpenSSL ever
 * waits, and the only thing that it can want is more bytes from the peer. Buffers are kept only as long as something is in them
 * (small ones stay), so that an idle connection is a few KiB.
 *
 * Invariant: in_at <= in.len, out_at <= out.len; code < 0 once something is broken, and then OpenSSL is not called again. */
#include "async/tls_engine.h"
#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>

enum { PIECE = 64 << 10, OUT_FULL = 64 << 10, KEPT = 4096, PER_RECORD = 128, RECORD = 16 << 10 };

/* ---- The BIO ---- */

static int from_peer(yk_bio *b, char *to, int n)
{
    yk_tls *t = yk_ssl_lib.BIO_get_data(b);
    yk_ssl_lib.BIO_clear_flags(b, YK_BIO_ALL_RETRIES);
    size_t left = t->in.len - t->in_at, take = YK_MIN(left, (size_t)YK_MAX(n, 0));
    if (left == 0) {
        if (!t->ended)
            yk_ssl_lib.BIO_set_flags(b, YK_BIO_READ_LATER);
        return t->ended ? 0 : -1;
    }
    memcpy(to, t->in.ptr + t->in_at, take);
    t->in_at += take;
    if (t->in_at == t->in.len)
        t->in_at = t->in.len = 0;
    return (int)take;
}

static int to_peer(yk_bio *b, const char *from, int n)
{
    yk_tls *t = yk_ssl_lib.BIO_get_data(b);
    yk_ssl_lib.BIO_clear_flags(b, YK_BIO_ALL_RETRIES);
    if (n <= 0)
        return 0;
    yk_buf_put(&t->out, from, (size_t)n);
    t->no_memory |= t->out.failed;
    return t->out.failed ? -1 : n;
}

static long control(yk_bio *b, int what, long number, void *pointer)
{
    const yk_tls *t = yk_ssl_lib.BIO_get_data(b);
    if (what == YK_BIO_CTRL_EOF)
        return t->ended && t->in_at == t->in.len;
    return what == YK_BIO_CTRL_FLUSH;
}

/* Made once, for all threads; who comes second throws its own away. */
static const yk_bio_method *method(void)
{
    static yk_bio_method *_Atomic made;
    yk_bio_method *m = atomic_load_explicit(&made, memory_order_acquire); /* pairs with the release below: it is filled */
    if (m)
        return m;
    m = yk_ssl_lib.BIO_meth_new(yk_ssl_lib.BIO_get_new_index() | YK_BIO_SOURCE_SINK, "yoke");
    if (!m)
        return NULL;
    yk_ssl_lib.BIO_meth_set_read(m, from_peer);
    yk_ssl_lib.BIO_meth_set_write(m, to_peer);
    yk_ssl_lib.BIO_meth_set_ctrl(m, control);
    yk_bio_method *before = NULL;
    if (atomic_compare_exchange_strong_explicit(&made, &before, m, memory_order_release, memory_order_acquire))
        return m;
    yk_ssl_lib.BIO_meth_free(m);
    return before;
}

/* ---- Opening ---- */

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* The name without what is not part of it in a certificate: the dot at the end, brackets, the zone of an address. */
static char *plain_name(const char *name)
{
    size_t len = strlen(name);
    if (len > 2 && name[0] == '[' && name[len - 1] == ']') {
        name++;
        len -= 2;
    }
    if (len > 1 && name[len - 1] == '.')
        len--;
    char *copy = yk_sys.malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, name, len);
    copy[len] = 0;
    char *zone = strchr(copy, '%');
    if (zone) {
        *zone = 0;
        if (!strchr(copy, ':') || !is_address(copy))
            *zone = '%';
    }
    return copy;
}

/* OpenSSL takes no name for "do not look", and one that begins with a dot for "any host in there". */
static bool is_host(const char *name)
{
    return *name && *name != '.' && (!strchr(name, ':') || is_address(name));
}

/* What a client asks for, and what the certificate has to be for. */
static bool set_peer(yk_tls *t)
{
    char *name = t->server_name;
    bool address = is_address(name);
    if (!address && yk_ssl_lib.SSL_ctrl(t->ssl, YK_SSL_CTRL_SET_SERVER_NAME, 0, name) != 1)
        return false;
    yk_ssl_lib.SSL_set_hostflags(t->ssl, YK_X509_NO_PARTIAL_WILDCARDS);
    if (!(address ? yk_ssl_lib.X509_VERIFY_PARAM_set1_ip_asc(yk_ssl_lib.SSL_get0_param(t->ssl), name)
                  : yk_ssl_lib.SSL_set1_host(t->ssl, name)))
        return false;
    yk_ssl_session *before = t->ctx->resumes ? yk_tls_session_take(t->ctx, name) : NULL;
    if (before) {
        yk_ssl_lib.SSL_set_session(t->ssl, before); /* without it there is a whole handshake, which is as good */
        yk_ssl_lib.SSL_SESSION_free(before);
    }
    return true;
}

static int start(yk_tls *t, const char *server_name)
{
    if (!t->ctx->server && server_name && !(t->server_name = plain_name(server_name)))
        return -ENOMEM;
    if (t->server_name && !is_host(t->server_name))
        return -EINVAL;
    t->ssl = yk_ssl_lib.SSL_new(t->ctx->ctx);
    if (!t->ssl || yk_ssl_lib.SSL_set_ex_data(t->ssl, 0, t) != 1)
        return -ENOMEM;
    const yk_bio_method *m = method();
    yk_bio *b = m ? yk_ssl_lib.BIO_new(m) : NULL;
    if (!b)
        return -ENOMEM;
    yk_ssl_lib.BIO_set_data(b, t);
    yk_ssl_lib.BIO_set_init(b, 1);
    yk_ssl_lib.SSL_set_bio(t->ssl, b, b); /* which now belongs to the SSL */
    if (t->ctx->server)
        yk_ssl_lib.SSL_set_accept_state(t->ssl);
    else
        yk_ssl_lib.SSL_set_connect_state(t->ssl);
    return t->server_name && !set_peer(t) ? -ENOMEM : 0;
}

int yk_tls_open(yoke_tls *ctx, const char *server_name, yk_tls **ret)
{
    if (!ctx->server) {
        if (!ctx->insecure && (!server_name || !*server_name))
            return -EINVAL; /* whose certificate would it be? */
        if (server_name && strlen(server_name) > YK_TLS_NAME_MAX)
            return -EINVAL;
        if (server_name && !*server_name)
            server_name = NULL;
    }
    yk_tls *t = yk_sys.calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->ctx = yk_tls_ref(ctx);
    yk_ssl_lib.ERR_clear_error();
    int err = start(t, server_name);
    yk_ssl_lib.ERR_clear_error();
    if (err < 0)
        yk_tls_free(t);
    else
        *ret = t;
    return err;
}

yk_tls *yk_tls_free(yk_tls *t)
{
    if (!t)
        return NULL;
    if (t->ssl)
        yk_ssl_lib.SSL_free(t->ssl);
    yoke_tls_unref(t->ctx);
    yk_buf_done(&t->in);
    yk_buf_done(&t->out);
    free(t->server_name);
    free(t->peer_name);
    free(t->why);
    free(t);
    return NULL;
}

/* ---- Bytes from and to the peer ---- */

/* What is left of the buffer goes to its beginning. */
static void move_down(yk_buf *b, size_t *at)
{
    if (*at == 0)
        return;
    memmove(b->ptr, b->ptr + *at, b->len - *at);
    b->len -= *at;
    *at = 0;
}

/* Room for n more bytes; what was taken out before is reused first. */
static void *room(yk_buf *b, size_t *at, size_t n)
{
    if (n > b->cap - b->len)
        move_down(b, at);
    return yk_buf_room(b, n);
}

void *yk_tls_room(yk_tls *t, size_t n)
{
    void *p = room(&t->in, &t->in_at, n);
    t->in.failed = false; /* nothing is lost: it may be tried again */
    return p;
}

void yk_tls_fed(yk_tls *t, size_t n)
{
    t->in.len += n;
}

ssize_t yk_tls_feed(yk_tls *t, const void *in, size_t n)
{
    if (n == 0)
        return 0;
    void *p = yk_tls_room(t, n);
    if (!p)
        return -ENOMEM;
    memcpy(p, in, n);
    yk_tls_fed(t, n);
    return (ssize_t)n;
}

void yk_tls_feed_end(yk_tls *t)
{
    t->ended = true;
}

size_t yk_tls_out(yk_tls *t, const void **ret)
{
    *ret = t->out.ptr ? t->out.ptr + t->out_at : NULL;
    return t->out.len - t->out_at;
}

/* Empty: back to the beginning, and large memory back to where it came from. */
static void rewind_buf(yk_buf *b, size_t *at)
{
    *at = b->len = 0;
    if (b->cap > KEPT) {
        yk_buf_done(b);
        *b = (yk_buf){0};
    }
}

void yk_tls_out_done(yk_tls *t, size_t n)
{
    t->out_at += YK_MIN(n, t->out.len - t->out_at);
    if (t->out_at == t->out.len && !t->out.failed)
        rewind_buf(&t->out, &t->out_at);
}

void yk_tls_out_take(yk_tls *t, yk_buf *ret)
{
    move_down(&t->out, &t->out_at);
    bool failed = t->out.failed;
    t->out.failed = false;
    *ret = t->out;
    t->out = (yk_buf){.failed = failed};
}

/* ---- Talking ---- */

/* What OpenSSL meant by a result that is no success. 0: the peer said close_notify. */
static int wants(yk_tls *t, int result)
{
    int error = yk_ssl_lib.SSL_get_error(t->ssl, result);
    if (error == YK_SSL_ERROR_WANT_READ) {
        if (t->in_at == t->in.len)
            rewind_buf(&t->in, &t->in_at);
        return t->code < 0 ? t->code : -EAGAIN;
    }
    if (error == YK_SSL_ERROR_ZERO_RETURN)
        return 0;
    yk_tls_fail(t);
    yk_ssl_lib.ERR_clear_error();
    return t->code;
}

/* After the handshake, once. */
static int agree(yk_tls *t)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    yk_ssl_lib.SSL_get0_alpn_selected(t->ssl, &name, &len);
    t->alpn = len > 0 ? yk_tls_alpn_find(t->ctx, name, len) : NULL;
    if (len > 0 && !t->alpn)
        return yk_tls_failf(t, EPROTO, "TLS: the server chose a protocol that was not offered (ALPN)");
    t->done = true;
    /* A session of TLS 1.2 that was used is good for the next time too; of 1.3 there come new ones. */
    if (!t->ctx->server && t->ctx->resumes && t->server_name && yk_ssl_lib.SSL_session_reused(t->ssl) &&
        strcmp(yk_ssl_lib.SSL_get_version(t->ssl), "TLSv1.2") == 0) {
        yk_ssl_session *s = yk_ssl_lib.SSL_get1_session(t->ssl);
        if (s && !yk_tls_session_put(t->ctx, t->server_name, s))
            yk_ssl_lib.SSL_SESSION_free(s);
    }
    return 0;
}

int yk_tls_handshake(yk_tls *t)
{
    if (t->code < 0 || t->done)
        return t->code;
    yk_ssl_lib.ERR_clear_error();
    int result = yk_ssl_lib.SSL_do_handshake(t->ssl);
    if (result == 1)
        return agree(t);
    int err = wants(t, result);
    return err == 0 ? yk_tls_failf(t, ECONNABORTED, "TLS: the peer closed the connection during the handshake") : err;
}

ssize_t yk_tls_read(yk_tls *t, void *to, size_t n)
{
    int err = yk_tls_handshake(t);
    if (err < 0)
        return err;
    n = YK_MIN(n, (size_t)SSIZE_MAX);
    size_t all = 0, got = 0;
    while (all < n) {
        yk_ssl_lib.ERR_clear_error();
        int result = yk_ssl_lib.SSL_read_ex(t->ssl, (char *)to + all, n - all, &got);
        if (result != 1) {
            err = wants(t, result);
            return all > 0 ? (ssize_t)all : err;
        }
        all += got;
    }
    return (ssize_t)all;
}

ssize_t yk_tls_write(yk_tls *t, const void *from, size_t n)
{
    int err = yk_tls_handshake(t);
    if (err < 0)
        return err;
    if (t->closing)
        return -EPIPE;
    if (n == 0)
        return 0;
    if (t->out.len - t->out_at >= OUT_FULL)
        return -ENOBUFS;
    n = YK_MIN(n, (size_t)PIECE);
    size_t all = 0, put = 0;
    if (!room(&t->out, &t->out_at, n + (n / RECORD + 1) * PER_RECORD))
        t->no_memory = true;
    while (all < n && !t->no_memory) {
        yk_ssl_lib.ERR_clear_error();
        int result = yk_ssl_lib.SSL_write_ex(t->ssl, (const char *)from + all, n - all, &put);
        if (result != 1) {
            err = wants(t, result);
            return all > 0 ? (ssize_t)all : err;
        }
        all += put;
    }
    return t->no_memory ? yk_tls_fail(t) : (ssize_t)all;
}

int yk_tls_close(yk_tls *t)
{
    if (t->code < 0 || !t->done || t->closing)
        return t->code;
    yk_ssl_lib.ERR_clear_error();
    t->closing = true;
    int result = yk_ssl_lib.SSL_shutdown(t->ssl);
    return result < 0 ? wants(t, result) : 0;
}

bool yk_tls_pending(yk_tls *t)
{
    return t->in.len > t->in_at || yk_ssl_lib.SSL_has_pending(t->ssl);
}

/* ---- What it is ---- */

const char *yk_tls_error(yk_tls *t)
{
    return t->why ? t->why->text : t->code < 0 ? yoke_strerror(t->code) : "";
}

const char *yk_tls_alpn(yk_tls *t)
{
    return t->alpn ? t->alpn : "";
}

const char *yk_tls_version(yk_tls *t)
{
    return t->done ? yk_ssl_lib.SSL_get_version(t->ssl) : "";
}

const char *yk_tls_cipher(yk_tls *t)
{
    const yk_ssl_cipher *c = t->done ? yk_ssl_lib.SSL_get_current_cipher(t->ssl) : NULL;
    return c ? yk_ssl_lib.SSL_CIPHER_get_name(c) : "";
}

const char *yk_tls_server_name(yk_tls *t)
{
    const char *asked = t->done && t->ctx->server && !t->server_name ? yk_ssl_lib.SSL_get_servername(t->ssl, 0) : NULL;
    if (asked && (t->server_name = plain_name(asked)))
        yk_tls_ascii(t->server_name, strlen(t->server_name));
    return t->server_name ? t->server_name : "";
}

const char *yk_tls_peer_name(yk_tls *t)
{
    enum { SIZE = 1000 };
    if (t->done && !t->peer_name) {
        yk_x509 *x = yk_ssl_lib.SSL_get0_peer_certificate(t->ssl);
        if (x && (t->peer_name = yk_sys.malloc(SIZE)))
            yk_tls_name(yk_ssl_lib.X509_get_subject_name(x), t->peer_name, SIZE);
    }
    return t->peer_name ? t->peer_name : "";
}

bool yk_tls_resumed(yk_tls *t)
{
    return t->done && yk_ssl_lib.SSL_session_reused(t->ssl);
}
