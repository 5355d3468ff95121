/* group.c - groups and what they are made of: coroutines that are begun, wait, fail, are cancelled, and end together. */
#include "async/switch.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yoke/async.h>
#include <yoke/executor.h>
#include <yoke/loop.h>

static char said[200];

static void say(const char *word)
{
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%s", word);
}

static void *text(const char *of)
{
    return (void *)(uintptr_t)of;
}

/* What a test does runs as the first coroutine of a loop. */
#define ASYNC_TEST(name)                                                                                               \
    static int async_##name(void *arg);                                                                                \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        said[0] = '\0';                                                                                                \
        CHECK_INT(yoke_async_run(async_##name, NULL), 0);                                                              \
        CHECK(!yoke_in_coroutine());                                                                                   \
    }                                                                                                                  \
    static int async_##name(void *arg)

static int says(void *arg)
{
    say(arg);
    return 0;
}

static int fails(void *arg)
{
    return -EIO;
}

static int sleeps_long(void *arg)
{
    int err = yoke_sleep(3600 * YOKE_S);
    say(err == -ECANCELED ? "c" : "?");
    return err;
}

static int sleeps_long_and_hides_it(void *arg)
{
    yoke_sleep(3600 * YOKE_S);
    say("h");
    return 0;
}

ASYNC_TEST(an_empty_group_ends_at_once)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(yoke_group_failures(&g), 0);
    return 0;
}

ASYNC_TEST(coroutines_run_in_the_order_in_which_they_were_begun)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_go(&g, says, text("a")), 0);
    CHECK_INT(yoke_go(&g, says, text("b")), 0);
    CHECK_INT(yoke_go_with(&g, &(yoke_go_opts){.eager = true}, says, text("e")), 0);
    say("-");
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_STR(said, "e-ab");
    CHECK_INT(yoke_go(&g, says, text("x")), -EINVAL);
    return 0;
}

ASYNC_TEST(the_first_failure_cancels_the_others_and_the_body)
{
    yoke_group g;
    int codes[4] = {0};
    yoke_group_begin(&g);
    yoke_group_collect(&g, codes, 4);
    yoke_go(&g, sleeps_long, NULL);
    yoke_go(&g, sleeps_long_and_hides_it, NULL);
    yoke_go(&g, fails, NULL);
    CHECK_INT(yoke_sleep(3600 * YOKE_S), -ECANCELED);
    CHECK_INT(yoke_sleep(0), -ECANCELED); /* as often as it is asked */
    CHECK_INT(yoke_checkpoint(), -ECANCELED);
    CHECK(yoke_effective_deadline() == INT64_MIN);
    CHECK_INT(yoke_group_end(&g), -EIO);
    CHECK_INT(yoke_group_failures(&g), 1);
    CHECK_INT(codes[0], -EIO);
    CHECK_STR(said, "ch");
    CHECK_INT(yoke_checkpoint(), 0);
    return 0;
}

ASYNC_TEST(all_failures_are_collected)
{
    yoke_group g;
    int codes[2] = {0};
    yoke_group_begin(&g);
    yoke_group_collect(&g, codes, 2);
    for (int i = 0; i < 3; i++)
        yoke_go(&g, fails, NULL);
    CHECK_INT(yoke_group_fail(&g, EPIPE), -EPIPE);
    CHECK_INT(yoke_group_end(&g), -EPIPE);
    CHECK_INT(yoke_group_failures(&g), 4);
    CHECK_INT(codes[0], -EPIPE);
    CHECK_INT(codes[1], -EIO);
    return 0;
}

ASYNC_TEST(a_group_cancelled_by_hand_has_not_failed)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, sleeps_long, NULL);
    yoke_yield();
    yoke_group_cancel(&g);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_STR(said, "c");
    return 0;
}

