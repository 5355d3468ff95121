/* opencl_enqueue: kernels into queues; and what PoCL needs there that has the mistake in its cache of loaded kernels (before 7.0,
 * commit c9ac4c0).
 *
 * That PoCL keeps a kernel as code for at most so many work-items in a row. A launch that is wider gets code of its own, at the
 * head of a list of the whole process; when a launch ends, PoCL gives back the first in the list that has the same program, name
 * and group size, and ends the process when that is not in use. So launches of one kernel must not be under way with code from
 * before and code from behind such a change. One that is wider than all before it waits until they are done, wherever they are;
 * those that follow wait until it has begun, and then find its code at the head of the list. */
#include "gpu/opencl.h"
#include <sched.h>
#include <stdlib.h>

/* Of devices with that mistake: all streams, and all kernels by their programs. */
static struct {
    yk_mutex lock;
    yk_cl_stream *streams;
    yk_cl_widths *kernels;
} careful;

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
    void *first;      /* the event of the launch that made it wider; NULL: it has begun */
    yk_cl_stream *first_in;
    char name[];
};

/* ---- Streams and kernels ---- */

void yk_cl_careful_add(yk_cl_stream *q)
{
    if (!q->dev->careful)
        return;
    yk_mutex_lock(&careful.lock);
    q->next = careful.streams;
    careful.streams = q;
    yk_mutex_unlock(&careful.lock);
}

void yk_cl_careful_remove(yk_cl_stream *q)
{
    if (!q->dev->careful)
        return;
    yk_mutex_lock(&careful.lock);
    yk_cl_stream **at = &careful.streams;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    yk_mutex_unlock(&careful.lock);
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
    yk_mutex_lock(&careful.lock);
    yk_cl_widths *w = careful.kernels;
    while (w && (w->program != program || strcmp(w->name, name) != 0))
        w = w->next;
    if (!w && (w = yk_sys.calloc(1, sizeof *w + strlen(name) + 1))) {
        w->program = program;
        memcpy(w->name, name, strlen(name));
        w->next = careful.kernels;
        careful.kernels = w;
    }
    if (w)
        w->users++;
    yk_mutex_unlock(&careful.lock);
    return w;
}

void yk_cl_widths_release(yk_cl_widths *w)
{
    if (!w)
        return;
    yk_mutex_lock(&careful.lock);
    bool last = --w->users == 0;
    yk_cl_widths **at = &careful.kernels;
    while (last && *at != w)
        at = &(*at)->next;
    if (last)
        *at = w->next;
    yk_mutex_unlock(&careful.lock);
    if (!last)
        return;
    if (w->first)
        yk_cl.ReleaseEvent(w->first);
    free(w);
}

/* ---- Launches ---- */

static bool is_widest(yk_cl_widths *w, const size_t global[3], const size_t group[3])
{
    size_t wide = YK_MAX(YK_MAX(global[0], global[1]), group[2] * group[2]); /* as PoCL has it */
    for (unsigned i = 0; i < YK_COUNT_OF(w->of); i++)
        if (memcmp(w->of[i].group, group, sizeof w->of[i].group) == 0) {
            bool wider = wide > w->of[i].most;
            w->of[i].most = YK_MAX(w->of[i].most, wide);
            return wider;
        }
    w->of[w->turn].most = wide;
    memcpy(w->of[w->turn].group, group, sizeof w->of[w->turn].group);
    w->turn = (w->turn + 1) % YK_COUNT_OF(w->of);
    return true;
}

static uint64_t bit_of(const yk_cl_stream *q)
{
    return (uint64_t)1 << q->number % 64;
}

static void forget_first(yk_cl_widths *w)
{
    if (w->first)
        yk_cl.ReleaseEvent(w->first);
    w->first = NULL;
}

/* Errors of streams are told to those who wait for them. */
static void wait_for_all(yk_cl_widths *w)
{
    yk_mutex_lock(&careful.lock);
    for (yk_cl_stream *q = careful.streams; q; q = q->next)
        if (w->streams & bit_of(q))
            yk_cl.Finish(q->queue);
    yk_mutex_unlock(&careful.lock);
    w->streams = 0;
    forget_first(w);
}

static void wait_until_begun(yk_cl_widths *w)
{
    int32_t status = 0;
    while (yk_cl.GetEventInfo(w->first, YK_CL_EVENT_STATUS, sizeof status, &status, NULL) == 0 && status > YK_CL_RUNNING)
        sched_yield();
    forget_first(w);
}

int32_t yk_cl_enqueue(yk_cl_stream *q, yk_cl_widths *w, void *kernel, uint32_t dims, const size_t global[3],
                      const size_t group[3])
{
    if (!w)
        return yk_cl.EnqueueNDRangeKernel(q->queue, kernel, dims, NULL, global, group, 0, NULL, NULL);
    yk_mutex_lock(&w->lock);
    const bool wider = is_widest(w, global, group);
    if (wider)
        wait_for_all(w);
    else if (w->first && w->first_in != q)
        wait_until_begun(w);
    int32_t code = yk_cl.EnqueueNDRangeKernel(q->queue, kernel, dims, NULL, global, group, 0, NULL, wider ? &w->first : NULL);
    w->first_in = wider ? q : w->first_in;
    w->streams |= bit_of(q);
    yk_mutex_unlock(&w->lock);
    return code;
}
