/* places.c - who runs forks and where: guests and their places, affinity, forked programs, the process's own pool, threads that
 * come and go, and that all of it is quiet when there is nothing to do. */
#include "fib.h"
#include "test.h"
#include "threads/pool.h"
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, fib_task, (int, n))
{
    return fib(n);
}

static yk_pool *pool_of(yoke_executor *ex)
{
    yk_pool *p = yk_pool_of(ex);
    CHECK(p != NULL);
    return p;
}

/* Until each worker is counted as a sleeper: it then looks for work once more, but helps in no place of a guest. */
static void await_sleepers(yoke_executor *ex)
{
    while (atomic_load(&pool_of(ex)->sleepers.count) < yoke_executor_width(ex))
        usleep(1000);
}

/* ---- How many run at once ---- */

static _Atomic int running, most;

YOKE_FORK(void, crowd, (int, n))
{
    if (n == 0) {
        int now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        usleep(1000);
        atomic_fetch_sub(&running, 1);
        return;
    }
    yoke_fork(crowd, n - 1);
    yoke_call(crowd, n - 1);
    yoke_join(crowd);
}

YOKE_TASK(void, crowd_task, (int, n))
{
    crowd(n);
}

TEST(a_job_uses_no_more_workers_than_there_are)
{
    for (int width = 1; width <= 6; width++) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", width);
        yoke_executor *ex = yoke_open(uri);
        atomic_store(&most, 0);
        do { /* until others have come */
            yoke_future *f = yoke_submit(ex, crowd_task, 7);
            CHECK_INT(yoke_wait(f), 0);
            yoke_release(f);
            CHECK(atomic_load(&most) <= width);
        } while (width > 1 && atomic_load(&most) < 2);
        yoke_close(ex);
    }
}

TEST(a_guest_takes_the_place_of_a_worker)
{
    for (int width = 1; width <= 4; width++) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", width);
        yoke_executor *ex = yoke_open(uri);
        await_sleepers(ex); /* those awake may help once more */
        atomic_store(&most, 0);
        yoke_run(ex, crowd, 7);
        CHECK(atomic_load(&most) <= width);
        CHECK_INT(atomic_load(&pool_of(ex)->guests), 0);
        yoke_close(ex);
    }
}

/* ---- Guests ---- */

static void *visit(void *ex)
{
    CHECK_INT(yoke_run(ex, fib, 12), 144);
    usleep(2000);
    CHECK_INT(yoke_run(ex, fib, 13), 233);
    return NULL;
}

TEST(guests_are_used_again)
{
    yoke_executor *ex = yoke_open("threads:2");
    for (int i = 0; i < 200; i++)
        CHECK_INT(yoke_run(ex, fib, 8), 21);
    CHECK_INT(atomic_load(&pool_of(ex)->worker_count), 3);
    yoke_close(ex);
}

