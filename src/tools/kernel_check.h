/* kernel_check: the arguments that `yoke kernel check` makes up for a kernel, where they lie, and what it does with
 * them. In the order of the files: kernel_layout.c (what is in a type), kernel_trial.c (arguments), kernel_guard.c
 * (memory that tells who leaves it), kernel_ways.c (running it), kernel_verdict.c (comparing), kernel_compare.c (the
 * process in which that happens), kernel_child.c (who starts that process and survives its end), kernel_oclgrind.c
 * (the same process under a simulator). */
#ifndef YK_TOOLS_KERNEL_CHECK_H
#define YK_TOOLS_KERNEL_CHECK_H
#include "gpu/kernel.h"
#include <stdio.h>

/* ---- What is in a type (kernel_layout.c) ---- */

enum { YK_PIECES_MOST = 64 };

/* One number in an element: "" and offset 0 when the element is a number itself, ".re" or ".w[2]" in a struct. */
typedef struct yk_piece {
    char name[64];
    unsigned offset, size, code;
} yk_piece;

typedef struct yk_layout {
    unsigned size, align, n;
    yk_piece pieces[YK_PIECES_MOST];
} yk_layout;

/* The numbers in a type, by its name as it was written, from what C has and from the device code before k. False
 * when that does not tell, or tells another size. */
bool yk_layout_find(const yoke_kernel *k, const char *type, unsigned size, yk_layout *ret);

/* ---- Memory that tells who leaves it (kernel_guard.c) ---- */

/* Memory with addresses before and behind it that nobody may touch. What does not fill its pages either begins or
 * ends at them. */
typedef struct yk_guarded {
    char *map, *base;
    size_t mapped, bytes;
} yk_guarded;

int yk_guard_make(yk_guarded *g, size_t bytes); /* 0 or -ENOMEM */
void yk_guard_done(yk_guarded *g);
/* Says at which end it lies; what was in it is gone. */
void yk_guard_place(yk_guarded *g, bool at_end);
/* Whether p is in it, or in what nobody may touch round it. */
bool yk_guard_has(const yk_guarded *g, const char *p);
/* The first byte beside it that has been written, as far as the pages have room beside it; NULL: none. */
char *yk_guard_stray(const yk_guarded *g);

typedef struct yk_fault {
    int signal;    /* 0: none */
    char *address; /* of SIGSEGV and SIGBUS */
} yk_fault;

/* Calls fn(arg) in this thread, and comes back also when that dies of a signal. From the first call on this process has
 * handlers for those signals. */
yk_fault yk_guard_call(void (*fn)(void *arg), void *arg);

/* ---- Arguments (kernel_trial.c) ---- */

/* Which values: the first that a kernel can live with counts. */
typedef enum yk_sort {
    YK_ANY,    /* zero, negative numbers and fractions */
    YK_PLACES, /* from 0 on and smaller than the arrays are long, so that they may be indices */
    YK_ZEROS,
    YK_ONES,   /* zeros in arrays, ones as values */
    YK_SORTS
} yk_sort;

typedef struct yk_trial {
    yoke_kernel *k;
    long n; /* elements, or groups */
    yk_sort sort;
    uint64_t seed;
    yk_layout layouts[YK_PARAMS_MOST];
    size_t counts[YK_PARAMS_MOST];      /* elements of arrays; of values 1 */
    char *args;                         /* n, values, and addresses in arrays[] */
    yk_guarded arrays[YK_PARAMS_MOST];
    char *first[YK_PARAMS_MOST];        /* what is in an array before a run */
} yk_trial;

/* k, n, sort and seed are set. 0, or a negative code with the reason in e; then too yk_trial_done(). */
int yk_trial_make(yk_trial *t, yk_error *e);
void yk_trial_done(yk_trial *t);
/* Turns every bit of what is in `out` arrays before a run; again: as it was. False: there are none that must
 * be written whole. */
bool yk_trial_turn(yk_trial *t);
/* Whether array i is `out`, and its length that of the call and nothing else: who calls a kernel with more than n may know that
 * so many elements cover it. */
bool yk_trial_is_whole(const yk_trial *t, unsigned i);
/* False: how long array i is had to be made up, too. */
bool yk_trial_says_count(const yk_trial *t, unsigned i);
static inline bool yk_trial_is_array(const yk_trial *t, unsigned i)
{
    return t->k->params[i].kind != YK_VAL;
}
static inline size_t yk_trial_bytes(const yk_trial *t, unsigned i)
{
    return t->counts[i] * t->k->params[i].size;
}
/* A number as people write it. */
void yk_put_number(yk_buf *to, unsigned code, const void *number);

/* ---- Running it (kernel_ways.c) ---- */

enum { YK_RESULT_MOST = 192 };

/* What a run has left: arrays that it may write, and the result of a reduction. */
typedef struct yk_outcome {
    _Alignas(64) char result[YK_RESULT_MOST];
    char *arrays[YK_PARAMS_MOST]; /* NULL: it only reads it */
} yk_outcome;

