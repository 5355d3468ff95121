/* integrate.c - the area under 4 / (1 + x * x), by rectangles: from 0 to 1 it is pi.
 *
 *     yoke run integrate.c:integrate 0 1
 *     yoke map integrate.c:integrate ::: '[0, 0.5]' '[0.5, 1]'
 */
#include <yoke.h>

YOKE_TASK(double, integrate, (double, a, "lower bound"), (double, b, "upper bound"), (long, n, "steps", 1000000))
{
    if (n <= 0) {
        yoke_fail(EINVAL, "n must be positive, got %ld", n);
        return 0;
    }
    double h = (b - a) / (double)n, sum = 0;
    for (long i = 0; i < n; i++) {
        double x = a + ((double)i + 0.5) * h;
        sum += 4 / (1 + x * x);
    }
    return sum * h;
}
