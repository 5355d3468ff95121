/* array_text: kernels for arrays, as text. A plan says which one; its key names the text, so that each is built once. */
#ifndef YK_ARRAY_TEXT_H
#define YK_ARRAY_TEXT_H
#include "gpu/array.h"
#include "gpu/array_folds.h"

enum { YK_ARRAY_GROUP = 256, YK_ARRAY_RUNS = 2, YK_NAME = 16 };

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
} yk_map_plan;

/* Kernels "runs", "columns" and "join": see array_text.c. */
typedef struct yk_reduce_plan {
    const char *name;
    const yk_fold *fold;
    unsigned type, from, to; /* computed in; of the operand's elements, and the result's */
    unsigned outer_ndim, inner_ndim;
} yk_reduce_plan;

typedef struct yk_array_target {
    bool is_cuda, has_double;
    unsigned group; /* threads in a group: a power of two */
} yk_array_target;

yk_array_target yk_array_target_of(const yoke_device *dev);
void yk_map_key(const yk_map_plan *p, char ret[64]);
void yk_reduce_key(const yk_reduce_plan *p, char ret[64]);
void yk_map_text(const yk_map_plan *p, const yk_array_target *t, yk_buf *to);
void yk_reduce_text(const yk_reduce_plan *p, const yk_array_target *t, yk_buf *to);

#endif
