/* fork.c - fork and join: right answers on any number of workers, from anywhere; what a failing or cancelled job does to its
 * parts; full slots. */
#include "child.h"
#include "fib.h"
#include "test.h"
#include "threads/pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <yoke.h>

static const char *const pools[] = {"inline", "threads:1", "threads:2", "threads:3", "threads:8"};
static yoke_executor *close_it(yoke_executor *ex)
{
    CHECK_INT(yoke_close(ex), 0);
    return NULL;
}

#define EACH_POOL(ex)                                                                                                  \
    for (size_t pool_at = 0; pool_at < sizeof pools / sizeof *pools; pool_at++)                                        \
        for (yoke_executor *ex = yoke_open(pools[pool_at]); ex; ex = close_it(ex))

/* ---- Answers ---- */

TEST(fib_on_any_pool)
{
    EACH_POOL(ex)
        for (int i = 0; i < 20; i++)
            CHECK_INT(yoke_run(ex, fib, 20 + i % 3), i % 3 == 0 ? 6765 : i % 3 == 1 ? 10946 : 17711);
}

TEST(a_plain_call_uses_the_process_own_pool)
{
    CHECK_INT(fib(22), 17711);
    CHECK(yoke_own_threads() != NULL);
    CHECK(yoke_own_threads() == yoke_own_threads());
}

typedef struct six {
    double a[6];
} six;

YOKE_FORK(six, wide, (six, in))
{
    for (int i = 0; i < 6; i++)
        in.a[i] += 1;
    if (in.a[0] > 12)
        return in;
    yoke_fork(wide, in);
    six other = yoke_call(wide, in), mine = yoke_join(wide);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(other.a[i], mine.a[i], 0);
    return mine;
}

TEST(all_the_bytes_there_are)
{
    EACH_POOL(ex)
    {
        six r = yoke_run(ex, wide, (six){{0, 10, 20, 30, 40, 50}});
        for (int i = 0; i < 6; i++)
            CHECK_NEAR(r.a[i], 13 + 10 * i, 0);
    }
}

static _Atomic long calls;

YOKE_FORK(void, leaf)
{
    atomic_fetch_add(&calls, 1);
}

YOKE_FORK_DECL(bool, is_odd, (unsigned, n));

YOKE_FORK(bool, is_even, (unsigned, n))
{
    yoke_fork(leaf);
    yoke_fork(is_odd, n ? n - 1 : 1);
    bool r = n == 0 ? (yoke_join(is_odd), true) : yoke_join(is_odd);
    yoke_join(leaf);
    return r;
}

YOKE_FORK_IMPL(bool, is_odd, (unsigned, n))
{
    if (n == 0 || n == 1)
        return n == 1;
    yoke_fork(is_even, n - 1);
    return yoke_join(is_even);
}

TEST(functions_that_fork_each_other)
{
    EACH_POOL(ex)
    {
        atomic_store(&calls, 0);
        CHECK(yoke_run(ex, is_even, 1000));
        CHECK_INT(atomic_load(&calls), 500);
        CHECK(!yoke_run(ex, is_even, 1001));
        CHECK(yoke_run(ex, is_odd, 333));
    }
}

YOKE_FORK(void, fill, (int *, p), (size_t, n))
{
    if (n <= 3) {
        for (size_t i = 0; i < n; i++)
            p[i]++;
        return;
    }
    yoke_fork(fill, p, n / 3);
    yoke_fork(fill, p + n / 3, n / 3);
    yoke_call(fill, p + n / 3 * 2, n - n / 3 * 2);
    yoke_join(fill);
    yoke_join(fill);
}

TEST(everything_is_done_once)
{
    enum { N = 100003 };
    static int done[N];
    EACH_POOL(ex)
    {
        memset(done, 0, sizeof done);
        yoke_run(ex, fill, done, N);
        for (int i = 0; i < N; i++)
            CHECK_INT(done[i], 1);
    }
}

/* Depth: each level forks and calls; the tree is a path. */
YOKE_FORK(long, path, (long, n))
{
    if (n == 0)
        return 0;
    yoke_fork(path, n - 1);
    return yoke_join(path) + 1;
}

TEST(deep)
{
    EACH_POOL(ex)
        CHECK_INT(yoke_run(ex, path, 20000), 20000);
}

