/* io.c - reading, writing and waiting: pipes, terminals, devices. */
#include "loops.h"
#include <pty.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <yoke/io.h>

typedef struct bytes {
    int fd;
    char *buf;
    size_t n;
    ssize_t done;
} bytes;

static int64_t do_read(void *arg)
{
    bytes *b = arg;
    return b->done = yoke_read(b->fd, b->buf, b->n);
}

static int64_t do_write(void *arg)
{
    bytes *b = arg;
    return b->done = yoke_write(b->fd, b->buf, b->n);
}

static void make_pipe(int fds[2])
{
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
}

static void close_pair(const int fds[2])
{
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
}

/* ---- Pipes ---- */

ALL(a_pipe)
{
    int fds[2];
    char buf[8] = {0};
    make_pipe(fds);
    CHECK_INT(yoke_write(fds[1], "abcde", 5), 5);
    CHECK_INT(yoke_read(fds[0], buf, 3), 3);
    CHECK_STR(buf, "abc");
    CHECK_INT(yoke_read(fds[0], buf, 8), 2);
    CHECK_INT(buf[0], 'd');
    CHECK_INT(yoke_write(fds[1], "", 0), 0);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
    CHECK_INT(yoke_read(fds[0], buf, 8), 0);
    CHECK_INT(yoke_read(fds[0], buf, 8), 0);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
}

ALL(what_is_no_descriptor)
{
    char c = 0;
    int fds[2];
    make_pipe(fds);
    close_pair(fds);
    CHECK_INT(yoke_read(fds[0], &c, 1), -EBADF);
    CHECK_INT(yoke_read(-1, &c, 1), -EBADF);
    CHECK_INT(yoke_write(fds[1], &c, 1), -EBADF);
    CHECK_INT(yoke_pread(fds[0], &c, 1, 0), -EBADF);
    CHECK_INT(yoke_pwrite(fds[0], &c, 1, 0), -EBADF);
    CHECK_INT(yoke_recv(fds[0], &c, 1, 0), -EBADF);
    CHECK_INT(yoke_send(fds[0], &c, 1, 0), -EBADF);
    CHECK_INT(yoke_poll(fds[0], POLLIN), -EBADF);
    CHECK_INT(yoke_poll(-1, POLLIN), -EBADF);
    CHECK_INT(yoke_fsync(fds[0]), -EBADF);
    CHECK_INT(yoke_close_fd(fds[0]), -EBADF);
    CHECK_INT(yoke_close_fd(-1), -EBADF);
    make_pipe(fds);
    CHECK_INT(yoke_read(fds[1], &c, 1), -EBADF); /* the other way round */
    CHECK_INT(yoke_write(fds[0], &c, 1), -EBADF);
    CHECK_INT(yoke_pread(fds[0], &c, 1, 0), -ESPIPE);
    CHECK_INT(yoke_pwrite(fds[1], &c, 1, 0), -ESPIPE);
    CHECK_INT(yoke_pread(fds[0], &c, 1, -1), -EINVAL);
    CHECK_INT(yoke_pwrite(fds[1], &c, 1, -1), -EINVAL);
    close_pair(fds);
}

LOOPS(a_read_waits)
{
    int fds[2];
    char buf[8] = {0};
    attempt a;
    make_pipe(fds);
    bytes b = {fds[0], buf, sizeof buf, 0};
    attempt_begin(&a, do_read, &b);
    CHECK(!a.over);
    CHECK_INT(yoke_write(fds[1], "abc", 3), 3);
    CHECK_INT(attempt_end(&a), 3);
    CHECK_STR(buf, "abc");
    close_pair(fds);
}

