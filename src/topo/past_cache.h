/* past_cache.h: results that are written past the caches.
 *
 * A line of the cache that is about to be written is first read from memory, and goes back there when its place is wanted: three
 * lines move for each two of a copy that the caches cannot hold, four for each three of a sum of two arrays. Streaming stores
 * write whole lines straight to memory. They pay when a call touches more than the caches hold, so that nothing of its
 * results would still be there for who reads them next, and cost when it would. On x86-64 alone: cores of arm64 see for
 * themselves that whole lines are written, and then do not read them first (Cortex-A76 Core Technical Reference Manual, A6.2.6,
 * write streaming mode). Source: Intel 64 and IA-32 Architectures Optimization Reference Manual, cacheability control. */
#ifndef YK_TOPO_PAST_CACHE_H
#define YK_TOPO_PAST_CACHE_H
#include "topo/topo.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A call that touches more bytes than this, read and written together, should write past the caches. SIZE_MAX: none should. */
size_t yk_past_cache_limit(void);
/* No system call but the first time that it is asked of some MiB. */
bool yk_past_cache_pays(size_t bytes);
/* Tests set this instead. 0: what the caches hold. */
extern size_t yk_past_cache_test_limit;

static inline void yk_past_cache_16(void *to, const void *from)
{
#if defined(__SSE2__)
    __m128i v;
    memcpy(&v, from, sizeof v);
    _mm_stream_si128((__m128i *)to, v);
#else
    memcpy(to, from, 16);
#endif
}

/* Copies; the lines of 64 bytes that lie in [to, to + bytes) as a whole go past the caches. Fast when `from` and `to` are
 * equally far from a line's beginning. */
static inline void yk_past_cache_copy(void *to, const void *from, size_t bytes)
{
    char *t = (char *)to;
    const char *f = (const char *)from;
    size_t head = YK_MIN(-(uintptr_t)to % YK_CACHE_LINE, bytes), lines = (bytes - head) / YK_CACHE_LINE * YK_CACHE_LINE;
    if (head > 0)
        memcpy(t, f, head);
    for (size_t at = head; at < head + lines; at += 16)
        yk_past_cache_16(t + at, f + at);
    if (head + lines < bytes)
        memcpy(t + head + lines, f + head + lines, bytes - head - lines);
}

/* Streaming stores keep to no order: before others are told that they are done. */
static inline void yk_past_cache_end(void)
{
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* What the last caches of so many CPUs of `set`, of `size` bytes, hold together, by root/sys (root is normally ""): of those that
 * several share, once, and of at most `most` of them. 0: not known. */
size_t yk_caches_read(const char *root, const cpu_set_t *set, size_t size, unsigned most);
#endif
