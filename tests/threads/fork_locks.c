/* fork_locks.c - joins under a held lock: whatever waits there lets nothing in that wants the lock, and neither does the thief
 * that it waits for. First the two ways in which that could go wrong, step by step; then the same by chance, with every kind of
 * lock and everything that is made of forks; then jobs. */
#include "fib.h"
#include "test.h"
#include "threads/pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke.h>

/* ---- The kinds of locks, as one ---- */

static yoke_lock a_lock;
static yoke_rlock an_rlock;
static yoke_rwlock an_rwlock;
static pthread_mutex_t a_mutex = PTHREAD_MUTEX_INITIALIZER;
static yoke_semaphore a_semaphore = YOKE_SEMAPHORE_INIT(1);

enum { LOCK, RLOCK, RLOCK_TWICE, RWLOCK, MUTEX, SEMAPHORE, KINDS, PERMIT = KINDS /* of yoke_with() */ };

static int acquire(int kind)
{
    switch (kind) {
    case LOCK:
        return yoke_lock_acquire(&a_lock);
    case RLOCK_TWICE:
        yoke_rlock_acquire(&an_rlock);
        /* fall through */
    case RLOCK:
        return yoke_rlock_acquire(&an_rlock);
    case RWLOCK:
        return yoke_rwlock_write(&an_rwlock);
    case MUTEX:
        yoke_isolate_begin();
        return pthread_mutex_lock(&a_mutex);
    default:
        yoke_isolate_begin();
        return yoke_semaphore_acquire(&a_semaphore);
    }
}

static int release(int kind)
{
    int err;
    switch (kind) {
    case LOCK:
        return yoke_lock_release(&a_lock);
    case RLOCK_TWICE:
        yoke_rlock_release(&an_rlock);
        /* fall through */
    case RLOCK:
        return yoke_rlock_release(&an_rlock);
    case RWLOCK:
        return yoke_rwlock_write_release(&an_rwlock);
    case MUTEX:
        err = pthread_mutex_unlock(&a_mutex);
        break;
    default:
        err = yoke_semaphore_release(&a_semaphore, 1);
    }
    yoke_isolate_end();
    return err;
}

/* Plain, so that TSan sees each one who comes in wrongly. */
static struct {
    long inside, entered, bad;
} room;

static void come_in(void)
{
    room.bad += room.inside != 0;
    room.inside = 1;
    room.entered++;
}

static void go_out(void)
{
    room.bad += room.inside != 1;
    room.inside = 0;
}

static void enter(int kind)
{
    CHECK_INT(acquire(kind), 0);
    come_in();
}

static void leave(int kind)
{
    go_out();
    CHECK_INT(release(kind), 0);
}

/* ---- Step by step ---- */

/* What has happened. */
static atomic_bool child_runs, grandchild_runs, stranger_runs;

static void forget(void)
{
    atomic_store(&child_runs, false);
    atomic_store(&grandchild_runs, false);
    atomic_store(&stranger_runs, false);
    memset(&room, 0, sizeof room);
}

static void until(atomic_bool *flag)
{
    while (!atomic_load(flag))
        usleep(100);
}

YOKE_FORK(void, nothing)
{
}

/* Forks again and again, so that whoever asks for work gets what was forked before. */
YOKE_FORK(void, until_stolen, (atomic_bool *, flag))
{
    while (!atomic_load(flag)) {
        yoke_fork(nothing);
        yoke_join(nothing);
        usleep(100);
    }
}

/* Wants the lock, and belongs to another job. */
YOKE_FORK(void, stranger, (int, kind))
{
    atomic_store(&stranger_runs, true);
    enter(kind);
    leave(kind);
}

/* Offers the stranger to whoever comes. */
YOKE_FORK(void, offer, (int, kind))
{
    yoke_fork(stranger, kind);
    yoke_call(until_stolen, &stranger_runs);
    yoke_join(stranger);
}

