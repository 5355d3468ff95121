/* array_make: arrays made of numbers, and copies: to another type, another stream, another device, into part of another
 * array. */
#include "gpu/array.h"
#include "gpu/array_ops.h"
#include <math.h>

/* out = op of two numbers, computed in `type`. */
static yoke_array *made(yoke_array *out, unsigned id, unsigned type, const yoke_array *a, const yoke_array *b)
{
    yk_op op = yk_op_of(id);
    const yoke_array *in[YK_INPUTS] = {a, b, NULL};
    return out ? yk_array_given(out, yk_map_into(out, &op, type, in)) : NULL;
}

/* ---- Of numbers ---- */

static yoke_array *fill(yoke_array *out, const yoke_array *value)
{
    uint64_t raw;
    if (!out)
        return NULL;
    if (yk_number_as(value, out->type, &raw) < 0)
        return yk_array_given(out, yk_number_refuse(out->stream, "full", out->type, value));
    size_t size = yoke_array_type_size(out->type);
    return yk_array_given(out, yk_unkept(out->stream, yoke_stream_fill(out->stream, out->data, &raw, size,
                                                                       yoke_array_elements(out))));
}

yoke_array *yoke_array_full(yoke_stream *s, unsigned type, yoke_dims shape, const yoke_array *value)
{
    if (!value)
        return NULL;
    yoke_array *out = yoke_array_empty(s, type, shape);
    if (yk_array_is_number(value))
        return fill(out, value);
    return out ? yk_array_given(out, yoke_array_assign(out, value)) : NULL;
}

static const yoke_array zero = {.type = YOKE_I64}, one = {.type = YOKE_I64, .number = {.i = 1}};

yoke_array *yoke_array_zeros(yoke_stream *s, unsigned type, yoke_dims shape)
{
    return fill(yoke_array_empty(s, type, shape), &zero);
}

yoke_array *yoke_array_ones(yoke_stream *s, unsigned type, yoke_dims shape)
{
    return fill(yoke_array_empty(s, type, shape), &one);
}

yoke_array *yoke_array_empty_like(const yoke_array *a)
{
    return a && !yk_array_is_number(a) ? yk_array_new(a->stream, a->type, a->ndim, a->shape) : NULL;
}

yoke_array *yoke_array_zeros_like(const yoke_array *a)
{
    return fill(yoke_array_empty_like(a), &zero);
}

static bool is_whole(double x)
{
    return x == floor(x) && fabs(x) < 0x1p63;
}

yoke_array *yoke_array_arange(yoke_stream *s, unsigned type, double start, double stop, double step)
{
    if (!s || !yk_array_type_ok(s, "arange", type))
        return NULL;
    bool is_float = type == YOKE_F32 || type == YOKE_F64;
    double n = ceil((stop - start) / step);
    if (step == 0 || !(n < 0x1p62))
        return yk_array_fail(s, EINVAL, "arange: from %g to %g by %g", start, stop, step);
    if (!is_float && !(is_whole(start) && is_whole(step)))
        return yk_array_fail(s, EINVAL, "arange: from %g by %g in %s", start, step, yoke_array_type_name(type));
    yoke_array a = {.type = is_float ? YOKE_F64 : YOKE_I64}, b = a;
    unsigned computed = !is_float ? YOKE_I64 : s->dev->info.has_double ? YOKE_F64 : YOKE_F32;
    if (is_float) {
        a.number.f = start;
        b.number.f = step;
    } else {
        a.number.i = (int64_t)start;
        b.number.i = (int64_t)step;
    }
    size_t shape[] = {n > 0 ? (size_t)n : 0};
    return made(yk_array_new(s, type, 1, shape), YK_OP_arange, computed, &a, &b);
}

yoke_array *yoke_array_linspace(yoke_stream *s, unsigned type, double start, double stop, size_t n)
{
    if (!s)
        return NULL;
    if (type != YOKE_F32 && type != YOKE_F64)
        return yk_array_fail(s, EINVAL, "linspace: in %s, it makes f32 or f64", yoke_array_type_name(type));
    unsigned computed = s->dev->info.has_double ? YOKE_F64 : YOKE_F32;
    yoke_array a = {.type = YOKE_F64, .number = {.f = start}};
    yoke_array b = {.type = YOKE_F64, .number = {.f = n > 1 ? (stop - start) / (double)(n - 1) : 0}};
    yoke_array *out = made(yk_array_new(s, type, 1, &n), YK_OP_arange, computed, &a, &b);
    if (!out || n < 2)
        return out;
    yoke_array *last = yoke_array_index(out, 0, -1), end = {.type = YOKE_F64, .number = {.f = stop}};
    int err = last ? yoke_array_assign(last, &end) : yk_array_code(s);
    yoke_array_free(last);
    return yk_array_given(out, err);
}

