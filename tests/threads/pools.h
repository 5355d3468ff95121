/* pools.h - one test on every kind of pool: alone, with one worker, with as many as CPUs, with an odd number, with too many. */
#ifndef YK_TEST_POOLS_H
#define YK_TEST_POOLS_H
#include "test.h"
#include <yoke.h>

static const char *const pools[] = {"inline", "threads:1", "threads:2", "threads:3", "threads:8"};

static inline yoke_executor *close_it(yoke_executor *ex)
{
    CHECK_INT(yoke_close(ex), 0);
    return NULL;
}

#define EACH_POOL(ex)                                                                                                  \
    for (size_t pool_at = 0; pool_at < sizeof pools / sizeof *pools; pool_at++)                                        \
        for (yoke_executor *ex = yoke_open(pools[pool_at]); ex; ex = close_it(ex))

#endif
