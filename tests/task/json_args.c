/* JSON arguments: what is accepted and into which values, what is refused and in which words. */
#include "json_try.h"
#include <math.h>
#include <unistd.h>

YOKE_TASK(double, integrate, (double, a), (double, b), (long, n, "steps", 1000000))
{
    return a + b + (double)n;
}
YOKE_TASK(void, nothing)
{
}
YOKE_TASK(bool, flag, (bool, v))
{
    return v;
}
YOKE_TASK(int8_t, i8, (int8_t, v))
{
    return v;
}
YOKE_TASK(int16_t, i16, (int16_t, v))
{
    return v;
}
YOKE_TASK(int32_t, i32, (int32_t, v))
{
    return v;
}
YOKE_TASK(int64_t, i64, (int64_t, v))
{
    return v;
}
YOKE_TASK(uint8_t, u8, (uint8_t, v))
{
    return v;
}
YOKE_TASK(uint16_t, u16, (uint16_t, v))
{
    return v;
}
YOKE_TASK(uint32_t, u32, (uint32_t, v))
{
    return v;
}
YOKE_TASK(uint64_t, u64, (uint64_t, v))
{
    return v;
}
YOKE_TASK(float, f32, (float, v))
{
    return v;
}
YOKE_TASK(double, f64, (double, v))
{
    return v;
}
YOKE_TASK(void, cstr, (const char *, v))
{
}
YOKE_TASK(void, str, (yoke_str, v))
{
}
YOKE_TASK(void, bytes, (yoke_bytes, v))
{
}
YOKE_TASK(void, json, (yoke_json, v))
{
}
YOKE_TASK(void, in, (yoke_in_f64, v))
{
}
YOKE_TASK(void, out, (yoke_out_i32, v))
{
}
YOKE_TASK(void, two, (yoke_in_f64, x), (const char *, name, "", "none"))
{
}

/* ---- Forms ---- */

TEST(in_order_by_name_and_alone)
{
    struct yoke_args_integrate *a = READ(integrate, "[0.5, 1.25, 7]");
    CHECK(last.code == 0 && a->a == 0.5 && a->b == 1.25 && a->n == 7);
    a = READ(integrate, " \t\r\n[0,1]\n ");
    CHECK(last.code == 0 && a->a == 0 && a->b == 1 && a->n == 1000000);
    a = READ(integrate, "{\"n\":3,\"b\":2,\"a\":1}");
    CHECK(last.code == 0 && a->a == 1 && a->b == 2 && a->n == 3);
    a = READ(integrate, "{ \"\\u0061\" : 1 , \"b\" : 2 }");
    CHECK(last.code == 0 && a->a == 1 && a->b == 2 && a->n == 1000000);
    CHECK(READ(u8, "7")->v == 7 && last.code == 0);
    CHECK(READ(u8, "[7]")->v == 7 && last.code == 0);
    CHECK(READ(u8, "{\"v\":7}")->v == 7 && last.code == 0);
    try_text(&yoke_task_nothing, "[]", 0);
    CHECK_INT(last.code, 0);
    try_text(&yoke_task_nothing, "{ }", 0);
    CHECK_INT(last.code, 0);
    struct yoke_args_two *t = READ(two, "[[1]]");
    CHECK(last.code == 0 && t->x.shape[0] == 1 && strcmp(t->name, "none") == 0);
}

