/* shared.h: what parent and workers see of each other: one memory file, mapped before the workers are forked, so that every
 * address in it means the same to all.
 *
 *     | board: the bell | a desk for each worker: words, two rings | the parent's arena | arenas of workers ... |
 *
 * A desk has two rings with one writer and one reader each, and no lock: whoever dies at whatever point damages no one else. The
 * parent keeps its own books of what it has sent and believes nothing that it reads here before it has checked it.
 *
 * Requests are numbered from 0 in the order sent; number n lies in cell n % YK_RING. A cell is READY until the worker CLAIMS it
 * or the parent REVOKES it, whoever is first; so a job that has not started can be cancelled, given to another worker, or saved
 * when its worker dies. Completions come in the same order, without the revoked. */
#ifndef YK_PROCESS_SHARED_H
#define YK_PROCESS_SHARED_H
#include "process/arena.h"
#include "task/task.h"

enum {
    YK_RING = 512,          /* cells of a ring; a power of two */
    YK_FRAME_CELL = 128,    /* bytes of a frame that fit into a cell: three scalars, a view, a short text */
    YK_RETURNS = 1024,      /* slots of the ring by which a worker gets its blocks back */
    YK_LINES = 128          /* words of different writers lie this far apart: CPUs fetch lines in pairs */
};

enum { YK_CELL_FREE, YK_CELL_READY, YK_CELL_CLAIMED, YK_CELL_REVOKED };

typedef struct yk_request {
    _Alignas(64) _Atomic uint32_t state;
    uint32_t task;          /* id in the registry */
    int64_t deadline;       /* absolute, or YOKE_FOREVER */
    int64_t timeout;        /* 0: none */
    uint32_t attempt;
    uint32_t frame_len;
    uint64_t block;         /* the frame's offset in the window, or 0: it is here */
    _Atomic uint32_t cancel; /* the task's word for yoke_cancelled(); here, so that it can only ever reach this job */
    uint32_t lasting;       /* bit i: argument i is a view of the caller's own shared memory, which outlives the job */
    _Alignas(16) char frame[YK_FRAME_CELL];
} yk_request;

typedef struct yk_completion_cell {
    _Alignas(64) uint64_t number; /* of the request */
    int32_t code;
    uint32_t frame_len;     /* of the result, or of the error's text */
    int64_t started, ended, retry_after;
    double progress[2];
    uint64_t block;         /* a block of the worker's arena that goes with it, or 0 */
    uint32_t in_block;      /* the frame is at the start of the block, not here */
    _Alignas(16) char frame[YK_FRAME_CELL];
} yk_completion_cell;

/* One worker's place. Who writes which line is said on it. */
typedef struct yk_desk {
    /* parent */
    _Alignas(YK_LINES) _Atomic uint64_t sent;      /* requests */
    _Atomic uint64_t ring_at;                      /* ring the bell once completions reach this number */
    _Atomic uint32_t doorbell;                     /* futex word on which the worker sleeps */
    _Atomic bool stop;
    _Alignas(YK_LINES) _Atomic uint64_t seen;      /* completions */
    _Atomic uint64_t returned;                     /* blocks given back */
    /* worker */
    _Alignas(YK_LINES) _Atomic uint64_t done;      /* completions */
    _Atomic uint64_t taken;                        /* requests */
    _Atomic uint64_t returns_taken;
    _Alignas(YK_LINES) _Atomic uint32_t sleeping;  /* or about to; the parent looks with each request */
    _Alignas(YK_LINES) _Atomic int64_t claimed_at;                    /* when the running request was claimed; 0: none runs */
    _Atomic uint64_t claimed;                      /* its number */
    _Atomic double progress[2];
    _Alignas(YK_LINES) yk_request requests[YK_RING];
    yk_completion_cell completions[YK_RING];
    _Atomic uint64_t returns[YK_RETURNS];
} yk_desk;

/* What all share. */
typedef struct yk_board {
    _Alignas(YK_LINES) _Atomic uint32_t bell; /* futex word of the parent's sleepers; changes with each ring */
    _Atomic uint32_t sleepers;                /* written by the parent */
    _Alignas(YK_LINES) _Atomic int spinner;   /* the CPU on which a thread of the parent spins; -1: none does */
} yk_board;

/* ---- worker.c ---- */

typedef struct yk_worker_start {
    yk_board *board;
    yk_desk *desk;
    yk_window window;      /* all of the shared memory */
    char *arena;           /* this worker's own range, or NULL */
    size_t arena_size;
    bool spin;             /* there are CPUs to spare */
    const char *device;    /* which its tasks have, or NULL */
} yk_worker_start;

/* Serves a desk until it is told to stop. Does not return. */
void yk_worker_main(const yk_worker_start *start) __attribute__((noreturn));

/* ---- zygote.c ---- */

enum yk_zygote_ask { YK_ASK_NOTHING, YK_ASK_START, YK_ASK_KILL };

/* Parent to zygote. */
typedef struct yk_zygote_request {
    uint32_t ask, slot, incarnation;
    int32_t arena; /* index of the arena range, or -1 */
} yk_zygote_request;

enum yk_zygote_news { YK_NEWS_STARTED, YK_NEWS_FAILED, YK_NEWS_ENDED };

/* Zygote to parent. */
typedef struct yk_zygote_report {
    uint32_t news, slot, incarnation;
    int32_t pid;
    int32_t code, status; /* ENDED: si_code and si_status of waitid; FAILED: status is the errno of fork */
} yk_zygote_report;

typedef struct yk_zygote_setup {
    int socket;           /* its end; the parent's is closed in the child */
    pid_t parent;
    char *base;           /* the shared memory */
    size_t size;
    yk_board *board;
    yk_desk *desks;
    char *arenas;         /* first of the workers' ranges */
    size_t arena_size;
    uint32_t width;
    bool spin;
    const char *device;
} yk_zygote_setup;

/* Forks the zygote. Returns its pid or a negative code. */
pid_t yk_zygote_fork(const yk_zygote_setup *setup);
#endif
