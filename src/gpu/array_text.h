/* array_text: kernels for arrays, as text. A plan says which one; its key names the text, so that each is built once. */
#ifndef YK_ARRAY_TEXT_H
#define YK_ARRAY_TEXT_H
#include "gpu/array.h"
#include "gpu/array_folds.h"

enum { YK_ARRAY_GROUP = 256, YK_ARRAY_RUNS = 2, YK_ARRAY_STRIP = 512, YK_NAME = 16 };

/* How a kernel sees an operand: one element after the other, in words of 16 bytes or one by one; one value for all, given or
 * read; or by steps. [0] is the result. */
typedef enum yk_seen { YK_SEEN_WORDS = 'w', YK_SEEN_FLAT = 'f', YK_SEEN_NUMBER = 'n', YK_SEEN_ONE = 'o',
                      YK_SEEN_STEPS = 's' } yk_seen;

/* What a kernel is told of a layout: yk_layout as a device has it. */
typedef struct yk_device_layout {
    int64_t elements, shape[YOKE_DIMS], step[YK_INPUTS + 1][YOKE_DIMS];
} yk_device_layout;

typedef struct yk_map_plan {
    const yk_op *op;
    unsigned type, types[YK_INPUTS + 1]; /* computed in; of the elements */
    yk_seen seen[YK_INPUTS + 1];
    unsigned ndim, items; /* of a layout with steps; elements that a thread has at a time, in words */
    bool is_short;        /* element numbers fit 32 bits */
    bool is_stretch;      /* on a CPU: a group is one thread, which has elements that follow each other */
} yk_map_plan;

/* Kernels "runs", "columns" and "join": see array_text.c. */
typedef struct yk_reduce_plan {
    const char *name;
    const yk_fold *fold;
    unsigned type, from, to; /* computed in; of the operand's elements, and the result's */
    unsigned outer_ndim, inner_ndim;
    bool outer_is_flat, inner_is_flat; /* on a CPU: elements that follow each other do so in memory */
} yk_reduce_plan;

/* Elements by number: of so many bytes, in so many dimensions. */
typedef struct yk_pick_plan {
    unsigned size, ndim;
} yk_pick_plan;

typedef struct yk_array_target {
    bool is_cuda, is_cpu, has_double;
    unsigned group; /* threads in a group: a power of two */
} yk_array_target;

yk_array_target yk_array_target_of(const yoke_device *dev);
void yk_map_key(const yk_map_plan *p, char ret[64]);
void yk_reduce_key(const yk_reduce_plan *p, char ret[64]);
/* Writes the text of a plan. */
typedef void yk_array_write(const void *plan, const yk_array_target *t, yk_buf *to);
yk_array_write yk_map_text, yk_reduce_text, yk_pick_text, yk_matmul_text, yk_random_text;
/* The i-th plan of yk_random_text(), of which there are a few; NULL: there is none. */
const void *yk_random_plan(unsigned i);
/* What each text begins with; the name of a type in it, and of that in which it wraps around. */
void yk_array_text_begin(const yk_array_target *t, yk_buf *to);
const char *yk_array_text_type(unsigned type);
const char *yk_array_text_wrap(unsigned type);
/* FN i64 name(const LAYOUT *l, const int k, const i64 at): the offset of element `at` of array k of a layout of ndim
 * dimensions; number: the type that is enough for numbers of elements. */
void yk_array_text_offset(yk_buf *to, const char *name, unsigned ndim, const char *number);

/* ---- Building and launching (array_device.c) ---- */

typedef struct yk_array_kernel yk_array_kernel;
/* The kernels `names` (ended by NULL, at most four) of the text that text_of makes of a plan, built once for each key. NULL:
 * the error has been kept. name: the operation's, static. */
const yk_array_kernel *yk_array_kernel_get(yoke_stream *s, const char *key, const char *name, const char *const *names,
                                           yk_array_write *text_of, const void *plan);
/* The `which`-th of them, by groups of the target's size, or of so many threads. */
int yk_array_launch(yoke_stream *s, const yk_array_kernel *b, unsigned which, size_t groups, const yk_kernel_arg *args,
                    unsigned count,
                    const char *name);
int yk_array_launch_groups(yoke_stream *s, const yk_array_kernel *b, unsigned which, size_t groups, size_t group,
                           const yk_kernel_arg *args, unsigned count, const char *name);
yk_device_layout yk_device_layout_of(const yk_layout *l);
/* Into how many pieces the elements of one result are cut, so that the whole device has work. */
size_t yk_pieces_of(const yoke_device *dev, const yk_layout *outer, const yk_layout *inner, bool columns, size_t group);
static inline yk_kernel_arg yk_value_arg(const void *v, size_t size)
{
    return (yk_kernel_arg){.value = v, .size = (uint32_t)size};
}
static inline yk_kernel_arg yk_memory_arg(void *const *address)
{
    return (yk_kernel_arg){.value = address, .size = sizeof *address, .is_memory = true, .span = yk_span_of(*address)};
}

#endif
