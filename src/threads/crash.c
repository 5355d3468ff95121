/* crash: names the thread that dies of a fault, then lets the fault take its course.
 *
 * A handler for the signals of faults is installed with the first thread that is started. If the fault is one of the program's
 * own (not sent by another process), it writes one line, with calls that are allowed in a handler only: about the coroutine whose
 * stack is full, or else about the thread, if it is one that yoke started. Then whoever handled the signal before does. Each
 * thread has a small stack of its own for the handler, or the overflow of its ordinary stack could not be told. */
#include "base/line.h"
#include "threads/thread.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { STACK = 32 << 10, NEAR = 64 << 10 };

_Atomic(yk_crash_teller) yk_crash_other;

static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static struct sigaction former[YK_COUNT_OF(numbers)];

/* A little below its stack, or in the first page of it. */
static bool is_overflow(const yoke_thread *t, int number, const siginfo_t *info)
{
    uintptr_t at = (uintptr_t)info->si_addr, low = t->stack_low;
    return number == SIGSEGV && low != 0 && at < low + 4096 && at + NEAR >= low;
}

static void tell(const yoke_thread *t, int number, const siginfo_t *info)
{
    yk_line line = {.len = 0};
    const yk_run *run = yk_current_run();
    yk_line_text(&line, "yoke: thread \"");
    yk_line_text(&line, t->name);
    yk_line_text(&line, "\" died of ");
    yk_line_signal(&line, number);
    if (is_overflow(t, number, info)) {
        yk_line_text(&line, ": its stack of ");
        yk_line_number(&line, t->stack_size >> 10);
        yk_line_text(&line, " KiB is full");
    }
    if (run && yk_run_is_task(run)) {
        yk_line_text(&line, " in ");
        yk_line_text(&line, run->task->name);
    }
    yk_line_text(&line, " (started at ");
    yk_line_text(&line, t->file);
    yk_line_text(&line, ":");
    yk_line_number(&line, (unsigned)t->line);
    yk_line_text(&line, ")\n");
    yk_line_tell(&line);
}

/* As if this handler had never been. */
static void pass_on(int number, siginfo_t *info, void *context, const struct sigaction *to)
{
    if (to->sa_flags & SA_SIGINFO) {
        to->sa_sigaction(number, info, context);
    } else if (to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN) {
        to->sa_handler(number);
    } else if (to->sa_handler == SIG_DFL || info->si_code > 0) { /* nobody can ignore a fault */
        struct sigaction dies = {.sa_handler = SIG_DFL};
        sigaction(number, &dies, NULL);
        if (info->si_code <= 0)
            raise(number); /* it comes when this handler has returned; a fault happens again by itself */
    }
}

static void crashed(int number, siginfo_t *info, void *context)
{
    int error = errno;
    const yoke_thread *t = yk_thread_mine();
    bool ours = info->si_code != SI_USER && info->si_code != SI_QUEUE;
    yk_crash_teller other = atomic_load_explicit(&yk_crash_other, memory_order_acquire);
    if (ours && !(other && other(number, info, context)) && t && t->job)
        tell(t, number, info);
    for (size_t i = 0; i < YK_COUNT_OF(numbers); i++)
        if (numbers[i] == number)
            pass_on(number, info, context, &former[i]);
    errno = error;
}

static void watch(void)
{
    for (size_t i = 0; i < YK_COUNT_OF(numbers); i++) {
        if (sigaction(numbers[i], NULL, &former[i]) < 0)
            continue;
        struct sigaction a = {.sa_sigaction = crashed};
        a.sa_mask = former[i].sa_mask;
        a.sa_flags = SA_SIGINFO | SA_ONSTACK | (former[i].sa_flags & (int)(SA_NODEFER | SA_RESTART));
        sigaction(numbers[i], &a, NULL);
    }
}

void yk_crash_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}

/* ---- In each thread ---- */

void yk_crash_note(yoke_thread *t)
{
    pthread_attr_t attr;
    void *low = NULL;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &low, &t->stack_size) == 0)
        t->stack_low = (uintptr_t)low;
    pthread_attr_destroy(&attr);
}

void *yk_crash_stack(void)
{
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE))
        return NULL; /* the command's, or a sanitizer's */
    void *memory = yk_sys.mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL; /* then an overflow of the stack has no last words */
    stack_t s = {.ss_sp = memory, .ss_size = STACK};
    sigaltstack(&s, NULL);
    return memory;
}

void yk_crash_stack_done(void *stack)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    if (!stack)
        return;
    sigaltstack(&none, NULL);
    munmap(stack, STACK);
}
