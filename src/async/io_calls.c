/* io_calls: the calls of yoke/io.h on descriptors, each an operation. */
#include "async/io.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void *writable(const void *p)
{
    return (void *)(uintptr_t)p; /* the backend does not write to it */
}

static int64_t do_now(yk_op op, const char *what)
{
    return yk_do(&op, what, YOKE_FOREVER);
}

/* ---- Bytes ---- */

ssize_t yoke_read(int fd, void *buf, size_t n)
{
    return do_now((yk_op){.kind = YK_OP_READ, .fd = fd, .buf = buf, .len = n, .offset = -1}, "read");
}

/* In a thread yk_block() keeps SIGPIPE away. */
static ssize_t write_quietly(int fd, const void *buf, size_t n, int64_t offset)
{
    yk_op op = {.kind = YK_OP_WRITE, .fd = fd, .buf = writable(buf), .len = n, .offset = offset};
    yk_coroutine *co = yk_coroutine_here();
    if (!co)
        return yk_block(&op, YOKE_FOREVER);
    yk_quiet *q = &co->loop->quiet;
    yk_quiet_begin(q);
    int64_t done = yk_do(&op, "write", YOKE_FOREVER);
    yk_quiet_end(q, done != (int64_t)n);
    return done;
}

ssize_t yoke_write(int fd, const void *buf, size_t n)
{
    return write_quietly(fd, buf, n, -1);
}

/* io_uring does not look at the offset of what has none. */
static int has_places(int fd, int64_t offset)
{
    if (offset < 0)
        return -EINVAL;
    return lseek(fd, 0, SEEK_CUR) < 0 ? -errno : 1;
}

/* The kernel may give less than there is: only nothing is the end. */
ssize_t yoke_pread(int fd, void *buf, size_t n, int64_t offset)
{
    size_t sum = 0;
    ssize_t got = has_places(fd, offset);
    while (got > 0 && sum < n) {
        got = do_now((yk_op){.kind = YK_OP_READ, .fd = fd, .buf = (char *)buf + sum, .len = n - sum,
                             .offset = offset + (int64_t)sum}, "pread");
        sum += got > 0 ? (size_t)got : 0;
    }
    return got < 0 ? got : (ssize_t)sum;
}

ssize_t yoke_pwrite(int fd, const void *buf, size_t n, int64_t offset)
{
    int err = has_places(fd, offset);
    return err < 0 ? err : write_quietly(fd, buf, n, offset);
}

/* ---- Sockets ---- */

ssize_t yoke_recv(int fd, void *buf, size_t n, int flags)
{
    return do_now((yk_op){.kind = YK_OP_RECV, .fd = fd, .buf = buf, .len = n, .flags = flags}, "recv");
}

ssize_t yoke_send(int fd, const void *buf, size_t n, int flags)
{
    return do_now((yk_op){.kind = YK_OP_SEND, .fd = fd, .buf = writable(buf), .len = n, .flags = flags}, "send");
}

ssize_t yoke_recvmsg(int fd, struct msghdr *m, int flags)
{
    return do_now((yk_op){.kind = YK_OP_RECVMSG, .fd = fd, .message = m, .flags = flags}, "recvmsg");
}

ssize_t yoke_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return do_now((yk_op){.kind = YK_OP_SENDMSG, .fd = fd, .message = writable(m), .flags = flags}, "sendmsg");
}

int yoke_accept_fd(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return (int)do_now((yk_op){.kind = YK_OP_ACCEPT, .fd = fd, .address = address, .address_len = len, .flags = flags}, "accept");
}

int yoke_connect_fd(int fd, const struct sockaddr *address, socklen_t len)
{
    return (int)do_now((yk_op){.kind = YK_OP_CONNECT, .fd = fd, .address = writable(address), .len = len}, "connect");
}

/* ---- Any descriptor ---- */

int yoke_poll_until(int fd, int events, int64_t deadline)
{
    yk_op op = {.kind = YK_OP_POLL, .fd = fd, .flags = events};
    return (int)yk_do(&op, "poll", deadline);
}

int yoke_poll_timed(int fd, int events, int64_t ns)
{
    return yoke_poll_until(fd, events, yk_after(YK_MAX(ns, 0)));
}

int yoke_poll(int fd, int events)
{
    return yoke_poll_until(fd, events, YOKE_FOREVER);
}

/* ---- Files ---- */

int yoke_openat(int dir, const char *path, int flags, unsigned mode)
{
    return (int)do_now((yk_op){.kind = YK_OP_OPENAT, .fd = dir, .path = path, .flags = flags, .mode = mode}, "open");
}

int yoke_open_file(const char *path, int flags, unsigned mode)
{
    return yoke_openat(AT_FDCWD, path, flags, mode);
}

int yoke_fsync(int fd)
{
    return (int)do_now((yk_op){.kind = YK_OP_FSYNC, .fd = fd}, "fsync");
}

int yoke_fdatasync(int fd)
{
    return (int)do_now((yk_op){.kind = YK_OP_FSYNC, .fd = fd, .flags = 1}, "fdatasync");
}

int yoke_statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret)
{
    struct statx found = {.stx_mask = 0}; /* *ret is written on success only */
    yk_op op = {.kind = YK_OP_STATX, .fd = dir, .path = path, .flags = flags, .mask = mask, .statx = &found};
    int err = (int)yk_do(&op, "stat", YOKE_FOREVER);
    if (err == 0)
        *ret = found;
    return err;
}

static struct timespec time_of(struct statx_timestamp t)
{
    return (struct timespec){t.tv_sec, t.tv_nsec};
}

int yoke_stat(const char *path, struct stat *ret)
{
    struct statx x = {.stx_mask = 0};
    int err = yoke_statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x);
    if (err < 0)
        return err;
    *ret = (struct stat){
        .st_dev = makedev(x.stx_dev_major, x.stx_dev_minor), .st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor),
        .st_ino = x.stx_ino, .st_mode = x.stx_mode, .st_nlink = x.stx_nlink, .st_uid = x.stx_uid, .st_gid = x.stx_gid,
        .st_size = (off_t)x.stx_size, .st_blocks = (blkcnt_t)x.stx_blocks, .st_blksize = (blksize_t)x.stx_blksize,
        .st_atim = time_of(x.stx_atime), .st_mtim = time_of(x.stx_mtime), .st_ctim = time_of(x.stx_ctime)};
    return 0;
}