YOKE_TASK(void, offer_job, (int, kind), (int, deep))
{
    until(deep ? &grandchild_runs : &child_runs);
    offer(kind);
}

/* Goes on until the stranger has found a thread to run on. */
YOKE_FORK(void, grandchild)
{
    atomic_store(&grandchild_runs, true);
    until(&stranger_runs);
}

YOKE_FORK(void, child, (int, deep))
{
    if (deep)
        yoke_fork(grandchild);
    atomic_store(&child_runs, true);
    if (!deep) {
        until(&stranger_runs);
        return;
    }
    yoke_call(until_stolen, &grandchild_runs);
    yoke_join(grandchild); /* not to be filled with the stranger: the thread that holds the lock waits for this one */
}

YOKE_FORK(void, under_lock, (int, deep))
{
    CHECK_INT(yk_self_holds() > 0, 1);
    yoke_fork(child, deep);
    yoke_call(until_stolen, &child_runs);
    yoke_join(child); /* not to be filled with the stranger: this thread holds the lock */
}

YOKE_FORK(void, holder, (int, kind), (int, deep))
{
    enter(kind);
    yoke_call(under_lock, deep);
    leave(kind);
    CHECK_INT(yk_self_holds(), 0);
}

YOKE_FORK(void, holder_of_permit, (int, deep))
{
    yoke_with(&a_semaphore) {
        come_in();
        yoke_fork(nothing);
        yoke_call(under_lock, deep);
        yoke_join(nothing);
        go_out();
    }
    CHECK_INT(yk_self_holds(), 0);
}

YOKE_TASK(void, holder_job, (int, kind), (int, deep))
{
    if (kind == PERMIT)
        holder_of_permit(deep);
    else
        holder(kind, deep);
}

/* The holder of a lock waits for its child (deep: which waits for its own), while a fork that wants the lock is to be had. */
static void step_by_step(int kind, int deep)
{
    forget();
    yoke_executor *ex = yoke_open("threads:3"); /* the holder, the child, who offers: nobody is left but who waits */
    yoke_future *f = yoke_submit(ex, holder_job, kind, deep), *g = yoke_submit(ex, offer_job, kind, deep);
    CHECK_INT(yoke_wait(f), 0);
    CHECK_INT(yoke_wait(g), 0);
    yoke_release(f);
    yoke_release(g);
    yoke_close(ex);
    CHECK_INT(room.entered, 2);
    CHECK_INT(room.bad, 0);
}

TEST(a_join_under_a_lock_lets_nobody_in)
{
    for (int kind = 0; kind < KINDS; kind++)
        step_by_step(kind, 0);
}

TEST(nor_does_a_thief_that_somebody_waits_for_under_a_lock)
{
    for (int kind = 0; kind < KINDS; kind++)
        step_by_step(kind, 1);
}

TEST(nor_do_joins_in_a_block_with_a_permit)
{
    step_by_step(PERMIT, 0);
    step_by_step(PERMIT, 1);
}

/* ---- What is isolated ---- */

static atomic_int asked; /* locks that the thief of `ask` is taken to hold */
static atomic_bool ready, answered;

YOKE_FORK(void, ask)
{
    atomic_store(&asked, (int)yk_self_holds());
    atomic_store(&answered, true);
}

/* Makes the oldest private slot public, and waits until it has been stolen. */
YOKE_FORK(void, offer_oldest)
{
    yk_forks_ask_one(&yk_pool_anybody()->forks);
    yoke_fork(nothing);
    atomic_store(&ready, true);
    until(&answered);
    yoke_join(nothing);
}

/* Steals it for the main thread, which is a guest. */
YOKE_FORK(void, steal_one, (yk_pool_worker *, victim))
{
    while (!yk_forks_steal_from(yk_pool_anybody(), victim, yk_top, NULL))
        usleep(100);
}

enum { BEFORE, UNDER, AFTER, OUTSIDE_OF_ANOTHER_CALL, NEVER, CASES };

