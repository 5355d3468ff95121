/* yoke.c DEVICE LOG2N - yoke on a device, for gpu.py: reads what to do from stdin, a word a line, and answers with the
 * nanoseconds that it took. Every answer is checked; what is wrong ends the program with 1.
 *
 *   copy axpy triad exp sum scan sort     2^LOG2N elements in the device's memory
 *   omp WORD                the same on the CPU by OpenMP, over the same memory (omp_words.h)
 *   matmul                  of two matrices of SIDE rows and columns
 *   launch raw set          the host's cost of a launch with 4 arguments, by yoke_enqueue(), by the driver's call alone, and by
 *                           calls that set the arguments before
 *   steps replays           STEPS small launches in a row until they are done, of one: put one by one, or recorded and replayed
 *   stepsput replaysput     the host's cost of these calls alone
 *   jobs                    one of JOBS small kernels, submitted in a row to an executor with this device, until all have ended
 *   up down both            the arrays of a triad in pinned memory: up, down, and both ways at once
 *   over overN              up, worked on and down by yoke_launch(), in pieces of N MiB if that is said
 *   pageable                the same from memory that is not pinned
 *   first                   the first kernel of this process, compiled or found in the cache */
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include "gpu/opencl.h"
#include "omp_words.h"
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>
#include <yoke/kernel.h>
#include <yoke/primitive.h>

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))
static yoke_device *dev;

static void fail(int line, const char *what)
{
    fprintf(stderr, "yoke.c:%d: %s: %s\n", line, what, dev ? yoke_device_error(dev) : "");
    exit(1);
}

YOKE_KERNEL(copy, ((in, float, x), (out, float, z)), z[i] = x[i];)
YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, z)), z[i] += a * x[i];)
YOKE_KERNEL(exponential, ((in, float, x), (out, float, z)), z[i] = exp(x[i]);)
YOKE_KERNEL(triad, ((val, float, a), (in, float, x), (in, float, y), (out, float, z)), z[i] = a * x[i] + y[i];)
YOKE_KERNEL(ramp, ((out, float, x), (out, uint32_t, keys)),
            x[i] = (float)(i % 1000) / 1000;
            uint32_t h = (uint32_t)i * 2654435761u;
            h ^= h >> 15;
            keys[i] = h * 2246822519u;)
YOKE_KERNEL(small, ((val, float, a), (val, float, b), (in, float, x), (out, float, y)), y[i] = a * x[i] + b;)
YOKE_KERNEL(busy, ((val, long, turns), (inout, float, value)),
            float v = value[i];
            for (long t = 0; t < turns; t++)
                v = v * 0.5f + 1;
            value[i] = v;)

enum { SMALL = 1024, LAUNCHES = 2000, STEPS = 100, JOBS = 1000, SIDE = 4096 };
static size_t n;
static int reps;
static yoke_stream *s;
static float *x, *y, *z;
static uint32_t *keys, *scratch;

static void make_data(void)
{
    x = yoke_device_alloc(dev, n * sizeof *x);
    y = yoke_device_alloc(dev, n * sizeof *y);
    z = yoke_device_alloc(dev, n * sizeof *z);
    keys = yoke_device_alloc(dev, n * sizeof *keys);
    scratch = yoke_device_alloc(dev, n * sizeof *scratch);
    CHECK(x && y && z && keys && scratch);
    CHECK(yoke_enqueue(s, ramp, n, x, keys) == 0);
    CHECK(yoke_stream_fill(s, y, &(float){0.5f}, 4, n) == 0);
    CHECK(yoke_stream_wait(s) == 0);
}

static float at(const float *p, size_t i)
{
    float v;
    CHECK(yoke_stream_copy(s, &v, p + i, sizeof v) == 0 && yoke_stream_wait(s) == 0);
    return v;
}

/* What one of `reps` calls in a row takes, the last wait included; one before them wakes the device up. */
#define TIMED(call)                                                                                                    \
    ({                                                                                                                 \
        CHECK((call) == 0 && yoke_stream_wait(s) == 0);                                                                \
        int64_t start = yoke_now();                                                                                    \
        for (int r = 0; r < reps; r++)                                                                                 \
            CHECK((call) == 0);                                                                                        \
        CHECK(yoke_stream_wait(s) == 0);                                                                               \
        (double)(yoke_now() - start) / reps;                                                                           \
    })

