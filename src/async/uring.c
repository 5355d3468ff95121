/* uring: the backend over io_uring. To come; until then loops are opened over epoll. */
#include "async/backend.h"

static int open_backend(yk_backend **ret, yk_error *e)
{
    return yk_errorf(e, ENOSYS, "io_uring: not yet");
}

const yk_backend_type yk_uring_backend = {.name = "io_uring", .open = open_backend};
