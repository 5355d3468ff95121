/* backend_wait.c - how long poll() takes: deadlines, who wakes it, forks; and the threads that work is offloaded to. */
#include "child.h"
#include "mini.h"
#include <sys/time.h>

/* ---- Deadlines ---- */

BOTH(poll_ends_at_the_deadline)
{
    CHECK_INT(mini.t->poll(mini.b, 0), 0);
    CHECK_INT(mini.t->poll(mini.b, yoke_now() - YOKE_S), 0);
    for (int i = 0; i < 20; i++) {
        int64_t until = yoke_now() + (int64_t)(test_random() % (3 * YOKE_MS));
        while (yoke_now() < until) { /* a wake for no reason is allowed, one too late is not seen here */
            mini_turn(until);
        }
    }
}

static int pwait2_calls;
static int no_pwait2(int fd, struct epoll_event *e, int n, const struct timespec *timeout, const sigset_t *mask)
{
    pwait2_calls++;
    errno = ENOSYS;
    return -1;
}

TEST(epoll_without_pwait2)
{
    yk_sys.epoll_pwait2 = no_pwait2;
    mini_open(&yk_epoll_backend);
    for (int i = 0; i < 20; i++) {
        int64_t until = yoke_now() + (int64_t)(test_random() % (3 * YOKE_MS));
        CHECK_INT(mini.t->poll(mini.b, until), 0);
        CHECK(yoke_now() >= until); /* rounded up, so one call is enough */
    }
    CHECK_INT(pwait2_calls, 1);
    mini_close();
}

/* ---- Waking ---- */

BOTH(woken_before)
{
    for (int i = 0; i < 100; i++) {
        mini.t->wake(mini.b);
        mini.t->wake(mini.b);
        mini_turn(YOKE_FOREVER);
    }
}

enum { WAKERS = 4, WAKES = 5000 };
static _Atomic int wakes;

static void *wake_often(void *unused)
{
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&wakes, 1);
        mini.t->wake(mini.b);
        if (i % 64 == 0)
            usleep(10);
    }
    return unused;
}

/* Whatever was done before a wake is seen after the poll that it ends: none is lost, or this hangs. */
BOTH(woken_by_threads)
{
    pthread_t t[WAKERS];
    for (int i = 0; i < WAKERS; i++)
        CHECK_INT(pthread_create(&t[i], NULL, wake_often, NULL), 0);
    while (atomic_load(&wakes) < WAKERS * WAKES)
        mini_turn(YOKE_FOREVER);
    for (int i = 0; i < WAKERS; i++)
        pthread_join(t[i], NULL);
}

static _Atomic int turn_of; /* 0: the thread's, 1: the loop's */

static void *ping(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        while (atomic_load(&turn_of) != 0)
            sched_yield();
        atomic_store(&turn_of, 1);
        mini.t->wake(mini.b);
    }
    return unused;
}

BOTH(woken_each_time)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, ping, NULL), 0);
    for (int i = 0; i < 2000; i++) {
        while (atomic_load(&turn_of) != 1)
            mini_turn(YOKE_FOREVER);
        atomic_store(&turn_of, 0);
    }
    pthread_join(t, NULL);
}

static volatile sig_atomic_t signals;

static void wake_by_signal(int number)
{
    signals++;
    mini.t->wake(mini.b);
}

BOTH(woken_by_signals)
{
    struct sigaction a = {.sa_handler = wake_by_signal, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 500}, {0, 500}}, never = {0};
    CHECK_INT(sigaction(SIGALRM, &a, NULL), 0);
    CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int before = 0; signals < 500; before = signals)
        while (signals == before)
            mini_turn(YOKE_FOREVER);
    CHECK_INT(setitimer(ITIMER_REAL, &never, NULL), 0);
}

/* Signals that wake nobody: neither operations nor flows take harm. */
static void do_nothing(int number)
{
}

static void *write_slowly(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        if (write(*(int *)arg, &(char){(char)i}, 1) != 1)
            return arg;
        if (i % 10 == 0)
            usleep(100);
    }
    return NULL;
}

BOTH(interrupted)
{
    struct sigaction a = {.sa_handler = do_nothing};
    struct itimerval often = {{0, 200}, {0, 200}}, never = {0};
    int fds[2];
    void *failed;
    pthread_t t;
    sigset_t alarm;
    mini_tcp(fds);
    CHECK_INT(sigaction(SIGALRM, &a, NULL), 0);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    CHECK_INT(pthread_create(&t, NULL, write_slowly, &fds[1]), 0);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int got = 0; got < 2000;) {
        char buf[100];
        mop m = op_recv(fds[0], buf, sizeof buf, 0);
        int64_t n = mop_run(&m);
        CHECK(n > 0);
        for (int64_t k = 0; k < n; k++)
            CHECK_INT(buf[k], (char)got++);
    }
    CHECK_INT(setitimer(ITIMER_REAL, &never, NULL), 0);
    pthread_join(t, &failed);
    CHECK(!failed);
    mini_close_pair(fds);
}

/* ---- fork() ---- */

static int forked[2];
static mop pending;
static yk_flow *forked_flow;

static void tell_nobody(void *unused)
{
}

