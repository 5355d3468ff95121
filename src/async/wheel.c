/* wheel.c - timers by the ten thousand, nearly all of which are cleared before they are due, as those of I/O are.
 *
 * A hierarchical wheel: 6 levels of 64 slots, of which the lowest are 2^16 ns wide and each level's are as wide as the whole
 * level below; what lies beyond (52 days) is in one more slot. A timer goes to the level of the highest digit, of 6 bits, in
 * which its deadline differs from the wheel's base, so that a slot is found with a few instructions, and time passes over empty
 * ones by their bits in the maps, however far it jumps.
 *
 * A wheel alone is as exact as its slots are narrow. Here a slot is a list of trees, in each of which no timer is due before the
 * one above it: a pairing heap whose work is put off. Setting a timer pushes a tree of one; clearing it takes it out of its list.
 * Only when somebody must know the earliest timer are the trees of the first slot joined into one. So deadlines of any kind are
 * exact and in order, and those that are only set and cleared cost what they would in a plain wheel. A heap for near deadlines
 * beside a wheel of milliseconds would do too, but the earliest deadline would be in one of the wheel's long lists.
 *
 * Invariants. Deadlines are compared as keys, unsigned numbers in the same order. The timers of a level's slot have all the
 * base's digits above that level, and a greater one there; on the lowest level an equal one will do, and that slot has also what
 * was late when it was set. So levels and slots are in the order of time, and the lowest slot that is not empty has the earliest
 * timer. `link` is what points to a timer: its slot, the `next` of the one before, or the `child` of the one above. */
#include "async/wheel.h"

enum { RESOLUTION = 16, DIGIT = 6, FAR = YK_WHEEL_LEVELS, FAR_SHIFT = RESOLUTION + DIGIT * YK_WHEEL_LEVELS, NONE = UINT16_MAX };

_Static_assert(1 << DIGIT == YK_WHEEL_SLOTS && YK_WHEEL_SLOTS == 64, "a slot is a digit and a bit");
_Static_assert(sizeof(yk_wheel_timer) <= 48, "it is in every wait");

static uint64_t key_of(int64_t when)
{
    return (uint64_t)when ^ (uint64_t)1 << 63;
}

static unsigned shift_of(unsigned level)
{
    return RESOLUTION + DIGIT * level;
}

static bool is_before(const yk_wheel_timer *a, const yk_wheel_timer *b)
{
    return a->when != b->when ? a->when < b->when : a->order < b->order;
}

/* ---- Lists and trees ---- */

static void push(yk_wheel_timer **list, yk_wheel_timer *t)
{
    t->next = *list;
    t->link = list;
    if (t->next)
        t->next->link = &t->next;
    *list = t;
}

static yk_wheel_timer *join(yk_wheel_timer *a, yk_wheel_timer *b)
{
    yk_wheel_timer *first = is_before(a, b) ? a : b;
    push(&first->child, first == a ? b : a);
    return first;
}

/* Joins a list of trees, not empty, into one: in pairs, and then those from the last pair on. That bounds what taking the
 * earliest of n costs to O(log n), if not each time then on average. The root's next and link are the caller's to set. */
static yk_wheel_timer *join_all(yk_wheel_timer *list)
{
    yk_wheel_timer *pairs = NULL, *a;
    do {
        a = list;
        yk_wheel_timer *b = a->next;
        list = b ? b->next : NULL;
        if (b)
            a = join(a, b);
        a->next = pairs;
        pairs = a;
    } while (list);
    yk_wheel_timer *root = pairs;
    for (list = root->next; (a = list);) {
        list = a->next;
        root = join(root, a);
    }
    return root;
}

/* Takes t out of its list; what is below it takes its place. */
static void take_out(yk_wheel_timer *t)
{
    yk_wheel_timer *heir = t->next;
    if (YK_UNLIKELY(t->child != NULL)) {
        heir = join_all(t->child);
        heir->next = t->next;
        if (heir->next)
            heir->next->link = &heir->next;
    }
    *t->link = heir;
    if (heir)
        heir->link = t->link;
    t->link = NULL;
}

/* The earliest timer of a slot that is not empty; it is the only root then. */
static yk_wheel_timer *earliest(yk_wheel_timer **slot)
{
    if ((*slot)->next) {
        yk_wheel_timer *root = join_all(*slot);
        *slot = NULL;
        push(slot, root);
    }
    return *slot;
}

/* ---- Slots ---- */

static void place(yk_wheel *w, yk_wheel_timer *t)
{
    uint64_t key = YK_MAX(key_of(t->when), w->base);
    unsigned highest = 63 - (unsigned)__builtin_clzll(((key ^ w->base) >> RESOLUTION) | 1);
    unsigned level = highest / DIGIT, digit = 0;
    if (YK_LIKELY(level < FAR))
        digit = key >> shift_of(level) & (YK_WHEEL_SLOTS - 1);
    else
        level = FAR;
    w->levels |= 1U << level;
    w->maps[level] |= (uint64_t)1 << digit;
    t->child = NULL;
    push(&w->slots[level * YK_WHEEL_SLOTS + digit], t);
}

