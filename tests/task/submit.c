/* The submit macros on `inline`: by position, by name, with options; yoke_await and yoke_try check the type. */
#include "task/task.h"
#include "test.h"
#include <yoke/executor.h>

YOKE_TASK(double, integrate, (double, a), (double, b, "", 1.5), (long, n, "steps", 1000)) { return a + b * (double)n; }
static int ran;
YOKE_TASK(void, nothing) { ran++; }
typedef struct pair {
    int x, y;
} pair;
YOKE_TASK(pair, swap, (pair, p)) { return (pair){p.y, p.x}; }
YOKE_TASK(unsigned, failing, (unsigned, times))
{
    if (yoke_attempt() <= times)
        yoke_fail(EIO, "attempt %u", yoke_attempt());
    return yoke_attempt();
}

TEST(by_position_with_ordinary_conversions)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_future *f = yoke_submit(ex, integrate, 1, 2, 3);
    CHECK_NEAR(yoke_await(f, double), 7, 0);
    yoke_future *g = yoke_submit(ex, nothing);
    CHECK_INT(yoke_wait(g), 0);
    CHECK_INT(ran, 1);
    pair p = yoke_await(yoke_submit(ex, swap, ((pair){1, 2})), pair);
    CHECK(p.x == 2 && p.y == 1);
    yoke_close(ex);
}

TEST(by_name_with_defaults)
{
    yoke_executor *ex = yoke_open("inline");
    CHECK_NEAR(yoke_await(yoke_kw_submit(ex, integrate, n = 2), double), 3, 0);
    CHECK_NEAR(yoke_await(yoke_kw_submit(ex, integrate, b = 2, a = 0.5, n = 10), double), 20.5, 0);
    pair p = yoke_await(yoke_kw_submit(ex, swap, p = ((pair){3, 4})), pair);
    CHECK_INT(p.x, 4);
    CHECK_NEAR(yoke_await(yoke_kw_submit(ex, integrate), double), 1500, 0); /* no name at all */
    ran = 0;
    CHECK_INT(yoke_wait(yoke_kw_submit(ex, nothing)), 0);
    CHECK_INT(ran, 1);
    yoke_close(ex);
}

TEST(options_apply)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_future *f = yoke_opt_submit(ex, (retries = 2, backoff = 1), failing, 2);
    CHECK_INT(yoke_await(f, unsigned), 3);
    yoke_future *g = yoke_opt_submit(ex, (retries = 1, backoff = 1), failing, 2);
    CHECK_INT(yoke_wait(g), -EIO);
    CHECK_HAS(yoke_error(g), "failing: attempt 2");
    CHECK_INT(yoke_wait(yoke_opt_submit(ex, (priority = 1), nothing)), 0);
    yoke_close(ex);
}

TEST(a_result_of_another_type_is_an_error)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_future *f = yoke_submit(ex, integrate, 1, 2, 3);
    long wrong = 42;
    CHECK_INT(yoke_try(f, &wrong), -EINVAL);
    CHECK_INT(wrong, 42);
    double right = 0;
    CHECK_INT(yoke_try(f, &right), 0);
    CHECK_NEAR(right, 7, 0);
    float narrow = 1;
    CHECK_INT(yoke_try(f, &narrow), -EINVAL);
    yoke_future *none = yoke_submit(ex, nothing);
    CHECK_INT(yoke_try(none, &wrong), -EINVAL);
    struct {
        int x, y, z;
    } larger;
    CHECK_INT(yoke_try(yoke_submit(ex, swap, ((pair){1, 2})), &larger), -EINVAL);
    yoke_close(ex);
}

TEST(untyped_submit)
{
    yoke_executor *ex = yoke_open("inline");
    const yoke_task *t = yoke_find("integrate");
    struct yoke_args_integrate args;
    t->defaults(&args);
    double ret = 0;
    CHECK_INT(yoke_try(yoke_raw_submit(ex, t, &args, NULL), &ret), 0);
    CHECK_NEAR(ret, 1500, 0);
    yoke_close(ex);
}
