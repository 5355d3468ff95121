/* record: a stream that records. Each thing that is put in it becomes a command, with a copy of its arguments.
 *
 * Memory is what needs care. The graph will use the addresses that it has recorded each time it is put in a stream, any
 * stream; so memory that is freed in the recording, as what primitives need meanwhile, stays with the graph until that is
 * closed. Within the recording it is handed out again, for the graph's commands keep their order. And memory that is asked
 * for while recording is such as nobody uses any more: the order of this stream says nothing about the others in which the
 * graph may be put. */
#include "gpu/graph.h"
#include <stdlib.h>

struct yk_kept {
    yk_kept *next;      /* of the graph's */
    yk_kept *next_free; /* of the class */
    yoke_graph *graph;
    void *memory;       /* its span leads back here for as long as it is in use */
    unsigned class;
    bool is_free;       /* else the caller has it */
};

/* ---- Failing ---- */

void yk_record_fail(yoke_stream *s, const yk_error *e)
{
    if (s->recording->error.code == 0)
        s->recording->error = *e;
}

int yk_record_refuse(yoke_stream *s, const char *what)
{
    yk_error e;
    yk_errorf(&e, ENOTSUP, "%s cannot be recorded", what);
    return yk_device_fail(s->dev, s, &e);
}

/* ---- Commands ---- */

/* A command with room for so many bytes in its memory, the last of the list. NULL: no memory, or the recording has failed. */
static yk_command *add(yoke_stream *s, yk_command_kind kind, size_t room, yk_error *e)
{
    yoke_graph *g = s->recording;
    if (g->error.code < 0) {
        *e = g->error;
        return NULL;
    }
    yk_command *c = yk_args_alloc(sizeof *c + room);
    if (!c) {
        yk_errorf(e, ENOMEM, "no memory to record a command");
        return NULL;
    }
    c->kind = kind;
    *g->end = c;
    g->end = &c->next;
    g->count++;
    return c;
}

int yk_record_launch(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args, unsigned count,
                     yk_error *e)
{
    size_t at = YK_ALIGN_UP(count * sizeof *args, YK_ARGS_ALIGN), room = at;
    for (unsigned i = 0; i < count; i++)
        room += YK_ALIGN_UP(args[i].size, YK_ARGS_ALIGN);
    yk_command *c = add(s, YK_LAUNCH_COMMAND, room, e);
    if (!c)
        return e->code;
    yk_kernel_arg *own = (yk_kernel_arg *)(void *)c->memory;
    for (unsigned i = 0; i < count; i++) {
        own[i] = args[i];
        own[i].value = memcpy(c->memory + at, args[i].value, args[i].size);
        at += YK_ALIGN_UP(args[i].size, YK_ARGS_ALIGN);
    }
    c->launch.function = f;
    c->launch.shape = *shape;
    c->launch.args = own;
    c->launch.count = count;
    return 0;
}

int yk_record_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size, yk_error *e)
{
    yk_command *c = add(s, YK_COPY_COMMAND, 0, e);
    if (!c)
        return e->code;
    c->copy.dst = dst;
    c->copy.to = to;
    c->copy.src = src;
    c->copy.from = from;
    c->copy.size = size;
    return 0;
}

int yk_record_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count, yk_error *e)
{
    yk_command *c = add(s, YK_FILL_COMMAND, 0, e);
    if (!c)
        return e->code;
    c->fill.dst = dst;
    c->fill.to = to;
    c->fill.size = size;
    c->fill.count = count;
    memcpy(c->fill.value, value, size);
    return 0;
}

void *yk_record_call(yoke_stream *s, yk_command_call *fn, size_t size, yk_error *e)
{
    yk_command *c = add(s, YK_CALL_COMMAND, size, e);
    if (!c)
        return NULL;
    c->call.fn = fn;
    return (void *)(uintptr_t)(c->call.data = c->memory);
}

int yk_command_put(yoke_stream *s, const yk_command *c, yk_error *e)
{
    const yk_gpu_driver *driver = s->dev->driver;
    switch (c->kind) {
    case YK_LAUNCH_COMMAND:
        return driver->launch(s, c->launch.function, &c->launch.shape, c->launch.args, c->launch.count, e);
    case YK_COPY_COMMAND:
        return driver->copy(s, c->copy.dst, c->copy.to, c->copy.src, c->copy.from, c->copy.size, e);
    case YK_FILL_COMMAND:
        return driver->fill(s, c->fill.dst, c->fill.to, c->fill.value, c->fill.size, c->fill.count, e);
    default:
        return c->call.fn(s, c->call.data, e);
    }
}

/* ---- Memory ---- */

static int fail(yoke_stream *s, int code, const char *what)
{
    yk_error e;
    yk_errorf(&e, code, "%s", what);
    return yk_device_fail(s->dev, s, &e);
}

