/* pipeline.c - pipelines: every item once, in order where it is promised, no more under way than tokens; stop, failure, cancel,
 * nothing lost and nothing leaked. */
#include "pools.h"
#include "base/base.h"
#include <unistd.h>
#include <yoke.h>

/* One run: items are numbers on the heap. */
typedef struct run {
    long items, next, written, expected; /* `next`, `written`, `expected` belong to stages in order */
    int step;                            /* of the numbers that arrive */
    long fail_at;
    _Atomic long living, most, at_once, most_at_once, dropped;
} run;

static void note(_Atomic long *most, long now)
{
    long before = atomic_load(most);
    while (now > before && !atomic_compare_exchange_weak(most, &before, now))
        ;
}

static int source(void **item, void *arg)
{
    run *r = arg;
    CHECK(*item == NULL);
    if (r->next == r->items)
        return YOKE_STOP;
    long *x = malloc(sizeof *x);
    *x = r->next++;
    *item = x;
    note(&r->most, atomic_fetch_add(&r->living, 1) + 1);
    return 0;
}

static int work(void **item, void *arg)
{
    run *r = arg;
    long *x = *item;
    note(&r->most_at_once, atomic_fetch_add(&r->at_once, 1) + 1);
    for (volatile long i = *x * 7919 % 2000; i > 0; i--)
        ;
    if (*x % 64 == 3)
        usleep(200);
    atomic_fetch_sub(&r->at_once, 1);
    if (r->fail_at && *x == r->fail_at)
        return -EIO;
    return 0;
}

static int keep_even(void **item, void *arg)
{
    run *r = arg;
    long *x = *item;
    if (*x % 2 == 0)
        return 0;
    free(x);
    atomic_fetch_sub(&r->living, 1);
    return YOKE_STOP;
}

static int sink(void **item, void *arg)
{
    run *r = arg;
    long *x = *item;
    CHECK_INT(*x, r->expected); /* in order; a stage in order needs no lock */
    r->expected += r->step;
    r->written++;
    free(x);
    atomic_fetch_sub(&r->living, 1);
    return 0;
}

static void drop(void *item, void *arg)
{
    run *r = arg;
    free(item);
    atomic_fetch_sub(&r->living, 1);
    atomic_fetch_add(&r->dropped, 1);
}

static int through(yoke_executor *ex, size_t tokens, run *r)
{
    const yoke_stage stages[] = {{source, r, YOKE_IN_ORDER, drop}, {work, r, YOKE_PARALLEL, drop},
                                 {sink, r, YOKE_IN_ORDER, drop}};
    return yoke_pipeline(ex, tokens, stages, 3);
}

TEST(every_item_in_order)
{
    static const size_t tokens[] = {1, 2, 3, 16, 1000};
    static const long items[] = {0, 1, 2, 17, 1000};
    EACH_POOL(ex)
        for (size_t k = 0; k < 5; k++)
            for (size_t n = 0; n < 5; n++) {
                run r = {.items = items[n], .step = 1};
                CHECK_INT(through(ex, tokens[k], &r), 0);
                CHECK_INT(r.written, items[n]);
                CHECK_INT(r.living, 0);
                CHECK_INT(r.dropped, 0);
                CHECK(r.most <= (long)tokens[k]);
            }
}

TEST(many_stages)
{
    EACH_POOL(ex)
    {
        run r = {.items = 2000, .step = 2};
        const yoke_stage stages[] = {{source, &r, YOKE_IN_ORDER, drop},     {work, &r, YOKE_PARALLEL, drop},
                                     {keep_even, &r, YOKE_IN_ORDER, drop},  {work, &r, YOKE_PARALLEL, drop},
                                     {keep_even, &r, YOKE_PARALLEL, drop},  {work, &r, YOKE_IN_ORDER, drop},
                                     {keep_even, &r, YOKE_IN_ORDER, drop},  {sink, &r, YOKE_IN_ORDER, drop}};
        CHECK_INT(yoke_pipeline(ex, 7, stages, 8), 0);
        CHECK_INT(r.written, 1000);
        CHECK_INT(r.living, 0);
    }
}

