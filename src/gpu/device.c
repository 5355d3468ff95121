/* device: which devices there are, how a name becomes one, and what goes wrong on it. The drivers stand in one array; the
 * order is that of yoke_device_at(). */
#include "gpu/graph.h"
#include "gpu/kernel.h"
#include "gpu/primitive.h"
#include <stdio.h>
#include <stdlib.h>

static const yk_gpu_driver *const drivers[] = {
    &yk_gpu_cuda,
    &yk_gpu_opencl,
    &yk_gpu_cpu, /* last: it is always there */
};
enum { DRIVERS = YK_COUNT_OF(drivers) };

/* ---- What there is ---- */

unsigned yoke_device_count(void)
{
    unsigned n = 0;
    for (unsigned d = 0; d < DRIVERS; d++) {
        int count = drivers[d]->count(NULL);
        n += count > 0 ? (unsigned)count : 0;
    }
    return n;
}

int yoke_device_at(unsigned i, yoke_device_info *ret)
{
    for (unsigned d = 0; d < DRIVERS; d++) {
        int count = drivers[d]->count(NULL);
        if (count > 0 && i < (unsigned)count) {
            memset(ret, 0, sizeof *ret);
            ret->numa = -1;
            drivers[d]->describe(i, ret);
            return 0;
        }
        i -= count > 0 ? (unsigned)count : 0;
    }
    return -ENOENT;
}

static const yk_gpu_driver *driver_named(const char *name, size_t len)
{
    for (unsigned d = 0; d < DRIVERS; d++)
        if (strlen(drivers[d]->name) == len && memcmp(drivers[d]->name, name, len) == 0)
            return drivers[d];
    return NULL;
}

const char *yoke_driver_error(const char *name)
{
    static _Thread_local yk_error all[DRIVERS + 1]; /* one for each: one line may tell of two */
    const yk_gpu_driver *driver = name ? driver_named(name, strlen(name)) : NULL;
    yk_error *e = all;
    while (e < all + DRIVERS && drivers[e - all] != driver)
        e++;
    e->text[0] = 0;
    if (!name)
        yk_errorf(e, EINVAL, "no driver is named NULL");
    else if (!driver)
        yk_errorf(e, ENOENT, "no driver is named \"%s\"", name);
    else if (driver->count(e) >= 0)
        e->text[0] = 0;
    return e->text;
}

/* ---- From a name to a device ---- */

typedef struct found {
    const yk_gpu_driver *driver; /* NULL: of any, the first GPU that can be opened */
    unsigned index;
} found;

static const char *next_name(void *ctx, size_t i)
{
    (void)ctx;
    return i < DRIVERS ? drivers[i]->name : i == DRIVERS ? "gpu" : NULL;
}

/* A device of the driver: arg is "", a number, or for the driver to understand. */
static int find_in(const yk_gpu_driver *driver, const char *arg, found *ret, yk_error *e)
{
    int count = driver->count(e), index = 0;
    if (count < 0)
        return count;
    char *end;
    unsigned long number = strtoul(arg, &end, 10);
    if (driver->find && *arg)
        index = driver->find(arg, e);
    else if (*arg && (*end || *arg < '0' || *arg > '9'))
        return yk_errorf(e, ENOENT, "%s: \"%s\" is no number of a device", driver->name, arg);
    else if (number >= (unsigned long)count)
        return yk_errorf(e, ENOENT, "%s:%s: devices are counted from 0, and there %s %d", driver->name, arg,
                         count == 1 ? "is" : "are", count);
    else
        index = (int)number;
    *ret = (found){driver, (unsigned)index};
    return index < 0 ? index : 0;
}

static int open_found(yoke_device *dev, const found *f, yk_error *e);

/* The first device that is a GPU and can be opened, in the order of the drivers. The error is that of the first GPU. */
static int open_gpu(yoke_device *dev, yk_error *e)
{
    int err = 0;
    for (unsigned d = 0; d < DRIVERS; d++) {
        int count = drivers[d]->count(NULL);
        for (int i = 0; i < count; i++) {
            yoke_device_info info = {0};
            drivers[d]->describe((unsigned)i, &info);
            int one = info.is_gpu ? open_found(dev, &(found){drivers[d], (unsigned)i}, err < 0 ? NULL : e) : -ENODEV;
            if (one == 0)
                return 0;
            err = err == 0 && info.is_gpu ? one : err;
        }
    }
    if (err < 0)
        return err;
    const char *cuda = yoke_driver_error("cuda"), *opencl = yoke_driver_error("opencl");
    return yk_errorf(e, ENODEV, "there is no GPU here: %.200s; %.200s", *cuda ? cuda : "cuda: none",
                     *opencl ? opencl : "OpenCL: only CPUs");
}

static int unknown_kind(const char *kind, yk_error *e)
{
    if (strcmp(kind, "gpu") == 0)
        return yk_errorf(e, ENOENT, "\"gpu\" is the first GPU there is, without a number: others are cuda:1, opencl:1");
    const char *near = yk_nearest(kind, next_name, NULL);
    return yk_errorf(e, ENOENT, "no kind of device is named \"%s\"%s%s%s; there are cuda, opencl, gpu and cpu", kind,
                     near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "");
}

