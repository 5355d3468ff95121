/* algorithm.c - find, count, select, unique, least and greatest, transform, histograms: against plain loops, on every pool, of
 * any type, cancelled, without memory. */
#include "pools.h"
#include "base/base.h"
#include <math.h>
#include <unistd.h>
#include <yoke.h>

enum { N = 300007 };
static const size_t lengths[] = {0, 1, 2, 3, 63, 64, 65, 127, 1000, 4095, 4096, 4097, 32768, 65536, 65537, 100000, N};
#define LENGTHS (sizeof lengths / sizeof *lengths)
static int32_t x[N], out[N + 1];
static unsigned char bytes[N];

static void fill(uint64_t kinds)
{
    for (size_t i = 0; i < N; i++)
        x[i] = (int32_t)(test_random() % kinds);
}

/* ---- find and count ---- */

YOKE_PREDICATE(is, i, (const int32_t *, v), (int32_t, what))
{
    return v[i] == what;
}

YOKE_PREDICATE(at_999, i)
{
    return i == 999;
}

TEST(finds_the_first)
{
    memset(x, 0, sizeof x);
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++) {
            size_t n = lengths[k], places[] = {0, n / 3, n / 2, n ? n - 1 : 0};
            CHECK_INT(yoke_find_first(ex, n, is, x, 1), n);
            for (size_t p = 0; p < 4 && n; p++) {
                size_t more = places[p] + test_random() % (n - places[p]);
                x[places[p]] = x[more] = 1;
                x[n - 1] = 1;
                CHECK_INT(yoke_find_first(ex, n, is, x, 1), places[p]);
                x[places[p]] = x[more] = x[n - 1] = 0;
            }
            CHECK_INT(yoke_find_first(ex, n, at_999), n > 999 ? 999 : n);
            CHECK_INT(yoke_count(ex, n, at_999), n > 999);
        }
}

static _Atomic size_t looked;

YOKE_PREDICATE(looks, i, (size_t, hit))
{
    atomic_fetch_add_explicit(&looked, 1, memory_order_relaxed);
    return i == hit;
}

TEST(stops_beyond_a_hit)
{
    EACH_POOL(ex)
        for (size_t hit = 0; hit < 2000000; hit = hit * 3 + 1) {
            atomic_store(&looked, 0);
            CHECK_INT(yoke_find_first(ex, (size_t)1 << 40, looks, hit), hit);
            CHECK(atomic_load(&looked) < (size_t)1 << 34); /* others run on until they notice, but not through it all */
        }
}

YOKE_PREDICATE(is_slow, i)
{
    usleep(100);
    return i == 150;
}

TEST(slow_predicates)
{
    yoke_executor *ex = yoke_open("threads:3");
    CHECK_INT(yoke_find_first(ex, 200, is_slow), 150);
    CHECK_INT(yoke_count(ex, 200, is_slow), 1);
    close_it(ex);
}

TEST(counts)
{
    fill(3);
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++) {
            size_t expected = 0;
            for (size_t i = 0; i < lengths[k]; i++)
                expected += x[i] == 1;
            CHECK_INT(yoke_count(ex, lengths[k], is, x, 1), expected);
        }
}

/* ---- select and unique ---- */

YOKE_PREDICATE(below, i, (const int32_t *, v), (int32_t, what))
{
    return v[i] < what;
}

static void check_select(yoke_executor *ex, size_t n, int32_t limit)
{
    size_t kept = 77, expected = 0;
    memset(out, 0xff, sizeof out);
    CHECK_INT(yoke_select(ex, x, n, out, &kept, below, x, limit), 0);
    for (size_t i = 0; i < n; i++)
        if (x[i] < limit)
            CHECK_INT(out[expected++], x[i]);
    CHECK_INT(kept, expected);
    for (size_t i = kept; i <= N; i++)
        CHECK(out[i] == -1);
}

TEST(selects_in_order)
{
    fill(1000);
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++)
            for (int32_t limit = 0; limit <= 1000; limit += 250)
                check_select(ex, lengths[k], limit);
}

/* Elements of any size; the predicate looks at something else. */
#define SELECT_OF(size)                                                                                                \
    typedef struct of_##size {                                                                                         \
        unsigned char at[size];                                                                                        \
    } of_##size;                                                                                                       \
    static void select_of_##size(yoke_executor *ex)                                                                    \
    {                                                                                                                  \
        enum { MANY = 40000 };                                                                                         \
        static of_##size from[MANY], to[MANY];                                                                         \
        size_t kept, k = 0;                                                                                            \
        for (size_t i = 0; i < MANY; i++)                                                                              \
            memset(from[i].at, (int)(i * 7 % 251), size);                                                              \
        CHECK_INT(yoke_select(ex, from, MANY, to, &kept, below, x, 500), 0);                                           \
        for (size_t i = 0; i < MANY; i++)                                                                              \
            if (x[i] < 500)                                                                                            \
                CHECK(memcmp(&to[k++], &from[i], size) == 0);                                                          \
        CHECK_INT(kept, k);                                                                                            \
    }
