/* array_text: the texts of kernels over arrays, made of the bodies of array_ops.h and array_folds.h. CUDA and OpenCL differ
 * in the few words of the prelude; all else is one text.
 *
 * A map has one of two shapes. Where every operand is flat or one value, a thread takes one word of 16 bytes of each, twice,
 * a whole group apart, so that neighbours read neighbouring words; on a CPU, whose compilers make vectors of loops, elements that
 * follow each other. Else a thread takes one element, and finds it by steps.
 *
 * A reduction is two or three kernels. "runs": a group takes a piece of a run of elements for one result, its threads in
 * turns, and joins what they have in a tree. "columns": a thread takes a piece for one result by itself, its neighbours the
 * neighbouring results. "join": a group joins the pieces of a result. So the order is fixed by the shape and by how many
 * pieces there are. */
#include "gpu/array_text.h"
#include <stdio.h>

static const char prelude_cuda[] =
    "#define FN static __device__ __forceinline__\n#define KERNEL extern \"C\" __global__\n#define GLOBAL\n"
    "#define LOCAL __shared__\n"
    "#define LID ((i64)threadIdx.x)\n#define GROUP_ID ((i64)blockIdx.x)\n#define BARRIER __syncthreads()\n"
    "#define restrict __restrict__\n"
    "#define MEMORY(T, x) T *__restrict__ x\n#define USE(T, x)\n";
static const char prelude_opencl[] =
    "#pragma OPENCL FP_CONTRACT OFF\n"
    "#define FN\n#define KERNEL __kernel\n#define GLOBAL __global\n#define LOCAL __local\n#define LID ((i64)get_local_id(0))\n"
    "#define GROUP_ID ((i64)get_group_id(0))\n#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)\n"
    "#define MEMORY(T, x) __global T *x##_base, const ulong x##_at\n"
    "#define USE(T, x) __global T *restrict x = (__global T *)((__global char *)x##_base + x##_at);\n";
static const char prelude[] =
    "typedef long i64;\ntypedef unsigned long u64;\n"
    "typedef struct { i64 elements, shape[4], step[4][4]; } LAYOUT;\n";

/* Names that C, CUDA and OpenCL share, and least and largest values. */
static const struct {
    const char *name, *wrap, *low, *high;
} words[YK_TYPES] = {
    [YOKE_BOOL] = {"unsigned char", "unsigned", "0", "1"},
    [YOKE_I8] = {"signed char", "unsigned", "(-128)", "127"},
    [YOKE_I16] = {"short", "unsigned", "(-32768)", "32767"},
    [YOKE_I32] = {"int", "unsigned", "(-2147483647 - 1)", "2147483647"},
    [YOKE_I64] = {"long", "unsigned long", "(-9223372036854775807l - 1)", "9223372036854775807l"},
    [YOKE_U8] = {"unsigned char", "unsigned", "0", "255"},
    [YOKE_U16] = {"unsigned short", "unsigned", "0", "65535"},
    [YOKE_U32] = {"unsigned", "unsigned", "0", "4294967295u"},
    [YOKE_U64] = {"unsigned long", "unsigned long", "0", "18446744073709551615ul"},
    [YOKE_F32] = {"float", "unsigned", "(-3e38f * 10.0f)", "(3e38f * 10.0f)"},
    [YOKE_F64] = {"double", "unsigned long", "(-1e308 * 100.0)", "(1e308 * 100.0)"}};

#define STRING(...) #__VA_ARGS__

yk_array_target yk_array_target_of(const yoke_device *dev)
{
    unsigned group = YK_ARRAY_GROUP;
    while (group > 1 && dev->info.group_most && group > dev->info.group_most)
        group /= 2;
    bool is_cuda = strcmp(dev->driver->name, "opencl") != 0;
    return (yk_array_target){.is_cuda = is_cuda, .is_cpu = !is_cuda && !dev->info.is_gpu, .has_double = dev->info.has_double,
                             .group = group};
}

const char *yk_array_text_type(unsigned type)
{
    return words[type].name;
}

const char *yk_array_text_wrap(unsigned type)
{
    return words[type].wrap;
}

static bool is_float(unsigned type)
{
    return type == YOKE_F32 || type == YOKE_F64;
}

