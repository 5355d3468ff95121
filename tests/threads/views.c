/* views.c - array views in loops and algorithms: elements at any steps against plain indexing, which views are arrays, and that
 * those with gaps are refused before anything happens to them. */
#include "test.h"
#include "base/base.h"
#include <math.h>
#include <yoke.h>

enum { N = 5000, FIELD = 40000 };

static double field[FIELD], out[N];

static void fill(void)
{
    for (size_t i = 0; i < FIELD; i++)
        field[i] = (double)(test_random() % 1000) - 500;
}

/* Every third element from the end of the field, backwards. */
static yoke_inout_f64 strided(void)
{
    yoke_inout_f64 v = yoke_1d(yoke_inout_f64, field + FIELD - 1, N);
    v.step[0] = -3;
    return v;
}

static yoke_in_f64 to_read(yoke_inout_f64 v)
{
    yoke_in_f64 in = {.ptr = v.ptr, .ndim = v.ndim};
    memcpy(in.shape, v.shape, sizeof v.shape);
    memcpy(in.step, v.step, sizeof v.step);
    return in;
}

static double at(size_t i)
{
    return field[FIELD - 1 - 3 * i];
}

/* ---- What a view is ---- */

/* Whether element number k, in the order of the indices, lies at ptr + k: by trying all. */
static bool is_array(const yoke_in_i32 *v, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        size_t rest = k;
        ptrdiff_t place = 0;
        for (size_t d = v->ndim; d-- > 0; rest /= v->shape[d])
            place += (ptrdiff_t)(rest % v->shape[d]) * v->step[d];
        if (place != (ptrdiff_t)k)
            return false;
    }
    return true;
}

TEST(which_views_are_arrays)
{
    static const int32_t somewhere[1];
    int flat = 0, gaps = 0;
    for (int round = 0; round < 20000; round++) {
        yoke_in_i32 v = {.ptr = somewhere, .ndim = test_random() % (YOKE_DIMS + 1)};
        ptrdiff_t each = 1;
        size_t n = 1;
        for (size_t d = v.ndim; d-- > 0;) {
            v.shape[d] = test_random() % 8 == 0 ? 0 : 1 + test_random() % 4;
            v.step[d] = test_random() % 6 == 0 ? (ptrdiff_t)(test_random() % 9) - 4 : each;
            each *= (ptrdiff_t)v.shape[d];
            n *= v.shape[d];
        }
        CHECK_INT(yoke_elements(v), n);
        bool array = is_array(&v, n);
        CHECK(yoke_data(v) == (array ? somewhere : NULL));
        array ? flat++ : gaps++;
    }
    CHECK(flat > 1000 && gaps > 1000);
}

TEST(views_that_cannot_be)
{
    yoke_in_i32 v = {.ptr = NULL, .ndim = 2, .shape = {SIZE_MAX / 2, 3}, .step = {3, 1}};
    CHECK_INT(yoke_elements(v), SIZE_MAX);
    v.shape[1] = 0;
    CHECK_INT(yoke_elements(v), 0);
    v = (yoke_in_i32){.ndim = 4, .shape = {3, (size_t)1 << 40, (size_t)1 << 40, 5}};
    CHECK_INT(yoke_elements(v), SIZE_MAX); /* where the product wraps to 0, too */
    for (int zero = 0; zero < 4; zero++) {
        yoke_in_i32 none = v;
        none.shape[zero] = 0;
        CHECK_INT(yoke_elements(none), 0); /* wherever the empty dimension stands */
    }
    v = (yoke_in_i32){.ptr = (const int32_t[1]){7}, .ndim = 0};
    CHECK_INT(yoke_elements(v), 1); /* a single element */
    CHECK_INT(*yoke_data(v), 7);
    v.ndim = YOKE_DIMS + 1;
    CHECK(yoke_data(v) == NULL);
}

TEST(a_view_is_evaluated_once)
{
    yoke_in_f64 several[3] = {yoke_1d(yoke_in_f64, field, 1), yoke_1d(yoke_in_f64, field + 1, 2), yoke_1d(yoke_in_f64, field, 3)};
    const yoke_in_f64 *next = several;
    CHECK_INT(yoke_elements(*next++), 1);
    CHECK(yoke_data(*next++) == field + 1);
    CHECK(next == several + 2);
    CHECK_INT(yoke_elements(yoke_2d(yoke_in_f64, field, 6, 7)), 42);
}

TEST(elements_of_one_to_four_dimensions)
{
    int32_t a[256];
    for (int i = 0; i < 256; i++)
        a[i] = i;
    yoke_inout_i32 v = {.ptr = a + 128, .ndim = 4, .shape = {2, 2, 2, 2}, .step = {-64, 16, -4, 1}};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++)
                for (int l = 0; l < 2; l++) {
                    CHECK_INT(yoke_at(v, i, j, k, l), 128 - 64 * i + 16 * j - 4 * k + l);
                    CHECK_INT(yoke_at(v, i), 128 - 64 * i);
                    CHECK_INT(yoke_at(v, i, j), 128 - 64 * i + 16 * j);
                    CHECK_INT(yoke_at(v, i, j, k), 128 - 64 * i + 16 * j - 4 * k);
                }
    yoke_at(v, 1, 0) += 1000;
    CHECK_INT(a[64], 1064);
    unsigned char back = 1; /* an index of an unsigned type does not spoil a negative step */
    CHECK(&yoke_at(v, back) == a + 64);
}

