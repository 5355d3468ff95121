/* conn: connections: opening, writing, closing. Reading is in conn_read.c, TLS in conn_tls.c, what is below them in wire.c.
 *
 * A connection outlives its closing as long as calls are in it (`busy`): closing wakes those that wait, and the last one out
 * frees it. Everything that a call finds out stays true for the next one: an end, and an error, come again each time. */
#include "async/net.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

int64_t yk_conn_linger = 5 * YOKE_S;

/* ---- Opening and freeing ---- */

int yk_conn_open(int fd, yoke_conn **ret)
{
    void *memory;
    if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, sizeof(yoke_conn)) != 0)
        return -ENOMEM;
    yoke_conn *c = memset(memory, 0, sizeof(yoke_conn));
    c->fd = fd;
    c->loop = yk_net_loop();
    if (c->loop) {
        int err = c->loop->io->flow_open(c->loop->backend, fd, &c->flow);
        if (err < 0) {
            free(c);
            return err;
        }
    }
    *ret = c;
    return 0;
}

int yoke_conn_of_fd(int fd, yoke_conn **ret)
{
    int type = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type}) < 0)
        return yk_net_fail(errno, "connection of", "a descriptor");
    if (type != SOCK_STREAM)
        return yk_net_failf(EINVAL, "connection of a descriptor: it is no stream socket");
    int err = yk_conn_open(fd, ret);
    return err < 0 ? yk_net_fail(err, "connection of", "a descriptor") : 0;
}

/* Lets go of the socket, and of all that only a living connection needs. */
static void release(yoke_conn *c)
{
    c->closed = c->failed = true;
    if (c->flow)
        c->loop->io->flow_close(c->flow);
    else
        close(c->fd);
    c->flow = NULL;
    yk_wire_wake_all(c, -ESHUTDOWN);
}

void yk_conn_free(yoke_conn *c)
{
    yoke_listener *l = c->listener;
    yk_tls_free(c->tls);
    free(c->in);
    free(c->names[0]);
    free(c->names[1]);
    free(c);
    if (l)
        yk_listener_conn_gone(l);
}

/* ---- Calls ---- */

int yk_conn_enter(yoke_conn *c)
{
    if (YK_UNLIKELY(!c))
        return -EINVAL;
    if (YK_UNLIKELY(c->closed))
        return -ESHUTDOWN;
    if (YK_UNLIKELY(c->loop != yk_net_loop()))
        return -EXDEV;
    int err = yk_wait_point();
    if (YK_UNLIKELY(err < 0))
        return err;
    if (YK_UNLIKELY(c->closed)) /* meanwhile */
        return -ESHUTDOWN;
    c->busy++;
    return 0;
}

ssize_t yk_conn_leave(yoke_conn *c, ssize_t code)
{
    if (YK_UNLIKELY(code < 0))
        c->code = (int)code;
    if (--c->busy == 0 && YK_UNLIKELY(c->closed))
        yk_conn_free(c);
    return code;
}

/* ---- Writing ---- */

ssize_t yk_conn_put_now(yoke_conn *c, const void *from, size_t n)
{
    if (c->tls)
        return yk_conn_tls_put_now(c, from, n);
    return c->shut ? -EPIPE : yk_wire_send(c, from, n);
}

static ssize_t put_all(yoke_conn *c, const char *from, size_t n)
{
    size_t done = 0;
    int err = c->tls ? yk_conn_tls_shake(c) : 0;
    if (err < 0)
        return err;
    while (done < n) {
        ssize_t m = yk_conn_put_now(c, from + done, n - done);
        if (m == -EAGAIN)
            m = yk_wire_wait_room(c);
        if (m == -ECANCELED && done > 0)
            return (ssize_t)done;
        if (m == -ENOMEM && done > 0) { /* what comes next would follow upon half of this */
            c->broken = -ENOMEM;
            c->failed = true;
        }
        if (m < 0)
            return m;
        done += (size_t)m;
    }
    return (ssize_t)n;
}

