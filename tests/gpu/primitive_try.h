/* primitive_try.h - what the tests of primitives share: every device there is, arrays that are on it and on
 * the host, and numbers to fill them with. */
#ifndef YK_TESTS_PRIMITIVE_TRY_H
#define YK_TESTS_PRIMITIVE_TRY_H
#include "gpu/primitive.h"
#include "test.h"
#include <math.h>

/* One device, and its stream. */
typedef struct try {
    yoke_device *dev;
    yoke_stream *s;
    const char *uri;
} try;

/* Runs body on every device: CUDA, OpenCL, the CPU. */
static inline void on_every_device(void (*body)(try *t))
{
    for (unsigned i = 0; i < yoke_device_count(); i++) {
        yoke_device_info info;
        CHECK_INT(yoke_device_at(i, &info), 0);
        try t = {.dev = yoke_device_open(info.uri), .uri = info.uri};
        CHECK_INT(yoke_device_status(t.dev), 0);
        t.s = yoke_stream_open(t.dev);
        CHECK(t.s != NULL);
        body(&t);
        CHECK_INT(yoke_stream_close(t.s), 0);
        yoke_device_memory stats;
        CHECK_INT(yoke_device_memory_stats(t.dev, &stats), 0);
        CHECK_INT(stats.blocks, 0); /* tests give back theirs, primitives what was temporary */
        CHECK_INT(yoke_device_close(t.dev), 0);
    }
}

/* A copy of `size` bytes on the device, `apart` bytes behind the beginning of its block. */
static inline void *on_device(try *t, const void *host, size_t size, size_t apart)
{
    char *p = yoke_device_alloc(t->dev, size + apart + 1);
    CHECK(p != NULL);
    if (host)
        CHECK_INT(yoke_stream_copy(t->s, p + apart, host, size), 0);
    return p + apart;
}

static inline void off_device(try *t, void *host, const void *p, size_t size)
{
    CHECK_INT(yoke_stream_copy(t->s, host, p, size), 0);
    const int err = yoke_stream_wait(t->s);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", t->uri, yoke_device_error(t->dev));
}

static inline void give_back(try *t, void *p, size_t apart)
{
    yoke_device_free(t->dev, (char *)p - apart);
}

/* A call must go well. */
#define GOES(T, CALL)                                                                                                  \
    do {                                                                                                               \
        const int goes_err = (CALL);                                                                                   \
        if (goes_err < 0)                                                                                              \
            test_fail(__FILE__, __LINE__, "%s: %s is %d: %s", (T)->uri, #CALL, goes_err, yoke_device_error((T)->dev)); \
    } while (0)

/* Sizes where something begins or ends: nothing, one, around vectors, warps, tiles, groups of tiles. */
static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 31, 33, 1000, 4095, 4096, 4097, 6143, 6144, 6145, 100003, 300001};
#define FOR_SIZES(N)                                                                                                   \
    for (size_t at_size = 0, N; at_size < sizeof sizes / sizeof sizes[0] && ((N = sizes[at_size]), true); at_size++)

#endif
