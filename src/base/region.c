/* region: memory that is given back all at once, and memory for large arrays.
 *
 * Small pieces are cut from chunks of growing size; a piece of BIG bytes or more gets a chunk of its own, so that a large
 * array can stand by itself in shared memory. Chunks are linked through a header in front of each. */
#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HEADER = 64, BIG = 4096, FIRST_CHUNK = 2048 };

typedef struct yk_chunk {
    struct yk_chunk *next;
    size_t size; /* of the whole chunk, for the size of the next one */
} yk_chunk;

void yk_region_init(yk_region *r, void *buffer, size_t size, yk_source *source)
{
    *r = (yk_region){.next = buffer, .end = buffer ? (char *)buffer + size : NULL, .source = source};
}

static yk_chunk *take_chunk(yk_region *r, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    void *memory = NULL;
    if (r->source)
        memory = r->source->take(r->source, HEADER + size);
    else if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, HEADER + size) != 0)
        memory = NULL;
    yk_chunk *c = memory;
    if (!c)
        return NULL;
    c->size = HEADER + size;
    c->next = r->chunks;
    r->chunks = c;
    return c;
}

void *yk_region_slow(yk_region *r, size_t size)
{
    if (size >= BIG) {
        yk_chunk *c = take_chunk(r, size);
        return c ? (char *)c + HEADER : NULL;
    }
    char *p = (char *)YK_ALIGN_UP((uintptr_t)r->next, 16);
    if (p >= r->end || (size_t)(r->end - p) < size) {
        size_t room = r->chunks ? YK_MIN(r->chunks->size, (size_t)BIG * 8) * 2 : FIRST_CHUNK;
        yk_chunk *c = take_chunk(r, YK_MAX(room, size));
        if (!c)
            return NULL;
        p = (char *)c + HEADER;
        r->end = (char *)c + c->size;
    }
    r->next = p + size;
    return p;
}

char *yk_region_copy(yk_region *r, const void *bytes, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *copy = yk_region_alloc(r, n + 1);
    if (copy) {
        if (n > 0)
            memcpy(copy, bytes, n);
        copy[n] = '\0';
    }
    return copy;
}

char *yk_region_vprintf(yk_region *r, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = n < 0 ? NULL : yk_region_alloc(r, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, ap);
    return text;
}

char *yk_region_printf(yk_region *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = yk_region_vprintf(r, format, ap);
    va_end(ap);
    return text;
}

void yk_region_done(yk_region *r)
{
    yk_source *source = r->source;
    for (yk_chunk *c = r->chunks, *next; c; c = next) {
        next = c->next;
        if (source)
            source->give(source, c);
        else
            free(c);
    }
    *r = (yk_region){.source = source};
}

/* ---- Large memory ---- */

enum { LARGE_PAGE = 2 << 20 };

/* With pages of 4 KiB a loop over some hundred megabytes spends a quarter of its time on looking up addresses. */
void *yk_large(size_t alignment, size_t size)
{
    const bool large = size >= 2 * LARGE_PAGE;
    void *memory;
    if (yk_sys.posix_memalign(&memory, large ? YK_MAX(alignment, (size_t)LARGE_PAGE) : alignment, size) != 0)
        return NULL;
    if (large)
        yk_sys.madvise(memory, size, MADV_HUGEPAGE); /* a wish */
    return memory;
}
