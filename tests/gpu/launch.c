/* launch.c - kernels as jobs and as tasks: on every executor, over memory of the host and of the device, cut in pieces and whole,
 * and with every wrong array. */
#include "exec/exec.h"
#include "gpu/kernel.h"
#include "test.h"
#include <errno.h>
#include <unistd.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_DEVICE_CODE(struct wide { double v[8]; } __attribute__((aligned(64)));)
YOKE_KERNEL(spread, ((val, struct wide, w), (out, double, y)), y[i] = w.v[i % 8];)
YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
/* The index as a value: what is cut must still count from the beginning. */
YOKE_KERNEL(count_up, ((out, int64_t, y), (val, int64_t, from)), y[i] = from + i + n * 1000000;)
/* Not cut: the array is read elsewhere. */
YOKE_KERNEL(mirror, ((in, int32_t, x), (out, int32_t, y)), y[i] = x[n - 1 - i];)
/* One of 16 elements beside one of n. */
YOKE_KERNEL(look_up, ((in, uint8_t, key), (in, int32_t, table, 16), (out, int32_t, y)), y[i] = table[key[i] % 16];)
YOKE_DEVICE_CODE(struct pair { int32_t a; int32_t b; };)
YOKE_KERNEL(swap_pairs, ((inout, struct pair, p)), const int32_t a = p[i].a; p[i].a = p[i].b; p[i].b = a;)
YOKE_KERNEL(fill_some, ((val, long, m), (out, int32_t, y, m)), y[i % m] = 7;)

YOKE_REDUCTION(int64_t, dot, (0), a + b, (int64_t)x[i] * y[i], ((in, int32_t, x), (in, int32_t, y)));
/* The index as a value, an array read elsewhere, a value. */
YOKE_REDUCTION(double, weighed, (0), a + b, x[n - 1 - i] * (double)(i % 3) + add, ((in, double, x), (val, double, add)));
YOKE_DEVICE_CODE(
    struct ends { int32_t least; int32_t most; };
    YOKE_FN struct ends alone(int32_t x) { struct ends e; e.least = e.most = x; return e; }
    YOKE_FN struct ends both(struct ends a, struct ends b)
    {
        a.least = yoke_lesser(a.least, b.least);
        a.most = yoke_greater(a.most, b.most);
        return a;
    }
)
YOKE_DEVICE_CODE(
    YOKE_FN struct wide eight(double x) { struct wide w; for (int i = 0; i < 8; i++) w.v[i] = x + i; return w; }
    YOKE_FN struct wide sums(struct wide a, struct wide b) { for (int i = 0; i < 8; i++) a.v[i] += b.v[i]; return a; }
)
YOKE_REDUCTION(struct wide, eights, ({{0}}), sums(a, b), eight(x[i]), ((in, double, x)));
YOKE_REDUCTION(struct ends, range, ({INT32_MAX, INT32_MIN}), both(a, b), alone(x[i]), ((in, int32_t, x)));

static const char *const uris[] = {"inline", "threads:1", "threads:4", "processes:2", "opencl", "cuda"};

/* body(ex) on every executor that this machine has. */
static void everywhere(void (*body)(yoke_executor *ex))
{
    unsigned used = 0;
    for (size_t u = 0; u < sizeof uris / sizeof *uris; u++) {
        yoke_executor *ex = yoke_open(uris[u]);
        if (yoke_executor_status(ex) == 0) {
            body(ex);
            used++;
        } else {
            CHECK(u >= 4); /* a device may be missing */
        }
        yoke_close(ex);
    }
    CHECK(used >= 4);
}

static void check_done(yoke_future *f)
{
    CHECK(f != NULL);
    if (yoke_wait(f) < 0)
        test_fail(__FILE__, __LINE__, "%s", yoke_error(f));
    yoke_release(f);
}

static void try_axpy(yoke_executor *ex)
{
    static const size_t sizes[] = {1, 255, 256, 10007, 3000017};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s];
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        for (size_t i = 0; i < n; i++) {
            x[i] = (float)(i % 1000);
            y[i] = (float)(i % 77);
        }
        check_done(yoke_launch(ex, axpy, n, 2, x, y));
        for (size_t i = 0; i < n; i++)
            if (y[i] != (float)(i % 77) + 2 * (float)(i % 1000))
                test_fail(__FILE__, __LINE__, "element %zu of %zu is %g", i, n, (double)y[i]);
        free(x);
        free(y);
    }
}

