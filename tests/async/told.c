/* What has ended because it was told to stop ends its group, also when a shield was put up before the others heard of it. */
#include "test.h"
#include <errno.h>
#include <yoke/async.h>

typedef struct family {
    yoke_scope outside;
    yoke_group group;
    int late;  /* what the last wait of the one behind a shield gave */
    bool swallow;
} family;

static int until_told(void *arg)
{
    family *f = arg;
    while (yoke_yield() == 0)
        ;
    return f->swallow ? 0 : -ECANCELED;
}

/* Is not told of the cancel outside; puts the group's shield up after the others have been. */
static int behind_a_shield(void *arg)
{
    family *f = arg;
    yoke_scope mine;
    yoke_scope_begin(&mine);
    yoke_scope_set_shield(&mine, true);
    for (int i = 0; i < 10; i++)
        CHECK_INT(yoke_yield(), 0);
    yoke_scope_set_shield(&f->group.scope, true);
    CHECK_INT(yoke_scope_end(&mine), 0);
    f->late = yoke_yield();
    return f->late;
}

static int one_child_is_told(void *arg)
{
    family *f = arg;
    yoke_scope_begin(&f->outside);
    yoke_group_begin(&f->group);
    yoke_go(&f->group, until_told, f);
    yoke_go(&f->group, behind_a_shield, f);
    yoke_yield();
    yoke_scope_cancel(&f->outside);
    int code = yoke_group_end(&f->group);
    CHECK_INT(yoke_group_failures(&f->group), 0);
    CHECK_INT(yoke_scope_end(&f->outside), 0);
    return code;
}

TEST(a_child_that_was_told_ends_its_group)
{
    family f = {.late = 1};
    CHECK_INT(yoke_async_run(one_child_is_told, &f), 0); /* the end of the group is where the cancel ends */
    CHECK_INT(f.late, -ECANCELED);
}

TEST(a_child_that_goes_on_after_it_does_not)
{
    family f = {.late = 1, .swallow = true};
    CHECK_INT(yoke_async_run(one_child_is_told, &f), 0);
    CHECK_INT(f.late, 0);
}

static int body_is_told(void *arg)
{
    family *f = arg;
    yoke_scope_begin(&f->outside);
    yoke_group_begin(&f->group);
    yoke_go(&f->group, behind_a_shield, f);
    yoke_yield();
    yoke_scope_cancel(&f->outside);
    CHECK_INT(yoke_yield(), -ECANCELED);
    int code = yoke_group_end(&f->group);
    CHECK_INT(yoke_scope_end(&f->outside), 0);
    return code;
}

TEST(a_body_that_was_told_ends_its_group)
{
    family f = {.late = 1};
    CHECK_INT(yoke_async_run(body_is_told, &f), 0);
    CHECK_INT(f.late, -ECANCELED);
}

/* Told, without a shield: the code goes on to the scope that was cancelled. */
static int plain(void *arg)
{
    family *f = arg;
    yoke_scope_begin(&f->outside);
    yoke_group_begin(&f->group);
    yoke_go(&f->group, until_told, f);
    yoke_yield();
    yoke_scope_cancel(&f->outside);
    CHECK_INT(yoke_group_end(&f->group), -ECANCELED);
    return yoke_scope_end(&f->outside);
}

TEST(a_cancel_from_outside_ends_outside)
{
    family f = {.late = 1};
    CHECK_INT(yoke_async_run(plain, &f), -ECANCELED);
}

/* Nobody told it: to its group this is an error as others are. */
static int not_told(void *arg)
{
    return -ECANCELED;
}

static int with_one_not_told(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, not_told, NULL);
    int code = yoke_group_end(&g);
    CHECK_INT(yoke_group_failures(&g), 1);
    return code;
}

TEST(the_same_code_from_one_that_was_not_told_is_an_error)
{
    CHECK_INT(yoke_async_run(with_one_not_told, NULL), -ECANCELED);
}
