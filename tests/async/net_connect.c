/* Connecting: several addresses, who answers first; and names, which a function of the test's looks up. */
#include "async/offload.h"
#include "net_try.h"
#include <netdb.h>
#include <semaphore.h>

/* ---- A look-up of our own ---- */

static struct {
    char addresses[6][60]; /* "127.0.0.1 80" of "many.test"; "" ends them */
    sem_t go;              /* "slow.test" waits for it */
    _Atomic int in, most, calls;
    int code;              /* of "fails.test" */
} names;

static int add(struct addrinfo ***end, const char *address, const struct addrinfo *hints)
{
    char host[60];
    struct addrinfo h = *hints;
    snprintf(host, sizeof host, "%s", address);
    char *port = strchr(host, ' ');
    *port++ = 0;
    h.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    int err = getaddrinfo(host, port, &h, *end);
    if (err == 0)
        *end = &(**end)->ai_next;
    return err;
}

static int look_up(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    struct addrinfo **end = ret;
    if (!host || (hints->ai_flags & AI_NUMERICHOST))
        return getaddrinfo(host, service, hints, ret);
    names.calls++;
    *ret = NULL;
    if (strcmp(host, "fails.test") == 0) {
        errno = ENETDOWN;
        return names.code;
    }
    if (strcmp(host, "slow.test") == 0) {
        int now = ++names.in, most = names.most;
        while (now > most && !atomic_compare_exchange_weak(&names.most, &most, now))
            ;
        while (sem_wait(&names.go) < 0)
            ;
        names.in--;
        return add(&end, "127.0.0.1 0", hints);
    }
    if (strcmp(host, "many.test") != 0)
        return getaddrinfo(host, service, hints, ret);
    for (int i = 0; i < 6 && *names.addresses[i]; i++)
        CHECK_INT(add(&end, names.addresses[i], hints), 0);
    return 0;
}

static void use_own_names(void)
{
    memset(&names, 0, sizeof names);
    sem_init(&names.go, 0, 0);
    yk_sys.getaddrinfo = look_up;
}

/* ---- Names ---- */

static void check_resolved(const char *host, const char *service, const char *text)
{
    yoke_address *all;
    char got[160];
    CHECK(yoke_resolve(host, service, &all) >= 1);
    CHECK_STR(yoke_address_text(&all[0], got, sizeof got), text);
    free(all);
}

NET_ALSO(names_and_addresses)
{
    use_own_names();
    check_resolved("127.0.0.1", "80", "tcp:127.0.0.1:80");
    check_resolved("::1", "80", "tcp:[::1]:80");
    check_resolved("127.0.0.1", NULL, "tcp:127.0.0.1:0");
    CHECK_INT(names.calls, 0);
    yoke_address *all;
    int n = yoke_resolve("localhost", "80", &all);
    CHECK(n >= 1);
    for (int i = 0; i < n; i++)
        CHECK_INT(yoke_address_port(&all[i]), 80);
    free(all);
    CHECK_INT(names.calls, 1);
    snprintf(names.addresses[0], 60, "192.0.2.1 7");
    snprintf(names.addresses[1], 60, "2001:db8::1 8");
    n = yoke_resolve("many.test", "9", &all);
    CHECK_INT(n, 2);
    CHECK_INT(yoke_address_port(&all[1]), 8);
    free(all);
}

/* Also where /etc/hosts is missing. The first call is to see whether it is an address. */
NET_ALSO(localhost_needs_no_file)
{
    static const int codes[] = {EAI_NONAME, EAI_AGAIN};
    for (unsigned i = 0; i < 2; i++) {
        yk_sys_fail("getaddrinfo", 2, codes[i]);
        check_resolved("localhost", "80", "tcp:127.0.0.1:80");
        yk_sys_fail("getaddrinfo", 2, codes[i]);
        check_resolved("a.LocalHost", "81", "tcp:127.0.0.1:81");
        CHECK_INT(yk_sys_fail("getaddrinfo", 0, 0), 3);
    }
    yoke_address *all;
    yk_sys_fail("getaddrinfo", 2, EAI_NONAME);
    CHECK_INT(yoke_resolve("notlocalhost", "80", &all), -ENOENT);
    yk_sys_fail("getaddrinfo", 0, 0);
}

