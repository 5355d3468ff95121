/* array.c - arrays as objects, on every device: who owns what, scopes, numbers, misuse and its one line, streams, views of
 * tasks, and want of memory. What operations compute is compared with numpy by numpy_test.py. */
#include "array_try.h"
#include "gpu/philox.h"
#include <yoke.h>

static void an_expression(yoke_device *dev, yoke_stream *s)
{
    const float host[] = {0, 1, 2, 3, 4, 5};
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_from(s, YOKE_F32, yoke_shape(2, 3), host);
    yoke_array *t = yoke_array_transpose(a, YOKE_NO_DIMS), *b = yoke_array_add(yoke_array_mul(t, t), yoke_number(0.5));
    yoke_array *sum = yoke_array_sum(b, yoke_axes(1), false);
    check_f32(sum, (float[]){10, 18, 30}, 3);
    CHECK_INT(b->ndim, 2);
    CHECK(b->shape[0] == 3 && b->shape[1] == 2 && yoke_array_is_flat(b) && !yoke_array_is_flat(t));
    sum = yoke_array_end(&scope, sum);
    check_f32(sum, (float[]){10, 18, 30}, 3);
    yoke_array_free(sum);
    CHECK_STR(yoke_device_error(dev), "");
}

TEST(an_expression_is_made_and_freed)
{
    on_each_device(an_expression);
}

static void scopes(yoke_device *dev, yoke_stream *s)
{
    (void)dev;
    yoke_array_scope outer, inner;
    yoke_array *before = yoke_array_zeros(s, YOKE_I32, yoke_shape(3));
    yoke_array_begin(&outer);
    yoke_array *a = yoke_array_ones(s, YOKE_I32, yoke_shape(3));
    yoke_array_begin(&inner);
    yoke_array *b = yoke_array_add(a, before), *gone = yoke_array_add(b, b);
    yoke_array_free(gone); /* by hand, in a scope */
    CHECK(yoke_array_end(&inner, b) == b);
    yoke_array *c = yoke_array_add(b, a);
    CHECK(yoke_array_end(&outer, c) == c); /* b, which the outer scope had got, goes; c is the caller's */
    int64_t item;
    yoke_array *last = yoke_array_index(c, 0, -1);
    CHECK_INT(yoke_array_item_int(last, &item), 0);
    CHECK_INT(item, 2);
    yoke_array_begin(&outer);
    CHECK(yoke_array_end(&outer, NULL) == NULL);
    yoke_array_begin(&outer);
    CHECK(yoke_array_end(&outer, before) == before); /* of no scope: left alone */
    yoke_array_free(last);
    yoke_array_free(c);
    yoke_array_free(before);
    yoke_array_free(NULL);
}

TEST(scopes_free_what_is_not_kept)
{
    on_each_device(scopes);
}

static void storage_is_shared(yoke_device *dev, yoke_stream *s)
{
    (void)dev;
    yoke_array *a = yoke_array_arange(s, YOKE_F32, 0, 10, 1), *v = yoke_array_slice(a, 0, 2, 8, 3);
    yoke_array_free(a); /* the view keeps the elements */
    check_f32(v, (float[]){2, 5}, 2);
    yoke_array *w = yoke_array_flip(v, YOKE_ALL_AXES);
    CHECK_INT(yoke_array_assign(v, yoke_number(7)), 0);
    yoke_array_free(v);
    check_f32(w, (float[]){7, 7}, 2);
    yoke_array *r = yoke_array_reshape(w, yoke_shape(2, 1)), *copy = yoke_array_copy(w);
    CHECK(r->storage == w->storage && copy->storage != w->storage);
    yoke_array_free(w);
    yoke_array_free(r);
    yoke_array_free(copy);
}

TEST(views_share_storage_and_keep_it)
{
    on_each_device(storage_is_shared);
}

static void overlaps(yoke_device *dev, yoke_stream *s)
{
    (void)dev;
    yoke_array *a = yoke_array_arange(s, YOKE_F32, 0, 6, 1);
    yoke_array *later = yoke_array_slice(a, 0, 1, YOKE_END, 1), *earlier = yoke_array_slice(a, 0, 0, -1, 1);
    CHECK_INT(yoke_array_assign(later, earlier), 0);
    check_f32(a, (float[]){0, 0, 1, 2, 3, 4}, 6);
    yoke_array *back = yoke_array_flip(a, YOKE_ALL_AXES);
    CHECK_INT(yoke_array_assign(a, back), 0);
    check_f32(a, (float[]){4, 3, 2, 1, 0, 0}, 6);
    yoke_array_free(a);
    yoke_array_free(later);
    yoke_array_free(earlier);
    yoke_array_free(back);
}

