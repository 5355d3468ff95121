/* thread.c - starting and joining threads: results, errors, names, ends; the rules of Python's threading.Thread. */
#include "child.h"
#include "exec/exec.h"
#include "fib.h"
#include <yoke.h>
#include <pthread.h>
#include <sched.h>

YOKE_TASK(double, half_of, (double, x))
{
    if (x < 0) {
        yoke_fail(EDOM, "%g is negative", x);
        return 0;
    }
    return x / 2;
}

YOKE_TASK(yoke_str, greet, (const char *, whom))
{
    char *text = yoke_alloc(64);
    int n = snprintf(text, 64, "hello %s from %s", whom, yoke_thread_name(yoke_thread_current()));
    return (yoke_str){text, (size_t)n};
}

YOKE_TASK(void, nothing)
{
}

/* A gate that threads wait at without any of what is under test. */
static _Atomic int gate, arrived;

static void wait_at_gate(void)
{
    atomic_fetch_add(&arrived, 1);
    while (!atomic_load(&gate))
        usleep(200);
}

static int at_gate(void *arg)
{
    wait_at_gate();
    return arg ? *(int *)arg : 0;
}

static void wait_for_arrivals(int n)
{
    while (atomic_load(&arrived) < n)
        usleep(200);
}

TEST(task_result_and_name)
{
    yoke_thread *t = yoke_thread_start("left half", half_of, 3);
    CHECK(t);
    double v = 0;
    CHECK_INT(yoke_thread_try(t, &v), 0);
    CHECK_NEAR(v, 1.5, 0);
    CHECK_STR(yoke_thread_name(t), "left half");
    CHECK_STR(yoke_thread_error(t), "");
    CHECK_INT(yoke_thread_kind_of(t), YOKE_THREAD_STARTED);
    CHECK_INT(yoke_thread_id(t), 0);
    CHECK(yoke_thread_done(t));
    CHECK(!yoke_thread_release(t));
}

TEST(results_that_point_somewhere_live_with_the_handle)
{
    char whom[16] = "world";
    yoke_thread *t = yoke_thread_start(NULL, greet, whom);
    memset(whom, 'x', sizeof whom); /* it was copied */
    yoke_str s;
    CHECK_INT(yoke_thread_try(t, &s), 0);
    CHECK_INT(s.len, strlen("hello world from greet"));
    CHECK(memcmp(s.ptr, "hello world from greet", s.len) == 0);
    yoke_thread_release(t);
}

TEST(task_error_names_thread_task_and_place)
{
    yoke_thread *t = yoke_thread_start("reckless", half_of, -1);
    CHECK_INT(yoke_thread_join(t), -EDOM);
    CHECK_HAS(yoke_thread_error(t), "thread \"reckless\": half_of: -1 is negative (thread.c:");
    double v = 7;
    CHECK_INT(yoke_thread_try(t, &v), -EDOM);
    CHECK_NEAR(v, 7, 0);
    int wrong_type = 3;
    CHECK_INT(yoke_thread_try(t, &wrong_type), -EDOM);
    yoke_thread_release(t);
}

TEST(wrong_arguments_are_the_threads_error)
{
    yoke_thread *t = yoke_thread_start("deaf", greet, NULL);
    CHECK_INT(yoke_thread_join(t), -EINVAL);
    CHECK_HAS(yoke_thread_error(t), "thread \"deaf\": argument 1 \"whom\" of greet is NULL");
    CHECK(yoke_thread_done(t));
    yoke_thread_release(t);
}

TEST(void_task_and_wrong_type)
{
    yoke_thread *t = yoke_thread_start(NULL, nothing);
    CHECK_INT(yoke_thread_join(t), 0);
    int v;
    CHECK_INT(yoke_thread_try(t, &v), -EINVAL);
    yoke_thread_release(t);
}

static int give(void *arg)
{
    return *(int *)arg;
}

static int fail_with_text(void *arg)
{
    return yoke_fail(EBUSY, "the %s is taken", (const char *)arg);
}

