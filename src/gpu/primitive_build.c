/* primitive_build: programs of the primitives on a device, and the launches of their kernels.
 *
 * What is built stands in a list of the device, by program and options; the list only grows, at its head,
 * until the device is closed, so that it is read without a lock. Drivers keep what they compiled on disk, so
 * that a list is built quickly the next time. */
#include "gpu/graph.h"
#include "gpu/primitive.h"
#include <stdarg.h>
#include <stdlib.h>

enum { OPTIONS_MOST = 512 };

/* ---- Building ---- */

void yk_program_text(const yk_program *program, yk_buf *to)
{
    for (int i = 0; program->texts[i]; i++) {
        yk_buf_printf(to, "#line 1 \"%s\"\n", program->names[i]);
        yk_buf_text(to, program->texts[i]);
    }
}

static const yk_built *look_up(yoke_device *dev, const yk_program *program, const char *options)
{
    /* Pairs with the release in keep(): what it holds is seen with it. */
    const yk_built *b = atomic_load_explicit(&dev->built, memory_order_acquire);
    while (b && (b->program != program || strcmp(b->options, options) != 0))
        b = b->next;
    return b;
}

static void free_built(yoke_device *dev, yk_built *b)
{
    if (b->image)
        dev->driver->unload(dev, b->image);
    free(b);
}

/* Two threads may build the same; what the second one built goes. */
static const yk_built *keep(yoke_device *dev, yk_built *b)
{
    yk_mutex_lock(&dev->lock);
    const yk_built *there = look_up(dev, b->program, b->options);
    if (!there) {
        b->next = atomic_load_explicit(&dev->built, memory_order_relaxed);
        /* Pairs with the acquire in look_up(). */
        atomic_store_explicit(&dev->built, b, memory_order_release);
    }
    yk_mutex_unlock(&dev->lock);
    if (there)
        free_built(dev, b);
    return there ? there : b;
}

static int build(yk_primitive_call *c, yk_built *b)
{
    yoke_device *dev = c->s->dev;
    yk_buf text = {0}, log = {0};
    yk_program_text(b->program, &text);
    const char *written = yk_buf_str(&text);
    int err = text.failed
                  ? yk_errorf(&c->e, ENOMEM, "%s: no memory for its text", c->name)
                  : dev->driver->build(dev, written, b->options, b->program->name, &b->image, &log, &c->e);
    if (err == -EINVAL && log.len > 0)
        yk_errorf(&c->e, EINVAL, "%s does not compile for %.30s: %.300s", c->name, dev->info.uri,
                  yk_buf_str(&log));
    for (int i = 0; err == 0 && i < (int)YK_COUNT_OF(b->kernels) && b->program->kernels[i]; i++)
        err = dev->driver->function(b->image, b->program->kernels[i], &b->kernels[i], &c->e);
    yk_buf_done(&text);
    yk_buf_done(&log);
    return err;
}

const yk_built *yk_program_build(yk_primitive_call *c, const yk_program *program, const char *format, ...)
{
    char options[OPTIONS_MOST];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(options, sizeof options, format, ap);
    va_end(ap);
    if (c->e.code < 0)
        return NULL;
    const yk_built *there = look_up(c->s->dev, program, options);
    if (YK_LIKELY(there))
        return there;
    yk_built *b = yk_sys.calloc(1, sizeof *b + (size_t)n + 1);
    if (!b) {
        yk_errorf(&c->e, ENOMEM, "%s: no memory", c->name);
        return NULL;
    }
    b->program = program;
    memcpy(b->options, options, (size_t)n + 1);
    if (build(c, b) == 0)
        return keep(c->s->dev, b);
    free_built(c->s->dev, b);
    return NULL;
}

void yk_primitives_close(yoke_device *dev)
{
    for (yk_built *b = atomic_load_explicit(&dev->built, memory_order_relaxed), *next; b; b = next) {
        next = b->next;
        free_built(dev, b);
    }
    atomic_store_explicit(&dev->built, NULL, memory_order_relaxed);
}

