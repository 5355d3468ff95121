/* cuda_nvrtc: opens NVRTC, the compiler of CUDA as a library, and compiles with it. It needs neither a toolkit nor a GPU. It
 * is found by its path (cuda_find.c), so that what was compiled before can be used without opening it (100 MB). */
#include "gpu/cuda.h"
#include <glob.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

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
/* Written under lock, once each but for identity; read by who has seen them written under it. */
static struct {
    yk_mutex lock;
    bool looked, opened;
    int found, usable; /* 0 or a negative code */
    yk_cuda_library library;
    char identities[2][PATH_MAX + 200]; /* as it was found; as another was opened */
    const char *identity;               /* one of them */
    yk_error error;
    NVRTC_CALLS(FIELD)
    int archs[64], arch_count;
} nvrtc = {.library = {.use = "compiler",
                       .name = "NVRTC",
                       .since = "11.2",
                       .variable = "YOKE_NVRTC",
                       /* the last is that of all of 11.2 to 11.8 */
                       .sonames = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"},
                       .plain = "libnvrtc.so",
                       .files = "libnvrtc.so.13, .12 or .11.2",
                       .package = "cuda_nvrtc",
                       .pip = "nvidia-cuda-nvrtc"}};

/* ---- What identifies it: path, size and time of the library and of what it reads when it compiles ---- */

static void add_file(char *identity, const char *path)
{
    struct stat st = {0};
    size_t n = strlen(identity);
    if (stat(path, &st) == 0)
        snprintf(identity + n, sizeof nvrtc.identities[0] - n, " %lld %lld.%ld", (long long)st.st_size,
                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void identify(char *identity)
{
    char pattern[PATH_MAX];
    glob_t found;
    const char *slash = strrchr(nvrtc.library.path, '/');
    snprintf(identity, sizeof nvrtc.identities[0], "%s", nvrtc.library.path);
    add_file(identity, nvrtc.library.path);
    snprintf(pattern, sizeof pattern, "%.*s/libnvrtc-builtins.so*", slash ? (int)(slash - nvrtc.library.path) : 0,
             nvrtc.library.path);
    if (slash && glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && i < 4; i++)
            add_file(identity, found.gl_pathv[i]);
        globfree(&found);
    }
    nvrtc.identity = identity;
}

int yk_nvrtc_identity(const char **ret, yk_error *e)
{
    yk_mutex_lock(&nvrtc.lock);
    if (!nvrtc.looked) {
        nvrtc.found = yk_cuda_library_find(&nvrtc.library, &nvrtc.error);
        if (nvrtc.found == 0)
            identify(nvrtc.identities[0]);
        nvrtc.looked = true;
    }
    *ret = nvrtc.identity;
    yk_mutex_unlock(&nvrtc.lock);
    if (nvrtc.found < 0 && e)
        *e = nvrtc.error;
    return nvrtc.found;
}

void yk_nvrtc_describe(yk_buf *out)
{
    const char *identity;
    yk_error e = {0};
    if (yk_nvrtc_identity(&identity, &e) < 0)
        yk_buf_printf(out, "  %s\n", e.text);
    else
        yk_buf_printf(out, "  kernels are compiled by %s\n", nvrtc.library.path);
}

/* ---- Opening it ---- */

static const yk_cuda_entry entries[] = {
#define ENTRY(name, parameters) {#name, offsetof(__typeof__(nvrtc), name)},
    NVRTC_CALLS(ENTRY)};

static int open_it(void)
{
    int err = yk_cuda_library_open(&nvrtc.library, entries, YK_COUNT_OF(entries), &nvrtc, &nvrtc.error);
    if (err < 0)
        return err;
    if (nvrtc.library.failures > 0)
        identify(nvrtc.identities[1]);
    int count = 0;
    if (nvrtc.nvrtcGetNumSupportedArchs(&count) != OK || count < 1 || count > (int)YK_COUNT_OF(nvrtc.archs) ||
        nvrtc.nvrtcGetSupportedArchs(nvrtc.archs) != OK)
        return yk_errorf(&nvrtc.error, ENOPKG, "cuda: %s does not say for which devices it compiles", nvrtc.library.path);
    nvrtc.arch_count = count;
    return 0;
}

/* In a child the lock may be another thread's of the parent, which was looking for the compiler or opening it. */
static void child_begins(void)
{
    if (atomic_load_explicit(&nvrtc.lock.word, memory_order_relaxed) && !nvrtc.opened) {
        nvrtc.usable = yk_errorf(&nvrtc.error, ECHILD, "cuda: no compiler: fork() came while it was opened");
        nvrtc.found = nvrtc.looked ? nvrtc.found : nvrtc.usable;
        nvrtc.looked = nvrtc.opened = true;
    }
    nvrtc.lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, child_begins);
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
                         nvrtc.library.path, least / 10, least % 10, capability / 10, capability % 10);
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

/* The most that a group of one of its functions has, as the assembler counts it. */
static unsigned long shared_memory(const char *numbers)
{
    unsigned long most = 0;
    for (const char *p = numbers; (p = strstr(p, " bytes smem")); p++) {
        const char *begin = p;
        while (begin > numbers && begin[-1] >= '0' && begin[-1] <= '9')
            begin--;
        most = YK_MAX(most, strtoul(begin, NULL, 10));
    }
    return most;
}

enum { SHARED_MOST = 48 << 10 };

static int failed(const yk_build_source *source, int result, yk_binary *b, yk_error *e)
{
    unsigned long shared = shared_memory(yk_buf_str(&b->numbers));
    if (result == COMPILATION && b->log.len == 0 && shared > SHARED_MOST) /* then it says nothing of why */
        return yk_errorf(e, EINVAL,
                         "cuda: %s does not compile: its groups have %lu bytes of shared memory, and can have %d (48 KiB)",
                         source->name, shared, SHARED_MOST);
    const char *line;
    const int len = yk_first_error(yk_buf_str(&b->log), &line);
    int err = result == OUT_OF_MEMORY ? -ENOMEM : result == BUILTINS ? -ENOPKG : -EIO;
    if (result == COMPILATION || result == INVALID_OPTION)
        err = -EINVAL;
    return yk_errorf(e, err, "cuda: %s does not compile (nvrtcCompileProgram: %d)%s%.*s", source->name, result,
                     *line ? ": " : "", YK_MIN(len, 300), line);
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