TEST_LIMIT(more_threads_than_guests, 300)
{
    enum { THREADS = 400 }; /* more than there is room for: the rest work alone */
    yoke_executor *ex = yoke_open("threads:2");
    static pthread_t threads[THREADS];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    int started = 0;
    while (started < THREADS && pthread_create(&threads[started], &attr, visit, ex) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    CHECK(started > 100);
    CHECK(atomic_load(&pool_of(ex)->worker_count) <= pool_of(ex)->room);
    CHECK_INT(atomic_load(&pool_of(ex)->guests), 0);
    yoke_close(ex);
}

/* ---- The place of a guest that has left ---- */

static atomic_int stage; /* 1: the guest is there; 2: it may go; 3: it has gone */
static atomic_bool helped;

static void await_stage(int wanted)
{
    while (atomic_load(&stage) < wanted)
        usleep(1000);
}

YOKE_FORK(void, stay, (int, unused))
{
    (void)unused;
    atomic_store(&stage, 1);
    await_stage(2);
}

static void *stay_a_while(void *ex)
{
    yoke_run(ex, stay, 0);
    atomic_store(&stage, 3);
    return NULL;
}

YOKE_FORK(void, note_helper, (int64_t, owner))
{
    if ((int64_t)gettid() != owner)
        atomic_store(&helped, true);
}

/* While the guest is there it answers who has asked so far, and none of them has a place. When it has gone somebody has. */
YOKE_FORK(void, fork_until_helped, (int64_t, owner))
{
    await_stage(1);
    for (int i = 0; i < 1000; i++) {
        yoke_fork(note_helper, owner);
        yoke_join(note_helper);
    }
    CHECK(!atomic_load(&helped));
    atomic_store(&stage, 2);
    await_stage(3);
    while (!atomic_load(&helped)) {
        yoke_fork(note_helper, owner);
        sched_yield();
        yoke_join(note_helper);
    }
}

YOKE_TASK(void, fork_until_helped_in_a_job)
{
    fork_until_helped((int64_t)gettid());
}

TEST(the_place_of_a_guest_helps_another_guest)
{
    yoke_executor *ex = yoke_open("threads:2");
    pthread_t other;
    await_sleepers(ex);
    CHECK_INT(pthread_create(&other, NULL, stay_a_while, ex), 0);
    await_stage(1);
    yoke_run(ex, fork_until_helped, (int64_t)gettid());
    CHECK_INT(pthread_join(other, NULL), 0);
    yoke_close(ex);
}

TEST(the_place_of_a_guest_helps_a_job)
{
    yoke_executor *ex = yoke_open("threads:2");
    await_sleepers(ex);
    yoke_future *f = yoke_submit(ex, fork_until_helped_in_a_job);
    stay_a_while(ex);
    CHECK_INT(yoke_wait(f), 0);
    yoke_close(ex);
}

/* The same with a fork that is public already when the guest goes, and no other. */
YOKE_FORK(void, hold_until_helped, (yoke_executor *, ex))
{
    await_stage(1);
    yk_forks_ask_one(&yk_pool_self(pool_of(ex))->forks);
    yoke_fork(note_helper, (int64_t)gettid());
    CHECK(yk_pool_has_forks(pool_of(ex)) && !atomic_load(&helped));
    atomic_store(&stage, 2);
    while (!atomic_load(&helped))
        usleep(1000);
    yoke_join(note_helper);
}

TEST(the_place_of_a_guest_is_for_what_is_public)
{
    yoke_executor *ex = yoke_open("threads:2");
    pthread_t other;
    await_sleepers(ex);
    CHECK_INT(pthread_create(&other, NULL, stay_a_while, ex), 0);
    await_stage(1);
    yoke_run(ex, hold_until_helped, ex);
    CHECK_INT(pthread_join(other, NULL), 0);
    yoke_close(ex);
}

YOKE_TASK(void, come_to_stage, (int, which))
{
    atomic_store(&stage, which);
}

static uint64_t sleeps(yoke_executor *ex)
{
    yoke_pool_counts c;
    CHECK_INT(yoke_pool_stats(ex, 0, &c), 0);
    return c.sleeps;
}

/* A worker that has done its job finds a fork that it has no place for. */
YOKE_FORK(void, keep_out_the_only_worker, (yoke_executor *, ex))
{
    yk_forks_ask_one(&yk_pool_self(pool_of(ex))->forks);
    yoke_fork(note_helper, (int64_t)gettid());
    CHECK(yk_pool_has_forks(pool_of(ex)));
    uint64_t before = sleeps(ex);
    yoke_release(yoke_submit(ex, come_to_stage, 1));
    await_stage(1);
    while (sleeps(ex) == before)
        usleep(1000);
    yoke_join(note_helper);
    CHECK(!atomic_load(&helped));
}

TEST(who_has_no_place_sleeps)
{
    yoke_executor *ex = yoke_open("threads:1");
    await_sleepers(ex);
    while (sleeps(ex) == 0)
        usleep(1000);
    yoke_run(ex, keep_out_the_only_worker, ex);
    yoke_close(ex);
}

/* ---- What comes while somebody searches ---- */

/* This thread, a guest, is counted as one that searches, so nobody is woken. */
static yk_pool_worker *begin_search(yk_pool *p)
{
    yk_pool_worker *w = yk_pool_self(p);
    w->searching = true;
    atomic_fetch_add(&p->searching, 1);
    return w;
}

/* One fork, public at once, as those asleep have asked; not joined before it may be. */
YOKE_FORK(void, fork_one, (int64_t, owner))
{
    await_stage(1);
    yoke_fork(note_helper, owner);
    await_stage(2);
    yoke_join(note_helper);
}

YOKE_TASK(void, fork_one_in_a_job)
{
    fork_one((int64_t)gettid());
}

/* A job is found, and a fork has become public meanwhile. */
YOKE_FORK(void, find_a_job, (yoke_executor *, ex))
{
    yk_pool_worker *w = begin_search(pool_of(ex));
    atomic_store(&stage, 1);
    while (!yk_pool_has_forks(pool_of(ex)))
        usleep(1000);
    CHECK(!atomic_load(&helped));
    yk_pool_found(w);
    while (!atomic_load(&helped))
        usleep(1000);
    atomic_store(&stage, 2);
}

/* A fork is found, and a job has come meanwhile. */
YOKE_FORK(void, find_a_fork, (yoke_executor *, ex))
{
    yk_pool *p = pool_of(ex);
    yk_pool_worker *w = begin_search(p), *victim = NULL;
    atomic_store(&stage, 1);
    for (uint32_t i = 0; !victim; i = (i + 1) % atomic_load(&p->worker_count))
        if (yk_forks_open(&p->workers[i]->forks))
            victim = p->workers[i];
    yoke_release(yoke_submit(ex, come_to_stage, 2));
    CHECK(yk_forks_steal_from(w, victim, w->forks.own.head, NULL));
    await_stage(2);
}

/* A job is found, when all that became public meanwhile has been taken back. */
YOKE_FORK(void, find_a_job_too_late, (yoke_executor *, ex))
{
    yk_pool_worker *w = begin_search(pool_of(ex));
    atomic_store(&stage, 1);
    await_stage(2);
    CHECK(!yk_pool_has_forks(pool_of(ex)));
    yk_pool_found(w);
    atomic_store(&stage, 3);
    while (!atomic_load(&helped))
        usleep(1000);
}

static void search_beside(const yoke_task *job, void (*run)(yoke_executor *ex))
{
    yoke_executor *ex = yoke_open("threads:3");
    await_sleepers(ex);
    yoke_future *f = yoke_raw_submit(ex, job, "", NULL);
    while (atomic_load(&pool_of(ex)->sleepers.count) != 2 || atomic_load(&pool_of(ex)->searching) > 0)
        usleep(1000);
    run(ex);
    CHECK_INT(yoke_wait(f), 0);
    CHECK_INT(atomic_load(&pool_of(ex)->searching), 0);
    yoke_close(ex);
}

static void run_find_a_job(yoke_executor *ex)
{
    yoke_run(ex, find_a_job, ex);
}

static void run_find_a_fork(yoke_executor *ex)
{
    yoke_run(ex, find_a_fork, ex);
}

static void run_find_a_job_too_late(yoke_executor *ex)
{
    yoke_run(ex, find_a_job_too_late, ex);
}

TEST(who_finds_a_job_hands_on_the_forks_that_came_meanwhile)
{
    search_beside(&yoke_task_fork_one_in_a_job, run_find_a_job);
}

TEST(who_finds_a_fork_hands_on_the_jobs_that_came_meanwhile)
{
    search_beside(&yoke_task_fork_one_in_a_job, run_find_a_fork);
}

TEST(who_was_asked_while_somebody_searched_is_asked_still)
{
    search_beside(&yoke_task_fork_until_helped_in_a_job, run_find_a_job_too_late);
}

/* ---- Blocked tasks, and spares for their places ---- */

static yoke_event go;
static atomic_int blocked_tasks;

YOKE_TASK(void, block)
{
    atomic_fetch_add(&blocked_tasks, 1);
    CHECK_INT(yoke_event_wait(&go), 1);
}

YOKE_TASK(void, let_go)
{
    yoke_event_set(&go);
}

static void until_missing(yk_pool *p, uint32_t n)
{
    while (atomic_load(&p->missing) != n)
        usleep(100);
}

static void until_blocked(int n)
{
    while (atomic_load(&blocked_tasks) != n)
        usleep(100);
}

static uint64_t unfilled(yoke_executor *ex)
{
    yoke_pool_counts c;
    CHECK_INT(yoke_pool_stats(ex, YOKE_POOL_TOTAL, &c), 0);
    return c.unfilled;
}

static void block_all(yoke_executor *ex, yoke_future **f, int n)
{
    for (int i = 0; i < n; i++)
        f[i] = yoke_submit(ex, block);
}

static void wait_for_all(yoke_future **f, int n)
{
    for (int i = 0; i < n; i++) {
        CHECK_INT(yoke_wait(f[i]), 0);
        yoke_release(f[i]);
    }
}

TEST(hundreds_of_tasks_wait_for_the_last_in_the_queue)
{
    enum { N = 420 };
    static yoke_future *f[N + 1];
    yoke_executor *ex = yoke_open("threads:2");
    block_all(ex, f, N);
    f[N] = yoke_submit(ex, let_go);
    while (!yoke_done(f[N]) && unfilled(ex) == 0) /* a system that refuses so many threads says so */
        usleep(1000);
    yoke_event_set(&go);
    wait_for_all(f, N + 1);
    yoke_close(ex);
}

TEST(when_there_are_no_more_spares)
{
    enum { N = 12 };
    yoke_future *f[N + 1];
    yoke_executor *ex = yoke_open("threads:2");
    yk_pool *p = pool_of(ex);
    p->room = 5;
    block_all(ex, f, N);
    until_missing(p, 2);
    CHECK_INT(atomic_load(&blocked_tasks), 5);
    CHECK_INT(atomic_load(&p->active), 0);
    CHECK(unfilled(ex) >= 1);
    yoke_pool_counts one;
    CHECK_INT(yoke_pool_stats(ex, 0, &one), 0);
    CHECK_INT(one.unfilled, 0);
    f[N] = yoke_submit(ex, let_go); /* tries, in vain */
    CHECK_INT(atomic_load(&p->missing), 2);
    CHECK(!yoke_done(f[N]));
    yoke_event_set(&go); /* somebody else must */
    wait_for_all(f, N + 1);
    CHECK_INT(atomic_load(&p->worker_count), 5);
    f[0] = yoke_submit(ex, fib_task, 15);
    CHECK_INT(yoke_await(f[0], long), 610);
    CHECK_INT(atomic_load(&p->missing), 0);
    yoke_close(ex);
}

static int (*real_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static int no_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return EAGAIN;
}

TEST(a_place_that_stayed_empty_is_filled_by_the_next_job)
{
    yoke_future *f[3];
    yoke_executor *ex = yoke_open("threads:1");
    yk_pool *p = pool_of(ex);
    real_create = yk_sys.pthread_create;
    yk_sys.pthread_create = no_thread;
    f[0] = yoke_submit(ex, block);
    until_missing(p, 1);
    CHECK_INT(unfilled(ex), 1);
    for (int i = 0; i < 1000; i++) /* tries in vain use nothing up */
        yk_pool_fill_missing(p);
    CHECK_INT(unfilled(ex), 1);
    CHECK_INT(atomic_load(&p->worker_count), 2);
    yk_sys.pthread_create = real_create;
    f[1] = yoke_submit(ex, block);
    until_blocked(2);
    f[2] = yoke_submit(ex, let_go);
    wait_for_all(f, 3);
    CHECK_INT(atomic_load(&p->missing), 0);
    yoke_close(ex);
}

TEST(without_memory_for_a_guest)
{
    yoke_executor *ex = yoke_open("inline"); /* no thread of a pool may look at the table meanwhile */
    CHECK_INT(yoke_run(ex, fib, 10), 55);    /* the lone worker is there from now on */
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK_INT(yoke_run(ex, fib, 12), 144);
    CHECK_INT(yk_sys_fail("posix_memalign", 0, 0), 0);
    yoke_close(ex);
}

/* ---- Executors that failed to open, or are none ---- */

TEST(on_what_is_no_pool)
{
    yoke_executor *broken = yoke_open("threads:x"), *other = yoke_open("processes:1");
    CHECK(yoke_executor_status(broken) < 0);
    CHECK_INT(yoke_run(broken, fib, 15), 610);
    CHECK_INT(yoke_run(other, fib, 15), 610);
    yoke_close(broken);
    yoke_close(other);
}

/* ---- Affinity ---- */

static cpu_set_t mask_of(pid_t tid)
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CHECK_INT(sched_getaffinity(tid, sizeof mask, &mask), 0);
    return mask;
}

