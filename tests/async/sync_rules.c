/* sync_rules.c - what each wait of yoke/sync.h and its like does in a coroutine: it suspends, belongs to the coroutine, and
 * returns -ECANCELED when that is told to stop, having changed nothing; but for those that nobody asks how they went. */
#include "test.h"
#include <errno.h>
#include <pthread.h>
#include <unistd.h>
#include <yoke/async.h>
#include <yoke/executor.h>
#include <yoke/queues.h>
#include <yoke/sync.h>
#include <yoke/task.h>
#include <yoke/thread.h>

static void in_coroutine(int (*fn)(void *arg))
{
    CHECK_INT(yoke_async_run(fn, NULL), 0);
}

/* ---- Ownership ---- */

static yoke_lock lock;
static yoke_rlock rlock;
static yoke_rwlock rwlock;
static int steps;

static int second(void *arg)
{
    CHECK_INT(yoke_lock_try(&lock), -EAGAIN);
    CHECK_INT(yoke_rlock_try(&rlock), -EAGAIN);
    CHECK_INT(yoke_rlock_release(&rlock), -EPERM);
    CHECK(!yoke_rlock_mine(&rlock));
    CHECK_INT(yoke_rwlock_write_try(&rwlock), -EAGAIN);
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    CHECK_INT(steps, 3);
    CHECK_INT(yoke_lock_release(&lock), 0);
    CHECK_INT(yoke_rlock_acquire(&rlock), 0);
    CHECK_INT(yoke_rlock_release(&rlock), 0);
    CHECK_INT(yoke_rwlock_read(&rwlock), 0);
    return yoke_rwlock_read_release(&rwlock);
}

static int first(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    CHECK_INT(yoke_rlock_acquire(&rlock), 0);
    CHECK_INT(yoke_rlock_acquire(&rlock), 0);
    CHECK_INT(yoke_rwlock_write(&rwlock), 0);
    CHECK_INT(yk_self.held, 3);
    yoke_go(&g, second, NULL);
    for (; steps < 3; steps++)
        yoke_sleep(20 * YOKE_US);
    CHECK_INT(yk_self.held, 3);
    CHECK(yoke_rlock_mine(&rlock));
    CHECK_INT(yoke_rwlock_read(&rwlock), -EDEADLK);
    yoke_lock_release(&lock);
    yoke_rlock_release(&rlock);
    yoke_yield();
    CHECK(yoke_rlock_mine(&rlock));
    yoke_rlock_release(&rlock);
    yoke_rwlock_write_release(&rwlock);
    CHECK_INT(yk_self.held, 0);
    return yoke_group_end(&g);
}

TEST(a_lock_is_a_coroutines)
{
    in_coroutine(first);
    CHECK_INT(yk_self.held, 0);
}

/* ---- Told to stop ---- */

static yoke_semaphore semaphore;
static yoke_event event;
static yoke_latch latch = YOKE_LATCH_INIT(1);
static yoke_barrier barrier = YOKE_BARRIER_INIT(2);
static yoke_once once;
static yoke_condition condition;
static yoke_queue *queue, *full;
static yoke_future *job;
static yoke_completion *completion;
static yoke_event release_job;

YOKE_TASK(int, until_released)
{
    yoke_event_wait(&release_job);
    return 7;
}

static int until_free(void *arg)
{
    return yoke_event_wait(&release_job);
}

static int get_item(void)
{
    long item;
    return yoke_queue_get(queue, &item);
}

static int put_item(void)
{
    long item = 0;
    return yoke_queue_put(full, &item);
}

static int wait_condition(void)
{
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    int err = yoke_condition_wait(&condition, &lock);
    CHECK(yoke_lock_held(&lock));
    yoke_lock_release(&lock);
    return err;
}

static bool never(void *arg)
{
    return false;
}

static int wait_condition_for(void)
{
    CHECK_INT(yoke_rlock_acquire(&rlock), 0);
    CHECK_INT(yoke_rlock_acquire(&rlock), 0);
    int err = yoke_condition_wait_for(&condition, &rlock, never, NULL);
    CHECK_INT(yoke_rlock_release(&rlock), 0);
    CHECK_INT(yoke_rlock_release(&rlock), 0);
    return err;
}

static int next_completed(void)
{
    yoke_future *f;
    return yoke_next_completed_until(completion, YOKE_FOREVER, &f);
}

static int nothing(void *arg)
{
    return 0;
}

static yoke_thread *thread;
static yoke_lock held_lock;
static yoke_rlock held_rlock;
static yoke_rwlock held_rwlock, read_rwlock;

