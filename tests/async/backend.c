/* backend.c - each kind of operation on each kind of descriptor, over both backends. */
#include "mini.h"
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

/* ---- Sockets ---- */

BOTH(recv_what_is_there)
{
    int fds[2];
    char buf[8] = {0};
    mini_pair(fds, SOCK_STREAM);
    CHECK_INT(write(fds[1], "abc", 3), 3);
    mop m = op_recv(fds[0], buf, sizeof buf, 0);
    CHECK_INT(mop_run(&m), 3);
    CHECK_STR(buf, "abc");
    mini_close_pair(fds);
}

BOTH(recv_waits)
{
    int fds[2];
    char buf[8] = {0};
    mini_pair(fds, SOCK_STREAM);
    for (int i = 0; i < 5; i++) {
        mop m = op_recv(fds[0], buf, sizeof buf, 0);
        mop_wait(&m);
        CHECK_INT(mini.t->under_way(mini.b), 1);
        CHECK_INT(write(fds[1], "abcd", 4), 4);
        CHECK_INT(mop_end(&m), 4);
        CHECK_STR(buf, "abcd");
        CHECK_INT(mini.t->under_way(mini.b), 0);
    }
    close(fds[1]);
    mop m = op_recv(fds[0], buf, sizeof buf, 0);
    CHECK_INT(mop_run(&m), 0); /* the end, again and again */
    CHECK_INT(mop_run(&m), 0);
    close(fds[0]);
}

BOTH(recv_all)
{
    int fds[2];
    char buf[8] = {0};
    mini_tcp(fds);
    mop m = op_recv(fds[0], buf, 6, MSG_WAITALL);
    mop_wait(&m);
    for (int i = 0; i < 6; i++) {
        CHECK(!m.over);
        CHECK_INT(write(fds[1], &"abcdef"[i], 1), 1);
        for (int k = 0; k < 3; k++)
            mini_turn(0);
    }
    CHECK_INT(mop_end(&m), 6);
    CHECK_STR(buf, "abcdef");
    m = op_recv(fds[0], buf, 6, MSG_WAITALL); /* the end comes in between */
    mop_wait(&m);
    CHECK_INT(write(fds[1], "xy", 2), 2);
    mini_turn(yoke_now() + 10 * YOKE_MS);
    CHECK(!m.over);
    close(fds[1]);
    CHECK_INT(mop_end(&m), 2);
    close(fds[0]);
}

BOTH(peek)
{
    int fds[2];
    char buf[8] = {0};
    mini_tcp(fds);
    for (int i = 0; i < 2; i++) {
        mop m = op_recv(fds[0], buf, 4, MSG_PEEK);
        if (i == 0) {
            mop_wait(&m);
            CHECK_INT(write(fds[1], "abcd", 4), 4);
            CHECK_INT(mop_end(&m), 4);
        } else {
            CHECK_INT(mop_run(&m), 4);
        }
        CHECK_STR(buf, "abcd");
    }
    mop m = op_recv(fds[0], buf, 8, 0);
    CHECK_INT(mop_run(&m), 4);
    mini_close_pair(fds);
}

BOTH(dontwait)
{
    int fds[2];
    char buf[8];
    mini_pair(fds, SOCK_STREAM);
    mop m = op_recv(fds[0], buf, sizeof buf, MSG_DONTWAIT);
    CHECK_INT(mop_run(&m), -EAGAIN);
    mini_close_pair(fds);
}

/* Many times what the socket holds. */
enum { MUCH = 8 << 20 };

static void *take_much(void *arg)
{
    int fd = *(int *)arg;
    static char buf[65536];
    size_t sum = 0, got = 0;
    ssize_t n;
    while (got < MUCH && (n = read(fd, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum += (unsigned char)buf[i];
        got += (size_t)n;
    }
    return (void *)(got == MUCH ? sum : 0);
}

static char *much(size_t *sum)
{
    char *bytes = malloc(MUCH);
    *sum = 0;
    for (size_t i = 0; i < MUCH; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
        *sum += (unsigned char)bytes[i];
    }
    return bytes;
}

static void send_much(int from, int to, bool socket)
{
    size_t sum;
    char *bytes = much(&sum);
    void *got;
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, take_much, &to), 0);
    mop m = socket ? op_send(from, bytes, MUCH, 0) : op_write(from, bytes, MUCH, -1);
    CHECK_INT(mop_run(&m), MUCH);
    pthread_join(thread, &got);
    CHECK_INT((size_t)got, sum);
    free(bytes);
}

