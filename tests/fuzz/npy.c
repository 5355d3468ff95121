/* npy - fuzzes the reader of NumPy's files: whatever the bytes are, there is an array whose elements are all there, or one
 * line of text, and never more memory than the bytes could fill. What is read is written again and read to the same. */
#include "fuzz.h"
#include <unistd.h>
#include <yoke/array.h>

static yoke_device *dev;
static yoke_stream *stream;

/* The same again through a file. */
static void round_trip(const yoke_array *a)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/yoke-fuzz-npy-%ld", (long)getpid());
    REQUIRE(yoke_array_save(a, path) == 0);
    yoke_array *again = yoke_array_load(stream, path);
    REQUIRE(again && again->type == a->type && again->ndim == a->ndim && yoke_array_is_flat(again));
    for (size_t d = 0; d < a->ndim; d++)
        REQUIRE(again->shape[d] == a->shape[d]);
    size_t size = yoke_array_elements(a) * yoke_array_type_size(a->type);
    char *one = malloc(size + 1), *other = malloc(size + 1);
    REQUIRE(one && other && yoke_array_get(a, one, size) == 0 && yoke_array_get(again, other, size) == 0);
    REQUIRE(memcmp(one, other, size) == 0);
    free(one);
    free(other);
    yoke_array_free(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned turns;
    if (!dev) {
        dev = yoke_device_open("cpu");
        stream = yoke_stream_open(dev);
        REQUIRE(stream);
    }
    char *bytes = fuzz_copy(data, size);
    yoke_array *a = yoke_array_load_bytes(stream, (yoke_bytes){bytes, size});
    if (a) {
        REQUIRE(a->type >= YOKE_BOOL && a->type <= YOKE_F64 && a->ndim <= YOKE_DIMS);
        REQUIRE(yoke_array_elements(a) * yoke_array_type_size(a->type) <= size);
        if (turns++ % 16 == 0)
            round_trip(a);
        yoke_array_free(a);
    } else {
        const char *text = yoke_device_error(dev);
        REQUIRE(*text && !strchr(text, '\n') && fuzz_utf8(text, strlen(text)) == strlen(text));
    }
    free(bytes);
    yoke_device_memory m;
    REQUIRE(yoke_device_memory_stats(dev, &m) == 0 && m.blocks == 0);
    return 0;
}