void yk_array_text_begin(const yk_array_target *t, yk_buf *to)
{
    if (!t->is_cuda && t->has_double)
        yk_buf_text(to, "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n");
    yk_buf_text(to, t->is_cuda ? prelude_cuda : prelude_opencl);
    yk_buf_text(to, prelude);
    yk_buf_printf(to, "#define GROUP %u\n", t->group);
}

/* FN TO name(FROM v), as array_loops_cast.c. */
static void cast(yk_buf *to, const char *name, unsigned from, unsigned as)
{
    const char *body = as == YOKE_BOOL                        ? YK_CAST_BOOL(STRING)
                       : is_float(from) && !is_float(as) ? YK_CAST_WHOLE(STRING)
                                                              : YK_CAST_PLAIN(STRING);
    yk_buf_printf(to, "FN %s %s(const %s v)\n{\n    typedef %s S; typedef %s T;\n", words[as].name, name, words[from].name,
                  words[from].name, words[as].name);
    if (is_float(from) && !is_float(as) && as != YOKE_BOOL)
        yk_buf_printf(to, "    const T LOW = %s, HIGH = %s;\n", words[as].low, words[as].high);
    yk_buf_printf(to, "    T r;\n    %s\n    return r;\n}\n", body);
}

void yk_array_text_offset(yk_buf *to, const char *name, unsigned ndim, const char *number)
{
    yk_buf_printf(to, "FN i64 %s(const LAYOUT *l, const int k, const i64 at)\n{\n    i64 offset = 0;\n    %s left = (%s)at;\n",
                  name,
                  number, number);
    for (unsigned d = ndim; d-- > 1;)
        yk_buf_printf(to, "    offset += (i64)(left %% (%s)l->shape[%u]) * l->step[k][%u];\n    left /= (%s)l->shape[%u];\n",
                      number, d,
                      d, number, d);
    if (ndim > 0)
        yk_buf_text(to, "    offset += (i64)left * l->step[k][0];\n");
    yk_buf_text(to, "    return offset;\n}\n");
}

/* ---- Maps ---- */

static unsigned computed(const yk_map_plan *p, unsigned k)
{
    if (k == 0)
        return p->op->gives_bool ? YOKE_BOOL : p->type;
    return p->op->is_where && k == 1 ? YOKE_BOOL : p->type;
}

void yk_map_key(const yk_map_plan *p, char ret[64])
{
    int at = snprintf(ret, 64, "m%u.%u.%u.%u.%u", p->op->id, p->type, p->ndim, p->items, p->is_short);
    for (unsigned k = 0; k <= p->op->arity; k++)
        at += snprintf(ret + at, 64 - (size_t)at, ".%c%u", p->seen[k], p->types[k]);
}

static void map_params(const yk_map_plan *p, yk_buf *to)
{
    yk_buf_text(to, p->ndim ? "KERNEL void yk_map(const LAYOUT l" : "KERNEL void yk_map(const i64 n");
    for (unsigned k = 0; k <= p->op->arity; k++)
        if (p->seen[k] == YK_SEEN_NUMBER)
            yk_buf_printf(to, ", const %s x%u", words[computed(p, k)].name, k);
        else
            yk_buf_printf(to, ", MEMORY(%s%s, x%u)", k ? "const " : "", words[p->types[k]].name, k);
    yk_buf_text(to, ")\n{\n");
    for (unsigned k = 0; k <= p->op->arity; k++)
        if (p->seen[k] != YK_SEEN_NUMBER)
            yk_buf_printf(to, "    USE(%s%s, x%u)\n", k ? "const " : "", words[p->types[k]].name, k);
}

/* One element: `at` says where it lies in memory, by steps or one after the other. */
static void map_element(const yk_map_plan *p, yk_buf *to, bool in_words)
{
    yk_buf_text(to, "{ ");
    for (unsigned k = 1; k <= p->op->arity; k++) {
        char name = (char)('a' + k - 1);
        if (p->seen[k] == YK_SEEN_NUMBER)
            yk_buf_printf(to, "const A%u %c = x%u; ", k, name, k);
        else if (p->seen[k] == YK_SEEN_WORDS && in_words)
            yk_buf_printf(to, "const A%u %c = load%u(w%u.e[j]); ", k, name, k, k);
        else if (p->seen[k] == YK_SEEN_STEPS && p->is_stretch)
            yk_buf_printf(to, "const A%u %c = load%u(x%u[b%u + i * s%u]); ", k, name, k, k, k, k);
        else if (p->seen[k] == YK_SEEN_STEPS)
            yk_buf_printf(to, "const A%u %c = load%u(x%u[find(&l, %u, i)]); ", k, name, k, k, k);
        else
            yk_buf_printf(to, "const A%u %c = load%u(x%u[%s]); ", k, name, k, k, p->seen[k] == YK_SEEN_ONE ? "0" : "i");
    }
    yk_buf_printf(to, "A0 r; %s ", yk_op_text(p->op, p->type));
    const char *place = p->seen[0] != YK_SEEN_STEPS ? "x0[i]" : p->is_stretch ? "x0[b0 + i * s0]" : "x0[find(&l, 0, i)]";
    yk_buf_printf(to, "%s = store(r); }\n", in_words ? "w0.e[j]" : place);
}

