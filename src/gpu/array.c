/* array: arrays as objects - who owns what, on which stream, and how they come to be from memory of the host or of the device.
 *
 * An array is a window on storage; storage is counted. It was allocated in the order of a stream and is given back in the
 * order of that stream, so nobody waits for a computation that still uses it. Work of another stream is told to storage by
 * yk_array_enter(), and makes its own stream wait for all others before the memory is free. */
#include "gpu/array.h"
#include "base/list.h"
#include "exec/exec.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- Errors ---- */

yoke_array *yk_array_fail(yoke_stream *s, int code, const char *format, ...)
{
    yk_error e = {.code = code < 0 ? code : -code};
    va_list ap;
    va_start(ap, format);
    vsnprintf(e.text, sizeof e.text, format, ap);
    va_end(ap);
    yk_device_fail(s->dev, s, &e);
    return NULL;
}

int yk_array_code(const yoke_stream *s)
{
    yk_error e = {0};
    int err = yk_device_check(s->dev);
    yk_device_last_error(s->dev, &e);
    return err < 0 ? err : e.code < 0 ? e.code : -EINVAL;
}

yk_shape_text yk_dims_text(size_t ndim, const size_t *shape)
{
    yk_shape_text t = {"("};
    size_t at = 1;
    for (size_t d = 0; d < ndim && at < sizeof t.text; d++)
        at += (size_t)snprintf(t.text + at, sizeof t.text - at, "%s%zu", d ? ", " : "", shape[d]);
    if (at < sizeof t.text)
        snprintf(t.text + at, sizeof t.text - at, "%s)", ndim == 1 ? "," : "");
    return t;
}

yk_shape_text yk_shape_of(const yoke_array *a)
{
    yk_shape_text t, shape = yk_dims_text(a->ndim, a->shape);
    if (yk_array_is_number(a))
        snprintf(t.text, sizeof t.text, "a number");
    else
        snprintf(t.text, sizeof t.text, "%s %.100s", yoke_array_type_name(a->type), shape.text);
    return t;
}

bool yk_array_type_ok(yoke_stream *s, const char *what, unsigned type)
{
    if (type >= YOKE_BOOL && type <= YOKE_F64) {
        if (type == YOKE_F64 && !s->dev->info.has_double) {
            yk_array_fail(s, ENOTSUP, "%s: %s has no f64", what, s->dev->info.uri);
            return false;
        }
        return true;
    }
    yk_array_fail(s, EINVAL, "%s: %u is no type of an array: YOKE_BOOL, YOKE_I8 to YOKE_U64, YOKE_F32, YOKE_F64", what, type);
    return false;
}

int yk_array_axis(const yoke_array *a, const char *what, ptrdiff_t axis)
{
    ptrdiff_t n = (ptrdiff_t)a->ndim, at = axis < 0 ? axis + n : axis;
    if (at >= 0 && at < n)
        return (int)at;
    if (n == 0)
        yk_array_fail(a->stream, EINVAL, "%s: axis %td of an array without any", what, axis);
    else
        yk_array_fail(a->stream, EINVAL, "%s: axis %td of %s, which has 0 to %td, or -1 to %td", what, axis,
                      yk_shape_of(a).text,
                      n - 1, -n);
    return -EINVAL;
}

bool yk_array_axes(const yoke_array *a, const char *what, yoke_dims axes, unsigned *ret)
{
    unsigned set = 0;
    if (axes.count == SIZE_MAX) {
        *ret = (1u << a->ndim) - 1;
        return true;
    }
    if (axes.count > YOKE_DIMS) {
        yk_array_fail(a->stream, EINVAL, "%s: %zu axes, at most %d", what, axes.count, YOKE_DIMS);
        return false;
    }
    for (size_t k = 0; k < axes.count; k++) {
        int axis = yk_array_axis(a, what, axes.at[k]);
        if (axis < 0)
            return false;
        if (set & 1u << axis) {
            yk_array_fail(a->stream, EINVAL, "%s: axis %td twice", what, axes.at[k]);
            return false;
        }
        set |= 1u << axis;
    }
    *ret = set;
    return true;
}

/* ---- Arrays and storage ---- */

size_t yoke_array_elements(const yoke_array *a)
{
    return a ? yk_view_elements(a->ndim, a->shape) : 0;
}

bool yoke_array_is_flat(const yoke_array *a)
{
    return a && yk_view_is_flat(a->ndim, a->shape, a->step);
}

