/* yoke/source.h - kernels in a device's own language: CUDA C++ for CUDA devices, OpenCL C for the others.
 *
 *     yoke_source *src = yoke_source_open(dev, text, "");
 *     yoke_raw *halve = yoke_source_kernel(src, "halve");
 *     yoke_shape shape = {.groups = {(n + 255) / 256}, .group = {256}};
 *     int err = yoke_enqueue_raw(stream, halve, shape, n, x);        // values and pointers, as the kernel has them
 *     ...
 *     yoke_source_close(src);                                        // after the stream has come past it
 *
 * A CUDA kernel is an `extern "C" __global__` function (or one whose mangled name is given). A kernel of OpenCL takes
 * memory as it does elsewhere, `__global float *x`, if the addresses that it is given are those that yoke_device_alloc() and
 * its like returned. To be given others, within a block, it has two parameters for each of them: `__global float *x_base,
 * ulong x_at`, with x = (__global float *)((__global char *)x_base + x_at). Nothing checks the types of
 * arguments against those of parameters: pass a `long` as a long, (float)0.5 as a float. On the CPU there is
 * nothing to compile: -ENOTSUP.
 *
 * Compiled texts are kept as those of YOKE_KERNEL are, but for those that include files, by an #include or an option: they
 * are compiled each time, since the files may have changed. Any thread; a kernel may be enqueued by several at a
 * time.
 */
#ifndef YOKE_SOURCE_H
#define YOKE_SOURCE_H
#pragma GCC system_header
#include <yoke/gpu.h>
#include <yoke/pp.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_source yoke_source;
typedef struct yoke_raw yoke_raw;

/* The launch of a kernel: how many groups of how many threads, in up to three dimensions, where 0 is 1; and how
 * many bytes of shared memory on top of what the kernel declares (in OpenCL, of its last parameter, a __local
 * pointer). */
typedef struct yoke_shape {
    unsigned groups[3], group[3];
    size_t shared;
} yoke_shape;

/* Compiles text with the compiler's own options ("--use_fast_math", "-cl-fast-relaxed-math -DN=4"). Never NULL
 * but for want of memory: one that does not compile has a status and a log, and no kernels. The text need not
 * stay. */
YOKE_API yoke_source *yoke_source_open(yoke_device *dev, const char *text, const char *options);
/* The same with what a file holds: an ordinary one of at most 64 MiB. */
YOKE_API yoke_source *yoke_source_read(yoke_device *dev, const char *path, const char *options);
/* 0, or why it cannot be used: -EINVAL it does not compile; -ENOTSUP the device is the CPU; the code of a file
 * that cannot be read. */
YOKE_API int yoke_source_status(const yoke_source *src);
/* What the compiler said, also when all went well; or the error. Valid as long as src. */
YOKE_API const char *yoke_source_log(const yoke_source *src);
/* With its kernels. NULL is allowed. Before the device is closed. */
YOKE_API void yoke_source_close(yoke_source *src);

/* The kernel of that name, which belongs to src; NULL when there is none, see yoke_device_error(). The same for
 * the same name. */
YOKE_API yoke_raw *yoke_source_kernel(yoke_source *src, const char *name);
/* What its compiler told: registers of a thread, bytes of memory that it spills to, bytes of shared memory, most
 * threads of a group; 0 where it did not. */
typedef struct yoke_raw_info {
    unsigned registers, spilled, shared, group_most;
} yoke_raw_info;
YOKE_API int yoke_raw_about(yoke_raw *kernel, yoke_raw_info *ret);

/* ---- What the macro uses ---- */

typedef struct yk_raw_arg {
    const void *value;
    uint32_t size;
    bool is_memory;
} yk_raw_arg;
/* What yoke_enqueue_raw() does; at most 16 arguments. */
YOKE_API int yk_enqueue_raw(yoke_stream *s, yoke_raw *kernel, yoke_shape shape, const yk_raw_arg *args, unsigned count);

#ifdef __cplusplus
}
template <class T> struct yk_raw_is_memory {
    enum { yes = 0 };
};
template <class T> struct yk_raw_is_memory<T *> {
    enum { yes = 1 };
};
/* A list of at most 16 arguments, copied. */
template <class... T> inline int yk_enqueue_raw_of(yoke_stream *yk_s, yoke_raw *yk_k, yoke_shape yk_shape, const T... yk_values)
{
    const yk_raw_arg yk_args[] = {{&yk_values, (uint32_t)sizeof yk_values, yk_raw_is_memory<T>::yes != 0}...};
    return yk_enqueue_raw(yk_s, yk_k, yk_shape, yk_args, (unsigned)sizeof...(T));
}
#define yoke_enqueue_raw(s, kernel, shape, ...) yk_enqueue_raw_of((s), (kernel), (shape), __VA_ARGS__)
extern "C" {
#else
/* yoke_enqueue_raw(stream, kernel, shape, arguments...): 1 to 16 of them. 0, -EINVAL when the kernel is NULL or
 * the shape not possible, -EFAULT for memory of another device, or what the driver says. */
#define yoke_enqueue_raw(s, kernel, shape, ...)                                                                        \
    yk_enqueue_raw((s), (kernel), (shape), (const yk_raw_arg[]){YK_MAP(YK_RAW_ARG, ~, YK_COMMA, __VA_ARGS__)},         \
                   YK_COUNT(__VA_ARGS__))
#define YK_RAW_ARG(c, v)                                                                                               \
    {                                                                                                                  \
        (const __typeof__((0, (v)))[1]){(v)}, (uint32_t)sizeof(__typeof__((0, (v)))),                                  \
            __builtin_classify_type((0, (v))) == 5                                                                     \
    }
#endif

#ifdef __cplusplus
}
#endif
#endif
