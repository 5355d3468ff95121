/* executor: `cuda`, `opencl` and `cpu`, executors whose tasks own a device, and `gpu`, where a kernel is done by the CPU or by
 * the device, whichever is cheaper (cost.c). Each is a pool of threads (threads/pool.c), so that jobs live the same life as
 * everywhere, and a device that is opened and closed with it. The first two have one worker, the others those of `threads`;
 * `gpu` may lack a device.
 *
 * A device may also live in the workers of `processes`: what their tasks get as executor then has its name, and it is opened
 * here when one of them first asks for it. */
#include "exec/exec.h"
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include <stdio.h>
#include <stdlib.h>

static int cuda_open(const char *arg, yoke_executor **ret, yk_error *e);
static int opencl_open(const char *arg, yoke_executor **ret, yk_error *e);
static int gpu_open(const char *arg, yoke_executor **ret, yk_error *e);
static int cpu_open(const char *arg, yoke_executor **ret, yk_error *e);
static int cuda_doctor(yk_buf *out, yk_error *e);
static int opencl_doctor(yk_buf *out, yk_error *e);
static int gpu_doctor(yk_buf *out, yk_error *e);
static int cpu_doctor(yk_buf *out, yk_error *e);
static void device_executor_close(yoke_executor *ex);

#define DEVICE_EXECUTOR(NAME, ABOUT)                                                                                   \
    {                                                                                                                  \
        .scheme = #NAME, .about = ABOUT, .most = 1, .optional = true, .capabilities = YK_SHARES_MEMORY,                \
        .open = NAME##_open, .close = device_executor_close, .doctor = NAME##_doctor                                   \
    }
static yk_executor_type cuda_type = DEVICE_EXECUTOR(cuda, "tasks that own a CUDA device");
static yk_executor_type opencl_type = DEVICE_EXECUTOR(opencl, "tasks that own an OpenCL device");

static yk_executor_type gpu_type = DEVICE_EXECUTOR(gpu, "kernels on the CPU or on a GPU, whichever is cheaper for them");
static yk_executor_type cpu_type = DEVICE_EXECUTOR(cpu, "threads, with the CPU as their device");

static const yk_executor_type *pool_type(void)
{
    const yk_executor_type *t = yk_executor_types();
    while (strcmp(t->scheme, "threads") != 0)
        t = t->next;
    return t;
}

static yk_mutex filling;
YK_HELD_WHILE_FORKING(filling)

/* What the pool does for its jobs, this type does. */
static void do_as_the_pool(yk_executor_type *type)
{
    const yk_executor_type *pool = pool_type();
    yk_mutex_lock(&filling);
    if (!type->submit) {
        yk_executor_type all = *pool;
        all.scheme = type->scheme;
        all.about = type->about;
        all.most = type->most;
        all.optional = type->optional;
        all.open = type->open;
        all.close = type->close;
        all.doctor = type->doctor;
        all.next = type->next;
        *type = all;
    }
    yk_mutex_unlock(&filling);
}

/* uri NULL: what YOKE_DEVICE says. optional: there may be no such device. */
static int open_with_device(const char *uri, bool optional, const char *width, yoke_executor **ret, yk_error *e)
{
    yoke_device *dev = yoke_device_open(uri);
    int err = yoke_device_status(dev);
    if (err < 0)
        yk_errorf(e, err, "%s", yoke_device_error(dev));
    if (err < 0 && optional) {
        yoke_device_close(dev);
        dev = NULL;
        err = 0;
    }
    if (err == 0)
        err = pool_type()->open(width, ret, e);
    if (err < 0) {
        yoke_device_close(dev);
        return err;
    }
    (*ret)->device = dev;
    return 0;
}

static int device_executor_open(yk_executor_type *type, const char *arg, yoke_executor **ret, yk_error *e)
{
    char uri[160];
    do_as_the_pool(type);
    snprintf(uri, sizeof uri, *arg ? "%s:%s" : "%s%s", type->scheme, arg);
    return open_with_device(uri, false, "1", ret, e);
}

static int gpu_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    do_as_the_pool(&gpu_type);
    const char *usual = getenv("YOKE_DEVICE");
    if (*arg)
        return open_with_device(arg, false, "", ret, e);
    return usual && *usual ? open_with_device(NULL, false, "", ret, e) : open_with_device("gpu", true, "", ret, e);
}

