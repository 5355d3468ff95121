/* child.h - runs a function in a child process and catches what it writes to stderr and how it ends. */
#ifndef YK_TESTS_CHILD_H
#define YK_TESTS_CHILD_H
#include "test.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct child_end {
    int status; /* of waitpid() */
    char text[8192];
} child_end;

/* The child ends by exit(0) when fn returns. */
static inline child_end in_child(void (*fn)(void))
{
    child_end end = {0};
    int fds[2];
    fflush(stdout);
    CHECK_INT(pipe(fds), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        fn();
        exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    ssize_t n;
    while (len < sizeof end.text - 1 && (n = read(fds[0], end.text + len, sizeof end.text - 1 - len)) > 0)
        len += (size_t)n;
    close(fds[0]);
    waitpid(pid, &end.status, 0);
    return end;
}

/* Under a sanitizer, which has handlers of its own, a crash ends the process with an exit code. */
static inline bool died_of(const child_end *end, int number)
{
    const char *sanitizer = getenv("YOKE_SANITIZE");
    if (sanitizer && strcmp(sanitizer, "none") != 0 && WIFEXITED(end->status))
        return WEXITSTATUS(end->status) != 0;
    return WIFSIGNALED(end->status) && WTERMSIG(end->status) == number;
}

/* How often the text has the part. */
static inline int count_of(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

#endif
