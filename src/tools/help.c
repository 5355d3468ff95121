/* help: --help and the man pages, both written from the table of options. */
#include "tools/option.h"

enum { COLUMN = 28 };

/* "-j, --jobs N" */
static void put_option(yk_buf *out, const yk_option *o)
{
    if (o->letter)
        yk_buf_printf(out, "-%c, ", o->letter);
    else
        yk_buf_text(out, "    ");
    yk_buf_printf(out, "--%s%s", o->negatable ? "[no-]" : "", o->name);
    const char *value = o->kind == YK_OPT_CHOICE ? o->choices : o->metavar;
    if (o->kind != YK_OPT_FLAG)
        yk_buf_printf(out, o->optional ? "[=%s]" : " %s", value ? value : "VALUE");
}

static void put_option_line(yk_buf *out, const yk_option *o)
{
    yk_buf_text(out, "  ");
    size_t start = out->len;
    put_option(out, o);
    size_t used = out->len - start + 2;
    if (used > COLUMN - 2)
        yk_buf_printf(out, "\n%*s", COLUMN, "");
    else
        yk_buf_printf(out, "%*s", (int)(COLUMN - used), "");
    yk_buf_printf(out, "%s\n", o->help);
}

/* One line each, as "0 done\n". */
static void put_exit_codes(yk_buf *out, const char *codes)
{
    yk_buf_text(out, "\nExit status:\n");
    for (size_t n, line; *codes; codes += line + (codes[line] == '\n')) {
        n = strcspn(codes, " ");
        line = strcspn(codes, "\n");
        yk_buf_printf(out, "  %-5.*s%.*s\n", (int)n, codes, (int)(line - n - 1), codes + n + 1);
    }
}

void yk_help_print(const yk_command *c, yk_buf *out)
{
    yk_buf_printf(out, "Usage: yoke %s%s%s%s\n\n", c->name, c->options[0].name ? " [OPTION...]" : "", *c->operands ? " " : "",
                  c->operands);
    yk_buf_printf(out, "%c%s.\n\nExamples:\n", c->summary[0] - 'a' + 'A', c->summary + 1);
    for (int i = 0; i < 2 && c->examples[i].command; i++)
        yk_buf_printf(out, "  %s\n      %s\n", c->examples[i].command, c->examples[i].says);
    yk_buf_text(out, "\nOptions:\n");
    for (const yk_option *o = c->options; o->name; o++)
        put_option_line(out, o);
    static const yk_option help = {.name = "help", .letter = 'h', .help = "this text"};
    put_option_line(out, &help);
    put_exit_codes(out, c->exit_codes);
    yk_buf_printf(out, "\nMore: man yoke-%s\n", c->name);
}

void yk_help_overview(yk_buf *out)
{
    yk_buf_text(out, "Usage: yoke COMMAND [OPTION...] [WORD...]\n\n"
                     "Run typed C functions in threads and processes: write a function once, run it anywhere.\n\nCommands:\n");
    for (size_t i = 0; yk_commands[i]; i++)
        yk_buf_printf(out, "  %-10s%s\n", yk_commands[i]->name, yk_commands[i]->summary);
    yk_buf_text(out, "\nExamples:\n"
                     "  yoke ls integrate.c                      the tasks in a file\n"
                     "  yoke run integrate.c:integrate 0 1 1000  one call\n"
                     "  yoke map integrate.c:integrate < in      one call for each line of in\n\n"
                     "More: yoke COMMAND --help, man yoke\n");
}

/* ---- Man pages (man(7)) ---- */

/* How roff writes a character so that it is printed as it is: a plain one would be its own syntax, as " in an argument of a
 * macro, or be set as a similar one that no shell knows. */
