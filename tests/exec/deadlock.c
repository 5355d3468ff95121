/* deadlock.c - awaits that could never be over are told so: of oneself, in a ring, by way of `after`, of a thread. */
#include "exec/exec.h"
#include "test.h"
#include <yoke.h>
#include <unistd.h>

enum { RING_MAX = 4 };
static yoke_future *_Atomic futures[RING_MAX];
static yoke_thread *_Atomic thread;
static _Atomic int ready, told;
static char texts[RING_MAX][700];
static int codes[RING_MAX];

static yoke_future *future_at(int i)
{
    yoke_future *f;
    while (!(f = atomic_load(&futures[i])))
        usleep(200);
    return f;
}

static void note(int i, int err)
{
    codes[i] = err;
    if (err == -EDEADLK) {
        atomic_fetch_add(&told, 1);
        snprintf(texts[i], sizeof texts[i], "%s", yoke_deadlock());
    }
}

/* ---- Oneself ---- */

YOKE_TASK(int, wait_for_myself)
{
    yoke_future *f = future_at(0);
    note(0, yoke_wait(f));
    codes[1] = yoke_wait_until(f, yoke_now() + YOKE_S);
    return 5;
}

static void check_self(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    yoke_future *f = yoke_submit(ex, wait_for_myself);
    atomic_store(&futures[0], f);
    int v = 0;
    CHECK_INT(yoke_try(f, &v), 0);
    CHECK_INT(v, 5);
    CHECK_INT(codes[0], -EDEADLK);
    CHECK_INT(codes[1], -EDEADLK); /* it could only time out */
    CHECK_HAS(texts[0], "deadlock: thread \"yoke-worker-");
    CHECK_HAS(texts[0], " waits for wait_for_myself (deadlock.c:");
    CHECK_HAS(texts[0], "), run by thread \"yoke-worker-");
    yoke_close(ex);
}

TEST(a_task_that_waits_for_itself)
{
    check_self("threads:2");
}

TEST(a_task_that_waits_for_itself_on_one_worker)
{
    check_self("threads:1");
}

YOKE_TASK(int, await_myself)
{
    return yoke_await(future_at(0), int) + 1;
}

TEST(await_fails_the_task_with_the_text)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *f = yoke_submit(ex, await_myself);
    atomic_store(&futures[0], f);
    CHECK_INT(yoke_wait(f), -EDEADLK);
    CHECK_HAS(yoke_error(f), "await_myself: deadlock: thread \"");
    CHECK_HAS(yoke_error(f), "waits for await_myself (deadlock.c:");
    yoke_close(ex);
}

/* A job with a time limit ends without its task: who waits for it is not lost. */
TEST(a_time_limit_is_a_way_out)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *f = yoke_opt_submit(ex, (timeout = 20 * YOKE_MS), wait_for_myself);
    atomic_store(&futures[0], f);
    CHECK_INT(yoke_wait(f), -ETIMEDOUT);
    yoke_close(ex);
    CHECK_INT(codes[0], -ETIMEDOUT);
}

/* ---- Rings ---- */

YOKE_TASK(int, wait_for_next, (int, i), (int, n))
{
    yoke_future *f = future_at((i + 1) % n);
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < n) /* all of them run: nobody is helped */
        usleep(200);
    note(i, yoke_wait(f));
    return i;
}

static void check_ring(int n)
{
    char uri[32];
    snprintf(uri, sizeof uri, "threads:%d", n);
    yoke_executor *ex = yoke_open(uri);
    for (int i = 0; i < n; i++)
        atomic_store(&futures[i], yoke_submit(ex, wait_for_next, i, n));
    for (int i = 0; i < n; i++)
        CHECK_INT(yoke_wait(futures[i]), 0);
    CHECK_INT(told, 1); /* one is told, the others go on */
    for (int i = 0; i < n; i++) {
        if (codes[i] != -EDEADLK)
            continue;
        const char *at = texts[i];
        for (int k = 0; k < n; k++, at++)
            CHECK(at = strstr(at, "waits for wait_for_next (deadlock.c:"));
        CHECK(!strstr(at, "waits for"));
    }
    yoke_close(ex);
}

TEST(a_ring_of_two)
{
    check_ring(2);
}

TEST(a_ring_of_four)
{
    check_ring(4);
}

/* The second is run by the first's own wait, on the same stack. */
YOKE_TASK(int, inner_part)
{
    note(1, yoke_wait(future_at(0)));
    return 1;
}

YOKE_TASK(int, outer_part)
{
    yoke_future *f = yoke_submit(yoke_current_executor(), inner_part);
    note(0, yoke_wait(f));
    yoke_release(f);
    return 2;
}

TEST(a_part_that_waits_for_its_whole)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, outer_part);
    atomic_store(&futures[0], f);
    CHECK_INT(yoke_wait(f), 0);
    CHECK_INT(codes[0], 0);
    CHECK_INT(codes[1], -EDEADLK);
    CHECK_HAS(texts[1], "waits for outer_part (deadlock.c:");
    yoke_close(ex);
}

/* ---- By way of `after` ---- */

YOKE_TASK(int, wait_for_the_one_after_me)
{
    note(0, yoke_wait(future_at(1)));
    return 3;
}

YOKE_TASK(int, comes_after)
{
    return 4;
}

TEST(waiting_for_a_job_that_comes_after)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *first = yoke_submit(ex, wait_for_the_one_after_me);
    atomic_store(&futures[1], yoke_opt_submit(ex, (after = first), comes_after));
    int v = 0;
    CHECK_INT(yoke_try(first, &v), 0);
    CHECK_INT(v, 3);
    CHECK_INT(codes[0], -EDEADLK);
    CHECK_HAS(texts[0], "waits for comes_after (deadlock.c:");
    CHECK_INT(yoke_try(futures[1], &v), 0);
    CHECK_INT(v, 4);
    yoke_close(ex);
}

