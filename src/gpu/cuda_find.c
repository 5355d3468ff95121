/* cuda_find: finds and opens a library of CUDA's toolkit: the compiler (cuda_nvrtc.c), products of matrices (cuda_blas.c).
 *
 * It is looked for by path, so that it can be known without being opened, which takes a while and 100 MB and more: what its
 * own variable of the environment names, the library or its folder; the folders of LD_LIBRARY_PATH, CUDA_HOME and CUDA_PATH;
 * Python's packages in VIRTUAL_ENV and CONDA_PREFIX, where `tools/setup test` puts them (yoke/nvrtc in XDG_CACHE_HOME or
 * ~/.cache), and in ~/.local; then the system's: /usr/local/cuda, its folders of libraries, Python's; last by its plain
 * name. First the version of the driver, with which that works for certain, then older ones, then newer ones; where no
 * driver is open, the newest. One that does not load when it is needed, or lacks something, makes room for the next. */
#include "gpu/cuda.h"
#include "task/module.h"
#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- In folders ---- */

/* Makes it the one, unless it was before, and failed. */
static bool take(yk_cuda_library *l, const char *path)
{
    for (unsigned i = 0; i < l->failures; i++)
        if (strcmp(l->failed[i], path) == 0)
            return false;
    snprintf(l->path, sizeof l->path, "%s", path);
    return true;
}

static bool try_file(yk_cuda_library *l, const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, R_OK) == 0 && take(l, path);
}

static bool try_pattern(yk_cuda_library *l, const char *name, const char *base, const char *rest)
{
    char pattern[PATH_MAX];
    glob_t found;
    bool ok = false;
    if (!base || !*base || snprintf(pattern, sizeof pattern, "%s%s", base, rest) >= (int)sizeof pattern)
        return false;
    if (!strchr(rest, '*'))
        return try_file(l, pattern, name);
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc && !ok; i++)
        ok = try_file(l, found.gl_pathv[i], name);
    globfree(&found);
    return ok;
}

static bool try_path_list(yk_cuda_library *l, const char *list, const char *name)
{
    char folder[PATH_MAX];
    bool ok = false;
    for (const char *p = list; p && *p && !ok; p += strspn(p, ":")) {
        size_t n = strcspn(p, ":");
        if (n < sizeof folder) {
            memcpy(folder, p, n);
            folder[n] = '\0';
            ok = try_file(l, folder, name);
        }
        p += n;
    }
    return ok;
}

/* Where packages of Python lie, below one folder. Each has one of two layouts. */
static bool try_packages(yk_cuda_library *l, const char *name, const char *base, const char *folder)
{
    char rest[100];
    snprintf(rest, sizeof rest, "%s/nvidia/cu[0-9]*/lib", folder);
    if (try_pattern(l, name, base, rest))
        return true;
    snprintf(rest, sizeof rest, "%s/nvidia/%s/lib", folder, l->package);
    return try_pattern(l, name, base, rest);
}

/* In the user's cache, if nobody else can write there: what lies in it is run. */
static bool try_cache(yk_cuda_library *l, const char *name)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    const bool is_xdg = xdg && *xdg == '/';
    const char *base = is_xdg ? xdg : home, *folder = is_xdg ? "/yoke/nvrtc" : "/.cache/yoke/nvrtc";
    char path[PATH_MAX];
    return base && snprintf(path, sizeof path, "%s%s", base, folder) < (int)sizeof path && yk_is_private(path) &&
           try_packages(l, name, base, folder);
}

static bool try_folders(yk_cuda_library *l, const char *name)
{
    const char *home = getenv("HOME");
    return try_path_list(l, getenv("LD_LIBRARY_PATH"), name) || try_pattern(l, name, getenv("CUDA_HOME"), "/lib64") ||
           try_pattern(l, name, getenv("CUDA_PATH"), "/lib64") ||
           try_packages(l, name, getenv("VIRTUAL_ENV"), "/lib*/python3*/site-packages") ||
           try_pattern(l, name, getenv("CONDA_PREFIX"), "/lib") || try_cache(l, name) ||
           try_packages(l, name, home, "/.local/lib/python3*/site-packages") || try_file(l, "/usr/local/cuda/lib64", name) ||
           try_pattern(l, name, "/usr/lib", "/*-linux-gnu") || try_file(l, "/usr/lib64", name) ||
           try_packages(l, name, "/usr", "/local/lib/python3*/*-packages") ||
           try_packages(l, name, "/usr", "/lib/python3*/*-packages");
}

