/* array_map: operations that go element by element. Operands are broadcast to one shape, dimensions that lie one behind the
 * other in all of them are joined, and what is left is gone through in the order of the result.
 *
 * On the CPU a loop (array_loops.h) sees flat arrays of the type that is computed in. An operand that is flat and of that
 * type is given to it as it stands; one that is not is first converted into a buffer of BLOCK elements, which stays in the
 * first cache, so that each operation needs one loop for each type and none for pairs of types or steps. Results of an operation
 * that touches more than the caches hold are written past them, from such a buffer, too (topo/past_cache.h). */
#include "gpu/array.h"
#include "gpu/array_ops.h"
#include "gpu/kernel.h"
#include "topo/past_cache.h"
#include <yoke/loop.h>

enum { BLOCK = 512, PAST_BYTES = 512, UNIT = 64 };

/* ---- Layouts ---- */

static bool follows(const yk_layout *l, unsigned arrays, size_t d)
{
    for (unsigned k = 0; k < arrays; k++)
        if (l->step[k][d - 1] != l->step[k][d] * (ptrdiff_t)l->shape[d])
            return false;
    return true;
}

void yk_layout_join(yk_layout *l, unsigned arrays)
{
    size_t kept = 0;
    for (size_t d = 0; d < l->ndim; d++) {
        if (l->shape[d] == 1)
            continue;
        l->shape[kept] = l->shape[d];
        for (unsigned k = 0; k < arrays; k++)
            l->step[k][kept] = l->step[k][d];
        if (kept > 0 && follows(l, arrays, kept)) {
            l->shape[kept - 1] *= l->shape[kept];
            for (unsigned k = 0; k < arrays; k++)
                l->step[k][kept - 1] = l->step[k][kept];
            kept--;
        }
        kept++;
    }
    l->ndim = kept;
}

bool yk_layout_is_flat(const yk_layout *l, unsigned k)
{
    return yk_view_is_flat(l->ndim, l->shape, l->step[k]);
}

bool yk_layout_is_one(const yk_layout *l, unsigned k)
{
    for (size_t d = 0; d < l->ndim; d++)
        if (l->step[k][d] != 0)
            return false;
    return true;
}

/* A walk along the rows of a layout. */
typedef struct walk {
    size_t index[YOKE_DIMS];
    ptrdiff_t offset; /* of the element, in elements */
} walk;

static walk walk_to(const yk_layout *l, unsigned k, size_t at)
{
    walk w = {{0}, 0};
    for (size_t d = l->ndim; d-- > 0;) {
        w.index[d] = at % l->shape[d];
        at /= l->shape[d];
        w.offset += (ptrdiff_t)w.index[d] * l->step[k][d];
    }
    return w;
}

/* Goes on by `by` elements, no further than to the end of the row. */
static void walk_on(walk *w, const yk_layout *l, unsigned k, size_t by)
{
    size_t d = l->ndim - 1;
    w->index[d] += by;
    w->offset += (ptrdiff_t)by * l->step[k][d];
    while (w->index[d] == l->shape[d] && d > 0) {
        w->offset -= (ptrdiff_t)l->shape[d] * l->step[k][d];
        w->index[d] = 0;
        d--;
        w->index[d]++;
        w->offset += l->step[k][d];
    }
}

/* Calls cast for each piece of a row in [at, at + n). */
static void walk_rows(const yk_layout *l, unsigned k, char *data, size_t size, size_t at, size_t n, char *flat,
                      size_t flat_size,
                      yk_cast *cast, bool scatter)
{
    if (l->ndim == 0 || n == 0) {
        if (n > 0)
            cast(1, scatter ? flat : data, 1, scatter ? data : flat, 1);
        return;
    }
    size_t last = l->ndim - 1;
    ptrdiff_t step = l->step[k][last];
    for (walk w = walk_to(l, k, at); n > 0;) {
        size_t row = YK_MIN(l->shape[last] - w.index[last], n);
        char *here = data + w.offset * (ptrdiff_t)size;
        if (scatter)
            cast(row, flat, 1, here, step);
        else
            cast(row, here, step, flat, 1);
        flat += row * flat_size;
        n -= row;
        if (n > 0)
            walk_on(&w, l, k, row);
    }
}