/* Readers get what there is in the order in which they asked. */
LOOPS(readers_in_their_order)
{
    enum { N = 5 };
    int fds[2];
    attempt a[N];
    bytes b[N];
    char got[N] = {0};
    make_pipe(fds);
    for (int i = 0; i < N; i++) {
        b[i] = (bytes){fds[0], &got[i], 1, 0};
        attempt_begin(&a[i], do_read, &b[i]);
        CHECK(!a[i].over);
    }
    for (int i = 0; i < N; i++)
        CHECK_INT(yoke_write(fds[1], &"abcde"[i], 1), 1);
    for (int i = N; i-- > 0;)
        CHECK_INT(attempt_end(&a[i]), 1);
    CHECK_INT(memcmp(got, "abcde", N), 0);
    close_pair(fds);
}

LOOPS(a_cancelled_read_takes_nothing)
{
    int fds[2];
    char buf[8] = {0};
    make_pipe(fds);
    bytes b = {fds[0], buf, sizeof buf, 0};
    for (int i = 0; i < 20; i++) {
        attempt_cancel(do_read, &b);
        CHECK_INT(buf[0], 0);
    }
    CHECK_INT(yoke_write(fds[1], "abc", 3), 3);
    CHECK_INT(yoke_read(fds[0], buf, 8), 3);
    CHECK_STR(buf, "abc");
    close_pair(fds);
}

/* Told to stop when the data is there already: the data or the cancel, and nothing is lost. */
LOOPS(a_cancel_and_data_at_once)
{
    int fds[2];
    char buf[8] = {0};
    make_pipe(fds);
    bytes b = {fds[0], buf, 1, 0};
    for (int i = 0; i < 50; i++) {
        attempt a;
        attempt_begin(&a, do_read, &b);
        CHECK_INT(write(fds[1], "x", 1), 1);
        if (i % 2)
            yoke_yield();
        yoke_scope_cancel(&a.scope);
        if (attempt_end(&a) == -ECANCELED)
            CHECK_INT(yoke_read(fds[0], buf, 8), 1);
        else
            CHECK_INT(a.result, 1);
        CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 0), -ETIMEDOUT);
    }
    close_pair(fds);
}

LOOPS(calls_in_a_cancelled_scope_do_nothing)
{
    int fds[2], late = 0;
    char c = 'x';
    make_pipe(fds);
    CHECK_INT(yoke_write(fds[1], "a", 1), 1);
    YOKE_TIMEOUT(0, &late) {
        CHECK_INT(yoke_read(fds[0], &c, 1), -ECANCELED);
        CHECK_INT(yoke_write(fds[1], &c, 1), -ECANCELED);
        CHECK_INT(yoke_poll(fds[0], POLLIN), -ECANCELED);
        CHECK_INT(yoke_open_file("/dev/null", O_RDONLY, 0), -ECANCELED);
    }
    CHECK_INT(late, -ETIMEDOUT);
    CHECK_INT(c, 'x');
    CHECK_INT(yoke_read(fds[0], &c, 1), 1);
    CHECK_INT(c, 'a');
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 0), -ETIMEDOUT);
    close_pair(fds);
}

LOOPS(a_read_with_a_time_limit)
{
    int fds[2], late = 0;
    char c = 'x';
    make_pipe(fds);
    int64_t before = yoke_now();
    YOKE_TIMEOUT(20 * YOKE_MS, &late)
        CHECK_INT(yoke_read(fds[0], &c, 1), -ECANCELED);
    CHECK_INT(late, -ETIMEDOUT);
    CHECK(yoke_now() - before >= 20 * YOKE_MS);
    close_pair(fds);
}

/* ---- Much ---- */

enum { MUCH = 3 << 20 };

static char *pattern(size_t n)
{
    char *p = malloc(n);
    CHECK(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 2654435761u >> 13);
    return p;
}

static int read_all(void *arg)
{
    bytes *b = arg;
    while (b->done < (ssize_t)b->n) {
        ssize_t n = yoke_read(b->fd, b->buf + b->done, b->n - (size_t)b->done);
        CHECK(n > 0);
        b->done += n;
    }
    return 0;
}

