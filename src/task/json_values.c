/* json_values: one value of the text into one place of memory: numbers, strings, bytes, views.
 *
 * What a value points to is put into the region in its final form at once. For an array the commas up to its end are
 * counted first, so that its memory is asked for once and with the right size: on executors with isolated workers it is
 * memory that they share, and a copy would cost more than the counting. */
#include "task/json.h"
#include <stdio.h>

/* ---- Scalars ---- */

/* The largest value of each integer code, and the largest absolute value below zero. */
typedef struct range {
    uint64_t above, below;
} range;

static const range ranges[] = {
    [YOKE_I8] = {INT8_MAX, 1u << 7},     [YOKE_I16] = {INT16_MAX, 1u << 15},
    [YOKE_I32] = {INT32_MAX, 1u << 31},  [YOKE_I64] = {INT64_MAX, (uint64_t)1 << 63},
    [YOKE_U8] = {UINT8_MAX, 0},          [YOKE_U16] = {UINT16_MAX, 0},
    [YOKE_U32] = {UINT32_MAX, 0},        [YOKE_U64] = {UINT64_MAX, 0},
};

static inline bool is_number_start(const yk_reader *r, const char *p)
{
    return p < r->end && (*p == '-' || (unsigned char)(*p - '0') <= 9);
}

/* The number's text, cut if it is long. */
static void show_number(char to[40], const yk_decimal *d)
{
    size_t n = (size_t)(d->end - d->begin);
    snprintf(to, 40, "%.*s%s", (int)YK_MIN(n, (size_t)30), d->begin, n > 30 ? "..." : "");
}

static __attribute__((cold)) const char *bad_integer(yk_reader *r, const char *p, unsigned code, const yk_decimal *d, int error)
{
    char number[40];
    const range *limit = &ranges[code];
    show_number(number, d);
    if (error == -EDOM)
        return yk_fail_at(r, p, EINVAL, "expected integer, got %s", number);
    return yk_fail_at(r, p, ERANGE, "%s does not fit %s (%s%llu to %llu)", number, yk_code_name(code), limit->below ? "-" : "",
                      (unsigned long long)limit->below, (unsigned long long)limit->above);
}

static __attribute__((cold)) const char *not_number(yk_reader *r, const char *p, const char *what, const yk_decimal *d)
{
    return is_number_start(r, p) ? yk_bad_number(r, p, d) : yk_expected(r, p, what);
}

/* The low bytes of v: as many as the type has. */
static inline void store(void *to, uint64_t v, unsigned code)
{
    switch (code) {
    case YOKE_I8:
    case YOKE_U8:
        *(uint8_t *)to = (uint8_t)v;
        break;
    case YOKE_I16:
    case YOKE_U16:
        *(uint16_t *)to = (uint16_t)v;
        break;
    case YOKE_I32:
    case YOKE_U32:
        *(uint32_t *)to = (uint32_t)v;
        break;
    default:
        *(uint64_t *)to = v;
    }
}

/* Any integer, the slow way. */
static __attribute__((noinline)) const char *read_odd_integer(yk_reader *r, const char *p, unsigned code, void *to)
{
    yk_decimal d;
    uint64_t v;
    const char *after = yk_decimal_scan(p, r->end, &d);
    if (!after)
        return not_number(r, p, "integer", &d);
    int err = yk_decimal_u64(&d, &v);
    if (err < 0 || v > (d.negative ? ranges[code].below : ranges[code].above))
        return bad_integer(r, p, code, &d, err);
    store(to, d.negative ? -v : v, code);
    return after;
}

static inline const char *read_integer(yk_reader *r, const char *p, unsigned code, void *to)
{
    uint64_t v;
    const char *after = yk_decimal_read_plain(p, r->end, &v);
    if (YK_UNLIKELY(!after))
        return read_odd_integer(r, p, code, to);
    bool negative = *p == '-';
    if (YK_UNLIKELY(v > (negative ? ranges[code].below : ranges[code].above)))
        return read_odd_integer(r, p, code, to);
    store(to, negative ? -v : v, code);
    return after;
}

