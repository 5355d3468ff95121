/* sys: the table of calls that can fail, and the switch by which tests make them fail.
 *
 * The table holds the real functions until a test asks for a failure; then the entry is replaced by a counting one that
 * fails at the n-th call and passes all others on. So release code pays one indirect call and no test. */
#include "base/base.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
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

/* libc 2.36 has the first of these and none of the others. */
static int real_futex_waitv(yk_futexv *words, unsigned n)
{
    enum { CALL = 449 }; /* on all processors */
    return (int)syscall(CALL, words, n, 0, NULL, CLOCK_MONOTONIC);
}

static int real_epoll_pwait2(int fd, struct epoll_event *e, int n, const struct timespec *timeout, const sigset_t *mask)
{
    return (int)syscall(SYS_epoll_pwait2, fd, e, n, timeout, mask, _NSIG / 8);
}

static int real_io_uring_setup(unsigned entries, struct io_uring_params *p)
{
    return (int)syscall(SYS_io_uring_setup, entries, p);
}

static int real_io_uring_enter(int fd, unsigned n, unsigned wait, unsigned flags, const void *arg, size_t size)
{
    return (int)syscall(SYS_io_uring_enter, fd, n, wait, flags, arg, size);
}

static int real_io_uring_register(int fd, unsigned op, const void *arg, unsigned n)
{
    return (int)syscall(SYS_io_uring_register, fd, op, arg, n);
}

/* libc marks some of their arguments as never NULL, or as unions. */
static int real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return accept4(fd, address, len, flags);
}

static int real_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return connect(fd, address, len);
}

static int real_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    return bind(fd, address, len);
}

static int real_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    return getsockname(fd, address, len);
}

static int real_statx(int fd, const char *path, int flags, unsigned mask, struct statx *ret)
{
    return statx(fd, path, flags, mask, ret);
}

/* libc takes more arguments, of which a pidfd is the first. By its other name, as ThreadSanitizer takes clone() for a fork(). */
int __clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...);
static int real_clone(int (*fn)(void *arg), void *stack, int flags, void *arg, int *pidfd)
{
    return __clone(fn, stack, flags, arg, pidfd);
}

#define REAL                                                                                                           \
    {                                                                                                                  \
        .malloc = malloc, .calloc = calloc, .realloc = realloc, .posix_memalign = posix_memalign, .mmap = mmap,        \
        .mprotect = mprotect, .madvise = madvise,                                                                      \
        .memfd_create = memfd_create, .ftruncate = ftruncate, .fallocate = fallocate, .openat = real_openat,           \
        .read = read, .write = write, .fsync = fsync, .fork = fork, .pipe2 = pipe2, .socketpair = socketpair,          \
        .sendmsg = sendmsg, .recvmsg = recvmsg, .pthread_create = pthread_create, .pidfd_open = real_pidfd_open,       \
        .pidfd_send_signal = real_pidfd_send_signal, .membarrier = real_membarrier, .eventfd = real_eventfd,       \
        .futex_waitv = real_futex_waitv, .signalfd = signalfd, .poll = poll, .epoll_create1 = epoll_create1,           \
        .epoll_ctl = epoll_ctl,                                                                                        \
        .epoll_pwait2 = real_epoll_pwait2, .epoll_wait = epoll_wait, .io_uring_setup = real_io_uring_setup,            \
        .io_uring_enter = real_io_uring_enter, .io_uring_register = real_io_uring_register, .accept4 = real_accept4,   \
        .connect = real_connect, .recv = recv, .send = send, .preadv2 = preadv2, .pwritev2 = pwritev2,                 \
        .statx = real_statx, .waitid = waitid, .renameat = renameat, .clone = real_clone, .dlopen = dlopen,                \
        .socket = socket, .bind = real_bind, .listen = listen, .setsockopt = setsockopt,                               \
        .getsockname = real_getsockname, .getaddrinfo = getaddrinfo                                                    \
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
TWIN(int, futex_waitv, (yk_futexv *words, unsigned n), (words, n), -1)
TWIN(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1)
TWIN(int, pidfd_send_signal, (int pidfd, int sig, siginfo_t *info, unsigned flags), (pidfd, sig, info, flags), -1)
TWIN(int, eventfd, (unsigned value, int flags), (value, flags), -1)
TWIN(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1)
TWIN(int, poll, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout), -1)
TWIN(int, epoll_create1, (int flags), (flags), -1)
TWIN(int, epoll_ctl, (int fd, int op, int on, struct epoll_event *e), (fd, op, on, e), -1)
TWIN(int, epoll_pwait2, (int fd, struct epoll_event *e, int n, const struct timespec *timeout, const sigset_t *mask),
     (fd, e, n, timeout, mask), -1)
TWIN(int, epoll_wait, (int fd, struct epoll_event *e, int n, int timeout), (fd, e, n, timeout), -1)
TWIN(int, io_uring_setup, (unsigned entries, struct io_uring_params *p), (entries, p), -1)
TWIN(int, io_uring_enter, (int fd, unsigned n, unsigned wait, unsigned flags, const void *arg, size_t size),
     (fd, n, wait, flags, arg, size), -1)
TWIN(int, io_uring_register, (int fd, unsigned op, const void *arg, unsigned n), (fd, op, arg, n), -1)
TWIN(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
TWIN(int, bind, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len), -1)
TWIN(int, listen, (int fd, int backlog), (fd, backlog), -1)
TWIN(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len), -1)
TWIN(int, getsockname, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len), -1)
TWIN(int, getaddrinfo, (const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret),
     (host, service, hints, ret), injected.error)
TWIN(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags), (fd, address, len, flags), -1)
TWIN(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len), -1)
TWIN(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags), -1)
TWIN(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags), -1)
TWIN(ssize_t, preadv2, (int fd, const struct iovec *v, int n, off_t offset, int flags), (fd, v, n, offset, flags), -1)
TWIN(ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t offset, int flags), (fd, v, n, offset, flags), -1)
TWIN(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *ret), (fd, path, flags, mask, ret), -1)
TWIN(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int flags), (type, id, info, flags), -1)
TWIN(int, renameat, (int from_dir, const char *from, int to_dir, const char *to), (from_dir, from, to_dir, to), -1)
TWIN(int, clone, (int (*fn)(void *arg), void *stack, int flags, void *arg, int *pidfd), (fn, stack, flags, arg, pidfd), -1)
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
