/* json_read: the text itself: blanks, strings, UTF-8, whole values passed over, and what is said about a mistake.
 *
 * There is no token and no tree: every function starts at a place in the text and returns the place after what it read.
 * Strings are found and checked first, eight bytes at a time while they are plain ASCII, and copied by whoever wants them.
 * Depth costs a bit, not a stack frame. */
#include "task/json.h"
#include <stdio.h>

/* ---- Errors ---- */

/* Appends to a text of fixed size; what does not fit is cut. */
typedef struct line {
    char text[400];
    size_t len;
} line;

static void line_add(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(line *l, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(l->text + l->len, sizeof l->text - l->len, format, ap);
    va_end(ap);
    if (n > 0)
        l->len = YK_MIN(l->len + (size_t)n, sizeof l->text - 1);
}

/* 'argument 2 "n" of f: ', as far as that is known. */
static void line_place(line *l, const yk_reader *r)
{
    if (r->task && r->param >= 0)
        line_add(l, "argument %d \"%s\" of %s: ", r->param + 1, r->task->params[r->param].name, r->task->name);
    else if (r->task)
        line_add(l, "arguments of %s: ", r->task->name);
}

static const char *fail_line(yk_reader *r, const line *l, int code)
{
    r->code = yk_errorf(r->e, code, "%s", l->text);
    return NULL;
}

const char *yk_fail_at(yk_reader *r, const char *p, int code, const char *format, ...)
{
    line l = {.len = 0};
    char message[300];
    va_list ap;
    va_start(ap, format);
    vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    line_place(&l, r);
    line_add(&l, "%s", message);
    if (p)
        line_add(&l, " at byte %zu", (size_t)(p - r->text) + 1);
    return fail_line(r, &l, code);
}

const char *yk_fail_memory(yk_reader *r)
{
    return yk_fail_at(r, NULL, ENOMEM, "out of memory");
}

enum { SHOWN = 24 };

/* The first bytes of a string or word, up to where it ends, for people: what is not printable becomes '?'. */
static void show_text(char *to, const char *p, const char *end, const char *stop)
{
    unsigned n = 0;
    while (p < end && n < SHOWN && !strchr(stop, *p)) {
        unsigned length = yk_utf8_length(p, end);
        bool plain = length > 0 && (unsigned char)*p >= ' ' && *p != 0x7f;
        memcpy(to + n, plain ? p : "?", plain ? length : 1);
        n += plain ? length : 1;
        p += plain ? length : 1;
    }
    bool cut = p < end && !strchr(stop, *p);
    memcpy(to + n, cut ? "..." : "", cut ? 4 : 1);
}

/* What stands at p, in a few words. */
static void show(char *to, size_t size, const yk_reader *r, const char *p)
{
    char word[SHOWN + 8];
    if (p >= r->end) {
        snprintf(to, size, "the end of the text");
        return;
    }
    unsigned char c = (unsigned char)*p;
    if (c == '"') {
        show_text(word, p + 1, r->end, "\"");
        snprintf(to, size, "\"%s\"", word);
    } else if (c == '[') {
        snprintf(to, size, "an array");
    } else if (c == '{') {
        snprintf(to, size, "an object");
    } else if (strchr("]},:", c) && c) {
        snprintf(to, size, "'%c'", c);
    } else if (c < ' ' || c >= 0x7f) {
        snprintf(to, size, "the byte 0x%02x", c);
    } else {
        show_text(word, p, r->end, ",:]}[{ \t\r\n\"");
        snprintf(to, size, "%s", word);
    }
}

const char *yk_expected(yk_reader *r, const char *p, const char *what)
{
    char found[SHOWN + 16];
    if (r->word) {
        show_text(found, r->text, r->end, "");
        return yk_fail_at(r, NULL, EINVAL, "expected %s, got \"%s\"", what, found);
    }
    show(found, sizeof found, r, p);
    return yk_fail_at(r, p, EINVAL, "expected %s, got %s", what, found);
}

const char *yk_unexpected(yk_reader *r, const char *p, const char *what)
{
    char found[SHOWN + 16];
    show(found, sizeof found, r, p);
    return yk_fail_at(r, p, EINVAL, "got %s, %s", found, what);
}

/* ---- UTF-8 ---- */

unsigned yk_utf8_length(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = (size_t)(end - text);
    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < 2 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xe0)
        return 2;
    if (left < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xf0) /* neither overlong nor a surrogate */
        return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (left < 4 || (p[3] & 0xc0) != 0x80)
        return 0;
    return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* ---- Strings ---- */

/* The place of the first byte from p on that is not plain ASCII text: a quote, a backslash, a control or a high byte. */
static const char *skip_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
    for (; end - p >= 8; p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
        uint64_t special = ((v - ones * ' ') | (quote - ones) | (slash - ones) | v) & high;
        /* A borrow may mark a byte too many above one that is rightly marked: look closer from here. */
        if (special)
            break;
    }
    while (p < end && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], letter = (unsigned char)((c | 0x20) - 'a');
        if ((unsigned char)(c - '0') > 9 && letter > 5)
            return -1;
        v = v << 4 | (letter <= 5 ? letter + 10 : c - '0');
    }
    return v;
}

