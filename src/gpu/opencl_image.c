/* opencl_image: programs, the kernels in them, and launches.
 *
 * A kernel object of OpenCL holds the arguments of the launch that comes next, so two threads must not set arguments
 * of one. Each kernel here is up to COPIES objects, each under a lock that is held while arguments are set and the
 * launch is enqueued; a stream takes the copy of its number, so that streams seldom meet. A launch allocates nothing
 * and looks up nothing, and sets no argument again that the object has already. */
#include "gpu/opencl.h"
#include <stdlib.h>

enum { COPIES = 4, HELD = 32 };

/* What an argument was set to last: something else than numbers of 4 and 8 bytes and handles of memory, or one of them. */
enum { OTHER, NUMBER_32 = 4, NUMBER_64 = 8, HANDLE };

/* kernel: made when first needed, under lock; with its first HELD arguments. A handle is that of the same memory as long as
 * the device has released none. */
typedef struct copy {
    yk_mutex lock;
    void *kernel;
    uint64_t releases;
    uint64_t held[HELD];
    uint8_t held_as[HELD];
} copy;

typedef struct function {
    struct function *next;
    copy copies[COPIES];
    void *program;
    unsigned parameters;
    size_t group_most;
    yk_cl_widths *widths;
    char name[];
} function;

/* Functions are added under lock and stay until the image goes. */
struct yk_image {
    yk_cl_device *dev;
    void *program;
    uint64_t hash;
    char uri[32];
    yk_mutex lock;
    function *functions;
};

/* ---- Images ---- */

int yk_cl_build(yoke_device *d, const char *text, const char *options, const char *name, yk_image **ret,
                yk_buf *log, yk_error *e)
{
    yk_image *image = yk_sys.calloc(1, sizeof *image);
    if (!image)
        return yk_errorf(e, -ENOMEM, "%s: no memory to build %s", d->info.uri, name);
    image->dev = d->native;
    memcpy(image->uri, d->info.uri, sizeof image->uri);
    int err = yk_cl_build_program(d, text, options ? options : "", name, &image->program, log, e);
    if (err < 0) {
        free(image);
        return err;
    }
    image->hash = yk_cl_program_hash(text, options ? options : "");
    *ret = image;
    return 0;
}

static void free_function(function *f)
{
    for (int i = 0; i < COPIES; i++)
        if (f->copies[i].kernel)
            yk_cl.ReleaseKernel(f->copies[i].kernel);
    yk_cl_widths_release(f->widths);
    free(f);
}

void yk_cl_unload(yoke_device *d, yk_image *image)
{
    if (!image)
        return;
    while (image->functions) {
        function *f = image->functions;
        image->functions = f->next;
        free_function(f);
    }
    yk_cl.ReleaseProgram(image->program);
    free(image);
}

/* ---- Kernels ---- */

/* "a;b;c": the kernels of a program; "" when it does not tell. To be freed; NULL without memory. */
static char *kernel_names(void *program)
{
    size_t n = 0;
    if (yk_cl.GetProgramInfo(program, YK_CL_PROGRAM_KERNEL_NAMES, 0, NULL, &n) != 0)
        n = 0;
    char *names = yk_sys.calloc(1, n + 1);
    if (names && n > 0 && yk_cl.GetProgramInfo(program, YK_CL_PROGRAM_KERNEL_NAMES, n, names, NULL) != 0)
        names[0] = '\0';
    return names;
}

/* The names, each ended by a NUL and the last by two. */
static const char *nth_name(void *ctx, size_t i)
{
    const char *name = ctx;
    while (i-- > 0 && *name)
        name += strlen(name) + 1;
    return *name ? name : NULL;
}

static int no_kernel(const yk_image *image, const char *name, yk_error *e)
{
    char *names = kernel_names(image->program);
    size_t n = names ? strlen(names) : 0;
    char *list = names ? yk_sys.calloc(1, n + 2) : NULL;
    for (size_t i = 0; i < n && list; i++)
        list[i] = names[i] == ';' ? '\0' : names[i];
    const char *near = list ? yk_nearest(name, nth_name, list) : NULL;
    int err;
    if (near)
        err = yk_errorf(e, -ENOENT, "%s: the program has no kernel %s: did you mean %s?", image->uri, name, near);
    else
        err = yk_errorf(e, -ENOENT, "%s: the program has no kernel %s; it has: %s", image->uri, name,
                        names ? names : "?");
    free(list);
    free(names);
    return err;
}