SELECT_OF(1)
SELECT_OF(3)
SELECT_OF(8)
SELECT_OF(24)

TEST(elements_of_any_size)
{
    fill(1000);
    EACH_POOL(ex)
    {
        select_of_1(ex);
        select_of_3(ex);
        select_of_8(ex);
        select_of_24(ex);
    }
}

YOKE_ORDER(int32_t, up, a, b)
{
    return *a < *b;
}

YOKE_ORDER(int32_t, by_rest, a, b, (int32_t, divisor))
{
    return *a % divisor < *b % divisor;
}

TEST(unique)
{
    fill(4);
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++) {
            size_t n = lengths[k], kept = 77, expected = 0;
            CHECK_INT(yoke_unique(ex, x, n, out, &kept, up), 0);
            for (size_t i = 0; i < n; i++)
                if (i == 0 || x[i] != x[i - 1])
                    CHECK_INT(out[expected++], x[i]);
            CHECK_INT(kept, expected);
            CHECK_INT(yoke_unique(ex, x, n, out, &kept, by_rest, 1), 0);
            CHECK_INT(kept, n > 0);
        }
}

/* ---- The least and the greatest ---- */

YOKE_ORDER(double, ascending, a, b)
{
    return *a < *b;
}

TEST(least_and_greatest)
{
    fill(100000);
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++) {
            size_t n = lengths[k], least = 0, most = 0, rest = 0;
            for (size_t i = 1; i < n; i++) {
                least = x[i] < x[least] ? i : least;
                most = x[i] > x[most] ? i : most;
                rest = x[i] % 7 < x[rest] % 7 ? i : rest;
            }
            CHECK_INT(yoke_min(ex, x, n, up), least);
            CHECK_INT(yoke_max(ex, x, n, up), most);
            CHECK_INT(yoke_min(ex, x, n, by_rest, 7), rest); /* many equals: the first of them */
        }
    double d[] = {0.0, -0.0, 3, INFINITY, -INFINITY, INFINITY, -INFINITY};
    CHECK_INT(yoke_min(NULL, d, 7, ascending), 4);
    CHECK_INT(yoke_max(NULL, d, 7, ascending), 3);
    CHECK_INT(yoke_min(NULL, d, 2, ascending), 0);
}

/* ---- transform ---- */

YOKE_TRANSFORM(int32_t, doubled, i, (const int32_t *, v))
{
    return 2 * v[i];
}

YOKE_TRANSFORM(double, root_of, i)
{
    return sqrt((double)i);
}

TEST(transforms)
{
    fill(1000);
    static double roots[N];
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++) {
            size_t n = lengths[k];
            memset(out, 0xff, sizeof out);
            yoke_transform(ex, n, out, doubled, x);
            for (size_t i = 0; i < n; i++)
                CHECK_INT(out[i], 2 * x[i]);
            CHECK_INT(out[n], -1);
            yoke_transform(ex, n, out, doubled, out); /* in place */
            CHECK(n == 0 || out[n - 1] == 4 * x[n - 1]);
            yoke_transform(ex, n, roots, root_of);
            CHECK(n == 0 || roots[n - 1] == sqrt((double)(n - 1)));
        }
}

/* ---- Histograms ---- */

YOKE_BIN(byte_at, i, (const unsigned char *, b))
{
    return b[i];
}

YOKE_BIN(itself, i)
{
    return i;
}

TEST(histograms)
{
    for (size_t i = 0; i < N; i++)
        bytes[i] = (unsigned char)(test_random() % 3 ? 5 : test_random());
    static const size_t bins[] = {1, 6, 200, 256};
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++)
            for (size_t b = 0; b < 4; b++) {
                uint64_t counts[257], expected[257] = {0};
                memset(counts, 0xee, sizeof counts);
                for (size_t i = 0; i < lengths[k]; i++)
                    expected[bytes[i] < bins[b] ? bytes[i] : 256]++;
                CHECK_INT(yoke_histogram(ex, lengths[k], bins[b], counts, byte_at, bytes), 0);
                CHECK(memcmp(counts, expected, bins[b] * sizeof *counts) == 0);
                CHECK(counts[256] == 0xeeeeeeeeeeeeeeee);
            }
}

