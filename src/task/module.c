/* module: tasks from files. A .c goes through the cache of compiled objects first; then both kinds are loaded with
 * dlopen(), during which the constructors of the tasks enter them into the registry under the module's name.
 *
 * A file that is open already is not loaded again: its module is counted. Loads run one at a time. */
#include "task/module.h"
#include "sync/mutex.h"
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct yoke_module {
    yoke_module *next; /* in the list of open ones */
    unsigned uses;
    void *handle;
    dev_t device;      /* of the file loaded, to know it again */
    ino_t inode;
};

static yk_mutex load_lock; /* guards the list, and loading itself */
static yoke_module *modules;
static bool may_lack_tasks; /* the module that is being loaded */

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n > m && strcmp(path + n - m, suffix) == 0;
}

static int count_task(const yoke_task *task, void *arg)
{
    ++*(unsigned *)arg;
    return 0;
}

static void unload(yoke_module *m)
{
    yk_registry_forget(m);
    if (m->handle)
        dlclose(m->handle);
    free(m);
}

/* Where an undefined symbol may be: one of the mathematical functions needs a flag, and nothing is forgotten as often. */
static void put_hint(const char *text, yk_buf *why)
{
    const char *mark = "undefined symbol: ", *found = strstr(text, mark);
    char symbol[128];
    if (!found || sscanf(found + strlen(mark), "%127[A-Za-z0-9_]", symbol) != 1)
        return;
    void *math = yk_sys.dlopen("libm.so.6", RTLD_LAZY | RTLD_LOCAL);
    bool mathematical = (math && dlsym(math, symbol)) || strncmp(symbol, "_ZGV", 4) == 0; /* of vectors: libm names libmvec */
    if (math)
        dlclose(math);
    if (mathematical)
        yk_buf_text(why, "; add a line \"// yoke-flags: -lm\" to it");
    else
        yk_buf_printf(why, "; if a library has %s, add a line \"// yoke-flags: -lNAME\"", symbol);
}

/* Why dlopen() failed. Of a source, the object's name says nothing. */
static void put_reason(const char *path, const char *shown, const char *text, yk_buf *why)
{
    size_t n = strlen(path);
    bool compiled = ends_in(shown, ".c");
    if (compiled && strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0)
        text += n + 2;
    yk_buf_printf(why, "cannot load %s: %s", shown, text);
    if (compiled)
        put_hint(text, why);
}

/* dlopen() and what its constructors had to say. */
static int load(yoke_module *m, const char *path, const char *shown, yk_buf *why)
{
    yk_error e = {0};
    yk_registry_begin(m);
    m->handle = yk_sys.dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *text = m->handle ? NULL : dlerror();
    int err = yk_registry_end(m, &e);
    if (!m->handle) {
        put_reason(path, shown, text ? text : "unknown error", why);
        return -ENOEXEC;
    }
    if (err < 0) {
        yk_buf_printf(why, "%s: %s", shown, e.text);
        return err;
    }
    unsigned tasks = 0;
    yoke_module_each(m, count_task, &tasks);
    if (tasks == 0 && !may_lack_tasks) {
        yk_buf_printf(why, "%s has no tasks: define one with YOKE_TASK(result, name, (type, parameter)...) { }", shown);
        return -ENODATA;
    }
    return 0;
}

/* Whether an ELF file has all that its headers promise. dlopen() does not look, and the first use of a page that is missing
 * ends the program with SIGBUS. What is not ELF at all, dlopen() tells. */
static bool is_complete(int fd, off_t size)
{
    Elf64_Ehdr head;
    Elf64_Phdr part;
    if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof part)
        return true;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        if (pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) != sizeof part)
            return false;
        if (part.p_type == PT_LOAD && (part.p_offset > (uint64_t)size || part.p_filesz > (uint64_t)size - part.p_offset))
            return false;
    }
    return true;
}

/* Looks at the file before dlopen() does, which would wait for ever for the other end of a FIFO. */
static int examine(const char *path, const char *shown, struct stat *ret, yk_buf *why)
{
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0 || fstat(fd, ret) < 0) {
        int err = -errno;
        yk_buf_printf(why, "%s: %s", shown, yoke_strerror(err));
        if (fd >= 0)
            close(fd);
        return err;
    }
    const char *wrong = !S_ISREG(ret->st_mode)             ? "not a regular file"
                        : !is_complete(fd, ret->st_size) ? "the file is cut off"
                                                         : NULL;
    if (wrong)
        yk_buf_printf(why, "cannot load %s: %s", shown, wrong);
    close(fd);
    return wrong ? -ENOEXEC : 0;
}

static yoke_module *by_handle(const void *handle)
{
    yoke_module *m = modules;
    while (m && m->handle != handle)
        m = m->next;
    return m;
}

