/* Running kernels in several ways, and what counts as the same: bits of integers, ulps of floats, what depends on an order. */
#include "test.h"
#include "tools/kernel_check.h"
#include <yoke/program.h>
#include <yoke/scan_kernel.h>

YOKE_DEVICE_CODE(
    typedef struct pair { int key; float value; } pair;
    YOKE_FN float twice(float x) { return x + x; }
    YOKE_FN float third(float x) { return x / 3; }
)
YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * twice(x[i]);)
YOKE_KERNEL(sines, ((in, float, x), (out, float, y)), y[i] = sin(x[i]);)
YOKE_KERNEL(counted, ((in, uint8_t, x), (inout, int, bins, 256)), yoke_atomic_add(&bins[x[i]], 1);)
YOKE_KERNEL(packed, ((in, float, x), (inout, int, at, 1), (out, float, y)),
            if (x[i] > 0) y[yoke_atomic_add(&at[0], 1)] = x[i];)
YOKE_KERNEL(swapped, ((inout, int, x)), if (i == 0) { yoke_atomic_swap(&x[0], 3); })
YOKE_KERNEL(quick, ((in, float, x), (out, float, y)), y[i] = yoke_fast_sin(x[i]);)
YOKE_KERNEL(raced, ((in, int, x), (inout, int, y, 1)), y[0] = x[i];)
YOKE_KERNEL(shifted, ((in, int, x), (out, int, y)), y[i + 1] = x[i];)
YOKE_KERNEL(before, ((in, float, x), (out, float, y)), y[i - 1] = x[i];)
YOKE_KERNEL(gathered, ((in, int, at), (in, float, x), (out, float, y)), y[i] = x[at[i]];)
YOKE_KERNEL(remainders, ((val, int, d), (in, int, x), (out, int, y)), y[i] = x[i] % (d & 0x4000);)
YOKE_KERNEL(wide, ((in, float, x), (out, double, y)), y[i] = exp(x[i]);)
YOKE_KERNEL(pairs, ((inout, pair, p)), p[i].key += 1; p[i].value *= 2;)
YOKE_KERNEL(nans, ((in, float, x), (out, float, y)), y[i] = x[i] - x[i] > 1 ? 0 : NAN;)
YOKE_REDUCTION(float, total, (0), a + b, x[i], ((in, float, x)));
YOKE_REDUCTION(int, minus, (0), 2 * a + b, x[i], ((in, int, x)));
YOKE_SCAN_KERNEL(int, running, (0), a + b, x[i], ((in, int, x), (out, int, y)), y[i] = item;)
YOKE_PROGRAM(reversed, 64, ((in, int, x, groups * 64), (out, int, y, groups * 64)), YOKE_SHARED(int, s, 64);
             YOKE_ITEMS(l) { s[l] = x[group * 64 + l]; } YOKE_ITEMS(l) { y[group * 64 + l] = s[63 - l]; })

/* ---- What a text tells ---- */

static void check_habits(yoke_kernel *k, bool exact, bool fast, const char *order)
{
    yk_habits h;
    yk_habits_find(k, &h);
    CHECK_INT(h.fast, fast);
    if (h.exact != exact)
        test_fail(__FILE__, __LINE__, "%s: exact is %d", k->name, h.exact);
    if (order)
        CHECK(h.order && strncmp(h.order, order, strlen(order)) == 0);
    else
        CHECK(!h.order);
}

TEST(habits)
{
    yk_habits h;
    /* The division in the device code counts for every kernel of the file: nobody knows who calls it. */
    check_habits(&yoke_kernel_axpy, false, false, NULL);
    check_habits(&yoke_kernel_counted, false, false, NULL);
    check_habits(&yoke_kernel_packed, false, false, "yoke_atomic_add");
    check_habits(&yoke_kernel_swapped, false, false, "yoke_atomic_swap");
    check_habits(&yoke_kernel_quick, false, true, NULL);
    yoke_kernel alone = yoke_kernel_axpy;
    alone.number = 0; /* before any device code */
    alone.texts[0] = "if (x[i] > 0) y[i] = fabs(a) * fma(x[i], a, (float)(i)) + fmin(x[i], 2.0f) - sizeof(a);";
    check_habits(&alone, true, false, NULL);
    static const char *const rounded[] = {"y[i] = x[i] / a;", "y[i] = sqrt(x[i]);", "y[i] /= a;", "y[i] = pow(x[i], a);",
                                          "yoke_atomic_addf(&y[0], x[i]);", "y[i] = twice(x[i]);"};
    for (size_t i = 0; i < YK_COUNT_OF(rounded); i++) {
        alone.texts[0] = rounded[i];
        check_habits(&alone, false, false, NULL);
    }
    yk_habits_find(&yoke_kernel_total, &h);
    CHECK(!h.exact); /* sums depend on their order */
}

