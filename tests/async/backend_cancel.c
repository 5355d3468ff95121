/* backend_cancel.c - operations that are cancelled before, while and after they happen, and several on one descriptor: what has
 * happened is told, and nothing is lost. */
#include "mini.h"
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/un.h>

/* ---- One of each kind that would wait for ever ---- */

typedef struct stuck {
    mop m;
    int fds[3];
    pid_t child;
    char buf[64];
    struct iovec v;
    struct msghdr message;
    struct sockaddr_un address;
    siginfo_t info;
} stuck;

static char much[4 << 20];

static void fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK_INT(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (write(fd, much, 4096) > 0 || errno != EAGAIN)
        continue;
    while (write(fd, much, 1) > 0)
        continue;
    CHECK_INT(fcntl(fd, F_SETFL, flags), 0);
}

static void stuck_poll(stuck *s)
{
    mini_tcp(s->fds);
    s->m = op_poll(s->fds[0], POLLIN);
}

static void stuck_read_pipe(stuck *s)
{
    CHECK_INT(pipe2(s->fds, O_CLOEXEC), 0);
    s->m = op_read(s->fds[0], s->buf, sizeof s->buf, -1);
}

static void stuck_write_pipe(stuck *s)
{
    CHECK_INT(pipe2(s->fds, O_CLOEXEC), 0);
    fill(s->fds[1]);
    s->m = op_write(s->fds[1], much, 100, -1);
}

static void stuck_read_terminal(stuck *s)
{
    CHECK_INT(openpty(&s->fds[0], &s->fds[1], NULL, NULL, NULL), 0);
    s->m = op_read(s->fds[1], s->buf, sizeof s->buf, -1);
}

static void stuck_write_terminal(stuck *s)
{
    CHECK_INT(openpty(&s->fds[0], &s->fds[1], NULL, NULL, NULL), 0);
    for (int i = 0; i < 10; i++) { /* the kernel moves it on, later */
        fill(s->fds[1]);
        usleep(1000);
    }
    fill(s->fds[1]);
    s->m = op_write(s->fds[1], much, 1000, -1);
}

static void stuck_read_eventfd(stuck *s)
{
    s->fds[0] = eventfd(0, EFD_CLOEXEC);
    s->m = op_read(s->fds[0], s->buf, 8, -1);
}

static void stuck_read_socket(stuck *s)
{
    mini_tcp(s->fds);
    s->m = op_read(s->fds[0], s->buf, sizeof s->buf, -1);
}

static void stuck_recv(stuck *s)
{
    mini_tcp(s->fds);
    s->m = op_recv(s->fds[0], s->buf, sizeof s->buf, 0);
}

static void stuck_recv_all(stuck *s)
{
    mini_pair(s->fds, SOCK_STREAM);
    s->m = op_recv(s->fds[0], s->buf, sizeof s->buf, MSG_WAITALL);
}

static void stuck_send(stuck *s)
{
    mini_pair(s->fds, SOCK_STREAM);
    fill(s->fds[0]);
    s->m = op_send(s->fds[0], much, 10000, 0);
}

static void set_message(stuck *s, yk_op_kind kind, int fd)
{
    s->v = (struct iovec){s->buf, sizeof s->buf};
    s->message = (struct msghdr){.msg_iov = &s->v, .msg_iovlen = 1};
    s->m = (mop){.op = {.kind = kind, .fd = fd, .message = &s->message}};
}

static void stuck_recvmsg(stuck *s)
{
    mini_pair(s->fds, SOCK_DGRAM);
    set_message(s, YK_OP_RECVMSG, s->fds[0]);
}

static void stuck_sendmsg(stuck *s)
{
    mini_pair(s->fds, SOCK_SEQPACKET);
    fill(s->fds[0]);
    set_message(s, YK_OP_SENDMSG, s->fds[0]);
}

static void stuck_accept(stuck *s)
{
    struct sockaddr_in a;
    s->fds[0] = mini_listener(&a, 5);
    s->m = op_accept(s->fds[0], 0);
}

static void stuck_connect(stuck *s)
{
    static int n;
    s->address.sun_family = AF_UNIX;
    snprintf(s->address.sun_path + 1, sizeof s->address.sun_path - 1, "yoke-stuck-%d-%d", (int)getpid(), n++);
    for (int i = 0; i < 3; i++)
        s->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(s->fds[0], (struct sockaddr *)&s->address, sizeof s->address), 0);
    CHECK_INT(listen(s->fds[0], 0), 0);
    CHECK_INT(connect(s->fds[1], (struct sockaddr *)&s->address, sizeof s->address), 0);
    s->m = op_connect(s->fds[2], (struct sockaddr *)&s->address, sizeof s->address);
}

