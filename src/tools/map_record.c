/* map_record: what a record means: arguments, or with --dry-run a command.
 *
 * A record is JSON, read straight into the argument struct. For a task of one string, where nearly every line is meant as it
 * stands, --input auto takes a record as JSON only if it is beyond doubt: a whole array of one string, or an object with
 * the parameter's name. */
#include "tools/map.h"
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

/* Begins like an array or an object that holds something. */
static bool looks_like_json(const char *text, size_t len)
{
    size_t i = skip_blanks(text, len, 0);
    if (i == len || (text[i] != '[' && text[i] != '{'))
        return false;
    i = skip_blanks(text, len, i + 1);
    return i < len && text[i] == '"';
}

bool yk_map_json_text(const yoke_task *t, const char *text, size_t len, unsigned flags, yk_region *region, void *args)
{
    yk_error e;
    return looks_like_json(text, len) && yk_json_args(t, text, len, flags, region, args, &e) == 0;
}

int yk_map_args(const yk_map_config *c, const yoke_task *t, const yk_record *r, yk_region *region, void *args, yk_error *e)
{
    if (YK_UNLIKELY(r->too_long))
        return yk_errorf(e, EMSGSIZE, "the record is longer than %zu MiB", YK_RECORD_MAX >> 20);
    if (c->input != YK_INPUT_JSON && yk_map_takes_text(t)) {
        if (c->input == YK_INPUT_AUTO && yk_map_json_text(t, r->text, r->len, c->json_flags, region, args))
            return 0;
        return yk_json_word(t, 0, r->text, r->len, c->json_flags, region, args, e);
    }
    if (YK_UNLIKELY(skip_blanks(r->text, r->len, 0) == r->len))
        return yk_errorf(e, EINVAL, "the record is empty");
    return yk_json_args(t, r->text, r->len, c->json_flags, region, args, e);
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
        if (yk_map_args(m->c, m->c->task, &r, &region, args, &e) < 0) {
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
