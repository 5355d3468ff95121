/* outgoing: bytes of a flow that the kernel has not taken yet. See outgoing.h. */
#include "async/outgoing.h"
#include <stdlib.h>

/* Room for n more. */
static bool make_room(yk_outgoing *o, size_t n)
{
    if (o->begin + o->len + n <= o->size)
        return true;
    size_t size = YK_MAX(o->size, (size_t)YK_OUTGOING_LEAST);
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

ssize_t yk_outgoing_put(yk_outgoing *o, const void *from, size_t n)
{
    n = YK_MIN(n, YK_HIGH_WATER - o->len);
    if (n == 0)
        return -EAGAIN;
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
    if (o->size > YK_OUTGOING_LEAST)
        yk_outgoing_drop(o);
}

void yk_outgoing_drop(yk_outgoing *o)
{
    free(o->bytes);
    *o = (yk_outgoing){0};
}
