/* stream: work of a device that is done in order, and the events in it. What is common to all drivers: checks, errors, the
 * list of a device's streams; the rest is the driver's. */
#include "gpu/gpu.h"
#include <stdlib.h>

/* The end of each call: keeps the error. */
static int done(yoke_device *dev, yoke_stream *s, int err, const yk_error *e)
{
    return err < 0 && err != -EAGAIN ? yk_device_fail(dev, s, e) : err;
}

yoke_stream *yoke_stream_open(yoke_device *dev)
{
    yk_error e = {0};
    if (yk_device_check(dev) < 0)
        return NULL;
    yoke_stream *s = yk_sys.calloc(1, sizeof *s);
    if (!s) {
        yk_errorf(&e, ENOMEM, "no memory");
        yk_device_fail(dev, NULL, &e);
        return NULL;
    }
    s->dev = dev;
    if (dev->driver->stream_open(s, &e) < 0) {
        free(s);
        yk_device_fail(dev, NULL, &e);
        return NULL;
    }
    yk_mutex_lock(&dev->lock);
    s->next = dev->streams;
    dev->streams = s;
    yk_mutex_unlock(&dev->lock);
    return s;
}

static void unlink_stream(yoke_stream *s)
{
    yk_mutex_lock(&s->dev->lock);
    yoke_stream **at = &s->dev->streams;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    yk_mutex_unlock(&s->dev->lock);
}

int yoke_stream_close(yoke_stream *s)
{
    if (!s)
        return 0;
    if (s->dev->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed))
        return -ECHILD; /* the parent's */
    int err = yoke_stream_wait(s);
    if (s->counter)
        yk_memory_free(s->dev, NULL, s->counter);
    yk_memory_forget(s->dev, s);
    unlink_stream(s);
    s->dev->driver->stream_close(s);
    free(s);
    return err;
}

void yk_streams_close(yoke_device *dev)
{
    for (yoke_stream *s = dev->streams, *next; s; s = next) {
        next = s->next;
        yoke_stream_close(s);
    }
}

yoke_device *yoke_stream_device(yoke_stream *s)
{
    return s->dev;
}

int yoke_stream_wait(yoke_stream *s)
{
    yk_error e = {0};
    int err = yk_device_check(s->dev);
    if (err == 0)
        return done(s->dev, s, s->dev->driver->stream_wait(s, &e), &e);
    if (yk_device_usable(s->dev))
        s->dev->driver->stream_wait(s, &e); /* what still runs must not use memory of the host that the caller now takes back */
    return err;
}

int yoke_stream_try(yoke_stream *s)
{
    yk_error e = {0};
    int err = yk_device_check(s->dev);
    return err < 0 ? err : done(s->dev, s, s->dev->driver->stream_try(s, &e), &e);
}

bool yk_stream_is_idle(yoke_stream *s)
{
    yk_error e;
    return s->dev->driver->stream_try(s, &e) == 0;
}

bool yk_streams_are_idle(yoke_device *dev)
{
    bool idle = true;
    yk_mutex_lock(&dev->lock);
    for (yoke_stream *s = dev->streams; s && idle; s = s->next)
        idle = yk_stream_is_idle(s);
    yk_mutex_unlock(&dev->lock);
    return idle;
}

int yk_streams_wait(yoke_device *dev)
{
    yk_error e;
    yk_mutex_lock(&dev->lock);
    for (yoke_stream *s = dev->streams; s; s = s->next)
        dev->driver->stream_wait(s, &e);
    yk_mutex_unlock(&dev->lock);
    return 0;
}

/* s waits for one other stream, by an event that lasts as long as it takes to say so. */
static int after_one(yoke_stream *s, yoke_stream *first, yk_error *e)
{
    const yk_gpu_driver *driver = s->dev->driver;
    yoke_stream_event v = {.dev = s->dev};
    int err = driver->event_open(&v, e);
    if (err < 0)
        return err;
    err = driver->event_mark(first, &v, e);
    if (err == 0)
        err = driver->event_after(s, &v, e);
    driver->event_close(&v); /* those who wait for it go on waiting */
    return err;
}

int yk_stream_after_stream(yoke_stream *s, yoke_stream *first, yk_error *e)
{
    if (first)
        return after_one(s, first, e);
    int err = 0;
    yk_mutex_lock(&s->dev->lock);
    for (yoke_stream *other = s->dev->streams; other && err == 0; other = other->next)
        if (other != s)
            err = after_one(s, other, e);
    yk_mutex_unlock(&s->dev->lock);
    return err;
}

/* ---- Memory in the order of a stream ---- */

void *yoke_stream_alloc(yoke_stream *s, size_t size)
{
    return yk_device_check(s->dev) < 0 ? NULL : yk_memory_alloc(s->dev, s, size);
}

void yoke_stream_free(yoke_stream *s, void *memory)
{
    if (memory && yk_device_usable(s->dev))
        yk_memory_free(s->dev, s, memory);
}