static void map_in_words(const yk_map_plan *p, yk_buf *to)
{
    yk_buf_printf(to,
                  "    for (int run = 0; run < %d; run++) {\n"
                  "        const i64 first = ((GROUP_ID * %d + run) * GROUP + LID) * %u;\n"
                  "        if (first + %u <= n) {\n            W0 w0;\n",
                  YK_ARRAY_RUNS, YK_ARRAY_RUNS, p->items, p->items);
    for (unsigned k = 1; k <= p->op->arity; k++)
        if (p->seen[k] == YK_SEEN_WORDS)
            yk_buf_printf(to, "            const W%u w%u = *(GLOBAL const W%u *)(x%u + first);\n", k, k, k, k);
    yk_buf_printf(to, "            #pragma unroll\n            for (int j = 0; j < %u; j++) { const i64 i = first + j; ",
                  p->items);
    map_element(p, to, true);
    yk_buf_text(to, "            }\n            *(GLOBAL W0 *)(x0 + first) = w0;\n        } else {\n"
                    "            for (i64 i = first; i < n; i++) ");
    map_element(p, to, false);
    yk_buf_text(to, "        }\n    }\n}\n");
}

/* Elements `at` up to `stop`, which lie in one row: where they begin and how far apart they are in each array with steps. */
static void map_row_begins(const yk_map_plan *p, yk_buf *to)
{
    unsigned row = p->ndim - 1;
    yk_buf_printf(to, "        const i64 end = at + l.shape[%u] - at %% l.shape[%u], stop = end < hi ? end : hi;\n", row,
                  row);
    for (unsigned k = 0; k <= p->op->arity; k++)
        if (p->seen[k] == YK_SEEN_STEPS)
            yk_buf_printf(to, "        const i64 s%u = l.step[%u][%u], b%u = find(&l, %u, at) - at * s%u;\n", k, k, row, k, k, k);
}

static void map_stretch(const yk_map_plan *p, yk_buf *to)
{
    yk_buf_printf(to, "    const i64 count = %s, groups = (i64)get_num_groups(0);\n"
                      "    const i64 each = ((count + groups - 1) / groups + 63) / 64 * 64;\n"
                      "    const i64 lo = GROUP_ID * each, hi = lo + each < count ? lo + each : count;\n",
                  p->ndim ? "l.elements" : "n");
    yk_buf_text(to, "    for (i64 at = lo; at < hi;) {\n");
    if (p->ndim)
        map_row_begins(p, to);
    else
        yk_buf_text(to, "        const i64 stop = hi;\n");
    yk_buf_text(to, "        for (i64 i = at; i < stop; i++) ");
    map_element(p, to, false);
    yk_buf_text(to, "        at = stop;\n    }\n}\n");
}

