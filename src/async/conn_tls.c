/* conn_tls: encrypted connections: between the engine (tls.h), who reads and writes, and the wire.
 *
 * Whoever calls the engine sends what it then has for the peer, as far as that goes without waiting; the rest goes when there is
 * room, and who writes waits for that. So a reader never waits for room, and one reader and one writer need nothing of each
 * other, but for the handshake: it is done by whoever comes first, and the other waits for its end. */
#include "async/net.h"

enum { SMALL = 4096, LARGE = 64 << 10 };

int yk_conn_set_tls(yoke_conn *c, yoke_tls *tls, const char *server_name)
{
    c->feed = SMALL;
    return yk_tls_open(tls, server_name, &c->tls);
}

int yk_conn_tls_push(yoke_conn *c)
{
    const void *bytes;
    for (size_t n; (n = yk_tls_out(c->tls, &bytes)) > 0;) {
        ssize_t sent = yk_wire_send(c, bytes, n);
        if (sent == -EAGAIN && c->loop) {
            yk_wire_want_room(c);
            return 0;
        }
        if (sent == -EAGAIN)
            sent = yk_wire_wait_room(c);
        if (sent < 0) {
            yk_tls_out_done(c->tls, n);
            c->failed = true;
            return c->broken = (int)sent;
        }
        yk_tls_out_done(c->tls, (size_t)sent);
    }
    return c->broken;
}

size_t yk_conn_tls_unsent(const yoke_conn *c)
{
    const void *bytes;
    return c->tls ? yk_tls_out(c->tls, &bytes) : 0;
}

/* Waits for bytes from the peer and gives them to the engine. Large memory is asked for only when there is much to receive: most
 * connections are idle most of the time. */
static int feed(yoke_conn *c)
{
    for (;;) {
        void *room = yk_tls_room(c->tls, c->feed);
        ssize_t got = room ? yk_wire_recv(c, room, c->feed) : -ENOMEM;
        if (got > 0)
            yk_tls_fed(c->tls, (size_t)got);
        else if (got == 0)
            yk_tls_feed_end(c->tls);
        if (got != -EAGAIN) {
            c->feed = got == (ssize_t)c->feed ? LARGE : SMALL;
            return got < 0 ? (int)got : 0;
        }
        c->feed = SMALL;
        int err = yk_wire_wait_data(c);
        if (err < 0)
            return err;
    }
}

/* Calls it until it wants nothing more from the peer. */
static ssize_t talk(yoke_conn *c, ssize_t (*call)(yk_tls *t, void *to, size_t n), void *to, size_t n)
{
    for (;;) {
        ssize_t code = call(c->tls, to, n);
        int err = yk_conn_tls_push(c);
        if (code != -EAGAIN)
            return code;
        if (err == 0 || c->shaken) /* who cannot send may still be told why */
            err = feed(c);
        if (err < 0)
            return err;
    }
}

static ssize_t handshake(yk_tls *t, void *to, size_t n)
{
    return yk_tls_handshake(t);
}

int yk_conn_tls_shake(yoke_conn *c)
{
    while (!c->shaken) {
        int err;
        if (c->shaking) {
            err = yk_wire_wait_shaken(c);
        } else {
            c->shaking = true;
            err = (int)talk(c, handshake, NULL, 0);
            c->shaking = false;
            c->shaken = err == 0;
            yk_wire_shaken(c);
        }
        if (err < 0)
            return err;
    }
    return 0;
}

ssize_t yk_conn_tls_take(yoke_conn *c, void *to, size_t n)
{
    int err = yk_conn_tls_shake(c);
    return err < 0 ? err : talk(c, yk_tls_read, to, n);
}

ssize_t yk_conn_tls_put_now(yoke_conn *c, const void *from, size_t n)
{
    int err = yk_conn_tls_push(c);
    if (err < 0)
        return err;
    if (c->shut)
        return -EPIPE;
    if (yk_conn_tls_unsent(c) > 0)
        return -EAGAIN;
    ssize_t put = yk_tls_write(c->tls, from, n);
    if (put == -EAGAIN)
        return -EPROTO; /* TLS 1.3 has no second handshake, and that of 1.2 is off */
    c->wrote |= put > 0;
    yk_conn_tls_push(c);
    return put;
}

/* ---- Calls ---- */

int yoke_conn_handshake(yoke_conn *c)
{
    int err = yk_conn_enter(c);
    return err < 0 ? err : (int)yk_conn_leave(c, c->tls ? yk_conn_tls_shake(c) : 0);
}

int yoke_conn_start_tls(yoke_conn *c, yoke_tls *tls, const char *server_name)
{
    int err = yk_conn_enter(c);
    if (err < 0)
        return err;
    if (c->reading || c->writing || c->shaking)
        return (int)yk_conn_leave(c, -EBUSY);
    if (c->tls || c->shut)
        return (int)yk_conn_leave(c, -EISCONN);
    err = yk_conn_set_tls(c, tls, server_name);
    if (err == 0 && c->len > 0) { /* came together with the last words in the clear */
        err = (int)yk_tls_feed(c->tls, c->in + c->begin, c->len);
        c->len = 0;
    }
    return (int)yk_conn_leave(c, err < 0 ? err : yk_conn_tls_shake(c));
}

int yoke_conn_tls(yoke_conn *c, yoke_tls_info *ret)
{
    if (!c || !c->tls || !c->shaken)
        return -ENOTCONN;
    *ret = (yoke_tls_info){yk_tls_version(c->tls), yk_tls_cipher(c->tls), yk_tls_alpn(c->tls), yk_tls_server_name(c->tls),
                           yk_tls_peer_name(c->tls), yk_tls_resumed(c->tls)};
    return 0;
}
