/* watch_locks.c - YOKE_DEBUG=locks from end to end: real locks, real threads, what is written on stderr. */
#include "child.h"
#include "sync/watching.h"
#include <pthread.h>
#include <yoke/sync.h>

static yoke_lock A, B, C;
static yoke_rlock R, S;
static yoke_rwlock W, X;
static pthread_barrier_t all_hold;

static void name_all(void)
{
    yk_watch_read_debug("locks");
    yoke_lock_name(&A, "A");
    yoke_lock_name(&B, "B");
    yoke_lock_name(&C, "C");
    yoke_rlock_name(&R, "R");
    yoke_rlock_name(&S, "S");
    yoke_rwlock_name(&W, "W");
    yoke_rwlock_name(&X, "X");
}

static child_end watched(void (*fn)(void))
{
    name_all(); /* for the child */
    return in_child(fn);
}

static void check_quiet(void (*fn)(void))
{
    child_end end = watched(fn);
    CHECK_STR(end.text, "");
    CHECK_INT(end.status, 0);
}

static void in_thread(void *(*fn)(void *))
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, fn, NULL), 0);
    pthread_join(t, NULL);
}

/* ---- Orders ---- */

static int line_a, line_ab, line_b, line_ba;

static void *a_then_b(void *arg)
{
    pthread_setname_np(pthread_self(), "alice");
    line_a = __LINE__ + 1;
    yoke_lock_acquire(&A);
    line_ab = __LINE__ + 1;
    yoke_lock_acquire(&B);
    yoke_lock_release(&B);
    yoke_lock_release(&A);
    return NULL;
}

static void *b_then_a(void *arg)
{
    pthread_setname_np(pthread_self(), "bob");
    line_b = __LINE__ + 1;
    yoke_lock_acquire(&B);
    line_ba = __LINE__ + 1;
    yoke_lock_acquire(&A);
    yoke_lock_release(&A);
    yoke_lock_release(&B);
    return NULL;
}

static void inversion(void)
{
    in_thread(a_then_b);
    for (int i = 0; i < 3; i++)
        in_thread(b_then_a);
    char expected[1000];
    int n = snprintf(expected, sizeof expected,
                     "yoke: lock order inversion: 2 locks are acquired in orders that can deadlock\n"
                     "  thread \"bob\" acquires lock \"A\" at watch_locks.c:%d\n"
                     "    while it holds lock \"B\", acquired at watch_locks.c:%d\n"
                     "  thread \"alice\" acquired lock \"B\" at watch_locks.c:%d\n"
                     "    while it held lock \"A\", acquired at watch_locks.c:%d\n",
                     line_ba, line_b, line_ab, line_a);
    CHECK(n < (int)sizeof expected);
    fprintf(stderr, "expected: %s", expected);
}

TEST(an_inversion)
{
    child_end end = watched(inversion);
    CHECK_INT(end.status, 0);
    const char *expected = strstr(end.text, "expected: ");
    CHECK(expected);
    CHECK(strncmp(end.text, expected + 10, strlen(expected + 10)) == 0);
    CHECK_INT(count_of(end.text, "lock order inversion"), 2); /* the report, and what was expected */
}

static void tries(void)
{
    in_thread(a_then_b);
    CHECK_INT(yoke_lock_acquire(&B), 0);
    CHECK_INT(yoke_lock_try(&A), 0);
    CHECK_INT(yoke_lock_try(&A), -EAGAIN); /* never waits, so it is no deadlock */
    yoke_lock_release(&A);
    yoke_lock_release(&B);
}

TEST(a_try_is_no_order)
{
    check_quiet(tries);
}

/* ---- Kinds ---- */

static void again(void)
{
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_rlock_acquire(&R), 0);
    CHECK_INT(yoke_rlock_acquire(&S), 0);
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    yoke_rlock_release(&R);
    yoke_rlock_release(&S);
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_rlock_release(&R), 0);
    CHECK_INT(yoke_rlock_acquire(&S), 0); /* R is not held any more, whatever the count was */
    CHECK_INT(yoke_rlock_release(&S), 0);
}

TEST(an_rlock_again)
{
    check_quiet(again);
}

static void twice(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0); /* it is used as a lock, by this thread */
    CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_lock_acquire(&A), -EDEADLK);
    CHECK_INT(yoke_lock_release(&A), 0);
}

TEST(a_lock_twice)
{
    child_end end = watched(twice);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: deadlock: a thread waits for itself\n  thread \"main\" acquires lock \"A\" at watch_locks.c:");
    CHECK_HAS(end.text, "    and holds it already, acquired at watch_locks.c:");
}

static void readers(void)
{
    CHECK_INT(yoke_rwlock_read(&W), 0);
    CHECK_INT(yoke_rwlock_read(&X), 0);
    yoke_rwlock_read_release(&X);
    yoke_rwlock_read_release(&W);
    CHECK_INT(yoke_rwlock_read(&X), 0);
    CHECK_INT(yoke_rwlock_read(&W), 0);
    yoke_rwlock_read_release(&W);
    yoke_rwlock_read_release(&X);
}

