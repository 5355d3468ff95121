/* program.h - another program at the ends of two pipes, as the peer of a test. */
#ifndef YK_TESTS_PROGRAM_H
#define YK_TESTS_PROGRAM_H
#include "test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct program {
    pid_t pid;
    int in;
    FILE *out;
} program;

static inline program run_program(const char *const *argv)
{
    int in[2], out[2];
    CHECK_INT(pipe2(in, O_CLOEXEC), 0);
    CHECK_INT(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        unsetenv("LD_PRELOAD");
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return (program){pid, in[1], fdopen(out[0], "r")};
}

/* Its exit code; the pipes are closed first, so that it is not waiting for us. */
static inline int end_program(program *p)
{
    int status;
    close(p->in);
    while (fgetc(p->out) != EOF)
        ;
    fclose(p->out);
    CHECK_INT(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#endif
