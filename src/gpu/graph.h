/* graph: work that is put in a stream many times. While a stream records, what would go to its driver becomes a list of
 * commands instead (record.c); the list is the graph. A driver may make something of it that it launches at once
 * (cuda_graph.c, opencl_graph.c); else the commands are put in the stream one by one, with nothing left to look up.
 *
 * The driver itself knows nothing of a stream that records: its queue stays what it was, so that other threads, as the pool
 * of memory, may ask it, mark it and wait for it as ever. */
#ifndef YK_GPU_GRAPH_H
#define YK_GPU_GRAPH_H
#include "gpu/gpu.h"

typedef enum yk_command_kind { YK_LAUNCH_COMMAND, YK_COPY_COMMAND, YK_FILL_COMMAND, YK_CALL_COMMAND } yk_command_kind;

/* What a command does that is none of the driver's: work of the CPU. */
typedef int yk_command_call(yoke_stream *s, const void *data, yk_error *e);

/* Constant once it is recorded, and sound: it has been checked as if it were done at once. Arguments and data lie in it. */
typedef struct yk_command {
    struct yk_command *next;
    yk_command_kind kind;
    union {
        struct {
            const yk_function *function;
            yk_shape shape;
            const yk_kernel_arg *args;
            unsigned count;
        } launch;
        struct {
            void *dst;
            const void *src;
            const yk_span *to, *from;
            size_t size;
        } copy;
        struct {
            void *dst;
            const yk_span *to;
            size_t size, count;
            unsigned char value[16];
        } fill;
        struct {
            yk_command_call *fn;
            const void *data;
        } call;
    };
    _Alignas(YK_ARGS_ALIGN) char memory[];
} yk_command;

/* Puts it in s, which does not record. */
int yk_command_put(yoke_stream *s, const yk_command *c, yk_error *e);

/* Memory that was freed in the order of the stream while it recorded: the graph's, until it is closed. */
typedef struct yk_kept yk_kept;

struct yoke_graph {
    yoke_device *dev;
    yoke_graph *next;             /* of the device's, under its lock */
    _Atomic(yoke_stream *) last;  /* in which it was put last, if that is open; written under the device's lock */
    void *native;                 /* the driver's, or NULL */
    yk_command *first, **end;
    size_t count;
    yk_kept *kept;
    yk_kept **free;               /* while it is recorded: those that are free, by class; NULL: none yet */
    void *counter;                /* as a stream's (primitive_cuda.c) */
    yk_error error;               /* the first: the recording has failed */
    char names[4][40];            /* of its last kernels, the newest last; while it is recorded: those that the stream had */
    unsigned launches;
};

/* ---- Recording (record.c) ---- */

int yk_record_launch(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args, unsigned count,
                     yk_error *e);
int yk_record_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size, yk_error *e);
int yk_record_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count, yk_error *e);
/* Memory of size bytes for fn's data, to be filled now; NULL: there is none, e says so. */
void *yk_record_call(yoke_stream *s, yk_command_call *fn, size_t size, yk_error *e);

void *yk_record_alloc(yoke_stream *s, size_t size);
void yk_record_free(yoke_stream *s, void *p);
/* The whole recording has failed, with e if it is the first error. */
void yk_record_fail(yoke_stream *s, const yk_error *e);
/* -ENOTSUP, with what cannot be recorded ("a wait") in the device's error. */
int yk_record_refuse(yoke_stream *s, const char *what);

/* Ends what s records without making anything of it: s is about to be closed. */
void yk_record_drop(yoke_stream *s);
/* s is about to be closed: it is nobody's last. */
void yk_graphs_forget(yoke_stream *s);
/* Closes those that the user left open. All streams have been closed. */
void yk_graphs_close(yoke_device *dev);

/* ---- What puts work in streams ---- */

static inline int yk_put_launch(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args,
                                unsigned count, yk_error *e)
{
    return YK_LIKELY(!s->recording) ? s->dev->driver->launch(s, f, shape, args, count, e)
                                    : yk_record_launch(s, f, shape, args, count, e);
}
static inline int yk_put_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size,
                              yk_error *e)
{
    return YK_LIKELY(!s->recording) ? s->dev->driver->copy(s, dst, to, src, from, size, e)
                                    : yk_record_copy(s, dst, to, src, from, size, e);
}
static inline int yk_put_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count,
                              yk_error *e)
{
    return YK_LIKELY(!s->recording) ? s->dev->driver->fill(s, dst, to, value, size, count, e)
                                    : yk_record_fill(s, dst, to, value, size, count, e);
}

#endif