TEST(arguments_that_do_not_match_the_signature)
{
    REFUSED(integrate, "[0,1,\"ten\"]", -EINVAL, "argument 3 \"n\" of integrate: expected integer, got \"ten\" at byte 6");
    REFUSED(integrate, "[]", -EINVAL, "argument 1 \"a\" of integrate: missing at byte 2");
    REFUSED(integrate, "[1]", -EINVAL, "argument 2 \"b\" of integrate: missing at byte 3");
    REFUSED(integrate, "{\"a\":1}", -EINVAL, "argument 2 \"b\" of integrate: missing at byte 7");
    REFUSED(integrate, "{\"b\":1}", -EINVAL, "argument 1 \"a\" of integrate: missing at byte 7");
    REFUSED(integrate, "{}", -EINVAL, "argument 1 \"a\" of integrate: missing at byte 2");
    REFUSED(integrate, "[1,2,3,4]", -EINVAL, "arguments of integrate: too many, it takes 3 at byte 8");
    REFUSED(nothing, "[1]", -EINVAL, "arguments of nothing: too many, it takes 0 at byte 2");
    REFUSED(nothing, "5", -EINVAL, "arguments of nothing: expected an array or an object, got 5 at byte 1");
    REFUSED(integrate, "{\"a\":1,\"a\":2}", -EINVAL, "argument 1 \"a\" of integrate: given twice at byte 8");
    REFUSED(two, "{\"nmae\":\"x\",\"x\":[1]}", -EINVAL,
            "arguments of two: got \"nmae\", an argument it does not have (did you mean \"name\"?) at byte 2");
    REFUSED(two, "{\"name\":\"x\",\"nmae\":\"x\"}", -EINVAL,
            "arguments of two: got \"nmae\", an argument it does not have at byte 13");
    REFUSED(two, "{\"X\":[1]}", -EINVAL,
            "arguments of two: got \"X\", an argument it does not have (did you mean \"x\"?) at byte 2");
    REFUSED(two, "{\"P\":[1]}", -EINVAL, "arguments of two: got \"P\", an argument it does not have at byte 2");
    REFUSED(two, "{\"completely\":\"x\"}", -EINVAL,
            "arguments of two: got \"completely\", an argument it does not have at byte 2");
    REFUSED(nothing, "{\"a\":1}", -EINVAL, "arguments of nothing: got \"a\", an argument it does not have at byte 2");
    REFUSED(integrate, "5", -EINVAL, "arguments of integrate: expected an array or an object, got 5 (write [5, ...]) at byte 1");
    REFUSED(integrate, "null", -EINVAL,
            "arguments of integrate: expected an array or an object, got null (write [null, ...]) at byte 1");
    REFUSED(two, " \"x\\n\" ", -EINVAL,
            "arguments of two: expected an array or an object, got \"x\\n\" (write [\"x\\n\"]) at byte 2");
    REFUSED(integrate, "1 2", -EINVAL, "arguments of integrate: expected an array or an object, got 1 at byte 1");
    REFUSED(integrate, "tru", -EINVAL, "arguments of integrate: expected an array or an object, got tru at byte 1");
    REFUSED(integrate, "\"0123456789012345678901234567890123456789\"", -EINVAL,
            "arguments of integrate: expected an array or an object, got \"012345678901234567890123...\" at byte 1");
    REFUSED(integrate, "[null,1]", -EINVAL, "argument 1 \"a\" of integrate: expected number, got null at byte 2");
}

TEST(the_form_of_one_argument_is_told_by_its_first_character)
{
    REFUSED(in, "[null]", -EINVAL, "argument 1 \"v\" of in: expected number, got null at byte 2");
    REFUSED(in, "[[1],[2]]", -EINVAL,
            "arguments of in: too many, it takes 1 (an array that is one argument is written [[...]]) at byte 6");
    REFUSED(in, "5", -EINVAL, "argument 1 \"v\" of in: expected array, got 5 at byte 1");
    REFUSED(in, "{\"shape\":[1],\"base64\":\"AAAAAAAAAAA=\"}", -EINVAL,
            "arguments of in: got \"shape\", an argument it does not have at byte 2");
    REFUSED(u8, "[[7]]", -EINVAL, "argument 1 \"v\" of u8: expected integer, got an array at byte 2");
    yoke_json v = READ(json, "true")->v;
    CHECK(last.code == 0 && v.len == 4);
    v = READ(json, "[[1,2]]")->v;
    CHECK(last.code == 0 && v.len == 5 && memcmp(v.ptr, "[1,2]", 5) == 0);
    CHECK_INT(READ(out, "3")->v.shape[0], 3);
}

/* ---- Numbers ---- */

TEST(integers_fill_their_range_and_no_more)
{
    CHECK_INT(READ(i8, "-128")->v, -128);
    CHECK_INT(READ(i8, "127")->v, 127);
    CHECK_INT(READ(i16, "-32768")->v, -32768);
    CHECK_INT(READ(i16, "3.2767e4")->v, 32767);
    CHECK_INT(READ(i32, "-2147483648")->v, INT32_MIN);
    CHECK_INT(READ(i32, "2147483647.0")->v, INT32_MAX);
    CHECK_INT(READ(i64, "-9223372036854775808")->v, INT64_MIN);
    CHECK_INT(READ(i64, "9223372036854775807")->v, INT64_MAX);
    CHECK_INT(READ(i64, "9007199254740993")->v, 9007199254740993);
    CHECK_INT(READ(u8, "255")->v, 255);
    CHECK_INT(READ(u8, "-0")->v, 0);
    CHECK_INT(READ(u8, "-0.0")->v, 0);
    CHECK_INT(READ(u16, "65535")->v, 65535);
    CHECK_INT(READ(u32, "4294967295")->v, 4294967295);
    CHECK(READ(u64, "18446744073709551615")->v == UINT64_MAX && last.code == 0);
    REFUSED(i8, "128", -ERANGE, "argument 1 \"v\" of i8: 128 does not fit i8 (-128 to 127) at byte 1");
    REFUSED(i8, "-129", -ERANGE, "argument 1 \"v\" of i8: -129 does not fit i8 (-128 to 127) at byte 1");
    REFUSED(i16, "32768", -ERANGE, "argument 1 \"v\" of i16: 32768 does not fit i16 (-32768 to 32767) at byte 1");
    REFUSED(i32, "2147483648", -ERANGE,
            "argument 1 \"v\" of i32: 2147483648 does not fit i32 (-2147483648 to 2147483647) at byte 1");
    REFUSED(
        i64, "9223372036854775808", -ERANGE,
        "argument 1 \"v\" of i64: 9223372036854775808 does not fit i64 (-9223372036854775808 to 9223372036854775807) at byte 1");
    REFUSED(i64, "-9223372036854775809", -ERANGE,
            "argument 1 \"v\" of i64: -9223372036854775809 does not fit i64 (-9223372036854775808 to 9223372036854775807) at "
            "byte 1");
    REFUSED(u8, "[300]", -ERANGE, "argument 1 \"v\" of u8: 300 does not fit u8 (0 to 255) at byte 2");
    REFUSED(u8, "-1", -ERANGE, "argument 1 \"v\" of u8: -1 does not fit u8 (0 to 255) at byte 1");
    REFUSED(u16, "65536", -ERANGE, "argument 1 \"v\" of u16: 65536 does not fit u16 (0 to 65535) at byte 1");
    REFUSED(u32, "1e10", -ERANGE, "argument 1 \"v\" of u32: 1e10 does not fit u32 (0 to 4294967295) at byte 1");
    REFUSED(u64, "18446744073709551616", -ERANGE,
            "argument 1 \"v\" of u64: 18446744073709551616 does not fit u64 (0 to 18446744073709551615) at byte 1");
    REFUSED(u64, "123456789012345678901234567890123456789", -ERANGE,
            "argument 1 \"v\" of u64: 123456789012345678901234567890... does not fit u64 (0 to 18446744073709551615) at byte 1");
}

