/* held.c - how many locks a thread is taken to hold (yk_self_holds), which decides whether its joins are isolated: every way to
 * take and to give back, when it fails too. */
#include "crew.h"
#include "sync/self.h"
#include "sync/who.h"
#include <stdatomic.h>

#define HOLDS(n) CHECK_INT(yk_self_holds(), n)

static void *take_lock(void *l)
{
    return (void *)(intptr_t)yoke_lock_acquire(l);
}

static void *give_lock(void *l)
{
    HOLDS(0);
    int err = yoke_lock_release(l);
    HOLDS(0);
    return (void *)(intptr_t)err;
}

static void locks(unsigned flags)
{
    yoke_lock a, b;
    CHECK_INT(yoke_lock_init(&a, flags), 0);
    CHECK_INT(yoke_lock_init(&b, flags), 0);
    HOLDS(0);
    CHECK_INT(yoke_lock_acquire(&a), 0);
    HOLDS(1);
    CHECK_INT(yoke_lock_try(&b), 0);
    HOLDS(2);
    CHECK_INT(yoke_lock_try(&b), -EAGAIN);
    CHECK_INT(yoke_lock_timed(&b, 1000), -ETIMEDOUT);
    CHECK_INT(yoke_lock_until(&b, 0), -ETIMEDOUT);
    CHECK_INT(yoke_lock_timed(&b, -1), -EINVAL);
    CHECK_INT(yoke_lock_done(&b), -EBUSY);
    HOLDS(2);
    CHECK_INT(yoke_lock_release(&a), 0);
    HOLDS(1);
    CHECK_INT(yoke_lock_release(&a), -EPERM);
    CHECK_INT(yoke_lock_release(&b), 0);
    HOLDS(0);
    CHECK_INT(yoke_lock_timed(&a, YOKE_S), 0);
    CHECK_INT(yoke_lock_until(&b, YOKE_FOREVER), 0);
    HOLDS(2);
    yoke_lock_release(&a);
    yoke_lock_release(&b);
    CHECK_INT(yoke_lock_done(&a), 0);
    CHECK_INT(yoke_lock_acquire(&a), -EINVAL);
    HOLDS(0);
}

static void rlocks(unsigned flags)
{
    yoke_rlock l;
    CHECK_INT(yoke_rlock_init(&l, flags), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(i == 1 ? yoke_rlock_try(&l) : yoke_rlock_acquire(&l), 0);
        HOLDS(1);
    }
    for (int i = 0; i < 3; i++) {
        HOLDS(1);
        CHECK_INT(yoke_rlock_release(&l), 0);
    }
    HOLDS(0);
    CHECK_INT(yoke_rlock_release(&l), -EPERM);
    HOLDS(0);
}

static void rwlocks(unsigned flags)
{
    yoke_rwlock l, m;
    CHECK_INT(yoke_rwlock_init(&l, flags), 0);
    CHECK_INT(yoke_rwlock_init(&m, flags), 0);
    CHECK_INT(yoke_rwlock_read(&l), 0);
    HOLDS(1);
    CHECK_INT(yoke_rwlock_read_timed(&m, YOKE_S), 0);
    HOLDS(2);
    CHECK_INT(yoke_rwlock_write_try(&l), -EAGAIN);
    CHECK_INT(yoke_rwlock_write_timed(&l, 1000), -ETIMEDOUT);
    HOLDS(2);
    CHECK_INT(yoke_rwlock_read_release(&l), 0);
    CHECK_INT(yoke_rwlock_read_release(&m), 0);
    HOLDS(0);
    CHECK_INT(yoke_rwlock_read_release(&m), -EPERM);
    HOLDS(0);
    CHECK_INT(yoke_rwlock_write(&l), 0);
    HOLDS(1);
    CHECK_INT(yoke_rwlock_write(&l), -EDEADLK);
    CHECK_INT(yoke_rwlock_read(&l), -EDEADLK);
    CHECK_INT(yoke_rwlock_read_try(&l), -EDEADLK);
    HOLDS(1);
    CHECK_INT(yoke_rwlock_write_release(&l), 0);
    CHECK_INT(yoke_rwlock_write_release(&l), -EPERM);
    HOLDS(0);
}

static int holds_in(void *arg)
{
    HOLDS(1);
    return *(int *)arg;
}

static void the_rest(unsigned flags)
{
    yoke_once o;
    yoke_barrier b;
    int code = -EIO;
    CHECK_INT(yoke_once_init(&o, flags), 0);
    CHECK_INT(yoke_once_run(&o, holds_in, &code), -EIO);
    HOLDS(0);
    code = 0;
    CHECK_INT(yoke_once_try(&o, holds_in, &code), 0);
    CHECK_INT(yoke_once_run(&o, holds_in, &code), 0);
    HOLDS(0);
    CHECK_INT(yoke_barrier_init(&b, 1, NULL, NULL, flags), 0);
    CHECK_INT(yoke_barrier_wait_with(&b, holds_in, &code, YOKE_FOREVER), 0);
    HOLDS(0);
    yoke_isolate_begin();
    yoke_isolate_begin();
    HOLDS(2);
    yoke_isolate_end();
    yoke_isolate_end();
    HOLDS(0);
}