BOTH(send_all_of_it)
{
    int fds[2];
    mini_tcp(fds);
    send_much(fds[0], fds[1], true);
    send_much(fds[1], fds[0], false); /* by write() */
    mini_close_pair(fds);
    mini_pair(fds, SOCK_STREAM);
    send_much(fds[0], fds[1], true);
    mini_close_pair(fds);
}

BOTH(send_to_nobody)
{
    int fds[2];
    mini_pair(fds, SOCK_STREAM);
    close(fds[1]);
    mop m = op_send(fds[0], "abc", 3, 0);
    CHECK_INT(mop_run(&m), -EPIPE); /* and the signal has not ended us */
    m = op_send(-1, "abc", 3, 0);
    CHECK_INT(mop_run(&m), -EBADF);
    m = op_send(fds[1], "abc", 3, 0);
    CHECK_INT(mop_run(&m), -EBADF);
    close(fds[0]);
}

/* The peer goes when a part was sent. */
BOTH(send_is_cut_short)
{
    int fds[2];
    size_t sum;
    char *bytes = much(&sum);
    mini_tcp(fds);
    mop m = op_send(fds[0], bytes, MUCH, 0);
    mop_wait(&m);
    close(fds[1]);
    int64_t n = mop_end(&m);
    CHECK(n > 0 && n < MUCH);
    free(bytes);
    close(fds[0]);
}

BOTH(datagrams)
{
    int fds[2];
    char buf[8] = {0};
    mini_pair(fds, SOCK_DGRAM);
    mop r = op_recv(fds[0], buf, 2, MSG_WAITALL), r2 = op_recv(fds[0], buf + 4, 4, 0);
    mop_wait(&r);
    mop_wait(&r2);
    mop s = op_send(fds[1], "abc", 3, 0), s2 = op_send(fds[1], "de", 2, 0);
    CHECK_INT(mop_run(&s), 3);
    CHECK_INT(mop_run(&s2), 2);
    CHECK_INT(mop_end(&r), 2); /* the rest of a datagram is lost */
    CHECK_INT(mop_end(&r2), 2);
    CHECK_STR(buf, "ab");
    CHECK_STR(buf + 4, "de");
    mini_close_pair(fds);
}

BOTH(messages_with_descriptors)
{
    int fds[2], ends[2], got = -1;
    char byte = 'x', in[2] = {0};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0}, control_in = {0};
    mini_pair(fds, SOCK_STREAM);
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &ends[1], sizeof(int));
    struct msghdr out = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = CMSG_LEN(sizeof(int))};
    struct msghdr to = {.msg_iov = &(struct iovec){in, 1}, .msg_iovlen = 1, .msg_control = &control_in,
                        .msg_controllen = sizeof control_in};
    mop r = {.op = {.kind = YK_OP_RECVMSG, .fd = fds[0], .message = &to, .flags = MSG_CMSG_CLOEXEC}};
    mop_wait(&r);
    mop s = {.op = {.kind = YK_OP_SENDMSG, .fd = fds[1], .message = &out}};
    CHECK_INT(mop_run(&s), 1);
    CHECK_INT(mop_end(&r), 1);
    CHECK_STR(in, "x");
    CHECK(to.msg_controllen >= CMSG_LEN(sizeof(int)));
    memcpy(&got, CMSG_DATA(&control_in.head), sizeof got);
    CHECK_INT(write(got, "q", 1), 1);
    CHECK_INT(read(ends[0], in, 1), 1);
    CHECK_STR(in, "q");
    close(got);
    mini_close_pair(fds);
    mini_close_pair(ends);
}

