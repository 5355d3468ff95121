/* cost.c - where kernels are placed, against machines whose costs the test knows. */
#include "gpu/cost.h"
#include "test.h"
#include <yoke.h>
#include <yoke/kernel.h>

/* A call costs base + n * each on either place. */
typedef struct machine {
    double base[2], each[2];
} machine;

static double cost_on(const machine *m, size_t n, yk_place place)
{
    return m->base[place] + (double)n * m->each[place];
}

/* Runs `calls` of size n; how many went where they cost more. */
static int wrong_of(yk_cost *c, const machine *m, size_t n, int calls)
{
    int wrong = 0;
    for (int i = 0; i < calls; i++) {
        yk_place place = yk_cost_choose(c, n);
        wrong += cost_on(m, n, place) > cost_on(m, n, !place);
        yk_cost_learn(c, n, place, (int64_t)cost_on(m, n, place));
    }
    return wrong;
}

/* A device 20 us away that is 10 times as fast: small calls belong on the CPU. */
static const machine usual = {{500, 20000}, {1, 0.1}};

TEST(each_size_finds_its_place)
{
    static yk_cost c;
    for (size_t n = 1; n <= (size_t)1 << 30; n *= 4)
        CHECK(wrong_of(&c, &usual, n, 1000) <= 2 + 1000 / 64 + 1);
}

TEST(the_clear_loser_is_not_tried_again)
{
    static yk_cost c;
    CHECK_INT(wrong_of(&c, &usual, 16, 1000), 2); /* 40 times as slow */
    CHECK_INT(wrong_of(&c, &usual, (size_t)1 << 30, 1000), 2); /* which says nothing of larger ones */
}

TEST(what_was_hopeless_at_a_smaller_size_is_not_tried)
{
    static yk_cost c;
    static const machine slow = {{500, 1e6}, {1, 50}};
    CHECK_INT(wrong_of(&c, &slow, 1024, 100), 2);
    CHECK_INT(wrong_of(&c, &slow, 2048, 100), 0);
    CHECK_INT(wrong_of(&c, &slow, 512, 100), 2); /* of smaller ones it says nothing */
}

TEST(a_machine_that_changes_is_noticed)
{
    static yk_cost c;
    machine m = {{1000, 2000}, {0, 0}};
    CHECK(wrong_of(&c, &m, 100, 1000) <= 2 + 1000 / 64 + 1);
    m.base[YK_ON_CPU] = 4000; /* others use the CPU now */
    wrong_of(&c, &m, 100, 500);
    CHECK(wrong_of(&c, &m, 100, 1000) <= 1000 / 64 + 1);
}

TEST(a_place_that_fails_is_left_alone_and_tried_again)
{
    static yk_cost c;
    int failed = 0;
    for (int i = 0; i < 1000; i++)
        if (yk_cost_choose(&c, 1000) == YK_ON_DEVICE) {
            yk_cost_failed(&c, 1000);
            failed++;
        } else {
            yk_cost_learn(&c, 1000, YK_ON_CPU, 5000);
        }
    CHECK(failed > 2 && failed <= 2 + 1000 / 64);
    for (int i = 0; i < 2000; i++) { /* it has been mended */
        yk_place place = yk_cost_choose(&c, 1000);
        yk_cost_learn(&c, 1000, place, place == YK_ON_CPU ? 5000 : 500);
    }
    CHECK_INT(yk_cost_choose(&c, 1000), YK_ON_DEVICE);
    static yk_cost fresh; /* nothing is known of the CPU */
    yk_cost_failed(&fresh, 1000);
    CHECK_INT(yk_cost_choose(&fresh, 1000), YK_ON_CPU);
}

TEST(no_elements_and_no_time)
{
    static yk_cost c;
    for (int i = 0; i < 100; i++) {
        yk_place place = yk_cost_choose(&c, 0);
        yk_cost_learn(&c, 0, place, 0);
        CHECK(place == YK_ON_CPU || place == YK_ON_DEVICE);
    }
}

/* ---- For real ---- */

YOKE_KERNEL(twice, ((inout, int32_t, x)), x[i] *= 2;)

static void check_answers(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    CHECK_INT(yoke_executor_status(ex), 0);
    static const size_t sizes[] = {10, 1000, 300000};
    for (size_t s = 0; s < 3; s++)
        for (int round = 0; round < 20; round++) {
            int32_t *x = malloc(sizes[s] * sizeof *x);
            for (size_t i = 0; i < sizes[s]; i++)
                x[i] = (int32_t)i;
            yoke_future *f = yoke_launch(ex, twice, sizes[s], x);
            CHECK_INT(yoke_wait(f), 0);
            yoke_release(f);
            for (size_t i = 0; i < sizes[s]; i++)
                CHECK_INT(x[i], 2 * i);
            free(x);
        }
    yoke_close(ex);
}

TEST(the_answer_is_the_same_wherever)
{
    check_answers("gpu"); /* with a GPU, or without */
    check_answers("gpu:opencl");
    check_answers("gpu:cpu"); /* nothing to choose */
}

TEST(a_device_named_for_it_must_be_there)
{
    yoke_executor *ex = yoke_open("gpu:opencl:99");
    CHECK(yoke_executor_status(ex) < 0);
    CHECK_HAS(yoke_executor_error(ex), "opencl:99");
    yoke_close(ex);
}
