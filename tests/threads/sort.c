/* sort.c - sorting by orders, by functions and by keys: every kind of input, stable, the same on every pool; out of memory,
 * cancelled, inside of jobs. */
#include "pools.h"
#include "base/base.h"
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>
#include <yoke.h>

enum { N = 150001 };
static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 24, 25, 31, 64, 100, 1000, 1023, 1025, 4096, 20000, 65536, 65537, N};
#define LENGTHS (sizeof lengths / sizeof *lengths)

/* ---- Inputs ---- */

typedef enum shape { RANDOM, ASCENDING, DESCENDING, SAME, FEW, SMALL, SAWTOOTH, ENDS, NEARLY, SHAPES } shape;

static uint64_t at_of(shape s, size_t i, size_t n)
{
    switch (s) {
    case ASCENDING:
        return i;
    case DESCENDING:
        return n - i;
    case SAME:
        return 7;
    case FEW:
        return test_random() % 5 * 1000003;
    case SMALL:
        return test_random() % 1000;
    case SAWTOOTH:
        return i % 97;
    case ENDS: /* the least and the greatest of every width and kind among others */
        return (uint64_t[]){0, UINT64_MAX, (uint64_t)INT64_MAX, (uint64_t)INT64_MIN, 0x80000000u, 0x7fffffffu, 1,
                            0x8000}[test_random() % 8];
    case NEARLY:
        return test_random() % 100 ? i : test_random() % n;
    default:
        return test_random();
    }
}

/* ---- Numbers alone ---- */

