/* Scans in three launches: the parts are taken together (as by reduce.opencl), what stands before each part
 * is found, each part is scanned. A look-back needs items that have begun to go on, which OpenCL does not
 * promise; this reads everything twice, and no more than that is to be gained.
 *
 * Sixteen elements are scanned at a time: four steps of shifting and adding. Only one operation in sixteen
 * elements waits for the one before it.
 */
__kernel void yk_scan_totals(YK_MEMORY(YK_T, x), ulong n, YK_MEMORY(YK_T, totals))
{
    YK_PLACE(YK_T, x);
    YK_PLACE(YK_T, totals);
    const ulong item = get_global_id(0), items = get_global_size(0);
    totals[item] = yk_fold(x, yk_part(n, item, items), yk_part(n, item + 1, items));
}

/* One item: totals become what stands before. */
__kernel void yk_scan_befores(YK_MEMORY(YK_T, totals), ulong count)
{
    YK_PLACE(YK_T, totals);
    YK_T acc = YK_IDENTITY;
    for (ulong i = 0; i < count; i++) {
        const YK_T total = totals[i];
        totals[i] = acc;
        acc = YK_OF(acc, total);
    }
}

/* In lane l: lanes 0 to l taken together. */
YK_V yk_scan_16(YK_V v)
{
    const YK_T e = YK_IDENTITY;
    v = YK_OF((YK_V)(e, v.s01234567, v.s89ab, v.scd, v.se), v);
    v = YK_OF((YK_V)(e, e, v.s01234567, v.s89ab, v.scd), v);
    v = YK_OF((YK_V)(e, e, e, e, v.s01234567, v.s89ab), v);
    return YK_OF((YK_V)(e, e, e, e, e, e, e, e, v.s01234567), v);
}

__kernel void yk_scan_parts(YK_MEMORY(YK_T, x), YK_MEMORY(YK_T, out), ulong n, uint exclusive, YK_MEMORY(YK_T, befores))
{
    YK_PLACE(YK_T, x);
    YK_PLACE(YK_T, out);
    YK_PLACE(YK_T, befores);
    const ulong item = get_global_id(0), items = get_global_size(0), hi = yk_part(n, item + 1, items);
    ulong i = yk_part(n, item, items);
    YK_T carry = befores[item];
    for (; i + 16 <= hi; i += 16) {
        const YK_V v = yk_scan_16(vload16(0, x + i)), all = YK_OF((YK_V)(carry), v);
        vstore16(exclusive ? (YK_V)(carry, all.s01234567, all.s89ab, all.scd, all.se) : all, 0, out + i);
        carry = all.sf;
    }
    for (; i < hi; i++) {
        const YK_T before = carry;
        carry = YK_OF(carry, x[i]);
        out[i] = exclusive ? before : carry;
    }
}
