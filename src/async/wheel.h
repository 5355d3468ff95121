/* wheel: the timers of a loop, exact to the nanosecond; see wheel.c. One thread at a time; nothing is allocated. */
#ifndef YK_ASYNC_WHEEL_H
#define YK_ASYNC_WHEEL_H
#include "base/base.h"

enum { YK_WHEEL_LEVELS = 6, YK_WHEEL_SLOTS = 64 };

/* A timer, part of what it wakes. {0} is off. While it is set it may not move, and none of it is the owner's to write. */
typedef struct yk_wheel_timer {
    struct yk_wheel_timer *next, **link, *child; /* link: what points here, NULL when off; child: the first one below */
    int64_t when;
    uint64_t order;
} yk_wheel_timer;

/* Timers point into it: it may not move while any is set. */
typedef struct yk_wheel {
    uint64_t base;  /* what was passed, as a key; see wheel.c */
    uint64_t order; /* of the next timer to be set */
    int64_t next;   /* the earliest deadline, if known */
    bool known;
    unsigned levels;                    /* which of the maps below are not 0 */
    uint64_t maps[YK_WHEEL_LEVELS + 1]; /* which of the slots are not empty; the last level is one slot, for all that is far */
    yk_wheel_timer *slots[YK_WHEEL_LEVELS * YK_WHEEL_SLOTS + 1];
} yk_wheel;

void yk_wheel_init(yk_wheel *w, int64_t now);
/* t is off. A deadline may have passed already; with YOKE_FOREVER the timer stays off. */
void yk_wheel_set(yk_wheel *w, yk_wheel_timer *t, int64_t when);
/* Does nothing when t is off. */
void yk_wheel_clear(yk_wheel *w, yk_wheel_timer *t);
/* The earliest deadline, exact, or YOKE_FOREVER. */
int64_t yk_wheel_next(yk_wheel *w);
/* Moves to `now`, which never goes back, and returns all timers with when <= now in the order of their deadlines, those with
 * equal ones in the order in which they were set; linked by next, all off. Clearing one of them leaves it in the list; it may be
 * set again once the caller has read its next. */
yk_wheel_timer *yk_wheel_expire(yk_wheel *w, int64_t now);

static inline bool yk_wheel_is_set(const yk_wheel_timer *t)
{
    return t->link != NULL;
}
#endif