/* ---- Ways on the CPU ---- */

typedef struct tried {
    yk_trial t;
    yk_outcome *ways[YK_WAYS], *other;
} tried;

static tried make(yoke_kernel *k, long n, yk_sort sort)
{
    tried r = {.t = {.k = k, .n = n, .sort = sort, .seed = 1}};
    yk_error e = {0};
    if (yk_trial_make(&r.t, &e) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", k->name, e.text);
    for (int way = 0; way < YK_WAYS; way++)
        r.ways[way] = yk_outcome_new(&r.t);
    r.other = yk_outcome_new(&r.t);
    return r;
}

static tried ran(yoke_kernel *k, long n, yk_sort sort)
{
    tried r = make(k, n, sort);
    yk_buf why = {0};
    for (int way = 0; way < YK_WAYS; way++)
        if (yk_run_on_cpu(&r.t, (yk_way)way, r.ways[way], &why) != 0)
            test_fail(__FILE__, __LINE__, "%s: %s", k->name, yk_buf_str(&why));
    CHECK_INT(yk_run_on_cpu(&r.t, YK_WHOLE, r.other, &why), 0);
    return r;
}

static void done(tried *r)
{
    for (int way = 0; way < YK_WAYS; way++)
        yk_outcome_free(r->ways[way]);
    yk_outcome_free(r->other);
    yk_trial_done(&r->t);
}

static void falls(yoke_kernel *k, yk_sort sort, yk_way way, const char *expected)
{
    tried r = make(k, 17, sort);
    yk_buf why = {0};
    CHECK_INT(yk_run_on_cpu(&r.t, way, r.other, &why), 1);
    CHECK_STR(yk_buf_str(&why), expected);
    yk_buf_done(&why);
    done(&r);
}

static bool differs(const tried *r, const yk_outcome *other, uint64_t ulp, yk_buf *why)
{
    return yk_differs(&r->t, r->ways, other, &(yk_habits){.exact = false}, ulp, why);
}

TEST(each_way_gives_the_same)
{
    yoke_kernel *const all[] = {&yoke_kernel_axpy, &yoke_kernel_sines, &yoke_kernel_pairs, &yoke_kernel_total,
                                &yoke_kernel_running, &yoke_kernel_nans, &yoke_kernel_reversed};
    static const long sizes[] = {1, 17, 64, 1000};
    for (size_t i = 0; i < YK_COUNT_OF(all); i++)
        for (size_t j = 0; j < YK_COUNT_OF(sizes); j++) {
            tried r = ran(all[i], sizes[j], YK_ANY);
            yk_buf why = {0};
            if (yk_differs_by_order(&r.t, r.ways, &why) || differs(&r, r.other, 0, &why))
                test_fail(__FILE__, __LINE__, "%s: %s", all[i]->name, yk_buf_str(&why));
            yk_buf_done(&why);
            done(&r);
        }
    tried r = ran(&yoke_kernel_counted, 1000, YK_PLACES);
    CHECK(!yk_differs_by_order(&r.t, r.ways, NULL));
    done(&r);
}

TEST(answers_are_right)
{
    tried r = ran(&yoke_kernel_running, 1000, YK_ANY);
    const int *x = (const int *)(const void *)r.t.first[0];
    for (int way = 0, sum = 0; way < YK_WAYS; way++, sum = 0)
        for (size_t i = 0; i < 1000; i++) {
            sum += x[i];
            CHECK_INT(((int *)(void *)r.ways[way]->arrays[1])[i], sum);
        }
    done(&r);
    r = ran(&yoke_kernel_total, 1000, YK_ANY);
    float sum = 0;
    for (size_t i = 0; i < 1000; i++)
        sum += ((const float *)(const void *)r.t.first[0])[i];
    for (int way = 0; way < YK_WAYS; way++)
        CHECK(*(float *)(void *)r.ways[way]->result == sum);
    done(&r);
}

TEST(who_leaves_its_arrays_is_told)
{
    falls(&yoke_kernel_shifted, YK_ANY, YK_WHOLE, "y[17] is out of bounds: it has 17 elements (n)");
    falls(&yoke_kernel_shifted, YK_ANY, YK_BLOCKS, "y[17] is out of bounds: it has 17 elements (n)"); /* by the trace it leaves */
    falls(&yoke_kernel_before, YK_ANY, YK_WHOLE, "y[-1] is out of bounds: it has 17 elements (n)");
    falls(&yoke_kernel_before, YK_ANY, YK_BLOCKS, "y[-1] is out of bounds: it has 17 elements (n)");
#ifdef __x86_64__
    const char *sanitizer = getenv("YOKE_SANITIZE"); /* which would tell of it, too */
    if (!sanitizer || strcmp(sanitizer, "none") == 0)
        falls(&yoke_kernel_remainders, YK_ANY, YK_WHOLE, "divides by zero");
#endif
    tried r = make(&yoke_kernel_gathered, 1000, YK_ANY);
    yk_buf why = {0};
    CHECK_INT(yk_run_on_cpu(&r.t, YK_SINGLY, r.other, &why), 1); /* indices from -50 on */
    CHECK_HAS(yk_buf_str(&why), "x[-");
    done(&r);
    r = make(&yoke_kernel_gathered, 1000, YK_PLACES);
    CHECK_INT(yk_run_on_cpu(&r.t, YK_SINGLY, r.other, &why), 0);
    done(&r);
    yk_buf_done(&why);
}

TEST(what_depends_on_the_order_is_told)
{
    tried r = ran(&yoke_kernel_raced, 17, YK_ANY);
    yk_buf why = {0};
    const int *x = (const int *)(const void *)r.t.first[0];
    char expected[200];
    CHECK(yk_differs_by_order(&r.t, r.ways, &why));
    snprintf(expected, sizeof expected, "y[0] depends on the order in which elements are done: it is %d or %d", x[16], x[0]);
    CHECK_STR(yk_buf_str(&why), expected);
    done(&r);
    why.len = 0;
    r = ran(&yoke_kernel_minus, 17, YK_ANY);
    CHECK(yk_differs_by_order(&r.t, r.ways, &why));
    CHECK_HAS(yk_buf_str(&why), "the result depends on the order");
    yk_buf_done(&why);
    done(&r);
}

/* ---- Differences ---- */

/* Element e of y moved by so many ulp. */
static void move(tried *r, unsigned array, size_t e, int32_t ulp)
{
    ((int32_t *)(void *)r->other->arrays[array])[e] += ulp;
}

TEST(floats_differ_by_ulps)
{
    tried r = ran(&yoke_kernel_axpy, 17, YK_PLACES);
    yk_buf why = {0};
    move(&r, 2, 5, 3);
    CHECK(!differs(&r, r.other, 3, &why));
    CHECK(differs(&r, r.other, 2, &why));
    CHECK_HAS(yk_buf_str(&why), "y[5] is ");
    CHECK_HAS(yk_buf_str(&why), ", and on the CPU ");
    CHECK_HAS(yk_buf_str(&why), ": 3 ulp apart, 2 allowed (a = ");
    CHECK_HAS(yk_buf_str(&why), ", x[5] = ");
    CHECK_HAS(yk_buf_str(&why), ", y[5] before = ");
    move(&r, 2, 9, 4);
    why.len = 0;
    CHECK(differs(&r, r.other, 2, &why));
    CHECK_HAS(yk_buf_str(&why), "; so do 1 more");
    done(&r);
    yk_buf_done(&why);
}

TEST(doubles_from_floats_are_as_exact_as_floats)
{
    tried r = ran(&yoke_kernel_wide, 17, YK_PLACES);
    yk_habits h = {.narrow = true};
    yk_buf why = {0};
    double *there = (double *)(void *)r.other->arrays[1];
    there[3] = 1 + 3e-7; /* 2.5 ulp of a float */
    for (int way = 0; way < YK_WAYS; way++)
        ((double *)(void *)r.ways[way]->arrays[1])[3] = 1;
    CHECK(!yk_differs(&r.t, r.ways, r.other, &h, 3, &why));
    CHECK(yk_differs(&r.t, r.ways, r.other, &h, 2, &why));
    h.narrow = false;
    CHECK(yk_differs(&r.t, r.ways, r.other, &h, 3, &why));
    h = (yk_habits){.narrow = true, .exact = true};
    CHECK(yk_differs(&r.t, r.ways, r.other, &h, 3, &why));
    yk_habits_find(&yoke_kernel_wide, &h);
    CHECK(h.narrow);
    yk_buf_done(&why);
    done(&r);
}

TEST(zeros_and_nans_are_the_same)
{
    static const struct {
        float a, b;
        bool same;
    } cases[] = {{0.0f, -0.0f, true}, {NAN, -NAN, true}, {NAN, 1, false}, {1, NAN, false}, {INFINITY, INFINITY, true},
                 {INFINITY, -INFINITY, false}, {INFINITY, FLT_MAX, true}, {FLT_MIN, -FLT_MIN, false}, {1e-45f, -1e-45f, true}};
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        tried r = ran(&yoke_kernel_axpy, 1, YK_ANY);
        yk_buf why = {0};
        for (int way = 0; way < YK_WAYS; way++)
            memcpy(r.ways[way]->arrays[2], &cases[i].a, 4);
        memcpy(r.other->arrays[2], &cases[i].b, 4);
        if (differs(&r, r.other, 2, &why) == cases[i].same)
            test_fail(__FILE__, __LINE__, "%g and %g: %s", (double)cases[i].a, (double)cases[i].b, yk_buf_str(&why));
        yk_buf_done(&why);
        done(&r);
    }
}

