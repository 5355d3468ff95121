/* fork_watch.c - joins in the graph of who waits for whom: deadlocks of the program's own making, in which a fork waits for what
 * its joiner holds or is, are refused or at least told. */
#include "child.h"
#include "test.h"
#include "threads/pool.h"
#include <stdlib.h>
#include <yoke.h>

static yoke_rlock lock_a = YOKE_RLOCK_INIT;
static atomic_bool stolen, asleep_first;
static _Atomic(yk_who *) joiner, thief;
static yoke_future *self;
static atomic_int refused;

static bool is_asleep(yk_who *who)
{
    yk_mutex_lock(&yk_who_lock);
    bool asleep = who && who->wish;
    yk_mutex_unlock(&yk_who_lock);
    return asleep;
}

static void until_asleep(_Atomic(yk_who *) *who)
{
    while (!is_asleep(atomic_load(who)))
        usleep(100);
}

YOKE_FORK(void, nothing)
{
}

YOKE_FORK(void, until_stolen)
{
    while (!atomic_load(&stolen)) {
        yoke_fork(nothing);
        yoke_join(nothing);
        usleep(100);
    }
}

static void begin_stolen(void)
{
    atomic_store(&thief, yk_who_self());
    atomic_store(&stolen, true);
    if (!atomic_load(&asleep_first))
        until_asleep(&joiner);
}

/* ---- A part takes the lock that is held over its join ---- */

YOKE_FORK(void, take_it_again)
{
    begin_stolen();
    int err = yoke_rlock_acquire(&lock_a);
    atomic_store(&refused, err);
    if (err == 0)
        yoke_rlock_release(&lock_a);
}

YOKE_FORK(void, hold_and_join)
{
    CHECK_INT(yoke_rlock_acquire(&lock_a), 0);
    atomic_store(&joiner, yk_who_self());
    yoke_fork(take_it_again);
    yoke_call(until_stolen);
    if (atomic_load(&asleep_first))
        until_asleep(&thief);
    yoke_join(take_it_again);
    CHECK_INT(yoke_rlock_release(&lock_a), 0);
}

YOKE_TASK(void, hold_and_join_job)
{
    hold_and_join();
}

static void run_hold_and_join(void)
{
    yoke_watching_locks = true;
    yoke_rlock_name(&lock_a, "accounts");
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *f = yoke_submit(ex, hold_and_join_job);
    CHECK_INT(yoke_wait(f), 0);
    CHECK_INT(atomic_load(&refused), -EDEADLK);
    yoke_release(f);
    yoke_close(ex);
}

TEST(a_part_that_takes_its_joiners_lock_is_refused)
{
    child_end end = in_child(run_hold_and_join);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other");
    CHECK_HAS(end.text, " waits for rlock \"accounts\" at fork_watch.c:");
    CHECK_HAS(end.text, " joins a fork, run by thread \"yoke-worker-");
}

/* The other way round there is nobody left who could be refused: a join must wait. */
static void *end_when_told(void *unused)
{
    while (!atomic_load(&joiner))
        usleep(100);
    char *told = NULL;
    while (!told || !is_asleep(atomic_load(&joiner))) {
        yk_mutex_lock(&yk_who_lock);
        told = atomic_load(&joiner)->told;
        yk_mutex_unlock(&yk_who_lock);
        usleep(100);
    }
    _exit(7);
}

static void run_and_hang(void)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, end_when_told, NULL), 0);
    atomic_store(&asleep_first, true);
    run_hold_and_join();
}

TEST(a_join_for_what_waits_for_its_lock_is_told)
{
    child_end end = in_child(run_and_hang);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 7);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other");
    CHECK_HAS(end.text, "joins a fork, run by thread \"yoke-worker-");
    CHECK_HAS(end.text, "waits for rlock \"accounts\"");
}

/* ---- A part waits for the job that it is a part of ---- */

YOKE_FORK(void, await_own_job)
{
    begin_stolen();
    atomic_store(&refused, yoke_wait(self));
}

YOKE_FORK(void, join_awaiter)
{
    atomic_store(&joiner, yk_who_self());
    yoke_fork(await_own_job);
    yoke_call(until_stolen);
    yoke_join(await_own_job);
}

