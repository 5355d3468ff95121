/* Selecting by flags, or of those that differ from the one before: items count what they keep, what stands
 * before each part is found, items write.
 *   YK_E type of an element  YK_UNIQUE 0 1
 */
#if YK_UNIQUE
#define YK_FLAGS
#define YK_KEEPS(I) ((I) == 0 || x[I] != x[(I) - 1])
#else
#define YK_FLAGS YK_MEMORY(uchar, flags),
#define YK_KEEPS(I) (flags[I] != 0)
#endif

__kernel void yk_select_count(YK_MEMORY(YK_E, x), YK_FLAGS ulong n, YK_MEMORY(ulong, counts))
{
    YK_PLACE(YK_E, x);
#if !YK_UNIQUE
    YK_PLACE(uchar, flags);
#endif
    YK_PLACE(ulong, counts);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    ulong count = 0;
    for (ulong i = yk_part(n, item, items); i < hi; i++)
        count += YK_KEEPS(i);
    counts[item] = count;
}

/* One item: counts become what stands before; *kept all. */
__kernel void yk_select_befores(YK_MEMORY(ulong, counts), ulong count, YK_MEMORY(ulong, kept))
{
    YK_PLACE(ulong, counts);
    YK_PLACE(ulong, kept);
    ulong acc = 0;
    for (ulong i = 0; i < count; i++) {
        const ulong mine = counts[i];
        counts[i] = acc;
        acc += mine;
    }
    *kept = acc;
}

__kernel void yk_select_write(YK_MEMORY(YK_E, x), YK_FLAGS ulong n, YK_MEMORY(ulong, befores), YK_MEMORY(YK_E, out))
{
    YK_PLACE(YK_E, x);
#if !YK_UNIQUE
    YK_PLACE(uchar, flags);
#endif
    YK_PLACE(ulong, befores);
    YK_PLACE(YK_E, out);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    ulong to = befores[item];
    for (ulong i = yk_part(n, item, items); i < hi; i++)
        if (YK_KEEPS(i))
            out[to++] = x[i];
}
