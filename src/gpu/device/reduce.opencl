/* Sum, least, greatest. Each item takes its part together, to partials[item]; launched again with one item,
 * for all of those. */
__kernel void yk_reduce(YK_MEMORY(YK_T, x), ulong n, YK_MEMORY(YK_T, partials))
{
    YK_PLACE(YK_T, x);
    YK_PLACE(YK_T, partials);
    const ulong item = get_global_id(0), items = get_global_size(0);
    partials[item] = yk_fold(x, yk_part(n, item, items), yk_part(n, item + 1, items));
}
