/* sync_shared.c - what lies in memory that processes share, waited for by coroutines: others of the loop go on meanwhile, another
 * process wakes them, and they can be told to stop; with the kernel's help and without. */
#include "async/async.h"
#include "async/offload.h"
#include "test.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke/async.h>
#include <yoke/sync.h>

typedef struct shared {
    yoke_lock lock;
    yoke_semaphore there, back;
    yoke_event event;
    yoke_condition condition;
    yoke_barrier barrier;
    int turns, inside;
} shared;

static shared *s;

static void open_shared(int permits)
{
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_INT(yoke_lock_init(&s->lock, YOKE_SHARED), 0);
    CHECK_INT(yoke_semaphore_init(&s->there, permits, YOKE_SHARED), 0);
    CHECK_INT(yoke_semaphore_init(&s->back, 0, YOKE_SHARED), 0);
    CHECK_INT(yoke_event_init(&s->event, YOKE_SHARED), 0);
    CHECK_INT(yoke_condition_init(&s->condition, YOKE_SHARED), 0);
    CHECK_INT(yoke_barrier_init(&s->barrier, 2, NULL, NULL, YOKE_SHARED), 0);
}

static pid_t in_process(int (*fn)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn());
    return pid;
}

static void reap(pid_t pid)
{
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

/* ---- There and back ---- */

enum { TURNS = 40 };

static int echo(void)
{
    for (int i = 0; i < TURNS; i++)
        if (yoke_semaphore_acquire(&s->there) != 0 || yoke_semaphore_release(&s->back, 1) != 0)
            return 1;
    int index = yoke_barrier_wait(&s->barrier);
    if (index < 0 || yoke_event_wait(&s->event) != 1)
        return 2;
    yoke_lock_acquire(&s->lock);
    while (s->turns < 1)
        if (yoke_condition_wait(&s->condition, &s->lock) != 1)
            return 3;
    s->turns++;
    yoke_condition_notify_all(&s->condition, &s->lock);
    yoke_lock_release(&s->lock);
    return 0;
}

static int others;

static int beside(void *arg)
{
    while (yoke_sleep(50 * YOKE_US) == 0)
        others++;
    return 0;
}

static int talk(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, beside, NULL);
    for (int i = 0; i < TURNS; i++) {
        CHECK_INT(yoke_semaphore_release(&s->there, 1), 0);
        CHECK_INT(yoke_semaphore_acquire(&s->back), 0);
    }
    CHECK(yoke_barrier_wait(&s->barrier) >= 0);
    yoke_event_set(&s->event);
    yoke_lock_acquire(&s->lock);
    s->turns++;
    yoke_condition_notify_all(&s->condition, &s->lock);
    while (s->turns < 2)
        CHECK_INT(yoke_condition_wait(&s->condition, &s->lock), 1);
    yoke_lock_release(&s->lock);
    yoke_group_cancel(&g);
    yoke_group_end(&g);
    CHECK(others > 0);
    return 0;
}

static void talk_to_a_process(void)
{
    open_shared(0);
    pid_t pid = in_process(echo);
    CHECK_INT(yoke_async_run(talk, NULL), 0);
    reap(pid);
}

TEST(a_coroutine_and_a_process)
{
    talk_to_a_process();
}

TEST(without_the_call)
{
    yk_sys_fail("futex_waitv", 1, ENOSYS); /* the first says so, and it is not called again */
    talk_to_a_process();
    CHECK(yk_sys_fail("futex_waitv", 0, 0) <= 1);
}

TEST(without_threads)
{
    yk_sys_fail("pthread_create", 1, EAGAIN);
    talk_to_a_process();
    yk_sys_fail("pthread_create", 0, 0);
}

/* ---- Told to stop ---- */

static int wait_long(void *arg)
{
    yoke_semaphore *sem = arg;
    return yoke_semaphore_acquire(sem);
}

