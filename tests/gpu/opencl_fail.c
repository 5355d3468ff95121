/* opencl_fail.c - OpenCL that is absent, broken, or fails at any call; and devices that PoCL has none of,
 * pretended. */
#include "child.h"
#include "opencl_run.h"
#include "opencl_try.h"
#include <sched.h>
#include <sys/stat.h>
#include <yoke/array.h>
#include <yoke/source.h>

/* ---- No driver ---- */

static void count_platforms(void)
{
    uint32_t n = 0;
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW), *symbol = library ? dlsym(library, "clGetPlatformIDs") : NULL;
    int32_t (*ask)(uint32_t, void *, uint32_t *);
    memcpy(&ask, &symbol, sizeof ask);
    if (ask)
        ask(0, NULL, &n);
    fprintf(stderr, "platforms: %u", n);
    _exit(0);
}

/* Where there are other drivers than PoCL, one that fails is not all there is. A child asks: a library asks once. */
static void need_platforms(unsigned most)
{
    child_end end = in_child(count_platforms);
    const char *found = strstr(end.text, "platforms: ");
    CHECK(found);
    if (strtoul(found + strlen("platforms: "), NULL, 10) > most)
        SKIP("the OpenCL library here has more drivers than PoCL");
}

static void absent(const char *part)
{
    CHECK_HAS(yoke_driver_error("opencl"), part);
    CHECK_HAS(yoke_driver_error("opencl"), "OpenCL: "); /* the same again */
    CHECK(!strchr(yoke_driver_error("opencl"), '\n'));
    yoke_device *dev = yoke_device_open("opencl");
    CHECK_INT(yoke_device_status(dev), -ENODEV);
    CHECK_HAS(yoke_device_error(dev), part);
    CHECK_INT(yoke_device_close(dev), -ENODEV);
    yoke_device_info info;
    for (unsigned i = 0; yoke_device_at(i, &info) == 0; i++)
        CHECK(strcmp(info.driver, "opencl") != 0);
    dev = yoke_device_open("opencl,cpu");
    CHECK_STR(yoke_device_about(dev)->driver, "cpu");
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(no_library)
{
    setenv("YOKE_OPENCL_DRIVER", "/nonexistent/libOpenCL.so", 1);
    absent("YOKE_OPENCL_DRIVER cannot be opened: /nonexistent");
}

TEST(a_library_that_does_not_load)
{
    unsetenv("YOKE_OPENCL_DRIVER");
    yk_sys_fail("dlopen", 1, ENOENT);
    absent("there is no libOpenCL.so.1 here");
}

TEST(a_library_of_something_else)
{
    setenv("YOKE_OPENCL_DRIVER", "libm.so.6", 1);
    absent("libm.so.6 lacks clGetPlatformIDs: it is no OpenCL library, or one older than OpenCL 1.2");
}

TEST(no_platform)
{
    use_fake(0);
    fake.fail("GetPlatformIDs", 1, -1001);
    absent("no driver is installed: the loader found none in /etc/OpenCL/vendors");
}

TEST(an_empty_folder_of_drivers)
{
    char folder[] = "/tmp/yoke-icd-XXXXXX";
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW);
    if (!library)
        SKIP("no OpenCL loader is installed");
    CHECK(mkdtemp(folder));
    setenv("OCL_ICD_VENDORS", folder, 1);
    need_platforms(0);
    absent("no driver is installed");
    CHECK_INT(rmdir(folder), 0);
}

TEST(platforms_that_fail)
{
    use_fake(0);
    fake.fail("GetPlatformIDs", 1, -6);
    absent("the drivers do not start: CL_OUT_OF_HOST_MEMORY (-6) from clGetPlatformIDs");
}

TEST(a_platform_that_tells_no_devices)
{
    need_platforms(1);
    use_fake(0);
    fake.fail("GetDeviceIDs", 1, -30);
    absent("the driver does not tell its devices: CL_INVALID_VALUE (-30) from clGetDeviceIDs");
}

TEST(a_platform_without_devices)
{
    need_platforms(1);
    use_fake(0);
    fake.fail("GetDeviceIDs", 1, -1);
    absent("have no device on this machine");
}

TEST(devices_that_are_not_available)
{
    use_fake(FAKE_BUSY);
    absent("have no device on this machine");
}

