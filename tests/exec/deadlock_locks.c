/* deadlock_locks.c - YOKE_DEBUG=locks where locks meet other waits: conditions, joins of threads and of forks, awaits, threads
 * that have ended, fork(). Real locks and threads; each case runs in a child whose stderr is looked at. */
#include "child.h"
#include "sync/watching.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <yoke.h>

static yoke_lock A, B;
static yoke_rlock R;
static yoke_rwlock W;
static yoke_condition changed;
static _Atomic int stage, refused;

static child_end watched(void (*fn)(void))
{
    yk_watch_read_debug("locks"); /* for the child */
    yk_likely_after = 30 * YOKE_MS;
    yoke_lock_name(&A, "A");
    yoke_lock_name(&B, "B");
    yoke_rlock_name(&R, "R");
    yoke_rwlock_name(&W, "W");
    return in_child(fn);
}

static void check_quiet(void (*fn)(void))
{
    child_end end = watched(fn);
    CHECK_STR(end.text, "");
    CHECK_INT(end.status, 0);
}

static void await_stage(int n)
{
    while (atomic_load(&stage) < n)
        usleep(200);
}

static void call_me(const char *name)
{
    pthread_setname_np(pthread_self(), name);
}

static pthread_t start(void *(*fn)(void *arg), void *arg)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, fn, arg), 0);
    return t;
}

/* A sanitizer may have a thread of its own, of which nobody knows what it does. */
static bool is_alone(void)
{
    struct stat s;
    return stat("/proc/self/task", &s) == 0 && s.st_nlink == 3;
}

/* Whether some wait has been reported as likely to be for ever. */
static bool is_doubted(void)
{
    bool doubted = false;
    yk_mutex_lock(&yk_who_lock);
    for (yk_who *w = yk_who_first(); w; w = w->next) {
        yk_keeper *k = yk_keeper_of(w);
        doubted = doubted || (k && k->asleep && k->doubted);
    }
    yk_mutex_unlock(&yk_who_lock);
    return doubted;
}

/* Comes from outside and releases A, which any thread may. */
static void *rescuer(void *arg)
{
    while (!is_doubted())
        usleep(1000);
    CHECK_INT(yoke_lock_release(&A), 0);
    return NULL;
}

/* ---- The lock that a wait for a condition takes back ---- */

static int line_back, line_other;

/* arg: whether to notify first. */
static void *wants_while_it_waits(void *arg)
{
    call_me("comer");
    await_stage(1);
    CHECK_INT(yoke_lock_acquire(&A), 0); /* not before the other waits */
    if (arg)
        CHECK_INT(yoke_condition_notify(&changed, &A, 1), 1);
    line_other = __LINE__ + 1;
    int err = yoke_rlock_acquire(&R);
    atomic_fetch_add(&refused, err == -EDEADLK);
    if (err == 0)
        yoke_rlock_release(&R);
    CHECK_INT(yoke_lock_release(&A), 0);
    return NULL;
}

static void wait_under_two_locks(void)
{
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_t t = start(wants_while_it_waits, &changed);
    atomic_store(&stage, 1);
    line_back = __LINE__ + 1;
    int err = yoke_condition_wait(&changed, &A);
    if (err != -EDEADLK) /* then it is not held */
        CHECK_INT(yoke_lock_release(&A), 0);
    else
        CHECK_HAS(yoke_deadlock(), "waits for lock \"A\" at deadlock_locks.c:");
    atomic_fetch_add(&refused, err == -EDEADLK);
    CHECK_INT(yoke_rlock_release(&R), 0);
    pthread_join(t, NULL);
    CHECK_INT(refused, 1);
    CHECK_INT(yoke_condition_done(&changed), 0);
    fprintf(stderr, "back %d, other %d\n", line_back, line_other);
}

