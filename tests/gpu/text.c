/* The analysis of bodies, the plans that follow from it, and the texts, which are small enough to be read here. */
#include "gpu/kernel.h"
#include "test.h"
#include <yoke/program.h>

/* ---- Tokens ---- */

static void check_tokens(const char *text, const char *expected)
{
    yk_buf b = {0};
    yk_token t;
    for (const char *p = text; yk_token_read(p, &t), t.kind != YK_TOKEN_END; p = t.at + t.len)
        yk_buf_printf(&b, "%s%c%.*s", b.len ? " " : "", "?nlts"[t.kind], (int)t.len, t.at);
    CHECK_STR(yk_buf_str(&b), expected);
    yk_buf_done(&b);
}

TEST(tokens)
{
    check_tokens("", "");
    check_tokens("  x[i]+=a*0x1Fu;", "nx s[ ni s] s+= na s* l0x1Fu s;");
    check_tokens("y=1.5e-3f-.5+1e5;", "ny s= l1.5e-3f s- l.5 s+ l1e5 s;");
    check_tokens("p->x>>=2;i++<n", "np s-> nx s>>= l2 s; ni s++ s< nn");
    check_tokens("\"a \\\" b\" '\\'' 'x", "t\"a \\\" b\" t'\\'' t'x");
    check_tokens("a.b a...b", "na s. nb na s... nb");
}

/* ---- Analysis ---- */

static const yk_param params[] = {{"x", "float", "n", YK_IN, 4, 0, 0},
                                  {"y", "float", "n", YK_OUT, 4, 0, 8},
                                  {"a", "float", "n", YK_VAL, 4, 0, 16},
                                  {"z", "float", "m", YK_IN, 4, 0, 24}};

/* "x" where x is of elements, and so on; "!" when i changes; in lower case names that are used. */
static void check_analysis(const char *body, const char *expected)
{
    yoke_kernel k = {.name = "k", .nparams = 4, .params = params, .texts = {body}, .form = YK_MAP_KERNEL};
    yk_analysis a;
    yk_buf b = {0};
    yk_analyse_kernel(&k, &a);
    for (unsigned p = 0; p < 4; p++)
        if (a.element[p] && a.used[p])
            yk_buf_text(&b, params[p].name);
    if (a.index_changes)
        yk_buf_text(&b, "!");
    if (strcmp(yk_buf_str(&b), expected) != 0)
        test_fail(__FILE__, __LINE__, "\"%s\": %s, expected %s", body, b.ptr, expected);
    yk_buf_done(&b);
}

TEST(what_is_of_elements)
{
    check_analysis("y[i] = a * x[i];", "xy");
    check_analysis("y [ i ] = x[ i];", "xy");
    check_analysis("y[i] = x[i] + x[i + 1];", "y");
    check_analysis("y[i] = x[n - 1 - i];", "y");
    check_analysis("y[i] = f(x, i);", "y");
    check_analysis("y[i] = *x;", "y");
    check_analysis("y[i] = p.x[3] + p->x + x[i];", "xy");
    check_analysis("y[i] = z[i];", "y"); /* which has not n elements */
    check_analysis("y[i] = x[j];", "y");
    check_analysis("y[i] = x[i][2];", "xy");
    check_analysis("y[i].re = x[i].im;", "xy");
    check_analysis("a;", "");
    check_analysis("y[i] = printf(\"x[j]\") + 'x';", "y");
    check_analysis("float xx = x[i]; y[i] = xx * xa;", "xy");
}

TEST(addresses_of_elements)
{
    check_analysis("yoke_atomic_add(&x[i], 1);", "");
    check_analysis("y[i] = f(1, &x[i]);", "y");
    check_analysis("y[i] = b & x[i];", "xy");
    check_analysis("y[i] = 3 & x[i];", "xy");
    check_analysis("y[i] = f(b) & x[i];", "xy");
    check_analysis("y[i] = b[1] & x[i];", "xy");
    check_analysis("float *p = &x[i]; y[i] = *p;", "y");
    check_analysis("return &x[i]; y[i] = 0;", "y");
    check_analysis("y[i] = c && x[i];", "xy");
    check_analysis("y[i] = ((const float *)&x[i])[1];", "y");
    check_analysis("y[i] = (uintptr_t)&x[i] % 4;", "y");
    check_analysis("yoke_atomic_add(&(y[i]), x[i]);", "x");
    check_analysis("y[i] = f(& ( (x[i])));", "y");
    check_analysis("y[i] = (b + 1) & x[i];", "xy");
    check_analysis("y[i] = (b) & x[i];", "y"); /* b may be a type */
    check_analysis("y[&(i) != 0] = 1;", "!");
}

