/* sync_deadlock.c - the search for deadlocks sees coroutines: orders of locks, rings of locks and of awaits, in one loop and
 * between two; it calls them by their names, and says nothing where a wait will end by itself. */
#include "child.h"
#include "sync/watching.h"
#include <errno.h>
#include <stdatomic.h>
#include <yoke/async.h>
#include <yoke/executor.h>
#include <yoke/sync.h>
#include <yoke/task.h>

static yoke_lock A, B;
static yoke_rlock R, S;
static _Atomic int refused;

static child_end watched(void (*fn)(void))
{
    yk_watch_read_debug("locks"); /* for the child */
    yoke_lock_name(&A, "A");
    yoke_lock_name(&B, "B");
    yoke_rlock_name(&R, "R");
    yoke_rlock_name(&S, "S");
    return in_child(fn);
}

/* Two coroutines called alice and bob, one after the other until each waits. */
static int (*of_alice)(void *arg), (*of_bob)(void *arg);

static int both(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go_with(&g, &(yoke_go_opts){.name = "alice"}, of_alice, NULL);
    yoke_go_with(&g, &(yoke_go_opts){.name = "bob"}, of_bob, NULL);
    return yoke_group_end(&g);
}

static void run_both(int (*alice)(void *arg), int (*bob)(void *arg))
{
    of_alice = alice;
    of_bob = bob;
    if (yoke_async_run(both, NULL) != 0)
        _exit(3);
}

static void note(int err)
{
    if (err == -EDEADLK) {
        atomic_fetch_add(&refused, 1);
        fprintf(stderr, "told: %s\n", yoke_deadlock());
    } else if (err != 0) {
        _exit(4);
    }
}

/* ---- Orders ---- */

static int a_then_b(void *arg)
{
    yoke_lock_acquire(&A);
    yoke_lock_acquire(&B);
    yoke_lock_release(&B);
    return yoke_lock_release(&A);
}

static int b_then_a(void *arg)
{
    yoke_lock_acquire(&B);
    yoke_lock_acquire(&A);
    yoke_lock_release(&A);
    return yoke_lock_release(&B);
}

static void two_orders(void)
{
    run_both(a_then_b, b_then_a);
}

TEST(orders_that_contradict_each_other)
{
    child_end end = watched(two_orders);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: lock order inversion");
    CHECK_HAS(end.text, "coroutine \"alice\" acquired lock \"B\"");
    CHECK_HAS(end.text, "coroutine \"bob\" acquires lock \"A\"");
}

static void same_order(void)
{
    run_both(a_then_b, a_then_b);
}

TEST(one_order_is_no_alarm)
{
    child_end end = watched(same_order);
    CHECK_INT(end.status, 0);
    CHECK_STR(end.text, "");
}

/* ---- Rings of locks ---- */

static int r_then_s(void *arg)
{
    yoke_rlock_acquire(&R);
    yoke_yield();
    int err = yoke_rlock_acquire(&S);
    note(err);
    if (err == 0)
        yoke_rlock_release(&S);
    return yoke_rlock_release(&R);
}

static int s_then_r(void *arg)
{
    yoke_rlock_acquire(&S);
    yoke_yield();
    int err = yoke_rlock_acquire(&R);
    note(err);
    if (err == 0)
        yoke_rlock_release(&R);
    return yoke_rlock_release(&S);
}

static void ring(void)
{
    run_both(r_then_s, s_then_r);
    if (refused != 1)
        _exit(5);
}

TEST(two_coroutines_wait_for_each_other)
{
    child_end end = watched(ring);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other");
    CHECK_HAS(end.text, "  coroutine \"bob\" waits for rlock \"R\"");
    CHECK_HAS(end.text, "held by coroutine \"alice\"\n");
    CHECK_HAS(end.text, "told: deadlock: coroutine \"bob\" waits for rlock \"R\"");
}

static int with_a_limit(void *arg)
{
    yoke_scope s;
    yoke_rlock_acquire(&R);
    yoke_yield();
    yoke_scope_begin_timed(&s, 5 * YOKE_MS);
    if (yoke_rlock_until(&S, YOKE_FOREVER) != -ECANCELED)
        _exit(6);
    yoke_scope_end(&s);
    return yoke_rlock_release(&R);
}