ASYNC_TEST(a_cancel_from_outside_goes_through_the_group)
{
    yoke_scope s;
    yoke_scope_begin_timed(&s, YOKE_MS);
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, sleeps_long, NULL);
    CHECK_INT(yoke_group_end(&g), -ECANCELED);
    CHECK_INT(yoke_scope_end(&s), -ETIMEDOUT);
    CHECK_STR(said, "c");
    return 0;
}

static int says_cancelled(void *arg)
{
    return -ECANCELED;
}

ASYNC_TEST(a_code_of_its_own_is_an_error_also_when_it_is_ecanceled)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, says_cancelled, NULL);
    CHECK_INT(yoke_group_end(&g), -ECANCELED);
    CHECK_INT(yoke_group_failures(&g), 1);
    return 0;
}

static int spawns(void *arg)
{
    return yoke_go(arg, says, text("n"));
}

ASYNC_TEST(a_coroutine_begins_others_in_its_own_group)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, spawns, &g);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_STR(said, "n");
    return 0;
}

static int leaves_early(void *arg)
{
    YOKE_GROUP(g, arg)
    {
        yoke_go(&g, says, text("1"));
        return 7;
    }
    return 0;
}

ASYNC_TEST(blocks_end_however_they_are_left)
{
    int err = 1, late = 1;
    CHECK_INT(leaves_early(&err), 7);
    CHECK_INT(err, 0);
    CHECK_STR(said, "1");
    YOKE_GROUP(g, &err)
    {
        yoke_go(&g, fails, NULL);
        break;
    }
    CHECK_INT(err, -EIO);
    YOKE_TIMEOUT(YOKE_MS, &late)
        CHECK_INT(yoke_sleep(3600 * YOKE_S), -ECANCELED);
    CHECK_INT(late, -ETIMEDOUT);
    YOKE_TIMEOUT(3600 * YOKE_S, &late)
        continue;
    CHECK_INT(late, 0);
    YOKE_SCOPE(s)
    {
        yoke_scope_cancel(&s);
        CHECK_INT(yoke_yield(), -ECANCELED);
        YOKE_SHIELD(YOKE_S)
            CHECK_INT(yoke_yield(), 0);
        CHECK(yoke_scope_cancelled(&s));
    }
    CHECK_INT(yoke_yield(), 0);
    return 0;
}

ASYNC_TEST(a_shield_with_a_deadline_ends_too)
{
    yoke_scope outer, shield;
    yoke_scope_begin(&outer);
    yoke_scope_cancel(&outer);
    yoke_shield_begin_timed(&shield, YOKE_MS);
    CHECK_INT(yoke_sleep(0), 0);
    CHECK_INT(yoke_sleep(3600 * YOKE_S), -ECANCELED);
    CHECK_INT(yoke_scope_end(&shield), -ETIMEDOUT);
    CHECK_INT(yoke_sleep(0), -ECANCELED);
    CHECK_INT(yoke_scope_end(&outer), -ECANCELED);
    return 0;
}

ASYNC_TEST(a_shield_that_is_taken_away_lets_the_cancel_in)
{
    yoke_scope outer, shield;
    yoke_scope_begin(&outer);
    yoke_shield_begin_timed(&shield, YOKE_FOREVER);
    yoke_scope_cancel(&outer);
    CHECK_INT(yoke_yield(), 0);
    yoke_scope_set_shield(&shield, false);
    CHECK_INT(yoke_yield(), -ECANCELED);
    CHECK_INT(yoke_scope_end(&shield), 0); /* it was not this one that was cancelled */
    CHECK_INT(yoke_scope_end(&outer), -ECANCELED);
    return 0;
}

ASYNC_TEST(a_deadline_can_be_moved)
{
    yoke_scope s;
    yoke_scope_begin_timed(&s, YOKE_MS);
    yoke_scope_set_deadline(&s, YOKE_FOREVER);
    CHECK_INT(yoke_sleep(5 * YOKE_MS), 0);
    CHECK(yoke_effective_deadline() == YOKE_FOREVER);
    yoke_scope_set_deadline(&s, yoke_now() - 1);
    CHECK_INT(yoke_sleep(5 * YOKE_MS), -ECANCELED);
    CHECK_INT(yoke_scope_end(&s), -ETIMEDOUT);
    return 0;
}

