/* dispatch: from the backlog to the workers.
 *
 * A worker gets about WINDOW_NS worth of work ahead, by what its tasks have taken lately: many small tasks in one go,
 * large ones one by one. Among workers the one that will be free first is chosen; one that sleeps counts as busy for as
 * long as waking it takes, so a trickle of tiny tasks keeps one worker awake instead of all. When a worker has nothing
 * and the backlog is empty, what another has not begun is taken back and given to it, so no job waits behind a long one
 * while a worker idles. */
#include "process/pool.h"
#include <stdlib.h>

#define WINDOW_NS 200e3
#define WAKE_NS 20e3
#define UNKNOWN_NS 1e6 /* what a task is taken to need before one has been seen */
enum { WINDOW_MAX = YK_RING - 8 };

void yk_list_init(yk_job_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

void yk_list_push(yk_job_list *l, yk_job *job)
{
    job->next = NULL;
    *l->last = job;
    l->last = &job->next;
}

yk_job *yk_list_pop(yk_job_list *l)
{
    yk_job *job = l->first;
    if (job) {
        l->first = job->next;
        if (!l->first)
            l->last = &l->first;
    }
    return job;
}

static unsigned class_of(const yk_job *job)
{
    return job->opts.priority > 0 ? 0 : job->opts.priority == 0 ? 1 : 2;
}

void yk_backlog_push(yk_processes *p, yk_job *job)
{
    yk_list_push(&p->backlog[class_of(job)], job);
    p->backlog_count++;
}

/* NULL when it is empty. */
static yk_job *backlog_pop(yk_processes *p)
{
    for (unsigned c = 0; c < YK_CLASSES; c++) {
        yk_job *job = yk_list_pop(&p->backlog[c]);
        if (job) {
            p->backlog_count--;
            return job;
        }
    }
    return NULL;
}

/* ---- Choosing a worker ---- */

static double task_ns(const yk_clerk *c)
{
    return c->task_ns > 0 ? c->task_ns : UNKNOWN_NS;
}

/* A long task has nothing behind it: that would wait long, and the pause between two does not matter. */
static bool has_room(const yk_clerk *c)
{
    return c->state == YK_PRESENT && !c->doomed && c->outstanding * task_ns(c) <= WINDOW_NS && c->sent - c->next < WINDOW_MAX;
}

/* A worker with nothing left to do may still have revoked cells ahead of `next`, which then moves only here: without it, a
 * worker whose whole ring was revoked would get no job any more. */
static void pass_revoked(yk_processes *p, unsigned slot)
{
    yk_clerk *c = &p->clerks[slot];
    if (c->outstanding > 0 || c->next == c->sent)
        return;
    uint64_t taken = atomic_load_explicit(&p->desks[slot].taken, memory_order_acquire);
    if (taken > c->next && taken <= c->sent)
        c->next = taken;
}

static int choose(yk_processes *p)
{
    int best = -1;
    double least = 0;
    for (unsigned i = 0; i < p->base.width; i++) {
        yk_clerk *c = &p->clerks[i];
        pass_revoked(p, i);
        if (!has_room(c))
            continue;
        double busy = c->outstanding * task_ns(c);
        if (c->outstanding == 0 && atomic_load_explicit(&p->desks[i].sleeping, memory_order_relaxed))
            busy += WAKE_NS;
        if (best < 0 || busy < least) {
            best = (int)i;
            least = busy;
        }
    }
    return best;
}

/* ---- Making the request ---- */

typedef struct packing {
    yk_window window; /* first: take() gets this */
    yk_processes *pool;
    yk_job *job;
    yk_shipment *shipment; /* NULL: all is in the frame, as nearly always */
} packing;

static void *take_block(yk_window *w, size_t size)
{
    packing *k = (packing *)(void *)w;
    yk_shipment *s = k->shipment;
    if (!s) {
        s = k->shipment = yk_region_alloc(&k->job->region, sizeof *s);
        if (!s)
            return NULL;
        s->block_count = s->out_count = 0;
    }
    if (s->block_count == YK_COUNT_OF(s->blocks))
        return NULL;
    void *block = yk_arena_take(&k->pool->arena, size);
    if (block)
        s->blocks[s->block_count++] = block;
    return block;
}

void yk_free_shipment(yk_processes *p, yk_shipment *s)
{
    for (unsigned i = 0; i < s->block_count; i++)
        yk_arena_give(&p->arena, s->blocks[i]);
    s->block_count = 0;
}

static bool inside(const yk_processes *p, const yk_any_view *v)
{
    return (uintptr_t)v->ptr >= (uintptr_t)p->map && (uintptr_t)v->ptr < (uintptr_t)p->map + p->map_size;
}

/* What the task writes must lie where it can reach it: views of private memory are replaced by shared ones of the same shape. */
static int move_outs(yk_processes *p, packing *k, const yoke_task *t, char *args, yk_error *e)
{
    for (unsigned i = 0; i < t->nparams; i++) {
        unsigned code = t->params[i].code;
        yk_any_view *v = (yk_any_view *)(void *)(args + t->params[i].offset);
        size_t count, size = yk_code_size(yk_element(code));
        if (!(code & YOKE_OUT) || yk_view_count(v, size, &count) < 0 || count == 0 || inside(p, v))
            continue;
        yk_any_view shared = *v;
        shared.ptr = take_block(&k->window, count * size);
        if (!shared.ptr)
            return yk_errorf(e, ENOMEM, "no shared memory left for %zu bytes of argument %u \"%s\" of %s", count * size, i + 1,
                             t->params[i].name, t->name);
        for (size_t d = v->ndim, step = 1; d-- > 0; step *= v->shape[d])
            shared.step[d] = (ptrdiff_t)step;
        if (code & YOKE_IN)
            yk_view_copy(&shared, v, size);
        k->shipment->outs[k->shipment->out_count++] = (struct yk_out){i, shared};
        *v = shared;
    }
    return 0;
}

/* Which arguments are views of memory from yoke_shared_alloc(). */
static uint32_t find_lasting(const yk_processes *p, const yoke_task *t, const char *args)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < t->nparams; i++) {
        if (!yk_is_view(t->params[i].code))
            continue;
        const yk_any_view *v = (const yk_any_view *)(const void *)(args + t->params[i].offset);
        uintptr_t start = (uintptr_t)p->arenas - p->arena_size; /* the parent's own comes before the workers' */
        if ((uintptr_t)v->ptr >= start && (uintptr_t)v->ptr < (uintptr_t)p->arenas)
            found |= 1u << i;
    }
    return found;
}

