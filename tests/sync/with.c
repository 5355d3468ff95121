/* with.c - locks held for a block whose holder has died, and deadlocks that the diagnosis refuses: when the block is run, and in
 * what state the lock is afterwards. What holds in every language: with_use.cpp. */
#include "crew.h"

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
