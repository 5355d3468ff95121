/* queue_rules.c - what yoke/queues.h promises, rule by rule: those of Python's queue module, for every kind of queue. */
#include "sync/queue.h"
#include "test.h"
#include <yoke.h>
#include <pthread.h>
#include <sched.h>

static bool less(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b;
}

static yoke_queue *open_kind(yoke_queue_kind kind, size_t capacity)
{
    yoke_queue *q = NULL;
    CHECK_INT(yoke_queue_open(kind, sizeof(int), capacity, kind == YOKE_QUEUE_PRIORITY ? less : NULL, &q), 0);
    return q;
}

static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_LIFO, YOKE_QUEUE_PRIORITY, YOKE_QUEUE_SPSC};
#define EACH_KIND(kind) for (int at_##kind = 0, kind = 0; at_##kind < 4 && (kind = kinds[at_##kind], true); at_##kind++)

static int put(yoke_queue *q, int i)
{
    return yoke_queue_put(q, &i);
}

static int get(yoke_queue *q)
{
    int i = -1, err = yoke_queue_get(q, &i);
    return err < 0 ? err : i;
}

/* ---- Another thread that makes one call, and waits in it ---- */

typedef struct caller {
    pthread_t thread;
    yoke_queue *q;
    int (*call)(yoke_queue *q);
    int result;
} caller;

static void *make_call(void *arg)
{
    caller *c = arg;
    c->result = c->call(c->q);
    return NULL;
}

/* Starts it, and comes back when it sleeps in the list. */
static void call_and_wait(caller *c, yoke_queue *q, int (*call)(yoke_queue *q), yk_waiters *l)
{
    *c = (caller){.q = q, .call = call};
    uint32_t before = atomic_load(&l->count);
    CHECK_INT(pthread_create(&c->thread, NULL, make_call, c), 0);
    while (atomic_load(&l->count) == before)
        sched_yield();
}

static int result_of(caller *c)
{
    pthread_join(c->thread, NULL);
    return c->result;
}

static int put_nine(yoke_queue *q)
{
    return put(q, 9);
}

static int put_three(yoke_queue *q)
{
    int items[] = {1, 2, 3};
    return (int)yoke_queue_put_many(q, items, 3);
}

/* ---- Blocking and not ---- */

TEST(a_try_does_not_wait)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
        int i = 7;
        CHECK_INT(yoke_queue_get_try(q, &i), -EAGAIN);
        CHECK_INT(i, 7);
        CHECK_INT(yoke_queue_put_try(q, &i), 0);
        CHECK_INT(yoke_queue_put_try(q, &i), -EAGAIN);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(a_timeout_is_an_error_of_its_own)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
        int i = 7;
        int64_t start = yoke_now();
        CHECK_INT(yoke_queue_get_timed(q, &i, 2 * YOKE_MS), -ETIMEDOUT);
        CHECK(yoke_now() - start >= 2 * YOKE_MS);
        CHECK_INT(put(q, 1), 0);
        start = yoke_now();
        CHECK_INT(yoke_queue_put_until(q, &i, start + 2 * YOKE_MS), -ETIMEDOUT);
        CHECK(yoke_now() - start >= 2 * YOKE_MS);
        CHECK_INT(yoke_queue_put_timed(q, &i, 0), -ETIMEDOUT);
        CHECK_INT(yoke_queue_join_timed(q, YOKE_MS), -ETIMEDOUT);
        CHECK_INT(atomic_load(&q->putters.count) + atomic_load(&q->getters.count) + atomic_load(&q->joiners.count), 0);
        CHECK_INT(get(q), 1);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(a_past_deadline_still_does_what_can_be_done)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
        int i = 7;
        CHECK_INT(yoke_queue_put_until(q, &i, INT64_MIN), 0);
        CHECK_INT(yoke_queue_put_until(q, &i, INT64_MIN), -ETIMEDOUT);
        i = 0;
        CHECK_INT(yoke_queue_get_timed(q, &i, 0), 0);
        CHECK_INT(i, 7);
        CHECK_INT(yoke_queue_get_until(q, &i, 0), -ETIMEDOUT);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(a_negative_duration_is_a_mistake)
{
    yoke_queue *q = open_kind(YOKE_QUEUE_FIFO, 1);
    int i = 7;
    CHECK_INT(yoke_queue_put_timed(q, &i, -1), -EINVAL);
    CHECK_INT(yoke_queue_size(q), 0);
    CHECK_INT(yoke_queue_get_timed(q, &i, INT64_MIN), -EINVAL);
    CHECK_INT(yoke_queue_join_timed(q, -1), -EINVAL);
    CHECK_INT(yoke_queue_close(q), 0);
}

