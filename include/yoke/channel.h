/* yoke/channel.h - channels: values handed from senders to receivers, and select: the first of several that can go.
 *
 *     YOKE_CHANNEL(line, struct parcel);                 // at file scope: a type of channels of parcels, and its functions
 *     ...
 *     line *c;
 *     int err = line_open(0, &c);                        // how many values may wait in it; 0: they go from hand to hand
 *
 *     err = line_send(c, parcel);                        // a sender: until there is room, or a receiver has taken it
 *     line_sender_unref(c);                              // and when it has no more
 *
 *     struct parcel p;                                   // a receiver: until all senders are done
 *     while (line_receive(c, &p) == 0)
 *         deliver(&p);
 *     line_receiver_unref(c);
 *
 * Values are copied in and out as bytes, in the order in which they were sent; what they point to stays the user's. Any number
 * of threads and coroutines may send and receive at the same time. Who has waited longest is served first, and nobody
 * overtakes. A queue (yoke/queues.h) is faster; a channel knows when its senders or receivers are gone, hands over without a
 * buffer, and can be selected.
 *
 * Ends. A channel counts the places of its senders and of its receivers. The caller of open has one of each; whoever else is to
 * send or receive for as long as it likes gets a place of its own by ..._sender_ref() or ..._receiver_ref(), made by somebody
 * who has one, and gives it up by ..._unref(). One may also send in a place that somebody else holds meanwhile. When all
 * senders' places are given up, receivers take what is left and then get -ESHUTDOWN; when all receivers' are, what is left is
 * dropped and senders get -EPIPE. When both are, the channel is freed.
 *
 * Each verb has forms that differ in how long they wait:
 *
 *     NAME_send(c, value)                   as long as it takes
 *     NAME_send_try(c, value)               not at all: -EAGAIN
 *     NAME_send_timed(c, value, ns)         so many nanoseconds: -ETIMEDOUT; less than 0: -EINVAL
 *     NAME_send_until(c, value, deadline)   until then (yoke_now() + ...): -ETIMEDOUT. What can be done at once is done, even
 *                                           when the deadline has passed.
 *
 * A call that returns -EAGAIN, -ETIMEDOUT or -ECANCELED (the coroutine that waits was cancelled) has done nothing: nothing was
 * sent or received, and the channel is as if it had never been called.
 *
 * Select does one of several sends and receives, whichever can go first:
 *
 *     yoke_case cases[] = {line_case_receive(in, &p), numbers_case_send(out, &next)};
 *     switch (yoke_channel_select_timed(cases, 2, YOKE_S)) {
 *     case 0: if (cases[0].err == 0) deliver(&p); break;             // else: in has ended
 *     case 1: next++; break;
 *     default: ...                                                   // -ETIMEDOUT
 *     }
 *
 * A call that waits spins for some microseconds if there are CPUs to spare, and then sleeps. In a task on a pool of threads, the
 * worker lends its place to another meanwhile. The diagnosis of deadlocks (yoke/sync.h) does not see waits for channels.
 *
 * Errors of all calls: -EINVAL when the channel or the place of a value is NULL. All calls may be made from any thread, none
 * from a signal handler, and none in a child made by fork() on a channel of its parent's.
 */
#ifndef YOKE_CHANNEL_H
#define YOKE_CHANNEL_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_channel yoke_channel;

/* ---- The channel of values of any size: what YOKE_CHANNEL stands on, and what bindings use ---- */

/* A channel of values of value_size bytes, of which `capacity` may wait in it; 0: a send ends when a receiver has the value. All
 * its memory is taken here. The caller has a sender's and a receiver's place. -EINVAL: value_size 0. -ENOMEM. */
YOKE_API int yoke_channel_open(size_t value_size, size_t capacity, yoke_channel **ret);
/* Gives up one sender's and one receiver's place: what open gave. NULL is nothing to close. */
YOKE_API int yoke_channel_close(yoke_channel *c);

/* One more sender's place, or one less. ref: -ESHUTDOWN when all have been given up; they do not come back; -EPIPE when there
 * are no receivers. unref: -EINVAL when there is none to give up. It never waits; who gives up the last place ends the calls
 * that others wait in. */
