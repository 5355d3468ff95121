/* launch: a kernel as a task. What YOKE_KERNEL describes is entered in the registry as a task too, with an array view for
 * each of its arrays, so that it runs wherever tasks run: submitted from C, called from the command line, in worker
 * processes, on an executor that owns a device.
 *
 * On such an executor an array may be memory of the device, and is used as it is, or memory of the host. That goes through the
 * device in pieces: while one is computed the next goes up and the last comes down, each on a stream of its own. Pieces are cut
 * where every such array is used as x[i] alone (analysis.c); else, and for reductions, all of each array is one piece. */
#include "gpu/cost.h"
#include "gpu/launch.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LANES = 3, /* up, work, down */
    PIECE_ROUND = 1024
};
/* Of all arrays of a piece together; at least this, some 150 us of a link of 55 GB/s, far above what a launch and its copies
 * cost, and in a long call more, since each piece costs some 5 us of pauses between copies; the first and last are shorter. */
size_t yk_piece_bytes = 8 << 20;
enum { PIECES = 16, LONGER = 8, SHORTER = 4 };
enum { RESULT_MOST = 128 }; /* of a reduction, as yoke/kernel.h has it */
bool yk_stage_always;

/* ---- The task of a kernel ---- */

/* Whether the number of elements is that of an array: then the task need not be told it. */
static int array_of_n(const yoke_kernel *k)
{
    for (unsigned i = 0; i < k->nparams; i++)
        if (k->params[i].kind != YK_VAL && strcmp(k->params[i].count, "n") == 0)
            return (int)i;
    return -1;
}

static bool is_plain(unsigned code)
{
    return code >= YOKE_I8 && code <= YOKE_F64;
}

/* Elements without a code of their own, structs and bools, travel as bytes. */
static unsigned view_code(const yk_param *p)
{
    unsigned direction = p->kind == YK_IN ? YOKE_IN : p->kind == YK_OUT ? YOKE_OUT : YOKE_IN | YOKE_OUT;
    return (is_plain(p->code) ? p->code : YOKE_U8) | direction;
}

static size_t view_elements(const yk_param *p, size_t count)
{
    return is_plain(p->code) ? count : count * p->size;
}

/* What there is of a kernel as a task. */
typedef struct yk_kernel_task {
    yoke_task task; /* first: k->task */
    yoke_param params[YK_PARAMS_MOST + 1];
    yk_cost cost;
} yk_kernel_task;

static yk_cost *cost_of(const yoke_kernel *k)
{
    return &((yk_kernel_task *)(void *)k->task)->cost;
}

static void add_param(yk_kernel_task *t, const yoke_param *p, size_t align)
{
    size_t at = YK_ALIGN_UP(t->task.args_size, align);
    yoke_param *own = &t->params[t->task.nparams++];
    *own = *p;
    own->doc = "";
    own->offset = (uint16_t)at;
    t->task.args_size = (uint16_t)(at + p->size);
}

static bool is_reduction(const yoke_kernel *k)
{
    return k->form == YK_REDUCE_KERNEL;
}

void yk_kernel_make_task(yoke_kernel *k)
{
    yk_kernel_task *t = yk_sys.calloc(1, sizeof *t);
    if (!t)
        return; /* then it is a kernel alone */
    t->task = (yoke_task){.abi = YOKE_ABI, .line = k->line, .name = k->name, .ret = "void", .file = k->file,
                          .ret_code = YOKE_VOID, .params = t->params, .call = k->call};
    if (is_reduction(k)) {
        t->task.ret = k->extra->type;
        t->task.ret_code = k->extra->code;
        t->task.ret_size = (uint16_t)k->extra->size;
    }
    if (array_of_n(k) < 0)
        add_param(t, &(yoke_param){.name = "n", .type = "long", .code = YOKE_I64, .size = 8}, 8);
    for (unsigned i = 0; i < k->nparams; i++) {
        const yk_param *p = &k->params[i];
        if (p->kind == YK_VAL)
            add_param(t, &(yoke_param){.name = p->name, .type = p->type, .code = p->code, .size = (uint16_t)p->size}, 16);
        else
            add_param(t, &(yoke_param){.name = p->name, .type = p->type, .code = (uint16_t)view_code(p),
                                       .size = sizeof(yk_any_view)}, 16);
    }
    t->task.args_size = (uint16_t)YK_ALIGN_UP(t->task.args_size, 16);
    const bool is_shown = !is_reduction(k) || k->extra->code <= YOKE_F64; /* else its result has no text */
    if (yk_register_made(&t->task, is_shown))
        k->task = &t->task;
    else
        free(t);
}

