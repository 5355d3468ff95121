/* primitive: the calls of yoke/primitive.h. Each checks what can be checked on the host, numbers and arrays, and hands on to the
 * device's driver. */
#include "gpu/graph.h"
#include "gpu/primitive.h"
#include <limits.h>
#include <math.h>

static const yk_primitives *primitives_of(const yoke_device *dev)
{
    return !dev->driver->build             ? &yk_primitives_cpu
           : dev->driver == &yk_gpu_opencl ? &yk_primitives_opencl
                                           : &yk_primitives_cuda;
}

static int begin(yk_primitive_call *c, yoke_stream *s, const char *name)
{
    if (!s)
        return -EINVAL;
    c->s = s;
    c->name = name;
    c->e.code = 0;
    c->count = c->temporaries = 0;
    return yk_device_check(s->dev);
}

static int refuse(yk_primitive_call *c, const char *what)
{
    yk_errorf(&c->e, EINVAL, "%s: %s", c->name, what);
    return yk_call_end(c);
}

/* Numbers of elements, by name. */
typedef struct count {
    const char *name;
    size_t n;
} count;

/* Whether a call with these numbers and arrays can be carried out; else it has ended with the error. */
static bool accepts(yk_primitive_call *c, const count *counts, size_t ncounts, const yk_given *arrays, size_t narrays)
{
    for (size_t i = 0; i < ncounts && c->e.code == 0; i++)
        if (YK_UNLIKELY(counts[i].n > SSIZE_MAX))
            yk_negative_refuse("", c->name, counts[i].name, counts[i].n, &c->e);
    for (size_t i = 0; i < narrays && c->e.code == 0; i++)
        yk_given_check(c->s->dev, "", c->name, &arrays[i], yk_span_of(arrays[i].p), &c->e);
    if (YK_UNLIKELY(c->e.code < 0))
        yk_call_end(c);
    return c->e.code == 0;
}
#define COUNTS(...) (const count[]){__VA_ARGS__}, sizeof((const count[]){__VA_ARGS__}) / sizeof(count)
#define ARRAYS(...) (const yk_given[]){__VA_ARGS__}, sizeof((const yk_given[]){__VA_ARGS__}) / sizeof(yk_given)

/* How far m rows of n elements reach that begin so far apart; beyond all memory: SIZE_MAX. */
static size_t matrix_extent(size_t m, size_t n, size_t apart)
{
    size_t extent;
    if (m == 0 || n == 0)
        return 0;
    return __builtin_mul_overflow(m - 1, apart, &extent) || __builtin_add_overflow(extent, n, &extent) ? SIZE_MAX : extent;
}

/* ---- Now or later ---- */

typedef struct folding {
    yk_operator op;
    yk_number type;
    bool before;
    size_t n;
    const void *x;
    void *out;
} folding;

/* What a driver does for a call, from one of the structs of arguments. */
typedef int action(yk_primitive_call *c, const void *args);

static int do_reduce(yk_primitive_call *c, const void *args)
{
    const folding *a = args;
    return primitives_of(c->s->dev)->reduce(c, a->op, a->type, a->n, a->x, a->out);
}

static int do_scan(yk_primitive_call *c, const void *args)
{
    const folding *a = args;
    return primitives_of(c->s->dev)->scan(c, a->op, a->before, a->type, a->n, a->x, a->out);
}

#define DO(NAME)                                                                                                       \
    static int do_##NAME(yk_primitive_call *c, const void *args)                                                       \
    {                                                                                                                  \
        return primitives_of(c->s->dev)->NAME(c, args);                                                                \
    }
DO(sort)
DO(select)
DO(histogram)
DO(segments)
DO(matmul)
DO(spmv)

/* A call on the CPU that has been recorded. */
typedef struct later {
    action *fn;
    const char *name;
    _Alignas(16) char args[];
} later;

static int do_later(yoke_stream *s, const void *data, yk_error *e)
{
    const later *l = data;
    yk_primitive_call c;
    int err = begin(&c, s, l->name);
    if (err < 0)
        return yk_errorf(e, err, "%s: the device cannot be used", l->name);
    l->fn(&c, l->args);
    *e = c.e;
    return yk_call_end(&c);
}

/* The end of each call: it is done, or recorded. On a device its launches are what is recorded; the CPU has none. */
static int carry_out(yk_primitive_call *c, action *fn, const void *args, size_t size)
{
    later *l;
    if (!c->s->recording || c->s->dev->driver->build) {
        fn(c, args);
    } else if ((l = yk_record_call(c->s, do_later, sizeof *l + size, &c->e))) {
        l->fn = fn;
        l->name = c->name;
        memcpy(l->args, args, size);
    }
    return yk_call_end(c);
}

static bool is_number(yk_number type)
{
    return (unsigned)type <= YK_F64;
}

/* ---- Reductions and scans ---- */