ASYNC_TEST(a_scope_that_nobody_noticed_is_not_late)
{
    yoke_scope s;
    yoke_scope_begin(&s);
    yoke_scope_cancel(&s);
    CHECK_INT(yoke_scope_end(&s), 0);
    return 0;
}

/* ---- yoke_start() ---- */

static int starts(void *arg)
{
    say("s");
    int err = yoke_sleep(YOKE_MS);
    if (err < 0)
        return err;
    CHECK_INT(yoke_started(text("value")), 0);
    CHECK_INT(yoke_started(text("again")), -EINVAL);
    say("g");
    return yoke_sleep(YOKE_MS) < 0 ? -EINTR : -EIO;
}

static int starts_in_a_scope(void *arg)
{
    yoke_scope s;
    yoke_scope_begin(&s);
    CHECK_INT(yoke_started(NULL), 0);
    CHECK_INT(yoke_sleep(3600 * YOKE_S), -ECANCELED); /* of the group that it is of now */
    CHECK_INT(yoke_scope_end(&s), 0);
    return -ECANCELED;
}

ASYNC_TEST(start_waits_for_started)
{
    yoke_group g;
    void *value;
    yoke_group_begin(&g);
    CHECK_INT(yoke_start(&g, starts, NULL, &value), 0);
    CHECK_STR(value, "value");
    say("-");
    CHECK_INT(yoke_group_end(&g), -EIO);
    CHECK_STR(said, "sg-");
    return 0;
}

ASYNC_TEST(start_has_the_error_of_what_did_not_start)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_start(&g, fails, NULL, NULL), -EIO);
    CHECK_INT(yoke_start(&g, says, text("x"), NULL), -EPROTO);
    CHECK_INT(yoke_group_end(&g), 0);
    return 0;
}

ASYNC_TEST(start_can_be_cancelled)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_scope s;
    yoke_scope_begin(&s);
    yoke_scope_cancel(&s);
    CHECK_INT(yoke_start(&g, starts, NULL, NULL), -ECANCELED);
    CHECK_INT(yoke_scope_end(&s), -ECANCELED);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_STR(said, "s");
    return 0;
}

/* Then that is the outcome, and not the error of having returned early. */
ASYNC_TEST(start_is_cancelled_also_when_the_coroutine_ends_well)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_scope s;
    yoke_scope_begin(&s);
    yoke_scope_cancel(&s);
    CHECK_INT(yoke_start(&g, says, text("x"), NULL), -ECANCELED);
    CHECK_INT(yoke_scope_end(&s), -ECANCELED);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_STR(said, "x");
    return 0;
}

ASYNC_TEST(what_was_started_belongs_to_its_group)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_start(&g, starts_in_a_scope, NULL, NULL), 0);
    yoke_group_cancel(&g);
    CHECK_INT(yoke_group_end(&g), 0);
    return 0;
}

/* ---- Jobs ---- */

YOKE_TASK(int, twice, (int, n))
{
    return 2 * n;
}

YOKE_TASK(int, refuses)
{
    return yoke_fail(EDOM, "never");
}

YOKE_TASK(int, waits_until_cancelled)
{
    while (!yoke_cancelled())
        yoke_sleep(100 * YOKE_US);
    return yoke_fail(ECANCELED, "as asked");
}

YOKE_TASK(void, naps)
{
    usleep(50000);
}

YOKE_TASK(void, dies)
{
    kill(getpid(), SIGKILL);
}

