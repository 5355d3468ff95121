/* yoke/sort.h - stable parallel sorting of any C data: by an order that you write, or, faster, by the bits of a key; and the
 * n-th element without sorting all.
 *
 *     YOKE_ORDER(struct person, by_name, a, b)          // a and b are const struct person *
 *     {
 *         return strcmp(a->name, b->name) < 0;          // true: a belongs before b
 *     }
 *     ...
 *     int err = yoke_sort(ex, people, n, by_name);
 *
 *     YOKE_KEY(struct person, uint32_t, age_of, p)      // p is a const struct person *
 *     {
 *         return p->age;
 *     }
 *     ...
 *     err = yoke_radix_sort(ex, people, n, age_of);
 *     err = yoke_sort_f64(ex, numbers, n);              // numbers alone, of any size: nothing to write
 *     err = yoke_qsort(ex, base, n, size, compare, arg);        // as qsort_r(), and stable
 *     err = yoke_nth_f64(ex, numbers, n, n / 2);                // numbers[n / 2] is the median
 *
 * All are stable: elements that are equal stay in the order they were in, so the result is the same whatever the number of
 * workers. Orders and keys are compiled into the loops that use them and may take parameters, as YOKE_LOOP does: they must not
 * change anything. An order must be a strict weak one, as for C++'s std::sort: with a wrong one the places hold elements of the
 * input in no order, some perhaps twice.
 *
 * Keys of radix sorts are integers or floating-point numbers of 8 to 64 bits. Floats are in the total order of IEEE 754: NaNs
 * with the sign bit, -inf, ..., -0.0, 0.0, ..., inf, other NaNs. Descending: a key of ~k for integers, -k for floats without
 * NaN. The cost grows with the bits in which keys differ, not with the type: small numbers in a uint64_t are cheap.
 *
 * Every call takes n elements at base, or yoke_flat(v), the elements of an array view (yoke/task.h), and scratch memory of the
 * same size. It returns 0; -EINVAL when base is NULL and n is not 0, as for a view with gaps; -ENOMEM when there is no scratch,
 * with the elements as they were; -ECANCELED when the surrounding job has failed or was cancelled before the end: then each
 * place holds some element of the input, but some may be missing and others there twice. ex names the pool, NULL means what a
 * plain call of a fork means (yoke/fork.h); on another executor the calling thread sorts alone. Any thread, any context.
 *
 * Algorithms: merge sort with forks, merges split by co-ranking (Odeh, Green, Mwassi, Shmueli, Birk, "Merge Path", 2012), runs
 * of equal length merged from both ends without branches; radix sort: by the highest bits in which keys differ into parts that
 * fit the cache, through buffers of a cache line a bucket, then from the lowest bits up within each; n-th element: two pivots
 * out of a sample, on either side of it (Floyd, Rivest, "Expected Time Bounds for Selection", 1975).
 */
#ifndef YOKE_SORT_H
#define YOKE_SORT_H
#pragma GCC system_header
#include <yoke/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the macros use ---- */

#define YK_INLINE static inline __attribute__((always_inline)) YK_MAYBE
typedef bool yk_less(const void *x, const void *y, const void *args);
typedef uint64_t yk_key_of(const void *element, const void *args);

/* An order, compiled for its type. Results do not depend on how often or where these are called. */
typedef struct yk_order {
    yk_less *less;
    /* Sorts n elements at base, with room for as many at spare; the result lies in spare if into_spare, else in base. */
    void (*sort)(char *base, char *spare, size_t n, bool into_spare, size_t size, const void *args);
    /* Merges two sorted runs into out, the left one's first among equals. */
    void (*merge)(const char *l, size_t nl, const char *r, size_t nr, char *out, size_t size, const void *args);
    /* The first of the least (greatest if `greatest`) of elements [lo, hi), hi > lo. */
    size_t (*best)(const char *base, size_t lo, size_t hi, bool greatest, size_t size, const void *args);
    /* Sets bit i - lo for each i in [lo, hi) that differs from i - 1 or is 0; returns how many. hi - lo <= 64. */
    uint64_t (*differ)(const char *base, size_t lo, size_t hi, size_t size, const void *args);
    /* How many of n elements belong before `low`, and how many of the others after `high`. */
    void (*tally)(const char *from, size_t n, const char *low, const char *high, size_t counts[2], size_t size, const void *args);
    /* Those before `low` go to `before` upwards, those after `high` to `end` downwards, the rest to the beginning of `from`. */
    void (*split)(char *from, size_t n, const char *low, const char *high, char *before, char *end, size_t counts[2], size_t size,
                  const void *args);
} yk_order;