/* What comes before: by the value, or for floats by IEEE 754's total order. */
#define COMPARE(suffix, T, U, LESS)                                                                                    \
    static int compare_##suffix(const void *x, const void *y)                                                          \
    {                                                                                                                  \
        T a = *(const T *)x, b = *(const T *)y;                                                                        \
        return LESS(a, b) ? -1 : LESS(b, a) ? 1 : 0;                                                                   \
    }                                                                                                                  \
    static T have_##suffix[N], want_##suffix[N];                                                                       \
    static void check_##suffix(yoke_executor *ex, size_t n, shape s)                                                   \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++) {                                                                               \
            U bits = (U)at_of(s, i, n);                                                                                \
            memcpy(&have_##suffix[i], &bits, sizeof(T));                                                               \
        }                                                                                                              \
        memcpy(want_##suffix, have_##suffix, n * sizeof(T));                                                           \
        qsort(want_##suffix, n, sizeof(T), compare_##suffix);                                                          \
        CHECK_INT(yoke_sort_##suffix(ex, have_##suffix, n), 0);                                                        \
        CHECK(memcmp(have_##suffix, want_##suffix, n * sizeof(T)) == 0);                                               \
    }                                                                                                                  \
    TEST(numbers_##suffix)                                                                                             \
    {                                                                                                                  \
        for (int two = 0; two < 2; two++)                                                                              \
            for (yoke_executor *ex = yoke_open(two ? "threads:3" : "inline"); ex; ex = close_it(ex))                   \
                for (size_t k = 0; k < LENGTHS; k++)                                                                   \
                    for (shape s = RANDOM; s < SHAPES; s++)                                                            \
                        if (lengths[k] < 5000 || s == RANDOM || (s == FEW && two) || (s == ENDS && !two))                       \
                            check_##suffix(ex, lengths[k], s);                                                         \
    }

#define BY_VALUE(a, b) ((a) < (b))
static bool total_f32(float a, float b)
{
    int32_t x, y;
    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    x ^= (int32_t)((uint32_t)(x >> 31) >> 1);
    y ^= (int32_t)((uint32_t)(y >> 31) >> 1);
    return x < y;
}
static bool total_f64(double a, double b)
{
    int64_t x, y;
    memcpy(&x, &a, 8);
    memcpy(&y, &b, 8);
    x ^= (int64_t)((uint64_t)(x >> 63) >> 1);
    y ^= (int64_t)((uint64_t)(y >> 63) >> 1);
    return x < y;
}

COMPARE(i8, int8_t, uint8_t, BY_VALUE)
COMPARE(i16, int16_t, uint16_t, BY_VALUE)
COMPARE(i32, int32_t, uint32_t, BY_VALUE)
COMPARE(i64, int64_t, uint64_t, BY_VALUE)
COMPARE(u8, uint8_t, uint8_t, BY_VALUE)
COMPARE(u16, uint16_t, uint16_t, BY_VALUE)
COMPARE(u32, uint32_t, uint32_t, BY_VALUE)
COMPARE(u64, uint64_t, uint64_t, BY_VALUE)
COMPARE(f32, float, uint32_t, total_f32)
COMPARE(f64, double, uint64_t, total_f64)

TEST(the_order_of_floats)
{
    double x[] = {NAN, 1, -0.0, INFINITY, 0.0, -NAN, -1, -INFINITY, 5e-324, -5e-324};
    CHECK_INT(yoke_sort_f64(NULL, x, 10), 0);
    CHECK(isnan(x[0]) && signbit(x[0]));
    CHECK(x[1] == -INFINITY && x[2] == -1 && x[3] == -5e-324);
    CHECK(x[4] == 0 && signbit(x[4]) && x[5] == 0 && !signbit(x[5]));
    CHECK(x[6] == 5e-324 && x[7] == 1 && x[8] == INFINITY && isnan(x[9]));
}

/* ---- Structs ---- */

/* Keys repeat, so that order among equals shows; `at` is where it was. */
typedef struct kind {
    size_t size, key, key_size, at, at_size; /* of a record, and where they lie in it */
    uint64_t mask;                           /* of keys */
    int (*sort)(yoke_executor *ex, void *v, size_t n, int how, _Atomic long *calls);
} kind;

static void put(char *record, size_t offset, size_t size, int32_t v)
{
    int16_t two = (int16_t)v;
    memcpy(record + offset, size == 2 ? (void *)&two : &v, size);
}

static int32_t get(const char *record, size_t offset, size_t size)
{
    int32_t four = 0;
    int16_t two = 0;
    memcpy(size == 2 ? (void *)&two : &four, record + offset, size);
    return size == 2 ? two : four;
}

static int32_t key_in(const kind *k, const char *record)
{
    return get(record, k->key, k->key_size);
}

static uint32_t at_in(const kind *k, const char *record)
{
    return (uint32_t)get(record, k->at, k->at_size) & (k->at_size == 2 ? 0xffff : 0xffffffff);
}

static uint64_t sum_of(const kind *k, const char *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)(key_in(k, v + i * k->size) + 70000) * (at_in(k, v + i * k->size) + 1ul);
    return sum;
}

static void check_records(const kind *k, yoke_executor *ex, size_t n, shape s, int how)
{
    _Atomic long calls = 0;
    char *v = calloc(YK_MAX(n, (size_t)1), k->size);
    CHECK(v);
    for (size_t i = 0; i < n; i++) {
        put(v + i * k->size, k->key, k->key_size, (int16_t)(at_of(s, i, n) & k->mask));
        put(v + i * k->size, k->at, k->at_size, (int32_t)i);
    }
    uint64_t sum = sum_of(k, v, n);
    CHECK_INT(k->sort(ex, v, n, how, &calls), 0);
    CHECK(sum_of(k, v, n) == sum);
    for (size_t i = 1; i < n; i++) {
        const char *before = v + (i - 1) * k->size, *here = v + i * k->size;
        CHECK(key_in(k, before) < key_in(k, here) ||
              (key_in(k, before) == key_in(k, here) && at_in(k, before) < at_in(k, here)));
    }
    CHECK(how < 2 || n < 2 || calls > 0);
    free(v);
}

static void check_stable(const kind *k)
{
    EACH_POOL(ex)
        for (size_t l = pool_at % 2; l < LENGTHS; l += pool_at ? 2 : 1)
            for (int how = 0; how < 3; how++)
                for (shape s = RANDOM; s < SHAPES; s++)
                    if (lengths[l] <= 0xffff && (lengths[l] < 5000 || s == RANDOM || (s == FEW && pool_at == 2)))
                        check_records(k, ex, lengths[l], s, how);
}

#define RECORD(T, MASK, ...)                                                                                           \
    typedef struct T {                                                                                                 \
        __VA_ARGS__                                                                                                    \
    } T;                                                                                                               \
    YOKE_ORDER(T, order_##T, a, b) { return a->key < b->key; }                                                         \
    YOKE_KEY(T, int32_t, key_##T, e) { return e->key; }                                                                \
    static int compare_##T(const void *x, const void *y, void *calls)                                                  \
    {                                                                                                                  \
        ++*(_Atomic long *)calls;                                                                                      \
        return ((const T *)x)->key < ((const T *)y)->key ? -3 : ((const T *)x)->key > ((const T *)y)->key;             \
    }                                                                                                                  \
    static int sort_##T(yoke_executor *ex, void *v, size_t n, int how, _Atomic long *calls)                            \
    {                                                                                                                  \
        return how == 0   ? yoke_sort(ex, (T *)v, n, order_##T)                                                        \
               : how == 1 ? yoke_radix_sort(ex, (T *)v, n, key_##T)                                                    \
                          : yoke_qsort(ex, v, n, sizeof(T), compare_##T, calls);                                       \
    }                                                                                                                  \
    static const kind kind_##T = {                                                                                     \
        sizeof(T), offsetof(T, key), sizeof(((T *)0)->key), offsetof(T, at), sizeof(((T *)0)->at), MASK, sort_##T};    \
    TEST(stable_##T) { check_stable(&kind_##T); }

RECORD(small, 0xfff, int16_t key; uint16_t at;)
RECORD(even, 0xffff, int32_t key; uint32_t at;)
RECORD(odd, 0xffff, int32_t key; uint32_t at; char more[3];)
RECORD(large, 0xff, int32_t key; char more[100]; uint32_t at;)
RECORD(packed, 0xffff, char front; int32_t key; uint32_t at; char end[2]; __attribute__((packed)) int16_t last;)

TEST(many_records)
{
    EACH_POOL(ex)
        for (int how = pool_at == 2 ? 0 : (int)pool_at % 3, last = pool_at == 2 ? 2 : how; how <= last; how++) {
            check_records(&kind_even, ex, 70000, RANDOM, how);
            check_records(&kind_even, ex, 50000, DESCENDING, how);
            check_records(&kind_odd, ex, 50000, SMALL, how);
        }
}

/* ---- Orders and keys of other kinds ---- */

YOKE_ORDER(const char *, by_text, a, b)
{
    return strcmp(*a, *b) < 0;
}

YOKE_ORDER(int, by_distance, a, b, (int, from), (const int *, unused))
{
    (void)unused;
    return abs(*a - from) < abs(*b - from);
}

YOKE_KEY(int, uint8_t, last_digits, e, (int, base))
{
    return (uint8_t)(*e % base);
}

YOKE_KEY(double, double, falling, e)
{
    return -*e;
}

YOKE_KEY(int, bool, is_odd, e)
{
    return *e & 1;
}

TEST(orders_with_parameters)
{
    const char *words[] = {"pear", "apple", "fig", "", "apple pie", "Zebra"};
    CHECK_INT(yoke_sort(NULL, words, 6, by_text), 0);
    const char *sorted[] = {"", "Zebra", "apple", "apple pie", "fig", "pear"};
    for (int i = 0; i < 6; i++)
        CHECK_STR(words[i], sorted[i]);
    static int v[N];
    for (int i = 0; i < N; i++)
        v[i] = i;
    CHECK_INT(yoke_sort(NULL, v, N, by_distance, 1000, v), 0);
    CHECK(v[0] == 1000 && v[1] == 999 && v[2] == 1001 && v[2000] == 2000 && v[N - 1] == N - 1);
    CHECK_INT(yoke_radix_sort(NULL, v, N, last_digits, 10), 0);
    for (int i = 1; i < N; i++)
        CHECK(v[i - 1] % 10 < v[i] % 10 || abs(v[i - 1] - 1000) <= abs(v[i] - 1000));
    CHECK_INT(yoke_radix_sort(NULL, v, N, is_odd), 0);
    CHECK(v[0] % 2 == 0 && v[N / 2] % 2 == 0 && v[N / 2 + 1] % 2 == 1 && v[N - 1] % 2 == 1);
    double x[] = {1, -2, INFINITY, 0.5, -INFINITY};
    CHECK_INT(yoke_radix_sort(NULL, x, 5, falling), 0);
    CHECK(x[0] == INFINITY && x[1] == 1 && x[2] == 0.5 && x[3] == -2 && x[4] == -INFINITY);
}

/* An order that is none gives nonsense, but from the elements alone. */
YOKE_ORDER(uint32_t, by_nothing, a, b)
{
    return (*a * 2654435761u ^ *b * 40503u) >> 31;
}

TEST(an_order_that_is_none)
{
    static uint32_t v[N];
    for (uint32_t i = 0; i < N; i++)
        v[i] = i + 5;
    CHECK_INT(yoke_sort(NULL, v, N, by_nothing), 0);
    for (uint32_t i = 0; i < N; i++)
        CHECK(v[i] >= 5 && v[i] < N + 5);
}

TEST(places_that_are_not_aligned)
{
    static _Alignas(64) char room[N * 4 + 64];
    for (size_t shift = 0; shift < 64; shift += shift < 8 ? 1 : 8) {
        char *at = room + shift;
        for (uint32_t i = 0; i < N; i++) {
            uint32_t x = i * 2654435761u;
            memcpy(at + i * 4, &x, 4);
        }
        if (shift % 4 == 0)
            CHECK_INT(yoke_sort_u32(NULL, (uint32_t *)(void *)at, N), 0);
        else
            CHECK_INT(yoke_sort_u8(NULL, (uint8_t *)at, N), 0);
        for (uint32_t i = 1, x = 0, y = 0; i < N; i++) {
            memcpy(&x, at + i * 4 - 4, 4);
            memcpy(&y, at + i * 4, 4);
            CHECK(shift % 4 ? at[i - 1] == at[i] || (uint8_t)at[i - 1] < (uint8_t)at[i] : x < y);
        }
    }
}

/* Nearly all keys share their high bits: one bucket must be split again and again. */
TEST(keys_in_one_place)
{
    static uint64_t v[N];
    for (size_t i = 0; i < N; i++)
        v[i] = i % 1000 ? ((uint64_t)1 << 60) + test_random() % 100000 : test_random();
    CHECK_INT(yoke_sort_u64(NULL, v, N), 0);
    for (size_t i = 1; i < N; i++)
        CHECK(v[i - 1] <= v[i]);
}

/* ---- Where it runs ---- */

YOKE_TASK(int, sort_in_a_job, (uint64_t, seed))
{
    enum { LENGTH = 30000 };
    int32_t *v = malloc(LENGTH * sizeof *v);
    for (int i = 0; i < LENGTH; i++)
        v[i] = (int32_t)((seed += 0x9e3779b97f4a7c15u) >> 31);
    int err = seed % 2 ? yoke_sort_i32(NULL, v, LENGTH)
                       : yoke_qsort(NULL, v, LENGTH, 4, (int (*)(const void *, const void *, void *))(void *)compare_i32, NULL);
    for (int i = 1; i < LENGTH; i++)
        err |= v[i - 1] > v[i];
    free(v);
    return err;
}

TEST(many_at_a_time_in_jobs)
{
    EACH_POOL(ex)
    {
        yoke_future *f[24];
        for (int i = 0; i < 24; i++)
            f[i] = yoke_submit(ex, sort_in_a_job, i);
        for (int i = 0; i < 24; i++)
            CHECK_INT(yoke_await(f[i], int), 0);
    }
}

static void *sort_in_a_thread(void *arg)
{
    CHECK_INT(sort_in_a_job((uintptr_t)arg), 0);
    return NULL;
}

TEST(threads_from_outside)
{
    pthread_t t[6];
    for (uintptr_t i = 0; i < 6; i++)
        CHECK_INT(pthread_create(&t[i], NULL, sort_in_a_thread, (void *)i), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
}

/* ---- What goes wrong ---- */

TEST(out_of_memory)
{
    static int32_t v[N], before[N];
    for (int i = 0; i < N; i++)
        before[i] = v[i] = (int32_t)test_random();
    yoke_executor *ex = yoke_open("inline");
    for (int how = 0; how < 3; how++) {
        yk_sys_fail("posix_memalign", 1, ENOMEM);
        int err = how == 0 ? yoke_sort_i32(ex, v, N) : how == 1 ? yoke_sort(ex, v, N, by_distance, 0, v)
            : yoke_qsort(ex, v, N, 4, (int (*)(const void *, const void *, void *))(void *)compare_i32, NULL);
        CHECK_INT(yk_sys_fail("posix_memalign", 0, 0), 1);
        CHECK_INT(err, -ENOMEM);
        CHECK(memcmp(v, before, sizeof v) == 0);
    }
    CHECK_INT(yoke_qsort(ex, v, N, 0, NULL, NULL), -EINVAL);
    CHECK_INT(yoke_sort_i32(ex, v, SIZE_MAX / 2), -ENOMEM);
    close_it(ex);
}

static _Atomic long compared;
static _Atomic int sort_result, cancelled;

/* The sort must not be through before it is cancelled. */
static void wait_to_be_cancelled(void)
{
    if (atomic_fetch_add(&compared, 1) >= 10000)
        while (!atomic_load(&cancelled))
            usleep(100);
}

YOKE_ORDER(int32_t, slow_order, a, b)
{
    wait_to_be_cancelled();
    return *a < *b;
}

YOKE_KEY(int32_t, int32_t, slow_key, e)
{
    wait_to_be_cancelled();
    return *e;
}

static int32_t to_sort[N];

YOKE_TASK(int, sort_slowly, (int, by_key))
{
    int err = by_key ? yoke_radix_sort(NULL, to_sort, N, slow_key) : yoke_sort(NULL, to_sort, N, slow_order);
    atomic_store(&sort_result, err);
    return err;
}

TEST(cancelled)
{
    for (int by_key = 0; by_key < 2; by_key++) {
        yoke_executor *ex = yoke_open("threads:2");
        for (int i = 0; i < N; i++)
            to_sort[i] = (int32_t)test_random() & 0x7fffffff;
        atomic_store(&compared, 0);
        atomic_store(&cancelled, 0);
        yoke_future *f = yoke_submit(ex, sort_slowly, by_key);
        while (atomic_load(&compared) < 10000)
            usleep(100);
        yoke_cancel(f);
        atomic_store(&cancelled, 1);
        yoke_wait(f);
        yoke_release(f);
        yoke_close(ex);
        CHECK_INT(atomic_load(&sort_result), -ECANCELED);
        for (int i = 0; i < N; i++)
            CHECK(to_sort[i] >= 0);
    }
}

YOKE_TASK(int, sort_after_failure)
{
    int32_t v[2] = {2, 1};
    yoke_fail(EIO, "no");
    atomic_store(&sort_result, yoke_sort_i32(NULL, v, 2));
    return v[0] == 2;
}

TEST(in_a_job_that_has_failed)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, sort_after_failure);
    CHECK_INT(yoke_wait(f), -EIO);
    yoke_release(f);
    close_it(ex);
    CHECK_INT(atomic_load(&sort_result), -ECANCELED);
}
