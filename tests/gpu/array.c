/* array.c - arrays as objects. */
#include "gpu/gpu.h"
#include "test.h"
#include <yoke.h>
TEST(smoke)
{
    yoke_device *dev = yoke_device_open("cpu:2");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_array *a = yoke_array_arange(s, YOKE_F32, 0, 12, 1), *b = yoke_array_reshape(a, yoke_shape(3, -1));
    yoke_array *t = yoke_array_transpose(b, YOKE_NO_DIMS);
    yoke_array *c = yoke_array_add(t, yoke_number(2)), *sum = yoke_array_sum(c, yoke_axes(0), false);
    double x[3], all;
    CHECK_STR(yoke_device_error(dev), "");
    float y[3];
    CHECK_INT(yoke_array_get(sum, y, sizeof y), 0);
    CHECK(y[0] == 14 && y[1] == 30 && y[2] == 46);
    yoke_array *m = yoke_array_std(c, YOKE_ALL_AXES, false, 0);
    CHECK_INT(yoke_array_item(m, &all), 0);
    CHECK_NEAR(all, 3.4520525, 1e-6);
    (void)x;
    yoke_array_free(a); yoke_array_free(b); yoke_array_free(t); yoke_array_free(c); yoke_array_free(sum); yoke_array_free(m);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}
