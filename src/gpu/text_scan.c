/* text_scan: scans, as texts of three functions. kernel_NAME takes each stretch of elements together, last_NAME
 * scans those results in one group, write_NAME goes through each stretch again with what comes before it. A stretch
 * is a group's; on a CPU that is one thread, on a GPU 256, which take tiles of it one after the other, each thread
 * some elements that follow each other. Nothing here is moved past its neighbour, so what combines values need not
 * commute. One pass with look-back would read once, not twice; it needs groups that are sure to go on, which OpenCL
 * does not promise.
 *
 * Where there are segments a value is a struct of the user's value and of whether one begins in it. */
#include "gpu/kernel.h"

enum { ITEMS = 8 };

static bool has_segments(const yoke_kernel *k)
{
    return k->texts[4] != NULL;
}

static void write_segments(const yk_machine *t, yk_buf *to)
{
    const char *fn = t->is_cuda ? "__device__ inline " : "";
    yk_buf_text(to, "typedef struct { yk_value_type v; int begins; } yk_type;\n");
    if (!t->is_cuda)
        yk_buf_text(to, "yk_type yk_both(const yk_type a, const yk_type b);\nyk_type yk_identity(void);\n");
    yk_buf_printf(
        to,
        "%syk_type yk_both(const yk_type a, const yk_type b)\n{\n    yk_type yk_it = b;\n    if (!b.begins)\n"
        "        yk_it.v = yk_value_both(a.v, b.v);\n    yk_it.begins |= a.begins;\n    return yk_it;\n}\n"
        "%syk_type yk_identity(%s)\n{\n    yk_type yk_it;\n    yk_it.v = yk_value_identity();\n    "
        "yk_it.begins = 0;\n"
        "    return yk_it;\n}\n",
        fn, fn, t->is_cuda ? "" : "void");
}

/* yk_one: element i. */
static void write_input(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    yk_buf_text(to, has_segments(k) ? "yk_type yk_one;\n{ const yk_value_type yk_v =" : "const yk_type yk_one =");
    yk_text_line(to, k->line, k->file);
    yk_text_body(k, t, k->texts[0], NULL, to);
    yk_buf_text(to, "\n;\n");
    if (has_segments(k)) {
        yk_buf_text(to, "yk_one.v = yk_v; yk_one.begins = (");
        yk_text_line(to, k->line, k->file);
        yk_text_body(k, t, k->texts[4], NULL, to);
        yk_buf_text(to, "\n) ? 1 : 0; }\n");
    }
}

/* What the user sees of yk_prev, all before element i, and yk_one; yk_prev goes on to the next. */
static void write_output(const yoke_kernel *k, const yk_machine *t, const char *one, yk_buf *to)
{
    if (has_segments(k))
        yk_buf_printf(to, "const yk_value_type prev_item = %s.begins ? yk_value_identity() : yk_prev.v;\n"
                          "yk_prev = yk_both(yk_prev, %s);\nconst yk_value_type item = yk_prev.v;\n", one, one);
    else
        yk_buf_printf(to, "const yk_type prev_item = yk_prev;\nyk_prev = yk_both(yk_prev, %s);\n"
                          "const yk_type item = yk_prev;\n", one);
    yk_buf_text(to, "(void)item; (void)prev_item;\n{");
    yk_text_line(to, k->line, k->file);
    yk_text_body(k, t, k->texts[3], NULL, to);
    yk_buf_text(to, "\n}\n");
}

static void write_stretch(const yk_machine *t, unsigned tile, yk_buf *to)
{
    yk_buf_printf(to, "    const long yk_groups = %s, yk_group = %s;\n"
                      "    const long yk_each = ((n + yk_groups - 1) / yk_groups + %u) / %u * %u;\n"
                      "    const long yk_first = yk_group * yk_each;\n"
                      "    const long yk_end = yk_first + yk_each < n ? yk_first + yk_each : n;\n",
                  t->is_cuda ? "gridDim.x" : "(long)get_num_groups(0)", t->is_cuda ? "blockIdx.x" : "(long)get_group_id(0)",
                  tile - 1, tile, tile);
}

