/* Radix sort, stable: for each 8 bits of the keys, items count the digits of their parts, what stands before each digit of each
 * part is found, and items move their parts. A place in whose digit all keys are the same is left out, so the keys may end in
 * either array; the last launch brings them home. Order of keys as in sort.cuda.
 *   YK_K (uint or ulong)  YK_BITS  YK_KEY 0 unsigned, 1 signed, 2 float  YK_DESCENDING 0 1  YK_VALUE type of values, or not defined
 *   YK_LINE  elements that an item gathers for each digit, 1: writes them one by one
 *
 * Writing to 256 places in turn is slow on a CPU: each has its own page and cache line. So an item gathers a line for each digit
 * in memory of its own, which the nearest cache holds, and lines go out whole. A GPU has no such memory.
 *
 * counts[digit * items + item]; behind them, state[place] is the array that the keys are in before that place: 0 or 1.
 */
YK_K yk_order(YK_K k)
{
#if YK_KEY == 1
    k ^= (YK_K)1 << (YK_BITS - 1);
#elif YK_KEY == 2
    k ^= k >> (YK_BITS - 1) ? ~(YK_K)0 : (YK_K)1 << (YK_BITS - 1);
#endif
    return YK_DESCENDING ? ~k : k;
}

#define YK_CACHED (8 << 20) /* bytes of keys that may stay in the caches */
#define YK_DIGIT(K) ((uint)(yk_order(K) >> place * 8) & 255)

#define YK_COMMA ,
#ifdef YK_VALUE
#define YK_IF_VALUES(WHAT) WHAT
#else
#define YK_IF_VALUES(WHAT)
#endif

__kernel void yk_sort_count(YK_MEMORY(YK_K, a), YK_MEMORY(YK_K, b), ulong n, uint place, YK_MEMORY(uint, counts))
{
    YK_PLACE(YK_K, a);
    YK_PLACE(YK_K, b);
    YK_PLACE(uint, counts);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    __global const YK_K *const keys = place > 0 && counts[256 * items + place] ? b : a;
    uint mine[256];
    for (uint d = 0; d < 256; d++)
        mine[d] = 0;
    for (ulong i = yk_part(n, item, items); i < hi; i++)
        mine[YK_DIGIT(keys[i])]++;
    for (uint d = 0; d < 256; d++)
        counts[d * items + item] = mine[d];
}

/* One item: counts become what stands before. */
__kernel void yk_sort_befores(YK_MEMORY(uint, counts), ulong items, ulong n, uint place)
{
    YK_PLACE(uint, counts);
    __global uint *const state = counts + 256 * items;
    uint acc = 0, same = 0;
    for (uint d = 0; d < 256; d++) {
        const uint first = acc;
        for (ulong i = 0; i < items; i++) {
            const uint mine = counts[d * items + i];
            counts[d * items + i] = acc;
            acc += mine;
        }
        same |= acc - first == n;
    }
    if (place == 0)
        state[0] = 0;
    state[place + 1] = state[place] ^ !same;
}

#if YK_LINE > 1
/* Sends a digit's elements, those of places first to end - 1, which are at most a line; out is where place 0 would be. past: beside
 * the caches, as arrays that are larger than those should go, a cache line at once; without it a line is read before it is
 * written. */
#ifdef __clang__
#define YK_PAST(LINE, OUT) __builtin_nontemporal_store(LINE, &(OUT))
#else
#define YK_PAST(LINE, OUT) (OUT) = (LINE)
#endif
#define YK_SENDER(NAME, T) \
    void NAME(__global T *out, const T *line, uint first, uint end, bool past) \
    { \
        if (end - first < YK_LINE) \
            for (uint at = first; at < end; at++) \
                out[at] = line[at % YK_LINE]; \
        else if (past) \
            for (uint i = 0; i < YK_LINE * sizeof(T) / 64; i++) \
                YK_PAST(((const ulong8 *)line)[i], ((__global ulong8 *)(out + first))[i]); \
        else \
            for (uint i = 0; i < YK_LINE; i++) \
                out[first + i] = line[i]; \
    }
YK_SENDER(yk_send_keys, YK_K)
YK_IF_VALUES(YK_SENDER(yk_send_values, YK_VALUE))

/* Places count from the beginning of the cache line in which the keys begin. A line is sent when its next element comes, not
 * when its last one does, which is still on its way to the cache then, and who reads it waits. */
