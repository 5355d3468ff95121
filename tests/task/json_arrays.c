/* JSON arrays as arguments: nested and in base64, what is no rectangle, the shapes of out views. */
#include "json_try.h"
#include <math.h>

YOKE_TASK(void, in, (yoke_in_f64, v))
{
}
YOKE_TASK(void, in_u8, (yoke_in_u8, v))
{
}
YOKE_TASK(void, in_f32, (yoke_in_f32, v))
{
}
YOKE_TASK(void, inout, (yoke_inout_i16, v))
{
}
YOKE_TASK(void, out, (yoke_out_i32, v))
{
}

/* ---- Views ---- */

static void is_view(const void *view, size_t ndim, size_t a, size_t b, size_t c)
{
    yk_any_view v;
    memcpy(&v, view, sizeof v);
    if (last.code != 0)
        test_fail(__FILE__, __LINE__, "%s", last.e.text);
    CHECK_INT(v.ndim, ndim);
    CHECK(v.ptr);
    CHECK(ndim < 1 || v.shape[0] == a);
    CHECK(ndim < 2 || v.shape[1] == b);
    CHECK(ndim < 3 || v.shape[2] == c);
    CHECK(yk_view_is_contiguous(&v));
}

TEST(nested_arrays)
{
    is_view(&READ(in, "[1,2.5]")->v, 1, 2, 0, 0); /* an array of no arrays can be nothing but the one view */
    is_view(&READ(in, " [ ] ")->v, 1, 0, 0, 0);
    yoke_in_f64 v = READ(in, "[[1,2.5,-3e0]]")->v;
    is_view(&v, 1, 3, 0, 0);
    CHECK(v.ptr[0] == 1 && v.ptr[1] == 2.5 && v.ptr[2] == -3);
    v = READ(in, "[ [ [ 1 , 2 ] , [ 3 , 4 ] , [5,6] ] ]")->v;
    is_view(&v, 2, 3, 2, 0);
    CHECK(v.step[0] == 2 && v.step[1] == 1 && v.ptr[5] == 6);
    is_view(&READ(in, "[[]]")->v, 1, 0, 0, 0);
    is_view(&READ(in, "[[[]]]")->v, 2, 1, 0, 0);
    is_view(&READ(in, "[[[],[],[]]]")->v, 2, 3, 0, 0);
    is_view(&READ(in, "[[[[1]],[[2]]]]")->v, 3, 2, 1, 1);
    is_view(&READ(in, "[[[[[1]]]]]")->v, 4, 1, 1, 1);
    yoke_in_u8 u = READ(in_u8, "[[0,255]]")->v;
    CHECK(last.code == 0 && u.ptr[1] == 255);
    yoke_inout_i16 s = READ(inout, "[[-32768,0]]")->v;
    CHECK(last.code == 0 && s.ptr[0] == -32768 && s.ptr[1] == 0);
    yoke_in_f32 f = READ_FLAGS(in_f32, "[[0.1,\"NaN\",\"-Infinity\"]]", YOKE_JSON_NONFINITE)->v;
    CHECK(last.code == 0 && f.ptr[0] == 0.1f && isnan(f.ptr[1]) && f.ptr[2] == -INFINITY);
    f = READ_FLAGS(in_f32, "[2,\"NaN\"]", YOKE_JSON_NONFINITE)->v;
    CHECK(last.code == 0 && f.ptr[0] == 2 && isnan(f.ptr[1]));
    f = READ_FLAGS(in_f32, "[\"NaN\",2]", YOKE_JSON_NONFINITE)->v;
    CHECK(last.code == 0 && f.shape[0] == 2 && isnan(f.ptr[0]) && f.ptr[1] == 2);
}