void yk_layout_gather(const yk_layout *l, unsigned k, const void *data, unsigned type, size_t at, size_t n, void *to,
                      unsigned to_type)
{
    walk_rows(l, k, (char *)(uintptr_t)data, yoke_array_type_size(type), at, n, to, yoke_array_type_size(to_type),
              yk_casts[type][to_type], false);
}

void yk_layout_scatter(const yk_layout *l, unsigned k, void *data, unsigned type, size_t at, size_t n, const void *from,
                       unsigned from_type)
{
    walk_rows(l, k, data, yoke_array_type_size(type), at, n, (char *)(uintptr_t)from, yoke_array_type_size(from_type),
              yk_casts[from_type][type], true);
}

/* ---- On the CPU ---- */

/* How an array is seen by a loop: flat as it is, one value all along, or through a buffer. [0] is the result. */
typedef enum seen { DIRECT, ONE, BUFFERED } seen;

typedef struct job {
    const yk_layout *l;
    bool is_copy; /* conversions go straight to where they belong */
    bool past;    /* the caches: a result that is DIRECT */
    yk_map_loop *loop;
    unsigned arity;
    seen how[YK_INPUTS + 1];
    unsigned type[YK_INPUTS + 1], computed[YK_INPUTS + 1]; /* of the elements; of what the loop sees */
    char *data[YK_INPUTS + 1];
} job;

static size_t computed_size(const job *j, unsigned k)
{
    return yoke_array_type_size(j->computed[k]);
}

/* The buffer begins as far from a line of the cache as what it is for. */
static void write_past(const job *j, size_t at, size_t n, const void *const *in, uint64_t *buffer)
{
    char *out = j->data[0] + at * computed_size(j, 0), *block = (char *)buffer + (uintptr_t)out % YK_CACHE_LINE;
    j->loop(n, at, in, block);
    yk_past_cache_copy(out, block, n * computed_size(j, 0));
}

/* Elements [at, at + n), n <= BLOCK unless all is direct. */
static void run_block(const job *j, size_t at, size_t n, uint64_t buffers[][BLOCK])
{
    const void *in[YK_INPUTS];
    if (j->is_copy) {
        yk_layout_gather(j->l, 1, j->data[1], j->type[1], at, n, j->data[0] + at * yoke_array_type_size(j->type[0]), j->type[0]);
        return;
    }
    for (unsigned k = 1; k <= j->arity; k++) {
        in[k - 1] = buffers[k];
        if (j->how[k] == DIRECT)
            in[k - 1] = j->data[k] + at * computed_size(j, k);
        else if (j->how[k] == BUFFERED)
            yk_layout_gather(j->l, k, j->data[k], j->type[k], at, n, buffers[k], j->computed[k]);
    }
    if (j->past) {
        write_past(j, at, n, in, buffers[0]);
        return;
    }
    if (j->how[0] == DIRECT) {
        j->loop(n, at, in, j->data[0] + at * computed_size(j, 0));
        return;
    }
    j->loop(n, at, in, buffers[0]);
    yk_layout_scatter(j->l, 0, j->data[0], j->type[0], at, n, buffers[0], j->computed[0]);
}

/* Elements come in units of UNIT, so that which of them a vector takes together does not depend on how the pool cuts: vector
 * versions of mathematical functions have other last bits than plain ones. */
