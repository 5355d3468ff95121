/* Memory of a device: taken, filled from the host, used, read back, given back, and had again without asking the driver.
 *
 * Use it when arrays are large or stay on the device for several kernels. Copies go through pinned memory, which the device
 * reads by itself while the host goes on; a stream keeps the order, so one wait at the end is enough. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { N = 1 << 20, SIZE = N * sizeof(float) };

YOKE_KERNEL(sum, ((in, float, a), (in, float, b), (out, float, c)), c[i] = a[i] + b[i];)

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    float *host = yoke_pinned_alloc(dev, 3 * (size_t)SIZE), *x = host, *y = host + N, *z = host + 2 * N;
    if (!s || !host)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    for (int i = 0; i < N; i++) {
        x[i] = (float)i;
        y[i] = (float)(N - i) / 2;
    }
    for (int again = 0; again < 3; again++) {
        float *a = yoke_stream_alloc(s, SIZE), *b = yoke_stream_alloc(s, SIZE), *c = yoke_stream_alloc(s, SIZE);
        yoke_stream_copy(s, a, x, SIZE); /* the addresses tell the direction */
        yoke_stream_copy(s, b, y, SIZE);
        yoke_enqueue(s, sum, N, a, b, c);
        yoke_stream_copy(s, z, c, SIZE);
        yoke_stream_free(s, a); /* once the stream has come past: nothing waits here */
        yoke_stream_free(s, b);
        yoke_stream_free(s, c);
    }
    yoke_stream_wait(s); /* now z may be read */
    int wrong = 0;
    for (int i = 0; i < N; i++)
        wrong += z[i] != x[i] + y[i];
    yoke_device_memory m;
    yoke_device_memory_stats(dev, &m);
    printf("%d sums, %d wrong; the last is %.1f\n", N, wrong, z[N - 1]);
    printf("asked for %lu blocks, %lu of them had before; at most %zu MiB at a time, now %zu\n", (unsigned long)m.allocs,
           (unsigned long)m.reused, m.used_most >> 20, m.used >> 20);
    const char *why = yoke_device_error(dev);
    if (*why)
        fprintf(stderr, "%s\n", why);
    yoke_pinned_free(dev, host);
    yoke_stream_close(s);
    return yoke_device_close(dev) | wrong;
}