static void set_free(yoke_graph *g, yk_kept *k)
{
    k->is_free = true;
    k->next_free = g->free[k->class];
    g->free[k->class] = k;
}

/* The caller has the memory, and the graph knows it. NULL: no memory for that. */
static yk_kept *keep(yoke_stream *s, yk_span *span, unsigned class)
{
    yoke_graph *g = s->recording;
    yk_kept *k = yk_sys.calloc(1, sizeof *k);
    g->free = g->free ? g->free : yk_sys.calloc(YK_SIZE_CLASSES, sizeof(yk_kept *));
    if (!k || !g->free) {
        free(k);
        fail(s, ENOMEM, "no memory to record what is allocated");
        return NULL;
    }
    *k = (yk_kept){.next = g->kept, .graph = g, .memory = span->base, .class = class};
    g->kept = k;
    span->kept = k;
    return k;
}

static void forget(yk_kept *k)
{
    yk_span *span = (yk_span *)(uintptr_t)yk_span_of(k->memory);
    if (span && span->kept == k)
        span->kept = NULL;
    free(k);
}

void *yk_record_alloc(yoke_stream *s, size_t size)
{
    yoke_graph *g = s->recording;
    const bool can_be = size <= YK_MOST_BYTES;
    const unsigned class = can_be ? yk_size_class(size) : 0;
    yk_kept *k = g->free && can_be ? g->free[class] : NULL;
    if (k) {
        g->free[class] = k->next_free;
        k->is_free = false;
        return k->memory;
    }
    void *p = yk_memory_alloc(s->dev, NULL, size);
    if (!p) {
        yk_error e;
        yk_device_last_error(s->dev, &e);
        yk_record_fail(s, &e);
    } else if (!keep(s, (yk_span *)(uintptr_t)yk_span_of(p), class)) {
        yk_memory_free(s->dev, NULL, p);
        p = NULL;
    }
    return p;
}

/* What was allocated before the recording is the graph's from now on as well. */
void yk_record_free(yoke_stream *s, void *p)
{
    yk_span *span = (yk_span *)(uintptr_t)yk_span_of(p);
    yk_kept *k = span ? span->kept : NULL;
    if (!span || span->base != p || span->dev != s->dev || atomic_load_explicit(&span->is_free, memory_order_relaxed) ||
        (k && k->is_free))
        fail(s, EINVAL, "what was freed while recording is no memory in use: freed twice, or not its beginning");
    else if ((k && k->graph == s->recording) || (k = keep(s, span, yk_size_class(span->size))))
        set_free(s->recording, k);
}

/* ---- Beginning and ending ---- */

/* What the caller has not freed is none of the graph's; what it has is, unless all goes. */
static void sort_out_memory(yoke_graph *g, bool all)
{
    for (yk_kept **at = &g->kept, *k; (k = *at);) {
        if (k->is_free && !all) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        void *unused = k->is_free ? k->memory : NULL;
        forget(k);
        if (unused)
            yk_memory_free(g->dev, NULL, unused);
    }
}

/* It is in no list of the device's, and nobody puts it in a stream any more. What is in one yet still uses its memory, which
 * the pool knows: it was freed in no stream's order. */