TEST(integers_below_their_range)
{
    REFUSED(i16, "-32769", -ERANGE, "argument 1 \"v\" of i16: -32769 does not fit i16 (-32768 to 32767) at byte 1");
    REFUSED(i32, "-2147483649", -ERANGE,
            "argument 1 \"v\" of i32: -2147483649 does not fit i32 (-2147483648 to 2147483647) at byte 1");
    REFUSED(u16, "[-1]", -ERANGE, "argument 1 \"v\" of u16: -1 does not fit u16 (0 to 65535) at byte 2");
    REFUSED(u32, "[4294967296]", -ERANGE, "argument 1 \"v\" of u32: 4294967296 does not fit u32 (0 to 4294967295) at byte 2");
    REFUSED(u64, "{\"v\":-1}", -ERANGE, "argument 1 \"v\" of u64: -1 does not fit u64 (0 to 18446744073709551615) at byte 6");
}

TEST(integers_are_whole_numbers)
{
    REFUSED(i32, "2.5", -EINVAL, "argument 1 \"v\" of i32: expected integer, got 2.5 at byte 1");
    REFUSED(i32, "1e-1", -EINVAL, "argument 1 \"v\" of i32: expected integer, got 1e-1 at byte 1");
    REFUSED(i32, "true", -EINVAL, "argument 1 \"v\" of i32: expected integer, got true at byte 1");
    REFUSED(i32, "\"1\"", -EINVAL, "argument 1 \"v\" of i32: expected integer, got \"1\" at byte 1");
    REFUSED(i32, "01", -EINVAL, "argument 1 \"v\" of i32: a number with a leading zero, 01, at byte 2");
    REFUSED(i32, "1.", -EINVAL, "argument 1 \"v\" of i32: a number that lacks a digit, 1., at byte 3");
    REFUSED(i32, "-", -EINVAL, "argument 1 \"v\" of i32: a number that lacks a digit, -, at byte 2");
    REFUSED(i32, "+1", -EINVAL, "argument 1 \"v\" of i32: expected integer, got +1 at byte 1");
    REFUSED(i32, "0x10", -EINVAL, "arguments of i32: expected the end of the text, got x10 at byte 2");
    CHECK_INT(READ(i32, "1e3")->v, 1000);
    CHECK_INT(READ(i32, "2.0")->v, 2);
    CHECK_INT(READ(i32, "1.0e2")->v, 100);
}

