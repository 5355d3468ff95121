/* option: reading a command line by the command's table.
 *
 * Long options as --name value or --name=value, and by any unambiguous beginning; letters in clusters (-qj4); options and
 * operands in any order; `--` ends the options. A word like -1 or -.5 is a number, so an operand. An error names one thing and
 * the nearest word that would have been right. */
#include "tools/option.h"
#include <stdlib.h>
#include <stdio.h>

typedef struct parser {
    const yk_command *c;
    char **argv;
    int argc, at;
    char *values;
    yk_error *e;
} parser;

static const char *option_name_at(void *ctx, size_t i)
{
    return ((const yk_command *)ctx)->options[i].name;
}

static int wrong(parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int wrong(parser *p, const char *format, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return yk_errorf(p->e, EINVAL, "%s (see yoke %s --help)", text, p->c->name);
}

/* ---- Values ---- */

bool yk_parse_duration(const char *text, int64_t *ret)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e9},   {"s", 1e9},    {"ms", 1e6},   {"us", 1e3},   {"ns", 1},
                 {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
    char *end;
    if (*text < '0' || *text > '9')
        if (*text != '.')
            return false;
    if (strpbrk(text, "xX"))
        return false; /* strtod() reads hexadecimal too */
    double v = strtod(text, &end);
    for (size_t i = 0; i < YK_COUNT_OF(units); i++)
        if (strcmp(end, units[i].unit) == 0) {
            double ns = v * units[i].ns;
            if (!(ns >= 0 && ns < 9e18))
                return false;
            *ret = (int64_t)ns;
            return true;
        }
    return false;
}