static const char *not_finite(yk_reader *r, const char *p, unsigned code, void *to)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {{"NaN", __builtin_nan("")}, {"Infinity", __builtin_inf()}, {"-Infinity", -__builtin_inf()}};
    yk_json_span s;
    const char *after = yk_read_string(r, p, &s);
    if (!after)
        return NULL;
    for (size_t i = 0; i < YK_COUNT_OF(words); i++)
        if (yk_span_is(&s, words[i].text)) {
            if (code == YOKE_F32)
                *(float *)to = (float)words[i].value;
            else
                *(double *)to = words[i].value;
            return after;
        }
    return yk_expected(r, p, "number, \"NaN\", \"Infinity\" or \"-Infinity\"");
}

static __attribute__((cold)) const char *too_large(yk_reader *r, const char *p, unsigned code, const yk_decimal *d)
{
    char number[40];
    show_number(number, d);
    return yk_fail_at(r, p, ERANGE, "%s does not fit %s (%s)", number, yk_code_name(code),
                      code == YOKE_F32 ? "-3.4028235e+38 to 3.4028235e+38"
                                       : "-1.7976931348623157e+308 to 1.7976931348623157e+308");
}

/* What yk_decimal_read_f64() did not want: no number, or one too large. */
static __attribute__((cold, noinline)) const char *odd_f64(yk_reader *r, const char *p)
{
    yk_decimal d;
    const char *after = yk_decimal_scan(p, r->end, &d);
    return after ? too_large(r, p, YOKE_F64, &d) : not_number(r, p, "number", &d);
}

static inline const char *read_f64(yk_reader *r, const char *p, double *to)
{
    if (YK_UNLIKELY((r->flags & YOKE_JSON_NONFINITE) && yk_is_at(r, p, '"')))
        return not_finite(r, p, YOKE_F64, to);
    const char *after = yk_decimal_read_f64(p, r->end, to);
    if (YK_UNLIKELY(!after || (__builtin_isinf(*to) && !(r->flags & YOKE_JSON_NONFINITE))))
        return odd_f64(r, p);
    return after;
}

static __attribute__((noinline)) const char *read_f32(yk_reader *r, const char *p, float *to)
{
    yk_decimal d;
    if ((r->flags & YOKE_JSON_NONFINITE) && yk_is_at(r, p, '"'))
        return not_finite(r, p, YOKE_F32, to);
    const char *after = yk_decimal_scan(p, r->end, &d);
    if (YK_UNLIKELY(!after))
        return not_number(r, p, "number", &d);
    *to = yk_decimal_f32(&d);
    if (YK_UNLIKELY(__builtin_isinf(*to)) && !(r->flags & YOKE_JSON_NONFINITE))
        return too_large(r, p, YOKE_F32, &d);
    return after;
}

static const char *read_bool(yk_reader *r, const char *p, void *to)
{
    size_t left = (size_t)(r->end - p);
    bool v = left >= 4 && memcmp(p, "true", 4) == 0;
    if (!v && (left < 5 || memcmp(p, "false", 5) != 0))
        return yk_expected(r, p, "true or false");
    memcpy(to, &v, sizeof v);
    return p + (v ? 4 : 5);
}

/* A bool, an integer or a float. */
static const char *read_scalar(yk_reader *r, const char *p, unsigned code, void *to)
{
    if (code == YOKE_F64)
        return read_f64(r, p, to);
    if (code == YOKE_F32)
        return read_f32(r, p, to);
    return code == YOKE_BOOL ? read_bool(r, p, to) : read_integer(r, p, code, to);
}

/* ---- Strings and bytes ---- */

static const char *read_text(yk_reader *r, const char *p, unsigned code, void *to)
{
    yk_json_span s;
    if (!yk_is_at(r, p, '"'))
        return yk_expected(r, p, "string");
    const char *after = yk_read_string(r, p, &s);
    if (!after)
        return NULL;
    if (s.has_nul && code == YOKE_CSTR)
        return yk_fail_at(r, p, EINVAL, "\\u0000 in a string that ends at the first NUL (const char *)");
    char *copy = yk_region_alloc(r->region, s.len + 1);
    if (!copy)
        return yk_fail_memory(r);
    yk_unescape(&s, copy);
    copy[s.len] = '\0';
    if (code == YOKE_CSTR)
        *(const char **)to = copy;
    else
        *(yoke_str *)to = (yoke_str){copy, s.len};
    return after;
}

