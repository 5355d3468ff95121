#include "async/async.h"
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
struct yk_backend { int fd; };
static int b_open(yk_backend **ret, yk_error *e) { yk_backend *b = calloc(1, sizeof *b); b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); *ret = b; return 0; }
static void b_close(yk_backend *b) { close(b->fd); free(b); }
static int b_poll(yk_backend *b, int64_t deadline)
{
    struct pollfd p = {.fd = b->fd, .events = POLLIN};
    int64_t ns = deadline == YOKE_FOREVER ? -1 : deadline - yoke_now();
    struct timespec t = {YK_MAX(ns, 0) / 1000000000, YK_MAX(ns, 0) % 1000000000};
    if (ppoll(&p, 1, ns < 0 && deadline == YOKE_FOREVER ? NULL : &t, NULL) > 0) { uint64_t n; (void)!read(b->fd, &n, 8); }
    return 0;
}
static void b_wake(yk_backend *b) { uint64_t n = 1; (void)!write(b->fd, &n, 8); }
static size_t b_under(const yk_backend *b) { return 0; }
static bool b_start(yk_backend *b, yk_op *op) { op->result = -ENOSYS; return true; }
static bool b_cancel(yk_backend *b, yk_op *op) { return true; }
const yk_backend_type yk_epoll_backend = {.name = "epoll", .open = b_open, .close = b_close, .start = b_start, .cancel = b_cancel, .poll = b_poll, .wake = b_wake, .under_way = b_under};
static int none(yk_backend **ret, yk_error *e) { return yk_errorf(e, ENOSYS, "no"); }
const yk_backend_type yk_uring_backend = {.name = "io_uring", .open = none};
