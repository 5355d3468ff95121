/* backend_fail.c - backends whose calls fail, one after the other, and kernels that forbid io_uring or have less of it. */
#include "child.h"
#include "mini.h"
#include "async/uring_ring.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ---- Opening ---- */

/* The n-th call of it fails, for n = 1, 2, ... until the backend opens. How many did. */
static int failures_until_open(const yk_backend_type *t, const char *call, int error)
{
    for (int n = 1;; n++) {
        yk_backend *b = (yk_backend *)&b;
        yk_error e = {0};
        int before = mini_descriptors();
        CHECK(yk_sys_fail(call, n, error) >= 0);
        int err = t->open(&b, &e), calls = yk_sys_fail(call, 0, 0);
        if (err == 0) {
            t->close(b);
            CHECK_INT(mini_descriptors(), before);
            if (calls < n)
                return n - 1;
            continue; /* it did without */
        }
        CHECK_INT(err, -error);
        CHECK_HAS(e.text, t->name);
        CHECK(b == (yk_backend *)&b);
        CHECK_INT(mini_descriptors(), before);
    }
}

TEST(epoll_open_fails)
{
    CHECK_INT(failures_until_open(&yk_epoll_backend, "calloc", ENOMEM), 1);
    CHECK_INT(failures_until_open(&yk_epoll_backend, "epoll_create1", EMFILE), 1);
    CHECK_INT(failures_until_open(&yk_epoll_backend, "eventfd", EMFILE), 1);
    CHECK_INT(failures_until_open(&yk_epoll_backend, "epoll_ctl", ENOSPC), 1);
}

TEST(uring_open_fails)
{
    mini_open(&yk_uring_backend); /* or skips */
    mini_close();
    CHECK_INT(failures_until_open(&yk_uring_backend, "calloc", ENOMEM), 1);
    CHECK_INT(failures_until_open(&yk_uring_backend, "io_uring_setup", ENOMEM), 1);
    CHECK_INT(failures_until_open(&yk_uring_backend, "mmap", ENOMEM), 3);
    CHECK(failures_until_open(&yk_uring_backend, "io_uring_register", ENOMEM) > 0);
    CHECK_INT(failures_until_open(&yk_uring_backend, "eventfd", EMFILE), 1);
}

/* The first in the process looks at what the kernel has; when that failed, the next looks again. */
TEST(uring_probe_fails)
{
    CHECK(failures_until_open(&yk_uring_backend, "socketpair", EMFILE) >= 0);
    mini_open(&yk_uring_backend);
    mini_close();
}

TEST(uring_probe_fails_otherwise)
{
    yk_error e = {0};
    yk_backend *b;
    mini_open(&yk_epoll_backend);
    mini_close();
    yk_sys_fail("io_uring_register", 2, EPERM); /* the probe */
    int err = yk_uring_backend.open(&b, &e);
    yk_sys_fail("io_uring_register", 0, 0);
    CHECK(err < 0);
    yk_sys_fail("io_uring_enter", 1, EPERM);
    err = yk_uring_backend.open(&b, &e);
    int calls = yk_sys_fail("io_uring_enter", 0, 0);
    CHECK(err < 0);
    if (calls > 0)
        CHECK_HAS(e.text, "EPERM");
    mini_open(&yk_uring_backend);
    mini_close();
}

/* ---- What forbids io_uring ---- */

static int forbidden_by;

static void forbid(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)forbidden_by),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {YK_COUNT_OF(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
    yk_error e = {0};
    yk_backend *b;
    int err = yk_uring_backend.open(&b, &e);
    dprintf(STDERR_FILENO, "%d %d %s\n", err, e.code, e.text);
    _exit(yk_epoll_backend.open(&b, &e) == 0 ? 0 : 1);
}

static void check_forbidden(int error, const char *name, const char *why)
{
    char code[32];
    forbidden_by = error;
    child_end end = in_child(forbid);
    if (WEXITSTATUS(end.status) == 77)
        SKIP("no seccomp filters here");
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 0);
    snprintf(code, sizeof code, "%d ", -error);
    CHECK_HAS(end.text, code);
    CHECK_HAS(end.text, name);
    CHECK_HAS(end.text, why);
}

TEST(uring_under_a_seccomp_filter)
{
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    char disabled = '0';
    if (fd >= 0)
        CHECK_INT(read(fd, &disabled, 1), 1);
    close(fd);
    check_forbidden(EPERM, "EPERM", disabled == '0' ? "seccomp" : "io_uring_disabled");
    check_forbidden(ENOSYS, "ENOSYS", "seccomp");
    check_forbidden(ENOMEM, "ENOMEM", "ulimit -l");
    check_forbidden(EMFILE, "io_uring: ", strerror(EMFILE));
}

