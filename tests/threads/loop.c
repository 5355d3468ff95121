/* loop.c - parallel loops and reductions: every iteration once, on any pool, of any shape; the same result to the last bit. */
#include "pools.h"
#include "base/base.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke.h>

/* ---- Every iteration once ---- */

enum { N = 200003 };
static unsigned char times[N];

YOKE_LOOP(mark, i, (unsigned char *, at))
{
    at[i]++;
}

static void check_marks(size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_INT(times[i], 1);
    for (size_t i = n; i < N; i++)
        CHECK_INT(times[i], 0);
}

TEST(every_iteration_once)
{
    static const size_t lengths[] = {0, 1, 2, 3, 7, 64, 1000, 4097, N};
    EACH_POOL(ex)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            memset(times, 0, sizeof times);
            yoke_for(ex, lengths[k], mark, times);
            check_marks(lengths[k]);
        }
}

TEST(the_process_own_pool)
{
    memset(times, 0, sizeof times);
    yoke_for(NULL, N, mark, times);
    check_marks(N);
}

static _Atomic long count;

YOKE_LOOP(add_index, i)
{
    atomic_fetch_add(&count, (long)i);
}

TEST(no_parameters)
{
    EACH_POOL(ex)
    {
        atomic_store(&count, 0);
        yoke_for(ex, 1000, add_index);
        CHECK_INT(atomic_load(&count), 499500);
    }
}

YOKE_LOOP(sixteen, i, (int, a), (int, b), (int, c), (int, d), (int, e), (int, f), (int, g), (int, h), (int, k), (int, l),
          (int, m), (int, n), (int, o), (int, p), (int, q), (long *, out))
{
    out[i] = a + b + c + d + e + f + g + h + k + l + m + n + o + p + q;
}

TEST(many_parameters)
{
    long out[100];
    yoke_for(NULL, 100, sixteen, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, out);
    for (int i = 0; i < 100; i++)
        CHECK_INT(out[i], 120);
}

/* Uneven: nearly all the work is in the last iterations. */
YOKE_LOOP(uneven, i, (unsigned char *, at), (size_t, n))
{
    if (i + 8 >= n)
        usleep(3000);
    at[i]++;
}

TEST(uneven_work)
{
    EACH_POOL(ex)
    {
        memset(times, 0, sizeof times);
        yoke_for(ex, 300, uneven, times, 300);
        check_marks(300);
    }
}

/* Many short iterations: chunks then begin where a vectorised body reads whole lines of the cache. */
static atomic_size_t crooked, all;

static void short_ones(size_t lo, size_t hi, const void *args)
{
    (void)args;
    crooked += hi - lo >= 1024 && lo % 64 != 0;
    all += hi - lo;
}

TEST(long_chunks_begin_at_multiples_of_64)
{
    EACH_POOL(ex)
    {
        crooked = all = 0;
        CHECK_INT(yk_loop(ex, 300000007, short_ones, NULL), 0);
        CHECK_INT(all, 300000007);
        CHECK_INT(crooked, 0);
    }
}

/* ---- Two and three dimensions ---- */

YOKE_LOOP2(mark2, i, j, (unsigned char *, at), (size_t, columns))
{
    at[i * columns + j]++;
}

YOKE_LOOP3(mark3, i, j, k, (unsigned char *, at), (size_t, m), (size_t, o))
{
    at[(i * m + j) * o + k]++;
}

YOKE_LOOP2(count2, i, j)
{
    atomic_fetch_add(&count, (long)(i * 100 + j));
}

TEST(two_and_three_dimensions)
{
    static const size_t shapes[][3] = {{1, 1, 1}, {1, 1000, 1}, {1000, 1, 1}, {7, 11, 13}, {100, 200, 3}, {3, 1, 5000}, {0, 5, 5},
                                       {5, 0, 5}, {5, 5, 0}};
    EACH_POOL(ex)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            size_t n = shapes[s][0], m = shapes[s][1], o = shapes[s][2];
            memset(times, 0, sizeof times);
            yoke_for2(ex, n, m, mark2, times, m);
            check_marks(n * m);
            memset(times, 0, sizeof times);
            yoke_for3(ex, n, m, o, mark3, times, m, o);
            check_marks(n * m * o);
        }
    atomic_store(&count, 0);
    yoke_for2(NULL, 10, 20, count2);
    CHECK_INT(atomic_load(&count), 10 * 190 + 20 * 4500);
}

/* ---- Nested, from jobs, from many threads ---- */

YOKE_LOOP(outer, i, (unsigned char *, at))
{
    yoke_for(NULL, 50, mark, at + i * 50);
}

YOKE_TASK(bool, loops, (int, n))
{
    unsigned char *at = yoke_alloc((size_t)n * 50);
    memset(at, 0, (size_t)n * 50);
    yoke_for(NULL, (size_t)n, outer, at);
    for (int i = 0; i < n * 50; i++)
        if (at[i] != 1)
            return false;
    return true;
}

TEST(loops_in_loops_in_jobs)
{
    EACH_POOL(ex)
    {
        yoke_future *fs[10];
        for (int i = 0; i < 10; i++)
            fs[i] = yoke_submit(ex, loops, 100);
        for (int i = 0; i < 10; i++) {
            CHECK(yoke_await(fs[i], bool));
            yoke_release(fs[i]);
        }
    }
}