static int cpu_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    char uri[160];
    do_as_the_pool(&cpu_type);
    snprintf(uri, sizeof uri, *arg ? "cpu:%s" : "cpu", arg);
    return open_with_device(uri, false, arg, ret, e);
}

bool yk_executor_places(const yoke_executor *ex)
{
    return ex->type == &gpu_type;
}

static int cuda_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    return device_executor_open(&cuda_type, arg, ret, e);
}

static int opencl_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    return device_executor_open(&opencl_type, arg, ret, e);
}

static void device_executor_close(yoke_executor *ex)
{
    yoke_device *dev = ex->device;
    pool_type()->close(ex);
    yoke_device_close(dev);
}

/* Tasks of a worker process may ask from several threads. */
static yoke_device *open_when_asked(struct yoke_executor *ex)
{
    static yk_mutex opening;
    yk_mutex_lock(&opening);
    if (!ex->device)
        ex->device = yoke_device_open(ex->device_name);
    yk_mutex_unlock(&opening);
    return ex->device;
}

yoke_device *yoke_executor_device(struct yoke_executor *ex)
{
    return !ex ? NULL : ex->device_name ? open_when_asked(ex) : ex->device;
}

yoke_device *yoke_current_device(void)
{
    return yoke_executor_device(yoke_current_executor());
}

/* ---- In worker processes ---- */

/* A device that could not be opened may be there for the next job. But drivers are tried once in a process; so one that has
 * had no luck for a while ends, and another tries afresh: not at each job, since that would be a fork for each. */
#define NO_LUCK_LASTS YOKE_S

static bool settle(struct yoke_executor *ex)
{
    static int64_t no_luck_since;
    yoke_device *dev = ex->device;
    if (yk_device_was_lost())
        return true;
    if (!dev || dev->opened)
        return false;
    yoke_device_close(dev);
    ex->device = NULL;
    int64_t now = yoke_now();
    if (no_luck_since == 0)
        no_luck_since = now;
    return now - no_luck_since > NO_LUCK_LASTS;
}

static const yk_device_care care = {.check = yk_device_check_names, .settle = settle};

/* ---- What this machine offers ---- */

static int doctor(const char *driver, yk_buf *out, yk_error *e)
{
    const char *why = yoke_driver_error(driver);
    if (*why)
        return yk_errorf(e, ENODEV, "%s", why);
    yoke_device_info d;
    for (unsigned i = 0; yoke_device_at(i, &d) == 0; i++) {
        if (strcmp(d.driver, driver) != 0)
            continue;
        yk_buf_printf(out, "  %s: %s", d.uri, d.name);
        if (*d.platform)
            yk_buf_printf(out, " (%s)", d.platform);
        yk_buf_printf(out, ", %u units, %.1f GiB\n", d.units, (double)d.memory / (1 << 30));
    }
    return 0;
}

static int cuda_doctor(yk_buf *out, yk_error *e)
{
    int err = doctor("cuda", out, e);
    if (err == 0) {
        yk_nvrtc_describe(out);
        yk_cublas_describe(out);
    }
    return err;
}

static int opencl_doctor(yk_buf *out, yk_error *e)
{
    return doctor("opencl", out, e);
}

static int gpu_doctor(yk_buf *out, yk_error *e)
{
    const char *usual = getenv("YOKE_DEVICE");
    yoke_device *dev = yoke_device_open(usual && *usual ? NULL : "gpu");
    int err = yoke_device_status(dev);
    if (err < 0)
        yk_errorf(e, err, "%s; all kernels run on the CPU", yoke_device_error(dev));
    else
        yk_buf_printf(out, "  %s: %s\n", yoke_device_about(dev)->uri, yoke_device_about(dev)->name);
    yoke_device_close(dev);
    return err;
}

static int cpu_doctor(yk_buf *out, yk_error *e)
{
    yoke_device_info d;
    for (unsigned i = 0; yoke_device_at(i, &d) == 0; i++)
        if (strcmp(d.driver, "cpu") == 0)
            yk_buf_printf(out, "  %s: %s\n", d.uri, d.name);
    return 0;
}

static __attribute__((constructor)) void register_device_executors(void)
{
    yk_executor_register(&cuda_type);
    yk_executor_register(&opencl_type);
    yk_executor_register(&gpu_type);
    yk_executor_register(&cpu_type);
    yk_device_care_hook = &care;
}
