/* harvest: from the workers back to the jobs, and waiting for that.
 *
 * Whoever waits for a job reads the rings himself: no thread stands between a worker and the waiter. Before sleeping he
 * tells each worker at which completion to ring the bell, so that he is woken once, when his own job is done, and not
 * for each one before it. A worker also rings when it runs out of work. Only if there is something to do that nobody
 * waits for - a hook on a job, a backlog to send on - does a thread of our own, the harvester, wait in the same way. */
#include "process/pool.h"
#include <sched.h>
#include <stdlib.h>

enum { SPIN_NS = 30000, SPINS = 8, CREDIT_MAX = 8, PATIENCE_NS = 200000 };

/* ---- One completion ---- */

/* The arena in which the offset lies; -1: in none. */
static int arena_at(const yk_processes *p, uint64_t offset)
{
    uint64_t first = (uint64_t)(p->arenas - p->map);
    uint64_t i = offset >= first ? (offset - first) / p->arena_size : UINT64_MAX;
    return i < p->arena_count ? (int)i : -1;
}

/* The frame in the cell or in the block; NULL when the worker has written nonsense. */
static const char *frame_of(yk_processes *p, const yk_clerk *c, const yk_completion_cell *cell, uint32_t len)
{
    if (!cell->in_block)
        return len <= YK_FRAME_CELL ? cell->frame : NULL;
    int arena = arena_at(p, cell->block);
    if (arena < 0 || arena != c->arena)
        return NULL;
    uint64_t end = (uint64_t)(p->arenas - p->map) + ((uint64_t)arena + 1) * p->arena_size;
    return len <= end - cell->block ? p->map + cell->block : NULL;
}

/* A C string that stays in shared memory could lose its end after it has been checked: a task may have left a thread behind. Of
 * texts and arrays only the contents are at stake. */
static int take_string(yk_processes *p, yk_job *job, yk_error *e)
{
    const char **string = job->ret;
    if (*string < p->map || *string >= p->map + p->map_size)
        return 0;
    char *copy = yk_region_copy(&job->region, *string, strnlen(*string, (size_t)(p->map + p->map_size - *string)));
    if (!copy)
        return yk_errorf(e, ENOMEM, "out of memory");
    *string = copy;
    return 0;
}

static int take_value(yk_processes *p, yk_job *job, const char *frame, uint32_t len, bool in_cell, yk_error *e)
{
    /* The frame lies in our copy of the cell, so what a result points to must not stay there. */
    if (in_cell && job->task->info->ret_points) {
        char *copy = yk_region_alloc(&job->region, YK_MAX(len, 1u));
        if (!copy)
            return yk_errorf(e, ENOMEM, "out of memory");
        memcpy(copy, frame, len);
        frame = copy;
    }
    int err = yk_frame_get(job->task, YK_RESULT, frame, len, &p->window, job->ret, e);
    return err == 0 && job->task->ret_code == YOKE_CSTR ? take_string(p, job, e) : err;
}

/* Fills the job from its completion. False when the worker cannot be trusted any more. */
static bool take_completion(yk_processes *p, unsigned slot, yk_job *job, const yk_completion_cell *cell)
{
    yk_clerk *c = &p->clerks[slot];
    uint32_t len = cell->frame_len;
    const char *frame = frame_of(p, c, cell, len);
    if (!frame)
        return false;
    yk_error e;
    job->found_code = cell->code < 0 ? cell->code : 0;
    job->started = YK_MAX(cell->started, 0); /* so that their difference is a duration, whatever it says */
    job->ended = YK_MAX(cell->ended, job->started);
    job->worker = slot;
    job->found_pause = cell->retry_after;
    atomic_store_explicit(&job->progress[0], cell->progress[0], memory_order_relaxed);
    atomic_store_explicit(&job->progress[1], cell->progress[1], memory_order_relaxed);
    if (job->found_code < 0) {
        job->found_error = yk_region_copy(&job->region, frame, len);
        if (job->held) { /* the text's block; another attempt may bring another */
            yk_return_block(p, cell->block);
            job->held = NULL;
        }
        return true;
    }
    job->found_error = NULL;
    if (job->task->ret_code != YOKE_VOID && take_value(p, job, frame, len, !cell->in_block, &e) < 0) {
        job->found_code = e.code;
        job->found_error = yk_region_copy(&job->region, e.text, strlen(e.text));
        return e.code != -EBADMSG;
    }
    return true;
}

static void learn_duration(yk_clerk *c, int64_t ns)
{
    double d = ns > 0 ? (double)ns : 1;
    c->task_ns = c->task_ns == 0 ? d : c->task_ns + (d - c->task_ns) / 8;
}

