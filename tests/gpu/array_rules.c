/* array_rules.c - what arrays promise where memory is shared: whose scope an array is in, which memory and which shapes are
 * taken for an array, and in what order memory is read, written and given back. What needs a slow device has the CUDA driver
 * that is none. */
#include "array_try.h"
#include "cuda_run.h"
#include <math.h>
#include <yoke.h>
#include <yoke/loop.h>

/* ---- Scopes ---- */

enum { PARTS = 400 };
static yoke_stream *of_part[PARTS];
static _Atomic unsigned in_a_scope, parts_done;

/* Every second part has a scope, and loops in it that are long enough to be shared; the others have none. */
YOKE_LOOP(a_part, i, (size_t, n))
{
    if (i % 2) {
        yoke_array_scope scope;
        yoke_array_begin(&scope);
        yoke_array *x = yoke_array_ones(of_part[i], YOKE_F64, yoke_shape((ptrdiff_t)n));
        for (size_t k = 0; k < i % 7 * 4 + 1; k++)
            x = yoke_array_add(x, yoke_number(1));
        if (!x || x->scope != &scope)
            yoke_fail(-EINVAL, "an array of part %zu is not in its scope", i);
        yoke_array_end(&scope, NULL);
    } else {
        yoke_array *x = yoke_array_ones(of_part[i], YOKE_F64, yoke_shape(10));
        in_a_scope += !x || x->scope;
        yoke_array_free(x);
    }
    parts_done++;
}

TEST(a_part_of_a_loop_is_in_no_scope_of_another)
{
    yoke_executor *ex = yoke_open("threads:8");
    yoke_device *dev = yoke_device_open("cpu");
    for (unsigned i = 0; i < PARTS; i++)
        of_part[i] = yoke_stream_open(dev);
    for (int turn = 0; turn < 5; turn++)
        CHECK_INT(yoke_for(ex, PARTS, a_part, 1 << 18), 0);
    CHECK_INT(parts_done, 5 * PARTS);
    CHECK_INT(in_a_scope, 0);
    yoke_device_memory m;
    CHECK_INT(yoke_device_memory_stats(dev, &m), 0);
    CHECK_INT(m.blocks, 0);
    yoke_close(ex);
    yoke_device_close(dev);
}

static yoke_stream *of_task;

YOKE_TASK(bool, makes_one_in_a_scope)
{
    yoke_array *a = yoke_array_ones(of_task, YOKE_F32, yoke_shape(3));
    bool in_one = a && a->scope;
    yoke_array_free(a);
    return in_one;
}

TEST(a_job_on_an_inline_executor_is_in_no_scope_of_its_callers)
{
    yoke_device *dev = yoke_device_open("cpu:1");
    yoke_executor *ex = yoke_open("inline");
    yoke_array_scope scope;
    of_task = yoke_stream_open(dev);
    yoke_array_begin(&scope);
    yoke_future *f = yoke_submit(ex, makes_one_in_a_scope);
    bool in_one = true;
    CHECK_INT(yoke_try(f, &in_one), 0);
    CHECK(!in_one);
    yoke_array *a = yoke_array_ones(of_task, YOKE_F32, yoke_shape(3));
    CHECK(a && a->scope == &scope); /* which is still open here */
    yoke_array_end(&scope, NULL);
    yoke_release(f);
    yoke_close(ex);
    yoke_device_close(dev);
}

/* ---- Shapes and memory ---- */

static void too_large(yoke_device *dev, yoke_stream *s)
{
    float x = 0;
    ptrdiff_t none[] = {0, 0};
    yoke_array *one = yoke_array_ones(s, YOKE_F64, yoke_shape(1));
    expect(dev, yoke_array_broadcast(one, yoke_shape(1L << 40, 1L << 40)), "broadcast: shape (1099511627776, 1099511627776) has");
    expect(dev, yoke_array_broadcast(one, yoke_shape(1L << 32, 1L << 32)), "has more elements than there can be");
    expect(dev, yoke_array_broadcast(one, yoke_shape(1L << 60)), "has more elements than there can be"); /* its bytes */
    expect(dev, yoke_array_broadcast(one, yoke_shape(0, 1L << 40, 1L << 40)), "has more elements than there can be");
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(1L << 32, 1L << 32), none, &x), "over: shape (4294967296, 4294967296)");
    yoke_array *large = yoke_array_broadcast(one, yoke_shape(1L << 59)), *line = yoke_array_reshape(large, yoke_shape(-1));
    CHECK(line && line->shape[0] == (size_t)1 << 59); /* the largest that there can be */
    yoke_array_free(one);
    yoke_array_free(large);
    yoke_array_free(line);
}

