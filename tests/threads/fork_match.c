/* fork_match.c - YOKE_DEBUG=forks: what is reported of forks and joins that do not match, once per place, and that nothing is
 * reported of those that do, whoever runs them. */
#include "child.h"
#include "fib.h"
#include "sync/who.h"
#include "test.h"
#include "threads/pool.h"
#include <stdlib.h>
#include <yoke.h>

static const char left[] = "yoke: fork without a join: ", many[] = "yoke: join without a fork: ";
static const char other[] = "yoke: join of another fork: ";

/* What fn makes it say; it must end as any other program. */
static child_end watched(void (*fn)(void))
{
    yk_watching_forks = true; /* the child's pool is started after this */
    child_end end = in_child(fn);
    CHECK(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
    return end;
}

static void check_nothing(void (*fn)(void))
{
    child_end end = watched(fn);
    CHECK_STR(end.text, "");
}

YOKE_FORK(int, one, (int, n))
{
    return n + 1;
}

YOKE_FORK(int, two, (int, n))
{
    return n + 2;
}

/* ---- What is right ---- */

YOKE_FORK(int, mixed, (int, n))
{
    yoke_fork(one, n);
    yoke_fork(two, n);
    yoke_fork(one, 2 * n);
    int sum = yoke_join(one);
    sum += yoke_join(two);
    yoke_fork(two, 3 * n);
    sum += one(n); /* a call from outside, in a body */
    sum += yoke_join(two);
    return sum + yoke_join(one);
}

YOKE_LOOP(add_fib, i, (_Atomic(long) *, sum))
{
    atomic_fetch_add(sum, fib((int)(i % 8)));
}

YOKE_ORDER(int, up, a, b)
{
    return *a < *b;
}

static void do_right(void)
{
    _Atomic(long) sum = 0;
    int numbers[5000];
    yoke_executor *ex = yoke_open("threads:4");
    for (int i = 0; i < 5000; i++)
        numbers[i] = i * 7919 % 5000;
    bool right = yoke_run(ex, fib, 16) == 987 && yoke_run(NULL, fib, 12) == 144 && mixed(10) == 11 + 12 + 21 + 32 + 11;
    right = right && yoke_for(ex, 800, add_fib, &sum) == 0 && sum == 100 * (0 + 1 + 1 + 2 + 3 + 5 + 8 + 13);
    right = right && yoke_sort(ex, numbers, 5000, up) == 0 && numbers[0] == 0 && numbers[4999] == 4999;
    yoke_close(ex);
    if (!right)
        _exit(1);
}

TEST(nothing_is_said_of_what_is_right)
{
    check_nothing(do_right);
}

YOKE_FORK(int, deep, (int, n))
{
    if (n == 0)
        return 0;
    yoke_fork(one, n);
    int below = yoke_call(deep, n - 1);
    return yoke_join(one) - n + below;
}

static void do_deep(void)
{
    if (yoke_run(NULL, deep, 3000) != 3000)
        _exit(1);
}

TEST(the_list_grows)
{
    check_nothing(do_deep);
}

/* ---- A fork without a join ---- */

YOKE_FORK(int, forgets, (int, n))
{
    yoke_fork(one, n);
    return n;
}

/* Of which there is one in the code: a place. */
static __attribute__((noinline)) void forget_once(int n)
{
    forgets(n);
}

static void forget_at_the_end(void)
{
    for (int i = 0; i < 3; i++)
        forget_once(i);
}

TEST(a_fork_without_a_join_is_reported_once)
{
    child_end end = watched(forget_at_the_end);
    CHECK_INT(count_of(end.text, left), 1);
    CHECK(strstr(end.text, "forks one at "));
    CHECK(strstr(end.text, "fork_match+0x")); /* for addr2line -e */
    CHECK_INT(count_of(end.text, "\n"), 1);
}

YOKE_FORK(int, calls_forgetful, (int, n))
{
    yoke_fork(two, n);
    int sum = yoke_call(forgets, n);
    return sum + yoke_join(two);
}

YOKE_FORK(int, forks_after_forgetful, (int, n))
{
    int sum = yoke_call(forgets, n);
    yoke_fork(two, n);
    return sum + yoke_join(two);
}

static void forget_before_a_join(void)
{
    if (calls_forgetful(5) != 5 + 7)
        _exit(1);
}

static void forget_before_a_fork(void)
{
    if (forks_after_forgetful(5) != 5 + 7)
        _exit(1);
}

TEST(it_is_seen_at_the_caller_s_next_join_or_fork)
{
    void (*const all[])(void) = {forget_before_a_join, forget_before_a_fork};
    for (size_t i = 0; i < 2; i++) {
        child_end end = watched(all[i]);
        CHECK_INT(count_of(end.text, left), 1);
        CHECK(strstr(end.text, "forks one at "));
        CHECK_INT(count_of(end.text, "\n"), 1);
    }
}

YOKE_FORK(int, forgets_two, (int, n))
{
    yoke_fork(one, n);
    yoke_fork(two, n);
    yoke_fork(one, n);
    return yoke_join(one);
}

static void forget_two(void)
{
    forgets_two(1);
}

TEST(each_place_is_reported)
{
    child_end end = watched(forget_two);
    CHECK_INT(count_of(end.text, left), 2);
    CHECK(strstr(end.text, "forks one at ") && strstr(end.text, "forks two at "));
}

/* ---- Joins ---- */

YOKE_FORK(int, joins_in_order, (int, n))
{
    yoke_fork(one, n);
    yoke_fork(two, n);
    int a = yoke_join(one);
    return a + yoke_join(two);
}

static void join_in_order(void)
{
    joins_in_order(1);
}

TEST(a_join_of_another_name_is_reported)
{
    child_end end = watched(join_in_order);
    CHECK_INT(count_of(end.text, other), 2);
    CHECK(strstr(end.text, "one is joined while the newest fork is that of two at "));
    CHECK(strstr(end.text, "two is joined while the newest fork is that of one at "));
    CHECK_INT(count_of(end.text, "\n"), 2);
}

YOKE_FORK(int, only_joins)
{
    return yoke_join(one);
}

static void join_without_a_fork(void)
{
    if (only_joins() != 0 || only_joins() != 0)
        _exit(1);
}

TEST(a_join_without_a_fork_is_reported_and_gives_zero)
{
    child_end end = watched(join_without_a_fork);
    CHECK_INT(count_of(end.text, many), 1);
    CHECK(strstr(end.text, "joins one more often"));
    CHECK_INT(count_of(end.text, "\n"), 1);
}

YOKE_FORK(int, calls_one_who_joins, (int, n))
{
    yoke_fork(one, n);
    int taken = yoke_call(only_joins);
    return 100 * taken + yoke_join(one);
}

static void join_of_the_caller_s(void)
{
    if (calls_one_who_joins(4) != 500)
        _exit(1);
}

TEST(a_fork_that_another_body_took_is_missed_by_its_own)
{
    child_end end = watched(join_of_the_caller_s);
    CHECK_INT(count_of(end.text, many), 1);
    CHECK_INT(count_of(end.text, "\n"), 1);
}

/* ---- Forks that thieves run ---- */

static atomic_int begun;

YOKE_FORK(void, meets)
{
    atomic_fetch_add(&begun, 1);
    while (atomic_load(&begun) < 2)
        usleep(100);
}

YOKE_FORK(void, meets_and_forgets)
{
    yoke_call(meets);
    yoke_fork(one, 1);
}

YOKE_FORK(void, two_threads)
{
    yoke_fork(meets_and_forgets);
    while (atomic_load(&begun) == 0) { /* a thief has it */
        yoke_fork(two, 1);
        (void)yoke_join(two);
        usleep(100);
    }
    yoke_call(meets);
    yoke_join(meets_and_forgets);
}

static void steal(void)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_run(ex, two_threads);
    yoke_close(ex);
}

TEST(what_a_thief_runs_is_watched)
{
    child_end end = watched(steal);
    CHECK_INT(count_of(end.text, left), 1);
    CHECK(strstr(end.text, "forks one at "));
    CHECK_INT(count_of(end.text, "\n"), 1);
}

/* ---- Without memory, and without the word ---- */

static void forget_without_memory(void)
{
    forgets(1); /* the worker is made, and has its list */
    yk_sys_fail("malloc", 1, ENOMEM);
    bool right = deep(200) == 200;
    yk_sys_fail("malloc", 0, 0);
    if (!right)
        _exit(1);
}

TEST(without_memory_it_runs_all_the_same)
{
    child_end end = watched(forget_without_memory);
    CHECK_INT(count_of(end.text, "\n"), 1);
}

static void forget_and_look(void)
{
    forgets(1);
    const yk_pool_worker *w = yk_pool_anybody();
    if (w && w->forks.match)
        _exit(1);
}

TEST(without_the_word_nothing_is_said)
{
    yk_watching_forks = false;
    child_end end = in_child(forget_and_look);
    CHECK(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
    CHECK_STR(end.text, "");
}
