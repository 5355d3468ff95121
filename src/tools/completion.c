/* completion: completions for bash, zsh and fish, written from the table of options. */
#include "tools/option.h"

static void put_command_names(yk_buf *out)
{
    for (size_t i = 0; yk_commands[i]; i++)
        yk_buf_printf(out, "%s%s", i ? " " : "", yk_commands[i]->name);
}

/* Text inside single quotes: ' becomes '\''. */
static void put_quoted(yk_buf *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            yk_buf_text(out, "'\\''");
        else
            yk_buf_char(out, *text);
}

/* "a|b|c" as words. */
static void put_words(yk_buf *out, const char *words)
{
    for (; *words; words++)
        yk_buf_char(out, *words == '|' ? ' ' : *words);
}

/* The values to offer, or NULL. */
static const char *values_of(const yk_option *o)
{
    return o->kind == YK_OPT_CHOICE ? o->choices : o->likely;
}

/* A value stands in a word of its own. */
static bool takes_word(const yk_option *o)
{
    return o->kind != YK_OPT_FLAG && !o->optional;
}

static bool has_target(const yk_command *c)
{
    return strncmp(c->operands, "FILE:TASK", 9) == 0;
}

/* A sed command that leaves the names of `yoke ls`. */
#define NAMES "sed -n 's/^\\([A-Za-z_][A-Za-z_0-9]*\\)(.*/\\1/p'"

/* ---- bash ---- */