void yk_map_text(const void *plan, const yk_array_target *t, yk_buf *to)
{
    const yk_map_plan *p = plan;
    yk_array_text_begin(t, to);
    for (unsigned k = 1; k <= p->op->arity; k++) {
        char name[YK_NAME];
        snprintf(name, sizeof name, "load%u", k);
        if (p->seen[k] != YK_SEEN_NUMBER)
            cast(to, name, p->types[k], computed(p, k));
    }
    cast(to, "store", computed(p, 0), p->types[0]);
    yk_buf_printf(to, "typedef %s T;\ntypedef %s U;\n", words[p->type].name, words[p->type].wrap);
    for (unsigned k = 0; k <= p->op->arity; k++) {
        yk_buf_printf(to, "typedef %s A%u;\n", words[computed(p, k)].name, k);
        size_t size = p->items * yoke_array_type_size(p->types[k]);
        if (p->seen[k] == YK_SEEN_WORDS)
            yk_buf_printf(to, "typedef struct __attribute__((aligned(%zu))) { %s e[%u]; } W%u;\n", YK_MIN(size, (size_t)16),
                          words[p->types[k]].name, p->items, k);
    }
    if (p->ndim)
        yk_array_text_offset(to, "find", p->ndim, p->is_short ? "unsigned" : "u64");
    map_params(p, to);
    if (p->is_stretch) {
        map_stretch(p, to);
        return;
    }
    if (p->items) {
        map_in_words(p, to);
        return;
    }
    yk_buf_printf(to, "    const i64 i = GROUP_ID * GROUP + LID;\n    if (i < %s) ", p->ndim ? "l.elements" : "n");
    map_element(p, to, false);
    yk_buf_text(to, "}\n");
}

/* ---- Reductions ---- */

void yk_reduce_key(const yk_reduce_plan *p, char ret[64])
{
    snprintf(ret, 64, "r%s.%u.%u.%u.%u.%u.%u", p->name, p->type, p->from, p->to, p->outer_ndim, p->inner_ndim,
             2u * p->outer_is_flat + p->inner_is_flat);
}

static const char runs[] =
    "KERNEL void yk_runs(const LAYOUT outer, const LAYOUT inner, const i64 pieces, const i64 piece, const int ends,\n"
    "                    MEMORY(OUT, z), MEMORY(A, y), MEMORY(const IN, x))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y) USE(const IN, x)\n"
    "    LOCAL A part[GROUP];\n"
    "    const i64 o = GROUP_ID / pieces, p = GROUP_ID % pieces, start = find_outer(&outer, 0, o);\n"
    "    const i64 end = (p + 1) * piece < inner.elements ? (p + 1) * piece : inner.elements;\n"
    "    A r = nothing();\n"
    "    #pragma unroll 4\n"
    "    for (i64 i = p * piece + LID; i < end; i += GROUP)\n"
    "        r = take(r, load(x[start + find_inner(&inner, 0, i)]), i);\n"
    "    part[LID] = r;\n"
    "    BARRIER;\n"
    "    for (int span = GROUP / 2; span > 0; span /= 2) {\n"
    "        if (LID < span) part[LID] = join(part[LID], part[LID + span]);\n"
    "        BARRIER;\n"
    "    }\n"
    "    if (LID == 0) { if (ends) z[o] = last(part[0]); else y[GROUP_ID] = part[0]; }\n"
    "}\n";
static const char columns[] =
    "KERNEL void yk_columns(const LAYOUT outer, const LAYOUT inner, const i64 pieces, const i64 piece, const int ends,\n"
    "                       MEMORY(OUT, z), MEMORY(A, y), MEMORY(const IN, x))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y) USE(const IN, x)\n"
    "    const i64 job = GROUP_ID * GROUP + LID;\n"
    "    if (job < outer.elements * pieces) {\n"
    "        const i64 o = job % outer.elements, p = job / outer.elements, start = find_outer(&outer, 0, o);\n"
    "        const i64 end = (p + 1) * piece < inner.elements ? (p + 1) * piece : inner.elements;\n"
    "        A r = nothing();\n"
    "        #pragma unroll 4\n"
    "        for (i64 i = p * piece; i < end; i++)\n"
    "            r = take(r, load(x[start + find_inner(&inner, 0, i)]), i);\n"
    "        if (ends) z[o] = last(r); else y[o * pieces + p] = r;\n"
    "    }\n"
    "}\n";
/* On a CPU a group is one thread, with a piece of a run, in lanes that make a vector, or of STRIP neighbouring results. */
static const char runs_of_cpu[] =
    "KERNEL void yk_runs(const LAYOUT outer, const LAYOUT inner, const i64 pieces, const i64 piece, const int ends,\n"
    "                    MEMORY(OUT, z), MEMORY(A, y), MEMORY(const IN, x))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y) USE(const IN, x)\n"
    "    const i64 o = GROUP_ID / pieces, p = GROUP_ID % pieces, start = find_outer(&outer, 0, o);\n"
    "    const i64 end = (p + 1) * piece < inner.elements ? (p + 1) * piece : inner.elements;\n"
    "    A lane[16];\n"
    "    for (int l = 0; l < 16; l++) lane[l] = nothing();\n"
    "    i64 i = p * piece;\n"
    "    for (; i + 16 <= end; i += 16)\n"
    "        for (int l = 0; l < 16; l++)\n"
    "            lane[l] = take(lane[l], load(x[start + INNER(i + l)]), i + l);\n"
    "    for (; i < end; i++)\n"
    "        lane[0] = take(lane[0], load(x[start + INNER(i)]), i);\n"
    "    for (int span = 8; span > 0; span /= 2)\n"
    "        for (int l = 0; l < span; l++)\n"
    "            lane[l] = join(lane[l], lane[l + span]);\n"
    "    if (ends) z[o] = last(lane[0]); else y[GROUP_ID] = lane[0];\n"
    "}\n";
