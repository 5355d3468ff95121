/* backend_flow.c - flows over both backends: what connections are made of. */
#include "mini.h"

typedef struct side {
    yk_flow *f;
    int data, room, empty; /* how often it was told */
} side;

static void told_data(void *arg)
{
    ((side *)arg)->data++;
}

static void told_room(void *arg)
{
    ((side *)arg)->room++;
}

static void told_empty(void *arg)
{
    ((side *)arg)->empty++;
}

static side side_open(int fd)
{
    side s = {0};
    CHECK_INT(mini.t->flow_open(mini.b, fd, &s.f), 0);
    return s;
}

static void turn_until(const int *word, int value)
{
    while (*word < value)
        mini_turn(YOKE_FOREVER);
}

/* Waits until there is something to receive, and receives it. */
static ssize_t side_recv(side *s, void *to, size_t n)
{
    ssize_t got;
    while ((got = mini.t->flow_recv(s->f, to, n)) == -EAGAIN) {
        int before = s->data;
        mini.t->flow_want(s->f, told_data, s);
        turn_until(&s->data, before + 1);
    }
    return got;
}

static void side_recv_all(side *s, void *to, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t m = side_recv(s, (char *)to + got, n - got);
        CHECK(m > 0);
        got += (size_t)m;
    }
}

/* Waits for room until all of it is taken. 0, or the error. */
static ssize_t side_send(side *s, const void *from, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        ssize_t m = mini.t->flow_send(s->f, (const char *)from + sent, n - sent);
        if (m == -EAGAIN) {
            int before = s->room;
            mini.t->flow_want_room(s->f, told_room, s);
            turn_until(&s->room, before + 1);
        } else if (m < 0) {
            return m;
        } else {
            sent += (size_t)m;
        }
    }
    return 0;
}

static void side_close(side *s)
{
    mini.t->flow_close(s->f);
    while (mini.t->under_way(mini.b) > 0)
        mini_turn(YOKE_FOREVER);
}

static void flush(side *s)
{
    int before = s->empty;
    mini.t->flow_want_empty(s->f, told_empty, s);
    turn_until(&s->empty, before + 1);
}

BOTH(flow_echo)
{
    int fds[2];
    char buf[64], back[64];
    mini_tcp(fds);
    side s = side_open(fds[0]);
    for (int i = 0; i < 1000; i++) {
        memset(buf, i, sizeof buf);
        CHECK_INT(write(fds[1], buf, sizeof buf), sizeof buf);
        side_recv_all(&s, back, sizeof back);
        CHECK_INT(memcmp(buf, back, sizeof buf), 0);
        CHECK_INT(side_send(&s, back, sizeof back), 0);
        flush(&s);
        memset(back, 0, sizeof back);
        CHECK_INT(recv(fds[1], back, sizeof back, MSG_WAITALL), sizeof back);
        CHECK_INT(memcmp(buf, back, sizeof buf), 0);
    }
    CHECK_INT(mini.t->flow_recv(s.f, buf, 1), -EAGAIN);
    close(fds[1]);
    CHECK_INT(side_recv(&s, buf, 1), 0);
    CHECK_INT(side_recv(&s, buf, 1), 0);
    side_close(&s);
    CHECK_INT(fcntl(fds[0], F_GETFD), -1);
}

/* Data that was there before the flow, and more than one asks for at a time. */
BOTH(flow_a_byte_at_a_time)
{
    int fds[2];
    char buf[100];
    mini_tcp(fds);
    for (int i = 0; i < 50; i++)
        CHECK_INT(write(fds[1], &(char){(char)i}, 1), 1);
    side s = side_open(fds[0]);
    for (int i = 0; i < 50; i++) {
        CHECK_INT(side_recv(&s, buf, 1), 1);
        CHECK_INT(buf[0], i);
    }
    for (int i = 0; i < 300; i++) {
        CHECK_INT(write(fds[1], &(char){(char)i}, 1), 1);
        CHECK_INT(side_recv(&s, buf, sizeof buf), 1);
        CHECK_INT(buf[0], (char)i);
        CHECK_INT(side_send(&s, buf, 1), 0);
    }
    flush(&s);
    for (int i = 0; i < 300; i++) {
        CHECK_INT(read(fds[1], buf, 1), 1);
        CHECK_INT(buf[0], (char)i);
    }
    side_close(&s);
    close(fds[1]);
}

/* ---- Much ---- */

static char pattern(size_t i)
{
    return (char)(i * 7 + i / 251 + i / 65536);
}

static size_t amount;

