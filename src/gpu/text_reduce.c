/* text_reduce: reductions, as texts of two functions. kernel_NAME leaves one partial result for each group,
 * last_NAME takes those together in one group. How elements are dealt out depends on n and the device alone, so
 * a call repeated gives the same bits. On a GPU a group of 256 threads takes blocks of elements, each thread
 * those of its own place, and then the threads' sums pairwise through group memory; on a CPU a group is one
 * thread with elements that follow each other, sixteen sums at a time. */
#include "gpu/kernel.h"

enum { LANES = 16 };

static bool is_lanes(const yoke_kernel *k)
{
    return k->extra->size <= 8;
}

/* *sum taken together with element i. */
static void write_take(const yoke_kernel *k, const yk_machine *t, const yk_plan *registers, const char *sum, yk_buf *to)
{
    yk_buf_printf(to, "{ const yk_type yk_item =");
    yk_text_line(to, k->line, k->file);
    yk_text_body(k, t, k->texts[0], registers, to);
    yk_buf_printf(to, "\n; %s = yk_both(%s, yk_item); }\n", sum, sum);
}

/* ---- GPU ---- */

static void write_tree(const yk_machine *t, unsigned group, yk_buf *to)
{
    const char *barrier = t->is_cuda ? "__syncthreads()" : "barrier(CLK_LOCAL_MEM_FENCE)";
    yk_buf_printf(to, "    yk_shared[yk_thread] = yk_sum;\n    %s;\n"
                      "    for (int yk_half = %u; yk_half > 0; yk_half /= 2) {\n"
                      "        if (yk_thread < yk_half)\n"
                      "            yk_shared[yk_thread] = yk_both(yk_shared[yk_thread], yk_shared[yk_thread + yk_half]);\n"
                      "        %s;\n    }\n", barrier, group / 2, barrier);
}

static void write_start(const yk_machine *t, unsigned group, yk_buf *to)
{
    if (t->is_cuda)
        yk_buf_printf(to, "    __shared__ yk_type yk_shared[%u];\n"
                          "    const int yk_thread = threadIdx.x, yk_group = blockIdx.x, yk_groups = gridDim.x;\n", group);
    else
        yk_buf_printf(to, "    __local yk_type yk_shared[%u];\n"
                          "    const int yk_thread = (int)get_local_id(0), yk_group = (int)get_group_id(0), "
                          "yk_groups = (int)get_num_groups(0);\n", group);
    yk_buf_text(to, "    yk_type yk_sum = yk_identity();\n");
}

/* The elements of yk_at, which is what a thread has of a block, in the same order with vectors and without. */
static void write_blocks(const yoke_kernel *k, const yk_machine *t, const yk_plan *plan, yk_buf *to)
{
    unsigned block = plan->group * plan->items;
    yk_buf_printf(to, "    for (long yk_first = (long)yk_group * %u; yk_first < n; yk_first += (long)yk_groups * %u) {\n"
                      "        const long yk_at = yk_first + yk_thread * %u;\n", block, block, plan->run);
    if (plan->vectors) {
        yk_buf_printf(to, "        if (yk_first + %u <= n && ", block);
        yk_text_aligned(k, plan, to);
        yk_buf_text(to, ") {\n");
        yk_text_registers(k, plan, to);
        yk_text_registers_move(k, plan, false, to);
        yk_buf_printf(to, "        #pragma unroll\n        for (int yk_k = 0; yk_k < %u; yk_k++) {\n"
                          "            const long i = yk_at + yk_k / %u * %u + yk_k %% %u;\n            (void)i;\n",
                      plan->items, plan->run, plan->group * plan->run, plan->run);
        write_take(k, t, plan, "yk_sum", to);
        yk_buf_text(to, "        }\n        continue;\n        }\n");
    }
    yk_buf_printf(to, "        for (int yk_k = 0; yk_k < %u; yk_k++) {\n"
                      "            const long i = yk_at + yk_k / %u * %u + yk_k %% %u;\n            if (i >= n)\n"
                      "                break;\n",
                  plan->items, plan->run, plan->group * plan->run, plan->run);
    write_take(k, t, NULL, "yk_sum", to);
    yk_buf_text(to, "        }\n    }\n");
}

