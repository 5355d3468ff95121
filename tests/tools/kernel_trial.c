/* What `yoke kernel check` makes up for a kernel: what is in its types, how long its arrays are, which values are in them, and
 * memory that tells who leaves it. */
#include "test.h"
#include "tools/kernel_check.h"
#include <signal.h>
#include <yoke/program.h>
#include <yoke/scan_kernel.h>

YOKE_DEVICE_CODE(
    typedef float real;
    typedef struct pair { int key; real weights[2], last; } pair;
    struct mixed { char c; double d; unsigned char b; };
    struct outer { struct mixed m; pair p[2]; };
    typedef struct { short a; } unnamed;
    struct strange { int bits : 3; };
    union either { int i; float f; };
    struct lost { union either e; };
    typedef int number;
    enum { K = 3, UNKNOWN = K + 1 };
    struct sums { long x[K]; number count[2]; };
    struct others { long x[UNKNOWN]; };
)

YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
YOKE_KERNEL(with_counts, ((val, long, m), (in, int8_t, x, m), (val, uint8_t, u), (out, int, y, 2 * m + 1), (in, bool, b)),
            if (i < m) y[i] = x[i] * u + b[i];)
YOKE_KERNEL(square, ((val, int, side), (out, float, y, (size_t)side * side)), if (i < side) y[i] = 0;)
YOKE_KERNEL(divided, ((val, int, d), (out, float, y, n / d)), if (i < n / d) y[i] = 1;)
YOKE_KERNEL(structs, ((in, struct outer, x), (val, pair, p), (out, double, y)), y[i] = x[i].m.d + p.last;)
YOKE_KERNEL(unknown, ((in, struct strange, x), (out, int, y)), y[i] = x[i].bits;)
YOKE_KERNEL(endless, ((out, double, y, n << 40)), y[i] = 1;)
YOKE_PROGRAM(groups_of, 64, ((val, long, m), (in, float, x, m), (out, float, y, groups)),
             YOKE_ITEMS(l) { if (l == 0) y[group] = x[0]; })
YOKE_PROGRAM(silent, 64, ((in, float, x), (out, float, y, groups)), YOKE_ITEMS(l) { if (l == 0) y[group] = x[group * 64]; })
YOKE_REDUCTION(double, total, (0), a + b, x[i], ((in, float, x)));

/* ---- Types ---- */

static void check_layout(const char *type, unsigned size, const char *expected)
{
    yk_layout l;
    yk_buf b = {0};
    CHECK(yk_layout_find(&yoke_kernel_structs, type, size, &l));
    for (unsigned i = 0; i < l.n; i++)
        yk_buf_printf(&b, "%s%s@%u:%u", i ? " " : "", l.pieces[i].name, l.pieces[i].offset, l.pieces[i].code);
    CHECK_STR(yk_buf_str(&b), expected);
    yk_buf_done(&b);
}

TEST(types_of_c)
{
    check_layout("float", 4, "@0:10");
    check_layout("const unsigned char", 1, "@0:6");
    check_layout("unsigned  long\tlong", 8, "@0:9");
    check_layout("_Bool", 1, "@0:1");
    check_layout("size_t", 8, "@0:9");
    check_layout("real", 4, "@0:10");
}

TEST(structs_of_device_code)
{
    check_layout("pair", sizeof(pair), ".key@0:4 .weights[0]@4:10 .weights[1]@8:10 .last@12:10");
    check_layout("struct pair", sizeof(pair), ".key@0:4 .weights[0]@4:10 .weights[1]@8:10 .last@12:10");
    check_layout("struct mixed", sizeof(struct mixed), ".c@0:2 .d@8:11 .b@16:6");
    check_layout("struct sums", sizeof(struct sums), ".x[0]@0:5 .x[1]@8:5 .x[2]@16:5 .count[0]@24:4 .count[1]@28:4");
    check_layout("unnamed", sizeof(unnamed), ".a@0:3");
    check_layout("struct outer", sizeof(struct outer),
                 ".m.c@0:2 .m.d@8:11 .m.b@16:6 .p[0].key@24:4 .p[0].weights[0]@28:10 .p[0].weights[1]@32:10 .p[0].last@36:10 "
                 ".p[1].key@40:4 .p[1].weights[0]@44:10 .p[1].weights[1]@48:10 .p[1].last@52:10");
}

