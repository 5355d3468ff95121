/* testing_try.h - for tests of yoke/testing.h: each twice, with options for epoll and for io_uring. */
#ifndef YK_TESTS_TESTING_TRY_H
#define YK_TESTS_TESTING_TRY_H
#include "async/async.h"
#include "test.h"
#include <yoke/testing.h>

static char said[8192];

/* BOTH(name) { ... } is the tests epoll_name and uring_name, with `opts` for that backend. */
#define BOTH(name)                                                                                                     \
    static void both_##name(yoke_test_opts opts);                                                                      \
    TEST(epoll_##name)                                                                                                 \
    {                                                                                                                  \
        both_##name(opts_for("epoll"));                                                                                \
    }                                                                                                                  \
    TEST(uring_##name)                                                                                                 \
    {                                                                                                                  \
        both_##name(opts_for("io_uring"));                                                                             \
    }                                                                                                                  \
    static void both_##name(yoke_test_opts opts)

static inline int give_seven(void *arg)
{
    return 7;
}

static inline yoke_test_opts opts_for(const char *backend)
{
    yoke_test_opts opts = {.backend = backend, .text = said, .text_size = sizeof said};
    int code = yoke_test_run(&opts, give_seven, NULL);
    if (strcmp(backend, "io_uring") == 0 && code < 0)
        SKIP("%s", said);
    CHECK_INT(code, 7);
    return opts;
}
#endif
