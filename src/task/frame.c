/* frame: the byte form of arguments and results between processes of one machine.
 *
 *     | the struct as it lies in memory, pointers replaced by tags | payloads, each at a multiple of 8 |
 *
 * A tag is 0 for NULL, an offset into the frame shifted left by one, or the same with bit 0 set for an offset into the window,
 * the memory that both sides see at the same address. Tasks of plain values are one memcpy. A frame comes from another process,
 * which may have gone mad: decoding believes no offset, length, shape or step before it has checked it. */
#include "task/task.h"

enum { WINDOW_TAG = 1 };

typedef struct side {
    size_t size;
    bool points;
    unsigned count;
} side;

static side side_of(const yoke_task *t, enum yk_side which)
{
    if (which == YK_ARGS)
        return (side){t->args_size, t->info->args_point, t->nparams};
    return (side){t->ret_size, t->info->ret_points, t->ret_code == YOKE_VOID ? 0 : 1};
}

static unsigned code_at(const yoke_task *t, enum yk_side which, unsigned i)
{
    return which == YK_ARGS ? t->params[i].code : t->ret_code;
}

static size_t offset_at(const yoke_task *t, enum yk_side which, unsigned i)
{
    return which == YK_ARGS ? t->params[i].offset : 0;
}

static const char *name_at(const yoke_task *t, enum yk_side which, unsigned i)
{
    return which == YK_ARGS ? t->params[i].name : "result";
}

/* ---- Extents ---- */

/* What a field points to: bytes from `start` on. */
typedef struct extent {
    const char *start;
    size_t size;
} extent;

/* In a part of the window that lasts. */
static bool in_window(const yk_window *w, const void *p, size_t size)
{
    if (!w)
        return false;
    uintptr_t base = (uintptr_t)(w->lasting ? w->lasting : w->base), at = (uintptr_t)p;
    size_t room = w->lasting ? (size_t)(w->lasting_end - w->lasting) : w->size;
    return at >= base && at - base <= room && size <= room - (at - base);
}

/* The bytes between the first and the last element of a view of at least one element. False when that overflows. */
static bool view_extent(const yk_any_view *v, size_t element, extent *ret)
{
    ptrdiff_t low = 0, high = 0, span;
    for (size_t i = 0; i < v->ndim; i++) {
        if (__builtin_mul_overflow((ptrdiff_t)(v->shape[i] - 1), v->step[i], &span) ||
            __builtin_add_overflow(span < 0 ? low : high, span, span < 0 ? &low : &high))
            return false;
    }
    size_t elements;
    if (__builtin_sub_overflow(high, low, &span) || __builtin_add_overflow((size_t)span, (size_t)1, &elements) ||
        __builtin_mul_overflow(elements, element, &ret->size) || ret->size > PTRDIFF_MAX)
        return false;
    if (__builtin_mul_overflow(low, (ptrdiff_t)element, &low))
        return false;
    ret->start = (const char *)((uintptr_t)v->ptr + (uintptr_t)low);
    return true;
}

bool yk_view_lies_in(const yk_any_view *inner, unsigned inner_element, const yk_any_view *outer, unsigned outer_element)
{
    size_t count;
    extent i, o;
    if (yk_view_count(inner, yk_code_size(inner_element), &count) < 0 || count == 0 ||
        yk_view_count(outer, yk_code_size(outer_element), &count) < 0 || count == 0 ||
        !view_extent(inner, yk_code_size(inner_element), &i) || !view_extent(outer, yk_code_size(outer_element), &o))
        return false;
    uintptr_t at = (uintptr_t)i.start - (uintptr_t)o.start;
    return at <= o.size && i.size <= o.size - at;
}

/* ---- Encoding ---- */

typedef struct writer {
    const yoke_task *task;
    enum yk_side which;
    yk_window *window;
    char *frame;
    size_t len, cap;
    yk_error *e;
} writer;

static int bad_value(const writer *w, unsigned i, int code, const char *what)
{
    const char *name = name_at(w->task, w->which, i);
    if (w->which == YK_ARGS)
        return yk_errorf(w->e, code, "argument %u \"%s\" of %s %s", i + 1, name, w->task->name, what);
    return yk_errorf(w->e, code, "the result of %s %s", w->task->name, what);
}

