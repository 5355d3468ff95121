/* file: names and whole files.
 *
 * What the backends have no operation for, calls on names, is done by another thread. Whole files are made of the calls of
 * yoke/io.h, so that all of it can be cancelled between any two of them. */
#include "async/io.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoke/async.h>

/* ---- Names ---- */

typedef struct names {
    const char *path, *to;
    unsigned mode;
    char **list;
    size_t count;
} names;

static int code_of(int result)
{
    return result < 0 ? -errno : 0;
}

static int rename_now(void *arg)
{
    const names *n = arg;
    return code_of(yk_sys.renameat(AT_FDCWD, n->path, AT_FDCWD, n->to));
}

static int unlink_now(void *arg)
{
    return code_of(unlink(((const names *)arg)->path));
}

static int mkdir_now(void *arg)
{
    const names *n = arg;
    return code_of(mkdir(n->path, n->mode));
}

int yoke_rename(const char *from, const char *to)
{
    names n = {.path = from, .to = to};
    return yoke_to_thread(rename_now, &n);
}

int yoke_unlink(const char *path)
{
    names n = {.path = path};
    return yoke_to_thread(unlink_now, &n);
}

int yoke_mkdir(const char *path, unsigned mode)
{
    names n = {.path = path, .mode = mode};
    return yoke_to_thread(mkdir_now, &n);
}

/* ---- Folders ---- */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The names one after the other, each with its NUL. */
static int collect(DIR *d, yk_buf *text, size_t *count)
{
    const struct dirent *e;
    errno = 0;
    while ((e = readdir(d))) {
        if (!is_dots(e->d_name)) {
            yk_buf_put(text, e->d_name, strlen(e->d_name) + 1);
            ++*count;
        }
        errno = 0;
    }
    return errno ? -errno : text->failed ? -ENOMEM : 0;
}

static int in_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One block: the pointers, then the text. */
static char **list_of(const yk_buf *text, size_t count)
{
    char **list = yk_sys.malloc((count + 1) * sizeof *list + text->len);
    if (!list)
        return NULL;
    char *at = (char *)(list + count + 1);
    if (text->len > 0)
        memcpy(at, text->ptr, text->len);
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        list[i] = at;
    list[count] = NULL;
    qsort(list, count, sizeof *list, in_order);
    return list;
}

static int list_now(void *arg)
{
    names *n = arg;
    yk_buf text = {0};
    DIR *d = opendir(n->path);
    if (!d)
        return -errno;
    int err = collect(d, &text, &n->count);
    closedir(d);
    if (err == 0) {
        n->list = list_of(&text, n->count);
        err = n->list ? 0 : -ENOMEM;
    }
    yk_buf_done(&text);
    return err;
}

ssize_t yoke_list_dir(const char *path, char ***ret)
{
    names n = {.path = path};
    int err = yoke_to_thread(list_now, &n);
    if (err < 0)
        return err;
    *ret = n.list;
    return (ssize_t)n.count;
}

/* ---- Whole files ---- */

enum { FIRST_PIECE = 4096, MOST_AHEAD = 1 << 20 };

/* How much to make room for at first: the length that a regular file has, and a byte more, by which the end is seen. */
static size_t expected(int fd)
{
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0 ? (size_t)s.st_size + 1 : FIRST_PIECE;
}

static int read_all(int fd, yk_buf *b)
{
    size_t piece = expected(fd);
    for (;;) {
        char *to = yk_buf_room(b, piece + 1); /* and the NUL */
        if (!to)
            return -ENOMEM;
        ssize_t n = yoke_read(fd, to, piece);
        if (n <= 0)
            return (int)n;
        b->len += (size_t)n;
        piece = (size_t)n < piece ? piece - (size_t)n : YK_MIN(YK_MAX(b->len, (size_t)FIRST_PIECE), (size_t)MOST_AHEAD);
    }
}

int yoke_read_file(const char *path, char **ret, size_t *ret_len)
{
    yk_buf b = {0};
    int fd = yoke_open_file(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    int err = read_all(fd, &b);
    yoke_close_fd(fd);
    if (err < 0) {
        yk_buf_done(&b);
        return err;
    }
    b.ptr[b.len] = '\0';
    *ret = b.ptr;
    *ret_len = b.len;
    return 0;
}

/* ---- Replacing a file ---- */

enum { TRIES = 100, NAME_SIZE = 64 };

/* Where the new file is written: in the same folder, so that it can be renamed; not longer for a longer name. NULL: no memory. */
static char *name_beside(const char *path)
{
    static _Atomic unsigned count;
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
    char *name = yk_sys.malloc(folder + NAME_SIZE);
    if (!name)
        return NULL;
    memcpy(name, path, folder);
    snprintf(name + folder, NAME_SIZE, ".yoke-%x-%x-%llx", (unsigned)getpid(), atomic_fetch_add(&count, 1u),
             (unsigned long long)yoke_now() & 0xffffff);
    return name;
}

/* The descriptor, and in *ret how it is called, to be freed. */
static int open_beside(const char *path, unsigned mode, char **ret)
{
    int fd = -EEXIST;
    for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
        char *name = name_beside(path);
        if (!name)
            return -ENOMEM;
        fd = yoke_open_file(name, O_WRONLY | O_CREAT | O_EXCL, mode);
        if (fd < 0)
            free(name);
        else
            *ret = name;
    }
    return fd;
}

/* A part is not enough: whatever kept it from being whole says so when asked again. */
static int write_all(int fd, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = yoke_write(fd, bytes + done, n - done);
        if (got <= 0)
            return got < 0 ? (int)got : -EIO;
        done += (size_t)got;
    }
    return yoke_fsync(fd);
}

int yoke_write_file(const char *path, const void *bytes, size_t n, unsigned mode)
{
    char *name = NULL;
    int fd = open_beside(path, mode, &name);
    if (fd < 0)
        return fd;
    int err = write_all(fd, bytes, n), closed = yoke_close_fd(fd);
    err = err < 0 ? err : closed;
    if (err == 0)
        err = yoke_rename(name, path);
    if (err < 0)
        unlink(name); /* at once: who was told to stop cannot wait */
    free(name);
    return err;
}