TEST(floats)
{
    CHECK(READ(f64, "0.1")->v == 0.1);
    CHECK(signbit(READ(f64, "-0")->v));
    CHECK(READ(f64, "1e-400")->v == 0 && last.code == 0);
    CHECK(READ(f32, "0.1")->v == 0.1f);
    CHECK(READ(f32, "16777217.0000000001")->v == 16777218.0f); /* not by way of a double */
    CHECK(READ(f64, "1.7976931348623157e308")->v == 1.7976931348623157e308);
    REFUSED(f64, "1e309", -ERANGE,
            "argument 1 \"v\" of f64: 1e309 does not fit f64 (-1.7976931348623157e+308 to 1.7976931348623157e+308) at byte 1");
    REFUSED(f32, "-1e39", -ERANGE,
            "argument 1 \"v\" of f32: -1e39 does not fit f32 (-3.4028235e+38 to 3.4028235e+38) at byte 1");
    REFUSED(f64, "\"NaN\"", -EINVAL, "argument 1 \"v\" of f64: expected number, got \"NaN\" at byte 1");
    REFUSED(f64, "NaN", -EINVAL, "argument 1 \"v\" of f64: expected number, got NaN at byte 1");
    CHECK(isinf(READ_FLAGS(f64, "1e309", YOKE_JSON_NONFINITE)->v));
    CHECK(isinf(READ_FLAGS(f32, "1e39", YOKE_JSON_NONFINITE)->v));
    CHECK(isnan(READ_FLAGS(f64, "\"NaN\"", YOKE_JSON_NONFINITE)->v));
    CHECK(isnan(READ_FLAGS(f32, "\"NaN\"", YOKE_JSON_NONFINITE)->v));
    CHECK(READ_FLAGS(f64, "\"\\u002dInfinity\"", YOKE_JSON_NONFINITE)->v == -INFINITY);
    CHECK(READ_FLAGS(f32, "\"Infinity\"", YOKE_JSON_NONFINITE)->v == INFINITY);
    refused_at(__FILE__, __LINE__, &yoke_task_f64, "\"nan\"", YOKE_JSON_NONFINITE, -EINVAL,
               "argument 1 \"v\" of f64: expected number, \"NaN\", \"Infinity\" or \"-Infinity\", got \"nan\" at byte 1");
}

TEST(booleans)
{
    CHECK(READ(flag, "true")->v == true && last.code == 0);
    CHECK(READ(flag, "[false]")->v == false && last.code == 0);
    REFUSED(flag, "1", -EINVAL, "argument 1 \"v\" of flag: expected true or false, got 1 at byte 1");
    REFUSED(flag, "tru", -EINVAL, "argument 1 \"v\" of flag: expected true or false, got tru at byte 1");
    REFUSED(flag, "True", -EINVAL, "argument 1 \"v\" of flag: expected true or false, got True at byte 1");
    REFUSED(flag, "truely", -EINVAL, "arguments of flag: expected the end of the text, got ly at byte 5");
}

/* ---- Strings ---- */

static void reads_str(const char *text, const char *expected, size_t len)
{
    yoke_str v = READ(str, text)->v;
    if (last.code != 0 || v.len != len || memcmp(v.ptr, expected, len) != 0)
        test_fail(__FILE__, __LINE__, "%s: %d %s", text, last.code, last.e.text);
}
#define READS_STR(text, expected) reads_str(text, expected, sizeof(expected) - 1)

TEST(strings)
{
    READS_STR("\"\"", "");
    READS_STR("\"abc\"", "abc");
    READS_STR("\"a much longer string, of more than one word of the machine\"",
              "a much longer string, of more than one word of the machine");
    READS_STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    READS_STR("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    READS_STR("\"\\u0000\"", "\0");
    READS_STR("\"\x7f\"", "\x7f");
    READS_STR("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
              "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    READS_STR("\"\\uFFFF\\u07ff\\u0800\\u007f\\u0080\"", "\xef\xbf\xbf\xdf\xbf\xe0\xa0\x80\x7f\xc2\x80");
    CHECK_STR(READ(cstr, "\"h\\u00e9\"")->v, "h\xc3\xa9");
    REFUSED(cstr, "\"a\\u0000b\"", -EINVAL,
            "argument 1 \"v\" of cstr: \\u0000 in a string that ends at the first NUL (const char *) at byte 1");
    REFUSED(str, "5", -EINVAL, "argument 1 \"v\" of str: expected string, got 5 at byte 1");
}

TEST(strings_do_not_lead_into_the_text)
{
    yoke_str v = READ(str, "\"abc\"")->v;
    CHECK(v.ptr < last.text || v.ptr > last.text + 5);
    yoke_json j = READ(json, "5")->v;
    CHECK(j.ptr < last.text || j.ptr > last.text + 1);
}

