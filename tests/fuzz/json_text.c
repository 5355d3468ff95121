/* json_text - fuzzes results that are text: any bytes, written as JSON and read again.
 *
 * A string is written exactly when it is UTF-8, by a second decoder in fuzz.h, and reads back as the same bytes. What a
 * message quotes is mended instead, and must then be a string too. Bytes always survive. JSON that a task made is kept,
 * on one line, exactly when it is JSON.
 */
#include "fuzz.h"

YOKE_TASK(void, fuzz_text, (yoke_str, v))
{
}
YOKE_TASK(void, fuzz_cstr, (const char *, v))
{
}
YOKE_TASK(void, fuzz_bytes, (yoke_bytes, v))
{
}
YOKE_TASK(void, fuzz_json, (yoke_json, v))
{
}

/* Writes a result of that type; the text, on its own memory, is in *out. */
static int written(unsigned code, const void *value, yk_buf *out, yk_error *e)
{
    yoke_task shown = {.name = "shown", .ret_code = (uint16_t)code};
    e->text[0] = '\0';
    int err = yk_json_result(&shown, NULL, value, 0, out, e);
    REQUIRE((err < 0) == (*e->text != '\0'));
    REQUIRE(err == 0 || out->len == 0);
    if (err == 0) {
        REQUIRE(yk_json_check(out->ptr, out->len, NULL) == 0);
        REQUIRE(!memchr(out->ptr, '\n', out->len) && !memchr(out->ptr, '\r', out->len));
    }
    return err;
}

/* What is written must be read as [text] by that task; yoke_str, yoke_bytes and yoke_json look the same. */
static void reads_as(const yoke_task *t, const yk_buf *text, const void *bytes, size_t len)
{
    yk_region region;
    yk_buf wrapped = {0};
    yk_error e;
    _Alignas(16) char args[64] = {0};
    yk_region_init(&region, NULL, 0, NULL);
    yk_buf_char(&wrapped, '[');
    yk_buf_put(&wrapped, text->ptr, text->len);
    yk_buf_char(&wrapped, ']');
    REQUIRE(yk_json_args(t, wrapped.ptr, wrapped.len, 0, &region, args, &e) == 0);
    yoke_str got;
    memcpy(&got, args, sizeof got);
    if (t->params[0].code == YOKE_CSTR)
        got.len = strlen(got.ptr);
    REQUIRE(got.len == len && (len == 0 || memcmp(got.ptr, bytes, len) == 0));
    yk_region_done(&region);
    yk_buf_done(&wrapped);
}

static void check_string(const char *text, size_t len)
{
    yk_buf out = {0};
    yk_error e;
    yoke_str value = {text, len};
    int err = written(YOKE_STR, &value, &out, &e);
    size_t good = fuzz_utf8(text, len);
    REQUIRE(err == (good == len ? 0 : -EILSEQ));
    if (err == 0) {
        reads_as(&yoke_task_fuzz_text, &out, text, len);
    } else {
        char place[40];
        snprintf(place, sizeof place, " at byte %zu ", good + 1);
        REQUIRE(strstr(e.text, place));
    }
    yk_buf_done(&out);
}

static void check_cstr(const char *text, size_t len)
{
    yk_buf out = {0};
    yk_error e;
    char *ended = malloc(len + 1);
    REQUIRE(ended);
    memcpy(ended, text, len);
    ended[len] = '\0';
    const char *value = ended;
    size_t length = strlen(ended);
    int err = written(YOKE_CSTR, &value, &out, &e);
    REQUIRE(err == (fuzz_utf8(ended, length) == length ? 0 : -EILSEQ));
    if (err == 0)
        reads_as(&yoke_task_fuzz_cstr, &out, ended, length);
    free(ended);
    yk_buf_done(&out);
}

static void check_bytes(const char *bytes, size_t len)
{
    yk_buf out = {0};
    yk_error e;
    yoke_bytes value = {bytes, len};
    REQUIRE(written(YOKE_BYTES, &value, &out, &e) == 0);
    reads_as(&yoke_task_fuzz_bytes, &out, bytes, len);
    yk_buf_done(&out);
}

static void check_json(const char *text, size_t len)
{
    yk_buf out = {0};
    yk_error e;
    yoke_json value = {text, len};
    int err = yk_json_check(text, len, NULL);
    REQUIRE(written(YOKE_JSON, &value, &out, &e) == err);
    if (err == 0) {
        size_t blank = strspn(out.ptr, " \t"), end = out.len;
        while (end > blank && (out.ptr[end - 1] == ' ' || out.ptr[end - 1] == '\t'))
            end--;
        reads_as(&yoke_task_fuzz_json, &out, out.ptr + blank, end - blank);
    }
    yk_buf_done(&out);
}

/* The same text with U+FFFD for each byte that is not UTF-8. */
static void check_quote(const char *text, size_t len)
{
    yk_buf out = {0}, mended = {0};
    yk_json_quote(&out, text, len);
    for (size_t at = 0, n; at < len; at += n ? n : 1) {
        n = fuzz_sequence((const unsigned char *)text + at, len - at);
        yk_buf_put(&mended, n ? text + at : "\xef\xbf\xbd", n ? n : 3);
    }
    REQUIRE(yk_json_check(out.ptr, out.len, NULL) == 0);
    reads_as(&yoke_task_fuzz_text, &out, mended.ptr, mended.len);
    yk_buf_done(&out);
    yk_buf_done(&mended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size);
    check_string(text, size);
    check_cstr(text, size);
    check_bytes(text, size);
    check_json(text, size);
    check_quote(text, size);
    free(text);
    return 0;
}
