/* executor: `async[:N]`, the executor whose jobs are coroutines, on N loops with a thread each.
 *
 * Jobs that have not begun wait in one queue for all loops. A loop is told by a post that there are some; it makes coroutines,
 * each of which takes the next job when it comes to run, and tells the next loop when there are several. Once begun a job stays
 * where it is. Each runs in a scope of its own, which yoke_cancel() and the job's deadline cancel, so that its waits end.
 *
 * `lock` guards the queue, the lists of cancels, and job->owner.data, which leads from a job that runs to its record. */
#include "async/async.h"
#include "base/list.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLASSES = 3, ENOUGH = 64, MOST_LOOPS = 256, WANTED = 64 };

typedef struct member member;

/* A job that runs; on its coroutine's stack. */
typedef struct running {
    yk_job *job;
    member *on;
    yoke_scope scope;
    struct running *next, **link; /* among those to be cancelled; link NULL: it is not */
} running;

typedef struct async async;

/* A loop of the executor. */
struct member {
    async *all;
    unsigned number;
    pthread_t thread;
    yk_loop *loop;
    yk_post post;          /* there is something to look at */
    _Atomic bool posted;
    _Atomic bool starved;  /* there was no stack for a job; when a coroutine ends there is. Written by its loop */
    uint64_t ended;        /* how many had ended by then */
    bool stuck;            /* guarded by all->lock, as is wanted; see starve() */
    yk_job *wanted[WANTED]; /* with a reference each */
    unsigned nwanted;
    running *cancels;      /* guarded by all->lock */
    yk_error error;        /* why it has no loop */
    _Atomic uint32_t state; /* 0: starting; 1: it has a loop; 2: it has none */
};

struct async {
    yoke_executor ex;
    yk_mutex lock;
    yk_job *first[CLASSES], **end[CLASSES]; /* by priority: above 0, 0, below */
    size_t waiting;
    unsigned turn;         /* the loop that is told next */
    bool ending;           /* every job has ended; guarded by lock */
    _Atomic uint32_t tellers; /* threads that may tell a loop something: those of the loops that run, and who ends them */
    unsigned members;
    member *member;
};

static unsigned class_of(const yk_job *job)
{
    return job->opts.priority > 0 ? 0 : job->opts.priority == 0 ? 1 : 2;
}

/* ---- The queue ---- */

static void append(async *a, yk_job *job)
{
    unsigned c = class_of(job);
    job->next = NULL;
    *a->end[c] = job;
    a->end[c] = &job->next;
    a->waiting++;
}

/* The next; NULL: there is none. */
static yk_job *take(async *a)
{
    yk_job *job = NULL;
    yk_mutex_lock(&a->lock);
    for (unsigned c = 0; c < CLASSES && !job; c++) {
        job = a->first[c];
        if (!job)
            continue;
        a->first[c] = job->next;
        if (!job->next)
            a->end[c] = &a->first[c];
        a->waiting--;
    }
    yk_mutex_unlock(&a->lock);
    return job;
}

static void tell(member *m)
{
    if (!atomic_exchange_explicit(&m->posted, true, memory_order_acq_rel))
        yk_loop_post(m->loop, &m->post);
}

/* The loop of the caller, if it is one of ours, else the next. */
static member *whom_to_tell(async *a)
{
    yk_loop *here = yk_loop_here();
    for (unsigned i = 0; here && i < a->members; i++)
        if (a->member[i].loop == here)
            return &a->member[i];
    return &a->member[a->turn++ % YK_MAX(a->members, 1u)];
}

static void async_submit(yoke_executor *ex, yk_job *job)
{
    async *a = (async *)ex;
    yk_mutex_lock(&a->lock);
    append(a, job);
    member *m = whom_to_tell(a);
    yk_mutex_unlock(&a->lock);
    tell(m);
}

/* ---- One job ---- */

/* A cancel since the claim has set its flag, and perhaps has not found r yet. */
static void begin(running *r)
{
    yoke_scope_begin(&r->scope);
    yk_mutex_lock(&r->on->all->lock);
    r->job->owner.data = r;
    yk_mutex_unlock(&r->on->all->lock);
    if (atomic_load_explicit(&r->job->state, memory_order_acquire) & YK_CANCEL)
        yoke_scope_cancel(&r->scope);
}

static bool is_starved(const member *m)
{
    return atomic_load_explicit(&m->starved, memory_order_relaxed);
}

/* When it has gone another coroutine may have its stack. */
static void leave(member *m)
{
    if (is_starved(m))
        tell(m);
}

