/* rwlock.c - many readers or one writer: the rules, private and shared; many threads. */
#include "crew.h"
#include "sync/self.h"
#include "sync/lock.h"

#define RETURN(v) return (void *)(intptr_t)(v)

static yoke_rwlock *the_lock(unsigned flags)
{
    yoke_rwlock *l = crew_shared(sizeof *l);
    CHECK_INT(yoke_rwlock_init(l, flags), 0);
    return l;
}

static void *try_read(void *l)
{
    int err = yoke_rwlock_read_try((yoke_rwlock *)l);
    if (err == 0)
        CHECK_INT(yoke_rwlock_read_release(l), 0);
    RETURN(err);
}

static void *try_write(void *l)
{
    int err = yoke_rwlock_write_try((yoke_rwlock *)l);
    if (err == 0)
        CHECK_INT(yoke_rwlock_write_release(l), 0);
    RETURN(err);
}

static void *do_read(void *l)
{
    int err = yoke_rwlock_read((yoke_rwlock *)l);
    CHECK_INT(yoke_rwlock_read_release(l), 0);
    RETURN(err);
}

static void *do_write(void *l)
{
    int err = yoke_rwlock_write((yoke_rwlock *)l);
    CHECK_INT(yoke_rwlock_write_release(l), 0);
    RETURN(err);
}

static void *release_write(void *l)
{
    RETURN(yoke_rwlock_write_release(l));
}

static void rules(unsigned flags)
{
    yoke_rwlock *l = the_lock(flags);
    CHECK_INT(yoke_rwlock_read_release(l), -EPERM);
    CHECK_INT(yoke_rwlock_write_release(l), -EPERM);
    CHECK_INT(yoke_rwlock_read(l), 0);
    CHECK_INT(crew_ask(try_read, l), 0); /* readers together */
    CHECK_INT(crew_ask(try_write, l), -EAGAIN);
    CHECK_INT(crew_ask(try_read, l), 0); /* a try that failed has closed nothing */
    CHECK_INT(yoke_rwlock_write_timed(l, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_rwlock_write_until(l, 0), -ETIMEDOUT);
    CHECK_INT(yoke_rwlock_done(l), -EBUSY);
    CHECK_INT(yoke_rwlock_write_release(l), -EPERM);
    CHECK_INT(yoke_rwlock_read_release(l), 0);
    CHECK_INT(yoke_rwlock_write(l), 0);
    CHECK_INT(crew_ask(try_read, l), -EAGAIN);
    CHECK_INT(crew_ask(try_write, l), -EAGAIN);
    CHECK_INT(crew_ask(release_write, l), -EPERM);
    CHECK_INT(yoke_rwlock_read(l), -EDEADLK);
    CHECK_INT(yoke_rwlock_read_try(l), -EDEADLK);
    CHECK_INT(yoke_rwlock_write(l), -EDEADLK);
    CHECK_INT(yoke_rwlock_done(l), -EBUSY);
    CHECK_INT(yoke_rwlock_consistent(l), -EINVAL);
    CHECK_INT(yoke_rwlock_write_release(l), 0);
    CHECK_INT(yoke_rwlock_read_timed(l, 0), 0);
    CHECK_INT(yoke_rwlock_read_release(l), 0);
    CHECK_INT(yoke_rwlock_read_until(l, 0), 0);
    CHECK_INT(yoke_rwlock_read_release(l), 0);
    CHECK_INT(yoke_rwlock_write_timed(l, 0), 0);
    CHECK_INT(yoke_rwlock_write_release(l), 0);
    CHECK_INT(yoke_rwlock_read_timed(l, -1), -EINVAL);
    CHECK_INT(yoke_rwlock_write_timed(l, -1), -EINVAL);
    CHECK_INT(yoke_rwlock_done(l), 0);
    CHECK_INT(yoke_rwlock_read(l), -EINVAL);
    CHECK_INT(yoke_rwlock_write(l), -EINVAL);
    CHECK_INT(yoke_rwlock_init(l, 2), -EINVAL);
}

TEST(the_rules)
{
    rules(0);
}

TEST(the_rules_shared)
{
    rules(YOKE_SHARED);
}

static void *timed_read(void *l)
{
    RETURN(yoke_rwlock_read_timed((yoke_rwlock *)l, 2 * YOKE_MS));
}

/* A writer that waits keeps new readers out, gets the lock when the last reader leaves, and then lets the
 * readers in. */
static void take_turns(unsigned flags)
{
    yoke_rwlock *l = the_lock(flags);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(yoke_rwlock_read(l), 0);
        pthread_t w = crew_start(do_write, l);
        AWAIT(__atomic_load_n(&l->gate, __ATOMIC_RELAXED) & 0x80000000);
        CHECK_INT(crew_ask(try_read, l), -EAGAIN);
        CHECK_INT(crew_ask(timed_read, l), -ETIMEDOUT);
        pthread_t r = crew_start(do_read, l);
        CHECK_INT(yoke_rwlock_read_release(l), 0);
        CHECK_INT(crew_join(w), 0);
        CHECK_INT(crew_join(r), 0);
        CHECK_INT(yoke_rwlock_write(l), 0);
        w = crew_start(do_write, l);
        r = crew_start(do_read, l);
        AWAIT(__atomic_load_n(&l->gate, __ATOMIC_RELAXED) & 0x40000000 || __atomic_load_n(&l->asleep, __ATOMIC_RELAXED) & 1);
        CHECK_INT(yoke_rwlock_write_release(l), 0);
        CHECK_INT(crew_join(w), 0);
        CHECK_INT(crew_join(r), 0);
    }
}

