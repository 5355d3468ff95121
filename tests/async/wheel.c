/* wheel.c - the timer wheel against a sorted array, over all scales of time, and what it promises one by one. */
#include "async/wheel.h"
#include "test.h"

enum { MOST = 1000, ROUNDS = 200, CALLS = 5000 };

/* ---- The structure: every link, tree and bit ---- */

/* How many timers a list of trees has; none is due before the one above it. Trees may be deep, so no recursion: the timers still
 * to look at are on a stack. */
static size_t check_list(yk_wheel_timer *const *list)
{
    static yk_wheel_timer *const *stack[MOST + 1];
    size_t depth = 0, count = 0;
    stack[depth++] = list;
    while (depth > 0) {
        yk_wheel_timer *const *link = stack[--depth];
        for (yk_wheel_timer *t; (t = *link); link = &t->next) {
            CHECK(t->link == link);
            CHECK(++count <= MOST);
            for (const yk_wheel_timer *below = t->child; below; below = below->next)
                CHECK(below->when > t->when || (below->when == t->when && below->order > t->order));
            if (t->child)
                stack[depth++] = &t->child;
        }
    }
    return count;
}

static void check_structure(const yk_wheel *w, size_t expected)
{
    size_t count = 0;
    for (unsigned i = 0; i < YK_COUNT_OF(w->slots); i++) {
        bool marked = w->maps[i / YK_WHEEL_SLOTS] >> i % YK_WHEEL_SLOTS & 1;
        CHECK_INT(marked, w->slots[i] != NULL);
        count += check_list(&w->slots[i]);
    }
    for (unsigned level = 0; level <= YK_WHEEL_LEVELS; level++)
        CHECK_INT(w->levels >> level & 1, w->maps[level] != 0);
    CHECK_INT(count, expected);
}

/* ---- The model: an array in order ---- */

typedef struct entry {
    int64_t when;
    yk_wheel_timer *t;
} entry;

static struct {
    entry sorted[MOST];
    size_t len;
} model;
static yk_wheel wheel;
static yk_wheel_timer timers[MOST];

static void model_set(yk_wheel_timer *t, int64_t when)
{
    size_t i = model.len++;
    for (; i > 0 && model.sorted[i - 1].when > when; i--)
        model.sorted[i] = model.sorted[i - 1];
    model.sorted[i] = (entry){when, t};
}

static void model_remove(size_t i)
{
    model.len--;
    memmove(&model.sorted[i], &model.sorted[i + 1], (model.len - i) * sizeof(entry));
}

static void model_clear(const yk_wheel_timer *t)
{
    for (size_t i = 0; i < model.len; i++)
        if (model.sorted[i].t == t) {
            model_remove(i);
            return;
        }
}

static int64_t model_next(void)
{
    return model.len > 0 ? model.sorted[0].when : YOKE_FOREVER;
}

static void reset(int64_t now)
{
    model.len = 0;
    memset(timers, 0, sizeof timers);
    yk_wheel_init(&wheel, now);
}

static void both_set(yk_wheel_timer *t, int64_t when)
{
    yk_wheel_set(&wheel, t, when);
    CHECK_INT(yk_wheel_is_set(t), when != YOKE_FOREVER);
    if (when != YOKE_FOREVER)
        model_set(t, when);
}

static void both_expire(int64_t now)
{
    yk_wheel_timer *t = yk_wheel_expire(&wheel, now);
    for (; t; t = t->next) {
        CHECK(model.len > 0);
        CHECK(!yk_wheel_is_set(t));
        CHECK(t == model.sorted[0].t);
        CHECK_INT(t->when, model.sorted[0].when);
        CHECK(t->when <= now);
        model_remove(0);
    }
    CHECK(model_next() > now || model_next() == YOKE_FOREVER);
}

/* ---- Random calls ---- */

/* How far ahead deadlines lie, and how far time moves: up to 2^low ns to 2^high ns. */
typedef struct scales {
    unsigned low, high;
} scales;

static int64_t span_of(scales s)
{
    unsigned bits = s.low + (unsigned)(test_random() % (s.high - s.low + 1));
    return (int64_t)(test_random() & (((uint64_t)1 << bits) - 1));
}

static int64_t later(int64_t now, int64_t span)
{
    return now > 0 && span > INT64_MAX - now ? INT64_MAX : now + span;
}

