/* executor_edge.c - the executor `async` where several threads meet: cancels of jobs that just begin, attempts that follow each
 * other, stacks that are short, loops that end one after the other. */
#include "async/async.h"
#include "test.h"
#include <sys/mman.h>
#include <unistd.h>
#include <yoke/executor.h>
#include <yoke/task.h>

static _Atomic int begun;

YOKE_TASK(int, sleeps_for_ever)
{
    begun++;
    return yoke_sleep(YOKE_FOREVER);
}

YOKE_TASK(int, does_nothing)
{
    return 0;
}

static void wait_until_begun(int n)
{
    while (begun < n)
        usleep(10);
}

/* ---- Cancels ---- */

/* Its loop has just taken it, and has not entered yet where cancels find it. */
TEST(a_cancel_may_come_while_a_job_begins)
{
    yoke_executor *ex = yoke_open("async:1");
    for (int i = 0; i < 2000; i++) {
        yoke_future *f = yoke_submit(ex, sleeps_for_ever);
        for (int n = 0; n < 100000000 && (atomic_load(&f->state) & YK_PHASE) == YK_QUEUED; n++)
            ;
        yoke_cancel(f);
        yoke_wait(f); /* ends; its code is the task's affair */
        yoke_release(f);
    }
    yoke_close(ex);
}

YOKE_TASK(int, tries_again)
{
    if (yoke_attempt() < 3)
        return yoke_retry(0);
    begun++;
    return yoke_sleep(YOKE_FOREVER);
}

/* The next attempt may run elsewhere before the loop of the last one has put it away. */
TEST(a_cancel_finds_the_attempt_that_runs)
{
    enum { JOBS = 100, ROUNDS = 50 };
    yoke_executor *ex = yoke_open("async:2");
    yoke_future *fs[JOBS];
    for (int round = 0; round < ROUNDS; round++) {
        begun = 0;
        for (int i = 0; i < JOBS; i++)
            fs[i] = yoke_submit(ex, tries_again);
        wait_until_begun(JOBS);
        for (int i = 0; i < JOBS; i++)
            yoke_cancel(fs[i]);
        for (int i = 0; i < JOBS; i++) {
            yoke_wait(fs[i]);
            yoke_release(fs[i]);
        }
    }
    yoke_close(ex);
}

/* ---- No stack ---- */

static int result;

/* Of the two jobs one has a coroutine, and the other must wait until that has ended. It ends without a job. */
YOKE_TASK(int, takes_one_back)
{
    yoke_executor *ex = yoke_current_executor();
    yoke_future *a = yoke_submit(ex, does_nothing), *b = yoke_submit(ex, does_nothing);
    yoke_async_counts counts = {0};
    while (counts.coroutines < 2) {
        yoke_yield();
        yoke_async_stats(&counts);
    }
    result = yoke_cancel(a);
    int code = yoke_wait(b);
    yoke_release(a);
    yoke_release(b);
    return code;
}

TEST(a_coroutine_that_found_no_job_gives_its_stack_to_the_next)
{
    yk_stack_guard_best = YK_GUARD_PROTECT;
    yk_stack_guard_limit = 2;
    yoke_executor *ex = yoke_open("async:1");
    yoke_future *f = yoke_submit(ex, takes_one_back);
    CHECK_INT(yoke_wait(f), 0);
    CHECK_INT(result, 0);
    yoke_release(f);
    yoke_close(ex);
}

/* ---- Jobs that wait for jobs for which there is no stack ---- */

static yoke_executor *open_with_stacks(const char *uri, size_t stacks)
{
    yk_stack_guard_best = YK_GUARD_PROTECT;
    yk_stack_guard_limit = stacks;
    return yoke_open(uri);
}

/* A tree of jobs, of which the inner ones wait for their children: how many leaves there were, and of the jobs some may fail. */
static _Atomic int refused;

