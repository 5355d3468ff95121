/* opencl: OpenCL devices, without OpenCL's headers: the calls of libOpenCL.so.1 that yoke uses, declared here and
 * looked up when a device is first asked for. OpenCL 1.2 is enough; what is later is optional. Constants: the
 * OpenCL specification.
 *
 * Who may see this: the opencl_*.c files and their tests. Kernel texts follow one rule, which launch() relies on:
 * memory of the device, `T *x`, is two parameters, `__global T *x, ulong x_at`, where x_at is how many bytes behind
 * the start of the buffer the address lies; everything else is one parameter. If a launch asks for group memory, a
 * `__local` pointer is the last parameter. */
#ifndef YK_GPU_OPENCL_H
#define YK_GPU_OPENCL_H
#include "gpu/gpu.h"

/* X(name, parameters, arguments): what returns a code. Handles are pointers. */
#define YK_CL_CALLS(X)                                                                                             \
    X(GetPlatformIDs, (uint32_t room, void **ret, uint32_t *ret_count), (room, ret, ret_count))                    \
    X(GetPlatformInfo, (void *platform, uint32_t what, size_t room, void *ret, size_t *ret_size),                  \
      (platform, what, room, ret, ret_size))                                                                       \
    X(GetDeviceIDs, (void *platform, uint64_t type, uint32_t room, void **ret, uint32_t *ret_count),               \
      (platform, type, room, ret, ret_count))                                                                      \
    X(GetDeviceInfo, (void *device, uint32_t what, size_t room, void *ret, size_t *ret_size),                      \
      (device, what, room, ret, ret_size))                                                                         \
    X(ReleaseContext, (void *context), (context))                                                                  \
    X(ReleaseCommandQueue, (void *queue), (queue))                                                                 \
    X(ReleaseMemObject, (void *memory), (memory))                                                                  \
    X(ReleaseProgram, (void *program), (program))                                                                  \
    X(ReleaseKernel, (void *kernel), (kernel))                                                                     \
    X(RetainEvent, (void *marker), (marker))                                                                       \
    X(ReleaseEvent, (void *marker), (marker))                                                                      \
    X(BuildProgram,                                                                                                \
      (void *program, uint32_t n, void *const *devices, const char *options, void (*fn)(void *, void *),           \
       void *arg),                                                                                                 \
      (program, n, devices, options, fn, arg))                                                                     \
    X(GetProgramInfo, (void *program, uint32_t what, size_t room, void *ret, size_t *ret_size),                    \
      (program, what, room, ret, ret_size))                                                                        \
    X(GetProgramBuildInfo, (void *program, void *device, uint32_t what, size_t room, void *ret, size_t *ret_size), \
      (program, device, what, room, ret, ret_size))                                                                \
    X(GetKernelInfo, (void *kernel, uint32_t what, size_t room, void *ret, size_t *ret_size),                      \
      (kernel, what, room, ret, ret_size))                                                                         \
    X(GetKernelWorkGroupInfo,                                                                                      \
      (void *kernel, void *device, uint32_t what, size_t room, void *ret, size_t *ret_size),                       \
      (kernel, device, what, room, ret, ret_size))                                                                 \
    X(SetKernelArg, (void *kernel, uint32_t i, size_t size, const void *value), (kernel, i, size, value))          \
    X(Flush, (void *queue), (queue))                                                                               \
    X(Finish, (void *queue), (queue))                                                                              \
    X(WaitForEvents, (uint32_t n, void *const *events), (n, events))                                               \
    X(GetEventInfo, (void *marker, uint32_t what, size_t room, void *ret, size_t *ret_size),                       \
      (marker, what, room, ret, ret_size))                                                                         \
    X(GetEventProfilingInfo, (void *marker, uint32_t what, size_t room, void *ret, size_t *ret_size),              \
      (marker, what, room, ret, ret_size))                                                                         \
    X(EnqueueReadBuffer,                                                                                           \
      (void *queue, void *from, uint32_t block, size_t at, size_t size, void *to, uint32_t n, void *const *after,  \
       void **event),                                                                                              \
      (queue, from, block, at, size, to, n, after, event))                                                         \
    X(EnqueueWriteBuffer,                                                                                          \
      (void *queue, void *to, uint32_t block, size_t at, size_t size, const void *from, uint32_t n,                \
       void *const *after, void **event),                                                                          \
      (queue, to, block, at, size, from, n, after, event))                                                         \
    X(EnqueueCopyBuffer,                                                                                           \
      (void *queue, void *from, void *to, size_t from_at, size_t to_at, size_t size, uint32_t n,                   \
       void *const *after, void **event),                                                                          \
      (queue, from, to, from_at, to_at, size, n, after, event))                                                    \
    X(EnqueueFillBuffer,                                                                                           \
      (void *queue, void *to, const void *value, size_t value_size, size_t at, size_t size, uint32_t n,            \
       void *const *after, void **event),                                                                          \
      (queue, to, value, value_size, at, size, n, after, event))                                                   \
    X(EnqueueUnmapMemObject,                                                                                       \
      (void *queue, void *memory, void *mapped, uint32_t n, void *const *after, void **event),                     \
      (queue, memory, mapped, n, after, event))                                                                    \
    X(EnqueueNDRangeKernel,                                                                                        \
      (void *queue, void *kernel, uint32_t dims, const size_t *offset, const size_t *global, const size_t *local,  \
       uint32_t n, void *const *after, void **event),                                                              \
      (queue, kernel, dims, offset, global, local, n, after, event))                                               \
    X(EnqueueMarkerWithWaitList, (void *queue, uint32_t n, void *const *after, void **event),                      \
      (queue, n, after, event))                                                                                    \
    X(EnqueueBarrierWithWaitList, (void *queue, uint32_t n, void *const *after, void **event),                     \
      (queue, n, after, event))

