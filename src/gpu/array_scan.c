/* array_scan: running sums and their like along an axis. Each line along the axis is cut into pieces where there are few
 * lines: a first pass takes each piece into one value, then each piece goes on from what the pieces before it have come to.
 * The pieces are of a fixed size, so the result does not depend on the number of threads. */
#include "gpu/array_text.h"
#include <stdlib.h>
#include <yoke/loop.h>

enum { BLOCK = 512, PIECE = 65536, SERIAL = 16384, LINES = 32 };

typedef struct job {
    const yk_fold *fold;
    const yk_layout *outer, *inner; /* array 0 is the operand, 1 the result */
    const char *from;
    char *to, *acc; /* [lines][pieces]: first what the piece comes to, then what comes before it */
    unsigned type, computed, to_type;
    size_t pieces;
} job;

static ptrdiff_t offset_of(const yk_layout *l, unsigned k, size_t at)
{
    ptrdiff_t offset = 0;
    for (size_t d = l->ndim; d-- > 0; at /= l->shape[d])
        offset += (ptrdiff_t)(at % l->shape[d]) * l->step[k][d];
    return offset;
}

static size_t piece_end(const job *j, size_t from)
{
    return j->pieces == 1 ? j->inner->elements : YK_MIN(from + PIECE, j->inner->elements);
}

static const char *line_of(const job *j, size_t x)
{
    return j->from + offset_of(j->outer, 0, x / j->pieces) * (ptrdiff_t)yoke_array_type_size(j->type);
}

static void take_pieces(size_t lo, size_t hi, const void *arg)
{
    const job *j = arg;
    uint64_t buffer[BLOCK];
    for (size_t x = lo; x < hi; x++) {
        size_t from = x % j->pieces * PIECE, to = piece_end(j, from);
        j->fold->start(1, j->acc + x * j->fold->size);
        for (size_t at = from; at < to && j->pieces > 1; at += BLOCK) {
            size_t n = YK_MIN((size_t)BLOCK, to - at);
            yk_layout_gather(j->inner, 0, line_of(j, x), j->type, at, n, buffer, j->computed);
            j->fold->take(n, at, buffer, j->acc + x * j->fold->size);
        }
    }
}

static void scan_pieces(size_t lo, size_t hi, const void *arg)
{
    const job *j = arg;
    uint64_t in[BLOCK], out[BLOCK];
    for (size_t x = lo; x < hi; x++) {
        size_t from = x % j->pieces * PIECE, to = piece_end(j, from);
        char *line = j->to + offset_of(j->outer, 1, x / j->pieces) * (ptrdiff_t)yoke_array_type_size(j->to_type);
        for (size_t at = from; at < to; at += BLOCK) {
            size_t n = YK_MIN((size_t)BLOCK, to - at);
            yk_layout_gather(j->inner, 0, line_of(j, x), j->type, at, n, in, j->computed);
            j->fold->scan(n, at, in, j->acc + x * j->fold->size, out);
            yk_layout_scatter(j->inner, 1, line, j->to_type, at, n, out, j->fold->out);
        }
    }
}

/* What each piece comes to becomes what comes before it. */
static void go_on(const job *j)
{
    for (size_t line = 0; line < j->outer->elements; line++) {
        uint64_t before[2], own[2];
        j->fold->start(1, before);
        for (size_t p = 0; p < j->pieces; p++) {
            char *acc = j->acc + (line * j->pieces + p) * j->fold->size;
            memcpy(own, acc, j->fold->size);
            memcpy(acc, before, j->fold->size);
            j->fold->join(1, before, own);
        }
    }
}

static int scan_here(job *j, yoke_stream *s, const char *what)
{
    j->pieces = j->outer->elements < LINES ? (j->inner->elements + PIECE - 1) / PIECE : 1;
    size_t n = j->outer->elements * j->pieces;
    j->acc = yk_sys.malloc(n * j->fold->size);
    if (!j->acc) {
        yk_array_fail(s, ENOMEM, "%s: no memory", what);
        return -ENOMEM;
    }
    int err = 0;
    if (j->outer->elements * j->inner->elements > SERIAL) {
        err = yk_loop(yk_array_pool(s), n, take_pieces, j);
        go_on(j);
        if (err == 0)
            err = yk_loop(yk_array_pool(s), n, scan_pieces, j);
        if (err < 0)
            yk_array_fail(s, err, "%s: %s", what, yoke_strerror(err));
    } else {
        take_pieces(0, n, j);
        scan_pieces(0, n, j);
    }
    free(j->acc);
    return err;
}

