/* module_try.h: a folder with a module, a cache of its own and a compiler that counts, for the tests of modules. */
#ifndef YK_MODULE_TRY_H
#define YK_MODULE_TRY_H
#include "task/module.h"
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke/module.h>

static char root[PATH_MAX / 8];
static char text[PATH_MAX]; /* the last error, or the path of a file */

static inline const char *at(const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%.3000s", root, name);
    return path;
}

static inline void clean(void)
{
    char command[PATH_MAX];
    snprintf(command, sizeof command, "PATH=/usr/bin:/bin rm -rf '%s'", root);
    CHECK_INT(system(command), 0);
}

static inline void write_text(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void write_text(const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    FILE *f = fopen(at(name), "w");
    CHECK(f != NULL);
    vfprintf(f, format, ap);
    CHECK_INT(fclose(f), 0);
    va_end(ap);
}

/* A compiler that leaves a line in `log` for each call and then does what body says. */
static inline void compiler(const char *body)
{
    write_text("cc.sh", "#!/bin/sh\necho \"$*\" >>%s/log\nfor object; do :; done\n%s\n", root, body);
    CHECK_INT(chmod(at("cc.sh"), 0755), 0);
    setenv("CC", at("cc.sh"), 1);
}

static inline void setup(void)
{
    char include[PATH_MAX];
    snprintf(root, sizeof root, "/tmp/yoke-test-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    atexit(clean);
    snprintf(include, sizeof include, "%s/include", getenv("YOKE_SOURCE") ? getenv("YOKE_SOURCE") : ".");
    setenv("YOKE_INCLUDE", include, 1);
    setenv("YOKE_CACHE", at("cache"), 1);
    setenv("TMPDIR", at("tmp"), 1);
    mkdir(at("tmp"), 0700);
    compiler("exec cc \"$@\"");
    write_text("h.h", "#define H 10\n");
    write_text("m.c", "#include \"h.h\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return H + 1; }\n");
}

/* How often the compiler ran. */
static inline int compiles(void)
{
    int lines = 0, c;
    FILE *f = fopen(at("log"), "r");
    while (f && (c = getc(f)) != EOF)
        lines += c == '\n';
    if (f)
        fclose(f);
    return lines;
}

/* Names in a folder that end so. The first of them goes to `text`, as a name for at(). */
static inline int files(const char *folder, const char *suffix)
{
    DIR *dir = opendir(at(folder));
    int n = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t len = strlen(e->d_name), end = strlen(suffix);
        if (e->d_name[0] == '.' || len < end || strcmp(e->d_name + len - end, suffix) != 0)
            continue;
        if (n++ == 0)
            snprintf(text, sizeof text, "%.1000s/%s", folder, e->d_name);
    }
    if (dir)
        closedir(dir);
    return n;
}

static inline void keep_reason(char *why)
{
    snprintf(text, sizeof text, "%s", why ? why : "");
    free(why);
}

/* Opens a module, whose error text or warnings go to `text`. */
static inline int open_file(const char *name, yoke_module **ret)
{
    char *why = NULL;
    int err = yoke_module_open(*name == '/' ? name : at(name), ret, &why);
    keep_reason(why);
    return err;
}

static inline int call(yoke_module *m)
{
    const yoke_task *task = yoke_module_find(m, "f");
    int value = -1;
    CHECK(task != NULL);
    char args[8] = "";
    task->call(args, &value);
    return value;
}

/* What task f of the module answers, or the error. */
static inline int answer(const char *name)
{
    yoke_module *m = NULL;
    int err = open_file(name, &m);
    if (err < 0)
        return err;
    int value = call(m);
    yoke_module_close(m);
    return value;
}

/* No half file, and no folder of a temporary object. */
static inline void check_tidy(void)
{
    CHECK_INT(files("cache", ".tmp"), 0);
    CHECK_INT(files("cache", ".d"), 0);
    CHECK_INT(files("tmp", ""), 0);
}
#endif
