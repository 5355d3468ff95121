/* people.c - who am I, who else is there; values per thread; crashes that are named. */
#include "child.h"
#include "exec/exec.h"
#include <pthread.h>
#include <sys/resource.h>
#include <yoke.h>

static _Atomic int gate, arrived;

static int at_gate(void *arg)
{
    atomic_fetch_add(&arrived, 1);
    while (!atomic_load(&gate))
        usleep(200);
    return 0;
}

static void wait_for_arrivals(int n)
{
    while (atomic_load(&arrived) < n)
        usleep(200);
}

/* ---- Who ---- */

TEST(the_main_thread)
{
    yoke_thread *me = yoke_thread_current();
    CHECK(me);
    CHECK(yoke_thread_current() == me);
    CHECK_STR(yoke_thread_name(me), "main");
    CHECK_INT(yoke_thread_kind_of(me), YOKE_THREAD_MAIN);
    CHECK_INT(yoke_thread_id(me), getpid());
    CHECK(!yoke_thread_is_background(me));
}

static void *other(void *arg)
{
    pthread_setname_np(pthread_self(), "stranger");
    yoke_thread *me = yoke_thread_current();
    CHECK_STR(yoke_thread_name(me), "stranger");
    CHECK_INT(yoke_thread_kind_of(me), YOKE_THREAD_OTHER);
    CHECK_INT(yoke_thread_id(me), gettid());
    CHECK_INT(yoke_thread_join(me), -EINVAL);
    *(bool *)arg = true;
    return NULL;
}

TEST(a_thread_of_another_making)
{
    for (int i = 0; i < 3; i++) {
        pthread_t t;
        bool done = false;
        CHECK_INT(pthread_create(&t, NULL, other, &done), 0);
        pthread_join(t, NULL);
        CHECK(done);
    }
}

YOKE_TASK(bool, is_worker)
{
    yoke_thread *me = yoke_thread_current();
    return yoke_thread_kind_of(me) == YOKE_THREAD_WORKER && strncmp(yoke_thread_name(me), "yoke-worker-", 12) == 0;
}

TEST(a_worker)
{
    yoke_executor *ex = yoke_open("threads:2");
    bool it_is = false;
    CHECK_INT(yoke_try(yoke_submit(ex, is_worker), &it_is), 0);
    CHECK(it_is);
    yoke_close(ex);
}

struct census {
    int kinds[4];
    bool found;
    const char *name;
};

static int count(yoke_thread *t, void *arg)
{
    struct census *c = arg;
    c->kinds[yoke_thread_kind_of(t)]++;
    c->found |= c->name && strcmp(yoke_thread_name(t), c->name) == 0;
    return 0;
}

static int stop_at_once(yoke_thread *t, void *arg)
{
    ++*(int *)arg;
    return 17;
}

TEST(each_thread)
{
    enum { N = 5 };
    yoke_thread_current();
    yoke_executor *ex = yoke_open("threads:2");
    yoke_thread *t[N];
    for (int i = 0; i < N; i++)
        t[i] = yoke_thread_call(i == 2 ? "the second" : "some", at_gate, NULL);
    wait_for_arrivals(N);
    struct census c = {.name = "the second"};
    while (c.kinds[YOKE_THREAD_WORKER] < 2) { /* they introduce themselves when they have started */
        c = (struct census){.name = "the second"};
        CHECK_INT(yoke_each_thread(count, &c), 0);
    }
    CHECK_INT(c.kinds[YOKE_THREAD_STARTED], N);
    CHECK_INT(c.kinds[YOKE_THREAD_MAIN], 1);
    CHECK_INT(c.kinds[YOKE_THREAD_WORKER], 2);
    CHECK(c.found);
    int calls = 0;
    CHECK_INT(yoke_each_thread(stop_at_once, &calls), 17);
    CHECK_INT(calls, 1);
    yoke_close(ex);
    atomic_store(&gate, 1);
    for (int i = 0; i < N; i++) {
        yoke_thread_join(t[i]);
        yoke_thread_release(t[i]);
    }
    c = (struct census){0};
    CHECK_INT(yoke_each_thread(count, &c), 0);
    CHECK_INT(c.kinds[YOKE_THREAD_STARTED] + c.kinds[YOKE_THREAD_WORKER], 0);
    CHECK_INT(c.kinds[YOKE_THREAD_MAIN], 1);
}

TEST(no_memory_for_the_list)
{
    struct census c = {.name = NULL};
    yoke_thread_current();
    yk_sys_fail("malloc", 1, ENOMEM);
    CHECK_INT(yoke_each_thread(count, &c), -ENOMEM);
    yk_sys_fail("malloc", 0, 0);
    CHECK_INT(c.kinds[YOKE_THREAD_MAIN], 0);
}

static int keep_one(yoke_thread *t, void *arg)
{
    if (yoke_thread_kind_of(t) != YOKE_THREAD_STARTED)
        return 0;
    *(yoke_thread **)arg = yoke_thread_ref(t);
    return 1;
}

