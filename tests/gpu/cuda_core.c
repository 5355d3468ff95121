/* cuda_core.c - the library's own calls over the CUDA driver that is none: names of devices, memory and its reuse,
 * streams and events, kernels; every call of the driver fails once; a device that is lost, and opened again. */
#include "cuda_run.h"
#include <errno.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(scale_it, ((val, float, factor), (inout, float, x)), x[i] *= factor;)

static fake_cuda *the_fake;

/* Its parameters: where to begin and end, n, and those that were named. */
static const size_t scale_sizes[] = {8, 8, 8, 4, 8, 0};
static void scale_them(const fake_launch *l)
{
    long from = *(long *)l->args[0], to = *(long *)l->args[1];
    float factor = *(float *)l->args[3], *x = *(float **)l->args[4];
    for (long i = from; i < to; i++)
        x[i] *= factor;
}

static fake_cuda *use_it(void)
{
    the_fake = fake_use("fake-cuda");
    add_kernels(the_fake);
    the_fake->kernel("kernel_scale_it", scale_them, scale_sizes);
    return the_fake;
}

TEST(devices_are_named)
{
    static const struct {
        const char *uri, *is;
        int status;
    } cases[] = {{"cuda", "cuda:0", 0},      {"cuda:1", "cuda:1", 0},     {"gpu", "cuda:0", 0},
                 {"cuda:B100", "cuda:1", 0}, {"cuda:2", "", -ENOENT},     {"cuda:nothing", "", -ENOENT},
                 {NULL, "cuda:0", 0},        {"cuda:GPU-00", "cuda:0", 0}};
    fake_cuda *f = use_it();
    f->devices = 2;
    unsetenv("YOKE_DEVICE");
    CHECK_STR(yoke_driver_error("cuda"), "");
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        yoke_device *dev = yoke_device_open(cases[i].uri);
        CHECK_INT(yoke_device_status(dev), cases[i].status);
        CHECK_STR(yoke_device_about(dev)->uri, cases[i].is);
        CHECK_INT(yoke_device_close(dev), cases[i].status);
    }
    yoke_device_info about;
    CHECK_INT(yoke_device_at(1, &about), 0);
    CHECK_STR(about.uri, "cuda:1");
    check_nothing_left(f);
}

TEST(without_a_driver_the_reason_is_told)
{
    setenv("YOKE_CUDA_DRIVER", "/nonexistent/libcuda.so.1", 1);
    CHECK_HAS(yoke_driver_error("cuda"), "cuda: no driver: /nonexistent");
    yoke_device *dev = yoke_device_open("cuda:0");
    CHECK_INT(yoke_device_status(dev), -ENODEV);
    CHECK_HAS(yoke_device_error(dev), "cuda: no driver: /nonexistent");
    CHECK_INT(yoke_device_close(dev), -ENODEV);
    dev = yoke_device_open("cuda,cpu");
    CHECK_INT(yoke_device_status(dev), 0);
    CHECK_STR(yoke_device_about(dev)->driver, "cpu");
    CHECK_INT(yoke_device_close(dev), 0);
}

/* There, but not to be opened: then the next is tried. */
TEST(the_first_that_can_be_opened)
{
    static const struct {
        const char *uri, *is;
        int k;
    } cases[] = {{"cuda:0,cpu", "cpu", 1}, {"cuda:0,cuda:1", "cuda:1", 1}, {"gpu", "cuda:1", 1}, {NULL, "cuda:1", 1},
                 {"gpu,cpu:2", "cuda:0", 2}};
    fake_cuda *f = use_it();
    f->devices = 2;
    unsetenv("YOKE_DEVICE");
    CHECK_STR(yoke_driver_error("cuda"), "");
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        f->fail("cuDevicePrimaryCtxRetain", cases[i].k, 2);
        yoke_device *dev = yoke_device_open(cases[i].uri);
        CHECK_STR(yoke_device_error(dev), "");
        CHECK_STR(yoke_device_about(dev)->uri, cases[i].is);
        yoke_stream *s = yoke_stream_open(dev);
        CHECK(yoke_stream_alloc(s, 100));
        CHECK_INT(yoke_device_close(dev), 0);
    }
    f->fail("cuDevicePrimaryCtxRetain", 1, 2);
    yoke_device *dev = yoke_device_open("cuda:0,cuda:9,nothing");
    CHECK_INT(yoke_device_status(dev), -ENOMEM);
    CHECK_HAS(yoke_device_error(dev), "cuda: opening device 0: cuDevicePrimaryCtxRetain: ");
    CHECK_STR(yoke_device_about(dev)->uri, "");
    CHECK_INT(yoke_device_close(dev), -ENOMEM);
    check_nothing_left(f);
}

