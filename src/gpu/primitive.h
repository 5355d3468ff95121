/* primitive: sums, scans, sorts and their kin. primitive.c checks the arguments and hands on to what the
 * device's driver has: primitive_cuda.c and primitive_opencl.c launch kernels of the texts in device/,
 * primitive_cpu.c calls the thread pool's algorithms. A text is built for a device when it first needs it,
 * and then found again (primitive_build.c). */
#ifndef YK_GPU_PRIMITIVE_H
#define YK_GPU_PRIMITIVE_H
#include "gpu/gpu.h"
#include <yoke/primitive.h>

/* ---- Numbers ---- */

/* 4 or 8. */
static inline size_t yk_number_size(yk_number type)
{
    return type == YK_I32 || type == YK_U32 || type == YK_F32 ? 4 : 8;
}
static inline bool yk_number_is_float(yk_number type)
{
    return type == YK_F32 || type == YK_F64;
}

/* ---- What a driver does for each primitive ---- */

typedef struct yk_primitive_call yk_primitive_call;

typedef struct yk_sorting {
    yk_number type;
    bool down;
    size_t n, value_size; /* 0: no values; 4 or 8 */
    void *keys, *values;
} yk_sorting;

/* flags NULL: unique ones, by type; else elements of `size` bytes. */
typedef struct yk_selecting {
    yk_number type;
    size_t size, n;
    const void *x;
    const uint8_t *flags;
    void *out;
    uint64_t *kept;
} yk_selecting;

/* low, high: one number each. scale: bins a unit, of floats, in their type. */
typedef struct yk_binning {
    yk_number type;
    size_t n, bins;
    const void *x;
    uint64_t low, high, scale; /* bits of a number each */
    uint64_t *counts;
} yk_binning;

typedef struct yk_segmenting {
    yk_operator op;
    yk_number type;
    size_t segments, n, offset_size;
    const void *offsets, *x;
    void *out;
} yk_segmenting;

typedef struct yk_multiplying {
    yk_number type;
    size_t m, n, k, lda, ldb, ldc;
    const void *a, *b;
    void *c;
} yk_multiplying;

typedef struct yk_sparse {
    yk_number type;
    size_t rows, nonzeros, offset_size;
    const void *offsets, *values, *x;
    const uint32_t *columns;
    void *y;
} yk_sparse;

/* All return 0 or call->e's code. Arguments are sound, arrays are the device's and as long as they should be, and n (or segments,
 * rows) > 0 but in reduce and histogram. */
typedef struct yk_primitives {
    int (*reduce)(yk_primitive_call *c, yk_operator op, yk_number type, size_t n, const void *x, void *out);
    int (*scan)(yk_primitive_call *c, yk_operator op, bool before, yk_number type, size_t n, const void *x,
                void *out);
    int (*sort)(yk_primitive_call *c, const yk_sorting *a);
    int (*select)(yk_primitive_call *c, const yk_selecting *a);
    int (*histogram)(yk_primitive_call *c, const yk_binning *a);
    int (*segments)(yk_primitive_call *c, const yk_segmenting *a);
    int (*matmul)(yk_primitive_call *c, const yk_multiplying *a);
    int (*spmv)(yk_primitive_call *c, const yk_sparse *a);
} yk_primitives;

extern const yk_primitives yk_primitives_cuda, yk_primitives_opencl, yk_primitives_cpu;

/* By cuBLAS, with c->e when that fails. false: not by it, there is none or the numbers are too large for it; nothing has been
 * done then. Addresses are of the device. (cuda_blas.c) */
bool yk_cuda_multiply(yk_primitive_call *c, const yk_multiplying *a);

/* How many of n keys a launch of a sort takes, in whole tiles; at most 2^29. All launches are of about one size: each clears the
 * words of the next, and a small one before a large one would take long for that (primitive_cuda.c). */
size_t yk_sort_portion(size_t n, size_t tile);

/* ---- Programs (primitive_build.c) ---- */

/* The texts of a program, one after the other, and its kernels. */
typedef struct yk_program {
    const char *name;
    const char *texts[4]; /* ended by NULL */
    const char *names[4]; /* of the texts, for messages */
    const char *kernels[4];
} yk_program;

/* A program built for a device with some options. */
typedef struct yk_built {
    struct yk_built *next;
    const yk_program *program;
    yk_image *image;
    yk_function kernels[4];
    char options[];
} yk_built;

/* options as a printf format. NULL: it could not be built, c->e says why. */
const yk_built *yk_program_build(yk_primitive_call *c, const yk_program *program, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The whole text of a program. */
void yk_program_text(const yk_program *program, yk_buf *to);
/* All that was built for dev, before it is closed. */
void yk_primitives_close(yoke_device *dev);

/* ---- Launches (primitive_build.c) ---- */

enum { YK_CALL_ARGS = 20, YK_CALL_TEMPORARIES = 8 };

/* One call of a primitive: the error sticks, what comes after it does nothing. Temporaries live until
 * yk_call_end(). */
struct yk_primitive_call {
    yoke_stream *s;
    const char *name; /* "sort": static */
    yk_error e;
    unsigned count, temporaries;
    yk_kernel_arg args[YK_CALL_ARGS];
    uint64_t values[YK_CALL_ARGS];
    void *temporary[YK_CALL_TEMPORARIES];
};

/* Arguments of the next launch, in order. */
void yk_call_memory(yk_primitive_call *c, const void *p);
void yk_call_word(yk_primitive_call *c, uint32_t value);
void yk_call_long(yk_primitive_call *c, uint64_t value);
void yk_call_number(yk_primitive_call *c, yk_number type, uint64_t bits);
/* m, n, k, then each matrix and its leading dimension; without depth a and b are not read. */
void yk_call_matrices(yk_primitive_call *c, const yk_multiplying *a);
void yk_call_launch(yk_primitive_call *c, const yk_function *f, size_t groups, unsigned group, size_t local);
void yk_call_launch_2d(yk_primitive_call *c, const yk_function *f, size_t across, size_t down,
                       unsigned group);

/* Memory for this call alone, or NULL with the error set. */
void *yk_call_temporary(yk_primitive_call *c, size_t size);
void yk_call_clear(yk_primitive_call *c, void *p, size_t size);
/* Gives back what is temporary, in the order of the stream. Returns the call's code; the device keeps the
 * error. */
int yk_call_end(yk_primitive_call *c);

#endif
