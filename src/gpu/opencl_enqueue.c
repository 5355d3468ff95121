/* opencl_enqueue: kernels into queues; and what PoCL needs there that has the mistake in its cache of loaded kernels (before 7.0,
 * commit c9ac4c0).
 *
 * That PoCL keeps a kernel as code for at most so many work-items in a row (ADR 20). A launch that is wider gets code of its
 * own when its turn comes, at the head of a list of the whole process; when a launch ends, PoCL gives back the first in the
 * list that has the same program, name and group size, and ends the process when that is not in use. So launches of one kernel
 * must not be under way with code from before and code from behind such a change. One that is wider than all before it stands
 * behind what has been put in the other streams that it was launched in; those that follow stand behind it, and find its code
 * at the head. */
#include "gpu/opencl.h"
#include <stdlib.h>

enum { MARKERS = 64 };

/* Of devices with that mistake: all streams, and all kernels by their programs. */
static struct {
    yk_mutex lock;
    yk_cl_stream *streams;
    yk_cl_widths *kernels;
} listed;

/* How wide a kernel has been launched, by the group sizes that were used last. */
struct yk_cl_widths {
    yk_cl_widths *next;
    uint64_t program;
    unsigned users; /* under the list's lock */

    yk_mutex lock;  /* of what follows */
    struct {
        size_t group[3], most;
    } of[2];
    unsigned turn;    /* which of them is given up next */
    uint64_t streams; /* bits of those that it has been put in since it was made wider */
    void *widest;     /* the event of the launch that made it wider; NULL: that has ended */
    const yk_cl_stream *widest_in;
    const void *widest_context;
    char name[];
};

/* ---- Streams and kernels ---- */

void yk_cl_enlist(yk_cl_stream *q)
{
    if (!q->dev->has_width_bug)
        return;
    yk_mutex_lock(&listed.lock);
    q->next = listed.streams;
    listed.streams = q;
    yk_mutex_unlock(&listed.lock);
}

void yk_cl_delist(yk_cl_stream *q)
{
    if (!q->dev->has_width_bug)
        return;
    yk_mutex_lock(&listed.lock);
    yk_cl_stream **at = &listed.streams;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    yk_mutex_unlock(&listed.lock);
}

uint64_t yk_cl_program_hash(const char *text, const char *options)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (const char *parts[] = {text, options}, **p = parts; p < parts + 2; p++)
        for (const char *c = *p;; c++) {
            h = (h ^ (unsigned char)*c) * 0x100000001b3;
            if (!*c)
                break;
        }
    return h;
}

yk_cl_widths *yk_cl_widths_get(uint64_t program, const char *name)
{
    yk_mutex_lock(&listed.lock);
    yk_cl_widths *w = listed.kernels;
    while (w && (w->program != program || strcmp(w->name, name) != 0))
        w = w->next;
    if (!w && (w = yk_sys.calloc(1, sizeof *w + strlen(name) + 1))) {
        w->program = program;
        memcpy(w->name, name, strlen(name));
        w->next = listed.kernels;
        listed.kernels = w;
    }
    if (w)
        w->users++;
    yk_mutex_unlock(&listed.lock);
    return w;
}

static void forget_widest(yk_cl_widths *w)
{
    if (w->widest)
        yk_cl.ReleaseEvent(w->widest);
    w->widest = NULL;
}

void yk_cl_widths_release(yk_cl_widths *w)
{
    if (!w)
        return;
    yk_mutex_lock(&listed.lock);
    bool last = --w->users == 0;
    yk_cl_widths **at = &listed.kernels;
    while (last && *at != w)
        at = &(*at)->next;
    if (last)
        *at = w->next;
    yk_mutex_unlock(&listed.lock);
    if (!last)
        return;
    forget_widest(w);
    free(w);
}

/* ---- Launches ---- */

