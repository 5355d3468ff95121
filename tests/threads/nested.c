/* nested.c - algorithms inside of loops, forks, stages and jobs, and inside of each other; more workers than CPUs; jobs in
 * processes; several pools at a time. The answers must not depend on where they are asked for. */
#include "test.h"
#include "base/base.h"
#include <unistd.h>
#include <yoke.h>

static const char *const pools[] = {"inline", "threads:1", "threads:2", "threads:16"};

static yoke_executor *close_it(yoke_executor *ex)
{
    CHECK_INT(yoke_close(ex), 0);
    return NULL;
}

#define EACH_POOL(ex)                                                                                                  \
    for (size_t pool_at = 0; pool_at < sizeof pools / sizeof *pools; pool_at++)                                        \
        for (yoke_executor *ex = yoke_open(pools[pool_at]); ex; ex = close_it(ex))

/* ---- What is done: a row of numbers goes through everything ---- */

enum { ROWS = 24, LENGTH = 20000, BINS = 16 };

YOKE_ORDER(int32_t, down, a, b)
{
    return *a > *b;
}

YOKE_KEY(int32_t, uint8_t, low_bits, e)
{
    return (uint8_t)(*e & 15);
}

YOKE_PREDICATE(is_odd, i, (const int32_t *, v))
{
    return v[i] & 1;
}

YOKE_BIN(bin_of, i, (const int32_t *, v))
{
    return (size_t)v[i] & (BINS - 1);
}

YOKE_SCAN(int64_t, sums, i, acc, other, (0), (*acc += *other), (const int32_t *, v))
{
    *acc += v[i];
}

YOKE_TRANSFORM(int32_t, mixed, i, (uint32_t, seed))
{
    return (int32_t)(((uint32_t)i * 2654435761u + seed * 40503u) >> 9);
}

typedef struct findings {
    int64_t total;
    size_t odd, first_odd, most, unique;
    uint64_t bins[BINS];
    int32_t at[4];
    int err;
} findings;

static findings examine(yoke_executor *ex, uint32_t seed)
{
    findings f;
    memset(&f, 0, sizeof f);
    int32_t *v = malloc(LENGTH * sizeof *v), *kept = malloc(LENGTH * sizeof *kept);
    int64_t *out = malloc(LENGTH * sizeof *out);
    yoke_transform(ex, LENGTH, v, mixed, seed);
    f.first_odd = yoke_find_first(ex, LENGTH, is_odd, v);
    f.most = yoke_min(ex, v, LENGTH, down);
    f.err |= yoke_histogram(ex, LENGTH, BINS, f.bins, bin_of, v);
    f.err |= yoke_sort(ex, v, LENGTH, down);
    f.err |= yoke_radix_sort(ex, v, LENGTH, low_bits); /* stable: falling within each */
    f.err |= yoke_scan(ex, LENGTH, out, sums, v);
    f.err |= yoke_select(ex, v, LENGTH, kept, &f.odd, is_odd, v);
    f.err |= yoke_unique(ex, v, LENGTH, kept, &f.unique, down);
    f.total = out[LENGTH - 1];
    for (int i = 0; i < 4; i++)
        f.at[i] = v[LENGTH / 4 * i];
    for (int i = 1; i < LENGTH; i++)
        f.err |= (v[i - 1] & 15) > (v[i] & 15) || ((v[i - 1] & 15) == (v[i] & 15) && v[i - 1] < v[i]);
    free(v);
    free(kept);
    free(out);
    return f;
}

static findings expected[ROWS];

static void expect_all(void)
{
    yoke_executor *alone = yoke_open("inline");
    for (uint32_t i = 0; i < ROWS; i++) {
        expected[i] = examine(alone, i);
        CHECK_INT(expected[i].err, 0);
        CHECK(expected[i].odd > 0 && expected[i].odd < LENGTH && expected[i].unique > LENGTH / 2);
    }
    CHECK(memcmp(&expected[0], &expected[1], sizeof *expected) != 0);
    close_it(alone);
}

static bool is_expected(uint32_t i, const findings *f)
{
    return memcmp(f, &expected[i], sizeof *f) == 0;
}

/* ---- Where ---- */

YOKE_LOOP(examine_rows, i, (yoke_executor *, ex), (_Atomic int *, right))
{
    findings f = examine(ex, (uint32_t)i);
    if (is_expected((uint32_t)i, &f))
        atomic_fetch_add(right, 1);
}

TEST(in_loops)
{
    expect_all();
    EACH_POOL(ex)
    {
        _Atomic int right = 0;
        yoke_for(ex, ROWS, examine_rows, ex, &right);
        CHECK_INT(right, ROWS);
        atomic_store(&right, 0);
        yoke_for(ex, ROWS, examine_rows, NULL, &right); /* the pool of the worker that runs the body */
        CHECK_INT(right, ROWS);
    }
}

/* A loop on one pool whose bodies use another. */
TEST(across_pools)
{
    expect_all();
    yoke_executor *outer = yoke_open("threads:3"), *inner = yoke_open("threads:2");
    _Atomic int right = 0;
    yoke_for(outer, ROWS, examine_rows, inner, &right);
    CHECK_INT(right, ROWS);
    close_it(inner);
    close_it(outer);
}