TEST(nested_arrays_that_are_wrong)
{
    REFUSED(in, "[[[1,2],[3]]]", -EINVAL,
            "argument 1 \"v\" of in: not rectangular: an array of 1 where one of 2 came before, at byte 9");
    REFUSED(in, "[[[1],[]]]", -EINVAL,
            "argument 1 \"v\" of in: not rectangular: an array of 0 where one of 1 came before, at byte 7");
    REFUSED(in, "[[[],[1]]]", -EINVAL,
            "argument 1 \"v\" of in: not rectangular: an array of 1 where one of 0 came before, at byte 6");
    REFUSED(in, "[[[[1],[2]],[[3]]]]", -EINVAL,
            "argument 1 \"v\" of in: not rectangular: an array of 1 where one of 2 came before, at byte 13");
    REFUSED(in, "[[1,[2]]]", -EINVAL, "argument 1 \"v\" of in: expected number, got an array at byte 5");
    REFUSED(in, "[[[1],2]]", -EINVAL, "argument 1 \"v\" of in: expected array, got 2 at byte 7");
    REFUSED(in, "[[[[[[1]]]]]]", -EINVAL, "argument 1 \"v\" of in: an array of more than 4 dimensions at byte 2");
    REFUSED(in, "[[1,2", -EINVAL, "argument 1 \"v\" of in: expected ',' or ']', got the end of the text at byte 6");
    REFUSED(in, "[[1,2,]]", -EINVAL, "argument 1 \"v\" of in: expected number, got ']' at byte 7");
    REFUSED(in, "[[1,\"x\"]]", -EINVAL, "argument 1 \"v\" of in: expected number, got \"x\" at byte 5");
    REFUSED(in, "[[1,null]]", -EINVAL, "argument 1 \"v\" of in: expected number, got null at byte 5");
    REFUSED(in_u8, "[[1,2,256]]", -ERANGE, "argument 1 \"v\" of in_u8: 256 does not fit u8 (0 to 255) at byte 7");
    REFUSED(in, "[\"x\"]", -EINVAL, "argument 1 \"v\" of in: expected array, got \"x\" at byte 2");
    /* Brackets in strings deceive the counting of elements, but nothing is written beyond what was counted. */
    REFUSED(in, "[[\"]\",1,2,3,4,5,6,7,8,9]]", -EINVAL, "argument 1 \"v\" of in: expected number, got \"]\" at byte 3");
    refused_at(__FILE__, __LINE__, &yoke_task_in, "[[1,\"]]]]]]]]]]\",2,3]]", YOKE_JSON_NONFINITE, -EINVAL,
               "argument 1 \"v\" of in: expected number, \"NaN\", \"Infinity\" or \"-Infinity\", got \"]]]]]]]]]]\" at byte 5");
}

TEST(arrays_in_base64)
{
    yoke_in_f64 v = READ(in, "{\"v\":{\"shape\":[2],\"base64\":\"AAAAAAAA8D8AAAAAAAAAQA==\"}}")->v;
    is_view(&v, 1, 2, 0, 0);
    CHECK(v.ptr[0] == 1 && v.ptr[1] == 2 && (uintptr_t)v.ptr % 8 == 0);
    is_view(&READ(in, "[{ \"base64\" : \"AAAAAAAA8D8AAAAAAAAAQA==\" , \"shape\" : [ 2 , 1 ] }]")->v, 2, 2, 1, 0);
    is_view(&READ(in, "[{\"base64\":\"\",\"shape\":[0,18446744073709551615]}]")->v, 2, 0, SIZE_MAX, 0);
    is_view(&READ(in, "[{\"base64\":\"AAAAAAAA8D8=\",\"shape\":[]}]")->v, 0, 0, 0, 0);
    REFUSED(in, "[{}]", -EINVAL, "argument 1 \"v\" of in: expected \"shape\" or \"base64\", got '}' at byte 3");
    REFUSED(in, "[{\"shape\":[1]}]", -EINVAL, "argument 1 \"v\" of in: an array in base64 lacks its \"base64\" at byte 2");
    REFUSED(in, "[{\"base64\":\"\"}]", -EINVAL, "argument 1 \"v\" of in: an array in base64 lacks its \"shape\" at byte 2");
    REFUSED(in, "[{\"shape\":[1],\"shape\":[1]}]", -EINVAL, "argument 1 \"v\" of in: \"shape\" given twice at byte 15");
    REFUSED(in, "[{\"data\":[1]}]", -EINVAL, "argument 1 \"v\" of in: expected \"shape\" or \"base64\", got \"data\" at byte 3");
    REFUSED(in, "[{\"shape\":[1],\"base64\":\"AAAA\"}]", -EINVAL,
            "argument 1 \"v\" of in: 3 bytes of base64 where the shape asks for 8 at byte 24");
    REFUSED(in, "[{\"shape\":1,\"base64\":\"\"}]", -EINVAL,
            "argument 1 \"v\" of in: expected array of lengths, got 1 at byte 11");
    REFUSED(in, "[{\"shape\":[-1],\"base64\":\"\"}]", -ERANGE,
            "argument 1 \"v\" of in: -1 does not fit u64 (0 to 18446744073709551615) at byte 12");
    REFUSED(in, "[{\"shape\":[1,1,1,1,1],\"base64\":\"\"}]", -EINVAL,
            "argument 1 \"v\" of in: a shape of more than 4 dimensions at byte 20");
    REFUSED(in, "[{\"shape\":[4294967296,4294967296],\"base64\":\"\"}]", -EMSGSIZE,
            "argument 1 \"v\" of in: an array of more than 1073741824 bytes at byte 11");
    REFUSED(in, "[{\"shape\":[1],\"base64\":5}]", -EINVAL,
            "argument 1 \"v\" of in: expected string in base64, got 5 at byte 24");
    REFUSED(in, "[{\"shape\":[1],\"base64\":\"A?==\"}]", -EINVAL,
            "argument 1 \"v\" of in: not base64 (with padding) at byte 26");
    REFUSED(in, "[{\"shape\":[1]", -EINVAL, "argument 1 \"v\" of in: expected ',' or '}', got the end of the text at byte 14");
}

