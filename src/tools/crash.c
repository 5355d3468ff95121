/* crash: when a task runs in this very process (inline, threads), its crash is ours. This gives it a last line that names the
 * task, and does the same for a task that calls exit(). Only async-signal-safe calls in the handler. */
#include "tools/commands.h"
#include "exec/exec.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STACK = 64 << 10 };

static void put(char *line, size_t size, size_t *at, const char *text)
{
    while (*text && *at < size)
        line[(*at)++] = *text++;
}

static void put_number(char *line, size_t size, size_t *at, unsigned n)
{
    char digits[12];
    size_t i = sizeof digits;
    digits[--i] = '\0';
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    put(line, size, at, digits + i);
}

static void tell(const yk_run *run, const char *what, const char *detail)
{
    char line[600];
    size_t at = 0;
    put(line, sizeof line, &at, "yoke: ");
    put(line, sizeof line, &at, run->task->name);
    put(line, sizeof line, &at, what);
    put(line, sizeof line, &at, detail);
    put(line, sizeof line, &at, " (");
    put(line, sizeof line, &at, run->task->file);
    put(line, sizeof line, &at, ":");
    put_number(line, sizeof line, &at, run->task->line);
    put(line, sizeof line, &at, "); --on processes would have lost this one job only\n");
    ssize_t n = write(STDERR_FILENO, line, at);
    (void)n;
}

static void crashed(int number)
{
    const yk_run *run = yk_current_run();
    if (run)
        tell(run, " crashed: SIG",
             number == SIGSEGV  ? "SEGV"
             : number == SIGBUS ? "BUS"
             : number == SIGFPE ? "FPE"
             : number == SIGILL ? "ILL"
                                : "ABRT");
    signal(number, SIG_DFL);
    raise(number);
}

static void exiting(void)
{
    const yk_run *run = yk_current_run();
    if (!run)
        return;
    tell(run, " called exit()", ", which ends the whole command");
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