TEST(a_shape_beyond_all_memory_is_refused)
{
    on_each_device(too_large);
}

static void memory_of_others(yoke_device *dev, yoke_stream *s)
{
    yoke_device *cpu = yoke_device_open("cpu:2");
    yoke_stream *there = yoke_stream_open(cpu);
    float *own = yoke_stream_alloc(s, 64 * sizeof *own), *others = yoke_stream_alloc(there, 64 * sizeof *others);
    bool is_cpu = yk_array_is_on_host(&(yoke_array){.stream = s});
    if (is_cpu) { /* is all of one memory */
        yoke_array *a = yoke_array_over(s, YOKE_F32, yoke_shape(64), NULL, others);
        CHECK(a != NULL);
        yoke_array_free(a);
    } else {
        expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(64), NULL, others), "is memory of cpu:2, not of ");
        expect(cpu, yoke_array_over(there, YOKE_F32, yoke_shape(64), NULL, own), ", not of cpu:2");
    }
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(1), NULL, (char *)own + 2), "is not aligned for f32");
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(1), NULL, NULL), "over: ");
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(1 << 20), NULL, own), "reaches beyond its block of ");
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(3, 2), (ptrdiff_t[]){-1, 1}, own + 1), "reaches beyond its block of ");
    expect(dev, yoke_array_over(s, YOKE_F32, yoke_shape(3), (ptrdiff_t[]){PTRDIFF_MAX / 2}, own), "reach beyond all memory");
    yoke_array *back = yoke_array_over(s, YOKE_F32, yoke_shape(3, 2), (ptrdiff_t[]){-2, 1}, own + 4);
    CHECK_INT(yoke_array_assign(back, yoke_number(1.5)), 0);
    check_f32(back, (float[]){1.5, 1.5, 1.5, 1.5, 1.5, 1.5}, 6);
    yoke_array_free(back);
    yoke_stream_free(s, own);
    yoke_stream_free(there, others);
    yoke_stream_close(there);
    yoke_device_close(cpu);
}

TEST(an_array_is_over_memory_of_its_own_device)
{
    on_each_device(memory_of_others);
}

static void views(yoke_device *dev, yoke_stream *s)
{
    float x[] = {1, 2, 3};
    yoke_in_f32 all[] = {{NULL, 1, {3}, {1}}, {NULL, 1, {0}, {1}}, {x, 1, {3}, {1}}}, *next = all;
    expect(dev, yoke_array_of_view(s, *next++), "of_view: the address is NULL");
    yoke_array *none = yoke_array_of_view(s, *next++), *three = yoke_array_of_view(s, *next++);
    CHECK(next == all + 3); /* each was taken once */
    CHECK(none && yoke_array_elements(none) == 0);
    check_f32(three, x, 3);
    next = all;
    if (yk_array_is_on_host(three)) {
        CHECK_INT(yoke_array_view(yoke_in_f32, three, next++), 0);
        CHECK(next == all + 1 && all[0].ptr[2] == 3);
    }
    yoke_array_free(none);
    yoke_array_free(three);
}

TEST(a_view_is_evaluated_once_and_has_an_address)
{
    on_each_device(views);
}

static void nothing_moves(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    (void)dev;
    yoke_array_begin(&scope);
    yoke_array *none = yoke_array_zeros(s, YOKE_F32, yoke_shape(0, 5000)), *part = yoke_array_slice(none, 1, 4000, YOKE_END, 1);
    yoke_array *sum = yoke_array_sum(part, yoke_axes(0), false), *all = yoke_array_any(sum, YOKE_ALL_AXES, false);
    double item = 1;
    CHECK(part && sum && sum->shape[0] == 1000);
    CHECK_INT(yoke_array_item(all, &item), 0);
    CHECK(item == 0);
    CHECK(part->data == none->data);
    CHECK(yoke_array_flip(none, YOKE_ALL_AXES)->data == none->data);
    CHECK(yoke_array_index(none, 1, 4999)->data == none->data);
    yoke_array_end(&scope, NULL);
}

