/* thread_call.c - functions in other threads: results, cancels before, while and after, what is dropped, loops that are gone. */
#include "loops.h"
#include <stdatomic.h>
#include <yoke/sync.h>
#include <yoke/task.h>

typedef struct job {
    _Atomic bool begun, may_end, dropped;
    int code;
    bool in_coroutine;
    pthread_t thread;
} job;

static int quick(void *arg)
{
    job *j = arg;
    j->thread = pthread_self();
    j->in_coroutine = yoke_in_coroutine();
    return j->code;
}

static int slow(void *arg)
{
    job *j = arg;
    atomic_store(&j->begun, true);
    while (!atomic_load(&j->may_end))
        usleep(100);
    return j->code;
}

static void drop(void *arg)
{
    job *j = arg;
    CHECK(!atomic_exchange(&j->dropped, true));
}

static void await(_Atomic bool *flag)
{
    while (!atomic_load(flag))
        yoke_sleep(100 * YOKE_US);
}

ALL(results)
{
    for (int code = -5; code < 6; code++) {
        job j = {.code = code}, k = {.code = code};
        CHECK_INT(yoke_to_thread(quick, &j), code);
        CHECK(!j.in_coroutine);
        CHECK_INT(!pthread_equal(j.thread, pthread_self()), yoke_in_coroutine());
        CHECK_INT(yoke_to_thread_abandon(quick, &k, drop), code);
        CHECK(!k.dropped);
    }
    job j = {.code = -ECANCELED};
    CHECK_INT(yoke_to_thread_abandon(quick, &j, drop), -ECANCELED); /* always the same */
    CHECK(j.dropped);
}

static int64_t call_slow(void *arg)
{
    return yoke_to_thread(slow, arg);
}

static int64_t call_slow_loosely(void *arg)
{
    return yoke_to_thread_abandon(slow, arg, drop);
}

/* The wait goes on until the function returns. */
LOOPS(a_cancel_while_it_runs)
{
    attempt a;
    job j = {.code = 7};
    attempt_begin(&a, call_slow, &j);
    await(&j.begun);
    yoke_scope_cancel(&a.scope);
    settle();
    CHECK(!a.over);
    j.may_end = true;
    CHECK_INT(attempt_end(&a), 7);
    CHECK_INT(a.ended, 0);
}

LOOPS(abandoned)
{
    attempt a;
    job j = {.code = 7};
    attempt_begin(&a, call_slow_loosely, &j);
    await(&j.begun);
    yoke_scope_cancel(&a.scope);
    CHECK_INT(attempt_end(&a), -ECANCELED);
    CHECK_INT(a.ended, -ECANCELED);
    CHECK(!j.dropped);
    j.may_end = true;
    await(&j.dropped);
}

static int count_it(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
    return 0;
}

/* What has not begun, since all threads are busy, is taken back. */
LOOPS(a_cancel_before_it_begins)
{
    enum { MOST = 40 };
    job busy[MOST] = {0}, never = {0}, loose = {0};
    attempt a[MOST], b, c;
    _Atomic int count = 0;
    for (int i = 0; i < MOST; i++)
        attempt_begin(&a[i], call_slow, &busy[i]);
    attempt_begin(&b, call_slow, &never);
    attempt_begin(&c, call_slow_loosely, &loose);
    yoke_scope_cancel(&b.scope);
    yoke_scope_cancel(&c.scope);
    CHECK_INT(attempt_end(&c), -ECANCELED);
    CHECK(loose.dropped && !loose.begun);
    CHECK_INT(attempt_end(&b), -ECANCELED);
    CHECK(!never.begun);
    for (int i = 0; i < MOST; i++)
        busy[i].may_end = true;
    for (int i = MOST; i-- > 0;)
        CHECK_INT(attempt_end(&a[i]), 0);
    CHECK_INT(yoke_to_thread(count_it, &count), 0);
    CHECK_INT(count, 1);
}

LOOPS(in_a_cancelled_scope)
{
    job j = {0};
    YOKE_TIMEOUT(0, NULL) {
        CHECK_INT(yoke_to_thread(quick, &j), -ECANCELED);
        CHECK_INT(yoke_to_thread_abandon(quick, &j, drop), -ECANCELED);
    }
    CHECK(j.dropped);
    CHECK_INT(j.thread, 0);
}

/* The loop ends before the function does. */
static int abandon_and_end(void *arg)
{
    attempt a;
    attempt_begin(&a, call_slow_loosely, arg);
    await(&((job *)arg)->begun);
    yoke_scope_cancel(&a.scope);
    return (int)attempt_end(&a);
}

TEST(a_loop_that_is_gone)
{
    job j = {0};
    CHECK_INT(yoke_async_run(abandon_and_end, &j), -ECANCELED);
    CHECK(!j.dropped);
    j.may_end = true;
    yk_offload_end();
    CHECK(j.dropped);
}

/* A cancel and the end at the same moment: either, and the argument is dropped just then. */
static int end_soon(void *arg)
{
    usleep((unsigned)(test_random() % 60));
    return 1;
}

static int64_t call_end_soon(void *arg)
{
    return yoke_to_thread_abandon(end_soon, arg, drop);
}

LOOPS(a_cancel_as_it_ends)
{
    job jobs[200] = {0};
    for (int i = 0; i < 200; i++) {
        attempt a;
        attempt_begin(&a, call_end_soon, &jobs[i]);
        for (int k = i % 8; k-- > 0;)
            yoke_sleep(10 * YOKE_US);
        if (!a.over)
            yoke_scope_cancel(&a.scope);
        int64_t result = attempt_end(&a);
        CHECK(result == 1 || result == -ECANCELED);
        if (result == 1)
            CHECK(!jobs[i].dropped);
        else
            await(&jobs[i].dropped);
    }
}

LOOPS(no_thread)
{
    job j = {.code = 3};
    yk_sys_fail("pthread_create", 1, EAGAIN);
    CHECK_INT(yoke_to_thread(quick, &j), -EAGAIN);
    CHECK_INT(yk_sys_fail("pthread_create", 1, EAGAIN), 1);
    CHECK_INT(yoke_to_thread_abandon(quick, &j, drop), -EAGAIN);
    yk_sys_fail("malloc", 1, ENOMEM);
    CHECK_INT(yoke_to_thread_abandon(quick, &j, drop), -ENOMEM);
    yk_sys_fail("malloc", 0, 0);
    CHECK(!j.dropped);
    CHECK_INT(yoke_to_thread_abandon(quick, &j, drop), 3);
}

/* Outside of the task that called. */
static int fail_it(void *arg)
{
    return yoke_fail(EIO, "nobody hears of this");
}

ALL(a_failure_there)
{
    if (yoke_in_coroutine())
        CHECK_INT(yoke_to_thread(fail_it, NULL), -EIO);
}

static int do_count(void *arg)
{
    for (int i = 0; i < 20; i++)
        CHECK_INT(yoke_to_thread(count_it, arg), 0);
    return 0;
}

LOOPS(many)
{
    _Atomic int count = 0;
    int err = 1;
    YOKE_GROUP(g, &err)
        for (int i = 0; i < 200; i++)
            yoke_go(&g, do_count, &count);
    CHECK_INT(err, 0);
    CHECK_INT(count, 4000);
    CHECK(yk_offload_threads() <= 32);
}