/* ---- CPU ---- */

static void write_cpu_sum(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    write_stretch(t, 64, to);
    yk_buf_text(to, "    yk_type yk_sum = yk_identity();\n    for (long i = yk_first; i < yk_end; i++) {\n");
    write_input(k, t, to);
    yk_buf_text(to, "        yk_sum = yk_both(yk_sum, yk_one);\n    }\n    yk_part[yk_group] = yk_sum;\n");
}

static void write_cpu_last(yk_buf *to)
{
    yk_buf_text(to, "    yk_type yk_sum = yk_identity();\n    for (long yk_i = 0; yk_i < yk_count; yk_i++) {\n"
                    "        const yk_type yk_one = yk_part[yk_i];\n        yk_part[yk_i] = yk_sum;\n"
                    "        yk_sum = yk_both(yk_sum, yk_one);\n    }\n");
}

static void write_cpu_write(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    write_stretch(t, 64, to);
    yk_buf_text(to, "    yk_type yk_prev = yk_part[yk_group];\n    for (long i = yk_first; i < yk_end; i++) {\n");
    write_input(k, t, to);
    write_output(k, t, "yk_one", to);
    yk_buf_text(to, "    }\n");
}

/* ---- GPU ---- */

static void write_thread(const yk_machine *t, unsigned group, yk_buf *to)
{
    yk_buf_printf(to, "    %s yk_type yk_shared[%u];\n    const int yk_thread = %s;\n",
                  t->is_cuda ? "__shared__" : "__local", group,
                  t->is_cuda ? "threadIdx.x" : "(int)get_local_id(0)");
}

/* yk_shared: each thread's yk_sum, with those of the threads before it taken in; all have waited. */
static void write_shared_scan(const yk_machine *t, unsigned group, yk_buf *to)
{
    const char *barrier = t->is_cuda ? "__syncthreads()" : "barrier(CLK_LOCAL_MEM_FENCE)";
    yk_buf_printf(to,
                  "        yk_shared[yk_thread] = yk_sum;\n        %s;\n"
                  "        for (int yk_far = 1; yk_far < %u; yk_far *= 2) {\n"
                  "            if (yk_thread >= yk_far)\n                yk_sum = "
                  "yk_both(yk_shared[yk_thread - yk_far], yk_sum);\n"
                  "            %s;\n            yk_shared[yk_thread] = yk_sum;\n            %s;\n        }\n",
                  barrier, group, barrier, barrier);
}

/* yk_carry goes on past a tile. */
static void write_carry(const yk_machine *t, unsigned group, yk_buf *to)
{
    yk_buf_printf(to, "        yk_carry = yk_both(yk_carry, yk_shared[%u]);\n        %s;\n", group - 1,
                  t->is_cuda ? "__syncthreads()" : "barrier(CLK_LOCAL_MEM_FENCE)");
}

/* A thread's elements of a tile: their inputs in yk_ones[], all of them together in yk_sum. */
static void write_tile(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    yk_buf_printf(to,
                  "        yk_type yk_sum = yk_identity(), yk_ones[%u];\n        #pragma unroll\n"
                  "        for (int yk_k = 0; yk_k < %u; yk_k++) {\n            const long i = yk_tile + "
                  "yk_thread * %u + yk_k;\n"
                  "            if (i < yk_end) {\n",
                  ITEMS, ITEMS, ITEMS);
    write_input(k, t, to);
    yk_buf_text(to, "                yk_ones[yk_k] = yk_one;\n                yk_sum = yk_both(yk_sum, yk_one);\n            }\n"
                    "        }\n");
}