void yk_flat_steps(size_t ndim, const size_t *shape, ptrdiff_t *ret)
{
    size_t each = 1;
    for (size_t d = ndim; d-- > 0; each *= shape[d] ? shape[d] : 1)
        ret[d] = (ptrdiff_t)each;
}

bool yk_array_shape_ok(yoke_stream *s, const char *what, unsigned type, size_t ndim, const size_t *shape)
{
    size_t size = yoke_array_type_size(type);
    bool over = false;
    for (size_t d = 0; d < ndim; d++) /* a length of 0 makes none, but its neighbours have steps all the same */
        over |= __builtin_mul_overflow(size, YK_MAX(shape[d], (size_t)1), &size);
    if (over || size > PTRDIFF_MAX)
        yk_array_fail(s, ENOMEM, "%s: shape %s has more elements than there can be", what, yk_dims_text(ndim, shape).text);
    return !over && size <= PTRDIFF_MAX;
}

bool yk_array_extent(const yoke_array *a, ptrdiff_t *low, ptrdiff_t *high)
{
    ptrdiff_t size = (ptrdiff_t)yoke_array_type_size(a->type);
    bool over = false;
    *low = 0;
    *high = yoke_array_elements(a) > 0 ? size : 0;
    for (size_t d = 0; d < a->ndim && *high > 0; d++) {
        ptrdiff_t by, *end = a->step[d] < 0 ? low : high;
        over |= __builtin_mul_overflow((ptrdiff_t)(a->shape[d] - 1), a->step[d], &by);
        over |= __builtin_mul_overflow(by, size, &by);
        over |= __builtin_add_overflow(*end, by, end);
    }
    return !over;
}

/* scope may be NULL. */
static void link_scope(yoke_array *a, yoke_array_scope *scope)
{
    a->scope = scope;
    if (!scope)
        return;
    YK_LIST_ENTER(&scope->first, a, next, link);
}

/* Takes over the caller's use of storage, which on failure stays the caller's. */
static yoke_array *object(yoke_stream *s, yk_storage *storage, unsigned type)
{
    yoke_array *a = yk_sys.calloc(1, sizeof *a);
    if (!a)
        return yk_array_fail(s, ENOMEM, "no memory for an array");
    a->stream = s;
    a->storage = storage;
    a->type = (uint16_t)type;
    link_scope(a, yk_scope());
    return a;
}

static void unlink_scope(yoke_array *a)
{
    if (!a->scope)
        return;
    YK_LIST_LEAVE(a, next, link);
    a->scope = NULL;
}

static void wait_for_users(yk_storage *st)
{
    yk_stream_settle(st->stream);
    if (atomic_load_explicit(&st->foreign, memory_order_relaxed) && yk_device_usable(st->stream->dev))
        yk_streams_wait(st->stream->dev);
}

void yk_storage_drop(yk_storage *st)
{
    /* Pairs with the others' drops: the last sees what they did. */
    if (atomic_fetch_sub_explicit(&st->users, 1, memory_order_acq_rel) > 1)
        return;
    yk_error e = {0};
    if (st->memory && atomic_load_explicit(&st->foreign, memory_order_relaxed) && yk_device_usable(st->stream->dev))
        yk_stream_after_stream(st->stream, NULL, &e);
    if (st->memory)
        yoke_stream_free(st->stream, st->memory);
    if (st->dlpack && st->dlpack->deleter) {
        wait_for_users(st); /* its owner knows nothing of streams */
        st->dlpack->deleter(st->dlpack);
    }
    free(st);
}

void yoke_array_free(yoke_array *a)
{
    if (!a || yk_array_is_number(a))
        return;
    unlink_scope(a);
    yk_storage_drop(a->storage);
    free(a);
}

void yoke_array_begin(yoke_array_scope *scope)
{
    *scope = (yoke_array_scope){.around = yk_scope_enter(scope)};
}

yoke_array *yoke_array_end(yoke_array_scope *scope, yoke_array *keep)
{
    yk_scope_enter(scope->around);
    if (keep && keep->scope == scope) {
        unlink_scope(keep);
        link_scope(keep, scope->around);
    }
    for (yoke_array *a = scope->first, *next; a; a = next) {
        next = a->next;
        yoke_array_free(a);
    }
    return keep;
}

int yk_array_cannot_record(yoke_stream *s)
{
    if (YK_LIKELY(!s->recording || s->dev->driver->build))
        return 0;
    yk_array_fail(s, ENOTSUP, "arrays of the CPU cannot be recorded: what is done with them is done when the call returns");
    return -ENOTSUP;
}

