/* memory: what a device gives and takes back, kept for the next who asks. A driver's own calls wait for the device, and cost
 * up to milliseconds; here most allocations are a list operation.
 *
 * Sizes fall into classes, 16 to each power of two, so at most 1/16 of a block is unused (as the pools of PyCUDA). A free
 * block remembers the stream in whose order it was freed: work that is put in that stream later may use it at once, since the
 * stream itself keeps the order. For another stream it is taken only if there is nothing else; then that stream first waits
 * for the one. Who allocates outside of any stream gets a block that nobody uses any more. When the driver has no memory
 * left, what is kept is given back to it, the largest first, and it is asked once more.
 *
 * Frees are counted. A stream that was idle once, or has come past a mark, uses nothing any more that was freed before it was
 * asked, or marked: one number (`past`) says so of all those blocks. Marks are for streams that always have something to do; a
 * search that finds blocks of its class, and none that is fit, leaves them for the next.
 *
 * Nothing waits for the device under the lock: who must wait lets go of it, and the blocks that were free before have then
 * been come past by everybody. */
#include "gpu/gpu.h"
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST = 512, CLASSES = YK_SIZE_CLASSES };

typedef struct block {
    yk_span span;           /* first: what yk_span_of() finds is the block */
    struct block *next;     /* of the free ones in its class, or of the used ones */
    struct block *before;   /* of the used ones */
    yoke_stream *freed_in;  /* NULL: in no stream's order, as of all of them */
    uint64_t freed;         /* the number of the free */
    bool idle;              /* nobody uses it any more */
    unsigned class;
} block;

typedef struct yk_memory {
    yk_mutex lock;
    block *free[CLASSES], *used;
    uint64_t frees;
    uint64_t search;     /* the number of the one under way */
    uint64_t asked;      /* in which it was asked whether all streams are idle */
    uint64_t past;       /* what was freed up to this number nobody uses any more */
    yk_marks *marks;     /* in all streams, or NULL; when they have come past, `past` is `marked` */
    uint64_t marked;
    yoke_device_memory stats;
} yk_memory;

unsigned yk_size_class(size_t size)
{
    if (size <= SMALLEST)
        size = SMALLEST;
    unsigned log = 63 - (unsigned)__builtin_clzll(size - 1); /* of the largest power below size */
    return 16 * log + (unsigned)((size - 1) >> (log - 4) & 15);
}

size_t yk_class_size(unsigned class)
{
    unsigned log = class / 16;
    return ((size_t)1 << log) + ((size_t)(class % 16 + 1) << (log - 4));
}

struct yk_memory *yk_memory_open(yoke_device *dev)
{
    (void)dev;
    return yk_sys.calloc(1, sizeof(yk_memory));
}

/* ---- To and from the driver ---- */

/* What a block of the class has: less than the class allows where the driver gives no more in one piece. */
static size_t block_size(const yoke_device *dev, unsigned class)
{
    size_t size = yk_class_size(class);
    return dev->info.largest > 0 ? YK_MIN(size, dev->info.largest) : size;
}

static block *block_from_driver(yoke_device *dev, unsigned class, yk_error *e)
{
    block *b = yk_sys.calloc(1, sizeof *b);
    if (!b) {
        yk_errorf(e, ENOMEM, "no memory");
        return NULL;
    }
    *b = (block){.class = class, .span = {.size = block_size(dev, class), .dev = dev, .is_free = true}, .idle = true};
    if (dev->driver->take(dev, &b->span, e) < 0) {
        free(b);
        return NULL;
    }
    if (yk_span_add(&b->span) < 0) {
        dev->driver->give(dev, &b->span);
        free(b);
        yk_errorf(e, ENOMEM, "no memory");
        return NULL;
    }
    dev->memory->stats.held += b->span.size;
    return b;
}

static void block_to_driver(yoke_device *dev, block *b)
{
    dev->memory->stats.held -= b->span.size;
    yk_span_remove(&b->span);
    dev->driver->give(dev, &b->span);
    free(b);
}

/* Lets go of the lock until all streams have come past what is in them now. */
static void wait_unlocked(yoke_device *dev)
{
    yk_memory *m = dev->memory;
    uint64_t frees = m->frees;
    yk_mutex_unlock(&m->lock);
    yk_streams_wait(dev);
    yk_mutex_lock(&m->lock);
    m->past = YK_MAX(m->past, frees);
}

/* Gives free blocks back, the largest first, until `wanted` bytes have been; waits until nobody uses them, without the lock.
 * Whether there were any. */
