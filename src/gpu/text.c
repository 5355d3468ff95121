/* text: what all texts of kernels have in common: the dialect, the device code of the user's file, parameters,
 * bodies, and where in that file each came from, so that a compiler's complaints name it. */
#include "gpu/kernel.h"
#include "topo/past_cache.h"
#include <stdio.h>

void yk_text_line(yk_buf *to, unsigned line, const char *file)
{
    yk_buf_printf(to, "\n#line %u \"", line);
    for (; *file; file++) {
        if (*file == '"' || *file == '\\')
            yk_buf_char(to, '\\');
        yk_buf_char(to, *file);
    }
    yk_buf_text(to, "\"\n");
}

const char *yk_text_type(const yk_machine *t, const char *type)
{
    static const char *const kernel_types[][2] = {{"bool", "uchar"}, {"_Bool", "uchar"}, {"size_t", "ulong"},
        {"ssize_t", "long"}, {"ptrdiff_t", "long"}, {"intptr_t", "long"}, {"uintptr_t", "ulong"}, {"long long", "long"},
        {"unsigned long long", "ulong"}, {"signed char", "char"}};
    for (size_t i = 0; !t->is_cuda && i < YK_COUNT_OF(kernel_types); i++)
        if (strcmp(type, kernel_types[i][0]) == 0)
            return kernel_types[i][1];
    return type;
}

/* ---- Bodies ---- */

static int vector_named(const yoke_kernel *k, const yk_plan *plan, const yk_token *name)
{
    for (unsigned p = 0; plan && p < k->nparams; p++)
        if (plan->vector[p] && yk_token_is(name, k->params[p].name))
            return (int)p;
    return -1;
}

static const char *past(const yk_token *t)
{
    return t->at + t->len;
}

void yk_text_body(const yoke_kernel *k, const yk_machine *t, const char *text, const yk_plan *registers, yk_buf *to)
{
    yk_token before = {YK_TOKEN_SIGN, ";", 1}, here, after;
    for (const char *p = text; yk_token_read(p, &here), here.kind != YK_TOKEN_END; p = past(&here)) {
        bool member = yk_token_is(&before, ".") || yk_token_is(&before, "->");
        int vector = here.kind == YK_TOKEN_NAME && !member ? vector_named(k, registers, &here) : -1;
        yk_token_read(past(&here), &after);
        before = here;
        if (!t->is_cuda && yk_token_is(&here, "long") && yk_token_is(&after, "long"))
            continue; /* OpenCL C 1.2 has no long long, and its long has 64 bits */
        yk_buf_put(to, p, (size_t)(here.at - p));
        if (vector >= 0) {
            yk_buf_printf(to, "yk_r_%s.e[yk_k]", k->params[vector].name);
            for (int i = 0; i < 3; i++) /* name [ i ] */
                yk_token_read(past(&here), &here);
        } else {
            yk_buf_put(to, here.at, here.len);
        }
    }
}

/* ---- Parameters ---- */

static void write_param(const yk_param *p, const yk_machine *t, yk_buf *to)
{
    const char *type = yk_text_type(t, p->type), *constant = p->kind == YK_IN ? "const " : "";
    if (p->kind == YK_VAL)
        yk_buf_printf(to, ", const %s %s", type, p->name);
    else if (t->is_cuda)
        yk_buf_printf(to, ", %s%s *__restrict__ %s", constant, type, p->name);
    else
        yk_buf_printf(to, ", __global %s%s *restrict yk_base_%s, const ulong yk_at_%s", constant, type, p->name, p->name);
}

void yk_text_function(const yoke_kernel *k, const yk_machine *t, const char *which, unsigned group, yk_buf *to)
{
    if (t->is_cuda)
        yk_buf_printf(to, "extern \"C\" __global__ void __launch_bounds__(%u) %s_%s(", group, which, k->name);
    else
        yk_buf_printf(to, "__kernel __attribute__((reqd_work_group_size(%u, 1, 1))) void %s_%s(", group, which, k->name);
}

