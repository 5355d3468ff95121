/* gpu: devices behind one table of calls each (cuda, opencl, cpu), their memory, streams, and the kernels that run there.
 * Floor 3: stands on exec and threads. */
#ifndef YK_GPU_H
#define YK_GPU_H
#include "base/base.h"
#include "sync/mutex.h"
#include <yoke/gpu.h>

struct yoke_executor;
struct yoke_kernel;
struct yk_command;
typedef struct yk_image yk_image;

/* ---- What a driver is ---- */

/* Memory as a driver gave it: size bytes from base on, by which kernels and copies are told apart from memory of the host. */
typedef struct yk_span {
    char *base;
    size_t size;
    yoke_device *dev;
    void *native; /* the driver's own: a cl_mem */
    struct yk_kept *kept; /* what a recording or a graph has it as, or NULL (record.c) */
    _Atomic bool is_free; /* nobody has it: it is kept for the next who asks */
} yk_span;

/* One argument of a launch. Memory: *value is an address, span the memory it lies in, or NULL for memory of the host on a
 * device that shares it. */
typedef struct yk_kernel_arg {
    const void *value;
    uint32_t size;
    bool is_memory;
    const yk_span *span;
} yk_kernel_arg;

/* Memory for the values of arguments, which may be vectors: zeroed; NULL: there is none; free() takes it back. */
enum { YK_ARGS_ALIGN = 64 };
static inline void *yk_args_alloc(size_t size)
{
    void *p = NULL;
    return yk_sys.posix_memalign(&p, YK_ARGS_ALIGN, size) == 0 ? memset(p, 0, size) : NULL;
}

/* A kernel in an image, and what the compiler told of it; what it did not tell is 0. */
typedef struct yk_function {
    void *native;
    char name[64];
    unsigned registers, spilled_bytes, local_bytes, group_most;
} yk_function;

typedef struct yk_shape {
    unsigned groups[3], group[3]; /* work-groups, and threads in each */
    size_t local;                 /* bytes of group memory asked for at the launch */
} yk_shape;

/* How the texts are compiled that are written here, with numbers as C has them. Without warnings in OpenCL: the user has those of
 * the C compiler, and NVIDIA's writes to stderr how many there were. */
#define YK_CUDA_OPTIONS "--std=c++17 --fmad=false"
#define YK_OPENCL_OPTIONS "-cl-std=CL1.2 -w"

/* One kind of device. Every call that takes an error fills it when it fails, and then alone. d->native, s->native and so
 * on are the driver's. Calls may come from any thread, on one stream from one at a time, but for event_mark(), stream_try() and
 * stream_wait(), which the pool of memory also calls for streams of other threads. */