static void ring_with_a_limit(void)
{
    run_both(with_a_limit, s_then_r);
    if (refused != 0)
        _exit(5);
}

TEST(a_scope_with_a_deadline_is_a_time_limit)
{
    child_end end = watched(ring_with_a_limit);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "deadlock:"), 0);
}

/* ---- Awaits ---- */

static yoke_future *futures[2];
static yoke_event have_both;
static _Atomic int codes[2];

YOKE_TASK(int, await_the_other, (int, me))
{
    yoke_event_wait(&have_both);
    int code = yoke_wait(futures[1 - me]);
    atomic_store(&codes[me], code == 0 ? 1 : code);
    if (code == -EDEADLK)
        CHECK_HAS(yoke_deadlock(), "run by coroutine \"await_the_other\"");
    return 1;
}

static void await_each_other(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    for (int i = 0; i < 2; i++)
        futures[i] = yoke_submit(ex, await_the_other, i);
    yoke_event_set(&have_both);
    for (int i = 0; i < 2; i++)
        CHECK_INT(yoke_wait(futures[i]), 0);
    CHECK_INT(codes[0] + codes[1], -EDEADLK + 1);
    for (int i = 0; i < 2; i++)
        yoke_release(futures[i]);
    yoke_close(ex);
}

TEST(awaits_of_each_other_in_one_loop)
{
    await_each_other("async:1");
}

TEST(awaits_of_each_other_between_loops)
{
    await_each_other("async:2");
}

YOKE_TASK(int, await_itself)
{
    yoke_event_wait(&have_both);
    return yoke_wait(futures[0]) == -EDEADLK;
}

TEST(an_await_of_itself)
{
    yoke_executor *ex = yoke_open("async:1");
    futures[0] = yoke_submit(ex, await_itself);
    yoke_event_set(&have_both);
    CHECK_INT(yoke_await(futures[0], int), 1);
    yoke_release(futures[0]);
    yoke_close(ex);
}

/* ---- Certain only because everybody waits ---- */

static yoke_event locked;
static bool released_by_another;

YOKE_TASK(int, hold_and_await)
{
    yoke_lock_acquire(&A); /* for the first time: it may be a signal */
    yoke_event_set(&locked);
    yoke_event_wait(&have_both);
    return yoke_wait(futures[1]);
}

YOKE_TASK(int, want)
{
    yoke_event_wait(&locked);
    yoke_event_wait(&have_both);
    int err = yoke_lock_acquire(&A);
    note(err);
    return err;
}

YOKE_TASK(int, somebody_else)
{
    yoke_event_wait(&locked);
    yoke_sleep(200 * YOKE_MS); /* more than two looks of those who wait */
    return yoke_lock_release(&A);
}

static void ring_in_doubt(void)
{
    yoke_executor *ex = yoke_open("async:1");
    futures[0] = yoke_submit(ex, hold_and_await);
    futures[1] = yoke_submit(ex, want);
    yoke_future *other = released_by_another ? yoke_submit(ex, somebody_else) : NULL;
    yoke_event_set(&have_both);
    yoke_wait(futures[0]);
    if (other)
        yoke_wait(other);
    if (refused != !released_by_another)
        _exit(7);
    _exit(0);
}

TEST(a_ring_in_doubt_is_certain_when_all_wait)
{
    if (strcmp(getenv("YOKE_SANITIZE") ? getenv("YOKE_SANITIZE") : "", "thread") == 0)
        NOT_HERE("ThreadSanitizer has a thread of its own");
    child_end end = watched(ring_in_doubt);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "coroutine \"want\" waits for lock \"A\"");
    CHECK_HAS(end.text, "coroutine \"hold_and_await\" waits for want");
}

TEST(and_is_not_while_a_coroutine_may_end_it)
{
    released_by_another = true;
    child_end end = watched(ring_in_doubt);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "deadlock"), 0);
}
