/* misuse.c - what yoke/gpu.h allows and what it refuses, call by call, on every device of this machine and on the CUDA driver
 * that is none: orders of closing, NULL, memory freed twice or by another device, copies that reach beyond, events that move
 * between streams. Nothing of it may break the device for those who do it right. */
#include "cuda_run.h"
#include "kernel_try.h"
#include <errno.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(plus_one, ((inout, int32_t, x)), x[i] += 1;)

enum { N = 1000, BYTES = N * 4 };
static fake_cuda *the_fake;

static void plus_ones(const fake_launch *l)
{
    long n = *(long *)l->args[1] - *(long *)l->args[0];
    int32_t *x = *(int32_t **)l->args[3];
    for (long i = 0; i < n; i++)
        x[i]++;
}

/* A device and another of another kind. */
typedef struct pair {
    yoke_device *dev, *other;
    yoke_stream *s, *t; /* both of dev */
} pair;

/* Up, a kernel, and down: it works as it should. */
static void check_works(const pair *p)
{
    int32_t got[N];
    for (int i = 0; i < N; i++)
        got[i] = i;
    int32_t *x = up(p->s, got, BYTES);
    DONE(p->s, yoke_enqueue(p->s, plus_one, N, x));
    down(p->s, got, x, BYTES);
    for (int i = 0; i < N; i++)
        CHECK_INT(got[i], i + 1);
}

/* body on each device; the other is the CPU, for the CPU one of two threads. */
static void on_pairs(void (*body)(const pair *p))
{
    the_fake = fake_use("fake-cuda");
    add_kernels(the_fake);
    the_fake->kernel("kernel_plus_one", plus_ones, (size_t[]){8, 8, 8, 8, 0});
    unsigned count = yoke_device_count(), used = 0;
    for (unsigned i = 0; i < count; i++) {
        yoke_device_info info;
        CHECK_INT(yoke_device_at(i, &info), 0);
        pair p = {.dev = yoke_device_open(info.uri), .other = yoke_device_open(i == count - 1 ? "cuda:0" : "cpu:2")};
        CHECK_INT(yoke_device_status(p.other), 0);
        if (yoke_device_status(p.dev) == 0) {
            p.s = yoke_stream_open(p.dev);
            p.t = yoke_stream_open(p.dev);
            CHECK(p.s && p.t);
            CHECK_STR(yoke_device_error(p.dev), "");
            body(&p);
            CHECK_INT(yoke_device_status(p.dev), 0);
            check_works(&p);
            used++;
        } else {
            CHECK_STR(info.driver, "opencl");
        }
        yoke_device_close(p.dev); /* with its streams */
        CHECK_INT(yoke_device_close(p.other), 0);
    }
    CHECK(used >= 2);
    check_nothing_left(the_fake);
}

static void expect(int err, int code, const pair *p, const char *why)
{
    const char *text = yoke_device_error(p->dev);
    if (err != code || !strstr(text, why))
        test_fail(__FILE__, __LINE__, "%s: %d, not %d: \"%s\", which should have \"%s\"", yoke_device_about(p->dev)->uri, err,
                  code, text, why);
}

/* ---- NULL, and a device that could not be opened ---- */

static void give_null(const pair *p)
{
    yoke_device_free(p->dev, NULL);
    yoke_stream_free(p->s, NULL);
    yoke_pinned_free(p->dev, NULL);
    yoke_stream_event_close(NULL);
    CHECK_INT(yoke_stream_close(NULL), -EINVAL); /* as a wait for one */
    CHECK_INT(yoke_device_close(NULL), 0);
    CHECK_INT(yoke_stream_copy(p->s, NULL, NULL, 0), 0);
    CHECK_INT(yoke_stream_fill(p->s, NULL, "a", 1, 0), 0);
    CHECK_INT(yoke_enqueue(p->s, plus_one, 0, NULL), 0);
    CHECK_STR(yoke_device_error(p->dev), "");
    char byte = 0;
    expect(yoke_stream_copy(p->s, NULL, &byte, 1), -EINVAL, p, "the address is NULL");
    expect(yoke_stream_copy(p->s, &byte, NULL, 1), -EINVAL, p, "the address is NULL");
    expect(yoke_stream_fill(p->s, NULL, "a", 1, 1), -EINVAL, p, "NULL");
    CHECK_INT(yoke_enqueue(NULL, plus_one, 1, NULL), -EINVAL);
    check_told(p->s, -EINVAL, "the address is NULL");
}

