/* futures.c - what the holder of a future may ask, at every moment of its life, on every kind of executor: a random walk beside a
 * plain model, many holders at once, completions in the order of their ends. */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke.h>

enum { FAILS = 1, SLEEPS = 2, WAITS = 4 };

YOKE_TASK(long, work, (long, value), (int, what), (long, us))
{
    if (what & SLEEPS)
        usleep((useconds_t)us);
    if (what & WAITS)
        while (!yoke_cancelled())
            usleep(200);
    if (what & FAILS)
        yoke_fail(EDOM, "value %ld", value);
    return value * 2;
}

static const char *const uris[] = {"inline", "threads:1", "threads:3", "processes:2"};
enum { URIS = sizeof uris / sizeof *uris };

static void check_end(yoke_future *f, long value, bool failed)
{
    long v = -1;
    CHECK(yoke_done(f));
    CHECK_INT(yoke_code(f), failed ? -EDOM : 0);
    CHECK_INT(yoke_try(f, &v), failed ? -EDOM : 0);
    CHECK_INT(v, failed ? -1 : value * 2);
    if (failed) {
        char text[80];
        snprintf(text, sizeof text, "work: value %ld (futures.c:", value);
        CHECK(strstr(yoke_error(f), text) == yoke_error(f));
    } else {
        CHECK_STR(yoke_error(f), "");
    }
}

/* ---- A random walk ---- */

TEST_LIMIT(any_question_at_any_time, 300)
{
    enum { LIVE = 24, STEPS = 3000 };
    for (int u = 0; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        yoke_future *f[LIVE] = {NULL};
        long value[LIVE] = {0};
        bool fails[LIVE] = {false};
        for (int step = 0; step < STEPS; step++) {
            int i = (int)(test_random() % LIVE);
            if (!f[i]) {
                value[i] = step;
                fails[i] = test_random() % 4 == 0;
                f[i] = yoke_submit(ex, work, step, (fails[i] ? FAILS : 0) | (test_random() % 8 == 0 ? SLEEPS : 0),
                                   (long)(test_random() % 300));
                continue;
            }
            switch (test_random() % 7) {
            case 0:
                CHECK(yoke_code(f[i]) == -EAGAIN || yoke_done(f[i]));
                break;
            case 1: {
                int err = yoke_wait_until(f[i], yoke_now() + (int64_t)(test_random() % 200) * YOKE_US);
                CHECK(err == -ETIMEDOUT || err == (fails[i] ? -EDOM : 0));
                break;
            }
            case 2:
                yoke_release(yoke_ref(f[i]));
                break;
            case 3:
                CHECK(yoke_done(f[i]) || yoke_error(f[i])[0] == '\0' || yoke_done(f[i]));
                break;
            case 4: {
                float wrong;
                int err = yoke_try(f[i], &wrong);
                CHECK_INT(err, fails[i] ? -EDOM : -EINVAL);
                break;
            }
            default:
                CHECK_INT(yoke_wait(f[i]), fails[i] ? -EDOM : 0);
                check_end(f[i], value[i], fails[i]);
                f[i] = yoke_release(f[i]);
            }
        }
        for (int i = 0; i < LIVE; i++)
            if (f[i]) {
                yoke_wait(f[i]);
                check_end(f[i], value[i], fails[i]);
                yoke_release(f[i]);
            }
        CHECK_INT(yoke_close(ex), 0);
    }
}

/* ---- Many holders ---- */

typedef struct shared {
    yoke_future *f;
    int64_t deadline;
    int err;
} shared;

static void *holder(void *arg)
{
    shared *s = arg;
    s->err = yoke_wait_until(s->f, s->deadline);
    if (s->err == 0)
        check_end(s->f, 21, false);
    yoke_release(s->f);
    return NULL;
}

TEST(one_future_many_holders)
{
    enum { HOLDERS = 12 };
    for (int u = 1; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        for (int round = 0; round < 5; round++) {
            yoke_future *f = yoke_submit(ex, work, 21, SLEEPS, 30000);
            pthread_t threads[HOLDERS];
            shared s[HOLDERS];
            for (int i = 0; i < HOLDERS; i++) {
                s[i] = (shared){yoke_ref(f), i % 3 == 0 ? yoke_now() + YOKE_MS : YOKE_FOREVER, 1};
                pthread_create(&threads[i], NULL, holder, &s[i]);
            }
            yoke_release(f); /* the holders have their own */
            for (int i = 0; i < HOLDERS; i++) {
                pthread_join(threads[i], NULL);
                CHECK(s[i].err == 0 || (i % 3 == 0 && s[i].err == -ETIMEDOUT));
            }
        }
        CHECK_INT(yoke_close(ex), 0);
    }
}

