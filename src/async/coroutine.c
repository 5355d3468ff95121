/* coroutine: how one begins, waits, goes on and ends.
 *
 * A coroutine that waits switches straight to the next that can go on; the loop's own stack gets its turn when there is none, or
 * when the budget is used up, so that the clock and the backend are looked at in time. One that has ended cannot give its stack
 * back while it stands on it: it leaves itself in loop->ended, for whoever arrives next. */
#include "async/async.h"
#include "base/list.h"
#include <dlfcn.h>
#include <stdio.h>

enum { RECORD_ROOM = YK_ALIGN_UP(sizeof(yk_coroutine), 64) };

_Thread_local yk_loop *yk_loop_mine __attribute__((tls_model("initial-exec")));

/* Rounding, exception masks and the like: those of a coroutine that keeps its own; all others share the loop's. */
static uint64_t fp_control(void)
{
#if defined(__x86_64__)
    uint32_t sse;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
    return (uint64_t)x87 << 32 | (sse & 0xffc0); /* without the flags of what has happened */
#else
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
#endif
}

static void set_fp_control(uint64_t control)
{
#if defined(__x86_64__)
    uint32_t sse = (uint32_t)control;
    uint16_t x87 = (uint16_t)(control >> 32);
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(sse), "m"(x87));
#else
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

/* from, to: NULL for the loop. */
static void change_fp_control(yk_loop *loop, yk_coroutine *from, const yk_coroutine *to)
{
    uint64_t now = fp_control(), then = to && to->keep_fp ? to->fp : loop->fp;
    if (from && from->keep_fp)
        from->fp = now;
    if (now != then)
        set_fp_control(then);
}

/* For the line of an overflow, in a signal handler. */
static const char *name_of_stack(void *top)
{
    static char buffer[64];
    return yk_coroutine_name((yk_coroutine *)(void *)((char *)top - RECORD_ROOM), buffer, sizeof buffer);
}

void yk_loop_enter(yk_loop *loop)
{
    if (loop) {
        loop->fp = fp_control();
        yk_stack_name_hook = name_of_stack;
    }
    yk_loop_mine = loop;
}

bool yoke_in_coroutine(void)
{
    return yk_coroutine_here() != NULL;
}

/* ---- Switching ---- */

static inline void save_context(yk_context *c)
{
    c->running = yk_running_here;
    c->self = yk_self;
    c->who = yk_who_mine;
}

static inline void load_context(const yk_context *c)
{
    yk_running_here = c->running;
    yk_self = c->self;
    yk_who_mine = c->who;
}

static void bury(yk_loop *loop)
{
    yk_coroutine *co = loop->ended;
    loop->ended = NULL;
    yk_fiber_done(&co->fiber);
    yk_stack_give(loop->stacks, co->stack);
}

static inline void arrive(yk_loop *loop, yk_fiber *mine)
{
    yk_fiber_arrive(mine);
    if (loop->ended)
        bury(loop);
}

/* to: NULL for the loop itself. */
static inline void set_running(yk_loop *loop, yk_coroutine *from, yk_coroutine *to)
{
    if (YK_UNLIKELY((from && from->keep_fp) || (to && to->keep_fp)))
        change_fp_control(loop, from, to);
    /* The watchdog looks at both: hog.c. */
    __atomic_store_n(&loop->running, to, __ATOMIC_RELAXED);
    __atomic_store_n(&loop->switches, loop->switches + 1, __ATOMIC_RELAXED);
    if (!from || !to)
        yk_blocked_hook = to ? &loop->blocking : NULL;
    loop->in_a_row = 0;
    load_context(to ? &to->context : &loop->context);
}

static inline __attribute__((always_inline)) void change(yk_loop *loop, yk_coroutine *from, yk_coroutine *to)
{
    yk_fiber *mine = from ? &from->fiber : &loop->fiber;
    save_context(from ? &from->context : &loop->context);
    set_running(loop, from, to);
    yk_fiber_leave(mine, to ? &to->fiber : &loop->fiber, false);
    yk_switch(from ? &from->at : &loop->at, to ? to->at : loop->at, loop);
    arrive(loop, mine);
}