/* Room for a payload: in the frame when small, else in the window. Sets the tag. */
static int place(writer *w, unsigned i, size_t size, char **ret, uint64_t *tag)
{
    size_t at = YK_ALIGN_UP(w->len, 8);
    if (size <= YK_FRAME_INLINE) {
        if (at > w->cap || size > w->cap - at)
            return yk_errorf(w->e, EMSGSIZE, "the frame of %s is too small", w->task->name);
        memset(w->frame + w->len, 0, at - w->len);
        *ret = w->frame + at;
        *tag = (uint64_t)at << 1;
        w->len = at + size;
        return 0;
    }
    char *block = w->window && w->window->take ? w->window->take(w->window, size) : NULL;
    if (!block)
        return bad_value(w, i, ENOMEM, "does not fit into the shared memory that is left");
    *ret = block;
    *tag = (uint64_t)(block - w->window->base) << 1 | WINDOW_TAG;
    return 0;
}

static int put_bytes(writer *w, unsigned i, const void *bytes, size_t size, uint64_t *tag)
{
    if (in_window(w->window, bytes, size)) {
        *tag = (uint64_t)((const char *)bytes - w->window->base) << 1 | WINDOW_TAG;
        return 0;
    }
    char *to;
    int err = place(w, i, size, &to, tag);
    if (err == 0)
        memcpy(to, bytes, size);
    return err;
}

static int put_text(writer *w, unsigned i, yoke_str *field)
{
    uint64_t tag = 0;
    if (!field->ptr && field->len > 0)
        return bad_value(w, i, EINVAL, "is NULL with a length");
    int err = field->len > 0 ? put_bytes(w, i, field->ptr, field->len, &tag) : 0;
    field->ptr = (const char *)(uintptr_t)tag;
    return err;
}

static int put_cstr(writer *w, unsigned i, const char **field)
{
    uint64_t tag = 0;
    if (!*field)
        return bad_value(w, i, EINVAL, "is NULL");
    int err = put_bytes(w, i, *field, strlen(*field) + 1, &tag);
    *field = (const char *)(uintptr_t)tag;
    return err;
}

static int put_view(writer *w, unsigned i, unsigned code, yk_any_view *v)
{
    size_t element = yk_code_size(yk_element(code)), count;
    if (yk_view_count(v, element, &count) < 0)
        return bad_value(w, i, EINVAL, "is not an array view");
    uint64_t tag = 0;
    extent x;
    if (count > 0 && !view_extent(v, element, &x))
        return bad_value(w, i, EINVAL, "is not an array view: its steps overflow");
    if (count > 0 && in_window(w->window, x.start, x.size)) {
        tag = (uint64_t)((char *)v->ptr - w->window->base) << 1 | WINDOW_TAG;
    } else if (count > 0) {
        char *to;
        int err = place(w, i, count * element, &to, &tag);
        if (err < 0)
            return err;
        yk_any_view packed = *v;
        packed.ptr = (void *)to;
        for (size_t d = v->ndim, step = 1; d-- > 0; step *= v->shape[d])
            packed.step[d] = (ptrdiff_t)step;
        yk_view_copy(&packed, v, element);
        *v = packed;
    }
    v->ptr = (void *)(uintptr_t)tag;
    return 0;
}

int yk_frame_put(const yoke_task *t, enum yk_side which, const void *values, yk_window *window, void *frame, size_t cap,
                 size_t *len, yk_error *e)
{
    side s = side_of(t, which);
    if (s.size > cap)
        return yk_errorf(e, EMSGSIZE, "the frame of %s is too small", t->name);
    if (s.size > 0)
        memcpy(frame, values, s.size);
    writer w = {t, which, window, frame, s.size, cap, e};
    for (unsigned i = 0; s.points && i < s.count; i++) {
        unsigned code = code_at(t, which, i);
        void *field = (char *)frame + offset_at(t, which, i);
        int err = 0;
        if (code == YOKE_CSTR)
            err = put_cstr(&w, i, field);
        else if (yk_is_view(code))
            err = put_view(&w, i, code, field);
        else if (yk_is_pointing(code))
            err = put_text(&w, i, field);
        if (err < 0)
            return err;
    }
    *len = w.len;
    return 0;
}