TEST(readers_in_any_order)
{
    check_quiet(readers);
}

static void reader_and_writer(void)
{
    CHECK_INT(yoke_rwlock_read(&W), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    yoke_lock_release(&A);
    yoke_rwlock_read_release(&W);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_rwlock_write(&W), 0);
    yoke_rwlock_write_release(&W);
    yoke_lock_release(&A);
}

TEST(a_reader_and_a_writer)
{
    child_end end = watched(reader_and_writer);
    CHECK_HAS(end.text, "acquires rwlock \"W\" to write at watch_locks.c:");
    CHECK_HAS(end.text, "while it held rwlock \"W\", acquired to read at watch_locks.c:");
}

/* ---- Conditions, hand-over, reuse ---- */

static yoke_condition changed;
static bool go;

static void *notifier(void *arg)
{
    yoke_lock_acquire(&A);
    go = true;
    yoke_condition_notify(&changed, &A, 1);
    yoke_lock_release(&A);
    return NULL;
}

static void wait_on_condition(void)
{
    pthread_t t;
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(pthread_create(&t, NULL, notifier, NULL), 0);
    while (!go)
        CHECK_INT(yoke_condition_wait(&changed, &A), 1);
    CHECK_INT(yoke_lock_acquire(&B), 0);
    yoke_lock_release(&B);
    CHECK_INT(yoke_lock_release(&A), 0);
    pthread_join(t, NULL);
}

TEST(a_wait_for_a_condition)
{
    check_quiet(wait_on_condition);
}

static void *release_a(void *arg)
{
    CHECK_INT(yoke_lock_release(&A), 0);
    return NULL;
}

static void hand_over(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0);
    in_thread(release_a);
    in_thread(a_then_b);
    in_thread(b_then_a);
}

TEST(a_lock_that_is_handed_over)
{
    check_quiet(hand_over);
}

static void made_anew(void)
{
    in_thread(a_then_b);
    CHECK_INT(yoke_lock_done(&A), 0);
    CHECK_INT(yoke_lock_init(&A, 0), 0);
    in_thread(b_then_a);
}

TEST(a_lock_that_is_made_anew)
{
    check_quiet(made_anew);
}

#ifndef __SANITIZE_THREAD__ /* has a thread of its own, which might release B: then nothing is certain */
/* Where its memory was used for something else meanwhile, nobody ended the lock before. */
static void made_over_another(void)
{
    in_thread(a_then_b);
    memset(&A, 0, sizeof A);
    CHECK_INT(yoke_lock_init(&A, 0), 0);
    in_thread(b_then_a);
    CHECK_INT(yoke_lock_acquire(&B), 0);
    fprintf(stderr, "A is another: ");
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_lock_acquire(&B), -EDEADLK); /* for its report, which names A no more */
}

TEST(a_lock_that_is_made_over_another)
{
    child_end end = watched(made_over_another);
    CHECK_INT(end.status, 0);
    CHECK(strncmp(end.text, "A is another: ", 14) == 0);
    CHECK_INT(count_of(end.text, "lock order inversion"), 0);
    CHECK_INT(count_of(end.text, "\"A\""), 0);
}
#endif

/* ---- Deadlocks ---- */

static int ring_size;
static _Atomic int refused;

static int acquire_of_ring(int i)
{
    return i == 0 ? yoke_lock_acquire(&A) : i == 1 ? yoke_rlock_acquire(&R) : yoke_rwlock_write(&W);
}

static void release_of_ring(int i)
{
    if (i == 0)
        yoke_lock_release(&A);
    else if (i == 1)
        yoke_rlock_release(&R);
    else
        yoke_rwlock_write_release(&W);
}

static void *diner(void *arg)
{
    int i = (int)(intptr_t)arg, next = (i + 1) % ring_size;
    char name[16];
    snprintf(name, sizeof name, "diner %d", i);
    pthread_setname_np(pthread_self(), name);
    CHECK_INT(acquire_of_ring(i), 0);
    pthread_barrier_wait(&all_hold);
    int err = acquire_of_ring(next);
    if (err == 0)
        release_of_ring(next);
    else
        atomic_fetch_add(&refused, err == -EDEADLK);
    release_of_ring(i);
    return NULL;
}

static void dine(void)
{
    pthread_t t[3];
    pthread_barrier_init(&all_hold, NULL, (unsigned)ring_size);
    for (intptr_t i = 0; i < ring_size; i++)
        CHECK_INT(pthread_create(&t[i], NULL, diner, (void *)i), 0);
    for (int i = 0; i < ring_size; i++)
        pthread_join(t[i], NULL);
    CHECK_INT(refused, 1);
}

