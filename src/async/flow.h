/* flow: what flows of both backends are made of: bytes to send that the kernel has not taken yet, and who wants to be told what.
 * */
#ifndef YK_ASYNC_FLOW_H
#define YK_ASYNC_FLOW_H
#include "async/backend.h"

/* ---- Bytes to send ---- */

enum { YK_HIGH_WATER = 64 << 10, YK_LOW_WATER = 16 << 10 };

/* A plain array with a beginning: what has gone moves the beginning, and the rest moves to the front when there is no room behind
 * it. It grows from 256 bytes, and is given back when a connection that was far behind has caught up. */
typedef struct yk_outgoing {
    char *bytes;
    size_t begin, len, size;
} yk_outgoing;

/* As many as fit when there are `others` below the high-water mark already: how many; -EAGAIN: none; -ENOMEM. */
ssize_t yk_outgoing_put(yk_outgoing *o, size_t others, const void *from, size_t n);
/* The first n have gone. */
void yk_outgoing_gone(yk_outgoing *o, size_t n);
void yk_outgoing_drop(yk_outgoing *o);

/* ---- Who wants to be told ---- */

typedef struct yk_want {
    void (*fn)(void *arg); /* NULL: nobody */
    void *arg;
} yk_want;

/* Of one flow. In a list of those that have something to tell without an event. */
typedef struct yk_wants {
    yk_want data, room, empty;
    struct yk_wants *next, **link; /* link NULL: in no list */
} yk_wants;

void yk_wants_enter(yk_wants **list, yk_wants *w);
void yk_wants_leave(yk_wants *w);
/* Takes all over into another list, which *all is; that list must stay where it is until it is empty. */
void yk_wants_take(yk_wants **list, yk_wants **all);
/* Calls it, once, if it is wanted and so. The flow may be closed after this. */
void yk_want_call(yk_want *of, bool so);

#endif
