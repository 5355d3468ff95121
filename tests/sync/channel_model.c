/* channel_model.c - channels and selects against the plainest things that they could be, under random calls of many parties in
 * one thread. A party that has to wait comes to the hook of yk_wait(), which has other parties make calls, and so on: so every
 * order of waiting, serving, giving up and ending comes up, and what each party must get is known. */
#include "channel_room.h"

enum { CHANNELS = 3, MOST_CAPACITY = 4, DEPTH = 6, CASES = 5, LARGEST = 24, ENTRIES = DEPTH * CASES };

/* One who calls, at each depth one. */
typedef struct party {
    bool waits, served, woken;
    int n, which, err; /* of its cases; the one that was served, and how */
    int channel[CASES]; /* -1: none */
    yoke_direction direction[CASES];
    uint32_t serial[CASES]; /* what it sends, or what it was given */
    unsigned char memory[CASES][LARGEST + 1];
    yoke_case cases[CASES];
    _Atomic uint32_t *word; /* where it sleeps */
    int code;               /* how its wait is broken off */
} party;

typedef struct entry {
    int depth, index;
} entry;

typedef struct model {
    yoke_channel *c;
    size_t size, capacity;
    int senders, receivers, len, waiting[2];
    uint32_t values[MOST_CAPACITY];
    entry entries[2][ENTRIES];
} model;

static model channels[CHANNELS];
static party parties[DEPTH + 1];
static int depth, budget;
static uint32_t serials;
static struct {
    int served, ended, broken, at_once, refused;
} happened;

static int pick(int n)
{
    return (int)(test_random() % (uint64_t)n);
}

static void make(unsigned char *bytes, size_t size, uint32_t serial)
{
    for (size_t b = 0; b < size; b++)
        bytes[b] = (unsigned char)(b < 4 ? serial >> 8 * b : serial * 31 + b);
}

static void check_bytes(const unsigned char *bytes, size_t size, uint32_t serial)
{
    unsigned char expected[LARGEST];
    make(expected, size, serial);
    if (memcmp(bytes, expected, size) != 0)
        test_fail(__FILE__, __LINE__, "value %02x%02x.. instead of %u", bytes[0], bytes[1], serial);
}

/* ---- The model ---- */

static int ended(const model *m)
{
    return m->receivers == 0 ? -EPIPE : m->senders == 0 ? -ESHUTDOWN : 0;
}

static bool can_go(const party *p, int i)
{
    if (p->channel[i] < 0)
        return false;
    const model *m = &channels[p->channel[i]];
    if (p->direction[i] == YOKE_SEND)
        return ended(m) || m->waiting[YOKE_RECEIVE] > 0 || m->len < (int)m->capacity;
    return m->len > 0 || m->waiting[YOKE_SEND] > 0 || ended(m);
}

static void remove_party(int d)
{
    for (model *m = channels; m < channels + CHANNELS; m++)
        for (int side = 0; side < 2; side++) {
            int kept = 0;
            for (int i = 0; i < m->waiting[side]; i++)
                if (m->entries[side][i].depth != d)
                    m->entries[side][kept++] = m->entries[side][i];
            m->waiting[side] = kept;
        }
}

static void enter_party(int d)
{
    party *p = &parties[d];
    for (int i = 0; i < p->n; i++)
        if (p->channel[i] >= 0) {
            model *m = &channels[p->channel[i]];
            m->entries[p->direction[i]][m->waiting[p->direction[i]]++] = (entry){d, i};
        }
}

/* The first who waits on that side is served; returns the serial number that it sent. */
static uint32_t serve_first(model *m, int side, uint32_t given, int err)
{
    entry e = m->entries[side][0];
    party *p = &parties[e.depth];
    CHECK(p->waits && !p->served);
    p->served = true;
    p->which = e.index;
    p->err = err;
    if (side == YOKE_RECEIVE)
        p->serial[e.index] = given;
    remove_party(e.depth);
    return p->serial[e.index];
}

static int go_send(model *m, uint32_t serial)
{
    if (ended(m))
        return ended(m);
    if (m->waiting[YOKE_RECEIVE] > 0)
        serve_first(m, YOKE_RECEIVE, serial, 0);
    else
        m->values[m->len++] = serial;
    return 0;
}

