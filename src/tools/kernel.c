/* kernel: the kernels in a file: their texts for devices, and whether those compile, also for devices that
 * this machine has not. */
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include "tools/commands.h"
#include "tools/target.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct kernel_values {
    const char *language;
    int64_t capability;
} kernel_values;

/* Where texts go to: a language, and for OpenCL a device that compiles them, NULL for none. */
typedef struct goal {
    char label[40];
    yk_machine machine;
    yoke_device *dev;
    unsigned capability;
} goal;

/* ---- Kernels of a file ---- */

/* The kernels that came with the file, in the order in which they stand there. To be freed; NULL without memory. */
static yoke_kernel **kernels_since(const yoke_kernel *before, const char *name, size_t *ret)
{
    size_t n = 0, at = 0;
    for (yoke_kernel *k = yk_kernels(); k && k != before; k = k->next)
        n++;
    yoke_kernel **list = calloc(n + 1, sizeof(yoke_kernel *));
    for (yoke_kernel *k = yk_kernels(); list && k && k != before; k = k->next)
        if (!name || strcmp(k->name, name) == 0)
            list[at++] = k;
    for (size_t i = 0; list && i < at / 2; i++) {
        yoke_kernel *k = list[i];
        list[i] = list[at - 1 - i];
        list[at - 1 - i] = k;
    }
    *ret = at;
    return list;
}

typedef struct names {
    yoke_kernel **list;
    size_t n;
} names;

static const char *name_at(void *ctx, size_t i)
{
    const names *all = ctx;
    return i < all->n ? all->list[i]->name : NULL;
}

static int no_kernels(const yoke_kernel *before, const char *path, const char *name)
{
    names all;
    if (!name)
        return yk_complain(2, "%s has no kernels", path);
    all.list = kernels_since(before, NULL, &all.n);
    const char *near = all.list ? yk_nearest(name, name_at, &all) : NULL;
    int code = near ? yk_complain(2, "%s has no kernel %s: did you mean %s?", path, name, near)
                    : yk_complain(2, "%s has no kernel %s", path, name);
    free(all.list);
    return code;
}

/* ---- Goals ---- */

static goal cuda_goal(const kernel_values *v)
{
    goal g = {.machine = {.is_cuda = true, .is_gpu = true, .units = 132}, .capability = (unsigned)v->capability};
    snprintf(g.label, sizeof g.label, "cuda, capability %u.%u", g.capability / 10, g.capability % 10);
    return g;
}

static goal opencl_goal(bool is_gpu)
{
    goal g = {.machine = {.is_gpu = is_gpu, .units = 8}};
    snprintf(g.label, sizeof g.label, "%s", is_gpu ? "opencl, a GPU" : "opencl, a CPU");
    return g;
}

/* The compiler of CUDA if there is one, and every OpenCL device. Returns how many; at most 16. */
static size_t find_goals(const kernel_values *v, goal *ret)
{
    size_t n = 0;
    const char *compiler;
    yk_error e;
    bool all = strcmp(v->language, "all") == 0;
    if ((all || strcmp(v->language, "cuda") == 0) && yk_nvrtc_identity(&compiler, &e) == 0)
        ret[n++] = cuda_goal(v);
    for (unsigned i = 0; i < yoke_device_count() && n < 16; i++) {
        yoke_device_info info;
        bool is_opencl = yoke_device_at(i, &info) == 0 && strcmp(info.driver, "opencl") == 0;
        if (!is_opencl || !(all || strncmp(v->language, "opencl", 6) == 0))
            continue;
        yoke_device *dev = yoke_device_open(info.uri);
        goal g = {.dev = dev, .machine = {.is_gpu = info.is_gpu, .units = info.units}};
        snprintf(g.label, sizeof g.label, "%.39s", info.uri);
        if (yoke_device_status(dev) == 0)
            ret[n++] = g;
        else
            yoke_device_close(dev);
    }
    return n;
}

/* ---- Show and check ---- */

static void show(yoke_kernel *const *list, size_t n, const kernel_values *v, yk_buf *out)
{
    goal g = strncmp(v->language, "opencl", 6) == 0 ? opencl_goal(strcmp(v->language, "opencl-gpu") == 0) : cuda_goal(v);
    for (size_t i = 0; i < n; i++) {
        yk_buf_printf(out, "/* %s (%s:%u) for %s */\n", list[i]->name, list[i]->file, list[i]->line, g.label);
        yk_text_write(list[i], &g.machine, out);
    }
}

/* "32 registers" out of what the assembler says, and no more than that. */
static void put_numbers(const yk_buf *numbers, yk_buf *out)
{
    const char *used = numbers->ptr ? strstr(numbers->ptr, "Used ") : NULL;
    if (used)
        yk_buf_printf(out, ", %.*s", (int)strcspn(used + 5, ",\n"), used + 5);
}