TEST(a_view_of_no_elements_stays_in_its_block)
{
    on_each_device(nothing_moves);
}

/* As on a device without f64. */
static void without_doubles(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    bool had = dev->info.has_double;
    dev->info.has_double = false;
    yoke_array_begin(&scope);
    static const unsigned types[] = {YOKE_I32, YOKE_I64, YOKE_U32, YOKE_U64, YOKE_BOOL, YOKE_F32};
    for (unsigned k = 0; k < YK_COUNT_OF(types); k++) {
        yoke_array *a = yoke_array_astype(yoke_array_arange(s, YOKE_I32, 0, 2, 1), types[k]);
        yoke_array *var = yoke_array_var(a, YOKE_ALL_AXES, false, 0), *sd = yoke_array_std(a, YOKE_ALL_AXES, false, 0);
        check_f32(var, (float[]){0.25}, 1);
        check_f32(sd, (float[]){0.5}, 1);
    }
    yoke_array_end(&scope, NULL);
    dev->info.has_double = had;
}

TEST(integers_have_a_variance_on_devices_without_f64)
{
    on_each_device(without_doubles);
}

/* ---- The order of reading and writing ---- */

/* A long chain on another stream ends in reading `a`, which is written again at once. The first time kernels are built in
 * between, and nothing is at once. */
static void read_once(yoke_device *dev, yoke_stream *s, bool put)
{
    yoke_stream *other = yoke_stream_open(dev);
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    enum { N = 1 << 20 };
    yoke_array *a = yoke_array_ones(s, YOKE_I32, yoke_shape(N)), *z = yoke_array_zeros(other, YOKE_I32, yoke_shape(N));
    yoke_array *at = yoke_array_arange(s, YOKE_I64, 0, N, 1);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (int turn = 0; turn < 20; turn++)
        z = yoke_array_mul(z, yoke_number(3));
    yoke_array *q = yoke_array_add(z, a);
    if (put)
        CHECK_INT(yoke_array_put(a, at, 0, yoke_number(5)), 0);
    else
        CHECK_INT(yoke_array_assign(a, yoke_number(5)), 0);
    int64_t most = 0, now = 0;
    CHECK_INT(yoke_array_item_int(yoke_array_max(q, YOKE_ALL_AXES, false), &most), 0);
    CHECK_INT(most, 1);
    CHECK_INT(yoke_array_item_int(yoke_array_min(a, YOKE_ALL_AXES, false), &now), 0);
    CHECK_INT(now, 5);
    yoke_array_end(&scope, NULL);
    CHECK_INT(yoke_stream_close(other), 0);
}

static void read_first(yoke_device *dev, yoke_stream *s, bool put)
{
    for (int time = 0; time < 4; time++)
        read_once(dev, s, put);
}

static void read_and_assigned(yoke_device *dev, yoke_stream *s)
{
    read_first(dev, s, false);
}

static void read_and_put(yoke_device *dev, yoke_stream *s)
{
    read_first(dev, s, true);
}

TEST(what_another_stream_reads_is_not_written_before)
{
    on_each_device(read_and_assigned);
    on_each_device(read_and_put);
}

/* Two arrays over one block know nothing of each other. */
static void two_over_one(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    (void)dev;
    enum { N = 1 << 16 };
    float *block = yoke_stream_alloc(s, N * sizeof *block);
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_over(s, YOKE_F32, yoke_shape(N), NULL, block);
    yoke_array *b = yoke_array_over(s, YOKE_F32, yoke_shape(N), NULL, block), *line = yoke_array_arange(s, YOKE_F32, 0, N, 1);
    CHECK_INT(yoke_array_assign(a, line), 0);
    CHECK_INT(yoke_array_assign(a, yoke_array_flip(b, YOKE_ALL_AXES)), 0);
    double same = 0;
    yoke_array *all = yoke_array_all(yoke_array_eq(a, yoke_array_flip(line, YOKE_ALL_AXES)), YOKE_ALL_AXES, false);
    CHECK_INT(yoke_array_item(all, &same), 0);
    CHECK(same == 1);
    yoke_array_end(&scope, NULL);
    yoke_stream_free(s, block);
}

