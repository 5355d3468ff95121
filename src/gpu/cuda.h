/* cuda.h: what the files of the CUDA driver table share, and yoke's own declarations of the entry points of the driver,
 * libcuda.so.1, which is opened at run time like the compiler, libnvrtc, and libcublas. No header of a toolkit is needed.
 *
 *     cuda_load.c    finds and opens the driver, once; texts and codes of its errors
 *     cuda_device.c  what devices there are, and opening one: its primary context
 *     cuda_stream.c  memory, streams, events, copies
 *     cuda_fill.c    filling, and the kernels for what the driver cannot
 *     cuda_graph.c   recorded work as one launch
 *     cuda_find.c    finds and opens the libraries of a toolkit
 *     cuda_nvrtc.c   compiles
 *     cuda_blas.c    multiplies matrices by cuBLAS
 *     cuda_image.c   builds, functions, launches; the table itself
 *
 * The context of a device is the one that the CUDA runtime and what stands on it use too; it is made current in each
 * call and left so, never pushed nor popped. Nothing here calls the driver when the process ends. */
#ifndef YK_GPU_CUDA_H
#define YK_GPU_CUDA_H
#include "gpu/gpu.h"
#include "gpu/image_cache.h"
#include <limits.h>

struct yk_cu_context;
struct yk_cu_stream;
struct yk_cu_event;
struct yk_cu_module;
struct yk_cu_function;
struct yk_cu_graph;
struct yk_cu_graph_exec;
struct yk_cu_uuid {
    unsigned char bytes[16];
};
typedef uint64_t yk_cu_address;

/* ---- The driver's entry points ---- */

/* X(name, suffix, parameters): the suffix is that of the symbol whose parameters these are, for a driver that must be
 * asked with dlsym(); the symbol without it is often there too, with those of a time of 32 bits. Each result is a
 * CUresult, an int. */
#define YK_CUDA_CALLS(X)                                                                                                \
    X(cuInit, , (unsigned flags))                                                                                     \
    X(cuDriverGetVersion, , (int *ret))                                                                               \
    X(cuGetErrorName, , (int result, const char **ret))                                                               \
    X(cuGetErrorString, , (int result, const char **ret))                                                             \
    X(cuDeviceGetCount, , (int *ret))                                                                                 \
    X(cuDeviceGet, , (int *ret, int ordinal))                                                                         \
    X(cuDeviceGetName, , (char *ret, int size, int device))                                                           \
    X(cuDeviceGetUuid, , (struct yk_cu_uuid *ret, int device))                                                        \
    X(cuDeviceTotalMem, _v2, (size_t *ret, int device))                                                               \
    X(cuDeviceGetAttribute, , (int *ret, int attribute, int device))                                                  \
    X(cuDevicePrimaryCtxRetain, , (struct yk_cu_context **ret, int device))                                           \
    X(cuDevicePrimaryCtxRelease, _v2, (int device))                                                                   \
    X(cuCtxSetCurrent, , (struct yk_cu_context *context))                                                             \
    X(cuCtxGetCurrent, , (struct yk_cu_context **ret))                                                                \
    X(cuMemAlloc, _v2, (yk_cu_address *ret, size_t size))                                                             \
    X(cuMemFree, _v2, (yk_cu_address p))                                                                              \
    X(cuMemGetInfo, _v2, (size_t *ret_free, size_t *ret_total))                                                       \
    X(cuMemHostAlloc, , (void **ret, size_t size, unsigned flags))                                                    \
    X(cuMemFreeHost, , (void *p))                                                                                     \
    X(cuMemcpyAsync, , (yk_cu_address dst, yk_cu_address src, size_t size, struct yk_cu_stream *s))                   \
    X(cuMemcpyHtoDAsync, _v2, (yk_cu_address dst, const void *src, size_t size, struct yk_cu_stream *s))              \
    X(cuMemcpyDtoHAsync, _v2, (void *dst, yk_cu_address src, size_t size, struct yk_cu_stream *s))                    \
    X(cuMemcpyDtoDAsync, _v2, (yk_cu_address dst, yk_cu_address src, size_t size, struct yk_cu_stream *s))            \
    X(cuMemsetD8Async, , (yk_cu_address dst, unsigned char value, size_t count, struct yk_cu_stream *s))              \
    X(cuMemsetD16Async, , (yk_cu_address dst, unsigned short value, size_t count, struct yk_cu_stream *s))            \
    X(cuMemsetD32Async, , (yk_cu_address dst, unsigned value, size_t count, struct yk_cu_stream *s))                  \
    X(cuStreamCreate, , (struct yk_cu_stream **ret, unsigned flags))                                                  \
    X(cuStreamDestroy, _v2, (struct yk_cu_stream *s))                                                                 \
    X(cuStreamQuery, , (struct yk_cu_stream *s))                                                                      \
    X(cuStreamWaitEvent, , (struct yk_cu_stream *s, struct yk_cu_event *v, unsigned flags))                           \
    X(cuEventCreate, , (struct yk_cu_event **ret, unsigned flags))                                                    \
    X(cuEventDestroy, _v2, (struct yk_cu_event *v))                                                                   \
    X(cuEventRecord, , (struct yk_cu_event *v, struct yk_cu_stream *s))                                               \
    X(cuEventQuery, , (struct yk_cu_event *v))                                                                        \
    X(cuEventSynchronize, , (struct yk_cu_event *v))                                                                  \
    X(cuEventElapsedTime, , (float *ret, struct yk_cu_event *from, struct yk_cu_event *to))                           \
    X(cuModuleLoadDataEx, , (struct yk_cu_module **ret, const void *image, unsigned count, const int *options, void **values)) \
    X(cuModuleGetFunction, , (struct yk_cu_function **ret, struct yk_cu_module *m, const char *name))                 \
    X(cuModuleUnload, , (struct yk_cu_module *m))                                                                     \
    X(cuFuncGetAttribute, , (int *ret, int attribute, struct yk_cu_function *f))                                      \
    X(cuFuncSetAttribute, , (struct yk_cu_function *f, int attribute, int value))                                     \
    X(cuLaunchKernel, , (struct yk_cu_function *f, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
                           unsigned block_y, unsigned block_z, unsigned shared, struct yk_cu_stream *s, void **arguments, \
                           void **extra))

