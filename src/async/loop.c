/* loop: one thread's coroutines, its clock, what others hand it, and what it waits with.
 *
 * An iteration: do what others have posted; ring the alarms that are due; let coroutines run, for a while (BUDGET switches) when
 * there are always more; then see what the kernel has, waiting for it only when no coroutine can go on. */
#include "async/hog.h"
#include "async/offload.h"
#include "sync/self.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Enough that a look at the kernel costs a switch a few nanoseconds; as rarely as tokio looks. */
enum { BUDGET = 61 };

static struct {
    yk_mutex lock;
    yk_loop *first;
} loops;

void yk_each_loop(void (*fn)(yk_loop *loop, void *arg), void *arg)
{
    yk_mutex_lock(&loops.lock);
    for (yk_loop *loop = loops.first; loop; loop = loop->next)
        fn(loop, arg);
    yk_mutex_unlock(&loops.lock);
}

/* Of a coroutine that becomes a thread for a while. */
static void pin(yk_blocking *b, bool on)
{
    yk_loop *loop = (yk_loop *)(void *)((char *)b - offsetof(yk_loop, blocking));
    yk_loop_mine = on ? NULL : loop;
    yk_blocked_hook = on ? NULL : b;
}

static void enlist(yk_loop *loop)
{
    yk_mutex_lock(&loops.lock);
    loop->next = loops.first;
    loops.first = loop;
    yk_mutex_unlock(&loops.lock);
}

static void unlist(yk_loop *loop)
{
    yk_mutex_lock(&loops.lock);
    yk_loop **at = &loops.first;
    while (*at && *at != loop)
        at = &(*at)->next;
    if (*at)
        *at = loop->next;
    yk_mutex_unlock(&loops.lock);
}

/* In a child made by fork() there is no thread of any loop but, perhaps, this one's. */
static void forget_parent(void)
{
    loops.lock = (yk_mutex){0};
    loops.first = yk_loop_mine;
    if (yk_loop_mine) {
        yk_loop_mine->next = NULL;
        atomic_store_explicit(&yk_loop_mine->posting, 0, memory_order_relaxed); /* they stayed behind */
        yk_loop_mine->thread = pthread_self();
        yk_loop_mine->tid = gettid();
    }
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

/* ---- The clock ---- */

int64_t yk_loop_now(yk_loop *loop)
{
    return yoke_now();
}

void yk_alarm_set(yk_loop *loop, yk_alarm *a, int64_t when)
{
    yk_wheel_set(&loop->timers, &a->timer, when);
    loop->ntimers += yk_wheel_is_set(&a->timer);
}

void yk_alarm_clear(yk_loop *loop, yk_alarm *a)
{
    if (!yk_wheel_is_set(&a->timer))
        return;
    yk_wheel_clear(&loop->timers, &a->timer);
    loop->ntimers--;
}

/* All that are due are off by now. One may clear another, which rings all the same: so each looks whether it is still wanted.
 * None sets another, nor does any coroutine run meanwhile. */
static void ring_alarms(yk_loop *loop)
{
    if (loop->ntimers == 0)
        return;
    loop->now = yk_loop_now(loop);
    yk_wheel_timer *due = yk_wheel_expire(&loop->timers, loop->now);
    for (yk_wheel_timer *next; due; due = next) {
        next = due->next;
        loop->ntimers--;
        yk_alarm *a = (yk_alarm *)(void *)due;
        a->ring(a);
    }
}

/* ---- What others hand it ---- */

/* Once the post is there, the loop may do it, end, and close: `posting` keeps it until we have let go of it. */
void yk_loop_post(yk_loop *loop, yk_post *p)
{
    atomic_fetch_add_explicit(&loop->posting, 1, memory_order_relaxed);
    yk_post *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do
        p->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, p, memory_order_seq_cst, memory_order_relaxed));
    /* Pairs with may_sleep(): either it sees the post, or this sees it asleep. */
    if (atomic_load_explicit(&loop->sleeping, memory_order_seq_cst) &&
        atomic_exchange_explicit(&loop->sleeping, false, memory_order_seq_cst))
        loop->io->wake(loop->backend);
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release); /* pairs with wait_for_posters() */
}

static void wait_for_posters(yk_loop *loop)
{
    while (atomic_load_explicit(&loop->posting, memory_order_acquire) > 0)
        sched_yield();
}

/* One of them may fork(): in the child the rest is found in loop->doing. */
static void do_posted(yk_loop *loop)
{
    if (!atomic_load_explicit(&loop->posted, memory_order_relaxed))
        return;
    yk_post *p = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire), *in_order = NULL;
    for (yk_post *next; p; p = next) {
        next = p->next;
        p->next = in_order;
        in_order = p;
    }
    loop->doing = in_order;
    while ((p = loop->doing) != NULL) {
        loop->doing = p->next;
        p->fn(p);
    }
}

static bool is_handed_something(yk_who_loop *who)
{
    yk_loop *loop = (yk_loop *)(void *)((char *)who - offsetof(yk_loop, who));
    return atomic_load_explicit(&loop->posted, memory_order_relaxed) != NULL;
}

static bool may_sleep(yk_loop *loop)
{
    if (loop->ready || loop->stop)
        return false;
    atomic_store_explicit(&loop->sleeping, true, memory_order_seq_cst);
    return !atomic_load_explicit(&loop->posted, memory_order_seq_cst);
}

/* ---- Iterations ---- */

