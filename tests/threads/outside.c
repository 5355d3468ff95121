/* outside.c - loops, algorithms and forks called from outside of any job: yoke_fail() in a body ends the outermost call, which
 * returns the code, and the text is reported once. And what NULL means in place of an executor. */
#include "test.h"
#include "base/base.h"
#include "base/sys.h"
#include <pthread.h>
#include <yoke.h>

static const char *const pools[] = {"inline", "threads:1", "threads:3"};
#define EACH_POOL(ex)                                                                                                  \
    for (size_t pool_at = 0; pool_at < YK_COUNT_OF(pools); pool_at++)                                                  \
        for (yoke_executor *ex = yoke_open(pools[pool_at]); ex; yoke_close(ex), ex = NULL)

/* ---- What is reported ---- */

static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;
static char told[400];
static int told_times;

static void note(const char *text, void *arg)
{
    pthread_mutex_lock(&told_lock);
    snprintf(told, sizeof told, "%s", text);
    told_times++;
    pthread_mutex_unlock(&told_lock);
}

/* One report since the last look, with these words. */
static void check_told(const char *words)
{
    CHECK_INT(told_times, 1);
    CHECK_HAS(told, words);
    told_times = 0;
}

/* ---- Bodies that fail ---- */

enum { N = 200000 };
static _Atomic long done;
static int32_t from[N], to[N];

YOKE_LOOP(fails_at, i, (size_t, at))
{
    atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    if (i == at)
        yoke_fail(EDOM, "iteration %zu is one too many", i);
}

YOKE_REDUCE(long, sum, i, acc, other, (0), (*acc += *other), (size_t, at))
{
    *acc += 1;
    if (i == at)
        yoke_fail(EDOM, "no such addend");
}

YOKE_SCAN(int32_t, sums, i, acc, other, (0), (*acc += *other), (size_t, at))
{
    *acc += i == at ? yoke_fail(EDOM, "no such element") : 1;
}

YOKE_PREDICATE(picks, i, (size_t, at))
{
    return i == at ? yoke_fail(EDOM, "no such index") : false;
}

YOKE_TRANSFORM(int32_t, made, i, (size_t, at))
{
    return i == at ? yoke_fail(EDOM, "cannot make it") : (int32_t)i;
}

YOKE_BIN(bin_of, i, (size_t, at))
{
    return i == at ? (size_t)-yoke_fail(EDOM, "no such bin") : 0;
}

YOKE_ORDER(int32_t, by_value, a, b, (int32_t, wrong))
{
    if (*a == wrong)
        yoke_fail(EDOM, "cannot be compared");
    return *a < *b;
}

YOKE_FORK(long, leaves, (int, depth), (int, bad))
{
    if (depth == 0)
        return bad ? yoke_fail(-ERANGE, "a bad leaf") : 1;
    yoke_fork(leaves, depth - 1, 0);
    long b = yoke_call(leaves, depth - 1, bad), a = yoke_join(leaves);
    return a + b;
}

TEST(a_loop_returns_the_code_and_leaves_the_rest_out)
{
    yoke_on_lost_error(note, NULL);
    EACH_POOL(ex) {
        atomic_store(&done, 0);
        CHECK_INT(yoke_for(ex, (size_t)1 << 40, fails_at, 0), -EDOM); /* all of it would take days */
        CHECK(atomic_load(&done) < (long)1 << 36);
        check_told("outside of any task: iteration 0 is one too many (outside.c:");
        atomic_store(&done, 0);
        CHECK_INT(yoke_for(ex, N, fails_at, N), 0); /* nothing is left of it */
        CHECK_INT(atomic_load(&done), N);
        CHECK_INT(told_times, 0);
        CHECK_INT(yoke_for(ex, 0, fails_at, 0), 0);
    }
}

