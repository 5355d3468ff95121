/* Calls on connections that are told to stop: nothing has happened, nothing is lost. And who may call what. */
#include "net_try.h"

/* ---- Told to stop ---- */

static int64_t call_read(void *arg)
{
    char buf[10];
    return yoke_conn_read(arg, buf, sizeof buf);
}

static int64_t call_read_exactly(void *arg)
{
    char buf[10];
    return yoke_conn_read_exactly(arg, buf, sizeof buf);
}

static int64_t call_read_line(void *arg)
{
    const char *got;
    size_t len;
    return yoke_conn_read_line(arg, 1000, &got, &len);
}

static int64_t call_read_until(void *arg)
{
    const char *got;
    size_t len;
    return yoke_conn_read_until(arg, "END", 3, 1000, &got, &len);
}

static int64_t call_peek(void *arg)
{
    const char *got;
    return yoke_conn_peek(arg, 10, &got);
}

static int64_t (*const readers[])(void *arg) = {call_read_exactly, call_read_line, call_read_until, call_peek};

NET(readers_told_to_stop_leave_what_came)
{
    for (unsigned i = 0; i < YK_COUNT_OF(readers); i++) {
        ends e = tcp_pair();
        say(e.a, "12345");
        CHECK_INT(stopped(readers[i], e.b), -ECANCELED);
        CHECK_INT(timed_out(readers[i], e.b), -ECANCELED);
        CHECK_INT(stopped_before(readers[i], e.b), -ECANCELED);
        say(e.a, "67");
        hear(e.b, "1234567");
        CHECK_INT(stopped(readers[i], e.b), -ECANCELED);
        CHECK_INT(stopped(call_read, e.b), -ECANCELED);
        say(e.a, "89");
        hear(e.b, "89");
        close_ends(&e);
    }
}

NET(a_reader_told_before_it_begins_takes_nothing)
{
    ends e = tcp_pair();
    say(e.a, "12345");
    yoke_sleep(YOKE_MS);
    CHECK_INT(stopped_before(call_read, e.b), -ECANCELED);
    hear(e.b, "12345");
    close_ends(&e);
}

/* The cancel and the bytes in the same turn: either it has the bytes, or they are there. */
typedef struct together {
    ends e;
    char buf[10];
    ssize_t n;
} together;

static int read_once(void *arg)
{
    together *t = arg;
    t->n = yoke_conn_read(t->e.b, t->buf, sizeof t->buf);
    return 0;
}

static void cancel_and_send(int order)
{
    together t = {.e = tcp_pair()};
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, read_once, &t);
    for (int i = 0; i < 5; i++)
        yoke_yield();
    YOKE_SHIELD(10 * YOKE_S) {
        if (order < 6)
            CHECK_INT(yoke_conn_write(t.e.a, "12345", 5), 5);
        for (int i = 0; i < order % 6; i++)
            yoke_yield();
        yoke_group_cancel(&g);
        if (order >= 6)
            CHECK_INT(yoke_conn_write(t.e.a, "12345", 5), 5);
    }
    CHECK_INT(yoke_group_end(&g), 0);
    if (t.n == -ECANCELED) {
        hear(t.e.b, "12345");
    } else {
        CHECK_INT(t.n, 5);
        CHECK(memcmp(t.buf, "12345", 5) == 0);
    }
    close_ends(&t.e);
}

NET(a_cancel_and_bytes_at_once)
{
    for (int i = 0; i < 12; i++)
        cancel_and_send(i);
}

static int64_t call_write_much(void *arg)
{
    static char bytes[16 << 20];
    return yoke_conn_write(arg, bytes, sizeof bytes);
}

static int64_t call_write_one(void *arg)
{
    return yoke_conn_write(arg, "x", 1);
}

static int64_t call_flush(void *arg)
{
    return yoke_conn_flush(arg);
}

static size_t drain_all(yoke_conn *c)
{
    char buf[30000];
    size_t all = 0;
    for (ssize_t n; (n = yoke_conn_read(c, buf, sizeof buf)) != 0; all += (size_t)n)
        CHECK(n > 0);
    return all;
}

static int count_all(void *arg)
{
    together *t = arg;
    t->n = (ssize_t)drain_all(t->e.b);
    return 0;
}

/* One says how much it has taken; the next, which could take nothing, that nothing was. */
NET(writers_told_to_stop_say_what_was_taken)
{
    together t = {.e = tcp_pair()};
    int64_t taken = stopped(call_write_much, t.e.a);
    CHECK(taken > 0 && taken < 16 << 20);
    CHECK_INT(stopped(call_write_one, t.e.a), -ECANCELED);
    CHECK_INT(stopped(call_flush, t.e.a), -ECANCELED);
    CHECK_INT(timed_out(call_write_much, t.e.a), -ECANCELED);
    CHECK_INT(stopped_before(call_write_one, t.e.a), -ECANCELED);
    helper h;
    help(&h, count_all, &t);
    CHECK_INT(yoke_conn_close(t.e.a), 0);
    helped(&h);
    CHECK_INT(t.n, taken);
    CHECK_INT(yoke_conn_close(t.e.b), 0);
}

static int64_t call_close(void *arg)
{
    return yoke_conn_close(arg);
}

/* Who is told to stop does not wait, but what the kernel takes at once goes out. */
NET(close_told_to_stop_sends_what_it_can)
{
    ends e = tcp_pair();
    yoke_scope s;
    yoke_scope_begin(&s);
    say(e.a, "bye");
    yoke_scope_cancel(&s);
    CHECK_INT(yoke_conn_close(e.a), 0);
    yoke_scope_end(&s);
    hear(e.b, "bye");
    hear_end(e.b);
    CHECK_INT(yoke_conn_close(e.b), 0);
}

