/* ls: the tasks in a file. */
#include "tools/commands.h"
#include "tools/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct ls_values {
    bool json;
    const char *color;
} ls_values;

bool yk_use_color(const char *choice)
{
    const char *no = getenv("NO_COLOR"), *force = getenv("FORCE_COLOR"), *term = getenv("TERM");
    if (choice && strcmp(choice, "auto") != 0)
        return strcmp(choice, "always") == 0;
    if (force && *force)
        return true;
    return !(no && *no) && !(term && strcmp(term, "dumb") == 0) && isatty(STDOUT_FILENO);
}

/* ---- Defaults ---- */

static void put_integer(yk_buf *out, unsigned code, const void *v)
{
    switch (code) {
    case YOKE_I8:
        yk_json_i64(out, *(const int8_t *)v);
        break;
    case YOKE_I16:
        yk_json_i64(out, *(const int16_t *)v);
        break;
    case YOKE_I32:
        yk_json_i64(out, *(const int32_t *)v);
        break;
    case YOKE_I64:
        yk_json_i64(out, *(const int64_t *)v);
        break;
    case YOKE_U8:
        yk_json_u64(out, *(const uint8_t *)v);
        break;
    case YOKE_U16:
        yk_json_u64(out, *(const uint16_t *)v);
        break;
    case YOKE_U32:
        yk_json_u64(out, *(const uint32_t *)v);
        break;
    case YOKE_U64:
        yk_json_u64(out, *(const uint64_t *)v);
        break;
    }
}

/* A default as JSON; nothing for kinds that have no short form. False then. */
static bool put_default(yk_buf *out, const yoke_param *p, const void *v)
{
    double d = p->code == YOKE_F32 ? (double)*(const float *)v : p->code == YOKE_F64 ? *(const double *)v : 0;
    if (p->code == YOKE_BOOL)
        yk_buf_text(out, *(const bool *)v ? "true" : "false");
    else if (p->code >= YOKE_I8 && p->code <= YOKE_U64)
        put_integer(out, p->code, v);
    else if ((p->code == YOKE_F32 || p->code == YOKE_F64) && d - d == 0)
        yk_json_f64(out, d);
    else if (p->code == YOKE_CSTR && *(const char *const *)v)
        yk_json_quote(out, *(const char *const *)v, strlen(*(const char *const *)v));
    else if (p->code == YOKE_STR)
        yk_json_quote(out, ((const yoke_str *)v)->ptr, ((const yoke_str *)v)->len);
    else
        return false;
    return true;
}

/* The argument struct filled with defaults, in memory to be freed. */
static char *defaults_of(const yoke_task *t)
{
    char *args = calloc(1, t->args_size ? t->args_size : 1);
    if (args && t->defaults)
        t->defaults(args);
    return args;
}

/* ---- For people ---- */

static void put_task(yk_buf *out, const yoke_task *t, bool color)
{
    const char *bold = color ? "\033[1m" : "", *dim = color ? "\033[2m" : "", *off = color ? "\033[0m" : "";
    const char *signature = yoke_signature(t);
    yk_buf_printf(out, "%s%s%s%s  %s%s:%u%s\n", bold, t->name, off, signature + strlen(t->name), dim, t->file, t->line, off);
    size_t name_width = 0, type_width = 0;
    for (unsigned i = 0; i < t->nparams; i++) {
        name_width = YK_MAX(name_width, strlen(t->params[i].name));
        type_width = YK_MAX(type_width, strlen(t->params[i].type));
    }
    char *args = defaults_of(t);
    for (unsigned i = 0; i < t->nparams; i++) {
        const yoke_param *p = &t->params[i];
        const bool is_out = (p->code & (YOKE_IN | YOKE_OUT)) == YOKE_OUT;
        if (!*p->doc && !p->has_default && p->code != YOKE_STRUCT && !is_out)
            continue;
        yk_buf_printf(out, "    %-*s  %-*s  %s", (int)name_width, p->name, (int)type_width, p->type, p->doc);
        if (p->code == YOKE_STRUCT) {
            yk_buf_printf(out, "%s(struct of %u byte%s, %s)\n", *p->doc ? " " : "", (unsigned)p->size, p->size == 1 ? "" : "s",
                          p->has_default ? "with a default" : "given from C only");
            continue;
        }
        if (is_out)
            yk_buf_printf(out, "%s(given by its shape: 3 or [2,2])", *p->doc ? " " : "");
        size_t before = out->len;
        if (p->has_default && args) {
            yk_buf_printf(out, "%s(default ", *p->doc ? " " : "");
            if (put_default(out, p, args + p->offset))
                yk_buf_char(out, ')');
            else
                out->len = before;
        }
        yk_buf_char(out, '\n');
    }
    free(args);
}