ASYNC_TEST(jobs_of_other_executors_are_waited_for)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *fs[3];
    for (int i = 0; i < 3; i++)
        fs[i] = yoke_submit(ex, twice, i);
    size_t which = 9;
    CHECK_INT(yoke_wait_any(fs, 3, &which), 0);
    CHECK(which < 3 && yoke_done(fs[which]));
    CHECK_INT(yoke_gather(fs, 3), 0);
    CHECK_INT(yoke_await(fs[2], int), 4);
    yoke_future *bad[2] = {yoke_submit(ex, refuses), fs[0]};
    CHECK_INT(yoke_gather(bad, 2), -EDOM);
    CHECK_INT(yoke_gather(bad, 0), 0);
    CHECK_INT(yoke_gather((yoke_future *[]){NULL}, 1), -EINVAL);
    CHECK_INT(yoke_wait_any(fs, 0, &which), -EINVAL);
    yoke_close(ex);
    return 0;
}

/* Its threads sleep on a bell of their own, coroutines on the word of the job. */
ASYNC_TEST(jobs_of_processes_are_waited_for)
{
    yoke_executor *ex = yoke_open("processes:2");
    CHECK_INT(yoke_await(yoke_submit(ex, twice, 21), int), 42);
    yoke_future *slow = yoke_submit(ex, naps);
    CHECK_INT(yoke_wait_timed(slow, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_wait(slow), 0);
    yoke_future *bad = yoke_submit(ex, dies);
    CHECK_INT(yoke_wait(bad), -EOWNERDEAD);
    yoke_future *fs[3] = {yoke_submit(ex, naps), yoke_submit(ex, twice, 1), yoke_submit(ex, refuses)};
    size_t which = 9;
    CHECK_INT(yoke_wait_any(fs, 3, &which), 0);
    CHECK_INT(yoke_gather(fs, 2), 0);
    CHECK_INT(yoke_wait(fs[2]), -EDOM);
    yoke_close(ex);
    return 0;
}

ASYNC_TEST(a_group_waits_for_jobs_and_cancels_them)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *slow = yoke_submit(ex, waits_until_cancelled), *bad = yoke_submit(ex, refuses);
    yoke_future *fine = yoke_submit(ex, twice, 4);
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_group_add(&g, slow), 0);
    CHECK_INT(yoke_group_add(&g, fine), 0);
    CHECK_INT(yoke_wait(fine), 0); /* before the failure cancels what has not begun */
    CHECK_INT(yoke_group_add(&g, bad), 0);
    CHECK_INT(yoke_group_end(&g), -EDOM);
    CHECK(yoke_done(slow));
    CHECK_INT(yoke_code(slow), -ECANCELED);
    CHECK_INT(yoke_await(fine, int), 8);
    yoke_close(ex);
    return 0;
}

ASYNC_TEST(a_cancelled_gather_cancels_its_jobs)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *fs[2] = {yoke_submit(ex, waits_until_cancelled), yoke_submit(ex, waits_until_cancelled)};
    int late = 0;
    YOKE_TIMEOUT(5 * YOKE_MS, &late)
        CHECK_INT(yoke_gather(fs, 2), -ECANCELED);
    CHECK_INT(late, -ETIMEDOUT);
    CHECK_INT(yoke_wait(fs[0]), -ECANCELED);
    CHECK_INT(yoke_wait(fs[1]), -ECANCELED);
    yoke_close(ex);
    return 0;
}

/* ---- Loops and forks ---- */

static long sum;

YOKE_LOOP(adds_slowly, i, (long, each))
{
    yoke_sleep(100 * YOKE_US); /* blocks: in a body of a loop the thread belongs to the loop */
    __atomic_fetch_add(&sum, each, __ATOMIC_RELAXED);
}

static int runs_a_loop(void *arg)
{
    for (int i = 0; i < 5; i++) {
        int err = yoke_for(arg, 40, adds_slowly, 1);
        if (err < 0)
            return err;
        CHECK(yoke_in_coroutine());
        CHECK_INT(yoke_sleep(0), 0);
    }
    return 0;
}