YOKE_FORK(void, offer_under_lock)
{
    yoke_lock_acquire(&a_lock);
    yoke_call(offer_oldest);
    yoke_lock_release(&a_lock);
}

YOKE_FORK(void, forked_somehow, (int, which))
{
    yoke_fork(nothing); /* answers whoever has asked: the next one stays private */
    yoke_join(nothing);
    if (which == UNDER || which == AFTER)
        yoke_lock_acquire(&a_lock);
    yoke_fork(ask);
    if (which == AFTER)
        yoke_lock_release(&a_lock);
    if (which == BEFORE)
        yoke_lock_acquire(&a_lock);
    if (which == OUTSIDE_OF_ANOTHER_CALL)
        offer_under_lock(); /* called as from outside: what lies below is not its own */
    else
        yoke_call(offer_oldest);
    if (which == BEFORE || which == UNDER)
        yoke_lock_release(&a_lock);
    yoke_join(ask);
}

YOKE_TASK(void, forked_somehow_job, (int, which))
{
    forked_somehow(which);
    CHECK_INT(yk_self_holds(), 0);
}

TEST(what_becomes_public_under_a_lock_is_isolated)
{
    static const int expected[] = {[BEFORE] = 1, [UNDER] = 1, [AFTER] = 0, [OUTSIDE_OF_ANOTHER_CALL] = 0, [NEVER] = 0};
    yoke_executor *ex = yoke_open("threads:1");
    for (int which = 0; which < CASES; which++) {
        atomic_store(&ready, false);
        atomic_store(&answered, false);
        yoke_future *f = yoke_submit(ex, forked_somehow_job, which);
        until(&ready);
        yoke_run(ex, steal_one, yk_pool_of(ex)->workers[0]);
        CHECK_INT(yk_self_holds(), 0);
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
        CHECK_INT(atomic_load(&asked), expected[which]);
    }
    yoke_close(ex);
}

/* ---- Jobs ---- */

YOKE_TASK(void, child_job, (int, deep))
{
    CHECK_INT(yk_self_holds() > 0, 1);
    child(deep);
}

/* Submits under the lock and waits under the lock. */
static void submit_and_wait(yoke_executor *ex, int kind)
{
    enter(kind);
    yoke_future *f = yoke_submit(ex, child_job, true);
    CHECK_INT(yoke_wait(f), 0);
    yoke_release(f);
    leave(kind);
}

TEST(a_job_that_is_waited_for_under_a_lock_lets_nobody_in)
{
    for (int kind = 0; kind < KINDS; kind++) {
        forget();
        yoke_executor *ex = yoke_open("threads:3"); /* the child, its child, who offers */
        yoke_future *g = yoke_submit(ex, offer_job, kind, true);
        submit_and_wait(ex, kind);
        CHECK_INT(yoke_wait(g), 0);
        yoke_release(g);
        yoke_close(ex);
        CHECK_INT(room.entered, 2);
        CHECK_INT(room.bad, 0);
    }
}

YOKE_TASK(void, submitter_job, (int, kind))
{
    submit_and_wait(yoke_current_executor(), kind);
    CHECK_INT(yk_self_holds(), 0);
}

/* There the thread that holds the lock runs the job itself, or another worker does. */
TEST(nor_does_one_that_a_task_waits_for)
{
    for (int kind = 0; kind < KINDS; kind++) {
        forget();
        yoke_executor *ex = yoke_open("threads:4");
        yoke_future *g = yoke_submit(ex, offer_job, kind, true), *f = yoke_submit(ex, submitter_job, kind);
        CHECK_INT(yoke_wait(f), 0);
        CHECK_INT(yoke_wait(g), 0);
        yoke_release(f);
        yoke_release(g);
        yoke_close(ex);
        CHECK_INT(room.entered, 2);
        CHECK_INT(room.bad, 0);
    }
}

static atomic_int isolated_jobs;

YOKE_TASK(void, ask_whether_isolated)
{
    atomic_fetch_add(&isolated_jobs, yk_self_holds() > 0);
}

