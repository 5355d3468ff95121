/* opencl_arguments.c - a kernel object of OpenCL has its arguments from one launch to the next: none is set again that it has
 * already, and none is left that is not right any more. fake_opencl.c refuses launches with memory that was released. */
#include "opencl_run.h"
#include "opencl_try.h"

enum { N = 64, MANY = 40 };

/* r[] = all arguments in turn. */
static const char text[] =
    "typedef struct pair { long a; int b; } pair;\n"
    "__kernel void tell(__global long *r, ulong at, char c, int i, float f, long l, double d, pair p) {\n"
    "    r += at / 8; r[0] = c; r[1] = i; r[2] = as_int(f); r[3] = l; r[4] = as_long(d); r[5] = p.a; r[6] = p.b;\n"
    "}\n"
    "__kernel void first(__global int *r, ulong r_at, __global const int *x, ulong x_at) {\n"
    "    r[r_at / 4] = x[x_at / 4];\n"
    "}\n"
    "__kernel void sums(__global int *r, ulong at, __local int *room) {\n"
    "    room[get_local_id(0)] = (int)get_local_id(0);\n"
    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    if (get_local_id(0) == 0) r[at / 4] = room[get_local_size(0) - 1];\n"
    "}\n";

typedef struct pair {
    int64_t a;
    int32_t b;
} pair;

typedef struct scene {
    yoke_device *dev;
    yoke_stream *s;
    yk_image *image;
} scene;

static scene open_scene(unsigned pretence)
{
    use_fake(pretence);
    scene c = {.dev = yoke_device_open("opencl:0")};
    c.s = yoke_stream_open(c.dev);
    CHECK(c.s);
    c.image = build(c.dev, text);
    return c;
}

static void close_scene(scene *c)
{
    c->dev->driver->unload(c->dev, c->image);
    CHECK_INT(yoke_device_close(c->dev), 0);
    CHECK_INT(fake.live(), 0);
}

/* How many arguments have been set since the last call. */
static int count_set(void)
{
    return fake.fail("SetKernelArg", 0, 0);
}

/* One value after the other is another one; all are as they were given, and what is the same is not set. */
TEST(only_what_is_another_is_set)
{
    scene c = open_scene(0);
    yk_function f = function_of(c.dev, c.image, "tell");
    int64_t *r = yoke_device_alloc(c.dev, 1024), *to = r, out[7];
    int8_t small = 1;
    int32_t i = 2, bits = 0;
    float g = 0;
    int64_t l = 3, long_bits = 0;
    double d = 0;
    pair p = {4, 5};
    for (int step = 0; step < 9; step++) {
        small = step == 1 ? 7 : small;
        i = step == 2 ? -2 : i;
        g = step == 3 ? -0.0f : g;                                 /* equal to 0, and another number */
        l = step == 4 ? (int64_t)1 << 32 | 3 : l;                  /* the lower half is what was there */
        d = step == 5 ? 1e300 : d;
        p.b = step == 6 ? 6 : p.b;
        to = step == 7 ? r + 3 : to;
        const yk_kernel_arg args[] = {MEMORY(to), VALUE(small), VALUE(i), VALUE(g), VALUE(l), VALUE(d), VALUE(p)};
        count_set();
        launch(c.s, &f, 1, 1, args, 7);
        const bool always = step == 1 || step == 6 || step == 8; /* a char and a pair are set each time */
        CHECK_INT(count_set(), step == 0 ? 8 : always ? 2 : 3);
        CHECK_INT(yoke_stream_copy(c.s, out, to, sizeof out), 0);
        CHECK_INT(yoke_stream_wait(c.s), 0);
        memcpy(&bits, &g, sizeof bits);
        memcpy(&long_bits, &d, sizeof long_bits);
        const int64_t right[7] = {small, i, bits, l, long_bits, p.a, p.b};
        for (int k = 0; k < 7; k++)
            CHECK_INT(out[k], right[k]);
    }
    close_scene(&c);
}

/* The handle of memory may be that of other memory later. */
TEST(memory_is_set_again_when_any_was_released)
{
    scene c = open_scene(0);
    yk_function f = function_of(c.dev, c.image, "first");
    int *r = yoke_device_alloc(c.dev, sizeof *r * N);
    const void *before = NULL;
    int again = 0;
    for (int i = 0; i < 200; i++) {
        int *x = yoke_device_alloc(c.dev, 10 << 20), got = -1;
        const void *handle = yk_span_of(x)->native;
        again += handle == before;
        before = handle;
        CHECK_INT(yoke_stream_fill(c.s, x, &i, sizeof i, 1), 0);
        launch(c.s, &f, 1, 1, (const yk_kernel_arg[]){MEMORY(r), MEMORY(x)}, 2);
        CHECK_INT(yoke_stream_copy(c.s, &got, r, sizeof got), 0);
        CHECK_INT(yoke_stream_wait(c.s), 0);
        CHECK_INT(got, i);
        yoke_device_free(c.dev, x);
        CHECK_INT(yoke_device_trim(c.dev), 0);
    }
    printf("# %d times the handle of the memory before\n", again);
    close_scene(&c);
}

