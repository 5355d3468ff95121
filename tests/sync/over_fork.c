/* over_fork.c - locks that the thread which calls fork() holds: in the child they are its own, private ones as copies, shared
 * ones not at all. */
#include "crew.h"
#include "sync/lock.h"

#define RETURN(v) return (void *)(intptr_t)(v)

static yoke_lock plain;
static yoke_rlock r;
static yoke_rwlock w;
static yoke_condition changed;

/* Each check of a child has a number of its own, which is its exit code. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__ % 250 + 1;                                                                                 \
    } while (0)

static void *try_r(void *arg)
{
    int err = yoke_rlock_try(&r);
    RETURN(err == 0 ? yoke_rlock_release(&r) : err);
}

static void *release_r(void *arg)
{
    RETURN(yoke_rlock_release(&r));
}

static int use_rlock(void *arg)
{
    NEED(yoke_rlock_mine(&r));
    NEED(yoke_rlock_acquire(&r) == 0);
    NEED(yoke_rlock_try(&r) == 0);
    NEED(crew_ask(try_r, NULL) == -EAGAIN); /* the child's other threads have nothing to do with it */
    NEED(crew_ask(release_r, NULL) == -EPERM);
    for (int i = 0; i < 5; i++)
        NEED(yoke_rlock_release(&r) == 0);
    NEED(!yoke_rlock_mine(&r));
    NEED(yoke_rlock_release(&r) == -EPERM);
    NEED(crew_ask(try_r, NULL) == 0);
    NEED(yoke_rlock_done(&r) == 0);
    return 0;
}

static void take_r(int times)
{
    for (int i = 0; i < times; i++)
        CHECK_INT(yoke_rlock_acquire(&r), 0);
}

TEST(an_rlock_is_still_its_owners)
{
    take_r(3);
    CHECK_INT(crew_reap(crew_fork(use_rlock, NULL)), 0);
    CHECK(yoke_rlock_mine(&r)); /* the parent has its own */
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_rlock_release(&r), 0);
    CHECK_INT(yoke_rlock_release(&r), -EPERM);
}

static int fork_again(void *left)
{
    int generations = (int)(intptr_t)left;
    NEED(yoke_rlock_mine(&r));
    if (generations == 0)
        return use_rlock(NULL);
    NEED(yoke_rlock_acquire(&r) == 0); /* under the newest id, on top of the oldest */
    NEED(yoke_rlock_release(&r) == 0);
    return crew_reap(crew_fork(fork_again, (void *)(intptr_t)(generations - 1)));
}

TEST(over_many_generations)
{
    take_r(3);
    CHECK_INT(crew_reap(crew_fork(fork_again, (void *)(intptr_t)12)), 0);
}

static int fork_deep(void *left)
{
    int generations = (int)(intptr_t)left;
    if (generations > 0)
        return crew_reap(crew_fork(fork_deep, (void *)(intptr_t)(generations - 1)));
    NEED(!yoke_rlock_mine(&r)); /* too long ago */
    NEED(yoke_rlock_mine(&r) == (yoke_rlock_release(&r) == 0));
    return 0;
}

TEST(over_more_generations_than_are_remembered)
{
    take_r(1);
    CHECK_INT(crew_reap(crew_fork(fork_deep, (void *)(intptr_t)20)), 0);
}

/* A lock of the middle generation, beside one of the first. */
static yoke_rlock second;

static int take_another(void *arg)
{
    NEED(yoke_rlock_acquire(&second) == 0);
    int code = crew_reap(crew_fork(use_rlock, NULL));
    NEED(yoke_rlock_release(&second) == 0 && yoke_rlock_release(&r) == 0);
    return code;
}

TEST(each_generation_has_locks)
{
    take_r(3);
    CHECK_INT(crew_reap(crew_fork(take_another, NULL)), 0);
}

static int is_foreign(void *arg)
{
    NEED(!yoke_rlock_mine(&r));
    NEED(yoke_rlock_release(&r) == -EPERM);
    NEED(yoke_rlock_try(&r) == -EAGAIN);
    return 0;
}

static void *fork_in_thread(void *arg)
{
    RETURN(crew_reap(crew_fork(is_foreign, NULL)));
}

TEST(what_another_thread_held_is_not_ours)
{
    take_r(1);
    CHECK_INT(crew_ask(fork_in_thread, NULL), 0);
    CHECK_INT(yoke_rlock_release(&r), 0);
}

/* Ids of the child's first thread are not those of a thread that it starts, nor of that one's children. */
static int fork_from_a_thread(void *arg)
{
    NEED(crew_ask(fork_in_thread, NULL) == 0);
    return use_rlock(NULL);
}