/* Arguments that point somewhere. */
static int pack_pointing(yk_processes *p, yk_job *job, yk_request *q, yk_shipment **ret, yk_error *e)
{
    const yoke_task *t = job->task;
    _Alignas(16) char args[16 * sizeof(yk_any_view) + 64], *moved = args;
    if (t->args_size > sizeof args && !(moved = yk_region_alloc(&job->region, t->args_size)))
        return yk_errorf(e, ENOMEM, "out of memory");
    packing k = {.window = p->window, .pool = p, .job = job};
    k.window.take = take_block;
    memcpy(moved, job->args, t->args_size);
    q->lasting = t->info->ret_points ? find_lasting(p, t, moved) : 0;
    int err = t->info->has_out ? move_outs(p, &k, t, moved, e) : 0;
    char *frame = q->frame;
    size_t cap = YK_FRAME_CELL, len = 0, bound = yk_frame_bound(t, YK_ARGS, moved, &p->window);
    q->block = 0;
    if (err == 0 && bound > cap) {
        frame = take_block(&k.window, bound);
        cap = bound;
        q->block = frame ? (uint64_t)(frame - p->map) : 0;
        if (!frame)
            err = yk_errorf(e, ENOMEM, "no shared memory left for the arguments of %s", t->name);
    }
    if (err == 0)
        err = yk_frame_put(t, YK_ARGS, moved, &k.window, frame, cap, &len, e);
    if (err < 0) {
        if (k.shipment)
            yk_free_shipment(p, k.shipment);
        return err;
    }
    q->frame_len = (uint32_t)len;
    *ret = k.shipment;
    return 0;
}

