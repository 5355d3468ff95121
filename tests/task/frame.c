/* Byte frames: every type there and back, what is copied and what stays in the window, limits, frames cut or
 * damaged at every byte. */
#include "task/task.h"
#include "test.h"

typedef struct pair {
    int x;
    double y;
} pair;

YOKE_TASK(int, scalars, (bool, t), (int8_t, a), (int16_t, b), (int32_t, c), (int64_t, d), (uint8_t, e),
          (uint16_t, f), (uint32_t, g), (uint64_t, h), (float, i), (double, j), (pair, k))
{
    return 0;
}
YOKE_TASK(yoke_str, texts, (const char *, c), (yoke_str, s), (yoke_bytes, b), (yoke_json, j))
{
    return s;
}
YOKE_TASK(const char *, views, (yoke_in_f64, x), (yoke_out_i16, y), (yoke_inout_u8, z))
{
    return "";
}
YOKE_TASK(yoke_in_i32, array, (yoke_in_u8, x))
{
    return (yoke_in_i32){0};
}
YOKE_TASK(bool, flag, (bool, v))
{
    return v;
}
YOKE_TASK(void, quiet)
{
}

/* ---- A window, and trips through exact memory ---- */

enum { WINDOW = 1 << 16, FRAME = 1 << 15 };

static char memory[WINDOW] __attribute__((aligned(64)));
static size_t used;
static int takes, takes_until_failure; /* 0: none fails */

static void *take(yk_window *w, size_t size)
{
    size_t at = YK_ALIGN_UP(used, 64);
    if (++takes == takes_until_failure || at > w->size || size > w->size - at)
        return NULL;
    used = at + size;
    return w->base + at;
}

static yk_window window = {.base = memory, .size = WINDOW, .take = take};
static yk_error why;

/* Encodes values into the exact memory that was asked for, decodes a copy of the frame; the caller frees it.
 */
static char *trip(const yoke_task *t, enum yk_side side, const void *values, yk_window *w, void *again,
                  size_t *len)
{
    size_t bound = yk_frame_bound(t, side, values, w);
    char *frame = malloc(bound ? bound : 1), *copy;
    CHECK(frame);
    int err = yk_frame_put(t, side, values, w, frame, bound, len, &why);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%s: %d %s", t->name, err, why.text);
    CHECK(*len <= bound);
    copy = malloc(*len ? *len : 1);
    CHECK(copy);
    memcpy(copy, frame, *len);
    free(frame); /* the values must lead into the copy */
    err = yk_frame_get(t, side, copy, *len, w, again, &why);
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%s: %d %s", t->name, err, why.text);
    return copy;
}

static bool lies_in(const void *p, const void *base, size_t size)
{
    return (uintptr_t)p >= (uintptr_t)base && (uintptr_t)p - (uintptr_t)base < size;
}

/* ---- Every type ---- */

TEST(plain_values_are_one_copy)
{
    struct yoke_args_scalars a, b;
    size_t len;
    memset(&a, 0, sizeof a);
    a.t = true, a.a = INT8_MIN, a.b = INT16_MIN, a.c = INT32_MIN, a.d = INT64_MIN, a.e = UINT8_MAX,
    a.f = UINT16_MAX;
    a.g = UINT32_MAX, a.h = UINT64_MAX, a.i = 0.1f, a.j = 0.1, a.k = (pair){7, 2.5};
    free(trip(&yoke_task_scalars, YK_ARGS, &a, NULL, &b, &len));
    CHECK_INT(len, sizeof a);
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    int result = -5, got = 0;
    free(trip(&yoke_task_scalars, YK_RESULT, &result, NULL, &got, &len));
    CHECK(got == -5 && len == sizeof got);
    free(trip(&yoke_task_quiet, YK_ARGS, NULL, NULL, NULL, &len));
    CHECK_INT(len, 0);
    free(trip(&yoke_task_quiet, YK_RESULT, NULL, NULL, NULL, &len));
    CHECK_INT(len, 0);
}

TEST(texts_are_copied)
{
    struct yoke_args_texts a = {"name", {"a\0b", 3}, {"\xff", 1}, {"[1]", 3}}, b;
    size_t len;
    char *frame = trip(&yoke_task_texts, YK_ARGS, &a, NULL, &b, &len);
    CHECK_STR(b.c, "name");
    CHECK(b.s.len == 3 && memcmp(b.s.ptr, "a\0b", 3) == 0);
    CHECK(b.b.len == 1 && memcmp(b.b.ptr, "\xff", 1) == 0);
    CHECK(b.j.len == 3 && memcmp(b.j.ptr, "[1]", 3) == 0);
    CHECK(lies_in(b.c, frame, len) && lies_in(b.s.ptr, frame, len) && lies_in(b.j.ptr, frame, len));
    free(frame);
    a = (struct yoke_args_texts){"", {NULL, 0}, {"x", 0}, {NULL, 0}};
    frame = trip(&yoke_task_texts, YK_ARGS, &a, NULL, &b, &len);
    CHECK(*b.c == '\0' && b.s.len == 0 && b.s.ptr && b.b.len == 0 && b.b.ptr);
    free(frame);
    yoke_str s = {"result", 6}, got;
    frame = trip(&yoke_task_texts, YK_RESULT, &s, NULL, &got, &len);
    CHECK(got.len == 6 && memcmp(got.ptr, "result", 6) == 0);
    free(frame);
}

