/* address: places as text, "tcp:127.0.0.1:80", and as the kernel wants them; and the words for what went wrong. */
#include "async/net.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

/* ---- Errors ---- */

static _Thread_local yk_error last_error;

int yk_net_failf(int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(last_error.text, sizeof last_error.text, format, ap);
    va_end(ap);
    yk_plain(last_error.text, strlen(last_error.text), true); /* names may come from anywhere */
    return last_error.code = code > 0 ? -code : code;
}

int yk_net_fail(int code, const char *what, const char *where)
{
    return yk_net_failf(code, "%s %s: %s", what, where, yoke_strerror(code));
}

int yk_net_stopped(int code, const char *what, const char *where)
{
    return code == -ECANCELED ? yk_net_fail(code, what, where ? where : "nowhere") : code;
}

const char *yoke_net_error(void)
{
    return last_error.text;
}

/* ---- Pieces of text ---- */

static bool copy(char *to, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return false;
    memcpy(to, from, len);
    to[len] = 0;
    return true;
}

static int split_host(const char *where, const char *rest, yk_where *ret)
{
    const char *colon = strrchr(rest, ':'), *host = rest, *end = colon;
    if (*rest == '[') {
        end = strchr(rest, ']');
        if (!end || end[1] != ':' || end + 1 != colon)
            return yk_net_failf(EINVAL, "\"%s\": it is written [ADDRESS]:PORT", where);
        host++;
    } else if (!colon || strchr(rest, ':') != colon) {
        return yk_net_failf(EINVAL, "\"%s\": %s", where, colon ? "an address of IPv6 stands in brackets, as in tcp:[::1]:80"
                                                               : "there is no port, as in tcp:localhost:80");
    }
    if (!copy(ret->host, sizeof ret->host, host, (size_t)(end - host)) ||
        !copy(ret->port, sizeof ret->port, colon + 1, strlen(colon + 1)))
        return yk_net_failf(EINVAL, "\"%s\": that is too long", where);
    if (!*ret->port)
        return yk_net_failf(EINVAL, "\"%s\": there is no port", where);
    if (strcmp(ret->host, "*") == 0)
        *ret->host = 0;
    return 0;
}

int yk_where_parse(const char *where, yk_where *ret)
{
    memset(ret, 0, sizeof *ret);
    const char *rest = where ? strchr(where, ':') : NULL;
    size_t len = rest ? (size_t)(rest++ - where) : 0;
    if (len == 4 && memcmp(where, "unix", 4) == 0) {
        ret->kind = YK_UNIX;
        *ret->port = 0;
        size_t most = sizeof ((struct sockaddr_un *)0)->sun_path;
        if (!*rest || (*rest == '@' && !rest[1]) || strlen(rest) >= most)
            return yk_net_failf(EINVAL, "\"%s\": the name of a Unix socket has 1 to %zu bytes", where, most - 1);
        copy(ret->host, sizeof ret->host, rest, strlen(rest));
        return 0;
    }
    if (len != 3 || (memcmp(where, "tcp", 3) != 0 && memcmp(where, "udp", 3) != 0))
        return yk_net_failf(EINVAL, "\"%s\" is no place: it begins with tcp:, udp: or unix:", where ? where : "");
    ret->kind = *where == 't' ? YK_TCP : YK_UDP;
    return split_host(where, rest, ret);
}

/* ---- Addresses ---- */

struct sockaddr *yk_sockaddr(yoke_address *a)
{
    return (struct sockaddr *)(void *)a->sockaddr;
}

int yk_family(const yoke_address *a)
{
    sa_family_t family;
    memcpy(&family, (const char *)a->sockaddr + offsetof(struct sockaddr, sa_family), sizeof family);
    return family;
}

bool yk_address_set(yoke_address *a, const struct sockaddr *from, socklen_t len, bool tcp)
{
    *a = (yoke_address){.len = len, .tcp = tcp};
    if (len > sizeof a->sockaddr)
        return false;
    memcpy(a->sockaddr, from, len);
    return true;
}

int yk_address_of(int fd, bool peer, bool tcp, yoke_address *ret)
{
    struct sockaddr_storage s = {0};
    socklen_t len = sizeof s;
    int err = peer ? getpeername(fd, (struct sockaddr *)&s, &len) : yk_sys.getsockname(fd, (struct sockaddr *)&s, &len);
    if (err < 0)
        return -errno;
    return yk_address_set(ret, (struct sockaddr *)&s, YK_MIN(len, (socklen_t)sizeof s), tcp) ? 0 : -EINVAL;
}

/* The length of an abstract name says where it ends, a file's name is ended by a NUL. */
static void unix_address(const char *name, yoke_address *ret)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(u.sun_path, name, len);
    if (*name == '@')
        u.sun_path[0] = 0;
    yk_address_set(ret, (struct sockaddr *)&u, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name != '@')), true);
}