int yk_stream_reduce(yoke_stream *s, yk_operator op, yk_number type, size_t n, const void *x, void *out)
{
    static const char *const names[] = {"sum", "min", "max"};
    yk_primitive_call c;
    if ((unsigned)op > YK_MAX || !is_number(type))
        return -EINVAL;
    int err = begin(&c, s, names[op]);
    if (err < 0)
        return err;
    const size_t size = yk_number_size(type);
    if (!accepts(&c, COUNTS({"n", n}), ARRAYS({"x", x, n, size, NULL}, {"out", out, 1, size, NULL})))
        return c.e.code;
    return carry_out(&c, do_reduce, &(folding){op, type, false, n, x, out}, sizeof(folding));
}

int yk_stream_scan(yoke_stream *s, yk_operator op, bool before, yk_number type, size_t n, const void *x,
                   void *out)
{
    yk_primitive_call c;
    if ((unsigned)op > YK_MAX || !is_number(type))
        return -EINVAL;
    int err = begin(&c, s, "scan");
    if (err < 0 || n == 0)
        return err;
    const size_t size = yk_number_size(type);
    if (!accepts(&c, COUNTS({"n", n}), ARRAYS({"x", x, n, size, NULL}, {"out", out, n, size, NULL})))
        return c.e.code;
    return carry_out(&c, do_scan, &(folding){op, type, before, n, x, out}, sizeof(folding));
}

/* ---- Sorts, selections, histograms ---- */

int yk_stream_sort(yoke_stream *s, yk_number type, bool down, size_t n, void *keys, size_t value_size,
                   void *values)
{
    yk_primitive_call c;
    if (!is_number(type))
        return -EINVAL;
    int err = begin(&c, s, "sort");
    if (err < 0)
        return err;
    if (value_size != 0 && value_size != 4 && value_size != 8)
        return refuse(&c, "values have 4 or 8 bytes");
    if (!accepts(&c, COUNTS({"n", n}), ARRAYS({"keys", keys, n, yk_number_size(type), NULL},
                                              {"values", values, value_size > 0 ? n : 0, value_size, NULL})))
        return c.e.code;
    const yk_sorting a = {
        .type = type, .down = down, .n = n, .value_size = value_size, .keys = keys, .values = values};
    return n > 1 ? carry_out(&c, do_sort, &a, sizeof a) : yk_call_end(&c);
}

static int select_those(yoke_stream *s, const char *name, const yk_selecting *a, bool by_flags)
{
    yk_primitive_call c;
    int err = begin(&c, s, name);
    if (err < 0)
        return err;
    if (a->size != 4 && a->size != 8)
        return refuse(&c, "elements have 4 or 8 bytes");
    /* out has room for those that are kept, and how many these are the device finds out. */
    if (!accepts(&c, COUNTS({"n", a->n}),
                 ARRAYS({"x", a->x, a->n, a->size, NULL}, {"flags", a->flags, by_flags ? a->n : 0, 1, NULL},
                        {"out", a->out, a->n > 0, a->size, NULL}, {"kept", a->kept, 1, sizeof *a->kept, NULL})))
        return c.e.code;
    if (a->n > 0)
        return carry_out(&c, do_select, a, sizeof *a);
    yk_call_clear(&c, a->kept, sizeof *a->kept);
    return yk_call_end(&c);
}

int yk_stream_select(yoke_stream *s, size_t size, size_t n, const void *x, const uint8_t *flags, void *out,
                     uint64_t *kept)
{
    return select_those(s, "select", &(yk_selecting){YK_U32, size, n, x, flags, out, kept}, true);
}

int yk_stream_unique(yoke_stream *s, yk_number type, size_t n, const void *x, void *out, uint64_t *kept)
{
    if (!is_number(type))
        return -EINVAL;
    return select_those(s, "unique", &(yk_selecting){type, yk_number_size(type), n, x, NULL, out, kept},
                        false);
}

/* The bits of a number. */
static uint64_t bits_of(yk_number type, const void *number)
{
    uint64_t bits = 0;
    memcpy(&bits, number, yk_number_size(type));
    return bits;
}

/* Whether low and high go with the number of bins. *ret: bins a unit. */
static bool bins_fit(yk_number type, const void *low, const void *high, size_t bins, uint64_t *ret)
{
    if (type == YK_F32) {
        float l, h;
        memcpy(&l, low, sizeof l);
        memcpy(&h, high, sizeof h);
        const float scale = (float)bins / (h - l);
        memcpy(ret, &scale, sizeof scale);
        return l < h && isfinite(h - l) && isfinite(scale);
    }
    if (type == YK_F64) {
        double l, h;
        memcpy(&l, low, sizeof l);
        memcpy(&h, high, sizeof h);
        const double scale = (double)bins / (h - l);
        memcpy(ret, &scale, sizeof scale);
        return l < h && isfinite(h - l) && isfinite(scale);
    }
    const bool narrow = yk_number_size(type) == 4;
    const uint64_t l = bits_of(type, low), h = bits_of(type, high),
                   distance = narrow ? (uint32_t)(h - l) : h - l;
    const bool rises = type == YK_I32   ? (int32_t)l <= (int32_t)h
                       : type == YK_I64 ? (int64_t)l <= (int64_t)h
                                        : l <= h;
    return rises && distance == bins - 1;
}

