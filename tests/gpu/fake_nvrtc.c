/* fake_nvrtc.c - NVRTC for tests, of the same library as fake_cuda.c: an image is the text again, so that names are
 * found in it. The text decides what happens: "#error" does not compile, "#warning" and "SPILL" say so in the log,
 * "#shared" has too much memory in a group, which the numbers tell alone,
 * "#builtins" finds its other half missing. */
#include "fake_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct program {
    char *text, *name, *log, *image;
    bool is_ptx;
} program;

static int begin(const char *function)
{
    pthread_mutex_lock(&fake.lock);
    RETURN(fake_enter(function));
}

static void count_programs(int by)
{
    pthread_mutex_lock(&fake.lock);
    fake.live.programs += (unsigned)by;
    pthread_mutex_unlock(&fake.lock);
}

static const int archs[] = {75, 80, 86, 89, 90, 100, 120};

API int nvrtcGetNumSupportedArchs(int *ret);
API int nvrtcGetSupportedArchs(int *ret);
API int nvrtcCreateProgram(program **ret, const char *text, const char *name, int headers, const char *const *sources,
                           const char *const *names);
API int nvrtcDestroyProgram(program **p);
API int nvrtcCompileProgram(program *p, int count, const char *const *options);
API int nvrtcGetProgramLogSize(program *p, size_t *ret);
API int nvrtcGetProgramLog(program *p, char *ret);
API int nvrtcGetCUBINSize(program *p, size_t *ret);
API int nvrtcGetCUBIN(program *p, char *ret);
API int nvrtcGetPTXSize(program *p, size_t *ret);
API int nvrtcGetPTX(program *p, char *ret);

int nvrtcGetNumSupportedArchs(int *ret)
{
    *ret = (int)(sizeof archs / sizeof *archs);
    return begin(__func__);
}

int nvrtcGetSupportedArchs(int *ret)
{
    memcpy(ret, archs, sizeof archs);
    return begin(__func__);
}

int nvrtcCreateProgram(program **ret, const char *text, const char *name, int headers, const char *const *sources,
                       const char *const *names)
{
    int result = begin(__func__);
    if (result)
        return result;
    program *p = calloc(1, sizeof *p);
    p->text = strdup(text);
    p->name = strdup(name);
    count_programs(1);
    *ret = p;
    return 0;
}

int nvrtcDestroyProgram(program **p)
{
    int result = begin(__func__);
    free((*p)->text);
    free((*p)->name);
    free((*p)->log);
    free((*p)->image);
    free(*p);
    *p = NULL;
    count_programs(-1);
    return result;
}

static bool is_known(int arch)
{
    bool known = false;
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        known |= archs[i] == arch;
    return known;
}

static int say(program *p, int result, const char *what, const char *more)
{
    free(p->log);
    if (asprintf(&p->log, "%s(1): %s%s\n", p->name, what, more) < 0)
        p->log = NULL;
    return result;
}

int nvrtcCompileProgram(program *p, int count, const char *const *options)
{
    static const char wanted[] = "--gpu-architecture=";
    const char *arch = NULL;
    bool numbers = false;
    int result = begin(__func__), number = 0;
    for (int i = 0; i < count; i++) {
        numbers |= strcmp(options[i], "--ptxas-options=-v") == 0;
        if (strncmp(options[i], wanted, sizeof wanted - 1) == 0)
            arch = options[i] + sizeof wanted - 1;
        else if (options[i][0] != '-' || strcmp(options[i], "--wrong") == 0)
            return say(p, 5, "error: unrecognized option ", options[i]);
    }
    if (result)
        return say(p, result, "error: made to fail", "");
    if (!arch || (sscanf(arch, "sm_%d", &number) != 1 && sscanf(arch, "compute_%d", &number) != 1) || !is_known(number))
        return say(p, 5, "error: invalid value for --gpu-architecture: ", arch ? arch : "none");
    p->is_ptx = *arch == 'c';
    if (strstr(p->text, "#error"))
        return say(p, 6, "error: identifier \"", "nothing\" is undefined");
    if (strstr(p->text, "#shared")) {
        p->log = strdup("ptxas info    : 0 bytes gmem\nptxas info    : Used 8 registers, used 1 barriers, 1024 bytes smem\n"
                        "ptxas info    : Used 12 registers, used 1 barriers, 262144 bytes smem\n");
        return 6;
    }
    if (strstr(p->text, "#builtins"))
        return say(p, 7, "error: failed to open libnvrtc-builtins.so", "");
    if (strstr(p->text, "#warning"))
        say(p, 0, "warning: one of those", "");
    if (numbers && strstr(p->text, "SPILL"))
        say(p, 0, "warning: spills",
            "\nptxas info    : 0 bytes gmem\nptxas info    : Function properties for other\n"
            "    9 bytes stack frame, 9 bytes spill stores, 9 bytes spill loads\n"
            "ptxas info    : Function properties for scale\n"
            "ptxas         .     24 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads\nptxas info    : Used "
            "8 registers\n");
    return asprintf(&p->image, "%s%s %s\n%s", p->is_ptx ? ".version 9.0 " : "", "fake image for", arch, p->text) < 0;
}

int nvrtcGetProgramLogSize(program *p, size_t *ret)
{
    *ret = strlen(p->log ? p->log : "") + 1;
    return begin(__func__);
}

int nvrtcGetProgramLog(program *p, char *ret)
{
    memcpy(ret, p->log ? p->log : "", strlen(p->log ? p->log : "") + 1);
    return begin(__func__);
}

int nvrtcGetCUBINSize(program *p, size_t *ret)
{
    *ret = p->image && !p->is_ptx ? strlen(p->image) + 1 : 0;
    return begin(__func__);
}

int nvrtcGetCUBIN(program *p, char *ret)
{
    memcpy(ret, p->image, strlen(p->image) + 1);
    return begin(__func__);
}

int nvrtcGetPTXSize(program *p, size_t *ret)
{
    *ret = p->image ? strlen(p->image) + 1 : 1;
    return begin(__func__);
}

int nvrtcGetPTX(program *p, char *ret)
{
    memcpy(ret, p->image, strlen(p->image) + 1);
    return begin(__func__);
}
