/* y = A x for a sparse matrix of compressed rows: an item takes some rows.
 *   YK_T YK_OFFSET
 */
__kernel void yk_spmv(YK_MEMORY(YK_OFFSET, offsets), YK_MEMORY(uint, columns), YK_MEMORY(YK_T, values), YK_MEMORY(YK_T, x),
                      YK_MEMORY(YK_T, y), ulong rows)
{
    YK_PLACE(YK_OFFSET, offsets);
    YK_PLACE(uint, columns);
    YK_PLACE(YK_T, values);
    YK_PLACE(YK_T, x);
    YK_PLACE(YK_T, y);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(rows, item + 1, items);
    for (ulong r = yk_part(rows, item, items); r < hi; r++) {
        YK_T acc = 0;
        const ulong end = offsets[r + 1];
        for (ulong k = offsets[r]; k < end; k++)
            acc += values[k] * x[columns[k]];
        y[r] = acc;
    }
}