TEST(plain_functions)
{
    int n = 42, v = 0;
    yoke_thread *t = yoke_thread_call("plain", give, &n);
    CHECK_INT(yoke_thread_try(t, &v), 0);
    CHECK_INT(v, 42);
    yoke_thread_release(t);
    n = -ENOENT;
    t = yoke_thread_call("plain", give, &n);
    CHECK_INT(yoke_thread_join(t), -ENOENT);
    CHECK_HAS(yoke_thread_error(t), "thread \"plain\": give: ");
    CHECK_HAS(yoke_thread_error(t), "(thread.c:");
    yoke_thread_release(t);
    char seat[] = "seat";
    t = yoke_thread_call(NULL, fail_with_text, seat);
    CHECK_STR(yoke_thread_name(t), "fail_with_text");
    CHECK_INT(yoke_thread_join(t), -EBUSY);
    CHECK_HAS(yoke_thread_error(t), "fail_with_text: the seat is taken");
    yoke_thread_release(t);
    t = yoke_thread_call("nobody", NULL, NULL);
    CHECK_INT(yoke_thread_join(t), -EINVAL);
    CHECK_HAS(yoke_thread_error(t), "no function");
    yoke_thread_release(t);
}

static int read_name(void *arg)
{
    return pthread_getname_np(pthread_self(), arg, 64);
}

TEST(kernel_name_is_cut_at_a_character)
{
    char name[64] = "";
    yoke_thread *t = yoke_thread_call("0123456789abcdefgh", read_name, name);
    yoke_thread_join(t);
    CHECK_STR(name, "0123456789abcde");
    CHECK_STR(yoke_thread_name(t), "0123456789abcdefgh");
    yoke_thread_release(t);
    t = yoke_thread_call("0123456789abcd\303\274\303\274", read_name, name);
    yoke_thread_join(t);
    CHECK_STR(name, "0123456789abcd");
    yoke_thread_release(t);
    char long_name[200];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    t = yoke_thread_call(long_name, read_name, name);
    CHECK_INT(strlen(yoke_thread_name(t)), 63);
    yoke_thread_join(t);
    yoke_thread_release(t);
}

/* ---- Joining ---- */

TEST(join_with_a_time_limit)
{
    yoke_thread *t = yoke_thread_call("slow", at_gate, NULL);
    CHECK_INT(yoke_thread_join_timed(t, 0), -ETIMEDOUT);
    CHECK_INT(yoke_thread_join_timed(t, -5), -ETIMEDOUT);
    CHECK_INT(yoke_thread_join_timed(t, INT64_MIN), -ETIMEDOUT);
    CHECK_INT(yoke_thread_join_until(t, yoke_now() + 2 * YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_thread_join_until(t, -1), -ETIMEDOUT);
    CHECK(!yoke_thread_done(t));
    CHECK_STR(yoke_thread_error(t), "");
    atomic_store(&gate, 1);
    CHECK_INT(yoke_thread_join_timed(t, INT64_MAX), 0);
    CHECK_INT(yoke_thread_join_timed(t, -1), 0); /* it has ended: no limit can pass */
    CHECK_INT(yoke_thread_join_timed(t, 60 * YOKE_S), 0);
    yoke_thread_release(t);
}

static int join_it(void *arg)
{
    return yoke_thread_join(arg);
}

TEST(many_may_join_many_times)
{
    enum { N = 8 };
    int value = 3;
    yoke_thread *t = yoke_thread_call("target", at_gate, &value), *joiners[N];
    for (int i = 0; i < N; i++)
        joiners[i] = yoke_thread_call("joiner", join_it, t);
    atomic_store(&gate, 1);
    for (int i = 0; i < N; i++) {
        CHECK_INT(yoke_thread_join(joiners[i]), 0);
        yoke_thread_release(joiners[i]);
    }
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_thread_join(t), 0);
    yoke_thread_release(t);
}

TEST(misuse)
{
    CHECK_INT(yoke_thread_join(NULL), -EINVAL);
    CHECK_INT(yoke_thread_join_timed(NULL, 5), -EINVAL);
    CHECK_INT(yoke_thread_join(yoke_thread_current()), -EINVAL); /* the main thread is not yoke's */
    CHECK(!yoke_thread_done(NULL));
    CHECK(!yoke_thread_done(yoke_thread_current()));
    CHECK_HAS(yoke_thread_error(NULL), "out of memory");
    CHECK_STR(yoke_thread_error(yoke_thread_current()), "");
    CHECK(!yoke_thread_future(NULL));
    CHECK(!yoke_thread_future(yoke_thread_current()));
    CHECK(!yoke_thread_release(NULL));
    CHECK(!yoke_thread_release(yoke_thread_current()));
    CHECK_STR(yoke_thread_name(NULL), "");
    CHECK_INT(yoke_thread_id(NULL), 0);
    CHECK_INT(yoke_thread_kind_of(NULL), -EINVAL);
    int v;
    CHECK_INT(yoke_thread_try((yoke_thread *)NULL, &v), -EINVAL);
}