/* One name, of len bytes. */
static int find_one(const char *name, size_t len, found *ret, yk_error *e)
{
    char text[128];
    for (; len > 0 && *name == ' '; name++, len--)
        ;
    while (len > 0 && name[len - 1] == ' ')
        len--;
    if (len >= sizeof text)
        return yk_errorf(e, ENOENT, "a device's name has at most %zu characters", sizeof text - 1);
    memcpy(text, name, len);
    text[len] = 0;
    *ret = (found){NULL, 0};
    if (strcmp(text, "gpu") == 0)
        return 0;
    size_t scheme = strcspn(text, ":");
    const yk_gpu_driver *driver = driver_named(text, scheme);
    if (driver)
        return find_in(driver, text[scheme] ? text + scheme + 1 : "", ret, e);
    text[scheme] = 0;
    return unknown_kind(text, e);
}

static int open_one(yoke_device *dev, const char *name, size_t len, yk_error *e)
{
    found f;
    int err = find_one(name, len, &f, e);
    return err < 0 ? err : f.driver ? open_found(dev, &f, e) : open_gpu(dev, e);
}

/* Several names with commas between: the first that works. The error is that of the first. */
static int open_names(yoke_device *dev, const char *names, yk_error *e)
{
    int err = yk_errorf(e, ENOENT, "the name of a device is empty");
    for (bool first = true; *names; first = false) {
        size_t len = strcspn(names, ",");
        yk_error own = {0};
        int one = open_one(dev, names, len, &own);
        if (one == 0)
            return 0;
        if (first) {
            *e = own;
            err = one;
        }
        names += len + (names[len] == ',');
    }
    return err;
}

static int open_any(yoke_device *dev, const char *uri, yk_error *e)
{
    const char *named = getenv("YOKE_DEVICE");
    if (uri)
        return open_names(dev, uri, e);
    if (!named || !*named)
        return open_gpu(dev, e) == 0 ? 0 : open_names(dev, "cpu", e);
    int err = open_names(dev, named, e);
    if (err < 0) {
        yk_error own = *e;
        yk_errorf(e, own.code, "YOKE_DEVICE: %.480s", own.text);
    }
    return err;
}

/* ---- Names, before anything is opened ---- */

static int refuse_used(const yk_gpu_driver *driver, yk_error *e)
{
    if (!driver->opened || !driver->opened())
        return 0;
    return yk_errorf(e, ECHILD, "%s has been used in this process, and would not work in its children: open this executor before",
                     driver->name);
}

/* As find_one(), but for what only a driver knows. */
static int check_name(const char *name, size_t len, yk_error *e)
{
    char kind[32];
    size_t scheme = YK_MIN(strcspn(name, ":"), len);
    const yk_gpu_driver *driver = driver_named(name, scheme);
    int err = 0;
    if (driver)
        return refuse_used(driver, e);
    snprintf(kind, sizeof kind, "%.*s", (int)YK_MIN(scheme, sizeof kind - 1), name);
    if (len != 3 || strcmp(kind, "gpu") != 0)
        return unknown_kind(kind, e);
    for (unsigned d = 0; d < DRIVERS && err == 0; d++)
        err = refuse_used(drivers[d], e);
    return err;
}

int yk_device_check_names(const char *names, yk_error *e)
{
    int err = *names ? 0 : yk_errorf(e, ENOENT, "the name of a device is empty");
    while (*names && err == 0) {
        size_t len = strcspn(names, ",");
        err = check_name(names, len, e);
        names += len + (names[len] == ',');
    }
    return err;
}

/* ---- Opening ---- */

static int open_found(yoke_device *dev, const found *f, yk_error *e)
{
    dev->driver = f->driver;
    dev->info = (yoke_device_info){.numa = -1};
    f->driver->describe(f->index, &dev->info);
    dev->memory = yk_memory_open(dev);
    if (!dev->memory)
        return yk_errorf(e, ENOMEM, "no memory");
    int err = f->driver->open(dev, f->index, e);
    dev->opened = err == 0;
    if (err < 0) {
        yk_memory_close(dev->memory);
        dev->memory = NULL;
    }
    return err;
}

/* What stands for a device when there is no memory for one. */
static yoke_device no_device = {.status = -ENOMEM, .error = {-ENOMEM, "no memory"}};

yoke_device *yoke_device_open(const char *uri)
{
    yoke_device *dev = yk_sys.calloc(1, sizeof *dev);
    if (!dev)
        return &no_device;
    static _Atomic uint64_t numbers;
    dev->number = 1 + atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed);
    dev->fork_generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    yk_error e = {0};
    int err = open_any(dev, uri, &e);
    if (err < 0) {
        dev->error = e;
        dev->status = err;
        memset(&dev->info, 0, sizeof dev->info);
    }
    return dev;
}

static bool is_parents(const yoke_device *dev)
{
    return dev->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed) && dev != &no_device;
}