yoke_array *yoke_array_eye(yoke_stream *s, unsigned type, size_t n, size_t m, ptrdiff_t k)
{
    if (!s || !yk_array_type_ok(s, "eye", type))
        return NULL;
    size_t shape[] = {n, m};
    yoke_array a = {.type = YOKE_I64, .number = {.i = (int64_t)m}}, b = {.type = YOKE_I64, .number = {.i = k}};
    return made(yk_array_new(s, type, 2, shape), YK_OP_eye, YOKE_I64, &a, &b);
}

/* ---- Copies ---- */

/* dst = a, of one shape, on dst's stream. */
static int copy_into(yoke_array *dst, const yoke_array *a)
{
    yk_op op = yk_op_of(YK_OP_copy);
    if (a->type == dst->type && yoke_array_is_flat(a) && yoke_array_is_flat(dst) &&
        yoke_array_elements(a) == yoke_array_elements(dst)) {
        int err = yk_array_enter(a, dst->stream);
        size_t size = yoke_array_elements(a) * yoke_array_type_size(a->type);
        return err < 0 || a->data == dst->data ? err
               : yk_unkept(dst->stream, yoke_stream_copy(dst->stream, dst->data, a->data, size));
    }
    return yk_map_into(dst, &op, dst->type, &a);
}

static yoke_array *copy_as(const yoke_array *a, yoke_stream *s, unsigned type)
{
    yoke_array *out = yk_array_new(s, type, a->ndim, a->shape);
    return out ? yk_array_given(out, copy_into(out, a)) : NULL;
}

yoke_array *yoke_array_copy(const yoke_array *a)
{
    return a && !yk_array_is_number(a) ? copy_as(a, a->stream, a->type) : NULL;
}

yoke_array *yoke_array_astype(const yoke_array *a, unsigned type)
{
    return a && !yk_array_is_number(a) ? copy_as(a, a->stream, type) : NULL;
}

yoke_array *yoke_array_to(const yoke_array *a, yoke_stream *s)
{
    if (!a || !s || yk_array_is_number(a))
        return NULL;
    if (a->stream->dev == s->dev)
        return copy_as(a, s, a->type);
    yk_host h;
    int err = yk_host_of(a, &h);
    if (err < 0) {
        yk_array_fail(s, err, "to: %.300s", yoke_device_error(a->stream->dev));
        return NULL;
    }
    yoke_array *out = yk_array_new(s, a->type, a->ndim, a->shape);
    size_t size = yoke_array_elements(a) * yoke_array_type_size(a->type);
    if (out && yk_array_is_on_host(out) && size > 0)
        memcpy(out->data, h.data, size); /* whichever CPU device it is of */
    else if (out)
        err = yk_unkept(s, yoke_stream_copy(s, out->data, h.data, size));
    if (out && err == 0)
        err = yk_stream_settle(s);
    yk_host_done(&h);
    return out ? yk_array_given(out, err) : NULL;
}

/* Whether elements of both may lie in the same place: of one storage, or of two over the same memory. */
static bool may_overlap(const yoke_array *a, const yoke_array *b)
{
    ptrdiff_t low_a, high_a, low_b, high_b;
    uintptr_t at_a = (uintptr_t)a->data, at_b = (uintptr_t)b->data;
    yk_array_extent(a, &low_a, &high_a);
    yk_array_extent(b, &low_b, &high_b);
    return a->stream->dev == b->stream->dev && at_a + (uintptr_t)low_a < at_b + (uintptr_t)high_b &&
           at_b + (uintptr_t)low_b < at_a + (uintptr_t)high_a;
}

static int assign(yoke_array *dst, const yoke_array *src)
{
    yk_op op = yk_op_of(YK_OP_copy);
    int err = yk_array_before_write(dst, "assign");
    if (err < 0 || yk_array_is_number(src))
        return err < 0 ? err : yk_map_into(dst, &op, dst->type, &src);
    yoke_array *wide = yk_array_broadcast(src, dst->ndim, dst->shape, "assign"), *own = NULL;
    if (!wide && src->stream->dev != dst->stream->dev)
        yk_array_fail(dst->stream, EINVAL, "assign: %s does not fit %s", yk_shape_of(src).text, yk_shape_of(dst).text);
    if (!wide)
        return yk_array_code(dst->stream);
    if (may_overlap(dst, src)) { /* what is read may have been written: read it first */
        yoke_array_free(wide);
        own = copy_as(src, dst->stream, src->type);
        wide = own ? yk_array_broadcast(own, dst->ndim, dst->shape, "assign") : NULL;
    }
    err = wide ? copy_into(dst, wide) : yk_array_code(dst->stream);
    yoke_array_free(own);
    yoke_array_free(wide);
    return err;
}

/* A code is easily not looked at, so the stream keeps it. */
int yoke_array_assign(yoke_array *dst, const yoke_array *src)
{
    if (!dst || !src || yk_array_is_number(dst))
        return -EINVAL;
    return yk_stream_keep(dst->stream, assign(dst, src));
}
