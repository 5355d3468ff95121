/* cuda_blas: products of matrices by cuBLAS, where there is one: it is faster than the kernel in device/matmul.cuda, in double
 * precision by far, since it was tuned for each device and uses its units for matrices.
 *
 * A device has one handle, made at its first product and ended with it, and whether there is one is decided then, once: results
 * must not change their last bits from call to call. For the same reason each product gets a workspace of its own in the order
 * of its stream, of one size: cuBLAS then gives the same bits each time, whatever other streams do. Its default mode computes in
 * the precision of the operands or a higher one; TF32 must be asked for, which nobody does here.
 *
 * cuBLAS has matrices column after column. What is a matrix row after row is its transpose there, so that C = A B is asked for
 * as C' = B' A': the operands change places, and nothing is transposed. */
#include "gpu/cuda.h"
#include "gpu/primitive.h"
#include <stddef.h>
#include <stdlib.h>

enum status {
    SUCCESS = 0,
    NOT_INITIALIZED = 1,
    ALLOC_FAILED = 3,
    INVALID_VALUE = 7,
    ARCH_MISMATCH = 8,
    MAPPING_ERROR = 11,
    EXECUTION_FAILED = 13,
    INTERNAL_ERROR = 14,
    NOT_SUPPORTED = 15,
    LICENSE_ERROR = 16
};
enum { NOT_TRANSPOSED = 0, DEFAULT_MATH = 0 };

/* X(name, symbol's suffix, parameters): all are there since 11.2, where the compiler begins too. */
#define GEMM(T)                                                                                                            \
    (struct yk_cublas *h, int op_a, int op_b, int m, int n, int k, const T *alpha, const T *a, int lda, const T *b, int ldb, \
     const T *beta, T *c, int ldc)
#define CUBLAS_CALLS(X)                                                                \
    X(cublasCreate, _v2, (struct yk_cublas * *ret))                                    \
    X(cublasDestroy, _v2, (struct yk_cublas * h))                                      \
    X(cublasSetStream, _v2, (struct yk_cublas * h, struct yk_cu_stream *s))            \
    X(cublasSetWorkspace, _v2, (struct yk_cublas * h, void *memory, size_t size))      \
    X(cublasSetMathMode, , (struct yk_cublas * h, int mode))                           \
    X(cublasSgemm, _v2, GEMM(float))                                                   \
    X(cublasDgemm, _v2, GEMM(double))

#define FIELD(name, suffix, parameters) int(*name) parameters;
/* Written under lock, once; read by who has seen it written under it. */
static struct {
    yk_mutex lock;
    bool tried;
    int usable; /* 0 or a negative code */
    yk_cuda_library library;
    yk_error error;
    CUBLAS_CALLS(FIELD)
} cublas = {.library = {.use = "BLAS",
                        .name = "cuBLAS",
                        .since = "11.2",
                        .variable = "YOKE_CUBLAS",
                        .sonames = {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"},
                        .plain = "libcublas.so",
                        .files = "libcublas.so.13, .12 or .11",
                        .package = "cublas",
                        .pip = "nvidia-cublas"}};

/* ---- The library ---- */

static int open_it(void)
{
    static const yk_cuda_entry entries[] = {
#define ENTRY(name, suffix, parameters) {#name #suffix, offsetof(__typeof__(cublas), name)},
        CUBLAS_CALLS(ENTRY)};
    const char *own = getenv(cublas.library.variable);
    if (own && strcmp(own, "off") == 0)
        return yk_errorf(&cublas.error, ENOPKG, "cuda: no BLAS: %s=off", cublas.library.variable);
    int err = yk_cuda_library_find(&cublas.library, &cublas.error);
    return err < 0 ? err
                   : yk_cuda_library_open(&cublas.library, entries, YK_COUNT_OF(entries), &cublas, &cublas.error);
}

/* In a child the lock may be another thread's of the parent, which was opening it. */
static void child_begins(void)
{
    if (atomic_load_explicit(&cublas.lock.word, memory_order_relaxed) && !cublas.tried) {
        cublas.usable = yk_errorf(&cublas.error, ECHILD, "cuda: no BLAS: fork() came while it was opened");
        cublas.tried = true;
    }
    cublas.lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, child_begins);
}

static bool is_usable(void)
{
    yk_mutex_lock(&cublas.lock);
    if (!cublas.tried)
        cublas.usable = open_it();
    cublas.tried = true;
    yk_mutex_unlock(&cublas.lock);
    return cublas.usable == 0;
}

void yk_cublas_describe(yk_buf *out)
{
    if (is_usable())
        yk_buf_printf(out, "  matrices are multiplied by %s\n", cublas.library.path);
    else
        yk_buf_printf(out, "  matrices are multiplied by kernels of yoke's own (%s)\n", cublas.error.text);
}

/* ---- Handles ---- */

/* NULL: without one. A library for newer drivers or other devices cannot make any. The device's lock is held. */
static struct yk_cublas *make_handle(void)
{
    struct yk_cublas *h = NULL;
    if (cublas.cublasCreate(&h) != SUCCESS)
        return NULL;
    if (cublas.cublasSetMathMode(h, DEFAULT_MATH) == SUCCESS)
        return h;
    cublas.cublasDestroy(h);
    return NULL;
}