TEST(algorithms_return_the_code)
{
    yoke_on_lost_error(note, NULL);
    for (int32_t i = 0; i < N; i++)
        from[i] = (i * 7919) % N;
    EACH_POOL(ex) {
        uint64_t counts[2];
        size_t kept;
        yoke_reduce(ex, N, sum, 5);
        check_told("no such addend");
        CHECK_INT(yoke_scan(ex, N, to, sums, 5), -EDOM);
        check_told("no such element");
        yoke_count(ex, N, picks, 5);
        check_told("no such index");
        yoke_find_first(ex, N, picks, N - 1);
        check_told("no such index");
        CHECK_INT(yoke_select(ex, from, N, to, &kept, picks, 5), -EDOM);
        check_told("no such index");
        CHECK_INT(yoke_transform(ex, N, to, made, 5), -EDOM);
        check_told("cannot make it");
        CHECK_INT(yoke_transform(ex, N, (int32_t *)NULL, made, N), -EINVAL);
        CHECK_INT(yoke_histogram(ex, N, 2, counts, bin_of, 5), -EDOM);
        check_told("no such bin");
        CHECK_INT(yoke_sort(ex, from, N, by_value, 77), -EDOM);
        check_told("cannot be compared");
        CHECK_INT(yoke_sort(ex, from, 50, by_value, from[3]), -EDOM);
        check_told("cannot be compared");
    }
}

TEST(forks_are_reported)
{
    yoke_on_lost_error(note, NULL);
    EACH_POOL(ex) {
        yoke_run(ex, leaves, 14, 1);
        check_told("a bad leaf");
        CHECK_INT(yoke_run(ex, leaves, 10, 0), 1024);
        CHECK_INT(told_times, 0);
    }
    leaves(12, 1); /* a plain call: on the process's own pool */
    check_told("a bad leaf");
}

static int stage(void **item, void *arg)
{
    int *left = arg;
    if (--*left == 0)
        return yoke_fail(EDOM, "the last one is broken");
    *item = NULL;
    return 0;
}

TEST(pipelines_return_the_code)
{
    yoke_on_lost_error(note, NULL);
    EACH_POOL(ex) {
        int left = 40;
        const yoke_stage stages[] = {{stage, &left, YOKE_IN_ORDER, NULL}};
        CHECK_INT(yoke_pipeline(ex, 4, stages, 1), -EDOM);
        check_told("the last one is broken");
    }
}

/* ---- Inside of each other, and inside jobs ---- */

static _Atomic int inner_err;

YOKE_LOOP(nests, i, (yoke_executor *, ex))
{
    int err = yoke_for(ex, 1000, fails_at, 500);
    if (err < 0)
        atomic_store(&inner_err, err);
}

TEST(the_outermost_call_tells)
{
    yoke_on_lost_error(note, NULL);
    EACH_POOL(ex) {
        atomic_store(&inner_err, 0);
        CHECK_INT(yoke_for(ex, 3, nests, ex), -EDOM);
        CHECK_INT(atomic_load(&inner_err), -ECANCELED);
        check_told("iteration 500 is one too many");
    }
}

YOKE_TASK(int, job_with_a_loop)
{
    return yoke_for(NULL, (size_t)1 << 40, fails_at, 0) == -ECANCELED ? 1 : 2;
}

TEST(inside_a_job_it_is_the_jobs_error)
{
    yoke_on_lost_error(note, NULL);
    EACH_POOL(ex) {
        yoke_future *f = yoke_submit(ex, job_with_a_loop);
        CHECK_INT(yoke_wait(f), -EDOM);
        CHECK_HAS(yoke_error(f), "job_with_a_loop: iteration 0 is one too many");
        CHECK_INT(told_times, 0);
    }
}

YOKE_LOOP(looks, i, (_Atomic int *, wrong))
{
    if (yoke_alloc(1) || yoke_attempt() != 0 || yoke_cancelled() || yoke_current_executor() || yoke_deadline() != YOKE_FOREVER)
        atomic_fetch_add(wrong, 1);
    yoke_progress(1, 2);
}

TEST(a_body_outside_of_jobs_is_no_task)
{
    EACH_POOL(ex) {
        _Atomic int wrong = 0;
        CHECK_INT(yoke_for(ex, 1000, looks, &wrong), 0);
        CHECK_INT(atomic_load(&wrong), 0);
    }
    CHECK_INT(yoke_fail(5, "nobody listens"), -5);
}

