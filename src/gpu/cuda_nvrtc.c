/* cuda_nvrtc: finds and opens NVRTC, the compiler of CUDA as a library, and compiles with it. It needs neither a
 * toolkit nor a GPU.
 *
 * It is looked for by path, so that what was compiled before can be used without opening it (100 MB): what YOKE_NVRTC
 * names, a library or its folder; the folders of LD_LIBRARY_PATH, CUDA_HOME and CUDA_PATH; Python's package
 * nvidia-cuda-nvrtc in VIRTUAL_ENV and CONDA_PREFIX, where `tools/setup test` puts it (yoke/nvrtc in XDG_CACHE_HOME or
 * ~/.cache), and in ~/.local; then the system's: /usr/local/cuda, its folders of libraries, Python's; last by its plain
 * name. First the version of the driver, whose images that takes for certain, then older ones, then newer ones. */
#include "gpu/cuda.h"
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct nvrtc_program;

enum nvrtc_result { OK = 0, OUT_OF_MEMORY = 1, INVALID_OPTION = 5, COMPILATION = 6, BUILTINS = 7 };

#define NVRTC_CALLS(X)                                                                                                 \
    X(nvrtcGetNumSupportedArchs, (int *ret))                                                                           \
    X(nvrtcGetSupportedArchs, (int *ret))                                                                              \
    X(nvrtcCreateProgram, (struct nvrtc_program **ret, const char *text, const char *name, int headers,                \
                           const char *const *sources, const char *const *names))                                      \
    X(nvrtcDestroyProgram, (struct nvrtc_program **p))                                                                 \
    X(nvrtcCompileProgram, (struct nvrtc_program *p, int count, const char *const *options))                           \
    X(nvrtcGetProgramLogSize, (struct nvrtc_program *p, size_t *ret))                                                  \
    X(nvrtcGetProgramLog, (struct nvrtc_program *p, char *ret))                                                        \
    X(nvrtcGetCUBINSize, (struct nvrtc_program *p, size_t *ret))                                                       \
    X(nvrtcGetCUBIN, (struct nvrtc_program *p, char *ret))                                                             \
    X(nvrtcGetPTXSize, (struct nvrtc_program *p, size_t *ret))                                                         \
    X(nvrtcGetPTX, (struct nvrtc_program *p, char *ret))

#define FIELD(name, parameters) int(*name) parameters;
/* Written under lock, once each; read by who has seen them written under it. */
static struct {
    yk_mutex lock;
    bool looked, opened;
    int found, usable; /* 0 or a negative code */
    char path[PATH_MAX], identity[PATH_MAX + 200];
    void *library;
    yk_error error;
    NVRTC_CALLS(FIELD)
    int archs[64], arch_count;
} nvrtc;

/* ---- Finding it ---- */

/* In the order in which they are tried, and the major version of CUDA whose soname each is. 11.2 is all of 11.2
 * to 11.8. */
static const struct {
    int major;
    const char *name;
} sonames[] = {{13, "libnvrtc.so.13"}, {12, "libnvrtc.so.12"}, {11, "libnvrtc.so.11.2"}};

static bool try_file(const char *folder, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path || access(path, R_OK) != 0)
        return false;
    snprintf(nvrtc.path, sizeof nvrtc.path, "%s", path);
    return true;
}

static bool try_pattern(const char *name, const char *base, const char *rest)
{
    char pattern[PATH_MAX];
    glob_t found;
    bool ok = false;
    if (!base || !*base || snprintf(pattern, sizeof pattern, "%s%s", base, rest) >= (int)sizeof pattern)
        return false;
    if (!strchr(rest, '*'))
        return try_file(pattern, name);
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc && !ok; i++)
        ok = try_file(found.gl_pathv[i], name);
    globfree(&found);
    return ok;
}

static bool try_path_list(const char *list, const char *name)
{
    char folder[PATH_MAX];
    bool ok = false;
    for (const char *p = list; p && *p && !ok; p += strspn(p, ":")) {
        size_t n = strcspn(p, ":");
        if (n < sizeof folder) {
            memcpy(folder, p, n);
            folder[n] = '\0';
            ok = try_file(folder, name);
        }
        p += n;
    }
    return ok;
}

/* Where packages of Python lie, below one folder. Each package of NVRTC has one of two layouts. */
static bool try_packages(const char *name, const char *base, const char *folder)
{
    char rest[100];
    snprintf(rest, sizeof rest, "%s/nvidia/cu[0-9]*/lib", folder);
    if (try_pattern(name, base, rest))
        return true;
    snprintf(rest, sizeof rest, "%s/nvidia/cuda_nvrtc/lib", folder);
    return try_pattern(name, base, rest);
}

