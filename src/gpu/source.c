/* source: texts in a device's own language, for those who have them or want what the dialect of kernels has not. */
#include "gpu/kernel.h"
#include "task/module.h"
#include <stdio.h>
#include <stdlib.h>
#include <yoke/source.h>

#define FILE_MOST ((size_t)64 << 20)

/* kernels, and next of each, are read and written under lock; the rest stays as it was opened. */
struct yoke_source {
    yoke_device *dev;
    yk_image *image;
    int status;
    yk_buf log;
    yk_mutex lock;
    yoke_raw *kernels;
};

struct yoke_raw {
    yoke_source *source;
    yk_function function;
    yoke_raw *next;
    char name[];
};

static yoke_source *make(yoke_device *dev)
{
    yoke_source *src = yk_sys.calloc(1, sizeof *src);
    yk_error e;
    if (src) {
        src->dev = dev;
    } else if (yk_device_check(dev) == 0) {
        yk_errorf(&e, ENOMEM, "no memory for a source");
        yk_device_fail(dev, NULL, &e);
    }
    return src;
}

/* Keeps the error, and puts it where the log is if the compiler said nothing. */
static void fail(yoke_source *src, const yk_error *e)
{
    src->status = e->code;
    if (src->log.len == 0)
        yk_buf_text(&src->log, e->text);
    yk_buf_str(&src->log);
    yk_device_fail(src->dev, NULL, e);
}

static void compile(yoke_source *src, const char *text, const char *options)
{
    yk_error e = {0};
    yoke_device *dev = src->dev;
    int err = !dev->driver->build
        ? yk_errorf(&e, ENOTSUP, "%s: there is no other language than C: write a YOKE_KERNEL", dev->info.uri)
        : dev->driver->build(dev, text, options, "source", &src->image, &src->log, &e);
    yk_buf_str(&src->log);
    if (err < 0)
        fail(src, &e);
}

/* A device that cannot be used makes a source that cannot. */
static bool is_usable(yoke_source *src)
{
    src->status = yk_device_check(src->dev);
    if (src->status < 0)
        yk_buf_text(&src->log, yoke_device_error(src->dev));
    yk_buf_str(&src->log);
    return src->status == 0;
}

yoke_source *yoke_source_open(yoke_device *dev, const char *text, const char *options)
{
    yoke_source *src = make(dev);
    if (src && is_usable(src))
        compile(src, text, options ? options : "");
    return src;
}

yoke_source *yoke_source_read(yoke_device *dev, const char *path, const char *options)
{
    yoke_source *src = make(dev);
    yk_buf text = {0};
    yk_error e = {0};
    if (!src || !is_usable(src))
        return src;
    int err = yk_read_file(path, FILE_MOST, &text);
    yk_buf_str(&text);
    if (err == 0 && text.failed)
        err = -ENOMEM;
    if (err < 0) {
        yk_errorf(&e, err, "%s: %s", path, yoke_strerror(err));
        fail(src, &e);
    } else {
        compile(src, text.ptr, options ? options : "");
    }
    yk_buf_done(&text);
    return src;
}

int yoke_source_status(const yoke_source *src)
{
    return src ? src->status : -ENOMEM;
}

const char *yoke_source_log(const yoke_source *src)
{
    return !src ? "no memory" : src->log.failed || src->log.len == 0 ? "" : src->log.ptr;
}

void yoke_source_close(yoke_source *src)
{
    if (!src)
        return;
    if (src->image && yk_device_usable(src->dev))
        src->dev->driver->unload(src->dev, src->image);
    while (src->kernels) {
        yoke_raw *k = src->kernels;
        src->kernels = k->next;
        free(k);
    }
    yk_buf_done(&src->log);
    free(src);
}

/* ---- Kernels ---- */

static yoke_raw *find(yoke_source *src, const char *name)
{
    yoke_raw *k = src->kernels;
    while (k && strcmp(k->name, name) != 0)
        k = k->next;
    return k;
}

static int make_kernel(yoke_source *src, const char *name, yoke_raw **ret, yk_error *e)
{
    size_t len = strlen(name);
    yoke_raw *k = yk_sys.calloc(1, sizeof *k + len + 1);
    if (!k)
        return yk_errorf(e, ENOMEM, "kernel %s: no memory", name);
    memcpy(k->name, name, len);
    k->source = src;
    int err = src->dev->driver->function(src->image, name, &k->function, e);
    if (err < 0) {
        free(k);
        return err;
    }
    *ret = k;
    return 0;
}