TEST(views_are_packed_and_aligned)
{
    double x[] = {1, 2, 3, 4, 5, 6};
    int16_t y[] = {1, 2, 3};
    uint8_t z[] = {9, 8, 7, 6, 5};
    struct yoke_args_views a = {{x, 2, {3, 2}, {1, 3}}, yoke_1d(yoke_out_i16, y, 3), {z + 4, 1, {3}, {-2}}},
                           b;
    size_t len;
    char *frame = trip(&yoke_task_views, YK_ARGS, &a, NULL, &b, &len);
    CHECK(b.x.ndim == 2 && b.x.shape[0] == 3 && b.x.shape[1] == 2);
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 2; j++)
            CHECK(b.x.ptr[(ptrdiff_t)i * b.x.step[0] + (ptrdiff_t)j * b.x.step[1]] == x[i + 3 * j]);
    CHECK((uintptr_t)b.x.ptr % 8 == 0 && (uintptr_t)b.y.ptr % 8 == 0 && (uintptr_t)b.z.ptr % 8 == 0);
    CHECK(b.y.shape[0] == 3 && memcmp(b.y.ptr, y, sizeof y) == 0);
    CHECK(b.z.step[0] == 1 && b.z.ptr[0] == 5 && b.z.ptr[1] == 7 && b.z.ptr[2] == 9);
    free(frame);
    a = (struct yoke_args_views){{NULL, 1, {0}, {1}}, {NULL, 2, {4, 0}, {1, 1}}, {z, 0, {0}, {0}}};
    frame = trip(&yoke_task_views, YK_ARGS, &a, NULL, &b, &len);
    CHECK(!b.x.ptr && b.x.shape[0] == 0 && !b.y.ptr && b.y.shape[0] == 4 && b.z.ndim == 0 && *b.z.ptr == 9);
    free(frame);
}

/* ---- The window ---- */

TEST(what_lies_in_the_window_stays_there)
{
    double *x = (double *)(void *)(memory + 64);
    for (int i = 0; i < 1000; i++)
        x[i] = i;
    uint8_t small[] = {1, 2};
    int16_t *last = (int16_t *)(void *)(memory + WINDOW - 4);
    used = WINDOW / 2, takes = 0;
    struct yoke_args_views a = {{x + 999, 1, {500}, {-2}},
                                yoke_1d(yoke_out_i16, last, 2),
                                yoke_1d(yoke_inout_u8, small, 2)},
                           b;
    size_t len;
    char *frame = trip(&yoke_task_views, YK_ARGS, &a, &window, &b, &len);
    CHECK(b.x.ptr == x + 999 && b.x.step[0] == -2 && b.y.ptr == last && takes == 0);
    CHECK(lies_in(b.z.ptr, frame, len) && b.z.ptr[1] == 2);
    free(frame);
}

TEST(only_large_payloads_move_into_the_window)
{
    static uint8_t bytes[YK_FRAME_INLINE + 1];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i % 251);
    for (size_t extra = 0; extra < 2; extra++) {
        struct yoke_args_array a = {yoke_1d(yoke_in_u8, bytes, YK_FRAME_INLINE + extra)}, b;
        size_t len;
        used = 0, takes = 0;
        char *frame = trip(&yoke_task_array, YK_ARGS, &a, &window, &b, &len);
        CHECK_INT(takes, extra);
        CHECK(extra ? lies_in(b.x.ptr, memory, WINDOW) : lies_in(b.x.ptr, frame, len));
        CHECK(memcmp(b.x.ptr, bytes, YK_FRAME_INLINE + extra) == 0);
        free(frame);
    }
}

