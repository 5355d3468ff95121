/* opencl_stream: streams are in-order queues; events are markers in them; copies and fills.
 *
 * A queue cannot be asked whether it is empty, so stream_try() puts a marker behind what is there and asks that. In
 * an in-order queue a marker stands behind all that came before, and what comes after a barrier waits for what the
 * barrier waits for.
 *
 * clFinish() says whether it could wait, not whether each command went well: that only the command's own event tells, and a
 * driver may find out late that it has nothing to copy with. So copies from and to the host have events, which whoever waits
 * for the stream looks at (and waits for, if the driver is not done with the host's memory though it says so). A kernel that
 * dies takes its queue along, and clFinish() tells. Who waits for an event alone is told by the stream's next wait: a marker with
 * the copies in its list would know, but PoCL 3.1 never ends one behind a command that has failed. */
#include "gpu/opencl.h"
#include <stdlib.h>

/* ---- Streams ---- */

int yk_cl_stream_open(yoke_stream *s, yk_error *e)
{
    yk_cl_device *c = s->dev->native;
    int32_t code = 0;
    yk_cl_stream *q = yk_sys.calloc(1, sizeof *q);
    if (!q)
        return yk_errorf(e, -ENOMEM, "%s: no memory for a stream", s->dev->info.uri);
    q->dev = c;
    static _Atomic unsigned streams; /* of all devices */
    q->number = atomic_fetch_add_explicit(&streams, 1, memory_order_relaxed);
    q->queue = yk_cl.CreateCommandQueue(c->context, c->id, YK_CL_QUEUE_PROFILING, &code);
    if (!q->queue || code != 0) {
        free(q);
        return yk_cl_fail(e, code, "CreateCommandQueue", "%s: no stream can be opened", s->dev->info.uri);
    }
    s->native = q;
    yk_cl_enlist(q);
    return 0;
}

/* How many things are in it. */
static uint64_t sent_to(yk_cl_stream *q)
{
    return atomic_load_explicit(&q->sent, memory_order_acquire); /* pairs with the release in yk_cl_sent() */
}

/* ---- Copies from and to the host that are under way ---- */

/* More than 0: not yet; 0: well; or the code with which it failed. */
static int32_t end_of(void *event)
{
    int32_t status = 0, code = yk_cl.GetEventInfo(event, YK_CL_EVENT_STATUS, sizeof status, &status, NULL);
    return code != 0 ? code : status;
}

/* Under the lock: those that have ended are gone, and how the first failed is kept. */
static void forget_ended(yk_cl_stream *q)
{
    unsigned left = 0;
    for (unsigned i = 0; i < q->transfer_count; i++) {
        int32_t end = end_of(q->transfers[i]);
        if (end > 0) {
            q->transfers[left++] = q->transfers[i];
            continue;
        }
        q->failed = q->failed ? q->failed : end;
        yk_cl.ReleaseEvent(q->transfers[i]);
    }
    q->transfer_count = left;
}

/* Until at most so many are under way. Not under the lock while it waits, for others only ask. 0, or why it cannot wait. */
static int32_t wait_for_transfers(yk_cl_stream *q, unsigned most)
{
    int32_t code = 0;
    yk_mutex_lock(&q->lock);
    if (q->transfer_count > most)
        forget_ended(q);
    while (q->transfer_count > most && code == 0) {
        void *oldest = q->transfers[0];
        code = yk_cl.RetainEvent(oldest);
        if (code != 0)
            break;
        yk_mutex_unlock(&q->lock);
        code = yk_cl.WaitForEvents(1, &oldest);
        bool ended = end_of(oldest) <= 0; /* then the code is of the copy, if of anything */
        yk_cl.ReleaseEvent(oldest);
        yk_mutex_lock(&q->lock);
        code = ended ? 0 : code;
        forget_ended(q);
    }
    yk_mutex_unlock(&q->lock);
    return code;
}

/* Under the lock: what no wait has told yet; 0: nothing. */
static int32_t take_failed(yk_cl_stream *q)
{
    int32_t code = q->failed;
    q->failed = 0;
    return code;
}

