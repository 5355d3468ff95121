/* stubborn.c - workers that are hard to end: their tasks have taken them out of the process group, the system does not carry the
 * request, or they live on though the zygote is dead. They end all the same, or else nobody else suffers. */
#include "process/pool.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

/* Leaves its group for the zygote's, says so, and never comes back. */
YOKE_TASK(void, leaves, (yoke_inout_i64, pid))
{
    prctl(PR_SET_PDEATHSIG, 0);
    int err = setpgid(0, getppid());
    atomic_store((_Atomic int64_t *)(void *)pid.ptr, err < 0 ? -errno : getpid());
    for (;;)
        pause();
}

YOKE_TASK(void, stays, (yoke_inout_i64, pid))
{
    atomic_store((_Atomic int64_t *)(void *)pid.ptr, getpid());
    for (;;)
        pause();
}

static void ignore(const char *text, void *arg)
{
}

static yk_processes *pool_of(yoke_executor *ex)
{
    return (yk_processes *)(void *)ex;
}

static int64_t *shared_word(yoke_executor *ex)
{
    int64_t *word = yoke_shared_alloc(ex, sizeof *word);
    CHECK(word != NULL);
    *word = 0;
    return word;
}

/* The pid that a task has written, once it has. */
static pid_t await_pid(int64_t *word)
{
    int64_t pid;
    while ((pid = atomic_load((_Atomic int64_t *)(void *)word)) == 0)
        nap(YOKE_MS);
    CHECK(pid > 0);
    return (pid_t)pid;
}

static yoke_inout_i64 one(int64_t *word)
{
    return yoke_1d(yoke_inout_i64, word, 1);
}

/* Closes it, after which nobody is left. */
static void close_and_look(yoke_executor *ex, bool now)
{
    if (now)
        yoke_close_now(ex);
    else
        yoke_close(ex);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* The supervisor writes it when the zygote has died. */
static pid_t zygote_of(yk_processes *p)
{
    yk_mutex_lock(&p->lock);
    pid_t pid = p->zygote;
    yk_mutex_unlock(&p->lock);
    return pid;
}

/* ---- Out of the group ---- */

TEST(out_of_the_group_and_out_of_time)
{
    yoke_executor *ex = yoke_open("processes:1");
    int64_t *word = shared_word(ex);
    for (int64_t timeout = 20 * YOKE_MS; *word == 0; timeout *= 2) /* until it had left before its time was up */
        CHECK_INT(yoke_wait(yoke_opt_submit(ex, (timeout = timeout), leaves, one(word))), -ETIMEDOUT);
    pid_t pid = await_pid(word);
    while (kill(pid, 0) == 0)
        nap(YOKE_MS);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    close_and_look(ex, false);
}

TEST(out_of_the_group_and_closed)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:2");
    int64_t *word = shared_word(ex);
    yoke_release(yoke_submit(ex, leaves, one(word)));
    pid_t pid = await_pid(word);
    close_and_look(ex, true);
    CHECK(kill(pid, 0) == -1 && errno == ESRCH);
}

TEST(out_of_the_group_when_the_zygote_dies)
{
    yoke_executor *ex = yoke_open("processes:1");
    int64_t *word = shared_word(ex);
    yoke_future *f = yoke_submit(ex, leaves, one(word));
    pid_t pid = await_pid(word);
    kill(zygote_of(pool_of(ex)), SIGKILL);
    CHECK_INT(yoke_wait(f), -EOWNERDEAD);
    while (kill(pid, 0) == 0)
        nap(YOKE_MS);
    CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 3), add, 1, 2), long), 3);
    close_and_look(ex, false);
}

/* The zygote ends it and then itself: we inherit both, and are told. */
TEST(out_of_the_group_when_the_program_dies)
{
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    pid_t program = fork();
    if (program == 0) {
        yoke_executor *ex = yoke_open("processes:1");
        int64_t *word = shared_word(ex);
        yoke_future *f = yoke_submit(ex, leaves, one(word));
        pid_t pids[2] = {await_pid(word), zygote_of(pool_of(ex))};
        ssize_t n = write(ends[1], pids, sizeof pids);
        yoke_wait(f);
        _exit(n < 0);
    }
    pid_t pids[2];
    CHECK_INT(read(ends[0], pids, sizeof pids), sizeof pids);
    kill(program, SIGKILL);
    bool zygote = false;
    for (pid_t pid; (pid = waitpid(-1, NULL, 0)) > 0 || errno == EINTR;) {
        zygote |= pid == pids[1];
        CHECK(pid != pids[0]); /* it was the zygote's to bury */
    }
    CHECK(zygote);
    CHECK(kill(pids[0], 0) == -1 && errno == ESRCH);
}

/* ---- Requests that do not get through ---- */

#ifndef __SANITIZE_THREAD__ /* the table of calls is changed while threads use it */

static _Atomic int failures_left, signals;

static int no_pidfd(pid_t pid, unsigned flags)
{
    errno = ENOSYS;
    return -1;
}

static int no_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
    atomic_fetch_add(&signals, 1);
    errno = EPERM;
    return -1;
}

/* Says that it has sent it. */
static int lost_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
    atomic_fetch_add(&signals, 1);
    return 0;
}

static ssize_t bad_sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (atomic_load(&failures_left) > 0) {
        atomic_fetch_sub(&failures_left, 1);
        errno = ENOBUFS;
        return -1;
    }
    return sendmsg(fd, m, flags);
}

