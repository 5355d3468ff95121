/* transpose.c - copies that turn rows into columns, of elements of every size, at the edges of tiles, backwards, into parts of
 * other arrays, and past the caches: each element is where it belongs, and nothing else is written. */
#include "array_try.h"
#include "topo/past_cache.h"
#include <stdlib.h>
#include <yoke.h>

static const unsigned types[] = {YOKE_U8, YOKE_I16, YOKE_F32, YOKE_I64};

/* a, of numbers that tell where they are, as far as the type can. */
static yoke_array *numbered(yoke_stream *s, unsigned type, size_t n)
{
    return yoke_array_astype(yoke_array_arange(s, YOKE_I64, 0, (double)n, 1), type);
}

/* Element by element, since that knows nothing of tiles. */
static void check_equal(const yoke_array *a, const yoke_array *b, const char *what)
{
    double different = -1;
    CHECK(a && b);
    CHECK_INT(yoke_array_item(yoke_array_sum(yoke_array_ne(a, b), YOKE_ALL_AXES, false), &different), 0);
    if (different != 0)
        test_fail(__FILE__, __LINE__, "%s: %.0f elements are wrong", what, different);
}

static void turn_plane(yoke_stream *s, unsigned type, ptrdiff_t rows, ptrdiff_t columns)
{
    char what[80];
    snprintf(what, sizeof what, "%s (%td, %td)", yoke_array_type_name(type), rows, columns);
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_reshape(numbered(s, type, (size_t)(rows * columns)), yoke_shape(rows, columns));
    yoke_array *turned = yoke_array_transpose(a, YOKE_NO_DIMS), *copy = yoke_array_copy(turned);
    CHECK(yoke_array_is_flat(copy));
    check_equal(copy, turned, what);
    yoke_array *back = yoke_array_flip(turned, yoke_axes(0, 1)); /* steps below 0 are no rows */
    check_equal(yoke_array_copy(back), back, what);
    /* Into the middle of another, whose edge stays as it was. */
    yoke_array *large = yoke_array_full(s, type, yoke_shape(columns + 3, rows + 5), yoke_number(77));
    yoke_array *part = yoke_array_slice(yoke_array_slice(large, 0, 1, columns + 1, 1), 1, 2, rows + 2, 1);
    CHECK_INT(yoke_array_assign(part, turned), 0);
    check_equal(part, turned, what);
    CHECK_INT(yoke_array_assign(part, yoke_number(77)), 0);
    check_equal(large, yoke_number(77), what);
    yoke_array_end(&scope, NULL);
}

/* Every order of three axes, of which two change places or all go round. */
static void turn_space(yoke_stream *s, unsigned type)
{
    static const ptrdiff_t orders[][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_reshape(numbered(s, type, 9 * 35 * 70), yoke_shape(9, 35, 70));
    for (unsigned i = 0; i < YK_COUNT_OF(orders); i++) {
        yoke_array *turned = yoke_array_transpose(a, yoke_axes(orders[i][0], orders[i][1], orders[i][2]));
        check_equal(yoke_array_copy(turned), turned, "of three axes");
        yoke_array *part = yoke_array_slice(turned, 0, 1, 100, 2);
        check_equal(yoke_array_copy(part), part, "of three axes, each second");
    }
    yoke_array_end(&scope, NULL);
}

static void turn_all(yoke_device *dev, yoke_stream *s)
{
    static const ptrdiff_t shapes[][2] = {{1, 300}, {7, 8},    {8, 7},    {8, 8},    {15, 17},
                                          {16, 64}, {33, 129}, {64, 256}, {65, 257}, {300, 40}};
    for (unsigned k = 0; k < YK_COUNT_OF(types); k++) {
        for (unsigned i = 0; i < YK_COUNT_OF(shapes); i++)
            turn_plane(s, types[k], shapes[i][0], shapes[i][1]);
        turn_space(s, types[k]);
    }
    CHECK_STR(yoke_device_error(dev), "");
}

TEST(every_size_shape_and_order)
{
    on_each_device(turn_all);
}

TEST(past_the_caches)
{
    yk_past_cache_test_limit = 1;
    yoke_device *dev = yoke_device_open("cpu:3");
    yoke_stream *s = yoke_stream_open(dev);
    turn_all(dev, s);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}