TEST(null_where_it_is_allowed)
{
    on_pairs(give_null);
}

static void refuse_all(const char *uri, int code)
{
    int32_t host[4] = {0};
    yoke_device_memory stats;
    yoke_device *dev = yoke_device_open(uri);
    if (yoke_device_status(dev) != code)
        test_fail(__FILE__, __LINE__, "%s: %d: %s", uri, yoke_device_status(dev), yoke_device_error(dev));
    CHECK(*yoke_device_error(dev));
    CHECK_STR(yoke_device_about(dev)->uri, "");
    CHECK_INT(yoke_device_about(dev)->units, 0);
    CHECK(yoke_stream_open(dev) == NULL);
    CHECK(yoke_stream_event_open(dev) == NULL);
    CHECK(yoke_device_alloc(dev, 100) == NULL);
    CHECK(yoke_pinned_alloc(dev, 100) == NULL);
    yoke_device_free(dev, host);
    yoke_pinned_free(dev, host);
    CHECK_INT(yoke_device_memory_stats(dev, &stats), code);
    CHECK_INT(yoke_device_trim(dev), code);
    char text[600];
    snprintf(text, sizeof text, "%s", yoke_device_error(dev));
    CHECK_INT(yoke_device_close(dev), code);
    CHECK(strchr(text, '\n') == NULL);
}

TEST(a_device_that_is_none_refuses_all)
{
    fake_use("fake-cuda");
    refuse_all("", -ENOENT);
    refuse_all("cuda:1", -ENOENT);
    refuse_all("opencl:99", *yoke_driver_error("opencl") ? -ENODEV : -ENOENT);
    refuse_all("cpu:0", -ENOENT);
    refuse_all("cpu:-1", -ENOENT);
    refuse_all("nothing", -ENOENT);
    refuse_all(",", -ENOENT);
    refuse_all("cuda:0x0", -ENOENT);
    refuse_all("cuda:GPU-ff", -ENOENT);
}

/* In a child, too: it stands for itself there. */
TEST(no_memory_for_a_device_is_said)
{
    yk_sys_fail("calloc", 1, ENOMEM);
    yoke_device *dev = yoke_device_open("cpu");
    yk_sys_fail("calloc", 0, 0);
    CHECK_INT(yoke_device_status(dev), -ENOMEM);
    CHECK_STR(yoke_device_error(dev), "no memory");
    CHECK(yoke_stream_open(dev) == NULL && yoke_device_alloc(dev, 1) == NULL && yoke_pinned_alloc(dev, 1) == NULL);
    yoke_device_free(dev, &dev);
    yoke_pinned_free(dev, &dev);
    CHECK_INT(yoke_device_trim(dev), -ENOMEM);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(yoke_device_close(dev), 0); /* it stands for all of them */
}

/* ---- Orders of closing ---- */