int yk_stream_histogram(yoke_stream *s, yk_number type, size_t n, const void *x, size_t bins, const void *low,
                        const void *high, uint64_t *counts)
{
    yk_primitive_call c;
    yk_binning a = {.type = type, .n = n, .bins = bins, .x = x, .counts = counts};
    if (!is_number(type))
        return -EINVAL;
    int err = begin(&c, s, "histogram");
    if (err < 0)
        return err;
    if (bins < 1 || bins > (size_t)1 << 31)
        return refuse(&c, "there are 1 to 2^31 bins");
    if (!bins_fit(type, low, high, bins, &a.scale))
        return refuse(&c, yk_number_is_float(type) ? "low must be less than high, both finite, and a bin not too narrow"
                                                   : "bins must be high - low + 1, one for each integer");
    if (!accepts(&c, COUNTS({"n", n}), ARRAYS({"x", x, n, yk_number_size(type), NULL},
                                              {"counts", counts, bins, sizeof *counts, "bins"})))
        return c.e.code;
    a.low = bits_of(type, low);
    a.high = bits_of(type, high);
    return carry_out(&c, do_histogram, &a, sizeof a);
}

/* ---- Segments and matrices ---- */

int yk_stream_segments(yoke_stream *s, yk_operator op, yk_number type, size_t segments, size_t n,
                       size_t offset_size, const void *offsets, const void *x, void *out)
{
    yk_primitive_call c;
    const yk_segmenting a = {op, type, segments, n, offset_size, offsets, x, out};
    if ((unsigned)op > YK_MAX || !is_number(type))
        return -EINVAL;
    int err = begin(&c, s, "segments");
    if (err < 0)
        return err;
    if (offset_size != 4 && offset_size != 8)
        return refuse(&c, "offsets have 4 or 8 bytes");
    const size_t size = yk_number_size(type), any = segments > 0;
    if (!accepts(&c, COUNTS({"segments", segments}, {"n", n}),
                 ARRAYS({"offsets", offsets, any ? segments + 1 : 0, offset_size, "segments + 1"},
                        {"x", x, any ? n : 0, size, NULL}, {"out", out, segments, size, "segments"})))
        return c.e.code;
    return segments > 0 ? carry_out(&c, do_segments, &a, sizeof a) : yk_call_end(&c);
}

int yk_stream_matmul(yoke_stream *s, yk_number type, size_t m, size_t n, size_t k, const void *a, size_t lda,
                     const void *b, size_t ldb, void *c, size_t ldc)
{
    yk_primitive_call call;
    const yk_multiplying all = {type, m, n, k, lda, ldb, ldc, a, b, c};
    if (!yk_number_is_float(type))
        return -EINVAL;
    const size_t size = yk_number_size(type);
    int err = begin(&call, s, "matmul");
    if (err < 0 || m == 0 || n == 0)
        return err;
    if (!accepts(&call, COUNTS({"m", m}, {"n", n}, {"k", k}, {"lda", lda}, {"ldb", ldb}, {"ldc", ldc}), NULL, 0))
        return call.e.code;
    if (lda < k || ldb < n || ldc < n)
        return refuse(&call, "a row is longer than the distance to the next");
    if (!accepts(&call, NULL, 0, ARRAYS({"a", a, matrix_extent(m, k, lda), size, "(m - 1) * lda + k"},
                                        {"b", b, matrix_extent(k, n, ldb), size, "(k - 1) * ldb + n"},
                                        {"c", c, matrix_extent(m, n, ldc), size, "(m - 1) * ldc + n"})))
        return call.e.code;
    return carry_out(&call, do_matmul, &all, sizeof all);
}

int yk_stream_spmv(yoke_stream *s, yk_number type, size_t rows, size_t nonzeros, size_t offset_size,
                   const void *offsets, const uint32_t *columns, const void *values, const void *x, void *y)
{
    yk_primitive_call c;
    const yk_sparse a = {type, rows, nonzeros, offset_size, offsets, values, x, columns, y};
    if (!yk_number_is_float(type))
        return -EINVAL;
    int err = begin(&c, s, "spmv");
    if (err < 0 || rows == 0)
        return err;
    if (offset_size != 4 && offset_size != 8)
        return refuse(&c, "offsets have 4 or 8 bytes");
    const size_t size = yk_number_size(type); /* how many columns there are, and x has, is not told */
    if (!accepts(&c, COUNTS({"rows", rows}, {"nonzeros", nonzeros}),
                 ARRAYS({"offsets", offsets, rows + 1, offset_size, "rows + 1"},
                        {"columns", columns, nonzeros, sizeof *columns, "nonzeros"},
                        {"values", values, nonzeros, size, "nonzeros"}, {"x", x, 1, size, NULL},
                        {"y", y, rows, size, "rows"})))
        return c.e.code;
    return carry_out(&c, do_spmv, &a, sizeof a);
}
