/* kernel_try.h - kernels on every device that this machine has: a test body runs once for each. */
#ifndef YK_TESTS_KERNEL_TRY_H
#define YK_TESTS_KERNEL_TRY_H
#include "test.h"
#include <yoke/kernel.h>

/* body(dev, s) for each device; what it puts in s is waited for. Devices that cannot be used are left out. */
static inline void on_every_device(void (*body)(yoke_device *dev, yoke_stream *s))
{
    unsigned count = yoke_device_count(), used = 0;
    for (unsigned i = 0; i < count; i++) {
        yoke_device_info info;
        CHECK_INT(yoke_device_at(i, &info), 0);
        yoke_device *dev = yoke_device_open(info.uri);
        yoke_stream *s = yoke_stream_open(dev);
        if (s) {
            body(dev, s);
            CHECK_INT(yoke_stream_close(s), 0);
            used++;
        } else {
            CHECK(info.driver[0] != 'c' || info.driver[1] != 'p'); /* the CPU always works */
        }
        CHECK_INT(yoke_device_close(dev), used || !s ? 0 : -1);
    }
    CHECK(used > 0);
}

/* n * size bytes of the device with what is at `from`; NULL: not written. */
static inline void *up(yoke_stream *s, const void *from, size_t bytes)
{
    void *p = yoke_device_alloc(yoke_stream_device(s), bytes);
    CHECK(p);
    if (from)
        CHECK_INT(yoke_stream_copy(s, p, from, bytes), 0);
    return p;
}

static inline void down(yoke_stream *s, void *to, void *from, size_t bytes)
{
    CHECK_INT(yoke_stream_copy(s, to, from, bytes), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    yoke_device_free(yoke_stream_device(s), from);
}

/* What was refused is told by the next wait, the first of it, and then no more. */
static inline void check_told(yoke_stream *s, int code, const char *why)
{
    CHECK_INT(yoke_stream_wait(s), code);
    CHECK_HAS(yoke_device_error(yoke_stream_device(s)), why);
    CHECK_INT(yoke_stream_wait(s), 0);
}

/* err is 0, or the test ends with what the device says. */
static inline void expect_done(yoke_stream *s, int err, const char *what)
{
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%s: %d: %s", what, err, yoke_device_error(yoke_stream_device(s)));
}
#define DONE(s, call) expect_done(s, call, #call)

#endif