static void stuck_wait_child(stuck *s)
{
    s->child = fork();
    if (s->child == 0)
        for (;;)
            pause();
    s->fds[0] = pidfd_open(s->child, 0);
    s->m = (mop){.op = {.kind = YK_OP_WAIT_CHILD, .fd = s->fds[0], .info = &s->info}};
}

static const struct {
    const char *name;
    void (*set)(stuck *s);
} kinds[] = {
    {"poll", stuck_poll}, {"read of a pipe", stuck_read_pipe}, {"write to a pipe", stuck_write_pipe},
    {"read of a terminal", stuck_read_terminal}, {"write to a terminal", stuck_write_terminal},
    {"read of an eventfd", stuck_read_eventfd}, {"read of a socket", stuck_read_socket}, {"recv", stuck_recv},
    {"recv all", stuck_recv_all}, {"send", stuck_send}, {"recvmsg", stuck_recvmsg}, {"sendmsg", stuck_sendmsg},
    {"accept", stuck_accept}, {"connect", stuck_connect}, {"wait for a child", stuck_wait_child}};

static void stuck_open(stuck *s, size_t kind)
{
    memset(s, 0, sizeof *s);
    s->fds[0] = s->fds[1] = s->fds[2] = -1;
    kinds[kind].set(s);
}

static void stuck_close(stuck *s)
{
    for (int i = 0; i < 3; i++)
        if (s->fds[i] >= 0) {
            mini.t->forget(mini.b, s->fds[i]);
            close(s->fds[i]);
        }
    if (s->child > 0) {
        kill(s->child, SIGKILL);
        waitpid(s->child, NULL, 0);
    }
}

static stuck all[YK_COUNT_OF(kinds)];

BOTH(cancelled_before)
{
    for (size_t i = 0; i < YK_COUNT_OF(kinds); i++) {
        printf("# %s\n", kinds[i].name);
        stuck_open(&all[i], i);
        CHECK(!mop_start(&all[i].m));
        CHECK_INT(mop_cancel(&all[i].m), -ECANCELED);
        CHECK_INT(mini.t->under_way(mini.b), 0);
        stuck_close(&all[i]);
    }
}

BOTH(cancelled_while_it_waits)
{
    for (size_t i = 0; i < YK_COUNT_OF(kinds); i++) {
        printf("# %s\n", kinds[i].name);
        stuck_open(&all[i], i);
        mop_wait(&all[i].m);
        mini_turn(yoke_now() + 2 * YOKE_MS);
        CHECK_INT(mop_cancel(&all[i].m), -ECANCELED);
        CHECK_INT(mini.t->under_way(mini.b), 0);
        mop_wait(&all[i].m); /* it can be asked for again */
        CHECK_INT(mop_cancel(&all[i].m), -ECANCELED);
        stuck_close(&all[i]);
    }
}

/* The same with O_NONBLOCK: it is the operation that waits, whatever the descriptor is. */
BOTH(non_blocking_descriptors_wait_too)
{
    for (size_t i = 0; i < YK_COUNT_OF(kinds); i++) {
        printf("# %s\n", kinds[i].name);
        stuck_open(&all[i], i);
        for (int k = 0; k < 3; k++)
            if (all[i].fds[k] >= 0)
                CHECK_INT(fcntl(all[i].fds[k], F_SETFL, fcntl(all[i].fds[k], F_GETFL) | O_NONBLOCK), 0);
        mop_wait(&all[i].m);
        CHECK_INT(mop_cancel(&all[i].m), -ECANCELED);
        stuck_close(&all[i]);
    }
}

BOTH(cancelled_all_at_once)
{
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < YK_COUNT_OF(kinds); i++) {
            stuck_open(&all[i], i);
            CHECK(!mop_start(&all[i].m));
            if (round % 2)
                mini_turn(0);
        }
        CHECK_INT(mini.t->under_way(mini.b), YK_COUNT_OF(kinds));
        for (size_t i = 0; i < YK_COUNT_OF(kinds); i++)
            if (mini.t->cancel(mini.b, &all[i].m.op)) {
                all[i].m.over = true;
                all[i].m.op.result = -ECANCELED;
            } else {
                CHECK(!mini.t->cancel(mini.b, &all[i].m.op)); /* asking again changes nothing */
            }
        for (size_t i = 0; i < YK_COUNT_OF(kinds); i++) {
            CHECK_INT(mop_end(&all[i].m), -ECANCELED);
            stuck_close(&all[i]);
        }
        CHECK_INT(mini.t->under_way(mini.b), 0);
    }
}

