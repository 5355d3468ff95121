/* The pool of stacks: what it hands out, guards, keeps and gives back, and what happens when the system refuses. */
#include "stacks.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { GUARD_INSTALL = 102 };

/* Whether the kernel can mark guards. */
static bool marks(void)
{
    void *at = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = madvise(at, page_size(), GUARD_INSTALL) == 0;
    munmap(at, page_size());
    return can;
}

/* Whether the page can be read and written, which the kernel is asked in place of a fault. */
static bool reachable(const char *at)
{
    int fds[2];
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    bool can = write(fds[1], at, 1) == 1;
    close(fds[0]);
    close(fds[1]);
    return can;
}

static size_t count_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    size_t n = 0;
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

/* KiB, by its name in /proc/self/status. */
static size_t memory_of(const char *name)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtoul(line + strlen(name) + 1, NULL, 10);
    fclose(f);
    return kib;
}

/* ---- What is handed out ---- */

TEST(sizes_are_rounded_up_to_powers_of_two)
{
    yk_stack_pool *p = opened();
    for (size_t size = 1; size <= YK_STACK_MOST; size = size * 5 / 3 + 1) {
        yk_stack s = taken(p, size);
        size_t whole = yk_stack_size(s);
        CHECK(whole >= size && whole >= YK_STACK_LEAST && (whole & (whole - 1)) == 0);
        CHECK(whole / 2 < size || whole <= YK_MAX(YK_STACK_LEAST, page_size()));
        CHECK(s.top - s.low <= (ptrdiff_t)whole && s.top - s.low >= (ptrdiff_t)whole - 960);
        CHECK_INT((uintptr_t)s.top % 64, 0);
        CHECK_INT((uintptr_t)s.low % page_size(), 0);
        yk_stack_give(p, s);
    }
    yk_stack_pool_close(p);
}

TEST(nothing_means_the_usual_size)
{
    yk_stack_pool *p = opened();
    yk_stack s = taken(p, 0), most = taken(p, YK_STACK_MOST), other;
    CHECK_INT(yk_stack_size(s), 64 << 10);
    CHECK_INT(yk_stack_size(most), 8 << 20);
    CHECK_INT(yk_stack_take(p, YK_STACK_MOST + 1, &other), -EINVAL);
    CHECK_INT(yk_stack_take(p, SIZE_MAX, &other), -EINVAL);
    yk_stack_give(p, s);
    yk_stack_give(p, most);
    yk_stack_pool_close(p);
}

TEST(all_of_a_stack_can_be_used_and_none_of_its_guards)
{
    yk_stack_pool *p = opened();
    yk_stack s[40];
    for (int i = 0; i < 40; i++) {
        s[i] = taken(p, 16 << 10);
        memset(s[i].low, i, (size_t)(s[i].top - s[i].low));
    }
    for (int i = 0; i < 40; i++) {
        for (const char *at = s[i].low; at < s[i].top; at++)
            CHECK_INT(*at, i);
        CHECK(reachable(s[i].low));
        CHECK(!reachable(s[i].low - 1));
        CHECK(!reachable(s[i].low - page_size()));
        yk_stack_give(p, s[i]);
    }
    yk_stack_pool_close(p);
}

TEST(tops_have_different_colours)
{
    yk_stack_pool *p = opened();
    yk_stack s[YK_STACK_COLOURS];
    unsigned seen = 0;
    for (int i = 0; i < YK_STACK_COLOURS; i++) {
        s[i] = taken(p, 0);
        seen |= 1u << (-(uintptr_t)s[i].top % 4096 / 64);
    }
    CHECK_INT(seen, 0xffff);
    for (int i = 0; i < YK_STACK_COLOURS; i++)
        yk_stack_give(p, s[i]);
    yk_stack_pool_close(p);
}

/* ---- Idle stacks ---- */

TEST(the_last_given_is_the_first_taken)
{
    yk_stack_pool *p = opened();
    yk_stack a = taken(p, 0), b = taken(p, 0), c = taken(p, 1 << 20);
    yk_stack_give(p, a);
    yk_stack_give(p, b);
    yk_stack_give(p, c);
    CHECK_INT(stats_of(p).warm, 3);
    CHECK(taken(p, 0).top == b.top);
    CHECK(taken(p, 0).top == a.top);
    CHECK(taken(p, 1 << 20).top == c.top);
    yk_stack_stats now = stats_of(p);
    CHECK_INT(now.in_use, 3);
    CHECK_INT(now.most_in_use, 3);
    CHECK_INT(now.warm, 0);
    CHECK_INT(now.slabs, 2);
    yk_stack_give(p, a);
    yk_stack_give(p, b);
    yk_stack_give(p, c);
    yk_stack_pool_close(p);
}

