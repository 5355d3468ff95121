/* worker: the life of a worker process: take a request, run its task, write its completion; spin a little; sleep.
 *
 * A worker shares no lock with anybody. Before it sleeps it says so and looks once more; the parent sends first and
 * looks then whether the worker sleeps: with sequentially consistent operations one of the two sees the other. The bell
 * works the same way in the other direction. */
#include "process/shared.h"
#include "exec/exec.h"
#include "topo/topo.h"
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPIN_NS = 30000, PAUSES = 4, CREDIT_MAX = 8, SCRATCH = 8192, TURNS_MAX = 16 };
#define MOVE_EVERY (10 * YOKE_MS)

typedef struct worker {
    yk_worker_start s;
    yk_arena arena;
    yk_source source;    /* arena chunks for the region of the running task */
    yk_window window;    /* for results: s.window with take() from the arena, the only part of it that outlives the job */
    void *block;         /* goes to the parent with the completion, so it is not given back here */
    yk_region region;
    yoke_executor *inner; /* what tasks get as their executor; made when first used */
    int credit;          /* see threads/worker.c */
    int turns;           /* yields in a row on the CPU of the parent's spinning thread */
    bool spent;          /* its device is lost for as long as this process lives: another is to take its place */
    int64_t moved;       /* when this worker left a CPU for that */
    char *args, *ret;    /* room for the largest task so far */
    size_t args_room, ret_room;
    _Alignas(16) char scratch[SCRATCH];
} worker;

static worker self;

static void *take_chunk(yk_source *s, size_t size)
{
    return self.arena.base ? yk_arena_take(&self.arena, size) : NULL;
}

static void give_chunk(yk_source *s, void *chunk)
{
    if (chunk != self.block)
        yk_arena_give(&self.arena, chunk);
}

/* For results that lie in private memory and are too large for a cell. */
static void *take_block(yk_window *w, size_t size)
{
    if (self.block || !self.arena.base)
        return NULL;
    return self.block = yk_arena_take(&self.arena, size);
}

/* The chunk of the region in which a large result lies, or NULL. Chunks are linked from the newest on. */
static void *chunk_of(const void *p)
{
    if (!self.arena.base)
        return NULL;
    for (char *c = (char *)self.region.chunks; c; c = *(char **)(void *)c) {
        size_t size = yk_arena_size_of(&self.arena, c);
        if ((uintptr_t)p >= (uintptr_t)c && (uintptr_t)p - (uintptr_t)c < size)
            return c;
    }
    return NULL;
}

static bool make_room(char **p, size_t *room, size_t size)
{
    if (size <= *room)
        return true;
    void *grown;
    if (posix_memalign(&grown, 64, size) != 0)
        return false;
    free(*p);
    *p = grown;
    *room = size;
    return true;
}

/* ---- Completions ---- */

static void put_error(yk_completion_cell *c, int code, const char *text)
{
    size_t len = strlen(text);
    c->code = code;
    c->in_block = 0;
    char *to = c->frame;
    if (len > YK_FRAME_CELL) {
        char *block = take_block(NULL, len);
        if (block) {
            to = block;
            c->in_block = 1;
        } else {
            len = YK_FRAME_CELL;
        }
    }
    memcpy(to, text, len);
    c->frame_len = (uint32_t)YK_MIN(len, (size_t)UINT32_MAX);
}

/* Whether the result is a view into an argument that is the caller's own shared memory: it stays there. */
static bool is_callers(const yoke_task *t, uint32_t lasting)
{
    for (unsigned i = 0; i < t->nparams; i++)
        if (lasting >> i & 1 && yk_is_view(t->ret_code) &&
            yk_view_lies_in((const yk_any_view *)(const void *)self.ret, yk_element(t->ret_code),
                            (const yk_any_view *)(const void *)(self.args + t->params[i].offset),
                            yk_element(t->params[i].code)))
            return true;
    return false;
}

/* Writes the result's frame into the cell, or into a block of the arena. */
static int put_result(yk_completion_cell *c, const yoke_task *t, uint32_t lasting, yk_error *e)
{
    yk_window stays = self.window;
    void *const own = t->info->ret_points ? chunk_of(*(void *const *)(void *)self.ret) : NULL;
    if (!own && lasting && is_callers(t, lasting))
        stays.lasting = NULL;
    else if (!own)
        stays.lasting_end = stays.lasting; /* what an earlier job of this worker left here may go any time */
    size_t len = 0, bound = yk_frame_bound(t, YK_RESULT, self.ret, &stays);
    if (t->info->ret_points && bound <= t->ret_size)
        self.block = own;
    char *to = c->frame;
    size_t cap = YK_FRAME_CELL;
    if (bound > cap) {
        to = take_block(NULL, bound);
        cap = bound;
        if (!to)
            return yk_errorf(e, ENOMEM, "%s: no shared memory left for a result of %zu bytes", t->name, bound);
        c->in_block = 1;
    }
    int err = yk_frame_put(t, YK_RESULT, self.ret, &stays, to, cap, &len, e);
    c->frame_len = (uint32_t)len;
    return err;
}

