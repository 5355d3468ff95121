/* array_reduce: reductions along axes. The axes that stay and those that go become two layouts; each element of the result
 * takes the elements that the second reaches from its place in the first.
 *
 * On the CPU either one result takes a run of elements at a time, or, where the axis that stays is the one whose elements lie
 * side by side, a row of results takes a row of elements at a time. Long runs, and many rows, are cut into pieces of a fixed
 * size, which are taken in parallel and joined in order, so the result does not depend on the number of threads. */
#include "gpu/array.h"
#include "gpu/array_folds.h"
#include <stdlib.h>
#include <yoke/loop.h>

enum { BLOCK = 512, PIECE = 65536, SERIAL = 16384, ROW = 32, STRIP = 4096, STRIPS_ENOUGH = 64, ROWS_PIECE = 4 * PIECE };

typedef struct job {
    const yk_fold *fold;
    const yk_layout *outer, *inner; /* both of the operand alone: array 0 */
    const char *data;
    unsigned type, computed;
    size_t size, pieces;
    char *acc; /* [outer elements][pieces]; by rows [pieces][outer elements] */
    bool direct, rows;
    void (*each)(size_t n, size_t at, const void *in, void *acc); /* takes parts of rows as they lie; NULL: they are gathered */
} job;

static ptrdiff_t offset_of(const yk_layout *l, size_t at)
{
    ptrdiff_t offset = 0;
    for (size_t d = l->ndim; d-- > 0; at /= l->shape[d])
        offset += (ptrdiff_t)(at % l->shape[d]) * l->step[0][d];
    return offset;
}

/* Runs: number x is piece x % pieces of result x / pieces. */
static void take_runs(size_t lo, size_t hi, const void *arg)
{
    const job *j = arg;
    uint64_t buffer[BLOCK];
    for (size_t x = lo; x < hi; x++) {
        const char *data = j->data + offset_of(j->outer, x / j->pieces) * (ptrdiff_t)j->size;
        size_t from = x % j->pieces * PIECE, to = j->pieces == 1 ? j->inner->elements : YK_MIN(from + PIECE,
                                                                                               j->inner->elements);
        char *acc = j->acc + x * j->fold->size;
        j->fold->start(1, acc);
        size_t step = j->direct ? PIECE : BLOCK;
        for (size_t at = from; at < to; at += step) {
            size_t n = YK_MIN(step, to - at);
            if (j->direct) {
                j->fold->take(n, at, data + at * j->size, acc);
                continue;
            }
            yk_layout_gather(j->inner, 0, data, j->type, at, n, buffer, j->computed);
            j->fold->take(n, at, buffer, acc);
        }
    }
}

/* Rows: part x is piece x / strips of the strip x % strips. Memory is read as it lies, as long as the results of a strip stay in
 * the first cache. */
static size_t strips_of(const job *j)
{
    return (j->outer->elements + STRIP - 1) / STRIP;
}

static size_t rows_of_piece(const job *j)
{
    return YK_MAX(ROWS_PIECE / YK_MIN(j->outer->elements, (size_t)STRIP), 1);
}

/* Elements [at, at + n) of row r. */
static void take_row(const job *j, size_t r, size_t at, size_t n, char *acc)
{
    uint64_t buffer[BLOCK];
    const char *data = j->data + offset_of(j->inner, r) * (ptrdiff_t)j->size;
    if (j->each) {
        j->each(n, r, data + at * j->size, acc);
        return;
    }
    yk_layout_gather(j->outer, 0, data, j->type, at, n, buffer, j->computed);
    j->fold->take_each(n, r, buffer, acc);
}

static void take_part(const job *j, size_t piece, size_t begin, size_t end)
{
    char *acc = j->acc + piece * j->outer->elements * j->fold->size;
    size_t rows = j->pieces == 1 ? j->inner->elements : rows_of_piece(j), last = YK_MIN((piece + 1) * rows, j->inner->elements);
    j->fold->start(end - begin, acc + begin * j->fold->size);
    for (size_t i = piece * rows; i < last; i++)
        for (size_t at = begin, n; at < end; at += n) {
            n = YK_MIN((size_t)BLOCK, end - at);
            take_row(j, i, at, n, acc + at * j->fold->size);
        }
}

