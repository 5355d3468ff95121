/* pool.h: the parent's side of the `processes` executor: its books of who has what.
 *
 * One private lock guards them all. Jobs are finished, and user code called, only after it has been let go: what a look at the
 * rings yields is gathered in a yk_outcome first. */
#ifndef YK_PROCESS_POOL_H
#define YK_PROCESS_POOL_H
#include "exec/exec.h"
#include "process/shared.h"
#include <fcntl.h>
#include <sched.h>

enum {
    YK_PROCESSES_MAX = 1024,
    YK_CLASSES = 3,      /* of priority: above, at and below 0 */
    YK_SPARE_ARENAS = 16 /* for workers that died while their results were still held */
};

typedef struct yk_processes yk_processes;

/* What travels with a job besides its frame: blocks of the parent's arena, and views to copy back. In the job's region. */
typedef struct yk_shipment {
    unsigned block_count, out_count;
    void *blocks[2 * 16 + 1];
    struct yk_out {
        unsigned param;
        yk_any_view shared;
    } outs[16];
} yk_shipment;

/* LINGERING: its zygote is dead, and so should it be; until it surely is, nobody else gets its desk. */
enum yk_clerk_state { YK_ABSENT, YK_STARTING, YK_PRESENT, YK_LINGERING };

/* The parent's books of one worker. */
typedef struct yk_clerk {
    enum yk_clerk_state state;
    uint32_t incarnation;
    pid_t pid;
    int pidfd;              /* -1: none */
    int arena;              /* index, or -1 */
    uint64_t sent, next;    /* requests sent; the first whose completion may still come */
    uint64_t seen;          /* completions */
    unsigned outstanding;   /* jobs it has */
    double task_ns;         /* moving average of what one takes; 0: not known */
    bool dirty;             /* requests written that have not been announced */
    uint64_t seen_before;   /* at the last look of yk_note_stuck() */
    bool lives_on;          /* after its zygote; of the supervisor alone */
    bool stuck;             /* has completed nothing between two looks: what waits behind its job may wait long */
    bool doomed;            /* being killed; it gets nothing more */
    bool killing;           /* its end has been asked for, once; the supervisor goes on asking if that failed */
    uint32_t unsent;        /* what the zygote could not be told yet: a yk_zygote_ask */
    bool timed_out;         /* and that because its job's time is up */
    unsigned quick_deaths;  /* in a row, without having completed anything */
    int64_t started_at, restart_at;
    uint64_t returned;      /* blocks given back through the ring */
    uint64_t *overdue;      /* and those for which it had no room */
    size_t overdue_count, overdue_cap;
    yk_job *jobs[YK_RING];  /* by number; NULL: revoked or completed */
    yk_shipment *shipments[YK_RING];
} yk_clerk;

typedef struct yk_job_list {
    yk_job *first, **last;
} yk_job_list;

struct yk_processes {
    yoke_executor base;
    _Alignas(YK_LINES) yk_mutex lock; /* guards what follows, but for words marked atomic */
    yk_job_list backlog[YK_CLASSES];
    size_t backlog_count;
    int hooked;             /* jobs whose end must be noticed though nobody waits */
    unsigned in_flight;
    unsigned sleepers;      /* on the bell */
    unsigned timed;         /* jobs in flight with a timeout */
    int64_t least_timeout;  /* of those, at most */
    unsigned submits;       /* to look at the rings now and then */
    bool stopping, no_restart;
    unsigned unsent;        /* clerks with something unsent; the supervisor sends it */
    bool queue_full;        /* and that because the zygote has not read the rest yet */

    int memory;             /* the memory file */
    char *map;
    size_t map_size;
    yk_board *board;
    yk_desk *desks;
    char *arenas;
    size_t arena_size;
    unsigned arena_count;
    struct {
        bool used;          /* by a living worker */
        size_t held;        /* blocks that the parent has */
    } *arena_books;
    yk_arena arena;         /* the parent's own */
    yk_window window;
    uint32_t known_tasks;   /* registered when the zygote was forked */
    char *device;           /* which each worker opens when a task first asks for it, or NULL */