/* ---- From arguments of the kernel to those of the task, and back ---- */

static const yoke_param *task_param(const yoke_kernel *k, unsigned i)
{
    return &k->task->params[i + (k->task->nparams - k->nparams)];
}

/* What is wrong with array i, of so many elements. An executor of other processes cannot read memory of a device. */
static int check_array(yoke_executor *ex, const yoke_kernel *k, unsigned i, const void *address, size_t count, yk_error *e)
{
    const char *name = k->params[i].name;
    const yk_span *span = !ex || ex->type->capabilities & YK_SHARES_MEMORY ? NULL : yk_span_of(address);
    if (span && span->dev->driver != &yk_gpu_cpu)
        return yk_errorf(e, EFAULT, "%.60s: array \"%.60s\" is memory of a device, which %.40s cannot reach", k->name, name,
                         ex->uri);
    if (count > SSIZE_MAX)
        return yk_errorf(e, EINVAL, "%.60s: array \"%.60s\" should have %zd elements (%.60s)", k->name, name, (ssize_t)count,
                         k->params[i].count);
    if (!address && count > 0)
        return yk_errorf(e, EINVAL, "%.60s: array \"%.60s\" is NULL", k->name, name);
    return 0;
}

/* 0, or why k is not submitted to ex. */
static int check_call(yoke_executor *ex, const yoke_kernel *k, const void *args, const size_t *counts, yk_error *e)
{
    long n = *(const long *)args;
    int err = n < 0 ? yk_negative_refuse("", k->name, "n", (size_t)n, e) : 0;
    for (unsigned i = 0; i < k->nparams && err == 0; i++)
        if (k->params[i].kind != YK_VAL)
            err = check_array(ex, k, i, *(void **)yk_value_at(k, args, i), counts[i], e);
    return err;
}

static yk_job *refused(yoke_executor *ex, const yoke_kernel *k, const yk_error *e)
{
    yk_job *job = ex->pool ? yk_job_new(ex, k->task) : NULL;
    if (job)
        yk_job_refuse(job, e->code, e->text);
    return job;
}

struct yoke_future *yk_launch(struct yoke_executor *ex, yoke_kernel *k, const void *args, const yoke_opts *opts)
{
    yk_error e = {0};
    size_t counts[YK_PARAMS_MOST];
    k->counts(args, counts);
    ex = yk_executor_or_default(ex);
    if (k->task && ex && check_call(ex, k, args, counts, &e) < 0)
        return refused(ex, k, &e);
    char *to = k->task ? yk_sys.calloc(1, k->task->args_size) : NULL;
    if (!to)
        return NULL; /* as a submit without memory */
    if (k->task->nparams > k->nparams)
        memcpy(to, args, sizeof(long)); /* n comes first in both */
    for (unsigned i = 0; i < k->nparams; i++) {
        const yk_param *p = &k->params[i];
        void *own = to + task_param(k, i)->offset;
        if (p->kind == YK_VAL)
            memcpy(own, yk_value_at(k, args, i), p->size);
        else
            *(yk_any_view *)own = (yk_any_view){*(uint8_t **)yk_value_at(k, args, i), 1, {view_elements(p, counts[i])}, {1}};
    }
    struct yoke_future *f = yoke_raw_submit(ex, k->task, to, opts);
    free(to);
    return f;
}

