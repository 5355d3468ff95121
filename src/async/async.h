/* async: coroutines and the loops that run them. Floor 3.
 *
 * The idea: a loop is one thread's list of coroutines that can go on. Whoever waits takes himself off that list by yk_suspend(),
 * and whoever has what he waits for puts him back by yk_resume(). All waits of the part, for time, for input and output, for
 * words of memory (wait.c), are these two calls, so that cancelling, deadlines and dumps are written once.
 *
 * Invariants: what belongs to a loop is touched by its thread alone, but for `posted` and `sleeping`, which others use to hand it
 * something (yk_loop_post). A coroutine never leaves the thread in which it first ran: compilers keep addresses of thread-local
 * variables across calls. */
#ifndef YK_ASYNC_H
#define YK_ASYNC_H
#include "async/backend.h"
#include "async/stack.h"
#include "async/switch.h"
#include "async/wheel.h"
#include "exec/exec.h"
#include "sync/who.h"
#include <yoke/async.h>
#include <yoke/sync.h>

typedef struct yk_loop yk_loop;
typedef struct yk_coroutine yk_coroutine;
typedef struct yk_starting yk_starting; /* start.c */

/* A timer that calls ring(alarm), in the thread of its loop, between coroutines. {.ring} at first. */
typedef struct yk_alarm {
    yk_wheel_timer timer;
    void (*ring)(struct yk_alarm *a);
} yk_alarm;
/* Sets one that is off; YOKE_FOREVER: it stays off. */
void yk_alarm_set(yk_loop *loop, yk_alarm *a, int64_t when);
void yk_alarm_clear(yk_loop *loop, yk_alarm *a);

/* ---- A wait ---- */

/* What a coroutine waits for. Lies on its stack while it does. */
typedef struct yk_park {
    yk_coroutine *coroutine; /* set by yk_suspend() */
    /* Gives the wait up: the coroutine has been told to stop, or its deadline has passed. True: nothing has happened, and nobody
     * will resume it any more. False: who would resume it does so soon, with -ECANCELED or with what happened after all. Called
     * at most once for each wait, in the loop's thread. NULL: cannot be given up. */
    bool (*abort)(struct yk_park *p);
    const char *what; /* for dumps: "sleep", "recv" */
    long number;      /* and of what: a descriptor; -1: none */
    const void *object;
    const yk_cause *cause; /* says it better; NULL: there is none */
    int64_t since;    /* when the wait began; only while dumps are wanted, else 0 */
    yk_alarm alarm;
    bool asked;       /* abort() has been called */
    bool late;        /* by the deadline */
    bool deaf;        /* cancels do not reach it: the end of a group */
    bool outside;     /* somebody else is at work on what it waits for, and will be done: a test's clock waits for that */
    bool shared;      /* another process may be at work on it: a test's clock leaves it some time, as a descriptor */
} yk_park;

static inline const yk_kind *yk_park_kind(const yk_park *p)
{
    return p->cause ? p->cause->kind : NULL;
}

/* ---- A coroutine ---- */

/* What is another for each coroutine, and thread-local while it runs. */
typedef struct yk_context {
    yk_running running;
    yk_self_of_thread self; /* as holder of locks */
    yk_who *who;
} yk_context;

/* Lies at the top of its stack, in the same page as its first frames. */
struct yk_coroutine {
    void *at;                     /* where it goes on */
    yk_coroutine *next;           /* in a queue of those that can go on */
    yk_loop *loop;
    yk_park *park;                /* NULL: it runs, or can go on */
    int result;                   /* of the wait that is over */
    bool main, eager, started, keep_fp;
    bool told;                    /* to stop, from outside of its own scopes */
    yoke_scope *scope;            /* the innermost */
    yk_coroutine *scope_next, **scope_link; /* among scope->inside */
    yoke_group *group;            /* NULL: the loop's first, and jobs */
    int (*fn)(void *arg);
    void *arg;
    yk_starting *starting;        /* somebody waits for its yoke_started() */
    yk_context context;
    yk_stack stack;
    yk_fiber fiber;
    const char *name;
    yk_coroutine *all_next, **all_link;
    yk_coroutine *dump_first, *dump_next; /* dump.c: among its children, among its siblings */
    uint64_t number;              /* in order of starting, from 1 */
    uint64_t fp;                  /* control words, with keep_fp */
};

/* As yk_cancel_point(), for calls that often end without a wait: each 129th in a row lets others run first, so that one that
 * always finds something to do does not keep the loop to itself. */
int yk_wait_point(void);
/* Lets all others that can go on do so first; then yk_cancel_point(). In a coroutine. */
int yk_pass(void);

/* Suspends the running coroutine until yk_resume(), whose result it returns; or -ECANCELED, or, after the deadline,
 * -ETIMEDOUT. Does not look whether it is cancelled already: yk_cancel_point() first. */
int yk_suspend(yk_park *p, int64_t deadline);
/* The coroutine that waits there goes on, soon. In the loop's thread. */
void yk_resume(yk_park *p, int result);

