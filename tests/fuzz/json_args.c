/* json_args - fuzzes the reading of arguments.
 *
 * The first byte selects one of the signatures below and, by its upper bits, the flags; the rest is the text. A text that
 * is accepted is written again, value by value, and must then be read as the same values: the second writing gives the
 * same bytes. A text that is refused has an error of one clean line, whose byte lies in the text or just behind it.
 */
#include "fuzz.h"

YOKE_TASK(void, fuzz_none)
{
}
YOKE_TASK(void, fuzz_integers, (int8_t, a), (int16_t, b), (int32_t, c), (int64_t, d), (uint8_t, e), (uint16_t, f), (uint32_t, g),
          (uint64_t, h))
{
}
YOKE_TASK(void, fuzz_floats, (double, x), (float, y), (bool, z, "", true))
{
}
YOKE_TASK(void, fuzz_one, (int64_t, n))
{
}
YOKE_TASK(void, fuzz_texts, (const char *, c), (yoke_str, s), (yoke_bytes, b))
{
}
YOKE_TASK(void, fuzz_json, (yoke_json, j))
{
}
YOKE_TASK(void, fuzz_view, (yoke_in_f64, x))
{
}
YOKE_TASK(void, fuzz_views, (yoke_in_i8, a), (yoke_inout_f32, b), (yoke_in_u64, c), (int, n, "", 4))
{
}
YOKE_TASK(void, fuzz_out, (yoke_out_i32, y), (const char *, name, "", "none"))
{
}

static yoke_task *const tasks[] = {&yoke_task_fuzz_none, &yoke_task_fuzz_integers, &yoke_task_fuzz_floats,
                                   &yoke_task_fuzz_one, &yoke_task_fuzz_texts, &yoke_task_fuzz_json,
                                   &yoke_task_fuzz_view, &yoke_task_fuzz_views, &yoke_task_fuzz_out};

typedef struct attempt {
    fuzz_source memory;
    yk_region region;
    yk_error e;
    _Alignas(16) char args[1024];
} attempt;

static int read_args(attempt *a, const yoke_task *t, const char *text, size_t len, unsigned flags)
{
    a->memory = fuzz_memory();
    a->e.text[0] = '\0';
    REQUIRE(t->args_size <= sizeof a->args);
    yk_region_init(&a->region, NULL, 0, &a->memory.source);
    char *copy = fuzz_copy(text, len);
    int err = yk_json_args(t, copy, len, flags, &a->region, a->args, &a->e);
    free(copy); /* nothing may lead into the text */
    return err;
}

/* One clean line of UTF-8 that names the task and a place which exists. */
static void check_error(const yk_error *e, int err, const yoke_task *t, size_t len, bool word)
{
    size_t n = strlen(e->text);
    REQUIRE(e->code == err && n > 0 && fuzz_utf8(e->text, n) == n);
    REQUIRE(strstr(e->text, t->name));
    for (const char *p = e->text; *p; p++)
        REQUIRE((unsigned char)*p >= ' ' && *p != 0x7f);
    if (err == -ENOMEM)
        return;
    const char *place = NULL;
    for (const char *p = e->text; (p = strstr(p, " at byte ")) != NULL; p++)
        place = p + strlen(" at byte ");
    if (word)
        return; /* which is shown whole, in place of a place */
    REQUIRE(place);
    char *end;
    unsigned long long at = strtoull(place, &end, 10);
    REQUIRE(*end == '\0' && at >= 1 && at <= len + 1);
}

/* An out view is given by its shape. */
static void write_shape(yk_buf *out, const yk_any_view *v)
{
    yk_buf_char(out, '[');
    for (size_t i = 0; i < v->ndim; i++) {
        if (i > 0)
            yk_buf_char(out, ',');
        yk_json_u64(out, v->shape[i]);
    }
    yk_buf_char(out, ']');
}

static bool is_large(unsigned code, const void *at)
{
    const yk_any_view *v = at;
    size_t rows = 1;
    for (size_t i = 0; yk_is_view(code) && i < v->ndim; i++)
        if (v->shape[i] > 0 && (__builtin_mul_overflow(rows, v->shape[i], &rows) || rows > 100000))
            return true;
    return false;
}

/* The arguments in order, each written as a task's result would be; a view of no dimensions in base64, since its number
 * alone would not be read as a view. False: one of them has no JSON form under these flags
 * (a NaN that came in base64), or is too long to be worth the time. */
static bool write_args(yk_buf *out, const yoke_task *t, const char *args, unsigned flags)
{
    yk_buf_char(out, '[');
    for (unsigned i = 0; i < t->nparams; i++) {
        const yoke_param *p = &t->params[i];
        yoke_task shown = {.name = "shown", .ret_code = p->code};
        if (i > 0)
            yk_buf_char(out, ',');
        if (is_large(p->code, args + p->offset))
            return false;
        if ((p->code & (YOKE_IN | YOKE_OUT)) == YOKE_OUT) {
            write_shape(out, (const yk_any_view *)(const void *)(args + p->offset));
            continue;
        }
        bool bare = yk_is_view(p->code) && ((const yk_any_view *)(const void *)(args + p->offset))->ndim == 0;
        yk_error e;
        int err = yk_json_result(&shown, NULL, args + p->offset, bare ? flags | YOKE_JSON_BASE64 : flags, out, &e);
        REQUIRE(err == 0 || (err == -EDOM && !(flags & YOKE_JSON_NONFINITE) && yk_is_view(p->code)));
        if (err < 0)
            return false;
    }
    yk_buf_char(out, ']');
    REQUIRE(!out->failed);
    return true;
}

static void check_accepted(const yoke_task *t, const char *args, unsigned flags)
{
    static attempt again;
    yk_buf once = {0}, twice = {0};
    if (write_args(&once, t, args, flags)) {
        REQUIRE(fuzz_utf8(once.ptr, once.len) == once.len);
        int err = read_args(&again, t, once.ptr, once.len, flags);
        if (err < 0)
            fprintf(stderr, "%.*s: %s\n", (int)YK_MIN(once.len, (size_t)2000), once.ptr, again.e.text);
        REQUIRE(err == 0);
        REQUIRE(write_args(&twice, t, again.args, flags));
        REQUIRE(once.len == twice.len && memcmp(once.ptr, twice.ptr, once.len) == 0);
        yk_region_done(&again.region);
    }
    yk_buf_done(&once);
    yk_buf_done(&twice);
}

/* What is said and what is accepted must not depend on how much of the text is there to read. */
static void check_word(const yoke_task *t, const char *text, size_t len, unsigned flags)
{
    static attempt a;
    for (unsigned i = 0; i < t->nparams; i++) {
        char *copy = fuzz_copy(text, len);
        a.memory = fuzz_memory();
        yk_region_init(&a.region, NULL, 0, &a.memory.source);
        int err = yk_json_word(t, i, copy, len, flags, &a.region, a.args, &a.e);
        if (err < 0)
            check_error(&a.e, err, t, len + 2, true); /* base64 is read with quotes */
        free(copy);
        yk_region_done(&a.region);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static attempt first;
    if (size == 0)
        return 0;
    const yoke_task *t = tasks[data[0] % 16 % YK_COUNT_OF(tasks)];
    unsigned flags = data[0] >> 4 & YOKE_JSON_ALL;
    const char *text = (const char *)data + 1;
    int err = read_args(&first, t, text, size - 1, flags);
    if (err == 0)
        check_accepted(t, first.args, flags);
    else
        check_error(&first.e, err, t, size - 1, false);
    yk_region_done(&first.region);
    if (data[0] & 0x80)
        check_word(t, text, size - 1, flags);
    return 0;
}
