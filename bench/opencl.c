/* opencl.c - what yoke adds to OpenCL on the host: launches of a kernel with four arguments, through the driver's table
 * and through yoke_enqueue(), beside the raw calls (clSetKernelArg for each parameter, clEnqueueNDRangeKernel) on a
 * queue of their own; the same with calls that do nothing, so that only yoke is left; and copies beside memcpy(). */
#include "bench.h"
#include "gpu/opencl.h"
#include <yoke/kernel.h>

enum { BATCH = 200, N = 64, COPY = 16 << 20 };

YOKE_KERNEL(axpb, ((in, float, x), (out, float, y), (val, float, a), (val, int, b)), y[i] = a * x[i] + (float)b;)

static const char text[] =
    "__kernel void raw(__global const float *x, ulong x_at, __global float *y, ulong y_at, float a, int b)\n"
    "{ long i = get_global_id(0); y[y_at / 4 + i] = a * x[x_at / 4 + i] + b; }\n";

typedef struct bench {
    yoke_device *dev;
    yoke_stream *s;
    yk_function f;
    void *queue, *kernel;
    float *x, *y;
} bench;

static void launch_raw(const bench *b, float a, int c)
{
    const yk_span *x = yk_span_of(b->x), *y = yk_span_of(b->y);
    const uint64_t x_at = 0, y_at = 0;
    const size_t n = N;
    int32_t code = yk_cl.SetKernelArg(b->kernel, 0, sizeof(void *), &x->native);
    code |= yk_cl.SetKernelArg(b->kernel, 1, sizeof x_at, &x_at);
    code |= yk_cl.SetKernelArg(b->kernel, 2, sizeof(void *), &y->native);
    code |= yk_cl.SetKernelArg(b->kernel, 3, sizeof y_at, &y_at);
    code |= yk_cl.SetKernelArg(b->kernel, 4, sizeof a, &a);
    code |= yk_cl.SetKernelArg(b->kernel, 5, sizeof c, &c);
    code |= yk_cl.EnqueueNDRangeKernel(b->queue, b->kernel, 1, NULL, &n, &n, 0, NULL, NULL);
    BENCH_CHECK(code == 0);
}

static void launch_table(const bench *b, float a, int c)
{
    const yk_kernel_arg args[] = {{&b->x, sizeof b->x, true, yk_span_of(b->x)},
                                  {&b->y, sizeof b->y, true, yk_span_of(b->y)},
                                  {&a, sizeof a, false, NULL},
                                  {&c, sizeof c, false, NULL}};
    const yk_shape shape = {.groups = {1, 1, 1}, .group = {N, 1, 1}};
    yk_error e;
    BENCH_CHECK(b->dev->driver->launch(b->s, &b->f, &shape, args, 4, &e) == 0);
}

static void launch_public(const bench *b, float a, int c)
{
    BENCH_CHECK(yoke_enqueue(b->s, axpb, N, b->x, b->y, a, c) == 0);
}

/* ns for each launch of a batch; what the device does then is not counted. */
static double batch(const bench *b, void (*launch)(const bench *b, float a, int c), bool check)
{
    float out[N];
    double start = bench_now();
    for (int i = 0; i < BATCH; i++)
        launch(b, 2, i);
    double took = (bench_now() - start) / BATCH;
    if (!check)
        return took;
    yk_cl.Finish(b->queue);
    BENCH_CHECK(yoke_stream_copy(b->s, out, b->y, sizeof out) == 0 && yoke_stream_wait(b->s) == 0);
    for (int i = 0; i < N; i++)
        BENCH_CHECK(out[i] == 2.0f * (float)i + BATCH - 1);
    return took;
}

static void compare(const char *title, const bench *b, bool check)
{
    static samples raw, table, public;
    raw.n = table.n = public.n = 0;
    for (int i = bench_rounds(100); i > 0; i--) {
        sample(&raw, batch(b, launch_raw, check));
        sample(&table, batch(b, launch_table, check));
        sample(&public, batch(b, launch_public, check));
    }
    head(title);
    row("raw calls", &raw, 1, "ns");
    row("the driver's table", &table, 1, "ns");
    row("yoke_enqueue", &public, 1, "ns");
}

static void copies(const bench *b)
{
    static samples up, down, plain;
    char *host = malloc(COPY), *other = malloc(COPY), *memory = yoke_device_alloc(b->dev, COPY);
    BENCH_CHECK(host && other && memory);
    memset(host, 1, COPY);
    memset(other, 0, COPY);
    for (int i = bench_rounds(20); i > 0; i--) {
        double t = bench_now();
        BENCH_CHECK(yoke_stream_copy(b->s, memory, host, COPY) == 0 && yoke_stream_wait(b->s) == 0);
        sample(&up, COPY / (bench_now() - t));
        t = bench_now();
        BENCH_CHECK(yoke_stream_copy(b->s, other, memory, COPY) == 0 && yoke_stream_wait(b->s) == 0);
        sample(&down, COPY / (bench_now() - t));
        BENCH_CHECK(memcmp(host, other, COPY) == 0);
        t = bench_now();
        memcpy(other, host, COPY);
        sample(&plain, COPY / (bench_now() - t));
    }
    head("16 MiB");
    row("to the device", &up, 1, "GB/s");
    row("from the device", &down, 1, "GB/s");
    row("memcpy", &plain, 1, "GB/s");
    free(host);
    free(other);
}

static void open_raw(bench *b)
{
    yk_cl_device *c = b->dev->native;
    const char *source = text;
    yk_image *image;
    yk_error e;
    int32_t code = 0;
    BENCH_CHECK(b->dev->driver->build(b->dev, text, "", "raw", &image, NULL, &e) == 0);
    BENCH_CHECK(b->dev->driver->function(image, "raw", &b->f, &e) == 0);
    void *program = yk_cl.CreateProgramWithSource(c->context, 1, &source, NULL, &code);
    BENCH_CHECK(program && yk_cl.BuildProgram(program, 1, &c->id, "-cl-std=CL1.2", NULL, NULL) == 0);
    b->kernel = yk_cl.CreateKernel(program, "raw", &code);
    b->queue = yk_cl.CreateCommandQueue(c->context, c->id, YK_CL_QUEUE_PROFILING, &code);
    BENCH_CHECK(b->kernel && b->queue);
}

static int32_t no_argument(void *kernel, uint32_t i, size_t size, const void *value)
{
    return 0;
}

static int32_t no_launch(void *queue, void *kernel, uint32_t dims, const size_t *offset, const size_t *global,
                         const size_t *local, uint32_t n, void *const *after, void **event)
{
    return 0;
}

int main(void)
{
    bench b = {.dev = yoke_device_open("opencl:0")};
    if (yoke_device_status(b.dev) < 0) {
        printf("%s\n", yoke_device_error(b.dev));
        return 0;
    }
    printf("%s\n", yoke_device_about(b.dev)->name);
    float in[N];
    for (int i = 0; i < N; i++)
        in[i] = (float)i;
    b.s = yoke_stream_open(b.dev);
    b.x = yoke_device_alloc(b.dev, sizeof in);
    b.y = yoke_device_alloc(b.dev, sizeof in);
    BENCH_CHECK(yoke_stream_copy(b.s, b.x, in, sizeof in) == 0);
    open_raw(&b);
    compare("a launch, four arguments", &b, true);
    yk_cl_table all = yk_cl;
    yk_cl.SetKernelArg = no_argument;
    yk_cl.EnqueueNDRangeKernel = no_launch;
    compare("a launch, when OpenCL does nothing", &b, false);
    yk_cl = all;
    copies(&b);
    return 0;
}
