/* timer.c - timers: one call or many, cancel, drift, skipped calls, on the timer's thread and on executors. */
#include "child.h"
#include "exec/exec.h"
#include <sys/stat.h>
#include <yoke.h>

static _Atomic int calls, entered, gate;
static _Atomic int64_t times[64];
static yoke_timer *_Atomic shared_timer;

static void count(void *arg)
{
    int n = atomic_fetch_add(&calls, 1);
    if (n < 64)
        atomic_store(&times[n], yoke_now());
}

static void block(void *arg)
{
    atomic_fetch_add(&entered, 1);
    while (!atomic_load(&gate))
        usleep(200);
    atomic_fetch_add(&calls, 1);
}

static void wait_for(_Atomic int *what, int n)
{
    while (atomic_load(what) < n)
        usleep(200);
}

static yoke_timer *start(int64_t delay, int64_t period, yoke_executor *on, void (*fn)(void *))
{
    yoke_timer *t = NULL;
    yoke_timer_opts how = {.delay = delay, .period = period, .on = on};
    CHECK_INT(yoke_timer_start(&how, fn, NULL, &t), 0);
    CHECK(t);
    return t;
}

TEST(one_call_and_not_early)
{
    int64_t now = yoke_now();
    yoke_timer *t = start(10 * YOKE_MS, 0, NULL, count);
    wait_for(&calls, 1);
    CHECK(atomic_load(&times[0]) >= now + 10 * YOKE_MS);
    CHECK_INT(yoke_timer_calls(t), 1);
    CHECK_INT(yoke_timer_skipped(t), 0);
    CHECK(!yoke_timer_cancel(t)); /* too late */
    CHECK(!yoke_timer_release(t));
    CHECK_INT(calls, 1);
}

TEST(at_once)
{
    yoke_timer *t = start(-5, 0, NULL, count), *u = start(INT64_MIN, 0, NULL, count);
    wait_for(&calls, 2);
    yoke_timer_release(t);
    yoke_timer_release(u);
}

TEST(cancel_before_it_fires)
{
    yoke_timer *t = start(600 * YOKE_S, 0, NULL, count), *never = start(INT64_MAX, 0, NULL, count);
    CHECK(yoke_timer_cancel(t));
    CHECK(!yoke_timer_cancel(t)); /* it was already */
    yoke_timer_release(t);
    yoke_timer_release(never);
    CHECK_INT(calls, 0);
}

TEST(cancel_while_it_is_called)
{
    yoke_timer *t = start(0, 0, NULL, block);
    wait_for(&entered, 1);
    CHECK(!yoke_timer_cancel(t));
    atomic_store(&gate, 1);
    yoke_timer_release(t); /* waits for the call */
    CHECK_INT(calls, 1);
}

TEST(many_races_of_cancel_and_call)
{
    int cancelled = 0, rounds = 300;
    for (int i = 0; i < rounds; i++) {
        yoke_timer *t = start((int64_t)(test_random() % 200) * YOKE_US, 0, NULL, count);
        if (test_random() % 2)
            usleep((unsigned)(test_random() % 200));
        cancelled += yoke_timer_cancel(t);
        yoke_timer_release(t);
        CHECK_INT(atomic_load(&calls) + cancelled, i + 1); /* the one or the other, and release has waited */
    }
}

TEST(periodic_without_drift)
{
    enum { N = 20 };
    int64_t now = yoke_now(), period = 2 * YOKE_MS;
    yoke_timer *t = start(period, period, NULL, count);
    int64_t after = yoke_now();
    wait_for(&calls, N);
    CHECK(yoke_timer_cancel(t));
    yoke_timer_release(t);
    /* Call k, counted with the skipped ones, is never before its time. */
    for (int k = 0; k < N; k++)
        CHECK(atomic_load(&times[k]) >= now + (k + 1) * period);
    CHECK(after >= now);
}

static void slow_once(void *arg)
{
    if (atomic_fetch_add(&calls, 1) == 0)
        usleep(30000);
}

