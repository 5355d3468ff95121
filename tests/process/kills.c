/* kills.c - workers and the zygote are killed at random moments while thousands of jobs run: each job ends exactly
 * once, with its value or an error that names the signal; and when all is over no process, descriptor or shared
 * memory is left. */
#include "process/pool.h"
#include "test.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

enum { PIDS = 20000, LARGE = 3000 };

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

/* ---- Four kinds of jobs: all in the cell, a result in a block, arguments in a block, and a slow one ---- */

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK(yoke_str, letters, (long, n))
{
    char *p = yoke_alloc(LARGE);
    if (!p) {
        yoke_fail(ENOMEM, "no memory");
        return (yoke_str){NULL, 0};
    }
    memset(p, 'a' + (int)(n % 26), LARGE);
    return (yoke_str){p, LARGE};
}

YOKE_TASK(long, sum, (yoke_in_i32, x))
{
    long total = 0;
    for (size_t i = 0; i < x.shape[0]; i++)
        total += x.ptr[(ptrdiff_t)i * x.step[0]];
    return total;
}

YOKE_TASK(long, dozes, (long, n))
{
    nap(200 * YOKE_US);
    return n;
}

YOKE_TASK(int64_t, waits_with_a_child, (yoke_out_i64, pids), (int, children))
{
    for (int i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (;;)
                pause();
        }
        ((volatile int64_t *)pids.ptr)[i] = child;
    }
    yoke_progress(1, 1);
    nap(3600 * YOKE_S);
    return 0;
}

/* With retries there are no large results: those that are held keep the arenas of dead workers, and without one a
 * worker fails the job, again and again. */
static yoke_future *submit_one(yoke_executor *ex, long i, unsigned retries)
{
    static int32_t numbers[LARGE] = {1}; /* must stay as they are until the job has ended */
    switch (i % 4) {
    case 0: return yoke_opt_submit(ex, (retries = retries, backoff = YOKE_US), add, i, 7);
    case 1: return retries ? yoke_opt_submit(ex, (retries = retries, backoff = YOKE_US), add, i, 0)
                           : yoke_submit(ex, letters, i);
    case 2: return yoke_opt_submit(ex, (retries = retries, backoff = YOKE_US), sum,
                                   yoke_1d(yoke_in_i32, numbers, LARGE));
    default: return yoke_opt_submit(ex, (retries = retries, backoff = YOKE_US), dozes, i);
    }
}

/* The job's code; a value must be right, an error must say what killed the worker. */
static int check_one(yoke_future *f, long i)
{
    long v = -1;
    yoke_str s = {NULL, 0};
    int err = f->task == &yoke_task_letters ? yoke_try(f, &s) : yoke_try(f, &v);
    /* A worker has no arena while results that are still held keep those of too many dead ones. */
    if (err == -ENOMEM && i % 4 == 1) {
        CHECK_HAS(yoke_error(f), "memory");
        return err;
    }
    if (err < 0) {
        CHECK_INT(err, -EOWNERDEAD);
        CHECK_HAS(yoke_error(f), "killed by signal 9, SIGKILL");
        CHECK_INT(f->cause, SIGKILL);
        return err;
    }
    switch (i % 4) {
    case 0: CHECK_INT(v, i + 7); break;
    case 1:
        if (f->task == &yoke_task_add) {
            CHECK_INT(v, i);
            break;
        }
        CHECK_INT(s.len, LARGE);
        CHECK(s.ptr[0] == 'a' + i % 26 && memcmp(s.ptr, s.ptr + 1, LARGE - 1) == 0);
        break;
    case 2: CHECK_INT(v, 1); break;
    default: CHECK_INT(v, i); break;
    }
    return 0;
}

/* ---- Who kills ---- */

/* A process: its number alone may be another's soon, as thousands come and go here. */
typedef struct person {
    pid_t pid, parent;
    char state;
    unsigned long long born; /* in the kernel's ticks */
} person;

/* False when there is none. */
static bool look_up(pid_t pid, person *ret)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    const char *after = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    int parent;
    *ret = (person){.pid = pid};
    if (!after || sscanf(after + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                         &ret->state, &parent, &ret->born) != 3)
        return false;
    ret->parent = parent;
    return true;
}

static bool is_gone(const person *who)
{
    person now;
    return !look_up(who->pid, &now) || now.born != who->born || now.state == 'Z' || now.state == 'X';
}

static bool goes(const person *who)
{
    for (int64_t end = yoke_now() + 60 * YOKE_S; !is_gone(who) && yoke_now() < end;)
        nap(YOKE_MS);
    return is_gone(who);
}

