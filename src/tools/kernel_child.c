/* kernel_child: kernels run in a process of their own (kernel_compare.c), for one of them may end it: what a
 * driver's threads run cannot be caught, and a loop without end neither. This starts that process, and again behind
 * whatever it died of, until all kernels have had their turn; each death is one line. */
#include "tools/kernel_check.h"
#include "tools/option.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- One process ---- */

enum { TEXT_MOST = 256 << 10 };
static const int64_t second = 1000000000;

/* out, errors: the ends that are read here. */
typedef struct pipes {
    int out[2], errors[2];
} pipes;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_pipes(pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&p->out[i]);
        close_fd(&p->errors[i]);
    }
}

static int open_pipes(pipes *p)
{
    *p = (pipes){{-1, -1}, {-1, -1}};
    if (yk_sys.pipe2(p->out, O_CLOEXEC) == 0 && yk_sys.pipe2(p->errors, O_CLOEXEC) == 0)
        return 0;
    int err = -errno;
    close_pipes(p);
    return err;
}

static int spawn(const yk_child *c, const pipes *p, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, p->out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, p->errors[1], STDERR_FILENO);
    int err = posix_spawn(pid, c->argv[0], &files, NULL, c->argv, c->environment ? c->environment : environ);
    posix_spawn_file_actions_destroy(&files);
    return -err;
}

/* Each whole line of b goes to c->line; what is left stays. */
static void hand_on(const yk_child *c, yk_buf *b)
{
    char *line = b->ptr, *end;
    for (char *stop = b->ptr + b->len; line < stop && (end = memchr(line, '\n', (size_t)(stop - line))); line = end + 1) {
        *end = '\0';
        c->line(c->arg, line);
    }
    b->len -= (size_t)(line - b->ptr);
    memmove(b->ptr, line, b->len);
}