/* ---- Bodies that see views ---- */

YOKE_LOOP(halve, i, (yoke_inout_f64, v))
{
    yoke_at(v, i) /= 2;
}

YOKE_LOOP2(transpose, i, j, (yoke_in_i32, from), (yoke_out_i32, to))
{
    yoke_at(to, j, i) = yoke_at(from, i, j);
}

YOKE_REDUCE(double, sum, i, acc, other, (0), (*acc += *other), (yoke_in_f64, v))
{
    *acc += yoke_at(v, i);
}

YOKE_SCAN(double, sums, i, acc, other, (0), (*acc += *other), (yoke_in_f64, v))
{
    *acc += yoke_at(v, i);
}

YOKE_PREDICATE(below, i, (yoke_in_f64, v), (double, limit))
{
    return yoke_at(v, i) < limit;
}

YOKE_TRANSFORM(double, squared, i, (yoke_in_f64, v))
{
    return yoke_at(v, i) * yoke_at(v, i);
}

YOKE_BIN(hundreds, i, (yoke_in_f64, v))
{
    return (size_t)(yoke_at(v, i) + 500) / 100;
}

static void check_bodies(yoke_executor *ex)
{
    yoke_inout_f64 v = strided();
    yoke_in_f64 in = to_read(v);
    size_t n = yoke_elements(v), first = N, count = 0;
    uint64_t bins[10], expected[10] = {0};
    double total = 0;
    for (size_t i = N; i-- > 0;) {
        first = at(i) < -490 ? i : first;
        count += at(i) < -490;
        expected[(size_t)(at(i) + 500) / 100]++;
        total += at(i);
    }
    CHECK_INT(n, N);
    CHECK_INT(yoke_find_first(ex, n, below, in, -490), first);
    CHECK_INT(yoke_count(ex, n, below, in, -490), count);
    CHECK(yoke_reduce(ex, n, sum, in) == total); /* of integers, so exact */
    CHECK_INT(yoke_histogram(ex, n, 10, bins, hundreds, in), 0);
    CHECK(memcmp(bins, expected, sizeof bins) == 0);
    yoke_transform(ex, n, out, squared, in);
    for (size_t i = 0; i < N; i++)
        CHECK(out[i] == at(i) * at(i));
    CHECK_INT(yoke_scan(ex, n, out, sums, in), 0);
    total = 0;
    for (size_t i = 0; i < N; i++)
        CHECK(out[i] == (total += at(i)));
    yoke_for(ex, n, halve, v);
    total = 0;
    for (size_t i = 0; i < N; i++)
        total += at(i);
    CHECK(total * 2 == out[N - 1]);
}

TEST(bodies_see_views_at_any_steps)
{
    static const char *const pools[] = {"inline", "threads:1", "threads:4"};
    for (size_t i = 0; i < YK_COUNT_OF(pools); i++) {
        yoke_executor *ex = yoke_open(pools[i]);
        fill();
        check_bodies(ex);
        CHECK_INT(yoke_close(ex), 0);
    }
}

TEST(loops_over_two_dimensions_see_views)
{
    enum { ROWS = 57, COLUMNS = 33 };
    static int32_t from[ROWS * 2 * COLUMNS], to[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * 2 * COLUMNS; i++)
        from[i] = i;
    yoke_in_i32 in = {.ptr = from, .ndim = 2, .shape = {ROWS, COLUMNS}, .step = {2 * COLUMNS, 1}}; /* every other row */
    yoke_for2(NULL, in.shape[0], in.shape[1], transpose, in, yoke_2d(yoke_out_i32, to, COLUMNS, ROWS));
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            CHECK_INT(to[j * ROWS + i], i * 2 * COLUMNS + j);
}

/* ---- Calls that want an array ---- */

YOKE_ORDER(double, up, a, b)
{
    return *a < *b;
}

YOKE_KEY(double, double, itself, p)
{
    return -*p;
}

static int compare(const void *x, const void *y, void *arg)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

