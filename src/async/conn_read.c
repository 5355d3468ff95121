/* conn_read: what is received, and the connection's own buffer.
 *
 * Who reads gets bytes straight from the kernel, unless some are in the buffer. Those that want to see bytes before they take
 * them, as far as a line's end, get them in the buffer; and whatever was received for a call that then could not have all it
 * asked for goes back there, so that nothing is lost by a call that fails. */
#include "async/net.h"
#include <stdlib.h>

enum { LEAST = 4096 };

/* ---- The buffer ---- */

/* Room for n bytes behind those that are there. */
static bool make_room(yoke_conn *c, size_t n)
{
    if (c->len == 0)
        c->begin = 0;
    if (c->size - c->begin - c->len >= n && c->in)
        return true;
    size_t size = YK_MAX(c->size, (size_t)LEAST);
    if (n > SIZE_MAX / 4 - c->len)
        return false;
    while (size < c->len + n)
        size *= 2;
    char *in = c->in;
    if (size > c->size && !(in = yk_sys.malloc(size)))
        return false;
    if (c->len > 0 && in && c->in)
        memmove(in, c->in + c->begin, c->len);
    if (in != c->in)
        free(c->in);
    c->in = in;
    c->size = size;
    c->large = size > LEAST;
    c->begin = 0;
    return true;
}

static void take_from_buffer(yoke_conn *c, size_t n)
{
    c->begin += n;
    c->len -= n;
}

/* Nobody looks at it any more: large memory goes back. */
static void rewind_buffer(yoke_conn *c)
{
    if (!c->large || c->len > 0)
        return;
    free(c->in);
    c->in = NULL;
    c->begin = c->size = 0;
    c->large = false;
}

/* Bytes that were read come back in front of the others. */
static void unread(yoke_conn *c, const char *bytes, size_t n)
{
    if (n == 0)
        return;
    if (!make_room(c, n)) {
        c->deaf = -ENOMEM; /* there is a hole in the stream */
        c->failed = true;
        return;
    }
    memmove(c->in + c->begin + n, c->in + c->begin, c->len);
    memcpy(c->in + c->begin, bytes, n);
    c->len += n;
}

/* ---- Receiving ---- */

ssize_t yk_conn_take(yoke_conn *c, void *to, size_t n)
{
    ssize_t got;
    if (c->ended)
        return 0;
    if (c->tls) {
        got = yk_conn_tls_take(c, to, n);
    } else {
        while ((got = yk_wire_recv(c, to, n)) == -EAGAIN) {
            int err = yk_wire_wait_data(c);
            if (err < 0)
                return err;
        }
    }
    c->ended |= got == 0;
    return got;
}

static ssize_t fill(yoke_conn *c, size_t least)
{
    if (!make_room(c, YK_MAX(least, (size_t)LEAST / 4)))
        return -ENOMEM;
    ssize_t got = yk_conn_take(c, c->in + c->begin + c->len, c->size - c->begin - c->len);
    if (got > 0)
        c->len += (size_t)got;
    return got;
}

/* ---- Calls ---- */

static int enter(yoke_conn *c)
{
    if (YK_UNLIKELY(c && c->reading))
        return -EBUSY;
    int err = yk_conn_enter(c);
    if (YK_UNLIKELY(err < 0))
        return err;
    c->reading = true;
    rewind_buffer(c);
    return 0;
}

static ssize_t leave(yoke_conn *c, ssize_t code)
{
    c->reading = false;
    return yk_conn_leave(c, code);
}

static size_t take_some(yoke_conn *c, void *to, size_t n)
{
    n = YK_MIN(n, c->len);
    if (n > 0)
        memcpy(to, c->in + c->begin, n);
    take_from_buffer(c, n);
    return n;
}

ssize_t yoke_conn_read(yoke_conn *c, void *buf, size_t n)
{
    int err = enter(c);
    if (err < 0)
        return err;
    if (YK_UNLIKELY(n == 0 || c->len > 0))
        return leave(c, (ssize_t)take_some(c, buf, n));
    return leave(c, yk_conn_take(c, buf, n));
}