/* event NULL: the driver gave none. There is room. */
static void note_transfer(yk_cl_stream *q, void *event)
{
    if (!event)
        return;
    yk_mutex_lock(&q->lock);
    q->transfers[q->transfer_count++] = event;
    yk_mutex_unlock(&q->lock);
}

/* ---- Waits ---- */

static void forget_marker(yk_cl_stream *q)
{
    if (q->marker)
        yk_cl.ReleaseEvent(q->marker);
    q->marker = NULL;
}

void yk_cl_stream_close(yoke_stream *s)
{
    yk_cl_stream *q = s->native;
    yk_cl_delist(q);
    yk_cl.Finish(q->queue); /* it has been waited for, but who waited may have been told of an error instead */
    forget_marker(q);
    while (q->transfer_count > 0)
        yk_cl.ReleaseEvent(q->transfers[--q->transfer_count]);
    yk_cl.ReleaseCommandQueue(q->queue);
    free(q);
    s->native = NULL;
}

int yk_cl_stream_wait(yoke_stream *s, yk_error *e)
{
    yk_cl_stream *q = s->native;
    uint64_t sent = sent_to(q);
    int32_t code = yk_cl.Finish(q->queue);
    if (code != 0)
        return yk_cl_wait_fail(e, code, "Finish", s->dev);
    code = wait_for_transfers(q, 0);
    yk_mutex_lock(&q->lock);
    code = code ? code : take_failed(q);
    q->done = code ? q->done : YK_MAX(q->done, sent);
    yk_mutex_unlock(&q->lock);
    return code == 0 ? 0 : yk_cl_wait_fail(e, code, "WaitForEvents", s->dev);
}

/* 0 when the command behind the event is done, -EAGAIN, or the error with which it failed. */
static int look_at_event(const yoke_device *d, void *event, yk_error *e)
{
    int32_t end = end_of(event);
    return end == 0 ? 0 : end > 0 ? -EAGAIN : yk_cl_wait_fail(e, end, "GetEventInfo", d);
}

/* Under the stream's lock. A question under way is asked to its end before the next is put, so that who polls a
 * stream that is being filled does not add a marker each time; what has come since is asked about in the same call.
 */
static int look_at_stream(yoke_stream *s, uint64_t sent, yk_error *e)
{
    yk_cl_stream *q = s->native;
    while (q->done < sent) {
        if (!q->marker) {
            void *marker = NULL;
            int32_t code = yk_cl.EnqueueMarkerWithWaitList(q->queue, 0, NULL, &marker);
            if (code != 0)
                return yk_cl_wait_fail(e, code, "EnqueueMarkerWithWaitList", s->dev);
            yk_cl.Flush(q->queue);
            q->marker = marker;
            q->asked = sent;
        }
        int err = look_at_event(s->dev, q->marker, e);
        if (err == -EAGAIN)
            return err;
        forget_marker(q);
        if (err < 0)
            return err;
        q->done = YK_MAX(q->done, q->asked);
    }
    forget_ended(q);
    int32_t code = take_failed(q);
    return code ? yk_cl_wait_fail(e, code, "GetEventInfo", s->dev) : q->transfer_count > 0 ? -EAGAIN : 0;
}

int yk_cl_stream_try(yoke_stream *s, yk_error *e)
{
    yk_cl_stream *q = s->native;
    uint64_t sent = sent_to(q);
    yk_mutex_lock(&q->lock);
    int err = look_at_stream(s, sent, e);
    yk_mutex_unlock(&q->lock);
    return err;
}

/* ---- Events ---- */

/* An event's native. marker: under lock, for a stream may wait for the event while another thread marks it again.
 */
typedef struct event {
    yk_mutex lock;
    void *marker;
} event;

int yk_cl_event_open(yoke_stream_event *v, yk_error *e)
{
    v->native = yk_sys.calloc(1, sizeof(event));
    return v->native ? 0 : yk_errorf(e, -ENOMEM, "%s: no memory for an event", v->dev->info.uri);
}

