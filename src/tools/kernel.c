/* kernel: the kernels in a file: their texts for devices, whether those compile, also for devices that this machine
 * has not, and whether they give what the CPU gives (kernel_check.h). */
#include "gpu/cuda.h"
#include "tools/commands.h"
#include "tools/kernel_check.h"
#include "tools/target.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct kernel_values {
    const char *language, *device;
    int64_t capability, ulp, seed, timeout;
    bool compile_only;
} kernel_values;

/* Where texts go to: a language, and for OpenCL a device that compiles them, NULL for none. */
typedef struct goal {
    char label[40];
    yk_machine machine;
    yoke_device *dev;
    unsigned capability;
} goal;

/* ---- Kernels of a file ---- */

/* The kernels that came with the file. NULL without memory. */
yoke_kernel **yk_kernels_since(const yoke_kernel *before, const char *name, size_t *ret)
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
    all.list = yk_kernels_since(before, NULL, &all.n);
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
    goal g = {.machine = {.is_gpu = is_gpu, .units = 8, .cached = is_gpu ? 0 : 32 << 20}};
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
        goal g = {.dev = dev};
        snprintf(g.label, sizeof g.label, "%.39s", info.uri);
        if (yoke_device_status(dev) == 0) {
            g.machine = yk_machine_of(dev);
            ret[n++] = g;
        } else {
            yoke_device_close(dev);
        }
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
    if ((err = yk_kernel_check_body(k, &e)) < 0) {
        yk_buf_printf(log, "%s\n", e.text);
        return err;
    }
    yk_text_write(k, &g->machine, &text);
    if (g->dev) {
        yk_image *image = NULL;
        err = g->dev->driver->build(g->dev, yk_buf_str(&text), YK_OPENCL_OPTIONS, k->name, &image, log, &e);
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

/* What a compiler says, which need not end its last line. */
static void put_log(const yk_buf *log, yk_buf *out)
{
    yk_buf_put(out, log->ptr, log->len);
    if (log->len > 0 && log->ptr[log->len - 1] != '\n')
        yk_buf_char(out, '\n');
}

/* One line for each kernel and goal; what compilers say of those that fail follows. The exit code. */
static int compile_all(yoke_kernel *const *list, size_t n, const kernel_values *v, yk_buf *out)
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
                put_log(&log, out);
            failed += err < 0;
            yk_buf_done(&numbers);
            yk_buf_done(&log);
        }
    for (size_t j = 0; j < count; j++)
        yoke_device_close(goals[j].dev);
    return failed > 0;
}

/* ---- Running them ---- */

/* Every device whose language is asked for, with commas between. */
static void put_devices(const kernel_values *v, yk_buf *to)
{
    for (unsigned i = 0; i < yoke_device_count(); i++) {
        yoke_device_info info;
        if (yoke_device_at(i, &info) < 0 || strcmp(info.driver, "cpu") == 0)
            continue;
        if (strcmp(v->language, "all") == 0 || strncmp(v->language, info.driver, strlen(info.driver)) == 0)
            yk_buf_printf(to, "%s%s", to->len ? "," : "", info.uri);
    }
}

/* The device that is named, or by YOKE_DEVICE, else all; "" when there are none. The exit code. */
static int choose_devices(const kernel_values *v, yk_buf *to)
{
    const char *usual = getenv("YOKE_DEVICE");
    int code = 0;
    if (!v->device && !(usual && *usual)) {
        put_devices(v, to);
        return 0;
    }
    yoke_device *dev = yoke_device_open(v->device);
    if (yoke_device_status(dev) < 0)
        code = yk_complain(3, "%s", yoke_device_error(dev));
    else if (strcmp(yoke_device_about(dev)->driver, "cpu") != 0)
        yk_buf_text(to, yoke_device_about(dev)->uri);
    else if (v->device)
        code = yk_complain(2, "--device: the CPU is what devices are compared with");
    else
        put_devices(v, to);
    yoke_device_close(dev);
    return code;
}

/* A line for each kernel and device, and for each kernel under the simulator. The exit code. */
static int run_all(const char *path, const char *name, yoke_kernel *const *list, size_t n, const kernel_values *v, yk_buf *out)
{
    yk_buf devices = {0}, why = {0};
    unsigned failed = 0;
    int err = 0, code = choose_devices(v, &devices);
    yk_check c = {.path = path, .name = name, .devices = yk_buf_str(&devices), .seed = (uint64_t)v->seed,
                  .ulp = (uint64_t)v->ulp, .timeout = v->timeout};
    if (code == 0 && devices.len == 0)
        yk_buf_text(out, "there is no device here to compare the CPU with: yoke doctor says what was looked for\n");
    else if (code == 0)
        err = yk_compare(&c, n, &failed, out, &why);
    if (err < 0)
        code = yk_complain(err == -ENODEV ? 3 : 1, "%s", yk_buf_str(&why));
    if (code == 0) /* a simulator takes its time */
        code = yk_write_out(out);
    if (code == 0 && strcmp(v->language, "cuda") != 0)
        yk_simulate(&c, list, n, &failed, out);
    yk_buf_done(&devices);
    yk_buf_done(&why);
    return code != 0 ? code : failed > 0;
}

static int check(const char *path, const char *name, yoke_kernel *const *list, size_t n, const kernel_values *v, yk_buf *out)
{
    int code = compile_all(list, n, v, out);
    if (code > 1 || v->compile_only)
        return code;
    int written = yk_write_out(out), ran = written == 0 ? run_all(path, name, list, n, v, out) : written;
    return ran > code ? ran : code;
}

