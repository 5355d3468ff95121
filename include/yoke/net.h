/* yoke/net.h - connections: TCP, Unix sockets, TLS over either, datagrams, names of hosts.
 *
 *     static int serve(yoke_conn *c, void *arg)
 *     {
 *         const char *line;
 *         size_t len;
 *         while (yoke_conn_read_line(c, 1000, &line, &len) > 0) {
 *             yoke_conn_write(c, line, len);
 *             yoke_conn_write(c, "\n", 1);
 *         }
 *         return 0;
 *     }
 *
 *     static int run(void *arg)
 *     {
 *         yoke_listener *l;
 *         int err = yoke_listen("tcp:127.0.0.1:8080", &l);
 *         if (err < 0) {
 *             fprintf(stderr, "%s\n", yoke_net_error());
 *             return err;
 *         }
 *         return yoke_serve(l, serve, NULL, NULL);        // a coroutine for each connection, until it is told to stop
 *     }
 *
 *     int main(void) { return yoke_async_run(run, NULL); }
 *
 * Where: "tcp:HOST:PORT", "unix:PATH", "unix:@NAME" (the abstract names of Linux), "udp:HOST:PORT". HOST is a name, an address as
 * 127.0.0.1 or [::1], or nothing for all of this machine's; PORT a number, 0 for any that is free, or the name of a service.
 *
 * Waiting. All calls that wait are places where a coroutine can be told to stop (yoke/async.h): then they return -ECANCELED and
 * nothing was read, sent, accepted. Time limits are those of scopes, YOKE_TIMEOUT(ns, &late) { ... }. Calls that could wait and
 * need not let others go first now and then, after 128 in a row. Outside of coroutines they block the thread, without time
 * limits.
 *
 * Whose. A connection, a listener, a socket for datagrams belongs to the loop in which it was opened, or, opened outside of
 * coroutines, to threads. In another loop, and in a coroutine when it is a thread's, all calls but _abort() return -EXDEV. One
 * coroutine may read from a connection and another write to it at the same time; a second one gets -EBUSY. Of a listener and of
 * a socket for datagrams several may wait, who get what comes in turn.
 *
 * Errors are negative codes of errno.h, -EINVAL for a connection, listener or socket that is NULL; yoke_net_error() and
 * yoke_conn_error() say them in words. Bytes beyond what the calls below name are not looked at; a call with n = 0 does nothing,
 * but for its being a place to stop.
 */
#ifndef YOKE_NET_H
#define YOKE_NET_H
#pragma GCC system_header
#include <sys/types.h>
#include <yoke/async.h>
#include <yoke/base.h>
#include <yoke/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_conn yoke_conn;
typedef struct yoke_listener yoke_listener;
typedef struct yoke_udp yoke_udp;

/* Why the last call that opened, resolved or listened failed in this thread, in one line, also for -ECANCELED: "connect to
 * tcp:[::1]:80: cancelled"; "" if none did. Valid until the next such call in this thread: look at once. */
YOKE_API const char *yoke_net_error(void);

/* ---- Connecting ---- */

/* Zero is the default of each. */
typedef struct yoke_connect_opts {
    yoke_tls *tls;           /* of yoke_tls_client(): encrypt, and check who it is, before it returns */
    const char *server_name; /* whose certificate is wanted; default: the host that `where` names. Without tls: -EINVAL */
    const char *local;       /* "tcp:HOST:PORT" to connect from */
    bool delay;              /* lets the kernel hold small writes back for a while to send them as one (TCP_NODELAY is off) */
    int64_t stagger;         /* between attempts at several addresses of a host; default 250 ms */
} yoke_connect_opts;

/* Waits until it is connected. A host with several addresses is tried at one after the other, IPv6 and IPv4 by turns, each a
 * quarter of a second after the one before (RFC 8305); the first that answers is it. Returns 0; what connect(2) said of the
 * attempt that failed last, as -ECONNREFUSED; what yoke_resolve() says; of TLS -EKEYREJECTED (the certificate is not accepted:
 * its authority, its name, its dates), -EPROTO (the handshake failed, or the peer speaks something else), and yoke_net_error()
 * says more; -EINVAL (not a place, or a tls of yoke_tls_server()); -ENOMEM, -EMFILE. */