static int enter_to_write(yoke_conn *c)
{
    if (YK_UNLIKELY(c && c->writing))
        return -EBUSY;
    int err = yk_conn_enter(c);
    if (YK_LIKELY(err == 0))
        c->writing = true;
    return err;
}

static ssize_t leave_after_write(yoke_conn *c, ssize_t code)
{
    c->writing = false;
    return yk_conn_leave(c, code);
}

ssize_t yoke_conn_write(yoke_conn *c, const void *buf, size_t n)
{
    int err = enter_to_write(c);
    return err < 0 ? err : leave_after_write(c, put_all(c, buf, n));
}

/* Small pieces go together, in one call of the kernel's. */
typedef struct gathering {
    size_t len, done; /* in bytes[]; and taken of what was before */
    char bytes[2048];
} gathering;

/* False: no more is to be written; *ret is why, as of put_all(). */
static bool put_piece(yoke_conn *c, gathering *g, const char *from, size_t n, ssize_t *ret)
{
    ssize_t m = put_all(c, from, n);
    g->done += m > 0 ? (size_t)m : 0;
    *ret = m;
    return m == (ssize_t)n;
}

static ssize_t put_pieces(yoke_conn *c, const struct iovec *pieces, int n)
{
    gathering g;
    ssize_t code = 0;
    bool on = true;
    g.len = g.done = 0;
    for (int i = 0; i < n && on; i++) {
        const struct iovec *p = &pieces[i];
        if (g.len > 0 && p->iov_len > sizeof g.bytes - g.len) {
            on = put_piece(c, &g, g.bytes, g.len, &code);
            g.len = 0;
        }
        if (on && p->iov_len > sizeof g.bytes) {
            on = put_piece(c, &g, p->iov_base, p->iov_len, &code);
        } else if (on && p->iov_len > 0) {
            memcpy(g.bytes + g.len, p->iov_base, p->iov_len);
            g.len += p->iov_len;
        }
    }
    if (on && g.len > 0)
        put_piece(c, &g, g.bytes, g.len, &code);
    return code < 0 && (code != -ECANCELED || g.done == 0) ? code : (ssize_t)g.done;
}

ssize_t yoke_conn_writev(yoke_conn *c, const struct iovec *pieces, int n)
{
    int err = enter_to_write(c);
    return err < 0 ? err : leave_after_write(c, put_pieces(c, pieces, n));
}

/* What an earlier send has met is said once by the flow. */
static int late_error(yoke_conn *c)
{
    if (c->broken == 0 && !c->shut && c->flow)
        yk_wire_send(c, "", 0);
    return c->broken;
}

int yk_conn_flush(yoke_conn *c)
{
    int err = c->tls ? yk_conn_tls_push(c) : 0;
    while (err == 0 && !c->closed) {
        if (yk_conn_tls_unsent(c) > 0)
            err = yk_wire_wait_room(c);
        else if (yk_wire_unsent(c) > 0)
            err = yk_wire_wait_empty(c);
        else
            return late_error(c);
        if (err == 0)
            err = c->broken;
    }
    return err;
}

int yoke_conn_flush(yoke_conn *c)
{
    int err = enter_to_write(c);
    return err < 0 ? err : (int)leave_after_write(c, yk_conn_flush(c));
}

/* ---- The end ---- */

static int shut(yoke_conn *c)
{
    int err = 0;
    if (c->shut || c->closed)
        return 0;
    c->shut = true;
    if (c->tls) {
        yk_tls_close(c->tls);
        err = yk_conn_tls_push(c);
    }
    c->ending = yk_conn_tls_unsent(c) > 0;
    if (c->flow && c->loop && !c->ending)
        c->loop->io->flow_shutdown(c->flow);
    else if (!c->flow && shutdown(c->fd, SHUT_WR) < 0 && errno != ENOTCONN)
        err = -errno;
    return err;
}