BOTH(accept_and_connect)
{
    struct sockaddr_in a, peer = {0}, own;
    socklen_t len = sizeof peer, own_len = sizeof own;
    int listener = mini_listener(&a, 10);
    mop acc = op_accept(listener, SOCK_NONBLOCK);
    acc.op.address = (struct sockaddr *)&peer;
    acc.op.address_len = &len;
    mop_wait(&acc);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mop con = op_connect(fd, (struct sockaddr *)&a, sizeof a);
    CHECK_INT(mop_run(&con), 0);
    int got = (int)mop_end(&acc);
    CHECK(got >= 0);
    CHECK(fcntl(got, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(got, F_GETFD) & FD_CLOEXEC);
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK_INT(getsockname(fd, (struct sockaddr *)&own, &own_len), 0);
    CHECK_INT(peer.sin_port, own.sin_port);
    CHECK_INT(write(got, "a", 1), 1);
    char byte;
    CHECK_INT(read(fd, &byte, 1), 1);
    close(got);
    mini_close_pair((int[]){fd, listener});
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    con = op_connect(fd, (struct sockaddr *)&a, sizeof a);
    CHECK_INT(mop_run(&con), -ECONNREFUSED);
    close(fd);
}

/* A Unix socket whose listener has no room says so at once, and never that it has room again. */
BOTH(connect_to_a_full_listener)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[4];
    mop con[4];
    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "yoke-full-%d", (int)getpid());
    CHECK_INT(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(listen(listener, 1), 0);
    int over = 0;
    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (i != 1 ? SOCK_NONBLOCK : 0), 0);
        con[i] = op_connect(fds[i], (struct sockaddr *)&a, sizeof a);
        mop_start(&con[i]);
        mini_turn(0);
        over += con[i].over;
    }
    CHECK(over < 4);
    for (int64_t end = yoke_now() + 30 * YOKE_MS; yoke_now() < end;) /* long enough for the kernel to give up asking */
        mini_turn(1);
    CHECK_INT(mop_cancel(&con[3]), -ECANCELED);
    for (int i = 0; i < 3; i++) {
        mop acc = op_accept(listener, 0);
        int fd = (int)mop_run(&acc);
        CHECK(fd >= 0);
        close(fd);
    }
    for (int i = 0; i < 3; i++)
        CHECK_INT(mop_end(&con[i]), 0);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close(listener);
}

BOTH(poll_tells_what_is_there)
{
    int fds[2];
    mini_tcp(fds);
    mop out = op_poll(fds[0], POLLIN | POLLOUT);
    CHECK_INT(mop_run(&out), POLLOUT);
    mop in = op_poll(fds[0], POLLIN), in2 = op_poll(fds[0], POLLIN);
    mop_wait(&in);
    mop_wait(&in2);
    CHECK_INT(write(fds[1], "a", 1), 1);
    CHECK_INT(mop_end(&in), POLLIN);
    CHECK_INT(mop_end(&in2), POLLIN);
    CHECK_INT(mop_run(&in), POLLIN); /* it is still there */
    shutdown(fds[1], SHUT_WR);
    mop hup = op_poll(fds[0], POLLRDHUP);
    CHECK_INT(mop_run(&hup) & POLLRDHUP, POLLRDHUP);
    hup = op_poll(fds[0] + 500, POLLIN);
    CHECK_INT(mop_run(&hup), -EBADF);
    mini_close_pair(fds);
}

/* ---- Pipes, terminals, and other descriptors ---- */

BOTH(pipes)
{
    int fds[2];
    char buf[8] = {0};
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    mop r = op_read(fds[0], buf, sizeof buf, -1);
    mop_wait(&r);
    mop w = op_write(fds[1], "abc", 3, -1);
    CHECK_INT(mop_run(&w), 3);
    CHECK_INT(mop_end(&r), 3);
    CHECK_STR(buf, "abc");
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK)); /* it may be somebody else's as well */
    CHECK(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
    send_much(fds[1], fds[0], false);
    mop_wait(&r);
    close(fds[1]);
    CHECK_INT(mop_end(&r), 0);
    close(fds[0]);
}

/* As on kernels whose pipes know no RWF_NOWAIT. */
static ssize_t preadv2_without_nowait(int fd, const struct iovec *v, int n, off_t offset, int flags)
{
    errno = EOPNOTSUPP;
    return flags ? -1 : preadv2(fd, v, n, offset, flags);
}

static ssize_t pwritev2_without_nowait(int fd, const struct iovec *v, int n, off_t offset, int flags)
{
    errno = EOPNOTSUPP;
    return flags ? -1 : pwritev2(fd, v, n, offset, flags);
}