static const char columns_of_cpu[] =
    "KERNEL void yk_columns(const LAYOUT outer, const LAYOUT inner, const i64 pieces, const i64 piece, const int ends,\n"
    "                       MEMORY(OUT, z), MEMORY(A, y), MEMORY(const IN, x))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y) USE(const IN, x)\n"
    "    const i64 strips = (outer.elements + STRIP - 1) / STRIP, p = GROUP_ID / strips, o = GROUP_ID % strips * STRIP;\n"
    "    const i64 end = (p + 1) * piece < inner.elements ? (p + 1) * piece : inner.elements;\n"
    "    const int wide = outer.elements - o < STRIP ? (int)(outer.elements - o) : STRIP;\n"
    "    A r[STRIP];\n"
    "    STARTS\n"
    "    for (int c = 0; c < wide; c++) r[c] = nothing();\n"
    "    for (i64 i = p * piece; i < end; i++) {\n"
    "        const i64 at = find_inner(&inner, 0, i);\n"
    "        for (int c = 0; c < wide; c++)\n"
    "            r[c] = take(r[c], load(x[at + OUTER(c)]), i);\n"
    "    }\n"
    "    for (int c = 0; c < wide; c++)\n"
    "        if (ends) z[o + c] = last(r[c]); else y[(o + c) * pieces + p] = r[c];\n"
    "}\n";
static const char scans_of_cpu[] =
    "KERNEL void yk_scan(const LAYOUT outer, const LAYOUT inner, const i64 pieces, const i64 piece, MEMORY(OUT, z),\n"
    "                    MEMORY(A, y), MEMORY(const IN, x))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y) USE(const IN, x)\n"
    "    const i64 o = GROUP_ID / pieces, p = GROUP_ID % pieces;\n"
    "    const i64 start = find_outer(&outer, 0, o), to = find_outer(&outer, 1, o);\n"
    "    const i64 end = (p + 1) * piece < inner.elements ? (p + 1) * piece : inner.elements;\n"
    "    A r = nothing();\n"
    "    for (i64 q = 0; q < p; q++)\n"
    "        r = join(r, y[o * pieces + q]);\n"
    "    for (i64 i = p * piece; i < end; i++) {\n"
    "        r = take(r, load(x[start + INNER(i)]), i);\n"
    "        z[to + find_inner(&inner, 1, i)] = last(r);\n"
    "    }\n"
    "}\n";

static void reduce_on_cpu(const yk_reduce_plan *p, yk_buf *to)
{
    yk_buf_printf(to, "#define STRIP %d\n", YK_ARRAY_STRIP);
    yk_buf_text(to, p->inner_is_flat ? "#define INNER(i) (i)\n" : "#define INNER(i) find_inner(&inner, 0, i)\n");
    yk_buf_text(to, p->outer_is_flat ? "#define STARTS const i64 begin = find_outer(&outer, 0, o);\n"
                                       "#define OUTER(c) (begin + (c))\n"
                                     : "#define STARTS i64 begin[STRIP]; "
                                       "for (int c = 0; c < wide; c++) begin[c] = find_outer(&outer, 0, o + c);\n"
                                       "#define OUTER(c) begin[c]\n");
    yk_buf_text(to, runs_of_cpu);
    yk_buf_text(to, columns_of_cpu);
}