TEST(what_overlaps_is_read_before_it_is_written)
{
    on_each_device(overlaps);
}

/* ---- Numbers ---- */

TEST(a_number_has_the_type_of_what_was_written)
{
    CHECK_INT(yoke_number(2)->type, YOKE_I64);
    CHECK_INT(yoke_number(-2)->number.i, -2);
    CHECK_INT(yoke_number((char)3)->type, YOKE_I64);
    CHECK_INT(yoke_number(true)->number.i, 1);
    CHECK_INT(yoke_number(UINT64_MAX)->type, YOKE_U64);
    CHECK(yoke_number(UINT64_MAX)->number.u == UINT64_MAX);
    CHECK_INT(yoke_number((unsigned char)3)->type, YOKE_I64);
    CHECK_INT(yoke_number(3u)->type, YOKE_I64);
    CHECK_INT(yoke_number(true)->type, YOKE_I64);
    CHECK_INT(yoke_number(2.5f)->type, YOKE_F64);
    CHECK_INT(yoke_number(0.5L)->type, YOKE_F64);
    CHECK(yoke_number(0.5L)->number.f == 0.5);
    CHECK(yoke_number(2.5)->number.f == 2.5);
    CHECK(yoke_number(1)->stream == NULL);
    yoke_array copy = *yoke_number(1);
    yoke_array_free(&copy); /* is no array: nothing to free */
}

TEST(numbers_fit_or_are_refused)
{
    static const struct {
        long long number;
        unsigned type;
        bool fits;
    } cases[] = {{127, YOKE_I8, true}, {128, YOKE_I8, false}, {-128, YOKE_I8, true}, {-129, YOKE_I8, false}, {255, YOKE_U8,
                                                                                                              true},
                 {256, YOKE_U8, false}, {-1, YOKE_U8, false}, {32767, YOKE_I16, true}, {-32769, YOKE_I16, false},
                 {65535, YOKE_U16, true}, {65536, YOKE_U16, false}, {INT32_MAX, YOKE_I32, true}, {INT32_MAX + 1LL, YOKE_I32,
                                                                                                  false},
                 {UINT32_MAX, YOKE_U32, true}, {-1, YOKE_U32, false}, {INT64_MIN, YOKE_I64, true}, {-1, YOKE_U64, false},
                 {INT64_MAX, YOKE_U64, true}, {300, YOKE_BOOL, true}, {1LL << 60, YOKE_F32, true}};
    for (unsigned k = 0; k < YK_COUNT_OF(cases); k++) {
        uint64_t raw = 0;
        CHECK_INT(yk_number_as(yoke_number(cases[k].number), cases[k].type, &raw), cases[k].fits ? 0 : -ERANGE);
        double back = 0;
        if (cases[k].fits && cases[k].type != YOKE_BOOL) {
            yk_casts[cases[k].type][YOKE_F64](1, &raw, 1, &back, 1);
            CHECK(back == (double)cases[k].number);
        }
    }
    uint64_t raw;
    CHECK_INT(yk_number_as(yoke_number(UINT64_MAX), YOKE_I64, &raw), -ERANGE);
    CHECK_INT(yk_number_as(yoke_number(UINT64_MAX), YOKE_U64, &raw), 0);
    CHECK(raw == UINT64_MAX);
}

