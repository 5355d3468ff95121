/* yoke/signal.h - signals of the process as something to wait for.
 *
 * A program that the first Ctrl-C tells to stop in good order, and the second ends:
 *
 *     static int on_interrupt(void *arg)
 *     {
 *         yoke_scope *all = arg;
 *         yoke_signals *s;
 *         int err = yoke_signals_open((int[]){SIGINT, SIGTERM}, 2, &s);
 *         if (err < 0)
 *             return err;
 *         err = yoke_signal_next(s);
 *         if (err > 0) {
 *             yoke_scope_cancel(all);          // every wait in it returns -ECANCELED
 *             err = yoke_signal_next(s);       // a second time: no more patience
 *             if (err > 0)
 *                 _exit(128 + err);
 *         }
 *         yoke_signals_close(s);
 *         return err;
 *     }
 *
 *     static int program(void *arg)
 *     {
 *         yoke_group g;
 *         yoke_scope all;
 *         yoke_group_begin(&g);
 *         yoke_go(&g, on_interrupt, &all);
 *         yoke_scope_begin(&all);
 *         int code = serve(arg);               // all of the work, and its cleaning up
 *         int why = yoke_scope_end(&all);      // -ECANCELED: by a signal
 *         yoke_group_cancel(&g);
 *         yoke_group_end(&g);
 *         return why < 0 ? why : code;
 *     }
 *
 * While anything in the process waits for a signal in this way nothing else happens when it comes: it ends nothing, interrupts
 * nothing, and calls no handler; what was set up for it (sigaction(2)) holds again after the last close. Standard signals that
 * come in quick succession are one; real-time signals are all kept.
 *
 * How it works, as far as it can be seen. The set is blocked in the thread that opens it, and so in all threads that it starts
 * later, and read by signalfd(2). Threads that were there before have it unblocked: the first time that one of those is sent
 * such a signal a handler passes it on, interrupting a call of that thread with EINTR at most once, and leaves it blocked there.
 * So open before starting threads where that matters, or do not care. Programs started by yoke_child_spawn() begin with no
 * signal blocked and all handlers gone; those started in other ways (fork(2) and exec(3), posix_spawn(3), system(3)) inherit
 * what is blocked, and should set it back (posix_spawnattr_setsigmask(3)). A signal sent to one thread (raise(3),
 * pthread_kill(3)) is seen only if that thread reads it, or has it not blocked yet: use kill(2). Children made by fork(2) open
 * their own.
 *
 * Several may be open, in different loops and threads: a signal that more than one has asked for goes to one of them.
 */
#ifndef YOKE_SIGNAL_H
#define YOKE_SIGNAL_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_signals yoke_signals;
struct signalfd_siginfo;

/* From now on the n signals of set are kept for yoke_signal_next(). 0, -EINVAL (no signal, or one that cannot be kept: SIGKILL,
 * SIGSTOP, and those of a crash: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS), -EMFILE, -ENOMEM. Any thread. */
YOKE_API int yoke_signals_open(const int *set, size_t n, yoke_signals **ret);

/* Waits for one of the signals, and returns its number. Or -ECANCELED, -EAGAIN (_try), -ETIMEDOUT, -EINVAL (s is NULL). In a
 * coroutine or a thread, of those that have `s` one at a time. */
YOKE_API int yoke_signal_next(yoke_signals *s);
YOKE_API int yoke_signal_next_try(yoke_signals *s);
YOKE_API int yoke_signal_next_timed(yoke_signals *s, int64_t ns);
YOKE_API int yoke_signal_next_until(yoke_signals *s, int64_t deadline);

/* What the kernel said of the signal that was returned last: who sent it and why (signalfd(2), in <sys/signalfd.h>). NULL: there
 * was none yet. Until the next. */
YOKE_API const struct signalfd_siginfo *yoke_signal_info(const yoke_signals *s);

/* In the thread that opened it. What has come and was not waited for is then delivered as if it came now. Returns NULL. NULL is
 * allowed. */
YOKE_API yoke_signals *yoke_signals_close(yoke_signals *s);

#ifdef __cplusplus
}
#endif
#endif