/* The character that the escape at p (a backslash) stands for, or -1; *after is the place behind it. */
static int32_t unescape_one(const char *p, const char *end, const char **after)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *simple = end - p >= 2 && p[1] ? strchr(from, p[1]) : NULL;
    if (simple) {
        *after = p + 2;
        return to[simple - from];
    }
    if (end - p < 6 || p[1] != 'u')
        return -1;
    int32_t high = hex4(p + 2, end);
    *after = p + 6;
    if (high < 0xd800 || high > 0xdfff)
        return high;
    if (high > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return -1;
    int32_t low = hex4(p + 8, end);
    *after = p + 12;
    return low < 0xdc00 || low > 0xdfff ? -1 : 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static const char *bad_escape(yk_reader *r, const char *p)
{
    char shown[SHOWN + 8];
    const char *end = r->end - p > 6 ? p + (p[1] == 'u' ? 6 : 2) : r->end;
    if (r->end - p >= 6 && p[1] == 'u' && hex4(p + 2, r->end) >= 0)
        return yk_fail_at(r, p, EINVAL, "half of a surrogate pair in a string, %.6s,", p);
    show_text(shown, p, end, "\"");
    return yk_fail_at(r, p, EINVAL, "no escape of JSON: %s", shown);
}

static const char *bad_character(yk_reader *r, const char *p)
{
    unsigned char c = (unsigned char)*p;
    if (c < ' ')
        return yk_fail_at(r, p, EINVAL, "a control character (0x%02x) in a string, which must be escaped,", c);
    return yk_fail_at(r, p, EILSEQ, "not valid UTF-8 (0x%02x) in a string", c);
}

const char *yk_read_string(yk_reader *r, const char *p, yk_json_span *ret)
{
    const char *begin = ++p;
    size_t saved = 0; /* how many bytes unescaping makes it shorter */
    ret->has_nul = false;
    for (;;) {
        p = skip_plain(p, r->end);
        if (p == r->end)
            return yk_fail_at(r, begin - 1, EINVAL, "a string without its closing quote");
        if (*p == '"')
            break;
        if (*p == '\\') {
            const char *after;
            char utf8[4];
            int32_t c = unescape_one(p, r->end, &after);
            if (c < 0)
                return bad_escape(r, p);
            ret->has_nul |= c == 0;
            saved += (size_t)(after - p) - (size_t)(put_utf8(utf8, (uint32_t)c) - utf8);
            p = after;
            continue;
        }
        unsigned length = (unsigned char)*p < ' ' ? 0 : yk_utf8_length(p, r->end);
        if (length == 0)
            return bad_character(r, p);
        p += length;
    }
    ret->raw = begin;
    ret->raw_len = (size_t)(p - begin);
    ret->len = ret->raw_len - saved;
    return p + 1;
}

void yk_unescape(const yk_json_span *s, char *to)
{
    const char *p = s->raw, *end = s->raw + s->raw_len;
    while (p < end) {
        const char *slash = s->len == s->raw_len ? NULL : memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (slash)
            to = put_utf8(to, (uint32_t)unescape_one(slash, end, &p));
    }
}

bool yk_span_is(const yk_json_span *s, const char *word)
{
    char plain[256];
    size_t n = strlen(word);
    if (s->len != n)
        return false;
    if (s->raw_len == n)
        return memcmp(s->raw, word, n) == 0;
    if (n > sizeof plain)
        return false;
    yk_unescape(s, plain);
    return memcmp(plain, word, n) == 0;
}

/* ---- Whole values ---- */

static const char *skip_word(yk_reader *r, const char *p, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - p) < n || memcmp(p, word, n) != 0)
        return yk_expected(r, p, "a JSON value");
    return p + n;
}