/* One element, read before it is written, into all: without a copy of them all. */
static void one_into_all(yoke_device *dev, yoke_stream *s)
{
    yoke_device_memory before, after;
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_arange(s, YOKE_F64, 0, 1 << 20, 1);
    double least = 0, most = 0;
    CHECK_INT(yoke_stream_wait(s), 0);
    CHECK_INT(yoke_device_trim(dev), 0);
    CHECK_INT(yoke_device_memory_stats(dev, &before), 0);
    CHECK_INT(yoke_array_assign(a, yoke_array_index(a, 0, 77)), 0);
    CHECK_INT(yoke_device_memory_stats(dev, &after), 0);
    CHECK(after.held - before.held < 1 << 20);
    CHECK_INT(yoke_array_item(yoke_array_min(a, YOKE_ALL_AXES, false), &least), 0);
    CHECK_INT(yoke_array_item(yoke_array_max(a, YOKE_ALL_AXES, false), &most), 0);
    CHECK(least == 77 && most == 77);
    yoke_array_end(&scope, NULL);
}

TEST(what_overlaps_is_told_by_its_addresses)
{
    on_each_device(two_over_one);
    on_each_device(one_into_all);
}

/* ---- Memory of another library ---- */

static yoke_stream *users[2];
static int deleted, found_busy;

static void delete_it(yoke_dlpack *t)
{
    (void)t;
    for (unsigned k = 0; k < 2; k++)
        found_busy += yoke_stream_try(users[k]) != 0;
    deleted++;
}

/* A line of 1024 floats. */
static yoke_dlpack tensor_of(void *memory, int device)
{
    static int64_t length = 1024;
    yoke_dlpack t = {.version = {1, 1}, .deleter = delete_it};
    t.tensor = (yoke_dlpack_tensor){.data = memory, .device = {device, 0}, .ndim = 1, .dtype = {2, 32, 1}, .shape = &length};
    return t;
}