TEST(an_index_that_changes)
{
    check_analysis("i++; y[i] = x[i];", "!");
    check_analysis("y[i] = x[i]; --i;", "!");
    check_analysis("i = 3; y[i] = x[i];", "!");
    check_analysis("i += 3; y[i] = x[i];", "!");
    check_analysis("if (i == 3) y[i] = x[i];", "xy");
    check_analysis("if (i <= 3) y[i] = x[i];", "xy");
    check_analysis("for (int i = 0; i < 3; i++) y[i] = x[i];", "!");
    check_analysis("int i; y[0] = x[0];", "!");
    check_analysis("int j, i; y[0] = x[0];", "!");
    check_analysis("int j, i, k; y[0] = x[0];", "!");
    check_analysis("f(&i); y[i] = x[i];", "!");
    check_analysis("y[i] = f(j, i) + f(j, i, k) + x[i];", "xy");
    check_analysis("y[i] = p.i + p->i + x[i]; p.i = 3;", "xy");
    check_analysis("y[i] = (float)i + x[i];", "xy");
    check_analysis("y[i] = sizeof i + x[i];", "xy");
}

/* ---- Statements ---- */

static void check_break(const char *body, bool strays)
{
    const unsigned forms[] = {YK_MAP_KERNEL, YK_GROUP_KERNEL, YK_SCAN_KERNEL};
    for (size_t f = 0; f < YK_COUNT_OF(forms); f++) {
        yoke_kernel k = {.name = "k", .form = forms[f]};
        k.texts[forms[f] == YK_SCAN_KERNEL ? 3 : 0] = body;
        if (yk_break_strays(&k) != strays)
            test_fail(__FILE__, __LINE__, "\"%s\": %s", body, strays ? "its break is not found" : "it has no such break");
    }
}

TEST(a_break_that_strays)
{
    check_break("break;", true);
    check_break("if (x[i] < 0) break; y[i] = 1;", true);
    check_break("if (x[i] < 0) { y[i] = 1; } else break;", true);
    check_break("for (int j = 0; j < 3; j++) y[i] += j; if (y[i] > 1) { break; }", true);
    check_break("do y[i]++; while (y[i] < 3); { { break; } }", true);
    check_break("switch (j) { case 0: break; default: y[i] = 1; } break;", true);
    check_break("for (;;) YOKE_ITEMS(l) { if (l > 3) break; }", true);
    check_break("YOKE_ITEMS(l) { while (l < s[l]) { break; } break; }", true);
    check_break("const struct p q = {1, 2}; break;", true);
    check_break("(f(1)); if (a) for (;;) break; else break;", true);
}

TEST(a_break_of_a_loop_of_its_own)
{
    check_break("", false);
    check_break("y[i] = tiebreak;", false);
    check_break("printf(\"break;\");", false);
    check_break("for (int j = 0; j < 3; j++) if (x[j] < 0) break; y[i] = 1;", false);
    check_break("for (int j = 0; j < 3; j++) if (x[j] < 0) y[j] = 1; else break;", false);
    check_break("for (int j = 0; j < 3; j++) { if (x[j] < 0) { y[j] = (1); } else if (x[j] > 1) { break; } }", false);
    check_break("do { if (x[i] < 3) break; } while (x[i] > 0);", false);
    check_break("while (1) break;", false);
    check_break("switch (j) case 1: break;", false);
    check_break("switch (j) { case 1: y[i] = c ? a : b; break; case 2: { break; } default: break; case 3: }", false);
    check_break("YOKE_ITEMS(l) { for (;;) { if (s[l]) break; } } for (;;) { YOKE_ITEMS(l) { s[l] = 1; } break; }", false);
    check_break("EACH(j) { break; } y[i] = 1;", false); /* a macro may be a loop */
    check_break(") } ] ( break", false);
}

/* ---- Plans ---- */