int yoke_conn_shutdown(yoke_conn *c)
{
    if (!c)
        return -EINVAL;
    if (c->closed)
        return -ESHUTDOWN;
    if (c->loop != yk_net_loop())
        return -EXDEV;
    return c->writing ? -EBUSY : shut(c);
}

/* The kernel answers what comes for a socket that is closed with a reset, at which the peer may drop what it has got and not
 * read. So whoever is still sending is listened to for a while. */
static int drain(yoke_conn *c)
{
    enum { MOST = 1 << 20 };
    char bytes[4096];
    ssize_t n = c->ended ? 0 : yk_wire_recv(c, bytes, sizeof bytes);
    if (n <= 0)
        return 0;
    int err = shut(c);
    for (size_t all = 0; err == 0 && all < MOST; all += (size_t)n) {
        n = yk_wire_recv(c, bytes, sizeof bytes);
        if (n == -EAGAIN) {
            n = 0;
            err = yk_wire_wait_data(c);
        } else if (n <= 0) {
            break;
        }
    }
    return err;
}

static bool is_gone(int err)
{
    return err == -EPIPE || err == -ECONNRESET;
}

/* A peer that has gone after it got all that was written misses nothing by the good-bye, nor by what the engine sends by itself
 * after a handshake: tickets for the next one. */
static int say_good_bye(yoke_conn *c)
{
    int err = yk_conn_flush(c);
    if (err < 0 && is_gone(err) && c->tls && c->shaken && !c->wrote)
        return 0;
    if (err < 0 || !c->tls || c->shut || c->closed)
        return err;
    yk_tls_close(c->tls);
    err = yk_conn_flush(c);
    return is_gone(err) ? 0 : err;
}

static int close_in_loop(yoke_conn *c)
{
    yoke_scope s;
    yoke_scope_begin_timed(&s, yk_conn_linger);
    int err = say_good_bye(c);
    int late = yoke_scope_end(&s);
    if (err < 0)
        return late < 0 ? late : err;
    if (!c->reading) {
        yoke_scope_begin_timed(&s, yk_conn_linger / 5);
        drain(c);
        yoke_scope_end(&s); /* that was enough: it has all been sent */
    }
    return 0;
}

/* Without a time limit that a thread could be told, the peer's last words are not waited for. */
static int close_in_thread(yoke_conn *c)
{
    int err = say_good_bye(c);
    char bytes[4096];
    while (yk_wire_recv(c, bytes, sizeof bytes) > 0)
        continue;
    return err;
}

int yoke_conn_close(yoke_conn *c)
{
    if (!c)
        return 0;
    if (c->closed)
        return -ESHUTDOWN;
    if (c->loop != yk_net_loop())
        return -EXDEV;
    c->busy++;
    int err = c->loop ? close_in_loop(c) : close_in_thread(c);
    if (!c->closed)
        release(c);
    if (--c->busy == 0)
        yk_conn_free(c);
    return err;
}

void yoke_conn_abort(yoke_conn *c)
{
    if (!c || c->closed)
        return;
    struct linger reset = {.l_onoff = 1};
    yk_sys.setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    release(c);
    if (c->busy == 0)
        yk_conn_free(c);
}

/* ---- What it is ---- */

static const char *name(yoke_conn *c, bool peer)
{
    yoke_address a;
    char **kept = &c->names[peer], text[160];
    if (!*kept && !c->closed && yk_address_of(c->fd, peer, true, &a) == 0)
        *kept = strdup(yoke_address_text(&a, text, sizeof text));
    return *kept ? *kept : "";
}

const char *yoke_conn_peer(yoke_conn *c)
{
    return c ? name(c, true) : "";
}

const char *yoke_conn_local(yoke_conn *c)
{
    return c ? name(c, false) : "";
}

int yoke_conn_fd(const yoke_conn *c)
{
    return c ? c->fd : -EINVAL;
}

const char *yoke_conn_error(yoke_conn *c)
{
    if (!c)
        return "";
    const char *tls = c->tls ? yk_tls_error(c->tls) : "";
    return *tls ? tls : c->code < 0 ? yoke_strerror(c->code) : "";
}