TEST(types_meet_symmetrically_and_hold_both)
{
    for (unsigned a = YOKE_BOOL; a <= YOKE_F64; a++)
        for (unsigned b = YOKE_BOOL; b <= YOKE_F64; b++) {
            unsigned t = yoke_array_promote(a, b);
            CHECK_INT(t, yoke_array_promote(b, a));
            CHECK_INT(yoke_array_promote(t, a), t);
            CHECK(yoke_array_type_size(t) >= yoke_array_type_size(a));
        }
    CHECK_INT(yoke_array_promote(YOKE_U32, YOKE_I32), YOKE_I64);
    CHECK_INT(yoke_array_promote(YOKE_U64, YOKE_I8), YOKE_F64);
    CHECK_INT(yoke_array_promote(YOKE_F32, YOKE_I32), YOKE_F64);
    CHECK_INT(yoke_array_promote(YOKE_F32, YOKE_U16), YOKE_F32);
    CHECK_INT(yoke_array_promote(YOKE_STR, YOKE_I8), YOKE_VOID);
    CHECK_STR(yoke_array_type_name(YOKE_U16), "u16");
    CHECK_STR(yoke_array_type_name(YOKE_CSTR), "?");
    CHECK_INT(yoke_array_type_size(YOKE_VOID), 0);
}

/* ---- Misuse ---- */

static void misuse(yoke_device *dev, yoke_stream *s)
{
    yoke_array *a = yoke_array_zeros(s, YOKE_F32, yoke_shape(2, 3)), *b = yoke_array_zeros(s, YOKE_BOOL, yoke_shape(3));
    double item;
    float small[2];
    expect(dev, yoke_array_empty(s, YOKE_CSTR, yoke_shape(2)), "12 is no type of an array");
    expect(dev, yoke_array_empty(s, YOKE_F32, yoke_shape(2, -3)), "an array: a length of -3");
    expect(dev, yoke_array_empty(s, YOKE_F32, (yoke_dims){5, {1, 1, 1, 1}}), "an array: 5 dimensions, at most 4");
    expect(dev, yoke_array_empty(s, YOKE_F64, yoke_shape(1L << 31, 1L << 31, 4)), "has more elements than there can be");
    expect(dev, yoke_array_transpose(a, yoke_axes(0)), "transpose: 1 axes for f32 (2, 3)");
    expect(dev, yoke_array_transpose(a, yoke_axes(0, 0)), "transpose: axis 0 twice");
    expect(dev, yoke_array_flip(a, yoke_axes(2)), "flip: axis 2 of f32 (2, 3), which has 0 to 1, or -1 to -2");
    expect(dev, yoke_array_slice(a, 0, 0, 1, 0), "slice: the step is 0");
    expect(dev, yoke_array_index(a, 1, 3), "index: 3 on axis 1 of f32 (2, 3)");
    expect(dev, yoke_array_reshape(a, yoke_shape(4, 2)), "reshape: f32 (2, 3) has 6 elements, (4, 2) has not");
    expect(dev, yoke_array_reshape(a, yoke_shape(-1, -1)), "reshape: -1 twice");
    expect(dev, yoke_array_reshape(a, yoke_shape(-1, 4)), "reshape: f32 (2, 3)");
    expect(dev, yoke_array_squeeze(a, yoke_axes(0)), "squeeze: axis 0 of f32 (2, 3) is not of length 1");
    expect(dev, yoke_array_broadcast(a, yoke_shape(2)), "broadcast: f32 (2, 3) cannot become (2,)");
    expect(dev, yoke_array_add(a, yoke_array_slice(NULL, 0, 0, 1, 1)), ""); /* NULL makes NULL */
    expect(dev, yoke_array_sub(b, b), "a - b is not defined for bool");
    expect(dev, yoke_array_bit_and(a, a), "a & b is not defined for f32");
    expect(dev, yoke_array_sum(a, yoke_axes(-3), false), "sum: axis -3 of f32 (2, 3)");
    expect(dev, yoke_array_argmax(a, yoke_axes(0, 1), false), "argmax: along 2 axes, it is one or all");
    expect(dev, yoke_array_load_bytes(s, (yoke_bytes){"no file", 7}), "no NumPy file: it ends too early");
    CHECK_INT(yoke_array_item(a, &item), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "item: f32 (2, 3) has 6 elements, not one");
    CHECK_INT(yoke_array_get(a, small, sizeof small), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "get: f32 (2, 3) has 24 bytes, there is room for 8");
    CHECK_INT(yoke_stream_wait(s), 0); /* of all these: they are NULL, or about what they were asked for */
    CHECK_INT(yoke_array_assign(b, a), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "assign: f32 (2, 3) cannot become (3,)");
    CHECK_INT(yoke_stream_wait(s), -EINVAL); /* what was to change has not */
    CHECK_HAS(yoke_device_error(dev), "assign: f32 (2, 3) cannot become (3,)");
    yoke_in_f64 view;
    CHECK_INT(yoke_array_view(yoke_in_f64, a, &view), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "view: f32 (2, 3) is no view of f64");
    CHECK_INT(yoke_array_item(NULL, &item), -EINVAL);
    CHECK_INT(yoke_array_get(yoke_number(1), small, sizeof small), -EINVAL);
    CHECK_INT(yoke_array_assign(NULL, a), -EINVAL);
    CHECK_INT(yoke_array_save(NULL, "x"), -EINVAL);
    CHECK_INT(yoke_array_put(NULL, a, 0, a), -EINVAL);
    CHECK(yoke_array_elements(NULL) == 0 && !yoke_array_is_flat(NULL));
    yoke_array_free(a);
    yoke_array_free(b);
}