NET(close_told_to_stop_releases)
{
    int before = descriptors();
    ends e = tcp_pair();
    CHECK(stopped(call_write_much, e.a) > 0);
    CHECK_INT(stopped(call_close, e.a), -ECANCELED);
    yoke_conn_abort(e.b);
    check_descriptors(before);
    e = tcp_pair();
    say(e.a, "x");
    CHECK_INT(stopped_before(call_close, e.a), 0);
    yoke_conn_abort(e.b);
}

NET(close_waits_for_the_peer_no_longer_than_it_says)
{
    yk_conn_linger = 20 * YOKE_MS;
    ends e = tcp_pair();
    CHECK(stopped(call_write_much, e.a) > 0);
    CHECK_INT(yoke_conn_close(e.a), -ETIMEDOUT);
    yoke_conn_abort(e.b);
    e = tcp_pair();
    say(e.a, "never ends");
    CHECK_INT(yoke_conn_flush(e.a), 0);
    yoke_sleep(YOKE_MS);
    CHECK_INT(yoke_conn_close(e.b), 0);
    yoke_conn_abort(e.a);
}

/* ---- Two at once ---- */

static int echo(void *arg)
{
    yoke_conn *c = arg;
    char buf[5000];
    ssize_t n;
    while ((n = yoke_conn_read(c, buf, sizeof buf)) > 0)
        CHECK_INT(yoke_conn_write(c, buf, (size_t)n), n);
    CHECK_INT(n, 0);
    return yoke_conn_shutdown(c);
}

static int write_many(void *arg)
{
    unsigned char bytes[3000];
    for (size_t at = 0; at < 900 * sizeof bytes; at += sizeof bytes) {
        make_bytes(bytes, at, sizeof bytes);
        CHECK_INT(yoke_conn_write(arg, bytes, sizeof bytes), sizeof bytes);
    }
    return yoke_conn_shutdown(arg);
}

NET(one_reads_while_another_writes)
{
    ends e = tcp_pair();
    unsigned char buf[4000];
    size_t at = 0;
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, echo, e.b);
    yoke_go(&g, write_many, e.a);
    for (ssize_t n; (n = yoke_conn_read(e.a, buf, sizeof buf)) != 0; at += (size_t)n) {
        CHECK(n > 0);
        check_bytes(buf, at, (size_t)n);
    }
    CHECK_INT(at, 900 * 3000);
    CHECK_INT(yoke_group_end(&g), 0);
    close_ends(&e);
}

static int read_and_expect_closed(void *arg)
{
    CHECK_INT(call_read(arg), -ESHUTDOWN);
    return 0;
}

static int write_and_expect_closed(void *arg)
{
    int64_t n = call_write_much(arg);
    CHECK_INT(n, -ESHUTDOWN);
    return 0;
}

static void begin_both(yoke_group *g, yoke_conn *c)
{
    yoke_group_begin(g);
    yoke_go(g, read_and_expect_closed, c);
    yoke_go(g, write_and_expect_closed, c);
    for (int i = 0; i < 20; i++)
        yoke_yield();
}

NET(a_second_one_is_told_so)
{
    ends e = tcp_pair();
    yoke_group g;
    begin_both(&g, e.a);
    CHECK_INT(call_read(e.a), -EBUSY);
    CHECK_INT(call_read_line(e.a), -EBUSY);
    CHECK_INT(call_write_one(e.a), -EBUSY);
    CHECK_INT(call_flush(e.a), -EBUSY);
    CHECK_INT(yoke_conn_shutdown(e.a), -EBUSY);
    yoke_conn_abort(e.a); /* wakes both */
    CHECK_INT(yoke_group_end(&g), 0);
    yoke_conn_abort(e.b);
}

NET(close_wakes_who_waits)
{
    yk_conn_linger = 20 * YOKE_MS;
    ends e = tcp_pair();
    yoke_group g;
    begin_both(&g, e.a);
    CHECK_INT(yoke_conn_close(e.a), -ETIMEDOUT);
    CHECK_INT(yoke_group_end(&g), 0);
    yoke_conn_abort(e.b);
}

/* ---- Whose ---- */

static yoke_conn *of_a_thread;

static int try_foreign(void *arg)
{
    char byte;
    CHECK_INT(yoke_conn_read(of_a_thread, &byte, 1), -EXDEV);
    CHECK_INT(yoke_conn_write(of_a_thread, &byte, 1), -EXDEV);
    CHECK_INT(yoke_conn_shutdown(of_a_thread), -EXDEV);
    CHECK_INT(yoke_conn_close(of_a_thread), -EXDEV);
    return 0;
}

TEST(a_threads_connection_is_not_for_coroutines)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_INT(yoke_conn_of_fd(fds[0], &of_a_thread), 0);
    CHECK_INT(yoke_async_run(try_foreign, NULL), 0);
    CHECK_INT(yoke_conn_close(of_a_thread), 0);
    close(fds[1]);
}

/* ---- Fairness ---- */

static bool seen;

static int look(void *arg)
{
    seen = true;
    return 0;
}

NET(one_that_never_waits_lets_others_run)
{
    ends e = unix_pair();
    yoke_group g;
    int calls = 0;
    seen = false;
    yoke_group_begin(&g);
    yoke_go(&g, look, NULL);
    while (!seen && calls < 1000) {
        say(e.a, "x");
        hear(e.b, "x");
        calls += 2;
    }
    CHECK(calls <= 2 * 129);
    CHECK_INT(yoke_group_end(&g), 0);
    close_ends(&e);
}
