/* opencl_try.h - an OpenCL device, and kernels on it called through the driver's own table. */
#ifndef YK_TESTS_OPENCL_TRY_H
#define YK_TESTS_OPENCL_TRY_H
#include "gpu/gpu.h"
#include "test.h"

/* The first OpenCL device; skips the test where there is none. */
static inline yoke_device *open_opencl(void)
{
    const char *why = yoke_driver_error("opencl");
    if (*why)
        SKIP("%s", why);
    yoke_device *dev = yoke_device_open("opencl:0");
    CHECK_STR(yoke_device_error(dev), "");
    CHECK_INT(yoke_device_status(dev), 0);
    return dev;
}

static inline yk_image *build(yoke_device *dev, const char *text)
{
    yk_image *image = NULL;
    yk_buf log = {0};
    yk_error e = {.text = ""};
    int err = dev->driver->build(dev, text, "", "a test", &image, &log, &e);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%s\n%s", e.text, yk_buf_str(&log));
    yk_buf_done(&log);
    return image;
}

static inline yk_function function_of(yoke_device *dev, yk_image *image, const char *name)
{
    yk_function f;
    yk_error e = {.text = ""};
    int err = dev->driver->function(image, name, &f, &e);
    CHECK_STR(e.text, "");
    CHECK_INT(err, 0);
    return f;
}

/* An argument: memory, whose span is looked up, or a value. Both are kept by address. */
static inline yk_kernel_arg memory_arg(void *address_of_pointer)
{
    void *p;
    memcpy(&p, address_of_pointer, sizeof p);
    return (yk_kernel_arg){.value = address_of_pointer, .size = sizeof p, .is_memory = true, .span = yk_span_of(p)};
}
#define MEMORY(p) memory_arg(&(p))
#define VALUE(x) ((yk_kernel_arg){.value = &(x), .size = sizeof(x)})

static inline int launch_shaped(yoke_stream *s, const yk_function *f, yk_shape shape, const yk_kernel_arg *args,
                                unsigned count, yk_error *e)
{
    return s->dev->driver->launch(s, f, &shape, args, count, e);
}

/* Must succeed. */
static inline void launch(yoke_stream *s, const yk_function *f, unsigned groups, unsigned group,
                          const yk_kernel_arg *args, unsigned count)
{
    yk_error e = {.text = ""};
    int err = launch_shaped(s, f, (yk_shape){.groups = {groups, 1, 1}, .group = {group, 1, 1}}, args, count, &e);
    CHECK_STR(e.text, "");
    CHECK_INT(err, 0);
}

#endif
