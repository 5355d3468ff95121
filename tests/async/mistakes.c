/* mistakes.c - what users get wrong: a code or one line, never a crash that says nothing. */
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

static int nothing(void *arg)
{
    return 0;
}

static int naps(void *arg)
{
    return yoke_sleep(YOKE_S);
}

static int null_here(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    CHECK_INT(yoke_go(&g, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_go(NULL, nothing, NULL), -EINVAL);
    CHECK_INT(yoke_start(&g, NULL, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_start(NULL, nothing, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_group_end(&g), -EINVAL);
    CHECK_INT(yoke_gather(NULL, 2), -EINVAL);
    CHECK_INT(yoke_wait_any(NULL, 2, &(size_t){0}), -EINVAL);
    CHECK_INT(yoke_to_thread(NULL, NULL), -EINVAL);
    CHECK_INT(yoke_to_thread_abandon(NULL, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_async_call(NULL, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_async_stats(NULL), -EINVAL);
    CHECK_INT(yoke_scope_cancel(NULL), -EINVAL);
    CHECK_INT(yoke_scope_set_deadline(NULL, 0), -EINVAL);
    CHECK_INT(yoke_scope_set_shield(NULL, true), -EINVAL);
    CHECK_INT(yoke_group_cancel(NULL), -EINVAL);
    CHECK_INT(yoke_group_fail(NULL, -EIO), -EINVAL);
    CHECK_INT(yoke_signal_next(NULL), -EINVAL);
    CHECK_INT(yoke_signal_next_try(NULL), -EINVAL);
    CHECK_INT(yoke_signal_next_timed(NULL, 0), -EINVAL);
    CHECK(!yoke_signal_info(NULL));
    CHECK_INT(yoke_resolve("127.0.0.1", "80", NULL), -EINVAL);
    CHECK_STR(yoke_net_error(), "look-up of 127.0.0.1: there is no room for the addresses");
    return 0;
}

YOKE_TASK(int, seven)
{
    return 7;
}

static int adds_one(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int null_is_the_default(void *arg)
{
    int n = 0, err;
    YOKE_GROUP(g, &err)
        CHECK_INT(yoke_go_with(&g, NULL, adds_one, &n), 0);
    CHECK_INT(n, 1);
    return err;
}

TEST(null_is_no_function_to_test)
{
    CHECK_INT(yoke_test_run(NULL, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_test_cancels(NULL, NULL, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_test_faults(NULL, NULL, NULL, NULL, NULL), -EINVAL);
}

TEST(null_as_an_index_is_refused)
{
    yoke_executor *ex = yoke_open("inline");
    yoke_future *f = yoke_submit(ex, seven);
    CHECK_INT(yoke_wait_any(&f, 1, NULL), -EINVAL);
    CHECK_INT(yoke_await(f, int), 7);
    yoke_close(ex);
}

TEST(null_is_refused_in_coroutines_and_outside)
{
    CHECK_INT(yoke_async_run(NULL, NULL), -EINVAL);
    CHECK_INT(yoke_async_run(null_here, NULL), 0);
    CHECK_INT(yoke_async_run(null_is_the_default, NULL), 0);
    CHECK_INT(yoke_to_thread(NULL, NULL), -EINVAL);
    CHECK_INT(yoke_to_thread_abandon(NULL, NULL, NULL), -EINVAL);
}

static int *codes_of(yoke_group *g, int codes[2])
{
    codes[0] = codes[1] = 1;
    yoke_group_collect(g, codes, 2);
    return codes;
}

/* Nothing runs, and the end does not say that it has. */
static int starts_in_a_thread(void *arg)
{
    yoke_group g;
    int codes[2], err = 0;
    yoke_group_begin(&g);
    codes_of(&g, codes);
    CHECK_INT(yoke_go(&g, nothing, NULL), -EINVAL);
    CHECK_INT(yoke_go_with(&g, &(yoke_go_opts){.eager = true}, nothing, NULL), -EINVAL);
    CHECK_INT(yoke_group_failures(&g), 2);
    CHECK_INT(codes[0], -EINVAL);
    CHECK_INT(codes[1], -EINVAL);
    CHECK_INT(yoke_group_end(&g), -EINVAL);
    YOKE_GROUP(h, &err)
        yoke_go(&h, nothing, NULL);
    CHECK_INT(err, -EINVAL);
    YOKE_GROUP(h, &err) {
    }
    CHECK_INT(err, 0);
    return err;
}

/* One that has ended is left alone; one that lasts is cancelled. */
static int starts_nothing(void *arg)
{
    yoke_group g;
    int codes[2];
    yoke_group_begin(&g);
    codes_of(&g, codes);
    CHECK_INT(yoke_group_end(&g), 0);
    CHECK_INT(yoke_go(&g, nothing, NULL), -EINVAL);
    CHECK_INT(yoke_group_failures(&g), 0);
    CHECK_INT(codes[0], 1);
    CHECK_INT(yoke_group_end(&g), 0);
    yoke_group_begin(&g);
    yoke_go(&g, naps, NULL);
    CHECK_INT(yoke_go(&g, NULL, NULL), -EINVAL);
    CHECK(yoke_scope_cancelled(&g.scope));
    CHECK_INT(yoke_group_end(&g), -EINVAL);
    return yoke_to_thread(starts_in_a_thread, NULL);
}

TEST(groups_that_could_not_start_say_so_at_their_end)
{
    starts_in_a_thread(NULL);
    CHECK_INT(yoke_async_run(starts_nothing, NULL), 0);
}

static int served(yoke_conn *c, void *arg)
{
    return 0;
}

static int null_connections(void *arg)
{
    char bytes[8];
    const char *text;
    size_t len;
    CHECK_INT(yoke_conn_read(NULL, bytes, 8), -EINVAL);
    CHECK_INT(yoke_conn_read_exactly(NULL, bytes, 8), -EINVAL);
    CHECK_INT(yoke_conn_read_line(NULL, 8, &text, &len), -EINVAL);
    CHECK_INT(yoke_conn_read_until(NULL, "x", 1, 8, &text, &len), -EINVAL);
    CHECK_INT(yoke_conn_peek(NULL, 1, &text), -EINVAL);
    yoke_conn_consume(NULL, 1);
    CHECK_INT(yoke_conn_write(NULL, bytes, 8), -EINVAL);
    CHECK_INT(yoke_conn_writev(NULL, NULL, 0), -EINVAL);
    CHECK_INT(yoke_conn_flush(NULL), -EINVAL);
    CHECK_INT(yoke_conn_shutdown(NULL), -EINVAL);
    CHECK_INT(yoke_conn_handshake(NULL), -EINVAL);
    CHECK_INT(yoke_conn_start_tls(NULL, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_conn_tls(NULL, NULL), -ENOTCONN);
    CHECK_INT(yoke_conn_fd(NULL), -EINVAL);
    CHECK_STR(yoke_conn_error(NULL), "");
    CHECK_STR(yoke_conn_peer(NULL), "");
    CHECK_STR(yoke_conn_local(NULL), "");
    CHECK_INT(yoke_connect("tcp:127.0.0.1:1", NULL), -EINVAL);
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", NULL), -EINVAL);
    CHECK_INT(yoke_accept(NULL, &(yoke_conn *){NULL}), -EINVAL);
    CHECK_INT(yoke_listener_port(NULL), -EINVAL);
    CHECK_INT(yoke_listener_fd(NULL), -EINVAL);
    CHECK_STR(yoke_listener_address(NULL), "");
    CHECK_INT(yoke_serve(NULL, served, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_udp_open(NULL, NULL), -EINVAL);
    CHECK_INT(yoke_udp_send(NULL, bytes, 8, NULL), -EINVAL);
    CHECK_INT(yoke_udp_receive(NULL, bytes, 8, NULL), -EINVAL);
    return 0;
}

TEST(null_connections_are_refused)
{
    CHECK_INT(yoke_async_run(null_connections, NULL), 0);
    null_connections(NULL);
}

TEST(null_children_are_refused)
{
    int status;
    yoke_child_output o;
    CHECK_INT(yoke_child_run(NULL, NULL, 0, &o), -EINVAL);
    CHECK_INT(yoke_child_pid(NULL), -EINVAL);
    CHECK_INT(yoke_child_stdin(NULL), -EBADF);
    CHECK_INT(yoke_child_close_stdin(NULL), -EBADF);
    CHECK_INT(yoke_child_wait(NULL, &status), -EINVAL);
    CHECK_INT(yoke_child_wait_try(NULL, &status), -EINVAL);
    CHECK_INT(yoke_child_kill(NULL, SIGTERM), -EINVAL);
    CHECK_INT(yoke_child_end(NULL, &status), -EINVAL);
}

TEST(a_status_need_not_be_wanted)
{
    yoke_child *c;
    const yoke_child_opts opts = {.argv = (const char *[]){"false", NULL}};
    int status = 0;
    CHECK_INT(yoke_child_spawn(&opts, &c), 0);
    CHECK_INT(yoke_child_wait(c, NULL), 0);
    CHECK_INT(yoke_child_end(c, NULL), 0);
    CHECK_INT(yoke_child_wait_try(c, NULL), 0);
    CHECK_INT(yoke_child_wait(c, &status), 0);
    CHECK_INT(WEXITSTATUS(status), 1);
    yoke_child_close(c);
}

/* The C library would take the last 16 bits. */
static int no_ports(void *arg)
{
    yoke_conn *c;
    yoke_listener *l;
    CHECK_INT(yoke_connect("tcp:127.0.0.1:99999", &c), -EINVAL);
    CHECK_STR(yoke_net_error(), "there is no port 99999: they end with 65535");
    CHECK_INT(yoke_listen("tcp:127.0.0.1:65536", &l), -EINVAL);
    CHECK_INT(yoke_listen("tcp:127.0.0.1:99999999999999999999999", &l), -EINVAL);
    CHECK_INT(yoke_connect("udp:127.0.0.1:1", &c), -EINVAL);
    CHECK_STR(yoke_net_error(), "\"udp:127.0.0.1:1\" is no place for connections: tcp: and unix: are");
    CHECK_INT(yoke_listen("udp:127.0.0.1:0", &l), -EINVAL);
    CHECK_STR(yoke_net_error(), "\"udp:127.0.0.1:0\" is no place for connections: tcp: and unix: are");
    return 0;
}

TEST(places_that_do_not_exist_are_refused)
{
    CHECK_INT(yoke_async_run(no_ports, NULL), 0);
}

static void *goes_from_elsewhere(void *g)
{
    CHECK_INT(yoke_go(g, nothing, NULL), -EXDEV);
    CHECK_INT(yoke_start(g, nothing, NULL, NULL), -EXDEV);
    return NULL;
}

static void *cancels_from_elsewhere(void *arg)
{
    yoke_group *g = arg;
    CHECK_INT(yoke_group_cancel(g), -EXDEV);
    CHECK_INT(yoke_group_fail(g, -EIO), -EXDEV);
    CHECK_INT(yoke_scope_cancel(&g->scope), -EXDEV);
    CHECK_INT(yoke_scope_set_deadline(&g->scope, 0), -EXDEV);
    CHECK_INT(yoke_scope_set_shield(&g->scope, true), -EXDEV);
    return NULL;
}

static void cancel_here(void *group)
{
    CHECK_INT(yoke_group_cancel(group), 0);
}

typedef struct from_afar {
    yoke_group g;
    struct yk_loop *loop;
} from_afar;

static void *asks_the_loop(void *arg)
{
    from_afar *f = arg;
    cancels_from_elsewhere(&f->g);
    CHECK_INT(yoke_async_call(f->loop, cancel_here, &f->g), 0);
    return NULL;
}

static int naps_for_ever(void *arg)
{
    return yoke_sleep(YOKE_FOREVER);
}

/* The group goes on until its own loop is asked. */
static int is_cancelled_from_afar(void *arg)
{
    from_afar f = {.loop = yoke_async_loop()};
    pthread_t t;
    yoke_group_begin(&f.g);
    yoke_go(&f.g, naps_for_ever, NULL);
    CHECK_INT(pthread_create(&t, NULL, asks_the_loop, &f), 0);
    CHECK_INT(yoke_group_end(&f.g), 0);
    CHECK(yoke_scope_cancelled(&f.g.scope));
    CHECK_INT(yoke_group_failures(&f.g), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    return 0;
}

TEST(other_threads_cancel_through_the_loop)
{
    CHECK_INT(yoke_async_run(is_cancelled_from_afar, NULL), 0);
}

/* From another thread; what that thread's own calls do to it is above. */
static void *does_nothing_with(void *group)
{
    yoke_group *g = group;
    CHECK_INT(yoke_go(g, nothing, NULL), -EINVAL);
    CHECK_INT(yoke_start(g, nothing, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_group_cancel(g), 0);
    CHECK_INT(yoke_group_fail(g, EIO), -EIO);
    CHECK_INT(yoke_group_fail(g, -EIO), -EIO);
    CHECK_INT(yoke_scope_set_deadline(&g->scope, 0), 0);
    CHECK_INT(yoke_scope_set_shield(&g->scope, true), 0);
    CHECK(!yoke_scope_cancelled(&g->scope));
    CHECK_INT(yoke_group_failures(g), 0);
    return NULL;
}

TEST(a_threads_group_is_let_alone_by_others)
{
    yoke_group g;
    pthread_t t;
    yoke_group_begin(&g);
    CHECK_INT(pthread_create(&t, NULL, does_nothing_with, &g), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK_INT(yoke_group_cancel(&g), 0);
    CHECK_INT(yoke_group_end(&g), 0);
    yoke_group_begin(&g);
    CHECK_INT(yoke_group_fail(&g, EIO), -EIO);
    CHECK_INT(yoke_go(&g, nothing, NULL), -EINVAL);
    CHECK_INT(yoke_group_failures(&g), 2);
    CHECK_INT(yoke_group_end(&g), -EIO);
}

static int with_a_thread(void *arg)
{
    yoke_group g;
    pthread_t t;
    yoke_group_begin(&g);
    CHECK_INT(pthread_create(&t, NULL, goes_from_elsewhere, &g), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    return yoke_group_end(&g);
}

TEST(groups_are_of_their_loop)
{
    CHECK_INT(yoke_async_run(with_a_thread, NULL), 0);
}

static int forgets_a_group(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, naps, NULL);
    return 0;
}

static int forgets_a_scope(void *arg)
{
    yoke_scope s;
    yoke_scope_begin(&s);
    return 0;
}

static int starts(void *arg)
{
    YOKE_GROUP(g, NULL)
        yoke_go(&g, forgets_a_scope, NULL);
    return 0;
}

static int ends_its_group(void *group)
{
    return yoke_group_end(group);
}

static int ends_its_groups_scope(void *group)
{
    return yoke_scope_end(&((yoke_group *)group)->scope);
}

static int is_ended_by_a_child(void *arg)
{
    int err;
    YOKE_GROUP(g, &err)
        yoke_go(&g, ends_its_group, &g);
    return err;
}

static int naps_while_a_child_ends_it(void *arg)
{
    YOKE_GROUP(g, NULL) {
        yoke_go(&g, ends_its_groups_scope, &g);
        naps(NULL);
    }
    return 0;
}

static int ends_anothers_scope(void *scope)
{
    return yoke_scope_end(scope);
}

static int has_a_scope_that_a_child_ends(void *arg)
{
    yoke_scope s;
    YOKE_GROUP(g, NULL) {
        yoke_scope_begin(&s);
        yoke_go(&g, ends_anothers_scope, &s);
        naps(NULL);
        yoke_scope_end(&s);
    }
    return 0;
}

static void abort_when_run(int (*fn)(void *arg))
{
    pid_t pid = fork();
    if (pid == 0) {
        close(2); /* what it says */
        yoke_async_run(fn, NULL);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(what_is_never_ended_is_told)
{
    abort_when_run(forgets_a_group);
    abort_when_run(forgets_a_scope);
    abort_when_run(starts);
}

TEST(what_another_coroutine_ends_is_told)
{
    abort_when_run(is_ended_by_a_child);
    abort_when_run(naps_while_a_child_ends_it);
    abort_when_run(has_a_scope_that_a_child_ends);
}
