/* matmul.c - products of matrices on the CPU: every type, by vectors of every width that there is, bit for bit what three loops
 * give, at the edges of blocks, tiles and steps. */
#include "base/sys.h"
#include "gpu/matmul.h"
#include "opencl_run.h"
#include "opencl_try.h"
#include <math.h>
#include <stdlib.h>
#include <yoke.h>
#include <yoke/primitive.h>

typedef struct shape {
    size_t rows, columns, depth;
} shape;

/* Blocks have 6 or 12 rows and 32 to 128 bytes of columns, steps are 256 deep, tiles have some 200 rows and 1024 bytes. */
static const shape shapes[] = {
    {1, 1, 1},     {1, 1, 5000},  {1, 5000, 1},  {5000, 1, 1},   {1, 300, 300},  {300, 300, 1},  {300, 1, 300},
    {6, 16, 256},  {7, 17, 257},  {5, 15, 255},  {12, 32, 512},  {13, 33, 513},  {11, 31, 511},  {64, 64, 64},
    {2, 3000, 300}, {3, 5000, 130}, {200, 300, 2}, {4, 700, 300},
    {191, 255, 7}, {193, 257, 90}, {97, 129, 3}, {400, 40, 20},  {40, 1100, 9},  {3, 1025, 700}, {700, 600, 300},
};
enum { BEYOND = 3 };

/* What is at the i-th place of x (salt 1) and y (salt 2): also what integers wrap around at, and what floats round. */
static uint64_t noise(size_t i, unsigned salt)
{
    uint64_t h = (i + 1) * 0x9e3779b97f4a7c15u + salt * 0xd1b54a32d192ed03u;
    h = (h ^ h >> 31) * 0xbf58476d1ce4e5b9u;
    return h ^ h >> 29;
}

#define VALUE_bool(h) ((h) % 8 == 0)
#define VALUE_whole(h) (h)
#define VALUE_float(h) (((double)((h) % 2001) - 1000) / 7 * ((h) % 5 == 0 ? 1e3 : 1))
#define PLUS_bool(s, a, b) ((s) | ((a) & (b)))
#define PLUS_whole(s, a, b) ((s) + (a) * (b))
#define PLUS_float(s, a, b) ((s) + (a) * (b))

static void tell_wrong(const char *type, const shape *h, size_t row, size_t column)
{
    test_fail(__FILE__, __LINE__, "%s: %zu by %zu by %zu: [%zu][%zu] is wrong", type, h->rows, h->depth, h->columns, row, column);
}

