/* kernel: kernels enter from constructors, are built for a device when they first meet it, and are launched.
 *
 * What is built stands in a table of the device by the kernel's number, which the kernel has as long as its module is
 * loaded: a launch reads it without a lock. The table is of parts of 64 that come when they are needed. A text
 * that did not compile stays refused. A kernel that goes takes along what was built of it for every open device. */
#include "gpu/graph.h"
#include "gpu/image_cache.h"
#include "gpu/kernel.h"
#include <stdlib.h>

enum { PART = 64, PARTS = 256 };
/* The number of those that run nowhere. */
static const uint32_t astray = UINT32_MAX;

/* parts: written under dev->lock, read by anyone; one is taken out of them when its kernel goes. */
struct yk_images {
    yoke_device *dev;
    struct yk_images *next;
    _Atomic(yk_ready *) *_Atomic parts[PARTS];
};

static struct {
    yk_mutex lock; /* guards the rest, and `next` of all in it */
    yoke_kernel *kernels;
    yk_device_code *codes;
    uint64_t taken[PARTS]; /* a bit for each number, 64 in each */
} known;
YK_HELD_WHILE_FORKING(known.lock)

/* The tables of all open devices for which something was built. */
static struct {
    yk_mutex lock; /* guards the rest; held while images are unloaded */
    struct yk_images *first;
    bool heeds_end;            /* process_ends will be set */
    _Atomic bool process_ends; /* without the lock: no driver is called any more, nor waited for who is in one */
} tables;

/* ---- What there is ---- */

/* The lowest that is free; beyond all tables when none is. */
static uint32_t take_number(void)
{
    uint32_t part = 0;
    while (part < PARTS && known.taken[part] == UINT64_MAX)
        part++;
    if (part == PARTS)
        return PART * PARTS;
    uint32_t bit = (uint32_t)__builtin_ctzll(~known.taken[part]);
    known.taken[part] |= UINT64_C(1) << bit;
    return part * PART + bit;
}

static void give_number(uint32_t id)
{
    if (id < PART * PARTS)
        known.taken[id / PART] &= ~(UINT64_C(1) << id % PART);
}

void yk_kernel_add(yoke_kernel *k)
{
    bool strays = yk_break_strays(k);
    yk_mutex_lock(&known.lock);
    k->id = strays ? astray : take_number();
    k->next = known.kernels;
    known.kernels = k;
    yk_mutex_unlock(&known.lock);
    if (k->call)
        yk_kernel_make_task(k);
}

static void forget_built(const yoke_kernel *k);

void yk_kernel_remove(yoke_kernel *k)
{
    forget_built(k);
    yk_mutex_lock(&known.lock);
    for (yoke_kernel **at = &known.kernels; *at; at = &(*at)->next)
        if (*at == k) {
            *at = k->next;
            give_number(k->id);
            break;
        }
    yk_mutex_unlock(&known.lock);
}

void yk_device_code_add(yk_device_code *c)
{
    yk_mutex_lock(&known.lock);
    c->next = known.codes;
    known.codes = c;
    yk_mutex_unlock(&known.lock);
}

