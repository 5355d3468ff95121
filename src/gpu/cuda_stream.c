/* cuda_stream: memory, streams, events and copies of a CUDA device. A stream is a CUstream that does not wait for the
 * legacy one, with an event to sleep on. A wait asks without a pause for a short while, since most that is waited for is nearly
 * done, then with pauses, and at last blocks in the kernel, whatever way of waiting the context was made with. */
#include "gpu/cuda.h"
#include "sync/wait.h"
#include <stdlib.h>
#include <time.h>

enum { STREAM_NON_BLOCKING = 1, EVENT_BLOCKING_SYNC = 1, EVENT_DISABLE_TIMING = 2, HOST_PORTABLE = 1 };
#define SPIN_NS 30000
/* The kernel wakes a virtual machine late: one with an H200 60 us after the end of 0.25 ms of work, 240 us after that of 15 ms.
 * Naps are late by half of one, and take some hundredths of a CPU; once they have lasted this long, 240 us are a hundredth. */
#define NAPS_NS 25000000
enum { NAP_SHARE = 32, NAP_LEAST_NS = 20000, NAP_MOST_NS = 100000 }; /* a nap is so small a share of what has been waited */

static yk_cu_address address(const void *p)
{
    return (uintptr_t)p;
}

/* ---- Memory ---- */

