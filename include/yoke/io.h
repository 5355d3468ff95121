/* yoke/io.h - descriptors and files: read, write, wait for them, in straight-line code that holds nobody else up.
 *
 *     static int copy(void *arg)                      // a coroutine
 *     {
 *         const int *pipes = arg;
 *         char buf[4096];
 *         ssize_t n;
 *         while ((n = yoke_read(pipes[0], buf, sizeof buf)) > 0)
 *             if ((n = yoke_write(pipes[1], buf, (size_t)n)) < 0)
 *                 break;
 *         return (int)n;
 *     }
 *
 * The calls are those of the system with yoke_ before their names, on plain descriptors: sockets, pipes, terminals, files,
 * devices, what eventfd(2) and its like give. In a coroutine they suspend it where the system's would block, whether the
 * descriptor is non-blocking or not; nothing is changed in it, but that listeners and sockets which connect become non-blocking.
 * In a thread outside of coroutines they block it. They return what the system's return, with an error as a negative code; they
 * are never interrupted by signals (-EINTR), and writing to what nobody reads is -EPIPE, never SIGPIPE. Descriptors that they
 * make are closed by exec. Connections, with buffers and TLS, are in yoke/net.h, which see for anything that talks over a
 * network.
 *
 * Each call is a cancel point: in a scope that is cancelled it returns -ECANCELED. Then it has not happened: nothing was read,
 * written, accepted, opened. If a cancel or an error arrives when a write has done a part, it returns how much: less than was
 * asked for; the next call in the scope returns the -ECANCELED. Time limits are scopes (yoke/async.h), so that a call that was
 * in time is not lost either. What the system cannot stop once it is at it (a file, an open() of a FIFO that nobody writes to)
 * is waited for even then: open FIFOs with O_NONBLOCK.
 *
 * One coroutine may read from a descriptor while another writes to it. When several read, they get what there is in the order in
 * which they asked. A descriptor belongs to one loop at a time. A coroutine whose calls here never have to wait lets others run
 * too, now and then; one that has only locks, channels and the like that never make it wait does not (yoke/async.h).
 *
 * Where the loop is over io_uring (yoke_async_backend()) the kernel does all of this by itself; over epoll files are read
 * from memory where they are there, and else by a few threads.
 */
#ifndef YOKE_IO_H
#define YOKE_IO_H
#pragma GCC system_header
#include <yoke/base.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct stat;
struct statx;
struct msghdr; /* include <sys/socket.h> to use it */
struct sockaddr;

/* ---- Bytes ---- */

/* What there is, at most n bytes: how many, 0 at the end. */
YOKE_API ssize_t yoke_read(int fd, void *buf, size_t n);
/* All n bytes. Returns n; or how many it was until an error or a cancel came; or, if none, that. */
YOKE_API ssize_t yoke_write(int fd, const void *buf, size_t n);

/* The same at a place of a file, where it is read and written from the outside of the file's own position. yoke_pread() reads all
 * n bytes unless the file ends. -ESPIPE: it is no file. */
YOKE_API ssize_t yoke_pread(int fd, void *buf, size_t n, int64_t offset);
YOKE_API ssize_t yoke_pwrite(int fd, const void *buf, size_t n, int64_t offset);

/* ---- Sockets ---- */

/* As recv(2) and send(2), with their flags (MSG_DONTWAIT: -EAGAIN rather than a wait). On a stream yoke_send() sends all n
 * bytes, as yoke_write(). */
YOKE_API ssize_t yoke_recv(int fd, void *buf, size_t n, int flags);
YOKE_API ssize_t yoke_send(int fd, const void *buf, size_t n, int flags);
/* As recvmsg(2) and sendmsg(2): one datagram, or as much of a stream as goes at once; descriptors too. */
YOKE_API ssize_t yoke_recvmsg(int fd, struct msghdr *m, int flags);
YOKE_API ssize_t yoke_sendmsg(int fd, const struct msghdr *m, int flags);

/* The next connection of a listening socket: its descriptor. address and len (a socklen_t) may be NULL; flags are SOCK_NONBLOCK
 * or 0. */
YOKE_API int yoke_accept_fd(int fd, struct sockaddr *address, unsigned *len, int flags);
/* Connects a socket. One whose connect was cancelled is of no more use: close it. */
YOKE_API int yoke_connect_fd(int fd, const struct sockaddr *address, unsigned len);

/* ---- Any descriptor ---- */

/* Waits until one of the events of poll(2) is there (POLLIN, POLLOUT, POLLPRI, POLLRDHUP), and returns those that are; also
 * POLLHUP and POLLERR. The _timed and _until forms return -ETIMEDOUT. */
YOKE_API int yoke_poll(int fd, int events);
YOKE_API int yoke_poll_timed(int fd, int events, int64_t ns);
YOKE_API int yoke_poll_until(int fd, int events, int64_t deadline);

/* Closes a descriptor. All calls of this loop that wait on it end first, as in a cancel, but with -EBADF; calls that the kernel
 * is already at are waited for. Use it, not close(2), for what calls of this header have waited on: close(2) leaves those
 * waits hanging, and they may take what comes to the next descriptor of this number. It never returns -ECANCELED, and always
 * closes. 0, or what close(2) says of writes that failed; -EBADF also when another coroutine is closing it. */
YOKE_API int yoke_close_fd(int fd);

/* ---- Files ---- */

/* As openat(2): a new descriptor, or a negative code. yoke_open_file() is from the working directory. */
YOKE_API int yoke_openat(int dir, const char *path, int flags, unsigned mode);
YOKE_API int yoke_open_file(const char *path, int flags, unsigned mode);

/* Waits until what was written is on the disk: of the file, or only what is needed to read it again (fdatasync). */
YOKE_API int yoke_fsync(int fd);
YOKE_API int yoke_fdatasync(int fd);

/* As stat(2) and statx(2). */
YOKE_API int yoke_stat(const char *path, struct stat *ret);
YOKE_API int yoke_statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret);

/* As rename(2), unlink(2), mkdir(2), done by another thread (yoke_to_thread). */
YOKE_API int yoke_rename(const char *from, const char *to);
YOKE_API int yoke_unlink(const char *path);
YOKE_API int yoke_mkdir(const char *path, unsigned mode);
/* The names in a folder, sorted by bytes, without . and .., ended by NULL: how many. One block of memory; free() it. */
YOKE_API ssize_t yoke_list_dir(const char *path, char ***ret);

/* A whole file, also such as grow or have no length (/proc, pipes): *ret is its bytes and a NUL behind them; free() it. 0 or a
 * negative code. */
YOKE_API int yoke_read_file(const char *path, char **ret, size_t *ret_len);
/* Makes or replaces a file as a whole: whoever opens it sees what was there before or all n bytes, also after a crash of
 * the machine. Written beside it under another name, brought to the disk, and renamed; on an error or a cancel the file is as it
 * was. What it replaces has the new mode (less the umask) and owner; a link is replaced, not followed. 0 or a negative code. */
YOKE_API int yoke_write_file(const char *path, const void *bytes, size_t n, unsigned mode);

#ifdef __cplusplus
}
#endif
#endif
