/* radix: sorting by the bits of a key, stable.
 *
 * A range that does not fit the cache is split once by the eight highest bits in which its keys differ: each part of the range
 * counts its digits, the counts become places, each part moves its elements there. The buckets are then on their own, and most
 * fit the cache, where they are sorted from the lowest digit up. So memory is read three times and written twice, however many
 * digits a key has; a sort from the lowest digit up over all of memory does that for each digit. A bucket that is still too
 * large, since keys are not spread evenly, is split again. */
#include "threads/crew.h"
#include <stdlib.h>
#include <yoke/sort.h>

enum {
    DIGIT = 8,
    BUCKETS = 1 << DIGIT,
    CACHED_BYTES = 256 << 10, /* sorted in place: these and as many beside them */
    PART = 1 << 16,           /* elements of a part, at least */
    NESTED_PARTS = 8,
    ON_STACK = 4096
};

typedef struct radix {
    yoke_executor *ex;
    const yk_keys *keys;
    const void *args;
} radix;

/* One split of a range. */
typedef struct split {
    const radix *r;
    char *from, *to;
    size_t n, parts;
    unsigned shift;
    size_t (*counts)[BUCKETS]; /* of each part: how many of each digit, then where the next one goes */
    uint64_t *differ;          /* of each part: bits in which its keys differ from the range's first */
    size_t begin[BUCKETS + 1]; /* of each bucket */
    bool into_to;
} split;

static void sort_range(const radix *r, char *from, char *to, size_t n, unsigned bits, bool into_to);

static size_t part_begin(const split *s, size_t part)
{
    return s->n / s->parts * part + YK_MIN(part, s->n % s->parts);
}

/* The shift that puts the highest of these bits on top of a digit. */
static unsigned shift_for(uint64_t differ)
{
    unsigned highest = differ ? 63 - (unsigned)__builtin_clzll(differ) : 0;
    return highest < DIGIT ? 0 : highest - (DIGIT - 1);
}

/* A guess from some of the elements: nearly always right, and right or too low. */
static unsigned guess_shift(const radix *r, const char *from, size_t n)
{
    enum { SAMPLES = 256 };
    const yk_keys *keys = r->keys;
    uint64_t first = keys->key(from, r->args), differ = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        differ |= first ^ keys->key(from + n / SAMPLES * i * keys->size, r->args);
    return shift_for(differ);
}

static void look_at_parts(size_t lo, size_t hi, const void *arg)
{
    const split *s = *(split *const *)arg;
    const yk_keys *keys = s->r->keys;
    for (size_t part = lo; part < hi; part++) {
        size_t begin = part_begin(s, part);
        memset(s->counts[part], 0, sizeof *s->counts);
        s->differ[part] = keys->look(s->from + begin * keys->size, part_begin(s, part + 1) - begin,
                                     keys->key(s->from, s->r->args), s->shift, s->counts[part], s->r->args);
    }
}

static void scatter_parts(size_t lo, size_t hi, const void *arg)
{
    const split *s = *(split *const *)arg;
    const yk_keys *keys = s->r->keys;
    for (size_t part = lo; part < hi; part++) {
        size_t begin = part_begin(s, part);
        keys->scatter(s->from + begin * keys->size, part_begin(s, part + 1) - begin, s->to, s->shift, s->counts[part],
                      s->r->args);
    }
}

static void sort_buckets(size_t lo, size_t hi, const void *arg)
{
    const split *s = *(split *const *)arg;
    size_t size = s->r->keys->size;
    for (size_t b = lo; b < hi; b++)
        sort_range(s->r, s->to + s->begin[b] * size, s->from + s->begin[b] * size, s->begin[b + 1] - s->begin[b], s->shift,
                   !s->into_to);
}

static void each(const split *s, size_t n, yk_loop_chunk *chunk)
{
    if (s->parts > 1)
        yk_loop(s->r->ex, n, chunk, &s);
    else
        chunk(0, n, &s);
}

/* Counts the digits. Returns the bits in which keys differ. */
static uint64_t look(split *s)
{
    uint64_t differ = 0;
    each(s, s->parts, look_at_parts);
    for (size_t part = 0; part < s->parts; part++)
        differ |= s->differ[part];
    return differ;
}

/* From how many of each digit each part has to where its first of each goes: by digit, then by part, so order is kept. */
static void counts_to_places(split *s)
{
    size_t sum = 0;
    for (size_t digit = 0; digit < BUCKETS; digit++) {
        s->begin[digit] = sum;
        for (size_t part = 0; part < s->parts; part++) {
            size_t here = s->counts[part][digit];
            s->counts[part][digit] = sum;
            sum += here;
        }
    }
    s->begin[BUCKETS] = sum;
}