YOKE_API int yoke_channel_sender_ref(yoke_channel *c);
YOKE_API int yoke_channel_sender_unref(yoke_channel *c);
/* The same for receivers; ref: -EPIPE when all have been given up. Senders may be gone already. */
YOKE_API int yoke_channel_receiver_ref(yoke_channel *c);
YOKE_API int yoke_channel_receiver_unref(yoke_channel *c);

/* Sends a copy of the value. 0; -EPIPE when no receiver's place is left, and nobody will ever take it; -ESHUTDOWN when no
 * sender's is. Both end the wait too. -ECANCELED: above. */
YOKE_API int yoke_channel_send(yoke_channel *c, const void *value);
YOKE_API int yoke_channel_send_try(yoke_channel *c, const void *value);
YOKE_API int yoke_channel_send_timed(yoke_channel *c, const void *value, int64_t ns);
YOKE_API int yoke_channel_send_until(yoke_channel *c, const void *value, int64_t deadline);

/* Takes the next value into *ret. 0; -ESHUTDOWN when no sender's place and no value is left; -EPIPE when no receiver's place is.
 * Both end the wait too. -ECANCELED: above. */
YOKE_API int yoke_channel_receive(yoke_channel *c, void *ret);
YOKE_API int yoke_channel_receive_try(yoke_channel *c, void *ret);
YOKE_API int yoke_channel_receive_timed(yoke_channel *c, void *ret, int64_t ns);
YOKE_API int yoke_channel_receive_until(yoke_channel *c, void *ret, int64_t deadline);

/* How many values wait in the channel, which may be over when the call returns. NULL is an empty channel. */
YOKE_API size_t yoke_channel_size(yoke_channel *c);
YOKE_API size_t yoke_channel_capacity(yoke_channel *c);

/* ---- Select ---- */

typedef enum yoke_direction {
    YOKE_SEND,
    YOKE_RECEIVE
} yoke_direction;

/* One of the things that a select may do. Made by yoke_case_send() and its kin, and may be used again and again. */
typedef struct yoke_case {
    yoke_channel *channel; /* NULL: never happens */
    yoke_direction direction;
    int err;     /* of the case that happened: 0, or the code that a send or receive of its own would have returned */
    void *value; /* what is sent, which is only read, or where what is received goes */
    struct {
        struct yoke_case *next, *prev;
        struct yk_party *party;
        uint32_t turn, rank;
        bool linked;
    } yk; /* yoke's own, during the call */
} yoke_case;

/* Does exactly one of the n cases, which may name a channel several times and in both directions. When several can go at once,
 * each of them has the same chance, by random numbers that are the same for each run of the n-th thread of the process that
 * selects. A case that finds its channel ended has happened, too, with that error.
 *
 * Returns the index of the case that happened. Negative: none did, and cases[...].err says nothing. -EAGAIN of the try form: each
 * was impossible at one moment during the call. -ETIMEDOUT; -ECANCELED; -EDEADLK: every channel is NULL and there is no time
 * limit; -EINVAL: more than INT_MAX cases, or one without a value or a direction. Takes no memory, so n costs only time. */
YOKE_API int yoke_channel_select(yoke_case *cases, size_t n);
YOKE_API int yoke_channel_select_try(yoke_case *cases, size_t n);
YOKE_API int yoke_channel_select_timed(yoke_case *cases, size_t n, int64_t ns);
YOKE_API int yoke_channel_select_until(yoke_case *cases, size_t n, int64_t deadline);

#define YK_CHANNEL_FN static inline __attribute__((unused))

/* A case that sends *value as it is then, and one that receives into *place. */
YK_CHANNEL_FN yoke_case yoke_case_send(yoke_channel *c, const void *value)
{
    yoke_case k;
    k.channel = c;
    k.direction = YOKE_SEND;
    k.err = 0;
    k.value = (void *)(uintptr_t)value;
    return k;
}
YK_CHANNEL_FN yoke_case yoke_case_receive(yoke_channel *c, void *place)
{
    yoke_case k;
    k.channel = c;
    k.direction = YOKE_RECEIVE;
    k.err = 0;
    k.value = place;
    return k;
}

/* ---- Channels of one type ---- */

