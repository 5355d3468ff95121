/* testing_cancels.c - yoke_test_cancels() counts right, cancels at each point, and finds what is wrong; so does
 * yoke_test_faults(). */
#include "testing_try.h"
#include "async/testing.h"
#include <malloc.h>
#include <unistd.h>

/* ---- Right ones ---- */

typedef struct counts {
    int runs, ends, told;
} counts;

static int three_sleeps(void *arg)
{
    counts *c = arg;
    int err = 0;
    c->runs++;
    for (int i = 0; i < 3 && err == 0; i++)
        err = yoke_sleep(YOKE_S);
    c->told += err == -ECANCELED;
    c->ends++;
    return err;
}

BOTH(each_point_once)
{
    counts c = {0};
    yoke_test_report r;
    CHECK_INT(yoke_test_cancels(&opts, three_sleeps, &c, &r), 0);
    CHECK_INT(r.points, 6); /* before and in each */
    CHECK_INT(r.runs, 7);
    CHECK_INT(r.missed, 0);
    CHECK_INT(r.failures, 0);
    CHECK_INT(c.runs, 7);
    CHECK_INT(c.ends, 7);
    CHECK_INT(c.told, 6);
    opts.at = YOKE_TEST_BEFORE;
    CHECK_INT(yoke_test_cancels(&opts, three_sleeps, &c, &r), 0);
    CHECK_INT(r.points, 3);
    opts.at = YOKE_TEST_WAITING;
    CHECK_INT(yoke_test_cancels(&opts, three_sleeps, &c, &r), 0);
    CHECK_INT(r.points, 3);
    CHECK_INT(yoke_test_cancels(&opts, three_sleeps, &c, NULL), 0);
    CHECK_STR(said, "");
}

/* What the scope of the innermost ends does not come out. */
static int sleep_in_scopes(void *arg)
{
    counts *c = arg;
    yoke_scope outer, inner;
    yoke_scope_begin(&outer);
    yoke_scope_begin(&inner);
    yoke_sleep(YOKE_S);
    c->told += yoke_scope_end(&inner) == -ECANCELED;
    c->ends += yoke_sleep(YOKE_S) == 0;
    c->told += yoke_scope_end(&outer) == -ECANCELED;
    return 0;
}

BOTH(the_innermost_alone)
{
    counts c = {0};
    yoke_test_report r;
    opts.innermost = true;
    CHECK_INT(yoke_test_cancels(&opts, sleep_in_scopes, &c, &r), 0);
    CHECK_INT(r.points, 4);
    CHECK_INT(c.told, 4);
    CHECK_INT(c.ends, 3);
}

static int look_at_code(void *arg, int code)
{
    counts *c = arg;
    CHECK(!yoke_in_coroutine());
    c->ends += 10;
    return code == -ECANCELED && c->runs == 3 ? -EILSEQ : 0;
}

BOTH(a_check_of_the_users)
{
    counts c = {0};
    yoke_test_report r;
    opts.check = look_at_code;
    CHECK_INT(yoke_test_cancels(&opts, three_sleeps, &c, &r), -EILSEQ);
    CHECK_INT(r.first, 2); /* the third run */
    CHECK_INT(r.failures, 1);
    CHECK_INT(r.code, -EILSEQ);
    CHECK_INT(c.ends, 7 + 70);
    CHECK_HAS(said, "the check says");
    CHECK_HAS(said, "- that was with a cancel at point 2 of 6, in a wait: coroutine 1, the test, waits for sleep\n");
}

/* ---- Wrong ones, each found ---- */

static int fails_by_itself(void *arg)
{
    return -EPIPE;
}

BOTH(the_first_run_must_succeed)
{
    yoke_test_report r;
    CHECK_INT(yoke_test_cancels(&opts, fails_by_itself, NULL, &r), -EPIPE);
    CHECK_INT(r.first, 0);
    CHECK_INT(r.runs, 1);
    CHECK_INT(r.failures, 1);
}