static void *write_pattern(void *arg)
{
    int fd = *(int *)arg;
    static char buf[40000];
    for (size_t sent = 0; sent < amount;) {
        size_t n = YK_MIN(sizeof buf, amount - sent);
        for (size_t i = 0; i < n; i++)
            buf[i] = pattern(sent + i);
        for (size_t k = 0; k < n;) {
            ssize_t m = write(fd, buf + k, n - k);
            if (m <= 0)
                return NULL;
            k += (size_t)m;
        }
        sent += n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void *read_pattern(void *arg)
{
    int fd = *(int *)arg;
    static char buf[50000];
    size_t got = 0;
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != pattern(got + (size_t)i))
                return (void *)(got + (size_t)i + 1);
        got += (size_t)n;
    }
    return (void *)(got == amount ? 0 : got + 1);
}

/* A thread writes it, a flow echoes it, a thread reads it. */
static void echo_much(size_t n, int flags)
{
    int fds[2];
    void *wrong;
    pthread_t writer, reader;
    static char buf[100000];
    amount = n;
    mini_tcp(fds);
    CHECK_INT(fcntl(fds[0], F_SETFL, flags), 0);
    side s = side_open(fds[0]);
    CHECK_INT(pthread_create(&writer, NULL, write_pattern, &fds[1]), 0);
    CHECK_INT(pthread_create(&reader, NULL, read_pattern, &fds[1]), 0);
    ssize_t got;
    while ((got = side_recv(&s, buf, 1 + test_random() % sizeof buf)) > 0)
        CHECK_INT(side_send(&s, buf, (size_t)got), 0);
    CHECK_INT(got, 0);
    mini.t->flow_shutdown(s.f);
    CHECK_INT(mini.t->flow_send(s.f, buf, 1), -EPIPE);
    while (mini.t->flow_unsent(s.f) > 0)
        flush(&s);
    pthread_join(writer, NULL);
    pthread_join(reader, &wrong);
    CHECK_INT((size_t)wrong, 0);
    side_close(&s);
    close(fds[1]);
}

BOTH_LIMIT(flow_100_MiB, 300)
{
    echo_much((size_t)100 << 20, 0);
}

BOTH(flow_of_a_non_blocking_socket)
{
    echo_much(5 << 20, O_NONBLOCK);
}

/* Requests, much, and requests again: how bytes are received changes on the way. */
BOTH(flow_changes_its_ways)
{
    enum { BULK = 3 << 20 };
    int fds[2];
    static char buf[BULK];
    mini_pair(fds, SOCK_STREAM);
    side s = side_open(fds[0]);
    size_t at = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++, at++) {
            CHECK_INT(write(fds[1], &(char){pattern(at)}, 1), 1);
            CHECK_INT(side_recv(&s, buf, sizeof buf), 1);
            CHECK_INT(buf[0], pattern(at));
        }
        for (size_t sent = 0, got = 0; got < BULK;) {
            char some[30000];
            size_t n = YK_MIN(sizeof some, BULK - sent);
            for (size_t i = 0; i < n; i++)
                some[i] = pattern(at + sent + i);
            ssize_t m = send(fds[1], some, n, MSG_DONTWAIT);
            sent += m > 0 ? (size_t)m : 0;
            mini_turn(0);
            if (m > 0 && test_random() % 4)
                continue;
            ssize_t k = mini.t->flow_recv(s.f, buf + got, BULK - got);
            if (k == -EAGAIN) {
                mini.t->flow_want(s.f, told_data, &s);
                continue;
            }
            CHECK(k > 0);
            for (ssize_t i = 0; i < k; i++)
                CHECK_INT(buf[got + (size_t)i], pattern(at + got + (size_t)i));
            got += (size_t)k;
        }
        mini.t->flow_unwant(s.f);
        at += BULK;
    }
    side_close(&s);
    close(fds[1]);
}

/* ---- Backpressure ---- */

