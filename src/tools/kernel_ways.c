/* kernel_ways: running a kernel on a trial's arguments: on the CPU, by calling its C form over parts of the range,
 * and on a device.
 *
 * On the CPU it is done in several ways, which no right kernel tells apart but by rounding: a vector's sine is not
 * quite that of one number, and a sum is another in another order. So how far they are apart tells how exact its
 * answers can be, and what is more than that depends on the order of its elements. */
#include "tools/kernel_check.h"
#include <signal.h>
#include <stdlib.h>
#include <yoke/scan.h>

enum { BLOCK = 64 };

/* ---- Outcomes ---- */

yk_outcome *yk_outcome_new(const yk_trial *t)
{
    void *memory;
    if (yk_sys.posix_memalign(&memory, 64, sizeof(yk_outcome)) != 0)
        return NULL;
    yk_outcome *o = memory;
    memset(o, 0, sizeof *o);
    for (unsigned i = 0; i < t->k->nparams; i++) {
        if (!yk_trial_is_array(t, i) || t->k->params[i].kind == YK_IN)
            continue;
        o->arrays[i] = yk_sys.calloc(YK_MAX(yk_trial_bytes(t, i), 1), 1);
        if (!o->arrays[i]) {
            yk_outcome_free(o);
            return NULL;
        }
    }
    return o;
}

void yk_outcome_free(yk_outcome *o)
{
    for (unsigned i = 0; o && i < YK_PARAMS_MOST; i++)
        free(o->arrays[i]);
    free(o);
}

/* ---- CPU ---- */

typedef struct run {
    yk_trial *t;
    size_t block;
    bool backwards;
    yk_outcome *to;
} run;

static void run_chunks(const run *r)
{
    const size_t n = (size_t)r->t->n, blocks = (n + r->block - 1) / r->block;
    for (size_t b = 0; b < blocks; b++) {
        size_t lo = (r->backwards ? blocks - 1 - b : b) * r->block;
        r->t->k->chunk(lo, YK_MIN(lo + r->block, n), r->t->args);
    }
}

static void run_reduction(const run *r)
{
    const yk_reduction *how = &r->t->k->extra->reduction;
    _Alignas(64) char part[YK_RESULT_MOST];
    const size_t n = (size_t)r->t->n;
    how->identity(r->to->result);
    for (size_t lo = 0; lo < n; lo += r->block) {
        how->identity(part);
        how->fold(lo, YK_MIN(lo + r->block, n), part, r->t->args);
        how->combine(r->to->result, part);
    }
}

static void run_scan(const run *r)
{
    const yk_scanning *how = r->t->k->extra->scanning;
    _Alignas(64) char before[YK_RESULT_MOST], part[YK_RESULT_MOST];
    const size_t n = (size_t)r->t->n;
    how->identity(before);
    for (size_t lo = 0; lo < n; lo += r->block) {
        how->identity(part);
        how->write(lo, YK_MIN(lo + r->block, n), before, part, NULL, false, r->t->args);
        how->combine(before, part);
    }
}

static void run_form(void *arg)
{
    const run *r = arg;
    if (r->t->k->form == YK_REDUCE_KERNEL)
        run_reduction(r);
    else if (r->t->k->form == YK_SCAN_KERNEL)
        run_scan(r);
    else
        run_chunks(r);
}

static const char *what_happened(int number)
{
    switch (number) {
    case SIGFPE: return "divides by zero";
    case SIGILL: return "comes to what the compiler took for impossible (SIGILL)";
    case SIGABRT: return "calls abort()";
    default: return "reads or writes what is not memory";
    }
}

/* "y[17] is out of bounds: it has 17 elements (n)" */
static bool put_place(const yk_trial *t, const char *address, yk_buf *why)
{
    for (unsigned i = 0; i < t->k->nparams; i++) {
        const yk_param *p = &t->k->params[i];
        if (!yk_trial_is_array(t, i) || !yk_guard_has(&t->arrays[i], address))
            continue;
        long at = address - t->arrays[i].base, size = (long)p->size;
        yk_buf_printf(why, "%s[%ld] is out of bounds: it has %zu element%s (%s)", p->name, (at < 0 ? at - size + 1 : at) / size,
                      t->counts[i], t->counts[i] == 1 ? "" : "s", yk_trial_says_count(t, i) ? p->count : "made up");
        return true;
    }
    return false;
}

static bool has_strayed(const yk_trial *t, yk_buf *why)
{
    for (unsigned i = 0; i < t->k->nparams; i++) {
        const char *p = yk_trial_is_array(t, i) ? yk_guard_stray(&t->arrays[i]) : NULL;
        if (p)
            return put_place(t, p, why);
    }
    return false;
}

