/* Connections: every call, in coroutines and in threads. What happens when one is told to stop is in net_stop.c. */
#include "net_try.h"

/* ---- Reading ---- */

NET_ALSO(read_gives_what_there_is)
{
    ends e = unix_pair();
    char buf[100];
    say(e.a, "hello");
    CHECK_INT(yoke_conn_read(e.b, buf, sizeof buf), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    say(e.a, "more");
    CHECK_INT(yoke_conn_read(e.b, buf, 2), 2);
    CHECK_INT(yoke_conn_read(e.b, buf + 2, sizeof buf - 2), 2);
    CHECK(memcmp(buf, "more", 4) == 0);
    CHECK_INT(yoke_conn_read(e.b, buf, 0), 0);
    CHECK_INT(yoke_conn_write(e.b, buf, 0), 0);
    CHECK_INT(yoke_conn_shutdown(e.a), 0);
    hear_end(e.b);
    say(e.b, "still");
    hear(e.a, "still");
    close_ends(&e);
}

static int say_slowly(void *arg)
{
    yoke_conn *c = arg;
    for (int i = 0; i < 3; i++) {
        yoke_sleep(2 * YOKE_MS);
        yoke_conn_write(c, "abc", 3);
    }
    yoke_sleep(2 * YOKE_MS);
    return yoke_conn_shutdown(c);
}

NET_ALSO(read_waits)
{
    ends e = tcp_pair();
    helper h;
    char buf[100];
    help(&h, say_slowly, e.a);
    CHECK_INT(yoke_conn_read(e.b, buf, 2), 2);
    hear(e.b, "cabcabc");
    hear_end(e.b);
    helped(&h);
    close_ends(&e);
}

NET_ALSO(read_exactly_at_the_end)
{
    ends e = unix_pair();
    char buf[100];
    say(e.a, "12345");
    CHECK_INT(yoke_conn_read_exactly(e.b, buf, 3), 3);
    CHECK_INT(yoke_conn_shutdown(e.a), 0);
    CHECK_INT(yoke_conn_read_exactly(e.b, buf, 3), -ENODATA);
    CHECK_HAS(yoke_conn_error(e.b), "data");
    CHECK_INT(yoke_conn_read_exactly(e.b, buf, 0), 0);
    CHECK_INT(yoke_conn_read(e.b, buf, sizeof buf), 2); /* what came is still there */
    CHECK(memcmp(buf, "45", 2) == 0);
    CHECK_INT(yoke_conn_read_exactly(e.b, buf, 3), 0);
    close_ends(&e);
}

static void check_line(yoke_conn *c, const char *line)
{
    const char *got;
    size_t len;
    CHECK_INT(yoke_conn_read_line(c, 20, &got, &len), 1);
    CHECK_INT(len, strlen(line));
    CHECK(memcmp(got, line, len) == 0);
}

NET_ALSO(lines)
{
    ends e = unix_pair();
    const char *got;
    size_t len;
    say(e.a, "one\ntwo\r\n\n\r\n12345678901234567890\n12345678901234567890\r\nlast");
    yoke_conn_shutdown(e.a);
    check_line(e.b, "one");
    check_line(e.b, "two");
    check_line(e.b, "");
    check_line(e.b, "");
    check_line(e.b, "12345678901234567890");
    check_line(e.b, "12345678901234567890");
    check_line(e.b, "last");
    CHECK_INT(yoke_conn_read_line(e.b, 20, &got, &len), 0);
    CHECK_INT(yoke_conn_read_line(e.b, 20, &got, &len), 0);
    close_ends(&e);
}

NET_ALSO(lines_that_are_too_long)
{
    ends e = unix_pair();
    const char *got;
    size_t len;
    say(e.a, "123456\n12345\r\n1234567890");
    yoke_conn_shutdown(e.a);
    CHECK_INT(yoke_conn_read_line(e.b, 5, &got, &len), -EMSGSIZE);
    hear(e.b, "123456\n"); /* nothing was read */
    CHECK_INT(yoke_conn_read_line(e.b, 4, &got, &len), -EMSGSIZE);
    CHECK_INT(yoke_conn_read_line(e.b, 5, &got, &len), 1);
    CHECK_INT(len, 5);
    CHECK_INT(yoke_conn_read_line(e.b, 9, &got, &len), -EMSGSIZE);
    CHECK_INT(yoke_conn_read_line(e.b, SIZE_MAX, &got, &len), 1);
    CHECK_INT(len, 10);
    close_ends(&e);
}

static int say_bytewise(void *arg)
{
    const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    for (size_t i = 0; text[i]; i++) {
        yoke_conn_write(arg, text + i, 1);
        if (!yoke_in_coroutine() || i % 3 == 0)
            yoke_sleep(i % 5 == 0 ? YOKE_MS : 0);
    }
    return yoke_conn_shutdown(arg);
}

NET_ALSO(until_an_end_that_comes_in_pieces)
{
    ends e = tcp_pair();
    helper h;
    const char *got;
    size_t len;
    help(&h, say_bytewise, e.a);
    CHECK_INT(yoke_conn_read_until(e.b, "\r\n\r\n", 4, 1000, &got, &len), 1);
    CHECK_INT(len, 23);
    CHECK(memcmp(got, "GET / HTTP/1.1\r\nHost: a", 23) == 0);
    CHECK_INT(yoke_conn_read_until(e.b, "\r\n", 2, 1000, &got, &len), -ENODATA);
    hear(e.b, "rest");
    CHECK_INT(yoke_conn_read_until(e.b, "\r\n", 2, 1000, &got, &len), 0);
    CHECK_INT(yoke_conn_read_until(e.b, "", 0, 1000, &got, &len), -EINVAL);
    helped(&h);
    close_ends(&e);
}

NET_ALSO(until_no_further_than_most)
{
    ends e = unix_pair();
    const char *got;
    size_t len;
    say(e.a, "12345--12345--");
    CHECK_INT(yoke_conn_read_until(e.b, "--", 2, 4, &got, &len), -EMSGSIZE);
    CHECK_INT(yoke_conn_read_until(e.b, "--", 2, 5, &got, &len), 1);
    CHECK_INT(len, 5);
    CHECK_INT(yoke_conn_read_until(e.b, "--", 2, 5, &got, &len), 1);
    close_ends(&e);
}

NET_ALSO(peek_and_consume)
{
    ends e = unix_pair();
    const char *got;
    CHECK_INT(yoke_conn_peek(e.b, 0, &got), 0);
    CHECK(got);
    say(e.a, "abcdef");
    CHECK_INT(yoke_conn_peek(e.b, 1, &got), 6);
    CHECK_INT(yoke_conn_peek(e.b, 6, &got), 6);
    CHECK(memcmp(got, "abcdef", 6) == 0);
    yoke_conn_consume(e.b, 2);
    CHECK_INT(yoke_conn_peek(e.b, 4, &got), 4);
    CHECK(memcmp(got, "cdef", 4) == 0);
    hear(e.b, "cd");
    say(e.a, "gh");
    CHECK_INT(yoke_conn_peek(e.b, 4, &got), 4);
    CHECK(memcmp(got, "efgh", 4) == 0);
    yoke_conn_consume(e.b, 1000);
    yoke_conn_shutdown(e.a);
    CHECK_INT(yoke_conn_peek(e.b, 4, &got), 0);
    close_ends(&e);
}

/* Calls of all kinds by turns find the same bytes as one that reads them all. */
enum { MANY = 1 << 20 };

static int write_pattern(void *arg)
{
    static unsigned char bytes[MANY];
    make_bytes(bytes, 0, MANY);
    for (size_t at = 0; at < MANY;) {
        size_t n = YK_MIN((at * 7 + 13) % 40000, MANY - at);
        CHECK_INT(yoke_conn_write(arg, bytes + at, n), n);
        at += n;
    }
    return yoke_conn_shutdown(arg);
}

static size_t read_one_way(yoke_conn *c, unsigned way, unsigned char *buf, size_t at)
{
    const char *got;
    size_t len = 0;
    ssize_t n = 0;
    switch (way) {
    case 0: n = yoke_conn_read(c, buf, 3000); break;
    case 1: n = yoke_conn_read_exactly(c, buf, YK_MIN(5000, MANY - at)); break;
    case 2:
        n = yoke_conn_peek(c, YK_MIN(300, MANY - at), &got);
        CHECK(n >= (ssize_t)YK_MIN(300, MANY - at));
        check_bytes((const unsigned char *)got, at, (size_t)n);
        yoke_conn_consume(c, (size_t)n / 2);
        return (size_t)n / 2;
    default:
        n = yoke_conn_read_until(c, &(unsigned char){byte_at(at + 1000)}, 1, 100000, &got, &len);
        if (n == -ENODATA)
            return 0;
        CHECK_INT(n, 1);
        check_bytes((const unsigned char *)got, at, len + 1);
        return len + 1;
    }
    CHECK(n > 0);
    check_bytes(buf, at, (size_t)n);
    return (size_t)n;
}

NET_ALSO(all_ways_of_reading_by_turns)
{
    ends e = tcp_pair();
    helper h;
    unsigned char buf[5000];
    help(&h, write_pattern, e.a);
    for (size_t at = 0; at < MANY;)
        at += read_one_way(e.b, (unsigned)(test_random() % 4), buf, at);
    hear_end(e.b);
    helped(&h);
    close_ends(&e);
}

/* ---- Writing ---- */

static int read_pattern(void *arg)
{
    unsigned char buf[7000];
    ssize_t n;
    size_t at = 0;
    yoke_sleep(5 * YOKE_MS); /* the writer fills everything first */
    while ((n = yoke_conn_read(arg, buf, sizeof buf)) > 0) {
        check_bytes(buf, at, (size_t)n);
        at += (size_t)n;
    }
    CHECK_INT(at, 4 * MANY);
    return 0;
}

NET_ALSO(write_waits_for_a_slow_reader)
{
    static unsigned char bytes[4 * MANY];
    ends e = tcp_pair();
    helper h;
    make_bytes(bytes, 0, sizeof bytes);
    help(&h, read_pattern, e.b);
    CHECK_INT(yoke_conn_write(e.a, bytes, sizeof bytes), sizeof bytes);
    CHECK_INT(yoke_conn_flush(e.a), 0);
    CHECK_INT(yoke_conn_shutdown(e.a), 0);
    CHECK_INT(yoke_conn_write(e.a, "x", 1), -EPIPE);
    helped(&h);
    close_ends(&e);
}

NET_ALSO(pieces)
{
    static unsigned char bytes[100000];
    ends e = unix_pair();
    helper h;
    struct iovec v[40];
    size_t at = 0;
    make_bytes(bytes, 0, sizeof bytes);
    for (int i = 0; i < 40; i++) {
        size_t n = i == 39 ? sizeof bytes - at : i % 7 == 3 ? 9000 : (size_t)i * 30;
        v[i] = (struct iovec){bytes + at, n};
        at += n;
    }
    unsigned char *got = malloc(sizeof bytes);
    (void)h;
    if (!yoke_in_coroutine()) { /* the kernel has to take them all at once */
        v[39].iov_len = 1000;
        at = (size_t)((unsigned char *)v[39].iov_base - bytes) + 1000;
    }
    CHECK_INT(yoke_conn_writev(e.a, v, 40), at);
    CHECK_INT(yoke_conn_writev(e.a, v, 0), 0);
    CHECK_INT(yoke_conn_read_exactly(e.b, got, at), at);
    check_bytes(got, 0, at);
    free(got);
    close_ends(&e);
}

/* ---- Closing ---- */

NET_ALSO(close_sends_what_was_written)
{
    static unsigned char bytes[60000], got[60000];
    ends e = tcp_pair();
    make_bytes(bytes, 0, sizeof bytes);
    CHECK_INT(yoke_conn_write(e.a, bytes, sizeof bytes), sizeof bytes);
    CHECK_INT(yoke_conn_close(e.a), 0);
    CHECK_INT(yoke_conn_read_exactly(e.b, got, sizeof got), sizeof got);
    check_bytes(got, 0, sizeof got);
    hear_end(e.b);
    CHECK_INT(yoke_conn_close(e.b), 0);
    CHECK_INT(yoke_conn_close(NULL), 0);
    yoke_conn_abort(NULL);
}

static int answer_early(void *arg)
{
    yoke_conn *c = arg;
    hear(c, "POST");
    say(c, "no");
    CHECK_INT(yoke_conn_close(c), 0); /* with much unread */
    return 0;
}

/* The answer gets there although the question was not listened to. */
NET(close_lets_the_peer_read_the_answer)
{
    static char question[300000];
    ends e = tcp_pair();
    helper h;
    memcpy(question, "POST", 4);
    help(&h, answer_early, e.b);
    CHECK_INT(yoke_conn_write(e.a, question, sizeof question), sizeof question);
    hear(e.a, "no");
    hear_end(e.a);
    CHECK_INT(yoke_conn_close(e.a), 0);
    helped(&h);
}

NET_ALSO(abort_resets)
{
    ends e = tcp_pair();
    char byte;
    say(e.a, "x");
    hear(e.b, "x");
    yoke_conn_abort(e.a);
    CHECK_INT(yoke_conn_read(e.b, &byte, 1), -ECONNRESET);
    CHECK_INT(yoke_conn_read(e.b, &byte, 1), -ECONNRESET); /* not an end, ever */
    CHECK_INT(yoke_conn_read_exactly(e.b, &byte, 1), -ECONNRESET);
    CHECK_HAS(yoke_conn_error(e.b), "reset");
    ssize_t err = yoke_conn_write(e.b, &byte, 1);
    if (err == 1)
        err = yoke_conn_flush(e.b);
    CHECK(err == -EPIPE || err == -ECONNRESET);
    err = yoke_conn_close(e.b);
    CHECK(err == -EPIPE || err == -ECONNRESET || err == 0);
}

NET(what_came_before_a_reset_can_be_taken_back)
{
    ends e = tcp_pair();
    char buf[10];
    say(e.a, "123");
    CHECK_INT(yoke_conn_flush(e.a), 0);
    const char *got;
    CHECK_INT(yoke_conn_peek(e.b, 3, &got), 3);
    yoke_conn_abort(e.a);
    CHECK_INT(yoke_conn_read_exactly(e.b, buf, 5), -ECONNRESET);
    hear(e.b, "123");
    CHECK_INT(yoke_conn_read(e.b, buf, 5), -ECONNRESET);
    yoke_conn_close(e.b);
}

static int write_until_broken(void *arg)
{
    char bytes[1000] = {0};
    ssize_t n;
    while ((n = yoke_conn_write(arg, bytes, sizeof bytes)) > 0)
        ;
    CHECK(n == -EPIPE || n == -ECONNRESET);
    CHECK_INT(yoke_conn_write(arg, bytes, 1), n); /* it stays */
    CHECK_INT(yoke_conn_flush(arg), n);
    return 0;
}

NET_ALSO(writer_hears_of_a_peer_that_has_gone)
{
    ends e = tcp_pair();
    helper h;
    help(&h, write_until_broken, e.a);
    yoke_sleep(5 * YOKE_MS);
    yoke_conn_abort(e.b);
    helped(&h);
    CHECK(yoke_conn_close(e.a) < 0);
}

/* ---- What it is ---- */

NET_ALSO(ends_have_names)
{
    ends e = tcp_pair(), u = unix_pair();
    char local[100];
    CHECK_HAS(yoke_conn_peer(e.a), "tcp:127.0.0.1:");
    snprintf(local, sizeof local, "%s", yoke_conn_local(e.a));
    CHECK_STR(yoke_conn_peer(e.b), local);
    CHECK_STR(yoke_conn_local(e.b), yoke_conn_peer(e.a));
    CHECK_STR(yoke_conn_peer(u.a), "unix:");
    CHECK(yoke_conn_fd(e.a) >= 0);
    CHECK_STR(yoke_conn_error(e.a), "");
    yoke_tls_info info;
    CHECK_INT(yoke_conn_tls(e.a, &info), -ENOTCONN);
    CHECK_INT(yoke_conn_handshake(e.a), 0);
    close_ends(&e);
    close_ends(&u);
}

NET_ALSO(what_is_no_stream_is_refused)
{
    yoke_conn *c;
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(yoke_conn_of_fd(fds[0], &c), -ENOTSOCK);
    CHECK_HAS(yoke_net_error(), "descriptor");
    close(fds[0]);
    close(fds[1]);
    CHECK_INT(yoke_conn_of_fd(-1, &c), -EBADF);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_INT(yoke_conn_of_fd(fd, &c), -EINVAL);
    close(fd);
}

/* ---- Memory ---- */

static int64_t make_and_use(void *arg)
{
    ends *e = arg;
    char buf[100];
    const char *got;
    size_t len;
    ssize_t err;
    while ((err = yoke_conn_write(e->a, "line\nrest", 9)) == -ENOMEM)
        ;
    CHECK_INT(err, 9);
    err = yoke_conn_read_line(e->b, 10, &got, &len);
    return err < 0 ? err : yoke_conn_read(e->b, buf, 4);
}

/* Nothing is lost by a call that had no memory: it can be made again. */
NET(without_memory)
{
    for (int n = 1;; n++) {
        ends e = unix_pair();
        yk_sys_fail("malloc", n, ENOMEM);
        int64_t err = make_and_use(&e);
        int calls = yk_sys_fail("malloc", 0, 0);
        if (err < 0) {
            CHECK_INT(err, -ENOMEM);
            check_line(e.b, "line");
            hear(e.b, "rest");
        }
        close_ends(&e);
        if (calls < n)
            break;
    }
}

static int open_one(const int fds[2])
{
    yoke_conn *c;
    int err = yoke_conn_of_fd(fds[0], &c);
    if (err == 0)
        yoke_conn_close(c);
    else
        close(fds[0]);
    close(fds[1]);
    return err;
}

NET(opening_fails)
{
    static const char *const calls[] = {"calloc", "malloc", "epoll_ctl"};
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1;; n++) {
            int fds[2], before = descriptors();
            CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
            yk_sys_fail(calls[k], n, ENOMEM);
            int err = open_one(fds);
            CHECK(err == 0 || err == -ENOMEM);
            int done = yk_sys_fail(calls[k], 0, 0);
            check_descriptors(before);
            if (done < n)
                break;
        }
}