/* Keys of `bits` bits. from, to: elements. */
typedef struct yk_keys {
    yk_key_of *key;
    /* Adds to counts[d] how many of n elements have the digit d, which is (key >> shift) & 255. Returns the bits in which keys
     * differ from `like`. */
    uint64_t (*look)(const char *from, size_t n, uint64_t like, unsigned shift, size_t *counts, const void *args);
    /* Element after element to place at[digit]++ of to. */
    void (*scatter)(const char *from, size_t n, char *to, unsigned shift, size_t *at, const void *args);
    /* Sorts by the low `bits` of the key; the result lies in to if into_to, else in from. */
    void (*sort)(char *from, char *to, size_t n, unsigned bits, bool into_to, const void *args);
    size_t size;
    unsigned bits;
} yk_keys;

/* What the macros call, with sizes and comparisons in place of types. */
YOKE_API int yk_sort(struct yoke_executor *ex, void *base, size_t n, size_t size, const yk_order *order, const void *args);
YOKE_API size_t yk_best(struct yoke_executor *ex, const void *base, size_t n, bool greatest, size_t size, const yk_order *order,
                        const void *args);
YOKE_API int yk_unique(struct yoke_executor *ex, const void *from, size_t n, void *to, size_t *ret, size_t size,
                       const yk_order *order, const void *args);
YOKE_API int yk_nth(struct yoke_executor *ex, void *base, size_t n, size_t k, size_t size, const yk_order *order,
                    const void *args);
YOKE_API int yk_radix_sort(struct yoke_executor *ex, void *base, size_t n, const yk_keys *keys, const void *args);

/* ---- Merging, compiled for each order ---- */

/* second if `which`, else first; written so that no compiler makes a branch of it, for which it is cannot be foreseen. */
YK_INLINE const char *yk_choose(bool which, const char *first, const char *second)
{
    return first + ((second - first) & ((ptrdiff_t)0 - which));
}

/* The lesser of *l and *r goes to out, and l or r on by one. */
YK_INLINE void yk_merge_step(const char **l, const char **r, char *out, size_t size, yk_less *less, const void *args)
{
    const bool right = less(*r, *l, args);
    memcpy(out, yk_choose(right, *l, *r), size);
    *r += right * size;
    *l += !right * size;
}

/* The greater of *l and *r goes to out, and l or r back by one. */
YK_INLINE void yk_merge_step_back(const char **l, const char **r, char *out, size_t size, yk_less *less, const void *args)
{
    const bool left = less(*r, *l, args);
    memcpy(out, yk_choose(left, *r, *l), size);
    *l -= left * size;
    *r -= !left * size;
}

/* Two runs of n each, one after the other: from both ends at once, n elements from each, so neither can run out. */
YK_INLINE void yk_merge_even(const char *from, size_t n, char *to, size_t size, yk_less *less, const void *args)
{
    const char *l = from, *r = from + n * size, *l_last = r - size, *r_last = r + (n - 1) * size;
    char *last = to + (2 * n - 1) * size;
    for (size_t i = 0; i < n; i++, to += size, last -= size) {
        yk_merge_step(&l, &r, to, size, less, args);
        yk_merge_step_back(&l_last, &r_last, last, size, less, args);
    }
}

YK_INLINE void yk_merge_any(const char *l, size_t nl, const char *r, size_t nr, char *out, size_t size, yk_less *less,
                            const void *args)
{
    const char *l_end = l + nl * size, *r_end = r + nr * size;
    if (nl && nr && !less(r, l_end - size, args)) {
        memcpy(out, l, nl * size);
        memcpy(out + nl * size, r, nr * size);
        return;
    }
    /* From both ends at once: two chains of steps that do not wait for each other, as many as certainly use up no run. */
    const char *l_last = l_end - size, *r_last = r_end - size;
    char *last = out + (nl + nr - 1) * size;
    for (;;) {
        const size_t ls = (size_t)(l_last + size - l), rs = (size_t)(r_last + size - r);
        size_t sure = (ls < rs ? ls : rs) / size / 2;
        if (sure < 4)
            break;
        for (; sure > 0; sure--, out += size, last -= size) {
            yk_merge_step(&l, &r, out, size, less, args);
            yk_merge_step_back(&l_last, &r_last, last, size, less, args);
        }
    }
    l_end = l_last + size;
    r_end = r_last + size;
    while (l < l_end && r < r_end) {
        size_t sure = (size_t)((l_end - l < r_end - r ? l_end - l : r_end - r)) / size;
        for (; sure > 0; sure--, out += size)
            yk_merge_step(&l, &r, out, size, less, args);
    }
    memcpy(out, l, (size_t)(l_end - l));
    memcpy(out + (l_end - l), r, (size_t)(r_end - r));
}

/* Four elements without a branch, as in Rust's core::slice::sort (sort4_stable, O. Peters, L. Bergdoll). */
YK_INLINE void yk_sort_4(const char *v, char *out, size_t size, yk_less *less, const void *args)
{
    const bool c1 = less(v + size, v, args), c2 = less(v + 3 * size, v + 2 * size, args);
    const char *a = yk_choose(c1, v, v + size), *b = yk_choose(c1, v + size, v);
    const char *c = yk_choose(c2, v + 2 * size, v + 3 * size), *d = yk_choose(c2, v + 3 * size, v + 2 * size);
    const bool c3 = less(c, a, args), c4 = less(d, b, args);
    const char *left = yk_choose(c3, yk_choose(c4, b, c), a), *right = yk_choose(c4, yk_choose(c3, c, b), d);
    memcpy(out, yk_choose(c3, a, c), size);
    memcpy(out + 3 * size, yk_choose(c4, d, b), size);
    const bool c5 = less(right, left, args);
    memcpy(out + size, yk_choose(c5, left, right), size);
    memcpy(out + 2 * size, yk_choose(c5, right, left), size);
}

