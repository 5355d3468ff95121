/* text_map: kernels of one element, as texts. On a GPU a group of 256 threads takes a block of elements; what
 * the body uses as x[i] alone goes through registers, 16 bytes at a time, with all that a block reads on its way
 * before the first is used, because bandwidth is bytes in flight: 32 KiB on each multiprocessor of an H200 (see
 * yk_plan_make()). The last block, and arrays that are not aligned, go element by element. On an OpenCL CPU a
 * thread has a stretch of elements, and its loop over them is made vectors of: twice to five times as fast with
 * PoCL as a thread for each element. */
#include "gpu/kernel.h"

enum { GROUP = 256, PAST_BYTES = 512 };
/* Bytes that a thread should have on their way: in a map, where it has one block, a copy of 2^28 floats takes an H200 505 us with
 * 16 of them, 523 with 32 and 530 with 64; elsewhere it takes one block after the other. Most bytes in its registers, and most
 * tokens when its loop is unrolled. */
enum { BYTES_OF_ONE = 16, BYTES_OF_MANY = 32, BYTES_MOST = 256, TOKENS_MOST = 1500 };

static bool can_be_vector(const yk_param *p)
{
    return p->size > 0 && p->size <= 16 && (p->size & (p->size - 1)) == 0;
}

static unsigned power_below(unsigned n)
{
    unsigned power = 1;
    while (power * 2 <= n)
        power *= 2;
    return power;
}

void yk_plan_make(const yoke_kernel *k, const yk_machine *t, yk_plan *ret)
{
    yk_analysis a;
    unsigned least = 16, largest = 1, read = 0, all = 0;
    const unsigned wanted = k->form == YK_MAP_KERNEL ? BYTES_OF_ONE : BYTES_OF_MANY;
    yk_analyse_kernel(k, &a);
    *ret = (yk_plan){.group = GROUP, .items = 1, .run = 1};
    if (!t->is_gpu || k->form == YK_GROUP_KERNEL) {
        ret->group = t->is_gpu ? k->extra->group : 1;
        return;
    }
    for (unsigned p = 0; p < k->nparams; p++) {
        const yk_param *param = &k->params[p];
        if (!t->is_cuda || !a.element[p] || !a.used[p] || !can_be_vector(param))
            continue;
        ret->vectors = ret->vector[p] = true;
        least = YK_MIN(least, param->size);
        largest = YK_MAX(largest, param->size);
        all += param->size;
        read += param->kind != YK_OUT ? param->size : 0;
    }
    if (all == 0) {
        ret->items = 4;
        return;
    }
    ret->run = YK_MAX(YK_MAX(16 / largest, 8 / least), 1);
    ret->items = YK_MAX(power_below(wanted / (read ? read : all)), ret->run);
    while (ret->items > ret->run && (ret->items * all > BYTES_MOST || ret->items * a.tokens > TOKENS_MOST))
        ret->items /= 2;
}

static void write_body(const yoke_kernel *k, const yk_machine *t, const yk_plan *registers, yk_buf *to)
{
    yk_buf_text(to, " {");
    yk_text_line(to, k->line, k->file);
    yk_text_body(k, t, k->texts[0], registers, to);
    yk_buf_text(to, "\n}\n");
}

/* The block of a group begins at yk_first, a thread's first run at yk_at; both count from yk_begin, where arrays
 * of elements begin too (see yk_enqueue_range()). */
static void write_vectors(const yoke_kernel *k, const yk_machine *t, const yk_plan *plan, yk_buf *to)
{
    yk_buf_printf(to, "    if (yk_begin + yk_first + %u <= yk_end && ", plan->group * plan->items);
    yk_text_aligned(k, plan, to);
    yk_buf_printf(to, ") {\n        const long yk_at = yk_first + (long)threadIdx.x * %u;\n", plan->run);
    yk_text_registers(k, plan, to);
    yk_text_registers_move(k, plan, false, to);
    yk_buf_printf(to,
                  "        #pragma unroll\n        for (int yk_k = 0; yk_k < %u; yk_k++) {\n"
                  "            const long i = yk_begin + yk_at + yk_k / %u * %u + yk_k %% %u;\n            "
                  "(void)i;\n           ",
                  plan->items, plan->run, plan->group * plan->run, plan->run);
    write_body(k, t, plan, to);
    yk_buf_text(to, "        }\n");
    yk_text_registers_move(k, plan, true, to);
    yk_buf_text(to, "        return;\n    }\n");
}

