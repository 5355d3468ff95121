/* refused.c - calls that a stream refuses: who looks at nothing but the wait is told of the first of them, once, and of nothing
 * that was no call of his. On every device of this machine and on the CUDA driver that is none. */
#include "cuda_run.h"
#include "gpu/gpu.h"
#include "kernel_try.h"
#include <yoke.h>
#include <yoke/array.h>
#include <yoke/kernel.h>
#include <yoke/primitive.h>
#include <yoke/source.h>

YOKE_KERNEL(bump, ((inout, int32_t, x)), x[i] += 1;)
YOKE_REDUCTION(int32_t, add_up, (0), a + b, x[i], ((in, int32_t, x)));

enum { N = 100, BYTES = N * 4 };
static fake_cuda *the_fake;

static void bumps(const fake_launch *l)
{
    long n = *(long *)l->args[1] - *(long *)l->args[0];
    int32_t *x = *(int32_t **)l->args[3];
    for (long i = 0; i < n; i++)
        x[i]++;
}

static void dies(const fake_launch *l)
{
    the_fake->fault(700);
}

static void use_the_fake(void)
{
    the_fake = fake_use("fake-cuda");
    add_kernels(the_fake);
    the_fake->kernel("kernel_bump", bumps, (size_t[]){8, 8, 8, 8, 0});
    the_fake->kernel("dies", dies, (size_t[]){8, 0});
}

/* body on every device, and then everything works. */
static void on_all(void (*body)(yoke_device *dev, yoke_stream *s))
{
    use_the_fake();
    unsigned used = 0;
    yoke_device_info info;
    for (unsigned i = 0; yoke_device_at(i, &info) == 0; i++) {
        yoke_device *dev = yoke_device_open(info.uri);
        yoke_stream *s = yoke_stream_open(dev);
        if (!s)
            continue;
        body(dev, s);
        int32_t got[N] = {0}, *x = up(s, got, BYTES);
        DONE(s, yoke_enqueue(s, bump, N, x));
        down(s, got, x, BYTES);
        CHECK_INT(got[N - 1], 1);
        CHECK_INT(yoke_stream_close(s), 0);
        CHECK_INT(yoke_device_close(dev), 0);
        used++;
    }
    CHECK(used >= 2);
    check_nothing_left(the_fake);
}

/* Three calls that are refused, for two reasons. */
static void refuse_three(yoke_device *dev, yoke_stream *s)
{
    char byte = 0;
    CHECK_INT(yoke_stream_copy(s, NULL, &byte, 1), -EINVAL);
    CHECK_INT(yoke_stream_fill(s, &byte, "abc", 3, 1), -EINVAL);
    CHECK_INT(yoke_enqueue(s, bump, SIZE_MAX, (int32_t *)(void *)s), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "n is -1, and should be 0 or more");
}

/* ---- Who tells ---- */

static void wait_tells(yoke_device *dev, yoke_stream *s)
{
    int32_t got[N] = {0}, *x = up(s, got, BYTES);
    for (int round = 0; round < 2; round++) {
        refuse_three(dev, s);
        DONE(s, yoke_stream_copy(s, got, x, BYTES)); /* and others are not */
        CHECK_INT(yoke_stream_wait(s), -EINVAL);
        CHECK_HAS(yoke_device_error(dev), "the address is NULL");
        CHECK_INT(yoke_stream_wait(s), 0);
        CHECK_INT(yoke_stream_try(s), 0);
    }
    yoke_device_free(dev, x);
}

TEST(a_wait_tells_of_the_first_once)
{
    on_all(wait_tells);
}

