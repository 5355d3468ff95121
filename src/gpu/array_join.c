/* array_join: several arrays into one, and one array into parts of another, all by writing into views; and elements by their
 * number, which is a map with one step more: where an element lies depends on what an array of numbers says. */
#include "gpu/array.h"
#include <yoke/loop.h>

/* Into the part of out that begins at `start` of an axis, and goes on by step. */
static int write_part(yoke_array *out, int axis, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step, const yoke_array *from)
{
    yoke_array *part = yoke_array_slice(out, axis, start, stop, step);
    int err = part ? yk_unkept(out->stream, yoke_array_assign(part, from)) : yk_array_code(out->stream);
    yoke_array_free(part);
    return err;
}

/* ---- Concatenate, stack, repeat, diff ---- */

/* The shape of all together along the axis, and their type; false: the error. */
static bool meet_along(const yoke_array *const *arrays, size_t n, int axis, size_t *shape, unsigned *type)
{
    const yoke_array *first = arrays[0];
    memcpy(shape, first->shape, sizeof first->shape);
    *type = first->type;
    for (size_t k = 1; k < n; k++) {
        bool fits = arrays[k]->ndim == first->ndim;
        for (size_t d = 0; fits && d < first->ndim; d++)
            fits = (int)d == axis || arrays[k]->shape[d] == first->shape[d];
        if (!fits) {
            yk_array_fail(first->stream, EINVAL, "concatenate: %s and %s differ off axis %d", yk_shape_of(first).text,
                          yk_shape_of(arrays[k]).text, axis);
            return false;
        }
        if (__builtin_add_overflow(shape[axis], arrays[k]->shape[axis], &shape[axis])) {
            yk_array_fail(first->stream, ENOMEM, "concatenate: more elements than there can be");
            return false;
        }
        *type = yoke_array_promote(*type, arrays[k]->type);
    }
    return true;
}

yoke_array *yoke_array_concatenate(const yoke_array *const *arrays, size_t n, ptrdiff_t axis)
{
    size_t shape[YOKE_DIMS];
    unsigned type;
    for (size_t k = 0; k < n; k++)
        if (!arrays || !yk_array_usable(arrays[k]))
            return NULL;
    int d = n > 0 ? yk_array_axis(arrays[0], "concatenate", axis) : -1;
    if (d < 0 || !meet_along(arrays, n, d, shape, &type))
        return NULL;
    yoke_array *out = yk_array_new(arrays[0]->stream, type, arrays[0]->ndim, shape);
    int err = 0;
    ptrdiff_t at = 0;
    for (size_t k = 0; out && k < n && err == 0; k++) {
        ptrdiff_t length = (ptrdiff_t)arrays[k]->shape[d];
        if (length > 0)
            err = write_part(out, d, at, at + length, 1, arrays[k]);
        at += length;
    }
    return out ? yk_array_given(out, err) : NULL;
}

yoke_array *yoke_array_stack(const yoke_array *const *arrays, size_t n, ptrdiff_t axis)
{
    yoke_array_scope scope;
    yoke_array *wide[64];
    if (n == 0 || !arrays || !yk_array_usable(arrays[0]))
        return NULL;
    if (n > YK_COUNT_OF(wide))
        return yk_array_fail(arrays[0]->stream, EINVAL, "stack: %zu arrays, at most %zu", n, YK_COUNT_OF(wide));
    yoke_array_begin(&scope);
    for (size_t k = 0; k < n; k++)
        wide[k] = yoke_array_expand(arrays[k], axis);
    yoke_array *out = NULL;
    if (wide[0])
        out = yoke_array_concatenate((const yoke_array *const *)wide, n, axis);
    return yoke_array_end(&scope, out);
}

yoke_array *yoke_array_repeat(const yoke_array *a, size_t times, ptrdiff_t axis)
{
    int d = yk_array_usable(a) ? yk_array_axis(a, "repeat", axis) : -1;
    size_t shape[YOKE_DIMS];
    if (d < 0)
        return NULL;
    memcpy(shape, a->shape, sizeof shape);
    if (__builtin_mul_overflow(shape[d], times, &shape[d]) || times > PTRDIFF_MAX)
        return yk_array_fail(a->stream, ENOMEM, "repeat: more elements than there can be");
    yoke_array *out = yk_array_new(a->stream, a->type, a->ndim, shape);
    int err = 0;
    for (size_t k = 0; out && k < times && yoke_array_elements(out) > 0 && err == 0; k++)
        err = write_part(out, d, (ptrdiff_t)k, YOKE_END, (ptrdiff_t)times, a);
    return out ? yk_array_given(out, err) : NULL;
}