LOOPS(a_write_is_all)
{
    int fds[2], err = 1;
    char *from = pattern(MUCH), *to = malloc(MUCH);
    make_pipe(fds);
    bytes b = {fds[0], to, MUCH, 0};
    YOKE_GROUP(g, &err) {
        yoke_go(&g, read_all, &b);
        CHECK_INT(yoke_write(fds[1], from, MUCH), MUCH);
    }
    CHECK_INT(err, 0);
    CHECK_INT(memcmp(from, to, MUCH), 0);
    free(from);
    free(to);
    close_pair(fds);
}

static void take_all(void *arg)
{
    bytes *b = arg;
    while (b->done < (ssize_t)b->n) {
        ssize_t n = read(b->fd, b->buf + b->done, b->n - (size_t)b->done);
        CHECK(n > 0);
        b->done += n;
    }
}

/* In a thread too, and on a descriptor that is non-blocking. */
ALL(a_write_is_all_without_blocking)
{
    int fds[2];
    char *from = pattern(MUCH), *to = malloc(MUCH);
    beside side;
    make_pipe(fds);
    CHECK_INT(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    bytes b = {fds[0], to, MUCH, 0};
    beside_begin(&side, take_all, &b);
    CHECK_INT(yoke_write(fds[1], from, MUCH), MUCH);
    beside_end(&side);
    CHECK_INT(memcmp(from, to, MUCH), 0);
    free(from);
    free(to);
    close_pair(fds);
}

static void write_late(void *arg)
{
    usleep(20000);
    CHECK_INT(write(*(int *)arg, "abc", 3), 3);
}

ALL(a_read_without_blocking_waits)
{
    int fds[2];
    char buf[8] = {0};
    beside side;
    make_pipe(fds);
    CHECK_INT(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    beside_begin(&side, write_late, &fds[1]);
    CHECK_INT(yoke_read(fds[0], buf, sizeof buf), 3);
    CHECK_STR(buf, "abc");
    beside_end(&side);
    close_pair(fds);
}

/* Stopped in the middle it says how much it was, and that much is there. */
LOOPS(a_cancelled_write_says_how_much)
{
    int fds[2];
    char *from = pattern(MUCH), *to = malloc(MUCH);
    attempt a;
    make_pipe(fds);
    bytes b = {fds[1], from, MUCH, 0};
    attempt_begin(&a, do_write, &b);
    CHECK(!a.over);
    yoke_scope_cancel(&a.scope);
    ssize_t done = attempt_end(&a);
    CHECK(done > 0 && done < MUCH);
    CHECK_INT(a.ended, 0); /* nobody has been told */
    bytes in = {fds[0], to, (size_t)done, 0};
    read_all(&in);
    CHECK_INT(memcmp(from, to, (size_t)done), 0);
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 0), -ETIMEDOUT);
    free(from);
    free(to);
    close_pair(fds);
}

/* Nothing fits: a cancel finds nothing done. */
LOOPS(a_cancelled_write_into_a_full_pipe)
{
    int fds[2];
    char block[4096] = {0}, buf[4096];
    size_t sum = 0;
    make_pipe(fds);
    CHECK_INT(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    for (ssize_t n; (n = write(fds[1], block, sizeof block)) > 0;)
        sum += (size_t)n;
    CHECK_INT(fcntl(fds[1], F_SETFL, 0), 0);
    bytes b = {fds[1], block, 100, 0};
    for (int i = 0; i < 10; i++)
        attempt_cancel(do_write, &b);
    for (ssize_t n; sum > 0; sum -= (size_t)n)
        CHECK((n = yoke_read(fds[0], buf, YK_MIN(sum, sizeof buf))) > 0);
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 0), -ETIMEDOUT);
    close_pair(fds);
}

/* ---- SIGPIPE ---- */

ALL(nobody_reads)
{
    int fds[2], sockets[2];
    struct sigaction is;
    sigset_t blocked;
    make_pipe(fds);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_write(fds[1], "abc", 3), -EPIPE);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    CHECK_INT(yoke_close_fd(sockets[0]), 0);
    CHECK_INT(yoke_write(sockets[1], "abc", 3), -EPIPE);
    CHECK_INT(yoke_send(sockets[1], "abc", 3, 0), -EPIPE);
    CHECK_INT(yoke_close_fd(sockets[1]), 0);
    CHECK_INT(sigaction(SIGPIPE, NULL, &is), 0); /* and all is as it was */
    CHECK(is.sa_handler == SIG_DFL);
    CHECK_INT(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    CHECK_INT(sigismember(&blocked, SIGPIPE), 0);
}