/* ---- What has happened is told ---- */

BOTH(cancelled_when_a_part_is_there)
{
    int fds[2];
    char buf[8];
    mini_pair(fds, SOCK_STREAM);
    mop m = op_recv(fds[0], buf, 8, MSG_WAITALL);
    mop_wait(&m);
    CHECK_INT(write(fds[1], "abc", 3), 3);
    for (int i = 0; i < 3; i++)
        mini_turn(yoke_now() + YOKE_MS);
    CHECK_INT(mop_cancel(&m), 3);
    mop s = op_send(fds[0], much, sizeof much, 0);
    mop_wait(&s);
    int64_t n = mop_cancel(&s), got = 0;
    CHECK(n > 0 && n < (int64_t)sizeof much);
    for (ssize_t k; (k = recv(fds[1], much, sizeof much, MSG_DONTWAIT)) > 0;)
        got += k;
    CHECK_INT(got, n);
    mini_close_pair(fds);
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    mop w = op_write(fds[1], much, sizeof much, -1);
    mop_wait(&w);
    n = mop_cancel(&w);
    CHECK(n > 0 && n < (int64_t)sizeof much);
    close(fds[1]);
    for (ssize_t k; (k = read(fds[0], much, sizeof much)) > 0;)
        n -= k;
    CHECK_INT(n, 0);
    close(fds[0]);
}

/* Bytes arrive and the operation is cancelled at the same time: each byte comes once, in its order. */
BOTH(no_byte_is_lost)
{
    enum { ROUNDS = 3000 };
    int fds[2];
    unsigned sent = 0, got = 0, cancelled = 0;
    mini_tcp(fds);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned char buf[16];
        mop m = op_recv(fds[0], buf, 1 + test_random() % sizeof buf, 0);
        bool over = mop_start(&m);
        if (!over && test_random() % 2)
            mini_turn(0);
        for (unsigned k = (unsigned)(test_random() % 4); k > 0; k--, sent++)
            CHECK_INT(write(fds[1], &(unsigned char){(unsigned char)sent}, 1), 1);
        if (!m.over && test_random() % 2)
            mini_turn(0);
        int64_t n = m.over ? m.op.result : mop_cancel(&m);
        cancelled += n == -ECANCELED;
        CHECK(n > 0 || n == -ECANCELED);
        for (int64_t k = 0; k < n; k++, got++)
            CHECK_INT(buf[k], (unsigned char)got);
    }
    while (got < sent) {
        unsigned char byte;
        mop m = op_recv(fds[0], &byte, 1, 0);
        CHECK_INT(mop_run(&m), 1);
        CHECK_INT(byte, (unsigned char)got++);
    }
    CHECK(cancelled > 0 && cancelled < ROUNDS);
    mini_close_pair(fds);
}

BOTH(no_connection_is_lost)
{
    struct sockaddr_in a;
    int listener = mini_listener(&a, 100), accepted = 0, connected = 0;
    for (int i = 0; i < 500; i++) {
        mop m = op_accept(listener, 0);
        mop_start(&m);
        if (test_random() % 2)
            mini_turn(0);
        if (test_random() % 2) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
            close(fd);
            connected++;
        }
        if (test_random() % 2)
            mini_turn(0);
        int64_t n = m.over ? m.op.result : mop_cancel(&m);
        CHECK(n >= 0 || n == -ECANCELED);
        if (n >= 0) {
            close((int)n);
            accepted++;
        }
    }
    for (; accepted < connected; accepted++) {
        mop m = op_accept(listener, 0);
        int fd = (int)mop_run(&m);
        CHECK(fd >= 0);
        close(fd);
    }
    CHECK_INT(accepted, connected);
    close(listener);
}

/* One ends, and the end of it cancels another that has ended too: that one is told what happened. */
static mop pair_of[2];

static void cancel_the_other(yk_op *op)
{
    mop *other = op == &pair_of[0].op ? &pair_of[1] : &pair_of[0];
    mop_done(op);
    if (!other->over && mini.t->cancel(mini.b, &other->op)) {
        other->over = true;
        other->op.result = -ECANCELED;
    }
}

