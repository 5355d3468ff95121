/* after_fork.c - waits in a child made by fork() for jobs of its parent: alone, and made into one of several. */
#include "exec/job.h"
#include "test.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke/async.h>
#include <yoke/executor.h>
#include <yoke/task.h>

enum { RAN = 5 };

static _Atomic bool may_end;

YOKE_TASK(int, waits_for_leave)
{
    for (int i = 0; i < 20000 && !may_end; i++)
        yoke_sleep(YOKE_MS);
    return 7;
}

YOKE_TASK(int, returns_seven)
{
    return 7;
}

/* ThreadSanitizer takes a thread that a child begins for the one of its parent whose place in memory it has. */
#ifdef __SANITIZE_THREAD__
#define not_in_tsan() NOT_HERE("ThreadSanitizer does not follow threads of a child")
#else
#define not_in_tsan() ((void)0)
#endif

/* What a child found out; one that hangs is killed. */
static int status_of(int (*fn)(yoke_future *f), yoke_future *f)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        signal(SIGALRM, SIG_DFL);
        alarm(10);
        _exit(fn(f));
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void in_child_of_waiter(int (*fn)(yoke_future *f))
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, waits_for_leave);
    CHECK_INT(status_of(fn, f), RAN << 8);
    may_end = true;
    CHECK_INT(yoke_wait(f), 0);
    yoke_release(f);
    yoke_close(ex);
}

/* ---- Whichever way one waits ---- */

static int next_of(yoke_future *f)
{
    yoke_future *next;
    yoke_completion *c = yoke_as_completed(&f, 1);
    int err = yoke_next_completed_until(c, YOKE_FOREVER, &next);
    yoke_completion_close(c);
    return err;
}

static int waits_in_every_way(yoke_future *f)
{
    size_t which;
    yoke_future *all = yoke_all(&f, 1), *any = yoke_any(&f, 1), *both[] = {all, any}, *nested = yoke_all(both, 2);
    CHECK_INT(yoke_wait(f), -ECHILD);
    CHECK_INT(yoke_wait(all), -ECHILD);
    CHECK_INT(yoke_wait(any), -ECHILD);
    CHECK_INT(yoke_wait(nested), -ECHILD);
    CHECK_INT(yoke_wait_timed(nested, YOKE_S), -ECHILD);
    CHECK_INT(yoke_wait_any(&f, 1, &which), -ECHILD);
    CHECK_INT(yoke_gather(&f, 1), -ECHILD);
    CHECK_INT(next_of(f), -ECHILD);
    CHECK_INT(next_of(all), -ECHILD);
    CHECK_INT(next_of(nested), -ECHILD);
    return RAN;
}

TEST(every_wait_for_a_job_of_the_parent_is_over)
{
    in_child_of_waiter(waits_in_every_way);
}

/* ---- Of the parent's and its own ---- */

static int mixes(yoke_future *f)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *own = yoke_submit(ex, waits_for_leave), *two[] = {f, own};
    yoke_future *all = yoke_all(two, 2), *any = yoke_any(two, 2);
    CHECK_INT(yoke_wait(all), -ECHILD); /* though one may yet end */
    CHECK_INT(yoke_wait_timed(any, YOKE_MS), -ETIMEDOUT);
    may_end = true;
    size_t which = 0;
    CHECK_INT(yoke_try(any, &which), 0);
    CHECK_INT(which, 1);
    CHECK_INT(yoke_wait(all), -ECHILD);
    yoke_close(ex);
    return RAN;
}

TEST(one_of_its_own_is_enough_for_any)
{
    not_in_tsan();
    in_child_of_waiter(mixes);
}

/* ---- Made by the parent ---- */

static yoke_future *made[4];

static int waits_before_and_after_its_own(yoke_future *f)
{
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < YK_COUNT_OF(made); k++)
            CHECK_INT(yoke_wait_timed(made[k], 5 * YOKE_S), -ECHILD);
        yoke_executor *ex = yoke_open("threads:1"); /* from now on the child makes such futures too */
        yoke_future *quick = yoke_submit(ex, returns_seven), *own = yoke_all(&quick, 1);
        CHECK_INT(yoke_wait(own), 0);
        yoke_release(own);
        yoke_release(quick);
        yoke_close(ex);
    }
    return RAN;
}

TEST(what_the_parent_has_made_stays_its_own)
{
    not_in_tsan();
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *two[] = {yoke_submit(ex, waits_for_leave), yoke_submit(ex, returns_seven)};
    CHECK_INT(yoke_wait(two[1]), 0);
    made[0] = yoke_all(two, 2);
    made[1] = yoke_any(two, 1);
    made[2] = yoke_all(made, 2);
    made[3] = yoke_any(made, 3);
    CHECK_INT(status_of(waits_before_and_after_its_own, NULL), RAN << 8);
    may_end = true;
    for (size_t k = 0; k < YK_COUNT_OF(made); k++) {
        CHECK_INT(yoke_wait(made[k]), 0);
        yoke_release(made[k]);
    }
    yoke_release(two[0]);
    yoke_release(two[1]);
    yoke_close(ex);
}

