/* pool.h: what the files of the thread pool share.
 *
 * Who writes what: a worker's deque by its rules, as the inbox; `lists` under their lock. No two locks are held together, and
 * nothing is called while one is held. */
#ifndef YK_THREADS_POOL_H
#define YK_THREADS_POOL_H
#include "exec/exec.h"
#include "threads/deque.h"
#include "threads/fork.h"
#include "threads/idle.h"
#include "threads/inbox.h"
#include "topo/distance.h"
#include <sched.h>

enum {
    YK_POOL_MAX = 4096,   /* most workers that can be asked for */
    YK_POOL_SPARES = 4096, /* further threads that may replace blocked ones */
    YK_POOL_GUESTS = 64,  /* threads from outside that may take part in a fork or a loop at one time */
    YK_PRIORITIES = 3     /* above, at and below 0 */
};

typedef struct yk_pool yk_pool;

enum { YK_HERE, YK_LEAVING, YK_AWAY }; /* of a worker's own set of CPUs */

typedef struct yk_pool_worker {
    yk_forks forks; /* first, see fork.c */
    yk_deque deque;
    _Alignas(YK_CACHE_LINE) _Atomic uint32_t bell; /* futex word on which it sleeps; changes with each ring */
    _Atomic pid_t tid;                             /* 0: not running yet */
    _Atomic(yk_who *) who;                         /* the thread, or who the guest is; for those who wait for it */
    _Atomic uint32_t away;                         /* YK_AWAY: its waker has kept it off a CPU, see wake.c */
    _Atomic int cpu;                               /* where it was seen last, noted by itself; -1: nowhere yet */
    cpu_set_t mask;                                /* its affinity before that */
    struct yk_pool_worker *next_free;              /* among guests that are free, or those without a thread */
    _Atomic uint64_t jobs, steals, sleeps;               /* counted by itself, read by anyone */
    yk_blocking blocking; /* what future.c calls when a task of this worker is about to block */
    yk_pool *pool;
    pthread_t thread;
    uint32_t index;
    uint32_t random;
    uint32_t victim;        /* from whom it stole last: the first to try */
    uint32_t ticks;         /* jobs taken, to look into the inbox now and then */
    uint32_t jobs_until_look, stride; /* see budget.c */
    int64_t clock;          /* when it last read it there */
    uint32_t streak;        /* jobs taken from the inbox since it last searched */
    int spin_credit;        /* how much spinning has paid lately, see worker.c */
    bool has_thread;        /* of its own */
    bool guest;             /* for a thread from outside */
    bool searching;         /* counted in pool->searching */
    bool unused;            /* parked, or a guest that is away, or without a thread; guarded by park_lock */
    unsigned blocked_depth; /* waits nest: only the outermost gives the place away */
    /* The order in which it steals, see order.c. */
    int64_t ordered_at;
    int ordered_cpu;          /* where it was then */
    uint32_t ordered;         /* workers there were then: 0: no order yet */
    uint32_t rounds_to_order; /* until it thinks of it again */
    uint32_t group_end[YK_DISTANCES]; /* in order[], for each distance, the nearest first */
    uint16_t order[];                 /* the others, p->room at most */
} yk_pool_worker;

typedef struct job_list {
    yk_job *first, **last;
} job_list;

struct yk_pool {
    yoke_executor base;
    yk_inbox inbox; /* jobs from outside, of priority 0 */
    _Alignas(YK_CACHE_LINE) yk_mutex lists_lock;
    job_list lists[YK_PRIORITIES]; /* jobs of another priority, and those for which the inbox had no memory */
    _Atomic uint32_t listed;       /* read without the lock by those who search */

    yk_idle sleepers; /* workers without anything to do, asleep or about to be */
    yk_idle joiners;  /* those that wait for a thief; they can only help with forks */
    _Alignas(YK_CACHE_LINE) _Atomic uint32_t searching; /* awake, without a job, looking for one */
    _Atomic uint32_t guests;                            /* threads from outside that take part */
    atomic_bool refused;                                /* somebody sleeps who could have helped, but for them */
    atomic_bool stopping;
    yk_pool_worker *free_guests; /* guarded by park_lock, as are the next two */
    uint32_t guests_made;
    yk_pool_worker *threadless;  /* workers whose thread could not be started */

    /* Places: at most that many workers run at a time. One that blocks lends its place to a spare. */
    _Atomic int32_t places;   /* see budget.c */
    atomic_bool may_spin;
    bool own_width;           /* the number of workers was given: places do not change */
    unsigned places_max;
    int64_t opened;            /* when it was opened */
    _Atomic int64_t looked_at; /* when affinity and quota were last read */
    yk_mutex park_lock;       /* guards who is parked, and starting threads */
    _Atomic int32_t active;   /* workers that hold a place */
    yk_idle parked;           /* spares that sleep until somebody takes them out; changed under park_lock */
    _Atomic uint32_t missing; /* places of blocked workers for which no thread could be had; written under park_lock */
    _Atomic uint64_t unfilled; /* how often that was so; counted under park_lock */
    uint32_t room;            /* of `workers` */
    _Atomic uint32_t worker_count;
    _Atomic uint32_t reach;    /* workers from here on have nothing that could be found: who searches stops there */
    yk_pool_worker *workers[]; /* worker_count of them; never shrinks before close */
};

