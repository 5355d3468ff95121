/* group_edge.c - groups where their rules meet: who comes while the end is on its way, starts that nobody has answered yet, whose
 * task a coroutine is of, processes that are made by fork() in the middle. */
#include "async/async.h"
#include "test.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke/async.h>
#include <yoke/executor.h>
#include <yoke/task.h>

static int nothing(void *arg)
{
    return 0;
}

/* ---- One that comes when the last has ended, and the end has not gone on yet ---- */

/* Runs right before whoever the end of a group has made ready. */
typedef struct late_comer {
    yoke_group *g;
    int came;
} late_comer;

static int comes_late(void *arg)
{
    late_comer *l = arg;
    static const yoke_go_opts eager = {.eager = true};
    yoke_yield();
    l->came = yoke_go_with(l->g, &eager, nothing, NULL);
    return 0;
}

static int yields_once(void *arg)
{
    return yoke_yield();
}

static int a_late_comer(void *arg)
{
    yoke_group outer, g;
    late_comer l = {&g, -1};
    yoke_group_begin(&outer);
    yoke_group_begin(&g);
    CHECK_INT(yoke_go(&g, yields_once, NULL), 0); /* the last: ends, and the end of the group is behind the next in the queue */
    CHECK_INT(yoke_go(&outer, comes_late, &l), 0);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(l.came, 0);
    return yoke_group_end(&outer);
}

TEST(one_may_come_while_the_end_is_on_its_way)
{
    CHECK_INT(yoke_async_run(a_late_comer, NULL), 0);
}

/* ---- A start that nobody has answered yet ---- */

typedef struct starter {
    yoke_group *g;
    bool ended; /* the group has */
    int code;
} starter;

static int answers_late(void *arg)
{
    for (int i = 0; i < 10; i++)
        yoke_yield();
    return yoke_started(arg);
}

static int starts_in(void *arg)
{
    starter *s = arg;
    s->code = yoke_start(s->g, answers_late, NULL, NULL);
    CHECK(!s->ended);
    return 0;
}

static int ends_meanwhile(void *arg)
{
    yoke_group outer, g;
    starter s = {.g = &g, .code = 1};
    yoke_group_begin(&outer);
    yoke_group_begin(&g);
    CHECK_INT(yoke_go(&outer, starts_in, &s), 0);
    for (int i = 0; i < 3; i++)
        yoke_yield();
    CHECK_INT(s.code, 1);
    CHECK_INT(yoke_group_end(&g), 0); /* not before the answer: or where would the coroutine go? */
    s.ended = true;
    memset(&g, 0x55, sizeof g);
    CHECK_INT(yoke_group_end(&outer), 0);
    return s.code;
}

TEST(a_group_waits_for_starts_that_are_under_way)
{
    CHECK_INT(yoke_async_run(ends_meanwhile, NULL), 0);
}

/* ---- Whose task it is of ---- */

static int fails_aloud(void *arg)
{
    *(bool *)arg = true;
    return yoke_fail(EDOM, "aloud");
}

static bool has_failed;

YOKE_TASK(int, begins_elsewhere, (size_t, g))
{
    return yoke_go((yoke_group *)g, fails_aloud, &has_failed);
}

/* Begun in a task, in the group of a coroutine that is in none: it is of no task, and above all not of one that has ended. */
static int another_task_begins(void *arg)
{
    yoke_group g;
    yoke_executor *ex = yoke_open("inline");
    yoke_group_begin(&g);
    yoke_future *f = yoke_submit(ex, begins_elsewhere, (size_t)&g);
    CHECK_INT(yoke_await(f, int), 0);
    yoke_release(f);
    yoke_close(ex);
    CHECK(!has_failed);
    CHECK_INT(yoke_group_end(&g), -EDOM);
    CHECK(has_failed);
    return 0;
}

TEST(a_coroutine_is_of_the_task_around_its_group)
{
    CHECK_INT(yoke_async_run(another_task_begins, NULL), 0);
}

/* ---- A job in a group ---- */

