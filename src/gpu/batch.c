/* batch: small jobs of one kernel that stand in the queue of an executor with a device, done together. By itself such a job
 * costs a stream, copies and a wait, many times what its work takes. The worker that runs the first takes those that wait
 * behind it, packs all their arrays in one block, which goes up as one copy and comes down as one, launches each, and waits
 * once.
 *
 * Nobody shall notice. What is read and written is the block: arrays of the jobs are written when all has gone well, so when
 * anything fails each job runs by itself, as if nothing had been tried, and has its own error. A job that is taken is claimed,
 * as by any worker, so that one that was cancelled is left out; and ends as any other (yk_job_execute()), where instead of the
 * work there is a copy of its results. Left alone is who has a deadline, which the others' time would count against; who has
 * memory of a device among its arrays; and who reads or writes what another of the batch writes: they are to see all of each
 * other's results or nothing, as one after the other. */
#include "gpu/launch.h"
#include <stdlib.h>

enum { JOBS_MOST = 256, JOB_BYTES = 64 << 10, BLOCK_BYTES = 8 << 20, ALIGN = 64 };

typedef struct item {
    yk_job *job; /* NULL: the one that runs */
    yk_launching l;
    size_t at[YK_PARAMS_MOST]; /* where in the block each array is */
} item;

typedef struct range {
    const char *begin, *end;
} range;

/* Ranges of addresses, and one that has them all. */
typedef struct ranges {
    size_t count;
    range around, all[JOBS_MOST * YK_PARAMS_MOST];
} ranges;

struct yk_batch {
    yoke_device *dev;
    yoke_executor *ex;
    unsigned count;
    bool done;
    size_t bytes; /* so far, without gaps */
    char *block;  /* pinned memory */
    item items[JOBS_MOST];
    ranges read, written;
};

/* The job of this thread that is being delivered, not run. */
static _Thread_local const item *delivered;
static _Thread_local const yk_batch *delivered_from;

/* ---- Who may join ---- */

static bool overlaps(const ranges *r, range a)
{
    if (r->count == 0 || a.begin >= r->around.end || a.end <= r->around.begin)
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (a.begin < r->all[i].end && r->all[i].begin < a.end)
            return true;
    return false;
}

static void add_range(ranges *r, range a)
{
    r->around.begin = r->count == 0 || a.begin < r->around.begin ? a.begin : r->around.begin;
    r->around.end = r->count == 0 || a.end > r->around.end ? a.end : r->around.end;
    r->all[r->count++] = a;
}

static size_t bytes_of(const yk_launching *l, unsigned i)
{
    return l->k->params[i].kind == YK_VAL ? 0 : l->counts[i] * l->k->params[i].size;
}

static range range_of(const yk_launching *l, unsigned i)
{
    const char *begin = yk_launching_host(l, i);
    return (range){begin, begin + bytes_of(l, i)};
}

/* Of all its arrays, if they are few and the host's; else 0. */
static size_t small_bytes(const yk_launching *l)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < l->k->nparams; i++) {
        if (bytes_of(l, i) == 0)
            continue;
        const yk_span *span = yk_span_of(yk_launching_host(l, i));
        if (span && span->dev->driver != &yk_gpu_cpu)
            return 0;
        bytes += bytes_of(l, i);
        if (bytes > JOB_BYTES)
            return 0;
    }
    return bytes;
}

static bool depends(const yk_batch *b, const yk_launching *l)
{
    for (unsigned i = 0; i < l->k->nparams; i++) {
        if (bytes_of(l, i) == 0)
            continue;
        range a = range_of(l, i);
        if (overlaps(&b->written, a) || (l->k->params[i].kind != YK_IN && overlaps(&b->read, a)))
            return true;
    }
    return false;
}

static void add(yk_batch *b, yk_job *job, const yk_launching *l)
{
    item *own = &b->items[b->count++];
    own->job = job;
    own->l = *l;
    for (unsigned i = 0; i < l->k->nparams; i++) {
        if (bytes_of(l, i) == 0)
            continue;
        if (l->k->params[i].kind != YK_OUT)
            add_range(&b->read, range_of(l, i));
        if (l->k->params[i].kind != YK_IN)
            add_range(&b->written, range_of(l, i));
    }
}

/* Whether the job, which waits, may join. Its arguments are what it was submitted with; what they point to is not looked at
 * before it is claimed. *ret has args of its own then. */
static bool may_join(yk_batch *b, yk_job *job, yk_launching *ret)
{
    yoke_kernel *k = b->items[0].l.k;
    if (job->task != k->task || job->abortable)
        return false;
    yk_launching l = {.k = k, .task_args = job->args, .quiet = true, .args = yk_args_alloc(k->args_size)};
    size_t bytes = l.args && yk_launching_gather(&l) == 0 && l.n > 0 ? small_bytes(&l) : 0;
    if (bytes == 0 || b->bytes + bytes > BLOCK_BYTES || depends(b, &l)) {
        free(l.args);
        return false;
    }
    b->bytes += bytes;
    *ret = l;
    return true;
}

/* The next job that waits joins, if it may. False: no more. */
static bool take_one(yk_batch *b, yk_job *job)
{
    yk_launching l;
    if (!job || !may_join(b, job, &l)) {
        if (job)
            b->ex->type->give_back(b->ex, job);
        return false;
    }
    if (yk_job_claim(job)) {
        add(b, job, &l);
    } else { /* cancelled */
        free(l.args);
        yk_job_drop(job);
    }
    return true;
}