TEST(a_writer_and_its_readers)
{
    take_turns(0);
}

TEST(without_the_fence_readers_nap)
{
    yk_fence_broken = true;
    take_turns(0);
}

/* The first that begins to wait does not sleep through what the second, who comes while the gate opens, has done to the word. */
static void *read_and_write(void *l)
{
    for (int i = 0; i < 3000 / CREW_SLOWER; i++) {
        CHECK_INT(yoke_rwlock_read((yoke_rwlock *)l), 0);
        sched_yield();
        CHECK_INT(yoke_rwlock_read_release(l), 0);
        if (i % 3 == 0) {
            CHECK_INT(yoke_rwlock_write((yoke_rwlock *)l), 0);
            sched_yield(); /* so that others fall asleep */
            CHECK_INT(yoke_rwlock_write_release(l), 0);
        }
    }
    return NULL;
}

TEST(no_wake_up_of_a_reader_is_lost)
{
    yoke_rwlock *l = the_lock(0);
    crew_run(4, read_and_write, l);
    CHECK_INT(l->gate, 0);
    CHECK_INT(yoke_rwlock_done(l), 0);
}

TEST(a_writer_and_its_readers_shared)
{
    take_turns(YOKE_SHARED);
}

TEST(a_shared_one_has_room_for_so_many_readers)
{
    yoke_rwlock *l = the_lock(YOKE_SHARED);
    for (int i = 0; i < YOKE_SHARED_READERS; i++)
        CHECK_INT(yoke_rwlock_read(l), 0);
    CHECK_INT(yoke_rwlock_read_try(l), -EAGAIN);
    CHECK_INT(yoke_rwlock_read_timed(l, 3 * YOKE_MS), -ETIMEDOUT);
    pthread_t t = crew_start(do_read, l);
    crew_nap();
    CHECK_INT(yoke_rwlock_read_release(l), 0);
    CHECK_INT(crew_join(t), 0);
    for (int i = 1; i < YOKE_SHARED_READERS; i++)
        CHECK_INT(yoke_rwlock_read_release(l), 0);
    CHECK_INT(yoke_rwlock_read_release(l), -EPERM);
}

/* ---- Many: the two halves of a pair are equal whenever nobody writes, and no write is lost. */
enum { THREADS = 16, ROUNDS = 4000 / CREW_SLOWER };
static yoke_rwlock *busy;
static volatile long pair[2];

static void *use(void *arg)
{
    long writes = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int err = i % 8 == 0 ? yoke_rwlock_write(busy) : i % 8 == 4 ? yoke_rwlock_write_timed(busy, i % 50 * YOKE_US)
                : i % 8 == 5 ? yoke_rwlock_read_timed(busy, i % 50 * YOKE_US) : yoke_rwlock_read(busy);
        if (err == -ETIMEDOUT)
            continue;
        CHECK_INT(err, 0);
        if (i % 4 == 0) {
            long v = pair[0];
            pair[0] = v + 1;
            if (i % 64 == 0)
                sched_yield();
            pair[1] = v + 1;
            writes++;
            CHECK_INT(yoke_rwlock_write_release(busy), 0);
        } else {
            CHECK_INT(pair[0], pair[1]);
            CHECK_INT(yoke_rwlock_read_release(busy), 0);
        }
    }
    RETURN(writes);
}

static void crowd(unsigned flags)
{
    busy = the_lock(flags);
    long writes = crew_run(THREADS, use, NULL);
    CHECK_INT(pair[0], writes);
    CHECK_INT(pair[1], writes);
    CHECK_INT(yoke_rwlock_done(busy), 0);
}

TEST_LIMIT(many, 300)
{
    crowd(0);
}

TEST_LIMIT(many_shared, 300)
{
    crowd(YOKE_SHARED);
}
