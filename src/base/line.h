/* line: one line of text put together and written by a signal handler, where nothing may be called that takes a lock. */
#ifndef YK_BASE_LINE_H
#define YK_BASE_LINE_H
#include <stddef.h>
#include <signal.h>
#include <unistd.h>

typedef struct yk_line {
    char text[600];
    size_t len;
} yk_line;

static inline void yk_line_text(yk_line *l, const char *text)
{
    while (*text && l->len < sizeof l->text)
        l->text[l->len++] = *text++;
}

static inline void yk_line_number(yk_line *l, unsigned long n)
{
    char digits[24];
    size_t i = sizeof digits;
    digits[--i] = '\0';
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    yk_line_text(l, digits + i);
}

static inline void yk_line_signal(yk_line *l, int number)
{
    yk_line_text(l, number == SIGSEGV  ? "SIGSEGV"
                    : number == SIGBUS ? "SIGBUS"
                    : number == SIGFPE ? "SIGFPE"
                    : number == SIGILL ? "SIGILL"
                                       : "SIGABRT");
}

/* To stderr, whole or not at all. The text should end with a newline. */
static inline void yk_line_tell(const yk_line *l)
{
    ssize_t n = (write)(STDERR_FILENO, l->text, l->len);
    (void)n;
}

#endif