static void run_units(size_t lo_unit, size_t hi_unit, const void *arg)
{
    const job *j = arg;
    const size_t lo = lo_unit * UNIT, hi = YK_MIN(hi_unit * UNIT, j->l->elements);
    _Alignas(YK_CACHE_LINE) uint64_t buffers[YK_INPUTS + 1][BLOCK];
    size_t block = j->past ? PAST_BYTES / computed_size(j, 0) : hi - lo, first;
    for (unsigned k = 0; k <= j->arity; k++) {
        if (j->how[k] != DIRECT)
            block = YK_MIN(block, (size_t)BLOCK);
        if (j->how[k] == ONE)
            yk_casts[j->type[k]][j->computed[k]](YK_MIN(hi - lo, (size_t)BLOCK), j->data[k], 0, buffers[k], 1);
    }
    first = j->past ? block - (uintptr_t)(j->data[0] + lo * computed_size(j, 0)) % YK_CACHE_LINE / computed_size(j, 0) : block;
    for (size_t at = lo, n = YK_MIN(first, hi - lo); at < hi; at += n, n = YK_MIN(block, hi - at))
        run_block(j, at, n, buffers);
    if (j->past)
        yk_past_cache_end();
}

/* In blocks of what a buffer holds, larger than those that go past the caches well. */
static bool is_gathered(const job *j)
{
    bool any = false;
    for (unsigned k = 1; k <= j->arity; k++)
        any |= j->how[k] == BUFFERED;
    return any;
}

/* As in kernel_cpu.c. */
static bool takes_long(const yk_op *op, unsigned type)
{
    yk_analysis a = {0};
    yk_analyse(&(yoke_kernel){.nparams = 0}, yk_op_text(op, type), &a);
    return a.takes_long;
}

static size_t touched(const job *j)
{
    size_t bytes = 0;
    for (unsigned k = 0; k <= j->arity; k++)
        bytes += j->how[k] != ONE ? yoke_array_type_size(j->type[k]) : 0;
    return bytes * j->l->elements;
}

static int run_here(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in, const yk_layout *l,
                    uint64_t (*numbers)[1])
{
    job j = {.l = l, .loop = yk_op_loop(op, type), .arity = op->arity};
    for (unsigned k = 0; k <= op->arity; k++) {
        const yoke_array *a = k ? in[k - 1] : out;
        bool is_number = k > 0 && yk_array_is_number(a);
        j.computed[k] = k == 0 ? (op->gives_bool ? YOKE_BOOL : type) : op->is_where && k == 1 ? YOKE_BOOL : type;
        j.type[k] = is_number ? j.computed[k] : a->type;
        j.data[k] = is_number ? (char *)numbers[k] : a->data;
        j.how[k] = k > 0 && yk_layout_is_one(l, k) ? ONE : j.type[k] == j.computed[k] && yk_layout_is_flat(l, k) ? DIRECT
            : BUFFERED;
    }
    j.is_copy = op->id == YK_OP_copy && j.how[0] == DIRECT && j.how[1] == BUFFERED;
    j.past = j.how[0] == DIRECT && !is_gathered(&j) && yk_past_cache_pays(touched(&j)) && !takes_long(op, type);
    const size_t units = (l->elements + UNIT - 1) / UNIT;
    int err = 0;
    if (op->id == YK_OP_copy && j.type[0] == j.type[1] && yk_transpose_fits(l))
        err = yk_transpose_on_host(yk_array_pool(out->stream), l, yoke_array_type_size(type), j.data[0], j.data[1]);
    else if (l->elements > YK_ARRAY_SERIAL)
        err = yk_loop(yk_array_pool(out->stream), units, run_units, &j);
    else
        run_units(0, units, &j);
    if (err < 0)
        yk_array_fail(out->stream, err, "%s: %s", op->shown, yoke_strerror(err));
    return err;
}

/* ---- Operands, types and shapes ---- */