static float x_of(size_t i)
{
    return (float)(i % 1000) / 1000;
}

static double run_copy(void)
{
    double ns = TIMED(yoke_enqueue(s, copy, n, x, z));
    for (size_t i = 0; i < n; i += n / 7 + 1)
        CHECK(at(z, i) == x_of(i));
    return ns;
}

static double run_axpy(void)
{
    CHECK(yoke_stream_fill(s, z, &(float){0}, 4, n) == 0 && yoke_stream_wait(s) == 0);
    double ns = TIMED(yoke_enqueue(s, axpy, n, 2, x, z));
    for (size_t i = 0; i < n; i += n / 7 + 1)
        CHECK(fabsf(at(z, i) - 2 * (float)(reps + 1) * x_of(i)) < 1e-5f * (float)reps);
    return ns;
}

static double run_exp(void)
{
    double ns = TIMED(yoke_enqueue(s, exponential, n, x, z));
    for (size_t i = 0; i < n; i += n / 7 + 1)
        CHECK(fabsf(at(z, i) - expf(x_of(i))) < 1e-6f);
    return ns;
}

static double run_triad(void)
{
    double ns = TIMED(yoke_enqueue(s, triad, n, 2, x, y, z));
    for (size_t i = 0; i < n; i += n / 7 + 1)
        CHECK(at(z, i) == 2 * x_of(i) + 0.5f);
    return ns;
}

static double run_sum(void)
{
    double ns = TIMED(yoke_stream_sum(s, n, x, z)), right = 0;
    for (size_t i = 0; i < n; i++)
        right += (double)x_of(i);
    CHECK(at(z, 0) > right * 0.9999 && at(z, 0) < right * 1.0001);
    return ns;
}

static double run_scan(void)
{
    double ns = TIMED(yoke_stream_scan(s, n, y, z));
    for (size_t i = 0; i < n && i < 1 << 24; i += n / 7 + 1) /* beyond that halves are no float any more */
        CHECK(at(z, i) > (double)(i + 1) * 0.4999 && at(z, i) < (double)(i + 1) * 0.5001);
    return ns;
}

static double run_omp(const char *word)
{
    static uint32_t *to;
    to = to ? to : yoke_device_alloc(dev, n * sizeof *to);
    CHECK(to && !yoke_device_about(dev)->is_gpu);
    omp_use(&(omp_data){n, x, y, z, keys, scratch, to});
    return omp_time(word);
}

static double run_matmul(void)
{
    float *a = yoke_device_alloc(dev, SIDE * SIDE * sizeof *a), *c = yoke_device_alloc(dev, SIDE * SIDE * sizeof *c);
    CHECK(a && c && yoke_stream_copy(s, a, x, SIDE * SIDE * sizeof *a) == 0);
    double ns = TIMED(yoke_stream_matmul(s, SIDE, SIDE, SIDE, a, SIDE, a, SIDE, c, SIDE));
    for (size_t i = 0; i < 5; i++) {
        double right = 0;
        for (size_t k = 0; k < SIDE; k++)
            right += (double)x_of(i * SIDE + k) * (double)x_of(k * SIDE + i * 7);
        CHECK(fabs(at(c, i * SIDE + i * 7) - right) < right * 1e-4);
    }
    yoke_device_free(dev, a);
    yoke_device_free(dev, c);
    return ns;
}

static int sort_copy(void)
{
    int err = yoke_stream_copy(s, scratch, keys, n * sizeof *keys);
    return err < 0 ? err : yoke_stream_sort(s, n, scratch);
}

static double run_sort(void)
{
    double ns = TIMED(sort_copy());
    uint32_t *host = malloc(n * sizeof *host);
    CHECK(host && yoke_stream_copy(s, host, scratch, n * sizeof *host) == 0 && yoke_stream_wait(s) == 0);
    for (size_t i = 1; i < n; i++)
        CHECK(host[i - 1] <= host[i]);
    free(host);
    return ns;
}