static bool has_handle(const yoke_device *dev)
{
    yk_cuda_device *d = dev->native;
    yk_mutex_lock(&d->blas_lock);
    if (!d->blas_tried && yk_cuda_enter(dev) == YK_CUDA_OK) {
        d->blas = is_usable() ? make_handle() : NULL;
        d->blas_tried = true;
    }
    bool has = d->blas != NULL;
    yk_mutex_unlock(&d->blas_lock);
    return has;
}

/* Its last stream and workspace are gone already, so they are taken away first. With a device that was lost all that the handle
 * had is gone, and a driver that answers errors alone is not to be tried. */
void yk_cublas_done(yoke_device *dev)
{
    yk_cuda_device *d = dev->native;
    if (d->blas && yk_device_check(dev) == 0) {
        cublas.cublasSetStream(d->blas, NULL);
        cublas.cublasDestroy(d->blas);
    }
    d->blas = NULL;
}

/* ---- Products ---- */

static const char *name_of(int status)
{
    switch (status) {
    case NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    case LICENSE_ERROR: return "CUBLAS_STATUS_LICENSE_ERROR";
    }
    return "unknown error";
}

static int code_of(int status)
{
    switch (status) {
    case ALLOC_FAILED: return -ENOMEM;
    case INVALID_VALUE: return -EINVAL;
    case ARCH_MISMATCH:
    case NOT_SUPPORTED: return -ENOTSUP;
    case LICENSE_ERROR: return -EPERM;
    }
    return -EIO;
}

/* cuBLAS says little of why; when the context is lost, by a kernel before this, say, the driver says more. */
static int failed(yk_primitive_call *c, int status, const char *call)
{
    const yk_cuda_stream *s = c->s->native;
    int result = yk_cuda.cuStreamQuery(s->stream);
    if (result != YK_CUDA_OK && result != YK_CUDA_NOT_READY)
        return yk_cuda_fail(&c->e, result, call, "%s", c->name);
    return yk_errorf(&c->e, code_of(status), "cuda: %s: %s: %s (%d); without cuBLAS: YOKE_CUBLAS=off", c->name, call,
                     name_of(status), status);
}

/* The device's lock is held: what is set of the handle is for this call. Setting the stream takes the workspace away, so it
 * comes first. */
static int multiply(yk_primitive_call *c, const yk_multiplying *a, void *workspace, size_t size)
{
    static const float one = 1, zero = 0;
    static const double wide_one = 1, wide_zero = 0;
    struct yk_cublas *h = ((const yk_cuda_device *)c->s->dev->native)->blas;
    const int m = (int)a->m, n = (int)a->n, k = (int)a->k, lda = (int)a->lda, ldb = (int)a->ldb, ldc = (int)a->ldc;
    const char *call = "cublasSetStream";
    int status = cublas.cublasSetStream(h, ((const yk_cuda_stream *)c->s->native)->stream);
    if (status == SUCCESS) {
        call = "cublasSetWorkspace";
        status = cublas.cublasSetWorkspace(h, workspace, size);
    }
    if (status == SUCCESS && a->type == YK_F32) {
        call = "cublasSgemm";
        status = cublas.cublasSgemm(h, NOT_TRANSPOSED, NOT_TRANSPOSED, n, m, k, &one, a->b, ldb, a->a, lda, &zero, a->c, ldc);
    } else if (status == SUCCESS) {
        call = "cublasDgemm";
        status = cublas.cublasDgemm(h, NOT_TRANSPOSED, NOT_TRANSPOSED, n, m, k, &wide_one, a->b, ldb, a->a, lda, &wide_zero,
                                    a->c, ldc);
    }
    return status == SUCCESS ? 0 : failed(c, status, call);
}

/* What cuBLAS is to have on a device: as much as its manual advises, 32 MiB from Hopper on. */
static size_t workspace_size(const yoke_device *dev)
{
    return (size_t)(dev->info.capability >= 90 ? 32 : 4) << 20;
}

static bool fits(const yk_multiplying *a)
{
    return a->k > 0 && YK_MAX(YK_MAX(a->m, a->n), a->k) <= INT32_MAX &&
           YK_MAX(YK_MAX(a->lda, a->ldb), a->ldc) <= INT32_MAX;
}

bool yk_cuda_multiply(yk_primitive_call *c, const yk_multiplying *a)
{
    const yoke_device *dev = c->s->dev;
    if (!fits(a) || !has_handle(dev))
        return false;
    const size_t size = workspace_size(dev);
    void *workspace = yk_call_temporary(c, size);
    if (!workspace || yk_cuda_enter_for(dev, c->name, &c->e) < 0)
        return true;
    yk_cuda_device *d = dev->native;
    yk_mutex_lock(&d->blas_lock);
    if (multiply(c, a, workspace, size) == 0)
        yk_stream_note(c->s, c->name);
    yk_mutex_unlock(&d->blas_lock);
    return true;
}
