/* fork.h: a worker's split deque of forked calls; see yoke/fork.h for the front and fork.c for the algorithm. */
#ifndef YK_THREADS_FORK_H
#define YK_THREADS_FORK_H
#include "exec/exec.h"
#include <yoke/fork.h>

/* Where in a worker's slots the forks of one job begin; on the stack of whoever runs that job or a part of it. */
typedef struct yk_fork_frame {
    uint32_t first;               /* slots from here on, up to the next frame's, are forks of `run` */
    yk_run *run;                  /* NULL: of no job */
    bool under_lock;              /* whether its thread held a lock when this frame began */
    uint32_t watched;             /* fork_match.c: how many forks were in the list before */
    struct yk_fork_frame *outer;
} yk_fork_frame;

typedef struct yk_fork_done yk_fork_done;
typedef struct yk_fork_match yk_fork_match;

typedef struct yk_forks {
    yk_fork_worker own;           /* what the macros see; first */
    yk_fork_slot *base, *end;
    size_t mapped;                /* bytes at base */
    uint32_t split;               /* slots below are public, or were; the owner's */
    yk_fork_frame *frame;
    yk_fork_match *match;         /* while forks are watched: those that are not joined yet */
    yk_fork_done *done_early;     /* results of forks that ran at once because the slots were full, newest first */
    char result[YOKE_FORK_BYTES]; /* of the last of those to be joined */
    /* Tail: the next to steal; split; how often slots were made public. Thieves add to the tail by compare and swap. */
    _Alignas(YK_CACHE_LINE) _Atomic uint64_t open;
} yk_forks;

struct yk_pool;
struct yk_pool_worker;

/* Maps the slots: as many as there is address space for, at least some. 0 or -ENOMEM. */
int yk_forks_init(yk_forks *f);
/* Without any slots: each fork runs at once. Needs no memory but for forks that wait for their join. */
void yk_forks_init_without(yk_forks *f);
void yk_forks_done(yk_forks *f);
/* There is no memory and no job to fail: says so on stderr and ends the program. */
void yk_forks_give_up(size_t bytes, const char *what) __attribute__((noreturn));
/* Runs one fork of another worker's, with `top` as the first free slot of one's own; false when there was none to be had. only:
 * of this job; NULL: of any. The first tries one victim, the second all, and asks them for more. */
bool yk_forks_steal_from(struct yk_pool_worker *w, struct yk_pool_worker *victim, yk_fork_slot *top, const yk_run *only);
bool yk_forks_steal(struct yk_pool_worker *w, yk_fork_slot *top, const yk_run *only);
/* Anyone: whether there is something to steal; a guess. */
bool yk_forks_open(const yk_forks *f);
/* From here to the end, forks from slot `top` on belong to `run`. The frame lies with the caller. */
void yk_forks_begin(yk_forks *f, yk_fork_frame *frame, yk_fork_slot *top, yk_run *run);
void yk_forks_end(yk_forks *f, yk_fork_frame *frame, yk_fork_slot *top);
/* Whether the job of the forks that w is making has failed or was cancelled. */
bool yk_forks_is_over(const yk_fork_worker *w);
/* Asks every worker of the pool to make some of its forks public, or to see that its job has been cancelled. */
void yk_forks_ask(struct yk_pool *p);
void yk_forks_ask_one(yk_forks *f);

/* ---- fork_match.c: while yk_watching_forks ---- */

/* At a fork and at a join: `top` is its slot, `place` where in the code it is. A join without a fork is false. */
void yk_fork_match_forked(yk_forks *f, const yk_fork_slot *top, const char *name, const void *place);
bool yk_fork_match_joined(yk_forks *f, const yk_fork_slot *top, const char *name);
/* The frame, with its `first`, is the newest from here to the end. */
void yk_fork_match_begin(yk_forks *f, yk_fork_frame *frame);
void yk_fork_match_end(yk_forks *f, const yk_fork_frame *frame);
#endif