TEST(misuse_is_one_line_that_says_what_would_be_right)
{
    on_each_device(misuse);
}

static void nothing_in(yoke_device *dev, yoke_stream *s)
{
    yoke_array *bad = yoke_array_empty(s, YOKE_VOID, yoke_shape(2));
    char first[200];
    snprintf(first, sizeof first, "%s", yoke_device_error(dev));
    CHECK(yoke_array_sqrt(yoke_array_add(yoke_array_mul(bad, yoke_number(2)), bad)) == NULL);
    CHECK(yoke_array_sum(yoke_array_reshape(yoke_array_where(bad, bad, bad), yoke_shape(1)), YOKE_ALL_AXES, false) == NULL);
    CHECK(yoke_array_matmul(bad, bad) == NULL && yoke_array_take(bad, bad, 0) == NULL && yoke_array_cumsum(bad, 0) == NULL);
    CHECK(yoke_array_to(bad, s) == NULL && yoke_array_astype(bad, YOKE_F32) == NULL && yoke_array_flat(bad) == NULL);
    CHECK(yoke_array_concatenate((const yoke_array *[]){bad}, 1, 0) == NULL && yoke_array_full(s, YOKE_F32, yoke_shape(1),
                                                                                               bad) == NULL);
    CHECK(yoke_array_var(bad, YOKE_ALL_AXES, false, 0) == NULL && yoke_array_empty_like(bad) == NULL);
    CHECK_STR(yoke_device_error(dev), first); /* the first reason stays */
    CHECK(yoke_array_zeros(NULL, YOKE_F32, yoke_shape(1)) == NULL);
    CHECK(yoke_array_load(NULL, "x") == NULL && yoke_array_arange(NULL, YOKE_F32, 0, 1, 1) == NULL);
    CHECK(yoke_array_add(yoke_number(1), yoke_number(2)) == NULL);
}

TEST(nothing_makes_nothing_and_keeps_the_first_error)
{
    on_each_device(nothing_in);
}

/* ---- Streams and devices ---- */

static void two_streams(yoke_device *dev, yoke_stream *s)
{
    yoke_stream *other = yoke_stream_open(dev);
    for (int turn = 0; turn < 20; turn++) {
        yoke_array *a = yoke_array_arange(s, YOKE_I64, 0, 50000, 1), *b = yoke_array_full(other, YOKE_I64, yoke_shape(50000),
                                                                                          yoke_number(turn));
        yoke_array *c = yoke_array_add(b, a), *d = yoke_array_to(c, s), *sum = yoke_array_sum(d, YOKE_ALL_AXES, false);
        CHECK(c->stream == other && d->stream == s);
        yoke_array_free(a); /* while the other stream may still read it */
        yoke_array_free(c);
        yoke_array *again = yoke_array_zeros(s, YOKE_I64, yoke_shape(50000));
        int64_t item = 0;
        CHECK_INT(yoke_array_item_int(sum, &item), 0);
        CHECK_INT(item, 1249975000 + 50000LL * turn);
        yoke_array_free(again);
        yoke_array_free(b);
        yoke_array_free(d);
        yoke_array_free(sum);
    }
    CHECK_INT(yoke_stream_close(other), 0);
}

TEST(arrays_of_two_streams_meet_in_order)
{
    on_each_device(two_streams);
}