BOTH(cancelled_by_another)
{
    int fds[2][2], both = 0;
    char buf[2];
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 2; k++) {
            mini_pair(fds[k], SOCK_STREAM);
            pair_of[k] = op_recv(fds[k][0], &buf[k], 1, 0);
            pair_of[k].op.done = cancel_the_other;
            CHECK(!mini.t->start(mini.b, &pair_of[k].op));
        }
        mini_turn(0);
        for (int k = 0; k < 2; k++)
            CHECK_INT(write(fds[k][1], "a", 1), 1);
        for (int k = 0; k < 2; k++) {
            int64_t n = mop_end(&pair_of[k]);
            CHECK(n == 1 || n == -ECANCELED);
            CHECK_INT(recv(fds[k][0], buf, 2, MSG_DONTWAIT), n == 1 ? -1 : 1);
            mini_close_pair(fds[k]);
        }
        both += pair_of[0].op.result == 1 && pair_of[1].op.result == 1;
    }
    printf("# both had ended %d times\n", both);
}

/* ---- Several on one descriptor ---- */

BOTH(order_on_one_descriptor)
{
    enum { N = 20 };
    int fds[2];
    mop m[N];
    char buf[N];
    mini_pair(fds, SOCK_STREAM);
    for (int i = 0; i < N; i++) {
        m[i] = op_recv(fds[0], &buf[i], 1, 0);
        mop_wait(&m[i]);
    }
    CHECK_INT(mop_cancel(&m[3]), -ECANCELED); /* one that is behind another, */
    CHECK_INT(mop_cancel(&m[0]), -ECANCELED); /* and the one in front */
    for (int i = 0; i < N - 2; i++)
        CHECK_INT(write(fds[1], &(char){(char)i}, 1), 1);
    for (int i = 0, k = 0, before = 0; i < N; i++) {
        if (i == 0 || i == 3)
            continue;
        CHECK_INT(mop_end(&m[i]), 1);
        CHECK_INT(buf[i], k++);
        CHECK(m[i].order > before);
        before = m[i].order;
    }
    mini_close_pair(fds);
}

/* Each send is whole, whoever else sends. */
BOTH(sends_are_not_mixed)
{
    enum { N = 8, EACH = 300000 };
    int fds[2];
    static char bytes[N][EACH];
    mop m[N];
    mini_tcp(fds);
    for (int i = 0; i < N; i++) {
        memset(bytes[i], 'a' + i, EACH);
        m[i] = i % 2 ? op_send(fds[0], bytes[i], EACH, 0) : op_write(fds[0], bytes[i], EACH, -1);
        mop_start(&m[i]);
    }
    mop in = op_recv(fds[1], much, N * EACH, MSG_WAITALL);
    CHECK_INT(mop_run(&in), N * EACH);
    for (int i = 0; i < N; i++) {
        CHECK_INT(mop_end(&m[i]), EACH);
        CHECK_INT(memcmp(much + i * EACH, bytes[i], EACH), 0);
    }
    mini_close_pair(fds);
}

/* Both ways at once, and who only watches. */
BOTH(ways_do_not_wait_for_each_other)
{
    int fds[2];
    char buf[8];
    mini_pair(fds, SOCK_STREAM);
    fill(fds[0]);
    mop in = op_recv(fds[0], buf, 8, 0), out = op_send(fds[0], "abc", 3, 0), see = op_poll(fds[0], POLLIN);
    mop_wait(&in);
    mop_wait(&out);
    mop_wait(&see);
    CHECK_INT(recv(fds[1], much, sizeof much, MSG_DONTWAIT) > 0, 1);
    while (!out.over) {
        mini_turn(0);
        recv(fds[1], much, sizeof much, MSG_DONTWAIT);
    }
    CHECK(!in.over && !see.over);
    CHECK_INT(mop_cancel(&in), -ECANCELED);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(mop_end(&see), POLLIN);
    mini_close_pair(fds);
}

/* A program closes a descriptor without a word, and the next one has its number. */
BOTH(numbers_are_used_again)
{
    int fds[2];
    char buf[8];
    for (int i = 0; i < 100; i++) {
        if (i % 5 == 4) { /* a file for once */
            int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
            mop r = op_read(file, buf, sizeof buf, -1);
            CHECK_INT(mop_run(&r), sizeof buf);
            close(file);
        }
        if (i % 3 == 2)
            CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        else if (i % 3)
            mini_pair(fds, SOCK_STREAM);
        else
            mini_tcp(fds);
        mop m = op_read(fds[0], buf, sizeof buf, -1);
        mop_wait(&m);
        CHECK_INT(write(fds[1], "abc", 3), 3);
        CHECK_INT(mop_end(&m), 3);
        mop_wait(&m);
        CHECK_INT(mop_cancel(&m), -ECANCELED);
        close(fds[0]);
        close(fds[1]);
    }
}
