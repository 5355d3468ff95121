/* opencl.c - OpenCL devices as they are: every call of the driver on PoCL, which is a real one. */
#include "child.h"
#include "opencl_try.h"
#include <pthread.h>
#include <sched.h>

static const char axpb[] = "__kernel void axpb(__global const float *x, ulong x_at, __global float *y, ulong y_at, "
                           "float a, float b, int n) {\n"
                           "    x = (__global const float *)((__global const char *)x + x_at);\n"
                           "    y = (__global float *)((__global char *)y + y_at);\n"
                           "    int i = get_global_id(0);\n"
                           "    if (i < n) y[i] = a * x[i] + b;\n"
                           "}\n";

static void run_axpb(yoke_stream *s, const yk_function *f, float *x, float *y, float a, float b, int n)
{
    const yk_kernel_arg args[] = {MEMORY(x), MEMORY(y), VALUE(a), VALUE(b), VALUE(n)};
    launch(s, f, (unsigned)(n + 63) / 64, 64, args, 5);
}

TEST(a_device_says_what_it_is)
{
    yoke_device *dev = open_opencl();
    const yoke_device_info *info = yoke_device_about(dev);
    CHECK_STR(info->uri, "opencl:0");
    CHECK_STR(info->driver, "opencl");
    CHECK(*info->name && *info->platform && *info->version);
    CHECK(info->units > 0 && info->group_most > 0 && info->memory > 0 && info->largest > 0 && info->local > 0);
    CHECK(info->largest <= info->memory);
    if (strstr(info->platform, "Portable Computing Language")) {
        CHECK(!info->is_gpu && info->has_double && !info->shares_host_memory);
        CHECK_INT(info->capability, 0);
        CHECK_STR(info->pci, "");
        CHECK_INT(info->numa, -1);
    }
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(devices_have_names)
{
    yoke_device_close(open_opencl());
    static const char *const names[] = {"opencl", "opencl:0", "opencl:pocl", "opencl:PORTABLE", "opencl:00"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        yoke_device *dev = yoke_device_open(names[i]);
        CHECK_STR(yoke_device_error(dev), "");
        CHECK_HAS(yoke_device_about(dev)->uri, "opencl:");
        CHECK_INT(yoke_device_close(dev), 0);
    }
}

static void name_refused(const char *uri, const char *part)
{
    yoke_device *dev = yoke_device_open(uri);
    CHECK_INT(yoke_device_status(dev), -ENOENT);
    CHECK_HAS(yoke_device_error(dev), part);
    CHECK_INT(yoke_device_close(dev), -ENOENT);
}

TEST(names_that_are_none)
{
    yoke_device_close(open_opencl());
    name_refused("opencl:pokl", "did you mean \"pocl\"?");
    name_refused("opencl:Portabel", "did you mean \"portable\"?");
    name_refused("opencl:pokl", "opencl:0 is ");
    name_refused("opencl:qqqqqqqqqqqqqqqqqqqqqqqqq",
                 "no OpenCL device has \"qqqqqqqqqqqqqqqqqqqqqqqqq\" in its name: opencl:0 is");
    name_refused("opencl:99", "counted from 0");
    name_refused("opencl:99999999999999999999999", "counted from 0");
}

/* ---- Kernels ---- */

TEST(a_kernel_reads_and_writes)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image = build(dev, axpb);
    yk_function f = function_of(dev, image, "axpb");
    CHECK_STR(f.name, "axpb");
    CHECK(f.group_most > 0);
    enum { N = 1000 };
    float in[N], out[N];
    for (int i = 0; i < N; i++)
        in[i] = (float)i;
    float *x = yoke_device_alloc(dev, sizeof in), *y = yoke_device_alloc(dev, sizeof out);
    CHECK(x && y && (uintptr_t)x % 256 == 0 && (uintptr_t)y % 256 == 0);
    CHECK_INT(yoke_stream_copy(s, x, in, sizeof in), 0);
    run_axpb(s, &f, x, y, 2, 1, N);
    run_axpb(s, &f, x + 500, y + 3, 10, 0, 400); /* pointers into the middle */
    CHECK_INT(yoke_stream_copy(s, out, y, sizeof out), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (int i = 0; i < N; i++)
        CHECK(out[i] == (i >= 3 && i < 403 ? 10 * in[i - 3 + 500] : 2 * in[i] + 1));
    dev->driver->unload(dev, image);
    dev->driver->unload(dev, NULL);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(shapes_of_three_dimensions)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image =
        build(dev, "__kernel void where(__global uint *x, ulong at) {\n"
                   "    size_t i = get_global_id(0) + get_global_size(0) * (get_global_id(1) + get_global_size(1) *"
                   " get_global_id(2));\n"
                   "    x[at / 4 + i] = 1 + get_local_id(0) + 10 * get_local_id(1) + 100 * get_local_id(2)"
                   " + 1000 * get_group_id(0) + 10000 * get_group_id(1) + 100000 * get_group_id(2);\n"
                   "}\n");
    yk_function f = function_of(dev, image, "where");
    static const yk_shape shapes[] = {{{5, 1, 1}, {2, 1, 1}, 0},
                                      {{1, 5, 1}, {1, 2, 1}, 0},
                                      {{2, 3, 1}, {3, 2, 1}, 0},
                                      {{1, 1, 4}, {1, 1, 3}, 0},
                                      {{2, 3, 2}, {3, 1, 2}, 0}};
    uint32_t *x = yoke_device_alloc(dev, 4096), out[1024];
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const yk_shape *h = &shapes[k];
        yk_error e = {.text = ""};
        const yk_kernel_arg args[] = {MEMORY(x)};
        CHECK_INT(launch_shaped(s, &f, *h, args, 1, &e), 0);
        CHECK_INT(yoke_stream_copy(s, out, x, sizeof out), 0);
        CHECK_INT(yoke_stream_wait(s), 0);
        unsigned at = 0;
        for (unsigned c = 0; c < h->groups[2] * h->group[2]; c++)
            for (unsigned b = 0; b < h->groups[1] * h->group[1]; b++)
                for (unsigned a = 0; a < h->groups[0] * h->group[0]; a++)
                    CHECK_INT(out[at++], 1 + a % h->group[0] + 10 * (b % h->group[1]) + 100 * (c % h->group[2]) +
                                             1000 * (a / h->group[0]) + 10000 * (b / h->group[1]) +
                                             100000 * (c / h->group[2]));
    }
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(values_of_all_kinds)
{
    struct pair {
        int64_t a;
        float b;
    } pair = {-5, 0.5f};
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image = build(
        dev,
        "typedef struct pair { long a; float b; } pair;\n"
        "__kernel void kinds(__global double *r, ulong at, char c, ushort h, int i, ulong l, float f, double d,"
        " pair p) {\n"
        "    r += at / 8; r[0] = c; r[1] = h; r[2] = i; r[3] = l; r[4] = f; r[5] = d; r[6] = p.a; r[7] = p.b;\n"
        "}\n");
    yk_function f = function_of(dev, image, "kinds");
    double *r = yoke_device_alloc(dev, 1024), out[8];
    int8_t c = -3;
    uint16_t h = 60000;
    int32_t i = -70000;
    uint64_t l = (uint64_t)1 << 40;
    float g = 1.25f;
    double d = 1e300, *to = r + 7;
    const yk_kernel_arg args[] = {MEMORY(to), VALUE(c), VALUE(h), VALUE(i),
                                  VALUE(l),   VALUE(g), VALUE(d), VALUE(pair)};
    launch(s, &f, 1, 1, args, 8);
    CHECK_INT(yoke_stream_copy(s, out, to, sizeof out), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    const double expected[8] = {-3, 60000, -70000, 1099511627776.0, 1.25, 1e300, -5, 0.5};
    for (int k = 0; k < 8; k++)
        CHECK(out[k] == expected[k]);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(group_memory)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image = build(dev, "__kernel void turn(__global int *x, ulong at, __local int *t) {\n"
                                 "    int l = get_local_id(0), w = get_local_size(0);\n"
                                 "    x += at / 4 + get_group_id(0) * w;\n"
                                 "    t[l] = x[l]; barrier(CLK_LOCAL_MEM_FENCE); x[l] = t[w - 1 - l];\n"
                                 "}\n");
    yk_function f = function_of(dev, image, "turn");
    int in[64], out[64], *x = yoke_device_alloc(dev, sizeof in);
    for (int i = 0; i < 64; i++)
        in[i] = i;
    CHECK_INT(yoke_stream_copy(s, x, in, sizeof in), 0);
    const yk_kernel_arg args[] = {MEMORY(x)};
    yk_shape shape = {.groups = {4, 1, 1}, .group = {16, 1, 1}, .local = 16 * sizeof(int)};
    yk_error e = {.text = ""};
    CHECK_INT(launch_shaped(s, &f, shape, args, 1, &e), 0);
    CHECK_INT(yoke_stream_copy(s, out, x, sizeof out), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (int i = 0; i < 64; i++)
        CHECK_INT(out[i], i / 16 * 16 + 15 - i % 16);
    shape.local = 0; /* then the parameter is left over */
    CHECK_INT(launch_shaped(s, &f, shape, args, 1, &e), -EINVAL);
    CHECK_HAS(e.text, "has 3 parameters, the 1 arguments of this launch make 1, or 2");
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(a_long_name)
{
    static const char text[] =
        "__kernel void a_name_of_more_than_sixty_three_characters_is_a_name_like_any_other_is_it_not("
        "__global int *x, ulong at) { x[at / 4] = 7; }";
    yoke_device *dev = open_opencl();
    yk_image *image = build(dev, text);
    yk_function f =
        function_of(dev, image, "a_name_of_more_than_sixty_three_characters_is_a_name_like_any_other_is_it_not");
    int *x = yoke_device_alloc(dev, 4);
    for (int i = 0; i < 5; i++) { /* each stream has a kernel object of its own */
        yoke_stream *s = yoke_stream_open(dev);
        int out = 0;
        CHECK_INT(yoke_stream_fill(s, x, &out, sizeof out, 1), 0);
        const yk_kernel_arg args[] = {MEMORY(x)};
        launch(s, &f, 1, 1, args, 1);
        CHECK_INT(yoke_stream_copy(s, &out, x, sizeof out), 0);
        CHECK_INT(yoke_stream_wait(s), 0);
        CHECK_INT(out, 7);
    }
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- What is refused ---- */

TEST(a_text_that_does_not_compile)
{
    yoke_device *dev = open_opencl();
    yk_image *image = (yk_image *)&image;
    yk_buf log = {0};
    yk_error e = {.text = ""};
    int err = dev->driver->build(dev, "#line 77 \"user.c\"\n__kernel void k(__global int *x) { x[0] = nothing; }\n",
                                 "", "k", &image, &log, &e);
    CHECK_INT(err, -EINVAL);
    CHECK_INT(e.code, -EINVAL);
    CHECK_HAS(e.text, "k does not compile: CL_BUILD_PROGRAM_FAILURE (-11) from clBuildProgram");
    CHECK_HAS(yk_buf_str(&log), "user.c:77");
    CHECK_HAS(yk_buf_str(&log), "nothing");
    CHECK(image == (yk_image *)&image);
    yk_buf_done(&log);
    CHECK_INT(dev->driver->build(dev, "__kernel void k(", "", "k", &image, NULL, &e), -EINVAL);
    CHECK_INT(dev->driver->build(dev, axpb, "-no-such-option", "k", &image, &log, &e), -EINVAL);
    yk_buf_done(&log);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(options_reach_the_compiler)
{
    yoke_device *dev = open_opencl();
    static const char text[] = "#if __OPENCL_C_VERSION__ != VERSION\n#error \"another version\"\n#endif\n"
                               "__kernel void k(__global int *x, ulong at) { x[at / 4] = SEVEN; }";
    yk_image *image;
    yk_error e = {.text = ""};
    CHECK_INT(dev->driver->build(dev, text, "-DSEVEN=7 -DVERSION=120", "k", &image, NULL, &e), 0);
    dev->driver->unload(dev, image);
    CHECK_INT(dev->driver->build(dev, text, "-DSEVEN=7 -DVERSION=110 -cl-std=CL1.1", "k", &image, NULL, &e), 0);
    dev->driver->unload(dev, image);
    CHECK_INT(dev->driver->build(dev, text, "-DVERSION=120", "k", &image, NULL, &e), -EINVAL);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(kernels_that_are_none)
{
    yoke_device *dev = open_opencl();
    yk_image *image =
        build(dev, "__kernel void first(__global int *x) { x[0] = 1; }\n__kernel void second(int x) {}\n");
    yk_function f = {.native = &f};
    yk_error e = {.text = ""};
    CHECK_INT(dev->driver->function(image, "secnd", &f, &e), -ENOENT);
    CHECK_HAS(e.text, "has no kernel secnd: did you mean second?");
    CHECK_INT(dev->driver->function(image, "zzzzzzzz", &f, &e), -ENOENT);
    CHECK_HAS(e.text, "it has: ");
    CHECK_HAS(e.text, "first");
    CHECK(f.native == &f);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

static void refused(yoke_stream *s, const yk_function *f, yk_shape shape, const yk_kernel_arg *args, unsigned count,
                    const char *part)
{
    yk_error e = {.text = ""};
    CHECK_INT(launch_shaped(s, f, shape, args, count, &e), -EINVAL);
    CHECK_HAS(e.text, part);
    CHECK_HAS(e.text, "axpb");
}

TEST(launches_that_are_refused)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image = build(dev, axpb);
    yk_function f = function_of(dev, image, "axpb");
    float *x = yoke_device_alloc(dev, 400), on_host[100], *h = on_host, a = 1;
    int n = 100;
    double wide = 0;
    const yk_shape one = {.groups = {1, 1, 1}, .group = {64, 1, 1}};
    const yk_kernel_arg few[] = {MEMORY(x), MEMORY(x), VALUE(a), VALUE(a)};
    refused(s, &f, one, few, 4, "has 7 parameters, the 4 arguments of this launch make 4, or 6");
    const yk_kernel_arg host[] = {MEMORY(x), MEMORY(h), VALUE(a), VALUE(a), VALUE(n)};
    refused(s, &f, one, host, 5, "argument 2 is memory of the host");
    const yk_kernel_arg size[] = {MEMORY(x), MEMORY(x), VALUE(a), VALUE(wide), VALUE(n)};
    refused(s, &f, one, size, 5, "argument 4 of 5 for 7 parameters: CL_INVALID_ARG_SIZE (-51) from clSetKernelArg");
    const yk_kernel_arg good[] = {MEMORY(x), MEMORY(x), VALUE(a), VALUE(a), VALUE(n)};
    yk_shape shape = {.groups = {1, 1, 1}, .group = {1 << 20, 1, 1}};
    refused(s, &f, shape, good, 5, "cannot run in groups of 1048576 x 1 x 1 threads: 1 to ");
    refused(s, &f, (yk_shape){.groups = {1, 1, 1}, .group = {UINT32_MAX, UINT32_MAX, UINT32_MAX}}, good, 5,
            "in groups of");
    refused(s, &f, (yk_shape){.groups = {1, 1, 1}, .group = {64, 0, 1}}, good, 5, "in groups of 64 x 0 x 1");
    refused(s, &f, (yk_shape){.groups = {1, 1, 1}, .group = {64, 1, 1}, .local = 64}, good, 5,
            "group memory is one");
    yk_error e;
    CHECK_INT(launch_shaped(s, &f, (yk_shape){.groups = {0, 1, 1}, .group = {64, 1, 1}}, good, 5, &e),
              0); /* nothing to do */
    CHECK_INT(launch_shaped(s, &f, one, good, 5, &e), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- Memory ---- */

TEST(more_memory_than_there_is)
{
    yoke_device *dev = open_opencl();
    CHECK(!yoke_device_alloc(dev, (size_t)1 << 45));
    CHECK_HAS(yoke_device_error(dev), "35184372088832");
    CHECK(!yoke_device_alloc(dev, SIZE_MAX));
    void *p = yoke_device_alloc(dev, 1000);
    CHECK(p);
    yoke_device_free(dev, p);
    CHECK_INT(yoke_device_status(dev), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(copies_at_any_offset)
{
    enum { SIZE = 5000, PIECES = 400 };
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    static unsigned char model[2][SIZE], random[PIECES][256], back[SIZE];
    unsigned char *x[2] = {yoke_device_alloc(dev, SIZE), yoke_device_alloc(dev, SIZE)};
    for (int b = 0; b < 2; b++)
        CHECK_INT(yoke_stream_copy(s, x[b], model[b], SIZE), 0);
    CHECK_INT(yoke_stream_wait(s), 0); /* the model goes its own way from here on */
    for (int k = 0; k < PIECES; k++) {
        int b = (int)(test_random() % 2);
        size_t n = test_random() % 256 + 1, at = test_random() % (SIZE - n), from = test_random() % (SIZE - n);
        if (test_random() % 2) {
            for (size_t i = 0; i < n; i++)
                random[k][i] = (unsigned char)test_random();
            CHECK_INT(yoke_stream_copy(s, x[b] + at, random[k], n), 0);
            memcpy(model[b] + at, random[k], n);
        } else {
            CHECK_INT(yoke_stream_copy(s, x[b] + at, x[!b] + from, n), 0);
            memcpy(model[b] + at, model[!b] + from, n);
        }
    }
    for (int b = 0; b < 2; b++) {
        CHECK_INT(yoke_stream_copy(s, back + 1, x[b] + 1, SIZE - 1), 0);
        CHECK_INT(yoke_stream_copy(s, back, x[b], 1), 0);
        CHECK_INT(yoke_stream_wait(s), 0);
        CHECK(memcmp(back, model[b], SIZE) == 0);
    }
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(fills_of_any_size_from_anywhere)
{
    enum { SIZE = 2000 };
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    static unsigned char model[SIZE], back[SIZE];
    unsigned char *x = yoke_device_alloc(dev, SIZE), value[16];
    CHECK_INT(yoke_stream_copy(s, x, model, SIZE), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (size_t size = 1; size <= 16; size *= 2)
        for (size_t shift = 0; shift <= 17; shift += 1 + shift % 3) {
            size_t count = test_random() % 50 + 1, at = test_random() % 60 * 16 + shift;
            for (size_t i = 0; i < size; i++)
                value[i] = (unsigned char)test_random();
            CHECK_INT(yoke_stream_fill(s, x + at, value, size, count), 0);
            for (size_t i = 0; i < size * count; i++)
                model[at + i] = value[i % size];
            memset(value, 0xee, sizeof value); /* it has been read */
            CHECK_INT(yoke_stream_copy(s, back, x, SIZE), 0);
            CHECK_INT(yoke_stream_wait(s), 0);
            CHECK(memcmp(back, model, SIZE) == 0);
        }
    CHECK_INT(yoke_device_close(dev), 0);
}

/* Between two places of the host too the order is the stream's. */
TEST(host_memory_in_a_stream)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    uint32_t seven = 7, *x = yoke_device_alloc(dev, 4000), a[1000] = {0}, b[1000] = {0};
    CHECK_INT(yoke_stream_fill(s, x, &seven, 4, 1000), 0);
    CHECK_INT(yoke_stream_copy(s, a, x, sizeof a), 0);
    CHECK_INT(yoke_stream_copy(s, b, a, sizeof a), 0);
    CHECK_INT(b[999], 7);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(pinned_memory)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    char *pinned = yoke_pinned_alloc(dev, 100000), *x = yoke_device_alloc(dev, 100000);
    CHECK(pinned && x);
    memset(pinned, 3, 100000);
    CHECK_INT(yoke_stream_copy(s, x, pinned, 100000), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    memset(pinned, 0, 100000);
    CHECK_INT(yoke_stream_copy(s, pinned, x, 100000), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    CHECK_INT(pinned[99999], 3);
    yoke_pinned_free(dev, pinned);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- Streams and events ---- */

static const char slow[] = "__kernel void slow(__global uint *x, ulong at, uint steps, uint value) {\n"
                           "    uint v = value;\n"
                           "    for (uint i = 0; i < steps; i++) v = v * 1664525u + 1013904223u;\n"
                           "    x[at / 4] = v == 1u ? 0u : value;\n"
                           "}\n";

static void run_slow(yoke_stream *s, const yk_function *f, uint32_t *x, uint32_t steps, uint32_t value)
{
    const yk_kernel_arg args[] = {MEMORY(x), VALUE(steps), VALUE(value)};
    launch(s, f, 1, 1, args, 3);
}

TEST(streams_wait_for_events)
{
    yoke_device *dev = open_opencl();
    yoke_stream *first = yoke_stream_open(dev), *second = yoke_stream_open(dev);
    yoke_stream_event *e = yoke_stream_event_open(dev);
    yk_image *image = build(dev, slow);
    yk_function f = function_of(dev, image, "slow");
    uint32_t *x = yoke_device_alloc(dev, 4), got[50];
    CHECK_INT(yoke_stream_after(second, e), 0); /* never marked: waits for nothing */
    CHECK_INT(yoke_stream_event_wait(e), 0);
    CHECK_INT(yoke_stream_event_try(e), 0);
    for (uint32_t i = 0; i < 50; i++) {
        run_slow(first, &f, x, 200000, i);
        CHECK_INT(yoke_stream_mark(first, e), 0);
        CHECK_INT(yoke_stream_after(second, e), 0);
        CHECK_INT(yoke_stream_copy(second, &got[i], x, 4), 0);
        CHECK_INT(yoke_stream_mark(second, e), 0); /* the same event, put elsewhere */
        CHECK_INT(yoke_stream_after(first, e), 0); /* the next write is behind the read */
    }
    CHECK_INT(yoke_stream_wait(second), 0);
    for (uint32_t i = 0; i < 50; i++)
        CHECK_INT(got[i], i);
    yoke_stream_event_close(e);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(events_have_times)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yoke_stream_event *from = yoke_stream_event_open(dev), *to = yoke_stream_event_open(dev);
    yk_image *image = build(dev, slow);
    yk_function f = function_of(dev, image, "slow");
    uint32_t *x = yoke_device_alloc(dev, 4);
    int64_t few = -1, many = -1, none = -1;
    run_slow(s, &f, x, 10, 1); /* compiles for this size of group */
    CHECK_INT(yoke_stream_wait(s), 0);
    CHECK_INT(yoke_stream_mark(s, from), 0);
    run_slow(s, &f, x, 20 << 20, 1);
    CHECK_INT(yoke_stream_mark(s, to), 0);
    CHECK_INT(yoke_stream_elapsed(from, to, &many), 0);
    CHECK_INT(yoke_stream_event_try(to), 0); /* elapsed has waited */
    CHECK_INT(yoke_stream_mark(s, from), 0);
    CHECK_INT(yoke_stream_mark(s, to), 0);
    CHECK_INT(yoke_stream_event_wait(to), 0);
    CHECK_INT(yoke_stream_elapsed(from, to, &few), 0);
    CHECK(few >= 0 && many > 1000000); /* 20 million dependent steps take milliseconds anywhere */
    CHECK_INT(yoke_stream_elapsed(from, from, &none), 0);
    CHECK_INT(none, 0);
    yoke_stream_event_close(from);
    yoke_stream_event_close(to);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* A kernel that waits until the host opens a gate, in memory that on PoCL is the host's too. */
TEST(a_stream_is_asked)
{
    yoke_device *dev = open_opencl();
    if (!strstr(yoke_device_about(dev)->platform, "Portable Computing Language"))
        SKIP("only PoCL's memory is certain to be the host's");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_stream_event *e = yoke_stream_event_open(dev);
    yk_image *image = build(dev, "__kernel void gate(__global int *x, ulong at) {\n"
                                 "    volatile __global int *open = (volatile __global int *)((__global char *)x + at);\n"
                                 "    while (*open == 0) ;\n"
                                 "}\n");
    yk_function f = function_of(dev, image, "gate");
    int closed = 0;
    CHECK_INT(yoke_stream_try(s), 0);
    for (int round = 0; round < 3; round++) {
        int *gate = yoke_stream_alloc(s, sizeof *gate);
        CHECK_INT(yoke_stream_fill(s, gate, &closed, sizeof closed, 1), 0);
        CHECK_INT(yoke_stream_wait(s), 0);
        CHECK_INT(yoke_stream_try(s), 0);
        const yk_kernel_arg args[] = {MEMORY(gate)};
        launch(s, &f, 1, 1, args, 1);
        CHECK_INT(yoke_stream_mark(s, e), 0);
        for (int i = 0; i < 100; i++) {
            CHECK_INT(yoke_stream_try(s), -EAGAIN);
            CHECK_INT(yoke_stream_event_try(e), -EAGAIN);
        }
        __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
        int err;
        while ((err = yoke_stream_try(s)) == -EAGAIN)
            sched_yield();
        CHECK_INT(err, 0);
        CHECK_INT(yoke_stream_event_try(e), 0);
        CHECK_INT(yoke_stream_wait(s), 0);
        yoke_stream_free(s, gate);
    }
    yoke_stream_event_close(e);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* The host's memory in a copy is in use until the stream has come past, also when the device counts as lost. */
TEST(a_lost_device_is_waited_for)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image = build(dev, slow);
    yk_function f = function_of(dev, image, "slow");
    uint32_t *x = yoke_device_alloc(dev, 4), out = 0;
    run_slow(s, &f, x, 4 << 20, 9);
    CHECK_INT(yoke_stream_copy(s, &out, x, 4), 0);
    yk_error e;
    yk_errorf(&e, ENODEV, "lost");
    yk_device_fail(dev, s, &e);
    CHECK_INT(yoke_stream_wait(s), -ENODEV);
    CHECK_INT(out, 9);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), -ENODEV);
}

/* ---- Threads ---- */

enum { THREADS = 6, ROUNDS = 60, PER = 300 };
typedef struct worker {
    pthread_t thread;
    yoke_device *dev;
    const yk_function *f;
    int number;
    long long sum;
} worker;

/* Its own stream, memory that comes and goes, the one function of all. */
static void *work(void *arg)
{
    worker *w = arg;
    yoke_stream *s = yoke_stream_open(w->dev);
    float in[PER], out[PER];
    for (int r = 0; r < ROUNDS; r++) {
        float *x = yoke_stream_alloc(s, sizeof in), *y = yoke_device_alloc(w->dev, sizeof out);
        for (int i = 0; i < PER; i++)
            in[i] = (float)(i + r);
        yoke_stream_copy(s, x, in, sizeof in);
        run_axpb(s, w->f, x, y, 1, (float)w->number, PER);
        yoke_stream_copy(s, out, y, sizeof out);
        yoke_stream_free(s, x);
        CHECK_INT(yoke_stream_wait(s), 0);
        yoke_device_free(w->dev, y);
        for (int i = 0; i < PER; i++)
            w->sum += (long long)out[i] - i - r;
    }
    CHECK_INT(yoke_stream_close(s), 0);
    return NULL;
}

TEST(many_threads)
{
    yoke_device *dev = open_opencl();
    yk_image *image = build(dev, axpb);
    yk_function f = function_of(dev, image, "axpb");
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.dev = dev, .f = &f, .number = i + 1};
        CHECK_INT(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        CHECK_INT(workers[i].sum, (i + 1) * ROUNDS * PER);
    }
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- After fork() ---- */

static yoke_device *of_parent;
static void use_in_child(void)
{
    yoke_device *own = yoke_device_open("opencl:0");
    fprintf(stderr, "%d %d %s\n", yoke_device_status(of_parent), yoke_device_status(own), yoke_device_error(own));
    yoke_device_close(own);
    yoke_device_close(of_parent);
    _exit(0);
}

TEST(a_child_is_told)
{
    of_parent = open_opencl();
    child_end end = in_child(use_in_child);
    CHECK_INT(end.status, 0);
    char expected[32];
    snprintf(expected, sizeof expected, "%d %d ", -ECHILD, -ECHILD);
    CHECK_HAS(end.text, expected);
    CHECK_HAS(end.text, "OpenCL: it was opened before fork()");
    CHECK_INT(yoke_device_close(of_parent), 0);
}
