/* array_device: maps and reductions on CUDA and OpenCL devices: which kernel, built when it is first needed, and how it is
 * launched.
 *
 * What has been built stands in a table of the device, by key. Whoever wants a kernel that is not there builds it under the
 * table's lock; a text that did not compile stays refused, with its reason. */
#include "gpu/array_text.h"
#include "gpu/graph.h"
#include "gpu/kernel.h"
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 64, FUNCTIONS = 4, SHORT_COLUMNS = 64, PIECE_LEAST = 4096 };

struct yk_array_kernel {
    struct yk_array_kernel *next;
    char key[64];
    yk_image *image;
    yk_function functions[FUNCTIONS];
    yk_error error;
};
typedef yk_array_kernel built;

/* Written under its lock; what has been built does not change. */
struct yk_array_kernels {
    yk_mutex lock;
    built *buckets[BUCKETS];
};

/* ---- What has been built ---- */

static unsigned bucket_of(const char *key)
{
    unsigned hash = 5381;
    while (*key)
        hash = hash * 33 + (unsigned char)*key++;
    return hash % BUCKETS;
}

static struct yk_array_kernels *kernels_of(yoke_device *dev)
{
    yk_mutex_lock(&dev->lock);
    if (!dev->arrays)
        dev->arrays = yk_sys.calloc(1, sizeof *dev->arrays);
    struct yk_array_kernels *k = dev->arrays;
    yk_mutex_unlock(&dev->lock);
    return k;
}

void yk_array_kernels_close(yoke_device *dev)
{
    for (unsigned i = 0; dev->arrays && i < BUCKETS; i++)
        while (dev->arrays->buckets[i]) {
            built *b = dev->arrays->buckets[i];
            dev->arrays->buckets[i] = b->next;
            if (b->image)
                dev->driver->unload(dev, b->image);
            free(b);
        }
    free(dev->arrays);
    dev->arrays = NULL;
}

/* names ends with NULL. */
static void build(yoke_device *dev, built *b, const char *name, const char *text, const char *const *names)
{
    yk_buf log = {0};
    bool is_cuda = yk_array_target_of(dev).is_cuda;
    int err = dev->driver->build(dev, text, is_cuda ? YK_CUDA_OPTIONS : YK_OPENCL_OPTIONS, name, &b->image, &log,
                                 &b->error);
    if (err == -EINVAL && log.len > 0) {
        const char *said = yk_buf_str(&log), *at = strstr(said, "error");
        yk_errorf(&b->error, EINVAL, "%s: its kernel does not compile for %s: %.*s", name, dev->info.uri,
                  (int)strcspn(at ? at : said, "\n"), at ? at : said);
    }
    for (int i = 0; err == 0 && names[i]; i++)
        err = dev->driver->function(b->image, names[i], &b->functions[i], &b->error);
    b->error.code = err;
    yk_buf_done(&log);
}

/* The kernels of the key, from the table. NULL: there are none yet. */
static built *find(struct yk_array_kernels *k, const char *key)
{
    built *b = k->buckets[bucket_of(key)];
    while (b && strcmp(b->key, key) != 0)
        b = b->next;
    return b;
}

const yk_array_kernel *yk_array_kernel_get(yoke_stream *s, const char *key, const char *name, const char *const *names,
                                           yk_array_write *text_of, const void *plan)
{
    yoke_device *dev = s->dev;
    struct yk_array_kernels *k = kernels_of(dev);
    yk_error none = {0};
    if (!k) {
        yk_array_fail(s, ENOMEM, "%s: no memory for a kernel", name);
        return NULL;
    }
    yk_mutex_lock(&k->lock);
    built *b = find(k, key);
    if (!b && (b = yk_sys.calloc(1, sizeof *b))) {
        yk_buf text = {0};
        yk_array_target t = yk_array_target_of(dev);
        text_of(plan, &t, &text);
        const char *written = yk_buf_str(&text);
        if (text.failed)
            yk_errorf(&b->error, ENOMEM, "%s: no memory for the text of a kernel", name);
        else
            build(dev, b, name, written, names);
        yk_buf_done(&text);
        none = b->error;
        snprintf(b->key, sizeof b->key, "%s", key);
        if (none.code == -ENOMEM || none.code == -ENODEV) { /* may be otherwise next time */
            if (b->image)
                dev->driver->unload(dev, b->image);
            free(b);
            b = NULL;
        } else {
            b->next = k->buckets[bucket_of(key)];
            k->buckets[bucket_of(key)] = b;
        }
    } else if (!b) {
        yk_errorf(&none, ENOMEM, "%s: no memory for a kernel", name);
    }
    yk_mutex_unlock(&k->lock);
    if (b && b->error.code == 0)
        return b;
    yk_device_fail(s->dev, s, b ? &b->error : &none);
    return NULL;
}

