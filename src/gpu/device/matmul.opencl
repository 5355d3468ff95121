/* C = A B. On a CPU an item takes some rows of C, six at a time and a vector of 64 bytes of each, which stay in registers while
 * it goes along a step of k. The columns of B that these need are copied together before: they are read once for all rows.
 * On a GPU a group of 256 has 64 by 64 elements of C, each of its items 4 by 4, from slices of A and B that it holds.
 * Either way products are added in order of k.
 *   YK_T  YK_GPU if it is one
 */
#ifndef YK_GPU
enum { YK_ROWS = 6, YK_STEP = 256 };
#ifdef YK_DOUBLE
enum { YK_LANES = 8 };
typedef double8 yk_w;
#define YK_LOAD vload8
#define YK_STORE vstore8
#else
enum { YK_LANES = 16 };
typedef float16 yk_w;
#define YK_LOAD vload16
#define YK_STORE vstore16
#endif

/* From strip on, line after line, what columns [0, columns) of b are in rows [0, depth); then 0. */
void yk_gather(ulong depth, ulong columns, __global const YK_T *b, ulong ldb, YK_T *strip)
{
    for (ulong l = 0; l < depth; l++)
        if (columns == YK_LANES)
            YK_STORE(YK_LOAD(0, b + l * ldb), l, strip);
        else
            for (ulong j = 0; j < YK_LANES; j++)
                strip[l * YK_LANES + j] = j < columns ? b[l * ldb + j] : (YK_T)0;
}

void yk_tile(ulong rows, ulong columns, ulong depth, __global const YK_T *a, ulong lda, const YK_T *strip, __global YK_T *c, ulong ldc,
             int is_first)
{
    yk_w acc[YK_ROWS];
    YK_T lanes[YK_LANES];
    __global const YK_T *x[YK_ROWS];
#pragma unroll
    for (int r = 0; r < YK_ROWS; r++) {
        const ulong row = min((ulong)r, rows - 1); /* what is beyond is computed for nobody */
        x[r] = a + row * lda;
        if (is_first) {
            acc[r] = (yk_w)(0);
        } else if (columns == YK_LANES) {
            acc[r] = YK_LOAD(0, c + row * ldc);
        } else {
            for (ulong j = 0; j < YK_LANES; j++)
                lanes[j] = j < columns ? c[row * ldc + j] : (YK_T)0;
            acc[r] = YK_LOAD(0, lanes);
        }
    }
    for (ulong l = 0; l < depth; l++) {
        const yk_w v = YK_LOAD(l, strip);
#pragma unroll
        for (int r = 0; r < YK_ROWS; r++)
            acc[r] += (yk_w)(x[r][l]) * v;
    }
#pragma unroll
    for (int r = 0; r < YK_ROWS; r++) {
        if (r >= rows)
            break;
        if (columns == YK_LANES) {
            YK_STORE(acc[r], 0, c + r * ldc);
            continue;
        }
        YK_STORE(acc[r], 0, lanes);
        for (ulong j = 0; j < columns; j++)
            c[r * ldc + j] = lanes[j];
    }
}

__kernel void yk_matmul(ulong m, ulong n, ulong k, YK_MEMORY(YK_T, a), ulong lda, YK_MEMORY(YK_T, b), ulong ldb, YK_MEMORY(YK_T, c),
                        ulong ldc)
{
    YK_PLACE(YK_T, a);
    YK_PLACE(YK_T, b);
    YK_PLACE(YK_T, c);
    YK_T strip[YK_STEP * YK_LANES];
    const ulong item = get_global_id(0), items = get_global_size(0), tiles = (m + YK_ROWS - 1) / YK_ROWS;
    const ulong begin = tiles * item / items, end = tiles * (item + 1) / items;
    for (ulong l = 0; l == 0 || l < k; l += YK_STEP) /* once for k = 0: all are 0 */
        for (ulong column = 0; column < n && begin < end; column += YK_LANES) {
            const ulong columns = min(n - column, (ulong)YK_LANES), depth = min(k - l, (ulong)YK_STEP);
            yk_gather(depth, columns, b + l * ldb + column, ldb, strip);
            for (ulong tile = begin; tile < end; tile++) {
                const ulong row = tile * YK_ROWS;
                yk_tile(min(m - row, (ulong)YK_ROWS), columns, depth, a + row * lda + l, lda, strip, c + row * ldc + column, ldc,
                        l == 0);
            }
        }
}
#else
enum { YK_SIDE = 64, YK_SLICE = 16, YK_EACH = 4, YK_ACROSS = YK_SIDE / YK_EACH, YK_ITEMS = YK_ACROSS * YK_ACROSS };

__kernel __attribute__((reqd_work_group_size(YK_ITEMS, 1, 1)))
void yk_matmul(ulong m, ulong n, ulong k, YK_MEMORY(YK_T, a), ulong lda, YK_MEMORY(YK_T, b), ulong ldb, YK_MEMORY(YK_T, c), ulong ldc)
{
    YK_PLACE(YK_T, a);
    YK_PLACE(YK_T, b);
    YK_PLACE(YK_T, c);
    __local YK_T left[YK_SLICE][YK_SIDE + 1], right[YK_SLICE][YK_SIDE + 1];
    const ulong across = (n + YK_SIDE - 1) / YK_SIDE;
    const ulong row0 = get_group_id(0) / across * YK_SIDE, column0 = get_group_id(0) % across * YK_SIDE;
    const uint own = get_local_id(0), down = own / YK_ACROSS, side = own % YK_ACROSS;
    YK_T sum[YK_EACH][YK_EACH];
    for (int i = 0; i < YK_EACH; i++)
        for (int j = 0; j < YK_EACH; j++)
            sum[i][j] = 0;
    for (ulong l0 = 0; l0 < k; l0 += YK_SLICE) {
        for (uint e = own; e < YK_SIDE * YK_SLICE; e += YK_ITEMS) {
            const ulong row = row0 + e / YK_SLICE, l = l0 + e % YK_SLICE;
            left[e % YK_SLICE][e / YK_SLICE] = row < m && l < k ? a[row * lda + l] : (YK_T)0;
            const ulong of_b = l0 + e / YK_SIDE, column = column0 + e % YK_SIDE;
            right[e / YK_SIDE][e % YK_SIDE] = of_b < k && column < n ? b[of_b * ldb + column] : (YK_T)0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int l = 0; l < YK_SLICE; l++)
            for (int i = 0; i < YK_EACH; i++)
                for (int j = 0; j < YK_EACH; j++)
                    sum[i][j] += left[l][down + YK_ACROSS * i] * right[l][side + YK_ACROSS * j];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < YK_EACH; i++)
        for (int j = 0; j < YK_EACH; j++) {
            const ulong row = row0 + down + YK_ACROSS * i, column = column0 + side + YK_ACROSS * j;
            if (row < m && column < n)
                c[row * ldc + column] = sum[i][j];
        }
}
#endif