TEST(late_calls_are_skipped_and_counted)
{
    int64_t begin = yoke_now(), period = 2 * YOKE_MS;
    yoke_timer *t = start(0, period, NULL, slow_once);
    wait_for(&calls, 3);
    CHECK(yoke_timer_cancel(t));
    uint64_t made = yoke_timer_calls(t), skipped = yoke_timer_skipped(t);
    CHECK(skipped >= 13); /* the first call took at least 15 periods */
    CHECK(made + skipped <= (uint64_t)((yoke_now() - begin) / period) + 1);
    yoke_timer_release(t);
}

/* ---- On executors ---- */

static _Atomic int on_worker;

static void note_worker(void *arg)
{
    on_worker = yoke_thread_kind_of(yoke_thread_current()) == YOKE_THREAD_WORKER;
    atomic_fetch_add(&calls, 1);
}

TEST(on_an_executor)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_timer *t;
    yoke_timer_opts how = {.delay = YOKE_MS, .on = ex};
    CHECK_INT(yoke_timer_start(&how, note_worker, NULL, &t), 0);
    wait_for(&calls, 1);
    CHECK_INT(on_worker, 1);
    yoke_timer_release(t);
    yoke_close(ex);
}

TEST(calls_on_an_executor_do_not_overlap)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_timer *t = start(0, YOKE_MS, ex, block), *other = start(0, YOKE_MS, NULL, count);
    wait_for(&entered, 1);
    wait_for(&calls, 5); /* the timer's thread goes on */
    while (yoke_timer_skipped(t) < 3)
        usleep(200);
    CHECK_INT(entered, 1);
    atomic_store(&gate, 1);
    wait_for(&entered, 3);
    yoke_timer_release(t);
    int end = entered;
    yoke_timer_release(other);
    CHECK_INT(entered, end);
    yoke_close(ex);
}

TEST(on_inline)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_timer *t = start(0, YOKE_MS, ex, count);
    wait_for(&calls, 3);
    yoke_timer_release(t);
    yoke_close(ex);
}

static void fails(void *arg)
{
    atomic_fetch_add(&calls, 1);
    yoke_fail(EIO, "the tape is full");
}

static _Atomic int lost;

static void note_lost(const char *text, void *arg)
{
    lost += strcmp(text, "yoke_timer: the tape is full (timer.c:") > 0;
}

TEST(a_call_that_fails_is_reported)
{
    yoke_on_lost_error(note_lost, NULL);
    yoke_executor *ex = yoke_open("threads:1");
    yoke_timer *t = start(0, 0, ex, fails);
    wait_for(&lost, 1);
    yoke_timer_release(t);
    yoke_close(ex);
}

/* ---- Release in the call ---- */

static void release_myself(void *arg)
{
    yoke_timer *t;
    while (!(t = atomic_load(&shared_timer)))
        usleep(100);
    atomic_store(&shared_timer, NULL);
    yoke_timer_release(t);
    atomic_fetch_add(&calls, 1);
}

TEST(released_by_its_own_call)
{
    yoke_executor *ex = yoke_open("threads:1");
    for (int i = 0; i < 20; i++) {
        atomic_store(&shared_timer, start(0, i % 2 ? YOKE_MS : 0, i % 3 ? NULL : ex, release_myself));
        wait_for(&calls, i + 1);
    }
    yoke_timer_release(start(600 * YOKE_S, 0, NULL, count)); /* leaves for those that could not */
    yoke_close(ex);
    CHECK_INT(calls, 20);
}

static void start_another(void *arg)
{
    if (atomic_fetch_add(&calls, 1) == 0)
        atomic_store(&shared_timer, start(0, 0, NULL, start_another));
}

TEST(a_call_may_start_timers)
{
    yoke_timer *t = start(0, 0, NULL, start_another);
    wait_for(&calls, 2);
    yoke_timer_release(t);
    yoke_timer_release(atomic_load(&shared_timer));
}

/* ---- Wrong uses and failures ---- */

