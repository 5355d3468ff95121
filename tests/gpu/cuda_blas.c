/* cuda_blas.c - products of matrices by cuBLAS, on a cuBLAS that is none: it computes column after column as the real one does,
 * so that every product is compared with one that was written down plainly; and whatever is wrong with cuBLAS, with the kernel
 * of yoke's own in its place, which is counted here. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include "primitive_try.h"
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <yoke.h>
#include <yoke/array.h>

/* ---- The kernel of yoke's own ---- */

static atomic_uint own_launches;

/* f32 has 256 threads in a group, f64 128. */
static void own_kernel(const fake_launch *l)
{
    uint64_t v[9];
    for (int i = 0; i < 9; i++)
        memcpy(&v[i], l->args[i], sizeof v[i]);
    const bool wide = l->group[0] == 128;
    for (uint64_t i = 0; i < v[0]; i++)
        for (uint64_t j = 0; j < v[1]; j++) {
            double sum = 0;
            for (uint64_t q = 0; q < v[2]; q++) {
                const uint64_t x = i * v[4] + q, y = q * v[6] + j;
                sum += wide ? ((double *)v[3])[x] * ((double *)v[5])[y] : ((float *)v[3])[x] * ((float *)v[5])[y];
            }
            if (wide)
                ((double *)v[7])[i * v[8] + j] = sum;
            else
                ((float *)v[7])[i * v[8] + j] = (float)sum;
        }
    own_launches++;
}

/* The device of the driver that is none; own: what YOKE_CUBLAS is, NULL: the cuBLAS that is none. */
static try open_blas(fake_cuda **ret, const char *own)
{
    static const size_t sizes_of_args[] = {8, 8, 8, 8, 8, 8, 8, 8, 8, 0};
    fake_cuda *f = *ret = fake_use("fake-cuda");
    setenv("YOKE_CUBLAS", own ? own : getenv("YOKE_CUDA_DRIVER"), 1);
    f->kernel("yk_matmul", own_kernel, sizes_of_args);
    f->fail(NULL, 0, 0);
    try t = {.dev = yoke_device_open("cuda:0"), .uri = "cuda:0"};
    CHECK_STR(yoke_device_error(t.dev), "");
    t.s = yoke_stream_open(t.dev);
    CHECK(t.s != NULL);
    return t;
}

static void close_blas(try *t, fake_cuda *f)
{
    CHECK_INT(yoke_stream_close(t->s), 0);
    CHECK_INT(yoke_device_close(t->dev), 0);
    check_nothing_left(f);
}

/* ---- Products ---- */

static void put(void *to, yk_number type, size_t i, double value)
{
    if (type == YK_F32)
        ((float *)to)[i] = (float)value;
    else
        ((double *)to)[i] = value;
}

static double at(const void *from, yk_number type, size_t i)
{
    return type == YK_F32 ? (double)((const float *)from)[i] : ((const double *)from)[i];
}

/* One product: sizes, how much longer rows are apart than they are, and by how many elements an address is off its block. */
typedef struct shape {
    size_t m, n, k, pad_a, pad_b, pad_c, apart;
} shape;

typedef struct product {
    shape s;
    yk_number type;
    size_t lda, ldb, ldc, bytes_a, bytes_b, bytes_c, apart;
    char *a, *b, *c, *on_a, *on_b, *on_c;
} product;

/* Small whole numbers, so that sums are exact in any order. What c has before must not matter, and what lies between its rows
 * must stay. */
static product make_product(try *t, yk_number type, shape s)
{
    const size_t size = yk_number_size(type);
    product p = {.s = s, .type = type, .lda = s.k + s.pad_a, .ldb = s.n + s.pad_b, .ldc = s.n + s.pad_c, .apart = s.apart * size};
    p.bytes_a = s.m * p.lda * size;
    p.bytes_b = YK_MAX(s.k * p.ldb, (size_t)1) * size;
    p.bytes_c = s.m * p.ldc * size;
    p.a = malloc(p.bytes_a + 1);
    p.b = malloc(p.bytes_b);
    p.c = malloc(p.bytes_c);
    CHECK(p.a && p.b && p.c);
    for (size_t i = 0; i < p.bytes_a / size; i++)
        put(p.a, type, i, (double)(test_random() % 15) - 7);
    for (size_t i = 0; i < p.bytes_b / size; i++)
        put(p.b, type, i, (double)(test_random() % 17) - 8);
    for (size_t i = 0; i < p.bytes_c / size; i++)
        put(p.c, type, i, i % p.ldc < s.n ? (double)NAN : (double)i);
    p.on_a = on_device(t, p.a, p.bytes_a, p.apart);
    p.on_b = on_device(t, p.b, p.bytes_b, p.apart);
    p.on_c = on_device(t, p.c, p.bytes_c, p.apart);
    return p;
}

