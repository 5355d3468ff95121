/* tls_words: what went wrong, as a code and one line for people.
 *
 * OpenSSL leaves a queue of numbers, of which the first that is of TLS itself is what happened. The faults of a certificate are
 * written down earlier, when they are found, since the certificate and its place in the chain are at hand only then. Names in
 * certificates come from the peer: they are made harmless. */
#include "async/tls_engine.h"
#include <stdio.h>
#include <stdlib.h>

int yk_tls_failf(yk_tls *t, int code, const char *format, ...)
{
    if (t->code < 0)
        return t->code;
    t->code = code < 0 ? code : -code;
    t->why = yk_sys.malloc(sizeof *t->why);
    if (t->why) {
        va_list ap;
        va_start(ap, format);
        t->why->code = t->code;
        vsnprintf(t->why->text, sizeof t->why->text, format, ap);
        va_end(ap);
        yk_plain(t->why->text, strlen(t->why->text), true);
    }
    return t->code;
}

/* ---- Certificates ---- */

void yk_tls_ascii(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~') /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): written by OpenSSL */
            text[i] = '?';
}

void yk_tls_name(const yk_x509_name *name, char *to, size_t size)
{
    int n = 0;
    yk_bio *b = yk_ssl_lib.BIO_new(yk_ssl_lib.BIO_s_mem());
    if (b && name && yk_ssl_lib.X509_NAME_print_ex(b, name, 0, YK_NAME_RFC2253) >= 0)
        n = yk_ssl_lib.BIO_read(b, to, (int)size - 1);
    yk_ssl_lib.BIO_free(b);
    to[n > 0 ? n : 0] = 0;
    yk_tls_ascii(to, strlen(to));
}