TEST(a_lock_that_is_taken_back_is_a_leg)
{
    char part[300];
    child_end end = watched(wait_under_two_locks);
    CHECK_INT(end.status, 0);
    const char *lines = strstr(end.text, "back ");
    CHECK(lines && sscanf(lines, "back %d, other %d", &line_back, &line_other) == 2);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other\n");
    snprintf(part, sizeof part, "  thread \"main\" waits for lock \"A\" at deadlock_locks.c:%d, held by thread \"comer\"\n",
             line_back);
    CHECK_HAS(end.text, part);
    snprintf(part, sizeof part, "  thread \"comer\" waits for rlock \"R\" at deadlock_locks.c:%d, held by thread \"main\"\n",
             line_other);
    CHECK_HAS(end.text, part);
    CHECK_INT(count_of(end.text, "lock order inversion"), 1); /* R before A, then A before R */
}

/* The time is over, nobody has notified, and the waiter must still leave the queue. */
static void time_is_over(void)
{
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_t t = start(wants_while_it_waits, NULL);
    atomic_store(&stage, 1);
    int err;
    while ((err = yoke_condition_timed(&changed, &A, 5 * YOKE_MS)) == 0 && refused == 0)
        ; /* until the other has come in between */
    if (err != -EDEADLK)
        CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(refused + (err == -EDEADLK), 1);
    CHECK_INT(yoke_rlock_release(&R), 0);
    pthread_join(t, NULL);
    CHECK_INT(yoke_condition_done(&changed), 0);
}

TEST(a_wait_whose_time_is_over_takes_back_too)
{
    child_end end = watched(time_is_over);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "yoke: deadlock: 2 threads wait for each other\n"), 1);
}

static void again_after_a_wait(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_condition_timed(&changed, &A, YOKE_MS), 0);
    CHECK_INT(yoke_lock_acquire(&B), 0);
    CHECK_INT(yoke_lock_release(&B), 0);
    CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    CHECK_INT(yoke_condition_timed(&changed, &R, YOKE_MS), 0);
    CHECK_INT(yoke_rlock_release(&R), 0);
    CHECK(yoke_rlock_mine(&R));
    CHECK_INT(yoke_rlock_release(&R), 0);
}

TEST(a_wait_under_one_lock_is_quiet)
{
    check_quiet(again_after_a_wait);
}

/* ---- Joins and awaits ---- */

static int wants_a(void *arg)
{
    await_stage(1);
    int err = yoke_lock_acquire(&A);
    if (err == 0)
        CHECK_INT(yoke_lock_release(&A), 0);
    else
        CHECK_HAS(yoke_deadlock(), "which joins thread \"wanter\"");
    return err;
}

/* A has never been released, so it might be a signal; but nobody is left who could give it. */
static void join_under_a_new_lock(void)
{
    if (!is_alone()) {
        fprintf(stderr, "not alone\n");
        return;
    }
    CHECK_INT(yoke_lock_acquire(&A), 0);
    yoke_thread *t = yoke_thread_call("wanter", wants_a, NULL);
    atomic_store(&stage, 1);
    int err = yoke_thread_join(t);
    CHECK_INT(err, -EDEADLK); /* its own, or what the thread was told and returned */
    bool mine = *yoke_deadlock();
    if (mine)
        CHECK_HAS(yoke_deadlock(), "joins thread \"wanter\", which waits for lock \"A\" at deadlock_locks.c:");
    CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(yoke_thread_join(t), mine ? 0 : -EDEADLK);
    yoke_thread_release(t);
}