static void write_gpu_sum(const yoke_kernel *k, const yk_machine *t, unsigned group, yk_buf *to)
{
    write_thread(t, group, to);
    write_stretch(t, group * ITEMS, to);
    yk_buf_printf(to, "    yk_type yk_carry = yk_identity();\n"
                      "    for (long yk_tile = yk_first; yk_tile < yk_end; yk_tile += %u) {\n", group * ITEMS);
    write_tile(k, t, to);
    yk_buf_text(to, "        (void)yk_ones;\n");
    write_shared_scan(t, group, to);
    write_carry(t, group, to);
    yk_buf_text(to, "    }\n    if (yk_thread == 0)\n        yk_part[yk_group] = yk_carry;\n");
}

static void write_gpu_last(const yk_machine *t, unsigned group, yk_buf *to)
{
    write_thread(t, group, to);
    yk_buf_printf(to, "    yk_type yk_carry = yk_identity();\n    for (long yk_tile = 0; yk_tile < yk_count; yk_tile += %u) {\n"
                      "        const long yk_i = yk_tile + yk_thread;\n        yk_type yk_sum = yk_identity();\n"
                      "        if (yk_i < yk_count)\n            yk_sum = yk_part[yk_i];\n", group);
    write_shared_scan(t, group, to);
    yk_buf_text(to, "        if (yk_i < yk_count)\n"
                    "            yk_part[yk_i] = yk_thread ? yk_both(yk_carry, yk_shared[yk_thread - 1]) : yk_carry;\n");
    write_carry(t, group, to);
    yk_buf_text(to, "    }\n");
}

static void write_gpu_write(const yoke_kernel *k, const yk_machine *t, unsigned group, yk_buf *to)
{
    write_thread(t, group, to);
    write_stretch(t, group * ITEMS, to);
    yk_buf_printf(to, "    yk_type yk_carry = yk_part[yk_group];\n"
                      "    for (long yk_tile = yk_first; yk_tile < yk_end; yk_tile += %u) {\n", group * ITEMS);
    write_tile(k, t, to);
    write_shared_scan(t, group, to);
    yk_buf_printf(to, "        yk_type yk_prev = yk_thread ? yk_both(yk_carry, yk_shared[yk_thread - 1]) : yk_carry;\n"
                      "        #pragma unroll\n        for (int yk_k = 0; yk_k < %u; yk_k++) {\n"
                      "            const long i = yk_tile + yk_thread * %u + yk_k;\n            if (i >= yk_end)\n"
                      "                break;\n", ITEMS, ITEMS);
    write_output(k, t, "yk_ones[yk_k]", to);
    yk_buf_text(to, "        }\n");
    write_carry(t, group, to);
    yk_buf_text(to, "    }\n");
}

/* ---- Both ---- */

static void write_start(const yoke_kernel *k, const yk_machine *t, const char *which, unsigned group, yk_buf *to)
{
    if (strcmp(which, "last") == 0) {
        yk_text_function(k, t, which, group, to);
        yk_buf_text(to, "const long yk_count");
    } else {
        yk_text_head(k, t, which, group, to);
    }
    yk_buf_text(to, ", ");
    yk_text_result(t, false, "part", to);
    yk_buf_text(to, ")\n{\n");
    yk_text_result_at(t, false, "part", to);
    if (strcmp(which, "last") != 0)
        yk_text_arrays(k, t, to);
}

void yk_text_scan(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    yk_plan plan;
    yk_plan_make(k, t, &plan);
    if (has_segments(k)) {
        yk_text_values(k, t, k->extra->type, "yk_value", to);
        write_segments(t, to);
    } else {
        yk_text_values(k, t, k->extra->type, "yk", to);
    }
    write_start(k, t, "kernel", plan.group, to);
    if (t->is_gpu)
        write_gpu_sum(k, t, plan.group, to);
    else
        write_cpu_sum(k, t, to);
    yk_buf_text(to, "}\n");
    write_start(k, t, "last", plan.group, to);
    if (t->is_gpu)
        write_gpu_last(t, plan.group, to);
    else
        write_cpu_last(to);
    yk_buf_text(to, "}\n");
    write_start(k, t, "write", plan.group, to);
    if (t->is_gpu)
        write_gpu_write(k, t, plan.group, to);
    else
        write_cpu_write(k, t, to);
    yk_buf_text(to, "}\n");
}
