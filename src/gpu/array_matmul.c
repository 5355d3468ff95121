/* array_matmul: products of matrices, of every type, batched as numpy.matmul(). Products are added in the order of k on every
 * device, but for what cuBLAS does on CUDA devices, and integers wrap around. */
#include "gpu/array.h"
#include "gpu/matmul.h"

/* ---- Shapes ---- */

/* Both as matrices of one type, flat, with leading dimensions as in the result; what was one-dimensional has got an axis. */
typedef struct operands {
    yoke_array *x, *y;
    bool x_is_row, y_is_column;
    size_t m, n, depth, batches;
    size_t ndim, shape[YOKE_DIMS]; /* of the result, axes that were added included */
} operands;

/* a converted, and broadcast in its leading dimensions. */
static yoke_array *matrix_of(const yoke_array *a, unsigned type, size_t ndim, const size_t *leading)
{
    size_t shape[YOKE_DIMS];
    memcpy(shape, leading, (ndim - 2) * sizeof *shape);
    memcpy(shape + ndim - 2, a->shape + a->ndim - 2, 2 * sizeof *shape);
    yoke_array *wide = yk_array_broadcast(a, ndim, shape, "matmul");
    yoke_array *own = wide && wide->type != type ? yoke_array_astype(wide, type) : wide;
    return own ? yoke_array_flat(own) : NULL;
}

static bool meet(const yoke_array *a, const yoke_array *b, unsigned type, operands *o)
{
    o->x_is_row = a->ndim == 1;
    o->y_is_column = b->ndim == 1;
    yoke_array *x = o->x_is_row ? yoke_array_expand(a, 0) : yk_array_window(a);
    yoke_array *y = o->y_is_column ? yoke_array_expand(b, 1) : yk_array_window(b);
    if (!x || !y)
        return false;
    o->ndim = YK_MAX(x->ndim, y->ndim);
    o->batches = 1;
    bool fits = x->shape[x->ndim - 1] == y->shape[y->ndim - 2];
    for (size_t d = 0; fits && d + 2 < o->ndim; d++) {
        size_t of_x = d + x->ndim < o->ndim ? 1 : x->shape[d + x->ndim - o->ndim];
        size_t of_y = d + y->ndim < o->ndim ? 1 : y->shape[d + y->ndim - o->ndim];
        fits = of_x == of_y || of_x == 1 || of_y == 1;
        o->shape[d] = of_x == 1 ? of_y : of_x;
        o->batches *= o->shape[d];
    }
    if (!fits) {
        yk_array_fail(a->stream, EINVAL, "matmul: %s by %s: the last axis of the first is the last but one of the second",
                      yk_shape_of(a).text, yk_shape_of(b).text);
        return false;
    }
    o->m = o->shape[o->ndim - 2] = x->shape[x->ndim - 2];
    o->n = o->shape[o->ndim - 1] = y->shape[y->ndim - 1];
    o->depth = x->shape[x->ndim - 1];
    o->x = matrix_of(x, type, o->ndim, o->shape);
    o->y = matrix_of(y, type, o->ndim, o->shape);
    return o->x && o->y;
}

static int multiply(const operands *o, yoke_array *out, unsigned type)
{
    size_t size = yoke_array_type_size(type);
    int err = yk_array_enter(o->y, out->stream);
    for (size_t batch = 0; batch < o->batches && o->m * o->n > 0 && err == 0; batch++) {
        char *x = (char *)o->x->data + batch * o->m * o->depth * size, *y = (char *)o->y->data + batch * o->depth * o->n * size;
        char *z = (char *)out->data + batch * o->m * o->n * size;
        const yk_product p = {o->m, o->n, o->depth, o->depth, o->n, o->n, x, y, z};
        err = yk_array_is_on_host(out) ? yk_matmul_on_host(yk_array_pool(out->stream), type, &p)
                                       : yk_matmul_on_device(out->stream, type, o->m, o->n, o->depth, z, x, y);
    }
    return err;
}

yoke_array *yoke_array_matmul(const yoke_array *a, const yoke_array *b)
{
    yoke_array_scope scope;
    operands o = {0};
    if (!a || !b || yk_array_is_number(a) || yk_array_is_number(b) || yk_device_check(a->stream->dev) < 0)
        return NULL;
    if (a->ndim == 0 || b->ndim == 0)
        return yk_array_fail(a->stream, EINVAL, "matmul: %s by %s: there are no axes, yoke_array_mul() multiplies",
                             yk_shape_of(a).text,
                             yk_shape_of(b).text);
    unsigned type = yoke_array_promote(a->type, b->type);
    yoke_array *out = NULL;
    yoke_array_begin(&scope);
    if (meet(a, b, type, &o))
        out = yk_array_new(a->stream, type, o.ndim, o.shape);
    if (out && multiply(&o, out, type) < 0)
        out = NULL;
    if (out && o.y_is_column)
        out = yoke_array_index(out, -1, 0);
    if (out && o.x_is_row)
        out = yoke_array_index(out, o.y_is_column ? -1 : -2, 0);
    return yoke_array_end(&scope, out);
}