static int put_launch(void)
{
    return yoke_enqueue(s, small, SMALL, 2, 1, x, z);
}

/* The same launch by the driver's own calls. OpenCL's kernel object has its arguments already. */
static struct {
    struct yk_cu_function *cuda;
    yk_cl_fixed opencl;
    yk_shape shape;
    yk_kernel_arg list[YK_PARAMS_MOST + 3];
    void *values[YK_PARAMS_MOST + 3];
} raw;

static int put_raw(void)
{
    const unsigned *groups = raw.shape.groups;
    if (raw.cuda)
        return yk_cuda.cuLaunchKernel(raw.cuda, groups[0], 1, 1, raw.shape.group[0], 1, 1, 0,
                                      ((const yk_cuda_stream *)s->native)->stream, raw.values, NULL);
    return yk_cl.EnqueueNDRangeKernel(((const yk_cl_stream *)s->native)->queue, raw.opencl.kernel, 1, NULL, raw.opencl.global,
                                      raw.opencl.group, 0, NULL, NULL);
}

/* As programs do that set them for each launch: n, two numbers and two arrays, which stand behind the range. */
static int put_set(void)
{
    uint32_t at = 2;
    for (int i = 2; i < 7 && !raw.cuda; i++, at++) {
        const yk_kernel_arg *arg = &raw.list[i];
        CHECK(yk_cl.SetKernelArg(raw.opencl.kernel, at, arg->size, arg->is_memory ? &arg->span->native : arg->value) == 0);
        at += arg->is_memory; /* its offset stays */
    }
    return put_raw();
}

static void make_raw(void)
{
    static const long range[2] = {0, SMALL};
    static struct yk_kernel_args_small args;
    yk_error e = {0};
    const yk_ready *r = yk_kernel_ready(dev, &yoke_kernel_small, &e);
    CHECK(r && r->status == 0);
    args = (struct yk_kernel_args_small){SMALL, 2, 1, x, z};
    for (int i = 0; i < 2; i++)
        raw.list[i] = (yk_kernel_arg){.value = &range[i], .size = sizeof(long)};
    CHECK(yk_kernel_args(s, &yoke_kernel_small, &args, true, raw.list + 2, &e) == 0);
    raw.shape = (yk_shape){.groups = {yk_kernel_groups(dev, &r->plan, SMALL), 1, 1}, .group = {r->plan.group, 1, 1}};
    for (int i = 0; i < 7; i++)
        memcpy(&raw.values[i], &raw.list[i].value, sizeof raw.values[i]);
    if (dev->driver == &yk_gpu_cuda)
        raw.cuda = *(struct yk_cu_function *const *)r->first.native; /* it comes first there */
    else
        CHECK(yk_cl_fix(dev, &r->first, &raw.shape, raw.list, 7, &raw.opencl, &e) == 0);
}

/* Of one: they come a hundred at a time, so that no queue fills up, and stand behind a kernel that takes 1 ms and more: what
 * threads of a device that is the CPU do meanwhile would be counted too. */
static double time_puts(int (*put)(void))
{
    int64_t total = 0;
    for (int round = 0; round < LAUNCHES; round += 100) {
        CHECK(yoke_enqueue(s, busy, 1, 1000000, y) == 0);
        int64_t start = yoke_now();
        for (int l = 0; l < 100; l++)
            CHECK(put() == 0);
        total += yoke_now() - start;
        CHECK(yoke_stream_wait(s) == 0);
        CHECK(at(z, 3) == 2 * 0.003f + 1);
        CHECK(yoke_stream_fill(s, z, &(float){0}, 4, SMALL) == 0 && yoke_stream_wait(s) == 0);
    }
    return (double)total / LAUNCHES;
}

static double run_launch(void)
{
    CHECK(put_launch() == 0 && yoke_stream_wait(s) == 0);
    return time_puts(put_launch);
}

static double run_raw(void)
{
    if (!raw.values[0])
        make_raw();
    return time_puts(put_raw);
}

static double run_set(void)
{
    if (!raw.values[0])
        make_raw();
    return time_puts(put_set);
}

