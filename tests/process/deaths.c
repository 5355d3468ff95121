/* deaths.c - workers die in every way there is: only the job that ran is lost, its error says how, and the pool goes on. The
 * zygote dies, the program dies; jobs run out of time; and nobody else ever pays for it. */
#include "process/pool.h"
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

enum { BY_KILL, BY_FAULT, BY_ABORT, BY_EXIT_0, BY_EXIT_3, BY_RAW_EXIT, BY_STACK, BY_FPE, BY_TERM, BY_PIPE };

static volatile int sink;

static volatile char first;
static volatile uintptr_t nowhere = 8; /* the compiler must not see it */

static int deep(volatile char *outer, int n)
{
    volatile char here[4096];
    here[0] = outer[0];
    here[4095] = (char)n;
    return n == 0 ? 0 : deep(here, n + 1) + here[4095];
}

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK(int, die, (int, how), (unsigned, attempts))
{
    if (yoke_attempt() > attempts)
        return how;
    switch (how) {
    case BY_KILL: raise(SIGKILL); break;
    case BY_FAULT: *(volatile int *)nowhere = 1; break;
    case BY_ABORT: abort();
    case BY_EXIT_0: exit(0);
    case BY_EXIT_3: exit(3);
    case BY_RAW_EXIT: _exit(7);
    case BY_STACK: sink = deep(&first, 1); break;
    case BY_FPE: raise(SIGFPE); break;
    case BY_TERM: raise(SIGTERM); break;
    case BY_PIPE: raise(SIGPIPE); break;
    }
    return -1;
}

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

YOKE_TASK(int64_t, sleeps, (int64_t, duration))
{
    nap(duration);
    return duration;
}

YOKE_TASK(bool, until_cancelled, (int64_t, longest))
{
    int64_t end = yoke_now() + longest;
    yoke_progress(1, 1);
    while (yoke_now() < end) {
        if (yoke_cancelled())
            return true;
        nap(YOKE_MS / 2);
    }
    return false;
}

YOKE_TASK(long, worker_pid)
{
    return getpid();
}

YOKE_TASK(long, zygote_pid)
{
    return getppid();
}

YOKE_TASK(void, leaves_a_child, (yoke_out_i64, pid))
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    pid.ptr[0] = child;
    raise(SIGKILL);
}

YOKE_TASK(void, fills, (yoke_out_i32, x), (int64_t, pause))
{
    for (size_t i = 0; i < x.shape[0]; i++)
        x.ptr[i] = 1;
    nap(pause);
}

/* True when the process has ended, buried or not. */
static bool is_gone(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return true;
    bool dead = true; /* buried between the open and the read, which fails then */
    if (fgets(line, sizeof line, f)) {
        const char *after = strrchr(line, ')');
        dead = after && (after[2] == 'Z' || after[2] == 'X');
    }
    fclose(f);
    return dead;
}

static bool goes(pid_t pid)
{
    int64_t end = yoke_now() + 60 * YOKE_S;
    while (!is_gone(pid) && yoke_now() < end)
        nap(YOKE_MS);
    return is_gone(pid);
}

static void ignore(const char *text, void *arg)
{
}

/* Until a job of until_cancelled() runs. */
static void await_start(yoke_future *f)
{
    for (double begun = 0, total; begun == 0; nap(100 * YOKE_US))
        yoke_future_progress(f, &begun, &total);
}

/* ---- Each way to die ---- */