yoke_array *yoke_array_diff(const yoke_array *a, ptrdiff_t axis)
{
    yoke_array_scope scope;
    int d = yk_array_usable(a) ? yk_array_axis(a, "diff", axis) : -1;
    if (d < 0)
        return NULL;
    yoke_array_begin(&scope);
    yoke_array *later = yoke_array_slice(a, d, 1, YOKE_END, 1), *earlier = yoke_array_slice(a, d, 0, -1, 1);
    yoke_array *r = a->type == YOKE_BOOL ? yoke_array_ne(later, earlier) : yoke_array_sub(later, earlier);
    return yoke_array_end(&scope, r);
}

/* ---- Elements by number ---- */

/* Moving elements between a flat array and one that numbers pick from: array 0 of the layout is what is picked from, without
 * the axis, array 1 the numbers. */
typedef struct pick {
    yk_layout l;
    const int64_t *numbers;
    char *picked, *flat;
    ptrdiff_t axis_step, length;
    size_t size;
    bool put;
} pick;

static ptrdiff_t offset_of(const yk_layout *l, unsigned k, size_t at)
{
    ptrdiff_t offset = 0;
    for (size_t d = l->ndim; d-- > 0; at /= l->shape[d])
        offset += (ptrdiff_t)(at % l->shape[d]) * l->step[k][d];
    return offset;
}

static void pick_chunk(size_t lo, size_t hi, const void *arg)
{
    const pick *p = arg;
    for (size_t i = lo; i < hi; i++) {
        ptrdiff_t number = p->numbers[offset_of(&p->l, 1, i)];
        number += number < 0 ? p->length : 0;
        char *there = p->picked + (offset_of(&p->l, 0, i) + number * p->axis_step) * (ptrdiff_t)p->size,
            *here = p->flat + i * p->size;
        if (p->put)
            memcpy(there, here, p->size);
        else
            memcpy(here, there, p->size);
    }
}

/* The numbers are flat i64 and within the length of the axis. out is flat. */
static int pick_here(const pick *p, yoke_stream *s, bool in_order)
{
    if (!in_order && p->l.elements > 16384)
        return yk_loop(yk_array_pool(s), p->l.elements, pick_chunk, p);
    pick_chunk(0, p->l.elements, p);
    return 0;
}

/* Whether all numbers are of the axis; waits. */
static bool in_range(const yoke_array *numbers, ptrdiff_t length, const char *what)
{
    int64_t low = 0, high = 0;
    if (yoke_array_elements(numbers) == 0)
        return true;
    yoke_array *least = yoke_array_min(numbers, YOKE_ALL_AXES, false), *most = yoke_array_max(numbers, YOKE_ALL_AXES, false);
    bool known = least && most && yoke_array_item_int(least, &low) == 0 && yoke_array_item_int(most, &high) == 0;
    yoke_array_free(least);
    yoke_array_free(most);
    if (known && (low < -length || high >= length))
        yk_array_fail(numbers->stream, ERANGE, "%s: number %lld of an axis of %td", what, (long long)(low < -length ? low
                                                                                                      : high), length);
    return known && low >= -length && high < length;
}

/* Whether numbers of u64 are ones of i64, too; waits. */
static bool fit_i64(const yoke_array *numbers, ptrdiff_t length, const char *what)
{
    uint64_t high = 0;
    if (numbers->type != YOKE_U64 || yoke_array_elements(numbers) == 0)
        return true;
    yoke_array *most = yoke_array_max(numbers, YOKE_ALL_AXES, false);
    bool known = most && yoke_array_get(most, &high, sizeof high) == 0;
    yoke_array_free(most);
    if (known && high > INT64_MAX)
        yk_array_fail(numbers->stream, ERANGE, "%s: number %llu of an axis of %td", what, (unsigned long long)high, length);
    return known && high <= INT64_MAX;
}

