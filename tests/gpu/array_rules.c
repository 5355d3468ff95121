/* array_rules.c - what arrays promise where memory is shared: whose scope an array is in, which memory and which shapes are
 * taken for an array, and in what order memory is read, written and given back. */
#include "array_try.h"
#include <yoke.h>
#include <yoke/loop.h>

/* ---- Scopes ---- */

enum { PARTS = 400 };
static yoke_stream *of_part[PARTS];
static _Atomic unsigned in_a_scope, parts_done;

/* Every second part has a scope, and loops in it that are long enough to be shared; the others have none. */
YOKE_LOOP(a_part, i, (size_t, n))
{
    if (i % 2) {
        yoke_array_scope scope;
        yoke_array_begin(&scope);
        yoke_array *x = yoke_array_ones(of_part[i], YOKE_F64, yoke_shape((ptrdiff_t)n));
        for (size_t k = 0; k < i % 7 * 4 + 1; k++)
            x = yoke_array_add(x, yoke_number(1));
        if (!x || x->scope != &scope)
            yoke_fail(-EINVAL, "an array of part %zu is not in its scope", i);
        yoke_array_end(&scope, NULL);
    } else {
        yoke_array *x = yoke_array_ones(of_part[i], YOKE_F64, yoke_shape(10));
        in_a_scope += !x || x->scope;
        yoke_array_free(x);
    }
    parts_done++;
}

TEST(a_part_of_a_loop_is_in_no_scope_of_another)
{
    yoke_executor *ex = yoke_open("threads:8");
    yoke_device *dev = yoke_device_open("cpu");
    for (unsigned i = 0; i < PARTS; i++)
        of_part[i] = yoke_stream_open(dev);
    for (int turn = 0; turn < 5; turn++)
        CHECK_INT(yoke_for(ex, PARTS, a_part, 1 << 18), 0);
    CHECK_INT(parts_done, 5 * PARTS);
    CHECK_INT(in_a_scope, 0);
    yoke_device_memory m;
    CHECK_INT(yoke_device_memory_stats(dev, &m), 0);
    CHECK_INT(m.blocks, 0);
    yoke_close(ex);
    yoke_device_close(dev);
}

static yoke_stream *of_task;

YOKE_TASK(bool, makes_one_in_a_scope)
{
    yoke_array *a = yoke_array_ones(of_task, YOKE_F32, yoke_shape(3));
    bool in_one = a && a->scope;
    yoke_array_free(a);
    return in_one;
}

TEST(a_job_on_an_inline_executor_is_in_no_scope_of_its_callers)
{
    yoke_device *dev = yoke_device_open("cpu:1");
    yoke_executor *ex = yoke_open("inline");
    yoke_array_scope scope;
    of_task = yoke_stream_open(dev);
    yoke_array_begin(&scope);
    yoke_future *f = yoke_submit(ex, makes_one_in_a_scope);
    bool in_one = true;
    CHECK_INT(yoke_try(f, &in_one), 0);
    CHECK(!in_one);
    yoke_array *a = yoke_array_ones(of_task, YOKE_F32, yoke_shape(3));
    CHECK(a && a->scope == &scope); /* which is still open here */
    yoke_array_end(&scope, NULL);
    yoke_release(f);
    yoke_close(ex);
    yoke_device_close(dev);
}