static void set_marker(event *at, void *marker)
{
    yk_mutex_lock(&at->lock);
    void *before = at->marker;
    at->marker = marker;
    yk_mutex_unlock(&at->lock);
    if (before)
        yk_cl.ReleaseEvent(before);
}

/* The marker as it is now, to be released; NULL when there is none. */
static int hold_marker(yoke_stream_event *v, void **ret, yk_error *e)
{
    event *at = v->native;
    yk_mutex_lock(&at->lock);
    void *marker = at->marker;
    int32_t code = marker ? yk_cl.RetainEvent(marker) : 0;
    yk_mutex_unlock(&at->lock);
    if (code != 0)
        return yk_cl_fail(e, code, "RetainEvent", "%s: an event cannot be had", v->dev->info.uri);
    *ret = marker;
    return 0;
}

void yk_cl_event_close(yoke_stream_event *v)
{
    set_marker(v->native, NULL);
    free(v->native);
    v->native = NULL;
}

/* May be called while the stream is used by another thread. The flush lets another queue wait for the marker. */
int yk_cl_event_mark(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    yk_cl_stream *q = s->native;
    void *marker = NULL;
    int32_t code = yk_cl.EnqueueMarkerWithWaitList(q->queue, 0, NULL, &marker);
    if (code != 0)
        return yk_cl_fail(e, code, "EnqueueMarkerWithWaitList", "%s: an event cannot be put in a stream",
                          s->dev->info.uri);
    code = yk_cl.Flush(q->queue);
    if (code != 0) {
        yk_cl.ReleaseEvent(marker);
        return yk_cl_fail(e, code, "Flush", "%s: an event cannot be put in a stream", s->dev->info.uri);
    }
    set_marker(v->native, marker);
    return 0;
}

int yk_cl_event_after(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    yk_cl_stream *q = s->native;
    void *marker = NULL;
    int err = hold_marker(v, &marker, e);
    if (err < 0 || !marker)
        return err;
    int32_t code = yk_cl.EnqueueBarrierWithWaitList(q->queue, 1, &marker, NULL);
    yk_cl.ReleaseEvent(marker);
    if (code != 0)
        return yk_cl_fail(e, code, "EnqueueBarrierWithWaitList", "%s: a stream cannot wait for an event",
                          s->dev->info.uri);
    yk_cl_sent(q);
    return 0;
}

int yk_cl_event_wait(yoke_stream_event *v, yk_error *e)
{
    void *marker = NULL;
    int err = hold_marker(v, &marker, e);
    if (err < 0 || !marker)
        return err;
    int32_t code = yk_cl.WaitForEvents(1, &marker);
    yk_cl.ReleaseEvent(marker);
    return code == 0 ? 0 : yk_cl_wait_fail(e, code, "WaitForEvents", v->dev);
}

int yk_cl_event_try(yoke_stream_event *v, yk_error *e)
{
    void *marker = NULL;
    int err = hold_marker(v, &marker, e);
    if (err < 0 || !marker)
        return err;
    err = look_at_event(v->dev, marker, e);
    yk_cl.ReleaseEvent(marker);
    return err;
}

/* When the stream came past, in ns of the device's clock. */
static int time_of(yoke_stream_event *v, uint64_t *ret, yk_error *e)
{
    void *marker = NULL;
    int err = hold_marker(v, &marker, e);
    if (err < 0)
        return err;
    if (!marker)
        return yk_errorf(e, -EINVAL, "%s: an event that was never put in a stream has no time", v->dev->info.uri);
    int32_t code = yk_cl.WaitForEvents(1, &marker);
    if (code != 0) {
        err = yk_cl_wait_fail(e, code, "WaitForEvents", v->dev);
    } else {
        code = yk_cl.GetEventProfilingInfo(marker, YK_CL_PROFILING_END, sizeof *ret, ret, NULL);
        if (code != 0)
            err = yk_cl_fail(e, code, "GetEventProfilingInfo", "%s: the time of an event is not known", v->dev->info.uri);
    }
    yk_cl.ReleaseEvent(marker);
    return err;
}

