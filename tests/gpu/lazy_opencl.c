/* lazy_opencl.c - a libOpenCL.so.1 that hands every call on to the real one, but lets nothing happen before it must: what is put
 * into a queue starts when somebody waits for it, for an event behind it, or for a queue that stands behind such an event, and
 * only up to there. So memory of the host that is read again, written or freed before its copy was waited for, and work
 * that stands behind nothing but luck, give wrong results at once, and each time.
 *
 * That is what gates are for: user events of OpenCL. Every command waits for the gate that its queue has then; behind a command
 * with an event comes a new one. Who asks for an event often enough without waiting opens its gate, too, for work has to
 * get on by itself some time.
 *
 * GPUs have no gates: they are late by themselves, and whether their drivers take commands behind user events without
 * standing still themselves is not known. */
#include "real_opencl.h"
#include <pthread.h>
#include <stdlib.h>

enum { QUEUES = 512, BEHIND = 64, ASKED = 3 };

static yk_cl_table real, lazy;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *(*create_user_event)(void *context, int32_t *error);
static int32_t (*set_user_event)(void *event, int32_t status);

/* A gate, with the event of the last command that stands behind it, if that has one, and the events that its commands wait
 * for besides. Events are held. */
typedef struct gate {
    struct gate *next;
    void *closed; /* the user event; NULL: it is open */
    void *event;
    unsigned asked, behind_count;
    void *behind[BEHIND];
} gate;

/* All under the lock. The oldest gate first; the last is that of the next command. */
typedef struct line {
    void *handle, *context;
    bool is_gpu;
    gate *gates;
    unsigned finishing; /* so many threads wait for all that is in it: what comes now may be among that */
} line;
static line queues[QUEUES];

static line *find_queue(void *handle)
{
    for (int i = 0; i < QUEUES; i++)
        if (queues[i].handle == handle)
            return &queues[i];
    abort(); /* more queues than there is room for */
}

/* ---- Opening ---- */

static void open_event(void *event);

static void open_gate(gate *g)
{
    void *closed = g->closed;
    g->closed = NULL; /* also for those that come round to it again */
    for (unsigned i = 0; i < g->behind_count; i++)
        open_event(g->behind[i]);
    if (closed) {
        set_user_event(closed, 0);
        real.ReleaseEvent(closed);
    }
}

static void forget(gate *g)
{
    for (unsigned i = 0; i < g->behind_count; i++)
        real.ReleaseEvent(g->behind[i]);
    if (g->event)
        real.ReleaseEvent(g->event);
    free(g);
}

/* Up to `last` (NULL: all). */
static void open_up_to(line *q, const gate *last)
{
    for (gate *g = q->gates; g; g = g == last ? NULL : g->next)
        open_gate(g);
}

static void open_event(void *event)
{
    for (int i = 0; i < QUEUES; i++)
        for (gate *g = queues[i].gates; g; g = g->next)
            if (g->event == event && g->closed) {
                open_up_to(&queues[i], g);
                return;
            }
}

static void open_queue(void *handle)
{
    pthread_mutex_lock(&lock);
    open_up_to(find_queue(handle), NULL);
    pthread_mutex_unlock(&lock);
}

/* ---- Commands ---- */

/* The gate of the next command. */
static gate *gate_of(line *q)
{
    while (q->gates && !q->gates->closed) {
        gate *open = q->gates;
        q->gates = open->next;
        forget(open);
    }
    gate **at = &q->gates;
    while (*at && ((*at)->event || (*at)->behind_count == BEHIND))
        at = &(*at)->next;
    if (!*at) {
        int32_t code = 0;
        *at = calloc(1, sizeof **at);
        if (!*at || !((*at)->closed = create_user_event(q->context, &code)))
            abort();
    }
    return *at;
}

/* Begins a command: what it is to wait for is its own list and the gate. Ends under the lock. */
static gate *begin(void *handle, uint32_t *n, void *const **after, void *list[BEHIND + 1])
{
    pthread_mutex_lock(&lock);
    line *q = find_queue(handle);
    gate *g = q->is_gpu ? NULL : gate_of(q);
    if (!g)
        return NULL;
    for (uint32_t i = 0; i < *n; i++) {
        if (g->behind_count == BEHIND)
            abort();
        real.RetainEvent((*after)[i]);
        list[i] = g->behind[g->behind_count++] = (*after)[i];
    }
    list[(*n)++] = g->closed;
    *after = list;
    return g;
}

static int32_t end(void *handle, gate *g, int32_t code, void *const *event)
{
    line *q = find_queue(handle);
    if (g && code == 0 && event) {
        g->event = *event;
        real.RetainEvent(g->event);
    }
    if (q->finishing > 0)
        open_up_to(q, NULL);
    pthread_mutex_unlock(&lock);
    return code;
}

#define PUT(name, parameters, arguments)                                                                               \
    static int32_t put_##name parameters                                                                               \
    {                                                                                                                  \
        void *list[BEHIND + 1];                                                                                        \
        gate *g = begin(queue, &n, &after, list);                                                                      \
        return end(queue, g, real.name arguments, event);                                                                     \
    }
PUT(EnqueueCopyBuffer, (void *queue, void *from, void *to, size_t from_at, size_t to_at, size_t size, uint32_t n,
                        void *const *after, void **event), (queue, from, to, from_at, to_at, size, n, after, event))
PUT(EnqueueFillBuffer, (void *queue, void *to, const void *value, size_t value_size, size_t at, size_t size, uint32_t n,
                        void *const *after, void **event), (queue, to, value, value_size, at, size, n, after, event))
PUT(EnqueueNDRangeKernel, (void *queue, void *kernel, uint32_t dims, const size_t *offset, const size_t *global,
                           const size_t *local, uint32_t n, void *const *after, void **event),
    (queue, kernel, dims, offset, global, local, n, after, event))