/* The next number with a job, or `sent` when none is left. */
static uint64_t skip_revoked(const yk_clerk *c)
{
    uint64_t n = c->next;
    while (n < c->sent && !c->jobs[n % YK_RING])
        n++;
    return n;
}

/* Puts a job among the finished, with what it brought. */
static void conclude(yk_processes *p, unsigned slot, uint64_t number, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    yk_job *job = c->jobs[number % YK_RING];
    c->jobs[number % YK_RING] = NULL;
    job->owner.number = 0;
    c->next = number + 1;
    c->outstanding--;
    p->in_flight--;
    if (job->opts.timeout != 0)
        p->timed--;
    job->cargo = c->shipments[number % YK_RING];
    yk_list_push(&o->finished, job);
}

/* Of the frame as much as there is. */
static void copy_cell(yk_completion_cell *to, const yk_completion_cell *from)
{
    memcpy(to, from, offsetof(yk_completion_cell, frame));
    size_t len = to->in_block ? 0 : YK_MIN(to->frame_len, (uint32_t)YK_FRAME_CELL);
    memcpy(to->frame, from->frame, YK_ALIGN_UP(len, 16));
}

void yk_harvest_one(yk_processes *p, unsigned slot, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    yk_desk *d = &p->desks[slot];
    uint64_t done = atomic_load_explicit(&d->done, memory_order_acquire);
    bool trusted = true, full = done - c->seen >= YK_RING;
    while (c->seen != done && trusted) {
        /* Read once: what is checked must be what is used, though the worker may write on. */
        yk_completion_cell copy, *cell = &copy;
        copy_cell(cell, &d->completions[c->seen % YK_RING]);
        atomic_signal_fence(memory_order_acq_rel);
        uint64_t number = skip_revoked(c);
        trusted = number < c->sent && cell->number == number;
        if (!trusted)
            break;
        yk_job *job = c->jobs[number % YK_RING];
        learn_duration(c, (int64_t)((uint64_t)cell->ended - (uint64_t)cell->started));
        uint64_t block = cell->block;
        if (block != 0 && (trusted = arena_at(p, block) == c->arena && c->arena >= 0)) {
            p->arena_books[c->arena].held++;
            job->held = p->map + block;
        }
        trusted = trusted && take_completion(p, slot, job, cell);
        if (!trusted) {
            job->found_pause = -1;
            job->found_code = -EBADMSG;
            job->found_error = yk_job_text(job, "the worker (pid %d) returned a damaged result", (int)c->pid);
        }
        conclude(p, slot, number, o);
        c->seen++;
        c->quick_deaths = 0;
        c->stuck = false;
    }
    atomic_store_explicit(&d->seen, c->seen, memory_order_release);
    if (!trusted && c->state == YK_PRESENT)
        yk_end_worker(p, slot);
    if (full) { /* it may be waiting for room */
        atomic_fetch_add_explicit(&d->doorbell, 1, memory_order_seq_cst);
        yk_futex_wake(&d->doorbell, 1, true);
    }
}

/* What one completes that should be dead is nobody's. */
static void look_away(yk_clerk *c, yk_desk *d)
{
    c->seen = atomic_load_explicit(&d->done, memory_order_relaxed);
    atomic_store_explicit(&d->seen, c->seen, memory_order_relaxed);
}

void yk_harvest(yk_processes *p, yk_outcome *o)
{
    for (unsigned i = 0; i < p->base.width; i++)
        if (p->clerks[i].seen != atomic_load_explicit(&p->desks[i].done, memory_order_relaxed)) {
            if (p->clerks[i].state == YK_LINGERING)
                look_away(&p->clerks[i], &p->desks[i]);
            else
                yk_harvest_one(p, i, o);
        }
}

bool yk_has_news(yk_processes *p)
{
    for (unsigned i = 0; i < p->base.width; i++)
        if (atomic_load_explicit(&p->desks[i].seen, memory_order_relaxed) !=
            atomic_load_explicit(&p->desks[i].done, memory_order_seq_cst))
            return true;
    return false;
}

/* ---- Blocks of workers, held by results ---- */

/* Counts a block as no longer held; a dead worker's range is emptied when that was the last. Locked. */
void yk_drop_block(yk_processes *p, uint64_t offset)
{
    int i = arena_at(p, offset);
    if (i >= 0 && --p->arena_books[i].held == 0 && !p->arena_books[i].used)
        yk_sys.fallocate(p->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         (off_t)((uint64_t)(p->arenas - p->map) + (uint64_t)i * p->arena_size), (off_t)p->arena_size);
}

