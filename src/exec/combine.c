/* combine: futures made of futures: then, all, any, as-completed. All four hang a hook on each job; a hook is called once,
 * in the thread that ends the job. */
#include "exec/job.h"
#include "base/list.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- then ---- */

typedef struct then_hook {
    yk_hook hook;
    void (*fn)(yoke_future *f, void *arg);
    void *arg;
} then_hook;

static void call_then(yk_hook *hook, yoke_future *f)
{
    then_hook h = *(then_hook *)(void *)hook;
    free(hook);
    h.fn(f, h.arg);
}

int yoke_then(yoke_future *f, void (*fn)(yoke_future *f, void *arg), void *arg)
{
    if (!f || !fn)
        return -EINVAL;
    then_hook *h = yk_sys.malloc(sizeof *h);
    if (!h)
        return -ENOMEM;
    *h = (then_hook){.hook.fn = call_then, .fn = fn, .arg = arg};
    yk_job_hook(f, &h->hook);
    return 0;
}

/* ---- all and any ---- */

/* One allocation: the hooks of all inputs, and what they report to. Each input is held only until its own hook has been
 * called: a hook is called before the input's executor can be closed, but the executors may be several. */
typedef struct combined combined;
typedef struct part_hook {
    yk_hook hook;
    combined *whole;
    yk_job *input; /* NULL once it has ended; guarded by combined_lock */
} part_hook;

struct combined {
    yk_job *job;            /* the future that stands for all, with the executor's reference */
    _Atomic size_t missing; /* inputs that have not ended */
    _Atomic size_t holders; /* hooks not called yet, and the maker */
    bool any;
    atomic_bool decided; /* for any: the first has ended */
    yk_mutex lock;       /* guards the rest: the failure with the least index so far */
    size_t failed;
    int code;
    char *error;
    size_t count;
    uint64_t search; /* that came by last, and what it found; guarded by combined_lock */
    bool answer;
    part_hook hooks[];
};

/* Guards what the search for deadlocks looks at: inputs, and the job's owner.data, which leads to `combined` until it ends. */
static yk_mutex combined_lock;

static void no_call(const void *args, void *ret)
{
}

/* The one argument of both: the process that made it. Their executor is a new one in each, at the same place. */
typedef struct makers_args {
    uint32_t fork_generation;
} makers_args;

static const yk_task_info all_info = {.id = UINT32_MAX}, any_info = {.id = UINT32_MAX, .has_result = true};
static const yoke_task all_task = {.abi = YOKE_ABI, .name = "yoke_all", .ret = "void", .ret_code = YOKE_VOID,
                                   .args_size = sizeof(makers_args), .call = no_call, .info = &all_info};
static const yoke_task any_task = {.abi = YOKE_ABI, .name = "yoke_any", .ret = "size_t", .ret_size = sizeof(size_t),
                                   .ret_code = sizeof(size_t) == 8 ? YOKE_U64 : YOKE_U32,
                                   .args_size = sizeof(makers_args), .call = no_call, .info = &any_info};

static void leave(combined *c)
{
    if (atomic_fetch_sub_explicit(&c->holders, 1, memory_order_acq_rel) != 1)
        return;
    free(c->error);
    free(c);
}

/* Its error counts as seen, as the whole reports one. */
static void note_failure(combined *c, size_t i, yoke_future *f)
{
    atomic_store_explicit(&f->seen, true, memory_order_relaxed);
    yk_mutex_lock(&c->lock);
    if (c->code == 0 || i < c->failed) {
        c->failed = i;
        c->code = f->code;
        free(c->error);
        c->error = f->error ? yk_sys.malloc(strlen(f->error) + 1) : NULL;
        if (c->error)
            memcpy(c->error, f->error, strlen(f->error) + 1);
    }
    yk_mutex_unlock(&c->lock);
}

static void hide(combined *c)
{
    yk_mutex_lock(&combined_lock);
    c->job->owner.data = NULL;
    yk_mutex_unlock(&combined_lock);
}

static void complete_all(combined *c)
{
    const char *error = NULL;
    hide(c);
    if (c->error)
        error = yk_region_copy(&c->job->region, c->error, strlen(c->error));
    yk_job_complete(c->job, c->code, error);
}

