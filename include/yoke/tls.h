/* yoke/tls.h - what encrypted connections share: certificates, authorities, protocols, checks.
 *
 *     yoke_tls *tls;
 *     if (yoke_tls_client(NULL, &tls) < 0)
 *         fprintf(stderr, "%s\n", yoke_tls_error());
 *
 * TLS 1.2 and 1.3, by OpenSSL 3: libssl.so.3 is opened when the first of these is made, and where it is missing that is the
 * error (-ENOTSUP). YOKE_TLS_LIBRARY names another file to be opened instead.
 *
 * A client checks the server's certificate: that it leads to a known authority, is of today, and is for the host name or the IP
 * address that the connection was opened to. Sessions are resumed: a client keeps the last one of each of some hosts.
 */
#ifndef YOKE_TLS_H
#define YOKE_TLS_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Belongs to all connections that were opened with it; any number of threads may open them at once. */
typedef struct yoke_tls yoke_tls;

/* Zero is the default of each. Text is copied, files are read when the yoke_tls is made. All files are in PEM format. */
typedef struct yoke_tls_opts {
    const char *cert_file;    /* own certificate, with the ones that lead to its authority; a server needs one */
    const char *key_file;     /* its private key; NULL: it is in cert_file */
    const char *key_password; /* of a key that is encrypted; NULL: such a key is refused */
    const char *ca_file;      /* the authorities that are believed; NULL: the system's */
    const char *const *alpn;  /* names of protocols as "h2", the one liked best first */
    unsigned nalpn;           /* how many */
    bool insecure;            /* client: any certificate will do. Whoever is in between can then read and change everything. */
    bool want_client_cert;    /* server: a client has to show a certificate by an authority in ca_file, which must be given */
    bool no_resumption;       /* every connection makes a handshake of its own */
} yoke_tls_opts;

/* For the connecting side; opts may be NULL. Returns 0, -EINVAL (options that contradict each other), what opening a file
 * returned, -EBADMSG (a file without a certificate or key in it, a wrong password, a key that does not belong to the
 * certificate), -ENOTSUP (there is no libssl.so.3, or it is not whole), -ENOMEM. Then yoke_tls_error() says it in words. Any
 * thread; it reads files. Give it back with yoke_tls_unref(). */
YOKE_API int yoke_tls_client(const yoke_tls_opts *opts, yoke_tls **ret);
/* The same for the accepting side. */
YOKE_API int yoke_tls_server(const yoke_tls_opts *opts, yoke_tls **ret);

/* Drops the caller's reference; connections keep theirs. NULL is allowed; always returns NULL. Any thread. */
YOKE_API yoke_tls *yoke_tls_unref(yoke_tls *t);

/* Why yoke_tls_client() or yoke_tls_server() last failed on this thread, on one line; "" if none ever did. Valid until the
 * next failure. */
YOKE_API const char *yoke_tls_error(void);

#ifdef __cplusplus
}
#endif
#endif