static void set_defaults(kernel_values *v, bool shows)
{
    v->language = v->language ? v->language : shows ? "cuda" : "all";
    v->capability = v->capability ? v->capability : 90;
    v->ulp = v->ulp ? v->ulp : 32;
    v->seed = v->seed ? v->seed : 1;
    v->timeout = v->timeout ? v->timeout : 60 * (int64_t)1000000000;
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
    set_defaults(v, shows);
    char *path = strdup(operands->v[1]), *colon = path ? strrchr(path, ':') : NULL, *name = colon ? colon + 1 : NULL;
    if (!path)
        return yk_complain(1, "out of memory");
    if (colon)
        *colon = '\0';
    const yoke_kernel *before = yk_kernels();
    int code = yk_target_open_any(path, &m);
    if (code == 0) {
        yoke_kernel **list = yk_kernels_since(before, name, &n);
        if (list && n == 0)
            code = no_kernels(before, path, name);
        else if (list && shows)
            show(list, n, v, &out);
        else if (list)
            code = check(path, name, list, n, v, &out);
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
    {.name = "compile-only",
     .kind = YK_OPT_FLAG,
     .help = "check: run nothing",
     .offset = offsetof(kernel_values, compile_only)},
    {.name = "device",
     .kind = YK_OPT_TEXT,
     .metavar = "URI",
     .help = "check: the one device to compare with; else that of YOKE_DEVICE, else every one",
     .likely = "opencl|cuda",
     .offset = offsetof(kernel_values, device)},
    {.name = "ulp",
     .kind = YK_OPT_NUMBER,
     .metavar = "N",
     .help = "check: how many units in the last place results may differ by, 1 or more (32)",
     .offset = offsetof(kernel_values, ulp)},
    {.name = "seed",
     .kind = YK_OPT_NUMBER,
     .metavar = "N",
     .help = "check: which arguments are made up (1)",
     .offset = offsetof(kernel_values, seed)},
    {.name = "timeout",
     .kind = YK_OPT_DURATION,
     .metavar = "DURATION",
     .help = "check: how long a run of a kernel may take, 4 times what it may under Oclgrind (60s)",
     .offset = offsetof(kernel_values, timeout)},
    {.name = NULL}};

static const yk_example kernel_examples[] = {{"yoke kernel check axpy.c",
                                              "whether its kernels compile, and give on devices what they give on the CPU"},
                                             {"yoke kernel show axpy.c:axpy --language opencl", "the text that is compiled"},
                                             {NULL, NULL}};

const yk_command yk_command_kernel = {
    .name = "kernel",
    .summary = "show the kernels in a file, and check them on devices",
    .operands = "show|check FILE[:KERNEL]",
    .description =
        "show prints what YOKE_KERNEL, YOKE_REDUCTION, YOKE_SCAN_KERNEL and YOKE_PROGRAM in FILE become for a device: "
        "the text that its compiler reads. FILE is a .c (compiled first, if it has changed) or a .so.\n\n"
        "check does three things. It compiles that text with NVRTC, which needs no GPU, and with every OpenCL device "
        "that there is. It runs every kernel on the CPU and on every OpenCL and CUDA device, and compares the results. "
        "It runs them under Oclgrind, if that is installed, which finds accesses out of bounds and races. Each of them "
        "is a line, with what the compiler says where it fails; --compile-only leaves out the last two.\n\n"
        "To be compared a kernel gets 1, 17, 1000 and 4097 elements, a program 1, 3 and 17 groups. Its arguments are "
        "made up from its parameters and --seed: zero, negative numbers and fractions; a number that an array's length "
        "depends on is that of the elements, or of the items in all groups, as many as an array of a program has that "
        "does not say how long it is. A kernel that does not survive these, since it takes numbers for indices or "
        "divides by them, is tried with numbers from 0 on that are smaller than its arrays are long, with zeros, and "
        "with zeros in arrays and ones elsewhere; the line says so. On the CPU its arrays end, or begin, at addresses "
        "that cannot be touched.\n\n"
        "Compared are all arrays that are not `in`, and the result of a reduction. Integers must be the same bit for "
        "bit; so must floating-point numbers of a kernel that does nothing but + - * and what is as exact; others may "
        "differ by --ulp units in the last place, and by 8 times as much as the CPU's own ways of doing it differ: all "
        "elements at once, in blocks, one by one from the last on. Results that these ways do not agree upon depend on "
        "the order of elements, which is an error, too; so is what an `out` array had before and has yet. A program runs on "
        "an OpenCL CPU also as its items are on a GPU, each with variables of its own. NaN is NaN. Not compared are kernels "
        "that use what yoke_atomic_... gives back, or yoke_fast_..., and those with structs whose fields are not in "
        "YOKE_DEVICE_CODE, or are no numbers. A program that leaves its arrays is not compared: nobody tells what it "
        "expects of its arguments. Where a kernel ends the process, or does not end, that is a line, and the next has "
        "its turn.",
    .examples = kernel_examples,
    .options = kernel_options,
    .exit_codes = "0 done\n1 a kernel does not compile or is wrong (see the manual), or stdout cannot be written\n"
                  "2 no such file, it does not compile, or has no such kernel\n"
                  "3 there is no compiler for devices, or not the device that was named\n",
    .least = 2,
    .most = 2,
    .size = sizeof(kernel_values),
    .run = run_kernel,
};