/* Later than 11.0: NULL where they are missing, and something else is done. */
#define YK_CUDA_LATER(X)                                                                                              \
    X(cuStreamBeginCapture, _v2, (struct yk_cu_stream *s, int mode))                                                  \
    X(cuStreamEndCapture, , (struct yk_cu_stream *s, struct yk_cu_graph **ret))                                       \
    X(cuGraphInstantiateWithFlags, , (struct yk_cu_graph_exec **ret, struct yk_cu_graph *g, uint64_t flags))          \
    X(cuGraphLaunch, , (struct yk_cu_graph_exec *g, struct yk_cu_stream *s))                                          \
    X(cuGraphExecDestroy, , (struct yk_cu_graph_exec *g))                                                             \
    X(cuGraphDestroy, , (struct yk_cu_graph *g))

#define YK_CUDA_FIELD(name, suffix, parameters) int(*name) parameters;
typedef struct yk_cuda_table {
    YK_CUDA_CALLS(YK_CUDA_FIELD)
    YK_CUDA_LATER(YK_CUDA_FIELD)
} yk_cuda_table;

/* The driver's results that yoke tells apart. */
enum yk_cuda_result {
    YK_CUDA_OK = 0,
    YK_CUDA_INVALID_VALUE = 1,
    YK_CUDA_OUT_OF_MEMORY = 2,
    YK_CUDA_NOT_INITIALIZED = 3,
    YK_CUDA_DEINITIALIZED = 4,
    YK_CUDA_STUB = 34,
    YK_CUDA_UNAVAILABLE = 46,
    YK_CUDA_NO_DEVICE = 100,
    YK_CUDA_INVALID_DEVICE = 101,
    YK_CUDA_INVALID_IMAGE = 200,
    YK_CUDA_INVALID_CONTEXT = 201,
    YK_CUDA_NO_BINARY = 209,
    YK_CUDA_ECC = 214,
    YK_CUDA_INVALID_PTX = 218,
    YK_CUDA_NVLINK = 220,
    YK_CUDA_NO_JIT = 221,
    YK_CUDA_NEW_PTX = 222,
    YK_CUDA_CONTAINED = 226,
    YK_CUDA_INVALID_SOURCE = 300,
    YK_CUDA_INVALID_HANDLE = 400,
    YK_CUDA_NOT_FOUND = 500,
    YK_CUDA_NOT_READY = 600,
    YK_CUDA_ILLEGAL_ADDRESS = 700,
    YK_CUDA_OUT_OF_RESOURCES = 701,
    YK_CUDA_TIMEOUT = 702,
    YK_CUDA_DESTROYED = 709,
    YK_CUDA_ASSERT = 710,
    YK_CUDA_STACK = 714,
    YK_CUDA_FAILED = 719,
    YK_CUDA_TOO_LARGE = 720,
    YK_CUDA_TENSOR_LEAK = 721,
    YK_CUDA_NOT_PERMITTED = 800,
    YK_CUDA_NOT_SUPPORTED = 801,
    YK_CUDA_NOT_READY_SYSTEM = 802,
    YK_CUDA_MISMATCH = 803,
    YK_CUDA_NO_COMPAT = 804,
    YK_CUDA_MPS_ENDED = 810,
    YK_CUDA_NO_CAPTURE = 900,
    YK_CUDA_EXTERNAL = 911,
    YK_CUDA_UNKNOWN = 999
};

