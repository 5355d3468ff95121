/* connect: to a place, which may have several addresses: happy eyeballs, RFC 8305.
 *
 * Each address is tried by a coroutine, all in one group: the next one begins when the one before has failed, or has not answered
 * for a while. The first that is connected ends the others. In a thread, and with one address, there is one after the other. */
#include "async/net.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAGGER = 250 };

typedef struct race {
    const yoke_connect_opts *opts;
    yoke_address *all, *local;
    int n, nlocal;
    int begun, under_way;
    int fd, code;   /* of the winner, else -1; and of who failed last */
    yk_park *waits; /* who began it */
} race;

/* ---- One attempt ---- */

static int bind_local(int fd, const race *r, int family)
{
    for (int i = 0; i < r->nlocal; i++)
        if (yk_family(&r->local[i]) == family)
            return yk_sys.bind(fd, yk_sockaddr(&r->local[i]), r->local[i].len) < 0 ? -errno : 0;
    return r->nlocal > 0 ? -EAFNOSUPPORT : 0;
}

static int set_up(int fd, const race *r, int family)
{
    if (family != AF_UNIX && !r->opts->delay && yk_sys.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        return -errno;
    return bind_local(fd, r, family);
}

/* A descriptor. */
static int attempt(const race *r, yoke_address *to)
{
    yk_socket s;
    int err = yk_socket_open(&s, yk_family(to), SOCK_STREAM);
    if (err < 0)
        return err;
    err = set_up(s.fd, r, yk_family(to));
    yk_io io = {.op = {.kind = YK_OP_CONNECT, .address = yk_sockaddr(to), .len = to->len}};
    if (err == 0)
        err = (int)yk_socket_operate(&s, &io, "connect");
    if (err == 0)
        return s.fd;
    yk_socket_close(&s);
    return err;
}

/* ---- All of them ---- */

static int runner(void *arg)
{
    race *r = arg;
    int fd = attempt(r, &r->all[r->begun++]);
    r->under_way--;
    if (fd >= 0 && r->fd >= 0) { /* another was there in the same moment */
        yk_socket late = {.loop = yk_net_loop(), .fd = fd};
        yk_socket_close(&late);
    } else if (fd >= 0) {
        r->fd = fd;
    } else if (fd != -ECANCELED) {
        r->code = fd;
    }
    if (r->waits) {
        yk_resume(r->waits, 0);
        r->waits = NULL;
    }
    return fd == -ECANCELED ? fd : 0;
}

static bool give_up(yk_park *p)
{
    ((race *)(uintptr_t)p->object)->waits = NULL;
    return true;
}

/* For one to end, however, or for the time until the next is to begin. */
static int wait_for_runner(race *r)
{
    yk_park park = {.abort = give_up, .what = "connect", .number = -1, .object = r};
    int64_t stagger = r->opts->stagger > 0 ? r->opts->stagger : STAGGER * YOKE_MS;
    int err = yk_cancel_point();
    if (err < 0)
        return err;
    r->waits = &park; /* cppcheck-suppress autoVariables ; nobody looks once this has returned */
    err = yk_suspend(&park, r->begun < r->n ? yk_after(stagger) : YOKE_FOREVER);
    return err == -ETIMEDOUT ? 0 : err;
}

static int run_race(race *r)
{
    const yoke_go_opts eager = {.eager = true};
    yoke_group g;
    int err = 0;
    yoke_group_begin(&g);
    while (err == 0 && r->fd < 0 && (r->begun < r->n || r->under_way > 0)) {
        if (r->begun < r->n) {
            r->under_way++;
            err = yoke_go_with(&g, &eager, runner, r);
        }
        if (err == 0 && r->fd < 0 && r->under_way > 0)
            err = wait_for_runner(r);
    }
    yoke_group_cancel(&g);
    int end = yoke_group_end(&g);
    if (end < 0 && r->fd >= 0) {
        yk_socket won = {.loop = yk_net_loop(), .fd = r->fd};
        yk_socket_close(&won);
        r->fd = -1;
    }
    return end < 0 ? end : r->fd >= 0 ? r->fd : err < 0 ? err : r->code;
}

static int one_by_one(race *r)
{
    int fd = -EADDRNOTAVAIL;
    for (int i = 0; i < r->n; i++) {
        fd = attempt(r, &r->all[i]);
        if (fd >= 0 || fd == -ECANCELED)
            return fd;
    }
    return fd;
}

/* By turns of the two kinds, that of the first first; else as they came. */
static void interleave(yoke_address *all, int n)
{
    for (int i = 1; i < n; i++) {
        int k = i;
        while (k < n && yk_family(&all[k]) == yk_family(&all[i - 1]))
            k++;
        if (k == n)
            return;
        yoke_address other = all[k];
        memmove(&all[i + 1], &all[i], (size_t)(k - i) * sizeof *all);
        all[i] = other;
    }
}

/* ---- Calls ---- */

static int connect_somewhere(const char *where, const yoke_connect_opts *o, yk_where *w)
{
    yk_where from = {0};
    race r = {.opts = o, .fd = -1, .code = -EADDRNOTAVAIL};
    r.n = yk_where_resolve(where, w, false, &r.all);
    if (r.n < 0)
        return r.n;
    int fd = w->kind == YK_UDP ? yk_net_failf(EINVAL, "\"%s\" is no place for connections: tcp: and unix: are", where) : 0;
    if (fd == 0 && o->local)
        fd = r.nlocal = yk_where_resolve(o->local, &from, true, &r.local);
    if (fd >= 0) {
        interleave(r.all, r.n);
        fd = r.n > 1 && yk_net_loop() ? run_race(&r) : one_by_one(&r);
        if (fd < 0)
            yk_net_fail(fd, "connect to", where);
    }
    free(r.all);
    free(r.local);
    return fd;
}

static int begin_tls(yoke_conn *c, const yoke_connect_opts *o, const yk_where *w, const char *where)
{
    const char *name = o->server_name ? o->server_name : w->kind == YK_UNIX ? NULL : w->host;
    int err = yoke_conn_start_tls(c, o->tls, name);
    if (err < 0 && err != -ECANCELED)
        yk_net_failf(err, "connect to %s: %s", where, yoke_conn_error(c));
    return yk_net_stopped(err, "connect to", where);
}

int yoke_connect_with(const char *where, const yoke_connect_opts *opts, yoke_conn **ret)
{
    static const yoke_connect_opts defaults;
    const yoke_connect_opts *o = opts ? opts : &defaults;
    yk_where w = {0};
    yoke_conn *c;
    if (o->tls && yk_tls_is_server(o->tls))
        return yk_net_failf(EINVAL, "connect to %s: its tls is of yoke_tls_server(), one of yoke_tls_client() is wanted",
                            where ? where : "nowhere");
    if (o->server_name && !o->tls)
        return yk_net_failf(EINVAL, "connect to %s: server_name \"%s\" is there, and no tls to ask for it",
                            where ? where : "nowhere", o->server_name);
    int fd = ret ? yk_wait_point() : -EINVAL;
    if (fd == 0)
        fd = connect_somewhere(where, o, &w);
    if (fd < 0)
        return yk_net_stopped(fd, "connect to", where);
    int err = yk_conn_open(fd, &c);
    if (err < 0) {
        yk_socket s = {.loop = yk_net_loop(), .fd = fd};
        yk_socket_close(&s);
        return yk_net_fail(err, "connect to", where);
    }
    err = o->tls ? begin_tls(c, o, &w, where) : 0;
    if (err < 0)
        yoke_conn_abort(c);
    else
        *ret = c;
    return err;
}

int yoke_connect(const char *where, yoke_conn **ret)
{
    return yoke_connect_with(where, NULL, ret);
}
