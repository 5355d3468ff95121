/* scenes_queues.c - scenes of queues and channels; see scenes.h. */
#include "scenes.h"
#include <yoke/channel.h>
#include <yoke/queues.h>

static const int64_t enough = 3600 * YOKE_S;

static int late_is_well(int err)
{
    return err == -ETIMEDOUT ? 0 : err;
}

/* ---- Queues: one side is slow, so that the other waits ---- */

typedef struct traffic {
    yoke_queue *queue;
    yoke_channel *channel, *other;
    int64_t put_pause, get_pause;
    int sent, got;
} traffic;

/* What was done when it was told to stop after a part counts too. */
static int counted(int *count, ptrdiff_t n)
{
    *count += (int)YK_MAX(n, 0);
    return (int)YK_MIN(n, 0);
}

static int puts_single(traffic *t)
{
    int err = yoke_queue_put(t->queue, &t->sent);
    TRY(counted(&t->sent, err < 0 ? err : 1));
    TRY(yoke_sleep(t->put_pause));
    err = yoke_queue_put_timed(t->queue, &t->sent, YOKE_MS);
    TRY(late_is_well(counted(&t->sent, err < 0 ? err : 1)));
    err = yoke_queue_put_timed(t->queue, &t->sent, enough);
    TRY(counted(&t->sent, err < 0 ? err : 1));
    TRY(yoke_sleep(t->put_pause));
    err = yoke_queue_put_until(t->queue, &t->sent, yoke_now() + enough);
    return counted(&t->sent, err < 0 ? err : 1);
}

static int puts_many(traffic *t)
{
    const int items[3] = {7, 8, 9};
    TRY(counted(&t->sent, yoke_queue_put_many(t->queue, items, 3)));
    TRY(yoke_sleep(t->put_pause));
    TRY(counted(&t->sent, yoke_queue_put_many_timed(t->queue, items, 3, enough)));
    TRY(yoke_sleep(t->put_pause));
    return counted(&t->sent, yoke_queue_put_many_until(t->queue, items, 3, yoke_now() + enough));
}

static int puts_all(void *arg)
{
    traffic *t = arg;
    TRY(puts_single(t));
    TRY(puts_many(t));
    TRY(yoke_checkpoint());
    return yoke_queue_shutdown(t->queue, false);
}

static ptrdiff_t get_somehow(traffic *t)
{
    int items[2], err = 0;
    switch (t->got % 6) {
    case 0: err = yoke_queue_get(t->queue, items); break;
    case 1: err = yoke_queue_get_timed(t->queue, items, enough); break;
    case 2: err = yoke_queue_get_until(t->queue, items, yoke_now() + enough); break;
    case 3: return yoke_queue_get_many(t->queue, items, 1);
    case 4: return yoke_queue_get_many_timed(t->queue, items, 2, enough);
    default: return yoke_queue_get_many_until(t->queue, items, 2, yoke_now() + enough);
    }
    return err < 0 ? err : 1;
}

static int gets_all(void *arg)
{
    traffic *t = arg;
    for (;;) {
        TRY(yoke_sleep(t->get_pause));
        ptrdiff_t n = get_somehow(t);
        if (n == -ESHUTDOWN)
            return 0;
        TRY(counted(&t->got, n));
        for (ptrdiff_t i = 0; i < n; i++)
            CHECK_INT(yoke_queue_task_done(t->queue), 0);
    }
}

static int joins_all(void *arg)
{
    traffic *t = arg;
    TRY(yoke_sleep(YOKE_MS / 2)); /* something has been put */
    TRY(late_is_well(yoke_queue_join_timed(t->queue, YOKE_MS)));
    TRY(yoke_queue_join(t->queue));
    TRY(yoke_queue_join_timed(t->queue, enough));
    return yoke_queue_join_until(t->queue, yoke_now() + enough);
}

static bool is_less(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b;
}

static int over_a_queue(yoke_queue_kind kind, int64_t put_pause, int64_t get_pause)
{
    traffic t = {.put_pause = put_pause, .get_pause = get_pause};
    CHECK_INT(yoke_queue_open(kind, sizeof(int), 2, kind == YOKE_QUEUE_PRIORITY ? is_less : NULL, &t.queue), 0);
    int err = RUN_ALL(&t, puts_all, gets_all, joins_all);
    CHECK_INT(yoke_queue_size(t.queue), t.sent - t.got);
    CHECK_INT(yoke_queue_close(t.queue), 0);
    return err;
}

