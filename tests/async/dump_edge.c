/* dump_edge.c - loops begin and end while a dump waits for one that is held up. */
#include "test.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include <yoke/async.h>

static _Atomic bool is_held, may_go_on, has_dumped;

static int holds_up(void *arg)
{
    is_held = true;
    while (!may_go_on)
        usleep(100);
    return 0;
}

static void *hold(void *arg)
{
    CHECK_INT(yoke_async_run(holds_up, NULL), 0);
    return arg;
}

static void *dump(void *arg)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    yoke_dump(fd);
    has_dumped = true;
    close(fd);
    return arg;
}

static int nothing(void *arg)
{
    return 0;
}

/* How many loops can begin and end before the dump has given up the one that is held. */
static int runs_meanwhile(void)
{
    pthread_t held, dumps;
    int n = 0;
    is_held = may_go_on = has_dumped = false;
    pthread_create(&held, NULL, hold, NULL);
    while (!is_held)
        usleep(100);
    pthread_create(&dumps, NULL, dump, NULL);
    usleep(20 * 1000); /* it has asked, and waits */
    for (; !has_dumped; n++)
        CHECK_INT(yoke_async_run(nothing, NULL), 0);
    pthread_join(dumps, NULL);
    may_go_on = true;
    pthread_join(held, NULL);
    return n;
}

/* A dump waits for a second; who took that long himself knows nothing. */
TEST(loops_do_not_wait_for_a_dump)
{
    for (int i = 0; i < 5; i++)
        if (runs_meanwhile() > 5)
            return;
    test_fail(__FILE__, __LINE__, "each time the loops had to wait for the dump");
}