yk_outcome *yk_outcome_new(const yk_trial *t); /* NULL: no memory */
void yk_outcome_free(yk_outcome *o);

/* Ways of doing it on the CPU: all elements at once, as vectors; in blocks; one after the other, from the last on
 * where the order is free. */
typedef enum yk_way { YK_WHOLE, YK_BLOCKS, YK_SINGLY, YK_WAYS } yk_way;

/* 0; or 1 when it fails, with what happened in why: a signal, or memory that is not its own. */
int yk_run_on_cpu(yk_trial *t, yk_way way, yk_outcome *ret, yk_buf *why);
/* 0 or a negative code. */
int yk_run_on_device(const yk_trial *t, yoke_stream *s, yk_outcome *ret, yk_error *e);

/* ---- Comparing (kernel_verdict.c) ---- */

/* What is known of a kernel's text alone. */
typedef struct yk_habits {
    const char *order; /* the call whose value depends on the order of elements, or NULL */
    bool fast;         /* yoke_fast_...: as exact as each device likes */
    bool exact;        /* + - * and what is as exact */
    bool narrow;       /* it has floats: a double may have been computed from what was rounded to one */
} yk_habits;

void yk_habits_find(const yoke_kernel *k, yk_habits *ret);
/* The first number of a way that is no rounding of the first way's: it depends on the order of elements. True, and
 * says which, when there is one. */
bool yk_differs_by_order(const yk_trial *t, yk_outcome *const ways[YK_WAYS], yk_buf *why);
/* The first number in an `out` array that a is left with and b, where yk_trial_turn() had been called before, is not: what was
 * there shows through. True, and says which, when there is one. */
bool yk_shows_through(const yk_trial *t, const yk_outcome *a, const yk_outcome *b, yk_buf *why);
/* The first number that differs from the first way's on the CPU by more than `ulp` units in the last place, none if
 * the kernel is exact, and by more than the ways differ among themselves. */
bool yk_differs(const yk_trial *t, yk_outcome *const ways[YK_WAYS], const yk_outcome *other, const yk_habits *h, uint64_t ulp,
                yk_buf *why);

/* ---- Places (kernel_place.c) ---- */

/* The line of k's file in which column `column` (from 1) of its text stands; k's own when that cannot be told. */
unsigned yk_place_find(const yoke_kernel *k, unsigned column);

/* ---- Processes (kernel_compare.c, kernel_child.c, kernel_oclgrind.c) ---- */

/* What is asked for, in this process and in the one that runs kernels. */
typedef struct yk_check {
    const char *path, *name; /* name: of one kernel, or NULL */
    const char *devices;     /* "opencl:0,cuda:0" */
    uint64_t seed, ulp;
    int64_t timeout;         /* of one kernel's run */
    bool simulated;          /* the device is Oclgrind: small sizes, and no comparison */
} yk_check;

/* The process that runs kernels: the words behind `yoke --run-kernels`. The exit code. */
int yk_compare_main(int argc, char **argv);

/* Whoever starts such processes. front: what stands before yoke's own name, NULL at the end, or NULL. verdict(): of
 * each kernel and device, "NAME: DEVICE: ..." as people read it; mark is '+' for one that gives the same, '-' for
 * one that fails, '~' for one that is left out. */
typedef struct yk_listener {
    const char *const *front;
    char *const *environment; /* NULL: this process's */
    void (*verdict)(void *arg, size_t kernel, char mark, const char *text);
    void *arg;
    yk_buf *messages;         /* what the processes have written to stderr, or NULL */
} yk_listener;

/* Runs n kernels in such processes, however many it takes. 0, or a negative code with why: -ENODEV a device cannot
 * be opened. */
int yk_run_kernels(const yk_check *c, size_t n, const yk_listener *l, yk_buf *why);

/* Puts a line for each kernel and device into out, and counts those that fail. 0 or a negative code with why. */
int yk_compare(const yk_check *c, size_t n, unsigned *failed, yk_buf *out, yk_buf *why);
/* The same under Oclgrind; one line that says why not when that is not here. */
void yk_simulate(const yk_check *c, yoke_kernel *const *list, size_t n, unsigned *failed, yk_buf *out);

/* One process that runs kernels, seen from outside. line() is called for each line it writes to stdout, without its
 * end; stderr is collected. */
typedef struct yk_child {
    char *const *argv;
    char *const *environment;
    int64_t timeout; /* between two lines */
    void (*line)(void *arg, char *line);
    void *arg;
    yk_buf stderr_text;
    int status;     /* as waitpid() has it */
    bool timed_out; /* and was killed */
} yk_child;

int yk_child_run(yk_child *c); /* 0, or a negative code when it could not be started */

/* The kernels that came since `before`, in the order of the file, those of that name if it is not NULL; to be freed.
 * (kernel.c) */
yoke_kernel **yk_kernels_since(const yoke_kernel *before, const char *name, size_t *ret);

#endif
