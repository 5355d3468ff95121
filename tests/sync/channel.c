/* channel.c - what yoke/channel.h promises of sends, receives and places, rule by rule. */
#include "channel_room.h"

typedef struct parcel {
    int weight;
    char to[20];
} parcel;

YOKE_CHANNEL(line, parcel);
YOKE_CHANNEL(numbers, int);

/* ---- One thread ---- */

TEST(first_in_first_out)
{
    yoke_channel *c = channel_of_ints(3);
    int got = -1;
    CHECK_INT(yoke_channel_capacity(c), 3);
    for (int round = 0; round < 5; round++) { /* the slots come round */
        for (int i = 0; i < 3; i++) {
            int value = 10 * round + i;
            CHECK_INT(yoke_channel_send(c, &value), 0);
            CHECK_INT(yoke_channel_size(c), i + 1);
        }
        CHECK_INT(yoke_channel_send_try(c, &got), -EAGAIN);
        for (int i = 0; i < 3; i++) {
            CHECK_INT(yoke_channel_receive(c, &got), 0);
            CHECK_INT(got, 10 * round + i);
        }
        CHECK_INT(yoke_channel_receive_try(c, &got), -EAGAIN);
    }
    check_alone(c);
    CHECK_INT(yoke_channel_close(c), 0);
}