static int turns_it_into_another(void *arg)
{
    return yoke_sleep(1) < 0 ? -EIO : 0;
}

BOTH(another_error_is_found)
{
    yoke_test_report r;
    CHECK_INT(yoke_test_cancels(&opts, turns_it_into_another, NULL, &r), -EIO);
    CHECK_INT(r.failures, 2);
    opts.innermost = true;
    CHECK_INT(yoke_test_cancels(&opts, turns_it_into_another, NULL, &r), 0);
}

static int tries_again(void *arg)
{
    while (yoke_sleep(1) < 0)
        ;
    return 0;
}

BOTH(circles_are_found)
{
    yoke_test_report r;
    opts.steps = 1000;
    CHECK_INT(yoke_test_cancels(&opts, tries_again, NULL, &r), -ELOOP);
    CHECK_INT(r.first, 1);
    CHECK_INT(r.failures, 2);
    CHECK_HAS(said, "it does not end");
}

/* The one who would set the event stops, and the other does not hear of it. */
static int sets_it(void *arg)
{
    int err = yoke_sleep(YOKE_S);
    if (err == 0)
        yoke_event_set(arg);
    return 0;
}

static int waits_shielded(void *arg)
{
    yoke_event e = {0};
    yoke_group g;
    yoke_scope shield;
    yoke_group_begin(&g);
    yoke_go(&g, sets_it, &e);
    yoke_shield_begin_timed(&shield, YOKE_FOREVER);
    yoke_event_wait(&e);
    yoke_scope_end(&shield);
    return yoke_group_end(&g);
}

BOTH(hangs_are_found)
{
    yoke_test_report r;
    opts.patience = 20 * YOKE_MS;
    CHECK_INT(yoke_test_cancels(&opts, waits_shielded, NULL, &r), -EDEADLK);
    CHECK_INT(r.failures, 4); /* also while the body waits, for the sleeper is told then */
    CHECK_INT(r.points, 4);
    CHECK_HAS(said, "nothing can go on");
    CHECK_HAS(said, "at point 1 of 4");
}

static int forgets_to_close(void *arg)
{
    int fd = dup(0);
    int err = yoke_sleep(1);
    if (err < 0)
        return err;
    close(fd);
    return 0;
}

BOTH(open_descriptors_are_found)
{
    yoke_test_report r;
    CHECK_INT(yoke_test_cancels(&opts, forgets_to_close, NULL, &r), -ENOTEMPTY);
    CHECK_INT(r.failures, 2);
    CHECK_HAS(said, "each time it leaves 1 descriptors and 0 bytes behind\n");
}

static int opens_once(void *arg)
{
    int *fd = arg;
    if (*fd < 0)
        *fd = dup(0);
    return yoke_sleep(1);
}

BOTH(what_is_kept_is_not_a_leak)
{
    int fd = -1;
    yoke_test_report r;
    CHECK_INT(yoke_test_cancels(&opts, opens_once, &fd, &r), 0);
    CHECK_INT(r.points, 2);
    CHECK_INT(r.runs, 4); /* the first one twice */
    close(fd);
}

static int forgets_to_free(void *arg)
{
    void *volatile *kept = arg; /* so that leak checkers find nothing */
    char *p = malloc(1000);
    int err = yoke_sleep(1);
    if (err < 0) {
        *(void **)p = *kept;
        *kept = p;
        return err;
    }
    free(p);
    return 0;
}

BOTH(memory_left_behind_is_found)
{
    void *kept = NULL;
    yoke_test_report r;
    bool counted = mallinfo2().uordblks > 0;
    opts.memory = true;
    CHECK_INT(yoke_test_cancels(&opts, forgets_to_free, &kept, &r), counted ? -ENOTEMPTY : 0);
    CHECK_INT(r.failures, counted ? 2 : 0);
    CHECK_INT(yoke_test_cancels(&opts, three_sleeps, &(counts){0}, &r), 0);
    for (void *next; kept; kept = next) {
        next = *(void **)kept;
        free(kept);
    }
}

