/* fork.c - fork() while other threads are inside: the child finds every lock of the part free, what they guard whole, and a
 * driver that was being opened is an error there. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include <sys/wait.h>
#include <yoke.h>

/* The child runs body, which gives the number of things that are wrong; it must not hang. */
static void fork_and(int (*body)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(body());
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(WIFSIGNALED(status) ? WTERMSIG(status) : 0, 0);
    CHECK_INT(WEXITSTATUS(status), 0);
}

/* ---- Locks that are held briefly ---- */

static _Atomic bool stop;

/* While another thread is at `work` again and again. */
static void fork_beside(void *(*work)(void *), int (*body)(void))
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, work, NULL), 0);
    for (int i = 0; i < 200; i++)
        fork_and(body);
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

enum { SPANS = 400 };
static yk_span spans[SPANS], own;

static void *change_spans(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) { /* the lowest: all others are moved */
        yk_span_add(&spans[0]);
        yk_span_remove(&spans[0]);
    }
    return NULL;
}

static int use_spans(void)
{
    int wrong = 0;
    for (int i = 1; i < SPANS; i++)
        wrong += yk_span_of(spans[i].base) != &spans[i];
    own = (yk_span){.base = (char *)(SPANS * 8192), .size = 4096};
    wrong += yk_span_add(&own) != 0 || yk_span_of(own.base) != &own;
    yk_span_remove(&own);
    return wrong > 0;
}

TEST(addresses)
{
    for (size_t i = 0; i < SPANS; i++) {
        spans[i] = (yk_span){.base = (char *)((i + 1) * 8192), .size = 4096};
        CHECK_INT(i > 0 ? yk_span_add(&spans[i]) : 0, 0);
    }
    fork_beside(change_spans, use_spans);
}

static yk_device_code codes[20];

static void *change_codes(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        for (int i = 0; i < 20; i++)
            yk_device_code_add(&codes[i]);
        for (int i = 0; i < 20; i++)
            yk_device_code_remove(&codes[i]);
    }
    return NULL;
}

static int use_codes(void)
{
    static yk_device_code mine;
    yk_device_code_add(&mine);
    yk_device_code_remove(&mine);
    yk_kernels();
    return 0;
}

TEST(kernels)
{
    fork_beside(change_codes, use_codes);
}

static yoke_device *dev;

static void *change_pinned(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        yoke_pinned_free(dev, yoke_pinned_alloc(dev, 100));
    return NULL;
}

/* Without an allocation: that of a sanitizer may be locked in a child. */
static int use_pinned(void)
{
    return yk_is_pinned(&stop);
}

TEST(pinned_memory)
{
    dev = yoke_device_open("cpu");
    fork_beside(change_pinned, use_pinned);
    CHECK_INT(yoke_device_close(dev), 0);
}

/* ---- Drivers that are being opened ---- */

static void *(*real_dlopen)(const char *path, int flags);
static _Atomic bool inside;

static void *slow_dlopen(const char *path, int flags)
{
    atomic_store(&inside, true);
    while (!atomic_load(&stop))
        usleep(100);
    return real_dlopen(path, flags);
}

/* Forks while another thread is opening something, which then goes on. */
static void fork_while(void *(*opening)(void *), int (*body)(void))
{
    pthread_t thread;
    real_dlopen = yk_sys.dlopen;
    yk_sys.dlopen = slow_dlopen;
    CHECK_INT(pthread_create(&thread, NULL, opening, NULL), 0);
    while (!atomic_load(&inside))
        usleep(100);
    fork_and(body);
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

static void *open_cuda(void *arg)
{
    (void)arg;
    CHECK_STR(yoke_driver_error("cuda"), "");
    return NULL;
}

static int use_cuda(void)
{
    yoke_device *d = yoke_device_open("cuda"), *cpu = yoke_device_open("cpu");
    int wrong = yoke_device_status(d) != -ECHILD || !strstr(yoke_device_error(d), "fork() came while it was opened");
    yoke_device_close(d);
    return wrong + (yoke_device_close(cpu) != 0);
}

TEST(the_driver_of_cuda)
{
    fake_use("fake-cuda");
    fork_while(open_cuda, use_cuda);
}

/* PoCL's compiler gives the thread that opens it another stack for signals; AddressSanitizer would look for its own there when
 * the thread ends. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "use_sigaltstack=0";
}

static void *open_opencl(void *arg)
{
    (void)arg;
    yoke_driver_error("opencl");
    return NULL;
}

static int use_opencl(void)
{
    yoke_device *d = yoke_device_open("opencl");
    int wrong = yoke_device_status(d) != -ECHILD || !strstr(yoke_device_error(d), "fork() came while it was opened");
    yoke_device_close(d);
    return wrong;
}

TEST(the_drivers_of_opencl)
{
    fork_while(open_opencl, use_opencl);
}

static int compile(yk_error *e)
{
    yk_build_source source = {scale_text, "", "scale.c", 90};
    yk_binary b = {.is_ptx = false};
    int err = yk_nvrtc_compile(&source, &b, e);
    yk_binary_done(&b);
    return err;
}

static void *open_compiler(void *arg)
{
    (void)arg;
    CHECK_INT(compile(NULL), 0);
    return NULL;
}

static int use_compiler(void)
{
    yk_error e = {0};
    return compile(&e) != -ECHILD || !strstr(e.text, "fork() came while it was opened");
}

TEST(the_compiler)
{
    fake_use("fake-cuda");
    yoke_driver_error("cuda");
    fork_while(open_compiler, use_compiler);
}