/* Unbalanced: the right child is a leaf nearly always. */
YOKE_FORK(long, comb, (uint64_t, seed), (int, depth))
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    if (depth == 0 || (seed >> 33) % 100 < 30)
        return 1;
    yoke_fork(comb, seed, depth - 1);
    yoke_fork(comb, seed + 1, depth / 2);
    long c = yoke_call(comb, seed + 2, depth - 3 > 0 ? depth - 3 : 0);
    long b = yoke_join(comb), a = yoke_join(comb);
    return a + b + c;
}

TEST_LIMIT(unbalanced_trees_count_the_same, 300)
{
    for (uint64_t seed = 1; seed < 30; seed++) {
        yoke_executor *alone = yoke_open("inline");
        long expected = yoke_run(alone, comb, seed, 24);
        yoke_close(alone);
        EACH_POOL(ex)
            CHECK_INT(yoke_run(ex, comb, seed, 24), expected);
    }
}

/* ---- Forks without a join ---- */

YOKE_FORK(void, careless, (int, n))
{
    atomic_fetch_add(&calls, 1);
    if (n == 0)
        return;
    yoke_fork(careless, n - 1);
    yoke_fork(careless, n - 1);
    yoke_call(careless, n - 1);
}

TEST_LIMIT(forgotten_joins_do_no_harm, 300)
{
    EACH_POOL(ex)
        for (int i = 0; i < 200; i++) {
            atomic_store(&calls, 0);
            yoke_run(ex, careless, 7);
            long after = atomic_load(&calls);
            CHECK(after >= 8);
            CHECK_INT(yoke_run(ex, fib, 12), 144);
            CHECK_INT(atomic_load(&calls), after); /* all was over when the call returned */
        }
}

/* ---- More forks than slots ---- */

YOKE_FORK(long, one, (long, i))
{
    return i;
}

YOKE_FORK(long, flat, (long, n))
{
    for (long i = 0; i < n; i++)
        yoke_fork(one, i);
    long sum = 0;
    for (long i = n - 1; i >= 0; i--) {
        long got = yoke_join(one);
        CHECK_INT(got, i);
        sum += got;
    }
    return sum;
}

TEST_LIMIT(more_forks_than_slots, 300)
{
    enum { N = (1 << 20) + 50000 };
    yoke_executor *ex = yoke_open("threads:2");
    CHECK_INT(yoke_run(ex, flat, N), (long)N * (N - 1) / 2);
    CHECK_INT(yoke_run(ex, fib, 15), 610);
    yoke_close(ex);
}

YOKE_FORK(long, flat_fib, (long, n))
{
    for (long i = 0; i < n; i++)
        yoke_fork(fib, (int)(i % 12));
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += yoke_join(fib);
    return sum;
}

TEST_LIMIT(forks_within_forks_that_found_no_slot, 300)
{
    yoke_executor *ex = yoke_open("inline"), *two = yoke_open("threads:2");
    long few = yoke_run(ex, flat_fib, 1200), n = (1 << 20) + 1200 * 20;
    /* 12 divides 1200, and 1200 divides what is beyond a multiple of it */
    n -= n % 1200;
    CHECK_INT(yoke_run(two, flat_fib, n), few * (n / 1200));
    yoke_close(ex);
    yoke_close(two);
}

TEST(few_slots_when_there_is_no_address_space)
{
    yk_forks f = {0};
    yk_sys_fail("mmap", 1, ENOMEM);
    CHECK_INT(yk_forks_init(&f), 0);
    CHECK(f.end - f.base >= 1024 && f.end - f.base < 1 << 20);
    yk_forks_done(&f);
    yk_sys_fail("mmap", 0, 0);
}

/* ---- Out of memory ---- */

/* Fails the n-th call of a thread that says so, whatever others do meanwhile. */
static _Thread_local int fails_in;
static void *(*real_malloc)(size_t);

static void *failing_malloc(size_t size)
{
    return fails_in > 0 && --fails_in == 0 ? NULL : real_malloc(size);
}

/* Before there is a thread that looks at the table. */
static yoke_executor *open_with_failures(void)
{
    real_malloc = yk_sys.malloc;
    yk_sys.malloc = failing_malloc;
    return yoke_open("threads:1");
}

