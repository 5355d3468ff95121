/* A file goes over a connection in pieces, behind its length, by which the receiver knows whether it has all of it. Without
 * arguments: both sides, over loopback. `file_transfer tcp:127.0.0.1:9000 FILE` gives FILE to whoever connects there, and
 * `file_transfer tcp:127.0.0.1:9000 > COPY`, in another terminal, gets it.
 *
 * Use it for what is larger than memory should be: who writes waits for who reads, and others run while the disk works. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke.h>

static int give(yoke_conn *c, void *file)
{
    char piece[16384];
    int fd = yoke_open_file(file, O_RDONLY, 0);
    ssize_t n = snprintf(piece, sizeof piece, "%ld\n", (long)lseek(fd, 0, SEEK_END)); /* no file: -1 */
    for (long at = 0; n > 0 && yoke_conn_write(c, piece, (size_t)n) == n; at += n)
        n = yoke_pread(fd, piece, sizeof piece, at);
    return yoke_close_fd(fd);
}

static long get(const char *where, int fd)
{
    char piece[16384];
    const char *line;
    size_t len;
    yoke_conn *c = NULL;
    ssize_t n = yoke_connect(where, &c);
    long all = n == 0 && yoke_conn_read_line(c, 30, &line, &len) > 0 ? strtol(line, NULL, 10) : -1, left = all;
    while (left > 0 && (n = yoke_conn_read(c, piece, sizeof piece)) > 0 && yoke_write(fd, piece, (size_t)n) == n)
        left -= n;
    yoke_conn_close(c);
    return left == 0 ? all : -ENODATA;
}

static int get_mine(void *listener)
{
    FILE *copy = tmpfile();
    long n = copy ? get(yoke_listener_address(listener), fileno(copy)) : -EIO;
    printf("%ld bytes: %s\n", n, n < 0 ? yoke_strerror((int)n) : "all of it came");
    yoke_listener_close(listener); /* ends yoke_serve() */
    return copy ? fclose(copy) : -EIO;
}

static int run(void *arg)
{
    char **argv = arg;
    yoke_listener *l;
    if (yoke_listen(argv[1] ? argv[1] : "tcp:127.0.0.1:0", &l) < 0)
        return -EIO; /* yoke_net_error() has it in words */
    YOKE_GROUP(g, NULL) {
        if (!argv[1])
            yoke_go(&g, get_mine, l);
        yoke_serve(l, give, argv[1] ? argv[2] : argv[0], NULL);
    }
    return 0;
}

int main(int argc, char **argv) { return argc == 2 ? get(argv[1], STDOUT_FILENO) < 0 : yoke_async_run(run, argv) < 0; }
