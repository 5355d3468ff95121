/* channel_room.h - for the tests of channels: who waits on a channel, and until how many do. */
#ifndef YK_CHANNEL_ROOM_H
#define YK_CHANNEL_ROOM_H
#include "crew.h"
#include "sync/channel.h"

/* How many cases stand in the list of those who wait to send or receive. */
static inline int waiting(yoke_channel *c, yoke_direction side)
{
    int n = 0;
    yk_mutex_lock(&c->lock);
    for (yoke_case *k = c->waiting[side].first; k; k = k->yk.next)
        n++;
    yk_mutex_unlock(&c->lock);
    return n;
}

static inline void until_waiting(yoke_channel *c, yoke_direction side, int n)
{
    AWAIT(waiting(c, side) == n);
}

/* Nobody waits on either side. */
static inline void check_alone(yoke_channel *c)
{
    CHECK_INT(waiting(c, YOKE_SEND), 0);
    CHECK_INT(waiting(c, YOKE_RECEIVE), 0);
}

static inline yoke_channel *channel_of_ints(size_t capacity)
{
    yoke_channel *c;
    CHECK_INT(yoke_channel_open(sizeof(int), capacity, &c), 0);
    return c;
}
#endif
