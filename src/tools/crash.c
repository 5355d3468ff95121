/* crash: when a task runs in this very process (inline, threads), its crash is ours. This gives it a last line that names the
 * task, writes out what has ended, and does the same for a task that calls exit() or _exit(). Only async-signal-safe calls in
 * the handler. A child that a task has forked is not ours: it ends as it likes. */
#include "tools/commands.h"
#include "base/line.h"
#include "exec/exec.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stands before the C library's for the command and for the modules that it loads. */
__attribute__((visibility("default"), noreturn)) void yk_end_process(int status) __asm__("_exit");

void (*_Atomic yk_last_wish)(void);
static _Atomic pid_t watched; /* the process whose tasks are watched, or 0 */
static _Atomic pid_t saver;   /* the thread that saves results */

enum { STACK = 64 << 10 };

static void tell(const yk_run *run, const char *what, int number)
{
    yk_line line = {.len = 0};
    yk_line_text(&line, "yoke: ");
    yk_line_text(&line, run->task->name);
    yk_line_text(&line, what);
    if (number != 0)
        yk_line_signal(&line, number);
    yk_line_text(&line, " (");
    yk_line_text(&line, run->task->file);
    yk_line_text(&line, ":");
    yk_line_number(&line, run->task->line);
    yk_line_text(&line, "); --on processes would have lost this one job only\n");
    yk_line_tell(&line);
}

/* The task in this thread that is about to end this process, or NULL. */
static const yk_run *culprit(void)
{
    const yk_run *run = atomic_load(&watched) == getpid() ? yk_current_run() : NULL;
    return run && yk_run_is_task(run) ? run : NULL;
}

/* Once; who comes to die meanwhile waits to be ended with the process, unless it is the saving itself that crashed. */
static void save_results(void)
{
    pid_t self = gettid(), none = 0;
    void (*save)(void) = atomic_load(&yk_last_wish);
    if (!atomic_compare_exchange_strong(&saver, &none, self)) {
        while (none != self)
            pause();
        return;
    }
    if (save)
        save();
}

static void crashed(int number)
{
    const yk_run *run = culprit();
    if (run) {
        tell(run, " crashed: ", number);
        save_results();
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void exiting(void)
{
    const yk_run *run = culprit();
    if (!run)
        return;
    tell(run, " called exit(), which ends the whole command", 0);
    save_results();
    yk_end_command(1);
}

void yk_end_process(int status)
{
    const yk_run *run = culprit();
    if (run) {
        tell(run, " called _exit(), which ends the whole command", 0);
        save_results();
        status = 1;
    }
    for (;;)
        syscall(SYS_exit_group, status);
}

void yk_end_command(int status)
{
    atomic_store(&watched, 0);
    _exit(status);
}

/* A handler for stack overflows needs a stack of its own, in each thread. */
static void give_stack(void)
{
    void *memory = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t s = {.ss_sp = memory, .ss_size = STACK};
    if (memory != MAP_FAILED)
        sigaltstack(&s, NULL);
}

void yk_prepare_crashes(void)
{
    if (yk_thread_hook == give_stack)
        return;
    give_stack();
    yk_thread_hook = give_stack;
}

void yk_watch_crashes(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction a = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | (int)SA_NODEFER};
    for (size_t i = 0; i < YK_COUNT_OF(numbers); i++)
        sigaction(numbers[i], &a, NULL);
    atomic_store(&watched, getpid());
    atexit(exiting);
}