TEST(the_same_call_on_every_executor)
{
    everywhere(try_axpy);
}

static void try_index(yoke_executor *ex)
{
    enum { N = 2500000 };
    int64_t *y = malloc(N * sizeof *y);
    check_done(yoke_launch(ex, count_up, N, y, 5));
    for (int64_t i = 0; i < N; i++)
        if (y[i] != 5 + i + (int64_t)N * 1000000)
            test_fail(__FILE__, __LINE__, "element %ld is %ld", (long)i, (long)y[i]);
    free(y);
}

TEST(pieces_know_where_they_are)
{
    yk_piece_bytes = 100000; /* some hundred of them */
    everywhere(try_index);
}

TEST(pieces_through_pinned_memory)
{
    yk_piece_bytes = 100000;
    yk_stage_always = true;
    everywhere(try_index);
    everywhere(try_axpy);
}

/* What is borrowed is had again; what users have is known by its addresses, and each byte of it. */
TEST(pinned_memory)
{
    yoke_device *dev = yoke_device_open("cpu");
    yk_error e = {0};
    char *x = yoke_pinned_alloc(dev, 1000), *y = yoke_pinned_alloc(dev, 0);
    CHECK(x && y);
    CHECK(yk_is_pinned(x) && yk_is_pinned(x + 999) && !yk_is_pinned(x + 1000) && !yk_is_pinned(&e));
    void *a = yk_pinned_borrow(dev, 5000, &e), *b = yk_pinned_borrow(dev, 5000, &e);
    CHECK(a && b && a != b && !yk_is_pinned(a));
    yk_pinned_return(dev, a);
    CHECK(yk_pinned_borrow(dev, 100, &e) != a); /* too large for so little */
    CHECK(yk_pinned_borrow(dev, 4000, &e) == a);
    yoke_pinned_free(dev, x + 1);
    CHECK_HAS(yoke_device_error(dev), "freed twice, or not its beginning");
    yoke_pinned_free(dev, x);
    CHECK(!yk_is_pinned(x));
    yoke_pinned_free(dev, x);
    CHECK_HAS(yoke_device_error(dev), "freed twice");
    yoke_pinned_free(dev, NULL);
    CHECK(yoke_pinned_alloc(dev, SIZE_MAX / 2) == NULL);
    CHECK(yk_pinned_borrow(dev, SIZE_MAX / 2, &e) == NULL);
    CHECK_INT(yoke_device_close(dev), 0); /* frees y, and what was borrowed */
    CHECK(!yk_is_pinned(y));
}

static void try_whole(yoke_executor *ex)
{
    enum { N = 3000001 };
    int32_t *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int32_t i = 0; i < N; i++)
        x[i] = i;
    check_done(yoke_launch(ex, mirror, N, x, y));
    for (int32_t i = 0; i < N; i++)
        if (y[i] != N - 1 - i)
            test_fail(__FILE__, __LINE__, "element %d is %d", i, y[i]);
    free(x);
    free(y);
}

TEST(what_reads_elsewhere_is_not_cut)
{
    everywhere(try_whole);
}

static void try_sizes(yoke_executor *ex)
{
    uint8_t key[1000];
    int32_t table[16], y[1000];
    for (int i = 0; i < 1000; i++)
        key[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 16; i++)
        table[i] = i * i;
    check_done(yoke_launch(ex, look_up, 1000, key, table, y));
    for (int i = 0; i < 1000; i++)
        CHECK_INT(y[i], (key[i] % 16) * (key[i] % 16));
    int32_t some[10] = {0};
    check_done(yoke_launch(ex, fill_some, 1000, 10, some));
    for (int i = 0; i < 10; i++)
        CHECK_INT(some[i], 7);
    check_done(yoke_launch(ex, axpy, 0, 2, NULL, NULL));
}

TEST(arrays_of_other_sizes)
{
    everywhere(try_sizes);
}