static void close_in_orders(const pair *p)
{
    for (int order = 0; order < 6; order++) {
        yoke_stream *s = yoke_stream_open(p->dev);
        yoke_stream_event *v = yoke_stream_event_open(p->dev);
        int32_t *x = yoke_stream_alloc(s, BYTES), value = order;
        CHECK(s && v && x);
        DONE(s, yoke_stream_fill(s, x, &value, 4, N));
        DONE(s, yoke_stream_mark(s, v));
        DONE(p->t, yoke_stream_after(p->t, v));
        if (order % 3 == 0)
            yoke_stream_event_close(v); /* while a stream waits for it */
        if (order % 2) {
            yoke_stream_free(s, x);
            CHECK_INT(yoke_stream_close(s), 0);
        } else {
            CHECK_INT(yoke_stream_close(s), 0); /* memory outlives the stream that it was asked for in */
            int32_t got[N];
            DONE(p->t, yoke_stream_copy(p->t, got, x, BYTES));
            DONE(p->t, yoke_stream_wait(p->t));
            for (int i = 0; i < N; i++)
                CHECK_INT(got[i], order);
            yoke_stream_free(p->t, x);
        }
        if (order % 3) { /* and an event the stream in which it was marked */
            CHECK_INT(yoke_stream_event_wait(v), 0);
            CHECK_INT(yoke_stream_event_try(v), 0);
            DONE(p->t, yoke_stream_after(p->t, v));
            yoke_stream_event_close(v);
        }
    }
    CHECK_INT(yoke_stream_wait(p->t), 0);
    CHECK_STR(yoke_device_error(p->dev), "");
}

TEST(things_are_closed_in_any_order)
{
    on_pairs(close_in_orders);
}

static void leave_all_open(const pair *p)
{
    for (int i = 0; i < 5; i++) {
        yoke_stream *s = yoke_stream_open(p->dev);
        int32_t *x = yoke_device_alloc(p->dev, BYTES), *y = yoke_stream_alloc(s, BYTES), value = 1;
        CHECK(s && x && y && yoke_pinned_alloc(p->dev, BYTES));
        DONE(s, yoke_stream_fill(s, x, &value, 4, N));
        DONE(s, yoke_stream_copy(s, y, x, BYTES));
        DONE(s, yoke_enqueue(s, plus_one, N, y));
    }
}

TEST(a_device_closes_what_is_open)
{
    on_pairs(leave_all_open);
}

/* ---- Memory ---- */

static void free_wrongly(const pair *p)
{
    char here[16] = "";
    yoke_stream *o = yoke_stream_open(p->other);
    char *x = yoke_device_alloc(p->dev, BYTES), *y = yoke_stream_alloc(p->s, BYTES), *z = yoke_device_alloc(p->other, BYTES);
    CHECK(x && y && z && o);
    yoke_device_free(p->dev, x + 256);
    expect(0, 0, p, "freed twice, or not its beginning");
    yoke_device_free(p->dev, here);
    expect(0, 0, p, "freed twice, or not its beginning");
    yoke_device_free(p->dev, z);
    expect(0, 0, p, "is no memory of");
    yoke_stream_free(p->s, z);
    expect(0, 0, p, "is no memory of");
    check_told(p->s, -EINVAL, "is no memory of"); /* it has no code of its own */
    CHECK_STR(yoke_device_error(p->other), "");
    yoke_device_free(p->other, x);
    CHECK_HAS(yoke_device_error(p->other), "is no memory of");
    yoke_stream_free(o, x);
    CHECK_HAS(yoke_device_error(p->other), "is no memory of");
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(p->dev, &stats), 0);
    CHECK_INT(stats.blocks, 2); /* none of this has freed anything */
    yoke_device_free(p->dev, x);
    yoke_device_free(p->dev, x);
    expect(0, 0, p, "freed twice");
    yoke_stream_free(p->s, x);
    expect(0, 0, p, "freed twice");
    check_told(p->s, -EINVAL, "freed twice");
    yoke_device_free(p->dev, y); /* asked for in a stream, freed outside of any */
    CHECK_INT(yoke_device_memory_stats(p->dev, &stats), 0);
    CHECK_INT(stats.blocks, 0);
    CHECK_INT(stats.used, 0);
    char *a = yoke_device_alloc(p->dev, BYTES), *b = yoke_device_alloc(p->dev, BYTES), *c = yoke_device_alloc(p->dev, BYTES);
    CHECK(a && b && c && a != b && b != c && a != c); /* what was freed twice is not had twice */
    yoke_device_free(p->dev, a);
    yoke_device_free(p->dev, b);
    yoke_device_free(p->dev, c);
    yoke_device_free(p->other, z);
    CHECK_INT(yoke_stream_close(o), -EINVAL);
    CHECK_HAS(yoke_device_error(p->other), "is no memory of");
}