TEST(utf8_that_is_not)
{
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xe2(\xa1",
                                      "\xe2\x82(",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x9f\x98",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "\xf0\x9f\x98(",
                                      "\xf0\x9f(\x80"};
    for (size_t i = 0; i < YK_COUNT_OF(bad); i++) {
        for (unsigned before = 0; before < 10; before++) {
            char text[60], place[20];
            snprintf(text, sizeof text, "\"%.*s%s\"", (int)before, "abcdefghij", bad[i]);
            snprintf(place, sizeof place, "at byte %u", before + 2);
            try_text(&yoke_task_str, text, 0);
            CHECK_INT(last.code, -EILSEQ);
            CHECK_HAS(last.e.text, "not valid UTF-8");
            CHECK_HAS(last.e.text, place);
            CHECK(yk_json_check(last.e.text, 0, NULL) < 0);
        }
        CHECK_INT(yk_utf8_length(bad[i], bad[i] + strlen(bad[i])), 0);
    }
}

TEST(strings_that_are_wrong)
{
    REFUSED(str, "\"abc", -EINVAL, "argument 1 \"v\" of str: a string without its closing quote at byte 1");
    REFUSED(str, "\"a\\", -EINVAL, "argument 1 \"v\" of str: no escape of JSON: \\ at byte 3");
    REFUSED(str, "\"a\\q\"", -EINVAL, "argument 1 \"v\" of str: no escape of JSON: \\q at byte 3");
    REFUSED(str, "\"\\u12g4\"", -EINVAL, "argument 1 \"v\" of str: no escape of JSON: \\u12g4 at byte 2");
    REFUSED(str, "\"\\u12", -EINVAL, "argument 1 \"v\" of str: no escape of JSON: \\u12 at byte 2");
    REFUSED(str, "\"\\ud800\"", -EINVAL, "argument 1 \"v\" of str: half of a surrogate pair in a string, \\ud800, at byte 2");
    REFUSED(str, "\"\\udc00\\ud800\"", -EINVAL,
            "argument 1 \"v\" of str: half of a surrogate pair in a string, \\udc00, at byte 2");
    REFUSED(str, "\"\\ud800\\u0041\"", -EINVAL,
            "argument 1 \"v\" of str: half of a surrogate pair in a string, \\ud800, at byte 2");
    REFUSED(str, "\"\\ud83d\\\\ude00\"", -EINVAL,
            "argument 1 \"v\" of str: half of a surrogate pair in a string, \\ud83d, at byte 2");
    REFUSED(str, "\"a\nb\"", -EINVAL,
            "argument 1 \"v\" of str: a control character (0x0a) in a string, which must be escaped, at byte 3");
    try_bytes(&yoke_task_str, "\"a\0b\"", 5, 0);
    CHECK_HAS(last.e.text, "a control character (0x00)");
}

TEST(what_was_found_is_shown_short_and_clean)
{
    REFUSED(i32, "\"a very long text that goes on and on\"", -EINVAL,
            "argument 1 \"v\" of i32: expected integer, got \"a very long text that go...\" at byte 1");
    REFUSED(i32, "\"h\xc3\xa9 \x01\xff\"", -EINVAL, "argument 1 \"v\" of i32: expected integer, got \"h\xc3\xa9 ??\" at byte 1");
    REFUSED(i32, "\xff", -EINVAL, "argument 1 \"v\" of i32: expected integer, got the byte 0xff at byte 1");
    REFUSED(i32, "{}", -EINVAL, "argument 1 \"v\" of i32: missing at byte 2");
    REFUSED(i32, "[{}]", -EINVAL, "argument 1 \"v\" of i32: expected integer, got an object at byte 2");
    REFUSED(i32, "[", -EINVAL, "argument 1 \"v\" of i32: expected integer, got the end of the text at byte 2");
    REFUSED(i32, "[,]", -EINVAL, "argument 1 \"v\" of i32: expected integer, got ',' at byte 2");
}

TEST(base64_strings)
{
    yoke_bytes v = READ(bytes, "\"AP8Q\"")->v;
    CHECK(last.code == 0 && v.len == 3 && memcmp(v.ptr, "\0\xff\x10", 3) == 0);
    v = READ(bytes, "\"\"")->v;
    CHECK(last.code == 0 && v.len == 0 && v.ptr);
    v = READ(bytes, "\"\\/\\/\\/\\/\"")->v;
    CHECK(last.code == 0 && v.len == 3 && memcmp(v.ptr, "\xff\xff\xff", 3) == 0);
    REFUSED(bytes, "\"AP8\"", -EINVAL, "argument 1 \"v\" of bytes: not base64 (with padding) at byte 5");
    REFUSED(bytes, "\"A*8Q\"", -EINVAL, "argument 1 \"v\" of bytes: not base64 (with padding) at byte 3");
    REFUSED(bytes, "5", -EINVAL, "argument 1 \"v\" of bytes: expected string in base64, got 5 at byte 1");
}

/* ---- The text as a whole ---- */

TEST(texts_that_are_no_json)
{
    REFUSED(integrate, "", -EINVAL, "arguments of integrate: expected an array or an object, got the end of the text at byte 1");
    REFUSED(integrate, "  ", -EINVAL,
            "arguments of integrate: expected an array or an object, got the end of the text at byte 3");
    REFUSED(integrate, "\xef\xbb\xbf[1,2]", -EINVAL,
            "arguments of integrate: expected an array or an object, got a byte order mark at byte 1");
    REFUSED(integrate, "[1,2", -EINVAL, "argument 2 \"b\" of integrate: expected ',' or ']', got the end of the text at byte 5");
    REFUSED(integrate, "[1,2,", -EINVAL, "argument 3 \"n\" of integrate: expected integer, got the end of the text at byte 6");
    REFUSED(integrate, "[1,2,]", -EINVAL, "argument 3 \"n\" of integrate: expected integer, got ']' at byte 6");
    REFUSED(integrate, "[1 2]", -EINVAL, "argument 1 \"a\" of integrate: expected ',' or ']', got 2 at byte 4");
    REFUSED(integrate, "[1,2]]", -EINVAL, "arguments of integrate: expected the end of the text, got ']' at byte 6");
    REFUSED(integrate, "[1,2] 3", -EINVAL, "arguments of integrate: expected the end of the text, got 3 at byte 7");
    REFUSED(integrate, "[1,2}", -EINVAL, "argument 2 \"b\" of integrate: expected ',' or ']', got '}' at byte 5");
    REFUSED(integrate, "{\"a\" 1}", -EINVAL, "argument 1 \"a\" of integrate: expected ':', got 1 at byte 6");
    REFUSED(integrate, "{\"a\":1,}", -EINVAL, "arguments of integrate: expected a name in quotes, got '}' at byte 8");
    REFUSED(integrate, "{a:1}", -EINVAL, "arguments of integrate: expected a name in quotes, got a at byte 2");
    REFUSED(integrate, "{\"a\":1", -EINVAL,
            "argument 1 \"a\" of integrate: expected ',' or '}', got the end of the text at byte 7");
    REFUSED(integrate, "{\"a", -EINVAL, "arguments of integrate: a string without its closing quote at byte 2");
    REFUSED(integrate, "[1,2]\f", -EINVAL, "arguments of integrate: expected the end of the text, got the byte 0x0c at byte 6");
    REFUSED(integrate, "// no\n[1,2]", -EINVAL, "arguments of integrate: expected an array or an object, got // at byte 1");
}

TEST(every_cut_of_a_text_is_refused_cleanly)
{
    static const char text[] =
        "{\"x\":{\"shape\":[1,2],\"base64\":\"AAAAAAAAAAAAAAAAAAAAAA==\"},\"name\":\"\\u00e9\\ud83d\\ude00 h\xc3\xa9\"}";
    try_text(&yoke_task_two, text, 0);
    CHECK_INT(last.code, 0);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        try_bytes(&yoke_task_two, text, n, 0);
        CHECK(last.code < 0);
    }
}

