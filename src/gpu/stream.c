/* stream: work of a device that is done in order, and the events in it. What is common to all drivers: checks, errors, the
 * list of a device's streams; the rest is the driver's. */
#include "gpu/graph.h"
#include <stdlib.h>

/* The end of a call that puts something in a stream. */
static int put(yoke_stream *s, int err, const yk_error *e)
{
    return err < 0 ? yk_stream_fail(s, e) : 0;
}

/* That of one that looks at what has been put there before: keeps the error. */
static int done(yoke_device *dev, yoke_stream *s, int err, const yk_error *e)
{
    return err < 0 && err != -EAGAIN ? yk_device_fail(dev, s, e) : err;
}

/* And what was refused before. It came first, but a device that is lost meanwhile matters more, so then both are told. */
static int told(yoke_stream *s, int err)
{
    if (s->refused.code == 0 || err == -EAGAIN || err == -ECHILD)
        return err;
    yk_error e = s->refused, late;
    s->refused.code = 0;
    if (err < 0 && err != e.code) {
        yk_device_last_error(s->dev, &late);
        yk_errorf(&e, err, "%.300s; before that: %.180s", late.text, s->refused.text);
    }
    return yk_device_fail(s->dev, NULL, &e);
}

yoke_stream *yoke_stream_open(yoke_device *dev)
{
    yk_error e;
    yk_error_clear(&e);
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
        return -EINVAL;
    if (s->dev->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed))
        return -ECHILD; /* the parent's */
    yk_record_drop(s);
    int err = yoke_stream_wait(s);
    if (s->counter)
        yk_memory_free(s->dev, NULL, s->counter);
    yk_memory_forget(s->dev, s);
    yk_graphs_forget(s);
    unlink_stream(s);
    s->dev->driver->stream_close(s);
    free(s);
    return err;
}

int yk_streams_close(yoke_device *dev)
{
    int err = 0;
    for (yoke_stream *s = dev->streams, *next; s; s = next) {
        next = s->next;
        int one = yoke_stream_close(s);
        err = err < 0 ? err : one;
    }
    return err;
}

yoke_device *yoke_stream_device(yoke_stream *s)
{
    return s ? s->dev : NULL;
}

/* ---- Waits ---- */

/* The pool of memory asks too whether a stream is done, and drivers may tell of an error once: it is kept for the user. */
static void keep_late(yoke_stream *s, const yk_error *e)
{
    yk_mutex_lock(&s->late_lock);
    if (s->late.code == 0)
        s->late = *e;
    yk_mutex_unlock(&s->late_lock);
}

/* err, or what was kept, unless that says less. */
static int tell_late(yoke_stream *s, int err, yk_error *e)
{
    yk_mutex_lock(&s->late_lock);
    if (s->late.code != 0 && err != -ENODEV) {
        *e = s->late;
        err = e->code;
    }
    s->late.code = 0;
    yk_mutex_unlock(&s->late_lock);
    return err;
}

int yk_stream_settle(yoke_stream *s)
{
    yk_error e;
    yk_error_clear(&e);
    int err = yk_device_check(s->dev);
    if (err == 0 && s->recording)
        return yk_record_refuse(s, "a wait");
    if (err == 0)
        return done(s->dev, s, tell_late(s, s->dev->driver->stream_wait(s, &e), &e), &e);
    if (yk_device_usable(s->dev))
        s->dev->driver->stream_wait(s, &e); /* what still runs must not use memory of the host that the caller now takes back */
    return err;
}

int yoke_stream_wait(yoke_stream *s)
{
    if (!s)
        return -EINVAL;
    return s->recording ? yk_stream_settle(s) : told(s, yk_stream_settle(s));
}

int yoke_stream_try(yoke_stream *s)
{
    yk_error e;
    yk_error_clear(&e);
    if (!s)
        return -EINVAL;
    int err = yk_device_check(s->dev);
    if (err == 0 && s->recording)
        return yk_record_refuse(s, "the question whether all has been done");
    return told(s, err < 0 ? err : done(s->dev, s, tell_late(s, s->dev->driver->stream_try(s, &e), &e), &e));
}