static int multiply(try *t, const product *p)
{
    return yk_stream_matmul(t->s, p->type, p->s.m, p->s.n, p->s.k, p->on_a, p->lda, p->on_b, p->ldb, p->on_c, p->ldc);
}

static void check_product(try *t, product *p)
{
    off_device(t, p->c, p->on_c, p->bytes_c);
    for (size_t i = 0; i < p->s.m; i++)
        for (size_t j = 0; j < p->ldc; j++) {
            double sum = j < p->s.n ? 0 : (double)(i * p->ldc + j);
            for (size_t q = 0; q < p->s.k && j < p->s.n; q++)
                sum += at(p->a, p->type, i * p->lda + q) * at(p->b, p->type, q * p->ldb + j);
            if (at(p->c, p->type, i * p->ldc + j) != sum)
                test_fail(__FILE__, __LINE__, "%zu x %zu x %zu: element %zu, %zu is %g, not %g", p->s.m, p->s.n, p->s.k, i, j,
                          at(p->c, p->type, i * p->ldc + j), sum);
        }
}

static void drop_product(try *t, product *p)
{
    give_back(t, p->on_a, p->apart);
    give_back(t, p->on_b, p->apart);
    give_back(t, p->on_c, p->apart);
    free(p->a);
    free(p->b);
    free(p->c);
}

/* By whom: as many calls of cuBLAS and launches of the own kernel as there were products. */
static void try_product(try *t, fake_cuda *f, yk_number type, shape s, bool by_cublas)
{
    const char *name = type == YK_F32 ? "cublasSgemm" : "cublasDgemm";
    const unsigned calls = f->calls(name), launches = own_launches;
    product p = make_product(t, type, s);
    GOES(t, multiply(t, &p));
    check_product(t, &p);
    drop_product(t, &p);
    CHECK_INT(f->calls(name) - calls, by_cublas);
    CHECK_INT(own_launches - launches, !by_cublas);
}

static const shape shapes[] = {{1, 1, 1, 0, 0, 0, 0},    {2, 3, 4, 0, 0, 0, 0},   {4, 3, 2, 0, 0, 0, 0},
                               {1, 9, 5, 0, 0, 0, 0},    {9, 1, 5, 0, 0, 0, 0},   {9, 5, 1, 0, 0, 0, 0},
                               {3, 5, 7, 1, 2, 3, 0},    {7, 5, 3, 4, 0, 0, 0},   {7, 5, 3, 0, 4, 0, 0},
                               {7, 5, 3, 0, 0, 4, 1},    {64, 64, 64, 0, 0, 0, 0}, {129, 31, 37, 5, 3, 1, 1},
                               {17, 200, 100, 0, 8, 0, 3}};

TEST(products_of_many_shapes)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    for (size_t i = 0; i < YK_COUNT_OF(shapes); i++) {
        try_product(&t, f, YK_F32, shapes[i], true);
        try_product(&t, f, YK_F64, shapes[i], true);
    }
    for (int i = 0; i < 200; i++) {
        shape s = {1 + test_random() % 20, 1 + test_random() % 20, 1 + test_random() % 20, test_random() % 4,
                   test_random() % 4, test_random() % 4, test_random() % 4};
        try_product(&t, f, i % 2 ? YK_F32 : YK_F64, s, true);
    }
    CHECK_INT(f->calls("cublasCreate"), 1);
    CHECK_INT(own_launches, 0);
    close_blas(&t, f);
}

