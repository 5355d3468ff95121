/* with.c - locks held for a block whose holder has died, and deadlocks that the diagnosis refuses: when the block is run, and in
 * what state the lock is afterwards, and what the end of a block leaves alone. What holds in every language: with_use.cpp. */
#include "crew.h"
#include "sync/who.h"
#include <stdatomic.h>

static void *hold_lock(void *l)
{
    return (void *)(intptr_t)yoke_lock_acquire((yoke_lock *)l);
}

static void *write_and_end(void *l)
{
    return (void *)(intptr_t)yoke_rwlock_write((yoke_rwlock *)l);
}

TEST(a_lock_whose_holder_died_is_passed_on_unless_somebody_asks)
{
    yoke_lock *l = crew_shared(sizeof *l);
    int runs = 0, err = 0;
    CHECK_INT(yoke_lock_init(l, YOKE_SHARED), 0);
    CHECK_INT(crew_ask(hold_lock, l), 0);
    yoke_with(l) {
        runs++;
    }
    CHECK_INT(runs, 0);
    CHECK(!yoke_lock_held(l));
    yoke_with(l, &err) { /* again -EOWNERDEAD, as nobody has repaired anything */
        CHECK_INT(err, -EOWNERDEAD);
        CHECK(yoke_lock_held(l));
        runs++;
    }
    CHECK_INT(runs, 1);
    CHECK(!yoke_lock_held(l));
    yoke_with(l, &err) {
        CHECK_INT(err, -EOWNERDEAD);
        CHECK_INT(yoke_lock_consistent(l), 0);
        runs++;
    }
    yoke_with(l) {
        runs++;
    }
    CHECK_INT(runs, 3);
    CHECK(!yoke_lock_held(l));
}

TEST(a_writer_that_died)
{
    yoke_rwlock *l = crew_shared(sizeof *l);
    int runs = 0, err = 0;
    CHECK_INT(yoke_rwlock_init(l, YOKE_SHARED), 0);
    CHECK_INT(crew_ask(write_and_end, l), 0);
    yoke_with_write(l) {
        runs++;
    }
    CHECK_INT(runs, 0);
    yoke_with_write(l, &err) {
        CHECK_INT(err, -EOWNERDEAD);
        CHECK_INT(yoke_rwlock_consistent(l), 0);
        runs++;
    }
    yoke_with_read(l, &err) {
        CHECK_INT(err, 0);
        runs++;
    }
    CHECK_INT(runs, 2);
    CHECK_INT(yoke_rwlock_done(l), 0); /* nobody is left inside */
}

/* ---- A wait for a condition that ends without the lock ---- */

static yoke_lock waited, wanted;
static yoke_condition changed;
static atomic_bool refused, leave, given_up, taken;

static void forget(void)
{
    atomic_store(&refused, false);
    atomic_store(&leave, false);
    atomic_store(&given_up, false);
    atomic_store(&taken, false);
}

/* Takes `waited` while the other thread waits for the condition, and then wants what that one holds. Whichever of the two
 * comes second closes the ring and is refused; here it lets go and tries again, until it is the other one. */
static void *take_over(void *arg)
{
    for (int err = -EDEADLK; err == -EDEADLK; crew_nap())
        yoke_with(&waited) {
            err = yoke_lock_acquire(&wanted);
            if (err == -EDEADLK)
                break;
            CHECK_INT(err, 0);
            CHECK(atomic_load(&refused));
            CHECK_INT(yoke_lock_release(&wanted), 0);
            AWAIT(atomic_load(&leave));
            CHECK_INT(yoke_lock_try(&waited), -EAGAIN);
        }
    return arg;
}

TEST(what_another_thread_holds_by_the_end_of_the_block_stays_its_own)
{
    forget();
    yoke_watching_locks = true;
    yoke_with(&wanted) {} /* has been used as a lock */
    yoke_with(&waited) {}
    pthread_t t = pthread_self(); /* a block may be left out, as the compiler knows */
    yoke_with(&wanted) {
        yoke_with(&waited) {
            int err = 0;
            t = crew_start(take_over, NULL);
            while (err == 0)
                err = yoke_condition_timed(&changed, &waited, 20 * YOKE_MS);
            CHECK_INT(err, -EDEADLK);
            CHECK_INT(yk_self_holds(), 1);
            atomic_store(&refused, true);
        }
        CHECK(yoke_lock_held(&waited));
        CHECK_INT(yk_self_holds(), 1);
    }
    CHECK_INT(yoke_lock_try(&waited), -EAGAIN);
    atomic_store(&leave, true);
    crew_join(t);
    CHECK(!yoke_lock_held(&waited));
    CHECK_INT(yk_self_holds(), 0);
}