static bool is_held_inside(void *arg)
{
    HOLDS(1);
    return ++*(int *)arg > 3;
}

static void conditions(unsigned flags)
{
    yoke_condition c;
    yoke_rlock l;
    int calls = 0;
    CHECK_INT(yoke_condition_init(&c, flags), 0);
    CHECK_INT(yoke_rlock_init(&l, flags), 0);
    yoke_rlock_acquire(&l);
    yoke_rlock_acquire(&l);
    CHECK_INT(yoke_condition_timed(&c, &l, 1000), 0);
    HOLDS(1);
    CHECK_INT(yoke_condition_wait_for_until(&c, &l, is_held_inside, &calls, 0), 0);
    HOLDS(1);
    yoke_rlock_release(&l);
    HOLDS(1);
    yoke_rlock_release(&l);
    HOLDS(0);
    CHECK_INT(yoke_condition_timed(&c, &l, 1000), -EPERM);
    HOLDS(0);
}

static void everything(void)
{
    for (unsigned flags = 0; flags <= YOKE_SHARED; flags++) {
        locks(flags);
        rlocks(flags);
        rwlocks(flags);
        the_rest(flags);
        conditions(flags);
    }
}

TEST(every_way_to_take_and_to_give)
{
    everything();
}

TEST(without_the_fence)
{
    yk_fence_broken = true;
    everything();
}

TEST(while_watching)
{
    yoke_watching_locks = true;
    everything();
}

/* Two take turns under it, so that each sleeps for it now and then. */
static void *take_and_give(void *l)
{
    for (int i = 0; i < 20000; i++) {
        yoke_lock_acquire(l);
        CHECK(yk_self_holds() == 1);
        yoke_lock_release(l);
    }
    HOLDS(0);
    return NULL;
}

TEST(fought_over)
{
    yoke_lock l = YOKE_LOCK_INIT;
    crew_run(4, take_and_give, &l);
}

/* ---- Others release ---- */

TEST(what_another_thread_releases_is_not_held_any_more)
{
    yoke_lock l = YOKE_LOCK_INIT, m = YOKE_LOCK_INIT;
    CHECK(yk_who_self() != NULL);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_INT(yoke_lock_acquire(&m), 0);
        CHECK_INT(yoke_lock_acquire(&l), 0);
        HOLDS(2);
        CHECK_INT(crew_ask(give_lock, &l), 0);
        HOLDS(1);
        CHECK_INT(crew_ask(give_lock, &l), -EPERM);
        HOLDS(1);
        CHECK_INT(yoke_lock_release(&m), 0);
        HOLDS(0);
    }
}

/* Takes a lock that its thread will never release, and ends; then is succeeded by one with the same record. */
static void *succeed(void *l)
{
    yk_who *me = yk_who_self();
    HOLDS(0);
    if (l)
        CHECK_INT(yoke_lock_acquire(l), 0);
    CHECK_INT(yk_self_holds(), l != NULL);
    return me;
}

TEST(what_the_dead_held_counts_for_nobody)
{
    yoke_lock l = YOKE_LOCK_INIT;
    long first = crew_ask(succeed, &l);
    HOLDS(0);
    CHECK_INT(yoke_lock_release(&l), 0); /* of a thread that has ended */
    HOLDS(0);
    CHECK_INT(crew_ask(succeed, NULL), first); /* whose record is used again */
    CHECK_INT(crew_ask(succeed, &l), first);
    HOLDS(0);
}

/* A thread that yoke has no record of is taken to hold it still: better too much than too little. */
static yoke_lock between;
static atomic_bool taken, given;

static void *without_record(void *arg)
{
    CHECK(yk_who_mine == NULL);
    CHECK_INT(yoke_lock_acquire(&between), 0);
    atomic_store(&taken, true);
    AWAIT(atomic_load(&given));
    CHECK_INT(yk_self_holds(), 1);
    return NULL;
}

TEST(a_thread_without_a_record_errs_on_the_safe_side)
{
    pthread_t t = crew_start(without_record, NULL);
    AWAIT(atomic_load(&taken));
    CHECK_INT(yoke_lock_release(&between), 0);
    atomic_store(&given, true);
    crew_join(t);
    HOLDS(0);
}

static void *give_read(void *l)
{
    return (void *)(intptr_t)yoke_rwlock_read_release(l);
}

TEST(a_reader_released_by_another_thread_takes_nothing_from_it)
{
    static yoke_rwlock l;
    CHECK_INT(yoke_rwlock_read(&l), 0);
    CHECK_INT(crew_ask(give_read, &l), 0);
    HOLDS(1); /* against the rules: the count errs on the safe side */
}

static void *take_read(void *l)
{
    return (void *)(intptr_t)yoke_rwlock_read(l);
}

