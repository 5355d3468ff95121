/* kernel: from what the macros of yoke/kernel.h describe to what a driver runs. A kernel is analysed once
 * (analysis.c), written out as a text for each kind of device (text.c), built by the driver when a device first
 * meets it, and then found again without a lock (kernel.c). */
#ifndef YK_GPU_KERNEL_H
#define YK_GPU_KERNEL_H
#include "gpu/gpu.h"
#include <yoke/kernel.h>

enum { YK_PARAMS_MOST = 16 };

/* ---- What a body does with its parameters (analysis.c) ---- */

typedef enum yk_token_kind { YK_TOKEN_END, YK_TOKEN_NAME, YK_TOKEN_NUMBER, YK_TOKEN_TEXT, YK_TOKEN_SIGN } yk_token_kind;

/* A piece of C: a name, a number, a string or character, or one sign ("->", "++", "--", "==", "!=", "<=", ">="
 * and what ends in "=" are one). */
typedef struct yk_token {
    yk_token_kind kind;
    const char *at;
    size_t len;
} yk_token;

/* The token at or after p; its end is ret->at + ret->len. */
void yk_token_read(const char *p, yk_token *ret);
bool yk_token_is(const yk_token *t, const char *text);

/* What is known of a kernel's texts together, without understanding them: how names stand in them. */
typedef struct yk_analysis {
    /* Parameter k is an array that stands nowhere but as name[i], so that element i of the call touches element i of it alone:
     * it can be read and written in vectors, and cut in pieces where the call is. */
    bool element[YK_PARAMS_MOST];
    bool used[YK_PARAMS_MOST];
    bool index_changes; /* a text assigns to i, or declares an i of its own: no parameter is of elements then */
    bool loops;         /* a text has a loop, or calls what is not known here */
    bool takes_long;    /* or calls what takes many instructions */
    unsigned tokens;    /* how long the texts are */
} yk_analysis;

/* text may be NULL. Adds what it finds to *a, which begins as yk_analysis_begin() makes it. */
void yk_analysis_begin(const yoke_kernel *k, yk_analysis *a);
void yk_analyse(const yoke_kernel *k, const char *text, yk_analysis *a);
void yk_analyse_kernel(const yoke_kernel *k, yk_analysis *ret);
/* Whether a break of its body stands in no loop or switch of the body's own: it would end a chunk of elements on the CPU, and
 * others on each device; in a program also one that leaves a region. */
bool yk_break_strays(const yoke_kernel *k);

/* ---- Texts (text.c, text_map.c, text_reduce.c, text_scan.c, dialect.c) ---- */

/* What a text is written for. */
typedef struct yk_machine {
    bool is_cuda;
    bool is_gpu;
    unsigned units;
    size_t cached; /* on a CPU: a call that touches more bytes than this writes its results past the caches; 0: none does */
} yk_machine;

yk_machine yk_machine_of(const yoke_device *dev);

/* How elements are dealt out: a group of threads has `group` * `items` elements that follow each other; a thread
 * has runs of `run` neighbouring ones, group * run apart. vectors: parameters of elements go through registers,
 * 16 bytes at a time. */
typedef struct yk_plan {
    unsigned group, items, run;
    bool vectors;
    bool vector[YK_PARAMS_MOST];
} yk_plan;

void yk_plan_make(const yoke_kernel *k, const yk_machine *t, yk_plan *ret);

/* The whole text of k: dialect, device code, functions. Their names are "kernel_NAME" and, of the second step of
 * a reduction or scan, "last_NAME", and of the third of a scan "write_NAME". */
void yk_text_write(const yoke_kernel *k, const yk_machine *t, yk_buf *to);
/* Its parts. */
void yk_text_map(const yoke_kernel *k, const yk_machine *t, yk_buf *to);
void yk_text_reduce(const yoke_kernel *k, const yk_machine *t, yk_buf *to);
void yk_text_scan(const yoke_kernel *k, const yk_machine *t, yk_buf *to);
void yk_text_group(const yoke_kernel *k, const yk_machine *t, yk_buf *to);
/* "#line N "FILE"", and the end of that. */
void yk_text_line(yk_buf *to, unsigned line, const char *file);
/* A body or expression of k. registers: what is vector[] in plan stands for register yk_k (NULL: none). */
void yk_text_body(const yoke_kernel *k, const yk_machine *t, const char *text, const yk_plan *registers, yk_buf *to);
/* The beginning of a function WHICH_NAME, up to its parameters; the same with "n, parameters", for a map with
 * yk_begin and yk_end before n, without the end; and what the parameters need at the beginning of what follows. */
