/* group: coroutines that are begun together and end before their group does.
 *
 * A group is a scope with a count of children. Its body, which is whoever began it, and its coroutines are in the scope, so that
 * a cancel from outside reaches all, and the first that fails cancels all. The end waits for the count to become 0, and cannot
 * be told to stop itself: what it waits for is told. */
#include "async/async.h"

void yoke_group_begin(yoke_group *g)
{
    yk_coroutine *co = yk_coroutine_here();
    yk_clear(g, sizeof *g);
    g->closed = !co;
    g->run = yk_current_run();
    if (!co) {
        g->thread = (uint64_t)pthread_self();
        return;
    }
    yk_scope_open(&g->scope, co->scope, co, co->loop, YOKE_FOREVER, false);
    yk_scope_inside(co, &g->scope);
}

static void note_failure(yoke_group *g, int code)
{
    if (g->failures < g->cap)
        g->codes[g->failures] = code;
    if (g->failures++ == 0)
        g->first = code;
    yoke_scope_cancel(&g->scope);
}

/* A coroutine of the group, or its body, has ended because it was told to. Should the cancel no longer reach the group, since a
 * shield was put up in between, the others stop all the same, and the group's end is where it ends. */
static void note_cancel(yoke_group *g)
{
    g->scope.told = true;
    yoke_scope_cancel(&g->scope);
}

/* One that has ended is told nothing more, and its codes may be gone; and that of a thread is told by it alone. */
static bool can_fail(const yoke_group *g)
{
    return g->scope.loop || g->thread == (uint64_t)pthread_self();
}

static int refuse(yoke_group *g)
{
    if (can_fail(g))
        note_failure(g, -EINVAL);
    return -EINVAL;
}

int yoke_group_fail(yoke_group *g, int code)
{
    if (!g)
        return -EINVAL;
    if (YK_UNLIKELY(!yk_scope_is_here(&g->scope)))
        return -EXDEV;
    code = code > 0 ? -code : code == 0 ? -EINVAL : code;
    if (YK_LIKELY(can_fail(g)))
        note_failure(g, code);
    return code;
}

int yoke_group_cancel(yoke_group *g)
{
    return g ? yoke_scope_cancel(&g->scope) : -EINVAL;
}

size_t yoke_group_failures(const yoke_group *g)
{
    return g->failures;
}

void yoke_group_collect(yoke_group *g, int *codes, size_t most)
{
    g->codes = codes;
    g->cap = most;
}

void yk_group_child_left(yoke_group *g)
{
    yk_coroutine *joiner = g->joiner;
    if (--g->children > 0 || !joiner)
        return;
    g->joiner = NULL; /* it goes on later; until then more may come and end */
    yk_resume(joiner->park, 0);
}

void yk_group_child_ended(yoke_group *g, yk_coroutine *co, int code)
{
    if (code == -ECANCELED && co->told)
        note_cancel(g);
    else if (code < 0)
        note_failure(g, code);
    yk_group_child_left(g);
}

int yk_go(yoke_group *g, const char *name, int (*fn)(void *arg), void *arg)
{
    return yoke_go_with(g, &(yoke_go_opts){.name = name}, fn, arg);
}

/* A coroutine in the group, not yet ready; or NULL. */
yk_coroutine *yk_group_new(yoke_group *g, const yoke_go_opts *opts, int (*fn)(void *arg), void *arg)
{
    yk_loop *loop = g->scope.loop;
    yk_coroutine *co = yk_coroutine_new(loop, opts->stack, fn, arg);
    if (!co) {
        note_failure(g, -ENOMEM);
        return NULL;
    }
    co->name = opts->name;
    co->keep_fp = opts->keep_fp;
    co->group = g;
    co->context.running.run = g->run; /* the task of whoever begins it may end before it does */
    yk_scope_inside(co, &g->scope);
    g->children++;
    return co;
}

int yoke_go_with(yoke_group *g, const yoke_go_opts *opts, int (*fn)(void *arg), void *arg)
{
    static const yoke_go_opts defaults;
    const yoke_go_opts *o = opts ? opts : &defaults;
    if (!g)
        return -EINVAL;
    if (YK_UNLIKELY(g->scope.loop && g->scope.loop != yk_loop_here()))
        return -EXDEV;
    if (YK_UNLIKELY(g->closed || !fn))
        return refuse(g);
    yk_coroutine *co = yk_group_new(g, o, fn, arg);
    if (!co)
        return -ENOMEM;
    if (o->eager)
        yk_run_now(co);
    else
        yk_make_ready(co);
    return 0;
}

static const char end_of_group[] = "end of a group";

bool yk_group_is_waited_for(const yk_coroutine *co)
{
    return co->park && co->park->what == end_of_group;
}

static void wait_for_children(yoke_group *g, yk_coroutine *co)
{
    while (g->children > 0) {
        yk_park park;
        yk_clear(&park, sizeof park);
        park.what = end_of_group;
        park.number = -1;
        park.object = g;
        park.deaf = true;
        g->joiner = co;
        yk_suspend(&park, YOKE_FOREVER);
    }
}

static int end_in_thread(yoke_group *g)
{
    if (!can_fail(g))
        return 0;
    g->thread = 0;
    return g->first;
}

int yoke_group_end(yoke_group *g)
{
    if (!g->scope.loop)
        return end_in_thread(g);
    yk_coroutine *co = g->scope.owner;
    yk_scope_check(&g->scope, "group");
    if (g->scope.told)
        note_cancel(g);
    wait_for_children(g, co);
    g->closed = true;
    bool told = g->scope.told;
    yk_scope_inside(co, g->scope.parent);
    bool caught = yk_scope_close(&g->scope);
    if (g->failures > 0)
        return g->first;
    return told && !caught ? -ECANCELED : 0;
}

yoke_group *yk_group_block(yoke_group *g, int *ret)
{
    yoke_group_begin(g);
    g->scope.ret = ret;
    return g;
}

void yk_group_block_end(yoke_group *g)
{
    int *ret = g->scope.ret;
    int code = yoke_group_end(g);
    if (ret)
        *ret = code;
}
