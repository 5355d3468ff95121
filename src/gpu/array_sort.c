/* array_sort: what stands on the sorts and selections of yoke/primitive.h, which are of flat memory and of numbers of 32 and
 * 64 bits: smaller ones are widened, axes are moved to the end, and lines are sorted one after the other, or, many short ones
 * on a device, all together. */
#include "gpu/array.h"
#include "gpu/array_ops.h"
#include <yoke/primitive.h>

/* The type in which a type is sorted. */
static unsigned wide_type(unsigned type)
{
    if (type == YOKE_BOOL || type == YOKE_I8 || type == YOKE_I16)
        return YOKE_I32;
    return type == YOKE_U8 || type == YOKE_U16 ? YOKE_U32 : type;
}

/* So many lines are sorted one by one, and those that are so long. */
enum { LINES_ALONE = 4, LINE_LONG = 1 << 16 };

static yk_number number_of(unsigned wide)
{
    static const yk_number numbers[YK_TYPES] = {[YOKE_I32] = YK_I32, [YOKE_U32] = YK_U32, [YOKE_I64] = YK_I64,
                                                [YOKE_U64] = YK_U64, [YOKE_F32] = YK_F32, [YOKE_F64] = YK_F64};
    return numbers[wide];
}

/* A flat copy of its own, widened; a NaN has lost its sign, so that all of them are behind the rest. For places, which are in
 * order where elements are equal, equal ones have the same bits: there is one NaN, and one 0. */
static yoke_array *sortable(const yoke_array *a, bool places)
{
    unsigned wide = wide_type(a->type);
    yoke_array *out = yk_array_new(a->stream, wide, a->ndim, a->shape);
    bool is_float = wide == YOKE_F32 || wide == YOKE_F64;
    yk_op op = yk_op_of(!is_float ? YK_OP_copy : places ? YK_OP_canonical : YK_OP_sortable);
    if (out && yk_map_into(out, &op, wide, &a) < 0) {
        yoke_array_free(out);
        return NULL;
    }
    return out;
}

/* The axes of a, with one moved to the end; and back again. */
static yoke_dims axis_last(size_t ndim, int axis)
{
    yoke_dims d = YOKE_NO_DIMS;
    for (size_t k = 0; k < ndim; k++)
        if ((int)k != axis)
            d.at[d.count++] = (ptrdiff_t)k;
    d.at[d.count++] = axis;
    return d;
}

static yoke_dims axis_back(size_t ndim, int axis)
{
    yoke_dims d = YOKE_NO_DIMS;
    for (size_t k = 0; k < ndim; k++)
        d.at[d.count++] = (int)k == axis ? (ptrdiff_t)ndim - 1 : (ptrdiff_t)k - ((int)k > axis);
    return d;
}

static int sort_flat(yoke_array *keys, yoke_array *values)
{
    return yk_unkept(keys->stream, yk_stream_sort(keys->stream, number_of(keys->type), false, keys->shape[0], keys->data, 8,
                                                  values->data));
}

/* Many short lines of n are many launches. So all elements are put in order, each with its number, and then, since a sort is
 * stable, by line: the numbers say what stands where. Makes arrays in the caller's scope. */
static int sort_together(yoke_array *keys, yoke_array *places, size_t n)
{
    const yoke_array length = {.type = YOKE_I64, .number = {.i = (int64_t)n}};
    yoke_stream *s = keys->stream;
    yoke_array *flat = yoke_array_reshape(keys, yoke_shape(-1)), *own = yoke_array_copy(flat);
    yoke_array *numbers = yoke_array_arange(s, YOKE_I64, 0, (double)yoke_array_elements(keys), 1);
    int err = own && numbers ? sort_flat(own, numbers) : yk_array_code(s);
    yoke_array *line = err == 0 ? yoke_array_astype(yoke_array_floor_div(numbers, &length), YOKE_U32) : NULL;
    if (err == 0)
        err = line && numbers ? sort_flat(line, numbers) : yk_array_code(s);
    if (err < 0)
        return err;
    yoke_array *to = places ? yoke_array_reshape(places, yoke_shape(-1)) : flat;
    yoke_array *from = places ? yoke_array_mod(numbers, &length) : yoke_array_take(flat, numbers, 0);
    return to && from ? yk_unkept(s, yoke_array_assign(to, from)) : yk_array_code(s);
}

/* Sorts each line of keys and moves values with them, or only these, which are 0, 1... in each line; NULL: only the keys. */
static int sort_lines(yoke_array *keys, yoke_array *values)
{
    size_t n = keys->shape[keys->ndim - 1], lines = n > 0 ? yoke_array_elements(keys) / n : 0,
        size = yoke_array_type_size(keys->type);
    int err = 0;
    bool many = lines > LINES_ALONE && n < LINE_LONG && lines * n < UINT32_MAX;
    if (many && !yk_array_is_on_host(keys) && !keys->stream->recording) /* it waits, which cannot be recorded */
        return sort_together(keys, values, n);
    for (size_t k = 0; k < lines && err == 0; k++)
        err = yk_unkept(keys->stream,
                        yk_stream_sort(keys->stream, number_of(keys->type), false, n, (char *)keys->data + k * n * size,
                                       values ? 8 : 0, values ? (char *)values->data + k * n * 8 : NULL));
    return err;
}

