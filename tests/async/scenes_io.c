/* scenes_io.c - scenes of descriptors, files, children and signals; see scenes.h. */
#include "scenes.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoke/child.h>
#include <yoke/io.h>
#include <yoke/signal.h>
#include <yoke/sync.h>

/* ---- Descriptors ---- */

typedef struct wires {
    int in, out;
    size_t sent, got; /* bytes */
} wires;

static void check_all_there(wires *w)
{
    char buf[100];
    ssize_t n;
    fcntl(w->in, F_SETFL, O_NONBLOCK);
    while ((n = read(w->in, buf, sizeof buf)) > 0)
        w->got += (size_t)n;
    CHECK_INT(w->got, w->sent); /* what was told to stop has taken and given nothing */
    CHECK_INT(yoke_close_fd(w->in), 0);
    CHECK_INT(yoke_close_fd(w->out), 0);
}

static int writes_slowly(void *arg)
{
    wires *w = arg;
    for (int i = 0; i < 3; i++) {
        ssize_t n = yoke_write(w->out, "abc", 3);
        TRY(n);
        w->sent += (size_t)n;
        TRY(yoke_sleep(YOKE_S));
    }
    return 0;
}

static int reads_nine(void *arg)
{
    wires *w = arg;
    for (size_t got = 0; got < 9;) {
        char buf[2];
        ssize_t n = yoke_read(w->in, buf, sizeof buf);
        TRY(n);
        got += (size_t)n;
        w->got += (size_t)n;
    }
    return 0;
}

SCENE(pipes)
{
    int fds[2];
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    wires w = {fds[0], fds[1], 0, 0};
    int err = RUN_ALL(&w, reads_nine, writes_slowly);
    check_all_there(&w);
    return err;
}

static int polls(void *arg)
{
    wires *w = arg;
    int events = yoke_poll_timed(w->in, POLLIN, 500 * YOKE_MS);
    CHECK(events == -ETIMEDOUT || events == -ECANCELED);
    if (events == -ECANCELED)
        return events;
    events = yoke_poll(w->in, POLLIN);
    CHECK(events == POLLIN || events == -ECANCELED);
    TRY(events);
    events = yoke_poll_until(w->in, POLLPRI, yoke_now() + YOKE_MS);
    CHECK(events == -ETIMEDOUT || events == -ECANCELED);
    return events == -ETIMEDOUT ? 0 : events;
}

static int writes_late(void *arg)
{
    wires *w = arg;
    TRY(yoke_sleep(YOKE_S));
    ssize_t n = yoke_write(w->out, "x", 1);
    TRY(n);
    w->sent += (size_t)n;
    return 0;
}

SCENE(polling)
{
    int fds[2];
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    wires w = {fds[0], fds[1], 0, 0};
    int err = RUN_ALL(&w, polls, writes_late);
    check_all_there(&w);
    return err;
}

static int sends(void *arg)
{
    wires *w = arg;
    for (int i = 0; i < 3; i++) {
        TRY(yoke_sleep(YOKE_S));
        struct iovec piece = {(void *)(uintptr_t) "abc", 3};
        struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
        ssize_t n = i % 2 ? yoke_sendmsg(w->out, &m, 0) : yoke_send(w->out, "abc", 3, 0);
        TRY(n);
        w->sent += (size_t)n;
    }
    return 0;
}

static int receives(void *arg)
{
    wires *w = arg;
    char buf[100];
    for (int i = 0; i < 3; i++) {
        struct iovec piece = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
        ssize_t n = i % 2 ? yoke_recvmsg(w->in, &m, 0) : yoke_recv(w->in, buf, sizeof buf, 0);
        TRY(n);
        w->got += (size_t)n;
    }
    return 0;
}

SCENE(sockets)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    wires w = {fds[0], fds[1], 0, 0};
    int err = RUN_ALL(&w, receives, sends);
    check_all_there(&w);
    return err;
}