int yk_array_enter(const yoke_array *a, yoke_stream *s)
{
    yk_error e = {0};
    if (yk_array_is_number(a) || a->stream == s)
        return 0;
    if (a->stream->dev != s->dev) {
        yk_array_fail(s, EXDEV, "%s is on %s, not on %s%s: yoke_array_to() copies it there", yk_shape_of(a).text,
                      a->stream->dev->info.uri, s->dev->info.uri, yk_as_opened(a->stream->dev, s->dev));
        return -EXDEV;
    }
    if (s->recording || a->stream->recording) {
        yk_array_fail(s, ENOTSUP, "work on arrays of two streams cannot be recorded");
        return -ENOTSUP;
    }
    atomic_store_explicit(&a->storage->foreign, true, memory_order_relaxed);
    int err = yk_stream_after_stream(s, a->stream, &e);
    return err < 0 ? yk_device_fail(s->dev, s, &e) : 0;
}

int yk_array_before_write(const yoke_array *a, const char *what)
{
    yk_error e = {0};
    yoke_stream *s = a->stream;
    if (a->storage->read_only) {
        yk_array_fail(s, EROFS, "%s: %s is another library's to write: yoke_array_copy() it", what, yk_shape_of(a).text);
        return -EROFS;
    }
    for (size_t d = 0; d < a->ndim && yoke_array_elements(a) > 0; d++)
        if (a->shape[d] > 1 && a->step[d] == 0) {
            yk_array_fail(s, EINVAL, "%s: %s repeats its elements along axis %zu: yoke_array_copy() it", what,
                          yk_shape_of(a).text, d);
            return -EINVAL;
        }
    if (!atomic_load_explicit(&a->storage->foreign, memory_order_relaxed))
        return 0;
    int err = yk_stream_after_stream(s, NULL, &e);
    return err < 0 ? yk_device_fail(s->dev, s, &e) : 0;
}

static yk_storage *storage_for(yoke_stream *s, size_t size)
{
    yk_storage *st = yk_sys.calloc(1, sizeof *st);
    if (!st) {
        yk_array_fail(s, ENOMEM, "no memory for an array");
        return NULL;
    }
    st->users = 1;
    st->stream = s;
    if (size > 0)
        st->memory = yoke_stream_alloc(s, size);
    if (size > 0 && !st->memory) {
        free(st);
        return NULL; /* the pool kept the error */
    }
    return st;
}

yoke_array *yk_array_new(yoke_stream *s, unsigned type, size_t ndim, const size_t *shape)
{
    if (!s || yk_device_check(s->dev) < 0 || !yk_array_type_ok(s, "an array", type) ||
        !yk_array_shape_ok(s, "an array", type, ndim, shape))
        return NULL;
    if (yk_array_cannot_record(s) < 0)
        return NULL;
    yk_storage *st = storage_for(s, YK_MAX(yk_view_elements(ndim, shape) * yoke_array_type_size(type), 1));
    if (!st)
        return NULL;
    yoke_array *a = object(s, st, type);
    if (!a) {
        yk_storage_drop(st);
        return NULL;
    }
    a->data = st->memory;
    a->ndim = ndim;
    memcpy(a->shape, shape, ndim * sizeof *shape);
    yk_flat_steps(ndim, shape, a->step);
    return a;
}

yoke_array *yk_array_window(const yoke_array *a)
{
    yoke_array *w = object(a->stream, a->storage, a->type);
    if (!w)
        return NULL;
    atomic_fetch_add_explicit(&a->storage->users, 1, memory_order_relaxed);
    w->data = a->data;
    w->ndim = a->ndim;
    memcpy(w->shape, a->shape, sizeof w->shape);
    memcpy(w->step, a->step, sizeof w->step);
    return w;
}

/* ---- From and to the host ---- */

/* A shape that a user gave, as lengths; false: the error. */
static bool lengths(yoke_stream *s, const char *what, yoke_dims shape, size_t *ret)
{
    if (shape.count > YOKE_DIMS) {
        yk_array_fail(s, EINVAL, "%s: %zu dimensions, at most %d", what, shape.count, YOKE_DIMS);
        return false;
    }
    for (size_t d = 0; d < shape.count; d++) {
        if (shape.at[d] < 0) {
            yk_array_fail(s, EINVAL, "%s: a length of %td", what, shape.at[d]);
            return false;
        }
        ret[d] = (size_t)shape.at[d];
    }
    return true;
}

yoke_array *yoke_array_empty(yoke_stream *s, unsigned type, yoke_dims shape)
{
    size_t n[YOKE_DIMS];
    if (!s || !lengths(s, "an array", shape, n))
        return NULL;
    return yk_array_new(s, type, shape.count, n);
}