/* Does something else each time. */
static int sleeps_fewer_times(void *arg)
{
    int *n = arg, err = 0;
    for (int i = 0; i < *n && err == 0; i++)
        err = yoke_sleep(1);
    *n -= *n > 1;
    return err;
}

BOTH(points_that_are_not_met_are_told)
{
    int n = 3;
    yoke_test_report r;
    opts.tries = 5;
    CHECK_INT(yoke_test_cancels(&opts, sleeps_fewer_times, &n, &r), 0);
    CHECK_INT(r.points, 6);
    CHECK_INT(r.missed, 4); /* of 3, 2, and from then on 1 sleeps */
    CHECK_INT(r.runs, 3 + 5);
}

/* More in some runs than in others. */
typedef struct whims {
    int run, every, first; /* which run it is; a yield at first in every such run; a second sleep in the first so many */
} whims;

static int now_this_now_that(void *arg)
{
    whims *w = arg;
    int run = w->run++;
    if (w->every > 0 && run % w->every == w->every - 1 && yoke_yield() < 0)
        return -ECANCELED;
    int err = yoke_sleep(1);
    return err == 0 && run < w->first ? yoke_sleep(1) : err;
}

BOTH(what_comes_up_later_is_tried_too)
{
    yoke_test_report r;
    whims w = {.every = 2};
    CHECK_INT(yoke_test_cancels(&opts, now_this_now_that, &w, &r), 0);
    CHECK_INT(r.points, 4); /* before and after the yield, before and in the sleep */
    CHECK_INT(r.missed, 0);
    CHECK_INT(r.runs, 5);
}

BOTH(what_some_runs_have_is_waited_for)
{
    yoke_test_report r;
    whims w = {.run = 29, .every = 30};
    opts.tries = 30;
    CHECK_INT(yoke_test_cancels(&opts, now_this_now_that, &w, &r), 0);
    CHECK_INT(r.points, 4);
    CHECK_INT(r.missed, 0);
    CHECK_INT(r.runs, 61);
    w.run = 29;
    opts.tries = 20;
    CHECK_INT(yoke_test_cancels(&opts, now_this_now_that, &w, &r), 0);
    CHECK_INT(r.missed, 2);
    CHECK_INT(r.runs, 1 + 2 + 20);
}

BOTH(more_looks_tell_what_all_runs_have)
{
    yoke_test_report r;
    whims w = {.first = 1};
    opts.looks = 3;
    opts.tries = 10;
    CHECK_INT(yoke_test_cancels(&opts, now_this_now_that, &w, &r), 0);
    CHECK_INT(r.points, 4);
    CHECK_INT(r.missed, 0); /* the second sleep, which one look alone had, was waited for all the same */
    CHECK_INT(r.runs, 3 + 2 + 10);
}

static int fails_the_second_time(void *arg)
{
    return ++*(int *)arg == 2 ? -EIO : yoke_sleep(1);
}

BOTH(each_look_must_succeed)
{
    int n = 0;
    yoke_test_report r;
    opts.looks = 3;
    CHECK_INT(yoke_test_cancels(&opts, fails_the_second_time, &n, &r), -EIO);
    CHECK_INT(r.first, 0);
    CHECK_INT(r.runs, 2);
}

/* It comes to no point at which it could have been told. */
static int gives_up_by_itself(void *arg)
{
    return ++*(int *)arg == 3 ? -ECANCELED : *(int *)arg > 3 ? 0 : yoke_sleep(1);
}

BOTH(a_run_without_a_cancel_must_succeed)
{
    int n = 0;
    yoke_test_report r;
    opts.tries = 3;
    CHECK_INT(yoke_test_cancels(&opts, gives_up_by_itself, &n, &r), -ECANCELED);
    CHECK_INT(r.first, 0);
    CHECK_INT(r.failures, 1);
    CHECK_HAS(said, "without a cancel");
}