TEST(another_librarys_memory_is_given_back_when_nobody_is_at_work_on_it)
{
    static float host[1024];
    fake_cuda *f = fake_use("fake-cuda");
    yoke_device *dev = yoke_device_open("cuda:0");
    users[0] = yoke_stream_open(dev);
    users[1] = yoke_stream_open(dev);
    float *block = yoke_device_alloc(dev, sizeof host);
    CHECK(block && users[1]);
    for (int other = 0; other < 2; other++) {
        yoke_dlpack t = tensor_of(block, YOKE_DLPACK_CUDA);
        yoke_array *a = yoke_array_from_dlpack(users[0], &t);
        CHECK(a != NULL);
        f->slow(50 * YOKE_MS);
        CHECK_INT(yk_array_enter(a, users[other]), 0);
        CHECK_INT(yoke_stream_copy(users[other], a->data, host, sizeof host), 0);
        yoke_array_free(a);
        f->slow(0);
        CHECK_INT(deleted, other + 1);
        CHECK_INT(found_busy, 0);
    }
    yoke_device_free(dev, block);
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

TEST(what_is_to_be_read_only_is_not_written)
{
    static float host[1024];
    yoke_device *dev = yoke_device_open("cpu");
    users[0] = users[1] = yoke_stream_open(dev);
    yoke_dlpack t = tensor_of(host, YOKE_DLPACK_CPU);
    t.flags = YOKE_DLPACK_READ_ONLY;
    yoke_array *a = yoke_array_from_dlpack(users[0], &t), *half = yoke_array_slice(a, 0, 0, 512, 1);
    yoke_array *at = yoke_array_zeros(users[0], YOKE_I64, yoke_shape(1)), *sum = yoke_array_add(half, yoke_number(1));
    yoke_in_f32 in;
    yoke_inout_f32 inout;
    CHECK(sum != NULL); /* reading is allowed */
    CHECK_INT(yoke_array_view(yoke_in_f32, half, &in), 0);
    CHECK_INT(yoke_array_view(yoke_inout_f32, half, &inout), -EROFS);
    CHECK_HAS(yoke_device_error(dev), "view: f32 (512,) is another library's to write");
    CHECK_INT(yoke_array_assign(half, yoke_number(1)), -EROFS);
    CHECK_HAS(yoke_device_error(dev), "assign: f32 (512,) is another library's to write: yoke_array_copy() it");
    CHECK_INT(yoke_array_put(a, at, 0, yoke_number(1)), -EROFS);
    CHECK_INT(yoke_stream_wait(users[0]), -EROFS);
    CHECK(host[0] == 0);
    yoke_array *every[] = {a, half, at, sum};
    for (size_t k = 0; k < YK_COUNT_OF(every); k++)
        yoke_array_free(every[k]);
    CHECK_INT(deleted, 1);
    CHECK_INT(yoke_device_close(dev), 0);
}

static void repeated(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_arange(s, YOKE_F32, 0, 3, 1), *wide = yoke_array_broadcast(a, yoke_shape(4, 3));
    yoke_array *many = yoke_array_zeros(s, YOKE_F32, yoke_shape(4, 3)), *at = yoke_array_zeros(s, YOKE_I64, yoke_shape(1));
    CHECK_INT(yoke_array_assign(wide, many), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "assign: f32 (4, 3) repeats its elements along axis 0: yoke_array_copy() it");
    CHECK_INT(yoke_array_put(wide, at, 0, yoke_number(1)), -EINVAL);
    CHECK_INT(yoke_stream_wait(s), -EINVAL);
    check_f32(a, (float[]){0, 1, 2}, 3);
    CHECK_INT(yoke_array_assign(yoke_array_broadcast(a, yoke_shape(1, 3)), yoke_number(2)), 0); /* each once */
    check_f32(a, (float[]){2, 2, 2}, 3);
    yoke_array_end(&scope, NULL);
}

TEST(repeated_elements_are_not_written)
{
    on_each_device(repeated);
}

/* ---- Types ---- */

static void numbers_alone(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *c = yoke_array_ones(s, YOKE_BOOL, yoke_shape(2));
    CHECK_INT(yoke_array_where(c, yoke_number(-1), yoke_number(5ul))->type, YOKE_I64);
    CHECK_INT(yoke_array_where(c, yoke_number(5ul), yoke_number(-1))->type, YOKE_I64);
    CHECK_INT(yoke_array_where(c, yoke_number(5ul), yoke_number(6ul))->type, YOKE_I64);
    CHECK_INT(yoke_array_where(c, yoke_number(UINT64_MAX), yoke_number(6))->type, YOKE_U64);
    CHECK_INT(yoke_array_where(c, yoke_number(6), yoke_number(UINT64_MAX))->type, YOKE_U64);
    expect(dev, yoke_array_where(c, yoke_number(-6), yoke_number(UINT64_MAX)), "where: u64 cannot hold the number -6");
    expect(dev, yoke_array_full(s, YOKE_U8, yoke_shape(1), yoke_number(1ull << 63)),
           "full: u8 cannot hold the number 9223372036854775808");
    expect(dev, yoke_array_add(yoke_array_zeros(s, YOKE_I64, yoke_shape(1)), yoke_number(UINT64_MAX)),
           "i64 cannot hold the number 18446744073709551615");
    if (yoke_device_about(dev)->has_double) {
        CHECK_INT(yoke_array_where(c, yoke_number(0.5), yoke_number(6ul))->type, YOKE_F64);
        CHECK_INT(yoke_array_where(c, yoke_number(6), yoke_number(0.5))->type, YOKE_F64);
    }
    yoke_array_end(&scope, NULL);
}

TEST(numbers_alone_meet_in_any_order)
{
    on_each_device(numbers_alone);
}

static const uint64_t unsigned_ones[] = {0, 5, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX, (1ull << 53) + 1, 1ull << 53};
static const int64_t signed_ones[] = {0, -1, 5, INT64_MAX, INT64_MIN, 1ll << 53, (1ll << 53) + 1};
enum { ONES = 7 };

/* -1, 0, 1: how an unsigned one stands to a signed one. */
static int stands(uint64_t u, int64_t i)
{
    return i < 0 || u > (uint64_t)i ? 1 : u == (uint64_t)i ? 0 : -1;
}

static void check_table(yoke_array *made, int op, bool signed_first)
{
    bool got[ONES * ONES];
    CHECK(made && made->type == YOKE_BOOL);
    CHECK_INT(yoke_array_get(made, got, sizeof got), 0);
    for (int row = 0; row < ONES; row++)
        for (int column = 0; column < ONES; column++) { /* u along the columns */
            int is = stands(unsigned_ones[column], signed_ones[row]) * (signed_first ? -1 : 1);
            bool holds[] = {is == 0, is != 0, is < 0, is <= 0, is > 0, is >= 0};
            CHECK_INT(got[row * ONES + column], holds[op]);
        }
}

static void exactly(yoke_device *dev, yoke_stream *s)
{
    static yoke_array *(*const ops[])(const yoke_array *, const yoke_array *) = {yoke_array_eq, yoke_array_ne, yoke_array_lt,
                                                                                 yoke_array_le, yoke_array_gt, yoke_array_ge};
    yoke_array_scope scope;
    (void)dev;
    yoke_array_begin(&scope);
    yoke_array *u = yoke_array_from(s, YOKE_U64, yoke_shape(ONES), unsigned_ones);
    yoke_array *i = yoke_array_from(s, YOKE_I64, yoke_shape(ONES, 1), signed_ones);
    for (int op = 0; op < 6; op++) {
        check_table(ops[op](u, i), op, false);
        check_table(ops[op](i, u), op, true);
    }
    yoke_array *small = yoke_array_astype(i, YOKE_I8), *less = yoke_array_lt(small, u), *all = yoke_array_sum(less, YOKE_ALL_AXES,
                                                                                                              false);
    int64_t count = 0;
    CHECK_INT(yoke_array_item_int(all, &count), 0);
    CHECK_INT(count, 43);
    CHECK(yoke_array_eq(u, NULL) == NULL && yoke_array_lt(NULL, i) == NULL);
    yoke_array_end(&scope, NULL);
}

TEST(integers_of_unlike_signs_are_compared_exactly)
{
    on_each_device(exactly);
}

/* ---- Codes ---- */

static void codes(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    float host[6];
    yoke_array_begin(&scope);
    yoke_array *three = yoke_array_zeros(s, YOKE_F32, yoke_shape(3)), *seven = yoke_array_full(s, YOKE_I64, yoke_shape(1),
                                                                                               yoke_number(7));
    yoke_array *last = yoke_array_full(s, YOKE_U64, yoke_shape(2), yoke_number(UINT64_MAX));
    CHECK_INT(yoke_array_put(three, seven, 0, yoke_number(1)), -ERANGE);
    CHECK_INT(yoke_array_put(three, seven, 1, yoke_number(1)), -EINVAL);
    CHECK_INT(yoke_array_put(three, last, 0, yoke_number(1)), -ERANGE);
    expect(dev, yoke_array_take(three, last, 0), "take: number 18446744073709551615 of an axis of 3");
    yoke_array *m = yoke_array_zeros(s, YOKE_F32, yoke_shape(2, 3)), *t = yoke_array_transpose(m, YOKE_NO_DIMS);
    CHECK_INT(yoke_array_get(t, host, sizeof host), 0);
    CHECK_INT(yoke_stream_wait(s), -ERANGE); /* the first that was refused */
    yk_sys_fail("calloc", 1, ENOMEM);
    CHECK_INT(yoke_array_get(t, host, sizeof host), -ENOMEM);
    atomic_store(&dev->status, -ENODEV); /* as if it were lost */
    CHECK_INT(yoke_array_get(t, host, sizeof host), -ENODEV);
    CHECK_INT(yoke_array_save(t, "/nonexistent/file.npy"), -ENODEV);
    atomic_store(&dev->status, 0);
    if (!yk_array_is_on_host(t)) { /* of a kernel that is not there yet */
        yoke_array *half = yoke_array_slice(m, 1, 0, YOKE_END, 2);
        yk_sys_fail("calloc", 1, ENOMEM);
        CHECK_INT(yoke_array_assign(half, yoke_number(1)), -ENOMEM);
        yk_sys_fail("calloc", 0, 0);
        CHECK_INT(yoke_array_assign(half, yoke_number(1)), 0);
        CHECK_INT(yoke_stream_wait(s), -ENOMEM);
    }
    yk_sys_fail("calloc", 0, 0);
    yoke_array_end(&scope, NULL);
}

TEST(a_code_tells_the_cause)
{
    on_each_device(codes);
}

/* ---- Many short lines ---- */

static void many_lines(yoke_device *dev, yoke_stream *s)
{
    enum { LINES = 2000, N = 5 };
    yoke_array_scope scope;
    int32_t host[LINES * N];
    int64_t places[LINES * N];
    (void)dev;
    for (int k = 0; k < LINES * N; k++)
        host[k] = (int32_t)(test_random() % 3);
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_from(s, YOKE_I32, yoke_shape(LINES, N), host);
    unsigned launches = s->launches;
    CHECK_INT(yoke_array_get(yoke_array_argsort(a, -1), places, sizeof places), 0);
    CHECK(s->launches - launches < LINES / 4); /* the device has them all at once */
    for (int line = 0; line < LINES; line++)
        for (int k = 1; k < N; k++) {
            int64_t before = places[line * N + k - 1], place = places[line * N + k];
            int32_t less = host[line * N + before], more = host[line * N + place];
            CHECK(place >= 0 && place < N && (less < more || (less == more && before < place)));
        }
    yoke_array_end(&scope, NULL);
}

/* As are the lines of an array in a recording: one by one. */
static void recorded_lines(yoke_device *dev, yoke_stream *s)
{
    float host[14] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7}, got[14];
    yoke_array *a = yoke_array_zeros(s, YOKE_F32, yoke_shape(7, 2));
    (void)dev;
    if (yk_array_is_on_host(a)) {
        yoke_array_free(a); /* cannot be recorded */
        return;
    }
    yoke_graph *g = NULL;
    CHECK_INT(yoke_stream_record(s), 0);
    yoke_array *sorted = yoke_array_sort(a, 1);
    CHECK_INT(yoke_stream_record_end(s, &g), 0);
    CHECK(sorted != NULL);
    CHECK_INT(yoke_stream_copy(s, a->data, host, sizeof host), 0);
    CHECK_INT(yoke_stream_replay(s, g), 0);
    CHECK_INT(yoke_array_get(sorted, got, sizeof got), 0);
    for (int k = 0; k < 14; k += 2)
        CHECK(got[k] == YK_MIN(host[k], host[k + 1]) && got[k + 1] == YK_MAX(host[k], host[k + 1]));
    yoke_array_free(sorted);
    yoke_array_free(a);
    yoke_graph_close(g);
}

