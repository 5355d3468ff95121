/* lock.c - the rules of yoke_lock and yoke_rlock, each beside the one of Python's threading; exclusion and no
 * lost wake-up with many threads; use beside a model. */
#include "crew.h"
#include "sync/lock.h"
#include "sync/names.h"

#define RETURN(v) return (void *)(intptr_t)(v)

/* ---- Lock ---- */

static void *try_lock(void *l)
{
    RETURN(yoke_lock_try((yoke_lock *)l));
}

static void *release_lock(void *l)
{
    RETURN(yoke_lock_release(l));
}

static void *acquire_lock(void *l)
{
    RETURN(yoke_lock_acquire((yoke_lock *)l));
}

TEST(zeroed_and_initialised_are_free)
{
    yoke_lock zero = {0}, macro = YOKE_LOCK_INIT, made;
    memset(&made, 0xff, sizeof made);
    CHECK_INT(yoke_lock_init(&made, 0), 0);
    yoke_lock *all[] = {&zero, &macro, &made};
    for (int i = 0; i < 3; i++) {
        CHECK(!yoke_lock_held(all[i]));
        CHECK_INT(yoke_lock_acquire(all[i]), 0);
        CHECK(yoke_lock_held(all[i]));
        CHECK_INT(yoke_lock_release(all[i]), 0);
        CHECK(!yoke_lock_held(all[i]));
        CHECK_INT(yoke_lock_done(all[i]), 0);
    }
    CHECK_INT(yoke_lock_init(&made, 2), -EINVAL);
}

TEST(any_thread_may_release_a_private_lock)
{
    yoke_lock l = YOKE_LOCK_INIT;
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(crew_ask(release_lock, &l), 0);
    CHECK_INT(crew_ask(try_lock, &l), 0);
    CHECK_INT(yoke_lock_release(&l), 0);
}

TEST(release_of_a_free_lock_is_an_error)
{
    yoke_lock l = YOKE_LOCK_INIT;
    CHECK_INT(yoke_lock_release(&l), -EPERM);
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(yoke_lock_release(&l), -EPERM);
    CHECK_INT(crew_ask(release_lock, &l), -EPERM);
    CHECK_INT(yoke_lock_try(&l), 0); /* and has broken nothing */
    CHECK_INT(yoke_lock_release(&l), 0);
}

TEST(busy_and_timed_out)
{
    yoke_lock l = YOKE_LOCK_INIT;
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(yoke_lock_try(&l), -EAGAIN); /* also by the holder */
    CHECK_INT(crew_ask(try_lock, &l), -EAGAIN);
    CHECK_INT(yoke_lock_timed(&l, 0), -ETIMEDOUT);
    int64_t begin = yoke_now();
    CHECK_INT(yoke_lock_timed(&l, 5 * YOKE_MS), -ETIMEDOUT);
    CHECK(yoke_now() - begin >= 5 * YOKE_MS);
    CHECK_INT(yoke_lock_until(&l, yoke_now() + YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_lock_until(&l, 0), -ETIMEDOUT);
    CHECK_INT(yoke_lock_until(&l, INT64_MIN), -ETIMEDOUT);
    CHECK_INT(yoke_lock_timed(&l, -1), -EINVAL);
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(yoke_lock_timed(&l, -1), -EINVAL); /* also when it is free */
    CHECK_INT(yoke_lock_timed(&l, 0), 0);
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(yoke_lock_until(&l, 0), 0);
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(yoke_lock_timed(&l, INT64_MAX - 1), 0); /* beyond the end of time: for ever */
    CHECK_INT(yoke_lock_release(&l), 0);
}

static void *timed_lock(void *l)
{
    RETURN(yoke_lock_timed((yoke_lock *)l, INT64_MAX - 1));
}

TEST(wakes_who_waits)
{
    yoke_lock l = YOKE_LOCK_INIT;
    for (int i = 0; i < 20; i++) {
        CHECK_INT(yoke_lock_acquire(&l), 0);
        pthread_t t = crew_start(i % 2 ? acquire_lock : timed_lock, &l);
        AWAIT(__atomic_load_n(&l.core.sleepers, __ATOMIC_RELAXED));
        CHECK_INT(yoke_lock_release(&l), 0);
        CHECK_INT(crew_join(t), 0);
        CHECK_INT(yoke_lock_release(&l), 0);
    }
}

TEST(done_and_after)
{
    yoke_lock l = YOKE_LOCK_INIT;
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(yoke_lock_done(&l), -EBUSY);
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(yoke_lock_done(&l), 0);
    CHECK_INT(yoke_lock_acquire(&l), -EINVAL);
    CHECK_INT(yoke_lock_try(&l), -EINVAL);
    CHECK_INT(yoke_lock_timed(&l, 1), -EINVAL);
    CHECK_INT(yoke_lock_release(&l), -EINVAL);
    CHECK_INT(yoke_lock_consistent(&l), -EPERM);
    CHECK(!yoke_lock_held(&l));
    CHECK_INT(yoke_lock_init(&l, 0), 0);
    CHECK_INT(yoke_lock_acquire(&l), 0);
    CHECK_INT(yoke_lock_consistent(&l), -EINVAL); /* it is not doubtful */
    CHECK_INT(yoke_lock_release(&l), 0);
}

static _Atomic int signals;

static void on_signal(int number)
{
    signals++;
}

TEST(a_signal_does_not_end_the_wait)
{
    yoke_lock l = YOKE_LOCK_INIT;
    struct sigaction handler = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &handler, NULL);
    CHECK_INT(yoke_lock_acquire(&l), 0);
    pthread_t t = crew_start(acquire_lock, &l);
    for (int i = 1; i <= 5; i++) {
        AWAIT(__atomic_load_n(&l.core.sleepers, __ATOMIC_RELAXED));
        pthread_kill(t, SIGUSR1);
        AWAIT(signals == i);
    }
    CHECK_INT(yoke_lock_release(&l), 0);
    CHECK_INT(crew_join(t), 0);
}