/* ---- Loading (cuda_load.c) ---- */

/* Complete once yk_cuda_load() has returned 0 or more; written by it alone. */
extern yk_cuda_table yk_cuda;

/* Opens the driver if that has not been tried yet. How many devices it has, or the reason why it cannot be used, the
 * same each time; -ECHILD in a child of the process that opened it. */
int yk_cuda_load(yk_error *e);
/* Whether it has been opened, by this process or by one that this is a child of. */
bool yk_cuda_is_open(void);
/* As of the driver: 13000 is CUDA 13.0. */
int yk_cuda_version(void);
/* Fills e with what the driver said of `call` and with what was being done, a format. Returns the code. 0 is no failure. */
int yk_cuda_fail(yk_error *e, int result, const char *call, const char *doing, ...) __attribute__((format(printf, 4, 5)));
/* The name of a result, "CUDA_ERROR_OUT_OF_MEMORY". Never NULL. */
const char *yk_cuda_name(int result);

/* ---- Devices (cuda_device.c) ---- */

/* What hangs at yoke_device.native. Written while it is opened and closed; module and fill under lock. */
typedef struct yk_cuda_device {
    struct yk_cu_context *context;
    int ordinal;
    uint32_t serial; /* of this opening: another time the context may have the same address */
    yk_mutex lock;
    struct yk_cu_module *fill_module;   /* cuda_fill.c: made when first needed */
    struct yk_cu_function *fill[2];
    yk_mutex blas_lock;                 /* cuda_blas.c: of what follows, and held while the handle is used */
    struct yk_cublas *blas;
    bool blas_tried;
} yk_cuda_device;

int yk_cuda_count(yk_error *e);
void yk_cuda_describe(unsigned i, yoke_device_info *ret);
int yk_cuda_find(const char *arg, yk_error *e);
int yk_cuda_open(yoke_device *d, unsigned i, yk_error *e);
void yk_cuda_close(yoke_device *d);

/* The opening whose context this thread made current last. */
extern _Thread_local uint32_t yk_cuda_entered;
int yk_cuda_enter_slow(const yk_cuda_device *c);

/* Makes the device's context this thread's. Asks what is current, since others set it too. Returns a result. */
static inline int yk_cuda_enter(const yoke_device *d)
{
    const yk_cuda_device *c = d->native;
    struct yk_cu_context *now = NULL;
    if (YK_LIKELY(yk_cuda_entered == c->serial && yk_cuda.cuCtxGetCurrent(&now) == YK_CUDA_OK && now == c->context))
        return YK_CUDA_OK;
    return yk_cuda_enter_slow(c);
}

/* The same, with the text of a failure. */
static inline int yk_cuda_enter_for(const yoke_device *d, const char *doing, yk_error *e)
{
    int result = yk_cuda_enter(d);
    return YK_LIKELY(result == YK_CUDA_OK) ? 0 : yk_cuda_fail(e, result, "cuCtxSetCurrent", "%s", doing);
}

/* ---- Memory and streams (cuda_stream.c, cuda_fill.c) ---- */

/* What hangs at yoke_stream.native. Constant while it is open. */
typedef struct yk_cuda_stream {
    struct yk_cu_stream *stream;
    struct yk_cu_event *pause; /* on which a long wait sleeps */
} yk_cuda_stream;

