/* cuda_run.h - what the tests of the CUDA table share: the fake driver in place of the real one, devices and streams
 * without the core above, and one run through every entry of the table. */
#ifndef CUDA_RUN_H
#define CUDA_RUN_H
#include "fake_cuda.h"
#include "gpu/gpu.h"
#include "test.h"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

/* The path of a fake driver, which lies beside the test. */
static inline const char *fake_path(const char *name)
{
    static char path[PATH_MAX];
    char self[PATH_MAX - 100];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    CHECK(slash);
    *slash = '\0';
    snprintf(path, sizeof path, "%s/gpu/%s.so", self, name);
    return path;
}

/* Makes it the driver and the compiler, with no cache of compiled kernels. It multiplies matrices only for those who set
 * YOKE_CUBLAS to its path. */
static inline fake_cuda *fake_use(const char *name)
{
    const char *path = fake_path(name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        test_fail(__FILE__, __LINE__, "%s", dlerror());
    setenv("YOKE_CUDA_DRIVER", path, 1);
    setenv("YOKE_NVRTC", path, 1);
    setenv("YOKE_CUBLAS", "off", 1);
    setenv("YOKE_CACHE", "/dev/null", 1);
    fake_cuda *f = dlsym(library, "fake_cuda_control");
    CHECK(f);
    return f;
}

static inline void check_nothing_left(fake_cuda *f)
{
    fake_live l = f->live();
    CHECK_STR(f->complaint(), "");
    CHECK_INT(l.contexts + l.streams + l.events + l.modules + l.blocks + l.pinned + l.programs + l.handles + l.graphs, 0);
    CHECK_INT(f->leaked(), 0);
}

/* A device and so on as the core would make them. */
typedef struct run {
    yoke_device d;
    yoke_stream s, t;
    yoke_stream_event v, w;
    yk_span a, b;
    void *pinned;
    yk_image *image;
    yk_function scale;
    yk_buf log;
    yk_error e;
} run;

static inline void run_init(run *r)
{
    memset(r, 0, sizeof *r);
    r->s.dev = r->t.dev = r->v.dev = r->w.dev = &r->d;
    r->a.size = r->b.size = 4096;
}

/* The kernel of these tests: x[i] = x[i] * factor + add. */
static const char scale_text[] = "extern \"C\" __global__ void scale(float *x, long n, float factor, double add)\n"
                                 "{\n"
                                 "    long i = (long)blockIdx.x * blockDim.x + threadIdx.x;\n"
                                 "    if (i < n)\n"
                                 "        x[i] = x[i] * factor + (float)add;\n"
                                 "}\n";

static inline void scale_kernel(const fake_launch *l)
{
    float *x = *(float **)l->args[0], factor = *(float *)l->args[2];
    long n = *(long *)l->args[1], total = (long)l->groups[0] * l->group[0];
    double add = *(double *)l->args[3];
    for (long i = 0; i < n && i < total; i++)
        x[i] = x[i] * factor + (float)add;
}

static inline void fill_kernel(const fake_launch *l, size_t size)
{
    char *dst = *(char **)l->args[0];
    uint64_t n = *(uint64_t *)l->args[1];
    for (uint64_t i = 0; i < n; i++)
        for (size_t k = 0; k < size / 4; k++)
            memcpy(dst + i * size + 4 * k, l->args[2 + k], 4);
}

static inline void fill8(const fake_launch *l)
{
    fill_kernel(l, 8);
}

static inline void fill16(const fake_launch *l)
{
    fill_kernel(l, 16);
}

static inline void add_kernels(fake_cuda *f)
{
    f->kernel("scale", scale_kernel, (size_t[]){8, 8, 4, 8, 0});
    f->kernel("yk_fill8", fill8, (size_t[]){8, 8, 4, 4, 0});
    f->kernel("yk_fill16", fill16, (size_t[]){8, 8, 4, 4, 4, 4, 0});
}

static inline int launch_scale(run *r, float *x, long n, float factor, double add, size_t local)
{
    void *at = x;
    yk_shape shape = {{(unsigned)(n + 255) / 256, 1, 1}, {256, 1, 1}, local};
    yk_kernel_arg args[] = {{&at, sizeof at, true, &r->a},
                            {&n, sizeof n, false, NULL},
                            {&factor, sizeof factor, false, NULL},
                            {&add, sizeof add, false, NULL}};
    return yk_gpu_cuda.launch(&r->s, &r->scale, &shape, args, 4, &r->e);
}

#define STEP(call)                                                                                                       \
    do {                                                                                                                 \
        err = (call);                                                                                                    \
        if (err < 0)                                                                                                     \
            return err;                                                                                                  \
    } while (0)

static inline int run_open(run *r)
{
    const yk_gpu_driver *c = &yk_gpu_cuda;
    int err;
    if (!*r->d.info.uri)
        c->describe(0, &r->d.info);
    STEP(c->open(&r->d, 0, &r->e));
    STEP(c->take(&r->d, &r->a, &r->e));
    STEP(c->take(&r->d, &r->b, &r->e));
    STEP(c->pin(&r->d, 4096, &r->pinned, &r->e));
    STEP(c->stream_open(&r->s, &r->e));
    STEP(c->stream_open(&r->t, &r->e));
    STEP(c->event_open(&r->v, &r->e));
    STEP(c->event_open(&r->w, &r->e));
    return 0;
}

/* Up, across, two kernels, and down, over two streams. The elements: i * 2 + 1, twice. */
static inline int run_work(run *r)
{
    const yk_gpu_driver *c = &yk_gpu_cuda;
    float *x = r->pinned;
    int err;
    for (int i = 0; i < 1024; i++)
        x[i] = (float)i;
    STEP(c->build(&r->d, scale_text, "--fmad=false", "scale.c", &r->image, &r->log, &r->e));
    STEP(c->function(r->image, "scale", &r->scale, &r->e));
    STEP(c->event_mark(&r->s, &r->v, &r->e));
    STEP(c->copy(&r->s, r->b.base, &r->b, x, NULL, 4096, &r->e));
    STEP(c->copy(&r->s, r->a.base, &r->a, r->b.base, &r->b, 4096, &r->e));
    STEP(launch_scale(r, (float *)(void *)r->a.base, 1024, 2, 1, 0));
    STEP(launch_scale(r, (float *)(void *)r->a.base, 1024, 2, 1, 100000));
    STEP(c->event_mark(&r->s, &r->w, &r->e));
    STEP(c->event_after(&r->t, &r->w, &r->e));
    STEP(c->copy(&r->t, x, NULL, r->a.base, &r->a, 4096, &r->e));
    STEP(c->stream_wait(&r->t, &r->e));
    STEP(c->event_wait(&r->w, &r->e));
    STEP(c->event_try(&r->w, &r->e));
    STEP(c->stream_try(&r->s, &r->e));
    int64_t ns = -1;
    STEP(c->event_elapsed(&r->v, &r->w, &ns, &r->e));
    for (int i = 0; i < 1024; i++)
        CHECK(x[i] == (float)(4 * i + 3));
    return ns >= 0 ? 0 : -EIO;
}

/* One element of each size, all different from what was there. */
static inline int run_fill(run *r)
{
    const yk_gpu_driver *c = &yk_gpu_cuda;
    const char value[] = "0123456789abcdef";
    char *x = r->pinned;
    int err;
    for (size_t size = 1; size <= 16; size *= 2) {
        STEP(c->fill(&r->s, r->a.base + 256, &r->a, value, size, 7, &r->e));
        STEP(c->copy(&r->s, x, NULL, r->a.base + 256, &r->a, 7 * size, &r->e));
        STEP(c->stream_wait(&r->s, &r->e));
        for (size_t i = 0; i < 7 * size; i++)
            CHECK_INT(x[i], value[i % size]);
    }
    return 0;
}

/* In any state. */
static inline void run_close(run *r)
{
    const yk_gpu_driver *c = &yk_gpu_cuda;
    yk_error e;
    if (r->s.native)
        c->stream_wait(&r->s, &e);
    if (r->t.native)
        c->stream_wait(&r->t, &e);
    if (r->image)
        c->unload(&r->d, r->image);
    c->event_close(&r->v);
    c->event_close(&r->w);
    c->stream_close(&r->s);
    c->stream_close(&r->t);
    if (r->pinned)
        c->unpin(&r->d, r->pinned);
    if (r->a.base)
        c->give(&r->d, &r->a);
    if (r->b.base)
        c->give(&r->d, &r->b);
    c->close(&r->d);
    yk_buf_done(&r->log);
}

/* A thread that fills memory of h->r each time it is asked. */
typedef struct helper {
    run *volatile r;
    pthread_barrier_t barrier;
    int err;
} helper;

static inline void *help(void *arg)
{
    helper *h = arg;
    while (pthread_barrier_wait(&h->barrier), h->r) {
        h->err = yk_gpu_cuda.fill(&h->r->s, h->r->a.base, &h->r->a, "abcd", 4, 100, &h->r->e);
        pthread_barrier_wait(&h->barrier);
    }
    return NULL;
}

/* The context of a device that was closed and opened again is often at the same place, but not the same. */
static inline void check_thread_outlives_device(void)
{
    pthread_t thread;
    helper h = {.r = NULL};
    pthread_barrier_init(&h.barrier, NULL, 2);
    CHECK_INT(pthread_create(&thread, NULL, help, &h), 0);
    for (int i = 0; i < 4; i++) {
        run r;
        run_init(&r);
        CHECK_INT(run_open(&r), 0);
        h.r = &r;
        pthread_barrier_wait(&h.barrier);
        pthread_barrier_wait(&h.barrier);
        if (h.err < 0)
            test_fail(__FILE__, __LINE__, "%s", r.e.text);
        CHECK_INT(yk_gpu_cuda.stream_wait(&r.s, &r.e), 0);
        run_close(&r);
    }
    h.r = NULL;
    pthread_barrier_wait(&h.barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&h.barrier);
}

static inline int run_through(run *r)
{
    int err;
    STEP(run_open(r));
    STEP(run_work(r));
    STEP(run_fill(r));
    return 0;
}
#endif