int yk_map_into(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in)
{
    yk_layout l = {.ndim = out->ndim, .elements = yoke_array_elements(out)};
    uint64_t numbers[YK_INPUTS + 1][1] = {{0}};
    memcpy(l.shape, out->shape, sizeof l.shape);
    memcpy(l.step[0], out->step, sizeof l.step[0]);
    for (unsigned k = 0; k < op->arity; k++) {
        unsigned computed = op->is_where && k == 0 ? YOKE_BOOL : type;
        if (yk_array_is_number(in[k])) {
            if (yk_number_as(in[k], computed, numbers[k + 1]) < 0)
                return yk_number_refuse(out->stream, op->shown, type, in[k]);
            continue;
        }
        size_t front = out->ndim - in[k]->ndim;
        for (size_t d = 0; d < in[k]->ndim; d++)
            l.step[k + 1][front + d] = in[k]->shape[d] == 1 ? 0 : in[k]->step[d];
        int err = yk_array_enter(in[k], out->stream);
        if (err < 0)
            return err;
    }
    if (l.elements == 0)
        return 0;
    if (yk_array_cannot_record(out->stream) < 0)
        return -ENOTSUP;
    yk_layout_join(&l, op->arity + 1);
    return yk_array_is_on_host(out) ? run_here(out, op, type, in, &l, numbers) : yk_map_on_device(out, op, type, in, &l);
}

/* The shape of all operands together; false: the error. */
static bool meet_shapes(const yk_op *op, const yoke_array *const *in, yoke_stream *s, size_t *ndim, size_t *shape)
{
    *ndim = 0;
    for (unsigned k = 0; k < op->arity; k++)
        *ndim = YK_MAX(*ndim, in[k]->ndim);
    for (size_t d = 0; d < *ndim; d++) {
        size_t length = 1;
        for (unsigned k = 0; k < op->arity; k++) {
            size_t own = d + in[k]->ndim < *ndim ? 1 : in[k]->shape[d + in[k]->ndim - *ndim];
            if (own != 1 && length != 1 && own != length) {
                yk_array_fail(s, EINVAL,
                              "%s: shapes %s and %s%s%s do not meet: on an axis, counted from the last, "
                              "lengths are equal, or one is 1",
                              op->shown, yk_shape_of(in[0]).text, yk_shape_of(in[1]).text, op->arity > 2 ? " and " : "",
                              op->arity > 2 ? yk_shape_of(in[2]).text : "");
                return false;
            }
            length = own != 1 ? own : length;
        }
        shape[d] = length;
    }
    return true;
}

/* The type that is computed in; YOKE_VOID: the error. */
static unsigned computed_type(const yk_op *op, const yoke_array *const *in, yoke_stream *s)
{
    unsigned skip = op->is_where ? 1 : 0, type = yk_types_meet(op->rule, in + skip, op->arity - skip);
    if (!yk_op_loop(op, type) && type == YOKE_BOOL && yk_op_loop(op, YOKE_I8) && op->id != YK_OP_sub && op->id != YK_OP_neg &&
        op->id != YK_OP_sign)
        type = YOKE_I8;
    if (yk_op_loop(op, type)) {
        return yk_array_type_ok(s, op->shown, type) ? type : YOKE_VOID;
    }
    bool is_float = type == YOKE_F32 || type == YOKE_F64;
    yk_array_fail(s, EINVAL, "%s is not defined for %s%s", op->shown, yoke_array_type_name(type),
                  is_float ? ": yoke_array_astype() makes integers" : ": yoke_array_bit_xor() or _not(), or astype() YOKE_I8");
    return YOKE_VOID;
}

yoke_array *yk_map(const yk_op *op, const yoke_array *const *in)
{
    size_t ndim, shape[YOKE_DIMS];
    const yoke_array *first = NULL;
    for (unsigned k = 0; k < op->arity; k++) {
        if (!in[k])
            return NULL;
        if (!first && !yk_array_is_number(in[k]))
            first = in[k];
    }
    if (!first || yk_device_check(first->stream->dev) < 0)
        return NULL;
    yoke_stream *s = first->stream;
    unsigned type = computed_type(op, in, s);
    if (type == YOKE_VOID || !meet_shapes(op, in, s, &ndim, shape))
        return NULL;
    yoke_array *out = yk_array_new(s, op->gives_bool ? YOKE_BOOL : type, ndim, shape);
    if (out && yk_map_into(out, op, type, in) < 0) {
        yoke_array_free(out);
        return NULL;
    }
    return out;
}