TEST(trimmed_stacks_come_back_empty_and_guarded)
{
    yk_stack_pool *p = opened();
    yk_stack s[10];
    for (int i = 0; i < 10; i++) {
        s[i] = taken(p, 0);
        memset(s[i].low, 1, (size_t)(s[i].top - s[i].low));
    }
    for (int i = 0; i < 10; i++)
        yk_stack_give(p, s[i]);
    yk_stack_pool_trim(p, 3);
    CHECK_INT(stats_of(p).warm, 3);
    CHECK_INT(stats_of(p).cold, 7);
    CHECK_INT(stats_of(p).trimmed, 7);
    for (int i = 0; i < 3; i++) /* the last used have stayed as they were */
        CHECK(taken(p, 0).top == s[9 - i].top && s[9 - i].low[0] == 1);
    for (int i = 0; i < 7; i++) {
        s[i] = taken(p, 0);
        CHECK_INT(s[i].low[0], 0);
        CHECK_INT(s[i].top[-1], 0);
        CHECK(!reachable(s[i].low - 1));
    }
    CHECK_INT(stats_of(p).cold, 0);
    CHECK_INT(stats_of(p).slabs, 1);
    for (int i = 0; i < 10; i++)
        yk_stack_give(p, s[i]);
    yk_stack_pool_close(p);
}

TEST(too_many_idle_stacks_are_trimmed)
{
    yk_stack_pool *p = opened();
    size_t most = p->shelves[2].warm_most, n = 3 * most;
    yk_stack *s = malloc(n * sizeof *s);
    for (size_t i = 0; i < n; i++)
        s[i] = taken(p, 0);
    for (size_t i = 0; i < n; i++)
        yk_stack_give(p, s[i]);
    yk_stack_stats now = stats_of(p);
    CHECK(now.warm <= 2 * most + 1 && now.warm >= most);
    CHECK_INT(now.warm + now.cold, n);
    for (size_t i = 0; i < n; i++) /* and none is lost, or there twice */
        s[i] = taken(p, 0), *(size_t *)(void *)s[i].low = i;
    for (size_t i = 0; i < n; i++)
        CHECK_INT(*(size_t *)(void *)s[i].low, i);
    CHECK_INT(stats_of(p).warm + stats_of(p).cold, 0);
    for (size_t i = 0; i < n; i++)
        yk_stack_give(p, s[i]);
    free(s);
    yk_stack_pool_close(p);
}

/* Against an array of what is taken: stacks do not overlap, keep what is written, and all come back. */
TEST(random_takes_gives_and_trims)
{
    enum { MOST = 300 };
    yk_stack_pool *p = opened();
    yk_stack s[MOST];
    size_t n = 0;
    for (int step = 0; step < 50000; step++) {
        uint64_t r = test_random();
        if (r % 1000 == 0) {
            yk_stack_pool_trim(p, r / 1000 % 20);
        } else if (n < MOST && r % 2) {
            s[n] = taken(p, YK_STACK_LEAST << r / 2 % 4);
            *(size_t *)(void *)s[n].low = (uintptr_t)s[n].top;
            n++;
        } else if (n > 0) {
            size_t i = r / 2 % n;
            CHECK_INT(*(size_t *)(void *)s[i].low, (uintptr_t)s[i].top);
            yk_stack_give(p, s[i]);
            s[i] = s[--n];
        }
        CHECK_INT(stats_of(p).in_use, n);
    }
    while (n > 0)
        yk_stack_give(p, s[--n]);
    yk_stack_pool_close(p);
}

/* ---- Running on them ---- */

enum { CROWD = 100 };
static struct {
    void *at;
    yk_fiber fiber;
    yk_stack stack;
} crowd[CROWD + 1]; /* the last is the test itself */

static void go_on(int from, int to, bool last)
{
    yk_fiber_leave(&crowd[from].fiber, &crowd[to].fiber, last);
    yk_switch(&crowd[from].at, crowd[to].at, (void *)(intptr_t)to);
    yk_fiber_arrive(&crowd[from].fiber);
}

