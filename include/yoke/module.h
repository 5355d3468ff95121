/* yoke/module.h - tasks from files: a .c that is compiled when needed, or a .so.
 *
 * A .c file is compiled with the system's C compiler ($CC, else cc, gcc, clang) into $YOKE_CACHE (else
 * $XDG_CACHE_HOME/yoke, else ~/.cache/yoke), under a name that is a hash of the source, everything it includes, the
 * compiler, the flags and the libraries that they find with -L, so that a second load costs one hash. Many processes may do
 * this at once. Lines `// yoke-flags: -lcrypto -O3` in the source add flags for compiler and linker; a source whose
 * flags name further sources is compiled each time. A cache that belongs to another user than root, or that others can
 * write to, is neither read nor written.
 */
#ifndef YOKE_MODULE_H
#define YOKE_MODULE_H
#pragma GCC system_header
#include <yoke/task.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_module yoke_module;

/* Loads path (.c or .so) and registers its tasks. Returns 0 and a handle, or a negative code: -ENOENT no such file,
 * -ENOEXEC the compiler failed or the file is not a module, -EPROTO built for another ABI, -ENODATA no tasks in it.
 * *why receives the reason (for a failed compile, the compiler's own output, as written) and is to be free()d; why may
 * be NULL; there is none when memory ran out. On success it is NULL too, unless the file was compiled just now and the
 * compiler had something to say: its warnings. Any thread; loads run one at a time. */
YOKE_API int yoke_module_open(const char *path, yoke_module **ret, char **why);

/* The module's task of that name, or NULL. */
YOKE_API const yoke_task *yoke_module_find(yoke_module *m, const char *name);

/* Calls fn for each task of the module, in the order written, until it returns other than 0; returns that or 0. */
YOKE_API int yoke_module_each(yoke_module *m, int (*fn)(const yoke_task *task, void *arg), void *arg);

/* Forgets the tasks and unloads the code. No executor may still run them. NULL is allowed. */
YOKE_API void yoke_module_close(yoke_module *m);

#ifdef __cplusplus
}
#endif
#endif