/* Whoever has it blocked keeps one that was there before. */
ALL(a_sigpipe_of_somebody_elses)
{
    int fds[2];
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK_INT(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_INT(raise(SIGPIPE), 0);
    make_pipe(fds);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    CHECK_INT(yoke_write(fds[1], "abc", 3), -EPIPE);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
    CHECK_INT(sigpending(&pending), 0);
    CHECK_INT(sigismember(&pending, SIGPIPE), 1);
    CHECK_INT(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGPIPE);
    CHECK_INT(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}

/* The reader goes away while the write waits. */
LOOPS(the_reader_goes)
{
    int fds[2];
    char *from = pattern(MUCH);
    attempt a;
    make_pipe(fds);
    bytes b = {fds[1], from, MUCH, 0};
    attempt_begin(&a, do_write, &b);
    CHECK(!a.over);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    ssize_t done = attempt_end(&a);
    CHECK(done > 0 && done < MUCH);
    CHECK_INT(yoke_write(fds[1], "x", 1), -EPIPE);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
    free(from);
}

/* ---- Poll ---- */

static int64_t poll_in(void *arg)
{
    return yoke_poll(*(int *)arg, POLLIN);
}

ALL(poll_now)
{
    int fds[2];
    make_pipe(fds);
    CHECK_INT(yoke_poll(fds[1], POLLOUT), POLLOUT);
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 0), -ETIMEDOUT);
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 5 * YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, -1), -ETIMEDOUT);
    CHECK_INT(yoke_poll_until(fds[0], POLLIN, yoke_now() - 1), -ETIMEDOUT);
    CHECK_INT(write(fds[1], "a", 1), 1);
    CHECK_INT(yoke_poll(fds[0], POLLIN), POLLIN);
    CHECK_INT(yoke_poll_timed(fds[0], POLLIN, 0), POLLIN);
    close(fds[1]);
    CHECK_INT(yoke_poll(fds[0], POLLIN), POLLIN | POLLHUP);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
}

LOOPS(poll_waits)
{
    int fds[2];
    attempt a;
    make_pipe(fds);
    attempt_cancel(poll_in, &fds[0]);
    attempt_begin(&a, poll_in, &fds[0]);
    CHECK(!a.over);
    CHECK_INT(write(fds[1], "a", 1), 1);
    CHECK_INT(attempt_end(&a), POLLIN);
    close_pair(fds);
}

ALL(an_eventfd)
{
    uint64_t n = 5;
    int fd = eventfd(0, EFD_CLOEXEC);
    CHECK_INT(yoke_poll_timed(fd, POLLIN, 0), -ETIMEDOUT);
    CHECK_INT(yoke_write(fd, &n, sizeof n), 8);
    n = 0;
    CHECK_INT(yoke_read(fd, &n, sizeof n), 8);
    CHECK_INT(n, 5);
    CHECK_INT(yoke_close_fd(fd), 0);
}

/* ---- Terminals and devices ---- */

