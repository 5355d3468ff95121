/* resolve: names of hosts.
 *
 * getaddrinfo(3) blocks, so in coroutines it runs in a helper thread; at most half of those look up names at the same time, since
 * a server of names that does not answer holds them for long. A look-up that nobody waits for any more, because the coroutine was
 * told to stop, goes on by itself: it is owned by the two together, and whoever is last frees it. */
#include "async/net.h"
#include "async/offload.h"
#include "async/cares.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>

typedef struct lookup {
    yk_op op;
    _Atomic int refs;
    _Atomic uint32_t done;
    int code, system; /* of getaddrinfo(), and errno */
    struct addrinfo hints, *found;
    bool no_host, no_service;
    char host[256], service[64];
} lookup;

/* ---- How many at a time ---- */

static _Atomic uint32_t running;

static void forget_parent(void)
{
    atomic_store_explicit(&running, 0, memory_order_relaxed);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static const yk_kind look_up_kind = {"the look-up of a name", NULL};
static const yk_cause cause = {&look_up_kind, NULL};

static int take_place(void)
{
    uint32_t most = (yk_offload_most() + 1) / 2, n = atomic_load_explicit(&running, memory_order_relaxed);
    for (;;) {
        if (n < most) {
            if (atomic_compare_exchange_weak_explicit(&running, &n, n + 1, memory_order_relaxed, memory_order_relaxed))
                return 0;
            continue;
        }
        int err = yk_wait_for(&cause, &running, n, YOKE_FOREVER, YK_WAIT_JOB);
        if (err == -ECANCELED)
            return err;
        n = atomic_load_explicit(&running, memory_order_relaxed);
    }
}

static void give_place(void)
{
    atomic_fetch_sub_explicit(&running, 1, memory_order_seq_cst);
    yk_wake(&running, 1, false);
}

/* ---- A look-up ---- */

static void unref(lookup *l)
{
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (l->found)
        freeaddrinfo(l->found);
    free(l);
}

static void ask(lookup *l, const char *host)
{
    l->code = yk_sys.getaddrinfo(host, l->no_service ? NULL : l->service, &l->hints, &l->found);
    l->system = errno;
}

/* It is this machine, whatever servers of names say, and also where no file does (RFC 6761, section 6.3). */
static bool is_localhost(const char *host)
{
    static const char name[] = ".localhost";
    size_t len = strlen(host), end = sizeof name - 1;
    return strcasecmp(host, name + 1) == 0 || (len > end && strcasecmp(host + len - end, name) == 0);
}

static void look_up(lookup *l)
{
    ask(l, l->no_host ? NULL : l->host);
    if (l->code == 0 || l->hints.ai_flags & AI_NUMERICHOST || !is_localhost(l->host))
        return;
    l->hints.ai_flags |= AI_NUMERICHOST;
    ask(l, "127.0.0.1");
}

static void work(yk_op *op)
{
    lookup *l = (lookup *)(void *)op;
    look_up(l);
    give_place();
    atomic_store_explicit(&l->done, 1, memory_order_release); /* pairs with wait_for() */
    yk_wake(&l->done, 1, false);
    unref(l);
}

static int wait_for(lookup *l)
{
    int err = 0;
    while (!yk_wait_is_over(err) && atomic_load_explicit(&l->done, memory_order_acquire) == 0)
        err = yk_wait_for(&cause, &l->done, 0, YOKE_FOREVER, YK_WAIT_JOB);
    if (!yk_wait_is_over(err))
        return 0;
    if (yk_offload_cancel(&l->op)) { /* no thread has begun it */
        give_place();
        unref(l);
    }
    return err;
}

static int look_up_elsewhere(lookup *l)
{
    int err = take_place();
    if (err < 0)
        return err;
    atomic_store_explicit(&l->refs, 2, memory_order_relaxed);
    yk_offload_apart(&l->op, work);
    return wait_for(l);
}

/* ---- What it says ---- */

static int fail(const lookup *l)
{
    const char *host = l->no_host ? "" : l->host;
    switch (l->code) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
#ifdef EAI_ADDRFAMILY
    case EAI_ADDRFAMILY:
#endif
        return yk_net_failf(ENOENT, "there is no host \"%s\"", host);
    case EAI_SERVICE: return yk_net_failf(EINVAL, "there is no service \"%s\"", l->service);
    case EAI_MEMORY: return yk_net_fail(-ENOMEM, "look-up of", host);
    case EAI_SYSTEM: return yk_net_fail(l->system > 0 ? -l->system : -EREMOTEIO, "look-up of", host);
    case EAI_AGAIN: return yk_net_failf(EREMOTEIO, "look-up of \"%s\": no server of names answers", host);
    default: return yk_net_failf(EREMOTEIO, "look-up of \"%s\": %s", host, gai_strerror(l->code));
    }
}