int yk_array_launch(yoke_stream *s, const yk_array_kernel *b, unsigned which, size_t groups, const yk_kernel_arg *args,
                    unsigned count,
                    const char *name)
{
    return yk_array_launch_groups(s, b, which, groups, yk_array_target_of(s->dev).group, args, count, name);
}

int yk_array_launch_groups(yoke_stream *s, const yk_array_kernel *b, unsigned which, size_t groups, size_t group,
                           const yk_kernel_arg *args, unsigned count, const char *name)
{
    yk_error e = {0};
    if (groups > INT32_MAX) {
        yk_array_fail(s, EINVAL, "%s: %zu groups of threads are more than a launch has", name, groups);
        return -EINVAL;
    }
    yk_shape shape = {.groups = {(unsigned)groups, 1, 1}, .group = {(unsigned)group, 1, 1}};
    yk_stream_note(s, name);
    int err = yk_put_launch(s, &b->functions[which], &shape, args, count, &e);
    return err < 0 ? yk_device_fail(s->dev, s, &e) : 0;
}

yk_device_layout yk_device_layout_of(const yk_layout *l)
{
    yk_device_layout d = {.elements = (int64_t)l->elements};
    for (size_t k = 0; k < l->ndim; k++) {
        d.shape[k] = (int64_t)l->shape[k];
        for (unsigned x = 0; x <= YK_INPUTS; x++)
            d.step[x][k] = l->step[x][k];
    }
    return d;
}

/* ---- Maps ---- */

static yk_seen seen_as(const yoke_array *a, const yk_layout *l, unsigned k)
{
    if (yk_array_is_number(a))
        return YK_SEEN_NUMBER;
    if (k > 0 && yk_layout_is_one(l, k))
        return YK_SEEN_ONE;
    if (!yk_layout_is_flat(l, k))
        return YK_SEEN_STEPS;
    return (uintptr_t)a->data % 16 ? YK_SEEN_FLAT : YK_SEEN_WORDS;
}

static yk_map_plan plan_map(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in, const yk_layout *l)
{
    yk_map_plan p = {.op = op, .type = type, .items = 16, .is_short = l->elements < UINT32_MAX};
    for (unsigned k = 0; k <= op->arity; k++) {
        const yoke_array *a = k ? in[k - 1] : out;
        p.seen[k] = seen_as(a, l, k);
        p.types[k] = yk_array_is_number(a) ? type : a->type;
        if (p.seen[k] == YK_SEEN_WORDS)
            p.items = YK_MIN(p.items, (unsigned)(16 / yoke_array_type_size(a->type)));
        if (p.seen[k] == YK_SEEN_STEPS)
            p.ndim = (unsigned)l->ndim;
    }
    for (unsigned k = 0; k <= op->arity; k++)
        if (p.ndim || p.seen[k] == YK_SEEN_FLAT)
            p.items = 0;
    p.is_stretch = yk_array_target_of(out->stream->dev).is_cpu;
    p.items = p.is_stretch ? 0 : p.items;
    for (unsigned k = 0; k <= op->arity && !p.items; k++)
        if (p.seen[k] == YK_SEEN_WORDS)
            p.seen[k] = YK_SEEN_FLAT;
    return p;
}

/* As yk_kernel_groups(). */
static size_t stretches(const yoke_device *dev, size_t elements)
{
    const yk_plan one = {.group = 1, .items = 1};
    return yk_kernel_groups(dev, &one, (long)elements);
}

int yk_map_on_device(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in, const yk_layout *l)
{
    static const char *const names[] = {"yk_map", NULL};
    yk_map_plan p = plan_map(out, op, type, in, l);
    yk_device_layout layout = yk_device_layout_of(l);
    uint64_t numbers[YK_INPUTS + 1] = {0};
    void *data[YK_INPUTS + 1];
    yk_kernel_arg args[YK_INPUTS + 2] = {p.ndim ? yk_value_arg(&layout, sizeof layout) : yk_value_arg(&layout.elements,
                                                                                        sizeof layout.elements)};
    char key[64];
    yk_map_key(&p, key);
    const built *b = yk_array_kernel_get(out->stream, key, op->name, names, yk_map_text, &p);
    if (!b)
        return yk_array_code(out->stream);
    for (unsigned k = 0; k <= op->arity; k++) {
        const yoke_array *a = k ? in[k - 1] : out;
        unsigned computed = op->is_where && k == 1 ? YOKE_BOOL : type;
        data[k] = a->data;
        if (yk_array_is_number(a)) {
            yk_number_as(a, computed, &numbers[k]);
            args[k + 1] = yk_value_arg(&numbers[k], yoke_array_type_size(computed));
        } else {
            args[k + 1] = yk_memory_arg(&data[k]);
        }
    }
    if (p.is_stretch)
        return yk_array_launch_groups(out->stream, b, 0, stretches(out->stream->dev, l->elements), 1, args,
                                      op->arity + 2, op->name);
    size_t each = yk_array_target_of(out->stream->dev).group * (size_t)(p.items ? YK_ARRAY_RUNS * p.items : 1);
    return yk_array_launch(out->stream, b, 0, (l->elements + each - 1) / each, args, op->arity + 2, op->name);
}

