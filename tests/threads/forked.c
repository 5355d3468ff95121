/* forked.c - fork() in the user's program, while workers are busy: the child cannot use the parent's pool, and is told so; a pool
 * of its own, forks, loops and futures all work there, whoever called fork(). */
#include "fib.h"
#include "test.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, identity, (long, v))
{
    return v;
}

YOKE_LOOP(mark, i, (char *, at))
{
    at[i]++;
}

static atomic_bool enough;

/* Keeps every lock of the pool and of the jobs busy. */
YOKE_TASK(void, busy)
{
    while (!atomic_load(&enough)) {
        yoke_future *f[4];
        for (long i = 0; i < 4; i++)
            f[i] = yoke_submit(yoke_current_executor(), identity, i);
        yoke_future *all = yoke_all(f, 4);
        yoke_wait(all);
        yoke_release(all);
        for (int i = 0; i < 4; i++)
            yoke_release(f[i]);
        fib(10);
    }
}

/* What a child may do; its exit status says which step went wrong. */
static int child_life(yoke_executor *old)
{
    char marks[1000] = {0};
    yoke_future *f = yoke_submit(old, identity, 1);
    if (f && yoke_wait(f) != -ECHILD)
        return 1;
    if (yoke_pool_workers(old) != 0 || yoke_close(old) != 0)
        return 2;
    if (fib(15) != 610)
        return 3;
    yoke_for(NULL, sizeof marks, mark, marks);
    for (size_t i = 0; i < sizeof marks; i++)
        if (marks[i] != 1)
            return 4;
    yoke_executor *own = yoke_open("threads:2");
    yoke_future *two[2] = {yoke_submit(own, identity, 3), yoke_submit(own, identity, 4)}, *all = yoke_all(two, 2);
    if (yoke_wait(all) != 0 || yoke_await(two[1], long) != 4)
        return 5;
    if (yoke_run(own, fib, 15) != 610)
        return 6;
    if (yoke_pool_workers(yoke_own_threads()) == 0)
        return 7;
    return yoke_close(own) == 0 ? 0 : 8;
}

static void fork_and_look(yoke_executor *old)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(100);
        _exit(child_life(old));
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST_LIMIT(while_workers_are_busy, 300)
{
    enum { FORKS = 20, TASKS = 3 };
    yoke_executor *ex = yoke_open("threads:3");
    CHECK_INT(fib(10), 55); /* the process's own pool is there too */
    yoke_future *f[TASKS];
    for (int i = 0; i < TASKS; i++)
        f[i] = yoke_submit(ex, busy);
    for (int i = 0; i < FORKS; i++) {
        usleep((unsigned)(test_random() % 2000));
        fork_and_look(ex);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < TASKS; i++)
        CHECK_INT(yoke_wait(f[i]), 0);
    CHECK_INT(yoke_await(yoke_submit(ex, identity, 9), long), 9);
    CHECK_INT(yoke_close(ex), 0);
}

static yoke_executor *outer;

YOKE_TASK(void, forks_itself)
{
    fork_and_look(outer);
}

TEST_LIMIT(inside_of_a_task, 300)
{
    outer = yoke_open("threads:2");
    for (int i = 0; i < 5; i++) {
        yoke_future *f = yoke_submit(outer, forks_itself);
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
    }
    CHECK_INT(yoke_close(outer), 0);
}

YOKE_FORK(void, forks_inside, (int, depth))
{
    if (depth == 0) {
        fork_and_look(outer);
        return;
    }
    yoke_fork(forks_inside, depth - 1);
    yoke_call(forks_inside, 0);
    yoke_join(forks_inside);
}

TEST_LIMIT(inside_of_a_fork_body, 300)
{
    outer = yoke_open("threads:2");
    yoke_run(outer, forks_inside, 3);
    CHECK_INT(yoke_close(outer), 0);
}
