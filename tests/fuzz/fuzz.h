/* fuzz.h - what the fuzzers share: a check that aborts, UTF-8 by the table of RFC 3629, memory with a limit. */
#ifndef YK_FUZZ_H
#define YK_FUZZ_H
#include "task/json.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A copy in memory of exactly its size, so that AddressSanitizer sees a byte read too far. */
static inline char *fuzz_copy(const void *bytes, size_t size)
{
    char *copy = size > 0 ? malloc(size) : calloc(1, 1);
    REQUIRE(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static inline bool fuzz_between(const unsigned char *p, size_t left, size_t i, unsigned low, unsigned high)
{
    return i < left && p[i] >= low && p[i] <= high;
}

/* The length of the sequence at p, written from the grammar of RFC 3629, section 4; 0: it is none. */
static inline size_t fuzz_sequence(const unsigned char *p, size_t left)
{
    unsigned c = p[0];
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return fuzz_between(p, left, 1, 0x80, 0xbf) ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef)
        return fuzz_between(p, left, 1, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf) &&
                       fuzz_between(p, left, 2, 0x80, 0xbf)
                   ? 3
                   : 0;
    if (c >= 0xf0 && c <= 0xf4)
        return fuzz_between(p, left, 1, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf) &&
                       fuzz_between(p, left, 2, 0x80, 0xbf) && fuzz_between(p, left, 3, 0x80, 0xbf)
                   ? 4
                   : 0;
    return 0;
}

/* How many bytes of the text are valid UTF-8. */
static inline size_t fuzz_utf8(const void *text, size_t len)
{
    size_t at = 0, n;
    while (at < len && (n = fuzz_sequence((const unsigned char *)text + at, len - at)) > 0)
        at += n;
    return at;
}

/* A source of regions that ends after 16 MiB: a short text may ask for gigabytes. */
typedef struct fuzz_source {
    yk_source source;
    size_t left;
} fuzz_source;

static void *fuzz_take(yk_source *s, size_t size)
{
    fuzz_source *limited = (fuzz_source *)s;
    size_t rounded = YK_ALIGN_UP(size, 64);
    if (rounded < size || rounded > limited->left)
        return NULL;
    limited->left -= rounded;
    return aligned_alloc(64, rounded);
}

static void fuzz_give(yk_source *s, void *chunk)
{
    (void)s;
    free(chunk);
}

static inline fuzz_source fuzz_memory(void)
{
    return (fuzz_source){{fuzz_take, fuzz_give}, (size_t)16 << 20};
}

#endif
