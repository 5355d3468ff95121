/* not_yet: what the core will have. Goes with it. */
#include "async/async.h"

__attribute__((weak)) yk_loop *yk_loop_here(void)
{
    return NULL;
}

__attribute__((weak)) void yk_loop_post(yk_loop *loop, yk_post *p)
{
}
