/* placeholder */
#include "async/backend.h"
static int none(yk_backend **ret, yk_error *e) { return yk_errorf(e, ENOSYS, "io_uring: not yet"); }
const yk_backend_type yk_uring_backend = {.name = "io_uring", .open = none};