TEST(a_duration_beyond_all_times_is_for_ever)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
        int i = 7;
        CHECK_INT(yoke_queue_put_timed(q, &i, INT64_MAX), 0);
        caller c;
        call_and_wait(&c, q, put_nine, &q->putters);
        CHECK_INT(yoke_queue_get_timed(q, &i, INT64_MAX - 1), 0);
        CHECK_INT(result_of(&c), 0);
        CHECK_INT(get(q), 9);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(a_put_waits_for_room_and_a_get_for_an_item)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 2);
        caller c;
        CHECK_INT(put(q, 10) + put(q, 10), 0);
        call_and_wait(&c, q, put_nine, &q->putters);
        CHECK_INT(yoke_queue_size(q), 2);
        CHECK_INT(get(q), 10);
        CHECK_INT(result_of(&c), 0);
        CHECK_INT(get(q) + get(q), 19);
        call_and_wait(&c, q, get, &q->getters);
        CHECK_INT(put(q, 5), 0);
        CHECK_INT(result_of(&c), 5);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(who_has_waited_longest_is_woken_first)
{
    yk_waiters l = {0};
    yk_waiter w[5];
    for (int i = 0; i < 5; i++)
        yk_waiters_enter(&l, &w[i], i == 4); /* the last was woken before, and came too late */
    CHECK_INT(atomic_load(&l.count), 5);
    static const int order[] = {4, 0, 1, 2, 3};
    CHECK(yk_waiters_leave(&l, &w[1]));
    for (int i = 0; i < 5; i++) {
        if (order[i] == 1)
            continue;
        CHECK_INT(atomic_load(&w[order[i]].word), 0);
        CHECK_INT(yk_waiters_sleep(&l, &w[order[i]], 0, 0), -ETIMEDOUT);
        yk_waiters_enter(&l, &w[order[i]], true); /* out of time is out of the list */
        yk_waiters_wake(&l, 1);
        CHECK_INT(atomic_load(&w[order[i]].word), 1);
        CHECK_INT(yk_waiters_sleep(&l, &w[order[i]], 0, 0), 1);
        CHECK(!yk_waiters_leave(&l, &w[order[i]]));
    }
    CHECK(atomic_load(&l.count) == 0 && !l.first && !l.last);
    yk_waiters_wake(&l, SIZE_MAX);
}

TEST(a_batch_wakes_as_many_as_it_can_serve)
{
    yk_waiters l = {0};
    yk_waiter w[5];
    for (int i = 0; i < 5; i++)
        yk_waiters_enter(&l, &w[i], false);
    yk_waiters_wake(&l, 0);
    yk_waiters_wake(&l, 3);
    for (int i = 0; i < 5; i++)
        CHECK_INT(atomic_load(&w[i].word), i < 3);
    yk_waiters_wake(&l, SIZE_MAX);
    CHECK_INT(atomic_load(&w[4].word), 1);
    CHECK_INT(atomic_load(&l.count), 0);

    yoke_queue *q = open_kind(YOKE_QUEUE_LIFO, 0);
    caller c[4];
    for (int i = 0; i < 4; i++)
        call_and_wait(&c[i], q, get, &q->getters);
    int sum = 0;
    CHECK_INT(put_three(q), 3);
    CHECK_INT(put(q, 4), 0);
    for (int i = 0; i < 4; i++)
        sum += result_of(&c[i]);
    CHECK_INT(sum, 10);
    CHECK_INT(yoke_queue_close(q), 0);
}

