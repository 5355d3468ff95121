/* results: where the results of `run` and `map` go, apart from what tasks print.
 *
 * The results are the command's stdout, and a reader takes them apart by lines. A printf() left in a task would land between
 * them, or within one. So the real stdout moves to a descriptor of our own, and descriptor 1, which tasks of this process
 * and of all workers write to, becomes stderr. The own descriptor is closed by exec: a program that a task starts cannot hold
 * the reader of the results back. */
#include "tools/commands.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int yk_results_fd = STDOUT_FILENO;

/* main() leaves a closed stdout as a descriptor that cannot be written. */
bool yk_results_closed(void)
{
    int mode = fcntl(yk_results_fd, F_GETFL);
    return mode < 0 || (mode & O_ACCMODE) == O_RDONLY;
}

int yk_results_take(void)
{
    if (yk_results_fd != STDOUT_FILENO)
        return 0;
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        return -errno;
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* whole lines, in order with those of stderr, whatever becomes of the task */
    yk_results_fd = fd;
    return 0;
}
