/* testing.c - the clock of tests, their deadlocks, and their order; both backends. */
#include "child.h"
#include "testing_try.h"
#include <unistd.h>
#include <yoke/child.h>
#include <yoke/executor.h>
#include <yoke/net.h>
#include <yoke/task.h>
#include <yoke/thread.h>

YOKE_TASK(int, works, (int, us))
{
    usleep((unsigned)us);
    return us;
}

/* ---- The clock ---- */

static int sleep_an_hour(void *arg)
{
    int64_t start = yoke_now();
    CHECK_INT(start, *(int64_t *)arg);
    CHECK_INT(yoke_sleep(3600 * YOKE_S), 0);
    CHECK_INT(yoke_now() - start, 3600 * YOKE_S);
    yoke_scope s;
    yoke_scope_begin_timed(&s, 5);
    CHECK_INT(yoke_sleep(YOKE_FOREVER), -ECANCELED);
    CHECK_INT(yoke_scope_end(&s), -ETIMEDOUT);
    CHECK_INT(yoke_now() - start, 3600 * YOKE_S + 5);
    for (int i = 0; i < 1000; i++)
        yoke_yield();
    CHECK_INT(yoke_now() - start, 3600 * YOKE_S + 5);
    return 3;
}

BOTH(an_hour_takes_no_time)
{
    int64_t start = 1000 * YOKE_S, real = yoke_now();
    CHECK_INT(yoke_test_run(&opts, sleep_an_hour, &start), 3);
    opts.start = start = 1;
    CHECK_INT(yoke_test_run(&opts, sleep_an_hour, &start), 3);
    CHECK(yoke_now() - real < 3600 * YOKE_S); /* and that is the real one again */
    CHECK(yoke_now() >= real);
    CHECK_STR(said, "");
}

TEST(all_is_by_default)
{
    int64_t start = 1000 * YOKE_S;
    CHECK_INT(yoke_test_run(NULL, sleep_an_hour, &start), 3);
}

TEST(an_unknown_backend_is_refused)
{
    yoke_test_opts opts = {.backend = "kqueue", .text = said, .text_size = sizeof said};
    CHECK_INT(yoke_test_run(&opts, give_seven, NULL), -EINVAL);
    CHECK_HAS(said, "kqueue");
}

static int run_another(void *arg)
{
    return yoke_test_run(NULL, give_seven, NULL);
}

TEST(not_in_a_coroutine)
{
    CHECK_INT(yoke_test_run(NULL, run_another, NULL), -EBUSY);
}

/* Each writes its letter at its times. */
typedef struct writer {
    char letter;
    int64_t period;
    int n;
} writer;

static char page[64];
static size_t written;

static int write_letters(void *arg)
{
    const writer *w = arg;
    for (int i = 0; i < w->n; i++) {
        yoke_sleep(w->period);
        page[written++] = w->letter;
    }
    return 0;
}

static int write_all(void *arg)
{
    writer a = {'a', 2 * YOKE_S, 3}, b = {'b', 3 * YOKE_S, 2}, c = {'c', 7 * YOKE_S, 1};
    memset(page, 0, sizeof page);
    written = 0;
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, write_letters, &a);
    yoke_go(&g, write_letters, &b);
    yoke_go(&g, write_letters, &c);
    return yoke_group_end(&g);
}

BOTH(deadlines_pass_in_order)
{
    CHECK_INT(yoke_test_run(&opts, write_all, NULL), 0);
    CHECK(strcmp(page, "abaabc") == 0 || strcmp(page, "ababac") == 0); /* the third a and the second b are at 6 s both */
}

/* What blocks the thread goes by the real clock, and comes back. */
static int block(void *arg)
{
    _Atomic uint32_t word = 0;
    int64_t real = yk_real_now(), start = yoke_now();
    CHECK_INT(yk_futex_wait(&word, 0, yoke_now() + 20 * YOKE_MS, false), -ETIMEDOUT);
    CHECK(yk_real_now() - real >= 20 * YOKE_MS);
    CHECK_INT(yoke_now(), start);
    CHECK_INT(yk_real_deadline(YOKE_FOREVER), YOKE_FOREVER);
    CHECK_INT(yk_real_deadline(YOKE_FOREVER - 1), YOKE_FOREVER - (yk_real_now() < start));
    return 0;
}

BOTH(a_blocked_thread_goes_by_the_real_clock)
{
    CHECK_INT(yoke_test_run(&opts, block, NULL), 0);
}

/* ---- Connections ---- */