/* Items that are dropped on the way by a parallel stage must not hold up those behind them. */
TEST(items_that_go_no_further)
{
    EACH_POOL(ex)
    {
        run r = {.items = 999, .step = 2};
        const yoke_stage stages[] = {{source, &r, YOKE_IN_ORDER, drop}, {work, &r, YOKE_PARALLEL, drop},
                                     {keep_even, &r, YOKE_PARALLEL, drop}, {sink, &r, YOKE_IN_ORDER, drop}};
        CHECK_INT(yoke_pipeline(ex, 5, stages, 4), 0);
        CHECK_INT(r.written, 500);
        CHECK_INT(r.living, 0);
    }
}

static int only_source(void **item, void *arg)
{
    return --*(int *)arg < 0 ? YOKE_STOP : 0;
}

TEST(a_source_alone)
{
    int left = 10;
    const yoke_stage stages[] = {{only_source, &left, YOKE_IN_ORDER, NULL}};
    CHECK_INT(yoke_pipeline(NULL, 3, stages, 1), 0);
    CHECK_INT(left, -1);
}

static int as_number(void **item, void *arg)
{
    run *r = arg;
    *item = (void *)r->next;
    return r->next++ == r->items;
}

static int add_number(void **item, void *arg)
{
    ((run *)arg)->written += (long)*item;
    return 0;
}

/* So many that members which pile up in a stack would overflow it. */
TEST(a_long_one_of_tiny_stages)
{
    EACH_POOL(ex)
    {
        run r = {.items = 100000};
        const yoke_stage stages[] = {{as_number, &r, YOKE_IN_ORDER, NULL}, {add_number, &r, YOKE_IN_ORDER, NULL}};
        CHECK_INT(yoke_pipeline(ex, 4, stages, 2), 0);
        CHECK_INT(r.written, 100000L * 99999 / 2);
    }
}

/* Two items wait for each other in a parallel stage: it must be parallel. */
static _Atomic int here;

static int meet(void **item, void *arg)
{
    atomic_fetch_add(&here, 1);
    while (atomic_load(&here) < 2)
        usleep(100);
    return 0;
}

TEST(parallel_stages_are_parallel)
{
    yoke_executor *ex = yoke_open("threads:3");
    int left = 2;
    atomic_store(&here, 0);
    const yoke_stage stages[] = {{only_source, &left, YOKE_IN_ORDER, NULL}, {meet, NULL, YOKE_PARALLEL, NULL}};
    CHECK_INT(yoke_pipeline(ex, 2, stages, 2), 0);
    close_it(ex);
}

/* ---- Ends ---- */

TEST(failure_of_a_stage)
{
    EACH_POOL(ex)
    {
        run r = {.items = 100000, .step = 1, .fail_at = 300};
        CHECK_INT(through(ex, 9, &r), -EIO);
        CHECK(r.next < 100000 && r.written <= 300);
        CHECK_INT(r.living, 0);
        CHECK(r.dropped >= 1);
    }
}

static int broken_source(void **item, void *arg)
{
    run *r = arg;
    return r->next == 20 ? -ENODATA : source(item, arg);
}

TEST(failure_of_the_source)
{
    EACH_POOL(ex)
    {
        run r = {.items = 1000, .step = 1};
        const yoke_stage stages[] = {{broken_source, &r, YOKE_IN_ORDER, drop}, {work, &r, YOKE_PARALLEL, drop},
                                     {sink, &r, YOKE_IN_ORDER, drop}};
        CHECK_INT(yoke_pipeline(ex, 4, stages, 3), -ENODATA);
        CHECK_INT(r.living, 0);
        CHECK_INT(r.written + r.dropped, 20);
    }
}

static _Atomic long worked;
static run in_a_job;
static _Atomic int job_result;

static int slow_work(void **item, void *arg)
{
    usleep(200);
    atomic_fetch_add(&worked, 1);
    if (in_a_job.fail_at && *(long *)*item == in_a_job.fail_at)
        yoke_fail(EPROTO, "item %ld", in_a_job.fail_at);
    return 0;
}

YOKE_TASK(int, in_a_task)
{
    const yoke_stage stages[] = {{source, &in_a_job, YOKE_IN_ORDER, drop}, {slow_work, &in_a_job, YOKE_PARALLEL, drop},
                                 {sink, &in_a_job, YOKE_IN_ORDER, drop}};
    int err = yoke_pipeline(NULL, 4, stages, 3);
    atomic_store(&job_result, err);
    return err;
}

