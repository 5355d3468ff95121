/* json_args: the arguments of one call, bound to the task's signature while they are read.
 *
 * Three forms are told apart by the first character alone, so none is ever ambiguous:
 *     [1,2]          '[' always begins the arguments in order; those with defaults may be left out at the end
 *     {"a":1,"b":2}  '{' always begins the arguments by name, in any order
 *     1              anything else is the argument itself, for a task of exactly one parameter
 * So a task whose one parameter is a view or yoke_json takes [[1,2,3]] or {"x":[1,2,3]}. For a view [1,2,3] and [] can mean
 * nothing but its elements, so they do; [[1,2],[3,4]] is too many. */
#include "task/json.h"
#include <stdio.h>

/* Of a value that is quoted in an error. */
enum { SHOWN_VALUE = 40 };

static inline const char *read_param(yk_reader *r, const char *p, unsigned i, char *args)
{
    const yoke_param *param = &r->task->params[i];
    r->param = (int)i;
    return yk_read_value(r, p, param->code, args + param->offset);
}

/* ---- Structs ---- */

/* The first parameter that is a struct and must be given, when `required`, or any struct; or -1. */
static int first_struct(const yoke_task *t, bool required)
{
    for (unsigned i = 0; i < t->nparams; i++)
        if (t->params[i].code == YOKE_STRUCT && !(required && t->params[i].has_default))
            return (int)i;
    return -1;
}

/* How to call t, whose structs all have defaults, without its struct `param`: with another argument by name, or with none. */
static void put_call_without(const yoke_task *t, unsigned param, bool word, char *to, size_t size)
{
    unsigned other = 0, left = 0;
    for (unsigned i = t->nparams; i-- > 0;)
        if (i != param && t->params[i].code != YOKE_STRUCT) {
            other = i;
            left++;
        }
    const char *name = t->params[other].name, *more = left > 1 ? word ? " ..." : ",..." : "";
    if (left == 0)
        snprintf(to, size, "%s", word ? "" : ", as in {}");
    else if (word)
        snprintf(to, size, ", as in %s=...%s", name, more);
    else
        snprintf(to, size, ", as in {\"%s\":...%s}", name, more);
}

int yk_json_struct_hint(const yoke_task *t, unsigned param, bool word, char *to, size_t size)
{
    int needed = first_struct(t, true);
    if (needed >= 0) {
        const yoke_param *p = &t->params[needed];
        snprintf(to, size,
                 "a struct has no JSON form (give it from C: yoke_kw_submit(ex, %s, %s = ((%s){...})), or let the task take its "
                 "members as arguments)",
                 t->name, p->name, p->type);
        return needed;
    }
    char call[80];
    put_call_without(t, param, word, call, sizeof call);
    snprintf(to, size, "a struct has no JSON form (leave it out, it has a default%s)", call);
    return (int)param;
}

const char *yk_fail_struct(yk_reader *r, const char *p)
{
    char hint[260];
    r->param = yk_json_struct_hint(r->task, (unsigned)r->param, r->word, hint, sizeof hint);
    return yk_fail_at(r, p, ENOTSUP, "%s", hint);
}

/* ---- JSON ---- */

/* All parameters from `from` on whose bit is not in `seen` must have defaults. */
static const char *check_missing(yk_reader *r, const char *p, uint32_t seen)
{
    for (unsigned i = 0; i < r->task->nparams; i++) {
        if (seen >> i & 1 || r->task->params[i].has_default)
            continue;
        r->param = (int)i;
        return r->task->params[i].code == YOKE_STRUCT ? yk_fail_struct(r, p) : yk_fail_at(r, p, EINVAL, "missing");
    }
    return p + 1;
}

static __attribute__((cold)) const char *too_many(yk_reader *r, const char *p)
{
    const yoke_task *t = r->task;
    bool wraps = t->nparams == 1 && (yk_is_view(t->params[0].code) || t->params[0].code == YOKE_JSON);
    r->param = -1;
    return yk_fail_at(r, p, EINVAL, "too many, it takes %u%s", (unsigned)t->nparams,
                      wraps ? " (an array that is one argument is written [[...]])" : "");
}

/* Between two arguments: a comma or the end. */
static inline __attribute__((always_inline)) const char *read_comma(yk_reader *r, const char *p, char close, bool *more)
{
    p = yk_blanks(r, p);
    *more = yk_is_at(r, p, ',');
    if (*more)
        return yk_blanks(r, p + 1);
    return yk_is_at(r, p, close) ? p : yk_expected(r, p, close == ']' ? "',' or ']'" : "',' or '}'");
}