TEST(lines_are_sorted_in_a_recording)
{
    on_each_device(recorded_lines);
}

TEST(many_short_lines_are_sorted_together)
{
    on_each_device(many_lines);
}

/* ---- Random numbers ---- */

static uint64_t bits_of_narrow[2][8];
static unsigned narrow_devices;

static void narrow_range(yoke_device *dev, yoke_stream *s, unsigned type, double low, double high, unsigned k)
{
    yoke_random r = {.seed = 3};
    yoke_array_scope scope;
    double least = 0, most = 0;
    int64_t digest = 0;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_uniform(s, &r, type, yoke_shape(1 << 20), low, high);
    CHECK(a != NULL);
    CHECK_INT(yoke_array_item(yoke_array_min(a, YOKE_ALL_AXES, false), &least), 0);
    CHECK_INT(yoke_array_item(yoke_array_max(a, YOKE_ALL_AXES, false), &most), 0);
    CHECK(least >= low && most < high);
    CHECK(most > high - (high - low) / 1000 || k > 1); /* but next to it */
    yoke_array *raw = yoke_array_over(s, type == YOKE_F32 ? YOKE_U32 : YOKE_U64, yoke_shape(1 << 20), NULL, a->data);
    CHECK_INT(yoke_array_item_int(yoke_array_sum(raw, YOKE_ALL_AXES, false), &digest), 0);
    bits_of_narrow[narrow_devices > 0][k] = (uint64_t)digest;
    CHECK(bits_of_narrow[narrow_devices > 0][k] == bits_of_narrow[0][k]);
    yoke_array_end(&scope, NULL);
    (void)dev;
}

