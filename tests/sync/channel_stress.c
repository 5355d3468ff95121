/* channel_stress.c - many threads, more than there are CPUs: nothing is lost and nothing comes twice, whatever calls they use, in
 * however many channels they wait at once, whenever their time is over, and whenever an end is gone. */
#include "channel_room.h"

enum { MOST_CHANNELS = 4, SENDERS = 6, RECEIVERS = 6, MOST = 4000 };

typedef struct item {
    uint32_t sender, number, check;
} item;

/* How threads call: plainly; with all forms; with hardly any time; by selects over all channels; by any of these. */
typedef enum manner { PLAIN, MIXED, HASTY, SELECT, HASTY_SELECT, ANY } manner;

static struct {
    yoke_channel *c[MOST_CHANNELS];
    int channels, items; /* items of each sender, unless it is stopped */
    manner sends, receives;
    _Atomic uint32_t sent[SENDERS], got;
    _Atomic unsigned char seen[SENDERS][MOST];
    _Atomic uint32_t timeouts, piped;
} s;

typedef struct caller {
    uint32_t me, random;
    yoke_case cases[MOST_CHANNELS];
    int live; /* cases whose channel has not ended */
} caller;

static uint32_t next_random(caller *who, uint32_t n)
{
    who->random ^= who->random << 13;
    who->random ^= who->random >> 17;
    who->random ^= who->random << 5;
    return who->random % n;
}

/* ---- One call: 0 when it was done, 1 when there was no time, else how the channel ended ---- */

static int as_result(caller *who, int err)
{
    if (err == -EAGAIN || err == -ETIMEDOUT) {
        atomic_fetch_add_explicit(&s.timeouts, 1, memory_order_relaxed);
        return 1;
    }
    return err;
}

static int do_plain(caller *who, yoke_case *k, int form)
{
    bool sends = k->direction == YOKE_SEND;
    int64_t ns = next_random(who, 30000);
    switch (form) {
    case 0:
        return sends ? yoke_channel_send(k->channel, k->value) : yoke_channel_receive(k->channel, k->value);
    case 1:
        return sends ? yoke_channel_send_try(k->channel, k->value) : yoke_channel_receive_try(k->channel, k->value);
    default:
        return sends ? yoke_channel_send_timed(k->channel, k->value, ns) : yoke_channel_receive_timed(k->channel, k->value, ns);
    }
}

static int do_select(caller *who, int form, int *ret_err)
{
    size_t n = (size_t)s.channels;
    int which = form == 0   ? yoke_channel_select(who->cases, n)
                : form == 1 ? yoke_channel_select_try(who->cases, n)
                            : yoke_channel_select_timed(who->cases, n, next_random(who, 30000));
    *ret_err = which < 0 ? which : who->cases[which].err;
    return which;
}

static int call(caller *who, manner how)
{
    if (how == ANY)
        how = (manner)next_random(who, ANY);
    int form = how == PLAIN || how == SELECT ? 0 : (int)next_random(who, how == MIXED ? 3 : 2) + (how == MIXED ? 0 : 1);
    int which, err;
    /* Senders that wait in one of several channels and receivers that wait in another would wait for ever. */
    if (form == 0 && how != SELECT && s.channels > 1 && who->cases[0].direction == YOKE_RECEIVE && s.receives != PLAIN)
        form = 2;
    if (how == SELECT || how == HASTY_SELECT) {
        which = do_select(who, form, &err);
    } else {
        do
            which = (int)next_random(who, (uint32_t)s.channels);
        while (!who->cases[which].channel);
        err = do_plain(who, &who->cases[which], form);
    }
    if (err == -ESHUTDOWN || err == -EPIPE) {
        CHECK(which >= 0);
        who->cases[which].channel = NULL;
        who->live--;
    }
    return as_result(who, err);
}

/* ---- Senders and receivers ---- */

static void *sender(void *arg)
{
    caller who = {.me = (uint32_t)(uintptr_t)arg, .random = (uint32_t)(uintptr_t)arg + 1, .live = s.channels};
    item out;
    for (int i = 0; i < s.channels; i++)
        who.cases[i] = yoke_case_send(s.c[i], &out);
    for (int i = 0; i < s.items && who.live > 0;) {
        out = (item){who.me, (uint32_t)i, who.me * 7919 + (uint32_t)i};
        int err = call(&who, s.sends);
        if (err == 0) {
            atomic_store_explicit(&s.sent[who.me], (uint32_t)++i, memory_order_relaxed);
        } else if (err < 0) {
            CHECK_INT(err, -EPIPE);
            atomic_fetch_add(&s.piped, 1);
        }
    }
    for (int i = 0; i < s.channels; i++)
        CHECK_INT(yoke_channel_sender_unref(s.c[i]), 0);
    return NULL;
}

