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
    char *grown = yk_sys.realloc(b->ptr, cap);
    if (!grown) {
        b->failed = true;
        return NULL;
    }
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
    free(b->ptr);
    *b = (yk_buf){0};
}