/* ---- Launches ---- */

static yk_kernel_arg *next_arg(yk_primitive_call *c, uint64_t bits, uint32_t size)
{
    unsigned at = c->count++;
    c->values[at] = bits;
    c->args[at] = (yk_kernel_arg){.value = &c->values[at], .size = size};
    return &c->args[at];
}

void yk_call_memory(yk_primitive_call *c, const void *p)
{
    yk_kernel_arg *arg = next_arg(c, (uintptr_t)p, sizeof p);
    const yk_span *span = yk_span_of(p);
    arg->is_memory = true;
    arg->span = span && span->dev == c->s->dev ? span : NULL; /* else the host's, which the device shares */
}

void yk_call_word(yk_primitive_call *c, uint32_t value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    next_arg(c, bits, sizeof value);
}

void yk_call_long(yk_primitive_call *c, uint64_t value)
{
    next_arg(c, value, sizeof value);
}

void yk_call_matrices(yk_primitive_call *c, const yk_multiplying *a)
{
    yk_call_long(c, a->m);
    yk_call_long(c, a->n);
    yk_call_long(c, a->k);
    yk_call_memory(c, a->k > 0 ? a->a : a->c);
    yk_call_long(c, a->lda);
    yk_call_memory(c, a->k > 0 ? a->b : a->c);
    yk_call_long(c, a->ldb);
    yk_call_memory(c, a->c);
    yk_call_long(c, a->ldc);
}

void yk_call_number(yk_primitive_call *c, yk_number type, uint64_t bits)
{
    next_arg(c, bits, (uint32_t)yk_number_size(type));
}

static void launch(yk_primitive_call *c, const yk_function *f, const yk_shape *shape)
{
    if (c->e.code == 0) {
        yk_stream_note(c->s, c->name);
        yk_put_launch(c->s, f, shape, c->args, c->count, &c->e);
    }
    c->count = 0;
}

void yk_call_launch(yk_primitive_call *c, const yk_function *f, size_t groups, unsigned group, size_t local)
{
    if (c->e.code == 0 && groups > INT32_MAX)
        yk_errorf(&c->e, E2BIG, "%s: too many elements for one launch", c->name);
    launch(c, f, &(yk_shape){.groups = {(unsigned)groups, 1, 1}, .group = {group, 1, 1}, .local = local});
}

void yk_call_launch_2d(yk_primitive_call *c, const yk_function *f, size_t across, size_t down, unsigned group)
{
    if (c->e.code == 0 && (across > INT32_MAX || down > UINT16_MAX))
        yk_errorf(&c->e, E2BIG, "%s: too many elements for one launch", c->name);
    launch(c, f, &(yk_shape){.groups = {(unsigned)across, (unsigned)down, 1}, .group = {group, 1, 1}});
}

/* ---- Temporary memory ---- */

void *yk_call_temporary(yk_primitive_call *c, size_t size)
{
    if (c->e.code < 0)
        return NULL;
    void *p = yoke_stream_alloc(c->s, size);
    if (p)
        c->temporary[c->temporaries++] = p;
    else
        yk_errorf(&c->e, ENOMEM, "%s: no memory of %s for %zu bytes that it needs meanwhile", c->name,
                  c->s->dev->info.uri, size);
    return p;
}

void yk_call_clear(yk_primitive_call *c, void *p, size_t size)
{
    static const uint32_t zero;
    if (c->e.code == 0)
        yk_put_fill(c->s, p, yk_span_of(p), &zero, sizeof zero, size / sizeof zero, &c->e);
}

int yk_call_end(yk_primitive_call *c)
{
    for (unsigned i = 0; i < c->temporaries; i++)
        yoke_stream_free(c->s, c->temporary[i]);
    return c->e.code < 0 ? yk_stream_fail(c->s, &c->e) : 0;
}
