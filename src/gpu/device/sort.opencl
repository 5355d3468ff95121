/* Radix sort, stable: for each 8 bits of the keys, items count the digits of their parts, what stands before
 * each digit of each part is found, and items move their parts. Order of keys as in sort.cuda.
 *   YK_K (uint or ulong)  YK_BITS  YK_KEY 0 unsigned, 1 signed, 2 float  YK_DESCENDING 0 1  YK_VALUE type of values, or not defined
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

/* counts[digit * items + item] */
__kernel void yk_sort_count(YK_MEMORY(YK_K, keys), ulong n, uint shift, YK_MEMORY(uint, counts))
{
    YK_PLACE(YK_K, keys);
    YK_PLACE(uint, counts);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    uint mine[256];
    for (uint d = 0; d < 256; d++)
        mine[d] = 0;
    for (ulong i = yk_part(n, item, items); i < hi; i++)
        mine[(uint)(yk_order(keys[i]) >> shift) & 255]++;
    for (uint d = 0; d < 256; d++)
        counts[d * items + item] = mine[d];
}

/* One item: counts become what stands before. */
__kernel void yk_sort_befores(YK_MEMORY(uint, counts), ulong count)
{
    YK_PLACE(uint, counts);
    uint acc = 0;
    for (ulong i = 0; i < count; i++) {
        const uint mine = counts[i];
        counts[i] = acc;
        acc += mine;
    }
}

__kernel void yk_sort_move(YK_MEMORY(YK_K, keys), YK_MEMORY(YK_K, out),
#ifdef YK_VALUE
                           YK_MEMORY(YK_VALUE, values), YK_MEMORY(YK_VALUE, values_out),
#endif
                           ulong n, uint shift, YK_MEMORY(uint, befores))
{
    YK_PLACE(YK_K, keys);
    YK_PLACE(YK_K, out);
#ifdef YK_VALUE
    YK_PLACE(YK_VALUE, values);
    YK_PLACE(YK_VALUE, values_out);
#endif
    YK_PLACE(uint, befores);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    uint mine[256];
    for (uint d = 0; d < 256; d++)
        mine[d] = befores[d * items + item];
    for (ulong i = yk_part(n, item, items); i < hi; i++) {
        const YK_K k = keys[i];
        const uint to = mine[(uint)(yk_order(k) >> shift) & 255]++;
        out[to] = k;
#ifdef YK_VALUE
        values_out[to] = values[i];
#endif
    }
}
