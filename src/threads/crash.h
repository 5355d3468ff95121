/* crash: the one handler for the signals of faults, shared by all who have something to say about one before it takes its course.
 * Shown to other parts. */
#ifndef YK_THREADS_CRASH_H
#define YK_THREADS_CRASH_H
#include <signal.h>
#include <stdbool.h>

/* From now on crashes of threads are named on stderr. May be called again. */
void yk_crash_watch(void);

/* In a thread: a stack for the handler, so that overflows of the ordinary one can be told. NULL: it has one, or no memory. */
void *yk_crash_stack(void);
void yk_crash_stack_done(void *stack);

/* Asked first, in the handler: true when it has told on stderr what happened. One at most. */
typedef bool (*yk_crash_teller)(int number, const siginfo_t *info, void *context);
extern _Atomic(yk_crash_teller) yk_crash_other;

#endif
