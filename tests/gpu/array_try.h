/* array_try.h - what the tests of arrays share: every device there is, elements compared, and errors. */
#ifndef YK_TESTS_ARRAY_TRY_H
#define YK_TESTS_ARRAY_TRY_H
#include "gpu/array.h"
#include "test.h"

/* Calls fn on the CPU, with its threads and without, and on an OpenCL and a CUDA device if there is one. */
static inline void on_each_device(void (*fn)(yoke_device *dev, yoke_stream *s))
{
    static const char *const uris[] = {"cpu", "cpu:3", "opencl", "cuda"};
    for (unsigned i = 0; i < YK_COUNT_OF(uris); i++) {
        yoke_device *dev = yoke_device_open(uris[i]);
        if (i < 2)
            CHECK_INT(yoke_device_status(dev), 0);
        yoke_stream *s = yoke_stream_open(dev);
        if (s) {
            fn(dev, s);
            yoke_device_memory m;
            CHECK_INT(yoke_stream_wait(s), 0);
            CHECK_INT(yoke_device_memory_stats(dev, &m), 0);
            CHECK_INT(m.blocks, 0); /* nothing leaks */
        }
        yoke_stream_close(s);
        yoke_device_close(dev);
    }
}

static inline void check_f32(const yoke_array *a, const float *expected, size_t n)
{
    float got[64];
    CHECK(a != NULL);
    CHECK_INT(a->type, YOKE_F32);
    CHECK_INT(yoke_array_elements(a), n);
    CHECK_INT(yoke_array_get(a, got, sizeof got), 0);
    for (size_t k = 0; k < n; k++)
        CHECK(got[k] == expected[k]);
}

/* Nothing was made, and the error has the text. */
static inline void expect(yoke_device *dev, const yoke_array *made, const char *text)
{
    CHECK(made == NULL);
    CHECK_HAS(yoke_device_error(dev), text);
}

#endif
