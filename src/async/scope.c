/* scope: cancel scopes, a tree for each loop.
 *
 * A scope is effective when it was cancelled, or when the one around it is effective and it has no shield. Whenever that may have
 * changed, refresh() goes down the tree, and what has become effective gives up the waits of all coroutines whose innermost scope
 * it is. From then on every wait there ends before it begins (yk_cancel_point). The rules are those of trio's CancelStatus
 * (trio/_core/_run.py); what is an exception there is a code here, and `told` says that it is on its way up: the scope that was
 * cancelled ends it, unless one around it is cancelled as well. */
#include "async/async.h"
#include "base/list.h"
#include <stdio.h>
#include <stdlib.h>

static yk_alarm *alarm_of(yoke_scope *s)
{
    _Static_assert(sizeof(yk_alarm) <= sizeof s->timer, "room in yoke_scope for an alarm");
    return (yk_alarm *)(void *)s->timer;
}

/* ---- The tree ---- */

static void link_in(yoke_scope *s)
{
    if (s->parent)
        YK_LIST_ENTER(&s->parent->first, s, next, link);
}

static void link_out(yoke_scope *s)
{
    if (s->parent)
        YK_LIST_LEAVE(s, next, link);
}

static bool is_effective(const yoke_scope *s)
{
    return s->called || (s->parent && !s->shield && s->parent->effective);
}

static void give_up(yk_park *p)
{
    if (p->asked || p->deaf || !p->abort)
        return;
    p->asked = true;
    if (p->abort(p))
        yk_resume(p, -ECANCELED);
}

/* The coroutine that came into the scope after this one; NULL: none. The list has the newest first. */
static yk_coroutine *newer(const yoke_scope *s, const yk_coroutine *co)
{
    if (co->scope_link == &s->inside)
        return NULL;
    return (yk_coroutine *)(void *)((char *)co->scope_link - offsetof(yk_coroutine, scope_next));
}

/* In the order in which they came. */
static void give_up_all(yoke_scope *s)
{
    yk_coroutine *co = s->inside;
    while (co && co->scope_next)
        co = co->scope_next;
    for (; co; co = newer(s, co))
        if (co->park)
            give_up(co->park);
}

/* One scope. True: those below it are to be looked at too. */
static bool refresh_one(yoke_scope *s)
{
    bool effective = is_effective(s);
    if (effective == s->effective)
        return false;
    s->effective = effective;
    if (effective)
        give_up_all(s);
    return true;
}

/* By a walk, not by recursion: trees of scopes may be deep. */
static void refresh(yoke_scope *top)
{
    yoke_scope *s = top;
    bool below = refresh_one(s);
    for (;;) {
        if (below && s->first) {
            s = s->first;
        } else {
            while (s != top && !s->next)
                s = s->parent;
            if (s == top)
                return;
            s = s->next;
        }
        below = refresh_one(s);
    }
}

void yk_scope_open(yoke_scope *s, yoke_scope *parent, yk_coroutine *owner, yk_loop *loop, int64_t deadline, bool shield)
{
    int *ret = s->ret;
    yk_clear(s, sizeof *s);
    s->parent = parent;
    s->owner = owner;
    s->loop = loop;
    s->deadline = YOKE_FOREVER;
    s->shield = shield;
    s->ret = ret;
    link_in(s);
    s->effective = is_effective(s);
    if (deadline != YOKE_FOREVER)
        yoke_scope_set_deadline(s, deadline);
}

/* `told` goes on to the scope around; but from a coroutine to its group only if it returns so. */
static void tell_around(yoke_scope *s)
{
    yk_coroutine *co = s->owner;
    if (s->parent && co && co->group && s->parent == &co->group->scope)
        co->told = true;
    else if (s->parent)
        s->parent->told = true;
}

bool yk_scope_close(yoke_scope *s)
{
    bool from_outside = s->parent && !s->shield && s->parent->effective;
    bool caught = s->told && s->effective && !from_outside;
    yk_alarm_clear(s->loop, alarm_of(s));
    link_out(s);
    if (s->told && !caught)
        tell_around(s);
    s->loop = NULL;
    return caught;
}

void yk_scope_inside(yk_coroutine *co, yoke_scope *scope)
{
    if (co->scope)
        YK_LIST_LEAVE(co, scope_next, scope_link);
    co->scope = scope;
    if (scope)
        YK_LIST_ENTER(&scope->inside, co, scope_next, scope_link);
}

/* What is open in `from` is open in `to` from now on. */
void yk_scope_move_children(yoke_scope *from, yoke_scope *to)
{
    for (yoke_scope *s = from->first, *next; s; s = next) {
        next = s->next;
        link_out(s);
        s->parent = to;
        link_in(s);
        refresh(s);
    }
}

/* The innermost scope of a coroutine that has just been told to stop. */
void yk_scope_tell(yk_coroutine *co)
{
    if (co->group && co->scope == &co->group->scope)
        co->told = true;
    else if (co->scope)
        co->scope->told = true;
}

/* ---- Cancelling ---- */