static const char *const accepted[] = {
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e5",
    "1E+5",
    "1e-5",
    "-1.5e-5",
    "0.0",
    "0e0",
    "123456789012345678901234567890",
    "1e999999",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\\\"\"",
    "\"\xe2\x82\xac\"",
    "\"\x7f\"",
    "[1]",
    "[1,2]",
    "[ 1 , 2 ]",
    "[[]]",
    "[[],[]]",
    "[{}]",
    "{\"\":0}",
    "{\"a\":1}",
    "{\"a\":1,\"a\":2}",
    "{ \"a\" : [ ] , \"b\" : { } }",
    "[null,true,false,0,\"\",[],{}]",
    "\t\n\r [1]\t\n\r ",
    "[[[[[[[[[[1]]]]]]]]]]",
    "{\"a\":{\"b\":{\"c\":[1,2,{\"d\":null}]}}}",
    "[\"\\ud83d\\ude00\"]",
    "\"\\/\"",
    "[-0.0]",
    "\"\xf4\x8f\xbf\xbf\"",
    "[1.0000000000000000000000000001]",
};
static const char *const rejected[] = {
    "",
    " ",
    "[",
    "]",
    "{",
    "}",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "[1 2]",
    "[1}",
    "{1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1]",
    "{\"a\",1}",
    "{null:1}",
    "{1:1}",
    "nul",
    "nulL",
    "Null",
    "tru",
    "truE",
    "fals",
    "nullx",
    "true1",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "-",
    "+",
    "+1",
    "--1",
    ".5",
    "-.5",
    "1.",
    "1.e1",
    "1e",
    "1e+",
    "1E-",
    "1e1.5",
    "01",
    "-01",
    "00",
    "0x1",
    "1_000",
    "1a",
    "1 1",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u\"",
    "\"\\u1\"",
    "\"\\u12\"",
    "\"\\u123\"",
    "\"\\u123g\"",
    "\"\\U0041\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800a\"",
    "'a'",
    "\"\n\"",
    "\"\t\"",
    "\"\x1f\"",
    "\"\x80\"",
    "\"\xc0\xaf\"",
    "\"\xed\xa0\x80\"",
    "\"\xff\"",
    "\"a\"b",
    "[1]x",
    "[]]",
    "{}}",
    "[]{}",
    "\xef\xbb\xbf"
    "1",
    "\xc2\xa0"
    "1",
    "\v1",
    "\f1",
    "/**/1",
    "1//",
    "#1",
    "[1/**/]",
    "[\"a\",\n4\n,1,",
    "[1:2]",
    "{\"a\":1:2}",
    "[\"\"",
    "[\"a",
    "[{",
    "[{\"",
    "[{\"a\"",
    "[{\"a\":",
    "[{\"a\":1",
    "[{\"a\":1}",
    "<1>",
    "(1)",
    "*",
    "\\u0041",
    "[\\n]",
    "[- 1]",
    "[1 000]",
    "[0 1]",
    "[0,0",
    "{\"a\":\"b",
    "[true",
    "[fals]",
    "[\"\\",
    "[1e]",
};