static struct sockaddr *address(socklen_t *len)
{
    static struct {
        sa_family_t family;
        char name[20];
    } a = {AF_UNIX, ""};
    *len = (socklen_t)(sizeof a.family + 1 + (size_t)snprintf(a.name + 1, sizeof a.name - 1, "yoke-scene-%d", (int)getpid()));
    return (struct sockaddr *)&a;
}

static int accepts(void *arg)
{
    wires *w = arg;
    w->in = yoke_accept_fd(w->out, NULL, NULL, 0);
    return w->in;
}

static int connects(void *arg)
{
    socklen_t len;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr *a = address(&len);
    int err = yoke_sleep(YOKE_S);
    if (err == 0)
        err = yoke_connect_fd(fd, a, len);
    CHECK_INT(yoke_close_fd(fd), 0);
    return err;
}

SCENE(accepting)
{
    socklen_t len;
    wires w = {-1, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0, 0};
    struct sockaddr *a = address(&len);
    CHECK_INT(bind(w.out, a, len), 0);
    CHECK_INT(listen(w.out, 5), 0);
    int err = RUN_ALL(&w, accepts, connects);
    if (w.in >= 0)
        CHECK_INT(yoke_close_fd(w.in), 0);
    CHECK_INT(yoke_close_fd(w.out), 0);
    return err;
}

/* Who waits on a descriptor that is closed is told so. */
static int reads_until_closed(void *arg)
{
    char byte;
    ssize_t n = yoke_read(((wires *)arg)->in, &byte, 1);
    CHECK(n == -EBADF || n == -ECANCELED);
    return n == -EBADF ? 0 : (int)n;
}

static int closes(void *arg)
{
    wires *w = arg;
    TRY(yoke_sleep(YOKE_S));
    int fd = w->in;
    w->in = -1;
    return yoke_close_fd(fd);
}

SCENE(closing)
{
    int fds[2];
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    wires w = {fds[0], fds[1], 0, 0};
    int err = RUN_ALL(&w, reads_until_closed, closes);
    if (w.in >= 0)
        CHECK_INT(yoke_close_fd(w.in), 0);
    CHECK_INT(yoke_close_fd(w.out), 0);
    return err;
}

/* ---- Files ---- */

static int use_file(int fd)
{
    char buf[20];
    ssize_t n = yoke_pwrite(fd, "hello", 5, 3);
    TRY(n);
    CHECK_INT(n, 5);
    TRY(yoke_fsync(fd));
    TRY(yoke_fdatasync(fd));
    n = yoke_pread(fd, buf, sizeof buf, 3);
    TRY(n);
    CHECK(n == 5 && memcmp(buf, "hello", 5) == 0);
    return 0;
}

static int use_folders(const char *folder)
{
    char path[200];
    snprintf(path, sizeof path, "%s/c", folder);
    TRY(yoke_mkdir(path, 0700));
    int fd = yoke_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    TRY(fd);
    return yoke_close_fd(fd);
}