/* Anything but an array or an object. */
static const char *skip_scalar(yk_reader *r, const char *p)
{
    yk_json_span span;
    yk_decimal number;
    if (p >= r->end)
        return yk_expected(r, p, "a JSON value");
    switch (*p) {
    case '"':
        return yk_read_string(r, p, &span);
    case 't':
        return skip_word(r, p, "true");
    case 'f':
        return skip_word(r, p, "false");
    case 'n':
        return skip_word(r, p, "null");
    }
    if (*p != '-' && (*p < '0' || *p > '9'))
        return yk_expected(r, p, "a JSON value");
    const char *after = yk_decimal_scan(p, r->end, &number);
    return after ? after : yk_bad_number(r, p, &number);
}

const char *yk_bad_number(yk_reader *r, const char *p, const yk_decimal *d)
{
    char found[SHOWN + 16];
    show(found, sizeof found, r, p);
    if (d->end < r->end && (unsigned char)(*d->end - '0') <= 9)
        return yk_fail_at(r, d->end, EINVAL, "a number with a leading zero, %s,", found);
    return yk_fail_at(r, d->end, EINVAL, "a number that lacks a digit, %s,", found);
}

/* The key of an object's member and its colon. */
static const char *skip_key(yk_reader *r, const char *p)
{
    yk_json_span span;
    if (!yk_is_at(r, p, '"'))
        return yk_expected(r, p, "a key in quotes");
    p = yk_read_string(r, p, &span);
    if (!p)
        return NULL;
    p = yk_blanks(r, p);
    if (!yk_is_at(r, p, ':'))
        return yk_expected(r, p, "':'");
    return yk_blanks(r, p + 1);
}

/* The arrays and objects that are open, one bit each: 1 is an object. */
typedef struct nest {
    unsigned depth;
    uint64_t objects[YOKE_JSON_DEPTH / 64];
} nest;

static bool nest_in_object(const nest *n)
{
    unsigned i = n->depth - 1;
    return n->objects[i / 64] >> (i % 64) & 1;
}

static void nest_push(nest *n, bool object)
{
    uint64_t bit = (uint64_t)1 << (n->depth % 64), *word = &n->objects[n->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    n->depth++;
}

/* Opens the array or object at p; returns where its first value begins, or the place after it when it is empty. */
static const char *enter(yk_reader *r, const char *p, nest *n, bool *empty)
{
    bool object = *p == '{';
    if (n->depth == YOKE_JSON_DEPTH)
        return yk_fail_at(r, p, EINVAL, "nested deeper than %d", YOKE_JSON_DEPTH);
    p = yk_blanks(r, p + 1);
    *empty = yk_is_at(r, p, object ? '}' : ']');
    if (*empty)
        return p + 1;
    nest_push(n, object);
    return object ? skip_key(r, p) : p;
}

/* After a value: closes what ends here, then passes over the comma before the next value. */
static const char *leave(yk_reader *r, const char *p, nest *n)
{
    while (n->depth > 0) {
        bool object = nest_in_object(n);
        p = yk_blanks(r, p);
        if (yk_is_at(r, p, ',')) {
            p = yk_blanks(r, p + 1);
            return object ? skip_key(r, p) : p;
        }
        if (!yk_is_at(r, p, object ? '}' : ']'))
            return yk_expected(r, p, object ? "',' or '}'" : "',' or ']'");
        p++;
        n->depth--;
    }
    return p;
}

const char *yk_skip_value(yk_reader *r, const char *p)
{
    nest n;
    n.depth = 0;
    memset(n.objects, 0, sizeof n.objects);
    do {
        bool empty = true;
        p = yk_is_at(r, p, '[') || yk_is_at(r, p, '{') ? enter(r, p, &n, &empty) : skip_scalar(r, p);
        if (p && empty)
            p = leave(r, p, &n);
    } while (p && n.depth > 0);
    return p;
}

const char *yk_read_begin(yk_reader *r, const char *what)
{
    size_t len = (size_t)(r->end - r->text);
    if (len > YOKE_JSON_MAX)
        return yk_fail_at(r, NULL, EMSGSIZE, "%zu bytes of JSON, at most %zu", len, YOKE_JSON_MAX);
    if (len >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0)
        return yk_fail_at(r, r->text, EINVAL, "expected %s, got a byte order mark", what);
    const char *p = yk_blanks(r, r->text);
    return p < r->end ? p : yk_expected(r, p, what);
}

const char *yk_read_end(yk_reader *r, const char *p)
{
    p = yk_blanks(r, p);
    return p == r->end ? p : yk_expected(r, p, "the end of the text");
}

int yk_json_check(const char *text, size_t len, yk_error *e)
{
    yk_reader r = {.text = text, .end = text + len, .param = -1, .e = e};
    const char *p = yk_read_begin(&r, "a JSON value");
    if (p)
        p = yk_skip_value(&r, p);
    if (p)
        p = yk_read_end(&r, p);
    return p ? 0 : r.code;
}