/* ---- Running it ---- */

typedef yk_launching launch;

static const yk_any_view *view_of(const launch *l, unsigned i)
{
    return (const yk_any_view *)(const void *)(l->task_args + task_param(l->k, i)->offset);
}

static __attribute__((format(printf, 2, 3))) int refuse(const launch *l, const char *format, ...)
{
    char text[400];
    va_list ap;
    if (l->quiet)
        return -EINVAL;
    va_start(ap, format);
    int at = snprintf(text, sizeof text, "%s: ", l->k->name);
    vsnprintf(text + at, sizeof text - (size_t)at, format, ap);
    va_end(ap);
    yk_run_refuse(-EINVAL, text);
    return -EINVAL;
}

char *yk_launching_host(const yk_launching *l, unsigned i)
{
    return (char *)view_of(l, i)->ptr;
}

/* How many elements of its type a view has. */
static int count_view(const launch *l, unsigned i, size_t *ret)
{
    const yk_param *p = &l->k->params[i];
    const yk_any_view *v = view_of(l, i);
    size_t size = is_plain(p->code) ? p->size : 1, count;
    if (yk_view_count(v, size, &count) < 0 || !yk_view_is_contiguous(v))
        return refuse(l, "array \"%s\" must lie in one piece", p->name);
    if (count * size % p->size)
        return refuse(l, "array \"%s\" has %zu bytes, no multiple of the %u of an element", p->name, count * size,
                      p->size);
    *ret = count * size / p->size;
    return 0;
}

static int find_n(launch *l)
{
    int giver = array_of_n(l->k);
    size_t n = 0;
    if (giver < 0) {
        memcpy(&l->n, l->task_args + l->k->task->params[0].offset, sizeof l->n);
        return l->n < 0 ? refuse(l, "n is %ld, and should be 0 or more", l->n) : 0;
    }
    int err = count_view(l, (unsigned)giver, &n);
    l->n = (long)n;
    return err;
}

static int refuse_count(const launch *l, unsigned i, size_t there)
{
    const yk_param *p = &l->k->params[i];
    if (p->kind != YK_OUT)
        return refuse(l, "array \"%s\" has %zu elements, and should have %zu (%s)", p->name, there, l->counts[i], p->count);
    return refuse(l, "array \"%s\" has %zu elements, and should have %zu (%s): it is an out array, given by its shape, here %zu",
                  p->name, there, l->counts[i], p->count, view_elements(p, l->counts[i]));
}

/* Every array has as many elements as the kernel says. */
static int check_counts(launch *l)
{
    const yoke_kernel *k = l->k;
    k->counts(l->args, l->counts);
    for (unsigned i = 0; i < k->nparams; i++) {
        size_t there = 0;
        if (k->params[i].kind == YK_VAL)
            continue;
        if (count_view(l, i, &there) < 0)
            return -EINVAL;
        if (there != l->counts[i])
            return refuse_count(l, i, there);
    }
    return 0;
}

int yk_launching_gather(yk_launching *l)
{
    const yoke_kernel *k = l->k;
    yk_error e;
    if (yk_kernel_check_body(k, &e) < 0) {
        yk_run_refuse(e.code, e.text);
        return e.code;
    }
    if (find_n(l) < 0)
        return -EINVAL;
    memcpy(l->args, &l->n, sizeof l->n);
    for (unsigned i = 0; i < k->nparams; i++)
        if (k->params[i].kind == YK_VAL)
            memcpy(yk_value_at(k, l->args, i), l->task_args + task_param(k, i)->offset, k->params[i].size);
        else
            memcpy(yk_value_at(k, l->args, i), &view_of(l, i)->ptr, sizeof(void *));
    return check_counts(l);
}

/* ---- Through a device ---- */