int yk_cuda_take(yoke_device *d, yk_span *span, yk_error *e);
void yk_cuda_give(yoke_device *d, yk_span *span);
int yk_cuda_pin(yoke_device *d, size_t size, void **ret, yk_error *e);
void yk_cuda_unpin(yoke_device *d, void *memory);
int yk_cuda_stream_open(yoke_stream *s, yk_error *e);
void yk_cuda_stream_close(yoke_stream *s);
int yk_cuda_stream_wait(yoke_stream *s, yk_error *e);
int yk_cuda_stream_try(yoke_stream *s, yk_error *e);
int yk_cuda_event_open(yoke_stream_event *v, yk_error *e);
void yk_cuda_event_close(yoke_stream_event *v);
int yk_cuda_event_mark(yoke_stream *s, yoke_stream_event *v, yk_error *e);
int yk_cuda_event_after(yoke_stream *s, yoke_stream_event *v, yk_error *e);
int yk_cuda_event_wait(yoke_stream_event *v, yk_error *e);
int yk_cuda_event_try(yoke_stream_event *v, yk_error *e);
int yk_cuda_event_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret, yk_error *e);
int yk_cuda_copy(yoke_stream *s, void *dst, const yk_span *to, const void *src, const yk_span *from, size_t size, yk_error *e);
int yk_cuda_fill(yoke_stream *s, void *dst, const yk_span *to, const void *value, size_t size, size_t count, yk_error *e);
/* Lets go of what filling needed. The device's context is current. */
void yk_cuda_fill_done(yk_cuda_device *c);

/* ---- Graphs (cuda_graph.c) ---- */

int yk_cuda_graph_open(yoke_device *d, const struct yk_command *first, void **ret, yk_error *e);
int yk_cuda_graph_launch(yoke_stream *s, void *graph, yk_error *e);
void yk_cuda_graph_close(yoke_device *d, void *graph);

/* ---- Images (cuda_image.c) ---- */

/* A module, loaded from text that the driver compiles or from what NVRTC made. The log of a failure is appended to log
 * (may be NULL). Returns a result. */
int yk_cuda_module(const void *image, struct yk_cu_module **ret, yk_buf *log);

/* ---- Libraries of a toolkit (cuda_find.c) ---- */

enum { YK_CUDA_VERSIONS = 3 }; /* 13, 12, 11 */

/* What stands before path says which it is, for finding it and for messages. */
typedef struct yk_cuda_library {
    const char *use, *name, *since;          /* "compiler", "NVRTC", "11.2" */
    const char *variable;                    /* YOKE_NVRTC names it, or its folder */
    const char *sonames[YK_CUDA_VERSIONS];   /* of CUDA 13, 12 and 11 */
    const char *plain, *files;               /* without a version; all of them, for messages */
    const char *package, *pip;               /* its folder in Python's packages of CUDA 12 and before; what pip installs */
    char path[PATH_MAX];
    void *opened;
    char failed[4][PATH_MAX];                /* what was opened in vain */
    unsigned failures;
} yk_cuda_library;

typedef struct yk_cuda_entry {
    const char *name;
    size_t at;
} yk_cuda_entry;

/* Fills path; the order depends on the driver's version. 0, or -ENOPKG: e says where it was looked for. Does not open it
 * unless only the loader knows where it is. */
int yk_cuda_library_find(yk_cuda_library *l, yk_error *e);
/* Opens it for good, and puts its functions at their places in table. One that does not do is passed over for the next that
 * there is, whose path it then is. 0, or -ENOPKG: e says what is wrong with the first. */
int yk_cuda_library_open(yk_cuda_library *l, const yk_cuda_entry *entries, size_t count, void *table, yk_error *e);

/* ---- Products of matrices (cuda_blas.c; yk_cuda_multiply() in gpu/primitive.h) ---- */

/* One line for `yoke doctor`: which library multiplies, or why none does. Opens it. */
void yk_cublas_describe(yk_buf *out);
/* Lets go of the device's handle. The device's context is current. */
void yk_cublas_done(yoke_device *d);

/* ---- The compiler (cuda_nvrtc.c) ---- */

/* A text that changes when the compiler does. Does not open it when it can be found by its path; when a compile has found that
 * it cannot be opened, it is another's, at another address. 0, or -ENOPKG: there is none, e says where it was looked for. */
int yk_nvrtc_identity(const char **ret, yk_error *e);
/* One line for `yoke doctor`: where it is, or where it was looked for. */
void yk_nvrtc_describe(yk_buf *out);
/* -EINVAL: it does not compile, b->log says why. In every case b is to be done with. */
int yk_nvrtc_compile(const yk_build_source *source, yk_binary *b, yk_error *e);
#endif
