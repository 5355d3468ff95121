/* reduce: reductions on devices, in two launches: one partial result for each group, then those together. How
 * many groups depends on the device and n alone. */
#include "gpu/graph.h"
#include "gpu/kernel.h"
#include <yoke/scan.h>

/* Groups for each unit of a device: enough to fill it, so that the partial results are few. */
enum { GROUPS_OF_UNIT = 8 };

static unsigned groups_for(const yoke_device *dev, const yk_plan *plan, long n)
{
    unsigned most = YK_MAX(dev->info.units, 1) * GROUPS_OF_UNIT, wanted = yk_kernel_groups(dev, plan, n);
    return wanted == 0 ? most : YK_MIN(wanted, most);
}

static yk_kernel_arg memory_arg(void *const *p)
{
    return (yk_kernel_arg){.value = p, .size = sizeof *p, .is_memory = true, .span = yk_span_of(*p)};
}

static int run_last(yoke_stream *s, const yoke_kernel *k, const yk_ready *r, long count, void *from, void *to, yk_error *e)
{
    const yk_kernel_arg list[] = {{.value = &count, .size = sizeof count}, memory_arg(&from), memory_arg(&to)};
    const yk_shape shape = {.groups = {1, 1, 1}, .group = {r->plan.group, 1, 1}};
    return yk_kernel_launch(s, k->name, &r->last, &shape, list, YK_COUNT_OF(list), e);
}

/* ret: memory of the device. */
static int run(yoke_stream *s, yoke_kernel *k, const void *args, void *ret, yk_error *e)
{
    yk_kernel_arg list[YK_PARAMS_MOST + 2];
    const yk_ready *r = yk_kernel_ready(s->dev, k, e);
    if (!r)
        return e->code;
    if (r->status < 0) {
        *e = r->error;
        return e->code;
    }
    long n = *(const long *)args;
    unsigned groups = n > 0 ? groups_for(s->dev, &r->plan, n) : 1;
    int err = yk_kernel_args(s, k, args, true, list, e);
    if (err < 0)
        return err;
    void *partial = groups > 1 ? yoke_stream_alloc(s, groups * k->extra->size) : ret;
    if (!partial)
        return yk_errorf(e, ENOMEM, "kernel %s: no memory of %s for %u partial results", k->name, s->dev->info.uri, groups);
    list[k->nparams + 1] = memory_arg(&partial);
    const yk_shape shape = {.groups = {groups, 1, 1}, .group = {r->plan.group, 1, 1}};
    err = yk_kernel_launch(s, k->name, &r->first, &shape, list, k->nparams + 2, e);
    if (err == 0 && groups > 1)
        err = run_last(s, k, r, groups, partial, ret, e);
    if (groups > 1)
        yoke_stream_free(s, partial);
    return err;
}

/* Through memory of the device to *ret of the host. Its caller gets a value and no code, so the stream keeps all that is wrong,
 * want of memory and what the device finds too. */
static int run_and_wait(yoke_stream *s, yoke_kernel *k, const void *args, void *ret)
{
    yk_error e;
    yk_error_clear(&e);
    void *result = yoke_stream_alloc(s, k->extra->size);
    if (!result)
        return yk_stream_keep(s, -ENOMEM);
    int err = run(s, k, args, result, &e);
    if (err < 0)
        yk_stream_fail(s, &e);
    else
        err = yoke_stream_copy(s, ret, result, k->extra->size);
    if (err == 0)
        err = yk_stream_keep(s, yk_stream_settle(s));
    yoke_stream_free(s, result);
    return err;
}

static int reduce_on_cpu(yoke_stream *s, const void *data, yk_error *e)
{
    const yk_kernel_later *later = data;
    (void)e;
    const long n = *(const long *)(const void *)later->args;
    yk_reduce(s->dev->pool, (size_t)n, &later->k->extra->reduction, later->args, later->ret);
    return 0;
}

