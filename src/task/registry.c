/* registry: every task of the program and of the modules it has loaded.
 *
 * Tasks enter from constructors, before main() or inside dlopen(), so nothing here needs initialising. The index of a task is
 * its id and is never given again while the program runs: processes forked later agree on it. */
#include "sync/mutex.h"
#include "task/signature.h"
#include <stdlib.h>

static struct {
    yk_mutex lock; /* guards the rest */
    yk_task_info **infos; /* by id; NULL where a module has been forgotten */
    uint32_t count, cap;
} registry;

/* The module whose constructors run in this thread, and what was wrong with them first. */
static _Thread_local yoke_module *loading;
static _Thread_local yk_error loading_error;

/* The first error of a load is kept for yk_registry_end(). */
#define REMEMBER(err, ...) ((void)(loading_error.code == 0 ? yk_errorf(&loading_error, err, __VA_ARGS__) : 0))

/* One that users may find. */
static bool is_open(const yk_task_info *info)
{
    return info && !info->hidden;
}

/* NULL: none. */
static yk_task_info *find_known(const char *name, const yoke_module *module)
{
    for (uint32_t i = 0; i < registry.count; i++)
        if (is_open(registry.infos[i]) && registry.infos[i]->module == module &&
            strcmp(registry.infos[i]->task->name, name) == 0)
            return registry.infos[i];
    return NULL;
}

static void note_code(yk_task_info *info, unsigned code)
{
    info->has_out |= (code & YOKE_OUT) != 0;
    info->has_struct |= code == YOKE_STRUCT;
    info->args_point |= yk_is_pointing(code);
}

static yk_task_info *describe(yoke_task *task)
{
    yk_task_info *info = yk_sys.calloc(1, sizeof *info);
    if (!info)
        return NULL;
    info->task = task;
    info->module = loading;
    for (unsigned i = 0; i < task->nparams; i++)
        note_code(info, task->params[i].code);
    info->ret_points = yk_is_pointing(task->ret_code);
    info->has_struct |= task->ret_code == YOKE_STRUCT;
    info->has_result = task->ret_code != YOKE_VOID;
    yk_buf text = {0};
    yk_signature_write(task, &text);
    info->signature = yk_buf_str(&text);
    if (text.failed) {
        yk_buf_done(&text);
        free(info);
        return NULL;
    }
    info->hash = yk_fnv1a(info->signature, strlen(info->signature));
    return info;
}

static void free_info(yk_task_info *info)
{
    yk_buf text = {.ptr = (char *)(uintptr_t)info->signature};
    yk_buf_done(&text);
    if (info->owns_task)
        free(info->task);
    free(info);
}

/* The lock is held. */
static bool add(yk_task_info *info)
{
    if (registry.count == registry.cap) {
        uint32_t cap = registry.cap ? registry.cap * 2 : 64;
        void *grown = yk_sys.realloc(registry.infos, cap * sizeof *registry.infos);
        if (!grown)
            return false;
        registry.infos = grown;
        registry.cap = cap;
    }
    info->id = registry.count;
    registry.infos[registry.count++] = info;
    info->task->info = info;
    return true;
}

int yk_register_hidden(yoke_task *task)
{
    yk_task_info *info = describe(task);
    if (info)
        info->hidden = true;
    yk_mutex_lock(&registry.lock);
    bool added = info && add(info);
    yk_mutex_unlock(&registry.lock);
    if (!added && info)
        free_info(info);
    return added ? 0 : -ENOMEM;
}

/* How a task got here. Of two with one name the written one is found, whichever came first. */
typedef enum origin { WRITTEN, MADE, MADE_UNSEEN } origin;

/* Whether it is in now. */
static bool enter(yoke_task *task, origin from)
{
    if (task->abi != YOKE_ABI) {
        /* Of a stranger's descriptor the ABI number is all that can be read. */
        REMEMBER(EPROTO, "built for ABI %u of yoke, but this yoke has ABI %u: compile it again", task->abi, YOKE_ABI);
        return false;
    }
    yk_task_info *info = describe(task);
    bool added = false;
    yk_mutex_lock(&registry.lock);
    yk_task_info *known = find_known(task->name, loading);
    if (known && from == WRITTEN && !known->owns_task)
        REMEMBER(EEXIST, "task \"%s\" is defined twice (again at line %u)", task->name, task->line);
    else if (!info || !add(info))
        REMEMBER(ENOMEM, "out of memory while tasks were registered");
    else
        added = true, info->owns_task = from != WRITTEN, info->hidden = from == MADE_UNSEEN || (known && from == MADE);
    if (added && known && from == WRITTEN)
        known->hidden = true;
    yk_mutex_unlock(&registry.lock);
    if (info && !added)
        free_info(info);
    return added;
}

void yoke_register(yoke_task *task)
{
    enter(task, WRITTEN);
}

bool yk_register_made(yoke_task *task, bool is_shown)
{
    return enter(task, is_shown ? MADE : MADE_UNSEEN);
}

void yk_registry_begin(yoke_module *m)
{
    loading = m;
    loading_error = (yk_error){0};
}

int yk_registry_end(yoke_module *m, yk_error *e)
{
    int code = loading_error.code;
    if (e && code != 0)
        *e = loading_error;
    loading = NULL;
    loading_error = (yk_error){0};
    return code;
}

void yk_registry_forget(yoke_module *m)
{
    yk_mutex_lock(&registry.lock);
    for (uint32_t i = 0; i < registry.count; i++) {
        yk_task_info *info = registry.infos[i];
        if (!info || info->module != m || !m)
            continue;
        registry.infos[i] = NULL;
        free_info(info);
    }
    yk_mutex_unlock(&registry.lock);
}

const yoke_task *yoke_find(const char *name)
{
    const yoke_task *found = NULL;
    yk_mutex_lock(&registry.lock);
    for (uint32_t i = 0; i < registry.count; i++) {
        yk_task_info *info = registry.infos[i];
        if (!is_open(info) || strcmp(info->task->name, name) != 0)
            continue;
        found = info->task; /* the module loaded last, unless the program has it */
        if (!info->module)
            break;
    }
    yk_mutex_unlock(&registry.lock);
    return found;
}

int yoke_each_task(int (*fn)(const yoke_task *task, void *arg), void *arg)
{
    int stop = 0;
    for (uint32_t i = 0; i < yk_task_count() && stop == 0; i++) {
        const yoke_task *task = yk_task_by_id(i);
        if (task && is_open(task->info))
            stop = fn(task, arg);
    }
    return stop;
}

const yoke_task *yk_task_by_id(uint32_t id)
{
    yk_mutex_lock(&registry.lock);
    const yoke_task *task = id < registry.count && registry.infos[id] ? registry.infos[id]->task : NULL;
    yk_mutex_unlock(&registry.lock);
    return task;
}

uint32_t yk_task_count(void)
{
    yk_mutex_lock(&registry.lock);
    uint32_t count = registry.count;
    yk_mutex_unlock(&registry.lock);
    return count;
}

/* In a child made by fork() another thread of the parent may have held the lock. */
static void free_lock(void)
{
    registry.lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, free_lock);
}

const char *yoke_signature(const yoke_task *task)
{
    return task->info ? task->info->signature : NULL;
}

uint64_t yoke_signature_hash(const yoke_task *task)
{
    return task->info ? task->info->hash : 0;
}
