/* A kernel of the same name as one in launch.c. */
#include <yoke/executor.h>
#include <yoke/kernel.h>

YOKE_KERNEL(namesake, ((out, int32_t, y)), y[i] = 2;)

yoke_future *launch_other_namesake(yoke_executor *ex, size_t n, int32_t *y);
yoke_future *launch_other_namesake(yoke_executor *ex, size_t n, int32_t *y)
{
    return yoke_launch(ex, namesake, n, y);
}