static int go_receive(model *m, uint32_t *ret)
{
    if (m->len > 0) {
        *ret = m->values[0];
        memmove(m->values, m->values + 1, (size_t)--m->len * sizeof *m->values);
        if (m->waiting[YOKE_SEND] > 0)
            m->values[m->len++] = serve_first(m, YOKE_SEND, 0, 0);
        return 0;
    }
    if (m->waiting[YOKE_SEND] == 0)
        return ended(m);
    *ret = serve_first(m, YOKE_SEND, 0, 0);
    return 0;
}

static void end_side(model *m)
{
    int err = ended(m);
    if (m->receivers == 0)
        m->len = 0;
    for (int side = 0; err && side < 2; side++)
        while (m->waiting[side] > 0)
            serve_first(m, side, 0, err);
}

/* ---- The hooks ---- */

static void step(void);

static int wake_parties(_Atomic uint32_t *word, int n)
{
    CHECK_INT(n, 1);
    for (int d = 0; d < DEPTH; d++)
        if (parties[d].waits && parties[d].word == word) {
            CHECK(!parties[d].woken);
            parties[d].woken = true;
            return 1;
        }
    test_fail(__FILE__, __LINE__, "somebody is woken who does not sleep");
    return 0;
}

static int wait_of_party(yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    party *p = &parties[depth];
    CHECK(p->waits && !p->served);
    CHECK_INT(atomic_load(word), value);
    CHECK(deadline == YOKE_FOREVER);
    p->word = word;
    depth++;
    for (int i = pick(12); i > 0 && !p->served; i--)
        step();
    depth--;
    CHECK_INT(p->woken, p->served);
    if (pick(4) == 0)
        return pick(2) ? 0 : -EINTR; /* for no reason, or perhaps for one */
    p->code = pick(2) ? -ECANCELED : -ETIMEDOUT;
    return p->served && pick(2) ? 0 : p->code; /* served at the last moment */
}

/* ---- One call ---- */

/* Cases that are in no state that matters, and memory that tells when it is touched. */
static void prepare(party *p, bool plain)
{
    memset(p, 0xEE, sizeof *p);
    p->waits = p->served = p->woken = false;
    p->word = NULL;
    p->n = plain ? 1 : pick(CASES + 1);
    for (int i = 0; i < p->n; i++) {
        p->channel[i] = plain || pick(8) ? pick(CHANNELS) : -1;
        p->direction[i] = pick(2) ? YOKE_SEND : YOKE_RECEIVE;
        p->cases[i].direction = p->direction[i];
        p->cases[i].channel = p->channel[i] < 0 ? NULL : channels[p->channel[i]].c;
        p->cases[i].value = p->memory[i];
        p->serial[i] = ++serials;
        if (p->direction[i] == YOKE_SEND)
            make(p->memory[i], LARGEST, p->serial[i]);
    }
}

typedef enum form { TRY, PAST, FOREVER } form;

static int call_plain(party *p, form how)
{
    yoke_channel *c = p->cases[0].channel;
    void *value = p->memory[0];
    if (p->direction[0] == YOKE_SEND)
        return how == TRY    ? yoke_channel_send_try(c, value)
               : how == PAST ? yoke_channel_send_until(c, value, -5)
                             : yoke_channel_send(c, value);
    return how == TRY    ? yoke_channel_receive_try(c, value)
           : how == PAST ? yoke_channel_receive_until(c, value, -5)
                         : yoke_channel_receive(c, value);
}

static int call_select(party *p, form how)
{
    size_t n = (size_t)p->n;
    return how == TRY    ? yoke_channel_select_try(p->cases, n)
           : how == PAST ? yoke_channel_select_until(p->cases, n, -5)
                         : yoke_channel_select(p->cases, n);
}

/* Nothing was written but what was received, and that is right. */
static void check_memory(const party *p, int which, int err)
{
    for (int i = 0; i < p->n; i++) {
        size_t got = 0, size = p->channel[i] < 0 ? 0 : channels[p->channel[i]].size;
        if (p->direction[i] == YOKE_SEND) {
            check_bytes(p->memory[i], LARGEST, p->serial[i]);
            continue;
        }
        if (i == which && err == 0) {
            check_bytes(p->memory[i], size, p->serial[i]);
            got = size;
        }
        for (; got < LARGEST; got++)
            CHECK_INT(p->memory[i][got], 0xEE);
    }
}

/* The call could go at once, and did so by case `which` with that error. */
static void check_at_once(party *p, int which, int err)
{
    CHECK(which >= 0 && which < p->n && can_go(p, which));
    model *m = &channels[p->channel[which]];
    int expected = p->direction[which] == YOKE_SEND ? go_send(m, p->serial[which]) : go_receive(m, &p->serial[which]);
    CHECK_INT(err, expected);
    check_memory(p, which, err);
    happened.at_once++;
}

