/* Results as JSON: every type by its text, arrays nested and in base64, what has no JSON form, memory that
 * runs out. */
#include "task/json.h"
#include "test.h"
#include <math.h>

typedef struct pair {
    int x, y;
} pair;

YOKE_TASK(int, filled, (yoke_in_f64, x), (yoke_out_i16, y), (int, n), (yoke_inout_u8, z))
{
    return n;
}
YOKE_TASK(void, quiet, (yoke_out_f64, y))
{
}

static yk_buf out;
static yk_error why;

static int write_result(unsigned code, const void *value, unsigned flags)
{
    static yoke_task shown;
    shown = (yoke_task){.name = "shown", .ret_code = (uint16_t)code};
    yk_buf_done(&out);
    out = (yk_buf){0};
    why.text[0] = '\0';
    int err = yk_json_result(&shown, NULL, value, flags, &out, &why);
    CHECK((err < 0) == (*why.text != '\0'));
    return err;
}

static void writes_at(int line, unsigned code, const void *value, unsigned flags, const char *expected)
{
    int err = write_result(code, value, flags);
    if (err != 0 || strcmp(yk_buf_str(&out), expected) != 0)
        test_fail(__FILE__, line, "%d %s: \"%s\", expected \"%s\"", err, why.text, yk_buf_str(&out),
                  expected);
    CHECK_INT(yk_json_check(out.ptr, out.len, NULL), 0);
}
#define WRITES(code, T, value, expected) writes_at(__LINE__, code, &(T){value}, 0, expected)

static void refuses_at(int line, unsigned code, const void *value, unsigned flags, int expected,
                       const char *text)
{
    int err = write_result(code, value, flags);
    if (err != expected || strcmp(why.text, text) != 0 || out.len != 0)
        test_fail(__FILE__, line, "%d \"%s\", expected %d \"%s\"", err, why.text, expected, text);
}
#define REFUSES(code, value, flags, err, text) refuses_at(__LINE__, code, value, flags, err, text)

/* ---- Plain values ---- */

TEST(integers_and_booleans)
{
    WRITES(YOKE_VOID, int, 0, "null");
    WRITES(YOKE_BOOL, bool, true, "true");
    WRITES(YOKE_BOOL, bool, false, "false");
    WRITES(YOKE_I8, int8_t, INT8_MIN, "-128");
    WRITES(YOKE_I16, int16_t, INT16_MIN, "-32768");
    WRITES(YOKE_I32, int32_t, INT32_MIN, "-2147483648");
    WRITES(YOKE_I64, int64_t, INT64_MIN, "-9223372036854775808");
    WRITES(YOKE_I64, int64_t, INT64_MAX, "9223372036854775807");
    WRITES(YOKE_U8, uint8_t, UINT8_MAX, "255");
    WRITES(YOKE_U16, uint16_t, UINT16_MAX, "65535");
    WRITES(YOKE_U32, uint32_t, UINT32_MAX, "4294967295");
    WRITES(YOKE_U64, uint64_t, UINT64_MAX, "18446744073709551615");
    WRITES(YOKE_U64, uint64_t, 0, "0");
}

TEST(floats_are_short_and_finite)
{
    WRITES(YOKE_F64, double, 0.1, "0.1");
    WRITES(YOKE_F64, double, 4, "4.0");
    WRITES(YOKE_F64, double, -0.0, "-0.0");
    WRITES(YOKE_F64, double, 5e-324, "5e-324");
    WRITES(YOKE_F32, float, 0.1f, "0.1");
    WRITES(YOKE_F32, float, 3.4028235e38f, "3.4028235e+38");
    REFUSES(YOKE_F64, &(double){NAN}, 0, -EDOM,
            "result of shown: NaN has no form in JSON (YOKE_JSON_NONFINITE, or the option --nonfinite, makes it a string)");
    REFUSES(YOKE_F32, &(float){-INFINITY}, 0, -EDOM,
            "result of shown: -Infinity has no form in JSON (YOKE_JSON_NONFINITE, or the option --nonfinite, "
            "makes it a string)");
    writes_at(__LINE__, YOKE_F64, &(double){NAN}, YOKE_JSON_NONFINITE, "\"NaN\"");
    writes_at(__LINE__, YOKE_F32, &(float){INFINITY}, YOKE_JSON_NONFINITE, "\"Infinity\"");
    writes_at(__LINE__, YOKE_F64, &(double){-INFINITY}, YOKE_JSON_NONFINITE, "\"-Infinity\"");
}