YOKE_TASK(int, fails_when_told)
{
    while (!yoke_cancelled())
        yoke_sleep(100 * YOKE_US);
    return yoke_fail(EDOM, "what was written so far is lost");
}

static int adds_a_job(void *arg)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, fails_when_told);
    yoke_group g;
    yoke_group_begin(&g);
    while (yoke_cancel(f) == 0) /* it runs: else it could be taken back */
        f = (yoke_release(f), yoke_submit(ex, fails_when_told));
    CHECK_INT(yoke_group_add(&g, f), 0);
    yoke_group_cancel(&g);
    CHECK_INT(yoke_group_end(&g), -EDOM);
    yoke_release(f);
    yoke_close(ex);
    return 0;
}

TEST(a_job_that_fails_when_it_is_told_to_stop_has_failed)
{
    CHECK_INT(yoke_async_run(adds_a_job, NULL), 0);
}

/* ---- Misuse ---- */

static int leaves_a_scope_open(void *arg)
{
    yoke_scope *s = arg;
    yoke_scope_begin(s);
    return 0;
}

static int leaves_a_scope_open_in_a_group(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, leaves_a_scope_open, arg);
    return yoke_group_end(&g);
}

static int leaves_a_group_open(void *arg)
{
    yoke_group *g = arg;
    yoke_group_begin(g);
    return yoke_go(g, nothing, NULL);
}

static int signal_of(int (*fn)(void *arg))
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        static yoke_group room;
        close(2);
        yoke_async_run(fn, &room);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(a_coroutine_that_leaves_a_scope_open_ends_the_program)
{
    CHECK_INT(signal_of(leaves_a_scope_open), SIGABRT);
    CHECK_INT(signal_of(leaves_a_scope_open_in_a_group), SIGABRT);
    CHECK_INT(signal_of(leaves_a_group_open), SIGABRT);
}

/* ---- fork() in a coroutine ---- */

enum { RAN = 5, SPAN = 20 };

static bool in_child;

/* The child goes on in its copy of the loop: it can sleep, though it has nothing to sleep with but time. */
static int forks(void *arg)
{
    yoke_async_counts before, after;
    yk_loop_here()->posting++; /* a thread that is about to hand it something, and is not in the child */
    pid_t pid = fork();
    in_child = pid == 0;
    if (in_child) {
        CHECK_INT(yoke_async_stats(&before), 0);
        CHECK_INT(yoke_sleep(SPAN * YOKE_MS), 0);
        CHECK_INT(yoke_async_stats(&after), 0);
        CHECK(after.polls - before.polls < 5 * SPAN); /* it does not go round and round */
        return RAN;
    }
    int status;
    yk_loop_here()->posting--;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), RAN);
    return RAN;
}

static void run_and_fork(const char *backend)
{
#ifdef YK_WITH_TSAN
    NOT_HERE("after fork() in a fiber ThreadSanitizer takes the fiber for the thread");
#endif
    setenv("YOKE_ASYNC_BACKEND", backend, 1);
    fflush(stdout);
    int code = yoke_async_run(forks, NULL);
    if (in_child)
        _exit(code == RAN && yoke_async_run(nothing, NULL) == 0 ? RAN : 1);
    if (code < 0)
        SKIP("%s: %s", backend, yoke_strerror(code));
    CHECK_INT(code, RAN);
}

TEST(a_child_ends_its_copy_of_the_loop_over_epoll)
{
    run_and_fork("epoll");
}

TEST(a_child_ends_its_copy_of_the_loop_over_io_uring)
{
    run_and_fork("io_uring");
}

/* ---- Wake-ups and jobs that stay behind in the parent ---- */

static _Atomic uint32_t word;
static int looked;

static int waits_for_the_word(void *arg)
{
    while (word == 0)
        yk_wait(&word, 0, YOKE_FOREVER, 0);
    looked++;
    return 0;
}

YOKE_TASK(int, waits_in_a_thread)
{
    return yoke_sleep(500 * YOKE_MS);
}