TEST(wrong_uses)
{
    static char elsewhere[1];
    yoke_timer *t = (yoke_timer *)(void *)elsewhere, *same = t;
    yoke_timer_opts how = {.period = -1}, good = {.delay = 0};
    CHECK_INT(yoke_timer_start(&how, count, NULL, &t), -EINVAL);
    CHECK_INT(yoke_timer_start(NULL, count, NULL, &t), -EINVAL);
    CHECK_INT(yoke_timer_start(&good, NULL, NULL, &t), -EINVAL);
    CHECK_INT(yoke_timer_start(&good, count, NULL, NULL), -EINVAL);
    yoke_executor *broken = yoke_open("nonsense");
    yoke_timer_opts on_broken = {.on = broken};
    CHECK_INT(yoke_timer_start(&on_broken, count, NULL, &t), -EINVAL);
    yoke_close(broken);
    CHECK(t == same);
    CHECK(!yoke_timer_cancel(NULL));
    CHECK(!yoke_timer_release(NULL));
    CHECK_INT(yoke_timer_calls(NULL), 0);
    CHECK_INT(yoke_timer_skipped(NULL), 0);
}

TEST(executors_without_this_memory_are_refused)
{
    yoke_executor *ex = yoke_open("processes:1");
    CHECK_INT(yoke_executor_status(ex), 0);
    yoke_timer *t;
    yoke_timer_opts how = {.on = ex};
    CHECK_INT(yoke_timer_start(&how, count, NULL, &t), -EINVAL);
    yoke_close(ex);
}

TEST(failures)
{
    yoke_timer *t = NULL;
    yoke_timer_opts how = {.delay = 0};
    static const char *const names[] = {"calloc", "realloc", "pthread_create"};
    for (int i = 0; i < 3; i++) {
        int error = i == 2 ? EAGAIN : ENOMEM;
        yk_sys_fail(names[i], 1, error);
        CHECK_INT(yoke_timer_start(&how, count, NULL, &t), -error);
        CHECK(!t);
        yk_sys_fail(names[i], 0, 0);
    }
    CHECK_INT(yoke_timer_start(&how, count, NULL, &t), 0);
    wait_for(&calls, 1);
    yoke_timer_release(t);
}

TEST(no_memory_for_the_job_skips_the_call)
{
    yoke_executor *ex = yoke_open("inline");
    yk_sys_fail("posix_memalign", 1, ENOMEM); /* the executor's first slab */
    yoke_timer *t = start(0, YOKE_MS, ex, count);
    wait_for(&calls, 2);
    CHECK(yoke_timer_cancel(t));
    CHECK(yoke_timer_skipped(t) >= 1);
    yoke_timer_release(t);
    CHECK(yk_sys_fail("posix_memalign", 0, 0) >= 2);
    yoke_close(ex);
}

static void exit_with_timers(void)
{
    start(600 * YOKE_S, 0, NULL, count);
    start(0, YOKE_MS, NULL, count);
    wait_for(&calls, 2);
}

TEST(timers_do_not_keep_the_program)
{
    child_end end = in_child(exit_with_timers);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 0);
}

#ifndef __SANITIZE_THREAD__ /* which does not let a child of several threads start any */
TEST(in_a_child_made_by_fork)
{
    yoke_timer *t = start(600 * YOKE_S, 0, NULL, count);
    pid_t pid = fork();
    if (pid == 0) {
        bool would = yoke_timer_cancel(t);
        yoke_timer_release(t);
        yoke_timer *mine = start(0, 0, NULL, count);
        wait_for(&calls, 1);
        yoke_timer_release(mine);
        _exit(would);
    }
    int status;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK(yoke_timer_cancel(t));
    yoke_timer_release(t);
}
#endif

/* ---- Calls that fork ---- */

static _Atomic int child_status;
static yoke_timer *forks_itself;

/* The first call forks; the child's returns. */
static void fork_once(void *arg)
{
    if (atomic_fetch_add(&entered, 1) != 0) {
        atomic_fetch_add(&calls, 1);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (arg)
            ((void (*)(void))arg)();
        return;
    }
    int status;
    waitpid(pid, &status, 0);
    atomic_store(&child_status, status);
}