static void end(running *r)
{
    yk_mutex_lock(&r->on->all->lock);
    if (r->job->owner.data == r) /* else its next attempt has begun already */
        r->job->owner.data = NULL;
    if (r->link)
        YK_LIST_LEAVE(r, next, link);
    yk_mutex_unlock(&r->on->all->lock);
    yoke_scope_end(&r->scope);
}

/* The coroutine of a job. Which one it is, is decided only now that it runs: until then another loop may take it. */
static int run(void *arg)
{
    member *m = arg;
    yk_job *job;
    while ((job = take(m->all)) && !yk_job_claim(job))
        yk_job_drop(job);
    if (job) {
        running r = {.job = job, .on = m};
        yk_coroutine_here()->name = job->task->name;
        yoke_ref(job);
        begin(&r);
        yk_job_execute(job, m->number);
        end(&r);
        yoke_release(job);
    }
    leave(m);
    return 0;
}

static bool async_cancel(yoke_executor *ex, yk_job *job, bool expired)
{
    async *a = (async *)ex;
    yk_mutex_lock(&a->lock);
    running *r = job->owner.data;
    member *m = r ? r->on : NULL;
    if (r && !r->link)
        YK_LIST_ENTER(&m->cancels, r, next, link);
    yk_mutex_unlock(&a->lock);
    if (m)
        tell(m);
    return false;
}

/* ---- Jobs for which there is no stack ----
 *
 * A loop without stacks is stuck when all of its coroutines wait for jobs of this executor, or for each other: then none of them
 * will end, and leave its stack, before such a job has. When all loops are, the jobs that have not begun never will. So those of
 * them that are waited for fail, a few at a time, and whoever waits for them goes on. What waits for anything else, a lock, a
 * descriptor, a time, a job of another executor, may be woken by somebody who is not known here, and so its loop is not stuck. */

static bool is_stuck(const yk_coroutine *co, const async *a, yk_job **wanted)
{
    const yk_run *run = co->context.running.run;
    const yk_wish *wish = co->context.who ? co->context.who->wish : NULL;
    if (!co->park || (run && run->deadline != YOKE_FOREVER))
        return false;
    return yk_group_is_waited_for(co) || (wish && yk_wish_needs(wish, &a->ex, wanted));
}

/* At most an eighth of the coroutines need fail, so that looking at all of them is worth it; others can begin then. */
static bool find_wanted(member *m, yk_job **wanted, unsigned *n)
{
    size_t most = YK_MIN(m->loop->coroutines / 8 + 1, (size_t)WANTED);
    bool stuck = true;
    yk_mutex_lock(&yk_who_lock); /* wishes */
    for (const yk_coroutine *co = m->loop->all; co && stuck; co = co->all_next) {
        yk_job *job = NULL;
        stuck = is_stuck(co, m->all, *n < most ? &job : NULL);
        if (job)
            wanted[(*n)++] = job;
    }
    yk_mutex_unlock(&yk_who_lock);
    return stuck;
}

static void refuse(yk_job *job)
{
    yk_job_abort_unstarted(job, -ENOMEM, "there is no stack for its coroutine, and those that have one all wait for such jobs");
}

/* With nobody who waits for one, none will ever begin: the first fails. */
static void refuse_first(member *m)
{
    yk_job *job = take(m->all);
    if (!job)
        return;
    refuse(job);
    yk_job_drop(job);
}

static void release_all(yk_job **jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        yoke_release(jobs[i]);
}

/* The jobs that are waited for, once all loops are stuck; guarded by lock. What has been handed to a loop wakes it. */
static bool take_wanted(async *a, yk_job **wanted, unsigned *n)
{
    if (a->waiting == 0)
        return false;
    for (unsigned i = 0; i < a->members; i++) {
        const member *m = &a->member[i];
        if (!m->stuck || !is_starved(m) || atomic_load_explicit(&m->loop->posted, memory_order_acquire))
            return false;
    }
    for (unsigned i = 0; i < a->members && *n == 0; i++) {
        member *m = &a->member[i];
        memcpy(wanted, m->wanted, m->nwanted * sizeof *wanted);
        *n = m->nwanted;
        m->nwanted = 0;
    }
    return true;
}