#define WAIT(name, what)                                                                                               \
    static int name(void)                                                                                              \
    {                                                                                                                  \
        return what;                                                                                                   \
    }
WAIT(lock_until, yoke_lock_until(&held_lock, YOKE_FOREVER))
WAIT(lock_timed, yoke_lock_timed(&held_lock, 60 * YOKE_S))
WAIT(rlock_until, yoke_rlock_until(&held_rlock, YOKE_FOREVER))
WAIT(read_until, yoke_rwlock_read_until(&held_rwlock, YOKE_FOREVER))
WAIT(write_until, yoke_rwlock_write_until(&held_rwlock, YOKE_FOREVER))
WAIT(drain_until, yoke_rwlock_write_until(&read_rwlock, YOKE_FOREVER))
WAIT(acquire, yoke_semaphore_acquire(&semaphore))
WAIT(wait_event, yoke_event_wait(&event))
WAIT(wait_latch, yoke_latch_wait(&latch))
WAIT(wait_barrier, yoke_barrier_wait(&barrier))
WAIT(run_once, yoke_once_run(&once, nothing, NULL))
WAIT(join_queue, yoke_queue_join(full))
WAIT(wait_job, yoke_wait(job))
WAIT(join_thread, yoke_thread_join(thread))

static const struct {
    const char *name;
    int (*wait)(void);
} waits[] = {{"lock_until", lock_until}, {"lock_timed", lock_timed}, {"rlock_until", rlock_until}, {"read_until", read_until},
             {"write_until", write_until}, {"drain_until", drain_until}, {"acquire", acquire}, {"wait_event", wait_event},
             {"wait_latch", wait_latch}, {"wait_barrier", wait_barrier}, {"run_once", run_once}, {"get_item", get_item},
             {"put_item", put_item}, {"join_queue", join_queue}, {"wait_condition", wait_condition},
             {"wait_condition_for", wait_condition_for}, {"wait_job", wait_job}, {"next_completed", next_completed},
             {"join_thread", join_thread}};

static int holder(void *arg)
{
    yoke_lock_acquire(&held_lock);
    yoke_rlock_acquire(&held_rlock);
    yoke_rwlock_write(&held_rwlock);
    yoke_rwlock_read(&read_rwlock);
    yoke_event_wait(&release_job);
    yoke_lock_release(&held_lock);
    yoke_rlock_release(&held_rlock);
    yoke_rwlock_write_release(&held_rwlock);
    yoke_rwlock_read_release(&read_rwlock);
    return 0;
}

static int slow_once(void *arg)
{
    yoke_event_wait(&release_job);
    return -1;
}

static int once_runner(void *arg)
{
    yoke_once_run(&once, slow_once, NULL);
    return 0;
}

static int canceller(void *arg)
{
    yoke_scope *s = arg;
    yoke_yield();
    yoke_scope_cancel(s);
    return 0;
}

/* Told while it waits; told before; and at a deadline. */
static int each_wait(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, holder, NULL);
    yoke_go(&g, once_runner, NULL);
    yoke_yield();
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        yoke_scope s;
        yoke_scope_begin(&s);
        yoke_go(&g, canceller, &s);
        if (waits[i].wait() != -ECANCELED || waits[i].wait() != -ECANCELED)
            test_fail(__FILE__, __LINE__, "%s is not given up", waits[i].name);
        CHECK_INT(yoke_scope_end(&s), -ECANCELED);
        yoke_scope_begin_timed(&s, 100 * YOKE_US);
        CHECK_INT(waits[i].wait(), -ECANCELED);
        CHECK_INT(yoke_scope_end(&s), -ETIMEDOUT);
    }
    CHECK_INT(yoke_barrier_waiting(&barrier), 0);
    CHECK(!yoke_barrier_broken(&barrier));
    CHECK_INT(yoke_condition_done(&condition), 0);
    yoke_event_set(&release_job);
    return yoke_group_end(&g);
}

TEST(every_wait_is_given_up)
{
    yoke_executor *ex = yoke_open("threads:1");
    long item = 1;
    yoke_queue_open(YOKE_QUEUE_FIFO, sizeof item, 1, NULL, &queue);
    yoke_queue_open(YOKE_QUEUE_LIFO, sizeof item, 1, NULL, &full);
    yoke_queue_put(full, &item);
    job = yoke_submit(ex, until_released);
    completion = yoke_as_completed(&job, 1);
    thread = yoke_thread_call("waiter", until_free, NULL);
    in_coroutine(each_wait);
    CHECK_INT(yoke_await(job, int), 7);
    CHECK(yoke_next_completed(completion) == job);
    CHECK_INT(yoke_thread_join(thread), 0);
    yoke_completion_close(completion);
    yoke_thread_release(thread);
    yoke_release(job);
    yoke_close(ex);
    CHECK_INT(yoke_queue_size(queue), 0);
    CHECK_INT(yoke_queue_size(full), 1);
    yoke_queue_close(queue);
    yoke_queue_close(full);
    CHECK_INT(yoke_semaphore_release(&semaphore, 1), 0);
    CHECK_INT(yoke_semaphore_try(&semaphore), 0);
    CHECK_INT(yoke_lock_done(&held_lock), 0);
    CHECK_INT(yoke_rwlock_done(&held_rwlock), 0);
    CHECK_INT(yoke_rwlock_done(&read_rwlock), 0);
}

