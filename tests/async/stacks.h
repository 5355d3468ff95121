/* stacks.h - what the tests of stacks and of their overflow share. */
#ifndef YK_TESTS_STACKS_H
#define YK_TESTS_STACKS_H
#include "async/stack.h"
#include "child.h"
#include "test.h"

static inline yk_stack_pool *opened(void)
{
    yk_stack_pool *p;
    CHECK_INT(yk_stack_pool_open(&p), 0);
    return p;
}

static inline yk_stack taken(yk_stack_pool *p, size_t size)
{
    yk_stack s;
    CHECK_INT(yk_stack_take(p, size, &s), 0);
    return s;
}

static inline yk_stack_stats stats_of(const yk_stack_pool *p)
{
    yk_stack_stats s;
    yk_stack_pool_stats(p, &s);
    return s;
}

static inline size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

#endif
