/* map_record: what a record means: arguments, or with --dry-run a command.
 *
 * What is submitted is the record's text: a task made here reads it, calls the user's task and writes the result line, so that
 * reading and writing numbers is done where the jobs run, by as many as there are, and the loop only moves bytes.
 *
 * A record is JSON, read straight into the argument struct. For a task of one string, where nearly every line is meant as it
 * stands, --input auto takes a record as JSON only if it is beyond doubt: a whole array of one string, or an object with
 * the parameter's name. Then it is JSON also where the task cannot be given what it says, and an error. */
#include "tools/map.h"
#include <ctype.h>
#include <stdlib.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool yk_map_takes_text(const yoke_task *t)
{
    return t->nparams == 1 && (t->params[0].code == YOKE_CSTR || t->params[0].code == YOKE_STR);
}

/* The index of the first byte from `from` on that is not blank, or len. */
static size_t skip_blanks(const char *text, size_t len, size_t from)
{
    while (from < len && is_blank(text[from]))
        from++;
    return from;
}

/* ---- JSON for a task of one string ---- */

static const char *after_blanks(const char *p, const char *end)
{
    return p + skip_blanks(p, (size_t)(end - p), 0);
}

/* The place after a string by JSON's grammar, its opening quote at p; NULL: it is none. What it says may be nonsense. */
static const char *after_string(const char *p, const char *end)
{
    if (p == end || *p != '"')
        return NULL;
    for (p++; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < ' ')
            return NULL;
        if (*p != '\\')
            continue;
        if (++p == end || !memchr("\"\\/bfnrtu", *p, 9))
            return NULL;
        for (int digits = *p == 'u' ? 4 : 0; digits > 0; digits--)
            if (++p == end || !isxdigit((unsigned char)*p))
                return NULL;
    }
    return p < end ? p + 1 : NULL;
}

/* By its grammar a whole array of one string, or an object whose one member has the parameter's name and is a string. */
static bool is_one_string(const yoke_task *t, const char *text, size_t len)
{
    const char *end = text + len, *p = after_blanks(text, end);
    char close = *p == '[' ? ']' : '}';
    p = after_blanks(p + 1, end);
    if (close == '}') {
        const char *key = p + 1, *name = t->params[0].name;
        p = after_string(p, end);
        if (!p || (size_t)(p - key) != strlen(name) + 1 || memcmp(key, name, strlen(name)) != 0)
            return false;
        p = after_blanks(p, end);
        if (p == end || *p != ':')
            return false;
        p = after_blanks(p + 1, end);
    }
    p = after_string(p, end);
    p = p ? after_blanks(p, end) : end;
    return p < end && *p == close && after_blanks(p + 1, end) == end;
}

/* Begins like an array or an object that holds something. */
static bool looks_like_json(const char *text, size_t len)
{
    size_t i = skip_blanks(text, len, 0);
    if (i == len || (text[i] != '[' && text[i] != '{'))
        return false;
    i = skip_blanks(text, len, i + 1);
    return i < len && text[i] == '"';
}

int yk_map_json_text(const yoke_task *t, const char *text, size_t len, unsigned flags, yk_region *region, void *args,
                     yk_error *e)
{
    if (!looks_like_json(text, len))
        return 0;
    int err = yk_json_args(t, text, len, flags, region, args, e);
    if (err == 0)
        return 1;
    /* Bytes that are not UTF-8 are no JSON, but may be a file's name. */
    return err != -EILSEQ && is_one_string(t, text, len) ? err : 0;
}

int yk_map_args(const yk_map_config *c, const char *text, size_t len, yk_region *region, void *args, yk_error *e)
{
    const yoke_task *t = c->task;
    if (c->input != YK_INPUT_JSON && yk_map_takes_text(t)) {
        int json = c->input == YK_INPUT_AUTO ? yk_map_json_text(t, text, len, c->json_flags, region, args, e) : 0;
        if (json != 0)
            return YK_MIN(json, 0);
        return yk_json_word(t, 0, text, len, c->json_flags, region, args, e);
    }
    if (YK_UNLIKELY(skip_blanks(text, len, 0) == len))
        return yk_errorf(e, EINVAL, "the record is empty");
    return yk_json_args(t, text, len, c->json_flags, region, args, e);
}

int yk_map_check(const yk_record *r, yk_error *e)
{
    return YK_LIKELY(!r->too_long) ? 0 : yk_errorf(e, EMSGSIZE, "the record is longer than %zu MiB", YK_RECORD_MAX >> 20);
}

/* ---- The task that runs a record ---- */

/* What the records of this command are for; set before there are workers. */
static const yk_map_config *config;
static const yoke_param record_params[] = {
    {.name = "record", .type = "yoke_str", .doc = "", .code = YOKE_STR, .size = sizeof(yoke_str)}};
static yoke_task record_task;

/* In the region of the run. NULL: it has failed. */
static void *take(yk_run *run, size_t size)
{
    void *memory = yk_region_alloc(run->region, YK_MAX(size, (size_t)1));
    if (!memory)
        yk_run_refuse(-ENOMEM, "out of memory for the record");
    return memory;
}