TEST(pocl_without_a_cache)
{
    need_platforms(1);
    use_fake(0); /* skips where there is no driver */
    unsetenv("YOKE_OPENCL_DRIVER");
    setenv("POCL_CACHE_DIR", "/proc/none", 1);
    absent("PoCL has none when it cannot write its cache");
}

/* Each question about a device may go without an answer. */
static int unanswered;
static void enumerate_in_child(void)
{
    use_fake(0);
    fake.fail(NULL, unanswered, unanswered % 2 ? -30 : -6);
    unsigned n = yoke_device_count();
    int calls = fake.fail(NULL, 0, 0);
    yoke_device_info info;
    CHECK(n >= 1);
    for (unsigned i = 0; i < n; i++) {
        CHECK_INT(yoke_device_at(i, &info), 0);
        CHECK(*info.uri && memchr(info.name, 0, sizeof info.name));
    }
    CHECK_INT(fake.live(), 0);
    fprintf(stderr, "%s", calls < unanswered ? "passed" : "");
    _exit(0);
}

TEST(devices_that_do_not_answer)
{
    use_fake(0);
    for (unanswered = 1;; unanswered++) {
        child_end end = in_child(enumerate_in_child);
        CHECK_INT(end.status, 0);
        if (strstr(end.text, "passed"))
            break;
        CHECK_STR(end.text, "");
    }
    CHECK(unanswered > 20);
}

/* ---- Failures of every call ---- */

static const char text[] =
    "__kernel void copy(__global const int *x, ulong x_at, __global int *y, ulong y_at, int n) {\n"
    "    int i = get_global_id(0); if (i < n) y[y_at / 4 + i] = x[x_at / 4 + i];\n"
    "}\n";
enum { N = 256 };

/* All that the driver can do, by its table, until something fails: the error of that. */
typedef struct scene {
    yoke_device *dev;
    yoke_stream *a, *b;
    yoke_stream_event *before, *after;
    yk_image *image;
    int *x, *y, *pinned;
} scene;

static int run_kernels(scene *c, yk_error *e)
{
    yk_function f;
    int n = N, seven = 7, out[N];
    int err = c->dev->driver->build(c->dev, text, "", "copy", &c->image, NULL, e);
    if (err == 0)
        err = c->dev->driver->function(c->image, "copy", &f, e);
    if (err < 0)
        return yk_device_fail(c->dev, NULL, e);
    const yk_shape shape = {.groups = {4, 1, 1}, .group = {64, 1, 1}};
    const yk_kernel_arg args[] = {MEMORY(c->x), MEMORY(c->y), VALUE(n)};
    if ((err = yoke_stream_fill(c->a, c->x, &seven, 4, N)) < 0 || (err = yoke_stream_mark(c->a, c->before)) < 0)
        return err;
    if ((err = launch_shaped(c->a, &f, shape, args, 3, e)) < 0)
        return yk_device_fail(c->dev, c->a, e);
    if ((err = yoke_stream_mark(c->a, c->after)) < 0 || (err = yoke_stream_after(c->b, c->after)) < 0)
        return err;
    if ((err = yoke_stream_copy(c->b, c->x + 1, c->y, 4 * (N - 1))) < 0)
        return err;
    if ((err = launch_shaped(c->b, &f, shape, args, 3, e)) < 0)
        return yk_device_fail(c->dev, c->b, e);
    err = yoke_stream_copy(c->b, out, c->y, sizeof out);
    int waited = yoke_stream_wait(c->b); /* out[] is in use until then, whatever failed */
    if (err == 0 && waited == 0)
        CHECK_INT(out[N - 1], 7);
    return err < 0 ? err : waited;
}

static int run_times(scene *c)
{
    int64_t ns;
    int err = yoke_stream_elapsed(c->before, c->after, &ns);
    if (err == 0)
        err = yoke_stream_event_wait(c->after);
    if (err == 0)
        err = yoke_stream_event_try(c->after);
    while (err == 0 && (err = yoke_stream_try(c->a)) == -EAGAIN)
        err = 0;
    return err;
}

