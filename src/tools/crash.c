/* crash: when a task runs in this very process (inline, threads), its crash is ours. This gives it a last line that names the
 * task, and does the same for a task that calls exit(). Only async-signal-safe calls in the handler. */
#include "tools/commands.h"
#include "base/line.h"
#include "exec/exec.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

static void crashed(int number)
{
    const yk_run *run = yk_current_run();
    if (run)
        tell(run, " crashed: ", number);
    signal(number, SIG_DFL);
    raise(number);
}

static void exiting(void)
{
    const yk_run *run = yk_current_run();
    if (!run)
        return;
    tell(run, " called exit(), which ends the whole command", 0);
    _exit(1);
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
    atexit(exiting);
}