/* In its frames, which are never left, when it ends. */
static void take_turns(void *passed)
{
    int me = (int)(intptr_t)passed;
    volatile char here[1000];
    yk_fiber_arrive(&crowd[me].fiber);
    for (int turn = 0; turn < 3; turn++) {
        memset((char *)(uintptr_t)here, me + turn, sizeof here);
        go_on(me, me + 1, false);
        if (here[0] != (char)(me + turn) || here[999] != (char)(me + turn))
            abort();
    }
    go_on(me, me + 1, true);
}

TEST(contexts_run_on_them)
{
    yk_stack_pool *p = opened();
    yk_fiber_of_thread(&crowd[CROWD].fiber);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < CROWD; i++) {
            yk_stack s = crowd[i].stack = taken(p, 16 << 10 << round % 2);
            yk_fiber_init(&crowd[i].fiber, s.low, (size_t)(s.top - s.low));
            crowd[i].at = yk_switch_prepare(s.top, take_turns);
        }
        for (int turn = 0; turn < 4; turn++)
            go_on(CROWD, 0, false);
        for (int i = 0; i < CROWD; i++) {
            yk_fiber_done(&crowd[i].fiber);
            yk_stack_give(p, crowd[i].stack);
        }
        if (round == 2)
            yk_stack_pool_trim(p, 7);
    }
    yk_stack_pool_close(p);
}

#ifdef YK_WITH_ASAN
static void touch_after_giving(void)
{
    yk_stack_pool *p = opened();
    yk_stack s = taken(p, 0);
    volatile char *local = s.top - 500;
    *local = 1;
    yk_stack_give(p, s);
    *local = 2;
}

TEST(using_a_stack_that_was_given_back_is_found)
{
    child_end end = in_child(touch_after_giving);
    CHECK_HAS(end.text, "use-after-poison");
}
#endif

TEST(closing_leaves_nothing)
{
    size_t before = count_mappings(), allowed = 2;
#if defined(YK_WITH_ASAN) || defined(YK_WITH_TSAN)
    allowed = SIZE_MAX / 2; /* they map as they go */
#endif
    for (int i = 0; i < 20; i++) {
        yk_stack_pool *p = opened();
        yk_stack s[3] = {taken(p, 0), taken(p, 16 << 10), taken(p, 1 << 20)};
        for (int j = 0; j < 3; j++)
            yk_stack_give(p, s[j]);
        yk_stack_pool_close(p);
    }
    yk_stack_pool_close(NULL);
    CHECK(count_mappings() <= before + allowed);
}

/* ---- Many ---- */

static char *touch(yk_stack s)
{
    return memset(s.top - 640, 1, 640);
}

/* A hundred thousand stacks in a handful of mappings, each one page and the tables for it. */
TEST(a_hundred_thousand_stacks)
{
    enum { N = 100000 };
#if defined(YK_WITH_ASAN) || defined(YK_WITH_TSAN)
    NOT_HERE("a sanitizer has memory of its own for each");
#endif
    if (!marks())
        SKIP("the kernel has no guards without mappings");
    yk_stack_pool *p = opened();
    yk_stack *s = malloc(N * sizeof *s);
    memset(s, 0, N * sizeof *s);
    size_t mappings = count_mappings(), pages = memory_of("VmRSS:"), tables = memory_of("VmPTE:");
    for (int i = 0; i < N; i++)
        touch(s[i] = taken(p, 0));
    CHECK(count_mappings() < mappings + 20);
    size_t each = ((memory_of("VmRSS:") - pages) + (memory_of("VmPTE:") - tables)) * 1024 / N;
    printf("# %zu bytes each\n", each);
    CHECK(each <= 4403); /* 4.3 KiB */
    CHECK_INT(stats_of(p).in_use, N);
    CHECK_INT(stats_of(p).guard, YK_GUARD_MARK);
    for (int i = 0; i < N; i++)
        yk_stack_give(p, s[i]);
    yk_stack_pool_trim(p, 0);
    CHECK(memory_of("VmRSS:") < pages + 4096);
    free(s);
    yk_stack_pool_close(p);
}

/* ---- Guards of older kernels ---- */

static size_t allowed_by_file(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    size_t n = 0;
    if (f) {
        if (fscanf(f, "%zu", &n) != 1)
            n = 0;
        fclose(f);
    }
    return n;
}

