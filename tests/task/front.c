/* The macros of yoke/task.h: what they put into the descriptor, and that its functions work. No executor is needed. */
#include "task/signature.h"
#include "test.h"
#include <limits.h>

typedef struct point {
    int x, y;
    double weight;
} point;

YOKE_TASK(double, integrate, (double, a, "lower bound"), (double, b, "upper bound", 1.5), (long, n, "steps", 1000))
{
    return a + b * (double)n;
}

static int nothing_calls;
YOKE_TASK(void, nothing)
{
    nothing_calls++;
}

YOKE_TASK(int, seven)
{
    return 7;
}

static char scalar_text[200];
YOKE_TASK(void, scalars, (bool, b), (char, c), (signed char, sc), (short, s), (int, i), (long, l), (long long, ll),
          (unsigned char, uc), (unsigned short, us), (unsigned, u), (unsigned long, ul), (unsigned long long,
              ull), (float, f),
          (double, d), (size_t, z), (int64_t, last))
{
    snprintf(scalar_text, sizeof scalar_text, "%d %d %d %d %d %ld %lld %u %u %u %lu %llu %g %g %zu %lld", b,
        c, sc, s, i, l, ll,
             uc, us, u, ul, ull, (double)f, d, z, (long long)last);
}

YOKE_TASK(size_t, pointing, (const char *, c, "", "abc"), (yoke_str, s), (yoke_bytes, b), (yoke_json, j))
{
    return strlen(c) + s.len + b.len + j.len;
}

YOKE_TASK(double, views, (yoke_in_f64, in), (yoke_out_i32, out), (yoke_inout_u8, both))
{
    out.ptr[0] = (int)in.shape[0];
    both.ptr[0]++;
    return in.ptr[in.shape[0] - 1];
}

YOKE_TASK(point, mirror, (point, p, "a point", ((point){1, 2, 3})), (struct point, q))
{
    return (point){p.y + q.y, p.x + q.x, -p.weight};
}

YOKE_TASK(const char *, echo, (const char *, text, "", NULL))
{
    return text ? text : "none";
}

YOKE_TASK_DECL(long, shared_sum, (long, a), (long, b));
YOKE_TASK_IMPL(long, shared_sum, (long, a, "first"), (long, b, "second", 40 + 2))
{
    return a + b;
}

/* Names that ran together while the checks named task and parameter without a word between them. */
YOKE_TASK(int, run, (int, on_c)) { return on_c; }
YOKE_TASK(int, run_on, (int, c)) { return c; }

static void check_param(const yoke_task *t, unsigned i, const char *name, const char *type, unsigned code,
    size_t offset, size_t size)
{
    const yoke_param *p = &t->params[i];
    CHECK_STR(p->name, name);
    CHECK_STR(p->type, type);
    CHECK_INT(p->code, code);
    CHECK_INT(p->offset, offset);
    CHECK_INT(p->size, size);
}

TEST(descriptor_tells_what_was_written)
{
    const yoke_task *t = &yoke_task_integrate;
    CHECK_INT(t->abi, YOKE_ABI);
    CHECK_STR(t->name, "integrate");
    CHECK_STR(t->ret, "double");
    CHECK_HAS(t->file, "front.c");
    CHECK(t->line > 5 && t->line < 30);
    CHECK_INT(t->ret_code, YOKE_F64);
    CHECK_INT(t->ret_size, 8);
    CHECK_INT(t->nparams, 3);
    CHECK_INT(t->args_size, sizeof(struct yoke_args_integrate));
    check_param(t, 0, "a", "double", YOKE_F64, 0, 8);
    check_param(t, 2, "n", "long", YOKE_I64, offsetof(struct yoke_args_integrate, n), sizeof(long));
    CHECK_STR(t->params[1].doc, "upper bound");
    CHECK_INT(t->params[0].has_default, 0);
    CHECK_INT(t->params[1].has_default, 1);
    CHECK(t->info != NULL);
}

TEST(the_function_is_an_ordinary_one)
{
    double (*f)(double, double, long) = integrate;
    CHECK_NEAR(f(1, 2, 3), 7, 0);
    CHECK_INT(seven(), 7);
    CHECK_INT(run(1) + run_on(2), 3);
}