TEST(memory_is_freed_once_and_where_it_belongs)
{
    on_pairs(free_wrongly);
}

static void unpin_wrongly(const pair *p)
{
    char *x = yoke_pinned_alloc(p->dev, 100), *y = yoke_pinned_alloc(p->other, 100), here[4];
    CHECK(x && y);
    yoke_pinned_free(p->dev, y);
    expect(0, 0, p, "is no pinned memory of");
    yoke_pinned_free(p->dev, here);
    expect(0, 0, p, "is no pinned memory of");
    yoke_pinned_free(p->dev, x + 1);
    expect(0, 0, p, "not its beginning");
    yoke_device_free(p->dev, x);
    expect(0, 0, p, "is no memory of");
    memset(x, 1, 100);
    memset(y, 2, 100);
    yoke_pinned_free(p->dev, x);
    yoke_pinned_free(p->dev, x);
    expect(0, 0, p, "freed twice");
    yoke_pinned_free(p->other, y);
    CHECK_STR(yoke_device_error(p->other), "");
}

TEST(pinned_memory_is_freed_once_and_where_it_belongs)
{
    on_pairs(unpin_wrongly);
}

/* Pinned memory of one device is used with another. */
static void pin_for_another(const pair *p)
{
    int32_t *pinned = yoke_pinned_alloc(p->other, BYTES), *x = yoke_device_alloc(p->dev, BYTES);
    CHECK(pinned && x);
    for (int i = 0; i < N; i++)
        pinned[i] = i;
    DONE(p->s, yoke_stream_copy(p->s, x, pinned, BYTES));
    DONE(p->s, yoke_enqueue(p->s, plus_one, N, x));
    DONE(p->s, yoke_stream_copy(p->s, pinned, x, BYTES));
    DONE(p->s, yoke_stream_wait(p->s));
    for (int i = 0; i < N; i++)
        CHECK_INT(pinned[i], i + 1);
    yoke_pinned_free(p->other, pinned);
    yoke_device_free(p->dev, x);
}

TEST(pinned_memory_is_for_every_device)
{
    on_pairs(pin_for_another);
}

static void ask_for_sizes(const pair *p)
{
    char *none = yoke_device_alloc(p->dev, 0), *more = yoke_device_alloc(p->dev, 0);
    CHECK(none && more && none != more);
    yoke_device_free(p->dev, none);
    yoke_device_free(p->dev, more);
    CHECK(yoke_device_alloc(p->dev, SIZE_MAX) == NULL);
    expect(0, 0, p, "18446744073709551615 bytes are more than any device has");
    CHECK(yoke_stream_alloc(p->s, SIZE_MAX) == NULL);
    CHECK(yoke_device_alloc(p->dev, ((size_t)1 << 47) + 1) == NULL);
    expect(0, 0, p, "140737488355329 bytes are more than any device has");
    CHECK(yoke_pinned_alloc(p->dev, SIZE_MAX) == NULL); /* which a driver would round up to nothing */
    expect(0, 0, p, "18446744073709551615 bytes are more than any host has");
    CHECK(yoke_pinned_alloc(p->dev, SIZE_MAX / 2) == NULL);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(p->dev, &stats), 0);
    CHECK_INT(stats.blocks, 0);
    CHECK_INT(stats.used, 0);
}

TEST(sizes_of_nothing_and_of_everything)
{
    on_pairs(ask_for_sizes);
}

/* ---- Copies and fills ---- */