/* Decodes the base64 string s, found at p, into memory of the region. */
static bool decode(yk_reader *r, const char *p, const yk_json_span *s, yoke_bytes *ret)
{
    const char *text = s->raw;
    if (s->len != s->raw_len) { /* "\/" is how some write a slash */
        char *plain = yk_region_alloc(r->region, s->len);
        if (!plain)
            return yk_fail_memory(r);
        yk_unescape(s, plain);
        text = plain;
    }
    void *bytes = yk_region_alloc(r->region, s->len / 4 * 3 + 1);
    if (!bytes)
        return yk_fail_memory(r);
    size_t n;
    if (yk_base64_get(bytes, text, s->len, &n) < 0)
        return yk_fail_at(r, text == s->raw ? s->raw + n : p, EINVAL, "not base64 (with padding)");
    *ret = (yoke_bytes){bytes, n};
    return true;
}

static const char *read_bytes(yk_reader *r, const char *p, void *to)
{
    yk_json_span s;
    if (!yk_is_at(r, p, '"'))
        return yk_expected(r, p, "string in base64");
    const char *after = yk_read_string(r, p, &s);
    return after && decode(r, p, &s, to) ? after : NULL;
}

static const char *read_json(yk_reader *r, const char *p, void *to)
{
    const char *after = yk_skip_value(r, p);
    if (!after)
        return NULL;
    size_t n = (size_t)(after - p);
    char *copy = yk_region_copy(r->region, p, n);
    if (!copy)
        return yk_fail_memory(r);
    *(yoke_json *)to = (yoke_json){copy, n};
    return after;
}

/* ---- Views ---- */

/* Sets the steps for elements that lie one after the other. */
static void set_steps(yk_any_view *v)
{
    size_t step = 1;
    for (size_t i = v->ndim; i-- > 0; step *= v->shape[i])
        v->step[i] = (ptrdiff_t)step;
}

/* The bytes of all elements, unless they are more than YOKE_JSON_MAX. */
static bool view_bytes(const yk_any_view *v, size_t size, size_t *ret)
{
    size_t n = size;
    bool too_many = false, none = false;
    for (size_t i = 0; i < v->ndim; i++) {
        none |= v->shape[i] == 0;
        too_many |= __builtin_mul_overflow(n, v->shape[i], &n) || n > YOKE_JSON_MAX;
    }
    *ret = none ? 0 : n;
    return none || !too_many;
}

static __attribute__((cold)) const char *too_big(yk_reader *r, const char *p)
{
    return yk_fail_at(r, p, EMSGSIZE, "an array of more than %zu bytes", YOKE_JSON_MAX);
}

/* Bytes of v equal to c, each as 0x80. */
static inline uint64_t bytes_equal(uint64_t v, char c)
{
    const uint64_t ones = 0x0101010101010101, low = 0x7f7f7f7f7f7f7f7f;
    v ^= ones * (unsigned char)c;
    return ~(((v & low) + low) | v | low);
}

/* One more than the commas up to the end of the array at p: its elements, or a few more when rows are empty. Strings
 * with brackets or commas in them may deceive it, but no array of numbers has any. */
static size_t count_elements(const yk_reader *r, const char *p)
{
    size_t commas = 0;
    int depth = 0;
    for (; r->end - p >= 8; p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        if (bytes_equal(v, '[') | bytes_equal(v, ']')) {
            for (int i = 0; i < 8; i++) {
                commas += p[i] == ',';
                depth += (p[i] == '[') - (p[i] == ']');
                if (depth == 0)
                    return commas + 1;
            }
        } else {
            commas += (bytes_equal(v, ',') >> 7) * 0x0101010101010101 >> 56; /* sums the bytes */
        }
    }
    for (; p < r->end; p++)
        commas += *p == ',';
    return commas + 1;
}

/* Elements on their way into a view. */
typedef struct filling {
    yk_reader *r;
    yk_any_view *view;
    unsigned code;
    size_t size;
    char *next, *end;           /* memory for elements */
    bool known[YOKE_DIMS];      /* shape[i] is set */
} filling;

