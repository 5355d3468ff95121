/* module_compile: calling the system's C compiler on one source.
 *
 * The command is `CC -O2 -g -fPIC -shared -std=gnu11 -Werror=implicit-function-declaration -I(yoke's headers) FILE FLAGS`, FLAGS
 * from the lines `// yoke-flags:` of the source. Flags are split as a shell would, quotes and backslashes included, but nothing
 * is expanded or executed. What the compiler writes is kept as it is. */
#include "task/module.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#ifndef YOKE_INCLUDE_DIR
#define YOKE_INCLUDE_DIR "/usr/local/include"
#endif
#define FLAG_MARK "// yoke-flags:"
enum { OUTPUT_MAX = 1 << 20, WORDS_MAX = 512 };

/* ---- Where things are ---- */

static bool has_headers(const char *dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/yoke.h", dir);
    return n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
}

/* The file that holds this code. Of a program the loader knows argv[0] alone, which may be any word. */
static bool find_self(char own[PATH_MAX])
{
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)&yoke_register, &info) || !info.dli_fname)
        return false;
    return (strchr(info.dli_fname, '/') && realpath(info.dli_fname, own)) || realpath("/proc/self/exe", own);
}

/* Next to the library or the command that holds this code: in a build tree, or installed; else where it was to be installed. */
static bool find_headers(char dir[PATH_MAX])
{
    static const char *const from[] = {"/../include", "/../../include", "/../../../include", "/include"};
    const char *given = getenv("YOKE_INCLUDE");
    if (given && *given) {
        snprintf(dir, PATH_MAX, "%s", given);
        return has_headers(dir);
    }
    char own[PATH_MAX];
    if (find_self(own)) {
        char *slash = strrchr(own, '/');
        *slash = '\0';
        for (size_t i = 0; i < YK_COUNT_OF(from); i++) {
            char trial[PATH_MAX + 32];
            snprintf(trial, sizeof trial, "%s%s", own, from[i]);
            if (has_headers(trial) && realpath(trial, dir))
                return true;
        }
    }
    snprintf(dir, PATH_MAX, "%s", YOKE_INCLUDE_DIR);
    return has_headers(dir);
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool find_program(const char *name, char ret[PATH_MAX])
{
    if (strchr(name, '/')) {
        snprintf(ret, PATH_MAX, "%s", name);
        return is_program(ret);
    }
    const char *path = getenv("PATH");
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");
        int len = snprintf(ret, PATH_MAX, "%.*s/%s", n ? (int)n : 1, n ? p : ".", name);
        if (len > 0 && len < PATH_MAX && is_program(ret))
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

/* ---- Words ---- */

/* Adds one word; the text lies in r->memory as offsets until all are known. */
static void end_word(yk_recipe *r, size_t start)
{
    yk_buf_char(&r->memory, '\0');
    if (r->count < WORDS_MAX && r->words)
        r->words[r->count++] = (char *)(uintptr_t)start;
}

static void add_word(yk_recipe *r, const char *text)
{
    size_t start = r->memory.len;
    yk_buf_text(&r->memory, text);
    end_word(r, start);
}

/* Splits one line; false when a quote is not closed. */
static bool add_words(yk_recipe *r, const char *line, size_t len)
{
    size_t start = r->memory.len;
    bool inside = false;
    char quote = 0;
    for (size_t i = 0; i < len; i++) {
        char c = line[i];
        if (!quote && (c == ' ' || c == '\t' || c == '\r')) {
            if (inside)
                end_word(r, start);
            inside = false;
            start = r->memory.len;
            continue;
        }
        inside = true;
        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? 0 : c;
        else if (c == '\\' && quote != '\'' && i + 1 < len)
            yk_buf_char(&r->memory, line[++i]);
        else
            yk_buf_char(&r->memory, c);
    }
    if (inside)
        end_word(r, start);
    return !quote;
}

static int add_flags(yk_recipe *r, const char *text, size_t len, yk_buf *why)
{
    unsigned number = 1;
    for (const char *p = text, *end = text + len; p < end; number++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline ? newline : end) - p), blank = 0;
        while (blank < n && (p[blank] == ' ' || p[blank] == '\t'))
            blank++;
        if (n - blank >= sizeof FLAG_MARK - 1 && memcmp(p + blank, FLAG_MARK, sizeof FLAG_MARK - 1) == 0 &&
            !add_words(r, p + blank + sizeof FLAG_MARK - 1, n - blank - (sizeof FLAG_MARK - 1))) {
            yk_buf_printf(why, "%s:%u: a quote in yoke-flags is not closed", r->source, number);
            return -EINVAL;
        }
        p += n + 1;
    }
    return 0;
}