static void cancel(yoke_scope *s, bool expired)
{
    if (s->called)
        return;
    s->called = true;
    s->expired = expired;
    yk_alarm_clear(s->loop, alarm_of(s));
    refresh(s);
}

static void expire(yk_alarm *a)
{
    cancel((yoke_scope *)(void *)((char *)a - offsetof(yoke_scope, timer)), true);
}

/* By thread: what a coroutine computes with the thread to itself (yk_pin) may cancel too, where it runs in that thread. */
bool yk_scope_is_here(const yoke_scope *s)
{
    return !s->loop || pthread_equal(s->loop->thread, pthread_self());
}

static int check_here(const yoke_scope *s)
{
    return !s ? -EINVAL : yk_scope_is_here(s) ? 0 : -EXDEV;
}

int yoke_scope_cancel(yoke_scope *s)
{
    int err = check_here(s);
    if (YK_UNLIKELY(err < 0))
        return err;
    if (s->loop)
        cancel(s, false);
    return 0;
}

bool yoke_scope_cancelled(const yoke_scope *s)
{
    return s->called || (s->loop && s->deadline != YOKE_FOREVER && yk_loop_now(s->loop) >= s->deadline);
}

int yoke_scope_set_deadline(yoke_scope *s, int64_t deadline)
{
    int err = check_here(s);
    if (YK_UNLIKELY(err < 0))
        return err;
    if (!s->loop || s->called)
        return 0;
    yk_alarm_clear(s->loop, alarm_of(s));
    s->deadline = deadline;
    if (deadline <= yk_loop_now(s->loop)) {
        cancel(s, true);
        return 0;
    }
    alarm_of(s)->ring = expire;
    yk_alarm_set(s->loop, alarm_of(s), deadline);
    return 0;
}

int yoke_scope_set_shield(yoke_scope *s, bool shield)
{
    int err = check_here(s);
    if (YK_UNLIKELY(err < 0))
        return err;
    if (!s->loop)
        return 0;
    s->shield = shield;
    refresh(s);
    return 0;
}

int64_t yoke_effective_deadline(void)
{
    yk_coroutine *co = yk_coroutine_here();
    int64_t deadline = YOKE_FOREVER;
    for (const yoke_scope *s = co ? co->scope : NULL; s; s = s->parent) {
        if (s->effective)
            return INT64_MIN;
        deadline = YK_MIN(deadline, s->deadline);
        if (s->shield)
            break;
    }
    return deadline;
}

/* ---- Begin and end ---- */

static void begin(yoke_scope *s, int64_t deadline, bool shield)
{
    yk_coroutine *co = yk_coroutine_here();
    if (!co) {
        *s = (yoke_scope){.deadline = deadline, .shield = shield, .ret = s->ret};
        return;
    }
    yk_scope_open(s, co->scope, co, co->loop, deadline, shield);
    yk_scope_inside(co, s);
}

static int64_t after(int64_t ns)
{
    return yk_after(YK_MAX(ns, 0));
}

void yoke_scope_begin(yoke_scope *s)
{
    s->ret = NULL;
    begin(s, YOKE_FOREVER, false);
}

void yoke_scope_begin_timed(yoke_scope *s, int64_t ns)
{
    yoke_scope_begin_until(s, after(ns));
}

void yoke_scope_begin_until(yoke_scope *s, int64_t deadline)
{
    s->ret = NULL;
    begin(s, deadline, false);
}

void yoke_shield_begin_timed(yoke_scope *s, int64_t ns)
{
    s->ret = NULL;
    begin(s, after(ns), true);
}

/* What nests wrongly has already been written over, or will be. The coroutines of a group have its scope as their own, too. */
void yk_scope_check(const yoke_scope *s, const char *what)
{
    const yk_coroutine *co = yk_coroutine_here();
    if (co && co->scope == s && co == s->owner)
        return;
    fprintf(stderr, "yoke: a %s ended in another order than it nests, or in another coroutine\n", what);
    abort();
}

void yk_scope_left_open(const yk_coroutine *co)
{
    char name[64];
    const char *who = yk_coroutine_name(co, name, sizeof name);
    fprintf(stderr, "yoke: %s returned with a scope or a group that it had not ended\n", who);
    abort();
}

int yoke_scope_end(yoke_scope *s)
{
    if (!s->loop)
        return 0;
    yk_scope_check(s, "scope");
    yk_scope_inside(s->owner, s->parent);
    if (!yk_scope_close(s))
        return 0;
    return s->expired ? -ETIMEDOUT : -ECANCELED;
}

/* ---- Behind the macros ---- */

yoke_scope *yk_scope_block(yoke_scope *s)
{
    yoke_scope_begin(s);
    return s;
}

yoke_scope *yk_timeout_block(yoke_scope *s, int64_t ns, int *ret)
{
    yoke_scope_begin_timed(s, ns);
    s->ret = ret;
    return s;
}

yoke_scope *yk_shield_block(yoke_scope *s, int64_t ns)
{
    yoke_shield_begin_timed(s, ns);
    return s;
}

void yk_scope_block_end(yoke_scope *s)
{
    int *ret = s->ret;
    int code = yoke_scope_end(s);
    if (ret)
        *ret = code;
}