YOKE_KERNEL(copy_f32, ((in, float, x), (out, float, y)), y[i] = x[i];)
YOKE_KERNEL(triad_f64, ((in, double, x), (in, double, y), (out, double, z)), z[i] = x[i] + 3 * y[i];)
YOKE_KERNEL(bytes, ((in, unsigned char, x), (out, unsigned char, y)), y[i] = x[i];)
YOKE_KERNEL(widen, ((in, unsigned char, x), (out, double, y)), y[i] = x[i];)
YOKE_KERNEL(filled, ((out, float, y)), y[i] = 1;)
YOKE_KERNEL(scattered, ((in, int, to), (inout, float, y)), y[to[i]] = 2;)
YOKE_KERNEL(nothing_of_elements, ((inout, float, y, 2 * n)), y[2 * i] = 2;)
struct three { float x, y, z; };
YOKE_REDUCTION(float, all_of, (0), a + b, x[i], ((in, float, x)));
YOKE_KERNEL(threes, ((inout, struct three, p)), p[i].x = 1;)

static const yk_machine cuda = {.is_cuda = true, .is_gpu = true, .units = 132}, cpu = {.units = 4},
                       gpu = {.is_gpu = true, .units = 60};

static void check_plan(const yoke_kernel *k, unsigned items, unsigned run, unsigned vectors)
{
    yk_plan p;
    unsigned found = 0;
    yk_plan_make(k, &cuda, &p);
    for (unsigned i = 0; i < k->nparams; i++)
        found += p.vector[i];
    if (p.items != items || p.run != run || found != vectors || p.vectors != (vectors > 0) || p.group != 256)
        test_fail(__FILE__, __LINE__, "%s: %u items in runs of %u, %u vectors", k->name, p.items, p.run, found);
}

TEST(plans)
{
    check_plan(&yoke_kernel_copy_f32, 4, 4, 2);
    check_plan(&yoke_kernel_triad_f64, 2, 2, 3);
    check_plan(&yoke_kernel_bytes, 16, 16, 2);
    check_plan(&yoke_kernel_widen, 16, 8, 2);
    check_plan(&yoke_kernel_filled, 4, 4, 1);
    check_plan(&yoke_kernel_scattered, 4, 4, 1);
    check_plan(&yoke_kernel_nothing_of_elements, 4, 1, 0);
    check_plan(&yoke_kernel_threes, 4, 1, 0);
    check_plan(&yoke_kernel_all_of, 8, 4, 1); /* more, for its loop takes block after block */
    yk_plan p;
    yk_plan_make(&yoke_kernel_copy_f32, &cpu, &p);
    CHECK_INT(p.group, 1);
    CHECK(!p.vectors);
    yk_plan_make(&yoke_kernel_copy_f32, &gpu, &p);
    CHECK_INT(p.group, 256);
    CHECK_INT(p.items, 4);
    CHECK(!p.vectors);
}

static void check_takes_long(const char *body, bool expected, bool loops)
{
    yoke_kernel k = {.name = "k", .nparams = 4, .params = params, .texts = {body}, .form = YK_MAP_KERNEL};
    yk_analysis a;
    yk_analyse_kernel(&k, &a);
    if (a.takes_long != expected || a.loops != loops)
        test_fail(__FILE__, __LINE__, "\"%s\": takes_long %d, loops %d", body, a.takes_long, a.loops);
}

TEST(bodies_that_take_long)
{
    check_takes_long("y[i] = a * x[i];", false, false);
    check_takes_long("y[i] = (float)(x[i]) + (a);", false, false);
    check_takes_long("if (x[i] > 0) y[i] = a; else (void)0;", false, false);
    check_takes_long("switch (i) { case (1): y[i] = a; }", false, false);
    check_takes_long("y[i] = sqrt(fabs(x[i])) + fmaxf(a, yoke_lesser(x[i], 1.0f));", false, false);
    check_takes_long("y[i] = sizeof(float) + p.exp + p->exp(1);", false, false);
    check_takes_long("y[i] = exp(x[i]) + expf(a) + erf(a) + fmaf(a, a, a) + yoke_popcount(3);", true, false);
    check_takes_long("y[i] = mine(x[i]);", true, true);
    check_takes_long("for (int k = 0; k < 9; k++) y[i] += x[i];", true, true);
    check_takes_long("while (a) a--;", true, true);
    check_takes_long("do a--; while (a);", true, true);
}

/* ---- Texts ---- */

static char *text_of(const yoke_kernel *k, const yk_machine *t)
{
    yk_buf b = {0};
    yk_text_write(k, t, &b);
    yk_buf_str(&b);
    CHECK(!b.failed);
    return b.ptr;
}

static void check_text(const yoke_kernel *k, const yk_machine *t, const char *part)
{
    char *text = text_of(k, t);
    if (!strstr(text, part))
        test_fail(__FILE__, __LINE__, "%s lacks \"%s\":\n%s", k->name, part,
                  strstr(text, "kernel_") ? strstr(text, "kernel_") : text);
    free(text);
}

