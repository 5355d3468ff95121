/* channel_select.c - what yoke/channel.h promises of select, rule by rule. */
#include "channel_room.h"
#include <limits.h>

enum { MANY = 300 };

static yoke_channel *c[MANY];
static int values[MANY];

static void open_some(int n, size_t capacity)
{
    for (int i = 0; i < n; i++)
        c[i] = channel_of_ints(capacity);
}

static void close_some(int n)
{
    for (int i = 0; i < n; i++) {
        check_alone(c[i]);
        CHECK_INT(yoke_channel_close(c[i]), 0);
    }
}

static void send_int(yoke_channel *to, int value)
{
    CHECK_INT(yoke_channel_send(to, &value), 0);
}

TEST(the_one_that_can_go)
{
    open_some(3, 1);
    int got = -1, out = 7;
    yoke_case cases[] = {yoke_case_receive(c[0], &got), yoke_case_send(c[1], &out), yoke_case_receive(c[2], &got)};
    CHECK_INT(yoke_channel_select(cases, 3), 1);
    CHECK_INT(cases[1].err, 0);
    CHECK_INT(yoke_channel_select_try(cases, 3), -EAGAIN); /* a default */
    CHECK_INT(yoke_channel_select_timed(cases, 3, 0), -ETIMEDOUT);
    CHECK_INT(yoke_channel_select_timed(cases, 3, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_channel_select_until(cases, 3, yoke_now() + YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_channel_select_until(cases, 3, -5), -ETIMEDOUT);
    CHECK_INT(got, -1);
    send_int(c[2], 5);
    CHECK_INT(yoke_channel_select_until(cases, 3, -5), 2); /* what can be done at once is done */
    CHECK_INT(got, 5);
    send_int(c[0], 6);
    CHECK_INT(yoke_channel_select_timed(cases, 3, 0), 0);
    CHECK_INT(got, 6);
    CHECK_INT(yoke_channel_receive(c[1], &got), 0);
    CHECK_INT(got, 7);
    close_some(3);
}

TEST(wrong_arguments)
{
    open_some(1, 1);
    int v = 0;
    yoke_case none = yoke_case_receive(NULL, &v), bad[] = {yoke_case_receive(c[0], NULL), yoke_case_send(c[0], &v)};
    CHECK_INT(yoke_channel_select(NULL, 1), -EINVAL);
    CHECK_INT(yoke_channel_select(NULL, 0), -EDEADLK);
    CHECK_INT(yoke_channel_select_try(NULL, 0), -EAGAIN);
    CHECK_INT(yoke_channel_select_timed(NULL, 0, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_channel_select(&none, 1), -EDEADLK);
    CHECK_INT(yoke_channel_select_try(&none, 1), -EAGAIN);
    CHECK_INT(yoke_channel_select_timed(&none, 1, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_channel_select_timed(&none, 1, -1), -EINVAL);
    CHECK_INT(yoke_channel_select(bad, 2), -EINVAL);
    CHECK_INT(yoke_channel_select(bad, 1), -EINVAL);
    bad[0] = bad[1];
    bad[1].direction = (yoke_direction)2;
    CHECK_INT(yoke_channel_select_try(bad, 2), -EINVAL);
    CHECK_INT(yoke_channel_select(bad, (size_t)INT_MAX + 1), -EINVAL);
    CHECK_INT(yoke_channel_size(c[0]), 0);
    close_some(1);
}

TEST(no_channel_never_happens)
{
    open_some(1, 1);
    int got = -1;
    yoke_case cases[] = {yoke_case_receive(NULL, &got), yoke_case_receive(NULL, NULL), yoke_case_receive(c[0], &got)};
    CHECK_INT(yoke_channel_select_timed(cases, 3, YOKE_MS), -ETIMEDOUT);
    send_int(c[0], 4);
    CHECK_INT(yoke_channel_select(cases, 3), 2);
    CHECK_INT(got, 4);
    close_some(1);
}

/* A select is not its own partner. */
TEST(both_directions_of_one_channel)
{
    open_some(1, 0);
    int out = 1, in = 2;
    yoke_case cases[] = {yoke_case_send(c[0], &out), yoke_case_receive(c[0], &in), yoke_case_send(c[0], &out)};
    CHECK_INT(yoke_channel_select_try(cases, 3), -EAGAIN);
    CHECK_INT(yoke_channel_select_timed(cases, 3, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(in, 2);
    close_some(1);
}

TEST(an_end_is_told_by_its_case)
{
    open_some(3, 1);
    int got = -1, out = 7;
    yoke_case cases[] = {yoke_case_receive(c[0], &got), yoke_case_receive(c[1], &got), yoke_case_send(c[2], &out)};
    send_int(c[2], 0);
    CHECK_INT(yoke_channel_sender_unref(c[1]), 0);
    CHECK_INT(yoke_channel_select(cases, 3), 1);
    CHECK_INT(cases[1].err, -ESHUTDOWN);
    cases[1].channel = NULL; /* so the others go on */
    CHECK_INT(yoke_channel_select_try(cases, 3), -EAGAIN);
    CHECK_INT(yoke_channel_receiver_unref(c[2]), 0);
    CHECK_INT(yoke_channel_select(cases, 3), 2);
    CHECK_INT(cases[2].err, -EPIPE);
    CHECK_INT(yoke_channel_select(&cases[2], 1), 0); /* alone, too */
    CHECK_INT(cases[2].err, -EPIPE);
    CHECK_INT(got, -1);
    CHECK_INT(yoke_channel_receiver_unref(c[1]) + yoke_channel_sender_unref(c[2]), 0);
    close_some(1);
}

/* ---- Chance ---- */

/* Of n cases those in `ready` can always go: how often does each? */
static void count_chances(int n, const int *ready, int some, int tries)
{
    int counts[MANY] = {0}, got;
    yoke_case cases[MANY];
    open_some(n, 1);
    for (int i = 0; i < n; i++)
        cases[i] = yoke_case_receive(c[i], &got);
    for (int i = 0; i < some; i++)
        send_int(c[ready[i]], 0);
    for (int i = 0; i < tries; i++) {
        int which = yoke_channel_select(cases, (size_t)n);
        CHECK(which >= 0);
        counts[which]++;
        send_int(c[which], 0);
    }
    for (int i = 0; i < some; i++) { /* 10 standard deviations at least; and the same numbers in each run */
        int expected = tries / some;
        if (counts[ready[i]] < expected * 3 / 4 || counts[ready[i]] > expected * 5 / 4)
            test_fail(__FILE__, __LINE__, "case %d of %d came %d times, not about %d", ready[i], n, counts[ready[i]], expected);
    }
    close_some(n);
}

TEST(all_have_the_same_chance)
{
    static const int two[] = {0, 1}, ends[] = {0, 4, 9}, neighbours[] = {61, 62, 63}, all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    count_chances(2, two, 2, 8000);
    count_chances(10, ends, 3, 12000);
    count_chances(64, neighbours, 3, 12000);
    count_chances(8, all, 8, 32000);
}

/* Which case each of 64 selects does, as bits. */
static void *throw_dice(void *ret)
{
    int got;
    uint64_t bits = 0;
    yoke_channel *d[2] = {channel_of_ints(1), channel_of_ints(1)};
    yoke_case cases[] = {yoke_case_receive(d[0], &got), yoke_case_receive(d[1], &got)};
    send_int(d[0], 0);
    send_int(d[1], 0);
    for (int i = 0; i < 64; i++) {
        int which = yoke_channel_select(cases, 2);
        bits = bits << 1 | (uint64_t)which;
        send_int(d[which], 0);
    }
    CHECK_INT(yoke_channel_close(d[0]) + yoke_channel_close(d[1]), 0);
    *(uint64_t *)ret = bits;
    return NULL;
}

static int dice_of_three(void *arg)
{
    for (int i = 0; i < 3; i++)
        crew_ask(throw_dice, (uint64_t *)arg + i);
    return 0;
}

TEST(the_same_chances_in_each_run)
{
    uint64_t *shared = crew_shared(6 * sizeof *shared);
    for (int run = 0; run < 2; run++)
        CHECK_INT(crew_reap(crew_fork(dice_of_three, shared + run * 3)), 0);
    for (int i = 0; i < 3; i++)
        CHECK(shared[i] == shared[3 + i]);
    CHECK(shared[0] != shared[1] && shared[1] != shared[2]); /* but not in each thread */
}

/* ---- Waiting in many places ---- */

typedef struct wide {
    yoke_case cases[MANY];
    int n, result;
} wide;

static void *select_wide(void *arg)
{
    wide *w = arg;
    w->result = yoke_channel_select(w->cases, (size_t)w->n);
    return NULL;
}

/* n cases, every third a send, on channels in an order of no meaning; each channel twice when `twice`. */
static void widen(wide *w, int n, bool twice)
{
    w->n = n;
    for (int i = 0; i < n; i++) {
        int at = i * 7 % n / (twice ? 2 : 1);
        values[i] = 1000 + i;
        w->cases[i] = i % 3 ? yoke_case_receive(c[at], &values[i]) : yoke_case_send(c[at], &values[i]);
    }
}

static pthread_t start_wide(wide *w, int n, bool twice)
{
    widen(w, n, twice);
    pthread_t t = crew_start(select_wide, w);
    AWAIT(waiting(w->cases[n - 1].channel, w->cases[n - 1].direction) > 0);
    return t;
}

/* Whichever case is served from outside, that one happens and no other, and nothing is left behind. */
TEST(each_of_many_is_served)
{
    static const int sizes[] = {2, 3, 64, MANY};
    static wide w;
    for (int s = 0; s < 4; s++)
        for (int twice = 0; twice < 2; twice++) {
            int n = sizes[s], step = n > 60 ? 13 : 1;
            open_some(n, 0);
            for (int i = 0; i < n; i += step) {
                pthread_t t = start_wide(&w, n, twice);
                yoke_channel *chosen = w.cases[i].channel;
                yoke_direction side = w.cases[i].direction;
                int value = 5, err;
                if (side == YOKE_SEND)
                    err = yoke_channel_receive_try(chosen, &value);
                else
                    err = yoke_channel_send_try(chosen, &value);
                CHECK_INT(err, 0);
                crew_join(t);
                CHECK(w.result >= 0 && w.cases[w.result].channel == chosen && w.cases[w.result].direction == side);
                CHECK_INT(w.cases[w.result].err, 0);
                CHECK_INT(side == YOKE_SEND ? value : values[w.result], side == YOKE_SEND ? 1000 + w.result : 5);
                for (int k = 0; k < n; k++) {
                    CHECK(k == w.result || values[k] == 1000 + k);
                    check_alone(c[k]);
                }
            }
            close_some(n);
        }
}

TEST(an_end_wakes_a_select)
{
    static wide w;
    for (int which = 0; which < 6; which++) {
        open_some(6, 0);
        pthread_t t = start_wide(&w, 6, false);
        yoke_channel *chosen = w.cases[which].channel;
        bool send = w.cases[which].direction == YOKE_SEND;
        CHECK_INT(send ? yoke_channel_receiver_unref(chosen) : yoke_channel_sender_unref(chosen), 0);
        crew_join(t);
        CHECK_INT(w.result, which);
        CHECK_INT(w.cases[which].err, send ? -EPIPE : -ESHUTDOWN);
        CHECK_INT(values[which], 1000 + which);
        for (int i = 0; i < 6; i++) {
            check_alone(c[i]);
            if (c[i] != chosen)
                CHECK_INT(yoke_channel_close(c[i]), 0);
        }
        CHECK_INT(send ? yoke_channel_sender_unref(chosen) : yoke_channel_receiver_unref(chosen), 0);
    }
}

/* Selects wait in line with plain sends, and are passed over once they are served elsewhere. */
TEST(in_line_with_others)
{
    static wide w[3];
    pthread_t t[3];
    open_some(2, 0);
    int got;
    for (int i = 0; i < 3; i++) {
        values[i] = 10 + i;
        w[i].n = i == 1 ? 1 : 2;
        w[i].cases[0] = yoke_case_send(c[0], &values[i]);
        w[i].cases[1] = yoke_case_send(c[1], &values[i]);
        t[i] = crew_start(select_wide, &w[i]);
        until_waiting(c[0], YOKE_SEND, i + 1);
    }
    CHECK_INT(yoke_channel_receive(c[1], &got), 0);
    CHECK_INT(got, 10);
    CHECK_INT(yoke_channel_receive(c[0], &got), 0);
    CHECK_INT(got, 11);
    CHECK_INT(yoke_channel_receive(c[1], &got), 0);
    CHECK_INT(got, 12);
    CHECK_INT(yoke_channel_receive_try(c[0], &got), -EAGAIN);
    for (int i = 0; i < 3; i++)
        crew_join(t[i]);
    CHECK_INT(w[0].result, 1);
    CHECK_INT(w[1].result, 0);
    CHECK_INT(w[2].result, 1);
    close_some(2);
}