static bool try_folders(const char *name)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    return try_path_list(getenv("LD_LIBRARY_PATH"), name) || try_pattern(name, getenv("CUDA_HOME"), "/lib64") ||
           try_pattern(name, getenv("CUDA_PATH"), "/lib64") ||
           try_packages(name, getenv("VIRTUAL_ENV"), "/lib*/python3*/site-packages") ||
           try_pattern(name, getenv("CONDA_PREFIX"), "/lib") ||
           (xdg && *xdg == '/' ? try_packages(name, xdg, "/yoke/nvrtc")
                               : try_packages(name, home, "/.cache/yoke/nvrtc")) ||
           try_packages(name, home, "/.local/lib/python3*/site-packages") || try_file("/usr/local/cuda/lib64", name) ||
           try_pattern(name, "/usr/lib", "/*-linux-gnu") || try_file("/usr/lib64", name) ||
           try_packages(name, "/usr", "/local/lib/python3*/*-packages") ||
           try_packages(name, "/usr", "/lib/python3*/*-packages");
}

/* The n-th soname to try with this driver: its own major version, downwards, then those above. */
static const char *soname(size_t n, int driver)
{
    size_t first = 0;
    while (first < YK_COUNT_OF(sonames) - 1 && sonames[first].major > driver)
        first++;
    return sonames[first + n < YK_COUNT_OF(sonames) ? first + n : YK_COUNT_OF(sonames) - 1 - n].name;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A plain name: only the loader knows where. */
static bool try_loader(const char *name)
{
    struct link_map *map = NULL;
    void *library = yk_sys.dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    nvrtc.library = library;
    snprintf(nvrtc.path, sizeof nvrtc.path, "%s", dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : name);
    return true;
}

static bool look(const char *own)
{
    int driver = yk_cuda_version() / 1000;
    for (size_t i = 0; own && i < YK_COUNT_OF(sonames); i++)
        if (is_folder(own) && try_file(own, soname(i, driver)))
            return true;
    if (own) {
        snprintf(nvrtc.path, sizeof nvrtc.path, "%s", own);
        return access(own, R_OK) == 0 && !is_folder(own);
    }
    for (size_t i = 0; i < YK_COUNT_OF(sonames); i++)
        if (try_folders(soname(i, driver)))
            return true;
    for (size_t i = 0; i < YK_COUNT_OF(sonames); i++)
        if (try_loader(soname(i, driver)))
            return true;
    return try_loader("libnvrtc.so");
}

/* ---- What identifies it: path, size and time of the library and of what it reads when it compiles ---- */

static void add_file(const char *path)
{
    struct stat st = {0};
    size_t n = strlen(nvrtc.identity);
    if (stat(path, &st) == 0)
        snprintf(nvrtc.identity + n, sizeof nvrtc.identity - n, " %lld %lld.%ld", (long long)st.st_size,
                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void identify(void)
{
    char pattern[PATH_MAX];
    glob_t found;
    const char *slash = strrchr(nvrtc.path, '/');
    snprintf(nvrtc.identity, sizeof nvrtc.identity, "%s", nvrtc.path);
    add_file(nvrtc.path);
    snprintf(pattern, sizeof pattern, "%.*s/libnvrtc-builtins.so*", slash ? (int)(slash - nvrtc.path) : 0, nvrtc.path);
    if (slash && glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && i < 4; i++)
            add_file(found.gl_pathv[i]);
        globfree(&found);
    }
}

static int find_it(void)
{
    const char *own = getenv("YOKE_NVRTC");
    if (!look(own && *own ? own : NULL))
        return yk_errorf(&nvrtc.error, ENOPKG, "cuda: no compiler: %s%s",
                         own && *own ? "there is no NVRTC at YOKE_NVRTC=" : "",
                         own && *own ? own
                                     : "NVRTC (libnvrtc.so.13, .12 or .11.2) is neither in a toolkit's folders nor among "
                                       "Python's packages: pip install nvidia-cuda-nvrtc, or set YOKE_NVRTC");
    identify();
    return 0;
}

int yk_nvrtc_identity(const char **ret, yk_error *e)
{
    yk_mutex_lock(&nvrtc.lock);
    if (!nvrtc.looked) {
        nvrtc.found = find_it();
        nvrtc.looked = true;
    }
    yk_mutex_unlock(&nvrtc.lock);
    if (nvrtc.found < 0) {
        if (e)
            *e = nvrtc.error;
        return nvrtc.found;
    }
    *ret = nvrtc.identity;
    return 0;
}

void yk_nvrtc_describe(yk_buf *out)
{
    const char *identity;
    yk_error e = {0};
    if (yk_nvrtc_identity(&identity, &e) < 0)
        yk_buf_printf(out, "  %s\n", e.text);
    else
        yk_buf_printf(out, "  kernels are compiled by %s\n", nvrtc.path);
}

/* ---- Opening it ---- */

static const struct {
    const char *name;
    size_t at;
} entries[] = {
#define ENTRY(name, parameters) {#name, offsetof(__typeof__(nvrtc), name)},
    NVRTC_CALLS(ENTRY)};

static int open_it(void)
{
    if (!nvrtc.library)
        nvrtc.library = yk_sys.dlopen(nvrtc.path, RTLD_NOW | RTLD_LOCAL);
    if (!nvrtc.library) {
        const char *why = dlerror();
        return yk_errorf(&nvrtc.error, ENOPKG, "cuda: no compiler: %s", why ? why : nvrtc.path);
    }
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++) {
        void *p = dlsym(nvrtc.library, entries[i].name);
        if (!p)
            return yk_errorf(&nvrtc.error, ENOPKG, "cuda: %s is no NVRTC, or one before 11.2: it lacks %s", nvrtc.path,
                             entries[i].name);
        memcpy((char *)&nvrtc + entries[i].at, &p, sizeof p);
    }
    int count = 0;
    if (nvrtc.nvrtcGetNumSupportedArchs(&count) != OK || count < 1 || count > (int)YK_COUNT_OF(nvrtc.archs) ||
        nvrtc.nvrtcGetSupportedArchs(nvrtc.archs) != OK)
        return yk_errorf(&nvrtc.error, ENOPKG, "cuda: %s does not say for which devices it compiles", nvrtc.path);
    nvrtc.arch_count = count;
    return 0;
}

static int ensure_open(yk_error *e)
{
    const char *identity;
    int err = yk_nvrtc_identity(&identity, e);
    if (err < 0)
        return err;
    yk_mutex_lock(&nvrtc.lock);
    if (!nvrtc.opened) {
        nvrtc.usable = open_it();
        nvrtc.opened = true;
    }
    yk_mutex_unlock(&nvrtc.lock);
    if (nvrtc.usable < 0 && e)
        *e = nvrtc.error;
    return nvrtc.usable;
}

/* ---- Compiling ---- */

/* The newest that the device is not older than. Another major version's code does not run, so it gets PTX, which the
 * driver compiles. */
static int choose(unsigned capability, int *arch, bool *is_ptx, yk_error *e)
{
    int best = 0, least = nvrtc.archs[0];
    for (int i = 0; i < nvrtc.arch_count; i++) {
        least = YK_MIN(least, nvrtc.archs[i]);
        if (nvrtc.archs[i] <= (int)capability)
            best = YK_MAX(best, nvrtc.archs[i]);
    }
    if (!best)
        return yk_errorf(e, ENOTSUP,
                         "cuda: %s compiles for devices from %d.%d on, this is %u.%u: take an older one (YOKE_NVRTC)",
                         nvrtc.path, least / 10, least % 10, capability / 10, capability % 10);
    *arch = best;
    *is_ptx = best / 10 != (int)capability / 10;
    return 0;
}

enum { OPTIONS_MOST = 64 };

typedef struct options {
    const char *words[OPTIONS_MOST];
    int count;
    char arch[40];
    bool is_ptx, says_numbers;
    yk_buf text;
} options;

/* Cuts the line at its blanks, and adds for which device. */
static int read_options(const yk_build_source *source, options *o, yk_error *e)
{
    int arch = 0, err = choose(source->capability, &arch, &o->is_ptx, e);
    if (err < 0)
        return err;
    yk_buf_text(&o->text, source->options);
    yk_buf_str(&o->text);
    if (o->text.failed)
        return yk_errorf(e, ENOMEM, "cuda: no memory to compile %s", source->name);
    for (char *p = o->text.ptr, *rest; (p = strtok_r(p, " \t\n", &rest)); p = NULL) {
        if (o->count >= OPTIONS_MOST - 2)
            return yk_errorf(e, E2BIG, "cuda: more than %d options to compile %s", OPTIONS_MOST - 2, source->name);
        o->says_numbers |= strstr(p, "ptxas-options") != NULL;
        o->words[o->count++] = p;
    }
    snprintf(o->arch, sizeof o->arch, "--gpu-architecture=%s_%d", o->is_ptx ? "compute" : "sm", arch);
    o->words[o->count++] = o->arch;
    if (!o->says_numbers)
        o->words[o->count++] = "--ptxas-options=-v";
    return 0;
}

/* "ptxas info : ..." and the lines that go on with it, "ptxas . ..." or a blank first; not its warnings. */
static bool is_number(const char *line, bool before)
{
    if (strncmp(line, "ptxas", 5) == 0) {
        line += 5 + strspn(line + 5, " ");
        return *line == '.' || strncmp(line, "info", 4) == 0;
    }
    return before && (*line == ' ' || *line == '\n');
}

/* What the assembler says of each function is for us; people get the rest. */
static void sort_log(char *text, bool says_numbers, yk_binary *b)
{
    bool number = false;
    for (char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        end += *end == '\n';
        number = is_number(line, number);
        if (number)
            yk_buf_put(&b->numbers, line, (size_t)(end - line));
        if (!number || says_numbers)
            yk_buf_put(&b->log, line, (size_t)(end - line));
    }
}

/* Asks for the size of something and then for it. call: which of the two it was last. */
#define GET(what, ret, call) get(p, nvrtc.what##Size, nvrtc.what, #what "Size", #what, ret, call)
static int get(struct nvrtc_program *p, int (*ask_size)(struct nvrtc_program *p, size_t *ret),
               int (*ask)(struct nvrtc_program *p, char *ret), const char *size_name, const char *name, yk_buf *ret,
               const char **call)
{
    size_t size = 0;
    int result = ask_size(p, &size);
    *call = size_name;
    if (result != OK || size == 0)
        return result;
    char *room = yk_buf_room(ret, size);
    result = room ? ask(p, room) : OUT_OF_MEMORY;
    *call = name;
    if (result == OK)
        ret->len += size;
    return result;
}

/* The line of the log that says most: the first with "error" in it. */
static int failed(const yk_build_source *source, int result, yk_binary *b, yk_error *e)
{
    const char *log = yk_buf_str(&b->log), *line = strstr(log, "error");
    while (line && line > log && line[-1] != '\n')
        line--;
    if (!line)
        line = log;
    int err = result == OUT_OF_MEMORY ? -ENOMEM : result == BUILTINS ? -ENOPKG : -EIO;
    if (result == COMPILATION || result == INVALID_OPTION)
        err = -EINVAL;
    return yk_errorf(e, err, "cuda: %s does not compile (nvrtcCompileProgram: %d)%s%.*s", source->name, result,
                     *line ? ": " : "", (int)YK_MIN(strcspn(line, "\n"), (size_t)300), line);
}

static int run(struct nvrtc_program *p, const yk_build_source *source, const options *o, yk_binary *b, yk_error *e)
{
    yk_buf log = {0};
    const char *call;
    int result = nvrtc.nvrtcCompileProgram(p, o->count, o->words);
    GET(nvrtcGetProgramLog, &log, &call); /* without it: less to read */
    if (log.len > 0)
        sort_log(log.ptr, o->says_numbers, b);
    yk_buf_done(&log);
    if (result != OK)
        return failed(source, result, b, e);
    b->is_ptx = o->is_ptx;
    if (o->is_ptx)
        result = GET(nvrtcGetPTX, &b->image, &call);
    else
        result = GET(nvrtcGetCUBIN, &b->image, &call);
    if (result != OK || b->image.len == 0)
        return yk_errorf(e, result == OUT_OF_MEMORY ? ENOMEM : EIO, "cuda: %s: %s: error %d%s", source->name, call, result,
                         result == OUT_OF_MEMORY ? " (no memory)" : "");
    if (b->log.failed || b->numbers.failed)
        return yk_errorf(e, ENOMEM, "cuda: no memory for what the compiler says of %s", source->name);
    return 0;
}

int yk_nvrtc_compile(const yk_build_source *source, yk_binary *b, yk_error *e)
{
    options o = {.count = 0};
    struct nvrtc_program *p = NULL;
    int err = ensure_open(e);
    if (err == 0)
        err = read_options(source, &o, e);
    if (err == 0) {
        int result = nvrtc.nvrtcCreateProgram(&p, source->text, source->name, 0, NULL, NULL);
        if (result != OK)
            err = yk_errorf(e, result == OUT_OF_MEMORY ? ENOMEM : EIO, "cuda: %s: nvrtcCreateProgram: error %d",
                            source->name, result);
        else
            err = run(p, source, &o, b, e);
    }
    if (p)
        nvrtc.nvrtcDestroyProgram(&p);
    yk_buf_done(&o.text);
    return err;
}
