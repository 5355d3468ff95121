/* testing_cancels: a function run again and again, each time with a cancel at another of its waiting points; and what every run
 * of a test is looked at for afterwards.
 *
 * What is left behind once may be a cache that has been filled. So a run that leaves something is repeated, and is wrong only if
 * it leaves something each time.
 *
 * glibc keeps up to seven freed blocks of each small size at hand, which it counts as used: a block that is lost may have been
 * one of these. So the count is taken while there are none, as all are in use: seven of each. */
#include "async/testing.h"
#include <malloc.h>
#include <stdlib.h>

enum { SIZES = 64, STEP = 16, LEAST = 24, KEPT = 7, REPEATS = 5, MOST_FAILURES = 10 };

static size_t bytes_used(void)
{
    void *blocks[SIZES * KEPT];
    for (size_t i = 0; i < SIZES * KEPT; i++)
        blocks[i] = yk_sys.malloc(LEAST + i / KEPT * STEP);
    size_t bytes = mallinfo2().uordblks;
    for (size_t i = 0; i < SIZES * KEPT; i++)
        free(blocks[i]);
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
    return code >= 0 || t->fault || (t->cancel_at > 0 && (code == -ECANCELED || t->opts.innermost));
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

int yk_test_checked(yk_tested *t, int (*fn)(void *arg), void *arg)
{
    yk_belongings before = yk_belongings_now(t->opts.memory), after;
    for (int i = 0; i < REPEATS; i++) {
        int code = run_once(t, fn, arg);
        after = yk_belongings_now(t->opts.memory);
        if (code < 0 || (after.descriptors <= before.descriptors && after.bytes <= before.bytes))
            return code;
        if (i < REPEATS - 1)
            before = after;
    }
    yk_test_say(t->text, "each time it leaves %zd descriptors and %zd bytes behind\n",
                (ssize_t)(after.descriptors - before.descriptors), (ssize_t)(after.bytes - before.bytes));
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

static void cancel_each(yk_tested *t, yoke_test_report *r, int (*fn)(void *arg), void *arg)
{
    bool more = true;
    for (size_t k = 1; k <= r->points && more; k++) {
        t->cancel_at = k;
        t->place[0] = '\0';
        int code = yk_test_checked(t, fn, arg);
        r->missed += t->points < k;
        if (code < 0)
            yk_test_say(t->text, "- that was with a cancel at point %zu of %zu, %s\n", k, r->points, t->place);
        more = yk_test_note(r, k, code);
    }
}

int yoke_test_cancels(const yoke_test_opts *opts, int (*fn)(void *arg), void *arg, yoke_test_report *report)
{
    yoke_test_report r = {0};
    yk_test_text text = yk_test_text_of(opts);
    yk_tested t = {.opts = yk_test_defaults(opts), .text = &text};
    int code = yk_test_checked(&t, fn, arg);
    r.points = t.points;
    yk_test_note(&r, 0, code);
    if (code == 0)
        cancel_each(&t, &r, fn, arg);
    r.runs = t.runs;
    if (report)
        *report = r;
    return r.code;
}