static int status_of_child(int64_t period, yoke_executor *on, void (*in_the_child)(void))
{
    atomic_store(&entered, 0);
    atomic_store(&calls, 0);
    atomic_store(&child_status, -1);
    yoke_timer_opts how = {.delay = 20 * YOKE_MS, .period = period, .on = on};
    CHECK_INT(yoke_timer_start(&how, fork_once, (void *)in_the_child, &forks_itself), 0);
    while (atomic_load(&child_status) == -1)
        usleep(200);
    if (period > 0)
        wait_for(&calls, 3); /* the parent's goes on */
    forks_itself = yoke_timer_release(forks_itself);
    return atomic_load(&child_status);
}

TEST(a_child_made_in_a_call_ends_when_the_call_returns)
{
    yoke_timer *other = start(0, YOKE_MS, NULL, count);
    CHECK_INT(status_of_child(YOKE_MS, NULL, NULL), 0);
    CHECK_INT(status_of_child(0, NULL, NULL), 0);
    yoke_executor *ex = yoke_open("inline"); /* a job that runs in the timers' thread */
    CHECK_INT(status_of_child(YOKE_MS, ex, NULL), 0);
    yoke_timer_release(other);
    yoke_close(ex);
}

static void give_it_back(void)
{
    if (yoke_timer_cancel(forks_itself))
        _exit(2);
    forks_itself = yoke_timer_release(forks_itself);
}

TEST(the_child_may_release_the_timer_of_its_call)
{
    CHECK_INT(status_of_child(YOKE_MS, NULL, give_it_back), 0);
    CHECK_INT(status_of_child(0, NULL, give_it_back), 0);
}

#ifndef __SANITIZE_THREAD__
/* It is no timers' thread any more: it waits for a call of another's, and its release lets that thread end. */
static void has_timers_of_its_own(void)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_timer *slow = start(0, 0, NULL, block), *fast = start(0, YOKE_MS, ex, count);
    wait_for(&entered, 2);
    atomic_store(&gate, 1);
    yoke_timer_release(slow);
    int n = atomic_load(&calls);
    wait_for(&calls, n + 3);
    yoke_timer_release(fast);
    yoke_close(ex); /* waits for the timers' thread: it has nothing to do any more */
    struct stat other;
    while (stat("/proc/self/task", &other) == 0 && other.st_nlink > 3)
        usleep(200);
}

TEST(the_child_may_have_timers_of_its_own)
{
    atomic_store(&shared_timer, start(0, 0, NULL, release_myself)); /* its leave is owed in the parent, not in the child */
    wait_for(&calls, 1);
    CHECK_INT(status_of_child(YOKE_MS, NULL, has_timers_of_its_own), 0);
}
#endif

/* While its call is made, a periodic timer has no place among those that wait; no other may take it. */
TEST(a_periodic_timer_goes_on_without_memory)
{
    enum { MANY = 200 };
    yoke_timer *others[MANY];
    int n = 0, err = 0;
    yoke_timer_opts how = {.delay = 1000 * YOKE_S};
    yoke_timer *t = start(0, YOKE_MS, NULL, block);
    wait_for(&entered, 1);
    yk_sys_fail("realloc", 1, ENOMEM);
    while (n < MANY && (err = yoke_timer_start(&how, count, NULL, &others[n])) == 0)
        n++;
    CHECK_INT(err, -ENOMEM);
    CHECK(n >= 50); /* as many as there were places, but for one */
    yk_sys_fail("realloc", 1, ENOMEM); /* the next one too */
    atomic_store(&gate, 1);
    wait_for(&calls, 5);
    yk_sys_fail("realloc", 0, 0);
    CHECK_INT(yoke_timer_start(&how, count, NULL, &others[n]), 0);
    int now = atomic_load(&calls);
    wait_for(&calls, now + 3);
    for (int i = 0; i <= n; i++)
        yoke_timer_release(others[i]);
    yoke_timer_release(t);
}
