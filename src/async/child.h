/* child: what the files about child processes share. */
#ifndef YK_ASYNC_CHILD_H
#define YK_ASYNC_CHILD_H
#include "async/io.h"
#include <yoke/child.h>

struct yoke_child {
    pid_t pid;
    int pidfd;
    int pipes[3]; /* this side of them; -1: none */
    int status;
    bool ended;   /* and has been waited for: status */
    bool group;
    int64_t grace;
    uint32_t fork_generation; /* of the process whose child it is */
};

/* Fills c's pid and pidfd. fds: what its first three are to be. 0, or a negative code with the reason in e. child_start.c */
int yk_child_start(const yoke_child_opts *opts, const int fds[3], yoke_child *c, yk_error *e);

/* Asks it to end. */
void yk_child_ask(yoke_child *c);
/* Ends it, and all that is left of its group, and waits for it. 0 or -ECHILD. */
int yk_child_force(yoke_child *c);

#endif