static bool give_back(yoke_device *dev, size_t wanted)
{
    yk_memory *m = dev->memory;
    size_t given = 0;
    wait_unlocked(dev);
    for (unsigned class = CLASSES; class-- > 0 && given < wanted;)
        for (block **at = &m->free[class]; *at && given < wanted;) {
            block *b = *at;
            if (!b->idle && b->freed > m->past) { /* meanwhile: somebody may use it */
                at = &b->next;
                continue;
            }
            *at = b->next;
            given += b->span.size;
            block_to_driver(dev, b);
        }
    return given > 0;
}

/* ---- Free blocks ---- */

/* Whether whoever freed b has come past that. A search for a block asks a stream once, however many blocks are its. */
static bool has_come_past(yoke_device *dev, const block *b)
{
    yk_memory *m = dev->memory;
    yoke_stream *s = b->freed_in;
    uint64_t *asked = s ? &s->asked : &m->asked, *past = s ? &s->past : &m->past;
    if (b->freed > *past && b->freed > m->past && *asked != m->search) {
        *asked = m->search;
        if (s ? yk_stream_is_idle(s) : yk_streams_are_idle(dev))
            *past = m->frees;
    }
    return b->freed <= *past || b->freed <= m->past;
}

/* Whether all streams have come past the marks; if there are none, or none any more, they get some. */
static bool come_past_marks(yoke_device *dev)
{
    yk_memory *m = dev->memory;
    bool past = m->marks && yk_marks_are_past(m->marks);
    if (past) {
        m->marks = NULL;
        m->past = YK_MAX(m->past, m->marked);
    }
    if (!m->marks && m->frees > m->past) {
        m->marked = m->frees;
        m->marks = yk_streams_mark(dev);
    }
    return past;
}

/* How good it is for s: 3 nobody uses it; 2 the order of s is enough; 1 s must wait for another stream; 0 not to be had
 * without waiting here and now. */
static int fitness(yoke_device *dev, block *b, yoke_stream *s)
{
    if (!b->idle && (!s || b->freed_in != s))
        b->idle = has_come_past(dev, b);
    return b->idle ? 3 : !s ? 0 : b->freed_in == s ? 2 : 1;
}

/* The best free block of the class that is at least so fit, taken off its list, or NULL. */
static block *take_free(yoke_device *dev, unsigned class, yoke_stream *s, int least)
{
    yk_memory *m = dev->memory;
    block **best = NULL;
    int best_fitness = least - 1;
    m->search++;
    for (block **at = &m->free[class]; *at && best_fitness < (s ? 2 : 3); at = &(*at)->next) {
        int fit = fitness(dev, *at, s);
        if (fit > best_fitness) {
            best_fitness = fit;
            best = at;
        }
    }
    if (!best)
        return NULL;
    block *b = *best;
    *best = b->next;
    return b;
}

/* Lets s, or for NULL the calling thread, wait for whoever may use b still. */
static int settle(yoke_device *dev, block *b, yoke_stream *s, yk_error *e)
{
    if (b->idle || (s && b->freed_in == s))
        return 0;
    if (s)
        return yk_stream_after_stream(s, b->freed_in, e);
    wait_unlocked(dev); /* nobody else has b */
    b->idle = true;
    return 0;
}

static block *take_block(yoke_device *dev, unsigned class, yoke_stream *s, yk_error *e)
{
    yk_memory *m = dev->memory;
    block *b = take_free(dev, class, s, s ? 2 : 3);
    if (!b && m->free[class] && come_past_marks(dev))
        b = take_free(dev, class, s, s ? 2 : 3);
    m->stats.reused += b != NULL;
    if (b)
        return b;
    b = block_from_driver(dev, class, e);
    if (!b && e->code == -ENOMEM) {
        b = take_free(dev, class, s, 0); /* one that must be waited for */
        m->stats.reused += b != NULL;
        if (!b && give_back(dev, block_size(dev, class)))
            b = block_from_driver(dev, class, e);
        if (!b && e->code == -ENOMEM && give_back(dev, SIZE_MAX))
            b = block_from_driver(dev, class, e);
    }
    return b;
}

/* ---- Used blocks ---- */

static void use(yk_memory *m, block *b)
{
    atomic_store_explicit(&b->span.is_free, false, memory_order_relaxed);
    b->before = NULL;
    b->next = m->used;
    if (b->next)
        b->next->before = b;
    m->used = b;
}