void yk_text_function(const yoke_kernel *k, const yk_machine *t, const char *which, unsigned group, yk_buf *to);
void yk_text_head(const yoke_kernel *k, const yk_machine *t, const char *which, unsigned group, yk_buf *to);
void yk_text_arrays(const yoke_kernel *k, const yk_machine *t, yk_buf *to);
/* A parameter yk_NAME, an array of yk_type, and what it needs. */
void yk_text_result(const yk_machine *t, bool constant, const char *name, yk_buf *to);
void yk_text_result_at(const yk_machine *t, bool constant, const char *name, yk_buf *to);
/* PREFIX_type, and the functions PREFIX_both() and PREFIX_identity() of it, from the texts of a reduction or scan. */
void yk_text_values(const yoke_kernel *k, const yk_machine *t, const char *type, const char *prefix, yk_buf *to);
/* Registers for the parameters of plan: their declaration; reading and writing them, `at` being an expression of
 * yk_r, the run; and a condition that says whether all of them are aligned. CUDA only. */
void yk_text_registers(const yoke_kernel *k, const yk_plan *plan, yk_buf *to);
void yk_text_registers_move(const yoke_kernel *k, const yk_plan *plan, bool back, yk_buf *to);
void yk_text_aligned(const yoke_kernel *k, const yk_plan *plan, yk_buf *to);
/* A type as the target calls it. */
const char *yk_text_type(const yk_machine *t, const char *type);
/* A macro of the dialect, "NAME" and "(x) ...", that is defined where a text has the name; the last is NULL. */
typedef struct yk_dialect_name {
    const char *name, *means;
} yk_dialect_name;
extern const yk_dialect_name yk_dialect_opencl_names[];
extern const char yk_dialect_cuda[], yk_dialect_cuda_atomics[], yk_dialect_opencl[], yk_dialect_opencl_atomics[];

/* The device codes of k's file that stand before k, in order: the first behind `before` (NULL: of all), or NULL. */
const yk_device_code *yk_device_code_after(const yoke_kernel *k, const yk_device_code *before);
/* All kernels, from a lock-free list that only grows while modules are loaded. */
yoke_kernel *yk_kernels(void);

/* ---- Kernels on devices (kernel.c) ---- */

/* A kernel that has been built for a device, or has been refused. */
typedef struct yk_ready {
    yk_image *image;
    yk_function first, last, write;
    yk_plan plan;
    int status;     /* 0, or why it cannot be used */
    yk_error error;
} yk_ready;

/* 0, or -EINVAL with why: a kernel whose body strays (yk_break_strays()) runs nowhere. */
int yk_kernel_check_body(const yoke_kernel *k, yk_error *e);
/* k on dev, built if it was not yet. NULL: no memory, or nothing could be tried; e says why. */
const yk_ready *yk_kernel_ready(yoke_device *dev, yoke_kernel *k, yk_error *e);
/* The arguments of a launch: n, then k's parameters; and whether the device reaches all arrays, and, for a whole call, they are
 * as long as the kernel says. 0 or what yk_given_check() says. */
int yk_kernel_args(const yoke_stream *s, const yoke_kernel *k, const void *args, bool whole, yk_kernel_arg *ret, yk_error *e);
/* The same of a whole call for a stream of the CPU, which takes the arguments as they are. */
int yk_kernel_check_host(const yoke_stream *s, const yoke_kernel *k, const void *args, yk_error *e);
/* How many groups n elements are for, of a kernel of this plan: on a CPU, few. 0: more than a launch can have. */
unsigned yk_kernel_groups(const yoke_device *dev, const yk_plan *plan, long n);
/* Launches, and notes the name. */
int yk_kernel_launch(yoke_stream *s, const char *name, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args,
                     unsigned count, yk_error *e);
/* Records what the CPU is to do: fn gets a yk_kernel_later. Returns a code, which the device keeps. */
typedef struct yk_kernel_later {
    yoke_kernel *k;
    void *ret;  /* of a reduction */
    char *args; /* aligned as values that are vectors need it */
} yk_kernel_later;
int yk_kernel_record(yoke_stream *s, yoke_kernel *k, const void *args, void *ret,
                     int (*fn)(yoke_stream *s, const void *later, yk_error *e));
/* A whole call by a pool (NULL: that of the process), whose arguments have been checked. 0 or a negative code (kernel_cpu.c). */
int yk_kernel_on_cpu(struct yoke_executor *pool, yoke_kernel *k, const void *args);
/* How many of its arrays such a call writes past the caches. */
unsigned yk_kernel_past_arrays(const yoke_kernel *k, const void *args);
/* Elements lo up to hi of the args' n. What the body uses as x[i] alone is given by the address of element lo. */
int yk_enqueue_range(yoke_stream *s, yoke_kernel *k, const void *args, long lo, long hi);
/* Everything that was built for dev, before it is closed. */
void yk_images_close(yoke_device *dev);

/* ---- Kernels as tasks (launch.c) ---- */

/* Makes a task of k and enters it; without memory it stays a kernel alone. */
void yk_kernel_make_task(yoke_kernel *k);
/* How large the pieces are in which memory of the host goes through a device, and whether it goes through pinned memory also
 * where the device is none that is far away; tests and benchmarks change them. */
extern size_t yk_piece_bytes;
extern bool yk_stage_always;
/* Whether kernels of this executor go where they are cheapest: to its device or to its threads (executor.c). */
bool yk_executor_places(const struct yoke_executor *ex);

#endif