/* More than there are threads. */
static int told(void *arg)
{
    yoke_group g, in;
    yoke_group_begin(&g);
    for (int turn = 0; turn < 3; turn++) {
        yoke_group_begin(&in);
        for (int i = 0; i < 40; i++)
            yoke_go(&in, wait_long, &s->there);
        yoke_sleep(turn * YOKE_MS);
        yoke_group_cancel(&in);
        CHECK_INT(yoke_group_end(&in), 0);
    }
    yoke_scope limit;
    yoke_scope_begin_timed(&limit, YOKE_MS);
    CHECK_INT(yoke_semaphore_acquire(&s->there), -ECANCELED);
    CHECK_INT(yoke_scope_end(&limit), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_timed(&s->there, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_semaphore_release(&s->there, 1), 0);
    CHECK_INT(yoke_semaphore_acquire(&s->there), 0);
    return yoke_group_end(&g);
}

TEST(waits_that_are_given_up)
{
    open_shared(0);
    CHECK_INT(yoke_async_run(told, NULL), 0);
    yoke_async_run(told, NULL);
}

/* A lock taken without a limit is waited for to the end, also by who has been told to stop. */
static int hold(void)
{
    yoke_lock_acquire(&s->lock);
    yoke_semaphore_release(&s->back, 1);
    yoke_semaphore_acquire(&s->there);
    yoke_lock_release(&s->lock);
    return 0;
}

static int take(void *arg)
{
    CHECK_INT(yoke_lock_until(&s->lock, YOKE_FOREVER), -ECANCELED);
    CHECK_INT(yoke_lock_acquire(&s->lock), 0);
    return yoke_lock_release(&s->lock);
}

static int deaf(void *arg)
{
    yoke_group g;
    CHECK_INT(yoke_semaphore_acquire(&s->back), 0);
    yoke_group_begin(&g);
    yoke_go(&g, take, NULL);
    yoke_sleep(YOKE_MS);
    yoke_group_cancel(&g);
    YOKE_SHIELD(YOKE_S)
        yoke_sleep(YOKE_MS);
    yoke_semaphore_release(&s->there, 1);
    return yoke_group_end(&g);
}

TEST(a_shared_lock_without_a_limit)
{
    open_shared(0);
    pid_t pid = in_process(hold);
    CHECK_INT(yoke_async_run(deaf, NULL), 0);
    reap(pid);
}

/* ---- Cancels beside wake-ups: permits are conserved ---- */

enum { WORKERS = 12, ROUNDS = 60 };

static int flaky(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        yoke_scope scope;
        yoke_scope_begin_timed(&scope, (int64_t)(test_random() % 300) * YOKE_US);
        int err = yoke_semaphore_acquire(&s->there);
        CHECK(err == 0 || err == -ECANCELED);
        yoke_scope_end(&scope);
        if (err == 0)
            yoke_semaphore_release(&s->there, 1);
    }
    return 0;
}

static int many(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    for (int i = 0; i < WORKERS; i++)
        yoke_go(&g, flaky, NULL);
    return yoke_group_end(&g);
}

/* Is never told to stop, so a wake-up that was lost would leave it asleep for as long as it naps. */
static int steady(void)
{
    for (int i = 0; i < 4 * ROUNDS; i++)
        if (yoke_semaphore_acquire(&s->there) != 0 || usleep(20) != 0 || yoke_semaphore_release(&s->there, 1) != 0)
            return 1;
    return 0;
}

TEST(permits_between_processes_are_conserved)
{
    open_shared(2);
    pid_t pid[2] = {in_process(steady), in_process(steady)};
    CHECK_INT(yoke_async_run(many, NULL), 0);
    reap(pid[0]);
    reap(pid[1]);
    CHECK_INT(yoke_semaphore_permits(&s->there), 2);
}

/* ---- Idle ---- */

static int idle(void *arg)
{
    yoke_async_counts before, after;
    yoke_scope limit;
    yoke_sleep(YOKE_MS);
    CHECK_INT(yoke_async_stats(&before), 0);
    yoke_scope_begin_timed(&limit, 400 * YOKE_MS);
    CHECK_INT(yoke_semaphore_acquire(&s->there), -ECANCELED);
    yoke_scope_end(&limit);
    CHECK_INT(yoke_async_stats(&after), 0);
    CHECK(after.polls - before.polls < 80); /* not 200 a second, as by looking; a few for each nap */
    return 0;
}

TEST(idle_costs_next_to_nothing)
{
    open_shared(0);
    CHECK_INT(yoke_async_run(idle, NULL), 0);
}