YOKE_TASK(void, join_awaiter_job)
{
    while (!__atomic_load_n(&self, __ATOMIC_ACQUIRE))
        usleep(100);
    join_awaiter();
}

static void await_in_part(bool locked)
{
    atomic_store(&stolen, false);
    atomic_store(&joiner, NULL);
    __atomic_store_n(&self, NULL, __ATOMIC_RELEASE);
    yoke_executor *ex = yoke_open("threads:2");
    if (locked)
        yoke_isolate_begin(); /* the job is isolated then: its join sleeps in another way */
    yoke_future *f = yoke_submit(ex, join_awaiter_job);
    if (locked)
        yoke_isolate_end();
    __atomic_store_n(&self, f, __ATOMIC_RELEASE);
    CHECK_INT(yoke_wait(f), 0);
    CHECK_INT(atomic_load(&refused), -EDEADLK);
    yoke_release(f);
    yoke_close(ex);
}

TEST(a_part_that_awaits_its_own_job_is_refused)
{
    await_in_part(false);
    await_in_part(true);
}

/* ---- What is no deadlock is none ---- */

YOKE_FORK(void, take_another)
{
    static yoke_rlock other = YOKE_RLOCK_INIT;
    begin_stolen();
    CHECK_INT(yoke_rlock_acquire(&other), 0);
    CHECK_INT(yoke_rlock_release(&other), 0);
}

YOKE_FORK(void, hold_and_join_other)
{
    CHECK_INT(yoke_rlock_acquire(&lock_a), 0);
    atomic_store(&joiner, yk_who_self());
    yoke_fork(take_another);
    yoke_call(until_stolen);
    yoke_join(take_another);
    CHECK_INT(yoke_rlock_release(&lock_a), 0);
}

static void run_hold_and_join_other(void)
{
    yoke_watching_locks = true;
    yoke_executor *ex = yoke_open("threads:3");
    yoke_run(ex, hold_and_join_other);
    yoke_close(ex);
}

TEST(another_lock_in_a_part_is_fine)
{
    child_end end = in_child(run_hold_and_join_other);
    CHECK_INT(end.status, 0);
    CHECK_STR(end.text, "");
}

/* ---- A part that awaits another job does not run in a thread that joins in that job ---- */

static atomic_bool stranger_begun;
static atomic_int stranger_got = 1;

YOKE_FORK(void, until_stranger_begun)
{
    atomic_store(&stolen, true);
    while (!atomic_load(&stranger_begun))
        usleep(100);
}

YOKE_FORK(void, join_it)
{
    yoke_fork(until_stranger_begun);
    yoke_call(until_stolen);
    yoke_join(until_stranger_begun); /* helps meanwhile, with what is its own */
}

YOKE_TASK(void, awaited_job)
{
    join_it();
}

YOKE_FORK(void, stranger)
{
    atomic_store(&stranger_begun, true);
    atomic_store(&stranger_got, yoke_wait(self));
}

/* Leaves the stranger to others until it has begun. */
YOKE_FORK(void, offer_stranger)
{
    yoke_fork(stranger);
    while (!atomic_load(&stranger_begun)) {
        yoke_fork(nothing);
        yoke_join(nothing);
        usleep(100);
    }
    yoke_join(stranger);
}

YOKE_TASK(void, offering_job)
{
    offer_stranger();
}

TEST(a_stranger_that_awaits_a_job_does_not_run_in_its_join)
{
    for (int i = 0; i < 20; i++) {
        atomic_store(&stolen, false);
        atomic_store(&stranger_begun, false);
        atomic_store(&stranger_got, 1);
        yoke_executor *ex = yoke_open("threads:3");
        self = yoke_submit(ex, awaited_job);
        while (!atomic_load(&stolen))
            usleep(100);
        yoke_future *offer = yoke_submit(ex, offering_job);
        CHECK_INT(yoke_wait(offer), 0);
        CHECK_INT(atomic_load(&stranger_got), 0);
        CHECK_INT(yoke_wait(self), 0);
        yoke_release(offer);
        yoke_release(self);
        yoke_close(ex);
    }
}
