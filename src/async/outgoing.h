/* outgoing: bytes of a flow that the kernel has not taken yet, and when there is room for more. What flows of both backends write
 * behind with.
 *
 * A plain array with a beginning: what is taken moves the beginning, and the rest moves to the front when there is no room behind
 * it. Grows from 4 to 64 KiB, and is given back when a connection that was once behind has caught up. */
#ifndef YK_ASYNC_OUTGOING_H
#define YK_ASYNC_OUTGOING_H
#include "async/backend.h"

enum { YK_HIGH_WATER = 64 << 10, YK_LOW_WATER = 16 << 10, YK_OUTGOING_LEAST = 4 << 10 };

typedef struct yk_outgoing {
    char *bytes;
    size_t begin, len, size;
} yk_outgoing;

/* Takes what fits below the high-water mark: how many bytes; -EAGAIN: none; -ENOMEM. */
ssize_t yk_outgoing_put(yk_outgoing *o, const void *from, size_t n);
/* The first n have gone. */
void yk_outgoing_gone(yk_outgoing *o, size_t n);
void yk_outgoing_drop(yk_outgoing *o);

#endif
