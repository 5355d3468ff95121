/* array_text_more: the texts of kernels that are neither maps nor reductions: elements by number, and products of matrices. */
#include "gpu/array_text.h"
#include <stdio.h>
#include <yoke/primitive.h>

/* Elements are moved as they are, so that one text does for all types of a size. */
static const char picks[] =
    "KERNEL void yk_pick(const LAYOUT l, const i64 axis_step, const i64 length, const int put, MEMORY(E, x),\n"
    "                    MEMORY(const i64, numbers), MEMORY(E, z))\n"
    "{\n"
    "    USE(E, x) USE(const i64, numbers) USE(E, z)\n"
    "    const i64 i = GROUP_ID * GROUP + LID;\n"
    "    if (i < l.elements) {\n"
    "        i64 number = numbers[find(&l, 1, i)];\n"
    "        number += number < 0 ? length : 0;\n"
    "        const i64 at = find(&l, 0, i) + number * axis_step;\n"
    "        if (put) x[at] = z[i]; else z[i] = x[at];\n"
    "    }\n"
    "}\n";

void yk_pick_text(const void *plan, const yk_array_target *t, yk_buf *to)
{
    const yk_pick_plan *p = plan;
    yk_array_text_begin(t, to);
    yk_buf_printf(to, "typedef unsigned %s E;\n", p->size == 1 ? "char" : p->size == 2 ? "short" : p->size == 4 ? "int"
                  : "long");
    yk_array_text_offset(to, "find", p->ndim, "u64");
    yk_buf_text(to, picks);
}

int yk_pick_on_device(yoke_array *a, const yoke_array *numbers, yoke_array *flat, int axis, const yk_layout *l, bool put)
{
    static const char *const names[] = {"yk_pick", NULL};
    yk_pick_plan p = {.size = (unsigned)yoke_array_type_size(a->type), .ndim = (unsigned)l->ndim};
    char key[64];
    snprintf(key, sizeof key, "p%u.%u", p.size, p.ndim);
    const char *name = put ? "put" : "take";
    const yk_array_kernel *b = yk_array_kernel_get(a->stream, key, name, names, yk_pick_text, &p);
    if (!b)
        return yk_array_code(a->stream);
    yk_device_layout layout = yk_device_layout_of(l);
    int64_t step = a->step[axis], length = (int64_t)a->shape[axis];
    int32_t puts = put;
    size_t group = yk_array_target_of(a->stream->dev).group;
    yk_kernel_arg args[] = {yk_value_arg(&layout, sizeof layout), yk_value_arg(&step, 8), yk_value_arg(&length, 8),
                            yk_value_arg(&puts, 4),
                            yk_memory_arg(&a->data), yk_memory_arg(&numbers->data), yk_memory_arg(&flat->data)};
    return yk_array_launch(a->stream, b, 0, (l->elements + group - 1) / group, args, YK_COUNT_OF(args), name);
}

/* ---- Products of matrices ---- */

/* Of integers. A group of 256 computes 64 by 64 elements, each of its threads 4 by 4, from tiles of 64 by 16 and 16 by 64
 * that it holds. The order in which products are added is that of k, as on the CPU. */
static const char products[] =
    "KERNEL void yk_matmul(const i64 m, const i64 n, const i64 depth, MEMORY(T, z), MEMORY(const T, x), MEMORY(const T, y))\n"
    "{\n"
    "    USE(T, z) USE(const T, x) USE(const T, y)\n"
    "    LOCAL T left[16][65];\n"
    "    LOCAL T right[16][65];\n"
    "    const i64 across = (n + 63) / 64, row0 = GROUP_ID / across * 64, column0 = GROUP_ID % across * 64;\n"
    "    const int ty = (int)LID / 16, tx = (int)LID % 16;\n"
    "    T sum[4][4];\n"
    "    for (int a = 0; a < 4; a++) for (int b = 0; b < 4; b++) sum[a][b] = 0;\n"
    "    for (i64 k0 = 0; k0 < depth; k0 += 16) {\n"
    "        for (int e = (int)LID; e < 1024; e += 256) {\n"
    "            const i64 row = row0 + e / 16, k = k0 + e % 16, k2 = k0 + e / 64, column = column0 + e % 64;\n"
    "            left[e % 16][e / 16] = row < m && k < depth ? x[row * depth + k] : (T)0;\n"
    "            right[e / 64][e % 64] = k2 < depth && column < n ? y[k2 * n + column] : (T)0;\n"
    "        }\n"
    "        BARRIER;\n"
    "        for (int k = 0; k < 16; k++)\n"
    "            for (int a = 0; a < 4; a++)\n"
    "                for (int b = 0; b < 4; b++)\n"
    "                    sum[a][b] = ADD(sum[a][b], left[k][ty + 16 * a], right[k][tx + 16 * b]);\n"
    "        BARRIER;\n"
    "    }\n"
    "    for (int a = 0; a < 4; a++)\n"
    "        for (int b = 0; b < 4; b++)\n"
    "            if (row0 + ty + 16 * a < m && column0 + tx + 16 * b < n)\n"
    "                z[(row0 + ty + 16 * a) * n + column0 + tx + 16 * b] = sum[a][b];\n"
    "}\n";

void yk_matmul_text(const void *plan, const yk_array_target *t, yk_buf *to)
{
    unsigned type = *(const unsigned *)plan;
    bool is_float = type == YOKE_F32 || type == YOKE_F64;
    yk_array_text_begin(t, to);
    yk_buf_printf(to, "typedef %s T;\ntypedef %s U;\n", yk_array_text_type(type), yk_array_text_wrap(type));
    yk_buf_text(to, type == YOKE_BOOL ? "#define ADD(s, a, b) ((T)((s) | ((a) & (b))))\n"
                    : is_float        ? "#define ADD(s, a, b) ((s) + (a) * (b))\n"
                                      : "#define ADD(s, a, b) ((T)((U)(s) + (U)(a) * (U)(b)))\n");
    yk_buf_text(to, products);
}

int yk_matmul_on_device(yoke_stream *s, unsigned type, size_t m, size_t n, size_t depth, void *z, void *x, void *y)
{
    static const char *const names[] = {"yk_matmul", NULL};
    char key[64];
    snprintf(key, sizeof key, "x%u", type);
    if (type == YOKE_F32 || type == YOKE_F64) /* each by its own kernel, which is faster */
        return yk_unkept(s, yk_stream_matmul(s, type == YOKE_F32 ? YK_F32 : YK_F64, m, n, depth, x, depth, y, n, z, n));
    if (yk_array_target_of(s->dev).group != 256) {
        yk_array_fail(s, ENOTSUP, "matmul: %s has no groups of 256 threads", s->dev->info.uri);
        return -ENOTSUP;
    }
    const yk_array_kernel *b = yk_array_kernel_get(s, key, "matmul", names, yk_matmul_text, &type);
    if (!b)
        return yk_array_code(s);
    int64_t sizes[] = {(int64_t)m, (int64_t)n, (int64_t)depth};
    yk_kernel_arg args[] = {yk_value_arg(&sizes[0], 8), yk_value_arg(&sizes[1], 8), yk_value_arg(&sizes[2], 8),
                            yk_memory_arg(&z),
                            yk_memory_arg(&x), yk_memory_arg(&y)};
    return yk_array_launch(s, b, 0, (m + 63) / 64 * ((n + 63) / 64), args, YK_COUNT_OF(args), "matmul");
}