ASYNC_TEST(loops_in_coroutines_keep_their_thread)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_group g;
    yoke_group_begin(&g);
    sum = 0;
    for (int i = 0; i < 4; i++)
        yoke_go(&g, runs_a_loop, i % 2 ? ex : NULL);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(sum, 4 * 5 * 40);
    yoke_close(ex);
    return 0;
}

/* ---- In threads ---- */

TEST(outside_of_coroutines_scopes_do_nothing)
{
    yoke_scope s;
    yoke_scope_begin_timed(&s, 0);
    CHECK_INT(yoke_sleep(YOKE_MS), 0);
    CHECK_INT(yoke_yield(), 0);
    CHECK_INT(yoke_checkpoint(), 0);
    CHECK(yoke_effective_deadline() == YOKE_FOREVER);
    CHECK_INT(yoke_scope_end(&s), 0);
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_go(&g, says, text("x")), -EINVAL);
    CHECK_INT(yoke_group_end(&g), -EINVAL);
    CHECK_STR(yoke_async_backend(), "");
    CHECK_INT(yoke_started(NULL), -EINVAL);
}

static int runs_again(void *arg)
{
    return yoke_async_run(runs_again, NULL);
}

TEST(a_loop_in_a_loop_is_refused)
{
    CHECK_INT(yoke_async_run(runs_again, NULL), -EBUSY);
}

static int sets_rounding(void *arg)
{
    volatile double one = 1, three = 3, up, down;
    __asm__ volatile("" ::: "memory");
    int *upward = arg;
#if defined(__x86_64__)
    unsigned csr = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((csr & ~0x6000u) | (*upward ? 0x4000u : 0x2000u));
#endif
    up = one / three;
    yoke_yield();
    down = one / three;
    CHECK(up == down);
    *upward = *upward ? up > 1.0 / 3 : up < 1.0 / 3;
    return 0;
}

ASYNC_TEST(rounding_can_be_a_coroutines_own)
{
#if defined(__x86_64__)
    int up = 1, down = 0;
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go_with(&g, &(yoke_go_opts){.keep_fp = true}, sets_rounding, &up);
    yoke_go_with(&g, &(yoke_go_opts){.keep_fp = true}, sets_rounding, &down);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK((__builtin_ia32_stmxcsr() & 0x6000) == 0);
#endif
    return 0;
}

/* ---- Many ---- */

static int yields_often(void *arg)
{
    for (int i = 0; i < 100; i++)
        yoke_yield();
    ++*(long *)arg;
    return 0;
}

/* ThreadSanitizer has some 8000 fibers in all. */
#ifdef YK_WITH_TSAN
enum { MANY = 3000 };
#else
enum { MANY = 10000 };
#endif

ASYNC_TEST(many_take_turns)
{
    long done = 0;
    yoke_group g;
    yoke_group_begin(&g);
    for (int i = 0; i < MANY; i++)
        yoke_go(&g, yields_often, &done);
    yoke_async_counts counts;
    CHECK_INT(yoke_async_stats(&counts), 0);
    CHECK_INT(counts.coroutines, MANY + 1);
    CHECK_INT(counts.ready, MANY);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(done, MANY);
    CHECK_INT(yoke_async_stats(&counts), 0);
    CHECK_INT(counts.coroutines, 1);
    CHECK_INT(counts.ended, MANY);
    return 0;
}

ASYNC_TEST(stacks_of_other_sizes)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_go_with(&g, &(yoke_go_opts){.stack = 8 << 20}, says, text("8")), 0);
    CHECK_INT(yoke_go_with(&g, &(yoke_go_opts){.stack = 16 << 10}, says, text("s")), 0);
    CHECK_INT(yoke_go_with(&g, &(yoke_go_opts){.stack = (size_t)1 << 40}, says, text("x")), -ENOMEM);
    CHECK_INT(yoke_group_end(&g), -ENOMEM);
    CHECK_STR(said, "8s");
    return 0;
}