static int64_t random_deadline(int64_t now, scales ahead)
{
    switch (test_random() % 16) {
    case 0:
        return model.len > 0 ? model.sorted[test_random() % model.len].when : now; /* a tie */
    case 1:
        return now < 0 ? INT64_MIN + (int64_t)(test_random() % 3) : now - span_of(ahead); /* late */
    case 2:
        return test_random() % 2 ? YOKE_FOREVER : YOKE_FOREVER - 1 - (int64_t)(test_random() % 3);
    case 3:
        return later(now, span_of(ahead)) & ~(int64_t)0xffff; /* on the edge of a slot, or late */
    default:
        return later(now, span_of(ahead));
    }
}

static void random_calls(int64_t now, size_t many, scales ahead, scales moves)
{
    reset(now);
    for (int call = 0; call < CALLS; call++) {
        yk_wheel_timer *t = &timers[test_random() % many];
        switch (test_random() % 8) {
        case 0:
            now = later(now, span_of(moves));
            both_expire(now);
            break;
        case 1:
            if (model_next() > now && model.len > 0) /* exactly when the first is due, or just before */
                now = model_next() - (int64_t)(test_random() % 2);
            both_expire(now);
            break;
        case 2:
            CHECK_INT(yk_wheel_next(&wheel), model_next());
            break;
        case 3:
            if (model.len > 0) /* the earliest is cleared */
                t = model.sorted[0].t;
            /* fall through */
        default:
            if (yk_wheel_is_set(t)) {
                yk_wheel_clear(&wheel, t);
                model_clear(t);
            }
            CHECK(!yk_wheel_is_set(t));
            if (test_random() % 8)
                both_set(t, random_deadline(now, ahead));
            else
                yk_wheel_clear(&wheel, t); /* it is off already */
        }
        if (call % 64 == 0)
            check_structure(&wheel, model.len);
    }
    CHECK_INT(yk_wheel_next(&wheel), model_next());
    both_expire(INT64_MAX);
    check_structure(&wheel, 0);
    CHECK_INT(yk_wheel_next(&wheel), YOKE_FOREVER);
}

/* The time at which a round begins. */
static int64_t random_start(void)
{
    switch (test_random() % 8) {
    case 0:
        return 0;
    case 1:
        return INT64_MAX - span_of((scales){0, 60});
    case 2:
        return INT64_MIN;
    case 3:
        return -span_of((scales){0, 62}); /* 0 comes while timers wait */
    default:
        return span_of((scales){0, 62});
    }
}

static size_t random_many(void)
{
    return 1 + test_random() % (test_random() % 2 ? 10 : MOST);
}

/* A million calls: deadlines from 1 ns to 2^62 ns ahead, all mixed, and time that moves by as much. */
TEST_LIMIT(random_calls_at_all_scales, 600)
{
    for (int round = 0; round < ROUNDS; round++) {
        unsigned low = (unsigned)(test_random() % 62);
        random_calls(random_start(), random_many(), (scales){0, 62}, (scales){0, low});
    }
}

/* Another million: deadlines of about one scale, and time that moves by about one. */
TEST_LIMIT(random_calls_at_one_scale, 600)
{
    for (int round = 0; round < ROUNDS; round++) {
        unsigned ahead = (unsigned)round % 62, moves = (unsigned)(test_random() % (ahead + 2));
        random_calls(random_start(), random_many(), (scales){ahead, ahead + 1}, (scales){moves, moves + 1});
    }
}

/* ---- One promise each ---- */

static yk_wheel_timer *expire_one(int64_t now)
{
    yk_wheel_timer *t = yk_wheel_expire(&wheel, now);
    CHECK(!t || !t->next);
    return t;
}

/* At every power of two, and a nanosecond before and after it, from two starts. */
TEST(due_to_the_nanosecond)
{
    const int64_t starts[] = {0, 1234567890123};
    for (size_t s = 0; s < YK_COUNT_OF(starts); s++)
        for (unsigned bits = 0; bits < 63; bits++)
            for (int64_t off = -1; off <= 1; off++) {
                int64_t span = ((int64_t)1 << bits) + off;
                if (span < 1 || span > INT64_MAX - 1 - starts[s])
                    continue;
                int64_t when = starts[s] + span;
                reset(starts[s]);
                yk_wheel_set(&wheel, &timers[0], when);
                CHECK_INT(yk_wheel_next(&wheel), when);
                CHECK(!expire_one(starts[s]));
                CHECK(!expire_one(when - 1));
                CHECK_INT(yk_wheel_next(&wheel), when);
                CHECK(expire_one(when) == &timers[0]);
                CHECK_INT(yk_wheel_next(&wheel), YOKE_FOREVER);
            }
}