static const char joins[] =
    "KERNEL void yk_join(const i64 pieces, MEMORY(OUT, z), MEMORY(A, y))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y)\n"
    "    LOCAL A part[GROUP];\n"
    "    A r = nothing();\n"
    "    for (i64 p = LID; p < pieces; p += GROUP)\n"
    "        r = join(r, y[GROUP_ID * pieces + p]);\n"
    "    part[LID] = r;\n"
    "    BARRIER;\n"
    "    for (int span = GROUP / 2; span > 0; span /= 2) {\n"
    "        if (LID < span) part[LID] = join(part[LID], part[LID + span]);\n"
    "        BARRIER;\n"
    "    }\n"
    "    if (LID == 0) z[GROUP_ID] = last(part[0]);\n"
    "}\n";

static const char scans[] =
    "KERNEL void yk_scan(const LAYOUT outer, const LAYOUT inner, const i64 pieces, const i64 piece, MEMORY(OUT, z),\n"
    "                    MEMORY(A, y), MEMORY(const IN, x))\n"
    "{\n"
    "    USE(OUT, z) USE(A, y) USE(const IN, x)\n"
    "    LOCAL A part[GROUP];\n"
    "    const i64 o = GROUP_ID / pieces, p = GROUP_ID % pieces;\n"
    "    const i64 from = find_outer(&outer, 0, o), to = find_outer(&outer, 1, o);\n"
    "    const i64 end = (p + 1) * piece < inner.elements ? (p + 1) * piece : inner.elements;\n"
    "    A before = nothing();\n"
    "    for (i64 q = LID; q < p; q += GROUP)\n"
    "        before = join(before, y[o * pieces + q]);\n"
    "    part[LID] = before;\n"
    "    BARRIER;\n"
    "    for (int span = GROUP / 2; span > 0; span /= 2) {\n"
    "        if (LID < span) part[LID] = join(part[LID], part[LID + span]);\n"
    "        BARRIER;\n"
    "    }\n"
    "    before = part[0];\n"
    "    for (i64 first = p * piece; first < end; first += GROUP) {\n"
    "        const i64 i = first + LID;\n"
    "        BARRIER;\n"
    "        part[LID] = i < end ? take(nothing(), load(x[from + find_inner(&inner, 0, i)]), i) : nothing();\n"
    "        BARRIER;\n"
    "        for (int by = 1; by < GROUP; by *= 2) {\n"
    "            const A r = LID >= by ? join(part[LID - by], part[LID]) : part[LID];\n"
    "            BARRIER;\n"
    "            part[LID] = r;\n"
    "            BARRIER;\n"
    "        }\n"
    "        if (i < end) z[to + find_inner(&inner, 1, i)] = last(join(before, part[LID]));\n"
    "        before = join(before, part[GROUP - 1]);\n"
    "    }\n"
    "}\n";

void yk_reduce_text(const void *plan, const yk_array_target *t, yk_buf *to)
{
    const yk_reduce_plan *p = plan;
    const yk_fold *f = p->fold;
    yk_array_text_begin(t, to);
    cast(to, "load", p->from, p->type);
    cast(to, "store", f->out, p->to);
    yk_buf_printf(to, "typedef %s T;\ntypedef %s U;\ntypedef %s IN;\ntypedef %s OUT;\ntypedef %s Z;\n", words[p->type].name,
                  words[p->type].wrap, words[p->from].name, words[p->to].name, words[f->out].name);
    yk_buf_printf(to, "#define LOW %s\n#define HIGH %s\n", words[p->type].low, words[p->type].high);
    yk_buf_text(to, strcmp(f->acc_text, "V") == 0 ? "typedef T A;\n" : "typedef struct { T v; i64 at; } A;\n");
    yk_buf_printf(to, "FN A nothing(void) { A r; %s return r; }\n", f->start_text);
    yk_buf_printf(to, "FN A take(A r, const T a, const i64 i) { %s return r; }\n", f->take_text);
    yk_buf_printf(to, "FN A join(A r, const A b) { %s return r; }\n", f->join_text);
    yk_buf_printf(to, "FN OUT last(const A r) { Z z; %s return store(z); }\n", f->last_text);
    yk_array_text_offset(to, "find_outer", p->outer_ndim, "u64");
    yk_array_text_offset(to, "find_inner", p->inner_ndim, "u64");
    if (t->is_cpu) {
        reduce_on_cpu(p, to);
    } else {
        yk_buf_text(to, runs);
        yk_buf_text(to, columns);
    }
    yk_buf_text(to, joins);
    if (strcmp(f->acc_text, "V") == 0)
        yk_buf_text(to, t->is_cpu ? scans_of_cpu : scans);
}
