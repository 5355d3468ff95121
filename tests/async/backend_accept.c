/* backend_accept.c - accepts of many (YK_OP_ACCEPT with `many`), which may go on after a connection: all that come are told, one
 * after the other, and when it is over, it is over. */
#include "mini.h"
#include <sys/resource.h>

enum { CROWD = 100 };

/* An accept that is begun again whenever it ends, as its user does. */
typedef struct door {
    yk_op op; /* first */
    bool under_way, ended;
    int fds[CROWD + 1], n, error, turns;
} door;

static void door_came(yk_op *op)
{
    door *d = (door *)(void *)op;
    d->under_way = op->more;
    d->ended |= !op->more;
    if (op->result < 0) {
        CHECK(!op->more);
        d->error = (int)op->result;
        return;
    }
    CHECK(d->n <= CROWD);
    CHECK(fcntl((int)op->result, F_GETFD) & FD_CLOEXEC);
    d->fds[d->n++] = (int)op->result;
}

static void door_start(door *d, int listener)
{
    d->op = (yk_op){.kind = YK_OP_ACCEPT, .fd = listener, .many = true, .done = door_came};
    d->ended = false;
    d->under_way = !mini.t->start(mini.b, &d->op);
    if (!d->under_way)
        door_came(&d->op);
}

/* Until n have come, or an error. */
static void door_let_in(door *d, int listener, int n)
{
    for (; d->n < n && d->error == 0; d->turns++) {
        while (!d->under_way && d->n < n && d->error == 0)
            door_start(d, listener);
        if (d->under_way && d->n < n)
            mini_turn(YOKE_FOREVER);
    }
}

/* Stops it, and takes what comes until it has stopped. */
static void door_stop(door *d)
{
    if (d->under_way && mini.t->cancel(mini.b, &d->op))
        d->under_way = false;
    while (d->under_way)
        mini_turn(YOKE_FOREVER);
    CHECK(d->error == 0 || d->error == -ECANCELED);
    d->error = 0;
}

static int come(const struct sockaddr_in *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)a, sizeof *a), 0);
    return fd;
}

static void come_all(int fds[CROWD], const struct sockaddr_in *a)
{
    for (int i = 0; i < CROWD; i++)
        fds[i] = come(a);
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_INT(close(fds[i]), 0);
}

static void close_listener(int listener)
{
    mini.t->forget(mini.b, listener);
    close(listener);
}

static void check_closed(const struct sockaddr_in *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)a, sizeof *a), -1);
    CHECK_INT(errno, ECONNREFUSED);
    close(fd);
}

BOTH(a_crowd_comes_in_one_turn)
{
    struct sockaddr_in a;
    int listener = mini_listener(&a, CROWD), mine[CROWD];
    door d = {0};
    come_all(mine, &a);
    door_let_in(&d, listener, CROWD);
    CHECK(d.turns <= 2);
    for (int i = 0; i < CROWD; i++) { /* each is another's end */
        char byte = (char)i, back;
        CHECK_INT(write(d.fds[i], &byte, 1), 1);
        CHECK_INT(read(mine[i], &back, 1), 1);
        CHECK_INT(back, byte);
    }
    door_stop(&d);
    close_all(d.fds, d.n);
    close_all(mine, CROWD);
    close_listener(listener);
    check_closed(&a);
}

BOTH(they_come_one_by_one)
{
    struct sockaddr_in a;
    int listener = mini_listener(&a, CROWD), mine[CROWD];
    door d = {0};
    for (int i = 0; i < CROWD; i++) {
        if (!d.under_way)
            door_start(&d, listener);
        mini_turn(0);
        mine[i] = come(&a);
        door_let_in(&d, listener, i + 1);
    }
    door_stop(&d);
    close_all(d.fds, d.n);
    close_all(mine, CROWD);
    close_listener(listener);
    check_closed(&a);
}

/* Stopped at any moment: those that the kernel had accepted are told, the others are in its queue. */
BOTH(none_is_lost_and_none_comes_twice)
{
    struct sockaddr_in a;
    int listener = mini_listener(&a, CROWD), before = mini_descriptors(), came = 0, accepted = 0;
    for (int i = 0; i < 1000; i++) {
        door d = {0};
        door_start(&d, listener);
        for (int k = (int)(test_random() % 4); k > 0; k--, came++)
            close(come(&a));
        if (test_random() % 2)
            mini_turn(0);
        for (int k = (int)(test_random() % 4); k > 0; k--, came++)
            close(come(&a));
        if (test_random() % 2)
            door_let_in(&d, listener, YK_MIN(came - accepted, CROWD));
        door_stop(&d);
        close_all(d.fds, d.n);
        accepted += d.n;
        for (; came - accepted > 20; accepted++)
            close(accept(listener, NULL, NULL));
    }
    for (; accepted < came; accepted++)
        close(accept(listener, NULL, NULL));
    CHECK_INT(mini_descriptors(), before);
    close_listener(listener);
}