LOOPS(a_terminal)
{
    int master, slave;
    char buf[64] = {0};
    attempt a;
    struct termios raw;
    CHECK_INT(openpty(&master, &slave, NULL, NULL, NULL), 0);
    CHECK_INT(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    CHECK_INT(tcsetattr(slave, TCSANOW, &raw), 0);
    bytes b = {slave, buf, sizeof buf, 0};
    attempt_cancel(do_read, &b);
    attempt_begin(&a, do_read, &b);
    CHECK(!a.over);
    CHECK_INT(yoke_write(master, "hello", 5), 5);
    CHECK_INT(attempt_end(&a), 5);
    CHECK_STR(buf, "hello");
    CHECK_INT(yoke_write(slave, "back", 4), 4);
    CHECK_INT(yoke_read(master, buf, sizeof buf), 4);
    CHECK_INT(memcmp(buf, "back", 4), 0);
    CHECK_INT(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
    CHECK_INT(yoke_close_fd(slave), 0);
    CHECK_INT(yoke_read(master, buf, sizeof buf), -EIO); /* what Linux says of a terminal without another side */
    CHECK_INT(yoke_close_fd(master), 0);
}

ALL(devices)
{
    char buf[1000];
    memset(buf, 1, sizeof buf);
    int null = yoke_open_file("/dev/null", O_RDWR, 0), zero = yoke_open_file("/dev/zero", O_RDONLY, 0);
    CHECK(null >= 0 && zero >= 0);
    CHECK_INT(fcntl(null, F_GETFD), FD_CLOEXEC);
    CHECK_INT(yoke_read(null, buf, sizeof buf), 0);
    CHECK_INT(yoke_write(null, buf, sizeof buf), 1000);
    CHECK_INT(yoke_read(zero, buf, sizeof buf), 1000);
    CHECK_INT(buf[0] | buf[999], 0);
    CHECK_INT(yoke_close_fd(null), 0);
    CHECK_INT(yoke_close_fd(zero), 0);
}

/* ---- Fairness ---- */

static int count_turns(void *arg)
{
    int *turns = arg;
    while (yoke_yield() == 0)
        ++*turns;
    return 0;
}

/* One that never has to wait does not keep the others from running; nor itself from being told to stop. */
LOOPS(others_run_too)
{
    int turns = 0, late = 0;
    char buf[16];
    int zero = yoke_open_file("/dev/zero", O_RDONLY, 0);
    YOKE_GROUP(g, NULL) {
        yoke_go(&g, count_turns, &turns);
        for (int i = 0; i < 1000; i++)
            CHECK_INT(yoke_read(zero, buf, sizeof buf), 16);
        CHECK(turns > 5);
        YOKE_TIMEOUT(5 * YOKE_MS, &late)
            while (yoke_read(zero, buf, sizeof buf) == 16)
                ;
        CHECK_INT(late, -ETIMEDOUT);
        yoke_group_cancel(&g);
    }
    CHECK_INT(yoke_close_fd(zero), 0);
}

/* ---- Failing calls ---- */

ALL(calls_that_fail)
{
    static const char *const names[] = {"preadv2", "pwritev2"};
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    char c;
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        yk_sys_fail(names[i], 1, EIO);
        ssize_t n = i == 0 ? yoke_read(fd, &c, 1) : yoke_write(fd, "x", 1);
        int calls = yk_sys_fail(names[i], 0, 0);
        CHECK_INT(n, calls > 0 ? -EIO : i == 0 ? 0 : 1); /* the ring makes the call itself */
    }
    CHECK_INT(yoke_close_fd(fd), 0);
}

/* A signal that arrives in between is nothing. */
ALL(interrupted)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    char c;
    yk_sys_fail("preadv2", 1, EINTR);
    CHECK_INT(yoke_read(fd, &c, 1), 1);
    yk_sys_fail("preadv2", 0, 0);
    CHECK_INT(yoke_close_fd(fd), 0);
}

/* There is no memory to remember who waits. */
LOOPS(no_memory_for_a_wait)
{
    int fds[2];
    char buf[8] = {0};
    make_pipe(fds);
    int high = fcntl(fds[0], F_DUPFD_CLOEXEC, 900);
    int err = -ENOMEM;
    for (int n = 1; err == -ENOMEM; n++) {
        yk_sys_fail("calloc", n, ENOMEM);
        err = yoke_poll_timed(high, POLLIN, 0);
        yk_sys_fail("calloc", 0, 0);
        CHECK(n < 10);
    }
    CHECK_INT(err, -ETIMEDOUT);
    CHECK_INT(yoke_write(fds[1], "ok", 2), 2);
    CHECK_INT(yoke_read(high, buf, 8), 2);
    CHECK_INT(yoke_close_fd(high), 0);
    close_pair(fds);
}