static int scan_on_device(const job *j, yoke_stream *s, void *from, void *to, const char *what)
{
    static const char *const names[] = {"yk_runs", "yk_columns", "yk_join", "yk_scan", NULL};
    yk_reduce_plan p = {.name = j->fold->name, .fold = j->fold, .type = j->computed, .from = j->type, .to = j->to_type,
                        .outer_ndim = (unsigned)j->outer->ndim, .inner_ndim = (unsigned)j->inner->ndim};
    const yk_array_target target = yk_array_target_of(s->dev);
    p.inner_is_flat = target.is_cpu && yk_layout_is_flat(j->inner, 0);
    char key[65] = "s";
    yk_reduce_key(&p, key + 1);
    key[63] = 0; /* what is kept of a key */
    const yk_array_kernel *b = yk_array_kernel_get(s, key, what, names, yk_reduce_text, &p);
    if (!b)
        return yk_array_code(s);
    size_t group = target.is_cpu ? 1 : target.group, count = yk_pieces_of(s->dev, j->outer, j->inner, false, group);
    int64_t pieces = (int64_t)count, piece = (int64_t)((j->inner->elements + count - 1) / count);
    int32_t ends = 0;
    size_t jobs = j->outer->elements * count;
    yk_device_layout o = yk_device_layout_of(j->outer), i = yk_device_layout_of(j->inner);
    void *y = yoke_stream_alloc(s, jobs * j->fold->size);
    if (!y)
        return yk_array_code(s);
    yk_kernel_arg args[] = {yk_value_arg(&o, sizeof o), yk_value_arg(&i, sizeof i), yk_value_arg(&pieces, 8),
                            yk_value_arg(&piece, 8),
                            yk_value_arg(&ends, 4), yk_memory_arg(&to), yk_memory_arg(&y), yk_memory_arg(&from)};
    int err = count > 1 ? yk_array_launch_groups(s, b, 0, jobs, group, args, 8, what) : 0;
    yk_kernel_arg rest[] = {args[0], args[1], args[2], args[3], args[5], args[6], args[7]};
    if (err == 0)
        err = yk_array_launch_groups(s, b, 3, jobs, group, rest, 7, what);
    yoke_stream_free(s, y);
    return err;
}

static yoke_array *scan(const char *what, unsigned id, const yoke_array *a, ptrdiff_t axis)
{
    int d = a && !yk_array_is_number(a) && yk_device_check(a->stream->dev) == 0 ? yk_array_axis(a, what, axis) : -1;
    if (d < 0)
        return NULL;
    bool is_float = a->type == YOKE_F32 || a->type == YOKE_F64, is_unsigned = a->type >= YOKE_U8 && a->type <= YOKE_U64;
    unsigned whole = is_unsigned ? YOKE_U64 : YOKE_I64, real = a->stream->dev->info.has_double ? YOKE_F64 : YOKE_F32;
    yoke_array *out = yk_array_new(a->stream, is_float ? a->type : whole, a->ndim, a->shape);
    if (!out || yoke_array_elements(out) == 0)
        return out;
    yk_layout outer = {.elements = 1}, inner = {.elements = 1};
    for (size_t k = 0; k < a->ndim; k++) {
        yk_layout *l = (int)k == d ? &inner : &outer;
        l->shape[l->ndim] = a->shape[k];
        l->step[0][l->ndim] = a->step[k];
        l->step[1][l->ndim++] = out->step[k];
        l->elements *= a->shape[k];
    }
    yk_layout_join(&outer, 2);
    job j = {.outer = &outer, .inner = &inner, .from = a->data, .to = out->data, .type = a->type,
             .computed = is_float ? real : whole, .to_type = out->type};
    j.fold = &yk_folds[id][j.computed];
    int err = yk_array_is_on_host(a) ? scan_here(&j, a->stream, what) : scan_on_device(&j, a->stream, a->data, out->data, what);
    if (err < 0) {
        yoke_array_free(out);
        return NULL;
    }
    return out;
}

yoke_array *yoke_array_cumsum(const yoke_array *a, ptrdiff_t axis)
{
    return scan("cumsum", YK_FOLD_sum, a, axis);
}

yoke_array *yoke_array_cumprod(const yoke_array *a, ptrdiff_t axis)
{
    return scan("cumprod", YK_FOLD_prod, a, axis);
}