typedef struct yk_gpu_driver {
    const char *name;
    /* How many devices, opening the driver at the first call; negative: it cannot be used, e says why. Never crashes,
     * whatever is installed. */
    int (*count)(yk_error *e);
    /* memory_free may need the device to be open: 0 then. */
    void (*describe)(unsigned i, yoke_device_info *ret);
    /* Whether the driver has been opened in this process, so that it does not work in its children. NULL: it would. */
    bool (*opened)(void);
    /* arg: what stood behind "cuda:", a number too; the index of the device it means, or a negative code. NULL: only numbers
     * name devices. */
    int (*find)(const char *arg, yk_error *e);
    int (*open)(yoke_device *d, unsigned i, yk_error *e); /* d->info has been filled by describe() */
    void (*close)(yoke_device *d);                        /* all streams and memory are gone */

    int (*take)(yoke_device *d, yk_span *span, yk_error *e); /* span->size is set; sets base, native. -ENOMEM: none left */
    void (*give)(yoke_device *d, yk_span *span);
    int (*pin)(yoke_device *d, size_t size, void **ret, yk_error *e);
    void (*unpin)(yoke_device *d, void *memory);

    int (*stream_open)(yoke_stream *s, yk_error *e);
    void (*stream_close)(yoke_stream *s); /* it has been waited for */
    int (*stream_wait)(yoke_stream *s, yk_error *e);
    int (*stream_try)(yoke_stream *s, yk_error *e); /* 0 or -EAGAIN (e untouched) or an error */
    int (*event_open)(yoke_stream_event *v, yk_error *e);
    void (*event_close)(yoke_stream_event *v);
    int (*event_mark)(yoke_stream *s, yoke_stream_event *v, yk_error *e);
    int (*event_after)(yoke_stream *s, yoke_stream_event *v, yk_error *e);
    int (*event_wait)(yoke_stream_event *v, yk_error *e);
    int (*event_try)(yoke_stream_event *v, yk_error *e);
    /* Waits for both. */
    int (*event_elapsed)(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret, yk_error *e);

    /* to and from: the spans in which dst and src lie, NULL for the host. size > 0. */
    int (*copy)(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size, yk_error *e);
    int (*fill)(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count, yk_error *e);

    /* Compiles a text in the driver's language (options one line, blanks between; name for messages), or takes it from a
     * cache. A text that does not compile: -EINVAL, with the compiler's whole log in log. NULL, as the next: this driver runs
     * C. */
    int (*build)(yoke_device *d, const char *text, const char *options, const char *name, yk_image **ret, yk_buf *log,
                 yk_error *e);
    int (*function)(yk_image *image, const char *name, yk_function *ret, yk_error *e);
    void (*unload)(yoke_device *d, yk_image *image);
    int (*launch)(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args, unsigned count,
                  yk_error *e);

    /* Makes of a list of commands (graph.h), which outlives it, something that graph_launch() puts in a stream faster than
     * one command after the other. Negative: it cannot, and the list is used. NULL, as the next: it never can. */
    int (*graph_open)(yoke_device *d, const struct yk_command *first, void **ret, yk_error *e);
    int (*graph_launch)(yoke_stream *s, void *graph, yk_error *e);
    void (*graph_close)(yoke_device *d, void *graph); /* launches may be under way */
} yk_gpu_driver;

extern const yk_gpu_driver yk_gpu_cuda, yk_gpu_opencl, yk_gpu_cpu;

/* ---- Devices (device.c) ---- */

struct yoke_device {
    const yk_gpu_driver *driver;
    void *native;
    yoke_device_info info;
    uint32_t fork_generation;
    uint64_t number;         /* of all that were opened in this process, from 1 on */
    _Atomic int status;      /* why it cannot be used (any more) */
    yk_mutex lock;           /* of what follows */
    yoke_stream *streams;
    yoke_graph *graphs;
    yk_error error;          /* the last one */
    char text[500];          /* what yoke_device_error() gave away */
    bool opened;             /* by its driver */
    struct yk_memory *memory;
    struct yk_images *images;
    _Atomic(struct yk_built *) built; /* of primitives: under lock, read by anyone */
    struct yk_array_kernels *arrays; /* array_device.c */
    struct yoke_executor *pool; /* the CPU's threads */
    struct yk_pinned *pinned;   /* pinned.c */
};

/* Used by one thread at a time, but for native. */
struct yoke_stream {
    yoke_device *dev;
    void *native;
    yoke_stream *next;
    char recent[4][40];      /* names of the last kernels, for errors that come late: copies, for modules may be closed */
    unsigned launches;
    uint64_t asked, past;    /* the search for memory that last asked whether it is idle, and what was free by then (memory.c) */
    yk_mutex late_lock;
    yk_error late;           /* under it: what others were told of when they asked, for its user; code 0: nothing */
    void *counter;           /* memory of the device that is 0 between reductions, or NULL (primitive_cuda.c) */
    yk_error refused;        /* the first call that was, since the last wait; code 0: none */
    yoke_graph *recording;   /* what is put in it goes there (graph.h), or NULL */
};

/* marked, at: any thread may ask an event while the user of a stream marks it. */
struct yoke_stream_event {
    yoke_device *dev;
    void *native;
    _Atomic bool marked;
    _Atomic int64_t at;      /* the CPU's: when */
    yk_mutex lock;           /* of what follows: the stream's last kernels when it was marked */
    char recent[4][40];
    unsigned launches;
};

