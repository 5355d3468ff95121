/* array_view: other windows on the same storage - slices, transposes, reshapes, broadcasts. None of them touches an element,
 * but for a reshape that steps cannot say, which copies first. */
#include "gpu/array.h"

static size_t step_bytes(const yoke_array *a)
{
    return yoke_array_type_size(a->type);
}

/* The window's first element is `by` elements further on, if there is any: the address of none stays in its block. */
static void move(yoke_array *w, ptrdiff_t by)
{
    if (yoke_array_elements(w) > 0)
        w->data = (char *)w->data + by * (ptrdiff_t)step_bytes(w);
}

static bool usable(const yoke_array *a)
{
    return a && !yk_array_is_number(a);
}

/* ---- Parts ---- */

/* Where a bound of a slice lies, as PySlice_AdjustIndices() has it: [0, n], for a negative step [-1, n - 1]. */
static ptrdiff_t bound(ptrdiff_t at, ptrdiff_t n, bool backwards)
{
    if (at < 0) {
        at += n;
        return at < 0 ? -(ptrdiff_t)backwards : at;
    }
    return at >= n ? n - (ptrdiff_t)backwards : at;
}

yoke_array *yoke_array_slice(const yoke_array *a, ptrdiff_t axis, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step)
{
    int d = usable(a) ? yk_array_axis(a, "slice", axis) : -1;
    if (d < 0)
        return NULL;
    if (step == 0 || step == PTRDIFF_MIN)
        return yk_array_fail(a->stream, EINVAL, "slice: the step is %s", step ? "too large" : "0");
    bool backwards = step < 0;
    ptrdiff_t n = (ptrdiff_t)a->shape[d];
    ptrdiff_t from = start == YOKE_END ? (backwards ? n - 1 : 0) : bound(start, n, backwards);
    ptrdiff_t to = stop == YOKE_END ? (backwards ? -1 : n) : bound(stop, n, backwards);
    size_t left = backwards ? (from > to ? (size_t)(from - to) : 0) : (to > from ? (size_t)(to - from) : 0);
    size_t each = backwards ? (size_t)-step : (size_t)step;
    yoke_array *w = yk_array_window(a);
    if (!w)
        return NULL;
    w->shape[d] = left ? (left - 1) / each + 1 : 0;
    if (left)
        move(w, from * w->step[d]);
    w->step[d] = w->shape[d] > 1 ? w->step[d] * step : w->step[d];
    return w;
}

static void drop_axis(yoke_array *w, size_t d)
{
    w->ndim--;
    memmove(w->shape + d, w->shape + d + 1, (w->ndim - d) * sizeof *w->shape);
    memmove(w->step + d, w->step + d + 1, (w->ndim - d) * sizeof *w->step);
}

yoke_array *yoke_array_index(const yoke_array *a, ptrdiff_t axis, ptrdiff_t i)
{
    int d = usable(a) ? yk_array_axis(a, "index", axis) : -1;
    if (d < 0)
        return NULL;
    ptrdiff_t n = (ptrdiff_t)a->shape[d], at = i < 0 ? i + n : i;
    if (at < 0 || at >= n)
        return yk_array_fail(a->stream, ERANGE, "index: %td on axis %d of %s", i, d, yk_shape_of(a).text);
    yoke_array *w = yk_array_window(a);
    if (!w)
        return NULL;
    move(w, at * w->step[d]);
    drop_axis(w, (size_t)d);
    return w;
}

yoke_array *yoke_array_flip(const yoke_array *a, yoke_dims axes)
{
    unsigned set;
    if (!usable(a) || !yk_array_axes(a, "flip", axes, &set))
        return NULL;
    yoke_array *w = yk_array_window(a);
    for (size_t d = 0; w && d < w->ndim; d++)
        if (set & 1u << d && w->shape[d] > 0) {
            move(w, (ptrdiff_t)(w->shape[d] - 1) * w->step[d]);
            w->step[d] = -w->step[d];
        }
    return w;
}

/* ---- Axes ---- */