YOKE_BIN(modulo, i, (size_t, n))
{
    return i % n;
}

TEST(histograms_with_many_bins)
{
    static uint64_t counts[N];
    yoke_executor *ex = yoke_open("threads:3");
    CHECK_INT(yoke_histogram(ex, N, N, counts, itself), 0);
    for (size_t i = 0; i < N; i++)
        CHECK_INT(counts[i], 1);
    for (size_t bins = 511; bins <= 513; bins++) { /* with several tables, and with one */
        CHECK_INT(yoke_histogram(ex, N, bins, counts, modulo, bins), 0);
        for (size_t i = 0; i < bins; i++)
            CHECK_INT(counts[i], N / bins + (i < N % bins));
        CHECK_INT(counts[bins], 1);
        for (size_t i = 0; i < bins; i++)
            counts[i] = 1;
    }
    CHECK_INT(yoke_histogram(ex, 10, 0, NULL, itself), 0);
    CHECK_INT(yoke_histogram(ex, 10, SIZE_MAX / 4, counts, itself), -ENOMEM);
    CHECK_INT(counts[N - 1], 1);
    close_it(ex);
}

/* ---- Where it runs, and what goes wrong ---- */

YOKE_TASK(int, all_in_a_job)
{
    size_t kept;
    uint64_t counts[256];
    int32_t *to = malloc(N * sizeof *to);
    int err = yoke_select(NULL, x, N, to, &kept, below, x, 500) || kept != yoke_count(NULL, N, below, x, 500) ||
              yoke_find_first(NULL, N, is, x, -1) != N || x[yoke_max(NULL, x, N, up)] >= 1000 ||
              yoke_histogram(NULL, N, 256, counts, byte_at, bytes);
    free(to);
    return err;
}

TEST(many_at_a_time_in_jobs)
{
    fill(1000);
    EACH_POOL(ex)
    {
        yoke_future *f[8];
        for (int i = 0; i < 8; i++)
            f[i] = yoke_submit(ex, all_in_a_job);
        for (int i = 0; i < 8; i++)
            CHECK_INT(yoke_await(f[i], int), 0);
    }
}

TEST(out_of_memory)
{
    yoke_executor *ex = yoke_open("inline");
    size_t kept = 5;
    fill(1000);
    CHECK_INT(yoke_find_first(ex, N, is, x, -1), N); /* from now on this thread is known to the pool */
    for (int nth = 1; nth <= 3; nth++) {
        memset(out, 0xff, sizeof out);
        yk_sys_fail("posix_memalign", nth, ENOMEM);
        CHECK_INT(yoke_select(ex, x, N, out, &kept, below, x, 500), -ENOMEM);
        CHECK_INT(yk_sys_fail("posix_memalign", 0, 0), nth);
        CHECK(kept == 5 && out[0] == -1);
    }
    uint64_t counts[256] = {3};
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK_INT(yoke_histogram(ex, N, 256, counts, byte_at, bytes), -ENOMEM);
    CHECK_INT(yk_sys_fail("posix_memalign", 0, 0), 1);
    CHECK_INT(counts[0], 3);
    close_it(ex);
}

static _Atomic long asked;
static _Atomic int hopeless_result, cancelled;

YOKE_PREDICATE(never, i)
{
    if (atomic_fetch_add(&asked, 1) >= 1000)
        while (!atomic_load(&cancelled)) /* and not through before it is */
            usleep(100);
    return false;
}

YOKE_TASK(int, hopeless, (int, which))
{
    size_t kept = 0;
    atomic_store(&hopeless_result, which == 0   ? yoke_find_first(NULL, SIZE_MAX / 2, never) != SIZE_MAX / 2
                 : which == 1 ? yoke_count(NULL, SIZE_MAX / 2, never) > 0
                              : yoke_select(NULL, x, N, out, &kept, never) != -ECANCELED);
    return yoke_cancelled() ? 0 : 1;
}

TEST(cancelled)
{
    for (int which = 0; which < 3; which++) {
        yoke_executor *ex = yoke_open("threads:2");
        atomic_store(&asked, 0);
        atomic_store(&cancelled, 0);
        atomic_store(&hopeless_result, 9);
        yoke_future *f = yoke_submit(ex, hopeless, which);
        while (atomic_load(&asked) < 1000)
            usleep(100);
        yoke_cancel(f);
        atomic_store(&cancelled, 1);
        yoke_wait(f);
        yoke_release(f);
        yoke_close(ex);
        CHECK_INT(atomic_load(&hopeless_result), 0);
    }
}