/* A new coroutine, not yet ready: fn(arg) on a stack of that size (0: the default). NULL: no memory. */
yk_coroutine *yk_coroutine_new(yk_loop *loop, size_t stack, int (*fn)(void *arg), void *arg);
/* Runs it now; the running coroutine goes on right after it first waits. */
void yk_run_now(yk_coroutine *co);
/* yk_blocking.introduce of a loop. */
yk_who_loop *yk_coroutine_introduce(yk_blocking *b, char *name, size_t size);
/* The name for people: as given, else of the function, in buffer if it must be made. */
const char *yk_coroutine_name(const yk_coroutine *co, char *buffer, size_t size);

/* ---- A loop ---- */

/* Something for the thread of a loop to do. */
typedef struct yk_post {
    struct yk_post *next;
    void (*fn)(struct yk_post *p);
} yk_post;

/* SIGPIPE kept away from this thread; io_quiet.c. */
typedef struct yk_quiet {
    unsigned users;
    bool was_blocked, was_pending, broken;
} yk_quiet;

/* What a test changes (testing.c); NULL in all but tests. */
typedef struct yk_tested yk_tested;

struct yk_loop {
    yk_coroutine *running;        /* NULL: the loop itself */
    yk_coroutine *ready, **ready_end;
    size_t nready, coroutines;
    unsigned budget;              /* switches until the loop itself looks at the clock and the backend */
    unsigned in_a_row;            /* calls of the running coroutine that could have waited and did not (yk_wait_point) */
    void *at;                     /* where the loop itself goes on */
    yk_fiber fiber;
    yk_coroutine *ended;          /* left its stack just now, which whoever arrives gives back */
    yk_wheel timers;
    size_t ntimers;
    int64_t now;                  /* of this iteration */
    const yk_backend_type *io;
    yk_backend *backend;
    struct yk_io **waits;         /* by descriptor: what is under way on it */
    size_t waits_size;
    yk_quiet quiet;
    yk_stack_pool *stacks;
    yk_blocking blocking;         /* yk_blocked_hook while coroutines run */
    yk_context context;           /* the thread's own */
    uint64_t fp;                  /* control words of all that have none of their own */
    yk_tested *tested;
    yk_coroutine *all;            /* every coroutine, newest first */
    struct member *member;        /* of executor.c: what it is there; NULL: it is of yoke_async_run() */
    /* Called when no coroutine can go on and it is about to sleep, and again after that. NULL: nobody asks. */
    void (*rest)(struct yk_loop *loop, bool begins);
    uint64_t started, ended_count, switches, polls;
    uint64_t self;                /* the thread's id as holder of locks */
    yk_who_loop who;              /* what the search for deadlocks knows of it */
    yk_loop *next;                /* of all loops, under a lock of loop.c */
    yk_post *doing;               /* what it has taken off `posted` and not yet begun, oldest first */
    pthread_t thread;
    pid_t tid;
    bool watched;                 /* waits tell since when; hog.c, as the next */
    bool hog_told;
    uint64_t hog_switches;
    int64_t hog_since, longest;
    bool stop, draining;          /* stops now; stops when the last coroutine has ended */

    _Alignas(YK_CACHE_LINE) _Atomic(yk_post *) posted; /* newest first; anybody */
    _Atomic bool sleeping;        /* in poll(), or about to: who posts wakes it. Written by the loop; read by who posts */
    _Atomic uint32_t posting;     /* those who are in yk_loop_post() */
};

/* The loop of this thread, while it runs; or NULL. */
extern _Thread_local yk_loop *yk_loop_mine __attribute__((tls_model("initial-exec")));
static inline yk_loop *yk_loop_here(void)
{
    return yk_loop_mine;
}
/* The running coroutine, or NULL in a thread. */
static inline yk_coroutine *yk_coroutine_here(void)
{
    return yk_loop_mine ? yk_loop_mine->running : NULL;
}
void yk_loop_enter(yk_loop *loop);
/* The loop itself, whose stack this is, lets the first that is ready run, and those that it goes on to. */
void yk_run_ready(yk_loop *loop);
/* It can go on; at the end of the queue. */
static inline void yk_make_ready(yk_coroutine *co)
{
    yk_loop *loop = co->loop;
    co->next = NULL;
    *loop->ready_end = co;
    loop->ready_end = &co->next;
    loop->nready++;
}
/* A loop for this thread. 0 or a negative code with the reason in e. */
int yk_loop_open(yk_loop **ret, yk_error *e);
/* The same with a backend by name, as in YOKE_ASYNC_BACKEND; NULL: any. */
int yk_loop_open_with(const char *backend, yk_loop **ret, yk_error *e);
/* Runs coroutines until loop->stop. */
void yk_loop_run(yk_loop *loop);
/* It stops when its last coroutine has ended; in its thread. */
void yk_loop_drain(yk_loop *loop);
/* There are no coroutines. */
void yk_loop_close(yk_loop *loop);
/* There are some that cannot be ended: it never runs again, and all that it has stays as it is. */
void yk_loop_abandon(yk_loop *loop);
/* p->fn(p) is called in the loop's thread, between coroutines, in the order of posting. Any thread, while the loop lives. */
void yk_loop_post(yk_loop *loop, yk_post *p);
/* The clock of the loop: yoke_now(), or a test's. */
int64_t yk_loop_now(yk_loop *loop);
/* For each loop of the process, under the lock that keeps them. */
void yk_each_loop(void (*fn)(yk_loop *loop, void *arg), void *arg);