YOKE_TASK(int, fails)
{
    return yoke_fail(EXDEV, "out of reach");
}

YOKE_LOOP(awaits, i, (yoke_future *, f))
{
    if (yoke_await(f, int) != 0)
        yoke_fail(EPROTO, "the value is zero");
}

TEST(an_await_that_fails_ends_the_call)
{
    yoke_on_lost_error(note, NULL);
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *f = yoke_submit(ex, fails);
    CHECK_INT(yoke_for(ex, 10, awaits, f), -EXDEV);
    check_told("out of reach");
    yoke_close(ex);
}

/* ---- Several at a time, and without memory ---- */

static void *loops(void *arg)
{
    yoke_executor *ex = arg;
    intptr_t wrong = 0;
    for (size_t i = 0; i < 200; i++) {
        bool bad = i % 2;
        wrong += yoke_for(ex, 500, fails_at, bad ? i : SIZE_MAX) != (bad ? -EDOM : 0);
    }
    return (void *)wrong;
}

TEST(each_thread_has_a_call_of_its_own)
{
    enum { THREADS = 4 };
    yoke_on_lost_error(note, NULL);
    yoke_executor *ex = yoke_open("threads:2");
    pthread_t t[THREADS];
    void *wrong;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&t[i], NULL, loops, ex), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(t[i], &wrong), 0);
        CHECK_INT((intptr_t)wrong, 0);
    }
    CHECK_INT(told_times, THREADS * 100);
    yoke_close(ex);
}

TEST(without_memory_for_the_text)
{
    yoke_on_lost_error(note, NULL);
    yoke_executor *ex = yoke_open("inline");
    CHECK_INT(yoke_for(ex, 10, fails_at, 3), -EDOM); /* this thread's worker is there from now on */
    check_told("iteration 3");
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    int err = yoke_for(ex, 10, fails_at, 3);
    CHECK(yk_sys_fail("posix_memalign", 0, 0) >= 1);
    CHECK_INT(err, -EDOM);
    check_told("out of memory while another error was reported");
    yoke_close(ex);
}

/* ---- NULL in place of an executor ---- */

YOKE_TASK(bool, on_its_own_executor, (uintptr_t, expected))
{
    yoke_executor *ex = yoke_current_executor();
    yoke_pool_counts mine, null;
    return (uintptr_t)ex == expected && yoke_executor_width(NULL) == yoke_executor_width(ex)
           && yoke_executor_status(NULL) == 0 && yoke_pool_workers(NULL) == yoke_pool_workers(ex)
           && yoke_pool_stats(NULL, 0, &null) == yoke_pool_stats(ex, 0, &mine);
}

YOKE_TASK(uintptr_t, where)
{
    return (uintptr_t)yoke_current_executor();
}

YOKE_TASK(uintptr_t, where_null_is)
{
    return yoke_await(yoke_submit(NULL, where), uintptr_t);
}

TEST(null_is_the_executor_of_the_task)
{
    EACH_POOL(ex) {
        CHECK(yoke_await(yoke_submit(ex, on_its_own_executor, (uintptr_t)ex), bool));
        CHECK(yoke_await(yoke_submit(ex, where_null_is), uintptr_t) == (uintptr_t)ex);
    }
}

TEST(null_outside_of_tasks_is_the_own_pool)
{
    yoke_executor *own = yoke_own_threads();
    yoke_pool_counts c;
    CHECK(yoke_await(yoke_submit(NULL, where), uintptr_t) == (uintptr_t)own);
    CHECK(yoke_await(yoke_opt_submit(NULL, (priority = 1), where), uintptr_t) == (uintptr_t)own);
    CHECK(yoke_await(yoke_kw_submit(NULL, where), uintptr_t) == (uintptr_t)own);
    CHECK_INT(yoke_pool_stats(NULL, YOKE_POOL_TOTAL, &c), 0);
    CHECK(c.jobs >= 3);
    CHECK_INT(yoke_pool_stats(NULL, YOKE_POOL_TOTAL, NULL), -EINVAL);
    CHECK_INT(yoke_pool_places(NULL), yoke_pool_places(own));
    CHECK_INT(yoke_executor_width(NULL), yoke_executor_width(own));
    CHECK_STR(yoke_executor_error(NULL), "");
    void *memory = yoke_shared_alloc(NULL, 100);
    CHECK(memory != NULL);
    yoke_shared_free(NULL, memory);
    CHECK_INT(yoke_close(NULL), 0); /* nothing to close */
    CHECK(yoke_await(yoke_submit(NULL, where), uintptr_t) == (uintptr_t)own);
}