/* The used block of dev that begins at p, off the list; NULL: there is none. */
static block *take_used(yoke_device *dev, const void *p)
{
    block *b = (block *)(uintptr_t)yk_span_of(p); /* all spans are of blocks */
    if (!b || b->span.dev != dev || b->span.base != p || atomic_load_explicit(&b->span.is_free, memory_order_relaxed))
        return NULL;
    *(b->before ? &b->before->next : &dev->memory->used) = b->next;
    if (b->next)
        b->next->before = b->before;
    b->span.kept = NULL;
    atomic_store_explicit(&b->span.is_free, true, memory_order_relaxed);
    return b;
}

/* ---- What streams and devices call ---- */

/* What no device has, or this one never gives, is refused before anything that is kept goes back. */
static int refuse_size(const yoke_device *dev, size_t size, yk_error *e)
{
    if (size > YK_MOST_BYTES)
        return yk_errorf(e, ENOMEM, "%zu bytes are more than any device has", size);
    if (dev->info.largest > 0 && size > dev->info.largest)
        return yk_errorf(e, ENOMEM, "%s: %zu bytes are asked for, it gives at most %zu in one piece", dev->info.uri, size,
                         dev->info.largest);
    return 0;
}

void *yk_memory_alloc(yoke_device *dev, yoke_stream *s, size_t size)
{
    yk_memory *m = dev->memory;
    yk_error e;
    yk_error_clear(&e);
    if (refuse_size(dev, size, &e) < 0) {
        yk_device_fail(dev, s, &e);
        return NULL;
    }
    yk_mutex_lock(&m->lock);
    block *b = take_block(dev, yk_size_class(size), s, &e);
    if (b && settle(dev, b, s, &e) < 0) {
        b->next = m->free[b->class];
        m->free[b->class] = b;
        b = NULL;
    }
    if (b) {
        use(m, b);
        m->stats.allocs++;
        m->stats.blocks++;
        m->stats.used += b->span.size;
        m->stats.used_most = YK_MAX(m->stats.used_most, m->stats.used);
    } else if (e.code == -ENOMEM) {
        char why[300];
        snprintf(why, sizeof why, "%.280s", e.text);
        yk_errorf(&e, ENOMEM, "no %zu bytes left on %s: %zu are in use in %zu blocks (%s)", size, dev->info.uri, m->stats.used,
                  m->stats.blocks, why);
    }
    yk_mutex_unlock(&m->lock);
    if (!b)
        yk_device_fail(dev, s, &e);
    return b ? b->span.base : NULL;
}

void yk_memory_free(yoke_device *dev, yoke_stream *s, void *p)
{
    yk_memory *m = dev->memory;
    yk_mutex_lock(&m->lock);
    block *b = take_used(dev, p);
    if (b) {
        b->freed_in = s;
        b->freed = ++m->frees;
        b->idle = s ? yk_stream_is_idle(s) : yk_streams_are_idle(dev);
        b->next = m->free[b->class];
        m->free[b->class] = b;
        m->stats.blocks--;
        m->stats.used -= b->span.size;
    }
    yk_mutex_unlock(&m->lock);
    if (!b) {
        yk_error e;
        yk_errorf(&e, EINVAL, "%p is no memory of %s that is in use: freed twice, or not its beginning", p, dev->info.uri);
        s ? yk_stream_fail(s, &e) : yk_device_fail(dev, NULL, &e);
    }
}

void yk_memory_forget(yoke_device *dev, yoke_stream *s)
{
    yk_memory *m = dev->memory;
    yk_mutex_lock(&m->lock);
    for (unsigned class = 0; class < CLASSES; class++)
        for (block *b = m->free[class]; b; b = b->next)
            if (b->freed_in == s) {
                b->freed_in = NULL;
                b->idle = true;
            }
    yk_mutex_unlock(&m->lock);
}

int yoke_device_memory_stats(yoke_device *dev, yoke_device_memory *ret)
{
    int err = yk_device_check(dev);
    if (err < 0)
        return err;
    yk_mutex_lock(&dev->memory->lock);
    *ret = dev->memory->stats;
    yk_mutex_unlock(&dev->memory->lock);
    return 0;
}

int yoke_device_trim(yoke_device *dev)
{
    int err = yk_device_check(dev);
    if (err < 0)
        return err;
    yk_mutex_lock(&dev->memory->lock);
    give_back(dev, SIZE_MAX);
    yk_mutex_unlock(&dev->memory->lock);
    return 0;
}

void yk_memory_close(struct yk_memory *m)
{
    if (!m)
        return;
    if (m->marks)
        yk_marks_close(m->marks);
    for (unsigned i = 0; i <= CLASSES; i++) {
        block *b = i < CLASSES ? m->free[i] : m->used;
        while (b) {
            block *next = b->next;
            block_to_driver(b->span.dev, b);
            b = next;
        }
    }
    free(m);
}