static void check_death(int how, const char *text, int cause)
{
    yoke_executor *ex = yoke_open("processes:1");
    CHECK_INT(yoke_executor_status(ex), 0);
    long pid = yoke_await(yoke_submit(ex, worker_pid), long);
    yoke_future *f = yoke_submit(ex, die, how, 99);
    yoke_future *behind[20];
    for (int i = 0; i < 20; i++)
        behind[i] = yoke_submit(ex, add, i, 1);
    CHECK_INT(yoke_wait(f), -EOWNERDEAD);
    CHECK_HAS(yoke_error(f), text);
    CHECK_HAS(yoke_error(f), "die: ");
    CHECK_HAS(yoke_error(f), "(deaths.c:");
    char who[40];
    snprintf(who, sizeof who, "(pid %ld)", pid);
    CHECK_HAS(yoke_error(f), who);
    CHECK_INT(f->cause, cause);
    for (int i = 0; i < 20; i++)
        CHECK_INT(yoke_await(behind[i], long), i + 1);
    CHECK(yoke_await(yoke_submit(ex, worker_pid), long) != pid);
    CHECK(is_gone((pid_t)pid));
    yoke_close(ex);
}

TEST(death_by_kill) { check_death(BY_KILL, "killed by signal 9, SIGKILL (Killed)", SIGKILL); }
TEST(death_by_fault) { check_death(BY_FAULT, "killed by signal 11, SIGSEGV (Segmentation fault)", SIGSEGV); }
TEST(death_by_abort) { check_death(BY_ABORT, "killed by signal 6, SIGABRT", SIGABRT); }
TEST(death_by_exit_0) { check_death(BY_EXIT_0, "called exit(0)", 256); }
TEST(death_by_exit_3) { check_death(BY_EXIT_3, "called exit(3)", 256 + 3); }
TEST(death_by_raw_exit) { check_death(BY_RAW_EXIT, "called exit(7)", 256 + 7); }
TEST(death_by_stack) { check_death(BY_STACK, "SIGSEGV", SIGSEGV); }
TEST(death_by_fpe) { check_death(BY_FPE, "SIGFPE", SIGFPE); }
TEST(death_by_term) { check_death(BY_TERM, "SIGTERM", SIGTERM); }
TEST(death_by_pipe) { check_death(BY_PIPE, "SIGPIPE", SIGPIPE); }

/* The program's own handlers and masks do not reach the workers. */
TEST(death_despite_the_programs_signals)
{
    signal(SIGSEGV, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    check_death(BY_TERM, "SIGTERM", SIGTERM);
    check_death(BY_FAULT, "SIGSEGV", SIGSEGV);
}

TEST(loss_is_retried)
{
    yoke_executor *ex = yoke_open("processes:2");
    for (int how = BY_KILL; how <= BY_PIPE; how++) {
        yoke_future *f = yoke_opt_submit(ex, (retries = 2, backoff = YOKE_MS), die, how, 2);
        CHECK_INT(yoke_await(f, int), how);
        CHECK_INT(f->attempt, 3);
    }
    yoke_future *f = yoke_opt_submit(ex, (retries = 1, backoff = YOKE_MS), die, BY_KILL, 2);
    CHECK_INT(yoke_wait(f), -EOWNERDEAD);
    yoke_close(ex);
}

TEST(others_are_unharmed)
{
    yoke_executor *ex = yoke_open("processes:2");
    enum { N = 600 };
    static yoke_future *fs[N];
    for (int i = 0; i < N; i++)
        fs[i] = i % 50 == 25 ? yoke_submit(ex, die, i / 50 % 10, 99) : yoke_submit(ex, add, i, i);
    for (int i = 0; i < N; i++) {
        if (i % 50 == 25)
            CHECK_INT(yoke_wait(fs[i]), -EOWNERDEAD);
        else
            CHECK_INT(yoke_await(fs[i], long), 2 * i);
    }
    yoke_close(ex);
}

TEST(idle_worker_killed)
{
    yoke_executor *ex = yoke_open("processes:1");
    for (int i = 0; i < 20; i++) {
        pid_t pid = (pid_t)yoke_await(yoke_submit(ex, worker_pid), long);
        kill(pid, SIGKILL);
        CHECK(goes(pid));
        CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 1), add, i, 2), long), i + 2);
    }
    yoke_close(ex);
}