static void ring_bell(void)
{
    yk_board *b = self.s.board;
    atomic_fetch_add_explicit(&b->bell, 1, memory_order_seq_cst);
    yk_futex_wake(&b->bell, INT32_MAX, true);
}

static void publish(yk_completion_cell *c, uint64_t done)
{
    yk_desk *d = self.s.desk;
    c->block = self.block ? (uint64_t)((char *)self.block - self.s.window.base) : 0;
    /* Pairs with the acquire in the parent's harvest; sequentially consistent because of the look at `sleepers`. */
    atomic_store_explicit(&d->done, done + 1, memory_order_seq_cst);
    if (atomic_load_explicit(&self.s.board->sleepers, memory_order_seq_cst) > 0 &&
        done + 1 >= atomic_load_explicit(&d->ring_at, memory_order_relaxed))
        ring_bell();
}

/* The next free completion cell; waits for the parent to see some when all are full. */
static yk_completion_cell *next_cell(uint64_t done)
{
    yk_desk *d = self.s.desk;
    while (done - atomic_load_explicit(&d->seen, memory_order_acquire) >= YK_RING) {
        uint32_t word = atomic_load_explicit(&d->doorbell, memory_order_acquire);
        atomic_store_explicit(&d->sleeping, 1, memory_order_seq_cst);
        ring_bell();
        if (done - atomic_load_explicit(&d->seen, memory_order_seq_cst) >= YK_RING)
            yk_futex_wait(&d->doorbell, word, YOKE_FOREVER, true);
        atomic_store_explicit(&d->sleeping, 0, memory_order_relaxed);
    }
    return &d->completions[done % YK_RING];
}

/* ---- One request ---- */

/* The executor for nested work runs jobs at once, in this process. */
static yoke_executor *inner_executor(void)
{
    if (!self.inner) {
        self.inner = yoke_open("inline");
        self.inner->device_name = self.s.device;
    }
    return self.inner;
}

static int decode(const yk_request *q, const yoke_task **t, yk_error *e)
{
    *t = yk_task_by_id(q->task);
    if (!*t)
        return yk_errorf(e, EBADMSG, "task %u is not known in the worker", q->task);
    if (!make_room(&self.args, &self.args_room, (*t)->args_size) || !make_room(&self.ret, &self.ret_room, (*t)->ret_size))
        return yk_errorf(e, ENOMEM, "out of memory in the worker");
    const char *frame = q->block ? self.s.window.base + q->block : q->frame;
    return yk_frame_get(*t, YK_ARGS, frame, q->frame_len, &self.s.window, self.args, e);
}

static void run(yk_desk *d, yk_request *q, uint64_t number)
{
    uint64_t done = atomic_load_explicit(&d->done, memory_order_relaxed);
    yk_completion_cell *c = next_cell(done);
    const yoke_task *t;
    yk_error e;
    self.block = NULL;
    c->number = number;
    c->in_block = 0;
    c->retry_after = -1;
    c->frame_len = 0;
    yk_region_init(&self.region, self.scratch, SCRATCH, &self.source);
    int err = decode(q, &t, &e);
    if (err < 0) {
        c->started = c->ended = yoke_now();
        put_error(c, err, e.text);
    } else {
        int64_t deadline = q->deadline;
        if (q->timeout > 0) {
            int64_t end = atomic_load_explicit(&d->claimed_at, memory_order_relaxed) + q->timeout;
            deadline = YK_MIN(deadline, end);
        }
        yk_run r = {.timeout = q->timeout > 0 && deadline != q->deadline ? q->timeout : 0, .task = t, .args = self.args,
                    .ret = self.ret, .region = &self.region, .cancel = &q->cancel,
                    .progress = d->progress, .deadline = deadline, .timed = true,
                    .executor = inner_executor(), .attempt = q->attempt};
        err = yk_job_run(&r);
        c->progress[0] = atomic_load_explicit(&d->progress[0], memory_order_relaxed);
        c->progress[1] = atomic_load_explicit(&d->progress[1], memory_order_relaxed);
        c->started = r.started;
        c->ended = r.ended;
        c->retry_after = r.retry_after;
        c->code = err;
        if (err == 0 && (err = put_result(c, t, q->lasting, &e)) < 0)
            put_error(c, err, e.text);
        else if (err < 0)
            put_error(c, err, r.error);
    }
    if (__fpending(stdout) > 0)
        fflush(stdout); /* the worker may be killed at any time: what a task has printed is out when it ends */
    publish(c, done);
    yk_region_done(&self.region);
    self.spent = yk_device_care_hook && self.inner && yk_device_care_hook->settle(self.inner);
}

