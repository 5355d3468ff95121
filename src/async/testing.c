/* testing: a loop whose clock is a number and whose order is drawn by lot; see yoke/testing.h.
 *
 * The loop is the usual one; where it would wait for the kernel it comes to yk_tested_look(), which waits only for what is
 * under way outside and else moves the number to the next alarm. yoke_now() of the thread is that number (yk_virtual_now) as long
 * as the loop lives, so that whatever computes a deadline there computes a virtual one. A backend that is to wait for real time
 * is told a deadline that is as far from the number: the number stands still meanwhile.
 *
 * A test that has failed must end all the same: all of it is told to stop, and if that does not help within as many steps again,
 * or everything hangs again, the loop is left behind as it is. */
#include "async/testing.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t first_now = 1000 * YOKE_S;
static const int64_t usual_settle = 1 * YOKE_MS, usual_patience = 10 * YOKE_S;
static const uint64_t usual_steps = 10 * 1000 * 1000;
static const unsigned usual_tries = 100;

/* ---- Text ---- */

yk_test_text yk_test_text_of(const yoke_test_opts *opts)
{
    yk_test_text text = {0};
    if (opts && opts->text && opts->text_size > 0) {
        text = (yk_test_text){opts->text, opts->text + opts->text_size};
        *text.at = 0;
    }
    return text;
}

void yk_test_say(yk_test_text *text, const char *format, ...)
{
    if (text->at == text->end)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->at, (size_t)(text->end - text->at), format, args);
    va_end(args);
    text->at += YK_MIN((ptrdiff_t)YK_MAX(n, 0), text->end - text->at - 1);
}

/* "coroutine 3, fetch, waits for recv of 7" */
static void describe(const yk_coroutine *co, char *text, size_t size)
{
    char name[64], number[32] = "";
    const yk_park *p = co->park;
    if (p && p->number >= 0)
        snprintf(number, sizeof number, " of %ld", p->number);
    const char *what = !p ? "" : yk_park_kind(p) ? p->cause->kind->name : p->what;
    snprintf(text, size, "coroutine %llu, %s, %s%s%s", (unsigned long long)co->number,
             co->number == 1 ? "the test" : yk_coroutine_name(co, name, sizeof name),
             p ? "waits for " : co == co->loop->running ? "runs" : "can go on", what, number);
}

/* The one begun after it; NULL: none. */
static const yk_coroutine *newer(const yk_loop *loop, const yk_coroutine *co)
{
    if (co->all_link == &loop->all)
        return NULL;
    return (const yk_coroutine *)(const void *)((const char *)co->all_link - offsetof(yk_coroutine, all_next));
}

/* Oldest first; the list has the newest first. */
static void say_all(yk_tested *t)
{
    const yk_coroutine *co = t->loop->all;
    while (co && co->all_next)
        co = co->all_next;
    for (; co; co = newer(t->loop, co)) {
        char text[160];
        describe(co, text, sizeof text);
        yk_test_say(t->text, "  %s\n", text);
    }
}

/* ---- Failures ---- */

static void fail(yk_tested *t, int code, const char *what)
{
    t->code = code;
    int64_t passed = t->now - t->opts.start;
    yk_test_say(t->text, "%s after %lld.%09lld s of virtual time (%s, seed %llu):\n", what, (long long)(passed / YOKE_S),
                (long long)(passed % YOKE_S), t->loop->io->name, (unsigned long long)t->opts.seed);
    say_all(t);
    yoke_scope_cancel(&t->root);
}

static void abandon(yk_tested *t)
{
    if (!t->abandoned)
        yk_test_say(t->text, "it does not end when it is told to\n");
    t->abandoned = t->loop->stop = true;
}

static void deadlock(yk_tested *t)
{
    if (t->code < 0)
        abandon(t);
    else
        fail(t, -EDEADLK, "nothing can go on");
}