/* ---- Text ---- */

TEST(strings_are_escaped_and_checked)
{
    WRITES(YOKE_CSTR, const char *, "h\xc3\xa9 \"q\" \\ \n\x01\x7f",
           "\"h\xc3\xa9 \\\"q\\\" \\\\ \\n\\u0001\x7f\"");
    writes_at(__LINE__, YOKE_STR, &(yoke_str){"a\0b", 3}, 0, "\"a\\u0000b\"");
    writes_at(__LINE__, YOKE_STR, &(yoke_str){NULL, 0}, 0, "\"\"");
    REFUSES(YOKE_CSTR, &(const char *){NULL}, 0, -EINVAL, "result of shown: text at NULL");
    REFUSES(YOKE_STR, (&(yoke_str){NULL, 4}), 0, -EINVAL, "result of shown: 4 bytes of text at NULL");
    static const char *const bad[] = {"abcdefgh\xc0\xaf", "abcdefgh\xed\xa0\x80", "abcdefgh\xf4\x90\x80\x80",
                                      "abcdefgh\xe2\x82", "abcdefgh\x80"};
    for (size_t i = 0; i < YK_COUNT_OF(bad); i++)
        REFUSES(YOKE_CSTR, &bad[i], 0, -EILSEQ,
                "result of shown: text that is not valid UTF-8 at byte 9 (yoke_bytes could carry it)");
}

TEST(bytes_and_json)
{
    writes_at(__LINE__, YOKE_BYTES, &(yoke_bytes){"\xff\0\1", 3}, 0, "\"/wAB\"");
    writes_at(__LINE__, YOKE_BYTES, &(yoke_bytes){"\xff", 1}, 0, "\"/w==\"");
    writes_at(__LINE__, YOKE_BYTES, &(yoke_bytes){NULL, 0}, 0, "\"\"");
    REFUSES(YOKE_BYTES, (&(yoke_bytes){NULL, 2}), 0, -EINVAL, "result of shown: 2 bytes at NULL");
    writes_at(__LINE__, YOKE_JSON, &(yoke_json){"{\"a\":\r\n[1]}", 11}, 0, "{\"a\":  [1]}");
    REFUSES(YOKE_JSON, (&(yoke_json){"[1", 2}), 0, -EINVAL,
            "result of shown: not JSON: expected ',' or ']', got the end of the text at byte 3");
    REFUSES(YOKE_JSON, (&(yoke_json){NULL, 0}), 0, -EINVAL, "result of shown: JSON at NULL");
    REFUSES(YOKE_STRUCT, (&(pair){1, 2}), 0, -ENOTSUP,
            "result of shown: a struct has no JSON form (let the task return yoke_json, a view or text)");
}

/* ---- Arrays ---- */

TEST(arrays_of_every_element)
{
    int8_t a[] = {-1, 2};
    uint16_t b[] = {1, 2, 3, 4};
    float c[] = {0.5f, 0.1f};
    uint64_t d[] = {UINT64_MAX};
    writes_at(__LINE__, YOKE_I8 | YOKE_IN, &yoke_1d(yoke_in_i8, a, 2), 0, "[-1,2]");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &yoke_2d(yoke_in_u16, b, 2, 2), 0, "[[1,2],[3,4]]");
    writes_at(__LINE__, YOKE_F32 | YOKE_IN, &yoke_1d(yoke_in_f32, c, 2), 0, "[0.5,0.1]");
    writes_at(__LINE__, YOKE_U64 | YOKE_IN, &yoke_1d(yoke_in_u64, d, 1), 0, "[18446744073709551615]");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b, 2, {2, 2}, {1, 2}}, 0, "[[1,3],[2,4]]");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b + 3, 1, {4}, {-1}}, 0, "[4,3,2,1]");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b, 0, {0}, {0}}, 0, "1");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){NULL, 2, {2, 0}, {1, 1}}, 0, "[[],[]]");
}