static void check_wait(party *p, bool plain, int result)
{
    int which = p->served ? p->which : -1;
    if (plain)
        CHECK_INT(result, p->served ? p->err : p->code);
    else
        CHECK_INT(result, p->served ? p->which : p->code);
    if (p->served && !plain)
        CHECK_INT(p->cases[which].err, p->err);
    check_memory(p, which, p->served ? p->err : -1);
    ++*(!p->served ? &happened.broken : p->err ? &happened.ended : &happened.served);
}

static void call(bool plain)
{
    party *p = &parties[depth];
    prepare(p, plain);
    form how = depth < DEPTH ? (form)pick(5) : (form)pick(2);
    how = how > FOREVER ? FOREVER : how;
    bool ready = false, some = false;
    for (int i = 0; i < p->n; i++) {
        ready = ready || can_go(p, i);
        some = some || p->channel[i] >= 0;
    }
    bool waits = how == FOREVER && !ready && some;
    if (waits) {
        p->waits = true;
        enter_party(depth);
    }
    int result = plain ? call_plain(p, how) : call_select(p, how);
    if (waits) {
        check_wait(p, plain, result);
        remove_party(depth);
    } else if (ready) {
        check_at_once(p, plain ? 0 : result, plain ? result : p->cases[result < 0 ? 0 : result].err);
    } else {
        CHECK_INT(result, how == TRY ? -EAGAIN : how == PAST ? -ETIMEDOUT : -EDEADLK);
        check_memory(p, -1, -1);
        happened.refused++;
    }
    p->waits = false;
}

/* ---- Places ---- */

static void change_places(void)
{
    model *m = &channels[pick(CHANNELS)];
    bool sends = pick(2);
    int *places = sends ? &m->senders : &m->receivers;
    if (pick(3) > 0 || m->senders + m->receivers == 1) {
        int err = m->receivers == 0 ? -EPIPE : sends && m->senders == 0 ? -ESHUTDOWN : 0;
        CHECK_INT(sends ? yoke_channel_sender_ref(m->c) : yoke_channel_receiver_ref(m->c), err);
        *places += err == 0;
    } else {
        int err = *places == 0 ? -EINVAL : 0;
        CHECK_INT(sends ? yoke_channel_sender_unref(m->c) : yoke_channel_receiver_unref(m->c), err);
        *places -= err == 0;
        end_side(m);
    }
}

static void step(void)
{
    if (budget-- <= 0)
        return;
    int what = pick(60);
    if (what == 0)
        change_places();
    else
        call(what < 30);
    for (model *m = channels; m < channels + CHANNELS; m++) {
        CHECK_INT(yoke_channel_size(m->c), m->len);
        if (depth == 0)
            check_alone(m->c);
    }
}

static void open_all(void)
{
    static const size_t sizes[] = {4, 8, LARGEST};
    for (model *m = channels; m < channels + CHANNELS; m++) {
        *m = (model){.size = sizes[pick(3)], .capacity = (size_t)pick(MOST_CAPACITY + 1), .senders = 1, .receivers = 1};
        CHECK_INT(yoke_channel_open(m->size, m->capacity, &m->c), 0);
    }
}

static void close_all(void)
{
    for (model *m = channels; m < channels + CHANNELS; m++) {
        for (; m->senders > 0; m->senders--)
            CHECK_INT(yoke_channel_sender_unref(m->c), 0);
        for (; m->receivers > 0; m->receivers--)
            CHECK_INT(yoke_channel_receiver_unref(m->c), 0);
    }
}

TEST(as_the_model_says)
{
    static yk_blocking blocking = {.wait = wait_of_party};
    yk_blocked_hook = &blocking;
    yk_wake_hook = wake_parties;
    for (int round = 0; round < 3000 / CREW_SLOWER; round++) {
        open_all();
        budget = 20 + pick(300);
        while (budget > 0)
            step();
        close_all();
    }
    yk_blocked_hook = NULL;
    yk_wake_hook = NULL;
    printf("# %d at once, %d refused; of those who waited %d served, %d ended, %d broken off\n", happened.at_once,
           happened.refused, happened.served, happened.ended, happened.broken);
    CHECK(happened.at_once > 1000 && happened.refused > 1000 && happened.served > 1000 && happened.ended > 10 &&
          happened.broken > 1000);
}