static void check_lacks(const yoke_kernel *k, const yk_machine *t, const char *part)
{
    char *text = text_of(k, t);
    if (strstr(text, part))
        test_fail(__FILE__, __LINE__, "%s has \"%s\"", k->name, part);
    free(text);
}

TEST(vectors_in_cuda)
{
    const yoke_kernel *k = &yoke_kernel_copy_f32;
    check_text(k, &cuda,
               "extern \"C\" __global__ void __launch_bounds__(256) kernel_copy_f32(const long yk_begin, "
               "const long yk_end, "
               "const long n, const float *__restrict__ x, float *__restrict__ y)");
    check_text(k, &cuda, "union { float e[4]; uint4 v[1]; } yk_r_x;");
    check_text(k, &cuda, "yk_r_x.v[yk_r * 1 + yk_w] = ((const uint4 *)(x + yk_at + yk_r * 1024))[yk_w];");
    check_text(k, &cuda, "((uint4 *)(y + yk_at + yk_r * 1024))[yk_w] = yk_r_y.v[yk_r * 1 + yk_w];");
    check_text(k, &cuda, "yk_r_y.e[yk_k] = yk_r_x.e[yk_k];");
    check_text(k, &cuda, "y[i] = x[i];");                          /* the last block */
    check_lacks(k, &cuda, "yk_r_y.v[yk_r * 1 + yk_w] = ((const"); /* what is only written is not read */
    check_lacks(k, &cuda, "((uint4 *)(x");
    check_text(&yoke_kernel_widen, &cuda, "union { unsigned char e[16]; uint2 v[2]; } yk_r_x;");
    check_text(&yoke_kernel_widen, &cuda, "union { double e[16]; uint4 v[8]; } yk_r_y;");
    check_text(&yoke_kernel_scattered, &cuda, "y[yk_r_to.e[yk_k]] = 2;");
}

TEST(a_stretch_in_opencl)
{
    const yoke_kernel *k = &yoke_kernel_copy_f32;
    check_text(k, &cpu, "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void kernel_copy_f32(const long yk_begin, "
                        "const long yk_end, const long n, __global const float *restrict yk_base_x, const ulong yk_at_x, "
                        "__global float *restrict yk_base_y, const ulong yk_at_y)");
    check_text(k, &cpu,
               "__global const float *restrict x = (__global const float *)((__global const char *)yk_base_x "
               "+ yk_at_x);");
    check_text(k, &cpu, "for (long i = yk_first; i < yk_last; i++) {");
    check_text(k, &gpu, "reqd_work_group_size(256, 1, 1)");
    check_text(k, &gpu, "#pragma OPENCL FP_CONTRACT OFF");
    check_lacks(k, &cpu, "YK_PAST");
}

/* What the caches do not hold; the copy touches 8 bytes for each element. */
TEST(past_the_caches_in_opencl)
{
    const yoke_kernel *k = &yoke_kernel_copy_f32;
    const yk_machine large = {.units = 4, .cached = 32 << 20};
    check_text(k, &large, "if (yk_end - yk_begin > 4194304 && ((0 | (ulong)(y + yk_first)) % 64 == 0)) {");
    check_text(k, &large, "union { float e[128]; uint4 v[32]; } yk_r_y;");
    check_text(k, &large, "yk_r_y.e[yk_k] = x[i];");
    check_text(k, &large, "YK_PAST(yk_r_y.v[yk_w], ((__global uint4 *)(y + yk_first))[yk_w]);");
    check_text(k, &large, "y[i] = x[i];"); /* the rest */
    check_lacks(&yoke_kernel_scattered, &large, "YK_PAST");
    check_lacks(&yoke_kernel_threes, &large, "YK_PAST");
}

YOKE_DEVICE_CODE(enum { FIRST_OF_TWO = 1 };)
YOKE_DEVICE_CODE(YOKE_FN int second_of_two(int x) { return x + FIRST_OF_TWO; })
YOKE_KERNEL(uses_both, ((val, bool, yes), (val, size_t, size), (inout, int, y)),
            long long v = second_of_two(y[i]); y[i] = yes ? (int)(v + (unsigned long long)size) : printf("\\\"x\n");)
YOKE_DEVICE_CODE(YOKE_FN int too_late(void) { return 0; })
YOKE_KERNEL(atomic, ((inout, int, y)), yoke_atomic_add(&y[0], 1);)

