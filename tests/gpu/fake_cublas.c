/* fake_cublas.c - cuBLAS for tests, of the same library as fake_cuda.c: products column after column on the memory of the
 * host, put in the stream as any other work. It is stricter than cuBLAS: matrices and workspace must lie in blocks of the
 * device, the workspace must be set after the stream and be nobody else's until the product has been done, the mode must be
 * the default. Its declarations are its own, written after NVIDIA's manual. */
#include "fake_inside.h"
#include <stdlib.h>
#include <string.h>

enum { SUCCESS, NOT_INITIALIZED, INVALID_VALUE = 7, EXECUTION_FAILED = 13, WORKSPACE_LEAST = 4 << 20, UNIT = 256 };

typedef struct fake_handle {
    struct yk_cu_context *context;
    struct yk_cu_stream *stream;
    unsigned char *workspace;
    size_t workspace_size;
    struct fake_handle *next;
} handle;
static handle *handles;
static unsigned char stamp;

API int cublasCreate_v2(handle **ret);
API int cublasDestroy_v2(handle *h);
API int cublasSetStream_v2(handle *h, struct yk_cu_stream *s);
API int cublasSetWorkspace_v2(handle *h, void *memory, size_t size);
API int cublasSetMathMode(handle *h, int mode);
API int cublasSgemm_v2(handle *h, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                       const float *b, int ldb, const float *beta, float *c, int ldc);
API int cublasDgemm_v2(handle *h, int op_a, int op_b, int m, int n, int k, const double *alpha, const double *a, int lda,
                       const double *b, int ldb, const double *beta, double *c, int ldc);

/* ---- Handles ---- */

int cublasCreate_v2(handle **ret)
{
    BEGIN_OR_RETURN(false);
    if (fake_state_of_current())
        RETURN(NOT_INITIALIZED);
    *ret = calloc(1, sizeof **ret);
    (*ret)->context = fake_current;
    (*ret)->next = handles;
    handles = *ret;
    fake_count(fake_current, handles, 1);
    RETURN(SUCCESS);
}

static void end(handle *h)
{
    handle **at = &handles;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    free(h);
}

void fake_end_handles(const struct yk_cu_context *c)
{
    for (handle *h = handles, *next; h; h = next) {
        next = h->next;
        if (h->context == c)
            end(h);
    }
}

/* Whether it lives, in the context that is current, which is not lost. */
static bool is_good(const handle *wanted, const char *function)
{
    handle *h = handles;
    while (h && h != wanted)
        h = h->next;
    if (!h || h->context != fake_current)
        fake_complain("a handle that is not of this context", function);
    return h && h->context == fake_current && !fake_state_of_current();
}

int cublasDestroy_v2(handle *h)
{
    BEGIN(false);
    if (!is_good(h, __func__)) {
        fake_complain("the context is lost", __func__);
        RETURN(NOT_INITIALIZED);
    }
    if (h->stream)
        fake_complain("a stream that may be gone", __func__);
    fake_wait_idle(fake_current);
    fake_count(fake_current, handles, -1);
    end(h);
    RETURN(begun);
}

int cublasSetStream_v2(handle *h, struct yk_cu_stream *s)
{
    BEGIN(false);
    if (!is_good(h, __func__))
        RETURN(NOT_INITIALIZED);
    h->stream = begun && s ? h->stream : s;
    h->workspace = NULL;
    RETURN(begun);
}

int cublasSetWorkspace_v2(handle *h, void *memory, size_t size)
{
    BEGIN_OR_RETURN(false);
    if (!is_good(h, __func__))
        RETURN(NOT_INITIALIZED);
    if ((uintptr_t)memory % 256 || size < WORKSPACE_LEAST || !fake_block_at(memory, size, false))
        RETURN(INVALID_VALUE);
    h->workspace = memory;
    h->workspace_size = size;
    RETURN(SUCCESS);
}

int cublasSetMathMode(handle *h, int mode)
{
    BEGIN_OR_RETURN(false);
    if (mode != 0)
        fake_complain("not the default mode", __func__);
    RETURN(is_good(h, __func__) ? SUCCESS : NOT_INITIALIZED);
}

/* ---- Products ---- */

/* All that the work needs, by value. */
typedef struct product {
    int op_a, op_b, m, n, k, lda, ldb, ldc;
    double alpha, beta;
    const void *a, *b;
    void *c;
    unsigned char *workspace, stamp;
    size_t workspace_size;
} product;

