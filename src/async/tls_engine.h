/* tls_engine: what the files of tls share: the structs behind yoke_tls and yk_tls. Private to src/async/tls*.c. */
#ifndef YK_ASYNC_TLS_ENGINE_H
#define YK_ASYNC_TLS_ENGINE_H
#include "async/tls.h"
#include "async/tls_library.h"
#include "sync/mutex.h"

enum { YK_TLS_SESSIONS = 64, YK_TLS_NAME_MAX = 255 };

/* The last session of one host; the name is ours. */
typedef struct yk_tls_session {
    char *name;
    yk_ssl_session *session;
} yk_tls_session;

/* All but the last four fields are written before anybody else sees it. */
struct yoke_tls {
    yk_ssl_ctx *ctx;
    bool server, insecure, resumes, own_ca;
    unsigned char *alpn; /* as it goes over the wire: each name with its length before it */
    char *alpn_names;    /* the same names, each ended by a NUL */
    size_t alpn_len;
    _Atomic int refs;
    yk_mutex lock; /* of the sessions, which are a ring in the order of their age */
    unsigned newest;
    yk_tls_session sessions[YK_TLS_SESSIONS];
};

struct yk_tls {
    yk_ssl *ssl;
    yoke_tls *ctx;
    yk_buf in, out; /* from the peer, from in_at on; to the peer, from out_at on */
    size_t in_at, out_at;
    bool ended, done, closing, no_memory;
    int code;          /* the error that stays */
    yk_error *why;     /* its text; NULL when there was no memory for that */
    const char *alpn;  /* in ctx->alpn_names */
    char *server_name; /* as asked for */
    char *peer_name;   /* made when first asked for */
};

/* ---- tls_context.c ---- */

/* The name agreed on as it stands in t; NULL: it is none of them. */
const char *yk_tls_alpn_find(const yoke_tls *t, const unsigned char *name, size_t len);
/* Takes the session of that host out (each is used once, so that watchers cannot tell that it is the same client), or NULL. */
yk_ssl_session *yk_tls_session_take(yoke_tls *t, const char *name);
/* Keeps it, the oldest makes room: true; false when there is no memory, and it is still the caller's. */
bool yk_tls_session_put(yoke_tls *t, const char *name, yk_ssl_session *session);

/* ---- tls_words.c ---- */

/* Makes this the error that stays unless there is one; returns the one that stays. */
int yk_tls_failf(yk_tls *t, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with what OpenSSL's queue of errors says. */
int yk_tls_fail(yk_tls *t);
/* Called by OpenSSL for each certificate of a chain and each fault of it: records the fault in words. */
int yk_tls_check(int good, yk_x509_checking *c);
/* Names of hosts are ASCII; from a peer come any bytes: the others become "?". */
void yk_tls_ascii(char *text, size_t len);
/* The subject (or the issuer) as of RFC 2253, at most size bytes with the NUL. */
void yk_tls_name(const yk_x509_name *name, char *to, size_t size);

#endif