/* The same device with another's memory, and without any: as on every other way. */
TEST(what_is_refused_is_refused_as_ever)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    float host[4] = {0}, *x = on_device(&t, host, sizeof host, 0), *none = NULL;
    CHECK_INT(yoke_stream_matmul(t.s, 2, 2, 2, host, 2, x, 2, x, 2), -EFAULT);
    CHECK_HAS(yoke_device_error(t.dev), "is memory of the host, not of cuda:0");
    CHECK_INT(yoke_stream_matmul(t.s, 2, 2, 2, x, 2, host, 2, x, 2), -EFAULT);
    CHECK_INT(yoke_stream_matmul(t.s, 2, 2, 2, x, 2, x, 2, host, 2), -EFAULT);
    CHECK_INT(yoke_stream_matmul(t.s, 2, 2, 2, x, 2, none, 2, x, 2), -EINVAL);
    CHECK_INT(yoke_stream_matmul(t.s, 2, 2, 2, x, 1, x, 2, x, 2), -EINVAL);
    CHECK_INT(yoke_stream_matmul(t.s, 0, 2, 2, x, 2, x, 2, x, 2), 0);
    CHECK_INT(f->calls("cublasSgemm") + own_launches, 0);
    CHECK_INT(yoke_stream_wait(t.s), -EFAULT);
    try_product(&t, f, YK_F32, shapes[1], true);
    give_back(&t, x, 0);
    yoke_stream_wait(t.s);
    close_blas(&t, f);
}

TEST(what_cublas_cannot_is_done_by_the_own_kernel)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    try_product(&t, f, YK_F32, (shape){3, 5, 0, 1, 0, 2, 0}, false);
    try_product(&t, f, YK_F64, (shape){3, 5, 0, 1, 0, 2, 0}, false);
    CHECK_INT(f->calls("cublasCreate"), 0);
    /* one row: the distance to the next does not matter, but is no int */
    const size_t far = (size_t)INT32_MAX + 1;
    float x[] = {2, 3}, got[2] = {0}, *a = on_device(&t, x, sizeof x, 0), *c = on_device(&t, got, sizeof got, 0);
    for (int which = 0; which < 3; which++) {
        GOES(&t, yoke_stream_matmul(t.s, 1, 1, 1, a, which == 0 ? far : 1, a + 1, which == 1 ? far : 1, c,
                                    which == 2 ? far : 1));
        off_device(&t, got, c, sizeof got);
        CHECK(got[0] == 6 && got[1] == 0);
        CHECK_INT(own_launches, 3 + which);
    }
    CHECK_INT(f->calls("cublasSgemm"), 0);
    GOES(&t, yoke_stream_matmul(t.s, 1, 1, 1, a, (size_t)INT32_MAX, a + 1, 1, c, 1));
    CHECK_INT(f->calls("cublasSgemm"), 1);
    give_back(&t, a, 0);
    give_back(&t, c, 0);
    close_blas(&t, f);
}

TEST(arrays_multiply_by_it_too)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    const float x[] = {1, 2, 3, 4, 5, 6, 1, 0, 0, 0, 1, 0}, y[] = {1, 10, 100, 7, 8, 9};
    float got[4];
    yoke_array *a = yoke_array_from(t.s, YOKE_F32, yoke_shape(2, 2, 3), x);
    yoke_array *b = yoke_array_from(t.s, YOKE_F32, yoke_shape(2, 3, 1), y);
    yoke_array *c = yoke_array_matmul(a, b);
    if (!c)
        test_fail(__FILE__, __LINE__, "%s", yoke_device_error(t.dev));
    CHECK_INT(yoke_array_get(c, got, sizeof got), 0);
    CHECK(got[0] == 321 && got[1] == 654 && got[2] == 7 && got[3] == 8);
    CHECK_INT(f->calls("cublasSgemm"), 2); /* of a batch of two */
    yoke_array_free(a);
    yoke_array_free(b);
    yoke_array_free(c);
    close_blas(&t, f);
}

/* ---- Streams, threads, devices ---- */

/* Products in several streams at a time: one handle, and no two of them share a workspace. */
TEST(streams_have_a_workspace_each)
{
    enum { STREAMS = 4, ROUNDS = 5 };
    fake_cuda *f;
    try t = open_blas(&f, NULL), all[STREAMS];
    product p[STREAMS];
    f->slow(200000);
    for (int i = 0; i < STREAMS; i++) {
        all[i] = (try){t.dev, yoke_stream_open(t.dev), "cuda:0"};
        p[i] = make_product(&all[i], i % 2 ? YK_F32 : YK_F64, (shape){20, 30, 40, 1, 1, 1, 0});
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < STREAMS; i++)
            GOES(&all[i], multiply(&all[i], &p[i]));
    for (int i = 0; i < STREAMS; i++) {
        check_product(&all[i], &p[i]);
        drop_product(&all[i], &p[i]);
        CHECK_INT(yoke_stream_close(all[i].s), 0);
    }
    CHECK_INT(f->calls("cublasCreate"), 1);
    CHECK_INT(f->calls("cublasSgemm") + f->calls("cublasDgemm"), STREAMS * ROUNDS);
    close_blas(&t, f);
}

