/* primitive_opencl: the primitives on OpenCL devices: which text is built with which options, and how many
 * items take part. The texts are made for devices that are CPUs: every item takes one piece, in steps that
 * are launches of their own; OpenCL promises no more than that. */
#include "gpu/primitive.h"

extern const char yk_text_common_opencl[], yk_text_reduce_opencl[], yk_text_scan_opencl[],
    yk_text_sort_opencl[], yk_text_select_opencl[], yk_text_histogram_opencl[], yk_text_segments_opencl[],
    yk_text_matmul_opencl[], yk_text_spmv_opencl[];

#define PROGRAM(NAME, ...)                                                                                   \
    static const yk_program NAME##_program = {.name = #NAME,                                                 \
                                              .texts = {yk_text_common_opencl, yk_text_##NAME##_opencl},     \
                                              .names = {"common.opencl", #NAME ".opencl"},                   \
                                              .kernels = {__VA_ARGS__}}
PROGRAM(reduce, "yk_reduce");
PROGRAM(scan, "yk_scan_totals", "yk_scan_befores", "yk_scan_parts");
PROGRAM(sort, "yk_sort_count", "yk_sort_befores", "yk_sort_move", "yk_sort_home");
PROGRAM(select, "yk_select_count", "yk_select_befores", "yk_select_write");
PROGRAM(histogram, "yk_histogram_count", "yk_histogram_add");
PROGRAM(segments, "yk_segments");
PROGRAM(matmul, "yk_matmul");
PROGRAM(spmv, "yk_spmv");

#define CL YK_OPENCL_OPTIONS " "

/* ---- Items ---- */

/* How many items take part, and how many of them are a work-group: on a CPU some for each core, so that a
 * late one does not matter much; on a GPU enough to keep it busy. */
typedef struct items {
    unsigned groups, group;
} items;

static items items_for(const yk_primitive_call *c, size_t n)
{
    const yoke_device_info *info = &c->s->dev->info;
    const unsigned group = info->is_gpu ? 64 : 1, units = YK_MAX(info->units, 1U);
    const size_t useful = n / 1024 / group + 1; /* a piece below that is not worth an item */
    return (items){(unsigned)YK_MIN(useful, (size_t)units * 8), group};
}

static size_t count_of(items i)
{
    return (size_t)i.groups * i.group;
}

static void launch(yk_primitive_call *c, const yk_function *f, items i)
{
    yk_call_launch(c, f, i.groups, i.group, 0);
}

static const items one = {1, 1};

/* ---- Types ---- */

static const char *type_name(yk_number type)
{
    static const char *const names[] = {"int", "uint", "long", "ulong", "float", "double"};
    return names[type];
}

static const char *offset_name(size_t size)
{
    return size == 4 ? "uint" : "ulong";
}

static const char *identity_of(yk_operator op, yk_number type)
{
    static const char *const most[] = {"INT_MAX",   "UINT_MAX", "LONG_MAX",
                                       "ULONG_MAX", "INFINITY", "INFINITY"};
    static const char *const least[] = {"INT_MIN", "0", "LONG_MIN", "0", "-INFINITY", "-INFINITY"};
    return op == YK_SUM ? "0" : op == YK_MIN ? most[type] : least[type];
}

/* A program for elements of a type, or NULL: the device may have no double. Sums of integers wrap around:
 * they are unsigned. */
static const yk_built *build(yk_primitive_call *c, const yk_program *program, yk_operator op, yk_number type,
                             const char *more)
{
    const yk_number as = op != YK_SUM ? type : type == YK_I32 ? YK_U32 : type == YK_I64 ? YK_U64 : type;
    if (c->e.code == 0 && type == YK_F64 && !c->s->dev->info.has_double) {
        yk_errorf(&c->e, EOPNOTSUPP, "%s: %s has no double", c->name, c->s->dev->info.uri);
        return NULL;
    }
    return yk_program_build(c, program,
                            CL "-DYK_T=%s -DYK_V=%s16 -DYK_OP=%d -DYK_IDENTITY=%s -DYK_FLOAT=%d%s%s",
                            type_name(as), type_name(as), op, identity_of(op, as), yk_number_is_float(as),
                            type == YK_F64 ? " -DYK_DOUBLE" : "", more);
}

static int too_many(yk_primitive_call *c)
{
    return yk_errorf(&c->e, E2BIG, "%s: too many elements", c->name);
}

/* ---- Reduce and scan ---- */

static int opencl_reduce(yk_primitive_call *c, yk_operator op, yk_number type, size_t n, const void *x,
                         void *out)
{
    const items i = items_for(c, n);
    const yk_built *b = build(c, &reduce_program, op, type, "");
    void *const partials =
        b && count_of(i) > 1 ? yk_call_temporary(c, count_of(i) * yk_number_size(type)) : out;
    if (!b || !partials)
        return c->e.code;
    yk_call_memory(c, n > 0 ? x : out);
    yk_call_long(c, n);
    yk_call_memory(c, partials);
    launch(c, &b->kernels[0], i);
    if (partials == out)
        return c->e.code;
    yk_call_memory(c, partials);
    yk_call_long(c, count_of(i));
    yk_call_memory(c, out);
    launch(c, &b->kernels[0], one);
    return c->e.code;
}

static int opencl_scan(yk_primitive_call *c, yk_operator op, bool before, yk_number type, size_t n,
                       const void *x, void *out)
{
    const items i = items_for(c, n);
    const yk_built *b = build(c, &scan_program, op, type, "");
    void *const totals = b ? yk_call_temporary(c, count_of(i) * yk_number_size(type)) : NULL;
    if (!totals)
        return c->e.code;
    yk_call_memory(c, x);
    yk_call_long(c, n);
    yk_call_memory(c, totals);
    launch(c, &b->kernels[0], i);
    yk_call_memory(c, totals);
    yk_call_long(c, count_of(i));
    launch(c, &b->kernels[1], one);
    yk_call_memory(c, x);
    yk_call_memory(c, out);
    yk_call_long(c, n);
    yk_call_word(c, before);
    yk_call_memory(c, totals);
    launch(c, &b->kernels[2], i);
    return c->e.code;
}

/* ---- Sort ---- */

enum { LINE_BYTES = 64 };

typedef struct sorter {
    const yk_built *built;
    items items;
    void *keys[2], *values[2], *counts;
} sorter;

static void sort_arrays(yk_primitive_call *c, const yk_sorting *a, const sorter *s)
{
    yk_call_memory(c, s->keys[0]);
    yk_call_memory(c, s->keys[1]);
    if (a->value_size > 0) {
        yk_call_memory(c, s->values[0]);
        yk_call_memory(c, s->values[1]);
    }
}

static void sort_place(yk_primitive_call *c, const yk_sorting *a, const sorter *s, unsigned place)
{
    yk_call_memory(c, s->keys[0]);
    yk_call_memory(c, s->keys[1]);
    yk_call_long(c, a->n);
    yk_call_word(c, place);
    yk_call_memory(c, s->counts);
    launch(c, &s->built->kernels[0], s->items);
    yk_call_memory(c, s->counts);
    yk_call_long(c, count_of(s->items));
    yk_call_long(c, a->n);
    yk_call_word(c, place);
    launch(c, &s->built->kernels[1], one);
    sort_arrays(c, a, s);
    yk_call_long(c, a->n);
    yk_call_word(c, place);
    yk_call_memory(c, s->counts);
    launch(c, &s->built->kernels[2], s->items);
}

/* What an item of a CPU gathers before it writes: as much as fills a cache line with the smaller of key and value. */
static unsigned line_of(const yk_primitive_call *c, const yk_sorting *a)
{
    const size_t key = yk_number_size(a->type), value = a->value_size;
    return c->s->dev->info.is_gpu ? 1 : (unsigned)(LINE_BYTES / (value > 0 ? YK_MIN(key, value) : key));
}

static int opencl_sort(yk_primitive_call *c, const yk_sorting *a)
{
    const size_t size = yk_number_size(a->type);
    sorter s = {.items = items_for(c, a->n), .keys = {a->keys}, .values = {a->values}};
    if (a->n > UINT32_MAX - LINE_BYTES)
        return too_many(c);
    s.built = yk_program_build(
        c, &sort_program, CL "-DYK_K=%s -DYK_BITS=%zu -DYK_KEY=%d -DYK_DESCENDING=%d -DYK_LINE=%u%s%s", offset_name(size),
        size * 8, yk_number_is_float(a->type) ? 2 : a->type == YK_I32 || a->type == YK_I64, a->down, line_of(c, a),
        a->value_size > 0 ? " -DYK_VALUE=" : "", a->value_size > 0 ? offset_name(a->value_size) : "");
    s.counts = s.built ? yk_call_temporary(c, (count_of(s.items) * 256 + size + 1) * sizeof(uint32_t)) : NULL;
    s.keys[1] = s.counts ? yk_call_temporary(c, a->n * size) : NULL;
    s.values[1] = s.keys[1] && a->value_size > 0 ? yk_call_temporary(c, a->n * a->value_size) : NULL;
    for (unsigned place = 0; place < size && c->e.code == 0; place++)
        sort_place(c, a, &s, place);
    if (c->e.code < 0)
        return c->e.code;
    sort_arrays(c, a, &s);
    yk_call_long(c, a->n);
    yk_call_word(c, (uint32_t)size);
    yk_call_memory(c, s.counts);
    launch(c, &s.built->kernels[3], s.items);
    return c->e.code;
}

/* ---- Select ---- */

static void select_arguments(yk_primitive_call *c, const yk_selecting *a)
{
    yk_call_memory(c, a->x);
    if (a->flags)
        yk_call_memory(c, a->flags);
    yk_call_long(c, a->n);
}

static int opencl_select(yk_primitive_call *c, const yk_selecting *a)
{
    const items i = items_for(c, a->n);
    const bool is_double = !a->flags && a->type == YK_F64;
    const yk_built *b = yk_program_build(c, &select_program, CL "-DYK_E=%s -DYK_UNIQUE=%d%s",
                                         a->flags ? offset_name(a->size) : type_name(a->type), !a->flags,
                                         is_double ? " -DYK_DOUBLE" : "");
    void *const counts = b ? yk_call_temporary(c, count_of(i) * sizeof(uint64_t)) : NULL;
    if (!counts)
        return c->e.code;
    select_arguments(c, a);
    yk_call_memory(c, counts);
    launch(c, &b->kernels[0], i);
    yk_call_memory(c, counts);
    yk_call_long(c, count_of(i));
    yk_call_memory(c, a->kept);
    launch(c, &b->kernels[1], one);
    select_arguments(c, a);
    yk_call_memory(c, counts);
    yk_call_memory(c, a->out);
    launch(c, &b->kernels[2], i);
    return c->e.code;
}

/* ---- The rest ---- */

enum {
    TABLES_MOST = 4 << 20
}; /* counters in all tables of a histogram together, if there are more bins than that one table */

static int opencl_histogram(yk_primitive_call *c, const yk_binning *a)
{
    items i = items_for(c, a->n);
    while (i.groups > 1 && count_of(i) * a->bins > TABLES_MOST)
        i.groups /= 2;
    if (count_of(i) * a->bins > TABLES_MOST)
        i = one;
    const yk_built *b = build(c, &histogram_program, YK_MIN, a->type, "");
    void *const tables = b ? yk_call_temporary(c, count_of(i) * a->bins * sizeof(uint64_t)) : NULL;
    if (!tables)
        return c->e.code;
    yk_call_memory(c, a->n > 0 ? a->x : a->counts);
    yk_call_long(c, a->n);
    yk_call_number(c, a->type, a->low);
    yk_call_number(c, a->type, a->high);
    yk_call_number(c, a->type, a->scale);
    yk_call_long(c, a->bins);
    yk_call_memory(c, tables);
    launch(c, &b->kernels[0], i);
    yk_call_memory(c, tables);
    yk_call_long(c, a->bins);
    yk_call_long(c, count_of(i));
    yk_call_memory(c, a->counts);
    launch(c, &b->kernels[1], items_for(c, a->bins * count_of(i)));
    return c->e.code;
}

static int opencl_segments(yk_primitive_call *c, const yk_segmenting *a)
{
    const yk_built *b = build(c, &segments_program, a->op, a->type,
                              a->offset_size == 4 ? " -DYK_OFFSET=uint" : " -DYK_OFFSET=ulong");
    if (!b)
        return c->e.code;
    yk_call_memory(c, a->n > 0 ? a->x : a->out);
    yk_call_memory(c, a->offsets);
    yk_call_long(c, a->segments);
    yk_call_memory(c, a->out);
    launch(c, &b->kernels[0], items_for(c, YK_MAX(a->n, a->segments * 64)));
    return c->e.code;
}

static int opencl_matmul(yk_primitive_call *c, const yk_multiplying *a)
{
    enum { SIDE = 64, ITEMS = 256, ROWS = 6 }; /* as the text has them */
    const bool is_gpu = c->s->dev->info.is_gpu && c->s->dev->info.group_most >= ITEMS;
    const yk_built *b = build(c, &matmul_program, YK_SUM, a->type, is_gpu ? " -DYK_GPU" : "");
    if (!b)
        return c->e.code;
    yk_call_matrices(c, a);
    const size_t tiles = (a->m + SIDE - 1) / SIDE * ((a->n + SIDE - 1) / SIDE), by_six = (a->m + ROWS - 1) / ROWS;
    if (is_gpu)
        yk_call_launch(c, &b->kernels[0], tiles, ITEMS, 0);
    else
        yk_call_launch(c, &b->kernels[0], YK_MIN(by_six, count_of(items_for(c, a->m * 1024))), 1, 0);
    return c->e.code;
}

static int opencl_spmv(yk_primitive_call *c, const yk_sparse *a)
{
    const yk_built *b = build(c, &spmv_program, YK_SUM, a->type,
                              a->offset_size == 4 ? " -DYK_OFFSET=uint" : " -DYK_OFFSET=ulong");
    if (!b)
        return c->e.code;
    yk_call_memory(c, a->offsets);
    yk_call_memory(c, a->nonzeros > 0 ? a->columns : a->offsets);
    yk_call_memory(c, a->nonzeros > 0 ? a->values : a->offsets);
    yk_call_memory(c, a->x);
    yk_call_memory(c, a->y);
    yk_call_long(c, a->rows);
    launch(c, &b->kernels[0], items_for(c, YK_MAX(a->rows * 16, a->nonzeros)));
    return c->e.code;
}

const yk_primitives yk_primitives_opencl = {.reduce = opencl_reduce,
                                            .scan = opencl_scan,
                                            .sort = opencl_sort,
                                            .select = opencl_select,
                                            .histogram = opencl_histogram,
                                            .segments = opencl_segments,
                                            .matmul = opencl_matmul,
                                            .spmv = opencl_spmv};
