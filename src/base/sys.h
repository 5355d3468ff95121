/* sys: the table of calls that can fail. Release code calls them as yk_sys.name(...); a test replaces an entry and so
 * makes the n-th call of it fail. Included by base/base.h. */
#ifndef YK_SYS_H
#define YK_SYS_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <poll.h>
#include <time.h>
#include <sys/uio.h>

struct addrinfo;
struct epoll_event;
struct io_uring_params;
struct statx;

/* One of the words of futex_waitv(2), of which older headers do not know. */
typedef struct yk_futexv {
    uint64_t value, word;
    uint32_t flags, spare;
} yk_futexv;
enum { YK_FUTEXV_32 = 2, YK_FUTEXV_PRIVATE = 128 };

/* X(result, name, parameters): one entry each. */
#define YK_SYS_CALLS(X)                                                                                                \
    X(void *, malloc, (size_t size))                                                                                   \
    X(void *, calloc, (size_t n, size_t size))                                                                         \
    X(void *, realloc, (void *p, size_t size))                                                                         \
    X(int, posix_memalign, (void **ret, size_t alignment, size_t size))                                                \
    X(void *, mmap, (void *addr, size_t len, int prot, int flags, int fd, off_t offset))                               \
    X(int, mprotect, (void *addr, size_t len, int prot))                                                               \
    X(int, madvise, (void *addr, size_t len, int advice))                                                              \
    X(int, memfd_create, (const char *name, unsigned flags))                                                           \
    X(int, ftruncate, (int fd, off_t len))                                                                             \
    X(int, fallocate, (int fd, int mode, off_t offset, off_t len))                                                     \
    X(int, openat, (int dir, const char *path, int flags, mode_t mode))                                                \
    X(ssize_t, read, (int fd, void *buf, size_t n))                                                                    \
    X(ssize_t, write, (int fd, const void *buf, size_t n))                                                             \
    X(int, fsync, (int fd))                                                                                            \
    X(pid_t, fork, (void))                                                                                             \
    X(int, pipe2, (int fds[2], int flags))                                                                             \
    X(int, socketpair, (int domain, int type, int protocol, int fds[2]))                                               \
    X(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags))                                                   \
    X(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags))                                                         \
    X(int, pthread_create, (pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg))                    \
    X(int, pidfd_open, (pid_t pid, unsigned flags))                                                                    \
    X(int, pidfd_send_signal, (int pidfd, int sig, siginfo_t *info, unsigned flags))                                   \
    X(int, membarrier, (int command, unsigned flags, int cpu))                                                         \
    X(int, futex_waitv, (yk_futexv *words, unsigned n))                                                                \
    X(int, eventfd, (unsigned value, int flags))                                                                       \
    X(int, signalfd, (int fd, const sigset_t *mask, int flags))                                                        \
    X(int, poll, (struct pollfd *fds, nfds_t n, int timeout))                                                          \
    X(int, epoll_create1, (int flags))                                                                                 \
    X(int, epoll_ctl, (int fd, int op, int on, struct epoll_event *e))                                                 \
    X(int, epoll_pwait2, (int fd, struct epoll_event *e, int n, const struct timespec *timeout, const sigset_t *mask)) \
    X(int, epoll_wait, (int fd, struct epoll_event *e, int n, int timeout))                                            \
    X(int, io_uring_setup, (unsigned entries, struct io_uring_params *p))                                              \
    X(int, io_uring_enter, (int fd, unsigned n, unsigned wait, unsigned flags, const void *arg, size_t size))          \
    X(int, io_uring_register, (int fd, unsigned op, const void *arg, unsigned n))                                      \
    X(int, socket, (int domain, int type, int protocol))                                                               \
    X(int, bind, (int fd, const struct sockaddr *address, socklen_t len))                                              \
    X(int, listen, (int fd, int backlog))                                                                              \
    X(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len))                                \
    X(int, getsockname, (int fd, struct sockaddr *address, socklen_t *len))                                            \
    X(int, getaddrinfo, (const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret))  \
    X(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags))                                     \
    X(int, connect, (int fd, const struct sockaddr *address, socklen_t len))                                           \
    X(ssize_t, recv, (int fd, void *buf, size_t n, int flags))                                                         \
    X(ssize_t, send, (int fd, const void *buf, size_t n, int flags))                                                   \
    X(ssize_t, preadv2, (int fd, const struct iovec *v, int n, off_t offset, int flags))                               \
    X(ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t offset, int flags))                              \
    X(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *ret))                             \
    X(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int flags))                                               \
    X(int, renameat, (int from_dir, const char *from, int to_dir, const char *to))                                     \
    X(int, clone, (int (*fn)(void *arg), void *stack, int flags, void *arg, int *pidfd))                               \
    X(void *, dlopen, (const char *path, int flags))

#define YK_SYS_FIELD(result, name, parameters) result(*name) parameters;
typedef struct yk_sys_table {
    YK_SYS_CALLS(YK_SYS_FIELD)
} yk_sys_table;
extern yk_sys_table yk_sys;

/* Tests: from now on the n-th call (counted from 1) of the named entry fails with this errno; n = 0 lets all pass again.
 * Returns how many calls there were since the last yk_sys_fail(). -1: no such entry. */
int yk_sys_fail(const char *name, int n, int error);

#endif