TEST(how_long_each_form_waits)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        yoke_channel *c = channel_of_ints(capacity);
        int value = 5, got = 7;
        CHECK_INT(yoke_channel_receive_try(c, &got), -EAGAIN);
        CHECK_INT(yoke_channel_receive_timed(c, &got, YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_channel_receive_timed(c, &got, 0), -ETIMEDOUT);
        CHECK_INT(yoke_channel_receive_until(c, &got, yoke_now() + YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_channel_receive_until(c, &got, -5), -ETIMEDOUT);
        CHECK_INT(yoke_channel_receive_timed(c, &got, -1), -EINVAL);
        for (size_t i = 0; i < capacity; i++) /* what can be done at once is done */
            CHECK_INT(yoke_channel_send_until(c, &value, 0), 0);
        CHECK_INT(yoke_channel_send_try(c, &value), -EAGAIN);
        CHECK_INT(yoke_channel_send_timed(c, &value, YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_channel_send_timed(c, &value, 0), -ETIMEDOUT);
        CHECK_INT(yoke_channel_send_until(c, &value, yoke_now() + YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_channel_send_timed(c, &value, -1), -EINVAL);
        CHECK_INT(got, 7);
        CHECK_INT(yoke_channel_size(c), capacity);
        check_alone(c);
        CHECK_INT(yoke_channel_close(c), 0);
    }
}

TEST(wrong_arguments)
{
    yoke_channel *c;
    int v = 0;
    CHECK_INT(yoke_channel_open(0, 1, &c), -EINVAL);
    CHECK_INT(yoke_channel_open(4, 1, NULL), -EINVAL);
    CHECK_INT(yoke_channel_send(NULL, &v), -EINVAL);
    CHECK_INT(yoke_channel_send_try(NULL, &v), -EINVAL);
    CHECK_INT(yoke_channel_receive(NULL, &v), -EINVAL);
    CHECK_INT(yoke_channel_sender_ref(NULL), -EINVAL);
    CHECK_INT(yoke_channel_sender_unref(NULL), -EINVAL);
    CHECK_INT(yoke_channel_receiver_ref(NULL), -EINVAL);
    CHECK_INT(yoke_channel_receiver_unref(NULL), -EINVAL);
    CHECK_INT(yoke_channel_close(NULL), 0);
    CHECK_INT(yoke_channel_size(NULL), 0);
    CHECK_INT(yoke_channel_capacity(NULL), 0);
    CHECK_INT(numbers_open(3, NULL), -EINVAL);
    c = channel_of_ints(1);
    CHECK_INT(yoke_channel_send(c, NULL), -EINVAL);
    CHECK_INT(yoke_channel_receive(c, NULL), -EINVAL);
    CHECK_INT(yoke_channel_close(c), 0);
}

TEST(without_memory)
{
    static const size_t much[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4 + 1, SIZE_MAX / 64};
    yoke_channel *c = (yoke_channel *)&c;
    for (size_t i = 0; i < YK_COUNT_OF(much); i++) {
        CHECK_INT(yoke_channel_open(64, much[i], &c), -ENOMEM);
        CHECK_INT(yoke_channel_open(much[i], 64, &c), -ENOMEM);
    }
    CHECK_INT(yoke_channel_open(SIZE_MAX / 2, 0, &c), -ENOMEM);
    int n = 1;
    for (int err = -ENOMEM; err < 0; n++) {
        yk_sys_fail("posix_memalign", n, ENOMEM);
        c = (yoke_channel *)&c;
        err = yoke_channel_open(8, 100, &c);
        int calls = yk_sys_fail("posix_memalign", 0, 0);
        CHECK(err == 0 ? calls < n : err == -ENOMEM && c == (yoke_channel *)&c);
    }
    CHECK_INT(n, 3); /* it takes memory once, */
    static const char *calls[] = {"malloc", "calloc", "realloc", "posix_memalign", "mmap"};
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++) { /* and a call none */
        uint64_t value = 1;
        yoke_case cases[] = {yoke_case_receive(c, &value), yoke_case_receive(c, &value)};
        yk_sys_fail(calls[i], 1, ENOMEM);
        CHECK_INT(yoke_channel_select_timed(cases, 2, YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_channel_send(c, &value), 0);
        CHECK(yoke_channel_select(cases, 2) >= 0);
        CHECK_INT(yk_sys_fail(calls[i], 0, 0), 0);
    }
    CHECK_INT(yoke_channel_close(c), 0);
}

TEST(values_of_a_type)
{
    line *l;
    parcel p = {0, ""};
    CHECK_INT(line_open(2, &l), 0);
    CHECK_INT(line_capacity(l), 2);
    CHECK_INT(line_send(l, (parcel){1, "Oslo"}), 0);
    CHECK_INT(line_send_timed(l, (parcel){2, "Rome"}, YOKE_MS), 0);
    CHECK_INT(line_send_try(l, p), -EAGAIN);
    CHECK_INT(line_send_until(l, p, 0), -ETIMEDOUT);
    CHECK_INT(line_size(l), 2);
    CHECK_INT(line_receive(l, &p), 0);
    CHECK_INT(p.weight, 1);
    CHECK_STR(p.to, "Oslo");
    yoke_case k = line_case_receive(l, &p);
    CHECK_INT(yoke_channel_select(&k, 1), 0);
    CHECK_STR(p.to, "Rome");
    k = line_case_send(l, &p);
    CHECK_INT(yoke_channel_select(&k, 1), 0);
    CHECK_INT(line_receive_try(l, &p) + line_sender_ref(l) + line_receiver_ref(l), 0);
    CHECK_INT(line_receive_timed(l, &p, 0), -ETIMEDOUT);
    CHECK_INT(line_receive_until(l, &p, 0), -ETIMEDOUT);
    CHECK_INT(line_sender_unref(l) + line_receiver_unref(l), 0);
    CHECK_INT(line_close(l), 0);
}

TEST(values_of_any_size)
{
    static const size_t sizes[] = {1, 2, 3, 8, 16, 100, 5000};
    for (size_t s = 0; s < YK_COUNT_OF(sizes); s++) {
        yoke_channel *c;
        static unsigned char value[5000], got[5001];
        CHECK_INT(yoke_channel_open(sizes[s], 5, &c), 0);
        for (unsigned round = 0; round < 20; round++) {
            for (size_t b = 0; b < sizes[s]; b++)
                value[b] = (unsigned char)(round * 31 + b);
            CHECK_INT(yoke_channel_send(c, value), 0);
            if (round % 4 != 3)
                continue;
            for (unsigned back = 4; back-- > 0;) {
                memset(got, 0xEE, sizeof got);
                CHECK_INT(yoke_channel_receive(c, got), 0);
                for (size_t b = 0; b < sizes[s]; b++)
                    CHECK_INT(got[b], (unsigned char)((round - back) * 31 + b));
                CHECK_INT(got[sizes[s]], 0xEE);
            }
        }
        CHECK_INT(yoke_channel_close(c), 0);
    }
}

/* ---- Places ---- */

TEST(the_last_sender_ends_the_receivers)
{
    yoke_channel *c = channel_of_ints(4);
    int value = 1, got;
    CHECK_INT(yoke_channel_sender_ref(c), 0);
    CHECK_INT(yoke_channel_send(c, &value), 0);
    CHECK_INT(yoke_channel_sender_unref(c), 0);
    value = 2;
    CHECK_INT(yoke_channel_send(c, &value), 0); /* there is another */
    CHECK_INT(yoke_channel_sender_unref(c), 0);
    CHECK_INT(yoke_channel_send(c, &value), -ESHUTDOWN);
    CHECK_INT(yoke_channel_send_try(c, &value), -ESHUTDOWN);
    CHECK_INT(yoke_channel_sender_ref(c), -ESHUTDOWN);
    CHECK_INT(yoke_channel_sender_unref(c), -EINVAL);
    CHECK_INT(yoke_channel_receiver_ref(c), 0); /* receivers may still come for what is left */
    CHECK_INT(yoke_channel_receive(c, &got), 0);
    CHECK_INT(got, 1);
    CHECK_INT(yoke_channel_receive_try(c, &got), 0);
    CHECK_INT(got, 2);
    CHECK_INT(yoke_channel_receive(c, &got), -ESHUTDOWN);
    CHECK_INT(yoke_channel_receive_try(c, &got), -ESHUTDOWN);
    CHECK_INT(yoke_channel_receive_until(c, &got, 0), -ESHUTDOWN);
    CHECK_INT(yoke_channel_receiver_unref(c) + yoke_channel_receiver_unref(c), 0);
}

TEST(the_last_receiver_ends_the_senders)
{
    yoke_channel *c = channel_of_ints(4);
    int value = 1, got = 7;
    CHECK_INT(yoke_channel_send(c, &value), 0);
    CHECK_INT(yoke_channel_receiver_ref(c), 0);
    CHECK_INT(yoke_channel_receiver_unref(c), 0);
    CHECK_INT(yoke_channel_send(c, &value), 0);
    CHECK_INT(yoke_channel_receiver_unref(c), 0);
    CHECK_INT(yoke_channel_size(c), 0); /* dropped */
    CHECK_INT(yoke_channel_send(c, &value), -EPIPE);
    CHECK_INT(yoke_channel_send_try(c, &value), -EPIPE);
    CHECK_INT(yoke_channel_send_timed(c, &value, 0), -EPIPE);
    CHECK_INT(yoke_channel_receive(c, &got), -EPIPE);
    CHECK_INT(yoke_channel_receiver_ref(c), -EPIPE);
    CHECK_INT(yoke_channel_sender_ref(c), -EPIPE);
    CHECK_INT(yoke_channel_receiver_unref(c), -EINVAL);
    CHECK_INT(got, 7);
    CHECK_INT(yoke_channel_sender_unref(c), 0);
}

/* ---- Between threads ---- */

static struct {
    yoke_channel *c;
    _Atomic int began, ended;
    int values[CREW_MAX];
    int64_t ns; /* less than 0: no limit */
} s;

static void begin(size_t capacity)
{
    memset(&s, 0, sizeof s);
    s.c = channel_of_ints(capacity);
    s.ns = -1;
}

static void *send_one(void *arg)
{
    atomic_fetch_add(&s.began, 1);
    int err = s.ns < 0 ? yoke_channel_send(s.c, arg) : yoke_channel_send_timed(s.c, arg, s.ns);
    atomic_fetch_add(&s.ended, 1);
    return (void *)(intptr_t)err;
}

static void *receive_one(void *arg)
{
    atomic_fetch_add(&s.began, 1);
    int err = s.ns < 0 ? yoke_channel_receive(s.c, arg) : yoke_channel_receive_timed(s.c, arg, s.ns);
    atomic_fetch_add(&s.ended, 1);
    return (void *)(intptr_t)err;
}

/* n threads that wait one behind the other: the i-th sends, or receives into, values[i]. */
static void line_up(pthread_t *t, int n, yoke_direction side)
{
    for (int i = 0; i < n; i++) {
        s.values[i] = side == YOKE_SEND ? i : -1;
        t[i] = crew_start(side == YOKE_SEND ? send_one : receive_one, &s.values[i]);
        until_waiting(s.c, side, i + 1);
    }
}

TEST(a_rendezvous_waits_for_the_receiver)
{
    begin(0);
    pthread_t t[1];
    int got;
    line_up(t, 1, YOKE_SEND);
    CHECK_INT(atomic_load(&s.ended), 0);
    CHECK_INT(yoke_channel_size(s.c), 0);
    CHECK_INT(yoke_channel_receive_try(s.c, &got), 0); /* somebody sends: no wait */
    CHECK_INT(got, 0);
    CHECK_INT(crew_join(t[0]), 0);
    line_up(t, 1, YOKE_RECEIVE);
    got = 9;
    CHECK_INT(yoke_channel_send_try(s.c, &got), 0);
    CHECK_INT(yoke_channel_send_try(s.c, &got), -EAGAIN);
    CHECK_INT(crew_join(t[0]), 0);
    CHECK_INT(s.values[0], 9);
    CHECK_INT(yoke_channel_close(s.c), 0);
}

TEST(senders_are_served_in_their_order)
{
    for (size_t capacity = 0; capacity < 4; capacity++) {
        begin(capacity);
        pthread_t t[10];
        int got, before = 100;
        for (size_t i = 0; i < capacity; i++, before++)
            CHECK_INT(yoke_channel_send(s.c, &before), 0);
        line_up(t, 10, YOKE_SEND);
        for (int i = 0; i < (int)capacity; i++) {
            CHECK_INT(yoke_channel_receive(s.c, &got), 0);
            CHECK_INT(got, 100 + i);
            until_waiting(s.c, YOKE_SEND, 9 - i); /* the next has its turn */
            CHECK_INT(yoke_channel_send_try(s.c, &got), -EAGAIN); /* and nobody overtakes */
        }
        for (int i = 0; i < 10; i++) {
            CHECK_INT(yoke_channel_receive_try(s.c, &got), 0);
            CHECK_INT(got, i);
        }
        for (int i = 0; i < 10; i++)
            CHECK_INT(crew_join(t[i]), 0);
        check_alone(s.c);
        CHECK_INT(yoke_channel_close(s.c), 0);
    }
}

TEST(receivers_are_served_in_their_order)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        begin(capacity);
        pthread_t t[10];
        int got;
        line_up(t, 10, YOKE_RECEIVE);
        for (int i = 0; i < 10; i++) {
            int value = 100 + i;
            CHECK_INT(yoke_channel_send_try(s.c, &value), 0);
            CHECK_INT(yoke_channel_size(s.c), 0);
            CHECK_INT(yoke_channel_receive_try(s.c, &got), -EAGAIN);
            CHECK_INT(crew_join(t[i]), 0);
            CHECK_INT(s.values[i], value);
        }
        CHECK_INT(yoke_channel_close(s.c), 0);
    }
}

