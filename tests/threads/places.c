/* places.c - who runs forks and where: guests and their places, affinity, forked programs, the process's own pool, threads that
 * come and go, and that all of it is quiet when there is nothing to do. */
#include "test.h"
#include "threads/pool.h"
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

YOKE_FORK(long, fib, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(fib, n - 1);
    long b = yoke_call(fib, n - 2);
    return yoke_join(fib) + b;
}

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
        yoke_future *f = yoke_submit(ex, crowd_task, 7);
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
        CHECK(atomic_load(&most) <= width);
        CHECK(width == 1 || atomic_load(&most) >= 2); /* others did come */
        yoke_close(ex);
    }
}

TEST(a_guest_takes_the_place_of_a_worker)
{
    for (int width = 1; width <= 4; width++) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", width);
        yoke_executor *ex = yoke_open(uri);
        usleep(20000); /* until all sleep: those awake may help once more */
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

TEST_LIMIT(more_threads_than_guests, 60)
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
    usleep(50000); /* each has gone through its loop once more before it slept */
    for (uint32_t i = 0; i < 3; i++) {
        yk_pool_worker *w = pool_of(ex)->workers[i];
        CHECK(!atomic_load(&w->away));
        cpu_set_t mask = mask_of(atomic_load(&w->tid));
        CHECK(CPU_EQUAL(&mask, &all));
    }
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
    usleep(20000);
    for (uint32_t i = 0; i < 2; i++)
        CHECK_INT(sched_setaffinity(atomic_load(&pool_of(ex)->workers[i]->tid), sizeof one, &one), 0);
    for (int i = 0; i < 20; i++) {
        usleep(2000);
        CHECK_INT(yoke_run(ex, fib, 20), 6765);
    }
    usleep(50000);
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
    usleep(50000);
    double before = cpu_seconds();
    usleep(300000);
    CHECK(cpu_seconds() - before < 0.003);
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
    CHECK_INT(threads_now(), before);
}

/* ---- Wake-ups ---- */

TEST_LIMIT(no_wake_up_is_lost, 100)
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

TEST_LIMIT(jobs_and_forks_from_everywhere_at_once, 60)
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
