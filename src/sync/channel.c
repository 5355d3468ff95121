/* channel: values from hand to hand; see yoke/channel.h, and channel.h for how those who wait are served.
 *
 * A short lock for each channel, as in queue_heap.c: a ring of slots without a lock, as in queue_ring.c, could neither serve
 * those who wait in their order nor let a party wait in several places. What always holds outside of the lock: senders wait
 * only while the buffer is full, receivers only while it is empty, and nobody waits once either kind of place is gone; cases of
 * parties that have been claimed elsewhere do not count. */
#include "sync/channel.h"
#include "topo/topo.h"
#include <stdlib.h>

/* ---- Opening, places, freeing ---- */

int yoke_channel_open(size_t value_size, size_t capacity, yoke_channel **ret)
{
    if (!ret || value_size == 0)
        return -EINVAL;
    size_t bytes;
    if (__builtin_mul_overflow(value_size, capacity, &bytes) || bytes > SIZE_MAX / 4 || value_size > SIZE_MAX / 4)
        return -ENOMEM;
    void *memory;
    if (yk_sys.posix_memalign(&memory, 2 * YK_CACHE_LINE, sizeof(yoke_channel) + bytes) != 0)
        return -ENOMEM;
    yoke_channel *c = memory;
    *c = (yoke_channel){.spin = yk_cpus_to_spare(), .value_size = value_size, .capacity = capacity, .senders = 1,
                        .receivers = 1, .refs = 2};
    *ret = c;
    return 0;
}

/* What a side's calls return once its places, or those of the other side, are gone; 0: neither. */
static int ended(const yoke_channel *c)
{
    return c->receivers == 0 ? -EPIPE : c->senders == 0 ? -ESHUTDOWN : 0;
}

/* Under the lock: takes the first of those who wait on that side out of the list, and makes it the caller's to serve. NULL:
 * nobody waits. */
static yoke_case *claim_first(yk_cases *l)
{
    while (l->first) {
        yoke_case *k = l->first;
        uint32_t claimed = 0;
        yk_party *p = k->yk.party; /* lives as long as its case stands here */
        yk_channel_leave(k);
        /* What the party wrote is ordered by the lock; of others who claim it nothing is read. */
        if (atomic_compare_exchange_strong_explicit(&p->claimed, &claimed, 1, memory_order_relaxed, memory_order_relaxed))
            return k;
    }
    return NULL;
}

/* Under the lock: the case, which the caller has claimed, ends. From here on it may be gone. */
static void serve(yoke_case *k, int err, yk_sleeper *wake)
{
    yk_party *p = k->yk.party;
    k->err = err;
    p->happened = k;
    /* Pairs with is_served(): the value, err and happened are complete. */
    if (atomic_exchange_explicit(&p->word, YK_PARTY_SERVED, memory_order_acq_rel) == YK_PARTY_ASLEEP)
        *wake = &p->word;
}

/* A kind of places is gone: all who wait get to know. One by one, since each is woken outside of the lock, and nobody comes
 * after. */
static void end_all(yoke_channel *c, int err)
{
    for (bool more = true; more;) {
        yk_sleeper wake = NULL;
        yk_mutex_lock(&c->lock);
        yoke_case *k = claim_first(&c->waiting[YOKE_SEND]);
        if (!k)
            k = claim_first(&c->waiting[YOKE_RECEIVE]);
        more = k;
        if (k)
            serve(k, err, &wake);
        yk_mutex_unlock(&c->lock);
        yk_channel_wake(wake);
    }
}

static void drop_ref(yoke_channel *c)
{
    /* Release for what we did, acquire for what others did, before it is freed. */
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free(c);
}

static int add_place(yoke_channel *c, yoke_direction side)
{
    if (!c)
        return -EINVAL;
    yk_mutex_lock(&c->lock);
    int err = c->receivers == 0 ? -EPIPE : side == YOKE_SEND && c->senders == 0 ? -ESHUTDOWN : 0;
    if (err == 0) {
        ++*(side == YOKE_SEND ? &c->senders : &c->receivers);
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed); /* the caller knows one who holds a place */
    }
    yk_mutex_unlock(&c->lock);
    return err;
}