TEST(types_that_are_not_known)
{
    static const char *const types[] = {
        "struct strange", "struct lost", "union either", "struct nowhere", "", "struct others", "long double", "pai"};
    yk_layout l;
    for (size_t i = 0; i < YK_COUNT_OF(types); i++)
        if (yk_layout_find(&yoke_kernel_structs, types[i], 4, &l))
            test_fail(__FILE__, __LINE__, "\"%s\" has %u numbers", types[i], l.n);
    CHECK(!yk_layout_find(&yoke_kernel_structs, "pair", sizeof(pair) + 4, &l)); /* not what the compiler made of it */
    CHECK(!yk_layout_find(&yoke_kernel_axpy, "float", 8, &l));
}

/* ---- Lengths ---- */

static yk_trial made(yoke_kernel *k, long n, yk_sort sort)
{
    yk_error e = {0};
    yk_trial t = {.k = k, .n = n, .sort = sort, .seed = 1};
    if (yk_trial_make(&t, &e) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", k->name, e.text);
    return t;
}

static void refuse(yoke_kernel *k, int code, const char *why)
{
    yk_error e = {0};
    yk_trial t = {.k = k, .n = 17, .seed = 1};
    CHECK_INT(yk_trial_make(&t, &e), code);
    CHECK_HAS(e.text, why);
    yk_trial_done(&t);
}

TEST(arrays_are_as_long_as_the_kernel_says)
{
    yk_trial t = made(&yoke_kernel_axpy, 17, YK_ANY);
    CHECK_INT(t.counts[1], 17);
    CHECK_INT(t.counts[2], 17);
    yk_trial_done(&t);
    t = made(&yoke_kernel_with_counts, 1000, YK_ANY);
    CHECK_INT(*(long *)(void *)(t.args + t.k->params[0].at), 1000);
    CHECK_INT(t.counts[1], 1000);
    CHECK_INT(t.counts[3], 2001);
    yk_trial_done(&t);
    t = made(&yoke_kernel_groups_of, 3, YK_ANY);
    CHECK_INT(t.counts[1], 192); /* the items of all groups */
    CHECK_INT(t.counts[2], 3);
    CHECK(yk_trial_says_count(&t, 1));
    yk_trial_done(&t);
    t = made(&yoke_kernel_silent, 3, YK_ANY); /* says nothing of x */
    CHECK_INT(t.counts[0], 192);
    CHECK_INT(t.counts[1], 3);
    CHECK(!yk_trial_says_count(&t, 0) && yk_trial_says_count(&t, 1));
    yk_trial_done(&t);
}

TEST(what_would_be_too_long_is_shorter)
{
    yk_trial t = made(&yoke_kernel_square, 4097, YK_ANY);
    CHECK_INT(t.counts[1], 1024 * 1024);
    yk_trial_done(&t);
    refuse(&yoke_kernel_endless, -E2BIG, "32 MiB");
    refuse(&yoke_kernel_unknown, -ENOTSUP, "what is in struct strange, the type of x, is not known");
    for (int sort = YK_ANY; sort < YK_SORTS; sort++) { /* never divided by zero: d is a length itself */
        t = made(&yoke_kernel_divided, 17, (yk_sort)sort);
        CHECK_INT(t.counts[1], 1);
        yk_trial_done(&t);
    }
}

/* ---- Values ---- */

TEST(any_values_have_all_kinds)
{
    yk_trial t = made(&yoke_kernel_axpy, 4097, YK_ANY);
    const float *x = (const float *)(const void *)t.first[1];
    unsigned zeros = 0, negative = 0, fractions = 0, thousandths = 0;
    for (size_t i = 0; i < 4097; i++) {
        CHECK(x[i] >= -10 && x[i] <= 10);
        zeros += x[i] == 0;
        negative += x[i] < 0;
        fractions += x[i] != floorf(x[i]);
        thousandths += x[i] * 4 != floorf(x[i] * 4);
    }
    CHECK(zeros > 10 && negative > 1000 && fractions > 1000 && thousandths > 1000);
    CHECK(memcmp(t.first[1], t.first[2], 4097 * 4) != 0);
    yk_trial_done(&t);
    t = made(&yoke_kernel_total, 4097, YK_ANY);
    x = (const float *)(const void *)t.first[0];
    for (size_t i = 0; i < 4097; i++)
        CHECK(x[i] * 4 == floorf(x[i] * 4) && fabsf(x[i]) <= 4); /* sums of these are exact */
    yk_trial_done(&t);
}

TEST(places_are_smaller_than_arrays)
{
    yk_trial t = made(&yoke_kernel_with_counts, 17, YK_PLACES);
    const int8_t *x = (const int8_t *)t.first[1];
    bool differ = false;
    for (size_t i = 0; i < 17; i++) {
        CHECK(x[i] >= 0 && x[i] < 17);
        CHECK(t.first[4][i] == 0 || t.first[4][i] == 1);
        differ |= x[i] != x[0];
    }
    CHECK(differ);
    uint8_t u = *(uint8_t *)(t.args + t.k->params[2].at);
    CHECK(u >= 1 && u < 17);
    yk_trial_done(&t);
    t = made(&yoke_kernel_with_counts, 4097, YK_PLACES);
    for (size_t i = 0; i < 4097; i++)
        CHECK(t.first[1][i] >= 0);
    yk_trial_done(&t);
}

TEST(zeros_and_ones)
{
    for (int sort = YK_ZEROS; sort <= YK_ONES; sort++) {
        yk_trial t = made(&yoke_kernel_with_counts, 17, (yk_sort)sort);
        for (size_t i = 0; i < 17; i++)
            CHECK_INT(t.first[1][i], 0);
        CHECK_INT(*(uint8_t *)(t.args + t.k->params[2].at), sort == YK_ONES);
        CHECK_INT(*(long *)(void *)(t.args + t.k->params[0].at), 17);
        yk_trial_done(&t);
    }
}

TEST(values_follow_from_the_seed)
{
    yk_trial a = made(&yoke_kernel_axpy, 100, YK_ANY), b = made(&yoke_kernel_axpy, 100, YK_ANY);
    yk_trial c = {.k = &yoke_kernel_axpy, .n = 100, .seed = 2};
    CHECK_INT(yk_trial_make(&c, NULL), 0);
    CHECK(memcmp(a.first[1], b.first[1], 400) == 0);
    CHECK(memcmp(a.first[1], c.first[1], 400) != 0);
    CHECK(memcmp(a.args + a.k->params[0].at, b.args + b.k->params[0].at, 4) == 0);
    yk_trial_done(&a);
    yk_trial_done(&b);
    yk_trial_done(&c);
}

TEST(want_of_memory_is_told)
{
    static const char *const calls[] = {"calloc", "mmap"};
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++) {
        int err = -1, n = 1;
        for (; err < 0 && n < 20; n++) {
            yk_error e = {0};
            yk_trial t = {.k = &yoke_kernel_axpy, .n = 17, .seed = 1};
            yk_sys_fail(calls[i], n, ENOMEM);
            err = yk_trial_make(&t, &e);
            yk_sys_fail(calls[i], 0, 0);
            if (err < 0) {
                CHECK_INT(err, -ENOMEM);
                CHECK_HAS(e.text, "no memory");
            }
            yk_trial_done(&t);
        }
        CHECK(err == 0 && n > 3);
    }
}