static uint64_t group_number(const yk_cl_device *c, void *kernel, uint32_t what)
{
    uint64_t value = 0;
    return yk_cl.GetKernelWorkGroupInfo(kernel, c->id, what, sizeof value, &value, NULL) == 0 ? value : 0;
}

static int make_function(yk_image *image, const char *name, function *f, yk_error *e)
{
    int32_t code = 0;
    uint32_t parameters = 0;
    void *kernel = yk_cl.CreateKernel(image->program, name, &code);
    if (code == YK_CL_INVALID_KERNEL_NAME)
        return no_kernel(image, name, e);
    if (!kernel || code != 0)
        return yk_cl_fail(e, code, "CreateKernel", "%s: kernel %s cannot be had", image->uri, name);
    code = yk_cl.GetKernelInfo(kernel, YK_CL_KERNEL_NUM_ARGS, sizeof parameters, &parameters, NULL);
    if (code != 0) {
        yk_cl.ReleaseKernel(kernel);
        return yk_cl_fail(e, code, "GetKernelInfo", "%s: kernel %s does not tell its parameters", image->uri, name);
    }
    f->copies[0].kernel = kernel;
    f->program = image->program;
    f->parameters = parameters;
    f->group_most = group_number(image->dev, kernel, YK_CL_KERNEL_GROUP_MOST);
    return 0;
}

int yk_cl_function(yk_image *image, const char *name, yk_function *ret, yk_error *e)
{
    size_t len = strlen(name);
    function *f = yk_sys.calloc(1, sizeof *f + len + 1);
    if (!f)
        return yk_errorf(e, -ENOMEM, "%s: no memory for kernel %s", image->uri, name);
    memcpy(f->name, name, len);
    int err = make_function(image, name, f, e);
    if (err == 0 && image->dev->has_width_bug && !(f->widths = yk_cl_widths_get(image->hash, name)))
        err = yk_errorf(e, -ENOMEM, "%s: no memory for kernel %s", image->uri, name);
    if (err < 0) {
        free_function(f);
        return err;
    }
    yk_mutex_lock(&image->lock);
    f->next = image->functions;
    image->functions = f;
    yk_mutex_unlock(&image->lock);
    void *kernel = f->copies[0].kernel;
    *ret = (yk_function){.native = f,
                         .group_most = (unsigned)f->group_most,
                         .spilled_bytes = 0,
                         .local_bytes = (unsigned)group_number(image->dev, kernel, YK_CL_KERNEL_LOCAL)};
    snprintf(ret->name, sizeof ret->name, "%s", name);
    return 0;
}

/* ---- Launches ---- */

static int bad_argument(const yoke_device *d, const yk_function *f, unsigned i, unsigned count, int32_t code, yk_error *e)
{
    return yk_cl_fail(e, code, "SetKernelArg", "%s: kernel %s, argument %u of %u for %u parameters", d->info.uri, f->name, i + 1,
                      count, ((const function *)f->native)->parameters);
}

static inline bool holds(const copy *c, uint32_t at, uint8_t as, uint64_t bits)
{
    return at < HELD && c->held[at] == bits && c->held_as[at] == as && as != OTHER;
}

static __attribute__((noinline)) int32_t set(copy *c, uint32_t at, uint8_t as, uint64_t bits, size_t size, const void *value)
{
    int32_t code = yk_cl.SetKernelArg(c->kernel, at, size, value);
    if (at < HELD) {
        c->held[at] = bits;
        c->held_as[at] = code == 0 ? as : OTHER;
    }
    return code;
}

static int32_t set_value(copy *c, uint32_t at, size_t size, const void *value)
{
    uint64_t bits = 0;
    uint32_t half = 0;
    if (size == NUMBER_64)
        memcpy(&bits, value, sizeof bits);
    else if (size == NUMBER_32)
        memcpy(&half, value, sizeof half);
    bits |= half;
    const uint8_t as = size == NUMBER_64 || size == NUMBER_32 ? (uint8_t)size : OTHER;
    return YK_LIKELY(holds(c, at, as, bits)) ? 0 : set(c, at, as, bits, size, value);
}

