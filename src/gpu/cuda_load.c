/* cuda_load: finds and opens the CUDA driver when it is first asked for, and never again: what came of it is kept, the
 * reason of a failure as one sentence for people. Errors of the driver get their codes and texts here too.
 *
 * The driver is libcuda.so.1 (libcuda.so is a toolkit's stub for linking), or what YOKE_CUDA_DRIVER names. Functions
 * are asked for with cuGetProcAddress(), by the version of CUDA that the declarations in cuda.h are of, since with
 * newer numbers some come with other parameters; a driver before 11.3 has the symbols alone. All of them are there
 * since CUDA 11.0, and all are needed, but for those that are named as later ones. */
#include "gpu/cuda.h"
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITTEN_FOR = 12000 };

yk_cuda_table yk_cuda;

/* Written under lock, once; read after `done` has been seen. */
static struct {
    yk_mutex lock;
    atomic_bool done;
    bool initialized; /* the driver was: it does not work in a child */
    uint32_t generation;
    int result, version;
    yk_error error;
} driver;

/* ---- Finding functions ---- */

typedef struct entry {
    const char *name, *symbol;
    size_t at;
} entry;

#define ENTRY(name, suffix, parameters) {#name, #name #suffix, offsetof(yk_cuda_table, name)},
static const entry entries[] = {YK_CUDA_CALLS(ENTRY)}, later_entries[] = {YK_CUDA_LATER(ENTRY)};

typedef struct finder {
    void *library;
    int version;
    int (*ask)(const char *name, void **ret, int version, uint64_t flags, int *status); /* from 12.0 on */
    int (*ask_before)(const char *name, void **ret, int version, uint64_t flags);       /* from 11.3 on */
} finder;

static void *find(const finder *f, const entry *n)
{
    void *p = NULL;
    int status, result = YK_CUDA_NOT_FOUND;
    if (f->ask)
        result = f->ask(n->name, &p, f->version, 0, &status);
    else if (f->ask_before)
        result = f->ask_before(n->name, &p, f->version, 0);
    return result == YK_CUDA_OK && p ? p : dlsym(f->library, n->symbol);
}

/* The name of the first function that the driver lacks, or NULL. */
static const char *find_all(void *library, yk_cuda_table *table, int *version)
{
    finder f = {.library = library};
    int (*ask_version)(int *ret);
    *(void **)&f.ask = dlsym(library, "cuGetProcAddress_v2");
    *(void **)&f.ask_before = dlsym(library, "cuGetProcAddress");
    *(void **)&ask_version = dlsym(library, "cuDriverGetVersion");
    if (!ask_version)
        return "cuDriverGetVersion";
    if (ask_version(version) != YK_CUDA_OK)
        *version = 0; /* cuInit() will say what is wrong */
    f.version = *version ? YK_MIN(*version, WRITTEN_FOR) : WRITTEN_FOR; /* a driver refuses numbers beyond its own */
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++) {
        void *p = find(&f, &entries[i]);
        if (!p)
            return entries[i].symbol;
        memcpy((char *)table + entries[i].at, &p, sizeof p);
    }
    for (size_t i = 0; i < YK_COUNT_OF(later_entries); i++) {
        void *p = find(&f, &later_entries[i]);
        memcpy((char *)table + later_entries[i].at, &p, sizeof p);
    }
    return NULL;
}

/* ---- Opening ---- */

static int why_not(int result, const char *path, yk_error *e)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    switch (result) {
    case YK_CUDA_STUB:
        return yk_errorf(e, ENODEV, "cuda: %s is a toolkit's stub for linking, not a driver", path);
    case YK_CUDA_NO_DEVICE:
        return yk_errorf(e, ENODEV, "cuda: the driver finds no device%s%s%s",
                         visible ? " (CUDA_VISIBLE_DEVICES is \"" : "", visible ? visible : "", visible ? "\")" : "");
    case YK_CUDA_INVALID_DEVICE:
        return yk_errorf(e, ENODEV, "cuda: the driver says that a device is not valid (is its licence in order?)");
    case YK_CUDA_UNAVAILABLE:
        return yk_errorf(e, ENODEV, "cuda: the devices are taken by other processes, or not available");
    case YK_CUDA_NOT_READY_SYSTEM:
        return yk_errorf(e, ENODEV, "cuda: the system is not ready yet (does nvidia-fabricmanager run?)");
    case YK_CUDA_MISMATCH:
        return yk_errorf(e, ENODEV,
                         "cuda: driver library and kernel module are of different versions: restart the machine");
    case YK_CUDA_NO_COMPAT:
        return yk_errorf(e, ENODEV, "cuda: the compatibility driver does not support these devices");
    case YK_CUDA_UNKNOWN:
        return yk_errorf(e, ENODEV, "cuda: the driver is installed but does not work (kernel module, /dev/nvidia*?)");
    }
    yk_cuda_fail(e, result, "cuInit", "opening the driver");
    return e->code = -ENODEV;
}