/* Against the rules too. The count may be too small then, but is never below 0, whichever way the rest is given back. */
static void give_anothers_read_lock(void)
{
    static yoke_rwlock book, other;
    static yoke_lock l;
    CHECK_INT(crew_ask(take_read, &book), 0);
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(yoke_rwlock_read_release(&book), 0);
    HOLDS(0);
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(yk_self.held, 0);
    CHECK_INT(crew_ask(take_read, &book), 0);
    CHECK_INT(yoke_rwlock_write(&other), 0);
    CHECK_INT(yoke_rwlock_read_release(&book), 0);
    CHECK_INT(yoke_rwlock_write_release(&other), 0);
    CHECK_INT(yk_self.held, 0);
    CHECK_INT(crew_ask(take_read, &book), 0);
    yoke_isolate_begin();
    CHECK_INT(yoke_rwlock_read_release(&book), 0);
    yoke_isolate_end();
    CHECK_INT(yk_self.held, 0);
    CHECK(!yk_is_isolated());
    CHECK_INT(yoke_lock_acquire(&l), 0); /* and counts on from there */
    HOLDS(1);
    CHECK_INT(yoke_lock_release(&l), 0);
    HOLDS(0);
}

TEST(what_another_thread_read_is_never_less_than_nothing)
{
    give_anothers_read_lock();
}

TEST(nor_while_watching)
{
    yoke_watching_locks = true;
    give_anothers_read_lock();
}

TEST(nor_beside_what_another_thread_released)
{
    static yoke_rwlock book;
    yoke_lock l = YOKE_LOCK_INIT;
    CHECK(yk_who_self() != NULL);
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(crew_ask(give_lock, &l), 0);
    CHECK_INT(crew_ask(take_read, &book), 0);
    CHECK_INT(yoke_rwlock_read_release(&book), 0);
    CHECK_INT(yk_self.held, 0); /* less than what was returned */
    HOLDS(0);
    CHECK(!yk_is_isolated());
    CHECK_INT(yoke_lock_acquire(&l), 0);
    HOLDS(0); /* too small, as it was told */
    CHECK_INT(yoke_lock_release(&l), 0);
    HOLDS(0);
}

/* ---- The dead, and children ---- */

TEST(an_heir_holds_what_it_inherits)
{
    yoke_lock *l = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_INT(yoke_lock_init(l, YOKE_SHARED), 0);
    pid_t child = fork();
    if (child == 0) {
        yoke_lock_acquire(l);
        _exit(0);
    }
    CHECK_INT(waitpid(child, NULL, 0), child);
    CHECK_INT(yoke_lock_acquire(l), -EOWNERDEAD);
    HOLDS(1);
    CHECK_INT(yoke_lock_consistent(l), 0);
    HOLDS(1);
    CHECK_INT(yoke_lock_release(l), 0);
    HOLDS(0);
}

TEST(a_child_holds_what_its_thread_held)
{
    yoke_lock l = YOKE_LOCK_INIT, m = YOKE_LOCK_INIT;
    CHECK(yk_who_self() != NULL);
    CHECK_INT(yoke_lock_acquire(&m), 0);
    CHECK_INT(crew_ask(give_lock, &m), 0);
    CHECK_INT(yoke_lock_acquire(&l), 0);
    pid_t child = fork();
    if (child == 0) {
        int bad = yk_self_holds() != 1;
        bad |= yoke_lock_release(&l) != 0; /* the copy */
        bad |= yk_self_holds() != 0;
        bad |= yoke_lock_acquire(&l) != 0 || yk_self_holds() != 1;
        _exit(bad);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    HOLDS(1);
    CHECK_INT(yoke_lock_release(&l), 0);
    HOLDS(0);
}

/* In a child its thread has another id, by which it is known there. */
static int hand_over_in_child(void *generations)
{
    yoke_lock l = YOKE_LOCK_INIT;
    int left = (int)(intptr_t)generations, bad = yk_self_holds() != 0;
    bad |= !yk_who_mine || yk_who_mine->id != yk_self_id();
    bad |= yoke_lock_acquire(&l) != 0 || yk_self_holds() != 1;
    bad |= crew_ask(give_lock, &l) != 0 || yk_self_holds() != 0;
    return bad || left == 0 ? bad : crew_reap(crew_fork(hand_over_in_child, (void *)(intptr_t)(left - 1)));
}

TEST(what_is_handed_over_in_a_child_is_not_held_there)
{
    CHECK(yk_who_self() != NULL);
    CHECK_INT(crew_reap(crew_fork(hand_over_in_child, (void *)2)), 0);
    HOLDS(0);
}

TEST(a_lock_taken_elsewhere_is_not_held_here)
{
    yoke_lock l = YOKE_LOCK_INIT;
    CHECK_INT(crew_ask(take_lock, &l), 0);
    HOLDS(0);
    CHECK_INT(yoke_lock_release(&l), 0);
    HOLDS(0);
}