/* What returns a handle, or NULL and a code in *error. */
#define YK_CL_MAKERS(X)                                                                                            \
    X(CreateContext,                                                                                               \
      (const intptr_t *properties, uint32_t n, void *const *devices,                                               \
       void (*fn)(const char *, const void *, size_t, void *), void *arg, int32_t *error),                         \
      (properties, n, devices, fn, arg, error))                                                                    \
    X(CreateCommandQueue, (void *context, void *device, uint64_t properties, int32_t *error),                      \
      (context, device, properties, error))                                                                        \
    X(CreateBuffer, (void *context, uint64_t flags, size_t size, void *memory, int32_t *error),                    \
      (context, flags, size, memory, error))                                                                       \
    X(CreateProgramWithSource,                                                                                     \
      (void *context, uint32_t n, const char **texts, const size_t *sizes, int32_t *error),                        \
      (context, n, texts, sizes, error))                                                                           \
    X(CreateProgramWithBinary,                                                                                     \
      (void *context, uint32_t n, void *const *devices, const size_t *sizes, const unsigned char *const *binaries,  \
       int32_t *status, int32_t *error),                                                                           \
      (context, n, devices, sizes, binaries, status, error))                                                       \
    X(CreateKernel, (void *program, const char *name, int32_t *error), (program, name, error))                     \
    X(EnqueueMapBuffer,                                                                                            \
      (void *queue, void *memory, uint32_t block, uint64_t flags, size_t at, size_t size, uint32_t n,              \
       void *const *after, void **event, int32_t *error),                                                          \
      (queue, memory, block, flags, at, size, n, after, event, error))

/* Later than 1.2: NULL where they are missing. */
#define YK_CL_LATER(X) X(SetKernelArgSVMPointer, (void *kernel, uint32_t i, const void *value), (kernel, i, value))

#define YK_CL_FIELD(name, parameters, arguments) int32_t(*name) parameters;
#define YK_CL_MAKER_FIELD(name, parameters, arguments) void *(*name)parameters;
typedef struct yk_cl_table {
    YK_CL_CALLS(YK_CL_FIELD)
    YK_CL_LATER(YK_CL_FIELD)
    YK_CL_MAKERS(YK_CL_MAKER_FIELD)
} yk_cl_table;
#undef YK_CL_FIELD
#undef YK_CL_MAKER_FIELD

enum {
    YK_CL_DEVICE_NOT_FOUND = -1,
    YK_CL_OUT_OF_RESOURCES = -5,
    YK_CL_BUILD_PROGRAM_FAILURE = -11,
    YK_CL_EXEC_STATUS_ERROR = -14,
    YK_CL_INVALID_BUILD_OPTIONS = -43,
    YK_CL_INVALID_KERNEL_NAME = -46,
    YK_CL_PLATFORM_NOT_FOUND = -1001,

    YK_CL_PLATFORM_VERSION = 0x0901,
    YK_CL_PLATFORM_NAME = 0x0902,
    YK_CL_PLATFORM_VENDOR = 0x0903,
    YK_CL_PLATFORM_SUFFIX = 0x0920,