typedef struct worker {
    pthread_t thread;
    yoke_device *dev;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    try t = {w->dev, yoke_stream_open(w->dev), "cuda:0"};
    for (int i = 0; i < 10; i++) {
        product p = make_product(&t, i % 2 ? YK_F32 : YK_F64, (shape){5, 6, 7, 0, 0, 0, 0});
        GOES(&t, multiply(&t, &p));
        check_product(&t, &p);
        drop_product(&t, &p);
    }
    CHECK_INT(yoke_stream_close(t.s), 0);
    return NULL;
}

TEST(threads_share_a_device)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    worker w[6];
    for (size_t i = 0; i < YK_COUNT_OF(w); i++) {
        w[i].dev = t.dev;
        CHECK_INT(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (size_t i = 0; i < YK_COUNT_OF(w); i++)
        pthread_join(w[i].thread, NULL);
    CHECK_INT(f->calls("cublasCreate"), 1);
    close_blas(&t, f);
}

/* A handle belongs to a device as it was opened. */
TEST(each_device_has_a_handle)
{
    fake_cuda *f = fake_use("fake-cuda");
    f->devices = 2;
    try t = open_blas(&f, NULL);
    try_product(&t, f, YK_F32, shapes[6], true);
    try other = {yoke_device_open("cuda:1"), NULL, "cuda:1"};
    other.s = yoke_stream_open(other.dev);
    try_product(&other, f, YK_F32, shapes[6], true);
    try_product(&t, f, YK_F64, shapes[6], true);
    CHECK_INT(f->calls("cublasCreate"), 2);
    CHECK_INT(f->live().handles, 2);
    CHECK_INT(yoke_stream_close(other.s), 0);
    CHECK_INT(yoke_device_close(other.dev), 0);
    CHECK_INT(f->live().handles, 1);
    other.dev = yoke_device_open("cuda:1");
    other.s = yoke_stream_open(other.dev);
    try_product(&other, f, YK_F32, shapes[6], true);
    CHECK_INT(f->calls("cublasCreate"), 3);
    CHECK_INT(yoke_device_close(other.dev), 0);
    close_blas(&t, f);
}

/* ---- What goes wrong ---- */

TEST(an_error_of_a_call_is_one_line)
{
    static const struct {
        const char *call;
        int status, code;
        const char *name;
    } cases[] = {{"cublasSetStream", 1, -EIO, "CUBLAS_STATUS_NOT_INITIALIZED (1)"},
                 {"cublasSetWorkspace", 7, -EINVAL, "CUBLAS_STATUS_INVALID_VALUE (7)"},
                 {"cublasSgemm", 3, -ENOMEM, "CUBLAS_STATUS_ALLOC_FAILED (3)"},
                 {"cublasSgemm", 8, -ENOTSUP, "CUBLAS_STATUS_ARCH_MISMATCH (8)"},
                 {"cublasSgemm", 11, -EIO, "CUBLAS_STATUS_MAPPING_ERROR (11)"},
                 {"cublasSgemm", 13, -EIO, "CUBLAS_STATUS_EXECUTION_FAILED (13)"},
                 {"cublasSgemm", 14, -EIO, "CUBLAS_STATUS_INTERNAL_ERROR (14)"},
                 {"cublasSgemm", 15, -ENOTSUP, "CUBLAS_STATUS_NOT_SUPPORTED (15)"},
                 {"cublasSgemm", 16, -EPERM, "CUBLAS_STATUS_LICENSE_ERROR (16)"},
                 {"cublasSgemm", 99, -EIO, "unknown error (99)"}};
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        char text[200];
        product p = make_product(&t, YK_F32, shapes[6]);
        f->fail(cases[i].call, 1, cases[i].status);
        CHECK_INT(multiply(&t, &p), cases[i].code);
        snprintf(text, sizeof text, "cuda: matmul: %s: %s; without cuBLAS: YOKE_CUBLAS=off", cases[i].call, cases[i].name);
        CHECK_STR(yoke_device_error(t.dev), text);
        CHECK_INT(own_launches, 0);
        f->fail(NULL, 0, 0);
        CHECK_INT(yoke_stream_wait(t.s), cases[i].code);
        CHECK_STR(yoke_device_error(t.dev), text);
        GOES(&t, multiply(&t, &p)); /* and it goes on */
        check_product(&t, &p);
        drop_product(&t, &p);
    }
    close_blas(&t, f);
}

static fake_cuda *the_fake;

static void dies(const fake_launch *l)
{
    the_fake->fault(700);
}