/* 0, or the code for which nothing can be done with dev: status, -ECHILD, or -EINVAL for NULL. */
int yk_device_check(const yoke_device *dev);
/* The same of a stream and its device. */
static inline int yk_stream_check(const yoke_stream *s)
{
    return YK_LIKELY(s != NULL) ? yk_device_check(s->dev) : -EINVAL;
}
/* Whether what belongs to it can be given back: it was opened, by this process. It may be lost. */
bool yk_device_usable(const yoke_device *dev);
/* Keeps e as the device's last error, with the names of the stream's (may be NULL) last kernels if it came late; an error
 * after which nothing works (-ENODEV) becomes the device's status. Returns code. */
int yk_device_fail(yoke_device *dev, yoke_stream *s, const yk_error *e);
/* The same for a call that is refused: s keeps the first for who looks at its waits alone. Returns code. */
int yk_stream_fail(yoke_stream *s, const yk_error *e);
/* When err is negative, s keeps this thread's last error, which is that of the call that ends here. Returns err. */
int yk_stream_keep(yoke_stream *s, int err);
/* A call that may be refused inside one that tells of it in another way, as arrays do by NULL: s does not keep it. */
#define yk_unkept(s, call)                                                                                             \
    __extension__({                                                                                                    \
        const int yk_kept = (s)->refused.code, yk_err = (call);                                                        \
        if (!yk_kept)                                                                                                  \
            (s)->refused.code = 0;                                                                                     \
        yk_err;                                                                                                        \
    })
/* Whether a device has been lost in this process. */
bool yk_device_was_lost(void);
/* Whether names, as yoke_device_open() takes them, are of kinds of devices that a child of this process could open. Opens
 * nothing. 0, or a negative code with the reason in e. */
int yk_device_check_names(const char *names, yk_error *e);
/* Why a call of this thread on dev has just failed, whatever fails in other threads meanwhile; when dev was lost before, why. */
void yk_device_last_error(yoke_device *dev, yk_error *ret);

/* Gives back the kernels of arrays. (array_device.c) */
void yk_array_kernels_close(yoke_device *dev);

/* ---- Addresses (span.c) ---- */

/* The span in which p lies, or NULL: memory of the host. Any thread; valid while the memory is. */
const yk_span *yk_span_of(const void *p);
int yk_span_add(yk_span *span); /* 0 or -ENOMEM */
void yk_span_remove(yk_span *span);

/* The addresses of a process: no driver is asked for more, which it, or what rounds up for it, may not be prepared for. */
#define YK_MOST_BYTES ((size_t)1 << 47)

/* An array that a call is given: count elements of `size` bytes from p on. formula: what the count comes from, or NULL. */
typedef struct yk_given {
    const char *name;
    const void *p;
    size_t count, size;
    const char *formula;
} yk_given;

/* Whether dev can use what lies at p, in span: its own memory, or what it shares with the host. */
static inline bool yk_reaches(const yoke_device *dev, const void *p, const yk_span *span)
{
    if (YK_UNLIKELY(!span))
        return p && dev->info.shares_host_memory;
    /* Memory of any CPU device is the host's. */
    return (YK_LIKELY(span->dev == dev) || (dev->info.shares_host_memory && span->dev->driver == &yk_gpu_cpu)) &&
           !atomic_load_explicit(&span->is_free, memory_order_relaxed);
}
/* Whether there are so many elements from p on: of memory that yoke has given that is known, of the host's own only that no
 * memory is so large. */
static inline bool yk_has_room(const yk_span *span, const void *p, size_t count, size_t size)
{
    const size_t there = YK_LIKELY(span) ? (size_t)(span->base + span->size - (const char *)p) : YK_MOST_BYTES;
    size_t bytes;
    return !__builtin_mul_overflow(count, size, &bytes) && bytes <= there;
}
/* The error of an array that cannot be used. */
int yk_given_refuse(const yoke_device *dev, const char *kind, const char *call, const yk_given *g, const yk_span *span,
                    yk_error *e);