/* From here on arrays of elements begin at element 0, as the body has it. */
static void write_shifts(const yoke_kernel *k, yk_buf *to)
{
    yk_analysis a;
    yk_analyse_kernel(k, &a);
    for (unsigned p = 0; p < k->nparams; p++)
        if (k->params[p].kind != YK_VAL && a.element[p])
            yk_buf_printf(to, "    %s -= yk_begin;\n", k->params[p].name);
}

static void write_gpu(const yoke_kernel *k, const yk_machine *t, const yk_plan *plan, yk_buf *to)
{
    unsigned block = plan->group * plan->items;
    if (t->is_cuda)
        yk_buf_printf(to, "    const long yk_first = (long)blockIdx.x * %u, yk_thread = threadIdx.x;\n", block);
    else
        yk_buf_printf(to, "    const long yk_first = (long)get_group_id(0) * %u, yk_thread = (long)get_local_id(0);\n", block);
    if (plan->vectors)
        write_vectors(k, t, plan, to);
    write_shifts(k, to);
    yk_buf_printf(to, "    for (int yk_k = 0; yk_k < %u; yk_k++) {\n"
                      "        const long i = yk_begin + yk_first + yk_k * %u + yk_thread;\n"
                      "        if (i >= yk_end)\n            break;\n       ", plan->items, plan->group);
    write_body(k, t, NULL, to);
    yk_buf_text(to, "    }\n");
}

/* ---- On an OpenCL CPU ---- */

/* Results that go past the caches, and how many elements a block of them has, some hundred bytes of each. They are numbers: what
 * is in a struct a body may take the address of without a &, and a block is in another address space than arrays are. */
typedef struct past {
    yk_plan arrays; /* vector[] */
    size_t touched; /* bytes for each element of the call */
    unsigned block;
} past;

static const char past_words[] = "#if defined(__clang__) && defined(__x86_64__)\n"
                                 "#define YK_PAST(V, TO) __builtin_nontemporal_store(V, &(TO))\n"
                                 "#define YK_PAST_END() __builtin_ia32_sfence()\n#else\n"
                                 "#define YK_PAST(V, TO) (TO) = (V)\n#define YK_PAST_END()\n#endif\n";

static void find_past(const yoke_kernel *k, const yk_machine *t, past *ret)
{
    yk_analysis a;
    unsigned largest = 1;
    yk_analyse_kernel(k, &a);
    *ret = (past){.touched = 0};
    for (unsigned p = 0; t->cached > 0 && !a.takes_long && p < k->nparams; p++) {
        const yk_param *param = &k->params[p];
        ret->touched += param->kind != YK_VAL && strcmp(param->count, "n") == 0 ? param->size : 0;
        if (param->kind != YK_OUT || !a.element[p] || !a.used[p] || param->code < YOKE_I8 || param->code > YOKE_F64)
            continue;
        ret->arrays.vectors = ret->arrays.vector[p] = true;
        largest = YK_MAX(largest, param->size);
    }
    ret->block = YK_MAX(PAST_BYTES / largest, (unsigned)YK_CACHE_LINE);
}

static void write_past_condition(const yoke_kernel *k, const yk_machine *t, const past *w, yk_buf *to)
{
    yk_buf_printf(to, "    if (yk_end - yk_begin > %zu && ((0", t->cached / w->touched);
    for (unsigned p = 0; p < k->nparams; p++)
        if (w->arrays.vector[p])
            yk_buf_printf(to, " | (ulong)(%s + yk_first)", k->params[p].name);
    yk_buf_printf(to, ") %% %d == 0)) {\n", YK_CACHE_LINE);
}