int yk_cl_event_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret, yk_error *e)
{
    uint64_t begin = 0, end = 0;
    int err = time_of(from, &begin, e);
    if (err == 0)
        err = time_of(to, &end, e);
    if (err == 0)
        *ret = (int64_t)(end - begin);
    return err;
}

/* ---- Copies ---- */

static size_t offset_in(const yk_span *span, const void *p)
{
    return (size_t)((const char *)p - span->base);
}

/* From host to host, in the order of the stream: the queue has no such copy, so this waits for it. */
static int copy_on_host(yoke_stream *s, void *dst, const void *src, size_t size, yk_error *e)
{
    int err = yk_cl_stream_wait(s, e);
    if (err == 0)
        memmove(dst, src, size);
    return err;
}

int yk_cl_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size,
               yk_error *e)
{
    yk_cl_stream *q = s->native;
    const char *call;
    void *end = NULL;
    int32_t code;
    if (!to && !from)
        return copy_on_host(s, dst, src, size, e);
    if ((!to || !from) && (code = wait_for_transfers(q, YK_CL_TRANSFERS - 1)) != 0)
        return yk_cl_wait_fail(e, code, "WaitForEvents", s->dev);
    if (to && from) {
        call = "EnqueueCopyBuffer";
        code = yk_cl.EnqueueCopyBuffer(q->queue, from->native, to->native, offset_in(from, src), offset_in(to, dst),
                                       size, 0, NULL, NULL);
    } else if (to) {
        call = "EnqueueWriteBuffer";
        code = yk_cl.EnqueueWriteBuffer(q->queue, to->native, 0, offset_in(to, dst), size, src, 0, NULL, &end);
    } else {
        call = "EnqueueReadBuffer";
        code = yk_cl.EnqueueReadBuffer(q->queue, from->native, 0, offset_in(from, src), size, dst, 0, NULL, &end);
    }
    if (code != 0)
        return yk_cl_fail(e, code, call, "%s: %zu bytes cannot be copied", s->dev->info.uri, size);
    note_transfer(q, end);
    yk_cl_sent(q);
    return 0;
}

/* ---- Fills ---- */

/* One piece: at and bytes are multiples of value_size. */
static int fill_piece(yoke_stream *s, const yk_span *to, const void *value, size_t value_size, size_t at,
                      size_t bytes, yk_error *e)
{
    yk_cl_stream *q = s->native;
    if (bytes == 0)
        return 0;
    int32_t code = yk_cl.EnqueueFillBuffer(q->queue, to->native, value, value_size, at, bytes, 0, NULL, NULL);
    if (code != 0)
        return yk_cl_fail(e, code, "EnqueueFillBuffer", "%s: %zu bytes cannot be filled", s->dev->info.uri, bytes);
    yk_cl_sent(q);
    return 0;
}

/* OpenCL fills from multiples of the value's size on. From elsewhere: bytes up to the next multiple, the value
 * turned by as much, and bytes at the end. */
static int fill_unaligned(yoke_stream *s, const yk_span *to, size_t at, const char *value, size_t size,
                          size_t count, yk_error *e)
{
    char turned[16];
    size_t past = at % size, head = size - past;
    int err = 0;
    for (size_t i = 0; i < head && err == 0; i++)
        err = fill_piece(s, to, value + i, 1, at + i, 1, e);
    for (size_t i = 0; i < size; i++)
        turned[i] = value[(head + i) % size];
    if (err == 0)
        err = fill_piece(s, to, turned, size, at + head, (count - 1) * size, e);
    size_t end = at + head + (count - 1) * size;
    for (size_t i = 0; i < past && err == 0; i++)
        err = fill_piece(s, to, value + head + i, 1, end + i, 1, e);
    return err;
}

int yk_cl_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count,
               yk_error *e)
{
    size_t at = offset_in(to, dst);
    if (at % size == 0)
        return fill_piece(s, to, value, size, at, count * size, e);
    return fill_unaligned(s, to, at, value, size, count, e);
}