void yk_text_head(const yoke_kernel *k, const yk_machine *t, const char *which, unsigned group, yk_buf *to)
{
    yk_text_function(k, t, which, group, to);
    yk_buf_text(to, k->form == YK_MAP_KERNEL ? "const long yk_begin, const long yk_end, const long n"
                    : k->form == YK_GROUP_KERNEL ? "const long groups" : "const long n");
    for (unsigned p = 0; p < k->nparams; p++)
        write_param(&k->params[p], t, to);
}

void yk_text_arrays(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    for (unsigned i = 0; i < k->nparams && !t->is_cuda; i++) {
        const yk_param *p = &k->params[i];
        const char *constant = p->kind == YK_IN ? "const " : "", *type = yk_text_type(t, p->type);
        if (p->kind != YK_VAL)
            yk_buf_printf(to, "    __global %s%s *restrict %s = (__global %s%s *)((__global %schar *)yk_base_%s + yk_at_%s);\n",
                          constant, type, p->name, constant, type, constant, p->name, p->name);
    }
}

void yk_text_result(const yk_machine *t, bool constant, const char *name, yk_buf *to)
{
    const char *word = constant ? "const " : "";
    if (t->is_cuda)
        yk_buf_printf(to, "%syk_type *__restrict__ yk_%s", word, name);
    else
        yk_buf_printf(to, "__global %syk_type *restrict yk_base_of_%s, const ulong yk_at_of_%s", word, name, name);
}

void yk_text_result_at(const yk_machine *t, bool constant, const char *name, yk_buf *to)
{
    const char *word = constant ? "const " : "";
    if (!t->is_cuda)
        yk_buf_printf(to, "    __global %syk_type *restrict yk_%s = (__global %syk_type *)((__global %schar *)yk_base_of_%s + "
                          "yk_at_of_%s);\n", word, name, word, word, name, name);
}

/* ---- Values that are taken together ---- */

/* Without the parentheses round it. */
static void put_initialiser(yk_buf *to, const char *text)
{
    size_t len = strlen(text);
    if (len >= 2 && *text == '(')
        yk_buf_put(to, text + 1, len - 2);
}

void yk_text_values(const yoke_kernel *k, const yk_machine *t, const char *type, const char *prefix, yk_buf *to)
{
    const char *fn = t->is_cuda ? "__device__ inline " : "";
    yk_buf_printf(to, "typedef %s %s_type;\n", yk_text_type(t, type), prefix);
    if (!t->is_cuda)
        yk_buf_printf(to, "%s_type %s_both(const %s_type a, const %s_type b);\n%s_type %s_identity(void);\n", prefix, prefix,
                      prefix, prefix, prefix, prefix);
    yk_buf_printf(to, "%s%s_type %s_both(const %s_type a, const %s_type b) { return", fn, prefix, prefix, prefix, prefix);
    yk_text_line(to, k->line, k->file);
    yk_text_body(k, t, k->texts[1], NULL, to);
    yk_buf_printf(to, "\n; }\n%s%s_type %s_identity(%s) { const %s_type yk_it =", fn, prefix, prefix, t->is_cuda ? "" : "void",
                  prefix);
    yk_text_line(to, k->line, k->file);
    put_initialiser(to, k->texts[2]);
    yk_buf_text(to, "\n; return yk_it; }\n");
}

/* ---- Registers ---- */

static const char *word_of(unsigned bytes)
{
    return bytes == 16 ? "uint4" : bytes == 8 ? "uint2" : bytes == 4 ? "uint" : bytes == 2 ? "ushort" : "uchar";
}

/* How many bytes of a parameter are read at a time: at most 16, and no more than a run has. */
static unsigned word_bytes(const yk_param *p, const yk_plan *plan)
{
    return YK_MIN(16, p->size * plan->run);
}

void yk_text_registers(const yoke_kernel *k, const yk_plan *plan, yk_buf *to)
{
    for (unsigned i = 0; i < k->nparams; i++) {
        const yk_param *p = &k->params[i];
        unsigned bytes = word_bytes(p, plan);
        if (plan->vector[i])
            yk_buf_printf(to, "        union { %s e[%u]; %s v[%u]; } yk_r_%s;\n", p->type, plan->items, word_of(bytes),
                          plan->items * p->size / bytes, p->name);
    }
}