TEST(a_fork_gives_the_child_an_id_of_its_own)
{
    uint64_t mine = yk_self_id();
    pid_t pid = fork();
    if (pid == 0) {
        yoke_lock l = YOKE_LOCK_INIT;
        _exit(yk_self_id() == mine || yoke_lock_acquire(&l) || yoke_lock_release(&l));
    }
    CHECK_INT(crew_reap(pid), 0);
    CHECK_INT(yk_self_id(), mine);
}

/* ---- RLock ---- */

static void *try_rlock(void *l)
{
    RETURN(yoke_rlock_try((yoke_rlock *)l));
}

static void *release_rlock(void *l)
{
    RETURN(yoke_rlock_release(l));
}

static void *is_mine(void *l)
{
    RETURN(yoke_rlock_mine(l));
}

TEST(an_rlock_counts)
{
    yoke_rlock l = YOKE_RLOCK_INIT;
    CHECK(!yoke_rlock_mine(&l));
    CHECK_INT(yoke_rlock_acquire(&l), 0);
    CHECK_INT(yoke_rlock_try(&l), 0);
    CHECK_INT(yoke_rlock_timed(&l, 0), 0);
    CHECK_INT(yoke_rlock_until(&l, 0), 0);
    CHECK(yoke_rlock_mine(&l));
    CHECK_INT(crew_ask(is_mine, &l), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(crew_ask(try_rlock, &l), -EAGAIN);
        CHECK_INT(crew_ask(release_rlock, &l), -EPERM);
        CHECK_INT(yoke_rlock_done(&l), -EBUSY);
        CHECK_INT(yoke_rlock_release(&l), 0);
    }
    CHECK_INT(yoke_rlock_release(&l), -EPERM);
    CHECK(!yoke_rlock_mine(&l));
    CHECK_INT(crew_ask(try_rlock, &l), 0); /* by a thread that has ended: it is taken for good */
    CHECK_INT(yoke_rlock_try(&l), -EAGAIN);
    CHECK_INT(yoke_rlock_timed(&l, 1), -ETIMEDOUT);
    CHECK_INT(yoke_rlock_timed(&l, -1), -EINVAL);
    CHECK_INT(yoke_rlock_release(&l), -EPERM);
}

TEST(an_rlock_does_not_count_beyond_its_counter)
{
    yoke_rlock l = YOKE_RLOCK_INIT;
    CHECK_INT(yoke_rlock_acquire(&l), 0);
    l.core.depth = UINT32_MAX;
    CHECK_INT(yoke_rlock_acquire(&l), -EOVERFLOW);
    CHECK_INT(yoke_rlock_release(&l), 0);
    CHECK_INT(yoke_rlock_acquire(&l), 0);
    CHECK_INT(l.core.depth, UINT32_MAX);
}

/* ---- Beside a model ---- */