TEST(defaults_are_set_and_the_rest_is_zero)
{
    struct yoke_args_integrate args;
    memset(&args, 0xff, sizeof args);
    yoke_task_integrate.defaults(&args);
    CHECK_NEAR(args.a, 0, 0);
    CHECK_NEAR(args.b, 1.5, 0);
    CHECK_INT(args.n, 1000);
    double ret;
    yoke_task_integrate.call(&args, &ret);
    CHECK_NEAR(ret, 1500, 0);
}

TEST(tasks_without_parameters)
{
    CHECK_INT(yoke_task_nothing.nparams, 0);
    CHECK_INT(yoke_task_nothing.args_size, 0);
    CHECK_INT(yoke_task_nothing.ret_code, YOKE_VOID);
    CHECK_INT(yoke_task_nothing.ret_size, 0);
    yoke_task_nothing.call("", NULL);
    CHECK_INT(nothing_calls, 1);
    int ret = 0;
    yoke_task_seven.call(NULL, &ret);
    CHECK_INT(ret, 7);
}

TEST(sixteen_scalars_of_every_type)
{
    static const unsigned codes[] = {YOKE_BOOL, CHAR_MIN < 0 ? YOKE_I8 : YOKE_U8, YOKE_I8, YOKE_I16,
        YOKE_I32, YOKE_I64, YOKE_I64,
        YOKE_U8, YOKE_U16, YOKE_U32, YOKE_U64, YOKE_U64, YOKE_F32, YOKE_F64, YOKE_U64, YOKE_I64};
    const yoke_task *t = &yoke_task_scalars;
    CHECK_INT(t->nparams, 16);
    size_t end = 0;
    for (unsigned i = 0; i < 16; i++) {
        CHECK_INT(t->params[i].code, codes[i]);
        CHECK_INT(t->params[i].size, yk_code_size(codes[i]));
        CHECK(t->params[i].offset >= end && t->params[i].offset % t->params[i].size == 0);
        end = t->params[i].offset + t->params[i].size;
    }
    CHECK(end <= t->args_size);
    struct yoke_args_scalars args = {true, 'a', -128, -32768, INT_MIN, LONG_MIN, LLONG_MAX, 255, 65535,
        UINT_MAX, ULONG_MAX,
        ULLONG_MAX, 0.5f, 0.25, SIZE_MAX, INT64_MIN};
    t->call(&args, NULL);
    CHECK_STR(scalar_text, "1 97 -128 -32768 -2147483648 -9223372036854775808 9223372036854775807 255 65535 4294967295 "
                           "18446744073709551615 18446744073709551615 0.5 0.25 18446744073709551615 -9223372036854775808");
}

TEST(text_bytes_and_json)
{
    struct yoke_args_pointing args;
    yoke_task_pointing.defaults(&args);
    CHECK_STR(args.c, "abc");
    CHECK(args.s.ptr == NULL && args.b.len == 0);
    args.s = (yoke_str){"1234", 4};
    args.j = (yoke_json){"{}", 2};
    size_t ret = 0;
    yoke_task_pointing.call(&args, &ret);
    CHECK_INT(ret, 9);
    for (unsigned i = 0; i < 4; i++)
        CHECK_INT(yoke_task_pointing.params[i].code, YOKE_CSTR + i);
    struct yoke_args_echo none;
    yoke_task_echo.defaults(&none);
    const char *text = NULL;
    yoke_task_echo.call(&none, &text);
    CHECK_STR(text, "none");
}

TEST(views_carry_their_direction)
{
    double in[3] = {1, 2, 4.5};
    int32_t out[1] = {0};
    uint8_t both[1] = {9};
    struct yoke_args_views args = {yoke_1d(yoke_in_f64, in, 3), yoke_1d(yoke_out_i32, out, 1),
        yoke_1d(yoke_inout_u8, both, 1)};
    double ret = 0;
    yoke_task_views.call(&args, &ret);
    CHECK_NEAR(ret, 4.5, 0);
    CHECK_INT(out[0], 3);
    CHECK_INT(both[0], 10);
    CHECK_INT(yoke_task_views.params[0].code, YOKE_F64 | YOKE_IN);
    CHECK_INT(yoke_task_views.params[1].code, YOKE_I32 | YOKE_OUT);
    CHECK_INT(yoke_task_views.params[2].code, YOKE_U8 | YOKE_IN | YOKE_OUT);
}

