/* error: texts for codes, the error carrier, and the nearest known word for people who mistyped one. */
#include "base/base.h"
#include <stdio.h>
#include <strings.h>

int yk_errorf(yk_error *e, int code, const char *format, ...)
{
    if (code > 0)
        code = -code;
    if (e) {
        e->code = code;
        va_list ap;
        va_start(ap, format);
        vsnprintf(e->text, sizeof e->text, format, ap);
        va_end(ap);
    }
    return code;
}

const char *yoke_version(void)
{
    return YOKE_VERSION;
}

/* The system's texts say what the code once meant: "Key was rejected by service", "Invalid cross-device link". */
const char *yoke_strerror(int code)
{
    switch (code < 0 ? -code : code) {
    case 0:
        return "no error";
    case ECANCELED:
        return "cancelled";
    case ETIMEDOUT:
        return "timed out";
    case EOWNERDEAD:
        return "worker or lock holder died";
    case EINPROGRESS:
        return "running";
    case ESHUTDOWN:
        return "closed";
    case EKEYREJECTED:
        return "certificate not accepted";
    case ECONNABORTED:
        return "connection cut off";
    case EREMOTEIO:
        return "no proper answer from the other side";
    case EXDEV:
        return "of another loop, thread, device or file system";
    case ECHILD:
        return "no such child, or of the process before fork()";
    case ENODATA:
        return "no data, or ended before all of it";
    }
    const char *text = strerrordesc_np(code < 0 ? -code : code); /* static, unlike strerror() */
    return text ? text : "unknown error";
}

enum { WORD_MAX = 63 };

/* The optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return SIZE_MAX;
    unsigned char rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned char)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (unsigned char)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = YK_MIN(best, YK_MIN(last[j], now[j - 1]) + 1u);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = YK_MIN(best, before[j - 2] + 1u);
            now[j] = (unsigned char)best;
        }
        unsigned char *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *yk_nearest(const char *word, const char *(*next)(void *ctx, size_t i), void *ctx)
{
    const char *best = NULL, *candidate;
    size_t len = strlen(word), least = len / 3 + 2; /* must stay below this */
    for (size_t i = 0; (candidate = next(ctx, i)); i++) {
        size_t d = distance(word, candidate);
        bool same = *candidate && strcasecmp(word, candidate) == 0;
        if (same)
            d = YK_MIN(d, (size_t)1);
        /* With all its letters replaced a word is no likeness of another: P is not x, though it may have been meant as p. */
        if (d < least && (same || d < YK_MIN(len, strlen(candidate)))) {
            least = d;
            best = candidate;
        }
    }
    return best;
}