static void part_ended(yk_hook *hook, yoke_future *f)
{
    part_hook *p = (part_hook *)(void *)hook;
    combined *c = p->whole;
    size_t i = (size_t)(p - c->hooks);
    if (!c->any && f->code != 0)
        note_failure(c, i, f);
    yk_mutex_lock(&combined_lock);
    p->input = NULL;
    yk_mutex_unlock(&combined_lock);
    yoke_release(f);
    if (c->any) {
        if (!atomic_exchange_explicit(&c->decided, true, memory_order_acq_rel)) {
            hide(c);
            *(size_t *)c->job->ret = i;
            yk_job_complete(c->job, 0, NULL);
        }
    } else if (atomic_fetch_sub_explicit(&c->missing, 1, memory_order_acq_rel) == 1) {
        complete_all(c);
    }
    leave(c);
}

static yoke_future *combine(yoke_future *const *fs, size_t n, bool any)
{
    yoke_executor *ex = yk_common_executor();
    if (!ex || n > SIZE_MAX / 2 / sizeof(part_hook))
        return NULL;
    yk_job *job = yk_job_new(ex, any ? &any_task : &all_task);
    if (!job)
        return NULL;
    combined *c = yk_sys.malloc(sizeof *c + n * sizeof(part_hook));
    if (!c) {
        yk_job_unref(job);
        yk_job_unref(job);
        return NULL;
    }
    *c = (combined){.job = job, .missing = n, .holders = n + 1, .any = any, .count = n};
    for (size_t i = 0; i < n; i++)
        c->hooks[i] = (part_hook){.hook.fn = part_ended, .whole = c, .input = yoke_ref(fs[i])};
    *(makers_args *)job->args = (makers_args){atomic_load_explicit(&yk_fork_generation, memory_order_relaxed)};
    job->owner.data = c;
    if (n == 0)
        complete_all(c);
    for (size_t i = 0; i < n; i++)
        yk_job_hook(fs[i], &c->hooks[i].hook);
    leave(c);
    return job;
}

yk_who *yk_combined_holder(const yk_job *job, unsigned i)
{
    yk_who *who = NULL;
    yk_mutex_lock(&combined_lock);
    const combined *c = job->owner.data;
    for (size_t k = 0; c && k < c->count; k++) {
        const yk_job *input = c->hooks[k].input;
        who = input && input->task != &all_task && !yk_job_ended(input) ? yk_job_holder(input, 0) : NULL;
        if (who && i-- == 0)
            break;
        who = NULL;
    }
    yk_mutex_unlock(&combined_lock);
    return who;
}

bool yk_is_combined(const yk_job *job)
{
    return job->task == &all_task;
}

bool yk_is_made_of_others(const yk_job *job)
{
    return job->task == &all_task || job->task == &any_task;
}

/* ---- What a future that is made of others depends on ---- */

/* A question about jobs that holds for all of some when it holds for one of them, and for any of some when it does for each.
 * Futures made of futures are looked into, each once. */
enum { DEEPEST = 16 };

typedef struct question {
    bool (*single)(const yk_job *job, const yoke_executor *ex); /* of a job that is not made of others */
    const yoke_executor *ex;
    bool about_children; /* of a fork: is it lost? */
    uint64_t search;
} question;

/* Under combined_lock, as is what follows. */
static question new_question(bool (*single)(const yk_job *job, const yoke_executor *ex), const yoke_executor *ex,
                             bool about_children)
{
    static uint64_t searches;
    return (question){single, ex, about_children, ++searches};
}

static bool ask(const question *q, const yk_job *job, unsigned depth);

/* What has ended has not yet told the whole. left_behind: nobody is here who would. */
static bool ask_parts(const question *q, const combined *c, bool left_behind, unsigned depth)
{
    bool none = true;
    for (size_t i = 0; i < c->count; i++) {
        const yk_job *input = c->hooks[i].input;
        bool yes = left_behind && (input || c->any);
        if (input && !yk_job_ended(input))
            yes = ask(q, input, depth);
        if (yes != c->any)
            return yes;
        none = none && !input;
    }
    return c->any || (none && left_behind);
}

