/* serve: a coroutine for each connection, and an end in which none that was accepted is lost.
 *
 * Who calls accepts, and is told to stop like anybody. The connections are in the group of another coroutine, the keeper, behind
 * a shield, so that they are not told at the same time: only when their time is up. */
#include "async/net.h"
#include <stdlib.h>

enum { DEFAULT_GRACE = 10, DEFAULT_HANDSHAKE = 10 };

typedef struct yk_server {
    yoke_listener *l;
    int (*fn)(yoke_conn *c, void *arg);
    void *arg;
    const yoke_serve_opts *opts;
    int64_t grace;
    yoke_group connections;
    yk_crowd crowd;
    yk_park keeper; /* waits until accepting is over */
    bool over;
} yk_server;

static int shake(const yk_server *s, yoke_conn *c)
{
    yoke_scope limit;
    int64_t ns = s->opts->handshake ? s->opts->handshake : DEFAULT_HANDSHAKE * YOKE_S;
    if (!c->tls || ns < 0 || !yk_coroutine_here())
        return yoke_conn_handshake(c);
    yoke_scope_begin_timed(&limit, ns);
    int err = yoke_conn_handshake(c), late = yoke_scope_end(&limit);
    return late < 0 ? late : err;
}

static void attend(yk_server *s, yoke_conn *c)
{
    int err = shake(s, c);
    if (err == 0)
        s->fn(c, s->arg);
    else if (s->opts->refused)
        s->opts->refused(c, err, s->arg);
}

static int serve_one(void *arg)
{
    yoke_conn *c = arg;
    attend(c->server, c);
    c->server = NULL;
    yoke_conn_close(c);
    return 0;
}

/* Not by yoke_go(): one for which there is no memory is turned away, and the others go on. */
static void begin_one(yk_server *s, yoke_conn *c)
{
    yk_coroutine *co = yk_coroutine_new(s->connections.scope.loop, s->opts->stack, serve_one, c);
    if (!co) {
        yoke_conn_abort(c);
        return;
    }
    c->server = s;
    co->name = "connection";
    co->group = &s->connections;
    yk_scope_inside(co, &s->connections.scope);
    s->connections.children++;
    yk_make_ready(co);
}

static int keep(void *arg)
{
    yk_server *s = arg;
    yoke_scope shield;
    yk_coroutine *co = yk_coroutine_here();
    yk_scope_open(&shield, co->scope, co, co->loop, YOKE_FOREVER, true);
    shield.ret = NULL;
    yk_scope_inside(co, &shield);
    yoke_group_begin(&s->connections);
    s->keeper = (yk_park){.what = "end of accepting", .number = -1, .object = s, .deaf = true};
    yk_suspend(&s->keeper, YOKE_FOREVER);
    yoke_scope_set_deadline(&s->connections.scope, s->grace < 0 ? 0 : yk_after(s->grace));
    yoke_group_end(&s->connections);
    yoke_scope_end(&shield);
    return 0;
}

/* Those that the kernel has accepted before we heard that it is over; of a listener that is closed those that came ahead. */
static void accept_the_last(yk_server *s)
{
    yoke_conn *c;
    while (yk_crowd_last(&s->crowd, &c) == 0)
        begin_one(s, c);
}

static int accept_all(yk_server *s)
{
    yoke_conn *c;
    int err = yk_crowd_begin(&s->crowd, s->l);
    while (err == 0 && (err = yk_crowd_next(&s->crowd, &c)) == 0)
        begin_one(s, c);
    return err;
}

static int serve_in_thread(yk_server *s)
{
    for (;;) {
        yoke_conn *c;
        int err = yoke_accept(s->l, &c);
        if (err < 0) {
            yoke_listener_close(s->l);
            return err;
        }
        attend(s, c);
        yoke_conn_close(c);
    }
}

static int serve(yk_server *s)
{
    const yoke_go_opts eager = {.eager = true}; /* up to its wait */
    yoke_group g;
    yoke_group_begin(&g);
    int err = yoke_go_with(&g, &eager, keep, s);
    bool kept = err == 0;
    if (kept)
        err = accept_all(s);
    s->over = true;
    if (s->opts->stopping)
        s->opts->stopping(s->arg);
    if (kept && s->crowd.inside && (err == -ECANCELED || err == -ESHUTDOWN))
        accept_the_last(s);
    if (err != -ESHUTDOWN)
        yoke_listener_close(s->l);
    if (kept) {
        yk_crowd_end(&s->crowd);
        yk_resume(&s->keeper, 0);
    }
    int end = yoke_group_end(&g);
    return err == -ESHUTDOWN ? 0 : err < 0 ? err : end;
}

int yoke_serve(yoke_listener *l, int (*fn)(yoke_conn *c, void *arg), void *arg, const yoke_serve_opts *opts)
{
    static const yoke_serve_opts defaults;
    if (!l || !fn)
        return -EINVAL;
    const yoke_serve_opts *o = opts ? opts : &defaults;
    yk_server s = {.l = l, .fn = fn, .arg = arg, .opts = o, .grace = o->grace == 0 ? DEFAULT_GRACE * YOKE_S : o->grace};
    return yk_coroutine_here() ? serve(&s) : serve_in_thread(&s);
}

bool yoke_serve_stopping(const yoke_conn *c)
{
    return c->server && c->server->over;
}
