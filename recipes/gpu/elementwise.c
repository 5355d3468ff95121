/* Arrays as in NumPy, on any device; and several operations on each element made one kernel.
 *
 * Use it when formulas over tables are to be short: each call is one pass over memory, broadcast and typed as NumPy does. Where
 * passes cost, a kernel of your own works on the same memory in a single one. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(logistic, ((in, float, x), (out, float, y)), y[i] = 1 / (1 + exp(-x[i]));)

/* The same in four passes. */
static yoke_array *logistic_of(yoke_array *x)
{
    return yoke_array_div(yoke_number(1), yoke_array_add(yoke_number(1), yoke_array_exp(yoke_array_neg(x))));
}

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;

    yoke_array_scope all;
    yoke_array_begin(&all); /* what is made from here on is freed by yoke_array_end() */
    yoke_array *table = yoke_array_reshape(yoke_array_arange(s, YOKE_F32, 0, 3000, 1), yoke_shape(1000, 3));
    yoke_array *mean = yoke_array_mean(table, yoke_axes(0), false), *deviation = yoke_array_std(table, yoke_axes(0), false, 0);
    yoke_array *x = yoke_array_div(yoke_array_sub(table, mean), deviation); /* 1000 rows less one, over one */
    yoke_array *y = logistic_of(x), *z = yoke_array_empty_like(x);
    if (z)
        yoke_enqueue(s, logistic, yoke_array_elements(x), x->data, z->data);
    yoke_array *most = yoke_array_max(yoke_array_abs(yoke_array_sub(y, z)), YOKE_ALL_AXES, false);

    double of_mean[3], difference = 1, first = 0, last = 0;
    yoke_array_get(yoke_array_astype(mean, YOKE_F64), of_mean, sizeof of_mean);
    yoke_array_item(yoke_array_index(yoke_array_index(y, 0, 0), 0, 0), &first);
    yoke_array_item(yoke_array_index(yoke_array_index(y, 0, -1), 0, -1), &last);
    yoke_array_item(most, &difference);
    printf("means of the columns: %.1f %.1f %.1f\n", of_mean[0], of_mean[1], of_mean[2]);
    printf("first and last after all: %.4f %.4f\n", first, last);
    printf("in one pass and in four: %s\n", difference < 1e-6 ? "the same" : "not the same");
    if (*yoke_device_error(dev)) /* the first that went wrong: NULL made of NULL leaves it alone */
        fprintf(stderr, "%s\n", yoke_device_error(dev));
    yoke_array_end(&all, NULL);
    yoke_stream_close(s);
    return yoke_device_close(dev);
}