TEST(a_woken_worker_may_use_every_cpu_again)
{
    yoke_executor *ex = yoke_open("threads:3");
    cpu_set_t all = mask_of(0);
    for (int i = 0; i < 50; i++) {
        usleep(2000);
        CHECK_INT(yoke_run(ex, fib, 20), 6765);
    }
    for (uint32_t i = 0; i < 3; i++) { /* each goes through its loop once more before it sleeps for good */
        yk_pool_worker *w = pool_of(ex)->workers[i];
        cpu_set_t mask;
        do {
            usleep(1000);
            mask = mask_of(atomic_load(&w->tid));
        } while (atomic_load(&w->away) || !CPU_EQUAL(&mask, &all));
    }
    yoke_close(ex);
}

static int all_cpus(void)
{
    cpu_set_t mask = mask_of(0);
    return CPU_COUNT(&mask);
}

YOKE_TASK(int, cpus, (int, unused))
{
    return all_cpus();
}

/* Whatever wakes it, a worker that is being sent away runs nothing until that is over. */
TEST(nothing_runs_while_a_waker_changes_the_mask)
{
    yoke_executor *ex = yoke_open("threads:1");
    CHECK_INT(yoke_await(yoke_submit(ex, cpus, 0), int), all_cpus());
    await_sleepers(ex);
    yk_pool_worker *w = pool_of(ex)->workers[0];
    atomic_store(&w->away, YK_LEAVING);
    yoke_future *f = yoke_submit(ex, cpus, 0);
    usleep(20000); /* nothing is to be seen, and nothing will be */
    CHECK(!yoke_done(f));
    atomic_store(&w->away, YK_HERE);
    CHECK_INT(yoke_await(f, int), all_cpus());
    yoke_close(ex);
}