TEST(the_grammar)
{
    for (size_t i = 0; i < YK_COUNT_OF(accepted); i++) {
        char *copy = exact(accepted[i], strlen(accepted[i]));
        yk_error e;
        if (yk_json_check(copy, strlen(accepted[i]), &e) != 0)
            test_fail(__FILE__, __LINE__, "%s: %s", accepted[i], e.text);
        free(copy);
    }
    for (size_t i = 0; i < YK_COUNT_OF(rejected); i++) {
        char *copy = exact(rejected[i], strlen(rejected[i]));
        yk_error e = {0};
        if (yk_json_check(copy, strlen(rejected[i]), &e) >= 0 || !*e.text)
            test_fail(__FILE__, __LINE__, "%s is accepted", rejected[i]);
        CHECK(yk_json_check(copy, strlen(rejected[i]), NULL) < 0);
        free(copy);
    }
}

TEST(json_arguments_are_checked_and_kept_as_they_are)
{
    static const char kept[] = "{\"a\" : [1, \"\\u00e9\"]}";
    yoke_json v = READ(json, "[ {\"a\" : [1, \"\\u00e9\"]} ]")->v;
    CHECK(last.code == 0 && v.len == strlen(kept) && memcmp(v.ptr, kept, v.len) == 0);
    for (size_t i = 0; i < YK_COUNT_OF(rejected); i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"v\":%s}", rejected[i]);
        try_text(&yoke_task_json, text, 0);
        if (last.code >= 0)
            test_fail(__FILE__, __LINE__, "%s is accepted", text);
    }
    REFUSED(json, "[{\"a\":nul}]", -EINVAL, "argument 1 \"v\" of json: expected a JSON value, got nul at byte 7");
}

TEST(depth_ends_at_the_limit)
{
    static const char *const opens[] = {"[", "{\"a\":", "[{\"k\":"}, *const closes[] = {"]", "}", "}]"};
    for (size_t k = 0; k < YK_COUNT_OF(opens); k++) {
        int levels = k == 2 ? 2 : 1;
        for (int depth = YOKE_JSON_DEPTH - 2; depth <= YOKE_JSON_DEPTH + 2; depth += 2) {
            yk_buf b = {0};
            for (int i = 0; i < depth / levels; i++)
                yk_buf_text(&b, opens[k]);
            yk_buf_text(&b, "1");
            for (int i = 0; i < depth / levels; i++)
                yk_buf_text(&b, closes[k]);
            yk_error e = {0};
            CHECK_INT(yk_json_check(b.ptr, b.len, &e), depth > YOKE_JSON_DEPTH ? -EINVAL : 0);
            if (depth > YOKE_JSON_DEPTH)
                CHECK_HAS(e.text, "nested deeper than 512 at byte ");
            yk_buf_done(&b);
        }
    }
    yk_buf b = {0};
    for (int i = 0; i < 100000; i++)
        yk_buf_char(&b, '[');
    CHECK_INT(yk_json_check(b.ptr, b.len, NULL), -EINVAL);
    yk_buf_done(&b);
}

TEST(size_ends_at_the_limit)
{
    yk_error e;
    CHECK_INT(yk_json_check("1", YOKE_JSON_MAX + 1, &e), -EMSGSIZE);
    CHECK_STR(e.text, "1073741825 bytes of JSON, at most 1073741824");
}

/* ---- Words of the command line ---- */

static int word(const yoke_task *t, const char *text)
{
    forget();
    yk_region_init(&last.region, NULL, 0, NULL);
    last.e.text[0] = '\0';
    last.text = exact(text, strlen(text));
    return last.code = yk_json_word(t, 0, last.text, strlen(text), 0, &last.region, &last.args, &last.e);
}

