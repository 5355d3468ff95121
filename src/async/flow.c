/* flow: what flows of both backends are made of. See flow.h. */
#include "async/flow.h"
#include "base/list.h"
#include <stdlib.h>

enum { LEAST = 256, KEPT = 4096 };

/* ---- Bytes to send ---- */

/* Room for n more. */
static bool make_room(yk_outgoing *o, size_t n)
{
    if (o->begin + o->len + n <= o->size)
        return true;
    size_t size = YK_MAX(o->size, (size_t)LEAST);
    while (size < o->len + n)
        size *= 2;
    char *bytes = o->bytes;
    if (size > o->size) {
        bytes = yk_sys.malloc(size);
        if (!bytes)
            return false;
    }
    if (o->len > 0)
        memmove(bytes, o->bytes + o->begin, o->len);
    if (bytes != o->bytes)
        free(o->bytes);
    o->bytes = bytes;
    o->size = size;
    o->begin = 0;
    return true;
}

ssize_t yk_outgoing_put(yk_outgoing *o, size_t others, const void *from, size_t n)
{
    size_t there = o->len + others;
    if (there >= YK_HIGH_WATER)
        return -EAGAIN;
    n = YK_MIN(n, YK_HIGH_WATER - there);
    if (n == 0)
        return 0;
    if (!make_room(o, n))
        return -ENOMEM;
    memcpy(o->bytes + o->begin + o->len, from, n);
    o->len += n;
    return (ssize_t)n;
}

void yk_outgoing_gone(yk_outgoing *o, size_t n)
{
    o->begin += n;
    o->len -= n;
    if (o->len > 0)
        return;
    o->begin = 0;
    if (o->size > KEPT)
        yk_outgoing_drop(o);
}

void yk_outgoing_drop(yk_outgoing *o)
{
    free(o->bytes);
    *o = (yk_outgoing){0};
}

/* ---- Who wants to be told ---- */

void yk_wants_enter(yk_wants **list, yk_wants *w)
{
    if (!w->link)
        YK_LIST_ENTER(list, w, next, link);
}

void yk_wants_leave(yk_wants *w)
{
    if (w->link)
        YK_LIST_LEAVE(w, next, link);
}

void yk_wants_take(yk_wants **list, yk_wants **all)
{
    *all = *list;
    if (*all)
        (*all)->link = all;
    *list = NULL;
}

void yk_want_call(yk_want *of, bool so)
{
    if (!of->fn || !so)
        return;
    yk_want w = *of;
    of->fn = NULL;
    w.fn(w.arg);
}
