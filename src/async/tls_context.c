/* tls_context: what connections share: an SSL_CTX made from options, the names of protocols, and a client's sessions.
 *
 * Everything that can be wrong with files and options is found here, once, and said in words; what is left for connections is
 * what the peer does. A context does not change after it is made, but for the sessions, which have a lock. */
#include "async/tls_engine.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static _Thread_local yk_error last_error;

const char *yoke_tls_error(void)
{
    return last_error.text;
}

#define SAY(code, ...) yk_errorf(&last_error, code, __VA_ARGS__)

/* ---- Names of protocols ---- */

static int check_options(const yoke_tls_opts *o, bool server)
{
    if (server && !o->cert_file)
        return SAY(EINVAL, "TLS: a server needs a certificate (cert_file)");
    if (server && o->insecure)
        return SAY(EINVAL, "TLS: insecure is for clients; a server asks for no certificate unless want_client_cert is set");
    if (!server && o->want_client_cert)
        return SAY(EINVAL, "TLS: want_client_cert is for servers");
    if (o->want_client_cert && !o->ca_file)
        return SAY(EINVAL, "TLS: want_client_cert needs ca_file: whose certificates are to be accepted?");
    if (o->key_file && !o->cert_file)
        return SAY(EINVAL, "TLS: there is a key_file, but no cert_file");
    if (o->nalpn > 0 && !o->alpn)
        return SAY(EINVAL, "TLS: nalpn is %u, but there is no alpn", o->nalpn);
    for (unsigned i = 0; i < o->nalpn; i++) {
        size_t len = o->alpn[i] ? strlen(o->alpn[i]) : 0;
        if (len == 0 || len > 255)
            return SAY(EINVAL, "TLS: alpn[%u] has %zu bytes, a protocol's name has 1 to 255", i, len);
    }
    return 0;
}

static int copy_alpn(yoke_tls *t, const yoke_tls_opts *o)
{
    for (unsigned i = 0; i < o->nalpn; i++)
        t->alpn_len += strlen(o->alpn[i]) + 1;
    if (t->alpn_len == 0)
        return 0;
    if (t->alpn_len > UINT16_MAX)
        return SAY(EINVAL, "TLS: the names in alpn have %zu bytes together, more than fit into a handshake", t->alpn_len);
    t->alpn = yk_sys.malloc(t->alpn_len);
    t->alpn_names = yk_sys.malloc(t->alpn_len);
    if (!t->alpn || !t->alpn_names)
        return SAY(ENOMEM, "TLS: no memory");
    size_t at = 0;
    for (unsigned i = 0; i < o->nalpn; i++) {
        size_t len = strlen(o->alpn[i]);
        t->alpn[at] = (unsigned char)len;
        memcpy(t->alpn + at + 1, o->alpn[i], len);
        memcpy(t->alpn_names + at, o->alpn[i], len + 1);
        at += len + 1;
    }
    return 0;
}

const char *yk_tls_alpn_find(const yoke_tls *t, const unsigned char *name, size_t len)
{
    for (size_t at = 0; at < t->alpn_len; at += t->alpn[at] + 1u)
        if (t->alpn[at] == len && memcmp(t->alpn + at + 1, name, len) == 0)
            return t->alpn_names + at;
    return NULL;
}

static bool offers(const unsigned char *in, unsigned len, const unsigned char *name, size_t name_len)
{
    for (unsigned at = 0; at < len && in[at] < len - at; at += in[at] + 1u)
        if (in[at] == name_len && memcmp(in + at + 1, name, name_len) == 0)
            return true;
    return false;
}

/* The server's order counts. Without a common protocol there is no connection (RFC 7301, 3.2). */
static int select_alpn(yk_ssl *s, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in, unsigned len,
                       void *arg)
{
    const yoke_tls *t = arg;
    for (size_t at = 0; at < t->alpn_len; at += t->alpn[at] + 1u) {
        if (offers(in, len, t->alpn + at + 1, t->alpn[at])) {
            *ret = t->alpn + at + 1;
            *ret_len = t->alpn[at];
            return YK_SSL_ALPN_OK;
        }
    }
    return YK_SSL_ALPN_REFUSE;
}

/* ---- Sessions ---- */

static void session_drop(yk_tls_session *s)
{
    free(s->name);
    if (s->session)
        yk_ssl_lib.SSL_SESSION_free(s->session);
    *s = (yk_tls_session){0};
}

yk_ssl_session *yk_tls_session_take(yoke_tls *t, const char *name)
{
    yk_ssl_session *found = NULL;
    yk_mutex_lock(&t->lock);
    for (unsigned i = 0; i < YK_TLS_SESSIONS && !found; i++) {
        yk_tls_session *s = &t->sessions[i];
        if (s->name && strcmp(s->name, name) == 0) {
            found = s->session;
            s->session = NULL;
            session_drop(s);
        }
    }
    yk_mutex_unlock(&t->lock);
    /* A connection that broke has made its session useless. */
    if (found && !yk_ssl_lib.SSL_SESSION_is_resumable(found)) {
        yk_ssl_lib.SSL_SESSION_free(found);
        found = NULL;
    }
    return found;
}