static int join_myself(void *arg)
{
    int forever = yoke_thread_join(yoke_thread_current());
    int limited = yoke_thread_join_timed(yoke_thread_current(), 1);
    snprintf(arg, 200, "%s", yoke_deadlock());
    return forever == limited ? forever : 0;
}

TEST(joining_oneself)
{
    char text[200] = "";
    yoke_thread *t = yoke_thread_call("ouroboros", join_myself, text);
    CHECK_INT(yoke_thread_join(t), -EDEADLK);
    CHECK_STR(text, "deadlock: thread \"ouroboros\" joins thread \"ouroboros\"");
    CHECK_STR(yoke_deadlock(), ""); /* that was another thread */
    yoke_thread_release(t);
}

/* A ring of threads, each of which joins the next: exactly one is told, and then all end. */
enum { RING = 3 };
static yoke_thread *_Atomic ring[RING];
static char ring_text[RING][400];

static int join_next(void *arg)
{
    int i = (int)(intptr_t)arg;
    wait_at_gate();
    int err = yoke_thread_join(ring[(i + 1) % RING]);
    if (err == -EDEADLK)
        snprintf(ring_text[i], sizeof ring_text[i], "%s", yoke_deadlock());
    return err == -EDEADLK && ring_text[i][0] ? 1 : 0;
}

TEST(joining_in_a_ring)
{
    static const char *names[RING] = {"ring A", "ring B", "ring C"};
    for (intptr_t i = 0; i < RING; i++)
        ring[i] = yoke_thread_call(names[i], join_next, (void *)i);
    atomic_store(&gate, 1);
    int told = 0;
    for (int i = 0; i < RING; i++) {
        int v = -1;
        CHECK_INT(yoke_thread_try(ring[i], &v), 0);
        told += v;
        if (v) {
            char expected[400];
            const char *a = names[i], *b = names[(i + 1) % RING], *c = names[(i + 2) % RING];
            snprintf(expected, sizeof expected,
                     "deadlock: thread \"%s\" joins thread \"%s\", which joins thread \"%s\", which joins thread \"%s\"",
                     a, b, c, a);
            CHECK_STR(ring_text[i], expected);
        }
    }
    CHECK_INT(told, 1);
    for (int i = 0; i < RING; i++)
        yoke_thread_release(ring[i]);
}

/* With a time limit a ring is no deadlock: it comes undone by itself. */
static int join_next_for_a_while(void *arg)
{
    wait_at_gate();
    wait_for_arrivals(2);
    int err = yoke_thread_join_timed(ring[((intptr_t)arg + 1) % 2], 20 * YOKE_MS);
    return err == 0 || err == -ETIMEDOUT ? 0 : err;
}

TEST(a_ring_with_time_limits_is_no_deadlock)
{
    for (intptr_t i = 0; i < 2; i++)
        ring[i] = yoke_thread_call("timed", join_next_for_a_while, (void *)i);
    atomic_store(&gate, 1);
    for (int i = 0; i < 2; i++)
        CHECK_INT(yoke_thread_join(ring[i]), 0);
    for (int i = 0; i < 2; i++)
        yoke_thread_release(ring[i]);
}

/* ---- Handles ---- */

TEST(released_before_its_end)
{
    for (int i = 0; i < 20; i++) {
        atomic_store(&gate, i % 2);
        yoke_thread *t = yoke_thread_call("orphan", at_gate, NULL);
        if (i % 3 == 0)
            sched_yield();
        yoke_thread_release(t);
        atomic_store(&gate, 1);
    }
    wait_for_arrivals(20);
}

TEST(references)
{
    yoke_thread *t = yoke_thread_call("shared", at_gate, NULL);
    CHECK(yoke_thread_ref(t) == t);
    CHECK(!yoke_thread_ref(NULL));
    CHECK(yoke_thread_ref(yoke_thread_current()) == yoke_thread_current());
    yoke_thread_release(t);
    atomic_store(&gate, 1);
    CHECK_INT(yoke_thread_join(t), 0);
    yoke_thread_release(t);
}

YOKE_TASK(int, until_cancelled)
{
    atomic_fetch_add(&arrived, 1);
    while (!yoke_cancelled())
        usleep(200);
    yoke_progress(1, 1);
    return yoke_fail(ECANCELED, "stopped");
}