/* ---- Not told ---- */

static int deaf_ones(void *arg)
{
    CHECK_INT(yoke_checkpoint(), -ECANCELED);
    CHECK_INT(yoke_lock_acquire(&held_lock), 0);
    CHECK_INT(yoke_rlock_acquire(&held_rlock), 0);
    CHECK_INT(yoke_rwlock_write(&held_rwlock), 0);
    CHECK_INT(yoke_rwlock_write(&read_rwlock), 0);
    yoke_rwlock_write_release(&read_rwlock);
    yoke_rwlock_write_release(&held_rwlock);
    yoke_rlock_release(&held_rlock);
    yoke_lock_release(&held_lock);
    return 0;
}

static int release_soon(void *arg)
{
    for (int i = 0; i < 5; i++)
        yoke_yield();
    return yoke_event_set(&release_job);
}

static int deaf(void *arg)
{
    yoke_group g, told;
    yoke_group_begin(&g);
    yoke_go(&g, holder, NULL);
    yoke_go(&g, release_soon, NULL);
    yoke_yield();
    yoke_group_begin(&told);
    yoke_go(&told, deaf_ones, NULL);
    yoke_group_cancel(&told);
    CHECK_INT(yoke_group_end(&told), 0);
    return yoke_group_end(&g);
}

TEST(locks_without_a_limit_are_not_given_up)
{
    in_coroutine(deaf);
}

/* ---- A condition: notified and told in one moment, both ways round ---- */

static int waiter(void *arg)
{
    int *ret = arg;
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    *ret = yoke_condition_wait(&condition, &lock);
    CHECK(yoke_lock_held(&lock));
    return yoke_lock_release(&lock);
}

static void notify_one(void)
{
    yoke_lock_acquire(&lock);
    CHECK_INT(yoke_condition_notify(&condition, &lock, 1), 1);
    yoke_lock_release(&lock);
}

/* The older of two is told to stop, before or after the notification: it has it, and the younger goes on waiting. One that is
 * told only is out of the queue. */
static int both_orders(void *arg)
{
    for (int order = 0; order < 3; order++) {
        int results[2] = {100, 100};
        yoke_group old, young;
        yoke_group_begin(&young);
        yoke_group_begin(&old);
        yoke_go(&old, waiter, &results[0]);
        yoke_yield();
        yoke_go(&young, waiter, &results[1]);
        yoke_yield();
        if (order == 1)
            notify_one();
        yoke_group_cancel(&old);
        if (order == 0)
            notify_one();
        CHECK_INT(yoke_group_end(&old), 0);
        CHECK_INT(results[0], order < 2 ? 1 : -ECANCELED);
        CHECK_INT(results[1], 100);
        notify_one();
        CHECK_INT(yoke_group_end(&young), 0);
        CHECK_INT(results[1], 1);
    }
    return yoke_condition_done(&condition);
}

TEST(a_notification_goes_to_one)
{
    in_coroutine(both_orders);
}

/* ---- A barrier ---- */

static int arrive(void *arg)
{
    return yoke_barrier_wait(&barrier);
}

static int one_leaves(void *arg)
{
    yoke_group leaves, stays;
    yoke_group_begin(&stays);
    yoke_group_begin(&leaves);
    yoke_go(&leaves, arrive, NULL);
    yoke_yield();
    CHECK_INT(yoke_barrier_waiting(&barrier), 1);
    yoke_group_cancel(&leaves);
    yoke_group_end(&leaves);
    CHECK_INT(yoke_barrier_waiting(&barrier), 0);
    CHECK_INT(yoke_barrier_try(&barrier), -EAGAIN);
    yoke_go(&stays, arrive, NULL);
    yoke_yield();
    CHECK_INT(yoke_barrier_wait(&barrier), 1);
    return yoke_group_end(&stays);
}

TEST(whoever_leaves_a_barrier_does_not_break_it)
{
    in_coroutine(one_leaves);
}