static int run_scene(scene *c)
{
    yk_error e = {.text = ""};
    int zero = 0;
    c->dev = yoke_device_open("opencl:0");
    int err = yoke_device_status(c->dev);
    if (err < 0)
        return err;
    c->a = yoke_stream_open(c->dev);
    c->b = c->a ? yoke_stream_open(c->dev) : NULL;
    c->x = c->b ? yoke_device_alloc(c->dev, 4 * N) : NULL;
    c->y = c->x ? yoke_stream_alloc(c->a, 4 * N) : NULL;
    c->before = c->y ? yoke_stream_event_open(c->dev) : NULL;
    c->after = c->before ? yoke_stream_event_open(c->dev) : NULL;
    c->pinned = c->after ? yoke_pinned_alloc(c->dev, 4 * N) : NULL;
    if (!c->pinned)
        return -EIO;
    c->pinned[0] = 1;
    err = yoke_stream_fill(c->a, (char *)c->y + 1, &zero, 4, 2); /* not aligned: several calls */
    if (err == 0)
        err = yoke_stream_copy(c->a, c->x, c->pinned, 4 * N);
    if (err == 0)
        err = yoke_stream_wait(c->a);
    if (err == 0)
        err = run_kernels(c, &e);
    return err < 0 ? err : run_times(c);
}

static void end_scene(scene *c)
{
    yoke_stream_event_close(c->before);
    yoke_stream_event_close(c->after);
    if (c->pinned)
        yoke_pinned_free(c->dev, c->pinned);
    if (c->y)
        yoke_stream_free(c->a, c->y);
    yoke_stream_close(c->a);
    if (c->image)
        c->dev->driver->unload(c->dev, c->image);
    yoke_device_close(c->dev);
}

static char cache[] = "/tmp/yoke-opencl-XXXXXX";

static void use_empty_cache(void)
{
    CHECK(mkdtemp(cache));
    setenv("YOKE_CACHE", cache, 1);
}

static void remove_cache(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", cache);
    CHECK_INT(system(command), 0);
}

/* The k-th call fails, for k = 1, 2, ... until none does. */
static void every_call_fails(unsigned what)
{
    static const int32_t codes[] = {-5, -6, -36, -9999, -14, -30, -12345};
    use_fake(what);
    use_empty_cache();
    yoke_device_count(); /* the questions about devices have a test of their own */
    int k = 1, errors = 0;
    for (bool more = true; more; k++) {
        scene c = {0};
        fake.fail(NULL, k, codes[k % 7]);
        int err = run_scene(&c);
        if (err < 0) {
            errors++;
            CHECK(*yoke_device_error(c.dev));
        }
        end_scene(&c);
        more = fake.fail(NULL, 0, 0) >= k;
        CHECK(more || err == 0);
        CHECK_INT(fake.live(), 0);
    }
    CHECK(errors > 30 && k > 60);
    remove_cache();
}

TEST(every_call_fails_on_a_cpu)
{
    every_call_fails(0);
}

TEST(every_call_fails_on_a_gpu)
{
    every_call_fails(FAKE_GPU | FAKE_STRANGER);
}

static void without_memory(unsigned what, const char *call)
{
    use_fake(what);
    yoke_device_count();
    int calls, n = 1;
    for (int err = -1; err < 0; n++) {
        scene c = {0};
        yk_sys_fail(call, n, ENOMEM);
        err = run_scene(&c);
        calls = yk_sys_fail(call, 0, 0);
        end_scene(&c);
        CHECK((calls >= n) == (err < 0));
        CHECK_INT(fake.live(), 0);
    }
}

TEST(no_memory_of_the_host)
{
    without_memory(0, "calloc");
    without_memory(0, "posix_memalign");
    without_memory(0, "realloc");
}

TEST(no_addresses)
{
    without_memory(FAKE_GPU, "calloc");
    without_memory(FAKE_GPU, "mmap");
}

/* ---- Programs that are kept ---- */