/* Who gives up leaves no gap. */
TEST(one_in_the_middle_gives_up)
{
    begin(0);
    pthread_t t[3], hasty;
    int got;
    line_up(t, 1, YOKE_SEND);
    s.ns = 50 * YOKE_MS;
    s.values[40] = 40;
    hasty = crew_start(send_one, &s.values[40]);
    AWAIT(waiting(s.c, YOKE_SEND) == 2 || atomic_load(&s.ended) == 1);
    s.ns = -1;
    t[1] = crew_start(send_one, &(int){1});
    CHECK_INT(crew_join(hasty), -ETIMEDOUT);
    until_waiting(s.c, YOKE_SEND, 2);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(yoke_channel_receive_try(s.c, &got), 0);
        CHECK_INT(got, i);
        CHECK_INT(crew_join(t[i]), 0);
    }
    CHECK_INT(yoke_channel_receive_try(s.c, &got), -EAGAIN);
    CHECK_INT(yoke_channel_close(s.c), 0);
}

/* Those who wait when a kind of places is gone are told, on either side. */
static void end_those_who_wait(yoke_direction waits, yoke_direction gone, int expected)
{
    begin(waits == YOKE_SEND ? 1 : 0);
    pthread_t t[5];
    int value = 3, got;
    if (waits == YOKE_SEND)
        CHECK_INT(yoke_channel_send(s.c, &value), 0);
    line_up(t, 5, waits);
    CHECK_INT(gone == YOKE_SEND ? yoke_channel_sender_unref(s.c) : yoke_channel_receiver_unref(s.c), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(crew_join(t[i]), expected);
        CHECK_INT(s.values[i], waits == YOKE_SEND ? i : -1);
    }
    check_alone(s.c);
    if (gone == YOKE_SEND && waits == YOKE_SEND)
        CHECK_INT(yoke_channel_receive(s.c, &got), 0); /* what was sent before is there, */
    CHECK_INT(yoke_channel_receive(s.c, &got), expected); /* and nothing of those who were ended */
    CHECK_INT(gone == YOKE_SEND ? yoke_channel_receiver_unref(s.c) : yoke_channel_sender_unref(s.c), 0);
}