int yk_enqueue_reduction(yoke_stream *s, yoke_kernel *k, const void *args, void *ret, bool wait)
{
    yk_error e;
    yk_error_clear(&e);
    if (!s || !ret)
        return -EINVAL;
    long n = *(const long *)args;
    int err = yk_device_check(s->dev);
    if (err < 0)
        return err;
    if (n < 0) {
        yk_negative_refuse("kernel ", k->name, "n", (size_t)n, &e);
        return yk_stream_fail(s, &e);
    }
    if (s->recording && wait)
        return yk_record_refuse(s, "a reduction whose result is waited for");
    if (!s->dev->driver->build) {
        err = yk_kernel_check_host(s, k, args, &e);
        if (err < 0)
            return yk_stream_fail(s, &e);
        if (s->recording)
            return yk_kernel_record(s, k, args, ret, reduce_on_cpu);
        yk_reduce(s->dev->pool, (size_t)n, &k->extra->reduction, args, ret);
        return 0;
    }
    if (wait)
        return n == 0 ? yk_stream_keep(s, yk_stream_settle(s)) : run_and_wait(s, k, args, ret);
    const yk_span *span = yk_span_of(ret);
    const yk_given result = {"the result", ret, 1, k->extra->size, NULL};
    err = !span || span->dev != s->dev
        ? yk_errorf(&e, EFAULT, "kernel %s: the result is to be in memory of %s", k->name, s->dev->info.uri)
        : yk_given_check(s->dev, "kernel ", k->name, &result, span, &e);
    if (err == 0)
        err = run(s, k, args, ret, &e);
    return err < 0 ? yk_stream_fail(s, &e) : 0;
}

/* ---- Scans ---- */

/* A value with the flag of segments behind it: as large as it can be in a driver's language. */
static size_t scan_value_size(const yoke_kernel *k)
{
    return k->extra->size + 32;
}

static int run_scan(yoke_stream *s, yoke_kernel *k, const void *args, yk_error *e)
{
    yk_kernel_arg list[YK_PARAMS_MOST + 2];
    const yk_ready *r = yk_kernel_ready(s->dev, k, e);
    if (!r)
        return e->code;
    if (r->status < 0) {
        *e = r->error;
        return e->code;
    }
    long count = groups_for(s->dev, &r->plan, *(const long *)args);
    int err = yk_kernel_args(s, k, args, true, list, e);
    if (err < 0)
        return err;
    void *partial = yoke_stream_alloc(s, (size_t)count * scan_value_size(k));
    if (!partial)
        return yk_errorf(e, ENOMEM, "kernel %s: no memory of %s for %ld partial results", k->name, s->dev->info.uri, count);
    list[k->nparams + 1] = memory_arg(&partial);
    const yk_shape one = {.groups = {1, 1, 1}, .group = {r->plan.group, 1, 1}};
    const yk_shape all = {.groups = {(unsigned)count, 1, 1}, .group = {r->plan.group, 1, 1}};
    const yk_kernel_arg last[] = {{.value = &count, .size = sizeof count}, list[k->nparams + 1]};
    err = yk_kernel_launch(s, k->name, &r->first, &all, list, k->nparams + 2, e);
    if (err == 0)
        err = yk_kernel_launch(s, k->name, &r->last, &one, last, YK_COUNT_OF(last), e);
    if (err == 0)
        err = yk_kernel_launch(s, k->name, &r->write, &all, list, k->nparams + 2, e);
    yoke_stream_free(s, partial);
    return err;
}

static int scan_on_cpu(yoke_stream *s, const void *data, yk_error *e)
{
    const yk_kernel_later *later = data;
    long n = *(const long *)(const void *)later->args;
    int err = yk_scan(s->dev->pool, (size_t)n, later->k->extra->scanning, &n, false, later->args);
    return err < 0 ? yk_errorf(e, err, "kernel %s: %s", later->k->name, yoke_strerror(err)) : 0;
}

int yk_enqueue_scan(yoke_stream *s, yoke_kernel *k, const void *args)
{
    yk_error e;
    yk_error_clear(&e);
    if (!s)
        return -EINVAL;
    long n = *(const long *)args;
    int err = yk_device_check(s->dev);
    if (err < 0 || n == 0)
        return err;
    if (n < 0)
        err = yk_negative_refuse("kernel ", k->name, "n", (size_t)n, &e);
    else if (!s->dev->driver->build)
        err = yk_kernel_check_host(s, k, args, &e);
    else
        err = run_scan(s, k, args, &e);
    if (err == 0 && s->recording && !s->dev->driver->build)
        return yk_kernel_record(s, k, args, NULL, scan_on_cpu);
    if (err == 0 && !s->dev->driver->build)
        return yk_scan(s->dev->pool, (size_t)n, k->extra->scanning, &n, false, args); /* out: not used, and not NULL */
    return err < 0 ? yk_stream_fail(s, &e) : 0;
}