static void narrow_ranges(yoke_device *dev, yoke_stream *s)
{
    yoke_random r = {.seed = 3};
    narrow_range(dev, s, YOKE_F32, 1000, 1001, 0);
    narrow_range(dev, s, YOKE_F32, -1e-3, 1e9, 1);
    narrow_range(dev, s, YOKE_F32, 16777216, 16777218, 2); /* two numbers: the second is high */
    narrow_range(dev, s, YOKE_F64, 0x1p53, 0x1p53 + 2, 3);
    narrow_devices++;
    expect(dev, yoke_array_uniform(s, &r, YOKE_F32, yoke_shape(4), -3e38, 3e38), "random: uniform from -3e+38 to 3e+38 in f32");
    expect(dev, yoke_array_uniform(s, &r, YOKE_F64, yoke_shape(4), 0, INFINITY), "random: uniform from 0 to inf in f64");
    expect(dev, yoke_array_uniform(s, &r, YOKE_F64, yoke_shape(4), NAN, 1), "random: uniform from nan to 1 in f64");
    expect(dev, yoke_array_uniform(s, &r, YOKE_F64, yoke_shape(4), 2, 1), "random: uniform from 2 to 1 in f64");
    expect(dev, yoke_array_integers(s, &r, YOKE_BOOL, yoke_shape(4), 0, 5), "random: integers from 0 to 5 in bool");
    yoke_array *coins = yoke_array_integers(s, &r, YOKE_BOOL, yoke_shape(4), 0, 1);
    CHECK(coins != NULL);
    yoke_array_free(coins);
    yoke_array *same = yoke_array_uniform(s, &r, YOKE_F32, yoke_shape(3), 7, 7);
    check_f32(same, (float[]){7, 7, 7}, 3);
    yoke_array_free(same);
}