YOKE_TASK(int, is_a_tree, (int, depth))
{
    if (depth == 0)
        return 1;
    int sum = 0;
    yoke_future *two[2];
    for (int i = 0; i < 2; i++)
        two[i] = yoke_submit(yoke_current_executor(), is_a_tree, depth - 1);
    for (int i = 0; i < 2; i++) {
        int leaves = 0, err = yoke_try(two[i], &leaves);
        if (err == -ENOMEM && strstr(yoke_error(two[i]), "stack"))
            refused++;
        else if (err < 0)
            yoke_fail(err, "not for want of a stack");
        sum += leaves;
        yoke_release(two[i]);
    }
    return sum;
}

static void grow(const char *uri, size_t stacks, int depth)
{
    refused = 0;
    yoke_executor *ex = open_with_stacks(uri, stacks);
    yoke_future *f = yoke_submit(ex, is_a_tree, depth);
    int leaves = 0;
    CHECK_INT(yoke_try(f, &leaves), 0);
    CHECK(refused > 0);
    CHECK(leaves < 1 << depth);
    yoke_release(f);
    yoke_close(ex);
}

TEST(jobs_that_wait_for_jobs_without_stacks_go_on)
{
    grow("async:1", 1, 1);
    grow("async:1", 3, 6);
    grow("async:2", 5, 8);
    grow("async:4", 9, 8);
}

/* All that fit are waited for by all that have stacks. */
TEST(with_stacks_enough_none_is_refused)
{
    for (int i = 0; i < 20; i++) {
        yoke_executor *ex = open_with_stacks("async:2", 40);
        yoke_future *f = yoke_submit(ex, is_a_tree, 4);
        int leaves = 0;
        CHECK_INT(yoke_try(f, &leaves), 0);
        CHECK_INT(leaves, 16);
        yoke_release(f);
        yoke_close(ex);
    }
}

static int gather_two(yoke_future *const *two)
{
    return yoke_gather(two, 2);
}

static int wait_for_all(yoke_future *const *two)
{
    yoke_future *all = yoke_all(two, 2);
    int err = yoke_wait(all);
    yoke_release(all);
    return err;
}

static int wait_for_any(yoke_future *const *two)
{
    size_t which = 2;
    int err = yoke_wait_any(two, 2, &which);
    return err < 0 ? err : yoke_code(two[which]);
}

static int wait_in_group(yoke_future *const *two)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_group_add(&g, two[0]);
    yoke_group_add(&g, two[1]);
    return yoke_group_end(&g);
}

/* Futures made of futures: all of any of all, and so on; the last is made of the two. */
static int wait_for_nested(yoke_future *const *two)
{
    enum { DEPTH = 6 };
    yoke_future *made[DEPTH][2];
    for (int i = 0; i < DEPTH; i++)
        for (int k = 0; k < 2; k++)
            made[i][k] = i % 2 == 0 ? yoke_all(i == 0 ? two : made[i - 1], 2) : yoke_any(made[i - 1], 2);
    int err = yoke_wait(made[DEPTH - 1][0]);
    for (int i = 0; i < DEPTH; i++)
        for (int k = 0; k < 2; k++) {
            yoke_code(made[i][k]); /* no error is lost */
            yoke_release(made[i][k]);
        }
    return err < 0 ? err : yoke_code(two[0]);
}

static int wait_for_completion_of_nested(yoke_future *const *two)
{
    yoke_future *all = yoke_all(two, 2), *any = yoke_any(&all, 1);
    int err = yoke_gather(&any, 1);
    yoke_code(all);
    yoke_release(all);
    yoke_release(any);
    return err < 0 ? err : yoke_code(two[0]);
}

static int (*const ways[])(yoke_future *const *two) = {gather_two,    wait_for_all,    wait_for_any,
                                                       wait_in_group, wait_for_nested, wait_for_completion_of_nested};

YOKE_TASK(int, waits_for_two, (int, way))
{
    yoke_future *two[2];
    for (int i = 0; i < 2; i++)
        two[i] = yoke_submit(yoke_current_executor(), does_nothing);
    int err = ways[way](two);
    for (int i = 0; i < 2; i++)
        yoke_release(two[i]);
    return err;
}