static int32_t set_handle(copy *c, uint32_t at, const yk_span *span)
{
    const uint64_t bits = span ? (uintptr_t)span->native : 0;
    return YK_LIKELY(holds(c, at, HANDLE, bits)) ? 0 : set(c, at, HANDLE, bits, sizeof(void *), span ? &span->native : NULL);
}

static void forget_released(copy *c, const yk_cl_device *own)
{
    uint64_t now = atomic_load_explicit(&own->releases, memory_order_acquire); /* pairs with the release in give() */
    if (YK_LIKELY(c->releases == now))
        return;
    for (int i = 0; i < HELD; i++)
        c->held_as[i] = c->held_as[i] == HANDLE ? OTHER : c->held_as[i];
    c->releases = now;
}

/* Memory of the host is no argument of OpenCL's, unless the device shares all of it. */
static int32_t set_host_memory(copy *c, uint32_t at, const void *address)
{
    if (at < HELD)
        c->held_as[at] = OTHER;
    return yk_cl.SetKernelArgSVMPointer(c->kernel, at, address);
}

static int32_t set_memory(copy *c, uint32_t at, const yk_kernel_arg *arg)
{
    char *address;
    memcpy(&address, arg->value, sizeof address);
    const uint64_t offset = arg->span ? (uint64_t)(address - arg->span->base) : 0;
    int32_t code = arg->span || !address ? set_handle(c, at, arg->span) : set_host_memory(c, at, address);
    return code != 0 ? code : set_value(c, at + 1, sizeof offset, &offset);
}

/* A kernel that has one parameter for memory, as any of OpenCL's: the whole buffer is all it can be given. */
static int32_t set_buffer(copy *c, uint32_t at, const yk_kernel_arg *arg, size_t *offset)
{
    char *address;
    memcpy(&address, arg->value, sizeof address);
    *offset = arg->span ? (size_t)(address - arg->span->base) : 0;
    if (*offset > 0)
        return 0;
    return arg->span || !address ? set_handle(c, at, arg->span) : set_host_memory(c, at, address);
}

/* What is set is left behind in the kernel, which nobody minds. */
static int set_arguments(const yoke_device *d, const yk_function *f, copy *c, size_t local, const yk_kernel_arg *args,
                         unsigned count, bool plain, yk_error *e)
{
    const yk_cl_device *own = d->native;
    uint32_t at = 0;
    int32_t code = 0;
    size_t offset = 0;
    forget_released(c, own);
    for (unsigned i = 0; i < count; i++) {
        const yk_kernel_arg *arg = &args[i];
        if (arg->is_memory) {
            if (YK_UNLIKELY(!arg->span && !own->svm && *(void *const *)arg->value))
                return yk_errorf(
                    e, -EINVAL,
                    "%s: kernel %s, argument %u is memory of the host, which this device cannot reach: copy "
                    "it to memory from yoke_device_alloc()",
                    d->info.uri, f->name, i + 1);
            code = plain ? set_buffer(c, at, arg, &offset) : set_memory(c, at, arg);
            if (offset > 0)
                return yk_errorf(e, EINVAL,
                                 "%s: kernel %s, argument %u begins %zu bytes into its memory, and the kernel has no "
                                 "parameter to be told (yoke/source.h)",
                                 d->info.uri, f->name, i + 1, offset);
            at += plain ? 1 : 2;
        } else {
            code = set_value(c, at++, arg->size, arg->value);
        }
        if (YK_UNLIKELY(code != 0))
            return bad_argument(d, f, i, count, code, e);
    }
    if (local > 0 && (code = set(c, at, OTHER, 0, local, NULL)) != 0)
        return bad_argument(d, f, count, count + 1, code, e);
    return 0;
}