static int open_object(const char *path, const char *shown, yoke_module **ret, yk_buf *why)
{
    struct stat st = {0};
    size_t before = why->len;
    int err = examine(path, shown, &st, why);
    if (err < 0)
        return err;
    for (yoke_module *m = modules; m; m = m->next)
        if (m->device == st.st_dev && m->inode == st.st_ino) {
            m->uses++;
            *ret = m;
            return 0;
        }
    yoke_module *m = yk_sys.calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->uses = 1;
    m->device = st.st_dev;
    m->inode = st.st_ino;
    char with_slash[PATH_MAX]; /* or dlopen() would search the system's folders for it */
    snprintf(with_slash, sizeof with_slash, "%s%.4090s", strchr(path, '/') ? "" : "./", path);
    err = load(m, with_slash, shown, why);
    yoke_module *same = m->handle ? by_handle(m->handle) : NULL;
    if (same) { /* the loader knows the name: the file was made anew, under a name that tells its contents */
        unload(m);
        why->len = before;
        same->uses++;
        *ret = same;
        return 0;
    }
    if (err < 0) {
        unload(m);
        return err;
    }
    m->next = modules;
    modules = m;
    *ret = m;
    return 0;
}

static void remove_temporary(char *path)
{
    char *slash = strrchr(path, '/');
    if (strcmp(slash, "/m.so") != 0) {
        unlink(path);
        return;
    }
    *slash = '\0'; /* in a folder of its own */
    yk_temporary_remove(path);
}

/* On success `why` has the compiler's warnings, if it ran. */
static int open_source(const char *shown, yoke_module **ret, yk_buf *why)
{
    char source[PATH_MAX], object[PATH_MAX];
    size_t warnings;
    snprintf(source, sizeof source, "%s%.4090s", *shown == '-' ? "./" : "", shown);
    yk_buf text = {0};
    yk_recipe recipe = {0};
    bool temporary = false;
    int err = yk_read_file(source, (size_t)64 << 20, &text);
    if (err < 0)
        yk_buf_printf(why, "%s: %s", shown, err == -EINVAL ? "not a regular file" : yoke_strerror(err));
    else
        err = yk_recipe_make(&recipe, source, text.ptr ? text.ptr : "", text.len, why);
    for (int attempt = 0; err == 0; attempt++) {
        err = yk_cache_find(&recipe, text.ptr ? text.ptr : "", text.len, attempt > 0, object, &temporary, why);
        if (err < 0)
            break;
        warnings = why->len;
        err = open_object(object, shown, ret, why);
        if (err < 0 && warnings > 0) { /* that is the reason, and nothing before it */
            memmove(why->ptr, why->ptr + warnings, why->len - warnings);
            why->len -= warnings;
        }
        if (temporary)
            remove_temporary(object);
        if ((err != -ENOEXEC && err != -ENOENT) || temporary || attempt > 0)
            break;
        /* What lies in the cache cannot be loaded: perhaps it was damaged, or it has just been removed. Once more, from the
         * source. */
        unlink(object);
        why->len = 0;
        err = 0;
    }
    yk_recipe_done(&recipe);
    yk_buf_done(&text);
    return err;
}

static int open_any(const char *path, bool without_tasks, yoke_module **ret, char **why)
{
    if (why)
        *why = NULL;
    if (!path || !ret)
        return -EINVAL;
    yk_buf reason = {0};
    int err;
    yk_mutex_lock(&load_lock);
    may_lack_tasks = without_tasks;
    if (ends_in(path, ".c")) {
        err = open_source(path, ret, &reason);
    } else if (ends_in(path, ".so") || strstr(path, ".so.")) {
        err = open_object(path, path, ret, &reason);
    } else {
        err = access(path, F_OK) < 0 ? -errno : -EINVAL;
        yk_buf_printf(&reason, "%s: %s", path, err == -EINVAL ? "expected a file that ends in .c or .so" : yoke_strerror(err));
    }
    yk_mutex_unlock(&load_lock);
    if (why && (err < 0 || reason.len > 0)) {
        if (reason.len == 0)
            yk_buf_printf(&reason, "%s: %s", path, yoke_strerror(err));
        yk_buf_str(&reason);
        if (!reason.failed) {
            *why = reason.ptr;
            return err;
        }
    }
    yk_buf_done(&reason);
    return err;
}

int yoke_module_open(const char *path, yoke_module **ret, char **why)
{
    return open_any(path, false, ret, why);
}

int yk_module_open_any(const char *path, yoke_module **ret, char **why)
{
    return open_any(path, true, ret, why);
}

void yoke_module_close(yoke_module *m)
{
    if (!m)
        return;
    yk_mutex_lock(&load_lock);
    if (--m->uses == 0) {
        yoke_module **at = &modules;
        while (*at != m)
            at = &(*at)->next;
        *at = m->next;
        unload(m);
    }
    yk_mutex_unlock(&load_lock);
}

typedef struct visit {
    yoke_module *module;
    const char *name;
    int (*fn)(const yoke_task *task, void *arg);
    void *arg;
    const yoke_task *found;
} visit;

static int visit_own(const yoke_task *task, void *arg)
{
    visit *v = arg;
    return task->info && task->info->module == v->module ? v->fn(task, v->arg) : 0;
}

int yoke_module_each(yoke_module *m, int (*fn)(const yoke_task *task, void *arg), void *arg)
{
    visit v = {.module = m, .fn = fn, .arg = arg};
    return yoke_each_task(visit_own, &v);
}

static int find_by_name(const yoke_task *task, void *arg)
{
    visit *v = arg;
    if (strcmp(task->name, v->name) == 0)
        v->found = task;
    return v->found != NULL;
}

const yoke_task *yoke_module_find(yoke_module *m, const char *name)
{
    visit v = {.name = name};
    yoke_module_each(m, find_by_name, &v);
    return v.found;
}
