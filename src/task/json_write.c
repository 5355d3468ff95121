/* json_write: a result, and the views that came back with it, as one line of JSON text.
 *
 * Room is made for the longest form of a value before it is written, so that numbers and strings go straight into the
 * buffer. A buffer that cannot grow swallows what follows; whether it did is asked once, at the end. */
#include "task/json.h"
#include <stdlib.h>

/* ---- Numbers ---- */

#define WRITE_NUMBER(out, v, write)                                                                                    \
    do {                                                                                                               \
        char *to = yk_buf_room(out, YK_NUMBER_TEXT);                                                                   \
        if (to)                                                                                                        \
            (out)->len += write(to, v);                                                                                \
    } while (0)

void yk_json_i64(yk_buf *out, int64_t v)
{
    WRITE_NUMBER(out, v, yk_write_i64);
}

void yk_json_u64(yk_buf *out, uint64_t v)
{
    WRITE_NUMBER(out, v, yk_write_u64);
}

void yk_json_f64(yk_buf *out, double v)
{
    WRITE_NUMBER(out, v, yk_write_f64);
}

/* ---- Strings ---- */

/* What follows the backslash for a character that needs one: the character, 'u' for \u00xx, 0 for none. */
static char escape_of(unsigned char c)
{
    static const char names[] = "btn\0fr"; /* from 8 on; 11 has no short form */
    if (c == '"' || c == '\\')
        return (char)c;
    if (c >= ' ')
        return 0;
    return c >= 8 && c <= 13 && c != 11 ? names[c - 8] : 'u';
}

static void put_escape(yk_buf *out, unsigned char c, char name)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', name, '0', '0', hex[c >> 4], hex[c & 15]};
    yk_buf_put(out, text, name == 'u' ? 6 : 2);
}

/* Text in quotes. Returns the index of the first byte that is not UTF-8, or len; with `mend`, such bytes become U+FFFD
 * and all is written. */
static size_t put_string(yk_buf *out, const char *text, size_t len, bool mend)
{
    const char *p = text, *end = text + len, *plain = text;
    yk_buf_char(out, '"');
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        unsigned length = c < 0x80 ? 1 : yk_utf8_length(p, end);
        char name = escape_of(c);
        if (length > 0 && !name) {
            p += length;
            continue;
        }
        if (length == 0 && !mend)
            return (size_t)(p - text);
        yk_buf_put(out, plain, (size_t)(p - plain));
        if (length == 0)
            yk_buf_text(out, "\xef\xbf\xbd");
        else
            put_escape(out, c, name);
        plain = ++p;
    }
    yk_buf_put(out, plain, (size_t)(p - plain));
    yk_buf_char(out, '"');
    return len;
}

void yk_json_quote(yk_buf *out, const char *text, size_t len)
{
    put_string(out, text, len, true);
}

/* ---- Values ---- */

/* Where a value belongs, for the error text. */
typedef struct writer {
    yk_buf *out;
    unsigned flags;
    const yoke_task *task;
    const yoke_param *param; /* NULL: the result */
    yk_error *e;
} writer;

#define FAIL(w, code, format, ...)                                                                                     \
    ((w)->param ? yk_errorf((w)->e, code, "\"%s\" of the result of %s: " format, (w)->param->name, (w)->task->name, __VA_ARGS__) \
                : yk_errorf((w)->e, code, "result of %s: " format, (w)->task->name, __VA_ARGS__))

static int write_float(writer *w, double v, unsigned code)
{
    if (__builtin_isfinite(v)) {
        if (code == YOKE_F32)
            WRITE_NUMBER(w->out, (float)v, yk_write_f32);
        else
            yk_json_f64(w->out, v);
        return 0;
    }
    const char *name = v != v ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
    if (!(w->flags & YOKE_JSON_NONFINITE))
        return FAIL(w, EDOM, "%s has no form in JSON (YOKE_JSON_NONFINITE, or the option --nonfinite, makes it a string)", name);
    put_string(w->out, name, strlen(name), true);
    return 0;
}

static int write_scalar(writer *w, unsigned code, const void *at)
{
    switch (code) {
    case YOKE_BOOL:
        yk_buf_text(w->out, *(const unsigned char *)at ? "true" : "false");
        return 0;
    case YOKE_I8:
        yk_json_i64(w->out, *(const int8_t *)at);
        return 0;
    case YOKE_I16:
        yk_json_i64(w->out, *(const int16_t *)at);
        return 0;
    case YOKE_I32:
        yk_json_i64(w->out, *(const int32_t *)at);
        return 0;
    case YOKE_I64:
        yk_json_i64(w->out, *(const int64_t *)at);
        return 0;
    case YOKE_U8:
        yk_json_u64(w->out, *(const uint8_t *)at);
        return 0;
    case YOKE_U16:
        yk_json_u64(w->out, *(const uint16_t *)at);
        return 0;
    case YOKE_U32:
        yk_json_u64(w->out, *(const uint32_t *)at);
        return 0;
    case YOKE_U64:
        yk_json_u64(w->out, *(const uint64_t *)at);
        return 0;
    case YOKE_F32:
        return write_float(w, (double)*(const float *)at, code);
    default:
        return write_float(w, *(const double *)at, code);
    }
}

