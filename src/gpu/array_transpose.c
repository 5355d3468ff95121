/* array_transpose: copies on the CPU of what lies in a row along one axis to where another one does, as of a transpose.
 *
 * Element by element such a copy touches a line of the cache for each. Here it goes by tiles: lines of the source, each read
 * whole, are put into a buffer as columns, and rows of that are written where they belong, past the caches if those would not
 * hold it all (topo/past_cache.h). */
#include "gpu/array.h"
#include "topo/past_cache.h"
#include <yoke/loop.h>

/* Of a tile: along the axis that is a row of the source, and along that of the result, in bytes. Lines of the source lie far from
 * one another, so that the CPU does not see which comes next: it is told AHEAD of them. */
enum { AHEAD = 8, FROM_BYTES = 64, TO_BYTES = 128, LEAST = 16, ROW_BYTES = TO_BYTES + YK_CACHE_LINE };

typedef struct turn {
    const yk_layout *l;
    size_t size;           /* of an element */
    size_t row, column;    /* axes: along which the result lies in a row, and the source */
    size_t across, down;   /* tiles along them */
    bool past;
    char *to;
    const char *from;
} turn;

/* A tile: `columns` lines of the source of `rows` elements each. */
typedef struct tile {
    size_t rows, columns;
    const char *from;
    char *to;
} tile;

/* Where row r of a tile is put together: as far from a line of the cache as where it goes. */
static char *buffer_row(const turn *t, const tile *i, char *buffer, size_t r)
{
    const char *to = i->to + (ptrdiff_t)r * t->l->step[0][t->column] * (ptrdiff_t)t->size;
    return buffer + r * ROW_BYTES + (uintptr_t)to % YK_CACHE_LINE;
}

#define UNROLLED _Pragma("GCC unroll 16")
#define TURN(bits)                                                                                                     \
    static void turn_##bits(const turn *t, const tile *i, char *buffer)                                                \
    {                                                                                                                  \
        enum { ROWS = FROM_BYTES * 8 / bits };                                                                         \
        typedef uint##bits##_t element __attribute__((may_alias));                                                     \
        element *rows[ROWS];                                                                                           \
        const element *from = (const void *)i->from;                                                                   \
        for (size_t r = 0; r < i->rows; r++)                                                                           \
            rows[r] = (void *)buffer_row(t, i, buffer, r);                                                             \
        const ptrdiff_t step = t->l->step[1][t->row];                                                                  \
        for (size_t c = 0; c < i->columns; c++, from += step) {                                                        \
            __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)(AHEAD * step) * sizeof *from));            \
            if (YK_LIKELY(i->rows == ROWS))                                                                            \
                UNROLLED for (size_t r = 0; r < ROWS; r++)                                                             \
                    rows[r][c] = from[r];                                                                              \
            else                                                                                                       \
                for (size_t r = 0; r < i->rows; r++)                                                                   \
                    rows[r][c] = from[r];                                                                              \
        }                                                                                                              \
    }
TURN(8)
TURN(16)
TURN(32)
TURN(64)

static void copy_tile(const turn *t, const tile *i, char *buffer)
{
    switch (t->size) {
    case 1: turn_8(t, i, buffer); break;
    case 2: turn_16(t, i, buffer); break;
    case 4: turn_32(t, i, buffer); break;
    default: turn_64(t, i, buffer); break;
    }
    for (size_t r = 0; r < i->rows; r++) {
        char *to = i->to + (ptrdiff_t)r * t->l->step[0][t->column] * (ptrdiff_t)t->size;
        if (t->past)
            yk_past_cache_copy(to, buffer_row(t, i, buffer, r), i->columns * t->size);
        else
            memcpy(to, buffer_row(t, i, buffer, r), i->columns * t->size);
    }
}

/* Where the which-th part of an axis begins, of `each` elements, and how many it has. */
static size_t part(size_t which, size_t each, size_t length, size_t *ret)
{
    *ret = YK_MIN(each, length - which * each);
    return which * each;
}

static tile find_tile(const turn *t, size_t number)
{
    const yk_layout *l = t->l;
    tile i;
    const size_t column = part(number % t->across, TO_BYTES / t->size, l->shape[t->row], &i.columns);
    const size_t row = part(number / t->across % t->down, FROM_BYTES / t->size, l->shape[t->column], &i.rows);
    ptrdiff_t to = (ptrdiff_t)column + (ptrdiff_t)row * l->step[0][t->column];
    ptrdiff_t from = (ptrdiff_t)column * l->step[1][t->row] + (ptrdiff_t)row;
    size_t rest = number / t->across / t->down;
    for (size_t d = l->ndim; d-- > 0;)
        if (d != t->row && d != t->column) {
            const ptrdiff_t at = (ptrdiff_t)(rest % l->shape[d]);
            rest /= l->shape[d];
            to += at * l->step[0][d];
            from += at * l->step[1][d];
        }
    i.to = t->to + to * (ptrdiff_t)t->size;
    i.from = t->from + from * (ptrdiff_t)t->size;
    return i;
}

static void copy_tiles(size_t lo, size_t hi, const void *arg)
{
    const turn *t = arg;
    _Alignas(YK_CACHE_LINE) char buffer[FROM_BYTES * ROW_BYTES];
    for (size_t number = lo; number < hi; number++) {
        const tile i = find_tile(t, number);
        copy_tile(t, &i, buffer);
    }
    if (t->past)
        yk_past_cache_end();
}

/* The axis along which array k lies in a row; none: ndim. */
static size_t row_axis(const yk_layout *l, unsigned k)
{
    size_t d = 0;
    while (d < l->ndim && l->step[k][d] != 1)
        d++;
    return d;
}

bool yk_transpose_fits(const yk_layout *l)
{
    const size_t row = row_axis(l, 0), column = row_axis(l, 1);
    return row < l->ndim && column < l->ndim && row != column && l->shape[row] >= LEAST && l->shape[column] >= LEAST;
}

int yk_transpose_on_host(struct yoke_executor *ex, const yk_layout *l, size_t size, void *to, const void *from)
{
    turn t = {.l = l, .size = size, .row = row_axis(l, 0), .column = row_axis(l, 1), .to = to, .from = from};
    const size_t each_row = TO_BYTES / size, each_column = FROM_BYTES / size;
    t.across = (l->shape[t.row] + each_row - 1) / each_row;
    t.down = (l->shape[t.column] + each_column - 1) / each_column;
    t.past = yk_past_cache_pays(2 * l->elements * size);
    const size_t tiles = l->elements / (l->shape[t.row] * l->shape[t.column]) * t.across * t.down;
    if (l->elements > YK_ARRAY_SERIAL)
        return yk_loop(ex, tiles, copy_tiles, &t);
    copy_tiles(0, tiles, &t);
    return 0;
}