TEST(numbers_are_written_as_people_do)
{
    const int8_t a = -3;
    const uint8_t b = 200;
    const int64_t c = INT64_MIN;
    const float d = 0.1f;
    const double e = 0.1;
    const bool f = true;
    yk_buf to = {0};
    yk_put_number(&to, YOKE_I8, &a);
    yk_buf_char(&to, ' ');
    yk_put_number(&to, YOKE_U8, &b);
    yk_buf_char(&to, ' ');
    yk_put_number(&to, YOKE_I64, &c);
    yk_buf_char(&to, ' ');
    yk_put_number(&to, YOKE_F32, &d);
    yk_buf_char(&to, ' ');
    yk_put_number(&to, YOKE_F64, &e);
    yk_buf_char(&to, ' ');
    yk_put_number(&to, YOKE_BOOL, &f);
    CHECK_STR(yk_buf_str(&to), "-3 200 -9223372036854775808 0.100000001 0.10000000000000001 1");
    yk_buf_done(&to);
}

/* ---- Places ---- */

enum { SPREAD_OUT_LINE = __LINE__ + 10 };

/* The line, counted from the first of the kernel's, of the first token that begins with `at` in its text. */
static unsigned line_of(yoke_kernel *k, const char *at)
{
    const char *found = strstr(k->texts[0], at);
    CHECK(found);
    return yk_place_find(k, (unsigned)(found - k->texts[0]) + 1) - SPREAD_OUT_LINE;
}