static void begin_rest(member *m)
{
    yk_job *wanted[WANTED];
    unsigned n = 0;
    if (m->ended != m->loop->ended_count) {
        tell(m); /* a coroutine that was not a job has left a stack */
        return;
    }
    bool stuck = m->loop->ntimers == 0 && m->loop->io->under_way(m->loop->backend) == 0 && find_wanted(m, wanted, &n);
    if (!stuck) {
        release_all(wanted, n);
        return;
    }
    yk_mutex_lock(&m->all->lock);
    m->stuck = true;
    m->nwanted = n;
    memcpy(m->wanted, wanted, n * sizeof *wanted);
    n = 0;
    bool hopeless = take_wanted(m->all, wanted, &n);
    yk_mutex_unlock(&m->all->lock);
    for (unsigned i = 0; i < n && hopeless; i++)
        refuse(wanted[i]);
    release_all(wanted, n);
    if (hopeless && n == 0)
        refuse_first(m);
    if (hopeless)
        tell(m); /* to look again: who waits for all of several jobs does not go on yet */
}

static void end_rest(member *m)
{
    yk_job *wanted[WANTED];
    yk_mutex_lock(&m->all->lock);
    unsigned n = m->nwanted;
    memcpy(wanted, m->wanted, n * sizeof *wanted);
    m->nwanted = 0;
    m->stuck = false;
    yk_mutex_unlock(&m->all->lock);
    release_all(wanted, n);
}

static void rest(yk_loop *loop, bool begins)
{
    if (begins)
        begin_rest(loop->member);
    else
        end_rest(loop->member);
}

/* Whether there was a stack when one was wanted last. */
static void starve(member *m, bool starved)
{
    m->ended = m->loop->ended_count;
    m->loop->rest = starved ? rest : NULL;
    atomic_store_explicit(&m->starved, starved, memory_order_relaxed);
}

/* ---- What a loop does when it is told ---- */

static void do_cancels(member *m)
{
    for (;;) {
        yk_mutex_lock(&m->all->lock);
        running *r = m->cancels;
        if (r)
            YK_LIST_LEAVE(r, next, link);
        yk_mutex_unlock(&m->all->lock);
        if (!r)
            return;
        yoke_scope_cancel(&r->scope); /* its coroutine does not run meanwhile */
    }
}

/* Another loop that may have stacks yet: one that has none is not asked, or two of them would ask each other without end. */
static void tell_another(member *m)
{
    async *a = m->all;
    for (unsigned i = 1; i < a->members; i++) {
        member *other = &a->member[(m->number + i) % a->members];
        if (is_starved(other))
            continue;
        tell(other);
        return;
    }
}

/* As many coroutines as there are jobs, and as make it busy for a while. */
static void start_some(member *m, size_t waiting)
{
    size_t n = m->loop->nready < ENOUGH ? YK_MIN(waiting, ENOUGH - m->loop->nready) : 0;
    bool starved = false;
    for (size_t i = 0; i < n && !starved; i++) {
        yk_coroutine *co = yk_coroutine_new(m->loop, 0, run, m);
        starved = !co;
        if (co) {
            co->context.running.run = NULL;
            yk_make_ready(co);
        }
    }
    starve(m, starved);
    if (waiting > 1 || starved)
        tell_another(m);
    if (waiting > n && !starved)
        tell(m); /* again, when these have run for a while */
}

/* What is in the queue was cancelled there. */
static void end_loop(member *m)
{
    for (yk_job *job; (job = take(m->all));)
        yk_job_drop(job);
    yk_loop_drain(m->loop);
}

static void look(yk_post *p)
{
    member *m = (member *)(void *)((char *)p - offsetof(member, post));
    atomic_store_explicit(&m->posted, false, memory_order_release);
    do_cancels(m);
    yk_mutex_lock(&m->all->lock);
    size_t waiting = m->all->waiting;
    bool ending = m->all->ending;
    yk_mutex_unlock(&m->all->lock);
    if (ending)
        end_loop(m);
    else
        start_some(m, waiting);
}

/* The caller tells nobody any more. How many still may. */
static uint32_t fall_silent(async *a)
{
    uint32_t left = atomic_fetch_sub_explicit(&a->tellers, 1, memory_order_acq_rel) - 1;
    if (left == 0)
        yk_futex_wake(&a->tellers, INT_MAX, false);
    return left;
}

/* Loops tell each other that there are jobs: so none is closed before all have stopped. */
static void wait_for_others(async *a)
{
    for (uint32_t left = fall_silent(a); left > 0; left = atomic_load_explicit(&a->tellers, memory_order_acquire))
        yk_futex_wait(&a->tellers, left, YOKE_FOREVER, false);
}

