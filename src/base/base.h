/* base: errors, memory, text buffers, time, futexes and the table of system calls. Floor 0: depends on libc alone. */
#ifndef YK_BASE_H
#define YK_BASE_H
#include <yoke/base.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#define YK_LIKELY(x) __builtin_expect(!!(x), 1)
#define YK_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define YK_CACHE_LINE 64
#define YK_ALIGN_UP(n, a) (((n) + ((a)-1)) & ~((size_t)(a)-1))
/* The one that is taken is evaluated twice: no call that says another thing the second time, such as yoke_now(). */
#define YK_MIN(a, b) ((a) < (b) ? (a) : (b))
#define YK_MAX(a, b) ((a) > (b) ? (a) : (b))
#define YK_COUNT_OF(a) (sizeof(a) / sizeof *(a))

/* Zeroes n bytes, a constant, where that is to take nanoseconds: for more than some 128 compilers have an instruction that takes
 * 30 of them to begin. */
static inline __attribute__((always_inline)) void yk_clear(void *p, size_t n)
{
    char *at = p;
    for (size_t i = 0; i + 64 <= n; i += 64)
        memset(at + i, 0, 64);
    memset(at + n / 64 * 64, 0, n % 64);
}

/* ---- Errors (error.c) ---- */

/* Why something went wrong: the code, and one line for people, written by whoever first knew. */
typedef struct yk_error {
    int code;
    char text[500];
} yk_error;

/* Nothing is wrong yet. Where time counts, instead of {0}: zeroing all of the text takes a third of what a launch does. */
static inline void yk_error_clear(yk_error *e)
{
    e->code = 0;
    e->text[0] = '\0';
}

/* Fills e (which may be NULL) and returns code, made negative. An error already there is replaced. */
int yk_errorf(yk_error *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The known word nearest to `word` (Damerau-Levenshtein, at most a third of its length and one more away, and less than the
 * shorter of the two is long; any change of case alone counts as one), or NULL. Words come from next(ctx, i), NULL at the end;
 * "" is passed over. */
const char *yk_nearest(const char *word, const char *(*next)(void *ctx, size_t i), void *ctx);

/* ---- Text buffers (buf.c) ---- */

/* Bytes that grow. `failed` sticks once memory ran out; what is appended after that is dropped. {0} is empty. It may begin in
 * memory of the caller's: {.ptr, .cap, .borrowed = true}. */
typedef struct yk_buf {
    char *ptr;
    size_t len, cap;
    bool failed, borrowed;
} yk_buf;

/* Makes room for n more bytes and returns where they go, or NULL (failed is set). */
char *yk_buf_room(yk_buf *b, size_t n);
void yk_buf_put(yk_buf *b, const void *bytes, size_t n);
void yk_buf_text(yk_buf *b, const char *text);
void yk_buf_printf(yk_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the text with a NUL that is not counted in len; returns ptr, or "" when failed. */
const char *yk_buf_str(yk_buf *b);
void yk_buf_done(yk_buf *b);
/* Makes text that came from elsewhere harmless for a terminal, in place: control characters but newline and tab become "?", C1
 * (U+0080 to U+009F, and such bytes outside UTF-8) too. one_line: newlines become blanks. */
void yk_plain(char *text, size_t len, bool one_line);

static inline void yk_buf_char(yk_buf *b, char c)
{
    char *p = YK_LIKELY(b->len < b->cap) ? b->ptr + b->len : yk_buf_room(b, 1);
    if (p) {
        *p = c;
        b->len++;
    }
}

/* ---- Regions (region.c) ---- */

/* Where a region gets its chunks: malloc when NULL. */
typedef struct yk_source {
    void *(*take)(struct yk_source *s, size_t size); /* 64-byte aligned; NULL when there is none */
    void (*give)(struct yk_source *s, void *chunk);
} yk_source;

/* Memory that is given back all at once. It starts in a buffer of the caller's and goes on in chunks. One thread at a
 * time. */
typedef struct yk_region {
    char *next, *end;
    struct yk_chunk *chunks;
    yk_source *source;
} yk_region;

void yk_region_init(yk_region *r, void *buffer, size_t size, yk_source *source);
/* 16-byte aligned, 64 from 4096 bytes on; not zeroed; NULL when there is none left. */
void *yk_region_slow(yk_region *r, size_t size);
static inline void *yk_region_alloc(yk_region *r, size_t size)
{
    char *p = (char *)YK_ALIGN_UP((uintptr_t)r->next, 16);
    if (YK_UNLIKELY(size >= 4096 || p >= r->end || (size_t)(r->end - p) < size))
        return yk_region_slow(r, size);
    r->next = p + size;
    return p;
}
/* A copy of n bytes, ended by a NUL. NULL when there is no memory. */
char *yk_region_copy(yk_region *r, const void *bytes, size_t n);
char *yk_region_printf(yk_region *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *yk_region_vprintf(yk_region *r, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/* Gives every chunk back. The region is then empty, without its buffer. */
void yk_region_done(yk_region *r);

/* Memory for an array, as of posix_memalign(), on large pages where the kernel has them to spare. NULL when there is none; free()
 * takes it back. */
void *yk_large(size_t alignment, size_t size);

/* ---- Time (futex.c) ---- */

/* In a test (yoke/testing.h): the time that yoke_now() tells in this thread. NULL: the real one. */
extern _Thread_local const int64_t *yk_virtual_now __attribute__((tls_model("initial-exec")));
/* The time of CLOCK_MONOTONIC, also in a test: for what spins, and for what other threads will look at. */
int64_t yk_real_now(void);
/* A deadline of this thread's as one of other threads and of the kernel: as far from now. */
int64_t yk_real_deadline(int64_t deadline);

/* ---- Futexes (futex.c) ---- */

/* Sleeps while *word == value, until the deadline (YOKE_FOREVER: none). 0 when woken (perhaps for no reason), -EAGAIN
 * when the value differed, -ETIMEDOUT, -EINTR. `shared`: the word is shared with other processes. */
int yk_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline, bool shared);
/* Wakes at most n; returns how many. */
int yk_futex_wake(_Atomic uint32_t *word, int n, bool shared);

static inline void yk_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield" ::: "memory");
#endif
}

/* ---- System calls that can fail (sys.c) ---- */

/* Everything that may fail and that yoke must survive goes through this table, so that tests can make the n-th call of
 * any of them fail: yk_sys.mmap(...). Add what you need. */
#include "base/sys.h"

/* A number that changes in a child made by fork(): what was opened under another number belongs to the parent. */
extern _Atomic uint32_t yk_fork_generation;

#endif