/* At most 3 elements, or any number of them at a worse price. */
YK_INLINE void yk_sort_few(const char *from, size_t n, char *to, size_t size, yk_less *less, const void *args)
{
    for (size_t i = 0; i < n; i++) {
        size_t j = i;
        for (; j > 0 && less(from + i * size, to + (j - 1) * size, args); j--)
            memcpy(to + j * size, to + (j - 1) * size, size);
        memcpy(to + j * size, from + i * size, size);
    }
}

YK_INLINE void yk_sort_leaf(char *base, char *spare, size_t n, bool into_spare, size_t size, yk_less *less, const void *args)
{
    size_t i, width;
    for (i = 0; i + 4 <= n; i += 4)
        yk_sort_4(base + i * size, spare + i * size, size, less, args);
    yk_sort_few(base + i * size, n - i, spare + i * size, size, less, args);
    char *from = spare, *to = base;
    for (width = 4; width < n; width *= 2) {
        for (i = 0; i + 2 * width <= n; i += 2 * width)
            yk_merge_even(from + i * size, width, to + i * size, size, less, args);
        if (n - i > width)
            yk_merge_any(from + i * size, width, from + (i + width) * size, n - i - width, to + i * size, size, less, args);
        else
            memcpy(to + i * size, from + i * size, (n - i) * size);
        char *other = from;
        from = to;
        to = other;
    }
    if ((from == spare) != into_spare)
        memcpy(to, from, n * size);
}

YK_INLINE size_t yk_best_of(const char *base, size_t lo, size_t hi, bool greatest, size_t size, yk_less *less, const void *args)
{
    size_t best = lo;
    for (size_t i = lo + 1; i < hi; i++) {
        const char *x = base + i * size, *y = base + best * size;
        best = less(greatest ? y : x, greatest ? x : y, args) ? i : best;
    }
    return best;
}

YK_INLINE uint64_t yk_differ_of(const char *base, size_t lo, size_t hi, size_t size, yk_less *less, const void *args)
{
    uint64_t bits = lo == 0 && hi > 0; /* nothing comes before the first */
    for (size_t i = lo + (lo == 0); i < hi; i++) {
        const char *x = base + i * size, *y = base + (i - 1) * size;
        bits |= (uint64_t)(less(x, y, args) || less(y, x, args)) << (i - lo);
    }
    return bits;
}

/* ---- Parting by two pivots, compiled for each order ---- */

YK_INLINE void yk_tally_of(const char *from, size_t n, const char *low, const char *high, size_t counts[2], size_t size,
                           yk_less *less, const void *args)
{
    size_t before = 0, after = 0;
    for (size_t i = 0; i < n; i++) {
        const bool is_before = less(from + i * size, low, args), is_after = less(high, from + i * size, args) & !is_before;
        before += is_before;
        after += is_after;
    }
    counts[0] = before;
    counts[1] = after;
}

YK_INLINE void yk_split_of(char *from, size_t n, const char *low, const char *high, char *before, char *end, size_t counts[2],
                           size_t size, yk_less *less, const void *args)
{
    size_t to_before = 0, to_after = 0;
    char *between = from;
    end -= size;
    for (size_t i = 0; i < n; i++) {
        const char *x = from + i * size;
        const bool is_before = less(x, low, args), is_after = less(high, x, args) & !is_before;
        char *to = is_after ? end - to_after * size : between;
        to = is_before ? before + to_before * size : to;
        if (to != x)
            memcpy(to, x, size);
        to_before += is_before;
        to_after += is_after;
        between += !(is_before | is_after) * size;
    }
    counts[0] = to_before;
    counts[1] = to_after;
}

/* ---- Digits, compiled for each key ---- */

YK_INLINE size_t yk_digit(const char *e, unsigned shift, yk_key_of *key, const void *args)
{
    return (size_t)(key(e, args) >> shift) & 255;
}

YK_INLINE uint64_t yk_radix_look(const char *from, size_t n, uint64_t like, unsigned shift, size_t *counts, size_t size,
                                 yk_key_of *key, const void *args)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t k = key(from + i * size, args);
        differ |= k ^ like;
        counts[(k >> shift) & 255]++;
    }
    return differ;
}

/* Writes to 256 places at once are slow: each has its own page and cache line. So elements gather in a line for each bucket,
 * and lines go out whole. Elements that do not fill lines evenly go out one by one. */