TEST(an_end_wakes_all_who_wait)
{
    end_those_who_wait(YOKE_RECEIVE, YOKE_SEND, -ESHUTDOWN);
    end_those_who_wait(YOKE_SEND, YOKE_RECEIVE, -EPIPE);
    end_those_who_wait(YOKE_SEND, YOKE_SEND, -ESHUTDOWN);
    end_those_who_wait(YOKE_RECEIVE, YOKE_RECEIVE, -EPIPE);
}

/* The loop of the header's example: each sender gives up its own place, and whoever is last ends the receivers. */
static void *sender_with_a_place(void *arg)
{
    for (int i = 0; i < 1000 / CREW_SLOWER; i++)
        CHECK_INT(numbers_send((numbers *)s.c, 1), 0);
    CHECK_INT(numbers_sender_unref((numbers *)s.c), 0);
    return NULL;
}

static void *receiver_with_a_place(void *arg)
{
    long sum = 0;
    int got;
    while (numbers_receive((numbers *)s.c, &got) == 0)
        sum += got;
    CHECK_INT(numbers_receive((numbers *)s.c, &got), -ESHUTDOWN);
    CHECK_INT(numbers_receiver_unref((numbers *)s.c), 0);
    return (void *)sum;
}

TEST(the_last_one_frees_it)
{
    for (size_t capacity = 0; capacity < 20; capacity += 5) {
        begin(capacity);
        pthread_t t[8];
        for (int i = 0; i < 4; i++) {
            CHECK_INT(yoke_channel_sender_ref(s.c) + yoke_channel_receiver_ref(s.c), 0);
            t[i] = crew_start(sender_with_a_place, NULL);
            t[4 + i] = crew_start(receiver_with_a_place, NULL);
        }
        CHECK_INT(yoke_channel_close(s.c), 0); /* ours; theirs keep it alive */
        long sum = 0;
        for (int i = 0; i < 8; i++)
            sum += crew_join(t[i]);
        CHECK_INT(sum, 4 * (1000 / CREW_SLOWER));
    }
}