/* Memory, streams, events: x goes up, across and down, and is filled. 0 or the first error. */
static int go_through(yoke_device *dev)
{
    static float here[256], there[256]; /* a stream may write there yet when the device is lost and the call has returned */
    double one = 1.5;
    int err = -ENOMEM;
    int64_t ns = -1;
    yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(dev);
    yoke_stream_event *v = yoke_stream_event_open(dev), *w = yoke_stream_event_open(dev);
    float *x = yoke_device_alloc(dev, sizeof here), *pinned = yoke_pinned_alloc(dev, sizeof here);
    float *y = s ? yoke_stream_alloc(s, sizeof here) : NULL;
    for (int i = 0; i < 256; i++)
        here[i] = (float)i;
    if (s && t && v && w && x && y && pinned) {
        err = yoke_stream_mark(s, v);
        err = err < 0 ? err : yoke_stream_copy(s, x, here, sizeof here);
        err = err < 0 ? err : yoke_stream_copy(s, y, x, sizeof here);
        err = err < 0 ? err : yoke_stream_mark(s, w);
        err = err < 0 ? err : yoke_stream_after(t, w);
        err = err < 0 ? err : yoke_stream_copy(t, pinned, y, sizeof here);
        err = err < 0 ? err : yoke_stream_copy(t, there, pinned, sizeof here);
        err = err < 0 ? err : yoke_stream_fill(t, y, &one, sizeof one, 128);
        err = err < 0 ? err : yoke_enqueue(t, scale_it, 256, 2.0f, y);
        err = err < 0 ? err : yoke_stream_wait(t);
        err = err < 0 ? err : yoke_stream_elapsed(v, w, &ns);
        CHECK(err < 0 || (ns >= 0 && memcmp(here, there, sizeof here) == 0));
    }
    if (s)
        yoke_stream_free(s, y);
    yoke_device_free(dev, x);
    yoke_pinned_free(dev, pinned);
    yoke_stream_event_close(v);
    yoke_stream_event_close(w);
    int late = yoke_stream_close(s);
    return err < 0 ? err : late;
}

TEST(everything_goes_through)
{
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    for (int i = 0; i < 20; i++)
        CHECK_INT(go_through(dev), 0);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(dev, &stats), 0);
    CHECK_INT(stats.blocks, 0);
    CHECK(stats.held > 0 && stats.reused > 30);
    CHECK_INT(f->calls("cuMemAlloc"), 2);
    CHECK_INT(yoke_device_trim(dev), 0);
    CHECK_INT(f->live().blocks, 0);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

static void fail_each(int result)
{
    fake_cuda *f = use_it();
    CHECK_STR(yoke_driver_error("cuda"), "");
    for (int k = 1;; k++) {
        f->fail(NULL, k, result);
        yoke_device *dev = yoke_device_open("cuda");
        int err = yoke_device_status(dev);
        err = err < 0 ? err : go_through(dev);
        if (err < 0)
            CHECK(strstr(yoke_device_error(dev), "cuda: ") || strstr(yoke_device_error(dev), "cuda:0: "));
        yoke_device_close(dev);
        check_nothing_left(f);
        if (!*f->failed())
            break;
    }
}

TEST(every_call_may_fail)
{
    fail_each(1);
}

TEST(memory_may_run_out_at_every_call)
{
    fail_each(2);
}

TEST(the_device_may_be_lost_at_every_call)
{
    fail_each(700);
}

static void die(const fake_launch *l)
{
    (void)l;
    the_fake->fault(700);
}