static void try_structs(yoke_executor *ex)
{
    struct pair p[1001];
    for (int i = 0; i < 1001; i++)
        p[i] = (struct pair){i, -i};
    check_done(yoke_launch(ex, swap_pairs, 1001, p));
    for (int i = 0; i < 1001; i++)
        CHECK(p[i].a == -i && p[i].b == i);
}

TEST(arrays_of_structs)
{
    everywhere(try_structs);
}

/* Memory of the device stays where it is; mixed with memory of the host, which is cut. */
static void try_device_memory(yoke_executor *ex)
{
    enum { N = 3000000 };
    yoke_device *dev = yoke_executor_device(ex);
    if (!dev)
        return;
    yoke_stream *s = yoke_stream_open(dev);
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y), *dx = yoke_device_alloc(dev, N * sizeof *dx);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i % 1000);
        y[i] = 1;
    }
    CHECK_INT(yoke_stream_copy(s, dx, x, N * sizeof *dx), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    check_done(yoke_launch(ex, axpy, N, 2, dx, y));
    for (int i = 0; i < N; i++)
        CHECK(y[i] == 1 + 2 * (float)(i % 1000));
    float *dy = yoke_device_alloc(dev, N * sizeof *dy);
    CHECK_INT(yoke_stream_fill(s, dy, &(float){3}, 4, N), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    check_done(yoke_launch(ex, axpy, N, 2, dx, dy));
    CHECK_INT(yoke_stream_copy(s, y, dy, N * sizeof *dy), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (int i = 0; i < N; i++)
        CHECK(y[i] == 3 + 2 * (float)(i % 1000));
    yoke_device_free(dev, dx);
    yoke_device_free(dev, dy);
    CHECK_INT(yoke_stream_close(s), 0);
    free(x);
    free(y);
}

TEST(memory_of_the_device_is_used_as_it_is)
{
    everywhere(try_device_memory);
}

/* Of the host's memory, of the device's, and both. */
static void try_reductions(yoke_executor *ex)
{
    static const size_t sizes[] = {0, 1, 255, 10007, 3000017};
    yoke_device *dev = yoke_executor_device(ex);
    yoke_stream *s = dev ? yoke_stream_open(dev) : NULL;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k], room = n + 1;
        int32_t *x = malloc(room * sizeof *x), *y = malloc(room * sizeof *y);
        int32_t *own = dev ? yoke_device_alloc(dev, room * sizeof *x) : NULL;
        double *z = malloc(room * sizeof *z), sum = 0;
        int64_t product = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = (int32_t)(i * 7919 % 100003) - 50000;
            y[i] = (int32_t)(i % 1000);
            z[i] = (double)(i % 5);
            product += (int64_t)x[i] * y[i];
        }
        for (size_t i = 0; i < n; i++)
            sum += z[n - 1 - i] * (double)(i % 3) + 0.5;
        CHECK_INT(yoke_await(yoke_launch_reduction(ex, dot, n, x, y), int64_t), product);
        if (!dev || yoke_device_about(dev)->has_double)
            CHECK_NEAR(yoke_await(yoke_launch_reduction(ex, weighed, n, z, 0.5), double), sum, 0); /* quarters */
        struct wide w = yoke_await(yoke_launch_reduction(ex, eights, n, z), struct wide), none = {{0}};
        for (int i = 0; i < 8 && (!dev || yoke_device_about(dev)->has_double); i++)
            CHECK_NEAR(w.v[i] - w.v[0], n == 0 ? none.v[i] : (double)n * i, 0);
        struct ends e = yoke_await(yoke_launch_reduction(ex, range, n, x), struct ends);
        for (size_t i = 0; i < n; i++)
            CHECK(x[i] >= e.least && x[i] <= e.most);
        CHECK_INT(e.least, n == 0 ? INT32_MAX : n == 1 ? -50000 : e.least);
        if (own) {
            CHECK_INT(yoke_stream_copy(s, own, x, n * sizeof *x), 0);
            CHECK_INT(yoke_stream_wait(s), 0);
            CHECK_INT(yoke_await(yoke_launch_reduction(ex, dot, n, own, y), int64_t), product);
            yoke_device_free(dev, own);
        }
        free(x);
        free(y);
        free(z);
    }
    if (s)
        CHECK_INT(yoke_stream_close(s), 0);
}