/* ---- Which ---- */

/* The n-th soname to try with this driver (0: none): its own major version, downwards, then those above. */
static const char *soname(const yk_cuda_library *l, unsigned n, int driver)
{
    unsigned first = driver == 0 ? 0 : (unsigned)YK_MIN(YK_MAX(13 - driver, 0), YK_CUDA_VERSIONS - 1);
    return l->sonames[first + n < YK_CUDA_VERSIONS ? first + n : YK_CUDA_VERSIONS - 1 - n];
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A plain name: only the loader knows where. */
static bool try_loader(yk_cuda_library *l, const char *name)
{
    struct link_map *map = NULL;
    void *opened = yk_sys.dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!opened)
        return false;
    bool taken = take(l, dlinfo(opened, RTLD_DI_LINKMAP, &map) == 0 ? map->l_name : name);
    if (taken)
        l->opened = opened;
    else
        dlclose(opened);
    return taken;
}

static bool look(yk_cuda_library *l, const char *own)
{
    int driver = yk_cuda_version() / 1000;
    for (unsigned i = 0; own && i < YK_CUDA_VERSIONS; i++)
        if (is_folder(own) && try_file(l, own, soname(l, i, driver)))
            return true;
    if (own)
        return access(own, R_OK) == 0 && !is_folder(own) && take(l, own);
    for (unsigned i = 0; i < YK_CUDA_VERSIONS; i++)
        if (try_folders(l, soname(l, i, driver)))
            return true;
    for (unsigned i = 0; i < YK_CUDA_VERSIONS; i++)
        if (try_loader(l, soname(l, i, driver)))
            return true;
    return try_loader(l, l->plain);
}

/* What the user names, or NULL. */
static const char *own_of(const yk_cuda_library *l)
{
    const char *own = getenv(l->variable);
    return own && *own ? own : NULL;
}

int yk_cuda_library_find(yk_cuda_library *l, yk_error *e)
{
    const char *own = own_of(l);
    if (look(l, own))
        return 0;
    return own ? yk_errorf(e, ENOPKG, "cuda: no %s: there is no %s at %s=%s", l->use, l->name, l->variable, own)
               : yk_errorf(e, ENOPKG,
                           "cuda: no %s: %s (%s) is neither in a toolkit's folders nor among Python's packages: pip install "
                           "%s, or set %s",
                           l->use, l->name, l->files, l->pip, l->variable);
}

static int open_one(yk_cuda_library *l, const yk_cuda_entry *entries, size_t count, void *table, yk_error *e)
{
    if (!l->opened)
        l->opened = yk_sys.dlopen(l->path, RTLD_NOW | RTLD_LOCAL);
    if (!l->opened) {
        const char *why = dlerror();
        return yk_errorf(e, ENOPKG, "cuda: no %s: %s", l->use, why ? why : l->path);
    }
    for (size_t i = 0; i < count; i++) {
        void *p = dlsym(l->opened, entries[i].name);
        if (!p)
            return yk_errorf(e, ENOPKG, "cuda: %s is no %s, or one before %s: it lacks %s", l->path, l->name, l->since,
                             entries[i].name);
        memcpy((char *)table + entries[i].at, &p, sizeof p);
    }
    return 0;
}

/* The next that there is, if any, in place of one that failed. */
static bool pass_over(yk_cuda_library *l)
{
    if (l->failures == YK_COUNT_OF(l->failed))
        return false;
    if (l->opened)
        dlclose(l->opened);
    l->opened = NULL;
    memcpy(l->failed[l->failures++], l->path, sizeof l->path);
    return look(l, own_of(l));
}

int yk_cuda_library_open(yk_cuda_library *l, const yk_cuda_entry *entries, size_t count, void *table, yk_error *e)
{
    int err = open_one(l, entries, count, table, e);
    for (int next = err; next < 0 && pass_over(l);) {
        next = open_one(l, entries, count, table, NULL);
        err = next == 0 ? 0 : err;
    }
    return err;
}
