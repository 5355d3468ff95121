/* open.c - opening and closing: each system call on the way fails once, and nothing remains; limits; idleness. */
#include "process/pool.h"
#include "test.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK(void, naps, (int64_t, duration))
{
    struct timespec t = {duration / YOKE_S, duration % YOKE_S};
    nanosleep(&t, NULL);
}

YOKE_TASK(yoke_str, letters, (size_t, n))
{
    char *p = yoke_alloc(n);
    if (p)
        memset(p, 'a', n);
    else
        yoke_fail(ENOMEM, "no memory");
    return (yoke_str){p, p ? n : 0};
}

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

static void ignore(const char *text, void *arg)
{
}

/* ---- What is left ---- */

typedef struct inventory {
    int descriptors, memory_files, threads;
} inventory;

static int lines_with(const char *path, const char *part)
{
    char line[1000];
    int count = 0;
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f))
        count += strstr(line, part) != NULL;
    fclose(f);
    return count;
}

static inventory take_inventory(void)
{
    inventory v = {0, lines_with("/proc/self/maps", "memfd:yoke"), 0};
    for (int fd = 0; fd < 1000; fd++)
        v.descriptors += fcntl(fd, F_GETFD) != -1;
    char line[200];
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "Threads:", 8) == 0)
            v.threads = (int)strtol(line + 8, NULL, 10);
    fclose(f);
    return v;
}

static void check_nothing_left(inventory before)
{
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    inventory now = take_inventory();
    CHECK_INT(now.descriptors, before.descriptors);
    CHECK_INT(now.memory_files, before.memory_files);
#ifndef __SANITIZE_THREAD__ /* which has a thread of its own, sooner or later */
    for (; now.threads > before.threads; now = take_inventory()) /* a joined thread may take a moment to vanish */
        nap(YOKE_MS);
    CHECK_INT(now.threads, before.threads);
#endif
}

TEST(nothing_is_left)
{
    inventory before = take_inventory();
    for (int i = 0; i < 5; i++) {
        yoke_executor *ex = yoke_open("processes:3");
        CHECK(take_inventory().memory_files > before.memory_files);
        CHECK_INT(yoke_await(yoke_submit(ex, add, 1, i), long), 1 + i);
        yoke_close(ex);
        check_nothing_left(before);
    }
}

TEST(nothing_is_left_with_work_in_flight)
{
    yoke_on_lost_error(ignore, NULL);
    inventory before = take_inventory();
    for (int i = 0; i < 5; i++) {
        yoke_executor *ex = yoke_open("processes:2");
        for (int j = 0; j < 300; j++)
            yoke_release(j % 10 ? yoke_submit(ex, add, 1, j) : yoke_submit(ex, naps, 3600 * YOKE_S));
        yoke_close_now(ex); /* or it would take 15 hours */
        check_nothing_left(before);
    }
}

/* ---- Failures ---- */

static bool use(int *opened)
{
    yoke_executor *ex = yoke_open("processes:2");
    bool ok = yoke_executor_status(ex) == 0;
    *opened = ok;
    if (!ok)
        CHECK(yoke_executor_error(ex)[0] != '\0');
    yoke_future *f = yoke_submit(ex, add, 20, 22), *g = yoke_submit(ex, letters, 5000);
    long v = 0;
    yoke_str s;
    int err = yoke_try(f, &v);
    CHECK(err < 0 || v == 42);
    ok &= err == 0;
    err = yoke_try(g, &s);
    CHECK(err < 0 || (s.len == 5000 && s.ptr[4999] == 'a'));
    ok &= err == 0;
    yoke_close(ex);
    return ok;
}

static void fail_each(const char *call, int error)
{
    yoke_on_lost_error(ignore, NULL);
    int opened;
    CHECK(use(&opened));
    inventory before = take_inventory();
    int n = 1, refused = 0, survived = 0;
    for (bool done = false; !done; n++) {
        CHECK(n < 60);
        yk_sys_fail(call, n, error);
        bool ok = use(&opened);
        int calls = yk_sys_fail(call, 0, 0);
        done = calls < n && ok; /* calls in the workers are not counted here, but they fail too */
        refused += !opened;
        survived += ok && !done;
        check_nothing_left(before);
    }
    CHECK(n > 2); /* or the call is not used at all */
    printf("# %s: %d calls; %d times not opened, %d times no harm\n", call, n - 2, refused, survived);
}

