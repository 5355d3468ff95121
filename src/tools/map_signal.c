/* map_signal: interrupts of `yoke map`.
 *
 * The handler counts and writes to an eventfd, nothing more, so that it may run in any thread. One case needs more: when a
 * task runs inside the loop's own thread (the inline executor), the loop cannot look at the count; there the second interrupt
 * writes out what is complete and ends the process from the handler. */
#include "tools/map.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Atomic int yk_signals_hard;
static _Atomic int arrived;
static int wake_fd = -1;
static void (*_Atomic rescue_fn)(void *arg);
static void *rescue_arg;
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
static struct sigaction before[YK_COUNT_OF(caught)];

static void interrupted(int number)
{
    int saved = errno;
    int count = atomic_fetch_add(&arrived, 1) + 1;
    if (count > 1)
        atomic_store(&yk_signals_hard, 1);
    void (*rescue)(void *) = atomic_load(&rescue_fn);
    if (count > 1 && rescue) {
        rescue(rescue_arg);
        _exit(130);
    }
    uint64_t one = 1;
    ssize_t n = yk_sys.write(wake_fd, &one, sizeof one);
    (void)n;
    errno = saved;
}

int yk_signals_open(void)
{
    wake_fd = yk_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return -errno;
    atomic_store(&arrived, 0);
    atomic_store(&yk_signals_hard, 0);
    for (size_t i = 0; i < YK_COUNT_OF(caught); i++) {
        struct sigaction a = {.sa_handler = caught[i] == SIGPIPE ? SIG_IGN : interrupted};
        sigaction(caught[i], NULL, &before[i]);
        /* What nohup or a shell's & made ignored stays ignored. */
        if (before[i].sa_handler != SIG_IGN)
            sigaction(caught[i], &a, NULL);
    }
    return wake_fd;
}

int yk_signals_count(void)
{
    return atomic_load_explicit(&arrived, memory_order_relaxed);
}

void yk_signals_rescue(void (*fn)(void *arg), void *arg)
{
    rescue_arg = arg;
    atomic_store(&rescue_fn, fn);
}

void yk_signals_close(void)
{
    for (size_t i = 0; i < YK_COUNT_OF(caught); i++)
        sigaction(caught[i], &before[i], NULL);
    close(wake_fd);
    wake_fd = -1;
}
