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