YOKE_API int yoke_connect(const char *where, yoke_conn **ret);
YOKE_API int yoke_connect_with(const char *where, const yoke_connect_opts *opts, yoke_conn **ret);

/* Makes a connected stream socket, one end of socketpair(2) too, a connection, which owns it from then on. On an error it stays
 * the caller's. Nobody else may read from or write to the descriptor. */
YOKE_API int yoke_conn_of_fd(int fd, yoke_conn **ret);

/* Begins TLS on a connection on which nothing of it has been said: as the client, which wants the certificate of server_name, or
 * as the server, according to what tls is. It waits until the handshake is done. Errors as of yoke_connect(); the connection is
 * then good for closing alone. Nobody may be reading or writing. */
YOKE_API int yoke_conn_start_tls(yoke_conn *c, yoke_tls *tls, const char *server_name);
/* Waits for the handshake of an accepted connection with TLS, which else the first read or write does. 0 also without TLS. */
YOKE_API int yoke_conn_handshake(yoke_conn *c);

/* ---- Reading ---- */

/* What there is, at least one byte and at most n, waiting for it if need be: how many. 0: the peer has ended its side (or n is
 * 0). -ECONNRESET and others: the connection broke. */
YOKE_API ssize_t yoke_conn_read(yoke_conn *c, void *buf, size_t n);
/* Waits for all n bytes: n. 0 when the peer's side ended before the first. -ENODATA when it ended in between: what came is still
 * there to be read, as it is when told to stop. */
YOKE_API ssize_t yoke_conn_read_exactly(yoke_conn *c, void *buf, size_t n);
/* Waits for a line, without its end ("\n" or "\r\n"): 1, and where it is, in the connection's own memory, until the next call
 * that reads. What stands last without an end is a line too. 0: no more. -EMSGSIZE: there is no end within `most` bytes; nothing
 * was read. */
YOKE_API int yoke_conn_read_line(yoke_conn *c, size_t most, const char **ret, size_t *ret_len);
/* The same up to where the `len` bytes of `end` stand, which are read and not part of it. -ENODATA: the peer's side ended before;
 * what came is still there. */
YOKE_API int yoke_conn_read_until(yoke_conn *c, const void *end, size_t len, size_t most, const char **ret, size_t *ret_len);
/* Waits until `least` bytes have come, or the end: how many are there now (less than `least`: the end), and where, until the next
 * call that reads. They stay unread. With least = 0 it does not wait. */
YOKE_API ssize_t yoke_conn_peek(yoke_conn *c, size_t least, const char **ret);
/* Takes n bytes as read that yoke_conn_peek() has shown; no more than those. Does not wait. */
YOKE_API void yoke_conn_consume(yoke_conn *c, size_t n);

/* ---- Writing ---- */

/* Writes all n bytes: n. They are sent, at once or when the loop next looks at the kernel, and kept and sent behind the caller's
 * back as far as there are no more than 64 KiB of those; else it waits until there are less than 16 KiB. When it is told to stop:
 * -ECANCELED if nothing was taken yet, else how many bytes were, less than n (and the next wait says -ECANCELED). -EPIPE,
 * -ECONNRESET: the peer has gone, which may also be said of what was written before. */
YOKE_API ssize_t yoke_conn_write(yoke_conn *c, const void *buf, size_t n);
/* The same for several pieces. */
struct iovec;
YOKE_API ssize_t yoke_conn_writev(yoke_conn *c, const struct iovec *pieces, int n);
/* Waits until the kernel has all that was written: 0. */
YOKE_API int yoke_conn_flush(yoke_conn *c);
/* Ends the writing side, after what was written; the peer reads the end then. Reading goes on. Does not wait. */
YOKE_API int yoke_conn_shutdown(yoke_conn *c);

/* ---- Closing ---- */

/* Sends what was written, says good-bye (TLS), and frees the connection, whatever it returns: 0; or the code for which not all of
 * it was sent: -ETIMEDOUT after five seconds, -ECANCELED when told to stop (all that the kernel took at once was sent). When the
 * peer is still sending it waits up to a second for that to end, since what was sent is lost to the peer otherwise. Who waits in
 * another call on it gets -ESHUTDOWN. NULL is allowed. */