static bool ask(const question *q, const yk_job *job, unsigned depth)
{
    if (!yk_is_made_of_others(job))
        return q->single(job, q->ex);
    const makers_args *made = job->args;
    bool left_behind = q->about_children &&
                       made->fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    combined *c = job->owner.data;
    if (!c || depth == 0) /* it is just ending */
        return left_behind;
    if (c->search != q->search) {
        c->answer = ask_parts(q, c, left_behind, depth - 1);
        c->search = q->search;
    }
    return c->answer;
}

static bool is_lost_single(const yk_job *job, const yoke_executor *ex)
{
    return yk_single_is_lost(job);
}

bool yk_combined_is_lost(const yk_job *job)
{
    yk_mutex_lock(&combined_lock);
    question q = new_question(is_lost_single, NULL, true);
    bool lost = ask(&q, job, DEEPEST);
    yk_mutex_unlock(&combined_lock);
    return lost;
}

/* Of the jobs because of which the answer was yes, one that has not been begun, with a reference; NULL: there is none. */
static yk_job *find_unbegun(const question *q, const yk_job *job, unsigned depth)
{
    if (!yk_is_made_of_others(job))
        return yk_job_unbegun(job, q->ex);
    yk_job *found = NULL;
    combined *c = job->owner.data;
    for (size_t i = 0; c && depth > 0 && i < c->count && !found; i++) {
        const yk_job *input = c->hooks[i].input;
        if (input && ask(q, input, depth - 1))
            found = find_unbegun(q, input, depth - 1);
    }
    if (c && !found)
        c->answer = false; /* not to be looked into again */
    return found;
}

/* In a child made by fork() another thread may have held it. */
static void forget_parent(void)
{
    combined_lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static bool has_null(yoke_future *const *fs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!fs[i])
            return true;
    return false;
}

yoke_future *yoke_all(yoke_future *const *fs, size_t n)
{
    return has_null(fs, n) ? NULL : combine(fs, n, false);
}

yoke_future *yoke_any(yoke_future *const *fs, size_t n)
{
    return n == 0 || has_null(fs, n) ? NULL : combine(fs, n, true);
}

/* ---- as completed ---- */

typedef struct arrival {
    yk_hook hook;
    yoke_completion *to;
    struct arrival *next, **link; /* link: among those that are awaited */
    yoke_future *f;
} arrival;

struct yoke_completion {
    yk_mutex lock; /* guards the lists */
    arrival *first, **last;
    arrival *awaited;
    size_t expected;        /* added and not yet given out; the iterating thread's */
    _Atomic uint32_t word;  /* counts arrivals; futex word */
    _Atomic size_t holders; /* hooks not called yet, and the user */
};

