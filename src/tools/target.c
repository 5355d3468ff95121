/* target: see target.h. The last colon separates, unless what follows it has a slash or a dot, as in "C:/x.c" or "a:b.c". */
#include "tools/target.h"
#include "tools/kernel_check.h"
#include "task/module.h"
#include "tools/option.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct listing {
    const yoke_task *tasks[256];
    size_t n;
} listing;

static int list_task(const yoke_task *task, void *arg)
{
    listing *l = arg;
    if (l->n < YK_COUNT_OF(l->tasks))
        l->tasks[l->n++] = task;
    return 0;
}

static const char *name_at(void *ctx, size_t i)
{
    listing *l = ctx;
    return i < l->n ? l->tasks[i]->name : NULL;
}

/* What the compiler wrote, warnings too, is passed on as it is; everything else is one line with our name. */
static int opened(int err, const char *path, char *why)
{
    if (err == 0) {
        fputs(why ? why : "", stderr);
        free(why);
        return 0;
    }
    if (err == -ENOEXEC && why && strchr(why, '\n')) {
        fputs(why, stderr);
        yk_complain(2, "%s does not compile", path);
    } else {
        yk_complain(2, "%s", why ? why : yoke_strerror(err));
    }
    free(why);
    return 2;
}

int yk_target_open_file(const char *path, yoke_module **ret)
{
    char *why = NULL;
    int err = yoke_module_open(path, ret, &why);
    return opened(err, path, why);
}

int yk_target_open_any(const char *path, yoke_module **ret)
{
    char *why = NULL;
    int err = yk_module_open_any(path, ret, &why);
    return opened(err, path, why);
}

/* What stands in the file under that name, and is no task: a kernel of another form; NULL: nothing. */
static const char *kernel_form(const yoke_kernel *before, const char *name)
{
    static const char *const forms[] = {[YK_REDUCE_KERNEL] = "reduction whose result has no JSON form", [YK_SCAN_KERNEL] = "scan",
                                        [YK_GROUP_KERNEL] = "program"};
    size_t n = 0;
    yoke_kernel **list = yk_kernels_since(before, name, &n);
    const char *form = list && n > 0 ? forms[list[0]->form] : NULL;
    free(list);
    return form;
}

static int no_such_task(const char *file, const char *name, listing *l)
{
    const char *near = yk_nearest(name, name_at, l);
    if (near)
        return yk_complain(2, "%s has no task \"%s\"; did you mean \"%s\"?", file, name, near);
    yk_buf names = {0};
    for (size_t i = 0; i < l->n && i < 20; i++)
        yk_buf_printf(&names, "%s%s", i ? ", " : "", l->tasks[i]->name);
    int code = yk_complain(2, "%s has no task \"%s\"; it has: %s", file, name, yk_buf_str(&names));
    yk_buf_done(&names);
    return code;
}

/* The one that is meant when no name is given: a reduction beside it is mostly its helper. NULL: there are several. */
static const yoke_task *only_one(const listing *l, const yoke_kernel *before)
{
    const yoke_task *one = NULL;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        size_t kernels = 0;
        yoke_kernel **list = yk_kernels_since(before, l->tasks[i]->name, &kernels);
        bool is_reduction = list && kernels > 0 && list[0]->form == YK_REDUCE_KERNEL && list[0]->task == l->tasks[i];
        free(list);
        one = is_reduction ? one : l->tasks[i];
        n += !is_reduction;
    }
    return n == 1 ? one : l->n == 1 ? l->tasks[0] : NULL;
}

static int pick(const char *file, const char *name, const yoke_kernel *before, yk_target *t)
{
    listing l = {.n = 0};
    yoke_module_each(t->module, list_task, &l);
    t->task = *name ? yoke_module_find(t->module, name) : only_one(&l, before);
    if (!*name && !t->task)
        return yk_complain(2, "%s has %zu tasks: say which, as %s:%s", file, l.n, file, l.tasks[0]->name);
    const char *form = t->task ? NULL : kernel_form(before, name);
    if (form)
        return yk_complain(2, "%s is a %s; yoke run and yoke map run tasks, YOKE_KERNELs and reductions to numbers", name, form);
    return t->task ? 0 : no_such_task(file, name, &l);
}

int yk_target_open(const char *text, yk_target *ret)
{
    *ret = (yk_target){0};
    const char *colon = strrchr(text, ':');
    if (colon && (strchr(colon, '/') || strchr(colon, '.')))
        colon = NULL;
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    char *file = yk_sys.malloc(n + 1);
    if (!file)
        return yk_complain(1, "out of memory");
    memcpy(file, text, n);
    file[n] = '\0';
    const yoke_kernel *before = yk_kernels();
    int code = yk_target_open_file(file, &ret->module);
    if (code == 0)
        code = pick(file, colon ? colon + 1 : "", before, ret);
    if (code != 0)
        yk_target_close(ret);
    free(file);
    return code;
}

void yk_target_close(yk_target *t)
{
    yoke_module_close(t->module);
    *t = (yk_target){0};
}