/* True: it is the last step, the second time. */
static bool circles(yk_tested *t)
{
    uint64_t steps = t->calls + t->loop->switches;
    if (steps < t->limit)
        return t->abandoned;
    t->limit = steps + t->opts.steps;
    if (t->code < 0)
        abandon(t);
    else
        fail(t, -ELOOP, "it goes in circles");
    return t->abandoned;
}

/* ---- The order ---- */

unsigned yk_tested_budget(const yk_loop *loop, unsigned usual)
{
    return loop->tested->random ? 0 : usual;
}

/* Marsaglia's xorshift64. */
static uint64_t draw(yk_tested *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    return t->random ^= t->random << 17;
}

void yk_tested_choose(yk_loop *loop)
{
    if (!loop->tested->random || loop->nready < 2)
        return;
    yk_coroutine **at = &loop->ready;
    for (uint64_t n = draw(loop->tested) % loop->nready; n > 0; n--)
        at = &(*at)->next;
    yk_coroutine *chosen = *at;
    if (chosen == loop->ready)
        return;
    *at = chosen->next;
    if (!*at)
        loop->ready_end = at;
    chosen->next = loop->ready;
    loop->ready = chosen;
}

/* ---- Waiting points ---- */

static void meet(yk_tested *t, yk_coroutine *co, unsigned when, const void *where)
{
    int here = t->points ? yk_points_meet(t->points, co->number, when, where) : 0;
    if (here < 0 && t->code == 0)
        fail(t, here, "there is no memory for the points");
    if (here <= 0)
        return;
    char text[120];
    describe(co, text, sizeof text);
    snprintf(t->place, sizeof t->place, "%s a wait: %s", when == YOKE_TEST_BEFORE ? "before" : "in", text);
    yoke_scope_cancel(t->opts.innermost && co->scope ? co->scope : &t->root);
}

void yk_tested_point(yk_coroutine *co)
{
    yk_tested *t = co->loop->tested;
    t->calls++;
    if (YK_UNLIKELY(circles(t))) {
        yk_park for_ever = {.what = "nothing", .number = -1, .deaf = true};
        yk_suspend(&for_ever, YOKE_FOREVER);
    }
    if (t->opts.at & YOKE_TEST_BEFORE)
        meet(t, co, YOKE_TEST_BEFORE, __builtin_return_address(0));
}

void yk_tested_parked(yk_coroutine *co)
{
    yk_tested *t = co->loop->tested;
    if (t->opts.at & YOKE_TEST_WAITING && !co->park->deaf && co->park->abort)
        meet(t, co, YOKE_TEST_WAITING, co->park->what);
}

/* ---- The clock ---- */

/* Looks at the kernel, for so long in real time. False: nothing came. */
static bool is_news(yk_loop *loop, int64_t ns)
{
    int64_t until = ns > 0 ? yk_after(ns) : 0, begin = yk_real_now();
    atomic_store_explicit(&loop->sleeping, true, memory_order_seq_cst); /* as may_sleep() */
    bool posted = atomic_load_explicit(&loop->posted, memory_order_seq_cst);
    loop->polls++;
    loop->io->poll(loop->backend, posted ? 0 : until);
    atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
    return loop->ready || loop->stop || atomic_load_explicit(&loop->posted, memory_order_relaxed) ||
           (ns > 0 && yk_real_now() - begin < ns);
}

/* Whom the coroutines wait for: somebody at work outside; and what may come from there, through a descriptor or a shared word. */
static void look_outside(yk_loop *loop, bool *helped, bool *open)
{
    *helped = false;
    *open = loop->io->under_way(loop->backend) > 0;
    for (const yk_coroutine *co = loop->all; co; co = co->all_next) {
        *helped |= co->park && co->park->outside;
        *open |= co->park && co->park->shared;
    }
}