/* In the workspace: what was written at the beginning is there at the end. */
static void stamp_workspace(const product *p)
{
    for (size_t at = 0; at < p->workspace_size; at += p->workspace_size / UNIT)
        p->workspace[at] = p->stamp;
}

static void check_workspace(const product *p)
{
    bool same = true;
    for (size_t at = 0; at < p->workspace_size; at += p->workspace_size / UNIT)
        same &= p->workspace[at] == p->stamp;
    pthread_mutex_lock(&fake.lock);
    if (!same)
        fake_complain("another wrote to the workspace", "cublasGemm");
    pthread_mutex_unlock(&fake.lock);
}

/* Element (i, j) of op(x): column after column, the other way round when transposed. */
#define AT(x, op, ld, i, j) ((op) ? (x)[(j) + (size_t)(i) * (size_t)(ld)] : (x)[(i) + (size_t)(j) * (size_t)(ld)])
#define WORK(T)                                                                                                         \
    static void work_##T(const fake_launch *l)                                                                         \
    {                                                                                                                  \
        const product *p = l->args[0];                                                                                 \
        const T *a = p->a, *b = p->b;                                                                                  \
        T *c = p->c;                                                                                                   \
        stamp_workspace(p);                                                                                            \
        for (int j = 0; j < p->n; j++)                                                                                 \
            for (int i = 0; i < p->m; i++) {                                                                           \
                T sum = 0, *to = &c[i + (size_t)j * (size_t)p->ldc];                                                   \
                for (int q = 0; q < p->k; q++)                                                                         \
                    sum += AT(a, p->op_a, p->lda, i, q) * AT(b, p->op_b, p->ldb, q, j);                                \
                *to = (T)p->alpha * sum + (p->beta == 0 ? 0 : (T)p->beta * *to);                                       \
            }                                                                                                          \
        check_workspace(p);                                                                                            \
    }
WORK(float)
WORK(double)

/* rows x columns elements, column after column, lie in one block of the device. */
static bool is_there(const void *p, int rows, int columns, int ld, size_t size)
{
    return fake_block_at(p, ((size_t)(columns - 1) * (size_t)ld + (size_t)rows) * size, false);
}

static int put_product(const handle *h, product p, size_t size, fake_kernel work, const char *function)
{
    if (!is_good(h, function))
        return EXECUTION_FAILED;
    const int rows_a = p.op_a ? p.k : p.m, rows_b = p.op_b ? p.n : p.k;
    if (p.m < 1 || p.n < 1 || p.k < 1 || p.op_a < 0 || p.op_a > 1 || p.op_b < 0 || p.op_b > 1 || p.lda < rows_a ||
        p.ldb < rows_b || p.ldc < p.m)
        return INVALID_VALUE;
    if (!h->workspace || !is_there(p.a, rows_a, p.op_a ? p.m : p.k, p.lda, size) ||
        !is_there(p.b, rows_b, p.op_b ? p.k : p.n, p.ldb, size) || !is_there(p.c, p.m, p.n, p.ldc, size))
        fake_complain("no workspace, or a matrix that is not where it should be", function);
    p.workspace = h->workspace;
    p.workspace_size = h->workspace_size;
    p.stamp = ++stamp;
    op o = {.kind = LAUNCH, .fn = work, .values = calloc(1, 16 + sizeof p)};
    memcpy(o.values + 16, &p, sizeof p);
    ((void **)(void *)o.values)[0] = o.values + 16;
    o.launch.args = (void **)(void *)o.values;
    return fake_put(h->stream, o, function) == YK_CUDA_OK ? SUCCESS : EXECUTION_FAILED;
}

int cublasSgemm_v2(handle *h, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                   const float *b, int ldb, const float *beta, float *c, int ldc)
{
    product p = {op_a, op_b, m, n, k, lda, ldb, ldc, *alpha, *beta, a, b, c, NULL, 0, 0};
    BEGIN_OR_RETURN(false);
    RETURN(put_product(h, p, sizeof *a, work_float, __func__));
}

int cublasDgemm_v2(handle *h, int op_a, int op_b, int m, int n, int k, const double *alpha, const double *a, int lda,
                   const double *b, int ldb, const double *beta, double *c, int ldc)
{
    product p = {op_a, op_b, m, n, k, lda, ldb, ldc, *alpha, *beta, a, b, c, NULL, 0, 0};
    BEGIN_OR_RETURN(false);
    RETURN(put_product(h, p, sizeof *a, work_double, __func__));
}
