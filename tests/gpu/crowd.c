/* crowd.c - many threads at one device and at many: the first to open a driver, the first to launch a kernel, memory that
 * goes round between streams, errors that come at once. On every device of this machine and on the CUDA driver that is
 * none. */
#include "child.h"
#include "cuda_run.h"
#include "gpu/kernel.h"
#include "kernel_try.h"
#include <errno.h>
#include <yoke.h>
#include <yoke/kernel.h>
#include <yoke/program.h>

YOKE_KERNEL(stamp, ((val, int32_t, mark), (inout, int32_t, x)), x[i] = x[i] * 2 + mark;)
YOKE_KERNEL(stamp_too, ((val, int32_t, mark), (inout, int32_t, x)), x[i] = x[i] * 3 + mark;)

enum { THREADS = 8 };
static const size_t stamp_sizes[] = {8, 8, 8, 4, 8, 0};

static void stamp_by(const fake_launch *l, int32_t factor)
{
    long n = *(long *)l->args[1] - *(long *)l->args[0];
    int32_t mark = *(int32_t *)l->args[3], *x = *(int32_t **)l->args[4];
    for (long i = 0; i < n; i++)
        x[i] = x[i] * factor + mark;
}

static void stamp_them(const fake_launch *l)
{
    stamp_by(l, 2);
}

static void stamp_them_too(const fake_launch *l)
{
    stamp_by(l, 3);
}

static fake_cuda *use_it(void)
{
    fake_cuda *f = fake_use("fake-cuda");
    add_kernels(f);
    f->kernel("kernel_stamp", stamp_them, stamp_sizes);
    f->kernel("kernel_stamp_too", stamp_them_too, stamp_sizes);
    return f;
}

/* ---- A crowd ---- */

/* What each thread of a crowd knows. */
typedef struct member {
    pthread_t thread;
    pthread_barrier_t *start;
    yoke_device *dev;
    const char *uri;
    int number;
    uint64_t random;
    void (*body)(struct member *m);
} member;

static void *begin_together(void *arg)
{
    member *m = arg;
    pthread_barrier_wait(m->start);
    m->body(m);
    return NULL;
}