/* What is NULL, or out of its range, is said by the call that it was given to. */
static void try_wrong_arguments(yoke_device *dev, yoke_stream *s)
{
    yoke_array_scope scope;
    yoke_random random = {.seed = 3};
    const yoke_dims four = yoke_shape(4);
    double d;
    int64_t i;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_zeros(s, YOKE_F32, yoke_shape(2, 3)), *mask = yoke_array_ones(s, YOKE_BOOL, four);
    yoke_array *one = yoke_array_zeros(s, YOKE_F32, YOKE_NO_DIMS);
    expect(dev, yoke_array_uniform(s, NULL, YOKE_F32, four, 0, 1), "random: the generator is NULL");
    expect(dev, yoke_array_integers(s, NULL, YOKE_I32, four, 0, 1), "random: the generator is NULL");
    expect(dev, yoke_array_select(a, mask), "select: bool (4,) cannot become (2, 3)");
    expect(dev, yoke_array_normal(s, NULL, YOKE_F32, four, 0, 1), "random: the generator is NULL");
    expect(dev, yoke_array_normal(s, &random, YOKE_F32, four, 0, -1), "random: normal with a deviation of -1, which is below 0");
    CHECK_INT(random.at, 0);
    expect(dev, yoke_array_load(s, NULL), "load: the path is NULL");
    expect(dev, yoke_array_load_bytes(s, (yoke_bytes){.ptr = NULL, .len = 100}), "load: the address of the file is NULL");
    CHECK_INT(yoke_array_save(a, NULL), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "save: the path is NULL");
    CHECK_INT(yoke_array_item(one, &d), 0);
    CHECK_INT(yoke_array_item(one, NULL), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "item: the address is NULL");
    CHECK_INT(yoke_array_item_int(a, &i), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "item: f32 (2, 3) has 6 elements");
    CHECK_INT(yoke_array_item_int(one, NULL), -EINVAL);
    expect(dev, yoke_array_from(s, YOKE_F32, four, NULL), "the address is NULL");
    CHECK(yoke_array_concatenate(NULL, 2, 0) == NULL && yoke_array_stack(NULL, 2, 0) == NULL);
    CHECK(yoke_array_add(yoke_number(1), yoke_number(2)) == NULL);
    char *gone = yoke_device_alloc(dev, 64);
    yoke_device_free(dev, gone);
    expect(dev, yoke_array_over(s, YOKE_F32, four, NULL, gone), "that has been freed");
    yoke_array_end(&scope, NULL);
}

TEST(wrong_arguments_are_told)
{
    on_each_device(try_wrong_arguments);
}

/* Arrays of one device that was opened twice do not meet. */
TEST(arrays_of_two_openings)
{
    yoke_device *dev = yoke_device_open("cpu"), *again = yoke_device_open("cpu");
    yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(again);
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *a = yoke_array_zeros(s, YOKE_F32, yoke_shape(3)), *b = yoke_array_zeros(t, YOKE_F32, yoke_shape(3));
    expect(dev, yoke_array_add(a, b), "f32 (3,) is on cpu, not on cpu as it was opened here: yoke_array_to() copies it there");
    CHECK(yoke_array_add(a, yoke_array_to(b, s)) != NULL);
    yoke_array_end(&scope, NULL);
    CHECK_INT(yoke_device_close(again), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}

TEST(uniform_numbers_are_below_the_higher_end)
{
    on_each_device(narrow_ranges);
}
