/* frame - fuzzes the byte form that processes of one machine exchange.
 *
 * The first byte selects a signature, the side and whether there is a window; the rest is a frame. A frame that is
 * refused is refused with -EBADMSG. From one that is accepted, every byte that the values lead to is read; then they are
 * encoded and decoded again, and must be the same.
 */
#include "fuzz.h"

YOKE_TASK(double, fuzz_plain, (int, n), (double, x), (bool, b))
{
    return x + n + b;
}
YOKE_TASK(const char *, fuzz_texts, (const char *, c), (yoke_str, s), (yoke_bytes, b), (yoke_json, j))
{
    return c;
}
YOKE_TASK(yoke_str, fuzz_views, (yoke_in_f64, x), (yoke_inout_u8, y), (yoke_out_i16, z), (bool, b))
{
    return (yoke_str){0};
}
YOKE_TASK(yoke_in_i32, fuzz_array, (yoke_in_f32, x), (const char *, name))
{
    return (yoke_in_i32){0};
}

static yoke_task *const tasks[] = {&yoke_task_fuzz_plain, &yoke_task_fuzz_texts, &yoke_task_fuzz_views, &yoke_task_fuzz_array};

/* ---- Values ---- */

/* Reads and mixes all bytes: AddressSanitizer sees what lies outside. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* The element with that number, counting the last dimension fastest. */
static const char *element_at(const yk_any_view *v, size_t number, size_t size)
{
    ptrdiff_t at = 0;
    for (size_t i = v->ndim; i-- > 0; number /= v->shape[i])
        at += (ptrdiff_t)(number % v->shape[i]) * v->step[i];
    return (const char *)v->ptr + at * (ptrdiff_t)size;
}

/* A view whose elements overlap may have very many: the first and the last thousands are looked at. */
static uint64_t mix_view(uint64_t hash, unsigned code, const yk_any_view *v)
{
    enum { LOOK = 5000 };
    size_t size = yk_code_size(yk_element(code)), count;
    REQUIRE(yk_view_count(v, size, &count) == 0);
    hash = mix(mix(hash, &v->ndim, sizeof v->ndim), v->shape, v->ndim * sizeof *v->shape);
    REQUIRE(count == 0 || (uintptr_t)v->ptr % size == 0);
    for (size_t i = 0; i < YK_MIN(count, (size_t)LOOK); i++) {
        hash = mix(hash, element_at(v, i, size), size);
        hash = mix(hash, element_at(v, count - 1 - i, size), size);
    }
    return hash;
}

static uint64_t mix_value(uint64_t hash, unsigned code, const void *at, size_t size)
{
    if (yk_is_view(code))
        return mix_view(hash, code, at);
    if (code == YOKE_CSTR)
        return mix(hash, *(const char *const *)at, strlen(*(const char *const *)at) + 1);
    if (yk_is_pointing(code)) {
        yoke_str text = *(const yoke_str *)at;
        REQUIRE(text.ptr);
        return mix(mix(hash, &text.len, sizeof text.len), text.ptr, text.len);
    }
    if (code == YOKE_BOOL)
        REQUIRE(*(const unsigned char *)at <= 1);
    return mix(hash, at, size);
}

static uint64_t mix_values(const yoke_task *t, enum yk_side side, const char *values)
{
    uint64_t hash = 0xcbf29ce484222325u;
    if (side == YK_RESULT)
        return t->ret_code == YOKE_VOID ? hash : mix_value(hash, t->ret_code, values, t->ret_size);
    for (unsigned i = 0; i < t->nparams; i++)
        hash = mix_value(hash, t->params[i].code, values + t->params[i].offset, t->params[i].size);
    return hash;
}

/* ---- The window ---- */

enum { WINDOW = 16384 };

typedef struct window {
    yk_window w;
    size_t used;
} window;

static void *window_take(yk_window *w, size_t size)
{
    window *self = (window *)w;
    size_t at = YK_ALIGN_UP(self->used, 64);
    if (at > w->size || size > w->size - at)
        return NULL;
    self->used = at + size;
    return w->base + at;
}

static window window_open(void)
{
    window self = {{.base = aligned_alloc(64, WINDOW), .size = WINDOW, .take = window_take}, WINDOW / 2};
    REQUIRE(self.w.base);
    for (size_t i = 0; i < WINDOW; i++)
        self.w.base[i] = (char)(i % 251);
    return self;
}

/* ---- Round trip ---- */

static void check_again(const yoke_task *t, enum yk_side side, const char *values, yk_window *w)
{
    _Alignas(16) char again[512];
    yk_error e = {0};
    size_t bound = yk_frame_bound(t, side, values, w), len = 0;
    uint64_t before = mix_values(t, side, values);
    char *frame = malloc(bound ? bound : 1);
    REQUIRE(frame);
    int err = yk_frame_put(t, side, values, w, frame, bound, &len, &e);
    if (err < 0) {
        REQUIRE(err == -ENOMEM && *e.text); /* elements that overlap need more memory than they came in */
    } else {
        REQUIRE(len <= bound);
        char *exact = fuzz_copy(frame, len);
        REQUIRE(yk_frame_get(t, side, exact, len, w, again, &e) == 0);
        REQUIRE(mix_values(t, side, again) == before);
        free(exact);
    }
    if (len > 0)
        REQUIRE(yk_frame_put(t, side, values, w, frame, len - 1, &len, NULL) < 0);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) char values[512];
    if (size == 0)
        return 0;
    const yoke_task *t = tasks[data[0] % YK_COUNT_OF(tasks)];
    enum yk_side side = data[0] & 4 ? YK_RESULT : YK_ARGS;
    window win = window_open();
    yk_window *w = data[0] & 8 ? &win.w : NULL;
    REQUIRE(t->args_size <= sizeof values && t->info);
    char *frame = fuzz_copy(data + 1, size - 1);
    yk_error e = {0};
    int err = yk_frame_get(t, side, frame, size - 1, w, values, &e);
    REQUIRE(err == 0 || (err == -EBADMSG && e.code == err && strstr(e.text, t->name)));
    if (err == 0)
        check_again(t, side, values, w);
    free(frame);
    free(win.w.base);
    return 0;
}