static void leave_completion(yoke_completion *c)
{
    if (atomic_fetch_sub_explicit(&c->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (arrival *a = c->first, *next; a; a = next) {
        next = a->next;
        yoke_release(a->f);
        free(a);
    }
    free(c);
}

static void arrived(yk_hook *hook, yoke_future *f)
{
    arrival *a = (arrival *)(void *)hook;
    yoke_completion *c = a->to;
    yk_mutex_lock(&c->lock);
    YK_LIST_LEAVE(a, next, link);
    a->next = NULL;
    *c->last = a;
    c->last = &a->next;
    yk_mutex_unlock(&c->lock);
    atomic_fetch_add_explicit(&c->word, 1, memory_order_release);
    yk_wake(&c->word, 1, false);
    leave_completion(c);
}

int yoke_completion_add(yoke_completion *c, yoke_future *f)
{
    if (!c || !f)
        return -EINVAL;
    arrival *a = yk_sys.malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (arrival){.hook.fn = arrived, .to = c, .f = yoke_ref(f)};
    atomic_fetch_add_explicit(&c->holders, 1, memory_order_relaxed);
    c->expected++;
    yk_mutex_lock(&c->lock);
    YK_LIST_ENTER(&c->awaited, a, next, link);
    yk_mutex_unlock(&c->lock);
    yk_job_hook(f, &a->hook);
    return 0;
}

yoke_completion *yoke_as_completed(yoke_future *const *fs, size_t n)
{
    yoke_completion *c = yk_sys.calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->last = &c->first;
    c->holders = 1;
    for (size_t i = 0; i < n; i++)
        if (yoke_completion_add(c, fs[i]) < 0) {
            leave_completion(c);
            return NULL;
        }
    return c;
}

static yoke_future *take_arrival(yoke_completion *c)
{
    yk_mutex_lock(&c->lock);
    arrival *a = c->first;
    if (a) {
        c->first = a->next;
        if (!c->first)
            c->last = &c->first;
    }
    yk_mutex_unlock(&c->lock);
    if (!a)
        return NULL;
    yoke_future *f = a->f;
    free(a);
    return f;
}

static yk_who *nobody(const void *object, unsigned i)
{
    return NULL;
}

static void tell_completion(const void *object, char *text, size_t size)
{
    snprintf(text, size, "waits for the next of %zu jobs", ((const yoke_completion *)object)->expected);
}

/* For dumps, and for yk_wish_needs(). Each of the jobs would do: so nobody in particular must go on. */
static const yk_wish_kind completion_wish = {.holder = nobody, .tell = tell_completion};

/* None of those that it waits for will end in this child of fork(). */
static bool is_lost(yoke_completion *c)
{
    yk_mutex_lock(&c->lock);
    bool lost = !c->first && c->awaited;
    for (const arrival *a = c->awaited; a && lost; a = a->next)
        lost = yk_job_is_lost(a->f);
    yk_mutex_unlock(&c->lock);
    return lost;
}

static int wait_for_next(yoke_completion *c, uint32_t seen, int64_t deadline)
{
    yk_wish w;
    if (YK_UNLIKELY(atomic_load_explicit(&yk_fork_generation, memory_order_relaxed) > 0) && is_lost(c))
        return -ECHILD;
    int err = yk_wish_begin(&w, &completion_wish, c, yk_wait_limit(deadline));
    if (err < 0)
        return err;
    err = yk_wait(&c->word, seen, deadline, YK_WAIT_JOB);
    yk_wish_end(&w);
    return err;
}

/* Each of those that are awaited. */
static bool completion_needs(const question *q, yoke_completion *c, yk_job **ret)
{
    yk_mutex_lock(&c->lock);
    bool needs = !c->first && c->awaited;
    for (const arrival *a = c->awaited; a && needs; a = a->next)
        needs = ask(q, a->f, DEEPEST);
    for (const arrival *a = c->awaited; a && needs && ret && !*ret; a = a->next)
        *ret = find_unbegun(q, a->f, DEEPEST);
    yk_mutex_unlock(&c->lock);
    return needs;
}

bool yk_wish_needs(const yk_wish *w, const yoke_executor *ex, yk_job **ret)
{
    bool needs = false;
    if (ret)
        *ret = NULL;
    if (!w->forever || (w->kind != &completion_wish && w->kind != &yk_job_wish))
        return false;
    yk_mutex_lock(&combined_lock);
    question q = new_question(yk_job_needs, ex, false);
    if (w->kind == &completion_wish) {
        needs = completion_needs(&q, (yoke_completion *)(uintptr_t)w->object, ret);
    } else {
        needs = ask(&q, w->object, DEEPEST);
        if (needs && ret)
            *ret = find_unbegun(&q, w->object, DEEPEST);
    }
    yk_mutex_unlock(&combined_lock);
    return needs;
}

int yoke_next_completed_until(yoke_completion *c, int64_t deadline, yoke_future **ret)
{
    if (!c || !ret)
        return -EINVAL;
    if (c->expected == 0)
        return -ENOENT;
    int err = 0;
    yoke_future *f;
    for (;;) {
        uint32_t seen = atomic_load_explicit(&c->word, memory_order_acquire);
        if ((f = take_arrival(c)) || yk_wait_is_over(err) || err == -ECHILD)
            break;
        err = wait_for_next(c, seen, deadline);
    }
    if (!f)
        return err;
    c->expected--;
    *ret = f;
    yoke_release(f); /* the caller's own reference remains */
    return 0;
}

int yoke_next_completed_timed(yoke_completion *c, int64_t ns, yoke_future **ret)
{
    return yoke_next_completed_until(c, yk_after(ns), ret);
}

yoke_future *yoke_next_completed(yoke_completion *c)
{
    yoke_future *f;
    return yoke_next_completed_until(c, YOKE_FOREVER, &f) == 0 ? f : NULL;
}

void yoke_completion_close(yoke_completion *c)
{
    if (c)
        leave_completion(c);
}
