/* start: coroutines whose beginning somebody waits for.
 *
 * Until it calls yoke_started() the coroutine is of a group that lasts as long as the wait; then it moves to the group that it
 * was started for, with the scopes that it has open by then. The first group, with nobody left in it, ends, and with it the
 * wait. The other group counts whoever waits among its coroutines, so that it is still there then. */
#include "async/async.h"

struct yk_starting {
    yoke_group own, *to;
    void *value;
    bool called;
};

static void move(yk_coroutine *co, yk_starting *s)
{
    yk_scope_move_children(&s->own.scope, &s->to->scope);
    if (co->scope == &s->own.scope)
        yk_scope_inside(co, &s->to->scope);
    co->group = s->to;
    if (yk_current_run() == s->own.run)
        yk_run_enter(s->to->run);
    s->to->children++;
    yk_group_child_left(&s->own);
}

int yoke_started(void *value)
{
    yk_coroutine *co = yk_coroutine_here();
    yk_starting *s = co ? co->starting : NULL;
    if (!s)
        return -EINVAL;
    co->starting = NULL;
    if (s->to->closed || s->own.scope.effective)
        return -EINVAL;
    s->value = value;
    s->called = true;
    move(co, s);
    return 0;
}

int yoke_start(yoke_group *g, int (*fn)(void *arg), void *arg, void **ret)
{
    static const yoke_go_opts defaults;
    yk_starting s = {.to = g};
    if (!g || g->closed || !fn)
        return -EINVAL;
    if (g->scope.loop != yk_loop_here())
        return -EXDEV;
    yoke_group_begin(&s.own);
    yk_coroutine *co = yk_group_new(&s.own, &defaults, fn, arg);
    if (co) {
        co->starting = &s;
        yk_make_ready(co);
    }
    g->children++;
    int err = yoke_group_end(&s.own);
    yk_group_child_left(g);
    if (!s.called && err == 0)
        err = yk_cancel_point(); /* then it is no wonder that the coroutine returned early */
    if (!s.called)
        return err < 0 ? err : -EPROTO;
    if (ret)
        *ret = s.value;
    return 0;
}