static void across(yoke_device *dev, yoke_stream *s)
{
    yoke_device *cpu = yoke_device_open("cpu:2");
    yoke_stream *there = yoke_stream_open(cpu);
    yoke_array *a = yoke_array_arange(s, YOKE_F32, 0, 6, 1), *v = yoke_array_slice(a, 0, YOKE_END, YOKE_END, -2);
    yoke_array *b = yoke_array_to(v, there);
    check_f32(b, (float[]){5, 3, 1}, 3);
    expect(dev, yoke_array_add(v, b), "is on cpu:2, not on ");
    CHECK_INT(yoke_array_assign(a, b), -EINVAL);
    CHECK_INT(yoke_stream_wait(s), -EINVAL);
    yoke_array *back = yoke_array_to(b, s), *sum = yoke_array_add(back, v);
    check_f32(sum, (float[]){10, 6, 2}, 3);
    yoke_array_free(a);
    yoke_array_free(v);
    yoke_array_free(b);
    yoke_array_free(back);
    yoke_array_free(sum);
    yoke_stream_close(there);
    yoke_device_close(cpu);
}

TEST(arrays_go_from_device_to_device)
{
    on_each_device(across);
}

/* ---- Memory of the user's, and views of tasks ---- */

YOKE_TASK(double, total_of, (yoke_in_f64, v))
{
    double sum = 0;
    for (size_t i = 0; i < v.shape[0]; i++)
        for (size_t j = 0; j < v.shape[1]; j++)
            sum += yoke_at(v, i, j) * (double)(i + 1);
    return sum;
}

TEST(an_array_is_given_to_a_task_and_made_of_a_view)
{
    yoke_device *dev = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev);
    yoke_array *a = yoke_array_arange(s, YOKE_F64, 0, 6, 1), *m = yoke_array_reshape(a, yoke_shape(2, 3));
    yoke_array *t = yoke_array_transpose(m, YOKE_NO_DIMS);
    yoke_in_f64 v;
    yoke_inout_f64 w;
    CHECK_INT(yoke_array_view(yoke_in_f64, t, &v), 0);
    CHECK(v.ndim == 2 && v.shape[0] == 3 && v.step[0] == 1 && v.step[1] == 3);
    CHECK(total_of(v) == 3 + 2 * 5 + 3 * 7);
    CHECK_INT(yoke_array_view(yoke_inout_f64, t, &w), 0);
    yoke_at(w, 2, 1) = 50; /* the array's own elements */
    double item;
    yoke_array *last = yoke_array_index(a, 0, 5);
    CHECK_INT(yoke_array_item(last, &item), 0);
    CHECK(item == 50);
    yoke_array *copy = yoke_array_of_view(s, v), *same = yoke_array_eq(copy, t), *all = yoke_array_all(same, YOKE_ALL_AXES,
                                                                                                       false);
    CHECK(copy->shape[0] == 3 && copy->shape[1] == 2 && yoke_array_is_flat(copy));
    CHECK_INT(yoke_array_item(all, &item), 0);
    CHECK(item == 1);
    double own[] = {1, 2, 3, 4};
    yoke_array *over = yoke_array_over(s, YOKE_F64, yoke_shape(2), (ptrdiff_t[]){2}, own + 1);
    CHECK_INT(yoke_array_assign(over, yoke_number(9)), 0);
    CHECK(own[0] == 1 && own[1] == 9 && own[2] == 3 && own[3] == 9);
    yoke_array *every[] = {a, m, t, last, copy, same, all, over};
    for (size_t k = 0; k < YK_COUNT_OF(every); k++)
        yoke_array_free(every[k]);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

static void host_memory(yoke_device *dev, yoke_stream *s)
{
    if (yoke_device_about(dev)->shares_host_memory)
        return;
    float x[4] = {0};
    yoke_in_f32 v;
    yoke_array *a = yoke_array_zeros(s, YOKE_F32, yoke_shape(4));
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(4), NULL, x), "is memory of the host");
    CHECK_INT(yoke_array_view(yoke_in_f32, a, &v), -EXDEV);
    CHECK_HAS(yoke_device_error(dev), "yoke_array_to() a stream of the CPU");
    yoke_array_free(a);
}

TEST(the_host_keeps_off_a_devices_memory)
{
    on_each_device(host_memory);
}

/* ---- Random numbers ---- */