/* So much else is to be done that the kernel takes several looks to stop. */
BOTH_LIMIT(stopping_while_much_happens, 300)
{
    enum { MANY = 500 };
    static mop m[MANY];
    static int fds[MANY][2];
    char byte;
    for (int i = 0; i < MANY; i++)
        mini_pair(fds[i], SOCK_STREAM);
    for (int turn = 0; turn < 50; turn++) {
        struct sockaddr_in a;
        int listener = mini_listener(&a, CROWD);
        door d = {0};
        for (int i = 0; i < MANY; i++) {
            m[i] = op_poll(fds[i][0], POLLIN);
            mop_start(&m[i]);
        }
        if (turn % 2)
            mini_turn(0);
        door_start(&d, listener);
        mini_turn(0);
        for (int i = 0; i < MANY; i++)
            CHECK_INT(write(fds[i][1], "x", 1), 1);
        int fd = come(&a);
        door_stop(&d);
        close_listener(listener);
        check_closed(&a);
        for (int i = 0; i < MANY; i++) {
            CHECK_INT(mop_end(&m[i]), POLLIN);
            CHECK_INT(read(fds[i][0], &byte, 1), 1);
        }
        close_all(d.fds, d.n);
        close(fd);
        CHECK_INT(mini.t->under_way(mini.b), 0);
    }
    for (int i = 0; i < MANY; i++)
        mini_close_pair(fds[i]);
}

BOTH(stopping_with_a_full_ring)
{
    enum { MANY = 255 };
    struct sockaddr_in a;
    static mop m[MANY];
    char byte;
    int listener = mini_listener(&a, CROWD), fds[2];
    door d = {0};
    mini_pair(fds, SOCK_STREAM);
    door_start(&d, listener);
    mini_turn(0);
    for (int i = 0; i < MANY; i++) { /* not handed over yet */
        m[i] = op_poll(fds[0], POLLIN);
        mop_start(&m[i]);
    }
    door_stop(&d);
    close_listener(listener);
    check_closed(&a);
    CHECK_INT(write(fds[1], "x", 1), 1);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(mop_end(&m[i]), POLLIN);
    CHECK_INT(read(fds[0], &byte, 1), 1);
    mini_close_pair(fds);
}

static rlim_t limit_with_two_free(void)
{
    int fd = 0;
    for (int unused = 0; unused < 2; fd++)
        unused += fcntl(fd, F_GETFD) < 0;
    return (rlim_t)fd;
}

/* The last two are let in; the next one waits. */
BOTH(no_descriptors)
{
    struct sockaddr_in a;
    struct rlimit before, none;
    int listener = mini_listener(&a, CROWD), mine[3];
    door d = {0};
    for (int k = 0; k < 3; k++)
        mine[k] = come(&a);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = limit_with_two_free(), .rlim_max = before.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0); /* io_uring looks when an accept begins */
    door_let_in(&d, listener, 3);
    CHECK_INT(d.n, 2);
    CHECK_INT(d.error, -EMFILE);
    CHECK(!d.under_way);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    d.error = 0;
    door_let_in(&d, listener, 3);
    CHECK_INT(d.n, 3);
    door_stop(&d);
    close_all(d.fds, d.n);
    close_all(mine, 3);
    close_listener(listener);
}

/* More than the ring of completions holds. */
BOTH_LIMIT(a_crowd_beyond_the_ring, 300)
{
    enum { MANY = 4000 };
    static mop m[MANY];
    struct sockaddr_in a;
    int listener = mini_listener(&a, CROWD), mine[CROWD], fds[2];
    char byte;
    door d = {0};
    mini_pair(fds, SOCK_STREAM);
    door_start(&d, listener);
    for (int i = 0; i < MANY; i++) {
        m[i] = op_poll(fds[0], POLLIN);
        mop_start(&m[i]);
        if (i % 200 == 0)
            mini_turn(0);
    }
    mini_turn(0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    come_all(mine, &a);
    door_let_in(&d, listener, CROWD);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(mop_end(&m[i]), POLLIN);
    CHECK_INT(read(fds[0], &byte, 1), 1);
    door_stop(&d);
    close_all(d.fds, d.n);
    close_all(mine, CROWD);
    close_listener(listener);
    mini_close_pair(fds);
}
