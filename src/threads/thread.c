/* thread: starting threads that run one function, and joining them.
 *
 * What a thread runs is a job of an executor that nobody can name: submitting to it only makes the job, and the thread that is
 * started for it runs it. So arguments are checked and copied, results are typed, and errors, cancel and progress work as
 * everywhere. A plain function is a task with a descriptor of its own, in the job's memory.
 *
 * The end of a thread has two steps. When all of yoke's part is over the state becomes FINISHED; the first who joins then
 * reaps the rest by pthread_join(), so that after a join nothing is left. If all handles have been given back, the thread is
 * detached and goes by itself. */
#include "threads/thread.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke/fork.h>

/* ---- The executor ---- */

/* The thread comes later: yk_thread_of(). */
static void park(yoke_executor *ex, yk_job *job)
{
}

static yoke_executor *nested(yoke_executor *ex)
{
    return yoke_own_threads();
}

static yk_executor_type thread_type = {
    .scheme = "thread",
    .capabilities = YK_SHARES_MEMORY | YK_SYNCHRONOUS, /* attempts follow each other in the thread */
    .submit = park,
    .nested = nested,
};
static char no_uri[] = "thread";
static yk_builtin thread_executor = {.type = &thread_type, .uri = no_uri};

struct yoke_executor *yk_thread_executor(void)
{
    return yk_builtin_executor(&thread_executor);
}

/* ---- What the thread does ---- */

static _Atomic uint32_t inside; /* threads that have not yet done all that they do with yoke */

/* In a child made by fork() they are the parent's. */
static void forget_parent(void)
{
    atomic_store(&inside, yk_thread_mine() && yk_thread_mine()->job ? 1 : 0);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

static void sleep_until(yk_job *job, int64_t when)
{
    for (;;) {
        uint32_t state = atomic_fetch_or_explicit(&job->state, YK_WAITERS, memory_order_relaxed) | YK_WAITERS;
        if ((state & YK_PHASE) != YK_QUEUED || yoke_now() >= when)
            return;
        yk_futex_wait(&job->state, state, when, false);
    }
}

static void work(yoke_thread *t)
{
    yk_job *job = t->job;
    while (yk_job_claim(job)) {
        yk_job_execute(job, 0);
        if ((atomic_load_explicit(&job->state, memory_order_acquire) & YK_PHASE) != YK_QUEUED)
            return; /* the executor's reference is gone with it */
        sleep_until(job, (int64_t)job->owner.number);
    }
    yk_job_drop(job); /* it was cancelled before it could begin */
}

/* The kernel takes 15 bytes. */
static void name_kernel_thread(const char *name)
{
    char cut[16];
    size_t len = strlen(name);
    if (len > 15)
        for (len = 15; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80; len--)
            ;
    memcpy(cut, name, len);
    cut[len] = '\0';
    pthread_setname_np(pthread_self(), cut);
}

static void wake_joins(yoke_thread *t)
{
    yk_wake(&t->state, INT_MAX, false);
}

static void is_gone(yoke_thread *t)
{
    /* Release: as in leave(). */
    atomic_store_explicit(&t->state, YK_THREAD_GONE, memory_order_release);
    wake_joins(t);
}

static void leave(yoke_thread *t)
{
    yk_thread_become(NULL);
    atomic_store_explicit(&t->who, NULL, memory_order_relaxed);
    atomic_store_explicit(&t->tid, 0, memory_order_relaxed);
    /* Release: a join that sees it sees all that the thread did. */
    uint32_t state = YK_THREAD_RUNS;
    if (atomic_compare_exchange_strong_explicit(&t->state, &state, YK_THREAD_FINISHED, memory_order_release,
                                                memory_order_relaxed))
        wake_joins(t);
    else
        is_gone(t); /* nobody will reap it */
    yk_thread_unref(t);
    atomic_fetch_sub_explicit(&inside, 1, memory_order_release); /* pairs with the acquire of at_exit() */
}

/* After the function, or in its stead when that has called pthread_exit(). */
static void finish(void *arg)
{
    yoke_thread *t = arg;
    if (!t->worked) {
        yk_run_enter(NULL);
        atomic_store_explicit(&t->job->runner, NULL, memory_order_relaxed);
        yk_job_finish(t->job, -ECANCELED, yk_job_text(t->job, "its thread was ended by pthread_exit()"), -1);
    }
    yk_locals_end();
    leave(t);
}

static void *thread_main(void *arg)
{
    yoke_thread *t = arg;
    yk_who *who = yk_who_self();
    if (who)
        yk_who_rename(who, t->name);
    atomic_store_explicit(&t->who, who, memory_order_relaxed);
    atomic_store_explicit(&t->tid, gettid(), memory_order_relaxed);
    yk_thread_become(t);
    name_kernel_thread(t->name);
    if (yk_thread_hook)
        yk_thread_hook();
    yk_crash_note(t);
    void *stack = yk_crash_stack();
    pthread_cleanup_push(yk_crash_stack_done, stack);
    pthread_cleanup_push(finish, t);
    work(t);
    t->worked = true;
    pthread_cleanup_pop(1);
    pthread_cleanup_pop(1);
    return NULL;
}

/* ---- Starting ---- */

/* Under yk_threads_lock. */
static int create(yoke_thread *t, size_t stack)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (stack > 0) {
        size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN) + 16384, page = (size_t)sysconf(_SC_PAGESIZE);
        stack = stack > SIZE_MAX - page ? stack : YK_ALIGN_UP(YK_MAX(stack, least), page);
        pthread_attr_setstacksize(&attr, stack);
    }
    atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed);
    int err = -yk_sys.pthread_create(&t->pthread, &attr, thread_main, t);
    if (err < 0) {
        atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
        atomic_store_explicit(&t->state, YK_THREAD_GONE, memory_order_relaxed);
    }
    pthread_attr_destroy(&attr);
    return err;
}