bool yk_tls_session_put(yoke_tls *t, const char *name, yk_ssl_session *session)
{
    yk_tls_session fresh = {yk_sys.malloc(strlen(name) + 1), session}, old = {0};
    if (!fresh.name)
        return false;
    memcpy(fresh.name, name, strlen(name) + 1);
    yk_mutex_lock(&t->lock);
    yk_tls_session *at = NULL;
    for (unsigned i = 0; i < YK_TLS_SESSIONS && !at; i++)
        if (t->sessions[i].name && strcmp(t->sessions[i].name, name) == 0)
            at = &t->sessions[i];
    if (!at)
        at = &t->sessions[++t->newest % YK_TLS_SESSIONS];
    old = *at;
    *at = fresh;
    yk_mutex_unlock(&t->lock);
    session_drop(&old);
    return true;
}

/* 1: the session is ours from now on. */
static int new_session(yk_ssl *s, yk_ssl_session *session)
{
    const yk_tls *t = yk_ssl_lib.SSL_get_ex_data(s, 0);
    return t && t->server_name && yk_tls_session_put(t->ctx, t->server_name, session);
}

/* ---- Files ---- */

/* OpenSSL's words for a file that cannot be opened are poor ones. */
static int check_file(const char *path)
{
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return SAY(errno, "TLS: %s: %s", path, yoke_strerror(errno));
    close(fd);
    return 0;
}

static int file_fails(const char *path, const char *what)
{
    unsigned long error = yk_ssl_lib.ERR_peek_last_error();
    const char *why = yk_ssl_lib.ERR_reason_error_string(error);
    if (yk_ssl_no_memory(error))
        return SAY(ENOMEM, "TLS: %s: no memory", path);
    return SAY(EBADMSG, "TLS: %s: %s: %s", path, what, why ? why : "it cannot be read");
}

static int password(char *to, int size, int writing, void *arg)
{
    const char *word = arg;
    if (!word || size <= 0 || strlen(word) > (size_t)size)
        return -1;
    memcpy(to, word, strlen(word));
    return (int)strlen(word);
}

/* The key first: with a certificate there already, a key that does not belong to it would not even be taken. */
static int use_files(yoke_tls *t, const yoke_tls_opts *o)
{
    const char *key = o->key_file ? o->key_file : o->cert_file;
    union {
        const char *given;
        void *kept;
    } word = {o->key_password};
    int err = check_file(o->cert_file);
    if (err == 0)
        err = check_file(key);
    if (err < 0)
        return err;
    yk_ssl_lib.SSL_CTX_set_default_passwd_cb(t->ctx, password);
    yk_ssl_lib.SSL_CTX_set_default_passwd_cb_userdata(t->ctx, word.kept);
    if (yk_ssl_lib.SSL_CTX_use_PrivateKey_file(t->ctx, key, YK_SSL_FILE_PEM) != 1)
        err = file_fails(key, !o->key_password ? "no private key that can be used without a password"
                                               : "no private key that can be used with this password");
    else if (yk_ssl_lib.SSL_CTX_use_certificate_chain_file(t->ctx, o->cert_file) != 1)
        err = file_fails(o->cert_file, "no certificate that can be used");
    else if (yk_ssl_lib.SSL_CTX_check_private_key(t->ctx) != 1)
        err = SAY(EBADMSG, "TLS: the private key in %s does not belong to the certificate in %s", key, o->cert_file);
    yk_ssl_lib.SSL_CTX_set_default_passwd_cb_userdata(t->ctx, NULL);
    return err;
}

static int use_authorities(yoke_tls *t, const yoke_tls_opts *o)
{
    if (!o->ca_file)
        return yk_ssl_lib.SSL_CTX_set_default_verify_paths(t->ctx) == 1 ? 0 : SAY(ENOMEM, "TLS: no memory");
    int err = check_file(o->ca_file);
    if (err < 0)
        return err;
    t->own_ca = true;
    if (yk_ssl_lib.SSL_CTX_load_verify_file(t->ctx, o->ca_file) != 1)
        return file_fails(o->ca_file, "no authorities in it");
    if (!t->server)
        return 0;
    yk_stack *names = yk_ssl_lib.SSL_load_client_CA_file(o->ca_file); /* what clients choose their certificate by */
    if (!names)
        return file_fails(o->ca_file, "no authorities in it");
    yk_ssl_lib.SSL_CTX_set_client_CA_list(t->ctx, names);
    return 0;
}

/* ---- Making ---- */

static void set_verifying(yoke_tls *t, const yoke_tls_opts *o)
{
    int mode = t->server ? (o->want_client_cert ? YK_SSL_VERIFY_PEER | YK_SSL_VERIFY_NEEDS_CERT : YK_SSL_VERIFY_NONE)
                         : (o->insecure ? YK_SSL_VERIFY_NONE : YK_SSL_VERIFY_PEER);
    yk_ssl_lib.SSL_CTX_set_verify(t->ctx, mode, mode == YK_SSL_VERIFY_NONE ? NULL : yk_tls_check);
}