/* p and size bytes from there lie in one span of dev, or on the host; *ret is the span or NULL. */
static int place(yoke_device *dev, const void *p, size_t size, const yk_span **ret, yk_error *e)
{
    const yk_span *span = *ret = yk_span_of(p);
    if (!p && size > 0)
        return yk_errorf(e, EINVAL, "%s: the address is NULL", dev->info.uri);
    if (!span)
        return 0;
    bool is_host = span->dev->driver == &yk_gpu_cpu && dev->driver != &yk_gpu_cpu; /* ordinary memory, for all others */
    if (span->dev != dev && !is_host)
        return yk_errorf(e, EINVAL, "%p is memory of %s, not of %s", p, span->dev->info.uri, dev->info.uri);
    if (size > (size_t)(span->base + span->size - (const char *)p))
        return yk_errorf(e, EINVAL, "%zu bytes from %p on reach beyond their block of %s", size, p, dev->info.uri);
    if (is_host)
        *ret = NULL;
    return 0;
}

int yoke_stream_copy(yoke_stream *s, void *dst, const void *src, size_t size)
{
    yk_error e = {0};
    const yk_span *to = NULL, *from = NULL;
    int err = yk_device_check(s->dev);
    if (err < 0 || size == 0)
        return err;
    err = place(s->dev, dst, size, &to, &e);
    if (err == 0)
        err = place(s->dev, src, size, &from, &e);
    if (err == 0)
        err = s->dev->driver->copy(s, dst, to, src, from, size, &e);
    return done(s->dev, s, err, &e);
}

int yoke_stream_fill(yoke_stream *s, void *dst, const void *value, size_t size, size_t count)
{
    yk_error e = {0};
    const yk_span *to = NULL;
    size_t bytes;
    int err = yk_device_check(s->dev);
    if (err < 0 || count == 0)
        return err;
    if (size == 0 || size > 16 || (size & (size - 1)) || __builtin_mul_overflow(size, count, &bytes))
        err = yk_errorf(&e, EINVAL, "fill: %zu elements of %zu bytes; an element has 1, 2, 4, 8 or 16", count, size);
    else
        err = place(s->dev, dst, bytes, &to, &e);
    if (err == 0 && !to && s->dev->driver != &yk_gpu_cpu)
        err = yk_errorf(&e, EINVAL, "fill: %p is memory of the host, not of %s", dst, s->dev->info.uri);
    if (err == 0)
        err = s->dev->driver->fill(s, dst, to, value, size, count, &e);
    return done(s->dev, s, err, &e);
}

/* ---- Events ---- */

yoke_stream_event *yoke_stream_event_open(yoke_device *dev)
{
    yk_error e = {0};
    if (yk_device_check(dev) < 0)
        return NULL;
    yoke_stream_event *v = yk_sys.calloc(1, sizeof *v);
    if (!v) {
        yk_errorf(&e, ENOMEM, "no memory");
    } else {
        v->dev = dev;
        if (dev->driver->event_open(v, &e) == 0)
            return v;
    }
    free(v);
    yk_device_fail(dev, NULL, &e);
    return NULL;
}

void yoke_stream_event_close(yoke_stream_event *v)
{
    if (!v)
        return;
    if (yk_device_usable(v->dev))
        v->dev->driver->event_close(v);
    free(v);
}

int yoke_stream_mark(yoke_stream *s, yoke_stream_event *v)
{
    yk_error e = {0};
    int err = yk_device_check(s->dev);
    if (err < 0)
        return err;
    if (v->dev != s->dev)
        err = yk_errorf(&e, EINVAL, "the event belongs to %s, the stream to %s", v->dev->info.uri, s->dev->info.uri);
    else
        err = s->dev->driver->event_mark(s, v, &e);
    v->marked |= err == 0;
    return done(s->dev, s, err, &e);
}

int yoke_stream_after(yoke_stream *s, yoke_stream_event *v)
{
    yk_error e = {0};
    int err = yk_device_check(s->dev);
    if (err < 0 || !v->marked)
        return err;
    if (v->dev != s->dev)
        err = yk_errorf(&e, EINVAL, "the event belongs to %s, the stream to %s", v->dev->info.uri, s->dev->info.uri);
    else
        err = s->dev->driver->event_after(s, v, &e);
    return done(s->dev, s, err, &e);
}

int yk_stream_event_wait(yoke_stream_event *v, yoke_stream *s)
{
    yk_error e = {0};
    int err = yk_device_check(v->dev);
    return err < 0 || !v->marked ? err : done(v->dev, s, v->dev->driver->event_wait(v, &e), &e);
}

int yoke_stream_event_wait(yoke_stream_event *v)
{
    return yk_stream_event_wait(v, NULL);
}

int yoke_stream_event_try(yoke_stream_event *v)
{
    yk_error e = {0};
    int err = yk_device_check(v->dev);
    return err < 0 || !v->marked ? err : done(v->dev, NULL, v->dev->driver->event_try(v, &e), &e);
}

int yoke_stream_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret)
{
    yk_error e = {0};
    int err = yk_device_check(from->dev);
    if (err < 0)
        return err;
    if (from->dev != to->dev || !from->marked || !to->marked)
        err = yk_errorf(&e, EINVAL, "elapsed: %s", from->dev != to->dev ? "the events belong to two devices"
                                                                        : "an event was never marked");
    if (err == 0)
        err = from->dev->driver->event_wait(from, &e);
    if (err == 0)
        err = from->dev->driver->event_wait(to, &e);
    if (err == 0)
        err = from->dev->driver->event_elapsed(from, to, ret, &e);
    return done(from->dev, NULL, err, &e);
}