static void copy_wrongly(const pair *p)
{
    char host[BYTES] = "", back[BYTES];
    size_t block = 4096; /* of BYTES: the class that holds them */
    char *x = yoke_device_alloc(p->dev, BYTES), *z = yoke_device_alloc(p->other, BYTES);
    CHECK(x && z);
    const bool z_is_host = strcmp(yoke_device_about(p->other)->driver, "cpu") == 0;
    DONE(p->s, yoke_stream_copy(p->s, x, host, BYTES));
    expect(yoke_stream_copy(p->s, x, host, block + 1), -EINVAL, p, "reach beyond their block of");
    expect(yoke_stream_copy(p->s, host, x + 1, block), -EINVAL, p, "reach beyond their block of");
    expect(yoke_stream_copy(p->s, host, x + block - 1, 2), -EINVAL, p, "2 bytes from");
    expect(yoke_stream_copy(p->s, x, x + 2048, 2049), -EINVAL, p, "reach beyond");
    expect(yoke_stream_copy(p->s, x, host, SIZE_MAX), -EINVAL, p, "reach beyond");
    if (z_is_host) { /* ordinary memory, for every device but another CPU */
        bool cpu = strcmp(yoke_device_about(p->dev)->driver, "cpu") == 0;
        memset(z, 7, BYTES);
        CHECK_INT(yoke_stream_copy(p->s, x, z, BYTES), cpu ? -EINVAL : 0);
    } else {
        expect(yoke_stream_copy(p->s, x, z, 4), -EINVAL, p, "is memory of cuda:0, not of cpu");
        expect(yoke_stream_copy(p->s, z, x, 4), -EINVAL, p, "is memory of cuda:0, not of cpu");
        expect(yoke_stream_fill(p->s, z, host, 4, 1), -EINVAL, p, "is memory of cuda:0, not of cpu");
    }
    DONE(p->s, yoke_stream_copy(p->s, back, x, BYTES));
    check_told(p->s, -EINVAL, "4097 bytes from"); /* the others were done */
    for (int i = 0; i < BYTES; i++)
        CHECK_INT(back[i], z_is_host ? 7 : 0);
    yoke_device_free(p->dev, x);
    yoke_device_free(p->other, z);
}

TEST(copies_stay_in_their_blocks)
{
    on_pairs(copy_wrongly);
}

/* From the host to the host, in the order of the stream. */
static void copy_on_host(const pair *p)
{
    int32_t from[N], to[N] = {0};
    for (int i = 0; i < N; i++)
        from[i] = 3 * i;
    DONE(p->s, yoke_stream_copy(p->s, to, from, sizeof from));
    DONE(p->s, yoke_stream_wait(p->s));
    CHECK(memcmp(from, to, sizeof from) == 0);
}

TEST(the_host_to_the_host)
{
    on_pairs(copy_on_host);
}

/* Parts that touch but do not overlap, from each end to the other, a byte at a time off. */
static void copy_parts(const pair *p)
{
    unsigned char back[512];
    unsigned char *x = yoke_device_alloc(p->dev, 512);
    for (size_t at = 1; at < 512; at += 51) {
        size_t n = YK_MIN(at, 512 - at);
        for (size_t i = 0; i < 512; i++)
            back[i] = (unsigned char)(i * 7);
        DONE(p->s, yoke_stream_copy(p->s, x, back, 512));
        DONE(p->s, yoke_stream_copy(p->s, x + at, x + at - n, n));
        DONE(p->s, yoke_stream_copy(p->s, back, x, 512));
        DONE(p->s, yoke_stream_wait(p->s));
        for (size_t i = 0; i < 512; i++)
            CHECK_INT(back[i], (unsigned char)((i >= at && i < at + n ? i - n : i) * 7));
    }
    yoke_device_free(p->dev, x);
}

TEST(parts_of_one_block)
{
    on_pairs(copy_parts);
}

