/* testing_cancels: a function run again and again, each time with a cancel at another of its waiting points; and what every run
 * of a test is looked at for afterwards.
 *
 * A run is cancelled at the first point that it comes to at which none was so far, one that earlier runs did not come to as well.
 * So each run gets further than the one before, whatever it does differently, and what comes up once in a while is tried when it
 * does. It is over when there was a cancel at all that the runs without one came to; runs that get no further are bounded.
 *
 * What is left behind once may be a cache that has been filled. So a run that leaves something is repeated, and is wrong only if
 * it leaves something each time.
 *
 * glibc keeps up to seven freed blocks of each small size at hand, for each thread, which it counts as used: a block that is lost
 * may have been one of these. So the count is taken while this thread has none, as all are in use: seven of each, which may be
 * larger than what was asked for, and are taken off again. What other threads free fills theirs at first, so that there are many
 * repeats. */
#include "async/testing.h"
#include <malloc.h>
#include <stdlib.h>

enum { SIZES = 64, STEP = 16, LEAST = 24, KEPT = 7, REPEATS = 40, MOST_FAILURES = 10 };

static size_t bytes_used(void)
{
    void *blocks[SIZES * KEPT];
    for (size_t i = 0; i < SIZES * KEPT; i++)
        blocks[i] = yk_sys.malloc(LEAST + i / KEPT * STEP);
    size_t bytes = mallinfo2().uordblks;
    for (size_t i = 0; i < SIZES * KEPT; i++) {
        bytes -= malloc_usable_size(blocks[i]);
        free(blocks[i]);
    }
    return bytes;
}

yk_belongings yk_belongings_now(bool memory)
{
    yk_belongings b = {.descriptors = yk_entries_of("/proc/self/fd")};
    if (memory)
        b.bytes = bytes_used();
    return b;
}

static bool is_right(const yk_tested *t, int code)
{
    return code >= 0 || t->fault || (t->points && t->points->told && (code == -ECANCELED || t->opts.innermost));
}

static int run_once(yk_tested *t, int (*fn)(void *arg), void *arg)
{
    if (t->fault)
        yk_sys_fail(t->fault->name, t->fail_at, t->fault->error);
    int code = yk_test_once(t, fn, arg);
    if (t->fault)
        t->fault_calls = yk_sys_fail(t->fault->name, 0, 0);
    t->runs++;
    if (t->code < 0)
        return code;
    if (t->opts.check) {
        int found = t->opts.check(arg, code);
        if (found < 0)
            yk_test_say(t->text, "the check says \"%s\" after \"%s\"\n", yoke_strerror(found), yoke_strerror(YK_MIN(code, 0)));
        return YK_MIN(found, 0);
    }
    if (is_right(t, code))
        return 0;
    yk_test_say(t->text, "it returned \"%s\"\n", yoke_strerror(code));
    return code;
}

/* Whether a run may say that nothing is left behind: it came to its point, or has none. */
static bool counts(const yk_tested *t)
{
    return !t->points || t->points->told || t->points->target == 0;
}

/* What one run leaves to a thread that is about to end is gone in the next: so each is held against the end of the one before. */
int yk_test_checked(yk_tested *t, int (*fn)(void *arg), void *arg)
{
    yk_belongings before = yk_belongings_now(t->opts.memory), left = {0};
    unsigned times = 0;
    for (unsigned lost = 0; times < REPEATS && lost < t->opts.tries;) {
        if (t->points && t->points->look == 1)
            yk_points_clear(t->points); /* what came up as a cache was filled is none */
        int code = run_once(t, fn, arg);
        yk_belongings after = yk_belongings_now(t->opts.memory);
        left = (yk_belongings){after.descriptors - before.descriptors, after.bytes - before.bytes};
        if (code < 0 || (counts(t) && (ssize_t)left.descriptors <= 0 && (ssize_t)left.bytes <= 0))
            return code;
        before = after;
        times += counts(t);
        lost += !counts(t);
    }
    if (times < REPEATS)
        return 0; /* it may have been a cache */
    yk_test_say(t->text, "each time it leaves %zd descriptors and %zd bytes behind\n", (ssize_t)left.descriptors,
                (ssize_t)left.bytes);
    return -ENOTEMPTY;
}

bool yk_test_note(yoke_test_report *r, size_t point, int code)
{
    if (code >= 0)
        return true;
    if (r->failures++ == 0) {
        r->first = point;
        r->code = code;
    }
    return r->failures < MOST_FAILURES;
}

/* fn without a cancel. */
static int look(yk_tested *t, yoke_test_report *r, int (*fn)(void *arg), void *arg)
{
    yk_points *p = t->points;
    int code = 0;
    p->looks = t->opts.looks;
    for (p->look = 1; p->look <= p->looks && code >= 0; p->look++)
        code = yk_test_checked(t, fn, arg);
    yk_points_known(p);
    yk_test_note(r, 0, code);
    return code;
}

static void cancel_each(yk_tested *t, yoke_test_report *r, int (*fn)(void *arg), void *arg)
{
    yk_points *p = t->points;
    bool more = true;
    for (unsigned tries = 0; more && p->seen > 0 && tries < t->opts.tries;) {
        size_t seen = p->seen;
        p->target = 0;
        int code = yk_test_checked(t, fn, arg);
        size_t at = p->target ? p->done : 0;
        if (code < 0 && at > 0)
            yk_test_say(t->text, "- that was with a cancel at point %zu of %zu, %s\n", at, p->found, t->place);
        else if (code < 0)
            yk_test_say(t->text, "- that was without a cancel, as it came to no new point\n");
        more = yk_test_note(r, at, code);
        tries = p->seen < seen ? 0 : tries + 1;
    }
}

int yoke_test_cancels(const yoke_test_opts *opts, int (*fn)(void *arg), void *arg, yoke_test_report *report)
{
    yoke_test_report r = {0};
    yk_points points = {0};
    if (!fn)
        return -EINVAL;
    yk_test_text text = yk_test_text_of(opts);
    yk_tested t = {.opts = yk_test_defaults(opts), .text = &text, .points = &points};
    if (look(&t, &r, fn, arg) >= 0)
        cancel_each(&t, &r, fn, arg);
    r.points = points.found;
    r.missed = points.left;
    r.runs = t.runs;
    yk_points_clear(&points);
    if (report)
        *report = r;
    return r.code;
}
