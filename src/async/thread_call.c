/* thread_call: a function that blocks, called in another thread while a coroutine waits for what it returns.
 *
 * The call lies on the stack of who waits, and so the wait cannot end before fn does. Who abandons does not want to wait: that
 * call lies on the heap, and one word says who was first, the thread with the result or the loop with the cancel. The other one
 * of the two gives it back. The loop may be gone by then. */
#include "async/async.h"
#include "async/offload.h"
#include <stdlib.h>

typedef struct call {
    yk_op op; /* first */
    yk_park park;
    int (*fn)(void *arg);
    void *arg;
    int code;
} call;

static void work(yk_op *op)
{
    call *c = (call *)(void *)op;
    c->code = c->fn(c->arg);
}

static void back(yk_op *op)
{
    yk_resume(&((call *)(void *)op)->park, 0);
}

static bool not_begun(yk_park *p)
{
    return yk_offload_cancel((yk_op *)(void *)((char *)p - offsetof(call, park)));
}

int yoke_to_thread(int (*fn)(void *arg), void *arg)
{
    yk_coroutine *co = yk_coroutine_here();
    if (!fn)
        return -EINVAL;
    if (!co)
        return fn(arg);
    call c = {.op.done = back, .fn = fn, .arg = arg,
              .park = {.abort = not_begun, .what = "another thread", .number = -1, .outside = true}};
    int err = yk_cancel_point();
    if (err == 0)
        err = yk_offload_only(&c.op, co->loop, work);
    if (err == 0)
        err = yk_suspend(&c.park, YOKE_FOREVER);
    return err < 0 ? err : c.code;
}

/* ---- The other ---- */

enum { WAITED_FOR, RETURNED, ABANDONED };

typedef struct loose {
    yk_op op; /* first */
    yk_post post;
    _Atomic int state;
    yk_loop *loop;
    yk_park *park; /* on the stack of who waits */
    int (*fn)(void *arg);
    void *arg;
    void (*drop)(void *arg);
    int code;
} loose;

static void let_go(loose *l)
{
    if (l->drop)
        l->drop(l->arg);
    free(l);
}

static void come_back(yk_post *p)
{
    loose *l = (loose *)(void *)((char *)p - offsetof(loose, post));
    yk_resume(l->park, 0);
}

static void work_loose(yk_op *op)
{
    loose *l = (loose *)(void *)op;
    int before = WAITED_FOR;
    l->code = l->fn(l->arg);
    /* Pairs with the exchange in abandon(): whoever is second sees what the first has left. */
    if (!atomic_compare_exchange_strong_explicit(&l->state, &before, RETURNED, memory_order_acq_rel, memory_order_acquire)) {
        let_go(l);
        return;
    }
    l->post.fn = come_back;
    yk_loop_post(l->loop, &l->post);
}

/* The park is also given up for good when the function has not begun: then nobody else has the call, and whoever waits lets go of
 * it. Not here, where a scope is just telling its coroutines: drop() may be long, and may wait. */
static bool abandon(yk_park *p)
{
    loose *l = (loose *)(uintptr_t)p->object;
    int before = WAITED_FOR;
    if (yk_offload_cancel(&l->op)) {
        p->object = NULL;
        return true;
    }
    return atomic_compare_exchange_strong_explicit(&l->state, &before, ABANDONED, memory_order_acq_rel, memory_order_acquire);
}

/* -ECANCELED, whoever says so: arg is dropped. */
static int dropped(void (*drop)(void *arg), void *arg, int code)
{
    if (code == -ECANCELED && drop)
        drop(arg);
    return code;
}

int yoke_to_thread_abandon(int (*fn)(void *arg), void *arg, void (*drop)(void *arg))
{
    yk_coroutine *co = yk_coroutine_here();
    if (!fn)
        return -EINVAL;
    if (!co)
        return dropped(drop, arg, fn(arg));
    int err = yk_cancel_point();
    if (err < 0)
        return dropped(drop, arg, err);
    loose *l = yk_sys.malloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    yk_park park = {.abort = abandon, .what = "another thread", .number = -1, .object = l, .outside = true};
    *l = (loose){.loop = co->loop, .park = &park, .fn = fn, .arg = arg, .drop = drop};
    err = yk_offload_only(&l->op, NULL, work_loose);
    if (err < 0) {
        free(l);
        return err;
    }
    err = yk_suspend(&park, YOKE_FOREVER);
    if (err < 0) {
        if (!park.object)
            let_go(l);
        return err;
    }
    int code = l->code;
    free(l);
    return dropped(drop, arg, code);
}