static void split_range(split *s)
{
    const radix *r = s->r;
    s->shift = guess_shift(r, s->from, s->n);
    uint64_t differ = look(s);
    unsigned right = shift_for(differ);
    if (right > s->shift) {
        s->shift = right;
        look(s);
    }
    if (yk_is_over())
        return;
    if (differ == 0) {
        if (s->into_to)
            memcpy(s->to, s->from, s->n * r->keys->size);
        return;
    }
    counts_to_places(s);
    each(s, s->parts, scatter_parts);
    if (!yk_is_over())
        each(s, BUCKETS, sort_buckets);
}

/* The result lies in `to` if into_to, else in `from`. */
static void sort_range(const radix *r, char *from, char *to, size_t n, unsigned bits, bool into_to)
{
    size_t counts[NESTED_PARTS][BUCKETS];
    uint64_t differ[NESTED_PARTS];
    if (n * r->keys->size <= CACHED_BYTES || bits == 0) {
        if (n > 0)
            r->keys->sort(from, to, n, bits, into_to, r->args);
        return;
    }
    split s = {.r = r, .from = from, .to = to, .n = n, .into_to = into_to, .counts = counts, .differ = differ};
    s.parts = YK_MIN(YK_MAX(n / PART, 1), (size_t)NESTED_PARTS);
    split_range(&s);
}

static int sort_all(yoke_executor *ex, void *base, size_t n, const yk_keys *keys, const void *args)
{
    _Alignas(YK_CACHE_LINE) char few[ON_STACK];
    radix r = {.ex = ex, .keys = keys, .args = args};
    size_t size = keys->size;
    if (n < 2 && (n == 0 || base))
        return 0;
    if (!base)
        return -EINVAL;
    if (yk_is_over())
        return -ECANCELED;
    if (n <= ON_STACK / size) {
        keys->sort(base, few, n, keys->bits, false, args);
        return 0;
    }
    split s = {.r = &r, .from = base, .n = n};
    s.parts = YK_MIN(YK_MAX(n / PART, 1), (size_t)4 * yk_width_of(ex));
    size_t counts = s.parts * sizeof *s.counts, bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return -ENOMEM;
    char *memory = yk_scratch(YK_ALIGN_UP(bytes, 64) + counts + s.parts * sizeof *s.differ, 1);
    if (!memory)
        return -ENOMEM;
    s.to = memory;
    s.counts = (void *)(memory + YK_ALIGN_UP(bytes, 64));
    s.differ = (void *)(memory + YK_ALIGN_UP(bytes, 64) + counts);
    bool alone = bytes <= CACHED_BYTES;
    if (alone)
        keys->sort(base, memory, n, keys->bits, false, args);
    else
        split_range(&s);
    free(memory);
    return !alone && yk_is_over() ? -ECANCELED : 0;
}

int yk_radix_sort(yoke_executor *ex, void *base, size_t n, const yk_keys *keys, const void *args)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, sort_all(ex, base, n, keys, args));
}

/* ---- Numbers alone ---- */

#define NUMBERS(suffix, T, is_float, is_signed)                                                                        \
    YK_INLINE uint64_t key_##suffix(const void *e, const void *args)                                                   \
    {                                                                                                                  \
        uint64_t raw = 0;                                                                                              \
        memcpy(&raw, e, sizeof(T));                                                                                    \
        return yk_key_bits(raw, 8 * sizeof(T), is_float, is_signed);                                                    \
    }                                                                                                                  \
    YK_KEY_FUNCTIONS(suffix, T, key_##suffix, 8 * sizeof(T))                                                           \
    int yoke_sort_##suffix(yoke_executor *ex, T *base, size_t n)                                                       \
    {                                                                                                                  \
        return yk_radix_sort(ex, base, n, &yk_keys_##suffix, NULL);                                                    \
    }

NUMBERS(i8, int8_t, false, true)
NUMBERS(i16, int16_t, false, true)
NUMBERS(i32, int32_t, false, true)
NUMBERS(i64, int64_t, false, true)
NUMBERS(u8, uint8_t, false, false)
NUMBERS(u16, uint16_t, false, false)
NUMBERS(u32, uint32_t, false, false)
NUMBERS(u64, uint64_t, false, false)
NUMBERS(f32, float, true, false)
NUMBERS(f64, double, true, false)