/* The known answers of the authors' library (Random123, kat_vectors). */
TEST(philox_gives_the_published_answers)
{
    static const uint32_t answers[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1}};
    for (unsigned k = 0; k < YK_COUNT_OF(answers); k++) {
        uint32_t x[4];
        memcpy(x, answers[k], sizeof x);
        yk_philox(x, answers[k] + 4);
        CHECK(memcmp(x, answers[k] + 6, sizeof x) == 0);
    }
}

/* By vectors of every width, also where counters pass the half and the whole of 64 bits. */
TEST(blocks_in_a_row_are_those_of_the_generator)
{
    static const uint64_t firsts[] = {0, 1, 0xfffffffb, 0x123456789abcdef0, UINT64_MAX - 2}, key = 0x9e3779b97f4a7c15;
    for (unsigned by = 0; yk_philox_test_width(by); by++)
        for (unsigned i = 0; i < YK_COUNT_OF(firsts); i++) {
            uint64_t bits[2 * YK_PHILOX_BLOCKS];
            yk_philox_blocks(bits, key, firsts[i]);
            for (unsigned k = 0; k < YK_PHILOX_BLOCKS; k++) {
                uint32_t x[4] = {(uint32_t)(firsts[i] + k), (uint32_t)((firsts[i] + k) >> 32)};
                yk_philox(x, (const uint32_t[]){(uint32_t)key, (uint32_t)(key >> 32)});
                CHECK(memcmp(bits + 2 * k, x, sizeof x) == 0);
            }
        }
}

TEST(the_normal_distribution_is_that_of_the_tables)
{
    static const double known[][2] = {{0.975, 1.959963984540054}, {0.5, 0}, {0.84134474606854293, 1}, {0.001,
                                                                                                       -3.090232306167813},
                                      {0.9999, 3.719016485455709}, {1e-9, -5.997807015007774}, {0.1, -1.281551565544600}};
    for (unsigned k = 0; k < YK_COUNT_OF(known); k++) {
        double bits = known[k][0] * 0x1p64;
        CHECK_NEAR(yk_normal_of((uint64_t)bits), known[k][1], known[k][0] < 1e-6 ? 1e-6 : 1e-11);
    }
    CHECK_NEAR(yk_normal_of(0), -8.29, 0.1); /* 2^-53.. of the least */
    CHECK(yk_normal_of(0) == -yk_normal_of(UINT64_MAX));
}

static uint64_t digest[4][6];
static unsigned digests;

static void take_digest(yoke_stream *s, yoke_array *a, unsigned k)
{
    (void)s;
    static double host[20001];
    CHECK(a != NULL);
    CHECK_INT(yoke_array_get(a, host, sizeof host), 0);
    size_t size = yoke_array_elements(a) * yoke_array_type_size(a->type);
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((unsigned char *)host)[i]) * 1099511628211u;
    digest[digests][k] = hash;
    yoke_array_free(a);
}

