/* zygote: a small process that does nothing but start workers and bury them.
 *
 * It is forked once, early; workers are forked from it, which costs the same however large the program has grown and is safe
 * however many threads it has by now. It is single-threaded, so what a worker inherits is in order. It reports each start and
 * each end over a socket. It ends when that socket does or when the parent's pidfd says so; workers end with it (PDEATHSIG), so
 * nothing outlives the program, however that dies. */
#include "process/shared.h"
#include "exec/exec.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef struct child {
    pid_t pid; /* 0: none */
    uint32_t incarnation;
    unsigned unsent;             /* reports that the parent has no room for yet */
    yk_zygote_report reports[2]; /* these, oldest first: of a start and of its end; the parent asks for no other before */
} child;

static const yk_zygote_setup *setup;
static child *children; /* by slot */
static int child_signals, parent_fd;
static unsigned unsent; /* reports of all children */

/* Default actions and an open mask, whatever the program had set. */
static void reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP)
            sigaction(s, &standard, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &ignore, NULL); /* ^C reaches the whole terminal group; what becomes of it is the parent's affair */
    sigaction(SIGPIPE, &ignore, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Everything above stderr but those three. */
static void close_other_files(int a, int b, int c)
{
    int keep[3] = {a, b, c};
    for (int i = 0; i < 2; i++)
        for (int j = i + 1; j < 3; j++)
            if (keep[j] < keep[i]) {
                int swap = keep[i];
                keep[i] = keep[j];
                keep[j] = swap;
            }
    unsigned from = 3;
    for (int i = 0; i < 3; i++) {
        if (keep[i] < 3)
            continue;
        if ((unsigned)keep[i] > from)
            close_range(from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    close_range(from, ~0u, 0);
}

static void be_worker(const yk_zygote_request *q, pid_t zygote)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != zygote)
        _exit(1); /* it died before the line above */
    setpgid(0, 0);
    char name[16];
    snprintf(name, sizeof name, "yoke-proc-%u", q->slot % 10000);
    prctl(PR_SET_NAME, name);
    reset_signals();
    signal(SIGPIPE, SIG_DFL);
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    close_range(3, ~0u, 0);
    yk_worker_start start = {.board = setup->board, .desk = &setup->desks[q->slot],
                             .window = {.base = setup->base, .size = setup->size}, .spin = setup->spin,
                             .device = setup->device};
    if (q->arena >= 0) {
        start.arena = setup->arenas + (size_t)q->arena * setup->arena_size;
        start.arena_size = setup->arena_size;
    }
    yk_worker_main(&start);
}

/* Sends what waits, as far as there is room. It must not wait for that: the parent may be just as full of requests. */
static void send_reports(void)
{
    for (uint32_t slot = 0; slot < setup->width && unsent > 0; slot++)
        for (child *c = &children[slot]; c->unsent > 0;) {
            if (send(setup->socket, c->reports, sizeof *c->reports, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                if (errno == EINTR)
                    continue;
                return;
            }
            c->reports[0] = c->reports[1];
            c->unsent--;
            unsent--;
        }
}

static void report(uint32_t news, uint32_t slot, int32_t code, int32_t status)
{
    child *c = &children[slot];
    c->reports[c->unsent++] = (yk_zygote_report){news, slot, c->incarnation, c->pid, code, status};
    unsent++;
    send_reports();
}

/* It may have left its group, and what it has started may still be there. It is not buried yet, so the number is its own. */
static void kill_child(pid_t pid)
{
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

static void start_worker(const yk_zygote_request *q)
{
    if (children[q->slot].pid > 0 || children[q->slot].unsent > 0)
        return;
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        be_worker(q, self);
    children[q->slot] = (child){.pid = pid > 0 ? pid : 0, .incarnation = q->incarnation};
    if (pid > 0)
        setpgid(pid, pid); /* both do it, so that it is done whoever runs first */
    report(pid > 0 ? YK_NEWS_STARTED : YK_NEWS_FAILED, q->slot, 0, pid > 0 ? 0 : errno);
}

/* Buries everyone who has died, and ends what they have left behind in their process groups. */
static void bury(void)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        kill(-info.si_pid, SIGKILL);
        siginfo_t again;
        waitid(P_PID, (id_t)info.si_pid, &again, WEXITED);
        for (uint32_t slot = 0; slot < setup->width; slot++) {
            if (children[slot].pid != info.si_pid)
                continue;
            report(YK_NEWS_ENDED, slot, info.si_code, info.si_status);
            children[slot].pid = 0;
        }
    }
}

static void obey(const yk_zygote_request *q)
{
    if (q->slot >= setup->width)
        return;
    child *c = &children[q->slot];
    if (q->ask == YK_ASK_START)
        start_worker(q);
    else if (c->pid > 0 && c->incarnation == q->incarnation)
        kill_child(c->pid);
}

/* Kills and buries until nobody is left. */
static void end_all(void)
{
    for (unsigned left = 1; left > 0;) {
        left = 0;
        for (uint32_t slot = 0; slot < setup->width; slot++) {
            pid_t pid = children[slot].pid;
            if (pid <= 0)
                continue;
            kill_child(pid);
            siginfo_t info = {0};
            if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) < 0 ? errno == ECHILD : info.si_pid == pid)
                children[slot].pid = 0;
            else
                left++;
        }
        struct pollfd one_more = {.fd = child_signals, .events = POLLIN};
        struct signalfd_siginfo ignored[16];
        if (left > 0 && poll(&one_more, 1, 20) > 0)
            while (read(child_signals, ignored, sizeof ignored) > 0)
                ;
    }
    _exit(0);
}

static void serve(void)
{
    struct pollfd fds[3] = {{.fd = setup->socket, .events = POLLIN},
                            {.fd = child_signals, .events = POLLIN},
                            {.fd = parent_fd, .events = POLLIN}};
    for (;;) {
        fds[0].events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
        if (poll(fds, 3, unsent > 0 ? 100 : -1) < 0 && errno != EINTR)
            end_all();
        send_reports();
        if (fds[1].revents) {
            struct signalfd_siginfo ignored[16];
            while (read(child_signals, ignored, sizeof ignored) > 0)
                ;
            bury();
        }
        if (fds[2].revents)
            end_all();
        if (fds[0].revents) {
            yk_zygote_request q;
            ssize_t n = recv(setup->socket, &q, sizeof q, MSG_DONTWAIT);
            if (n == (ssize_t)sizeof q)
                obey(&q);
            else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
                end_all();
        }
    }
}

static void be_zygote(void)
{
    prctl(PR_SET_NAME, "yoke-zygote");
    /* What lies in the buffer now is for the parent to print; a worker that calls exit() must not print it again. Flushing it
     * before the fork instead could wait for a thread that reads from a terminal. */
    __fpurge(stdout);
    setpgid(0, 0); /* a ^C at the terminal is for the parent */
    atomic_store(&yk_tracing, false);
    reset_signals();
    children = calloc(setup->width, sizeof *children);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 0);
        if (null > 2)
            close(null);
    }
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, NULL);
    child_signals = signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);
    parent_fd = yk_sys.pidfd_open(setup->parent, 0); /* without it (an old kernel) the socket's end tells */
    if (!children || child_signals < 0 || getppid() != setup->parent)
        _exit(1);
    close_other_files(setup->socket, child_signals, parent_fd < 0 ? setup->socket : parent_fd);
    serve();
}

pid_t yk_zygote_fork(const yk_zygote_setup *s)
{
    pid_t pid = yk_sys.fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        setup = s; /* on the parent's stack, of which this is a copy that stays */
        be_zygote();
    }
    return pid;
}