static void check_ring(int n)
{
    static const char *const labels[] = {"lock \"A\"", "rlock \"R\"", "rwlock \"W\""};
    char part[300];
    ring_size = n;
    child_end end = watched(dine);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "yoke: deadlock:"), 1);
    snprintf(part, sizeof part, "yoke: deadlock: %d threads wait for each other\n", n);
    CHECK_HAS(end.text, part);
    for (int i = 0; i < n; i++) {
        snprintf(part, sizeof part, "  thread \"diner %d\" waits for %s at watch_locks.c:", i, labels[(i + 1) % n]);
        CHECK_HAS(end.text, part);
        snprintf(part, sizeof part, ", held by thread \"diner %d\"\n    and holds %s, acquired", (i + 1) % n, labels[i]);
        CHECK_HAS(end.text, part);
    }
}

TEST(a_deadlock_of_two)
{
    check_ring(2);
}

TEST(a_deadlock_of_three_kinds)
{
    check_ring(3);
}

static void *timed_diner(void *arg)
{
    yoke_lock *mine = arg ? &B : &A, *other = arg ? &A : &B;
    CHECK_INT(yoke_lock_acquire(mine), 0);
    pthread_barrier_wait(&all_hold);
    CHECK_INT(yoke_lock_timed(other, 20 * YOKE_MS), -ETIMEDOUT);
    pthread_barrier_wait(&all_hold);
    yoke_lock_release(mine);
    return NULL;
}

static void timed_ring(void)
{
    pthread_t t;
    pthread_barrier_init(&all_hold, NULL, 2);
    CHECK_INT(pthread_create(&t, NULL, timed_diner, &A), 0);
    timed_diner(NULL);
    pthread_join(t, NULL);
}

TEST(time_limits_end_a_ring)
{
    check_quiet(timed_ring);
}

/* A writer that waits keeps new readers out, so a reader that comes again waits for it, and it for the reader. */
static void *writer(void *arg)
{
    pthread_setname_np(pthread_self(), "writer");
    CHECK_INT(yoke_rwlock_write(&W), 0);
    return (void *)(intptr_t)yoke_rwlock_write_release(&W);
}

static void reader_again(void)
{
    pthread_t t;
    CHECK_INT(yoke_rwlock_read(&W), 0);
    CHECK_INT(pthread_create(&t, NULL, writer, NULL), 0);
    int err;
    while ((err = yoke_rwlock_read(&W)) == 0) { /* until the writer waits */
        yoke_rwlock_read_release(&W);
        usleep(500);
    }
    CHECK_INT(err, -EDEADLK);
    yoke_rwlock_read_release(&W);
    pthread_join(t, NULL);
}

TEST(a_reader_again_behind_a_writer)
{
    child_end end = watched(reader_again);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other\n");
    CHECK_HAS(end.text, "thread \"main\" waits for rwlock \"W\" at watch_locks.c:");
    CHECK_HAS(end.text, "thread \"writer\" waits for rwlock \"W\" at watch_locks.c:");
}

static void upgrade(void)
{
    CHECK_INT(yoke_rwlock_read(&W), 0);
    CHECK_INT(yoke_rwlock_write(&W), -EDEADLK);
    yoke_rwlock_read_release(&W);
    CHECK_INT(yoke_rwlock_write(&W), 0);
    CHECK_INT(yoke_rwlock_write(&W), -EDEADLK);
    CHECK_INT(yoke_rwlock_read(&W), -EDEADLK);
    yoke_rwlock_write_release(&W);
}

TEST(an_rwlock_twice)
{
    child_end end = watched(upgrade);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "yoke: deadlock: a thread waits for itself"), 3);
    CHECK_HAS(end.text, "acquires rwlock \"W\" to write at watch_locks.c:");
    CHECK_HAS(end.text, "and holds it already, acquired to read at watch_locks.c:");
}

/* ---- Without YOKE_DEBUG, and by the environment ---- */

static void unwatched(void)
{
    in_thread(a_then_b);
    in_thread(b_then_a);
}

TEST(nothing_is_said_unless_asked_for)
{
    yoke_watching_locks = false; /* whatever the environment says */
    child_end end = in_child(unwatched);
    CHECK_STR(end.text, "");
}

TEST(by_the_environment_inner)
{
    unwatched(); /* watched only when by_the_environment runs it */
}

static void by_environment(void)
{
    setenv("YOKE_DEBUG", "locks", 1);
    CHECK(freopen("/dev/null", "w", stdout)); /* its TAP is not ours */
    execl("/proc/self/exe", "test", "--in-process", "by_the_environment_inner", (char *)NULL);
    _exit(1);
}

TEST(by_the_environment)
{
    child_end end = in_child(by_environment);
    CHECK_HAS(end.text, "yoke: lock order inversion: 2 locks are acquired in orders that can deadlock\n");
}
