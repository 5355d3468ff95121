/* people: the handles of threads, whoever started them, and the list of them.
 *
 * A handle is in the list until it is freed, so that one which nobody gives back is not lost. A thread that yoke did not start
 * gets one when it first asks for it; it goes with the thread (the record of who.c tells when that is). One lock guards the
 * list; it is held for moments, and nothing is called under it save pthread_create(). */
#include "threads/pool.h"
#include "threads/thread.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

yk_mutex yk_threads_lock;
static yoke_thread *list; /* guarded by the lock */
static _Thread_local yoke_thread *mine __attribute__((tls_model("initial-exec")));

/* ---- Handles ---- */

yoke_thread *yk_thread_new(const char *name, int kind)
{
    yoke_thread *t = yk_sys.calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->kind = kind;
    t->generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
    /* A name that is too long ends at a whole character of UTF-8. */
    size_t len = strlen(name);
    if (len >= sizeof t->name)
        for (len = sizeof t->name - 1; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80; len--)
            ;
    memcpy(t->name, name, len);
    return t;
}

static void ref(yoke_thread *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

/* For one found in the list: false when it is just being freed. */
static bool try_ref(yoke_thread *t)
{
    uint32_t refs = atomic_load_explicit(&t->refs, memory_order_relaxed);
    while (refs > 0)
        if (atomic_compare_exchange_weak_explicit(&t->refs, &refs, refs + 1, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

void yk_thread_unref(yoke_thread *t)
{
    /* Release and acquire: whoever frees it sees what the others did. */
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    yk_mutex_lock(&yk_threads_lock);
    yk_thread_delist(t);
    yk_mutex_unlock(&yk_threads_lock);
    yoke_release(t->job);
    free(t->error);
    free(t);
}

void yk_thread_enlist(yoke_thread *t)
{
    t->next = list;
    t->at = &list;
    if (list)
        list->at = &t->next;
    list = t;
}

void yk_thread_delist(yoke_thread *t)
{
    if (!t->at)
        return;
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
    t->at = NULL;
}

void yk_thread_become(yoke_thread *t)
{
    mine = t;
}

yoke_thread *yk_thread_mine(void)
{
    return mine;
}

/* ---- Threads of others ---- */

/* The thread of this record ends: so does its handle. */
static void forget_other(yk_who *who)
{
    yoke_thread *t = who->thread;
    if (!t)
        return;
    yk_mutex_lock(&yk_threads_lock);
    yk_thread_delist(t);
    yk_mutex_unlock(&yk_threads_lock);
    if (mine == t)
        mine = NULL;
    yk_thread_unref(t);
}

static void before_fork(void)
{
    yk_mutex_lock(&yk_threads_lock); /* so that the child finds the list whole; held together with no other lock */
}

static void in_parent(void)
{
    yk_mutex_unlock(&yk_threads_lock);
}

/* In a child made by fork() there is this thread alone, and it is the main one. The others' handles stay for who has them. */
static void forget_parent(void)
{
    yk_threads_lock = (yk_mutex){0};
    while (list)
        yk_thread_delist(list);
    if (mine) {
        mine->kind = YOKE_THREAD_MAIN;
        mine->generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
        atomic_store_explicit(&mine->tid, gettid(), memory_order_relaxed);
        yk_thread_enlist(mine);
    }
}

static __attribute__((constructor)) void watch_threads(void)
{
    yk_who_thread_end = forget_other;
    pthread_atfork(before_fork, in_parent, forget_parent);
}

static yoke_thread *introduce(void)
{
    yk_who *who = yk_is_coroutine() ? yk_blocked_hook->thread : yk_who_self();
    char name[YK_WHO_NAME];
    if (!who)
        return NULL;
    yk_mutex_lock(&yk_who_lock);
    yk_who_name(who, name, sizeof name);
    yk_mutex_unlock(&yk_who_lock);
    yk_pool_worker *w = yk_pool_anybody();
    bool main_thread = gettid() == getpid();
    yoke_thread *t = yk_thread_new(name, main_thread                 ? YOKE_THREAD_MAIN
                                         : w && !w->guest ? YOKE_THREAD_WORKER
                                                                     : YOKE_THREAD_OTHER);
    if (!t)
        return NULL;
    atomic_store_explicit(&t->tid, gettid(), memory_order_relaxed);
    atomic_store_explicit(&t->who, who, memory_order_relaxed);
    atomic_store_explicit(&t->background, true, memory_order_relaxed);
    who->thread = t;
    yk_mutex_lock(&yk_threads_lock);
    yk_thread_enlist(t);
    yk_mutex_unlock(&yk_threads_lock);
    return mine = t;
}

yoke_thread *yoke_thread_current(void)
{
    return mine ? mine : introduce();
}

/* ---- What a handle tells ---- */

const char *yoke_thread_name(yoke_thread *t)
{
    return t ? t->name : "";
}

int yoke_thread_id(yoke_thread *t)
{
    return t ? (int)atomic_load_explicit(&t->tid, memory_order_relaxed) : 0;
}

int yoke_thread_kind_of(yoke_thread *t)
{
    return t ? t->kind : -EINVAL;
}

bool yoke_thread_is_background(yoke_thread *t)
{
    return t && t->job && atomic_load_explicit(&t->background, memory_order_relaxed);
}

yoke_thread *yoke_thread_ref(yoke_thread *t)
{
    if (t && t->job) {
        ref(t);
        atomic_fetch_add_explicit(&t->handles, 1, memory_order_relaxed);
    }
    return t;
}

/* ---- The list ---- */

int yoke_each_thread(int (*fn)(yoke_thread *t, void *arg), void *arg)
{
    yk_mutex_lock(&yk_threads_lock);
    size_t count = 0, n = 0;
    for (yoke_thread *t = list; t; t = t->next)
        count++;
    yoke_thread **all = yk_sys.malloc((count + 1) * sizeof(*all));
    for (yoke_thread *t = all ? list : NULL; t; t = t->next) {
        if (atomic_load_explicit(&t->state, memory_order_relaxed) < YK_THREAD_FINISHED && try_ref(t))
            all[n++] = t;
    }
    yk_mutex_unlock(&yk_threads_lock);
    if (!all)
        return -ENOMEM;
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (value == 0)
            value = fn(all[i], arg);
        yk_thread_unref(all[i]);
    }
    free(all);
    return value;
}

yoke_thread *yk_thread_to_wait_for(const yoke_thread *except)
{
    yk_mutex_lock(&yk_threads_lock);
    yoke_thread *t = list;
    while (t && (!t->job || t == except || atomic_load_explicit(&t->background, memory_order_relaxed) ||
                 atomic_load_explicit(&t->state, memory_order_acquire) == YK_THREAD_GONE || !try_ref(t)))
        t = t->next;
    yk_mutex_unlock(&yk_threads_lock);
    return t;
}

uint32_t yk_threads_running(void)
{
    uint32_t n = 0;
    yk_mutex_lock(&yk_threads_lock);
    for (yoke_thread *t = list; t; t = t->next)
        n += t->job && atomic_load_explicit(&t->state, memory_order_relaxed) < YK_THREAD_FINISHED;
    yk_mutex_unlock(&yk_threads_lock);
    return n;
}