static int put_steps(void)
{
    int err = 0;
    for (int l = 0; l < STEPS && err == 0; l++)
        err = yoke_enqueue(s, small, SMALL, 2, 1, x, z);
    return err;
}

/* Of one launch: g replayed, or NULL. */
static double time_steps(yoke_graph *g, bool until_done)
{
    int64_t total = 0;
    CHECK(put_steps() == 0 && yoke_stream_wait(s) == 0);
    for (int round = 0; round < LAUNCHES; round += STEPS) {
        int64_t start = yoke_now();
        CHECK((g ? yoke_stream_replay(s, g) : put_steps()) == 0);
        int64_t put = yoke_now();
        CHECK(yoke_stream_wait(s) == 0);
        total += (until_done ? yoke_now() : put) - start;
    }
    CHECK(at(z, 3) == 2 * 0.003f + 1);
    return (double)total / LAUNCHES;
}

static double run_steps(void)
{
    return time_steps(NULL, true);
}

static double run_steps_put(void)
{
    return time_steps(NULL, false);
}

static double replay_steps(bool until_done)
{
    yoke_graph *g;
    CHECK(yoke_stream_record(s) == 0 && put_steps() == 0 && yoke_stream_record_end(s, &g) == 0);
    CHECK(yoke_stream_fill(s, z, &(float){0}, 4, SMALL) == 0);
    double ns = time_steps(g, until_done);
    yoke_graph_close(g);
    return ns;
}

static double run_replays(void)
{
    return replay_steps(true);
}

static double run_replays_put(void)
{
    return replay_steps(false);
}

/* ---- Over the link ---- */

static float *hx, *hy, *hz;
static yoke_executor *ex;

static void make_host(void)
{
    if (hx)
        return;
    hx = yoke_pinned_alloc(dev, n * sizeof *hx);
    hy = yoke_pinned_alloc(dev, n * sizeof *hy);
    hz = yoke_pinned_alloc(dev, n * sizeof *hz);
    ex = yoke_open(yoke_device_about(dev)->uri);
    CHECK(hx && hy && hz && yoke_executor_status(ex) == 0);
    for (size_t i = 0; i < n; i++) {
        hx[i] = (float)(i % 1000);
        hy[i] = 1;
    }
}

static double run_jobs(void)
{
    static yoke_future *futures[JOBS];
    static float from[JOBS][16], to[JOBS][16];
    make_host();
    int64_t start = yoke_now();
    for (int j = 0; j < JOBS; j++) {
        from[j][0] = (float)j;
        futures[j] = yoke_launch(ex, small, 16, 2, 1, from[j], to[j]);
    }
    for (int j = 0; j < JOBS; j++) {
        CHECK(yoke_wait(futures[j]) == 0 && to[j][0] == 2 * (float)j + 1);
        yoke_release(futures[j]);
    }
    return (double)(yoke_now() - start) / JOBS;
}

static double run_up(void)
{
    make_host();
    return TIMED(yoke_stream_copy(s, x, hx, n * sizeof *x) < 0 ? -1 : yoke_stream_copy(s, y, hy, n * sizeof *y));
}

static double run_down(void)
{
    make_host();
    double ns = TIMED(yoke_stream_copy(s, hz, z, n * sizeof *z));
    CHECK(yoke_stream_fill(s, y, &(float){0.5f}, 4, n) == 0); /* as the others expect them */
    CHECK(yoke_enqueue(s, ramp, n, x, keys) == 0 && yoke_stream_wait(s) == 0);
    return ns;
}

/* Nothing is worked on: what the link can do when both directions are used. */
static double run_both(void)
{
    make_host();
    yoke_stream *other = yoke_stream_open(dev);
    CHECK(other && yoke_stream_wait(s) == 0);
    int64_t start = yoke_now();
    for (int r = 0; r < reps; r++) {
        CHECK(yoke_stream_copy(s, x, hx, n * sizeof *x) == 0 && yoke_stream_copy(s, y, hy, n * sizeof *y) == 0);
        CHECK(yoke_stream_copy(other, hz, z, n * sizeof *z) == 0);
        CHECK(yoke_stream_wait(s) == 0 && yoke_stream_wait(other) == 0);
    }
    double ns = (double)(yoke_now() - start) / reps;
    CHECK(yoke_stream_close(other) == 0);
    CHECK(yoke_stream_fill(s, y, &(float){0.5f}, 4, n) == 0);
    CHECK(yoke_enqueue(s, ramp, n, x, keys) == 0 && yoke_stream_wait(s) == 0);
    return ns;
}