static int collect(const struct addrinfo *found, bool tcp, yoke_address **ret)
{
    size_t n = 0, at = 0;
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        n++;
    yoke_address *all = yk_sys.malloc(YK_MAX(n, (size_t)1) * sizeof *all);
    if (!all)
        return yk_net_fail(-ENOMEM, "look-up of", "a host");
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            at += yk_address_set(&all[at], a->ai_addr, a->ai_addrlen, tcp);
    *ret = all;
    if (at > 0)
        return (int)at;
    free(all);
    return yk_net_failf(ENOENT, "look-up: there is no address of a kind that is known");
}

static int prepare(const char *host, const char *service, bool tcp, bool passive, lookup **ret)
{
    size_t host_len = host ? strlen(host) : 0, service_len = service ? strlen(service) : 0;
    lookup *l = yk_sys.calloc(1, sizeof *l);
    if (!l)
        return yk_net_fail(-ENOMEM, "look-up of", host ? host : "");
    if (host_len >= sizeof l->host || service_len >= sizeof l->service) {
        free(l);
        return yk_net_failf(EINVAL, "look-up: a name is too long");
    }
    if (host)
        memcpy(l->host, host, host_len + 1);
    if (service)
        memcpy(l->service, service, service_len + 1);
    atomic_store_explicit(&l->refs, 1, memory_order_relaxed);
    l->no_host = host_len == 0;
    l->no_service = service_len == 0;
    l->hints.ai_socktype = tcp ? SOCK_STREAM : SOCK_DGRAM;
    l->hints.ai_flags = AI_NUMERICHOST | (passive ? AI_PASSIVE : 0);
    if (l->no_host && l->no_service) { /* one of them it wants */
        l->service[0] = '0';
        l->no_service = false;
    }
    *ret = l;
    return 0;
}

static bool is_number(const char *text)
{
    return text[strspn(text, "0123456789")] == 0;
}

/* The C library takes the last 16 bits of any number. */
static bool is_no_port(const char *number)
{
    return strtoul(number, NULL, 10) > UINT16_MAX;
}

int yk_resolve(const char *host, const char *service, bool tcp, bool passive, yoke_address **ret)
{
    lookup *l = NULL;
    int err = prepare(host, service, tcp, passive, &l);
    if (err < 0 || !l)
        return err;
    bool number = is_number(l->service);
    if (number && is_no_port(l->service)) {
        err = yk_net_failf(EINVAL, "there is no port %s: they end with 65535", l->service);
        unref(l);
        return err;
    }
    l->hints.ai_flags |= number ? AI_NUMERICSERV : 0;
    if (number) /* an address as text needs nobody */
        look_up(l);
    if (!number || l->code == EAI_NONAME) {
        l->hints.ai_flags &= ~AI_NUMERICHOST;
        int cares = l->no_host || is_localhost(l->host) ? 0 : yk_cares_wanted();
        if (cares < 0)
            err = cares;
        else if (cares > 0)
            err = yk_cares_look_up(l->host, l->service, &l->hints, ret);
        else if (yk_net_loop())
            err = look_up_elsewhere(l);
        else
            look_up(l);
    }
    if (err == 0)
        err = l->code == 0 ? collect(l->found, tcp, ret) : fail(l);
    unref(l); /* NOLINT(clang-analyzer-unix.Malloc): counted */
    return err;
}

int yoke_resolve(const char *host, const char *service, yoke_address **ret)
{
    if (!ret)
        return yk_net_failf(EINVAL, "look-up of %s: there is no room for the addresses", host ? host : "nowhere");
    int err = yk_wait_point();
    if (err == 0)
        err = yk_resolve(host, service, true, false, ret);
    return yk_net_stopped(err, "look-up of", host);
}