static void take_rows(size_t lo, size_t hi, const void *arg)
{
    const job *j = arg;
    for (size_t x = lo, strips = strips_of(j); x < hi; x++) {
        size_t begin = x % strips * STRIP;
        take_part(j, x / strips, begin, YK_MIN(begin + STRIP, j->outer->elements));
    }
}

static bool is_by_rows(const yk_layout *outer, const yk_layout *inner)
{
    if (outer->ndim == 0 || inner->ndim == 0 || outer->shape[outer->ndim - 1] < ROW)
        return false;
    return labs(outer->step[0][outer->ndim - 1]) < labs(inner->step[0][inner->ndim - 1]);
}

/* Pairs of neighbours, then of pairs: few roundings. Each piece has n values, and the next begins `step` bytes on. */
static void join_pieces(const job *j, char *first, size_t n, size_t step)
{
    for (size_t width = 1; width < j->pieces; width *= 2)
        for (size_t p = 0; p + width < j->pieces; p += 2 * width)
            j->fold->join(n, first + p * step, first + (p + width) * step);
}

static void finish(const job *j, size_t n, yoke_array *out)
{
    uint64_t buffer[BLOCK];
    if (j->rows)
        join_pieces(j, j->acc, n, n * j->fold->size);
    for (size_t x = 0; x < n && j->pieces > 1 && !j->rows; x++) {
        char *row = j->acc + x * j->pieces * j->fold->size;
        join_pieces(j, row, 1, j->fold->size);
        memmove(j->acc + x * j->fold->size, row, j->fold->size);
    }
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t some = YK_MIN((size_t)BLOCK, n - at);
        j->fold->last(some, j->acc + at * j->fold->size, buffer);
        yk_casts[j->fold->out][out->type](some, buffer, 1, (char *)out->data + at * yoke_array_type_size(out->type), 1);
    }
}

static int reduce_here(yoke_array *out, const yk_fold *fold, unsigned computed, const yoke_array *a, const yk_layout *outer,
                       const yk_layout *inner, const char *what)
{
    bool rows = is_by_rows(outer, inner);
    job j = {.fold = fold, .outer = outer, .inner = inner, .data = a->data, .type = a->type, .computed = computed,
             .size = yoke_array_type_size(a->type), .pieces = 1, .rows = rows};
    j.direct = a->type == computed && yk_layout_is_flat(inner, 0);
    if (yk_layout_is_flat(outer, 0))
        j.each = a->type == computed ? fold->take_each : a->type == YOKE_F32 && computed == YOKE_F64 ? fold->widen_each : NULL;
    if (!rows && outer->elements < ROW && inner->elements > PIECE)
        j.pieces = (inner->elements + PIECE - 1) / PIECE;
    if (rows && strips_of(&j) < STRIPS_ENOUGH)
        j.pieces = YK_MAX((inner->elements + rows_of_piece(&j) - 1) / rows_of_piece(&j), 1);
    size_t n = outer->elements * j.pieces;
    j.acc = yk_sys.malloc(n * fold->size);
    if (!j.acc) {
        yk_array_fail(out->stream, ENOMEM, "%s: no memory", what);
        return -ENOMEM;
    }
    int err = 0;
    size_t parts = rows ? strips_of(&j) * j.pieces : n;
    if (outer->elements * inner->elements > SERIAL)
        err = yk_loop(yk_array_pool(out->stream), parts, rows ? take_rows : take_runs, &j);
    else
        (rows ? take_rows : take_runs)(0, parts, &j);
    if (err == 0)
        finish(&j, outer->elements, out);
    else
        yk_array_fail(out->stream, err, "%s: %s", what, yoke_strerror(err));
    free(j.acc);
    return err;
}