static void take(const item *in, int64_t last[SENDERS])
{
    CHECK(in->sender < SENDERS && in->number < MOST);
    CHECK_INT(in->check, in->sender * 7919 + in->number);
    CHECK_INT(atomic_fetch_add_explicit(&s.seen[in->sender][in->number], 1, memory_order_relaxed), 0);
    if (s.channels == 1) /* what one thread sends through one channel comes in order */
        CHECK(last[in->sender] < in->number);
    last[in->sender] = in->number;
    atomic_fetch_add_explicit(&s.got, 1, memory_order_relaxed);
}

/* Receives until all channels have ended, or `most` items. */
static void receive_some(caller *who, uint32_t most)
{
    int64_t last[SENDERS];
    item in;
    memset(last, 0xFF, sizeof last);
    for (int i = 0; i < s.channels; i++)
        who->cases[i] = yoke_case_receive(s.c[i], &in);
    for (uint32_t n = 0; n < most && who->live > 0;) {
        int err = call(who, s.receives);
        if (err == 0) {
            take(&in, last);
            n++;
        } else if (err < 0) {
            CHECK_INT(err, -ESHUTDOWN);
        }
    }
    for (int i = 0; i < s.channels; i++)
        CHECK_INT(yoke_channel_receiver_unref(s.c[i]), 0);
}

static void *receiver(void *arg)
{
    caller who = {.random = (uint32_t)(uintptr_t)arg + 100, .live = s.channels};
    receive_some(&who, UINT32_MAX);
    return NULL;
}

/* Gives up its places in the middle. */
static void *receiver_of_some(void *arg)
{
    caller who = {.random = (uint32_t)(uintptr_t)arg + 100, .live = s.channels};
    receive_some(&who, (uint32_t)s.items / 4);
    return NULL;
}

static void begin(int channels, size_t capacity, manner sends, manner receives, int items)
{
    memset(&s, 0, sizeof s);
    s.channels = channels;
    s.sends = sends;
    s.receives = receives;
    s.items = YK_MIN(items / CREW_SLOWER, MOST);
    for (int i = 0; i < channels; i++)
        CHECK_INT(yoke_channel_open(sizeof(item), capacity, &s.c[i]), 0);
}

/* All of them at once; each has places of its own, and ours are given up at the start. */
static void run(int senders, int receivers, void *(*receive)(void *))
{
    pthread_t threads[SENDERS + RECEIVERS];
    for (int i = 0; i < s.channels; i++) {
        for (int k = 0; k < senders; k++)
            CHECK_INT(yoke_channel_sender_ref(s.c[i]), 0);
        for (int k = 0; k < receivers; k++)
            CHECK_INT(yoke_channel_receiver_ref(s.c[i]), 0);
        CHECK_INT(yoke_channel_close(s.c[i]), 0);
    }
    for (int i = 0; i < receivers; i++)
        threads[senders + i] = crew_start(receive, (void *)(uintptr_t)i);
    for (int i = 0; i < senders; i++)
        threads[i] = crew_start(sender, (void *)(uintptr_t)i);
    for (int i = 0; i < senders + receivers; i++)
        crew_join(threads[i]);
}

static uint32_t sum_of_sent(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < SENDERS; i++)
        sum += atomic_load(&s.sent[i]);
    return sum;
}

static void all_come(int channels, size_t capacity, manner sends, manner receives, int items)
{
    begin(channels, capacity, sends, receives, items);
    run(SENDERS, RECEIVERS, receiver);
    CHECK_INT(sum_of_sent(), SENDERS * s.items);
    CHECK_INT(s.got, SENDERS * s.items);
    for (int p = 0; p < SENDERS; p++)
        for (int i = 0; i < s.items; i++)
            CHECK_INT(s.seen[p][i], 1);
}

static const size_t capacities[] = {0, 1, 7};

TEST(in_order_without_loss)
{
    for (int i = 0; i < 3; i++) {
        all_come(1, capacities[i], PLAIN, PLAIN, 4000);
        all_come(1, capacities[i], MIXED, MIXED, 2000);
    }
}

TEST(selects_against_plain_calls)
{
    for (int i = 0; i < 3; i++) {
        all_come(3, capacities[i], PLAIN, SELECT, 2000);
        all_come(3, capacities[i], SELECT, PLAIN, 2000);
        all_come(1, capacities[i], SELECT, MIXED, 1000);
    }
}

/* The hard case: both sides select over the same channels, most of them without a buffer. */
TEST(selects_against_selects)
{
    for (int i = 0; i < 3; i++) {
        all_come(2, capacities[i], SELECT, SELECT, 3000);
        all_come(4, capacities[i], SELECT, SELECT, 3000);
        all_come(4, capacities[i], ANY, ANY, 1000);
    }
}

/* Short times on both sides: each delivery races with a party that gives up. */
TEST(timeouts_against_deliveries)
{
    for (int i = 0; i < 2; i++) {
        all_come(1, capacities[i], HASTY, HASTY, 300);
        all_come(3, capacities[i], HASTY_SELECT, HASTY_SELECT, 300);
        all_come(2, capacities[i], HASTY, SELECT, 500);
        all_come(2, capacities[i], SELECT, HASTY_SELECT, 500);
        CHECK(s.timeouts > 0);
    }
}