YK_INLINE void yk_radix_scatter(const char *from, size_t n, char *to, unsigned shift, size_t *at, size_t size, yk_key_of *key,
                                const void *args)
{
    enum { LINE = 64 };
    const size_t per = LINE / size;
    if (per < 2 || (LINE % size) != 0 || ((uintptr_t)to % size) != 0) {
        for (size_t i = 0; i < n; i++)
            memcpy(to + at[yk_digit(from + i * size, shift, key, args)]++ * size, from + i * size, size);
        return;
    }
    __attribute__((aligned(64))) char lines[256 * LINE];
    size_t begin[256];
    const size_t phase = ((uintptr_t)to / size) % per; /* of to within its cache line */
    memcpy(begin, at, sizeof begin);
    for (size_t i = 0; i < n; i++) {
        const size_t d = yk_digit(from + i * size, shift, key, args), place = at[d]++, slot = (place + phase) % per;
        memcpy(lines + d * LINE + slot * size, from + i * size, size);
        if (slot == per - 1) {
            if (place - begin[d] >= slot) {
                memcpy(to + (place - slot) * size, lines + d * LINE, LINE);
            } else {
                const size_t some = place - begin[d] + 1; /* the line begins with another bucket's */
                memcpy(to + begin[d] * size, lines + d * LINE + (per - some) * size, some * size);
            }
        }
    }
    for (size_t d = 0; d < 256; d++) {
        size_t some = (at[d] + phase) % per, there = at[d] - begin[d], skip = some > there ? some - there : 0;
        memcpy(to + (at[d] - some + skip) * size, lines + d * LINE + skip * size, (some - skip) * size);
    }
}

/* From the lowest digit up, leaving out digits that are all the same. At most 2^32 - 1 elements. */
YK_INLINE void yk_radix_leaf(char *from, char *to, size_t n, unsigned bits, bool into_to, size_t size, yk_key_of *key,
                             const void *args)
{
    uint32_t counts[8][256];
    const unsigned digits = (bits + 7) / 8;
    const uint64_t mask = bits < 64 ? ((uint64_t)1 << bits) - 1 : ~(uint64_t)0;
    char *const wanted = into_to ? to : from;
    if (n <= 24) {
        for (size_t i = 0; i < n; i++) { /* into to by insertion */
            const uint64_t k = key(from + i * size, args) & mask;
            size_t j = i;
            for (; j > 0 && k < (key(to + (j - 1) * size, args) & mask); j--)
                memcpy(to + j * size, to + (j - 1) * size, size);
            memcpy(to + j * size, from + i * size, size);
        }
        if (!into_to)
            memcpy(from, to, n * size);
        return;
    }
    memset(counts, 0, digits * sizeof *counts);
    for (size_t i = 0; i < n; i++) {
        const uint64_t k = key(from + i * size, args) & mask;
        for (unsigned d = 0; d < digits; d++)
            counts[d][(k >> 8 * d) & 255]++;
    }
    for (unsigned d = 0; d < digits; d++) {
        uint32_t *at = counts[d], sum = 0;
        if (at[((key(from, args) & mask) >> 8 * d) & 255] == n)
            continue;
        for (unsigned i = 0; i < 256; i++) {
            const uint32_t here = at[i];
            at[i] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++) {
            const uint64_t k = key(from + i * size, args) & mask;
            memcpy(to + (size_t)at[(k >> 8 * d) & 255]++ * size, from + i * size, size);
        }
        char *other = from;
        from = to;
        to = other;
    }
    if (from != wanted)
        memcpy(wanted, from, n * size);
}

/* ---- Keys as numbers in order ---- */

/* The bits of a key, so that unsigned comparison is the order of the keys. is_float and is_signed are of K. */
YK_INLINE uint64_t yk_key_bits(uint64_t raw, unsigned bits, bool is_float, bool is_signed)
{
    const uint64_t sign = (uint64_t)1 << (bits - 1), all = bits < 64 ? ((uint64_t)1 << bits) - 1 : ~(uint64_t)0;
    raw &= all;
    if (is_float)
        return raw ^ (raw & sign ? all : sign);
    return is_signed ? raw ^ sign : raw;
}

#ifdef __cplusplus
}
template <class K> struct yk_key_kind {
    enum { is_number = __is_enum(K) };
};
#define YK_KEY_KIND(K)                                                                                                 \
    template <> struct yk_key_kind<K> {                                                                                \
        enum { is_number = 1 };                                                                                        \
    };