/* In a ring an item may hide behind one that is not complete: whoever was woken for it sleeps again. So whoever goes on finds
 * out whether others of its side could, too. */
TEST(a_wake_up_is_handed_on)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 4);
        yk_waiter w;
        CHECK_INT(put_three(q), 3);
        yk_waiters_enter(&q->getters, &w, false); /* as if its wake-up had come too early */
        CHECK(get(q) > 0);
        CHECK_INT(atomic_load(&w.word), 1);
        CHECK(get(q) > 0);
        yk_waiters_enter(&q->getters, &w, false);
        CHECK(get(q) > 0); /* the last: nothing is left for another */
        CHECK_INT(atomic_load(&w.word), 0);
        CHECK(yk_waiters_leave(&q->getters, &w));

        yk_waiters_enter(&q->putters, &w, false);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(atomic_load(&w.word), 1);
        CHECK_INT(put(q, 1) + put(q, 1), 0);
        yk_waiters_enter(&q->putters, &w, false);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(atomic_load(&w.word), 0);
        CHECK(yk_waiters_leave(&q->putters, &w));
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

/* ---- In a pool ---- */

static yoke_queue *between;

YOKE_TASK(int, taker)
{
    return get(between) + get(between);
}

YOKE_TASK(int, giver, (int, n))
{
    return put(between, n);
}

/* The only worker waits in a task for what a later task puts: it lends its place meanwhile. */
TEST(a_worker_that_waits_lends_its_place)
{
    EACH_KIND(kind)
    {
        between = open_kind((yoke_queue_kind)kind, 1);
        yoke_executor *ex = yoke_open("threads:1");
        yoke_future *f = yoke_submit(ex, taker);
        while (!yk_waiters_any(&between->getters))
            sched_yield();
        yoke_future *g = yoke_submit(ex, giver, 3);
        CHECK_INT(yoke_await(g, int), 0);
        CHECK_INT(yoke_await(yoke_submit(ex, giver, 4), int), 0);
        CHECK_INT(yoke_await(f, int), 7);
        CHECK_INT(yoke_close(ex), 0);
        CHECK_INT(yoke_queue_close(between), 0);
    }
}

/* ---- Batches ---- */