typedef struct killer {
    yk_processes *pool;
    _Atomic bool stop;
    unsigned seed, longest_us;
    unsigned zygote_share; /* of a hundred kills */
    _Atomic unsigned workers, zygotes;
    person seen[PIDS];
    unsigned nseen;
} killer;

static pid_t some_worker(killer *k)
{
    yk_processes *p = k->pool;
    yk_mutex_lock(&p->lock);
    const yk_clerk *c = &p->clerks[(unsigned)rand_r(&k->seed) % p->base.width];
    pid_t pid = c->state == YK_PRESENT ? c->pid : 0;
    yk_mutex_unlock(&p->lock);
    return pid;
}

static void *kills(void *arg)
{
    killer *k = arg;
    while (!atomic_load(&k->stop)) {
        nap((int64_t)((unsigned)rand_r(&k->seed) % k->longest_us) * YOKE_US);
        pid_t pid = some_worker(k);
        person worker, parent;
        if (pid == 0 || !look_up(pid, &worker))
            continue;
        if (k->nseen < PIDS)
            k->seen[k->nseen++] = worker;
        bool zygote = (unsigned)rand_r(&k->seed) % 100 < k->zygote_share;
        /* Only a zygote that is still our child: an orphan's parent is somebody else. */
        if (zygote && (!look_up(worker.parent, &parent) || parent.parent != getpid()))
            continue;
        kill(zygote ? worker.parent : pid, SIGKILL);
        *(zygote ? &k->zygotes : &k->workers) += 1;
    }
    return NULL;
}

/* ---- What is left ---- */

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1000; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static int memory_files(void)
{
    char line[1000];
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f))
        n += strstr(line, "memfd:yoke") != NULL;
    fclose(f);
    return n;
}

static void check_nothing_left(const killer *k, int fds_before)
{
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK_INT(descriptors(), fds_before);
    CHECK_INT(memory_files(), 0);
    for (unsigned i = 0; i < k->nseen; i++)
        if (!goes(&k->seen[i]))
            test_fail(__FILE__, __LINE__, "worker %d lives on", (int)k->seen[i].pid);
}

static unsigned hooked(yk_processes *p)
{
    yk_mutex_lock(&p->lock);
    unsigned n = (unsigned)p->hooked;
    yk_mutex_unlock(&p->lock);
    return n;
}

static void check_pool_is_empty(yk_processes *p)
{
    while (hooked(p) > 0) /* who has ended the last job counts its hooks afterwards */
        nap(YOKE_MS);
    yk_mutex_lock(&p->lock);
    CHECK_INT(p->backlog_count, 0);
    CHECK_INT(p->in_flight, 0);
    CHECK_INT(p->timed, 0);
    CHECK_INT(p->arena.live, 0);
    for (unsigned i = 0; i < p->arena_count; i++)
        CHECK_INT(p->arena_books[i].held, 0);
    yk_mutex_unlock(&p->lock);
}

/* ---- The storm ---- */

enum { JOBS = 10000, WINDOW = 400 };
static _Atomic unsigned char ends[JOBS];
static yoke_future *futures[JOBS];

static void count_end(yoke_future *f, void *arg)
{
    atomic_fetch_add((_Atomic unsigned char *)arg, 1);
}

static void ignore(const char *text, void *arg)
{
}

static void storm(const char *uri, unsigned zygote_share, unsigned longest_us, unsigned retries)
{
    yoke_on_lost_error(ignore, NULL);
    int fds = descriptors();
    yoke_executor *ex = yoke_open(uri);
    CHECK_INT(yoke_executor_status(ex), 0);
    static killer k;
    k = (killer){.pool = (yk_processes *)(void *)ex, .seed = (unsigned)test_random(), .longest_us = longest_us,
                 .zygote_share = zygote_share};
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, kills, &k), 0);
    unsigned lost = 0, refused = 0;
    for (long i = 0; i < JOBS + WINDOW; i++) {
        if (i < JOBS) {
            futures[i] = submit_one(ex, i, retries);
            CHECK_INT(yoke_then(futures[i], count_end, &ends[i]), 0);
        }
        if (i < WINDOW)
            continue;
        int err = check_one(futures[i - WINDOW], i - WINDOW);
        lost += err == -EOWNERDEAD;
        refused += err == -ENOMEM;
        yoke_release(futures[i - WINDOW]);
    }
    while (k.workers + k.zygotes == 0) /* it may have come late */
        nap(YOKE_MS);
    atomic_store(&k.stop, true);
    pthread_join(t, NULL);
    printf("# %u workers and %u zygotes killed: %u of %d jobs lost, %u without memory\n", k.workers, k.zygotes, lost,
           JOBS, refused);
    CHECK(lost <= k.workers + k.zygotes * yoke_executor_width(ex));
    CHECK(retries == 0 || lost + refused == 0);
    check_pool_is_empty((yk_processes *)(void *)ex);
    yoke_close(ex);
    for (int i = 0; i < JOBS; i++)
        CHECK_INT(ends[i], 1);
    check_nothing_left(&k, fds);
}