/* Whether memory is one parameter (1) or two (0), or neither fits. */
static int check_count(const yoke_device *d, const yk_function *f, size_t local, const yk_kernel_arg *args,
                       unsigned count, yk_error *e)
{
    const function *k = f->native;
    unsigned needed = local > 0;
    for (unsigned i = 0; i < count; i++)
        needed += args[i].is_memory ? 2 : 1;
    if (YK_LIKELY(needed == k->parameters))
        return 0;
    if (count + (local > 0) == k->parameters)
        return 1;
    return yk_errorf(
        e, -EINVAL,
        "%s: kernel %s has %u parameters, the %u arguments of this launch make %u, or %u where memory counts twice%s",
        d->info.uri, f->name, k->parameters, count, count + (local > 0), needed, local > 0 ? " (group memory is one)" : "");
}

/* The numbers of threads in all and in a group. 1: there is nothing to do. */
static int check_shape(const yoke_device *d, const yk_function *f, const yk_shape *shape, size_t global[3],
                       size_t group[3], yk_error *e)
{
    const function *k = f->native;
    size_t threads = 1, all = 1;
    for (int i = 0; i < 3; i++) {
        group[i] = shape->group[i];
        global[i] = group[i] * shape->groups[i]; /* two unsigned ints: no overflow */
        threads = YK_MIN(threads * group[i], (size_t)UINT32_MAX);
        all = global[i] == 0 ? 0 : all;
    }
    if (threads > 0 && (threads <= k->group_most || k->group_most == 0))
        return all == 0;
    return yk_errorf(e, -EINVAL, "%s: kernel %s cannot run in groups of %u x %u x %u threads: 1 to %zu are allowed",
                     d->info.uri, f->name, shape->group[0], shape->group[1], shape->group[2], k->group_most);
}

/* A kernel object of its own for whoever asks. */
static int make_kernel(const yoke_device *d, const function *k, void **ret, yk_error *e)
{
    int32_t code = 0;
    void *kernel = yk_cl.CreateKernel(k->program, k->name, &code);
    if (!kernel || code != 0)
        return yk_cl_fail(e, code, "CreateKernel", "%s: kernel %s cannot be had", d->info.uri, k->name);
    *ret = kernel;
    return 0;
}

static uint32_t dims_of(const size_t global[3])
{
    return global[2] > 1 ? 3 : global[1] > 1 ? 2 : 1;
}

int yk_cl_fix(const yoke_device *d, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args, unsigned count,
              yk_cl_fixed *ret, yk_error *e)
{
    int err = check_shape(d, f, shape, ret->global, ret->group, e);
    ret->kernel = NULL;
    if (err != 0)
        return err < 0 ? err : 0;
    const int plain = check_count(d, f, shape->local, args, count, e);
    if (plain < 0)
        return plain;
    copy own = {.held_as = {OTHER}};
    err = make_kernel(d, f->native, &own.kernel, e);
    if (err == 0)
        err = set_arguments(d, f, &own, shape->local, args, count, plain, e);
    ret->kernel = own.kernel;
    ret->widths = ((function *)f->native)->widths;
    ret->dims = dims_of(ret->global);
    return err;
}

int yk_cl_launch(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args,
                 unsigned count, yk_error *e)
{
    yk_cl_stream *q = s->native;
    function *k = f->native;
    size_t global[3], group[3];
    int err = check_shape(s->dev, f, shape, global, group, e);
    if (err != 0)
        return err < 0 ? err : 0;
    const int plain = check_count(s->dev, f, shape->local, args, count, e);
    if (plain < 0)
        return plain;
    copy *c = &k->copies[q->number % COPIES];
    yk_mutex_lock(&c->lock);
    err = c->kernel ? 0 : make_kernel(s->dev, k, &c->kernel, e);
    if (err == 0)
        err = set_arguments(s->dev, f, c, shape->local, args, count, plain, e);
    int32_t code = 0;
    if (err == 0)
        code = yk_cl_enqueue(q, k->widths, c->kernel, dims_of(global), global, group);
    yk_mutex_unlock(&c->lock);
    if (err < 0)
        return err;
    if (YK_UNLIKELY(code != 0))
        return yk_cl_fail(e, code, "EnqueueNDRangeKernel", "%s: kernel %s cannot be launched", s->dev->info.uri,
                          f->name);
    yk_cl_sent(q);
    return 0;
}