void yk_device_code_remove(yk_device_code *c)
{
    yk_mutex_lock(&known.lock);
    for (yk_device_code **at = &known.codes; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    yk_mutex_unlock(&known.lock);
}

const yk_device_code *yk_device_code_after(const yoke_kernel *k, const yk_device_code *before)
{
    const yk_device_code *best = NULL;
    yk_mutex_lock(&known.lock);
    for (const yk_device_code *c = known.codes; c; c = c->next)
        if (c->unit == k->unit && c->number < k->number && (!before || c->number > before->number)
            && (!best || c->number < best->number))
            best = c;
    yk_mutex_unlock(&known.lock);
    return best;
}

yoke_kernel *yk_kernels(void)
{
    yk_mutex_lock(&known.lock);
    yoke_kernel *first = known.kernels;
    yk_mutex_unlock(&known.lock);
    return first;
}

/* ---- Building ---- */

static int explain(const yoke_device *dev, const yoke_kernel *k, yk_buf *log, yk_error *e)
{
    const char *line;
    if (e->code != -EINVAL || log->len == 0)
        return e->code;
    const int len = yk_first_error(yk_buf_str(log), &line);
    return yk_errorf(e, EINVAL, "kernel %.60s (%.100s:%u) does not compile for %.30s: %.*s", k->name, k->file, k->line,
                     dev->info.uri, YK_MIN(len, 250), line);
}

static int find_functions(yoke_device *dev, const yoke_kernel *k, yk_ready *r)
{
    const bool has_last = k->form == YK_REDUCE_KERNEL || k->form == YK_SCAN_KERNEL;
    const struct {
        const char *which;
        yk_function *to;
        bool is_there;
    } functions[] = {{"kernel", &r->first, true}, {"last", &r->last, has_last}, {"write", &r->write, k->form == YK_SCAN_KERNEL}};
    int err = 0;
    yk_buf name = {0};
    for (size_t i = 0; i < YK_COUNT_OF(functions) && err == 0; i++) {
        name.len = 0;
        yk_buf_printf(&name, "%s_%s", functions[i].which, k->name);
        if (name.failed)
            err = yk_errorf(&r->error, ENOMEM, "kernel %s: no memory", k->name);
        else if (functions[i].is_there)
            err = dev->driver->function(r->image, yk_buf_str(&name), functions[i].to, &r->error);
    }
    yk_buf_done(&name);
    return err;
}

/* Some compilers of devices take the words, and make another type of them. */
static bool has_long_double(const char *text)
{
    yk_token word, before = {YK_TOKEN_END, text, 0};
    for (yk_token_read(text, &word); word.kind != YK_TOKEN_END; yk_token_read(word.at + word.len, &word)) {
        if (yk_token_is(&word, "double") && yk_token_is(&before, "long"))
            return true;
        before = word;
    }
    return false;
}

static int build(yoke_device *dev, const yoke_kernel *k, yk_ready *r)
{
    yk_buf text = {0}, log = {0};
    const yk_machine target = yk_machine_of(dev);
    yk_plan_make(k, &target, &r->plan);
    yk_text_write(k, &target, &text);
    const char *written = yk_buf_str(&text);
    int err = text.failed ? yk_errorf(&r->error, ENOMEM, "kernel %s: no memory for its text", k->name)
        : has_long_double(written)
        ? yk_errorf(&r->error, EINVAL, "kernel %s (%s:%u): %s has no long double", k->name, k->file, k->line, dev->info.uri)
        : dev->driver->build(dev, written, target.is_cuda ? YK_CUDA_OPTIONS : YK_OPENCL_OPTIONS, k->name, &r->image,
                             &log, &r->error);
    if (err < 0)
        err = explain(dev, k, &log, &r->error);
    if (err == 0)
        err = find_functions(dev, k, r);
    yk_buf_done(&text);
    yk_buf_done(&log);
    return err;
}

static void free_ready(yoke_device *dev, yk_ready *r)
{
    if (r && r->image)
        dev->driver->unload(dev, r->image);
    free(r);
}

/* Before the destructors of modules, and before what drivers do at the end, which are open by now. */
static void note_end(void)
{
    atomic_store_explicit(&tables.process_ends, true, memory_order_relaxed);
}

/* dev's table, made if need be; NULL when there is no memory. */
static struct yk_images *table_of(yoke_device *dev)
{
    yk_mutex_lock(&tables.lock);
    struct yk_images *t = dev->images;
    if (!t && (t = yk_sys.calloc(1, sizeof *t))) {
        if (!tables.heeds_end)
            tables.heeds_end = atexit(note_end) == 0;
        t->dev = dev;
        t->next = tables.first;
        tables.first = t;
        __atomic_store_n(&dev->images, t, __ATOMIC_RELEASE); /* pairs with the acquire in place_in() */
    }
    yk_mutex_unlock(&tables.lock);
    return t;
}

/* The place of k in dev's table; NULL when there is no memory. dev->lock is held. */
static _Atomic(yk_ready *) *place_of(yoke_device *dev, const yoke_kernel *k)
{
    _Atomic(yk_ready *) *part = atomic_load_explicit(&dev->images->parts[k->id / PART], memory_order_relaxed);
    if (!part) {
        part = yk_sys.calloc(PART, sizeof *part);
        /* Pairs with the acquire in place_in(): it is empty before it is seen. */
        atomic_store_explicit(&dev->images->parts[k->id / PART], part, memory_order_release);
    }
    return part ? part + k->id % PART : NULL;
}

/* The place of k in a table, NULL when there is none. */
static _Atomic(yk_ready *) *place_in(struct yk_images *images, const yoke_kernel *k)
{
    if (YK_UNLIKELY(!images || k->id >= PART * PARTS))
        return NULL;
    /* Pairs with the release in place_of(). */
    _Atomic(yk_ready *) *part = atomic_load_explicit(&images->parts[k->id / PART], memory_order_acquire);
    return YK_LIKELY(part) ? part + k->id % PART : NULL;
}

static const yk_ready *look_up(yoke_device *dev, const yoke_kernel *k)
{
    /* Pair with the releases in table_of() and keep(). */
    _Atomic(yk_ready *) *place = place_in(__atomic_load_n(&dev->images, __ATOMIC_ACQUIRE), k);
    return YK_LIKELY(place) ? atomic_load_explicit(place, memory_order_acquire) : NULL;
}

/* The module of k is closed: nobody launches it any more. What was launched is waited for, since no driver says that it does. */
static void forget_built(const yoke_kernel *k)
{
    if (atomic_load_explicit(&tables.process_ends, memory_order_relaxed))
        return;
    yk_mutex_lock(&tables.lock);
    for (struct yk_images *t = tables.first; t; t = t->next) {
        _Atomic(yk_ready *) *place = place_in(t, k);
        yk_ready *r = place ? atomic_exchange_explicit(place, NULL, memory_order_acquire) : NULL; /* pairs with keep() */
        if (r && r->image)
            yk_streams_wait(t->dev);
        free_ready(t->dev, r);
    }
    yk_mutex_unlock(&tables.lock);
}

/* The devices are the parent's. */
static void child_begins(void)
{
    tables.lock = (yk_mutex){0};
    tables.first = NULL;
}

static __attribute__((constructor)) void watch_process(void)
{
    pthread_atfork(NULL, NULL, child_begins);
}

/* Two threads may build at a time; the first that is done counts. */
static const yk_ready *keep(yoke_device *dev, const yoke_kernel *k, yk_ready *r, yk_error *e)
{
    yk_ready *there = NULL;
    struct yk_images *table = table_of(dev);
    yk_mutex_lock(&dev->lock);
    _Atomic(yk_ready *) *place = table ? place_of(dev, k) : NULL;
    /* Pairs with the acquire in look_up(): all of r is seen with it. */
    bool kept = place && atomic_compare_exchange_strong_explicit(place, &there, r, memory_order_acq_rel, memory_order_acquire);
    yk_mutex_unlock(&dev->lock);
    if (!place)
        yk_errorf(e, ENOMEM, "kernel %s: no memory", k->name);
    if (!kept)
        free_ready(dev, r);
    return kept ? r : there;
}

int yk_kernel_check_body(const yoke_kernel *k, yk_error *e)
{
    if (YK_LIKELY(k->id != astray))
        return 0;
    return yk_errorf(e, EINVAL, "kernel %.60s (%.100s:%u): a break stands outside the loops and switches of %s: continue ends %s",
                     k->name, k->file, k->line, k->form == YK_GROUP_KERNEL ? "a region" : "its body",
                     k->form == YK_GROUP_KERNEL ? "a region for an item" : "an element");
}

const yk_ready *yk_kernel_ready(yoke_device *dev, yoke_kernel *k, yk_error *e)
{
    const yk_ready *there = look_up(dev, k);
    if (YK_LIKELY(there))
        return there;
    if (yk_kernel_check_body(k, e) < 0)
        return NULL;
    if (k->id >= PART * PARTS) {
        yk_errorf(e, ENOSPC, "kernel %s: there are %d kernels already: close modules", k->name, PART * PARTS);
        return NULL;
    }
    yk_ready *r = yk_sys.calloc(1, sizeof *r);
    if (!r) {
        yk_errorf(e, ENOMEM, "kernel %s: no memory", k->name);
        return NULL;
    }
    r->status = build(dev, k, r);
    if (r->status < 0 && r->status != -EINVAL && r->status != -ENOENT) { /* another time it may go well */
        *e = r->error;
        free_ready(dev, r);
        return NULL;
    }
    return keep(dev, k, r, e);
}

int yk_prepare(yoke_device *dev, yoke_kernel *k)
{
    yk_error e = {0};
    int err = dev ? yk_device_check(dev) : -EINVAL;
    if (err == 0 && yk_kernel_check_body(k, &e) < 0)
        return yk_device_fail(dev, NULL, &e);
    if (err < 0 || !dev->driver->build)
        return err;
    const yk_ready *r = yk_kernel_ready(dev, k, &e);
    if (r && r->status == 0)
        return 0;
    return yk_device_fail(dev, NULL, r ? &r->error : &e);
}

void yk_images_close(yoke_device *dev)
{
    yk_mutex_lock(&tables.lock);
    for (struct yk_images **at = &tables.first; *at; at = &(*at)->next)
        if (*at == dev->images) {
            *at = dev->images->next;
            break;
        }
    yk_mutex_unlock(&tables.lock);
    for (size_t i = 0; dev->images && i < PARTS; i++) {
        _Atomic(yk_ready *) *part = atomic_load_explicit(&dev->images->parts[i], memory_order_relaxed);
        for (size_t j = 0; part && j < PART; j++)
            free_ready(dev, atomic_load_explicit(&part[j], memory_order_relaxed));
        free(part);
    }
    free(dev->images);
    dev->images = NULL;
}

/* ---- Launching ---- */

/* Array i of a part of a call, which is shorter than the kernel says: where it lies is all that is looked at. */
static int check_part(const yoke_stream *s, const yoke_kernel *k, const void *args, yk_given *g, unsigned i, const yk_span *span,
                      yk_error *e)
{
    if (YK_LIKELY(yk_reaches(s->dev, g->p, span)))
        return 0;
    size_t counts[YK_PARAMS_MOST];
    k->counts(args, counts);
    g->count = counts[i];
    return g->count > 0 ? yk_given_refuse(s->dev, "kernel ", k->name, g, span, e) : 0;
}

int yk_kernel_args(const yoke_stream *s, const yoke_kernel *k, const void *args, bool whole, yk_kernel_arg *ret, yk_error *e)
{
    static void *const nowhere;
    const char *bytes = args;
    size_t counts[YK_PARAMS_MOST];
    if (YK_LIKELY(whole))
        k->counts(args, counts);
    ret[0] = (yk_kernel_arg){.value = args, .size = sizeof(long)};
    for (unsigned i = 0; i < k->nparams; i++) {
        const yk_param *p = &k->params[i];
        yk_kernel_arg *arg = &ret[i + 1];
        *arg = (yk_kernel_arg){.value = bytes + p->at, .size = p->size};
        if (p->kind == YK_VAL)
            continue;
        yk_given g = {.name = p->name, .count = whole ? counts[i] : 0, .size = p->size, .formula = p->count};
        memcpy(&g.p, arg->value, sizeof g.p);
        const yk_span *span = yk_span_of(g.p);
        int err = whole ? yk_given_check(s->dev, "kernel ", k->name, &g, span, e) : check_part(s, k, args, &g, i, span, e);
        if (YK_UNLIKELY(err < 0))
            return err;
        arg->size = sizeof g.p;
        arg->is_memory = true;
        if (YK_LIKELY(span && span->dev == s->dev))
            arg->span = span;
        else if (!yk_reaches(s->dev, g.p, span))
            arg->value = &nowhere; /* it has no elements, so it may lie anywhere */
    }
    return 0;
}

int yk_kernel_check_host(const yoke_stream *s, const yoke_kernel *k, const void *args, yk_error *e)
{
    if (yk_kernel_check_body(k, e) < 0)
        return e->code;
    yk_kernel_arg list[YK_PARAMS_MOST + 1];
    return yk_kernel_args(s, k, args, true, list, e);
}

int yk_kernel_launch(yoke_stream *s, const char *name, const yk_function *f, const yk_shape *shape, const yk_kernel_arg *args,
                     unsigned count, yk_error *e)
{
    yk_stream_note(s, name);
    return yk_put_launch(s, f, shape, args, count, e);
}

/* A thread of a CPU has at least so many elements, and there are so many groups for each of its units. */
enum { LEAST_OF_THREAD = 4096, GROUPS_OF_UNIT = 8 };

unsigned yk_kernel_groups(const yoke_device *dev, const yk_plan *plan, long n)
{
    size_t block = dev->info.is_gpu ? (size_t)plan->group * plan->items : LEAST_OF_THREAD;
    size_t groups = ((size_t)n + block - 1) / block;
    if (!dev->info.is_gpu)
        groups = YK_MIN(groups, (size_t)YK_MAX(dev->info.units, 1) * GROUPS_OF_UNIT);
    return groups <= INT32_MAX ? (unsigned)groups : 0;
}

static int enqueue(yoke_stream *s, yoke_kernel *k, const void *args, const long range[2], yk_error *e)
{
    yk_kernel_arg list[YK_PARAMS_MOST + 3];
    const yk_ready *r = yk_kernel_ready(s->dev, k, e);
    if (YK_UNLIKELY(!r))
        return e->code;
    if (YK_UNLIKELY(r->status < 0)) {
        *e = r->error;
        return e->code;
    }
    long n = range[1] - range[0];
    const bool whole = k->form == YK_GROUP_KERNEL; /* n is that of groups, and there is no range */
    unsigned groups = !whole ? yk_kernel_groups(s->dev, &r->plan, n) : n <= INT32_MAX ? (unsigned)n : 0;
    const bool is_all = range[0] == 0 && range[1] == *(const long *)args; /* else a part: its arrays are as long */
    list[0] = (yk_kernel_arg){.value = &range[0], .size = sizeof(long)};
    list[1] = (yk_kernel_arg){.value = &range[1], .size = sizeof(long)};
    int err = yk_kernel_args(s, k, args, is_all, list + 2, e);
    if (YK_UNLIKELY(err == 0 && groups == 0))
        err = yk_errorf(e, E2BIG, "kernel %s: %ld elements are more than one launch can have", k->name, n);
    const yk_shape shape = {.groups = {groups, 1, 1}, .group = {r->plan.group, 1, 1}};
    const unsigned skip = whole ? 2 : 0;
    return err < 0 ? err : yk_kernel_launch(s, k->name, &r->first, &shape, list + skip, k->nparams + 3 - skip, e);
}

int yk_enqueue_range(yoke_stream *s, yoke_kernel *k, const void *args, long lo, long hi)
{
    yk_error e;
    yk_error_clear(&e);
    int err = enqueue(s, k, args, (const long[]){lo, hi}, &e);
    return YK_LIKELY(err == 0) ? 0 : yk_stream_fail(s, &e);
}

int yk_kernel_record(yoke_stream *s, yoke_kernel *k, const void *args, void *ret,
                     int (*fn)(yoke_stream *s, const void *later, yk_error *e))
{
    yk_error e;
    yk_error_clear(&e);
    enum { ARGS_ALIGN = 64 };
    yk_kernel_later *later = yk_record_call(s, fn, sizeof *later + k->args_size + ARGS_ALIGN, &e);
    if (!later)
        return yk_stream_fail(s, &e);
    later->k = k;
    later->ret = ret;
    later->args = (char *)YK_ALIGN_UP((uintptr_t)(later + 1), ARGS_ALIGN);
    memcpy(later->args, args, k->args_size);
    return 0;
}

static int run_on_cpu(yoke_stream *s, const void *data, yk_error *e)
{
    const yk_kernel_later *later = data;
    int err = yk_kernel_on_cpu(s->dev->pool, later->k, later->args);
    return err < 0 ? yk_errorf(e, err, "kernel %s: %s", later->k->name, yoke_strerror(err)) : 0;
}

int yk_enqueue(yoke_stream *s, yoke_kernel *k, const void *args)
{
    yk_error e;
    yk_error_clear(&e);
    if (YK_UNLIKELY(!s))
        return -EINVAL;
    long n = *(const long *)args;
    int err = yk_device_check(s->dev);
    if (YK_UNLIKELY(err < 0 || n == 0))
        return err;
    if (YK_UNLIKELY(n < 0)) {
        yk_negative_refuse("kernel ", k->name, "n", (size_t)n, &e);
        return yk_stream_fail(s, &e);
    }
    if (!s->dev->driver->build) {
        err = yk_kernel_check_host(s, k, args, &e);
        if (YK_UNLIKELY(err < 0))
            return yk_stream_fail(s, &e);
        return s->recording ? yk_kernel_record(s, k, args, NULL, run_on_cpu)
                            : yk_kernel_on_cpu(s->dev->pool, k, args);
    }
    return yk_enqueue_range(s, k, args, 0, n);
}
