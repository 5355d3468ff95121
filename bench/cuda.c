/* cuda.c - what yoke adds to CUDA on the host: launches of a kernel with four arguments, through the driver's table and
 * through yoke_enqueue(), beside cuLaunchKernel() alone; the first kernel of a process from its text, with an empty cache
 * and with a full one; copies and fills of the device beside what its memory can do.
 *
 * Where there is no device the calls of the driver do nothing, so that only yoke (and the real compiler) is left. */
#include "bench.h"
#include "gpu/cuda.h"
#include <ftw.h>
#include <sys/wait.h>
#include <yoke/kernel.h>

enum { BATCH = 500, N = 64, BYTES = 256 << 20 };

YOKE_KERNEL(axpb, ((in, float, x), (out, float, y), (val, float, a), (val, int, b)), y[i] = a * x[i] + (float)b;)

static const char text[] = "extern \"C\" __global__ void raw(const float *x, float *y, float a, int b)\n"
                           "{ long i = (long)blockIdx.x * blockDim.x + threadIdx.x; y[i] = a * x[i] + b; }\n";

typedef struct bench {
    yoke_device *dev;
    yoke_stream *s;
    yk_function f;
    struct yk_cu_function *raw;
    float *x, *y;
    bool real;
} bench;

/* ---- A driver that does nothing ---- */

static int nothing_current(struct yk_cu_context **ret)
{
    *ret = NULL;
    return 0;
}

static int nothing_launch(struct yk_cu_function *f, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                          unsigned block_y, unsigned block_z, unsigned shared, struct yk_cu_stream *s, void **arguments,
                          void **extra)
{
    return 0;
}

static int nothing_load(struct yk_cu_module **ret, const void *image, unsigned count, const int *options, void **values)
{
    *ret = NULL;
    return 0;
}

static int nothing_find(struct yk_cu_function **ret, struct yk_cu_module *m, const char *name)
{
    *ret = NULL;
    return 0;
}

static int nothing_attribute(int *ret, int attribute, struct yk_cu_function *f)
{
    *ret = 1024;
    return 0;
}

static void open_nothing(bench *b)
{
    static yk_cuda_device device;
    static yk_cuda_stream stream;
    static yoke_device dev = {.driver = &yk_gpu_cuda, .native = &device};
    static yoke_stream s = {.dev = &dev, .native = &stream};
    dev.info.capability = 90;
    yk_cuda.cuCtxGetCurrent = nothing_current;
    yk_cuda.cuLaunchKernel = nothing_launch;
    yk_cuda.cuModuleLoadDataEx = nothing_load;
    yk_cuda.cuModuleGetFunction = nothing_find;
    yk_cuda.cuFuncGetAttribute = nothing_attribute;
    b->dev = &dev;
    b->s = &s;
}

/* ---- Opening ---- */