static void put_line(yk_run *run, const void *args, const void *values, yoke_str *ret)
{
    char room[512];
    yk_buf line = {.ptr = room, .cap = sizeof room, .borrowed = true};
    yk_error e;
    int err = yk_json_result(config->task, args, values, config->json_flags, &line, &e);
    yk_buf_char(&line, '\n');
    char *text = err < 0 || line.failed ? NULL : yk_region_copy(run->region, line.ptr, line.len);
    if (err == 0 && !text)
        err = yk_errorf(&e, ENOMEM, "result of %s: out of memory", config->task->name);
    if (err < 0)
        yk_run_refuse(err, e.text);
    else
        *ret = (yoke_str){text, line.len};
    yk_buf_done(&line);
}

static void run_record(const void *in, void *ret)
{
    const yoke_task *t = config->task;
    const yoke_str *text = in;
    yk_run *run = yk_current_run();
    void *args = take(run, t->args_size), *values = take(run, t->ret_size);
    yk_error e;
    *(yoke_str *)ret = (yoke_str){"", 0};
    if (!args || !values)
        return;
    memset(args, 0, t->args_size);
    int err = yk_map_args(config, text->ptr, text->len, run->region, args, &e);
    if (err < 0) {
        yk_run_refuse(err, e.text);
        return;
    }
    t->call(args, values);
    if (run->code == 0)
        put_line(run, args, values, ret);
}

/* To all who look it is the user's task: it has its name and its place. */
int yk_map_record_task(const yk_map_config *c, const yoke_task **ret)
{
    config = c;
    record_task = (yoke_task){.abi = YOKE_ABI, .line = c->task->line, .name = c->task->name, .ret = "yoke_str",
                              .file = c->task->file, .ret_code = YOKE_STR, .ret_size = sizeof(yoke_str),
                              .args_size = sizeof(yoke_str), .nparams = 1, .params = record_params, .call = run_record};
    *ret = &record_task;
    return yk_register_hidden(&record_task);
}

/* ---- Commands ---- */

/* In the largest unit that needs no fraction. */
static void put_time(yk_buf *out, int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{YOKE_S, "s"}, {YOKE_MS, "ms"}, {YOKE_US, "us"}, {1, "ns"}};
    size_t i = 0;
    while (ns % units[i].ns != 0)
        i++;
    yk_json_i64(out, ns / units[i].ns);
    yk_buf_text(out, units[i].name);
}

/* The options that say how a record is run. */
static void put_how(const yk_map_config *c, yk_buf *out)
{
    if (c->on) {
        yk_buf_text(out, "--on ");
        yk_shell_quote(out, c->on, strlen(c->on));
        yk_buf_char(out, ' ');
    }
    if (c->opts.timeout > 0) {
        yk_buf_text(out, "--timeout ");
        put_time(out, c->opts.timeout);
        yk_buf_char(out, ' ');
    }
    if (c->opts.retries > 0)
        yk_buf_printf(out, "--retries %u ", c->opts.retries);
}

void yk_map_command_line(const yk_map_config *c, yk_buf *out)
{
    yk_buf_text(out, "yoke map ");
    if (c->dry_run)
        put_how(c, out);
    if (c->input != YK_INPUT_AUTO)
        yk_buf_text(out, c->input == YK_INPUT_JSON ? "--input json " : "--input text ");
    if (c->json_flags & YOKE_JSON_NONFINITE)
        yk_buf_text(out, "--nonfinite ");
    if (c->json_flags & YOKE_JSON_BASE64)
        yk_buf_text(out, "--base64 ");
    yk_shell_quote(out, c->target, strlen(c->target));
    yk_buf_text(out, " ::: ");
}

void yk_map_dry_run(yk_map *m)
{
    yk_error e, why;
    yk_record r;
    yk_buf command = {0};
    yk_map_command_line(m->c, &command);
    char *args = yk_sys.malloc(YK_MAX((size_t)m->c->task->args_size, (size_t)1));
    int got = args && !command.failed ? 0 : -ENOMEM, written = 0;
    if (got < 0) {
        yk_output_say(&m->out, "out of memory");
        m->status = 1;
    }
    while (got >= 0 && yk_signals_count() == 0 && (got = yk_input_next(&m->in, &r)) >= 0) {
        if (got == 0) {
            int err = yk_input_fill(&m->in, &e);
            if (err < 0 && err != -EINTR) {
                yk_output_say(&m->out, "%s", e.text);
                m->status = 2;
                break;
            }
            continue;
        }
        yk_region region;
        yk_region_init(&region, NULL, 0, NULL);
        m->tally.records++;
        if (yk_map_check(&r, &e) < 0 || yk_map_args(m->c, r.text, r.len, &region, args, &e) < 0) {
            m->tally.failed++;
            yk_output_say(&m->out, "record %llu: %s", (unsigned long long)r.number, e.text);
        } else {
            yk_buf_put(&m->out.results, command.ptr, command.len);
            yk_shell_quote(&m->out.results, r.text, r.len);
            yk_buf_char(&m->out.results, '\n');
        }
        yk_region_done(&region);
        if (yk_output_is_full(&m->out) && (written = yk_output_flush(&m->out, &why)) < 0)
            break;
    }
    if (written < 0 || yk_output_flush(&m->out, &why) < 0) {
        yk_output_say(&m->out, "%s", why.text);
        m->status = 1;
    }
    free(args);
    yk_buf_done(&command);
}
