/* A kernel made at run time: a text in the device's own language, compiled for the very size that this run has.
 *
 * Use it when what is to be compiled is known late, or stands in CUDA C++ or OpenCL C already. Loops over constants unroll; the
 * second time the compiled form comes from disk. The CPU has no such language: there write a YOKE_KERNEL or a YOKE_PROGRAM. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoke.h>

/* What differs: how a kernel begins, who one is, and that OpenCL passes an address as a buffer and an offset in it. */
static const char cuda[] = "extern \"C\" __global__ void product(const float *a, const float *b, float *c)\n"
                           "{\n"
                           "    const int row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * 8 + threadIdx.x;\n";
static const char opencl[] = "#define AT(base, at) ((__global float *)((__global char *)base + at))\n"
                             "__kernel void product(__global float *a_base, ulong a_at, __global float *b_base, ulong b_at,\n"
                             "                      __global float *c_base, ulong c_at)\n"
                             "{\n"
                             "    __global float *a = AT(a_base, a_at), *b = AT(b_base, b_at), *c = AT(c_base, c_at);\n"
                             "    const int row = get_global_id(1), column = get_global_id(0);\n";
static const char both[] = "    float sum = 0;\n"
                           "    for (int k = 0; k < SIZE; k++)\n"
                           "        sum += a[row * SIZE + k] * b[k * SIZE + column];\n"
                           "    c[row * SIZE + column] = sum;\n"
                           "}\n";

int main(int argc, char **argv)
{
    const unsigned size = argc > 1 ? 8 * (unsigned)strtoul(argv[1], NULL, 10) : 64, bytes = size * size * sizeof(float);
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    float *host = yoke_pinned_alloc(dev, bytes), *a = yoke_device_alloc(dev, bytes), *c = yoke_device_alloc(dev, bytes);
    if (!s || !host || !a || !c)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    for (unsigned i = 0; i < size * size; i++)
        host[i] = (float)(i % 5);
    yoke_stream_copy(s, a, host, bytes);

    char text[2000], options[40];
    const char *driver = yoke_device_about(dev)->driver;
    snprintf(text, sizeof text, "%s%s", strcmp(driver, "cuda") == 0 ? cuda : opencl, both);
    snprintf(options, sizeof options, "-DSIZE=%u", size);
    yoke_source *src = yoke_source_open(dev, text, options);
    int err = yoke_source_status(src);
    puts(err < 0 ? yoke_source_log(src) : "compiled");
    if (err == 0) {
        const yoke_shape shape = {.groups = {size / 8, size / 8}, .group = {8, 8}};
        err = yoke_enqueue_raw(s, yoke_source_kernel(src, "product"), shape, a, a, c);
    } else if (strcmp(driver, "cpu") == 0) {
        err = yoke_stream_matmul(s, size, size, size, a, size, a, size, c, size);
    }
    yoke_stream_copy(s, host, c, bytes);
    yoke_stream_wait(s);
    printf("first row: %.0f %.0f ... %.0f\n", host[0], host[1], host[size - 1]);
    yoke_source_close(src);
    yoke_pinned_free(dev, host);
    return yoke_device_close(dev) | err;
}