static int leaves_a_connection(void *arg)
{
    static void *volatile left[3]; /* open, and not lost: for LeakSanitizer */
    yoke_listener *l;
    yoke_conn *c, *d;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &c), 0);
    CHECK_INT(yoke_accept(l, &d), 0);
    left[0] = l;
    left[1] = c;
    left[2] = d;
    CHECK(left[0] && left[1] && left[2]);
    char byte;
    int late;
    YOKE_TIMEOUT(YOKE_S, &late)
        CHECK_INT(yoke_conn_read(d, &byte, 1), -ECANCELED);
    return late == -ETIMEDOUT ? 0 : -EIO;
}

/* The kernel still has its operations, and the clock of the test stands still. */
BOTH(a_connection_that_was_left_open_holds_up_nobody)
{
    opts.patience = YOKE_MS;
    CHECK_INT(yoke_test_run(&opts, leaves_a_connection, NULL), 0);
}

/* What was on the stack before must not matter. */
static __attribute__((noinline)) void make_a_mess(void)
{
    volatile char mess[8192];
    for (size_t i = 0; i < sizeof mess; i++)
        mess[i] = (char)0xff;
}

static int reads_in_a_mess(void *arg)
{
    yoke_listener *l;
    yoke_conn *c, *d;
    CHECK_INT(yoke_listen("tcp:127.0.0.1:0", &l), 0);
    CHECK_INT(yoke_connect(yoke_listener_address(l), &c), 0);
    CHECK_INT(yoke_accept(l, &d), 0);
    char byte;
    int late;
    make_a_mess();
    YOKE_TIMEOUT(3600 * YOKE_S, &late)
        CHECK_INT(yoke_conn_read(d, &byte, 1), -ECANCELED);
    yoke_conn_close(c);
    yoke_conn_close(d);
    yoke_listener_close(l);
    return late == -ETIMEDOUT ? 0 : -EIO;
}

/* Only who is helped from outside is waited for in real time. */
BOTH(a_read_from_a_connection_waits_by_the_clock_of_the_test)
{
    opts.patience = 3600 * YOKE_S;
    CHECK_INT(yoke_test_run(&opts, reads_in_a_mess, NULL), 0);
}

/* ---- Others at work ---- */

static void *call_late(void *arg)
{
    usleep(50 * 1000);
    yoke_event_set(arg);
    return NULL;
}

static int wait_for_thread(void *arg)
{
    yoke_event e = {0};
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, call_late, &e), 0);
    CHECK(yoke_event_wait(&e) > 0); /* without a deadline: for real */
    CHECK_INT(pthread_join(thread, NULL), 0);
    return 0;
}

BOTH(a_thread_that_may_come_is_waited_for)
{
    CHECK_INT(yoke_test_run(&opts, wait_for_thread, NULL), 0);
    CHECK_STR(said, "");
}

static int wait_for_job(void *arg)
{
    int64_t start = yoke_now();
    yoke_executor *ex = arg;
    yoke_future *f = yoke_submit(ex, works, 50 * 1000);
    CHECK_INT(yoke_wait_timed(f, 3600 * YOKE_S), 0);
    CHECK_INT(yoke_now(), start);
    yoke_release(f);
    return 0;
}

BOTH(a_job_is_waited_for)
{
    yoke_executor *ex;
    ex = yoke_open("threads:2");
    CHECK_INT(yoke_test_run(&opts, wait_for_job, ex), 0);
    yoke_close(ex);
}

static int nap(void *arg)
{
    usleep(50 * 1000);
    return 0;
}

static int join_thread(void *arg)
{
    int64_t start = yoke_now();
    yoke_thread *t = yoke_thread_call("napper", nap, NULL);
    CHECK_INT(yoke_thread_join_timed(t, YOKE_MS), 0);
    CHECK_INT(yoke_now(), start);
    yoke_thread_release(t);
    return 0;
}

BOTH(a_thread_that_is_joined_is_waited_for)
{
    CHECK_INT(yoke_test_run(&opts, join_thread, NULL), 0);
}

static int look_up_in_time(void *arg)
{
    int late = 1;
    yoke_address *found;
    YOKE_TIMEOUT(1, &late) {
        CHECK(yoke_resolve("localhost", NULL, &found) > 0);
        free(found);
    }
    CHECK_INT(late, 0);
    return 0;
}

BOTH(a_name_that_is_looked_up_is_waited_for)
{
    CHECK_INT(yoke_test_run(&opts, look_up_in_time, NULL), 0);
}

static int wait_for_child(void *arg)
{
    static const char *const argv[] = {"sleep", "0.1", NULL};
    int64_t start = yoke_now();
    int status = -1;
    yoke_child *c;
    CHECK_INT(yoke_child_spawn(&(yoke_child_opts){.argv = argv}, &c), 0);
    CHECK_INT(yoke_child_wait_timed(c, YOKE_MS, &status), 0);
    CHECK_INT(status, 0);
    CHECK_INT(yoke_now(), start);
    yoke_child_close(c);
    return 0;
}