/* ---- Inside bodies ---- */

typedef struct looked {
    yoke_executor *expected;
    unsigned places;
    _Atomic int wrong;
} looked;

YOKE_LOOP(checks_places, i, (looked *, l))
{
    if (yoke_pool_places(NULL) != l->places)
        atomic_fetch_add(&l->wrong, 1);
}

YOKE_TASK(unsigned, places_of_null)
{
    return yoke_pool_places(NULL);
}

static void check_null(looked *l)
{
    bool wrong = yoke_pool_places(NULL) != l->places || yoke_executor_width(NULL) != yoke_executor_width(l->expected)
                 || yoke_await(yoke_submit(NULL, where), uintptr_t) != (uintptr_t)l->expected
                 || yoke_await(yoke_submit(NULL, places_of_null), unsigned) != l->places
                 || yoke_for(NULL, 20, checks_places, l) != 0;
    if (wrong)
        atomic_fetch_add(&l->wrong, 1);
}

YOKE_LOOP(null_in_a_loop, i, (looked *, l))
{
    check_null(l);
}

YOKE_FORK(void, null_in_forks, (int, depth), (looked *, l))
{
    check_null(l);
    if (depth == 0)
        return;
    yoke_fork(null_in_forks, depth - 1, l);
    yoke_call(null_in_forks, depth - 1, l);
    yoke_join(null_in_forks);
}

static const char *const others[] = {"inline", "threads:1", "threads:7"};

TEST(null_in_a_body_is_the_pool_that_runs_it)
{
    for (size_t i = 0; i < YK_COUNT_OF(others); i++) {
        yoke_executor *ex = yoke_open(others[i]);
        looked l = {.expected = ex, .places = yoke_pool_places(ex)};
        CHECK_INT(yoke_for(ex, 30, null_in_a_loop, &l), 0);
        yoke_run(ex, null_in_forks, 3, &l);
        CHECK_INT(atomic_load(&l.wrong), 0);
        CHECK(yoke_await(yoke_submit(NULL, where), uintptr_t) == (uintptr_t)yoke_own_threads()); /* and outside again */
        yoke_close(ex);
    }
    looked l = {.expected = yoke_own_threads(), .places = yoke_pool_places(yoke_own_threads())};
    CHECK_INT(yoke_for(NULL, 30, null_in_a_loop, &l), 0);
    CHECK_INT(atomic_load(&l.wrong), 0);
}

YOKE_TASK(int, loops_on, (uintptr_t, on), (uintptr_t, own))
{
    looked l = {.expected = (yoke_executor *)on, .places = yoke_pool_places((yoke_executor *)on)};
    int err = yoke_for(l.expected, 30, null_in_a_loop, &l);
    looked mine = {.expected = (yoke_executor *)own, .places = yoke_pool_places((yoke_executor *)own)};
    check_null(&mine);
    return err != 0 ? err : atomic_load(&l.wrong) + atomic_load(&mine.wrong);
}

TEST(null_in_a_body_of_a_task_that_goes_elsewhere)
{
    yoke_executor *on = yoke_open("threads:5");
    EACH_POOL(ex) {
        CHECK_INT(yoke_await(yoke_submit(ex, loops_on, (uintptr_t)on, (uintptr_t)ex), int), 0);
        CHECK_INT(yoke_await(yoke_submit(on, loops_on, (uintptr_t)ex, (uintptr_t)on), int), 0);
    }
    yoke_close(on);
}