TEST(what_the_ways_differ_by_is_allowed)
{
    tried r = ran(&yoke_kernel_axpy, 17, YK_PLACES);
    yk_buf why = {0};
    float *one = (float *)(void *)r.ways[0]->arrays[2], *other = (float *)(void *)r.ways[2]->arrays[2];
    float *there = (float *)(void *)r.other->arrays[2];
    one[3] = ((float *)(void *)r.ways[1]->arrays[2])[3] = 1;
    other[3] = 1.001f; /* the CPU is not sure of it itself */
    there[3] = 1.007f;
    CHECK(!yk_differs_by_order(&r.t, r.ways, &why));
    CHECK(!differs(&r, r.other, 0, &why));
    there[3] = 1.009f;
    CHECK(differs(&r, r.other, 0, &why));
    other[3] = 1.1f; /* no rounding */
    CHECK(yk_differs_by_order(&r.t, r.ways, &why));
    done(&r);
    yk_buf_done(&why);
}

TEST(integers_and_fields_of_structs)
{
    tried r = ran(&yoke_kernel_pairs, 17, YK_ANY);
    yk_buf why = {0};
    ((pair *)(void *)r.other->arrays[0])[4].key += 1;
    CHECK(differs(&r, r.other, 1000, &why));
    CHECK_HAS(yk_buf_str(&why), "p[4].key is ");
    done(&r);
    why.len = 0;
    r = ran(&yoke_kernel_running, 17, YK_ANY);
    move(&r, 1, 16, -1);
    CHECK(differs(&r, r.other, 1000, &why));
    CHECK_HAS(yk_buf_str(&why), "y[16] is ");
    CHECK(!strstr(yk_buf_str(&why), "ulp"));
    done(&r);
    why.len = 0;
    r = ran(&yoke_kernel_total, 17, YK_ANY);
    *(float *)(void *)r.other->result += 1;
    CHECK(differs(&r, r.other, 32, &why));
    CHECK_HAS(yk_buf_str(&why), "the result is ");
    done(&r);
    yk_buf_done(&why);
}

/* ---- Devices ---- */

TEST(devices_leave_what_the_cpu_leaves)
{
    yoke_kernel *const all[] = {&yoke_kernel_axpy, &yoke_kernel_pairs, &yoke_kernel_total, &yoke_kernel_running,
                                &yoke_kernel_reversed, &yoke_kernel_sines};
    yoke_device *dev = yoke_device_open("opencl");
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        SKIP("%s", yoke_device_error(dev));
    for (size_t i = 0; i < YK_COUNT_OF(all); i++) {
        tried r = ran(all[i], 100, YK_ANY);
        yk_error e = {0};
        yk_buf why = {0};
        yk_outcome *there = yk_outcome_new(&r.t);
        if (yk_run_on_device(&r.t, s, there, &e) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", all[i]->name, e.text);
        if (differs(&r, there, 32, &why))
            test_fail(__FILE__, __LINE__, "%s: %s", all[i]->name, yk_buf_str(&why));
        yk_outcome_free(there);
        done(&r);
    }
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(yoke_device_close(dev), 0);
}