BOTH(a_child_is_waited_for)
{
    CHECK_INT(yoke_test_run(&opts, wait_for_child, NULL), 0);
}

/* ---- Deadlocks ---- */

static int wait_for_ever(void *arg)
{
    yoke_event never = {0};
    int err = yoke_event_wait(&never);
    CHECK_INT(err, -ECANCELED);
    return err;
}

static int two_wait(void *arg)
{
    yoke_group g;
    yoke_sleep(1500 * YOKE_MS);
    yoke_group_begin(&g);
    yoke_go_with(&g, &(yoke_go_opts){.name = "waiter"}, wait_for_ever, NULL);
    return yoke_group_end(&g);
}

BOTH(a_deadlock_is_told)
{
    opts.patience = 50 * YOKE_MS; /* sanitizers have threads of their own */
    opts.seed = 12;
    CHECK_INT(yoke_test_run(&opts, two_wait, NULL), -EDEADLK);
    CHECK_HAS(said, "nothing can go on after 1.500000000 s");
    CHECK_HAS(said, "seed 12");
    CHECK_HAS(said, opts.backend);
    CHECK_HAS(said, "coroutine 1, the test, waits for end of a group\n");
    CHECK_HAS(said, "coroutine 2, waiter, waits for an event\n");
    CHECK_INT(count_of(said, "\n"), 3);
    opts.text = NULL;
    CHECK_INT(yoke_test_run(&opts, two_wait, NULL), -EDEADLK);
}

BOTH(text_is_cut_off)
{
    opts.patience = 50 * YOKE_MS;
    memset(said, 'x', sizeof said);
    opts.text_size = 20;
    CHECK_INT(yoke_test_run(&opts, two_wait, NULL), -EDEADLK);
    CHECK_STR(said, "nothing can go on a");
    CHECK_INT(said[20], 'x');
}

/* Who cannot be told to stop is left behind. */
static int hang_deaf(void *arg)
{
    static _Atomic uint32_t word;
    yk_wait(&word, 0, YOKE_FOREVER, YK_WAIT_DEAF);
    CHECK(false);
    return 0;
}

BOTH(what_cannot_end_is_left_behind)
{
    opts.patience = 50 * YOKE_MS;
    CHECK_INT(yoke_test_run(&opts, hang_deaf, NULL), -EDEADLK);
    CHECK_HAS(said, "it does not end when it is told to\n");
    CHECK_INT(yoke_test_run(&opts, give_seven, NULL), 7);
}

/* ---- Circles ---- */

static int yield_for_ever(void *arg)
{
    while (yoke_yield() == 0)
        ;
    return -ECANCELED;
}

static int try_for_ever(void *arg)
{
    for (;;)
        yoke_yield();
    return 0;
}

BOTH(circles_are_told)
{
    opts.steps = 1000;
    CHECK_INT(yoke_test_run(&opts, yield_for_ever, NULL), -ELOOP);
    CHECK_HAS(said, "it goes in circles after 0.000000000 s");
    CHECK(!strstr(said, "does not end"));
    CHECK_INT(yoke_test_run(&opts, try_for_ever, NULL), -ELOOP);
    CHECK_HAS(said, "it does not end when it is told to\n");
    CHECK_INT(yoke_test_run(&opts, sleep_an_hour, &(int64_t){1000 * YOKE_S}), -ELOOP);
    opts.steps = 10000;
    CHECK_INT(yoke_test_run(&opts, sleep_an_hour, &(int64_t){1000 * YOKE_S}), 3);
}

/* ---- The order ---- */

static int write_one(void *arg)
{
    page[written++] = (char)('a' + (intptr_t)arg);
    yoke_yield();
    page[written++] = (char)('a' + (intptr_t)arg);
    return 0;
}

static int write_in_any_order(void *arg)
{
    yoke_group g;
    memset(page, 0, sizeof page);
    written = 0;
    yoke_group_begin(&g);
    for (intptr_t i = 0; i < 8; i++)
        yoke_go(&g, write_one, (void *)i);
    return yoke_group_end(&g);
}

BOTH(a_seed_is_an_order)
{
    char first[sizeof page];
    int others = 0;
    CHECK_INT(yoke_test_run(&opts, write_in_any_order, NULL), 0);
    CHECK_STR(page, "abcdefghabcdefgh");
    for (opts.seed = 1; opts.seed <= 20; opts.seed++) {
        CHECK_INT(yoke_test_run(&opts, write_in_any_order, NULL), 0);
        memcpy(first, page, sizeof page);
        CHECK_INT(strlen(first), 16);
        CHECK_INT(yoke_test_run(&opts, write_in_any_order, NULL), 0);
        CHECK_STR(page, first);
        others += strcmp(page, "abcdefghabcdefgh") != 0;
    }
    CHECK_INT(others, 20);
}