/* A comma (then *more is true) or the end of an array. */
static inline const char *read_next(yk_reader *r, const char *p, bool *more)
{
    p = yk_blanks(r, p);
    *more = yk_is_at(r, p, ',');
    if (!*more && !yk_is_at(r, p, ']'))
        return yk_expected(r, p, "',' or ']'");
    return *more ? yk_blanks(r, p + 1) : p + 1;
}

/* The numbers of an innermost array, from its first to its closing bracket. */
static const char *read_numbers(filling *f, const char *p)
{
    yk_reader *r = f->r;
    for (bool more = true; more && p;) {
        if (f->next == f->end)
            return yk_expected(r, p, "a rectangular array of numbers");
        p = f->code == YOKE_F64 ? read_f64(r, p, (double *)(void *)f->next) : read_scalar(r, p, f->code, f->next);
        f->next += f->size;
        if (p)
            p = read_next(r, p, &more);
    }
    return p;
}

/* The array at p, of dimension dim and what lies in it. */
static const char *read_array(filling *f, const char *p, size_t dim)
{
    yk_reader *r = f->r;
    size_t n = 0;
    const char *open = p;
    if (!yk_is_at(r, p, '['))
        return yk_expected(r, p, "array");
    p = yk_blanks(r, p + 1);
    if (yk_is_at(r, p, ']')) {
        p++;
    } else if (dim + 1 == f->view->ndim) {
        const char *first = f->next;
        p = read_numbers(f, p);
        n = (size_t)(f->next - first) / f->size;
    } else {
        for (bool more = true; more && p; n++) {
            p = read_array(f, p, dim + 1);
            if (p)
                p = read_next(r, p, &more);
        }
    }
    if (p && f->known[dim] && f->view->shape[dim] != n)
        return yk_fail_at(r, open, EINVAL, "not rectangular: an array of %zu where one of %zu came before,", n,
                          f->view->shape[dim]);
    f->known[dim] = true;
    f->view->shape[dim] = n;
    return p;
}

static const char *read_nested(yk_reader *r, const char *p, unsigned code, yk_any_view *v)
{
    filling f = {.r = r, .view = v, .code = code, .size = yk_code_size(code)};
    const char *q = p;
    for (v->ndim = 0; yk_is_at(r, q, '['); v->ndim++)
        q = yk_blanks(r, q + 1);
    if (v->ndim > YOKE_DIMS)
        return yk_fail_at(r, p, EINVAL, "an array of more than %d dimensions", YOKE_DIMS);
    size_t bytes = count_elements(r, p) * f.size;
    if (bytes > YOKE_JSON_MAX)
        return too_big(r, p);
    f.next = yk_region_alloc(r->region, bytes);
    if (!f.next)
        return yk_fail_memory(r);
    f.end = f.next + bytes;
    v->ptr = (void *)f.next;
    p = read_array(&f, p, 0);
    set_steps(v);
    return p;
}

/* One length of a shape. */
static const char *read_length(yk_reader *r, const char *p, yk_any_view *v)
{
    uint64_t n = 0;
    if (v->ndim == YOKE_DIMS)
        return yk_fail_at(r, p, EINVAL, "a shape of more than %d dimensions", YOKE_DIMS);
    const char *after = read_integer(r, p, YOKE_U64, &n);
    if (after)
        v->shape[v->ndim++] = n;
    return after;
}

/* [2,3]; or, where may_be_number, 3 for [3]. */
static const char *read_shape(yk_reader *r, const char *p, bool may_be_number, yk_any_view *v)
{
    v->ndim = 0;
    if (may_be_number && is_number_start(r, p))
        return read_length(r, p, v);
    if (!yk_is_at(r, p, '['))
        return yk_expected(r, p, may_be_number ? "shape (a length, or an array of lengths)" : "array of lengths");
    p = yk_blanks(r, p + 1);
    if (yk_is_at(r, p, ']'))
        return p + 1;
    for (bool more = true; more && p;) {
        p = read_length(r, p, v);
        if (p)
            p = read_next(r, p, &more);
    }
    return p;
}

