/* yoke/queues.h - queues between threads: first in first out, last in first out, by priority, and one to one.
 *
 *     YOKE_QUEUE(line, struct parcel);                   // at file scope: a type of queues of parcels, and its functions
 *     ...
 *     line *q;
 *     int err = line_open(YOKE_QUEUE_FIFO, 100, &q);     // at most 100 parcels; 0: no limit
 *
 *     err = line_put(q, parcel);                         // one thread: waits while the queue is full
 *
 *     struct parcel p;                                   // another: until everything that was put has been taken
 *     while (line_get(q, &p) == 0)                       // waits while the queue is empty
 *         deliver(&p);
 *
 *     line_shutdown(q, false);                           // no more comes: get takes what is left, then says -ESHUTDOWN
 *     line_close(q);
 *
 * Items are copied in and out as bytes; what they point to stays the user's. Any number of threads may put and get at the same
 * time, except with YOKE_QUEUE_SPSC. The rules are those of Python's queue module (3.13), with error codes for exceptions.
 *
 *     YOKE_QUEUE_FIFO      the oldest first; what one thread puts is taken in the order of its puts. No lock.
 *     YOKE_QUEUE_LIFO      the newest first. A short lock.
 *     YOKE_QUEUE_PRIORITY  the first by the given order, among equals the oldest. A short lock and log n comparisons.
 *     YOKE_QUEUE_SPSC      the oldest first; one thread at a time puts and one gets. The fastest: no locked instruction.
 *
 * Each verb has forms that differ in how long they wait when the queue is full (put) or empty (get):
 *
 *     NAME_put(q, item)                   as long as it takes
 *     NAME_put_try(q, item)               not at all: -EAGAIN
 *     NAME_put_timed(q, item, ns)         so many nanoseconds: -ETIMEDOUT; less than 0: -EINVAL
 *     NAME_put_until(q, item, deadline)   until then (yoke_now() + ...): -ETIMEDOUT. What can be done at once is done, even
 *                                         when the deadline has passed.
 *
 * A call that waits spins for some microseconds if there are CPUs to spare, and then sleeps. Who has waited longest is woken
 * first, but a newcomer may overtake. In a task on a pool of threads, the worker lends its place to another meanwhile. A
 * coroutine (yoke/async.h) is suspended; one that is told to stop gets -ECANCELED, and nothing was put or taken.
 *
 * The diagnosis of deadlocks (yoke/sync.h) does not see waits for queues: any thread might put or get.
 *
 * Errors of all calls: -EINVAL when the queue or the place of an item is NULL. All calls may be made from any thread, none from
 * a signal handler, and none in a child made by fork() on a queue of its parent's.
 */
#ifndef YOKE_QUEUES_H
#define YOKE_QUEUES_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_queue yoke_queue;

typedef enum yoke_queue_kind {
    YOKE_QUEUE_FIFO,
    YOKE_QUEUE_LIFO,
    YOKE_QUEUE_PRIORITY,
    YOKE_QUEUE_SPSC
} yoke_queue_kind;

/* Whether a must come out before b. False both ways round: they are equals. It is called under the queue's lock, by whoever
 * puts or gets, so it must be short and must not touch the queue; a and b are aligned to 16 bytes or point to what was put. */
typedef bool yoke_queue_before(const void *a, const void *b);

/* ---- The queue of items of any size: what YOKE_QUEUE stands on, and what bindings use ---- */

/* A queue of items of item_size bytes: at most `capacity` of them, or 0: as many as memory holds. A queue with a limit takes
 * all its memory here; one without grows when it must, and gives its memory back when it is closed. `before`: the order for
 * YOKE_QUEUE_PRIORITY, else NULL. The caller owns *ret, until yoke_queue_close().
 * -EINVAL: no such kind; item_size 0; an order missing or in excess; YOKE_QUEUE_SPSC without a limit. -ENOMEM. */
YOKE_API int yoke_queue_open(yoke_queue_kind kind, size_t item_size, size_t capacity, yoke_queue_before *before,
                             yoke_queue **ret);

/* Frees the queue and what is left in it; NULL is nothing to close. No other thread may be in a call on it: -EBUSY, and the
 * queue stays, when one is found waiting. */