TEST(whichever_way_they_wait)
{
    for (int way = 0; way < (int)YK_COUNT_OF(ways); way++) {
        bool grouped = ways[way] == wait_in_group; /* which needs a coroutine for each */
        yoke_executor *ex = open_with_stacks("async:1", grouped ? 3 : 1);
        yoke_future *f = yoke_submit(ex, waits_for_two, way);
        int code = 0;
        CHECK_INT(yoke_try(f, &code), 0);
        CHECK_INT(code, -ENOMEM);
        yoke_release(f);
        yoke_close(ex);
    }
}

/* Of two that have stacks one waits for something that somebody else may do: then nobody can say that there will be no stack. */
static yoke_event may_go;

YOKE_TASK(int, waits_for_an_event)
{
    begun++;
    return yoke_event_wait(&may_go);
}

YOKE_TASK(int, waits_for_a_computation, (yoke_bytes, executor))
{
    begun++;
    yoke_executor *threads;
    memcpy(&threads, executor.ptr, sizeof threads);
    yoke_future *f = yoke_submit(threads, waits_for_an_event);
    int code = yoke_wait(f);
    yoke_release(f);
    return code;
}

YOKE_TASK(int, sleeps_a_while)
{
    begun++;
    return yoke_sleep(100 * YOKE_MS);
}

YOKE_TASK(int, waits_with_a_limit)
{
    yoke_future *f = yoke_submit(yoke_current_executor(), does_nothing);
    int late;
    YOKE_TIMEOUT(100 * YOKE_MS, &late)
        yoke_wait(f);
    yoke_release(f);
    return late;
}

static void go_on_with(yoke_executor *ex, yoke_future *holder)
{
    yoke_future *f = yoke_submit(ex, waits_for_two, 0);
    int code = -1;
    usleep(50000);
    yoke_event_set(&may_go);
    CHECK_INT(yoke_try(f, &code), 0);
    CHECK_INT(code, 0);
    CHECK_INT(yoke_wait(holder), 0);
    yoke_release(f);
    yoke_release(holder);
}

TEST(what_may_be_woken_is_waited_for)
{
    yoke_executor *ex = open_with_stacks("async:1", 2), *threads = yoke_open("threads:1");
    for (int i = 0; i < 3; i++) {
        begun = 0;
        yoke_event_init(&may_go, 0);
        yoke_future *holder = i == 0 ? yoke_submit(ex, waits_for_an_event) : i == 1 ? yoke_submit(ex, sleeps_a_while)
                              : yoke_submit(ex, waits_for_a_computation, (yoke_bytes){(void *)&threads, sizeof threads});
        wait_until_begun(i == 2 ? 2 : 1);
        go_on_with(ex, holder);
    }
    yoke_close(ex);
    yoke_close(threads);
}

TEST(a_time_limit_ends_the_wait_for_a_stack)
{
    yoke_executor *ex = open_with_stacks("async:1", 1);
    int code = 0;
    yoke_future *f = yoke_submit(ex, waits_with_a_limit);
    CHECK_INT(yoke_try(f, &code), 0);
    CHECK_INT(code, -ETIMEDOUT);
    yoke_release(f);
    f = yoke_opt_submit(ex, (timeout = 50 * YOKE_MS), waits_for_two, 0);
    CHECK_INT(yoke_wait(f), -ETIMEDOUT);
    yoke_release(f);
    yoke_close(ex);
}

/* The time limit of an attempt begins with it, and so ends no wait for a stack; a deadline does. */
typedef enum limits { TIMEOUT, DEADLINE, AFTER_A_DEADLINE, BOTH } limits;

YOKE_TASK(int, waits_for_a_limited_one, (int, limit))
{
    yoke_executor *ex = yoke_current_executor();
    yoke_future *before = yoke_submit(ex, does_nothing), *f;
    int64_t soon = yoke_now() + 50 * YOKE_MS;
    if (limit == TIMEOUT)
        f = yoke_opt_submit(ex, (timeout = 50 * YOKE_MS), does_nothing);
    else if (limit == DEADLINE)
        f = yoke_opt_submit(ex, (deadline = soon), does_nothing);
    else if (limit == AFTER_A_DEADLINE)
        f = yoke_opt_submit(ex, (deadline = soon, after = before), does_nothing);
    else
        f = yoke_opt_submit(ex, (deadline = soon, timeout = 10 * YOKE_MS), does_nothing);
    int err = yoke_wait(f);
    yoke_release(before);
    yoke_release(f);
    return err;
}

