/* cost: whether a kernel is done sooner by the CPU or by the device, by what it has cost so far. For each kernel and each
 * size, to a power of two, there is the time that a call took on either (the history of StarPU's dmda scheduler, made small:
 * two places, and a mean that forgets). A place that is not known at a size is tried, unless a smaller size says that it is
 * hopeless; the one that loses is tried again now and then, since machines change. */
#include "gpu/cost.h"

enum { KNOWN = 2, AGAIN = 64 };
static const float HOPELESS = 16, NEARLY = 3, FORGETS = 0.25f;

static unsigned size_class(size_t n)
{
    return n ? 63 - (unsigned)__builtin_clzll(n) : 0;
}

static float mean(yk_cost *c, unsigned size, yk_place place)
{
    return atomic_load_explicit(&c->sizes[size].mean[place], memory_order_relaxed);
}

static uint32_t times(yk_cost *c, unsigned size, yk_place place)
{
    return atomic_load_explicit(&c->sizes[size].times[place], memory_order_relaxed);
}

/* Whether less has already cost the place far more, at a smaller size, than this size costs the other. */
static bool is_hopeless(yk_cost *c, unsigned size, yk_place place)
{
    if (times(c, size, !place) < KNOWN)
        return false;
    for (unsigned smaller = size; smaller-- > 0;)
        if (times(c, smaller, place) >= KNOWN)
            return mean(c, smaller, place) > HOPELESS * mean(c, size, !place);
    return false;
}

yk_place yk_cost_choose(yk_cost *c, size_t n)
{
    unsigned size = size_class(n);
    uint32_t cpu = times(c, size, YK_ON_CPU), device = times(c, size, YK_ON_DEVICE);
    yk_place unknown = cpu < KNOWN ? YK_ON_CPU : YK_ON_DEVICE;
    if (cpu < KNOWN || device < KNOWN)
        return is_hopeless(c, size, unknown) ? !unknown : unknown;
    yk_place best = mean(c, size, YK_ON_DEVICE) < mean(c, size, YK_ON_CPU) ? YK_ON_DEVICE : YK_ON_CPU;
    bool near = mean(c, size, !best) < NEARLY * mean(c, size, best);
    return near && (cpu + device) % AGAIN == 0 ? !best : best;
}

void yk_cost_learn(yk_cost *c, size_t n, yk_place place, int64_t ns)
{
    unsigned size = size_class(n);
    float old = mean(c, size, place), took = (float)YK_MAX(ns, 1);
    /* Two that learn at a time may lose one of them; both are true. */
    atomic_store_explicit(&c->sizes[size].mean[place], times(c, size, place) ? old + FORGETS * (took - old) : took,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&c->sizes[size].times[place], 1, memory_order_relaxed);
}

void yk_cost_failed(yk_cost *c, size_t n)
{
    unsigned size = size_class(n);
    yk_cost_learn(c, n, YK_ON_DEVICE, (int64_t)(2 * mean(c, size, YK_ON_CPU)));
}