/* ---- Shapes ---- */

static void add_axis(yk_layout *l, size_t length, ptrdiff_t step)
{
    l->shape[l->ndim] = length;
    l->step[0][l->ndim++] = step;
    l->elements *= length;
}

/* out = fold of a along the axes in set, computed in a type. */
static yoke_array *reduce(const char *what, unsigned id, unsigned computed, unsigned out_type, const yoke_array *a,
                          unsigned set,
                          bool keep)
{
    yk_layout outer = {.elements = 1}, inner = {.elements = 1};
    size_t ndim = 0, shape[YOKE_DIMS];
    for (size_t d = 0; d < a->ndim; d++) {
        bool goes = set & 1u << d;
        add_axis(goes ? &inner : &outer, a->shape[d], a->step[d]);
        if (!goes || keep)
            shape[ndim++] = goes ? 1 : a->shape[d];
    }
    bool is_place = id == YK_FOLD_argmin || id == YK_FOLD_argmax, needs_one = is_place || id == YK_FOLD_min ||
        id == YK_FOLD_max;
    if (needs_one && inner.elements == 0 && (outer.elements > 0 || is_place))
        return yk_array_fail(a->stream, EINVAL, "%s of no elements: %s", what, yk_shape_of(a).text);
    yoke_array *out = yk_array_new(a->stream, out_type, ndim, shape);
    if (!out || outer.elements == 0)
        return out;
    yk_layout_join(&outer, 1);
    yk_layout_join(&inner, 1);
    const yk_fold *fold = &yk_folds[id][computed];
    int err = yk_array_is_on_host(a) ? reduce_here(out, fold, computed, a, &outer, &inner, what)
                                     : yk_reduce_on_device(out, fold, computed, a, &outer, &inner, what);
    if (err < 0) {
        yoke_array_free(out);
        return NULL;
    }
    return out;
}

static bool is_float(const yoke_array *a)
{
    return a->type == YOKE_F32 || a->type == YOKE_F64;
}

/* What floats are added up in. */
static unsigned float_type(const yoke_array *a)
{
    return a->stream->dev->info.has_double ? YOKE_F64 : YOKE_F32;
}

/* ---- The calls ---- */

static yoke_array *add_up(const char *what, unsigned id, const yoke_array *a, yoke_dims axes, bool keep)
{
    unsigned set;
    if (!yk_array_usable(a) || !yk_array_axes(a, what, axes, &set))
        return NULL;
    if (is_float(a))
        return reduce(what, id, float_type(a), a->type, a, set, keep);
    unsigned type = a->type >= YOKE_U8 && a->type <= YOKE_U64 ? YOKE_U64 : YOKE_I64;
    return reduce(what, id, type, type, a, set, keep);
}

yoke_array *yoke_array_sum(const yoke_array *a, yoke_dims axes, bool keep)
{
    return add_up("sum", YK_FOLD_sum, a, axes, keep);
}

yoke_array *yoke_array_prod(const yoke_array *a, yoke_dims axes, bool keep)
{
    return add_up("prod", YK_FOLD_prod, a, axes, keep);
}

static yoke_array *choose(const char *what, unsigned id, unsigned computed, unsigned out, const yoke_array *a, yoke_dims axes,
                          bool keep)
{
    unsigned set;
    if (!yk_array_usable(a) || !yk_array_axes(a, what, axes, &set))
        return NULL;
    return reduce(what, id, computed ? computed : a->type, out ? out : a->type, a, set, keep);
}

yoke_array *yoke_array_min(const yoke_array *a, yoke_dims axes, bool keep)
{
    return choose("min", YK_FOLD_min, 0, 0, a, axes, keep);
}

yoke_array *yoke_array_max(const yoke_array *a, yoke_dims axes, bool keep)
{
    return choose("max", YK_FOLD_max, 0, 0, a, axes, keep);
}

yoke_array *yoke_array_any(const yoke_array *a, yoke_dims axes, bool keep)
{
    return choose("any", YK_FOLD_any, YOKE_BOOL, YOKE_BOOL, a, axes, keep);
}