static int code_of_a_limited_one(limits limit)
{
    yoke_executor *ex = open_with_stacks("async:1", 1);
    yoke_future *f = yoke_submit(ex, waits_for_a_limited_one, (int)limit);
    int code = 0;
    CHECK_INT(yoke_wait_timed(f, 20 * YOKE_S), 0);
    CHECK_INT(yoke_try(f, &code), 0);
    yoke_release(f);
    yoke_close(ex);
    return code;
}

TEST(a_job_with_a_timeout_waits_for_a_stack_like_any)
{
    CHECK_INT(code_of_a_limited_one(TIMEOUT), -ENOMEM);
}

TEST(a_job_with_a_deadline_needs_no_stack)
{
    CHECK_INT(code_of_a_limited_one(DEADLINE), -ETIMEDOUT);
    CHECK_INT(code_of_a_limited_one(AFTER_A_DEADLINE), -ETIMEDOUT);
    CHECK_INT(code_of_a_limited_one(BOTH), -ETIMEDOUT);
}

/* An attempt that runs ends by its timeout: who waits for it is not stuck, and what has no stack waits for that. */
YOKE_TASK(int, waits_for_a_running_one)
{
    yoke_executor *ex = yoke_current_executor();
    yoke_future *f = yoke_opt_submit(ex, (timeout = 100 * YOKE_MS), sleeps_for_ever);
    while (begun == 0)
        yoke_sleep(YOKE_MS);
    yoke_future *rest = yoke_submit(ex, does_nothing);
    int err = yoke_wait(f);
    int code = yoke_wait(rest);
    yoke_release(f);
    yoke_release(rest);
    return err == -ETIMEDOUT ? code : err;
}

TEST(an_attempt_with_a_timeout_ends)
{
    yoke_executor *ex = open_with_stacks("async:1", 2);
    begun = 0;
    yoke_future *f = yoke_submit(ex, waits_for_a_running_one);
    int code = -1;
    CHECK_INT(yoke_try(f, &code), 0);
    CHECK_INT(code, 0);
    yoke_release(f);
    yoke_close(ex);
}

/* What one loop has no stack for another may have. */
YOKE_TASK(int, fills_its_loop)
{
    begun++;
    while (begun < 3)
        yoke_sleep(YOKE_MS);
    return 0;
}

TEST(another_loop_takes_what_one_has_no_stack_for)
{
    yoke_executor *ex = open_with_stacks("async:2", 3);
    yoke_future *fs[3];
    begun = 0;
    for (int i = 0; i < 3; i++)
        fs[i] = yoke_submit(ex, fills_its_loop);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(yoke_wait(fs[i]), 0);
        yoke_release(fs[i]);
    }
    yoke_close(ex);
}

/* ---- Ending ---- */

static _Thread_local bool is_slow;

static int slow_madvise(void *at, size_t len, int advice)
{
    if (is_slow)
        usleep(300);
    return madvise(at, len, advice);
}

YOKE_TASK(int, blocks_its_loop, (int, slow))
{
    is_slow = slow; /* for making new stacks */
    begun++;
    while (!yoke_cancelled())
        usleep(100);
    return 0;
}

static void close_a_full_one(int jobs)
{
    yoke_executor *ex = yoke_open("async:2");
    begun = 0;
    yoke_release(yoke_submit(ex, blocks_its_loop, 0));
    yoke_release(yoke_submit(ex, blocks_its_loop, 1));
    wait_until_begun(2);
    for (int i = 0; i < jobs; i++)
        yoke_release(yoke_submit(ex, does_nothing));
    CHECK_INT(yoke_close_now(ex), 0);
}

/* What was cancelled is still in the queue. One loop is through with it and could end, while the other is about to tell it that
 * there is more. */
TEST(no_loop_is_closed_before_all_have_ended)
{
    yk_sys.madvise = slow_madvise;
    for (int jobs = 60; jobs < 76; jobs++)
        close_a_full_one(jobs);
}