#ifdef __SANITIZE_THREAD__
/* The fake driver's thread of a stream stays when the device is lost, as nobody gives the stream back then. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}
#endif

/* A kernel before the product took the context with it: then that is the error. The handle is left where it is. */
TEST(a_device_that_is_lost)
{
    try t = open_blas(&the_fake, NULL);
    product p = make_product(&t, YK_F32, shapes[6]);
    the_fake->kernel("dies", dies, (size_t[]){8, 0});
    yoke_source *src = yoke_source_open(t.dev, "extern \"C\" __global__ void dies(float *x) { *(int *)0 = 0; }", NULL);
    GOES(&t, multiply(&t, &p));
    GOES(&t, yoke_stream_wait(t.s));
    GOES(&t, yoke_enqueue_raw(t.s, yoke_source_kernel(src, "dies"), ((yoke_shape){{1}, {1}, 0}), (float *)p.on_a));
    while (yoke_device_status(t.dev) == 0) {
        int err = multiply(&t, &p);
        CHECK(err == 0 || err == -ENODEV);
    }
    CHECK_HAS(yoke_device_error(t.dev), "CUDA_ERROR_ILLEGAL_ADDRESS");
    drop_product(&t, &p);
    yoke_source_close(src);
    CHECK_INT(yoke_stream_close(t.s), -ENODEV);
    CHECK_INT(yoke_device_close(t.dev), -ENODEV);
    CHECK_STR(the_fake->complaint(), "");
    CHECK_INT(the_fake->calls("cublasDestroy"), 0);
}

/* Of the driver and of cuBLAS, the k-th for each k: either it is an error that is told of and nothing was multiplied wrongly, or
 * another has done it. */
TEST(every_call_fails_once)
{
    int k = 1, by_own = 0, errors = 0;
    char failed[64] = "any";
    for (; *failed && k < 1000; k++) {
        fake_cuda *f;
        try t = open_blas(&f, NULL);
        product p = make_product(&t, YK_F64, shapes[11]);
        own_launches = 0;
        f->fail(NULL, k, 2);
        const int err = multiply(&t, &p);
        snprintf(failed, sizeof failed, "%s", f->failed());
        f->fail(NULL, 0, 0);
        if (err < 0)
            CHECK(*yoke_device_error(t.dev) != 0);
        int late = yoke_stream_wait(t.s);
        CHECK(late == err || (err == 0 && late == -ENOMEM)); /* of which the pool of memory was told when it asked */
        if (err == 0)
            check_product(&t, &p);
        errors += err < 0;
        GOES(&t, multiply(&t, &p));
        check_product(&t, &p);
        by_own += own_launches > 0;
        drop_product(&t, &p);
        yoke_stream_wait(t.s);
        close_blas(&t, f);
    }
    CHECK(k > 6 && k < 1000 && by_own >= 2 && errors >= 3);
}

/* ---- Without it ---- */

static void check_line(const char *text)
{
    yk_buf line = {0};
    yk_cublas_describe(&line);
    CHECK_HAS(yk_buf_str(&line), text);
    CHECK_INT(strcspn(line.ptr, "\n"), line.len - 1); /* one line */
    yk_buf_done(&line);
}

/* Products of both types by the kernel, and why. */
static void check_own(const char *own, const char *why)
{
    fake_cuda *f;
    try t = open_blas(&f, own);
    try_product(&t, f, YK_F32, shapes[6], false);
    try_product(&t, f, YK_F64, shapes[11], false);
    CHECK_STR(yoke_device_error(t.dev), "");
    check_line("  matrices are multiplied by kernels of yoke's own (");
    check_line(why);
    close_blas(&t, f);
}

TEST(it_can_be_turned_off)
{
    check_own("off", "(cuda: no BLAS: YOKE_CUBLAS=off)\n");
}

TEST(it_is_not_where_it_should_be)
{
    check_own("/nonexistent", "(cuda: no BLAS: there is no cuBLAS at YOKE_CUBLAS=/nonexistent)\n");
}

TEST(a_library_of_another_kind)
{
    struct link_map *map = NULL;
    void *library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
    check_own(map->l_name, "is no cuBLAS, or one before 11.2: it lacks cublasCreate_v2)\n");
}

TEST(a_file_that_is_no_library)
{
    check_own("/proc/self/cmdline", "(cuda: no BLAS: ");
}