/* Ends the lock while the other thread waits for the condition, and takes it anew once that one knows. */
static void *make_anew(void *arg)
{
    while (yoke_lock_done(&waited) == -EBUSY)
        crew_nap();
    AWAIT(atomic_load(&given_up));
    CHECK_INT(yoke_lock_init(&waited, 0), 0);
    CHECK_INT(yoke_lock_acquire(&waited), 0);
    atomic_store(&taken, true);
    AWAIT(atomic_load(&leave));
    return (void *)(intptr_t)yoke_lock_release(&waited);
}

TEST(so_does_one_that_was_ended_meanwhile_and_made_anew)
{
    pthread_t t = pthread_self(); /* a block may be left out, as the compiler knows */
    forget();
    yoke_with(&waited) {
        int err = 0;
        t = crew_start(make_anew, NULL);
        while (err == 0)
            err = yoke_condition_timed(&changed, &waited, YOKE_MS);
        CHECK_INT(err, -EINVAL);
        atomic_store(&given_up, true);
        AWAIT(atomic_load(&taken));
    }
    CHECK(yoke_lock_held(&waited));
    CHECK_INT(yk_self_holds(), 0);
    atomic_store(&leave, true);
    CHECK_INT(crew_join(t), 0);
}

static void *end_and_take(void *l)
{
    int err = yoke_lock_release((yoke_lock *)l); /* a private lock may be: it is handed over */
    return (void *)(intptr_t)(err < 0 ? err : yoke_lock_acquire((yoke_lock *)l));
}

TEST(nor_is_one_given_back_that_was_handed_over_inside)
{
    yoke_lock l = YOKE_LOCK_INIT;
    yoke_with(&l) {
        CHECK_INT(crew_ask(end_and_take, &l), 0);
    }
    CHECK(yoke_lock_held(&l));
    CHECK_INT(yoke_lock_release(&l), 0); /* but anybody may who says so */
}

static int leave_in_child(void *l)
{
    return yoke_lock_held((yoke_lock *)l);
}

TEST(a_child_made_inside_gives_back_its_copy)
{
    yoke_lock l = YOKE_LOCK_INIT;
    pid_t child = -1;
    fflush(stdout);
    yoke_with(&l) {
        child = fork();
    }
    if (child == 0)
        _exit(leave_in_child(&l));
    CHECK_INT(crew_reap(child), 0);
    CHECK(!yoke_lock_held(&l));
}

/* ---- Permits ---- */

TEST(a_permit_counts_while_the_block_runs)
{
    yoke_semaphore s = YOKE_SEMAPHORE_INIT(2);
    int err = 0;
    yoke_with(&s) {
        CHECK_INT(yk_self_holds(), 1);
        yoke_with(&s, &err) {
            CHECK_INT(yk_self_holds(), 2);
            break;
        }
        CHECK_INT(yk_self_holds(), 1);
    }
    CHECK_INT(yk_self_holds(), 0);
    CHECK_INT(yoke_semaphore_permits(&s), 2);
    CHECK_INT(yoke_semaphore_done(&s), 0);
    yoke_with(&s, &err) {
        CHECK(false);
    }
    CHECK_INT(err, -EINVAL);
    CHECK_INT(yk_self_holds(), 0);
}

/* ---- Deadlocks ---- */

TEST(a_wait_that_would_never_end_leaves_the_block_out)
{
    yoke_watching_locks = true;
    yoke_rwlock l = YOKE_RWLOCK_INIT;
    int err = 0, runs = 0;
    yoke_with_write(&l) {
        yoke_with_read(&l, &err) { /* the caller is the writer */
            runs++;
        }
        CHECK_INT(err, -EDEADLK);
    }
    CHECK_INT(runs, 0);
    CHECK_INT(yoke_rwlock_write_try(&l), 0);
    CHECK_INT(yoke_rwlock_write_release(&l), 0);
}