yoke_array *yoke_array_transpose(const yoke_array *a, yoke_dims axes)
{
    unsigned set;
    if (!usable(a) || !yk_array_axes(a, "transpose", axes, &set))
        return NULL;
    bool reversed = axes.count == 0 || axes.count == SIZE_MAX;
    if (!reversed && axes.count != a->ndim)
        return yk_array_fail(a->stream, EINVAL, "transpose: %zu axes for %s", axes.count, yk_shape_of(a).text);
    yoke_array *w = yk_array_window(a);
    for (size_t d = 0; w && d < a->ndim; d++) {
        ptrdiff_t axis = reversed ? (ptrdiff_t)(a->ndim - 1 - d) : axes.at[d];
        size_t from = (size_t)(axis < 0 ? axis + (ptrdiff_t)a->ndim : axis);
        w->shape[d] = a->shape[from];
        w->step[d] = a->step[from];
    }
    return w;
}

yoke_array *yoke_array_squeeze(const yoke_array *a, yoke_dims axes)
{
    unsigned set;
    if (!usable(a) || !yk_array_axes(a, "squeeze", axes, &set))
        return NULL;
    for (size_t d = 0; d < a->ndim; d++)
        if (axes.count != SIZE_MAX && set & 1u << d && a->shape[d] != 1)
            return yk_array_fail(a->stream, EINVAL, "squeeze: axis %zu of %s is not of length 1", d, yk_shape_of(a).text);
    yoke_array *w = yk_array_window(a);
    for (size_t d = w ? w->ndim : 0; d-- > 0;)
        if (set & 1u << d && w->shape[d] == 1)
            drop_axis(w, d);
    return w;
}

yoke_array *yoke_array_expand(const yoke_array *a, ptrdiff_t axis)
{
    if (!usable(a))
        return NULL;
    ptrdiff_t n = (ptrdiff_t)a->ndim, at = axis < 0 ? axis + n + 1 : axis;
    if (n == YOKE_DIMS)
        return yk_array_fail(a->stream, EINVAL, "expand: %s has as many dimensions as there can be", yk_shape_of(a).text);
    if (at < 0 || at > n)
        return yk_array_fail(a->stream, EINVAL, "expand: axis %td of what will have %td", axis, n + 1);
    yoke_array *w = yk_array_window(a);
    if (!w)
        return NULL;
    memmove(w->shape + at + 1, w->shape + at, (size_t)(n - at) * sizeof *w->shape);
    memmove(w->step + at + 1, w->step + at, (size_t)(n - at) * sizeof *w->step);
    w->shape[at] = 1;
    w->step[at] = 0;
    w->ndim++;
    return w;
}

yoke_array *yk_array_broadcast(const yoke_array *a, size_t ndim, const size_t *shape, const char *what)
{
    size_t front = ndim - a->ndim;
    bool fits = a->ndim <= ndim;
    for (size_t d = 0; fits && d < a->ndim; d++)
        fits = a->shape[d] == 1 || a->shape[d] == shape[front + d];
    if (!fits)
        return yk_array_fail(a->stream, EINVAL, "%s: %s cannot become %s", what, yk_shape_of(a).text,
                             yk_dims_text(ndim, shape).text);
    if (!yk_array_shape_ok(a->stream, what, a->type, ndim, shape))
        return NULL;
    yoke_array *w = yk_array_window(a);
    for (size_t d = 0; w && d < ndim; d++) {
        bool repeats = d < front || (a->shape[d - front] == 1 && shape[d] != 1);
        w->step[d] = repeats ? 0 : a->step[d - front];
        w->shape[d] = shape[d];
    }
    if (w)
        w->ndim = ndim;
    return w;
}

yoke_array *yoke_array_broadcast(const yoke_array *a, yoke_dims shape)
{
    size_t n[YOKE_DIMS];
    if (!usable(a))
        return NULL;
    if (shape.count > YOKE_DIMS)
        return yk_array_fail(a->stream, EINVAL, "broadcast: %zu dimensions, at most %d", shape.count, YOKE_DIMS);
    for (size_t d = 0; d < shape.count; d++) {
        if (shape.at[d] < 0)
            return yk_array_fail(a->stream, EINVAL, "broadcast: a length of %td", shape.at[d]);
        n[d] = (size_t)shape.at[d];
    }
    return yk_array_broadcast(a, shape.count, n, "broadcast");
}