/* The n-th time memory of the window is asked for, there is none. */
TEST(a_window_that_is_full_is_a_clean_error)
{
    static double x[1000];
    static int16_t y[5000];
    static uint8_t z[5000];
    static char frame[FRAME] __attribute__((aligned(8)));
    struct yoke_args_views a = {yoke_1d(yoke_in_f64, x, 1000), yoke_1d(yoke_out_i16, y, 5000),
                                yoke_1d(yoke_inout_u8, z, 5000)};
    size_t len = 99;
    for (int n = 1; n <= 3; n++) {
        used = 0, takes = 0, takes_until_failure = n;
        CHECK_INT(yk_frame_put(&yoke_task_views, YK_ARGS, &a, &window, frame, sizeof frame, &len, &why),
                  -ENOMEM);
        CHECK_HAS(why.text, "does not fit into the shared memory that is left");
        CHECK(takes == n && len == 99);
    }
    used = 0, takes = 0, takes_until_failure = 4;
    CHECK_INT(yk_frame_put(&yoke_task_views, YK_ARGS, &a, &window, frame, sizeof frame, &len, &why), 0);
    CHECK_INT(takes, 3);
    takes_until_failure = 0;
    CHECK_INT(yk_frame_put(&yoke_task_views, YK_ARGS, &a, NULL, frame, sizeof frame, &len, &why), -ENOMEM);
}

/* ---- What cannot be encoded ---- */

TEST(values_that_are_refused)
{
    static char frame[FRAME] __attribute__((aligned(8)));
    uint8_t one = 1;
    size_t len = 99;
    struct yoke_args_array bad[] = {{{NULL, 1, {1}, {1}}},
                                    {{&one, 5, {1, 1, 1, 1}, {1, 1, 1, 1}}},
                                    {{&one, 2, {SIZE_MAX, 2}, {1, 1}}},
                                    {{&one, 1, {3}, {PTRDIFF_MAX}}}};
    for (size_t i = 0; i < YK_COUNT_OF(bad); i++) {
        CHECK_INT(yk_frame_put(&yoke_task_array, YK_ARGS, &bad[i], NULL, frame, sizeof frame, &len, &why),
                  -EINVAL);
        CHECK_HAS(why.text, "argument 1 \"x\" of array is not an array view");
    }
    struct yoke_args_texts t = {NULL, {"", 0}, {"", 0}, {"1", 1}};
    CHECK_INT(yk_frame_put(&yoke_task_texts, YK_ARGS, &t, NULL, frame, sizeof frame, &len, &why), -EINVAL);
    CHECK_STR(why.text, "argument 1 \"c\" of texts is NULL");
    t = (struct yoke_args_texts){"", {NULL, 5}, {"", 0}, {"1", 1}};
    CHECK_INT(yk_frame_put(&yoke_task_texts, YK_ARGS, &t, NULL, frame, sizeof frame, &len, &why), -EINVAL);
    CHECK_STR(why.text, "argument 2 \"s\" of texts is NULL with a length");
    const char *none = NULL;
    CHECK_INT(yk_frame_put(&yoke_task_views, YK_RESULT, &none, NULL, frame, sizeof frame, &len, &why),
              -EINVAL);
    CHECK_STR(why.text, "the result of views is NULL");
    CHECK_INT(len, 99);
}

/* Every capacity below what is needed is too small, and nothing behind it is touched. */
TEST(every_capacity_that_is_too_small)
{
    struct yoke_args_texts a = {"name", {"abcdefghijk", 11}, {"\xff", 1}, {"[1]", 3}}, b;
    size_t len, n;
    free(trip(&yoke_task_texts, YK_ARGS, &a, NULL, &b, &len));
    for (size_t cap = 0; cap < len; cap++) {
        char *frame = malloc(cap ? cap : 1);
        CHECK(frame);
        CHECK_INT(yk_frame_put(&yoke_task_texts, YK_ARGS, &a, NULL, frame, cap, &n, &why), -EMSGSIZE);
        CHECK_STR(why.text, "the frame of texts is too small");
        free(frame);
    }
}

/* ---- Frames that are damaged ---- */

static int get_exact(const yoke_task *t, enum yk_side side, const void *frame, size_t len, yk_window *w)
{
    char values[512] __attribute__((aligned(16)));
    char *copy = malloc(len ? len : 1);
    CHECK(copy);
    memcpy(copy, frame, len);
    int err = yk_frame_get(t, side, copy, len, w, values, &why);
    CHECK(err == 0 || err == -EBADMSG);
    free(copy);
    return err;
}

TEST(every_cut_is_refused)
{
    double x[] = {1, 2};
    int16_t y[] = {3};
    uint8_t z[] = {4, 5, 6};
    struct yoke_args_views a = {yoke_1d(yoke_in_f64, x, 2), yoke_1d(yoke_out_i16, y, 1),
                                yoke_1d(yoke_inout_u8, z, 3)},
                           b;
    size_t len;
    char *frame = trip(&yoke_task_views, YK_ARGS, &a, NULL, &b, &len);
    for (size_t n = 0; n < len; n++)
        CHECK_INT(get_exact(&yoke_task_views, YK_ARGS, frame, n, NULL), -EBADMSG);
    CHECK_STR(why.text, "a frame for views is damaged at \"z\"");
    CHECK_INT(get_exact(&yoke_task_views, YK_ARGS, frame, 9, NULL), -EBADMSG);
    CHECK_HAS(why.text, "a frame for views is cut off: 9 of ");
    free(frame);
    const char *result = "hello";
    const char *got;
    frame = trip(&yoke_task_views, YK_RESULT, &result, NULL, &got, &len);
    for (size_t n = 0; n < len; n++)
        CHECK_INT(get_exact(&yoke_task_views, YK_RESULT, frame, n, NULL), -EBADMSG);
    free(frame);
}

