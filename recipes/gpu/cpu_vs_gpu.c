/* From how many elements on does a device pay? One kernel over host memory on the CPU, on the device, and where yoke puts it.
 *
 * Use it when a program meets arrays of all sizes: a GPU is quicker at large ones and slower at small ones, which the way there
 * costs more than the work. The executor `gpu` measures both and learns, for each kernel and size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { MOST = 1000000, TIMES = 12 };

YOKE_KERNEL(root, ((in, float, x), (out, float, y)),
    float guess = x[i];
    for (int k = 0; k < 20; k++)
        guess = (guess + x[i] / guess) / 2;
    y[i] = guess;
)

/* The least time of some runs, in microseconds. On executors with a device the arrays go there and come back. */
static double measure(yoke_executor *ex, size_t n, const float *x, float *y)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < TIMES; i++) {
        int64_t start = yoke_now();
        yoke_future *f = yoke_launch(ex, root, n, x, y);
        if (yoke_wait(f) < 0)
            fprintf(stderr, "%s\n", yoke_error(f));
        yoke_release(f);
        least = yoke_lesser(least, yoke_now() - start);
    }
    return (double)least / 1e3;
}

int main(void)
{
    float *x = malloc(MOST * sizeof *x), *y = malloc(MOST * sizeof *y);
    yoke_device *dev = yoke_device_open(NULL); /* to be told which it is */
    if (yoke_device_status(dev) < 0)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    const char *uri = yoke_device_about(dev)->uri;
    char either[64];
    snprintf(either, sizeof either, "gpu:%s", uri);
    yoke_executor *on[] = {yoke_open("threads"), yoke_open(uri), yoke_open(either)};
    const char *names[] = {"CPU   ", "device", "either"};
    for (int i = 0; i < MOST; i++)
        x[i] = (float)((i % 1000 + 1) * (i % 1000 + 1));
    for (size_t n = 100; n <= MOST; n *= 100) {
        for (int k = 0; k < 3; k++) {
            memset(y, 0, n * sizeof *y);
            double took = measure(on[k], n, x, y);
            printf("%7zu elements, %s: %8.1f us; the last root is %.1f\n", n, names[k], took, y[n - 1]);
        }
    }
    for (int k = 0; k < 3; k++)
        yoke_close(on[k]);
    free(x);
    free(y);
    return yoke_device_close(dev);
}