void yk_text_registers_move(const yoke_kernel *k, const yk_plan *plan, bool back, yk_buf *to)
{
    for (unsigned i = 0; i < k->nparams; i++) {
        const yk_param *p = &k->params[i];
        unsigned bytes = word_bytes(p, plan), words = plan->run * p->size / bytes;
        if (!plan->vector[i] || p->kind == (back ? YK_IN : YK_OUT))
            continue;
        yk_buf_printf(to,
            "        #pragma unroll\n        for (int yk_r = 0; yk_r < %u; yk_r++)\n            #pragma unroll\n"
            "            for (int yk_w = 0; yk_w < %u; yk_w++)\n                ", plan->items / plan->run, words);
        if (back)
            yk_buf_printf(to, "((%s *)(%s + yk_at + yk_r * %u))[yk_w] = yk_r_%s.v[yk_r * %u + yk_w];\n", word_of(bytes), p->name,
                          plan->group * plan->run, p->name, words);
        else
            yk_buf_printf(to, "yk_r_%s.v[yk_r * %u + yk_w] = ((const %s *)(%s + yk_at + yk_r * %u))[yk_w];\n", p->name, words,
                          word_of(bytes), p->name, plan->group * plan->run);
    }
}

void yk_text_aligned(const yoke_kernel *k, const yk_plan *plan, yk_buf *to)
{
    yk_buf_text(to, "((0");
    for (unsigned i = 0; i < k->nparams; i++)
        if (plan->vector[i])
            yk_buf_printf(to, " | (unsigned long)%s", k->params[i].name);
    yk_buf_text(to, ") % 16 == 0)");
}

/* ---- The whole ---- */

yk_machine yk_machine_of(const yoke_device *dev)
{
    size_t limit = dev->info.is_gpu ? SIZE_MAX : yk_past_cache_limit();
    return (yk_machine){.is_cuda = strcmp(dev->driver->name, "cuda") == 0, .is_gpu = dev->info.is_gpu, .units = dev->info.units,
                        .cached = limit < SIZE_MAX ? limit : 0};
}

static bool mentions(const yoke_kernel *k, const char *word)
{
    const yk_device_code *c = NULL;
    for (size_t i = 0; i < YK_COUNT_OF(k->texts); i++)
        if (k->texts[i] && strstr(k->texts[i], word))
            return true;
    while ((c = yk_device_code_after(k, c)))
        if (strstr(c->text, word))
            return true;
    return false;
}

static void write_names(const yoke_kernel *k, const yk_dialect_name *names, yk_buf *to)
{
    for (; names->name; names++)
        if (mentions(k, names->name))
            yk_buf_printf(to, "#define %s%s\n", names->name, names->means);
}

void yk_text_write(const yoke_kernel *k, const yk_machine *t, yk_buf *to)
{
    const yk_device_code *c = NULL;
    yk_buf_text(to, t->is_cuda ? yk_dialect_cuda : yk_dialect_opencl);
    if (mentions(k, "yoke_atomic_"))
        yk_buf_text(to, t->is_cuda ? yk_dialect_cuda_atomics : yk_dialect_opencl_atomics);
    if (!t->is_cuda)
        write_names(k, yk_dialect_opencl_names, to);
    while ((c = yk_device_code_after(k, c))) {
        yk_text_line(to, c->line, c->file);
        yk_text_body(k, t, c->text, NULL, to);
    }
    yk_buf_text(to, "\n");
    if (k->form == YK_REDUCE_KERNEL)
        yk_text_reduce(k, t, to);
    else if (k->form == YK_SCAN_KERNEL)
        yk_text_scan(k, t, to);
    else if (k->form == YK_GROUP_KERNEL)
        yk_text_group(k, t, to);
    else
        yk_text_map(k, t, to);
}