TEST(a_tasks_children_die_with_it)
{
    yoke_executor *ex = yoke_open("processes:1");
    int64_t *pid = yoke_shared_alloc(ex, sizeof *pid);
    *pid = 0;
    CHECK_INT(yoke_wait(yoke_submit(ex, leaves_a_child, yoke_1d(yoke_out_i64, pid, 1))), -EOWNERDEAD);
    CHECK(*pid > 0);
    CHECK(goes((pid_t)*pid));
    yoke_shared_free(ex, pid);
    yoke_close(ex);
}

/* ---- The zygote, the program ---- */

TEST(zygote_killed)
{
    yoke_executor *ex = yoke_open("processes:2");
    for (int i = 0; i < 5; i++) {
        pid_t zygote = (pid_t)yoke_await(yoke_submit(ex, zygote_pid), long);
        yoke_future *running = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
        await_start(running);
        kill(zygote, SIGKILL);
        CHECK_INT(yoke_wait(running), -EOWNERDEAD);
        CHECK_INT(yoke_await(yoke_submit(ex, add, 40, 2), long), 42);
        CHECK(yoke_await(yoke_submit(ex, zygote_pid), long) != zygote);
    }
    yoke_close(ex);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

TEST(program_killed)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    pid_t program = fork();
    if (program == 0) {
        yoke_executor *ex = yoke_open("processes:2");
        long pids[3] = {yoke_await(yoke_submit(ex, zygote_pid), long), yoke_await(yoke_submit(ex, worker_pid), long), 0};
        yk_processes *p = (yk_processes *)(void *)ex;
        for (int i = 0; i < 2; i++)
            while (p->clerks[i].pid == 0)
                nap(YOKE_MS);
        pids[1] = p->clerks[0].pid;
        pids[2] = p->clerks[1].pid;
        yoke_submit(ex, sleeps, 3600 * YOKE_S);
        CHECK(write(ends[1], pids, sizeof pids) == (ssize_t)sizeof pids);
        pause();
        _exit(0);
    }
    long pids[3];
    CHECK(read(ends[0], pids, sizeof pids) == (ssize_t)sizeof pids);
    kill(program, SIGKILL);
    waitpid(program, NULL, 0);
    for (int i = 0; i < 3; i++)
        CHECK(goes((pid_t)pids[i]));
}

static void *opens(void *arg)
{
    *(yoke_executor **)arg = yoke_open("processes:1");
    return NULL;
}

/* The signal for the parent's death comes when the creating *thread* ends; workers must not go with that. */
TEST(opened_by_a_thread_that_ends)
{
    pthread_t t;
    yoke_executor *ex;
    pthread_create(&t, NULL, opens, &ex);
    pthread_join(t, NULL);
    nap(20 * YOKE_MS);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    yoke_close(ex);
}

static void *reads_stdin(void *arg)
{
    while (getchar() != EOF)
        ;
    return NULL;
}

TEST(opens_while_a_thread_reads_stdin)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    dup2(ends[0], 0);
    close(ends[0]);
    pthread_t t;
    pthread_create(&t, NULL, reads_stdin, NULL);
    nap(20 * YOKE_MS);
    yoke_executor *ex = yoke_open("processes:1");
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    yoke_close(ex);
    close(ends[1]);
    pthread_join(t, NULL);
}

TEST(buffered_output_is_printed_once)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    pid_t program = fork();
    if (program == 0) {
        dup2(ends[1], 1);
        printf("X");
        yoke_executor *ex = yoke_open("processes:1");
        yoke_wait(yoke_submit(ex, die, BY_EXIT_0, 99));
        yoke_wait(yoke_submit(ex, die, BY_EXIT_3, 99));
        yoke_close(ex);
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    char text[100];
    ssize_t n, len = 0;
    while ((n = read(ends[0], text + len, sizeof text - (size_t)len)) > 0)
        len += n;
    waitpid(program, NULL, 0);
    int count = 0;
    for (ssize_t i = 0; i < len; i++)
        count += text[i] == 'X';
    CHECK_INT(count, 1);
}

/* ---- Time ---- */