static const char *read_positional(yk_reader *r, const char *p, char *args)
{
    unsigned n = 0, count = r->task->nparams;
    bool more = true;
    p = yk_blanks(r, p + 1);
    if (yk_is_at(r, p, ']'))
        return check_missing(r, p, 0);
    for (; more; n++) {
        if (n == count)
            return too_many(r, p);
        p = read_param(r, p, n, args);
        if (p)
            p = read_comma(r, p, ']', &more);
        if (!p)
            return NULL;
    }
    return n == count ? p + 1 : check_missing(r, p, (1u << n) - 1);
}

/* The parameters that a mistyped name may have been meant as: those that have not been given yet. */
typedef struct free_names {
    const yoke_task *task;
    uint32_t seen;
} free_names;

static const char *next_name(void *ctx, size_t i)
{
    const free_names *names = ctx;
    return i == names->task->nparams ? NULL : names->seen >> i & 1 ? "" : names->task->params[i].name;
}

static __attribute__((cold)) const char *unknown_name(yk_reader *r, const char *p, const yk_json_span *key, uint32_t seen)
{
    r->param = first_struct(r->task, true);
    if (r->param >= 0) /* most likely the members of that struct */
        return yk_fail_struct(r, p);
    char word[64] = "";
    if (key->len < sizeof word && !key->has_nul)
        yk_unescape(key, word);
    free_names names = {r->task, seen};
    const char *near = *word ? yk_nearest(word, next_name, &names) : NULL;
    char hint[160] = "an argument it does not have";
    if (near)
        snprintf(hint, sizeof hint, "an argument it does not have (did you mean \"%s\"?)", near);
    else if (first_struct(r->task, false) >= 0)
        snprintf(hint, sizeof hint, "an argument it does not have (the members of a struct cannot be given)");
    return yk_unexpected(r, p, hint);
}

/* The parameter of that name; `guess` is tried first. The number of parameters when there is none. */
static unsigned find_name(const yoke_task *t, const yk_json_span *key, unsigned guess)
{
    if (guess < t->nparams && yk_span_is(key, t->params[guess].name))
        return guess;
    for (unsigned i = 0; i < t->nparams; i++)
        if (yk_span_is(key, t->params[i].name))
            return i;
    return t->nparams;
}

/* "name": value. *param is the parameter before, and becomes this one. */
static const char *read_named(yk_reader *r, const char *p, char *args, uint32_t *seen, unsigned *param)
{
    yk_json_span key;
    const char *begin = p;
    r->param = -1;
    if (!yk_is_at(r, p, '"'))
        return yk_expected(r, p, "a name in quotes");
    p = yk_read_string(r, p, &key);
    if (!p)
        return NULL;
    unsigned i = find_name(r->task, &key, *param + 1);
    if (i == r->task->nparams)
        return unknown_name(r, begin, &key, *seen);
    r->param = (int)i;
    if (*seen >> i & 1)
        return yk_fail_at(r, begin, EINVAL, "given twice");
    *seen |= 1u << i;
    *param = i;
    p = yk_blanks(r, p);
    if (!yk_is_at(r, p, ':'))
        return yk_expected(r, p, "':'");
    return read_param(r, yk_blanks(r, p + 1), i, args);
}

static const char *read_object(yk_reader *r, const char *p, char *args)
{
    uint32_t seen = 0;
    unsigned param = UINT32_MAX;
    bool more = true;
    p = yk_blanks(r, p + 1);
    if (yk_is_at(r, p, '}'))
        return check_missing(r, p, 0);
    while (more) {
        p = read_named(r, p, args, &seen, &param);
        if (p)
            p = read_comma(r, p, '}', &more);
        if (!p)
            return NULL;
    }
    return check_missing(r, p, seen);
}

/* What may be shown on a terminal as it stands. */
static bool is_plain(const char *p, const char *end)
{
    while (p < end && *p >= ' ' && *p < 0x7f)
        p++;
    return p == end;
}

/* The text begins like neither an array nor an object, and the task does not take exactly one argument. If it takes more, and
 * the text is a whole value, that is shown as it should have been written. */
static __attribute__((cold)) const char *lone_value(yk_reader *r, const char *p, const char *what)
{
    r->param = first_struct(r->task, true);
    if (r->param >= 0)
        return yk_fail_struct(r, p);
    yk_error ignored;
    yk_reader scan = *r;
    scan.e = &ignored;
    const yoke_task *t = r->task;
    const char *end = t->nparams > 1 ? yk_skip_value(&scan, p) : NULL;
    if (!end || !yk_read_end(&scan, end) || end - p > SHOWN_VALUE || !is_plain(p, end))
        return yk_expected(r, p, what);
    bool more = false;
    for (unsigned i = 1; i < t->nparams; i++)
        more |= !t->params[i].has_default;
    int len = (int)(end - p);
    return yk_fail_at(r, p, EINVAL, "expected %s, got %.*s (write [%.*s%s])", what, len, p, len, p, more ? ", ..." : "");
}