TEST(put_many_waits_for_room_for_all)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 2);
        caller c;
        call_and_wait(&c, q, put_three, &q->putters);
        CHECK_INT(yoke_queue_size(q), 2);
        int sum = get(q);
        CHECK_INT(result_of(&c), 3);
        CHECK_INT(sum + get(q) + get(q), 6);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(put_many_tells_how_many_before_time_ran_out)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 2);
        int items[] = {1, 2, 3};
        CHECK_INT(yoke_queue_put_many_until(q, items, 3, yoke_now() + YOKE_MS), 2);
        CHECK_INT(yoke_queue_put_many_until(q, items, 3, yoke_now() + YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_queue_put_many_timed(q, items, 3, YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_queue_put_many_timed(q, items, 3, -1), -EINVAL);
        CHECK_INT(yoke_queue_put_many_try(q, items, 3), -EAGAIN);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(put_many_tells_how_many_before_the_shutdown)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 2);
        caller c;
        call_and_wait(&c, q, put_three, &q->putters);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(result_of(&c), 2);
        CHECK_INT(put_three(q), -ESHUTDOWN);
        CHECK_INT(get(q) + get(q), 3);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

static int get_many(yoke_queue *q)
{
    int items[5];
    return (int)yoke_queue_get_many(q, items, 5);
}

TEST(get_many_waits_for_the_first_only)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 8);
        caller c;
        CHECK_INT(put_three(q), 3);
        CHECK_INT(get_many(q), 3);
        call_and_wait(&c, q, get_many, &q->getters);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(result_of(&c), 1);
        int i;
        CHECK_INT(yoke_queue_get_many_until(q, &i, 1, yoke_now() + YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_queue_get_many_timed(q, &i, 1, YOKE_MS), -ETIMEDOUT);
        CHECK_INT(yoke_queue_get_many_timed(q, &i, 1, -1), -EINVAL);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(none_of_a_batch_of_none)
{
    yoke_queue *q = open_kind(YOKE_QUEUE_FIFO, 1);
    CHECK_INT(yoke_queue_get_many(q, NULL, 0), 0);
    CHECK_INT(yoke_queue_get_many_try(q, NULL, 0), 0);
    CHECK_INT(yoke_queue_put_many(q, NULL, 0), 0);
    CHECK_INT(yoke_queue_put_many_try(q, NULL, 0), 0);
    CHECK_INT(yoke_queue_close(q), 0);
}

/* ---- Shutdown ---- */

TEST(after_shutdown_no_put_and_the_rest_can_be_got)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 4);
        int i = 7;
        CHECK_INT(put(q, 1) + put(q, 2), 0);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(put(q, 3), -ESHUTDOWN);
        CHECK_INT(yoke_queue_put_try(q, &i), -ESHUTDOWN);
        CHECK_INT(yoke_queue_put_timed(q, &i, 0), -ESHUTDOWN);
        CHECK_INT(get(q) + get(q), 3);
        CHECK_INT(get(q), -ESHUTDOWN);
        CHECK_INT(yoke_queue_get_try(q, &i), -ESHUTDOWN);
        CHECK_INT(yoke_queue_get_timed(q, &i, 0), -ESHUTDOWN);
        CHECK_INT(yoke_queue_get_many(q, &i, 1), -ESHUTDOWN);
        CHECK_INT(i, 7);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(a_full_queue_that_is_shut_says_so)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(put(q, 2), -ESHUTDOWN);
        CHECK_INT(get(q), 1);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(shutdown_wakes_all_who_wait)
{
    for (int now = 0; now < 2; now++)
        EACH_KIND(kind)
        {
            int callers = kind == YOKE_QUEUE_SPSC ? 1 : 3;
            caller c[3];
            yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
            for (int i = 0; i < callers; i++)
                call_and_wait(&c[i], q, get, &q->getters);
            CHECK_INT(yoke_queue_shutdown(q, now), 0);
            for (int i = 0; i < callers; i++)
                CHECK_INT(result_of(&c[i]), -ESHUTDOWN);
            CHECK_INT(yoke_queue_close(q), 0);

            q = open_kind((yoke_queue_kind)kind, 1);
            CHECK_INT(put(q, 1), 0);
            for (int i = 0; i < callers; i++)
                call_and_wait(&c[i], q, put_nine, &q->putters);
            CHECK_INT(yoke_queue_shutdown(q, now), 0);
            for (int i = 0; i < callers; i++)
                CHECK_INT(result_of(&c[i]), -ESHUTDOWN);
            CHECK_INT(get(q), now ? -ESHUTDOWN : 1);
            CHECK_INT(yoke_queue_close(q), 0);
        }
}

TEST(shutdown_now_drops_what_is_left)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 8);
        CHECK_INT(put_three(q), 3);
        CHECK_INT(get(q) > 0, 1);
        CHECK_INT(yoke_queue_shutdown(q, true), 0);
        CHECK_INT(yoke_queue_size(q), 0);
        CHECK_INT(get(q), -ESHUTDOWN);
        CHECK_INT(put(q, 1), -ESHUTDOWN);
        CHECK_INT(yoke_queue_unfinished(q), 1); /* each dropped one counts as done, once; the one that was taken does not */
        CHECK_INT(yoke_queue_join_timed(q, 0), -ETIMEDOUT);
        CHECK_INT(yoke_queue_task_done(q), 0);
        CHECK_INT(yoke_queue_join(q), 0);
        CHECK_INT(yoke_queue_task_done(q), -EINVAL);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(shutdown_can_be_repeated)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 8);
        CHECK_INT(put_three(q), 3);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(yoke_queue_size(q), 3);
        CHECK_INT(yoke_queue_shutdown(q, true), 0);
        CHECK_INT(yoke_queue_size(q), 0);
        CHECK_INT(yoke_queue_unfinished(q), 0);
        CHECK_INT(yoke_queue_shutdown(q, true), 0);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(get(q), -ESHUTDOWN);
        CHECK_INT(yoke_queue_unfinished(q), 0);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

