/* overflow: says whose stack is full when a coroutine runs into the guard of its stack, then lets the fault take its course.
 *
 * The fault comes to the handler that names crashing threads (threads/crash.h), on a signal stack, for the ordinary one is full.
 * It is an overflow if the address lies in the guard of a stack of the pool that this thread watches, and the stack pointer in
 * that same stack or its guard: a stray pointer into a guard is not. Nothing is called here that a signal handler may not. */
#include "async/stack.h"
#include "base/line.h"
#include "threads/crash.h"
#include <ucontext.h>

const char *(*yk_stack_name_hook)(void *top);

/* Of the calling thread. Not looked up through the loader, which may allocate. */
static _Thread_local yk_stack_pool *watched __attribute__((tls_model("initial-exec")));

static uintptr_t stack_pointer(const void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
#else
    return (uintptr_t)c->uc_mcontext.sp;
#endif
}

/* In the stack with the guard, or, the pointer being moved before what lies there is touched, a little below. */
static bool runs_on(yk_stack s, uintptr_t sp)
{
    enum { FRAME = 64 << 10 };
    return sp < (uintptr_t)s.top && sp + FRAME > (uintptr_t)s.low;
}

static bool tell(int number, const siginfo_t *info, void *context)
{
    yk_stack s;
    if ((number != SIGSEGV && number != SIGBUS) || !watched ||
        !yk_stack_find_guard(watched, (uintptr_t)info->si_addr, &s) || !runs_on(s, stack_pointer(context)))
        return false;
    yk_line line = {.len = 0};
    const char *name = yk_stack_name_hook ? yk_stack_name_hook(s.top) : NULL;
    yk_line_text(&line, "yoke: stack overflow in coroutine ");
    yk_line_text(&line, name ? name : "(unnamed)");
    yk_line_text(&line, ", stack of ");
    yk_line_number(&line, yk_stack_size(s) >> 10);
    yk_line_text(&line, " KiB; " YK_STACK_ADVICE "\n");
    yk_line_tell(&line);
    return true;
}

void yk_stack_watch(yk_stack_pool *p)
{
    yk_crash_watch();
    atomic_store_explicit(&yk_crash_other, tell, memory_order_release);
    watched = p;
    if (!p->signal_stack)
        p->signal_stack = yk_crash_stack();
}

void yk_stack_unwatch(yk_stack_pool *p)
{
    if (watched == p)
        watched = NULL;
    yk_crash_stack_done(p->signal_stack);
    p->signal_stack = NULL;
}