static void note_end(yoke_future *f, void *arg)
{
    *(int *)arg = yoke_code(f);
}

TEST(the_future_of_a_thread)
{
    yoke_thread *t = yoke_thread_start(NULL, until_cancelled);
    yoke_future *f = yoke_thread_future(t);
    int ended = 0;
    CHECK_INT(yoke_then(f, note_end, &ended), 0);
    wait_for_arrivals(1);
    CHECK_INT(yoke_cancel(f), -EINPROGRESS);
    CHECK_INT(yoke_thread_join(t), -ECANCELED);
    CHECK_INT(ended, -ECANCELED);
    CHECK_INT(yoke_wait(f), -ECANCELED);
    yoke_future *both[] = {yoke_thread_future(yoke_thread_start(NULL, half_of, 2)), f};
    yoke_future *all = yoke_all(both, 2);
    CHECK_INT(yoke_wait(all), -ECANCELED);
    yoke_release(all);
    yoke_thread_release(t);
}

YOKE_TASK(unsigned, third_time)
{
    if (yoke_attempt() < 3)
        yoke_retry(YOKE_MS);
    return yoke_attempt();
}

TEST(a_task_may_ask_for_another_attempt)
{
    yoke_thread *t = yoke_thread_start(NULL, third_time);
    unsigned n = 0;
    CHECK_INT(yoke_thread_try(t, &n), 0);
    CHECK_INT(n, 3);
    yoke_thread_release(t);
}

YOKE_TASK(long, forks_in_a_thread, (int, n))
{
    CHECK(yoke_current_executor() == yoke_own_threads());
    yoke_future *f = yoke_submit(yoke_current_executor(), half_of, 4);
    CHECK_NEAR(yoke_await(f, double), 2, 0);
    yoke_release(f);
    return fib(n);
}

TEST(nested_work_goes_to_the_own_pool)
{
    yoke_thread *t = yoke_thread_start("fibber", forks_in_a_thread, 18);
    long v = 0;
    CHECK_INT(yoke_thread_try(t, &v), 0);
    CHECK_INT(v, 2584);
    yoke_thread_release(t);
}

static int leave_early(void *arg)
{
    pthread_exit(arg);
}

TEST(pthread_exit_is_an_error)
{
    yoke_thread *t = yoke_thread_call("leaver", leave_early, NULL);
    CHECK_INT(yoke_thread_join(t), -ECANCELED);
    CHECK_HAS(yoke_thread_error(t), "pthread_exit()");
    yoke_thread_release(t);
}

static int deep(void *arg)
{
    volatile char block[200000];
    for (size_t i = 0; i < sizeof block; i += 1000)
        block[i] = 1;
    return block[77000];
}

TEST(stack_sizes)
{
    int v = 0;
    yoke_thread *t = yoke_opt_thread_call((stack = 1 << 20, name = "roomy"), deep, NULL);
    CHECK_INT(yoke_thread_try(t, &v), 0);
    CHECK_INT(v, 1);
    yoke_thread_release(t);
    int n = 5;
    t = yoke_opt_thread_call((stack = 1), give, &n); /* raised to the least there can be */
    CHECK_INT(yoke_thread_try(t, &v), 0);
    CHECK_INT(v, 5);
    yoke_thread_release(t);
}

/* ---- Failures ---- */

TEST(no_thread)
{
    yk_sys_fail("pthread_create", 1, EAGAIN);
    yoke_thread *t = yoke_thread_start("stillborn", half_of, 1);
    yk_sys_fail("pthread_create", 0, 0);
    CHECK_INT(yoke_thread_join(t), -EAGAIN);
    CHECK_HAS(yoke_thread_error(t), "thread \"stillborn\": half_of: its thread cannot start");
    CHECK_INT(yoke_thread_join_timed(t, 5), -EAGAIN);
    yoke_thread_release(t);
}

static int n_th_failure(const char *call, int n)
{
    yk_sys_fail(call, n, ENOMEM);
    yoke_thread *t = yoke_thread_start("hungry", greet, "you");
    int err = t ? yoke_thread_join(t) : -ENOMEM;
    if (t && err < 0)
        CHECK(yoke_thread_error(t)[0]);
    yk_sys_fail(call, 0, 0);
    yoke_thread_release(t);
    return err;
}