static int pack(yk_processes *p, yk_job *job, yk_request *q, yk_shipment **ret, yk_error *e)
{
    const yk_task_info *info = job->task->info;
    *ret = NULL;
    if (info->id >= p->known_tasks)
        return yk_errorf(e, ENOENT, "%s was loaded after the executor was opened, so its workers do not have it: open the "
                                    "executor after loading modules", job->task->name);
    q->task = info->id;
    q->deadline = job->opts.deadline ? job->opts.deadline : YOKE_FOREVER;
    q->timeout = job->opts.timeout;
    q->attempt = job->attempt;
    if (info->args_point || job->task->args_size > YK_FRAME_CELL)
        return pack_pointing(p, job, q, ret, e);
    q->block = 0;
    q->lasting = 0;
    q->frame_len = job->task->args_size;
    memcpy(q->frame, job->args, job->task->args_size);
    return 0;
}

/* ---- Sending ---- */

static void enter(yk_processes *p, unsigned slot, yk_job *job, yk_shipment *s)
{
    yk_clerk *c = &p->clerks[slot];
    yk_request *q = &p->desks[slot].requests[c->sent % YK_RING];
    atomic_store_explicit(&q->state, YK_CELL_READY, memory_order_relaxed); /* published by `sent` */
    atomic_store_explicit(&q->cancel, atomic_load(&job->state) & YK_CANCEL, memory_order_relaxed);
    c->jobs[c->sent % YK_RING] = job;
    c->shipments[c->sent % YK_RING] = s;
    job->owner.number = yk_place(slot, c->sent);
    c->sent++;
    c->outstanding++;
    c->dirty = true;
}

/* Tells workers of what was entered for them, once for a batch. */
static void announce(yk_processes *p)
{
    for (unsigned i = 0; i < p->base.width; i++) {
        yk_clerk *c = &p->clerks[i];
        yk_desk *d = &p->desks[i];
        if (!c->dirty)
            continue;
        c->dirty = false;
        atomic_store_explicit(&d->sent, c->sent, memory_order_seq_cst);
        /* Taking the flag away means that this worker is woken once, however much is sent until it is up. */
        if (atomic_load_explicit(&d->sleeping, memory_order_seq_cst) && atomic_exchange(&d->sleeping, 0)) {
            atomic_fetch_add_explicit(&d->doorbell, 1, memory_order_seq_cst);
            yk_futex_wake(&d->doorbell, 1, true);
        }
    }
}

static void note_timeout(yk_processes *p, const yk_job *job)
{
    if (job->opts.timeout == 0)
        return;
    if (p->timed++ == 0 || job->opts.timeout < p->least_timeout) {
        p->least_timeout = job->opts.timeout;
        yk_poke(p);
    }
}

static void send_one(yk_processes *p, unsigned slot, yk_job *job, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    yk_error e;
    yk_shipment *s;
    int err = pack(p, job, &p->desks[slot].requests[c->sent % YK_RING], &s, &e);
    if (err < 0) {
        job->found_code = err;
        job->found_error = yk_region_copy(&job->region, e.text, strlen(e.text));
        job->found_pause = -1;
        job->started = job->ended = yoke_now();
        yk_list_push(&o->finished, job);
        return;
    }
    enter(p, slot, job, s);
    p->in_flight++;
    note_timeout(p, job);
}

bool yk_revoke(yk_processes *p, unsigned slot, uint64_t number)
{
    yk_clerk *c = &p->clerks[slot];
    yk_request *q = &p->desks[slot].requests[number % YK_RING];
    uint32_t ready = YK_CELL_READY;
    if (!atomic_compare_exchange_strong_explicit(&q->state, &ready, YK_CELL_REVOKED, memory_order_acq_rel, memory_order_relaxed))
        return false;
    c->jobs[number % YK_RING] = NULL;
    c->outstanding--;
    return true;
}

/* Gives a job that its worker has not begun and never will back to the backlog, as its head. */
void yk_requeue(yk_processes *p, yk_job *job, yk_shipment *s)
{
    p->in_flight--;
    p->timed -= job->opts.timeout != 0;
    if (s)
        yk_free_shipment(p, s);
    job->owner.number = 0;
    yk_job_unclaim(job);
    yk_job_list *l = &p->backlog[class_of(job)];
    if (!l->first)
        l->last = &job->next;
    job->next = l->first;
    l->first = job;
    p->backlog_count++;
}

