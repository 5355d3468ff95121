/* cuda_fill: filling memory of a CUDA device. The driver sets bytes, words of 2 and of 4; for what repeats only after 8
 * or 16 bytes there are two kernels, as text of the driver's own language, PTX, so that no compiler is needed: element
 * i of n, by threads that step over the whole grid. */
#include "gpu/cuda.h"

enum { GROUP = 256, GROUPS_MOST = 4096 };

/* value is passed in words of 4. k counts elements, a = dst + k * size. */
#define FILL_TEXT(name, parameters, loads, shift, store)                                                               \
    ".visible .entry " name "(.param .u64 dst, .param .u64 count, " parameters ")\n"                                   \
    "{\n"                                                                                                              \
    ".reg .pred %done;\n"                                                                                              \
    ".reg .b32 %v<4>, %group, %size, %thread, %groups;\n"                                                              \
    ".reg .b64 %a, %k, %n, %step, %offset, %dst, %index;\n"                                                            \
    "ld.param.u64 %dst, [dst];\n"                                                                                      \
    "cvta.to.global.u64 %dst, %dst;\n"                                                                                 \
    "ld.param.u64 %n, [count];\n" loads                                                                                \
    "mov.u32 %group, %ctaid.x;\n"                                                                                      \
    "mov.u32 %size, %ntid.x;\n"                                                                                        \
    "mov.u32 %thread, %tid.x;\n"                                                                                       \
    "mov.u32 %groups, %nctaid.x;\n"                                                                                    \
    "mul.wide.u32 %k, %group, %size;\n"                                                                                \
    "cvt.u64.u32 %index, %thread;\n"                                                                                   \
    "add.u64 %k, %k, %index;\n"                                                                                        \
    "mul.wide.u32 %step, %groups, %size;\n"                                                                            \
    "again:\n"                                                                                                         \
    "setp.ge.u64 %done, %k, %n;\n"                                                                                     \
    "@%done bra end;\n"                                                                                                \
    "shl.b64 %offset, %k, " shift ";\n"                                                                                \
    "add.u64 %a, %dst, %offset;\n" store                                                                               \
    "add.u64 %k, %k, %step;\n"                                                                                         \
    "bra again;\n"                                                                                                     \
    "end:\n"                                                                                                           \
    "ret;\n"                                                                                                           \
    "}\n"

#define LOAD(v) "ld.param.u32 %" v ", [" v "];\n"
static const char fill_text[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    FILL_TEXT("yk_fill8", ".param .u32 v0, .param .u32 v1", LOAD("v0") LOAD("v1"), "3", "st.global.v2.b32 [%a], {%v0, %v1};\n")
    FILL_TEXT("yk_fill16", ".param .u32 v0, .param .u32 v1, .param .u32 v2, .param .u32 v3",
              LOAD("v0") LOAD("v1") LOAD("v2") LOAD("v3"), "4", "st.global.v4.b32 [%a], {%v0, %v1, %v2, %v3};\n");

/* The device's lock is held. */
static int load_kernels(yk_cuda_device *c, yk_error *e)
{
    struct yk_cu_module *m = NULL;
    int result = yk_cuda_module(fill_text, &m, NULL);
    if (result != YK_CUDA_OK)
        return yk_cuda_fail(e, result, "cuModuleLoadDataEx", "loading the kernels that fill");
    result = yk_cuda.cuModuleGetFunction(&c->fill[0], m, "yk_fill8");
    if (result == YK_CUDA_OK)
        result = yk_cuda.cuModuleGetFunction(&c->fill[1], m, "yk_fill16");
    if (result != YK_CUDA_OK) {
        yk_cuda.cuModuleUnload(m);
        return yk_cuda_fail(e, result, "cuModuleGetFunction", "loading the kernels that fill");
    }
    c->fill_module = m;
    return 0;
}

void yk_cuda_fill_done(yk_cuda_device *c)
{
    if (c->fill_module)
        yk_cuda.cuModuleUnload(c->fill_module);
    c->fill_module = NULL;
}

static int fill_wide(const yoke_stream *s, yk_cu_address dst, uint32_t words[4], size_t size, size_t count, yk_error *e)
{
    yk_cuda_device *c = s->dev->native;
    yk_mutex_lock(&c->lock);
    int err = c->fill_module ? 0 : load_kernels(c, e);
    yk_mutex_unlock(&c->lock);
    if (err < 0)
        return err;
    uint64_t n = count;
    void *arguments[] = {&dst, &n, &words[0], &words[1], &words[2], &words[3]};
    unsigned groups = (unsigned)YK_MIN((count + GROUP - 1) / GROUP, (size_t)GROUPS_MOST);
    int result = yk_cuda.cuLaunchKernel(c->fill[size == 16], groups, 1, 1, GROUP, 1, 1, 0,
                                        ((const yk_cuda_stream *)s->native)->stream, arguments, NULL);
    return result == YK_CUDA_OK ? 0
                                : yk_cuda_fail(e, result, "cuLaunchKernel", "filling %zu times %zu bytes", count, size);
}

/* After how many bytes the value repeats: 1, 2, 4, 8 or 16. */
static size_t period_of(const unsigned char *value, size_t size)
{
    for (; size > 1; size /= 2)
        if (memcmp(value, value + size / 2, size / 2) != 0)
            return size;
    return 1;
}

int yk_cuda_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count, yk_error *e)
{
    struct yk_cu_stream *stream = ((const yk_cuda_stream *)s->native)->stream;
    yk_cu_address at = (uintptr_t)dst;
    size_t period = period_of(value, size);
    uint32_t words[4] = {0};
    int err = yk_cuda_enter_for(s->dev, "filling", e), result;
    if (err < 0)
        return err;
    if (at % period)
        return yk_errorf(e, EINVAL,
                         "cuda: filling with elements of %zu bytes at an address that is not a multiple of %zu", size,
                         period);
    memcpy(words, value, period);
    count *= size / period;
    const char *call;
    switch (period) {
    case 1:
        call = "cuMemsetD8Async";
        result = yk_cuda.cuMemsetD8Async(at, (unsigned char)words[0], count, stream);
        break;
    case 2:
        call = "cuMemsetD16Async";
        result = yk_cuda.cuMemsetD16Async(at, (unsigned short)words[0], count, stream);
        break;
    case 4:
        call = "cuMemsetD32Async";
        result = yk_cuda.cuMemsetD32Async(at, words[0], count, stream);
        break;
    default:
        return fill_wide(s, at, words, period, count, e);
    }
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, call, "filling %zu times %zu bytes", count, period);
}
