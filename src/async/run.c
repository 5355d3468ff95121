/* run: a loop in the thread that asks for one, and what its coroutines can ask about it. */
#include "async/async.h"
#include <stdlib.h>

typedef struct first {
    int (*fn)(void *arg);
    void *arg;
    int code;
} first;

static int run_first(void *arg)
{
    first *f = arg;
    f->code = f->fn(f->arg);
    return 0;
}

static _Thread_local yk_error last_error; /* "" when the function was called */

const char *yoke_async_error(void)
{
    return last_error.text;
}

int yoke_async_run(int (*fn)(void *arg), void *arg)
{
    if (!fn)
        return yk_errorf(&last_error, EINVAL, "no function to run");
    if (yk_loop_here())
        return yk_errorf(&last_error, EBUSY, "this is a coroutine already, where the function can simply be called");
    yk_loop *loop;
    first f = {fn, arg, 0};
    int err = yk_loop_open(&loop, &last_error);
    if (err < 0)
        return err;
    yk_coroutine *co = yk_coroutine_new(loop, 0, run_first, &f);
    if (co) {
        co->main = true;
        co->name = "first";
        last_error.text[0] = '\0'; /* of a backend that was tried before */
        yk_make_ready(co);
        yk_loop_run(loop);
        last_error.text[0] = '\0'; /* what the function asked for in vain is its own affair */
    }
    yk_loop_close(loop);
    return co ? f.code : yk_errorf(&last_error, ENOMEM, "no memory for the stack of a coroutine");
}

const char *yoke_async_backend(void)
{
    return yk_coroutine_here() ? yk_loop_here()->io->name : "";
}

yk_loop *yoke_async_loop(void)
{
    return yk_loop_here();
}

typedef struct call {
    yk_post post;
    void (*fn)(void *arg);
    void *arg;
} call;

static void make_call(yk_post *p)
{
    call c = *(call *)(void *)p;
    free(p);
    c.fn(c.arg);
}

int yoke_async_call(yk_loop *loop, void (*fn)(void *arg), void *arg)
{
    if (!loop || !fn)
        return -EINVAL;
    call *c = yk_sys.malloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    *c = (call){{NULL, make_call}, fn, arg};
    yk_loop_post(loop, &c->post);
    return 0;
}

int yoke_async_stats(yoke_async_counts *ret)
{
    yk_loop *loop = yk_loop_here();
    if (!loop || !loop->running || !ret)
        return -EINVAL;
    *ret = (yoke_async_counts){
        .coroutines = loop->coroutines, .ready = loop->nready, .parked = loop->coroutines - loop->nready - 1,
        .timers = loop->ntimers, .operations = loop->io->under_way(loop->backend),
        .started = loop->started, .ended = loop->ended_count, .switches = loop->switches, .polls = loop->polls,
        .longest = __atomic_load_n(&loop->longest, __ATOMIC_RELAXED)};
    yk_stack_stats stacks;
    yk_stack_pool_stats(loop->stacks, &stacks);
    ret->stacks = stacks.warm;
    ret->stack_bytes = stacks.mapped;
    return 0;
}
