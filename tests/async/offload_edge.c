/* offload_edge.c - threads that work for loops: what a child made by fork() must not inherit, and where what was abandoned is
 * dropped. */
#include "loops.h"

/* ---- fork() ---- */

static _Atomic bool may_end;

static void waits(yk_op *op)
{
    while (!may_end)
        usleep(100);
}

static void is_home(yk_op *op)
{
}

static yk_op operations[64];

/* As many waits as are taken, which leaves threads for other things. */
static int fill(void)
{
    int n = 0;
    for (; n < 64; n++) {
        operations[n] = (yk_op){.done = is_home};
        if (!yk_offload_wait(&operations[n], waits))
            break;
    }
    return n;
}

static void forget(struct yk_loop *loop, yk_post *p)
{
}

TEST(waits_of_the_parent_do_not_count_in_a_child)
{
    yk_offload_post = forget;
    int status, n = fill();
    CHECK(n > 0 && n < 64);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fill());
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), n);
    may_end = true;
    yk_offload_end();
}

/* ---- Dropping ---- */

typedef struct abandoned {
    bool in_coroutine, dropped;
} abandoned;

static int blocks(void *arg)
{
    while (!may_end)
        usleep(100);
    return 0;
}

static int lets_block(void *arg)
{
    return yoke_to_thread(blocks, NULL);
}

static int never_begins(void *arg)
{
    CHECK(false);
    return 0;
}

/* It may wait: so it is no affair of whoever tells others to stop, least of all of the loop. */
static void drop(void *arg)
{
    abandoned *a = arg;
    a->in_coroutine = yoke_in_coroutine();
    YOKE_SHIELD(YOKE_S)
        CHECK_INT(yoke_sleep(YOKE_US), 0);
    a->dropped = true;
}

LOOPS(what_has_not_begun_is_dropped_by_who_waited)
{
    abandoned a = {false};
    int late = 0;
    yoke_group g;
    may_end = false;
    yoke_group_begin(&g);
    for (unsigned i = 0; i < yk_offload_most(); i++)
        CHECK_INT(yoke_go(&g, lets_block, NULL), 0);
    settle();
    YOKE_TIMEOUT(YOKE_MS, &late)
        CHECK_INT(yoke_to_thread_abandon(never_begins, &a, drop), -ECANCELED);
    CHECK_INT(late, -ETIMEDOUT);
    CHECK(a.dropped && a.in_coroutine);
    may_end = true;
    CHECK_INT(yoke_group_end(&g), 0);
}