TEST(a_join_under_a_lock_that_was_never_released)
{
    child_end end = watched(join_under_a_new_lock);
    CHECK_INT(end.status, 0);
    if (strcmp(end.text, "not alone\n") == 0)
        return;
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other\n");
    CHECK_HAS(end.text, "  thread \"main\" joins thread \"wanter\"\n    and holds lock \"A\", acquired at deadlock_locks.c:");
    CHECK_HAS(end.text, "  thread \"wanter\" waits for lock \"A\" at deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

static void join_with_a_rescuer(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_t r = start(rescuer, NULL);
    atomic_store(&stage, 1);
    yoke_thread *t = yoke_thread_call("wanter", wants_a, NULL);
    CHECK_INT(yoke_thread_join(t), 0);
    yoke_thread_release(t);
    pthread_join(r, NULL);
    CHECK_STR(yoke_deadlock(), "");
}

TEST(a_join_that_somebody_may_yet_end)
{
    child_end end = watched(join_with_a_rescuer);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: likely deadlock: 2 threads wait for each other, unless another thread releases the lock\n"
                        "  thread \"wanter\" waits for lock \"A\" at deadlock_locks.c:");
    CHECK_HAS(end.text, "  thread \"main\" joins thread \"wanter\"\n    and holds lock \"A\", acquired at deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

YOKE_TASK(int, task_wants_a)
{
    int err = yoke_lock_acquire(&A);
    return err == 0 ? yoke_lock_release(&A) : err;
}

static void await_with_a_rescuer(void)
{
    yoke_executor *ex = yoke_open("threads:2");
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_t r = start(rescuer, NULL);
    yoke_future *f = yoke_submit(ex, task_wants_a);
    CHECK_INT(yoke_wait(f), 0);
    yoke_release(f);
    yoke_close(ex);
    pthread_join(r, NULL);
}

TEST(an_await_that_somebody_may_yet_end)
{
    child_end end = watched(await_with_a_rescuer);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: likely deadlock: 2 threads wait for each other, unless another thread releases the lock\n");
    CHECK_HAS(end.text, "  thread \"main\" waits for task_wants_a (deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

YOKE_TASK(int, task_wants_r)
{
    int err = yoke_rlock_acquire(&R);
    return err == 0 ? yoke_rlock_release(&R) : err;
}

/* What only its holder can release leaves no doubt. */
static void await_under_an_rlock(void)
{
    yoke_executor *ex = yoke_open("threads:2");
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    yoke_future *f = yoke_submit(ex, task_wants_r);
    int told = yoke_wait(f); /* one of the two is: whoever comes last */
    CHECK_INT(yoke_rlock_release(&R), 0);
    int task = yoke_await(f, int);
    CHECK_INT(told, task == 0 ? -EDEADLK : 0);
    CHECK_INT(task, told == 0 ? -EDEADLK : 0);
    yoke_release(f);
    yoke_close(ex);
}

TEST(an_await_under_an_rlock)
{
    child_end end = watched(await_under_an_rlock);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other\n");
    CHECK_HAS(end.text, "  thread \"main\" waits for task_wants_r (deadlock_locks.c:");
    CHECK_HAS(end.text, "    and holds rlock \"R\", acquired at deadlock_locks.c:");
}

static int joins_itself(void *arg)
{
    return yoke_thread_join(yoke_thread_current());
}

static void join_oneself(void)
{
    yoke_thread *t = yoke_thread_call("ouroboros", joins_itself, NULL);
    CHECK_INT(yoke_thread_join(t), -EDEADLK);
    yoke_thread_release(t);
}

TEST(a_thread_that_joins_itself_is_reported)
{
    child_end end = watched(join_oneself);
    CHECK_STR(end.text, "yoke: deadlock: a thread waits for itself\n  thread \"ouroboros\" joins thread \"ouroboros\"\n");
}

/* ---- Forks ---- */

YOKE_FORK(int, nothing)
{
    return 0;
}

YOKE_FORK(int, part_wants_r)
{
    atomic_store(&stage, 1);
    int err = yoke_rlock_acquire(&R);
    return err == 0 ? yoke_rlock_release(&R) : err;
}

YOKE_FORK(int, whole_holds_r)
{
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    yoke_fork(part_wants_r);
    while (!atomic_load(&stage)) { /* until it is stolen; it is when another fork comes after it */
        yoke_fork(nothing);
        yoke_join(nothing);
        usleep(100);
    }
    int err = yoke_join(part_wants_r);
    CHECK_INT(yoke_rlock_release(&R), 0);
    return err;
}

static void join_a_fork(void)
{
    yoke_executor *ex = yoke_open("threads:2");
    CHECK_INT(yoke_run(ex, whole_holds_r), -EDEADLK); /* a join cannot fail, so the lock does */
    yoke_close(ex);
}

TEST(a_join_of_a_fork)
{
    child_end end = watched(join_a_fork);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: deadlock: 2 threads wait for each other\n");
    CHECK_HAS(end.text, " waits for rlock \"R\" at deadlock_locks.c:");
    CHECK_HAS(end.text, " joins a fork, run by thread \"yoke-worker-");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

/* ---- A lock by its own holder ---- */

static void again_alone(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0);
    if (!is_alone()) /* the answer would be a doubt */
        return;
    CHECK_INT(yoke_lock_acquire(&A), -EDEADLK);
    CHECK_HAS(yoke_deadlock(), "deadlock: thread \"main\" waits for lock \"A\" at deadlock_locks.c:");
    CHECK_HAS(yoke_deadlock(), ", held by thread \"main\"");
    fprintf(stderr, "told\n");
}

TEST(a_lock_again_by_the_only_thread)
{
    child_end end = watched(again_alone);
    CHECK_INT(end.status, 0);
    CHECK(!*end.text || strstr(end.text, "yoke: deadlock: a thread waits for itself\n"));
}

static void again_with_a_rescuer(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_t r = start(rescuer, NULL);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_join(r, NULL);
    CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0); /* a signal: it is left alone from here on */
    CHECK_INT(yoke_lock_timed(&A, YOKE_MS), -ETIMEDOUT);
}

TEST(a_lock_again_that_somebody_may_yet_release)
{
    child_end end = watched(again_with_a_rescuer);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: likely deadlock: a thread waits for itself, unless another thread releases the lock\n"
                        "  thread \"main\" acquires lock \"A\" at deadlock_locks.c:");
    CHECK_HAS(end.text, "    and holds it already, acquired at deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

static void told_of_oneself(void)
{
    CHECK_INT(yoke_rwlock_write(&W), 0);
    CHECK_INT(yoke_rwlock_write(&W), -EDEADLK);
    CHECK_HAS(yoke_deadlock(), "waits for rwlock \"W\" at deadlock_locks.c:");
    CHECK_INT(yoke_rwlock_write_release(&W), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_lock_acquire(&A), -EDEADLK);
    CHECK_HAS(yoke_deadlock(), "waits for lock \"A\" at deadlock_locks.c:");
    CHECK_HAS(yoke_deadlock(), ", held by thread \"main\"");
}

TEST(yoke_deadlock_tells_of_locks_too)
{
    child_end end = watched(told_of_oneself);
    CHECK_INT(end.status, 0);
}

/* Also when nothing is watched, and by a call that would not wait. */
static yoke_once once;

static int run_again(void *arg)
{
    CHECK_INT(yoke_once_run(&once, run_again, NULL), -EDEADLK);
    CHECK_STR(yoke_deadlock(), "deadlock: thread \"main\" waits for an initialisation that it runs itself");
    return 0;
}

static void told_unwatched(void)
{
    static const char text[] = "deadlock: thread \"main\" waits for an rwlock under which it writes itself";
    yoke_watching_locks = false; /* whatever the environment says */
    CHECK_STR(yoke_deadlock(), "");
    CHECK_INT(yoke_rwlock_write(&W), 0);
    CHECK_INT(yoke_rwlock_write_try(&W), -EDEADLK);
    CHECK_STR(yoke_deadlock(), text);
    CHECK_INT(yoke_once_run(&once, run_again, NULL), 0);
    CHECK_INT(yoke_rwlock_read(&W), -EDEADLK);
    CHECK_STR(yoke_deadlock(), text);
    CHECK_INT(yoke_rwlock_write_release(&W), 0);
}

TEST(yoke_deadlock_tells_without_a_watch)
{
    child_end end = in_child(told_unwatched);
    CHECK_STR(end.text, "");
    CHECK_INT(end.status, 0);
}

static void short_of_memory(void)
{
    CHECK_INT(yoke_rwlock_write(&W), 0);
    yk_sys_fail("calloc", 1, ENOMEM); /* no record of this thread, so nothing is seen; but it is the writer */
    yk_who_mine = NULL;
    CHECK_INT(yoke_rwlock_write(&W), -EDEADLK);
    yk_sys_fail("calloc", 0, 0);
}

TEST(a_writer_without_memory)
{
    child_end end = watched(short_of_memory);
    CHECK_INT(end.status, 0);
}

/* ---- Threads that end ---- */

static void *leaves_r(void *arg)
{
    call_me("careless");
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    return NULL;
}

static void wait_for_the_dead(void)
{
    pthread_join(start(leaves_r, NULL), NULL);
    CHECK_INT(yoke_rlock_timed(&R, YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_rlock_acquire(&R), -EDEADLK);
    CHECK_HAS(yoke_deadlock(), "deadlock: thread \"main\" waits for rlock \"R\" at deadlock_locks.c:");
    CHECK_HAS(yoke_deadlock(), ", which thread \"careless\" held when it ended");
}

TEST(a_lock_whose_holder_has_ended)
{
    child_end end = watched(wait_for_the_dead);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: thread \"careless\" ended holding rlock \"R\", acquired at deadlock_locks.c:");
    CHECK_HAS(end.text, "  Nobody can release it any more.\n"
                        "yoke: deadlock: a thread waits for a lock that nobody is left to release\n"
                        "  thread \"main\" waits for rlock \"R\" at deadlock_locks.c:");
    CHECK_HAS(end.text, "    which thread \"careless\" held when it ended, acquired at deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 2);
}

/* Who waits already is told too. */
static void *leaves_w(void *arg)
{
    CHECK_INT(yoke_rwlock_read(&W), 0);
    atomic_store(&stage, 1);
    bool waits = false;
    while (!waits) {
        yk_mutex_lock(&yk_who_lock);
        for (yk_who *w = yk_who_first(); w; w = w->next)
            waits = waits || (yk_keeper_of(w) && yk_keeper_of(w)->asleep);
        yk_mutex_unlock(&yk_who_lock);
        usleep(200);
    }
    return NULL;
}

static void outlive_a_reader(void)
{
    pthread_t t = start(leaves_w, NULL);
    await_stage(1);
    CHECK_INT(yoke_rwlock_write(&W), -EDEADLK);
    pthread_join(t, NULL);
    CHECK_INT(yoke_rwlock_read(&W), 0);
    CHECK_INT(yoke_rwlock_read_release(&W), 0);
}

TEST(a_writer_whose_reader_ends)
{
    child_end end = watched(outlive_a_reader);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, " ended holding rwlock \"W\", acquired to read at deadlock_locks.c:");
    CHECK_HAS(end.text, "yoke: deadlock: a thread waits for a lock that nobody is left to release\n"
                        "  thread \"main\" waits for rwlock \"W\" at deadlock_locks.c:");
}

static void *leaves_a(void *arg)
{
    call_me("careless");
    CHECK_INT(yoke_lock_acquire(&A), 0);
    return NULL;
}

static void wait_with_a_rescuer(void)
{
    pthread_join(start(leaves_a, NULL), NULL);
    pthread_t r = start(rescuer, NULL);
    CHECK_INT(yoke_lock_acquire(&A), 0);
    pthread_join(r, NULL);
}

TEST(a_lock_of_the_dead_that_somebody_may_yet_release)
{
    child_end end = watched(wait_with_a_rescuer);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: likely deadlock: a thread waits for a lock that nobody is left to release, unless another thread "
                        "releases the lock\n");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

static void hand_over_after_the_end(void)
{
    CHECK_INT(yoke_lock_acquire(&A), 0);
    CHECK_INT(yoke_lock_release(&A), 0);
    pthread_join(start(leaves_a, NULL), NULL);
    CHECK_INT(yoke_lock_release(&A), 0);
    CHECK_INT(yoke_lock_acquire(&A), 0);
}

TEST(a_lock_may_outlive_its_holder)
{
    check_quiet(hand_over_after_the_end);
}

static void use_a(int times)
{
    for (int i = 0; i < times; i++) {
        CHECK_INT(yoke_lock_acquire(&A), 0);
        CHECK_INT(yoke_lock_release(&A), 0);
    }
}

static void used_and_left(void)
{
    use_a(YK_CERTAIN);
    pthread_join(start(leaves_a, NULL), NULL);
    if (is_alone())
        CHECK_INT(yoke_lock_acquire(&A), -EDEADLK);
}

TEST(a_lock_that_was_one_is_missed)
{
    child_end end = watched(used_and_left);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: thread \"careless\" ended holding lock \"A\", acquired at deadlock_locks.c:");
    CHECK_HAS(end.text, "  It stays held until another thread releases it.\n");
}

/* ---- Between processes ---- */

static yoke_rlock *shared_rlock(void)
{
    yoke_rlock *l = mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(l != MAP_FAILED);
    CHECK_INT(yoke_rlock_init(l, YOKE_SHARED), 0);
    return l;
}

static yoke_rlock *between;

static void *leaves_shared(void *arg)
{
    call_me("careless");
    CHECK_INT(yoke_rlock_acquire(between), 0);
    return NULL;
}

static void inherit(void)
{
    between = shared_rlock();
    pthread_join(start(leaves_shared, NULL), NULL);
    CHECK_INT(yoke_rlock_acquire(between), -EOWNERDEAD);
    CHECK_INT(yoke_rlock_consistent(between), 0);
    CHECK_INT(yoke_rlock_release(between), 0);
}

TEST(a_shared_lock_is_inherited)
{
    child_end end = watched(inherit);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: thread \"careless\" ended holding shared rlock #1 (first acquired at deadlock_locks.c:");
    CHECK_HAS(end.text, "  The next to acquire it is given it, with -EOWNERDEAD.\n");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

/* The parent holds it, not its copy; what is private has been copied with its holder. */
static void fork_while_holding(void)
{
    between = shared_rlock();
    CHECK_INT(yoke_rlock_acquire(between), 0);
    CHECK_INT(yoke_lock_acquire(&B), 0);
    CHECK_INT(yoke_lock_release(&B), 0);
    CHECK_INT(yoke_lock_acquire(&B), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool fine = yoke_lock_acquire(&B) == -EDEADLK && yoke_lock_release(&B) == 0;
        fine = fine && yoke_rlock_timed(between, 10 * YOKE_MS) == -ETIMEDOUT;
        fine = fine && yoke_rlock_acquire(between) == 0; /* when the parent has released it */
        _exit(fine && yoke_rlock_release(between) == 0 ? 0 : 1);
    }
    usleep(30 * 1000);
    CHECK_INT(yoke_rlock_release(between), 0);
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

TEST(locks_over_a_fork)
{
    child_end end = watched(fork_while_holding);
    CHECK_INT(end.status, 0);
    CHECK_INT(count_of(end.text, "yoke: "), 1);
    CHECK_HAS(end.text, "yoke: deadlock: a thread waits for itself\n");
    CHECK_HAS(end.text, "acquires lock \"B\"");
}

static void *holds_r_over_fork(void *arg)
{
    CHECK_INT(yoke_rlock_acquire(&R), 0);
    atomic_store(&stage, 1);
    await_stage(2);
    CHECK_INT(yoke_rlock_release(&R), 0);
    return NULL;
}

static void fork_beside_a_holder(void)
{
    pthread_t t = start(holds_r_over_fork, NULL);
    await_stage(1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(yoke_rlock_acquire(&R) == -EDEADLK && strstr(yoke_deadlock(), "held when it stayed behind in the parent process")
                  ? 0
                  : 1);
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    atomic_store(&stage, 2);
    pthread_join(t, NULL);
}

TEST(a_holder_that_stayed_behind)
{
    child_end end = watched(fork_beside_a_holder);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, " held when it stayed behind in the parent process, acquired at deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

/* ---- Reading twice ---- */

static void read_twice(void)
{
    for (int i = 0; i < 3; i++) {
        CHECK_INT(yoke_rwlock_read(&W), 0);
        CHECK_INT(yoke_rwlock_read(&W), 0);
        CHECK_INT(yoke_rwlock_read_release(&W), 0);
        CHECK_INT(yoke_rwlock_read_release(&W), 0);
    }
}

TEST(reading_twice_is_a_risk)
{
    child_end end = watched(read_twice);
    CHECK_INT(end.status, 0);
    CHECK_HAS(end.text, "yoke: lock order inversion: a thread reads under a lock twice, and deadlocks when a writer comes in "
                        "between\n"
                        "  thread \"main\" acquires rwlock \"W\" to read at deadlock_locks.c:");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
}

static void read_twice_by_try(void)
{
    CHECK_INT(yoke_rwlock_read(&W), 0);
    CHECK_INT(yoke_rwlock_read_try(&W), 0);
    CHECK_INT(yoke_rwlock_read_timed(&W, YOKE_MS), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_rwlock_read_release(&W), 0);
}

TEST(reading_twice_by_try_is_none)
{
    check_quiet(read_twice_by_try);
}