YOKE_FORK(int, examine_from, (uint32_t, from), (uint32_t, to))
{
    if (to - from > 1) {
        yoke_fork(examine_from, (from + to) / 2, to);
        int right = yoke_call(examine_from, from, (from + to) / 2);
        return right + yoke_join(examine_from);
    }
    findings f = examine(NULL, from);
    return is_expected(from, &f);
}

TEST(in_forks)
{
    expect_all();
    EACH_POOL(ex)
        CHECK_INT(yoke_run(ex, examine_from, 0, ROWS), ROWS);
}

typedef struct row {
    uint32_t next, right;
} row;

static int next_row(void **item, void *arg)
{
    row *r = arg;
    *item = (void *)(uintptr_t)r->next;
    return r->next++ == ROWS;
}

static int examine_row(void **item, void *arg)
{
    uint32_t i = (uint32_t)(uintptr_t)*item;
    findings f = examine(arg, i);
    *item = (void *)(uintptr_t)(is_expected(i, &f) ? i + 1 : 0);
    return 0;
}

static int count_row(void **item, void *arg)
{
    row *r = arg;
    r->right += (uintptr_t)*item == r->right + 1;
    return 0;
}

TEST(in_stages)
{
    expect_all();
    EACH_POOL(ex)
        for (int in_order = 0; in_order < 2; in_order++) {
            row r = {0, 0};
            const yoke_stage stages[] = {{next_row, &r, YOKE_IN_ORDER, NULL},
                                         {examine_row, in_order ? NULL : ex, in_order ? YOKE_IN_ORDER : YOKE_PARALLEL, NULL},
                                         {count_row, &r, YOKE_IN_ORDER, NULL}};
            CHECK_INT(yoke_pipeline(ex, 5, stages, 3), 0);
            CHECK_INT(r.right, ROWS);
        }
}

YOKE_TASK(int64_t, examine_in_a_job, (uint32_t, i))
{
    findings f = examine(NULL, i);
    return f.err ? -1 : f.total + (int64_t)f.odd + (int64_t)f.unique + f.at[1];
}

TEST(in_jobs_of_threads_and_processes)
{
    yoke_executor *processes = yoke_open("processes:2"); /* before there are threads */
    yoke_executor *places[] = {processes, yoke_open("threads:2"), yoke_open("threads:16"), yoke_open("inline")};
    expect_all();
    for (int place = 0; place < 4; place++) {
        yoke_future *f[ROWS];
        for (uint32_t i = 0; i < ROWS; i++)
            f[i] = yoke_submit(places[place], examine_in_a_job, i);
        for (uint32_t i = 0; i < ROWS; i++)
            CHECK_INT(yoke_await(f[i], int64_t), expected[i].total + (int64_t)expected[i].odd + (int64_t)expected[i].unique +
                                                     expected[i].at[1]);
        close_it(places[place]);
    }
}

/* A predicate and an order that themselves look for something in parallel. */
YOKE_PREDICATE(has_odd, i, (const int32_t *, v))
{
    return yoke_find_first(NULL, i + 1, is_odd, v) <= i;
}

TEST(in_each_other)
{
    static int32_t v[3000];
    for (int i = 0; i < 3000; i++)
        v[i] = i == 2500 ? 1 : 2;
    EACH_POOL(ex)
    {
        CHECK_INT(yoke_find_first(ex, 3000, has_odd, v), 2500);
        CHECK_INT(yoke_count(ex, 3000, has_odd, v), 500);
    }
}

/* An executor that failed to open: the caller does the work alone. */
TEST(without_a_pool)
{
    expect_all();
    yoke_executor *none = yoke_open("threads:none");
    CHECK(yoke_executor_status(none) < 0);
    findings f = examine(none, 3);
    CHECK(is_expected(3, &f));
    close_it(none);
}

/* ---- Jobs that are over ---- */

static _Atomic int codes[5];

YOKE_TASK(int, all_after_failure)
{
    static int32_t v[LENGTH], to[LENGTH];
    static int64_t out[LENGTH];
    size_t kept = 99;
    uint64_t bins[BINS] = {77};
    row r = {0, 0};
    const yoke_stage stages[] = {{next_row, &r, YOKE_IN_ORDER, NULL}};
    yoke_fail(EIO, "before");
    codes[0] = yoke_sort(NULL, v, LENGTH, down);
    codes[1] = yoke_scan(NULL, LENGTH, out, sums, v);
    codes[2] = yoke_select(NULL, v, LENGTH, to, &kept, is_odd, v);
    codes[3] = yoke_histogram(NULL, LENGTH, BINS, bins, bin_of, v);
    codes[4] = yoke_pipeline(NULL, 2, stages, 1);
    return kept == 99 && bins[0] == 77 && r.next == 0 ? 0 : 1;
}

TEST(nothing_begins_in_a_job_that_has_failed)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *f = yoke_submit(ex, all_after_failure);
    CHECK_INT(yoke_wait(f), -EIO);
    for (int i = 0; i < 5; i++)
        CHECK_INT(codes[i], -ECANCELED);
    yoke_release(f);
    close_it(ex);
}