static void put_address(yk_buf *b, const unsigned char *p, int len)
{
    if (len == 4)
        yk_buf_printf(b, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
    for (int i = 0; len == 16 && i < 16; i += 2)
        yk_buf_printf(b, "%s%x", i > 0 ? ":" : "", (unsigned)(p[i] << 8 | p[i + 1]));
}

/* One of the names that a certificate is for, unless it is of a kind that hosts do not have. */
static void put_alt_name(yk_buf *b, const yk_alt_name *name)
{
    int type = 0;
    const yk_asn1_text *value = yk_ssl_lib.GENERAL_NAME_get0_value(name, &type);
    if (!value || (type != YK_ALT_DNS && type != YK_ALT_IP))
        return;
    const unsigned char *p = yk_ssl_lib.ASN1_STRING_get0_data(value);
    int len = yk_ssl_lib.ASN1_STRING_length(value);
    if (b->len > 0)
        yk_buf_text(b, ", ");
    if (type == YK_ALT_IP)
        put_address(b, p, len);
    else
        yk_buf_put(b, p, (size_t)YK_MAX(len, 0));
}

/* The hosts that the certificate is for; only without any its common name would count. */
static void put_hosts(yk_buf *b, const yk_x509 *x)
{
    enum { SHOWN = 8 };
    char common[100] = "";
    yk_stack *names = yk_ssl_lib.X509_get_ext_d2i(x, YK_NID_ALT_NAMES, NULL, NULL);
    int n = names ? yk_ssl_lib.OPENSSL_sk_num(names) : 0;
    for (int i = 0; i < YK_MIN(n, (int)SHOWN); i++)
        put_alt_name(b, yk_ssl_lib.OPENSSL_sk_value(names, i));
    if (n > SHOWN)
        yk_buf_printf(b, " and %d more", n - SHOWN);
    if (names)
        yk_ssl_lib.GENERAL_NAMES_free(names);
    if (b->len == 0 &&
        yk_ssl_lib.X509_NAME_get_text_by_NID(yk_ssl_lib.X509_get_subject_name(x), YK_NID_COMMON_NAME, common, sizeof common) > 0)
        yk_buf_text(b, common);
    if (b->len == 0)
        yk_buf_text(b, "no host");
    if (!b->failed)
        yk_tls_ascii(b->ptr, b->len);
}

static int wrong_host(yk_tls *t, const char *what, const yk_x509 *x)
{
    char room[400];
    yk_buf b = {.ptr = room, .cap = sizeof room, .borrowed = true};
    put_hosts(&b, x);
    yk_tls_failf(t, EKEYREJECTED, "TLS: %s does not match: wanted %s, certificate is for %s", what,
                 t->server_name ? t->server_name : "", yk_buf_str(&b));
    yk_buf_done(&b);
    return t->code;
}

static int wrong_time(yk_tls *t, const char *whose, const char *what, const yk_asn1_time *time)
{
    struct tm tm;
    char day[40] = "an unknown time";
    if (time && yk_ssl_lib.ASN1_TIME_to_tm(time, &tm) == 1)
        strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S UTC", &tm);
    return yk_tls_failf(t, EKEYREJECTED, "TLS: %s %s %s", whose, what, day);
}

static int unknown_ca(yk_tls *t, int fault, const yk_x509 *x)
{
    enum { SELF_SIGNED = 18 };
    const char *believed = t->ctx->own_ca ? "the authorities in ca_file" : "the system's authorities";
    char name[200];
    yk_tls_name(yk_ssl_lib.X509_get_issuer_name(x), name, sizeof name);
    if (fault == SELF_SIGNED)
        return yk_tls_failf(t, EKEYREJECTED, "TLS: unknown CA: certificate is self-signed by \"%s\", who is not among %s", name,
                            believed);
    return yk_tls_failf(t, EKEYREJECTED, "TLS: unknown CA: certificate is by \"%s\", who is not among %s", name, believed);
}

/* The numbers are those of OpenSSL's x509_vfy.h. */
static int fault_of(yk_tls *t, int fault, int depth, const yk_x509 *x)
{
    char whose[240] = "certificate", subject[200];
    if (depth > 0 && x) {
        yk_tls_name(yk_ssl_lib.X509_get_subject_name(x), subject, sizeof subject);
        snprintf(whose, sizeof whose, "certificate of the authority \"%s\"", subject);
    }
    switch (x ? fault : 0) {
    case 9:
        return wrong_time(t, whose, "is not valid yet, but from", yk_ssl_lib.X509_get0_notBefore(x));
    case 10:
        return wrong_time(t, whose, "has expired: it was valid until", yk_ssl_lib.X509_get0_notAfter(x));
    case 2:
    case 18:
    case 19:
    case 20:
    case 21:
        return unknown_ca(t, fault, x);
    case 26:
        return yk_tls_failf(t, EKEYREJECTED, "TLS: %s is not meant for %s", whose, t->ctx->server ? "clients" : "servers");
    case 62:
        return wrong_host(t, "host name", x);
    case 64:
        return wrong_host(t, "IP address", x);
    }
    return yk_tls_failf(t, EKEYREJECTED, "TLS: %s is not accepted: %s", whose, yk_ssl_lib.X509_verify_cert_error_string(fault));
}

int yk_tls_check(int good, yk_x509_checking *c)
{
    if (good)
        return 1;
    yk_ssl *s = yk_ssl_lib.X509_STORE_CTX_get_ex_data(c, yk_ssl_lib.SSL_get_ex_data_X509_STORE_CTX_idx());
    yk_tls *t = s ? yk_ssl_lib.SSL_get_ex_data(s, 0) : NULL;
    if (t)
        fault_of(t, yk_ssl_lib.X509_STORE_CTX_get_error(c), yk_ssl_lib.X509_STORE_CTX_get_error_depth(c),
                 yk_ssl_lib.X509_STORE_CTX_get_current_cert(c));
    return 0;
}

/* ---- The rest ---- */

typedef struct phrase {
    int reason, code;
    const char *text;
} phrase;

/* Alerts that the peer sent (RFC 8446, 6.2). */
static const phrase alerts[] = {
    {10, EPROTO, "unexpected message"},
    {20, EBADMSG, "a record of ours arrived changed"},
    {21, EBADMSG, "a record of ours arrived changed"},
    {22, EPROTO, "a record was too long"},
    {40, EPROTO, "handshake failure (no cipher, curve or certificate that both sides can use?)"},
    {41, EACCES, "there is none"},
    {42, EACCES, "it is for another host, not valid now, or corrupt"},
    {43, EACCES, "its kind is not supported"},
    {44, EACCES, "it is revoked"},
    {45, EACCES, "it has expired"},
    {46, EACCES, "it is not acceptable"},
    {47, EPROTO, "illegal parameter"},
    {48, EACCES, "unknown CA"},
    {49, EACCES, "access denied"},
    {50, EPROTO, "a message could not be read"},
    {51, EPROTO, "a signature or a key of the handshake is wrong"},
    {70, EPROTO, "it speaks no version of TLS from 1.2 on"},
    {71, EPROTO, "insufficient security"},
    {80, EPROTO, "internal error"},
    {90, EPROTO, "the user cancelled"},
    {112, EPROTO, "it does not know this host name"},
    {116, EACCES, "it wants one"},
    {120, EPROTO, "no protocol in common (ALPN)"},
};

/* What is found on this side: reasons of OpenSSL's sslerr.h. */
static const phrase reasons[] = {
    {134, EKEYREJECTED, "the peer's certificate is not accepted"},
    {146, EBADMSG, "a record is too long"},
    {150, EBADMSG, "a record is too long"},
    {155, EPROTO, "the peer does not speak TLS, but HTTP to a proxy"},
    {156, EPROTO, "the peer does not speak TLS, but plain HTTP"},
    {193, EPROTO, "no cipher in common with the peer"},
    {198, EBADMSG, "a record is too long"},
    {199, EKEYREJECTED, "the client shows no certificate"},
    {235, EPROTO, "no protocol in common with the peer (ALPN)"},
    {258, EPROTO, "the peer speaks no version of TLS from 1.2 on"},
    {267, EPROTO, "the peer does not speak TLS (these bytes are no record of it)"},
    {281, EBADMSG, "a record was changed on its way: it does not decrypt"},
    {443, EBADMSG, "a record is of no known kind"},
};

static const phrase *find_phrase(const phrase *p, size_t n, int reason)
{
    for (size_t i = 0; i < n; i++)
        if (p[i].reason == reason)
            return &p[i];
    return NULL;
}

static int refused(yk_tls *t, int alert)
{
    const phrase *p = find_phrase(alerts, YK_COUNT_OF(alerts), alert);
    if (!p)
        return yk_tls_failf(t, EPROTO, "TLS: the peer gave up: alert %d", alert);
    if (p->code == EACCES)
        return yk_tls_failf(t, EACCES, "TLS: the peer does not accept our certificate: %s", p->text);
    return yk_tls_failf(t, p->code, "TLS: the peer gave up: %s", p->text);
}

static int cut_short(yk_tls *t)
{
    return yk_tls_failf(t, ECONNABORTED, "TLS: the connection ended %s",
                        t->done ? "without a close_notify: what came may be cut short" : "during the handshake");
}

int yk_tls_fail(yk_tls *t)
{
    enum { ALERTS = 1000, ENDED = 294 };
    unsigned long error = yk_ssl_lib.ERR_peek_error(), last = yk_ssl_lib.ERR_peek_last_error();
    if (yk_ssl_lib_of(error) != YK_ERR_LIB_SSL && yk_ssl_lib_of(last) == YK_ERR_LIB_SSL)
        error = last; /* the first says what a part within met with, this one what it means */
    int reason = yk_ssl_reason_of(error);
    bool own = yk_ssl_lib_of(error) == YK_ERR_LIB_SSL;
    if (t->code < 0)
        return t->code;
    if (t->no_memory || yk_ssl_no_memory(yk_ssl_lib.ERR_peek_error()) || yk_ssl_no_memory(last))
        return yk_tls_failf(t, ENOMEM, "TLS: no memory");
    if (own && reason >= ALERTS && reason < ALERTS + 256)
        return refused(t, reason - ALERTS);
    if (t->ended && t->in_at == t->in.len && (error == 0 || (own && reason == ENDED)))
        return cut_short(t);
    const phrase *p = own ? find_phrase(reasons, YK_COUNT_OF(reasons), reason) : NULL;
    if (p)
        return yk_tls_failf(t, p->code, "TLS: %s", p->text);
    const char *why = error ? yk_ssl_lib.ERR_reason_error_string(error) : NULL;
    return yk_tls_failf(t, EPROTO, "TLS: %s", why ? why : "OpenSSL failed without a reason");
}
