/* tls: one encrypted connection as an engine without a socket. Whoever has bytes from the peer feeds them in, takes the bytes
 * that are meant for the peer out, and sends them; in between stand the handshake, reading and writing.
 *
 * The rule for the user, in one loop: call what you want to do; then send all that yk_tls_out() has (also after an error: it is
 * the alert that tells the peer why); if the call said -EAGAIN, receive, feed, and call again.
 *
 * What calls return besides bytes:
 *     -EAGAIN        wants more bytes from the peer
 *     -ENOBUFS       yk_tls_write() alone: enough is waiting to be sent, take it out first
 *     -ECONNABORTED  the bytes ended (yk_tls_feed_end) without the peer's close_notify: what came may be cut short
 *     -EKEYREJECTED  the peer's certificate is not accepted; the text says why
 *     -EACCES        the peer does not accept ours, or wants one and there is none
 *     -EBADMSG       a record was changed on its way, or is none
 *     -EPROTO        everything else that a peer can do wrong or tells us that we do
 *     -EPIPE         yk_tls_write() after yk_tls_close()
 *     -ENOMEM
 * But for the first two and -EPIPE an error stays: every later call returns it again, and yk_tls_error() is its text.
 *
 * One thread at a time. No call blocks or makes a system call. */
#ifndef YK_ASYNC_TLS_H
#define YK_ASYNC_TLS_H
#include "base/base.h"
#include <sys/types.h>
#include <yoke/tls.h>

typedef struct yk_tls yk_tls;

/* One connection of the kind that ctx is for; it holds a reference to ctx. A client's server_name is the host name or the IP
 * address that it connects to: it is told to the server (a name alone) and compared with the certificate. NULL or "": an insecure
 * client has none. A server's is not looked at. -EINVAL: that is no name to compare with; -ENOMEM. */
int yk_tls_open(yoke_tls *ctx, const char *server_name, yk_tls **ret);
/* NULL is allowed. Returns NULL. */
yk_tls *yk_tls_free(yk_tls *t);

/* One more reference. */
yoke_tls *yk_tls_ref(yoke_tls *t);
/* Of yoke_tls_server(), not of yoke_tls_client(). */
bool yk_tls_is_server(const yoke_tls *t);

/* ---- Bytes from and to the peer ---- */

/* Takes all n bytes: returns n or -ENOMEM. Feed when a call has said -EAGAIN, so that what waits in here stays small. */
ssize_t yk_tls_feed(yk_tls *t, const void *in, size_t n);
/* The same without a copy: memory for at least n bytes to receive into, NULL when there is none; then how many they were. */
void *yk_tls_room(yk_tls *t, size_t n);
void yk_tls_fed(yk_tls *t, size_t n);
/* No more bytes will come. */
void yk_tls_feed_end(yk_tls *t);
/* How many bytes wait for being sent, and where; valid until the next call but yk_tls_out_done(), which says how many were. */
size_t yk_tls_out(yk_tls *t, const void **ret);
void yk_tls_out_done(yk_tls *t, size_t n);
/* All of it as a buffer of the caller's, who gives it back with yk_buf_done(): for sending that goes on while t is used. */
void yk_tls_out_take(yk_tls *t, yk_buf *ret);

/* ---- Talking ---- */

/* 0 when it is done, also when it was before. Reading and writing do it too. */
int yk_tls_handshake(yk_tls *t);
/* How many bytes, 0 at the peer's close_notify (and for n = 0). With some bytes read an error waits for the next call. */
ssize_t yk_tls_read(yk_tls *t, void *to, size_t n);
/* How many bytes are encrypted and will be delivered once they are sent: at most 64 KiB in a call, so that large writes go in
 * pieces. */
ssize_t yk_tls_write(yk_tls *t, const void *from, size_t n);
/* Says close_notify, once; reading goes on. 0, or the error there was. Nothing is said before the handshake is done. */
int yk_tls_close(yk_tls *t);
/* Whether something came that was not read yet (perhaps part of a record): a read may succeed without more bytes. */
bool yk_tls_pending(yk_tls *t);

/* ---- What it is ---- */

/* One line, "" when there was no error. Texts below are valid as long as t, and "" where there is none. */
const char *yk_tls_error(yk_tls *t);
const char *yk_tls_alpn(yk_tls *t);        /* the protocol agreed on */
const char *yk_tls_version(yk_tls *t);     /* "TLSv1.3" */
const char *yk_tls_cipher(yk_tls *t);      /* "TLS_AES_256_GCM_SHA384" */
const char *yk_tls_server_name(yk_tls *t); /* client: as opened; server: what the client asked for, made harmless */
/* The subject of the peer's certificate as of RFC 2253, "CN=alice,O=yoke"; checked unless the client is insecure. */
const char *yk_tls_peer_name(yk_tls *t);
bool yk_tls_resumed(yk_tls *t); /* the handshake went on from an earlier one */

#endif
