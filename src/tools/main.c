/* main: the yoke command: finds the subcommand, reads its options, calls it. */
#include "tools/commands.h"
#include "tools/kernel_check.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const yk_command *const yk_commands[] = {&yk_command_ls, &yk_command_run, &yk_command_map, &yk_command_kernel,
                                         &yk_command_doctor, NULL};

static const char *current_name = "";

int yk_complain(int code, const char *format, ...)
{
    yk_buf line = {0};
    yk_buf_printf(&line, "yoke%s%s: ", *current_name ? " " : "", current_name);
    char text[2000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    yk_plain(text, strlen(text), false); /* names and messages of others */
    yk_buf_printf(&line, "%s\n", text);
    fputs(yk_buf_str(&line), stderr);
    yk_buf_done(&line);
    return code;
}

int yk_write_out(yk_buf *out)
{
    int err = out->failed ? -ENOMEM : 0;
    for (size_t at = 0; at < out->len && err == 0;) {
        ssize_t n = yk_sys.write(yk_results_fd, out->ptr + at, out->len - at);
        if (n < 0 && errno != EINTR)
            err = -errno;
        else if (n > 0)
            at += (size_t)n;
    }
    yk_buf_done(out);
    /* A reader that has seen enough (yoke ls ... | head) is no failure worth a line. */
    if (err == -EPIPE)
        return 1;
    return err < 0 ? yk_complain(1, "cannot write to stdout: %s", yoke_strerror(err)) : 0;
}

/* What the first word may be: a command or an option of yoke itself. */
static const char *first_word_at(void *ctx, size_t i)
{
    static const char *const more[] = {"help", "--help", "--version"};
    enum { COMMANDS = YK_COUNT_OF(yk_commands) - 1 };
    if (i < COMMANDS)
        return yk_commands[i]->name;
    return i - COMMANDS < YK_COUNT_OF(more) ? more[i - COMMANDS] : NULL;
}

static const yk_command *find_command(const char *name)
{
    for (size_t i = 0; yk_commands[i]; i++)
        if (strcmp(yk_commands[i]->name, name) == 0)
            return yk_commands[i];
    return NULL;
}

/* yoke --generate man [COMMAND] | bash | zsh | fish: for the build. */
static int generate(int argc, char **argv)
{
    yk_buf out = {0};
    const char *what = argc > 0 ? argv[0] : "";
    if (strcmp(what, "man") == 0) {
        const yk_command *c = argc > 1 ? find_command(argv[1]) : NULL;
        if (argc > 1 && !c)
            return yk_complain(2, "no command \"%s\"", argv[1]);
        yk_man_print(c, &out);
    } else if (!yk_completion_print(what, &out)) {
        return yk_complain(2, "--generate: expected man, bash, zsh or fish");
    }
    return yk_write_out(&out);
}

static int run_command(const yk_command *c, int argc, char **argv)
{
    current_name = c->name;
    void *values = calloc(1, c->size);
    yk_words operands;
    yk_error e;
    if (!values)
        return yk_complain(1, "out of memory");
    int code, err = yk_options_parse(c, argc, argv, values, &operands, &e);
    if (err == 1) {
        yk_buf out = {0};
        yk_help_print(c, &out);
        code = yk_write_out(&out);
    } else if (err < 0) {
        code = yk_complain(2, "%s", e.text);
    } else {
        code = c->run(values, &operands);
    }
    yk_options_done(c, values, &operands);
    free(values);
    return code;
}

static int overview(int code)
{
    yk_buf out = {0};
    yk_help_overview(&out);
    if (code == 0)
        return yk_write_out(&out);
    fputs(yk_buf_str(&out), stderr);
    yk_buf_done(&out);
    return code;
}

/* A standard descriptor that is closed would be the next file opened, and be read or written in its place. What stands in for
 * it fails in the same way as the closed one. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(1);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a closed stdout is an error like others, see yk_write_out() */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that may grow no more */
    if (argc < 2)
        return overview(2);
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        const yk_command *c = argc > 2 ? find_command(argv[2]) : NULL;
        char help[] = "--help", *again[] = {help, NULL};
        return c ? run_command(c, 1, again) : overview(0);
    }
    if (strcmp(word, "--version") == 0) {
        yk_buf out = {0};
        yk_buf_printf(&out, "yoke %s (ABI %u)\n", YOKE_VERSION, YOKE_ABI);
        return yk_write_out(&out);
    }
    if (strcmp(word, "--generate") == 0)
        return generate(argc - 2, argv + 2);
    if (strcmp(word, "--run-kernels") == 0)
        return yk_compare_main(argc - 2, argv + 2);
    const yk_command *c = find_command(word);
    if (c)
        return run_command(c, argc - 2, argv + 2);
    const char *near = yk_nearest(word, first_word_at, NULL);
    const char *what = *word == '-' ? "option" : "command";
    if (near)
        return yk_complain(2, "no %s \"%s\"; did you mean \"%s\"? (see yoke --help)", what, word, near);
    return yk_complain(2, "no %s \"%s\" (see yoke --help)", what, word);
}