static int write_text(writer *w, const char *text, size_t len)
{
    if (!text && len > 0)
        return FAIL(w, EINVAL, "%zu bytes of text at NULL", len);
    size_t good = put_string(w->out, text ? text : "", len, false);
    return good == len ? 0 : FAIL(w, EILSEQ, "text that is not valid UTF-8 at byte %zu (yoke_bytes could carry it)", good + 1);
}

static int write_base64(writer *w, const void *bytes, size_t len)
{
    if (!bytes && len > 0)
        return FAIL(w, EINVAL, "%zu bytes at NULL", len);
    size_t size = yk_base64_size(len);
    char *to = len > YOKE_JSON_MAX ? NULL : yk_buf_room(w->out, size + 2);
    if (!to)
        return len > YOKE_JSON_MAX ? FAIL(w, EMSGSIZE, "%zu bytes, at most %zu", len, YOKE_JSON_MAX) : 0;
    *to = '"';
    yk_base64_put(to + 1, bytes, len);
    to[size + 1] = '"';
    w->out->len += size + 2;
    return 0;
}

/* JSON that the task made: checked, and with its ends of lines, which only stand between tokens, made blanks, so that a
 * result is always one line. */
static int write_json(writer *w, yoke_json json)
{
    yk_error why;
    if (!json.ptr)
        return FAIL(w, EINVAL, "%s", "JSON at NULL");
    int err = yk_json_check(json.ptr, json.len, &why);
    if (err < 0)
        return FAIL(w, err, "not JSON: %s", why.text);
    char *to = yk_buf_room(w->out, json.len);
    if (!to)
        return 0;
    for (size_t i = 0; i < json.len; i++)
        to[i] = json.ptr[i] == '\n' || json.ptr[i] == '\r' ? ' ' : json.ptr[i];
    w->out->len += json.len;
    return 0;
}

/* ---- Views ---- */

/* The elements from `at` on, of dimension dim and those in it; at NULL there are none, and steps mean nothing. */
static int write_nested(writer *w, const yk_any_view *v, unsigned code, const char *at, size_t dim)
{
    size_t size = yk_code_size(code);
    int err = 0;
    if (dim == v->ndim)
        return at ? write_scalar(w, code, at) : 0;
    yk_buf_char(w->out, '[');
    for (size_t i = 0; i < v->shape[dim] && err == 0; i++) {
        if (i > 0)
            yk_buf_char(w->out, ',');
        const char *row = at ? at + (ptrdiff_t)i * v->step[dim] * (ptrdiff_t)size : NULL;
        err = write_nested(w, v, code, row, dim + 1);
        if (w->out->failed)
            return 0;
    }
    yk_buf_char(w->out, ']');
    return err;
}

static void write_shape(writer *w, const yk_any_view *v)
{
    yk_buf_text(w->out, "{\"shape\":[");
    for (size_t i = 0; i < v->ndim; i++) {
        if (i > 0)
            yk_buf_char(w->out, ',');
        yk_json_u64(w->out, v->shape[i]);
    }
    yk_buf_text(w->out, "],\"base64\":");
}

/* Copies the elements of a view that has gaps and writes them. */
static int write_gathered(writer *w, const yk_any_view *v, size_t size, size_t bytes)
{
    yk_any_view dense = *v;
    size_t step = 1;
    dense.ptr = yk_sys.malloc(bytes);
    if (!dense.ptr)
        return FAIL(w, ENOMEM, "%s", "out of memory");
    for (size_t i = v->ndim; i-- > 0; step *= v->shape[i])
        dense.step[i] = (ptrdiff_t)step;
    yk_view_copy(&dense, v, size);
    int err = write_base64(w, dense.ptr, bytes);
    free(dense.ptr);
    return err;
}

static int write_packed(writer *w, const yk_any_view *v, size_t size, size_t count)
{
    if (count > YOKE_JSON_MAX / size)
        return FAIL(w, EMSGSIZE, "an array of more than %zu bytes", YOKE_JSON_MAX);
    write_shape(w, v);
    bool dense = count == 0 || yk_view_is_contiguous(v);
    int err = dense ? write_base64(w, v->ptr, count * size) : write_gathered(w, v, size, count * size);
    yk_buf_char(w->out, '}');
    return err;
}

