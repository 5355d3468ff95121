/* primitive_cuda.c - the primitives' texts and what the host makes of them, without a GPU: on the CUDA driver
 * that is none, every launch is looked at (are the arguments those of the kernel? is there room for what it
 * writes?), every call is made to fail; and with a real NVRTC, where there is one, every text is compiled for
 * every kind of device: none may keep registers in memory. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include "primitive_try.h"
#include <stdlib.h>
#include <yoke.h>

/* ---- Launches, looked at ---- */

enum { RECORDS = 64 };

/* What was launched, in order. */
static struct {
    const char *name;
    fake_launch launch;
    uint64_t args[20];
} records[RECORDS];
static unsigned recorded;

static void record(const char *name, const fake_launch *l, unsigned count)
{
    CHECK(recorded < RECORDS);
    records[recorded].name = name;
    records[recorded].launch = *l;
    for (unsigned i = 0; i < count; i++)
        memcpy(&records[recorded].args[i], l->args[i], 8);
    recorded++;
}

#define P sizeof(void *)
#define L sizeof(uint64_t)
#define W sizeof(uint32_t)
/* Each kernel of the texts, with the sizes of its parameters for elements of 4 bytes. */
#define KERNELS(X)                                                                                                     \
    X(yk_reduce, 5, P, L, P, P, P)                                                                                     \
    X(yk_scan, 6, P, P, L, W, P, W)                                                                                    \
    X(yk_sort_count, 3, P, W, P)                                                                                       \
    X(yk_sort_bases, 1, P)                                                                                             \
    X(yk_sort_pass, 12, P, P, P, P, W, W, P, P, P, P, W, P)                                                            \
    X(yk_select, 7, P, P, P, L, P, P, W)                                                                               \
    X(yk_histogram, 7, P, L, W, W, W, W, P)                                                                            \
    X(yk_segments, 4, P, P, L, P)                                                                                      \
    X(yk_segments_parts, 4, P, P, W, P)                                                                                \
    X(yk_segments_join, 4, P, W, L, P)                                                                                 \
    X(yk_matmul, 9, L, L, L, P, L, P, L, P, L)                                                                         \
    X(yk_spmv, 6, P, P, P, P, P, L)
