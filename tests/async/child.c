/* child.c - children: what they are given, how they are waited for, sent signals and ended, and that nothing of them is left. */
#include "loops.h"
#include <dirent.h>
#include <sys/prctl.h>
#include <yoke/child.h>
#include <yoke/io.h>

/* A program of the test's own is a shell line. */
#define SHELL(line) .argv = (const char *[]){"sh", "-c", line, NULL}

static yoke_child *spawn(const yoke_child_opts *opts)
{
    yoke_child *c = NULL;
    int err = yoke_child_spawn(opts, &c);
    if (err < 0)
        fprintf(stderr, "# %s\n", yoke_child_error());
    CHECK_INT(err, 0);
    return c;
}

static int status_of(yoke_child *c)
{
    int status = -1;
    CHECK_INT(yoke_child_wait(c, &status), 0);
    return status;
}

/* This process has no children, not even ended ones. */
static void check_no_children(void)
{
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_INT(errno, ECHILD);
}

static void read_text(int fd, char *buf, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = yoke_read(fd, buf + len, size - 1 - len)) > 0)
        len += (size_t)n;
    buf[len] = '\0';
}

/* What the line says on its standard output. */
static void ask(yoke_child_opts opts, char *buf, size_t size)
{
    opts.out = YOKE_CHILD_PIPE;
    yoke_child *c = spawn(&opts);
    read_text(yoke_child_stdout(c), buf, size);
    CHECK_INT(status_of(c), 0);
    CHECK(!yoke_child_close(c));
}

/* ---- How they end ---- */

ALL(exit_codes)
{
    for (int i = 0; i < 3; i++) {
        char line[32];
        snprintf(line, sizeof line, "exit %d", i * 21);
        yoke_child *c = spawn(&(yoke_child_opts){SHELL(line)});
        CHECK(yoke_child_pid(c) > 0);
        int status = status_of(c);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), i * 21);
        CHECK_INT(status_of(c), status); /* again and again */
        CHECK_INT(yoke_child_kill(c, SIGTERM), -ESRCH);
        yoke_child_close(c);
    }
    CHECK(!yoke_child_close(NULL));
    check_no_children();
}

ALL(killed)
{
    yoke_child *c = spawn(&(yoke_child_opts){SHELL("exec sleep 1000")});
    int status = 77;
    CHECK_INT(yoke_child_wait_try(c, &status), -EAGAIN);
    CHECK_INT(yoke_child_wait_timed(c, 5 * YOKE_MS, &status), -ETIMEDOUT);
    CHECK_INT(yoke_child_wait_until(c, yoke_now(), &status), -ETIMEDOUT);
    CHECK_INT(status, 77);
    CHECK_INT(yoke_child_kill(c, 0), 0);
    CHECK_INT(yoke_child_kill(c, SIGUSR1), 0);
    status = status_of(c);
    CHECK(WIFSIGNALED(status));
    CHECK_INT(WTERMSIG(status), SIGUSR1);
    yoke_child_close(c);
    check_no_children();
}

/* A child that is stopped has not ended, and can be. */
ALL(stopped)
{
    int status = 0;
    yoke_child *c = spawn(&(yoke_child_opts){SHELL("exec sleep 1000"), .grace = 60 * YOKE_S});
    CHECK_INT(yoke_child_kill(c, SIGSTOP), 0);
    CHECK_INT(yoke_child_wait_timed(c, 10 * YOKE_MS, &status), -ETIMEDOUT);
    CHECK_INT(yoke_child_end(c, &status), 0);
    CHECK_INT(WTERMSIG(status), SIGTERM);
    CHECK_INT(yoke_child_end(c, &status), 0); /* it has ended */
    yoke_child_close(c);
    check_no_children();
}

static const char deaf[] = "trap '' TERM; echo; while :; do sleep 1000; done";

static yoke_child *spawn_deaf(int64_t grace, bool group)
{
    char c;
    yoke_child *child = spawn(&(yoke_child_opts){SHELL(deaf), .out = YOKE_CHILD_PIPE, .grace = grace, .new_group = group});
    CHECK_INT(yoke_read(yoke_child_stdout(child), &c, 1), 1); /* now it does not hear */
    return child;
}

ALL(one_that_ignores_sigterm)
{
    int status = 0;
    int64_t before = yoke_now();
    yoke_child *c = spawn_deaf(30 * YOKE_MS, true);
    CHECK_INT(yoke_child_end(c, &status), 0);
    CHECK(yoke_now() - before >= 30 * YOKE_MS);
    CHECK_INT(WTERMSIG(status), SIGKILL);
    yoke_child_close(c);
    check_no_children();
}

