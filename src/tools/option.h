/* option: the one table of a command's options, from which parsing, --help, the man page and the shell completions are made. */
#ifndef YK_TOOLS_OPTION_H
#define YK_TOOLS_OPTION_H
#include "base/base.h"

enum yk_option_kind {
    YK_OPT_FLAG,     /* bool; --no-NAME clears it when `negatable` */
    YK_OPT_TEXT,     /* const char * */
    YK_OPT_NUMBER,   /* int64_t, 0 or more */
    YK_OPT_DURATION, /* int64_t nanoseconds; 10s, 200ms, 1.5m, 2h; seconds without a unit */
    YK_OPT_CHOICE,   /* const char *: one of `choices` */
    YK_OPT_LIST      /* yk_words: may be given several times */
};

typedef struct yk_words {
    const char **v;
    size_t n;
} yk_words;

typedef struct yk_option {
    const char *name;
    char letter; /* or 0 */
    enum yk_option_kind kind;
    const char *metavar, *help;
    const char *choices; /* "auto|json|text" */
    size_t offset;       /* of its value in the command's struct */
    bool negatable;
    const char *likely;  /* for completion, the values of a text that are worth offering, as `choices` */
    bool files;          /* its value is a file, for completion */
    bool optional;       /* a value may be left out: --name alone sets it to "" */
} yk_option;

typedef struct yk_example {
    const char *command, *says;
} yk_example;

typedef struct yk_command {
    const char *name, *summary; /* "run", "run one task and print its result" */
    const char *operands;       /* "FILE:TASK [ARG...]"; completion offers tasks when it begins so */
    const char *description;    /* paragraphs for the man page, separated by empty lines */
    const yk_example *examples; /* ends with {NULL}; the first two are in --help */
    const yk_option *options;   /* ends with {NULL} */
    const char *exit_codes;     /* lines "0 text" */
    size_t least, most;         /* operands */
    const char *stop;           /* a word from which on everything is operand (":::"), or NULL */
    size_t size;                /* of the struct of values */
    int (*run)(void *values, const yk_words *operands); /* the exit code */
} yk_command;

/* The commands, NULL at the end. */
extern const yk_command *const yk_commands[];

/* Fills values and operands (words of argv, permuted; the caller frees operands->v and those of lists). Returns 0, 1
 * when help was asked for, or -EINVAL with the one thing wrong and a pointer to --help in e. */
int yk_options_parse(const yk_command *c, int argc, char **argv, void *values, yk_words *operands, yk_error *e);
void yk_options_done(const yk_command *c, void *values, yk_words *operands);

/* Whether a word is written exactly as one of the command's options: --on, --on=threads, -q. */
bool yk_option_is(const yk_command *c, const char *word);

/* "1.5s" as nanoseconds; false when it is none. */
bool yk_parse_duration(const char *text, int64_t *ret);

/* ---- help.c ---- */
void yk_help_print(const yk_command *c, yk_buf *out);
void yk_help_overview(yk_buf *out);
/* The man page of a command; NULL: of yoke itself. */
void yk_man_print(const yk_command *c, yk_buf *out);

/* ---- completion.c ---- */
/* shell is "bash", "zsh" or "fish"; false for another. */
bool yk_completion_print(const char *shell, yk_buf *out);

/* ---- main.c ---- */
/* "yoke run: TEXT" on stderr. Returns code, for `return yk_complain(2, ...)`. */
int yk_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes all of it to stdout. The exit code: 0, or 1 with a line on stderr when that fails. */
int yk_write_out(yk_buf *out);

#endif