    yk_zygote_setup setup;
    pid_t zygote;
    int socket, poke;       /* to the zygote; an eventfd that wakes the supervisor */
    pthread_t supervisor, harvester;
    bool supervised, harvesting; /* the threads were started */
    bool harvester_awake;
    _Atomic uint32_t harvest_word;
    _Atomic int credit;     /* how much spinning has paid lately, for those who wait; a hint, so lost updates do not matter */

    yk_clerk clerks[];      /* base.width */
};

/* Jobs that have ended and what to do about them once the lock is free: chained by job->next. */
typedef struct yk_outcome {
    yk_job_list finished; /* job->found_code, found_error and found_pause are set */
    yk_job_list dropped;
} yk_outcome;

void yk_list_init(yk_job_list *l);
void yk_list_push(yk_job_list *l, yk_job *job);
yk_job *yk_list_pop(yk_job_list *l);

/* ---- dispatch.c: from the backlog to the workers ---- */
void yk_backlog_push(yk_processes *p, yk_job *job);
/* Sends what can be sent. Locked. */
void yk_dispatch(yk_processes *p, yk_outcome *o);
/* Takes a job back from a worker that has not begun it; true when that was in time. Locked. */
bool yk_revoke(yk_processes *p, unsigned slot, uint64_t number);
/* Has a worker killed, unless it has completed that job of its; all others it has are saved first. True when so. Locked. */
bool yk_doom(yk_processes *p, unsigned slot, uint64_t number);
void yk_requeue(yk_processes *p, yk_job *job, yk_shipment *s);
/* True when a worker has nothing while another has jobs that wait. Locked. */
bool yk_is_uneven(const yk_processes *p, int *idle, int *loaded);
/* Called at intervals while the load is uneven. Locked. */
void yk_note_stuck(yk_processes *p);
void yk_free_shipment(yk_processes *p, yk_shipment *s);
/* Where a job is: slot and number, packed into owner.number while it is in flight. */
static inline uint64_t yk_place(unsigned slot, uint64_t number)
{
    return (uint64_t)(slot + 1) << 48 | (number & 0xffffffffffffu);
}

/* ---- harvest.c: from the workers to the jobs ---- */
/* Reads completions. Locked. */
void yk_harvest(yk_processes *p, yk_outcome *o);
void yk_harvest_one(yk_processes *p, unsigned slot, yk_outcome *o);
/* Looks, sends and finishes: the whole round. Not locked. */
void yk_round(yk_processes *p);
void yk_settle(yk_processes *p, yk_outcome *o);
/* True when some ring has completions that nobody has read. */
bool yk_has_news(yk_processes *p);
void yk_processes_unload(yoke_executor *ex, yk_job *job, bool wanted);
int yk_processes_wait(yoke_executor *ex, yk_job *job, int64_t deadline);
void yk_bell(yk_processes *p);
void *yk_harvester_thread(void *arg);
/* Wakes the harvester if there is work that nobody else will do. Locked. */
void yk_call_harvester(yk_processes *p);
void yk_return_block(yk_processes *p, uint64_t offset);
void yk_drop_block(yk_processes *p, uint64_t offset);

/* ---- supervise.c: starting, watching and replacing workers ---- */
/* Asks for a worker. Never waits: on failure the supervisor asks again. Locked, or before there are threads. */
int yk_start_worker(yk_processes *p, unsigned slot);
/* Ends what has never begun, if there is nobody who could begin it. Locked; while no worker is started again. */
void yk_give_up(yk_processes *p, yk_outcome *o);
/* Ends the worker that is there: now, or as soon as the system lets us. Locked. */
void yk_end_worker(yk_processes *p, unsigned slot);
/* Handles one report from the zygote; false at the end of the socket. */
bool yk_hear(yk_processes *p, bool block);
void *yk_supervisor_thread(void *arg);
void yk_poke(yk_processes *p);
#endif
