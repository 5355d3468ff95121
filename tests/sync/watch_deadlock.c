/* watch_deadlock.c - deadlocks of locks that are watched: of two, three, with sides, with time limits. */
#include "fake.h"

static pthread_barrier_t all_hold;
static fake *chain[4];
static int ring_size;
static _Atomic int refused;

static void *hold_and_want(void *arg)
{
    int i = (int)(intptr_t)arg;
    char name[16];
    snprintf(name, sizeof name, "diner %d", i);
    pthread_setname_np(pthread_self(), name);
    CHECK_INT(acquire(chain[i], 100 + i), 0);
    pthread_barrier_wait(&all_hold);
    int err = acquire(chain[(i + 1) % ring_size], 200 + i);
    if (err == 0)
        release(chain[(i + 1) % ring_size]);
    else
        atomic_fetch_add(&refused, err == -EDEADLK);
    release(chain[i]);
    return NULL;
}

static void dine(int n)
{
    pthread_t t[4];
    ring_size = n;
    pthread_barrier_init(&all_hold, NULL, (unsigned)n);
    for (intptr_t i = 0; i < n; i++)
        CHECK_INT(pthread_create(&t[i], NULL, hold_and_want, (void *)i), 0);
    for (int i = 0; i < n; i++)
        pthread_join(t[i], NULL);
    CHECK_INT(refused, 1);
}

static void dine_in_two(void)
{
    chain[0] = &A;
    chain[1] = &B;
    dine(2);
}

static void dine_in_three(void)
{
    chain[0] = &A;
    chain[1] = &R;
    chain[2] = &C;
    dine(3);
}

static void check_deadlock(const char *text, int n, const char *const *labels)
{
    char part[300];
    snprintf(part, sizeof part, "yoke: deadlock: %d threads wait for each other\n", n);
    CHECK_HAS(text, part);
    CHECK_INT(count_of(text, "yoke: deadlock:"), 1);
    for (int i = 0; i < n; i++) {
        snprintf(part, sizeof part,
                 "  thread \"diner %d\" waits for %s at bank.c:%d, held by thread \"diner %d\"\n"
                 "    and holds %s, acquired at bank.c:%d\n",
                 i, labels[(i + 1) % n], 200 + i, (i + 1) % n, labels[i], 100 + i);
        CHECK_HAS(text, part);
    }
}

TEST(a_deadlock_of_two)
{
    static const char *const labels[] = {"lock \"A\"", "lock \"B\""};
    child_end end = in_child(dine_in_two);
    CHECK_INT(end.status, 0);
    check_deadlock(end.text, 2, labels);
    CHECK_INT(count_of(end.text, "inversion"), 1); /* that it could happen was said before */
}

TEST(a_deadlock_of_three)
{
    static const char *const labels[] = {"lock \"A\"", "rlock \"R\"", "lock \"C\""};
    child_end end = in_child(dine_in_three);
    CHECK_INT(end.status, 0);
    check_deadlock(end.text, 3, labels);
}

/* Two who wait with a time limit come loose by themselves. */
static void *wait_a_while(void *arg)
{
    int i = (int)(intptr_t)arg;
    fake *other = chain[1 - i];
    CHECK_INT(take(chain[i], "lock", 100 + i), 0);
    pthread_barrier_wait(&all_hold);
    yk_watch_try(other, "lock", other->name, "bank.c", 200 + i);
    CHECK_INT(yk_watch_blocked_until(other, yoke_now() + YOKE_MS), 0);
    pthread_barrier_wait(&all_hold); /* both sleep now */
    yk_watch_quit(other);
    pthread_barrier_wait(&all_hold);
    drop(chain[i]);
    return NULL;
}

static void timed(void)
{
    pthread_t t[2];
    chain[0] = &A;
    chain[1] = &B;
    pthread_barrier_init(&all_hold, NULL, 2);
    for (intptr_t i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&t[i], NULL, wait_a_while, (void *)i), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

TEST(time_limits_are_no_deadlock)
{
    check_quiet(timed);
}

/* Whoever gave up does not wait any more, though it once did. */
static void *gave_up(void *arg)
{
    CHECK_INT(take(&B, "lock", 10), 0);
    yk_watch_try(&A, "lock", "A", "bank.c", 11);
    yk_watch_blocked(&A);
    yk_watch_quit(&A);
    pthread_barrier_wait(&all_hold);
    pthread_barrier_wait(&all_hold);
    drop(&B);
    return NULL;
}

static void after_giving_up(void)
{
    pthread_t t;
    pthread_barrier_init(&all_hold, NULL, 2);
    CHECK_INT(take(&A, "lock", 1), 0);
    CHECK_INT(pthread_create(&t, NULL, gave_up, NULL), 0);
    pthread_barrier_wait(&all_hold);
    yk_watch_try(&B, "lock", "B", "bank.c", 2);
    CHECK_INT(yk_watch_blocked_until(&B, YOKE_FOREVER), 0);
    yk_watch_quit(&B);
    pthread_barrier_wait(&all_hold);
    pthread_join(t, NULL);
}

TEST(a_wait_that_was_given_up)
{
    check_quiet(after_giving_up);
}

/* A writer waits for all readers: one of them in the ring is enough. */
static void *reader_wants(void *arg)
{
    pthread_setname_np(pthread_self(), "reader");
    CHECK_INT(take(&A, "read", 50), 0);
    pthread_barrier_wait(&all_hold);
    pthread_barrier_wait(&all_hold); /* the writer sleeps */
    yk_watch_try(&B, "lock", "B", "bank.c", 51);
    CHECK_INT(yk_watch_blocked_until(&B, YOKE_FOREVER), -EDEADLK);
    drop(&A);
    return NULL;
}

static void writer_and_readers(void)
{
    pthread_t t;
    pthread_barrier_init(&all_hold, NULL, 2);
    CHECK_INT(take(&B, "lock", 60), 0);
    CHECK_INT(pthread_create(&t, NULL, reader_wants, NULL), 0);
    pthread_barrier_wait(&all_hold);
    yk_watch_try(&A, "write", "A", "bank.c", 61);
    CHECK_INT(yk_watch_blocked_until(&A, YOKE_FOREVER), 0);
    pthread_barrier_wait(&all_hold);
    pthread_join(t, NULL);
    yk_watch_quit(&A);
}

TEST(a_writer_that_waits_for_a_reader)
{
    check_says(writer_and_readers, "yoke: deadlock: 2 threads wait for each other\n"
                                   "  thread \"reader\" waits for lock \"B\" at bank.c:51, held by thread \"main\"\n"
                                   "    and holds rwlock \"A\", acquired to read at bank.c:50\n"
                                   "  thread \"main\" waits for rwlock \"A\" at bank.c:61, held by thread \"reader\"\n"
                                   "    and holds lock \"B\", acquired at bank.c:60\n");
}