static int use_folder(const char *folder)
{
    char path[200], other[200];
    struct stat st;
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    int fd = yoke_open_file(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    TRY(fd);
    int err = use_file(fd);
    CHECK_INT(yoke_close_fd(fd), 0);
    TRY(err);
    TRY(yoke_stat(path, &st));
    CHECK_INT(st.st_size, 8);
    struct statx stx;
    TRY(yoke_statx(AT_FDCWD, path, 0, STATX_SIZE, &stx));
    CHECK_INT(stx.stx_size, 8);
    TRY(yoke_rename(path, other));
    char **names;
    TRY(yoke_list_dir(folder, &names));
    CHECK_STR(names[0], "b");
    free(names);
    TRY(yoke_write_file(other, "whole", 5, 0600));
    char *bytes;
    size_t len;
    TRY(yoke_read_file(other, &bytes, &len));
    CHECK_STR(bytes, "whole");
    free(bytes);
    return yoke_unlink(other);
}

SCENE_OF_THREADS(files)
{
    char folder[] = "/tmp/yoke-scene-XXXXXX";
    CHECK(mkdtemp(folder));
    int err = use_folder(folder);
    if (err == 0)
        err = use_folders(folder);
    static const char *const mine[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", folder, mine[i]);
        unlink(path);
    }
    char path[200];
    snprintf(path, sizeof path, "%s/c", folder);
    rmdir(path);
    CHECK_INT(rmdir(folder), 0); /* nothing half written is left */
    return err;
}

/* ---- Children and signals ---- */

typedef struct family {
    yoke_child *children[3];
    yoke_event wanted[3];
} family;

/* The child ends when its input does, which is asked for just before it is waited for. */
static int ends_children(void *arg)
{
    family *f = arg;
    for (int i = 0; i < 3; i++) {
        TRY(yoke_event_wait(&f->wanted[i]));
        CHECK_INT(yoke_child_close_stdin(f->children[i]), 0);
    }
    return 0;
}

static int waits_for_children(void *arg)
{
    family *f = arg;
    int status = -1;
    yoke_event_set(&f->wanted[0]);
    TRY(yoke_child_wait(f->children[0], &status));
    yoke_event_set(&f->wanted[1]);
    TRY(yoke_child_wait_timed(f->children[1], 3600 * YOKE_S, &status));
    yoke_event_set(&f->wanted[2]);
    TRY(yoke_child_wait_until(f->children[2], yoke_now() + 3600 * YOKE_S, &status));
    CHECK_INT(status, 0);
    return 0;
}

SCENE_OF_THREADS(children)
{
    static const char *const argv[] = {"cat", NULL};
    const yoke_child_opts opts = {.argv = argv, .in = YOKE_CHILD_PIPE};
    family f = {0};
    int err = 0, status;
    for (int i = 0; i < 3 && err == 0; i++)
        err = yoke_child_spawn(&opts, &f.children[i]);
    if (err == 0)
        err = RUN_ALL(&f, waits_for_children, ends_children);
    for (int i = 0; i < 3 && f.children[i]; i++) {
        CHECK_INT(yoke_child_end(f.children[i], &status), 0);
        yoke_child_close(f.children[i]);
    }
    return err;
}

SCENE_OF_THREADS(children_run)
{
    const char *const argv[] = {"cat", NULL};
    yoke_child_output out;
    int err = yoke_child_run(&(yoke_child_opts){.argv = argv}, "meow", 4, &out);
    if (err == 0) {
        CHECK_STR(out.out, "meow");
        yoke_child_output_done(&out);
    }
    return err;
}

static int raises(void *arg)
{
    for (int i = 0; i < 3; i++) {
        TRY(yoke_sleep(YOKE_S));
        CHECK_INT(kill(getpid(), SIGUSR1), 0);
    }
    return 0;
}

static int waits_for_signal(void *arg)
{
    int number = yoke_signal_next(arg);
    CHECK(number == SIGUSR1 || number == -ECANCELED);
    TRY(number);
    number = yoke_signal_next_timed(arg, YOKE_MS);
    CHECK(number == -ETIMEDOUT || number == -ECANCELED);
    if (number == -ECANCELED)
        return number;
    number = yoke_signal_next_timed(arg, 3600 * YOKE_S);
    TRY(number);
    number = yoke_signal_next_until(arg, yoke_now() + 3600 * YOKE_S);
    CHECK(number == SIGUSR1 || number == -ECANCELED);
    return number;
}

SCENE(signals)
{
    const int set[] = {SIGUSR1};
    yoke_signals *s;
    signal(SIGUSR1, SIG_IGN);
    CHECK_INT(yoke_signals_open(set, 1, &s), 0);
    int err = RUN_ALL(s, waits_for_signal, raises);
    yoke_signals_close(s);
    return err;
}