BOTH(ten_failures_are_enough)
{
    yoke_test_report r;
    static char text[100];
    opts.text = text;
    opts.text_size = sizeof text;
    opts.check = NULL;
    opts.at = YOKE_TEST_BEFORE;
    int n = 30;
    CHECK_INT(yoke_test_cancels(&opts, sleeps_fewer_times, &n, &r), 0);
    CHECK_INT(r.points, 30);
    CHECK_INT(strlen(text), 0);
}

/* ---- Faults ---- */

TEST(all_calls_are_in_the_list)
{
#define IS_THERE(result, entry, parameters)                                                                            \
    for (const yoke_test_fault *f = yk_test_all_faults;; f++) {                                                        \
        if (!f->name)                                                                                                  \
            test_fail(__FILE__, __LINE__, "%s is not in the list", #entry);                                            \
        if (strcmp(f->name, #entry) == 0)                                                                              \
            break;                                                                                                     \
    }
    YK_SYS_CALLS(IS_THERE)
    for (const yoke_test_fault *f = yk_test_all_faults; f->name; f++)
        CHECK_INT(yoke_test_fail(f->name, 0, 0), 0);
}

TEST(a_call_fails_once)
{
    CHECK_INT(yoke_test_fail("malloc", 2, ENOMEM), 0);
    void *a = yk_sys.malloc(10), *b = yk_sys.malloc(10), *c = yk_sys.malloc(10);
    CHECK(a && !b && c);
    CHECK_INT(yoke_test_fail("malloc", 0, 0), 3);
    free(a);
    free(c);
    CHECK_INT(yoke_test_fail("no such call", 1, ENOMEM), -ENOENT);
    CHECK_INT(yoke_test_fail(NULL, 1, ENOMEM), -ENOENT);
    CHECK_INT(yoke_test_fail("malloc", -1, ENOMEM), -ENOENT);
}

static int two_mallocs(void *arg)
{
    int *wrong = arg;
    void *a = yk_sys.malloc(10), *b = a ? yk_sys.malloc(10) : NULL;
    free(a);
    free(b);
    if (!b && *wrong)
        return *wrong;
    return b ? 0 : -ENOMEM;
}

static const yoke_test_fault no_memory[] = {{"malloc", ENOMEM}, {NULL, 0}};

static int is_no_memory(void *arg, int code)
{
    return code == 0 || code == -ENOMEM ? 0 : code;
}

BOTH(each_call_fails_in_turn)
{
    yoke_test_report r;
    int wrong = 0;
    opts.check = is_no_memory;
    CHECK_INT(yoke_test_faults(&opts, no_memory, two_mallocs, &wrong, &r), 0);
    size_t usual = r.points;
    CHECK(usual >= 2);
    CHECK_INT(r.runs, usual + 2);
    wrong = -EILSEQ;
    CHECK_INT(yoke_test_faults(&opts, no_memory, two_mallocs, &wrong, &r), -EILSEQ);
    CHECK_INT(r.points, usual);
    CHECK_INT(r.failures, 2);
    CHECK_HAS(said, "of malloc() failing: Cannot allocate memory\n");
    CHECK_INT(yoke_test_fail("malloc", 0, 0), 0); /* and no more */
}

BOTH(a_name_that_is_none)
{
    yoke_test_fault faults[] = {{"bogus", EIO}, {NULL, 0}};
    CHECK_INT(yoke_test_faults(&opts, faults, give_seven, NULL, NULL), -ENOENT);
    CHECK_HAS(said, "yoke calls no bogus()");
}

static int a_little_of_each(void *arg)
{
    yoke_group g;
    counts c = {0};
    yoke_group_begin(&g);
    yoke_go(&g, three_sleeps, &c);
    yoke_go(&g, sleep_in_scopes, &c);
    return yoke_group_end(&g);
}

BOTH(any_call_may_fail)
{
    yoke_test_report r;
    int code = yoke_test_faults(&opts, NULL, a_little_of_each, NULL, &r);
    if (code < 0)
        test_fail(__FILE__, __LINE__, "%s", said);
    CHECK(r.points > 5);
}
