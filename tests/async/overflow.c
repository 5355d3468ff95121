/* Overflow of a coroutine's stack: it ends the process as a fault does, and one line says whose stack it was. */
#include "stacks.h"
#include <pthread.h>
#include <yoke/thread.h>

static struct {
    yk_stack_pool *pool;
    yk_stack stack;
    void *home, *away, *top;
    yk_fiber home_fiber, away_fiber;
    size_t size;
    bool former_called;
} run;

static const char *name_of(void *top)
{
    return top == run.top ? "digger (mine.c:42)" : "somebody else";
}

/* Frames of some size, or what a sanitizer has to say about them would be more than a test reads. */
static __attribute__((noinline)) int dig(volatile int n)
{
    volatile char here[3000];
    here[n % 1000] = (char)n;
    return n < 0 ? 0 : dig(n + 1) + here[n % 1000];
}

static void digs(void *passed)
{
    yk_fiber_arrive(&run.away_fiber);
    dig(0);
}

static void strays(void *passed)
{
    yk_fiber_arrive(&run.away_fiber);
    *(volatile char *)passed = 1;
}

/* Runs fn on a stack; it never comes back. */
static void run_on(yk_stack_pool *p, void (*fn)(void *), void *pass)
{
    run.pool = p;
    run.stack = taken(p, run.size);
    run.top = run.stack.top;
    yk_stack_name_hook = name_of;
    yk_fiber_of_thread(&run.home_fiber);
    yk_fiber_init(&run.away_fiber, run.stack.low, (size_t)(run.stack.top - run.stack.low));
    run.away = yk_switch_prepare(run.top, fn);
    yk_fiber_leave(&run.home_fiber, &run.away_fiber, false);
    yk_switch(&run.home, run.away, pass);
    yk_fiber_arrive(&run.home_fiber);
}

static void overflow(void)
{
    yk_stack_pool *p = opened();
    yk_stack_watch(p);
    run_on(p, digs, NULL);
}

TEST(an_overflow_names_the_coroutine)
{
    child_end end = in_child(overflow);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine digger (mine.c:42), stack of 64 KiB; ");
    CHECK_HAS(end.text, " may ask for more\n");
    CHECK_INT(count_of(end.text, "stack overflow in coroutine"), 1);
    CHECK(died_of(&end, SIGSEGV));
}

TEST(with_guards_of_an_older_kernel_too)
{
    yk_stack_guard_best = YK_GUARD_PROTECT;
    run.size = 128 << 10;
    child_end end = in_child(overflow);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine digger (mine.c:42), stack of 128 KiB; ");
    CHECK(died_of(&end, SIGSEGV));
}

static void *overflow_in_thread(void *unused)
{
    overflow();
    return NULL;
}

static void overflow_elsewhere(void)
{
    pthread_t t;
    pthread_create(&t, NULL, overflow_in_thread, NULL);
    pthread_join(t, NULL);
}

TEST(in_a_thread_too)
{
    child_end end = in_child(overflow_elsewhere);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine digger (mine.c:42), stack of 64 KiB; ");
    CHECK(died_of(&end, SIGSEGV));
}

/* On a yoke's thread the coroutine is named, and not the thread as well. */
static int overflow_in_yoke(void *unused)
{
    overflow();
    return 0;
}

static void overflow_in_yokes_thread(void)
{
    yoke_thread_join(yoke_thread_call("loop", overflow_in_yoke, NULL));
}

TEST(in_a_thread_of_yokes_it_is_told_once)
{
    child_end end = in_child(overflow_in_yokes_thread);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine digger (mine.c:42), stack of 64 KiB; ");
    CHECK_INT(count_of(end.text, "yoke: "), 1);
    CHECK(died_of(&end, SIGSEGV));
}

/* A frame of more than a page must not step over the guard, as the library is compiled. */
static __attribute__((noinline)) int wide(volatile int n)
{
    volatile char here[30000];
    here[n % 1000] = (char)n;
    return n < 0 ? 0 : wide(n + 1) + here[n % 1000];
}