/* A cuBLAS for newer drivers, say. That is decided once for a device. */
static void check_no_handle(const char *call)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    f->fail(call, 1, 1);
    try_product(&t, f, YK_F32, shapes[6], false);
    try_product(&t, f, YK_F64, shapes[6], false);
    CHECK_INT(f->calls("cublasCreate"), 1);
    CHECK_INT(f->live().handles, 0);
    CHECK_STR(yoke_device_error(t.dev), "");
    CHECK_INT(yoke_stream_close(t.s), 0);
    CHECK_INT(yoke_device_close(t.dev), 0);
    t = open_blas(&f, NULL);
    try_product(&t, f, YK_F32, shapes[6], true);
    close_blas(&t, f);
}

TEST(a_library_that_makes_no_handle)
{
    check_no_handle("cublasCreate");
    check_no_handle("cublasSetMathMode");
}

TEST(no_memory_for_its_workspace)
{
    fake_cuda *f;
    try t = open_blas(&f, NULL);
    product p = make_product(&t, YK_F32, shapes[6]);
    GOES(&t, yoke_stream_wait(t.s));
    f->fail("cuMemAlloc", 1, 2);
    CHECK_INT(multiply(&t, &p), -ENOMEM);
    CHECK_STR(yoke_device_error(t.dev), "matmul: no memory of cuda:0 for 33554432 bytes that it needs meanwhile");
    CHECK_INT(own_launches, 0); /* whose last bits may be others */
    CHECK_INT(yoke_stream_wait(t.s), -ENOMEM);
    GOES(&t, multiply(&t, &p));
    check_product(&t, &p);
    drop_product(&t, &p);
    close_blas(&t, f);
}

/* ---- Where it is found ---- */

static void check_place(const char *variable, const char *value, const char *at_folder)
{
    pid_t child = fork(); /* it is looked for once in a process */
    if (child == 0) {
        static const char *const others[] = {"LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"};
        char folder[] = "/tmp/yoke-blas-XXXXXX", path[400], command[500];
        CHECK(mkdtemp(folder));
        fake_use("fake-cuda");
        unsetenv("YOKE_CUBLAS");
        for (size_t i = 0; i < YK_COUNT_OF(others); i++)
            unsetenv(others[i]);
        snprintf(command, sizeof command, "mkdir -p %s/%s && ln -s %s %s/%s/libcublas.so.13", folder, at_folder,
                 getenv("YOKE_CUDA_DRIVER"), folder, at_folder);
        CHECK_INT(system(command), 0);
        snprintf(path, sizeof path, "%s/%s", folder, value);
        setenv(variable, path, 1);
        yk_gpu_cuda.count(NULL);
        snprintf(path, sizeof path, "  matrices are multiplied by %s/%s/libcublas.so.13\n", folder, at_folder);
        check_line(path);
        snprintf(command, sizeof command, "rm -r %s", folder);
        CHECK_INT(system(command), 0);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

TEST(it_is_found_in_many_places)
{
    check_place("YOKE_CUBLAS", "any", "any");
    check_place("LD_LIBRARY_PATH", "any", "any");
    check_place("CUDA_HOME", "toolkit", "toolkit/lib64");
    check_place("VIRTUAL_ENV", "env", "env/lib/python3.11/site-packages/nvidia/cu13/lib");
    check_place("VIRTUAL_ENV", "env", "env/lib/python3.11/site-packages/nvidia/cublas/lib");
    check_place("CONDA_PREFIX", "conda", "conda/lib");
}

/* The real one, where there is one but no GPU: it has all that is asked of it, and makes no handle; then the kernel does it. */
TEST(the_real_library)
{
    fake_cuda *f = fake_use("fake-cuda");
    yk_buf line = {0};
    unsetenv("YOKE_CUBLAS");
    yk_gpu_cuda.count(NULL);
    yk_cublas_describe(&line);
    const bool is_there = !strstr(yk_buf_str(&line), "of yoke's own");
    if (!is_there && !strstr(line.ptr, "is neither in a toolkit's folders"))
        test_fail(__FILE__, __LINE__, "%s", line.ptr);
    printf("# %s", line.ptr);
    yk_buf_done(&line);
    if (!is_there)
        SKIP("no GPU, and no cuBLAS for one");
    if (access("/dev/nvidiactl", F_OK) == 0)
        SKIP("a GPU is there, whose cuBLAS knows nothing of a driver that is none");
    try t = open_blas(&f, NULL);
    try_product(&t, f, YK_F32, shapes[6], false);
    CHECK_STR(yoke_device_error(t.dev), "");
    close_blas(&t, f);
}