/* ---- Receivers that go ---- */

/* Whatever was received was sent, once. What was sent to a rendezvous was received; a buffer may have been dropped. */
static void check_some_came(int channels, size_t capacity)
{
    uint32_t seen = 0;
    for (int p = 0; p < SENDERS; p++)
        for (uint32_t i = 0; i < MOST; i++) {
            CHECK(s.seen[p][i] <= (i < atomic_load(&s.sent[p])));
            seen += s.seen[p][i];
        }
    CHECK_INT(seen, s.got);
    CHECK(seen <= sum_of_sent() && sum_of_sent() - seen <= (uint32_t)channels * capacity);
    CHECK(s.piped > 0);
}

TEST(receivers_go_in_the_middle)
{
    static const manner manners[] = {PLAIN, SELECT, ANY};
    for (int round = 0; round < 60 / CREW_SLOWER + 9; round++) {
        int channels = 1 + round % 4;
        size_t capacity = capacities[round / 3 % 3];
        begin(channels, capacity, manners[round % 3], round % 2 ? SELECT : MIXED, 2000);
        run(SENDERS, 3, receiver_of_some);
        check_some_came(channels, capacity);
    }
}

/* ---- Parties that are both ---- */

static struct {
    yoke_channel *c[3];
    int channels;
    uint32_t enough;
    _Atomic uint32_t sends, receives, next;
    _Atomic uint64_t sum;
} swap;

/* Sends and receives in one select, on the same channels: each finds another, never itself. */
static void *trader(void *arg)
{
    uint32_t in, out = atomic_fetch_add(&swap.next, 1);
    yoke_case cases[6];
    for (int i = 0; i < swap.channels; i++) {
        cases[2 * i] = yoke_case_send(swap.c[i], &out);
        cases[2 * i + 1] = yoke_case_receive(swap.c[i], &in);
    }
    while (atomic_load(&swap.sends) < swap.enough) {
        int which = yoke_channel_select_timed(cases, 2 * (size_t)swap.channels, YOKE_MS);
        if (which == -ETIMEDOUT)
            continue;
        CHECK(which >= 0 && cases[which].err == 0);
        if (which % 2) {
            atomic_fetch_add(&swap.receives, 1);
            atomic_fetch_sub(&swap.sum, in);
        } else {
            atomic_fetch_add(&swap.sends, 1);
            atomic_fetch_add(&swap.sum, out);
            out = atomic_fetch_add(&swap.next, 1);
        }
    }
    return NULL;
}

TEST(all_trade_with_all)
{
    for (int channels = 1; channels <= 3; channels++)
        for (int traders = 2; traders <= 8; traders *= 2) {
            memset(&swap, 0, sizeof swap);
            swap.channels = channels;
            swap.enough = 3000 / CREW_SLOWER;
            for (int i = 0; i < channels; i++)
                CHECK_INT(yoke_channel_open(sizeof(uint32_t), 0, &swap.c[i]), 0);
            crew_run(traders, trader, NULL);
            CHECK_INT(swap.sends, swap.receives);
            CHECK_INT(swap.sum, 0);
            for (int i = 0; i < channels; i++) {
                check_alone(swap.c[i]);
                CHECK_INT(yoke_channel_close(swap.c[i]), 0);
            }
        }
}

/* ---- Hand-overs ---- */

static yoke_channel *there, *back;
static int rounds;

static void *echo(void *arg)
{
    for (int got; yoke_channel_receive(there, &got) == 0;)
        CHECK_INT(yoke_channel_send(back, &got), 0);
    CHECK_INT(yoke_channel_receiver_unref(there) + yoke_channel_sender_unref(back), 0);
    return NULL;
}

/* One value goes to and fro, so each side waits for the other every time. `sleepy`: without spinning before. */
static void ping_pong(size_t capacity, bool sleepy)
{
    there = channel_of_ints(capacity);
    back = channel_of_ints(capacity);
    there->spin = there->spin && !sleepy;
    back->spin = back->spin && !sleepy;
    rounds = 20000 / CREW_SLOWER;
    pthread_t thread = crew_start(echo, NULL);
    for (int i = 0, got; i < rounds; i++) {
        CHECK_INT(yoke_channel_send(there, &i), 0);
        CHECK_INT(yoke_channel_receive(back, &got), 0);
        CHECK_INT(got, i);
    }
    CHECK_INT(yoke_channel_sender_unref(there), 0);
    crew_join(thread);
    CHECK_INT(yoke_channel_receiver_unref(back), 0);
}

TEST(no_wake_up_is_lost)
{
    for (int sleepy = 0; sleepy < 2; sleepy++)
        for (size_t capacity = 0; capacity < 3; capacity++)
            ping_pong(capacity, sleepy);
}