bool yk_stream_is_idle(yoke_stream *s)
{
    yk_error e;
    yk_error_clear(&e);
    int err = s->dev->driver->stream_try(s, &e);
    if (err < 0 && err != -EAGAIN)
        keep_late(s, &e);
    return err == 0;
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

/* What is in one stream, and where it was. */
typedef struct mark {
    yoke_stream_event event;
    yoke_stream *stream;
} mark;

struct yk_marks {
    yoke_device *dev;
    size_t count;
    mark all[];
};

void yk_marks_close(yk_marks *m)
{
    while (m->count > 0)
        m->dev->driver->event_close(&m->all[--m->count].event);
    free(m);
}

/* Of all streams of dev, whose lock is held. NULL: there are none, or that cannot be done. */
static yk_marks *mark_all(yoke_device *dev)
{
    const yk_gpu_driver *driver = dev->driver;
    size_t count = 0;
    yk_error e;
    for (yoke_stream *s = dev->streams; s; s = s->next)
        count++;
    yk_marks *m = count > 0 ? yk_sys.calloc(1, sizeof *m + count * sizeof m->all[0]) : NULL;
    if (!m)
        return NULL;
    m->dev = dev;
    for (yoke_stream *s = dev->streams; s; s = s->next) {
        mark *own = &m->all[m->count];
        *own = (mark){.event = {.dev = dev}, .stream = s};
        int err = driver->event_open(&own->event, &e);
        m->count += err == 0;
        if (err == 0 && driver->event_mark(s, &own->event, &e) == 0)
            continue;
        yk_marks_close(m);
        return NULL;
    }
    return m;
}

yk_marks *yk_streams_mark(yoke_device *dev)
{
    yk_mutex_lock(&dev->lock);
    yk_marks *m = mark_all(dev);
    yk_mutex_unlock(&dev->lock);
    return m;
}

/* Under the lock, for want of something better. */
static void wait_for_each(yoke_device *dev)
{
    for (yoke_stream *s = dev->streams; s; s = s->next) {
        yk_error e;
        yk_error_clear(&e);
        if (dev->driver->stream_wait(s, &e) < 0)
            keep_late(s, &e);
    }
}

/* e is kept by s, if that has not been closed meanwhile. */
static void keep_of_one(yoke_device *dev, const yoke_stream *wanted, const yk_error *e)
{
    yk_mutex_lock(&dev->lock);
    for (yoke_stream *s = dev->streams; s; s = s->next)
        if (s == wanted)
            keep_late(s, e);
    yk_mutex_unlock(&dev->lock);
}

/* Looks at one after the other with `look`, and closes those that have been come past, well or not. False: not all have been. */
static bool come_past(yk_marks *m, int (*look)(yoke_stream_event *v, yk_error *e))
{
    for (; m->count > 0; m->count--) {
        mark *last = &m->all[m->count - 1];
        yk_error e;
        yk_error_clear(&e);
        int err = look(&last->event, &e);
        if (err == -EAGAIN)
            return false;
        if (err < 0)
            keep_of_one(m->dev, last->stream, &e);
        m->dev->driver->event_close(&last->event);
    }
    free(m);
    return true;
}

bool yk_marks_are_past(yk_marks *m)
{
    return come_past(m, m->dev->driver->event_try);
}

void yk_streams_wait(yoke_device *dev)
{
    yk_mutex_lock(&dev->lock);
    yk_marks *m = mark_all(dev);
    if (!m)
        wait_for_each(dev);
    yk_mutex_unlock(&dev->lock);
    if (m)
        come_past(m, dev->driver->event_wait);
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
    if (yk_stream_check(s) < 0)
        return NULL;
    return s->recording ? yk_record_alloc(s, size) : yk_memory_alloc(s->dev, s, size);
}

void yoke_stream_free(yoke_stream *s, void *memory)
{
    if (!memory || !s || !yk_device_usable(s->dev))
        return;
    if (s->recording)
        yk_record_free(s, memory);
    else
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
    bool is_host = span->dev->driver == &yk_gpu_cpu && span->dev != dev; /* ordinary memory, for all others */
    if (span->dev != dev && !is_host)
        return yk_errorf(e, EINVAL, "%p is memory of %s, not of %s%s", p, span->dev->info.uri, dev->info.uri,
                         yk_as_opened(span->dev, dev));
    if (YK_UNLIKELY(atomic_load_explicit(&span->is_free, memory_order_relaxed)))
        return yk_errorf(e, EFAULT, "%p is memory of %s that has been freed", p, span->dev->info.uri);
    if (size > (size_t)(span->base + span->size - (const char *)p))
        return yk_errorf(e, EINVAL, "%zu bytes from %p on reach beyond their block of %s", size, p, dev->info.uri);
    if (is_host)
        *ret = NULL;
    return 0;
}

int yoke_stream_copy(yoke_stream *s, void *dst, const void *src, size_t size)
{
    yk_error e;
    yk_error_clear(&e);
    const yk_span *to = NULL, *from = NULL;
    int err = yk_stream_check(s);
    if (err < 0 || size == 0)
        return err;
    err = place(s->dev, dst, size, &to, &e);
    if (err == 0)
        err = place(s->dev, src, size, &from, &e);
    if (err == 0)
        err = yk_put_copy(s, dst, to, src, from, size, &e);
    return put(s, err, &e);
}

int yoke_stream_fill(yoke_stream *s, void *dst, const void *value, size_t size, size_t count)
{
    yk_error e;
    yk_error_clear(&e);
    const yk_span *to = NULL;
    size_t bytes;
    int err = yk_stream_check(s);
    if (err < 0 || count == 0)
        return err;
    if (size == 0 || size > 16 || (size & (size - 1)) || __builtin_mul_overflow(size, count, &bytes))
        err = yk_errorf(&e, EINVAL, "fill: %zu elements of %zu bytes; an element has 1, 2, 4, 8 or 16", count, size);
    else
        err = place(s->dev, dst, bytes, &to, &e);
    if (err == 0 && !to && s->dev->driver != &yk_gpu_cpu)
        err = yk_errorf(&e, EINVAL, "fill: %p is memory of the host, not of %s", dst, s->dev->info.uri);
    if (err == 0)
        err = yk_put_fill(s, dst, to, value, size, count, &e);
    return put(s, err, &e);
}

/* ---- Events ---- */

yoke_stream_event *yoke_stream_event_open(yoke_device *dev)
{
    yk_error e;
    yk_error_clear(&e);
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

static int refuse_event(const yoke_stream *s, const yoke_stream_event *v, yk_error *e)
{
    return yk_errorf(e, EINVAL, "the event belongs to %s, the stream to %s%s", v->dev->info.uri, s->dev->info.uri,
                     yk_as_opened(v->dev, s->dev));
}

static void note_kernels(yoke_stream_event *v, const yoke_stream *s)
{
    yk_mutex_lock(&v->lock);
    memcpy(v->recent, s->recent, sizeof v->recent);
    v->launches = s->launches;
    yk_mutex_unlock(&v->lock);
}

/* As done(), with the names of the kernels before the mark; the stream may be closed by now. */
static int done_event(yoke_stream_event *v, int err, const yk_error *e)
{
    if (err >= 0 || err == -EAGAIN)
        return err;
    yoke_stream names = {.dev = v->dev};
    yk_mutex_lock(&v->lock);
    memcpy(names.recent, v->recent, sizeof v->recent);
    names.launches = v->launches;
    yk_mutex_unlock(&v->lock);
    return yk_device_fail(v->dev, &names, e);
}

int yoke_stream_mark(yoke_stream *s, yoke_stream_event *v)
{
    yk_error e;
    yk_error_clear(&e);
    int err = v ? yk_stream_check(s) : -EINVAL;
    if (err < 0)
        return err;
    if (s->recording)
        return yk_record_refuse(s, "an event");
    if (v->dev != s->dev)
        err = refuse_event(s, v, &e);
    else
        err = s->dev->driver->event_mark(s, v, &e);
    if (err == 0)
        note_kernels(v, s);
    v->marked |= err == 0;
    return put(s, err, &e);
}

int yoke_stream_after(yoke_stream *s, yoke_stream_event *v)
{
    yk_error e;
    yk_error_clear(&e);
    int err = v ? yk_stream_check(s) : -EINVAL;
    if (err < 0 || !v->marked)
        return err;
    if (s->recording)
        return yk_record_refuse(s, "a wait for an event");
    if (v->dev != s->dev)
        err = refuse_event(s, v, &e);
    else
        err = s->dev->driver->event_after(s, v, &e);
    return put(s, err, &e);
}

int yoke_stream_event_wait(yoke_stream_event *v)
{
    yk_error e;
    yk_error_clear(&e);
    int err = v ? yk_device_check(v->dev) : -EINVAL;
    return err < 0 || !v->marked ? err : done_event(v, v->dev->driver->event_wait(v, &e), &e);
}

int yoke_stream_event_try(yoke_stream_event *v)
{
    yk_error e;
    yk_error_clear(&e);
    int err = v ? yk_device_check(v->dev) : -EINVAL;
    return err < 0 || !v->marked ? err : done_event(v, v->dev->driver->event_try(v, &e), &e);
}

int yoke_stream_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret)
{
    yk_error e;
    yk_error_clear(&e);
    int err = from && to && ret ? yk_device_check(from->dev) : -EINVAL;
    if (err < 0)
        return err;
    if (from->dev != to->dev || !from->marked || !to->marked)
        err = yk_errorf(&e, EINVAL, "elapsed: %s", from->dev != to->dev ? "the events belong to two devices"
                                                                        : "an event was never marked");
    if (err == 0)
        err = from->dev->driver->event_elapsed(from, to, ret, &e); /* waits for both */
    return done_event(from->dev == to->dev ? to : from, err, &e);
}
