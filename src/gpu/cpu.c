/* cpu: the CPU as a device. Its memory is ordinary memory; what is put in a stream is done when the call returns, a kernel by
 * the process's own pool of threads, or by a pool of its own when the device's name has a number ("cpu:4"). So there is
 * nothing to build, to launch or to wait for here: kernel.c runs the C form of a kernel where the driver has no build(). */
#include "gpu/gpu.h"
#include "topo/topo.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke/executor.h>

enum { MOST_THREADS = 4096 };

static int cpu_count(yk_error *e)
{
    return 1;
}

static void model_name(char *ret, size_t size)
{
    char text[4096];
    snprintf(ret, size, "CPU");
    if (!yk_read_text("/proc/cpuinfo", text, sizeof text))
        return;
    const char *line = strstr(text, "model name"), *name = line ? strchr(line, ':') : NULL;
    if (name)
        snprintf(ret, size, "%.*s", (int)strcspn(name + 2, "\n"), name + 2);
}

/* i: how many threads, 0 for the process's own pool. */
static void cpu_describe(unsigned i, yoke_device_info *ret)
{
    long page = sysconf(_SC_PAGESIZE), cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    snprintf(ret->uri, sizeof ret->uri, i ? "cpu:%u" : "cpu", i);
    snprintf(ret->driver, sizeof ret->driver, "cpu");
    snprintf(ret->version, sizeof ret->version, "%s", yoke_version());
    model_name(ret->name, sizeof ret->name);
    ret->numa = -1;
    ret->shares_host_memory = ret->has_double = true;
    ret->units = i ? i : yk_cpu_budget();
    ret->warp = ret->group_most = ret->unit_threads = 1;
    ret->memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)page;
    ret->memory_free = (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)page;
    ret->largest = ret->memory;
    ret->cache = cache > 0 ? (size_t)cache : 0;
    ret->local = ret->local_most = 64 << 10;
}

static int cpu_find(const char *arg, yk_error *e)
{
    char *end;
    unsigned long n = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end || n < 1 || n > MOST_THREADS)
        return yk_errorf(e, ENOENT, "cpu:%s: the number of threads is 1 to %d", arg, MOST_THREADS);
    return (int)n;
}

static int cpu_open(yoke_device *d, unsigned i, yk_error *e)
{
    if (i == 0)
        return 0; /* the process's own pool, which starts when it is first used */
    char uri[32];
    snprintf(uri, sizeof uri, "threads:%u", i);
    d->pool = yoke_open(uri);
    int err = yoke_executor_status(d->pool);
    if (err < 0) {
        yk_errorf(e, err, "cpu:%u: %.450s", i, yoke_executor_error(d->pool));
        yoke_close(d->pool);
        d->pool = NULL;
    }
    return err;
}

static void cpu_close(yoke_device *d)
{
    yoke_close(d->pool);
}

static int cpu_take(yoke_device *d, yk_span *span, yk_error *e)
{
    span->base = yk_large(256, span->size);
    return span->base ? 0 : yk_errorf(e, ENOMEM, "cpu: no memory");
}

static void cpu_give(yoke_device *d, yk_span *span)
{
    free(span->base);
}

static int cpu_pin(yoke_device *d, size_t size, void **ret, yk_error *e)
{
    void *p = yk_large(256, size);
    if (!p)
        return yk_errorf(e, ENOMEM, "cpu: no memory");
    *ret = p;
    return 0;
}

static void cpu_unpin(yoke_device *d, void *memory)
{
    free(memory);
}

static int stream_nothing(yoke_stream *s, yk_error *e)
{
    return 0;
}

static void stream_close(yoke_stream *s)
{
}

static int event_nothing(yoke_stream_event *v, yk_error *e)
{
    return 0;
}

static void event_close(yoke_stream_event *v)
{
}

static int event_mark(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    v->at = yoke_now();
    return 0;
}

static int event_after(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    return 0;
}

static int event_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret, yk_error *e)
{
    *ret = to->at - from->at;
    return 0;
}

static int cpu_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size, yk_error *e)
{
    memcpy(dst, src, size);
    return 0;
}

/* Doubles what is there until all is. */
static int cpu_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count, yk_error *e)
{
    size_t done = size, total = size * count;
    memcpy(dst, value, size);
    while (done < total) {
        size_t step = YK_MIN(YK_MIN(done, total - done), (size_t)32 << 10);
        memcpy((char *)dst + done, dst, step - step % size);
        done += step - step % size;
    }
    return 0;
}

const yk_gpu_driver yk_gpu_cpu = {
    .name = "cpu", .count = cpu_count, .describe = cpu_describe, .find = cpu_find, .open = cpu_open, .close = cpu_close,
    .take = cpu_take, .give = cpu_give, .pin = cpu_pin, .unpin = cpu_unpin,
    .stream_open = stream_nothing, .stream_close = stream_close, .stream_wait = stream_nothing, .stream_try = stream_nothing,
    .event_open = event_nothing, .event_close = event_close, .event_mark = event_mark, .event_after = event_after,
    .event_wait = event_nothing, .event_try = event_nothing, .event_elapsed = event_elapsed, .copy = cpu_copy, .fill = cpu_fill};
