/* launch: what launch.c and batch.c know of a kernel that runs as a job. */
#ifndef YK_GPU_LAUNCH_H
#define YK_GPU_LAUNCH_H
#include "exec/exec.h"
#include "gpu/kernel.h"

typedef struct yk_launching {
    yoke_kernel *k;
    const char *task_args;
    void *ret;                     /* the result of a reduction */
    char *args;                    /* of the kernel: n, values, addresses */
    long n;
    size_t counts[YK_PARAMS_MOST]; /* elements of each parameter */
    bool host[YK_PARAMS_MOST];     /* an array in memory of the host, for which the device needs memory of its own */
    bool staged[YK_PARAMS_MOST];   /* and which the device can only reach through pinned memory */
    bool quiet;                    /* what is wrong with it is not told: it is not the job that runs just now */
    yk_analysis uses;
} yk_launching;

static inline void *yk_value_at(const yoke_kernel *k, const void *args, unsigned i)
{
    return (char *)(uintptr_t)args + k->params[i].at;
}

/* Fills args (memory of the caller's), n and counts from task_args. 0 or -EINVAL. */
int yk_launching_gather(yk_launching *l);
/* Where the host has array i. */
char *yk_launching_host(const yk_launching *l, unsigned i);

/* ---- Jobs that stand in the queue together (batch.c) ---- */

typedef struct yk_batch yk_batch;

/* The small jobs of the same kernel, no reduction, that wait behind `lead`, all of whose arrays are the host's, and are claimed
 * with this. NULL: there are none, or there is no memory. */
yk_batch *yk_batch_gather(yk_launching *lead, yoke_device *dev);
/* All of them on the device, with one copy up, one down and one wait, and lead's results where they belong. False: something
 * failed, and no array has been written; each is to run by itself. */
bool yk_batch_run(yk_batch *b);
/* Ends the jobs behind lead: with the results that are there, or each by itself. NULL is allowed. */
void yk_batch_rest(yk_batch *b);
/* Whether the arguments are those of a job that has been done in a batch: its results are now where they belong. */
bool yk_batch_deliver(const void *task_args);

#endif
