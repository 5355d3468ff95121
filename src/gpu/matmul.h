/* matmul: products of matrices on the CPU. */
#ifndef YK_GPU_MATMUL_H
#define YK_GPU_MATMUL_H
#include <stdbool.h>
#include <stddef.h>

struct yoke_executor;

/* z (rows by columns) = x (rows by depth) y (depth by columns), row after row, with so many elements from one to the next. */
typedef struct yk_product {
    size_t rows, columns, depth, step_x, step_y, step_z;
    const void *x, *y;
    void *z;
} yk_product;

/* Of elements of type YOKE_BOOL to YOKE_F64. Each is summed in order of the depth, without fused operations, so that the bits are
 * the same on every CPU, and as on an OpenCL device; integers wrap around; a BOOL is whether both are true anywhere. By the
 * workers of ex. What yoke_for() returns. */
int yk_matmul_on_host(struct yoke_executor *ex, unsigned type, const yk_product *p);

/* For tests: from now on by vectors that are so many steps narrower than the widest that this CPU has. False: there are none. */
bool yk_matmul_test_width(unsigned by);

#endif