TEST(no_memory)
{
    static const char *const calls[] = {"malloc", "calloc", "realloc", "posix_memalign"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int n = 1; n < 8; n++) {
            int err = n_th_failure(calls[i], n);
            CHECK(err == 0 || err == -ENOMEM);
        }
    CHECK_INT(n_th_failure("mmap", 1), 0); /* the handler's stack: done without */
}

/* ---- The end of the program ---- */

static int finish_late(void *arg)
{
    usleep(30000);
    fprintf(stderr, "late but done\n");
    return 0;
}

static void leave_one_running(void)
{
    yoke_thread_release(yoke_thread_call("late", finish_late, NULL));
    yoke_thread_call("late too", finish_late, NULL); /* whose handle nobody gives back */
}

TEST(exit_waits)
{
    child_end end = in_child(leave_one_running);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 0);
    CHECK_STR(end.text, "late but done\nlate but done\n");
}

static int wait_for_ever(void *arg)
{
    while (true)
        pause();
    return 0;
}

static void leave_background(void)
{
    yoke_thread *t = yoke_opt_thread_call((name = "daemon", background = true), wait_for_ever, NULL);
    CHECK(yoke_thread_is_background(t));
    yoke_thread_release(t);
}

TEST(exit_does_not_wait_for_the_background)
{
    child_end end = in_child(leave_background);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 0);
}

static int end_program(void *arg)
{
    exit(7);
}

static void exit_in_thread(void)
{
    yoke_thread_join(yoke_thread_call("quitter", end_program, NULL));
}

TEST(exit_in_a_thread)
{
    child_end end = in_child(exit_in_thread);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 7);
}

static yoke_thread *_Atomic quitter;

static int join_quitter(void *arg)
{
    while (!atomic_load(&quitter))
        usleep(200);
    yoke_thread_join(quitter);
    return 0;
}

static int exit_when_joined(void *arg)
{
    usleep(20000);
    exit(9);
}

static void exit_of_one_that_is_joined(void)
{
    yoke_thread_call("patient", join_quitter, NULL);
    atomic_store(&quitter, yoke_thread_call("quitter", exit_when_joined, NULL));
    pause();
}

TEST(exit_in_a_thread_that_is_joined)
{
    child_end end = in_child(exit_of_one_that_is_joined);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 9);
}

static void use_pool_at_the_end(void)
{
    yoke_thread_start("fibber", forks_in_a_thread, 15);
}

TEST(own_pool_outlives_the_threads)
{
    for (int i = 0; i < 5; i++) {
        child_end end = in_child(use_pool_at_the_end);
        CHECK(WIFEXITED(end.status));
        CHECK_INT(WEXITSTATUS(end.status), 0);
        CHECK_STR(end.text, "");
    }
}

static void fail_unseen(void)
{
    yoke_thread_start("unseen", half_of, -2);
}

TEST(an_error_that_nobody_looked_at)
{
    child_end end = in_child(fail_unseen);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: error never looked at: half_of: -2 is negative");
}

/* ---- fork() ---- */

#ifndef __SANITIZE_THREAD__ /* which does not let a child of several threads start any */
TEST(in_a_child_made_by_fork)
{
    yoke_thread *t = yoke_thread_call("parent's", at_gate, NULL);
    wait_for_arrivals(1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_INT(yoke_thread_join(t), -ECHILD);
        yoke_thread_release(t);
        yoke_thread *mine = yoke_thread_start("child's", half_of, 8);
        double v = 0;
        CHECK_INT(yoke_thread_try(mine, &v), 0);
        CHECK_NEAR(v, 4, 0);
        yoke_thread_release(mine);
        _exit(0); /* the parent's thread is not here, so its end is not for exit() to see */
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    atomic_store(&gate, 1);
    CHECK_INT(yoke_thread_join(t), 0);
    yoke_thread_release(t);
}
#endif

/* ---- Many ---- */

static _Atomic int ones;

static int count_one(void *arg)
{
    atomic_fetch_add(&ones, 1);
    return 0;
}

TEST(many_threads)
{
    enum { ROUNDS = 20, N = 16 };
    for (int r = 0; r < ROUNDS; r++) {
        yoke_thread *t[N];
        for (int i = 0; i < N; i++)
            CHECK((t[i] = yoke_thread_call("one", count_one, NULL)));
        for (int i = 0; i < N; i++) {
            if (test_random() % 4)
                CHECK_INT(yoke_thread_join(t[i]), 0);
            yoke_thread_release(t[i]);
        }
    }
    while (atomic_load(&ones) < ROUNDS * N)
        usleep(200);
}