/* The numbers, flat, as i64 and on the stream, checked; NULL: the error. */
static yoke_array *numbers_for(const yoke_array *a, const yoke_array *numbers, int axis, const char *what)
{
    if (numbers->type == YOKE_F32 || numbers->type == YOKE_F64 || numbers->type == YOKE_BOOL)
        return yk_array_fail(a->stream, EINVAL, "%s: numbers of elements are integers, not %s", what,
                             yk_shape_of(numbers).text);
    if (!fit_i64(numbers, (ptrdiff_t)a->shape[axis], what))
        return NULL;
    yoke_array *n = yk_array_new(a->stream, YOKE_I64, numbers->ndim, numbers->shape);
    if (n && (yk_unkept(n->stream, yoke_array_assign(n, numbers)) < 0 || !in_range(n, (ptrdiff_t)a->shape[axis], what))) {
        yoke_array_free(n);
        return NULL;
    }
    return n;
}

/* The layout of a picked from by numbers along an axis: its shape is that of the result; false: the error. */
static bool layout_for(const yoke_array *a, const yoke_array *numbers, int axis, const char *what, yk_layout *l)
{
    *l = (yk_layout){.ndim = a->ndim - 1 + numbers->ndim};
    if (l->ndim > YOKE_DIMS) {
        yk_array_fail(a->stream, EINVAL, "%s: of %s by %s would have %zu dimensions, at most %d", what, yk_shape_of(a).text,
                      yk_shape_of(numbers).text, l->ndim, YOKE_DIMS);
        return false;
    }
    size_t d = 0;
    for (size_t k = 0; k < a->ndim; k++) {
        for (size_t n = 0; (int)k == axis && n < numbers->ndim; n++, d++) {
            l->shape[d] = numbers->shape[n];
            l->step[1][d] = numbers->step[n];
        }
        if ((int)k != axis) {
            l->shape[d] = a->shape[k];
            l->step[0][d++] = a->step[k];
        }
    }
    l->elements = yk_view_elements(l->ndim, l->shape);
    return true;
}

static int run_pick(yoke_array *a, const yoke_array *numbers, yoke_array *flat, int axis, const yk_layout *l, bool put)
{
    pick p = {.l = *l, .numbers = numbers->data, .picked = a->data, .flat = flat->data, .axis_step = a->step[axis],
              .length = (ptrdiff_t)a->shape[axis], .size = yoke_array_type_size(a->type), .put = put};
    if (l->elements == 0)
        return 0;
    if (yk_array_is_on_host(a))
        return pick_here(&p, a->stream, put);
    return yk_pick_on_device(a, numbers, flat, axis, l, put);
}

yoke_array *yoke_array_take(const yoke_array *a, const yoke_array *numbers, ptrdiff_t axis)
{
    yk_layout l;
    int d = yk_array_usable(a) && yk_array_usable(numbers) ? yk_array_axis(a, "take", axis) : -1;
    if (d < 0)
        return NULL;
    yoke_array *own = numbers_for(a, numbers, d, "take"), *out = NULL;
    if (own && layout_for(a, own, d, "take", &l))
        out = yk_array_new(a->stream, a->type, l.ndim, l.shape);
    if (out) {
        yoke_array from = *a;
        out = yk_array_given(out, run_pick(&from, own, out, d, &l, false));
    }
    yoke_array_free(own);
    return out;
}

int yoke_array_put(yoke_array *dst, const yoke_array *numbers, ptrdiff_t axis, const yoke_array *src)
{
    yk_layout l;
    if (!yk_array_usable(dst) || !yk_array_usable(numbers) || !src)
        return -EINVAL;
    int d = yk_array_axis(dst, "put", axis);
    yoke_array *own = d < 0 ? NULL : numbers_for(dst, numbers, d, "put"), *flat = NULL;
    if (own && layout_for(dst, own, d, "put", &l))
        flat = yk_array_new(dst->stream, dst->type, l.ndim, l.shape);
    int err = flat ? yoke_array_assign(flat, src) : yk_array_code(dst->stream);
    if (err == 0)
        err = yk_array_before_write(dst, "put");
    if (err == 0 && flat && own)
        err = run_pick(dst, own, flat, d, &l, true);
    yoke_array_free(flat);
    yoke_array_free(own);
    return yk_stream_keep(dst->stream, err);
}