static void in_forked_child(void)
{
    char byte;
    mop m = op_recv(forked[0], &byte, 1, 0);
    CHECK_INT(mini.t->poll(mini.b, 0), -ECHILD);
    CHECK(mini.t->start(mini.b, &m.op));
    CHECK_INT(m.op.result, -ECHILD);
    mini.t->wake(mini.b);
    mini.t->forget(mini.b, forked[0]);
    mini.t->flow_close(forked_flow);
    mini.t->close(mini.b);
    const yk_backend_type *t = mini.t;
    mini_open(t); /* one of its own works */
    mini_pair(forked, SOCK_STREAM);
    m = op_recv(forked[0], &byte, 1, 0);
    mop_wait(&m);
    CHECK_INT(write(forked[1], "b", 1), 1);
    CHECK_INT(mop_end(&m), 1);
    mini_close_pair(forked);
    char name[] = "/tmp/yoke-forked-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    m = (mop){.op = {.kind = YK_OP_FSYNC, .fd = fd}};
    CHECK_INT(mop_run(&m), 0);
    close(fd);
    mini_close();
    _exit(33);
}

BOTH(forked_with_operations_pending)
{
    int flow[2];
    char byte = 0, buf[8];
    yk_flow *f;
    mini_pair(forked, SOCK_STREAM);
    mini_tcp(flow);
    CHECK_INT(mini.t->flow_open(mini.b, flow[0], &f), 0);
    CHECK_INT(mini.t->flow_recv(f, buf, 1), -EAGAIN);
    mop sync = {.op = {.kind = YK_OP_FSYNC, .fd = forked[0]}};
    mop_run(&sync); /* there is a thread of yk_offload() */
    pending = op_recv(forked[0], &byte, 1, 0);
    mop_wait(&pending);
    forked_flow = f;
    mini.t->flow_want(f, tell_nobody, NULL);
    CHECK_INT(write(flow[1], "before ", 7), 7);
    mini_turn(YOKE_FOREVER);
    pid_t pid = fork();
    if (pid == 0)
        in_forked_child();
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(WEXITSTATUS(status), 33);
    for (int i = 0; i < 3; i++)
        mini_turn(yoke_now() + YOKE_MS);
    CHECK(!pending.over);
    CHECK_INT(write(forked[1], "a", 1), 1);
    CHECK_INT(mop_end(&pending), 1);
    CHECK_INT(byte, 'a');
    CHECK_INT(mini.t->flow_recv(f, buf, sizeof buf), 7);
    CHECK_INT(write(flow[1], "flow", 4), 4);
    ssize_t n;
    while ((n = mini.t->flow_recv(f, buf, sizeof buf)) == -EAGAIN) {
        mini.t->flow_want(f, tell_nobody, NULL);
        mini_turn(YOKE_FOREVER);
    }
    CHECK_INT(n, 4);
    mini.t->flow_close(f);
    while (mini.t->under_way(mini.b) > 0)
        mini_turn(YOKE_FOREVER);
    close(flow[1]);
    mini_close_pair(forked);
}

/* ---- Offloading ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int inside;

static void work_at_gate(yk_op *op)
{
    atomic_fetch_add(&inside, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    op->result = (int64_t)op->len;
}

TEST(offloaded_in_threads)
{
    enum { N = 100 };
    static mop m[N];
    mini_open(&yk_epoll_backend);
    unsigned most = YK_MIN((unsigned)sysconf(_SC_NPROCESSORS_CONF) + 4, 32u);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < N; i++) {
        m[i].op.done = mop_done;
        m[i].op.len = (size_t)i;
        CHECK(!yk_offload(&m[i].op, work_at_gate));
    }
    unsigned threads = yk_offload_threads();
    CHECK(threads > 0 && threads <= most);
    while (atomic_load(&inside) < (int)threads)
        sched_yield();
    CHECK(!yk_offload_cancel(&m[0].op)); /* being done */
    CHECK(yk_offload_cancel(&m[N - 1].op));
    CHECK(!yk_offload_cancel(&m[N - 1].op));
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < N - 1; i++)
        CHECK_INT(mop_end(&m[i]), i);
    CHECK(!m[N - 1].over);
    CHECK_INT(atomic_load(&inside), N - 1);
    mini_close();
}

static void work_nothing(yk_op *op)
{
    op->result = 5;
}

TEST(offload_threads_end_when_idle)
{
    yk_offload_idle = 5 * YOKE_MS;
    mini_open(&yk_epoll_backend);
    for (int i = 0; i < 3; i++) {
        mop m = {.op = {.done = mop_done}};
        CHECK(!yk_offload(&m.op, work_nothing));
        CHECK_INT(mop_end(&m), 5);
        while (yk_offload_threads() > 0)
            usleep(1000);
    }
    mini_close();
}

TEST(offload_without_threads)
{
    mini_open(&yk_epoll_backend);
    yk_sys_fail("pthread_create", 1, EAGAIN);
    mop m = {.op = {.done = mop_done}};
    CHECK(yk_offload(&m.op, work_nothing)); /* here and now */
    CHECK_INT(m.op.result, 5);
    CHECK(!m.over);
    yk_sys_fail("pthread_create", 0, 0);
    CHECK(!yk_offload(&m.op, work_nothing));
    CHECK_INT(mop_end(&m), 5);
    mini_close();
}