YOKE_API int yoke_queue_close(yoke_queue *q);

/* Puts a copy of the item. 0; -ESHUTDOWN after yoke_queue_shutdown(), which ends the wait too; -ENOMEM when a queue without
 * limit cannot grow, which is then as before; -EBUSY when another thread is just putting into an YOKE_QUEUE_SPSC. */
YOKE_API int yoke_queue_put(yoke_queue *q, const void *item);
YOKE_API int yoke_queue_put_try(yoke_queue *q, const void *item);
YOKE_API int yoke_queue_put_timed(yoke_queue *q, const void *item, int64_t ns);
YOKE_API int yoke_queue_put_until(yoke_queue *q, const void *item, int64_t deadline);

/* Takes the next item into *ret. 0; -ESHUTDOWN when yoke_queue_shutdown() was called and nothing is left; -EBUSY when another
 * thread is just taking from an YOKE_QUEUE_SPSC. -EAGAIN of the try form means: nothing was there to be taken, at one moment
 * during the call; an item whose put has not returned yet may have been on its way. */
YOKE_API int yoke_queue_get(yoke_queue *q, void *ret);
YOKE_API int yoke_queue_get_try(yoke_queue *q, void *ret);
YOKE_API int yoke_queue_get_timed(yoke_queue *q, void *ret, int64_t ns);
YOKE_API int yoke_queue_get_until(yoke_queue *q, void *ret, int64_t deadline);

/* n items from an array, in its order, cheaper than one by one; items of other threads may come between. Returns how many were
 * put: all n, after waiting for room; less when a try found no more room, time ran out, or an error came, which the next call
 * returns; the error itself when there were none. n = 0: 0. */
YOKE_API ptrdiff_t yoke_queue_put_many(yoke_queue *q, const void *items, size_t n);
YOKE_API ptrdiff_t yoke_queue_put_many_try(yoke_queue *q, const void *items, size_t n);
YOKE_API ptrdiff_t yoke_queue_put_many_timed(yoke_queue *q, const void *items, size_t n, int64_t ns);
YOKE_API ptrdiff_t yoke_queue_put_many_until(yoke_queue *q, const void *items, size_t n, int64_t deadline);
/* Takes what is there, at most n items, into an array. Waits for the first only. Returns how many, or the error. */
YOKE_API ptrdiff_t yoke_queue_get_many(yoke_queue *q, void *ret, size_t n);
YOKE_API ptrdiff_t yoke_queue_get_many_try(yoke_queue *q, void *ret, size_t n);
YOKE_API ptrdiff_t yoke_queue_get_many_timed(yoke_queue *q, void *ret, size_t n, int64_t ns);
YOKE_API ptrdiff_t yoke_queue_get_many_until(yoke_queue *q, void *ret, size_t n, int64_t deadline);

/* No more puts, from this moment on: those that wait for room, and all later ones, return -ESHUTDOWN. Gets take what is left,
 * and then return -ESHUTDOWN, also to those who wait. `now`: what is left is dropped, and each dropped item counts as done. May
 * be called again: it changes nothing, except that `now` drops what is left then. 0. */
YOKE_API int yoke_queue_shutdown(yoke_queue *q, bool now);

/* One item that was put has been dealt with, for yoke_queue_join(). -EINVAL when as many were done as were put. */
YOKE_API int yoke_queue_task_done(yoke_queue *q);
/* Waits until every item that was put is done: taken, and followed by yoke_queue_task_done(); or dropped. A shutdown does not
 * end the wait: what was taken still has to be done. */
YOKE_API int yoke_queue_join(yoke_queue *q);
YOKE_API int yoke_queue_join_timed(yoke_queue *q, int64_t ns);
YOKE_API int yoke_queue_join_until(yoke_queue *q, int64_t deadline);

/* How things stand, which may be over when the call returns: how many items there are, and how many are not yet done; whether
 * there are none, or as many as may be (never without a limit). NULL is an empty queue. */
YOKE_API size_t yoke_queue_size(yoke_queue *q);
YOKE_API size_t yoke_queue_unfinished(yoke_queue *q);
YOKE_API bool yoke_queue_empty(yoke_queue *q);
YOKE_API bool yoke_queue_full(yoke_queue *q);
/* The limit, 0: none. */
YOKE_API size_t yoke_queue_capacity(yoke_queue *q);

