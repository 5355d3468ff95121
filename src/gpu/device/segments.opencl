/* Segmented reduce: an item takes some segments, one after the other.
 *   YK_T YK_OFFSET (uint or ulong)
 */
__kernel void yk_segments(YK_MEMORY(YK_T, x), YK_MEMORY(YK_OFFSET, offsets), ulong segments, YK_MEMORY(YK_T, out))
{
    YK_PLACE(YK_T, x);
    YK_PLACE(YK_OFFSET, offsets);
    YK_PLACE(YK_T, out);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(segments, item + 1, items);
    for (ulong s = yk_part(segments, item, items); s < hi; s++)
        out[s] = yk_fold(x, offsets[s], offsets[s + 1]);
}