YK_KEY_KIND(bool)
YK_KEY_KIND(char)
YK_KEY_KIND(signed char)
YK_KEY_KIND(unsigned char)
YK_KEY_KIND(short)
YK_KEY_KIND(unsigned short)
YK_KEY_KIND(int)
YK_KEY_KIND(unsigned)
YK_KEY_KIND(long)
YK_KEY_KIND(unsigned long)
YK_KEY_KIND(long long)
YK_KEY_KIND(unsigned long long)
YK_KEY_KIND(float)
YK_KEY_KIND(double)
#undef YK_KEY_KIND
extern "C" {
#define YK_IS_NUMBER(K) (yk_key_kind<K>::is_number)
#else
#define YK_IS_NUMBER(K)                                                                                                \
    _Generic(*(K *)0, bool: 1, char: 1, signed char: 1, unsigned char: 1, short: 1, unsigned short: 1, int: 1, unsigned: 1, \
             long: 1, unsigned long: 1, long long: 1, unsigned long long: 1, float: 1, double: 1, default: 0)
#endif

/* ---- Orders ---- */

/* YOKE_ORDER(T, name, a, b, (type, parameter)...) { body }: at file scope. T is any type that can be copied. */
#define YOKE_ORDER(T, N, A, ...)                                                                                       \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_ORDER_OVER,                                                             \
                 (order, N, YK_ALL(YK_IS_NAME, A, YK_FIRST(__VA_ARGS__, ~)),                                           \
                  "YOKE_ORDER(type, name, a, b, (type, parameter)...)"),                                               \
                 (T, N, A, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_ORDER_OVER(HEAD, ...) YK_APPLY(YK_ORDER_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_ORDER_OVER_AS(T, N, A, B, FIELDS, PARAMS, LOADS, VALUES)                                                    \
    enum {                                                                                                             \
        yk_an_order_named_##N                                                                                          \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE bool yk_order_body_##N(T const *A, T const *B YK_UNWRAP PARAMS) YK_NOEXCEPT;                \
    YK_INLINE bool yk_order_less_##N(const void *yk_x, const void *yk_y, const void *yk_v)                             \
    {                                                                                                                  \
        const struct yk_loop_args_##N *const yk_a = (const struct yk_loop_args_##N *)yk_v;                             \
        (void)yk_a;                                                                                                    \
        return yk_order_body_##N((T const *)yk_x, (T const *)yk_y YK_UNWRAP LOADS);                                    \
    }                                                                                                                  \
    YK_ORDER_FUNCTIONS(N, sizeof(T), yk_order_less_##N)                                                                \
    YK_ORDER_CALL(N, yk_order_sort_all, (T *yk_base, size_t yk_n YK_UNWRAP PARAMS), (yk_base, yk_n), int, yk_sort,     \
                  sizeof(T), VALUES)                                                                                   \
    YK_ORDER_MORE(T, N, PARAMS, VALUES)                                                                                \
    static inline YK_MAYBE bool yk_order_body_##N(T const *A, T const *B YK_UNWRAP PARAMS) YK_NOEXCEPT

/* One function: yoke_executor first, then PARAMS; it calls WHAT(ex, GIVEN..., size, order, args). */
#define YK_ORDER_CALL(N, NAME, PARAMS, GIVEN, RET, WHAT, SIZE, VALUES)                                                 \
    static inline YK_MAYBE RET NAME##_##N(struct yoke_executor *yk_ex, YK_UNWRAP PARAMS)                               \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return WHAT(yk_ex, YK_UNWRAP GIVEN, SIZE, &yk_order_##N, &yk_args);                                            \
    }
#define YK_ORDER_MORE(T, N, PARAMS, VALUES)                                                                            \
    YK_ORDER_CALL(N, yk_order_least, (T const *yk_base, size_t yk_n YK_UNWRAP PARAMS), (yk_base, yk_n, false), size_t, \
                  yk_best, sizeof(T), VALUES)                                                                          \
    YK_ORDER_CALL(N, yk_order_most, (T const *yk_base, size_t yk_n YK_UNWRAP PARAMS), (yk_base, yk_n, true), size_t,   \
                  yk_best, sizeof(T), VALUES)                                                                          \
    YK_ORDER_CALL(N, yk_order_unique, (T const *yk_from, size_t yk_n, T *yk_to, size_t *yk_kept YK_UNWRAP PARAMS),     \
                  (yk_from, yk_n, yk_to, yk_kept), int, yk_unique, sizeof(T), VALUES)                                  \
    YK_ORDER_CALL(N, yk_order_nth, (T *yk_base, size_t yk_n, size_t yk_k YK_UNWRAP PARAMS), (yk_base, yk_n, yk_k), int, \
                  yk_nth, sizeof(T), VALUES)

/* The functions of an order named N; SIZE is constant, or `yk_size` for one that is known only when it runs. */
#define YK_ORDER_FUNCTIONS(N, SIZE, LESS)                                                                              \
    static YK_MAYBE void yk_order_sort_##N(char *yk_b, char *yk_s, size_t yk_n, bool yk_into, size_t yk_size, const void *yk_v) \
    {                                                                                                                  \
        (void)yk_size;                                                                                                 \
        yk_sort_leaf(yk_b, yk_s, yk_n, yk_into, SIZE, LESS, yk_v);                                                     \
    }                                                                                                                  \
    static YK_MAYBE void yk_order_merge_##N(const char *yk_l, size_t yk_nl, const char *yk_r, size_t yk_nr, char *yk_out, \
                                            size_t yk_size, const void *yk_v)                                          \
    {                                                                                                                  \
        (void)yk_size;                                                                                                 \
        yk_merge_any(yk_l, yk_nl, yk_r, yk_nr, yk_out, SIZE, LESS, yk_v);                                              \
    }                                                                                                                  \
    static YK_MAYBE size_t yk_order_best_##N(const char *yk_b, size_t yk_lo, size_t yk_hi, bool yk_great, size_t yk_size, \
                                             const void *yk_v)                                                         \
    {                                                                                                                  \
        (void)yk_size;                                                                                                 \
        return yk_great ? yk_best_of(yk_b, yk_lo, yk_hi, true, SIZE, LESS, yk_v)                                       \
                        : yk_best_of(yk_b, yk_lo, yk_hi, false, SIZE, LESS, yk_v);                                     \
    }                                                                                                                  \
    static YK_MAYBE uint64_t yk_order_differ_##N(const char *yk_b, size_t yk_lo, size_t yk_hi, size_t yk_size, const void *yk_v) \
    {                                                                                                                  \
        (void)yk_size;                                                                                                 \
        return yk_differ_of(yk_b, yk_lo, yk_hi, SIZE, LESS, yk_v);                                                     \
    }                                                                                                                  \
    static YK_MAYBE void yk_order_tally_##N(const char *yk_f, size_t yk_n, const char *yk_l, const char *yk_h, size_t *yk_c, \
                                            size_t yk_size, const void *yk_v)                                          \
    {                                                                                                                  \
        (void)yk_size;                                                                                                 \
        yk_tally_of(yk_f, yk_n, yk_l, yk_h, yk_c, SIZE, LESS, yk_v);                                                   \
    }                                                                                                                  \
    static YK_MAYBE void yk_order_split_##N(char *yk_f, size_t yk_n, const char *yk_l, const char *yk_h, char *yk_b,   \
                                            char *yk_e, size_t *yk_c, size_t yk_size, const void *yk_v)                \
    {                                                                                                                  \
        (void)yk_size;                                                                                                 \
        yk_split_of(yk_f, yk_n, yk_l, yk_h, yk_b, yk_e, yk_c, SIZE, LESS, yk_v);                                       \
    }                                                                                                                  \
    static YK_MAYBE bool yk_order_compare_##N(const void *yk_x, const void *yk_y, const void *yk_v)                    \
    {                                                                                                                  \
        return LESS(yk_x, yk_y, yk_v);                                                                                 \
    }                                                                                                                  \
    static YK_MAYBE const yk_order yk_order_##N = {yk_order_compare_##N, yk_order_sort_##N, yk_order_merge_##N,        \
                                                   yk_order_best_##N, yk_order_differ_##N, yk_order_tally_##N,         \
                                                   yk_order_split_##N};

