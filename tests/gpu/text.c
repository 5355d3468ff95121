#include "gpu/kernel.h"
#include "test.h"
YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
TEST(shows)
{
    yk_buf b = {0};
    yk_text_write(&yoke_kernel_axpy, &(yk_target){true, true, 132}, &b);
    puts(yk_buf_str(&b));
    yk_buf_done(&b);
    b = (yk_buf){0};
    yk_text_write(&yoke_kernel_axpy, &(yk_target){false, false, 2}, &b);
    puts(strstr(yk_buf_str(&b), "__kernel"));
}