TEST(a_kernel_runs)
{
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev);
    float here[100], *x = yoke_device_alloc(dev, sizeof here);
    for (int i = 0; i < 100; i++)
        here[i] = (float)i;
    CHECK_INT(yoke_stream_copy(s, x, here, sizeof here), 0);
    if (yoke_enqueue(s, scale_it, 100, 3.0f, x) < 0)
        test_fail(__FILE__, __LINE__, "%s", yoke_device_error(dev));
    CHECK_INT(yoke_stream_copy(s, here, x, sizeof here), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (int i = 0; i < 100; i++)
        CHECK(here[i] == 3 * (float)i);
    CHECK_INT(yoke_enqueue(s, scale_it, 100, 3.0f, here), -EFAULT);
    yoke_device_free(dev, x);
    yoke_stream_close(s);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

TEST(a_kernel_that_dies_is_named)
{
    fake_cuda *f = use_it();
    f->kernel("kernel_scale_it", die, scale_sizes);
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev);
    float *x = yoke_device_alloc(dev, 400);
    CHECK_INT(yoke_enqueue(s, scale_it, 100, 3.0f, x), 0);
    CHECK_INT(yoke_stream_wait(s), -ENODEV);
    CHECK_HAS(yoke_device_error(dev), "CUDA_ERROR_ILLEGAL_ADDRESS");
    CHECK_HAS(yoke_device_error(dev), "(last kernels, newest first: scale_it)");
    CHECK_INT(yoke_device_status(dev), -ENODEV);
    CHECK_INT(yoke_enqueue(s, scale_it, 100, 3.0f, x), -ENODEV);
    CHECK(yoke_device_alloc(dev, 4) == NULL);
    yoke_device_free(dev, x);
    yoke_stream_close(s);
    CHECK_INT(yoke_device_close(dev), -ENODEV);
    check_nothing_left(f);
    f->kernel("kernel_scale_it", scale_them, scale_sizes);
    dev = yoke_device_open("cuda");
    CHECK_INT(go_through(dev), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

/* Who waits for an event hears too which kernels were before it, though the stream is closed. */
TEST(an_event_names_the_kernels_before_it)
{
    static const char *const ways[] = {"wait", "try", "elapsed"};
    fake_cuda *f = use_it();
    f->kernel("kernel_scale_it", die, scale_sizes);
    for (size_t i = 0; i < YK_COUNT_OF(ways); i++) {
        yoke_device *dev = yoke_device_open("cuda");
        yoke_stream *s = yoke_stream_open(dev);
        yoke_stream_event *v = yoke_stream_event_open(dev), *w = yoke_stream_event_open(dev);
        float *x = yoke_device_alloc(dev, 400);
        int64_t ns;
        int err = -EAGAIN;
        f->hold(true);
        CHECK_INT(yoke_stream_mark(s, v), 0);
        CHECK_INT(yoke_enqueue(s, scale_it, 100, 3.0f, x), 0);
        CHECK_INT(yoke_stream_mark(s, w), 0);
        f->hold(false);
        while (err == -EAGAIN)
            err = i == 0 ? yoke_stream_event_wait(w) : i == 1 ? yoke_stream_event_try(w) : yoke_stream_elapsed(v, w, &ns);
        CHECK_INT(err, -ENODEV);
        CHECK_HAS(yoke_device_error(dev), "(last kernels, newest first: scale_it)");
        yoke_stream_event_close(v);
        yoke_stream_event_close(w);
        CHECK_INT(yoke_device_close(dev), -ENODEV);
        check_nothing_left(f);
    }
}

TEST(a_kernel_that_dies_is_told_at_the_latest_when_the_device_is_closed)
{
    fake_cuda *f = use_it();
    f->kernel("kernel_scale_it", die, scale_sizes);
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(dev);
    float *x = yoke_device_alloc(dev, 400);
    f->hold(true);
    CHECK_INT(yoke_enqueue(s, scale_it, 100, 3.0f, x), 0);
    CHECK_INT(yoke_stream_try(t), 0);
    f->hold(false);
    CHECK_INT(yoke_device_close(dev), -ENODEV);
    check_nothing_left(f);
}

/* ---- While others wait ---- */

static void *trim(void *arg)
{
    CHECK_INT(yoke_device_trim(arg), 0);
    return NULL;
}

static void *want_memory(void *arg)
{
    CHECK(yoke_device_alloc(arg, 3000)); /* what was free before, when the stream has come past it */
    return NULL;
}

/* A thread waits for a stream that stands still; the device and its memory are the others' to use meanwhile. */
static void use_beside(void *(*waiting)(void *dev), const char *fails)
{
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(dev);
    char *x = yoke_stream_alloc(s, 3000), host[3000] = "";
    f->hold(true);
    CHECK_INT(yoke_stream_copy(s, x, host, sizeof host), 0);
    yoke_stream_free(s, x);
    f->fail(fails, fails != NULL, 2);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, waiting, dev), 0);
    while (f->calls("cuEventSynchronize") == 0)
        usleep(1000);
    CHECK_STR(yoke_device_error(dev), "");
    void *y = yoke_stream_alloc(t, 100);
    CHECK(y != NULL);
    if (!fails) { /* free again, but after the wait has begun */
        CHECK(yoke_stream_alloc(s, 3000) == x);
        CHECK_INT(yoke_stream_copy(s, x, host, sizeof host), 0);
        yoke_stream_free(s, x);
    }
    CHECK_INT(yoke_stream_copy(t, y, host, 100), 0);
    CHECK_INT(yoke_stream_try(t), -EAGAIN);
    yoke_stream_free(t, y);
    f->hold(false);
    pthread_join(thread, NULL);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

TEST_LIMIT(a_trim_does_not_hold_others_up, 30)
{
    use_beside(trim, NULL);
}

TEST_LIMIT(want_of_memory_does_not_hold_others_up, 30)
{
    use_beside(want_memory, "cuMemAlloc");
}

/* ---- Kernels of modules, which come and go ---- */

/* What a constructor and a destructor of a module would do: another kernel, of the same text. */
static void module_open(yoke_kernel *k, char *name)
{
    *k = yoke_kernel_scale_it;
    k->name = name;
    k->call = NULL;
    yk_kernel_add(k);
}

static int module_enqueue(yoke_stream *s, yoke_kernel *k, float *x)
{
    struct {
        long n;
        float factor;
        float *x;
    } args = {100, 3.0f, x};
    return yk_enqueue(s, k, &args);
}

TEST(a_module_that_is_closed_takes_its_images_along)
{
    fake_cuda *f = use_it();
    yoke_device *devs[2] = {yoke_device_open("cuda"), yoke_device_open("cuda")};
    static yoke_kernel k;
    char name[] = "scale_it";
    float here[100] = {[99] = 1};
    for (int round = 0; round < 20; round++) {
        module_open(&k, name);
        for (int i = 0; i < 2; i++) {
            yoke_stream *s = yoke_stream_open(devs[i]);
            float *x = yoke_device_alloc(devs[i], sizeof here);
            CHECK_INT(yoke_stream_copy(s, x, here, sizeof here), 0);
            CHECK_INT(module_enqueue(s, &k, x), 0);
            CHECK_INT(yoke_stream_copy(s, here, x, sizeof here), 0);
            CHECK_INT(yoke_stream_close(s), 0);
            yoke_device_free(devs[i], x);
        }
        CHECK(here[99] == 9);
        here[99] = 1;
        CHECK_INT(f->live().modules, 2);
        yk_kernel_remove(&k);
        CHECK_INT(f->live().modules, 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK_INT(yoke_device_close(devs[i]), 0);
    check_nothing_left(f);
}

/* As many as there can be, and one more, which is refused before anything is compiled. */
/* It is not closed under a kernel that runs, whatever the driver would do then. */
TEST(a_module_is_not_closed_under_a_kernel)
{
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev);
    static yoke_kernel k;
    char name[] = "scale_it";
    float *x = yoke_device_alloc(dev, 400);
    module_open(&k, name);
    CHECK_INT(module_enqueue(s, &k, x), 0);
    f->fail(NULL, 0, 0);
    yk_kernel_remove(&k);
    CHECK_INT(f->calls("cuModuleUnload"), 1);
    CHECK(f->calls("cuEventQuery") >= 1);
    module_open(&k, name);
    f->fail(NULL, 0, 0);
    yk_kernel_remove(&k); /* nothing was built: nobody waits */
    CHECK_INT(f->calls(NULL), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

TEST(numbers_of_kernels_are_given_again)
{
    enum { MOST = 16384 };
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev);
    float *x = yoke_device_alloc(dev, 400);
    yoke_kernel *all = calloc(MOST, sizeof *all);
    char name[] = "scale_it";
    f->fail(NULL, 0, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MOST; i++) /* with those of this program too many */
            module_open(&all[i], name);
        CHECK_INT(module_enqueue(s, &all[MOST - 1], x), -ENOSPC);
        CHECK_STR(yoke_device_error(dev), "kernel scale_it: there are 16384 kernels already: close modules");
        CHECK_INT(f->calls("nvrtcCompileProgram"), round);
        CHECK_INT(yoke_stream_wait(s), -ENOSPC); /* it keeps what it refused */
        CHECK_INT(module_enqueue(s, &all[0], x), 0);
        CHECK_INT(yoke_stream_wait(s), 0);
        for (int i = MOST; i-- > 0;)
            yk_kernel_remove(&all[i]);
        CHECK_INT(f->live().modules, 0);
    }
    CHECK_INT(yoke_enqueue(s, scale_it, 100, 1.0f, x), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    free(all);
    check_nothing_left(f);
}

TEST(a_kernel_whose_module_is_closed_is_named)
{
    fake_cuda *f = use_it();
    f->kernel("kernel_scale_it", die, scale_sizes);
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev);
    float *x = yoke_device_alloc(dev, 400);
    yoke_kernel *k = malloc(sizeof *k);
    char *name = strdup("scale_it");
    module_open(k, name);
    CHECK_INT(module_enqueue(s, k, x), 0);
    memset(name, '#', strlen(name));
    free(name);
    CHECK_INT(yoke_stream_wait(s), -ENODEV);
    CHECK_HAS(yoke_device_error(dev), "(last kernels, newest first: scale_it)");
    yk_kernel_remove(k);
    free(k);
    yoke_device_close(dev);
    check_nothing_left(f);
}