TEST(out_views_are_shapes)
{
    yoke_out_i32 v = READ(out, "[3]")->v;
    is_view(&v, 1, 3, 0, 0);
    CHECK(v.ptr[0] == 0 && v.ptr[2] == 0);
    is_view(&READ(out, "[[3]]")->v, 1, 3, 0, 0);
    v = READ(out, "[[2,3]]")->v;
    is_view(&v, 2, 2, 3, 0);
    CHECK(v.step[0] == 3);
    is_view(&READ(out, "[[]]")->v, 0, 0, 0, 0);
    is_view(&READ(out, "0")->v, 1, 0, 0, 0);
    is_view(&READ(out, "[[0,18446744073709551615]]")->v, 2, 0, SIZE_MAX, 0);
    v = READ(out, "{\"v\":[70,100]}")->v; /* large enough for memory of its own */
    is_view(&v, 2, 70, 100, 0);
    for (int i = 0; i < 7000; i++)
        CHECK_INT(v.ptr[i], 0);
    is_view(&READ(out, "[2,3]")->v, 2, 2, 3, 0); /* can be nothing but the shape */
    is_view(&READ(out, "[]")->v, 0, 0, 0, 0);
    REFUSED(out, "[[2],[2]]", -EINVAL,
            "arguments of out: too many, it takes 1 (an array that is one argument is written [[...]]) at byte 6");
    REFUSED(out, "[-1]", -ERANGE, "argument 1 \"v\" of out: -1 does not fit u64 (0 to 18446744073709551615) at byte 2");
    REFUSED(out, "[1.5]", -EINVAL, "argument 1 \"v\" of out: expected integer, got 1.5 at byte 2");
    REFUSED(out, "[\"3\"]", -EINVAL,
            "argument 1 \"v\" of out: expected shape (a length, or an array of lengths), got \"3\" at byte 2");
    REFUSED(out, "[268435457]", -EMSGSIZE, "argument 1 \"v\" of out: an array of more than 1073741824 bytes at byte 1");
    REFUSED(out, "[[18446744073709551615,2]]", -EMSGSIZE,
            "argument 1 \"v\" of out: an array of more than 1073741824 bytes at byte 2");
    REFUSED(out, "[[1,1,1,1,1]]", -EINVAL, "argument 1 \"v\" of out: a shape of more than 4 dimensions at byte 11");
}

TEST(large_arrays_of_every_row_length)
{
    for (size_t columns = 1; columns < 40; columns += 3) {
        yk_buf b = {0};
        size_t rows = 1 + (size_t)(test_random() % 60), n = 0;
        yk_buf_text(&b, "[[");
        for (size_t i = 0; i < rows; i++) {
            yk_buf_text(&b, i ? ",\n [" : "[");
            for (size_t k = 0; k < columns; k++) {
                yk_buf_text(&b, k ? test_random() % 2 ? "," : " , " : "");
                yk_json_u64(&b, n++ % 256);
            }
            yk_buf_char(&b, ']');
        }
        yk_buf_text(&b, "]]");
        try_bytes(&yoke_task_in_u8, b.ptr, b.len, 0);
        yoke_in_u8 v = ((struct yoke_args_in_u8 *)&last.args)->v;
        is_view(&v, 2, rows, columns, 0);
        for (size_t i = 0; i < n; i++)
            CHECK_INT(v.ptr[i], i % 256);
        yk_buf_done(&b);
    }
}