/* A stream, and memory of the device for each array that has none there; pinned memory beside it for those that are staged. */
typedef struct lane {
    yoke_stream *stream;
    yoke_stream_event *done;  /* the last piece has come down */
    char *memory[YK_PARAMS_MOST], *pinned[YK_PARAMS_MOST];
    char *args;               /* of the kernel, with addresses of the device */
    bool busy;                /* with a piece, elements lo up to hi, that must still be copied to where it belongs */
    long lo, hi;
} lane;

/* Pinned memory goes back last: after an error the stream may be copying yet, until it has been closed. */
static void lane_close(lane *a, const launch *l)
{
    yoke_device *dev = a->stream ? yoke_stream_device(a->stream) : NULL;
    for (unsigned i = 0; dev && i < l->k->nparams; i++)
        yoke_stream_free(a->stream, a->memory[i]);
    yoke_stream_event_close(a->done);
    yoke_stream_close(a->stream);
    for (unsigned i = 0; dev && i < l->k->nparams; i++)
        yk_pinned_return(dev, a->pinned[i]);
    free(a->args);
}

/* Why there is no stream, event or memory of the device. */
static int wanting(yoke_device *dev)
{
    yk_error e;
    int err = yk_device_check(dev);
    yk_device_last_error(dev, &e);
    return err < 0 ? err : e.code < 0 ? e.code : -ENOMEM;
}

/* elements: of a piece; whole arrays where the call is not cut. */
static int lane_open(lane *a, const launch *l, yoke_device *dev, size_t elements)
{
    const yoke_kernel *k = l->k;
    yk_error e = {0};
    a->args = yk_args_alloc(k->args_size);
    if (!a->args) {
        yk_errorf(&e, ENOMEM, "no memory");
        return yk_device_fail(dev, NULL, &e);
    }
    a->stream = yoke_stream_open(dev);
    a->done = a->stream ? yoke_stream_event_open(dev) : NULL;
    if (!a->done)
        return wanting(dev);
    memcpy(a->args, l->args, k->args_size);
    for (unsigned i = 0; i < k->nparams; i++) {
        size_t bytes = (elements < (size_t)l->n ? elements : l->counts[i]) * k->params[i].size;
        if (!l->host[i])
            continue;
        a->memory[i] = yoke_stream_alloc(a->stream, bytes);
        if (!a->memory[i])
            return wanting(dev);
        a->pinned[i] = l->staged[i] ? yk_pinned_borrow(dev, bytes, &e) : NULL;
        if (l->staged[i] && !a->pinned[i])
            return yk_device_fail(dev, a->stream, &e);
    }
    return 0;
}

/* Parameter i in a piece that begins at element lo: where it lies on the host, if it does, and how long it is there. */
typedef struct part {
    char *host;
    size_t bytes;
} part;

static part part_of(const launch *l, unsigned i, long lo, long hi)
{
    size_t size = l->k->params[i].size;
    bool whole = lo == 0 && hi == l->n;
    return (part){(char *)view_of(l, i)->ptr + (size_t)lo * size, (whole ? l->counts[i] : (size_t)(hi - lo)) * size};
}

/* One CPU cannot fill the link: all of the process's pool copy. */
typedef struct copying {
    char *to;
    const char *from;
    size_t bytes;
} copying;
enum { COPY_BLOCK = 256 << 10 };

static void copy_blocks(size_t lo, size_t hi, const void *args)
{
    const copying *c = args;
    size_t begin = lo * COPY_BLOCK, end = YK_MIN(hi * COPY_BLOCK, c->bytes);
    memcpy(c->to + begin, c->from + begin, end - begin);
}

static void copy_by_all(char *to, const char *from, size_t bytes)
{
    yk_loop(yoke_own_threads(), (bytes + COPY_BLOCK - 1) / COPY_BLOCK, copy_blocks, &(copying){to, from, bytes});
}