TEST(device_code_that_stands_before)
{
    char *text = text_of(&yoke_kernel_uses_both, &cpu), *first = strstr(text, "FIRST_OF_TWO = 1"),
         *second = strstr(text, "second_of_two(int");
    CHECK(first && second && first < second && second < strstr(text, "__kernel __attribute__"));
    CHECK(!strstr(text, "too_late"));
    free(text);
    check_text(&yoke_kernel_atomic, &cpu, "too_late");
    check_lacks(&yoke_kernel_copy_f32, &cpu, "FIRST_OF_TWO");
    CHECK(!yk_device_code_after(&yoke_kernel_copy_f32, NULL));
    const yk_device_code *one = yk_device_code_after(&yoke_kernel_uses_both, NULL);
    const yk_device_code *two = one ? yk_device_code_after(&yoke_kernel_uses_both, one) : NULL;
    CHECK(two && two->number > one->number);
    CHECK(!yk_device_code_after(&yoke_kernel_uses_both, two));
}

TEST(types_and_words)
{
    check_text(&yoke_kernel_uses_both, &cpu, "const uchar yes, const ulong size, __global int *restrict yk_base_y");
    check_text(&yoke_kernel_uses_both, &cpu,
               "long v = second_of_two(y[i]); y[i] = yes ? (int)(v + (unsigned long)size) : "
               "printf(\"\\\\\\\"x\\n\");");
    check_text(&yoke_kernel_uses_both, &cuda, "long long v = second_of_two(yk_r_y.e[yk_k]);");
    check_lacks(&yoke_kernel_copy_f32, &cpu, "YK_ATOMICS(atomic, int)");
    check_text(&yoke_kernel_atomic, &cpu, "YK_ATOMICS(atomic, int)");
    check_lacks(&yoke_kernel_copy_f32, &cuda, "atomicAdd");
    check_text(&yoke_kernel_atomic, &cuda, "atomicAdd");
}

TEST(places_in_the_users_file)
{
    yk_buf b = {0};
    yk_text_line(&b, 12, "C:\\odd \"name\".c");
    CHECK_STR(yk_buf_str(&b), "\n#line 12 \"C:\\\\odd \\\"name\\\".c\"\n");
    yk_buf_done(&b);
    char line[300];
    snprintf(line, sizeof line, "#line %u \"%s\"\nyk_r_y.e[yk_k] = 1;", yoke_kernel_filled.line, __FILE__);
    check_text(&yoke_kernel_filled, &cuda, line);
}

YOKE_REDUCTION(double, dot, (0), a + b, x[i] * y[i], ((in, double, x), (in, double, y)));
YOKE_PROGRAM(
    grouped, 96, ((inout, int, y)), YOKE_SHARED(int, s, 96);
    YOKE_ITEMS(l) { s[l] = y[l]; } YOKE_ITEMS(l) { y[l] = s[95 - l]; })

TEST(other_forms)
{
    check_text(&yoke_kernel_dot, &cuda, "yk_r_x.e[yk_k] * yk_r_y.e[yk_k]");
    check_text(&yoke_kernel_dot, &cuda, "typedef double yk_type;");
    check_text(
        &yoke_kernel_dot, &cuda,
        "void __launch_bounds__(256) last_dot(const long yk_count, const yk_type *__restrict__ yk_from");
    check_text(&yoke_kernel_dot, &cpu, "yk_sums[16]");
    check_text(&yoke_kernel_grouped, &cuda, "__launch_bounds__(96) kernel_grouped(const long groups, int *__restrict__ y)");
    check_text(&yoke_kernel_grouped, &cuda, "#define YOKE_SHARED(T, NAME, COUNT) __shared__ T NAME[COUNT]");
    check_text(&yoke_kernel_grouped, &cpu, "#define YOKE_ITEMS(l) for (long l = 0; l < 96; l++)");
    check_text(&yoke_kernel_grouped, &gpu, "reqd_work_group_size(96, 1, 1)");
}

TEST(no_memory_for_a_text)
{
    for (int n = 1; n < 8; n++) {
        yk_buf b = {0};
        yk_sys_fail("realloc", n, ENOMEM);
        yk_text_write(&yoke_kernel_dot, &cuda, &b);
        yk_sys_fail("realloc", 0, 0);
        CHECK(b.failed || strstr(yk_buf_str(&b), "last_dot"));
        yk_buf_done(&b);
    }
}
