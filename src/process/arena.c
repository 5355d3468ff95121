/* arena: see arena.h. Blocks are powers of two of 64-byte units, naturally aligned, with a free list for each order.
 *
 * A free block is kept as it is, so that taking and giving the same sizes again and again, which is what executors do,
 * costs a few instructions; new blocks come from the untouched end. Only when that end is reached are free blocks merged
 * with their buddies (Knowlton, "A fast storage allocator", 1965). Rounding up wastes address space, not memory: pages
 * that nobody touches do not exist. Large free blocks keep their pages warm up to a limit and give them back
 * beyond it. */
#include "process/arena.h"
#include <sys/mman.h>

#define UNIT ((size_t)64)
#define NONE UINT32_MAX
#define LIVE 0x80u
#define LARGE ((size_t)1 << 20)
#define RETAIN_MAX ((size_t)256 << 20)
#define MAX_SIZE ((size_t)256 << 30)

static void *reserve(size_t size)
{
    void *p = yk_sys.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int yk_arena_open(yk_arena *a, char *base, size_t size)
{
    size = YK_MIN(size, MAX_SIZE) / UNIT * UNIT;
    size_t units = size / UNIT;
    *a = (yk_arena){.base = base, .size = size};
    a->state = reserve(units);
    a->next = reserve(units * sizeof *a->next);
    for (size_t i = 0; i < YK_COUNT_OF(a->lists); i++)
        a->lists[i] = NONE;
    if (a->state && a->next)
        return 0;
    yk_arena_close(a);
    return -ENOMEM;
}

void yk_arena_close(yk_arena *a)
{
    if (a->state)
        munmap(a->state, a->size / UNIT);
    if (a->next)
        munmap(a->next, a->size / UNIT * sizeof *a->next);
    *a = (yk_arena){0};
}

static unsigned order_for(size_t size)
{
    size_t units = (size + UNIT - 1) / UNIT;
    return units <= 1 ? 0 : 64 - (unsigned)__builtin_clzl(units - 1);
}

static void push(yk_arena *a, unsigned order, uint32_t unit)
{
    a->state[unit] = (unsigned char)(order + 1); /* 0 is what untouched memory holds: no block */
    a->next[unit] = a->lists[order];
    a->lists[order] = unit;
}

static uint32_t pop(yk_arena *a, unsigned order)
{
    uint32_t unit = a->lists[order];
    if (unit != NONE)
        a->lists[order] = a->next[unit];
    return unit;
}

/* A new block from the end; what is skipped to align it becomes free blocks. */
static uint32_t extend(yk_arena *a, unsigned order)
{
    size_t bytes = UNIT << order;
    while (a->used % bytes != 0) {
        unsigned gap = (unsigned)__builtin_ctzl(a->used / UNIT);
        if (a->size - a->used < (UNIT << gap))
            return NONE;
        push(a, gap, (uint32_t)(a->used / UNIT));
        a->used += UNIT << gap;
    }
    if (a->used > a->size || a->size - a->used < bytes)
        return NONE;
    uint32_t unit = (uint32_t)(a->used / UNIT);
    a->used += bytes;
    return unit;
}

/* Merges every pair of free buddies, from small to large, by walking the units in order: lists are rebuilt as we go. */
static void merge(yk_arena *a)
{
    for (size_t i = 0; i < YK_COUNT_OF(a->lists); i++)
        a->lists[i] = NONE;
    size_t end = a->used / UNIT;
    for (bool merged = true; merged;) {
        merged = false;
        for (size_t u = 0; u < end;) {
            unsigned order = (a->state[u] & ~LIVE) - 1;
            size_t size = (size_t)1 << order, buddy = u ^ size;
            if (buddy > u && buddy < end && u % (size * 2) == 0 && a->state[u] == order + 1 && a->state[buddy] == order + 1) {
                a->state[u]++;
                a->state[buddy] = 0;
                merged = true;
                continue;
            }
            u += size;
        }
    }
    for (size_t u = 0, size; u < end; u += size) {
        size = (size_t)1 << ((a->state[u] & ~LIVE) - 1);
        if (!(a->state[u] & LIVE))
            push(a, a->state[u] - 1u, (uint32_t)u);
    }
}

/* The smallest free block of at least this order, cut down to it. */
static uint32_t split(yk_arena *a, unsigned order)
{
    unsigned from = order;
    while (from < YK_COUNT_OF(a->lists) && a->lists[from] == NONE)
        from++;
    if (from == YK_COUNT_OF(a->lists))
        return NONE;
    uint32_t unit = pop(a, from);
    while (from > order) {
        from--;
        push(a, from, unit + ((uint32_t)1 << from));
    }
    return unit;
}

void *yk_arena_take(yk_arena *a, size_t size)
{
    if (size > a->size)
        return NULL;
    unsigned order = order_for(size);
    uint32_t unit = pop(a, order);
    bool recycled = unit != NONE;
    if (unit == NONE)
        unit = extend(a, order);
    if (unit == NONE && (unit = split(a, order)) == NONE) {
        merge(a);
        unit = split(a, order);
    }
    if (unit == NONE)
        return NULL;
    if (recycled && (UNIT << order) >= LARGE)
        a->retained -= YK_MIN(a->retained, UNIT << order);
    a->state[unit] = (unsigned char)((order + 1) | LIVE);
    a->live++;
    return a->base + (size_t)unit * UNIT;
}

size_t yk_arena_size_of(const yk_arena *a, const void *p)
{
    size_t at = (uintptr_t)p - (uintptr_t)a->base;
    if ((uintptr_t)p < (uintptr_t)a->base || at >= a->used || at % UNIT != 0)
        return 0;
    unsigned state = a->state[at / UNIT];
    return state & LIVE ? UNIT << ((state & ~LIVE) - 1) : 0;
}

int yk_arena_give(yk_arena *a, void *block)
{
    size_t size = yk_arena_size_of(a, block);
    if (size == 0)
        return -EINVAL;
    uint32_t unit = (uint32_t)((size_t)((char *)block - a->base) / UNIT);
    a->live--;
    push(a, (a->state[unit] & ~LIVE) - 1, unit);
    if (size >= LARGE) {
        if (a->retained + size > RETAIN_MAX)
            yk_sys.madvise(block, size, MADV_REMOVE); /* only a saving: failing is no harm */
        else
            a->retained += size;
    }
    return 0;
}