static const char *read_out(yk_reader *r, const char *p, unsigned code, yk_any_view *v)
{
    size_t bytes;
    const char *after = read_shape(r, p, true, v);
    if (!after)
        return NULL;
    if (!view_bytes(v, yk_code_size(code), &bytes))
        return too_big(r, p);
    v->ptr = yk_region_alloc(r->region, bytes ? bytes : 1);
    if (!v->ptr)
        return yk_fail_memory(r);
    memset(v->ptr, 0, bytes);
    set_steps(v);
    return after;
}

/* {"shape":[2,2],"base64":"..."}, on its way. */
typedef struct packed {
    const char *shape, *base64; /* where their values begin; NULL: not seen */
    yk_json_span text;
} packed;

/* One member of it. */
static const char *read_packed_member(yk_reader *r, const char *p, packed *k, yk_any_view *v)
{
    yk_json_span key;
    const char *begin = p;
    if (!yk_is_at(r, p, '"'))
        return yk_expected(r, p, "\"shape\" or \"base64\"");
    p = yk_read_string(r, p, &key);
    if (!p)
        return NULL;
    bool is_shape = yk_span_is(&key, "shape");
    if (!is_shape && !yk_span_is(&key, "base64"))
        return yk_expected(r, begin, "\"shape\" or \"base64\"");
    if (is_shape ? k->shape : k->base64)
        return yk_fail_at(r, begin, EINVAL, "\"%s\" given twice", is_shape ? "shape" : "base64");
    p = yk_blanks(r, p);
    if (!yk_is_at(r, p, ':'))
        return yk_expected(r, p, "':'");
    p = yk_blanks(r, p + 1);
    *(is_shape ? &k->shape : &k->base64) = p;
    if (is_shape)
        return read_shape(r, p, false, v);
    return yk_is_at(r, p, '"') ? yk_read_string(r, p, &k->text) : yk_expected(r, p, "string in base64");
}

static const char *read_packed(yk_reader *r, const char *p, unsigned code, yk_any_view *v)
{
    packed k = {0};
    const char *begin = p;
    yoke_bytes data;
    size_t bytes;
    for (bool more = true; more;) {
        p = read_packed_member(r, yk_blanks(r, p + 1), &k, v);
        if (!p)
            return NULL;
        p = yk_blanks(r, p);
        more = yk_is_at(r, p, ',');
    }
    if (!yk_is_at(r, p, '}'))
        return yk_expected(r, p, "',' or '}'");
    if (!k.shape || !k.base64)
        return yk_fail_at(r, begin, EINVAL, "an array in base64 lacks its \"%s\"", k.shape ? "base64" : "shape");
    if (!view_bytes(v, yk_code_size(code), &bytes))
        return too_big(r, k.shape);
    if (!decode(r, k.base64, &k.text, &data))
        return NULL;
    if (data.len != bytes)
        return yk_fail_at(r, k.base64, EINVAL, "%zu bytes of base64 where the shape asks for %zu", data.len, bytes);
    v->ptr = (void *)(uintptr_t)data.ptr;
    set_steps(v);
    return p + 1;
}

static const char *read_view(yk_reader *r, const char *p, unsigned code, void *to)
{
    yk_any_view v = {0};
    if (!(code & YOKE_IN))
        p = read_out(r, p, yk_element(code), &v);
    else if (yk_is_at(r, p, '['))
        p = read_nested(r, p, yk_element(code), &v);
    else if (yk_is_at(r, p, '{'))
        p = read_packed(r, p, yk_element(code), &v);
    else
        p = yk_expected(r, p, "array");
    memcpy(to, &v, sizeof v);
    return p;
}

/* Apart from the scalars, which are not to pay for the registers that this needs. */
static __attribute__((noinline)) const char *read_pointing(yk_reader *r, const char *p, unsigned code, void *to)
{
    if (yk_is_view(code))
        return read_view(r, p, code, to);
    switch (code) {
    case YOKE_CSTR:
    case YOKE_STR:
        return read_text(r, p, code, to);
    case YOKE_BYTES:
        return read_bytes(r, p, to);
    case YOKE_JSON:
        return read_json(r, p, to);
    default:
        return yk_fail_struct(r, p);
    }
}

const char *yk_read_value(yk_reader *r, const char *p, unsigned code, void *to)
{
    return YK_LIKELY(code <= YOKE_F64) ? read_scalar(r, p, code, to) : read_pointing(r, p, code, to);
}