static int give_up_place(yoke_channel *c, yoke_direction side)
{
    if (!c)
        return -EINVAL;
    yk_mutex_lock(&c->lock);
    size_t *places = side == YOKE_SEND ? &c->senders : &c->receivers, had = *places;
    *places -= had > 0;
    int err = ended(c);
    if (c->receivers == 0)
        c->len = 0;
    yk_mutex_unlock(&c->lock);
    if (had == 0)
        return -EINVAL;
    if (had == 1)
        end_all(c, err);
    drop_ref(c);
    return 0;
}

int yoke_channel_sender_ref(yoke_channel *c)
{
    return add_place(c, YOKE_SEND);
}

int yoke_channel_sender_unref(yoke_channel *c)
{
    return give_up_place(c, YOKE_SEND);
}

int yoke_channel_receiver_ref(yoke_channel *c)
{
    return add_place(c, YOKE_RECEIVE);
}

int yoke_channel_receiver_unref(yoke_channel *c)
{
    return give_up_place(c, YOKE_RECEIVE);
}

int yoke_channel_close(yoke_channel *c)
{
    if (!c)
        return 0;
    int err = give_up_place(c, YOKE_SEND); /* the other place keeps it alive */
    return err < 0 ? err : give_up_place(c, YOKE_RECEIVE); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* ---- Those who wait ---- */

void yk_channel_enter(yoke_case *k, yk_party *p)
{
    yk_cases *l = &k->channel->waiting[k->direction];
    k->yk.party = p;
    k->yk.next = NULL;
    k->yk.prev = l->last;
    *(l->last ? &l->last->yk.next : &l->first) = k;
    l->last = k;
    k->yk.linked = true;
}

void yk_channel_leave(yoke_case *k)
{
    yk_cases *l = &k->channel->waiting[k->direction];
    if (!k->yk.linked)
        return;
    *(k->yk.prev ? &k->yk.prev->yk.next : &l->first) = k->yk.next;
    *(k->yk.next ? &k->yk.next->yk.prev : &l->last) = k->yk.prev;
    k->yk.linked = false;
}

/* ---- Moving a value, under the lock ---- */

static inline char *slot(yoke_channel *c, size_t i)
{
    i += c->first;
    return c->values + (i < c->capacity ? i : i - c->capacity) * c->value_size;
}

static inline void push(yoke_channel *c, const void *value)
{
    yk_queue_copy(slot(c, c->len), value, c->value_size);
    c->len++;
}

static inline void pop(yoke_channel *c, void *ret)
{
    yk_queue_copy(ret, slot(c, 0), c->value_size);
    c->first = c->first + 1 < c->capacity ? c->first + 1 : 0;
    c->len--;
}

static inline int attempt_send(yoke_channel *c, yoke_case *k, yk_sleeper *wake)
{
    k->err = ended(c);
    if (YK_UNLIKELY(k->err < 0))
        return 0;
    yoke_case *receiver = claim_first(&c->waiting[YOKE_RECEIVE]);
    if (receiver) {
        yk_queue_copy(receiver->value, k->value, c->value_size);
        serve(receiver, 0, wake);
        return 0;
    }
    if (c->len == c->capacity)
        return -EAGAIN;
    push(c, k->value);
    return 0;
}

static inline int attempt_receive(yoke_channel *c, yoke_case *k, yk_sleeper *wake)
{
    k->err = 0;
    bool some = c->len > 0;
    if (some)
        pop(c, k->value);
    yoke_case *sender = claim_first(&c->waiting[YOKE_SEND]);
    if (sender) {
        if (some)
            push(c, sender->value); /* its turn: it was full until now */
        else
            yk_queue_copy(k->value, sender->value, c->value_size);
        serve(sender, 0, wake);
        return 0;
    }
    if (some)
        return 0;
    k->err = ended(c);
    return k->err < 0 ? 0 : -EAGAIN;
}

static inline int attempt(yoke_case *k, yk_sleeper *wake)
{
    yoke_channel *c = k->channel;
    return k->direction == YOKE_SEND ? attempt_send(c, k, wake) : attempt_receive(c, k, wake);
}

int yk_channel_attempt(yoke_case *k, yk_sleeper *wake)
{
    return attempt(k, wake);
}

/* The lock is held, and the case must wait. */
static __attribute__((noinline)) int unlock_and_wait(yoke_case *k, int64_t deadline)
{
    yk_party p;
    yk_mutex *lock = &k->channel->lock;
    bool waits = !yk_has_passed(deadline);
    if (waits) {
        yk_party_begin(&p);
        yk_channel_enter(k, &p);
    }
    yk_mutex_unlock(lock);
    return waits ? yk_party_wait(&p, k, 1, deadline) : -ETIMEDOUT;
}

static inline int do_case(yoke_case *k, bool wait, int64_t deadline)
{
    yoke_channel *c = k->channel;
    yk_sleeper wake = NULL;
    yk_mutex_lock(&c->lock);
    int err = attempt(k, &wake);
    if (YK_UNLIKELY(err == -EAGAIN) && wait)
        return unlock_and_wait(k, deadline);
    yk_mutex_unlock(&c->lock);
    yk_channel_wake(wake);
    return err;
}

int yk_channel_do(yoke_case *k, bool wait, int64_t deadline)
{
    return do_case(k, wait, deadline);
}

/* ---- Sending and receiving ---- */

static inline int send_value(yoke_channel *c, const void *value, bool wait, int64_t deadline)
{
    if (YK_UNLIKELY(!c || !value))
        return -EINVAL;
    yoke_case k = yoke_case_send(c, value);
    int err = do_case(&k, wait, deadline);
    return err < 0 ? err : k.err;
}

static inline int receive_value(yoke_channel *c, void *ret, bool wait, int64_t deadline)
{
    if (YK_UNLIKELY(!c || !ret))
        return -EINVAL;
    yoke_case k = yoke_case_receive(c, ret);
    int err = do_case(&k, wait, deadline);
    return err < 0 ? err : k.err;
}

int yoke_channel_send(yoke_channel *c, const void *value)
{
    return send_value(c, value, true, YOKE_FOREVER);
}

int yoke_channel_send_try(yoke_channel *c, const void *value)
{
    return send_value(c, value, false, 0);
}

int yoke_channel_send_timed(yoke_channel *c, const void *value, int64_t ns)
{
    return ns < 0 ? -EINVAL : send_value(c, value, true, yk_after(ns));
}

int yoke_channel_send_until(yoke_channel *c, const void *value, int64_t deadline)
{
    return send_value(c, value, true, deadline);
}

int yoke_channel_receive(yoke_channel *c, void *ret)
{
    return receive_value(c, ret, true, YOKE_FOREVER);
}

int yoke_channel_receive_try(yoke_channel *c, void *ret)
{
    return receive_value(c, ret, false, 0);
}

int yoke_channel_receive_timed(yoke_channel *c, void *ret, int64_t ns)
{
    return ns < 0 ? -EINVAL : receive_value(c, ret, true, yk_after(ns));
}

int yoke_channel_receive_until(yoke_channel *c, void *ret, int64_t deadline)
{
    return receive_value(c, ret, true, deadline);
}

/* ---- How things stand ---- */

size_t yoke_channel_size(yoke_channel *c)
{
    if (!c)
        return 0;
    yk_mutex_lock(&c->lock);
    size_t len = c->len;
    yk_mutex_unlock(&c->lock);
    return len;
}

size_t yoke_channel_capacity(yoke_channel *c)
{
    return c ? c->capacity : 0;
}