/* Builds the text with the kernel's options, and runs it. Whether the compiler was asked. */
static bool built_from_text(const char *options)
{
    scene c = {.dev = yoke_device_open("opencl:0")};
    yk_error e = {.text = ""};
    yk_image *image;
    yk_function f;
    CHECK_INT(yoke_device_status(c.dev), 0);
    fake.fail("CreateProgramWithSource", 0, 0);
    int err = c.dev->driver->build(c.dev, text, options, "copy", &image, NULL, &e);
    int texts = fake.fail(NULL, 0, 0);
    CHECK_STR(e.text, "");
    CHECK_INT(err, 0);
    f = function_of(c.dev, image, "copy");
    CHECK_STR(f.name, "copy");
    int n = N, in[N], out[N] = {0};
    for (int i = 0; i < N; i++)
        in[i] = i * i;
    c.a = yoke_stream_open(c.dev);
    c.x = yoke_device_alloc(c.dev, sizeof in);
    c.y = yoke_device_alloc(c.dev, sizeof in);
    CHECK_INT(yoke_stream_copy(c.a, c.x, in, sizeof in), 0);
    const yk_kernel_arg args[] = {MEMORY(c.x), MEMORY(c.y), VALUE(n)};
    launch(c.a, &f, 4, 64, args, 3);
    CHECK_INT(yoke_stream_copy(c.a, out, c.y, sizeof out), 0);
    CHECK_INT(yoke_stream_wait(c.a), 0);
    CHECK(memcmp(in, out, sizeof in) == 0);
    c.dev->driver->unload(c.dev, image);
    CHECK_INT(yoke_device_close(c.dev), 0);
    CHECK_INT(fake.live(), 0);
    return texts > 0;
}

TEST(programs_are_kept)
{
    use_fake(FAKE_STRANGER);
    use_empty_cache();
    CHECK(built_from_text(""));
    CHECK(!built_from_text(""));
    CHECK(built_from_text("-DOTHER"));
    CHECK(!built_from_text("-DOTHER"));
    remove_cache();
    CHECK(built_from_text(""));
    CHECK(!built_from_text(""));
    remove_cache();
}

