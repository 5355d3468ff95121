/* module.h: what the three files of modules share: module.c loads, module_cache.c knows what is compiled already,
 * module_compile.c calls the compiler. */
#ifndef YK_TASK_MODULE_H
#define YK_TASK_MODULE_H
#include "base/sha256.h"
#include "task/task.h"
#include <limits.h>

/* yoke_module_open(), also of a file without tasks: it may have kernels that are none. */
int yk_module_open_any(const char *path, yoke_module **ret, char **why);

/* How a source is to be compiled. */
typedef struct yk_recipe {
    const char *source;     /* as the user gave it, with "./" before a leading dash */
    char compiler[PATH_MAX]; /* the program */
    char **words;           /* the whole command but for output and dependency options; NULL at the end; in memory */
    size_t count, source_at;
    char include[PATH_MAX]; /* where yoke.h is */
    yk_buf memory;          /* of the words */
} yk_recipe;

/* Finds the compiler and the flags. text is the source's. The reason of a failure goes to why. */
int yk_recipe_make(yk_recipe *r, const char *source, const char *text, size_t len, yk_buf *why);
void yk_recipe_done(yk_recipe *r);
/* Runs the compiler; its output goes to why. object and depends are paths to write. */
int yk_recipe_run(const yk_recipe *r, const char *object, const char *depends, yk_buf *why);

/* A compiled object for the source: from the cache, or made now. `path` is what to dlopen(). *temporary: unlink it afterwards.
 * fresh: do not believe what is in the cache (it could not be loaded). */
int yk_cache_find(const yk_recipe *r, const char *text, size_t len, bool fresh, char path[PATH_MAX], bool *temporary,
                  yk_buf *why);
/* The folder of the cache, made if need be, and whether it can be used. */
typedef enum yk_cache_state {
    YK_CACHE_NONE,      /* there is no folder and none could be made */
    YK_CACHE_FOREIGN,   /* it belongs to another user, or others can write to it: neither read nor written */
    YK_CACHE_READ_ONLY,
    YK_CACHE_WRITABLE
} yk_cache_state;
yk_cache_state yk_cache_folder(char folder[PATH_MAX]);
/* True when path is a folder of this user, or of the system's, to which nobody else can write: what lies in it is run. */
bool yk_is_private(const char *path);
/* Old entries go (files whose names are 64 hexadecimal digits, a dot and more), and the oldest while they are more than `most`
 * bytes: to be called when one has been added. */
void yk_cache_prune(const char *folder, size_t most);

/* A folder for one compile without a cache, its place in `folder`, also when it fails, for the message. 0 or a negative code. */
int yk_temporary_make(char folder[PATH_MAX]);
/* Removes it, with the files m.so and m.d. */
void yk_temporary_remove(const char *folder);
/* Removes those that processes have left when they were killed; making one does it too. */
void yk_temporary_sweep(void);

/* Reads a whole file, at most limit bytes. 0 or a negative code. */
int yk_read_file(const char *path, size_t limit, yk_buf *ret);
/* Writes one, for its owner alone; over what was there. 0 or a negative code, and then there is perhaps half of it. */
int yk_write_file(const char *path, const yk_buf *text);
#endif