    YK_CL_DEVICE_TYPE = 0x1000,
    YK_CL_DEVICE_UNITS = 0x1002,
    YK_CL_DEVICE_GROUP_MOST = 0x1004,
    YK_CL_DEVICE_CLOCK_MHZ = 0x100C,
    YK_CL_DEVICE_LARGEST = 0x1010,
    YK_CL_DEVICE_SINGLE = 0x101B,
    YK_CL_DEVICE_CACHE = 0x101E,
    YK_CL_DEVICE_MEMORY = 0x101F,
    YK_CL_DEVICE_LOCAL = 0x1023,
    YK_CL_DEVICE_AVAILABLE = 0x1027,
    YK_CL_DEVICE_COMPILER = 0x1028,
    YK_CL_DEVICE_NAME = 0x102B,
    YK_CL_DRIVER_VERSION = 0x102D,
    YK_CL_DEVICE_DOUBLE = 0x1032,
    YK_CL_DEVICE_SVM = 0x1053,
    YK_CL_DEVICE_GROUP_MULTIPLE = 0x1067,
    YK_CL_DEVICE_CAPABILITY_MAJOR_NV = 0x4000,
    YK_CL_DEVICE_CAPABILITY_MINOR_NV = 0x4001,
    YK_CL_DEVICE_REGISTERS_NV = 0x4002,
    YK_CL_DEVICE_WARP_NV = 0x4003,
    YK_CL_DEVICE_PCI_BUS_NV = 0x4008,
    YK_CL_DEVICE_PCI_SLOT_NV = 0x4009,
    YK_CL_DEVICE_PCI_DOMAIN_NV = 0x400A,
    YK_CL_DEVICE_WAVEFRONT_AMD = 0x4043,
    YK_CL_DEVICE_PCI = 0x410F, /* cl_khr_pci_bus_info: domain, bus, device, function */

    YK_CL_TYPE_CPU = 1 << 1,
    YK_CL_TYPE_GPU = 1 << 2,
    YK_CL_SINGLE_EXACT_DIVISION = 1 << 7, /* of YK_CL_DEVICE_SINGLE */
    YK_CL_SVM_SYSTEM = 1 << 2,            /* of YK_CL_DEVICE_SVM: any address of the host will do */

    YK_CL_CONTEXT_PLATFORM = 0x1084,
    YK_CL_QUEUE_PROFILING = 1 << 1,
    YK_CL_MEM_READ_WRITE = 1 << 0,
    YK_CL_MEM_USE_HOST_PTR = 1 << 3,
    YK_CL_MEM_ALLOC_HOST_PTR = 1 << 4,
    YK_CL_MAP_READ_WRITE = 3,

    YK_CL_PROGRAM_BINARY_SIZES = 0x1165,
    YK_CL_PROGRAM_BINARIES = 0x1166,
    YK_CL_PROGRAM_KERNEL_NAMES = 0x1168,
    YK_CL_PROGRAM_BUILD_LOG = 0x1183,
    YK_CL_KERNEL_NUM_ARGS = 0x1191,
    YK_CL_KERNEL_GROUP_MOST = 0x11B0,
    YK_CL_KERNEL_LOCAL = 0x11B2,
    YK_CL_KERNEL_PRIVATE = 0x11B4,
    YK_CL_EVENT_STATUS = 0x11D3,
    YK_CL_RUNNING = 1, /* of YK_CL_EVENT_STATUS; less: it has ended */
    YK_CL_PROFILING_END = 0x1283,
};
static const uint64_t YK_CL_TYPE_ALL = 0xFFFFFFFF;

/* ---- The library (opencl_load.c) ---- */

extern yk_cl_table yk_cl; /* complete once yk_cl_load() returned 0, but for what is later than 1.2 */

/* Opens libOpenCL.so.1, or what YOKE_OPENCL_DRIVER names. Not for two threads at a time. -ENODEV with the reason.
 */
int yk_cl_load(yk_error *e);
/* "CL_OUT_OF_RESOURCES", or "an unknown error". */
const char *yk_cl_name(int32_t code);
/* Fills e (may be NULL) with "WHAT: CL_NAME (CODE) from clCALL" and returns the errno code that is nearest,
 * negative. */