TEST(protected_guards_for_thirty_thousand)
{
    enum { N = 30000 };
#if defined(YK_WITH_ASAN) || defined(YK_WITH_TSAN)
    NOT_HERE("a sanitizer has mappings of its own");
#endif
    if (allowed_by_file() < 65530)
        SKIP("the system allows fewer mappings");
    yk_stack_guard_best = YK_GUARD_PROTECT;
    yk_stack_pool *p = opened();
    yk_stack *s = malloc((N + 10000) * sizeof *s), none;
    size_t n = 0;
    for (; n < N; n++)
        touch(s[n] = taken(p, 16 << 10));
    CHECK_INT(stats_of(p).guard, YK_GUARD_PROTECT);
    CHECK(!reachable(s[0].low - 1) && !reachable(s[N - 1].low - 1));
    int err = 0;
    if (allowed_by_file() == 65530) {
        while (n < N + 10000 && (err = yk_stack_take(p, 16 << 10, &s[n])) == 0)
            n++;
        CHECK_INT(err, -ENOMEM);
        CHECK_INT(yk_stack_take(p, 16 << 10, &none), -ENOMEM);
        CHECK_INT(stats_of(p).refused, 2);
        void *still = mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(still != MAP_FAILED); /* the program has mappings left for itself */
    }
    while (n > 0)
        yk_stack_give(p, s[--n]);
    CHECK_INT(yk_stack_take(p, 16 << 10, &none), 0); /* from those that were given back */
    yk_stack_give(p, none);
    free(s);
    yk_stack_pool_close(p);
}

/* The limit is the process's, and what a closed pool had is free again. */
TEST(the_limit_of_guards_is_shared)
{
    yk_stack_guard_best = YK_GUARD_PROTECT;
    yk_stack_guard_limit = 5;
    for (int round = 0; round < 3; round++) {
        yk_stack_pool *p = opened(), *q = opened();
        yk_stack s[5], none;
        for (int i = 0; i < 5; i++)
            s[i] = taken(i % 2 ? p : q, 0);
        CHECK_INT(yk_stack_take(p, 0, &none), -ENOMEM);
        CHECK_INT(yk_stack_take(q, 0, &none), -ENOMEM);
        CHECK_INT(stats_of(p).refused, 1);
        for (int i = 0; i < 5; i++)
            yk_stack_give(i % 2 ? p : q, s[i]);
        CHECK_INT(yk_stack_take(p, 0, &none), 0);
        yk_stack_give(p, none);
        yk_stack_pool_close(p);
        yk_stack_pool_close(q);
    }
}

TEST(without_the_file_the_limit_is_the_usual)
{
    yk_stack_guard_best = YK_GUARD_PROTECT;
    yk_sys_fail("openat", 1, EACCES);
    yk_stack_pool *p = opened();
    yk_stack s = taken(p, 0);
    CHECK_INT(yk_sys_fail("openat", 0, 0), 1);
    CHECK(!reachable(s.low - 1));
    yk_stack_give(p, s);
    yk_stack_pool_close(p);
}

/* ---- What the system refuses ---- */

/* An older kernel: the first mark is refused, and no second one is tried. */
TEST(marks_that_are_refused_become_protection)
{
    yk_stack_pool *p = opened();
    yk_sys_fail("madvise", 2, EINVAL); /* the first is about huge pages */
    yk_stack s = taken(p, 0), t = taken(p, 0);
    CHECK_INT(yk_sys_fail("madvise", 0, 0), 2);
    CHECK_INT(stats_of(p).guard, YK_GUARD_PROTECT);
    CHECK(!reachable(s.low - 1) && !reachable(t.low - 1));
    CHECK(reachable(s.low) && reachable(t.low));
    yk_stack_give(p, s);
    yk_stack_give(p, t);
    yk_stack_pool_close(p);
}

/* No memory for the mark: no stack now, and one the next time. */
TEST(a_guard_that_finds_no_memory_is_tried_again)
{
    if (!marks())
        SKIP("the kernel has no guards without mappings");
    yk_stack_pool *p = opened();
    yk_stack s;
    yk_sys_fail("madvise", 2, ENOMEM);
    CHECK_INT(yk_stack_take(p, 0, &s), -ENOMEM);
    yk_sys_fail("madvise", 0, 0);
    CHECK_INT(stats_of(p).refused, 1);
    CHECK_INT(stats_of(p).in_use, 0);
    s = taken(p, 0);
    CHECK_INT(stats_of(p).guard, YK_GUARD_MARK);
    CHECK(!reachable(s.low - 1));
    yk_stack_give(p, s);
    yk_stack_pool_close(p);
}