YOKE_KERNEL(spread_out, /* y[i] = 1; */ ((in, float, x), (out, float, y)),
            y[i] = 1; /* y[i] = 2; */
            /* y[i] = 3;
             */
            y[i] = 4;
            if (i > 0)
                y[i] = x
                    [i];)

TEST(places_in_the_file)
{
    yoke_kernel k = yoke_kernel_spread_out;
    char path[5000];
    snprintf(path, sizeof path, "%s/tests/tools/kernel_trial.c", test_source());
    k.file = path;
    CHECK_INT(line_of(&k, "y[i] = 1"), 1);
    CHECK_INT(line_of(&k, "1;"), 1);
    CHECK_INT(line_of(&k, "y[i] = 4"), 4);
    CHECK_INT(line_of(&k, "if"), 5);
    CHECK_INT(line_of(&k, "y[i] = x"), 6);
    CHECK_INT(line_of(&k, "[i];"), strstr(k.texts[0], "[i];") == strstr(k.texts[0], "x [i];") + 2 ? 7 : 99);
    CHECK_INT(yk_place_find(&k, 0), k.line);
    CHECK_INT(yk_place_find(&k, 100000), k.line);
    k.texts[0] = "y[i] = 5;"; /* the file has changed */
    CHECK_INT(yk_place_find(&k, 1), k.line);
    k.file = "/nonexistent.c";
    CHECK_INT(yk_place_find(&k, 1), k.line);
}

/* ---- Memory that tells who leaves it ---- */

static void write_at(void *arg)
{
    *(volatile char *)arg = 1;
}

TEST(leaving_an_array_is_caught)
{
    yk_guarded g;
    CHECK_INT(yk_guard_make(&g, 100), 0);
    yk_fault f = yk_guard_call(write_at, g.base + 100);
    CHECK_INT(f.signal, SIGSEGV);
    CHECK(f.address == g.base + 100 && yk_guard_has(&g, f.address));
    CHECK_INT(yk_guard_call(write_at, g.base + 99).signal, 0);
    CHECK(!yk_guard_stray(&g));
    CHECK_INT(yk_guard_call(write_at, g.base - 1).signal, 0); /* there is room, and a trace of it */
    CHECK(yk_guard_stray(&g) == g.base - 1);
    yk_guard_place(&g, false);
    CHECK(!yk_guard_stray(&g));
    CHECK_INT(yk_guard_call(write_at, g.base - 1).signal, SIGSEGV);
    CHECK_INT(yk_guard_call(write_at, g.base + 100).signal, 0);
    CHECK(yk_guard_stray(&g) == g.base + 100);
    CHECK(!yk_guard_has(&g, (char *)&g));
    yk_guard_done(&g);
    yk_guard_done(&g);
}

static __attribute__((no_sanitize("undefined"))) void divide(void *arg)
{
    volatile int *p = arg;
    *p = 7 / *p;
}

static void stop(void *arg)
{
    abort();
}

static __attribute__((noinline)) long deeper(volatile char *p, long depth)
{
    volatile char here[4096];
    here[0] = p[0];
    return depth < 0 ? 0 : deeper(here, depth + 1) + here[0];
}

static void dive(void *arg)
{
    char c = 0;
    deeper(&c, 0);
}

TEST(other_ends_are_caught)
{
    const char *sanitizer = getenv("YOKE_SANITIZE");
    int zero = 0, two = 2;
#ifdef __x86_64__
    CHECK_INT(yk_guard_call(divide, &zero).signal, SIGFPE);
#endif
    CHECK_INT(yk_guard_call(divide, &two).signal, 0);
    CHECK_INT(two, 3);
    CHECK_INT(yk_guard_call(stop, NULL).signal, SIGABRT);
    if (!sanitizer || strcmp(sanitizer, "none") == 0)
        CHECK_INT(yk_guard_call(dive, NULL).signal, SIGSEGV); /* on a stack of its own */
}
