/* array_walk.c - arrays against the plainest code there is: random shapes, random views, random types, one element after the
 * other. On every device: on the CPU with threads and without, on OpenCL and on CUDA. */
#include "gpu/array.h"
#include "test.h"
#include <math.h>
#include <yoke.h>

static yoke_stream *s;

static unsigned below(unsigned n)
{
    return (unsigned)(test_random() % n);
}

/* What an array is, in the plainest form: as doubles, in order. Values are whole numbers that every type holds. */
typedef struct plain {
    size_t ndim, shape[YOKE_DIMS], n;
    double x[2000];
} plain;

static void read_plain(const yoke_array *a, plain *p)
{
    CHECK(a != NULL);
    p->ndim = a->ndim;
    memcpy(p->shape, a->shape, sizeof p->shape);
    p->n = yoke_array_elements(a);
    CHECK(p->n <= YK_COUNT_OF(p->x));
    yoke_array *wide = yoke_array_astype(a, YOKE_F64);
    CHECK_INT(yoke_array_get(wide, p->x, sizeof p->x), 0);
    yoke_array_free(wide);
}

static size_t place(const plain *p, const size_t *index)
{
    size_t at = 0;
    for (size_t d = 0; d < p->ndim; d++)
        at = at * p->shape[d] + index[d];
    return at;
}

/* The index of element `at`. */
static void index_of(const plain *p, size_t at, size_t *ret)
{
    for (size_t d = p->ndim; d-- > 0; at /= p->shape[d])
        ret[d] = at % p->shape[d];
}

static yoke_array *random_array(void)
{
    static const unsigned types[] = {YOKE_I16, YOKE_I64, YOKE_F32, YOKE_F64, YOKE_I32};
    yoke_dims shape = {1 + below(4), {0}};
    size_t n = 1;
    for (size_t d = 0; d < shape.count; d++)
        n *= (size_t)(shape.at[d] = 1 + below(6));
    double host[1296];
    for (size_t k = 0; k < n; k++)
        host[k] = (double)below(19) - 9;
    yoke_array *a = yoke_array_from(s, YOKE_F64, shape, host), *b = yoke_array_astype(a, types[below(5)]);
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_array_free(a);
    return b;
}

/* A random view of a, and the same of its plain form. */
static yoke_array *random_view(const yoke_array *a, plain *p)
{
    plain was = *p;
    size_t d = below((unsigned)a->ndim), index[YOKE_DIMS], from[YOKE_DIMS], other = below((unsigned)a->ndim);
    ptrdiff_t step = (ptrdiff_t)below(2) + 1;
    unsigned kind = below(3);
    yoke_array *v;
    if (kind == 0) { /* two axes change places */
        yoke_dims axes = {a->ndim, {0, 1, 2, 3}};
        axes.at[d] = (ptrdiff_t)other;
        axes.at[other] = (ptrdiff_t)d;
        v = yoke_array_transpose(a, axes);
        p->shape[d] = was.shape[other];
        p->shape[other] = was.shape[d];
    } else if (kind == 1) {
        v = yoke_array_flip(a, yoke_axes((ptrdiff_t)d));
    } else {
        v = yoke_array_slice(a, (ptrdiff_t)d, 0, YOKE_END, step);
        p->shape[d] = (was.shape[d] + (size_t)step - 1) / (size_t)step;
    }
    CHECK(v != NULL);
    p->n = yoke_array_elements(v);
    for (size_t k = 0; k < p->n; k++) {
        index_of(p, k, index);
        memcpy(from, index, sizeof from);
        if (kind == 0) {
            from[d] = index[other];
            from[other] = index[d];
        } else if (kind == 1) {
            from[d] = was.shape[d] - 1 - index[d];
        } else {
            from[d] = index[d] * (size_t)step;
        }
        p->x[k] = was.x[place(&was, from)];
    }
    return v;
}

static void same(const yoke_array *a, const plain *expected, const char *what)
{
    plain got;
    read_plain(a, &got);
    CHECK_INT(got.ndim, expected->ndim);
    CHECK_INT(got.n, expected->n);
    for (size_t k = 0; k < got.n; k++)
        if (got.x[k] != expected->x[k] && !(isnan(got.x[k]) && isnan(expected->x[k])))
            test_fail(__FILE__, __LINE__, "%s: element %zu of %s is %g, not %g", what, k, yk_shape_of(a).text, got.x[k],
                      expected->x[k]);
}