yoke_array *yoke_array_from(yoke_stream *s, unsigned type, yoke_dims shape, const void *host)
{
    yoke_array *a = yoke_array_empty(s, type, shape);
    const size_t size = a ? yoke_array_elements(a) * yoke_array_type_size(type) : 0;
    if (a && yk_unkept(s, yoke_stream_copy(s, a->data, host, size)) < 0) {
        yoke_array_free(a);
        return NULL;
    }
    return a;
}

/* Whether a's elements lie in memory that s may use, of which nothing is known when it is the host's own; else the error. */
static bool memory_ok(yoke_stream *s, const yoke_array *a)
{
    const yk_span *span = yk_span_of(a->data);
    bool here = span ? span->dev == s->dev || (!s->dev->driver->build && !span->dev->driver->build) : !s->dev->driver->build;
    ptrdiff_t low, high;
    if (!a->data && yoke_array_elements(a) > 0)
        yk_array_fail(s, EINVAL, "over: the address is NULL");
    else if (!here)
        yk_array_fail(s, EINVAL, "over: %p is memory of %s, not of %s%s", a->data, span ? span->dev->info.uri : "the host",
                      s->dev->info.uri, span ? yk_as_opened(span->dev, s->dev) : "");
    else if (span && atomic_load_explicit(&span->is_free, memory_order_relaxed))
        yk_array_fail(s, EFAULT, "over: %p is memory of %s that has been freed", a->data, span->dev->info.uri);
    else if ((uintptr_t)a->data % yoke_array_type_size(a->type))
        yk_array_fail(s, EINVAL, "over: %p is not aligned for %s", a->data, yoke_array_type_name(a->type));
    else if (!yk_array_extent(a, &low, &high))
        yk_array_fail(s, EINVAL, "over: the steps of shape %s reach beyond all memory", yk_dims_text(a->ndim, a->shape).text);
    else if (span && ((char *)a->data - span->base < -low || span->base + span->size - (char *)a->data < high))
        yk_array_fail(s, EINVAL, "over: shape %s from %p on reaches beyond its block of %zu bytes",
                      yk_dims_text(a->ndim, a->shape).text, a->data, span->size);
    else
        return true;
    return false;
}

yoke_array *yoke_array_over(yoke_stream *s, unsigned type, yoke_dims shape, const ptrdiff_t *steps, void *memory)
{
    size_t n[YOKE_DIMS];
    if (!s || !lengths(s, "over", shape, n) || !yk_array_type_ok(s, "over", type) ||
        !yk_array_shape_ok(s, "over", type, shape.count, n))
        return NULL;
    yoke_array as = {.data = memory, .type = (uint16_t)type, .ndim = shape.count};
    memcpy(as.shape, n, as.ndim * sizeof *n);
    yk_flat_steps(as.ndim, as.shape, as.step);
    if (steps)
        memcpy(as.step, steps, as.ndim * sizeof *steps);
    yk_storage *st = memory_ok(s, &as) ? storage_for(s, 0) : NULL;
    yoke_array *a = st ? object(s, st, type) : NULL;
    if (!a) {
        if (st)
            yk_storage_drop(st);
        return NULL;
    }
    a->data = memory;
    a->ndim = as.ndim;
    memcpy(a->shape, as.shape, sizeof a->shape);
    memcpy(a->step, as.step, sizeof a->step);
    return a;
}

int yk_host_of(const yoke_array *a, yk_host *ret)
{
    size_t size = yoke_array_elements(a) * yoke_array_type_size(a->type);
    yk_host h = {.own = yoke_array_flat(a)};
    int err = h.own ? 0 : yk_array_code(a->stream);
    if (err == 0 && !yk_array_is_on_host(a)) {
        h.copy = h.data = yk_sys.malloc(YK_MAX(size, 1));
        if (!h.copy)
            yk_array_fail(a->stream, ENOMEM, "no memory on the host for %s", yk_shape_of(a).text);
        err = h.copy ? yk_unkept(a->stream, yoke_stream_copy(a->stream, h.copy, h.own->data, size)) : -ENOMEM;
    } else if (err == 0) {
        h.data = h.own->data;
    }
    if (err == 0)
        err = yk_stream_settle(a->stream);
    if (err < 0)
        yk_host_done(&h);
    else
        *ret = h;
    return err;
}

void yk_host_done(yk_host *h)
{
    yoke_array_free(h->own);
    free(h->copy);
}