/* All have arrived when the action runs: then it is too late to leave. */
static int told_in_action;

static int slow_action(void *arg)
{
    yoke_group_cancel(arg);
    yoke_sleep(100 * YOKE_US);
    told_in_action++;
    return 0;
}

static int first_of_two(void *arg)
{
    int index = yoke_barrier_wait_with(&barrier, slow_action, arg, YOKE_FOREVER);
    CHECK_INT(index, 0);
    return 0;
}

static int too_late(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, first_of_two, &g);
    yoke_yield();
    CHECK_INT(yoke_barrier_wait_with(&barrier, slow_action, &g, YOKE_FOREVER), 1);
    CHECK_INT(told_in_action, 1);
    yoke_group_end(&g);
    return 0;
}

TEST(nobody_leaves_while_the_action_runs)
{
    in_coroutine(too_late);
}

/* ---- await ---- */

YOKE_TASK(int, one)
{
    return 1;
}

static int await_told(void *arg)
{
    yoke_scope s;
    yoke_scope_begin(&s);
    yoke_scope_cancel(&s);
    CHECK_INT(yoke_await(job, int), 0); /* and not the end of the program */
    CHECK_INT(yoke_checkpoint(), -ECANCELED);
    yoke_scope_end(&s);
    yoke_event_set(&release_job);
    CHECK_INT(yoke_await(job, int), 7);
    return 0;
}

TEST(an_await_that_is_given_up_is_zero)
{
    yoke_executor *ex = yoke_open("threads:1");
    job = yoke_submit(ex, until_released);
    in_coroutine(await_told);
    yoke_release(job);
    yoke_close(ex);
}

static yoke_event begun;

YOKE_TASK(int, await_other)
{
    yoke_event_set(&begun);
    return yoke_await(job, int);
}

TEST(a_task_that_is_cancelled_fails_in_its_await)
{
    yoke_executor *ex = yoke_open("threads:1"), *async = yoke_open("async:1");
    job = yoke_submit(ex, until_released);
    yoke_future *f = yoke_submit(async, await_other);
    yoke_event_wait(&begun);
    CHECK_INT(yoke_cancel(f), -EINPROGRESS);
    yoke_wait(f);
    CHECK_INT(yoke_code(f), -ECANCELED);
    yoke_release(f);
    yoke_event_set(&release_job);
    yoke_release(job);
    yoke_close(async);
    yoke_close(ex);
}

/* ---- Turns ---- */

/* Consumers of one semaphore, threads and coroutines, all of them asleep when a permit is given, as a rule: each kind has some of
 * them. How many is chance, since who is awake may take one that another was woken for. */
enum { PERMITS = 200, EACH_KIND = 3 };

static yoke_semaphore permits;
static _Atomic int by_threads, by_coroutines;
static _Atomic bool is_over;

static int consume(_Atomic int *count)
{
    while (!is_over) {
        yoke_semaphore_acquire(&permits);
        ++*count;
    }
    return 0;
}

static void *consuming_thread(void *arg)
{
    consume(&by_threads);
    return NULL;
}

static int consuming_coroutine(void *arg)
{
    return consume(&by_coroutines);
}

static int consuming_coroutines(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    for (int i = 0; i < EACH_KIND; i++)
        yoke_go(&g, consuming_coroutine, NULL);
    return yoke_group_end(&g);
}

static void *consuming_loop(void *arg)
{
    in_coroutine(consuming_coroutines);
    return NULL;
}

static void give_permits(int at_once)
{
    pthread_t threads[EACH_KIND + 1];
    CHECK_INT(yoke_semaphore_init(&permits, 0, 0), 0);
    by_threads = by_coroutines = 0;
    is_over = false;
    for (int i = 0; i <= EACH_KIND; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, i < EACH_KIND ? consuming_thread : consuming_loop, NULL), 0);
    usleep(50000);
    for (int given = 0; given < PERMITS; given += at_once) {
        yoke_semaphore_release(&permits, at_once);
        for (int n = 0; by_threads + by_coroutines < given + at_once && n < 100000; n++)
            usleep(10);
        usleep(300); /* they sleep again */
    }
    printf("# %d at once: %d by threads, %d by coroutines\n", at_once, by_threads, by_coroutines);
    CHECK(by_threads > 0);
    CHECK(by_coroutines > 0 || at_once > 1); /* a thread may be back for the second before a coroutine has begun to run */
    is_over = true;
    yoke_semaphore_release(&permits, 2 * EACH_KIND);
    for (int i = 0; i <= EACH_KIND; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
}

TEST(threads_and_coroutines_are_woken_by_turns)
{
    give_permits(1);
    give_permits(2);
}