/* Two arrays of one shape, views of different kinds, added, compared and chosen from. */
static void maps(const yoke_array *v, const plain *p)
{
    plain expected = *p;
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *twice = yoke_array_add(v, v), *is_less = yoke_array_lt(v, yoke_number(2));
    for (size_t k = 0; k < p->n; k++)
        expected.x[k] = 2 * p->x[k];
    same(twice, &expected, "a + a");
    for (size_t k = 0; k < p->n; k++)
        expected.x[k] = p->x[k] < 2;
    same(is_less, &expected, "a < 2");
    for (size_t k = 0; k < p->n; k++)
        expected.x[k] = p->x[k] < 2 ? 2 * p->x[k] : p->x[k];
    same(yoke_array_where(is_less, twice, v), &expected, "where");
    for (size_t k = 0; k < p->n; k++)
        expected.x[k] = floor(p->x[k] / 3);
    same(yoke_array_floor_div(v, yoke_number(3)), &expected, "a // 3");
    yoke_array *filled = yoke_array_zeros_like(v), *back = yoke_array_transpose(filled, YOKE_NO_DIMS);
    CHECK_INT(yoke_array_assign(back, yoke_array_transpose(v, YOKE_NO_DIMS)), 0);
    same(filled, p, "assign");
    yoke_array_end(&scope, NULL);
}

/* Sum, greatest and running sum along one axis. */
static void folds(const yoke_array *v, const plain *p)
{
    yoke_array_scope scope;
    size_t d = below((unsigned)p->ndim), index[YOKE_DIMS];
    plain sum = *p, most, running = *p;
    sum.shape[d] = 1;
    sum.n = p->n / p->shape[d];
    memset(sum.x, 0, sizeof sum.x);
    most = sum;
    for (size_t k = 0; k < sum.n; k++)
        most.x[k] = -INFINITY;
    for (size_t k = 0; k < p->n; k++) {
        index_of(p, k, index);
        size_t along = index[d];
        index[d] = 0;
        size_t at = place(&sum, index);
        sum.x[at] += p->x[k];
        most.x[at] = fmax(most.x[at], p->x[k]);
        index[d] = along;
        if (along > 0) {
            index[d]--;
            running.x[k] = running.x[place(p, index)] + p->x[k];
        }
    }
    yoke_array_begin(&scope);
    same(yoke_array_sum(v, yoke_axes((ptrdiff_t)d), true), &sum, "sum");
    same(yoke_array_max(v, yoke_axes((ptrdiff_t)d), true), &most, "max");
    same(yoke_array_cumsum(v, (ptrdiff_t)d), &running, "cumsum");
    sum.ndim--;
    memmove(sum.shape + d, sum.shape + d + 1, (sum.ndim - d) * sizeof *sum.shape);
    same(yoke_array_sum(v, yoke_axes((ptrdiff_t)d - (ptrdiff_t)p->ndim), false), &sum, "sum");
    yoke_array_end(&scope, NULL);
}

/* In one dimension, and back. */
static void reshapes(const yoke_array *v, const plain *p)
{
    yoke_array *line = yoke_array_reshape(v, yoke_shape(-1)), *back;
    plain expected = *p;
    yoke_dims shape = {p->ndim, {0}};
    for (size_t d = 0; d < p->ndim; d++)
        shape.at[d] = (ptrdiff_t)p->shape[d];
    back = yoke_array_reshape(line, shape);
    same(back, p, "reshape");
    expected.ndim = 1;
    expected.shape[0] = p->n;
    same(line, &expected, "reshape");
    yoke_array_free(line);
    yoke_array_free(back);
}

static void walk(const char *uri, int turns)
{
    yoke_device *dev = yoke_device_open(uri);
    s = yoke_stream_open(dev);
    for (int turn = 0; s && turn < turns; turn++) {
        plain p;
        yoke_array *v = random_array();
        read_plain(v, &p);
        for (unsigned views = below(4); views > 0; views--) {
            yoke_array *next = random_view(v, &p);
            yoke_array_free(v);
            v = next;
        }
        same(v, &p, "view");
        maps(v, &p);
        folds(v, &p);
        reshapes(v, &p);
        yoke_array_free(v);
    }
    yoke_device_memory m = {0};
    CHECK(!s || yoke_device_memory_stats(dev, &m) == 0);
    CHECK_INT(m.blocks, 0);
    yoke_stream_close(s);
    yoke_device_close(dev);
}

TEST(random_walks_on_the_cpu)
{
    walk("cpu", 300);
}

TEST(random_walks_on_the_cpu_with_threads)
{
    walk("cpu:3", 100);
}

TEST_LIMIT(random_walks_on_cuda, 600)
{
    walk("cuda", 20);
}

TEST_LIMIT(random_walks_on_opencl, 600)
{
    walk("opencl", 4); /* each new kernel is compiled first */
}
