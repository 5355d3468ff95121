/* A picture by a kernel: each pixel counts how long its point stays near 0. As text, or with a file's name as a PPM picture.
 *
 * Use it when each element costs much and reads little: that is where a GPU gains most. Sums and products of floats have the
 * same bits on every device, so the picture is the same. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(mandelbrot, ((val, long, width), (val, float, step), (val, float, aspect), (out, int, count)),
    const float x = (float)(i % width) * step - 2.25f;
    const float y = ((float)(i / width) * aspect + 0.5f) * step - 1.25f;
    float re = x, im = y;
    int k = 0;
    for (; k < 255 && re * re + im * im < 4; k++) {
        const float old = re;
        re = re * re - im * im + x;
        im = 2 * old * im + y;
    }
    count[i] = k;
)

static void show(const int *count, int width, int height)
{
    static const char shades[] = " .:-=+*oxOX%@";
    for (int i = 0; i < width * height; i++)
        printf("%s%c%s", i % width ? "" : "|", shades[count[i] == 255 ? 12 : count[i] % 12], (i + 1) % width ? "" : "|\n");
}

static int save(const char *path, const int *count, int width, int height)
{
    FILE *out = fopen(path, "w");
    if (!out)
        return perror(path), 1;
    fprintf(out, "P3 %d %d 255\n", width, height);
    for (int i = 0; i < width * height; i++)
        fprintf(out, "%d %d %d\n", 255 - count[i], count[i] * 5 % 256, count[i] * 3 % 256);
    return fclose(out) != 0;
}

int main(int argc, char **argv)
{
    const int width = argc > 1 ? 1200 : 76, height = argc > 1 ? 1000 : 32, aspect = argc > 1 ? 1 : 2;
    const size_t n = (size_t)(width * height), size = n * sizeof(int);
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    int *count = yoke_device_alloc(dev, size), *host = malloc(size);
    if (!s || !count || !host)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    int err = yoke_enqueue(s, mandelbrot, n, width, 3.0f / (float)width, aspect, count);
    err |= yoke_stream_copy(s, host, count, size) | yoke_stream_wait(s);
    if (err < 0)
        fprintf(stderr, "%s\n", yoke_device_error(dev));
    else if (argc > 1)
        err = save(argv[1], host, width, height);
    else
        show(host, width, height);
    free(host);
    return yoke_device_close(dev) | err;
}
