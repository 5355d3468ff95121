/* span: which addresses are memory of a device. A kernel or a copy is given plain addresses; a look here tells whether one
 * lies in memory that a driver gave, and in which; and so whether an array can be used, with one text for all who are given
 * one that cannot.
 *
 * The spans stand in a table ordered by address. Looks are many and take no lock: they search the table between two reads of
 * a sequence number, which a change makes odd while it lasts (a seqlock; Hans-J. Boehm, "Can Seqlocks Get Along With
 * Programming Language Memory Models?", MSPC 2012). Changes are few, for memory that is freed is kept for later (memory.c). A
 * table that was too small stays allocated, since somebody may be searching it; as each is twice as large as the last, all of
 * them together are no larger than the one in use. */
#include "gpu/gpu.h"

/* What a look reads stands here and not in the span, which may be freed while somebody looks for an address beside it. */
typedef struct span_entry {
    _Atomic uintptr_t begin, end;
    _Atomic(yk_span *) span;
} span_entry;

typedef struct span_table {
    struct span_table *outgrown;
    size_t room;
    span_entry entries[];
} span_table;

static yk_mutex changing;
static _Atomic(span_table *) current;
static _Atomic size_t count;
static _Atomic uint32_t sequence;
YK_HELD_WHILE_FORKING(changing)

/* Every read of a look acquires, every write of a change releases: who has seen any of a change sees that the number is odd.
 * */
#define LOOK(x) atomic_load_explicit(&(x), memory_order_acquire)     /* pairs with WRITE */
#define WRITE(x, v) atomic_store_explicit(&(x), v, memory_order_release) /* pairs with LOOK */

/* How many of the first n entries begin at p or below. */
static size_t entries_up_to(span_table *t, size_t n, uintptr_t p)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (LOOK(t->entries[middle].begin) <= p)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One look; what it finds is worthless when the number was odd, or is another afterwards. */
static const yk_span *look(uintptr_t p)
{
    span_table *t = LOOK(current);
    size_t at = t ? entries_up_to(t, YK_MIN(LOOK(count), t->room), p) : 0;
    return at > 0 && p < LOOK(t->entries[at - 1].end) ? LOOK(t->entries[at - 1].span) : NULL;
}

const yk_span *yk_span_of(const void *p)
{
    for (;;) {
        uint32_t before = LOOK(sequence);
        const yk_span *found = look((uintptr_t)p);
        if (YK_LIKELY(!(before & 1) && atomic_load_explicit(&sequence, memory_order_relaxed) == before))
            return found;
        yk_pause();
    }
}

static void entry_write(span_entry *to, uintptr_t begin, uintptr_t end, yk_span *span)
{
    WRITE(to->begin, begin);
    WRITE(to->end, end);
    WRITE(to->span, span);
}

static void entry_copy(span_entry *to, const span_entry *from)
{
    entry_write(to, LOOK(from->begin), LOOK(from->end), LOOK(from->span));
}

/* A table with room for one more; NULL: no memory. */
static span_table *grow(void)
{
    span_table *old = LOOK(current);
    size_t n = LOOK(count), room = old ? 2 * old->room : 64;
    if (old && n < old->room)
        return old;
    span_table *t = yk_sys.calloc(1, sizeof *t + room * sizeof *t->entries);
    if (!t)
        return NULL;
    t->outgrown = old;
    t->room = room;
    for (size_t i = 0; i < n; i++)
        entry_copy(&t->entries[i], &old->entries[i]);
    WRITE(current, t);
    return t;
}

int yk_span_add(yk_span *span)
{
    yk_mutex_lock(&changing);
    span_table *t = grow();
    if (t) {
        uintptr_t begin = (uintptr_t)span->base;
        size_t n = LOOK(count), at = entries_up_to(t, n, begin);
        WRITE(sequence, LOOK(sequence) + 1);
        for (size_t i = n; i > at; i--)
            entry_copy(&t->entries[i], &t->entries[i - 1]);
        entry_write(&t->entries[at], begin, begin + span->size, span);
        WRITE(count, n + 1);
        WRITE(sequence, LOOK(sequence) + 1);
    }
    yk_mutex_unlock(&changing);
    return t ? 0 : -ENOMEM;
}

void yk_span_remove(yk_span *span)
{
    yk_mutex_lock(&changing);
    span_table *t = LOOK(current);
    size_t n = LOOK(count), at = t ? entries_up_to(t, n, (uintptr_t)span->base) : 0;
    if (at > 0 && LOOK(t->entries[at - 1].span) == span) {
        WRITE(sequence, LOOK(sequence) + 1);
        for (size_t i = at; i < n; i++)
            entry_copy(&t->entries[i - 1], &t->entries[i]);
        WRITE(count, n - 1);
        WRITE(sequence, LOOK(sequence) + 1);
    }
    yk_mutex_unlock(&changing);
}

/* ---- What is said of an array that cannot be used ---- */

__attribute__((cold)) int yk_given_refuse(const yoke_device *dev, const char *kind, const char *call, const yk_given *g,
                                          const yk_span *span, yk_error *e)
{
    const char *owner = span ? span->dev->info.uri : "the host";
    if (!g->p)
        return yk_errorf(e, EINVAL, "%s%s: %s is NULL", kind, call, g->name);
    if (span && atomic_load_explicit(&span->is_free, memory_order_relaxed))
        return yk_errorf(e, EFAULT, "%s%s: %s is memory of %s that has been freed", kind, call, g->name, owner);
    if (!yk_reaches(dev, g->p, span))
        return yk_errorf(e, EFAULT, "%s%s: %s is memory of %s, not of %s%s", kind, call, g->name, owner, dev->info.uri,
                         span ? yk_as_opened(span->dev, dev) : "");
    const char *open = g->formula ? " (" : "", *formula = g->formula ? g->formula : "", *end = g->formula ? ")" : "";
    if (!span)
        return yk_errorf(e, E2BIG, "%s%s: %s should have %zd elements of %zu bytes%s%s%s, more than there can be", kind, call,
                         g->name, (ssize_t)g->count, g->size, open, formula, end);
    const size_t there = (size_t)(span->base + span->size - (const char *)g->p);
    return yk_errorf(e, EINVAL, "%s%s: %s has %zu bytes, room for %zu elements, and should have %zd%s%s%s", kind, call, g->name,
                     there, there / g->size, (ssize_t)g->count, open, formula, end);
}

int yk_negative_refuse(const char *kind, const char *call, const char *name, size_t n, yk_error *e)
{
    return yk_errorf(e, EINVAL, "%s%s: %s is %zd, and should be 0 or more", kind, call, name, (ssize_t)n);
}