/* The joins of a job that has failed return zero. */
YOKE_FORK(long, flat_sum, (long, n), (int, nth))
{
    fails_in = nth;
    for (long i = 0; i < n; i++)
        yoke_fork(one, i);
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += yoke_join(one);
    return sum;
}

YOKE_TASK(long, flat_task, (long, n), (int, nth))
{
    return flat_sum(n, nth);
}

TEST_LIMIT(without_memory_for_early_results_the_job_fails, 60)
{
    enum { N = (1 << 20) + 20 };
    yoke_executor *ex = open_with_failures();
    for (int nth = 1; nth <= 20; nth += 19) { /* the first and the last that finds no slot */
        yoke_future *f = yoke_submit(ex, flat_task, N, nth);
        CHECK_INT(yoke_wait(f), -ENOMEM);
        CHECK_HAS(yoke_error(f), "bytes for one more fork without a join");
        yoke_release(f);
        f = yoke_submit(ex, flat_task, 1000, 0); /* the worker is as good as before */
        CHECK_INT(yoke_await(f, long), 999 * 1000 / 2);
        yoke_release(f);
    }
    yoke_close(ex);
}

static void run_flat(void)
{
    yoke_run(open_with_failures(), flat_sum, (1 << 20) + 1, 1);
}

TEST_LIMIT(without_a_job_the_program_says_so_and_ends, 60)
{
    child_end end = in_child(run_flat);
    CHECK(died_of(&end, SIGABRT));
    CHECK_HAS(end.text, "yoke: out of memory: ");
    CHECK_HAS(end.text, " bytes for one more fork without a join, beyond all slots, and no job to fail");
}

static void *fib_alone(void *ex)
{
    CHECK_INT(yoke_run(ex, fib, 15), 610);
    return NULL;
}

static void run_without_worker(void)
{
    yoke_executor *ex = yoke_open("inline");
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    fib_alone(ex);
}

TEST(without_memory_for_a_worker_the_program_says_so_and_ends)
{
    child_end end = in_child(run_without_worker);
    CHECK(died_of(&end, SIGABRT));
    CHECK_HAS(end.text, " bytes for a thread that comes to run forks");
}

static void *no_map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    errno = ENOMEM;
    return MAP_FAILED;
}

YOKE_FORK(long, slots)
{
    return (long)(yk_pool_anybody()->forks.mapped / sizeof(yk_fork_slot));
}

static void *without_slots(void *ex)
{
    void *(*real)(void *, size_t, int, int, int, off_t) = yk_sys.mmap;
    yk_sys.mmap = no_map;
    fib_alone(ex);
    CHECK_INT(yoke_run(ex, flat, 3000), 3000L * 2999 / 2);
    CHECK_INT(yoke_run(ex, slots), 0);
    yk_sys.mmap = real;
    fib_alone(ex); /* has some again */
    CHECK(yoke_run(ex, slots) > 0);
    CHECK_INT(yoke_run(ex, flat, 3000), 3000L * 2999 / 2);
    return NULL;
}

TEST(alone_and_without_memory_for_slots_each_fork_runs_at_once)
{
    yoke_executor *ex = yoke_open("inline");
    without_slots(ex);
    pthread_t t; /* whose worker is freed when it ends */
    CHECK_INT(pthread_create(&t, NULL, without_slots, ex), 0);
    pthread_join(t, NULL);
    yoke_close(ex);
}

/* ---- Jobs ---- */

YOKE_TASK(long, fib_task, (int, n))
{
    return fib(n);
}

TEST(forks_in_jobs)
{
    EACH_POOL(ex)
    {
        yoke_future *fs[40];
        for (int i = 0; i < 40; i++)
            fs[i] = yoke_submit(ex, fib_task, 10 + i % 8);
        for (int i = 0; i < 40; i++) {
            CHECK_INT(yoke_await(fs[i], long), ((long[]){55, 89, 144, 233, 377, 610, 987, 1597})[i % 8]);
            yoke_release(fs[i]);
        }
    }
}

TEST(forks_in_jobs_of_processes)
{
    yoke_executor *ex = yoke_open("processes:2");
    yoke_future *f = yoke_submit(ex, fib_task, 20);
    CHECK_INT(yoke_await(f, long), 6765);
    yoke_release(f);
    yoke_close(ex);
}