/* A server keeps nothing of its clients' sessions: the tickets that it gives them hold all. */
static void set_sessions(yoke_tls *t)
{
    long mode = t->server || !t->resumes ? YK_SSL_CACHE_OFF : YK_SSL_CACHE_CLIENT | YK_SSL_CACHE_NO_INTERNAL;
    yk_ssl_lib.SSL_CTX_ctrl(t->ctx, YK_SSL_CTRL_SESS_CACHE_MODE, mode, NULL);
    if (mode != YK_SSL_CACHE_OFF)
        yk_ssl_lib.SSL_CTX_sess_set_new_cb(t->ctx, new_session);
    if (!t->resumes) {
        yk_ssl_lib.SSL_CTX_set_options(t->ctx, YK_SSL_OP_NO_TICKET);
        yk_ssl_lib.SSL_CTX_set_num_tickets(t->ctx, 0);
    }
}

static int set_up(yoke_tls *t, const yoke_tls_opts *o)
{
    static const unsigned char id[] = "yoke"; /* tickets are bound to the context's own key anyway */
    if (yk_ssl_lib.SSL_CTX_ctrl(t->ctx, YK_SSL_CTRL_SET_MIN_VERSION, YK_TLS_1_2, NULL) != 1 ||
        yk_ssl_lib.SSL_CTX_set_session_id_context(t->ctx, id, sizeof id - 1) != 1)
        return SAY(ENOTSUP, "TLS: this OpenSSL has no TLS 1.2");
    yk_ssl_lib.SSL_CTX_set_options(t->ctx, YK_SSL_OP_NO_RENEGOTIATION);
    yk_ssl_lib.SSL_CTX_ctrl(t->ctx, YK_SSL_CTRL_MODE,
                            YK_SSL_MODE_PARTIAL_WRITE | YK_SSL_MODE_MOVING_BUFFER | YK_SSL_MODE_RELEASE_BUFFERS, NULL);
    set_verifying(t, o);
    set_sessions(t);
    int err = copy_alpn(t, o);
    if (err < 0)
        return err;
    if (t->alpn_len > 0 && t->server)
        yk_ssl_lib.SSL_CTX_set_alpn_select_cb(t->ctx, select_alpn, t);
    else if (t->alpn_len > 0 && yk_ssl_lib.SSL_CTX_set_alpn_protos(t->ctx, t->alpn, (unsigned)t->alpn_len) != 0)
        return SAY(ENOMEM, "TLS: no memory"); /* 0 is success here, and here alone */
    if (o->cert_file)
        err = use_files(t, o);
    if (err == 0 && (!t->server || o->want_client_cert))
        err = use_authorities(t, o);
    return err;
}

static int make(const yoke_tls_opts *o, bool server, yoke_tls **ret)
{
    static const yoke_tls_opts none;
    if (!o)
        o = &none;
    if (!ret)
        return SAY(EINVAL, "TLS: there is no place for the result");
    int err = check_options(o, server);
    if (err == 0)
        err = yk_ssl_load(&last_error);
    if (err < 0)
        return err;
    yk_ssl_lib.ERR_clear_error();
    yoke_tls *t = yk_sys.calloc(1, sizeof *t);
    if (!t)
        return SAY(ENOMEM, "TLS: no memory");
    atomic_init(&t->refs, 1);
    t->server = server;
    t->insecure = o->insecure;
    t->resumes = !o->no_resumption;
    t->ctx = yk_ssl_lib.SSL_CTX_new(server ? yk_ssl_lib.TLS_server_method() : yk_ssl_lib.TLS_client_method());
    err = t->ctx ? set_up(t, o) : SAY(ENOMEM, "TLS: no memory");
    yk_ssl_lib.ERR_clear_error();
    if (err < 0)
        yoke_tls_unref(t);
    else
        *ret = t;
    return err;
}

int yoke_tls_client(const yoke_tls_opts *opts, yoke_tls **ret)
{
    return make(opts, false, ret);
}

int yoke_tls_server(const yoke_tls_opts *opts, yoke_tls **ret)
{
    return make(opts, true, ret);
}

yoke_tls *yk_tls_ref(yoke_tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

bool yk_tls_is_server(const yoke_tls *t)
{
    return t->server;
}

yoke_tls *yoke_tls_unref(yoke_tls *t)
{
    /* Release: what this thread did to t comes before; acquire: what the others did. Each pairs with itself. */
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    for (unsigned i = 0; i < YK_TLS_SESSIONS; i++)
        session_drop(&t->sessions[i]);
    if (t->ctx)
        yk_ssl_lib.SSL_CTX_free(t->ctx);
    free(t->alpn);
    free(t->alpn_names);
    free(t);
    return NULL;
}
