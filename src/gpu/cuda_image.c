/* cuda_image: kernels of a CUDA device, from their text to their launch, and the table of the driver.
 *
 * A text is compiled once on a machine, but for one that includes files: what comes out is kept (image_cache.c). A
 * launch looks nothing up and allocates nothing: the function's handle and limits are at hand, and the places of the
 * arguments' values go to the driver as they are. */
#include "gpu/cuda.h"
#include <stdio.h>
#include <stdlib.h>

/* Numbers of CUfunction_attribute and CUjit_option. */
enum { FUNCTION_GROUP_MOST = 0, FUNCTION_LOCAL_BYTES = 3, FUNCTION_REGISTERS = 4, FUNCTION_DYNAMIC_MOST = 8 };
enum { JIT_ERROR_LOG = 5, JIT_ERROR_LOG_SIZE = 6 };
enum { ARGUMENTS_MOST = 256 };

/* What hangs at yk_function.native; constant but for dynamic_most. */
typedef struct function {
    struct yk_cu_function *handle;
    atomic_int dynamic_most; /* group memory that a launch may ask for, as the driver was told; grows */
    struct function *next;   /* of the image */
} function;

struct yk_image {
    struct yk_cu_module *module;
    yoke_device *dev;
    yk_buf numbers; /* what the assembler told */
    yk_mutex lock;  /* of functions */
    function *functions;
};

/* ---- Building ---- */

int yk_cuda_module(const void *image, struct yk_cu_module **ret, yk_buf *log)
{
    char text[4096] = "";
    static const int options[] = {JIT_ERROR_LOG, JIT_ERROR_LOG_SIZE};
    void *values[] = {text, (void *)(uintptr_t)(sizeof text - 1)};
    int result = yk_cuda.cuModuleLoadDataEx(ret, image, YK_COUNT_OF(options), options, values);
    text[sizeof text - 1] = '\0';
    if (result != YK_CUDA_OK && log)
        yk_buf_text(log, text);
    return result;
}

/* Makes an image of what was compiled. */
static int load(yoke_device *d, yk_binary *b, const char *name, yk_image **ret, yk_buf *log, yk_error *e)
{
    yk_image *image = yk_sys.calloc(1, sizeof *image);
    if (!image)
        return yk_errorf(e, ENOMEM, "cuda: no memory to load %s", name);
    int result = yk_cuda_module(b->image.ptr, &image->module, log);
    if (result != YK_CUDA_OK) {
        free(image);
        return yk_cuda_fail(e, result, "cuModuleLoadDataEx", "loading %s", name);
    }
    image->dev = d;
    image->numbers = b->numbers;
    b->numbers = (yk_buf){0};
    *ret = image;
    return 0;
}

/* From the cache. -ENOEXEC: it is not there, or the driver does not want it (any more), which is no error yet. */
static int load_cached(yoke_device *d, const char key[65], const char *name, yk_image **ret, yk_buf *log, yk_error *e)
{
    yk_binary b = {.is_ptx = false};
    yk_error own = {0};
    int err = yk_image_cache_read(key, &b) ? load(d, &b, name, ret, NULL, &own) : -ENOEXEC;
    if (err == 0 && log)
        yk_buf_put(log, b.log.ptr, b.log.len);
    if (err < 0 && err != -ENOEXEC && e)
        *e = own;
    yk_binary_done(&b);
    return err;
}

/* To the cache. Only the compile may have found out which compiler it is. */
static void keep(const yk_build_source *source, const char *looked_for, char key[65], const yk_binary *b)
{
    const char *compiler;
    if (yk_nvrtc_identity(&compiler, NULL) == 0 && compiler != looked_for)
        yk_image_key(source, compiler, key);
    yk_image_cache_write(key, b);
}