/* With what was in them at first. Where an array lies changes from way to way, so that both its ends are watched. */
static void place_arrays(yk_trial *t, bool at_end)
{
    for (unsigned i = 0; i < t->k->nparams; i++) {
        if (!yk_trial_is_array(t, i))
            continue;
        yk_guard_place(&t->arrays[i], at_end);
        memcpy(t->arrays[i].base, t->first[i], yk_trial_bytes(t, i));
        memcpy(t->args + t->k->params[i].at, &t->arrays[i].base, sizeof t->arrays[i].base);
    }
}

int yk_run_on_cpu(yk_trial *t, yk_way way, yk_outcome *ret, yk_buf *why)
{
    const size_t n = (size_t)t->n, blocks[] = {n, BLOCK, 1};
    const bool free_order = t->k->form == YK_MAP_KERNEL || t->k->form == YK_GROUP_KERNEL;
    run r = {.t = t, .block = blocks[way], .backwards = free_order && way == YK_SINGLY, .to = ret};
    place_arrays(t, way != YK_BLOCKS);
    yk_fault fault = yk_guard_call(run_form, &r);
    if (fault.signal != 0) {
        if (!fault.address || !put_place(t, fault.address, why))
            yk_buf_text(why, what_happened(fault.signal));
        return 1;
    }
    if (has_strayed(t, why))
        return 1;
    for (unsigned i = 0; i < t->k->nparams; i++)
        if (ret->arrays[i])
            memcpy(ret->arrays[i], t->arrays[i].base, yk_trial_bytes(t, i));
    return 0;
}

/* ---- Devices ---- */

/* Memory just as large as the array, so that a simulator sees who leaves it; the device's pool would round it up. */
static int take(yoke_device *dev, yk_span *span, size_t bytes, yk_error *e)
{
    *span = (yk_span){.size = YK_MAX(bytes, 1), .dev = dev};
    int err = dev->driver->take(dev, span, e);
    if (err < 0)
        return err;
    if (yk_span_add(span) == 0)
        return 0;
    dev->driver->give(dev, span);
    span->base = NULL;
    return yk_errorf(e, ENOMEM, "no memory");
}

static int put_up(const yk_trial *t, yoke_stream *s, yk_span *spans, char *args, yk_error *e)
{
    int err = 0;
    for (unsigned i = 0; i < t->k->nparams && err == 0; i++) {
        size_t bytes = yk_trial_bytes(t, i);
        if (!yk_trial_is_array(t, i))
            continue;
        err = take(s->dev, &spans[i], bytes, e);
        memcpy(args + t->k->params[i].at, &spans[i].base, sizeof spans[i].base);
        if (err == 0 && bytes > 0)
            err = yoke_stream_copy(s, spans[i].base, t->first[i], bytes);
    }
    return err;
}

static int enqueue(const yk_trial *t, yoke_stream *s, const char *args, yk_outcome *ret)
{
    if (t->k->form == YK_REDUCE_KERNEL)
        return yk_enqueue_reduction(s, t->k, args, ret->result, true);
    return t->k->form == YK_SCAN_KERNEL ? yk_enqueue_scan(s, t->k, args) : yk_enqueue(s, t->k, args);
}

static int get_down(const yk_trial *t, yoke_stream *s, const yk_span *spans, yk_outcome *ret)
{
    int err = 0;
    for (unsigned i = 0; i < t->k->nparams && err == 0; i++)
        if (ret->arrays[i] && t->counts[i] > 0)
            err = yoke_stream_copy(s, ret->arrays[i], spans[i].base, yk_trial_bytes(t, i));
    int late = yoke_stream_wait(s);
    return err < 0 ? err : late;
}

int yk_run_on_device(const yk_trial *t, yoke_stream *s, yk_outcome *ret, yk_error *e)
{
    yk_span spans[YK_PARAMS_MOST] = {{0}};
    char *args = yk_args_alloc(t->k->args_size);
    *e = (yk_error){0};
    if (!args)
        return yk_errorf(e, ENOMEM, "no memory");
    memcpy(args, t->args, t->k->args_size);
    int err = put_up(t, s, spans, args, e);
    if (err == 0)
        err = enqueue(t, s, args, ret);
    if (err == 0)
        err = get_down(t, s, spans, ret);
    if (err < 0 && e->code == 0)
        yk_device_last_error(s->dev, e);
    if (err < 0)
        yoke_stream_wait(s); /* nothing may use the memory any more */
    for (unsigned i = 0; i < t->k->nparams; i++)
        if (spans[i].base) {
            yk_span_remove(&spans[i]);
            s->dev->driver->give(s->dev, &spans[i]);
        }
    free(args);
    return err;
}