static ssize_t take_all(yoke_conn *c, char *to, size_t n)
{
    size_t done = take_some(c, to, n);
    ssize_t got = 1;
    while (done < n && got > 0) {
        got = yk_conn_take(c, to + done, n - done);
        done += got > 0 ? (size_t)got : 0;
    }
    if (got > 0)
        return (ssize_t)n;
    unread(c, to, done);
    return got < 0 ? got : done > 0 ? -ENODATA : 0;
}

ssize_t yoke_conn_read_exactly(yoke_conn *c, void *buf, size_t n)
{
    int err = enter(c);
    return err < 0 ? err : leave(c, take_all(c, buf, n));
}

/* Reads on until `end` stands in the buffer: at which place. -ENODATA: the end of the stream comes first. */
static ssize_t find(yoke_conn *c, const void *end, size_t len, size_t most)
{
    size_t looked = 0;
    for (;;) {
        size_t from = looked >= len ? looked - len + 1 : 0;
        const char *bytes = c->in + c->begin;
        const char *at = c->len - from >= len ? memmem(bytes + from, c->len - from, end, len) : NULL;
        if (at)
            return (size_t)(at - bytes) > most ? -EMSGSIZE : at - bytes;
        if (c->len >= len && c->len - len >= most)
            return -EMSGSIZE;
        looked = c->len;
        ssize_t got = fill(c, 1);
        if (got <= 0)
            return got < 0 ? got : -ENODATA;
    }
}

static int give(yoke_conn *c, size_t len, size_t with_end, const char **ret, size_t *ret_len)
{
    *ret = c->in + c->begin;
    *ret_len = len;
    take_from_buffer(c, with_end);
    return 1;
}

static int read_until(yoke_conn *c, const void *end, size_t len, size_t most, const char **ret, size_t *ret_len)
{
    if (len == 0)
        return -EINVAL;
    ssize_t at = find(c, end, len, most);
    if (at < 0)
        return at == -ENODATA && c->len == 0 ? 0 : (int)at;
    return give(c, (size_t)at, (size_t)at + len, ret, ret_len);
}

int yoke_conn_read_until(yoke_conn *c, const void *end, size_t len, size_t most, const char **ret, size_t *ret_len)
{
    int err = enter(c);
    return err < 0 ? err : (int)leave(c, read_until(c, end, len, most, ret, ret_len));
}

static int read_line(yoke_conn *c, size_t most, const char **ret, size_t *ret_len)
{
    ssize_t at = find(c, "\n", 1, most < SIZE_MAX ? most + 1 : most); /* a "\r" before it does not count */
    if (at < 0 && at != -ENODATA)
        return (int)at;
    size_t with_end = at < 0 ? c->len : (size_t)at + 1, len = at < 0 ? c->len : (size_t)at;
    if (at < 0 && c->len == 0)
        return 0;
    if (at > 0 && c->in[c->begin + len - 1] == '\r')
        len--;
    return len > most ? -EMSGSIZE : give(c, len, with_end, ret, ret_len);
}

int yoke_conn_read_line(yoke_conn *c, size_t most, const char **ret, size_t *ret_len)
{
    int err = enter(c);
    return err < 0 ? err : (int)leave(c, read_line(c, most, ret, ret_len));
}

static ssize_t peek(yoke_conn *c, size_t least, const char **ret)
{
    ssize_t got = 1;
    while (c->len < least && got > 0)
        got = fill(c, least - c->len);
    if (got < 0)
        return got;
    *ret = c->in ? c->in + c->begin : "";
    return (ssize_t)c->len;
}

ssize_t yoke_conn_peek(yoke_conn *c, size_t least, const char **ret)
{
    int err = enter(c);
    return err < 0 ? err : leave(c, peek(c, least, ret));
}

void yoke_conn_consume(yoke_conn *c, size_t n)
{
    if (c)
        take_from_buffer(c, YK_MIN(n, c->len));
}
