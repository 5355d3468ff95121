/* kernel_place: where in the user's file a place in a kernel's text is. All that stands in a macro's argument
 * becomes one line for a device's compiler, which names the line of the macro and a column. The tokens of the text
 * up to that column are looked for in the file, where they stand on the lines that their author gave them, with
 * comments between them. */
#include "task/module.h"
#include "tools/kernel_check.h"
#include <stdlib.h>

enum { FILE_MOST = 4 << 20 };

/* The token at or after p that is no part of a comment. */
static void read_token(const char *p, yk_token *ret)
{
    for (;;) {
        yk_token_read(p, ret);
        const char *at = ret->at;
        if (ret->kind != YK_TOKEN_SIGN || at[0] != '/' || (at[1] != '*' && at[1] != '/'))
            return;
        const char *end = at[1] == '*' ? strstr(at + 2, "*/") : strchr(at, '\n');
        p = !end ? at + strlen(at) : at[1] == '*' ? end + 2 : end + 1;
    }
}

static bool is_same(const yk_token *a, const yk_token *b)
{
    return a->kind == b->kind && a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

/* If the tokens of text follow each other at p: where that of which column is part stands, else NULL. */
static const char *follow(const char *p, const char *text, const char *column)
{
    const char *found = NULL;
    yk_token there, wanted;
    for (;;) {
        yk_token_read(text, &wanted);
        if (wanted.kind == YK_TOKEN_END)
            return found;
        read_token(p, &there);
        if (!is_same(&there, &wanted))
            return NULL;
        if (wanted.at <= column)
            found = there.at;
        text = wanted.at + wanted.len;
        p = there.at + there.len;
    }
}

static const char *line_at(const char *text, unsigned line)
{
    while (text && --line > 0) {
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return text;
}

static bool line_has(const char *line, const char *name)
{
    yk_token t;
    const char *end = line + strcspn(line, "\n");
    for (const char *p = line; yk_token_read(p, &t), t.kind != YK_TOKEN_END && t.at < end; p = t.at + t.len)
        if (yk_token_is(&t, name))
            return true;
    return false;
}

/* Where the kernel's macro begins: for gcc that is its line, for clang its line is that of the macro's end. */
static unsigned first_line(const char *file, const yoke_kernel *k)
{
    for (unsigned line = k->line; line > 0; line--) {
        const char *p = line_at(file, line);
        if (p && line_has(p, k->name))
            return line;
    }
    return k->line;
}

/* From the kernel's first line on in its file's text; 0: it is not there. */
static unsigned find_line(const char *file, const yoke_kernel *k, size_t column)
{
    const unsigned first = first_line(file, k);
    const char *begin = line_at(file, first), *found = NULL;
    yk_token t;
    for (const char *p = begin; p && !found && (read_token(p, &t), t.kind != YK_TOKEN_END); p = t.at + t.len)
        found = follow(t.at, k->texts[0], k->texts[0] + column);
    if (!found)
        return 0;
    unsigned line = first;
    for (const char *p = begin; p < found; p++)
        line += *p == '\n';
    return line;
}

unsigned yk_place_find(const yoke_kernel *k, unsigned column)
{
    yk_buf file = {0};
    bool has_one_text = k->form == YK_MAP_KERNEL || k->form == YK_GROUP_KERNEL;
    unsigned line = 0;
    if (!has_one_text || column == 0 || column > strlen(k->texts[0]) || strstr(k->texts[0], "long long"))
        return k->line; /* of several texts nobody knows which; the other is written in another way */
    if (yk_read_file(k->file, FILE_MOST, &file) == 0)
        line = find_line(yk_buf_str(&file), k, column - 1);
    yk_buf_done(&file);
    return line ? line : k->line;
}