/* The first requests fail; how the job ends does not depend on it. */
static void request_fails(bool pidfds, int failures)
{
    yoke_on_lost_error(ignore, NULL);
    yk_sys_table good = yk_sys;
    if (pidfds)
        yk_sys.pidfd_send_signal = no_signal;
    else
        yk_sys.pidfd_open = no_pidfd;
    yk_sys.sendmsg = bad_sendmsg;
    yoke_executor *ex = yoke_open("processes:1");
    int64_t *word = shared_word(ex);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    atomic_store(&failures_left, failures);
    CHECK_INT(yoke_wait(yoke_opt_submit(ex, (timeout = 10 * YOKE_MS), stays, one(word))), -ETIMEDOUT);
    CHECK_INT(atomic_load(&failures_left), 0);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    *word = 0;
    yoke_release(yoke_submit(ex, stays, one(word)));
    await_pid(word);
    atomic_store(&failures_left, failures);
    close_and_look(ex, true);
    yk_sys = good;
}

TEST(kill_request_fails_once) { request_fails(false, 1); }
TEST(kill_request_fails_often) { request_fails(false, 7); }
TEST(kill_falls_back_to_a_request) { request_fails(true, 0); CHECK(atomic_load(&signals) > 0); }
TEST(kill_and_request_fail) { request_fails(true, 7); CHECK(atomic_load(&signals) > 0); }

TEST(start_request_fails)
{
    yk_sys_table good = yk_sys;
    yk_sys.sendmsg = bad_sendmsg;
    yoke_executor *ex = yoke_open("processes:1");
    for (int failures = 1; failures < 20; failures += 6) {
        int64_t *word = shared_word(ex);
        yoke_future *f = yoke_submit(ex, stays, one(word));
        pid_t pid = await_pid(word);
        atomic_store(&failures_left, failures);
        kill(pid, SIGKILL);
        CHECK_INT(yoke_wait(f), -EOWNERDEAD);
        CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
        CHECK_INT(atomic_load(&failures_left), 0);
    }
    close_and_look(ex, false);
    yk_sys = good;
}

/* Completions that nobody has asked for. */
YOKE_TASK(void, runs_ahead, (uint64_t, desk), (yoke_inout_i64, pid))
{
    yk_desk *d = (yk_desk *)(uintptr_t)desk;
    atomic_fetch_add(&d->done, 3);
    atomic_store((_Atomic int64_t *)(void *)pid.ptr, getpid());
    for (;;)
        pause();
}

/* However often one looks at a worker that cannot be trusted, its end is asked for once. */
TEST(one_kill_is_enough)
{
    yk_sys_table good = yk_sys;
    yk_sys.pidfd_send_signal = lost_signal;
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = pool_of(ex);
    int64_t *word = shared_word(ex);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    yoke_future *f = yoke_submit(ex, runs_ahead, (uintptr_t)p->desks, one(word));
    pid_t pid = await_pid(word);
    for (int i = 0; i < 50; i++)
        yk_round(p);
    CHECK_INT(atomic_load(&signals), 1);
    yk_sys = good;
    kill(pid, SIGKILL);
    yoke_wait(f); /* with whatever it has made us believe */
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    close_and_look(ex, false);
}

static enum yk_clerk_state state_of(yk_processes *p, unsigned slot)
{
    yk_mutex_lock(&p->lock);
    enum yk_clerk_state state = p->clerks[slot].state;
    yk_mutex_unlock(&p->lock);
    return state;
}

/* Not even SIGKILL ends it, for now: its desk is not given to another, and the pool goes on without. */
TEST_LIMIT(one_that_lives_on_keeps_its_desk, 300)
{
    yk_sys_table good = yk_sys;
    yk_sys.pidfd_send_signal = lost_signal;
    yoke_executor *ex = yoke_open("processes:2");
    yk_processes *p = pool_of(ex);
    int64_t *word = shared_word(ex);
    yoke_future *f = yoke_submit(ex, leaves, one(word));
    pid_t pid = await_pid(word);
    unsigned slot = p->clerks[0].pid == pid ? 0 : 1;
    CHECK_INT(p->clerks[slot].pid, pid);
    uint64_t claimed = atomic_load(&p->desks[slot].claimed);
    kill(zygote_of(p), SIGKILL);
    CHECK_INT(yoke_wait(f), -EOWNERDEAD);
    CHECK_INT(state_of(p, slot), YK_LINGERING);
    for (int i = 0; i < 100; i++)
        CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 3), add, i, 2), long), i + 2);
    CHECK_INT(state_of(p, slot), YK_LINGERING);
    CHECK_INT(kill(pid, 0), 0);
    CHECK_INT(atomic_load(&p->desks[slot].claimed), claimed);
    kill(pid, SIGKILL);
    while (state_of(p, slot) != YK_PRESENT)
        nap(YOKE_MS);
    CHECK(p->clerks[slot].pid != pid);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    close_and_look(ex, false);
    yk_sys = good;
}

/* With nobody but such a one, jobs fail instead of waiting for it. */
TEST_LIMIT(only_one_that_lives_on, 300)
{
    yk_sys_table good = yk_sys;
    yk_sys.pidfd_send_signal = lost_signal;
    yoke_executor *ex = yoke_open("processes:1");
    int64_t *word = shared_word(ex);
    yoke_future *f = yoke_submit(ex, leaves, one(word));
    pid_t pid = await_pid(word);
    kill(zygote_of(pool_of(ex)), SIGKILL);
    CHECK_INT(yoke_wait(f), -EOWNERDEAD);
    CHECK_INT(yoke_wait(yoke_submit(ex, add, 1, 2)), -EOWNERDEAD);
    kill(pid, SIGKILL);
    while (state_of(pool_of(ex), 0) != YK_PRESENT)
        nap(YOKE_MS);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    close_and_look(ex, false);
    yk_sys = good;
}
#endif
