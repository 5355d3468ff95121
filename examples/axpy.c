/* axpy.c - a kernel: one body for the CPU and for CUDA and OpenCL devices, and a task like any other.
 *
 *     yoke run axpy.c:axpy 2 '[1, 2, 3]' '[10, 20, 30]'
 *     yoke kernel check axpy.c
 */
#include <yoke/kernel.h>

YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)),
            y[i] += a * x[i];)
