/* Array views: counting that cannot overflow, contiguity, and copies against the obvious loop. */
#include "task/task.h"
#include "test.h"

static yk_any_view view(void *p, size_t ndim, size_t a, size_t b, ptrdiff_t sa, ptrdiff_t sb)
{
    return (yk_any_view){p, ndim, {a, b, 1, 1}, {sa, sb, 1, 1}};
}

TEST(counts)
{
    char c;
    size_t n = 99;
    yk_any_view v = view(&c, 2, 3, 4, 4, 1);
    CHECK_INT(yk_view_count(&v, 8, &n), 0);
    CHECK_INT(n, 12);
    v.ndim = 0;
    CHECK_INT(yk_view_count(&v, 8, &n), 0);
    CHECK_INT(n, 1);
    v = view(NULL, 2, 0, SIZE_MAX, 1, 1);
    CHECK_INT(yk_view_count(&v, 8, &n), 0);
    CHECK_INT(n, 0);
    v = view(NULL, 2, SIZE_MAX, 0, 1, 1);
    CHECK_INT(yk_view_count(&v, 8, &n), 0);
    CHECK_INT(n, 0);
}

TEST(counts_that_are_refused_leave_the_answer_alone)
{
    char c;
    size_t n = 99;
    yk_any_view v = view(&c, 2, SIZE_MAX / 2 + 1, 2, 1, 1);
    CHECK_INT(yk_view_count(&v, 1, &n), -EOVERFLOW);
    v = view(&c, 1, SIZE_MAX / 4, 0, 1, 1);
    CHECK_INT(yk_view_count(&v, 8, &n), -EOVERFLOW);
    v = view(&c, 1, (size_t)PTRDIFF_MAX + 1, 0, 1, 1);
    CHECK_INT(yk_view_count(&v, 1, &n), -EOVERFLOW);
    v = view(&c, YOKE_DIMS + 1, 1, 1, 1, 1);
    CHECK_INT(yk_view_count(&v, 1, &n), -EINVAL);
    v = view(NULL, 1, 1, 1, 1, 1);
    CHECK_INT(yk_view_count(&v, 1, &n), -EINVAL);
    CHECK_INT(n, 99);
}

TEST(contiguity)
{
    char c;
    yk_any_view v = view(&c, 2, 3, 4, 4, 1);
    CHECK(yk_view_is_contiguous(&v));
    v = view(&c, 2, 3, 4, 5, 1);
    CHECK(!yk_view_is_contiguous(&v));
    v = view(&c, 2, 3, 4, 1, 3);
    CHECK(!yk_view_is_contiguous(&v));
    v = view(&c, 2, 1, 4, 77, 1); /* the step of one element does not matter */
    CHECK(yk_view_is_contiguous(&v));
    v = view(&c, 1, 3, 0, -1, 0);
    CHECK(!yk_view_is_contiguous(&v));
    v = view(&c, 2, 0, 4, 9, 9);
    CHECK(yk_view_is_contiguous(&v));
    v.ndim = 0;
    CHECK(yk_view_is_contiguous(&v));
}

TEST(makers)
{
    double xs[6];
    yoke_in_f64 one = yoke_1d(yoke_in_f64, xs, 6);
    yoke_out_f64 two = yoke_2d(yoke_out_f64, xs, 2, 3);
    CHECK(one.ptr == xs && one.ndim == 1 && one.shape[0] == 6 && one.step[0] == 1);
    CHECK(two.ptr == xs && two.ndim == 2 && two.shape[1] == 3 && two.step[0] == 3 && two.step[1] == 1);
}

TEST(transposed_and_reversed_copies)
{
    int16_t from[12], to[12];
    for (int i = 0; i < 12; i++)
        from[i] = (int16_t)(i * 3);
    yk_any_view f = view(from, 2, 4, 3, 1, 4), t = view(to, 2, 4, 3, 3, 1);
    yk_view_copy(&t, &f, 2);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            CHECK_INT(to[i * 3 + j], from[i + j * 4]);
    f = view(from + 11, 1, 12, 0, -1, 0);
    t = view(to, 1, 12, 0, 1, 0);
    yk_view_copy(&t, &f, 2);
    for (int i = 0; i < 12; i++)
        CHECK_INT(to[i], from[11 - i]);
}

/* Random shapes and steps, element sizes 1 to 8, against addresses worked out by hand. */
TEST(copies_agree_with_the_loop)
{
    for (int round = 0; round < 500; round++) {
        static unsigned char from[8 * 4096], to[8 * 4096];
        size_t size = (size_t)1 << test_random() % 4;
        for (size_t i = 0; i < sizeof from; i++) {
            from[i] = (unsigned char)test_random();
            to[i] = 0;
        }
        yk_any_view f = {from, 4, {0}, {0}}, t = {to, 4, {0}, {0}};
        ptrdiff_t step_f = 1, step_t = 1;
        for (size_t d = 4; d-- > 0;) {
            f.shape[d] = t.shape[d] = 1 + test_random() % 4;
            f.step[d] = step_f;
            t.step[d] = step_t;
            step_f *= (ptrdiff_t)(f.shape[d] + test_random() % 2);
            step_t *= (ptrdiff_t)(t.shape[d] + test_random() % 2);
        }
        yk_view_copy(&t, &f, size);
        for (size_t n = 0; n < f.shape[0] * f.shape[1] * f.shape[2] * f.shape[3]; n++) {
            ptrdiff_t at_f = 0, at_t = 0;
            for (size_t d = 4, rest = n; d-- > 0; rest /= f.shape[d]) {
                at_f += (ptrdiff_t)(rest % f.shape[d]) * f.step[d];
                at_t += (ptrdiff_t)(rest % f.shape[d]) * t.step[d];
            }
            CHECK(memcmp(from + at_f * (ptrdiff_t)size, to + at_t * (ptrdiff_t)size, size) == 0);
        }
    }
}

TEST(nothing_is_copied_of_an_empty_or_wrong_view)
{
    char from = 1, to = 2;
    yk_any_view f = view(&from, 1, 0, 0, 1, 1), t = view(&to, 1, 0, 0, 1, 1);
    yk_view_copy(&t, &f, 1);
    CHECK_INT(to, 2);
    f = view(NULL, 1, 1, 0, 1, 1);
    yk_view_copy(&t, &f, 1);
    CHECK_INT(to, 2);
}

/* The step of a dimension of one row is never taken: it may be anything. */
TEST(a_single_row_has_any_step)
{
    int64_t from[] = {1, 2, 3}, to[2] = {0};
    yk_any_view f = view(from, 2, 1, 2, PTRDIFF_MAX, 2), t = view(to, 2, 1, 2, PTRDIFF_MIN, 1);
    yk_view_copy(&t, &f, sizeof *to);
    CHECK_INT(to[0], 1);
    CHECK_INT(to[1], 3);
}
