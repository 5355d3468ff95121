/* yoke/child.h - programs as child processes: start them, talk to them, wait for them, and leave none behind.
 *
 *     yoke_child_output o;
 *     int err = yoke_child_run(&(yoke_child_opts){.argv = (const char *[]){"sort", "-u", NULL}}, text, strlen(text), &o);
 *     if (err < 0)
 *         fprintf(stderr, "%s\n", yoke_child_error());     // 'sort: No such file or directory'
 *     else
 *         printf("%d: %s", WEXITSTATUS(o.status), o.out);
 *     yoke_child_output_done(&o);
 *
 * A child sees what it is given and nothing else: of the descriptors 0, 1 and 2 alone (which can be those of this process,
 * /dev/null, pipes, or any others), no signal blocked, the handlers of this process gone and SIGPIPE as it is at first; what is
 * ignored otherwise stays so, as under nohup(1).
 *
 * Children are waited for one by one, through a descriptor that stands for each (pidfd_open(2), Linux 5.4): nothing here uses
 * SIGCHLD or waits for children that others have started; and nobody else may wait for these (no wait(-1), no SIGCHLD ignored).
 *
 * The calls work in coroutines, where they suspend, and in threads. A child is used by one loop, or one thread at a time.
 */
#ifndef YOKE_CHILD_H
#define YOKE_CHILD_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a child's standard input, output and error are: a descriptor (not 0), which stays the caller's, or one of these. */
enum {
    YOKE_CHILD_INHERIT = 0, /* what it is here */
    YOKE_CHILD_NULL = -1,   /* /dev/null */
    YOKE_CHILD_PIPE = -2,   /* a pipe, whose other end is yoke_child_stdin(), yoke_child_stdout(), yoke_child_stderr() */
    YOKE_CHILD_OUT = -3     /* for err: where out goes */
};

/* How a child is to be; zero is the default of each. */
typedef struct yoke_child_opts {
    const char *const *argv; /* its arguments from argv[0] on, ended by NULL */
    const char *program;     /* what is run; NULL: argv[0]. Without a slash it is looked up in PATH */
    const char *const *env;  /* NAME=VALUE, ended by NULL; default: as here */
    const char *cwd;         /* its working directory, from which a program "./x" is, too; default: as here */
    int in, out, err;
    bool new_group;          /* a process group of its own, which signals from here reach as a whole, and a terminal's do not */
    bool die_with_parent;    /* it gets SIGKILL when the thread that starts it has ended, in whatever way */
    int64_t grace;           /* ns from SIGTERM to SIGKILL when it has to end; 0: 5 s */
    int64_t limit;           /* yoke_child_run(): ns until it has to end; 0: none */
} yoke_child_opts;

typedef struct yoke_child yoke_child;

/* Starts a child. 0; or why it could not be: what exec or chdir say of it (-ENOENT, -EACCES, -ENOEXEC...), -EINVAL (no argv),
 * -EMFILE, -EAGAIN, -ENOMEM; then yoke_child_error() says it in words. The caller waits, without letting others run, until
 * the child is its program: about a millisecond. Give it back by yoke_child_close(). */
YOKE_API int yoke_child_spawn(const yoke_child_opts *opts, yoke_child **ret);

/* Why yoke_child_spawn() or yoke_child_run() last failed to start a child in this thread, on one line, as 'sort: No such file or
 * directory' or '/nowhere: No such file or directory (working directory of sort)'. Until the next. "" if none did. */
YOKE_API const char *yoke_child_error(void);

/* Its process id, which stays its own until the child has been waited for. */
YOKE_API int yoke_child_pid(const yoke_child *c);

/* This side of its pipes, for yoke_read() and yoke_write() (yoke/io.h); they stay the child's. -EBADF: it has no such pipe, or
 * not any more. Close them by yoke_child_close_stdin(), so that the child sees the end of its input, or with the child. A child
 * that writes more than a pipe holds (64 KiB) waits until it is read: read out and err at the same time, as yoke_child_run()
 * does. */
YOKE_API int yoke_child_stdin(const yoke_child *c);
YOKE_API int yoke_child_stdout(const yoke_child *c);
YOKE_API int yoke_child_stderr(const yoke_child *c);
YOKE_API int yoke_child_close_stdin(yoke_child *c);

/* Waits until it has ended; *ret is then its status as in waitpid(2): WIFEXITED(), WEXITSTATUS(), WIFSIGNALED(), WTERMSIG()
 * (NULL: not wanted). 0, -ECANCELED, -EAGAIN (_try), -ETIMEDOUT; the child goes on then. Again and again the same once it has
 * ended. -ECHILD: somebody else has waited for it, or it is a child of this process's parent. */
YOKE_API int yoke_child_wait(yoke_child *c, int *ret);
YOKE_API int yoke_child_wait_try(yoke_child *c, int *ret);
YOKE_API int yoke_child_wait_timed(yoke_child *c, int64_t ns, int *ret);
YOKE_API int yoke_child_wait_until(yoke_child *c, int64_t deadline, int *ret);

/* Sends it (with new_group: to its group) a signal. 0; -ESRCH once it has been waited for. */
YOKE_API int yoke_child_kill(yoke_child *c, int number);

/* Ends it: SIGTERM; SIGKILL after the grace time, or when it has ended and has left others in its new_group; and waits for that,
 * whatever cancels there are: at most for the grace time and what the kernel needs. *ret is its status (NULL: not wanted). Its
 * pipes stay as they are. 0 or -ECHILD. */
YOKE_API int yoke_child_end(yoke_child *c, int *ret);

/* Gives it back, with its pipes, when nobody waits for it or them any more. One that has not been waited for gets SIGKILL and
 * is; so wait, or yoke_child_end() it, first. In a child made by fork(2) it touches nothing of the parent's. Returns NULL. NULL
 * is allowed. */
YOKE_API yoke_child *yoke_child_close(yoke_child *c);

/* ---- All in one ---- */

typedef struct yoke_child_output {
    int status;
    char *out, *err; /* what it wrote, with a NUL behind it; NULL when it was no pipe */
    size_t out_len, err_len;
} yoke_child_output;

/* Starts a child, writes n bytes of input to it, reads what it writes, all at the same time, and waits until it has ended. Of
 * opts, in, out and err are pipes where they are 0 (say 1 and 2 for what they are here). A child that ends, or closes its input,
 * without having read it all is no error; nor is one that leaves children of its own behind, who still have its pipes. 0,
 * whatever its status; or, with nothing in *ret to be freed, an error as of yoke_child_spawn(), or -ECANCELED, -ETIMEDOUT
 * (limit), -ENOMEM: then the child has been ended as by yoke_child_end(), while its output was read and dropped. */
YOKE_API int yoke_child_run(const yoke_child_opts *opts, const void *input, size_t n, yoke_child_output *ret);
/* Frees what it has, and zeroes it. */
YOKE_API void yoke_child_output_done(yoke_child_output *o);

#ifdef __cplusplus
}
#endif
#endif