/* The grandchild holds the pipe: it ends when that one does too. */
ALL(a_group_ends_as_a_whole)
{
    int status = 0;
    char buf[8];
    yoke_child *c = spawn(&(yoke_child_opts){SHELL("(trap '' TERM; echo; exec sleep 1000) & wait"), .out = YOKE_CHILD_PIPE,
                                             .new_group = true});
    CHECK_INT(yoke_read(yoke_child_stdout(c), buf, 1), 1);
    CHECK_INT(yoke_child_end(c, &status), 0);
    CHECK_INT(WTERMSIG(status), SIGTERM);
    CHECK_INT(yoke_read(yoke_child_stdout(c), buf, 1), 0);
    yoke_child_close(c);
    check_no_children();
}

ALL(close_ends_it)
{
    char buf[8];
    yoke_child *c = spawn_deaf(0, true);
    int fd = fcntl(yoke_child_stdout(c), F_DUPFD_CLOEXEC, 3);
    CHECK(!yoke_child_close(c));
    CHECK_INT(yoke_read(fd, buf, 1), 0);
    CHECK_INT(yoke_close_fd(fd), 0);
    check_no_children();
}

static int64_t wait_for_it(void *arg)
{
    int status;
    return yoke_child_wait(arg, &status);
}

LOOPS(a_cancelled_wait)
{
    yoke_child *c = spawn(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}, .in = YOKE_CHILD_PIPE});
    for (int i = 0; i < 5; i++)
        attempt_cancel(wait_for_it, c);
    attempt a[2]; /* two may wait */
    attempt_begin(&a[0], wait_for_it, c);
    attempt_begin(&a[1], wait_for_it, c);
    CHECK(!a[0].over && !a[1].over);
    CHECK_INT(yoke_child_close_stdin(c), 0);
    CHECK_INT(yoke_child_stdin(c), -EBADF);
    CHECK_INT(yoke_child_close_stdin(c), -EBADF);
    CHECK_INT(attempt_end(&a[1]), 0);
    CHECK_INT(attempt_end(&a[0]), 0);
    yoke_child_close(c);
    check_no_children();
}

/* In a cancelled scope, too, it is ended and nothing is left. */
LOOPS(closed_in_a_cancelled_scope)
{
    int late, status;
    yoke_child *c = spawn_deaf(10 * YOKE_MS, true), *d = spawn_deaf(10 * YOKE_MS, true), *none = NULL;
    YOKE_TIMEOUT(0, &late) {
        CHECK_INT(yoke_child_wait(c, &status), -ECANCELED);
        CHECK_INT(yoke_child_spawn(&(yoke_child_opts){SHELL(":")}, &none), -ECANCELED);
        CHECK(!yoke_child_close(c));
        CHECK_INT(yoke_child_end(d, &status), 0);
        CHECK(!yoke_child_close(d));
    }
    CHECK_INT(late, -ETIMEDOUT);
    CHECK(!none);
    check_no_children();
}

/* ---- What they are given ---- */

ALL(talking)
{
    char buf[64];
    yoke_child *c = spawn(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}, .in = YOKE_CHILD_PIPE,
                                             .out = YOKE_CHILD_PIPE});
    CHECK_INT(yoke_child_stderr(c), -EBADF);
    CHECK_INT(yoke_write(yoke_child_stdin(c), "hello", 5), 5);
    CHECK_INT(yoke_read(yoke_child_stdout(c), buf, sizeof buf), 5);
    CHECK_INT(memcmp(buf, "hello", 5), 0);
    CHECK_INT(yoke_child_close_stdin(c), 0);
    CHECK_INT(yoke_read(yoke_child_stdout(c), buf, sizeof buf), 0);
    CHECK_INT(status_of(c), 0);
    yoke_child_close(c);
}

ALL(a_child_that_does_not_read)
{
    yoke_child *c = spawn(&(yoke_child_opts){SHELL("exit 0"), .in = YOKE_CHILD_PIPE});
    CHECK_INT(status_of(c), 0);
    CHECK_INT(yoke_write(yoke_child_stdin(c), "x", 1), -EPIPE);
    yoke_child_close(c);
}