/* Where the kernel finds it: what is used as x[i] alone is given from element lo on (yk_enqueue_range()). */
static void give_addresses(const launch *l, lane *a, long lo)
{
    for (unsigned i = 0; i < l->k->nparams; i++) {
        const yk_param *p = &l->k->params[i];
        const char *address = a->memory[i];
        if (p->kind == YK_VAL)
            continue;
        if (!l->host[i])
            address = (const char *)view_of(l, i)->ptr + (l->uses.element[i] ? (size_t)lo * p->size : 0);
        memcpy(yk_value_at(l->k, a->args, i), &address, sizeof address);
    }
}

/* The lane's last piece is waited for, and what was staged of it goes where it belongs. */
static int finish_piece(const launch *l, lane *a)
{
    int err = a->busy ? yoke_stream_event_wait(a->done) : 0;
    for (unsigned i = 0; a->busy && err == 0 && i < l->k->nparams; i++)
        if (l->staged[i] && l->k->params[i].kind != YK_IN) {
            part down = part_of(l, i, a->lo, a->hi);
            copy_by_all(down.host, a->pinned[i], down.bytes);
        }
    a->busy = false;
    return err;
}

static int send_up(const launch *l, lane *a, unsigned i)
{
    part up = part_of(l, i, a->lo, a->hi);
    if (l->staged[i]) {
        copy_by_all(a->pinned[i], up.host, up.bytes);
        up.host = a->pinned[i];
    }
    return yoke_stream_copy(a->stream, a->memory[i], up.host, up.bytes);
}

static int send_down(const launch *l, lane *a, unsigned i)
{
    part down = part_of(l, i, a->lo, a->hi);
    return yoke_stream_copy(a->stream, l->staged[i] ? a->pinned[i] : down.host, a->memory[i], down.bytes);
}

/* The rest is not wanted: then the job must not end as if all had been done. */
static bool is_cut(void)
{
    yk_run *r = yk_current_run();
    return yk_run_cut(r) || yoke_cancelled();
}

/* Elements lo up to hi of all n: up, work and down in the order of the lane's stream. When the job is cut while arrays are
 * staged, what has gone up is not what they hold, and nothing works on it. */
static int run_piece(const launch *l, lane *a, long lo, long hi)
{
    const yoke_kernel *k = l->k;
    int err = finish_piece(l, a);
    a->lo = lo;
    a->hi = hi;
    for (unsigned i = 0; i < k->nparams && err == 0; i++)
        if (l->host[i] && k->params[i].kind != YK_OUT)
            err = send_up(l, a, i);
    if (err < 0 || is_cut())
        return err;
    give_addresses(l, a, lo);
    err = is_reduction(k) ? yk_enqueue_reduction(a->stream, l->k, a->args, l->ret, true)
                          : yk_enqueue_range(a->stream, l->k, a->args, lo, hi);
    for (unsigned i = 0; i < k->nparams && err == 0; i++)
        if (l->host[i] && k->params[i].kind != YK_IN)
            err = send_down(l, a, i);
    if (err == 0)
        err = yoke_stream_mark(a->stream, a->done);
    a->busy = err == 0;
    return err;
}

/* How many elements make a piece. */
typedef struct pieces {
    long most, least; /* most is n when the call must not be cut */
} pieces;

static long elements_in(size_t room, size_t bytes)
{
    return YK_MAX((long)(room / bytes / PIECE_ROUND * PIECE_ROUND), (long)PIECE_ROUND);
}

static pieces pieces_of(const launch *l)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < l->k->nparams; i++)
        if (l->host[i]) {
            if (!l->uses.element[i])
                return (pieces){l->n, l->n};
            bytes += l->k->params[i].size;
        }
    size_t most = YK_MIN(YK_MAX(bytes * (size_t)l->n / PIECES, yk_piece_bytes), LONGER * yk_piece_bytes);
    if (bytes == 0 || elements_in(most, bytes) >= l->n)
        return (pieces){l->n, l->n};
    return (pieces){elements_in(most, bytes), elements_in(yk_piece_bytes / SHORTER, bytes)};
}