/* ---- Queues of one type ---- */

/* YOKE_QUEUE(NAME, TYPE); at file scope, in C or C++. Declares the type NAME and, for each function above, one that begins with
 * NAME_ in place of yoke_queue_ and takes NAME * and TYPE: items that are put are passed by value, and got through a TYPE *.
 *
 *     int NAME_open(yoke_queue_kind kind, size_t capacity, NAME **ret);
 *
 * TYPE is a complete type whose bytes may be copied; an array goes into a struct first. */
#define YOKE_QUEUE(NAME, TYPE)                                                                                         \
    YK_QUEUE_VERBS(NAME, TYPE)                                                                                         \
    YK_QUEUE_FN int NAME##_open(yoke_queue_kind yk_kind, size_t yk_capacity, NAME **yk_ret)                            \
    {                                                                                                                  \
        yoke_queue *yk_q;                                                                                              \
        int yk_err = yoke_queue_open(yk_kind, sizeof(TYPE), yk_capacity, NULL, yk_ret ? &yk_q : NULL);                 \
        if (yk_err == 0)                                                                                               \
            *yk_ret = (NAME *)yk_q;                                                                                    \
        return yk_err;                                                                                                 \
    }                                                                                                                  \
    struct yk_queue_end_##NAME

/* YOKE_PRIORITY_QUEUE(NAME, TYPE, a, b, FIRST); the same for queues of the kind YOKE_QUEUE_PRIORITY. FIRST is the order: an
 * expression that says whether *a (a TYPE const *) must come out before *b.
 *
 *     YOKE_PRIORITY_QUEUE(agenda, struct appointment, a, b, a->start < b->start);
 *
 *     int NAME_open(size_t capacity, NAME **ret); */
#define YOKE_PRIORITY_QUEUE(NAME, TYPE, A, B, ...)                                                                     \
    YK_QUEUE_VERBS(NAME, TYPE)                                                                                         \
    YK_QUEUE_FN bool yk_queue_first_##NAME(TYPE const *A, TYPE const *B)                                               \
    {                                                                                                                  \
        return (__VA_ARGS__);                                                                                          \
    }                                                                                                                  \
    YK_QUEUE_FN bool yk_queue_before_##NAME(const void *yk_a, const void *yk_b)                                        \
    {                                                                                                                  \
        return yk_queue_first_##NAME((TYPE const *)yk_a, (TYPE const *)yk_b);                                          \
    }                                                                                                                  \
    YK_QUEUE_FN int NAME##_open(size_t yk_capacity, NAME **yk_ret)                                                     \
    {                                                                                                                  \
        yoke_queue *yk_q;                                                                                              \
        int yk_err = yoke_queue_open(YOKE_QUEUE_PRIORITY, sizeof(TYPE), yk_capacity, yk_queue_before_##NAME,           \
                                     yk_ret ? &yk_q : NULL);                                                           \
        if (yk_err == 0)                                                                                               \
            *yk_ret = (NAME *)yk_q;                                                                                    \
        return yk_err;                                                                                                 \
    }                                                                                                                  \
    struct yk_queue_end_##NAME

#define YK_QUEUE_FN static inline __attribute__((unused))
#define YK_QUEUE_WAYS(NAME, VERB, DECLARE, ...)                                                                        \
    YK_QUEUE_FN int NAME##_##VERB(NAME *yk_q, DECLARE)                                                                 \
    {                                                                                                                  \
        return yoke_queue_##VERB((yoke_queue *)yk_q, __VA_ARGS__);                                                     \
    }                                                                                                                  \
    YK_QUEUE_FN int NAME##_##VERB##_try(NAME *yk_q, DECLARE)                                                           \
    {                                                                                                                  \
        return yoke_queue_##VERB##_try((yoke_queue *)yk_q, __VA_ARGS__);                                               \
    }                                                                                                                  \
    YK_QUEUE_FN int NAME##_##VERB##_timed(NAME *yk_q, DECLARE, int64_t yk_ns)                                          \
    {                                                                                                                  \
        return yoke_queue_##VERB##_timed((yoke_queue *)yk_q, __VA_ARGS__, yk_ns);                                      \
    }                                                                                                                  \
    YK_QUEUE_FN int NAME##_##VERB##_until(NAME *yk_q, DECLARE, int64_t yk_deadline)                                    \
    {                                                                                                                  \
        return yoke_queue_##VERB##_until((yoke_queue *)yk_q, __VA_ARGS__, yk_deadline);                                \
    }