ALL(surroundings)
{
    char buf[256];
    ask((yoke_child_opts){SHELL("pwd"), .cwd = "/usr"}, buf, sizeof buf);
    CHECK_STR(buf, "/usr\n");
    ask((yoke_child_opts){SHELL("echo $A $HOME"), .env = (const char *[]){"A=b", NULL}}, buf, sizeof buf);
    CHECK_STR(buf, "b\n");
    CHECK_INT(setenv("YOKE_TEST_X", "y", 1), 0);
    ask((yoke_child_opts){SHELL("echo $YOKE_TEST_X $0"), .program = "/bin/sh"}, buf, sizeof buf);
    CHECK_STR(buf, "y sh\n");
    ask((yoke_child_opts){SHELL("echo a; echo b >&2"), .err = YOKE_CHILD_OUT}, buf, sizeof buf);
    CHECK_STR(buf, "a\nb\n");
    ask((yoke_child_opts){SHELL("cat"), .in = YOKE_CHILD_NULL}, buf, sizeof buf);
    CHECK_STR(buf, "");
    ask((yoke_child_opts){SHELL("cat /proc/$$/stat"), .new_group = true}, buf, sizeof buf);
    int group = 0, pid = 1;
    CHECK_INT(sscanf(buf, "%d (%*[^)]) %*c %*d %d", &pid, &group), 2);
    CHECK_INT(group, pid);
}

/* Descriptors in every order, also those that are in each other's way. */
ALL(descriptors_in_each_others_way)
{
    int fds[2];
    char buf[8] = {0};
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    yoke_child *c = spawn(&(yoke_child_opts){SHELL("echo 1; echo 2 >&2"), .out = fds[1], .err = fds[1]});
    CHECK_INT(status_of(c), 0);
    yoke_child_close(c);
    CHECK_INT(yoke_read(fds[0], buf, sizeof buf), 4);
    CHECK_STR(buf, "1\n2\n");
    int save1 = fcntl(1, F_DUPFD_CLOEXEC, 10), save2 = fcntl(2, F_DUPFD_CLOEXEC, 10);
    dup2(fds[1], 2); /* 1 is to be 2 and 2 is to be 1 */
    c = spawn(&(yoke_child_opts){SHELL("echo 3; : 4 >&2"), .out = 2, .err = 1});
    dup2(save2, 2);
    close(save1);
    close(save2);
    CHECK_INT(status_of(c), 0);
    yoke_child_close(c);
    CHECK_INT(yoke_read(fds[0], buf, sizeof buf), 2);
    CHECK_INT(buf[0], '3');
    close(fds[0]);
    close(fds[1]);
}

/* Descriptors that are not closed by exec, too, are not there. */
ALL(no_descriptor_leaks)
{
    char buf[256];
    int open[20];
    for (int i = 0; i < 20; i++)
        CHECK((open[i] = dup(0)) > 2);
    ask((yoke_child_opts){SHELL("i=0; while [ $i -lt 100 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; :")}, buf,
        sizeof buf);
    for (int i = 0; i < 20; i++)
        close(open[i]);
    CHECK_STR(buf, "0\n1\n2\n");
}

static void handler(int number)
{
}

ALL(signals_as_at_first)
{
    char buf[512];
    unsigned long long blocked = 1, ignored = 1, caught = 1;
    sigset_t all, before;
    signal(SIGUSR1, handler);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ask((yoke_child_opts){.argv = (const char *[]){"grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL}}, buf,
        sizeof buf);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK_INT(sscanf(buf, "SigBlk: %llx SigIgn: %llx SigCgt: %llx", &blocked, &ignored, &caught), 3);
    CHECK_INT(blocked, 0);
    CHECK_INT(ignored & 1ull << (SIGPIPE - 1), 0);
    CHECK(ignored & 1ull << (SIGHUP - 1)); /* as under nohup */
    CHECK_INT(caught & 1ull << (SIGUSR1 - 1), 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

/* The process that started it dies; whoever has the pipe sees that it has ended as well. */
TEST(die_with_parent)
{
    int fds[2];
    char c;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        yoke_child *child;
        yoke_child_opts opts = {SHELL("echo; exec sleep 1000"), .out = fds[1], .die_with_parent = true};
        if (yoke_child_spawn(&opts, &child) < 0)
            _exit(1);
        pause();
    }
    close(fds[1]);
    CHECK_INT(read(fds[0], &c, 1), 1);
    kill(pid, SIGKILL);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_INT(read(fds[0], &c, 1), 0);
}

/* What a process made by fork() does with its parent's child leaves it alone. */
TEST(in_a_forked_process)
{
    int status;
    yoke_child *c = spawn(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}, .in = YOKE_CHILD_PIPE});
    pid_t pid = fork();
    if (pid == 0) {
        bool well = yoke_child_wait(c, &status) == -ECHILD && yoke_child_kill(c, SIGKILL) == -ESRCH;
        yoke_child_close(c);
        _exit(well ? 0 : 1);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK_INT(yoke_child_wait_try(c, &status), -EAGAIN);
    CHECK_INT(yoke_child_close_stdin(c), 0);
    CHECK_INT(status_of(c), 0);
    yoke_child_close(c);
    check_no_children();
}

/* ---- What cannot be started ---- */

static void refuse(const yoke_child_opts *opts, int code, const char *text)
{
    yoke_child *c = NULL;
    CHECK_INT(yoke_child_spawn(opts, &c), code);
    CHECK_STR(yoke_child_error(), text);
    CHECK(!c);
    check_no_children();
}

ALL(refused)
{
    char folder[] = "/tmp/yoke-child-XXXXXX", path[64], text[128];
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    refuse(&(yoke_child_opts){.argv = (const char *[]){"no-such-program", NULL}}, -ENOENT,
           "no-such-program: No such file or directory");
    refuse(&(yoke_child_opts){.argv = (const char *[]){"./no/such", NULL}, .in = YOKE_CHILD_PIPE, .out = YOKE_CHILD_PIPE},
           -ENOENT, "./no/such: No such file or directory");
    refuse(&(yoke_child_opts){.argv = (const char *[]){"", NULL}}, -ENOENT, ": No such file or directory");
    refuse(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}, .cwd = "/nowhere"}, -ENOENT,
           "/nowhere: No such file or directory (working directory of cat)");
    snprintf(text, sizeof text, "%s: Permission denied", folder);
    refuse(&(yoke_child_opts){.argv = (const char *[]){folder, NULL}}, -EACCES, text);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    CHECK_INT(write(fd, "x", 1), 1);
    close(fd);
    snprintf(text, sizeof text, "%s: Exec format error", path);
    refuse(&(yoke_child_opts){.argv = (const char *[]){path, NULL}}, -ENOEXEC, text);
    refuse(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}, .out = 999}, -EBADF,
           "cat: Bad file descriptor (its standard input, output or error)");
    refuse(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}, .in = YOKE_CHILD_OUT}, -EINVAL,
           "cat: its standard input, output or error: Invalid argument");
    refuse(&(yoke_child_opts){.argv = (const char *[]){NULL}}, -EINVAL, "a child without arguments");
    refuse(&(yoke_child_opts){0}, -EINVAL, "a child without arguments");
    CHECK_INT(yoke_child_spawn(&(yoke_child_opts){.argv = (const char *[]){"cat", NULL}}, NULL), -EINVAL);
    CHECK_STR(yoke_child_error(), "cat: there is no place for the child");
    unlink(path);
    rmdir(folder);
}

