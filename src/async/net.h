/* net: what the files of yoke/net.h share: connections, addresses, and how errors are put into words. */
#ifndef YK_ASYNC_NET_H
#define YK_ASYNC_NET_H
#include "async/async.h"
#include "async/tls.h"
#include <yoke/net.h>

/* ---- Errors (address.c) ---- */

/* What yoke_net_error() says from now on in this thread. Returns the code, made negative. */
int yk_net_failf(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "WHAT WHERE: " and what the code means. Returns the code. */
int yk_net_fail(int code, const char *what, const char *where);
/* The same for -ECANCELED alone, which has no words yet; other codes have theirs. where may be NULL. */
int yk_net_stopped(int code, const char *what, const char *where);

/* ---- Whose (address.c) ---- */

/* The loop of the running coroutine; NULL in a thread, also in the loop itself. */
static inline yk_loop *yk_net_loop(void)
{
    yk_coroutine *co = yk_coroutine_here();
    return co ? co->loop : NULL;
}

/* ---- Addresses (address.c) ---- */

typedef enum yk_where_kind { YK_TCP, YK_UDP, YK_UNIX } yk_where_kind;

/* "tcp:HOST:PORT" in pieces. */
typedef struct yk_where {
    yk_where_kind kind;
    char host[256]; /* without brackets; or the path of a Unix socket */
    char port[64];
} yk_where;

/* 0, or -EINVAL and the reason in words. */
int yk_where_parse(const char *where, yk_where *ret);
/* The addresses of one: how many, at least one; free() takes them back. With `bind` they are such as one listens at. */
int yk_where_resolve(const char *where, yk_where *w, bool bind, yoke_address **ret);
struct sockaddr *yk_sockaddr(yoke_address *a);
int yk_family(const yoke_address *a);
/* That of a socket: getsockname(2), getpeername(2). 0 or a negative code. */
int yk_address_of(int fd, bool peer, bool tcp, yoke_address *ret);
/* From a sockaddr of the system's. False: it does not fit. */
bool yk_address_set(yoke_address *a, const struct sockaddr *from, socklen_t len, bool tcp);

/* ---- Names (resolve.c) ---- */

/* As yoke_resolve(). passive: NULL or "" as host is all addresses of this machine. */
int yk_resolve(const char *host, const char *service, bool tcp, bool passive, yoke_address **ret);

/* ---- Sockets that are no connections (socket.c) ---- */

typedef struct yk_socket_wait yk_socket_wait;

/* Lives as long as calls are in it, also when it has been closed. */
typedef struct yk_socket {
    yk_loop *loop;  /* NULL: of threads */
    int fd;
    unsigned busy;  /* calls that are in here */
    bool closed;
    yk_socket_wait *waits;
} yk_socket;

/* A new one, with these flags of socket(2) besides: in s, of the loop here. 0 or a negative code. */
int yk_socket_open(yk_socket *s, int family, int type);
/* Counts a call that waits in. 0, or a code, and it is not counted. */
int yk_socket_enter(yk_socket *s);
/* Counts it out. True: it is closed and nobody is in it any more: free what it is a part of. */
bool yk_socket_leave(yk_socket *s);
/* An operation on it, waited for: its result, -ECANCELED, -ESHUTDOWN. In a thread too. */
int64_t yk_socket_operate(yk_socket *s, yk_io *io, const char *what);
/* Waits until yk_socket_go_on() for the same thing (NULL: there is none), or the deadline: 0, -ETIMEDOUT, -ECANCELED,
 * -ESHUTDOWN. In a coroutine. */
int yk_socket_pause(yk_socket *s, const char *what, const void *of, int64_t deadline);
/* One that pauses for this goes on. */
void yk_socket_go_on(yk_socket *s, const void *of);
/* Wakes all that wait; the descriptor is closed when they are out. True: now; free what it is a part of. */
bool yk_socket_close(yk_socket *s);

/* ---- Connections (conn.c) ---- */

/* What somebody waits for there. */
typedef struct yk_conn_wait yk_conn_wait;

/* What each call looks at comes first, in one line of the cache: with a thousand connections that is what a call waits for. */
struct yoke_conn {
    yk_loop *loop;  /* NULL: of threads */
    yk_flow *flow;  /* NULL: of threads, or closed */
    yk_tls *tls;
    yk_conn_wait *waits; /* all that wait on it */
    char *in;       /* what was received and not read: `len` bytes from `begin` on, of `size` */
    size_t len;
    int fd;
    uint16_t busy;  /* calls that are in here; the last one out frees it once it is closed */
    bool closed;
    bool reading, writing, shaking; /* somebody is in such a call; in a handshake */
    bool ended;     /* the peer's side */
    bool shut;      /* our side */
    bool room_wanted, ending; /* ending: it is shut as soon as the engine's bytes are out */
    bool failed;    /* deaf or broken is set, or it is closed */
    bool large;     /* `in` has more than a small buffer */
    bool shaken;    /* the handshake is done */
    bool wrote;     /* the user, over TLS: what there is to send is not the engine's alone */
    int broken, deaf; /* what sending and receiving said, for good */
    int code;       /* the last error */
    size_t begin, size;
    size_t feed;    /* how much the next receive for TLS asks for */
    yoke_listener *listener; /* that it was accepted by; a reference */
    struct yk_server *server; /* of yoke_serve() */
    char *names[2]; /* local and peer; made when asked for */
};

/* Owns fd, on success. */
int yk_conn_open(int fd, yoke_conn **ret);
/* Encrypted from the next byte on. */
int yk_conn_set_tls(yoke_conn *c, yoke_tls *tls, const char *server_name);
/* For a call that waits: counts it in. 0, or a code, and it is not counted. */
int yk_conn_enter(yoke_conn *c);
/* Counts it out; c may be gone after that. Returns the code, which it keeps as the last error. */
ssize_t yk_conn_leave(yoke_conn *c, ssize_t code);
void yk_conn_free(yoke_conn *c);
/* Some bytes for the reader, waiting for them. 0 at the end. */
ssize_t yk_conn_take(yoke_conn *c, void *to, size_t n);
/* As many as are taken at once; -EAGAIN. */
ssize_t yk_conn_put_now(yoke_conn *c, const void *from, size_t n);
/* Waits until put_now() is worth another try. */
int yk_conn_wait_room(yoke_conn *c);
int yk_conn_flush(yoke_conn *c);

/* Bytes as they go over the wire: at once, or -EAGAIN. */
ssize_t yk_wire_recv(yoke_conn *c, void *to, size_t n);
ssize_t yk_wire_send(yoke_conn *c, const void *from, size_t n);
size_t yk_wire_unsent(const yoke_conn *c);
/* Wait for them: 0, or -ECANCELED, -ESHUTDOWN. */
int yk_wire_wait_data(yoke_conn *c);
int yk_wire_wait_room(yoke_conn *c);
int yk_wire_wait_empty(yoke_conn *c);
/* Somebody else's handshake is over, or given up. */
int yk_wire_wait_shaken(yoke_conn *c);
void yk_wire_shaken(yoke_conn *c);
/* room_there() is called when there is some. In a loop. */
void yk_wire_want_room(yoke_conn *c);
/* All that wait on it return this. */
void yk_wire_wake_all(yoke_conn *c, int code);

/* ---- Encrypted connections (conn_tls.c) ---- */

/* Sends what the engine has for the peer, as far as that goes at once, and the rest when there is room. 0, or the error. */
int yk_conn_tls_push(yoke_conn *c);
/* How many bytes the engine still has for the peer. */
size_t yk_conn_tls_unsent(const yoke_conn *c);
/* Does the handshake, or waits for who does it. */
int yk_conn_tls_shake(yoke_conn *c);
ssize_t yk_conn_tls_take(yoke_conn *c, void *to, size_t n);
ssize_t yk_conn_tls_put_now(yoke_conn *c, const void *from, size_t n);

/* ---- Accepting (accept.c) ---- */

/* Of a coroutine that does nothing but accept. */
typedef struct yk_crowd {
    yk_op op;          /* first */
    bool under_way, some; /* some: it has told something */
    bool inside;       /* counted as a call in the listener */
    yoke_listener *l;
    int error;         /* that the operation ended with, not told yet */
    int *there;        /* connections that came ahead: `count` from `begin` on */
    size_t begin, count, size;
    int level, ceiling; /* the number of the last descriptor; where they get scarce, and none comes ahead of its asking */
    unsigned last;     /* taken from the kernel at the end */
    yk_park *end;      /* waits until the operation is over */
} yk_crowd;

/* In a coroutine. 0, -ENOMEM, or as yoke_accept(); yk_crowd_end() in any case. */
int yk_crowd_begin(yk_crowd *k, yoke_listener *l);
/* As yoke_accept(). */
int yk_crowd_next(yk_crowd *k, yoke_conn **ret);
/* One that came before the first call of this, or waits in the kernel: 0; -EAGAIN when there is none, or the kernel had more than
 * a queue of them; -ESHUTDOWN: no more, and it is closed. Cannot be cancelled. */
int yk_crowd_last(yk_crowd *k, yoke_conn **ret);
/* Resets those that came and were not taken. */
void yk_crowd_end(yk_crowd *k);

/* ---- Listeners (listener.c) ---- */

/* A connection of its has been freed. */
void yk_listener_conn_gone(yoke_listener *l);
extern int64_t yk_accept_pause; /* for tests */
extern int64_t yk_conn_linger;

#endif
