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

/* ---- bash ---- */

static void put_bash_values(yk_buf *out, const yk_command *c)
{
    yk_buf_text(out, "        case $prev in\n");
    for (const yk_option *o = c->options; o->name; o++) {
        if (o->kind != YK_OPT_CHOICE && !o->files && strcmp(o->name, "on") != 0)
            continue;
        yk_buf_printf(out, "        --%s", o->name);
        if (o->letter)
            yk_buf_printf(out, "|-%c", o->letter);
        yk_buf_text(out, ")\n");
        if (o->files) {
            yk_buf_text(out, "            COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
            continue;
        }
        yk_buf_text(out, "            COMPREPLY=($(compgen -W '");
        for (const char *p = o->kind == YK_OPT_CHOICE ? o->choices : "inline|threads|processes"; *p; p++)
            yk_buf_char(out, *p == '|' ? ' ' : *p);
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
                     "            sed -n 's/^\\([A-Za-z_][A-Za-z_0-9]*\\)(.*/\\1/p')\" -- \"$cur\"))\n"
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
    if (o->kind == YK_OPT_CHOICE) {
        yk_buf_printf(out, ":%s:(", o->name);
        for (const char *p = o->choices; *p; p++)
            yk_buf_char(out, *p == '|' ? ' ' : *p);
        yk_buf_char(out, ')');
    } else if (strcmp(o->name, "on") == 0) {
        yk_buf_text(out, ":executor:(inline threads processes)");
    } else if (o->kind != YK_OPT_FLAG) {
        yk_buf_printf(out, ":%s:%s", o->metavar ? o->metavar : "value", o->files ? "_files" : "");
    }
    yk_buf_text(out, "' \\\n");
}

static void put_zsh(yk_buf *out)
{
    yk_buf_text(out, "#compdef yoke\n_yoke()\n{\n    local -a commands\n    commands=(\n");
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
        yk_buf_text(out, "            '*:file:_files' ;;\n");
    }
    yk_buf_text(out, "    esac\n}\n_yoke \"$@\"\n");
}

/* ---- fish ---- */

static void put_fish(yk_buf *out)
{
    yk_buf_text(out, "# fish completion for yoke\n");
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
            if (o->kind == YK_OPT_CHOICE || strcmp(o->name, "on") == 0) {
                yk_buf_text(out, " -x -a '");
                for (const char *p = o->choices ? o->choices : "inline|threads|processes"; *p; p++)
                    yk_buf_char(out, *p == '|' ? ' ' : *p);
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