static bool parse_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return false;
    *ret = v;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strcspn(text, "|");
    for (const char *p = text[n] ? NULL : choices; p; p = strchr(p, '|'), p = p ? p + 1 : NULL)
        if (strncmp(p, text, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    return false;
}

static int add_to_list(parser *p, yk_words *list, const char *text)
{
    const char **grown = yk_sys.realloc(list->v, (list->n + 1) * sizeof *grown);
    if (!grown)
        return wrong(p, "out of memory");
    list->v = grown;
    list->v[list->n++] = text;
    return 0;
}

static int set_value(parser *p, const yk_option *o, const char *text)
{
    void *to = p->values + o->offset;
    switch (o->kind) {
    case YK_OPT_FLAG:
        *(bool *)to = true;
        return 0;
    case YK_OPT_TEXT:
        *(const char **)to = text;
        return 0;
    case YK_OPT_LIST:
        return add_to_list(p, to, text);
    case YK_OPT_NUMBER:
        return parse_number(text, to) ? 0 : wrong(p, "--%s: expected a whole number, got \"%s\"", o->name, text);
    case YK_OPT_DURATION:
        return yk_parse_duration(text, to)
                   ? 0
                   : wrong(p, "--%s: expected a duration such as 10s or 200ms, got \"%s\"", o->name, text);
    case YK_OPT_CHOICE:
        if (!is_choice(o->choices, text))
            return wrong(p, "--%s: expected one of %s, got \"%s\"", o->name, o->choices, text);
        *(const char **)to = text;
        return 0;
    }
    return 0;
}

/* ---- Options ---- */

static const yk_option *find_long(parser *p, const char *name, size_t len, int *matches)
{
    const yk_option *found = NULL;
    *matches = 0;
    for (const yk_option *o = p->c->options; o->name; o++) {
        if (strncmp(o->name, name, len) != 0)
            continue;
        if (strlen(o->name) == len) {
            *matches = 1;
            return o;
        }
        found = o;
        ++*matches;
    }
    return found;
}

static int take_value(parser *p, const yk_option *o, const char *attached)
{
    if (attached)
        return set_value(p, o, attached);
    if (o->optional)
        return set_value(p, o, "");
    if (p->at + 1 >= p->argc)
        return wrong(p, "--%s needs a value: %s", o->name, o->metavar ? o->metavar : "VALUE");
    return set_value(p, o, p->argv[++p->at]);
}

static int unknown_long(parser *p, const char *name, size_t len, int matches)
{
    char word[100];
    snprintf(word, sizeof word, "%.*s", (int)YK_MIN(len, sizeof word - 1), name);
    if (matches > 1)
        return wrong(p, "--%s could be any of %d options", word, matches);
    const char *near = yk_nearest(word, option_name_at, (void *)(uintptr_t)p->c);
    return near ? wrong(p, "no option --%s; did you mean --%s?", word, near) : wrong(p, "no option --%s", word);
}

/* --name, --name=value, --no-name. 1: help. */
static int parse_long(parser *p, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    if (len == 4 && memcmp(word, "help", 4) == 0)
        return 1;
    int matches;
    const yk_option *o = find_long(p, word, len, &matches);
    if (matches != 1) {
        int negated = 0;
        const yk_option *n = len > 3 && memcmp(word, "no-", 3) == 0 ? find_long(p, word + 3, len - 3, &negated) : NULL;
        if (n && negated == 1 && n->negatable && n->kind == YK_OPT_FLAG) {
            if (equals)
                return wrong(p, "--no-%s takes no value", n->name);
            *(bool *)(void *)(p->values + n->offset) = false;
            return 0;
        }
        return unknown_long(p, word, len, YK_MAX(matches, negated));
    }
    if (o->kind != YK_OPT_FLAG)
        return take_value(p, o, equals ? equals + 1 : NULL);
    return equals ? wrong(p, "--%s takes no value", o->name) : set_value(p, o, NULL);
}

/* -q, -j4, -j 4, -qj4. 1: help. */
static int parse_letters(parser *p, const char *letters)
{
    for (; *letters; letters++) {
        if (*letters == 'h')
            return 1;
        const yk_option *o = p->c->options;
        while (o->name && o->letter != *letters)
            o++;
        if (!o->name)
            return wrong(p, "no option -%c", *letters);
        if (o->kind != YK_OPT_FLAG)
            return take_value(p, o, letters[1] == '=' ? letters + 2 : letters[1] ? letters + 1 : NULL);
        int err = set_value(p, o, NULL);
        if (err < 0)
            return err;
    }
    return 0;
}

static bool has_letter(const yk_command *c, char letter)
{
    const yk_option *o = c->options;
    while (o->name && o->letter != letter)
        o++;
    return o->name != NULL;
}

/* -1 is a number unless the command has an option of that letter, as -0. */
static bool is_option(const yk_command *c, const char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return false;
    return (word[1] != '.' && !(word[1] >= '0' && word[1] <= '9')) || has_letter(c, word[1]);
}

bool yk_option_is(const yk_command *c, const char *word)
{
    size_t len = strcspn(word, "=");
    if (word[0] == '-' && word[1] != '-') /* -0 is a number too */
        return len == 2 && !word[2] && !(word[1] >= '0' && word[1] <= '9') && (word[1] == 'h' || has_letter(c, word[1]));
    if (len < 3 || strncmp(word, "--", 2) != 0)
        return false;
    bool known = strcmp(word, "--help") == 0;
    for (const yk_option *o = c->options; o->name && !known; o++)
        known = strlen(o->name) == len - 2 && memcmp(o->name, word + 2, len - 2) == 0;
    return known;
}

int yk_options_parse(const yk_command *c, int argc, char **argv, void *values, yk_words *operands, yk_error *e)
{
    parser p = {.c = c, .argc = argc, .argv = argv, .values = values, .e = e};
    bool options = true;
    *operands = (yk_words){0};
    for (; p.at < argc; p.at++) {
        const char *word = argv[p.at];
        int err = 0;
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (options && c->stop && strcmp(word, c->stop) == 0)
            options = false;
        if (options && is_option(c, word))
            err = word[1] == '-' ? parse_long(&p, word + 2) : parse_letters(&p, word + 1);
        else
            err = add_to_list(&p, operands, word);
        if (err != 0)
            return err;
    }
    if (operands->n < c->least)
        return wrong(&p, "%sexpected %s", operands->n == 0 ? "" : "too few words: ", c->operands);
    if (operands->n > c->most)
        return wrong(&p, "unexpected \"%s\": expected %s", operands->v[c->most], *c->operands ? c->operands : "no more words");
    return 0;
}

void yk_options_done(const yk_command *c, void *values, yk_words *operands)
{
    for (const yk_option *o = c->options; o->name; o++)
        if (o->kind == YK_OPT_LIST)
            free(((yk_words *)(void *)((char *)values + o->offset))->v);
    free(operands->v);
}