BOTH(flow_marks)
{
    int fds[2];
    static char buf[1 << 20];
    size_t taken = 0, got = 0;
    mini_tcp(fds);
    side s = side_open(fds[0]);
    ssize_t n;
    for (;;) { /* until neither the kernel nor the flow takes more */
        n = mini.t->flow_send(s.f, buf, sizeof buf);
        if (n > 0) {
            taken += (size_t)n;
            continue;
        }
        CHECK_INT(n, -EAGAIN);
        mini_turn(yoke_now() + 20 * YOKE_MS);
        if (mini.t->flow_unsent(s.f) == 64 << 10)
            break;
    }
    CHECK_INT(mini.t->flow_send(s.f, buf, 1), -EAGAIN);
    mini.t->flow_want_room(s.f, told_room, &s);
    mini_turn(0);
    CHECK_INT(s.room, 0);
    while (s.room == 0) {
        ssize_t m = recv(fds[1], buf, 4096, MSG_DONTWAIT);
        got += m > 0 ? (size_t)m : 0;
        mini_turn(0);
        CHECK(s.room == 0 || mini.t->flow_unsent(s.f) <= 16 << 10);
    }
    CHECK(mini.t->flow_send(s.f, buf, 100) == 100);
    taken += 100;
    mini.t->flow_want_empty(s.f, told_empty, &s);
    while (s.empty == 0) {
        ssize_t m = recv(fds[1], buf, 65536, MSG_DONTWAIT);
        got += m > 0 ? (size_t)m : 0;
        mini_turn(0);
    }
    CHECK_INT(mini.t->flow_unsent(s.f), 0);
    while (got < taken) {
        ssize_t m = recv(fds[1], buf, sizeof buf, 0);
        CHECK(m > 0);
        got += (size_t)m;
    }
    CHECK_INT(recv(fds[1], buf, 1, MSG_DONTWAIT), -1);
    side_close(&s);
    close(fds[1]);
}

/* What nobody asks for stays with the sender, in the end. */
BOTH(flow_unread_data_is_not_hoarded)
{
    int fds[2];
    static char buf[1 << 16];
    mini_tcp(fds);
    side s = side_open(fds[0]);
    size_t sent = 0, got = 0;
    int idle = 0;
    while (idle < 20) {
        ssize_t n = send(fds[1], buf, sizeof buf, MSG_DONTWAIT);
        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0 ? (size_t)n : 0;
        mini_turn(n > 0 ? 0 : yoke_now() + YOKE_MS);
        CHECK(sent < 64 << 20);
    }
    while (got < sent)
        got += (size_t)side_recv(&s, buf, sizeof buf);
    CHECK_INT(got, sent);
    CHECK_INT(mini.t->flow_recv(s.f, buf, 1), -EAGAIN);
    close(fds[1]);
    CHECK_INT(side_recv(&s, buf, 1), 0);
    side_close(&s);
}

/* ---- Ends ---- */

BOTH(flow_half_close)
{
    int fds[2];
    char buf[8] = {0};
    mini_tcp(fds);
    side s = side_open(fds[0]);
    CHECK_INT(write(fds[1], "abc", 3), 3);
    shutdown(fds[1], SHUT_WR);
    side_recv_all(&s, buf, 3);
    CHECK_STR(buf, "abc");
    CHECK_INT(side_recv(&s, buf, 8), 0);
    CHECK_INT(side_send(&s, "defg", 4), 0); /* the other half lives */
    mini.t->flow_shutdown(s.f);
    mini.t->flow_shutdown(s.f);
    CHECK_INT(mini.t->flow_send(s.f, "h", 1), -EPIPE);
    flush(&s);
    CHECK_INT(recv(fds[1], buf, 8, MSG_WAITALL), 4);
    CHECK_STR(buf, "defg");
    side_close(&s);
    close(fds[1]);
}