/* An array of no arrays, for a task of one view: its elements, or its shape. */
static bool is_the_view(const yk_reader *r, const char *p)
{
    if (r->task->nparams != 1 || !yk_is_view(r->task->params[0].code))
        return false;
    unsigned element = yk_element(r->task->params[0].code);
    bool has_words = r->flags & YOKE_JSON_NONFINITE && (element == YOKE_F32 || element == YOKE_F64); /* "NaN" */
    p = yk_blanks(r, p + 1);
    return !yk_is_at(r, p, '[') && (has_words || !yk_is_at(r, p, '"')) && !yk_is_at(r, p, '{');
}

int yk_json_args(const yoke_task *t, const char *text, size_t len, unsigned flags, yk_region *region, void *args, yk_error *e)
{
    yk_reader r = {.text = text, .end = text + len, .task = t, .param = -1, .flags = flags, .region = region, .e = e};
    const char *what = t->nparams == 1 ? "the argument, an array or an object" : "an array or an object";
    if (t->defaults)
        t->defaults(args);
    const char *p = yk_read_begin(&r, what);
    if (!p)
        return r.code;
    if (*p == '[')
        p = is_the_view(&r, p) ? read_param(&r, p, 0, args) : read_positional(&r, p, args);
    else if (*p == '{')
        p = read_object(&r, p, args);
    else
        p = t->nparams == 1 ? read_param(&r, p, 0, args) : lone_value(&r, p, what);
    r.param = -1;
    if (p)
        p = yk_read_end(&r, p);
    return p ? 0 : r.code;
}

/* ---- Words of the command line ---- */

/* The word itself as the string argument, byte for byte: it may be a file's name, and those need not be UTF-8. */
static const char *take_word(yk_reader *r, unsigned code, void *to)
{
    size_t len = (size_t)(r->end - r->text);
    const char *nul = code == YOKE_CSTR ? memchr(r->text, '\0', len) : NULL;
    if (nul)
        return yk_fail_at(r, nul, EINVAL, "a NUL in a string that ends at the first NUL (const char *)");
    char *copy = yk_region_copy(r->region, r->text, len);
    if (!copy)
        return yk_fail_memory(r);
    if (code == YOKE_CSTR)
        *(const char **)to = copy;
    else
        *(yoke_str *)to = (yoke_str){copy, len};
    return r->end;
}

static const char *kind_name(unsigned code)
{
    return code == YOKE_BOOL                       ? "true or false"
           : code == YOKE_F32 || code == YOKE_F64  ? "number"
           : code >= YOKE_I8 && code <= YOKE_U64   ? "integer"
                                                   : yk_code_name(code);
}

/* Base64 needs no quotes in a word. */
static bool quote(yk_reader *r)
{
    size_t len = (size_t)(r->end - r->text);
    char *quoted = yk_region_alloc(r->region, len + 2);
    if (!quoted) {
        yk_fail_memory(r);
        return false;
    }
    quoted[0] = quoted[len + 1] = '"';
    memcpy(quoted + 1, r->text, len);
    r->text = quoted;
    r->end = quoted + len + 2;
    return true;
}

int yk_json_word(const yoke_task *t, unsigned param, const char *word, size_t len, unsigned flags, yk_region *region, void *args,
                 yk_error *e)
{
    yk_reader r = {
        .text = word, .end = word + len, .word = true, .task = t, .param = (int)param, .flags = flags, .region = region, .e = e};
    const yoke_param *info = &t->params[param];
    const char *p;
    if (info->code == YOKE_STRUCT)
        return yk_fail_struct(&r, word), r.code;
    if (info->code == YOKE_BYTES && (len == 0 || *word != '"') && !quote(&r))
        return r.code;
    if (info->code == YOKE_CSTR || info->code == YOKE_STR) {
        p = take_word(&r, info->code, (char *)args + info->offset);
        return p ? 0 : r.code;
    }
    p = yk_read_begin(&r, yk_code_name(info->code));
    if (p)
        p = read_param(&r, p, param, args);
    if (p && yk_blanks(&r, p) != r.end)
        p = yk_expected(&r, p, kind_name(info->code));
    return p ? 0 : r.code;
}
