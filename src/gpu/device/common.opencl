/* What the OpenCL texts of primitives begin with.
 *
 * They are OpenCL C 1.2, made for devices that are CPUs: a work-item takes a piece of the array that lies in
 * one, in vectors of 16, and there are some eight items for each core, in work-groups of one. No local
 * memory, no barriers, no atomics: whatever OpenCL there is runs this. On a GPU there are more items, which
 * works, but reads memory in a way that GPUs do not like.
 *   YK_T YK_V (a vector of 16 YK_T)  YK_OP 0 sum, 1 least, 2 greatest  YK_IDENTITY  YK_FLOAT 0 1  YK_DOUBLE if double is needed
 *
 * Memory comes as two arguments, a block and a distance in bytes.
 */
#ifdef YK_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#pragma OPENCL FP_CONTRACT OFF
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpsabi" /* vectors are wide: nobody else is to be called with them */
#endif

#define YK_MEMORY(T, NAME) __global T *NAME##_block, ulong NAME##_at
#define YK_PLACE(T, NAME) __global T *const NAME = (__global T *)((__global char *)NAME##_block + NAME##_at)

/* Where the part of item i of `items` begins, of n; parts are whole numbers of 16. */
ulong yk_part(ulong n, ulong i, ulong items)
{
    const ulong blocks = (n + 15) / 16;
    return min(n, (blocks / items * i + min(i, blocks % items)) * 16);
}

#ifdef YK_T
#if YK_OP == 0
#define YK_OF(A, B) ((A) + (B))
#elif YK_FLOAT && YK_OP == 1
#define YK_OF(A, B) fmin(A, B)
#elif YK_FLOAT
#define YK_OF(A, B) fmax(A, B)
#elif YK_OP == 1
#define YK_OF(A, B) min(A, B)
#else
#define YK_OF(A, B) max(A, B)
#endif

/* x[lo] to x[hi - 1] taken together. */
YK_T yk_fold(__global const YK_T *x, ulong lo, ulong hi)
{
    YK_V v = (YK_V)(YK_IDENTITY), w = v;
    YK_T acc = YK_IDENTITY, lanes[16];
    for (; lo + 32 <= hi; lo += 32) {
        v = YK_OF(v, vload16(0, x + lo));
        w = YK_OF(w, vload16(0, x + lo + 16));
    }
    vstore16(YK_OF(v, w), 0, lanes);
    for (; lo < hi; lo++)
        acc = YK_OF(acc, x[lo]);
    for (int i = 0; i < 16; i++)
        acc = YK_OF(acc, lanes[i]);
    return acc;
}
#endif
