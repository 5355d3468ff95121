/* gpu: devices behind one table of calls each (cuda, opencl, cpu), their memory, streams, and the kernels that run there.
 * Floor 3: stands on exec and threads. */
#ifndef YK_GPU_H
#define YK_GPU_H
#include "base/base.h"
#include "sync/mutex.h"
#include <yoke/gpu.h>

struct yoke_executor;
struct yoke_kernel;
typedef struct yk_image yk_image;

/* ---- What a driver is ---- */

/* Memory as a driver gave it: size bytes from base on, by which kernels and copies are told apart from memory of the host. */
typedef struct yk_span {
    char *base;
    size_t size;
    yoke_device *dev;
    void *native; /* the driver's own: a cl_mem */
} yk_span;

/* One argument of a launch. Memory: *value is an address, span the memory it lies in, or NULL for memory of the host on a
 * device that shares it. */
typedef struct yk_kernel_arg {
    const void *value;
    uint32_t size;
    bool is_memory;
    const yk_span *span;
} yk_kernel_arg;

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

/* One kind of device. Every call that takes an error fills it when it fails. d->native, s->native and so on are the driver's.
 * Calls may come from any thread, on one stream from one at a time, but for event_mark(), stream_try() and stream_wait(), which
 * the pool of memory also calls for streams of other threads. */
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
} yk_gpu_driver;

extern const yk_gpu_driver yk_gpu_cuda, yk_gpu_opencl, yk_gpu_cpu;

/* ---- Devices (device.c) ---- */

struct yoke_device {
    const yk_gpu_driver *driver;
    void *native;
    yoke_device_info info;
    uint32_t fork_generation;
    _Atomic int status;      /* why it cannot be used (any more) */
    yk_mutex lock;           /* of what follows */
    yoke_stream *streams;
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

struct yoke_stream {
    yoke_device *dev;
    void *native;
    yoke_stream *next;
    const char *recent[4];   /* names of the last kernels, for errors that come late */
    unsigned launches;
    void *counter;           /* memory of the device that is 0 between reductions, or NULL (primitive_cuda.c) */
};

struct yoke_stream_event {
    yoke_device *dev;
    void *native;
    bool marked;
    int64_t at; /* the CPU's: when */
};

/* 0, or the code for which nothing can be done with dev: status, or -ECHILD. */
int yk_device_check(yoke_device *dev);
/* Whether what belongs to it can be given back: it was opened, by this process. It may be lost. */
bool yk_device_usable(const yoke_device *dev);
/* Keeps e as the device's last error, with the names of the stream's (may be NULL) last kernels if it came late; an error
 * after which nothing works (-ENODEV) becomes the device's status. Returns code. */
int yk_device_fail(yoke_device *dev, yoke_stream *s, const yk_error *e);
/* Whether a device has been lost in this process. */
bool yk_device_was_lost(void);
/* Whether names, as yoke_device_open() takes them, are of kinds of devices that a child of this process could open. Opens
 * nothing. 0, or a negative code with the reason in e. */
int yk_device_check_names(const char *names, yk_error *e);
/* A copy of the last error, for threads that share a device: the text of yoke_device_error() may change under them. */
void yk_device_last_error(yoke_device *dev, yk_error *ret);

/* Gives back the kernels of arrays. (array_device.c) */
void yk_array_kernels_close(yoke_device *dev);

/* ---- Addresses (span.c) ---- */

/* The span in which p lies, or NULL: memory of the host. Any thread; valid while the memory is. */
const yk_span *yk_span_of(const void *p);
int yk_span_add(yk_span *span); /* 0 or -ENOMEM */
void yk_span_remove(yk_span *span);

/* ---- Memory (memory.c) ---- */

/* The addresses of a process: no driver is asked for more, which it, or what rounds up for it, may not be prepared for. */
#define YK_MOST_BYTES ((size_t)1 << 47)

struct yk_memory *yk_memory_open(yoke_device *dev);
void yk_memory_close(struct yk_memory *m);
/* s NULL: for use in any stream, at once. */
void *yk_memory_alloc(yoke_device *dev, yoke_stream *s, size_t size);
void yk_memory_free(yoke_device *dev, yoke_stream *s, void *p);
/* s is about to be closed: it has been waited for. */
void yk_memory_forget(yoke_device *dev, yoke_stream *s);
/* The class of blocks that size bytes need, and how large those are. */
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

/* Whether all that was put in it has been done; false as well when it failed. */
bool yk_stream_is_idle(yoke_stream *s);
bool yk_streams_are_idle(yoke_device *dev);
/* Until all that is in any stream of dev has been done. What went wrong there is told by their own waits. */
int yk_streams_wait(yoke_device *dev);
/* What is put in s from now on waits for what is in `first` now; NULL: in every other stream. */
int yk_stream_after_stream(yoke_stream *s, yoke_stream *first, yk_error *e);
/* As yoke_stream_event_wait(); s, in which v was marked, and which is still open, gives the names of its kernels to the error. */
int yk_stream_event_wait(yoke_stream_event *v, yoke_stream *s);
/* Closes those that the user left open. */
void yk_streams_close(yoke_device *dev);

#endif