static double launch_over(const float *from, const float *other, float *to)
{
    yoke_future *first = yoke_launch(ex, triad, n, 2, from, other, to); /* wakes the device up, and has its memory */
    CHECK(yoke_wait(first) == 0);
    yoke_release(first);
    for (size_t i = 0; i < n; i++)
        to[i] = -1;
    int64_t start = yoke_now();
    yoke_future *f = yoke_launch(ex, triad, n, 2, from, other, to);
    CHECK(yoke_wait(f) == 0);
    double ns = (double)(yoke_now() - start);
    yoke_release(f);
    for (size_t i = 0; i < n; i++)
        CHECK(to[i] == 2 * (float)(i % 1000) + 1);
    return ns;
}

static double run_over(void)
{
    make_host();
    return launch_over(hx, hy, hz);
}

static double run_pageable(void)
{
    make_host();
    float *from = malloc(n * sizeof *from), *other = malloc(n * sizeof *other), *to = malloc(n * sizeof *to);
    CHECK(from && other && to);
    memcpy(from, hx, n * sizeof *from);
    memcpy(other, hy, n * sizeof *other);
    double ns = launch_over(from, other, to);
    free(from);
    free(other);
    free(to);
    return ns;
}

static double run_first(void)
{
    float *v = yoke_device_alloc(dev, 4 * SMALL), one;
    CHECK(v && yoke_stream_fill(s, v, &(float){1}, 4, SMALL) == 0 && yoke_stream_wait(s) == 0);
    int64_t start = yoke_now();
    CHECK(yoke_enqueue(s, small, SMALL / 2, 2, 1, v, v + SMALL / 2) == 0 && yoke_stream_wait(s) == 0);
    double ns = (double)(yoke_now() - start);
    CHECK(yoke_stream_copy(s, &one, v + SMALL / 2, 4) == 0 && yoke_stream_wait(s) == 0 && one == 3);
    return ns;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        double (*run)(void);
    } words[] = {{"copy", run_copy}, {"axpy", run_axpy}, {"triad", run_triad}, {"exp", run_exp}, {"sum", run_sum},
                 {"scan", run_scan}, {"sort", run_sort}, {"launch", run_launch}, {"raw", run_raw}, {"set", run_set},
                 {"up", run_up}, {"down", run_down}, {"both", run_both}, {"matmul", run_matmul}, {"over", run_over},
                 {"pageable", run_pageable}, {"first", run_first}, {"steps", run_steps}, {"replays", run_replays},
                 {"jobs", run_jobs}, {"stepsput", run_steps_put}, {"replaysput", run_replays_put}};
    char line[64];
    dev = yoke_device_open(argc > 1 ? argv[1] : NULL);
    CHECK(yoke_device_status(dev) == 0);
    n = (size_t)1 << (argc > 2 ? strtoul(argv[2], NULL, 10) : 24);
    reps = yoke_device_about(dev)->is_gpu ? 20 : 3;
    s = yoke_stream_open(dev);
    CHECK(s != NULL);
    printf("%s\n", yoke_device_about(dev)->name);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        double ns = -1;
        unsigned mib = 0;
        if (sscanf(line, "over%u", &mib) == 1) { /* NOLINT(cert-err34-c) */
            yk_piece_bytes = (size_t)mib << 20;
            line[4] = 0;
        }
        if (!x && strcmp(line, "first") != 0)
            make_data();
        if (strncmp(line, "omp ", 4) == 0)
            ns = run_omp(line + 4);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strcmp(words[i].name, line) == 0)
                ns = words[i].run();
        CHECK(ns >= 0);
        printf("%.1f\n", ns);
        fflush(stdout);
    }
    yoke_stream_close(s);
    if (ex)
        yoke_close(ex);
    return yoke_device_close(dev) < 0;
}
