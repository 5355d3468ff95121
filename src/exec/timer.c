/* timer: one thread that sleeps until the earliest of all deadlines and pauses.
 *
 * A binary heap under a lock; the thread sleeps on a futex word that changes when an earlier timer comes in. The thread
 * starts with the first timer and ends when the last executor is closed (yk_timer_leave()), so an idle program has none.
 * Lock order: nothing is called while the lock is held; fn runs without it. */
#include "exec/job.h"
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

static struct {
    yk_mutex lock; /* guards all but word */
    yk_timer **heap;
    size_t count, cap;
    unsigned users;
    bool running, stop;
    uint64_t calls;       /* odd while one is made */
    size_t kept;          /* 1 while a call is made: the place of its timer, which may come back */
    pthread_t thread;
    _Atomic uint32_t word; /* changes whenever the thread should look again */
} timers;

static void place(size_t i, yk_timer *t)
{
    timers.heap[i] = t;
    t->at = i;
}

static void sift_up(size_t i, yk_timer *t)
{
    for (; i > 0 && timers.heap[(i - 1) / 2]->when > t->when; i = (i - 1) / 2)
        place(i, timers.heap[(i - 1) / 2]);
    place(i, t);
}

static void sift_down(size_t i, yk_timer *t)
{
    for (size_t child; (child = 2 * i + 1) < timers.count; i = child) {
        if (child + 1 < timers.count && timers.heap[child + 1]->when < timers.heap[child]->when)
            child++;
        if (timers.heap[child]->when >= t->when)
            break;
        place(i, timers.heap[child]);
    }
    place(i, t);
}

static void take_out(yk_timer *t)
{
    size_t i = t->at;
    yk_timer *last = timers.heap[--timers.count];
    t->at = YK_TIMER_OFF;
    if (last == t)
        return;
    if (i > 0 && timers.heap[(i - 1) / 2]->when > last->when)
        sift_up(i, last);
    else
        sift_down(i, last);
}

static void wake_thread(void)
{
    atomic_fetch_add_explicit(&timers.word, 1, memory_order_release);
    yk_futex_wake(&timers.word, 1, false);
}

/* One whose fn forks is the only thread of the child, and there it ends: the child's timers are of another. */
static void *timer_thread(void *arg)
{
    uint32_t generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    pthread_setname_np(pthread_self(), "yoke-timer");
    yk_mutex_lock(&timers.lock);
    while (!timers.stop) {
        uint32_t seen = atomic_load_explicit(&timers.word, memory_order_acquire);
        int64_t next = timers.count > 0 ? timers.heap[0]->when : YOKE_FOREVER;
        if (next > yoke_now()) {
            yk_mutex_unlock(&timers.lock);
            yk_futex_wait(&timers.word, seen, next, false);
            yk_mutex_lock(&timers.lock);
            continue;
        }
        yk_timer *t = timers.heap[0];
        take_out(t);
        void (*fn)(void *arg) = t->fn;
        void *its_arg = t->arg;
        timers.calls++;
        timers.kept = 1;
        yk_mutex_unlock(&timers.lock);
        fn(its_arg); /* t may be gone from here on */
        if (atomic_load_explicit(&yk_fork_generation, memory_order_relaxed) != generation)
            return NULL;
        yk_mutex_lock(&timers.lock);
        timers.kept = 0;
        timers.calls++;
    }
    yk_mutex_unlock(&timers.lock);
    return NULL;
}

void (*yk_thread_hook)(void);

int yk_thread_start(pthread_t *thread, size_t stack, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (stack > 0)
        pthread_attr_setstacksize(&attr, stack);
    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = yk_sys.pthread_create(thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}

/* In a child made by fork() the thread and whatever it guarded belong to the parent: start from nothing. */
static void forget_parent(void)
{
    /* So that leak checkers find nothing: freeing it would need the parent's lock. */
    static yk_timer **volatile left_behind __attribute__((unused));
    if (timers.heap)
        left_behind = timers.heap;
    memset(&timers, 0, sizeof timers);
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_parent);
}

int yk_timer_start(yk_timer *t, int64_t when, void (*fn)(void *arg), void *arg)
{
    *t = (yk_timer){.when = yk_real_deadline(when), .fn = fn, .arg = arg, .at = YK_TIMER_OFF};
    yk_mutex_lock(&timers.lock);
    int err = 0;
    if (timers.count + timers.kept == timers.cap) {
        size_t cap = timers.cap ? timers.cap * 2 : 64;
        yk_timer **grown = yk_sys.realloc(timers.heap, cap * sizeof(*grown));
        if (!grown) {
            err = -ENOMEM;
            goto out;
        }
        timers.heap = grown;
        timers.cap = cap;
    }
    if (!timers.running) {
        err = yk_thread_start(&timers.thread, 0, timer_thread, NULL);
        if (err < 0)
            goto out;
        timers.running = true;
    }
    timers.count++;
    sift_up(timers.count - 1, t);
    if (t->at == 0)
        wake_thread();
out:
    yk_mutex_unlock(&timers.lock);
    return err;
}

void yk_timer_again(yk_timer *t, int64_t when)
{
    yk_mutex_lock(&timers.lock);
    t->when = when;
    timers.kept = 0;
    timers.count++;
    sift_up(timers.count - 1, t);
    yk_mutex_unlock(&timers.lock);
}

bool yk_timer_stop(yk_timer *t)
{
    yk_mutex_lock(&timers.lock);
    bool stopped = t->at != YK_TIMER_OFF;
    if (stopped)
        take_out(t);
    yk_mutex_unlock(&timers.lock);
    return stopped;
}

/* 0 in the timer's own thread: it cannot wait for itself. */
static uint64_t calls(void)
{
    yk_mutex_lock(&timers.lock);
    uint64_t n = timers.running && pthread_equal(timers.thread, pthread_self()) ? 0 : timers.calls;
    yk_mutex_unlock(&timers.lock);
    return n;
}

void yk_timer_flush(void)
{
    uint64_t first = calls();
    while (first % 2 == 1 && calls() == first)
        sched_yield(); /* calls are short */
}

void yk_timer_enter(void)
{
    yk_mutex_lock(&timers.lock);
    timers.users++;
    yk_mutex_unlock(&timers.lock);
}

void yk_timer_leave(void)
{
    yk_mutex_lock(&timers.lock);
    bool last = --timers.users == 0 && timers.running && !timers.stop;
    if (last)
        timers.stop = true;
    yk_mutex_unlock(&timers.lock);
    if (!last)
        return;
    wake_thread();
    pthread_join(timers.thread, NULL);
    yk_mutex_lock(&timers.lock);
    timers.running = timers.stop = false;
    /* Who entered meanwhile has found a thread that was about to end. If this one cannot be had, the next start tries again. */
    if (timers.count > 0 && timers.users > 0)
        timers.running = yk_thread_start(&timers.thread, 0, timer_thread, NULL) == 0;
    if (timers.count == 0) {
        free(timers.heap);
        timers.heap = NULL;
        timers.cap = 0;
    }
    yk_mutex_unlock(&timers.lock);
}