static void *visitor(void *ex)
{
    unsigned char mine[5000];
    for (int round = 0; round < 20; round++) {
        memset(mine, 0, sizeof mine);
        yoke_for(ex, sizeof mine, mark, mine);
        for (size_t i = 0; i < sizeof mine; i++)
            CHECK_INT(mine[i], 1);
    }
    return NULL;
}

TEST(loops_from_many_threads)
{
    EACH_POOL(ex)
    {
        pthread_t threads[8];
        for (int i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, visitor, ex);
        for (int i = 0; i < 8; i++)
            pthread_join(threads[i], NULL);
    }
}

/* ---- A job that ends early ---- */

static _Atomic long done;

YOKE_LOOP(slow, i)
{
    usleep(1000);
    atomic_fetch_add(&done, 1);
    if (i == 3)
        yoke_fail(ERANGE, "iteration 3");
}

/* Nobody lives to see their ends: what comes to one was ended. */
enum { EVER = 1 << 30 };

YOKE_TASK(void, fails)
{
    yoke_for(NULL, EVER, slow);
}

TEST(a_failed_iteration_ends_the_loop)
{
    EACH_POOL(ex)
    {
        atomic_store(&done, 0);
        yoke_future *f = yoke_submit(ex, fails);
        CHECK_INT(yoke_wait(f), -ERANGE);
        CHECK(strstr(yoke_error(f), "iteration 3"));
        CHECK(atomic_load(&done) >= 1 && atomic_load(&done) < EVER);
        yoke_release(f);
    }
}

YOKE_LOOP(slower, i)
{
    usleep(1000);
    atomic_fetch_add(&done, 1);
}

YOKE_TASK(void, is_slow)
{
    yoke_for(NULL, EVER, slower);
}

TEST(a_cancelled_loop_ends)
{
    yoke_executor *ex = yoke_open("threads:2");
    atomic_store(&done, 0);
    yoke_future *f = yoke_submit(ex, is_slow);
    while (atomic_load(&done) < 5)
        usleep(1000);
    yoke_cancel(f);
    yoke_wait(f);
    CHECK(atomic_load(&done) < EVER);
    yoke_release(f);
    yoke_close(ex);
}

/* ---- Reductions ---- */

YOKE_REDUCE(double, sum, i, acc, other, (0), (*acc += *other), (const double *, x))
{
    *acc += x[i];
}

YOKE_REDUCE(long, total, i, acc, other, (0), (*acc += *other))
{
    *acc += (long)i;
}

TEST(sums)
{
    static const size_t lengths[] = {0, 1, 2, 511, 512, 513, 100000};
    EACH_POOL(ex)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
            CHECK_INT(yoke_reduce(ex, lengths[k], total), (long)lengths[k] * ((long)lengths[k] - 1) / 2);
}

TEST(the_last_bit_is_the_same_everywhere)
{
    static double x[N];
    for (int i = 0; i < N; i++)
        x[i] = (double)test_random() / 1e12 * (i % 3 ? 1 : -1e-7);
    yoke_executor *alone = yoke_open("inline");
    double expected = yoke_reduce(alone, N, sum, x), plain = 0;
    close_it(alone);
    for (int i = 0; i < N; i++)
        plain += x[i];
    CHECK_NEAR(expected, plain, fabs(plain) * 1e-9);
    EACH_POOL(ex)
        for (int round = 0; round < 20; round++) {
            double got = yoke_reduce(ex, N, sum, x);
            CHECK(memcmp(&got, &expected, sizeof got) == 0);
        }
}

/* Not commutative: the parts must be combined in their order. */
typedef struct text {
    size_t first, last, breaks;
} text;

YOKE_REDUCE(text, joined, i, acc, other, ({1, 0, 0}),
            (if (other->first <= other->last) *acc = acc->first > acc->last
                 ? *other
                 : (text){acc->first, other->last, acc->breaks + other->breaks + (acc->last + 1 != other->first)}),
            (size_t, offset))
{
    if (acc->first > acc->last)
        *acc = (text){i + offset, i + offset, 0};
    else {
        acc->breaks += acc->last + 1 != i + offset;
        acc->last = i + offset;
    }
}

TEST(the_order_is_kept)
{
    EACH_POOL(ex)
    {
        text t = yoke_reduce(ex, 12345, joined, 1000);
        CHECK_INT(t.first, 1000);
        CHECK_INT(t.last, 13344);
        CHECK_INT(t.breaks, 0);
    }
}

typedef struct histogram {
    long bins[256];
} histogram;

static void add_bins(histogram *to, const histogram *from)
{
    for (int i = 0; i < 256; i++)
        to->bins[i] += from->bins[i];
}

YOKE_REDUCE(histogram, bins, i, acc, other, ({{0}}), (add_bins(acc, other)), (const unsigned char *, x))
{
    acc->bins[x[i]]++;
}

TEST(large_results)
{
    static unsigned char x[N];
    for (int i = 0; i < N; i++)
        x[i] = (unsigned char)(i * 7);
    EACH_POOL(ex)
    {
        histogram h = yoke_reduce(ex, N, bins, x);
        for (int i = 0; i < 256; i++) {
            long expected = 0;
            for (int k = 0; k < N; k++)
                expected += x[k] == i;
            CHECK_INT(h.bins[i], expected);
        }
    }
}

TEST(results_without_memory)
{
    static unsigned char x[1000];
    yoke_executor *ex = yoke_open("inline");
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    histogram h = yoke_reduce(ex, sizeof x, bins, x);
    CHECK(yk_sys_fail("posix_memalign", 0, 0) >= 1);
    CHECK_INT(h.bins[0], 1000);
    yoke_close(ex);
}