static int build(yoke_device *d, const char *text, const char *options, const char *name, yk_image **ret, yk_buf *log,
                 yk_error *e)
{
    char key[65];
    const char *compiler;
    yk_build_source source = {text, options ? options : "", name, d->info.capability};
    yk_binary b = {.is_ptx = false};
    int err = yk_nvrtc_identity(&compiler, e);
    if (err == 0)
        err = yk_cuda_enter_for(d, "building a kernel", e);
    if (err < 0)
        return err;
    const bool keeps = yk_image_key(&source, compiler, key);
    err = keeps ? load_cached(d, key, name, ret, log, e) : -ENOEXEC;
    if (err != -ENOEXEC)
        return err;
    err = yk_nvrtc_compile(&source, &b, e);
    if (log)
        yk_buf_put(log, b.log.ptr, b.log.len);
    if (err == 0) {
        if (keeps)
            keep(&source, compiler, key, &b);
        err = load(d, &b, name, ret, log, e);
    }
    yk_binary_done(&b);
    return err;
}

static void unload(yoke_device *d, yk_image *image)
{
    if (!image)
        return;
    if (yk_cuda_enter(d) == YK_CUDA_OK)
        yk_cuda.cuModuleUnload(image->module);
    for (function *f = image->functions, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    yk_buf_done(&image->numbers);
    free(image);
}

/* ---- Functions ---- */

/* The assembler writes "ptxas info : Function properties for NAME", and then "ptxas . N bytes stack frame, N bytes
 * spill stores, N bytes spill loads". */
static unsigned spilled(const yk_image *image, const char *name)
{
    static const char before[] = "Function properties for ";
    const char *p = image->numbers.ptr, *end = p ? p + image->numbers.len : NULL;
    size_t n = strlen(name);
    unsigned stores = 0, loads = 0;
    if (!p)
        return 0;
    while ((p = memmem(p, (size_t)(end - p), before, sizeof before - 1))) {
        p += sizeof before - 1;
        const char *line = memchr(p, '\n', (size_t)(end - p));
        if (!line || (size_t)(line - p) != n || memcmp(p, name, n) != 0)
            continue;
        char copy[200];
        snprintf(copy, sizeof copy, "%.*s", (int)YK_MIN(end - line, 199), line);
        if (sscanf(copy, "\n%*[^0-9]%*u bytes stack frame, %u bytes spill stores, %u bytes spill loads", &stores,
                   &loads) == 2)
            return stores + loads;
    }
    return 0;
}

/* 0 when the driver does not know. */
static int ask(struct yk_cu_function *f, int attribute)
{
    int value = 0;
    return yk_cuda.cuFuncGetAttribute(&value, attribute, f) == YK_CUDA_OK && value > 0 ? value : 0;
}

static int find_function(yk_image *image, const char *name, yk_function *ret, yk_error *e)
{
    int err = yk_cuda_enter_for(image->dev, "looking for a kernel", e);
    if (err < 0)
        return err;
    function *f = yk_sys.calloc(1, sizeof *f);
    if (!f)
        return yk_errorf(e, ENOMEM, "cuda: no memory for the kernel %s", name);
    int result = yk_cuda.cuModuleGetFunction(&f->handle, image->module, name);
    if (result != YK_CUDA_OK) {
        free(f);
        return yk_cuda_fail(e, result, "cuModuleGetFunction", "looking for the kernel %s", name);
    }
    atomic_init(&f->dynamic_most, ask(f->handle, FUNCTION_DYNAMIC_MOST));
    yk_mutex_lock(&image->lock);
    f->next = image->functions;
    image->functions = f;
    yk_mutex_unlock(&image->lock);
    *ret = (yk_function){.native = f,
                         .registers = (unsigned)ask(f->handle, FUNCTION_REGISTERS),
                         .spilled_bytes = spilled(image, name),
                         .local_bytes = (unsigned)ask(f->handle, FUNCTION_LOCAL_BYTES),
                         .group_most = (unsigned)ask(f->handle, FUNCTION_GROUP_MOST)};
    snprintf(ret->name, sizeof ret->name, "%s", name);
    return 0;
}

/* ---- Launching ---- */

static int launch_failed(int result, const char *call, const yk_function *f, const yk_shape *shape, yk_error *e)
{
    const unsigned *n = shape->groups, *m = shape->group;
    return yk_cuda_fail(e, result, call, "launching %s (%ux%ux%u groups of %ux%ux%u, %zu bytes of group memory)", f->name,
                        n[0], n[1], n[2], m[0], m[1], m[2], shape->local);
}

/* More group memory than all devices have must be asked for before. Two threads may ask for different amounts: the
 * larger one must be the driver's last word, so the lock of the device's own. */
static int allow_local(yoke_stream *s, function *f, size_t local)
{
    yk_cuda_device *c = s->dev->native;
    int result = YK_CUDA_INVALID_VALUE, wanted = (int)local;
    if (local > INT32_MAX)
        return result;
    yk_mutex_lock(&c->lock);
    if (atomic_load_explicit(&f->dynamic_most, memory_order_relaxed) >= wanted) {
        result = YK_CUDA_OK;
    } else {
        result = yk_cuda.cuFuncSetAttribute(f->handle, FUNCTION_DYNAMIC_MOST, wanted);
        if (result == YK_CUDA_OK) /* Pairs with the acquire in launch(). */
            atomic_store_explicit(&f->dynamic_most, wanted, memory_order_release);
    }
    yk_mutex_unlock(&c->lock);
    return result;
}

static int launch(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args, unsigned count,
                  yk_error *e)
{
    function *own = f->native;
    void *values[ARGUMENTS_MOST];
    int result = yk_cuda_enter(s->dev);
    if (YK_UNLIKELY(result != YK_CUDA_OK))
        return launch_failed(result, "cuCtxSetCurrent", f, shape, e);
    if (YK_UNLIKELY(count > ARGUMENTS_MOST))
        return yk_errorf(e, E2BIG, "cuda: launching %s with %u arguments: at most %d", f->name, count, ARGUMENTS_MOST);
    for (unsigned i = 0; i < count; i++)
        memcpy(&values[i], &args[i].value, sizeof values[i]); /* the driver only reads them */
    /* Pairs with the release in allow_local(): the driver has been told. */
    if (YK_UNLIKELY(shape->local > (size_t)atomic_load_explicit(&own->dynamic_most, memory_order_acquire))) {
        result = allow_local(s, own, shape->local);
        if (result != YK_CUDA_OK)
            return launch_failed(result, "cuFuncSetAttribute", f, shape, e);
    }
    const unsigned *n = shape->groups, *m = shape->group;
    result = yk_cuda.cuLaunchKernel(own->handle, n[0], n[1], n[2], m[0], m[1], m[2], (unsigned)shape->local,
                                    ((const yk_cuda_stream *)s->native)->stream, values, NULL);
    return YK_LIKELY(result == YK_CUDA_OK) ? 0 : launch_failed(result, "cuLaunchKernel", f, shape, e);
}

const yk_gpu_driver yk_gpu_cuda = {.name = "cuda",
                                   .count = yk_cuda_count,
                                   .describe = yk_cuda_describe,
                                   .opened = yk_cuda_is_open,
                                   .find = yk_cuda_find,
                                   .open = yk_cuda_open,
                                   .close = yk_cuda_close,
                                   .take = yk_cuda_take,
                                   .give = yk_cuda_give,
                                   .pin = yk_cuda_pin,
                                   .unpin = yk_cuda_unpin,
                                   .stream_open = yk_cuda_stream_open,
                                   .stream_close = yk_cuda_stream_close,
                                   .stream_wait = yk_cuda_stream_wait,
                                   .stream_try = yk_cuda_stream_try,
                                   .event_open = yk_cuda_event_open,
                                   .event_close = yk_cuda_event_close,
                                   .event_mark = yk_cuda_event_mark,
                                   .event_after = yk_cuda_event_after,
                                   .event_wait = yk_cuda_event_wait,
                                   .event_try = yk_cuda_event_try,
                                   .event_elapsed = yk_cuda_event_elapsed,
                                   .copy = yk_cuda_copy,
                                   .fill = yk_cuda_fill,
                                   .build = build,
                                   .function = find_function,
                                   .unload = unload,
                                   .launch = launch,
                                   .graph_open = yk_cuda_graph_open,
                                   .graph_launch = yk_cuda_graph_launch,
                                   .graph_close = yk_cuda_graph_close};