size_t yk_entries_of(const char *folder)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* No other thread, which could wake somebody, and no descriptor either. */
static bool is_alone(yk_loop *loop)
{
    enum { ONE_THREAD = 3 }; /* with . and .. */
    return loop->io->under_way(loop->backend) == 0 && yk_entries_of("/proc/self/task") == ONE_THREAD;
}

void yk_tested_look(yk_loop *loop)
{
    yk_tested *t = loop->tested;
    if (circles(t) || loop->stop)
        return;
    if (loop->ready) {
        if (loop->io->under_way(loop->backend) > 0)
            is_news(loop, 0);
        return;
    }
    if (is_news(loop, 0))
        return;
    bool helped, open;
    int64_t next = yk_wheel_next(&loop->timers), wait = 0;
    look_outside(loop, &helped, &open);
    if (helped || (next == YOKE_FOREVER && !is_alone(loop)))
        wait = t->opts.patience;
    else if (open)
        wait = t->opts.settle;
    if (wait > 0 && is_news(loop, wait))
        return;
    if (next != YOKE_FOREVER)
        t->now = YK_MAX(t->now, next);
    else
        deadlock(t);
}

/* ---- A run ---- */

typedef struct first {
    yk_tested *t;
    int (*fn)(void *arg);
    void *arg;
    int code;
} first;

static int run_first(void *arg)
{
    first *f = arg;
    yoke_scope_begin(&f->t->root);
    f->code = f->fn(f->arg);
    yoke_scope_end(&f->t->root);
    return 0;
}

yoke_test_opts yk_test_defaults(const yoke_test_opts *opts)
{
    yoke_test_opts o = opts ? *opts : (yoke_test_opts){0};
    o.start = o.start > 0 ? o.start : first_now;
    o.settle = o.settle != 0 ? o.settle : usual_settle;
    o.patience = o.patience > 0 ? o.patience : usual_patience;
    o.steps = o.steps > 0 ? o.steps : usual_steps;
    o.looks = o.looks > 0 ? o.looks : 1;
    o.tries = o.tries > 0 ? o.tries : usual_tries;
    o.at = o.at ? o.at : YOKE_TEST_BEFORE | YOKE_TEST_WAITING;
    o.backend = o.backend ? o.backend : getenv("YOKE_ASYNC_BACKEND");
    return o;
}

static int run_loop(yk_tested *t, first *f)
{
    yk_error e = {0};
    int err = yk_loop_open_with(t->opts.backend, &t->loop, &e);
    if (err < 0) {
        yk_test_say(t->text, "%s\n", e.text);
        return err;
    }
    yk_coroutine *co = yk_coroutine_new(t->loop, 0, run_first, f);
    t->loop->tested = t;
    if (co) {
        co->main = true;
        yk_make_ready(co);
        yk_loop_run(t->loop);
    }
    t->loop->tested = NULL;
    if (t->abandoned)
        yk_loop_abandon(t->loop);
    else
        yk_loop_close(t->loop);
    return co ? 0 : -ENOMEM;
}

int yk_test_once(yk_tested *t, int (*fn)(void *arg), void *arg)
{
    if (yk_loop_here())
        return -EBUSY;
    t->now = t->opts.start;
    t->limit = t->opts.steps;
    t->random = t->opts.seed;
    t->code = t->calls = 0;
    t->abandoned = false;
    if (t->points) {
        t->points->run++;
        t->points->told = false;
    }
    first f = {t, fn, arg, 0};
    yk_virtual_now = &t->now;
    int err = run_loop(t, &f);
    yk_virtual_now = NULL;
    return err < 0 ? err : t->code < 0 ? t->code : f.code;
}

int yoke_test_run(const yoke_test_opts *opts, int (*fn)(void *arg), void *arg)
{
    if (!fn)
        return -EINVAL;
    yk_test_text text = yk_test_text_of(opts);
    yk_tested t = {.opts = yk_test_defaults(opts), .text = &text};
    return yk_test_once(&t, fn, arg);
}