static const char *roff_name(char c)
{
    static const struct {
        char c;
        const char *name;
    } names[] = {{'\\', "\\e"}, {'-', "\\-"}, {'"', "\\(dq"}, {'\'', "\\(aq"}, {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"}};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        if (names[i].c == c)
            return names[i].name;
    return NULL;
}

static void put_roff(yk_buf *out, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        const char *name = roff_name(*text);
        if (line_start && *text == '.')
            yk_buf_text(out, "\\&");
        if (name)
            yk_buf_text(out, name);
        else
            yk_buf_char(out, *text);
        line_start = *text == '\n';
    }
}

static void put_paragraphs(yk_buf *out, const char *text)
{
    for (const char *p = text, *end; *p; p = end) {
        end = strstr(p, "\n\n");
        size_t n = end ? (size_t)(end - p) : strlen(p);
        yk_buf part = {0};
        yk_buf_put(&part, p, n);
        yk_buf_text(out, ".PP\n");
        put_roff(out, yk_buf_str(&part));
        yk_buf_char(out, '\n');
        yk_buf_done(&part);
        end = end ? end + 2 : p + n;
    }
}

static void put_man_option(yk_buf *out, const yk_option *o)
{
    yk_buf name = {0};
    put_option(&name, o);
    const char *text = yk_buf_str(&name);
    yk_buf_text(out, ".TP\n.B ");
    put_roff(out, text + strspn(text, " "));
    yk_buf_char(out, '\n');
    put_roff(out, o->help);
    yk_buf_text(out, ".\n");
    yk_buf_done(&name);
}

static void put_man_exit_codes(yk_buf *out, const char *codes)
{
    yk_buf_text(out, ".SH EXIT STATUS\n");
    while (*codes) {
        size_t n = strcspn(codes, " "), line = strcspn(codes, "\n");
        yk_buf_printf(out, ".TP\n.B %.*s\n%.*s\n", (int)n, codes, (int)(line - n - 1), codes + n + 1);
        codes += line + (codes[line] == '\n');
    }
}

static void put_environment(yk_buf *out)
{
    yk_buf_text(out, ".SH ENVIRONMENT\n"
                     ".TP\n.B YOKE_CACHE\nFolder of compiled modules (else $XDG_CACHE_HOME/yoke, else ~/.cache/yoke).\n"
                     ".TP\n.B YOKE_INCLUDE\nFolder of yoke.h for compiling modules, if it is not found by itself.\n"
                     ".TP\n.B CC\nThe C compiler for modules (else cc, gcc, clang). Lines "
                     "\\(lq// yoke\\-flags: \\-lm \\-O3\\(rq in a module add flags for the compiler and the linker.\n"
                     ".TP\n.B YOKE_DEBUG\nWords with commas between, for reports on stderr: locks (orders of locks that "
                     "can deadlock, and deadlocks), forks (forks and joins that do not match), async (coroutines that hold "
                     "up their loop for 100 ms).\n"
                     ".TP\n.B YOKE_DUMP\nUSR1, USR2 or QUIT: on that signal, what every coroutine waits for goes to stderr.\n"
                     ".TP\n.B YOKE_ASYNC_BACKEND\nWhat loops of coroutines wait with: io_uring, epoll, or auto, which is "
                     "io_uring where the kernel allows it.\n"
                     ".TP\n.B YOKE_DEVICE\nThe device that is used where none is named, on the executor gpu too: cuda, cuda:1, "
                     "opencl, opencl:NAME, cpu; several with commas between: the first that works.\n"
                     ".TP\n.BR YOKE_CUDA_DRIVER , \" YOKE_OPENCL_DRIVER\", \" YOKE_NVRTC\"\nLibraries to be opened instead of "
                     "libcuda.so.1, libOpenCL.so.1 and the libnvrtc that is found.\n"
                     ".TP\n.BR NO_COLOR , \" FORCE_COLOR\"\nNo colour, or colour even if stdout is no terminal.\n");
}

static void put_head(yk_buf *out, const char *page, const char *summary)
{
    yk_buf_printf(out, ".TH %s 1 \"\" \"yoke %s\" \"yoke manual\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", page, YOKE_VERSION,
                  page, summary);
}

static void put_overview(yk_buf *out)
{
    put_head(out, "yoke", "run typed C functions in threads, in processes and on GPUs");
    yk_buf_text(out,
                ".B yoke\n.I COMMAND\n[\\fIOPTION\\fR...] [\\fIWORD\\fR...]\n.SH DESCRIPTION\n"
                "A task is an ordinary C function, declared by one macro. yoke compiles the file it is in when that is needed, "
                "finds its tasks, and runs them on an executor: inline, threads, async, processes, cuda, opencl, gpu or cpu; or "
                "in worker processes with a device, processes:cuda:0, where a device that is lost costs the job that ran.\n"
                ".SH COMMANDS\n");
    for (size_t i = 0; yk_commands[i]; i++)
        yk_buf_printf(out, ".TP\n.BR yoke\\-%s (1)\n%s.\n", yk_commands[i]->name, yk_commands[i]->summary);
    put_environment(out);
}

void yk_man_print(const yk_command *c, yk_buf *out)
{
    if (!c) {
        put_overview(out);
        return;
    }
    char page[64] = "yoke-";
    yk_buf name = {0};
    yk_buf_printf(&name, "yoke-%s", c->name);
    memcpy(page, yk_buf_str(&name), YK_MIN(name.len + 1, sizeof page));
    yk_buf_done(&name);
    put_head(out, page, c->summary);
    yk_buf_printf(out, ".B yoke %s\n[\\fIOPTION\\fR...]\n", c->name);
    put_roff(out, c->operands);
    yk_buf_text(out, "\n.SH DESCRIPTION\n");
    put_paragraphs(out, c->description);
    yk_buf_text(out, ".SH OPTIONS\n");
    for (const yk_option *o = c->options; o->name; o++)
        put_man_option(out, o);
    yk_buf_text(out, ".SH EXAMPLES\n");
    for (const yk_example *x = c->examples; x->command; x++) {
        yk_buf_text(out, ".TP\n.B ");
        put_roff(out, x->command);
        yk_buf_char(out, '\n');
        put_roff(out, x->says);
        yk_buf_char(out, '\n');
    }
    put_man_exit_codes(out, c->exit_codes);
    put_environment(out);
    yk_buf_text(out, ".SH SEE ALSO\n.BR yoke (1)\n");
}