TEST(a_mask_that_somebody_else_sets_stays)
{
    cpu_set_t all = mask_of(0), one;
    if (CPU_COUNT(&all) < 2)
        return; /* there is no other mask */
    yoke_executor *ex = yoke_open("threads:2");
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    for (uint32_t i = 0; i < 2; i++) /* each tells its number when it has started; nobody has sent it away since */
        while (atomic_load(&pool_of(ex)->workers[i]->tid) == 0)
            usleep(1000);
    for (uint32_t i = 0; i < 2; i++)
        CHECK_INT(sched_setaffinity(atomic_load(&pool_of(ex)->workers[i]->tid), sizeof one, &one), 0);
    for (int i = 0; i < 20; i++) {
        usleep(2000);
        CHECK_INT(yoke_run(ex, fib, 20), 6765);
    }
    await_sleepers(ex);
    for (uint32_t i = 0; i < 2; i++) {
        cpu_set_t mask = mask_of(atomic_load(&pool_of(ex)->workers[i]->tid));
        CHECK(CPU_EQUAL(&mask, &one));
    }
    yoke_close(ex);
}

TEST(on_one_cpu)
{
    cpu_set_t all = mask_of(0), one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (!CPU_ISSET(sched_getcpu(), &all))
        return;
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
    yoke_executor *ex = yoke_open("threads:4");
    for (int i = 0; i < 20; i++)
        CHECK_INT(yoke_run(ex, fib, 18), 2584);
    yoke_close(ex);
}