BOTH(pipes_of_old_kernels)
{
    yk_sys.preadv2 = preadv2_without_nowait;
    yk_sys.pwritev2 = pwritev2_without_nowait;
    both_pipes();
}

BOTH(terminals)
{
    int master, slave;
    char buf[16] = {0};
    CHECK_INT(openpty(&master, &slave, NULL, NULL, NULL), 0);
    mop r = op_read(slave, buf, sizeof buf, -1);
    mop_wait(&r);
    CHECK_INT(write(master, "hello\n", 6), 6);
    CHECK_INT(mop_end(&r), 6);
    CHECK_STR(buf, "hello\n");
    CHECK(!(fcntl(slave, F_GETFL) & O_NONBLOCK));
    struct termios t;
    CHECK_INT(tcgetattr(slave, &t), 0);
    cfmakeraw(&t);
    CHECK_INT(tcsetattr(slave, TCSANOW, &t), 0);
    tcflush(master, TCIOFLUSH);
    /* More than a terminal takes that nobody reads: it is the writer that waits, not the loop. */
    enum { MANY = 100000 };
    char *many = malloc(MANY), *back = calloc(1, MANY);
    memset(many, 'm', MANY);
    mop w = op_write(slave, many, MANY, -1);
    CHECK(!mop_start(&w));
    mini_turn(yoke_now() + 10 * YOKE_MS);
    CHECK(!w.over);
    for (size_t got = 0; got < MANY;) {
        r = op_read(master, back + got, MANY - got, -1);
        int64_t n = mop_run(&r);
        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK_INT(mop_end(&w), MANY);
    CHECK_INT(memcmp(many, back, MANY), 0);
    free(many);
    free(back);
    mini_close_pair((int[]){slave, master});
}

BOTH(eventfds)
{
    uint64_t n = 0;
    int fd = eventfd(0, EFD_CLOEXEC);
    mop r = op_read(fd, &n, sizeof n, -1);
    mop_wait(&r);
    mop w = op_write(fd, &(uint64_t){5}, sizeof n, -1);
    CHECK_INT(mop_run(&w), 8);
    CHECK_INT(mop_end(&r), 8);
    CHECK_INT(n, 5);
    close(fd);
}

BOTH(devices)
{
    char buf[4] = "abc";
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    mop m = op_read(zero, buf, 3, -1);
    CHECK_INT(mop_run(&m), 3);
    CHECK_STR(buf, "");
    m = op_read(null, buf, 3, -1);
    CHECK_INT(mop_run(&m), 0);
    m = op_write(null, buf, 3, -1);
    CHECK_INT(mop_run(&m), 3);
    m = op_poll(null, POLLIN);
    CHECK_INT(mop_run(&m), POLLIN);
    close(zero);
    close(null);
}

/* ---- Files ---- */

static char folder[] = "/tmp/yoke-backend-XXXXXX";

static int open_here(const char *name, int flags, unsigned mode)
{
    static int dir = -1;
    if (dir < 0)
        dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    mop m = {.op = {.kind = YK_OP_OPENAT, .fd = dir, .path = name, .flags = flags, .mode = mode}};
    return (int)mop_run(&m);
}

BOTH(files)
{
    char buf[16] = {0};
    struct statx s = {0};
    CHECK(mkdtemp(folder));
    CHECK_INT(open_here("a", O_RDWR, 0), -ENOENT);
    int fd = open_here("a", O_RDWR | O_CREAT, 0640);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    mop m = op_write(fd, "0123456789", 10, -1);
    CHECK_INT(mop_run(&m), 10);
    m = op_write(fd, "ab", 2, 3);
    CHECK_INT(mop_run(&m), 2);
    m = op_read(fd, buf, 4, 2);
    CHECK_INT(mop_run(&m), 4);
    CHECK_STR(buf, "2ab5");
    m = op_read(fd, buf, 4, 8);
    CHECK_INT(mop_run(&m), 2);
    m = op_read(fd, buf, 4, 10);
    CHECK_INT(mop_run(&m), 0);
    m = op_read(fd, buf, 4, -1); /* behind what was written at the file's own place */
    CHECK_INT(mop_run(&m), 0);
    CHECK_INT(lseek(fd, 1, SEEK_SET), 1);
    CHECK_INT(mop_run(&m), 4);
    CHECK_INT(lseek(fd, 0, SEEK_CUR), 5);
    for (int i = 0; i < 2; i++) {
        mop sync = {.op = {.kind = YK_OP_FSYNC, .fd = fd, .flags = i}};
        CHECK_INT(mop_run(&sync), 0);
    }
    mop stat = {.op = {.kind = YK_OP_STATX, .fd = fd, .path = "", .flags = AT_EMPTY_PATH, .mask = STATX_SIZE, .statx = &s}};
    CHECK_INT(mop_run(&stat), 0);
    CHECK_INT(s.stx_size, 10);
    stat.op.fd = -1;
    CHECK_INT(mop_run(&stat), -EBADF);
    mop dir = op_read(open(folder, O_RDONLY | O_CLOEXEC), buf, 4, 0);
    CHECK_INT(mop_run(&dir), -EISDIR);
    close(dir.op.fd);
    close(fd);
    snprintf(buf, sizeof buf, "a");
    int at = open(folder, O_PATH);
    CHECK_INT(unlinkat(at, "a", 0), 0);
    close(at);
    CHECK_INT(rmdir(folder), 0);
}

/* As where nothing is in the page cache: every read is another thread's. */
static int nowaits;
static ssize_t preadv2_of_cold_files(int fd, const struct iovec *v, int n, off_t offset, int flags)
{
    if (flags) {
        struct iovec one = {v->iov_base, 3};
        errno = EAGAIN;
        return nowaits++ % 2 ? -1 : preadv2(fd, &one, 1, offset, 0);
    }
    return preadv2(fd, v, n, offset, flags);
}

TEST(epoll_reads_cold_files_elsewhere)
{
    mini_open(&yk_epoll_backend);
    yk_sys.preadv2 = preadv2_of_cold_files;
    yk_sys.pwritev2 = pwritev2_without_nowait;
    char name[] = "/tmp/yoke-backend-XXXXXX", buf[16] = {0};
    int fd = mkstemp(name);
    unlink(name);
    mop m = op_write(fd, "0123456789", 10, 0);
    CHECK_INT(mop_run(&m), 10);
    m = op_read(fd, buf, 15, 0);
    CHECK_INT(mop_run(&m), 10); /* three bytes at once, the rest from a thread */
    CHECK_STR(buf, "0123456789");
    CHECK_INT(nowaits, 2);
    close(fd);
    mini_close();
}

/* ---- Processes ---- */

static pid_t child_that_waits(int *end)
{
    int fds[2];
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 0 ? 7 : 1);
    }
    close(fds[0]);
    *end = fds[1];
    return pid;
}