TEST(only_jobs_submitted_under_a_lock_are_isolated)
{
    yoke_executor *ex = yoke_open("threads:2");
    for (int i = 0; i < 200; i++) {
        bool locked = i % 3 == 0;
        if (locked)
            yoke_lock_acquire(&a_lock);
        yoke_future *f = yoke_submit(ex, ask_whether_isolated);
        if (locked)
            yoke_lock_release(&a_lock);
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
        CHECK_INT(atomic_load(&isolated_jobs), i / 3 + 1);
    }
    yoke_close(ex);
}

/* ---- By chance ---- */

YOKE_LOOP(number, i, (int32_t *, v), (uint32_t, seed))
{
    v[i] = (int32_t)(((uint32_t)i * 2654435761u + seed * 40503u) >> 9);
}

YOKE_REDUCE(int64_t, total, i, sum, other, (0), (*sum += *other), (const int32_t *, v))
{
    *sum += v[i];
}

YOKE_SCAN(int64_t, sums, i, acc, other, (0), (*acc += *other), (const int32_t *, v))
{
    *acc += v[i];
}

YOKE_ORDER(int32_t, up, a, b)
{
    return *a < *b;
}

enum { ROW = 3000 };
static int32_t row[ROW];
static int64_t out[ROW];

/* What is guarded: a row of numbers, worked on by all kinds of parallel calls. */
static void work_inside(unsigned seed)
{
    CHECK_INT(fib(8 + (int)(seed % 5)), ((int[]){21, 34, 55, 89, 144})[seed % 5]);
    yoke_for(NULL, ROW, number, row, seed);
    int64_t sum = yoke_reduce(NULL, ROW, total, row);
    if (seed % 2)
        CHECK_INT(yoke_sort(NULL, row, ROW, up), 0);
    CHECK_INT(yoke_scan(NULL, ROW, out, sums, row), 0);
    CHECK_INT(out[ROW - 1], sum);
    CHECK_INT(yoke_reduce(NULL, ROW, total, row), sum);
}

YOKE_FORK(void, tree, (int, kind), (int, depth), (unsigned, seed))
{
    if (depth > 0) {
        yoke_fork(tree, kind, depth - 1, seed * 2);
        yoke_call(tree, kind, depth - 1, seed * 2 + 1);
        yoke_join(tree);
        return;
    }
    fib((int)(seed % 12));
    enter(kind);
    work_inside(seed);
    leave(kind);
    fib((int)(seed % 7));
}

/* Takes the lock in the middle of the tree, over a part of it that does not. */
YOKE_FORK(void, upper, (int, kind), (int, depth), (unsigned, seed))
{
    bool here = depth == 1 || seed % 3 == 0;
    if (here) {
        enter(kind);
        CHECK_INT(yoke_call(fib, 9), 34);
        yoke_fork(fib, 10);
        CHECK_INT(yoke_call(fib, 11), 89);
        CHECK_INT(yoke_join(fib), 55);
        leave(kind);
    }
    if (depth == 0)
        return;
    yoke_fork(upper, kind, depth - 1, seed * 2);
    yoke_fork(upper, kind, depth - 1, seed * 2 + 1);
    yoke_join(upper);
    yoke_join(upper);
}

YOKE_TASK(void, tree_job, (int, kind), (unsigned, seed))
{
    tree(kind, 3, seed);
    upper(kind, 4, seed);
    CHECK_INT(yk_self_holds(), 0);
}

YOKE_FORK(void, number_all, (unsigned, seed))
{
    yoke_for(NULL, ROW, number, row, seed);
}

typedef struct outside {
    yoke_executor *ex;
    int kind;
} outside;

static void *from_outside(void *arg)
{
    const outside *o = arg;
    for (unsigned seed = 0; seed < 3; seed++) {
        yoke_run(o->ex, tree, o->kind, 2, seed);
        enter(o->kind); /* a thread that is no worker holds the lock */
        yoke_run(o->ex, number_all, seed);
        CHECK_INT(yoke_run(o->ex, fib, 12), 144);
        leave(o->kind);
    }
    CHECK_INT(yk_self_holds(), 0);
    return NULL;
}