TEST_LIMIT(memfd_create_fails, 300) { fail_each("memfd_create", EMFILE); }
TEST_LIMIT(ftruncate_fails, 300) { fail_each("ftruncate", ENOSPC); }
TEST_LIMIT(mmap_fails, 300) { fail_each("mmap", ENOMEM); }
TEST_LIMIT(socketpair_fails, 300) { fail_each("socketpair", EMFILE); }
TEST_LIMIT(fork_fails, 300) { fail_each("fork", EAGAIN); }
TEST_LIMIT(sendmsg_fails, 300) { fail_each("sendmsg", ENOBUFS); }
TEST_LIMIT(recvmsg_fails, 300) { fail_each("recvmsg", ENOMEM); }
TEST_LIMIT(eventfd_fails, 300) { fail_each("eventfd", EMFILE); }
TEST_LIMIT(poll_fails, 300) { fail_each("poll", ENOMEM); }
TEST_LIMIT(pidfd_open_fails, 300) { fail_each("pidfd_open", ENOSYS); }
TEST_LIMIT(posix_memalign_fails, 300) { fail_each("posix_memalign", ENOMEM); }
TEST_LIMIT(calloc_fails, 300) { fail_each("calloc", ENOMEM); }
TEST_LIMIT(malloc_fails, 300) { fail_each("malloc", ENOMEM); }
TEST_LIMIT(pthread_create_fails, 300) { fail_each("pthread_create", EAGAIN); }

#ifndef __SANITIZE_THREAD__ /* the table of calls is changed while threads use it */
static pid_t zygote_of(yk_processes *p)
{
    yk_mutex_lock(&p->lock);
    pid_t pid = p->zygote;
    yk_mutex_unlock(&p->lock);
    return pid;
}

static void await_another_zygote(yk_processes *p, pid_t old)
{
    for (pid_t pid = old; pid == old || pid == 0; pid = zygote_of(p))
        nap(YOKE_MS);
}

/* The same while it runs: a supervisor that cannot hear the zygote takes another. */
TEST(hearing_fails)
{
    yoke_on_lost_error(ignore, NULL);
    inventory before = take_inventory();
    yoke_executor *ex = yoke_open("processes:2");
    yk_processes *p = (yk_processes *)(void *)ex;
    for (int i = 0; i < 5; i++) {
        for (long v = 0; v != 3;)
            CHECK(yoke_try(yoke_submit(ex, add, 1, 2), &v) >= -EOWNERDEAD);
        while (p->clerks[0].state != YK_PRESENT || p->clerks[1].state != YK_PRESENT)
            nap(YOKE_MS);
        pid_t deaf = zygote_of(p);
        yk_sys_fail("recvmsg", 1, ENOMEM);
        kill(p->clerks[0].pid, SIGKILL);
        await_another_zygote(p, deaf);
        CHECK(yk_sys_fail("recvmsg", 0, 0) >= 1);
    }
    CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 3), add, 1, 2), long), 3);
    yoke_close(ex);
    check_nothing_left(before);
}

/* Without a new zygote nobody can run jobs: they fail, and as soon as there can be one again, they run. */
TEST(no_second_zygote)
{
    yoke_on_lost_error(ignore, NULL);
    inventory before = take_inventory();
    for (int with_fork = 0; with_fork < 2; with_fork++) {
        yoke_executor *ex = yoke_open("processes:2");
        yk_processes *p = (yk_processes *)(void *)ex;
        CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
        yk_sys_fail(with_fork ? "fork" : "socketpair", 1, EAGAIN);
        pid_t old = zygote_of(p);
        kill(old, SIGKILL);
        while (zygote_of(p) == old)
            nap(YOKE_MS);
        yoke_future *f = yoke_submit(ex, add, 1, 2); /* while there is none, or soon after */
        int err = yoke_wait(f);
        CHECK(err == 0 || err == -EAGAIN || err == -EOWNERDEAD);
        await_another_zygote(p, old);
        CHECK(yk_sys_fail("fork", 0, 0) >= 1);
        CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 3, backoff = YOKE_S), add, 1, 2), long), 3);
        yoke_close(ex);
        check_nothing_left(before);
    }
}

#endif

/* ---- Limits ---- */

TEST(no_descriptors_left)
{
    inventory before = take_inventory();
    for (rlim_t more = 0; more < 8; more++) {
        struct rlimit old, few;
        CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
        few = old;
        few.rlim_cur = (rlim_t)before.descriptors + more;
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
        int opened;
        bool ok = use(&opened);
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
        CHECK(ok || more < 7);
        check_nothing_left(before);
    }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(little_address_space)
{
    struct rlimit old, little;
    CHECK_INT(getrlimit(RLIMIT_AS, &old), 0);
    bool refused = false, opened = false;
    for (size_t mib = 64; mib <= 8192; mib *= 2) {
        little = old;
        little.rlim_cur = mib << 20;
        CHECK_INT(setrlimit(RLIMIT_AS, &little), 0);
        yoke_executor *ex = yoke_open("processes:2");
        int status = yoke_executor_status(ex);
        if (status < 0) {
            CHECK(!opened);
            CHECK_INT(status, -ENOMEM);
            CHECK_HAS(yoke_executor_error(ex), "ulimit -v");
            refused = true;
        } else {
            opened = true;
            CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 1), long), 2);
        }
        yoke_close(ex);
        CHECK_INT(setrlimit(RLIMIT_AS, &old), 0);
    }
    CHECK(refused && opened);
}
#endif