NET_ALSO(names_that_are_none)
{
    static const struct {
        int code, err;
        const char *words;
    } says[] = {{EAI_NONAME, -ENOENT, "no host"}, {EAI_AGAIN, -EREMOTEIO, "answers"}, {EAI_FAIL, -EREMOTEIO, "fails.test"},
                {EAI_MEMORY, -ENOMEM, "memory"}, {EAI_SYSTEM, -ENETDOWN, "down"}, {EAI_SERVICE, -EINVAL, "service"}};
    yoke_address *all;
    yoke_conn *c;
    use_own_names();
    for (unsigned i = 0; i < YK_COUNT_OF(says); i++) {
        names.code = says[i].code;
        CHECK_INT(yoke_resolve("fails.test", "80", &all), says[i].err);
        CHECK_HAS(yoke_net_error(), says[i].words);
        CHECK_INT(yoke_connect("tcp:fails.test:80", &c), says[i].err);
    }
    char longer[400];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    CHECK_INT(yoke_resolve(longer, "80", &all), -EINVAL);
    CHECK_INT(yoke_resolve("localhost", "no-such-service", &all), -EINVAL);
    CHECK_HAS(yoke_net_error(), "no-such-service");
}

NET_ALSO(look_ups_without_memory)
{
    static const char *const calls[] = {"calloc", "malloc"};
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1;; n++) {
            yoke_address *all = NULL;
            yk_sys_fail(calls[k], n, ENOMEM);
            int err = yoke_resolve("localhost", "80", &all);
            int done = yk_sys_fail(calls[k], 0, 0);
            CHECK(err >= 1 || err == -ENOMEM);
            free(all);
            if (done < n)
                break;
        }
}

static int64_t resolve_slowly(void *arg)
{
    yoke_address *all = NULL;
    int n = yoke_resolve("slow.test", "80", &all);
    free(all);
    return n;
}

static void let_go(int n)
{
    for (int i = 0; i < n; i++)
        sem_post(&names.go);
    while (names.in > 0)
        yoke_sleep(YOKE_MS);
}

NET(look_ups_told_to_stop)
{
    use_own_names();
    CHECK_INT(stopped(resolve_slowly, NULL), -ECANCELED);
    CHECK_INT(timed_out(resolve_slowly, NULL), -ECANCELED);
    CHECK_INT(stopped_before(resolve_slowly, NULL), -ECANCELED);
    let_go(3); /* those that nobody waits for go on, and end */
    CHECK_INT(resolve_slowly(NULL), 1);
    yk_offload_end();
}

static int resolve_in_crowd(void *arg)
{
    int64_t n = resolve_slowly(arg);
    if (n == 1)
        ++*(int *)arg;
    return n < 0 ? (int)n : 0;
}

/* No more than half of the threads, so that there are some for others; and those that are told to stop in the queue are gone. */
NET(look_ups_leave_threads_for_others)
{
    enum { CROWD = 60 };
    int served = 0, early = 0;
    int most = (int)(yk_offload_most() + 1) / 2;
    yoke_group g, told;
    use_own_names();
    yoke_group_begin(&told);
    yoke_group_begin(&g);
    for (int i = 0; i < CROWD; i++)
        yoke_go(&g, resolve_in_crowd, &served);
    while (names.in < most)
        yoke_sleep(YOKE_MS);
    yoke_sleep(5 * YOKE_MS);
    CHECK_INT(names.in, most);
    let_go(CROWD);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(served, CROWD);
    CHECK_INT(names.most, most);
    for (int i = 0; i < CROWD; i++)
        yoke_go(&told, resolve_in_crowd, &early);
    while (names.in < most)
        yoke_sleep(YOKE_MS);
    yoke_group_cancel(&told);
    CHECK_INT(yoke_group_end(&told), 0);
    CHECK_INT(early, 0);
    let_go(most);
    sem_post(&names.go);
    CHECK_INT(resolve_slowly(NULL), 1); /* all places are free again */
    yk_offload_end();
}