TEST(protection_that_is_refused_is_tried_again)
{
    yk_stack_guard_best = YK_GUARD_PROTECT;
    yk_stack_guard_limit = 1;
    yk_stack_pool *p = opened();
    yk_stack s;
    yk_sys_fail("mprotect", 1, ENOMEM);
    CHECK_INT(yk_stack_take(p, 0, &s), -ENOMEM);
    yk_sys_fail("mprotect", 0, 0);
    s = taken(p, 0); /* the failed one has not used up the limit */
    CHECK(!reachable(s.low - 1));
    yk_stack_give(p, s);
    yk_stack_pool_close(p);
}

/* Advice about huge pages, and trimming, may fail: nothing is lost but memory. */
TEST(failed_advice_is_no_failure)
{
    yk_stack_pool *p = opened();
    yk_sys_fail("madvise", 1, EINVAL);
    yk_stack s = taken(p, 0);
    s.low[0] = 1;
    yk_stack_give(p, s);
    yk_sys_fail("madvise", 1, EINVAL);
    yk_stack_pool_trim(p, 0);
    CHECK_INT(yk_sys_fail("madvise", 0, 0), 1);
    CHECK_INT(stats_of(p).cold, 1);
    CHECK(taken(p, 0).top == s.top);
    yk_stack_give(p, s);
    yk_stack_pool_close(p);
}

/* Each call in turn fails once; the error is clean, nothing leaks, and then it works. */
TEST(every_call_fails_once)
{
    static const char *const calls[] = {"calloc", "mmap", "madvise", "mprotect", "openat", "read"};
    for (size_t c = 0; c < YK_COUNT_OF(calls); c++)
        for (int n = 1, seen = n; seen >= n; n++) {
            yk_stack_guard_best = n % 2 ? YK_GUARD_PROTECT : YK_GUARD_MARK;
            yk_stack_pool *p = NULL;
            yk_stack s, t;
            yk_sys_fail(calls[c], n, ENOMEM);
            int err = yk_stack_pool_open(&p);
            CHECK(err == 0 || (err == -ENOMEM && !p));
            bool first = p && yk_stack_take(p, 0, &s) == 0, second = p && yk_stack_take(p, 1 << 20, &t) == 0;
            seen = yk_sys_fail(calls[c], 0, 0);
            if (first)
                yk_stack_give(p, s);
            if (second)
                yk_stack_give(p, t);
            CHECK(!p || stats_of(p).in_use == 0);
            if (p) {
                s = taken(p, 0);
                CHECK(!reachable(s.low - 1));
                yk_stack_give(p, s);
            }
            yk_stack_pool_close(p);
        }
}

/* A slab that does not fit is halved, and the next begins there. */
TEST(slabs_shrink_where_memory_is_accounted)
{
    yk_stack_pool *p = opened();
    yk_sys_fail("mmap", 1, ENOMEM);
    yk_stack s = taken(p, 0);
    CHECK_INT(yk_sys_fail("mmap", 0, 0), 2);
    CHECK(stats_of(p).mapped <= 32 << 20 && stats_of(p).mapped > 16 << 20);
    yk_stack t = taken(p, 16 << 10);
    CHECK(stats_of(p).mapped <= 64 << 20);
    yk_stack_give(p, s);
    yk_stack_give(p, t);
    yk_stack_pool_close(p);
}

TEST(a_slab_may_be_one_stack)
{
#if defined(YK_WITH_ASAN) || defined(YK_WITH_TSAN)
    NOT_HERE("a sanitizer's address space is not to be limited");
#endif
    struct rlimit space = {(memory_of("VmSize:") << 10) + (3 << 20), RLIM_INFINITY};
    CHECK_INT(setrlimit(RLIMIT_AS, &space), 0);
    yk_stack_pool *p = opened();
    yk_stack big, s[400];
    int n = 0;
    CHECK_INT(yk_stack_take(p, YK_STACK_MOST, &big), -ENOMEM);
    big = taken(p, 1 << 20);
    memset(big.low, 1, (size_t)(big.top - big.low));
    while (n < 400 && yk_stack_take(p, 64 << 10, &s[n]) == 0)
        n++;
    printf("# and %d small ones\n", n);
    CHECK(n >= 8 && n < 400);
    while (n > 0)
        yk_stack_give(p, s[--n]);
    yk_stack_give(p, big);
    yk_stack_pool_close(p);
}