/* Rows of nothing cost brackets too: an array of no elements may have as many rows as others have elements. */
static bool too_many_rows(const yk_any_view *v)
{
    size_t rows = 1;
    for (size_t i = 0; i < v->ndim && v->shape[i] > 0; i++)
        if (__builtin_mul_overflow(rows, v->shape[i], &rows) || rows > YOKE_JSON_MAX)
            return true;
    return false;
}

static int write_view(writer *w, unsigned code, const void *at)
{
    yk_any_view v;
    size_t count, size = yk_code_size(yk_element(code));
    memcpy(&v, at, sizeof v);
    int err = yk_view_count(&v, size, &count);
    if (err < 0)
        return FAIL(w, err, "%s", "a view that is not valid (dimensions, NULL or size)");
    if (w->flags & YOKE_JSON_BASE64)
        return write_packed(w, &v, size, count);
    if (too_many_rows(&v))
        return FAIL(w, EMSGSIZE, "an array of more than %zu elements", YOKE_JSON_MAX);
    return write_nested(w, &v, yk_element(code), count > 0 ? (const char *)v.ptr : NULL, 0);
}

static int refuse_struct(const writer *w)
{
    return FAIL(w, ENOTSUP, "%s", "a struct has no JSON form (let the task return yoke_json, a view or text)");
}

static int write_value(writer *w, unsigned code, const void *at)
{
    if (yk_is_view(code))
        return write_view(w, code, at);
    switch (code) {
    case YOKE_VOID:
        yk_buf_text(w->out, "null");
        return 0;
    case YOKE_CSTR: {
        const char *text = *(const char *const *)at;
        return text ? write_text(w, text, strlen(text)) : FAIL(w, EINVAL, "%s", "text at NULL");
    }
    case YOKE_STR:
        return write_text(w, ((const yoke_str *)at)->ptr, ((const yoke_str *)at)->len);
    case YOKE_BYTES:
        return write_base64(w, ((const yoke_bytes *)at)->ptr, ((const yoke_bytes *)at)->len);
    case YOKE_JSON:
        return write_json(w, *(const yoke_json *)at);
    case YOKE_STRUCT:
        return refuse_struct(w);
    }
    return write_scalar(w, code, at);
}

/* ---- The result ---- */

/* {"return":R,"y":[...]} */
static int write_members(writer *w, const char *args, const void *ret)
{
    const yoke_task *t = w->task;
    int err = 0;
    char before = '{';
    if (t->ret_code != YOKE_VOID) {
        yk_buf_text(w->out, "{\"return\":");
        err = write_value(w, t->ret_code, ret);
        before = ',';
    }
    for (unsigned i = 0; i < t->nparams && err == 0; i++) {
        w->param = &t->params[i];
        if (!(w->param->code & YOKE_OUT))
            continue;
        yk_buf_char(w->out, before);
        before = ',';
        put_string(w->out, w->param->name, strlen(w->param->name), true);
        yk_buf_char(w->out, ':');
        err = write_value(w, w->param->code, args + w->param->offset);
    }
    yk_buf_char(w->out, '}');
    return err;
}

int yk_json_callable(const yoke_task *t, yk_error *e)
{
    char hint[260];
    writer w = {.task = t, .e = e};
    for (unsigned i = 0; i < t->nparams; i++) {
        const yoke_param *p = &t->params[i];
        if (p->code != YOKE_STRUCT || p->has_default)
            continue;
        yk_json_struct_hint(t, i, false, hint, sizeof hint);
        return yk_errorf(e, ENOTSUP, "argument %u \"%s\" of %s: %s", i + 1, p->name, t->name, hint);
    }
    return t->ret_code == YOKE_STRUCT ? refuse_struct(&w) : 0;
}

int yk_json_result(const yoke_task *t, const void *args, const void *ret, unsigned flags, yk_buf *out, yk_error *e)
{
    writer w = {.out = out, .flags = flags, .task = t, .e = e};
    bool has_out = false;
    size_t begin = out->len;
    for (unsigned i = 0; i < t->nparams; i++)
        has_out |= (t->params[i].code & YOKE_OUT) != 0;
    int err = has_out ? write_members(&w, args, ret) : write_value(&w, t->ret_code, ret);
    if (err == 0 && out->failed)
        err = yk_errorf(e, ENOMEM, "result of %s: out of memory", t->name);
    if (err < 0)
        out->len = begin;
    return err;
}