static int computed_with(const char *options, int factor)
{
    char path[64];
    snprintf(path, sizeof path, "%s/factor.h", cache);
    FILE *f = fopen(path, "w");
    CHECK(f && fprintf(f, "#define FACTOR %d\n", factor) > 0 && fclose(f) == 0);
    yoke_device *dev = yoke_device_open("opencl:0");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_source *src = yoke_source_open(dev,
                                        "#include \"factor.h\"\n"
                                        "__kernel void k(__global int *x, ulong at) { x[at / 4] = FACTOR; }",
                                        options);
    CHECK_STR(yoke_source_log(src), "");
    int here = 0, *x = yoke_device_alloc(dev, 4);
    const yoke_shape one = {.groups = {1}};
    CHECK_INT(yoke_enqueue_raw(s, yoke_source_kernel(src, "k"), one, x), 0);
    CHECK_INT(yoke_stream_copy(s, &here, x, 4), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_source_close(src);
    CHECK_INT(yoke_device_close(dev), 0);
    return here;
}

/* What the text includes is not in the key. */
TEST(a_file_that_is_included_may_change)
{
    char options[64];
    use_fake(FAKE_STRANGER);
    use_empty_cache();
    snprintf(options, sizeof options, "-I%s", cache);
    CHECK_INT(computed_with(options, 2), 2);
    CHECK_INT(computed_with(options, 3), 3);
    remove_cache();
}

/* A driver that takes no binaries, or not this one, gets the text. */
static void binary_refused(const char *call, int k, int32_t code)
{
    yoke_device *dev = yoke_device_open("opencl:0");
    yk_image *image;
    yk_error e = {.text = ""};
    fake.fail(call, k, code);
    CHECK_INT(dev->driver->build(dev, text, "", "copy", &image, NULL, &e), 0);
    CHECK(fake.fail(NULL, 0, 0) >= k);
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(fake.live(), 0);
}

TEST(programs_that_are_not_taken)
{
    use_fake(FAKE_STRANGER);
    use_empty_cache();
    CHECK(built_from_text(""));
    binary_refused("CreateProgramWithBinary", 1, -42);
    binary_refused("BuildProgram", 1, -11);
    CHECK(!built_from_text("")); /* written again */
    remove_cache();
    binary_refused("GetProgramInfo", 1, -6); /* nothing is kept then */
    CHECK(built_from_text(""));
    remove_cache();
    binary_refused("GetProgramInfo", 2, -6);
    CHECK(built_from_text(""));
    remove_cache();
}

/* PoCL keeps programs itself, and would build another one for who asks for a binary. */
TEST(pocl_is_not_asked_for_binaries)
{
    use_fake(0);
    use_empty_cache();
    for (int i = 0; i < 2; i++)
        CHECK(built_from_text(""));
    CHECK_INT(rmdir(cache), 0); /* empty */
}

/* ---- What an error is ---- */

static void told(const char *call, int32_t code, int expected, const char *part)
{
    scene c = {0};
    fake.fail(call, 1, code);
    int err = run_scene(&c);
    CHECK_HAS(yoke_device_error(c.dev), part);
    CHECK(!strchr(yoke_device_error(c.dev), '\n'));
    CHECK_INT(err, expected);
    fake.fail(NULL, 0, 0);
    end_scene(&c);
}

TEST(errors_are_told)
{
    use_fake(0);
    yoke_device_count();
    told("CreateContext", -6, -ENOMEM,
         "opencl:0 cannot be opened: CL_OUT_OF_HOST_MEMORY (-6) from clCreateContext");
    told("CreateCommandQueue", -2, -EIO, "no stream can be opened: CL_DEVICE_NOT_AVAILABLE (-2)");
    told("CreateBuffer", -4, -EIO, "CL_MEM_OBJECT_ALLOCATION_FAILURE (-4) from clCreateBuffer");
    told("BuildProgram", -3, -ENOTSUP, "copy does not compile: CL_COMPILER_NOT_AVAILABLE (-3) from clBuildProgram");
    told("SetKernelArg", -49, -EINVAL, "kernel copy, argument 1 of 3 for 5 parameters: CL_INVALID_ARG_INDEX (-49) from "
         "clSetKernelArg");
    told("EnqueueNDRangeKernel", -4, -ENOMEM,
         "kernel copy cannot be launched: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
    told("EnqueueNDRangeKernel", -777, -EIO, "an unknown error (-777) from clEnqueueNDRangeKernel");
    told("EnqueueCopyBuffer", -8, -EINVAL, "CL_MEM_COPY_OVERLAP (-8) from clEnqueueCopyBuffer");
    told("Finish", -5, -ENODEV, "what was put in the stream has failed: CL_OUT_OF_RESOURCES (-5) from clFinish");
    told("GetEventProfilingInfo", -7, -ENOTSUP,
         "the time of an event is not known: CL_PROFILING_INFO_NOT_AVAILABLE (-7)");
}

/* A device that is lost stays lost; opened again it is another one. */
TEST(a_lost_device)
{
    use_fake(0);
    scene c = {0};
    yoke_device_count();
    fake.fail("Finish", 1, -9999);
    CHECK_INT(run_scene(&c), -ENODEV);
    fake.fail(NULL, 0, 0);
    CHECK_INT(yoke_stream_wait(c.a), -ENODEV);
    CHECK(!yoke_device_alloc(c.dev, 100));
    CHECK_INT(yoke_device_status(c.dev), -ENODEV);
    end_scene(&c);
    CHECK_INT(fake.live(), 0);
    c = (scene){0};
    CHECK_INT(run_scene(&c), 0);
    end_scene(&c);
    CHECK_INT(fake.live(), 0);
}

/* The pool of memory asks streams too, and the driver may tell of an error but once. */
TEST(what_the_pool_is_told_is_kept_for_the_user)
{
    static const char *const calls[] = {"Finish", "WaitForEvents", "GetEventInfo", "EnqueueMarkerWithWaitList"};
    use_fake(0);
    for (size_t i = 0; i < 2 * YK_COUNT_OF(calls); i++) {
        const char *call = calls[i / 2];
        yoke_device *dev = yoke_device_open("opencl:0");
        yoke_stream *s = yoke_stream_open(dev);
        int zero = 0, *x = yoke_device_alloc(dev, 400), *y = yoke_stream_alloc(s, 400);
        CHECK_INT(yoke_stream_fill(s, x, &zero, 4, 100), 0);
        fake.fail(call, 1, -5);
        yoke_stream_free(s, y);
        CHECK_INT(yoke_device_trim(dev), 0);
        int calls_made = fake.fail(NULL, 0, 0);
        int err = i % 2 ? yoke_stream_wait(s) : yoke_stream_try(s);
        CHECK_INT(err < 0 && err != -EAGAIN ? err : 0, calls_made > 0 ? -ENODEV : 0);
        if (calls_made > 0)
            CHECK_HAS(yoke_device_error(dev), "CL_OUT_OF_RESOURCES");
        CHECK_INT(yoke_device_close(dev), calls_made > 0 ? -ENODEV : 0);
        CHECK_INT(fake.live(), 0);
    }
}

/* ---- Copies that fail, or end, when clFinish() is happy ---- */

/* Up and down again; which of the two goes wrong, and how it is waited for. */
typedef struct trip {
    yoke_device *dev;
    yoke_stream *s;
    yoke_stream_event *v;
    int *x, up[N], down[N];
} trip;

static void begin_trip(trip *t)
{
    memset(t, 0x60, sizeof *t);
    t->dev = yoke_device_open("opencl:0");
    t->s = yoke_stream_open(t->dev);
    t->v = yoke_stream_event_open(t->dev);
    t->x = yoke_device_alloc(t->dev, sizeof t->up);
    CHECK(t->x);
    for (int i = 0; i < N; i++)
        t->up[i] = i;
}

static void put_trip(trip *t)
{
    CHECK_INT(yoke_stream_copy(t->s, t->x, t->up, sizeof t->up), 0);
    CHECK_INT(yoke_stream_copy(t->s, t->down, t->x, sizeof t->down), 0);
}

static void end_trip(trip *t)
{
    fake.late(0, 0);
    yoke_device_free(t->dev, t->x);
    yoke_stream_event_close(t->v);
    yoke_stream_close(t->s);
    yoke_device_close(t->dev);
    CHECK_INT(fake.live(), 0);
}

static int wait_by(trip *t, int how)
{
    int err = 0;
    if (how == 0)
        return yoke_stream_wait(t->s);
    if (how == 2) { /* its event knows nothing of it, but a wait does afterwards */
        CHECK_INT(yoke_stream_mark(t->s, t->v), 0);
        CHECK_INT(yoke_stream_event_wait(t->v), 0);
    }
    while ((err = yoke_stream_try(t->s)) == -EAGAIN)
        sched_yield();
    return err;
}

enum { WAYS = 3 };

TEST(a_copy_that_fails_late_is_told)
{
    use_fake(0);
    for (int k = 1; k <= 2; k++)
        for (int how = 0; how < WAYS; how++)
            for (int i = 0; i < 2; i++) {
                trip t;
                begin_trip(&t);
                fake.late(k, i ? -4 : -5);
                put_trip(&t);
                int err = wait_by(&t, how);
                CHECK_INT(err, i ? -ENOMEM : -ENODEV);
                CHECK_HAS(yoke_device_error(t.dev), i ? "CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)" : "CL_OUT_OF_RESOURCES (-5)");
                if (i) { /* told once, and the stream goes on */
                    put_trip(&t);
                    CHECK_INT(yoke_stream_wait(t.s), 0);
                    CHECK(memcmp(t.up, t.down, sizeof t.up) == 0);
                }
                end_trip(&t);
            }
}

/* No time is the right one: whoever has waited finds what he waited for. */
TEST(a_copy_that_ends_late_is_waited_for)
{
    use_fake(0);
    for (int how = 0; how < WAYS; how++) {
        trip t;
        begin_trip(&t);
        fake.late(2, 0);
        put_trip(&t);
        CHECK_INT(wait_by(&t, how), 0);
        CHECK(memcmp(t.up, t.down, sizeof t.up) == 0);
        end_trip(&t);
    }
}

/* More than a stream keeps events of; the first has failed by then, or ends last. */
TEST(many_copies_under_way)
{
    use_fake(0);
    for (int k = 0; k < 100; k += 3) {
        trip t;
        begin_trip(&t);
        fake.late(k, k % 2 ? -4 : 0);
        for (int i = 0; i < 50; i++)
            put_trip(&t);
        CHECK_INT(yoke_stream_wait(t.s), k % 2 ? -ENOMEM : 0);
        end_trip(&t);
    }
}

/* What arrays read back goes the same way. */
TEST(an_array_that_was_not_read_is_told)
{
    use_fake(0);
    yoke_device *dev = yoke_device_open("opencl:0");
    yoke_stream *s = yoke_stream_open(dev);
    int ones[N], got[N] = {0};
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    yoke_array *a = yoke_array_from(s, YOKE_I32, yoke_shape(N), ones);
    fake.late(1, -6);
    CHECK_INT(yoke_array_get(a, got, sizeof got), -ENOMEM);
    CHECK_HAS(yoke_device_error(dev), "CL_OUT_OF_HOST_MEMORY (-6)");
    CHECK_INT(yoke_array_get(a, got, sizeof got), 0);
    CHECK_INT(got[N - 1], 1);
    fake.late(0, 0);
    yoke_array_free(a);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(fake.live(), 0);
}

/* ---- Devices of other kinds ---- */

/* More words in their names than are looked through for one that is near. */
TEST(many_devices)
{
    use_fake(FAKE_MANY);
    CHECK(yoke_device_count() >= 64);
    yoke_device *dev = yoke_device_open("opencl:pocll");
    CHECK_INT(yoke_device_status(dev), -ENOENT);
    CHECK_HAS(yoke_device_error(dev), "no OpenCL device has \"pocll\" in its name: did you mean \"pocl\"?");
    yoke_device_close(dev);
    dev = yoke_device_open("opencl:63");
    CHECK_INT(yoke_device_status(dev), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(memory_of_its_own)
{
    use_fake(FAKE_GPU | FAKE_PCI);
    scene c = {0};
    CHECK_INT(run_scene(&c), 0);
    const yoke_device_info *info = yoke_device_about(c.dev);
    CHECK(info->is_gpu);
    CHECK_STR(info->pci, "0000:c1:02.1");
    CHECK_INT(c.pinned[0], 1);
    end_scene(&c);
    CHECK_INT(fake.live(), 0);
    yoke_device *dev = yoke_device_open("gpu");
    CHECK_STR(yoke_device_about(dev)->driver, *yoke_driver_error("cuda") ? "opencl" : "cuda");
    CHECK_INT(yoke_device_close(dev), 0);
}

static void open_in_child(void)
{
    unsetenv("YOKE_DEVICE");
    yoke_device *dev = yoke_device_open("opencl:0");
    CHECK_INT(yoke_device_status(dev), -ECHILD);
    CHECK_HAS(yoke_device_error(dev), "OpenCL: it was opened before fork(), and its threads are the parent's");
    yoke_device_close(dev);
    CHECK_HAS(yoke_driver_error("opencl"), "before fork()");
    dev = yoke_device_open(NULL); /* not the GPU that it has no more */
    CHECK_STR(yoke_device_error(dev), "");
    CHECK_STR(yoke_device_about(dev)->driver, *yoke_driver_error("cuda") ? "cpu" : "cuda");
    yoke_device_close(dev);
    _exit(0);
}

TEST(a_child_does_without)
{
    use_fake(FAKE_GPU);
    CHECK(yoke_device_count() >= 2);
    child_end end = in_child(open_in_child);
    CHECK_STR(end.text, "");
    CHECK_INT(end.status, 0);
}

static int *of_device;
static void touch(void)
{
    *(volatile int *)of_device = 1;
}

TEST(the_host_cannot_touch_it)
{
    use_fake(FAKE_GPU);
    yoke_device *dev = yoke_device_open("opencl:0");
    of_device = yoke_device_alloc(dev, 5000);
    CHECK(of_device);
    child_end end = in_child(touch);
    CHECK(died_of(&end, SIGSEGV));
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(all_memory_of_the_host)
{
    use_fake(FAKE_SHARES);
    yoke_device *dev = yoke_device_open("opencl:0");
    CHECK(yoke_device_about(dev)->shares_host_memory);
    yoke_stream *s = yoke_stream_open(dev);
    yk_image *image = build(dev, text);
    yk_function f = function_of(dev, image, "copy");
    int from[N], to[N] = {0}, *x = from, *y = to + 1, n = N - 1;
    for (int i = 0; i < N; i++)
        from[i] = i;
    const yk_kernel_arg args[] = {MEMORY(x), MEMORY(y), VALUE(n)};
    launch(s, &f, 4, 64, args, 3);
    CHECK_INT(yoke_stream_wait(s), 0);
    CHECK_INT(to[0], 0);
    for (int i = 1; i < N; i++)
        CHECK_INT(to[i], i - 1);
    fake.fail("SetKernelArgSVMPointer", 1, -50);
    yk_error e = {.text = ""};
    CHECK_INT(launch_shaped(s, &f, (yk_shape){.groups = {4, 1, 1}, .group = {64, 1, 1}}, args, 3, &e), -EINVAL);
    CHECK_HAS(e.text, "argument 1 of 3 for 5 parameters: CL_INVALID_ARG_VALUE (-50)");
    dev->driver->unload(dev, image);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(fake.live(), 0);
}