int yk_cuda_take(yoke_device *d, yk_span *span, yk_error *e)
{
    yk_cu_address base = 0;
    int err = yk_cuda_enter_for(d, "taking memory", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuMemAlloc(&base, span->size);
    if (result != YK_CUDA_OK)
        return yk_cuda_fail(e, result, "cuMemAlloc", "taking %zu bytes of the device", span->size);
    span->base = (char *)(uintptr_t)base;
    span->native = NULL;
    return 0;
}

void yk_cuda_give(yoke_device *d, yk_span *span)
{
    if (yk_cuda_enter(d) == YK_CUDA_OK) /* else the context is gone, and its memory with it */
        yk_cuda.cuMemFree(address(span->base));
}

int yk_cuda_pin(yoke_device *d, size_t size, void **ret, yk_error *e)
{
    void *memory = NULL;
    int err = yk_cuda_enter_for(d, "taking page-locked memory", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuMemHostAlloc(&memory, size, HOST_PORTABLE);
    if (result != YK_CUDA_OK)
        return yk_cuda_fail(e, result, "cuMemHostAlloc", "taking %zu bytes of page-locked memory", size);
    *ret = memory;
    return 0;
}

void yk_cuda_unpin(yoke_device *d, void *memory)
{
    if (yk_cuda_enter(d) == YK_CUDA_OK)
        yk_cuda.cuMemFreeHost(memory);
}

/* ---- Streams ---- */

int yk_cuda_stream_open(yoke_stream *s, yk_error *e)
{
    int err = yk_cuda_enter_for(s->dev, "opening a stream", e);
    if (err < 0)
        return err;
    yk_cuda_stream *c = yk_sys.calloc(1, sizeof *c);
    if (!c)
        return yk_errorf(e, ENOMEM, "cuda: no memory to open a stream");
    int result = yk_cuda.cuStreamCreate(&c->stream, STREAM_NON_BLOCKING);
    if (result != YK_CUDA_OK) {
        err = yk_cuda_fail(e, result, "cuStreamCreate", "opening a stream");
        goto fail_free;
    }
    result = yk_cuda.cuEventCreate(&c->pause, EVENT_BLOCKING_SYNC | EVENT_DISABLE_TIMING);
    if (result != YK_CUDA_OK) {
        err = yk_cuda_fail(e, result, "cuEventCreate", "opening a stream");
        goto fail_stream;
    }
    s->native = c;
    return 0;
fail_stream:
    yk_cuda.cuStreamDestroy(c->stream);
fail_free:
    free(c);
    return err;
}

void yk_cuda_stream_close(yoke_stream *s)
{
    yk_cuda_stream *c = s->native;
    if (!c)
        return;
    if (yk_cuda_enter(s->dev) == YK_CUDA_OK) {
        yk_cuda.cuEventDestroy(c->pause);
        yk_cuda.cuStreamDestroy(c->stream);
    }
    free(c);
    s->native = NULL;
}

/* Asks, naps and asks again until it is done, has failed, or takes too long to go on so. */
static int event_nap(struct yk_cu_event *v)
{
    const int64_t begin = yoke_now();
    int64_t waited = 0;
    int result;
    while ((result = yk_cuda.cuEventQuery(v)) == YK_CUDA_NOT_READY && waited < NAPS_NS) {
        const int64_t nap = YK_MIN(YK_MAX(waited / NAP_SHARE, (int64_t)NAP_LEAST_NS), (int64_t)NAP_MOST_NS);
        nanosleep(&(struct timespec){.tv_nsec = nap}, NULL); /* a signal ends it early, and does no harm */
        waited = yoke_now() - begin;
    }
    return result;
}

/* A worker of a pool lends its place meanwhile. *call: the driver's call that the result is of. */
static int sleep_on(struct yk_cu_event *v, const char **call)
{
    yk_blocking *b = yk_block_begin();
    *call = "cuEventQuery";
    int result = event_nap(v);
    if (result == YK_CUDA_NOT_READY) {
        *call = "cuEventSynchronize";
        result = yk_cuda.cuEventSynchronize(v);
    }
    yk_block_end(b);
    return result;
}

/* Asks until it is done, has failed, or takes too long to go on asking. */
static int stream_spin(struct yk_cu_stream *s)
{
    int result;
    for (int64_t end = yoke_now() + SPIN_NS;
         (result = yk_cuda.cuStreamQuery(s)) == YK_CUDA_NOT_READY && yoke_now() < end;)
        yk_pause();
    return result;
}

int yk_cuda_stream_wait(yoke_stream *s, yk_error *e)
{
    const yk_cuda_stream *c = s->native;
    int err = yk_cuda_enter_for(s->dev, "waiting for a stream", e);
    if (err < 0)
        return err;
    const char *call = "cuStreamQuery";
    int result = stream_spin(c->stream);
    if (result == YK_CUDA_NOT_READY) {
        call = "cuEventRecord";
        result = yk_cuda.cuEventRecord(c->pause, c->stream);
        if (result == YK_CUDA_OK)
            result = sleep_on(c->pause, &call);
    }
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, call, "waiting for a stream");
}

int yk_cuda_stream_try(yoke_stream *s, yk_error *e)
{
    const yk_cuda_stream *c = s->native;
    int err = yk_cuda_enter_for(s->dev, "looking at a stream", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuStreamQuery(c->stream);
    if (result == YK_CUDA_OK || result == YK_CUDA_NOT_READY)
        return result == YK_CUDA_OK ? 0 : -EAGAIN;
    return yk_cuda_fail(e, result, "cuStreamQuery", "looking at a stream");
}

/* ---- Events: native is the CUevent ---- */

int yk_cuda_event_open(yoke_stream_event *v, yk_error *e)
{
    struct yk_cu_event *event = NULL;
    int err = yk_cuda_enter_for(v->dev, "opening an event", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuEventCreate(&event, EVENT_BLOCKING_SYNC);
    if (result != YK_CUDA_OK)
        return yk_cuda_fail(e, result, "cuEventCreate", "opening an event");
    v->native = event;
    return 0;
}

void yk_cuda_event_close(yoke_stream_event *v)
{
    if (v->native && yk_cuda_enter(v->dev) == YK_CUDA_OK)
        yk_cuda.cuEventDestroy(v->native);
    v->native = NULL;
}

int yk_cuda_event_mark(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    const yk_cuda_stream *c = s->native;
    int err = yk_cuda_enter_for(s->dev, "marking a stream", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuEventRecord(v->native, c->stream);
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, "cuEventRecord", "marking a stream");
}

int yk_cuda_event_after(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    const yk_cuda_stream *c = s->native;
    int err = yk_cuda_enter_for(s->dev, "making a stream wait for an event", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuStreamWaitEvent(c->stream, v->native, 0);
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, "cuStreamWaitEvent", "making a stream wait for an event");
}

static int event_sync(const yoke_stream_event *v, yk_error *e)
{
    int result;
    const char *call = "cuEventQuery";
    for (int64_t end = yoke_now() + SPIN_NS;
         (result = yk_cuda.cuEventQuery(v->native)) == YK_CUDA_NOT_READY && yoke_now() < end;)
        yk_pause();
    if (result == YK_CUDA_NOT_READY)
        result = sleep_on(v->native, &call);
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, call, "waiting for an event");
}

int yk_cuda_event_wait(yoke_stream_event *v, yk_error *e)
{
    int err = yk_cuda_enter_for(v->dev, "waiting for an event", e);
    return err < 0 ? err : event_sync(v, e);
}

int yk_cuda_event_try(yoke_stream_event *v, yk_error *e)
{
    int err = yk_cuda_enter_for(v->dev, "looking at an event", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuEventQuery(v->native);
    if (result == YK_CUDA_OK || result == YK_CUDA_NOT_READY)
        return result == YK_CUDA_OK ? 0 : -EAGAIN;
    return yk_cuda_fail(e, result, "cuEventQuery", "looking at an event");
}

int yk_cuda_event_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret, yk_error *e)
{
    float ms = 0;
    int err = yk_cuda_enter_for(from->dev, "measuring between events", e);
    if (err == 0)
        err = event_sync(from, e);
    if (err == 0)
        err = event_sync(to, e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuEventElapsedTime(&ms, from->native, to->native);
    if (result != YK_CUDA_OK)
        return yk_cuda_fail(e, result, "cuEventElapsedTime", "measuring between events");
    *ret = (int64_t)((double)ms * 1e6);
    return 0;
}

/* ---- Copies ---- */

int yk_cuda_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size,
                 yk_error *e)
{
    struct yk_cu_stream *stream = ((const yk_cuda_stream *)s->native)->stream;
    int err = yk_cuda_enter_for(s->dev, "copying", e), result;
    const char *call;
    if (err < 0)
        return err;
    if (to && from) {
        call = "cuMemcpyDtoDAsync";
        result = yk_cuda.cuMemcpyDtoDAsync(address(dst), address(src), size, stream);
    } else if (to) {
        call = "cuMemcpyHtoDAsync";
        result = yk_cuda.cuMemcpyHtoDAsync(address(dst), src, size, stream);
    } else if (from) {
        call = "cuMemcpyDtoHAsync";
        result = yk_cuda.cuMemcpyDtoHAsync(dst, address(src), size, stream);
    } else {
        call = "cuMemcpyAsync";
        result = yk_cuda.cuMemcpyAsync(address(dst), address(src), size, stream);
    }
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, call, "copying %zu bytes", size);
}