static void destroy(yoke_graph *g)
{
    if (g->native)
        g->dev->driver->graph_close(g->dev, g->native);
    sort_out_memory(g, true);
    if (g->counter)
        yk_memory_free(g->dev, NULL, g->counter);
    for (yk_command *c = g->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(g);
}

/* The names of kernels that the stream had before are its again, and the newest of those that were recorded the graph's. */
static void take_names(yoke_stream *s, yoke_graph *g)
{
    char before[YK_COUNT_OF(g->names)][sizeof g->names[0]];
    unsigned most = YK_COUNT_OF(before), count = YK_MIN(s->launches - g->launches, most);
    memcpy(before, g->names, sizeof before);
    for (unsigned i = 0; i < count; i++)
        memcpy(g->names[i], s->recent[(s->launches - count + i) % most], sizeof g->names[i]);
    memcpy(s->recent, before, sizeof before);
    s->launches = g->launches;
    g->launches = count;
}

static yoke_graph *end_recording(yoke_stream *s)
{
    yoke_graph *g = s->recording;
    take_names(s, g);
    free(g->free);
    g->free = NULL;
    s->recording = NULL;
    return g;
}

int yoke_stream_record(yoke_stream *s)
{
    yk_error e = {0};
    int err = yk_stream_check(s);
    if (err < 0)
        return err;
    if (s->recording)
        return yk_record_refuse(s, "a recording within a recording");
    yoke_graph *g = yk_sys.calloc(1, sizeof *g);
    if (!g) {
        yk_errorf(&e, ENOMEM, "no memory for a graph");
        return yk_device_fail(s->dev, s, &e);
    }
    g->dev = s->dev;
    g->end = &g->first;
    _Static_assert(sizeof g->names == sizeof s->recent, "one as the other");
    memcpy(g->names, s->recent, sizeof g->names);
    g->launches = s->launches;
    s->recording = g;
    return 0;
}

void yk_record_drop(yoke_stream *s)
{
    if (s->recording)
        destroy(end_recording(s));
}

/* What the driver makes of it, if it makes anything: that is faster, and no more, so whatever it lacks for that the list stays.
 * The pool may have the memory that it wants. Negative: the device is lost. */
static int make_native(yoke_graph *g, yk_error *e)
{
    const yk_gpu_driver *driver = g->dev->driver;
    if (!driver->graph_open || g->count == 0)
        return 0;
    int err = driver->graph_open(g->dev, g->first, &g->native, e);
    if (err == -ENOMEM && yoke_device_trim(g->dev) == 0)
        err = driver->graph_open(g->dev, g->first, &g->native, e);
    return err == -ENODEV ? err : 0;
}

int yoke_stream_record_end(yoke_stream *s, yoke_graph **ret)
{
    yk_error e = {0};
    if (!s || !ret)
        return -EINVAL;
    if (!s->recording) {
        yk_errorf(&e, EINVAL, "the stream does not record");
        return yk_device_fail(s->dev, s, &e);
    }
    yoke_graph *g = end_recording(s);
    yoke_device *dev = s->dev;
    e = g->error;
    int err = e.code < 0 ? e.code : yk_device_check(dev);
    if (err == 0)
        err = make_native(g, &e);
    if (err < 0) {
        destroy(g);
        return e.code < 0 ? yk_device_fail(dev, s, &e) : err;
    }
    sort_out_memory(g, false);
    yk_mutex_lock(&dev->lock);
    g->next = dev->graphs;
    dev->graphs = g;
    yk_mutex_unlock(&dev->lock);
    *ret = g;
    return 0;
}

static void unlink_graph(yoke_graph *g)
{
    yk_mutex_lock(&g->dev->lock);
    yoke_graph **at = &g->dev->graphs;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    yk_mutex_unlock(&g->dev->lock);
}

void yoke_graph_close(yoke_graph *g)
{
    if (!g || !yk_device_usable(g->dev))
        return; /* in a child it is the parent's */
    unlink_graph(g);
    destroy(g);
}

void yk_graphs_close(yoke_device *dev)
{
    for (yoke_graph *g = dev->graphs, *next; g; g = next) {
        next = g->next;
        destroy(g);
    }
    dev->graphs = NULL;
}

void yk_graphs_forget(yoke_stream *s)
{
    yk_mutex_lock(&s->dev->lock);
    for (yoke_graph *g = s->dev->graphs; g; g = g->next)
        if (atomic_load_explicit(&g->last, memory_order_relaxed) == s)
            atomic_store_explicit(&g->last, NULL, memory_order_relaxed);
    yk_mutex_unlock(&s->dev->lock);
}

/* ---- Replaying ---- */

/* The graph's memory is one: what puts it in another stream than the last waits there for that one. Only who uses the graph
 * writes `last`, or who closes that stream, for whom it is another than s. */
static int after_last(yoke_graph *g, yoke_stream *s, yk_error *e)
{
    if (YK_LIKELY(atomic_load_explicit(&g->last, memory_order_relaxed) == s))
        return 0;
    yk_mutex_lock(&g->dev->lock);
    yoke_stream *last = atomic_load_explicit(&g->last, memory_order_relaxed);
    int err = last ? yk_stream_after_stream(s, last, e) : 0;
    if (err == 0)
        atomic_store_explicit(&g->last, s, memory_order_relaxed);
    yk_mutex_unlock(&g->dev->lock);
    return err;
}

static int put_all(yoke_stream *s, const yoke_graph *g, yk_error *e)
{
    int err = 0;
    if (g->native)
        return s->dev->driver->graph_launch(s, g->native, e);
    for (const yk_command *c = g->first; c && err == 0; c = c->next)
        err = yk_command_put(s, c, e);
    return err;
}

int yoke_stream_replay(yoke_stream *s, yoke_graph *g)
{
    yk_error e = {0};
    int err = yk_stream_check(s);
    if (err < 0)
        return err;
    if (s->recording)
        return yk_record_refuse(s, "the replay of a graph");
    if (!g || g->dev != s->dev)
        err = yk_errorf(&e, EINVAL, "replay: %s%s", g ? "the graph was recorded on another device, " : "there is no graph",
                        g ? g->dev->info.uri : "");
    if (err == 0)
        err = after_last(g, s, &e);
    for (unsigned i = 0; err == 0 && i < g->launches; i++)
        yk_stream_note(s, g->names[i]);
    if (err == 0)
        err = put_all(s, g, &e);
    return err < 0 ? yk_stream_fail(s, &e) : 0;
}