static void try_tells(yoke_device *dev, yoke_stream *s)
{
    refuse_three(dev, s);
    CHECK_INT(yoke_stream_try(s), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "the address is NULL");
    CHECK_INT(yoke_stream_try(s), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
}

TEST(a_try_tells_too)
{
    on_all(try_tells);
}

TEST(a_try_of_a_busy_stream_does_not)
{
    use_the_fake();
    yoke_device *dev = yoke_device_open("cuda:0");
    yoke_stream *s = yoke_stream_open(dev);
    int32_t value = 1, *x = yoke_device_alloc(dev, BYTES);
    the_fake->hold(true);
    DONE(s, yoke_stream_fill(s, x, &value, 4, N));
    refuse_three(dev, s);
    CHECK_INT(yoke_stream_try(s), -EAGAIN);
    CHECK_INT(yoke_stream_try(s), -EAGAIN);
    the_fake->hold(false);
    int err;
    while ((err = yoke_stream_try(s)) == -EAGAIN)
        usleep(100);
    CHECK_INT(err, -EINVAL);
    CHECK_INT(yoke_stream_try(s), 0);
    yoke_device_free(dev, x);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(the_fake);
}

static void close_tells(yoke_device *dev, yoke_stream *s)
{
    yoke_stream *other = yoke_stream_open(dev);
    refuse_three(dev, other);
    CHECK_INT(yoke_stream_wait(s), 0); /* another stream's */
    CHECK_INT(yoke_stream_close(other), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "the address is NULL");
    yoke_device *again = yoke_device_open(yoke_device_about(dev)->uri);
    yoke_stream *left = yoke_stream_open(again), *well = yoke_stream_open(again);
    CHECK(well != NULL);
    refuse_three(again, left);
    CHECK_INT(yoke_device_close(again), -EINVAL); /* with its streams */
}

TEST(closing_tells)
{
    on_all(close_tells);
}

/* ---- Of what ---- */

/* One call that is refused, and then the wait says the same. */
#define REFUSED(CALL, CODE, TEXT)                                                                                        \
    do {                                                                                                                 \
        CHECK_INT(CALL, CODE);                                                                                           \
        CHECK_HAS(yoke_device_error(dev), TEXT);                                                                         \
        char said[500];                                                                                                  \
        snprintf(said, sizeof said, "%s", yoke_device_error(dev));                                                       \
        CHECK(!yoke_device_alloc(dev, SIZE_MAX)); /* another error, which is no call of the stream */                    \
        CHECK_INT(yoke_stream_wait(s), CODE);                                                                            \
        CHECK_STR(yoke_device_error(dev), said);                                                                         \
        CHECK_INT(yoke_stream_wait(s), 0);                                                                               \
    } while (0)

static void every_kind(yoke_device *dev, yoke_stream *s)
{
    yoke_device *third = yoke_device_open("cpu:3");
    yoke_stream_event *v = yoke_stream_event_open(third);
    yoke_stream *o = yoke_stream_open(third);
    int32_t *x = yoke_device_alloc(dev, BYTES), *none = NULL, host[N] = {0};
    uint64_t *kept = yoke_device_alloc(dev, 8);
    float *f = (float *)x;
    CHECK_INT(yoke_stream_mark(o, v), 0);
    REFUSED(yoke_stream_copy(s, x, host, BYTES * 1000), -EINVAL, "reach beyond their block");
    REFUSED(yoke_stream_fill(s, x, "abc", 3, 1), -EINVAL, "1, 2, 4, 8 or 16");
    REFUSED(yoke_stream_mark(s, v), -EINVAL, "the event belongs to cpu:3");
    REFUSED(yoke_stream_after(s, v), -EINVAL, "the event belongs to cpu:3");
    REFUSED(yoke_enqueue(s, bump, SIZE_MAX, x), -EINVAL, "n is -1, and should be 0 or more");
    REFUSED(yoke_stream_sum(s, 1, none, x), -EINVAL, "sum: x is NULL");
    REFUSED(yoke_stream_sort_by(s, 1, x, none), -EINVAL, "sort: values is NULL");
    REFUSED(yoke_stream_matmul(s, 1, 1, 2, f, 1, f, 1, f, 1), -EINVAL, "a row is longer");
    REFUSED(yoke_enqueue_reduction(s, add_up, SIZE_MAX, x, x), -EINVAL, "n is -1, and should be 0 or more");
    if (!yoke_device_about(dev)->shares_host_memory) {
        REFUSED(yoke_enqueue(s, bump, N, host), -EFAULT, "is memory of the host, not of");
        REFUSED(yoke_stream_matmul(s, 1, 1, 1, (float *)host, 1, f, 1, f, 1), -EFAULT, "is memory of the host, not of");
        REFUSED(yoke_stream_unique(s, (size_t)0, x, x, (uint64_t *)(void *)host), -EFAULT, "is memory of the host, not of");
    }
    yoke_stream_free(s, (char *)x + 1); /* gives no code */
    CHECK_INT(yoke_stream_wait(s), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "not its beginning");
    yoke_device_free(dev, x);
    yoke_device_free(dev, kept);
    yoke_stream_event_close(v);
    CHECK_INT(yoke_stream_close(o), 0);
    CHECK_INT(yoke_device_close(third), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
}

TEST(every_kind_of_call)
{
    on_all(every_kind);
}

/* Of the driver and of the compiler. */
TEST(what_a_driver_refuses)
{
    use_the_fake();
    yoke_device *dev = yoke_device_open("cuda:0");
    yoke_stream *s = yoke_stream_open(dev);
    int32_t *x = yoke_device_alloc(dev, BYTES), value = 1;
    the_fake->fail("nvrtcCompileProgram", 1, 6);
    REFUSED(yoke_enqueue(s, bump, N, x), -EINVAL, "bump");
    the_fake->fail("cuMemsetD8Async", 1, 1);
    REFUSED(yoke_stream_fill(s, x, "a", 1, 4), -EINVAL, "cuMemsetD8Async");
    the_fake->fail("cuMemcpyHtoDAsync", 1, 801);
    REFUSED(yoke_stream_copy(s, x, &value, 4), -ENOTSUP, "cuMemcpyHtoDAsync");
    yoke_device_free(dev, x);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(the_fake);
}

static void no_memory(yoke_device *dev, yoke_stream *s)
{
    CHECK(yoke_stream_alloc(s, SIZE_MAX) == NULL);
    CHECK(yoke_device_alloc(dev, SIZE_MAX) == NULL);
    CHECK_HAS(yoke_device_error(dev), "more than any device has");
    CHECK_INT(yoke_stream_wait(s), 0);
    CHECK_INT(yoke_stream_try(s), 0);
}

TEST(memory_that_is_not_there_is_told_by_null)
{
    on_all(no_memory);
}

/* Its value cannot say so. */
static void reduction_fails(yoke_device *dev, yoke_stream *s)
{
    int32_t host[N], *x = up(s, NULL, BYTES), one = 1;
    DONE(s, yoke_stream_fill(s, x, &one, 4, N));
    CHECK_INT(yoke_reduction(s, add_up, SIZE_MAX, x), 0);
    CHECK_HAS(yoke_device_error(dev), "n is -1, and should be 0 or more");
    if (dev->driver != &yk_gpu_cuda) /* of which the kernel is not known */
        CHECK_INT(yoke_reduction(s, add_up, N, x), N);
    CHECK_INT(yoke_stream_wait(s), -EINVAL); /* which the second did not take away */
    CHECK_HAS(yoke_device_error(dev), "n is -1, and should be 0 or more");
    if (!yoke_device_about(dev)->shares_host_memory) {
        memset(host, 0, sizeof host);
        CHECK_INT(yoke_reduction(s, add_up, N, host), 0);
        CHECK(yoke_stream_wait(s) < 0);
    }
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_device_free(dev, x);
}

TEST(a_reduction_that_waits)
{
    on_all(reduction_fails);
}

/* An array that could not be made is NULL, which tells enough; one that is not what it should be does not tell. */
static void arrays_fail(yoke_device *dev, yoke_stream *s)
{
    const int32_t values[] = {1, 2, 3};
    int32_t got[3] = {0};
    yoke_array *a = yoke_array_from(s, YOKE_I32, yoke_shape(3), values);
    CHECK(a && !yoke_array_reshape(a, yoke_shape(2, 2)));
    CHECK_INT(yoke_array_get(a, got, sizeof got), 0);
    CHECK_INT(got[2], 3);
    CHECK_INT(yoke_array_get(a, got, 1), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "there is room for 1");
    CHECK(!yoke_array_from(s, YOKE_I32, yoke_shape(3), NULL));
    CHECK(!yoke_array_load(s, "/nonexistent.npy"));
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_array *b = yoke_array_from(s, YOKE_I32, yoke_shape(2), values);
    CHECK(yoke_array_assign(a, b) < 0);
    char said[500];
    snprintf(said, sizeof said, "%s", yoke_device_error(dev));
    CHECK(!yoke_array_reshape(a, yoke_shape(2, 2)));
    CHECK_INT(yoke_array_get(a, got, sizeof got), 0); /* which is about itself */
    CHECK_INT(yoke_stream_wait(s), -EINVAL);
    CHECK_STR(yoke_device_error(dev), said);
    CHECK(yoke_array_put(a, b, 7, b) < 0);
    CHECK_INT(yoke_stream_wait(s), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "put: axis 7");
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_array_free(a);
    yoke_array_free(b);
}

TEST(arrays_tell_by_null)
{
    on_all(arrays_fail);
}

/* ---- A device that is lost ---- */

static void lose(bool refused, const char *text)
{
    use_the_fake();
    yoke_device *dev = yoke_device_open("cuda:0");
    yoke_stream *s = yoke_stream_open(dev);
    int32_t *x = yoke_device_alloc(dev, BYTES);
    yoke_source *src = yoke_source_open(dev, "extern \"C\" __global__ void dies(float *x) { *(int *)0 = 0; }", NULL);
    if (refused)
        refuse_three(dev, s);
    DONE(s, yoke_enqueue_raw(s, yoke_source_kernel(src, "dies"), ((yoke_shape){{1}, {1}, 0}), (float *)x));
    CHECK_INT(yoke_stream_wait(s), -ENODEV);
    CHECK_HAS(yoke_device_error(dev), "CUDA_ERROR_ILLEGAL_ADDRESS");
    CHECK_HAS(yoke_device_error(dev), text);
    CHECK_INT(yoke_stream_wait(s), -ENODEV);
    CHECK_INT(yoke_stream_copy(s, NULL, NULL, 4), -ENODEV);
    yoke_source_close(src);
    CHECK_INT(yoke_stream_close(s), -ENODEV);
    CHECK_INT(yoke_device_close(dev), -ENODEV);
    check_nothing_left(the_fake);
}

TEST(a_lost_device_matters_more)
{
    lose(false, "a kernel of a source");
    lose(true, "; before that: ");
}

/* ---- Jobs ---- */

/* Each job has streams of its own: what was refused in one is not told by the next. */
TEST(the_next_job_knows_nothing_of_it)
{
    use_the_fake();
    yoke_executor *ex = yoke_open("cuda:0");
    int32_t x[N] = {0};
    the_fake->fail("cuLaunchKernel", 1, 1);
    yoke_future *f = yoke_launch(ex, bump, N, x);
    CHECK_INT(yoke_wait(f), -EINVAL);
    yoke_release(f);
    for (int i = 1; i < 4; i++) {
        f = yoke_launch(ex, bump, N, x);
        int err = yoke_wait(f);
        if (err < 0)
            test_fail(__FILE__, __LINE__, "%s", yoke_error(f));
        yoke_release(f);
        CHECK_INT(x[N - 1], i);
    }
    yoke_close(ex);
    check_nothing_left(the_fake);
}

/* ---- NULL ---- */

TEST(nothing_that_is_null_crashes)
{
    char host[8] = {0};
    int64_t ns;
    yoke_device_memory stats;
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev), *no_stream = NULL;
    yoke_stream_event *v = yoke_stream_event_open(dev), *no_event = NULL;
    CHECK_INT(yoke_stream_wait(NULL), -EINVAL);
    CHECK_INT(yoke_stream_try(NULL), -EINVAL);
    CHECK_INT(yoke_stream_close(NULL), -EINVAL);
    CHECK(yoke_stream_device(NULL) == NULL);
    CHECK_INT(yoke_stream_copy(NULL, host, host + 4, 4), -EINVAL);
    CHECK_INT(yoke_stream_fill(NULL, host, "a", 1, 4), -EINVAL);
    CHECK_INT(yoke_stream_mark(no_stream, v), -EINVAL);
    CHECK_INT(yoke_stream_mark(s, no_event), -EINVAL);
    CHECK_INT(yoke_stream_after(no_stream, v), -EINVAL);
    CHECK_INT(yoke_stream_after(s, no_event), -EINVAL);
    CHECK_INT(yoke_stream_event_wait(NULL), -EINVAL);
    CHECK_INT(yoke_stream_event_try(NULL), -EINVAL);
    CHECK_INT(yoke_stream_elapsed(no_event, v, &ns), -EINVAL);
    CHECK_INT(yoke_stream_elapsed(v, no_event, &ns), -EINVAL);
    CHECK(yoke_stream_alloc(NULL, 8) == NULL);
    yoke_stream_free(NULL, host);
    CHECK(yoke_stream_open(NULL) == NULL);
    CHECK(yoke_stream_event_open(NULL) == NULL);
    CHECK_INT(yoke_device_status(NULL), -EINVAL);
    CHECK_STR(yoke_device_error(NULL), "the device is NULL");
    CHECK_STR(yoke_device_about(NULL)->uri, "");
    CHECK_INT(yoke_device_close(NULL), 0);
    CHECK(yoke_device_alloc(NULL, 8) == NULL);
    yoke_device_free(NULL, host);
    CHECK(yoke_pinned_alloc(NULL, 8) == NULL);
    yoke_pinned_free(NULL, host);
    CHECK_INT(yoke_device_memory_stats(NULL, &stats), -EINVAL);
    CHECK_INT(yoke_device_trim(NULL), -EINVAL);
    CHECK_STR(yoke_driver_error(NULL), "no driver is named NULL");
    yoke_source *src = yoke_source_open(NULL, "", NULL);
    CHECK_INT(yoke_source_status(src), -EINVAL);
    CHECK_STR(yoke_source_log(src), "the device is NULL");
    CHECK(yoke_source_kernel(src, "f") == NULL);
    yoke_source_close(src);
    src = yoke_source_read(NULL, "/dev/null", NULL);
    CHECK_INT(yoke_source_status(src), -EINVAL);
    yoke_source_close(src);
    CHECK_INT(yoke_enqueue(no_stream, bump, 1, (int32_t *)(void *)host), -EINVAL);
    CHECK_INT(yoke_reduction(no_stream, add_up, 1, (int32_t *)(void *)host), 0);
    CHECK_INT(yoke_stream_sum(no_stream, 1, (float *)(void *)host, (float *)(void *)host), -EINVAL);
    CHECK(yoke_array_zeros(NULL, YOKE_F32, yoke_shape(2)) == NULL);
    CHECK(yoke_array_arange(NULL, YOKE_F32, 0, 1, 1) == NULL);
    CHECK(yoke_array_linspace(NULL, YOKE_F32, 0, 1, 3) == NULL);
    CHECK(yoke_array_eye(NULL, YOKE_F32, 2, 2, 0) == NULL);
    CHECK(yoke_array_from(NULL, YOKE_F32, yoke_shape(2), host) == NULL);
    CHECK(yoke_array_over(NULL, YOKE_F32, yoke_shape(2), NULL, host) == NULL);
    CHECK(yoke_array_full(NULL, YOKE_F32, yoke_shape(2), yoke_number(1)) == NULL);
    CHECK(yoke_array_load(NULL, "/dev/null") == NULL);
    CHECK(yoke_array_to(NULL, s) == NULL);
    yoke_stream_event_close(v);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}