YOKE_API int yoke_conn_close(yoke_conn *c);
/* Frees it at once; what was not sent is not, and the peer is told that the connection broke (TCP: a reset). Does not wait. In
 * the loop or thread whose it is. NULL is allowed. */
YOKE_API void yoke_conn_abort(yoke_conn *c);

/* ---- What it is ---- */

/* The other end and this one, as `where` is written; "" when it is not known. Valid as long as c. */
YOKE_API const char *yoke_conn_peer(yoke_conn *c);
YOKE_API const char *yoke_conn_local(yoke_conn *c);
/* For getsockopt(2) and the like. */
YOKE_API int yoke_conn_fd(const yoke_conn *c);
/* The last error in words, "" when there was none. Valid until the next. */
YOKE_API const char *yoke_conn_error(yoke_conn *c);

typedef struct yoke_tls_info {
    const char *version, *cipher, *alpn; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384", the protocol agreed on or "" */
    const char *server_name;             /* which the client asked for */
    const char *peer_name;               /* subject of the peer's certificate, or "" */
    bool resumed;
} yoke_tls_info;
/* Of a connection whose handshake is done; the texts are valid as long as c. -ENOTCONN: it is not encrypted, or not yet. */
YOKE_API int yoke_conn_tls(yoke_conn *c, yoke_tls_info *ret);

/* ---- Accepting ---- */

/* Zero is the default of each. */
typedef struct yoke_listen_opts {
    int backlog;        /* connections that wait for being accepted; default 1024 */
    bool reuseport;     /* several loops or processes may listen at the same port, and the kernel shares the connections out */
    bool only_v6;       /* at "tcp:[::]:PORT": not IPv4 as well */
    yoke_tls *tls;      /* of yoke_tls_server(): connections are encrypted */
    unsigned mode;      /* permissions of a Unix socket's file, as 0600; default: as umask(2) has it */
    unsigned most;      /* accepts no more while so many of its connections are open; default: any number */
    bool delay;         /* as of yoke_connect_opts */
} yoke_listen_opts;

/* Listens; it waits for a name that has to be looked up. The file of a Unix socket is replaced if nobody listens there any more,
 * and removed by yoke_listener_close(). 0, -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EINVAL (not a place, or a tls of
 * yoke_tls_client()), what yoke_resolve() says, -ENOMEM, -EMFILE. */
YOKE_API int yoke_listen(const char *where, yoke_listener **ret);
YOKE_API int yoke_listen_with(const char *where, const yoke_listen_opts *opts, yoke_listener **ret);

/* Waits for a connection: 0. Several coroutines may. When the process has no more descriptors (-EMFILE, -ENFILE) it turns away
 * those that wait, and pauses for a second, as it does when the kernel has no memory. It takes one, and leaves the others to
 * whoever else accepts from the socket; yoke_serve() takes all that come. -ESHUTDOWN: the listener was closed. */
YOKE_API int yoke_accept(yoke_listener *l, yoke_conn **ret);
/* The port of TCP, else 0; where it listens, as `where` is written, with the port that it got. Valid as long as l. */
YOKE_API int yoke_listener_port(const yoke_listener *l);
YOKE_API const char *yoke_listener_address(const yoke_listener *l);
YOKE_API int yoke_listener_fd(const yoke_listener *l);
/* Stops listening and frees it; who waits in yoke_accept() gets -ESHUTDOWN, and when the last one has it, the place is free; its
 * connections go on. Does not wait. NULL is allowed. */
YOKE_API void yoke_listener_close(yoke_listener *l);

/* Zero is the default of each. */
typedef struct yoke_serve_opts {
    int64_t grace;  /* how long connections may go on when it is told to stop; default 10 s; less than 0: not at all */
    size_t stack;   /* of each connection's coroutine, as of yoke_go_opts: default 64 KiB, which a large buffer on it may step
                     * over, into a neighbour's, without -fstack-clash-protection */
    void (*stopping)(void *arg); /* called when it begins to stop, with the same arg: time to finish the requests under way */
    int64_t handshake; /* how long that of TLS may take, but in a thread; default 10 s; less than 0: for ever */
    void (*refused)(yoke_conn *c, int code, void *arg); /* instead of fn, when it failed: yoke_conn_error(c) says why */
} yoke_serve_opts;