/* The loop has ended before the look-up: it finds nobody, and leaves nothing. */
static int abandon(void *arg)
{
    return stopped(resolve_slowly, NULL) == -ECANCELED ? 0 : -1;
}

/* ---- Told to stop, in words ---- */

static int64_t connect_slowly(void *arg)
{
    yoke_conn *c;
    return yoke_connect("tcp:slow.test:80", &c);
}

static int64_t listen_slowly(void *arg)
{
    yoke_listener *l;
    return yoke_listen("tcp:slow.test:80", &l);
}

static int64_t send_slowly(void *arg)
{
    yoke_udp *u;
    return yoke_udp_open("udp:slow.test:80", &u);
}

static int64_t connect_nowhere(void *arg)
{
    yoke_conn *c;
    return yoke_connect(NULL, &c);
}

static int64_t send_slowly_from(void *u)
{
    return yoke_udp_connect(u, "udp:slow.test:80");
}

NET(what_is_told_to_stop_has_its_own_words)
{
    yoke_conn *c;
    yoke_udp *u;
    use_own_names();
    CHECK_INT(yoke_udp_open(NULL, &u), 0);
    CHECK_INT(yoke_connect("tcp:127.0.0.1:99999", &c), -EINVAL);
    CHECK_INT(stopped_before(connect_slowly, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "connect to tcp:slow.test:80: cancelled");
    CHECK_INT(stopped_before(connect_nowhere, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "connect to nowhere: cancelled");
    CHECK_INT(stopped_before(resolve_slowly, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "look-up of slow.test: cancelled");
    CHECK_INT(stopped(connect_slowly, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "connect to tcp:slow.test:80: cancelled");
    CHECK_INT(stopped(resolve_slowly, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "look-up of slow.test: cancelled");
    CHECK_INT(stopped(listen_slowly, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "listen at tcp:slow.test:80: cancelled");
    CHECK_INT(stopped(send_slowly, NULL), -ECANCELED);
    CHECK_STR(yoke_net_error(), "datagrams at udp:slow.test:80: cancelled");
    CHECK_INT(stopped(send_slowly_from, u), -ECANCELED);
    CHECK_STR(yoke_net_error(), "datagrams to udp:slow.test:80: cancelled");
    yoke_udp_close(u);
    let_go(5);
}

TEST(a_look_up_outlives_its_loop)
{
    use_own_names();
    CHECK_INT(yoke_async_run(abandon, NULL), 0);
    sem_post(&names.go);
    yk_offload_end();
    CHECK_INT(names.in, 0);
}

/* ---- Connecting ---- */

NET_ALSO(nobody_there)
{
    yoke_listener *l;
    yoke_conn *c;
    char where[60];
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    snprintf(where, sizeof where, "%s", yoke_listener_address(l));
    yoke_listener_close(l);
    CHECK_INT(yoke_connect(where, &c), -ECONNREFUSED);
    CHECK_HAS(yoke_net_error(), where);
    CHECK_HAS(yoke_net_error(), "refused");
    CHECK_INT(yoke_connect("unix:/no/such/socket", &c), -ENOENT);
    CHECK_INT(yoke_connect("unix:@yoke-nobody", &c), -ECONNREFUSED);
    CHECK_INT(yoke_connect("udp:127.0.0.1:9", &c), -EINVAL);
}

static int no_delay(yoke_conn *c)
{
    int on = 0;
    getsockopt(yoke_conn_fd(c), IPPROTO_TCP, 1, &on, &(socklen_t){sizeof on});
    return on;
}

NET_ALSO(options)
{
    yoke_listener *l;
    ends e;
    const yoke_connect_opts from = {.local = "tcp:127.0.0.2:0", .delay = true}, other = {.local = "tcp:[::1]:0"};
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_connect_with(yoke_listener_address(l), &from, &e.a), 0);
    CHECK_INT(yoke_accept(l, &e.b), 0);
    CHECK_HAS(yoke_conn_peer(e.b), "tcp:127.0.0.2:");
    CHECK_INT(no_delay(e.a), 0);
    CHECK_INT(no_delay(e.b), 1);
    close_ends(&e);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &e.a), 0);
    CHECK_INT(yoke_accept(l, &e.b), 0);
    CHECK_INT(no_delay(e.a), 1);
    close_ends(&e);
    CHECK_INT(yoke_connect_with(yoke_listener_address(l), &other, &e.a), -EAFNOSUPPORT);
    yoke_listener_close(l);
}

NET_ALSO(connecting_fails)
{
    static const char *const calls[] = {"socket", "connect", "setsockopt", "calloc", "malloc"};
    yoke_listener *l;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1;; n++) {
            ends e = {0};
            int before = descriptors();
            yk_sys_fail(calls[k], n, ENOMEM);
            int err = yoke_connect(yoke_listener_address(l), &e.a);
            int done = yk_sys_fail(calls[k], 0, 0);
            CHECK(err == 0 || err == -ENOMEM);
            if (err == 0) {
                CHECK_INT(yoke_accept(l, &e.b), 0);
                close_ends(&e);
            }
            check_descriptors(before);
            if (done < n)
                break;
        }
    yoke_listener_close(l);
}

/* ---- Several addresses ---- */

/* A place whose queue is full: it does not answer. */
typedef struct hole {
    int fd, full[4];
    char address[60];
} hole;

static void open_hole(hole *h)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(h->fd, (struct sockaddr *)&a, len), 0);
    CHECK_INT(listen(h->fd, 0), 0);
    CHECK_INT(getsockname(h->fd, (struct sockaddr *)&a, &len), 0);
    for (int i = 0; i < 4; i++) {
        h->full[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(h->full[i], (struct sockaddr *)&a, len);
    }
    snprintf(h->address, sizeof h->address, "127.0.0.1 %d", ntohs(a.sin_port));
}

static void close_hole(hole *h)
{
    for (int i = 0; i < 4; i++)
        close(h->full[i]);
    close(h->fd);
}

static void name(int i, const char *address)
{
    snprintf(names.addresses[i], sizeof names.addresses[i], "%s", address);
}

static void name_listener(int i, const yoke_listener *l)
{
    snprintf(names.addresses[i], sizeof names.addresses[i], "127.0.0.1 %d", yoke_listener_port(l));
}

static const yoke_connect_opts quick = {.stagger = YOKE_MS};

static int64_t connect_to_many(void *arg)
{
    yoke_conn *c;
    int err = yoke_connect_with("tcp:many.test:80", &quick, &c);
    if (err == 0)
        yoke_conn_close(c);
    return err;
}

static void name_one_that_refuses(int i)
{
    yoke_listener *l;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    name_listener(i, l);
    yoke_listener_close(l);
}

NET(who_answers_is_it)
{
    yoke_listener *l;
    hole h;
    use_own_names();
    open_hole(&h);
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    name(0, h.address);
    name_one_that_refuses(1);
    name(2, h.address);
    name_listener(3, l);
    name(4, h.address);
    for (int i = 0; i < 10; i++)
        CHECK_INT(connect_to_many(NULL), 0);
    close_hole(&h);
    yoke_listener_close(l);
}

NET(nobody_answers)
{
    hole h;
    use_own_names();
    open_hole(&h);
    for (int i = 0; i < 3; i++)
        name(i, h.address);
    CHECK_INT(stopped(connect_to_many, NULL), -ECANCELED);
    CHECK_INT(timed_out(connect_to_many, NULL), -ECANCELED);
    CHECK_INT(stopped_before(connect_to_many, NULL), -ECANCELED);
    close_hole(&h);
}

NET_ALSO(all_refuse)
{
    use_own_names();
    for (int i = 0; i < 3; i++)
        name_one_that_refuses(i);
    CHECK_INT(connect_to_many(NULL), -ECONNREFUSED);
    CHECK_HAS(yoke_net_error(), "many.test");
}

NET_ALSO(the_first_of_many)
{
    yoke_listener *l, *other;
    use_own_names();
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &other), 0);
    name_one_that_refuses(0);
    name_listener(1, l);
    name_listener(2, other);
    yoke_conn *c;
    CHECK_INT(yoke_connect("tcp:many.test:80", &c), 0);
    CHECK_STR(yoke_conn_peer(c), yoke_listener_address(l));
    CHECK_INT(yoke_conn_close(c), 0);
    yoke_listener_close(l);
    yoke_listener_close(other);
}