/* What there is to read. False: it has come to its end. */
static bool take(int fd, yk_buf *to)
{
    char part[8192];
    ssize_t n = yk_sys.read(fd, part, sizeof part);
    if (n > 0 && to->len < TEXT_MOST)
        yk_buf_put(to, part, (size_t)n);
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Until both ends are closed, or nothing has come for too long: then the process is ended. Returns when it has been too long. */
static int64_t listen_to(yk_child *c, pipes *p, pid_t pid)
{
    yk_buf lines = {0};
    int64_t deadline = yoke_now() + c->timeout;
    while (p->out[0] >= 0 || p->errors[0] >= 0) {
        struct pollfd fds[] = {{p->errors[0], POLLIN, 0}, {p->out[0], POLLIN, 0}};
        int64_t left = (deadline - yoke_now()) / 1000000;
        int n = left > 0 ? yk_sys.poll(fds, 2, (int)YK_MIN(left, INT_MAX)) : 0;
        if (n == 0 && !c->timed_out) {
            c->timed_out = true;
            kill(pid, SIGKILL);
            deadline = yoke_now() + 5 * second; /* for what the pipes still hold */
        } else if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        if (n > 0 && fds[0].revents && !take(p->errors[0], &c->stderr_text))
            close_fd(&p->errors[0]);
        if (n > 0 && fds[1].revents) {
            deadline = c->timed_out ? deadline : yoke_now() + c->timeout;
            if (!take(p->out[0], &lines))
                close_fd(&p->out[0]);
            if (lines.len > 0)
                hand_on(c, &lines);
        }
    }
    yk_buf_done(&lines);
    return deadline;
}

/* The process has closed its ends, or they cannot be read: it has until the deadline to end. */
static void wait_for(yk_child *c, pid_t pid, int64_t deadline)
{
    useconds_t pause = 50;
    pid_t ended;
    while ((ended = waitpid(pid, &c->status, c->timed_out ? 0 : WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        if (!c->timed_out && yoke_now() >= deadline) {
            c->timed_out = true;
            kill(pid, SIGKILL);
        } else {
            usleep(pause);
            pause = YK_MIN(2 * pause, 10000);
        }
    }
    if (ended < 0) /* SIGCHLD is ignored: only what it wrote tells */
        c->status = 0;
}

int yk_child_run(yk_child *c)
{
    pipes p;
    pid_t pid;
    int err = open_pipes(&p);
    c->timed_out = false;
    c->stderr_text.len = 0;
    if (err < 0)
        return err;
    err = spawn(c, &p, &pid);
    close_fd(&p.out[1]);
    close_fd(&p.errors[1]);
    if (err == 0)
        wait_for(c, pid, listen_to(c, &p, pid));
    close_pipes(&p);
    return err;
}

/* ---- All kernels ---- */

/* at_kernel, at_device, step: what the process was about to do last. told: there is a verdict on it. */
typedef struct reading {
    const yk_check *check;
    const yk_listener *listener;
    size_t at_kernel, at_device;
    char step[500];
    bool begun, on_cpu, told, ended;
} reading;

static void read_line(void *arg, char *line)
{
    reading *r = arg;
    char *rest = line + 1;
    if (*line == '@' || *line == '%') {
        r->at_kernel = strtoul(rest, &rest, 10);
        r->at_device = strtoul(rest, &rest, 10);
        snprintf(r->step, sizeof r->step, "%s", *rest == ' ' ? rest + 1 : rest);
        r->on_cpu = *line == '%';
        r->begun = true;
        r->told = false;
    } else if (*line == '.') {
        r->ended = true;
    } else if (*line == '+' || *line == '-' || *line == '~') {
        r->told = true;
        r->listener->verdict(r->listener->arg, r->at_kernel, *line, rest);
    }
}

/* A loop that does not end on the CPU may be the fault of arguments that were made up; under a simulator it may be
 * its slowness. */
static void tell_death(reading *r, const yk_child *c)
{
    yk_buf text = {0};
    yk_buf_printf(&text, "%s it ", r->step);
    if (c->timed_out)
        yk_buf_printf(&text, "does not end within %.3g s", (double)c->timeout / (double)second);
    else if (WIFSIGNALED(c->status))
        yk_buf_printf(&text, "ends the process: signal %d (%s)", WTERMSIG(c->status), strsignal(WTERMSIG(c->status)));
    else
        yk_buf_printf(&text, "ends the process with exit code %d", WEXITSTATUS(c->status));
    r->listener->verdict(r->listener->arg, r->at_kernel, c->timed_out && (r->on_cpu || r->check->simulated) ? '~' : '-',
                         yk_buf_str(&text));
    yk_buf_done(&text);
}

/* It could not even begin: what it said last, or how it ended. */
static void tell_false_start(const yk_child *c, yk_buf *why)
{
    const char *text = c->stderr_text.ptr;
    size_t end = c->stderr_text.len;
    while (end > 0 && text[end - 1] == '\n')
        end--;
    size_t begin = end;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    if (end > begin)
        yk_buf_put(why, text + begin, end - begin);
    else
        yk_buf_printf(why, "the process that runs kernels has ended at once: %s %d",
                      WIFSIGNALED(c->status) ? "signal" : "exit code",
                      WIFSIGNALED(c->status) ? WTERMSIG(c->status) : WEXITSTATUS(c->status));
}

enum { FRONT_MOST = 8, WORDS = 10, NUMBER = 24 };

/* The words behind --run-kernels are told apart in yk_compare_main(). */
static void write_words(const reading *r, const char *own, char *argv[FRONT_MOST + WORDS + 1], char numbers[4][NUMBER])
{
    const yk_check *c = r->check;
    size_t at = 0;
    snprintf(numbers[0], NUMBER, "%llu", (unsigned long long)c->seed);
    snprintf(numbers[1], NUMBER, "%llu", (unsigned long long)c->ulp);
    snprintf(numbers[2], NUMBER, "%zu", r->at_kernel);
    snprintf(numbers[3], NUMBER, "%zu", r->at_device);
    const char *const words[WORDS + 1] = {own, "--run-kernels", c->path, c->name ? c->name : "", c->devices, numbers[0],
                                          numbers[1], c->simulated ? "1" : "0", numbers[2], numbers[3], NULL};
    for (const char *const *p = r->listener->front; p && *p && at < FRONT_MOST; p++)
        argv[at++] = (char *)(uintptr_t)*p;
    for (size_t i = 0; i <= WORDS; i++)
        argv[at++] = (char *)(uintptr_t)words[i];
}

/* One process, from where the last has come to. 0 or a negative code with why. */
static int run_some(reading *r, const char *own, yk_buf *why)
{
    char *argv[FRONT_MOST + WORDS + 1], numbers[4][NUMBER];
    write_words(r, own, argv, numbers);
    yk_child child = {.argv = argv, .environment = r->listener->environment, .timeout = r->check->timeout, .line = read_line,
                      .arg = r};
    r->begun = false;
    int err = yk_child_run(&child);
    if (err < 0) {
        yk_buf_printf(why, "cannot start a process: %s", yoke_strerror(err));
    } else if (!r->ended && !r->begun) {
        tell_false_start(&child, why);
        err = WIFEXITED(child.status) && WEXITSTATUS(child.status) == 3 ? -ENODEV : -EIO;
    } else if (!r->ended && !r->told) {
        tell_death(r, &child);
    }
    if (r->listener->messages)
        yk_buf_put(r->listener->messages, child.stderr_text.ptr, child.stderr_text.len);
    yk_buf_done(&child.stderr_text);
    return err;
}

int yk_run_kernels(const yk_check *c, size_t n, const yk_listener *l, yk_buf *why)
{
    reading r = {.check = c, .listener = l};
    char own[PATH_MAX];
    size_t devices = 1;
    int err = 0;
    if (!realpath("/proc/self/exe", own)) {
        yk_buf_text(why, "/proc/self/exe cannot be read");
        return -ENOENT;
    }
    for (const char *p = c->devices; (p = strchr(p, ',')); p++)
        devices++;
    while (err == 0 && !r.ended && r.at_kernel < n) {
        err = run_some(&r, own, why);
        r.at_device++;
        r.at_kernel += r.at_device / devices;
        r.at_device %= devices;
    }
    return err;
}

/* ---- Comparing ---- */

typedef struct comparison {
    yk_buf *out;
    unsigned *failed;
} comparison;

static void put_line(void *arg, size_t kernel, char mark, const char *text)
{
    comparison *c = arg;
    (void)kernel;
    *c->failed += mark == '-';
    yk_buf_printf(c->out, "%s\n", text);
}

int yk_compare(const yk_check *c, size_t n, unsigned *failed, yk_buf *out, yk_buf *why)
{
    comparison to = {out, failed};
    return yk_run_kernels(c, n, &(yk_listener){.verdict = put_line, .arg = &to}, why);
}