/* ---- Tests (testing.c): what a loop with `tested` does otherwise ---- */

/* How often coroutines may switch before the loop has its turn. */
unsigned yk_tested_budget(const yk_loop *loop, unsigned usual);
/* Before the first that is ready runs: the one that is to run goes to the head. */
void yk_tested_choose(yk_loop *loop);
/* A coroutine is about to ask whether it is cancelled; and it has just begun a wait. Either may be the moment of a cancel. */
void yk_tested_point(yk_coroutine *co);
void yk_tested_parked(yk_coroutine *co);
/* In place of a look at the kernel. When nothing can go on, this moves the clock. */
void yk_tested_look(yk_loop *loop);

/* ---- Scopes (scope.c) ---- */

/* The innermost scope of the running coroutine is `scope` from now on. */
void yk_scope_inside(yk_coroutine *co, yoke_scope *scope);
void yk_scope_move_children(yoke_scope *from, yoke_scope *to);
void yk_scope_open(yoke_scope *s, yoke_scope *parent, yk_coroutine *owner, yk_loop *loop, int64_t deadline, bool shield);
/* Takes it out of the tree. True: it is cancelled, told so, and nothing around it is: it ends here. */
bool yk_scope_close(yoke_scope *s);
/* Whether this thread is that of its loop, which alone may change it. */
bool yk_scope_is_here(const yoke_scope *s);
/* Whether the waits of coroutines in it are given up. */
static inline bool yk_scope_stops(const yoke_scope *s)
{
    return s && s->effective;
}
/* The wait of a coroutine has just been given up because of that. */
void yk_scope_tell(yk_coroutine *co);
/* Not cancelled here and now: 0, else -ECANCELED, which the caller returns. Every waiting call begins with it. */
static inline int yk_cancel_point_of(yk_coroutine *co)
{
    if (YK_UNLIKELY(co->loop->tested != NULL))
        yk_tested_point(co);
    if (YK_LIKELY(!yk_scope_stops(co->scope)))
        return 0;
    yk_scope_tell(co);
    return -ECANCELED;
}
static inline int yk_cancel_point(void)
{
    yk_coroutine *co = yk_coroutine_here();
    return co ? yk_cancel_point_of(co) : 0;
}
/* Ends the program: the coroutine has returned with a scope or a group that it did not end, and that lies on its stack. */
void yk_scope_left_open(const yk_coroutine *co) __attribute__((noreturn));
/* Ends the program when s is not the innermost scope here. */
void yk_scope_check(const yoke_scope *s, const char *what);

/* ---- Groups (group.c) ---- */

/* A coroutine in the group, which is not ready yet. NULL: no memory, and the group has failed. */
yk_coroutine *yk_group_new(yoke_group *g, const yoke_go_opts *opts, int (*fn)(void *arg), void *arg);
/* A coroutine of the group has returned this. */
void yk_group_child_ended(yoke_group *g, yk_coroutine *co, int code);
/* It has gone to another group. */
void yk_group_child_left(yoke_group *g);
/* The coroutine waits for the end of a group: for other coroutines of its loop alone. */
bool yk_group_is_waited_for(const yk_coroutine *co);

/* ---- Waits for words (wait.c) ---- */

/* From now on yk_wake() finds coroutines. */
void yk_wait_hook_up(void);
/* The same for words that other processes change (wait_shared.c). */
int yk_wait_shared(const yk_cause *cause, _Atomic uint32_t *word, uint32_t value, int64_t deadline, bool deaf);
/* yk_blocking.wait of a loop. */
int yk_wait_in_coroutine(yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how);

/* ---- Operations (io.c) ---- */

/* An operation and the wait for it. */
typedef struct yk_io {
    yk_op op;
    yk_park park;
    struct yk_io *next, **link;   /* among loop->waits[op.fd]; link NULL: not there */
    struct yk_closing *closing;   /* who waits for it to end, to close the descriptor */
} yk_io;
/* Runs io->op, of which kind and what the kind uses are set, in a coroutine: its result; or -ECANCELED, and nothing happened; or
 * -ETIMEDOUT. */
int64_t yk_operate(yk_io *io, const char *what, int64_t deadline);
/* The same after a yk_cancel_point() of the caller's: no other coroutine runs before it has been started. */
int64_t yk_operate_now(yk_io *io, const char *what, int64_t deadline);

#endif
