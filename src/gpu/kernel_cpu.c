/* kernel_cpu: a kernel of elements on the CPU: its C form, by a pool, chunk by chunk.
 *
 * Results of a call that touches more than the caches hold are written past them (topo/past_cache.h): a triad of 2^24 floats
 * takes 3/4 of the time. Since the C form is what a compiler made of the body, with stores as any, it is given blocks of some
 * hundred bytes in place of its `out` arrays, which stay in the first cache, and from there they are copied on. That is done with
 * arrays that the body uses as x[i] alone (analysis.c), so that it cannot see where they are, and not where the body takes
 * long: a core does little else while its streaming stores are on their way, and exp() of 2^24 floats would take a sixth more.
 *
 * The same call gives the same bits each time, however the pool cuts it (yk_kernel_on_cpu()). */
#include "gpu/launch.h"
#include "topo/past_cache.h"

/* Blocks have a multiple of STEP elements, so that of every array each begins at a line if the first does, and some BLOCK bytes
 * of the largest. What has larger elements, or more arrays or values, would need much of a small stack, such as a coroutine's. */
enum { STEP = 64, BLOCK = 512, LARGEST = 16, ARRAYS = 4, ARGS_MOST = 512, MANY = 1024, UNIT = 64 };

typedef struct past_array {
    unsigned param;
    size_t size; /* of an element */
} past_array;

typedef struct call {
    const yoke_kernel *k;
    const void *args;
    size_t n, block, phase; /* in elements; blocks begin at phase + STEP * m */
    unsigned count;
    past_array arrays[ARRAYS];
} call;

static char *array_in(const call *c, const void *args, unsigned a)
{
    char *p;
    memcpy(&p, yk_value_at(c->k, args, c->arrays[a].param), sizeof p);
    return p;
}

/* Elements at up to end: by blocks instead of the arrays, each as far from the beginning of a line as what it is for. */
static void run_block(const call *c, size_t at, size_t end, char *args, char (*blocks)[STEP * LARGEST + YK_CACHE_LINE])
{
    char *out[ARRAYS], *block[ARRAYS];
    for (unsigned a = 0; a < c->count; a++) {
        size_t size = c->arrays[a].size;
        out[a] = array_in(c, c->args, a) + at * size;
        block[a] = blocks[a] + (uintptr_t)out[a] % YK_CACHE_LINE;
        const uintptr_t first = (uintptr_t)block[a] - at * size; /* where element 0 would be */
        memcpy(yk_value_at(c->k, args, c->arrays[a].param), &first, sizeof first);
    }
    c->k->chunk(at, end, args);
    for (unsigned a = 0; a < c->count; a++)
        yk_past_cache_copy(out[a], block[a], (end - at) * c->arrays[a].size);
}

static void run_past(size_t lo, size_t hi, const void *arg)
{
    const call *c = arg;
    _Alignas(YK_CACHE_LINE) char args[ARGS_MOST], blocks[ARRAYS][STEP * LARGEST + YK_CACHE_LINE];
    memset(blocks, 0, c->count * sizeof *blocks); /* padding of structs is copied on, too */
    memcpy(args, c->args, c->k->args_size);
    for (size_t at = lo, end; at < hi; at = end) {
        end = at + c->block - (at + STEP - c->phase) % STEP;
        end = YK_MIN(end, hi);
        run_block(c, at, end, args, blocks);
    }
    yk_past_cache_end();
}

/* The first element, below STEP, at which a line begins; STEP: none. */
static size_t phase_of(const char *array, size_t size)
{
    size_t phase = 0;
    while (phase < STEP && ((uintptr_t)array + phase * size) % YK_CACHE_LINE > 0)
        phase++;
    return phase;
}

/* Takes array i if its lines begin at the same elements as those of the arrays before. */
static void add_array(call *c, unsigned i)
{
    size_t size = c->k->params[i].size;
    c->arrays[c->count] = (past_array){i, size};
    size_t phase = size > 0 && size <= LARGEST ? phase_of(array_in(c, c->args, c->count), size) : STEP;
    if (phase == STEP || (c->count > 0 && ((uintptr_t)array_in(c, c->args, c->count) + c->phase * size) % YK_CACHE_LINE > 0))
        return;
    c->phase = c->count > 0 ? c->phase : phase;
    c->block = c->count > 0 ? YK_MIN(c->block, BLOCK / size) : BLOCK / size;
    c->block = YK_MAX(c->block / STEP, 1) * STEP;
    c->count++;
}

/* So many elements touch no more than as many of a longer array, most likely. */
static size_t bytes_of(const yoke_kernel *k, const void *args, size_t n)
{
    size_t counts[YK_PARAMS_MOST], bytes = 0;
    k->counts(args, counts);
    for (unsigned i = 0; i < k->nparams; i++)
        bytes += k->params[i].kind != YK_VAL ? YK_MIN(counts[i], n) * k->params[i].size : 0;
    return bytes;
}

static void find_arrays(call *c)
{
    yk_analysis uses;
    if (c->k->args_size > ARGS_MOST || !yk_past_cache_pays(bytes_of(c->k, c->args, c->n)))
        return;
    yk_analyse_kernel(c->k, &uses);
    for (unsigned i = 0; !uses.takes_long && i < c->k->nparams && c->count < ARRAYS; i++)
        if (c->k->params[i].kind == YK_OUT && uses.element[i] && uses.used[i])
            add_array(c, i);
}

unsigned yk_kernel_past_arrays(const yoke_kernel *k, const void *args)
{
    call c = {.k = k, .args = args, .n = (size_t)*(const long *)args};
    find_arrays(&c);
    return c.count;
}

/* In its body, or in functions that this calls; found out once. */
static bool has_loops(yoke_kernel *k)
{
    enum { KNOWN = 1, LOOPS = 2 };
    unsigned known = __atomic_load_n(&k->known, __ATOMIC_RELAXED);
    if (!known) {
        yk_analysis uses;
        yk_analyse_kernel(k, &uses);
        known = KNOWN | (uses.loops ? LOOPS : 0);
        __atomic_store_n(&k->known, known, __ATOMIC_RELAXED);
    }
    return known & LOOPS;
}

static void run_units(size_t lo, size_t hi, const void *arg)
{
    const call *c = arg;
    c->k->chunk(lo * UNIT, YK_MIN(hi * UNIT, c->n), c->args);
}

/* Elements go in units, so that which of them a vector takes together does not depend on how the pool cuts: vector versions of
 * mathematical functions have other last bits than plain ones. But for a few, each of which may take long. */
int yk_kernel_on_cpu(struct yoke_executor *pool, yoke_kernel *k, const void *args)
{
    call c = {.k = k, .args = args, .n = (size_t)*(const long *)args};
    if (k->form != YK_MAP_KERNEL || (c.n < MANY && has_loops(k)))
        return yk_loop(pool, c.n, k->chunk, args);
    if (c.n >= MANY)
        find_arrays(&c);
    return c.count > 0 ? yk_loop(pool, c.n, run_past, &c) : yk_loop(pool, (c.n + UNIT - 1) / UNIT, run_units, &c);
}