PUT(EnqueueMarkerWithWaitList, (void *queue, uint32_t n, void *const *after, void **event), (queue, n, after, event))
PUT(EnqueueBarrierWithWaitList, (void *queue, uint32_t n, void *const *after, void **event), (queue, n, after, event))

/* With `block` they do not come back before they are done. */
#define COPY(name, host_type)                                                                              \
    PUT(name, (void *queue, void *memory, uint32_t block, size_t at, size_t size, host_type host, uint32_t n,          \
               void *const *after, void **event), (queue, memory, block, at, size, host, n, after, event))             \
    static int32_t lazy_##name(void *queue, void *memory, uint32_t block, size_t at, size_t size, host_type host,      \
                               uint32_t n, void *const *after, void **event)                                           \
    {                                                                                                                  \
        if (!block)                                                                                                    \
            return put_##name(queue, memory, block, at, size, host, n, after, event);                                  \
        open_queue(queue);                                                                                             \
        return real.name(queue, memory, block, at, size, host, n, after, event);                                       \
    }
COPY(EnqueueReadBuffer, void *)
COPY(EnqueueWriteBuffer, const void *)

/* ---- Waits ---- */

static int32_t lazy_Finish(void *handle)
{
    pthread_mutex_lock(&lock);
    line *q = find_queue(handle);
    q->finishing++;
    open_up_to(q, NULL);
    pthread_mutex_unlock(&lock);
    int32_t code = real.Finish(handle);
    pthread_mutex_lock(&lock);
    q->finishing--;
    pthread_mutex_unlock(&lock);
    return code;
}

static int32_t lazy_WaitForEvents(uint32_t n, void *const *events)
{
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < n; i++)
        open_event(events[i]);
    pthread_mutex_unlock(&lock);
    return real.WaitForEvents(n, events);
}

static int32_t lazy_GetEventInfo(void *event, uint32_t what, size_t room, void *ret, size_t *ret_size)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < QUEUES && what == YK_CL_EVENT_STATUS; i++)
        for (gate *g = queues[i].gates; g; g = g->next)
            if (g->event == event && g->closed && ++g->asked > ASKED)
                open_up_to(&queues[i], g);
    pthread_mutex_unlock(&lock);
    return real.GetEventInfo(event, what, room, ret, ret_size);
}

static void *lazy_EnqueueMapBuffer(void *handle, void *memory, uint32_t block, uint64_t flags, size_t at, size_t size,
                                   uint32_t n, void *const *after, void **event, int32_t *error)
{
    open_queue(handle);
    return real.EnqueueMapBuffer(handle, memory, block, flags, at, size, n, after, event, error);
}

/* ---- Queues ---- */

static void *lazy_CreateCommandQueue(void *context, void *device, uint64_t properties, int32_t *error)
{
    uint64_t type = 0;
    void *handle = real.CreateCommandQueue(context, device, properties, error);
    real.GetDeviceInfo(device, YK_CL_DEVICE_TYPE, sizeof type, &type, NULL);
    if (handle) {
        pthread_mutex_lock(&lock);
        bool is_gpu = (type & (YK_CL_TYPE_GPU | YK_CL_TYPE_CPU)) == YK_CL_TYPE_GPU;
        *find_queue(NULL) = (line){.handle = handle, .context = context, .is_gpu = is_gpu};
        pthread_mutex_unlock(&lock);
    }
    return handle;
}

static int32_t lazy_ReleaseCommandQueue(void *handle)
{
    pthread_mutex_lock(&lock);
    line *q = find_queue(handle);
    open_up_to(q, NULL);
    for (gate *g; (g = q->gates); forget(g))
        q->gates = g->next;
    q->handle = NULL;
    pthread_mutex_unlock(&lock);
    return real.ReleaseCommandQueue(handle);
}

/* ---- The library ---- */

static void open_real(void)
{
    void *library = open_real_opencl(&real);
    find_symbol(library, &create_user_event, "clCreateUserEvent");
    find_symbol(library, &set_user_event, "clSetUserEventStatus");
    lazy = real;
    lazy.EnqueueCopyBuffer = put_EnqueueCopyBuffer;
    lazy.EnqueueFillBuffer = put_EnqueueFillBuffer;
    lazy.EnqueueNDRangeKernel = put_EnqueueNDRangeKernel;
    lazy.EnqueueMarkerWithWaitList = put_EnqueueMarkerWithWaitList;
    lazy.EnqueueBarrierWithWaitList = put_EnqueueBarrierWithWaitList;
    lazy.EnqueueReadBuffer = lazy_EnqueueReadBuffer;
    lazy.EnqueueWriteBuffer = lazy_EnqueueWriteBuffer;
    lazy.EnqueueMapBuffer = lazy_EnqueueMapBuffer;
    lazy.Finish = lazy_Finish;
    lazy.WaitForEvents = lazy_WaitForEvents;
    lazy.GetEventInfo = lazy_GetEventInfo;
    lazy.CreateCommandQueue = lazy_CreateCommandQueue;
    lazy.ReleaseCommandQueue = lazy_ReleaseCommandQueue;
}

#define FORWARD(type, name, parameters, arguments)                                                                     \
    type cl##name parameters;                                                                                          \
    type cl##name parameters                                                                                           \
    {                                                                                                                  \
        pthread_once(&once, open_real);                                                                                \
        return lazy.name arguments;                                                                                    \
    }
#define CALL(name, parameters, arguments) FORWARD(int32_t, name, parameters, arguments)
#define MAKER(name, parameters, arguments) FORWARD(void *, name, parameters, arguments)
YK_CL_CALLS(CALL)
YK_CL_LATER(CALL)
YK_CL_MAKERS(MAKER)