/* A fill writes nothing beside, at any multiple of its size; at other addresses CUDA refuses. */
static void fill_anywhere(const pair *p)
{
    const char value[16] = "0123456789abcdef";
    char back[512];
    char *x = yoke_device_alloc(p->dev, 512);
    for (size_t size = 1; size <= 16; size *= 2)
        for (size_t at = 0; at < 5; at++) {
            DONE(p->s, yoke_stream_fill(p->s, x, "!", 1, 512));
            int err = yoke_stream_fill(p->s, x + at, value, size, 9);
            if (err < 0) {
                CHECK_STR(yoke_device_about(p->dev)->driver, "cuda");
                CHECK(at % size != 0);
                expect(err, -EINVAL, p, "an address that is not a multiple of");
                check_told(p->s, -EINVAL, "an address that is not a multiple of");
                continue;
            }
            DONE(p->s, yoke_stream_copy(p->s, back, x, 512));
            DONE(p->s, yoke_stream_wait(p->s));
            for (size_t i = 0; i < 512; i++)
                CHECK_INT(back[i], i >= at && i < at + 9 * size ? value[(i - at) % size] : '!');
        }
    yoke_device_free(p->dev, x);
}

TEST(a_fill_begins_anywhere)
{
    on_pairs(fill_anywhere);
}

static void fill_wrongly(const pair *p)
{
    char *x = yoke_device_alloc(p->dev, 512), host[64];
    const char value[32] = "";
    static const size_t sizes[] = {0, 3, 5, 6, 7, 9, 12, 15, 17, 32, SIZE_MAX};
    for (size_t i = 0; i < YK_COUNT_OF(sizes); i++)
        expect(yoke_stream_fill(p->s, x, value, sizes[i], 1), -EINVAL, p, "an element has 1, 2, 4, 8 or 16");
    expect(yoke_stream_fill(p->s, x, value, 16, SIZE_MAX / 16 + 1), -EINVAL, p, "an element has");
    expect(yoke_stream_fill(p->s, x, value, 16, SIZE_MAX / 16), -EINVAL, p, "reach beyond their block");
    expect(yoke_stream_fill(p->s, x, value, 1, 545), -EINVAL, p, "reach beyond their block");
    if (strcmp(yoke_device_about(p->dev)->driver, "cpu") != 0)
        expect(yoke_stream_fill(p->s, host, value, 1, 64), -EINVAL, p, "is memory of the host");
    check_told(p->s, -EINVAL, "fill: 1 elements of 0 bytes");
    yoke_device_free(p->dev, x);
}

TEST(fills_that_are_none)
{
    on_pairs(fill_wrongly);
}

/* ---- Events ---- */

static void move_events(const pair *p)
{
    yoke_stream_event *v = yoke_stream_event_open(p->dev);
    int32_t *x = yoke_device_alloc(p->dev, BYTES), got[N], value = 0;
    CHECK(v && x);
    CHECK_INT(yoke_stream_event_try(v), 0); /* never marked: nothing to wait for */
    CHECK_INT(yoke_stream_event_wait(v), 0);
    CHECK_INT(yoke_stream_after(p->t, v), 0);
    DONE(p->s, yoke_stream_fill(p->s, x, &value, 4, N));
    for (int turn = 0; turn < 20; turn++) { /* one event takes the order from stream to stream */
        yoke_stream *from = turn % 2 ? p->t : p->s, *to = turn % 2 ? p->s : p->t;
        DONE(from, yoke_enqueue(from, plus_one, N, x));
        DONE(from, yoke_stream_mark(from, v));
        DONE(from, yoke_stream_after(from, v)); /* itself: it has come past */
        DONE(to, yoke_stream_after(to, v));
    }
    CHECK_INT(yoke_stream_event_wait(v), 0);
    CHECK_INT(yoke_stream_event_try(v), 0);
    DONE(p->s, yoke_stream_copy(p->s, got, x, BYTES));
    DONE(p->s, yoke_stream_wait(p->s));
    for (int i = 0; i < N; i++)
        CHECK_INT(got[i], 20);
    yoke_stream_event_close(v);
    yoke_device_free(p->dev, x);
}