static int disabled_openat(int dir, const char *path, int flags, mode_t mode)
{
    int fds[2];
    CHECK_STR(path, "/proc/sys/kernel/io_uring_disabled");
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(write(fds[1], "2\n", 2), 2);
    close(fds[1]);
    return fds[0];
}

TEST(uring_disabled_by_sysctl)
{
    yk_error e = {0};
    yk_backend *b;
    yk_sys_fail("io_uring_setup", 1, EPERM);
    yk_sys.openat = disabled_openat;
    CHECK_INT(yk_uring_backend.open(&b, &e), -EPERM);
    CHECK_HAS(e.text, "io_uring_disabled is 2");
}

/* ---- Kernels that have less ---- */

static unsigned refused;

static int setup_of_old_kernel(unsigned entries, struct io_uring_params *p)
{
    if (p->flags & refused) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_io_uring_setup, entries, p);
}

static int without_waitid(int fd, unsigned op, const void *arg, unsigned n)
{
    int got = (int)syscall(SYS_io_uring_register, fd, op, arg, n);
    if (op == IORING_REGISTER_PROBE) {
        struct io_uring_probe *p = (struct io_uring_probe *)(uintptr_t)arg;
        p->ops[YK_URING_OP_WAITID].flags = 0;
    } else if (op == IORING_REGISTER_RING_FDS) {
        errno = EINVAL;
        return -1;
    }
    return got;
}

static int told;

static void tell(void *unused)
{
    told++;
}

/* Runs it until word is more than `was`, for at most a while: something may have failed for good. */
static bool turn_until_told(int was)
{
    for (int i = 0; i < 2000 && told == was; i++) {
        int err = mini.t->poll(mini.b, yoke_now() + YOKE_MS);
        CHECK(err == 0 || err == -mini_tolerated);
    }
    return told > was;
}

/* A flow receives four bytes and sends them back. The first error, or 0. */
static int flow_echoes(void)
{
    int fds[2], was;
    char buf[8];
    yk_flow *f;
    mini_tcp(fds);
    int err = mini.t->flow_open(mini.b, fds[0], &f);
    if (err < 0) {
        close(fds[0]);
        close(fds[1]);
        return err;
    }
    CHECK_INT(send(fds[1], "abcd", 4, 0), 4);
    ssize_t n;
    while ((n = mini.t->flow_recv(f, buf, sizeof buf)) == -EAGAIN) {
        was = told;
        mini.t->flow_want(f, tell, NULL);
        if (!turn_until_told(was))
            break;
    }
    if (n == 4)
        n = mini.t->flow_send(f, buf, 4);
    was = told;
    mini.t->flow_want_empty(f, tell, NULL);
    CHECK(turn_until_told(was));
    if (n == 4) {
        n = mini.t->flow_send(f, buf, 0);
        n = n == -EAGAIN ? 0 : n;
    }
    if (n == 0) {
        CHECK_INT(recv(fds[1], buf, sizeof buf, 0), 4);
        CHECK_INT(memcmp(buf, "abcd", 4), 0);
    }
    mini.t->flow_close(f);
    while (mini.t->under_way(mini.b) > 0)
        mini_turn(YOKE_FOREVER);
    close(fds[1]);
    return (int)YK_MIN(n, 0);
}

static void all_goes_well(void)
{
    int fds[2];
    char buf[8];
    mini_pair(fds, SOCK_STREAM);
    mop r = op_recv(fds[0], buf, sizeof buf, 0), w = op_send(fds[1], "abc", 3, 0);
    mop_wait(&r);
    CHECK_INT(mop_run(&w), 3);
    CHECK_INT(mop_end(&r), 3);
    mop_wait(&r);
    CHECK_INT(mop_cancel(&r), -ECANCELED);
    mini.t->wake(mini.b);
    mini_turn(YOKE_FOREVER);
    CHECK_INT(flow_echoes(), 0);
    mini_close_pair(fds);
}

TEST(uring_of_older_kernels)
{
    static const unsigned flags[] = {YK_URING_NO_SQARRAY, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_TASKRUN_FLAG,
                                     IORING_SETUP_CQSIZE};
    mini_open(&yk_uring_backend);
    mini_close();
    yk_sys.io_uring_setup = setup_of_old_kernel;
    for (size_t i = 0; i < YK_COUNT_OF(flags) - 1; i++) {
        refused = flags[i];
        mini_open(&yk_uring_backend);
        all_goes_well();
        mini_close();
    }
    yk_error e = {0};
    refused = flags[YK_COUNT_OF(flags) - 1];
    CHECK_INT(yk_uring_backend.open(&mini.b, &e), -EINVAL);
}