int yoke_array_get(const yoke_array *a, void *host, size_t size)
{
    if (!a || yk_array_is_number(a))
        return -EINVAL;
    size_t needed = yoke_array_elements(a) * yoke_array_type_size(a->type);
    if (size < needed) {
        yk_array_fail(a->stream, EINVAL, "get: %s has %zu bytes, there is room for %zu", yk_shape_of(a).text, needed, size);
        return -EINVAL;
    }
    yoke_array *flat = yoke_array_flat(a);
    int err = flat ? yk_unkept(a->stream, yoke_stream_copy(a->stream, host, flat->data, needed)) : yk_array_code(a->stream);
    if (err == 0)
        err = yk_stream_settle(a->stream);
    yoke_array_free(flat);
    return err;
}

/* The one element, as `type`, 8 bytes. */
static int item(const yoke_array *a, unsigned type, void *ret)
{
    uint64_t raw = 0;
    if (!a || yk_array_is_number(a))
        return -EINVAL;
    if (!ret) {
        yk_array_fail(a->stream, EINVAL, "item: the address is NULL");
        return -EINVAL;
    }
    if (yoke_array_elements(a) != 1) {
        yk_array_fail(a->stream, EINVAL, "item: %s has %zu elements, not one", yk_shape_of(a).text, yoke_array_elements(a));
        return -EINVAL;
    }
    int err = yoke_array_get(a, &raw, sizeof raw);
    if (err == 0)
        yk_casts[a->type][type](1, &raw, 1, ret, 1);
    return err;
}

int yoke_array_item(const yoke_array *a, double *ret)
{
    return item(a, YOKE_F64, ret);
}

int yoke_array_item_int(const yoke_array *a, int64_t *ret)
{
    return item(a, YOKE_I64, ret);
}

/* ---- Views of yoke/task.h ---- */

yoke_array *yk_array_of_view(yoke_stream *s, unsigned code, const void *ptr, size_t ndim, const size_t *shape,
                             const ptrdiff_t *step)
{
    unsigned type = code & ~(unsigned)(YOKE_IN | YOKE_OUT);
    if (!s || ndim > YOKE_DIMS)
        return s ? yk_array_fail(s, EINVAL, "of_view: %zu dimensions, at most %d", ndim, YOKE_DIMS) : NULL;
    if (!ptr && yk_view_elements(ndim, shape) > 0)
        return yk_array_fail(s, EINVAL, "of_view: the address is NULL");
    yoke_array *a = yk_array_new(s, type, ndim, shape);
    if (!a)
        return NULL;
    size_t n = yoke_array_elements(a), size = n * yoke_array_type_size(type);
    yk_layout l = {.ndim = ndim, .elements = n};
    memcpy(l.shape, shape, ndim * sizeof *shape);
    memcpy(l.step[0], step, ndim * sizeof *step);
    void *flat = yk_sys.malloc(YK_MAX(size, 1));
    int err = flat ? 0 : -ENOMEM;
    if (flat) {
        yk_layout_gather(&l, 0, ptr, type, 0, n, flat, type);
        err = yk_unkept(s, yoke_stream_copy(s, a->data, flat, size));
    }
    if (err == 0)
        err = yk_stream_settle(s);
    if (!flat)
        yk_array_fail(s, ENOMEM, "of_view: no memory on the host");
    free(flat);
    if (err < 0)
        yoke_array_free(a);
    return err < 0 ? NULL : a;
}

int yk_array_view(const yoke_array *a, unsigned code, void *ptr, size_t *ndim, size_t *shape, ptrdiff_t *step)
{
    if (!a || yk_array_is_number(a))
        return -EINVAL;
    if (a->type != (code & ~(unsigned)(YOKE_IN | YOKE_OUT))) {
        yk_array_fail(a->stream, EINVAL, "view: %s is no view of %s", yk_shape_of(a).text,
                      yoke_array_type_name(code & ~(unsigned)(YOKE_IN | YOKE_OUT)));
        return -EINVAL;
    }
    if (code & YOKE_OUT && a->storage->read_only)
        return yk_array_before_write(a, "view");
    if (!yk_array_is_on_host(a)) {
        yk_array_fail(a->stream, EXDEV, "view: %s is memory of %s, not of the host: yoke_array_to() a stream of the CPU",
                      yk_shape_of(a).text, a->stream->dev->info.uri);
        return -EXDEV;
    }
    int err = yk_stream_settle(a->stream);
    if (err < 0)
        return err;
    memcpy(ptr, &a->data, sizeof a->data);
    *ndim = a->ndim;
    memcpy(shape, a->shape, a->ndim * sizeof *shape);
    memcpy(step, a->step, a->ndim * sizeof *step);
    return 0;
}