/* ---- Reductions ---- */

static bool is_by_columns(const yk_layout *outer, const yk_layout *inner)
{
    if (inner->elements <= SHORT_COLUMNS)
        return true;
    if (outer->ndim == 0 || outer->shape[outer->ndim - 1] < 32 || inner->ndim == 0)
        return false;
    return labs(outer->step[0][outer->ndim - 1]) < labs(inner->step[0][inner->ndim - 1]);
}

/* Into how many pieces the elements of one result are cut, so that the whole device has work. */
size_t yk_pieces_of(const yoke_device *dev, const yk_layout *outer, const yk_layout *inner, bool columns, size_t group)
{
    size_t groups = 8 * (size_t)YK_MAX(dev->info.units, 1u), have = columns ? (outer->elements + group - 1) / group
        : outer->elements;
    size_t wanted = have < groups ? groups / YK_MAX(have, (size_t)1) : 1;
    size_t most = inner->elements / (columns ? SHORT_COLUMNS : PIECE_LEAST);
    return YK_MAX(YK_MIN(wanted, most), (size_t)1);
}

static const char *text_name(const char *what)
{
    static const char *const names[] = {"sum", "prod", "min", "max", "any", "all", "argmin", "argmax", "mean", "var", "std"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        if (strcmp(names[i], what) == 0)
            return names[i];
    return "reduction";
}

int yk_reduce_on_device(yoke_array *out, const yk_fold *fold, unsigned computed, const yoke_array *a, const yk_layout *outer,
                        const yk_layout *inner, const char *what)
{
    static const char *const names[] = {"yk_runs", "yk_columns", "yk_join", NULL};
    yoke_stream *s = out->stream;
    const char *name = text_name(what);
    yk_reduce_plan p = {.name = fold->name, .fold = fold, .type = computed, .from = a->type, .to = out->type,
                        .outer_ndim = (unsigned)outer->ndim, .inner_ndim = (unsigned)inner->ndim};
    const bool on_cpu = yk_array_target_of(s->dev).is_cpu;
    p.outer_is_flat = on_cpu && yk_layout_is_flat(outer, 0);
    p.inner_is_flat = on_cpu && yk_layout_is_flat(inner, 0);
    char key[64];
    yk_reduce_key(&p, key);
    const built *b = yk_array_kernel_get(s, key, name, names, yk_reduce_text, &p);
    if (!b)
        return yk_array_code(s);
    size_t group = on_cpu ? YK_ARRAY_STRIP : yk_array_target_of(s->dev).group, threads = on_cpu ? 1 : group;
    bool columns = is_by_columns(outer, inner);
    size_t count = yk_pieces_of(s->dev, outer, inner, columns, group), jobs = outer->elements * count;
    int64_t pieces = (int64_t)count, piece = (int64_t)((inner->elements + count - 1) / count);
    int32_t ends = count == 1;
    yk_device_layout o = yk_device_layout_of(outer), i = yk_device_layout_of(inner);
    void *z = out->data, *x = a->data, *y = ends ? z : yoke_stream_alloc(s, jobs * fold->size);
    if (!y)
        return yk_array_code(s);
    yk_kernel_arg args[] = {yk_value_arg(&o, sizeof o), yk_value_arg(&i, sizeof i), yk_value_arg(&pieces, 8),
                            yk_value_arg(&piece, 8), yk_value_arg(&ends, 4),
                            yk_memory_arg(&z),
                            yk_memory_arg(&y), yk_memory_arg(&x)};
    size_t groups = !columns ? jobs : on_cpu ? (outer->elements + group - 1) / group * count : (jobs + group - 1) / group;
    int err = yk_array_launch_groups(s, b, columns, groups, threads, args, YK_COUNT_OF(args), name);
    if (err == 0 && !ends) {
        yk_kernel_arg rest[] = {yk_value_arg(&pieces, 8), yk_memory_arg(&z), yk_memory_arg(&y)};
        err = yk_array_launch(s, b, 2, outer->elements, rest, YK_COUNT_OF(rest), name);
    }
    if (!ends)
        yoke_stream_free(s, y);
    return err;
}