int yoke_device_close(yoke_device *dev)
{
    if (!dev || dev == &no_device)
        return 0;
    if (is_parents(dev))
        return -ECHILD;
    int err = yk_device_check(dev);
    if (dev->opened) {
        int late = yk_streams_close(dev);
        err = err < 0 ? err : late;
        yk_graphs_close(dev);
        yk_primitives_close(dev);
        yk_images_close(dev);
        yk_array_kernels_close(dev);
        yk_memory_close(dev->memory);
        yk_pinned_close(dev);
        dev->driver->close(dev);
    }
    free(dev);
    return err;
}

/* ---- What is known of it ---- */

int yk_device_check(const yoke_device *dev)
{
    if (YK_UNLIKELY(!dev))
        return -EINVAL;
    if (YK_UNLIKELY(is_parents(dev)))
        return -ECHILD;
    return atomic_load_explicit(&dev->status, memory_order_relaxed);
}

bool yk_device_usable(const yoke_device *dev)
{
    return dev && dev->opened && !is_parents(dev);
}

int yoke_device_status(yoke_device *dev)
{
    return yk_device_check(dev);
}

const yoke_device_info *yoke_device_about(yoke_device *dev)
{
    return dev ? &dev->info : &no_device.info;
}

const char *yoke_device_error(yoke_device *dev)
{
    if (!dev)
        return "the device is NULL";
    if (is_parents(dev))
        return "the device was opened before this process was made by fork(): open it again here";
    yk_mutex_lock(&dev->lock);
    if (strcmp(dev->text, dev->error.text) != 0) /* else another thread may be reading it */
        memcpy(dev->text, dev->error.text, sizeof dev->text);
    yk_mutex_unlock(&dev->lock);
    return dev->text;
}

/* What failed last in this thread, and on which device: others use that device too, so its own last error may be theirs. */
static _Thread_local struct {
    uint64_t number; /* of the device: another may come to lie where it lay */
    yk_error error;
} failed_here;

void yk_device_last_error(yoke_device *dev, yk_error *ret)
{
    int status = yk_device_check(dev);
    if (failed_here.number == dev->number && (status == 0 || status == failed_here.error.code)) {
        *ret = failed_here.error;
        return;
    }
    yk_mutex_lock(&dev->lock); /* another thread lost it, and this one was refused for that, without a word */
    *ret = dev->error;
    yk_mutex_unlock(&dev->lock);
}

/* " (last kernels: c, b, a)", newest first. */
static void name_kernels(const yoke_stream *s, char *text, size_t size)
{
    unsigned names = YK_MIN(s->launches, (unsigned)YK_COUNT_OF(s->recent));
    size_t at = 0;
    for (unsigned i = 0; i < names && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : " (last kernels, newest first: ",
                               s->recent[(s->launches - 1 - i) % YK_COUNT_OF(s->recent)]);
    if (names && at < size - 1)
        memcpy(text + at, ")", 2);
}

/* The process in which a device was last lost, by its generation of forks, plus one. */
static _Atomic uint64_t lost_in;

static uint64_t this_process(void)
{
    return (uint64_t)atomic_load_explicit(&yk_fork_generation, memory_order_relaxed) + 1;
}

bool yk_device_was_lost(void)
{
    return atomic_load_explicit(&lost_in, memory_order_relaxed) == this_process();
}

/* The whole of it is this thread's last error, and *ret, unless that is NULL. */
static int fail(yoke_device *dev, yoke_stream *s, const yk_error *e, yk_error *ret)
{
    bool lost = e->code == -ENODEV;
    char kernels[300] = "";
    if (s && s->recording)
        yk_record_fail(s, e);
    if (lost && s)
        name_kernels(s, kernels, sizeof kernels);
    const int code = e->code;
    yk_error whole; /* e may be the thread's own last */
    yk_errorf(&whole, code, "%.*s%s", (int)(sizeof e->text - 1 - strlen(kernels)), e->text, kernels);
    failed_here.number = dev->number;
    failed_here.error = whole;
    if (ret)
        *ret = whole;
    yk_mutex_lock(&dev->lock);
    dev->error = whole;
    yk_mutex_unlock(&dev->lock);
    if (lost) {
        atomic_store_explicit(&dev->status, code, memory_order_relaxed);
        atomic_store_explicit(&lost_in, this_process(), memory_order_relaxed);
    }
    return code;
}

int yk_device_fail(yoke_device *dev, yoke_stream *s, const yk_error *e)
{
    return fail(dev, s, e, NULL);
}

int yk_stream_fail(yoke_stream *s, const yk_error *e)
{
    return fail(s->dev, s, e, s->refused.code == 0 && !s->recording ? &s->refused : NULL); /* the recording's end tells it */
}

int yk_stream_keep(yoke_stream *s, int err)
{
    if (err < 0 && s->refused.code == 0 && !s->recording)
        yk_device_last_error(s->dev, &s->refused);
    return err;
}

/* ---- Memory that is not of a stream ---- */

void *yoke_device_alloc(yoke_device *dev, size_t size)
{
    return yk_device_check(dev) < 0 ? NULL : yk_memory_alloc(dev, NULL, size);
}

void yoke_device_free(yoke_device *dev, void *memory)
{
    if (memory && yk_device_usable(dev))
        yk_memory_free(dev, NULL, memory);
}