static bool add_compiler(yk_recipe *r)
{
    static const char *const usual[] = {"cc", "gcc", "clang"};
    const char *cc = getenv("CC");
    if (cc && *cc) {
        add_words(r, cc, strlen(cc));
        return r->count > 0 && !r->memory.failed && find_program(r->memory.ptr + (uintptr_t)r->words[0], r->compiler);
    }
    for (size_t i = 0; i < YK_COUNT_OF(usual); i++)
        if (find_program(usual[i], r->compiler)) {
            add_word(r, usual[i]);
            return true;
        }
    return false;
}

int yk_recipe_make(yk_recipe *r, const char *source, const char *text, size_t len, yk_buf *why)
{
    *r = (yk_recipe){.source = source};
    r->words = yk_sys.calloc(WORDS_MAX + 8, sizeof *r->words);
    if (!r->words)
        return -ENOMEM;
    if (!add_compiler(r)) {
        const char *cc = getenv("CC");
        if (r->memory.failed)
            return -ENOMEM;
        if (cc && *cc)
            yk_buf_printf(why, "the C compiler \"%s\" (from CC) is not there or cannot be run", cc);
        else
            yk_buf_text(why, "there is no C compiler: install gcc or clang, or set CC");
        return -ENOEXEC;
    }
    if (!find_headers(r->include)) {
        yk_buf_printf(why, "yoke.h is not in %s: set YOKE_INCLUDE to the folder that has it", r->include);
        return -ENOEXEC;
    }
    /* Without the last a misspelt name is told of by the loader, which knows no line. */
    static const char *const standard[] = {"-O2", "-g", "-fPIC", "-shared", "-std=gnu11", "-fdiagnostics-color=never",
                                           "-Werror=implicit-function-declaration"};
    for (size_t i = 0; i < YK_COUNT_OF(standard); i++)
        add_word(r, standard[i]);
    char option[PATH_MAX + 2];
    snprintf(option, sizeof option, "-I%s", r->include);
    add_word(r, option);
    r->source_at = r->count;
    add_word(r, source);
    int err = add_flags(r, text, len, why);
    if (err == 0 && r->memory.failed)
        err = -ENOMEM;
    for (size_t i = 0; i < r->count && err == 0; i++)
        r->words[i] = r->memory.ptr + (uintptr_t)r->words[i];
    return err;
}

void yk_recipe_done(yk_recipe *r)
{
    free(r->words);
    yk_buf_done(&r->memory);
    *r = (yk_recipe){0};
}

/* ---- Running ---- */

static void read_all(int fd, yk_buf *out)
{
    char part[4096];
    ssize_t n;
    while ((n = yk_sys.read(fd, part, sizeof part)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && out->len < OUTPUT_MAX)
            yk_buf_put(out, part, (size_t)n);
}

static int spawn(const yk_recipe *r, char **argv, int output, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    int err = posix_spawn(pid, r->compiler, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return -err;
}

static int how_it_ended(const yk_recipe *r, pid_t pid, const char *object, yk_buf *why)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    bool wrote = access(object, R_OK) == 0;
    if (ended < 0) /* the program ignores SIGCHLD: only the result tells */
        status = wrote ? 0 : 1 << 8;
    if (WIFSIGNALED(status)) {
        bool more = why->len > 0;
        yk_buf_printf(why, "%s was killed by signal %d (%s)%s", r->compiler, WTERMSIG(status), strsignal(WTERMSIG(status)),
                      more ? "\n" : "");
    } else if (status != 0 && why->len == 0) {
        yk_buf_printf(why, "%s ended with exit code %d and said nothing", r->compiler, WEXITSTATUS(status));
    } else if (status == 0 && !wrote) {
        why->len = 0; /* warnings at most */
        yk_buf_printf(why, "%s ended well but has written no object", r->compiler);
    }
    return status == 0 && wrote ? 0 : -ENOEXEC;
}

int yk_recipe_run(const yk_recipe *r, const char *object, const char *depends, yk_buf *why)
{
    char **argv = yk_sys.calloc(r->count + 8, sizeof *argv);
    if (!argv)
        return -ENOMEM;
    memcpy(argv, r->words, r->count * sizeof *argv);
    const char *const extra[] = {"-MD", "-MT", "m", "-MF", depends, "-o", object};
    memcpy(argv + r->count, extra, sizeof extra);
    int fds[2];
    if (yk_sys.pipe2(fds, O_CLOEXEC) < 0) {
        int err = -errno;
        free(argv);
        return err;
    }
    pid_t pid;
    int err = spawn(r, argv, fds[1], &pid);
    close(fds[1]);
    free(argv);
    if (err == 0)
        read_all(fds[0], why);
    close(fds[0]); /* before waiting: a compiler that goes on writing must not wait for a reader */
    if (err == 0)
        err = how_it_ended(r, pid, object, why);
    else
        yk_buf_printf(why, "cannot run %s: %s", r->compiler, yoke_strerror(err));
    if (err < 0)
        unlink(object);
    return err;
}