TEST(views_that_are_arrays_stand_for_pointer_and_count)
{
    fill();
    yoke_inout_f64 v = yoke_2d(yoke_inout_f64, field, 100, 50);
    yoke_in_f64 in = to_read(v);
    yoke_out_f64 to = yoke_1d(yoke_out_f64, out, N);
    size_t kept = 0, negative = 0;
    for (size_t i = 0; i < N; i++)
        negative += field[i] < 0;
    CHECK_INT(yoke_select(NULL, yoke_flat(in), yoke_data(to), &kept, below, yoke_1d(yoke_in_f64, field, N), 0), 0);
    CHECK_INT(kept, negative);
    CHECK_INT(yoke_sort(NULL, yoke_flat(v), up), 0);
    for (size_t i = 1; i < N; i++)
        CHECK(field[i - 1] <= field[i]);
    CHECK_INT(yoke_max(NULL, yoke_flat(v), up) < N, 1);
    CHECK_INT(yoke_min(NULL, yoke_flat(in), up), 0);
    CHECK_INT(yoke_unique(NULL, yoke_flat(in), yoke_data(to), &kept, up), 0);
    CHECK(kept > 900 && kept <= 1000);
    CHECK_INT(yoke_radix_sort(NULL, yoke_flat(v), itself), 0);
    CHECK(field[0] >= field[N - 1]);
    CHECK_INT(yoke_sort_f64(NULL, yoke_flat(v)), 0);
    CHECK(field[0] <= field[N - 1]);
    CHECK_INT(yoke_scan_f64(NULL, yoke_flat(in), yoke_data(to)), 0);
    CHECK(out[0] == field[0] && out[1] == field[0] + field[1]);
    CHECK_INT(yoke_qsort(NULL, yoke_flat(v), sizeof *v.ptr, compare, NULL), 0);
}

TEST(views_with_gaps_are_refused_and_left_alone)
{
    fill();
    static double before[FIELD];
    memcpy(before, field, sizeof field);
    yoke_inout_f64 v = strided();
    yoke_in_f64 in = to_read(v);
    size_t kept = 77;
    for (size_t n = 1; n <= N; n += N - 1) { /* one element is no gap, whatever its step */
        v.shape[0] = in.shape[0] = n;
        int err = n == 1 ? 0 : -EINVAL;
        CHECK_INT(yoke_sort(NULL, yoke_flat(v), up), err);
        CHECK_INT(yoke_radix_sort(NULL, yoke_flat(v), itself), err);
        CHECK_INT(yoke_sort_f64(NULL, yoke_flat(v)), err);
        CHECK_INT(yoke_qsort(NULL, yoke_flat(v), sizeof *v.ptr, compare, NULL), err);
        CHECK_INT(yoke_scan_f64(NULL, yoke_flat(in), out), err);
        CHECK_INT(yoke_scan_before_f64(NULL, yoke_flat(in), out), err);
        CHECK_INT(yoke_min(NULL, yoke_flat(in), up), n == 1 ? 0 : SIZE_MAX);
        CHECK_INT(yoke_max(NULL, yoke_flat(in), up), n == 1 ? 0 : SIZE_MAX);
    }
    CHECK_INT(yoke_scan(NULL, yoke_elements(in), yoke_data(v), sums, in), -EINVAL);
    CHECK_INT(yoke_scan_f64(NULL, field, N, yoke_data(v)), -EINVAL);
    CHECK_INT(yoke_select(NULL, yoke_flat(in), out, &kept, below, in, 0), -EINVAL);
    CHECK_INT(yoke_select(NULL, field, N, yoke_data(v), &kept, below, in, 0), -EINVAL);
    CHECK_INT(yoke_unique(NULL, yoke_flat(in), out, &kept, up), -EINVAL);
    CHECK_INT(kept, 77);
    CHECK(memcmp(before, field, sizeof field) == 0);
}

TEST(empty_views_are_nothing_to_do)
{
    yoke_inout_f64 none = yoke_1d(yoke_inout_f64, NULL, 0);
    size_t kept = 7;
    CHECK_INT(yoke_sort(NULL, yoke_flat(none), up), 0);
    CHECK_INT(yoke_sort_f64(NULL, yoke_flat(none)), 0);
    CHECK_INT(yoke_radix_sort(NULL, yoke_flat(none), itself), 0);
    CHECK_INT(yoke_scan_f64(NULL, yoke_flat(none), yoke_data(none)), 0);
    CHECK_INT(yoke_unique(NULL, yoke_flat(none), yoke_data(none), &kept, up), 0);
    CHECK_INT(kept, 0);
    CHECK_INT(yoke_min(NULL, yoke_flat(none), up), 0);
}

YOKE_TASK(double, median, (yoke_inout_f64, v))
{
    int err = yoke_sort_f64(NULL, yoke_flat(v));
    return err < 0 ? yoke_fail(err, "the view has gaps") : yoke_at(v, yoke_elements(v) / 2);
}

TEST(tasks_hand_their_views_on)
{
    static const char *const places[] = {"inline", "threads:2", "processes:1"};
    for (size_t i = 0; i < YK_COUNT_OF(places); i++) {
        yoke_executor *ex = yoke_open(places[i]);
        for (size_t k = 0; k < 101; k++)
            field[k] = (double)((k * 37) % 101);
        yoke_future *f = yoke_submit(ex, median, yoke_1d(yoke_inout_f64, field, 101));
        CHECK(yoke_await(f, double) == 50);
        CHECK(field[0] == 0 && field[100] == 100);
        CHECK_INT(yoke_close(ex), 0);
    }
}