static void by_chance(const char *uri, int kind)
{
    enum { JOBS = 6, OUTSIDE = 3 };
    yoke_executor *ex = yoke_open(uri);
    yoke_future *f[JOBS];
    pthread_t t[OUTSIDE];
    outside o = {ex, kind};
    memset(&room, 0, sizeof room);
    for (int i = 0; i < JOBS; i++)
        f[i] = yoke_submit(ex, tree_job, kind, (unsigned)test_random() % 1000);
    for (int i = 0; i < OUTSIDE; i++)
        CHECK_INT(pthread_create(&t[i], NULL, from_outside, &o), 0);
    for (int i = 0; i < OUTSIDE; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < JOBS; i++) {
        CHECK_INT(yoke_wait(f[i]), 0);
        yoke_release(f[i]);
    }
    CHECK_INT(room.bad, 0);
    CHECK(room.entered >= JOBS * 8 + OUTSIDE * 3 * 5);
    yoke_close(ex);
}

#define BY_CHANCE(name, uri)                                                                                           \
    TEST_LIMIT(name, 120)                                                                                              \
    {                                                                                                                  \
        for (int kind = 0; kind < KINDS; kind++)                                                                       \
            by_chance(uri, kind);                                                                                      \
    }
BY_CHANCE(two_workers, "threads:2")
BY_CHANCE(eight_workers, "threads:8")
BY_CHANCE(sixteen_workers, "threads:16")

/* ---- Jobs that have not begun, and threads ---- */

/* Forks of one job that all want the lock, each joined by somebody who sleeps. */
YOKE_FORK(int, all_want, (int, n))
{
    if (n == 0) {
        yoke_lock_acquire(&a_lock);
        sched_yield();
        return yoke_lock_release(&a_lock);
    }
    yoke_fork(all_want, n - 1);
    int err = yoke_call(all_want, n - 1);
    return yoke_join(all_want) | err;
}

YOKE_TASK(int, all_want_job, (int, n))
{
    return yoke_run(yoke_current_executor(), all_want, n);
}

YOKE_FORK(int, leaves, (int, n))
{
    if (n == 0) {
        sched_yield();
        return 1;
    }
    yoke_fork(leaves, n - 1);
    int right = yoke_call(leaves, n - 1);
    return yoke_join(leaves) + right;
}

static yoke_executor *crowded;

YOKE_TASK(int, leaves_job, (int, n))
{
    return yoke_run(crowded, leaves, n);
}

static int in_a_job(void)
{
    return yoke_await(yoke_submit(crowded, leaves_job, 4), int);
}

static int in_a_thread(void)
{
    int sum = 0;
    yoke_thread *t = yoke_thread_start("leaves", leaves_job, 4);
    CHECK_INT(yoke_thread_try(t, &sum), 0);
    yoke_thread_release(t);
    return sum;
}

/* While everybody in the pool waits for the lock, or joins one who does, its holder waits for something that is yet to begin. */
static void wait_under_a_lock(int (*something)(void))
{
    crowded = yoke_open("threads:4");
    yoke_future *f = yoke_submit(crowded, all_want_job, 8);
    do {
        CHECK_INT(yoke_lock_acquire(&a_lock), 0);
        CHECK_INT(something(), 16);
        CHECK_INT(yoke_lock_release(&a_lock), 0);
        usleep(200);
    } while (!yoke_done(f));
    CHECK_INT(yoke_wait(f), 0);
    yoke_close(crowded);
}

TEST_LIMIT(a_job_that_is_waited_for_under_a_lock_is_begun, 300)
{
    wait_under_a_lock(in_a_job);
}

TEST_LIMIT(a_thread_that_is_joined_under_a_lock_is_isolated, 300)
{
    wait_under_a_lock(in_a_thread);
}
