/* scan.c - scans of any type and length: against a plain loop, the same to the last bit on every pool, in place, without memory,
 * cancelled. */
#include "pools.h"
#include "base/base.h"
#include "threads/crew.h"
#include "topo/past_cache.h"
#include <math.h>
#include <unistd.h>
#include <yoke.h>

enum { N = 400003 };
static const size_t lengths[] = {0, 1, 2, 3, 5, 1000, 16383, 16384, 16385, 32768, 32769, 65536, 65537, 131072, 131073, N};
#define LENGTHS (sizeof lengths / sizeof *lengths)

/* ---- Numbers ---- */

#define INTEGERS(suffix, T)                                                                                            \
    static T from_##suffix[N], to_##suffix[N + 1];                                                                     \
    TEST(sums_##suffix)                                                                                                \
    {                                                                                                                  \
        for (size_t i = 0; i < N; i++)                                                                                 \
            from_##suffix[i] = (T)test_random();                                                                       \
        EACH_POOL(ex)                                                                                                  \
            for (size_t k = 0; k < LENGTHS; k++) {                                                                     \
                size_t n = lengths[k];                                                                                 \
                uint64_t sum = 0;                                                                                      \
                to_##suffix[n] = 99;                                                                                   \
                CHECK_INT(yoke_scan_##suffix(ex, from_##suffix, n, to_##suffix), 0);                                   \
                for (size_t i = 0; i < n; i++)                                                                         \
                    CHECK(to_##suffix[i] == (T)(sum += (uint64_t)from_##suffix[i]));                                   \
                CHECK_INT(yoke_scan_before_##suffix(ex, from_##suffix, n, to_##suffix), 0);                            \
                sum = 0;                                                                                               \
                for (size_t i = 0; i < n; sum += (uint64_t)from_##suffix[i++])                                         \
                    CHECK(to_##suffix[i] == (T)sum);                                                                   \
                CHECK(to_##suffix[n] == 99);                                                                           \
            }                                                                                                          \
    }
INTEGERS(i32, int32_t)
INTEGERS(u32, uint32_t)
INTEGERS(i64, int64_t)
INTEGERS(u64, uint64_t)

#define FLOATS(suffix, T, TOLERANCE)                                                                                   \
    static T numbers_##suffix[N], sums_of_##suffix[N + 1], first_##suffix[N], in_place_##suffix[N];                    \
    TEST(sums_##suffix)                                                                                                \
    {                                                                                                                  \
        for (size_t i = 0; i < N; i++)                                                                                 \
            numbers_##suffix[i] = (T)(test_random() % 1000) / 7;                                                       \
        for (int before = 0; before < 2; before++)                                                                     \
            EACH_POOL(ex)                                                                                              \
                for (size_t k = 0; k < LENGTHS; k++) {                                                                 \
                    size_t n = lengths[k];                                                                             \
                    double sum = 0;                                                                                    \
                    T *to = pool_at == 0 ? first_##suffix : sums_of_##suffix;                                          \
                    sums_of_##suffix[n] = 99;                                                                          \
                    if (pool_at > 0 && n != N && n != 16385)                                                           \
                        continue;                                                                                      \
                    CHECK_INT((before ? yoke_scan_before_##suffix : yoke_scan_##suffix)(ex, numbers_##suffix, n, to), 0); \
                    for (size_t i = 0; i < n; i++) {                                                                   \
                        sum += before ? 0 : (double)numbers_##suffix[i];                                               \
                        CHECK(fabs((double)to[i] - sum) <= fabs(sum) * TOLERANCE);                                     \
                        sum += before ? (double)numbers_##suffix[i] : 0;                                               \
                    }                                                                                                  \
                    CHECK(sums_of_##suffix[n] == 99);                                                                  \
                    if (n < N)                                                                                         \
                        continue;                                                                                      \
                    memcpy(in_place_##suffix, numbers_##suffix, sizeof numbers_##suffix);                              \
                    CHECK_INT((before ? yoke_scan_before_##suffix : yoke_scan_##suffix)(ex, in_place_##suffix, n,      \
                                                                                        in_place_##suffix), 0);        \
                    CHECK(memcmp(to, first_##suffix, sizeof first_##suffix) == 0);                                     \
                    CHECK(memcmp(in_place_##suffix, first_##suffix, sizeof first_##suffix) == 0);                      \
                }                                                                                                      \
    }
FLOATS(f32, float, 1e-4)
FLOATS(f64, double, 1e-12)

/* What goes past the caches has the same bits, wherever the results begin. */
#define PAST(suffix, T)                                                                                                \
    TEST(past_the_caches_##suffix)                                                                                     \
    {                                                                                                                  \
        static T x[N], plain[N], past[N + 5];                                                                          \
        for (size_t i = 0; i < N; i++)                                                                                 \
            x[i] = (T)(test_random() % 1000) / 7;                                                                      \
        for (size_t shift = 0; shift < 4; shift++)                                                                     \
            for (size_t k = 0; k < LENGTHS; k++)                                                                       \
                for (int before = 0; before < 2; before++) {                                                           \
                    size_t n = lengths[k];                                                                             \
                    yk_past_cache_test_limit = 0;                                                                      \
                    CHECK_INT((before ? yoke_scan_before_##suffix : yoke_scan_##suffix)(NULL, x, n, plain), 0);        \
                    yk_past_cache_test_limit = 1;                                                                      \
                    past[shift + n] = 99;                                                                              \
                    CHECK_INT((before ? yoke_scan_before_##suffix : yoke_scan_##suffix)(NULL, x, n, past + shift), 0); \
                    CHECK(memcmp(plain, past + shift, n * sizeof(T)) == 0 && past[shift + n] == 99);                   \
                }                                                                                                      \
    }
PAST(f32, float)
PAST(f64, double)

TEST(sums_of_what_is_no_number)
{
    float x[9] = {1, INFINITY, -INFINITY, 1, 2, 3, 4, 5, 6}, y[9];
    CHECK_INT(yoke_scan_f32(NULL, x, 9, y), 0);
    CHECK(y[0] == 1 && y[1] == INFINITY && isnan(y[2]) && isnan(y[8]));
    double a[5] = {1e308, 1e308, -1e308, 0, 1}, b[5];
    CHECK_INT(yoke_scan_before_f64(NULL, a, 5, b), 0);
    CHECK(b[0] == 0 && b[1] == 1e308 && b[2] == INFINITY);
}

/* ---- Any type ---- */

/* Not commutative: 2 x 2 matrices modulo 2^32. */
typedef struct matrix {
    uint32_t a, b, c, d;
} matrix;

static matrix times(matrix x, matrix y)
{
    return (matrix){x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d, x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d};
}

YOKE_SCAN(matrix, products, i, acc, other, ({1, 0, 0, 1}), (*acc = times(*acc, *other)), (const matrix *, m))
{
    *acc = times(*acc, m[i]);
}

static matrix factors[N], out_of[N];

TEST(not_commutative)
{
    for (size_t i = 0; i < N; i++)
        factors[i] = (matrix){(uint32_t)test_random(), (uint32_t)test_random(), (uint32_t)test_random(), (uint32_t)i};
    EACH_POOL(ex)
        for (int before = 0; before < 2; before++) {
            matrix m = {1, 0, 0, 1};
            CHECK_INT(before ? yoke_scan_before(ex, N, out_of, products, factors)
                             : yoke_scan(ex, N, out_of, products, factors), 0);
            for (size_t i = 0; i < N; i++) {
                matrix next = times(m, factors[i]), *want = before ? &m : &next;
                CHECK(memcmp(&out_of[i], want, sizeof m) == 0);
                m = next;
            }
        }
}

/* In place, without parameters that point to the input's own type, and from an index alone. */
YOKE_SCAN(double, harmonic, i, acc, other, (0), (*acc += *other))
{
    *acc += 1.0 / (double)(i + 1);
}

/* Rounding must not let what is added to make a sum fall, at the borders of lanes and blocks either; and what is before an
 * element is what ends with the one before it. */
YOKE_SCAN(double, tenths, i, acc, other, (0), (*acc += *other), (double, each))
{
    *acc += each;
}

TEST(a_sum_of_what_is_not_negative_never_falls)
{
    static double up_to[N], before[N];
    EACH_POOL(ex)
        for (size_t k = 0; k < LENGTHS; k++) {
            size_t n = lengths[k];
            CHECK_INT(yoke_scan(ex, n, up_to, tenths, 0.1), 0);
            CHECK_INT(yoke_scan_before(ex, n, before, tenths, 0.1), 0);
            for (size_t i = 1; i < n; i++) {
                CHECK(up_to[i] >= up_to[i - 1]);
                CHECK(before[i] == up_to[i - 1]);
            }
        }
}

typedef const char *place; /* the macro says const T: a type needs one name for that */
YOKE_SCAN(place, latest, i, acc, other, (NULL), (*acc = *other ? *other : *acc), (const char *, text))
{
    if (text[i] == 'x')
        *acc = text + i;
}

TEST(pointers)
{
    static const char *last[N];
    static char text[N];
    for (size_t i = 0; i < N; i++)
        text[i] = test_random() % 100 == 0 ? 'x' : '-';
    EACH_POOL(ex) {
        const char *at = NULL;
        CHECK_INT(yoke_scan(ex, N, last, latest, text), 0);
        for (size_t i = 0; i < N; i++) {
            at = text[i] == 'x' ? text + i : at;
            CHECK(last[i] == at);
        }
    }
}

TEST(without_parameters)
{
    static double alone[N], together[N];
    EACH_POOL(ex)
    {
        CHECK_INT(yoke_scan(ex, N, pool_at ? together : alone, harmonic), 0);
        CHECK_NEAR((pool_at ? together : alone)[N - 1], log(N) + 0.57721566, 1e-5);
        CHECK(pool_at == 0 || memcmp(alone, together, sizeof alone) == 0);
    }
}

/* More than what fits the stack of a member. */
typedef struct huge {
    uint64_t sum, more[249];
} huge;

static void add_huge(huge *to, const huge *from)
{
    to->sum += from->sum;
    to->more[248] += from->more[248];
}

YOKE_SCAN(huge, of_huge, i, acc, other, ({0}), (add_huge(acc, other)), (const huge *, x))
{
    add_huge(acc, &x[i]);
}

TEST(large_elements)
{
    enum { MANY = 3000 };
    static huge x[MANY];
    EACH_POOL(ex)
    {
        for (size_t i = 0; i < MANY; i++)
            x[i] = (huge){.sum = i, .more[248] = 2};
        CHECK_INT(yoke_scan(ex, MANY, x, of_huge, x), 0);
        for (size_t i = 0; i < MANY; i++)
            CHECK(x[i].sum == i * (i + 1) / 2 && x[i].more[248] == 2 * i + 2);
    }
}

YOKE_TASK(int, scan_in_a_job, (int, count))
{
    uint64_t *x = calloc((size_t)count, sizeof *x);
    for (int i = 0; i < count; i++)
        x[i] = 1;
    int err = yoke_scan_u64(NULL, x, (size_t)count, x);
    for (int i = 0; i < count; i++)
        err |= x[i] != (uint64_t)i + 1;
    free(x);
    return err;
}

TEST(many_at_a_time_in_jobs)
{
    EACH_POOL(ex)
    {
        yoke_future *f[20];
        for (int i = 0; i < 20; i++)
            f[i] = yoke_submit(ex, scan_in_a_job, 100000);
        for (int i = 0; i < 20; i++)
            CHECK_INT(yoke_await(f[i], int), 0);
    }
}

/* ---- What goes wrong ---- */

TEST(out_of_memory)
{
    yoke_executor *ex = yoke_open("inline");
    int calls = 0;
    CHECK_INT(yoke_scan_u64(ex, from_u64, N, to_u64), 0); /* from now on this thread is known to the pool */
    for (int nth = 1;; nth++) {
        memset(to_u64, 7, sizeof to_u64);
        yk_sys_fail("posix_memalign", nth, ENOMEM);
        int err = yoke_scan_u64(ex, from_u64, N, to_u64);
        calls = yk_sys_fail("posix_memalign", 0, 0);
        if (err == 0)
            break;
        CHECK_INT(err, -ENOMEM);
        CHECK(to_u64[0] == 0x0707070707070707 && to_u64[N - 1] == 0x0707070707070707);
    }
    CHECK_INT(calls, 2);
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK_INT(yoke_scan_u64(ex, from_u64, 1000, to_u64), 0); /* one block needs none */
    CHECK_INT(yk_sys_fail("posix_memalign", 0, 0), 0);
    close_it(ex);
}

static _Atomic long seen;
static _Atomic int result, cancelled;
static int32_t slow_out[N];

YOKE_SCAN(int32_t, slowly, i, acc, other, (0), (*acc += *other))
{
    if (atomic_fetch_add(&seen, 1) >= 50000)
        while (!atomic_load(&cancelled)) /* and not through before it is */
            usleep(100);
    *acc += 1;
}

YOKE_TASK(int, scan_slowly)
{
    atomic_store(&result, yoke_scan(NULL, N, slow_out, slowly));
    return 0;
}

TEST(cancelled)
{
    yoke_executor *ex = yoke_open("threads:2");
    yoke_future *f = yoke_submit(ex, scan_slowly);
    while (atomic_load(&seen) < 50000)
        usleep(100);
    yoke_cancel(f);
    atomic_store(&cancelled, 1);
    yoke_wait(f);
    yoke_release(f);
    yoke_close(ex);
    CHECK_INT(atomic_load(&result), -ECANCELED);
    for (size_t i = 0; i < N; i++)
        CHECK(slow_out[i] == 0 || slow_out[i] == (int32_t)i + 1);
}

/* ---- The chain and the crew beneath ---- */

static void add_one(void *acc, const void *other)
{
    *(uint64_t *)acc = *(uint64_t *)acc * 31 + *(const uint64_t *)other;
}

static void five(void *acc)
{
    *(uint64_t *)acc = 5;
}

TEST(a_chain_in_any_order)
{
    enum { LINKS = 200 };
    yk_chain c;
    uint64_t want = 5;
    size_t order[LINKS];
    CHECK_INT(yk_chain_init(&c, LINKS, sizeof want, add_one, five), 0);
    for (size_t i = 0; i < LINKS; i++) {
        size_t j = test_random() % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    bool there[LINKS + 1] = {0};
    for (size_t i = 0; i < LINKS; i++) {
        *(uint64_t *)yk_chain_value(&c, order[i]) = order[i];
        yk_chain_put(&c, order[i]);
        there[order[i]] = true;
        size_t known = 0;
        while (there[known])
            known++;
        CHECK(yk_chain_prefix(&c, known));
        CHECK(known == LINKS || !yk_chain_prefix(&c, known + 1));
    }
    for (uint64_t i = 0; i < LINKS; i++)
        want = want * 31 + i;
    CHECK(*(const uint64_t *)yk_chain_prefix(&c, LINKS) == want);
    yk_chain_done(&c);
}

static _Atomic size_t blocks_done, last_block;

static void count_block(yk_crew *c, size_t k, yk_member *m)
{
    atomic_fetch_add(&blocks_done, 1);
    CHECK(m->word[0]++ <= k);
    if (k == 100)
        yk_crew_end_at(c, 150);
    if (k > atomic_load(&last_block))
        atomic_store(&last_block, k);
}

TEST(a_crew_that_ends_early)
{
    EACH_POOL(ex)
    {
        yk_crew c = {.block = count_block};
        atomic_store(&blocks_done, 0);
        CHECK_INT(yk_crew_run(ex, &c, 100), 0);
        CHECK_INT(atomic_load(&blocks_done), 100);
        atomic_store(&blocks_done, 0);
        CHECK_INT(yk_crew_run(ex, &c, (size_t)1 << 50), 0); /* not in our time, if it did not end */
        CHECK(atomic_load(&blocks_done) >= 150 && atomic_load(&blocks_done) < (size_t)1 << 50);
        yk_crew_end_at(&c, 1000);
        CHECK_INT(c.end, 150);
    }
}