/* Within one slot of the lowest level, and over its edge: each in the one call that it is due in. */
TEST(every_nanosecond_of_some)
{
    enum { FROM = 65000, STEP = 7 };
    reset(FROM);
    for (int i = 0; i < MOST; i++)
        yk_wheel_set(&wheel, &timers[i * 7 % MOST], FROM + i * 7 % MOST + 1);
    for (int64_t now = FROM, i = 0; i < MOST; now += STEP)
        for (yk_wheel_timer *t = yk_wheel_expire(&wheel, now); t; t = t->next, i++) {
            CHECK(t == &timers[i]);
            CHECK(t->when <= now && t->when > now - STEP);
        }
}

TEST(ties_in_the_order_of_setting)
{
    enum { WHEN = 1000000007 };
    reset(0);
    /* The nearer the deadline, the lower the level at which it is set. */
    for (int64_t i = 0; i < MOST; i++) {
        yk_wheel_set(&wheel, &timers[i], WHEN);
        CHECK(!yk_wheel_expire(&wheel, WHEN - WHEN / (i + 1)));
        if (i % 10 == 0)
            CHECK_INT(yk_wheel_next(&wheel), WHEN);
    }
    /* Setting again gives a place at the end. */
    yk_wheel_clear(&wheel, &timers[0]);
    yk_wheel_set(&wheel, &timers[0], WHEN);
    CHECK(!yk_wheel_expire(&wheel, WHEN - 1));
    yk_wheel_timer *t = yk_wheel_expire(&wheel, WHEN);
    for (size_t i = 1; i <= MOST; i++, t = t->next)
        CHECK(t == &timers[i % MOST]);
    CHECK(!t);
}

/* What is late comes at the next call, also at the same time, in the order of the deadlines. */
TEST(late_when_set)
{
    const int64_t whens[] = {5000, INT64_MIN, 4999, 5000, -1, 0, 4999};
    const int order[] = {1, 4, 5, 2, 6, 0, 3};
    reset(5000);
    for (size_t i = 0; i < YK_COUNT_OF(whens); i++)
        yk_wheel_set(&wheel, &timers[i], whens[i]);
    CHECK_INT(yk_wheel_next(&wheel), INT64_MIN);
    yk_wheel_timer *t = yk_wheel_expire(&wheel, 5000);
    for (size_t i = 0; i < YK_COUNT_OF(order); i++, t = t->next)
        CHECK(t == &timers[order[i]]);
    CHECK(!t);
}

TEST(forever_is_not_stored)
{
    reset(INT64_MAX - 10);
    yk_wheel_set(&wheel, &timers[0], YOKE_FOREVER);
    CHECK(!yk_wheel_is_set(&timers[0]));
    yk_wheel_clear(&wheel, &timers[0]);
    CHECK_INT(yk_wheel_next(&wheel), YOKE_FOREVER);
    yk_wheel_set(&wheel, &timers[1], YOKE_FOREVER - 1);
    CHECK_INT(yk_wheel_next(&wheel), YOKE_FOREVER - 1);
    CHECK(!expire_one(YOKE_FOREVER - 2));
    CHECK(expire_one(YOKE_FOREVER - 1) == &timers[1]);
    CHECK(!expire_one(YOKE_FOREVER));
}

/* From the first representable time to the last with a timer in between: ticks of 2^16 ns would take for ever. */
TEST(jumps_over_centuries)
{
    reset(INT64_MIN);
    yk_wheel_set(&wheel, &timers[0], 0);
    yk_wheel_set(&wheel, &timers[1], INT64_MAX - 1);
    CHECK(!expire_one(-1));
    CHECK(expire_one(INT64_MAX - 2) == &timers[0]);
    CHECK(expire_one(INT64_MAX) == &timers[1]);
    for (int64_t i = 0; i < 100000; i++) { /* a year each; those further ahead are not looked at every time */
        if (i % 290 == 0)
            reset(0);
        yk_wheel_set(&wheel, &timers[0], (i % 290 + 1) * 31536000 * YOKE_S);
        CHECK(expire_one((i % 290 + 1) * 31536000 * YOKE_S) == &timers[0]);
    }
}

/* What is near stays cheap to expire while nothing else is due: it is on the lowest level, wherever time has come to. */
TEST(near_timers_on_the_lowest_level)
{
    reset(0);
    for (unsigned bits = 20; bits < 62; bits++) {
        int64_t now = (int64_t)1 << bits;
        CHECK(!expire_one(now));
        yk_wheel_set(&wheel, &timers[0], now + YOKE_MS);
        CHECK_INT(wheel.levels, 1);
        yk_wheel_clear(&wheel, &timers[0]);
    }
}