#define YK_QUEUE_MANY(NAME, VERB, DECLARE)                                                                             \
    YK_QUEUE_FN ptrdiff_t NAME##_##VERB##_many(NAME *yk_q, DECLARE, size_t yk_n)                                       \
    {                                                                                                                  \
        return yoke_queue_##VERB##_many((yoke_queue *)yk_q, yk_items, yk_n);                                           \
    }                                                                                                                  \
    YK_QUEUE_FN ptrdiff_t NAME##_##VERB##_many_try(NAME *yk_q, DECLARE, size_t yk_n)                                   \
    {                                                                                                                  \
        return yoke_queue_##VERB##_many_try((yoke_queue *)yk_q, yk_items, yk_n);                                       \
    }                                                                                                                  \
    YK_QUEUE_FN ptrdiff_t NAME##_##VERB##_many_timed(NAME *yk_q, DECLARE, size_t yk_n, int64_t yk_ns)                  \
    {                                                                                                                  \
        return yoke_queue_##VERB##_many_timed((yoke_queue *)yk_q, yk_items, yk_n, yk_ns);                              \
    }                                                                                                                  \
    YK_QUEUE_FN ptrdiff_t NAME##_##VERB##_many_until(NAME *yk_q, DECLARE, size_t yk_n, int64_t yk_deadline)            \
    {                                                                                                                  \
        return yoke_queue_##VERB##_many_until((yoke_queue *)yk_q, yk_items, yk_n, yk_deadline);                        \
    }
#define YK_QUEUE_ASK(RET, NAME, VERB)                                                                                  \
    YK_QUEUE_FN RET NAME##_##VERB(NAME *yk_q)                                                                          \
    {                                                                                                                  \
        return yoke_queue_##VERB((yoke_queue *)yk_q);                                                                  \
    }
#define YK_QUEUE_VERBS(NAME, TYPE)                                                                                     \
    typedef struct NAME NAME;                                                                                          \
    YK_QUEUE_WAYS(NAME, put, TYPE yk_item, (const void *)&yk_item)                                                     \
    YK_QUEUE_WAYS(NAME, get, TYPE *yk_place, (void *)yk_place)                                                         \
    YK_QUEUE_MANY(NAME, put, TYPE const *yk_items)                                                                     \
    YK_QUEUE_MANY(NAME, get, TYPE *yk_items)                                                                           \
    YK_QUEUE_FN int NAME##_shutdown(NAME *yk_q, bool yk_now)                                                           \
    {                                                                                                                  \
        return yoke_queue_shutdown((yoke_queue *)yk_q, yk_now);                                                        \
    }                                                                                                                  \
    YK_QUEUE_ASK(int, NAME, close)                                                                                     \
    YK_QUEUE_ASK(int, NAME, task_done)                                                                                 \
    YK_QUEUE_ASK(int, NAME, join)                                                                                      \
    YK_QUEUE_FN int NAME##_join_timed(NAME *yk_q, int64_t yk_ns)                                                       \
    {                                                                                                                  \
        return yoke_queue_join_timed((yoke_queue *)yk_q, yk_ns);                                                       \
    }                                                                                                                  \
    YK_QUEUE_FN int NAME##_join_until(NAME *yk_q, int64_t yk_deadline)                                                 \
    {                                                                                                                  \
        return yoke_queue_join_until((yoke_queue *)yk_q, yk_deadline);                                                 \
    }                                                                                                                  \
    YK_QUEUE_ASK(size_t, NAME, size)                                                                                   \
    YK_QUEUE_ASK(size_t, NAME, unfinished)                                                                             \
    YK_QUEUE_ASK(size_t, NAME, capacity)                                                                               \
    YK_QUEUE_ASK(bool, NAME, empty)                                                                                    \
    YK_QUEUE_ASK(bool, NAME, full)

#ifdef __cplusplus
}
#endif
#endif