/* ---- Cancelling ---- */

TEST(cancel_at_each_moment)
{
    for (int u = 1; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        for (int round = 0; round < 60; round++) {
            yoke_future *f = yoke_submit(ex, work, round, WAITS, 0);
            usleep((useconds_t)(test_random() % 600));
            int err = yoke_cancel(f);
            CHECK(err == 0 || err == -EINPROGRESS);
            int code = yoke_wait(f);
            /* Cancelled before it started, or told while it ran; it then returned as it liked. */
            CHECK(err == 0 ? code == -ECANCELED : code == 0 || code == -ECANCELED);
            CHECK_INT(yoke_cancel(f), -EALREADY);
            yoke_release(f);
        }
        CHECK_INT(yoke_close(ex), 0);
    }
}

TEST(cancelled_by_several_at_once)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *busy = yoke_submit(ex, work, 1, WAITS, 0), *f = yoke_submit(ex, work, 2, 0, 0);
    CHECK_INT(yoke_cancel(f), 0);
    CHECK_INT(yoke_cancel(f), -EALREADY);
    CHECK_INT(yoke_wait(f), -ECANCELED);
    CHECK(strstr(yoke_error(f), "cancelled before it started"));
    yoke_cancel(busy);
    yoke_wait(busy);
    yoke_release(busy);
    yoke_release(f);
    yoke_close(ex);
}

/* ---- Hooks ---- */

static _Atomic int called;
static _Atomic long order;

static void count_call(yoke_future *f, void *arg)
{
    CHECK(yoke_done(f));
    atomic_fetch_add(&called, 1);
    long expected = (long)(intptr_t)arg;
    CHECK_INT(atomic_fetch_add(&order, 1) % 10, expected);
}

TEST(hooks_are_called_once_in_their_order)
{
    for (int u = 0; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        for (int round = 0; round < 5; round++) {
            atomic_store(&called, 0);
            atomic_store(&order, 0);
            /* It ends when all are there; on `inline` it has ended, and each is called at once. */
            yoke_future *f = yoke_submit(ex, work, round, u == 0 ? 0 : WAITS, 0);
            for (intptr_t i = 0; i < 10; i++)
                CHECK_INT(yoke_then(f, count_call, (void *)i), 0);
            yoke_cancel(f);
            yoke_wait(f);
            while (atomic_load(&called) < 10)
                usleep(100);
            yoke_release(f);
        }
        CHECK_INT(yoke_close(ex), 0);
        CHECK_INT(atomic_load(&called), 10);
    }
}

/* ---- As they are completed ---- */

TEST(each_completion_comes_once)
{
    enum { N = 200 };
    for (int u = 0; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        yoke_future *f[N];
        int seen[N] = {0};
        for (int i = 0; i < N; i++)
            f[i] = yoke_submit(ex, work, i, i % 5 == 0 ? FAILS : 0, 0);
        yoke_completion *c = yoke_as_completed(f, N);
        yoke_future *g;
        for (int i = 0; i < N; i++) {
            CHECK_INT(yoke_next_completed_timed(c, YOKE_FOREVER, &g), 0);
            CHECK(yoke_done(g));
            int k = 0;
            while (f[k] != g)
                k++;
            seen[k]++;
            check_end(g, k, k % 5 == 0);
        }
        CHECK_INT(yoke_next_completed_until(c, YOKE_FOREVER, &g), -ENOENT);
        CHECK(yoke_next_completed(c) == NULL);
        yoke_completion_close(c);
        for (int i = 0; i < N; i++) {
            CHECK_INT(seen[i], 1);
            yoke_release(f[i]);
        }
        CHECK_INT(yoke_close(ex), 0);
    }
}

/* Stays until somebody says that it may go. */
YOKE_TASK(int, held, (uintptr_t, gate), (int, result))
{
    while (!yoke_cancelled() && __atomic_load_n((int *)gate, __ATOMIC_ACQUIRE) == 0)
        usleep(500);
    return result < 0 ? yoke_fail(-result, "so it was wanted") : result;
}