static bool push_return(yk_clerk *c, yk_desk *d, uint64_t offset)
{
    if (c->returned - atomic_load_explicit(&d->returns_taken, memory_order_acquire) >= YK_RETURNS)
        return false;
    atomic_store_explicit(&d->returns[c->returned % YK_RETURNS], offset, memory_order_relaxed);
    c->returned++;
    atomic_store_explicit(&d->returned, c->returned, memory_order_release);
    return true;
}

void yk_return_block(yk_processes *p, uint64_t offset)
{
    int arena = arena_at(p, offset);
    yk_clerk *c = NULL;
    unsigned slot = 0;
    for (; slot < p->base.width && !c; slot++)
        if (p->clerks[slot].arena == arena && p->clerks[slot].state == YK_PRESENT)
            c = &p->clerks[slot];
    yk_drop_block(p, offset);
    if (!c)
        return; /* its worker is dead */
    yk_desk *d = &p->desks[slot - 1];
    while (c->overdue_count > 0 && push_return(c, d, c->overdue[c->overdue_count - 1]))
        c->overdue_count--;
    if (c->overdue_count == 0 && push_return(c, d, offset))
        return;
    if (c->overdue_count == c->overdue_cap) {
        size_t cap = c->overdue_cap ? c->overdue_cap * 2 : 256;
        uint64_t *grown = yk_sys.realloc(c->overdue, cap * sizeof *grown);
        if (!grown)
            return; /* the worker's arena loses this block until the worker ends */
        c->overdue = grown;
        c->overdue_cap = cap;
    }
    c->overdue[c->overdue_count++] = offset;
}

/* ---- Finishing ---- */

void yk_processes_unload(yoke_executor *ex, yk_job *job, bool wanted)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_shipment *s = job->cargo;
    for (unsigned i = 0; i < s->out_count && wanted; i++) {
        const yoke_param *param = &job->task->params[s->outs[i].param];
        yk_view_copy((yk_any_view *)(void *)((char *)job->args + param->offset), &s->outs[i].shared,
                     yk_code_size(yk_element(param->code)));
    }
    yk_mutex_lock(&p->lock);
    yk_free_shipment(p, s);
    yk_mutex_unlock(&p->lock);
    job->cargo = NULL;
}

static void settle_one(yk_job *job)
{
    yk_job_finish(job, job->found_code, job->found_error, job->found_pause);
}

void yk_settle(yk_processes *p, yk_outcome *o)
{
    for (yk_job *job; (job = yk_list_pop(&o->finished));)
        settle_one(job);
    for (yk_job *job; (job = yk_list_pop(&o->dropped));)
        yk_job_drop(job);
}

void yk_round(yk_processes *p)
{
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    yk_harvest(p, &o);
    yk_dispatch(p, &o);
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
}

/* ---- Waiting ---- */

void yk_bell(yk_processes *p)
{
    atomic_fetch_add_explicit(&p->board->bell, 1, memory_order_seq_cst);
    yk_futex_wake(&p->board->bell, INT32_MAX, true);
}

/* The number of the worker's completion that will be this job's; 0 when it is not with a worker. */
static uint64_t completion_of(yk_processes *p, const yk_job *job, unsigned *slot)
{
    uint64_t place = job->owner.number;
    *slot = (unsigned)(place >> 48) - 1;
    if (place == 0 || *slot >= p->base.width)
        return 0;
    const yk_clerk *c = &p->clerks[*slot];
    uint64_t count = 0;
    for (uint64_t n = c->next; n < c->sent; n++) {
        if (!c->jobs[n % YK_RING])
            continue;
        count++;
        if (c->jobs[n % YK_RING] == job)
            return c->seen + count;
    }
    return 0;
}

/* Enters the sleepers' book. job NULL: ring for everything (`each`), or only when a worker has nothing left to do. */
static void lie_down(yk_processes *p, const yk_job *job, bool each)
{
    unsigned slot = 0;
    yk_mutex_lock(&p->lock);
    uint64_t at = job ? completion_of(p, job, &slot) : 0;
    for (unsigned i = 0; i < p->base.width; i++) {
        uint64_t mine = at == 0 ? (job || each ? 0 : UINT64_MAX) : i == slot ? at : UINT64_MAX;
        uint64_t now = p->sleepers == 0 ? UINT64_MAX : atomic_load_explicit(&p->desks[i].ring_at, memory_order_relaxed);
        atomic_store_explicit(&p->desks[i].ring_at, YK_MIN(mine, now), memory_order_relaxed);
    }
    p->sleepers++;
    /* Pairs with the workers' look at it after they have published a completion. */
    atomic_store_explicit(&p->board->sleepers, p->sleepers, memory_order_seq_cst);
    yk_mutex_unlock(&p->lock);
}