static int expects_no_job(void *arg)
{
    yoke_future *f = arg;
    CHECK_INT(yoke_wait(f), in_child ? -ECHILD : 0);
    looked++;
    return 0;
}

static int expects_none_of_two(void *arg)
{
    yoke_future *two[2] = {arg, arg};
    CHECK_INT(yoke_gather(two, 2), in_child ? -ECHILD : 0);
    looked++;
    return 0;
}

static int expects_job_of_group(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_group_add(&g, arg);
    CHECK_INT(yoke_group_end(&g), in_child ? -ECHILD : 0);
    looked++;
    return 0;
}

static int (*const expect[])(void *arg) = {waits_for_the_word, expects_no_job, expects_none_of_two, expects_job_of_group};
enum { EXPECTING = sizeof expect / sizeof *expect };

/* A thread has changed the word and not yet come to wake who waits for it when another forks. */
static int forks_between(void *future)
{
    yoke_group g;
    yoke_group_begin(&g);
    for (int i = 0; i < EXPECTING; i++)
        yoke_go(&g, expect[i], future);
    yoke_sleep(YOKE_MS);
    word = 1;
    pid_t pid = fork();
    in_child = pid == 0;
    if (in_child) {
        CHECK_INT(yoke_wait(future), -ECHILD); /* and one that begins now */
        int err = yoke_group_end(&g);
        CHECK_INT(looked, EXPECTING);
        return err == 0 ? RAN : err;
    }
    yk_wake(&word, 1, false);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), RAN);
    return yoke_group_end(&g);
}

static void fork_between(const char *backend)
{
#ifdef YK_WITH_TSAN
    NOT_HERE("after fork() in a fiber ThreadSanitizer takes the fiber for the thread");
#endif
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, waits_in_a_thread);
    setenv("YOKE_ASYNC_BACKEND", backend, 1);
    fflush(stdout);
    int code = yoke_async_run(forks_between, f);
    if (in_child)
        _exit(code);
    if (code < 0)
        SKIP("%s: %s", backend, yoke_strerror(code));
    CHECK_INT(code, 0);
    CHECK_INT(looked, EXPECTING);
    yoke_release(f);
    yoke_close(ex);
}

TEST(a_child_waits_for_nothing_that_stayed_behind_over_epoll)
{
    fork_between("epoll");
}

TEST(a_child_waits_for_nothing_that_stayed_behind_over_io_uring)
{
    fork_between("io_uring");
}

/* ---- fork() in what yoke_async_call() has the loop call, with wake-ups behind it ---- */

static _Atomic uint32_t several;
static pid_t made;

static int waits_for_several(void *arg)
{
    while (several == 0)
        CHECK_INT(yk_wait(&several, 0, YOKE_FOREVER, 0), 0);
    CHECK_INT(yoke_sleep(YOKE_MS), 0); /* resumed again, it would not sleep */
    looked++;
    return 0;
}

static void forks_in_the_loop(void *arg)
{
    made = fork();
    if (made == 0)
        alarm(20);
}

static void *has_it_fork(void *loop)
{
    CHECK_INT(yoke_async_call(loop, forks_in_the_loop, NULL), 0);
    several = 1;
    yk_wake(&several, INT_MAX, false);
    return NULL;
}

/* The loop finds all this at once, since this keeps it from running meanwhile. */
static int is_handed_a_batch(void *arg)
{
    enum { WAITING = 3 };
    yoke_group g;
    pthread_t t;
    yoke_group_begin(&g);
    for (int i = 0; i < WAITING; i++)
        yoke_go(&g, waits_for_several, NULL);
    yoke_sleep(YOKE_MS);
    CHECK_INT(pthread_create(&t, NULL, has_it_fork, yoke_async_loop()), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(looked, WAITING);
    return made == 0 ? RAN : 0;
}

TEST(wake_ups_behind_a_fork_come_once)
{
#ifdef YK_WITH_TSAN
    NOT_HERE("ThreadSanitizer does not follow fibers into a child");
#endif
    int status;
    fflush(stdout);
    looked = 0;
    int code = yoke_async_run(is_handed_a_batch, NULL);
    if (made == 0)
        _exit(code);
    CHECK_INT(code, 0);
    CHECK(waitpid(made, &status, 0) == made);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), RAN);
}

