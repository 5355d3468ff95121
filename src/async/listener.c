/* listener: sockets that listen, from their opening to their end, and the files of those that are Unix sockets. */
#include "async/listener.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Listening ---- */

static int set(int fd, int level, int option, int value)
{
    return yk_sys.setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int set_options(int fd, const yoke_address *a, const yoke_listen_opts *o)
{
    int err = 0, family = yk_family(a);
    if (family == AF_UNIX)
        return 0;
    err = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (err == 0 && o->reuseport)
        err = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == 0 && family == AF_INET6)
        err = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->only_v6);
    if (err == 0 && !o->delay)
        err = set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted ones take it over */
    return err;
}

/* Whether somebody listens at a Unix socket's file. */
static bool is_alive(yoke_address *a)
{
    int fd = yk_sys.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive = fd < 0 || yk_sys.connect(fd, yk_sockaddr(a), a->len) == 0 || errno != ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return alive;
}

/* umask(2) is the whole process's, and chmod(2) comes late: so the socket is given its mode before it is bound. */
static int bind_file(int fd, yoke_address *a, const char *path, const yoke_listen_opts *o)
{
    struct stat about;
    if (o->mode && fchmod(fd, o->mode & 0777) < 0)
        return -errno;
    if (yk_sys.bind(fd, yk_sockaddr(a), a->len) == 0)
        return 0;
    int err = -errno;
    if (err != -EADDRINUSE || lstat(path, &about) < 0 || !S_ISSOCK(about.st_mode) || is_alive(a))
        return err;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    return yk_sys.bind(fd, yk_sockaddr(a), a->len) < 0 ? -errno : 0;
}

static int backlog_of(const yoke_listen_opts *o)
{
    return o->backlog > 0 ? o->backlog : 1024;
}

static int bind_and_listen(yoke_listener *l, yoke_address *a, const yk_where *w, const yoke_listen_opts *o)
{
    bool file = w->kind == YK_UNIX && *w->host != '@';
    int err = set_options(l->s.fd, a, o);
    if (err < 0)
        return err;
    if (file)
        err = bind_file(l->s.fd, a, w->host, o);
    else if (yk_sys.bind(l->s.fd, yk_sockaddr(a), a->len) < 0)
        err = -errno;
    if (err < 0)
        return err;
    if (file) {
        memcpy(l->path, w->host, strlen(w->host) + 1);
        if (lstat(l->path, &l->file) < 0 || (o->mode && chmod(l->path, o->mode & 0777) < 0))
            return -errno;
    }
    if (yk_sys.listen(l->s.fd, backlog_of(o)) < 0)
        return -errno;
    return yk_address_of(l->s.fd, false, true, &l->address);
}

static void remove_file(yoke_listener *l)
{
    struct stat now;
    if (*l->path && lstat(l->path, &now) == 0 && now.st_ino == l->file.st_ino && now.st_dev == l->file.st_dev)
        unlink(l->path);
    *l->path = 0;
}

static int open_at(yoke_listener *l, yoke_address *a, const yk_where *w, const yoke_listen_opts *o)
{
    int err = yk_socket_open(&l->s, yk_family(a), SOCK_STREAM);
    if (err < 0)
        return err;
    err = bind_and_listen(l, a, w, o);
    if (err < 0) {
        remove_file(l);
        close(l->s.fd);
    }
    return err;
}

int yk_listener_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int open_somewhere(yoke_listener *l, yoke_address *all, int n, const yk_where *w, const yoke_listen_opts *o)
{
    int err = -EADDRNOTAVAIL;
    /* All addresses of the machine: where there is IPv6 that means both kinds. */
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n; i++) {
            bool first = *w->host || yk_family(&all[i]) == AF_INET6;
            if (first != (pass == 0))
                continue;
            err = open_at(l, &all[i], w, o);
            if (err == 0)
                return 0;
        }
    return err;
}

int yoke_listen_with(const char *where, const yoke_listen_opts *opts, yoke_listener **ret)
{
    static const yoke_listen_opts defaults;
    const yoke_listen_opts *o = opts ? opts : &defaults;
    yk_where w = {0};
    yoke_address *all;
    if (o->tls && !yk_tls_is_server(o->tls))
        return yk_net_failf(EINVAL, "listen at %s: its tls is of yoke_tls_client(), one of yoke_tls_server() is wanted",
                            where ? where : "nowhere");
    int n = ret ? yk_where_resolve(where, &w, true, &all) : -EINVAL;
    if (n < 0)
        return yk_net_stopped(n, "listen at", where);
    if (w.kind == YK_UDP) {
        free(all);
        return yk_net_failf(EINVAL, "\"%s\" is no place for connections: tcp: and unix: are", where);
    }
    yoke_listener *l = yk_sys.calloc(1, sizeof *l);
    int err = !l ? -ENOMEM : open_somewhere(l, all, n, &w, o);
    free(all);
    if (err < 0) {
        free(l);
        return yk_net_fail(err, "listen at", where);
    }
    l->refs = 1;
    l->most = o->most;
    l->backlog = backlog_of(o);
    l->spare = yk_listener_spare();
    l->tls = o->tls ? yk_tls_ref(o->tls) : NULL;
    yoke_address_text(&l->address, l->text, sizeof l->text);
    *ret = l;
    return 0;
}

int yoke_listen(const char *where, yoke_listener **ret)
{
    return yoke_listen_with(where, NULL, ret);
}

/* ---- The end ---- */

void yk_listener_unref(yoke_listener *l)
{
    if (--l->refs > 0)
        return;
    if (l->spare >= 0)
        close(l->spare);
    yoke_tls_unref(l->tls);
    free(l);
}

void yk_listener_conn_gone(yoke_listener *l)
{
    l->open--;
    yk_socket_go_on(&l->s, l);
    yk_listener_unref(l);
}

void yoke_listener_close(yoke_listener *l)
{
    if (!l || l->s.closed)
        return;
    remove_file(l);
    if (yk_socket_close(&l->s))
        yk_listener_unref(l);
}

/* ---- What it is ---- */

int yoke_listener_port(const yoke_listener *l)
{
    return l ? yoke_address_port(&l->address) : -EINVAL;
}

const char *yoke_listener_address(const yoke_listener *l)
{
    return l ? l->text : "";
}

int yoke_listener_fd(const yoke_listener *l)
{
    return l ? l->s.fd : -EINVAL;
}