/* ---- queue.c: finding work ---- */
void yk_pool_put(yk_pool *p, yk_job *job);
/* The same for a job that has been in a worker's own queue, without waking anybody. */
void yk_pool_put_back(yk_pool *p, yk_job *job);
/* The next job for this worker, or NULL when there was none anywhere. */
yk_job *yk_pool_find(yk_pool_worker *w);
/* The same for a worker in the midst of a job, without a look at what others have. */
yk_job *yk_pool_next(yk_pool_worker *w);
/* True when some queue seems to hold a job. */
bool yk_pool_has_work(yk_pool *p);
bool yk_pool_has_forks(yk_pool *p);
/* It has found something: whoever makes work from here on wakes somebody else, and what came while it searched, for which nobody
 * was woken, is handed on. */
void yk_pool_found(yk_pool_worker *w);
/* Wakes one sleeper if there is one and nobody is searching already. */
void yk_pool_wake(yk_pool *p);
/* The same for forks, with which those who wait for a thief can help too. True when others still sleep who might. */
bool yk_pool_wake_for_forks(yk_pool *p);
/* Whether one who sleeps may help with forks: guests take the places of as many. If not, the next guest that leaves asks for
 * forks on behalf of those who sleep. */
bool yk_pool_has_place(yk_pool *p);
/* Whether somebody sleeps who could help with forks. */
bool yk_pool_wants_forks(yk_pool *p);

/* ---- order.c: whom to steal from ---- */
enum {
    YK_ROUND_LAST,    /* him from whom there was something */
    YK_ROUND_NEAREST, /* the nearest group */
    YK_ROUND_REST,    /* any other of the order */
    YK_ROUND_NEW      /* those not in the order yet */
};

/* A walk once round all other workers, by groups. */
typedef struct yk_round {
    yk_pool_worker *thief;
    uint32_t count;          /* workers there are */
    unsigned phase;          /* YK_ROUND_*: which group is being visited */
    uint32_t from, size;     /* the group: places in the thief's order; for LAST and NEW numbers of workers */
    uint32_t start, visited; /* begins at from + start; so many of it visited */
    unsigned next, drawn;    /* next group of the order; the one that was drawn to come early */
} yk_round;
void yk_round_begin(yk_round *r, yk_pool_worker *thief);
/* The next worker to try, or NULL when all have been tried. First comes the last from whom there was something, and it comes
 * up again in its turn. */
yk_pool_worker *yk_round_next(yk_round *r);
/* This thread is w: notes where it runs. No system call. */
void yk_pool_note_cpu(yk_pool_worker *w);
/* Finds out how far apart CPUs are, if that is worth while for this pool and not known yet; may take milliseconds. */
void yk_pool_learn_order(yk_pool *p);
/* Orders the workers as seen from w on that CPU. */
void yk_pool_order_from(yk_pool_worker *w, int cpu);
extern int64_t yk_pool_order_every; /* changed by tests */

static inline void yk_pool_ring(yk_pool_worker *w)
{
    atomic_fetch_add_explicit(&w->bell, 1, memory_order_release);
    yk_futex_wake(&w->bell, 1, false);
}

/* In w's own thread, when it is awake: it may use all its CPUs again, see wake.c. */
void yk_pool_come_back(yk_pool_worker *w);

/* A counter with one writer. */
static inline void yk_count(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* ---- budget.c: how many run at a time ---- */
struct yk_cpus;
/* Sets the number of places and whether to spin. */
void yk_pool_budget(yk_pool *p, const struct yk_cpus *cpus);
/* Called by a worker when jobs_until_look has come down to 0. */
void yk_pool_look(yk_pool_worker *w);
extern int64_t yk_pool_look_every; /* changed by tests */

/* Whether to look around for a while before going to sleep. */
static inline bool yk_pool_may_spin(yk_pool *p)
{
    return atomic_load_explicit(&p->may_spin, memory_order_relaxed);
}

/* ---- worker.c: what a worker thread does ---- */
/* Adds a worker; 0 or a negative code. */
int yk_pool_add_worker(yk_pool *p);
/* A worker that nobody knows yet; NULL when out of memory. p NULL: one that works alone, and has no jobs. */
yk_pool_worker *yk_pool_worker_new(yk_pool *p, uint32_t index);
void yk_pool_worker_free(yk_pool_worker *w);
/* A worker without a thread, for one from outside; NULL when there are too many or memory is short. */
yk_pool_worker *yk_pool_add_guest(yk_pool *p);
/* Makes this thread that worker, or nobody's; returns whose it was. */
yk_pool_worker *yk_pool_become(yk_pool_worker *w);
/* The worker that this thread is, of whatever pool, or NULL. */
yk_pool_worker *yk_pool_anybody(void);
void yk_pool_stop(yk_pool *p);
/* Under park_lock: whether w may have anything that others could find. */
void yk_pool_set_used(yk_pool_worker *w, bool used);
static inline uint32_t yk_pool_reach(yk_pool *p)
{
    return atomic_load_explicit(&p->reach, memory_order_seq_cst); /* after entering a set of idle; pairs with set_used() */
}
/* Lets a spare run in a place that is free: a parked one, else a new thread. */
void yk_pool_fill_place(yk_pool *p);
/* Tries again for the places that are missing. */
void yk_pool_fill_missing(yk_pool *p);
/* ex as a pool of threads, if it is one and is open; else NULL. */
yk_pool *yk_pool_of(yoke_executor *ex);
/* The worker that this thread is, if it belongs to p, or NULL. */
yk_pool_worker *yk_pool_self(yk_pool *p);

#endif
