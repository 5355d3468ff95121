/* nth.c - the n-th element against a stable sort: sizes, shapes and places, equal elements, the same on every pool; wrong
 * arguments, views, out of memory, cancelled, in jobs. */
#include "test.h"
#include "base/base.h"
#include <errno.h>
#include <math.h>
#include <unistd.h>
#include <yoke.h>

enum { N = 300000 };
static const char *const pools[] = {"inline", "threads:1", "threads:2", "threads:8"};

static yoke_executor *close_it(yoke_executor *ex)
{
    CHECK_INT(yoke_close(ex), 0);
    return NULL;
}

#define EACH_POOL(ex)                                                                                                  \
    for (size_t pool_at = 0; pool_at < sizeof pools / sizeof *pools; pool_at++)                                        \
        for (yoke_executor *ex = yoke_open(pools[pool_at]); ex; ex = close_it(ex))

typedef enum shape { RANDOM, ASCENDING, DESCENDING, SAME, TWO, FEW, SAWTOOTH, ORGAN, NEARLY, SHAPES } shape;

static uint64_t at_of(shape s, size_t i, size_t n)
{
    switch (s) {
    case ASCENDING:
        return i;
    case DESCENDING:
        return n - i;
    case SAME:
        return 7;
    case TWO:
        return test_random() % 2;
    case FEW:
        return test_random() % 5 * 1003;
    case SAWTOOTH:
        return i % 97;
    case ORGAN:
        return i < n / 2 ? i : n - i;
    case NEARLY:
        return test_random() % 100 ? i : test_random() % n;
    default:
        return test_random();
    }
}

/* ---- Records: `at` tells equal ones apart ---- */

#define RECORD(name, ...)                                                                                              \
    typedef struct name {                                                                                              \
        __VA_ARGS__                                                                                                    \
    } name;
RECORD(even, int32_t key; uint32_t at;)
RECORD(odd, int32_t key; uint32_t at; char more[3];)
RECORD(large, int32_t key; char more[300]; uint32_t at;)
RECORD(packed, char front; int32_t key; uint32_t at; __attribute__((packed)) int16_t last;)

