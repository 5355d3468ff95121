/* C = A B, row after row: an item takes some rows of C, four at a time, 16 columns of each in a vector, and
 * goes along k: an element of B is read once for four rows.
 *   YK_T YK_V
 */
enum { YK_ROWS = 4 };

void yk_tile(ulong rows, ulong columns, ulong k, __global const YK_T *a, ulong lda, __global const YK_T *b, ulong ldb,
             __global YK_T *c, ulong ldc)
{
    YK_V acc[YK_ROWS];
    for (int r = 0; r < YK_ROWS; r++)
        acc[r] = (YK_V)(0);
    for (ulong l = 0; l < k; l++) {
        YK_V v;
        if (columns == 16) {
            v = vload16(0, b + l * ldb);
        } else {
            YK_T lanes[16];
            for (uint j = 0; j < 16; j++)
                lanes[j] = j < columns ? b[l * ldb + j] : (YK_T)0;
            v = vload16(0, lanes);
        }
        for (uint r = 0; r < YK_ROWS; r++)
            acc[r] += (YK_V)(a[min((ulong)r, rows - 1) * lda + l]) * v;
    }
    for (uint r = 0; r < rows; r++) {
        YK_T lanes[16];
        vstore16(acc[r], 0, lanes);
        for (uint j = 0; j < columns; j++)
            c[r * ldc + j] = lanes[j];
    }
}

__kernel void yk_matmul(ulong m, ulong n, ulong k, YK_MEMORY(YK_T, a), ulong lda, YK_MEMORY(YK_T, b), ulong ldb, YK_MEMORY(YK_T, c),
                        ulong ldc)
{
    YK_PLACE(YK_T, a);
    YK_PLACE(YK_T, b);
    YK_PLACE(YK_T, c);
    const ulong item = get_global_id(0), items = get_global_size(0), tiles = (m + YK_ROWS - 1) / YK_ROWS;
    for (ulong tile = tiles * item / items; tile < tiles * (item + 1) / items; tile++)
        for (ulong column = 0; column < n; column += 16) {
            const ulong row = tile * YK_ROWS;
            yk_tile(min(m - row, (ulong)YK_ROWS), min(n - column, (ulong)16), k, a + row * lda, lda, b + column, ldb,
                    c + row * ldc + column, ldc);
        }
}
