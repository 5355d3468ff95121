/* commands.h: every command of yoke; each is defined in the file of its name. */
#ifndef YK_TOOLS_COMMANDS_H
#define YK_TOOLS_COMMANDS_H
#include "tools/option.h"

extern const yk_command yk_command_ls, yk_command_run, yk_command_map, yk_command_doctor;

/* What --color says about stdout: auto looks at the terminal, NO_COLOR, FORCE_COLOR and TERM. (ls.c) */
bool yk_use_color(const char *choice);
/* From now on a task that crashes or calls exit() in this process is named on stderr. (crash.c) */
void yk_prepare_crashes(void); /* before the executor is opened */
void yk_watch_crashes(void);
#endif
