/* map_args: a record's text to arguments.
 *
 * A record is JSON, read straight into the argument struct. For a task of one string, where nearly every line is meant as it
 * stands, --input auto takes a record as JSON only if it is beyond doubt: a whole array of one string, or an object with
 * the parameter's name. */
#include "tools/map.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool yk_map_takes_text(const yoke_task *t)
{
    return t->nparams == 1 && (t->params[0].code == YOKE_CSTR || t->params[0].code == YOKE_STR);
}

/* The index of the first byte from `from` on that is not blank, or len. */
static size_t skip_blanks(const yk_record *r, size_t from)
{
    while (from < r->len && is_blank(r->text[from]))
        from++;
    return from;
}

/* Begins like an array or an object that holds something. */
static bool looks_like_json(const yk_record *r)
{
    size_t i = skip_blanks(r, 0);
    if (i == r->len || (r->text[i] != '[' && r->text[i] != '{'))
        return false;
    i = skip_blanks(r, i + 1);
    return i < r->len && r->text[i] == '"';
}

int yk_map_args(const yk_map_config *c, const yoke_task *t, const yk_record *r, yk_region *region, void *args, yk_error *e)
{
    if (YK_UNLIKELY(r->too_long))
        return yk_errorf(e, EMSGSIZE, "the record is longer than %zu MiB", YK_RECORD_MAX >> 20);
    if (c->input != YK_INPUT_JSON && yk_map_takes_text(t)) {
        if (c->input == YK_INPUT_AUTO && looks_like_json(r) &&
            yk_json_args(t, r->text, r->len, c->json_flags, region, args, e) == 0)
            return 0;
        return yk_json_word(t, 0, r->text, r->len, c->json_flags, region, args, e);
    }
    if (YK_UNLIKELY(skip_blanks(r, 0) == r->len))
        return yk_errorf(e, EINVAL, "the record is empty");
    return yk_json_args(t, r->text, r->len, c->json_flags, region, args, e);
}