/* A plain call in a body: slots in use must not be written over. */
YOKE_FORK(long, mixed, (int, n))
{
    if (n < 3)
        return 1;
    yoke_fork(mixed, n - 1);
    long b = mixed(n - 2), c = fib(5);
    CHECK_INT(c, 5);
    yoke_fork(mixed, n - 3);
    long d = yoke_join(mixed);
    return yoke_join(mixed) + b + d;
}

static long mixed_alone(int n)
{
    return n < 3 ? 1 : mixed_alone(n - 1) + mixed_alone(n - 2) + mixed_alone(n - 3);
}

TEST(plain_calls_in_bodies)
{
    EACH_POOL(ex)
        CHECK_INT(yoke_run(ex, mixed, 14), mixed_alone(14));
}

YOKE_FORK(long, submits, (int, n))
{
    if (n == 0) {
        yoke_future *f = yoke_submit(yoke_current_executor(), fib_task, 8);
        long v = yoke_await(f, long);
        yoke_release(f);
        return v;
    }
    yoke_fork(submits, n - 1);
    long b = yoke_call(submits, n - 1);
    return yoke_join(submits) + b;
}

YOKE_TASK(long, submits_task, (int, n))
{
    return submits(n);
}

TEST(forks_that_submit_and_await)
{
    EACH_POOL(ex)
    {
        yoke_future *f = yoke_submit(ex, submits_task, 5);
        CHECK_INT(yoke_await(f, long), 32 * 21);
        yoke_release(f);
    }
}

/* ---- Many at once ---- */

static void *visitor(void *ex)
{
    for (int i = 0; i < 30; i++)
        CHECK_INT(yoke_run(ex, fib, 15), 610);
    return NULL;
}

TEST(visitors_from_many_threads)
{
    EACH_POOL(ex)
    {
        pthread_t threads[12];
        for (int i = 0; i < 12; i++)
            pthread_create(&threads[i], NULL, visitor, ex);
        for (int i = 0; i < 12; i++)
            pthread_join(threads[i], NULL);
    }
}

static yoke_executor *other_pool;

YOKE_FORK(long, hops, (int, n))
{
    if (n == 0)
        return yoke_run(other_pool, fib, 10);
    yoke_fork(hops, n - 1);
    long b = yoke_call(hops, n - 1);
    return yoke_join(hops) + b;
}

TEST(from_pool_to_pool)
{
    other_pool = yoke_open("threads:2");
    EACH_POOL(ex)
        CHECK_INT(yoke_run(ex, hops, 6), 64 * 55);
    yoke_close(other_pool);
}

/* ---- Jobs that end early ---- */

static _Atomic long leaves;
static atomic_bool failed;

/* The leaves after the bad one come to their ends when it has: so how many more there are is no matter of luck. */
YOKE_FORK(long, fails_at, (int, n), (long, bad))
{
    if (n == 0) {
        long leaf = atomic_fetch_add(&leaves, 1);
        if (leaf == bad) {
            yoke_fail(EDOM, "leaf %ld is bad", bad);
            atomic_store(&failed, true);
        }
        while (bad >= 0 && leaf > bad && !atomic_load(&failed))
            usleep(100);
        return 1;
    }
    yoke_fork(fails_at, n - 1, bad);
    long b = yoke_call(fails_at, n - 1, bad);
    return yoke_join(fails_at) + b;
}

YOKE_TASK(long, fails_task, (int, n), (long, bad))
{
    return fails_at(n, bad);
}

TEST(a_failing_part_ends_the_job)
{
    EACH_POOL(ex)
    {
        atomic_store(&leaves, 0);
        atomic_store(&failed, false);
        yoke_future *f = yoke_submit(ex, fails_task, 16, 100L);
        CHECK_INT(yoke_wait(f), -EDOM);
        CHECK(strstr(yoke_error(f), "fails_task: leaf 100 is bad"));
        CHECK(atomic_load(&leaves) < 65536); /* the rest was not begun */
        yoke_release(f);
        atomic_store(&leaves, 0);
        f = yoke_submit(ex, fails_task, 10, -1L);
        CHECK_INT(yoke_await(f, long), 1024);
        yoke_release(f);
    }
}

static _Atomic bool begun;

YOKE_FORK(long, endless, (int, n))
{
    atomic_store(&begun, true);
    if (n == 0)
        return 1;
    yoke_fork(endless, n - 1);
    long b = yoke_call(endless, n - 1);
    return yoke_join(endless) + b;
}