/* The backend cannot wait: in a child made by fork(), where it is the parent's, or because somebody has closed its descriptor. So
 * as not to go round without a pause, a short one instead. */
static void nap(int64_t until)
{
    enum { NAP = 1000 * 1000 };
    static _Atomic uint32_t never; /* nobody wakes */
    yk_futex_wait(&never, 0, YK_MIN(until, yk_after(NAP)), false);
}

static void look(yk_loop *loop)
{
    if (YK_UNLIKELY(loop->rest != NULL) && !loop->ready)
        loop->rest(loop, true);
    bool sleep = may_sleep(loop);
    int64_t until = sleep ? yk_wheel_next(&loop->timers) : 0;
    loop->polls++;
    if (YK_UNLIKELY(loop->io->poll(loop->backend, until) < 0) && sleep)
        nap(until);
    atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
    if (YK_UNLIKELY(loop->rest != NULL))
        loop->rest(loop, false);
}

void yk_loop_run(yk_loop *loop)
{
    while (!loop->stop) {
        do_posted(loop);
        ring_alarms(loop);
        if (loop->ready) {
            loop->budget = YK_LIKELY(!loop->tested) ? BUDGET : yk_tested_budget(loop, BUDGET);
            yk_run_ready(loop);
        }
        if (YK_UNLIKELY(loop->tested != NULL))
            yk_tested_look(loop);
        else if (!loop->ready || loop->io->under_way(loop->backend) > 0)
            look(loop);
    }
}

/* ---- Beginning and ending ---- */

static int choose_backend(yk_loop *loop, const char *wanted, yk_error *e)
{
    bool any = !wanted || !*wanted || strcmp(wanted, "auto") == 0;
    const yk_backend_type *const types[] = {&yk_uring_backend, &yk_epoll_backend};
    int err = yk_errorf(e, EINVAL, "YOKE_ASYNC_BACKEND is \"%s\"; it can be io_uring, epoll or auto", any ? "" : wanted);
    for (unsigned i = 0; i < YK_COUNT_OF(types); i++) {
        if (!any && strcmp(wanted, types[i]->name) != 0)
            continue;
        loop->io = types[i];
        err = loop->io->open(&loop->backend, e);
        if (err == 0)
            return 0;
    }
    return err;
}

static int64_t limit_in_coroutine(yk_blocking *b)
{
    return yoke_effective_deadline();
}

int yk_loop_open(yk_loop **ret, yk_error *e)
{
    return yk_loop_open_with(getenv("YOKE_ASYNC_BACKEND"), ret, e);
}

int yk_loop_open_with(const char *backend, yk_loop **ret, yk_error *e)
{
    void *memory;
    if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, sizeof(yk_loop)) != 0)
        return yk_errorf(e, ENOMEM, "out of memory");
    yk_loop *loop = memory;
    memset(loop, 0, sizeof *loop);
    loop->ready_end = &loop->ready;
    loop->thread = pthread_self();
    loop->tid = gettid();
    loop->blocking = (yk_blocking){.wait = yk_wait_in_coroutine, .pin = pin, .limit = limit_in_coroutine,
                                   .introduce = yk_coroutine_introduce, .thread = yk_who_self()};
    loop->who.busy = is_handed_something;
    loop->self = yk_self_id();
    yk_fiber_of_thread(&loop->fiber);
    int err = yk_stack_pool_open(&loop->stacks);
    if (err < 0) {
        yk_errorf(e, err, "no memory for stacks");
        goto fail_loop;
    }
    err = choose_backend(loop, backend, e);
    if (err < 0)
        goto fail_stacks;
    yk_wheel_init(&loop->timers, yk_loop_now(loop));
    enlist(loop);
    yk_who_loop_begin(&loop->who);
    yk_wait_hook_up();
    yk_stack_watch(loop->stacks);
    yk_hog_watch(loop);
    yk_dump_on_signal();
    yk_loop_enter(loop);
    *ret = loop;
    return 0;
fail_stacks:
    yk_stack_pool_close(loop->stacks);
fail_loop:
    free(loop);
    return err;
}

void yk_loop_drain(yk_loop *loop)
{
    loop->draining = true;
    if (loop->coroutines == 0)
        loop->stop = true;
}

/* Connections that were closed just now may still be with the kernel. What was left open stays open, so not for ever. */
static void let_go(yk_loop *loop)
{
    enum { PATIENCE = 100 };
    int64_t end = yk_real_now() + PATIENCE * YOKE_MS, left; /* a test's clock stands still */
    while (loop->io->under_way(loop->backend) > 0 && (left = end - yk_real_now()) > 0)
        if (loop->io->poll(loop->backend, yk_after(left)) < 0)
            return;
}

static void leave(yk_loop *loop)
{
    yk_loop_enter(NULL);
    unlist(loop);
    yk_who_loop_end(&loop->who);
    yk_stack_unwatch(loop->stacks);
}

void yk_loop_abandon(yk_loop *loop)
{
    static yk_loop *abandoned;
    leave(loop);
    yk_mutex_lock(&loops.lock);
    loop->next = abandoned;
    abandoned = loop;
    yk_mutex_unlock(&loops.lock);
}

void yk_loop_close(yk_loop *loop)
{
    leave(loop);
    wait_for_posters(loop);
    do_posted(loop);
    yk_offload_leave(loop);
    let_go(loop);
    loop->io->close(loop->backend);
    yk_stack_pool_close(loop->stacks);
    free(loop->waits);
    free(loop);
}