/* Compiled twice, so that from coroutine to coroutine, which is what most switches are, nothing is asked. */
static void switch_to(yk_loop *loop, yk_coroutine *from, yk_coroutine *to)
{
    if (YK_LIKELY(from && to && from != to))
        change(loop, from, to); /* NOLINT(bugprone-branch-clone) */
    else if (from != to)
        change(loop, from, to);
}

static yk_coroutine *take_ready(yk_loop *loop)
{
    yk_coroutine *co = loop->ready;
    loop->ready = co->next;
    if (!loop->ready)
        loop->ready_end = &loop->ready;
    else
        __builtin_prefetch(loop->ready->at); /* with a thousand of them each switch else waits for its stack */
    loop->nready--;
    return co;
}

/* Who runs next without a look at the clock; NULL: the loop itself. */
static yk_coroutine *next_of(yk_loop *loop)
{
    if (loop->budget == 0 || !loop->ready)
        return NULL;
    loop->budget--;
    return take_ready(loop);
}

void yk_run_ready(yk_loop *loop)
{
    if (YK_UNLIKELY(loop->tested != NULL))
        yk_tested_choose(loop);
    switch_to(loop, NULL, take_ready(loop));
}

static void make_ready_first(yk_coroutine *co)
{
    yk_loop *loop = co->loop;
    co->next = loop->ready;
    if (!loop->ready)
        loop->ready_end = &co->next;
    loop->ready = co;
    loop->nready++;
}

void yk_run_now(yk_coroutine *co)
{
    yk_loop *loop = co->loop;
    if (!loop->running) {
        make_ready_first(co);
        return;
    }
    yk_coroutine *from = loop->running;
    make_ready_first(from);
    switch_to(loop, from, co);
}

/* ---- Waiting ---- */

int yk_wait_point(void)
{
    enum { MOST_IN_A_ROW = 128 };
    yk_coroutine *co = yk_coroutine_here();
    if (!co)
        return 0;
    if (co->loop->in_a_row++ < MOST_IN_A_ROW)
        return yk_cancel_point_of(co);
    co->loop->in_a_row = 0;
    int err = yk_cancel_point_of(co);
    return err < 0 ? err : yk_pass();
}

static void too_late(yk_alarm *a)
{
    yk_park *p = (yk_park *)(void *)((char *)a - offsetof(yk_park, alarm));
    if (p->asked || p->coroutine->park != p) /* which an alarm just before this one has resumed */
        return;
    p->asked = p->late = true;
    if (p->abort(p))
        yk_resume(p, -ECANCELED);
}

int yk_suspend(yk_park *p, int64_t deadline)
{
    yk_loop *loop = yk_loop_mine;
    yk_coroutine *co = loop->running;
    p->coroutine = co;
    p->asked = p->late = false;
    p->alarm = (yk_alarm){.ring = too_late};
    if (deadline != YOKE_FOREVER)
        yk_alarm_set(loop, &p->alarm, deadline);
    p->since = YK_UNLIKELY(loop->watched) ? yk_loop_now(loop) : 0;
    co->park = p;
    if (YK_UNLIKELY(loop->tested != NULL))
        yk_tested_parked(co);
    switch_to(loop, co, next_of(loop));
    if (co->result == -ECANCELED && p->late)
        return -ETIMEDOUT;
    if (co->result == -ECANCELED && p->asked)
        yk_scope_tell(co);
    return co->result;
}

void yk_resume(yk_park *p, int result)
{
    yk_coroutine *co = p->coroutine;
    co->result = result;
    co->park = NULL;
    yk_alarm_clear(co->loop, &p->alarm);
    yk_make_ready(co);
}