/* ---- fork() in the program ---- */

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) /* neither is made for threads after such a fork */
TEST(a_child_has_a_pool_of_its_own)
{
    CHECK_INT(fib(15), 610);
    yoke_executor *parents = yoke_own_threads();
    pid_t pid = fork();
    if (pid == 0) {
        bool good = fib(15) == 610 && yoke_own_threads() != NULL && yoke_run(parents, fib, 10) == 55;
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_INT(fib(15), 610);
}
#endif

/* ---- Quiet ---- */

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 + (double)u.ru_stime.tv_sec +
           (double)u.ru_stime.tv_usec / 1e6;
}

TEST(nobody_spins_after_a_fork)
{
    yoke_executor *ex = yoke_open("threads:4");
    for (int i = 0; i < 10; i++)
        CHECK_INT(yoke_run(ex, fib, 18), 2584);
    double spent = 1;
    for (int i = 0; i < 30 && spent >= 0.003; i++) { /* until all have fallen asleep, on a busy machine too */
        double before = cpu_seconds();
        usleep(300000);
        spent = cpu_seconds() - before;
    }
    CHECK(spent < 0.003);
    yoke_close(ex);
}

static int threads_now(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

TEST(close_ends_every_thread)
{
    yoke_close(yoke_open("threads:1")); /* a sanitizer starts a thread of its own with the first */
    int before = threads_now();
    for (int i = 0; i < 20; i++) {
        yoke_executor *ex = yoke_open("threads:4");
        CHECK_INT(yoke_run(ex, fib, 12), 144);
        yoke_close(ex);
    }
    while (threads_now() > before) /* a joined thread may take a moment to vanish */
        usleep(1000);
    CHECK_INT(threads_now(), before);
}

/* ---- Wake-ups ---- */

TEST_LIMIT(no_wake_up_is_lost, 300)
{
    yoke_executor *ex = yoke_open("threads:3");
    for (int i = 0; i < 20000; i++) {
        yoke_future *f = yoke_submit(ex, fib_task, 6);
        CHECK_INT(yoke_await(f, long), 8);
        yoke_release(f);
        if (i % 500 == 0)
            usleep(500); /* let them fall asleep */
    }
    yoke_close(ex);
}

static _Atomic int stop;

static void *submits(void *ex)
{
    long n = 0;
    do {
        yoke_future *f = yoke_submit(ex, fib_task, 8);
        CHECK_INT(yoke_await(f, long), 21);
        yoke_release(f);
        n++;
    } while (!atomic_load(&stop));
    return (void *)n;
}

TEST_LIMIT(jobs_and_forks_from_everywhere_at_once, 300)
{
    yoke_executor *ex = yoke_open("threads:3");
    pthread_t threads[4];
    atomic_store(&stop, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, submits, ex);
    for (int i = 0; i < 300; i++)
        CHECK_INT(yoke_run(ex, fib, 14), 377);
    atomic_store(&stop, 1);
    for (int i = 0; i < 4; i++) {
        void *n;
        pthread_join(threads[i], &n);
        CHECK((long)n > 0);
    }
    yoke_close(ex);
}

TEST(counts_of_what_was_done)
{
    yoke_executor *ex = yoke_open("threads:2");
    for (int i = 0; i < 100; i++) {
        yoke_future *f = yoke_submit(ex, fib_task, 5);
        CHECK_INT(yoke_await(f, long), 5);
        yoke_release(f);
    }
    uint64_t jobs = 0;
    for (uint32_t i = 0; i < 2; i++)
        jobs += atomic_load(&pool_of(ex)->workers[i]->jobs);
    CHECK_INT(jobs, 100);
    yoke_close(ex);
}