bool yk_doom(yk_processes *p, unsigned slot, uint64_t number)
{
    yk_clerk *c = &p->clerks[slot];
    if (c->state != YK_PRESENT)
        return false;
    for (uint64_t n = c->sent; n-- > number + 1;) {
        yk_job *job = c->jobs[n % YK_RING];
        if (job && yk_revoke(p, slot, n))
            yk_requeue(p, job, c->shipments[n % YK_RING]);
    }
    /* Nothing can be claimed there any more. So it is either still at this job, or has published its end. */
    uint64_t first = c->next;
    while (first < number && !c->jobs[first % YK_RING])
        first++;
    if (first != number || atomic_load(&p->desks[slot].done) != c->seen)
        return false;
    c->doomed = true;
    yk_end_worker(p, slot);
    return true;
}

bool yk_is_uneven(const yk_processes *p, int *idle, int *loaded)
{
    *idle = *loaded = -1;
    for (unsigned i = 0; i < p->base.width; i++) {
        const yk_clerk *c = &p->clerks[i];
        if (c->state != YK_PRESENT)
            continue;
        if (c->outstanding == 0)
            *idle = (int)i;
        else if (c->outstanding > 1 && (*loaded < 0 || c->outstanding * task_ns(c) > p->clerks[*loaded].outstanding *
                                                                                          task_ns(&p->clerks[*loaded])))
            *loaded = (int)i;
    }
    return *idle >= 0 && *loaded >= 0;
}

void yk_note_stuck(yk_processes *p)
{
    for (unsigned i = 0; i < p->base.width; i++) {
        yk_clerk *c = &p->clerks[i];
        c->stuck = c->outstanding > 1 && c->seen == c->seen_before && c->sent != c->next;
        c->seen_before = c->seen;
    }
}

/* Moves half of what the most loaded worker has not begun to one that has nothing. */
static void rebalance(yk_processes *p)
{
    int idle, loaded;
    if (!yk_is_uneven(p, &idle, &loaded))
        return;
    yk_clerk *from = &p->clerks[loaded], *to = &p->clerks[idle];
    if (from->outstanding * task_ns(from) < WAKE_NS && !from->stuck)
        return; /* done before the other is awake */
    unsigned want = from->outstanding / 2;
    /* From the newest back; the moved ones keep their order by being entered oldest first. */
    uint64_t numbers[YK_RING];
    unsigned n = 0;
    pass_revoked(p, (unsigned)idle);
    /* The idle one may have revoked cells that its worker has not passed yet: those must not be written again. */
    want = (unsigned)YK_MIN((uint64_t)want, to->sent - to->next < WINDOW_MAX ? WINDOW_MAX - (to->sent - to->next) : 0);
    for (uint64_t number = from->sent; number-- > from->next && n < want;)
        if (from->jobs[number % YK_RING] && has_room(to))
            numbers[n++] = number;
    while (n-- > 0) {
        uint64_t number = numbers[n];
        yk_job *job = from->jobs[number % YK_RING];
        if (!yk_revoke(p, (unsigned)loaded, number))
            continue;
        const yk_request *old = &p->desks[loaded].requests[number % YK_RING];
        yk_request *q = &p->desks[idle].requests[to->sent % YK_RING];
        q->task = old->task;
        q->deadline = old->deadline;
        q->timeout = old->timeout;
        q->attempt = old->attempt;
        q->lasting = old->lasting;
        q->block = old->block;
        q->frame_len = old->frame_len;
        memcpy(q->frame, old->frame, sizeof q->frame);
        enter(p, (unsigned)idle, job, from->shipments[number % YK_RING]);
    }
    /* Whoever sleeps has asked for the bell where his job was. */
    if (p->sleepers > 0)
        atomic_store_explicit(&p->desks[idle].ring_at, 0, memory_order_relaxed); /* published by `sent` */
}

void yk_dispatch(yk_processes *p, yk_outcome *o)
{
    int slot;
    yk_job *job;
    while (p->backlog_count > 0 && (slot = choose(p)) >= 0 && (job = backlog_pop(p)) != NULL) {
        if (yk_job_claim(job))
            send_one(p, (unsigned)slot, job, o);
        else
            yk_list_push(&o->dropped, job);
    }
    if (p->backlog_count == 0 && p->in_flight > 1 && p->base.width > 1)
        rebalance(p);
    announce(p);
}