/* What one field may add: a payload that is not in the window and small enough, with its padding. */
static size_t field_bound(unsigned code, const void *field, const yk_window *w)
{
    size_t size = 0, count;
    const void *start = NULL;
    if (code == YOKE_CSTR) {
        start = *(const char *const *)field;
        size = start ? strlen(start) + 1 : 0;
    } else if (yk_is_view(code)) {
        const yk_any_view *v = field;
        extent x;
        size_t element = yk_code_size(yk_element(code));
        if (yk_view_count(v, element, &count) < 0 || count == 0 || !view_extent(v, element, &x) ||
            in_window(w, x.start, x.size))
            return 0;
        size = count * element;
    } else if (yk_is_pointing(code)) {
        start = ((const yoke_str *)field)->ptr;
        size = ((const yoke_str *)field)->len;
    }
    if (size == 0 || size > YK_FRAME_INLINE || in_window(w, start, size))
        return 0;
    return YK_ALIGN_UP(size, 8) + 8;
}

size_t yk_frame_bound(const yoke_task *t, enum yk_side which, const void *values, const yk_window *w)
{
    side s = side_of(t, which);
    size_t bound = s.size;
    for (unsigned i = 0; s.points && i < s.count; i++)
        bound += field_bound(code_at(t, which, i), (const char *)values + offset_at(t, which, i), w);
    return bound;
}

/* ---- Decoding ---- */

typedef struct reader {
    const char *frame;
    size_t fixed, len; /* payloads lie from `fixed` to `len` */
    const yk_window *window;
} reader;

/* The address of `size` bytes that a tag names, `before` bytes ahead of the tagged place; NULL when any lies outside. */
static const char *resolve(const reader *r, uint64_t tag, size_t before, size_t size)
{
    const char *base = tag & WINDOW_TAG ? (r->window ? r->window->base : NULL) : r->frame;
    uint64_t low = tag & WINDOW_TAG ? 0 : r->fixed, high = tag & WINDOW_TAG ? (r->window ? r->window->size : 0) : r->len;
    uint64_t at = tag >> 1;
    if (!base || at < before || at - before < low || at - before > high || size > high - (at - before))
        return NULL;
    return base + at;
}

static bool get_text(const reader *r, yoke_str *field)
{
    if (field->len == 0) {
        field->ptr = "";
        return true;
    }
    field->ptr = resolve(r, (uintptr_t)field->ptr, 0, field->len);
    return field->ptr != NULL;
}

static bool get_cstr(const reader *r, const char **field)
{
    uint64_t tag = (uintptr_t)*field, at = tag >> 1;
    const char *text = resolve(r, tag, 0, 1);
    if (!text)
        return false;
    size_t room = (tag & WINDOW_TAG ? r->window->size : r->len) - at;
    *field = text;
    return memchr(text, '\0', room) != NULL;
}

static bool get_view(const reader *r, unsigned code, yk_any_view *v)
{
    size_t element = yk_code_size(yk_element(code)), count;
    uint64_t tag = (uintptr_t)v->ptr;
    v->ptr = (void *)(uintptr_t)16; /* anything but NULL, to count first */
    if (yk_view_count(v, element, &count) < 0)
        return false;
    if (count == 0) {
        v->ptr = NULL;
        return true;
    }
    extent x;
    v->ptr = NULL;
    if (!view_extent(v, element, &x))
        return false;
    size_t before = (size_t)0 - (size_t)(uintptr_t)x.start; /* how far the lowest element lies ahead of the first */
    const char *first = resolve(r, tag, before, x.size);
    if (!first || (uintptr_t)first % element != 0)
        return false;
    v->ptr = (void *)(uintptr_t)first;
    return true;
}

static bool get_field(const reader *r, unsigned code, void *field)
{
    if (code == YOKE_BOOL)
        return *(const unsigned char *)field <= 1;
    if (code == YOKE_CSTR)
        return get_cstr(r, field);
    if (yk_is_view(code))
        return get_view(r, code, field);
    return !yk_is_pointing(code) || get_text(r, field);
}

int yk_frame_get(const yoke_task *t, enum yk_side which, const void *frame, size_t len, const yk_window *w, void *values,
                 yk_error *e)
{
    side s = side_of(t, which);
    if (len < s.size)
        return yk_errorf(e, EBADMSG, "a frame for %s is cut off: %zu of %zu bytes", t->name, len, s.size);
    if (s.size > 0)
        memcpy(values, frame, s.size);
    reader r = {frame, s.size, len, w};
    for (unsigned i = 0; i < s.count; i++)
        if (!get_field(&r, code_at(t, which, i), (char *)values + offset_at(t, which, i)))
            return yk_errorf(e, EBADMSG, "a frame for %s is damaged at \"%s\"", t->name, name_at(t, which, i));
    return 0;
}
