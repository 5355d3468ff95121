/* Arrays too large for the device, or used there only once: copies up, work and copies down at the same time, in pieces.
 *
 * Use it when data lives on the host and the way to the device takes as long as the work. yoke_launch() over host memory does
 * it by itself for kernels that use their arrays as x[i] alone: while one piece is worked on the next comes up and the last
 * goes down. By hand, one after the other, only one of the three moves. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { N = 6000000, SIZE = N * sizeof(float) };

YOKE_KERNEL(smooth, ((in, float, x), (out, float, y)), y[i] = x[i] * x[i] * (3 - 2 * x[i]);)

/* All up, all of the work, all down. */
static int by_hand(yoke_stream *s, const float *x, float *y)
{
    float *a = yoke_stream_alloc(s, SIZE), *b = yoke_stream_alloc(s, SIZE);
    int err = a && b ? yoke_stream_copy(s, a, x, SIZE) : -1;
    err |= err ? err : yoke_enqueue(s, smooth, N, a, b);
    err |= err ? err : yoke_stream_copy(s, y, b, SIZE);
    yoke_stream_free(s, a);
    yoke_stream_free(s, b);
    return err | yoke_stream_wait(s);
}

static int in_pieces(yoke_executor *ex, const float *x, float *y)
{
    yoke_future *f = yoke_launch(ex, smooth, N, x, y);
    int err = yoke_wait(f);
    if (err < 0)
        fprintf(stderr, "%s\n", yoke_error(f));
    yoke_release(f);
    return err;
}

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_executor *ex = yoke_open(yoke_device_about(dev)->uri);
    yoke_stream *s = yoke_stream_open(dev);
    float *x = yoke_pinned_alloc(dev, 2L * SIZE), *y = x + N; /* of other memory copies are slower, and block */
    if (!s || !x)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 1025) / 1024;
    for (int again = 0; again < 4; again++) { /* the first two compile, and take the memory */
        memset(y, 0, SIZE);
        int64_t start = yoke_now();
        int err = again % 2 ? in_pieces(ex, x, y) : by_hand(s, x, y);
        if (again >= 2 && err == 0)
            printf("%s: %.2f ms, y[512] = %.3f, the last %.3f\n", again % 2 ? "in pieces" : "by hand  ",
                   (double)(yoke_now() - start) / 1e6, y[512], y[N - 1]);
    }
    printf("%s", yoke_device_error(dev));
    yoke_close(ex);
    yoke_pinned_free(dev, x);
    return yoke_device_close(dev);
}