TEST(timeout_costs_only_its_job)
{
    yoke_executor *ex = yoke_open("processes:1");
    yoke_future *fs[40];
    for (int i = 0; i < 40; i++)
        fs[i] = i == 3 ? yoke_opt_submit(ex, (timeout = 30 * YOKE_MS), sleeps, 3600 * YOKE_S) : yoke_submit(ex, add, i, 1);
    CHECK_INT(yoke_wait(fs[3]), -ETIMEDOUT);
    CHECK_HAS(yoke_error(fs[3]), "sleeps: timed out after 0.03 s");
    for (int i = 0; i < 40; i++)
        if (i != 3)
            CHECK_INT(yoke_await(fs[i], long), i + 1);
    yoke_close(ex);
}

/* Jobs that end just when their time is up, with others right behind them: those others must never be hit. */
TEST_LIMIT(timeout_never_hits_the_next, 300)
{
    yoke_executor *ex = yoke_open("processes:1");
    enum { N = 150 };
    static yoke_future *timed[N], *others[N];
    for (int i = 0; i < N; i++) {
        int64_t time = YOKE_MS + (int64_t)(test_random() % 400) * YOKE_US;
        timed[i] = yoke_opt_submit(ex, (timeout = YOKE_MS + 200 * YOKE_US), sleeps, time);
        others[i] = yoke_submit(ex, sleeps, 100 * YOKE_US);
    }
    int lost = 0;
    for (int i = 0; i < N; i++) {
        int err = yoke_wait(timed[i]);
        CHECK(err == 0 || err == -ETIMEDOUT);
        lost += err != 0;
        CHECK_INT(yoke_wait(others[i]), 0);
    }
    printf("# %d of %d timed out\n", lost, N);
    yoke_close(ex);
}

TEST(timeout_is_retried)
{
    yoke_executor *ex = yoke_open("processes:1");
    yoke_future *f = yoke_opt_submit(ex, (timeout = 10 * YOKE_MS, retries = 2, backoff = YOKE_MS), sleeps, 3600 * YOKE_S);
    CHECK_INT(yoke_wait(f), -ETIMEDOUT);
    CHECK_INT(f->attempt, 3);
    yoke_close(ex);
}

/* True when it was met; on a busy machine even 100 ms may not be enough for an addition. */
static bool met_unseen(yoke_executor *ex, int64_t limit)
{
    int64_t deadline = yoke_now() + limit;
    yoke_future *f = yoke_opt_submit(ex, (deadline = deadline), add, 2, 2);
    while (yoke_now() <= deadline)
        nap(YOKE_MS);
    long v = 0;
    int err = yoke_try(f, &v);
    CHECK(err == 0 || err == -ETIMEDOUT);
    CHECK_INT(v, err == 0 ? 4 : 0);
    yoke_release(f);
    return err == 0;
}

TEST(deadline_met_though_nobody_looked)
{
    yoke_executor *ex = yoke_open("processes:1");
    for (int64_t limit = 100 * YOKE_MS; !met_unseen(ex, limit); limit *= 2)
        ;
    yoke_close(ex);
}

/* What the caller was told stays so, and his memory is left alone, whatever the worker does afterwards. */
TEST(deadline_is_final)
{
    yoke_executor *ex = yoke_open("processes:1");
    for (int i = 0; i < 30; i++) {
        int32_t *x = calloc(1000, sizeof *x);
        int64_t pause = 3 * YOKE_MS;
        yoke_future *f = yoke_opt_submit(ex, (deadline = yoke_now() + pause + 200 * YOKE_US * (i % 3)), fills,
                                         yoke_1d(yoke_out_i32, x, 1000), pause);
        int err = yoke_wait(f);
        CHECK(err == 0 || err == -ETIMEDOUT);
        const char *text = yoke_error(f);
        for (int j = 0; j < 1000; j++)
            CHECK_INT(x[j], err == 0);
        free(x); /* the address sanitizer sees who writes to it now */
        nap(5 * YOKE_MS);
        CHECK_INT(yoke_code(f), err);
        CHECK(yoke_error(f) == text);
        yoke_release(f);
    }
    yoke_close(ex);
}