yoke_raw *yoke_source_kernel(yoke_source *src, const char *name)
{
    yk_error e = {0};
    if (!src || src->status < 0 || yk_device_check(src->dev) < 0)
        return NULL;
    yk_mutex_lock(&src->lock);
    yoke_raw *k = find(src, name);
    if (!k && make_kernel(src, name, &k, &e) == 0) {
        k->next = src->kernels;
        src->kernels = k;
    }
    yk_mutex_unlock(&src->lock);
    if (!k)
        yk_device_fail(src->dev, NULL, &e);
    return k;
}

int yoke_raw_about(yoke_raw *kernel, yoke_raw_info *ret)
{
    if (!kernel)
        return -EINVAL;
    const yk_function *f = &kernel->function;
    *ret = (yoke_raw_info){f->registers, f->spilled_bytes, f->local_bytes, f->group_most};
    return 0;
}

/* ---- Launches ---- */

static int refuse_arg(const yoke_stream *s, const yoke_raw *k, unsigned i, const void *address, const yk_span *span, yk_error *e)
{
    char name[32];
    snprintf(name, sizeof name, "argument %u", i + 1);
    return yk_given_refuse(s->dev, "kernel ", k->name, &(yk_given){name, address, 1, 1, NULL}, span, e);
}

/* NULL is an address as any other: what the text makes of it is not known. */
static int put_args(yoke_stream *s, const yoke_raw *k, const yk_raw_arg *args, unsigned count, yk_kernel_arg *ret, yk_error *e)
{
    for (unsigned i = 0; i < count; i++) {
        ret[i] = (yk_kernel_arg){.value = args[i].value, .size = args[i].size, .is_memory = args[i].is_memory};
        if (!args[i].is_memory)
            continue;
        const void *address;
        memcpy(&address, args[i].value, sizeof address);
        const yk_span *span = yk_span_of(address);
        if (YK_UNLIKELY(address && !yk_reaches(s->dev, address, span)))
            return refuse_arg(s, k, i, address, span, e);
        ret[i].span = span && span->dev == s->dev ? span : NULL;
    }
    return 0;
}

static int put_shape(const yoke_stream *s, const yoke_raw *k, const yoke_shape *from, yk_shape *ret, yk_error *e)
{
    uint64_t threads = 1;
    ret->local = from->shared;
    for (int d = 0; d < 3; d++) {
        ret->groups[d] = YK_MAX(from->groups[d], 1);
        ret->group[d] = YK_MAX(from->group[d], 1);
        threads *= YK_MIN(ret->group[d], 1U << 20);
    }
    unsigned most = k->function.group_most ? k->function.group_most : s->dev->info.group_most;
    if (most && threads > most)
        return yk_errorf(e, EINVAL, "kernel %s: groups of %llu threads; %u is the most on %s", k->name,
                         (unsigned long long)threads, most, s->dev->info.uri);
    return 0;
}

int yk_enqueue_raw(yoke_stream *s, yoke_raw *kernel, yoke_shape shape, const yk_raw_arg *args, unsigned count)
{
    yk_error e;
    yk_error_clear(&e);
    yk_kernel_arg list[YK_PARAMS_MOST];
    yk_shape real;
    if (!s || !kernel || count > YK_PARAMS_MOST)
        return -EINVAL;
    int err = yk_device_check(s->dev);
    if (err < 0)
        return err;
    if (kernel->source->dev != s->dev)
        err = yk_errorf(&e, EINVAL, "kernel %s was compiled for %s, not for %s", kernel->name, kernel->source->dev->info.uri,
                        s->dev->info.uri);
    if (err == 0)
        err = put_shape(s, kernel, &shape, &real, &e);
    if (err == 0)
        err = put_args(s, kernel, args, count, list, &e);
    if (err == 0)
        err = yk_kernel_launch(s, "a kernel of a source", &kernel->function, &real, list, count, &e);
    return err < 0 ? yk_stream_fail(s, &e) : 0;
}
