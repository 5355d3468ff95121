/* module_temporary: a folder of its own for what is compiled without a cache, and what is left of such folders.
 *
 *     TMPDIR/yoke-PID-XXXXXX/     m.so and m.d, from the compiler's start until the object is loaded
 *
 * Who is killed meanwhile leaves it, so each compile removes such folders of the dead. A folder is removed only when
 *  - its name is of our making, it is a folder and no link, and it is this user's;
 *  - no process has the number in its name;
 *  - nobody holds a lock on it. Its maker does, as long as it needs it: a process in another PID namespace that shares the
 *    folder, as containers do, looks dead from here, and its lock tells that it is not.
 * And only our two files in it are, so that a folder with anything else stays. A lock vanishes with its owner; where the file
 * system has none, nothing is removed. Between making a folder and locking it someone may take it for a dead one's: then it has
 * no name any more once it is locked, and another is made.
 *
 * Loads run one at a time (load_lock in module.c), which guards `held`. */
#include "task/module.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 3, RANDOM = 6 };
static const char prefix[] = "yoke-";
static int held = -1; /* the folder that is in use, locked */

static const char *temporary_root(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp && *tmp ? tmp : "/tmp";
}

static int open_folder(int at, const char *name)
{
    return yk_sys.openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* The process in a name of our making; or 0. */
static pid_t maker(const char *name)
{
    size_t n = sizeof prefix - 1;
    if (strncmp(name, prefix, n) != 0)
        return 0;
    size_t digits = strspn(name + n, "0123456789");
    const char *rest = name + n + digits;
    if (digits == 0 || digits > 9 || name[n] == '0' || *rest != '-' || strlen(rest + 1) != RANDOM)
        return 0;
    return (pid_t)strtol(name + n, NULL, 10);
}

/* Removes what the compiler writes, and then the folder `name` in `at`, open as fd, unless there is more in it. */
static void empty_and_remove(int at, const char *name, int fd)
{
    unlinkat(fd, "m.so", 0);
    unlinkat(fd, "m.d", 0);
    unlinkat(at, name, AT_REMOVEDIR);
}

static void remove_if_dead(int at, const char *name)
{
    struct stat st;
    pid_t pid = maker(name);
    if (pid == 0 || kill(pid, 0) == 0 || errno != ESRCH)
        return;
    int fd = open_folder(at, name);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
        empty_and_remove(at, name, fd);
    close(fd);
}

void yk_temporary_sweep(void)
{
    DIR *dir = opendir(temporary_root());
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        remove_if_dead(dirfd(dir), e->d_name);
    closedir(dir);
}

/* Locks the folder just made. False: it has been removed meanwhile. What cannot be locked is used all the same. */
static bool hold(const char *folder)
{
    struct stat st;
    held = open_folder(AT_FDCWD, folder);
    if (held < 0)
        return errno != ENOENT;
    while (flock(held, LOCK_SH) < 0 && errno == EINTR)
        ;
    if (fstat(held, &st) < 0 || st.st_nlink > 0)
        return true;
    close(held);
    held = -1;
    return false;
}

int yk_temporary_make(char folder[PATH_MAX])
{
    yk_temporary_sweep();
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        snprintf(folder, PATH_MAX, "%.3900s/%s%ld-XXXXXX", temporary_root(), prefix, (long)getpid());
        if (!mkdtemp(folder))
            return -errno;
        if (hold(folder))
            return 0;
    }
    return -ENOENT;
}

void yk_temporary_remove(const char *folder)
{
    int fd = held >= 0 ? held : open_folder(AT_FDCWD, folder);
    if (fd >= 0) {
        empty_and_remove(AT_FDCWD, folder, fd);
        close(fd);
    }
    held = -1;
}