static void write_gpu(const yoke_kernel *k, const yk_machine *t, const yk_plan *plan, yk_buf *to)
{
    write_start(t, plan->group, to);
    write_blocks(k, t, plan, to);
    write_tree(t, plan->group, to);
    yk_buf_text(to, "    if (yk_thread == 0)\n        yk_to[yk_group] = yk_shared[0];\n");
}

static void write_gpu_last(const yk_machine *t, unsigned group, yk_buf *to)
{
    write_start(t, group, to);
    yk_buf_printf(to, "    for (long yk_i = yk_thread; yk_i < yk_count; yk_i += %u)\n"
                      "        yk_sum = yk_both(yk_sum, yk_from[yk_i]);\n    (void)yk_group;\n    (void)yk_groups;\n", group);
    write_tree(t, group, to);
    yk_buf_text(to, "    if (yk_thread == 0)\n        *yk_to = yk_shared[0];\n");
}

/* ---- CPU ---- */

static void write_cpu(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    unsigned lanes = is_lanes(k) ? LANES : 1;
    yk_buf_text(to, "    const long yk_groups = (long)get_num_groups(0), yk_group = (long)get_group_id(0);\n"
                    "    const long yk_each = (n + yk_groups - 1) / yk_groups, yk_first = yk_group * yk_each;\n"
                    "    const long yk_end = yk_first + yk_each < n ? yk_first + yk_each : n;\n    long i = yk_first;\n");
    yk_buf_printf(to, "    yk_type yk_sum = yk_identity(), yk_sums[%u];\n    for (int yk_l = 0; yk_l < %u; yk_l++)\n"
                      "        yk_sums[yk_l] = yk_sum;\n    long yk_next = yk_first;\n"
                      "    for (; yk_next + %u <= yk_end; yk_next += %u) {\n        #pragma unroll\n"
                      "        for (int yk_l = 0; yk_l < %u; yk_l++) {\n            i = yk_next + yk_l;\n",
                  lanes, lanes, lanes, lanes, lanes);
    write_take(k, t, NULL, "yk_sums[yk_l]", to);
    yk_buf_text(to, "        }\n    }\n    for (; yk_next < yk_end; yk_next++) {\n        i = yk_next;\n");
    write_take(k, t, NULL, "yk_sums[0]", to);
    yk_buf_printf(to, "    }\n    for (int yk_l = 0; yk_l < %u; yk_l++)\n        yk_sum = yk_both(yk_sum, yk_sums[yk_l]);\n"
                      "    yk_to[yk_group] = yk_sum;\n", lanes);
}

static void write_cpu_last(yk_buf *to)
{
    yk_buf_text(to, "    yk_type yk_sum = yk_identity();\n    for (long yk_i = 0; yk_i < yk_count; yk_i++)\n"
                    "        yk_sum = yk_both(yk_sum, yk_from[yk_i]);\n    *yk_to = yk_sum;\n");
}

/* ---- Both ---- */

void yk_text_reduce(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    yk_plan plan;
    yk_plan_make(k, t, &plan);
    yk_text_values(k, t, k->extra->type, "yk", to);
    yk_text_head(k, t, "kernel", plan.group, to);
    yk_buf_text(to, ", ");
    yk_text_result(t, false, "to", to);
    yk_buf_text(to, ")\n{\n");
    yk_text_result_at(t, false, "to", to);
    yk_text_arrays(k, t, to);
    if (t->is_gpu)
        write_gpu(k, t, &plan, to);
    else
        write_cpu(k, t, to);
    yk_buf_text(to, "}\n");
    yk_text_function(k, t, "last", plan.group, to);
    yk_buf_text(to, "const long yk_count, ");
    yk_text_result(t, true, "from", to);
    yk_buf_text(to, ", ");
    yk_text_result(t, false, "to", to);
    yk_buf_text(to, ")\n{\n");
    yk_text_result_at(t, true, "from", to);
    yk_text_result_at(t, false, "to", to);
    if (t->is_gpu)
        write_gpu_last(t, plan.group, to);
    else
        write_cpu_last(to);
    yk_buf_text(to, "}\n");
}
