/* commands.h: every command of yoke; each is defined in the file of its name. */
#ifndef YK_TOOLS_COMMANDS_H
#define YK_TOOLS_COMMANDS_H
#include "tools/option.h"

extern const yk_command yk_command_ls, yk_command_run, yk_command_map, yk_command_kernel, yk_command_doctor;

/* What run and map tell of values that need more words than one. */
#define YK_ABOUT_ARRAYS                                                                                                \
    "An array, in or inout in the signature that yoke ls shows, is nested arrays of numbers, [1,2,3] or "              \
    "[[1,2],[3,4]], or an object "                                                                                     \
    "{\"shape\":[2,2],\"base64\":\"...\"} of its elements as they lie in memory, little-endian. One that the task only " \
    "writes (out) is given by its shape alone: 3, [3] or [2,2]. The result of a task that writes arrays is an "        \
    "object with them by name, {\"return\":...,\"y\":[...]}, without \"return\" if the function returns nothing. A NaN "  \
    "that is written \"NaN\" (--nonfinite) reads back without its sign and its other bits; base64 keeps them.\n\n"
/* What --on is likely to be, for completion. */
#define YK_EXECUTORS "inline|threads|processes|cuda|opencl|gpu|cpu"
#define YK_HELP_NONFINITE "read and write \"NaN\", \"Infinity\" and \"-Infinity\", as strings; without it they are errors"

/* What --color says about stdout: auto looks at the terminal, NO_COLOR, FORCE_COLOR and TERM. (ls.c) */
bool yk_use_color(const char *choice);
/* Where results go: stdout, until yk_results_take() has put it out of the reach of tasks, who print to stderr from then on; to
 * be called before a task's file is loaded. 0 or a negative code. (results.c) */
extern int yk_results_fd;
int yk_results_take(void);
bool yk_results_closed(void);
/* From now on a task that crashes or calls exit() or _exit() in this process is named on stderr. (crash.c) */
void yk_prepare_crashes(void); /* before the executor is opened */
void yk_watch_crashes(void);
/* _exit() that is meant, and no task's doing. */
__attribute__((noreturn)) void yk_end_command(int status);
/* What then is to be done first, in the thread of the task; NULL: nothing. In a signal handler, perhaps. */
extern void (*_Atomic yk_last_wish)(void);
#endif