#define RECORD(NAME, COUNT, ...)                                                                                       \
    static void record_##NAME(const fake_launch *l)                                                                    \
    {                                                                                                                  \
        record(#NAME, l, COUNT);                                                                                       \
    }                                                                                                                  \
    static const size_t sizes_##NAME[] = {__VA_ARGS__, 0};
KERNELS(RECORD)

static void nothing(const fake_launch *l)
{
}

/* A device of the driver that is none. real_compiler: with NVRTC as it is found. looked_at: launches are
 * recorded, else their arguments, which depend on types, are not even read. */
static try fake_open(fake_cuda **ret, int capability, bool real_compiler, bool looked_at)
{
    static const size_t no_arguments[] = {0};
    fake_cuda *f = *ret = fake_use("fake-cuda");
    if (real_compiler)
        unsetenv("YOKE_NVRTC");
    f->capability = capability;
#define KNOW(NAME, COUNT, ...) f->kernel(#NAME, looked_at ? record_##NAME : nothing, looked_at ? sizes_##NAME : no_arguments);
    KERNELS(KNOW)
    try t = {.dev = yoke_device_open("cuda:0"), .uri = "cuda:0"};
    CHECK_STR(yoke_device_error(t.dev), "");
    t.s = yoke_stream_open(t.dev);
    CHECK(t.s != NULL);
    recorded = 0;
    return t;
}

static void fake_close(try *t, fake_cuda *f)
{
    CHECK_INT(yoke_stream_close(t->s), 0);
    CHECK_INT(yoke_device_close(t->dev), 0);
    check_nothing_left(f);
}

/* p and size bytes behind it lie in one block of the device. */
static void check_room(uint64_t p, uint64_t size)
{
    const yk_span *span = yk_span_of((void *)(uintptr_t)p);
    CHECK(span != NULL);
    CHECK(p + size <= (uintptr_t)span->base + span->size);
}

enum { N = 1 << 20 };

/* Arrays for all calls. */
typedef struct arrays {
    float *x, *y;
    uint32_t *words;
    uint64_t *longs;
    uint8_t *bytes;
} arrays;

static arrays arrays_open(try *t)
{
    return (arrays){yoke_device_alloc(t->dev, N * 4), yoke_device_alloc(t->dev, N * 4), yoke_device_alloc(t->dev, N * 4),
                    yoke_device_alloc(t->dev, N * 8), yoke_device_alloc(t->dev, N)};
}

static void arrays_close(try *t, arrays *a)
{
    void *all[] = {a->x, a->y, a->words, a->longs, a->bytes};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        yoke_device_free(t->dev, all[i]);
}

TEST(a_sum_has_room_for_its_parts)
{
    fake_cuda *f;
    try t = fake_open(&f, 90, false, true);
    arrays a = arrays_open(&t);
    GOES(&t, yoke_stream_sum(t.s, N, a.x, a.y));
    GOES(&t, yoke_stream_sum(t.s, 10, a.x + 1, a.y));
    GOES(&t, yoke_stream_wait(t.s));
    CHECK_INT(recorded, 2);
    CHECK_STR(records[0].name, "yk_reduce");
    CHECK_INT(records[0].args[0], (uintptr_t)a.x);
    CHECK_INT(records[0].args[1], N);
    check_room(records[0].args[2], records[0].launch.groups[0] * sizeof(float));
    check_room(records[0].args[3], 4);
    CHECK_INT(*(uint32_t *)(uintptr_t)records[0].args[3], 0);
    CHECK_INT(records[0].args[4], (uintptr_t)a.y);
    CHECK(records[0].launch.groups[0] > 1);
    CHECK_INT(records[1].launch.groups[0], 1);
    CHECK_INT(records[1].args[3], records[0].args[3]); /* the stream's counter */
    arrays_close(&t, &a);
    fake_close(&t, f);
}

TEST(a_counter_that_was_not_cleared_is_none)
{
    fake_cuda *f;
    try t = fake_open(&f, 90, false, true);
    arrays a = arrays_open(&t);
    CHECK_INT(yoke_stream_sum(t.s, 10, a.x, a.y), 0);
    yoke_stream *other = yoke_stream_open(t.dev);
    f->fail("cuMemsetD8Async", 1, 1);
    CHECK(yoke_stream_sum(other, 10, a.x, a.y) < 0);
    CHECK_STR(f->failed(), "cuMemsetD8Async");
    f->fail(NULL, 0, 0);
    CHECK(other->counter == NULL);
    yoke_stream_close(other);
    arrays_close(&t, &a);
    fake_close(&t, f);
}

TEST(a_scan_has_room_for_what_its_tiles_tell)
{
    fake_cuda *f;
    try t = fake_open(&f, 90, false, true);
    arrays a = arrays_open(&t);
    GOES(&t, yoke_stream_scan_before(t.s, N, a.x, a.x));
    GOES(&t, yoke_stream_wait(t.s));
    CHECK_INT(recorded, 1);
    const uint64_t tiles = (uint32_t)records[0].args[5], words = 32 + tiles + tiles / 32 + tiles / 1024;
    const uint64_t tile = records[0].launch.local / sizeof(float); /* one is on its way at a time */
    CHECK_INT((uint32_t)records[0].args[3], 1);
    CHECK_INT(tiles, (N + tile - 1) / tile);
    CHECK(records[0].launch.groups[0] <= tiles);
    check_room(records[0].args[4], words * 8);
    for (uint64_t i = 0; i < words; i++)
        CHECK(((uint64_t *)(uintptr_t)records[0].args[4])[i] == 0);
    arrays_close(&t, &a);
    fake_close(&t, f);
}

/* Each pass reads what the one before wrote, its words are its own, and the last one leaves the keys where
 * they were. */
TEST(the_passes_of_a_sort_follow_each_other)
{
    fake_cuda *f;
    try t = fake_open(&f, 90, false, true);
    arrays a = arrays_open(&t);
    GOES(&t, yoke_stream_sort_by(t.s, N, a.x, a.words));
    GOES(&t, yoke_stream_wait(t.s));
    CHECK_INT(recorded, 6);
    CHECK_STR(records[0].name, "yk_sort_count");
    CHECK_STR(records[1].name, "yk_sort_bases");
    const uint64_t sums = records[0].args[2];
    CHECK_INT(records[1].args[0], sums);
    CHECK_INT(records[1].launch.groups[0], 4);
    for (unsigned p = 0; p < 4; p++) {
        const uint64_t *pass = records[2 + p].args, *before = records[1 + p].args;
        const fake_launch *l = &records[2 + p].launch;
        CHECK_STR(records[2 + p].name, "yk_sort_pass");
        CHECK_INT(pass[0], p == 0 ? (uintptr_t)a.x : before[1]);
        CHECK_INT(pass[2], p == 0 ? (uintptr_t)a.words : before[3]);
        CHECK_INT((uint32_t)pass[4], N);
        CHECK_INT((uint32_t)pass[5], p * 8);
        CHECK_INT(pass[6], sums + p * 1024);
        check_room(pass[7], 1024);
        check_room(pass[8], l->groups[0] * 1024ull);
        check_room(pass[9], (uint32_t)pass[10] * 1024ull);
        CHECK_INT((uint32_t)pass[10], p < 3 ? l->groups[0] : 0);
        check_room(pass[11], 4);
        CHECK(p == 0 || (pass[8] == before[9] && pass[9] == before[8] && pass[11] == before[11] + 4));
        CHECK(pass[8] > pass[7] && pass[8] > pass[11]);
        /* a tile is in order in shared memory, keys and values */
        const uint64_t tile = (N + l->groups[0] - 1) / l->groups[0];
        CHECK(l->local >= tile * 8 + 1024);
    }
    CHECK_INT(records[5].args[1], (uintptr_t)a.x);
    CHECK_INT(records[5].args[3], (uintptr_t)a.words);
    arrays_close(&t, &a);
    fake_close(&t, f);
}

/* Each launch clears the words of the next: none may be left with a few tiles and the clearing of many. */
TEST(the_launches_of_a_sort_are_of_one_size)
{
    for (size_t tile = 1000; tile < 20000; tile += 1234)
        for (size_t n = 2; n < (size_t)1 << 32; n += n / 7 + 1) {
            const size_t portion = yk_sort_portion(n, tile), portions = (n + portion - 1) / portion;
            CHECK(portion > 0 && portion % tile == 0 && portion <= (size_t)1 << 29);
            CHECK(portions == 1 || n - (portions - 1) * portion > portion - portion / 16);
        }
    const size_t portion = yk_sort_portion((size_t)1 << 28, 512 * 22);
    CHECK(portion >= (size_t)1 << 28);
}

TEST(the_rest_is_launched_with_what_it_needs)
{
    fake_cuda *f;
    try t = fake_open(&f, 90, false, true);
    arrays a = arrays_open(&t);
    GOES(&t, yoke_stream_select(t.s, N, a.x, a.bytes, a.y, a.longs));
    GOES(&t, yoke_stream_histogram(t.s, N, a.x, 1000, -1, 1, a.longs));
    GOES(&t, yoke_stream_histogram(t.s, N, a.x, 100000, -1, 1, a.longs));
    GOES(&t, yoke_stream_segments_sum(t.s, 1000, 5000, a.words, a.x, a.y));
    GOES(&t, yoke_stream_segments_sum(t.s, 3, N, a.words, a.x, a.y));
    GOES(&t, yoke_stream_matmul(t.s, 300, 200, 100, a.x, 100, a.x, 200, a.y, 200));
    GOES(&t, yoke_stream_spmv(t.s, 1000, 30000, a.words, a.words, a.x, a.x, a.y));
    GOES(&t, yoke_stream_wait(t.s));
    CHECK_INT(recorded, 8);
    CHECK_STR(records[0].name, "yk_select");
    CHECK_INT(records[0].launch.groups[0], (uint32_t)records[0].args[6]);
    CHECK_STR(records[1].name, "yk_histogram");
    CHECK_INT(records[1].launch.local, 8 * 1000 * 4); /* a table for each warp */
    CHECK_INT(records[2].launch.local, 0);
    float scale;
    memcpy(&scale, &records[1].args[4], sizeof scale);
    CHECK(scale == 500);
    CHECK_STR(records[3].name, "yk_segments");
    CHECK_STR(records[4].name, "yk_segments_parts");
    const uint64_t parts = (uint32_t)records[4].args[2];
    CHECK(parts > 1);
    CHECK_INT(records[4].launch.groups[0], 3 * parts);
    check_room(records[4].args[3], 3 * parts * sizeof(float));
    CHECK_STR(records[5].name, "yk_segments_join");
    CHECK_INT(records[5].args[0], records[4].args[3]);
    CHECK_STR(records[6].name, "yk_matmul");
    CHECK_INT(records[6].launch.groups[0], 2);
    CHECK_INT(records[6].launch.groups[1], 3);
    CHECK_STR(records[7].name, "yk_spmv");
    arrays_close(&t, &a);
    fake_close(&t, f);
}

/* ---- Failures ---- */

/* No memory is tried again; what the current context is and what a compiler says need not be known. */
static bool may_fail(const char *function)
{
    static const char *const names[] = {"Alloc", "cuCtxGetCurrent", "Log", "Attribute", "Query", "Destroy", "Free", "Unload"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strstr(function, names[i]))
            return true;
    return false;
}

/* The k-th call of the driver fails, for each k until all goes well: the code is handed on, nothing is lost.
 * */
TEST(more_rows_than_a_grid_has_are_multiplied_in_parts)
{
    enum { PART = 65535 * 128, ROWS = 2 * PART + 5 };
    fake_cuda *f;
    try t = fake_open(&f, 90, false, true);
    float *x = yoke_device_alloc(t.dev, (size_t)ROWS * 4), *y = yoke_device_alloc(t.dev, (size_t)ROWS * 4);
    CHECK(x && y);
    GOES(&t, yoke_stream_matmul(t.s, ROWS, 1, 1, x, 1, x, 1, y, 1));
    GOES(&t, yoke_stream_matmul(t.s, PART, 1, 0, x, 0, x, 1, y, 1));
    GOES(&t, yoke_stream_wait(t.s));
    CHECK_INT(recorded, 4);
    for (unsigned k = 0; k < 3; k++) {
        CHECK_STR(records[k].name, "yk_matmul");
        CHECK_INT(records[k].args[0], k < 2 ? PART : 5);
        CHECK_INT(records[k].args[3], (uintptr_t)(x + (size_t)k * PART));
        CHECK_INT(records[k].args[5], (uintptr_t)x);
        CHECK_INT(records[k].args[7], (uintptr_t)(y + (size_t)k * PART));
        CHECK_INT(records[k].launch.groups[1], k < 2 ? 65535 : 1);
    }
    CHECK_INT(records[3].args[0], PART); /* all there can be at once, and of no depth */
    yoke_device_free(t.dev, x);
    yoke_device_free(t.dev, y);
    fake_close(&t, f);
}

TEST(every_call_of_the_driver_fails_once)
{
    int k = 1, err;
    do {
        fake_cuda *f;
        try t = fake_open(&f, 80, false, false);
        arrays a = arrays_open(&t);
        f->fail(NULL, k, 2 /* out of memory */);
        err = yoke_stream_sort(t.s, N, a.x);
        if (err == 0)
            err = yoke_stream_sum(t.s, N, a.x, a.y);
        if (err == 0)
            err = yoke_stream_segments_max(t.s, 2, N, a.words, a.x, a.y);
        char failed[64];
        snprintf(failed, sizeof failed, "%s", f->failed());
        f->fail(NULL, 0, 0);
        if (*failed && err == 0 && !may_fail(failed))
            test_fail(__FILE__, __LINE__, "nobody noticed that %s failed", failed);
        int late = yoke_stream_wait(t.s);
        CHECK(late == err || (err == 0 && late == -ENOMEM)); /* of which the pool of memory was told when it asked */
        GOES(&t, yoke_stream_sum(t.s, N, a.x, a.y)); /* and it goes on */
        arrays_close(&t, &a);
        GOES(&t, yoke_stream_wait(t.s));
        fake_close(&t, f);
        if (!*failed)
            break;
        k++;
    } while (k < 1000);
    CHECK(k > 5 && k < 1000);
}

/* A text that does not compile (the compiler that is none refuses nothing, so it is made to) is told of. */
TEST(a_compiler_that_fails)
{
    fake_cuda *f;
    try t = fake_open(&f, 80, false, false);
    arrays a = arrays_open(&t);
    f->fail("nvrtcCompileProgram", 1, 6);
    const int err = yoke_stream_scan(t.s, N, a.x, a.y);
    CHECK(err < 0);
    CHECK(*yoke_device_error(t.dev) != 0);
    CHECK_INT(yoke_stream_wait(t.s), err);
    GOES(&t, yoke_stream_scan(t.s, N, a.x, a.y)); /* another time it may go well */
    GOES(&t, yoke_stream_wait(t.s));
    arrays_close(&t, &a);
    fake_close(&t, f);
}

/* ---- Compiled for every device ---- */

/* Every call for one type; the kernels do nothing. */
#define CALLS(S, T)                                                                                                    \
    static void calls_##S(try *t, T *x, uint32_t *words, uint64_t *longs, bool all)                                    \
    {                                                                                                                  \
        GOES(t, yoke_stream_sum(t->s, N / 8, x, x));                                                                   \
        GOES(t, yoke_stream_scan(t->s, N / 8, x, x));                                                                  \
        GOES(t, yoke_stream_sort_by(t->s, N / 8, x, words));                                                           \
        GOES(t, yoke_stream_unique(t->s, N / 8, x, x, longs));                                                         \
        GOES(t, yoke_stream_segments_max(t->s, 1000, 5000, words, x, x));                                              \
        GOES(t, yoke_stream_histogram(t->s, N / 8, x, 2, 0, 1, longs));                                                \
        if (!all)                                                                                                      \
            return;                                                                                                    \
        GOES(t, yoke_stream_max(t->s, N / 8, x, x));                                                                   \
        GOES(t, yoke_stream_scan_min(t->s, N / 8, x, x));                                                              \
        GOES(t, yoke_stream_sort(t->s, N / 8, x));                                                                     \
        GOES(t, yoke_stream_sort_by_down(t->s, N / 8, x, longs));                                                      \
        GOES(t, yoke_stream_select(t->s, N / 8, x, (const uint8_t *)words, x, longs));                                 \
        for (size_t n = 1000; n < 40000; n *= 2)                                                                       \
            GOES(t, yoke_stream_segments_sum(t->s, 1000, n, longs, x, x));                                             \
    }
CALLS(i32, int32_t)
CALLS(i64, int64_t)
CALLS(f32, float)
CALLS(f64, double)

static void check_spills(yoke_device *dev)
{
    unsigned kernels = 0;
    for (const yk_built *b = atomic_load(&dev->built); b; b = b->next)
        for (int i = 0; i < 4 && b->program->kernels[i]; i++, kernels++)
            if (b->kernels[i].spilled_bytes > 0)
                test_fail(__FILE__, __LINE__, "%s (%s) for %u keeps %u bytes of registers in memory", b->kernels[i].name,
                          b->options, dev->info.capability, b->kernels[i].spilled_bytes);
    CHECK(kernels >= 10);
}

/* With YOKE_TEST_ALL all types and operators, which takes minutes. */
static void compile_for(int capability, bool wide)
{
    const char *identity;
    fake_cuda *f;
    yk_error e = {.text = ""};
    const bool all = getenv("YOKE_TEST_ALL") != NULL;
    try t = fake_open(&f, capability, true, false);
    if (yk_nvrtc_identity(&identity, &e) < 0)
        SKIP("%s", e.text);
    arrays a = arrays_open(&t);
    if (!wide || all) {
        calls_f32(&t, a.x, a.words, a.longs, all);
        GOES(&t, yoke_stream_matmul(t.s, 300, 200, 100, a.x, 100, a.x, 200, a.y, 200));
        GOES(&t, yoke_stream_spmv(t.s, 1000, 30000, a.words, a.words, a.x, a.x, a.y));
    }
    if (wide || all) {
        calls_f64(&t, (double *)a.x, a.words, a.longs, all);
        GOES(&t, yoke_stream_matmul(t.s, 300, 200, 100, (double *)a.x, 100, (double *)a.x, 200, (double *)a.y, 200));
    }
    if (all) {
        calls_i32(&t, (int32_t *)a.x, a.words, a.longs, all);
        calls_i64(&t, (int64_t *)a.x, a.words, a.longs, all);
    }
    check_spills(t.dev);
    arrays_close(&t, &a);
    GOES(&t, yoke_stream_wait(t.s));
    fake_close(&t, f);
}

#define COMPILED(CAPABILITY, WIDE)                                                                                     \
    TEST_LIMIT(compiled_for_##CAPABILITY, 900)                                                                         \
    {                                                                                                                  \
        compile_for(CAPABILITY, WIDE);                                                                                 \
    }
COMPILED(75, false)
COMPILED(80, true)
COMPILED(86, false)
COMPILED(89, true)
COMPILED(90, false)
COMPILED(100, true)
COMPILED(120, false)