TEST(an_event_moves_between_streams)
{
    on_pairs(move_events);
}

static void measure_wrongly(const pair *p)
{
    yoke_stream_event *v = yoke_stream_event_open(p->dev), *w = yoke_stream_event_open(p->dev),
                      *o = yoke_stream_event_open(p->other);
    yoke_stream *other = yoke_stream_open(p->other);
    int64_t ns = -77, back;
    CHECK(v && w && o && other);
    expect(yoke_stream_elapsed(v, w, &ns), -EINVAL, p, "an event was never marked");
    DONE(p->s, yoke_stream_mark(p->s, v));
    expect(yoke_stream_elapsed(v, w, &ns), -EINVAL, p, "an event was never marked");
    expect(yoke_stream_elapsed(w, v, &ns), -EINVAL, p, "an event was never marked");
    CHECK_INT(yoke_stream_mark(other, o), 0);
    expect(yoke_stream_elapsed(v, o, &ns), -EINVAL, p, "the events belong to two devices");
    expect(yoke_stream_mark(p->s, o), -EINVAL, p, "the event belongs to");
    expect(yoke_stream_after(p->s, o), -EINVAL, p, "the event belongs to");
    check_told(p->s, -EINVAL, "the event belongs to");
    CHECK_INT(ns, -77);
    int32_t *x = yoke_device_alloc(p->dev, BYTES), value = 0;
    for (int i = 0; i < 50; i++)
        DONE(p->t, yoke_stream_fill(p->t, x, &value, 4, N));
    DONE(p->t, yoke_stream_after(p->t, v));
    DONE(p->t, yoke_stream_mark(p->t, w));
    CHECK_INT(yoke_stream_elapsed(v, w, &ns), 0); /* before it is done: it waits */
    CHECK_INT(yoke_stream_event_try(w), 0);
    CHECK(ns >= 0);
    CHECK_INT(yoke_stream_elapsed(w, v, &back), 0);
    CHECK_INT(back, -ns);
    CHECK_INT(yoke_stream_elapsed(w, w, &back), 0);
    CHECK_INT(back, 0);
    yoke_device_free(p->dev, x);
    yoke_stream_event_close(v);
    yoke_stream_event_close(w);
    yoke_stream_event_close(o);
    CHECK_INT(yoke_stream_close(other), 0);
}

TEST(time_between_events)
{
    on_pairs(measure_wrongly);
}

/* Streams that stand still: a wait is one, a question is answered. Only the fake driver can be held. */
TEST(what_is_not_done_is_not_done)
{
    fake_cuda *f = fake_use("fake-cuda");
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(dev);
    yoke_stream_event *v = yoke_stream_event_open(dev);
    int32_t *x = yoke_device_alloc(dev, BYTES), value = 5, got = 0;
    CHECK(s && t && v && x);
    f->hold(true);
    DONE(s, yoke_stream_fill(s, x, &value, 4, N));
    DONE(s, yoke_stream_mark(s, v));
    DONE(t, yoke_stream_after(t, v));
    DONE(t, yoke_stream_copy(t, &got, x, sizeof got));
    CHECK_INT(yoke_stream_try(s), -EAGAIN);
    CHECK_INT(yoke_stream_try(t), -EAGAIN);
    CHECK_INT(yoke_stream_event_try(v), -EAGAIN);
    CHECK_STR(yoke_device_error(dev), ""); /* that is no error */
    yoke_device_free(dev, x);
    int32_t *y = yoke_device_alloc(dev, BYTES);
    CHECK(y && y != x); /* somebody uses x */
    f->hold(false);
    CHECK_INT(yoke_stream_wait(t), 0);
    CHECK_INT(got, 5);
    CHECK_INT(yoke_stream_try(s), 0);
    CHECK_INT(yoke_stream_event_try(v), 0);
    yoke_stream_event_close(v);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}