BOTH(children)
{
    int end;
    siginfo_t info = {0};
    pid_t pid = child_that_waits(&end);
    int fd = pidfd_open(pid, 0);
    CHECK(fd >= 0);
    mop p = op_poll(fd, POLLIN);
    mop_wait(&p);
    mop m = {.op = {.kind = YK_OP_WAIT_CHILD, .fd = fd, .info = &info}};
    mop_wait(&m);
    close(end);
    CHECK_INT(mop_end(&m), 0);
    CHECK_INT(info.si_pid, pid);
    CHECK_INT(info.si_status, 7);
    CHECK_INT(mop_end(&p) & POLLIN, POLLIN);
    CHECK_INT(mop_run(&m), -ECHILD); /* it is reaped */
    close(fd);
}

/* It is known already, or not; the pidfd is non-blocking, or not; somebody asks how it ended, or not. */
BOTH(children_of_all_sorts)
{
    for (int sort = 0; sort < 8; sort++) {
        int end;
        siginfo_t info = {0};
        pid_t pid = child_that_waits(&end);
        int fd = pidfd_open(pid, sort & 1 ? O_NONBLOCK : 0);
        CHECK(fd >= 0);
        mop m = {.op = {.kind = YK_OP_WAIT_CHILD, .fd = fd, .info = sort & 2 ? &info : NULL}};
        if (sort & 4) {
            close(end);
            CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
            CHECK_INT(mop_run(&m), 0);
        } else {
            mop_wait(&m);
            close(end);
            CHECK_INT(mop_end(&m), 0);
        }
        if (sort & 2)
            CHECK_INT(info.si_status, 7);
        CHECK_INT(waitpid(pid, NULL, 0), -1);
        close(fd);
    }
}