/* The job will not run. */
static void refuse(yk_job *job, int err, const char *what)
{
    char text[300];
    snprintf(text, sizeof text, "%s: %s: %s", job->task->name, what, yoke_strerror(err));
    yk_job_refuse(job, err, text);
}

yoke_thread *yk_thread_of(yoke_future *f, const yoke_thread_opts *how, const char *file, int line)
{
    if (!f)
        return NULL;
    yk_threads_prepare();
    yk_crash_watch();
    yoke_thread *t = yk_thread_new(how->name ? how->name : f->task->name, YOKE_THREAD_STARTED);
    bool wrong = yk_job_ended(f); /* its arguments were */
    if (!t) {
        if (!wrong)
            refuse(f, -ENOMEM, "no thread");
        yoke_code(f);
        yoke_release(f);
        return NULL;
    }
    t->job = f;
    t->file = file;
    t->line = line;
    atomic_init(&t->handles, 1);
    atomic_init(&t->background, how->background);
    atomic_store_explicit(&t->refs, 2, memory_order_relaxed);
    if (wrong)
        atomic_store_explicit(&t->state, YK_THREAD_GONE, memory_order_relaxed);
    /* Listed before it can end; and even if nothing comes of it, as it may never be given back. */
    yk_mutex_lock(&yk_threads_lock);
    int err = wrong ? -EINVAL : create(t, how->stack);
    yk_thread_enlist(t);
    yk_mutex_unlock(&yk_threads_lock);
    if (err < 0 && !wrong)
        refuse(f, err, "its thread cannot start");
    if (err < 0)
        yk_thread_unref(t);
    return t;
}

/* ---- Plain functions ---- */

typedef struct plain_call {
    int (*fn)(void *arg);
    void *arg;
} plain_call;

static void call_plain(const void *args, void *ret)
{
    const plain_call *call = args;
    int value = call->fn(call->arg);
    const yoke_task *t = yk_current_run()->task;
    if (value < 0)
        yk_fail(t->file, (int)t->line, value, "%s", yoke_strerror(value));
    *(int *)ret = value;
}

