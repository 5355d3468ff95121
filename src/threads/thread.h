/* thread.h: what the files of threads for people (thread.c, people.c, local.c, crash.c) share.
 *
 * Who writes what: refs, handles and state by atomic operations; next and prev under the list's lock; the rest by the starter
 * before the thread runs, save tid and who, which the thread itself writes, and error (under the list's lock). */
#ifndef YK_THREADS_THREAD_H
#define YK_THREADS_THREAD_H
#include "exec/exec.h"
#include "threads/crash.h"
#include <yoke/thread.h>

/* The life of a thread: state, on which joins sleep. */
enum {
    YK_THREAD_RUNS,
    YK_THREAD_DETACHED, /* runs, and nobody has a handle: it goes by itself */
    YK_THREAD_FINISHED, /* has nothing more to do; whoever comes first reaps it */
    YK_THREAD_REAPED,   /* somebody is waiting for the last of it */
    YK_THREAD_GONE
};

struct yoke_thread {
    _Atomic uint32_t refs;    /* of the memory: handles, the thread itself while it lives, the list's readers */
    _Atomic uint32_t handles; /* of users */
    _Atomic uint32_t state;
    uint32_t generation;     /* of forks */
    int kind;                /* enum yoke_thread_kind */
    atomic_bool background;
    bool worked;             /* its function has returned */
    int line;                /* where it was started */
    const char *file;
    yoke_future *job;        /* NULL: not one of yoke's */
    _Atomic pid_t tid;       /* 0: not running */
    _Atomic(yk_who *) who;
    pthread_t pthread;
    uintptr_t stack_low;     /* written by the thread; 0: not known */
    size_t stack_size;
    char *error;             /* with the thread's name, made when first asked for */
    struct yoke_thread *next, **at; /* in the list of all handles */
    char name[YK_WHO_NAME];
};

/* ---- people.c: the list of threads ---- */
extern yk_mutex yk_threads_lock;
/* A handle with one reference; NULL when out of memory. */
yoke_thread *yk_thread_new(const char *name, int kind);
void yk_thread_unref(yoke_thread *t);
/* Under yk_threads_lock. */
void yk_thread_enlist(yoke_thread *t);
void yk_thread_delist(yoke_thread *t);
/* The list's next thread of yoke's own other than `except` that the program's end waits for, with a reference; NULL: none. */
yoke_thread *yk_thread_to_wait_for(const yoke_thread *except);
/* How many threads of yoke's own still run. */
uint32_t yk_threads_running(void);
/* Makes t the calling thread's handle. */
void yk_thread_become(yoke_thread *t);
/* The calling thread's handle if it has one already. Async-signal-safe. */
yoke_thread *yk_thread_mine(void);

/* ---- thread.c ---- */
/* Arranges what happens at the end of the program. May be called again. */
void yk_threads_prepare(void);
/* Waits for all threads that the end of the program waits for. May be called again. */
void yk_threads_finish(void);

/* ---- local.c ---- */
/* Destroys the calling thread's values. */
void yk_locals_end(void);

/* ---- crash.c ---- */
/* In a thread: where its stack ends, by which overflows are known. */
void yk_crash_note(yoke_thread *t);

#endif