static void random_bits(yoke_device *dev, yoke_stream *s)
{
    yoke_random r = {.seed = 42};
    take_digest(s, yoke_array_uniform(s, &r, YOKE_F64, yoke_shape(20001), 0, 1), 0);
    CHECK_INT(r.at, 10001);
    take_digest(s, yoke_array_uniform(s, &r, YOKE_F32, yoke_shape(100, 30), -2, 3), 1);
    take_digest(s, yoke_array_normal(s, &r, YOKE_F64, yoke_shape(20001), 0, 1), 2);
    take_digest(s, yoke_array_normal(s, &r, YOKE_F32, yoke_shape(777), 5, 2), 3);
    take_digest(s, yoke_array_integers(s, &r, YOKE_I64, yoke_shape(999), INT64_MIN, INT64_MAX), 4);
    take_digest(s, yoke_array_integers(s, &r, YOKE_U8, yoke_shape(999), 3, 250), 5);
    for (unsigned k = 0; digests > 0 && k < 6; k++)
        CHECK(digest[digests][k] == digest[0][k]);
    digests++;
    yoke_array *n = yoke_array_normal(s, &r, YOKE_F64, yoke_shape(20000), 1, 2), *m = yoke_array_mean(n, YOKE_ALL_AXES, false);
    yoke_array *sd = yoke_array_std(n, YOKE_ALL_AXES, false, 0), *low = NULL, *high = NULL;
    double mean, deviation, least, most;
    CHECK_INT(yoke_array_item(m, &mean), 0);
    CHECK_INT(yoke_array_item(sd, &deviation), 0);
    CHECK_NEAR(mean, 1, 0.06); /* fixed seed: never by chance */
    CHECK_NEAR(deviation, 2, 0.06);
    yoke_array *dice = yoke_array_integers(s, &r, YOKE_I32, yoke_shape(1000), 1, 6);
    low = yoke_array_min(dice, YOKE_ALL_AXES, false);
    high = yoke_array_max(dice, YOKE_ALL_AXES, false);
    CHECK_INT(yoke_array_item(low, &least), 0);
    CHECK_INT(yoke_array_item(high, &most), 0);
    CHECK(least == 1 && most == 6);
    expect(dev, yoke_array_uniform(s, &r, YOKE_I32, yoke_shape(2), 0, 1), "random: in i32, it makes f32 or f64");
    expect(dev, yoke_array_integers(s, &r, YOKE_U8, yoke_shape(2), 0, 256), "random: integers from 0 to 256 in u8");
    expect(dev, yoke_array_integers(s, &r, YOKE_I8, yoke_shape(2), 3, 2), "random: integers from 3 to 2 in i8");
    yoke_array *every[] = {n, m, sd, low, high, dice};
    for (size_t k = 0; k < YK_COUNT_OF(every); k++)
        yoke_array_free(every[k]);
}

TEST(random_numbers_are_the_same_bits_everywhere)
{
    on_each_device(random_bits);
}

/* ---- Want of memory ---- */

/* A bit of everything; whether it all went well. */
static bool everything(yoke_stream *s)
{
    yoke_array_scope scope;
    yoke_random r = {.seed = 7};
    double item;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_uniform(s, &r, YOKE_F32, yoke_shape(40, 50), 0, 1), *t = yoke_array_transpose(a, YOKE_NO_DIMS);
    yoke_array *b = yoke_array_matmul(a, t), *c = yoke_array_add(b, yoke_array_sum(b, yoke_axes(0), true));
    yoke_array *n = yoke_array_arange(s, YOKE_I32, 0, 40, 3), *d = yoke_array_take(c, n, 1);
    yoke_array *e = yoke_array_concatenate((const yoke_array *[]){d, yoke_array_flip(d, yoke_axes(0))}, 2, 0);
    yoke_array *f = yoke_array_cumsum(yoke_array_var(e, yoke_axes(0), false, 1), 0), *g = yoke_array_reshape(t, yoke_shape(-1));
    bool good = f && g && yoke_array_assign(g, yoke_number(1)) == 0 && yoke_array_put(f, yoke_array_index(n, 0, 0), 0,
                                                                                      yoke_number(1)) == 0;
    good = good && yoke_array_item(yoke_array_index(f, 0, 0), &item) == 0 && item == 1;
    good = good && yoke_array_of_view(s, yoke_1d(yoke_in_f64, &item, 1));
    yoke_array_end(&scope, NULL);
    return good;
}

static void want(const char *call, int error, const char *text)
{
    yoke_device *dev = yoke_device_open("cpu:1");
    yoke_stream *s = yoke_stream_open(dev);
    CHECK(everything(s));
    int refused = 0, n = 0, calls;
    do { /* until there is no such call to fail */
        CHECK(n++ < 1000);
        CHECK_INT(yoke_device_trim(dev), 0); /* or nothing would be asked for again */
        yk_sys_fail(call, n, error);
        bool good = everything(s); /* a product goes on without */
        calls = yk_sys_fail(call, 0, 0);
        yoke_device_memory m;
        CHECK_INT(yoke_device_memory_stats(dev, &m), 0);
        CHECK_INT(m.blocks, 0);
        refused += !good;
        if (!good)
            CHECK_HAS(yoke_device_error(dev), text);
    } while (calls >= n);
    CHECK(refused >= 3);
    CHECK(everything(s));
    yoke_stream_close(s);
    yoke_device_close(dev);
}

TEST(want_of_memory_is_told_and_nothing_leaks)
{
    want("calloc", ENOMEM, "no ");
    want("malloc", ENOMEM, "no memory");
    want("posix_memalign", ENOMEM, "bytes left on cpu:1");
}
