/* array_dlpack: arrays from other libraries, and for them, without a copy: DLPack 1.1. Who made the memory gives it back when
 * the other has done with it: an array out keeps its storage for as long, and an array in calls the other's deleter with its
 * last use. */
#include "gpu/array.h"
#include <stdlib.h>

enum { KIND_INT = 0, KIND_UINT = 1, KIND_FLOAT = 2, KIND_BOOL = 6 };

/* What a tensor that was given away stands on. */
typedef struct exported {
    yoke_dlpack tensor;
    int64_t shape[YOKE_DIMS], strides[YOKE_DIMS];
    yk_storage *storage;
} exported;

static void give_back(yoke_dlpack *t)
{
    exported *x = t->manager_ctx;
    yk_storage_drop(x->storage);
    free(x);
}

static uint8_t kind_of(unsigned type)
{
    if (type == YOKE_BOOL)
        return KIND_BOOL;
    return type <= YOKE_I64 ? KIND_INT : type <= YOKE_U64 ? KIND_UINT : KIND_FLOAT;
}

static bool is_cuda(const yoke_device *dev)
{
    return strcmp(dev->driver->name, "cuda") == 0;
}

static int number_of(const yoke_device *dev)
{
    const char *colon = strchr(dev->info.uri, ':');
    return colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

yoke_dlpack *yoke_array_to_dlpack(const yoke_array *a)
{
    if (!a || yk_array_is_number(a) || yk_device_check(a->stream->dev) < 0)
        return NULL;
    if (!yk_array_is_on_host(a) && !is_cuda(a->stream->dev)) {
        yk_array_fail(a->stream, ENOTSUP, "dlpack: memory of %s has no address: yoke_array_to() the CPU",
                      a->stream->dev->info.uri);
        return NULL;
    }
    if (!a->storage->memory || yk_stream_settle(a->stream) < 0) {
        if (!a->storage->memory)
            yk_array_fail(a->stream, EINVAL, "dlpack: the memory is not the array's to give away: yoke_array_copy() it");
        return NULL;
    }
    exported *x = yk_sys.calloc(1, sizeof *x);
    if (!x) {
        yk_array_fail(a->stream, ENOMEM, "dlpack: no memory");
        return NULL;
    }
    for (size_t d = 0; d < a->ndim; d++) {
        x->shape[d] = (int64_t)a->shape[d];
        x->strides[d] = a->step[d];
    }
    atomic_fetch_add_explicit(&a->storage->users, 1, memory_order_relaxed);
    x->storage = a->storage;
    x->tensor = (yoke_dlpack){.version = {1, 1}, .manager_ctx = x, .deleter = give_back};
    x->tensor.tensor.data = a->data;
    x->tensor.tensor.device.type = yk_array_is_on_host(a) ? YOKE_DLPACK_CPU : YOKE_DLPACK_CUDA;
    x->tensor.tensor.device.id = yk_array_is_on_host(a) ? 0 : number_of(a->stream->dev);
    x->tensor.tensor.ndim = (int32_t)a->ndim;
    x->tensor.tensor.dtype.code = kind_of(a->type);
    x->tensor.tensor.dtype.bits = (uint8_t)(yoke_array_type_size(a->type) * 8);
    x->tensor.tensor.dtype.lanes = 1;
    x->tensor.tensor.shape = x->shape;
    x->tensor.tensor.strides = x->strides;
    return &x->tensor;
}

/* The type, or YOKE_VOID. */
static unsigned type_of(uint8_t code, uint8_t bits, uint16_t lanes)
{
    for (unsigned type = YOKE_BOOL; type <= YOKE_F64 && lanes == 1; type++)
        if (kind_of(type) == code && yoke_array_type_size(type) * 8 == bits)
            return type;
    return YOKE_VOID;
}

/* What is wrong with it for this stream, or NULL. */
static const char *wrong_with(yoke_stream *s, const yoke_dlpack *t)
{
    const yoke_dlpack_tensor *x = &t->tensor;
    if (t->version.major != 1)
        return "its version is not 1";
    if (x->ndim < 0 || x->ndim > YOKE_DIMS)
        return "it has more than 4 dimensions";
    for (int d = 0; d < x->ndim; d++)
        if (x->shape[d] < 0)
            return "a length is negative";
    if (type_of(x->dtype.code, x->dtype.bits, x->dtype.lanes) == YOKE_VOID)
        return "its type is none of an array";
    bool host = x->device.type == YOKE_DLPACK_CPU || x->device.type == YOKE_DLPACK_CUDA_HOST;
    if (!s->dev->driver->build)
        return host ? NULL : "it is not in memory of the host";
    if (!is_cuda(s->dev) || x->device.type != YOKE_DLPACK_CUDA || x->device.id != number_of(s->dev))
        return "it is not on the stream's device";
    return NULL;
}

yoke_array *yoke_array_from_dlpack(yoke_stream *s, yoke_dlpack *t)
{
    yoke_dims shape = YOKE_NO_DIMS;
    ptrdiff_t steps[YOKE_DIMS];
    if (!s || !t || yk_device_check(s->dev) < 0)
        return NULL;
    const char *wrong = wrong_with(s, t);
    if (wrong)
        return yk_array_fail(s, EINVAL, "dlpack: %s", wrong);
    const yoke_dlpack_tensor *x = &t->tensor;
    for (int d = 0; d < x->ndim; d++)
        shape.at[shape.count++] = (ptrdiff_t)x->shape[d];
    for (int d = 0; d < x->ndim && x->strides; d++)
        steps[d] = (ptrdiff_t)x->strides[d];
    unsigned type = type_of(x->dtype.code, x->dtype.bits, x->dtype.lanes);
    char *data = (char *)x->data + x->byte_offset;
    if ((uintptr_t)data % yoke_array_type_size(type))
        return yk_array_fail(s, EINVAL, "dlpack: %p is not aligned for %s", (void *)data, yoke_array_type_name(type));
    if (s->dev->driver->build && !yk_span_of(data)) /* other memory is taken for the host's */
        return yk_array_fail(s, ENOTSUP, "dlpack: %p was not allocated here: copy it in its own library", (void *)data);
    yoke_array *a = yoke_array_over(s, type, shape, x->strides ? steps : NULL, data);
    if (a) {
        a->storage->dlpack = t;
        a->storage->read_only = t->flags & YOKE_DLPACK_READ_ONLY;
    }
    return a;
}