/* No element is lost, the k-th is that of a stable sort, and the sides are right. `first` holds what the first pool made. */
#define CHECK_RECORDS(T, MOST)                                                                                         \
    static T v_##T[MOST], want_##T[MOST], first_##T[MOST];                                                             \
    YOKE_ORDER(T, order_##T, a, b)                                                                                     \
    {                                                                                                                  \
        return a->key < b->key;                                                                                        \
    }                                                                                                                  \
    static void check_##T(yoke_executor *const *ex, size_t n, shape s, const size_t *places, size_t count)             \
    {                                                                                                                  \
        static bool seen[MOST];                                                                                        \
        static T from[MOST];                                                                                           \
        T *v = v_##T;                                                                                                  \
        memset(from, 0, n * sizeof(T));                                                                                \
        for (size_t i = 0; i < n; i++) {                                                                               \
            from[i].key = (int32_t)at_of(s, i, n);                                                                     \
            from[i].at = (uint32_t)i;                                                                                  \
        }                                                                                                              \
        memcpy(want_##T, from, n * sizeof(T));                                                                         \
        CHECK_INT(yoke_sort(ex[0], want_##T, n, order_##T), 0);                                                        \
        for (size_t c = 0; c < count; c++)                                                                             \
            for (size_t pool = 0; ex[pool]; pool++) {                                                                  \
                size_t k = places[c];                                                                                  \
                memcpy(v, from, n * sizeof(T));                                                                        \
                CHECK_INT(yoke_nth(ex[pool], v, n, k, order_##T), 0);                                                  \
                CHECK(v[k].key == want_##T[k].key && v[k].at == want_##T[k].at);                                       \
                memset(seen, 0, n);                                                                                    \
                for (size_t i = 0; i < n; i++) {                                                                       \
                    CHECK(v[i].at < n && !seen[v[i].at] && v[i].key == from[v[i].at].key);                             \
                    seen[v[i].at] = true;                                                                              \
                    CHECK(i < k ? v[i].key <= v[k].key : v[i].key >= v[k].key);                                        \
                }                                                                                                      \
                if (pool == 0)                                                                                         \
                    memcpy(first_##T, v, n * sizeof(T));                                                               \
                CHECK(memcmp(first_##T, v, n * sizeof(T)) == 0);                                                       \
            }                                                                                                          \
    }
CHECK_RECORDS(even, N)
CHECK_RECORDS(odd, 100000)
CHECK_RECORDS(large, 8000)
CHECK_RECORDS(packed, 100000)

static yoke_executor *executors[sizeof pools / sizeof *pools + 1];

static void open_all(void)
{
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        CHECK((executors[i] = yoke_open(pools[i])) != NULL);
}

static void close_all(void)
{
    for (size_t i = 0; executors[i]; i++)
        executors[i] = close_it(executors[i]);
}

TEST(every_place_of_few)
{
    open_all();
    for (size_t n = 1; n <= 12; n++)
        for (shape s = RANDOM; s < SHAPES; s++)
            for (size_t k = 0; k < n; k++) {
                check_even(executors, n, s, &k, 1);
                check_large(executors, n, s, &k, 1);
            }
    close_all();
}

TEST(sizes_about_the_limits)
{
    static const size_t lengths[] = {255, 256, 257, 300, 511, 512, 513, 1000, 1024, 4095, 4097, 16384, 16385};
    open_all();
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (shape s = RANDOM; s < SHAPES; s++) {
            size_t n = lengths[l], places[] = {0, n - 1, test_random() % n};
            check_even(executors, n, s, places, 3);
            check_odd(executors, n, s, places + 2, 1);
            if (n < 2000)
                check_large(executors, n, s, places + 2, 1);
        }
    close_all();
}

TEST(many_of_every_shape)
{
    open_all();
    for (shape s = RANDOM; s < SHAPES; s++) {
        size_t n = N - test_random() % 1000, places[] = {n / 2, 0, n - 1};
        check_even(executors, n, s, places, 1 + 2 * (s < DESCENDING || s == TWO));
        size_t fewer = 100000 - test_random() % 1000, place = test_random() % fewer;
        check_packed(executors, fewer, s, &place, 1);
        place = test_random() % 8000;
        check_large(executors, 8000, s, &place, 1);
    }
    close_all();
}

TEST(random_sizes_and_places)
{
    open_all();
    for (int round = 0; round < 150; round++) {
        size_t n = 1 + test_random() % (round % 10 ? 3000 : 60000), k = test_random() % n;
        check_even(executors, n, (shape)(test_random() % SHAPES), &k, 1);
        n = 1 + test_random() % 2000;
        k = test_random() % n;
        check_odd(executors, n, (shape)(test_random() % SHAPES), &k, 1);
    }
    close_all();
}

/* ---- Numbers alone ---- */

#define CHECK_NUMBERS(suffix, T, U)                                                                                    \
    TEST(numbers_##suffix)                                                                                             \
    {                                                                                                                  \
        static T from[N], v[N], want[N];                                                                               \
        EACH_POOL(ex)                                                                                                  \
            for (int few = 0; few < 2; few++) {                                                                        \
                size_t n = pool_at == 2 && !few ? N : 3000;                                                            \
                for (size_t i = 0; i < n; i++) {                                                                       \
                    U bits = (U)(few ? (uint64_t)(test_random() % 3) << (8 * sizeof(T) - 2) : test_random());                 \
                    memcpy(&from[i], &bits, sizeof(T));                                                                \
                }                                                                                                      \
                memcpy(want, from, n * sizeof(T));                                                                     \
                CHECK_INT(yoke_sort_##suffix(ex, want, n), 0);                                                         \
                for (size_t k = 0; k < n; k += n == N ? n / 2 : 374) {                                                 \
                    memcpy(v, from, n * sizeof(T));                                                                    \
                    CHECK_INT(yoke_nth_##suffix(ex, v, n, k), 0);                                                      \
                    CHECK(memcmp(&v[k], &want[k], sizeof(T)) == 0);                                                    \
                    CHECK_INT(yoke_sort_##suffix(ex, v, k), 0);                                                        \
                    CHECK_INT(yoke_sort_##suffix(ex, v + k, n - k), 0);                                                \
                    CHECK(memcmp(v, want, n * sizeof(T)) == 0);                                                        \
                }                                                                                                      \
            }                                                                                                          \
    }
CHECK_NUMBERS(i8, int8_t, uint8_t)
CHECK_NUMBERS(i16, int16_t, uint16_t)
CHECK_NUMBERS(i32, int32_t, uint32_t)
CHECK_NUMBERS(i64, int64_t, uint64_t)
CHECK_NUMBERS(u8, uint8_t, uint8_t)
CHECK_NUMBERS(u16, uint16_t, uint16_t)
CHECK_NUMBERS(u32, uint32_t, uint32_t)
CHECK_NUMBERS(u64, uint64_t, uint64_t)
CHECK_NUMBERS(f32, float, uint32_t)
CHECK_NUMBERS(f64, double, uint64_t)

TEST(the_order_of_floats)
{
    const double given[] = {NAN, 1, -0.0, INFINITY, 0.0, -NAN, -1, -INFINITY, 5e-324, -5e-324};
    double v[10], sorted[10];
    memcpy(sorted, given, sizeof given);
    CHECK_INT(yoke_sort_f64(NULL, sorted, 10), 0);
    CHECK(isnan(sorted[0]) && sorted[4] == 0 && signbit(sorted[4]) && isnan(sorted[9]));
    for (size_t k = 0; k < 10; k++) {
        memcpy(v, given, sizeof given);
        CHECK_INT(yoke_nth_f64(NULL, v, 10, k), 0);
        CHECK(memcmp(&v[k], &sorted[k], sizeof *v) == 0);
    }
}

/* ---- Orders of other kinds ---- */

YOKE_ORDER(int, by_distance, a, b, (int, from), (const int *, unused))
{
    (void)unused;
    return abs(*a - from) < abs(*b - from);
}

TEST(an_order_with_parameters)
{
    static int v[N];
    for (int i = 0; i < N; i++)
        v[i] = i;
    CHECK_INT(yoke_nth(NULL, v, N, 2001, by_distance, 1000, v), 0);
    CHECK_INT(v[2001], 2001); /* as far as nothing else: those before are 0 to 2000 */
    for (int i = 0; i < 2001; i++)
        CHECK(v[i] <= 2000);
}

/* An order that is none gives nonsense, but comes to an end, and of the elements alone. */
YOKE_ORDER(uint32_t, by_nothing, a, b)
{
    return (*a * 2654435761u ^ *b * 40503u) >> 31;
}

YOKE_ORDER(uint32_t, always, a, b)
{
    return *a <= UINT32_MAX - *b || *a > 0;
}

TEST(orders_that_are_none)
{
    static uint32_t v[N];
    for (int how = 0; how < 2; how++) {
        for (uint32_t i = 0; i < N; i++)
            v[i] = i + 5;
        CHECK_INT(how ? yoke_nth(NULL, v, N, N / 3, always) : yoke_nth(NULL, v, N, N / 3, by_nothing), 0);
        for (uint32_t i = 0; i < N; i++)
            CHECK(v[i] >= 5 && v[i] < N + 5);
    }
}

/* It is no sort: some comparisons for each element, however equal they are. */
static _Atomic long compared;

YOKE_ORDER(int32_t, counted, a, b)
{
    atomic_fetch_add_explicit(&compared, 1, memory_order_relaxed);
    return *a < *b;
}

TEST(a_few_passes)
{
    static int32_t v[N];
    yoke_executor *ex = yoke_open("threads:2");
    for (shape s = RANDOM; s < SHAPES; s++) {
        for (size_t i = 0; i < N; i++)
            v[i] = (int32_t)at_of(s, i, N);
        atomic_store(&compared, 0);
        CHECK_INT(yoke_nth(ex, v, N, N / 2, counted), 0);
        CHECK(atomic_load(&compared) > N && atomic_load(&compared) < 14L * N);
    }
    close_it(ex);
}

/* ---- Arguments ---- */

TEST(wrong_arguments)
{
    int32_t v[3] = {3, 2, 1};
    CHECK_INT(yoke_nth_i32(NULL, v, 3, 3), -EINVAL);
    CHECK_INT(yoke_nth_i32(NULL, v, 3, SIZE_MAX), -EINVAL);
    CHECK_INT(yoke_nth_i32(NULL, v, 0, 0), -EINVAL);
    CHECK_INT(yoke_nth_i32(NULL, NULL, 0, 0), -EINVAL);
    CHECK_INT(yoke_nth_i32(NULL, NULL, 3, 0), -EINVAL);
    CHECK_INT(yoke_nth(NULL, (int32_t *)NULL, 3, 1, counted), -EINVAL);
    CHECK(v[0] == 3 && v[1] == 2 && v[2] == 1);
    CHECK_INT(yoke_nth_i32(NULL, v, 1, 0), 0);
    CHECK_INT(v[0], 3);
    CHECK_INT(yoke_nth_i32(NULL, v, SIZE_MAX, 0), -ENOMEM);
    CHECK_INT(yoke_nth_i32(NULL, v, SIZE_MAX / 2, 0), -ENOMEM);
    CHECK(v[0] == 3 && v[1] == 2 && v[2] == 1);
}

TEST(views)
{
    static int32_t v[6000];
    for (int i = 0; i < 6000; i++)
        v[i] = 6000 - i;
    yoke_inout_i32 all = yoke_1d(yoke_inout_i32, v, 6000), gaps = all;
    gaps.shape[0] = 3000;
    gaps.step[0] = 2;
    CHECK_INT(yoke_nth(NULL, yoke_flat(gaps), 10, counted), -EINVAL);
    CHECK_INT(yoke_nth_i32(NULL, yoke_flat(gaps), 10), -EINVAL);
    CHECK(v[0] == 6000 && v[5999] == 1);
    CHECK_INT(yoke_nth(NULL, yoke_flat(all), 10, counted), 0);
    CHECK_INT(v[10], 11);
    CHECK_INT(yoke_nth_i32(NULL, yoke_flat(all), 5000), 0);
    CHECK_INT(v[5000], 5001);
}

/* ---- What goes wrong ---- */

/* Each of the allocations in turn: without the first nothing has happened yet, without others a round is done alone. */
static int32_t given[N], clean[N];

YOKE_TASK(int, fail_in_turn)
{
    static int32_t v[N];
    int n = 0, fired = 1;
    while (fired > 0) {
        memcpy(v, given, sizeof v);
        yk_sys_fail("posix_memalign", ++n, ENOMEM);
        int err = yoke_nth_i32(NULL, v, N, N / 3);
        fired = yk_sys_fail("posix_memalign", 0, 0) >= n;
        if (err != (n == 1 ? -ENOMEM : 0) || memcmp(v, n == 1 ? given : clean, sizeof v) != 0)
            return -n;
    }
    return n;
}

TEST(out_of_memory)
{
    static int32_t want[N];
    for (int i = 0; i < N; i++)
        given[i] = (int32_t)test_random();
    memcpy(want, given, sizeof want);
    CHECK_INT(yoke_sort_i32(NULL, want, N), 0);
    memcpy(clean, given, sizeof clean);
    CHECK_INT(yoke_nth_i32(NULL, clean, N, N / 3), 0);
    CHECK_INT(clean[N / 3], want[N / 3]);
    yoke_executor *ex = yoke_open("threads:1"); /* whose worker has what it needs for forks */
    CHECK(yoke_await(yoke_submit(ex, fail_in_turn), int) >= 4);
    close_it(ex);
}

static _Atomic int nth_result, cancelled;
static int32_t numbers[N];

/* It must not be through before it is cancelled. */
YOKE_ORDER(int32_t, slow, a, b)
{
    if (atomic_fetch_add(&compared, 1) >= 2L * N)
        while (!atomic_load(&cancelled))
            usleep(100);
    return *a < *b;
}

YOKE_TASK(int, nth_slowly)
{
    atomic_store(&nth_result, yoke_nth(NULL, numbers, N, N / 2, slow));
    return 0;
}

TEST(a_job_that_is_cancelled)
{
    EACH_POOL(ex)
    {
        if (pool_at == 0)
            continue;
        for (int i = 0; i < N; i++)
            numbers[i] = (int32_t)test_random() & 0x7fffffff;
        numbers[0] |= 1;
        atomic_store(&compared, 0);
        atomic_store(&cancelled, 0);
        yoke_future *f = yoke_submit(ex, nth_slowly);
        while (atomic_load(&compared) < 2L * N)
            usleep(100);
        yoke_cancel(f);
        atomic_store(&cancelled, 1);
        yoke_wait(f);
        yoke_release(f);
        CHECK_INT(atomic_load(&nth_result), -ECANCELED);
        for (int i = 0; i < N; i++)
            CHECK(numbers[i] >= 0);
    }
}

YOKE_TASK(int, nth_after_failure)
{
    int32_t v[2] = {2, 1};
    yoke_fail(EIO, "no");
    atomic_store(&nth_result, yoke_nth_i32(NULL, v, 2, 0));
    return v[0] == 2;
}

TEST(in_a_job_that_has_failed)
{
    yoke_executor *ex = yoke_open("threads:1");
    yoke_future *f = yoke_submit(ex, nth_after_failure);
    CHECK_INT(yoke_wait(f), -EIO);
    yoke_release(f);
    close_it(ex);
    CHECK_INT(atomic_load(&nth_result), -ECANCELED);
}

/* The body's code is the call's, where there is no job. */
YOKE_ORDER(int32_t, failing, a, b)
{
    if (*a == 77)
        yoke_fail(EPROTO, "77 has no order");
    return *a < *b;
}

static void note(const char *text, void *arg)
{
    CHECK_HAS(text, "77 has no order");
    ++*(int *)arg;
}

TEST(an_order_that_fails)
{
    static int32_t v[N];
    int told = 0;
    yoke_on_lost_error(note, &told);
    for (int i = 0; i < N; i++)
        v[i] = i;
    EACH_POOL(ex)
        CHECK_INT(yoke_nth(ex, v, N, N / 2, failing), -EPROTO);
    CHECK_INT(told, sizeof pools / sizeof *pools);
}

YOKE_TASK(int, nth_in_a_job, (uint64_t, seed))
{
    enum { LENGTH = 40000 };
    int32_t *v = malloc(LENGTH * sizeof *v);
    if (!v)
        return 1;
    for (int i = 0; i < LENGTH; i++)
        v[i] = (int32_t)((seed += 0x9e3779b97f4a7c15u) >> 31);
    int err = yoke_nth_i32(NULL, v, LENGTH, LENGTH / 4);
    for (int i = 0; i < LENGTH; i++)
        err |= i < LENGTH / 4 ? v[i] > v[LENGTH / 4] : v[i] < v[LENGTH / 4];
    free(v);
    return err;
}

TEST(many_at_a_time_in_jobs)
{
    EACH_POOL(ex)
    {
        yoke_future *f[16];
        for (int i = 0; i < 16; i++)
            f[i] = yoke_submit(ex, nth_in_a_job, (uint64_t)i);
        for (int i = 0; i < 16; i++)
            CHECK_INT(yoke_await(f[i], int), 0);
    }
}