/* One thread, and a stranger that is asked now and then. */
TEST(random_use)
{
    yoke_rlock r = YOKE_RLOCK_INIT;
    yoke_lock l = YOKE_LOCK_INIT;
    int depth = 0;
    bool held = false;
    for (int step = 0; step < 20000 / CREW_SLOWER; step++) {
        switch (test_random() % 8) {
        case 0:
        case 1:
            CHECK_INT(yoke_rlock_acquire(&r), 0);
            depth++;
            break;
        case 2:
        case 3:
            CHECK_INT(yoke_rlock_release(&r), depth ? 0 : -EPERM);
            depth -= depth > 0;
            break;
        case 4:
            CHECK_INT(yoke_lock_try(&l), held ? -EAGAIN : 0);
            held = true;
            break;
        case 5:
            CHECK_INT(yoke_lock_release(&l), held ? 0 : -EPERM);
            held = false;
            break;
        case 6:
            CHECK_INT(yoke_lock_timed(&l, 0), held ? -ETIMEDOUT : 0);
            held = true;
            break;
        default:
            if (step % 10 == 0 && depth > 0) {
                CHECK_INT(crew_ask(try_rlock, &r), -EAGAIN);
                CHECK_INT(crew_ask(release_rlock, &r), -EPERM);
            }
        }
        CHECK_INT(yoke_lock_held(&l), held);
        CHECK_INT(yoke_rlock_mine(&r), depth > 0);
    }
}

/* ---- Many threads ---- */

enum { THREADS = 16, ROUNDS = 20000 / CREW_SLOWER };
static yoke_lock stress_lock;
static yoke_rlock stress_rlock;
static long counter;

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            while (yoke_lock_timed(&stress_lock, i % 7 * YOKE_US) != 0)
                ;
        } else {
            CHECK_INT(yoke_lock_acquire(&stress_lock), 0);
        }
        long seen = counter;
        if (i % 100 == 0)
            sched_yield(); /* let others run into it */
        counter = seen + 1;
        CHECK_INT(yoke_lock_release(&stress_lock), 0);
    }
    return NULL;
}

TEST_LIMIT(excludes, 300)
{
    crew_run(THREADS, count, NULL);
    CHECK_INT(counter, (long)THREADS * ROUNDS);
    CHECK_INT(stress_lock.core.word, 0);
}

static void *count_twice(void *arg)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        CHECK_INT(yoke_rlock_acquire(&stress_rlock), 0);
        long seen = counter;
        if (i % 50 == 0)
            sched_yield();
        CHECK_INT(yoke_rlock_acquire(&stress_rlock), 0);
        counter = seen + 1;
        CHECK_INT(yoke_rlock_release(&stress_rlock), 0);
        CHECK_INT(yoke_rlock_release(&stress_rlock), 0);
    }
    return NULL;
}

TEST_LIMIT(excludes_recursively, 300)
{
    crew_run(THREADS, count_twice, NULL);
    CHECK_INT(counter, (long)THREADS * (ROUNDS / 4));
}

/* Without membarrier(2), as under some sandboxes. */
TEST_LIMIT(excludes_without_the_fence, 300)
{
    yk_fence_broken = true;
    CHECK(!yk_fence_all(false));
    crew_run(THREADS, count, NULL);
    CHECK_INT(counter, (long)THREADS * ROUNDS);
}

/* Two hand a ball to and fro a million times, each asleep while the other has it: a lock released by the
 * other side. A lost wake-up hangs. */
enum { PASSES = 300000 / CREW_SLOWER };
static yoke_lock side[2];

static void *play(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < PASSES; i++) {
        CHECK_INT(yoke_lock_acquire(&side[me]), 0);
        CHECK_INT(yoke_lock_release(&side[!me]), 0);
    }
    return NULL;
}

TEST_LIMIT(no_wake_up_is_lost, 300)
{
    CHECK_INT(yoke_lock_acquire(&side[0]), 0);
    CHECK_INT(yoke_lock_acquire(&side[1]), 0);
    pthread_t a = crew_start(play, (void *)0), b = crew_start(play, (void *)1);
    CHECK_INT(yoke_lock_release(&side[0]), 0);
    crew_join(a);
    crew_join(b);
}

/* Waits that end by time, and wake-ups, at the same moment: a wake-up taken by one whose time is over is passed on. */
static void *impatient(void *arg)
{
    long got = 0;
    for (int i = 0; i < ROUNDS / 4; i++) {
        int err = yoke_lock_timed(&stress_lock, (i % 13 + 1) * 10 * YOKE_US);
        if (err == 0) {
            got++;
            counter++;
            CHECK_INT(yoke_lock_release(&stress_lock), 0);
        } else {
            CHECK_INT(err, -ETIMEDOUT);
        }
    }
    RETURN(got);
}

TEST_LIMIT(time_and_wake_up_at_once, 300)
{
    long got = crew_run(THREADS, impatient, NULL);
    CHECK_INT(counter, got);
    CHECK_INT(yoke_lock_try(&stress_lock), 0);
}