TEST(cancelled_or_failed_job)
{
    for (int fails = 0; fails < 2; fails++) {
        yoke_executor *ex = yoke_open("threads:2");
        in_a_job = (run){.items = 1000000000, .step = 1, .fail_at = fails ? 40 : 0};
        atomic_store(&worked, 0);
        yoke_future *f = yoke_submit(ex, in_a_task);
        while (!fails && atomic_load(&worked) < 100)
            usleep(100);
        if (!fails)
            yoke_cancel(f);
        CHECK_INT(yoke_wait(f), fails ? -EPROTO : -ECANCELED);
        yoke_release(f);
        close_it(ex);
        CHECK_INT(atomic_load(&job_result), -ECANCELED);
        CHECK_INT(in_a_job.living, 0);
    }
}

TEST(out_of_memory)
{
    run r = {.items = 10, .step = 1};
    yoke_executor *ex = yoke_open("inline");
    yk_sys_fail("calloc", 1, ENOMEM);
    CHECK_INT(through(ex, 4, &r), -ENOMEM);
    CHECK_INT(yk_sys_fail("calloc", 0, 0), 1);
    CHECK_INT(r.next, 0);
    CHECK_INT(through(ex, SIZE_MAX / 8, &r), -ENOMEM);
    close_it(ex);
}

TEST(wrong_uses)
{
    run r = {.items = 10, .step = 1};
    yoke_stage stages[] = {{source, &r, YOKE_PARALLEL, drop}, {NULL, NULL, YOKE_IN_ORDER, NULL}};
    CHECK_INT(yoke_pipeline(NULL, 4, stages, 1), -EINVAL);
    stages[0].kind = YOKE_IN_ORDER;
    CHECK_INT(yoke_pipeline(NULL, 0, stages, 1), -EINVAL);
    CHECK_INT(yoke_pipeline(NULL, 4, stages, 0), -EINVAL);
    CHECK_INT(yoke_pipeline(NULL, 4, stages, 2), -EINVAL);
    stages[1].run = sink;
    stages[1].kind = (enum yoke_stage_kind)7;
    CHECK_INT(yoke_pipeline(NULL, 4, stages, 2), -EINVAL);
    CHECK_INT(r.next, 0);
}

/* ---- Inside each other ---- */

YOKE_REDUCE(long, total, i, acc, other, (0), (*acc += *other))
{
    *acc += (long)i;
}

static int loop_inside(void **item, void *arg)
{
    CHECK_INT(yoke_reduce(NULL, 20000, total), 20000L * 19999 / 2);
    return 0;
}

static int pipeline_inside(void **item, void *arg)
{
    run r = {.items = 20, .step = 1};
    CHECK_INT(through(NULL, 3, &r), 0);
    CHECK_INT(r.written, 20);
    return 0;
}

TEST(loops_and_pipelines_inside)
{
    EACH_POOL(ex)
    {
        run r = {.items = 60, .step = 1};
        const yoke_stage stages[] = {{source, &r, YOKE_IN_ORDER, drop},        {loop_inside, NULL, YOKE_PARALLEL, NULL},
                                     {pipeline_inside, NULL, YOKE_PARALLEL, NULL}, {loop_inside, NULL, YOKE_IN_ORDER, NULL},
                                     {sink, &r, YOKE_IN_ORDER, drop}};
        CHECK_INT(yoke_pipeline(ex, 6, stages, 5), 0);
        CHECK_INT(r.written, 60);
    }
}

YOKE_TASK(int, pipeline_in_a_job)
{
    run r = {.items = 200, .step = 1};
    return through(NULL, 4, &r) || r.written != 200;
}

TEST(many_at_a_time_in_jobs)
{
    EACH_POOL(ex)
    {
        yoke_future *f[12];
        for (int i = 0; i < 12; i++)
            f[i] = yoke_submit(ex, pipeline_in_a_job);
        for (int i = 0; i < 12; i++)
            CHECK_INT(yoke_await(f[i], int), 0);
    }
}