/* Lines of x, y and z are a bit longer than they need be; what is beyond is not touched. */
#define TYPE(code, T, WIDE, how)                                                                                       \
    static void check_##code(const shape *h, struct yoke_executor *ex)                                                 \
    {                                                                                                                  \
        const size_t step_x = h->depth + 1, step_y = h->columns + 2, step_z = h->columns + BEYOND;                     \
        T *x = calloc(h->rows * step_x, sizeof *x), *y = calloc(h->depth * step_y, sizeof *y);                         \
        T *z = calloc(h->rows * step_z, sizeof *z);                                                                    \
        CHECK(x && y && z);                                                                                            \
        for (size_t i = 0; i < h->rows * step_x; i++)                                                                  \
            x[i] = (T)VALUE_##how(noise(i, 1));                                                                        \
        for (size_t i = 0; i < h->depth * step_y; i++)                                                                 \
            y[i] = (T)VALUE_##how(noise(i, 2));                                                                        \
        memset(z, 0x55, h->rows * step_z * sizeof *z);                                                                 \
        const T untouched = z[0];                                                                                      \
        const yk_product p = {h->rows, h->columns, h->depth, step_x, step_y, step_z, x, y, z};                         \
        CHECK_INT(yk_matmul_on_host(ex, YOKE_##code, &p), 0);                                                          \
        for (size_t r = 0; r < h->rows; r++)                                                                           \
            for (size_t c = 0; c < step_z; c++) {                                                                      \
                volatile WIDE sum = 0; /* nothing is fused */                                                          \
                for (size_t k = 0; k < h->depth && c < h->columns; k++) {                                              \
                    volatile WIDE product = PLUS_##how((WIDE)0, (WIDE)x[r * step_x + k], (WIDE)y[k * step_y + c]);     \
                    sum = (T)(PLUS_##how((WIDE)sum, (WIDE)1, (WIDE)product));                                          \
                }                                                                                                      \
                const T right = c < h->columns ? (T)sum : untouched;                                                   \
                if (memcmp(&right, &z[r * step_z + c], sizeof right) != 0)                                             \
                    tell_wrong(#code, h, r, c);                                                                        \
            }                                                                                                          \
        free(x);                                                                                                       \
        free(y);                                                                                                       \
        free(z);                                                                                                       \
    }
TYPE(BOOL, uint8_t, uint32_t, bool)
TYPE(I8, int8_t, uint32_t, whole)
TYPE(I16, int16_t, uint32_t, whole)
TYPE(I32, int32_t, uint32_t, whole)
TYPE(I64, int64_t, uint64_t, whole)
TYPE(U8, uint8_t, uint32_t, whole)
TYPE(U16, uint16_t, uint32_t, whole)
TYPE(U32, uint32_t, uint32_t, whole)
TYPE(U64, uint64_t, uint64_t, whole)
TYPE(F32, float, float, float)
TYPE(F64, double, double, float)

static void check_all(struct yoke_executor *ex)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_BOOL(&shapes[i], ex);
        check_I8(&shapes[i], ex);
        check_I16(&shapes[i], ex);
        check_I32(&shapes[i], ex);
        check_I64(&shapes[i], ex);
        check_U8(&shapes[i], ex);
        check_U16(&shapes[i], ex);
        check_U32(&shapes[i], ex);
        check_U64(&shapes[i], ex);
        check_F32(&shapes[i], ex);
        check_F64(&shapes[i], ex);
    }
}

TEST(every_type_and_width)
{
    struct yoke_executor *ex = yoke_open("threads:3");
    for (unsigned by = 0; yk_matmul_test_width(by); by++) {
        printf("# %u steps narrower\n", by);
        check_all(ex);
    }
    yoke_close(ex);
}

TEST(without_memory)
{
    const shape h = {200, 300, 40};
    struct yoke_executor *ex = yoke_open("inline");
    for (int k = 1; k <= 4; k++) {
        yk_sys_fail("malloc", k, ENOMEM);
        check_F32(&h, ex);
        check_I16(&h, ex);
    }
    yk_sys_fail("malloc", 0, 0);
    yoke_close(ex);
}

TEST(nothing_to_do)
{
    float x[4] = {1, 2, 3, 4}, z[4] = {7, 7, 7, 7};
    struct yoke_executor *ex = yoke_open("inline");
    CHECK_INT(yk_matmul_on_host(ex, YOKE_F32, &(yk_product){0, 4, 4, 4, 4, 4, x, x, z}), 0);
    CHECK_INT(yk_matmul_on_host(ex, YOKE_F32, &(yk_product){4, 0, 4, 4, 4, 4, x, x, z}), 0);
    CHECK(z[0] == 7);
    CHECK_INT(yk_matmul_on_host(ex, YOKE_F32, &(yk_product){2, 2, 0, 0, 2, 2, x, x, z}), 0);
    CHECK(z[0] == 0 && z[3] == 0);
    yoke_close(ex);
}

/* What is not finite is not spread to where it does not belong by what fills up the last block. */
TEST(infinities_stay_where_they_are)
{
    enum { ROWS = 50, COLUMNS = 50, DEPTH = 50 };
    static float x[ROWS][DEPTH], y[DEPTH][COLUMNS], z[ROWS][COLUMNS];
    struct yoke_executor *ex = yoke_open("inline");
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < DEPTH; k++)
            x[i][k] = y[i][k] = 1;
    x[ROWS - 1][3] = INFINITY;
    y[3][COLUMNS - 1] = NAN;
    for (unsigned by = 0; yk_matmul_test_width(by); by++) {
        CHECK_INT(yk_matmul_on_host(ex, YOKE_F32, &(yk_product){ROWS, COLUMNS, DEPTH, DEPTH, COLUMNS, COLUMNS, x, y, z}), 0);
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLUMNS; c++)
                CHECK(c == COLUMNS - 1 ? isnan(z[r][c]) : r == ROWS - 1 ? isinf(z[r][c]) : z[r][c] == DEPTH);
    }
    yoke_close(ex);
}