static void reset(int fd)
{
    struct linger now = {1, 0};
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

BOTH(flow_reset)
{
    int fds[2];
    char buf[8];
    static char much[1 << 20];
    mini_tcp(fds);
    side s = side_open(fds[0]);
    mini.t->flow_want(s.f, told_data, &s);
    mini_turn(0);
    reset(fds[1]);
    turn_until(&s.data, 1);
    CHECK_INT(side_recv(&s, buf, 8), -ECONNRESET);
    ssize_t err = side_send(&s, "a", 1);
    if (err == 0) {
        flush(&s);
        err = mini.t->flow_send(s.f, "a", 1);
    }
    CHECK(err == -EPIPE || err == -ECONNRESET);
    side_close(&s);

    mini_tcp(fds); /* while it sends */
    s = side_open(fds[0]);
    while (mini.t->flow_send(s.f, much, sizeof much) > 0)
        mini_turn(0);
    mini.t->flow_want_room(s.f, told_room, &s);
    mini.t->flow_want_empty(s.f, told_empty, &s);
    mini_turn(0);
    reset(fds[1]);
    turn_until(&s.room, 1);
    turn_until(&s.empty, 1);
    err = mini.t->flow_send(s.f, "a", 1);
    CHECK(err == -EPIPE || err == -ECONNRESET);
    CHECK_INT(mini.t->flow_unsent(s.f), 0);
    side_close(&s);
}

BOTH(flow_closed_with_everything_pending)
{
    enum { N = 50 };
    int fds[N][2], before = mini_descriptors();
    static char much[1 << 20];
    side s[N];
    for (int i = 0; i < N; i++) {
        mini_tcp(fds[i]);
        s[i] = side_open(fds[i][0]);
        if (i % 2)
            while (mini.t->flow_send(s[i].f, much, sizeof much) > 0)
                continue;
        mini.t->flow_want(s[i].f, told_data, &s[i]);
        mini.t->flow_want_room(s[i].f, told_room, &s[i]);
        mini.t->flow_want_empty(s[i].f, told_empty, &s[i]);
        if (i % 3)
            mini_turn(0);
        if (i % 5 == 0)
            CHECK_INT(write(fds[i][1], "abc", 3), 3);
    }
    for (int i = 0; i < N; i++) {
        s[i].data = s[i].room = s[i].empty = 0;
        mini.t->flow_close(s[i].f);
    }
    while (mini.t->under_way(mini.b) > 0)
        mini_turn(YOKE_FOREVER);
    for (int i = 0; i < N; i++) {
        CHECK_INT(s[i].data + s[i].room + s[i].empty, 0);
        close(fds[i][1]);
    }
    CHECK_INT(mini_descriptors(), before);
}

/* ---- Callbacks that close ---- */

static side three[3];

static void close_all_but_first(void *arg)
{
    side *s = arg;
    s->data++;
    for (int i = 0; i < 3; i++)
        if (three[i].f && &three[i] != three) {
            mini.t->flow_close(three[i].f);
            three[i].f = NULL;
        }
}

BOTH(flow_closed_by_another)
{
    int fds[3][2];
    for (int i = 0; i < 3; i++) {
        mini_tcp(fds[i]);
        three[i] = side_open(fds[i][0]);
    }
    mini_turn(0);
    for (int i = 0; i < 3; i++) {
        mini.t->flow_want(three[i].f, close_all_but_first, &three[i]);
        mini.t->flow_want_empty(three[i].f, told_empty, &three[i]);
        mini.t->flow_want_room(three[i].f, told_room, &three[i]);
        CHECK_INT(write(fds[i][1], "a", 1), 1);
    }
    while (three[1].f)
        mini_turn(YOKE_FOREVER);
    CHECK(three[2].f == NULL);
    side_close(&three[0]);
    for (int i = 0; i < 3; i++)
        close(fds[i][1]);
}

BOTH(flow_wants_end)
{
    int fds[2];
    char buf[8];
    mini_tcp(fds);
    side s = side_open(fds[0]);
    mini.t->flow_want(s.f, told_data, &s);
    mini.t->flow_unwant(s.f);
    mini.t->flow_want_room(s.f, told_room, &s);
    mini.t->flow_unwant_room(s.f);
    CHECK_INT(write(fds[1], "abc", 3), 3);
    for (int i = 0; i < 5; i++)
        mini_turn(yoke_now() + YOKE_MS);
    CHECK_INT(s.data + s.room, 0);
    mini.t->flow_want(s.f, told_data, &s); /* what is there already is told, once */
    turn_until(&s.data, 1);
    mini_turn(0);
    CHECK_INT(s.data, 1);
    CHECK_INT(side_recv(&s, buf, 8), 3);
    mini.t->flow_want(s.f, told_data, &s);
    mini_turn(0);
    CHECK_INT(s.data, 1); /* nothing is there */
    side_close(&s);
    close(fds[1]);
}

/* Many connections with data that nobody reads yet: more than there can be buffers for. */
BOTH(flow_storm)
{
    enum { N = 200, EACH = 60000 };
    static int fds[N][2];
    static side s[N];
    static char out[EACH], in[EACH];
    for (size_t i = 0; i < EACH; i++)
        out[i] = pattern(i);
    for (int i = 0; i < N; i++) {
        mini_pair(fds[i], SOCK_STREAM);
        s[i] = side_open(fds[i][0]);
    }
    for (int i = 0; i < N; i++) {
        CHECK_INT(write(fds[i][1], out, EACH), EACH);
        mini_turn(0);
    }
    for (int i = 0; i < 5; i++)
        mini_turn(0);
    for (int k = 0; k < N; k++) {
        int i = k * 7 % N;
        memset(in, 0, EACH);
        side_recv_all(&s[i], in, EACH);
        CHECK_INT(memcmp(in, out, EACH), 0);
        CHECK_INT(mini.t->flow_recv(s[i].f, in, 1), -EAGAIN);
    }
    for (int i = 0; i < N; i++) {
        CHECK_INT(write(fds[i][1], "xyz", 3), 3); /* all of them are still heard */
        side_recv_all(&s[i], in, 3);
        close(fds[i][1]);
        CHECK_INT(side_recv(&s[i], in, 1), 0);
        mini.t->flow_close(s[i].f);
    }
    while (mini.t->under_way(mini.b) > 0)
        mini_turn(YOKE_FOREVER);
}