/* yoke_sort(ex, base, n, order, arguments...) */
#define yoke_sort(...) YK_APPLY(YK_SORT_OF, __VA_ARGS__)
#define YK_SORT_OF(ex, base, n, ...) YK_CAT(YK_SORT_, YK_HAS_MORE(__VA_ARGS__))(ex, base, n, __VA_ARGS__)
#define YK_SORT_0(ex, base, n, N) (YK_USE(order, an_order, N, 0), yk_order_sort_all_##N((ex), (base), (n)))
#define YK_SORT_1(ex, base, n, N, ...)                                                                                 \
    (YK_USE(order, an_order, N, YK_COUNT(__VA_ARGS__)), yk_order_sort_all_##N((ex), (base), (n), __VA_ARGS__))

/* The index of the first of the least elements, or of the greatest; 0 when n is 0, or when the job was cancelled; SIZE_MAX when
 * base is NULL and n is not 0. */
#define yoke_min(...) YK_APPLY(YK_MIN_OF, __VA_ARGS__)
#define YK_MIN_OF(ex, base, n, ...) YK_CAT(YK_BEST_, YK_HAS_MORE(__VA_ARGS__))(least, ex, base, n, __VA_ARGS__)
#define yoke_max(...) YK_APPLY(YK_MAX_OF, __VA_ARGS__)
#define YK_MAX_OF(ex, base, n, ...) YK_CAT(YK_BEST_, YK_HAS_MORE(__VA_ARGS__))(most, ex, base, n, __VA_ARGS__)
#define YK_BEST_0(which, ex, base, n, N) (YK_USE(order, an_order, N, 0), yk_order_##which##_##N((ex), (base), (n)))
#define YK_BEST_1(which, ex, base, n, N, ...)                                                                          \
    (YK_USE(order, an_order, N, YK_COUNT(__VA_ARGS__)), yk_order_##which##_##N((ex), (base), (n), __VA_ARGS__))

/* yoke_unique(ex, from, n, to, &kept, order, arguments...): copies those elements that are not equal to the one before, neither
 * belonging before the other; of sorted elements one of each is left. to has room for n elements and does not overlap from;
 * kept is their number. 0; -EINVAL, -ENOMEM or -ECANCELED as for yoke_select(). */
#define yoke_unique(...) YK_APPLY(YK_UNIQUE_OF, __VA_ARGS__)
#define YK_UNIQUE_OF(ex, from, n, to, kept, ...)                                                                       \
    YK_CAT(YK_UNIQUE_, YK_HAS_MORE(__VA_ARGS__))(ex, from, n, to, kept, __VA_ARGS__)
#define YK_UNIQUE_0(ex, from, n, to, kept, N)                                                                          \
    (YK_USE(order, an_order, N, 0), yk_order_unique_##N((ex), (from), (n), (to), (kept)))
#define YK_UNIQUE_1(ex, from, n, to, kept, N, ...)                                                                     \
    (YK_USE(order, an_order, N, YK_COUNT(__VA_ARGS__)),                                                                \
     yk_order_unique_##N((ex), (from), (n), (to), (kept), __VA_ARGS__))

/* yoke_nth(ex, base, n, k, order, arguments...): afterwards element k is the one that yoke_sort() would put there, none before it
 * belongs after it and none after it before it; where those are is the same for every number of workers. Some passes over the
 * elements, mostly two, where sorting takes log2(n); with k = n / 2, the median. 0; -EINVAL when k >= n, too; else as above. */
#define yoke_nth(...) YK_APPLY(YK_NTH_OF, __VA_ARGS__)
#define YK_NTH_OF(ex, base, n, k, ...) YK_CAT(YK_NTH_, YK_HAS_MORE(__VA_ARGS__))(ex, base, n, k, __VA_ARGS__)
#define YK_NTH_0(ex, base, n, k, N) (YK_USE(order, an_order, N, 0), yk_order_nth_##N((ex), (base), (n), (k)))
#define YK_NTH_1(ex, base, n, k, N, ...)                                                                               \
    (YK_USE(order, an_order, N, YK_COUNT(__VA_ARGS__)), yk_order_nth_##N((ex), (base), (n), (k), __VA_ARGS__))

/* Stable, with the comparison function of qsort_r(): less than, equal to or greater than 0 as x belongs before y, with it or
 * after it. Slower than yoke_sort(), since each comparison is a call. size > 0. */
YOKE_API int yoke_qsort(struct yoke_executor *ex, void *base, size_t n, size_t size,
                        int (*compare)(const void *x, const void *y, void *arg), void *arg);

/* ---- Keys ---- */

/* YOKE_KEY(T, K, name, e, (type, parameter)...) { body }: at file scope; the body returns the key, a K, of the T at e. */
#define YOKE_KEY(T, K, N, ...)                                                                                         \
    YK_LOOP_MAKE(YK_LOOP_FORM(__VA_ARGS__), YK_KEY_OVER,                                                               \
                 (key, N, YK_IS_NAME(YK_FIRST(__VA_ARGS__, ~)),                                                        \
                  "YOKE_KEY(type, type of the key, name, element, (type, parameter)...)"),                             \
                 (T, K, N, YK_FIRST(__VA_ARGS__, ~)) YK_LOOP_REST(__VA_ARGS__))
#define YK_KEY_OVER(HEAD, ...) YK_APPLY(YK_KEY_OVER_AS, YK_UNWRAP HEAD, __VA_ARGS__)
#define YK_KEY_OVER_AS(T, K, N, E, FIELDS, PARAMS, LOADS, VALUES)                                                      \
    YK_ASSERT(YK_IS_NUMBER(K), "yoke: key " #N " is neither an integer nor a floating-point number of at most 64 bits"); \
    enum {                                                                                                             \
        yk_a_key_named_##N                                                                                             \
    };                                                                                                                 \
    YK_LOOP_ARGS(N, FIELDS)                                                                                            \
    static inline YK_MAYBE K yk_key_body_##N(T const *E YK_UNWRAP PARAMS) YK_NOEXCEPT;                                 \
    YK_INLINE uint64_t yk_key_ordered_##N(const void *yk_e, const void *yk_v)                                          \
    {                                                                                                                  \
        const struct yk_loop_args_##N *const yk_a = (const struct yk_loop_args_##N *)yk_v;                             \
        uint64_t yk_raw = 0;                                                                                           \
        (void)yk_a;                                                                                                    \
        const K yk_k = yk_key_body_##N((T const *)yk_e YK_UNWRAP LOADS);                                               \
        memcpy(&yk_raw, &yk_k, sizeof yk_k <= sizeof yk_raw ? sizeof yk_k : 0);                                        \
        return yk_key_bits(yk_raw, 8 * sizeof(K), (K)0.5 != (K)0, (K)-1 < (K)1);                                       \
    }                                                                                                                  \
    YK_KEY_FUNCTIONS(N, T, yk_key_ordered_##N, 8 * sizeof(K))                                                          \
    static inline YK_MAYBE int yk_key_sort_all_##N(struct yoke_executor *yk_ex, T *yk_base, size_t yk_n YK_UNWRAP PARAMS) \
    {                                                                                                                  \
        const struct yk_loop_args_##N yk_args = {YK_UNWRAP VALUES};                                                    \
        return yk_radix_sort(yk_ex, yk_base, yk_n, &yk_keys_##N, &yk_args);                                            \
    }                                                                                                                  \
    static inline YK_MAYBE K yk_key_body_##N(T const *E YK_UNWRAP PARAMS) YK_NOEXCEPT

#define YK_KEY_FUNCTIONS(N, T, KEY, BITS)                                                                              \
    static YK_MAYBE uint64_t yk_key_plain_##N(const void *yk_e, const void *yk_v)                                      \
    {                                                                                                                  \
        return KEY(yk_e, yk_v);                                                                                        \
    }                                                                                                                  \
    static YK_MAYBE uint64_t yk_key_look_##N(const char *yk_f, size_t yk_n, uint64_t yk_like, unsigned yk_s, size_t *yk_c, \
                                             const void *yk_v)                                                         \
    {                                                                                                                  \
        return yk_radix_look(yk_f, yk_n, yk_like, yk_s, yk_c, sizeof(T), KEY, yk_v);                                   \
    }                                                                                                                  \
    static YK_MAYBE void yk_key_scatter_##N(const char *yk_f, size_t yk_n, char *yk_t, unsigned yk_s, size_t *yk_at,   \
                                            const void *yk_v)                                                          \
    {                                                                                                                  \
        yk_radix_scatter(yk_f, yk_n, yk_t, yk_s, yk_at, sizeof(T), KEY, yk_v);                                         \
    }                                                                                                                  \
    static YK_MAYBE void yk_key_sort_##N(char *yk_f, char *yk_t, size_t yk_n, unsigned yk_b, bool yk_into, const void *yk_v) \
    {                                                                                                                  \
        yk_radix_leaf(yk_f, yk_t, yk_n, yk_b, yk_into, sizeof(T), KEY, yk_v);                                          \
    }                                                                                                                  \
    static YK_MAYBE const yk_keys yk_keys_##N = {yk_key_plain_##N, yk_key_look_##N,  yk_key_scatter_##N,               \
                                                 yk_key_sort_##N,  sizeof(T),        BITS};

/* yoke_radix_sort(ex, base, n, key, arguments...) */
#define yoke_radix_sort(...) YK_APPLY(YK_RADIX_SORT_OF, __VA_ARGS__)
#define YK_RADIX_SORT_OF(ex, base, n, ...) YK_CAT(YK_RADIX_, YK_HAS_MORE(__VA_ARGS__))(ex, base, n, __VA_ARGS__)
#define YK_RADIX_0(ex, base, n, N) (YK_USE(key, a_key, N, 0), yk_key_sort_all_##N((ex), (base), (n)))
#define YK_RADIX_1(ex, base, n, N, ...)                                                                                \
    (YK_USE(key, a_key, N, YK_COUNT(__VA_ARGS__)), yk_key_sort_all_##N((ex), (base), (n), __VA_ARGS__))

/* Numbers alone, ascending, by radix sort. */
YOKE_API int yoke_sort_i8(struct yoke_executor *ex, int8_t *base, size_t n);
YOKE_API int yoke_sort_i16(struct yoke_executor *ex, int16_t *base, size_t n);
YOKE_API int yoke_sort_i32(struct yoke_executor *ex, int32_t *base, size_t n);
YOKE_API int yoke_sort_i64(struct yoke_executor *ex, int64_t *base, size_t n);
YOKE_API int yoke_sort_u8(struct yoke_executor *ex, uint8_t *base, size_t n);
YOKE_API int yoke_sort_u16(struct yoke_executor *ex, uint16_t *base, size_t n);
YOKE_API int yoke_sort_u32(struct yoke_executor *ex, uint32_t *base, size_t n);
YOKE_API int yoke_sort_u64(struct yoke_executor *ex, uint64_t *base, size_t n);
YOKE_API int yoke_sort_f32(struct yoke_executor *ex, float *base, size_t n);
YOKE_API int yoke_sort_f64(struct yoke_executor *ex, double *base, size_t n);

/* Numbers alone: yoke_nth() in the order of yoke_sort_T(), that of floats too. */
YOKE_API int yoke_nth_i8(struct yoke_executor *ex, int8_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_i16(struct yoke_executor *ex, int16_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_i32(struct yoke_executor *ex, int32_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_i64(struct yoke_executor *ex, int64_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_u8(struct yoke_executor *ex, uint8_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_u16(struct yoke_executor *ex, uint16_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_u32(struct yoke_executor *ex, uint32_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_u64(struct yoke_executor *ex, uint64_t *base, size_t n, size_t k);
YOKE_API int yoke_nth_f32(struct yoke_executor *ex, float *base, size_t n, size_t k);
YOKE_API int yoke_nth_f64(struct yoke_executor *ex, double *base, size_t n, size_t k);

#ifdef __cplusplus
}
#endif
#endif