TEST(steps_mean_nothing_where_there_are_no_elements)
{
    uint16_t b[] = {1, 2};
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b, 2, {3, 0}, {PTRDIFF_MAX, 1}}, 0, "[[],[],[]]");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b, 2, {1, 2}, {PTRDIFF_MAX, 1}}, 0, "[[1,2]]");
}

TEST(arrays_in_base64)
{
    uint16_t b[] = {1, 2, 3, 4};
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &yoke_2d(yoke_in_u16, b, 2, 2), YOKE_JSON_BASE64,
              "{\"shape\":[2,2],\"base64\":\"AQACAAMABAA=\"}");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b, 2, {2, 2}, {1, 2}}, YOKE_JSON_BASE64,
              "{\"shape\":[2,2],\"base64\":\"AQADAAIABAA=\"}");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){b, 0, {0}, {0}}, YOKE_JSON_BASE64,
              "{\"shape\":[],\"base64\":\"AQA=\"}");
    writes_at(__LINE__, YOKE_U16 | YOKE_IN, &(yoke_in_u16){NULL, 1, {0}, {1}}, YOKE_JSON_BASE64,
              "{\"shape\":[0],\"base64\":\"\"}");
    double nan = NAN; /* its bits need no name */
    CHECK_INT(write_result(YOKE_F64 | YOKE_IN, &yoke_1d(yoke_in_f64, &nan, 1), YOKE_JSON_BASE64), 0);
    CHECK_INT(write_result(YOKE_F64 | YOKE_IN, &yoke_1d(yoke_in_f64, &nan, 1), 0), -EDOM);
    CHECK_INT(out.len, 0);
}

TEST(arrays_that_are_none)
{
    char c = 0;
    CHECK_INT(write_result(YOKE_U8 | YOKE_IN, &(yoke_inout_u8){NULL, 1, {3}, {1}}, 0), -EINVAL);
    CHECK_HAS(why.text, "a view that is not valid");
    CHECK_INT(write_result(YOKE_U8 | YOKE_IN, &(yoke_inout_u8){(uint8_t *)&c, 9, {3}, {1}}, 0), -EINVAL);
    CHECK_INT(write_result(YOKE_U8 | YOKE_IN, &(yoke_inout_u8){(uint8_t *)&c, 2, {SIZE_MAX, 2}, {0, 0}}, 0),
              -EOVERFLOW);
    /* One byte in memory, and rows without end: steps of zero and rows of nothing must not fill the disk. */
    CHECK_INT(write_result(YOKE_U8 | YOKE_IN, &(yoke_inout_u8){(uint8_t *)&c, 1, {(size_t)1 << 40}, {0}}, 0),
              -EMSGSIZE);
    CHECK_INT(write_result(YOKE_U8 | YOKE_IN, &(yoke_inout_u8){(uint8_t *)&c, 1, {(size_t)1 << 40}, {0}},
                           YOKE_JSON_BASE64),
              -EMSGSIZE);
    CHECK_INT(write_result(YOKE_U8 | YOKE_IN, &(yoke_inout_u8){NULL, 2, {(size_t)1 << 40, 0}, {1, 1}}, 0),
              -EMSGSIZE);
}

/* ---- Out views ---- */

static struct yoke_args_filled filled_args(double *x, int16_t *y, uint8_t *z)
{
    struct yoke_args_filled a;
    memset(&a, 0, sizeof a);
    a.x = yoke_1d(yoke_in_f64, x, 1);
    a.y = yoke_1d(yoke_out_i16, y, 2);
    a.z = yoke_2d(yoke_inout_u8, z, 1, 2);
    return a;
}