static void *member_thread(void *arg)
{
    member *m = arg;
    char name[16];
    snprintf(name, sizeof name, "yoke-async-%u", m->number % 1000);
    pthread_setname_np(pthread_self(), name);
    bool opened = yk_loop_open(&m->loop, &m->error) == 0;
    if (opened) {
        m->loop->member = m;
        atomic_fetch_add_explicit(&m->all->tellers, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&m->state, opened ? 1 : 2, memory_order_release);
    yk_futex_wake(&m->state, 1, false);
    if (!opened)
        return NULL;
    yk_loop_run(m->loop);
    wait_for_others(m->all);
    yk_loop_close(m->loop);
    return NULL;
}

/* ---- Opening and closing ---- */

/* The first n, all of which have loops. */
static void stop_members(async *a, unsigned n)
{
    atomic_fetch_add_explicit(&a->tellers, 1, memory_order_relaxed);
    yk_mutex_lock(&a->lock);
    a->ending = true;
    yk_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < n; i++)
        tell(&a->member[i]);
    fall_silent(a);
    for (unsigned i = 0; i < n; i++)
        pthread_join(a->member[i].thread, NULL);
}

static int start_member(async *a, unsigned i, yk_error *e)
{
    member *m = &a->member[i];
    m->all = a;
    m->number = i;
    m->post.fn = look;
    int err = yk_thread_start(&m->thread, 0, member_thread, m);
    if (err < 0)
        return yk_errorf(e, err, "no thread for loop %u: %s", i, yoke_strerror(err));
    while (atomic_load_explicit(&m->state, memory_order_acquire) == 0)
        yk_futex_wait(&m->state, 0, YOKE_FOREVER, false);
    if (atomic_load_explicit(&m->state, memory_order_acquire) == 1)
        return 0;
    pthread_join(m->thread, NULL);
    return yk_errorf(e, m->error.code, "%s", m->error.text);
}

static int async_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    unsigned n;
    int err = yk_width_arg("async", arg, 1, MOST_LOOPS, &n, e);
    if (err < 0)
        return err;
    async *a = yk_sys.calloc(1, sizeof *a);
    if (a)
        a->member = yk_sys.calloc(n, sizeof *a->member);
    if (!a || !a->member) {
        free(a);
        return yk_errorf(e, ENOMEM, "out of memory");
    }
    for (unsigned c = 0; c < CLASSES; c++)
        a->end[c] = &a->first[c];
    for (unsigned i = 0; i < n; i++) {
        err = start_member(a, i, e);
        if (err < 0) {
            stop_members(a, i);
            free(a->member);
            free(a);
            return err;
        }
    }
    a->members = a->ex.width = n;
    *ret = &a->ex;
    return 0;
}

static void async_stop(yoke_executor *ex)
{
    async *a = (async *)ex;
    stop_members(a, a->members);
}

static void async_close(yoke_executor *ex)
{
    async *a = (async *)ex;
    free(a->member);
    free(a);
}

/* ---- yoke doctor ---- */

static int async_doctor(yk_buf *out, yk_error *e)
{
    const yk_backend_type *const types[] = {&yk_uring_backend, &yk_epoll_backend};
    const char *wanted = getenv("YOKE_ASYNC_BACKEND");
    bool any = !wanted || !*wanted || strcmp(wanted, "auto") == 0, known = any;
    int best = -ENOSYS;
    for (unsigned i = 0; i < YK_COUNT_OF(types); i++) {
        yk_backend *b;
        yk_error why = {0};
        int err = types[i]->open(&b, &why);
        if (err == 0)
            types[i]->close(b);
        bool may = any || strcmp(wanted, types[i]->name) == 0;
        const char *how = err < 0 ? why.text : best == 0 || !may ? "works as well" : "works, and is used";
        known = known || may;
        yk_buf_printf(out, "  %s: %s\n", types[i]->name, how);
        best = err == 0 && may ? 0 : best;
    }
    if (!known)
        return yk_errorf(e, EINVAL, "YOKE_ASYNC_BACKEND is \"%s\"; it can be io_uring, epoll or auto", wanted);
    if (best < 0 && !any)
        return yk_errorf(e, ENOSYS, "YOKE_ASYNC_BACKEND is %s, which does not work here", wanted);
    return best == 0 ? 0 : yk_errorf(e, ENOSYS, "neither io_uring nor epoll works here");
}

static yk_executor_type async_type = {
    .scheme = "async",
    .about = "jobs are coroutines, on N loops with a thread each",
    .capabilities = YK_SHARES_MEMORY,
    .most = MOST_LOOPS,
    .open = async_open,
    .submit = async_submit,
    .cancel = async_cancel,
    .stop = async_stop,
    .close = async_close,
    .doctor = async_doctor,
};

static __attribute__((constructor)) void register_async(void)
{
    yk_executor_register(&async_type);
}
