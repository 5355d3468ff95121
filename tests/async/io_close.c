/* io_close.c - descriptors that are closed while others wait on them, and what becomes of the next with the same number. */
#include "loops.h"
#include <sys/socket.h>
#include <yoke/io.h>

static int64_t read_one(void *arg)
{
    char c;
    return yoke_read(*(int *)arg, &c, 1);
}

static int64_t recv_one(void *arg)
{
    char c;
    return yoke_recv(*(int *)arg, &c, 1, 0);
}

static int64_t poll_it(void *arg)
{
    return yoke_poll(*(int *)arg, POLLIN);
}

static int64_t close_it(void *arg)
{
    return yoke_close_fd(*(int *)arg);
}

LOOPS(all_that_wait_hear_of_it)
{
    enum { N = 6 };
    int fds[2];
    attempt a[N];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < N; i++) {
        attempt_begin(&a[i], i % 3 == 0 ? read_one : i % 3 == 1 ? recv_one : poll_it, &fds[0]);
        CHECK(!a[i].over);
    }
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    for (int i = N; i-- > 0;) {
        CHECK_INT(attempt_end(&a[i]), -EBADF);
        CHECK_INT(a[i].ended, 0); /* nobody was told to stop */
    }
    CHECK_INT(yoke_send(fds[1], "x", 1, 0), -EPIPE); /* the peer knows: nothing holds it any more */
    CHECK_INT(yoke_close_fd(fds[1]), 0);
}

/* The next descriptor of this number has nothing to do with it. */
LOOPS(the_number_is_used_again)
{
    char c = 0;
    for (int i = 0; i < 50; i++) {
        int fds[2], next[2];
        attempt a, b;
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        attempt_begin(&a, read_one, &fds[0]);
        int before = fds[0];
        CHECK_INT(yoke_close_fd(fds[0]), 0);
        CHECK_INT(pipe2(next, O_CLOEXEC), 0);
        CHECK_INT(next[0], before);
        attempt_begin(&b, poll_it, &next[0]);
        CHECK(!b.over);
        CHECK_INT(send(fds[1], "x", 1, MSG_NOSIGNAL), -1);
        CHECK_INT(write(next[1], "y", 1), 1);
        CHECK_INT(attempt_end(&b), POLLIN);
        CHECK_INT(attempt_end(&a), -EBADF);
        CHECK_INT(yoke_read(next[0], &c, 1), 1);
        CHECK_INT(c, 'y');
        yoke_close_fd(fds[1]);
        yoke_close_fd(next[0]);
        yoke_close_fd(next[1]);
    }
}

/* Data that came just before is not lost to who waits. */
LOOPS(data_and_close_at_once)
{
    for (int i = 0; i < 20; i++) {
        int fds[2];
        attempt a;
        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        attempt_begin(&a, read_one, &fds[0]);
        CHECK_INT(write(fds[1], "x", 1), 1);
        if (i % 2)
            yoke_yield();
        CHECK_INT(yoke_close_fd(fds[0]), 0);
        int64_t n = attempt_end(&a);
        CHECK(n == 1 || n == -EBADF);
        CHECK_INT(yoke_close_fd(fds[1]), 0);
    }
}

/* In a cancelled scope, too, it is closed. */
LOOPS(in_a_cancelled_scope)
{
    int fds[2];
    attempt a;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    attempt_begin(&a, read_one, &fds[0]);
    YOKE_TIMEOUT(0, NULL) {
        CHECK_INT(yoke_close_fd(fds[0]), 0);
        CHECK_INT(yoke_close_fd(fds[1]), 0);
    }
    CHECK_INT(attempt_end(&a), -EBADF);
    CHECK_INT(fcntl(fds[0], F_GETFD), -1);
}

/* Cancelled and closed in the same turn. */
LOOPS(told_to_stop_as_well)
{
    int fds[2];
    attempt a;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    attempt_begin(&a, read_one, &fds[0]);
    yoke_scope_cancel(&a.scope);
    CHECK_INT(yoke_close_fd(fds[0]), 0);
    CHECK_INT(attempt_end(&a), -ECANCELED);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
}

/* Two close it at once: one does, and the number is not closed twice. */
LOOPS(two_close_it)
{
    int fds[2];
    attempt a, b, c;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    attempt_begin(&a, read_one, &fds[0]);
    b = (attempt){.call = close_it, .arg = &fds[0]};
    c = b;
    yoke_group_begin(&b.group);
    yoke_go(&b.group, attempt_run, &b);
    yoke_group_begin(&c.group);
    yoke_go(&c.group, attempt_run, &c);
    int64_t second = attempt_end(&c), first = attempt_end(&b);
    CHECK_INT(first + second, -EBADF);
    CHECK_INT(attempt_end(&a), -EBADF);
    CHECK_INT(yoke_close_fd(fds[1]), 0);
}

/* Many descriptors: the lists grow while they are in use. */
LOOPS(many_descriptors)
{
    enum { N = 300 };
    int pipes[N][2];
    attempt *a = calloc(N, sizeof *a);
    for (int i = 0; i < N; i++) {
        CHECK_INT(pipe2(pipes[i], O_CLOEXEC), 0);
        attempt_begin(&a[i], read_one, &pipes[i][0]);
    }
    for (int i = 0; i < N; i++)
        if (i % 3 == 0)
            CHECK_INT(yoke_close_fd(pipes[i][0]), 0);
        else if (i % 3 == 1)
            CHECK_INT(write(pipes[i][1], "x", 1), 1);
        else
            yoke_scope_cancel(&a[i].scope);
    for (int i = N; i-- > 0;)
        CHECK_INT(attempt_end(&a[i]), i % 3 == 0 ? -EBADF : i % 3 == 1 ? 1 : -ECANCELED);
    for (int i = 0; i < N; i++) {
        if (i % 3)
            CHECK_INT(yoke_close_fd(pipes[i][0]), 0);
        CHECK_INT(yoke_close_fd(pipes[i][1]), 0);
    }
    free(a);
}