ALL(calls_that_fail)
{
    static const char *const names[] = {"malloc", "realloc", "openat", "pipe2", "mmap", "clone"};
    const yoke_child_opts opts = {SHELL("exit 3"), .in = YOKE_CHILD_NULL, .out = YOKE_CHILD_PIPE, .err = YOKE_CHILD_PIPE};
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        int before = descriptors(), err = -1;
        for (int n = 1; err < 0; n++) {
            yoke_child *c = NULL;
            yk_sys_fail(names[i], n, ENOMEM);
            err = yoke_child_spawn(&opts, &c);
            int calls = yk_sys_fail(names[i], 0, 0);
            CHECK_INT(err, calls >= n ? -ENOMEM : 0);
            if (err == 0) {
                CHECK(n > 1);
                CHECK_INT(WEXITSTATUS(status_of(c)), 3);
                yoke_child_close(c);
            } else {
                CHECK_HAS(yoke_child_error(), "sh: ");
            }
            CHECK_INT(descriptors(), before);
            check_no_children();
        }
    }
}

/* Whatever fails while it is waited for, close leaves no zombie. */
ALL(waits_that_fail)
{
    static const char *const names[] = {"waitid", "pidfd_send_signal", "poll", "calloc"};
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++)
        for (int n = 1; n < 4; n++) {
            yoke_child *c = spawn(&(yoke_child_opts){SHELL("exec sleep 1000")});
            yk_sys_fail(names[i], n, EIO);
            yoke_child_close(c);
            yk_sys_fail(names[i], 0, 0);
            check_no_children();
        }
}

/* ---- Many ---- */

enum { MANY = 100 };

static int one_of_many(void *arg)
{
    int *sum = arg;
    char buf[64] = {0};
    yoke_child *c = spawn(&(yoke_child_opts){SHELL("read x; echo $x; exit 7"), .in = YOKE_CHILD_PIPE, .out = YOKE_CHILD_PIPE});
    CHECK_INT(yoke_write(yoke_child_stdin(c), "12\n", 3), 3);
    read_text(yoke_child_stdout(c), buf, sizeof buf);
    CHECK_STR(buf, "12\n");
    *sum += WEXITSTATUS(status_of(c));
    yoke_child_close(c);
    return 0;
}

LOOPS(a_hundred_at_once)
{
    int sum = 0, err = 1;
    YOKE_GROUP(g, &err)
        for (int i = 0; i < MANY; i++)
            yoke_go(&g, one_of_many, &sum);
    CHECK_INT(err, 0);
    CHECK_INT(sum, MANY * 7);
    check_no_children();
}