/* ---- Reshape ---- */

/* The lengths asked for, with one of -1 found; false: the error. */
static bool new_lengths(const yoke_array *a, yoke_dims shape, size_t *ret)
{
    size_t elements = yoke_array_elements(a), known = 1;
    ptrdiff_t open = -1;
    if (shape.count > YOKE_DIMS) {
        yk_array_fail(a->stream, EINVAL, "reshape: %zu dimensions, at most %d", shape.count, YOKE_DIMS);
        return false;
    }
    for (size_t d = 0; d < shape.count; d++) {
        if (shape.at[d] < -1 || (shape.at[d] == -1 && open >= 0)) {
            yk_array_fail(a->stream, EINVAL, "reshape: %s", shape.at[d] == -1 ? "-1 twice" : "a negative length");
            return false;
        }
        if (shape.at[d] == -1)
            open = (ptrdiff_t)d;
        ret[d] = shape.at[d] == -1 ? 1 : (size_t)shape.at[d];
    }
    known = yk_view_elements(shape.count, ret);
    if (open >= 0 && known > 0 && elements % known == 0)
        ret[open] = elements / known;
    if (yk_view_elements(shape.count, ret) != elements || (open >= 0 && known == 0)) {
        yk_array_fail(a->stream, EINVAL, "reshape: %s has %zu elements, %s%s has not", yk_shape_of(a).text, elements,
                      yk_dims_text(shape.count, ret).text, open >= 0 ? " with -1" : "");
        return false;
    }
    return true;
}

/* Steps for the new shape over the old ones; false: there are none. Dimensions are matched in groups of equal size: within a
 * group the old ones must follow one another, and the new ones divide them (as NumPy's attempt to reshape without a copy). */
static bool new_steps(const yoke_array *a, size_t ndim, const size_t *shape, ptrdiff_t *ret)
{
    size_t old_shape[YOKE_DIMS] = {0}, olds = 0, o = 0, n = 0;
    ptrdiff_t old_step[YOKE_DIMS] = {0};
    for (size_t d = 0; d < a->ndim; d++)
        if (a->shape[d] != 1) {
            old_shape[olds] = a->shape[d];
            old_step[olds++] = a->step[d];
        }
    yk_flat_steps(ndim, shape, ret);
    if (yk_view_elements(ndim, shape) <= 1)
        return true;
    while (o < olds && n < ndim) {
        size_t old_end = o + 1, new_end = n + 1, old_size = old_shape[o], new_size = shape[n];
        while (old_size != new_size)
            if (new_size < old_size)
                new_size *= shape[new_end++];
            else
                old_size *= old_shape[old_end++];
        for (size_t d = o; d + 1 < old_end; d++)
            if (old_step[d] != old_step[d + 1] * (ptrdiff_t)old_shape[d + 1])
                return false;
        ret[new_end - 1] = old_step[old_end - 1];
        for (size_t d = new_end - 1; d > n; d--)
            ret[d - 1] = ret[d] * (ptrdiff_t)shape[d];
        o = old_end;
        n = new_end;
    }
    return true;
}

yoke_array *yoke_array_reshape(const yoke_array *a, yoke_dims shape)
{
    size_t n[YOKE_DIMS];
    ptrdiff_t step[YOKE_DIMS];
    if (!usable(a) || !new_lengths(a, shape, n))
        return NULL;
    bool is_view = new_steps(a, shape.count, n, step);
    yoke_array *w = is_view ? yk_array_window(a) : yoke_array_copy(a);
    if (!w)
        return NULL;
    w->ndim = shape.count;
    memcpy(w->shape, n, w->ndim * sizeof *n);
    if (is_view)
        memcpy(w->step, step, w->ndim * sizeof *step);
    else
        yk_flat_steps(w->ndim, w->shape, w->step);
    return w;
}

yoke_array *yoke_array_flat(const yoke_array *a)
{
    if (!usable(a))
        return NULL;
    return yoke_array_is_flat(a) ? yk_array_window(a) : yoke_array_copy(a);
}
