/* target: FILE:TASK as people write it. */
#ifndef YK_TOOLS_TARGET_H
#define YK_TOOLS_TARGET_H
#include "task/task.h"

typedef struct yk_target {
    yoke_module *module;
    const yoke_task *task;
} yk_target;

/* Loads FILE and finds TASK in it; without ":TASK" the file must have exactly one. Says what is wrong on stderr and returns the
 * exit code: 0, or 2. */
int yk_target_open(const char *text, yk_target *ret);
/* Loads FILE alone; the second, also one without tasks. */
int yk_target_open_file(const char *path, yoke_module **ret);
int yk_target_open_any(const char *path, yoke_module **ret);
void yk_target_close(yk_target *t);
#endif