int yk_where_resolve(const char *where, yk_where *w, bool bind, yoke_address **ret)
{
    int err = yk_where_parse(where, w);
    if (err < 0)
        return err;
    if (w->kind != YK_UNIX)
        return yk_resolve(w->host, w->port, w->kind == YK_TCP, bind, ret);
    *ret = yk_sys.malloc(sizeof **ret);
    if (!*ret)
        return yk_net_fail(-ENOMEM, "address", where);
    unix_address(w->host, *ret);
    return 1;
}

static bool numeric_port(const char *text, in_port_t *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *ret = htons((in_port_t)n);
    return *text >= '0' && *text <= '9' && !*end && n <= UINT16_MAX;
}

static int zone_number(char *host, uint32_t *ret)
{
    char *zone = strchr(host, '%'), *end;
    *ret = 0;
    if (!zone)
        return 0;
    *zone++ = 0;
    *ret = if_nametoindex(zone);
    if (*ret == 0)
        *ret = (uint32_t)strtoul(zone, &end, 10);
    return *ret == 0 ? -EINVAL : 0;
}

int yoke_address_parse(const char *where, yoke_address *ret)
{
    yk_where w = {0};
    in_port_t port = 0;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (yk_where_parse(where, &w) < 0)
        return -EINVAL;
    if (w.kind == YK_UNIX) {
        unix_address(w.host, ret);
        return 0;
    }
    if (!numeric_port(w.port, &port))
        return yk_net_failf(EINVAL, "\"%s\": the port is no number", where);
    if (inet_pton(AF_INET, w.host, &v4.sin_addr) == 1) {
        v4.sin_port = port;
        yk_address_set(ret, (struct sockaddr *)&v4, sizeof v4, w.kind == YK_TCP);
        return 0;
    }
    v6.sin6_port = port;
    if (zone_number(w.host, &v6.sin6_scope_id) < 0 || inet_pton(AF_INET6, w.host, &v6.sin6_addr) != 1)
        return yk_net_failf(EINVAL, "\"%s\": the host is no address", where);
    yk_address_set(ret, (struct sockaddr *)&v6, sizeof v6, w.kind == YK_TCP);
    return 0;
}

/* ---- As text ---- */

static void inet_text(const yoke_address *a, char *to, size_t size)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    bool six = yk_family(a) == AF_INET6;
    char host[INET6_ADDRSTRLEN] = "", zone[IF_NAMESIZE + 1] = "";
    memcpy(&v6, a->sockaddr, sizeof v6);
    memcpy(&v4, a->sockaddr, sizeof v4);
    inet_ntop(six ? AF_INET6 : AF_INET, six ? (const void *)&v6.sin6_addr : (const void *)&v4.sin_addr, host, sizeof host);
    if (six && v6.sin6_scope_id != 0) {
        *zone = '%';
        if (!if_indextoname(v6.sin6_scope_id, zone + 1))
            snprintf(zone + 1, sizeof zone - 1, "%u", v6.sin6_scope_id);
    }
    snprintf(to, size, six ? "%s:[%s%s]:%d" : "%s:%s%s:%d", a->tcp ? "tcp" : "udp", host, zone, yoke_address_port(a));
}

static void unix_text(const yoke_address *a, char *to, size_t size)
{
    struct sockaddr_un u;
    memcpy(&u, a->sockaddr, sizeof u);
    size_t len = a->len > offsetof(struct sockaddr_un, sun_path) ? a->len - offsetof(struct sockaddr_un, sun_path) : 0;
    bool abstract = len > 0 && !u.sun_path[0];
    len = abstract ? len - 1 : strnlen(u.sun_path, len);
    snprintf(to, size, "unix:%s%.*s", abstract ? "@" : "", (int)len, u.sun_path + abstract);
}

const char *yoke_address_text(const yoke_address *a, char *to, size_t size)
{
    if (size == 0)
        return to;
    *to = 0;
    if (a->len >= sizeof(struct sockaddr_in) && (yk_family(a) == AF_INET || yk_family(a) == AF_INET6))
        inet_text(a, to, size);
    else if (a->len >= sizeof(sa_family_t) && yk_family(a) == AF_UNIX)
        unix_text(a, to, size);
    yk_plain(to, strlen(to), true);
    return to;
}

int yoke_address_port(const yoke_address *a)
{
    struct sockaddr_in v4; /* the port is at the same place in both */
    memcpy(&v4, a->sockaddr, sizeof v4);
    if (a->len < sizeof v4 || (yk_family(a) != AF_INET && yk_family(a) != AF_INET6))
        return 0;
    return ntohs(v4.sin_port);
}

/* Not by bytes: the kernel and the library leave different things in what is padding. */
bool yoke_address_equal(const yoke_address *a, const yoke_address *b)
{
    char one[160], other[160];
    if (a->len != b->len)
        return false;
    yoke_address_text(a, one, sizeof one);
    yoke_address_text(b, other, sizeof other);
    return strcmp(one + 3, other + 3) == 0;
}