/* ---- Locks of the parent's executors ---- */

/* In place of the executor's own: in a child a thread that is not there may hold the lock that those take. */
static int calls;

static void counts_hooked(yoke_executor *ex, yk_job *job)
{
    calls++;
}

static void counts_unhooked(yoke_executor *ex, unsigned count)
{
    calls++;
}

static void counts_poll(yoke_executor *ex)
{
    calls++;
}

static int forks_while_another_waits(void *future)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, expects_no_job, future);
    yoke_yield();
    CHECK_INT(calls, 1);
    pid_t pid = fork();
    in_child = pid == 0;
    if (in_child) {
        int err = yoke_group_end(&g);
        CHECK(!yoke_done(future));
        CHECK_INT(yoke_wait_timed(future, YOKE_MS), -ECHILD);
        yoke_completion *c = yoke_as_completed((yoke_future **)&future, 1);
        yoke_completion_close(c);
        CHECK_INT(calls, 1);
        return err == 0 ? RAN : err;
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), RAN);
    return yoke_group_end(&g);
}

TEST(a_child_leaves_the_executors_of_its_parent_alone)
{
#ifdef YK_WITH_TSAN
    NOT_HERE("after fork() in a fiber ThreadSanitizer takes the fiber for the thread");
#endif
    yoke_executor *ex = yoke_open("threads:1");
    yk_executor_type *usual = ex->type, type = *usual;
    type.hooked = counts_hooked;
    type.unhooked = counts_unhooked;
    type.poll = counts_poll;
    ex->type = &type;
    yoke_future *f = yoke_submit(ex, waits_in_a_thread);
    fflush(stdout);
    int code = yoke_async_run(forks_while_another_waits, f);
    if (in_child)
        _exit(code);
    CHECK_INT(code, 0);
    CHECK_INT(looked, 1);
    CHECK_INT(calls, 2);
    yoke_release(f);
    ex->type = usual;
    yoke_close(ex);
}

/* ---- No loop ---- */

static int no_epoll(int flags)
{
    errno = EMFILE;
    return -1;
}

static void *no_map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    errno = ENOMEM;
    return MAP_FAILED;
}

static int runs_again(void *arg)
{
    CHECK_STR(yoke_async_error(), "");
    CHECK_INT(yoke_async_run(nothing, NULL), -EBUSY);
    CHECK_HAS(yoke_async_error(), "coroutine already");
    return 0;
}

static int fails(void *arg)
{
    return -EMFILE;
}

TEST(why_there_is_no_loop)
{
    yk_sys_table usual = yk_sys;
    CHECK_STR(yoke_async_error(), "");
    CHECK_INT(yoke_async_run(NULL, NULL), -EINVAL);
    CHECK_STR(yoke_async_error(), "no function to run");
    setenv("YOKE_ASYNC_BACKEND", "kqueue", 1);
    CHECK_INT(yoke_async_run(nothing, NULL), -EINVAL);
    CHECK_STR(yoke_async_error(), "YOKE_ASYNC_BACKEND is \"kqueue\"; it can be io_uring, epoll or auto");
    setenv("YOKE_ASYNC_BACKEND", "epoll", 1);
    yk_sys.epoll_create1 = no_epoll;
    CHECK_INT(yoke_async_run(nothing, NULL), -EMFILE);
    CHECK_STR(yoke_async_error(), "epoll: Too many open files");
    yk_sys = usual;
    yk_sys.mmap = no_map;
    CHECK_INT(yoke_async_run(nothing, NULL), -ENOMEM);
    CHECK_HAS(yoke_async_error(), "stack of a coroutine");
    yk_sys = usual;
    CHECK_INT(yoke_async_run(runs_again, NULL), 0);
    CHECK_INT(yoke_async_run(fails, NULL), -EMFILE);
    CHECK_STR(yoke_async_error(), ""); /* that was the function's */
}
