/* Histogram: each item counts its part in a table of its own, then the tables are added up. Bins as in
 * histogram.cuda.
 *   YK_T YK_FLOAT
 */
__kernel void yk_histogram_count(YK_MEMORY(YK_T, x), ulong n, YK_T low, YK_T high, YK_T scale, ulong bins, YK_MEMORY(ulong, tables))
{
    YK_PLACE(YK_T, x);
    YK_PLACE(ulong, tables);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    __global ulong *const mine = tables + item * bins;
    for (ulong b = 0; b < bins; b++)
        mine[b] = 0;
    for (ulong i = yk_part(n, item, items); i < hi; i++) {
        const YK_T v = x[i];
        if (v >= low && v <= high)
#if YK_FLOAT
            mine[min((ulong)((v - low) * scale), bins - 1)]++;
#else
            mine[(ulong)v - (ulong)low]++;
#endif
    }
}

__kernel void yk_histogram_add(YK_MEMORY(ulong, tables), ulong bins, ulong count, YK_MEMORY(ulong, counts))
{
    YK_PLACE(ulong, tables);
    YK_PLACE(ulong, counts);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(bins, item + 1, items);
    for (ulong b = yk_part(bins, item, items); b < hi; b++) {
        ulong sum = 0;
        for (ulong t = 0; t < count; t++)
            sum += tables[t * bins + b];
        counts[b] = sum;
    }
}