void yk_move_part(__global const YK_K *keys, __global YK_K *out,
                  YK_IF_VALUES(__global const YK_VALUE *values YK_COMMA __global YK_VALUE *values_out YK_COMMA) ulong lo, ulong hi,
                  uint place, ulong bytes, __global const uint *counts, ulong items)
{
    YK_K keys_line[256 * YK_LINE] __attribute__((aligned(64)));
    YK_IF_VALUES(YK_VALUE values_line[256 * YK_LINE] __attribute__((aligned(64)));)
    uint first[256], to[256];
    const uint phase = (uint)((ulong)out / sizeof(YK_K) % YK_LINE);
    out -= phase;
    YK_IF_VALUES(values_out -= phase;)
    const bool keys_past = bytes >= YK_CACHED && (ulong)out % 64 == 0;
    YK_IF_VALUES(const bool values_past = bytes >= YK_CACHED && (ulong)values_out % 64 == 0;)
    for (uint d = 0; d < 256; d++)
        first[d] = to[d] = counts[d * items] + phase;
    for (ulong i = lo; i < hi; i++) {
        const YK_K k = keys[i];
        const uint d = YK_DIGIT(k), at = to[d]++, line = d * YK_LINE;
        if (at % YK_LINE == 0 && at > first[d]) {
            const uint from = max(first[d], at - YK_LINE);
            yk_send_keys(out, keys_line + line, from, at, keys_past);
            YK_IF_VALUES(yk_send_values(values_out, values_line + line, from, at, values_past);)
        }
        keys_line[line + at % YK_LINE] = k;
        YK_IF_VALUES(values_line[line + at % YK_LINE] = values[i];)
    }
    for (uint d = 0; d < 256; d++) {
        const uint from = to[d] > first[d] ? max(first[d], (to[d] - 1) / YK_LINE * YK_LINE) : to[d];
        yk_send_keys(out, keys_line + d * YK_LINE, from, to[d], false);
        YK_IF_VALUES(yk_send_values(values_out, values_line + d * YK_LINE, from, to[d], false);)
    }
}
#else
void yk_move_part(__global const YK_K *keys, __global YK_K *out,
                  YK_IF_VALUES(__global const YK_VALUE *values YK_COMMA __global YK_VALUE *values_out YK_COMMA) ulong lo, ulong hi,
                  uint place, ulong bytes, __global const uint *counts, ulong items)
{
    uint to[256];
    for (uint d = 0; d < 256; d++)
        to[d] = counts[d * items];
    for (ulong i = lo; i < hi; i++) {
        const YK_K k = keys[i];
        const uint at = to[YK_DIGIT(k)]++;
        out[at] = k;
        YK_IF_VALUES(values_out[at] = values[i];)
    }
}
#endif

__kernel void yk_sort_move(YK_MEMORY(YK_K, a), YK_MEMORY(YK_K, b), YK_IF_VALUES(YK_MEMORY(YK_VALUE, values_a) YK_COMMA)
                           YK_IF_VALUES(YK_MEMORY(YK_VALUE, values_b) YK_COMMA) ulong n, uint place, YK_MEMORY(uint, counts))
{
    YK_PLACE(YK_K, a);
    YK_PLACE(YK_K, b);
    YK_IF_VALUES(YK_PLACE(YK_VALUE, values_a);)
    YK_IF_VALUES(YK_PLACE(YK_VALUE, values_b);)
    YK_PLACE(uint, counts);
    const ulong item = get_global_id(0), items = get_global_size(0);
    const uint in_b = counts[256 * items + place];
    if (counts[256 * items + place + 1] != in_b)
        yk_move_part(in_b ? b : a, in_b ? a : b, YK_IF_VALUES(in_b ? values_b : values_a YK_COMMA)
                     YK_IF_VALUES(in_b ? values_a : values_b YK_COMMA) yk_part(n, item, items), yk_part(n, item + 1, items),
                     place, n * sizeof(YK_K), counts + item, items);
}

__kernel void yk_sort_home(YK_MEMORY(YK_K, a), YK_MEMORY(YK_K, b), YK_IF_VALUES(YK_MEMORY(YK_VALUE, values_a) YK_COMMA)
                           YK_IF_VALUES(YK_MEMORY(YK_VALUE, values_b) YK_COMMA) ulong n, uint places, YK_MEMORY(uint, counts))
{
    YK_PLACE(YK_K, a);
    YK_PLACE(YK_K, b);
    YK_IF_VALUES(YK_PLACE(YK_VALUE, values_a);)
    YK_IF_VALUES(YK_PLACE(YK_VALUE, values_b);)
    YK_PLACE(uint, counts);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    if (!counts[256 * items + places])
        return;
    for (ulong i = yk_part(n, item, items); i < hi; i++) {
        a[i] = b[i];
        YK_IF_VALUES(values_a[i] = values_b[i];)
    }
}