TEST(cancel_reaches_only_its_job)
{
    yoke_executor *ex = yoke_open("processes:1");
    yoke_future *a = yoke_submit(ex, until_cancelled, 3600 * YOKE_S), *b = yoke_submit(ex, until_cancelled, 20 * YOKE_MS);
    await_start(a);
    CHECK_INT(yoke_cancel(a), -EINPROGRESS);
    CHECK(yoke_await(a, bool));
    CHECK(!yoke_await(b, bool));
    yoke_close(ex);
}

/* ---- A storm ---- */

typedef struct storm {
    yk_processes *pool;
    atomic_bool stop;
    int kills;
} storm;

static void *kills_workers(void *arg)
{
    storm *s = arg;
    unsigned seed = 1;
    while (!atomic_load(&s->stop)) {
        unsigned slot = (unsigned)rand_r(&seed) % s->pool->base.width;
        yk_mutex_lock(&s->pool->lock);
        if (s->pool->clerks[slot].state == YK_PRESENT) {
            kill(s->pool->clerks[slot].pid, SIGKILL);
            s->kills++;
        }
        yk_mutex_unlock(&s->pool->lock);
        nap((int64_t)(rand_r(&seed) % 2000) * YOKE_US);
    }
    return NULL;
}

static _Atomic int ends;

static void count_end(yoke_future *f, void *arg)
{
    atomic_fetch_add(&ends, 1);
}

TEST_LIMIT(storm, 300)
{
    enum { N = 100000, WINDOW = 500 };
    static yoke_future *fs[N];
    yoke_on_lost_error(ignore, NULL);
    storm s = {.pool = (yk_processes *)(void *)yoke_open("processes:3")};
    yoke_executor *ex = &s.pool->base;
    pthread_t t;
    pthread_create(&t, NULL, kills_workers, &s);
    int lost = 0, hooked = 0;
    for (int i = 0; i < N + WINDOW; i++) {
        if (i < N) {
            fs[i] = yoke_submit(ex, add, i, 7);
            if (i % 10 == 0 && yoke_then(fs[i], count_end, NULL) == 0)
                hooked++;
        }
        if (i < WINDOW)
            continue;
        long v = 0;
        int err = yoke_try(fs[i - WINDOW], &v);
        CHECK(err == 0 || err == -EOWNERDEAD);
        CHECK(err != 0 || v == i - WINDOW + 7);
        lost += err != 0;
        yoke_release(fs[i - WINDOW]);
    }
    atomic_store(&s.stop, true);
    pthread_join(t, NULL);
    int kills = s.kills;
    CHECK(lost <= kills);
    yoke_close(ex);
    CHECK_INT(ends, hooked);
    printf("# %d kills cost %d of %d jobs\n", kills, lost, N);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static pid_t pid_of(yk_processes *p, unsigned slot)
{
    yk_mutex_lock(&p->lock);
    pid_t pid = p->clerks[slot].pid;
    yk_mutex_unlock(&p->lock);
    return pid;
}

/* Without timeouts the supervisor looks at the clock once a minute: so many deaths in a row do not fit into the time limit
 * if as much as two of them wait for that. */
TEST(death_is_noticed_at_once)
{
    enum { N = 200 };
    static int64_t took[N];
    yoke_executor *ex = yoke_open("processes:1");
    for (int i = 0; i < N; i++) {
        yoke_future *f = yoke_submit(ex, until_cancelled, 3600 * YOKE_S);
        await_start(f);
        yk_processes *p = (yk_processes *)(void *)ex;
        int64_t start = yoke_now();
        kill(pid_of(p, 0), SIGKILL);
        CHECK_INT(yoke_wait(f), -EOWNERDEAD);
        took[i] = yoke_now() - start;
        yoke_release(f);
    }
    qsort(took, N, sizeof *took, by_time);
    printf("# from SIGKILL to the error: median %.0f us, p99 %.0f us\n", took[N / 2] / 1e3, took[N * 99 / 100] / 1e3);
    yoke_close(ex);
}