/* Each byte of the fixed part takes hostile values: refused or harmless, which AddressSanitizer sees. */
TEST(every_byte_damaged)
{
    static const unsigned char hostile[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};
    double x[] = {1, 2};
    uint8_t z[] = {4, 5, 6};
    struct yoke_args_views a = {yoke_1d(yoke_in_f64, x, 2),
                                {NULL, 1, {0}, {1}},
                                yoke_1d(yoke_inout_u8, z, 3)},
                           b;
    size_t len, refused = 0;
    char *frame = trip(&yoke_task_views, YK_ARGS, &a, NULL, &b, &len);
    for (size_t i = 0; i < sizeof a; i++) {
        char kept = frame[i];
        for (size_t k = 0; k < YK_COUNT_OF(hostile); k++) {
            frame[i] = (char)hostile[k];
            refused += get_exact(&yoke_task_views, YK_ARGS, frame, len, &window) < 0;
        }
        frame[i] = kept;
    }
    CHECK(refused > 100);
    CHECK_INT(get_exact(&yoke_task_views, YK_ARGS, frame, len, NULL), 0);
    free(frame);
}

TEST(hostile_views_and_texts)
{
    static const struct {
        uint64_t tag;
        size_t ndim, shape[YOKE_DIMS];
        ptrdiff_t step[YOKE_DIMS];
        int expected;
    } rows[] = {{80 << 1, 1, {16}, {1}, 0},              /* all of it */
                {80 << 1, 1, {17}, {1}, -EBADMSG},       /* one too many */
                {79 << 1, 1, {2}, {1}, -EBADMSG},        /* into the view itself */
                {95 << 1, 1, {16}, {-1}, 0},             /* backwards to the first byte */
                {95 << 1, 1, {17}, {-1}, -EBADMSG},      /* and one further */
                {80 << 1, 1, {(size_t)1 << 40}, {0}, 0}, /* one byte over and over */
                {80 << 1, 2, {2, 2}, {PTRDIFF_MAX, PTRDIFF_MAX}, -EBADMSG},
                {80 << 1, 1, {2}, {PTRDIFF_MIN}, -EBADMSG},
                {80 << 1, 1, {SIZE_MAX}, {1}, -EBADMSG},
                {80 << 1, 5, {1, 1, 1, 1}, {1, 1, 1, 1}, -EBADMSG},
                {80 << 1 | 1, 1, {4}, {1}, -EBADMSG}, /* a window where there is none */
                {UINT64_MAX - 1, 1, {4}, {1}, -EBADMSG},
                {0, 1, {1}, {1}, -EBADMSG},
                {0, 1, {0}, {1}, 0}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        char frame[96] = {0};
        yk_any_view v = {.ptr = (void *)(uintptr_t)rows[i].tag, .ndim = rows[i].ndim};
        memcpy(v.shape, rows[i].shape, sizeof v.shape);
        memcpy(v.step, rows[i].step, sizeof v.step);
        memcpy(frame, &v, sizeof v);
        int err = get_exact(&yoke_task_array, YK_ARGS, frame, sizeof frame, NULL);
        if (err != rows[i].expected)
            test_fail(__FILE__, __LINE__, "row %zu: %d, expected %d", i, err, rows[i].expected);
    }
    unsigned char two = 2;
    CHECK_INT(get_exact(&yoke_task_flag, YK_ARGS, &two, 1, NULL), -EBADMSG);
    CHECK_INT(get_exact(&yoke_task_flag, YK_RESULT, &two, 1, NULL), -EBADMSG);
    struct yoke_args_texts t = {
        (const char *)(uintptr_t)((WINDOW - 1) << 1 | 1), {NULL, 0}, {NULL, 0}, {NULL, 0}};
    memory[WINDOW - 1] = 'x'; /* no NUL before the end of the window */
    CHECK_INT(get_exact(&yoke_task_texts, YK_ARGS, &t, sizeof t, &window), -EBADMSG);
    memory[WINDOW - 1] = '\0';
    CHECK_INT(get_exact(&yoke_task_texts, YK_ARGS, &t, sizeof t, &window), 0);
}