/* The next piece when so many elements are left. Nothing comes down while the first goes up, and nothing goes up while the last
 * comes down, so they are short: of the first each is twice as long as the one before, of the last each as long as all behind. */
static long next_piece(const pieces *p, long left, unsigned turn)
{
    long size = p->least;
    if (left <= p->most && left - p->least <= p->least) /* a kernel's n may be whatever a long has */
        return left;
    while (turn-- > 0 && size < p->most)
        size *= 2;
    size = YK_MIN(size, p->most);
    return size <= left / 2 ? size : YK_MAX(left / 2 / PIECE_ROUND * PIECE_ROUND, p->least);
}

/* After a call: its code, unless there was an error before; e has the text of the first. */
static int note(int err, int late, yoke_device *dev, yk_error *e)
{
    if (err == 0 && late < 0)
        yk_device_last_error(dev, e);
    return err < 0 ? err : late;
}

/* began: whether arrays may have been written. */
static int run_pieces(const launch *l, yoke_device *dev, const pieces *p, bool *began, yk_error *e)
{
    lane lanes[LANES] = {{0}};
    const unsigned used = p->most < l->n ? LANES : 1;
    int err = 0;
    for (unsigned i = 0; i < used && err == 0; i++)
        err = note(0, lane_open(&lanes[i], l, dev, (size_t)p->most), dev, e);
    *began = err == 0;
    long lo = 0, size;
    for (unsigned turn = 0; lo < l->n && err == 0 && !is_cut(); lo += size, turn++) {
        size = next_piece(p, l->n - lo, turn);
        err = note(0, run_piece(l, &lanes[turn % used], lo, lo + size), dev, e);
        yoke_progress((double)lo, (double)l->n);
    }
    for (unsigned i = 0; i < used; i++)
        err = note(err, finish_piece(l, &lanes[i]), dev, e);
    for (unsigned i = 0; i < used && lanes[i].stream; i++) /* which knows what its driver told somebody else who asked */
        err = note(err, yoke_stream_wait(lanes[i].stream), dev, e);
    for (unsigned i = 0; i < used; i++)
        lane_close(&lanes[i], l);
    return err;
}

static bool is_on_host(const yoke_device *dev, const void *p)
{
    const yk_span *span = yk_span_of(p);
    return !span || span->dev != dev;
}

/* Bytes of all arrays that are memory of the host. */
static size_t host_bytes(const launch *l)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < l->k->nparams; i++)
        bytes += l->host[i] ? l->counts[i] * l->k->params[i].size : 0;
    return bytes;
}

static int run_on_device(launch *l, yoke_device *dev, bool *began, yk_error *e)
{
    yk_analyse_kernel(l->k, &l->uses);
    const pieces p = is_reduction(l->k) ? (pieces){l->n, l->n} : pieces_of(l);
    if (p.most == l->n && host_bytes(l) > LONGER * yk_piece_bytes)
        memset(l->staged, 0, sizeof l->staged); /* not worth as much pinned memory as a whole array has */
    return run_pieces(l, dev, &p, began, e);
}

static void tell(const launch *l, const yoke_device *dev, int err, const yk_error *e)
{
    const char *uri = dev->info.uri; /* "" when it could not even be opened: then the text says which */
    yk_fail(l->k->file, (int)l->k->line, err, "%s%s%s", uri, *uri ? ": " : "", e->text);
}

static void run_on_cpu(const launch *l, yoke_executor *pool)
{
    if (is_reduction(l->k))
        yk_reduce(pool, (size_t)l->n, &l->k->extra->reduction, l->args, l->ret);
    else
        yk_kernel_on_cpu(pool, l->k, l->args);
}

/* All arrays are memory of the host: either can do it. The kernel is built before the clock runs. A device that fails before
 * it has begun, for want of memory, say, leaves the work to the CPU. */