#define QUEUE_SCENES(name, kind)                                                                                       \
    SCENE(name##_full) { return over_a_queue(kind, 0, YOKE_S); }                                                       \
    SCENE(name##_empty) { return over_a_queue(kind, YOKE_S, 0); }
QUEUE_SCENES(fifo, YOKE_QUEUE_FIFO)
QUEUE_SCENES(lifo, YOKE_QUEUE_LIFO)
QUEUE_SCENES(priority, YOKE_QUEUE_PRIORITY)
QUEUE_SCENES(spsc, YOKE_QUEUE_SPSC)

/* ---- Channels ---- */

static int sends_three(void *arg)
{
    traffic *t = arg;
    for (int i = 0; i < 3; i++) {
        TRY(yoke_channel_send(t->channel, &i));
        t->sent++;
    }
    return 0;
}

static int receives_three(void *arg)
{
    traffic *t = arg;
    for (int i = 0, n; i < 3; i++) {
        TRY(yoke_sleep(YOKE_S));
        TRY(yoke_channel_receive(t->channel, &n));
        CHECK_INT(n, i);
        t->got++;
    }
    return 0;
}

static int over_a_channel(size_t capacity)
{
    traffic t = {0};
    CHECK_INT(yoke_channel_open(sizeof(int), capacity, &t.channel), 0);
    int err = RUN_ALL(&t, sends_three, receives_three);
    CHECK_INT(yoke_channel_size(t.channel), t.sent - t.got);
    CHECK_INT(yoke_channel_close(t.channel), 0);
    return err;
}

SCENE(channels)
{
    return over_a_channel(1);
}

SCENE(channels_without_room)
{
    return over_a_channel(0);
}

static int selects_three(void *arg)
{
    traffic *t = arg;
    for (int i = 0; i < 3; i++) {
        int n, m = 7;
        yoke_case cases[] = {yoke_case_receive(t->channel, &n), yoke_case_send(t->other, &m)};
        ptrdiff_t at = i == 0   ? yoke_channel_select(cases, 2)
                       : i == 1 ? yoke_channel_select_timed(cases, 2, enough)
                                : yoke_channel_select_until(cases, 2, yoke_now() + enough);
        TRY(at);
        t->got += at == 0;
    }
    return 0;
}

static int receives_other(void *arg)
{
    int n;
    traffic *t = arg;
    int err = yoke_channel_receive_timed(t->other, &n, 10 * YOKE_S);
    CHECK(err < 0 || n == 7);
    return err == -ETIMEDOUT ? 0 : err;
}

static int sends_two(void *arg)
{
    traffic *t = arg;
    for (int i = 0; i < 2; i++) {
        TRY(yoke_sleep(YOKE_S));
        int err = yoke_channel_send_timed(t->channel, &i, 10 * YOKE_S);
        t->sent += err == 0;
        if (err != -ETIMEDOUT)
            TRY(err);
    }
    return 0;
}

SCENE_OF_THREADS(selects) /* which of two that can go is drawn by lot */
{
    traffic t = {0};
    CHECK_INT(yoke_channel_open(sizeof(int), 0, &t.channel), 0);
    CHECK_INT(yoke_channel_open(sizeof(int), 0, &t.other), 0);
    int err = RUN_ALL(&t, selects_three, receives_other, sends_two);
    CHECK_INT(t.sent, t.got);
    CHECK_INT(yoke_channel_close(t.channel), 0);
    CHECK_INT(yoke_channel_close(t.other), 0);
    return err;
}

static int sends_in_time(void *arg)
{
    traffic *t = arg;
    int value = 5, err = yoke_channel_send_timed(t->channel, &value, YOKE_MS);
    TRY(late_is_well(err < 0 ? err : counted(&t->sent, 1)));
    err = yoke_channel_send_until(t->channel, &value, yoke_now() + enough);
    TRY(err < 0 ? err : counted(&t->sent, 1));
    TRY(yoke_sleep(YOKE_S));
    err = yoke_channel_send_timed(t->channel, &value, enough);
    return err < 0 ? err : counted(&t->sent, 1);
}

static int receives_in_time(void *arg)
{
    traffic *t = arg;
    int value, err;
    TRY(yoke_sleep(YOKE_S));
    err = yoke_channel_receive_timed(t->channel, &value, enough);
    TRY(err < 0 ? err : counted(&t->got, 1));
    err = yoke_channel_receive_timed(t->channel, &value, YOKE_MS);
    TRY(late_is_well(err < 0 ? err : counted(&t->got, 1)));
    err = yoke_channel_receive_until(t->channel, &value, yoke_now() + enough);
    return err < 0 ? err : counted(&t->got, 1);
}

SCENE(channels_in_time)
{
    traffic t = {0};
    CHECK_INT(yoke_channel_open(sizeof(int), 0, &t.channel), 0);
    int err = RUN_ALL(&t, sends_in_time, receives_in_time);
    CHECK_INT(t.sent, t.got);
    CHECK_INT(yoke_channel_close(t.channel), 0);
    return err;
}