yoke_array *yoke_array_all(const yoke_array *a, yoke_dims axes, bool keep)
{
    return choose("all", YK_FOLD_all, YOKE_BOOL, YOKE_BOOL, a, axes, keep);
}

static yoke_array *place(const char *what, unsigned id, const yoke_array *a, yoke_dims axes, bool keep)
{
    unsigned set;
    if (!yk_array_usable(a) || !yk_array_axes(a, what, axes, &set))
        return NULL;
    if (axes.count != SIZE_MAX && axes.count != 1)
        return yk_array_fail(a->stream, EINVAL, "%s: along %zu axes, it is one or all", what, axes.count);
    return choose(what, id, 0, YOKE_I64, a, axes, keep);
}

yoke_array *yoke_array_argmin(const yoke_array *a, yoke_dims axes, bool keep)
{
    return place("argmin", YK_FOLD_argmin, a, axes, keep);
}

yoke_array *yoke_array_argmax(const yoke_array *a, yoke_dims axes, bool keep)
{
    return place("argmax", YK_FOLD_argmax, a, axes, keep);
}

/* ---- Moments ---- */

/* sum / count, in the type floats are added up in. */
static yoke_array *average(const char *what, const yoke_array *a, unsigned set, bool keep, double count)
{
    unsigned type = float_type(a);
    yoke_array n = {.type = YOKE_F64, .number = {.f = count}};
    yoke_array *sum = reduce(what, YK_FOLD_sum, type, type, a, set, keep), *r = yoke_array_div(sum, &n);
    yoke_array_free(sum);
    return r;
}

static double count_along(const yoke_array *a, unsigned set)
{
    double n = 1;
    for (size_t d = 0; d < a->ndim; d++)
        n *= set & 1u << d ? (double)a->shape[d] : 1;
    return n;
}

/* x as the type of a mean of a. x may be NULL. */
static yoke_array *as_mean(const yoke_array *a, yoke_array *x)
{
    unsigned type = a->type == YOKE_F32 || !a->stream->dev->info.has_double ? YOKE_F32 : YOKE_F64;
    return x && x->type != type ? yoke_array_astype(x, type) : x;
}

yoke_array *yoke_array_mean(const yoke_array *a, yoke_dims axes, bool keep)
{
    unsigned set;
    yoke_array_scope scope;
    if (!yk_array_usable(a) || !yk_array_axes(a, "mean", axes, &set))
        return NULL;
    yoke_array_begin(&scope);
    return yoke_array_end(&scope, as_mean(a, average("mean", a, set, keep, count_along(a, set))));
}

static yoke_array *variance(const char *what, const yoke_array *a, yoke_dims axes, bool keep, double ddof, bool root)
{
    unsigned set;
    yoke_array_scope scope;
    if (!yk_array_usable(a) || !yk_array_axes(a, what, axes, &set))
        return NULL;
    double n = count_along(a, set);
    yoke_array_begin(&scope);
    bool has_double = a->stream->dev->info.has_double; /* in which integers meet a mean, but for 8 and 16 bits */
    const yoke_array *x = has_double || is_float(a) ? a : yoke_array_astype(a, YOKE_F32);
    yoke_array *off = x ? yoke_array_sub(x, average(what, x, set, true, n)) : NULL, *square = yoke_array_mul(off, off);
    yoke_array *v = square ? average(what, square, set, keep, n > ddof ? n - ddof : 0) : NULL;
    return yoke_array_end(&scope, as_mean(a, root ? yoke_array_sqrt(v) : v));
}

yoke_array *yoke_array_var(const yoke_array *a, yoke_dims axes, bool keep, double ddof)
{
    return variance("var", a, axes, keep, ddof, false);
}

yoke_array *yoke_array_std(const yoke_array *a, yoke_dims axes, bool keep, double ddof)
{
    return variance("std", a, axes, keep, ddof, true);
}