/* Any call of it fails: it is an error or another address, and nothing is left. */
NET(a_race_in_which_things_fail)
{
    static const char *const calls[] = {"socket", "connect", "setsockopt", "mmap", "malloc", "calloc"};
    use_own_names();
    for (unsigned k = 0; k < YK_COUNT_OF(calls); k++)
        for (int n = 1; n < 20; n++) {
            yoke_listener *l;
            CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
            name_one_that_refuses(0);
            name_listener(1, l);
            name_listener(2, l);
            int before = descriptors();
            yk_sys_fail(calls[k], n, ENOMEM);
            yk_sys.getaddrinfo = look_up;
            int64_t err = connect_to_many(NULL);
            int done = yk_sys_fail(calls[k], 0, 0);
            yk_sys.getaddrinfo = look_up;
            CHECK(err == 0 || err == -ENOMEM || err == -ECONNREFUSED);
            check_descriptors(before);
            yoke_listener_close(l);
            if (done < n)
                break;
        }
}

/* ---- Addresses as text ---- */

TEST(addresses_as_text)
{
    static const char *const same[] = {"tcp:127.0.0.1:80", "udp:127.0.0.1:65535", "tcp:[::1]:0", "udp:[2001:db8::1]:7",
                                       "unix:/tmp/x", "unix:@name", "tcp:[fe80::1%lo]:80"};
    static const char *const wrong[] = {"tcp:localhost:80", "tcp:127.0.0.1:http", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:-1",
                                        "tcp:1.2.3:80", "tcp:[::g]:80", "tcp::80", "tcp:[fe80::1%nolink]:80", "tcp:127.0.0.1:8x"};
    yoke_address a, b;
    char text[160];
    for (unsigned i = 0; i < YK_COUNT_OF(same); i++) {
        CHECK_INT(yoke_address_parse(same[i], &a), 0);
        CHECK_STR(yoke_address_text(&a, text, sizeof text), same[i]);
        CHECK(yoke_address_equal(&a, &a));
        CHECK_INT(yoke_address_parse(same[(i + 1) % YK_COUNT_OF(same)], &b), 0);
        CHECK(!yoke_address_equal(&a, &b));
    }
    for (unsigned i = 0; i < YK_COUNT_OF(wrong); i++)
        if (yoke_address_parse(wrong[i], &a) != -EINVAL)
            test_fail(__FILE__, __LINE__, "\"%s\" is an address", wrong[i]);
    CHECK_INT(yoke_address_parse("tcp:1.2.3.4:80", &a), 0);
    CHECK_STR(yoke_address_text(&a, text, 8), "tcp:1.2");
    CHECK_INT(yoke_address_port(&a), 80);
    CHECK_INT(yoke_address_parse("unix:/x", &a), 0);
    CHECK_INT(yoke_address_port(&a), 0);
    CHECK_STR(yoke_address_text(&(yoke_address){0}, text, sizeof text), "");
}