/* Whether dev can use the array, which may be NULL or anybody's where it has no elements; else the error, which begins with kind
 * and call ("kernel ", "axpy"): -EINVAL, -EFAULT, -E2BIG. span: that in which g->p lies. */
static inline int yk_given_check(const yoke_device *dev, const char *kind, const char *call, const yk_given *g,
                                 const yk_span *span, yk_error *e)
{
    if (YK_LIKELY(g->count == 0 || (yk_reaches(dev, g->p, span) && yk_has_room(span, g->p, g->count, g->size))))
        return 0;
    return yk_given_refuse(dev, kind, call, g, span, e);
}
/* The error for a count that came in as a negative number; -EINVAL. */
int yk_negative_refuse(const char *kind, const char *call, const char *name, size_t n, yk_error *e);
/* What tells two devices apart that have one name: " as it was opened here", else "". */
static inline const char *yk_as_opened(const yoke_device *other, const yoke_device *here)
{
    return other != here && strcmp(other->info.uri, here->info.uri) == 0 ? " as it was opened here" : "";
}

/* ---- Memory (memory.c) ---- */

struct yk_memory *yk_memory_open(yoke_device *dev);
void yk_memory_close(struct yk_memory *m);
/* s NULL: for use in any stream, at once. */
void *yk_memory_alloc(yoke_device *dev, yoke_stream *s, size_t size);
void yk_memory_free(yoke_device *dev, yoke_stream *s, void *p);
/* s is about to be closed: it has been waited for. */
void yk_memory_forget(yoke_device *dev, yoke_stream *s);
/* The class of blocks that size bytes need, and how large those are. */
enum { YK_SIZE_CLASSES = 16 * 64 };
unsigned yk_size_class(size_t size);
size_t yk_class_size(unsigned class);

/* ---- Pinned memory (pinned.c) ---- */

/* Whether a user got p, or what it lies in, from yoke_pinned_alloc(). Any thread. */
bool yk_is_pinned(const void *p);
/* Pinned memory for a while, from what was given back before if there is some. NULL: none left; e says why. */
void *yk_pinned_borrow(yoke_device *dev, size_t size, yk_error *e);
void yk_pinned_return(yoke_device *dev, void *memory);
/* Before the device is closed. */
void yk_pinned_close(yoke_device *dev);

/* ---- Streams (stream.c) ---- */

/* As yoke_stream_wait(), but what was refused before is neither told nor forgotten: for calls that wait for work of their own. */
int yk_stream_settle(yoke_stream *s);
/* Before each launch: notes the kernel's name. */
static inline void yk_stream_note(yoke_stream *s, const char *name)
{
    char *to = s->recent[s->launches++ % YK_COUNT_OF(s->recent)];
    size_t n = strnlen(name, sizeof s->recent[0] - 1);
    memcpy(to, name, n);
    to[n] = '\0';
}
/* Whether all that was put in it has been done; false as well when it failed, which its user's next wait tells. */
bool yk_stream_is_idle(yoke_stream *s);
bool yk_streams_are_idle(yoke_device *dev);
/* Until all that is in any stream of dev now has been done, without holding dev's lock meanwhile if it can. What went wrong
 * there is told by their users' next waits. */
void yk_streams_wait(yoke_device *dev);
/* Where all streams of dev are now; NULL: there are none, or no memory for it. */
typedef struct yk_marks yk_marks;
yk_marks *yk_streams_mark(yoke_device *dev);
/* Whether all of them have come past that, in which case m is gone. What went wrong there their users' next waits tell. */
bool yk_marks_are_past(yk_marks *m);
void yk_marks_close(yk_marks *m);
/* What is put in s from now on waits for what is in `first` now; NULL: in every other stream. */
int yk_stream_after_stream(yoke_stream *s, yoke_stream *first, yk_error *e);
/* Closes those that the user left open. 0 or the first error of their waits. */
int yk_streams_close(yoke_device *dev);

#endif