/* ---- By way of yoke_all() ---- */

YOKE_TASK(int, wait_for_all, (int, i))
{
    yoke_future *both[2] = {future_at(0), future_at(1)}, *done[1] = {future_at(2)};
    yoke_future *all = i == 0 ? yoke_all(&both[1], 1) : yoke_all(both, 2), *one = yoke_all(done, 1);
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < 2)
        usleep(200);
    int fine = yoke_wait(one);
    note(i, yoke_wait(all));
    yoke_release(all);
    yoke_release(one);
    return fine;
}

TEST(a_ring_by_way_of_all)
{
    yoke_executor *ex = yoke_open("threads:3");
    atomic_store(&futures[2], yoke_submit(ex, comes_after));
    for (int i = 0; i < 2; i++)
        atomic_store(&futures[i], yoke_submit(ex, wait_for_all, i));
    /* The second waits for itself too, so it is told in any case; the first then goes on. */
    for (int i = 0; i < 2; i++)
        CHECK_INT(yoke_wait(futures[i]), 0);
    CHECK(told >= 1);
    CHECK_INT(codes[1], -EDEADLK);
    CHECK_HAS(texts[1], "waits for yoke_all, run by thread \"yoke-worker-");
    yoke_close(ex);
}

YOKE_TASK(int, waits_for_parts, (int, n))
{
    if (n < 2)
        return 0;
    yoke_future *parts[8] = {NULL};
    for (int i = 0; i < n; i++)
        parts[i] = yoke_submit(yoke_current_executor(), waits_for_parts, n / 2);
    yoke_future *all = yoke_all(parts, (size_t)n);
    int err = yoke_wait(all);
    yoke_release(all);
    for (int i = 0; i < n; i++)
        yoke_release(parts[i]);
    return err;
}

TEST(waits_for_parts_are_none)
{
    yoke_executor *ex = yoke_open("threads:3");
    for (int i = 0; i < 10; i++) {
        int v = -1;
        yoke_future *f = yoke_submit(ex, waits_for_parts, 8);
        CHECK_INT(yoke_try(f, &v), 0);
        CHECK_INT(v, 0);
        yoke_release(f);
    }
    yoke_close(ex);
}

/* ---- Threads and tasks ---- */

static int wait_for_the_task(void *arg)
{
    yoke_future *f = future_at(0);
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < 2)
        usleep(200);
    note(1, yoke_wait(f));
    return 0;
}

YOKE_TASK(int, join_the_thread)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < 2 || !atomic_load(&thread))
        usleep(200);
    note(0, yoke_thread_join(thread));
    return 6;
}

TEST(a_thread_and_a_task)
{
    yoke_executor *ex = yoke_open("threads:2");
    atomic_store(&futures[0], yoke_submit(ex, join_the_thread));
    yoke_thread *t = yoke_thread_call("waiter", wait_for_the_task, NULL);
    atomic_store(&thread, t);
    CHECK_INT(yoke_wait(futures[0]), 0);
    CHECK_INT(yoke_thread_join(t), 0);
    CHECK_INT(told, 1);
    CHECK_HAS(texts[codes[1] == -EDEADLK], "joins thread \"waiter\"");
    CHECK_HAS(texts[codes[1] == -EDEADLK], "waits for join_the_thread (deadlock.c:");
    yoke_thread_release(t);
    yoke_close(ex);
}

/* ---- No false alarms ---- */

YOKE_TASK(int, tree, (int, depth))
{
    if (depth == 0)
        return 1;
    yoke_executor *ex = yoke_current_executor();
    yoke_future *a = yoke_submit(ex, tree, depth - 1), *b = yoke_submit(ex, tree, depth - 1);
    int sum = yoke_await(a, int) + yoke_await(b, int);
    yoke_release(a);
    yoke_release(b);
    return sum;
}

TEST(trees_of_waits_are_none)
{
    yoke_executor *ex = yoke_open("threads:3");
    for (int i = 0; i < 20; i++) {
        yoke_future *f = yoke_submit(ex, tree, 6);
        int v = 0;
        CHECK_INT(yoke_try(f, &v), 0);
        CHECK_INT(v, 64);
        yoke_release(f);
    }
    yoke_close(ex);
    CHECK_STR(yoke_deadlock(), "");
}

/* Whose attempt is over waits for nobody, though a former runner of it may. */
YOKE_TASK(int, second_attempt)
{
    if (yoke_attempt() == 1)
        yoke_retry(2 * YOKE_MS);
    return (int)yoke_attempt();
}

YOKE_TASK(int, waits_for_a_retry)
{
    int v = 0;
    yoke_future *f = yoke_submit(yoke_current_executor(), second_attempt);
    int err = yoke_try(f, &v);
    yoke_release(f);
    return err < 0 ? err : v;
}

TEST(retries_are_none)
{
    yoke_executor *ex = yoke_open("threads:2");
    for (int i = 0; i < 20; i++) {
        yoke_future *f[4];
        for (int k = 0; k < 4; k++)
            f[k] = yoke_submit(ex, waits_for_a_retry);
        for (int k = 0; k < 4; k++) {
            int v = 0;
            CHECK_INT(yoke_try(f[k], &v), 0);
            CHECK_INT(v, 2);
            yoke_release(f[k]);
        }
    }
    yoke_close(ex);
}

TEST(no_memory_for_records_means_no_check)
{
    yk_sys_fail("calloc", 1, ENOMEM);
    CHECK(!yk_who_self());
    yk_sys_fail("calloc", 0, 0);
    CHECK(yk_who_self());
    CHECK(yk_who_self() == yk_who_self());
}