int yk_cl_fail(yk_error *e, int32_t code, const char *call, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a call that waits: there CL_OUT_OF_RESOURCES is how drivers report a kernel that died. */
int yk_cl_wait_fail(yk_error *e, int32_t code, const char *call, const yoke_device *d);

/* ---- Devices (opencl_device.c) ---- */

/* An open device: its native. Set by open(), then read by all; the list of pinned memory is under its lock. */
typedef struct yk_cl_device {
    void *id, *context;
    void *queue;           /* maps pinned memory; NULL when memory is the host's */
    bool host_memory;      /* what it works in is memory of the host: a CPU */
    bool svm;              /* any address of the host may be given to a kernel */
    bool starts_by_itself; /* work begins without clFlush() */
    bool has_width_bug;    /* of PoCL before 7.0: opencl_enqueue.c */
    bool exact_division;
    bool keeps_programs;      /* the driver keeps what it has built */
    char builder[400];        /* changes when device, platform or driver do */
    _Atomic uint64_t releases; /* of memory of the device, so far */
    yk_mutex lock;
    struct yk_cl_pinned *pinned;
} yk_cl_device;

/* ---- Streams (opencl_stream.c) ---- */

enum { YK_CL_TRANSFERS = 32 };

/* A stream's native. Any thread may ask whether it is idle, while its user goes on. */
typedef struct yk_cl_stream {
    void *queue;
    yk_cl_device *dev;
    struct yk_cl_stream *next; /* opencl_enqueue.c */
    unsigned number;       /* which of a kernel's copies is used */
    _Atomic uint64_t sent; /* things put in it; written by its user */
    yk_mutex lock;         /* of what follows */
    uint64_t done;         /* so many of them are done, at least */
    void *marker;          /* a question under way: it stands behind the first `asked` things */
    uint64_t asked;
    void *transfers[YK_CL_TRANSFERS]; /* events of copies from and to the host, oldest first, until they end */
    unsigned transfer_count;
    int32_t failed;        /* how the first of them failed that has, since that was told; 0: none has */
} yk_cl_stream;

int yk_cl_stream_open(yoke_stream *s, yk_error *e);
void yk_cl_stream_close(yoke_stream *s);
int yk_cl_stream_wait(yoke_stream *s, yk_error *e);
int yk_cl_stream_try(yoke_stream *s, yk_error *e);
int yk_cl_event_open(yoke_stream_event *v, yk_error *e);
void yk_cl_event_close(yoke_stream_event *v);
int yk_cl_event_mark(yoke_stream *s, yoke_stream_event *v, yk_error *e);
int yk_cl_event_after(yoke_stream *s, yoke_stream_event *v, yk_error *e);
int yk_cl_event_wait(yoke_stream_event *v, yk_error *e);
int yk_cl_event_try(yoke_stream_event *v, yk_error *e);
int yk_cl_event_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret, yk_error *e);
int yk_cl_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size,
               yk_error *e);
int yk_cl_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count,
               yk_error *e);

/* After each thing put in a stream, by its user. */
static inline void yk_cl_sent(yk_cl_stream *q)
{
    uint64_t n = atomic_load_explicit(&q->sent, memory_order_relaxed) + 1;
    atomic_store_explicit(
        &q->sent, n,
        memory_order_release); /* pairs with the acquire in sent_to(): what is counted is in the queue */
    if (!q->dev->starts_by_itself)
        yk_cl.Flush(q->queue);
}

/* ---- Kernels into queues (opencl_enqueue.c) ---- */

/* What is known of a kernel's launches where PoCL must be helped; NULL elsewhere. */
typedef struct yk_cl_widths yk_cl_widths;

void yk_cl_enlist(yk_cl_stream *q);
void yk_cl_delist(yk_cl_stream *q);
uint64_t yk_cl_program_hash(const char *text, const char *options);
/* The same for each program of this hash. To be released; NULL without memory. */
yk_cl_widths *yk_cl_widths_get(uint64_t program, const char *name);
void yk_cl_widths_release(yk_cl_widths *w);
/* 0 or OpenCL's code. */
int32_t yk_cl_enqueue(yk_cl_stream *q, yk_cl_widths *w, void *kernel, uint32_t dims, const size_t global[3],
                      const size_t group[3]);

/* ---- Programs (opencl_build.c) ---- */

int yk_cl_build_program(const yoke_device *d, const char *text, const char *options, const char *name, void **ret,
                        yk_buf *log, yk_error *e);

/* ---- Kernels (opencl_image.c) ---- */

int yk_cl_build(yoke_device *d, const char *text, const char *options, const char *name, yk_image **ret,
                yk_buf *log, yk_error *e);
int yk_cl_function(yk_image *image, const char *name, yk_function *ret, yk_error *e);
void yk_cl_unload(yoke_device *d, yk_image *image);
int yk_cl_launch(yoke_stream *s, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args,
                 unsigned count, yk_error *e);

/* A launch that is done many times: its kernel object is nobody else's, and has its arguments. NULL: there is nothing to do.
 * To be released, after a failure too. */
typedef struct yk_cl_fixed {
    void *kernel;
    yk_cl_widths *widths; /* of the function's launches */
    uint32_t dims;
    size_t global[3], group[3];
} yk_cl_fixed;
int yk_cl_fix(const yoke_device *d, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args, unsigned count,
              yk_cl_fixed *ret, yk_error *e);

/* ---- Graphs (opencl_graph.c) ---- */

struct yk_command;
int yk_cl_graph_open(yoke_device *d, const struct yk_command *first, void **ret, yk_error *e);
int yk_cl_graph_launch(yoke_stream *s, void *graph, yk_error *e);
void yk_cl_graph_close(yoke_device *d, void *graph);

#endif
