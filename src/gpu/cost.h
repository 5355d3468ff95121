/* cost: what calls of a kernel have cost on the CPU and on a device, for the placement `gpu`. */
#ifndef YK_GPU_COST_H
#define YK_GPU_COST_H
#include "base/base.h"

typedef enum yk_place { YK_ON_CPU, YK_ON_DEVICE } yk_place;

/* Of one kernel; zero: nothing is known. */
typedef struct yk_cost {
    struct {
        _Atomic float mean[2]; /* ns of a call */
        _Atomic uint32_t times[2];
    } sizes[64];               /* by the logarithm of the number of elements */
} yk_cost;

/* Where n elements should be done now. Any thread, as the next. */
yk_place yk_cost_choose(yk_cost *c, size_t n);
/* There they took so long. */
void yk_cost_learn(yk_cost *c, size_t n, yk_place place, int64_t ns);
/* The device failed: that costs more than the CPU does, but not so much that it would never be tried again. */
void yk_cost_failed(yk_cost *c, size_t n);

#endif