static void put_bash_values(yk_buf *out, const yk_command *c)
{
    yk_buf_text(out, "        case $prev in\n");
    for (const yk_option *o = c->options; o->name; o++) {
        if (!takes_word(o) && !values_of(o))
            continue;
        yk_buf_printf(out, "        --%s", o->name);
        if (o->letter)
            yk_buf_printf(out, "|-%c", o->letter);
        yk_buf_text(out, ")\n");
        if (o->files) {
            yk_buf_text(out, "            COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
            continue;
        }
        if (!values_of(o)) {
            yk_buf_text(out, "            return ;;\n");
            continue;
        }
        yk_buf_text(out, "            COMPREPLY=($(compgen -W '");
        put_words(out, values_of(o));
        yk_buf_text(out, "' -- \"$cur\")); return ;;\n");
    }
    yk_buf_text(out, "        esac\n");
}

/* Tasks after FILE: - bash ends a word at the colon, so the file is the word before it. */
static void put_bash_tasks(yk_buf *out)
{
    yk_buf_text(out, "    esac\n    local file=\n"
                     "    if [ \"$cur\" = : ]; then\n        file=$prev cur=\n"
                     "    elif [ \"$prev\" = : ]; then\n        file=${COMP_WORDS[COMP_CWORD-2]}\n    fi\n"
                     "    if [ -n \"$file\" ]; then\n"
                     "        COMPREPLY=($(compgen -W \"$(yoke ls --color=never -- \"$file\" 2>/dev/null |\n"
                     "            " NAMES ")\" -- \"$cur\"))\n"
                     "        return\n    fi\n");
}

static void put_bash(yk_buf *out)
{
    yk_buf_text(out, "# bash completion for yoke\n_yoke()\n{\n"
                     "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
                     "    COMPREPLY=()\n"
                     "    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '");
    put_command_names(out);
    yk_buf_text(out, " --help --version' -- \"$cur\"))\n        return\n    fi\n    case $command in\n");
    for (size_t i = 0; yk_commands[i]; i++) {
        yk_buf_printf(out, "    %s)\n", yk_commands[i]->name);
        put_bash_values(out, yk_commands[i]);
        yk_buf_text(out, "        if [[ $cur == -* ]]; then\n            COMPREPLY=($(compgen -W '");
        for (const yk_option *o = yk_commands[i]->options; o->name; o++)
            yk_buf_printf(out, "--%s ", o->name);
        yk_buf_text(out, "--help' -- \"$cur\"))\n            return\n        fi ;;\n");
    }
    put_bash_tasks(out);
    yk_buf_text(out, "    COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -o filenames -F _yoke yoke\n");
}

/* ---- zsh ---- */

static void put_zsh_option(yk_buf *out, const yk_option *o)
{
    yk_buf_printf(out, "            '--%s%s[", o->name, o->kind == YK_OPT_FLAG ? "" : "=");
    for (const char *p = o->help; *p; p++)
        if (*p == '[' || *p == ']' || *p == ':')
            yk_buf_printf(out, "\\%c", *p);
        else if (*p == '\'')
            yk_buf_text(out, "'\\''");
        else
            yk_buf_char(out, *p);
    yk_buf_char(out, ']');
    if (values_of(o)) {
        yk_buf_printf(out, ":%s:(", o->name);
        put_words(out, values_of(o));
        yk_buf_char(out, ')');
    } else if (o->kind != YK_OPT_FLAG) {
        yk_buf_printf(out, ":%s:%s", o->metavar ? o->metavar : "value", o->files ? "_files" : "");
    }
    yk_buf_text(out, "' \\\n");
}

/* The file, and behind its colon its tasks. */
static void put_zsh_target(yk_buf *out)
{
    yk_buf_text(out, "_yoke_target()\n{\n    local file=${(Q)PREFIX%:*}\n    local -a names\n"
                     "    if [[ $PREFIX != *:* || ! -e $file ]]; then\n        _files\n        return\n    fi\n"
                     "    names=(${(f)\"$(yoke ls --color=never -- $file 2>/dev/null |\n"
                     "        " NAMES ")\"})\n    compset -P '*:'\n    compadd -a names\n}\n");
}

static void put_zsh(yk_buf *out)
{
    yk_buf_text(out, "#compdef yoke\n");
    put_zsh_target(out);
    yk_buf_text(out, "_yoke()\n{\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; yk_commands[i]; i++) {
        yk_buf_printf(out, "        '%s:", yk_commands[i]->name);
        put_quoted(out, yk_commands[i]->summary);
        yk_buf_text(out, "'\n");
    }
    yk_buf_text(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
                     "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    for (size_t i = 0; yk_commands[i]; i++) {
        yk_buf_printf(out, "        %s) _arguments \\\n", yk_commands[i]->name);
        for (const yk_option *o = yk_commands[i]->options; o->name; o++)
            put_zsh_option(out, o);
        yk_buf_printf(out, "%s            '*:file:_files' ;;\n",
                      has_target(yk_commands[i]) ? "            '1:task:_yoke_target' \\\n" : "");
    }
    yk_buf_text(out, "    esac\n}\n_yoke \"$@\"\n");
}

/* ---- fish ---- */

/* While a word has a colon behind a file, its tasks and no files. */
static void put_fish_target(yk_buf *out)
{
    yk_buf_text(out, "function __yoke_file\n"
                     "    string match -q '*:*' -- (commandline -ct); or return 1\n"
                     "    set -l file (string replace -r ':[^:]*$' '' -- (commandline -ct))\n"
                     "    test -f \"$file\"; and echo -- $file\nend\n"
                     "function __yoke_tasks\n"
                     "    set -l file (__yoke_file); or return\n"
                     "    yoke ls --color=never -- $file 2>/dev/null |\n"
                     "        string replace -rf '^([A-Za-z_]\\w*)\\(.*' -- $file':$1'\nend\n");
    for (size_t i = 0; yk_commands[i]; i++)
        if (has_target(yk_commands[i]))
            yk_buf_printf(out, "complete -c yoke -n '__fish_seen_subcommand_from %s; and __yoke_file >/dev/null' -f "
                               "-a '(__yoke_tasks)'\n", yk_commands[i]->name);
}

static void put_fish(yk_buf *out)
{
    yk_buf_text(out, "# fish completion for yoke\n");
    put_fish_target(out);
    for (size_t i = 0; yk_commands[i]; i++) {
        yk_buf_printf(out, "complete -c yoke -n __fish_use_subcommand -f -a %s -d '", yk_commands[i]->name);
        for (const char *p = yk_commands[i]->summary; *p; p++)
            yk_buf_printf(out, *p == '\'' ? "\\%c" : "%c", *p);
        yk_buf_text(out, "'\n");
    }
    for (size_t i = 0; yk_commands[i]; i++)
        for (const yk_option *o = yk_commands[i]->options; o->name; o++) {
            yk_buf_printf(out, "complete -c yoke -n '__fish_seen_subcommand_from %s' -l %s", yk_commands[i]->name, o->name);
            if (o->letter)
                yk_buf_printf(out, " -s %c", o->letter);
            if (values_of(o)) {
                yk_buf_text(out, " -x -a '");
                put_words(out, values_of(o));
                yk_buf_char(out, '\'');
            } else if (o->kind != YK_OPT_FLAG) {
                yk_buf_text(out, o->files ? " -r" : " -x");
            }
            yk_buf_text(out, " -d '");
            for (const char *p = o->help; *p; p++)
                yk_buf_printf(out, *p == '\'' ? "\\%c" : "%c", *p);
            yk_buf_text(out, "'\n");
        }
}

bool yk_completion_print(const char *shell, yk_buf *out)
{
    if (strcmp(shell, "bash") == 0)
        put_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        put_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        put_fish(out);
    else
        return false;
    return true;
}