TEST(a_thread_of_the_child_that_forks_again)
{
    take_r(3);
    CHECK_INT(crew_reap(crew_fork(fork_from_a_thread, NULL)), 0);
}

static int use_writer(void *arg)
{
    NEED(yoke_rwlock_write(&w) == -EDEADLK);
    NEED(yoke_rwlock_read(&w) == -EDEADLK);
    NEED(yoke_rwlock_write_release(&w) == 0);
    NEED(yoke_rwlock_write_release(&w) == -EPERM);
    NEED(yoke_rwlock_read(&w) == 0);
    NEED(yoke_rwlock_read_release(&w) == 0);
    NEED(yoke_rwlock_write(&w) == 0);
    NEED(yoke_rwlock_write_release(&w) == 0);
    return 0;
}

TEST(an_rwlock_of_its_writer)
{
    CHECK_INT(yoke_rwlock_write(&w), 0);
    CHECK_INT(crew_reap(crew_fork(use_writer, NULL)), 0);
    CHECK_INT(yoke_rwlock_write_release(&w), 0);
}

static int use_reader(void *arg)
{
    NEED(yoke_rwlock_write_try(&w) == -EAGAIN);
    NEED(yoke_rwlock_read_release(&w) == 0);
    NEED(yoke_rwlock_write(&w) == 0);
    NEED(yoke_rwlock_write_release(&w) == 0);
    return 0;
}

TEST(an_rwlock_of_a_reader)
{
    CHECK_INT(yoke_rwlock_read(&w), 0);
    CHECK_INT(crew_reap(crew_fork(use_reader, NULL)), 0);
    CHECK_INT(yoke_rwlock_write_try(&w), -EAGAIN);
    CHECK_INT(yoke_rwlock_read_release(&w), 0);
}

static void *notify_changed(void *arg)
{
    int err = yoke_lock_acquire(&plain);
    int n = yoke_condition_notify(&changed, &plain, 1);
    yoke_lock_release(&plain);
    RETURN(err < 0 ? err : n);
}

static int use_plain(void *arg)
{
    NEED(yoke_condition_notify(&changed, &plain, 1) == 0); /* which asks for the lock */
    pthread_t t = crew_start(notify_changed, NULL);        /* comes in while this waits */
    NEED(yoke_condition_wait(&changed, &plain) == 1);
    NEED(crew_join(t) == 1);
    NEED(yoke_lock_release(&plain) == 0);
    NEED(yoke_lock_release(&plain) == -EPERM);
    return 0;
}

TEST(a_lock_and_its_condition)
{
    CHECK_INT(yoke_lock_acquire(&plain), 0);
    CHECK_INT(crew_reap(crew_fork(use_plain, NULL)), 0);
    CHECK_INT(yoke_lock_release(&plain), 0);
}

/* A condition under an rlock gives it up entirely, and takes it back under the new id, as often. */
static int wait_under_rlock(void *arg)
{
    NEED(yoke_condition_timed(&changed, &r, YOKE_MS) == 0);
    NEED(yoke_rlock_mine(&r));
    return use_rlock(NULL);
}

TEST(a_condition_under_an_rlock)
{
    take_r(3);
    CHECK_INT(crew_reap(crew_fork(wait_under_rlock, NULL)), 0);
}

static int nothing(void *arg)
{
    return 0;
}

static yoke_once once;
static pid_t forked;

static int fork_in_once(void *arg)
{
    fflush(stdout);
    forked = fork();
    if (forked != 0)
        return 0;
    bool fine = yoke_once_run(&once, nothing, NULL) == -EDEADLK && yoke_once_try(&once, nothing, NULL) == -EDEADLK;
    _exit(fine ? 0 : 1);
}

TEST(an_initialisation_that_forks)
{
    CHECK_INT(yoke_once_run(&once, fork_in_once, NULL), 0);
    CHECK_INT(crew_reap(forked), 0);
    CHECK(yoke_once_is_done(&once));
}

static int is_the_parents(void *arg)
{
    yoke_rlock *l = arg;
    NEED(!yoke_rlock_mine(l));
    NEED(yoke_rlock_release(l) == -EPERM);
    NEED(yoke_rlock_try(l) == -EAGAIN);
    NEED(yoke_condition_notify(&changed, l, 1) == -EINVAL);
    return 0;
}

TEST(a_shared_one_stays_with_the_parent)
{
    yoke_rlock *l = crew_shared(sizeof *l);
    CHECK_INT(yoke_rlock_init(l, YOKE_SHARED), 0);
    CHECK_INT(yoke_rlock_acquire(l), 0);
    CHECK_INT(crew_reap(crew_fork(is_the_parents, l)), 0);
    CHECK(yoke_rlock_mine(l));
    CHECK_INT(yoke_rlock_release(l), 0);
}