TEST(a_reference_from_the_list)
{
    yoke_thread *found = NULL;
    yoke_thread_release(yoke_thread_call("found", at_gate, NULL)); /* nobody has a handle of it */
    wait_for_arrivals(1);
    CHECK_INT(yoke_each_thread(keep_one, &found), 1);
    CHECK_STR(yoke_thread_name(found), "found");
    atomic_store(&gate, 1);
    CHECK_INT(yoke_thread_join(found), 0);
    CHECK_INT(yoke_thread_join(found), 0);
    yoke_thread_release(found);
}

TEST(no_memory_to_know_oneself)
{
    for (int n = 1; n <= 2; n++) {
        yk_sys_fail("calloc", n, ENOMEM);
        CHECK(!yoke_thread_current());
        yk_sys_fail("calloc", 0, 0);
    }
    CHECK(yoke_thread_current());
}

static int main_in_child(void)
{
    yoke_thread *me = yoke_thread_current();
    return yoke_thread_kind_of(me) == YOKE_THREAD_MAIN && yoke_thread_id(me) == getpid() ? 0 : 1;
}

static int fork_in_thread(void *arg)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(main_in_child());
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0 ? 0 : -EFAULT;
}

TEST(after_fork_the_caller_is_the_main_thread)
{
    CHECK_INT(fork_in_thread(NULL), 0);
    yoke_thread_current();
    CHECK_INT(fork_in_thread(NULL), 0);
    yoke_thread *t = yoke_thread_call("forker", fork_in_thread, NULL);
    CHECK_INT(yoke_thread_join(t), 0);
    yoke_thread_release(t);
}

/* ---- Values per thread ---- */

typedef struct counter {
    int n, index;
} counter;

static _Atomic int started, finished, sum;

static void start_counter(counter *c)
{
    CHECK_INT(c->n, 0);
    c->index = atomic_fetch_add(&started, 1);
}

static void finish_counter(counter *c)
{
    atomic_fetch_add(&finished, 1);
    atomic_fetch_add(&sum, c->n);
}

YOKE_LOCAL(counter, hits, start_counter, finish_counter);
YOKE_LOCAL(long, bare, NULL, NULL);

static int hit(void *arg)
{
    for (int i = 0; i < 100; i++)
        hits()->n++;
    CHECK(hits() == hits());
    CHECK_INT(*bare(), 0);
    *bare() = 7;
    return hits()->n;
}

TEST(each_thread_has_its_own)
{
    enum { N = 8 };
    yoke_thread *t[N];
    hits()->n = 1000;
    for (int i = 0; i < N; i++)
        t[i] = yoke_thread_call(NULL, hit, NULL);
    for (int i = 0; i < N; i++) {
        int n = 0;
        CHECK_INT(yoke_thread_try(t[i], &n), 0);
        CHECK_INT(n, 100);
        yoke_thread_release(t[i]);
    }
    CHECK_INT(started, N + 1);
    CHECK_INT(finished, N); /* join has waited for the ends of the values */
    CHECK_INT(sum, N * 100);
    CHECK_INT(hits()->n, 1000);
}

static void *hit_there(void *arg)
{
    hit(NULL);
    return NULL;
}

TEST(threads_of_another_making_too)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, hit_there, NULL), 0);
    pthread_join(t, NULL);
    CHECK_INT(finished, 1);
    CHECK_INT(sum, 100);
}

static char order[32];

static void note(char c)
{
    order[strlen(order)] = c;
}

static void finish_a(int *v)
{
    note('a');
}
YOKE_LOCAL(int, value_a, NULL, finish_a);

static void finish_b(int *v)
{
    note('b');
    *value_a() += 1; /* older, so still there */
    CHECK_INT(*value_a(), 6);
}
YOKE_LOCAL(int, value_b, NULL, finish_b);

static void finish_c(int *v)
{
    note('c');
}
YOKE_LOCAL(int, value_c, NULL, finish_c);

static void finish_d(int *v)
{
    note('d');
    value_c(); /* made at the very end */
}
YOKE_LOCAL(int, value_d, NULL, finish_d);

static int make_in_order(void *arg)
{
    *value_a() = 5;
    value_b();
    value_d();
    return 0;
}

TEST(newest_first)
{
    yoke_thread *t = yoke_thread_call(NULL, make_in_order, NULL);
    CHECK_INT(yoke_thread_join(t), 0);
    CHECK_STR(order, "dcba");
    yoke_thread_release(t);
}

static int ping_count;
static int *ping(void);
static int *pong(void);
static void finish_ping(int *v)
{
    ping_count++;
    pong();
}
static void finish_pong(int *v)
{
    ping();
}
YOKE_LOCAL(int, ping, NULL, finish_ping);
YOKE_LOCAL(int, pong, NULL, finish_pong);

static int play(void *arg)
{
    ping();
    return 0;
}