/* How much slower than usual things are here. */
static int64_t slower(void)
{
    const char *text = getenv("TEST_TIME_SCALE");
    int64_t scale = text ? strtol(text, NULL, 10) : 1;
    return scale > 0 ? scale : 1;
}

static int64_t cpu_time(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * YOKE_S + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * YOKE_US;
}

static int64_t cpu_time_of(pid_t pid)
{
    char path[64], line[1000];
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    int64_t ns = fgets(line, sizeof line, f) ? strtoll(line, NULL, 10) : 0;
    fclose(f);
    return ns;
}

enum { TRIES = 30 }; /* of what may be disturbed: by who has still to fall asleep, by pages that come late */

/* Nobody does anything when there is nothing to do, though a result lies there that nobody has looked at. */
TEST(idle_costs_nothing)
{
    yoke_executor *ex = yoke_open("processes:2");
    yk_processes *p = (yk_processes *)(void *)ex;
    yoke_future *f = yoke_opt_submit(ex, (timeout = YOKE_MS), add, 1, 2);
    for (int i = 0; i < 100; i++)
        CHECK_INT(yoke_await(yoke_submit(ex, add, i, 1), long), i + 1);
    while (p->clerks[0].state != YK_PRESENT || p->clerks[1].state != YK_PRESENT)
        nap(YOKE_MS);
    pid_t a = p->clerks[0].pid, b = p->clerks[1].pid, z = p->zygote;
    int64_t spent = YOKE_FOREVER;
    for (int i = 0; i < TRIES && spent >= 10 * YOKE_MS * slower(); i++) {
        int64_t before = cpu_time() + cpu_time_of(a) + cpu_time_of(b) + cpu_time_of(z);
        nap(500 * YOKE_MS);
        spent = cpu_time() + cpu_time_of(a) + cpu_time_of(b) + cpu_time_of(z) - before;
        printf("# %.0f us of CPU in 0.5 s\n", spent / 1e3);
    }
    CHECK(spent < 10 * YOKE_MS * slower());
    int err = yoke_wait(f); /* out of time if the worker was kept from running */
    CHECK(err == 0 || err == -ETIMEDOUT);
    yoke_close(ex);
}

/* Nor while a long job runs that somebody waits for, with others queued behind it. */
TEST(waiting_costs_nothing)
{
    yoke_executor *ex = yoke_open("processes:1");
    int64_t spent = YOKE_FOREVER;
    for (int i = 0; i < TRIES && spent >= 20 * YOKE_MS * slower(); i++) {
        yoke_future *f = yoke_submit(ex, naps, 600 * YOKE_MS), *g = yoke_submit(ex, add, 1, 1);
        int64_t before = cpu_time();
        CHECK_INT(yoke_wait(f), 0);
        spent = cpu_time() - before;
        CHECK_INT(yoke_wait(g), 0);
        yoke_release(f);
        yoke_release(g);
    }
    CHECK(spent < 20 * YOKE_MS * slower());
    yoke_close(ex);
}

TEST(task_registered_too_late)
{
    yoke_executor *ex = yoke_open("processes:1");
    static yoke_task late;
    late = yoke_task_add;
    late.name = "late";
    late.info = NULL;
    yoke_register(&late);
    struct yoke_args_add args = {1, 2};
    yoke_future *f = yoke_raw_submit(ex, &late, &args, NULL);
    CHECK_INT(yoke_wait(f), -ENOENT);
    CHECK_HAS(yoke_error(f), "late was loaded after the executor was opened");
    yoke_executor *next = yoke_open("processes:1");
    CHECK_INT(yoke_await(yoke_raw_submit(next, &late, &args, NULL), long), 3);
    yoke_close(next);
    yoke_close(ex);
}

TEST_LIMIT(many_workers, 300)
{
    inventory before = take_inventory();
    yoke_executor *ex = yoke_open("processes:64");
    CHECK_INT(yoke_executor_width(ex), 64);
    static yoke_future *fs[2000];
    for (int i = 0; i < 2000; i++)
        fs[i] = yoke_submit(ex, add, i, i);
    for (int i = 0; i < 2000; i++)
        CHECK_INT(yoke_await(fs[i], long), 2 * i);
    yoke_close(ex);
    check_nothing_left(before);
}
