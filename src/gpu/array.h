/* array: what the files of arrays share. An operation has one description (array_ops.h), a C form (array_loops_*.c) and a
 * device form that is made of the same text (array_text.c); array_map.c and array_reduce.c decide how the elements are gone
 * through. */
#ifndef YK_ARRAY_H
#define YK_ARRAY_H
#include "gpu/gpu.h"
#include <yoke/array.h>

/* Memory that arrays share. users: one for each array. foreign: work of another stream than its own has read or written it,
 * so its stream waits for the others before the memory is written again, or given back. memory NULL: the user's. */
typedef struct yk_storage {
    _Atomic uint32_t users;
    _Atomic bool foreign;
    bool read_only; /* another library's */
    yoke_stream *stream;
    void *memory;
    yoke_dlpack *dlpack; /* another library's, to be told at the end */
} yk_storage;

enum { YK_TYPES = YOKE_F64 + 1, YK_INPUTS = 3 };

/* ---- Arrays (array.c) ---- */

/* Keeps the error of the stream's device; NULL. */
yoke_array *yk_array_fail(yoke_stream *s, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Why a call on s that gave NULL has failed. */
int yk_array_code(const yoke_stream *s);
/* A new flat array. */
yoke_array *yk_array_new(yoke_stream *s, unsigned type, size_t ndim, const size_t *shape);
/* A new window on a's storage, the same as a at first. */
yoke_array *yk_array_window(const yoke_array *a);
/* One array less uses it. */
void yk_storage_drop(yk_storage *st);
/* Work on s is about to use a: what is in a's own stream comes first. 0 or a negative code. */
int yk_array_enter(const yoke_array *a, yoke_stream *s);
/* -ENOTSUP when s records and is of the CPU, where arrays put nothing in a stream. */
int yk_array_cannot_record(yoke_stream *s);
/* Its own stream is about to write elements that were there before: what others read of them comes first. Refuses what is not
 * to be written (-EROFS), and elements that are in several places (-EINVAL). */
int yk_array_before_write(const yoke_array *a, const char *what);
static inline bool yk_array_is_number(const yoke_array *a)
{
    return !a->stream;
}
/* An array whose device is there. */
static inline bool yk_array_usable(const yoke_array *a)
{
    return a && !yk_array_is_number(a) && yk_device_check(a->stream->dev) == 0;
}
/* a, which took this code to fill; NULL, and a is no more, when that is negative. */
static inline yoke_array *yk_array_given(yoke_array *a, int err)
{
    if (err >= 0)
        return a;
    yoke_array_free(a);
    return NULL;
}
static inline bool yk_array_is_on_host(const yoke_array *a)
{
    return !a->stream->dev->driver->build;
}
/* "f32 (2, 3)", for messages. */
typedef struct yk_shape_text {
    char text[120];
} yk_shape_text;
yk_shape_text yk_shape_of(const yoke_array *a);
yk_shape_text yk_dims_text(size_t ndim, const size_t *shape);
/* The type in range; else the error. */
bool yk_array_type_ok(yoke_stream *s, const char *what, unsigned type);
/* No more elements than there can be; else the error, -ENOMEM. */
bool yk_array_shape_ok(yoke_stream *s, const char *what, unsigned type, size_t ndim, const size_t *shape);
/* Where its elements lie, in bytes from its first on: [low, high); false: beyond all memory. */
bool yk_array_extent(const yoke_array *a, ptrdiff_t *low, ptrdiff_t *high);
/* An axis of an array of ndim dimensions, counted from 0; negative: the error has been kept. */
int yk_array_axis(const yoke_array *a, const char *what, ptrdiff_t axis);
/* The axes as a set of bits; false: one is not there or twice. */
bool yk_array_axes(const yoke_array *a, const char *what, yoke_dims axes, unsigned *ret);
/* Steps of elements that lie one after the other. */
void yk_flat_steps(size_t ndim, const size_t *shape, ptrdiff_t *ret);
/* All of the array's memory as it is on the host, flat: itself, or a copy in memory that yk_host_done() frees. NULL: the
 * error. */
typedef struct yk_host {
    void *data;
    yoke_array *own;
    void *copy;
} yk_host;
int yk_host_of(const yoke_array *a, yk_host *ret);
void yk_host_done(yk_host *h);
/* The stream's device's threads; NULL is the process's own. */
static inline struct yoke_executor *yk_array_pool(const yoke_stream *s)
{
    return s->dev->pool;
}

/* ---- Going through elements (array_map.c) ---- */

/* Up to four arrays of one shape, [0] is the result: dimensions that can be one are one. */
typedef struct yk_layout {
    size_t ndim, elements, shape[YOKE_DIMS];
    ptrdiff_t step[YK_INPUTS + 1][YOKE_DIMS];
} yk_layout;
/* Copies and operations of so few elements are done by who calls. */
enum { YK_ARRAY_SERIAL = 16384 };
/* Drops dimensions of length 1 and joins those that follow one another in all `arrays`. */
void yk_layout_join(yk_layout *l, unsigned arrays);
/* Whether array k of it lies one element after the other; whether it is one element. */
bool yk_layout_is_flat(const yk_layout *l, unsigned k);
bool yk_layout_is_one(const yk_layout *l, unsigned k);
/* Elements [at, at + n) of array k, from data on, to a flat buffer of another type, or back. */
void yk_layout_gather(const yk_layout *l, unsigned k, const void *data, unsigned type, size_t at, size_t n, void *to,
                      unsigned to_type);
void yk_layout_scatter(const yk_layout *l, unsigned k, void *data, unsigned type, size_t at, size_t n, const void *from,
                       unsigned from_type);

/* n elements with steps, converted. (array_loops_cast.c) */
typedef void yk_cast(size_t n, const void *from, ptrdiff_t from_step, void *to, ptrdiff_t to_step);
extern yk_cast *const yk_casts[YK_TYPES][YK_TYPES];

/* ---- Operations (array_ops.h, array_ops.c) ---- */

/* How operands' types become the one that is computed in. */
typedef enum yk_rule {
    YK_RULE_SAME,  /* what they meet in */
    YK_RULE_FLOAT, /* the same as f32 or f64 */
    YK_RULE_DIV,   /* f64 unless float */
    YK_RULE_BITS,  /* as SAME, no floats */
    YK_RULE_BOOL   /* bool */
} yk_rule;

/* n elements: in[k] and out are flat; in and out have the operation's types. at: the number of the first in the whole array. */
typedef void yk_map_loop(size_t n, size_t at, const void *const *in, void *out);

typedef struct yk_op {
    unsigned id;
    const char *name, *shown; /* "add", "a + b" */
    unsigned arity;
    yk_rule rule;
    bool gives_bool, is_where; /* where: the first operand is bool, whatever the others are */
} yk_op;

yk_op yk_op_of(unsigned id);
/* NULL: it is not defined for the type. */
yk_map_loop *yk_op_loop(const yk_op *op, unsigned type);
const char *yk_op_text(const yk_op *op, unsigned type);
extern yk_map_loop *const yk_loops_float[][YK_TYPES], *const yk_loops_whole[][YK_TYPES];

/* a broadcast to a shape; NULL: it does not fit, with an error of the call `what`. (array_view.c) */
yoke_array *yk_array_broadcast(const yoke_array *a, size_t ndim, const size_t *shape, const char *what);
/* The result of op on operands, of which some may be numbers; NULL operands give NULL. */
yoke_array *yk_map(const yk_op *op, const yoke_array *const *in);
/* out = op(in), all of them arrays or numbers; types: that in which is computed. out's shape is that of all. */
int yk_map_into(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in);
/* The same on a device (array_device.c). */
int yk_map_on_device(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in, const yk_layout *l);
/* Whether a copy of array 1 of l to array 0, of one type, turns rows into columns; and that copy, by the workers of ex. What
 * yoke_for() returns. (array_transpose.c) */
bool yk_transpose_fits(const yk_layout *l);
int yk_transpose_on_host(struct yoke_executor *ex, const yk_layout *l, size_t size, void *to, const void *from);
/* out, flat over outer = the reduction of a, which array 0 of both layouts is (array_device.c). */
struct yk_fold;
int yk_reduce_on_device(yoke_array *out, const struct yk_fold *fold, unsigned computed, const yoke_array *a,
                        const yk_layout *outer,
                        const yk_layout *inner, const char *what);
/* Elements by number, see array_join.c; z = x y, all flat and of one type (array_text_more.c). */
int yk_pick_on_device(yoke_array *a, const yoke_array *numbers, yoke_array *flat, int axis, const yk_layout *l, bool put);
int yk_matmul_on_device(yoke_stream *s, unsigned type, size_t m, size_t n, size_t depth, void *z, void *x, void *y);
/* The normal number of 64 bits. (array_random.c) */
double yk_normal_of(uint64_t bits);
/* The type in which a rule has arrays and numbers computed; and what it makes of one type. (array_type.c) */
unsigned yk_types_meet(yk_rule rule, const yoke_array *const *in, unsigned n);
unsigned yk_rule_type(yk_rule rule, unsigned type);
/* A number as an element of a type, written to ret (8 bytes); -ERANGE when the type cannot hold it. */
int yk_number_as(const yoke_array *number, unsigned type, void *ret);
/* The error for one that it cannot; -ERANGE. */
int yk_number_refuse(yoke_stream *s, const char *what, unsigned type, const yoke_array *number);

#endif