static yoke_array *sorted(const char *what, const yoke_array *a, ptrdiff_t axis, bool places)
{
    yoke_array_scope scope;
    int d = yk_array_usable(a) ? yk_array_axis(a, what, axis) : -1;
    if (d < 0)
        return NULL;
    yoke_array_begin(&scope);
    yoke_array *moved = yoke_array_transpose(a, axis_last(a->ndim, d)), *keys = moved ? sortable(moved, places) : NULL;
    yoke_array *values = NULL, *r = NULL;
    if (keys && places) {
        yoke_array *line = yoke_array_arange(a->stream, YOKE_I64, 0, (double)a->shape[d], 1);
        yoke_array *wide = line ? yk_array_broadcast(line, keys->ndim, keys->shape, "argsort") : NULL;
        values = wide ? yoke_array_copy(wide) : NULL;
    }
    if (keys && keys->ndim > 0 && (values || !places) && sort_lines(keys, values) == 0)
        r = yoke_array_transpose(places ? values : keys, axis_back(a->ndim, d));
    return yoke_array_end(&scope, r ? yoke_array_astype(r, places ? YOKE_I64 : a->type) : NULL);
}

yoke_array *yoke_array_sort(const yoke_array *a, ptrdiff_t axis)
{
    return sorted("sort", a, axis, false);
}

yoke_array *yoke_array_argsort(const yoke_array *a, ptrdiff_t axis)
{
    return sorted("argsort", a, axis, true);
}

/* ---- As many as there are ---- */

/* The first *count of flat elements; waits for the count, which lies in memory of the device. */
static yoke_array *first_of(yoke_array *all, const yoke_array *count)
{
    int64_t n = 0;
    return yoke_array_item_int(count, &n) < 0 ? NULL : yoke_array_slice(all, 0, 0, (ptrdiff_t)n, 1);
}

yoke_array *yoke_array_unique(const yoke_array *a)
{
    yoke_array_scope scope;
    if (!yk_array_usable(a))
        return NULL;
    yoke_array_begin(&scope);
    yoke_array *line = yoke_array_reshape(a, yoke_shape(-1)), *r = NULL;
    if (line && yoke_array_elements(line) == 0) {
        r = yoke_array_copy(line);
        return yoke_array_end(&scope, r);
    }
    yoke_array *keys = line ? sortable(line, false) : NULL, *out = yoke_array_empty_like(keys);
    yoke_array *count = yoke_array_empty(a->stream, YOKE_U64, YOKE_NO_DIMS);
    if (keys && out && count && sort_lines(keys, NULL) == 0 &&
        yk_unkept(a->stream, yk_stream_unique(a->stream, number_of(keys->type), keys->shape[0], keys->data, out->data,
                                              count->data)) == 0)
        r = first_of(out, count);
    return yoke_array_end(&scope, r ? yoke_array_astype(r, a->type) : NULL);
}

yoke_array *yoke_array_select(const yoke_array *a, const yoke_array *mask)
{
    yoke_array_scope scope;
    if (!yk_array_usable(a) || !yk_array_usable(mask))
        return NULL;
    yoke_array_begin(&scope);
    yoke_array *wide = yk_array_broadcast(mask, a->ndim, a->shape, "select"), *r = NULL;
    yoke_array *flags = wide ? yk_array_new(a->stream, YOKE_BOOL, a->ndim, a->shape) : NULL;
    unsigned type = wide_type(a->type);
    yoke_array *from = type == a->type ? yoke_array_flat(a) : yoke_array_astype(a, type);
    yoke_array *count = yoke_array_empty(a->stream, YOKE_U64, YOKE_NO_DIMS);
    size_t n = yoke_array_elements(a);
    yoke_array *out = yk_array_new(a->stream, type, 1, &n);
    if (n == 0)
        return yoke_array_end(&scope, flags && out ? yoke_array_astype(out, a->type) : NULL);
    if (flags && from && count && out && yk_unkept(a->stream, yoke_array_assign(flags, wide)) == 0 &&
        yk_unkept(a->stream, yk_stream_select(a->stream, yoke_array_type_size(type), n, from->data, flags->data, out->data,
                                              count->data)) == 0)
        r = yoke_array_astype(first_of(out, count), a->type);
    return yoke_array_end(&scope, r);
}

yoke_array *yoke_array_nonzero(const yoke_array *a)
{
    yoke_array_scope scope;
    if (!yk_array_usable(a))
        return NULL;
    yoke_array_begin(&scope);
    yoke_array *line = yoke_array_reshape(a, yoke_shape(-1));
    yoke_array *places = line ? yoke_array_arange(a->stream, YOKE_I64, 0, (double)line->shape[0], 1) : NULL;
    return yoke_array_end(&scope, line && line->shape[0] == 0 ? places : yoke_array_select(places, line));
}