TEST(reductions_on_every_executor)
{
    static const char *const placing[] = {"gpu", "gpu:cpu", "gpu:opencl", "processes:opencl"};
    everywhere(try_reductions);
    for (size_t k = 0; k < YK_COUNT_OF(placing); k++) {
        yoke_executor *ex = yoke_open(placing[k]);
        if (yoke_executor_status(ex) == 0)
            try_reductions(ex);
        yoke_close(ex);
    }
}

static void try_wrong_reductions(yoke_executor *ex)
{
    int32_t x[3] = {1, 2, 3}, *none = NULL;
    yoke_future *f = yoke_launch_reduction(ex, dot, 3, x, none);
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_STR(yoke_error(f), "dot: array \"y\" is NULL");
    yoke_release(f);
    f = yoke_launch_reduction(ex, dot, -1, x, x);
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_STR(yoke_error(f), "dot: n is -1, and should be 0 or more");
    yoke_release(f);
    CHECK_INT(yoke_await(yoke_launch_reduction(ex, dot, 3, x, x), int64_t), 14);
    CHECK_INT(yoke_await(yoke_opt_launch_reduction(ex, (timeout = 60 * YOKE_S, retries = 2), dot, 2, x, x), int64_t), 5);
}

YOKE_KERNEL(picked, ((in, int32_t, at), (in, int32_t, x), (out, int32_t, y)), y[i] = x[at[i]];)
YOKE_REDUCTION(int64_t, picked_sum, (0), a + b, x[at[i]], ((in, int32_t, at), (in, int32_t, x)));

/* A job that is cancelled while its arrays are on their way through pinned memory leaves there what was there before: indices
 * that lead nowhere, which a kernel must not follow. */
TEST(what_is_cut_while_it_is_staged_is_not_worked_on)
{
    enum { N = 5 << 20, TURNS = 24 };
    yk_stage_always = true;
    yoke_executor *ex = yoke_open("opencl");
    if (yoke_executor_status(ex) < 0)
        SKIP("%s", yoke_executor_error(ex));
    int32_t *wild = malloc(N * sizeof *wild), *at = malloc(N * sizeof *at);
    int32_t *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) {
        wild[i] = 1 << 30;
        at[i] = N - 1 - i;
        x[i] = i;
    }
    for (int turn = 0; turn < TURNS; turn++) {
        struct ends e = yoke_await(yoke_launch_reduction(ex, range, N, wild), struct ends); /* fills pinned memory */
        CHECK_INT(e.least, 1 << 30);
        yoke_future *f = turn % 2 ? yoke_launch(ex, picked, N, at, x, y) : yoke_launch_reduction(ex, picked_sum, N, at, x);
        usleep((useconds_t)(300 + turn * 300));
        yoke_cancel(f);
        int err = yoke_wait(f);
        CHECK(err == 0 || err == -ECANCELED);
        for (int i = 0; i < N && err == 0 && turn % 2; i++)
            CHECK_INT(y[i], N - 1 - i);
        yoke_release(f);
    }
    yoke_close(ex);
    free(wild);
    free(at);
    free(x);
    free(y);
}

TEST(wrong_reductions_are_refused)
{
    everywhere(try_wrong_reductions);
}

static void try_many(yoke_executor *ex)
{
    enum { JOBS = 50, N = 1000 };
    static float x[JOBS][N], y[JOBS][N];
    yoke_future *f[JOBS];
    for (int j = 0; j < JOBS; j++) {
        for (int i = 0; i < N; i++) {
            x[j][i] = (float)i;
            y[j][i] = (float)j;
        }
        f[j] = yoke_launch(ex, axpy, N, (float)j, x[j], y[j]);
    }
    for (int j = 0; j < JOBS; j++) {
        check_done(f[j]);
        for (int i = 0; i < N; i++)
            CHECK(y[j][i] == (float)j + (float)j * (float)i);
    }
}

TEST(many_at_a_time)
{
    everywhere(try_many);
}