static int open_library(const char *path, yk_error *e)
{
    void *library = yk_sys.dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return yk_errorf(e, ENODEV, "cuda: no driver: %s", why ? why : path);
    }
    const char *lacks = find_all(library, &yk_cuda, &driver.version);
    if (lacks) {
        dlclose(library);
        return yk_errorf(e, ENODEV, "cuda: %s is no CUDA driver, or one before 11.0: it lacks %s", path, lacks);
    }
    int count = 0, result = yk_cuda.cuInit(0); /* from here on the library stays, whatever comes: it may have threads */
    driver.initialized = result == YK_CUDA_OK;
    if (result == YK_CUDA_OK)
        result = yk_cuda.cuDeviceGetCount(&count);
    if (result == YK_CUDA_OK && count <= 0)
        result = YK_CUDA_NO_DEVICE;
    return result == YK_CUDA_OK ? count : why_not(result, path, e);
}

static void open_once(void)
{
    const char *own = getenv("YOKE_CUDA_DRIVER");
    yk_mutex_lock(&driver.lock);
    if (!atomic_load_explicit(&driver.done, memory_order_relaxed)) {
        driver.generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
        driver.result = open_library(own && *own ? own : "libcuda.so.1", &driver.error);
        /* Pairs with the acquire in yk_cuda_load(): the table is complete. */
        atomic_store_explicit(&driver.done, true, memory_order_release);
    }
    yk_mutex_unlock(&driver.lock);
}

/* In a child the lock may be another thread's of the parent, and then the driver is open by half for ever. */
static void child_begins(void)
{
    if (atomic_load_explicit(&driver.lock.word, memory_order_relaxed) &&
        !atomic_load_explicit(&driver.done, memory_order_relaxed)) {
        driver.result = yk_errorf(&driver.error, ECHILD, "cuda: fork() came while it was opened, it does not work in the child");
        atomic_store_explicit(&driver.done, true, memory_order_relaxed);
    }
    driver.lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, child_begins);
}

int yk_cuda_load(yk_error *e)
{
    /* Pairs with the release in open_once(). */
    if (!atomic_load_explicit(&driver.done, memory_order_acquire))
        open_once();
    if (driver.initialized && driver.generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed))
        return yk_errorf(e, ECHILD, "cuda: used before fork(), it does not work in the child");
    if (driver.result < 0 && e)
        *e = driver.error;
    return driver.result;
}

bool yk_cuda_is_open(void)
{
    /* Pairs with the release in open_once(). */
    return atomic_load_explicit(&driver.done, memory_order_acquire) && driver.initialized;
}

int yk_cuda_version(void)
{
    return driver.version;
}

/* ---- Errors ---- */

const char *yk_cuda_name(int result)
{
    const char *name = NULL;
    return yk_cuda.cuGetErrorName(result, &name) == YK_CUDA_OK && name ? name : "unknown error";
}

/* -ENODEV: nothing can be done with the device any more. What the driver finds late and cannot mend is among it. */
static int code_of(int result)
{
    switch (result) {
    case YK_CUDA_OK:
        return 0;
    case YK_CUDA_OUT_OF_MEMORY:
        return -ENOMEM;
    case YK_CUDA_INVALID_VALUE:
    case YK_CUDA_INVALID_HANDLE:
    case YK_CUDA_OUT_OF_RESOURCES: /* of a launch; the device goes on */
    case YK_CUDA_TOO_LARGE:
        return -EINVAL;
    case YK_CUDA_INVALID_IMAGE:
    case YK_CUDA_NO_BINARY:
    case YK_CUDA_INVALID_PTX:
    case YK_CUDA_NO_JIT:
    case YK_CUDA_NEW_PTX:
    case YK_CUDA_INVALID_SOURCE:
        return -ENOEXEC;
    case YK_CUDA_NOT_FOUND:
        return -ENOENT;
    case YK_CUDA_NOT_READY:
        return -EAGAIN;
    case YK_CUDA_NOT_PERMITTED:
        return -EPERM;
    case YK_CUDA_NOT_SUPPORTED:
    case YK_CUDA_NO_CAPTURE:
        return -ENOTSUP;
    case YK_CUDA_NOT_INITIALIZED:
    case YK_CUDA_DEINITIALIZED:
    case YK_CUDA_STUB:
    case YK_CUDA_UNAVAILABLE:
    case YK_CUDA_NO_DEVICE:
    case YK_CUDA_INVALID_DEVICE:
    case YK_CUDA_INVALID_CONTEXT:
    case YK_CUDA_ECC:
    case YK_CUDA_NVLINK:
    case YK_CUDA_CONTAINED:
    case YK_CUDA_ILLEGAL_ADDRESS:
    case YK_CUDA_TIMEOUT:
    case YK_CUDA_DESTROYED:
    case YK_CUDA_ASSERT:
    case YK_CUDA_TENSOR_LEAK:
    case YK_CUDA_MPS_ENDED:
    case YK_CUDA_EXTERNAL:
        return -ENODEV;
    }
    bool lost = result >= YK_CUDA_STACK && result <= YK_CUDA_FAILED;
    return lost || (result >= YK_CUDA_NOT_READY_SYSTEM && result <= YK_CUDA_NO_COMPAT) ? -ENODEV : -EIO;
}

int yk_cuda_fail(yk_error *e, int result, const char *call, const char *doing, ...)
{
    char what[200];
    const char *text = NULL;
    va_list ap;
    va_start(ap, doing);
    vsnprintf(what, sizeof what, doing, ap);
    va_end(ap);
    if (yk_cuda.cuGetErrorString(result, &text) != YK_CUDA_OK || !text)
        text = "an error that the driver does not know";
    return yk_errorf(e, code_of(result), "cuda: %s: %s: %s (%s, %d)", what, call, text, yk_cuda_name(result), result);
}