/* An input has ended, and the thread that ended it has not told the whole: it is not in the child. */
static int forks_from_another_thread;

static void *forks_now(void *arg)
{
    forks_from_another_thread = status_of(waits_before_and_after_its_own, NULL);
    return NULL;
}

static void forks_elsewhere(yoke_future *f, void *arg)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, forks_now, NULL), 0);
    pthread_join(t, NULL);
}

TEST(what_was_about_to_be_told_is_not)
{
    not_in_tsan();
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, waits_for_leave);
    CHECK_INT(yoke_then(f, forks_elsewhere, NULL), 0); /* called before what follows */
    for (size_t k = 0; k < YK_COUNT_OF(made); k++)
        made[k] = k % 2 ? yoke_any(&f, 1) : yoke_all(&f, 1);
    may_end = true;
    CHECK_INT(yoke_wait(made[YK_COUNT_OF(made) - 1]), 0);
    CHECK_INT(forks_from_another_thread, RAN << 8);
    for (size_t k = 0; k < YK_COUNT_OF(made); k++)
        yoke_release(made[k]);
    yoke_release(f);
    yoke_close(ex);
}

/* ---- In a task that forks ---- */

static yoke_future *other, *unbegun;
static _Atomic int running;

YOKE_TASK(int, runs_elsewhere)
{
    running++;
    while (!may_end)
        usleep(100);
    return 7;
}

static int waits_for_the_other(yoke_future *f)
{
    yoke_future *all = yoke_all(&other, 1);
    CHECK_INT(yoke_wait(other), -ECHILD);
    CHECK_INT(yoke_wait(all), -ECHILD);
    return RAN;
}

YOKE_TASK(int, forks)
{
    running++;
    while (running < 2)
        usleep(100);
    int status = status_of(waits_for_the_other, NULL);
    may_end = true;
    return status;
}

static void fork_beside(const char *uri)
{
#ifdef YK_WITH_TSAN
    if (strncmp(uri, "async", 5) == 0)
        NOT_HERE("after fork() in a fiber ThreadSanitizer takes the fiber for the thread");
#endif
    yoke_executor *ex = yoke_open(uri);
    running = 0;
    may_end = false;
    other = yoke_submit(ex, runs_elsewhere);
    while (running == 0)
        usleep(100);
    yoke_future *f = yoke_submit(ex, forks);
    int status = -1;
    CHECK_INT(yoke_try(f, &status), 0);
    CHECK_INT(status, RAN << 8);
    CHECK_INT(yoke_wait(other), 0);
    yoke_release(other);
    yoke_release(f);
    yoke_close(ex);
}

TEST(a_task_that_forks_does_not_wait_for_other_workers)
{
    fork_beside("threads:2");
}

TEST(a_coroutine_that_forks_does_not_wait_for_other_loops)
{
    fork_beside("async:2");
}

/* The copy of a loop begins what nobody has begun; that of a thread of a pool is none of its workers. */
static int waits_for_the_unbegun(yoke_future *f)
{
    CHECK_INT(yoke_wait(unbegun), yk_is_coroutine() ? 0 : -ECHILD);
    return RAN;
}

YOKE_TASK(int, forks_with_one_unbegun)
{
    unbegun = yoke_submit(yoke_current_executor(), returns_seven);
    int status = status_of(waits_for_the_unbegun, NULL);
    yoke_wait(unbegun);
    yoke_release(unbegun);
    return status;
}

static void fork_with_one_unbegun(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    yoke_future *f = yoke_submit(ex, forks_with_one_unbegun);
    int status = -1;
    CHECK_INT(yoke_try(f, &status), 0);
    CHECK_INT(status, RAN << 8);
    yoke_release(f);
    yoke_close(ex);
}

TEST(a_task_that_forks_is_no_worker_in_the_child)
{
    fork_with_one_unbegun("threads:1");
}

TEST(a_job_that_forks_goes_on_with_its_loop)
{
#ifdef YK_WITH_TSAN
    NOT_HERE("after fork() in a fiber ThreadSanitizer takes the fiber for the thread");
#endif
    fork_with_one_unbegun("async:1");
}

/* ---- What is said ---- */

static char said[500];

static int awaits(yoke_future *f)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 2);
        (void)yoke_await(f, int);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], said + n, sizeof said - 1 - n)) > 0;)
        n += (size_t)got;
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK_HAS(said, "yoke: waits_for_leave: stayed behind in the parent process, and never ends in this child (awaited at");
    return RAN;
}

TEST(who_awaits_it_is_told_why)
{
    in_child_of_waiter(awaits);
}