TEST(every_view_type_has_its_code)
{
#define CHECK_VIEW(suffix, c)                                                                                          \
    CHECK_INT(YK_CODE(yoke_in_##suffix), (c) | YOKE_IN);                                                               \
    CHECK_INT(YK_CODE(yoke_out_##suffix), (c) | YOKE_OUT);                                                             \
    CHECK_INT(YK_CODE(yoke_inout_##suffix), (c) | YOKE_IN | YOKE_OUT)
    CHECK_VIEW(i8, YOKE_I8);
    CHECK_VIEW(i16, YOKE_I16);
    CHECK_VIEW(i32, YOKE_I32);
    CHECK_VIEW(i64, YOKE_I64);
    CHECK_VIEW(u8, YOKE_U8);
    CHECK_VIEW(u16, YOKE_U16);
    CHECK_VIEW(u32, YOKE_U32);
    CHECK_VIEW(u64, YOKE_U64);
    CHECK_VIEW(f32, YOKE_F32);
    CHECK_VIEW(f64, YOKE_F64);
    CHECK_INT(YK_CODE(union { int a; }), YOKE_STRUCT);
    CHECK_INT(YK_CODE(int *), YOKE_POINTER);
    CHECK_INT(YK_CODE(int[3]), YOKE_POINTER);
    CHECK_INT(YK_CODE(char *), YOKE_POINTER);
}

TEST(structs_go_by_value)
{
    struct yoke_args_mirror args;
    yoke_task_mirror.defaults(&args);
    CHECK_INT(args.p.y, 2);
    CHECK_INT(args.q.x, 0);
    args.q = (point){10, 20, 0};
    point ret;
    yoke_task_mirror.call(&args, &ret);
    CHECK_INT(ret.x, 22);
    CHECK_INT(ret.y, 11);
    CHECK_NEAR(ret.weight, -3, 0);
    CHECK_INT(yoke_task_mirror.ret_code, YOKE_STRUCT);
    CHECK_INT(yoke_task_mirror.ret_size, sizeof(point));
    CHECK(yoke_task_mirror.info->has_struct && !yoke_task_mirror.info->args_point);
}

TEST(docs_and_defaults_of_an_impl)
{
    struct yoke_args_shared_sum args;
    yoke_task_shared_sum.defaults(&args);
    CHECK_INT(args.b, 42);
    CHECK_STR(yoke_task_shared_sum.params[0].doc, "first");
}

TEST(signatures)
{
    CHECK_STR(yoke_signature(&yoke_task_integrate), "integrate(a: f64, b: f64?, n: i64?) -> f64");
    CHECK_STR(yoke_signature(&yoke_task_nothing), "nothing() -> void");
    CHECK_STR(yoke_signature(&yoke_task_views), "views(in: f64[] in, out: i32[] out, both: u8[] inout) -> f64");
    CHECK_STR(yoke_signature(&yoke_task_pointing), "pointing(c: cstr?, s: str, b: bytes, j: json) -> u64");
    CHECK_STR(yoke_signature(&yoke_task_mirror), "mirror(p: struct point/16?, q: struct point/16) -> struct point/16");
}

TEST(hashes_do_not_change_between_releases)
{
    /* FNV-1a test values of RFC 9923 and its authors: "", "a", "foobar". */
    CHECK(yk_fnv1a("", 0) == 0xcbf29ce484222325u);
    CHECK(yk_fnv1a("a", 1) == 0xaf63dc4c8601ec8cu);
    CHECK(yk_fnv1a("foobar", 6) == 0x85944171f73967e8u);
    CHECK(yoke_signature_hash(&yoke_task_nothing) == yk_fnv1a("nothing() -> void", 17));
    CHECK(yoke_signature_hash(&yoke_task_run) != yoke_signature_hash(&yoke_task_run_on));
}

TEST(names_and_sizes_of_codes)
{
    static const char *const names[] = {"void", "bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64",
        "f32", "f64", "cstr",
        "str", "bytes", "json", "struct"};
    static const unsigned char sizes[] = {0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        CHECK_STR(yk_code_name(i), names[i]);
        CHECK_INT(yk_code_size(i), i < sizeof sizes ? sizes[i] : 0);
    }
    CHECK_STR(yk_code_name(YOKE_F32 | YOKE_OUT), "f32[] out");
    CHECK_STR(yk_code_name(0xffff), "unknown");
    CHECK_INT(yk_code_size(0xffff), 0);
}