static void digs_wide(void *passed)
{
    yk_fiber_arrive(&run.away_fiber);
    wide(0);
}

static void overflow_wide(void)
{
    yk_stack_pool *p = opened();
    yk_stack_watch(p);
    taken(p, 0); /* a neighbour, in whose memory it would end */
    run_on(p, digs_wide, NULL);
}

TEST(large_frames_do_not_step_over_the_guard)
{
    child_end end = in_child(overflow_wide);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine digger (mine.c:42), stack of 64 KiB; ");
    CHECK(died_of(&end, SIGSEGV));
}

/* Stray pointers: into the guard of another stack, and to nowhere. */
static void stray_into_guard(void)
{
    yk_stack_pool *p = opened();
    yk_stack other = taken(p, 1 << 20);
    yk_stack_watch(p);
    run_on(p, strays, other.low - 8);
}

static void stray_to_nowhere(void)
{
    yk_stack_pool *p = opened();
    yk_stack_watch(p);
    run_on(p, strays, (void *)16);
}

static void overflow_unwatched(void)
{
    yk_stack_pool *p = opened();
    yk_stack_watch(p);
    yk_stack_unwatch(p);
    run_on(p, strays, taken(p, 0).low - 8);
}

TEST(stray_pointers_are_no_overflow)
{
    void (*const cases[])(void) = {stray_into_guard, stray_to_nowhere, overflow_unwatched};
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        child_end end = in_child(cases[i]);
        CHECK_INT(count_of(end.text, "stack overflow in coroutine"), 0);
        CHECK(died_of(&end, SIGSEGV));
    }
}

static void unnamed(void)
{
    yk_stack_pool *p = opened();
    yk_stack_watch(p);
    yk_stack s = taken(p, 0);
    void *home, *away = yk_switch_prepare(s.top, digs);
    yk_switch(&home, away, NULL);
}

TEST(without_a_name_it_says_so)
{
#if defined(YK_WITH_ASAN) || defined(YK_WITH_TSAN)
    NOT_HERE("does not tell sanitizers about its switch");
#endif
    child_end end = in_child(unnamed);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine (unnamed), stack of 64 KiB; ");
}

/* Whoever handled the fault before is called after the line. */
static void former(int number, siginfo_t *info, void *context)
{
    (void)!write(STDERR_FILENO, "former\n", 7);
    _exit(number == SIGSEGV ? 33 : 34);
}

static void overflow_with_former(void)
{
    struct sigaction a = {.sa_sigaction = former, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &a, NULL);
    overflow();
}

TEST(the_former_handler_comes_after)
{
    child_end end = in_child(overflow_with_former);
    CHECK_HAS(end.text, " may ask for more\nformer\n");
    CHECK_INT(WEXITSTATUS(end.status), 33);
}

TEST(watching_leaves_no_signal_stack)
{
    stack_t before, during, after;
    sigaltstack(NULL, &before);
    yk_stack_pool *p = opened();
    yk_stack_watch(p);
    sigaltstack(NULL, &during);
    CHECK(!(during.ss_flags & SS_DISABLE));
    yk_stack_watch(p); /* twice is once */
    yk_stack_pool_close(p);
    sigaltstack(NULL, &after);
    CHECK_INT(after.ss_flags, before.ss_flags);
}

/* A child by fork() has the guards, too. */
static yk_stack_pool *inherited;

static void overflow_inherited(void)
{
    yk_stack_watch(inherited);
    run_on(inherited, digs, NULL);
}

TEST(guards_survive_fork)
{
    inherited = opened();
    yk_stack_give(inherited, taken(inherited, 0)); /* guarded by the parent */
    child_end end = in_child(overflow_inherited);
    CHECK_HAS(end.text, "yoke: stack overflow in coroutine digger (mine.c:42), stack of 64 KiB; ");
    CHECK(died_of(&end, SIGSEGV));
    yk_stack_pool_close(inherited);
}