yk_batch *yk_batch_gather(yk_launching *lead, yoke_device *dev)
{
    yoke_executor *ex = yoke_current_executor();
    const yk_run *run = yk_current_run();
    if (!ex || !ex->type->take || run->deadline != YOKE_FOREVER || lead->k->form != YK_MAP_KERNEL)
        return NULL;
    size_t bytes = small_bytes(lead);
    yk_job *job = bytes > 0 ? ex->type->take(ex) : NULL;
    if (!job)
        return NULL; /* nobody waits: as most of the time when there is little to do */
    yk_batch *b = yk_sys.malloc(sizeof *b);
    if (!b) {
        ex->type->give_back(ex, job);
        return NULL;
    }
    b->dev = dev;
    b->ex = ex;
    b->count = 0;
    b->done = false;
    b->block = NULL;
    b->bytes = bytes;
    b->read.count = b->written.count = 0;
    add(b, NULL, lead);
    while (take_one(b, job) && b->count < JOBS_MOST)
        job = ex->type->take(ex);
    return b;
}

/* ---- Doing it ---- */

/* Gives each array of a kind its place, from `at` on; where the next may begin. */
static size_t place(yk_batch *b, unsigned kind, size_t at)
{
    for (unsigned j = 0; j < b->count; j++) {
        item *t = &b->items[j];
        for (unsigned i = 0; i < t->l.k->nparams; i++)
            if (t->l.k->params[i].kind == kind && bytes_of(&t->l, i) > 0) {
                t->at[i] = at;
                at = YK_ALIGN_UP(at + bytes_of(&t->l, i), ALIGN);
            }
    }
    return at;
}

static void pack(yk_batch *b)
{
    for (unsigned j = 0; j < b->count; j++) {
        const item *t = &b->items[j];
        for (unsigned i = 0; i < t->l.k->nparams; i++)
            if (t->l.k->params[i].kind != YK_OUT && bytes_of(&t->l, i) > 0)
                memcpy(b->block + t->at[i], yk_launching_host(&t->l, i), bytes_of(&t->l, i));
    }
}

static void unpack(const yk_batch *b, const item *t)
{
    for (unsigned i = 0; i < t->l.k->nparams; i++)
        if (t->l.k->params[i].kind != YK_IN && bytes_of(&t->l, i) > 0)
            memcpy(yk_launching_host(&t->l, i), b->block + t->at[i], bytes_of(&t->l, i));
}

/* args: for the copy whose addresses are the device's. */
static int launch_all(yk_batch *b, yoke_stream *s, const char *memory, char *args)
{
    int err = 0;
    for (unsigned j = 0; j < b->count && err == 0; j++) {
        const item *t = &b->items[j];
        memcpy(args, t->l.args, t->l.k->args_size);
        for (unsigned i = 0; i < t->l.k->nparams; i++) {
            if (bytes_of(&t->l, i) == 0)
                continue;
            const char *address = memory + t->at[i];
            memcpy(yk_value_at(t->l.k, args, i), &address, sizeof address);
        }
        err = yk_enqueue_range(s, t->l.k, args, 0, t->l.n);
    }
    return err;
}

/* What only goes up lies first in the block, what only comes down last. */
static int do_all(yk_batch *b, yoke_stream *s, char *args)
{
    yk_error e = {0};
    const size_t up = place(b, YK_IN, 0), both = place(b, YK_INOUT, up), all = place(b, YK_OUT, both);
    char *memory = yoke_stream_alloc(s, all);
    b->block = memory ? yk_pinned_borrow(b->dev, all, &e) : NULL;
    if (!b->block) {
        yoke_stream_free(s, memory);
        return -ENOMEM;
    }
    pack(b);
    int err = both > 0 ? yoke_stream_copy(s, memory, b->block, both) : 0;
    if (err == 0)
        err = launch_all(b, s, memory, args);
    if (err == 0 && all > up)
        err = yoke_stream_copy(s, b->block + up, memory + up, all - up);
    if (err == 0)
        err = yoke_stream_wait(s);
    yoke_stream_free(s, memory);
    return err;
}

bool yk_batch_run(yk_batch *b)
{
    if (b->count == 1)
        return false;
    char *args = yk_args_alloc(b->items[0].l.k->args_size);
    yoke_stream *s = args ? yoke_stream_open(b->dev) : NULL;
    int err = s ? do_all(b, s, args) : -ENOMEM, late = yoke_stream_close(s);
    free(args);
    b->done = err == 0 && late == 0;
    if (b->done)
        unpack(b, &b->items[0]);
    return b->done;
}

/* ---- Ending ---- */

bool yk_batch_deliver(const void *task_args)
{
    const item *t = delivered;
    if (YK_LIKELY(!t) || t->l.task_args != task_args)
        return false;
    delivered = NULL; /* another attempt is one */
    unpack(delivered_from, t);
    return true;
}

void yk_batch_rest(yk_batch *b)
{
    if (!b)
        return;
    for (unsigned j = 1; j < b->count; j++) {
        delivered = b->done ? &b->items[j] : NULL;
        delivered_from = b;
        char *args = b->items[j].l.args;
        yk_job_execute(b->items[j].job, 0); /* such an executor has one worker */
        delivered = NULL;
        free(args);
    }
    if (b->block)
        yk_pinned_return(b->dev, b->block);
    free(b);
}