static void play_without_end(void)
{
    yoke_thread_join(yoke_thread_call(NULL, play, NULL));
    CHECK(ping_count > 100);
    _exit(0); /* one value is left over */
}

TEST(two_that_make_each_other_for_ever)
{
    child_end end = in_child(play_without_end);
    CHECK_INT(end.status, 0);
}

static void tell_end(int *v)
{
    fprintf(stderr, "value %d ends\n", *v);
}
YOKE_LOCAL(int, told, NULL, tell_end);

static void main_value(void)
{
    *told() = 3;
}

TEST(the_main_threads_values_end_with_the_program)
{
    child_end end = in_child(main_value);
    CHECK_STR(end.text, "value 3 ends\n");
    CHECK_INT(end.status, 0);
}

TEST(no_memory_for_a_value)
{
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK(!bare());
    yk_sys_fail("posix_memalign", 0, 0);
    CHECK(bare());
    CHECK_INT(*bare(), 0);
}

/* ---- Crashes ---- */

static volatile int *volatile nowhere = (volatile int *)(intptr_t)16;

static int touch_nothing(void *arg)
{
    return *nowhere;
}

static void crash(void)
{
    yoke_thread_join(yoke_thread_call("doomed", touch_nothing, NULL));
}

TEST(a_crash_names_the_thread)
{
    child_end end = in_child(crash);
    CHECK_HAS(end.text, "yoke: thread \"doomed\" died of SIGSEGV in touch_nothing (started at ");
    CHECK_HAS(end.text, "people.c:");
    CHECK(died_of(&end, SIGSEGV));
}

YOKE_TASK(int, give_up)
{
    abort();
    return 0;
}

static void crash_by_abort(void)
{
    yoke_thread_join(yoke_thread_start("quitter", give_up));
}

TEST(abort_too)
{
    child_end end = in_child(crash_by_abort);
    CHECK_HAS(end.text, "yoke: thread \"quitter\" died of SIGABRT in give_up (started at ");
    CHECK(died_of(&end, SIGABRT));
}

static int raise_fpe(void *arg)
{
    return raise(SIGFPE);
}

static void crash_by_raise(void)
{
    yoke_thread_join(yoke_thread_call("divider", raise_fpe, NULL));
}

TEST(raise_too)
{
    child_end end = in_child(crash_by_raise);
    CHECK_HAS(end.text, "yoke: thread \"divider\" died of SIGFPE in raise_fpe");
    CHECK(died_of(&end, SIGFPE));
}

static __attribute__((noinline)) int dig(int n)
{
    volatile char hole[4096];
    hole[0] = (char)n;
    return n > 0 ? dig(n - 1) + hole[0] : 0;
}

static int dig_deep(void *arg)
{
    return dig(1 << 24);
}

static void overflow(void)
{
    yoke_thread_join(yoke_opt_thread_call((name = "digger", stack = 256 << 10), dig_deep, NULL));
}

TEST(an_overflow_of_the_stack_is_told_as_one)
{
    child_end end = in_child(overflow);
    CHECK_HAS(end.text, "yoke: thread \"digger\" died of SIGSEGV: its stack of ");
    CHECK_HAS(end.text, " KiB is full in dig_deep");
    CHECK(died_of(&end, SIGSEGV));
}

static void before(int number)
{
    static const char text[] = "the one before\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(3);
}

static void crash_with_handler(void)
{
    signal(SIGSEGV, before);
    crash();
}

TEST(the_handler_from_before_is_called)
{
    child_end end = in_child(crash_with_handler);
    CHECK_HAS(end.text, "yoke: thread \"doomed\" died of SIGSEGV");
    CHECK_HAS(end.text, "the one before\n");
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 3);
}

static void before_with_info(int number, siginfo_t *info, void *context)
{
    _exit(info->si_addr == (void *)(intptr_t)16 ? 4 : 5);
}

static void crash_with_info(void)
{
    struct sigaction a = {.sa_sigaction = before_with_info, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, NULL);
    crash();
}

TEST(and_gets_what_it_asked_for)
{
    child_end end = in_child(crash_with_info);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(WEXITSTATUS(end.status), 4);
}

static void crash_elsewhere(void)
{
    yoke_thread_join(yoke_thread_call(NULL, hit, NULL));
    touch_nothing(NULL);
}

TEST(other_threads_crash_as_ever)
{
    child_end end = in_child(crash_elsewhere);
    CHECK(!strstr(end.text, "yoke: thread"));
    CHECK(died_of(&end, SIGSEGV));
}

static void sent_from_outside(void)
{
    yoke_thread_release(yoke_opt_thread_call((background = true), at_gate, NULL));
    wait_for_arrivals(1);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGABRT);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL); /* so that the thread gets it */
    kill(getpid(), SIGABRT);
    while (true)
        pause();
}

TEST(a_signal_from_another_process_is_nobodys_crash)
{
    child_end end = in_child(sent_from_outside);
    CHECK(!strstr(end.text, "yoke: thread"));
    CHECK(died_of(&end, SIGABRT));
}