TEST_LIMIT(workers_are_killed, 300) { storm("processes:3", 0, 4000, 0); }
TEST_LIMIT(zygotes_are_killed, 300) { storm("processes:3", 100, 60000, 0); }
TEST_LIMIT(both_are_killed, 300) { storm("processes:2", 10, 8000, 0); }
TEST_LIMIT(the_only_worker_is_killed, 300) { storm("processes:1", 5, 8000, 0); }
TEST_LIMIT(with_retries_none_is_lost, 300) { storm("processes:3", 5, 6000, 50); }

/* Closed in the middle of it, again and again: it comes to an end, and nothing stays. */
TEST_LIMIT(closed_in_the_storm, 300)
{
    yoke_on_lost_error(ignore, NULL);
    int fds = descriptors();
    static killer k;
    for (int round = 0; round < 20; round++) {
        yoke_executor *ex = yoke_open("processes:2");
        CHECK_INT(yoke_executor_status(ex), 0);
        k = (killer){.pool = (yk_processes *)(void *)ex, .seed = (unsigned)test_random(), .longest_us = 3000,
                     .zygote_share = 20};
        pthread_t t;
        CHECK_INT(pthread_create(&t, NULL, kills, &k), 0);
        for (long i = 0; i < 300; i++)
            yoke_release(submit_one(ex, i, 0));
        nap((int64_t)(test_random() % 10000) * YOKE_US);
        atomic_store(&k.stop, true);
        pthread_join(t, NULL);
        round % 2 ? yoke_close(ex) : yoke_close_now(ex);
        check_nothing_left(&k, fds);
    }
}

/* ---- Children that tasks have made ---- */

enum victim { THE_WORKER, THE_ZYGOTE, BY_TIMEOUT, BY_CLOSE };

/* False when the task was out of time before it had made its children. */
static bool children_of_a_task(enum victim victim, int64_t timeout)
{
    enum { CHILDREN = 3 };
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    int64_t *pids = yoke_shared_alloc(ex, CHILDREN * sizeof *pids);
    person children[CHILDREN];
    CHECK(pids != NULL);
    memset(pids, 0, CHILDREN * sizeof *pids);
    yoke_future *f = yoke_opt_submit(ex, (timeout = timeout), waits_with_a_child, yoke_1d(yoke_out_i64, pids, CHILDREN),
                                     CHILDREN);
    for (double done = 0, total; done == 0 && !yoke_done(f);)
        yoke_future_progress(f, &done, &total);
    bool all = true, alive;
    for (int i = 0; i < CHILDREN; i++) {
        children[i].pid = (pid_t)((volatile int64_t *)pids)[i];
        alive = children[i].pid > 0 && look_up(children[i].pid, &children[i]);
        CHECK(alive || victim == BY_TIMEOUT);
        all &= alive;
    }
    person worker = {0};
    yk_mutex_lock(&p->lock);
    pid_t pid = p->clerks[0].pid;
    yk_mutex_unlock(&p->lock);
    CHECK(victim == BY_TIMEOUT || look_up(pid, &worker));
    if (victim == THE_WORKER || victim == THE_ZYGOTE)
        kill(victim == THE_WORKER ? pid : worker.parent, SIGKILL);
    if (victim != BY_CLOSE)
        CHECK_INT(yoke_wait(f), victim == BY_TIMEOUT ? -ETIMEDOUT : -EOWNERDEAD);
    else
        yoke_close_now(ex);
    for (int i = 0; i < CHILDREN && all; i++)
        if (!goes(&children[i]))
            test_fail(__FILE__, __LINE__, "child %d of the task lives on", (int)children[i].pid);
    if (victim == BY_CLOSE)
        return all;
    yoke_shared_free(ex, pids);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    yoke_close(ex);
    return all;
}

TEST(children_die_with_the_worker) { CHECK(children_of_a_task(THE_WORKER, 0)); }
TEST(children_die_with_the_zygote) { CHECK(children_of_a_task(THE_ZYGOTE, 0)); }
TEST(children_die_at_close) { CHECK(children_of_a_task(BY_CLOSE, 0)); }
TEST(children_die_of_the_timeout)
{
    for (int64_t timeout = 300 * YOKE_MS; !children_of_a_task(BY_TIMEOUT, timeout); timeout *= 2)
        ;
}