static void build(bench *b)
{
    yk_image *image;
    yk_error e = {0};
    if (b->dev->driver->build(b->dev, text, "--fmad=false", "raw", &image, NULL, &e) < 0 ||
        b->dev->driver->function(image, "raw", &b->f, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    memcpy(&b->raw, b->f.native, sizeof b->raw); /* it comes first there */
}

static void open_device(bench *b)
{
    float host[N];
    b->real = yk_gpu_cuda.count(NULL) > 0;
    if (!b->real) {
        open_nothing(b);
        return;
    }
    b->dev = yoke_device_open("cuda");
    b->s = yoke_stream_open(b->dev);
    BENCH_CHECK(b->s);
    b->x = yoke_device_alloc(b->dev, sizeof host);
    b->y = yoke_device_alloc(b->dev, sizeof host);
    for (int i = 0; i < N; i++)
        host[i] = (float)i;
    BENCH_CHECK(yoke_stream_copy(b->s, b->x, host, sizeof host) == 0 && yoke_stream_wait(b->s) == 0);
}

/* ---- Launches ---- */

static void launch_raw(const bench *b, float a, int c)
{
    void *args[] = {(void *)(uintptr_t)&b->x, (void *)(uintptr_t)&b->y, &a, &c};
    BENCH_CHECK(yk_cuda.cuLaunchKernel(b->raw, 1, 1, 1, N, 1, 1, 0, ((yk_cuda_stream *)b->s->native)->stream, args, NULL) == 0);
}

static void launch_table(const bench *b, float a, int c)
{
    const yk_kernel_arg args[] = {{&b->x, sizeof b->x, true, NULL}, {&b->y, sizeof b->y, true, NULL},
                                  {&a, sizeof a, false, NULL}, {&c, sizeof c, false, NULL}};
    const yk_shape shape = {.groups = {1, 1, 1}, .group = {N, 1, 1}};
    yk_error e;
    BENCH_CHECK(b->dev->driver->launch(b->s, &b->f, &shape, args, 4, &e) == 0);
}

static void launch_public(const bench *b, float a, int c)
{
    BENCH_CHECK(yoke_enqueue(b->s, axpb, N, b->x, b->y, a, c) == 0);
}

/* ns for each launch of a batch, which fits the device's queue; what the device does then is not counted. */
static double batch(const bench *b, void (*launch)(const bench *b, float a, int c))
{
    float out[N];
    double start = bench_now();
    for (int i = 0; i < BATCH; i++)
        launch(b, 2, i);
    double took = (bench_now() - start) / BATCH;
    if (!b->real)
        return took;
    BENCH_CHECK(yoke_stream_copy(b->s, out, b->y, sizeof out) == 0 && yoke_stream_wait(b->s) == 0);
    for (int i = 0; i < N; i++)
        BENCH_CHECK(out[i] == 2.0f * (float)i + BATCH - 1);
    return took;
}

static void launches(const bench *b)
{
    static samples raw, table, public;
    for (int i = bench_rounds(100); i > 0; i--) {
        sample(&raw, batch(b, launch_raw));
        sample(&table, batch(b, launch_table));
        if (b->real)
            sample(&public, batch(b, launch_public));
    }
    head("a launch with four arguments, on the host");
    row("cuLaunchKernel", &raw, 1, "ns");
    row("the driver's table", &table, 1, "ns   (goal: 300 more at most)");
    if (b->real)
        row("yoke_enqueue", &public, 1, "ns");
}

static double wait_once(const bench *b)
{
    double start = bench_now();
    launch_table(b, 2, 1);
    BENCH_CHECK(yoke_stream_wait(b->s) == 0);
    return bench_now() - start;
}

/* ---- The first kernel ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

/* In a process of its own, with the device open. ms. */
static double first_kernel(void)
{
    int fds[2];
    double ms = 0;
    BENCH_CHECK(pipe(fds) == 0);
    pid_t child = fork();
    if (child == 0) {
        bench b = {0};
        open_device(&b);
        double start = bench_now();
        build(&b);
        if (b.real) {
            launch_table(&b, 2, 1);
            BENCH_CHECK(yoke_stream_wait(b.s) == 0);
        }
        ms = (bench_now() - start) / 1e6;
        _exit(write(fds[1], &ms, sizeof ms) != sizeof ms);
    }
    close(fds[1]);
    BENCH_CHECK(read(fds[0], &ms, sizeof ms) == sizeof ms);
    close(fds[0]);
    waitpid(child, NULL, 0);
    return ms;
}

/* Before the driver is opened here, for a child could not open it then. */
static void first_kernels(void)
{
    static samples empty, full;
    char folder[] = "/tmp/yoke-bench-XXXXXX";
    for (int i = bench_rounds(5); i > 0; i--) {
        memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
        BENCH_CHECK(mkdtemp(folder));
        setenv("YOKE_CACHE", folder, 1);
        sample(&empty, first_kernel());
        sample(&full, first_kernel());
        nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    unsetenv("YOKE_CACHE");
    head("the first kernel of a process, from text to result");
    row("nothing in the cache", &empty, 1, "ms   (goal: 150)");
    row("in the cache", &full, 1, "ms   (goal: 3)");
}

/* ---- Memory ---- */

static double copy_once(const bench *b, void *dst, const void *src)
{
    double start = bench_now();
    BENCH_CHECK(yoke_stream_copy(b->s, dst, src, BYTES) == 0 && yoke_stream_wait(b->s) == 0);
    return BYTES / (bench_now() - start);
}

static double fill_once(const bench *b, void *dst, size_t size)
{
    double start = bench_now();
    BENCH_CHECK(yoke_stream_fill(b->s, dst, "0123456789abcdef", size, BYTES / size) == 0 && yoke_stream_wait(b->s) == 0);
    return BYTES / (bench_now() - start);
}

static void memory(const bench *b)
{
    static samples up, down, up_pinned, down_pinned, across, fills[3], waits;
    char *x = yoke_device_alloc(b->dev, BYTES), *y = yoke_device_alloc(b->dev, BYTES);
    char *plain = calloc(1, BYTES), *pinned = yoke_pinned_alloc(b->dev, BYTES);
    BENCH_CHECK(x && y && plain && pinned);
    for (int i = bench_rounds(10); i > 0; i--) {
        memset(plain, i, BYTES);
        memset(pinned, i + 1, BYTES);
        sample(&up, copy_once(b, x, plain));
        sample(&across, 2 * copy_once(b, y, x));
        sample(&down, copy_once(b, plain, y));
        BENCH_CHECK(plain[0] == i && plain[BYTES - 1] == i);
        sample(&up_pinned, copy_once(b, x, pinned));
        memset(pinned, 0, BYTES);
        sample(&down_pinned, copy_once(b, pinned, x));
        BENCH_CHECK(pinned[0] == i + 1 && pinned[BYTES - 1] == i + 1);
        for (int k = 0; k < 3; k++)
            sample(&fills[k], fill_once(b, x, (size_t)4 << k));
        BENCH_CHECK(yoke_stream_copy(b->s, plain, x, BYTES) == 0 && yoke_stream_wait(b->s) == 0);
        BENCH_CHECK(memcmp(plain, "0123456789abcdef", 16) == 0 && memcmp(plain + BYTES - 16, "0123456789abcdef", 16) == 0);
        sample(&waits, wait_once(b));
    }
    printf("\n%s: its memory's clock and width give %.0f GB/s\n", b->dev->info.name, b->dev->info.bandwidth / 1e9);
    head("256 MiB");
    row("up, pageable", &up, 1, "GB/s");
    row("up, pinned", &up_pinned, 1, "GB/s");
    row("down, pageable", &down, 1, "GB/s");
    row("down, pinned", &down_pinned, 1, "GB/s");
    row("on the device, read and written", &across, 1, "GB/s");
    row("filled by 4 bytes", &fills[0], 1, "GB/s");
    row("filled by 8 bytes", &fills[1], 1, "GB/s");
    row("filled by 16 bytes", &fills[2], 1, "GB/s");
    row("a launch and its wait", &waits, 1e-3, "us");
    free(plain);
    yoke_pinned_free(b->dev, pinned);
    yoke_device_free(b->dev, x);
    yoke_device_free(b->dev, y);
}

int main(void)
{
    bench b = {0};
    first_kernels();
    open_device(&b);
    if (!b.real)
        printf("\nthere is no device: %s\n", yoke_driver_error("cuda"));
    build(&b);
    launches(&b);
    if (b.real) {
        memory(&b);
        yoke_stream_close(b.s);
        BENCH_CHECK(yoke_device_close(b.dev) == 0);
    }
    return 0;
}