int yk_pass(void)
{
    yk_loop *loop = yk_loop_mine;
    yk_coroutine *co = loop->running;
    yk_make_ready(co);
    switch_to(loop, co, next_of(loop));
    return yk_cancel_point_of(co);
}

/* ---- Beginning and ending ---- */

/* Others may ask how many there are. */
static void count(yk_loop *loop, int more)
{
    loop->coroutines += (size_t)more;
    atomic_store_explicit(&loop->who.alive, loop->coroutines, memory_order_relaxed);
}

static void end(yk_loop *loop, yk_coroutine *co, int code)
{
    if (YK_UNLIKELY(co->scope != (co->group ? &co->group->scope : NULL)))
        yk_scope_left_open(co);
    yk_scope_inside(co, NULL);
    if (co->group)
        yk_group_child_ended(co->group, co, code);
    if (yk_who_mine)
        yk_who_end(yk_who_mine);
    yk_who_mine = NULL;
    YK_LIST_LEAVE(co, all_next, all_link);
    count(loop, -1);
    loop->ended_count++;
    if (co->main || (loop->draining && loop->coroutines == 0))
        loop->stop = true;
}

static void entry(void *passed)
{
    yk_loop *loop = passed;
    yk_coroutine *co = loop->running;
    arrive(loop, &co->fiber);
    end(loop, co, co->fn(co->arg));
    loop->ended = co;
    yk_coroutine *to = next_of(loop);
    set_running(loop, co, to);
    yk_fiber_leave(&co->fiber, to ? &to->fiber : &loop->fiber, true);
    yk_switch(&co->at, to ? to->at : loop->at, loop);
    __builtin_unreachable();
}

/* As holder of locks each coroutine is somebody of its own: ids of the thread that are younger than it; see sync/self.h. Not so
 * young that the thread would seem to be of another age: after a billion and a half of coroutines they begin again. */
static uint64_t new_self(yk_loop *loop)
{
    return loop->self + ((loop->started++ % 0x60000000 + 1) << 32);
}

yk_coroutine *yk_coroutine_new(yk_loop *loop, size_t size, int (*fn)(void *arg), void *arg)
{
    yk_stack stack;
    if (yk_stack_take(loop->stacks, size > 0 ? size : YK_STACK_SIZE, &stack) < 0)
        return NULL;
    yk_coroutine *co = (yk_coroutine *)(void *)(stack.top - RECORD_ROOM);
    yk_clear(co, sizeof *co);
    co->loop = loop;
    co->fn = fn;
    co->arg = arg;
    co->stack = stack;
    co->context.running.run = yk_current_run();
    co->fp = loop->fp;
    co->context.self.id = new_self(loop);
    co->number = loop->started;
    co->at = yk_switch_prepare(co, entry);
    yk_fiber_init(&co->fiber, stack.low, (size_t)(stack.top - stack.low));
    YK_LIST_ENTER(&loop->all, co, all_next, all_link);
    count(loop, 1);
    return co;
}

/* Also by a thread that looks at what holds up the loop (hog.c), while another coroutine may just begin in the same place: then
 * it has that one's name. */
__attribute__((no_sanitize_thread)) const char *yk_coroutine_name(const yk_coroutine *co, char *buffer, size_t size)
{
    if (co->name)
        return co->name;
    Dl_info about;
    if (dladdr((void *)(uintptr_t)co->fn, &about) && about.dli_sname && about.dli_saddr == (void *)(uintptr_t)co->fn)
        return about.dli_sname;
    snprintf(buffer, size, "coroutine %llu", (unsigned long long)co->number);
    return buffer;
}

yk_who_loop *yk_coroutine_introduce(yk_blocking *b, char *name, size_t size)
{
    yk_loop *loop = (yk_loop *)(void *)((char *)b - offsetof(yk_loop, blocking));
    char made[32];
    const char *is = yk_coroutine_name(loop->running, made, sizeof made);
    size_t len = strnlen(is, size - 1);
    memcpy(name, is, len);
    name[len] = '\0';
    return &loop->who;
}
