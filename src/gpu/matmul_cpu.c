/* matmul_cpu: products of matrices on the CPU, in tiles.
 *
 * A tile of the result is a job of its own. It goes along the depth in steps; in each, the rows of x and the columns of y that
 * it needs are copied into the order in which they are read, so that x stays in the second cache and a strip of y in the
 * first, and then some rows by some columns of the result at a time are held in vector registers while all of the step is added
 * to them (K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008; names and
 * loops as in F. Van Zee, R. van de Geijn, "BLIS", ACM TOMS 41(3), 2015). That innermost part is here for vectors of several
 * widths, of which the widest that this CPU has is taken. Since products are added in the order of the depth and nothing is
 * fused, the width makes no difference to any bit. */
#include "gpu/matmul.h"
#include "base/base.h"
#include "exec/exec.h"
#include <stdlib.h>
#include <yoke/loop.h>

#ifndef __clang__
#pragma GCC optimize("O3", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif
#define UNROLLED _Pragma("GCC unroll 16")

/* A step is so deep, in elements and in bytes, and a tile has so many rows and bytes of columns, all at the most: of x 200 KiB,
 * of y 256 KiB, and of a strip of y 32 KiB. Where that makes few tiles they have fewer rows. Products of fewer multiplications
 * than SMALL, or where few rows would leave blocks mostly empty, or little is added, are not worth copies. */
enum { DEPTH = 256, DEPTH_BYTES = 1024, TILE_ROWS = 192, TILE_ROWS_LEAST = 48, TILE_ROW_BYTES = 1024, TILES = 16 };
enum { SMALL = 4096, FEW = 3, PLAIN_DEPTH = 128, PLAIN_ROW_BYTES = 4096, PLAIN_ROW_LEAST = 1024 };
enum { ALIGN = 64, VECTORS = 2 };
enum { SUM_BYTES_MOST = 12 * VECTORS * 64 }; /* of what is held in registers at once, with the widest vectors */

/* ---- In registers ---- */

/* z += x y, or z = x y. x has `rows` elements after `rows` elements, y `columns` after `columns`. */
typedef void multiply_fn(size_t depth, const void *x, const void *y, void *z, size_t step_z, bool is_first);

typedef struct block {
    size_t rows, columns;
    multiply_fn *multiply;
} block;

#define ADD_bools(sum, a, b) ((sum) | ((a) & (b)))
#define ADD_numbers(sum, a, b) ((sum) + (a) * (b))

#define MULTIPLY(name, T, ADD, BYTES, ROWS, TARGET)                                                                    \
    TARGET static void multiply_##name(size_t depth, const void *px, const void *py, void *pz, size_t step_z, bool is_first) \
    {                                                                                                                  \
        typedef T vector __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));                           \
        typedef T element __attribute__((may_alias)); /* copies are moved as integers */                               \
        enum { LANES = BYTES / sizeof(T) };                                                                            \
        const element *x = px;                                                                                         \
        const vector *y = py;                                                                                          \
        T *z = pz;                                                                                                     \
        const vector zero = {0};                                                                                       \
        vector sum[ROWS][VECTORS];                                                                                     \
        UNROLLED for (int r = 0; r < ROWS; r++)                                                                        \
            UNROLLED for (int v = 0; v < VECTORS; v++)                                                                 \
                sum[r][v] = is_first ? zero : *(const vector *)(const void *)(z + (size_t)r * step_z + v * LANES);     \
        for (size_t k = 0; k < depth; k++, x += ROWS, y += VECTORS)                                                    \
            UNROLLED for (int r = 0; r < ROWS; r++)                                                                    \
                UNROLLED for (int v = 0; v < VECTORS; v++)                                                             \
                    sum[r][v] = ADD(sum[r][v], x[r], y[v]);                                                            \
        UNROLLED for (int r = 0; r < ROWS; r++)                                                                        \
            UNROLLED for (int v = 0; v < VECTORS; v++)                                                                 \
                *(vector *)(void *)(z + (size_t)r * step_z + v * LANES) = sum[r][v];                                   \
    }