/* ---- For programs ---- */

static void put_member(yk_buf *out, const char *name, const char *value, bool last)
{
    yk_buf_printf(out, "\"%s\":", name);
    yk_json_quote(out, value, strlen(value));
    yk_buf_text(out, last ? "" : ",");
}

static void put_json(yk_buf *out, const yoke_task *t)
{
    yk_buf_char(out, '{');
    put_member(out, "name", t->name, false);
    put_member(out, "signature", yoke_signature(t), false);
    yk_buf_printf(out, "\"hash\":\"%016llx\",", (unsigned long long)yoke_signature_hash(t));
    put_member(out, "file", t->file, false);
    yk_buf_printf(out, "\"line\":%u,", t->line);
    put_member(out, "returns", t->ret, false);
    yk_buf_text(out, "\"params\":[");
    char *args = defaults_of(t);
    for (unsigned i = 0; i < t->nparams; i++) {
        const yoke_param *p = &t->params[i];
        yk_buf_text(out, i ? ",{" : "{");
        put_member(out, "name", p->name, false);
        put_member(out, "type", p->type, false);
        put_member(out, "kind", yk_code_name(p->code), false);
        put_member(out, "doc", p->doc, false);
        if (p->code == YOKE_STRUCT)
            yk_buf_printf(out, "\"size\":%u,", (unsigned)p->size);
        yk_buf_printf(out, "\"has_default\":%s", p->has_default ? "true" : "false");
        size_t before = out->len;
        if (p->has_default && args) {
            yk_buf_text(out, ",\"default\":");
            if (!put_default(out, p, args + p->offset))
                out->len = before;
        }
        yk_buf_char(out, '}');
    }
    free(args);
    yk_buf_text(out, "]}");
}

typedef struct listing {
    yk_buf *out;
    bool json, color;
    unsigned count;
} listing;

static int put_one(const yoke_task *t, void *arg)
{
    listing *l = arg;
    if (l->json) {
        yk_buf_text(l->out, l->count ? ",\n " : "");
        put_json(l->out, t);
    } else {
        put_task(l->out, t, l->color);
    }
    l->count++;
    return 0;
}

static int run_ls(void *values, const yk_words *operands)
{
    ls_values *v = values;
    yoke_module *m;
    yk_buf out = {0};
    int code = yk_target_open_file(operands->v[0], &m);
    if (code != 0)
        return code;
    listing l = {.out = &out, .json = v->json, .color = yk_use_color(v->color)};
    yk_buf_text(&out, v->json ? "[" : "");
    yoke_module_each(m, put_one, &l);
    yk_buf_text(&out, v->json ? "]\n" : "");
    code = yk_write_out(&out);
    yoke_module_close(m);
    return code;
}

static const yk_option ls_options[] = {
    {.name = "json", .kind = YK_OPT_FLAG, .help = "print a JSON array instead of text", .offset = offsetof(ls_values, json)},
    {.name = "color",
     .kind = YK_OPT_CHOICE,
     .choices = "auto|always|never",
     .help = "colour the output",
     .offset = offsetof(ls_values, color)},
    {.name = NULL}};

static const yk_example ls_examples[] = {{"yoke ls integrate.c", "the tasks of a source file, which is compiled if need be"},
                                         {"yoke ls --json libwork.so", "the same for programs"},
                                         {NULL, NULL}};

const yk_command yk_command_ls = {
    .name = "ls",
    .summary = "list the tasks in a file",
    .operands = "FILE",
    .description =
        "Prints each task of FILE, a .c (compiled first, if it has changed) or a .so: its signature, where it is defined, "
        "and for each documented parameter its type, text and default; an array that the task only writes is given by its "
        "shape. In a signature a ? stands after what has a default, and "
        "an array is shown with the type of its elements and what the task does with it, as f64[] in, f64[] out or f64[] inout "
        "(man yoke-run says how it is written); a struct is shown with its size in bytes, as struct point/16. What is in a "
        "struct is not known, so its default is not shown; it "
        "cannot be given on the command line, only left out if it has one.\n\n"
        "With --json the output is one array of objects with the keys name, signature, hash, file, line, returns and params; "
        "each parameter has name, type, kind, doc, has_default and, where it can be shown, default; a struct also has its "
        "size in bytes.",
    .examples = ls_examples,
    .options = ls_options,
    .exit_codes = "0 done\n1 stdout cannot be written\n2 no such file, it does not compile, or it has no tasks\n",
    .least = 1,
    .most = 1,
    .size = sizeof(ls_values),
    .run = run_ls,
};