TEST(uring_without_waitid)
{
    yk_sys.io_uring_register = without_waitid;
    mini_open(&yk_uring_backend);
    all_goes_well();
    siginfo_t info = {0};
    int fds[2];
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[1]);
        _exit(read(fds[0], &info, 1) == 0 ? 5 : 6);
    }
    int fd = pidfd_open(pid, 0);
    mop m = {.op = {.kind = YK_OP_WAIT_CHILD, .fd = fd, .info = &info}};
    mop_wait(&m);
    CHECK_INT(mop_cancel(&m), -ECANCELED);
    mop_wait(&m);
    close(fds[1]);
    CHECK_INT(mop_end(&m), 0);
    CHECK_INT(info.si_status, 5);
    close(fd);
    close(fds[0]);
    mini_close();
}

/* ---- Calls that fail while it runs ---- */

/* One of everything. How many failed, of which each must have with that code. */
static int one_of_everything(int error)
{
    int fds[2], failed = 0;
    char buf[64], name[] = "/tmp/yoke-fail-XXXXXX";
    struct sockaddr_in a;
    int listener = mini_listener(&a, 5), file = mkstemp(name), own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(name);
    mini_pair(fds, SOCK_STREAM);
    mop m[] = {op_recv(fds[0], buf, 4, 0), op_poll(fds[0], POLLIN), op_accept(listener, 0),
               op_connect(own, (struct sockaddr *)&a, sizeof a), op_send(fds[0], "abc", 3, 0),
               op_write(file, "abcdef", 6, 0), op_read(file, buf + 32, 8, 0), op_read(fds[1], buf + 40, 3, -1),
               op_write(fds[1], "z", 1, -1),
               {.op = {.kind = YK_OP_FSYNC, .fd = file}}};
    for (size_t i = 0; i < YK_COUNT_OF(m); i++) {
        mop_start(&m[i]);
        if (i == 1)
            CHECK_INT(send(fds[1], "abcd", 4, 0), 4);
        if (i == 5) /* the read comes after the write */
            mop_end(&m[i]);
    }
    for (int i = 0; i < 20; i++)
        mini_turn(yoke_now() + YOKE_MS);
    for (size_t i = 0; i < YK_COUNT_OF(m); i++) {
        int64_t result = m[i].over ? m[i].op.result : mop_cancel(&m[i]); /* what waits for one that has failed */
        if (result < 0 && result != -ECANCELED) {
            CHECK_INT(result, -error);
            failed++;
        }
        if (i == 2 && result >= 0)
            close((int)result);
    }
    mini.t->forget(mini.b, listener);
    mini.t->forget(mini.b, own);
    close(listener);
    close(file);
    close(own);
    mini_close_pair(fds);
    int err = flow_echoes();
    CHECK(err == 0 || err == -error);
    return failed - (err < 0);
}

static void fails_in_turn(const char *call, int error)
{
    mini_tolerated = error;
    for (int n = 1;; n++) {
        int before = mini_descriptors();
        CHECK(yk_sys_fail(call, n, error) >= 0);
        one_of_everything(error);
        int calls = yk_sys_fail(call, 0, 0);
        CHECK_INT(mini.t->under_way(mini.b), 0);
        CHECK_INT(mini_descriptors(), before);
        if (calls < n) {
            printf("# %s: %d\n", call, n - 1);
            break;
        }
    }
    mini_tolerated = 0;
}

BOTH(calls_fail_in_turn)
{
    static const struct {
        const char *call;
        int error;
    } calls[] = {{"calloc", ENOMEM}, {"realloc", ENOMEM}, {"malloc", ENOMEM}, {"epoll_ctl", ENOSPC}, {"epoll_pwait2", EINTR},
                 {"epoll_pwait2", ENOMEM}, {"recv", ENOMEM}, {"send", ENOBUFS}, {"preadv2", EIO}, {"pwritev2", ENOSPC},
                 {"accept4", EMFILE}, {"connect", ENETUNREACH}, {"fsync", EIO}, {"poll", ENOMEM}, {"pthread_create", EAGAIN},
                 {"io_uring_enter", EINTR}, {"io_uring_enter", EBUSY}, {"io_uring_enter", EAGAIN},
                 {"io_uring_enter", ENOMEM}, {"recvmsg", ENOMEM}};
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++)
        fails_in_turn(calls[i].call, calls[i].error);
}