/* ---- The same on OpenCL ---- */

#define ON_DEVICE(S, code, T)                                                                                          \
    static void compare_##S(yoke_stream *s, const shape *h)                                                            \
    {                                                                                                                  \
        yoke_device *dev = yoke_stream_device(s);                                                                      \
        const size_t step_x = h->depth + 1, step_y = h->columns + 2, step_z = h->columns + BEYOND;                     \
        const size_t bytes[3] = {h->rows * step_x * sizeof(T), h->depth * step_y * sizeof(T), h->rows * step_z * sizeof(T)}; \
        T *host[4], *own[3];                                                                                           \
        for (int i = 0; i < 4; i++)                                                                                    \
            CHECK((host[i] = calloc(1, bytes[i < 3 ? i : 2])));                                                        \
        for (size_t i = 0; i < h->rows * step_x; i++)                                                                  \
            host[0][i] = (T)VALUE_float(noise(i, 1));                                                                  \
        for (size_t i = 0; i < h->depth * step_y; i++)                                                                 \
            host[1][i] = (T)VALUE_float(noise(i, 2));                                                                  \
        for (int i = 0; i < 3; i++) {                                                                                  \
            CHECK((own[i] = yoke_device_alloc(dev, bytes[i])));                                                        \
            CHECK_INT(yoke_stream_copy(s, own[i], host[i], bytes[i]), 0);                                              \
        }                                                                                                              \
        CHECK_INT(yoke_stream_matmul_##S(s, h->rows, h->columns, h->depth, own[0], step_x, own[1], step_y, own[2], step_z), 0); \
        CHECK_INT(yoke_stream_copy(s, host[3], own[2], bytes[2]), 0);                                                  \
        CHECK_INT(yoke_stream_wait(s), 0);                                                                             \
        const yk_product p = {h->rows, h->columns, h->depth, step_x, step_y, step_z, host[0], host[1], host[2]};       \
        CHECK_INT(yk_matmul_on_host(NULL, YOKE_##code, &p), 0);                                                        \
        for (size_t i = 0; i < bytes[2] / sizeof(T); i++)                                                              \
            if (memcmp(&host[2][i], &host[3][i], sizeof(T)) != 0)                                                      \
                tell_wrong(#code, h, i / step_z, i % step_z);                                                          \
        for (int i = 0; i < 4; i++)                                                                                    \
            free(host[i]);                                                                                             \
        for (int i = 0; i < 3; i++)                                                                                    \
            yoke_device_free(dev, own[i]);                                                                             \
    }
ON_DEVICE(f32, F32, float)
ON_DEVICE(f64, F64, double)

static void compare_all(void)
{
    yoke_device *dev = open_opencl();
    yoke_stream *s = yoke_stream_open(dev);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        compare_f32(s, &shapes[i]);
        if (yoke_device_about(dev)->has_double)
            compare_f64(s, &shapes[i]);
    }
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(opencl_gives_the_same_bits)
{
    compare_all();
}

TEST(so_does_its_text_for_gpus)
{
    use_fake(FAKE_GPU);
    compare_all();
}