#define EACH_KIND(X, ...)                                                                                              \
    X(bool, uint8_t, uint8_t, ADD_bools, __VA_ARGS__)                                                                  \
    X(u8, uint8_t, uint32_t, ADD_numbers, __VA_ARGS__)                                                                 \
    X(u16, uint16_t, uint32_t, ADD_numbers, __VA_ARGS__)                                                               \
    X(u32, uint32_t, uint32_t, ADD_numbers, __VA_ARGS__)                                                               \
    X(u64, uint64_t, uint64_t, ADD_numbers, __VA_ARGS__)                                                               \
    X(f32, float, float, ADD_numbers, __VA_ARGS__)                                                                     \
    X(f64, double, double, ADD_numbers, __VA_ARGS__)
enum { KIND_bool, KIND_u8, KIND_u16, KIND_u32, KIND_u64, KIND_f32, KIND_f64, KINDS };

#define MULTIPLY_OF(kind, T, WIDE, ADD, width, BYTES, ROWS, TARGET) MULTIPLY(kind##_##width, T, ADD, BYTES, ROWS, TARGET)
#define BLOCK_OF(kind, T, WIDE, ADD, width, BYTES, ROWS, TARGET)                                                       \
    [KIND_##kind] = {ROWS, VECTORS * BYTES / sizeof(T), multiply_##kind##_##width},
#define WIDTH(width, BYTES, ROWS, TARGET)                                                                              \
    EACH_KIND(MULTIPLY_OF, width, BYTES, ROWS, TARGET)                                                                 \
    static const block blocks_##width[KINDS] = {EACH_KIND(BLOCK_OF, width, BYTES, ROWS, TARGET)};

/* As many rows as there are registers for. The widest first. */
#ifdef __x86_64__
WIDTH(avx512, 64, 12, __attribute__((target("avx512f,avx512bw,avx512dq"))))
WIDTH(avx2, 32, 6, __attribute__((target("avx2"))))
WIDTH(sse2, 16, 6, )
static const block *const widths[] = {blocks_avx512, blocks_avx2, blocks_sse2};

static unsigned widest(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        return 0;
    return __builtin_cpu_supports("avx2") ? 1 : 2;
}
#else
WIDTH(any, 16, 12, )
static const block *const widths[] = {blocks_any};

static unsigned widest(void)
{
    return 0;
}
#endif

static unsigned narrower;

bool yk_matmul_test_width(unsigned by)
{
    narrower = by;
    return widest() + by < YK_COUNT_OF(widths);
}

static const block *find_block(unsigned kind)
{
    return &widths[widest() + narrower][kind];
}

/* ---- Copies in the order in which they are read ---- */

/* Of rows of x: of `block` rows one element each, then the next; the last are filled up with 0. */
#define PACK_LEFT(bits)                                                                                                \
    static void pack_left_##bits(size_t rows, size_t depth, const void *px, size_t step, size_t block_rows, void *pto) \
    {                                                                                                                  \
        typedef uint##bits##_t element __attribute__((may_alias));                                                     \
        element *to = pto;                                                                                             \
        for (size_t row = 0; row < rows; row += block_rows, to += block_rows * depth) {                                \
            const size_t some = YK_MIN(rows - row, block_rows);                                                        \
            if (some < block_rows)                                                                                     \
                memset(to, 0, block_rows * depth * sizeof *to);                                                        \
            for (size_t r = 0; r < some; r++) {                                                                        \
                const element *x = (const element *)px + (row + r) * step;                                             \
                for (size_t k = 0; k < depth; k++)                                                                     \
                    to[k * block_rows + r] = x[k];                                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }
PACK_LEFT(8)
PACK_LEFT(16)
PACK_LEFT(32)
PACK_LEFT(64)

static void pack_left(size_t size, size_t rows, size_t depth, const void *x, size_t step, size_t block_rows, void *to)
{
    switch (size) {
    case 1: pack_left_8(rows, depth, x, step, block_rows, to); break;
    case 2: pack_left_16(rows, depth, x, step, block_rows, to); break;
    case 4: pack_left_32(rows, depth, x, step, block_rows, to); break;
    default: pack_left_64(rows, depth, x, step, block_rows, to); break;
    }
}

/* Of columns of y, likewise; all of them in bytes. */
static void pack_right(size_t columns, size_t depth, const char *y, size_t step, size_t block_columns, char *to)
{
    for (size_t column = 0; column < columns; column += block_columns)
        for (size_t k = 0; k < depth; k++, to += block_columns) {
            const size_t some = YK_MIN(columns - column, block_columns);
            memcpy(to, y + k * step + column, some);
            memset(to + some, 0, block_columns - some);
        }
}

/* ---- Tiles ---- */

typedef struct matmul {
    const yk_product *p;
    unsigned kind;
    size_t size;                       /* of an element */
    const block *block;                /* NULL: plainly */
    size_t rows, columns, depth, down, across; /* of a tile, and how many tiles there are */
} matmul;

/* A tile, or what is left of one at the end. */
typedef struct tile {
    size_t row, column, rows, columns;
} tile;

/* Row after row as it stands, in steps in which y stays in the cache; a single column in a register. */
#define PLAINLY(kind, T, WIDE, ADD, none)                                                                              \
    static void column_##kind(const yk_product *p, const tile *t)                                                      \
    {                                                                                                                  \
        for (size_t row = t->row; row < t->row + t->rows; row++) {                                                     \
            const T *x = (const T *)p->x + row * p->step_x, *y = (const T *)p->y + t->column;                          \
            T sum = 0;                                                                                                 \
            for (size_t k = 0; k < p->depth; k++)                                                                      \
                sum = (T)ADD((WIDE)sum, (WIDE)x[k], (WIDE)y[k * p->step_y]);                                           \
            ((T *)p->z)[row * p->step_z + t->column] = sum;                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    static void plainly_##kind(const yk_product *p, const tile *t)                                                     \
    {                                                                                                                  \
        const size_t columns = t->columns;                                                                             \
        if (columns == 1) {                                                                                            \
            column_##kind(p, t);                                                                                       \
            return;                                                                                                    \
        }                                                                                                              \
        for (size_t row = t->row; row < t->row + t->rows; row++)                                                       \
            memset((T *)p->z + row * p->step_z + t->column, 0, t->columns * sizeof(T));                                \
        for (size_t k0 = 0; k0 < p->depth; k0 += PLAIN_DEPTH)                                                          \
            for (size_t row = t->row; row < t->row + t->rows; row++) {                                                 \
                T *restrict z = (T *)p->z + row * p->step_z + t->column;                                               \
                for (size_t k = k0; k < YK_MIN(k0 + PLAIN_DEPTH, p->depth); k++) {                                     \
                    const WIDE x = ((const T *)p->x)[row * p->step_x + k];                                             \
                    const T *restrict y = (const T *)p->y + k * p->step_y + t->column;                                 \
                    for (size_t c = 0; c < columns; c++)                                                               \
                        z[c] = (T)ADD((WIDE)z[c], x, (WIDE)y[c]);                                                      \
                }                                                                                                      \
            }                                                                                                          \
    }
EACH_KIND(PLAINLY, )
#define SIZE_OF(kind, T, WIDE, ADD, none) sizeof(T),
static const size_t sizes[KINDS] = {EACH_KIND(SIZE_OF, )};
#define PLAIN_OF(kind, T, WIDE, ADD, none) plainly_##kind,
static void (*const plainly[KINDS])(const yk_product *p, const tile *t) = {EACH_KIND(PLAIN_OF, )};

/* Fewer rows and columns than the vectors have: by way of memory that is large enough. */
static void multiply_edge(const matmul *m, size_t depth, const char *x, const char *y, char *z, size_t rows, size_t columns,
                          bool is_first)
{
    const size_t line = m->block->columns * m->size, step = m->p->step_z * m->size;
    _Alignas(ALIGN) char all[SUM_BYTES_MOST];
    for (size_t r = 0; r < m->block->rows && !is_first; r++) {
        memset(all + r * line, 0, line);
        if (r < rows)
            memcpy(all + r * line, z + r * step, columns * m->size);
    }
    m->block->multiply(depth, x, y, all, m->block->columns, is_first);
    for (size_t r = 0; r < rows; r++)
        memcpy(z + r * step, all + r * line, columns * m->size);
}

static void multiply_step(const matmul *m, const tile *t, size_t depth, const char *left, const char *right, bool is_first)
{
    const block *b = m->block;
    for (size_t column = 0; column < t->columns; column += b->columns)
        for (size_t row = 0; row < t->rows; row += b->rows) {
            const size_t rows = YK_MIN(b->rows, t->rows - row), columns = YK_MIN(b->columns, t->columns - column);
            const char *x = left + row * depth * m->size, *y = right + column * depth * m->size;
            char *z = (char *)m->p->z + ((t->row + row) * m->p->step_z + t->column + column) * m->size;
            if (YK_LIKELY(rows == b->rows && columns == b->columns))
                b->multiply(depth, x, y, z, m->p->step_z, is_first);
            else
                multiply_edge(m, depth, x, y, z, rows, columns, is_first);
        }
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void multiply_tile(const matmul *m, const tile *t)
{
    const yk_product *p = m->p;
    const size_t most = YK_MIN(p->depth, m->depth), size = m->size;
    const size_t left_bytes = round_up(round_up(t->rows, m->block->rows) * most * size, ALIGN);
    char *memory = yk_sys.malloc(ALIGN + left_bytes + round_up(t->columns, m->block->columns) * most * size);
    char *left = (char *)YK_ALIGN_UP((uintptr_t)memory, ALIGN);
    if (!memory) {
        plainly[m->kind](p, t);
        return;
    }
    for (size_t k = 0; k < p->depth; k += m->depth) {
        const size_t depth = YK_MIN(p->depth - k, m->depth);
        pack_left(size, t->rows, depth, (const char *)p->x + (t->row * p->step_x + k) * size, p->step_x, m->block->rows, left);
        pack_right(t->columns * size, depth, (const char *)p->y + (k * p->step_y + t->column) * size, p->step_y * size,
                   m->block->columns * size, left + left_bytes);
        multiply_step(m, t, depth, left, left + left_bytes, k == 0);
    }
    free(memory);
}

static void multiply_tiles(size_t lo, size_t hi, const void *arg)
{
    const matmul *m = arg;
    for (size_t i = lo; i < hi; i++) {
        tile t = {.row = i / m->across * m->rows, .column = i % m->across * m->columns};
        t.rows = YK_MIN(m->rows, m->p->rows - t.row);
        t.columns = YK_MIN(m->columns, m->p->columns - t.column);
        if (m->block)
            multiply_tile(m, &t);
        else
            plainly[m->kind](m->p, &t);
    }
}

/* n cut into equal parts of `most` at the most, each a multiple of `step`. */
static size_t part_of(size_t n, size_t most, size_t step)
{
    const size_t parts = (n + most - 1) / most;
    return round_up((n + parts - 1) / parts, step);
}

static unsigned kind_of(unsigned type)
{
    switch (type) {
    case YOKE_BOOL: return KIND_bool;
    case YOKE_I8: case YOKE_U8: return KIND_u8;
    case YOKE_I16: case YOKE_U16: return KIND_u16;
    case YOKE_I32: case YOKE_U32: return KIND_u32;
    case YOKE_I64: case YOKE_U64: return KIND_u64;
    case YOKE_F32: return KIND_f32;
    default: return KIND_f64;
    }
}

static size_t tiles_of(size_t n, size_t each)
{
    return (n + each - 1) / each;
}

static void cut_into_blocks(matmul *m)
{
    size_t most = TILE_ROWS;
    m->block = find_block(m->kind);
    m->depth = YK_MIN((size_t)DEPTH, DEPTH_BYTES / m->size);
    m->columns = part_of(m->p->columns, TILE_ROW_BYTES / m->size, m->block->columns);
    m->across = tiles_of(m->p->columns, m->columns);
    while (most > TILE_ROWS_LEAST && tiles_of(m->p->rows, most) * m->across < TILES)
        most /= 2;
    m->rows = part_of(m->p->rows, most, m->block->rows);
    m->down = tiles_of(m->p->rows, m->rows);
}

static void cut_plainly(matmul *m)
{
    size_t most = PLAIN_ROW_BYTES;
    while (most > PLAIN_ROW_LEAST && tiles_of(m->p->columns * m->size, most) < TILES)
        most /= 2;
    m->rows = TILE_ROWS_LEAST;
    m->columns = most / m->size;
    m->across = tiles_of(m->p->columns, m->columns);
    m->down = tiles_of(m->p->rows, m->rows);
}

int yk_matmul_on_host(struct yoke_executor *ex, unsigned type, const yk_product *p)
{
    matmul m = {.p = p, .kind = kind_of(type)};
    m.size = sizes[m.kind];
    if (p->rows == 0 || p->columns == 0)
        return 0;
    if (p->depth <= SMALL / (p->rows * p->columns)) {
        plainly[m.kind](p, &(tile){.rows = p->rows, .columns = p->columns});
        return 0;
    }
    if (p->rows <= FEW || p->depth <= FEW)
        cut_plainly(&m);
    else
        cut_into_blocks(&m);
    return yk_loop(ex, m.down * m.across, multiply_tiles, &m);
}
