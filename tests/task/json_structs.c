/* Structs where JSON is expected: no JSON gives one, and every message says what to do instead. */
#include "json_try.h"

typedef struct point {
    int x, y;
} point;
struct tag {
    int x;
};

YOKE_TASK(void, structs, (point, p), (int, n, "", 3))
{
}
YOKE_TASK(void, optional, (point, p, "", ((point){1, 2})), (int, n, "", 3), (int, m, "", 4))
{
}
YOKE_TASK(void, lonely, (point, p, "", ((point){1, 2})))
{
}
YOKE_TASK(point, moved, (int, n), (point, p, "", ((point){1, 2})))
{
    return (point){p.x + n, p.y};
}
YOKE_TASK(void, late, (point, o, "", ((point){1, 2})), (struct tag, q))
{
}

#define FROM_C(task, name, type)                                                                                       \
    "a struct has no JSON form (give it from C: yoke_kw_submit(ex, " task ", " name " = ((" type "){...})), or let "   \
    "the task take its members as arguments)"

/* Whatever a user may have meant as the struct, or have left out, the answer is the same: where to give it. */
TEST(a_struct_that_must_be_given)
{
    static const struct {
        const char *text;
        unsigned byte;
    } calls[] = {{"{\"x\":1,\"y\":2}", 2}, {"[{\"x\":1,\"y\":2}]", 2}, {"{\"p\":{}}", 6}, {"{\"n\":1}", 7}, {"[]", 2},
                 {"5", 1},                 {"[1,-2147483649]", 2},     {"{}", 2},          {"[[1,2],3]", 2}};
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++) {
        char text[400];
        snprintf(text, sizeof text, "argument 1 \"p\" of structs: " FROM_C("structs", "p", "point") " at byte %u", calls[i].byte);
        REFUSED(structs, calls[i].text, -ENOTSUP, text);
    }
    REFUSED(late, "[{\"x\":1}]", -ENOTSUP,
            "argument 2 \"q\" of late: " FROM_C("late", "q", "struct tag") " at byte 2"); /* leaving out o would not do */
    REFUSED(late, "{}", -ENOTSUP, "argument 2 \"q\" of late: " FROM_C("late", "q", "struct tag") " at byte 2");
}

TEST(a_struct_with_a_default_is_left_out)
{
    struct yoke_args_optional *a = READ(optional, "{\"n\":5}");
    CHECK(last.code == 0 && a->p.x == 1 && a->p.y == 2 && a->n == 5 && a->m == 4);
    CHECK(READ(lonely, "{}")->p.y == 2 && last.code == 0);
    CHECK(READ(lonely, "[]")->p.y == 2 && last.code == 0);
    REFUSED(optional, "[{\"x\":1},5]", -ENOTSUP,
            "argument 1 \"p\" of optional: a struct has no JSON form (leave it out, it has a default, as in {\"n\":...,...}) at "
            "byte 2");
    REFUSED(lonely, "{\"p\":{}}", -ENOTSUP,
            "argument 1 \"p\" of lonely: a struct has no JSON form (leave it out, it has a default, as in {}) at byte 6");
    REFUSED(optional, "{\"x\":1}", -EINVAL,
            "arguments of optional: got \"x\", an argument it does not have (the members of a struct cannot be given) at byte 2");
}

TEST(a_struct_as_a_word)
{
    yk_error e = {0};
    struct yoke_args_optional args;
    static const char *const words[] = {"", "{\"x\":1}", "5", "[", "{}"};
    for (size_t i = 0; i < YK_COUNT_OF(words); i++) {
        CHECK_INT(yk_json_word(&yoke_task_optional, 0, words[i], strlen(words[i]), 0, NULL, &args, &e), -ENOTSUP);
        CHECK_STR(e.text, "argument 1 \"p\" of optional: a struct has no JSON form (leave it out, it has a default, as in n=... "
                          "...) at byte 1");
    }
    CHECK_INT(yk_json_word(&yoke_task_lonely, 0, "5", 1, 0, NULL, &args, &e), -ENOTSUP);
    CHECK_STR(e.text, "argument 1 \"p\" of lonely: a struct has no JSON form (leave it out, it has a default) at byte 1");
}

/* Before any call: what no JSON could change. */
TEST(a_task_that_json_can_call)
{
    yk_error e = {0};
    CHECK_INT(yk_json_callable(&yoke_task_optional, &e), 0);
    CHECK_INT(yk_json_callable(&yoke_task_lonely, &e), 0);
    CHECK_STR(e.text, "");
    CHECK_INT(yk_json_callable(&yoke_task_late, &e), -ENOTSUP);
    CHECK_STR(e.text, "argument 2 \"q\" of late: " FROM_C("late", "q", "struct tag"));
    CHECK_INT(yk_json_callable(&yoke_task_moved, &e), -ENOTSUP);
    CHECK_STR(e.text, "result of moved: a struct has no JSON form (let the task return yoke_json, a view or text)");
}

/* A text of fixed size: names of any length are cut, never written past it. */
TEST(a_struct_hint_that_does_not_fit)
{
    char small[24], whole[400];
    CHECK_INT(yk_json_struct_hint(&yoke_task_late, 0, false, whole, sizeof whole), 1);
    CHECK_INT(yk_json_struct_hint(&yoke_task_late, 0, false, small, sizeof small), 1);
    CHECK(strlen(small) == sizeof small - 1 && strncmp(small, whole, sizeof small - 1) == 0);
    CHECK_STR(whole, FROM_C("late", "q", "struct tag"));
    CHECK_INT(yk_json_struct_hint(&yoke_task_lonely, 0, true, small, sizeof small), 0);
}