/* Each begins when the one before has ended well. */
static void try_options(yoke_executor *ex)
{
    enum { JOBS = 20, N = 1000 };
    float x[N], y[N] = {0};
    yoke_future *f[JOBS];
    for (int i = 0; i < N; i++)
        x[i] = (float)i;
    f[0] = yoke_opt_launch(ex, (retries = 2, timeout = 600 * YOKE_S), axpy, N, 1, x, y);
    for (int j = 1; j < JOBS; j++)
        f[j] = yoke_opt_launch(ex, (after = f[j - 1], priority = j % 3 - 1), axpy, N, 1, x, y);
    for (int j = 0; j < JOBS; j++)
        check_done(f[j]);
    for (int i = 0; i < N; i++)
        CHECK(y[i] == (float)(JOBS * i));
    float z[N] = {0};
    yoke_future *late = yoke_opt_launch(ex, (deadline = 1), axpy, N, 1, x, z); /* inline does it, and says that it is late */
    CHECK_INT(yoke_wait(late), -ETIMEDOUT);
    yoke_future *never = yoke_opt_launch(ex, (after = late), axpy, N, 1, x, y);
    CHECK_INT(yoke_wait(never), -ECANCELED);
    yoke_release(late);
    yoke_release(never);
    never = yoke_opt_launch(ex, (timeout = -1), axpy, N, 1, x, y);
    CHECK_INT(yoke_wait(never), -EINVAL);
    yoke_release(never);
    for (int i = 0; i < N; i++)
        CHECK(y[i] == (float)(JOBS * i));
}

TEST(a_launch_has_the_options_of_a_job)
{
    everywhere(try_options);
}

/* ---- As a task ---- */

static void try_as_task(yoke_executor *ex)
{
    const yoke_task *t = yoke_find("axpy");
    CHECK(t != NULL);
    CHECK_STR(yoke_signature(t), "axpy(a: f32, x: f32[] in, y: f32[] inout) -> void");
    float x[4] = {1, 2, 3, 4}, y[4] = {0, 0, 0, 1};
    struct {
        _Alignas(16) float a;
        _Alignas(16) yoke_in_f32 x;
        _Alignas(16) yoke_inout_f32 y;
    } args = {3, yoke_2d(yoke_in_f32, x, 2, 2), yoke_1d(yoke_inout_f32, y, 4)};
    CHECK_INT(t->params[1].offset, (char *)&args.x - (char *)&args);
    check_done(yoke_raw_submit(ex, t, &args, NULL));
    CHECK(y[0] == 3 && y[1] == 6 && y[2] == 9 && y[3] == 13);
}

/* UndefinedBehaviorSanitizer sees it when the value lies where its type must not. */
static void try_wide_value(yoke_executor *ex)
{
    struct wide w = {{1, 2, 3, 4, 5, 6, 7, 8}};
    double y[3][12];
    yoke_future *f[3];
    for (int j = 0; j < 3; j++)
        f[j] = yoke_launch(ex, spread, 12, w, y[j]);
    for (int j = 0; j < 3; j++) {
        check_done(f[j]);
        for (int i = 0; i < 12; i++)
            CHECK_INT(y[j][i], 1 + i % 8);
    }
}

TEST(a_value_of_64_bytes)
{
    everywhere(try_wide_value);
}

TEST(memory_for_arguments_suits_every_value)
{
    void *all[100];
    for (size_t i = 0; i < 100; i++) {
        char *args = all[i] = yk_args_alloc(8 * i + 1);
        CHECK(args && (uintptr_t)args % _Alignof(struct wide) == 0);
        CHECK(args[0] == 0 && args[8 * i] == 0);
    }
    for (size_t i = 0; i < 100; i++)
        free(all[i]);
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK(yk_args_alloc(8) == NULL);
    yk_sys_fail("posix_memalign", 0, 0);
}

/* Another file has a kernel of this name too. */
YOKE_KERNEL(namesake, ((out, int32_t, y)), y[i] = 1;)
yoke_future *launch_other_namesake(yoke_executor *ex, size_t n, int32_t *y);

static void try_namesakes(yoke_executor *ex)
{
    int32_t first[3] = {0}, second[3] = {0};
    check_done(yoke_launch(ex, namesake, 3, first));
    check_done(launch_other_namesake(ex, 3, second));
    CHECK_INT(first[2], 1);
    CHECK_INT(second[2], 2);
}

TEST(two_kernels_of_one_name)
{
    everywhere(try_namesakes);
}