YOKE_TASK(long, endless_task, (int, n))
{
    return endless(n);
}

TEST(a_cancelled_job_forks_no_more)
{
    for (int width = 1; width <= 8; width *= 2) {
        char uri[32];
        snprintf(uri, sizeof uri, "threads:%d", width);
        yoke_executor *ex = yoke_open(uri);
        atomic_store(&begun, false);
        yoke_future *f = yoke_submit(ex, endless_task, 60); /* would take 10^9 years */
        while (!atomic_load(&begun))
            sched_yield();
        CHECK_INT(yoke_cancel(f), -EINPROGRESS);
        CHECK_INT(yoke_wait(f), -ECANCELED); /* what its joins gave is no result */
        CHECK_HAS(yoke_error(f), "endless_task: cancelled (fork.c:");
        yoke_release(f);
        CHECK_INT(yoke_run(ex, fib, 20), 6765);
        yoke_close(ex);
    }
}

YOKE_LOOP(begins, i)
{
    atomic_store(&begun, true);
}

YOKE_TASK(int, looks_at_no_code)
{
    yoke_for(NULL, (size_t)1 << 60, begins);
    return 1;
}

TEST(a_cancelled_job_that_does_not_look_at_its_loop_has_no_result)
{
    yoke_executor *ex = yoke_open("threads:2");
    atomic_store(&begun, false);
    yoke_future *f = yoke_submit(ex, looks_at_no_code);
    while (!atomic_load(&begun))
        sched_yield();
    yoke_cancel(f);
    CHECK_INT(yoke_wait(f), -ECANCELED);
    yoke_release(f);
    yoke_close(ex);
}

YOKE_FORK(void, allocs, (int, n))
{
    if (n == 0) {
        char *p = yoke_alloc(100);
        CHECK(p != NULL);
        memset(p, 1, 100);
        return;
    }
    yoke_fork(allocs, n - 1);
    yoke_call(allocs, n - 1);
    yoke_join(allocs);
}

YOKE_TASK(void, allocs_task, (int, n))
{
    allocs(n);
}

TEST(parts_allocate_from_one_region)
{
    EACH_POOL(ex)
    {
        yoke_future *f = yoke_submit(ex, allocs_task, 12);
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
    }
}

/* ---- Sleepers ---- */

YOKE_FORK(long, slow, (int, n))
{
    if (n == 0) {
        usleep(2000);
        return 1;
    }
    yoke_fork(slow, n - 1);
    long b = yoke_call(slow, n - 1);
    return yoke_join(slow) + b;
}

TEST(those_who_wait_for_a_thief_sleep_and_wake)
{
    EACH_POOL(ex)
        for (int i = 0; i < 5; i++)
            CHECK_INT(yoke_run(ex, slow, 4), 16);
}

TEST_LIMIT(forks_find_sleeping_workers, 300)
{
    yoke_executor *ex = yoke_open("threads:4");
    for (int i = 0; i < 300; i++) {
        CHECK_INT(yoke_run(ex, fib, 12), 144);
        if (i % 3 == 0)
            usleep(1000);
    }
    yoke_close(ex);
}

/* ---- Several calls and joins in one expression ---- */

YOKE_FORK(long, call_and_join, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(call_and_join, n - 1);
    return yoke_call(call_and_join, n - 2) + yoke_join(call_and_join);
}

YOKE_FORK(long, join_and_call, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(join_and_call, n - 1);
    return yoke_join(join_and_call) + yoke_call(join_and_call, n - 2);
}

YOKE_FORK(long, join_and_join, (int, n))
{
    if (n < 2)
        return n;
    yoke_fork(join_and_join, n - 1);
    yoke_fork(join_and_join, n - 2);
    return yoke_join(join_and_join) + yoke_join(join_and_join);
}

TEST(calls_and_joins_in_one_expression)
{
    static const char *const uris[] = {"inline", "threads:1", "threads:3"};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        yoke_executor *ex = yoke_open(uris[i]);
        CHECK_INT(yoke_run(ex, call_and_join, 20), 6765);
        CHECK_INT(yoke_run(ex, join_and_call, 20), 6765);
        CHECK_INT(yoke_run(ex, join_and_join, 20), 6765);
        yoke_close(ex);
    }
}
