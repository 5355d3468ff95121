/* sys: the table of calls that can fail, and the switch by which tests make them fail.
 *
 * The table holds the real functions until a test asks for a failure; then the entry is replaced by a counting one that
 * fails at the n-th call and passes all others on. So release code pays one indirect call and no test. */
#include "base/base.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static int real_openat(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags, mode);
}

/* libc declares these three with other spellings of the same types. */
static int real_pidfd_open(pid_t pid, unsigned flags)
{
    return pidfd_open(pid, flags);
}

static int real_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
    return pidfd_send_signal(pidfd, sig, info, flags);
}

/* libc has no name for it. */
static int real_membarrier(int command, unsigned flags, int cpu)
{
    return (int)syscall(SYS_membarrier, command, flags, cpu);
}

static int real_eventfd(unsigned value, int flags)
{
    return eventfd(value, flags);
}

#define REAL                                                                                                           \
    {                                                                                                                  \
        .malloc = malloc, .calloc = calloc, .realloc = realloc, .posix_memalign = posix_memalign, .mmap = mmap,        \
        .mprotect = mprotect, .madvise = madvise,                                                                      \
        .memfd_create = memfd_create, .ftruncate = ftruncate, .fallocate = fallocate, .openat = real_openat,           \
        .read = read, .write = write, .fsync = fsync, .fork = fork, .pipe2 = pipe2, .socketpair = socketpair,          \
        .sendmsg = sendmsg, .recvmsg = recvmsg, .pthread_create = pthread_create, .pidfd_open = real_pidfd_open,       \
        .pidfd_send_signal = real_pidfd_send_signal, .membarrier = real_membarrier, .eventfd = real_eventfd,       \
        .signalfd = signalfd, .poll = poll, .dlopen = dlopen                                                           \
    }
static const yk_sys_table real = REAL;
yk_sys_table yk_sys = REAL;

/* One failure at a time: which entry counts, and when it fails. */
static struct {
    _Atomic int calls;
    int fail_at, error;
} injected;

static bool fails_now(void)
{
    int call = atomic_fetch_add(&injected.calls, 1) + 1;
    if (call != injected.fail_at)
        return false;
    errno = injected.error;
    return true;
}

/* The counting twin of each entry. */
#define FAIL_POINTER ((void *)0)
#define TWIN(result, name, parameters, arguments, failure)                                                             \
    static result failing_##name parameters                                                                            \
    {                                                                                                                  \
        return fails_now() ? (failure) : real.name arguments;                                                          \
    }
TWIN(void *, malloc, (size_t size), (size), FAIL_POINTER)
TWIN(void *, calloc, (size_t n, size_t size), (n, size), FAIL_POINTER)
TWIN(void *, realloc, (void *p, size_t size), (p, size), FAIL_POINTER)
TWIN(int, posix_memalign, (void **ret, size_t alignment, size_t size), (ret, alignment, size), injected.error)
TWIN(void *, mmap, (void *addr, size_t len, int prot, int flags, int fd, off_t offset), (addr, len, prot, flags, fd, offset),
     MAP_FAILED)
TWIN(int, mprotect, (void *addr, size_t len, int prot), (addr, len, prot), -1)
TWIN(int, madvise, (void *addr, size_t len, int advice), (addr, len, advice), -1)
TWIN(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
TWIN(int, ftruncate, (int fd, off_t len), (fd, len), -1)
TWIN(int, fallocate, (int fd, int mode, off_t offset, off_t len), (fd, mode, offset, len), -1)
TWIN(int, openat, (int dir, const char *path, int flags, mode_t mode), (dir, path, flags, mode), -1)
TWIN(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n), -1)
TWIN(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n), -1)
TWIN(int, fsync, (int fd), (fd), -1)
TWIN(pid_t, fork, (void), (), -1)
TWIN(int, pipe2, (int fds[2], int flags), (fds, flags), -1)
TWIN(int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds), -1)
TWIN(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), -1)
TWIN(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), -1)
TWIN(int, pthread_create, (pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg), (t, a, fn, arg),
     injected.error)
TWIN(int, membarrier, (int command, unsigned flags, int cpu), (command, flags, cpu), -1)
TWIN(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1)
TWIN(int, pidfd_send_signal, (int pidfd, int sig, siginfo_t *info, unsigned flags), (pidfd, sig, info, flags), -1)
TWIN(int, eventfd, (unsigned value, int flags), (value, flags), -1)
TWIN(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1)
TWIN(int, poll, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout), -1)
TWIN(void *, dlopen, (const char *path, int flags), (path, flags), FAIL_POINTER)

/* Threads may be calling meanwhile: one entry is one store, and no race to report. */
__attribute__((no_sanitize("thread"))) int yk_sys_fail(const char *name, int n, int error)
{
    int before = atomic_exchange(&injected.calls, 0);
#define RESTORE(result, entry, parameters) yk_sys.entry = real.entry;
    YK_SYS_CALLS(RESTORE)
    injected.fail_at = n;
    injected.error = error;
#define REPLACE(result, entry, parameters)                                                                             \
    if (strcmp(name, #entry) == 0) {                                                                                   \
        if (n != 0)                                                                                                    \
            yk_sys.entry = failing_##entry;                                                                            \
        return before;                                                                                                 \
    }
    YK_SYS_CALLS(REPLACE)
    return -1;
}