static int compile(const yoke_kernel *k, const goal *g, yk_buf *out, yk_buf *log)
{
    yk_buf text = {0};
    yk_error e = {.text = ""};
    int err;
    yk_text_write(k, &g->machine, &text);
    if (g->dev) {
        yk_image *image = NULL;
        err = g->dev->driver->build(g->dev, yk_buf_str(&text), "-cl-std=CL1.2", k->name, &image, log, &e);
        if (err == 0)
            g->dev->driver->unload(g->dev, image);
    } else {
        yk_binary b = {.is_ptx = false};
        err = yk_nvrtc_compile(&(yk_build_source){yk_buf_str(&text), YK_CUDA_OPTIONS, k->name, g->capability}, &b, &e);
        yk_buf_put(log, b.log.ptr, b.log.len);
        yk_buf_str(&b.numbers);
        if (err == 0)
            put_numbers(&b.numbers, out);
        yk_binary_done(&b);
    }
    if (err < 0 && log->len == 0)
        yk_buf_text(log, e.text);
    yk_buf_done(&text);
    return err;
}

/* One line for each kernel and goal; what compilers say of those that fail follows. The exit code. */
static int check(yoke_kernel *const *list, size_t n, const kernel_values *v, yk_buf *out)
{
    goal goals[17];
    size_t count = find_goals(v, goals);
    unsigned failed = 0;
    if (count == 0)
        return yk_complain(3, "there is no compiler for %s here: yoke doctor says what was looked for",
                           strcmp(v->language, "all") == 0 ? "CUDA or OpenCL" : v->language);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < count; j++) {
            yk_buf log = {0}, numbers = {0};
            int err = compile(list[i], &goals[j], &numbers, &log);
            yk_buf_str(&numbers);
            yk_buf_printf(out, "%s: %s: %s%s\n", list[i]->name, goals[j].label, err == 0 ? "ok" : "does not compile",
                          numbers.len ? numbers.ptr : "");
            if (err < 0)
                yk_buf_put(out, log.ptr, log.len);
            failed += err < 0;
            yk_buf_done(&numbers);
            yk_buf_done(&log);
        }
    for (size_t j = 0; j < count; j++)
        yoke_device_close(goals[j].dev);
    return failed > 0;
}

static int run_kernel(void *values, const yk_words *operands)
{
    kernel_values *v = values;
    yoke_module *m;
    yk_buf out = {0};
    size_t n;
    bool shows = strcmp(operands->v[0], "show") == 0;
    if (!shows && strcmp(operands->v[0], "check") != 0)
        return yk_complain(2, "\"%s\": expected show or check", operands->v[0]);
    v->language = v->language ? v->language : shows ? "cuda" : "all";
    v->capability = v->capability ? v->capability : 90;
    char *path = strdup(operands->v[1]), *colon = path ? strrchr(path, ':') : NULL, *name = colon ? colon + 1 : NULL;
    if (!path)
        return yk_complain(1, "out of memory");
    if (colon)
        *colon = '\0';
    const yoke_kernel *before = yk_kernels();
    int code = yk_target_open_file(path, &m);
    if (code == 0) {
        yoke_kernel **list = kernels_since(before, name, &n);
        if (list && n == 0)
            code = no_kernels(before, path, name);
        else if (list && shows)
            show(list, n, v, &out);
        else if (list)
            code = check(list, n, v, &out);
        int written = yk_write_out(&out);
        code = code ? code : written;
        free(list);
        yoke_module_close(m);
    }
    free(path);
    return code;
}

static const yk_option kernel_options[] = {
    {.name = "language",
     .kind = YK_OPT_CHOICE,
     .choices = "all|cuda|opencl|opencl-gpu",
     .help = "which texts; show: cuda, check: all, unless given",
     .offset = offsetof(kernel_values, language)},
    {.name = "capability",
     .kind = YK_OPT_NUMBER,
     .metavar = "N",
     .help = "the CUDA devices to compile for: 90 is 9.0, and what is compiled for unless given",
     .offset = offsetof(kernel_values, capability)},
    {.name = NULL}};

static const yk_example kernel_examples[] = {{"yoke kernel check axpy.c", "whether its kernels compile for CUDA and OpenCL"},
                                             {"yoke kernel show axpy.c:axpy --language opencl", "the text that is compiled"},
                                             {NULL, NULL}};

const yk_command yk_command_kernel = {
    .name = "kernel",
    .summary = "show the kernels in a file, and check that they compile",
    .operands = "show|check FILE[:KERNEL]",
    .description = "show prints what YOKE_KERNEL, YOKE_REDUCTION, YOKE_SCAN_KERNEL and YOKE_PROGRAM in FILE "
                   "become for a device: the text that its "
                   "compiler reads. FILE is a .c (compiled first, if it has changed) or a .so.\n\n"
                   "check compiles that text with NVRTC, which needs no GPU, and with every OpenCL device "
                   "that there is, and prints a line for "
                   "each, with what the compiler says where it fails.",
    .examples = kernel_examples,
    .options = kernel_options,
    .exit_codes = "0 done\n1 a kernel does not compile, or stdout cannot be written\n2 no such file, it does "
                  "not compile, or has no "
                  "such kernel\n3 there is no compiler for devices\n",
    .least = 2,
    .most = 2,
    .size = sizeof(kernel_values),
    .run = run_kernel,
};