TEST(a_kernel_is_a_task)
{
    everywhere(try_as_task);
    CHECK_STR(yoke_signature(yoke_find("fill_some")), "fill_some(n: i64, m: i64, y: i32[] out) -> void");
    CHECK_STR(yoke_signature(yoke_find("swap_pairs")), "swap_pairs(p: u8[] inout) -> void");
}

static yoke_executor *place;
static void check_refused(const char *name, const void *args, const char *why)
{
    yoke_future *f = yoke_raw_submit(place, yoke_find(name), args, NULL);
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_HAS(yoke_error(f), why);
    yoke_release(f);
}

static void try_wrong(yoke_executor *ex)
{
    float x[9] = {0}, y[9] = {0};
    uint8_t bytes[12] = {0};
    struct {
        _Alignas(16) float a;
        _Alignas(16) yoke_in_f32 x;
        _Alignas(16) yoke_inout_f32 y;
    } args = {3, yoke_1d(yoke_in_f32, x, 3), yoke_1d(yoke_inout_f32, y, 4)};
    place = ex;
    check_refused("axpy", &args, "axpy: array \"y\" has 4 elements, and should have 3 (n)");
    args.y = (yoke_inout_f32){y, 1, {3}, {2}};
    if (strncmp(ex->uri, "processes", 9) != 0) /* there a copy that lies in one piece arrives */
        check_refused("axpy", &args, "axpy: array \"y\" must lie in one piece");
    struct {
        _Alignas(16) yoke_inout_u8 p;
    } pairs = {yoke_1d(yoke_inout_u8, bytes, 12)};
    check_refused("swap_pairs", &pairs, "array \"p\" has 12 bytes, no multiple of the 8 of an element");
    struct {
        _Alignas(16) int64_t n;
        _Alignas(16) int64_t m;
        _Alignas(16) yoke_out_i32 y;
    } some = {-1, 3, yoke_1d(yoke_out_i32, (int32_t *)x, 3)};
    check_refused("fill_some", &some, "fill_some: n is -1, and should be 0 or more");
}

static void check_launch(yoke_future *f, const char *why)
{
    CHECK(f != NULL);
    CHECK_INT(yoke_wait(f), -EINVAL);
    CHECK_STR(yoke_error(f), why);
    yoke_release(f);
}

static void try_null(yoke_executor *ex)
{
    float x[9] = {0}, y[9] = {0}, *none = NULL;
    int32_t z[4];
    check_launch(yoke_launch(ex, axpy, -3, 1, x, y), "axpy: n is -3, and should be 0 or more");
    check_launch(yoke_launch(ex, axpy, 9, 1, none, y), "axpy: array \"x\" is NULL");
    check_launch(yoke_launch(ex, fill_some, 9, 4, NULL), "fill_some: array \"y\" is NULL");
    check_launch(yoke_launch(ex, fill_some, -9, 4, z), "fill_some: n is -9, and should be 0 or more");
    check_launch(yoke_launch(ex, fill_some, 9, -4, z), "fill_some: array \"y\" should have -4 elements (m)");
    check_done(yoke_launch(ex, axpy, 0, 1, none, none));
}

TEST(wrong_calls_are_refused_before_they_are_submitted)
{
    everywhere(try_null);
}

TEST(wrong_arrays_are_refused_with_their_names)
{
    everywhere(try_wrong);
}

TEST(memory_of_a_device_does_not_go_elsewhere)
{
    yoke_executor *ex = yoke_open("processes:1");
    yoke_device *dev = yoke_device_open("cpu");
    float *x = yoke_device_alloc(dev, 100), y[25] = {0};
    memset(x, 0, 100);
    check_done(yoke_launch(ex, axpy, 25, 1, x, y)); /* memory of the CPU is ordinary memory */
    yoke_device_free(dev, x);
    yoke_device_close(dev);
    yoke_close(ex);
    dev = yoke_device_open("opencl");
    if (yoke_device_status(dev) == 0) {
        ex = yoke_open("processes:1");
        x = yoke_device_alloc(dev, 100);
        yoke_future *f = yoke_launch(ex, axpy, 25, 1, x, y);
        CHECK_INT(yoke_wait(f), -EFAULT);
        CHECK_STR(yoke_error(f), "axpy: array \"x\" is memory of a device, which processes:1 cannot reach");
        yoke_release(f);
        yoke_close(ex);
    }
    yoke_device_close(dev);
}
