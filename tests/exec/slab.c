/* slab.c - the memory of jobs is used again: by the thread that freed it, by others, after the thread has ended, and when a
 * thread goes to and fro between executors. What is counted is every job that a pool has ever cut. */
#include "exec/job.h"
#include "test.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

enum { ONE_SLAB = 2 * (YK_JOB_INLINE / sizeof(void *)), THREADS = 100, ROUNDS = 1000 };

static void count_one(yk_job *job, void *arg)
{
    ++*(size_t *)arg;
}

static size_t jobs_cut(yoke_executor *ex)
{
    size_t n = 0;
    yk_job_pool_each(ex->pool, count_one, &n);
    return n;
}

static void call_once(yoke_executor *ex)
{
    yoke_future *f = yoke_submit(ex, add, 1, 2);
    CHECK_INT(yoke_await(f, long), 3);
    yoke_release(f);
}

static void *caller(void *ex)
{
    call_once(ex);
    return NULL;
}

static void *releaser(void *f)
{
    yoke_release(f);
    return NULL;
}

static void in_a_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, fn, arg), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
}

TEST(a_thread_uses_its_own_again)
{
    yoke_executor *ex = yoke_open("inline");
    for (int i = 0; i < ROUNDS; i++)
        call_once(ex);
    CHECK_INT(jobs_cut(ex), ONE_SLAB);
    yoke_close(ex);
}

TEST(a_thread_that_ends_leaves_its_jobs_to_the_others)
{
    yoke_executor *ex = yoke_open("inline");
    for (int i = 0; i < THREADS; i++)
        in_a_thread(caller, ex);
    CHECK_INT(jobs_cut(ex), ONE_SLAB);
    yoke_close(ex);
}

TEST(what_another_thread_releases_is_not_lost)
{
    yoke_executor *ex = yoke_open("inline");
    for (int i = 0; i < ROUNDS; i++) {
        yoke_future *f = yoke_submit(ex, add, i, 1);
        CHECK_INT(yoke_await(f, long), i + 1);
        in_a_thread(releaser, f);
    }
    CHECK(jobs_cut(ex) <= 2 * ONE_SLAB);
    yoke_close(ex);
}

TEST(a_thread_between_two_executors_takes_nothing_along)
{
    yoke_executor *one = yoke_open("inline"), *two = yoke_open("inline");
    for (int i = 0; i < ROUNDS; i++) {
        call_once(one);
        call_once(two);
    }
    CHECK_INT(jobs_cut(one), ONE_SLAB);
    CHECK_INT(jobs_cut(two), ONE_SLAB);
    yoke_close(one);
    yoke_close(two);
}

TEST(more_than_a_cache_comes_back_in_batches)
{
    yoke_executor *ex = yoke_open("inline");
    static yoke_future *f[10 * ONE_SLAB];
    size_t n = sizeof f / sizeof *f;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < n; i++)
            CHECK((f[i] = yoke_submit(ex, add, (long)i, round)) != NULL);
        for (size_t i = 0; i < n; i++) {
            CHECK_INT(yoke_await(f[i], long), (long)i + round);
            yoke_release(f[i]);
        }
        CHECK_INT(jobs_cut(ex), n);
    }
    yoke_close(ex);
}

/* ---- A thread may outlive the executor whose jobs it holds ---- */

typedef struct meeting {
    yoke_executor *ex;
    pthread_barrier_t used, closed;
} meeting;

static void *outlives(void *arg)
{
    meeting *m = arg;
    call_once(m->ex);
    pthread_barrier_wait(&m->used);
    pthread_barrier_wait(&m->closed);
    return NULL; /* ends with jobs of a pool that is gone */
}

TEST(a_thread_may_end_after_its_executor)
{
    meeting m = {.ex = yoke_open("inline")};
    pthread_t thread;
    pthread_barrier_init(&m.used, NULL, 2);
    pthread_barrier_init(&m.closed, NULL, 2);
    CHECK_INT(pthread_create(&thread, NULL, outlives, &m), 0);
    pthread_barrier_wait(&m.used);
    CHECK_INT(yoke_close(m.ex), 0);
    yoke_executor *next = yoke_open("inline"); /* likely in the same memory, but not the same pool */
    pthread_barrier_wait(&m.closed);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(jobs_cut(next), 0);
    call_once(next);
    CHECK_INT(jobs_cut(next), ONE_SLAB);
    yoke_close(next);
}

/* ---- Destructors of thread-specific data run in any order, and may use executors themselves ---- */

static pthread_key_t late;

static void call_late(void *ex)
{
    call_once(ex);
}

static void *calls_at_its_end(void *ex)
{
    pthread_setspecific(late, ex);
    call_once(ex);
    return NULL;
}

TEST(jobs_taken_while_a_thread_ends_come_back_too)
{
    yoke_executor *ex = yoke_open("inline");
    CHECK_INT(pthread_key_create(&late, call_late), 0); /* after yoke's own key, so called after it */
    for (int i = 0; i < THREADS; i++)
        in_a_thread(calls_at_its_end, ex);
    CHECK_INT(jobs_cut(ex), ONE_SLAB);
    pthread_key_delete(late);
    yoke_close(ex);
}

/* ---- In a child made by fork() ---- */

TEST(a_child_made_by_fork_has_executors_of_its_own)
{
    yoke_executor *ex = yoke_open("inline");
    call_once(ex);
    pid_t child = fork();
    if (child == 0) {
        yoke_executor *own = yoke_open("inline");
        for (int i = 0; i < THREADS; i++)
            in_a_thread(caller, own);
        call_once(own);
        _exit(jobs_cut(own) == ONE_SLAB && jobs_cut(ex) == ONE_SLAB ? 0 : 1);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    call_once(ex);
    CHECK_INT(jobs_cut(ex), ONE_SLAB);
    yoke_close(ex);
}