/* YOKE_CHANNEL(NAME, TYPE); at file scope, in C or C++. Declares the type NAME and, for each function of channels above, one
 * that begins with NAME_ in place of yoke_channel_ and takes NAME * and TYPE: values that are sent are passed by value, and
 * received through a TYPE *. And the cases of a select:
 *
 *     int NAME_open(size_t capacity, NAME **ret);
 *     yoke_case NAME_case_send(NAME *c, TYPE const *value);
 *     yoke_case NAME_case_receive(NAME *c, TYPE *place);
 *
 * TYPE is a complete type whose bytes may be copied; an array goes into a struct first. */
#define YOKE_CHANNEL(NAME, TYPE)                                                                                       \
    typedef struct NAME NAME;                                                                                          \
    YK_CHANNEL_FN int NAME##_open(size_t yk_capacity, NAME **yk_ret)                                                   \
    {                                                                                                                  \
        yoke_channel *yk_c;                                                                                            \
        int yk_err = yoke_channel_open(sizeof(TYPE), yk_capacity, yk_ret ? &yk_c : NULL);                              \
        if (yk_err == 0)                                                                                               \
            *yk_ret = (NAME *)yk_c;                                                                                    \
        return yk_err;                                                                                                 \
    }                                                                                                                  \
    YK_CHANNEL_WAYS(NAME, send, TYPE yk_value, (const void *)&yk_value)                                                \
    YK_CHANNEL_WAYS(NAME, receive, TYPE *yk_place, (void *)yk_place)                                                   \
    YK_CHANNEL_ASK(int, NAME, close)                                                                                   \
    YK_CHANNEL_ASK(int, NAME, sender_ref)                                                                              \
    YK_CHANNEL_ASK(int, NAME, sender_unref)                                                                            \
    YK_CHANNEL_ASK(int, NAME, receiver_ref)                                                                            \
    YK_CHANNEL_ASK(int, NAME, receiver_unref)                                                                          \
    YK_CHANNEL_ASK(size_t, NAME, size)                                                                                 \
    YK_CHANNEL_ASK(size_t, NAME, capacity)                                                                             \
    YK_CHANNEL_FN yoke_case NAME##_case_send(NAME *yk_c, TYPE const *yk_value)                                         \
    {                                                                                                                  \
        return yoke_case_send((yoke_channel *)yk_c, (const void *)yk_value);                                           \
    }                                                                                                                  \
    YK_CHANNEL_FN yoke_case NAME##_case_receive(NAME *yk_c, TYPE *yk_place)                                            \
    {                                                                                                                  \
        return yoke_case_receive((yoke_channel *)yk_c, (void *)yk_place);                                              \
    }                                                                                                                  \
    struct yk_channel_end_##NAME

#define YK_CHANNEL_WAYS(NAME, VERB, DECLARE, ...)                                                                      \
    YK_CHANNEL_FN int NAME##_##VERB(NAME *yk_c, DECLARE)                                                               \
    {                                                                                                                  \
        return yoke_channel_##VERB((yoke_channel *)yk_c, __VA_ARGS__);                                                 \
    }                                                                                                                  \
    YK_CHANNEL_FN int NAME##_##VERB##_try(NAME *yk_c, DECLARE)                                                         \
    {                                                                                                                  \
        return yoke_channel_##VERB##_try((yoke_channel *)yk_c, __VA_ARGS__);                                           \
    }                                                                                                                  \
    YK_CHANNEL_FN int NAME##_##VERB##_timed(NAME *yk_c, DECLARE, int64_t yk_ns)                                        \
    {                                                                                                                  \
        return yoke_channel_##VERB##_timed((yoke_channel *)yk_c, __VA_ARGS__, yk_ns);                                  \
    }                                                                                                                  \
    YK_CHANNEL_FN int NAME##_##VERB##_until(NAME *yk_c, DECLARE, int64_t yk_deadline)                                  \
    {                                                                                                                  \
        return yoke_channel_##VERB##_until((yoke_channel *)yk_c, __VA_ARGS__, yk_deadline);                            \
    }
#define YK_CHANNEL_ASK(RET, NAME, VERB)                                                                                \
    YK_CHANNEL_FN RET NAME##_##VERB(NAME *yk_c)                                                                        \
    {                                                                                                                  \
        return yoke_channel_##VERB((yoke_channel *)yk_c);                                                              \
    }

#ifdef __cplusplus
}
#endif
#endif