TEST(waits_have_time_limits_and_say_whose_time_was_up)
{
    yoke_executor *ex = yoke_open("threads:1");
    int gate = 0, v = 0;
    yoke_future *f = yoke_submit(ex, held, (uintptr_t)&gate, 5);
    CHECK_INT(yoke_wait_timed(f, 0), -ETIMEDOUT);
    CHECK_INT(yoke_wait_timed(f, -1), -ETIMEDOUT);
    CHECK_INT(yoke_wait_timed(f, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_code(f), -EAGAIN);
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    CHECK_INT(yoke_wait_timed(f, YOKE_FOREVER), 0);
    CHECK_INT(yoke_wait_timed(f, -1), 0);
    CHECK_INT(yoke_try(f, &v), 0);
    CHECK_INT(v, 5);
    yoke_future *g = yoke_submit(ex, held, (uintptr_t)&gate, -ETIMEDOUT);
    CHECK_INT(yoke_wait_timed(g, 60 * YOKE_S), -ETIMEDOUT);
    CHECK_INT(yoke_code(g), -ETIMEDOUT);
    CHECK_INT(yoke_wait_timed(NULL, 1), -EINVAL);
    yoke_close(ex);
}

TEST(completions_have_time_limits_and_may_be_left_early)
{
    for (int u = 1; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        yoke_future *slow = yoke_submit(ex, work, 1, WAITS, 0), *g = NULL;
        yoke_completion *c = yoke_as_completed(&slow, 1);
        CHECK_INT(yoke_next_completed_until(c, 0, &g), -ETIMEDOUT);
        CHECK_INT(yoke_next_completed_timed(c, 0, &g), -ETIMEDOUT);
        CHECK_INT(yoke_next_completed_timed(c, INT64_MIN, &g), -ETIMEDOUT);
        CHECK(g == NULL);
        yoke_completion_close(c); /* nobody asks any more */
        c = yoke_as_completed(&slow, 1);
        yoke_future *more = yoke_submit(ex, work, 2, 0, 0);
        CHECK_INT(yoke_completion_add(c, more), 0);
        yoke_cancel(slow);
        CHECK_INT(yoke_next_completed_timed(c, YOKE_FOREVER, &g), 0);
        CHECK(g == more || g == slow);
        CHECK(yoke_next_completed(c) == (g == more ? slow : more));
        yoke_completion_close(c);
        yoke_release(slow);
        yoke_release(more);
        CHECK_INT(yoke_close(ex), 0);
    }
}

/* ---- Wholes ---- */

TEST_LIMIT(wholes_of_many_parts, 300)
{
    enum { N = 64 };
    for (int u = 0; u < URIS; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        for (int round = 0; round < 20; round++) {
            yoke_future *f[N];
            int bad = round % 3 == 0 ? -1 : (int)(test_random() % N), also = bad < 0 ? -1 : bad + (N - bad) / 2;
            for (int i = 0; i < N; i++)
                f[i] = yoke_submit(ex, work, i, i == bad || i == also ? FAILS : 0, 0);
            yoke_future *all = yoke_all(f, N), *any = yoke_any(f, N), *both = yoke_all((yoke_future *[]){all, any}, 2);
            CHECK_INT(yoke_wait(all), bad < 0 ? 0 : -EDOM);
            if (bad >= 0) { /* the first by index, whichever ended first */
                char text[40];
                snprintf(text, sizeof text, "value %d ", bad);
                CHECK(strstr(yoke_error(all), text));
            }
            size_t which = yoke_await(any, size_t);
            CHECK(which < N && yoke_done(f[which]));
            CHECK_INT(yoke_wait(both), bad < 0 ? 0 : -EDOM);
            for (int i = 0; i < N; i++) {
                yoke_wait(f[i]);
                yoke_release(f[i]);
            }
            yoke_release(both);
            yoke_release(any);
            yoke_release(all);
        }
        CHECK_INT(yoke_close(ex), 0);
    }
}

TEST(wholes_of_nothing_and_of_null)
{
    yoke_future *none = NULL, *all = yoke_all(NULL, 0);
    CHECK_INT(yoke_wait(all), 0);
    yoke_release(all);
    CHECK(yoke_any(NULL, 0) == NULL);
    CHECK(yoke_all(&none, 1) == NULL);
    CHECK(yoke_any(&none, 1) == NULL);
    CHECK_INT(yoke_wait(NULL), -EINVAL);
    CHECK_INT(yoke_cancel(NULL), -EINVAL);
    CHECK(yoke_release(NULL) == NULL);
}

YOKE_TASK(long, next_number, (yoke_inout_i64, counter))
{
    return (long)++counter.ptr[0];
}

TEST(an_await_takes_its_future_once)
{
    yoke_executor *ex = yoke_open("inline");
    int64_t counter = 0;
    CHECK_INT(yoke_await(yoke_submit(ex, next_number, yoke_1d(yoke_inout_i64, &counter, 1)), long), 1);
    CHECK_INT(counter, 1);
    yoke_close(ex);
}