static const yk_task_info plain_info = {.id = UINT32_MAX, .has_result = true};
static const yoke_task plain_task = {.abi = YOKE_ABI, .name = "a function", .ret = "int", .ret_code = YOKE_I32,
                                     .ret_size = sizeof(int), .args_size = sizeof(plain_call), .call = call_plain,
                                     .info = &plain_info};

yoke_thread *yk_thread_plain(int (*fn)(void *arg), void *arg, const char *fn_name, const yoke_thread_opts *how,
                             const char *file, int line)
{
    yoke_executor *ex = yk_thread_executor();
    yk_job *job = ex ? yk_job_new(ex, &plain_task) : NULL;
    if (!job)
        return NULL;
    yoke_task *task = yk_region_alloc(&job->region, sizeof *task);
    char *name = yk_region_copy(&job->region, fn_name, strlen(fn_name));
    if (task && name) {
        *task = plain_task;
        task->name = name;
        task->file = file;
        task->line = (uint32_t)line;
        job->task = task;
    }
    *(plain_call *)job->args = (plain_call){fn, arg};
    if (!fn)
        yk_job_refuse(job, -EINVAL, "no function for a thread");
    else
        yk_job_submit(job, NULL);
    return yk_thread_of(job, how, file, line);
}

/* ---- Joining ---- */

static yk_who *holder(const void *object, unsigned i)
{
    const yoke_thread *t = object;
    return i == 0 ? atomic_load_explicit(&t->who, memory_order_relaxed) : NULL;
}

static void tell(const void *object, char *text, size_t size)
{
    snprintf(text, size, "joins thread \"%s\"", ((const yoke_thread *)object)->name);
}

static const yk_wish_kind join_wish = {.holder = holder, .tell = tell};

static bool is_over(uint32_t state)
{
    return state == YK_THREAD_FINISHED || state == YK_THREAD_GONE;
}

/* Sleeps until the thread has finished and the last of it can be, or has been, reaped. */
static int sleep_until_over(yoke_thread *t, int64_t deadline, unsigned how)
{
    uint32_t state = atomic_load_explicit(&t->state, memory_order_acquire);
    if (is_over(state))
        return 0;
    yk_wish w;
    int err = yk_wish_begin(&w, &join_wish, t, yk_wait_limit(deadline));
    if (err < 0)
        return err;
    while (!is_over(state = atomic_load_explicit(&t->state, memory_order_acquire)) && !yk_wait_is_over(err))
        err = yk_wait(&t->state, state, deadline, how);
    yk_wish_end(&w);
    return is_over(state) ? 0 : err;
}

/* There is a join with a deadline, but not one that all sanitizers know of. */
static int join_by(pthread_t thread, int64_t deadline)
{
    int err, nap = 20;
    while ((err = pthread_tryjoin_np(thread, NULL)) == EBUSY && yoke_now() < deadline) {
        usleep((unsigned)nap);
        nap = YK_MIN(nap * 2, 2000);
    }
    return err;
}

/* The first who comes takes the stack away; the others wait for that. What is left of the thread by then are destructors that
 * are not yoke's (pthread_key_create(), C++), so the deadline counts here too. */
static int reap(yoke_thread *t, int64_t deadline)
{
    uint32_t state = YK_THREAD_FINISHED;
    if (!atomic_compare_exchange_strong_explicit(&t->state, &state, YK_THREAD_REAPED, memory_order_acquire,
                                                 memory_order_acquire))
        return 0;
    yk_blocking *b = yk_block_begin();
    int err = deadline == YOKE_FOREVER ? pthread_join(t->pthread, NULL) : join_by(t->pthread, deadline);
    yk_block_end(b);
    if (err == 0) {
        is_gone(t);
        return 0;
    }
    atomic_store_explicit(&t->state, YK_THREAD_FINISHED, memory_order_release);
    wake_joins(t);
    return -ETIMEDOUT;
}