/* ---- Under the eyes of the diagnosis ---- */

/* Every call goes the slow way, and the rules are the same; a release leaves nothing held. */
TEST(the_rules_while_watching)
{
    yoke_watching_locks = true;
    yoke_lock l = YOKE_LOCK_INIT;
    yoke_rlock r = YOKE_RLOCK_INIT;
    yoke_rwlock rw = YOKE_RWLOCK_INIT;
    yoke_lock_name(&l, "lock");
    CHECK_STR(yk_name_of(&l.core), "lock");
    for (int i = 0; i < 200; i++) { /* more often than a thread may hold locks at a time */
        CHECK_INT(yoke_lock_acquire(&l), 0);
        CHECK_INT(crew_ask(try_lock, &l), -EAGAIN);
        CHECK_INT(yoke_rlock_acquire(&r), 0);
        CHECK_INT(yoke_rlock_acquire(&r), 0);
        CHECK_INT(yoke_rlock_release(&r), 0);
        CHECK_INT(crew_ask(try_rlock, &r), -EAGAIN);
        CHECK_INT(yoke_rlock_release(&r), 0);
        CHECK_INT(yoke_lock_release(&l), 0);
        CHECK_INT(yoke_lock_release(&l), -EPERM);
        CHECK_INT(yoke_rwlock_read(&rw), 0);
        CHECK_INT(yoke_rwlock_read_release(&rw), 0);
        CHECK_INT(yoke_rwlock_write(&rw), 0);
        CHECK_INT(yoke_rwlock_write_release(&rw), 0);
    }
    CHECK_INT(yoke_lock_done(&l), 0);
    CHECK(yk_name_of(&l.core) == NULL);
}

TEST_LIMIT(excludes_while_watching, 300)
{
    yoke_watching_locks = true;
    crew_run(THREADS, count_twice, NULL);
    CHECK_INT(counter, (long)THREADS * (ROUNDS / 4));
}

/* ---- Names ---- */

TEST(names)
{
    static char keys[1000];
    CHECK(yk_name_of(&keys[0]) == NULL);
    yk_name_set(&keys[0], NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            yk_name_set(&keys[i], i % 2 ? "odd" : "even");
        for (int i = 0; i < 1000; i++)
            CHECK_STR(yk_name_of(&keys[i]), i % 2 ? "odd" : "even");
        for (int i = 0; i < 1000; i += 3)
            yk_name_set(&keys[i], NULL);
        for (int i = 0; i < 1000; i++)
            CHECK_INT(yk_name_of(&keys[i]) == NULL, i % 3 == 0);
    }
    CHECK(yk_name_of(&counter) == NULL);
}

TEST(names_without_memory)
{
    static char key;
    yk_sys_fail("calloc", 1, ENOMEM);
    yk_name_set(&key, "lost");
    CHECK(yk_name_of(&key) == NULL);
    yk_name_set(&key, "kept");
    CHECK_STR(yk_name_of(&key), "kept");
    yk_sys_fail("calloc", 0, 0);
}

/* ---- Ids ---- */

static void *tell_id(void *arg)
{
    *(uint64_t *)arg = yk_self_id();
    return NULL;
}

TEST(the_living_and_the_dead)
{
    uint64_t id = 0, mine = yk_self_id();
    CHECK_INT(mine & YK_TID_MASK, gettid());
    CHECK(!yk_self_dead(mine, true));
    crew_ask(tell_id, &id);
    CHECK(id != mine);
    AWAIT(yk_self_dead(id, true)); /* the kernel forgets a thread a little after its join */
    CHECK(yk_self_dead(id, false));
    /* A zombie is dead, but only who looks closely sees it. */
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    uint64_t child = (mine & ~YK_TID_MASK) | (uint64_t)pid;
    siginfo_t info;
    CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK(!yk_self_dead(child, false));
    CHECK(yk_self_dead(child, true));
    crew_reap(pid);
    CHECK(yk_self_dead(child, false));
    /* Our parent lives, but not if the id is older than it: its TID was another's then. */
    uint64_t parent = (mine & ~YK_TID_MASK) | (uint64_t)getppid();
    CHECK(!yk_self_dead(parent, true));
    CHECK(yk_self_dead(parent - (UINT64_C(1) << 62), true));
    CHECK(!yk_self_dead(0, true));
    /* Where proc(5) does not answer, who exists is alive. */
    for (int n = 1; n <= 2; n++) {
        yk_sys_fail(n == 1 ? "openat" : "read", 1, EACCES);
        CHECK(!yk_self_dead(parent - (UINT64_C(1) << 62), true));
        yk_sys_fail("read", 0, 0);
    }
}