/* Sleeps on the bell; for a short while only when the load is uneven, to see whether a worker is stuck with a long job. */
static int sleep_on_bell(yk_processes *p, uint32_t word, int64_t deadline)
{
    int idle, loaded;
    yk_mutex_lock(&p->lock);
    bool uneven = yk_is_uneven(p, &idle, &loaded);
    yk_mutex_unlock(&p->lock);
    int64_t patience = uneven ? yoke_now() + PATIENCE_NS : YOKE_FOREVER;
    int err = yk_futex_wait(&p->board->bell, word, YK_MIN(deadline, patience), true);
    if (err != -ETIMEDOUT || patience >= deadline)
        return err;
    yk_mutex_lock(&p->lock);
    yk_note_stuck(p);
    yk_mutex_unlock(&p->lock);
    return 0;
}

static void get_up(yk_processes *p)
{
    yk_mutex_lock(&p->lock);
    p->sleepers--;
    atomic_store_explicit(&p->board->sleepers, p->sleepers, memory_order_seq_cst);
    yk_mutex_unlock(&p->lock);
}

/* For the worker, which leaves a CPU on which the two would only take turns. Several threads may spin: any one of them will
 * do. */
static void say_where(yk_processes *p)
{
    int cpu = sched_getcpu();
    if (atomic_load_explicit(&p->board->spinner, memory_order_relaxed) != cpu)
        atomic_store_explicit(&p->board->spinner, cpu, memory_order_relaxed);
}

/* Looks at the rings for a short while; true when the job has ended. */
static bool spin(yk_processes *p, yk_job *job)
{
    if (!p->setup.spin || atomic_load_explicit(&p->credit, memory_order_relaxed) == 0)
        return false;
    int64_t end = yoke_now() + SPIN_NS;
    say_where(p);
    do {
        for (int i = 0; i < SPINS; i++) {
            if (yk_has_news(p)) {
                yk_round(p);
                end = yoke_now() + SPIN_NS;
            }
            if (yk_job_ended(job))
                return true;
            yk_pause();
        }
        sched_yield();
    } while (yoke_now() < end);
    return false;
}

static void earn(yk_processes *p, int more)
{
    int credit = atomic_load_explicit(&p->credit, memory_order_relaxed) + more;
    atomic_store_explicit(&p->credit, YK_MIN(YK_MAX(credit, 0), CREDIT_MAX), memory_order_relaxed);
}

int yk_processes_wait(yoke_executor *ex, yk_job *job, int64_t deadline)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    for (;;) {
        yk_round(p);
        if (yk_job_ended(job))
            return 0;
        if (spin(p, job)) {
            earn(p, CREDIT_MAX);
            return 0;
        }
        earn(p, -1);
        uint32_t word = atomic_load_explicit(&p->board->bell, memory_order_seq_cst);
        lie_down(p, job, false);
        uint32_t state = atomic_fetch_or_explicit(&job->state, YK_WAITERS, memory_order_acq_rel);
        int err = 0;
        int64_t start = yoke_now();
        if ((state & YK_PHASE) != YK_DONE && !yk_has_news(p))
            err = sleep_on_bell(p, word, deadline);
        get_up(p);
        if (yoke_now() - start < SPIN_NS)
            earn(p, 2);
        if (err == -ETIMEDOUT) {
            yk_round(p);
            return yk_job_ended(job) ? 0 : -ETIMEDOUT;
        }
    }
}

/* ---- The harvester ---- */

static bool is_needed(const yk_processes *p)
{
    int idle, loaded;
    return (p->hooked > 0 && p->in_flight > 0) || p->backlog_count > 0 || yk_is_uneven(p, &idle, &loaded);
}

void yk_call_harvester(yk_processes *p)
{
    if (p->harvester_awake || !is_needed(p))
        return;
    p->harvester_awake = true;
    atomic_fetch_add_explicit(&p->harvest_word, 1, memory_order_release);
    yk_futex_wake(&p->harvest_word, 1, false);
}

void *yk_harvester_thread(void *arg)
{
    yk_processes *p = arg;
    pthread_setname_np(pthread_self(), "yoke-harvester");
    for (;;) {
        yk_mutex_lock(&p->lock);
        bool stop = p->stopping, needed = is_needed(p), each = p->hooked > 0;
        p->harvester_awake = needed;
        uint32_t seen = atomic_load_explicit(&p->harvest_word, memory_order_acquire);
        yk_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        if (!needed) {
            yk_futex_wait(&p->harvest_word, seen, YOKE_FOREVER, false);
            continue;
        }
        uint32_t word = atomic_load_explicit(&p->board->bell, memory_order_seq_cst);
        lie_down(p, NULL, each);
        if (!yk_has_news(p))
            sleep_on_bell(p, word, YOKE_FOREVER);
        get_up(p);
        yk_round(p);
    }
}