static void mark_empty(yk_wheel *w, unsigned slot)
{
    unsigned level = slot / YK_WHEEL_SLOTS;
    w->maps[level] &= ~((uint64_t)1 << slot % YK_WHEEL_SLOTS);
    if (!w->maps[level])
        w->levels &= ~(1U << level);
}

/* The slot that has the earliest timer, or NONE. */
static unsigned first_slot(const yk_wheel *w)
{
    if (!w->levels)
        return NONE;
    unsigned level = (unsigned)__builtin_ctz(w->levels);
    return level * YK_WHEEL_SLOTS + (unsigned)__builtin_ctzll(w->maps[level]);
}

/* The key from which on a slot's timers are due; that of the first one's 52 days for those that are far. */
static uint64_t start_of(yk_wheel *w, unsigned slot)
{
    unsigned level = slot / YK_WHEEL_SLOTS;
    if (level == FAR)
        return key_of(earliest(&w->slots[slot])->when) >> FAR_SHIFT << FAR_SHIFT;
    unsigned above = shift_of(level + 1);
    return w->base >> above << above | (uint64_t)(slot % YK_WHEEL_SLOTS) << shift_of(level);
}

/* Time has come to a slot above the lowest level: its timers go further down. */
static void spread(yk_wheel *w, unsigned slot)
{
    yk_wheel_timer *list = w->slots[slot], *t;
    w->slots[slot] = NULL;
    mark_empty(w, slot);
    while ((t = list)) {
        list = t->next;
        if (t->child) {
            yk_wheel_timer *last = t->child;
            while (last->next)
                last = last->next;
            last->next = list;
            list = t->child;
        }
        place(w, t);
    }
}

/* The same for those that are far, of which most may be far still. */
static void bring(yk_wheel *w, unsigned slot)
{
    yk_wheel_timer **far = &w->slots[slot];
    while (*far && key_of(earliest(far)->when) >> FAR_SHIFT == w->base >> FAR_SHIFT) {
        yk_wheel_timer *t = *far;
        take_out(t);
        place(w, t);
    }
    if (!*far)
        mark_empty(w, slot);
}

/* Moves what is due by `now` from a slot of the lowest level to the end of a list, and returns where that ends then. What is
 * taken was the only root, so it has no next. */
static yk_wheel_timer **take_due(yk_wheel *w, unsigned slot, int64_t now, yk_wheel_timer **end)
{
    yk_wheel_timer **from = &w->slots[slot];
    while (*from && earliest(from)->when <= now) {
        yk_wheel_timer *t = *from;
        take_out(t);
        *end = t;
        end = &t->next;
    }
    if (!*from)
        mark_empty(w, slot);
    return end;
}

/* ---- What others call ---- */

void yk_wheel_init(yk_wheel *w, int64_t now)
{
    *w = (yk_wheel){.base = key_of(now), .next = YOKE_FOREVER, .known = true};
}

void yk_wheel_set(yk_wheel *w, yk_wheel_timer *t, int64_t when)
{
    if (YK_UNLIKELY(when == YOKE_FOREVER))
        return;
    t->when = when;
    t->order = w->order++;
    w->next = YK_MIN(w->next, when); /* which means nothing if it is not known */
    place(w, t);
}

void yk_wheel_clear(yk_wheel *w, yk_wheel_timer *t)
{
    yk_wheel_timer **link = t->link;
    if (!link)
        return;
    take_out(t);
    size_t slot = ((uintptr_t)link - (uintptr_t)w->slots) / sizeof *w->slots;
    if (slot < YK_COUNT_OF(w->slots) && !*link)
        mark_empty(w, (unsigned)slot);
    if (t->when == w->next)
        w->known = false;
}

int64_t yk_wheel_next(yk_wheel *w)
{
    if (!w->known) {
        unsigned slot = first_slot(w);
        w->next = slot == NONE ? YOKE_FOREVER : earliest(&w->slots[slot])->when;
        w->known = true;
    }
    return w->next;
}

yk_wheel_timer *yk_wheel_expire(yk_wheel *w, int64_t now)
{
    uint64_t until = key_of(now), start;
    yk_wheel_timer *due = NULL, **end = &due;
    unsigned slot;
    while ((slot = first_slot(w)) != NONE && (start = start_of(w, slot)) <= until) {
        if (slot < YK_WHEEL_SLOTS) {
            end = take_due(w, slot, now, end);
            if (w->slots[slot])
                break; /* due later in the same slot */
            continue;
        }
        w->base = start;
        if (slot == FAR * YK_WHEEL_SLOTS)
            bring(w, slot);
        else
            spread(w, slot);
    }
    w->base = YK_MAX(w->base, until);
    if (due)
        w->known = false;
    return due;
}