/* Blocks that the parent no longer needs. */
static void take_returns(yk_desk *d)
{
    uint64_t end = atomic_load_explicit(&d->returned, memory_order_acquire);
    uint64_t at = atomic_load_explicit(&d->returns_taken, memory_order_relaxed);
    for (; at != end; at++) {
        uint64_t offset = atomic_load_explicit(&d->returns[at % YK_RETURNS], memory_order_relaxed);
        yk_arena_give(&self.arena, self.s.window.base + offset);
    }
    atomic_store_explicit(&d->returns_taken, at, memory_order_release);
}

/* ---- The loop ---- */

static bool has_request(yk_desk *d, uint64_t number)
{
    return atomic_load_explicit(&d->sent, memory_order_acquire) != number;
}

/* Lets others run; when that is again and again the parent, on this very CPU, goes elsewhere. */
static void make_way(yk_board *b)
{
    self.turns = sched_getcpu() == atomic_load_explicit(&b->spinner, memory_order_relaxed) ? self.turns + 1 : 0;
    if (self.turns > TURNS_MAX) {
        self.turns = 0;
        int64_t now = yoke_now();
        if (now - self.moved > MOVE_EVERY) {
            self.moved = now;
            yk_leave_cpu();
        }
    }
    sched_yield();
}

static bool spin(yk_desk *d, uint64_t number)
{
    if (!self.s.spin || self.credit == 0)
        return false;
    int64_t end = yoke_now() + SPIN_NS;
    do {
        for (int i = 0; i < PAUSES; i++) {
            if (has_request(d, number))
                return true;
            yk_pause();
        }
        make_way(self.s.board);
    } while (yoke_now() < end && !atomic_load_explicit(&d->stop, memory_order_relaxed));
    return false;
}

static void sleep_until_sent(yk_desk *d, uint64_t number)
{
    int64_t start = yoke_now();
    uint32_t word = atomic_load_explicit(&d->doorbell, memory_order_acquire);
    atomic_store_explicit(&d->sleeping, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&d->sent, memory_order_seq_cst) == number &&
        !atomic_load_explicit(&d->stop, memory_order_seq_cst))
        yk_futex_wait(&d->doorbell, word, YOKE_FOREVER, true);
    atomic_store_explicit(&d->sleeping, 0, memory_order_relaxed);
    if (yoke_now() - start < SPIN_NS)
        self.credit = YK_MIN(self.credit + 2, CREDIT_MAX);
}

/* Out of work: the parent may be waiting for just that, to send more or because everything is done. */
static void idle(yk_desk *d, uint64_t number, uint64_t *rung)
{
    uint64_t done = atomic_load_explicit(&d->done, memory_order_relaxed);
    if (*rung != done && atomic_load_explicit(&self.s.board->sleepers, memory_order_seq_cst) > 0) {
        *rung = done;
        ring_bell();
    }
    if (spin(d, number)) {
        self.credit = YK_MIN(self.credit + 2, CREDIT_MAX);
        return;
    }
    self.credit -= self.credit > 0;
    sleep_until_sent(d, number);
}

void yk_worker_main(const yk_worker_start *start)
{
    self.s = *start;
    self.source = (yk_source){take_chunk, give_chunk};
    self.window = start->window;
    self.window.take = take_block;
    /* A result may point into the job's arguments. Their cell and blocks are used again once the job has ended. */
    self.window.lasting = start->arena ? start->arena : start->window.base;
    self.window.lasting_end = start->arena ? start->arena + start->arena_size : start->window.base;
    self.credit = CREDIT_MAX;
    if (start->arena && yk_arena_open(&self.arena, start->arena, start->arena_size) < 0)
        self.arena.base = NULL;
    yk_desk *d = start->desk;
    uint64_t number = atomic_load_explicit(&d->taken, memory_order_relaxed), rung = 0;
    while (!atomic_load_explicit(&d->stop, memory_order_acquire) && !self.spent) {
        if (!has_request(d, number)) {
            idle(d, number, &rung);
            continue;
        }
        yk_request *q = &d->requests[number % YK_RING];
        uint32_t ready = YK_CELL_READY;
        /* The claim's place and time are there before the claim: the parent reads them when it sees CLAIMED. */
        atomic_store_explicit(&d->progress[0], 0, memory_order_relaxed);
        atomic_store_explicit(&d->progress[1], 0, memory_order_relaxed);
        atomic_store_explicit(&d->claimed, number, memory_order_release);
        if (atomic_compare_exchange_strong_explicit(&q->state, &ready, YK_CELL_CLAIMED, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            if (q->timeout > 0)
                atomic_store_explicit(&d->claimed_at, yoke_now(), memory_order_release);
            run(d, q, number);
            if (q->timeout > 0)
                atomic_store_explicit(&d->claimed_at, 0, memory_order_relaxed);
        }
        number++;
        atomic_store_explicit(&d->taken, number, memory_order_release);
        if (self.arena.base)
            take_returns(d);
    }
    _exit(0);
}
