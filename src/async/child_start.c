/* child_start: from a description of a child to a process that runs its program.
 *
 * By clone(2) as vfork(2) does it: the child borrows this process's memory and this thread's time until it is its program, so
 * that starting one costs the same however large this process is, and an error goes into a variable. What the child does until
 * then touches nothing that the C library or a sanitizer keeps account of: only system calls, by number. All that needs memory
 * is prepared before. Signals are blocked meanwhile, since a handler must not run there. */
#include "async/child.h"
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK = 64 << 10, LAST_SIGNAL = 64 };
#define BORROWS __attribute__((no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))

typedef enum step { AT_NOTHING, AT_GROUP, AT_FDS, AT_FOLDER, AT_PROGRAM } step;

typedef struct start {
    const char *const *argv, *const *env;
    const char *cwd;
    const char *paths; /* what to try, one after the other, each with a NUL; then an empty one */
    int fds[3];
    bool new_group, die_with_parent;
    pid_t parent;
    step step;         /* from the child: where it failed, and of what */
    int error;
} start;

/* ---- In the child ---- */

/* As the kernel has it, with room for what it has elsewhere. */
typedef struct kernel_action {
    void *handler;
    uint64_t rest[3];
} kernel_action;

BORROWS static void reset_signals(void)
{
    const kernel_action none = {NULL, {0}};
    kernel_action is;
    for (int i = 1; i <= LAST_SIGNAL; i++) {
        if (syscall(SYS_rt_sigaction, i, NULL, &is, sizeof(uint64_t)) < 0)
            continue;
        bool ignored = is.handler == (void *)SIG_IGN && i != SIGPIPE;
        if (!ignored && is.handler != (void *)SIG_DFL)
            syscall(SYS_rt_sigaction, i, &none, NULL, sizeof(uint64_t));
    }
    uint64_t nothing = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &nothing, NULL, sizeof nothing);
}

BORROWS static void close_rest(void)
{
    struct rlimit most = {0};
    if (syscall(SYS_close_range, 3u, UINT_MAX, 0) == 0)
        return;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &most);
    for (int fd = 3; (rlim_t)fd < most.rlim_cur; fd++)
        syscall(SYS_close, fd);
}

/* First those that are in the way of others, to where they are not. */
BORROWS static bool place_fds(int *fds)
{
    for (int i = 0; i < 3; i++)
        if (fds[i] != i && fds[i] < 3 && (fds[i] = (int)syscall(SYS_fcntl, fds[i], F_DUPFD_CLOEXEC, 3)) < 0)
            return false;
    for (int i = 0; i < 3; i++) {
        if (fds[i] == i)
            syscall(SYS_fcntl, i, F_SETFD, 0); /* it may be closed: then it is for the child as well */
        else if (syscall(SYS_dup3, fds[i], i, 0) < 0)
            return false;
    }
    close_rest();
    return true;
}

BORROWS static void run_program(const start *s)
{
    bool denied = false;
    for (const char *path = s->paths; *path; path++) {
        syscall(SYS_execve, path, s->argv, s->env);
        if (errno == EACCES)
            denied = true;
        else if (errno != ENOENT && errno != ENOTDIR)
            return;
        while (*path)
            path++;
    }
    errno = denied ? EACCES : ENOENT;
}

BORROWS static bool follow_parent(const start *s)
{
    return !s->die_with_parent ||
           (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && syscall(SYS_getppid) == s->parent);
}

BORROWS static int be_child(void *arg)
{
    start *s = arg;
    s->step = AT_GROUP;
    if (follow_parent(s) && (!s->new_group || syscall(SYS_setpgid, 0, 0) == 0)) {
        s->step = AT_FOLDER;
        if (!s->cwd || syscall(SYS_chdir, s->cwd) == 0) {
            s->step = AT_FDS;
            if (place_fds(s->fds)) {
                s->step = AT_PROGRAM;
                reset_signals();
                run_program(s);
            }
        }
    }
    s->error = errno;
    syscall(SYS_exit_group, 127);
    __builtin_unreachable();
}

/* ---- Before and after ---- */

/* Where a program may be, for start.paths. */
static void list_paths(const char *program, yk_buf *text)
{
    const char *path = getenv("PATH");
    if (!*program)
        return;
    if (strchr(program, '/')) {
        yk_buf_put(text, program, strlen(program) + 1);
        return;
    }
    for (path = path ? path : "/usr/bin:/bin";; path++) {
        size_t len = strcspn(path, ":");
        yk_buf_printf(text, "%.*s/%s", len > 0 ? (int)len : 1, len > 0 ? path : ".", program);
        yk_buf_char(text, '\0');
        path += len;
        if (!*path)
            return;
    }
}

/* The child's stack. NULL: no memory. */
static void *new_stack(void)
{
    void *p = yk_sys.mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* 0: there is a process, which has failed if s->error says so. */
static int make_process(start *s, yoke_child *c)
{
    uint64_t all = UINT64_MAX, before;
    char *stack = new_stack();
    if (!stack)
        return -ENOMEM;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    c->pid = yk_sys.clone(be_child, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, s, &c->pidfd);
    int err = c->pid < 0 ? -errno : 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    munmap(stack, STACK);
    return err;
}

static int explain(const start *s, int error, const char *program, yk_error *e)
{
    const char *why = yoke_strerror(error);
    if (s->step == AT_FOLDER)
        return yk_errorf(e, error, "%s: %s (working directory of %s)", s->cwd, why, program);
    if (s->step == AT_FDS)
        return yk_errorf(e, error, "%s: %s (its standard input, output or error)", program, why);
    if (s->step == AT_PROGRAM)
        return yk_errorf(e, error, "%s: %s", program, why);
    return yk_errorf(e, error, "%s: cannot be started: %s", program, why);
}

static void bury(const yoke_child *c)
{
    while (yk_sys.waitid(P_PIDFD, (id_t)c->pidfd, NULL, WEXITED) < 0 && errno != ECHILD)
        continue;
    close(c->pidfd);
}

int yk_child_start(const yoke_child_opts *opts, const int fds[3], yoke_child *c, yk_error *e)
{
    const char *program = opts->program ? opts->program : opts->argv[0];
    yk_buf paths = {0};
    list_paths(program, &paths);
    yk_buf_char(&paths, '\0');
    start s = {.argv = opts->argv, .env = opts->env ? opts->env : (const char *const *)environ, .cwd = opts->cwd,
               .paths = paths.ptr, .fds = {fds[0], fds[1], fds[2]}, .new_group = opts->new_group,
               .die_with_parent = opts->die_with_parent, .parent = getpid()};
    int err = paths.failed ? -ENOMEM : make_process(&s, c);
    yk_buf_done(&paths);
    if (err < 0)
        return explain(&s, err, program, e);
    if (s.error == 0)
        return 0;
    bury(c);
    return explain(&s, s.error, program, e);
}