/* Every thread runs body, and all begin at once. */
static void crowd(void (*body)(member *m), yoke_device *dev, const char *uri)
{
    member all[THREADS];
    pthread_barrier_t start;
    CHECK_INT(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        all[i] = (member){.start = &start, .dev = dev, .uri = uri, .number = i, .random = test_random() | 1, .body = body};
        CHECK_INT(pthread_create(&all[i].thread, NULL, begin_together, &all[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(all[i].thread, NULL), 0);
    CHECK_INT(pthread_barrier_destroy(&start), 0);
}

static uint64_t next_random(member *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

/* body with every device opened `rounds` times: those that are here, and that of the fake driver. */
static void for_every_device(void (*body)(member *m), int rounds)
{
    fake_cuda *f = use_it();
    unsigned count = yoke_device_count();
    CHECK(count >= 2); /* the fake one and the CPU */
    for (unsigned i = 0; i < count; i++)
        for (int r = 0; r < rounds; r++) {
            yoke_device_info info;
            CHECK_INT(yoke_device_at(i, &info), 0);
            yoke_device *dev = yoke_device_open(info.uri);
            if (yoke_device_status(dev) == 0)
                crowd(body, dev, info.uri);
            else
                CHECK_STR(info.driver, "opencl");
            yoke_device_close(dev);
        }
    check_nothing_left(f);
}

/* ---- Kernels that nobody has launched yet ---- */

static void launch_first(member *m)
{
    enum { N = 1000 };
    int32_t got[N];
    yoke_stream *s = yoke_stream_open(m->dev);
    CHECK(s);
    for (int i = 0; i < N; i++)
        got[i] = i;
    int32_t *x = up(s, got, sizeof got), mark = m->number;
    for (int r = 0; r < 3; r++)
        if (m->number % 2) {
            DONE(s, yoke_enqueue(s, stamp, N, mark, x));
            DONE(s, yoke_enqueue(s, stamp_too, N, mark, x));
        } else {
            DONE(s, yoke_enqueue(s, stamp_too, N, mark, x));
            DONE(s, yoke_enqueue(s, stamp, N, mark, x));
        }
    down(s, got, x, sizeof got);
    int32_t per_round = m->number % 2 ? 3 * mark + mark : 2 * mark + mark;
    for (int32_t i = 0; i < N; i++)
        if (got[i] != 216 * i + per_round * (36 + 6 + 1))
            test_fail(__FILE__, __LINE__, "%s, thread %d: element %d is %d", m->uri, m->number, i, got[i]);
    CHECK_INT(yoke_stream_close(s), 0);
}

TEST(all_are_the_first_to_launch)
{
    for_every_device(launch_first, 5);
}

/* ---- One kernel, wider and wider ---- */

enum { MOST_GROUPS = 200 };
YOKE_PROGRAM(mark_groups, 1, ((out, int32_t, x, groups)),
    YOKE_ITEMS(l) {
        uint32_t slow = (uint32_t)l;
        for (uint32_t k = 0; k < 3000; k++)
            slow = slow * 1664525 + k;
        x[group] = (int32_t)group * 3 + (slow == 77);
    }
)

/* PoCL before 7.0 ends the program when it is not helped (opencl_enqueue.c). */
static void launch_wider(member *m)
{
    int32_t got[MOST_GROUPS];
    yoke_stream *s = yoke_stream_open(m->dev);
    CHECK(s);
    for (int groups = 1 + m->number; groups <= MOST_GROUPS; groups += 1 + m->number) {
        int32_t *x = up(s, NULL, sizeof got);
        for (int r = 0; r < 4; r++)
            DONE(s, yoke_enqueue_program(s, mark_groups, (size_t)(r % 2 ? groups : 1 + groups / 2), x));
        DONE(s, yoke_stream_copy(s, got, x, (size_t)groups * sizeof *got));
        DONE(s, yoke_stream_wait(s));
        for (int32_t i = 0; i < groups; i++)
            CHECK_INT(got[i], 3 * i);
        yoke_device_free(m->dev, x);
    }
    CHECK_INT(yoke_stream_close(s), 0);
}

static void widen(void)
{
    yoke_device *dev = yoke_device_open("opencl");
    if (yoke_device_status(dev) == 0)
        crowd(launch_wider, dev, NULL);
    else
        fprintf(stderr, "%s", yoke_device_error(dev));
    yoke_device_close(dev);
}

/* PoCL is new in each child. */
TEST_LIMIT(one_kernel_wider_and_wider, 300)
{
    for (int r = 0; r < 8; r++) {
        child_end end = in_child(widen);
        if (strstr(end.text, "OpenCL: "))
            SKIP("%s", end.text);
        CHECK_STR(end.text, "");
        CHECK_INT(end.status, 0);
    }
}

/* Who launches a kernel, wider or not, does not wait for what streams have to do, and nobody else is held up. */
YOKE_PROGRAM(wait_for_host, 1, ((inout, int32_t, x, groups)),
    YOKE_ITEMS(l) { while (*(volatile YOKE_GLOBAL int32_t *)x == l) ; }
)

static void launch_behind_a_gate(void)
{
    yoke_device *dev = yoke_device_open("opencl");
    if (yoke_device_status(dev) < 0 || !strstr(yoke_device_about(dev)->platform, "Portable Computing Language")) {
        fprintf(stderr, "OpenCL: no PoCL, whose memory is the host's");
        _exit(0);
    }
    yoke_stream *s = yoke_stream_open(dev), *other = yoke_stream_open(dev);
    int32_t *gate = yoke_device_alloc(dev, sizeof *gate), *x = up(s, NULL, MOST_GROUPS * sizeof *x), got[MOST_GROUPS];
    DONE(s, yoke_stream_fill(s, gate, &(int32_t){0}, 4, 1));
    DONE(s, yoke_enqueue_program(s, mark_groups, 1, x));
    DONE(s, yoke_stream_wait(s));
    DONE(s, yoke_enqueue_program(s, wait_for_host, 1, gate));
    DONE(s, yoke_enqueue_program(s, mark_groups, 2, x));
    DONE(other, yoke_enqueue_program(other, mark_groups, 3, x));
    DONE(s, yoke_enqueue_program(s, mark_groups, MOST_GROUPS, x));
    yoke_stream *third = yoke_stream_open(dev);
    CHECK_INT(yoke_stream_close(third), 0);
    __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
    DONE(other, yoke_stream_wait(other));
    DONE(s, yoke_stream_copy(s, got, x, sizeof got));
    DONE(s, yoke_stream_wait(s));
    for (int32_t i = 0; i < MOST_GROUPS; i++)
        CHECK_INT(got[i], 3 * i);
    CHECK_INT(yoke_stream_close(other), 0);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST_LIMIT(a_wider_launch_does_not_wait, 60)
{
    child_end end = in_child(launch_behind_a_gate);
    if (strstr(end.text, "OpenCL: "))
        SKIP("%s", end.text);
    CHECK_STR(end.text, "");
    CHECK_INT(end.status, 0);
}

/* ---- Devices that come and go ---- */

static void open_and_close(member *m)
{
    enum { N = 100 };
    for (int r = 0; r < 5; r++) {
        int32_t got[N], value = m->number * 100 + r;
        yoke_device *dev = yoke_device_open(m->uri);
        if (yoke_device_status(dev) < 0)
            test_fail(__FILE__, __LINE__, "%s", yoke_device_error(dev));
        CHECK_STR(yoke_device_about(dev)->uri, m->uri);
        yoke_stream *s = yoke_stream_open(dev);
        CHECK(s);
        int32_t *x = yoke_device_alloc(dev, sizeof got);
        CHECK(x);
        DONE(s, yoke_stream_fill(s, x, &value, sizeof value, N));
        DONE(s, yoke_enqueue(s, stamp, N, 1, x));
        DONE(s, yoke_stream_copy(s, got, x, sizeof got));
        DONE(s, yoke_stream_wait(s));
        for (int i = 0; i < N; i++)
            CHECK_INT(got[i], 2 * value + 1);
        if (r % 2)
            CHECK_INT(yoke_stream_close(s), 0); /* else it goes with the device */
        CHECK_INT(yoke_device_close(dev), 0);
    }
}

TEST(devices_come_and_go)
{
    for_every_device(open_and_close, 1);
}

static void ask_for_all(member *m)
{
    yoke_device_info info;
    unsigned count = yoke_device_count(), seen = 0;
    while (yoke_device_at(seen, &info) == 0)
        seen++;
    CHECK_INT(seen, count);
    CHECK_STR(info.driver, "cpu"); /* the last */
    CHECK_STR(yoke_driver_error("cuda"), "");
    CHECK_HAS(yoke_driver_error("coda"), "no driver is named \"coda\"");
    yoke_device *dev = yoke_device_open(m->number % 2 ? "cuda:0" : "cuda:1");
    CHECK_INT(yoke_device_status(dev), m->number % 2 ? 0 : -ENOENT);
    yoke_device_close(dev);
}

/* Nobody has asked for a driver yet. */
TEST(all_are_the_first_to_ask)
{
    fake_cuda *f = use_it();
#ifdef __SANITIZE_ADDRESS__ /* which gives back the stack for signals that a driver of OpenCL has set for the thread it met */
    setenv("YOKE_OPENCL_DRIVER", "/nonexistent/libOpenCL.so.1", 1);
#endif
    crowd(ask_for_all, NULL, NULL);
    CHECK(f->calls("cuInit") <= 1);
    check_nothing_left(f);
}

/* ---- Memory ---- */

/* A block of memory with a pattern that only its owner writes. */
typedef struct own {
    int32_t *memory, value;
    size_t count;
    bool of_stream;
} own;

static void check_own(yoke_stream *s, const own *o, const member *m)
{
    static _Thread_local int32_t got[5000];
    DONE(s, yoke_stream_copy(s, got, o->memory, o->count * sizeof *got));
    DONE(s, yoke_stream_wait(s));
    for (size_t i = 0; i < o->count; i++)
        if (got[i] != o->value)
            test_fail(__FILE__, __LINE__, "%s, thread %d: element %zu of %zu is %d, and was %d", m->uri, m->number, i, o->count,
                      got[i], o->value);
}

static void give_own(yoke_stream *s, own *o)
{
    if (o->of_stream)
        yoke_stream_free(s, o->memory);
    else
        yoke_device_free(yoke_stream_device(s), o->memory);
    o->memory = NULL;
}

static void take_own(yoke_stream *s, own *o, member *m)
{
    o->count = next_random(m) % 5000 + 1;
    o->value = (int32_t)next_random(m);
    o->of_stream = next_random(m) % 2;
    size_t bytes = o->count * sizeof *o->memory;
    o->memory = o->of_stream ? yoke_stream_alloc(s, bytes) : yoke_device_alloc(m->dev, bytes);
    CHECK(o->memory && (uintptr_t)o->memory % 256 == 0);
    DONE(s, yoke_stream_fill(s, o->memory, &o->value, sizeof o->value, o->count));
}

static void use_memory(member *m)
{
    own all[10] = {{0}};
    yoke_stream *s = yoke_stream_open(m->dev);
    CHECK(s);
    for (int r = 0; r < 60; r++) {
        own *o = &all[next_random(m) % YK_COUNT_OF(all)];
        if (o->memory) {
            check_own(s, o, m);
            give_own(s, o);
        } else {
            take_own(s, o, m);
        }
        if (r % 20 == 19) /* others find what was freed in the order of a stream that is no more */
            for (size_t i = 0; i < YK_COUNT_OF(all); i++)
                if (all[i].memory) {
                    check_own(s, &all[i], m);
                    give_own(s, &all[i]);
                }
        if (r % 20 == 19) {
            CHECK_INT(yoke_stream_close(s), 0);
            s = yoke_stream_open(m->dev);
            CHECK(s);
        }
        if (r == 30 && m->number == 0)
            CHECK_INT(yoke_device_trim(m->dev), 0);
    }
    CHECK_INT(yoke_stream_close(s), 0);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(m->dev, &stats), 0);
    CHECK(stats.held >= stats.used && stats.used_most >= stats.used && stats.allocs >= stats.reused);
}

TEST(memory_goes_round)
{
    for_every_device(use_memory, 2);
}

/* What one thread fills another frees, as it is allowed: memory is of the device. */
static own passed[THREADS];

static void free_the_next(member *m)
{
    own *o = &passed[(m->number + 1) % THREADS];
    yoke_device_free(m->dev, o->memory);
    o->memory = yoke_device_alloc(m->dev, o->count * sizeof *o->memory);
    CHECK(o->memory);
}

TEST(memory_of_others_is_freed)
{
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    for (int i = 0; i < THREADS; i++)
        passed[i] = (own){.memory = yoke_device_alloc(dev, 4000), .count = 1000};
    for (int r = 0; r < 20; r++)
        crowd(free_the_next, dev, "cuda:0");
    for (int i = 0; i < THREADS; i++)
        for (int j = 0; j < i; j++)
            CHECK(passed[i].memory != passed[j].memory);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(dev, &stats), 0);
    CHECK_INT(stats.blocks, THREADS);
    CHECK_INT(stats.allocs, THREADS * 21);
    CHECK_STR(yoke_device_error(dev), "");
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

static void pin_and_borrow(member *m)
{
    yk_error e = {0};
    for (int r = 0; r < 20; r++) {
        size_t size = next_random(m) % 10000 + 1;
        unsigned char *p = yoke_pinned_alloc(m->dev, size), *b = yk_pinned_borrow(m->dev, size, &e);
        CHECK(p && b && p != b);
        memset(p, m->number, size);
        memset(b, m->number + 100, size);
        CHECK(yk_is_pinned(p) && yk_is_pinned(p + size - 1) && !yk_is_pinned(b));
        for (size_t i = 0; i < size; i++)
            CHECK(p[i] == m->number && b[i] == m->number + 100);
        yoke_pinned_free(m->dev, p);
        yk_pinned_return(m->dev, b);
    }
}

TEST(pinned_memory_goes_round)
{
    for_every_device(pin_and_borrow, 1);
}

/* ---- Errors ---- */

/* Each does something wrong, and asks what it was. It may be told of another's mistake, but never of half of one. */
static void do_wrong(member *m)
{
    yoke_stream *s = yoke_stream_open(m->dev);
    char host[16];
    yk_error e;
    CHECK(s);
    for (int r = 0; r < 100; r++) {
        CHECK_INT(yoke_stream_copy(s, NULL, host, m->number % 2 ? 1 : 16), -EINVAL);
        CHECK_INT(yoke_stream_fill(s, host, host, 3, 1), -EINVAL);
        yk_device_last_error(m->dev, &e);
        CHECK_INT(e.code, -EINVAL);
        CHECK(strstr(e.text, ": the address is NULL") || strcmp(e.text, "fill: 1 elements of 3 bytes; an element has 1, 2, 4, 8 "
                                                                        "or 16") == 0);
    }
    CHECK_INT(yoke_stream_close(s), -EINVAL);
}

TEST(errors_are_whole)
{
    for_every_device(do_wrong, 1);
}

/* The text of a device that has failed is the same for all who ask at once. */
static void ask_why(member *m)
{
    for (int r = 0; r < 200; r++)
        CHECK_STR(yoke_device_error(m->dev), "fill: 1 elements of 3 bytes; an element has 1, 2, 4, 8 or 16");
}

TEST(all_ask_for_the_same_error)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    CHECK_INT(yoke_stream_fill(s, dev, "abc", 3, 1), -EINVAL);
    crowd(ask_why, dev, "cpu");
    CHECK_INT(yoke_device_close(dev), -EINVAL);
}

/* ---- Executors ---- */

static yoke_executor *place;
static void launch_jobs(member *m)
{
    enum { JOBS = 5, N = 3000 };
    int32_t *x = malloc(JOBS * N * sizeof *x);
    yoke_future *jobs[JOBS];
    CHECK(x);
    for (int j = 0; j < JOBS; j++) {
        for (int i = 0; i < N; i++)
            x[j * N + i] = i;
        jobs[j] = yoke_launch(place, stamp, N, m->number, x + j * N);
        CHECK(jobs[j]);
    }
    for (int j = 0; j < JOBS; j++) {
        if (yoke_wait(jobs[j]) < 0)
            test_fail(__FILE__, __LINE__, "%s", yoke_error(jobs[j]));
        yoke_release(jobs[j]);
        for (int i = 0; i < N; i++)
            CHECK_INT(x[j * N + i], 2 * i + m->number);
    }
    free(x);
}

TEST(all_launch_jobs_at_one_executor)
{
    static const char *const uris[] = {"cuda", "gpu", "gpu:cpu", "opencl", "threads:4"};
    fake_cuda *f = use_it();
    yk_piece_bytes = 4096;
    for (size_t u = 0; u < YK_COUNT_OF(uris); u++) {
        place = yoke_open(uris[u]);
        if (yoke_executor_status(place) == 0)
            crowd(launch_jobs, NULL, uris[u]);
        else
            CHECK_STR(uris[u], "opencl");
        yoke_close(place);
    }
    check_nothing_left(f);
}

/* Jobs that fail while others on the same device do not: each has a text of its own. */
static void launch_some_wrong(member *m)
{
    enum { N = 2000 };
    int32_t x[N] = {0};
    for (int r = 0; r < 5; r++) {
        yoke_future *f = yoke_launch(place, stamp, N, m->number, x);
        CHECK(f);
        if (yoke_wait(f) < 0)
            CHECK_HAS(yoke_error(f), "stamp: cuda:0: cuda: ");
        yoke_release(f);
    }
}

TEST(some_fail_among_many)
{
    static const char *const calls[] = {"cuLaunchKernel", "cuMemcpyHtoDAsync", "cuEventRecord", "cuMemHostAlloc"};
    fake_cuda *f = use_it();
    yk_piece_bytes = 4096;
    for (size_t c = 0; c < YK_COUNT_OF(calls); c++) {
        f->fail(calls[c], 0, 0);
        place = yoke_open("gpu:cuda:0");
        CHECK_STR(yoke_executor_error(place), "");
        f->fail(calls[c], 3, 999);
        crowd(launch_some_wrong, NULL, "gpu");
        yoke_close(place);
        check_nothing_left(f);
    }
}