TEST(what_a_task_filled_comes_with_its_result)
{
    double x = 1.5;
    int16_t y[] = {-3, 4};
    uint8_t z[] = {5, 6};
    struct yoke_args_filled a = filled_args(&x, y, z);
    yk_buf_text(&out, "before ");
    CHECK_INT(yk_json_result(&yoke_task_filled, &a, &(int){7}, 0, &out, &why), 0);
    CHECK_STR(yk_buf_str(&out), "before {\"return\":7,\"y\":[-3,4],\"z\":[[5,6]]}");
    a.z.ptr = NULL; /* what was written before the mistake is taken back */
    CHECK_INT(yk_json_result(&yoke_task_filled, &a, &(int){7}, 0, &out, &why), -EINVAL);
    CHECK_STR(why.text, "\"z\" of the result of filled: a view that is not valid (dimensions, NULL or size)");
    CHECK_STR(yk_buf_str(&out), "before {\"return\":7,\"y\":[-3,4],\"z\":[[5,6]]}");
    out.len = 0;
    struct yoke_args_quiet q = {.y = yoke_1d(yoke_out_f64, &x, 1)};
    CHECK_INT(yk_json_result(&yoke_task_quiet, &q, NULL, 0, &out, &why), 0);
    CHECK_STR(yk_buf_str(&out), "{\"y\":[1.5]}");
}

/* ---- Memory that runs out ---- */

/* The n-th allocation fails, of either kind, for each n until none does. */
static void fails_cleanly(const char *call, const void *args, unsigned flags, const char *expected)
{
    int n = 0, err;
    do {
        yk_buf_done(&out);
        out = (yk_buf){0};
        yk_sys_fail(call, ++n, ENOMEM);
        err = yk_json_result(&yoke_task_filled, args, &(int){7}, flags, &out, &why);
        yk_sys_fail(call, 0, 0);
        CHECK(err == 0 || err == -ENOMEM);
        if (err < 0) {
            CHECK_HAS(why.text, "out of memory");
            CHECK_INT(out.len, 0);
        }
    } while (err < 0);
    CHECK_STR(yk_buf_str(&out), expected);
    printf("# %s: %d failures\n", call, n - 1);
}

TEST(every_allocation_may_fail)
{
    double x = 1.5;
    int16_t y[] = {-3, 0, 4};
    static uint8_t z[2000];
    struct yoke_args_filled a = filled_args(&x, y, z);
    a.y.step[0] = 2; /* has a gap: base64 gathers it first */
    a.z = yoke_1d(yoke_inout_u8, z, sizeof z);
    static char nested[8000], packed[8000];
    CHECK_INT(yk_json_result(&yoke_task_filled, &a, &(int){7}, 0, &out, &why), 0);
    snprintf(nested, sizeof nested, "%s", yk_buf_str(&out));
    out.len = 0;
    CHECK_INT(yk_json_result(&yoke_task_filled, &a, &(int){7}, YOKE_JSON_BASE64, &out, &why), 0);
    snprintf(packed, sizeof packed, "%s", yk_buf_str(&out));
    CHECK_HAS(packed, "\"y\":{\"shape\":[2],\"base64\":\"/f8EAA==\"}");
    fails_cleanly("realloc", &a, 0, nested);
    fails_cleanly("realloc", &a, YOKE_JSON_BASE64, packed);
    fails_cleanly("malloc", &a, YOKE_JSON_BASE64, packed);
    yk_sys_fail("realloc", 1, ENOMEM); /* the failures do happen */
    yk_buf_done(&out);
    out = (yk_buf){0};
    CHECK_INT(yk_json_result(&yoke_task_filled, &a, &(int){7}, 0, &out, &why), -ENOMEM);
    yk_sys_fail("realloc", 0, 0);
}