/* As kernel_cpu.c does it. */
static void write_past(const yoke_kernel *k, const yk_machine *t, const past *w, yk_buf *to)
{
    write_past_condition(k, t, w, to);
    yk_buf_printf(to, "        for (; yk_first + %u <= yk_last; yk_first += %u) {\n", w->block, w->block);
    for (unsigned p = 0; p < k->nparams; p++)
        if (w->arrays.vector[p])
            yk_buf_printf(to, "            union { %s e[%u]; uint4 v[%u]; } yk_r_%s;\n", yk_text_type(t, k->params[p].type),
                          w->block, w->block * k->params[p].size / 16, k->params[p].name);
    yk_buf_printf(to, "            for (long yk_k = 0; yk_k < %u; yk_k++) {\n                const long i = yk_first + yk_k;\n"
                      "                (void)i;\n               ", w->block);
    write_body(k, t, &w->arrays, to);
    yk_buf_text(to, "            }\n");
    for (unsigned p = 0; p < k->nparams; p++)
        if (w->arrays.vector[p])
            yk_buf_printf(to, "            for (int yk_w = 0; yk_w < %u; yk_w++)\n"
                              "                YK_PAST(yk_r_%s.v[yk_w], ((__global uint4 *)(%s + yk_first))[yk_w]);\n",
                          w->block * k->params[p].size / 16, k->params[p].name, k->params[p].name);
    yk_buf_text(to, "        }\n        YK_PAST_END();\n    }\n");
}

/* A group is one thread, and has elements that follow each other: as many as there are groups for. */
static void write_cpu(const yoke_kernel *k, const yk_machine *t, const past *w, yk_buf *to)
{
    write_shifts(k, to);
    yk_buf_text(to, "    const long yk_groups = (long)get_num_groups(0);\n"
                    "    const long yk_each = ((yk_end - yk_begin + yk_groups - 1) / yk_groups + 63) / 64 * 64;\n"
                    "    long yk_first = yk_begin + (long)get_group_id(0) * yk_each;\n"
                    "    const long yk_last = yk_first + yk_each < yk_end ? yk_first + yk_each : yk_end;\n");
    if (w->arrays.vectors)
        write_past(k, t, w, to);
    yk_buf_text(to, "    for (long i = yk_first; i < yk_last; i++)");
    write_body(k, t, NULL, to);
}

void yk_text_map(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    yk_plan plan;
    past w;
    yk_plan_make(k, t, &plan);
    find_past(k, t, &w);
    if (w.arrays.vectors)
        yk_buf_text(to, past_words);
    yk_text_head(k, t, "kernel", plan.group, to);
    yk_buf_text(to, ")\n{\n");
    yk_text_arrays(k, t, to);
    if (t->is_gpu)
        write_gpu(k, t, &plan, to);
    else
        write_cpu(k, t, &w, to);
    yk_buf_text(to, "}\n");
}

/* ---- Programs ---- */

/* On a GPU a region is once through a loop, at whose end all items wait; on a CPU it is the loop of the C form. */
static void write_regions(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    if (!t->is_gpu)
        yk_buf_printf(to, "#define YOKE_ITEMS(l) for (long l = 0; l < %u; l++)\n", k->extra->group);
    else if (t->is_cuda)
        yk_buf_text(to, "#define YOKE_ITEMS(l) for (long l = threadIdx.x, yk_once = 1; yk_once; yk_once = 0, __syncthreads())\n");
    else
        yk_buf_text(to, "#define YOKE_ITEMS(l) for (long l = (long)get_local_id(0), yk_once = 1; yk_once; "
                        "yk_once = 0, barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE))\n");
    yk_buf_printf(to, "#define YOKE_SHARED(T, NAME, COUNT) %s T NAME[COUNT]\n", t->is_cuda ? "__shared__" : "__local");
}

void yk_text_group(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    write_regions(k, t, to);
    yk_text_head(k, t, "kernel", t->is_gpu ? k->extra->group : 1, to);
    yk_buf_printf(to, ")\n{\n    const long group = %s;\n", t->is_cuda ? "blockIdx.x" : "(long)get_group_id(0)");
    yk_text_arrays(k, t, to);
    yk_text_line(to, k->line, k->file);
    yk_text_body(k, t, k->texts[0], NULL, to);
    yk_buf_text(to, "\n}\n");
}
