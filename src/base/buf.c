/* buf: bytes that grow. Failure to grow is remembered, so that callers check once, at the end. */
#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>

char *yk_buf_room(yk_buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n <= b->cap - b->len)
        return b->ptr + b->len;
    size_t cap = YK_MAX(b->cap * 2, (size_t)256);
    if (n > SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return NULL;
    }
    cap = YK_MAX(cap, b->len + n);
    char *grown = yk_sys.realloc(b->borrowed ? NULL : b->ptr, cap);
    if (!grown) {
        b->failed = true;
        return NULL;
    }
    if (b->borrowed)
        memcpy(grown, b->ptr, b->len);
    b->borrowed = false;
    b->ptr = grown;
    b->cap = cap;
    return b->ptr + b->len;
}

void yk_buf_put(yk_buf *b, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    char *p = yk_buf_room(b, n);
    if (p) {
        memcpy(p, bytes, n);
        b->len += n;
    }
}

void yk_buf_text(yk_buf *b, const char *text)
{
    yk_buf_put(b, text, strlen(text));
}

void yk_buf_printf(yk_buf *b, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : yk_buf_room(b, (size_t)n + 1);
    if (p) {
        vsnprintf(p, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

const char *yk_buf_str(yk_buf *b)
{
    char *p = yk_buf_room(b, 1);
    if (!p)
        return "";
    *p = '\0';
    return b->ptr;
}

void yk_buf_done(yk_buf *b)
{
    if (!b->borrowed)
        free(b->ptr);
    *b = (yk_buf){0};
}

/* The bytes of a UTF-8 sequence by its first; 1: none follow. */
static size_t sequence_length(unsigned char first)
{
    return first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 1;
}

static bool is_sequence(const unsigned char *p, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return false;
    return n > 1;
}

void yk_plain(char *text, size_t len, bool one_line)
{
    unsigned char *p = (unsigned char *)text, *end = p + len;
    while (p < end) {
        size_t n = sequence_length(*p);
        if (n <= (size_t)(end - p) && is_sequence(p, n)) {
            if (*p == 0xc2 && p[1] < 0xa0)
                p[0] = p[1] = '?';
            p += n;
            continue;
        }
        bool newline = *p == '\n', blank = newline || *p == '\t';
        if (newline && one_line)
            *p = ' ';
        else if ((*p < ' ' && !blank) || (*p >= 0x7f && *p < 0xa0))
            *p = '?';
        p++;
    }
}