/* Until nothing of it is left. how: as for yk_wait(). */
static int wait_until_gone(yoke_thread *t, int64_t deadline, unsigned how)
{
    if (!t || !t->job)
        return -EINVAL;
    if (t->generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed))
        return -ECHILD;
    if (t == yk_thread_mine())
        return yk_wish_own(&join_wish, t);
    while (atomic_load_explicit(&t->state, memory_order_acquire) != YK_THREAD_GONE) {
        int err = sleep_until_over(t, deadline, how);
        if (err == 0)
            err = reap(t, deadline);
        if (err < 0)
            return err;
    }
    return 0;
}

int yoke_thread_join_until(yoke_thread *t, int64_t deadline)
{
    int err = wait_until_gone(t, deadline, YK_WAIT_JOB);
    return err < 0 ? err : yoke_code(t->job);
}

int yoke_thread_join(yoke_thread *t)
{
    return yoke_thread_join_until(t, YOKE_FOREVER);
}

int yoke_thread_join_timed(yoke_thread *t, int64_t ns)
{
    return yoke_thread_join_until(t, yk_after(ns));
}

bool yoke_thread_done(yoke_thread *t)
{
    uint32_t state = t ? atomic_load_explicit(&t->state, memory_order_acquire) : YK_THREAD_RUNS;
    return t && t->job && state >= YK_THREAD_FINISHED;
}

const char *yoke_thread_error(yoke_thread *t)
{
    if (!t)
        return "no thread: out of memory";
    const char *text = t->job ? yoke_error(t->job) : "";
    if (*text == '\0')
        return "";
    yk_mutex_lock(&yk_threads_lock);
    if (!t->error) {
        size_t size = strlen(t->name) + strlen(text) + 16;
        t->error = yk_sys.malloc(size);
        if (t->error)
            snprintf(t->error, size, "thread \"%s\": %s", t->name, text);
    }
    text = t->error ? t->error : text;
    yk_mutex_unlock(&yk_threads_lock);
    return text;
}

yoke_future *yoke_thread_future(yoke_thread *t)
{
    return t ? t->job : NULL;
}

yoke_thread *yoke_thread_release(yoke_thread *t)
{
    if (!t || !t->job)
        return NULL;
    /* Acquire: pairs with the release of leave(), of which pthread_detach() is the end. */
    if (atomic_fetch_sub_explicit(&t->handles, 1, memory_order_acq_rel) == 1 &&
        t->generation == atomic_load_explicit(&yk_fork_generation, memory_order_relaxed)) {
        uint32_t state = YK_THREAD_RUNS;
        if (atomic_compare_exchange_strong_explicit(&t->state, &state, YK_THREAD_DETACHED, memory_order_acq_rel,
                                                    memory_order_acquire))
            pthread_detach(t->pthread);
        else if (state == YK_THREAD_FINISHED)
            reap(t, YOKE_FOREVER); /* it has nothing more to do */
    }
    yk_thread_unref(t);
    return NULL;
}

/* ---- The end of the program ---- */

void yk_threads_finish(void)
{
    yoke_thread *t;
    while ((t = yk_thread_to_wait_for(yk_thread_mine()))) {
        if (wait_until_gone(t, YOKE_FOREVER, YK_WAIT_DEAF) < 0)
            atomic_store(&t->background, true); /* it waits for this one, which is ending the program */
        yk_thread_unref(t);
    }
}

static void at_exit(void)
{
    yk_threads_finish();
    yk_locals_end();
    /* Who has finished may still be on its last steps, which give its job back. */
    while (atomic_load_explicit(&inside, memory_order_acquire) > yk_threads_running())
        sched_yield();
    thread_executor.keep = yk_threads_running() > 0;
}

static void register_end(void)
{
    atexit(at_exit);
}

void yk_threads_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_end);
}