/* What is done while a list of expired timers is gone through. */
TEST(cleared_and_set_while_a_list_is_processed)
{
    enum { HALF = MOST / 2, NOW = HALF };
    reset(0);
    for (int i = 0; i < MOST; i++)
        yk_wheel_set(&wheel, &timers[i], i + 1);
    yk_wheel_timer *t = yk_wheel_expire(&wheel, NOW), *next;
    for (int i = 0; i < HALF; i++, t = next) {
        CHECK(t == &timers[i]);
        next = t->next;
        yk_wheel_clear(&wheel, &timers[HALF - 1]); /* in the list: nothing to clear, and it stays there */
        if (i % 2)
            yk_wheel_clear(&wheel, &timers[HALF + i]);
        yk_wheel_set(&wheel, t, i % 3 ? 0 : NOW + MOST);
    }
    CHECK(!t);
    CHECK_INT(yk_wheel_next(&wheel), 0);
    t = yk_wheel_expire(&wheel, NOW);
    for (int i = 0; i < HALF; i++)
        if (i % 3) {
            CHECK(t == &timers[i]);
            t = t->next;
        }
    CHECK(!t);
    t = yk_wheel_expire(&wheel, 2 * MOST);
    for (int i = HALF; i < MOST; i += 2, t = t->next)
        CHECK(t == &timers[i]);
    for (int i = 0; i < HALF; i += 3, t = t->next)
        CHECK(t == &timers[i]);
    CHECK(!t);
    check_structure(&wheel, 0);
}

/* ---- Many ---- */

enum { MANY = 300000 };

static yk_wheel_timer *many_timers(void)
{
    yk_wheel_timer *many = calloc(MANY, sizeof *many);
    CHECK(many);
    yk_wheel_init(&wheel, 0);
    return many;
}

/* The earliest is always the one to go, as the oldest connection's timeout; asked for each time. A list looked through each time
 * would take an hour. */
TEST(next_while_the_earliest_goes)
{
    yk_wheel_timer *many = many_timers();
    for (int64_t i = 0; i < MANY; i++)
        yk_wheel_set(&wheel, &many[i], 30 * YOKE_S + i);
    for (int64_t i = 0; i < MANY; i++) {
        CHECK_INT(yk_wheel_next(&wheel), 30 * YOKE_S + i);
        yk_wheel_clear(&wheel, &many[i]);
        if (i % 2)
            yk_wheel_set(&wheel, &many[i], 60 * YOKE_S + i);
    }
    CHECK_INT(yk_wheel_next(&wheel), 60 * YOKE_S + 1);
    free(many);
}

/* Trees as deep as they can be, each timer due before all set before it, taken apart from the bottom. */
TEST(next_while_the_latest_goes)
{
    yk_wheel_timer *many = many_timers();
    for (int64_t i = 0; i < MANY; i++) {
        yk_wheel_set(&wheel, &many[i], 30 * YOKE_S - i);
        if (i > MANY / 2)
            CHECK_INT(yk_wheel_next(&wheel), 30 * YOKE_S - i);
    }
    for (int64_t i = 0; i < MANY - 1; i++) {
        yk_wheel_clear(&wheel, &many[i]);
        CHECK_INT(yk_wheel_next(&wheel), 30 * YOKE_S - (MANY - 1));
    }
    yk_wheel_clear(&wheel, &many[MANY - 1]);
    check_structure(&wheel, 0);
    free(many);
}

static void check_all_expire(const yk_wheel_timer *t)
{
    int64_t count = 0;
    for (const yk_wheel_timer *before = NULL; t; before = t, t = t->next, count++)
        CHECK(!before || before->when < t->when || (before->when == t->when && before->order < t->order));
    CHECK_INT(count, MANY);
}

/* All in one call: at one deadline, at a few, within a microsecond, within a minute, within centuries. */
TEST(expired_at_once)
{
    const uint64_t spans[] = {1, 10, 1000, 60 * (uint64_t)YOKE_S, INT64_MAX};
    for (size_t s = 0; s < YK_COUNT_OF(spans); s++) {
        yk_wheel_timer *many = many_timers();
        for (int64_t i = 0; i < MANY; i++)
            yk_wheel_set(&wheel, &many[i], (int64_t)(test_random() % spans[s]));
        check_all_expire(yk_wheel_expire(&wheel, INT64_MAX));
        check_structure(&wheel, 0);
        free(many);
    }
}