/* Through several rings, the older of them half empty. */
TEST(shutdown_of_a_queue_that_has_grown)
{
    for (int now = 0; now < 2; now++) {
        yoke_queue *q = open_kind(YOKE_QUEUE_FIFO, 0);
        for (int i = 0; i < 3000; i++)
            CHECK_INT(put(q, i), 0);
        for (int i = 0; i < 100; i++)
            CHECK_INT(get(q), i);
        CHECK_INT(yoke_queue_shutdown(q, now), 0);
        CHECK_INT(put(q, 1), -ESHUTDOWN);
        CHECK_INT(yoke_queue_size(q), now ? 0 : 2900);
        CHECK_INT(yoke_queue_unfinished(q), now ? 100 : 3000);
        for (int i = 100; !now && i < 3000; i++)
            CHECK_INT(get(q), i);
        CHECK_INT(get(q), -ESHUTDOWN);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

/* ---- Done and join ---- */

TEST(join_waits_until_all_are_done)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 8);
        caller c, d;
        CHECK_INT(yoke_queue_join(q), 0); /* nothing was put: nothing to do */
        CHECK_INT(put(q, 1) + put(q, 2), 0);
        call_and_wait(&c, q, yoke_queue_join, &q->joiners);
        call_and_wait(&d, q, yoke_queue_join, &q->joiners);
        CHECK_INT(get(q) + get(q), 3);
        CHECK_INT(yoke_queue_task_done(q), 0);
        CHECK_INT(yoke_queue_unfinished(q), 1);
        CHECK_INT(atomic_load(&q->joiners.count), 2);
        CHECK_INT(yoke_queue_task_done(q), 0);
        CHECK_INT(result_of(&c) + result_of(&d), 0);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(more_done_than_put_is_a_mistake)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 8);
        CHECK_INT(yoke_queue_task_done(q), -EINVAL);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(yoke_queue_task_done(q), 0); /* before it is taken, as in Python */
        CHECK_INT(yoke_queue_task_done(q), -EINVAL);
        CHECK_INT(yoke_queue_unfinished(q), 0);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(yoke_queue_unfinished(q), 1);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

TEST(shutdown_does_not_end_a_join_but_dropping_the_last_does)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 8);
        caller c;
        CHECK_INT(put(q, 1) + put(q, 1), 0);
        call_and_wait(&c, q, yoke_queue_join, &q->joiners);
        CHECK_INT(yoke_queue_shutdown(q, false), 0);
        CHECK_INT(get(q), 1);
        CHECK_INT(yoke_queue_task_done(q), 0);
        CHECK_INT(atomic_load(&q->joiners.count), 1);
        CHECK_INT(yoke_queue_shutdown(q, true), 0);
        CHECK_INT(result_of(&c), 0);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

/* ---- Mistakes ---- */

TEST(wrong_kinds_of_queues)
{
    yoke_queue *q = (yoke_queue *)&q;
    CHECK_INT(yoke_queue_open((yoke_queue_kind)4, 4, 1, NULL, &q), -EINVAL);
    CHECK_INT(yoke_queue_open((yoke_queue_kind)-1, 4, 1, NULL, &q), -EINVAL);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_FIFO, 0, 1, NULL, &q), -EINVAL);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_FIFO, 4, 1, less, &q), -EINVAL);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_PRIORITY, 4, 1, NULL, &q), -EINVAL);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_SPSC, 4, 0, NULL, &q), -EINVAL);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_FIFO, 4, 1, NULL, NULL), -EINVAL);
    CHECK(q == (yoke_queue *)&q); /* written on success only */
}