/* The table of descriptors cannot grow. */
BOTH(no_memory_for_high_numbers)
{
    int fds[2];
    char byte;
    yk_flow *f;
    mini_pair(fds, SOCK_STREAM);
    for (int high = 100; high < 1000; high += 300) {
        int fd = fcntl(fds[0], F_DUPFD_CLOEXEC, high);
        mop m = op_recv(fd, &byte, 1, 0);
        yk_sys_fail("realloc", 1, ENOMEM);
        CHECK(mop_start(&m));
        yk_sys_fail("realloc", 0, 0);
        CHECK_INT(m.op.result, -ENOMEM);
        yk_sys_fail("calloc", 1, ENOMEM);
        CHECK_INT(mini.t->flow_open(mini.b, fd, &f), -ENOMEM);
        yk_sys_fail("calloc", 0, 0);
        mop_wait(&m);
        CHECK_INT(write(fds[1], "a", 1), 1);
        CHECK_INT(mop_end(&m), 1);
        close(fd);
    }
    mini_close_pair(fds);
}

/* ---- No more descriptors ---- */

BOTH(accept_without_descriptors)
{
    struct sockaddr_in a;
    struct rlimit before, none;
    int listener = mini_listener(&a, 5), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)fcntl(0, F_DUPFD, 0) + 1, .rlim_max = before.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    mop m = op_accept(listener, 0); /* io_uring wants a number before there is a connection */
    mop_start(&m);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(mop_end(&m), -EMFILE);
    CHECK_INT(mop_run(&m), -EMFILE);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK(mop_run(&m) >= 0); /* the connection has waited */
}

/* ---- Too much at a time ---- */

BOTH(more_than_the_rings_hold)
{
    enum { N = 20000 };
    static mop m[N];
    int fds[2], was = told;
    yk_flow *f;
    mini_tcp(fds);
    CHECK_INT(mini.t->flow_open(mini.b, fds[0], &f), 0);
    for (int i = 0; i < N; i++) {
        m[i] = op_poll(fds[1], POLLOUT);
        mop_start(&m[i]);
    }
    CHECK_INT(mini.t->flow_send(f, "abc", 3), 3);
    mini.t->flow_want_empty(f, tell, NULL);
    CHECK(turn_until_told(was));
    for (int i = 0; i < N; i++)
        CHECK_INT(mop_end(&m[i]), POLLOUT);
    char buf[4];
    CHECK_INT(recv(fds[1], buf, 4, 0), 3);
    mini.t->flow_close(f);
    while (mini.t->under_way(mini.b) > 0)
        mini_turn(YOKE_FOREVER);
    close(fds[1]);
}

static int busy_enter(int fd, unsigned n, unsigned wait, unsigned flags, const void *arg, size_t size)
{
    errno = EBUSY;
    return -1;
}

/* What the kernel takes no entry for waits, in order, and can be taken back. */
TEST(uring_takes_no_more)
{
    enum { N = 1000 };
    static mop m[N];
    int fds[2], backed = 0;
    char buf[N];
    mini_open(&yk_uring_backend);
    mini_pair(fds, SOCK_DGRAM);
    yk_sys.io_uring_enter = busy_enter;
    for (int i = 0; i < N; i++) {
        m[i] = i % 2 ? op_poll(fds[0], POLLIN) : op_recv(fds[0], &buf[i], 1, 0);
        CHECK(!mop_start(&m[i]));
    }
    mini_turn(0);
    for (int i = 0; i < N; i += 10) {
        m[i].over = mini.t->cancel(mini.b, &m[i].op);
        if (m[i].over)
            m[i].op.result = -ECANCELED;
        backed += m[i].over;
    }
    CHECK(backed > 0);
    mini_turn(0);
    yk_sys_fail("io_uring_enter", 0, 0);
    for (int i = 0; i < N; i++) {
        CHECK(send(fds[1], "a", 1, MSG_DONTWAIT) == 1 || errno == EAGAIN);
        mini_turn(0);
    }
    for (int i = 0; i < N; i++) {
        while (!m[i].over) {
            send(fds[1], "a", 1, MSG_DONTWAIT);
            mini_turn(0);
        }
        CHECK(i % 10 == 0 ? m[i].op.result == -ECANCELED || m[i].op.result == 1 : m[i].op.result == 1);
    }
    mini_close_pair(fds);
    mini_close();
}