/* Accepts connections and runs fn(c, arg) for each in a coroutine, with TLS after a handshake that succeeds; when fn returns the
 * connection is closed. What fn returns is nobody's concern. While there are descriptors for twice the backlog, connections are
 * let in as they come, and then one by one.
 *
 * Goes on until it is told to stop, or the listener is closed. Then, whatever was accepted by the kernel gets served too (of a
 * listener that another has closed, what came in before that); it closes the listener, waits for the connections as long as
 * `grace`, and tells those that are left to stop. Returns -ECANCELED, 0 when the listener was closed by another, or the code of
 * an error that made accepting impossible. l is gone in any case. In a thread connections are served one after the other, with
 * no end. */
YOKE_API int yoke_serve(yoke_listener *l, int (*fn)(yoke_conn *c, void *arg), void *arg, const yoke_serve_opts *opts);
/* For the coroutines of yoke_serve() that wait for another request: whether it has begun to stop. */
YOKE_API bool yoke_serve_stopping(const yoke_conn *c);

/* ---- Addresses and names ---- */

/* The address of a socket: a struct sockaddr of len bytes. */
typedef struct yoke_address {
    unsigned len, tcp; /* tcp: written with "tcp:", 0: "udp:"; of no weight for Unix sockets */
    uint64_t sockaddr[14];
} yoke_address;

/* From "tcp:", "udp:" or "unix:" text with numbers alone, no names. 0 or -EINVAL. */
YOKE_API int yoke_address_parse(const char *where, yoke_address *ret);
/* As text, into `to` of `size` bytes (160 are always enough; what does not fit is cut). Returns to. */
YOKE_API const char *yoke_address_text(const yoke_address *a, char *to, size_t size);
YOKE_API int yoke_address_port(const yoke_address *a); /* 0: it has none */
YOKE_API bool yoke_address_equal(const yoke_address *a, const yoke_address *b);

/* Waits for the addresses of a host, best first, with the port of a service ("80", "https"; NULL: 0): how many, at least one, in
 * an array that free() takes back. An address as text needs no look-up, and "localhost" no file. The names are those of the C
 * library (getaddrinfo(3), in a helper thread; YOKE_DNS=system), or, with YOKE_DNS=cares in the environment, of libcares.so.2,
 * which asks the servers that YOKE_DNS_SERVERS lists, or resolv.conf (-ENOTSUP where it is missing). -ENOENT: there is no such
 * host; -EREMOTEIO: the servers of names did not say; -EINVAL: no such service, no name, or YOKE_DNS is another word; -ENOMEM.
 */
YOKE_API int yoke_resolve(const char *host, const char *service, yoke_address **ret);

/* ---- Datagrams ---- */

/* A socket for UDP at `where` ("udp:127.0.0.1:0"), or anywhere when it is first used (NULL: IPv4). It waits for a name that has
 * to be looked up. Errors as of yoke_listen(); -EINVAL also for "tcp:" and "unix:": yoke_net_error() says what is meant to stand
 * there. */
YOKE_API int yoke_udp_open(const char *where, yoke_udp **ret);
/* From now on it sends there, and receives from there alone. Waits, and errors, as of yoke_udp_open(). */
YOKE_API int yoke_udp_connect(yoke_udp *u, const char *where);
/* Sends one datagram, to the address or (NULL) where it is connected to, and waits for room if there is none: n. -EMSGSIZE: it is
 * too long. -EDESTADDRREQ: it is connected to nowhere, and there is no address. */
YOKE_API ssize_t yoke_udp_send(yoke_udp *u, const void *buf, size_t n, const yoke_address *to);
/* Waits for one: its length, which is more than n when it was cut, and who sent it (NULL: not wanted). -ECONNREFUSED: where it is
 * connected to nobody was there for one that was sent before. */
YOKE_API ssize_t yoke_udp_receive(yoke_udp *u, void *buf, size_t n, yoke_address *from);
YOKE_API int yoke_udp_port(const yoke_udp *u);
YOKE_API const char *yoke_udp_address(yoke_udp *u);
YOKE_API int yoke_udp_fd(const yoke_udp *u);
/* Frees it; who waits gets -ESHUTDOWN. Does not wait. NULL is allowed. */
YOKE_API void yoke_udp_close(yoke_udp *u);

#ifdef __cplusplus
}
#endif
#endif