TEST(no_queue_or_no_item)
{
    yoke_queue *q = open_kind(YOKE_QUEUE_FIFO, 1);
    int i = 0;
    CHECK_INT(yoke_queue_put(NULL, &i), -EINVAL);
    CHECK_INT(yoke_queue_put(q, NULL), -EINVAL);
    CHECK_INT(yoke_queue_put_try(NULL, &i), -EINVAL);
    CHECK_INT(yoke_queue_put_try(q, NULL), -EINVAL);
    CHECK_INT(yoke_queue_put_timed(NULL, &i, 0), -EINVAL);
    CHECK_INT(yoke_queue_get(NULL, &i), -EINVAL);
    CHECK_INT(yoke_queue_get(q, NULL), -EINVAL);
    CHECK_INT(yoke_queue_get_try(NULL, &i), -EINVAL);
    CHECK_INT(yoke_queue_get_try(q, NULL), -EINVAL);
    CHECK_INT(yoke_queue_get_until(q, NULL, 0), -EINVAL);
    CHECK_INT(yoke_queue_put_many(NULL, &i, 1), -EINVAL);
    CHECK_INT(yoke_queue_put_many(q, NULL, 1), -EINVAL);
    CHECK_INT(yoke_queue_put_many_try(q, NULL, 1), -EINVAL);
    CHECK_INT(yoke_queue_get_many(NULL, &i, 1), -EINVAL);
    CHECK_INT(yoke_queue_get_many(q, NULL, 1), -EINVAL);
    CHECK_INT(yoke_queue_get_many_try(q, NULL, 1), -EINVAL);
    CHECK_INT(yoke_queue_shutdown(NULL, false), -EINVAL);
    CHECK_INT(yoke_queue_task_done(NULL), -EINVAL);
    CHECK_INT(yoke_queue_join(NULL), -EINVAL);
    CHECK_INT(yoke_queue_size(NULL) + yoke_queue_unfinished(NULL) + yoke_queue_capacity(NULL), 0);
    CHECK(yoke_queue_empty(NULL) && !yoke_queue_full(NULL));
    CHECK_INT(yoke_queue_close(NULL), 0);
    CHECK_INT(yoke_queue_size(q), 0);
    CHECK_INT(yoke_queue_close(q), 0);
}

TEST(no_close_while_somebody_waits)
{
    EACH_KIND(kind)
    {
        yoke_queue *q = open_kind((yoke_queue_kind)kind, 1);
        caller c;
        call_and_wait(&c, q, get, &q->getters);
        CHECK_INT(yoke_queue_close(q), -EBUSY);
        CHECK_INT(put(q, 1), 0);
        CHECK_INT(result_of(&c), 1);
        call_and_wait(&c, q, yoke_queue_join, &q->joiners);
        CHECK_INT(yoke_queue_close(q), -EBUSY);
        CHECK_INT(yoke_queue_task_done(q), 0);
        CHECK_INT(result_of(&c), 0);
        CHECK_INT(put(q, 1), 0);
        call_and_wait(&c, q, put_nine, &q->putters);
        CHECK_INT(yoke_queue_close(q), -EBUSY);
        CHECK_INT(get(q), 1);
        CHECK_INT(result_of(&c), 0);
        CHECK_INT(yoke_queue_close(q), 0);
    }
}

/* The second thread at one end of a queue for two, while the first is inside. */
TEST(a_third_party_at_a_queue_for_two)
{
    yoke_queue *q = open_kind(YOKE_QUEUE_SPSC, 4);
    CHECK_INT(put(q, 1), 0);
    atomic_store(&q->pair.putting, 1);
    CHECK_INT(put(q, 2), -EBUSY);
    CHECK_INT(get(q), 1);
    atomic_store(&q->pair.putting, 0);
    CHECK_INT(put(q, 3), 0);
    atomic_store(&q->pair.getting, 1);
    CHECK_INT(get(q), -EBUSY);
    atomic_store(&q->pair.getting, 0);
    CHECK_INT(get(q), 3);
    CHECK_INT(yoke_queue_close(q), 0);
}