/* Memory of either kind, and none, in one place. */
TEST(memory_of_the_host_and_of_the_device_in_turn)
{
    scene c = open_scene(FAKE_SHARES);
    yk_function f = function_of(c.dev, c.image, "first");
    int *r = yoke_device_alloc(c.dev, sizeof *r), *x = yoke_device_alloc(c.dev, 4 * sizeof *x), of_host[4], got = 0;
    for (int i = 0; i < 20; i++) {
        int *from = (i % 3 ? x : of_host) + i % 4;
        of_host[i % 4] = i;
        CHECK_INT(yoke_stream_copy(c.s, x + i % 4, &i, sizeof i), 0);
        launch(c.s, &f, 1, 1, (const yk_kernel_arg[]){MEMORY(r), MEMORY(from)}, 2);
        CHECK_INT(yoke_stream_copy(c.s, &got, r, sizeof got), 0);
        CHECK_INT(yoke_stream_wait(c.s), 0);
        CHECK_INT(got, i);
    }
    close_scene(&c);
}

/* What could not be set is not taken for set. */
TEST(an_argument_that_is_refused_is_set_the_next_time)
{
    scene c = open_scene(0);
    yk_function f = function_of(c.dev, c.image, "tell");
    int64_t *to = yoke_device_alloc(c.dev, 1024), out[7];
    int8_t small = 1;
    for (int k = 1; k <= 8; k++) {
        int32_t i = k;
        float g = (float)k;
        int64_t l = k;
        double d = k;
        pair p = {k, k};
        yk_error e = {.text = ""};
        const yk_kernel_arg args[] = {MEMORY(to), VALUE(small), VALUE(i), VALUE(g), VALUE(l), VALUE(d), VALUE(p)};
        const yk_shape shape = {.groups = {1, 1, 1}, .group = {1, 1, 1}};
        fake.fail("SetKernelArg", k, -51);
        int err = launch_shaped(c.s, &f, shape, args, 7, &e);
        const bool met = count_set() >= k;
        CHECK(met == (k <= 6)); /* the handle and its offset are there */
        CHECK(met == (err < 0));
        if (met)
            CHECK_HAS(e.text, "CL_INVALID_ARG_SIZE (-51)");
        launch(c.s, &f, 1, 1, args, 7);
        CHECK_INT(yoke_stream_copy(c.s, out, to, sizeof out), 0);
        CHECK_INT(yoke_stream_wait(c.s), 0);
        CHECK_INT(out[1], k);
        CHECK_INT(out[3], k);
        CHECK_INT(out[5], k);
    }
    close_scene(&c);
}

/* Group memory is as large as this launch says. */
TEST(group_memory_is_set_each_time)
{
    scene c = open_scene(0);
    yk_function f = function_of(c.dev, c.image, "sums");
    int *r = yoke_device_alloc(c.dev, sizeof *r), got = 0;
    static const unsigned sizes[] = {8, 64, 16, 256, 1};
    for (size_t i = 0; i < YK_COUNT_OF(sizes); i++) {
        yk_error e = {.text = ""};
        const yk_shape shape = {.groups = {1, 1, 1}, .group = {sizes[i], 1, 1}, .local = sizes[i] * sizeof(int)};
        count_set();
        CHECK_INT(launch_shaped(c.s, &f, shape, (const yk_kernel_arg[]){MEMORY(r)}, 1, &e), 0);
        CHECK_INT(count_set(), i == 0 ? 3 : 1);
        CHECK_INT(yoke_stream_copy(c.s, &got, r, sizeof got), 0);
        CHECK_INT(yoke_stream_wait(c.s), 0);
        CHECK_INT(got, (int)sizes[i] - 1);
    }
    close_scene(&c);
}

/* More than a kernel's object is remembered to have. */
TEST(many_arguments)
{
    scene c = open_scene(0);
    yk_buf b = {0};
    yk_buf_printf(&b, "__kernel void many(__global int *r, ulong at");
    for (int i = 0; i < MANY; i++)
        yk_buf_printf(&b, ", int x%d", i);
    yk_buf_printf(&b, ") { r += at / 4;");
    for (int i = 0; i < MANY; i++)
        yk_buf_printf(&b, " r[%d] = x%d;", i, i);
    yk_buf_printf(&b, " }\n");
    yk_image *image = build(c.dev, yk_buf_str(&b));
    yk_function f = function_of(c.dev, image, "many");
    int *r = yoke_device_alloc(c.dev, sizeof *r * MANY), x[MANY] = {0}, got[MANY];
    yk_kernel_arg args[MANY + 1] = {MEMORY(r)};
    for (int i = 0; i < MANY; i++)
        args[i + 1] = VALUE(x[i]);
    for (int i = 0; i <= MANY; i++) { /* the last time nothing is another */
        if (i < MANY)
            x[i] = i % 8 + 1; /* what one remembered at another place would have, too */
        launch(c.s, &f, 1, 1, args, MANY + 1);
        CHECK_INT(yoke_stream_copy(c.s, got, r, sizeof got), 0);
        CHECK_INT(yoke_stream_wait(c.s), 0);
        CHECK(memcmp(got, x, sizeof x) == 0);
    }
    yk_buf_done(&b);
    c.dev->driver->unload(c.dev, image);
    close_scene(&c);
}