/* Where the most is kept that it has been launched with in groups of this size; 0 when that is not known. */
static size_t *most_of(yk_cl_widths *w, const size_t group[3])
{
    for (unsigned i = 0; i < YK_COUNT_OF(w->of); i++)
        if (memcmp(w->of[i].group, group, sizeof w->of[i].group) == 0)
            return &w->of[i].most;
    unsigned i = w->turn;
    w->turn = (i + 1) % YK_COUNT_OF(w->of);
    memcpy(w->of[i].group, group, sizeof w->of[i].group);
    w->of[i].most = 0;
    return &w->of[i].most;
}

static uint64_t bit_of(const yk_cl_stream *q)
{
    return (uint64_t)1 << q->number % 64;
}

/* What comes next in q stands behind the event. Events are a context's: for one of another the host waits, however that ends. */
static int32_t stand_behind(yk_cl_stream *q, void *event, const void *context)
{
    if (q->dev->context == context)
        return yk_cl.EnqueueBarrierWithWaitList(q->queue, 1, &event, NULL);
    yk_cl.WaitForEvents(1, &event);
    return 0;
}

/* An event behind what is in q now. */
static int32_t put_marker(yk_cl_stream *q, void **ret)
{
    int32_t code = yk_cl.EnqueueMarkerWithWaitList(q->queue, 0, NULL, ret);
    if (code == 0)
        yk_cl.Flush(q->queue);
    return code;
}

/* Bit by bit, of which few streams share one. The list is not held while the host waits. */
static int32_t stand_behind_all(yk_cl_stream *q, const yk_cl_widths *w)
{
    int32_t code = 0;
    for (uint64_t left = w->streams; left && code == 0; left &= left - 1) {
        void *markers[MARKERS];
        const void *contexts[MARKERS];
        unsigned n = 0;
        yk_mutex_lock(&listed.lock);
        for (yk_cl_stream *other = listed.streams; other && code == 0 && n < MARKERS; other = other->next)
            if (other != q && bit_of(other) == (left & -left) && (code = put_marker(other, &markers[n])) == 0)
                contexts[n++] = other->dev->context;
        yk_mutex_unlock(&listed.lock);
        for (unsigned i = 0; i < n; i++) {
            code = code == 0 ? stand_behind(q, markers[i], contexts[i]) : code;
            yk_cl.ReleaseEvent(markers[i]);
        }
    }
    return code;
}

static int32_t stand_behind_widest(yk_cl_stream *q, yk_cl_widths *w)
{
    int32_t status = 0;
    if (!w->widest || w->widest_in == q)
        return 0;
    if (yk_cl.GetEventInfo(w->widest, YK_CL_EVENT_STATUS, sizeof status, &status, NULL) == 0 && status > 0)
        return stand_behind(q, w->widest, w->widest_context);
    forget_widest(w);
    return 0;
}

int32_t yk_cl_enqueue(yk_cl_stream *q, yk_cl_widths *w, void *kernel, uint32_t dims, const size_t global[3],
                      const size_t group[3])
{
    if (!w)
        return yk_cl.EnqueueNDRangeKernel(q->queue, kernel, dims, NULL, global, group, 0, NULL, NULL);
    const size_t wide = YK_MAX(YK_MAX(global[0], global[1]), group[2] * group[2]); /* as PoCL has it */
    void *event = NULL;
    yk_mutex_lock(&w->lock);
    size_t *most = most_of(w, group);
    const bool wider = wide > *most;
    int32_t code = wider ? stand_behind_all(q, w) : stand_behind_widest(q, w);
    if (code == 0)
        code = yk_cl.EnqueueNDRangeKernel(q->queue, kernel, dims, NULL, global, group, 0, NULL, wider ? &event : NULL);
    if (code == 0) {
        w->streams = (wider ? 0 : w->streams) | bit_of(q);
        *most = YK_MAX(*most, wide);
    }
    if (event) {
        forget_widest(w);
        w->widest = event;
        w->widest_in = q;
        w->widest_context = q->dev->context;
    }
    yk_mutex_unlock(&w->lock);
    return code;
}