static void run_where_cheaper(launch *l, yoke_device *dev)
{
    yk_error e = {0};
    yk_place place = yk_cost_choose(cost_of(l->k), (size_t)l->n);
    const yk_ready *ready = place == YK_ON_DEVICE ? yk_kernel_ready(dev, l->k, &e) : NULL;
    if (!ready || ready->status < 0)
        place = YK_ON_CPU;
    int64_t start = yoke_now();
    bool began = false;
    int err = place == YK_ON_DEVICE ? run_on_device(l, dev, &began, &e) : 0;
    if (place == YK_ON_CPU || (err < 0 && !began))
        run_on_cpu(l, NULL);
    else if (err < 0)
        tell(l, dev, err, &e);
    if (err < 0)
        yk_cost_failed(cost_of(l->k), (size_t)l->n);
    else if (!is_cut()) /* else it may have done a part alone */
        yk_cost_learn(cost_of(l->k), (size_t)l->n, place, yoke_now() - start);
}

/* Memory of a device that is not the executor's: the host must not touch it, not even to copy it. */
static int check_reach(const launch *l, yoke_executor *ex)
{
    for (unsigned i = 0; i < l->k->nparams; i++) {
        const yk_param *p = &l->k->params[i];
        const yk_span *span = p->kind == YK_VAL || l->counts[i] == 0 ? NULL : yk_span_of(view_of(l, i)->ptr);
        if (span && span->dev->driver != &yk_gpu_cpu && span->dev != yoke_executor_device(ex)) {
            char text[300];
            snprintf(text, sizeof text, "%.60s: array \"%.60s\" is memory of %s, which %.100s cannot reach", l->k->name, p->name,
                     span->dev->info.uri, ex ? ex->uri : "this thread");
            yk_run_refuse(-EFAULT, text);
            return -EFAULT;
        }
    }
    return 0;
}

static void run(launch *l)
{
    yoke_executor *ex = yoke_current_executor();
    yoke_device *dev = yoke_executor_device(ex);
    bool all_on_host = true, began = false;
    yk_batch *batch = NULL;
    int err = 0;
    yk_error e = {0};
    if (check_reach(l, ex) < 0)
        return;
    for (unsigned i = 0; dev && i < l->k->nparams; i++) {
        l->host[i] = l->k->params[i].kind != YK_VAL && l->counts[i] > 0 && is_on_host(dev, view_of(l, i)->ptr);
        l->staged[i] = l->host[i] && (dev->info.is_gpu || yk_stage_always) && !yk_is_pinned(view_of(l, i)->ptr);
        all_on_host &= l->host[i] || l->k->params[i].kind == YK_VAL || l->counts[i] == 0;
    }
    bool good = dev && yk_device_check(dev) == 0, is_cpu = good && !dev->driver->build; /* "gpu:cpu" */
    if (!dev || is_cpu || (yk_executor_places(ex) && !good && all_on_host))
        run_on_cpu(l, is_cpu ? dev->pool : NULL);
    else if (yk_executor_places(ex) && all_on_host)
        run_where_cheaper(l, dev);
    else if (!(batch = all_on_host ? yk_batch_gather(l, dev) : NULL) || !yk_batch_run(batch))
        err = run_on_device(l, dev, &began, &e);
    if (err < 0)
        tell(l, dev, err, &e);
    yk_batch_rest(batch);
}

void yk_kernel_run(yoke_kernel *k, const void *task_args, void *ret)
{
    if (yk_batch_deliver(task_args))
        return;
    _Alignas(RESULT_MOST) char result[RESULT_MOST]; /* a vector's, say: ret need not be aligned as its type is */
    launch l = {.k = k, .task_args = task_args, .ret = result, .args = yk_args_alloc(k->args_size)};
    if (is_reduction(k))
        k->extra->reduction.identity(result);
    if (!l.args)
        yk_fail(k->file, (int)k->line, ENOMEM, "no memory");
    else if (yk_launching_gather(&l) == 0 && l.n > 0)
        run(&l);
    if (is_reduction(k))
        memcpy(ret, result, k->extra->size);
    free(l.args);
}