TEST(words)
{
    CHECK_INT(word(&yoke_task_str, "plain \"text\""), 0);
    CHECK(((struct yoke_args_str *)&last.args)->v.len == 12);
    CHECK_INT(word(&yoke_task_cstr, "h\xc3\xa9"), 0);
    CHECK_STR(((struct yoke_args_cstr *)&last.args)->v, "h\xc3\xa9");
    CHECK_INT(word(&yoke_task_str, ""), 0);
    CHECK_INT(word(&yoke_task_str, "a\xff"), 0); /* a file's name, say */
    CHECK(((struct yoke_args_str *)&last.args)->v.len == 2);
    CHECK_INT(yk_json_word(&yoke_task_cstr, 0, "a\0b", 3, 0, &last.region, &last.args, &last.e), -EINVAL);
    CHECK_INT(word(&yoke_task_i32, "42"), 0);
    CHECK_INT(((struct yoke_args_i32 *)&last.args)->v, 42);
    CHECK_INT(word(&yoke_task_i32, "4x"), -EINVAL);
    CHECK_STR(last.e.text, "argument 1 \"v\" of i32: expected integer, got \"4x\"");
    CHECK_INT(word(&yoke_task_i32, ""), -EINVAL);
    CHECK_INT(word(&yoke_task_in, "[1,2]"), 0);
    CHECK_INT(((struct yoke_args_in *)&last.args)->v.shape[0], 2);
    CHECK_INT(word(&yoke_task_json, "[1,2]"), 0);
    CHECK_INT(word(&yoke_task_bytes, "\"aGk=\""), 0);
    CHECK_INT(word(&yoke_task_flag, "true"), 0);
}

/* ---- Memory that runs out ---- */

TEST(memory_that_runs_out_is_a_clean_error)
{
    static const struct {
        const yoke_task *task;
        const char *text;
    } rows[] = {{&yoke_task_two, "[[1,2,3],\"name\"]"},
                {&yoke_task_str, "\"a\\n\""},
                {&yoke_task_bytes, "\"aGk\\/\""},
                {&yoke_task_json, "[{}]"},
                {&yoke_task_out, "5000"},
                {&yoke_task_in, "[{\"shape\":[0],\"base64\":\"\"}]"}};
    for (size_t i = 0; i < YK_COUNT_OF(rows); i++) {
        int n = 0;
        do {
            yk_sys_fail("posix_memalign", ++n, ENOMEM);
            try_text(rows[i].task, rows[i].text, 0);
            CHECK(last.code == 0 || last.code == -ENOMEM);
            if (last.code)
                CHECK_HAS(last.e.text, "out of memory");
        } while (last.code);
        CHECK(n > 1);
        yk_sys_fail("posix_memalign", 0, 0);
    }
    CHECK_INT(word(&yoke_task_str, "x"), 0);
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK_INT(word(&yoke_task_str, "x"), -ENOMEM);
    yk_sys_fail("posix_memalign", 0, 0);
}

/* ---- Python as the judge of what is JSON ---- */

/* Random documents, half of them damaged in one byte; Python says which are JSON. */
static size_t random_text(char *to, int depth)
{
    static const char *const scalars[] = {
        "null", "true", "false", "0", "-1.5e3", "\"\"", "\"a\\u00e9\\n\"", "12345678901234567890", "\"\xc3\xa9\"", " 7 "};
    char *p = to;
    if (depth == 0 || test_random() % 3 == 0) {
        const char *s = scalars[test_random() % YK_COUNT_OF(scalars)];
        memcpy(p, s, strlen(s));
        return strlen(s);
    }
    bool object = test_random() % 2;
    *p++ = object ? '{' : '[';
    for (int n = (int)(test_random() % 4), i = 0; i < n; i++) {
        if (i)
            *p++ = ',';
        if (object)
            p += snprintf(p, 10, "\"k%d\":", i);
        p += random_text(p, depth - 1);
    }
    *p++ = object ? '}' : ']';
    return (size_t)(p - to);
}

TEST_LIMIT(python_accepts_the_same_texts, 300)
{
    static const char program[] =
        "import json,sys\n"
        "for line in sys.stdin.buffer:\n"
        " ours, text = int(line[:1]), bytes.fromhex(line[2:].decode())\n"
        " def no(x): raise ValueError(x)\n"
        " try: json.loads(text.decode(), parse_constant=no); theirs = b\"\\\\u\" not in text or \"ok\"\n"
        " except ValueError: theirs = 0\n"
        " if bool(theirs) != bool(ours): sys.exit(print(ours, theirs, text))\n"
        "print(\"good\")";
    char path[] = "/tmp/yoke-test-XXXXXX", command[2000], answer[300] = "", text[4096];
    if (system("python3 -c 0 2>/dev/null") != 0)
        SKIP("no python3");
    int fd = mkstemp(path);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    CHECK(out);
    for (int i = 0; i < 20000; i++) {
        size_t n = random_text(text, 4);
        if (i % 2)
            text[test_random() % n] = "[]{},:\"0-e. \\\x01\xff"[test_random() % 15];
        fprintf(out, "%d ", yk_json_check(text, n, NULL) == 0);
        for (size_t k = 0; k < n; k++)
            fprintf(out, "%02x", (unsigned char)text[k]);
        fprintf(out, "\n");
    }
    CHECK(fclose(out) == 0);
    snprintf(command, sizeof command, "python3 -c '%s' <%s", program, path);
    FILE *child = popen(command, "r");
    CHECK(child);
    answer[fread(answer, 1, sizeof answer - 1, child)] = '\0';
    pclose(child);
    unlink(path);
    CHECK_STR(answer, "good\n");
}
